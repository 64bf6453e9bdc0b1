"""A Model Context Protocol server over one store: what ``dvesp mcp`` runs. Needs ``pip install dvesp[mcp]``.

Tools: ``list_collections``, ``search``, ``get``, and ``upsert`` when writes are allowed. Answers are plain JSON; vectors are
left out of them unless asked for, since they are long and say nothing to a language model.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import BaseModel, Field

from .. import __version__
from ..demo import embed_query, takes_text
from ..errors import Error, InvalidArgument
from ..store import VectorStore
from .shared import fresh_id

__all__ = ["Embed", "load_embedder", "make_server", "serve"]

# Texts in, one vector for each out: anything that NumPy makes float32 [n, d] of.
Embed = Callable[[list[str]], Any]

TOP_K_MAX = 100  # of a tool call: a language model reads every result
RECORDS_MAX = 1000  # of one get or upsert

_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_WRITES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False)

Metadata = dict[str, Any] | None
CollectionName = Annotated[str, Field(description="The collection's name; list_collections knows them.")]
Filter = Annotated[
    dict[str, Any] | None,
    Field(
        description='Conditions on the metadata: {"kind": "note"}, {"year": {"$gte": 2020}}, {"$or": [{...}, {...}]}. '
        "Operators: $eq $ne $gt $gte $lt $lte $in $nin $exists $contains $and $or $not; dotted paths reach nested fields."
    ),
]
WithVectors = Annotated[bool, Field(description="Whether to return vectors, which are long.")]


class Found(BaseModel):
    """A record that a search found; ``distance`` is smaller for nearer ones."""

    id: str
    distance: float
    metadata: Metadata
    vector: list[float] | None = None


class Stored(BaseModel):
    """A record as it is stored; versions start at 1 and grow with each change."""

    id: str
    metadata: Metadata
    version: int
    vector: list[float] | None = None


class CollectionFacts(BaseModel):
    """What there is to know of a collection before it is asked."""

    name: str
    count: int
    dimension: int
    metric: Literal["cosine", "l2", "dot_product"]
    takes_text: bool = Field(description="Whether search takes a text here, or a vector only.")


class NewRecord(BaseModel):
    """A record to store: a vector, or a text to embed."""

    id: str | None = Field(None, description="Replaces the record with this id; a fresh one when absent.")
    text: str | None = Field(None, description="Embedded, and kept in the metadata.")
    vector: list[float] | None = Field(None, description="Instead of embedding the text.")
    metadata: dict[str, Any] = Field(default_factory=dict, description="JSON to filter by and to read.")


def load_embedder(name: str) -> Embed:
    """The function that ``MODULE:FUNCTION`` names.

    Raises:
        InvalidArgument: no such name, or no function. ImportError: of the module.
    """
    module, colon, attribute = name.partition(":")
    if not module or not colon or not attribute:
        raise InvalidArgument(f"embedder is {name!r} but must be MODULE:FUNCTION, such as my_package.embedding:embed")
    found: Any = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise InvalidArgument(f"embedder {name!r}: {module} has no function {attribute!r}")
    embed: Embed = found
    return embed


def serve(store: VectorStore, embed: Embed | None, *, writable: bool, text_key: str) -> None:
    """Answers on stdin and stdout until stdin ends."""
    make_server(store, embed, writable=writable, text_key=text_key).run("stdio")


def make_server(store: VectorStore, embed: Embed | None = None, *, writable: bool = False, text_key: str = "text") -> MCPServer:
    """A server with the tools; it does not close the store.

    Args:
        store: open; tools run in threads, several at a time.
        embed: makes vectors of texts; None: only collections of ``dvesp demo`` take texts.
        writable: whether there is a tool that writes.
        text_key: member of the metadata that holds a record's text.
    """
    tools = _Tools(store, embed, text_key)
    instructions = (
        "A vector store. Call list_collections first; then search a collection by text (where takes_text is true) or by "
        "vector, and narrow it with a filter on the metadata."
    )
    server: MCPServer = MCPServer("dvesp", instructions=instructions, version=__version__, log_level="WARNING")
    server.tool(annotations=_READS)(tools.list_collections)
    server.tool(annotations=_READS)(tools.search)
    server.tool(annotations=_READS)(tools.get)
    if writable:
        server.tool(annotations=_WRITES)(tools.upsert)
    return server


class _Tools:
    """The tools; their docstrings are what a language model reads. The store's errors become theirs, as sentences."""

    def __init__(self, store: VectorStore, embed: Embed | None, text_key: str) -> None:
        self._store = store
        self._embed = embed
        self._text_key = text_key

    def list_collections(self) -> list[CollectionFacts]:
        """List the collections: name, number of records, dimension, metric, and whether they can be searched by text."""
        try:
            return [self._facts(name) for name in self._store.list_collections()]
        except Error as error:
            raise ToolError(str(error)) from error

    def search(
        self,
        collection: CollectionName,
        text: Annotated[str | None, Field(description="What to look for, in words. Give text or vector.")] = None,
        vector: Annotated[list[float] | None, Field(description="What to look for, as a vector.")] = None,
        top_k: Annotated[int, Field(description="How many results.", ge=1, le=TOP_K_MAX)] = 10,
        filter: Filter = None,
        include_vectors: WithVectors = False,
    ) -> list[Found]:
        """Find the records nearest to a text or a vector, nearest first, among those whose metadata match the filter."""
        if (text is None) == (vector is None):
            raise ToolError("give exactly one of text and vector")
        try:
            query = vector if text is None else self._vectors(collection, [text])[0]
            matches = self._store.search(
                query, top_k, filter=filter, include_vectors=include_vectors, collection=collection
            ).results
        except Error as error:
            raise ToolError(str(error)) from error
        return [Found(id=hit.id, distance=hit.distance, metadata=hit.metadata, vector=_plain(hit.vector)) for hit in matches]

    def get(
        self,
        collection: CollectionName,
        ids: Annotated[list[str], Field(description="Ids of records.", max_length=RECORDS_MAX)],
        include_vectors: WithVectors = False,
    ) -> list[Stored]:
        """Read records by id, in the order asked; ids that are not there are left out."""
        try:
            records = self._store.get(ids, collection)
        except Error as error:
            raise ToolError(str(error)) from error
        return [
            Stored(
                id=record.id,
                metadata=record.metadata,
                version=record.version,
                vector=_plain(record.vector) if include_vectors else None,
            )
            for record in records
            if record is not None
        ]

    def upsert(
        self,
        collection: CollectionName,
        records: Annotated[list[NewRecord], Field(description="What to store.", min_length=1, max_length=RECORDS_MAX)],
    ) -> list[str]:
        """Store records, all or none, replacing those with the same id; returns their ids. Makes an absent collection."""
        try:
            vectors = self._vectors_of(collection, records)
            ids = [record.id or fresh_id() for record in records]
            metadata = [self._payload(record) for record in records]
            result = self._store.upsert(vectors, metadata, ids, collection)
        except Error as error:
            raise ToolError(str(error)) from error
        if result.status == "failed":
            raise ToolError("no node stored the records; nothing was written")
        return result.vector_ids

    def _facts(self, name: str) -> CollectionFacts:
        info = self._store.describe(name)
        by_text = self._embed is not None or takes_text(self._store, name)
        return CollectionFacts(name=name, count=info.count, dimension=info.dimension, metric=info.metric, takes_text=by_text)

    def _vectors(self, collection: str, texts: list[str]) -> Any:
        """Vectors of texts, by the embedder, or by the demo's model in a collection of the demo."""
        if takes_text(self._store, collection):
            return [embed_query(text) for text in texts]
        if self._embed is None:
            raise InvalidArgument(
                f"collection {collection!r} takes no text, since there is no embedder: give a vector, or start "
                "dvesp mcp with --embedder MODULE:FUNCTION"
            )
        vectors = np.asarray(self._embed(texts), np.float32)
        if vectors.ndim != 2 or vectors.shape[0] != len(texts):
            raise InvalidArgument(f"the embedder made an array of shape {list(vectors.shape)} out of {len(texts)} texts")
        return vectors

    def _vectors_of(self, collection: str, records: list[NewRecord]) -> list[Any]:
        """The vector of each record, given or embedded."""
        to_embed = [row for row, record in enumerate(records) if record.vector is None]
        texts = [records[row].text for row in to_embed]
        for row, text in zip(to_embed, texts, strict=True):
            if text is None:
                raise InvalidArgument(f"records[{row}] has neither text nor vector: give one of them")
        vectors: list[Any] = [record.vector for record in records]
        if to_embed:
            for row, vector in zip(to_embed, self._vectors(collection, [text or "" for text in texts]), strict=True):
                vectors[row] = vector
        return vectors

    def _payload(self, record: NewRecord) -> dict[str, Any]:
        return record.metadata if record.text is None else {**record.metadata, self._text_key: record.text}


def _plain(vector: Any) -> list[float] | None:
    return None if vector is None else vector.tolist()

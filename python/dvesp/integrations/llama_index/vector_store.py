"""`DvespVectorStore`: LlamaIndex nodes as records of one collection.

A node is one record: its id, its embedding, and as metadata what LlamaIndex makes of a node for every store
(`node_to_metadata_dict`: the node's metadata, the node as JSON, the id of its document), with its own id to filter by.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.indices.query.embedding_utils import get_top_k_mmr_embeddings
from llama_index.core.schema import BaseNode, TextNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from ...aio import AsyncVectorStore
from ...errors import InvalidArgument, Unavailable
from ...results import Record
from ...search_results import Match
from ...store import VectorStore
from ..shared import EVERYTHING, BoundCollection, rows_of, similarity
from .filters import store_filter

__all__ = ["DvespVectorStore"]

COLLECTION = "llama_index"
NODE_ID, DOCUMENT_ID = "_node_id", "ref_doc_id"
MMR_PREFETCH_FACTOR = 4
TOP_K_MAX = 1000

_LACKING = {
    VectorStoreQueryMode.SPARSE: "sparse vectors",
    VectorStoreQueryMode.HYBRID: "sparse vectors or a text index to combine with",
    VectorStoreQueryMode.TEXT_SEARCH: "a text index",
    VectorStoreQueryMode.SEMANTIC_HYBRID: "a text index and a reranker",
    VectorStoreQueryMode.SVM: "classifiers",
    VectorStoreQueryMode.LOGISTIC_REGRESSION: "classifiers",
    VectorStoreQueryMode.LINEAR_REGRESSION: "classifiers",
}


class DvespVectorStore(BasePydanticVectorStore):
    """Nodes of one collection of a store: embedded, in a cluster, or sealed.

    Args:
        store: an open `VectorStore`, which stays open when this object is closed.
        path: of a store to open instead; with neither, one in memory.
        collection: made by the first node, with the dimension of its embedding.
        metric: ``"cosine"``, ``"l2"`` or ``"dot_product"``; None: the collection's, cosine for a new one.
        index, index_params: of a collection that is made, as `VectorStore.create_collection`.

    ``similarities`` of a query are higher for nearer nodes: the cosine, the product, or ``1 / (1 + distance)`` for l2; of an
    MMR query, the marginal relevance. Calls of the coroutines run in threads.

    Example:
        >>> store = DvespVectorStore(path="./my-store", collection="notes")
        >>> index = VectorStoreIndex.from_documents(
        ...     documents, storage_context=StorageContext.from_defaults(vector_store=store)
        ... )
    """

    stores_text: bool = True
    flat_metadata: bool = False
    _collection: BoundCollection = PrivateAttr()

    def __init__(
        self,
        store: VectorStore | AsyncVectorStore | None = None,
        path: str | os.PathLike[str] | None = None,
        collection: str = COLLECTION,
        *,
        metric: str | None = None,
        index: str = "hnsw",
        index_params: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(stores_text=True)
        self._collection = BoundCollection(store, path, collection, metric, index, index_params)

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex knows this class."""
        return "DvespVectorStore"

    @property
    def client(self) -> VectorStore:
        """The store itself."""
        return self._collection.store

    # --- writing ---

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Stores nodes, which carry their embeddings; a node whose id is there is replaced. Returns the ids.

        Raises:
            InvalidArgument: a node without an embedding, metadata that is no JSON, repeated ids.
        """
        if not nodes:
            return []
        ids = [node.node_id for node in nodes]
        for id, node in zip(ids, nodes, strict=True):
            if node.embedding is None:
                raise InvalidArgument(f"node {id!r} has no embedding: embed it first (VectorStoreIndex does)")
        vectors = rows_of([node.embedding for node in nodes], len(nodes), "embeddings of nodes")
        rows = [{**node_to_metadata_dict(node), NODE_ID: node.node_id} for node in nodes]
        return self._collection.write("upsert", ids, vectors, rows)

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Deletes the nodes of a document."""
        self._collection.delete(filter={DOCUMENT_ID: ref_doc_id})

    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Deletes nodes by id, by filter, or those of the ids that match the filter; unknown ids are no error.

        Raises:
            InvalidArgument: neither: `clear` removes everything.
        """
        if node_ids is None and (filters is None or not filters.filters):
            raise InvalidArgument("node_ids and filters are both missing: say what to delete (clear removes everything)")
        self._collection.delete(node_ids, self._filter(filters))

    def clear(self) -> None:
        """Deletes every node; the collection and its settings stay."""
        self._collection.delete(filter=EVERYTHING)

    # --- reading ---

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """Nodes with their embeddings, by id (in the order asked), by filter (in the order of ids), by both, or all.

        Ids that are not there are left out.
        """
        condition = self._filter(filters)
        if node_ids is None:
            return [_embedded_node(record) for record in self._collection.records(condition)]
        if condition is not None:
            matching = {record.id for record in self._collection.records(_both(condition, {NODE_ID: {"$in": node_ids}}))}
            node_ids = [id for id in node_ids if id in matching]
        return [_embedded_node(record) for record in self._collection.get(node_ids) if record is not None]

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """The nodes nearest to ``query.query_embedding``, by mode DEFAULT or MMR.

        Args:
            query: ``similarity_top_k`` 1..1000; ``filters``, ``node_ids`` and ``doc_ids`` (unless empty) all hold.
            **kwargs: ``params`` as `VectorStore.search`; of MMR ``mmr_threshold`` (0 most different, 1 nearest; 0.5) and how
                many nodes it chooses from: ``mmr_prefetch_k``, or ``mmr_prefetch_factor`` times as many as asked (4).

        Raises:
            Unavailable: another mode, naming what the store has not. InvalidArgument: no embedding, a wrong filter.
        """
        if query.mode in _LACKING:
            raise Unavailable(f"query mode {query.mode.value}: this store has no {_LACKING[query.mode]}; use default or mmr")
        if query.query_embedding is None:
            raise InvalidArgument("query_embedding is None: embed the query first (a retriever with an embed_model does)")
        if query.mode is VectorStoreQueryMode.MMR:
            return self._query_mmr(query, kwargs)
        found = self._search(query, query.similarity_top_k, kwargs.get("params"), vectors=False)
        metric = self._collection.metric()
        return _result(found, [similarity(metric, match.distance) for match in found])

    def _search(self, query: VectorStoreQuery, top_k: int, params: dict[str, Any] | None, vectors: bool) -> list[Match]:
        condition = self._filter(query.filters)
        for key, ids in ((NODE_ID, query.node_ids), (DOCUMENT_ID, query.doc_ids)):
            if ids:  # a retriever that restricts nothing passes an empty list
                condition = _both(condition, {key: {"$in": list(ids)}})
        return self._collection.search(query.query_embedding, top_k, condition, params, vectors)

    def _query_mmr(self, query: VectorStoreQuery, kwargs: dict[str, Any]) -> VectorStoreQueryResult:
        """Chooses by LlamaIndex's own function among the nearest nodes."""
        wanted, factor = query.similarity_top_k, kwargs.get("mmr_prefetch_factor")
        if factor is not None and "mmr_prefetch_k" in kwargs:
            raise InvalidArgument("mmr_prefetch_factor and mmr_prefetch_k are both given: leave one out")
        fetched = kwargs.get("mmr_prefetch_k", int(wanted * (MMR_PREFETCH_FACTOR if factor is None else factor)))
        matches = self._search(query, min(max(wanted, fetched), TOP_K_MAX), kwargs.get("params"), vectors=True)
        if not matches:
            return _result([], [])
        threshold = kwargs.get("mmr_threshold") if query.mmr_threshold is None else query.mmr_threshold
        scores, rows = get_top_k_mmr_embeddings(
            query_embedding=query.query_embedding,
            embeddings=[match.vector for match in matches],
            similarity_top_k=wanted,
            embedding_ids=list(range(len(matches))),
            mmr_threshold=threshold,
        )
        return _result([matches[row] for row in rows], [float(score) for score in scores])

    def _filter(self, filters: MetadataFilters | None) -> dict[str, Any] | None:
        return store_filter(filters, self._values_like)

    def _values_like(self, key: str, text: str) -> list[str]:
        """The texts under ``key`` that contain ``text`` when case is ignored. Reads all records that have the key."""
        wanted = text.lower()
        found = {value for record in self._collection.records({key: {"$exists": True}}) for value in _texts(record, key)}
        return sorted(value for value in found if wanted in value.lower())

    # --- coroutines: the native calls release the GIL, so threads do ---

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """`add`."""
        return await asyncio.to_thread(self.add, nodes, **kwargs)

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """`delete`."""
        await asyncio.to_thread(self.delete, ref_doc_id, **delete_kwargs)

    async def adelete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """`delete_nodes`."""
        await asyncio.to_thread(self.delete_nodes, node_ids, filters, **delete_kwargs)

    async def aclear(self) -> None:
        """`clear`."""
        await asyncio.to_thread(self.clear)

    async def aget_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """`get_nodes`."""
        return await asyncio.to_thread(self.get_nodes, node_ids, filters)

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """`query`."""
        return await asyncio.to_thread(self.query, query, **kwargs)

    def close(self) -> None:
        """Closes the store if this object opened it (``path``, or memory)."""
        self._collection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _both(first: dict[str, Any] | None, second: dict[str, Any]) -> dict[str, Any]:
    return second if first is None else {"$and": [first, second]}


def _node(record: Record | Match) -> BaseNode:
    """The node that a record holds; a record that something else wrote gives a node of its metadata and ``text``."""
    metadata = record.metadata or {}
    if "_node_content" in metadata:
        return metadata_dict_to_node(metadata)
    rest = {key: value for key, value in metadata.items() if key != "text"}
    return TextNode(id_=record.id, text=str(metadata.get("text", "")), metadata=rest)


def _embedded_node(record: Record) -> BaseNode:
    node = _node(record)
    node.embedding = record.vector.tolist()
    return node


def _result(matches: list[Match], similarities: list[float]) -> VectorStoreQueryResult:
    nodes = [_node(match) for match in matches]
    return VectorStoreQueryResult(nodes=nodes, similarities=similarities, ids=[match.id for match in matches])


def _texts(record: Record, key: str) -> Iterator[str]:
    """The texts that an equality on ``key`` can match: the field, or the elements of a list in it."""
    for field in _field(record.metadata or {}, key):
        for value in field if isinstance(field, list) else [field]:
            if isinstance(value, str):
                yield value


def _field(members: dict[str, Any], path: str) -> list[Any]:
    """The field at ``path``, or nothing: a literal key, else the first split at a dot that leads to one.

    As docs/formats/filters.md finds a field.
    """
    if path in members:
        return [members[path]]
    for end in (at for at, letter in enumerate(path) if letter == "."):
        inner = members.get(path[:end])
        if isinstance(inner, dict) and (found := _field(inner, path[end + 1 :])):
            return found
    return []

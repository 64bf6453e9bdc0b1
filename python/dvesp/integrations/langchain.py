"""`DvespVectorStore`: a LangChain vector store over one collection. Needs ``pip install dvesp[langchain]``.

A document is one record: its id, the embedding of its text, and its metadata with the text added under ``text_key``. So the
filters of `VectorStore.search` work as they are: ``{"source": "a.pdf", "page": {"$lt": 5}}``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables import run_in_executor
from langchain_core.vectorstores import VectorStore as LangChainStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from ..aio import AsyncVectorStore
from ..errors import InvalidArgument
from ..results import Record
from ..search_results import Match
from ..store import VectorStore
from .shared import BoundCollection, fresh_id, rows_of, similarity

__all__ = ["DvespVectorStore"]

COLLECTION = "langchain"
TEXT_KEY = "text"
Filter = dict[str, Any] | None


class DvespVectorStore(LangChainStore):
    """Documents of one collection of a store: embedded, in a cluster, or sealed.

    Args:
        embedding: makes vectors of texts; None when only vectors are given and asked.
        store: an open `VectorStore`, which stays open when this object is closed.
        path: of a store to open instead; with neither, one in memory.
        collection: made by the first document, with the dimension of its vector.
        metric: ``"cosine"``, ``"l2"`` or ``"dot_product"``; None: the collection's, cosine for a new one.
        text_key: member of a record's metadata that holds the text.
        index, index_params: of a collection that is made, as `VectorStore.create_collection`.
        relevance_score_fn: makes relevance of a distance, instead of the metric's own.

    Scores of ``similarity_search_with_score`` are distances: smaller is nearer. Relevance scores lie in 0..1, 1 being nearest.
    Documents with an id replace what has this id. Calls of the coroutines run in the event loop's executor.

    Example:
        >>> store = DvespVectorStore(OpenAIEmbeddings(), path="./my-store", collection="notes")
        >>> store.add_documents([Document("Ants are strong.", metadata={"kind": "insect"})])
        >>> store.similarity_search("strong animals", k=1, filter={"kind": "insect"})
    """

    def __init__(
        self,
        embedding: Embeddings | None,
        store: VectorStore | AsyncVectorStore | None = None,
        path: str | os.PathLike[str] | None = None,
        collection: str = COLLECTION,
        *,
        metric: str | None = None,
        text_key: str = TEXT_KEY,
        index: str = "hnsw",
        index_params: dict[str, Any] | None = None,
        relevance_score_fn: Callable[[float], float] | None = None,
    ) -> None:
        if embedding is not None and not isinstance(embedding, Embeddings):
            raise InvalidArgument(f"embedding is a {type(embedding).__name__} but must be a LangChain Embeddings, or None")
        if not isinstance(text_key, str) or not text_key:
            raise InvalidArgument(f"text_key is {text_key!r} but must be the name of a metadata member")
        self._embedding = embedding
        self._text_key = text_key
        self._relevance_score_fn = relevance_score_fn
        self._collection = BoundCollection(store, path, collection, metric, index, index_params)

    @property
    def embeddings(self) -> Embeddings | None:
        """What makes vectors of texts, or None."""
        return self._embedding

    @property
    def store(self) -> VectorStore:
        """The store itself, for everything that LangChain has no word for."""
        return self._collection.store

    # --- writing ---

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Embeds and stores texts; returns their ids. An id that is there is replaced, None stands for a fresh one.

        ``batch_size``, which LangChain's indexing gives, has no effect: up to 100,000 texts are one batch, all or nothing.

        Raises:
            InvalidArgument: another count of metadatas or ids, metadata that is no JSON or holds ``text_key``, repeated ids.
        """
        _refuse_unknown(kwargs, "batch_size")
        rows = list(texts)
        vectors = self._embedder().embed_documents(rows) if rows else []
        return self._store_rows(rows, vectors, metadatas, ids)

    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """`add_texts`, with the embedding's own coroutine."""
        _refuse_unknown(kwargs, "batch_size")
        rows = list(texts)
        vectors = await self._embedder().aembed_documents(rows) if rows else []
        stored: list[str] = await run_in_executor(None, self._store_rows, rows, vectors, metadatas, ids)
        return stored

    def add_embeddings(
        self,
        text_embeddings: Iterable[tuple[str, Sequence[float]]],
        metadatas: list[dict[str, Any]] | None = None,
        ids: list[str] | None = None,
    ) -> list[str]:
        """`add_texts` for texts whose vectors are there: pairs of text and vector."""
        pairs = list(text_embeddings)
        return self._store_rows([text for text, _ in pairs], [vector for _, vector in pairs], metadatas, ids)

    def _store_rows(
        self, texts: list[str], vectors: Any, metadatas: list[dict[str, Any]] | None, ids: list[str] | None
    ) -> list[str]:
        for field, given in (("metadatas", metadatas), ("ids", ids)):
            if given is not None and len(given) != len(texts):
                raise InvalidArgument(f"{field} has {len(given)} elements but there are {len(texts)} texts: give one for each")
        if not texts:
            return []
        names = [fresh_id() for _ in texts] if ids is None else [id or fresh_id() for id in ids]
        given_rows = [None] * len(texts) if metadatas is None else metadatas
        rows = [self._payload(row, text, given_rows[row]) for row, text in enumerate(texts)]
        return self._collection.write("upsert", names, rows_of(vectors, len(texts), "vectors"), rows)

    def _payload(self, row: int, text: str, metadata: dict[str, Any] | None) -> dict[str, Any]:
        if metadata and self._text_key in metadata:
            raise InvalidArgument(
                f"metadatas[{row}] has a member {self._text_key!r}, which is where the text goes: "
                f"rename it, or construct DvespVectorStore(text_key=...) with another name"
            )
        return {**(metadata or {}), self._text_key: text}

    def delete(self, ids: list[str] | None = None, filter: Filter = None, **kwargs: Any) -> bool:
        """Deletes by ids, by filter, or those of the ids that match the filter; unknown ids are no error.

        Raises:
            InvalidArgument: neither: `delete_collection` removes everything.
        """
        _refuse_unknown(kwargs)
        if ids is None and not filter:
            raise InvalidArgument("ids and filter are both missing: say what to delete (delete_collection removes everything)")
        self._collection.delete(ids, filter)
        return True

    async def adelete(self, ids: list[str] | None = None, filter: Filter = None, **kwargs: Any) -> bool:
        """`delete`."""
        done: bool = await run_in_executor(None, self.delete, ids, filter, **kwargs)
        return done

    def delete_collection(self) -> None:
        """Removes the collection and everything in it; the next document makes it anew."""
        self._collection.drop()

    async def adelete_collection(self) -> None:
        """`delete_collection`."""
        await run_in_executor(None, self.delete_collection)

    # --- reading ---

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents of those ids that are there, in the order asked."""
        return [self._document(record) for record in self._collection.get(ids) if record is not None]

    def similarity_search(self, query: str, k: int = 4, filter: Filter = None, **kwargs: Any) -> list[Document]:
        """The ``k`` documents nearest to a text, among those whose metadata match ``filter``.

        Args:
            query: embedded first.
            k: 1..1000.
            filter: as `VectorStore.search`.
            **kwargs: ``params``, as `VectorStore.search`: ``{"ef": 200}``, ``{"exact": True}``, ``{"recall": 0.99}``.
        """
        return [document for document, _ in self.similarity_search_with_score(query, k, filter, **kwargs)]

    async def asimilarity_search(self, query: str, k: int = 4, filter: Filter = None, **kwargs: Any) -> list[Document]:
        """`similarity_search`, with the embedding's own coroutine."""
        return [document for document, _ in await self.asimilarity_search_with_score(query, k, filter, **kwargs)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, filter: Filter = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """`similarity_search` with the distance of each document: smaller is nearer."""
        return self.similarity_search_with_score_by_vector(self._embedder().embed_query(query), k, filter, **kwargs)

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, filter: Filter = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """`similarity_search_with_score`, with the embedding's own coroutine."""
        vector = await self._embedder().aembed_query(query)
        return await self.asimilarity_search_with_score_by_vector(vector, k, filter, **kwargs)

    def similarity_search_by_vector(
        self, embedding: Sequence[float], k: int = 4, filter: Filter = None, **kwargs: Any
    ) -> list[Document]:
        """`similarity_search` for a vector."""
        return [document for document, _ in self.similarity_search_with_score_by_vector(embedding, k, filter, **kwargs)]

    def similarity_search_with_score_by_vector(
        self, embedding: Sequence[float], k: int = 4, filter: Filter = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """`similarity_search_with_score` for a vector."""
        matches = self._collection.search(embedding, k, filter, _params(kwargs))
        return [(self._document(match), match.distance) for match in matches]

    async def asimilarity_search_with_score_by_vector(
        self, embedding: Sequence[float], k: int = 4, filter: Filter = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """`similarity_search_with_score_by_vector`."""
        search = self.similarity_search_with_score_by_vector
        found: list[tuple[Document, float]] = await run_in_executor(None, search, embedding, k, filter, **kwargs)
        return found

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        """Of a distance, 0..1: the cosine or product, 0 where it is negative; ``1 / (1 + distance)`` for l2."""
        if self._relevance_score_fn is not None:
            return self._relevance_score_fn
        metric = self._collection.metric()
        return lambda distance: min(1.0, max(0.0, similarity(metric, distance)))

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, filter: Filter = None, **kwargs: Any
    ) -> list[Document]:
        """``k`` documents that are near to a text and different from each other (Carbonell and Goldstein 1998).

        Args:
            fetch_k: the nearest documents to choose from, 1..1000.
            lambda_mult: 0 for the most different ones, 1 for the nearest.
        """
        vector = self._embedder().embed_query(query)
        return self.max_marginal_relevance_search_by_vector(vector, k, fetch_k, lambda_mult, filter, **kwargs)

    async def amax_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, filter: Filter = None, **kwargs: Any
    ) -> list[Document]:
        """`max_marginal_relevance_search`, with the embedding's own coroutine."""
        vector = await self._embedder().aembed_query(query)
        return await self.amax_marginal_relevance_search_by_vector(vector, k, fetch_k, lambda_mult, filter, **kwargs)

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: Sequence[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Filter = None,
        **kwargs: Any,
    ) -> list[Document]:
        """`max_marginal_relevance_search` for a vector."""
        matches = self._collection.search(embedding, max(k, fetch_k), filter, _params(kwargs), vectors=True)
        if not matches:
            return []
        vectors = [match.vector for match in matches]
        chosen = maximal_marginal_relevance(np.asarray(embedding, np.float32), vectors, lambda_mult, k)
        return [self._document(matches[row]) for row in chosen]

    async def amax_marginal_relevance_search_by_vector(
        self,
        embedding: Sequence[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Filter = None,
        **kwargs: Any,
    ) -> list[Document]:
        """`max_marginal_relevance_search_by_vector`."""
        search = self.max_marginal_relevance_search_by_vector
        arguments = (embedding, k, fetch_k, lambda_mult, filter)
        found: list[Document] = await run_in_executor(None, search, *arguments, **kwargs)
        return found

    # --- making and ending ---

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """A store with these texts in it; ``kwargs`` are those of the constructor."""
        made = cls(embedding, **kwargs)
        made.add_texts(texts, metadatas, ids=ids)
        return made

    @classmethod
    async def afrom_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """`from_texts`, with the embedding's own coroutine."""
        made = cls(embedding, **kwargs)
        await made.aadd_texts(texts, metadatas, ids=ids)
        return made

    def close(self) -> None:
        """Closes the store if this object opened it (``path``, or memory)."""
        self._collection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"DvespVectorStore({self._collection!r})"

    def _embedder(self) -> Embeddings:
        if self._embedding is None:
            raise InvalidArgument("embedding is None, so texts have no vectors: construct DvespVectorStore with an Embeddings")
        return self._embedding

    def _document(self, record: Record | Match) -> Document:
        """A record as a document; one that something else wrote, without a text, has an empty one."""
        metadata = dict(record.metadata or {})
        text = metadata.pop(self._text_key, "")
        return Document(id=record.id, page_content=text if isinstance(text, str) else str(text), metadata=metadata)


def _params(kwargs: dict[str, Any]) -> dict[str, Any] | None:
    """``params`` out of a search's further arguments, of which there are no others."""
    params: dict[str, Any] | None = kwargs.pop("params", None)
    _refuse_unknown(kwargs)
    return params


def _refuse_unknown(kwargs: dict[str, Any], *known: str) -> None:
    """An argument that had no effect (another store's ``where=`` instead of ``filter=``) would be a wrong answer."""
    unknown = sorted(set(kwargs) - set(known))
    if unknown:
        raise InvalidArgument(
            f"{', '.join(unknown)}: no such argument; a search takes k, filter and params, a delete ids and filter"
        )

"""`DvespEmbeddingRetriever`: the Haystack component that asks a `DvespDocumentStore`."""

from __future__ import annotations

from typing import Any, Self

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.document_stores.types import FilterPolicy
from haystack.document_stores.types.filter_policy import apply_filter_policy

from ...errors import InvalidArgument
from .document_store import DvespDocumentStore

__all__ = ["DvespEmbeddingRetriever"]


@component
class DvespEmbeddingRetriever:
    """The documents nearest to an embedding.

    Args:
        document_store: where to look.
        filters: of documents, unless a run brings its own.
        top_k: 1..1000, unless a run brings its own.
        score_threshold: documents with a lower score are left out; None: none are.
        return_embedding: whether documents carry their embeddings.
        filter_policy: whether a run's filters replace those above or are joined with them.
        params: of the search, as `VectorStore.search`: ``{"ef": 200}``, ``{"exact": True}``.

    Example:
        >>> pipeline.add_component("retriever", DvespEmbeddingRetriever(document_store, top_k=5))
        >>> pipeline.connect("text_embedder.embedding", "retriever.query_embedding")
    """

    def __init__(
        self,
        document_store: DvespDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        score_threshold: float | None = None,
        return_embedding: bool = False,
        filter_policy: str | FilterPolicy = FilterPolicy.REPLACE,
        params: dict[str, Any] | None = None,
    ) -> None:
        if not isinstance(document_store, DvespDocumentStore):
            raise InvalidArgument(f"document_store is a {type(document_store).__name__} but must be a DvespDocumentStore")
        self._document_store = document_store
        self._filters = filters or {}
        self._top_k = top_k
        self._score_threshold = score_threshold
        self._return_embedding = return_embedding
        self._filter_policy = FilterPolicy.from_str(filter_policy) if isinstance(filter_policy, str) else filter_policy
        self._params = params

    def to_dict(self) -> dict[str, Any]:
        """How this was constructed, for a pipeline's file."""
        described: dict[str, Any] = default_to_dict(
            self,
            document_store=self._document_store.to_dict(),
            filters=self._filters,
            top_k=self._top_k,
            score_threshold=self._score_threshold,
            return_embedding=self._return_embedding,
            filter_policy=self._filter_policy.value,
            params=self._params,
        )
        return described

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The retriever that `to_dict` described, with a document store of its own."""
        made: Self = default_from_dict(cls, data)
        return made

    @component.output_types(documents=list[Document])
    def run(
        self,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
        score_threshold: float | None = None,
        return_embedding: bool | None = None,
    ) -> dict[str, list[Document]]:
        """``{"documents": [...]}``, nearest first; arguments that are None are those of the constructor."""
        call = self._call(query_embedding, filters, top_k, return_embedding)
        return self._above(self._document_store.search(**call), score_threshold)

    @component.output_types(documents=list[Document])
    async def run_async(
        self,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
        score_threshold: float | None = None,
        return_embedding: bool | None = None,
    ) -> dict[str, list[Document]]:
        """`run`."""
        call = self._call(query_embedding, filters, top_k, return_embedding)
        return self._above(await self._document_store.search_async(**call), score_threshold)

    def _call(self, query_embedding: Any, filters: Any, top_k: Any, return_embedding: Any) -> dict[str, Any]:
        """The arguments of `DvespDocumentStore.search`."""
        return {
            "query_embedding": query_embedding,
            "filters": apply_filter_policy(self._filter_policy, self._filters, filters),
            "top_k": self._top_k if top_k is None else top_k,
            "return_embedding": self._return_embedding if return_embedding is None else return_embedding,
            "params": self._params,
        }

    def _above(self, documents: list[Document], score_threshold: float | None) -> dict[str, list[Document]]:
        least = self._score_threshold if score_threshold is None else score_threshold
        if least is not None:
            documents = [document for document in documents if document.score is not None and document.score >= least]
        return {"documents": documents}

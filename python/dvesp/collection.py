"""A handle to one collection: the store's methods with ``collection=`` filled in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .results import CollectionInfo, DeleteResult, InsertResult, Record, Retrievability, UpdateResult, VerifyReport
from .search_results import BatchSearchResult, SearchResult
from .tables import Tabular

if TYPE_CHECKING:
    from .store import VectorStore

__all__ = ["Collection"]


class Collection(Tabular):
    """One collection of a store; ``create_collection`` and ``collection(name)`` return it.

    Every method means, takes and raises what the method of the same name on `VectorStore` does; the handle holds
    nothing but the name, so it outlives changes. ``to_pandas()`` and ``to_arrow()`` read the whole collection.

    Example:
        >>> notes = store.create_collection("notes", 384)
        >>> notes.insert(vectors, metadata)
        >>> notes.search(query, top_k=3)
    """

    __slots__ = ("_store", "name")

    def __init__(self, store: VectorStore, name: str) -> None:
        self._store = store
        self.name = name

    @property
    def dimension(self) -> int:
        """Elements of every vector."""
        return self.describe().dimension

    @property
    def metric(self) -> str:
        """``"cosine"``, ``"l2"`` or ``"dot_product"``."""
        return self.describe().metric

    def retrievability(self) -> Retrievability:
        """`VectorStore.retrievability` of this collection."""
        return self._store.retrievability(self.name)

    def insert(
        self,
        vectors: Any,
        metadata: Any = None,
        ids: Any = None,
        *,
        consistency_level: str | None = None,
        timeout_ms: int = 5000,
    ) -> InsertResult:
        """`VectorStore.insert` into this collection."""
        return self._store.insert(vectors, metadata, ids, self.name, consistency_level=consistency_level, timeout_ms=timeout_ms)

    def upsert(
        self,
        records: Any = None,
        metadata: Any = None,
        ids: Any = None,
        *,
        consistency_level: str | None = None,
        timeout_ms: int = 5000,
    ) -> InsertResult:
        """`VectorStore.upsert` into this collection."""
        return self._store.upsert(records, metadata, ids, self.name, consistency_level=consistency_level, timeout_ms=timeout_ms)

    def search(
        self,
        query_vector: Any,
        top_k: int = 10,
        distance_metric: str | None = None,
        filter: dict[str, Any] | None = None,
        include_vectors: bool = True,
        params: dict[str, Any] | None = None,
        *,
        consistency_level: str | None = None,
        timeout_ms: int = 5000,
    ) -> SearchResult:
        """`VectorStore.search` in this collection."""
        return self._store.search(
            query_vector,
            top_k,
            distance_metric,
            filter,
            include_vectors,
            params,
            self.name,
            consistency_level=consistency_level,
            timeout_ms=timeout_ms,
        )

    query = search

    def search_batch(
        self,
        query_vectors: Any,
        top_k: int = 10,
        distance_metric: str | None = None,
        filter: dict[str, Any] | None = None,
        include_vectors: bool = True,
        params: dict[str, Any] | None = None,
        *,
        consistency_level: str | None = None,
        timeout_ms: int = 5000,
    ) -> BatchSearchResult:
        """`VectorStore.search_batch` in this collection."""
        return self._store.search_batch(
            query_vectors,
            top_k,
            distance_metric,
            filter,
            include_vectors,
            params,
            self.name,
            consistency_level=consistency_level,
            timeout_ms=timeout_ms,
        )

    def update(
        self,
        id: str,
        vector: Any = None,
        metadata: dict[str, Any] | None = None,
        if_version: int | None = None,
        *,
        consistency_level: str | None = None,
        timeout_ms: int = 5000,
    ) -> UpdateResult:
        """`VectorStore.update` in this collection."""
        return self._store.update(
            id, vector, metadata, if_version, self.name, consistency_level=consistency_level, timeout_ms=timeout_ms
        )

    def delete(
        self,
        ids: Any = None,
        filter: dict[str, Any] | None = None,
        *,
        consistency_level: str | None = None,
        timeout_ms: int = 5000,
    ) -> DeleteResult:
        """`VectorStore.delete` from this collection."""
        return self._store.delete(ids, filter, self.name, consistency_level=consistency_level, timeout_ms=timeout_ms)

    def get(self, ids: Any, *, consistency_level: str | None = None, timeout_ms: int = 5000) -> list[Record | None]:
        """`VectorStore.get` from this collection."""
        return self._store.get(ids, self.name, consistency_level=consistency_level, timeout_ms=timeout_ms)

    def scroll(
        self,
        filter: dict[str, Any] | None = None,
        batch_size: int = 1000,
        after: str | None = None,
        on_damage: str = "raise",
        *,
        consistency_level: str | None = None,
        timeout_ms: int = 5000,
    ) -> Iterator[Record]:
        """`VectorStore.scroll` over this collection."""
        return self._store.scroll(
            self.name, filter, batch_size, after, on_damage, consistency_level=consistency_level, timeout_ms=timeout_ms
        )

    def count(
        self, filter: dict[str, Any] | None = None, *, consistency_level: str | None = None, timeout_ms: int = 5000
    ) -> int:
        """`VectorStore.count` of this collection."""
        return self._store.count(self.name, filter, consistency_level=consistency_level, timeout_ms=timeout_ms)

    def describe(self, *, consistency_level: str | None = None, timeout_ms: int = 5000) -> CollectionInfo:
        """`VectorStore.describe` of this collection."""
        return self._store.describe(self.name, consistency_level=consistency_level, timeout_ms=timeout_ms)

    def verify(self, *, consistency_level: str | None = None, timeout_ms: int = 5000) -> VerifyReport:
        """`VectorStore.verify` of this collection."""
        return self._store.verify(self.name, consistency_level=consistency_level, timeout_ms=timeout_ms)

    def flush(self) -> None:
        """`VectorStore.flush` of this collection."""
        self._store.flush(self.name)

    def compact(self) -> None:
        """`VectorStore.compact` of this collection."""
        self._store.compact(self.name)

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        """A handle is true even when its collection is empty."""
        return True

    def __iter__(self) -> Iterator[Record]:
        return self.scroll()

    def __eq__(self, other: object) -> bool:
        """The same name in the same store."""
        return isinstance(other, Collection) and self._store is other._store and self.name == other.name

    def __hash__(self) -> int:
        return hash((id(self._store), self.name))

    def __repr__(self) -> str:
        return f"Collection({self.name!r} of {self._store!r})"

    def _repr_html_(self) -> str:
        return self.describe()._repr_html_()

    def _columns(self) -> Mapping[str, Any]:
        records = list(self.scroll())
        dimension = self.dimension
        vectors = np.stack([record.vector for record in records]) if records else np.empty((0, dimension), np.float32)
        return {
            "id": [record.id for record in records],
            "vector": vectors,
            "metadata": [record.metadata for record in records],
            "version": [record.version for record in records],
        }

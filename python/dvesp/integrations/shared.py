"""What all adapters share: one collection of a store, which exists from its first write on, and scores out of distances."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .. import arguments as check
from ..aio import AsyncVectorStore
from ..errors import CollectionNotFound, InvalidArgument, Unavailable
from ..results import InsertResult, Record
from ..search_results import Match
from ..store import VectorStore

__all__ = ["EVERYTHING", "BoundCollection", "fresh_id", "rows_of", "similarity"]

BATCH_ROWS_MAX = 100_000  # of one write; larger ones are split, and each part is all or nothing
TIMEOUT_MS = 30_000  # of a write and of everything else an adapter asks: its callers have no argument for it

# A delete without a condition is refused by the store, so that nothing is emptied by mistake; this says it in full.
EVERYTHING: dict[str, Any] = {"$or": [{"id": {"$exists": True}}, {"id": {"$exists": False}}]}


def fresh_id() -> str:
    """An id as the store itself would make one: UUIDv4."""
    return str(uuid.uuid4())


def similarity(metric: str, distance: float) -> float:
    """A score that is higher for what is nearer.

    ``cosine``: the cosine, -1..1. ``dot_product``: the product. ``l2``: ``1 / (1 + distance)``, above 0 up to 1.
    """
    if metric == "cosine":
        return 1.0 - distance
    return -distance if metric == "dot_product" else 1.0 / (1.0 + distance)


class BoundCollection:
    """One collection of an open store, or of one that this object opens and closes. Thread-safe, as the store is.

    A collection that is not there reads as empty and is made by the first write, with the dimension of its vectors.

    Args:
        store: an open `VectorStore` (or `AsyncVectorStore`), which stays open when this object is closed; or None.
        path: of a store to open; with neither, one in memory.
        name: of the collection.
        metric: of a collection that the first write makes, and of every search; None: the collection's, cosine for a new one.
        index, index_params: of a collection that the first write makes.

    Raises:
        InvalidArgument: ``store`` together with ``path``, a store that is none, an unknown metric or index.
    """

    def __init__(
        self,
        store: VectorStore | AsyncVectorStore | None,
        path: str | os.PathLike[str] | None,
        name: str,
        metric: str | None = None,
        index: str = "hnsw",
        index_params: dict[str, Any] | None = None,
    ) -> None:
        if store is not None and path is not None:
            raise InvalidArgument("store and path are both given: the path is of a store to open, leave one out")
        self.name = check.check_collection(name)
        self._asked_metric = None if metric is None else check.check_choice(metric, "metric", check.METRICS)
        self._index = check.check_choice(index, "index", check.INDEX_KINDS)
        self._index_params = index_params
        self._own_metric: str | None = None  # of the collection, once it was seen
        self._owns_store = store is None
        opened = store._sync if isinstance(store, AsyncVectorStore) else store
        if opened is not None and not isinstance(opened, VectorStore):
            raise InvalidArgument(f"store is a {type(opened).__name__} but must be an open dvesp.VectorStore, or None")
        self.store = VectorStore(path) if opened is None else opened

    def metric(self) -> str:
        """The metric of searches: the one asked for, or the collection's."""
        if self._asked_metric is not None:
            return self._asked_metric
        if self._own_metric is None:
            try:
                self._own_metric = self.store.describe(self.name, timeout_ms=TIMEOUT_MS).metric
            except CollectionNotFound:
                return "cosine"
        return self._own_metric

    def ensure(self, dimension: int) -> None:
        """Makes the collection unless it is there."""
        if self._own_metric is None:
            self._own_metric = self._found_or_made(dimension)

    def _found_or_made(self, dimension: int) -> str:
        """The metric of the collection, which is there afterwards."""
        try:
            return self.store.describe(self.name, timeout_ms=TIMEOUT_MS).metric
        except CollectionNotFound:
            metric = self._asked_metric or "cosine"
            settings = (metric, self._index, self._index_params)
            self.store.create_collection(self.name, dimension, *settings, exist_ok=True, timeout_ms=TIMEOUT_MS)
            return metric

    def write(self, mode: str, ids: Sequence[str], vectors: Any, metadata: Sequence[dict[str, Any]]) -> list[str]:
        """Writes records by ``"insert"`` or ``"upsert"``, up to 100,000 in one batch that is all or nothing.

        Raises:
            Unavailable: a batch is provably stored nowhere. What the store's ``insert`` and ``upsert`` raise.
        """
        if not len(ids):
            return []
        matrix = np.asarray(vectors, np.float32)
        if matrix.ndim == 2 and matrix.shape[1]:
            self.ensure(matrix.shape[1])
        call = self.store.insert if mode == "insert" else self.store.upsert
        for first in range(0, len(ids), BATCH_ROWS_MAX):
            part = slice(first, first + BATCH_ROWS_MAX)
            batch = (matrix[part], list(metadata[part]), list(ids[part]), self.name)
            _refuse_failed(call(*batch, timeout_ms=TIMEOUT_MS), self.name)
        return list(ids)

    def search(
        self, query: Any, top_k: int, filter: Any = None, params: dict[str, Any] | None = None, vectors: bool = False
    ) -> list[Match]:
        """The nearest records, nearest first; none when the collection is not there."""
        try:
            found = self.store.search(
                query, top_k, self._asked_metric, filter, vectors, params, self.name, timeout_ms=TIMEOUT_MS
            )
        except CollectionNotFound:
            return []
        return found.results

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        """The records of these ids, None where there is none."""
        try:
            return self.store.get(list(ids), self.name, timeout_ms=TIMEOUT_MS)
        except CollectionNotFound:
            return [None] * len(ids)

    def records(self, filter: dict[str, Any] | None = None) -> Iterator[Record]:
        """Every record that matches, in the order of ids, from one snapshot."""
        try:
            return self.store.scroll(self.name, filter, timeout_ms=TIMEOUT_MS)
        except CollectionNotFound:
            return iter(())

    def count(self, filter: dict[str, Any] | None = None) -> int:
        """How many records match."""
        try:
            return self.store.count(self.name, filter, timeout_ms=TIMEOUT_MS)
        except CollectionNotFound:
            return 0

    def delete(self, ids: Sequence[str] | None = None, filter: dict[str, Any] | None = None) -> int:
        """Deletes by ids, by filter or by both; returns how many were there."""
        try:
            return self.store.delete(None if ids is None else list(ids), filter, self.name, timeout_ms=TIMEOUT_MS).deleted
        except CollectionNotFound:
            return 0

    def drop(self) -> None:
        """Removes the collection and all in it; one that is not there is no error."""
        self._own_metric = None
        try:
            self.store.drop_collection(self.name, timeout_ms=TIMEOUT_MS)
        except CollectionNotFound:
            return

    def close(self) -> None:
        """Closes the store if this object opened it."""
        if self._owns_store:
            self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"collection {self.name!r} of {self.store!r}"


def _refuse_failed(result: InsertResult, name: str) -> None:
    """An adapter's caller looks at no status: what is stored nowhere has to be an exception."""
    if result.status == "failed":
        raise Unavailable(f"collection {name!r}: the batch is stored on no node; nothing was written, so try again")


def rows_of(vectors: Any, count: int, field: str) -> NDArray[np.float32]:
    """``vectors`` as float32 ``[count, d]``.

    Raises:
        InvalidArgument: another count, or no rectangle of numbers.
    """
    try:
        matrix = np.asarray(vectors, np.float32)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(
            f"{field} is no rectangle of numbers ({error}): give one vector of the same length for each"
        ) from None
    if matrix.ndim != 2 or matrix.shape[0] != count:
        raise InvalidArgument(f"{field} has shape {list(matrix.shape)} but there are {count} texts: give one vector for each")
    return matrix

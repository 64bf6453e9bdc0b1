"""The methods that read records: ``search``, ``search_batch``, ``get``, ``scroll``, ``count``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import _native
from . import arguments as check
from .arguments import DEFAULT_PARAMS, TOP_K_MAX
from .convert import as_matrix, as_query
from .errors import InvalidArgument
from .records import records_of
from .results import Record
from .search_results import BatchSearchResult, Metrics, SearchResult
from .session import Session

__all__ = ["Reading"]

SCROLL_BATCH_MAX = 100_000


class Reading(Session):
    """Every read sees whole batches only; vectors in results are views of native buffers."""

    def search(
        self,
        query_vector: Any,
        top_k: int = 10,
        distance_metric: str | None = None,
        filter: dict[str, Any] | None = None,
        include_vectors: bool = True,
        params: dict[str, Any] | None = None,
        collection: str = "default",
        *,
        consistency_level: str | None = None,
        timeout_ms: int = 5000,
    ) -> SearchResult:
        """The ``top_k`` records nearest to a vector, among those that match the filter. ``query`` is the same method.

        Args:
            query_vector: ``[d]`` numbers (``[1, d]`` is fine).
            top_k: 1..1000.
            distance_metric: ``"cosine"``, ``"l2"``, ``"dot_product"``; None: the collection's.
            filter: a dict of conditions on the metadata; None or ``{}``: every record.
            include_vectors: whether the matches carry their vectors (views, not copies).
            params: ``{"ef": int, "nprobe": int, "exact": bool, "recall": float}``, any of them.

        Returns:
            A `SearchResult`: ``results`` nearest first, ``metrics``.

        Raises:
            InvalidArgument, DimensionMismatch: wrong input. CollectionNotFound. Timeout. Corruption: a damaged part
                was touched.
        """
        query = as_query(query_vector)
        reply, level = self._search(
            query, top_k, distance_metric, filter, include_vectors, params, collection, consistency_level, timeout_ms
        )
        return SearchResult.from_reply(reply, Metrics(reply.nodes_queried, reply.time_ms, level, reply.is_partial))

    query = search

    def search_batch(
        self,
        query_vectors: Any,
        top_k: int = 10,
        distance_metric: str | None = None,
        filter: dict[str, Any] | None = None,
        include_vectors: bool = True,
        params: dict[str, Any] | None = None,
        collection: str = "default",
        *,
        consistency_level: str | None = None,
        timeout_ms: int = 5000,
    ) -> BatchSearchResult:
        """`search` for every row of ``query_vectors`` ``[q, d]``, against one snapshot.

        Returns:
            ``ids [q][k]`` (None where a row is short), ``distances`` float32 ``[q, k]`` (inf there), vectors,
            metadata, metrics.

        Raises: as `search`.
        """
        queries = as_matrix(query_vectors, "query_vectors")
        reply, level = self._search(
            queries, top_k, distance_metric, filter, include_vectors, params, collection, consistency_level, timeout_ms
        )
        return BatchSearchResult.from_reply(reply, Metrics(reply.nodes_queried, reply.time_ms, level, reply.is_partial))

    def _search(
        self,
        queries: Any,
        top_k: Any,
        metric: Any,
        filter: Any,
        include_vectors: Any,
        params: Any,
        collection: Any,
        consistency_level: Any,
        timeout_ms: Any,
    ) -> tuple[_native.SearchReply, str]:
        """Checks what `search` and `search_batch` share; hot, so the usual types pass on one comparison."""
        level = self._level if consistency_level is None else check.check_level(consistency_level)
        if type(top_k) is not int or not 0 < top_k <= TOP_K_MAX:
            top_k = check.check_int(top_k, "top_k", 1, TOP_K_MAX)
        if metric is not None:
            metric = check.check_choice(metric, "distance_metric", check.METRICS)
        if filter is not None:
            filter = check.check_filter(filter) or None
        if include_vectors is not True and include_vectors is not False:
            include_vectors = check.check_flag(include_vectors, "include_vectors")
        if type(collection) is not str:
            collection = check.check_collection(collection)
        ef, nprobe, exact, recall = DEFAULT_PARAMS if params is None else check.check_params(params)
        if type(timeout_ms) is not int or timeout_ms <= 0:
            timeout_ms = check.check_timeout(timeout_ms)
        native = self._native
        reply = native.search(
            collection, queries, top_k, metric, filter, include_vectors, ef, nprobe, exact, recall, timeout_ms, level
        )
        return reply, reply.level or level

    def get(
        self, ids: Any, collection: str = "default", *, consistency_level: str | None = None, timeout_ms: int = 5000
    ) -> list[Record | None]:
        """The records of these ids, in the order asked; None where there is none. One str stands for a list of one.

        Raises:
            InvalidArgument: ids are not str. CollectionNotFound. Corruption.
        """
        name, level, timeout_ms = self._common(collection, consistency_level, timeout_ms)
        names = check.check_ids(ids, single=True)
        found: list[Record | None] = [None] * len(names)
        positions, vectors, metadata, versions = self._native.get(name, names, timeout_ms, level)
        for position, *content in zip(positions, vectors, metadata, versions, strict=True):
            found[position] = Record(names[position], *content)
        return found

    def scroll(
        self,
        collection: Any = "default",
        filter: Any = None,
        batch_size: int = 1000,
        after: str | None = None,
        on_damage: str = "raise",
        *,
        consistency_level: str | None = None,
        timeout_ms: int = 5000,
    ) -> Iterator[Record]:
        """Every record that matches, from a snapshot taken by this call: later writes and deletes do not show.

        Args:
            collection: its name; a dict here is taken as the filter.
            filter: as `search`.
            batch_size: records fetched at a time, 1..100,000.
            after: continue behind this id, in the order of an earlier scroll.
            on_damage: ``"raise"`` `Corruption` at the damaged part, or ``"skip"`` it.

        Raises:
            InvalidArgument, CollectionNotFound: at once, not at the first record.
        """
        cursor = self._cursor(collection, filter, batch_size, after, on_damage, consistency_level, timeout_ms)
        return records_of(cursor)

    def _cursor(
        self, collection: Any, filter: Any, batch_size: Any, after: Any, on_damage: Any, *rest: Any
    ) -> _native.Cursor | _native.RemoteCursor:
        collection, filter = _name_and_filter(collection, filter)
        name, level, timeout_ms = self._common(collection, *rest)
        if after is not None and not isinstance(after, str):
            raise InvalidArgument(f"after is {after!r} ({type(after).__name__}) but must be an id (str), or None")
        size = check.check_int(batch_size, "batch_size", 1, SCROLL_BATCH_MAX)
        conditions = check.check_filter(filter) or None
        return self._native.scroll(name, conditions, after, size, check.check_mode(on_damage), timeout_ms, level)

    def count(
        self,
        collection: Any = "default",
        filter: Any = None,
        *,
        consistency_level: str | None = None,
        timeout_ms: int = 5000,
    ) -> int:
        """How many records match. ``count("docs")``, ``count({"kind": "note"})`` and both together all work.

        Raises:
            InvalidArgument: a wrong filter. CollectionNotFound.
        """
        collection, filter = _name_and_filter(collection, filter)
        name, level, timeout_ms = self._common(collection, consistency_level, timeout_ms)
        return self._native.count(name, check.check_filter(filter) or None, timeout_ms, level)


def _name_and_filter(collection: Any, filter: Any) -> tuple[Any, Any]:
    """Sorts out the first positional of ``count`` and ``scroll``, which is a name or a filter."""
    if isinstance(collection, dict):
        return ("default", collection) if filter is None else (filter, collection)
    return collection, filter

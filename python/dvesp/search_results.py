"""What a search returns: matches, nearest first, over the native buffers and built only when they are looked at.

A search that nobody reads costs no Python objects; ``Match.vector`` and ``BatchSearchResult.distances`` are views.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from .results import same_vector
from .tables import Tabular, short

if TYPE_CHECKING:
    from . import _native

__all__ = ["BatchSearchResult", "Match", "Metrics", "SearchResult"]


@dataclass(frozen=True, slots=True)
class Metrics:
    """How a search went.

    Attributes:
        nodes_queried: nodes that took part; 1 on one machine.
        time_ms: wall-clock time in milliseconds, measured inside the native call.
        consistency_level_achieved: ``"ONE"``, ``"QUORUM"`` or ``"ALL"``; on one machine the level asked for.
        is_partial: whether the store was being restored from an archive, so that not every record was there to be found.
    """

    nodes_queried: int
    time_ms: float
    consistency_level_achieved: str
    is_partial: bool = False


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Match:
    """One result of a search.

    Attributes:
        id: of the record.
        vector: float32 ``[d]``, a view of the native buffer; None with ``include_vectors=False``.
        distance: smaller is nearer: ``1 - cos``, Euclidean with the square root, or ``-(a . b)``.
        metadata: dict or None.
    """

    id: str
    vector: NDArray[np.float32] | None
    distance: float
    metadata: dict[str, Any] | None

    def __eq__(self, other: object) -> bool:
        """Equal in every member; vectors element by element."""
        if not isinstance(other, Match):
            return NotImplemented
        mine, theirs = (self.id, self.distance, self.metadata), (other.id, other.distance, other.metadata)
        return mine == theirs and same_vector(self.vector, other.vector)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        vector, metadata = short(self.vector), short(repr(self.metadata))
        return f"Match(id={self.id!r}, distance={self.distance:.6g}, vector={vector}, metadata={metadata})"


def _matches(reply: _native.SearchReply, query_index: int, metadata: list[dict[str, Any] | None]) -> list[Match]:
    """The matches of one query of ``reply``; the vectors are rows of the reply's own array."""
    ids = reply.ids[query_index]
    distances = reply.distances[query_index, : len(ids)].tolist()
    all_vectors = reply.vectors
    vectors = [None] * len(ids) if all_vectors is None else list(all_vectors[query_index, : len(ids)])
    return [Match(*row) for row in zip(ids, vectors, distances, metadata, strict=True)]


class SearchResult(Tabular):
    """Answer of ``search``: ``results`` (list of `Match`, nearest first) and ``metrics``.

    ``len(result)``, ``result[0]`` and iteration go over ``results``. Safe to share between threads once read.

    Example:
        >>> result = store.search(query, top_k=3, collection="docs")
        >>> [(match.id, match.distance) for match in result]
    """

    __slots__ = ("_reply", "_results", "metrics")

    def __init__(self, results: list[Match], metrics: Metrics) -> None:
        self._reply: _native.SearchReply | None = None
        self._results: list[Match] | None = results
        self.metrics = metrics

    @classmethod
    def from_reply(cls, reply: _native.SearchReply, metrics: Metrics) -> SearchResult:
        """A result over the first query of a native reply, read when it is first looked at."""
        result = cls.__new__(cls)
        result._reply, result._results, result.metrics = reply, None, metrics
        return result

    @property
    def results(self) -> list[Match]:
        """The matches, nearest first; fewer than ``top_k`` when the collection or the filter has fewer."""
        results = self._results
        if results is None:
            reply = self._reply
            if reply is None:  # another thread built the list in between
                return self.results
            results = self._results = _matches(reply, 0, reply.metadata[0])
            self._reply = None  # the matches' views keep the buffers they need
        return results

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[Match]:
        return iter(self.results)

    @overload
    def __getitem__(self, index: int) -> Match: ...
    @overload
    def __getitem__(self, index: slice) -> list[Match]: ...
    def __getitem__(self, index: int | slice) -> Match | list[Match]:
        """The match at ``index``, 0 being the nearest."""
        return self.results[index]

    def __eq__(self, other: object) -> bool:
        """Equal results; how long each search took does not count."""
        return self.results == other.results if isinstance(other, SearchResult) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return SearchResult, (self.results, self.metrics)

    def __repr__(self) -> str:
        lines = "".join(f"  {match!r},\n" for match in self.results[:10])
        more = f"  … {len(self) - 10} more\n" if len(self) > 10 else ""
        return f"SearchResult(results=[\n{lines}{more}], metrics={self.metrics!r})"

    def _columns(self) -> Mapping[str, Any]:
        results = self.results
        columns: dict[str, Any] = {
            "id": [match.id for match in results],
            "distance": [match.distance for match in results],
            "metadata": [match.metadata for match in results],
        }
        vectors = [match.vector for match in results if match.vector is not None]
        if vectors:
            columns["vector"] = np.stack(vectors)
        return columns


class BatchSearchResult(Tabular):
    """Answer of ``search_batch``: ``q`` queries, ``k = top_k`` places each; ``batch[i]`` is query i's `SearchResult`.

    Attributes:
        ids: ``[q][k]`` lists of str, made at the first look; short rows end in None.
        distances: float32 ``[q, k]``; short rows end in inf. Shares the native buffer.
        vectors: float32 ``[q, k, d]``, zeros where there is no match; None with ``include_vectors=False``. Shares the
            buffer.
        metadata: ``[q][k]`` lists of dict or None; decoded at the first look.
        metrics: of the whole batch.
    """

    __slots__ = ("_ids", "_metadata", "_reply", "distances", "metrics", "vectors")

    def __init__(
        self,
        ids: list[list[str | None]] | None,
        distances: NDArray[np.float32],
        vectors: NDArray[np.float32] | None,
        metadata: list[list[dict[str, Any] | None]] | None,
        metrics: Metrics,
    ) -> None:
        self._ids, self.distances, self.vectors, self.metrics = ids, distances, vectors, metrics
        self._metadata = metadata
        self._reply: _native.SearchReply | None = None

    @classmethod
    def from_reply(cls, reply: _native.SearchReply, metrics: Metrics) -> BatchSearchResult:
        """A result over a native reply, whose arrays are taken as they are; ids and metadata wait to be looked at."""
        result = cls(None, reply.distances, reply.vectors, None, metrics)
        result._reply = reply
        return result

    @property
    def ids(self) -> list[list[str | None]]:
        """``[q][k]`` lists of str, None beyond the last match of a query."""
        ids = self._ids
        if ids is None:
            ids = self._ids = self._padded([] if self._reply is None else self._reply.ids)
        return ids

    @property
    def metadata(self) -> list[list[dict[str, Any] | None]]:
        """``[q][k]`` lists of dict or None, None beyond the last match of a query."""
        decoded = self._metadata
        if decoded is None:
            decoded = self._metadata = self._padded([] if self._reply is None else self._reply.metadata)
        return decoded

    def _padded(self, rows: list[Any]) -> list[Any]:
        """The rows, each at its full length ``k``."""
        place_count = self.distances.shape[1]
        for row in rows:
            if len(row) < place_count:
                row.extend([None] * (place_count - len(row)))
        return rows

    def __len__(self) -> int:
        return int(self.distances.shape[0])

    def __getitem__(self, query_index: int) -> SearchResult:
        """The matches of one query, without the padding; its ``metrics`` are the batch's."""
        ids = [id for id in self.ids[query_index] if id is not None]
        vectors = [None] * len(ids) if self.vectors is None else list(self.vectors[query_index, : len(ids)])
        distances = self.distances[query_index].tolist()
        metadata = self.metadata[query_index]
        matches = [Match(*row) for row in zip(ids, vectors, distances, metadata, strict=False)]
        return SearchResult(matches, self.metrics)

    def __iter__(self) -> Iterator[SearchResult]:
        return (self[query_index] for query_index in range(len(self)))

    def __reduce__(self) -> tuple[Any, ...]:
        return BatchSearchResult, (self.ids, self.distances, self.vectors, self.metadata, self.metrics)

    def __repr__(self) -> str:
        query_count, place_count = self.distances.shape
        vectors = "None" if self.vectors is None else short(self.vectors)
        nearest = ", ".join(repr(row[0]) for row in self.ids[:5] if row) + (", …" if query_count > 5 else "")
        return (
            f"BatchSearchResult({query_count} queries x top {place_count}, nearest=[{nearest}], vectors={vectors}, "
            f"metrics={self.metrics!r})"
        )

    def _columns(self) -> Mapping[str, Any]:
        """One row per match: query, rank, id, distance, metadata, and vector when asked for."""
        rows = [(query, rank) for query, ids in enumerate(self.ids) for rank, id in enumerate(ids) if id is not None]
        columns: dict[str, Any] = {
            "query": [query for query, _ in rows],
            "rank": [rank for _, rank in rows],
            "id": [self.ids[query][rank] for query, rank in rows],
            "distance": [float(self.distances[query, rank]) for query, rank in rows],
            "metadata": [self.metadata[query][rank] for query, rank in rows],
        }
        if self.vectors is not None and rows:
            columns["vector"] = np.stack([self.vectors[query, rank] for query, rank in rows])
        return columns

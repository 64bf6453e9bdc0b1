"""What the calls that write and read records return: small frozen values with readable repr and HTML.

The results of a search live in ``search_results.py``. Vectors are float32 and share the native buffer: nothing is
copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .tables import Tabular, html_table, short

__all__ = ["CollectionInfo", "DeleteResult", "InsertResult", "Record", "UpdateResult", "VerifyReport", "same_vector"]


def same_vector(a: NDArray[np.float32] | None, b: NDArray[np.float32] | None) -> bool:
    """Whether both are absent, or equal in shape and every element."""
    if a is None or b is None:
        return a is b
    return np.array_equal(a, b)


class _Fields(Tabular):
    """Mixin of one-row results: the table has one row per member."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        names = list(self.__dataclass_fields__)  # type: ignore[attr-defined]
        return html_table(type(self).__name__, ("member", "value"), ((n, getattr(self, n)) for n in names), len(names))


@dataclass(frozen=True, slots=True, repr=False)
class InsertResult(_Fields):
    """Answer of ``insert`` and ``upsert``.

    Attributes:
        status: ``"success"``, ``"partial"`` or ``"failed"``; on one machine always ``"success"``, the rest raises.
        vector_ids: ids of the batch in request order, given or fresh.
        storage_nodes: who holds it; ``["local"]`` on one machine.
        consistency_hash: hex SHA-256 Merkle root (RFC 6962) over the batch's leaves; an identical retry gets the same.
        timestamp_ms: Unix time of the commit in milliseconds.
    """

    status: str
    vector_ids: list[str]
    storage_nodes: list[str]
    consistency_hash: str
    timestamp_ms: int

    def __repr__(self) -> str:
        count = len(self.vector_ids)
        ids = ", ".join(map(repr, self.vector_ids[:3])) + (", …" if count > 3 else "")
        return (
            f"InsertResult(status={self.status!r}, vector_ids=[{ids}] ({count}), storage_nodes={self.storage_nodes!r}, "
            f"consistency_hash={self.consistency_hash!r}, timestamp_ms={self.timestamp_ms})"
        )

    def _columns(self) -> Mapping[str, Any]:
        return {"id": self.vector_ids}


@dataclass(frozen=True, slots=True)
class UpdateResult(_Fields):
    """Answer of ``update``: the record's new ``version`` (they start at 1 and grow by 1) and when it was committed."""

    status: str
    version: int
    storage_nodes: list[str]
    timestamp_ms: int

    def _columns(self) -> Mapping[str, Any]:
        return {"status": [self.status], "version": [self.version], "timestamp_ms": [self.timestamp_ms]}


@dataclass(frozen=True, slots=True)
class DeleteResult(_Fields):
    """Answer of ``delete``: how many records were there and are gone (unknown ids are not counted)."""

    status: str
    deleted: int
    storage_nodes: list[str]
    timestamp_ms: int

    def _columns(self) -> Mapping[str, Any]:
        return {"status": [self.status], "deleted": [self.deleted], "timestamp_ms": [self.timestamp_ms]}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Record(_Fields):
    """One stored record: ``id``, ``vector`` (float32 ``[d]``, a view), ``metadata`` or None, ``version`` from 1."""

    id: str
    vector: NDArray[np.float32]
    metadata: dict[str, Any] | None
    version: int

    def __eq__(self, other: object) -> bool:
        """Equal in every member; vectors element by element."""
        if not isinstance(other, Record):
            return NotImplemented
        mine, theirs = (self.id, self.version, self.metadata), (other.id, other.version, other.metadata)
        return mine == theirs and same_vector(self.vector, other.vector)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        vector, metadata = short(self.vector), short(repr(self.metadata))
        return f"Record(id={self.id!r}, vector={vector}, metadata={metadata}, version={self.version})"

    def _columns(self) -> Mapping[str, Any]:
        matrix = self.vector.reshape(1, -1)
        return {"id": [self.id], "vector": matrix, "metadata": [self.metadata], "version": [self.version]}


@dataclass(frozen=True, slots=True)
class VerifyReport(Tabular):
    """Answer of ``verify``: ``ok`` and the ``problems`` found, as sentences. ``bool(report) == report.ok``."""

    ok: bool
    problems: list[str]

    def __bool__(self) -> bool:
        return self.ok

    def _columns(self) -> Mapping[str, Any]:
        return {"problem": self.problems}

    def _repr_html_(self) -> str:
        caption = "verified: everything matches" if self.ok else f"{len(self.problems)} problems"
        return html_table(caption, ("problem",), ((problem,) for problem in self.problems), len(self.problems))


@dataclass(frozen=True, slots=True)
class Retrievability(_Fields):
    """Answer of ``retrievability``: what a sealed collection promises, and where it stands. Members also by item.

    Attributes:
        devices, reachable: of the fleet; how many answer now.
        k, n: any k of a record's n fragments give it.
        guaranteed_losses: any so many devices may be gone, and every complete record is read.
        loss_probability_at_40_percent_offline: of a given complete record, when 40 % of the devices, drawn at random, are gone.
        records, records_below_n: live records; those with fewer than n fragments on devices that are here.
        fragments_least: of any record, on devices that are here.
        records_misplaced: those with a fragment that lies elsewhere than it shall, until the fleet's change is over.
        rebalancing: devices join or leave, and the promise of the new fleet holds when that is over.
    """

    devices: int
    reachable: int
    k: int
    n: int
    guaranteed_losses: int
    loss_probability_at_40_percent_offline: float
    records: int
    records_below_n: int
    fragments_least: int
    records_misplaced: int
    rebalancing: bool


@dataclass(frozen=True, slots=True)
class DeviceInfo(_Fields):
    """One device of a sealed store, as ``devices()`` lists them. Members also by item.

    Attributes:
        number: stays with the device; the next one that joins gets another.
        place: its directory, or ``HOST:PORT`` of its node.
        state: ``"active"``; ``"joining"``: it is given what it shall have; ``"leaving"``: others are given what it has;
            ``"distrusted"``: it gets no fragments any more.
        reachable: it answers now.
        fragments, bytes: of records, and of all that it keeps; None when it does not answer, or a node does not say it.
        trust: from 1.0 downwards with each wrong answer, loss and silence that this store met; below 0.5 fragments move away
            while the other devices are enough.
    """

    number: int
    place: str
    state: str
    reachable: bool
    fragments: int | None
    bytes: int | None
    trust: float


@dataclass(frozen=True, slots=True)
class CollectionInfo(_Fields):
    """Answer of ``describe``: the settings and the size of one collection. Members also by item: ``info["dimension"]``.

    Attributes:
        name: of the collection.
        dimension: elements of a vector.
        metric: ``"cosine"``, ``"l2"`` or ``"dot_product"``.
        index: ``"hnsw"``, ``"ivf"`` or ``"flat"``.
        index_params: the index's parameters, defaults included.
        count: live records.
        segments: immutable files that hold them; ``head_rows`` records are not in one yet.
        head_rows: records since the last seal, searched exactly.
        indexed_rows: records that a finished graph or list covers.
        disk_bytes: bytes of this collection on disk; 0 in memory.
        privacy: ``"plain"``.
    """

    name: str
    dimension: int
    metric: str
    index: str
    index_params: dict[str, Any]
    count: int
    segments: int
    head_rows: int
    indexed_rows: int
    disk_bytes: int
    privacy: str

    @classmethod
    def from_native(cls, description: Mapping[str, Any]) -> CollectionInfo:
        """Picks the members out of what the native layer says; it may say more."""
        return cls(**{name: description[name] for name in cls.__dataclass_fields__})

    def to_dict(self) -> dict[str, Any]:
        """The members as a plain dict, fit for JSON."""
        return {name: self[name] for name in self.keys()}

    def keys(self) -> list[str]:
        """The names of the members, so that ``dict(info)`` works."""
        return list(self.__dataclass_fields__)

    def __getitem__(self, name: str) -> Any:
        """The member ``name``.

        Raises:
            KeyError: there is no such member.
        """
        if name not in self.__dataclass_fields__:
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dataclass_fields__)

    def _columns(self) -> Mapping[str, Any]:
        return {name: [value] for name, value in self.to_dict().items()}

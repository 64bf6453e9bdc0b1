"""Records on their way in and out: upsert's dicts to columns, native pages to `Record`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidArgument
from .results import Record

if TYPE_CHECKING:
    from . import _native

__all__ = ["columns_of", "is_records", "page_records", "records_of"]

Page = tuple[list[str], NDArray[np.float32], list[dict[str, Any] | None], list[int]]

_MEMBERS = frozenset({"id", "vector", "metadata"})


def is_records(value: Any) -> bool:
    """Whether ``value`` is one record or a list of them, rather than vectors."""
    if isinstance(value, (Mapping, Record)):
        return True
    return isinstance(value, (list, tuple)) and bool(value) and isinstance(value[0], (Mapping, Record))


def columns_of(value: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """One record or a list of ``{"id", "vector", "metadata"}`` as columns: ids, vectors, metadata.

    ``metadata`` may be absent. A `Record`, as ``get`` and ``scroll`` return it, is a record too; its version is not
    stored.

    Raises:
        InvalidArgument: an element is no record, lacks ``id`` or ``vector``, or has members that no record has.
    """
    rows = [value] if isinstance(value, (Mapping, Record)) else value
    ids, vectors, metadata = [], [], []
    for row, item in enumerate(rows):
        record = {"id": item.id, "vector": item.vector, "metadata": item.metadata} if isinstance(item, Record) else item
        if not isinstance(record, Mapping):
            raise InvalidArgument(f"records[{row}] is a {type(item).__name__} but must be a dict with id, vector and metadata")
        for member in ("id", "vector"):
            if member not in record:
                raise InvalidArgument(f"records[{row}] has no {member!r}: upsert replaces by id, so each record needs both")
        unknown = sorted(map(str, set(record) - _MEMBERS))
        if unknown:
            raise InvalidArgument(f"records[{row}] has unknown members {unknown}: put other fields into 'metadata'")
        ids.append(record["id"])
        vectors.append(record["vector"])
        metadata.append(record.get("metadata"))
    return ids, vectors, metadata


def page_records(page: Page) -> list[Record]:
    """The records of one native page; vectors are views of the page's array."""
    ids, vectors, metadata, versions = page
    return [Record(*row) for row in zip(ids, vectors, metadata, versions, strict=True)]


def records_of(cursor: _native.Cursor | _native.RemoteCursor) -> Iterator[Record]:
    """Every record a native cursor yields, one page at a time."""
    while (page := cursor.next()) is not None:
        yield from page_records(page)

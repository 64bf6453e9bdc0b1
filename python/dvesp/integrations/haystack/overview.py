"""What is in the metadata of the documents: counts, types, ranges, values. Each call reads the documents that match, once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..shared import BoundCollection
from .filters import field_path, store_filter

__all__ = ["Overview"]

_MISSING = object()


class Overview:
    """Methods of a document store that look at metadata."""

    _collection: BoundCollection

    def count_documents_by_filter(self, filters: dict[str, Any]) -> int:
        """How many documents match."""
        return self._collection.count(store_filter(filters))

    def count_unique_metadata_by_filter(self, filters: dict[str, Any], metadata_fields: list[str]) -> dict[str, int]:
        """For each field how many different values the matching documents have there."""
        seen: dict[str, dict[Any, Any]] = {field: {} for field in metadata_fields}
        for meta in self._metas(filters):
            for field in metadata_fields:
                seen[field].update(_keyed(_values(meta, field)))
        return {field.removeprefix("meta."): len(values) for field, values in seen.items()}

    def get_metadata_fields_info(self) -> dict[str, dict[str, str]]:
        """The members of ``meta`` in any document, each as ``{"type": ...}``: ``keyword``, ``long``, ``float``, ``boolean``."""
        kinds: dict[str, set[str]] = {}
        for meta in self._metas(None):
            for field, value in meta.items():
                for element in value if isinstance(value, list) else [value]:
                    kinds.setdefault(field, set()).add(_kind(element))
        return {field: {"type": _common(found)} for field, found in sorted(kinds.items())}

    def get_metadata_field_min_max(self, metadata_field: str) -> dict[str, Any]:
        """``{"min", "max"}`` of a field's numbers, or of its texts when there is no number; None when there is neither."""
        values = [value for meta in self._metas(None) for value in _values(meta, metadata_field)]
        numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
        comparable: list[Any] = numbers or [value for value in values if isinstance(value, str)]
        return {"min": min(comparable, default=None), "max": max(comparable, default=None)}

    def get_metadata_field_unique_values(
        self,
        metadata_field: str,
        search_term: str | None = None,
        from_: int = 0,
        size: int = 10,
        filters: dict[str, Any] | None = None,
    ) -> tuple[list[Any], int]:
        """A page of a field's different values, sorted as texts, and how many there are in all.

        Args:
            search_term: only values whose text contains it when case is ignored.
            from_, size: the page.
            filters: only values of documents that match.
        """
        found: dict[Any, Any] = {}
        for meta in self._metas(filters):
            found.update(_keyed(_values(meta, metadata_field)))
        term = (search_term or "").lower()
        values = [value for value in found.values() if term in str(value).lower()]
        values.sort(key=lambda value: (str(value), type(value).__name__))
        return values[from_ : from_ + size], len(values)

    def _metas(self, filters: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
        for record in self._collection.records(store_filter(filters)):
            yield (record.metadata or {}).get("meta") or {}


def _values(meta: dict[str, Any], field: str) -> list[Any]:
    """The values of a field, the elements of a list one by one; none for null."""
    path = field_path(field).removeprefix("meta.")
    value: Any = meta.get(path, _MISSING)
    if value is _MISSING:
        value = meta
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
    return [element for element in (value if isinstance(value, list) else [value]) if element is not None]


def _keyed(values: Iterable[Any]) -> dict[Any, Any]:
    """Each value under what tells it from others: 1, 1.0, True and "1" are four."""
    return {(type(value), repr(value)): value for value in values}


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "long"
    return "float" if isinstance(value, float) else "keyword"


def _common(kinds: set[str]) -> str:
    """One word for all kinds met in a field."""
    if len(kinds) == 1:
        return next(iter(kinds))
    return "float" if kinds == {"long", "float"} else "keyword"

"""Haystack's filters as filters of the store (docs/formats/filters.md).

What they mean is what `haystack.document_stores.types.DocumentStore.filter_documents` and Haystack's shared tests say: a
missing field is None; None is in no order; texts are ordered only if they are ISO 8601 dates. Dates compare as texts here, so
they must be written in one form and one zone.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from haystack.errors import FilterError

__all__ = ["field_path", "store_filter"]

_ORDERS = {">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte"}
_LOGIC = ("AND", "OR", "NOT")
_MEMBERS = frozenset({"id", "content", "blob", "sparse_embedding", "meta"})
_NOT_STORED = frozenset({"embedding", "score"})
_NOTHING: dict[str, Any] = {"id": {"$in": []}}


def store_filter(filters: dict[str, Any] | None) -> dict[str, Any] | None:
    """The same condition as the store's filter; None: every document.

    Raises:
        FilterError: a key is missing, an operator unknown, a value of the wrong kind.
    """
    if not filters:
        return None
    if not isinstance(filters, dict):
        raise FilterError(f"filters is a {type(filters).__name__} but must be a dict with 'field' or with 'conditions'")
    if "field" in filters:
        return _comparison(filters)
    if "operator" not in filters or "conditions" not in filters:
        missing = "operator" if "operator" not in filters else "conditions' or 'field"
        raise FilterError(f"the filter {filters!r} has no '{missing}'")
    operator, conditions = filters["operator"], filters["conditions"]
    if operator not in _LOGIC:
        raise FilterError(f"operator {operator!r} is unknown: conditions are combined by {', '.join(_LOGIC)}")
    if not isinstance(conditions, list) or not conditions:
        raise FilterError(f"'conditions' of {operator} must be a list of at least one filter")
    parts = [store_filter(condition) or {} for condition in conditions]
    if operator == "NOT":  # not all of them
        return {"$not": {"$and": parts}}
    return {"$and" if operator == "AND" else "$or": parts}


def field_path(field: Any) -> str:
    """Where a record has a field: ``meta.x`` and plain ``x`` name a member of ``meta``, ``id`` and ``content`` the document's.

    Raises:
        FilterError: no text, or what no filter can ask for.
    """
    if not isinstance(field, str) or not field:
        raise FilterError(f"field is {field!r} but must be a name such as 'meta.page'")
    if field in _NOT_STORED:
        raise FilterError(f"field {field!r} cannot be filtered by: use a retriever for what is near")
    return field if field in _MEMBERS or field.startswith("meta.") else f"meta.{field}"


def _comparison(filters: dict[str, Any]) -> dict[str, Any]:
    for key in ("operator", "value"):
        if key not in filters:
            raise FilterError(f"the filter {filters!r} has no {key!r}")
    path, operator, value = field_path(filters["field"]), filters["operator"], filters["value"]
    if isinstance(value, datetime):
        value = value.isoformat()
    absent: dict[str, Any] = {"$or": [{path: {"$exists": False}}, {path: None}]}
    if operator in ("==", "!="):
        equal = absent if value is None else {path: {"$eq": value}}
        return equal if operator == "==" else {"$not": equal}
    if operator in ("in", "not in"):
        if not isinstance(value, list):
            raise FilterError(f"'{operator}' takes a list, not a {type(value).__name__}")
        one_of: dict[str, Any] = {path: {"$in": value}}
        if any(element is None for element in value):
            one_of = {"$or": [one_of, absent]}
        return one_of if operator == "in" else {"$not": one_of}
    if operator not in _ORDERS:
        raise FilterError(f"operator {operator!r} is unknown: use ==, !=, >, >=, <, <=, in or 'not in'")
    if value is None:
        return _NOTHING
    if isinstance(value, str):
        _check_date(value, operator)
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise FilterError(f"'{operator}' takes a number or an ISO 8601 date, not a {type(value).__name__}")
    return {path: {_ORDERS[operator]: value}}


def _check_date(value: str, operator: str) -> None:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise FilterError(f"'{operator}' takes a number or an ISO 8601 date, and {value!r} is neither") from None

"""The slow twin of filters: the semantics of the public contract, evaluated record by record in plain Python."""

from __future__ import annotations

from typing import Any

MISSING = object()


def value_at(metadata: dict[str, Any] | None, path: str) -> Any:
    """The value at a dotted path, or ``MISSING``."""
    value: Any = metadata if metadata is not None else {}
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return MISSING
        value = value[name]
    return value


def is_number(value: Any) -> bool:
    """int or float; bool is not int."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def same(a: Any, b: Any) -> bool:
    """Equality of the contract: numbers by value, everything else only within its type."""
    if is_number(a) and is_number(b):
        return bool(a == b)
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def equals(field: Any, value: Any) -> bool:
    """``same``, or a scalar that is an element of a list field."""
    if isinstance(field, list) and not isinstance(value, list):
        return any(same(element, value) for element in field)
    return field is not MISSING and same(field, value)


def ordered(field: Any, operator: str, value: Any) -> bool:
    """Ranges hold between two numbers or two strings only; in a list, for any of its elements."""
    if isinstance(field, list):
        return any(not isinstance(element, list) and ordered(element, operator, value) for element in field)
    if not (is_number(field) and is_number(value)) and not (isinstance(field, str) and isinstance(value, str)):
        return False
    return bool({"$gt": field > value, "$gte": field >= value, "$lt": field < value, "$lte": field <= value}[operator])


def contains(field: Any, value: Any) -> bool:
    """An element of a list, or a part of a string."""
    if isinstance(field, list):
        return any(same(element, value) for element in field)
    return isinstance(field, str) and isinstance(value, str) and value in field


def holds(field: Any, operator: str, value: Any) -> bool:
    """One operator on one field's value."""
    if operator in ("$gt", "$gte", "$lt", "$lte"):
        return ordered(field, operator, value)
    outcomes = {
        "$eq": lambda: equals(field, value),
        "$ne": lambda: not equals(field, value),
        "$in": lambda: any(equals(field, choice) for choice in value),
        "$nin": lambda: not any(equals(field, choice) for choice in value),
        "$exists": lambda: (field is not MISSING) == value,
        "$contains": lambda: contains(field, value),
    }
    return outcomes[operator]()


def matches(filter: dict[str, Any], metadata: dict[str, Any] | None) -> bool:
    """Whether a record with this metadata passes the filter."""
    for key, value in filter.items():
        if key == "$and":
            passed = all(matches(part, metadata) for part in value)
        elif key == "$or":
            passed = any(matches(part, metadata) for part in value)
        elif key == "$not":
            passed = not matches(value, metadata)
        elif isinstance(value, dict):
            field = value_at(metadata, key)
            passed = all(holds(field, operator, operand) for operator, operand in value.items())
        else:
            passed = equals(value_at(metadata, key), value)
        if not passed:
            return False
    return True

"""LlamaIndex's `MetadataFilters` as filters of the store (docs/formats/filters.md).

What each operator means is what `llama_index.core.vector_stores.types` says, and where that is silent, what LlamaIndex's own
in-memory store does. Two are our choice: ANY and ALL ask for equal elements, never for parts of a text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

from ...errors import InvalidArgument

__all__ = ["ValuesLike", "store_filter"]

# Given a key and a text: the values of that key, in the whole collection, that contain the text when case is ignored.
ValuesLike = Callable[[str, str], list[str]]

_COMPARISONS = {
    FilterOperator.EQ: "$eq",
    FilterOperator.NE: "$ne",
    FilterOperator.GT: "$gt",
    FilterOperator.GTE: "$gte",
    FilterOperator.LT: "$lt",
    FilterOperator.LTE: "$lte",
    FilterOperator.CONTAINS: "$contains",
    FilterOperator.TEXT_MATCH: "$contains",
}
_LISTS = {FilterOperator.IN: "$in", FilterOperator.NIN: "$nin", FilterOperator.ANY: "$in"}


def store_filter(filters: MetadataFilters | None, values_like: ValuesLike) -> dict[str, Any] | None:
    """The same condition as the store's filter; None: every record.

    Args:
        filters: nested to any depth; an empty list of them is true of every node.
        values_like: answers TEXT_MATCH_INSENSITIVE, for which the store has no operator.

    Raises:
        InvalidArgument: a value that the operator does not take, naming key and operator.
    """
    if filters is None or not filters.filters:
        return None
    parts = [
        store_filter(part, values_like) or {} if isinstance(part, MetadataFilters) else _comparison(part, values_like)
        for part in filters.filters
    ]
    condition = filters.condition or FilterCondition.AND
    if condition is FilterCondition.NOT:  # true when none of them is
        return {"$not": {"$or": parts}}
    return {"$and" if condition is FilterCondition.AND else "$or": parts}


def _comparison(part: MetadataFilter, values_like: ValuesLike) -> dict[str, Any]:
    key, operator, value = part.key, part.operator, part.value
    if operator is FilterOperator.IS_EMPTY:
        return {"$or": [{key: {"$exists": False}}, {key: None}, {key: ""}, {key: {"$eq": []}}]}
    if value is None:
        raise InvalidArgument(f"filter: {key!r} {operator.value} has no value: ask for missing or null with IS_EMPTY")
    if operator in _COMPARISONS:
        return {key: {_COMPARISONS[operator]: value}}
    if operator is FilterOperator.TEXT_MATCH_INSENSITIVE:
        if not isinstance(value, str):
            raise InvalidArgument(f"filter: {key!r} {operator.value} takes a text, not {value!r}")
        return {key: {"$in": values_like(key, value)}}
    if not isinstance(value, list):
        raise InvalidArgument(f"filter: {key!r} {operator.value} takes a list, not {value!r}")
    if operator in _LISTS:
        return {key: {_LISTS[operator]: value}}
    if operator is FilterOperator.ALL:
        return {"$and": [{key: {"$exists": True}}, *({key: {"$eq": element}} for element in value)]}
    raise InvalidArgument(f"filter: {key!r} has the operator {operator.value}, which this store does not know")

"""The checks on every argument that is not a vector: ids, metadata, filters, levels, names and numbers.

They settle the *types*, so that native code meets only what its signature says; limits on contents (id bytes, JSON
depth, operators of a filter) are checked natively, once, before anything is written.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from .errors import InvalidArgument

__all__ = [
    "INDEX_KINDS",
    "LEVELS",
    "METRICS",
    "SearchParams",
    "check_choice",
    "check_collection",
    "check_filter",
    "check_flag",
    "check_ids",
    "check_int",
    "check_level",
    "check_metadata",
    "check_mode",
    "check_params",
    "check_path",
    "check_timeout",
]

LEVELS = ("ONE", "QUORUM", "ALL")
METRICS = ("cosine", "l2", "dot_product")
INDEX_KINDS = ("hnsw", "ivf", "flat")
TOP_K_MAX = 1000
TIMEOUT_MS_MAX = 2**31 - 1
PARAMETER_MAX = 2**31 - 1


class SearchParams(NamedTuple):
    """The members of ``params=`` of a search; None is the store's choice."""

    ef: int | None = None
    nprobe: int | None = None
    exact: bool = False
    recall: float | None = None


DEFAULT_PARAMS = SearchParams()


def check_choice(value: Any, field: str, choices: tuple[str, ...]) -> str:
    """``value`` if it is one of ``choices``.

    Raises:
        InvalidArgument: it is not; the message lists the choices.
    """
    if isinstance(value, str) and value in choices:
        return value
    raise InvalidArgument(f"{field} is {value!r} but must be one of {', '.join(map(repr, choices))}")


def check_level(value: Any) -> str:
    """A consistency level: ``"ONE"``, ``"QUORUM"`` or ``"ALL"``. Raises as `check_choice`."""
    return check_choice(value, "consistency_level", LEVELS)


def check_mode(value: Any) -> str:
    """What ``scroll`` does on damage: ``"raise"`` or ``"skip"``. Raises as `check_choice`."""
    return check_choice(value, "on_damage", ("raise", "skip"))


def check_int(value: Any, field: str, least: int, most: int) -> int:
    """``value`` as an int within ``least..most``; NumPy integers are welcome, bool and float are not.

    Raises:
        InvalidArgument: another type, or out of range.
    """
    if not isinstance(value, (bool, np.bool_)):
        try:
            number = operator.index(value)
        except TypeError:
            pass
        else:
            if least <= number <= most:
                return number
            raise InvalidArgument(f"{field} is {number} but must be between {least} and {most}")
    raise InvalidArgument(f"{field} is {value!r} ({type(value).__name__}) but must be an int between {least} and {most}")


def check_timeout(value: Any) -> int:
    """``timeout_ms``: a positive int of milliseconds. Raises as `check_int`."""
    return check_int(value, "timeout_ms", 1, TIMEOUT_MS_MAX)


def check_flag(value: Any, field: str) -> bool:
    """True or False, NumPy's included.

    Raises:
        InvalidArgument: anything else, such as ``"no"``, which Python would take for true.
    """
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise InvalidArgument(f"{field} is {value!r} but must be True or False")


def check_collection(value: Any, field: str = "collection") -> str:
    """The name of a collection; what a name may contain is checked natively.

    Raises:
        InvalidArgument: not a str.
    """
    if isinstance(value, str):
        return value
    raise InvalidArgument(f"{field} is {value!r} ({type(value).__name__}) but must be a str: the collection's name")


def check_filter(value: Any, field: str = "filter") -> dict[str, Any] | None:
    """A filter: dict or None; its operators are checked natively.

    Raises:
        InvalidArgument: another type.
    """
    if value is None or isinstance(value, dict):
        return value
    if isinstance(value, Mapping):
        return dict(value)
    raise InvalidArgument(f'{field} is {value!r} ({type(value).__name__}) but must be a dict such as {{"source": "document"}}')


def check_ids(value: Any, field: str = "ids", *, single: bool = False) -> list[str]:
    """Ids as a list of str, in the order given.

    Args:
        value: list, tuple, NumPy array, pandas or Arrow column, or any other iterable of str.
        field: the argument's name, for the message.
        single: whether one bare str stands for a list of one.

    Raises:
        InvalidArgument: not str, or a bare str where rows are counted.
    """
    if isinstance(value, str):
        if single:
            return [value]
        raise InvalidArgument(f"{field} is a str but must be a list of str, one for each row: [{value!r}]")
    for method in ("to_pylist", "tolist", "to_list"):
        if hasattr(value, method):
            value = getattr(value, method)()
            break
    if isinstance(value, (bytes, Mapping)) or not isinstance(value, Iterable):
        raise InvalidArgument(f"{field} is {value!r} ({type(value).__name__}) but must be a list of str")
    ids = value if type(value) is list else list(value)
    if set(map(type, ids)) <= {str}:
        return ids
    for row, item in enumerate(ids):
        if not isinstance(item, str):
            raise InvalidArgument(f"{field}[{row}] is {item!r} ({type(item).__name__}) but ids are str: use str(...)")
    return list(map(str, ids))


def check_metadata(value: Any, row_count: int) -> list[dict[str, Any] | None] | None:
    """Metadata as one dict or None for each row; None as a whole means no metadata.

    Args:
        value: list or tuple of dict | None, a pandas or polars frame or an Arrow table (one row each), or a column of
            dicts.
        row_count: rows of the batch.

    Raises:
        InvalidArgument: another type, another count, or an element that is no dict.
    """
    if value is None:
        return None
    if isinstance(value, Mapping):
        raise InvalidArgument(f"metadata is one dict but must be a list of dict or None, one for each of the {row_count} rows")
    rows = _metadata_rows(value)
    if rows is None:
        raise InvalidArgument(f"metadata is {type(value).__name__} but must be a list of dict or None, one for each row")
    if len(rows) != row_count:
        raise InvalidArgument(
            f"metadata has {len(rows)} elements but there are {row_count} vectors: give one for each, or None"
        )
    if set(map(type, rows)) <= {dict, type(None)}:
        return rows
    for row, item in enumerate(rows):
        if item is not None and not isinstance(item, Mapping):
            raise InvalidArgument(f"metadata[{row}] is {item!r} ({type(item).__name__}) but must be a dict or None")
    return [None if item is None else dict(item) for item in rows]


def _metadata_rows(value: Any) -> list[Any] | None:
    """The rows of whatever holds them, or None if it holds none."""
    if isinstance(value, (list, tuple)):
        return value if isinstance(value, list) else list(value)
    if hasattr(value, "columns") and hasattr(value, "to_dict") and not hasattr(value, "to_dicts"):
        present = value.astype(object).where(value.notna(), None)  # pandas writes a missing value as NaN, JSON has null
        return list(present.to_dict("records"))
    for method in ("to_dicts", "to_pylist", "tolist", "to_list"):  # polars, Arrow, NumPy and pandas columns
        if hasattr(value, method):
            rows = getattr(value, method)()
            return list(rows) if isinstance(rows, list) else None
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        return None
    return list(value)


def check_params(value: Any) -> SearchParams:
    """``params`` of a search: a dict of ``ef``, ``nprobe`` (ints >= 1), ``exact`` (bool), ``recall`` (0 < r <= 1).

    Raises:
        InvalidArgument: another type, an unknown key, or a value out of range.
    """
    if not isinstance(value, Mapping):
        raise InvalidArgument(f'params is {value!r} but must be a dict such as {{"ef": 128}}')
    unknown = sorted(map(str, set(value) - set(SearchParams._fields)))
    if unknown:
        raise InvalidArgument(f"params has unknown keys {unknown}: it takes {', '.join(SearchParams._fields)}")
    ef, nprobe, recall = value.get("ef"), value.get("nprobe"), value.get("recall")
    if recall is not None:
        if isinstance(recall, bool) or not isinstance(recall, (int, float, np.number)) or not 0 < recall <= 1:
            raise InvalidArgument(f"params['recall'] is {recall!r} but must be a number above 0 and at most 1, such as 0.95")
        recall = float(recall)
    exact = value.get("exact")
    return SearchParams(
        ef=None if ef is None else check_int(ef, "params['ef']", 1, PARAMETER_MAX),
        nprobe=None if nprobe is None else check_int(nprobe, "params['nprobe']", 1, PARAMETER_MAX),
        exact=False if exact is None else check_flag(exact, "params['exact']"),
        recall=recall,
    )


def check_path(path: Any, field: str = "path") -> str:
    """A directory's path as str.

    Raises:
        InvalidArgument: not a str or path object, or empty.
    """
    try:
        text = os.fspath(path)
    except TypeError:
        raise InvalidArgument(f"{field} is {path!r} ({type(path).__name__}) but must be a directory's path") from None
    if not isinstance(text, str) or not text:
        raise InvalidArgument(f"{field} is {path!r} but must be a non-empty path as str")
    return text

"""Whatever a user calls vectors -> one float32 C-contiguous array; what cannot be one is refused with the field's name.

float32 C-contiguous arrays pass through untouched (the same object), everything else is converted once. NaN and Inf in
float32 are found natively, while the rows are copied; here only the infinities that a conversion would create are.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidArgument

__all__ = ["as_matrix", "as_query", "as_row"]

_FLOAT32 = np.dtype(np.float32)
_NUMBER_KINDS = "iuf"


def as_matrix(value: Any, field: str) -> NDArray[np.float32]:
    """``value`` as float32 C-contiguous ``[n, d]`` with n, d >= 1.

    Args:
        value: array of any number type and stride, nested lists or tuples, a torch tensor, an Arrow list array, a
            pandas or polars column of vectors, or anything with ``__array__``.
        field: the argument's name, for the message.

    Raises:
        InvalidArgument: not numbers, ragged, not two-dimensional, empty, or beyond float32's range.
    """
    if type(value) is np.ndarray and value.dtype == _FLOAT32 and value.ndim == 2 and _is_plain(value) and value.size:
        return value
    array = _to_float32(_to_array(value, field), field)
    if array.ndim == 1 and array.size:
        raise InvalidArgument(
            f"{field} has shape [{array.shape[0]}] but must be [n, d]: for a single vector give {field}=[vector]"
        )
    _require_shape(array, field, ndim=2, expected="[n, d] with at least one row and one column")
    return array


def as_row(value: Any, field: str) -> NDArray[np.float32]:
    """``value`` as one float32 C-contiguous vector ``[d]``; ``[1, d]`` is its only row. Raises as `as_matrix`."""
    if type(value) is np.ndarray and value.dtype == _FLOAT32 and value.ndim == 1 and _is_plain(value) and value.size:
        return value
    array = _to_float32(_to_array(value, field), field)
    if array.ndim == 2 and array.shape[0] == 1:
        array = array[0]
    _require_shape(array, field, ndim=1, expected="[d]: one vector")
    return array


def as_query(value: Any, field: str = "query_vector") -> NDArray[np.float32]:
    """One query as float32 ``[1, d]`` for the native call. Raises as `as_matrix`."""
    if type(value) is np.ndarray and value.dtype == _FLOAT32 and value.ndim == 1 and _is_plain(value) and value.size:
        return value[None]
    array = _to_float32(_to_array(value, field), field)
    if array.ndim == 2 and array.shape[0] > 1:
        raise InvalidArgument(
            f"{field} has shape {_shape(array)} but must be one vector [d]: several queries go to search_batch"
        )
    if array.ndim == 2 and array.shape[0] == 1:
        array = array[0]
    _require_shape(array, field, ndim=1, expected="[d]: one vector")
    return array[None]


def _is_plain(array: NDArray[Any]) -> bool:
    flags = array.flags
    return flags.c_contiguous and flags.aligned


def _shape(array: NDArray[Any]) -> str:
    return "[" + ", ".join(map(str, array.shape)) + "]"


def _require_shape(array: NDArray[np.float32], field: str, ndim: int, expected: str) -> None:
    if array.ndim != ndim or not array.size:
        raise InvalidArgument(f"{field} has shape {_shape(array)} but must be {expected}")


def _to_array(value: Any, field: str) -> NDArray[Any]:
    """Any array-like as an ndarray of whatever type it has; no float32 conversion yet."""
    if isinstance(value, np.ma.MaskedArray):
        if np.ma.is_masked(value):
            raise InvalidArgument(f"{field} has masked elements: fill them (.filled(0)) or leave those rows out")
        return np.asarray(value.data)
    if isinstance(value, np.ndarray):
        return _stacked(value, field) if value.dtype == object else np.asarray(value)
    if value is None or isinstance(value, (str, bytes, bytearray, dict, set, frozenset)):
        raise InvalidArgument(f"{field} is {_kind(value)}: give float32 numbers as an array or nested lists")
    if isinstance(value, (list, tuple)):
        return _from_sequence(value, field)
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        return _from_torch(value)
    arrow = sys.modules.get("pyarrow")
    if arrow is not None and isinstance(value, (arrow.Array, arrow.ChunkedArray)):
        return _from_arrow(arrow, value, field)
    if hasattr(value, "to_numpy"):  # pandas and polars, columns of vectors or of numbers
        return _to_array(np.asarray(value.to_numpy()), field)
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"{field} is {_kind(value)}, which does not become an array: {error}") from error
    return _stacked(array, field) if array.dtype == object else array


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _from_torch(tensor: Any) -> NDArray[Any]:
    """A torch tensor on any device, with gradient or without; bfloat16, which NumPy lacks, becomes float32."""
    host = tensor.detach().cpu()
    try:
        return np.asarray(host.numpy())
    except TypeError:
        return np.asarray(host.float().numpy())


def _from_arrow(arrow: Any, value: Any, field: str) -> NDArray[Any]:
    """An Arrow column of lists as ``[n, d]``, over its own memory where Arrow's type is float32."""
    if isinstance(value, arrow.ChunkedArray):
        value = value.combine_chunks()
    if isinstance(value, arrow.ChunkedArray):  # older Arrow keeps several chunks of a large column
        value = arrow.concat_arrays(value.chunks)
    if isinstance(value, arrow.ExtensionArray):
        value = value.storage
    if value.null_count:
        row = value.is_null().to_pylist().index(True)
        raise InvalidArgument(f"{field}[{row}] is null: leave rows without a vector out")
    kinds = arrow.types
    if kinds.is_fixed_size_list(value.type):
        size = value.type.list_size
    elif kinds.is_list(value.type) or kinds.is_large_list(value.type):
        sizes = value.value_lengths().to_numpy(zero_copy_only=False)
        _require_one_length(sizes.tolist(), field)
        size = int(sizes[0]) if len(sizes) else 0
    else:
        return np.asarray(value.to_numpy(zero_copy_only=False))
    flat = value.flatten()
    if flat.null_count:
        raise InvalidArgument(f"{field} has null elements: every element must be a number")
    return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(len(value), size)


def _require_one_length(lengths: Sequence[int], field: str) -> None:
    for row, length in enumerate(lengths):
        if length != lengths[0]:
            raise InvalidArgument(
                f"{field} is ragged: row {row} has {length} elements, row 0 has {lengths[0]}; give rows of one length"
            )


def _from_sequence(value: Sequence[Any], field: str) -> NDArray[Any]:
    """Nested lists, or a list of arrays or tensors, as an array; says which row is ragged."""
    if value and hasattr(value[0], "detach"):
        value = [_from_torch(item) if hasattr(item, "detach") else item for item in value]
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:  # NumPy says "inhomogeneous" but not where
        _require_one_length([len(row) if hasattr(row, "__len__") else 0 for row in value], field)
        raise InvalidArgument(f"{field} does not form an array of numbers: {error}") from error
    return _stacked(array, field) if array.dtype == object else array


def _stacked(array: NDArray[Any], field: str) -> NDArray[Any]:
    """An object array as numbers: a column of vectors is stacked, single objects must be real numbers."""
    if array.ndim == 1 and array.size and hasattr(array[0], "__len__") and not isinstance(array[0], (str, bytes, dict)):
        for row, item in enumerate(array):
            if not hasattr(item, "__len__") or isinstance(item, (str, bytes, dict)):
                raise InvalidArgument(f"{field}[{row}] is {_kind(item)}: every row must be a vector of numbers")
        _require_one_length([len(row) for row in array], field)
        return _to_array([np.asarray(row) for row in array], field)
    for index, item in np.ndenumerate(array):
        if isinstance(item, (bool, np.bool_)) or not isinstance(item, Real):
            place = "".join(f"[{i}]" for i in index)
            raise InvalidArgument(f"{field}{place} is {_kind(item)}: every element must be a real number")
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidArgument(f"{field} holds a number beyond the range of float32: {error}") from error


def _to_float32(array: NDArray[Any], field: str) -> NDArray[np.float32]:
    """Numbers of any type as float32, C-contiguous and aligned; the same object when they are that already."""
    if array.dtype == _FLOAT32:
        return np.require(array, requirements=("C", "A"))
    if array.dtype.kind not in _NUMBER_KINDS:
        if array.size == 0:
            return np.empty(array.shape, np.float32)
        raise InvalidArgument(f"{field} has dtype {array.dtype}, which is not real numbers: convert it to float32 first")
    with np.errstate(over="ignore"):
        narrow = np.ascontiguousarray(array, dtype=np.float32)
    if array.ndim == 0:
        return narrow.reshape(())
    if array.dtype.kind == "f" and array.dtype.itemsize > _FLOAT32.itemsize:
        overflow = () if np.isfinite(narrow).all() else np.isinf(narrow) & np.isfinite(array)
        if np.any(overflow):
            row = int(np.argwhere(overflow)[0][0])
            where = f"{field}[{row}]" if array.ndim > 1 else field
            raise InvalidArgument(f"{where} has a value beyond float32's range (about 3.4e38): scale the vectors down")
    return narrow

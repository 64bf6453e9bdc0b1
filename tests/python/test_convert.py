"""Anything that is numbers becomes float32 rows, once; what is float32 already is not touched."""

from __future__ import annotations

import array
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas
import pyarrow
import pytest
from dvesp import InvalidArgument, VectorStore, _native
from dvesp.arguments import check_ids, check_metadata
from dvesp.convert import as_matrix, as_query, as_row

ROWS = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
F32 = np.array(ROWS, np.float32)


class Tensor:
    """What this package uses of a torch tensor: detach, cpu, numpy, float."""

    def __init__(self, values: Any, *, bfloat16: bool = False, attached: bool = True) -> None:
        self.values, self.bfloat16, self.attached = np.asarray(values, np.float32), bfloat16, attached

    def __len__(self) -> int:
        return len(self.values)

    def detach(self) -> Tensor:
        return Tensor(self.values, bfloat16=self.bfloat16, attached=False)

    def cpu(self) -> Tensor:
        return self

    def float(self) -> Tensor:
        return Tensor(self.values, attached=self.attached)

    def numpy(self) -> Any:
        if self.attached or self.bfloat16:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.values


class ArrayLike:
    """An object that says nothing but how it becomes an array."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array(ROWS, dtype)


class Interface:
    """An object with the older array protocol."""

    def __init__(self) -> None:
        self.held = F32.copy()
        self.__array_interface__ = self.held.__array_interface__


def arrow_list(kind: Any, values: Any = ROWS) -> Any:
    return pyarrow.array(values, kind)


SOURCES: dict[str, Any] = {
    "list": ROWS,
    "tuple": tuple(map(tuple, ROWS)),
    "list of ints": [[1, 2, 3], [4, 5, 6]],
    "list of arrays": [np.array(row) for row in ROWS],
    "list of array.array": [array.array("d", row) for row in ROWS],
    "list of tensors": [Tensor(row) for row in ROWS],
    "fractions": [[Fraction(value) for value in row] for row in ROWS],
    "float64": F32.astype(np.float64),
    "float16": F32.astype(np.float16),
    "longdouble": F32.astype(np.longdouble),
    "int8": F32.astype(np.int8),
    "uint64": F32.astype(np.uint64),
    "big endian": F32.astype(">f4"),
    "fortran order": np.asfortranarray(F32),
    "strided": np.repeat(F32, 2, axis=1)[:, ::2],
    "reversed": F32[::-1][::-1],
    "object": F32.astype(object),
    "masked without mask": np.ma.masked_array(F32),
    "tensor": Tensor(F32),
    "bfloat16 tensor": Tensor(F32, bfloat16=True),
    "array protocol": ArrayLike(),
    "array interface": Interface(),
    "memoryview": memoryview(F32),
    "arrow fixed-size list": arrow_list(pyarrow.list_(pyarrow.float32(), 3)),
    "arrow float64 list": arrow_list(pyarrow.list_(pyarrow.float64(), 3)),
    "arrow sliced list": arrow_list(pyarrow.list_(pyarrow.float32(), 3), [[9, 9, 9], *ROWS, [9, 9, 9]])[1:3],
    "arrow list": arrow_list(pyarrow.list_(pyarrow.float32())),
    "arrow large list": arrow_list(pyarrow.large_list(pyarrow.float64())),
    "arrow chunked": pyarrow.chunked_array([arrow_list(pyarrow.list_(pyarrow.float32(), 3), [row]) for row in ROWS]),
    "pandas frame": pandas.DataFrame(ROWS),
    "pandas column of lists": pandas.Series(ROWS),
    "pandas column of arrays": pandas.Series([np.array(row, np.float32) for row in ROWS]),
}


@pytest.mark.parametrize("name", SOURCES)
def test_source_of_vectors_becomes_the_same_rows(name: str) -> None:
    converted = as_matrix(SOURCES[name], "vectors")
    assert converted.dtype == np.float32 and converted.flags.c_contiguous and converted.flags.aligned
    assert converted.tolist() == ROWS


@pytest.mark.parametrize("name", SOURCES)
def test_source_of_vectors_is_stored(store: VectorStore, name: str) -> None:
    store.insert(SOURCES[name], ids=["a", "b"])
    assert [record.vector.tolist() for record in store.get(["a", "b"]) if record is not None] == ROWS


def test_float32_rows_pass_through_untouched() -> None:
    assert as_matrix(F32, "vectors") is F32
    assert as_row(F32[0], "vector").base is F32 and np.shares_memory(as_query(F32[1]), F32)
    tensor = Tensor(F32)
    assert np.shares_memory(as_matrix(tensor, "vectors"), tensor.values)
    column = arrow_list(pyarrow.list_(pyarrow.float32(), 3))
    assert as_matrix(column, "vectors").ctypes.data == column.flatten().buffers()[1].address
    frozen = F32.copy()
    frozen.flags.writeable = False
    assert as_matrix(frozen, "vectors") is frozen


def test_contiguous_vectors_are_copied_once_from_numpy() -> None:
    store = VectorStore()
    vectors = np.random.default_rng(0).standard_normal((1000, 32)).astype(np.float32)
    before = _native.vector_bytes_copied()
    store.insert(vectors)
    assert _native.vector_bytes_copied() - before == vectors.nbytes


REFUSED: dict[str, tuple[Any, str]] = {
    "none": (None, "None"),
    "text": ("abc", "str"),
    "bytes": (b"abc", "bytes"),
    "dict": ({"a": 1}, "dict"),
    "set": ({1, 2}, "set"),
    "number": (5, "shape"),
    "ragged": ([[1, 2], [3]], "row 1 has 1"),
    "ragged arrays": ([np.ones(3), np.ones(3), np.ones(2)], "row 2 has 2"),
    "ragged objects": (pandas.Series([[1, 2], [3]]), "row 1 has 1"),
    "ragged arrow": (arrow_list(pyarrow.list_(pyarrow.float32()), [[1, 2], [3]]), "row 1 has 1"),
    "mixed depth": ([[1, 2], 3], "vectors"),
    "texts": ([["1", "2"]], "dtype"),
    "none inside": ([[1, None]], "[0][1]"),
    "decimal": ([[Decimal(1)]], "Decimal"),
    "booleans": (np.ones((2, 2), bool), "bool"),
    "boolean objects": (np.array([[1.0, True]], object), "bool"),
    "complex": (np.ones((2, 2), np.complex64), "complex"),
    "dates": (np.zeros((2, 2), "M8[s]"), "datetime"),
    "structured": (np.zeros(2, [("a", "f4")]), "dtype"),
    "one vector": ([1.0, 2.0], "[n, d]"),
    "three dimensions": (np.ones((2, 2, 2)), "[2, 2, 2]"),
    "no rows": (np.empty((0, 3)), "[0, 3]"),
    "no columns": (np.empty((3, 0)), "[3, 0]"),
    "empty list": ([], "shape"),
    "empty rows": ([[], []], "shape"),
    "masked": (np.ma.masked_array(F32, mask=F32 > 5), "masked"),
    "float64 beyond float32": ([[1.0, 1.0], [1.0, 1e39]], "[1]"),
    "huge int": ([[10**400]], "range"),
    "arrow null row": (arrow_list(pyarrow.list_(pyarrow.float32(), 2), [[1, 2], None]), "[1] is null"),
    "arrow null element": (arrow_list(pyarrow.list_(pyarrow.float32(), 2), [[1, None]]), "null"),
    "arrow text": (pyarrow.array(["a", "b"]), "vectors"),
    "pandas text": (pandas.Series(["a", "b"]), "vectors"),
    "object": (object(), "object"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_matrix_is_refused_with_the_field_and_the_reason(name: str) -> None:
    value, words = REFUSED[name]
    with pytest.raises(InvalidArgument) as caught:
        as_matrix(value, "vectors")
    assert "vectors" in str(caught.value) and words in str(caught.value), str(caught.value)


def test_single_vectors_may_have_one_row() -> None:
    assert as_query([[1, 2]]).tolist() == as_query([1, 2]).tolist() == [[1, 2]]
    assert as_row(np.array([[1, 2]]), "vector").tolist() == [1, 2]
    for wrong in ([[1, 2], [3, 4]], [], [[]], 5, "ab", [[[1]]]):
        with pytest.raises(InvalidArgument, match="query_vector"):
            as_query(wrong)
        with pytest.raises(InvalidArgument, match="vector"):
            as_row(wrong, "vector")


def test_small_float64_values_round_like_numpy() -> None:
    values = [[1e-50, 1 / 3, 3.4e38]]
    assert as_matrix(values, "vectors").tobytes() == np.array(values).astype(np.float32).tobytes()


@pytest.mark.parametrize(
    "ids", [["a", "b"], ("a", "b"), np.array(["a", "b"]), np.array(["a", "b"], object), pandas.Series(["a", "b"])]
)
def test_ids_come_from_any_sequence_of_str(ids: Any) -> None:
    assert check_ids(ids) == ["a", "b"] and {type(id) for id in check_ids(ids)} == {str}


def test_ids_come_from_arrow_iterators_and_one_str() -> None:
    assert check_ids(pyarrow.array(["a", "b"])) == check_ids(iter(["a", "b"])) == ["a", "b"]
    assert check_ids([np.str_("a")]) == check_ids("a", single=True) == ["a"]
    for wrong in ("a", 5, None, b"a", {"a": 1}, [1], ["a", None], pandas.Series([1, 2])):
        with pytest.raises(InvalidArgument, match="ids"):
            check_ids(wrong)


def test_metadata_comes_from_rows_and_frames() -> None:
    wanted = [{"n": 1, "t": "a"}, {"n": 2, "t": "b"}]
    frame = pandas.DataFrame(wanted)
    for source in (wanted, tuple(wanted), frame, pyarrow.Table.from_pandas(frame), pandas.Series(wanted), iter(wanted)):
        assert check_metadata(source, 2) == wanted
    assert check_metadata([None, {}], 2) == [None, {}] and check_metadata(None, 2) is None
    for wrong in ({"n": 1}, "ab", 5, [{}], [{}, 1], [{}, [("n", 1)]], frame[:1]):
        with pytest.raises(InvalidArgument, match="metadata"):
            check_metadata(wrong, 2)


def test_frame_of_metadata_is_stored_with_its_rows(store: VectorStore) -> None:
    frame = pandas.DataFrame({"n": [1, 2], "flag": [True, False], "x": [0.5, 1.5], "t": ["a", None]}).astype({"t": object})
    store.insert(ROWS, frame, ["a", "b"])
    assert store.count(filter={"n": 1, "flag": True, "x": 0.5, "t": "a"}) == 1

"""Filters mean what the contract says: every operator against a plain Python evaluator, in the head, flushed and compacted."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvesp import VectorStore
from filter_model import matches
from hypothesis import given, settings
from hypothesis import strategies as st

DATES = ["2023-12-31", "2024-01-01T00:00:00Z", "2024-06-15", "2025-01-01"]
SCALARS: list[Any] = [None, True, False, 0, 1, 2, 1.0, 2.5, -3, 10**12, "", "a", "ab", "1", "é", "文字", *DATES]
FIELDS: list[dict[str, Any] | None] = [
    None,
    {},
    *({"x": value} for value in SCALARS),
    *({"x": [first, second]} for first, second in itertools.combinations([1, "a", None, True, 2.5, "é"], 2)),
    {"x": []},
    {"x": [[1, 2], [3]]},
    *({"x": {"y": value}} for value in SCALARS[:9]),
    {"x": {"y": {"z": "deep"}}},
    *({"x": i % 7, "y": f"name-{i}", "flag": i % 2 == 0, "tags": ["t" + str(i % 3), "all"]} for i in range(200)),
]
IDS = [f"r{i:04d}" for i in range(len(FIELDS))]


def fill(store: VectorStore) -> VectorStore:
    vectors = np.random.default_rng(1).standard_normal((len(FIELDS), 4)).astype(np.float32)
    half = len(FIELDS) // 2
    store.insert(vectors[:half], FIELDS[:half], IDS[:half])
    store.insert(vectors[half:], FIELDS[half:], IDS[half:])
    return store


@pytest.fixture(scope="module", params=["head", "flushed", "compacted", "mixed", "reopened"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VectorStore]:
    """The same records, wherever a store can hold them."""
    path: Path | None = tmp_path_factory.mktemp("filters") / "store" if request.param == "reopened" else None
    store = fill(VectorStore(path))
    if request.param == "mixed":
        store.flush()
        store.update(IDS[50], metadata=FIELDS[50] or {})
        store.upsert([[9.0, 9.0, 9.0, 9.0]], [FIELDS[3]], [IDS[3]])
    elif request.param != "head":
        store.flush()
    if request.param == "compacted":
        store.compact()
    if request.param == "reopened":
        store.close()
        store = VectorStore(path)
    yield store
    store.close()


def expected(filter: dict[str, Any]) -> set[str]:
    return {id for id, metadata in zip(IDS, FIELDS, strict=True) if matches(filter, metadata)}


def assert_means_what_it_says(store: VectorStore, filter: dict[str, Any]) -> None:
    wanted = expected(filter)
    assert store.count(filter=filter) == len(wanted)
    assert {record.id for record in store.scroll(filter=filter)} == wanted
    found = [match.id for match in store.search([1, 2, 3, 4], top_k=1000, filter=filter, include_vectors=False)]
    assert len(found) == len(set(found)) and set(found) == wanted


OPERATORS = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$contains"]
CASES: list[dict[str, Any]] = [
    *({"x": value} for value in SCALARS),
    *({"x": {op: value}} for op in OPERATORS for value in SCALARS if op in ("$eq", "$ne") or type(value) in (int, float, str)),
    *({"x": {op: values}} for op in ("$in", "$nin") for values in ([], [1], [1, "a", None], [True], [2.5, "2"])),
    *({"x": {"$exists": flag}} for flag in (True, False)),
    *({"x.y": {"$exists": flag}} for flag in (True, False)),
    {"x.y": 1},
    {"x.y": {"$ne": 1}},
    {"x.y.z": "deep"},
    {"x.y.z.more": {"$exists": True}},
    {"x": [1, "a"]},
    {"x": {"$eq": []}},
    {"x": {"$ne": [1, "a"]}},
    {"x": {"$contains": True}},
    {"x": {"$contains": None}},
    {"x": {"$gte": 1, "$lt": 3}},
    {"x": {"$gte": "2024", "$lt": "2025"}},
    {"x": 3, "flag": True},
    {"tags": "t1", "y": {"$contains": "-1"}},
    {"tags": {"$in": ["t1", "t2"]}},
    {"tags": {"$nin": ["t1", "t2"]}},
    {"$and": [{"x": {"$gt": 1}}, {"flag": False}]},
    {"$or": [{"x": 1}, {"x": "a"}, {"tags": "t0"}]},
    {"$not": {"x": {"$exists": True}}},
    {"$not": {"$or": [{"x": 1}, {"flag": True}]}},
    {"$and": [{"$or": [{"x": 1}, {"x": 2}]}, {"$not": {"flag": True}}], "y": {"$exists": True}},
    {"absent": None},
    {"absent": {"$ne": None}},
    {"absent": {"$nin": [1]}},
]


@pytest.mark.parametrize("filter", CASES, ids=str)
def test_filter_selects_what_the_model_selects(filled: VectorStore, filter: dict[str, Any]) -> None:
    assert_means_what_it_says(filled, filter)


scalars = st.sampled_from(SCALARS)
comparable = st.sampled_from([value for value in SCALARS if type(value) in (int, float, str)])
conditions = st.one_of(
    scalars,
    st.fixed_dictionaries({}, optional={"$eq": scalars, "$ne": scalars, "$in": st.lists(scalars, max_size=4)}).filter(bool),
    st.fixed_dictionaries({}, optional={"$gt": comparable, "$lte": comparable}).filter(bool),
    st.fixed_dictionaries({}, optional={"$nin": st.lists(scalars, max_size=4), "$exists": st.booleans()}).filter(bool),
    st.builds(lambda value: {"$contains": value}, scalars),
)
leaves = st.dictionaries(st.sampled_from(["x", "y", "flag", "tags", "x.y", "absent"]), conditions, min_size=1, max_size=2)
filters = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"$and": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"$or": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"$not": part}, inner),
    ),
    max_leaves=5,
)


@given(filter=filters)
@settings(max_examples=60)
def test_filter_drawn_at_random_selects_what_the_model_selects(filled: VectorStore, filter: dict[str, Any]) -> None:
    assert_means_what_it_says(filled, filter)


@pytest.mark.parametrize("where", ["head", "flushed", "compacted"])
@pytest.mark.parametrize("filter", [{"x": 1}, {"flag": True}, {"$not": {"tags": "t1"}}, {"x": {"$gte": 3}}], ids=str)
def test_delete_by_filter_removes_exactly_what_matches(filter: dict[str, Any], where: str) -> None:
    with fill(VectorStore()) as store:
        if where != "head":
            store.flush()
        if where == "compacted":
            store.compact()
        assert store.delete(filter=filter).deleted == len(expected(filter))
        assert {record.id for record in store.scroll()} == set(IDS) - expected(filter)
        assert store.count(filter=filter) == 0 and store.verify().ok


def test_large_set_of_values_selects_its_members(store: VectorStore) -> None:
    store.insert(np.ones((500, 2), np.float32), [{"n": i} for i in range(500)])
    assert store.count(filter={"n": {"$in": list(range(100, 100_100))}}) == 400
    assert store.count(filter={"n": {"$nin": list(range(100, 100_100))}}) == 100


def test_empty_filter_matches_everything(store: VectorStore) -> None:
    store.insert([[1.0], [2.0]], [{"n": 1}, None])
    assert store.count(filter={}) == 2 and len(store.search([1.0], filter={})) == 2


def test_filter_selectivity_keeps_recall(store: VectorStore) -> None:
    vectors = np.random.default_rng(3).standard_normal((5000, 16)).astype(np.float32)
    store.insert(vectors, [{"n": i} for i in range(5000)], [str(i) for i in range(5000)])
    store.compact()
    queries = np.random.default_rng(4).standard_normal((20, 16)).astype(np.float32)
    for bound in (5, 50, 500, 2500, 5000):
        found = store.search_batch(queries, filter={"n": {"$lt": bound}}, include_vectors=False).ids
        units = vectors[:bound] / np.linalg.norm(vectors[:bound], axis=1, keepdims=True)
        nearest = np.argsort(-(queries @ units.T), axis=1)[:, :10]
        hits = sum(len({str(i) for i in want} & set(got)) for want, got in zip(nearest, found, strict=True))
        assert hits >= 0.95 * nearest.size, f"recall {hits / nearest.size} at {bound} of 5000"

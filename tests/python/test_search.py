"""Search finds the nearest: exact against NumPy, in every metric, single and in batches, over shared memory."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from dvesp import BatchSearchResult, Match, VectorStore
from numpy.typing import NDArray

METRICS = ["cosine", "l2", "dot_product"]
N, D = 3000, 24


def distances(metric: str, rows: NDArray[Any], query: NDArray[Any]) -> NDArray[np.float64]:
    """The contract's three distances, in float64."""
    rows, query = rows.astype(np.float64), query.astype(np.float64)
    if metric == "l2":
        return np.asarray(np.sqrt(((rows - query) ** 2).sum(axis=1)))
    if metric == "dot_product":
        return np.asarray(-(rows @ query))
    return np.asarray(1 - (rows @ query) / (np.linalg.norm(rows, axis=1) * np.linalg.norm(query)))


@pytest.fixture(scope="module")
def data() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    random = np.random.default_rng(7)
    lengths = random.uniform(0.5, 3.0, (N, 1))  # so that the metrics disagree
    return (
        (random.standard_normal((N, D)) * lengths).astype(np.float32),
        random.standard_normal((30, D)).astype(np.float32),
    )


@pytest.mark.parametrize("where", ["head", "flushed", "compacted"])
@pytest.mark.parametrize("stored", METRICS)
def test_exact_search_equals_numpy_in_every_metric(data: Any, stored: str, where: str) -> None:
    vectors, queries = data
    with VectorStore() as store:
        docs = store.create_collection("docs", D, stored)
        docs.insert(vectors, ids=[str(i) for i in range(N)])
        if where != "head":
            docs.flush()
        if where == "compacted":
            docs.compact()
        for asked in (None, *METRICS):
            batch = docs.search_batch(queries, distance_metric=asked, params={"exact": True})
            for query, ids, found in zip(queries, batch.ids, batch.distances, strict=True):
                truth = distances(asked or stored, vectors, query)
                np.testing.assert_allclose(found, np.sort(truth)[:10], rtol=1e-5, atol=1e-5)
                np.testing.assert_allclose(truth[[int(id or -1) for id in ids]], found, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("index", ["hnsw", "ivf", "flat"])
@pytest.mark.parametrize("stored", METRICS)
def test_default_search_has_the_recall_promised_in_every_metric(data: Any, stored: str, index: str) -> None:
    vectors, queries = data
    with VectorStore() as store:
        docs = store.create_collection("docs", D, stored, index)
        docs.insert(vectors, ids=[str(i) for i in range(N)])
        docs.compact()
        for asked in METRICS:
            found = docs.search_batch(queries, distance_metric=asked, include_vectors=False).ids
            nearest = [np.argsort(distances(asked, vectors, query))[:10] for query in queries]
            hits = sum(len({str(i) for i in want} & set(got)) for want, got in zip(nearest, found, strict=True))
            assert hits >= 0.95 * 300, f"recall {hits / 300} of {asked} in {stored}"


def test_batch_and_single_search_agree(data: Any, store: VectorStore) -> None:
    vectors, queries = data
    store.insert(vectors, [{"n": i} for i in range(N)])
    batch = store.search_batch(queries, top_k=7, filter={"n": {"$lt": 2000}})
    assert isinstance(batch, BatchSearchResult) and len(batch) == len(queries)
    assert batch.distances.dtype == np.float32 and batch.distances.shape == (30, 7)
    assert batch.vectors is not None and batch.vectors.shape == (30, 7, D)
    for query, row in zip(queries, batch, strict=True):
        single = store.search(query, top_k=7, filter={"n": {"$lt": 2000}})
        assert [match.id for match in row] == [match.id for match in single]
        np.testing.assert_allclose([m.distance for m in row], [m.distance for m in single], rtol=1e-6)
        assert [match.metadata for match in row] == [match.metadata for match in single]
    assert store.query(queries[0], 7).results == store.search(queries[0], 7).results


def test_short_rows_end_in_none_and_inf(store: VectorStore) -> None:
    store.insert([[1.0, 0.0], [0.0, 1.0]], [{"n": 0}, {"n": 1}], ["a", "b"])
    batch = store.search_batch([[1.0, 0.1], [0.1, 1.0]], top_k=4)
    assert batch.ids == [["a", "b", None, None], ["b", "a", None, None]]
    assert np.isinf(batch.distances[:, 2:]).all() and np.isfinite(batch.distances[:, :2]).all()
    assert batch.metadata == [[{"n": 0}, {"n": 1}, None, None], [{"n": 1}, {"n": 0}, None, None]]
    assert batch.vectors is not None and not batch.vectors[:, 2:].any()
    assert [len(row) for row in batch] == [2, 2]
    nothing = store.search_batch([[1.0, 0.1]], top_k=2, filter={"n": 9})
    assert nothing.ids == [[None, None]] and np.isinf(nothing.distances).all()


def test_top_k_above_the_count_returns_all(store: VectorStore) -> None:
    store.insert(np.eye(5, dtype=np.float32))
    assert len(store.search(np.ones(5), top_k=1000).results) == 5
    assert len(store.search(np.ones(5), top_k=np.int64(3))) == 3  # type: ignore[arg-type]


def test_empty_collection_has_no_results(store: VectorStore) -> None:
    store.create_collection("docs", 2)
    assert store.search([1, 2], collection="docs").results == []
    assert store.search_batch([[1, 2]], top_k=1, collection="docs").ids == [[None]]
    assert store.count("docs") == 0 and list(store.scroll("docs")) == []


@pytest.mark.parametrize("where", ["head", "flushed", "compacted", "reopened"])
def test_stored_vectors_come_back_bit_identical(tmp_path: Any, where: str) -> None:
    odd = [np.float32(1e-45), np.float32(-0.0), np.float32(3.4e38), np.float32(1.1754944e-38), np.float32(1 / 3)]
    vectors = np.array([[*odd, i + 1] for i in range(50)], np.float32)
    store = VectorStore(tmp_path / "store")
    store.create_collection("docs", 6, "l2")
    store.insert(vectors, ids=[f"{i:02d}" for i in range(50)], collection="docs")
    if where != "head":
        store.flush()
    if where == "compacted":
        store.compact()
    if where == "reopened":
        store.close()
        store = VectorStore(tmp_path / "store")
    back = [record for record in store.get([f"{i:02d}" for i in range(50)], "docs") if record is not None]
    assert np.stack([record.vector for record in back]).tobytes() == vectors.tobytes()
    scrolled = sorted(store.scroll("docs"), key=lambda record: record.id)
    assert np.stack([record.vector for record in scrolled]).tobytes() == vectors.tobytes()
    match = store.search(vectors[3], 1, collection="docs")[0]
    assert match.vector is not None and match.vector.tobytes() == vectors[int(match.id)].tobytes()
    store.close()


def test_result_arrays_share_the_native_buffers(data: Any, store: VectorStore) -> None:
    vectors, queries = data
    store.insert(vectors[:100])
    batch = store.search_batch(queries, top_k=5)
    assert batch.vectors is not None
    for query, row in enumerate(batch):
        for rank, match in enumerate(row):
            assert match.vector is not None and np.shares_memory(match.vector, batch.vectors[query, rank])
    matches = store.search(queries[0]).results
    first = matches[0].vector
    assert first is not None and first.base is not None and first.dtype == np.float32
    assert all(match.vector is not None and match.vector.base is not None for match in matches)
    records = list(store.scroll())
    assert all(record.vector.base is not None for record in records)
    del batch, row, match
    assert np.isfinite([record.vector.sum() for record in records]).all()


def test_vectors_are_left_out_when_not_wanted(store: VectorStore) -> None:
    store.insert([[1.0, 2.0]], [{"n": 1}])
    assert store.search([1, 2], include_vectors=False)[0].vector is None
    assert store.search_batch([[1, 2]], include_vectors=False).vectors is None
    assert isinstance(store.search([1, 2])[0], Match)


def test_results_are_built_once_and_read_from_many_threads(store: VectorStore) -> None:
    store.insert(np.eye(50, dtype=np.float32))
    for _ in range(50):
        result = store.search(np.ones(50), top_k=50)
        seen: list[Any] = []
        threads = [threading.Thread(target=lambda r=result, s=seen: s.append(r.results)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(seen) == 4 and all(len(results) == 50 for results in seen)
    assert result.results is result.results


def test_deleted_and_replaced_records_are_never_found(store: VectorStore) -> None:
    store.insert(np.eye(4, dtype=np.float32), ids=["a", "b", "c", "d"])
    store.flush()
    store.delete("a")
    store.update("b", vector=[0, 0, 0, 1])
    assert {match.id for match in store.search([1, 0, 0, 0])} == {"b", "c", "d"}
    nearest = store.search([0, 0, 0, 1], top_k=2)
    assert {match.id for match in nearest} == {"b", "d"} and all(match.distance < 1e-6 for match in nearest)
    store.compact()
    assert {match.id for match in store.search([1, 0, 0, 0])} == {"b", "c", "d"}


@pytest.mark.parametrize("params", [{"ef": 200}, {"nprobe": 64}, {"exact": True}, {"recall": 0.99}, {}, {"ef": None}])
def test_search_params_are_accepted_by_every_index(params: dict[str, Any]) -> None:
    for index in ("hnsw", "ivf", "flat"):
        with VectorStore() as store:
            store.create_collection("docs", 4, index=index)
            store.insert(np.eye(4, dtype=np.float32), ids=list("abcd"), collection="docs")
            store.compact()
            assert store.search([1, 0, 0, 0], 1, params=params, collection="docs")[0].id == "a"


@pytest.mark.parametrize("dimension", [1, 2, 3, 7, 17, 255, 1536, 4096])
def test_every_dimension_works(store: VectorStore, dimension: int) -> None:
    vectors = np.random.default_rng(dimension).standard_normal((20, dimension)).astype(np.float32)
    store.create_collection("docs", dimension, "l2")
    store.insert(vectors, ids=[str(i) for i in range(20)], collection="docs")
    for row in (0, 19):
        match = store.search(vectors[row], 1, collection="docs")[0]
        assert match.id == str(row) and match.distance == pytest.approx(0, abs=1e-5)

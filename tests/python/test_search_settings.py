"""Recall of compacted collections for every top_k, and filters under an effort of the caller's, against exact searches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvesp import VectorStore

ROWS, DIMENSION, QUERIES = 30_000, 96, 60


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[VectorStore, Any]]:
    """A compacted store with a graph, and queries drawn like its rows."""
    random = np.random.default_rng(3)
    centers = random.standard_normal((200, DIMENSION), np.float32)
    chosen = random.integers(0, 200, ROWS + QUERIES)
    points = centers[chosen] + 0.6 * random.standard_normal((ROWS + QUERIES, DIMENSION), np.float32)
    directory: Path = tmp_path_factory.mktemp("settings")
    with VectorStore(directory / "store", progress=False) as opened:
        opened.upsert(points[:ROWS], [{"n": row} for row in range(ROWS)], [str(row) for row in range(ROWS)])
        opened.flush()
        opened.compact()
        yield opened, points[ROWS:]


def _ids(result: Any) -> list[list[str]]:
    return [[name for name in answer if name is not None] for answer in result.ids]


def _recall(store: VectorStore, queries: Any, top_k: int, params: dict[str, Any] | None, condition: Any = None) -> float:
    found = _ids(store.search_batch(queries, top_k=top_k, filter=condition, params=params))
    truth = _ids(store.search_batch(queries, top_k=top_k, filter=condition, params={"exact": True}))
    assert [len(answer) for answer in found] == [len(answer) for answer in truth]
    hits = sum(len(set(one) & set(other)) for one, other in zip(found, truth, strict=True))
    return hits / sum(len(answer) for answer in truth)


@pytest.mark.parametrize("top_k", [1, 2, 5, 10, 40, 100, 300])
def test_default_settings_find_the_neighbours_for_any_top_k(store: tuple[VectorStore, Any], top_k: int) -> None:
    assert _recall(*store, top_k, None) >= 0.97


@pytest.mark.parametrize("passing", [1, 5, 40, 300, 1000, 2500, 6000, 15_000])
@pytest.mark.parametrize("params", [None, {"ef": 64}])
def test_filters_keep_recall_and_count_whatever_effort_is_asked(
    store: tuple[VectorStore, Any], passing: int, params: dict[str, Any] | None
) -> None:
    rows = [row * 7919 % ROWS for row in range(passing)]
    condition = {"n": {"$in": rows}} if passing <= 1000 else {"n": {"$lt": passing}}
    assert _recall(*store, 10, params, condition) >= 0.95


@pytest.mark.parametrize("ef", [64, 128, 256])
def test_asked_ef_computes_its_pool_with_care(store: tuple[VectorStore, Any], ef: int) -> None:
    opened, queries = store
    asked = _recall(opened, queries, 10, {"ef": ef})
    assert asked >= 0.97 and asked >= _recall(opened, queries, 10, {"recall": 0.9})

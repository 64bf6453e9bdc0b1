"""The same ids from every instruction set, alone and in batches, before and after a reopen; exact searches everywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dvesp import VectorStore

ROWS, DIMENSION = 30_000, 48
SCRIPT = """
import json, sys
import numpy as np
from dvesp import VectorStore, _native
queries = np.load(sys.argv[2])
with VectorStore(sys.argv[1], progress=False) as store:
    by_index = store.search_batch(queries, top_k=10)
    exact = store.search_batch(queries, top_k=10, params={"exact": True})
    single = [[match.id for match in store.search(query, top_k=10)] for query in queries]
    filtered = store.search_batch(queries, top_k=10, filter={"n": {"$lt": 9}})
    answers = {"ids": by_index.ids, "exact": exact.ids, "single": single, "filtered": filtered.ids}
    answers["distances"] = np.asarray(by_index.distances).view(np.uint32).tolist()
print(json.dumps({"set": _native.instruction_set(), **answers}))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """What processes with different instruction sets find in one store."""
    directory = tmp_path_factory.mktemp("same")
    random = np.random.default_rng(8)
    centers = random.standard_normal((60, DIMENSION), np.float32)
    rows = centers[random.integers(0, 60, ROWS)] + 0.4 * random.standard_normal((ROWS, DIMENSION), np.float32)
    queries = centers[random.integers(0, 60, 40)] + 0.4 * random.standard_normal((40, DIMENSION), np.float32)
    np.save(directory / "queries.npy", queries)
    with VectorStore(directory / "store", progress=False) as store:
        store.upsert(rows, [{"n": number % 10} for number in range(ROWS)], [f"r{number}" for number in range(ROWS)])
        store.flush()
        store.compact()
    found = {}
    for name in ("portable", "avx2", "avx512", "neon"):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(directory / "store"), str(directory / "queries.npy")],
            env={**os.environ, "DVESP_KERNELS": name},
            capture_output=True,
            text=True,
            check=True,
        )
        answer = json.loads(done.stdout)
        found[answer.pop("set")] = answer
    return found


def test_every_instruction_set_finds_the_same_rows_at_the_same_distances(answers: dict[str, dict[str, object]]) -> None:
    assert "portable" in answers
    assert len(answers) >= 2, "this machine has no vector instructions that we know"
    for name, answer in answers.items():
        assert answer == answers["portable"], name


def test_single_searches_find_what_a_batch_finds(answers: dict[str, dict[str, object]]) -> None:
    for answer in answers.values():
        assert answer["single"] == answer["ids"]


def test_a_reopened_store_finds_what_it_found_before(tmp_path: Path) -> None:
    random = np.random.default_rng(9)
    rows = random.standard_normal((25_000, 32), np.float32)
    with VectorStore(tmp_path / "store", progress=False) as store:
        store.upsert(rows, None, [str(number) for number in range(len(rows))])
        store.flush()
        store.compact()
        before = store.search_batch(rows[:50] + 0.1, top_k=10)
        exact = store.search_batch(rows[:50] + 0.1, top_k=10, params={"exact": True})
    with VectorStore(tmp_path / "store", progress=False) as store:
        assert store.search_batch(rows[:50] + 0.1, top_k=10).ids == before.ids
        assert store.search_batch(rows[:50] + 0.1, top_k=10, params={"exact": True}).ids == exact.ids

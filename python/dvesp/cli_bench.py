"""The command ``bench``: how fast and how exact this machine is, on random vectors or on yours."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _native
from .arguments import METRICS
from .cli_common import Commands, UsageError, positive_int, print_json, print_table
from .convert import as_matrix
from .errors import InvalidArgument
from .store import VectorStore

__all__ = ["add_commands"]

BATCH_ROWS = 10_000
SEED = 1


def add_commands(commands: Commands) -> None:
    """Declares ``bench``."""
    summary = "Measure inserts, searches and recall on this machine, in a store of its own."
    bench = commands.add("bench", _bench, summary, "dvesp bench --rows 20000 --dimension 384")
    bench.add_argument("--npy", metavar="FILE", type=Path, help="vectors to use instead of random ones")
    bench.add_argument("--rows", type=positive_int, default=10_000, help="vectors stored (default: %(default)s)")
    bench.add_argument("--dimension", type=positive_int, default=384, help="of random vectors (default: %(default)s)")
    bench.add_argument("--queries", type=positive_int, default=200, help="searches timed (default: %(default)s)")
    bench.add_argument("--metric", choices=METRICS, default="cosine", help="default: %(default)s")
    bench.add_argument("--memory", action="store_true", help="a store in memory instead of a directory")


def _vectors(options: argparse.Namespace) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vectors to store and queries near some of them, so that there is something to find."""
    random = np.random.default_rng(SEED)
    if options.npy is None:
        matrix = random.standard_normal((options.rows, options.dimension), np.float32)
    else:
        if not options.npy.is_file():
            raise UsageError(f"there is no file {str(options.npy)!r}")
        matrix = as_matrix(np.load(options.npy, mmap_mode="r")[: options.rows], "--npy")
    picked = matrix[random.integers(0, len(matrix), options.queries)]
    noise = random.standard_normal(picked.shape, np.float32) * (picked.std(axis=1, keepdims=True) * 0.3)
    return matrix, picked + noise.astype(np.float32)


def _bench(options: argparse.Namespace) -> None:
    try:
        matrix, queries = _vectors(options)
    except InvalidArgument as error:
        raise UsageError(str(error)) from None
    with (
        tempfile.TemporaryDirectory(prefix="dvesp-bench-") as directory,
        VectorStore(None if options.memory else Path(directory) / "store", progress=False) as store,
    ):
        report = _measure(store, matrix, queries, options.metric)
    if options.json:
        print_json(report)
    else:
        print_table(("what", "measured"), [(name, _shown(value)) for name, value in report.items()])


def _shown(value: Any) -> str:
    return f"{value:,.3f}" if isinstance(value, float) else str(value)


def _measure(store: VectorStore, matrix: NDArray[np.float32], queries: NDArray[np.float32], metric: str) -> dict[str, Any]:
    """Inserts, compacts, searches one by one, and compares with the exact answer of the same store."""
    collection = store.create_collection("bench", matrix.shape[1], metric)
    ids = [str(row) for row in range(len(matrix))]
    began = time.perf_counter()
    for start in range(0, len(matrix), BATCH_ROWS):
        stop = start + BATCH_ROWS
        collection.insert(matrix[start:stop], ids=ids[start:stop], timeout_ms=60_000)
    insert_s = time.perf_counter() - began
    collection.compact()
    compact_s = time.perf_counter() - began - insert_s
    times_ms, found = [], []
    for query in queries:
        start_s = time.perf_counter()
        result = collection.search(query, include_vectors=False)
        times_ms.append((time.perf_counter() - start_s) * 1e3)
        found.append({match.id for match in result})
    exact = collection.search_batch(queries, include_vectors=False, params={"exact": True}, timeout_ms=600_000).ids
    wanted = [{id for id in row if id is not None} for row in exact]
    hits = sum(len(want & got) for want, got in zip(wanted, found, strict=True))
    return {
        "rows": len(matrix),
        "dimension": int(matrix.shape[1]),
        "metric": metric,
        "instruction_set": _native.instruction_set(),
        "insert_rows_per_s": len(matrix) / insert_s,
        "compact_s": compact_s,
        "search_p50_ms": float(np.percentile(times_ms, 50)),
        "search_p99_ms": float(np.percentile(times_ms, 99)),
        "searches_per_s": 1e3 / float(np.mean(times_ms)),
        "recall_at_10": hits / max(1, sum(map(len, wanted))),
    }

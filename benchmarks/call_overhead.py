"""What a call costs beside the search: single queries against batches, and Python against the native call inside it.

Single and batched searches ask for the same recall and take turns; CPU time of one thread. The native time of a call is what
its reply says (`metrics.time_ms`: validation, plan, search); the rest of the call's wall time is Python's.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import common
import numpy as np
import vectors
import workloads
from dvesp import VectorStore

TOP_K = 10


def main() -> int:
    """Measures and writes the report."""
    parser = common.parser("call_overhead", __doc__ or "")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--recalls", type=float, nargs="+", default=[0.95, 0.98, 0.99])
    options = parser.parse_args()
    if common.run_task(options, {"measure": lambda task: _measure(options, task)}):
        return 0
    task = {"name": "measure", "data": str(options.data) if options.data else None, "rows": options.rows}
    results = common.run_child(task | {"rounds": options.rounds, "recalls": options.recalls}, ["env", "DVESP_THREADS=1"])
    rows = [[recall, *values.values()] for recall, values in results["by_recall"].items()]
    header = ["recall asked", *next(iter(results["by_recall"].values()))]
    common.print_table("CPU us a query; overheads of wall time", header, rows)
    common.write_report(options, {"rows": options.rows, "rounds": options.rounds}, results)
    return 0


def _measure(options: Any, task: dict[str, Any]) -> dict[str, Any]:
    data = vectors.load(task["data"], task["rows"])
    with common.scratch(options) as directory, VectorStore(directory / "store", progress=False) as store:
        workloads.fill(store, data.rows)
        store.compact()
        by_recall = {str(recall): _turns(store, data, {"recall": recall}, task["rounds"]) for recall in task["recalls"]}
    return {"origin": data.origin, "by_recall": by_recall}


def _turns(store: VectorStore, data: vectors.Vectors, params: dict[str, Any], rounds: int) -> dict[str, float]:
    count = len(data.queries)
    single_us, batch_us, ratios, single_over_us, batch_over = [], [], [], [], []
    for _ in range(rounds):
        watch = common.Stopwatch()
        native_s = 0.0
        for query in data.queries:
            native_s += store.search(query, top_k=TOP_K, include_vectors=False, params=params).metrics.time_ms / 1e3
        single = watch.read()
        start = time.process_time()
        began = time.perf_counter()
        found = store.search_batch(data.queries, top_k=TOP_K, include_vectors=False, params=params)
        batch_wall_s, batch_cpu_s = time.perf_counter() - began, time.process_time() - start
        single_us.append(single["cpu_s"] / count * 1e6)
        batch_us.append(batch_cpu_s / count * 1e6)
        ratios.append(single["cpu_s"] / batch_cpu_s)
        single_over_us.append((single["wall_s"] - native_s) / count * 1e6)
        batch_over.append(1 - found.metrics.time_ms / 1e3 / batch_wall_s)
    return {
        "single us": float(np.median(single_us)),
        "batch us": float(np.median(batch_us)),
        "batch x faster": float(np.median(ratios)),
        "Python us a search": float(np.median(single_over_us)),
        "Python share of a batch": float(np.median(batch_over)),
    }


if __name__ == "__main__":
    sys.exit(main())

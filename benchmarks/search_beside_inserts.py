"""Searches while others insert: latencies of four searching threads, quiet and beside four inserting ones.

The store holds the rows, compacted; every searching thread asks one query after another with a short pause. Inserting threads
keep a fixed pace, fast enough that heads are sealed and segments merged meanwhile. A stall is a search of over 50 ms.
"""

from __future__ import annotations

import functools
import sys
import threading
import time
from typing import Any

import common
import numpy as np
import plots
import vectors
import workloads
from dvesp import VectorStore

TOP_K, STALL_S, PAUSE_S, BATCH = 10, 0.05, 0.002, 100


def main() -> int:
    """Measures both and writes the report."""
    parser = common.parser("search_beside_inserts", __doc__ or "")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=20, help="of each part")
    parser.add_argument("--searchers", type=int, default=4)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--rows-per-second", type=int, default=4000, help="inserted by all writers together")
    options = parser.parse_args()
    if common.run_task(options, {"measure": lambda task: _measure(options, task)}):
        return 0
    task = {"name": "measure", "data": str(options.data) if options.data else None, "rows": options.rows}
    task |= {"seconds": options.seconds, "searchers": options.searchers, "writers": options.writers}
    results = common.run_child(task | {"pace": options.rows_per_second})
    columns = ("count", "p50_ms", "p99_ms", "max_ms", "stalls")
    table = [[part, *[results[part].get(name) for name in columns]] for part in ("quiet", "busy")]
    common.print_table(f"searches, {results['inserted']:,} rows inserted beside the busy ones", ["part", *columns], table)
    print(
        f"p99 busy / quiet: {results['p99_ratio']:.2f}; insert of {BATCH}: {results['insert']}; {results['unfound']} not found"
    )
    common.write_report(options, {key: task[key] for key in ("rows", "seconds", "searchers", "writers")}, results)
    lines = {part: (results[part]["curve_ms"], results["shares"]) for part in ("quiet", "busy")}
    panel = plots.Panel("searches", "share", lines=lines, x_label="ms, at most", logarithmic=True)
    plots.save(options.plot, "Searching beside inserts", [panel])
    return 1 if results["unfound"] else 0


def _measure(options: Any, task: dict[str, Any]) -> dict[str, Any]:
    data = vectors.load(task["data"], task["rows"])
    shares = [0.5, 0.9, 0.99, 0.999, 1.0]
    with common.scratch(options) as directory, VectorStore(directory / "store", progress=False) as store:
        workloads.fill(store, data.rows)
        store.compact()
        results: dict[str, Any] = {"shares": shares, "origin": data.origin}
        for part in ("quiet", "busy"):
            stop = time.perf_counter() + task["seconds"]
            latencies: list[list[float]] = [[] for _ in range(task["searchers"])]
            inserts: list[list[float]] = [[] for _ in range(task["writers"] if part == "busy" else 0)]
            threads = [
                threading.Thread(target=_search, args=(store, data, number, stop, samples))
                for number, samples in enumerate(latencies)
            ]
            threads += [
                threading.Thread(target=_insert, args=(store, data, number, stop, samples, task["pace"] / task["writers"]))
                for number, samples in enumerate(inserts)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            every = np.concatenate([np.asarray(samples) for samples in latencies])
            results[part] = common.milliseconds(every) | {"stalls": int((every > STALL_S).sum())}
            results[part]["curve_ms"] = [float(np.quantile(every, share)) * 1e3 for share in shares]
            if part == "busy":
                results["insert"] = common.milliseconds([sample for samples in inserts for sample in samples])
                results["inserted"] = sum(len(samples) for samples in inserts) * BATCH
        results["p99_ratio"] = results["busy"]["p99_ms"] / results["quiet"]["p99_ms"]
        results["unfound"] = int(store.count() != task["rows"] + results["inserted"])
    return results


def _search(store: VectorStore, data: vectors.Vectors, number: int, stop: float, samples: list[float]) -> None:
    place = number * 97
    while time.perf_counter() < stop:
        query = data.queries[place % len(data.queries)]
        samples.append(common.timed(functools.partial(store.search, query, top_k=TOP_K, include_vectors=False)))
        place += 1
        time.sleep(PAUSE_S)


def _insert(
    store: VectorStore, data: vectors.Vectors, number: int, stop: float, samples: list[float], rows_per_second: float
) -> None:
    due, turn = time.perf_counter(), 0
    while due < stop:
        start = (number * 7919 + turn * BATCH) % (len(data.rows) - BATCH)
        rows = np.ascontiguousarray(np.roll(data.rows[start : start + BATCH], 1 + number, axis=1))
        names = [f"w{number}-{turn}-{row}" for row in range(BATCH)]
        samples.append(common.timed(functools.partial(store.insert, rows, None, names)))
        due, turn = due + BATCH / rows_per_second, turn + 1
        time.sleep(max(0.0, due - time.perf_counter()))


if __name__ == "__main__":
    sys.exit(main())

"""Filtered search beside unfiltered search and beside filtering afterwards: recall and CPU time by share of passing rows.

Filters: `rank < n` passes rows that lie anywhere (random), and `near < n` the rows nearest to one point (correlated: what
passes lies together, and most queries lie elsewhere). Filtering afterwards asks for so many rows without a filter that ten of
them pass, 1,000 at most, and keeps the ten nearest. One thread, default settings, a compacted store.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import common
import numpy as np
import plots
import vectors
from dvesp import VectorStore

SHARES = (0.0001, 0.001, 0.01, 0.05, 0.1, 0.2, 0.35, 0.5, 0.8)
TOP_K, TOP_K_MAX = 10, 1000
ROUNDS = 5


def main() -> int:
    """Measures all shares and writes the report."""
    parser = common.parser("filtered_search", __doc__ or "")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=300)
    options = parser.parse_args()
    if common.run_task(options, {"measure": lambda task: _measure(options, task)}):
        return 0
    task = {"name": "measure", "data": str(options.data) if options.data else None}
    result = common.run_child(task | {"rows": options.rows, "queries": options.queries}, ["env", "DVESP_THREADS=1"])
    header = list(result["rows"][0])
    title = f"{result['origin']}; unfiltered: {result['unfiltered']}"
    common.print_table(title, header, [[row[name] for name in header] for row in result["rows"]])
    common.write_report(options, {"rows": options.rows, "queries": options.queries, "top_k": TOP_K}, result)
    _plot(options.plot, result)
    return 0


def _measure(options: Any, task: dict[str, Any]) -> dict[str, Any]:
    data = vectors.load(task["data"], task["rows"])
    data = vectors.Vectors(data.rows, data.queries[: task["queries"]], data.origin)
    count = len(data.rows)
    ranks = vectors.ranks(count)
    nearness = np.argsort(np.argsort(vectors.distances(data.rows, data.rows[7], "cosine")))
    with common.scratch(options) as directory, VectorStore(directory / "store", progress=False) as store:
        store.create_collection("default", data.rows.shape[1], "cosine")
        for start in range(0, count, 10_000):
            stop = min(count, start + 10_000)
            documents = [{"rank": int(ranks[row]), "near": int(nearness[row])} for row in range(start, stop)]
            store.upsert(data.rows[start:stop], documents, [str(row) for row in range(start, stop)])
        store.flush()
        store.compact()
        truth = vectors.Truth(data, "cosine", TOP_K)
        unfiltered = _timed(lambda query: store.search(query, top_k=TOP_K, include_vectors=False), data, truth)
        rows = []
        for field, order in (("rank", ranks), ("near", nearness)):
            for share in SHARES:
                rows.append({"filter": field, "share": share, **_one(store, data, field, order, share, unfiltered)})
    return {"origin": data.origin, "unfiltered": unfiltered, "rows": rows}


def _one(store: Any, data: vectors.Vectors, field: str, order: Any, share: float, unfiltered: Any) -> dict[str, Any]:
    limit = max(TOP_K, round(share * len(data.rows)))
    passing = order < limit
    truth = vectors.Truth(data, "cosine", TOP_K, passing)
    condition = {field: {"$lt": limit}}
    filtered = _timed(lambda query: store.search(query, top_k=TOP_K, filter=condition, include_vectors=False), data, truth)
    asked = min(TOP_K_MAX, round(1.5 * TOP_K / share))
    after = _timed(lambda query: store.search(query, top_k=asked, include_vectors=False), data, truth, passing)
    return {
        "recall": filtered["recall"],
        "p50_us": filtered["p50_us"],
        "times unfiltered": filtered["p50_us"] / unfiltered["p50_us"],
        "afterwards: recall": after["recall"],
        "afterwards: p50_us": after["p50_us"],
        "times faster": after["p50_us"] / filtered["p50_us"],
    }


def _timed(ask: Callable[[Any], Any], data: vectors.Vectors, truth: vectors.Truth, passing: Any = None) -> dict[str, float]:
    """The median over queries of each query's fastest round, in CPU microseconds."""
    fastest = np.full(len(data.queries), np.inf)
    found: list[list[int]] = []
    for number in range(ROUNDS):
        for index, query in enumerate(data.queries):
            before = time.thread_time_ns()
            matches = ask(query)
            if passing is not None:
                kept = [int(match.id) for match in matches if passing[int(match.id)]][:TOP_K]
            fastest[index] = min(fastest[index], (time.thread_time_ns() - before) / 1e3)
            if number == 0:
                found.append(kept if passing is not None else [int(match.id) for match in matches])
    return {"recall": truth.recall(found), "p50_us": float(np.median(fastest))}


def _plot(path: Any, result: dict[str, Any]) -> None:
    panels = []
    for field, title in (("rank", "rows anywhere pass"), ("near", "rows near one point pass")):
        rows = [row for row in result["rows"] if row["filter"] == field]
        shares = [row["share"] for row in rows]
        lines = {
            "filtered": (shares, [row["p50_us"] for row in rows]),
            "filtered afterwards": (shares, [row["afterwards: p50_us"] for row in rows]),
            "unfiltered": (shares, [result["unfiltered"]["p50_us"]] * len(rows)),
        }
        panels.append(plots.Panel(title, "CPU us a search, median", lines=lines, x_label="share passing", logarithmic=True))
    plots.save(path, "Filtered search, one thread", panels)


if __name__ == "__main__":
    sys.exit(main())

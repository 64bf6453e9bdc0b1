"""Recall@10 with default settings in every state of a collection: in the head, half sealed, sealed, compacted.

The states "head" and "half" hold as many rows as a head takes before it is sealed, and twice as many; the others hold all.
Metrics: each on a collection of its own, and any asked on a cosine collection. Filters: 0.01 % to 50 % of the rows.
The truth is exact (NumPy, float64), ties count as found.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import common
import numpy as np
import plots
import vectors
import workloads
from dvesp import VectorStore

METRICS = ("cosine", "l2", "dot_product")
STATES = ("head", "half", "sealed", "compacted")
SHARES = (0.0001, 0.001, 0.01, 0.1, 0.5)
HEAD_FLOATS_MAX, HEAD_ROWS_MIN = 15_000 * 384, 4000  # just below the size at which a head is sealed
DATASETS = ("embeddings", "embeddings of varied length", "gaussian 1536-d")


def main() -> int:
    """Measures all states and writes the report."""
    options = _options()
    results: dict[str, Any] = {"unfiltered": [], "filtered": []}
    with common.scratch(options) as directory:
        for name in DATASETS:
            data = _dataset(options, name)
            metrics = METRICS if options.metrics == "all" else (options.metrics,)
            truths = {metric: vectors.Truth(data, metric) for metric in METRICS}
            for metric in metrics:
                measured = _measure_metric(directory, name, data, metric, truths, name == DATASETS[0])
                for kind, rows in measured.items():
                    results[kind] += rows
        if options.large:
            results["unfiltered"] += _large(directory, options)
    _show(results)
    parameters = {"rows": options.rows, "queries": options.queries, "seed": vectors.SEED, "large": options.large}
    common.write_report(options, parameters, results)
    _plot(options.plot, results)
    return 0


def _options() -> Any:
    parser = common.parser("recall_states", __doc__ or "")
    parser.add_argument(
        "--rows", type=int, default=30_000, help="embeddings in the states sealed and compacted; 60,000 for figures to quote"
    )
    parser.add_argument("--gaussian-rows", type=int, default=10_000, help="1536-d rows; 20,000 for figures to quote")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--metrics", choices=("all", *METRICS), default="all")
    parser.add_argument("--large", action="store_true", help="also 100,000 Gaussian rows of 1536-d, compacted")
    return parser.parse_args()


def _dataset(options: Any, name: str) -> vectors.Vectors:
    if name == DATASETS[2]:
        return vectors.gaussian(options.gaussian_rows, 1536).head(options.gaussian_rows, options.queries)
    data = vectors.load(options.data, options.rows).head(options.rows, options.queries)
    return data if name == DATASETS[0] else vectors.with_norms(data)


def _measure_metric(
    directory: Path, name: str, data: vectors.Vectors, metric: str, truths: dict[str, vectors.Truth], with_filters: bool
) -> dict[str, list[dict[str, Any]]]:
    """All three states of one collection; the cosine one is asked for every metric."""
    asked = METRICS if metric == "cosine" else (metric,)
    filtered = with_filters and metric == "cosine"
    measured: dict[str, list[dict[str, Any]]] = {"unfiltered": [], "filtered": []}
    for state in STATES:
        with VectorStore(directory / f"{name}-{metric}-{state}", progress=False) as store:
            store.create_collection("default", data.rows.shape[1], metric)
            row_count, sealed = _rows_in(state, *data.rows.shape)
            ranks = vectors.ranks(row_count)
            metadata = functools.partial(_document, ranks) if filtered else None
            _bring_to(store, data.rows[:row_count], sealed, state, metadata)
            now = data.head(row_count, len(data.queries))
            for wanted in asked:
                truth = truths[wanted] if row_count == len(data.rows) else vectors.Truth(now, wanted)
                label = {"data": name, "state": state, "collection_metric": metric, "metric": wanted}
                measured["unfiltered"].append({**label, **_ask(store, now, truth, wanted, {})})
                if state == "compacted" and wanted != metric:  # the first search of a metric orders its graph
                    store.compact()
                    again = {**label, "state": "compacted again", **_ask(store, now, truth, wanted, {})}
                    measured["unfiltered"].append(again)
            if filtered:
                measured["filtered"] += _ask_filters(store, now, state, ranks)
    return measured


def _document(ranks: Any, row: int) -> dict[str, Any]:
    return {"rank": int(ranks[row])}


def _rows_in(state: str, row_count: int, dimension: int) -> tuple[int, int]:
    """How many rows the collection holds in `state`, and how many of them, the first, are sealed."""
    head_rows = min(row_count // 2, max(HEAD_ROWS_MIN, HEAD_FLOATS_MAX // dimension))
    return {"head": (head_rows, 0), "half": (2 * head_rows, head_rows)}.get(state, (row_count, row_count))


def _bring_to(store: Any, rows: Any, sealed: int, state: str, metadata: Any) -> None:
    if sealed:
        workloads.fill(store, rows[:sealed], metadata=metadata)
        store.flush()
        workloads.wait_until_indexed(store, "default")
    workloads.fill(store, rows[sealed:], first=sealed, metadata=metadata)
    if state == "compacted":
        store.compact()
    unsealed = store.describe("default").head_rows
    if unsealed != len(rows) - sealed:
        print(f"warning: state {state} has {unsealed} of {len(rows)} rows in the head", file=sys.stderr)


def _ask(store: Any, data: vectors.Vectors, truth: vectors.Truth, metric: str, arguments: dict[str, Any]) -> dict[str, Any]:
    workloads.search_each(store, data.queries[:20], distance_metric=metric, **arguments)
    seconds, found = workloads.search_each(store, data.queries, distance_metric=metric, **arguments)
    info = store.describe("default")
    rows = {"rows": info.count, "head_rows": info.head_rows, "indexed_rows": info.indexed_rows, "segments": info.segments}
    return {"recall_at_10": round(truth.recall(found), 5), **common.milliseconds(seconds), **rows}


def _ask_filters(store: Any, data: vectors.Vectors, state: str, ranks: Any) -> list[dict[str, Any]]:
    measured = []
    for share in SHARES:
        bound = max(1, round(share * len(ranks)))
        passing = ranks < bound
        truth = vectors.Truth(data, "cosine", passing=passing)
        answer = _ask(store, data, truth, "cosine", {"filter": {"rank": {"$lt": bound}}})
        measured.append({"state": state, "share": share, "passing": int(np.count_nonzero(passing)), **answer})
    return measured


def _large(directory: Path, options: Any) -> list[dict[str, Any]]:
    data = vectors.gaussian(100_000, 1536, options.queries)
    with VectorStore(directory / "large", progress=False) as store:
        workloads.fill(store, data.rows)
        watch = common.Stopwatch()
        store.compact()
        label = {"data": "gaussian 1536-d, 100k", "state": "compacted", "collection_metric": "cosine", "metric": "cosine"}
        return [{**label, **_ask(store, data, vectors.Truth(data, "cosine"), "cosine", {}), "compact": watch.read()}]


def _show(results: dict[str, Any]) -> None:
    names = ("data", "collection_metric", "metric", "state", "rows", "recall_at_10", "p50_ms", "p99_ms", "indexed_rows")
    common.print_table("Unfiltered", names, [[row[name] for name in names] for row in results["unfiltered"]])
    names = ("state", "share", "passing", "recall_at_10", "p50_ms", "p99_ms")
    common.print_table("Filtered, cosine", names, [[row[name] for name in names] for row in results["filtered"]])


def _plot(path: Path, results: dict[str, Any]) -> None:
    panels = []
    for data in dict.fromkeys(row["data"] for row in results["unfiltered"]):
        rows = [row for row in results["unfiltered"] if row["data"] == data]
        bars = {f"{row['metric']} on {row['collection_metric']}, {row['state']}": row["recall_at_10"] for row in rows}
        panels.append(plots.Panel(data, "recall@10", bars, limits=(0.9, 1.02)))
    rows = results["filtered"]
    if rows:
        labels = [f"{row['share']:.2%} pass, {row['state']}" for row in rows]
        recalls = {label: row["recall_at_10"] for label, row in zip(labels, rows, strict=True)}
        times = {label: row["p50_ms"] for label, row in zip(labels, rows, strict=True)}
        panels.append(plots.Panel("filtered: recall", "recall@10", recalls, limits=(0.9, 1.02)))
        panels.append(plots.Panel("filtered: time", "p50 ms", times, logarithmic=True))
    plots.save(path, "Recall with default settings", panels)


if __name__ == "__main__":
    sys.exit(main())

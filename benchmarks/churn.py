"""Recall and search cost over generations of merges: each deletes and inserts 15 % of the rows (30 % churn) and compacts.

After the last generation a store is built afresh from the rows that are left; the old one is compared with it, searches taking
turns. One thread searches, default settings.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import common
import numpy as np
import plots
import vectors
from dvesp import VectorStore

TOP_K, ROUNDS = 10, 7


def main() -> int:
    """Runs all generations and writes the report."""
    parser = common.parser("churn", __doc__ or "")
    parser.add_argument("--rows", type=int, default=40_000, help="alive at any time")
    parser.add_argument("--generations", type=int, default=20)
    parser.add_argument("--queries", type=int, default=500)
    options = parser.parse_args()
    if common.run_task(options, {"measure": lambda task: _measure(options, task)}):
        return 0
    task = {"name": "measure", "data": str(options.data) if options.data else None, "queries": options.queries}
    task |= {"rows": options.rows, "generations": options.generations}
    result = common.run_child(task, timeout_s=3600)
    header = list(result["generations"][0])
    common.print_table(result["origin"], header, [[row[name] for name in header] for row in result["generations"]])
    last = result["last beside a rebuild"]
    common.print_table("the last generation beside a rebuild", list(last), [list(last.values())])
    common.write_report(options, {"rows": options.rows, "generations": options.generations}, result)
    numbers = [row["generation"] for row in result["generations"]]
    panels = [
        plots.Panel(title, unit, lines={"dvesp": (numbers, [row[name] for row in result["generations"]])}, x_label="merges")
        for title, unit, name in (("recall@10", "recall", "recall"), ("search", "CPU us", "search_us"))
    ]
    plots.save(options.plot, "20 merge generations, 30 % churn each", panels)
    return 0


def _measure(options: Any, task: dict[str, Any]) -> dict[str, Any]:
    data = vectors.load(task["data"], 100_000)
    queries = data.queries[: task["queries"]]
    random = np.random.default_rng(vectors.SEED)
    alive = list(range(task["rows"]))
    waiting = list(range(task["rows"], len(data.rows)))
    step = round(0.15 * task["rows"])
    generations = []
    with common.scratch(options) as directory:
        store = _filled(directory / "old", data.rows, alive)
        for number in range(task["generations"] + 1):
            if number > 0:
                leaving = random.choice(len(alive), step, replace=False)
                gone = [alive[index] for index in leaving]
                coming, waiting = waiting[:step], waiting[step:]
                waiting += gone
                kept = set(gone)
                alive = [row for row in alive if row not in kept] + coming
                store.delete([str(row) for row in gone])
                store.upsert(data.rows[coming], None, [str(row) for row in coming])
                store.flush()
                store.compact()
            truth = vectors.Truth(
                vectors.Vectors(data.rows, queries, data.origin), "cosine", TOP_K, _mask(alive, len(data.rows))
            )
            generations.append({"generation": number, **_searched(store, queries, truth)})
        fresh = _filled(directory / "new", data.rows, alive)
        pairs = [(_cpu_us(store, queries), _cpu_us(fresh, queries)) for _ in range(ROUNDS)]
        rebuilt = _searched(fresh, queries, truth)
        store.close()
        fresh.close()
    ratios = sorted(old / new for old, new in pairs)
    comparison = {
        "recall": generations[-1]["recall"],
        "recall of a rebuild": rebuilt["recall"],
        "CPU ratio, median": ratios[len(ratios) // 2],
        "least": ratios[0],
        "most": ratios[-1],
    }
    return {"origin": data.origin, "generations": generations, "last beside a rebuild": comparison}


def _filled(path: Any, rows: Any, chosen: list[int]) -> Any:
    store = VectorStore(path, progress=False)
    store.create_collection("default", rows.shape[1], "cosine")
    for start in range(0, len(chosen), 10_000):
        part = chosen[start : start + 10_000]
        store.upsert(rows[part], None, [str(row) for row in part])
    store.flush()
    store.compact()
    return store


def _mask(alive: list[int], count: int) -> Any:
    mask = np.zeros(count, bool)
    mask[alive] = True
    return mask


def _cpu_us(store: Any, queries: Any) -> float:
    before = time.process_time()
    store.search_batch(queries, top_k=TOP_K, include_vectors=False)
    return (time.process_time() - before) / len(queries) * 1e6


def _searched(store: Any, queries: Any, truth: vectors.Truth) -> dict[str, float]:
    found = store.search_batch(queries, top_k=TOP_K, include_vectors=False)
    recall = truth.recall([[int(name) for name in answer] for answer in found.ids])
    return {"recall": recall, "search_us": min(_cpu_us(store, queries) for _ in range(ROUNDS))}


if __name__ == "__main__":
    sys.exit(main())

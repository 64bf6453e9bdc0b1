"""Every operation of one store in a minute, one number each: the overview to compare commits by.

Runs against the installed or PYTHONPATH package; nothing here is a claim about peers. Compare two JSON files with --against.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import common
import numpy as np
import plots
import vectors
import workloads
from dvesp import VectorStore

SINGLE_S = 1.5


def main() -> int:
    """Measures, prints and writes the overview."""
    parser = common.parser("ops", __doc__ or "")
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", type=Path, default=None, metavar="FILE", help="an earlier report, to print ratios to")
    options = parser.parse_args()
    if common.run_task(options, {"work": _work, "open": _open, "hold": _hold, "import": _import}):
        return 0
    with common.scratch(options) as directory:
        data = vectors.load(options.data, options.rows).head(options.rows, options.queries)
        np.save(directory / "rows.npy", data.rows)
        np.save(directory / "queries.npy", data.queries)
        truth = vectors.Truth(data, "cosine")
        rounds = [_round(directory, number, truth) for number in range(options.rounds)]
    results = {name: _spread([one[name] for one in rounds]) for name in rounds[0]}
    earlier = json.loads(options.against.read_text())["results"] if options.against else {}
    rows = [[name, *value.values(), _ratio(value, earlier.get(name))] for name, value in results.items()]
    common.print_table(f"{options.rows:,} rows, {data.origin}", ("what", "median", "min", "max", "to the earlier"), rows)
    common.write_report(options, {"rows": options.rows, "rounds": options.rounds, "origin": data.origin}, results)
    bars = {name: tuple(value.values()) for name, value in results.items() if value["median"] > 0}
    plots.save(
        options.plot,
        "One store, every operation",
        [plots.Panel("median, min to max", "unit in the name", bars, logarithmic=True)],
    )
    return 0


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": float(np.median(values)), "min": min(values), "max": max(values)}


def _ratio(value: dict[str, float], earlier: dict[str, float] | None) -> float | None:
    return None if not earlier or not earlier["median"] else value["median"] / earlier["median"]


def _round(directory: Path, number: int, truth: vectors.Truth) -> dict[str, float]:
    task = {"directory": str(directory), "store": str(directory / f"store-{number}")}
    measured = common.run_child({**task, "name": "work"})
    found = {state: measured.pop(f"found_{state}") for state in ("unsealed", "compacted")}
    measured |= {f"recall_{state}": truth.recall(answer) for state, answer in found.items()}
    opened = [common.run_child({**task, "name": "open"}) for _ in range(3)]
    measured["open_ms"] = float(np.median([one["open_ms"] for one in opened]))
    measured["recovery_ms"] = _recovery_ms({**task, "store": str(directory / f"killed-{number}")})
    measured["import_ms"] = common.run_child({"name": "import"})["import_ms"]
    return measured


def _recovery_ms(task: dict[str, Any]) -> float:
    """Open time after kill -9 with everything unsealed."""
    with subprocess.Popen(common.child_command({**task, "name": "hold"}), stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        acknowledged = int(child.stdout.readline())
        child.kill()
    opened = common.run_child({**task, "name": "open"})
    if opened["count"] != acknowledged:
        raise RuntimeError(f"{acknowledged} rows were acknowledged, {opened['count']} are there after kill -9")
    return float(opened["open_ms"])


def _rows(task: dict[str, Any]) -> tuple[Any, Any]:
    place = Path(task["directory"])
    return np.load(place / "rows.npy", mmap_mode="r"), np.load(place / "queries.npy")


def _work(task: dict[str, Any]) -> dict[str, Any]:
    rows, queries = _rows(task)
    ranks = vectors.ranks(len(rows))
    answer: dict[str, Any] = {}
    with VectorStore(task["store"], progress=False) as store:
        store.insert(np.array(rows[:10]), collection="warm")
        gc.collect()
        before = workloads.memory_bytes()["RssAnon"]
        with workloads.MemoryWatch() as watch:
            seconds = workloads.fill(store, rows, metadata=lambda row: {"rank": int(ranks[row])})
        answer["insert_10k_ms"] = float(np.median(seconds)) * 1e3
        answer["load_memory_peak_to_raw"] = (watch.peak() - before) / rows.nbytes
        answer |= _searches(store, queries, len(rows), "unsealed")
        answer["flush_ms"] = common.timed(store.flush) * 1e3
        answer["compact_s"] = common.timed(store.compact)
        answer |= _searches(store, queries, len(rows), "compacted")
        answer["compacted_memory_to_raw"] = (workloads.memory_bytes()["RssAnon"] - before) / rows.nbytes
        answer |= _changes(store, np.array(rows[:2000]))
    answer["disk_bytes_to_raw"] = common.disk_bytes(Path(task["store"])) / rows.nbytes
    return answer


def _searches(store: Any, queries: Any, row_count: int, state: str) -> dict[str, Any]:
    workloads.search_each(store, queries[:50])
    seconds, found = workloads.search_each(store, queries)
    filtered, _ = workloads.search_each(store, queries[:100], filter={"rank": {"$lt": row_count // 100}})
    batch_s = common.timed(functools.partial(store.search_batch, queries, include_vectors=False))
    times, rare = common.milliseconds(seconds), common.milliseconds(filtered)
    return {
        f"search_{state}_p50_ms": times["p50_ms"],
        f"search_{state}_p99_ms": times["p99_ms"],
        f"search_{state}_filter_1pct_p50_ms": rare["p50_ms"],
        f"search_batch_{state}_per_s": len(queries) / batch_s,
        f"found_{state}": found,
    }


def _changes(store: Any, rows: Any) -> dict[str, float]:
    def insert(thread: int, number: int, kind: str = "one") -> None:
        store.insert(rows[number % len(rows)][None], [{"rank": -1}], [f"{kind}-{thread}-{number}"])

    one = workloads.repeat_for(SINGLE_S, 1, insert)
    eight = workloads.repeat_for(SINGLE_S, 8, functools.partial(insert, kind="eight"))
    updates = [common.timed(functools.partial(store.update, str(n), metadata={"rank": n})) for n in range(300)]
    deletes = [common.timed(functools.partial(store.delete, [str(n)])) for n in range(300, 600)]
    many_s = common.timed(lambda: store.delete([str(n) for n in range(1000, len(rows))]))
    gets = [common.timed(functools.partial(store.get, [str(n)])) for n in range(300)]
    return {
        "single_insert_per_s": one["per_s"],
        "single_insert_8_threads_per_s": eight["per_s"],
        "update_p50_ms": common.milliseconds(updates)["p50_ms"],
        "delete_p50_ms": common.milliseconds(deletes)["p50_ms"],
        "delete_1k_ms": many_s * 1e3,
        "get_p50_ms": common.milliseconds(gets)["p50_ms"],
        "count_filter_ms": common.timed(lambda: store.count(filter={"rank": {"$gte": 0}})) * 1e3,
        "scroll_rows_per_s": (lambda s: store.count() / s)(common.timed(lambda: sum(1 for _ in store.scroll()))),
        "verify_s": common.timed(store.verify),
    }


def _open(task: dict[str, Any]) -> dict[str, Any]:
    began_s = time.perf_counter()
    store = VectorStore(task["store"], progress=False)
    open_ms = (time.perf_counter() - began_s) * 1e3
    count = store.count()
    store.close()
    return {"open_ms": open_ms, "count": count}


def _hold(task: dict[str, Any]) -> dict[str, Any]:
    store = VectorStore(task["store"], progress=False)
    workloads.fill(store, _rows(task)[0])
    os.write(1, f"{store.count()}\n".encode())
    time.sleep(600)
    raise RuntimeError("nobody killed this process")


def _import(_: dict[str, Any]) -> dict[str, Any]:
    """Milliseconds of `import dvesp` beyond NumPy, in yet another process, which has imported nothing else."""
    code = "import time, numpy; t = time.perf_counter(); import dvesp; print((time.perf_counter() - t) * 1e3)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {"import_ms": float(done.stdout)}


if __name__ == "__main__":
    sys.exit(main())

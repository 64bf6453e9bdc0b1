"""Memory while loading, time to open, recovery after kill -9, and disk space after deletes; each in processes of their own.

Memory is RssAnon (file pages are the kernel's to take back), sampled every 5 ms, less what was resident before the first
insert, beside the bytes of the raw float32 vectors.
"""

from __future__ import annotations

import gc
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


def main() -> int:
    """Measures the four claims and writes the report."""
    parser = common.parser("memory_open", __doc__ or "")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--opens", type=int, default=10, help="fresh processes an open time is the median of")
    parser.add_argument("--recovery-rows", type=int, default=60_000, help="unsealed rows at kill -9")
    parser.add_argument("--million", action="store_true", help="also 1,000,000 rows of 64-d")
    options = parser.parse_args()
    tasks = {"memory": _memory, "build": _build, "open": _open, "load_and_wait": _load_and_wait, "shrink": _shrink}
    if common.run_task(options, tasks):
        return 0
    with common.scratch(options) as directory:
        data = vectors.load(options.data, options.rows)
        rows_file = directory / "rows.npy"
        np.save(rows_file, data.rows)
        base = {"rows_file": str(rows_file), "directory": str(directory)}
        results: dict[str, Any] = {"origin": data.origin}
        results["memory"] = common.run_child({**base, "name": "memory"})
        results["open"] = _measure_opens(options, base)
        results["recovery"] = _measure_recovery({**base, "rows": options.recovery_rows}, options.opens)
        results["disk"] = common.run_child({**base, "name": "shrink"})
    _show(results)
    parameters = {"rows": options.rows, "opens": options.opens, "recovery_rows": options.recovery_rows}
    common.write_report(options, {**parameters, "million": options.million}, results)
    _plot(options.plot, results)
    return 0


# --- memory ---


def _memory(task: dict[str, Any]) -> dict[str, Any]:
    rows = np.load(task["rows_file"], mmap_mode="r")
    with VectorStore(Path(task["directory"]) / "memory", progress=False) as store:
        store.insert(np.array(rows[:10]), collection="warm")
        gc.collect()
        before = workloads.memory_bytes()["RssAnon"]
        phases, marks = {}, {}
        with workloads.MemoryWatch() as watch:
            steps = {
                "load": lambda: workloads.fill(store, rows, metadata=lambda row: {"row": row}),
                "flush": store.flush,
                "compact": store.compact,
                "search": lambda: [store.search(row) for row in np.array(rows[:200])],
            }
            for name, step in steps.items():
                began_s = watch.now_s()
                marks[name] = round(began_s, 3)
                stopwatch = common.Stopwatch()
                step()
                stopwatch_read = stopwatch.read()
                time.sleep(0.2)
                peak = watch.peak(began_s)
                phases[name] = {"peak_bytes": peak - before, "after_bytes": workloads.memory_bytes()["RssAnon"] - before}
                phases[name] |= stopwatch_read
        raw = rows.nbytes
        for phase in phases.values():
            phase |= {"peak_ratio": phase["peak_bytes"] / raw, "after_ratio": phase["after_bytes"] / raw}
        keep = max(1, len(watch.bytes) // 2000)
        series = {"seconds": [round(s, 3) for s in watch.seconds[::keep]], "bytes": [b - before for b in watch.bytes[::keep]]}
        all_bytes = workloads.memory_bytes()
    return {"raw_bytes": raw, "before_bytes": before, "phases": phases, "marks": marks, "series": series, "end": all_bytes}


# --- open ---


def _measure_opens(options: Any, base: dict[str, Any]) -> list[dict[str, Any]]:
    sizes = [(10_000, None), (options.rows, None)]
    if options.million:
        sizes.append((1_000_000, 64))
    measured = []
    for row_count, dimension in sizes:
        for state in ("log", "sealed", "compacted"):
            store = str(Path(base["directory"]) / f"open-{row_count}-{state}")
            task = {**base, "store": store, "rows": row_count, "dimension": dimension, "state": state}
            built = common.run_child({**task, "name": "build"})
            opened = [common.run_child({**task, "name": "open"}) for _ in range(options.opens)]
            measured.append({"rows": row_count, "dimension": dimension or 384, "state": state, **built, **_opens(opened)})
    return measured


def _opens(opened: list[dict[str, Any]]) -> dict[str, Any]:
    keys = {"open": "open_s", "first_search": "first_search_s"}
    return {name: common.milliseconds(one[key] for one in opened) for name, key in keys.items()} | {"count": opened[0]["count"]}


def _rows_of(task: dict[str, Any]) -> Any:
    if task.get("dimension"):
        return np.random.default_rng(vectors.SEED).standard_normal((task["rows"], task["dimension"]), np.float32)
    return np.load(task["rows_file"], mmap_mode="r")[: task["rows"]]


def _build(task: dict[str, Any]) -> dict[str, Any]:
    rows = _rows_of(task)
    with VectorStore(task["store"], progress=False) as store:
        workloads.fill(store, rows, metadata=lambda row: {"row": row})
        if task["state"] != "log":
            store.flush()
        if task["state"] == "compacted":
            store.compact()
        info = store.describe("default")
        return {"head_rows": info.head_rows, "segments": info.segments, "indexed_rows": info.indexed_rows}


def _open(task: dict[str, Any]) -> dict[str, Any]:
    query = np.ones(task.get("dimension") or 384, np.float32)
    began_s = time.perf_counter()
    store = VectorStore(task["store"], progress=False)
    open_s = time.perf_counter() - began_s
    store.search(query)
    first_search_s = time.perf_counter() - began_s - open_s
    count = store.count()
    store.close()
    return {"open_s": open_s, "first_search_s": first_search_s, "count": count}


# --- recovery ---


def _measure_recovery(task: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Kills a process that holds an open store with unsealed rows, then opens it; counts acknowledged rows that are gone."""
    opened = []
    for turn in range(min(rounds, 5)):
        store = str(Path(task["directory"]) / f"recovery-{turn}")
        command = common.child_command({**task, "name": "load_and_wait", "store": store})
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            ready = child.stdout.readline()
            child.kill()
        if not ready.startswith("acknowledged"):
            raise RuntimeError("the process to be killed ended early")
        acknowledged, head_rows = map(int, ready.split()[1:])
        result = common.run_child({**task, "name": "open", "store": store})
        opened.append({**result, "lost": acknowledged - result["count"], "head_rows": head_rows})
    times = {"open": common.milliseconds(one["open_s"] for one in opened)}
    return {**times, "rows": task["rows"], "head_rows": opened[0]["head_rows"], "lost": sum(one["lost"] for one in opened)}


def _load_and_wait(task: dict[str, Any]) -> dict[str, Any]:
    store = VectorStore(task["store"], progress=False)
    workloads.fill(store, _rows_of(task), metadata=lambda row: {"row": row})
    os.write(1, f"acknowledged {task['rows']} {store.describe('default').head_rows}\n".encode())
    time.sleep(600)
    raise RuntimeError("nobody killed this process")


# --- disk ---


def _shrink(task: dict[str, Any]) -> dict[str, Any]:
    rows = np.load(task["rows_file"], mmap_mode="r")
    directory = Path(task["directory"]) / "shrink"
    with VectorStore(directory, progress=False) as store:
        workloads.fill(store, rows)
        store.compact()
        sizes = {"full": _sizes(store, directory)}
        began_s = time.perf_counter()
        for start in range(0, len(rows), 20_000):
            store.delete([str(row) for row in range(start, min(start + 20_000, len(rows)), 2)], timeout_ms=60_000)
        delete_s = time.perf_counter() - began_s
        sizes["half deleted"] = _sizes(store, directory)
        watch = common.Stopwatch()
        store.compact()
        compact = watch.read()
        sizes["half deleted, compacted"] = _sizes(store, directory)
        left = store.count()
    sizes["closed"] = {"disk_bytes": common.disk_bytes(directory)}
    return {"raw_bytes": rows.nbytes, "sizes": sizes, "rows_left": left, "delete_s": delete_s, "compact": compact}


def _sizes(store: Any, directory: Path) -> dict[str, int]:
    return {"disk_bytes": common.disk_bytes(directory), "collection_bytes": store.describe("default").disk_bytes}


# --- report ---


def _show(results: dict[str, Any]) -> None:
    memory = results["memory"]
    names = ("peak_bytes", "after_bytes", "peak_ratio", "after_ratio", "wall_s", "cpu_s")
    rows = [[phase, *[float(values[name]) for name in names]] for phase, values in memory["phases"].items()]
    common.print_table(f"RssAnon beyond the start, raw vectors {memory['raw_bytes']:,} bytes", ("phase", *names), rows)
    names = ("rows", "dimension", "state", "head_rows", "segments", "indexed_rows")
    rows = [
        [row[name] for name in names] + [row["open"]["p50_ms"], row["open"]["max_ms"], row["first_search"]["p50_ms"]]
        for row in results["open"]
    ]
    common.print_table("Open, fresh processes", (*names, "p50_ms", "max_ms", "first search ms"), rows)
    recovery = results["recovery"]
    rows = [[recovery["rows"], recovery["head_rows"], recovery["open"]["p50_ms"], recovery["open"]["max_ms"], recovery["lost"]]]
    common.print_table("Open after kill -9", ("rows", "unsealed", "p50_ms", "max_ms", "acknowledged rows lost"), rows)
    rows = [[state, size["disk_bytes"], size.get("collection_bytes")] for state, size in results["disk"]["sizes"].items()]
    common.print_table("Disk", ("state", "bytes of the directory", "of the collection"), rows)


def _plot(path: Path, results: dict[str, Any]) -> None:
    memory = results["memory"]
    line = (memory["series"]["seconds"], [value / 1e6 for value in memory["series"]["bytes"]])
    raw = (line[0][:1] + line[0][-1:], [memory["raw_bytes"] / 1e6] * 2)
    panels = [
        plots.Panel("RssAnon beyond the start", "MB", lines={"resident": line, "raw vectors": raw}, marks=memory["marks"])
    ]
    opens = {f"{row['rows']:,} x {row['dimension']}, {row['state']}": _range(row["open"]) for row in results["open"]}
    opens[f"{results['recovery']['rows']:,} unsealed, after kill -9"] = _range(results["recovery"]["open"])
    panels.append(plots.Panel("open: median, min to max", "ms", opens))
    sizes = {state: size["disk_bytes"] / 1e6 for state, size in results["disk"]["sizes"].items()}
    panels.append(plots.Panel("disk", "MB", sizes))
    plots.save(path, "Memory, opening, recovery, disk", panels, columns=1)


def _range(times: dict[str, float]) -> tuple[float, float, float]:
    return times["p50_ms"], times["min_ms"], times["max_ms"]


if __name__ == "__main__":
    sys.exit(main())

"""Latency of durable writes and of searches, alone and all at once: batches, single inserts, updates, deletes, searches.

Every write is timed until it is acknowledged, which means durable (fdatasync) and visible: after each batch, and for a
sample of the single inserts, a search for the last row must find it. The disk's own share is measured beside: writing and
syncing a file of a batch's size, and of one row's. In the mixed part each kind of work keeps a fixed pace in its own thread.
"""

from __future__ import annotations

import functools
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import numpy as np
import plots
import vectors
import workloads
from dvesp import VectorStore

SINGLE_CHECK_EVERY = 50


def main() -> int:
    """Measures both dimensions and writes the report."""
    parser = common.parser("write_latency", __doc__ or "")
    parser.add_argument("--batches", type=int, default=50, help="batches of 10,000 rows, 384-d")
    parser.add_argument("--batches-1536", type=int, default=10, help="batches of 10,000 rows, 1536-d; 0: none")
    parser.add_argument("--seconds", type=float, default=10, help="of the mixed part; single inserts take a fifth of it")
    parser.add_argument("--single-threads", type=int, default=8)
    options = parser.parse_args()
    if common.run_task(options, {"measure": _measure}):
        return 0
    results = {}
    with common.scratch(options) as directory:
        for dimension, batch_count in ((384, options.batches), (1536, options.batches_1536)):
            if batch_count:
                task = {"name": "measure", "directory": str(directory), "data": _folder(options, dimension)}
                task |= {"dimension": dimension, "batches": batch_count, "seconds": options.seconds}
                results[f"{dimension}-d"] = common.run_child(task | {"single_threads": options.single_threads})
    for name, result in results.items():
        names = ("part", "what", "count", "p50_ms", "p99_ms", "max_ms", "per_s", "caller_cpu_p50_ms")
        rows = [[row.get(column) for column in names] for row in result["rows"]]
        common.print_table(
            f"{name}: {result['rows_stored']:,} rows, {result['unfound']} acknowledged rows not found", names, rows
        )
    parameters = {"batch_rows": workloads.BATCH_ROWS, "batches": options.batches, "batches_1536": options.batches_1536}
    common.write_report(options, parameters | {"seconds": options.seconds, "single_threads": options.single_threads}, results)
    _plot(options.plot, results)
    return 1 if any(result["unfound"] for result in results.values()) else 0


def _folder(options: Any, dimension: int) -> str | None:
    return str(options.data) if options.data and dimension == 384 else None


class Bench:
    """One store under measurement: fresh rows and ids for every write, and the check that a row is found."""

    def __init__(self, store: Any, data: vectors.Vectors) -> None:
        self.store, self.data = store, data
        self.unfound: list[str] = []
        self.result_rows: list[dict[str, Any]] = []
        self._numbers = itertools.count()

    def batch(self, number: int) -> tuple[np.ndarray[Any, np.dtype[np.float32]], list[dict[str, Any]], list[str]]:
        """10,000 rows that were not stored before: coordinates are rotated by one at every pass over the data."""
        start = number * workloads.BATCH_ROWS % len(self.data.rows)
        turn = number * workloads.BATCH_ROWS // len(self.data.rows)
        rows = np.roll(self.data.rows[start : start + workloads.BATCH_ROWS], turn, axis=1)
        names = [f"b{number}-{row}" for row in range(len(rows))]
        return np.ascontiguousarray(rows), [{"batch": number, "row": row} for row in range(len(rows))], names

    def fresh(self) -> tuple[np.ndarray[Any, np.dtype[np.float32]], str]:
        """One row [1, d] and its id; the added number makes it the only one of its kind."""
        number = next(self._numbers)
        row = self.data.rows[number % len(self.data.rows)].copy()
        row[number % len(row)] += 0.5
        return row[None], f"s{number}"

    def check(self, row: Any, name: str) -> None:
        """Notes the id when a search for the row itself does not find it first."""
        nearest = self.store.search(row, top_k=1, include_vectors=False)
        if not len(nearest) or (nearest[0].id != name and nearest[0].distance > 1e-6):
            self.unfound.append(name)

    def note(self, part: str, what: str, seconds: Any, **more: Any) -> None:
        """Adds a row of the report."""
        self.result_rows.append({"part": part, "what": what, **common.milliseconds(seconds), **more})


def _measure(task: dict[str, Any]) -> dict[str, Any]:
    """The whole list for one dimension, in a process of its own."""
    dimension, batch_count = task["dimension"], task["batches"]
    folder = None if task["data"] is None else Path(task["data"])
    row_count = 100_000 if dimension == 384 else 30_000
    data = vectors.load(folder, row_count) if dimension == 384 else vectors.clustered(row_count, dimension)
    directory = Path(task["directory"])
    with VectorStore(directory / f"store-{dimension}", progress=False) as store:
        bench = Bench(store, data)
        _probe_disk(bench, directory / f"probe-{dimension}", dimension)
        _paced_batches(bench, batch_count)
        store.drop_collection("default")
        _quiet_batches(bench, batch_count)
        store.drop_collection("default")
        workloads.fill(store, data.rows[:30_000])
        _quiet_singles(bench, task["seconds"] / 5, task["single_threads"])
        _quiet_changes(bench)
        _search(bench, "quiet, unsealed")
        store.compact()
        _search(bench, "quiet, compacted")
        _mixed(bench, task["seconds"], batch_count)
        rows_stored = store.count()
    return {
        "origin": data.origin,
        "rows": bench.result_rows,
        "rows_stored": rows_stored,
        "unfound": len(bench.unfound),
        "unfound_ids": bench.unfound[:20],
    }


def _probe_disk(bench: Bench, path: Path, dimension: int) -> None:
    """What the machine takes to write and sync the bytes alone: a batch, then one row, into a file that is there already."""
    for what, size, count in (("batch bytes", workloads.BATCH_ROWS * dimension * 4, 20), ("4 KiB", 4096, 200)):
        block = os.urandom(size)
        seconds = []
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        for turn in range(count + 2):
            began_s = time.perf_counter()
            os.pwrite(descriptor, block, 0)
            os.fdatasync(descriptor)
            if turn >= 2:
                seconds.append(time.perf_counter() - began_s)
        os.close(descriptor)
        bench.note("disk", f"write + fdatasync of {what}", seconds)
    path.unlink()


def _paced_batches(bench: Bench, batch_count: int) -> None:
    """Batches with pauses of 0.3 s, about three a second."""
    seconds = []
    for number in range(batch_count):
        rows, metadata, names = bench.batch(number)
        insert = functools.partial(bench.store.insert, rows, metadata, names, timeout_ms=60_000)
        seconds.append(common.timed(insert))
        time.sleep(0.3)
    bench.note("paced", "insert of 10,000", seconds)


def _quiet_batches(bench: Bench, batch_count: int) -> None:
    seconds, cpu_seconds, watch = [], [], common.Stopwatch()
    for number in range(batch_count):
        rows, metadata, names = bench.batch(number)
        insert = functools.partial(bench.store.insert, rows, metadata, names, timeout_ms=60_000)
        cpu_s = time.thread_time()
        seconds.append(common.timed(insert))
        cpu_seconds.append(time.thread_time() - cpu_s)
        bench.check(rows[-1], names[-1])
    per_s = workloads.BATCH_ROWS * batch_count / sum(seconds)
    more = {
        "with_background": watch.read(),
        "each_ms": _each(seconds),
        "caller_cpu_p50_ms": float(np.median(cpu_seconds)) * 1e3,
    }
    bench.note("quiet", "insert of 10,000", seconds, per_s=per_s, **more)


def _each(seconds: list[float]) -> list[float]:
    return [round(value * 1e3, 2) for value in seconds]


def _single(bench: Bench) -> Callable[[int, int], None]:
    def work(_: int, number: int) -> None:
        row, name = bench.fresh()
        bench.store.insert(row, [{"single": True}], [name])
        if number % SINGLE_CHECK_EVERY == 0:
            bench.check(row[0], name)

    return work


def _quiet_singles(bench: Bench, seconds: float, thread_count: int) -> None:
    for threads in (1, thread_count):
        done = workloads.repeat_for(seconds, threads, _single(bench))
        bench.note("quiet", f"single insert, {threads} threads", done["seconds"], per_s=done["per_s"])


def _quiet_changes(bench: Bench) -> None:
    for what, change in _changes(bench).items():
        seconds = [common.timed(functools.partial(change, number)) for number in range(500)]
        bench.note("quiet", what, seconds, per_s=len(seconds) / sum(seconds))


def _changes(bench: Bench) -> dict[str, Callable[[int], Any]]:
    """Single-record changes of the first 30,000 rows; `number` may be anything."""
    store, rows = bench.store, bench.data.rows
    return {
        "update of metadata": lambda number: store.update(str(number * 7 % 15_000), metadata={"changed": number}),
        "update of a vector": lambda number: store.update(str(number * 11 % 15_000), vector=rows[number % len(rows)]),
        "delete": lambda number: store.delete([str(15_000 + number)]),
    }


def _search(bench: Bench, part: str) -> None:
    for what, with_vectors in (("search", False), ("search with vectors", True)):
        search = functools.partial(bench.store.search, include_vectors=with_vectors)
        seconds = [common.timed(functools.partial(search, query)) for query in bench.data.queries]
        bench.note(part, what, seconds, per_s=len(seconds) / sum(seconds))


def _mixed(bench: Bench, seconds: float, batch_count: int) -> None:
    """Each kind at its own pace, all at once; a call that takes longer than its turn delays only its own kind."""
    changes = _changes(bench)
    single = _single(bench)
    numbers = {kind: itertools.count(20_000) for kind in changes}
    prepared = [bench.batch(batch_count + number) for number in range(int(seconds) + 1)]

    def insert_batch() -> float:
        rows, metadata, names = prepared.pop()
        took_s = common.timed(lambda: bench.store.insert(rows, metadata, names, timeout_ms=60_000))
        bench.check(rows[-1], names[-1])
        return took_s

    queries = itertools.cycle(bench.data.queries)
    kinds: dict[str, tuple[float, Callable[[], float]]] = {
        "insert of 10,000": (1.0, insert_batch),
        "search": (200, lambda: common.timed(lambda: bench.store.search(next(queries), include_vectors=False))),
        "single insert": (100, lambda: common.timed(lambda: single(0, 1))),
        **{
            what: (50, lambda what=what: common.timed(lambda: changes[what](next(numbers[what]) % 30_000)))
            for what in ("update of metadata", "update of a vector")
        },
        "delete": (50, lambda: common.timed(lambda: changes["delete"](next(numbers["delete"]) % 10_000 + 500))),
    }
    stop_s = time.perf_counter() + seconds
    taken: dict[str, list[float]] = {what: [] for what in kinds}

    def keep_pace(what: str) -> None:
        per_s, call = kinds[what]
        turn_s = time.perf_counter()
        while turn_s < stop_s:
            threading.Event().wait(max(0.0, turn_s - time.perf_counter()))
            taken[what].append(call())
            turn_s = max(turn_s + 1 / per_s, time.perf_counter())

    workloads.in_threads([lambda what=what: keep_pace(what) for what in kinds])
    for what, samples in taken.items():
        bench.note("all at once", what, samples, per_s=len(samples) / seconds, pace_per_s=kinds[what][0])


def _plot(path: Path, results: dict[str, Any]) -> None:
    panels = []
    for name, result in results.items():
        bars = {f"{row['what']} ({row['part']})": (row["p50_ms"], row["p50_ms"], row["p99_ms"]) for row in result["rows"]}
        panels.append(plots.Panel(f"{name}: p50, line to p99", "ms", bars, logarithmic=True))
    plots.save(path, "Acknowledged writes and searches", panels)


if __name__ == "__main__":
    sys.exit(main())

"""Work on a dvesp store that several benchmarks measure: filling, searching, single writes from threads, memory."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

BATCH_ROWS = 10_000
WRITE_TIMEOUT_MS = 60_000
POLL_S = 0.02


def batches(row_count: int, batch_rows: int = BATCH_ROWS) -> Iterator[tuple[int, int]]:
    """(first, last + 1) of each batch."""
    return ((start, min(start + batch_rows, row_count)) for start in range(0, row_count, batch_rows))


def fill(
    store: Any,
    rows: NDArray[np.float32],
    collection: str = "default",
    first: int = 0,
    metadata: Callable[[int], dict[str, Any]] | None = None,
) -> list[float]:
    """Inserts rows in batches under the ids "first", "first + 1", ...; wall seconds of each acknowledged batch."""
    seconds = []
    for start, stop in batches(len(rows)):
        numbers = range(first + start, first + stop)
        ids = [str(number) for number in numbers]
        documents = None if metadata is None else [metadata(number) for number in numbers]
        batch = np.array(rows[start:stop])  # page faults of a mapped file are not the store's
        began_s = time.perf_counter()
        store.insert(batch, documents, ids, collection, timeout_ms=WRITE_TIMEOUT_MS)
        seconds.append(time.perf_counter() - began_s)
    return seconds


def search_each(store: Any, queries: NDArray[np.float32], **arguments: Any) -> tuple[list[float], list[list[int]]]:
    """One search a query: wall seconds, and the row numbers found (ids are row numbers)."""
    arguments = {"include_vectors": False, **arguments}
    seconds, found = [], []
    gc.collect()
    for query in queries:
        began_s = time.perf_counter()
        result = store.search(query, **arguments)
        seconds.append(time.perf_counter() - began_s)
        found.append([int(match.id) for match in result])
    return seconds, found


def wait_until_indexed(store: Any, collection: str, timeout_s: float = 120) -> bool:
    """Waits for background work: every sealed row has an index (small segments never get one). False: it took too long."""
    deadline_s = time.monotonic() + timeout_s
    quiet_since_s, last = time.monotonic(), None
    while time.monotonic() < deadline_s:
        info = store.describe(collection)
        if info.indexed_rows >= info.count - info.head_rows:
            return True
        if last != (info.segments, info.indexed_rows) or store._native.progress()[0]:
            quiet_since_s, last = time.monotonic(), (info.segments, info.indexed_rows)
        if time.monotonic() - quiet_since_s > 2:
            return True
        time.sleep(POLL_S)
    return False


def repeat_for(seconds: float, thread_count: int, work: Callable[[int, int], None]) -> dict[str, Any]:
    """Calls `work(thread, number)` from threads at once for `seconds`; the wall seconds of all calls, and calls a second."""
    samples: list[list[float]] = [[] for _ in range(thread_count)]
    stop_s = time.perf_counter() + seconds

    def run(thread: int) -> None:
        number = 0
        while (began_s := time.perf_counter()) < stop_s:
            work(thread, number)
            samples[thread].append(time.perf_counter() - began_s)
            number += 1

    began_s = time.perf_counter()
    in_threads([lambda thread=thread: run(thread) for thread in range(thread_count)])
    wall_s = time.perf_counter() - began_s
    flat = [sample for one in samples for sample in one]
    return {"seconds": flat, "per_s": len(flat) / wall_s, "threads": thread_count}


def in_threads(jobs: list[Callable[[], None]]) -> None:
    """Runs all jobs at once; the first exception of any is raised after all have ended."""
    errors: list[BaseException] = []

    def guarded(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def memory_bytes() -> dict[str, int]:
    """Resident bytes of this process: all of it, and the anonymous part (not file pages)."""
    values = {}
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            name, _, value = line.partition(":")
            if name in ("VmRSS", "RssAnon", "VmHWM"):
                values[name] = int(value.split()[0]) * 1024
    return values


class MemoryWatch:
    """Samples anonymous resident bytes every few milliseconds, from a thread, while it is entered."""

    def __init__(self, every_s: float = 0.005) -> None:
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.began_s = time.perf_counter()
        self.seconds: list[float] = []
        self.bytes: list[int] = []

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self.bytes.append(memory_bytes()["RssAnon"])
            self.seconds.append(time.perf_counter() - self.began_s)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def now_s(self) -> float:
        """Seconds since the watch was made."""
        return time.perf_counter() - self.began_s

    def peak(self, first_s: float = 0, last_s: float = float("inf")) -> int:
        """The highest sample between two instants; what is resident now if there was none."""
        chosen = [value for second, value in zip(self.seconds, self.bytes, strict=True) if first_s <= second <= last_s]
        return max(chosen, default=memory_bytes()["RssAnon"])

"""What the clients of a fault run do, and the history of it as they saw it, for the judge."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dvesp
import numpy as np
from dvesp import Record, VectorStore

COLLECTION = "faults"
DIMENSION = 4
SINGLES = 6  # records of an era
GROUPS = 2  # groups of records that are only ever written together, in one batch
GROUP_SIZE = 4
ERA_S = 2.5  # then new keys: the judge's search grows exponentially with the unanswered writes of one key
FINAL_CLIENT = 1000  # who reads after the faults
Answer = dict[str, Any]


def vector_of(key: str, number: int) -> np.ndarray:
    """The vector that goes with a number: both are compared, so that a row mixed of two writes shows."""
    return np.array([number % 4096, number // 4096, 1.0, sum(key.encode()) % 251], dtype=np.float32)


def row_ids(key: str) -> list[str]:
    """The record ids of a key: one, or those of a group."""
    return [f"{key}.{row}" for row in range(GROUP_SIZE)] if key.startswith("g") else [key]


@dataclass(frozen=True)
class Levels:
    """What a run asks for."""

    write: str
    read: str


@dataclass
class History:
    """Operations as JSON lines, and what is wrong whatever their order. Safe to share between threads."""

    path: Path
    start_ns: int = field(default_factory=time.monotonic_ns)
    count: int = 0
    unknown: int = 0
    complaints: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    keys: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.file = self.path.open("w")

    def now(self) -> int:
        return time.monotonic_ns() - self.start_ns

    def add(self, entry: dict[str, Any]) -> None:
        with self.lock:
            self.file.write(json.dumps(entry) + "\n")
            self.count += 1
            self.unknown += entry["outcome"] == "unknown"
            self.keys.add(entry["key"])

    def complain(self, text: str) -> None:
        with self.lock:
            self.complaints.append(text)

    def close(self) -> None:
        self.file.close()

    def call(self, client: int, op: str, key: str, given: Answer, work: Callable[[], Answer]) -> Answer | None:
        """Runs one call and notes it. @return what it answered, or None when that is not known to be done."""
        size = GROUP_SIZE if key.startswith("g") else 1
        entry: dict[str, Any] = {"client": client, "op": op, "key": key, "size": size, "call_ns": self.now(), "outcome": "ok"}
        entry |= given
        answer: Answer | None = None
        try:
            answer = work()
            entry |= answer
        except dvesp.Timeout:
            entry["outcome"] = "unknown"
        except (dvesp.Unavailable, dvesp.IdExists, dvesp.IdNotFound, dvesp.VersionConflict) as error:
            entry |= {"outcome": "fail", "error": type(error).__name__}
        except dvesp.Error as error:
            entry["outcome"] = "unknown"
            self.complain(f"{op} of {key}: {type(error).__name__}: {error}")
        entry["return_ns"] = self.now()
        self.add(entry)
        return answer if entry["outcome"] == "ok" else None


def outcome_of(status: str, level: str) -> Answer:
    """`partial` at ALL is a write that a majority holds; at other levels it will be done some time."""
    if status == "failed":
        return {"outcome": "fail", "error": "failed"}
    return {"outcome": "ok" if status == "success" or level == "ALL" else "unknown"}


class Client:
    """One thread's calls on one store."""

    def __init__(self, number: int, store: VectorStore, history: History, levels: Levels, seed: int) -> None:
        self.number, self.store, self.history, self.levels = number, store, history, levels
        self.random = random.Random(f"{seed} client {number}")
        self.versions: dict[str, int] = {}
        self.lost_inserts: dict[str, int] = {}

    def run(self, numbers: itertools.count[int], until: float, stop: threading.Event) -> None:
        """Calls until the time is over."""
        started = time.monotonic()
        while time.monotonic() < until and not stop.is_set():
            era = int((time.monotonic() - started) / ERA_S)
            if self.random.random() < 0.2:
                self.call_on_group(f"g{era}-{self.random.randrange(GROUPS)}", next(numbers))
            else:
                self.call_on_record(f"s{era}-{self.random.randrange(SINGLES)}", next(numbers))

    def options(self, level: str) -> dict[str, Any]:
        timeout_ms = self.random.choice([2000, 3000, 5000])
        return {"collection": COLLECTION, "consistency_level": level, "timeout_ms": timeout_ms}

    def call_on_record(self, key: str, number: int) -> None:
        choice = self.random.random()
        if choice < 0.40:
            self.get(key)
        elif choice < 0.60:
            self.put(key, number)
        elif choice < 0.72:
            self.insert(key, number)
        elif choice < 0.90:
            self.update(key, number)
        else:
            self.delete(key)

    def call_on_group(self, key: str, number: int) -> None:
        choice = self.random.random()
        if choice < 0.35:
            self.get(key)
        elif choice < 0.55:
            self.search(key)
        elif choice < 0.93:
            self.put(key, number)
        else:
            self.delete(key)

    def write(self, op: str, key: str, number: int, given: Answer) -> Answer | None:
        level = self.levels.write
        ids = row_ids(key)
        content = {
            "vectors": np.tile(vector_of(key, number), (len(ids), 1)),
            "ids": ids,
            "metadata": [{"n": number, "group": key} for _ in ids],
        }
        options = self.options(level)

        def work() -> Answer:
            method = self.store.insert if op == "insert" else self.store.upsert
            return outcome_of(method(**content, **options).status, level)

        return self.history.call(self.number, op, key, {"value": number, **given}, work)

    def put(self, key: str, number: int) -> None:
        self.write("put", key, number, {"version": -1})

    def insert(self, key: str, number: int) -> None:
        """Sometimes the repetition of one that nobody answered, which must succeed where the first one was done."""
        number = self.lost_inserts.pop(key, number)
        if self.write("insert", key, number, {"version": -1}) is None and self.random.random() < 0.5:
            self.lost_inserts[key] = number

    def update(self, key: str, number: int) -> None:
        wanted = self.versions.get(key) if self.random.random() < 0.6 else None
        options = self.options(self.levels.write)
        level = self.levels.write

        def work() -> Answer:
            done = self.store.update(key, vector_of(key, number), {"n": number, "group": key}, wanted, **options)
            return {"version": done.version, **outcome_of(done.status, level)}

        answer = self.history.call(self.number, "update", key, {"value": number, "if_version": wanted or 0}, work)
        if answer is not None:
            self.versions[key] = answer["version"]

    def delete(self, key: str) -> None:
        options = self.options(self.levels.write)
        level = self.levels.write

        def work() -> Answer:
            done = self.store.delete(row_ids(key), **options)
            return {"deleted": done.deleted, **outcome_of(done.status, level)}

        self.history.call(self.number, "delete", key, {}, work)

    def get(self, key: str) -> Answer | None:
        options = self.options(self.levels.read)

        def work() -> Answer:
            return {"rows": rows_of(key, self.store.get(row_ids(key), **options), self.history)}

        answer = self.history.call(self.number, "get", key, {}, work)
        if answer is not None and answer["rows"][0][1] > 0:
            self.versions[key] = answer["rows"][0][1]
        return answer

    def search(self, key: str) -> None:
        """The rows of a group by search: as many as there are, all of one batch. Matches carry no version."""
        options = self.options(self.levels.read)

        def work() -> Answer:
            query = vector_of(key, 1)
            found = self.store.search(query, top_k=4 * GROUP_SIZE, filter={"group": key}, params={"exact": True}, **options)
            rows = [[number_of(key, one, self.history), -1] for one in found.results]
            if {one.id for one in found.results} - set(row_ids(key)) or len({one.id for one in found.results}) != len(rows):
                self.history.complain(f"search of {key} found ids {[one.id for one in found.results]}")
            return {"rows": rows or [[0, -1]] * GROUP_SIZE}

        self.history.call(self.number, "get", key, {}, work)


def number_of(key: str, row: Any, history: History) -> int:
    """The number that a row holds in its metadata, which its vector must repeat."""
    number = int(row.metadata["n"])
    if not np.array_equal(row.vector, vector_of(key, number)) or row.metadata["group"] != key:
        history.complain(f"{row.id}: metadata {row.metadata} and vector {row.vector.tolist()} are of different writes")
    return number


def rows_of(key: str, records: list[Record | None], history: History) -> list[list[int]]:
    """Value and version of each row; 0, 0: absent."""
    return [[0, 0] if one is None else [number_of(key, one, history), one.version] for one in records]

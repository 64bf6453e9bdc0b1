"""One store shared by many threads: what was acknowledged is found at once, and snapshots stand still."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from dvesp import VectorStore

THREADS = 8
ROUNDS = 25
DIMENSION = 16


def unit(random: np.random.Generator) -> np.ndarray:
    return random.standard_normal(DIMENSION).astype(np.float32)


def test_acknowledged_rows_are_found_by_the_next_search_of_any_thread(any_store: VectorStore) -> None:
    any_store.create_collection("default", DIMENSION, "l2")
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            any_store.flush()
            any_store.compact()

    def work(number: int) -> set[str]:
        random = np.random.default_rng(number)
        kept: set[str] = set()
        for turn in range(ROUNDS):
            id, row = f"{number}-{turn}", unit(random)
            any_store.insert(row[None], [{"thread": number, "turn": turn}], [id])
            assert any_store.search(row, 1)[0].id == id
            moved = unit(random)
            assert any_store.update(id, vector=moved).version == 2
            match = any_store.search(moved, 1, filter={"thread": number})[0]
            assert match.id == id and match.vector is not None and match.vector.tobytes() == moved.tobytes()
            if turn % 3 == 0:
                assert any_store.delete(id).deleted == 1
                assert any_store.get(id) == [None]
                assert id not in {found.id for found in any_store.search(moved, 5)}
            else:
                kept.add(id)
            assert any_store.count(filter={"thread": number}) == len(kept)
        return kept

    background = threading.Thread(target=churn)
    background.start()
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            kept = set().union(*pool.map(work, range(THREADS)))
    finally:
        stop.set()
        background.join()
    assert {record.id for record in any_store.scroll()} == kept and any_store.verify().ok


def test_batches_are_never_seen_in_part(store: VectorStore) -> None:
    store.create_collection("default", 2)
    stop, torn = threading.Event(), []

    def watch() -> None:
        while not stop.is_set():
            for counts in (store.count(), len(list(store.scroll(batch_size=7)))):
                if counts % 10:
                    torn.append(counts)

    watchers = [threading.Thread(target=watch) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    for batch in range(60):
        store.insert(np.ones((10, 2), np.float32), [{"batch": batch}] * 10)
        if batch % 4 == 3:
            assert store.delete(filter={"batch": batch - 1}).deleted == 10
        if batch % 20 == 19:
            store.flush()
    stop.set()
    for watcher in watchers:
        watcher.join()
    assert torn == []


def test_scroll_is_the_snapshot_of_its_call(any_store: VectorStore) -> None:
    ids = [f"{i:03d}" for i in range(200)]
    any_store.insert(np.eye(200, dtype=np.float32), [{"n": i} for i in range(200)], ids)
    records = any_store.scroll(batch_size=10)
    any_store.delete(ids[:100])
    any_store.update("150", metadata={"n": -1})
    any_store.insert(np.ones((1, 200), np.float32), ids=["new"])
    any_store.flush()
    any_store.compact()
    seen = list(records)
    assert {record.id for record in seen} == set(ids)
    assert {record.id: record.metadata for record in seen}["150"] == {"n": 150}
    assert any_store.count() == 101


def test_close_while_others_work_gives_answers_or_refusals(wait_until: Callable[[Callable[[], bool]], None]) -> None:
    store = VectorStore()
    store.insert(np.eye(8, dtype=np.float32))
    answered, refused = [], []

    def work() -> None:
        try:
            while True:
                answered.append(len(store.search(np.ones(8), 8).results))
        except ValueError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(answered) > 20)
    store.close()
    for thread in threads:
        thread.join(timeout=20)
    assert len(refused) == 4 and all("closed" in message for message in refused) and set(answered) == {8}

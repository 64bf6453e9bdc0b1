"""Fleets of 8 and more devices: 40 % away when the store is opened, and writes made while others were away."""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import sealed_store
from dvesp import Unavailable, VectorStore
from numpy.typing import NDArray

ROWS, D = 40, 8
FLEETS = (8, 12, 30)
Numbers = list[int]


def away_max(devices: int) -> int:
    return devices * 2 // 5


@contextlib.contextmanager
def away(place: Path, numbers: Numbers) -> Iterator[None]:
    for number in numbers:
        (place / f"d{number}").rename(place / f"away{number}")
    try:
        yield
    finally:
        for number in numbers:
            (place / f"away{number}").rename(place / f"d{number}")


def vector(number: int) -> NDArray[np.float32]:
    return np.random.default_rng(number).random(D, dtype=np.float32)


def write(store: VectorStore, numbers: range) -> str:
    vectors = np.stack([vector(number) for number in numbers])
    metadata = [{"number": number} for number in numbers]
    return store.insert(vectors, metadata, [f"r{number}" for number in numbers], consistency_level="ONE").status


def check(store: VectorStore, count: int) -> None:
    """The first ``count`` records are there as they were written, and nothing else."""
    records = store.get([f"r{number}" for number in range(count)])
    for number, record in enumerate(records):
        assert record is not None and np.array_equal(record.vector, vector(number)), number
        assert record.metadata == {"number": number}
    assert store.count() == count
    assert store.search(vector(3), top_k=1).results[0].id == "r3"


def subsets(devices: int) -> list[Numbers]:
    """40 % of the devices: the first, the last, those in the middle, and random ones."""
    numbers, count = list(range(1, devices + 1)), away_max(devices)
    dice = random.Random(devices)
    middle = (devices - count) // 2
    fixed = [numbers[:count], numbers[-count:], numbers[middle : middle + count], numbers[::2][:count]]
    return fixed + [dice.sample(numbers, count) for _ in range(4)]


@pytest.mark.parametrize("devices", FLEETS)
def test_fleet_opens_with_40_percent_away_and_reads_everything(tmp_path: Path, devices: int) -> None:
    with sealed_store(tmp_path, devices) as store:
        assert write(store, range(ROWS)) == "success"
        found = store.retrievability()
        assert found.guaranteed_losses >= away_max(devices) and found.records_below_n == 0
    for numbers in subsets(devices):
        with away(tmp_path, numbers):
            with sealed_store(tmp_path, devices) as store:
                check(store, ROWS)
            shutil.rmtree(tmp_path / "s")  # from the devices that are here alone
            with sealed_store(tmp_path, devices) as store:
                check(store, ROWS)
        sealed_store(tmp_path, devices).close()  # those that come back get their shares of the new index key


@pytest.mark.parametrize("devices", FLEETS)
def test_writes_made_while_others_were_away_are_seen_or_the_store_does_not_open(tmp_path: Path, devices: int) -> None:
    count = away_max(devices)
    numbers = list(range(1, devices + 1))
    with sealed_store(tmp_path, devices) as store:
        write(store, range(10))
    with away(tmp_path, numbers[:count]), sealed_store(tmp_path, devices) as store:
        assert write(store, range(10, 20)) in ("success", "partial")
        store.create_collection("second", D)
        store.insert(np.stack([vector(1)]), ids=["one"], collection="second", consistency_level="ONE")
    others = numbers[count : 2 * count]
    if devices - 2 * count >= 3:  # else too few shares of the index's key are here
        with away(tmp_path, others), sealed_store(tmp_path, devices) as store:
            assert store.count() == 20 and store.count(collection="second") == 1
            assert store.get(["r3"])[0] is not None
    shutil.rmtree(tmp_path / "s")
    # Everything, or an error: never what was there before.
    with away(tmp_path, others), contextlib.suppress(Unavailable), sealed_store(tmp_path, devices) as store:
        assert store.count() == 20
    with sealed_store(tmp_path, devices) as store:
        check(store, 20)
        assert store.retrievability().records_below_n == 0
    shutil.rmtree(tmp_path / "s")
    with away(tmp_path, numbers[count : 2 * count]), sealed_store(tmp_path, devices) as store:  # what lacked was made again
        check(store, 20)
        assert store.count(collection="second") == 1


@pytest.mark.parametrize("devices", FLEETS)
def test_too_few_devices_take_no_write_and_open_nothing(tmp_path: Path, devices: int) -> None:
    needed = devices - away_max(devices)
    numbers = list(range(1, devices + 1))
    with sealed_store(tmp_path, devices) as store:
        write(store, range(10))
        with away(tmp_path, numbers[: devices - needed + 1]):
            with pytest.raises(Unavailable, match="nothing is stored"):
                write(store, range(10, 20))
            assert store.count() == 10
        write(store, range(10, 15))
        check(store, 15)
    with away(tmp_path, numbers[-needed:]), pytest.raises(Unavailable, match="devices"):
        sealed_store(tmp_path, devices)
    with away(tmp_path, numbers[-(needed - 1) :]), sealed_store(tmp_path, devices) as store:
        assert store.count() == 15


def test_a_restored_store_knows_the_writes_of_every_session(tmp_path: Path) -> None:
    """Each session has other devices away; the index is lost between them."""
    devices, dice = 12, random.Random(7)
    count = 0
    for _ in range(8):
        missing = dice.sample(range(1, devices + 1), away_max(devices)) if count else []
        with away(tmp_path, missing), sealed_store(tmp_path, devices) as store:
            assert not count or store.count() == count
            write(store, range(count, count + 5))
            count += 5
        if dice.random() < 0.5:
            sealed_store(tmp_path, devices).close()  # all are here: what lacks is made again
            shutil.rmtree(tmp_path / "s")
    with sealed_store(tmp_path, devices) as store:
        check(store, count)
        assert store.verify()

"""Devices of a sealed store are added, removed and replaced: while it is read and written, after crashes, from the devices."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import sealed_store
from device_nodes import DeviceNodes
from dvesp import InvalidArgument, Keyring, Unavailable, VectorStore
from dvesp.cli import main
from dvesp.keys import StoreKeys
from numpy.typing import NDArray

ROWS, D = 200, 8


def vector(number: int) -> NDArray[np.float32]:
    return np.random.default_rng(number).random(D, dtype=np.float32)


def fill(store: VectorStore, numbers: range) -> None:
    vectors = np.stack([vector(number) for number in numbers])
    store.insert(vectors, [{"number": number} for number in numbers], [f"r{number}" for number in numbers])


def check(store: VectorStore, count: int = ROWS) -> None:
    for number, record in enumerate(store.get([f"r{number}" for number in range(count)])):
        assert record is not None and np.array_equal(record.vector, vector(number)), number
        assert record.metadata == {"number": number}
    assert store.count() == count
    assert store.search(vector(3), top_k=1).results[0].id == "r3"


def check_whole(store: VectorStore, devices: int, count: int = ROWS) -> None:
    """Nothing is left to move, and every record has all of its fragments, each on a device of its own."""
    assert store.rebalance()
    found = store.retrievability()
    assert (found.devices, found.records, found.records_below_n, found.records_misplaced) == (devices, count, 0, 0)
    listed = store.devices()
    assert [device.state for device in listed] == ["active"] * devices
    assert sum(device.fragments or 0 for device in listed) == count * found.n
    assert all((device.fragments or 0) <= count for device in listed)
    check(store, count)


def test_a_device_that_joins_takes_its_share(tmp_path: Path) -> None:
    with sealed_store(tmp_path) as store:
        fill(store, range(ROWS))
        assert [device.number for device in store.devices()] == [1, 2, 3, 4, 5]
        store.add_device(tmp_path / "d6")
        check(store)
        check_whole(store, 6)
        joined = store.devices()[5]
        assert (joined.number, joined.place, joined.trust) == (6, str(tmp_path / "d6"), 1.0)
        assert ROWS // 2 < (joined.fragments or 0) < ROWS and (joined.bytes or 0) > 0
        assert store.status(detail=True)["rebalancing"] == {
            "running": False,
            "records_left": 0,
            "fragments_moved": joined.fragments,
        }
        with pytest.raises(InvalidArgument, match="already"):
            store.add_device(tmp_path / "d6")
    with sealed_store(tmp_path) as store:  # the old list of five: the sixth is found by what the others know
        check_whole(store, 6)
    shutil.rmtree(tmp_path / "s")
    (tmp_path / "d1").rename(tmp_path / "away1")
    with sealed_store(tmp_path) as store:  # from the devices alone, one of them away
        check(store)


def test_a_device_that_is_here_is_emptied_before_it_goes(tmp_path: Path) -> None:
    with sealed_store(tmp_path, 6) as store:
        fill(store, range(ROWS))
        store.remove_device(tmp_path / "d2")
        check(store)
        check_whole(store, 5)
        assert [device.number for device in store.devices()] == [1, 3, 4, 5, 6]
        with pytest.raises(InvalidArgument, match="needs 5 devices, and 4 would be left"):
            store.remove_device(1)
        with pytest.raises(InvalidArgument, match="has none at '2'"):
            store.remove_device(2)
        assert store.verify()
    shutil.rmtree(tmp_path / "d2")
    with sealed_store(tmp_path, 6) as store:
        check_whole(store, 5)
        store.add_device(tmp_path / "d2")  # the same place, a new device
        check_whole(store, 6)
        assert store.devices()[5].number == 7


def test_a_dead_device_is_replaced_and_what_it_had_made_again(tmp_path: Path) -> None:
    with sealed_store(tmp_path) as store:
        fill(store, range(ROWS))
    shutil.rmtree(tmp_path / "d4")
    with sealed_store(tmp_path) as store:
        assert store.retrievability().records_below_n == ROWS
        store.replace_device(4, tmp_path / "new")
        fill(store, range(ROWS, ROWS + 10))
        check_whole(store, 5, ROWS + 10)
    for gone in ("d1", "d2"):
        shutil.rmtree(tmp_path / gone)
    shutil.rmtree(tmp_path / "s")
    os.environ["DVESP_TEST_KEY"] = "00" * 32
    places = [tmp_path / name for name in ("d3", "d5", "new")]
    with VectorStore(tmp_path / "s", devices=places, keyring=Keyring.from_environment("DVESP_TEST_KEY")) as store:
        check(store, ROWS + 10)


def test_reads_and_writes_go_on_while_devices_come_and_go(tmp_path: Path) -> None:
    with sealed_store(tmp_path) as store:
        fill(store, range(ROWS))
        stop, errors, written = threading.Event(), [], [ROWS]

        def read() -> None:
            while not stop.is_set():
                try:
                    check_some = store.get([f"r{number}" for number in range(0, ROWS, 7)])
                    assert all(record is not None for record in check_some)
                    assert store.search(vector(9), top_k=1).results[0].id == "r9"
                except Exception as error:
                    errors.append(error)
                    return

        def write() -> None:
            while not stop.is_set():
                try:
                    fill(store, range(written[0], written[0] + 5))
                    written[0] += 5
                except Exception as error:
                    errors.append(error)
                    return

        threads = [threading.Thread(target=work) for work in (read, read, write)]
        for thread in threads:
            thread.start()
        store.add_device(tmp_path / "d6")
        store.add_device(tmp_path / "d7")
        store.rebalance()
        store.replace_device(1, tmp_path / "d8")
        store.remove_device(tmp_path / "d3")
        store.rebalance()
        stop.set()
        for thread in threads:
            thread.join()
        assert not errors, errors[0]
        assert written[0] > ROWS
        check_whole(store, 6, written[0])


_KILLED = """
import os, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from conftest import sealed_store
import threading, time
place = Path(sys.argv[1])
store = sealed_store(place)
threading.Timer(float(sys.argv[3]), lambda: os.kill(os.getpid(), 9)).start()
store.add_device(place / "d6")
store.replace_device(2, place / "d7")
store.rebalance()
print("done", flush=True)
time.sleep(10)
"""


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.03, 0.06, 0.1, 0.2])
def test_a_change_that_a_crash_interrupts_is_made_or_not(tmp_path: Path, delay: float) -> None:
    with sealed_store(tmp_path) as store:
        fill(store, range(ROWS))
    here = str(Path(__file__).parent)
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path), here, str(delay)], capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr
    with sealed_store(tmp_path) as store:
        check(store)
        check_whole(store, len([device for device in store.devices() if device.state != "leaving"]))
        if not any(device.place.endswith("d6") for device in store.devices()):
            store.add_device(tmp_path / "d6")  # as if nothing had been
            check_whole(store, 6)


def test_a_store_follows_the_newest_list_of_devices(tmp_path: Path) -> None:
    with sealed_store(tmp_path) as store:
        fill(store, range(ROWS))
    shutil.copytree(tmp_path / "s", tmp_path / "older")
    with sealed_store(tmp_path) as store:
        store.replace_device(5, tmp_path / "d6")
        check_whole(store, 5)
    shutil.rmtree(tmp_path / "s")
    (tmp_path / "older").rename(tmp_path / "s")
    with sealed_store(tmp_path) as store:
        check_whole(store, 5)
        assert [device.number for device in store.devices()] == [1, 2, 3, 4, 6]


def test_a_list_that_was_forged_on_a_device_is_not_followed(tmp_path: Path) -> None:
    with sealed_store(tmp_path, 6) as store:
        fill(store, range(ROWS))
        store.remove_device(6)
        check_whole(store, 5)
    for name in ("d1", "d2"):  # whoever has a device has its record, and no key of the store
        for record in (tmp_path / name).rglob("fleet*"):
            record.write_bytes(record.read_bytes().replace(b"DVFL", b"DVFX"))
    with sealed_store(tmp_path) as store:
        check_whole(store, 5)


def test_too_few_devices_agree_to_nothing(tmp_path: Path) -> None:
    with sealed_store(tmp_path) as store:
        fill(store, range(ROWS))
        for number in (1, 2, 3):
            (tmp_path / f"d{number}").rename(tmp_path / f"away{number}")
        with pytest.raises(Unavailable, match="2 of 5 devices"):
            store.add_device(tmp_path / "d6")
        for number in (1, 2, 3):
            (tmp_path / f"away{number}").rename(tmp_path / f"d{number}")
        store.add_device(tmp_path / "d6")
        check_whole(store, 6)


def test_a_device_of_another_store_or_none_is_refused(tmp_path: Path) -> None:
    with sealed_store(tmp_path / "other") as other:
        fill(other, range(3))
    with sealed_store(tmp_path) as store:
        fill(store, range(ROWS))
        with pytest.raises(InvalidArgument):
            store.add_device(tmp_path / "other" / "d1")
        with pytest.raises(InvalidArgument):
            store.replace_device(9, tmp_path / "d6")
        with pytest.raises(InvalidArgument):
            store.add_device("")
        check_whole(store, 5)
    with VectorStore(tmp_path / "plain") as plain:
        for call in (plain.devices, plain.rebalance, lambda: plain.add_device(tmp_path / "d6")):
            with pytest.raises(InvalidArgument, match="not sealed"):
                call()


def test_a_device_that_lies_loses_trust_and_then_its_fragments(tmp_path: Path) -> None:
    with sealed_store(tmp_path, 6) as store:
        fill(store, range(ROWS))
    for round_ in range(40):
        for data in (tmp_path / "d1").rglob("*"):
            if data.is_file() and data.stat().st_size > 4096:
                spoil(data, round_)
        with sealed_store(tmp_path, 6) as store:
            check(store)
            store.rebalance()
            liar = store.devices()[0]
            if liar.state == "distrusted":
                break
    assert liar.state == "distrusted" and liar.trust < 0.5
    with sealed_store(tmp_path, 6) as store:  # it is remembered, and the others have everything
        assert store.rebalance()
        assert (store.devices()[0].state, store.devices()[0].fragments) == ("distrusted", 0)
        assert store.retrievability().records_below_n == 0
        store.replace_device(1, tmp_path / "d7")
        check_whole(store, 6)


def spoil(data: Path, seed: int) -> None:
    bytes_ = bytearray(data.read_bytes())
    dice = np.random.default_rng(seed)
    for at in dice.integers(512, len(bytes_), size=64):
        bytes_[int(at)] ^= 1
    data.write_bytes(bytes_)


def test_command_line_lists_and_changes_devices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sealed_store(tmp_path) as store:
        fill(store, range(ROWS))
    key = tmp_path / "key"
    key.write_text("00" * 32)
    key.chmod(0o600)
    opening = [str(tmp_path / "s"), "--key-file", str(key), "--json", "--device"]
    places = [str(tmp_path / f"d{number}") for number in range(1, 6)]

    def run(command: str, *arguments: str) -> list[dict[str, object]]:
        store_path, *rest = opening
        assert main(["devices", command, store_path, *arguments, *rest, *places]) == 0, capsys.readouterr().err
        return list(json.loads(capsys.readouterr().out)["devices"])

    assert [device["state"] for device in run("list")] == ["active"] * 5
    assert len(run("add", str(tmp_path / "d6"))) == 6
    assert [device["number"] for device in run("remove", "1")] == [2, 3, 4, 5, 6]
    shutil.rmtree(tmp_path / "d2")
    assert [device["number"] for device in run("replace", "2", str(tmp_path / "d7"))] == [3, 4, 5, 6, 7]
    assert all(device["state"] == "active" for device in run("rebalance"))
    with sealed_store(tmp_path) as store:
        check_whole(store, 5)


def test_keys_without_records_give_up_a_lost_device_and_no_other(tmp_path: Path) -> None:
    with sealed_store(tmp_path) as store:
        fill(store, range(ROWS))
    shutil.rmtree(tmp_path / "d3")
    places = [tmp_path / f"d{number}" for number in range(1, 6)]
    with StoreKeys(tmp_path / "s", devices=places, keyring=Keyring.from_environment("DVESP_TEST_KEY")) as keys:
        with pytest.raises(Unavailable, match="open store"):
            keys.replace_device(1, tmp_path / "d6")
        keys.replace_device(3, tmp_path / "d6")
        assert [device.state for device in keys.devices()] == ["active", "active", "leaving", "active", "active", "joining"]
    with sealed_store(tmp_path) as store:
        check_whole(store, 5)


def test_devices_on_nodes_join_are_replaced_and_leave(tmp_path: Path) -> None:
    with DeviceNodes(tmp_path, 7) as nodes:
        first = nodes.addresses[:5]
        with nodes.store(tmp_path / "s", first) as store:
            fill(store, range(ROWS))
            store.add_device(nodes.addresses[5])
            check_whole(store, 6)
            assert [device.place for device in store.devices()] == nodes.addresses[:6]
            nodes.end(1)
            store.replace_device(nodes.addresses[1], nodes.addresses[6])
            check_whole(store, 6)
            store.remove_device(nodes.addresses[0])
            check_whole(store, 5)
        shutil.rmtree(tmp_path / "s")
        with nodes.store(tmp_path / "s", nodes.addresses[2:]) as store:
            check_whole(store, 5)

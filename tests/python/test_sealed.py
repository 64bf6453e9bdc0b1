"""Sealed stores: what devices hold, what opens without them, what happens when they go, come back, or lie."""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import sealed_store
from dvesp import (
    IntegrityError,
    InvalidArgument,
    Keyring,
    Sealed,
    Unavailable,
    VectorStore,
)
from numpy.typing import NDArray

N, D = 200, 24
Rows = NDArray[np.float32]


@pytest.fixture
def rows() -> Rows:
    return np.random.default_rng(5).random((N, D), dtype=np.float32)


@pytest.fixture
def place(tmp_path: Path, rows: Rows) -> Iterator[Path]:
    """A directory with a closed sealed store of N rows: ``s`` and ``d1`` to ``d5``."""
    with sealed_store(tmp_path) as store:
        store.insert(rows, [{"needle": f"clear-text-{at}"} for at in range(N)], [f"secret-id-{at}" for at in range(N)])
        store.update("secret-id-3", metadata={"needle": "changed"})
        store.delete(["secret-id-4"])
    return tmp_path


def check(store: VectorStore, rows: Rows, others: int = 0) -> None:
    """Everything is read back as it was written."""
    records = store.get([f"secret-id-{at}" for at in range(N)])
    assert records[4] is None and records[3] is not None and records[3].metadata == {"needle": "changed"}
    for at, record in enumerate(records):
        if at == 4:
            continue
        assert record is not None and np.array_equal(record.vector, rows[at])
    assert store.count() == N - 1 + others
    match = store.search(rows[7], top_k=3, filter={"needle": "clear-text-7"}).results
    assert [one.id for one in match] == ["secret-id-7"] and np.array_equal(match[0].vector, rows[7])


def away(place: Path, numbers: tuple[int, ...]) -> None:
    for number in numbers:
        (place / f"d{number}").rename(place / f"away{number}")


def back(place: Path) -> None:
    for number in range(1, 6):
        if (place / f"away{number}").exists():
            (place / f"away{number}").rename(place / f"d{number}")


def device_data(place: Path, number: int) -> list[Path]:
    """The files in which a device keeps fragments, largest first."""
    files = [path for path in (place / f"d{number}").rglob("*") if path.is_file() and path.stat().st_size > 4096]
    return sorted(files, key=lambda path: -path.stat().st_size)


def test_every_pair_of_five_devices_may_be_offline(place: Path, rows: Rows) -> None:
    for pair in itertools.combinations(range(1, 6), 2):
        away(place, pair)
        with sealed_store(place) as store:
            check(store, rows)
            found = store.retrievability()
            assert (found.k, found.n, found.reachable, found.guaranteed_losses) == (3, 5, 3, 2)
            assert found.records_below_n == N - 1 and found.fragments_least == 3
        back(place)
    with sealed_store(place) as store:
        assert store.retrievability().records_below_n == 0 and store.describe("default").privacy == "sealed"


def test_fewer_than_k_devices_are_unavailable_and_never_an_empty_answer(place: Path, rows: Rows) -> None:
    with sealed_store(place) as store:
        away(place, (1, 3, 5))
        for call in (
            lambda: store.get(["secret-id-1"]),
            lambda: store.get(["nobody"]),
            lambda: store.search(rows[0]),
            lambda: list(store.scroll()),
            lambda: store.insert(rows[:1], ids=["new"]),
            lambda: store.update("secret-id-1", metadata={}),
            lambda: store.delete(["secret-id-1"]),
        ):
            with pytest.raises(Unavailable, match="devices"):
                call()
        back(place)
        check(store, rows)
        assert store.get(["new"]) == [None]
    away(place, (1, 3, 5))
    with pytest.raises(Unavailable, match="2 of 5 devices"):
        sealed_store(place)
    assert not any((place / f"d{number}").exists() for number in (1, 3, 5)), "a missing device is never made anew"


def test_levels_are_fragments_and_what_is_missing_is_completed(place: Path, rows: Rows) -> None:
    with sealed_store(place) as store:
        away(place, (2,))
        assert store.insert(rows[:2] + 1, ids=["a", "b"]).status == "success"  # QUORUM = k + 1 = 4
        assert store.insert(rows[2:3] + 1, ids=["c"], consistency_level="ALL").status == "partial"
        assert store.insert(rows[2:3] + 1, ids=["c"], consistency_level="ALL").status == "partial", (
            "a retry says what is held now"
        )
        away(place, (4,))
        assert store.upsert({"id": "d", "vector": rows[3] + 1}).status == "partial"
        assert store.insert(rows[4:5] + 1, ids=["e"], consistency_level="ONE").status == "success"
        assert store.retrievability().fragments_least == 3
        back(place)
        store.flush()
        assert store.retrievability().records_below_n == 0
        assert store.insert(rows[2:3] + 1, ids=["c"], consistency_level="ALL").status == "success"
    away(place, (1, 3))  # what was completed is as good as what was there
    with sealed_store(place) as store:
        check(store, rows, others=5)
        assert np.array_equal(store.get(["e"])[0].vector, rows[4] + 1)  # type: ignore[union-attr]


def test_index_comes_back_from_the_devices_alone(place: Path, rows: Rows) -> None:
    shutil.rmtree(place / "s")
    with sealed_store(place) as store:
        check(store, rows)
        assert store.get(["secret-id-3"])[0].version == 2 and store.verify()  # type: ignore[union-attr]
        store.insert(rows[:1] + 2, ids=["after"])
    shutil.rmtree(place / "s")
    away(place, (5,))
    with sealed_store(place) as store:
        check(store, rows, others=1)
        assert np.array_equal(store.get(["after"])[0].vector, rows[0] + 2)  # type: ignore[union-attr]


def test_older_copy_of_the_index_takes_up_what_the_devices_have(place: Path, rows: Rows) -> None:
    shutil.copytree(place / "s", place / "older")
    with sealed_store(place) as store:
        store.insert(rows[:5] + 3, ids=list("vwxyz"))
        store.delete(["z"])
        store.create_collection("other", 3, fragments=(2, 4))
        store.insert(np.eye(3, dtype=np.float32), collection="other")
    shutil.rmtree(place / "s")
    (place / "older").rename(place / "s")
    with sealed_store(place) as store:
        assert store.count() == N + 3 and store.get(["z"]) == [None] and store.count("other") == 3
        assert np.array_equal(store.get(["y"])[0].vector, rows[3] + 3)  # type: ignore[union-attr]
        assert (store.retrievability("other").k, store.retrievability("other").n) == (2, 4)


@pytest.mark.parametrize("key", ["00" * 31 + "01", "ff" * 32])
def test_wrong_key_is_sealed_at_open_and_at_restore(place: Path, key: str) -> None:
    with pytest.raises(Sealed, match="key"):
        sealed_store(place, key=key)
    with pytest.raises(Sealed, match="devices="):
        VectorStore(place / "s")
    shutil.rmtree(place / "s")
    with pytest.raises(Sealed, match="key"):
        sealed_store(place, key=key)


def test_nothing_is_in_clear_anywhere(place: Path, rows: Rows) -> None:
    needles = [b"clear-text", b"secret-id", b"needle", b"default", rows[7].tobytes()[:12], rows[100].tobytes()[-12:]]
    looked_at = 0
    for path in place.rglob("*"):
        if not path.is_file():
            continue
        data = path.read_bytes()
        looked_at += len(data)
        assert not [needle for needle in needles if needle in data], path
    assert looked_at > 5 * N * D * 4


def test_the_key_and_the_index_and_two_devices_open_nothing(place: Path) -> None:
    for number in (1, 2, 3):
        shutil.rmtree(place / f"d{number}")
    with pytest.raises(Unavailable, match="2 of 5"):
        sealed_store(place)
    shutil.rmtree(place / "s")
    with pytest.raises(Unavailable, match="2 of 5"):
        sealed_store(place)


def test_flipped_and_truncated_fragments_never_become_wrong_data(place: Path, rows: Rows) -> None:
    rng = np.random.default_rng(9)
    for number in (1, 4):  # two devices lie in every block
        for path in device_data(place, number):
            data = bytearray(path.read_bytes())
            for at in rng.integers(4096, len(data), len(data) // 512):
                data[at] ^= 1 << int(rng.integers(8))
            path.write_bytes(data)
    with sealed_store(place) as store:
        check(store, rows)
    for path in device_data(place, 2):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    # Three of five damaged: what is not read is said.
    with contextlib.suppress(Unavailable, IntegrityError), sealed_store(place) as store:
        check(store, rows)


def test_swapped_devices_are_known_and_foreign_ones_refused(place: Path, rows: Rows, tmp_path: Path) -> None:
    (place / "d1").rename(place / "d9")
    (place / "d2").rename(place / "d1")
    (place / "d9").rename(place / "d2")
    with sealed_store(place) as store:
        check(store, rows)
    with sealed_store(tmp_path / "foreign"):
        pass
    shutil.rmtree(place / "d3")
    shutil.move(tmp_path / "foreign" / "d3", place / "d3")
    with pytest.raises(IntegrityError, match="another store"):
        sealed_store(place)


def test_stale_device_gives_no_stale_data(place: Path, rows: Rows) -> None:
    shutil.copytree(place / "d1", place / "old1")
    with sealed_store(place) as store:
        for at in range(10, 20):
            store.upsert({"id": f"secret-id-{at}", "vector": rows[at] + 5})
    shutil.rmtree(place / "d1")
    (place / "old1").rename(place / "d1")
    away(place, (2, 3))
    with sealed_store(place) as store:  # two of five have what is new, one what is old
        for at in range(10, 20):
            with pytest.raises((Unavailable, IntegrityError)):
                store.get([f"secret-id-{at}"])
        assert np.array_equal(store.get(["secret-id-30"])[0].vector, rows[30])  # type: ignore[union-attr]
        back(place)
        store.flush()
    away(place, (4, 5))
    with sealed_store(place) as store:  # what was old was made anew
        for at in range(10, 20):
            assert np.array_equal(store.get([f"secret-id-{at}"])[0].vector, rows[at] + 5)  # type: ignore[union-attr]


def test_arguments_are_checked_by_name(tmp_path: Path) -> None:
    key = Keyring.from_passphrase("x")
    with pytest.raises(Sealed, match="keyring"):
        VectorStore(tmp_path / "s", devices=[tmp_path / "a", tmp_path / "b"])
    with pytest.raises(InvalidArgument, match="devices"):
        VectorStore(tmp_path / "s", keyring=key)
    with pytest.raises(InvalidArgument, match="path"):
        VectorStore(devices=[tmp_path / "a", tmp_path / "b"], keyring=key)
    with pytest.raises(InvalidArgument, match="of its own"):
        VectorStore(tmp_path / "s", devices=[tmp_path / "a", tmp_path / "a"], keyring=key)
    with pytest.raises(InvalidArgument, match="2 to 255"):
        VectorStore(tmp_path / "s", devices=[tmp_path / "a"], keyring=key)
    with pytest.raises(InvalidArgument, match="Keyring"):
        VectorStore(tmp_path / "s", devices=[tmp_path / "a", tmp_path / "b"], keyring="secret")
    assert not (tmp_path / "a").exists() and not (tmp_path / "s" / "keys").exists()
    with sealed_store(tmp_path) as store, pytest.raises(InvalidArgument, match="needs 6 devices"):
        store.create_collection("c", 3, fragments=(3, 6))
    with VectorStore() as plain, pytest.raises(InvalidArgument, match="not sealed"):
        plain.retrievability()


def test_keyrings_take_every_form_and_show_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = bytes(range(32))
    public = bytes.fromhex("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8")  # RFC 8032's key of this seed
    wallet = tmp_path / "wallet.json"
    wallet.write_text(str(list(seed + public)))
    keyring = Keyring.from_wallet(wallet)
    assert repr(keyring) == "Keyring(...)" and "00010203" not in str(vars(type(keyring)))
    wallet.write_text(str(list(seed + public[::-1])))
    with pytest.raises(InvalidArgument, match="public half"):
        Keyring.from_wallet(wallet)
    with pytest.raises(InvalidArgument):
        pickle.dumps(keyring)
    raw = tmp_path / "raw.key"
    raw.write_bytes(seed)
    assert isinstance(Keyring.from_file(raw), Keyring)
    raw.write_text(seed.hex() + "\n")
    assert isinstance(Keyring.from_file(raw), Keyring)
    raw.write_text("not a key")
    with pytest.raises(InvalidArgument, match="32 bytes"):
        Keyring.from_file(raw)
    monkeypatch.delenv("DVESP_KEY", raising=False)
    with pytest.raises(InvalidArgument, match="DVESP_KEY"):
        Keyring.from_environment()
    devices = [tmp_path / "a", tmp_path / "b", tmp_path / "c"]
    wallet.write_text(str(list(seed + public)))
    with VectorStore(tmp_path / "s", devices=devices, keyring=Keyring.from_wallet(wallet)) as store:
        store.insert([[1.0, 2.0]], ids=["a"])
        assert (store.retrievability().k, store.retrievability().n) == (2, 3)
    with VectorStore(tmp_path / "s", devices=devices, keyring=keyring) as store:
        assert store.get(["a"])[0].vector.tolist() == [1.0, 2.0]  # type: ignore[union-attr]


def test_killed_process_loses_nothing_that_was_acknowledged(tmp_path: Path, rows: Rows) -> None:
    pid = os.fork()
    if pid == 0:  # the child writes and dies without closing
        try:
            store = sealed_store(tmp_path)
            for first in range(0, N, 20):
                store.insert(rows[first : first + 20], ids=[f"r{at}" for at in range(first, first + 20)])
        finally:
            os._exit(9)
    os.waitpid(pid, 0)
    with sealed_store(tmp_path) as store:
        assert store.count() == N and store.retrievability().records_below_n == 0
        records = store.get([f"r{at}" for at in range(N)])
        assert all(record is not None and np.array_equal(record.vector, row) for record, row in zip(records, rows, strict=True))

"""Devices on nodes: real processes that are killed, stopped, changed and lied for, and everything that they could see."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from device_nodes import HEAD, DeviceNodes, Relay
from dvesp import (
    TLS,
    IntegrityError,
    InvalidArgument,
    Keyring,
    PermissionDenied,
    Sealed,
    Unavailable,
    VectorStore,
)
from dvesp.cli import main
from numpy.typing import NDArray
from test_tls import UPGRADE, issue, options_of

N, D = 200, 24
MAGIC, REPLY, DEVICE = 0x31525644, 2, 4
AWAY_MS_MAX = 8000  # of node/device_peer.hpp
Rows = NDArray[np.float32]


@pytest.fixture
def rows() -> Rows:
    return np.random.default_rng(5).random((N, D), dtype=np.float32)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[DeviceNodes]:
    with DeviceNodes(tmp_path) as running:
        yield running


def fill(store: VectorStore, rows: Rows) -> None:
    store.insert(rows, [{"needle": f"clear-text-{at}"} for at in range(N)], [f"secret-id-{at}" for at in range(N)])
    store.update("secret-id-3", metadata={"needle": "changed"})
    store.delete(["secret-id-4"])


def check(store: VectorStore, rows: Rows) -> None:
    """Everything is read back as it was written."""
    records = store.get([f"secret-id-{at}" for at in range(N)])
    assert records[4] is None and records[3] is not None and records[3].metadata == {"needle": "changed"}
    for at, record in enumerate(records):
        assert at == 4 or (record is not None and record.vector is not None and np.array_equal(record.vector, rows[at]))
    match = store.search(rows[7], top_k=3, filter={"needle": "clear-text-7"}).results
    assert [one.id for one in match] == ["secret-id-7"] and match[0].vector is not None
    assert np.array_equal(match[0].vector, rows[7])


def completed(store: VectorStore) -> bool:
    """Whether every record has all its fragments, after the devices that were away had their time."""
    deadline = time.monotonic() + AWAY_MS_MAX / 1000 + 20
    while store.retrievability().records_below_n > 0:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
        store.flush()
    return True


def test_store_lives_on_nodes_alone_and_comes_back_on_a_fresh_client(nodes: DeviceNodes, tmp_path: Path, rows: Rows) -> None:
    with nodes.store(tmp_path / "s") as store:
        fill(store, rows)
        check(store, rows)
        found = store.retrievability()
        assert (found.k, found.n, found.reachable, found.records_below_n) == (3, 5, 5, 0) and store.verify()
    with nodes.store(tmp_path / "s", [f"https://{address}" for address in reversed(nodes.addresses)]) as store:
        check(store, rows)
    shutil.rmtree(tmp_path / "s")
    with nodes.store(tmp_path / "fresh") as store:
        check(store, rows)
        store.insert(rows[:1] + 1, ids=["after"])
    for number in range(5):  # and after every node was started again
        nodes.end(number, signal.SIGTERM)
        nodes.start(number)
    with nodes.store(tmp_path / "fresh") as store:
        check(store, rows)
        assert store.get(["after"])[0] is not None


def test_two_of_five_nodes_may_be_killed_and_three_may_not(nodes: DeviceNodes, tmp_path: Path, rows: Rows) -> None:
    with nodes.store(tmp_path / "s") as store:
        fill(store, rows)
        nodes.end(0)
        nodes.end(3)
        check(store, rows)
        assert store.insert(rows[:1] + 1, ids=["at-three"], consistency_level="ONE").status == "success"
        nodes.end(1)
        for call in (lambda: store.get(["secret-id-1"]), lambda: store.insert(rows[:1] + 2, ids=["nowhere"])):
            with pytest.raises(Unavailable, match="devices"):
                call()
        for number in (0, 1, 3):
            nodes.start(number)
        assert completed(store)
        check(store, rows)
        assert store.get(["nowhere"]) == [None] and store.get(["at-three"])[0] is not None
        store.insert(rows[:1] + 3, ids=["nowhere"])
    shutil.rmtree(tmp_path / "s")
    with nodes.store(tmp_path / "s") as store:
        found = store.get(["nowhere"])[0]
        assert found is not None and np.array_equal(found.vector, rows[0] + 3), "what came to nothing does not come back"


def test_stopped_node_costs_bounded_time_and_is_completed_when_it_goes_on(
    nodes: DeviceNodes, tmp_path: Path, rows: Rows
) -> None:
    with nodes.store(tmp_path / "s") as store:
        fill(store, rows)
        nodes.signal(2, signal.SIGSTOP)
        slowest = 0.0
        for at in range(40):
            began = time.monotonic()
            store.search(rows[at], top_k=5)
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < 3.0, f"a search waited {slowest:.2f} s for a silent node"
        began = time.monotonic()
        assert store.insert(rows[:5] + 1, ids=list("abcde")).status == "success"
        assert time.monotonic() - began < 10.0
        nodes.signal(2, signal.SIGCONT)
        assert completed(store)
    nodes.end(0)
    nodes.end(1)
    with nodes.store(tmp_path / "s") as store:  # what was completed is as good as what was there
        check(store, rows)
        assert np.array_equal(store.get(["e"])[0].vector, rows[4] + 1)  # type: ignore[union-attr]


def test_writes_that_three_stopped_nodes_slept_through_come_to_nothing(nodes: DeviceNodes, tmp_path: Path, rows: Rows) -> None:
    with nodes.store(tmp_path / "s") as store:
        fill(store, rows)
        for number in (0, 1, 2):
            nodes.signal(number, signal.SIGSTOP)
        with pytest.raises(Unavailable, match="nothing is stored"):
            store.insert(rows[:1] + 7, ids=["slept"])
        for number in (0, 1, 2):
            nodes.signal(number, signal.SIGCONT)
        assert completed(store)
        store.insert(rows[:1] + 8, ids=["woken"])
    shutil.rmtree(tmp_path / "s")
    with nodes.store(tmp_path / "s") as store:
        check(store, rows)
        assert store.get(["slept"]) == [None] and store.get(["woken"])[0] is not None


def test_changed_files_of_a_node_are_named_and_give_no_wrong_data(nodes: DeviceNodes, tmp_path: Path, rows: Rows) -> None:
    with nodes.store(tmp_path / "s") as store:
        fill(store, rows)
        files = [path for path in nodes.device(1).rglob("*") if path.is_file() and path.stat().st_size > 4096]
        changed = 0
        for path in files:
            data = bytearray(path.read_bytes())
            places = [at for at in range(len(data) - 400) if data[at : at + 4] == b"DVFR"]
            for first, second in zip(places[::2], places[1::2], strict=False):  # bytes of one record in another's place
                one, other = data[first + 64 : first + 160], data[second + 64 : second + 160]
                data[first + 64 : first + 160], data[second + 64 : second + 160] = other, one
            changed += len(places) // 2
            path.write_bytes(data)
        assert changed > N // 4, "nothing was changed: the test shows nothing"
        report = store.verify()
        assert not report.ok and any(nodes.addresses[1] in problem for problem in report.problems), report.problems
        for _ in range(3):
            check(store, rows)


def swapped(body: bytes) -> bytes:
    """An answer to `get` with its first two fragments of one length exchanged."""
    code, _, _, count = struct.unpack_from("<HBBI", body)
    places, at = [], 8
    for _ in range(count):
        if at + 5 > len(body):
            return body
        here, size = struct.unpack_from("<BI", body, at)
        if here == 1 and size > 100 and at + 5 + size <= len(body) and body[at + 5 : at + 9] == b"DVFR":
            places.append((at + 5, size))
        at += 5 + size
    if code != 0 or at != len(body) or len(places) < 2 or places[0][1] != places[1][1]:
        return body
    (first, size), (second, _) = places[:2]
    out = bytearray(body)
    out[first : first + size], out[second : second + size] = body[second : second + size], body[first : first + size]
    return bytes(out)


def test_node_that_answers_with_another_records_fragment_is_not_believed(
    nodes: DeviceNodes, tmp_path: Path, rows: Rows
) -> None:
    altered = []

    def alter(body: bytes) -> bytes:
        out = swapped(body)
        altered.append(out != body)
        return out

    with contextlib.ExitStack() as stack:
        relays = [stack.enter_context(Relay(nodes.addresses[number], alter)) for number in (0, 1)]
        devices = [relays[0].address, relays[1].address, *nodes.addresses[2:]]
        with nodes.store(tmp_path / "s", devices) as store:
            fill(store, rows)
            for _ in range(3):
                check(store, rows)
        assert any(altered), "nothing was exchanged: the test shows nothing"


def everything_of(process: int) -> bytes:
    """The memory of a process that it may write to."""
    out = []
    with open(f"/proc/{process}/maps") as maps, open(f"/proc/{process}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, access = line.split()[:2]
            if not access.startswith("rw"):
                continue
            first, last = (int(part, 16) for part in span.split("-"))
            with contextlib.suppress(OSError, ValueError, OverflowError):
                memory.seek(first)
                data = memory.read(last - first)
                out.append(data.rstrip(b"\0"))  # stacks and arenas are mostly untouched
    return b"\0".join(out)


def test_traffic_and_memory_of_nodes_hold_nothing_readable(nodes: DeviceNodes, tmp_path: Path, rows: Rows) -> None:
    # Four numbers of a vector are enough to know it; every id and text has one of the words.
    secrets = [row.tobytes()[:16] for row in rows[:20]] + [row.tobytes()[-16:] for row in rows[:20]]
    secrets += [b"private-letters", b"clear-text", b"secret-id", b"needle"]
    with contextlib.ExitStack() as stack:
        relays = [stack.enter_context(Relay(address)) for address in nodes.addresses]
        devices: list[str | Path] = [relay.address for relay in relays]
        ids = [f"secret-id-{at}" for at in range(N)]
        with nodes.store(tmp_path / "s", devices) as store:
            letters = store.create_collection("private-letters", D, privacy="sealed")
            letters.insert(rows, [{"needle": f"clear-text-{at}"} for at in range(N)], ids)
            for row in rows[:50]:
                letters.search(row, top_k=10, filter={"needle": "clear-text-7"})
            assert letters.get(ids[:3])[0] is not None
        shutil.rmtree(tmp_path / "s")
        with nodes.store(tmp_path / "s", devices) as store:
            assert store.count("private-letters") == N
            store.search(rows[0], top_k=10, collection="private-letters")
            memories = [everything_of(process.pid) for process in nodes.processes.values()]
        captures = [relay.bytes() for relay in relays]
    for what, seen in (("traffic", captures), ("memory", memories)):
        for number, data in enumerate(seen):
            assert data.count(b"DVFR") >= (N if what == "traffic" else 1), f"{what} of node {number} was not captured"
            for secret in secrets:
                assert secret not in data, f"{what} of node {number} has {secret!r}"
    for number in range(5):
        for path in nodes.device(number).rglob("*"):
            data = path.read_bytes() if path.is_file() else b""
            assert not any(secret in data for secret in secrets), path


def message(body: bytes, size: int | None = None, kind: int = DEVICE) -> bytes:
    return HEAD.pack(MAGIC, 1, kind, 77, len(body) if size is None else size) + body


def ask(address: str, sent: bytes) -> bytes:
    """What the node answers to bytes behind the greeting, until it ends the connection or has answered once."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(UPGRADE)
        got = b""
        while b"\r\n\r\n" not in got:
            got += connection.recv(4096)
        got = got.partition(b"\r\n\r\n")[2]
        connection.sendall(sent)
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                got += piece
                if len(got) >= HEAD.size and len(got) >= HEAD.size + HEAD.unpack_from(got)[4]:
                    break
        return got


def stores_of(nodes: DeviceNodes, number: int) -> list[str]:
    return [path.name for path in nodes.device(number).iterdir() if path.is_dir()]


def code_of(answer: bytes) -> int:
    assert HEAD.unpack_from(answer)[2:4] == (REPLY, 77)
    code: int = struct.unpack_from("<H", answer, HEAD.size)[0]
    return code


def test_malformed_requests_are_refused_and_the_node_goes_on(nodes: DeviceNodes, tmp_path: Path, rows: Rows) -> None:
    address, nobody = nodes.addresses[0], bytes(32)
    head = struct.Struct("<BBBBI16s16s")
    bad = [
        b"",
        b"\x01",
        head.pack(0, 0, 0, 0, 0, nobody[:16], nobody[:16]),
        head.pack(99, 0, 0, 0, 0, nobody[:16], nobody[:16]),
    ]
    bad += [head.pack(7, 0, 0, 0, 2**32 - 1, nobody[:16], nobody[:16]) + nobody]  # more ids than there are
    bad += [head.pack(6, 0, 0, 0, 1, nobody[:16], nobody[:16]) + nobody + struct.pack("<BI", 1, 2**31) + b"x"]
    bad += [head.pack(1, 0, 0, 0, 0, nobody[:16], nobody[:16]) + b"left over"]
    for body in bad:
        assert code_of(ask(address, message(body))) == 1, body
    assert code_of(ask(address, message(b"", size=73 << 20))) == 1  # too long: refused before it is read
    put = head.pack(6, 0, 0, 0, 1, nobody[:16], nobody[:16]) + nobody + struct.pack("<BI", 1, 1) + b"x"
    assert code_of(ask(address, message(put))) == 9  # of a store that is not there
    with socket.create_connection(("127.0.0.1", int(address.rsplit(":", 1)[1]))) as cut:
        cut.sendall(UPGRADE + message(put)[:-3])
    with nodes.store(tmp_path / "s") as store:
        fill(store, rows)
        store_id = stores_of(nodes, 0)[0]
        for op, body in ((6, nobody + struct.pack("<BI", 1, 1) + b"x"), (8, nobody)):  # writes of somebody without a session
            request = head.pack(op, 0, 0, 0, 1, bytes.fromhex(store_id), b"m" * 16) + body
            assert code_of(ask(address, message(request))) == 11
        check(store, rows)
    assert nodes.processes[0].poll() is None


def test_directories_and_nodes_mix(nodes: DeviceNodes, tmp_path: Path, rows: Rows) -> None:
    devices: list[str | Path] = [*nodes.addresses[:3], tmp_path / "d4", f"{tmp_path}/d5"]
    with nodes.store(tmp_path / "s", devices) as store:
        fill(store, rows)
    nodes.end(0)
    (tmp_path / "d4").rename(tmp_path / "away")
    with nodes.store(tmp_path / "s", devices) as store:
        check(store, rows)
    shutil.rmtree(tmp_path / "s")
    with nodes.store(tmp_path / "s", devices) as store:
        check(store, rows)


def test_several_stores_on_the_same_nodes_are_told_apart(nodes: DeviceNodes, tmp_path: Path, rows: Rows) -> None:
    with nodes.store(tmp_path / "s") as store:
        fill(store, rows)
    with pytest.raises(Sealed, match="#new"):
        nodes.store(tmp_path / "t", key="11" * 32)
    beside: list[str | Path] = [f"{address}#new" for address in nodes.addresses]
    with nodes.store(tmp_path / "t", beside, key="11" * 32) as other:
        other.insert(rows[:2], ids=["x", "y"])
    with nodes.store(tmp_path / "u", beside) as third:  # the first store's key once more
        third.insert(rows[:1], ids=["z"])
    shutil.rmtree(tmp_path / "t")
    with nodes.store(tmp_path / "t", key="11" * 32) as other:
        assert other.count() == 2
    with nodes.store(tmp_path / "s") as store:
        check(store, rows)
    shutil.rmtree(tmp_path / "s")
    with pytest.raises(InvalidArgument, match="HOST:PORT#STORE"):
        nodes.store(tmp_path / "s")
    found = []
    for name in stores_of(nodes, 0):
        with contextlib.suppress(Sealed), nodes.store(tmp_path / name, [f"{one}#{name}" for one in nodes.addresses]) as store:
            found.append(store.count())
    assert sorted(found) == [1, N - 1]


def test_second_client_waits_for_the_first_and_then_follows_it(nodes: DeviceNodes, tmp_path: Path, rows: Rows) -> None:
    with nodes.store(tmp_path / "s") as first:
        fill(first, rows)
        began = time.monotonic()
        with nodes.store(tmp_path / "t") as second:  # the first one is idle: after its lease the second one writes
            assert 2.0 < time.monotonic() - began < 30.0
            check(second, rows)
            second.insert(rows[:1] + 1, ids=["second"])
            with pytest.raises(Unavailable):
                first.insert(rows[:1] + 2, ids=["first"])
            assert second.get(["second"])[0] is not None
    with nodes.store(tmp_path / "t") as second:  # the index of the first is of the past: its key is no more
        assert second.get(["second"])[0] is not None and second.get(["first"]) == [None]


def test_second_client_hears_that_the_first_one_is_at_work(nodes: DeviceNodes, tmp_path: Path, rows: Rows) -> None:
    with nodes.store(tmp_path / "s") as first:
        fill(first, rows)
        is_done = threading.Event()

        def work() -> None:
            while not is_done.wait(0.3):
                first.search(rows[0])

        worker = threading.Thread(target=work)
        worker.start()
        try:
            with pytest.raises(Unavailable, match="another client has this store open"):
                nodes.store(tmp_path / "t")
        finally:
            is_done.set()
            worker.join()
        check(first, rows)
        first.insert(rows[:1] + 1, ids=["still"])


def test_shell_works_with_nodes(nodes: DeviceNodes, tmp_path: Path, rows: Rows, capsys: pytest.CaptureFixture[str]) -> None:
    key, new = tmp_path / "old.key", tmp_path / "new.key"
    assert main(["keys", "init", str(key)]) == 0 and main(["keys", "init", str(new)]) == 0
    with VectorStore(tmp_path / "s", devices=nodes.addresses, keyring=Keyring.from_file(key)) as store:
        fill(store, rows)
    place = [str(tmp_path / "s"), "--device", *nodes.addresses]
    capsys.readouterr()
    assert main(["keys", "rotate", *place, "--key-file", str(key), "--new-key-file", str(new), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"done": "rotated", "devices": 5, "reached": 5}
    with VectorStore(tmp_path / "s", devices=nodes.addresses, keyring=Keyring.from_file(new)) as store:
        check(store, rows)
    with pytest.raises(Sealed):
        VectorStore(tmp_path / "s", devices=nodes.addresses, keyring=Keyring.from_file(key))
    asked = [word for address in nodes.addresses for word in ("--device", address)]
    capsys.readouterr()
    assert main(["audit", "verify", str(tmp_path / "s"), *asked, "--json"]) == 0, capsys.readouterr().err
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] and report["witnessed_entries"] > 0
    nodes.end(0)
    assert main(["audit", "verify", str(tmp_path / "s"), *asked]) != 0, "a device that cannot be asked is no witness"


def refused_within(seconds: float, store: VectorStore, rows: Rows) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            store.insert(rows[:1] + 5, ids=[f"m{time.monotonic_ns()}"])
        except (PermissionDenied, Unavailable):
            return True
        time.sleep(0.2)
    return False


def test_certificates_decide_who_may_ask(tmp_path: Path, rows: Rows) -> None:
    ca, other = tmp_path / "ca", tmp_path / "other"
    for folder, name in ((ca, "Example Ltd"), (other, "Example Ltd")):
        assert main(["ca", "init", "--dir", str(folder), "--organisation", name]) == 0
    client, stranger, mallory = issue(ca, "client"), issue(other, "client"), issue(ca, "mallory")
    shown = [issue(ca, f"node{number}", "127.0.0.1", role="node") for number in range(5)]
    revoked = tmp_path / "revocations"
    revoked.touch()
    nodes = DeviceNodes(
        tmp_path, options=lambda number: [*options_of(shown[number]), "--tls-revocations", str(ca / "revocations")]
    )
    with nodes:
        nodes.tls = client
        with nodes.store(tmp_path / "s") as store:
            fill(store, rows)
            check(store, rows)
        nodes.tls = TLS(client.ca, stranger.cert, stranger.key)
        with pytest.raises((PermissionDenied, Unavailable)):
            nodes.store(tmp_path / "t")
        nodes.tls = mallory
        with nodes.store(tmp_path / "s") as store:
            check(store, rows)
            assert main(["ca", "revoke", "mallory", "--dir", str(ca)]) == 0
            assert refused_within(30, store, rows)  # on connections that are open
        with pytest.raises((PermissionDenied, Unavailable)):
            nodes.store(tmp_path / "u")
        nodes.tls = client
        with nodes.store(tmp_path / "s") as store:
            check(store, rows)


def test_damaged_shares_of_more_devices_than_may_be_lost_are_told(nodes: DeviceNodes, tmp_path: Path, rows: Rows) -> None:
    with nodes.store(tmp_path / "s") as store:
        fill(store, rows)
        for number in (0, 1, 2):
            for path in nodes.device(number).rglob("*"):
                data = bytearray(path.read_bytes()) if path.is_file() else bytearray()
                for at in [at for at in range(len(data) - 100) if data[at : at + 4] == b"DVFR"]:
                    data[at + 70] ^= 1
                if path.is_file():
                    path.write_bytes(data)
        with pytest.raises((IntegrityError, Unavailable)):
            store.get(["secret-id-1"])

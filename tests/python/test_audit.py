"""The audit log of a sealed store: what is in it, who notices when its owner rewrites it, and ``dvesp audit``."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import sealed_store
from dvesp import Corruption, IntegrityError, VectorStore
from dvesp.cli import main

N, D = 50, 8


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory with a closed sealed store ``s`` of N rows and its devices ``d1`` to ``d5``."""
    with sealed_store(tmp_path) as store:
        rows = np.random.default_rng(3).random((N, D), dtype=np.float32)
        store.insert(rows, [{"needle": f"clear-text-{at}"} for at in range(N)], [f"secret-id-{at}" for at in range(N)])
    return tmp_path


def audit(capsys: pytest.CaptureFixture[str], *arguments: Any, code: int = 0) -> list[Any]:
    """The JSON lines that a command prints."""
    capsys.readouterr()
    assert main(["audit", *map(str, arguments), "--json"]) == code, capsys.readouterr().err
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def devices_of(place: Path) -> list[str]:
    return [part for number in range(1, 6) for part in ("--device", str(place / f"d{number}"))]


def verify(capsys: pytest.CaptureFixture[str], place: Path, code: int = 0, *more: str) -> Any:
    return audit(capsys, "verify", place / "s", *devices_of(place), *more, code=code)[0]


def use(store: VectorStore) -> None:
    store.get(["secret-id-1", "nobody", "secret-id-2"])
    store.search(np.ones(D, np.float32), top_k=5)
    store.search(np.ones(D, np.float32), top_k=5, include_vectors=False)
    assert len(list(store.scroll(batch_size=7))) == N
    store.update("secret-id-3", metadata={"needle": "changed"})


def test_every_kind_of_call_is_one_entry_and_says_nothing_secret(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = len(audit(capsys, "export", place / "s"))
    with sealed_store(place) as store:
        use(store)
        store.delete(["secret-id-9"])
        root = store.insert(np.ones((2, D), np.float32), ids=["x", "y"]).consistency_hash
    entries = audit(capsys, "export", place / "s")
    assert [entry["index"] for entry in entries] == list(range(len(entries)))
    assert [(entry["kind"], entry["count"]) for entry in entries[before:]] == [
        ("read", 2),
        ("search", 5),
        ("search", 5),
        ("read", N),
        ("write", 1),
        ("write", 1),
        ("write", 2),
    ]
    assert entries[-1]["touched"] == root and entries[before + 1]["touched"] == entries[before + 2]["touched"]
    first = entries[:before]
    assert [entry["kind"] for entry in first] == ["join"] * 5 + ["keys", "keys", "write", "write"]
    assert {entry["device"] for entry in first[:5]} == {1, 2, 3, 4, 5} and len({entry["actor"] for entry in entries}) == 1
    bytes_of_log = (place / "s" / "audit" / "log").read_bytes()
    for needle in (b"clear-text", b"secret-id", b"needle", b"default"):
        assert needle not in bytes_of_log
    report = verify(capsys, place)
    assert report["ok"] and report["entries"] == len(entries) == report["witnessed_entries"]
    assert report["unsigned_entries"] == 0 and report["cosignatures"] >= 5


def test_proof_of_an_entry_is_checked_with_nothing_but_sha256(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = audit(capsys, "export", place / "s")
    for index in range(len(entries)):
        (proof,) = audit(capsys, "export", place / "s", "--proof", index)
        found = hashlib.sha256(b"\0" + bytes.fromhex(proof["entry_bytes"])).digest()
        assert found.hex() == entries[index]["leaf"] and proof["entry"] == entries[index]
        at, last = index, proof["size"] - 1
        for step in map(bytes.fromhex, proof["path"]):  # RFC 9162 section 2.1.3.2
            if at & 1 or at == last:
                found = hashlib.sha256(b"\1" + step + found).digest()
                while not at & 1 and at:
                    at, last = at >> 1, last >> 1
            else:
                found = hashlib.sha256(b"\1" + found + step).digest()
            at, last = at >> 1, last >> 1
        assert last == 0 and found.hex() == proof["root"]
        assert proof["checkpoint"].splitlines()[1] == str(proof["size"])
    assert main(["audit", "export", str(place / "s"), "--proof", str(len(entries))]) == 1
    assert "no proof of number" in capsys.readouterr().err


def test_rolled_back_and_forked_histories_are_caught(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = place / "s" / "audit" / "log"
    shutil.copytree(place / "s", place / "older")
    older = log.read_bytes()
    with sealed_store(place) as store:
        use(store)
    newest = log.read_bytes()
    assert verify(capsys, place)["ok"]
    log.write_bytes(older)  # rolled back
    problems = verify(capsys, place, 1)["problems"]
    assert len(problems) == 5 and all("the log has only" in problem for problem in problems)
    assert audit(capsys, "verify", place / "s")[0]["ok"], "by itself the older log is in order"
    shutil.rmtree(place / "s")
    (place / "older").rename(place / "s")
    with sealed_store(place) as store:  # forked: the data is read, the history is refused
        assert store.count() == N
        for _ in range(20):
            store.get(["secret-id-1"])
        with pytest.raises(IntegrityError, match=r"device 1 .*d1.* remembers \d+ entries .* checkpoint of \d+ entries"):
            store.flush()
        report = store.verify()
        assert not report and sum("does not cosign" in problem for problem in report.problems) == 5
    kinds = [entry["kind"] for entry in audit(capsys, "export", place / "s")]
    assert "conflict" in kinds
    problems = verify(capsys, place, 1)["problems"]
    assert sum("its history was changed" in problem for problem in problems) == 5
    log.write_bytes(newest)  # its own log again
    assert verify(capsys, place)["ok"]


def test_flips_are_noticed_and_less_than_was_durable_is_corruption(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = place / "s" / "audit" / "log"
    whole = log.read_bytes()
    rng = np.random.default_rng(1)
    for at in rng.integers(0, len(whole), 40):
        data = bytearray(whole)
        data[at] ^= 1 << int(rng.integers(8))
        log.write_bytes(data)
        assert not audit(capsys, "verify", place / "s", code=1)[0]["ok"], at
    log.write_bytes(whole[:-200])
    with pytest.raises(Corruption, match="were durable"):
        sealed_store(place)
    log.write_bytes(whole)
    with sealed_store(place) as store:
        assert store.count() == N


def test_log_that_is_gone_begins_anew_and_says_so(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(place / "s")
    with sealed_store(place) as store:  # from the devices alone
        assert store.count() == N
    report = verify(capsys, place, 1)
    assert not report["problems"] and len(report["restarts"]) == 5
    assert verify(capsys, place, 0, "--accept-restart")["ok"]
    assert [entry["kind"] for entry in audit(capsys, "export", place / "s")].count("restart") == 1


def test_devices_that_were_away_follow_when_they_are_back(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "d2").rename(place / "away")
    with sealed_store(place) as store:
        use(store)
    shutil.rmtree(place / "d2", ignore_errors=True)
    (place / "away").rename(place / "d2")
    report = verify(capsys, place)
    assert report["ok"], "what the second device remembers is a beginning of the log"
    with sealed_store(place) as store:
        store.flush()
    assert verify(capsys, place)["cosignatures"] > report["cosignatures"]


def test_killed_process_leaves_a_log_that_goes_on(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path; from conftest import sealed_store\n"
        "store = sealed_store(Path(sys.argv[1]))\n"
        "for at in range(2500): store.search([1.0] * 8, top_k=1)\n"
        "os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(place), str(Path(__file__).parent)], check=False)
    with sealed_store(place) as store:
        store.flush()
    report = verify(capsys, place)
    assert report["ok"] and report["entries"] >= 1000


def test_tail_shows_the_last_entries_and_wrong_usage_is_2(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = audit(capsys, "tail", place / "s", "--count", 2)
    assert rows == audit(capsys, "export", place / "s")[-2:]
    assert main(["audit", "tail", str(place / "s")]) == 0
    assert "write" in capsys.readouterr().out
    for wrong in (
        ["verify", str(place / "d1")],
        ["verify", str(place / "s"), "--device", str(place / "nowhere")],
        ["export", str(place / "s"), "--proof", "-1"],
        ["tail", str(place / "s"), "--count", "0"],
        ["verify"],
    ):
        assert main(["audit", *wrong]) == 2, wrong
    command = [sys.executable, "-m", "dvesp", "audit", "tail", str(place / "s"), "--follow", "--json", "--count", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        last = json.loads(following.stdout.readline())
        with sealed_store(place) as store:
            store.get(["secret-id-1"])
        assert json.loads(following.stdout.readline())["index"] == last["index"] + 1
        following.terminate()

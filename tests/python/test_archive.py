"""Archives in a directory: what follows by itself, what comes back, what is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import Vectors
from dvesp import Corruption, Directory, IntegrityError, InvalidArgument, Keyring, Sealed, Unavailable, VectorStore
from dvesp.cli import main

KEY = bytes(range(32)).hex()


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> Keyring:
    monkeypatch.setenv("DVESP_TEST_ARCHIVE", KEY)
    return Keyring.from_environment("DVESP_TEST_ARCHIVE")


def filled(place: Path, keyring: Keyring | None, vectors: Vectors, public: bool = False) -> VectorStore:
    store = VectorStore(place / "s", archive=[Directory(place / "a", archive_public=public)], keyring=keyring)
    store.insert(vectors(300, 16), [{"word": f"clear-{at}"} for at in range(300)], [f"id-{at}" for at in range(300)])
    store.flush()
    store.upsert({"id": "id-7", "vector": vectors(1, 16, 9)[0], "metadata": {"word": "changed"}})
    store.delete(["id-8"])
    store.insert(vectors(20, 4, 2), ids=[f"o{at}" for at in range(20)], collection="other")
    return store


def everything(store: VectorStore) -> dict[str, dict[str, tuple[bytes, object, int]]]:
    return {
        name: {one.id: (one.vector.tobytes(), one.metadata, one.version) for one in store.scroll(collection=name)}
        for name in store.list_collections()
    }


@pytest.mark.parametrize("public", [False, True])
def test_everything_comes_back(tmp_path: Path, keyring: Keyring, vectors: Vectors, public: bool) -> None:
    key = None if public else keyring
    with filled(tmp_path, key, vectors, public) as store:
        store.archive()
        wanted = everything(store)
        query = vectors(1, 16, 5)[0]
        nearest = [match.id for match in store.search(query)]
        report = store.status(detail=True)["archive"][0]
        assert report["is_current"] and report["waiting_objects"] == 0 and report["last_archive"].endswith("Z")
    shutil.rmtree(tmp_path / "s")
    with VectorStore.restore(tmp_path / "back", from_=Directory(tmp_path / "a"), keyring=key) as back:
        assert everything(back) == wanted and back.verify()
        assert [match.id for match in back.search(query)] == nearest
        assert not back.search(query).metrics.is_partial
        assert back.status(detail=True)["restoring"] is False
        back.insert(vectors(1, 16), ids=["new"])
    with VectorStore(tmp_path / "back", archive=[Directory(tmp_path / "a", archive_public=public)], keyring=key) as again:
        again.archive("default")
        wanted = everything(again)
    assert everything(VectorStore.restore(from_=[Directory(tmp_path / "a")], keyring=key)) == wanted


def test_nothing_readable_leaves_without_asking(tmp_path: Path, keyring: Keyring, vectors: Vectors) -> None:
    with pytest.raises(Sealed, match="keyring"):
        VectorStore(tmp_path / "s", archive=[Directory(tmp_path / "a")])
    with filled(tmp_path, keyring, vectors) as store:
        store.archive()
        rows = [record.vector.tobytes() for record in store.scroll()]
    kept = b"".join(path.read_bytes() for path in (tmp_path / "a").rglob("*") if path.is_file())
    for secret in (b"clear-", b"id-1", b"changed", b"default", b"other", bytes.fromhex(KEY)):
        assert secret not in kept
    assert not any(row in kept for row in rows[:50])
    public = tmp_path / "public"
    public.mkdir()
    with filled(public, None, vectors, public=True) as store:
        store.archive()
    assert b"clear-" in b"".join(
        path.read_bytes() for path in (public / "a").rglob("*") if path.is_file()
    )  # the search can find


def test_uploads_follow_writes_by_themselves(tmp_path: Path, keyring: Keyring, vectors: Vectors) -> None:
    with filled(tmp_path, keyring, vectors) as store:
        wanted = everything(store)
        until = time.monotonic() + 30
        while not store.status(detail=True)["archive"][0]["is_current"]:
            assert time.monotonic() < until
            time.sleep(0.02)
        assert everything(VectorStore.restore(from_=Directory(tmp_path / "a"), keyring=keyring)) == wanted


def test_wrong_keys_and_places(tmp_path: Path, keyring: Keyring, vectors: Vectors) -> None:
    with filled(tmp_path, keyring, vectors) as store:
        store.archive()
    other = Keyring.from_passphrase("another")
    for key in (other, None):
        with pytest.raises(Sealed):
            VectorStore.restore(tmp_path / "x", from_=Directory(tmp_path / "a"), keyring=key)
    with pytest.raises(Sealed):
        VectorStore(tmp_path / "s", archive=[Directory(tmp_path / "a")], keyring=other)
    with pytest.raises(InvalidArgument, match="no archive"):
        VectorStore.restore(tmp_path / "x", from_=Directory(tmp_path / "nothing"), keyring=keyring)
    with VectorStore(tmp_path / "t", archive=[Directory(tmp_path / "a")], keyring=keyring) as stranger:
        stranger.insert(vectors(1, 16))
        with pytest.raises(InvalidArgument, match="another store"):
            stranger.archive()
    with pytest.raises(InvalidArgument, match="already"):
        VectorStore.restore(tmp_path / "s", from_=Directory(tmp_path / "a"), keyring=keyring)
    with pytest.raises(InvalidArgument, match="targets"):
        VectorStore(tmp_path / "u", archive="./backup", keyring=keyring)
    with pytest.raises(Unavailable, match="devices"):
        VectorStore(tmp_path / "u", archive=[Directory("b")], keyring=keyring, devices=["a", "b"])
    with VectorStore() as plain, pytest.raises(InvalidArgument, match="archive"):
        plain.archive()


def test_damage_is_named_and_another_target_helps(tmp_path: Path, keyring: Keyring, vectors: Vectors) -> None:
    targets = [Directory(tmp_path / "a"), Directory(tmp_path / "b")]
    with VectorStore(tmp_path / "s", archive=targets, keyring=keyring) as store:
        store.insert(vectors(50, 16))
        store.flush()
        store.archive()
        store.prune_archive()
        names = {path.name for path in (tmp_path / "a" / "objects").iterdir()}
        assert names == {path.name for path in (tmp_path / "b" / "objects").iterdir()}  # the same content has the same name
        wanted = everything(store)
    for path in [tmp_path / "a" / "objects" / name for name in sorted(names)]:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        with pytest.raises(IntegrityError, match=path.name):
            VectorStore.restore(tmp_path / "x", from_=targets[0], keyring=keyring)
        assert everything(VectorStore.restore(from_=targets, keyring=keyring)) == wanted
        path.unlink()
        with pytest.raises(Corruption, match=path.name):
            VectorStore.restore(tmp_path / "x", from_=targets[0], keyring=keyring)
        shutil.copy(tmp_path / "b" / "objects" / path.name, path)
    with VectorStore.restore(tmp_path / "x", from_=targets[0], keyring=keyring) as back:  # what failed before is no hindrance
        assert everything(back) == wanted


def test_a_store_serves_while_it_is_restored(tmp_path: Path, keyring: Keyring, vectors: Vectors) -> None:
    with VectorStore(tmp_path / "s", archive=[Directory(tmp_path / "a")], keyring=keyring) as store:
        for part in range(4):
            store.insert(vectors(2000, 64, part), ids=[f"{part}-{at}" for at in range(2000)])
            store.flush()
        store.archive()
    with VectorStore.restore(tmp_path / "x", from_=Directory(tmp_path / "a"), keyring=keyring, wait=False) as back:
        partial = back.search(vectors(1, 64)[0])
        restoring = back.status(detail=True)["restoring"]
        if partial.metrics.is_partial and restoring:  # else it was faster than this test
            assert restoring["segments"] <= restoring["segments_total"] and restoring["error"] is None
        back.wait_restored()
        assert back.count() == 8000 and not back.search(vectors(1, 64)[0]).metrics.is_partial
        back.insert(vectors(1, 64))


def test_the_command_line(
    tmp_path: Path, keyring: Keyring, vectors: Vectors, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "raw.key"
    key.write_text(KEY)
    with VectorStore(tmp_path / "s") as store:
        store.insert(vectors(30, 8))
        wanted = everything(store)
    place, options = str(tmp_path / "a"), ["--key-file", str(key), "--json"]
    assert main(["archive", "push", str(tmp_path / "s"), "--to", place, *options]) == 0
    assert json.loads(capsys.readouterr().out)["archive"][0]["is_current"]
    assert main(["archive", "list", "--from", place, *options]) == 0
    assert json.loads(capsys.readouterr().out)["states"][0]["collections"] == ["default"]
    assert main(["archive", "verify", "--from", place, *options]) == 0
    assert json.loads(capsys.readouterr().out)["ok"]
    assert main(["archive", "pull", str(tmp_path / "x"), "--from", place, *options]) == 0
    assert json.loads(capsys.readouterr().out)["collections"] == {"default": 30}
    with VectorStore(tmp_path / "x") as back:
        assert everything(back) == wanted
    assert main(["archive", "prune", str(tmp_path / "s"), "--to", place, *options]) == 0
    damaged = next((tmp_path / "a" / "objects").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-1])
    capsys.readouterr()
    assert main(["archive", "verify", "--from", place, *options]) == 1
    assert damaged.name in capsys.readouterr().err
    assert main(["archive", "push", str(tmp_path / "s"), "--to", place]) == 1
    assert "keyring" in capsys.readouterr().err


WRITER = """
import sys, numpy as np
from dvesp import Directory, Keyring, VectorStore
place, first = sys.argv[1], int(sys.argv[2])
store = VectorStore(place + "/s", archive=[Directory(place + "/a")], keyring=Keyring.from_environment("DVESP_TEST_ARCHIVE"))
rng = np.random.default_rng(first)
for at in range(first, first + 10_000):
    store.upsert(rng.random((40, 32), dtype=np.float32), ids=[f"{at}-{row}" for row in range(40)])
    if at % 5 == 0:
        store.flush()
    print(at, flush=True)
"""


KILLS = int(os.environ.get("DVESP_ARCHIVE_KILLS", "8"))  # 500 were run: docs/performance.md


def test_kill_9_during_uploads_loses_nothing(tmp_path: Path, keyring: Keyring) -> None:
    rng, last = np.random.default_rng(1), -1
    for life in range(KILLS):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(last + 1)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
            assert process.stdout is not None
            deadline = threading.Timer(0.05 + rng.random() * 0.4 + (0.5 if life == 0 else 0), process.kill)
            first, last = last, max(last, int(process.stdout.readline()))
            assert last > first
            deadline.start()
            for line in process.stdout:
                last = int(line)
    with VectorStore(tmp_path / "s", archive=[Directory(tmp_path / "a")], keyring=keyring) as store:
        store.compact()  # so that no background work changes the segments now
        store.archive()
        wanted = everything(store)
        assert len(wanted["default"]) >= 40 * (last + 1)
        report = store.status(detail=True)["archive"][0]
        store.prune_archive()
    assert len(list((tmp_path / "a" / "objects").iterdir())) == report["objects"]  # every segment once, and nothing else
    assert everything(VectorStore.restore(from_=Directory(tmp_path / "a"), keyring=keyring)) == wanted

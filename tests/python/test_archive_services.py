"""Stores that archive to real services: IPFS nodes (kubo) and S3 (versitygw), with what goes wrong on the way."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Vectors
from dvesp import (
    IPFS,
    S3,
    Corruption,
    Directory,
    IntegrityError,
    InvalidArgument,
    Keyring,
    PermissionDenied,
    ShadowDrive,
    Timeout,
    Unavailable,
    VectorStore,
)
from dvesp.archiving import parse_target
from kubo import Kubo
from s3_server import S3Server, Unreliable
from shadow_drive import ShadowDrive as ShadowDriveServer
from shadow_drive import account_of, wallet_of

KEY = bytes(range(32)).hex()


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> Keyring:
    monkeypatch.setenv("DVESP_TEST_ARCHIVE", KEY)
    return Keyring.from_environment("DVESP_TEST_ARCHIVE")


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Kubo]:
    with Kubo(tmp_path / "repo") as one:
        yield one


def everything(store: VectorStore) -> dict[str, tuple[bytes, object, int]]:
    return {one.id: (one.vector.tobytes(), one.metadata, one.version) for one in store.scroll()}


def fill(store: VectorStore, vectors: Vectors) -> dict[str, tuple[bytes, object, int]]:
    store.insert(vectors(400, 32), [{"n": at} for at in range(400)], [str(at) for at in range(400)])
    store.flush()
    store.upsert({"id": "7", "vector": vectors(1, 32, 3)[0]})
    store.delete(["8"])
    return everything(store)


def test_a_store_on_ipfs(tmp_path: Path, node: Kubo, keyring: Keyring, vectors: Vectors) -> None:
    with VectorStore(tmp_path / "s", archive=[IPFS(node.api)], keyring=keyring) as store:
        wanted = fill(store, vectors)
        store.archive()
        status = store.status(detail=True)
        report = status["archive"][0]
        assert status["ipfs"]["archived_segments"] == 1 and status["ipfs"]["total_cids"] == report["objects"] == 2
        assert status["ipfs"]["pinned_nodes"] == 1 and status["ipfs"]["last_archive"] == report["last_archive"]
        assert report["root"].startswith("baf")
    node.rpc("repo/gc")
    assert everything(VectorStore.restore(from_=IPFS(node.api), keyring=keyring)) == wanted
    # Who has the root needs nothing but a gateway, which need not be trusted.
    alone = IPFS(gateways=[node.gateway], root=report["root"])
    with VectorStore.restore(tmp_path / "back", from_=alone, keyring=keyring) as back:
        assert everything(back) == wanted and back.verify()
    with VectorStore(tmp_path / "back", archive=[IPFS(node.api)], keyring=keyring) as again:
        again.archive()
        assert again.status(detail=True)["archive"][0]["objects"] >= 2


def test_a_store_on_s3(tmp_path: Path, s3: S3Server, keyring: Keyring, vectors: Vectors) -> None:
    target = s3.target("round/trip")
    with VectorStore(tmp_path / "s", archive=[target, Directory(tmp_path / "d")], keyring=keyring) as store:
        wanted = fill(store, vectors)
        store.archive()
        store.prune_archive()
    kept = s3.bucket / "round" / "trip"
    segments = {path.name for path in (kept / "objects").iterdir()} & {path.name for path in (tmp_path / "d/objects").iterdir()}
    assert len(segments) >= 1  # the same object everywhere
    with VectorStore.restore(tmp_path / "back", from_=target, keyring=keyring) as back:
        assert everything(back) == wanted and back.verify()
    name = sorted(segments)[0]
    for damage in (lambda content: content[:-1], lambda content: content[:9] + b"?" + content[10:]):
        path = kept / "objects" / name
        content = path.read_bytes()
        path.write_bytes(damage(content))
        with pytest.raises((IntegrityError, Corruption, Unavailable), match=name):
            VectorStore.restore(from_=target, keyring=keyring)
        path.write_bytes(content)
    (kept / "objects" / name).unlink()
    with pytest.raises(Corruption, match=name):
        VectorStore.restore(from_=target, keyring=keyring)
    assert everything(VectorStore.restore(from_=[target, Directory(tmp_path / "d")], keyring=keyring)) == wanted
    with VectorStore(tmp_path / "s", archive=[target], keyring=keyring) as store:
        store.archive()  # it looks what is there, and mends it
    assert everything(VectorStore.restore(from_=target, keyring=keyring)) == wanted


@pytest.mark.parametrize("api", ["v1.5", "v2"])
def test_a_store_on_shadow_drive(tmp_path: Path, vectors: Vectors, api: str) -> None:
    owner = wallet_of("owner")
    wallet = tmp_path / "id.json"
    wallet.write_text(json.dumps(list(bytes(owner))))
    keyring = Keyring.from_wallet(wallet)
    with ShadowDriveServer() as drive:
        drive.add_account(account_of(api), str(owner.pubkey()))
        target = ShadowDrive(drive.url, account_of(api), wallet, api=api)
        assert "id.json" not in repr(target)
        with VectorStore(tmp_path / "s", archive=[target], keyring=keyring) as store:
            wanted = fill(store, vectors)
            store.archive()
            store.upsert({"id": "9", "vector": vectors(1, 32, 4)[0]})
            wanted = everything(store)
            store.archive()
            store.prune_archive()
        place = {"endpoint": drive.url, "account": account_of(api), "wallet": wallet, "api": api}
        with VectorStore.restore_from_shadow_drive(tmp_path / "back", **place) as back:
            assert everything(back) == wanted and back.verify()
        key = next(key for key in drive.files if key[1].endswith(".dvseg"))
        drive.files[key] = drive.files[key][:-1] + bytes([drive.files[key][-1] ^ 1])
        with pytest.raises(IntegrityError, match=key[1][:64]):
            VectorStore.restore_from_shadow_drive(**place)
        other = tmp_path / "other.json"
        other.write_text(json.dumps(list(bytes(wallet_of("stranger")))))
        stranger = ShadowDrive(drive.url, account_of(api), other, api=api)
        with VectorStore(tmp_path / "s", archive=[stranger], keyring=keyring) as store:
            store.insert(vectors(1, 32, 8))
            with pytest.raises(PermissionDenied):
                store.archive()


def test_large_objects_go_to_s3_in_parts(tmp_path: Path, s3: S3Server, vectors: Vectors) -> None:
    target = S3(s3.url, "archive", "test-access", "test-secret-key", prefix="large", archive_public=True)
    with VectorStore(tmp_path / "s", archive=[target]) as store:
        store.insert(vectors(40_000, 512), ids=[f"{at:05d}" for at in range(40_000)])
        store.compact()
        store.archive()
        query = vectors(1, 512, 5)[0]
        wanted = [match.id for match in store.search(query)]
    sizes = sorted(path.stat().st_size for path in (s3.bucket / "large" / "objects").iterdir())
    assert sizes[-1] > 64 << 20
    with VectorStore.restore(tmp_path / "back", from_=target) as back:
        assert back.count() == 40_000 and [match.id for match in back.search(query)] == wanted


def test_services_that_misbehave_cost_time_and_nothing_else(
    tmp_path: Path, s3: S3Server, keyring: Keyring, vectors: Vectors
) -> None:
    with Unreliable(s3.port) as proxy:
        target = s3.target("bad", url=proxy.url)
        with VectorStore(tmp_path / "s", archive=[target], keyring=keyring) as store:
            wanted = fill(store, vectors)
            for round_number in range(3):
                proxy.faults = ["", "500", "drop", "", "429", "half", "", "503", "", "half"][round_number:]
                store.upsert({"id": str(round_number), "vector": vectors(1, 32, round_number)[0]})
                wanted = everything(store)
                store.archive(timeout_ms=60_000)
                assert everything(VectorStore.restore(from_=s3.target("bad"), keyring=keyring)) == wanted
        for fault in ("half", "drop", "500"):
            proxy.faults = ["", "", "", fault, "", fault]
            assert everything(VectorStore.restore(from_=target, keyring=keyring)) == wanted
        proxy.faults = ["", "", "", "", "flip", "flip", "flip", "flip"]
        with pytest.raises(IntegrityError):
            VectorStore.restore(from_=target, keyring=keyring)


def test_uploads_keep_to_a_rate(tmp_path: Path, s3: S3Server, vectors: Vectors) -> None:
    keys = ("archive", "test-access", "test-secret-key")
    slow = S3(s3.url, *keys, prefix="slow", bytes_per_second=400_000, archive_public=True)
    with VectorStore(tmp_path / "s", archive=[slow]) as store:
        store.insert(vectors(1000, 256))  # a megabyte
        start = time.monotonic()
        store.archive()
        assert time.monotonic() - start > 1.5  # it cannot be faster; how slow it is says nothing
    assert VectorStore.restore(from_=slow).count() == 1000


def test_wrong_keys_and_places_of_s3(tmp_path: Path, s3: S3Server, keyring: Keyring, vectors: Vectors) -> None:
    secret = "not-the-secret-key"
    wrong = s3.target(secret_key=secret)
    assert secret not in repr(wrong)
    with VectorStore(tmp_path / "s", archive=[wrong], keyring=keyring) as store:
        fill(store, vectors)
        with pytest.raises(PermissionDenied) as refused:
            store.archive()
        assert secret not in str(refused.value) and secret not in repr(store.status(detail=True))
    absent = S3(s3.url, "no-such-bucket", "test-access", "test-secret-key")
    with (
        VectorStore(tmp_path / "s", archive=[absent], keyring=keyring) as store,
        pytest.raises(InvalidArgument, match="bucket"),
    ):
        store.archive()


def test_an_archive_that_is_away_holds_nothing_up(tmp_path: Path, s3: S3Server, keyring: Keyring, vectors: Vectors) -> None:
    with VectorStore(tmp_path / "s", archive=[S3("http://127.0.0.1:1", "b", "a", "s")], keyring=keyring) as store:
        wanted = fill(store, vectors)
        with pytest.raises(Timeout, match="background"):
            store.archive(timeout_ms=500)
        report = store.status(detail=True)["archive"][0]
        assert not report["is_current"] and report["last_error"] and report["failures"] > 0
        start = time.monotonic()
    assert time.monotonic() - start < 20  # closing does not wait for it
    with VectorStore(tmp_path / "s", archive=[s3.target("later")], keyring=keyring) as store:
        store.archive()
    assert everything(VectorStore.restore(from_=s3.target("later"), keyring=keyring)) == wanted


TRACED = """
import sys, threading, numpy as np
from dvesp import IPFS, S3, VectorStore
targets = [S3("http://127.0.0.1:1", "b", "a", "s", archive_public=True), IPFS("http://127.0.0.1:1", archive_public=True)]
store = VectorStore(sys.argv[1], archive=targets)
store.insert(np.ones((1, 8), "float32"), ids=["0"])
print(threading.get_native_id(), flush=True)
sys.stdin.readline()
for at in range(200):
    store.upsert({"id": str(at), "vector": np.full(8, at + 1, "float32")})
print("done", flush=True)
sys.stdin.readline()
"""


def test_an_upsert_makes_no_network_call_on_its_thread(tmp_path: Path) -> None:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", TRACED, str(tmp_path / "s")]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        thread = process.stdout.readline().strip()
        tracing = ["strace", "-f", "-p", str(process.pid), "-e", "trace=network", "-o", str(tmp_path / "trace")]
        with subprocess.Popen(tracing, stderr=pipe) as trace:
            assert trace.stderr is not None and b"attached" in trace.stderr.readline()
            time.sleep(0.2)
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline().strip() == "done"
            time.sleep(1.5)  # for uploads to be tried
            trace.terminate()
        process.kill()
    calls = [line.split(None, 1) for line in (tmp_path / "trace").read_text().splitlines() if "(" in line]
    assert any("connect(" in call for _, call in calls), "the trace sees what other threads do"
    assert not [call for owner, call in calls if owner == thread and not call.startswith(("---", "+++"))]


def test_targets_are_checked() -> None:
    wallet = "1" * 32
    with pytest.raises(InvalidArgument, match="api"):
        IPFS()
    with pytest.raises(InvalidArgument, match="address"):
        IPFS("localhost:5001")
    with pytest.raises(InvalidArgument, match="access_key"):
        S3("http://h", "b")
    with pytest.raises(InvalidArgument, match="bucket"):
        S3("http://h", "", "a", "s")
    with pytest.raises(InvalidArgument, match="account"):
        ShadowDrive("http://h", "0OIl", wallet)
    with pytest.raises(InvalidArgument, match="wallet"):
        ShadowDrive("http://h", "1" * 32, "/nowhere/wallet.json")
    no_wallet = ShadowDrive("http://h", "1" * 32, Keyring.from_passphrase("a passphrase"))
    with pytest.raises(InvalidArgument, match="no wallet"):
        VectorStore(archive=[no_wallet], keyring=Keyring.from_passphrase("a passphrase"))
    assert parse_target("ipfs:http://h:5001,gateway=http://g,name=mine", True) == IPFS(
        ["http://h:5001"], ["http://g"], name="mine", archive_public=True
    )
    assert parse_target("./place", False) == Directory("./place")
    with pytest.raises(InvalidArgument, match="s3:http"):
        parse_target("s3:bucket", False)

"""``dvesp chain``: deploy, post, verify, history and balance, over the real virtual machine."""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from chain_support import PROGRAM, PROGRAM_ID, Wallet, frame_roots, make_wallet, merkle_root, solana
from dvesp import Keyring, VectorStore, _native
from dvesp.cli import main
from solana_rpc import SolanaNode, running_node

Vectors = Callable[..., Any]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def node() -> Iterator[SolanaNode]:
    """A node with the program, in slots of 20 ms."""
    with running_node({PROGRAM_ID: str(PROGRAM / "dvesp_root.so")}, slot_ms=20) as running:
        yield running


@pytest.fixture
def wallet(node: SolanaNode, tmp_path: Path) -> Wallet:
    return make_wallet(tmp_path, node)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["chain", *arguments])
    out = capsys.readouterr()
    return code, out.out, out.err


def filled(path: Path, vectors: Vectors, batches: int = 3) -> list[bytes]:
    with VectorStore(path) as store:
        for batch in range(batches):
            store.insert(vectors(4, seed=batch), ids=[f"r{batch}-{row}" for row in range(4)])
        return frame_roots(store)


def test_command_line_deploys_posts_verifies_and_lists(
    tmp_path: Path, vectors: Vectors, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_node(slot_ms=20) as empty:
        wallet = make_wallet(tmp_path, empty)
        roots = filled(tmp_path / "s", vectors)
        rpc = ["--rpc-url", empty.url]
        key = str(tmp_path / "program.json")
        code, out, err = run(capsys, "deploy", *rpc, "--wallet", str(wallet.file), "--program-key", key, "--json")
        assert code == 0, err
        deployed = json.loads(out)
        size = (PROGRAM / "dvesp_root.so").stat().st_size
        assert deployed["program_bytes"] == size and deployed["transactions"] >= size // 900 + 2
        code, out, _ = run(capsys, "deploy", *rpc, "--wallet", str(wallet.file), "--program-key", key, "--json")
        assert code == 0 and json.loads(out)["transactions"] == 0
        place = [str(tmp_path / "s"), *rpc, "--program-id", deployed["program_id"]]
        reader = ["--creator", wallet.address]
        code, _, err = run(capsys, "verify", *place, *reader)
        assert code == 1 and "default (missing)" in err
        code, out, err = run(capsys, "post", *place, "--wallet", str(wallet.file), "--json")
        assert code == 0, err
        (posted,) = json.loads(out)["posted"]
        assert posted["root"] == merkle_root(roots).hex() and posted["leaf_count"] == 3 and posted["sequence"] == 1
        code, out, err = run(capsys, "verify", *place, *reader, "--json")
        assert code == 0, err
        (checked,) = json.loads(out)["collections"]
        assert checked["ok"] and checked["chain_root"] == posted["root"] and checked["slot"] == posted["slot"]
        code, out, err = run(capsys, "verify", *place, *reader, "--id", "r1-2", "--json")
        assert code == 0, err
        _check_proof(json.loads(out)["proof"], posted["root"])
        with VectorStore(tmp_path / "s") as store:
            store.insert(vectors(4, seed=9), ids=["n0", "n1", "n2", "n3"])
        code, out, err = run(capsys, "verify", *place, *reader)
        assert code == 1 and "default (behind)" in err and "the newest 1 are not posted yet" in out
        assert run(capsys, "verify", *place, *reader, "--allow-behind")[0] == 0
        assert run(capsys, "verify", *place, *reader, "--id", "r1-2")[0] == 0
        code, _, err = run(capsys, "verify", *place, *reader, "--id", "n0")
        assert code == 1 and "newer than the posted root" in err
        assert run(capsys, "post", *place, "--wallet", str(wallet.file))[0] == 0
        code, out, err = run(capsys, "history", *place, *reader, "--json")
        assert code == 0, err
        (history,) = json.loads(out)["collections"]
        assert [one["sequence"] for one in history["roots"]] == [2, 1] and history["roots"][1]["root"] == posted["root"]
        code, out, _ = run(capsys, "balance", *rpc, *reader, "--json")
        assert code == 0 and 0 < json.loads(out)["lamports"] < 10**10


def _check_proof(proof: dict[str, Any], root: str) -> None:
    """Walks both paths by RFC 9162 section 2.1.3.2."""

    def walk(leaf: bytes, index: int, size: int, path: list[str]) -> bytes:
        last = size - 1
        for text in path:
            other = bytes.fromhex(text)
            if index & 1 or index == last:
                leaf = hashlib.sha256(b"\x01" + other + leaf).digest()
                while not index & 1 and index:
                    index, last = index >> 1, last >> 1
            else:
                leaf = hashlib.sha256(b"\x01" + leaf + other).digest()
            index, last = index >> 1, last >> 1
        assert last == 0
        return leaf

    frame = walk(bytes.fromhex(proof["leaf"]), proof["leaf_index"], proof["leaf_count"], proof["path"])
    assert frame.hex() == proof["frame_root"]
    top = hashlib.sha256(b"\x00" + frame).digest()
    assert walk(top, proof["frame_index"], proof["frame_count"], proof["frame_path"]).hex() == root


def test_command_line_says_exactly_what_differs(
    node: SolanaNode, wallet: Wallet, tmp_path: Path, vectors: Vectors, capsys: pytest.CaptureFixture[str]
) -> None:
    roots = filled(tmp_path / "s", vectors)
    with VectorStore(tmp_path / "s") as store:
        identity = _native.chain_root(store._native, "default", "frames", None)["collection_id"]  # type: ignore[arg-type]
    solana(node, wallet)._native.post(identity, bytes([66]) * 32, 3, True)
    place = [str(tmp_path / "s"), "--rpc-url", node.url, "--program-id", PROGRAM_ID, "--creator", wallet.address]
    code, out, err = run(capsys, "verify", *place)
    assert code == 1 and "default (differs)" in err
    for part in (merkle_root(roots).hex(), "over 3 leaves", "42" * 32, "sequence 1", "slot ", "other data"):
        assert part in out
    solana(node, wallet)._native.post(identity, bytes([67]) * 32, 99, True)
    code, out, err = run(capsys, "verify", *place)
    assert code == 1 and "default (ahead)" in err and "over 99 leaves, sequence 2" in out


def test_command_line_posts_and_proves_records_of_a_sealed_store(
    node: SolanaNode, wallet: Wallet, tmp_path: Path, vectors: Vectors, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "store.key"
    key.write_bytes(bytes(range(32)))
    devices = [str(tmp_path / f"d{number}") for number in range(5)]
    with VectorStore(tmp_path / "s", devices=devices, keyring=Keyring.from_file(key)) as store:
        store.insert(vectors(3), ids=["a", "b", "c"])
        root = merkle_root(frame_roots(store)).hex()
    opened = [str(tmp_path / "s"), "--device", *devices, "--key-file", str(key)]
    place = ["--rpc-url", node.url, "--program-id", PROGRAM_ID]
    code, out, err = run(capsys, "post", *opened, *place, "--wallet", str(wallet.file), "--json")
    assert code == 0 and json.loads(out)["posted"][0]["root"] == root, err
    assert run(capsys, "verify", *opened, *place, "--creator", wallet.address)[0] == 0
    code, out, err = run(capsys, "verify", *opened, *place, "--creator", wallet.address, "--id", "b", "--json")
    assert code == 0, err
    _check_proof(json.loads(out)["proof"], root)
    code, _, err = run(capsys, "verify", *opened[:-2], *place, "--creator", wallet.address)
    assert code == 2 and "--key-file" in err
    code, _, err = run(capsys, "verify", opened[0], *place, "--creator", wallet.address)
    assert code == 1 and "sealed" in err


def test_command_that_waits_for_a_chain_ends_at_once_when_it_is_interrupted(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
        rpc = f"http://127.0.0.1:{silent.getsockname()[1]}"
        arguments = ["chain", "balance", "--rpc-url", rpc, "--creator", PROGRAM_ID]
        command = [sys.executable, "-c", "import sys; from dvesp.cli import main; sys.exit(main())", *arguments]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            silent.settimeout(30)
            with silent.accept()[0]:
                time.sleep(0.3)
                process.send_signal(signal.SIGINT)
                _, err = process.communicate(timeout=25)  # the call itself would wait for 30 s
    assert process.returncode == 1 and err == "dvesp: error: interrupted\n"


@pytest.mark.parametrize("command", ["deploy", "post", "verify", "history", "balance"])
def test_commands_have_help_with_an_example(capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, out, _ = run(capsys, command, "--help")
    assert code == 0 and f"example: dvesp chain {command}" in " ".join(out.split()) and "--json" in out


def test_wrong_usage_has_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rpc = ["--rpc-url", "http://127.0.0.1:9"]
    creator = ["--creator", PROGRAM_ID]
    for arguments in (
        ["verify", str(tmp_path / "absent"), *rpc, "--program-id", PROGRAM_ID, *creator],
        ["verify", str(tmp_path), *rpc, *creator],
        ["verify", str(tmp_path), *rpc, "--program-id", PROGRAM_ID],
        ["history", str(tmp_path), *rpc, "--program-id", PROGRAM_ID, *creator, "--limit", "0"],
        ["post", str(tmp_path), *rpc, "--program-id", PROGRAM_ID],
        ["balance", *creator],
    ):
        code, out, err = run(capsys, *arguments)
        assert code == 2 and out == "" and err.startswith("dvesp: error: "), arguments


def test_program_in_the_package_is_the_committed_one() -> None:
    packaged = resources.files("dvesp").joinpath("programs", "dvesp_root.so").read_bytes()
    assert packaged == (PROGRAM / "dvesp_root.so").read_bytes()

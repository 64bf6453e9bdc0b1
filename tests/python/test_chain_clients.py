"""Other people's clients of Solana read what dvesp posts, and dvesp reads what they post: web3.js, Anchor by our IDL, kit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chain_support import PROGRAM, PROGRAM_ID, make_wallet, solana
from solana_rpc import SolanaNode, running_node

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / "tests" / "peers" / "solana_clients"
INSTALLED = ROOT / ".venv" / "solana_clients" / "node_modules"
COLLECTION, FIRST_ROOT = bytes(range(32)), bytes([5]) * 32

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def node() -> Iterator[SolanaNode]:
    with running_node({PROGRAM_ID: str(PROGRAM / "dvesp_root.so")}, slot_ms=20) as running:
        yield running


def node_program() -> str:
    """Node of the system when it is new enough, else the one that tools/setup took from PyPI."""
    own = ROOT / ".venv" / "bin" / "node"
    found = str(own) if own.exists() else shutil.which("node")
    assert found and INSTALLED.is_dir(), "the npm clients are missing: tools/setup test installs them and says why it could not"
    return found


def run_client(script: str, given: dict[str, Any]) -> dict[str, Any]:
    environment = {**os.environ, "NODE_PATH": str(INSTALLED), "NODE_NO_WARNINGS": "1"}
    command = [node_program(), str(CLIENTS / script), json.dumps(given)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_web3_and_anchor_read_our_record_post_by_our_description_and_are_refused(node: SolanaNode, tmp_path: Path) -> None:
    wallet = make_wallet(tmp_path, node)
    chain = solana(node, wallet)._native
    posted = chain.post(COLLECTION, FIRST_ROOT, 7, True)
    raw = node.call("getTransaction", posted["signature"], {"encoding": "base64"})["transaction"][0]
    given = {"url": node.url, "program": PROGRAM_ID, "idl": str(PROGRAM / "dvesp_root.json"), "wallet": str(wallet.file)}
    given |= {"collection": COLLECTION.hex(), "address": chain.address(COLLECTION), "root": FIRST_ROOT.hex()}
    answer = run_client("web3_anchor.cjs", {**given, "leaves": 7, "transaction": raw, "signature": posted["signature"]})
    theirs = bytes.fromhex(answer["collection"])
    record = chain.read(theirs)
    assert (record["root"], record["leaf_count"], record["sequence"]) == (answer["root"], 42, 1)
    (event,) = chain.history(theirs, 5)
    assert event["signature"] == answer["posted"] and event["chain_hash"] == record["chain_hash"]


def test_kit_reads_our_record_and_posts_the_next_root(node: SolanaNode, tmp_path: Path) -> None:
    wallet = make_wallet(tmp_path, node)
    chain = solana(node, wallet)._native
    chain.post(COLLECTION, FIRST_ROOT, 7, True)
    given = {"url": node.url, "program": PROGRAM_ID, "wallet": str(wallet.file), "address": chain.address(COLLECTION)}
    answer = run_client("kit.cjs", {**given, "collection": COLLECTION.hex(), "root": FIRST_ROOT.hex(), "sequence": 1})
    record = chain.read(COLLECTION)
    assert (record["root"], record["leaf_count"], record["sequence"]) == (answer["root"], answer["leaves"], 2)

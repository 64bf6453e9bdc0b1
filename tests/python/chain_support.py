"""What tests of the chain share: a node with the program, a wallet with lamports, roots computed in Python."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvesp import Solana, VectorStore, _native
from solders.keypair import Keypair

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "peers"))
from solana_rpc import SolanaNode

PROGRAM = Path(__file__).resolve().parents[2] / "programs" / "dvesp_root"
PROGRAM_ID = str(Keypair.from_seed(bytes([7]) * 32).pubkey())


def merkle_root(data: list[bytes]) -> bytes:
    """RFC 6962 over the data of leaves, as its text has it."""
    if not data:
        return hashlib.sha256(b"").digest()
    if len(data) == 1:
        return hashlib.sha256(b"\x00" + data[0]).digest()
    split = 1 << (len(data) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + merkle_root(data[:split]) + merkle_root(data[split:])).digest()


@dataclass
class Wallet:
    """A wallet's file and its key."""

    file: Path
    key: Keypair

    @property
    def address(self) -> str:
        return str(self.key.pubkey())


def make_wallet(directory: Path, node: SolanaNode | None, name: str = "id.json", lamports: int = 10**10) -> Wallet:
    key = Keypair()
    file = directory / name
    file.write_text(json.dumps(list(bytes(key))), encoding="ascii")
    if node is not None and lamports:
        node.call("requestAirdrop", str(key.pubkey()), lamports)
    return Wallet(file, key)


def solana(node: SolanaNode, wallet: Wallet, **changed: Any) -> Solana:
    return Solana(**{"rpc_url": node.url, "program_id": PROGRAM_ID, "wallet": wallet.file, **changed})


def frame_roots(store: VectorStore, collection: str = "default") -> list[bytes]:
    return [root for _, _, root, _ in _native.chain_frames(store._native, collection)]  # type: ignore[arg-type]


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    """The first true value of ``condition``."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {seconds} s")
        time.sleep(0.02)

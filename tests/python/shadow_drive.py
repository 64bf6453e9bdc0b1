"""Our Shadow Drive target in a process of its own, and wallets and accounts for it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from kubo import ROOT, Tool
from solders.keypair import Keypair

sys.path.insert(0, str(ROOT / "tests" / "peers"))
from shadow_drive_server import ShadowDrive

SHADOW_TOOL = ROOT / "build" / "release" / "bin" / "archive_shadow_tool"


def wallet_of(name: str) -> Keypair:
    return Keypair.from_seed(hashlib.sha256(name.encode()).digest())


class ShadowTool(Tool):
    """tests/archive/shadow_tool.cpp for one account of ``drive``, which is made if it is not there."""

    def __init__(self, drive: ShadowDrive, api: str, wallet: Keypair | None = None, **settings: object) -> None:
        assert SHADOW_TOOL.exists(), "build/release/bin/archive_shadow_tool is missing: cmake --build --preset release"
        self.drive = drive
        self.wallet = wallet or wallet_of("owner")
        self.account = str(settings.get("account", account_of(api)))
        if self.account == account_of(api) and self.account not in drive.service.accounts:
            drive.add_account(self.account, str(wallet_of("owner").pubkey()))
        options = {"endpoint": drive.url, "api": api, "account": self.account, "seed": self.wallet.secret().hex(), **settings}
        self.process = subprocess.Popen(
            [str(SHADOW_TOOL), json.dumps(options)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def stored(self, path: Path) -> tuple[str, str]:
        """Where the service keeps the object in ``path``."""
        with path.open("rb") as file:
            return self.account, hashlib.file_digest(file, "sha256").hexdigest() + ".dvseg"


def account_of(api: str) -> str:
    return str(wallet_of(f"account {api}").pubkey())

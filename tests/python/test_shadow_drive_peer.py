"""The tests' Shadow Drive is one: the unmodified npm @shadow-drive/sdk works with it, and it refuses what is not signed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from kubo import name_of
from shadow_drive import ShadowDrive, ShadowTool, account_of, wallet_of
from shadow_drive_form import BadForm, Form, parse_form
from shadow_drive_service import Refusal
from solana_rpc import running_node
from solders.keypair import Keypair
from test_archive_ipfs import file_of

ROOT = Path(__file__).resolve().parents[2]
SDK = ROOT / "tests" / "peers" / "shadow_drive_sdk" / "sdk.cjs"
INSTALLED = ROOT / ".venv" / "shadow_drive_sdk" / "node_modules"


@pytest.mark.slow
def test_sdk_and_dvesp_read_each_other(tmp_path: Path) -> None:
    own_node = ROOT / ".venv" / "bin" / "node"
    program = str(own_node) if own_node.exists() else shutil.which("node")
    assert program and INSTALLED.is_dir(), "the npm SDK is missing: tools/setup test installs it and says why it could not"
    path = file_of(tmp_path, 200_000)
    with running_node(slot_ms=20) as node, ShadowDrive() as drive, ShadowTool(drive, "v1.5") as tool:
        tool.put(path)
        given = {"rpc": node.url, "drive": drive.url, "wallet": tool.wallet.secret().hex(), "account": tool.account}
        given |= {"object": tool.stored(path)[1], "sha256": name_of(path)["sha256"]}
        environment = {**os.environ, "NODE_PATH": str(INSTALLED), "NODE_NO_WARNINGS": "1"}
        command = [program, str(SDK), json.dumps(given)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout.splitlines()[-1])
        assert drive.service.accounts[answer["account"]].owner == str(tool.wallet.pubkey())
        assert not tool.has(path)
        theirs = {"sha256": answer["name"], "bytes": 70_000}
        assert tool.ask("list")["objects"] == [theirs | {"locator": ""}]
        tool.ask("get", path=str(tmp_path / "theirs"), **theirs)


def signed(wallet: Keypair, text: str) -> str:
    return str(wallet.sign_message(b"Shadow Drive Signed Message:\n" + text.encode()))


def upload_form(wallet: Keypair, signed_account: str, signed_name: str, name: str) -> Form:
    hashed = hashlib.sha256(signed_name.encode()).hexdigest()
    message = signed(wallet, f"Storage Account: {signed_account}\nUpload files with hash: {hashed}")
    fields = {"signer": str(wallet.pubkey()), "storage_account": account_of("v1.5"), "fileNames": name, "message": message}
    return Form(fields, [(name, b"content")])


def test_signatures_fit_one_name_one_account_one_wallet() -> None:
    with ShadowDrive() as drive:
        owner, account = wallet_of("owner"), account_of("v1.5")
        drive.add_account(account, str(owner.pubkey()))
        assert drive.service.upload(upload_form(owner, account, "a", "a"))["upload_errors"] == []
        for form in (upload_form(owner, account, "a", "b"), upload_form(owner, account_of("v2"), "a", "a")):
            with pytest.raises(Refusal) as caught:
                drive.service.upload(form)
            assert caught.value.status == 401
        with pytest.raises(Refusal) as caught:
            drive.service.upload(upload_form(wallet_of("stranger"), account, "a", "a"))
        assert caught.value.status == 403
        forged = upload_form(wallet_of("stranger"), account, "a", "a")
        forged.fields["signer"] = str(owner.pubkey())
        with pytest.raises(Refusal) as caught:
            drive.service.upload(forged)
        assert caught.value.status == 401


def test_transaction_for_an_account_must_be_signed() -> None:
    with ShadowDrive() as drive:
        for body in (b"{}", b'{"transaction": "AAAA"}', b'{"transaction": 1}', b"no JSON"):
            with pytest.raises((Refusal, ValueError)):
                drive.service.create_account(body)
            with pytest.raises(Refusal) as caught:
                drive.post("/storage-account", "application/json", body)
            assert caught.value.status == 400
        assert not drive.service.accounts


HEAD = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\nContent-Type: x/y\r\n\r\n'
TYPE = "multipart/form-data; boundary=b"


def test_form_is_read_whole() -> None:
    content = bytes(range(256)) + b"\r\n--a\r\n\r\n--"
    form = parse_form(TYPE, HEAD + b"value\r\n" + FILE + content + b"\r\n" + FILE + b"\r\n--b--\r\n")
    assert form == Form({"a": "value"}, [("f", content), ("f", b"")])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b",
        HEAD,
        HEAD + b"value",
        HEAD + b"value\r\n--b",
        HEAD + b"1\r\n" + HEAD + b"2\r\n--b--",
        HEAD + b"x" * (64 * 1024 + 1) + b"\r\n--b--",
        HEAD + b"\xff\r\n--b--",
        b"--b\r\nX: " + b"y" * 5000 + b"\r\n\r\n\r\n--b--",
        b"--b\r\nContent-Type: x/y\r\n\r\n\r\n--b--",
        (FILE + b"\r\n") * 33 + b"--b--",
        FILE.replace(b'"file"', b'"other"') + b"\r\n--b--",
    ],
)
def test_bad_forms_are_refused(body: bytes) -> None:
    with pytest.raises(BadForm):
        parse_form(TYPE, body)
    with pytest.raises(BadForm):
        parse_form("application/json", HEAD + b"value\r\n--b--")

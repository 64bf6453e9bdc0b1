"""``dvesp ca renew``, ``revoke``, ``status``, ``snapshot`` and ``check``: the life of certificates after they were issued."""

from __future__ import annotations

import json
import os
import ssl
import stat
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from dvesp import InvalidArgument, PermissionDenied, _native
from dvesp.cli import main


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    """The directory of a CA."""
    _native.make_ca(str(tmp_path / "ca"), "Example Ltd")
    return tmp_path / "ca"


def run(capsys: pytest.CaptureFixture[str], *arguments: Any) -> Any:
    capsys.readouterr()
    assert main(["ca", *map(str, arguments), "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def issue(ca: Path, name: str, days: int = 90, role: str = "client") -> Path:
    certificate, _ = _native.issue_certificate(str(ca), name, ["h"] if role == "node" else [], role, days, str(ca))
    return Path(certificate)


def said(file: Path) -> dict[str, Any]:
    return _native.read_certificate(str(file))


def states(capsys: pytest.CaptureFixture[str], ca: Path) -> list[tuple[str, str]]:
    return [(one["name"], one["state"]) for one in run(capsys, "status", "--dir", ca)["issued"]]


def load(ca: Path, name: str) -> None:
    ssl.create_default_context().load_cert_chain(ca / f"{name}.crt.pem", ca / f"{name}.key.pem")


def test_renewal_keeps_who_it_is_and_changes_key_and_serial(ca: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hosts = ["--host", "a.example.org", "--host", "10.0.0.1"]
    before = said(Path(run(capsys, "issue", "n", "--dir", ca, *hosts)["certificate"]))
    assert before["uri"] == "spiffe://example-ltd.dvesp/device/n/role/node"
    assert 6.9 * 86_400 < before["seconds_left"] <= 7 * 86_400
    key = (ca / "n.key.pem").read_bytes()
    for _ in range(3):
        run(capsys, "renew", "n", "--dir", ca)
        after = said(ca / "n.crt.pem")
        for part in ("name", "organisation", "role", "hosts", "uri"):
            assert after[part] == before[part]
        assert after["serial"] != before["serial"] and (ca / "n.key.pem").read_bytes() != key
        assert 6.9 * 86_400 < after["seconds_left"] <= 7 * 86_400
        load(ca, "n")
    assert stat.S_IMODE((ca / "n.key.pem").stat().st_mode) == 0o600
    keys = [path for path in ca.rglob("*key.pem") if not path.is_symlink() and path.name != "ca.key.pem"]
    assert len(keys) == 1  # the old ones are gone
    run(capsys, "renew", "n", "--dir", ca, "--days", 3)
    assert 2 * 86_400 < said(ca / "n.crt.pem")["seconds_left"] <= 3 * 86_400


def test_readers_meet_a_whole_pair_at_every_moment(ca: Path) -> None:
    issue(ca, "n", role="node")
    is_done = threading.Event()

    def renew() -> None:
        for _ in range(40):
            _native.renew_certificate(str(ca), "n", str(ca), 0)
        is_done.set()

    renewing = threading.Thread(target=renew)
    renewing.start()
    count = 0
    while not is_done.is_set():
        for attempt in range(5):  # two files are not read in one moment: a reader that met one of each reads again
            try:
                load(ca, "n")
                break
            except (ssl.SSLError, FileNotFoundError):
                assert attempt < 4, "no whole pair"
        count += 1
    renewing.join()
    assert count > 0
    load(ca, "n")


def test_renewal_goes_on_after_a_crash(ca: Path) -> None:
    issue(ca, "n")
    _native.renew_certificate(str(ca), "n", str(ca), 0)
    (ca / ".n.now.new").symlink_to("nowhere")  # between making and renaming the link
    (ca / ".n.0123").mkdir()  # between making and filling the folder
    _native.renew_certificate(str(ca), "n", str(ca), 0)
    load(ca, "n")
    (ca / "n.key.pem").unlink()  # between leading the first and the second name through the link
    os.link(ca / ".n.now" / "key.pem", ca / "n.key.pem")
    _native.renew_certificate(str(ca), "n", str(ca), 0)
    load(ca, "n")


def test_what_is_not_the_cas_is_not_renewed(ca: Path, tmp_path: Path) -> None:
    _native.make_ca(str(tmp_path / "other"), "Example Ltd")
    issue(tmp_path / "other", "n")
    with pytest.raises(InvalidArgument, match="of another CA"):
        _native.renew_certificate(str(ca), "n", str(tmp_path / "other"), 0)
    with pytest.raises(InvalidArgument, match="no certificate"):
        _native.renew_certificate(str(ca), "absent", str(ca), 0)
    file = issue(ca, "m")
    file.rename(ca / "kept.pem")
    file.symlink_to("kept.pem")
    before = sorted(ca.rglob("*"))
    with pytest.raises(InvalidArgument, match="did not make"):
        _native.renew_certificate(str(ca), "m", str(ca), 0)
    assert sorted(ca.rglob("*")) == before
    assert main(["ca", "revoke", "m", "--dir", str(ca)]) == 0
    with pytest.raises(PermissionDenied, match="revoked"):
        _native.renew_certificate(str(ca), "m", str(ca), 0)


def test_status_says_what_is_due_expired_and_revoked(ca: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert states(capsys, ca) == []
    issue(ca, "fresh")
    issue(ca, "over", days=-1)
    issue(ca, "bad")
    serial = run(capsys, "revoke", "bad", "--dir", ca, "--reason", "key_compromise")["added"][0]["serial"]
    assert states(capsys, ca) == [("fresh", "valid"), ("over", "expired"), ("bad", "revoked")]
    run(capsys, "revoke", "--serial", "00:0A:0b", "--dir", ca)
    whole = run(capsys, "status", "--dir", ca)
    assert [one["serial"] for one in whole["revoked_elsewhere"]] == ["0a0b"] and whole["issued"][2][
        "reason"
    ] == "key_compromise"
    assert main(["ca", "status", "--dir", str(ca)]) == 0
    printed = capsys.readouterr().out
    assert serial in printed and "0a0b" in printed and "expired" in printed


def test_due_renews_what_is_due_and_the_last_of_its_name(
    ca: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("young", "old"):
        issue(ca, name)
    whole = _native.issued_certificates

    def aged(directory: str) -> list[dict[str, Any]]:
        return [one | ({"seconds_left": 86_400 * 29} if one["name"] == "old" else {}) for one in whole(directory)]

    monkeypatch.setattr(_native, "issued_certificates", aged)
    assert states(capsys, ca) == [("young", "valid"), ("old", "due")]
    assert [one["name"] for one in run(capsys, "renew", "--due", "--dir", ca)["renewed"]] == ["old"]
    assert [one["name"] for one in whole(str(ca))] == ["young", "old", "old"]


def test_revoking_twice_adds_nothing_and_keeps_the_first_reason(ca: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serial = said(issue(ca, "n"))["serial"]
    assert len(run(capsys, "revoke", "n", "--dir", ca)["added"]) == 1
    before = (ca / "revocations").read_bytes()
    assert run(capsys, "revoke", "--serial", serial.upper(), "--dir", ca, "--reason", "superseded")["added"] == []
    assert (ca / "revocations").read_bytes() == before
    run(capsys, "revoke", "--serial", "77", "--dir", ca)
    assert (ca / "revocations").read_bytes().startswith(before)  # only appended


@pytest.mark.parametrize("serial", ["", "0", "0000", "xyz", "1" * 41, "12 34"])
def test_serials_that_are_none_are_refused(serial: str, ca: Path) -> None:
    with pytest.raises(InvalidArgument, match="serial"):
        _native.revoke_certificates(str(ca), [serial], "unspecified")
    assert not (ca / "revocations").exists()


def test_snapshot_is_exact_for_everything_issued(ca: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [issue(ca, f"c{number}") for number in range(12)]
    for file in files[:4]:
        run(capsys, "revoke", "--serial", said(file)["serial"], "--dir", ca)
    made = run(capsys, "snapshot", "--dir", ca, "--out", tmp_path / "s")
    assert made["revoked"] == 4 and made["bytes"] < 200
    found = [run(capsys, "check", file, "--snapshot", tmp_path / "s", "--ca", ca / "ca.pem")["revoked"] for file in files]
    assert found == [True] * 4 + [False] * 8
    assert main(["ca", "snapshot", "--dir", str(ca), "--out", str(tmp_path / "s")]) == 1  # nothing is overwritten
    data = bytearray((tmp_path / "s").read_bytes())
    data[62] ^= 1
    (tmp_path / "s").write_bytes(data)
    with pytest.raises((PermissionDenied, InvalidArgument)):
        _native.is_in_revocation_snapshot(str(tmp_path / "s"), str(ca / "ca.pem"), str(files[0]))


def test_constraints_of_the_ca_and_strict_verification(ca: Path) -> None:
    file = issue(ca, "n", role="node")
    text = subprocess.run(
        ["openssl", "x509", "-in", ca / "ca.pem", "-noout", "-text"], capture_output=True, text=True, check=True
    )
    assert "Name Constraints: critical\n                Permitted:\n                  URI:example-ltd.dvesp" in text.stdout
    checked = ["openssl", "verify", "-x509_strict", "-CAfile", str(ca / "ca.pem"), str(file)]
    assert subprocess.run(checked, capture_output=True, text=True, check=True).stdout.endswith("OK\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["renew", "--dir", "x"],
        ["renew", "n", "--due", "--dir", "x"],
        ["revoke", "--dir", "x"],
        ["revoke", "n", "--serial", "1", "--dir", "x"],
        ["revoke", "n", "--dir", "x", "--reason", "boredom"],
        ["status"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ca", *arguments]) == 2
    assert capsys.readouterr().err.startswith("dvesp: error: ")


@pytest.mark.parametrize("command", ["renew", "revoke", "status", "snapshot", "check"])
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ca", command, "--help"]) == 0
    assert f"example: dvesp ca {command}" in " ".join(capsys.readouterr().out.split())

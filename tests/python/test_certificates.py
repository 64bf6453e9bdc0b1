"""``dvesp ca``: what it writes, what it refuses, and that others read it as meant. The judge is OpenSSL's own program."""

from __future__ import annotations

import json
import os
import ssl
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from dvesp import InvalidArgument, _native
from dvesp.cli import main


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    """The directory of a CA made on the command line."""
    assert main(["ca", "init", "--dir", str(tmp_path / "ca"), "--organisation", "Example Ltd"]) == 0
    return tmp_path / "ca"


def openssl(*arguments: Any) -> str:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def run_json(capsys: pytest.CaptureFixture[str], *arguments: Any) -> Any:
    capsys.readouterr()
    assert main([*map(str, arguments), "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_ca_is_what_rfc_5280_wants_of_one(ca: Path) -> None:
    text = openssl("x509", "-in", ca / "ca.pem", "-noout", "-text")
    assert "Basic Constraints: critical\n                CA:TRUE, pathlen:0" in text
    assert "Key Usage: critical\n                Certificate Sign, CRL Sign\n" in text
    assert "ecdsa-with-SHA256" in text and "ASN1 OID: prime256v1" in text and "Version: 3" in text
    assert "Subject: O = Example Ltd, CN = dvesp CA" in text
    assert openssl("verify", "-x509_strict", "-CAfile", ca / "ca.pem", ca / "ca.pem").endswith("ca.pem: OK\n")


@pytest.mark.parametrize("role", ["node", "client"])
def test_issued_certificate_is_verified_by_openssl_and_says_its_role(ca: Path, role: str) -> None:
    hosts = ["--host", "node1.example.org", "--host", "10.0.0.1", "--host", "::1", "--host", "*.pod.example.org"]
    assert main(["ca", "issue", "node1", "--dir", str(ca), "--role", role, *hosts]) == 0
    file = ca / "node1.crt.pem"
    assert openssl("verify", "-x509_strict", "-CAfile", ca / "ca.pem", file).endswith("OK\n")
    text = openssl("x509", "-in", file, "-noout", "-text")
    assert f"Subject: O = Example Ltd, OU = dvesp-{role}, CN = node1" in text
    assert ("TLS Web Server Authentication" in text) == (role == "node") and "TLS Web Client Authentication" in text
    assert "CA:FALSE" in text and "Digital Signature" in text
    assert "DNS:node1.example.org, IP Address:10.0.0.1, IP Address:0:0:0:0:0:0:0:1, DNS:*.pod.example.org" in text


def test_show_tells_people_and_machines_the_same(ca: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = run_json(capsys, "ca", "issue", "n", "--dir", ca, "--host", "::1", "--host", "localhost", "--days", 7)
    said = run_json(capsys, "ca", "show", made["certificate"])
    assert (said["name"], said["organisation"], said["role"], said["issuer"]) == ("n", "Example Ltd", "node", "dvesp CA")
    assert said["hosts"] == ["::1", "localhost"] and not said["is_expired"]
    assert 6.9 * 86_400 < said["seconds_left"] <= 7 * 86_400
    assert main(["ca", "show", made["certificate"]]) == 0
    out = capsys.readouterr().out
    assert said["fingerprint"] in out and said["not_after"] in out and "7 days left" in out
    printed = openssl("x509", "-in", made["certificate"], "-noout", "-fingerprint", "-sha256", "-serial").lower()
    assert said["fingerprint"] in printed.replace(":", "") and said["serial"] in printed
    assert run_json(capsys, "ca", "show", ca / "ca.pem")["role"] == "ca"


def test_roles_and_hosts_follow_from_each_other(ca: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_json(capsys, "ca", "issue", "alice", "--dir", ca)["role"] == "client"
    node = run_json(capsys, "ca", "issue", "node2", "--dir", ca, "--role", "node", "--out", ca / "deep" / "out")
    assert node["hosts"] == ["node2"] and Path(node["key"]) == ca / "deep" / "out" / "node2.key.pem"


def test_serials_are_random_and_long(tmp_path: Path, ca: Path) -> None:
    serials = set()
    for number in range(20):
        certificate, _ = _native.issue_certificate(str(ca), f"c{number}", [], "client", 1, str(ca))
        serials.add(_native.read_certificate(certificate)["serial"])
    assert len(serials) == 20 and all(len(serial) >= 24 for serial in serials)


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    for umask in (0o000, 0o077):
        before = os.umask(umask)
        try:
            folder = str(tmp_path / f"{umask}")
            _native.make_ca(folder, "Example")
            _native.issue_certificate(folder, "n", ["n"], "node", 1, folder)
        finally:
            os.umask(before)
        found = {path.name: mode(path) for path in Path(folder).iterdir()}
        assert found == {"ca.pem": 0o644, "issued.pem": 0o644, "n.crt.pem": 0o644, "ca.key.pem": 0o600, "n.key.pem": 0o600}
        assert mode(Path(folder)) == 0o700


@pytest.mark.parametrize("there", ["ca.pem", "ca.key.pem", "a.crt.pem", "a.key.pem"])
def test_nothing_is_overwritten_and_nothing_half_left(
    there: str, tmp_path: Path, ca: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "new"
    target.mkdir()
    (target / there).symlink_to(tmp_path / "elsewhere")  # what is there counts, also a link to nothing
    command = ["ca", "init", "--dir", str(target), "--organisation", "X"]
    if there.startswith("a."):
        command = ["ca", "issue", "a", "--dir", str(ca), "--out", str(target)]
    assert main(command) == 1
    assert there in capsys.readouterr().err
    assert [path.name for path in target.iterdir()] == [there] and not (tmp_path / "elsewhere").exists()
    (target / there).unlink()
    (target / there).write_text("mine")
    assert main(command) == 1
    assert (target / there).read_text() == "mine" and [path.name for path in target.iterdir()] == [there]


@pytest.mark.parametrize(
    "arguments",
    [
        ["ca"],
        ["ca", "bogus"],
        ["ca", "init", "--dir", "x"],
        ["ca", "issue", "--dir", "x"],
        ["ca", "issue", "a"],
        ["ca", "issue", "a", "--dir", "x", "--days", "0"],
        ["ca", "issue", "a", "--dir", "x", "--days", "-1"],
        ["ca", "issue", "a", "--dir", "x", "--days", "826"],
        ["ca", "issue", "a", "--dir", "x", "--role", "admin"],
        ["ca", "show"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("dvesp: error: ") and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["ca"], ["ca", "init"], ["ca", "issue"], ["ca", "show"]], ids=" ".join)
def test_help_has_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"example: dvesp {' '.join(command)}" in out and ("--json" in out) == (len(command) > 1)


@pytest.mark.parametrize(
    ("name", "hosts"),
    [(name, []) for name in ("", ".", "..", "a/b", "../a", "-x", "a b", "a\nb", "x" * 65, "ä")]
    + [
        ("a", [host])
        for host in ("", "a,b", "DNS:a", "a b", "a..b", "-a", "a-", "x" * 64, "a.*.b", "*", "1.2.3.4/8", "a\0b", "ä")
    ]
    + [("a", ["h"] * 101)],
)
def test_wrong_names_and_hosts_are_refused(name: str, hosts: list[str], ca: Path) -> None:
    before = sorted(ca.rglob("*"))
    with pytest.raises(InvalidArgument):
        _native.issue_certificate(str(ca), name, hosts, "node" if hosts else "client", 90, str(ca))
    assert sorted(ca.rglob("*")) == before


def test_ca_that_is_none_is_refused(ca: Path, tmp_path: Path) -> None:
    for organisation in ("", "x" * 65, "a\nb"):
        with pytest.raises(InvalidArgument):
            _native.make_ca(str(tmp_path / "bad"), organisation)
    _native.issue_certificate(str(ca), "leaf", [], "client", 90, str(ca))
    other = tmp_path / "other"
    _native.make_ca(str(other), "Other")
    for certificate, key, says in [
        (ca / "ca.pem", other / "ca.key.pem", "does not belong"),
        (ca / "leaf.crt.pem", ca / "leaf.key.pem", "is no CA"),
        (ca / "ca.pem", ca / "ca.pem", "no private key"),
        (ca / "ca.key.pem", ca / "ca.key.pem", "no PEM certificate"),
        (None, None, "there is no CA"),
    ]:
        mixed = tmp_path / says.replace(" ", "-")
        mixed.mkdir()
        if certificate is not None and key is not None:
            (mixed / "ca.pem").write_bytes(certificate.read_bytes())
            (mixed / "ca.key.pem").write_bytes(key.read_bytes())
        with pytest.raises(InvalidArgument, match=says):
            _native.issue_certificate(str(mixed), "x", [], "client", 90, str(tmp_path / "out"))
    with pytest.raises(InvalidArgument, match="no PEM certificate"):
        _native.read_certificate(str(ca / "ca.key.pem"))
    with pytest.raises(InvalidArgument, match="cannot read"):
        _native.read_certificate(str(ca / "absent.pem"))


def test_key_with_a_password_does_not_ask_for_it(ca: Path) -> None:
    locked = ca / "locked.pem"
    openssl("pkcs8", "-topk8", "-in", ca / "ca.key.pem", "-out", locked, "-passout", "pass:secret")
    locked.replace(ca / "ca.key.pem")
    with pytest.raises(InvalidArgument, match="without a password"):
        _native.issue_certificate(str(ca), "x", [], "client", 90, str(ca))


def test_python_takes_the_files_for_a_context(ca: Path) -> None:
    _native.issue_certificate(str(ca), "n", ["localhost"], "node", 90, str(ca))
    context = ssl.create_default_context(cafile=str(ca / "ca.pem"))
    context.load_cert_chain(ca / "n.crt.pem", ca / "n.key.pem")
    assert len(context.get_ca_certs()) == 1

"""``dvesp serve --config``: what a dvesp.toml becomes, who wins, and what is refused by name."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
from dvesp.cli import main
from dvesp.cli_serve import node_arguments
from dvesp.node_config import read_config

FULL = """
[node]
data = "store"
listen = "127.0.0.1:7000"
advertise = "node1:7000"
join = ["node1:7000", "node2:7000"]
node_id = "n1"
role = "edge"
device = "fragments"
scrub_seconds = 60
[tls]
ca = "ca.pem"
cert = "certs/n1.crt.pem"
key = "../n1.key.pem"
revocations = "revocations"
[log]
format = "json"
level = "debug"
[rest]
token_file = "tokens"
snapshots = "snapshots"
"""
OPTIONS = (
    "data",
    "listen",
    "advertise",
    "join",
    "node_id",
    "role",
    "device",
    "tls_ca",
    "tls_cert",
    "tls_key",
    "tls_revocations",
    "token_file",
    "snapshots",
    "scrub_seconds",
    "log",
    "log_level",
    "config",
)


def arguments(tmp_path: Path, text: str, insecure: bool = False, **typed: str) -> dict[str, str]:
    """Option -> value of the node's command line; ``--insecure`` -> ''."""
    (tmp_path / "dvesp.toml").write_text(text)
    given = dict.fromkeys(OPTIONS) | {"config": str(tmp_path / "dvesp.toml"), **typed}
    words = node_arguments(argparse.Namespace(insecure=insecure, **given))
    out = {"--insecure": ""} if "--insecure" in words else {}
    words = [word for word in words if word != "--insecure"]
    return out | dict(zip(words[::2], words[1::2], strict=True))


@pytest.fixture(autouse=True)
def _nobodys_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    for name in ("CA", "CERT", "KEY"):
        monkeypatch.delenv(f"DVESP_TLS_{name}", raising=False)


def test_every_key_becomes_an_option_and_paths_start_at_the_file(tmp_path: Path) -> None:
    assert arguments(tmp_path, FULL) == {
        "--data": str(tmp_path / "store"),
        "--listen": "127.0.0.1:7000",
        "--advertise": "node1:7000",
        "--join": "node1:7000,node2:7000",
        "--node-id": "n1",
        "--role": "edge",
        "--device": str(tmp_path / "fragments"),
        "--scrub-seconds": "60",
        "--log": "json",
        "--log-level": "debug",
        "--tls-ca": str(tmp_path / "ca.pem"),
        "--tls-cert": str(tmp_path / "certs" / "n1.crt.pem"),
        "--tls-key": f"{tmp_path}/../n1.key.pem",
        "--tls-revocations": f"{tmp_path}/revocations",
        "--token-file": str(tmp_path / "tokens"),
        "--snapshots": str(tmp_path / "snapshots"),
    }
    absolute = f'[node]\ndata = "{tmp_path}/elsewhere"'
    assert arguments(tmp_path, absolute)["--data"] == f"{tmp_path}/elsewhere"


def test_command_line_wins(tmp_path: Path) -> None:
    assert arguments(tmp_path, FULL, data="typed", role="storage")["--data"] == "typed"
    insecure = arguments(tmp_path, FULL, insecure=True)
    assert "--insecure" in insecure and "--tls-ca" not in insecure and insecure["--node-id"] == "n1"
    typed = arguments(tmp_path, "insecure = true", tls_ca="a", tls_cert="b", tls_key="c")
    assert typed == {"--tls-ca": "a", "--tls-cert": "b", "--tls-key": "c"}
    assert arguments(tmp_path, "insecure = true") == {"--insecure": ""}
    assert arguments(tmp_path, "insecure = false") == {}


def test_certificates_of_the_user_serve_when_neither_names_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pem").write_text("")
    for name in ("CA", "CERT", "KEY"):
        monkeypatch.setenv(f"DVESP_TLS_{name}", str(tmp_path / "pem"))
    assert arguments(tmp_path, '[node]\nnode_id = "n"')["--tls-key"] == str(tmp_path / "pem")
    assert "--tls-key" not in arguments(tmp_path, "insecure = true")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("insecur = true", "insecur"),
        ("insecure = 1", "insecure"),
        ('insecure = "true"', "insecure"),
        ("[nodes]", "nodes"),
        ("node = 3", "node"),
        ("[[node]]\ndata = 'x'", "node"),
        ("[node]\ndate = 'x'", "node.date"),
        ("[node]\ndata = 7", "node.data"),
        ("[node]\ndata = ''", "node.data"),
        ("[node]\nlisten = 7000", "node.listen"),
        ("[node]\njoin = 'a:1,b:1'", "node.join"),
        ("[node]\njoin = []", "node.join"),
        ("[node]\njoin = ['a:1', 2]", "node.join"),
        ("[node]\njoin = ['a:1,b:1']", "node.join"),
        ("[node]\nrole = 'admin'", "node.role"),
        ("[node]\nnode_id = ['a']", "node.node_id"),
        ("[log]\nformat = 'xml'", "log.format"),
        ("[log]\nlevel = 'loud'", "log.level"),
        ("[tls]\nca = true", "tls.ca"),
        ("[tls]\npassword = 'x'", "tls.password"),
        ("[rest]\ntoken = 'x'", "rest.token"),
        ("insecure = true\n[tls]\nca = 'ca.pem'", "exclude each other"),
        ("not toml", "no TOML"),
        ("\udcff", "no TOML"),
    ],
)
def test_wrong_file_exits_2_and_names_the_key(text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "dvesp.toml"
    file.write_bytes(text.encode(errors="surrogateescape"))
    assert main(["serve", "--config", str(file)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("dvesp: error: ") and str(file) in error and says in error and error.count("\n") == 1


def test_absent_file_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--config", str(tmp_path / "absent.toml")]) == 2
    assert "absent.toml" in capsys.readouterr().err


def test_example_file_is_accepted() -> None:
    is_insecure, options = read_config(str(Path(__file__).parents[2] / "deploy" / "dvesp.toml"))
    assert not is_insecure and options["join"].count(",") == 2 and {"data", "listen", "tls_key"} <= options.keys()


def test_node_starts_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "dvesp.toml").write_text('insecure = true\n[node]\ndata = "store"\nlisten = "127.0.0.1:0"\nnode_id = "solo"\n')
    command = [sys.executable, "-m", "dvesp", "serve", "--config", str(tmp_path / "dvesp.toml")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as node:
        assert node.stdout is not None
        try:
            assert node.stdout.readline().startswith("ready 127.0.0.1:")
            assert (tmp_path / "store").is_dir()
        finally:
            node.terminate()
        assert node.wait(timeout=30) == 0

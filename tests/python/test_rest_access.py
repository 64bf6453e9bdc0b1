"""Who may ask a node over REST: client certificates, bearer tokens, nobody else."""

from __future__ import annotations

import http.client
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvesp import TLS, VectorStore
from dvesp.cli_serve import node_binary
from node_cluster import free_ports
from rest_client import Rest

TOKEN, OTHER = "a-token-of-32-characters-or-more", "another-token-of-the-same-file-00"


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TLS:
    """A CA and one certificate for 127.0.0.1, made by openssl."""
    home = tmp_path_factory.mktemp("tls")
    ca, ca_key, cert, key, asked = (str(home / name) for name in ("ca.pem", "ca.key", "node.pem", "node.key", "node.csr"))
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *curve, "-keyout", ca_key, "-out", ca, "-days", "2", "-subj", "/CN=test-ca")
    openssl("req", *curve, "-keyout", key, "-out", asked, "-subj", "/CN=node")
    names = home / "names"
    names.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    signing = ("-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2", "-extfile", str(names))
    openssl("x509", "-req", "-in", asked, "-out", cert, *signing)
    return TLS(ca, cert, key)


@pytest.fixture(scope="module")
def address(tls: TLS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One node with TLS and two tokens."""
    home = tmp_path_factory.mktemp("node")
    tokens = home / "tokens"
    tokens.write_text(f"# who may ask\n\n{TOKEN}\n  {OTHER}\r\n")
    address = f"127.0.0.1:{free_ports(1)[0]}"
    command = [node_binary(), "--data", str(home / "data"), "--listen", address, "--join", address]
    command += ["--tls-ca", tls.ca, "--tls-cert", tls.cert, "--tls-key", tls.key, "--token-file", str(tokens)]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("ready "), (home / "log").read_text()
    with VectorStore(nodes=[address], tls=tls) as store:
        store.insert([[1, 2]], ids=["a"], collection="c", timeout_ms=20_000)
    yield address
    process.terminate()
    assert process.wait(timeout=30) == 0
    process.stdout.close()
    assert TOKEN not in (home / "log").read_text()


def context(tls: TLS, with_certificate: bool) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=tls.ca)
    if with_certificate:
        made.load_cert_chain(tls.cert, tls.key)
    return made


PATHS = ("/v1/collections", "/v1/health", "/metrics", "/v1/openapi.json", "/v1/status", "/v1/nothing")


def test_a_certificate_or_a_token_is_needed_everywhere(tls: TLS, address: str) -> None:
    stranger, friend = Rest(address, context(tls, False)), Rest(address, context(tls, True))
    for path in PATHS:
        expected = 404 if path == "/v1/nothing" else 200
        assert friend.ask("GET", path).status == expected
        for token in (TOKEN, OTHER):
            for scheme in ("Bearer", "bearer"):
                assert stranger.ask("GET", path, None, {"Authorization": f"{scheme} {token}"}).status == expected
        for wrong in (
            "",
            TOKEN,
            f"Basic {TOKEN}",
            f"Bearer {TOKEN}x",
            f"Bearer {TOKEN[:-1]}",
            "Bearer ",
            "Bearer " + "x" * 9000,
        ):
            refused = stranger.ask("GET", path, None, {"Authorization": wrong} if wrong else None)
            assert (refused.status, refused.error["code"]) == (401, "permission_denied")
            assert refused.headers["www-authenticate"] == "Bearer" and TOKEN not in refused.body.decode()


def test_records_go_through_with_a_token(tls: TLS, address: str) -> None:
    stranger = Rest(address, context(tls, False))
    header = {"Authorization": f"Bearer {TOKEN}", "Origin": "https://example.org"}
    found = stranger.ask("POST", "/v1/collections/c/vectors/get", {"ids": ["a"]}, header)
    assert found.status == 200 and found.json["records"][0]["vector"] == [1.0, 2.0]


def test_the_body_of_a_stranger_is_not_read(tls: TLS, address: str) -> None:
    host, port = address.rsplit(":", 1)
    connection = http.client.HTTPSConnection(host, int(port), timeout=10, context=context(tls, False))
    connection.putrequest("POST", "/v1/collections/c/vectors/insert")
    connection.putheader("Content-Length", str(500 << 20))
    connection.endheaders(b"{")
    assert connection.getresponse().status == 401  # though most of the body was never sent
    connection.close()


def test_pages_with_the_certificate_of_a_browser_are_refused(tls: TLS, address: str) -> None:
    friend = Rest(address, context(tls, True))
    assert friend.ask("GET", "/v1/collections", None, {"Origin": "https://example.org"}).status == 403


@pytest.mark.parametrize("text", ["", "# nothing\n", "short\n", "x" * 513 + "\n", None])
def test_a_wrong_token_file_ends_the_start(text: str | None, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    if text is not None:
        tokens.write_text(text)
    command = [
        node_binary(),
        "--data",
        str(tmp_path / "d"),
        "--listen",
        "127.0.0.1:0",
        "--insecure",
        "--token-file",
        str(tokens),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1 and "token" in done.stderr and "ready" not in done.stdout

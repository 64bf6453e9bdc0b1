"""The log of a node: one line for every kind of refusal, counted in /metrics, never a flood, and nothing secret in it."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import ssl
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvesp import TLS, VectorStore, _native
from dvesp.cli import main
from node_cluster import Cluster
from test_tls import MAGIC, PEER, REQUEST, UPGRADE, context_of, ends, issue, options_of

TOKEN = "a-token-that-nobody-may-read-7f3a"
SECRET = "metadata-that-nobody-may-read"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
LINES_MAX = 20  # of one event in a window

pytestmark = pytest.mark.slow


class Logged:
    """One node over TLS that logs everything as JSON, its CA, and what it has written."""

    def __init__(self, folder: Path) -> None:
        self.ca = folder / "ca"
        assert main(["ca", "init", "--dir", str(self.ca), "--organisation", "Example Ltd"]) == 0
        self.node = issue(self.ca, "node0", "127.0.0.1", "localhost", role="node")
        self.client = issue(self.ca, "client")
        (folder / "tokens").write_text(TOKEN + "\n")
        options = [*options_of(self.node), "--token-file", str(folder / "tokens"), "--log", "json", "--log-level", "debug"]
        self.cluster = Cluster(folder, 1, options, self.client)

    @property
    def port(self) -> int:
        return int(self.cluster.addresses[0].rpartition(":")[2])

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.cluster.log(0).splitlines()]

    def events(self) -> Counter[str]:
        return Counter(line["event"] for line in self.lines())

    def plain(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)

    def connect(self, tls: TLS | None) -> ssl.SSLSocket:
        return context_of(tls, self.ca).wrap_socket(self.plain(), server_hostname="127.0.0.1")

    def upgraded(self, tls: TLS) -> ssl.SSLSocket:
        connection = self.connect(tls)
        connection.sendall(UPGRADE)
        assert connection.recv(4096).startswith(b"HTTP/1.1 101 ")
        return connection

    def refusals(self) -> dict[str, int]:
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context_of(self.client, self.ca), timeout=5)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return {name: int(count) for name, count in re.findall(r'dvesp_refusals_total\{reason="(\w+)"\} (\d+)', text)}

    def ask(self, headers: dict[str, str]) -> int:
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context_of(None, self.ca), timeout=5)
        connection.request("GET", "/v1/collections/absent", headers=headers)
        status = connection.getresponse().status
        connection.close()
        return status


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    made = Logged(tmp_path_factory.mktemp("logged"))
    with made.cluster:
        yield made


def refuse_greeting(logged: Logged, tls: TLS) -> None:
    with contextlib.suppress(ssl.SSLError, ConnectionError), logged.connect(tls) as connection:
        connection.settimeout(5)
        connection.recv(1)


def send(logged: Logged, frame: bytes, tls: TLS | None = None) -> None:
    with logged.upgraded(tls or logged.client) as connection:
        connection.sendall(frame)
        assert ends(connection)


def head(kind: int, number: int, size: int, *, magic: int = MAGIC, version: int = 1) -> bytes:
    return struct.pack("<IHHQQ", magic, version, kind, number, size)


def send_garbage(logged: Logged) -> None:
    with logged.plain() as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"\xff" * 500)
        assert ends(connection)


def send_bad_http(logged: Logged) -> None:
    with logged.connect(logged.client) as connection:
        connection.sendall(b"NOT HTTP AT ALL\r\n\r\n")
        assert ends(connection)


def ask_rpc_without_certificate(logged: Logged) -> None:
    with logged.connect(None) as connection:
        connection.sendall(UPGRADE)
        assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")


def replay(logged: Logged) -> None:
    """One request, which is answered, and the same bytes again."""
    hello = struct.pack("<BBBBIIIII", 15, 1, 0, 0, 0, 1000, 0, 0, 0) + bytes(4 + 4 + 4 + 8 + 8 + 16 + 32 + 16)
    hello += bytes(4 * 6)  # texts, blobs and lists, all empty
    hello += bytes(8)
    hello += bytes(-len(hello) % 64)
    with logged.upgraded(logged.client) as connection:
        connection.sendall(head(REQUEST, 7, len(hello)) + hello)
        assert connection.recv(4)[:4] == struct.pack("<I", MAGIC)
        connection.sendall(head(REQUEST, 7, len(hello)) + hello)
        assert ends(connection)


def refuse_foreign(logged: Logged, tmp_path: Path) -> None:
    assert main(["ca", "init", "--dir", str(tmp_path / "other"), "--organisation", "Example Ltd"]) == 0
    stranger = issue(tmp_path / "other", "stranger")
    refuse_greeting(logged, TLS(logged.client.ca, stranger.cert, stranger.key))


def refuse_revoked(logged: Logged) -> None:
    gone = issue(logged.ca, "gone")
    assert main(["ca", "revoke", "gone", "--dir", str(logged.ca)]) == 0
    entries = [one["entry"] for one in _native.read_revocations(str(logged.ca / "revocations"))]
    connection = http.client.HTTPSConnection("127.0.0.1", logged.port, context=context_of(logged.client, logged.ca), timeout=5)
    connection.request("POST", "/v1/revocations", json.dumps({"entries": entries}), {"Content-Type": "application/json"})
    assert connection.getresponse().status == 200
    connection.close()
    refuse_greeting(logged, gone)


CASES: dict[str, Callable[[Logged, Path], None]] = {
    "tls_handshake": lambda logged, _: send_garbage(logged),
    "certificate_expired": lambda logged, _: refuse_greeting(logged, issue(logged.ca, "old", days=-1)),
    "certificate_foreign": refuse_foreign,
    "certificate_revoked": lambda logged, _: refuse_revoked(logged),
    "certificate_missing": lambda logged, _: ask_rpc_without_certificate(logged),
    "not_a_node": lambda logged, _: send(logged, head(PEER, 0, 8) + bytes(8)),
    "malformed_http": lambda logged, _: send_bad_http(logged),
    "malformed_frame": lambda logged, _: send(logged, head(REQUEST, 1, 8, magic=1) + bytes(8)),
    "wrong_version": lambda logged, _: send(logged, head(REQUEST, 1, 8, version=9) + bytes(8)),
    "oversize": lambda logged, _: send(logged, head(REQUEST, 1, 2**40)),
    "replay": lambda logged, _: replay(logged),
    "malformed_request": lambda logged, _: send(logged, head(REQUEST, 1, 64) + b"\xff" * 64),
}


@pytest.mark.parametrize("reason", CASES)
def test_every_refusal_is_a_line_and_a_count(
    reason: str, logged: Logged, tmp_path: Path, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    lines, count = logged.events()[reason], logged.refusals()[reason]
    CASES[reason](logged, tmp_path)
    wait_until(lambda: logged.refusals()[reason] == count + 1)
    wait_until(lambda: logged.events()[reason] == lines + 1)
    line = [line for line in logged.lines() if line["event"] == reason][-1]
    assert line["level"] == "warning" and line["node_id"] == "node0" and line["message"]


def test_refused_message_of_a_node_is_a_line(logged: Logged, wait_until: Callable[[Callable[[], bool]], None]) -> None:
    with logged.upgraded(logged.node) as connection:
        connection.sendall(head(PEER, 0, 8) + bytes(8))
        wait_until(lambda: logged.events()["malformed_peer_message"] == 1)


def test_refused_token_is_a_line_with_the_trace_of_its_request(
    logged: Logged, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    assert logged.ask({"Authorization": f"Bearer {TOKEN}", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}) == 404
    assert logged.ask({"Authorization": f"Bearer {TOKEN}-wrong", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}) == 401
    wait_until(lambda: logged.events()["token_refused"] == 1)
    line = next(line for line in logged.lines() if line["event"] == "token_refused")
    assert line["trace_id"] == TRACE
    # The request that was let in asked the node as a client does: its lines carry the same trace.
    assert any(line.get("trace_id") == TRACE and line["event"] == "request_failed" for line in logged.lines())


def test_lines_are_json_with_the_documented_fields_and_hold_nothing_secret(logged: Logged) -> None:
    with VectorStore(nodes=logged.cluster.addresses, tls=logged.client) as store:
        vectors = np.full((3, 4), 0.123456789, np.float32)
        ids = [f"id-that-nobody-may-read-{row}" for row in range(3)]
        store.insert(vectors, [{"text": SECRET}] * 3, ids, collection="c", timeout_ms=20_000)
        assert store.count("c", {"text": SECRET}) == 3 and store.search(vectors[0], 1, collection="c")[0].id in ids
        with pytest.raises(Exception, match="id-that-nobody"):
            store.insert(vectors[:1] * 2, ids=ids[:1], collection="c")
    lines = logged.lines()
    assert {"started", "leads", "request"} <= {line["event"] for line in lines}
    for line in lines:
        assert {"ts", "level", "event", "node_id", "message"} <= set(line)
        assert set(line) <= {"ts", "level", "event", "node_id", "shard", "trace_id", "suppressed", "message"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["ts"])
        assert line["level"] in ("debug", "info", "warning", "error")
        assert re.fullmatch(r"[a-z_]+", line["event"])
    text = logged.cluster.log(0)
    for secret in (TOKEN, SECRET, "id-that-nobody", "0.1234", "PRIVATE"):
        assert secret not in text
    for key in logged.ca.glob("*.key.pem"):
        assert not any(part[:32] in text for part in key.read_text().splitlines()[1:-1])


def test_flood_is_counted_and_not_written(tmp_path: Path) -> None:
    flood = 200
    with Cluster(tmp_path, 1, ["--insecure", "--log", "json"]) as cluster:
        port = int(cluster.addresses[0].rpartition(":")[2])
        for _ in range(flood):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(b"NOT HTTP AT ALL\r\n\r\n")
                assert ends(connection)
        assert cluster.stop(0) == 0  # the last windows end with it
        lines = [json.loads(line) for line in cluster.log(0).splitlines()]
    found = [line for line in lines if line["event"] == "malformed_http"]
    written = [line for line in found if "suppressed" not in line]
    assert len(written) + sum(line.get("suppressed", 0) for line in found) == flood
    assert len(written) <= LINES_MAX * (1 + flood // 10) and len(found) < flood


def test_text_lines_are_for_people(tmp_path: Path) -> None:
    with Cluster(tmp_path, 1) as cluster:
        assert cluster.stop(0) == 0
        lines = cluster.log(0).splitlines()
    assert lines[0].startswith("dvesp-node: info: started: listening on 127.0.0.1:")
    assert any(line.endswith("[shard 0]") for line in lines) and lines[-1].startswith("dvesp-node: info: stopped: ")

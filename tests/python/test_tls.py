"""A cluster over TLS 1.3: what it takes, what it refuses, and that refusing costs the others nothing.

Certificates come from ``dvesp ca``; Python's own ssl and http.client are the independent judges.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from dvesp import TLS, InvalidArgument, PermissionDenied, Unavailable, VectorStore, _native
from dvesp.cli import main
from node_cluster import Cluster

UPGRADE = b"GET /rpc HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\nUpgrade: dvesp-rpc/1\r\n\r\n"
MAGIC, REQUEST, PEER = 0x31525644, 1, 3
REFUSED_WITHIN_S = 5.0


def issue(ca: Path, name: str, *hosts: str, role: str = "client", days: int = 90) -> TLS:
    """A certificate of the CA, beside it; below one day by the native function alone."""
    if days > 0:
        command = ["ca", "issue", name, "--dir", str(ca), "--role", role, "--days", str(days)]
        assert main([*command, *(word for host in hosts for word in ("--host", host))]) == 0
        return TLS(str(ca / "ca.pem"), str(ca / f"{name}.crt.pem"), str(ca / f"{name}.key.pem"))
    certificate, key = _native.issue_certificate(str(ca), name, list(hosts), role, days, str(ca))
    return TLS(str(ca / "ca.pem"), certificate, key)


def options_of(tls: TLS) -> list[str]:
    return ["--tls-ca", tls.ca, "--tls-cert", tls.cert, "--tls-key", tls.key]


@dataclass(frozen=True)
class Secured:
    """A running cluster, its CA and the certificates of a node and a client."""

    cluster: Cluster
    ca: Path
    client: TLS
    node: TLS

    @property
    def addresses(self) -> list[str]:
        return self.cluster.addresses

    @property
    def port(self) -> int:
        return int(self.addresses[0].rpartition(":")[2])


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Three nodes, each with its own certificate."""
    folder = tmp_path_factory.mktemp("tls")
    ca = folder / "ca"
    assert main(["ca", "init", "--dir", str(ca), "--organisation", "Example Ltd"]) == 0
    client = issue(ca, "client")
    nodes = [issue(ca, f"node{n}", "127.0.0.1", "localhost", role="node") for n in range(3)]
    with Cluster(folder, 3, lambda number: options_of(nodes[number]), client) as running:
        yield Secured(running, ca, client, nodes[0])


@pytest.fixture
def other_ca(tmp_path: Path) -> Path:
    """A CA with the same names and another key."""
    assert main(["ca", "init", "--dir", str(tmp_path / "ca"), "--organisation", "Example Ltd"]) == 0
    return tmp_path / "ca"


def context_of(tls: TLS | None, ca: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca / "ca.pem"))
    if tls is not None:
        context.load_cert_chain(tls.cert, tls.key)
    return context


def connect(secured: Secured, tls: TLS | None, host: str = "127.0.0.1") -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", secured.port), timeout=5)
    return context_of(tls, secured.ca).wrap_socket(plain, server_hostname=host)


def metric(secured: Secured, name: str) -> int:
    connection = http.client.HTTPSConnection(
        "127.0.0.1", secured.port, context=context_of(secured.client, secured.ca), timeout=5
    )
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith(name + " ")))


def serves(secured: Secured) -> bool:
    """The cluster still answers somebody with a good certificate."""
    with VectorStore(nodes=secured.addresses, tls=secured.client) as store:
        return store.status()["node_count"] == 3


def refusal(addresses: list[str], tls: TLS | None) -> str:
    """What a store's first call says, which must come in time and name the address."""
    started = time.monotonic()
    with VectorStore(nodes=addresses, tls=tls) as store, pytest.raises(PermissionDenied) as caught:
        store.insert(np.ones((1, 2), "float32"), collection="c", timeout_ms=3000)
    assert time.monotonic() - started < REFUSED_WITHIN_S
    assert any(address in str(caught.value) for address in addresses), caught.value
    return str(caught.value)


def test_example_of_the_contract_runs_over_tls(secured: Secured) -> None:
    with VectorStore(nodes=secured.addresses, consistency_level="QUORUM", tls=secured.client) as store:
        metadata = [{"source": "document", "id": str(i)} for i in range(1000)]
        vectors = np.random.default_rng(0).random((1000, 384)).astype("float32")
        result = store.insert(vectors=vectors, metadata=metadata, collection="embeddings", timeout_ms=20_000)
        assert result.status == "success" and len(result.vector_ids) == 1000 and len(result.storage_nodes) >= 2
        found = store.search(
            query_vector=vectors[7], collection="embeddings", top_k=10, distance_metric="cosine", filter={"source": "document"}
        )
        assert found.results[0].id == result.vector_ids[7] and len(found.results) == 10
        assert found.results[0].vector.tobytes() == vectors[7].tobytes()
        for level in ("ONE", "ALL"):
            assert store.count("embeddings", consistency_level=level, timeout_ms=20_000) == 1000


def test_files_are_found_in_the_environment_and_the_users_directory(
    secured: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with monkeypatch.context() as changed:
        for name in ("ca", "cert", "key"):
            changed.setenv(f"DVESP_TLS_{name.upper()}", getattr(secured.client, name))
        with VectorStore(nodes=secured.addresses) as store:
            assert store.status()["node_count"] == 3
        changed.delenv("DVESP_TLS_KEY")
        with pytest.raises(InvalidArgument, match="belong together"):
            VectorStore(nodes=secured.addresses)
    (tmp_path / "dvesp").mkdir()
    for name in ("ca", "cert", "key"):
        (tmp_path / "dvesp" / f"{name}.pem").write_bytes(Path(getattr(secured.client, name)).read_bytes())
    with VectorStore(nodes=secured.addresses) as store:
        assert store.status()["node_count"] == 3


def test_restarted_node_is_taken_in_again(secured: Secured) -> None:
    with VectorStore(nodes=secured.addresses, tls=secured.client) as store:
        store.insert(np.ones((1, 3), "float32"), collection="restart", consistency_level="ALL", timeout_ms=20_000)
    secured.cluster.kill(2)
    with VectorStore(nodes=secured.addresses[:2], tls=secured.client) as store:
        assert store.insert(np.ones((2, 3), "float32"), collection="restart", timeout_ms=20_000).status == "success"
    secured.cluster.start(2)
    with VectorStore(nodes=secured.addresses, tls=secured.client) as store:
        deadline = time.monotonic() + 20
        while True:
            try:
                reached = store.insert(np.ones((1, 3), "float32"), collection="restart", consistency_level="ALL")
                assert reached.status == "success" or time.monotonic() < deadline
                if reached.status == "success":
                    return
            except (Unavailable, TimeoutError):
                assert time.monotonic() < deadline


def test_names_and_addresses_of_the_certificate_are_checked(secured: Secured, tmp_path: Path) -> None:
    with VectorStore(nodes=[f"localhost:{secured.port}"], tls=secured.client) as store:
        assert store.status()["node_count"] == 3
    for hosts, problem in [(["node9.example.org"], "IP address mismatch"), (["127.0.0.2"], "IP address mismatch")]:
        node = issue(secured.ca, f"named-{hosts[0]}", *hosts, role="node")
        with LoneNode(tmp_path / hosts[0], node) as address:
            assert problem in refusal([address], secured.client)
    # A name in the subject alone counts for nothing, and an address written as a name neither.
    node = issue(secured.ca, "localhost", "127.0.0.1", role="node")
    with LoneNode(tmp_path / "cn", node) as address:
        assert "ostname mismatch" in refusal([address.replace("127.0.0.1", "localhost")], secured.client)


class LoneNode:
    """A cluster of one node that nobody can ask with good certificates; its address."""

    def __init__(self, folder: Path, tls: TLS) -> None:
        folder.mkdir(parents=True)
        self._cluster = Cluster(folder, 1, options_of(tls))

    def __enter__(self) -> str:
        self._cluster.start(0)
        return self._cluster.addresses[0]

    def __exit__(self, *_: object) -> None:
        self._cluster.__exit__(None, None, None)


def test_node_with_an_expired_or_foreign_certificate_is_refused(secured: Secured, other_ca: Path, tmp_path: Path) -> None:
    expired = issue(secured.ca, "old-node", "127.0.0.1", role="node", days=-1)
    with LoneNode(tmp_path / "expired", expired) as address:
        assert "certificate has expired" in refusal([address], secured.client)
    with LoneNode(tmp_path / "foreign", issue(other_ca, "node", "127.0.0.1", role="node")) as address:
        assert "the peer's certificate is refused" in refusal([address], secured.client)
    with LoneNode(tmp_path / "client", issue(secured.ca, "posing", "127.0.0.1")) as address:
        assert "unsuitable certificate purpose" in refusal([address], secured.client)


def test_client_with_an_expired_certificate_is_refused(secured: Secured) -> None:
    said = refusal(secured.addresses, issue(secured.ca, "old", days=-1))
    assert "refuses our certificate" in said and "expired" in said
    assert "refuses our certificate" in refusal(secured.addresses, issue(secured.ca, "today", days=0))
    assert serves(secured)


def test_client_of_another_ca_is_refused(secured: Secured, other_ca: Path) -> None:
    stranger = issue(other_ca, "client")
    assert "refuses our certificate" in refusal(secured.addresses, TLS(secured.client.ca, stranger.cert, stranger.key))
    assert "the peer's certificate is refused" in refusal(secured.addresses, stranger)  # the node's is foreign to it
    assert serves(secured)


def test_self_signed_client_is_refused(secured: Secured, other_ca: Path) -> None:
    alone = TLS(secured.client.ca, str(other_ca / "ca.pem"), str(other_ca / "ca.key.pem"))
    assert "refuses our certificate" in refusal(secured.addresses, alone)
    assert serves(secured)


def test_every_refusal_is_heard_each_time(secured: Secured, other_ca: Path) -> None:
    """The alert must not be lost to a reset of the connection, whichever side is faster."""
    stranger = issue(other_ca, "client")
    for _ in range(30):
        refusal(secured.addresses, TLS(secured.client.ca, stranger.cert, stranger.key))


def test_client_without_tls_is_told_to_use_it(secured: Secured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert "speaks TLS" in refusal(secured.addresses, None)
    assert serves(secured)


def test_rpc_without_a_certificate_is_refused(secured: Secured) -> None:
    with connect(secured, None) as connection:
        connection.sendall(UPGRADE)
        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")
    assert serves(secured)


def test_python_takes_the_nodes_certificate_for_its_hosts_alone(secured: Secured) -> None:
    for host in ("127.0.0.1", "localhost"):
        with connect(secured, secured.client, host) as connection:
            assert connection.version() == "TLSv1.3"
            names = dict(part[0] for part in (connection.getpeercert() or {})["subject"])  # type: ignore[arg-type, misc]
            assert names == {"organizationName": "Example Ltd", "organizationalUnitName": "dvesp-node", "commonName": "node0"}
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        connect(secured, secured.client, "node9.example.org")
    connection = http.client.HTTPSConnection(
        "localhost", secured.port, context=context_of(secured.client, secured.ca), timeout=5
    )
    connection.request("GET", "/v1/health")
    assert connection.getresponse().status == 200
    connection.close()


def test_python_client_with_a_refused_certificate_hears_the_alert(secured: Secured, other_ca: Path) -> None:
    with (
        connect(secured, issue(other_ca, "stranger")) as connection,
        pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca|decrypt"),
    ):
        connection.recv(100)


def ends(connection: socket.socket) -> bool:
    """The other side ends the connection, in order or by a reset; TimeoutError when it does not."""
    try:
        while connection.recv(4096):
            pass
    except (ConnectionError, ssl.SSLEOFError):
        pass
    return True


def send_peer_message(secured: Secured, tls: TLS) -> ssl.SSLSocket:
    connection = connect(secured, tls)
    connection.sendall(UPGRADE)
    assert connection.recv(4096).startswith(b"HTTP/1.1 101 ")
    connection.sendall(struct.pack("<IHHQQ", MAGIC, 1, PEER, 0, 8) + bytes(8))
    return connection


def test_message_between_nodes_needs_the_certificate_of_a_node(secured: Secured) -> None:
    before = metric(secured, "dvesp_refused_peers_total")
    with send_peer_message(secured, secured.client) as connection:
        connection.settimeout(REFUSED_WITHIN_S)
        assert ends(connection)
    assert metric(secured, "dvesp_refused_peers_total") == before + 1
    with send_peer_message(secured, secured.node) as connection:
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):  # it is taken: the connection stays, and nothing is answered
            connection.recv(1)
    assert metric(secured, "dvesp_refused_peers_total") == before + 1
    assert serves(secured)


def test_tls_1_2_is_refused(secured: Secured) -> None:
    context = context_of(secured.client, secured.ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", secured.port), timeout=5) as plain,
        pytest.raises(ssl.SSLError, match=r"(?i)version"),
    ):
        context.wrap_socket(plain, server_hostname="127.0.0.1")
    assert serves(secured)


def test_plain_http_is_told_that_the_port_speaks_https(secured: Secured) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", secured.port, timeout=5)
    connection.request("GET", "/v1/health")
    answer = connection.getresponse()
    assert answer.status == 426 and answer.getheader("Upgrade") == "TLS/1.3" and b"HTTPS" in answer.read()
    connection.close()


@pytest.mark.parametrize("bytes_sent", [b"\0" * 64, b"\xff" * 5000, b"\x16\x03\x01\xff\xff" + b"x" * 70_000, b"SSH-2.0-x\r\n"])
def test_garbage_ends_its_own_connection_alone(bytes_sent: bytes, secured: Secured) -> None:
    with socket.create_connection(("127.0.0.1", secured.port), timeout=REFUSED_WITHIN_S) as plain:
        with contextlib.suppress(ConnectionError):  # the node may be faster than we write
            plain.sendall(bytes_sent)
        assert ends(plain)
    assert serves(secured)


def test_silent_connections_stop_nobody(secured: Secured) -> None:
    ports = [int(address.rpartition(":")[2]) for address in secured.addresses]
    silent = [socket.create_connection(("127.0.0.1", port), timeout=5) for port in ports for _ in range(20)]
    assert serves(secured)
    started = time.monotonic()
    assert secured.cluster.stop(1) == 0  # nor a node that shall end
    assert time.monotonic() - started < REFUSED_WITHIN_S
    secured.cluster.start(1)
    for one in silent:
        one.close()


def test_tls_client_of_a_plain_node_hears_so(secured: Secured, tmp_path: Path) -> None:
    with (
        Cluster(tmp_path, 1) as plain,
        VectorStore(nodes=plain.addresses, tls=secured.client) as store,
        pytest.raises(Unavailable, match="does not speak TLS"),
    ):
        store.count("c", timeout_ms=500)


def test_node_with_wrong_files_says_which(secured: Secured, tmp_path: Path) -> None:
    for name, tls in {
        "tls.key": TLS(secured.client.ca, secured.client.cert, secured.node.key),
        "tls.cert": TLS(secured.client.ca, secured.client.key, secured.client.key),
        "tls.ca": TLS(secured.client.key, secured.client.cert, secured.client.key),
    }.items():
        with pytest.raises(InvalidArgument, match=name):
            VectorStore(nodes=secured.addresses, tls=tls)
        folder = tmp_path / name
        folder.mkdir()
        with pytest.raises(AssertionError, match=name):
            Cluster(folder, 1, options_of(tls)).start(0)


def test_logs_hold_no_key(secured: Secured) -> None:
    logs = "".join(secured.cluster.log(number) for number in range(3))
    assert "PRIVATE" not in logs
    for key in secured.ca.glob("*.key.pem"):
        for line in key.read_text().splitlines()[1:-1]:
            assert line[:32] not in logs
    data = [path for path in secured.cluster.directory.rglob("*") if path.is_file() and not path.is_relative_to(secured.ca)]
    assert data and not any(b"PRIVATE KEY" in path.read_bytes() for path in data)

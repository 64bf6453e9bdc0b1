"""Revoked certificates on real nodes: refused at every greeting and on connections that were open before, by all members,
for ever; and what is renewed meanwhile goes on."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvesp import TLS, PermissionDenied, VectorStore, _native
from dvesp.cli import main
from node_cluster import Cluster
from rest_client import Rest
from test_tls import context_of, issue, options_of

SPREADING_S = 30.0


class Organisation:
    """A CA, a cluster of three nodes of it, and a client that stays welcome."""

    def __init__(self, folder: Path, options: list[str] | None = None) -> None:
        self.ca = folder / "ca"
        assert main(["ca", "init", "--dir", str(self.ca), "--organisation", "Example Ltd"]) == 0
        self.client = issue(self.ca, "client")
        self.nodes = [issue(self.ca, f"node{n}", "127.0.0.1", "localhost", role="node") for n in range(3)]
        self.cluster = Cluster(folder, 3, lambda number: options_of(self.nodes[number]) + (options or []), self.client)

    @property
    def addresses(self) -> list[str]:
        return self.cluster.addresses

    def rest(self, number: int, tls: TLS | None = None) -> Rest:
        return Rest(self.addresses[number], context_of(tls or self.client, self.ca))

    def revoke(self, *arguments: str) -> list[str]:
        """The new entries, as POST /v1/revocations takes them."""
        known = {one["entry"] for one in _native.read_revocations(str(self.ca / "revocations"))}
        assert main(["ca", "revoke", *arguments, "--dir", str(self.ca)]) == 0
        return [one["entry"] for one in _native.read_revocations(str(self.ca / "revocations")) if one["entry"] not in known]

    def post(self, number: int, entries: list[str]) -> int:
        reply = self.rest(number).ask("POST", "/v1/revocations", {"entries": entries})
        assert reply.status == 200, reply.body
        added: int = reply.json["added"]
        return added

    def count(self, number: int) -> int:
        return len(self.rest(number).ask("GET", "/v1/revocations").json["revocations"])

    def state(self, asked: int, number: int) -> str:
        members = self.rest(asked).ask("GET", "/v1/cluster/status").json["members"]
        state: str = next(one["state"] for one in members if one["address"] == self.addresses[number])
        return state

    def metric(self, number: int, name: str) -> int:
        text = self.rest(number).ask("GET", "/metrics").body.decode()
        return int(next(line.split()[1] for line in text.splitlines() if line.startswith(name + " ")))


def wait_until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SPREADING_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Organisation]:
    made = Organisation(tmp_path_factory.mktemp("org"))
    with made.cluster:
        yield made


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Organisation]:
    """A cluster that a test may damage."""
    made = Organisation(tmp_path)
    with made.cluster:
        yield made


def serial_of(tls: TLS) -> str:
    serial: str = _native.read_certificate(tls.cert)["serial"]
    return serial


def keep_alive(org: Organisation, number: int, tls: TLS) -> http.client.HTTPSConnection:
    host, port = org.addresses[number].rsplit(":", 1)
    return http.client.HTTPSConnection(host, int(port), timeout=10, context=context_of(tls, org.ca))


def ask(connection: http.client.HTTPSConnection, path: str = "/v1/collections") -> tuple[int, Any]:
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read() or b"{}")


def test_revoked_client_is_refused_on_open_and_new_connections_of_every_node(org: Organisation) -> None:
    mallory = issue(org.ca, "mallory")
    with VectorStore(nodes=org.addresses, tls=mallory) as store:
        store.insert(np.ones((3, 2), "float32"), ids=["a", "b", "c"], collection="c", timeout_ms=20_000)
        assert store.count("c") == 3
        open_ones = [keep_alive(org, number, mallory) for number in range(3)]
        assert [ask(one)[0] for one in open_ones] == [200, 200, 200]
        assert org.post(0, org.revoke("mallory", "--reason", "key_compromise")) == 1
        wait_until(lambda: all(org.count(number) == org.count(0) for number in range(3)), "the set did not spread")
        for connection in open_ones:
            status, body = ask(connection)
            assert (status, body["error"]["code"]) == (403, "permission_denied") and "revoked" in body["error"]["message"]
            with pytest.raises((ssl.SSLError, OSError)):  # and it has ended: the next one begins with a greeting
                ask(connection)
            connection.close()
        with pytest.raises(PermissionDenied, match="revoked"):
            store.insert(np.ones((1, 2), "float32"), ids=["d"], collection="c", timeout_ms=5000)
        with pytest.raises(PermissionDenied, match="revoked"):
            store.count("c", timeout_ms=5000)
    for number in range(3):
        with (
            VectorStore(nodes=[org.addresses[number]], tls=mallory) as store,
            pytest.raises(PermissionDenied, match="certificate revoked"),
        ):
            store.count("c", timeout_ms=5000)
        assert org.metric(number, "dvesp_refused_revoked_total") >= 2
        log = org.cluster.log(number)
        assert f"certificate {serial_of(mallory)} is revoked (key_compromise)" in log
        assert "refused 'mallory'" in log and log.count("refused 'mallory'") == 1
    with VectorStore(nodes=org.addresses, tls=org.client) as store:
        assert store.count("c") == 3


def test_renewed_certificate_works_while_the_old_one_is_revoked(org: Organisation, tmp_path: Path) -> None:
    alice = issue(org.ca, "alice")
    for file in (alice.cert, alice.key):
        (tmp_path / Path(file).name).write_bytes(Path(file).read_bytes())
    old = TLS(alice.ca, str(tmp_path / "alice.crt.pem"), str(tmp_path / "alice.key.pem"))
    with VectorStore(nodes=org.addresses, tls=alice) as store:
        store.list_collections()
        assert main(["ca", "renew", "alice", "--dir", str(org.ca)]) == 0
        assert serial_of(alice) != serial_of(old)
        org.post(1, org.revoke("--serial", serial_of(old), "--reason", "superseded"))
        assert org.rest(1, alice).ask("GET", "/v1/collections").status == 200
        with pytest.raises(ssl.SSLError, match=r"(?i)revoked"):
            org.rest(1, old).ask("GET", "/v1/collections")
    with VectorStore(nodes=[org.addresses[1]], tls=alice) as store:
        store.list_collections()


def test_entries_of_another_ca_and_garbage_are_refused(org: Organisation, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert main(["ca", "init", "--dir", str(other), "--organisation", "Example Ltd"]) == 0
    assert main(["ca", "revoke", "--serial", serial_of(org.client), "--dir", str(other)]) == 0
    foreign = _native.read_revocations(str(other / "revocations"))[0]["entry"]
    good = org.revoke("--serial", "0123456789abcdef")[0]
    tampered = good[:18] + ("0" if good[18] != "0" else "1") + good[19:]
    for entries in ([foreign], [good, foreign], [tampered]):
        reply = org.rest(0).ask("POST", "/v1/revocations", {"entries": entries})
        assert (reply.status, reply.error["code"]) == (403, "permission_denied"), reply.body
    for body in ({}, {"entries": ["zz"]}, {"entries": [good[:-2]]}, {"entries": [good], "more": 1}, b"nonsense"):
        assert org.rest(0).ask("POST", "/v1/revocations", body).status == 400
    known = {one["serial"] for one in org.rest(0).ask("GET", "/v1/revocations").json["revocations"]}
    assert not known & {serial_of(org.client), "0123456789abcdef"}
    assert org.post(0, [good, good]) == 1 and org.post(0, [good]) == 0  # the same again is no error
    stranger = Rest(org.addresses[0], ssl.create_default_context(cafile=str(org.ca / "ca.pem")))
    assert stranger.ask("GET", "/v1/revocations").status == 401


def test_nothing_takes_a_revocation_back(org: Organisation, tmp_path: Path) -> None:
    eve = issue(org.ca, "eve")
    org.post(0, org.revoke("eve"))
    count = org.count(0)
    for method in ("DELETE", "PUT", "PATCH"):
        assert org.rest(0).ask(method, "/v1/revocations").status == 405
    assert org.post(0, []) == 0 and org.count(0) >= count
    with pytest.raises(ssl.SSLError, match=r"(?i)revoked"):
        org.rest(0, eve).ask("GET", "/v1/collections")
    assert main(["ca", "renew", "eve", "--dir", str(org.ca)]) == 1  # nor a renewal


def openssl(*arguments: object) -> str:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def forged(org: Organisation, folder: Path, subject: str, names: str) -> TLS:
    """A certificate that the CA's key signed, but not `dvesp ca`."""
    folder.mkdir()
    key, asked, made, extra = (folder / name for name in ("key.pem", "csr.pem", "crt.pem", "ext"))
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", *curve, "-keyout", key, "-out", asked, "-subj", subject)
    extra.write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n")
    signing = ("-CA", org.ca / "ca.pem", "-CAkey", org.ca / "ca.key.pem", "-set_serial", "0x77", "-days", "2")
    openssl("x509", "-req", "-in", asked, "-out", made, "-extfile", extra, *signing)
    return TLS(str(org.ca / "ca.pem"), str(made), str(key))


def test_name_outside_of_the_constraints_is_refused(org: Organisation, tmp_path: Path) -> None:
    inside = forged(org, tmp_path / "a", "/O=Example Ltd/CN=x", "URI:spiffe://example-ltd.dvesp/device/x/role/client")
    assert org.rest(0, inside).ask("GET", "/v1/collections").status == 200
    outside = forged(org, tmp_path / "b", "/O=Other/CN=x", "URI:spiffe://other.dvesp/device/x/role/client")
    assert "permitted subtree violation" in openssl("verify", "-CAfile", org.ca / "ca.pem", outside.cert)
    with pytest.raises(ssl.SSLError):
        org.rest(0, outside).ask("GET", "/v1/collections")


def test_certificate_whose_uri_and_unit_disagree_is_a_clients(org: Organisation, tmp_path: Path) -> None:
    subject, uri = "/O=Example Ltd/OU=dvesp-node/CN=x", "URI:spiffe://example-ltd.dvesp/device/x/role/"
    roles = {}
    for name, names in {
        "node": uri + "node",
        "client": uri + "client",
        "other": "URI:spiffe://example-ltd.dvesp/device/y/role/node",
        "two": f"{uri}node,{uri}node",
        "none": "DNS:x",
    }.items():
        roles[name] = _native.read_certificate(forged(org, tmp_path / name, subject, names).cert)["role"]
    assert roles == {"node": "node", "client": "client", "other": "client", "two": "client", "none": "node"}


def test_expired_and_foreign_certificates_are_refused_still(org: Organisation, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert main(["ca", "init", "--dir", str(other), "--organisation", "Example Ltd"]) == 0
    foreign = issue(other, "client")
    for tls in (issue(org.ca, "old", days=-1), TLS(org.client.ca, foreign.cert, foreign.key)):
        with VectorStore(nodes=org.addresses, tls=tls) as store, pytest.raises(PermissionDenied, match="refuses our"):
            store.list_collections(timeout_ms=5000)


def test_node_takes_a_renewed_certificate_without_a_restart(fresh: Organisation) -> None:
    pid = fresh.cluster.processes[2].pid
    open_one = keep_alive(fresh, 2, fresh.client)
    assert ask(open_one)[0] == 200
    old = serial_of(fresh.nodes[2])
    assert main(["ca", "renew", "node2", "--dir", str(fresh.ca), "--days", "3"]) == 0

    def shown() -> str:
        host, port = fresh.addresses[2].rsplit(":", 1)
        with (
            socket.create_connection((host, int(port)), timeout=5) as plain,
            context_of(fresh.client, fresh.ca).wrap_socket(plain, server_hostname=host) as peer,
        ):
            return str((peer.getpeercert() or {})["serialNumber"]).lower().lstrip("0")

    wait_until(lambda: shown() == serial_of(fresh.nodes[2]).lstrip("0"), "the new certificate is not shown")
    assert ask(open_one)[0] == 200  # on the connection from before
    open_one.close()
    fresh.post(0, fresh.revoke("--serial", old, "--reason", "superseded"))
    wait_until(lambda: fresh.count(2) == 1, "node 2 did not hear of it")
    time.sleep(2)
    assert [fresh.state(0, number) for number in range(3)] == ["alive"] * 3
    with VectorStore(nodes=fresh.addresses, tls=fresh.client) as store:
        store.insert(np.ones((2, 2), "float32"), collection="c", timeout_ms=20_000, consistency_level="ALL")
    assert fresh.cluster.processes[2].pid == pid and "read again" in fresh.cluster.log(2)


def test_revoked_node_is_cut_off_and_the_others_go_on(fresh: Organisation) -> None:
    with VectorStore(nodes=fresh.addresses, tls=fresh.client) as store:
        store.insert(np.ones((5, 2), "float32"), collection="c", timeout_ms=20_000, consistency_level="ALL")
    fresh.post(0, fresh.revoke("node2"))
    wait_until(lambda: fresh.count(1) == 1, "node 1 did not hear of it")
    for asked in (0, 1):
        wait_until(lambda asked=asked: fresh.state(asked, 2) == "revoked", f"node {asked} does not say revoked")  # type: ignore[misc]
    assert [fresh.state(0, number) for number in range(2)] == ["alive", "alive"]
    with VectorStore(nodes=fresh.addresses[:2], tls=fresh.client) as store:
        result = store.insert(np.ones((5, 2), "float32"), collection="c", timeout_ms=20_000)
        assert result.status == "success" and store.count("c") == 10
    wait_until(lambda: fresh.metric(0, "dvesp_refused_revoked_total") > 0, "nobody was refused")
    fresh.cluster.stop(2)  # also when it comes back
    fresh.cluster.start(2)
    time.sleep(3)
    assert [fresh.state(asked, 2) for asked in (0, 1)] == ["revoked", "revoked"]
    assert any("refused 'node2'" in fresh.cluster.log(number) for number in (0, 1))


def test_node_that_was_away_learns_it_and_a_restart_keeps_it(fresh: Organisation) -> None:
    mallory = issue(fresh.ca, "mallory")
    fresh.cluster.kill(2)
    fresh.post(0, fresh.revoke("mallory"))
    fresh.cluster.start(2)
    wait_until(lambda: fresh.count(2) == 1, "the node that was away did not learn it")
    for number in range(3):
        fresh.cluster.kill(number)
    fresh.cluster.start(2)  # alone: it has nobody to ask
    assert fresh.count(2) == 1
    with pytest.raises(ssl.SSLError, match=r"(?i)revoked"):
        fresh.rest(2, mallory).ask("GET", "/v1/collections")
    fresh.cluster.start(0)
    fresh.cluster.start(1)
    fresh.cluster.wait_until_ready()
    assert [fresh.count(number) for number in range(3)] == [1, 1, 1]


def test_file_of_revocations_is_read_when_it_comes_and_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "ca" / "revocations"
    made = Organisation(tmp_path, ["--tls-revocations", str(file)])
    with made.cluster:
        assert made.count(0) == 0
        for count, name in enumerate(("one", "two"), 1):
            issue(made.ca, name)
            made.revoke(name)
            wait_until(lambda count=count: made.count(1) == count, "the file was not read")  # type: ignore[misc]
        (tmp_path / "keep").write_bytes(file.read_bytes())
        file.write_bytes(b"nonsense")  # nothing is lost by it
        wait_until(lambda: "malformed" in made.cluster.log(1), "nobody complained")
        assert made.count(1) == 2
        file.write_bytes(b"")
        time.sleep(1.5)
        assert made.count(1) == 2


def test_node_with_a_damaged_set_does_not_start(tmp_path: Path) -> None:
    made = Organisation(tmp_path)
    (tmp_path / "n0").mkdir()
    (tmp_path / "n0" / "revocations").write_bytes(b"damaged")
    with pytest.raises(AssertionError, match="revoked peers would be let in"):
        made.cluster.start(0)


def test_tls_revocations_without_certificates_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="--tls-revocations needs"):
        Cluster(tmp_path, 1, ["--insecure", "--tls-revocations", "x"]).start(0)


def test_insecure_nodes_have_no_set(tmp_path: Path) -> None:
    with Cluster(tmp_path, 1) as cluster:
        rest = Rest(cluster.addresses[0])
        assert rest.ask("GET", "/v1/revocations").json == {"revocations": []}
        assert rest.ask("POST", "/v1/revocations", {"entries": []}).error["code"] == "unavailable"

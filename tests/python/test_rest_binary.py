"""Vectors without text: ``application/x-dvesp`` as docs/formats/rpc.md describes it, packed and unpacked here by hand."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from dvesp import VectorStore
from node_cluster import Cluster
from numpy.typing import NDArray
from rest_client import Reply, Rest

BINARY = "application/x-dvesp"
WRITE, SEARCH = 2, 5
HAS_IDS, HAS_METADATA, HAS_VECTORS, INCLUDE_VECTORS = 1 << 3, 1 << 4, 1 << 6, 1 << 7


def blob(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


def blobs(items: list[bytes]) -> bytes:
    return struct.pack("<I", len(items)) + b"".join(map(blob, items))


def request(op: int, vectors: NDArray[np.float32], flags: int, **members: Any) -> bytes:
    """One request with the layout of rpc.md."""
    count, dimension = vectors.shape
    out = struct.pack("<BBBB", op, 2, 0, 0)
    out += struct.pack("<7I", flags, members.get("timeout_ms", 5000), count, dimension, members.get("top_k", 0), 0, 0)
    out += struct.pack("<fQQ", 0, 0, 0) + members.get("batch_id", bytes(16)) + members.get("salt", bytes(32)) + bytes(16)
    out += blob(members.get("collection", b"")) + blob(b"") + blob(members.get("filter", b"")) + blob(b"")
    out += blobs(members.get("ids", [])) + blobs(members.get("metadata", []))
    out += struct.pack("<Q", vectors.size if flags & HAS_VECTORS else 0)
    out += bytes(-len(out) % 64)
    return bytes(out) + (vectors.tobytes() if flags & HAS_VECTORS else b"")


class Unpacked:
    """One reply with the layout of rpc.md."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.code, self.status, self.bits = self.take("<HBB")
        self.nodes_queried, self.queries, self.top_k, self.dimension = self.take("<4I")
        self.time_ms, self.timestamp_ms, self.version, self.count, self.index = self.take("<d4Q")
        (self.root,) = self.take("<32s")
        self.message, self.hint, self.bytes = self.blob(), self.blob(), self.blob()
        self.nodes = self.blobs()
        self.counts = self.numbers("I")
        self.ids = [name.decode() for name in self.blobs()]
        self.versions = self.numbers("Q")
        self.metadata = self.blobs()
        self.distances = self.numbers("f")
        (floats,) = self.take("<Q")
        self.at += -self.at % 64
        self.vectors = np.frombuffer(data[self.at :], "<f4")
        assert self.vectors.size == floats

    def take(self, form: str) -> tuple[Any, ...]:
        self.at += struct.calcsize(form)
        return struct.unpack_from(form, self.data, self.at - struct.calcsize(form))

    def blob(self) -> bytes:
        (size,) = self.take("<I")
        self.at += size
        return self.data[self.at - size : self.at]

    def blobs(self) -> list[bytes]:
        return [self.blob() for _ in range(self.take("<I")[0])]

    def numbers(self, kind: str) -> list[Any]:
        return list(self.take(f"<{self.take('<I')[0]}{kind}"))


@pytest.fixture
def rest(cluster: Cluster) -> Iterator[Rest]:
    yield Rest(cluster.addresses[2])
    with VectorStore(nodes=cluster.addresses) as store:
        if "binary" in store.list_collections():
            store.drop_collection("binary")


def post(rest: Rest, what: str, body: bytes, **headers: str) -> Reply:
    return rest.post("binary", what, body, **{"Content_Type": BINARY, **headers})


ROWS = np.random.default_rng(9).standard_normal((40, 12), np.float32)


def test_vectors_go_in_and_come_out_without_text(rest: Rest, cluster: Cluster) -> None:
    ids = [f"v{number:02}".encode() for number in range(40)]
    flags = HAS_VECTORS | HAS_IDS | HAS_METADATA
    key = {"batch_id": os.urandom(16), "salt": os.urandom(32)}
    body = request(WRITE, ROWS, flags, ids=ids, metadata=[b"\xa1\x61n\x05", b""] * 20, collection=b"binary", **key)
    first = post(rest, "vectors/insert", body)
    assert (first.status, first.headers["content-type"]) == (200, BINARY)
    written = Unpacked(first.body)
    assert written.code == 0 and written.status == 0 and written.ids == [name.decode() for name in ids]
    assert len(written.nodes) >= 2 and written.timestamp_ms > 0
    assert Unpacked(post(rest, "vectors/insert", body).body).root == written.root
    named = post(rest, "vectors/insert", body, Accept="application/json")
    assert named.json["consistency_hash"] == written.root.hex() and named.headers["content-type"] == "application/json"
    with VectorStore(nodes=cluster.addresses) as store:
        records = store.get(["v00", "v01"], "binary")
        assert [record.metadata for record in records if record] == [{"n": 5}, None]
        asked = request(SEARCH, ROWS[:3], HAS_VECTORS | INCLUDE_VECTORS, top_k=4)
        reply = post(rest, "search_batch", asked)
        found = Unpacked(reply.body)
        wanted = store.search_batch(ROWS[:3], collection="binary", top_k=4)
        assert reply.headers["dvesp-consistency-level"] == "QUORUM"
        assert found.counts == [4, 4, 4] and found.ids == [name for row in wanted.ids for name in row]
        assert found.distances == np.asarray(wanted.distances).ravel().tolist()
        order = [int(name[1:]) for name in found.ids]
        assert np.array_equal(found.vectors.reshape(-1, 12), ROWS[order])
    one = rest.post("binary", "search", {"query_vector": ROWS[7].astype(float).tolist(), "top_k": 1}, Accept=BINARY)
    assert Unpacked(one.body).ids == ["v07"]
    assert post(rest, "search", request(SEARCH, ROWS[:1], HAS_VECTORS, top_k=2), Accept="application/json").json["results"]


def test_fresh_ids_are_in_the_reply(rest: Rest, cluster: Cluster) -> None:
    drawn = Unpacked(post(rest, "vectors/insert", request(WRITE, ROWS[:2], HAS_VECTORS)).body).ids
    with VectorStore(nodes=cluster.addresses) as store:
        found = store.get(drawn, "binary")
    assert [np.array_equal(record.vector, row) for record, row in zip(found, ROWS, strict=False) if record] == [True, True]


def test_bytes_that_are_no_request_are_refused(rest: Rest) -> None:
    good = request(WRITE, ROWS, HAS_VECTORS)
    bad = {
        "empty": b"",
        "cut": good[:-4],
        "longer": good + bytes(64),
        "no vectors": request(WRITE, ROWS, 0),
        "another operation": request(SEARCH, ROWS, HAS_VECTORS, top_k=3),
        "update": request(3, ROWS[:1], HAS_VECTORS | HAS_IDS, ids=[b"a"]),
        "another collection": request(WRITE, ROWS, HAS_VECTORS, collection=b"other"),
        "ids": request(WRITE, ROWS, HAS_VECTORS | HAS_IDS, ids=[b"a"]),
        "NaN": request(WRITE, np.full((1, 3), np.nan, "float32"), HAS_VECTORS),
        "metadata": request(WRITE, ROWS[:1], HAS_VECTORS | HAS_METADATA, metadata=[b"\xff"]),
        "no map": request(WRITE, ROWS[:1], HAS_VECTORS | HAS_METADATA, metadata=[b"\x01"]),
        "id": request(WRITE, ROWS[:1], HAS_VECTORS | HAS_IDS, ids=[b"\xff"]),
    }
    for name, body in bad.items():
        reply = post(rest, "vectors/insert", body)
        assert (reply.status, reply.error["code"]) == (400, "invalid_argument"), (name, reply)
        assert reply.headers["content-type"] == "application/json"
    for what in ("vectors/upsert", "vectors/get", "flush"):
        assert post(rest, what, good).status == 400
    many = request(SEARCH, ROWS, HAS_VECTORS, top_k=1000)
    assert post(rest, "search", many).status == 400
    assert "binary" not in rest.ask("GET", "/v1/collections").json["collections"]

"""REST: every route with real data, compared with what the Python client sees; and every kind of bad input."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvesp import VectorStore
from node_cluster import Cluster
from numpy.typing import NDArray
from rest_client import Rest, problems

DIMENSION = 6
METADATA: list[dict[str, Any] | None] = [
    {"n": 0, "real": 1.0, "text": 'ü "\\ \x07 \U0001f600', "deep": {"list": [1, 2.5, None, True, {"a": []}]}},
    {"n": 1, "big": 2**64 - 1, "small": -(2**63), "minus_zero": -0.0, "tiny": 5e-324, "": "empty key"},
    None,
    {},
    {"n": 4, "z": 1, "a": 2},
]


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Iterator[VectorStore]:
    with VectorStore(nodes=cluster.addresses) as store:
        yield store


@pytest.fixture(scope="module")
def rest(cluster: Cluster) -> Rest:
    return Rest(cluster.addresses[1])


@pytest.fixture(scope="module")
def document(rest: Rest) -> Any:
    return rest.ask("GET", "/v1/openapi.json").json


@pytest.fixture
def name(request: pytest.FixtureRequest, client: VectorStore) -> Iterator[str]:
    """A collection's name of the test's own; it is dropped afterwards."""
    name = f"rest/{request.node.name} %ü"
    yield name
    if name in client.list_collections():
        client.drop_collection(name)


@pytest.fixture
def rows() -> NDArray[np.float32]:
    chosen = np.random.default_rng(3)
    scales = np.float32(10.0) ** chosen.integers(-20, 15, (5, DIMENSION)).astype("float32")
    return (chosen.standard_normal((5, DIMENSION)).astype("float32") * scales).astype("float32")


@pytest.fixture
def filled(rest: Rest, name: str, rows: NDArray[np.float32]) -> str:
    """The name of a collection with five records, written over REST."""
    rest.done(
        name,
        "vectors/insert",
        {"vectors": rows.astype(float).tolist(), "metadata": METADATA, "ids": [f"r{number}" for number in range(5)]},
    )
    return name


def test_insert_and_get_keep_every_bit_and_every_value(
    rest: Rest, client: VectorStore, filled: str, rows: NDArray[np.float32], document: Any
) -> None:
    for number, record in enumerate(client.get([f"r{number}" for number in range(5)], filled)):
        assert record is not None
        assert record.vector.view(np.uint32).tolist() == rows[number].view(np.uint32).tolist()
        assert record.version == 1
        assert json.dumps(record.metadata) == json.dumps(METADATA[number])  # types and order of the members, too
    answer = rest.done(filled, "vectors/get", {"ids": ["r3", "absent", "r0", "r1"]})
    assert problems(document, {"$ref": "Records"}, answer) == []
    assert [None if record is None else record["id"] for record in answer["records"]] == ["r3", None, "r0", "r1"]
    for record in filter(None, answer["records"]):
        number = int(record["id"][1:])
        assert np.array(record["vector"], "float32").view(np.uint32).tolist() == rows[number].view(np.uint32).tolist()
        assert json.dumps(record["metadata"]) == json.dumps(METADATA[number])
        assert record["version"] == 1


def test_written_by_python_read_over_rest(rest: Rest, client: VectorStore, name: str, rows: NDArray[np.float32]) -> None:
    client.insert(rows, METADATA, ["a", "b", "c", "d", "é/☃"], name)
    records = rest.done(name, "vectors/get", {"ids": "é/☃"})["records"]
    assert records == [{"id": "é/☃", "vector": records[0]["vector"], "metadata": METADATA[4], "version": 1}]
    assert np.array_equal(np.array(records[0]["vector"], "float32"), rows[4])


def test_insert_draws_ids_and_repeats_are_known(rest: Rest, client: VectorStore, name: str, document: Any) -> None:
    body = {"vectors": [[1, 0, 2], [0, 1, 0.5]]}
    first = rest.done(name, "vectors/insert", body)
    assert problems(document, {"$ref": "InsertResult"}, first) == []
    assert len(set(first["vector_ids"])) == 2 and first["status"] == "success" and len(first["storage_nodes"]) >= 2
    again = {**body, "ids": first["vector_ids"]}
    second = rest.done(name, "vectors/insert", again)
    assert second["consistency_hash"] == first["consistency_hash"]
    assert client.count(collection=name) == 2
    assert client.insert([[1, 0, 2]], ids=first["vector_ids"][:1], collection=name).status == "success"
    refused = rest.post(name, "vectors/insert", {"vectors": [[9, 9, 9]], "ids": first["vector_ids"][:1]})
    assert (refused.status, refused.error["code"], refused.error["outcome"]) == (409, "id_exists", "bad_input")


def test_upsert_takes_records_one_record_and_columns(rest: Rest, client: VectorStore, name: str) -> None:
    record = {"id": "a", "vector": [1, 2], "metadata": {"k": 1}}
    rest.done(name, "vectors/upsert", {"records": [record, {"id": "b", "vector": [0.5, 2]}]})
    rest.done(name, "vectors/upsert", {"records": {**record, "metadata": {"k": 2}}})
    done = rest.done(name, "vectors/upsert", {"vectors": [[3, 4]], "ids": ["c"], "metadata": [{"k": 3}], "timeout_ms": 9000})
    assert done["vector_ids"] == ["c"]
    found = client.get(["a", "b", "c"], name)
    assert [(record.metadata, record.version) for record in found if record] == [({"k": 2}, 2), (None, 1), ({"k": 3}, 1)]


def test_update_and_delete(rest: Rest, client: VectorStore, filled: str, document: Any) -> None:
    changed = rest.done(filled, "vectors/update", {"id": "r0", "metadata": {"n": 7}, "if_version": 1})
    assert problems(document, {"$ref": "UpdateResult"}, changed) == [] and changed["version"] == 2
    stale = rest.post(filled, "vectors/update", {"id": "r0", "vector": [1.0] * DIMENSION, "if_version": 1})
    assert (stale.status, stale.error["code"]) == (409, "version_conflict")
    missing = rest.post(filled, "vectors/update", {"id": "nobody", "metadata": {}})
    assert (missing.status, missing.error["code"]) == (404, "id_not_found")
    record = client.get(["r0"], filled)[0]
    assert record is not None and record.metadata == {"n": 7} and record.version == 2
    gone = rest.done(filled, "vectors/delete", {"ids": ["r0", "r1", "nobody"]})
    assert problems(document, {"$ref": "DeleteResult"}, gone) == [] and gone["deleted"] == 2
    assert rest.done(filled, "vectors/delete", {"filter": {"n": {"$gte": 4}}})["deleted"] == 1
    assert rest.done(filled, "vectors/delete", {"ids": "r2"})["deleted"] == 1
    nothing: list[dict[str, Any]] = [{}, {"filter": {}}, {"ids": None, "filter": None}]
    for body in nothing:
        refused = rest.post(filled, "vectors/delete", body)
        assert refused.status == 400 and "ids and filter" in refused.error["message"]
    assert client.count(collection=filled) == 1


def test_scroll_pages_through_everything_and_keeps_nothing_open(
    rest: Rest, client: VectorStore, name: str, document: Any
) -> None:
    count = 700
    client.insert(np.eye(3, dtype="float32")[np.arange(count) % 3], [{"n": n} for n in range(count)], None, name)
    everything = [record.id for record in client.scroll(collection=name)]
    seen, after, pages = [], None, 0
    while True:  # more pages than a node keeps scrolls open
        page = rest.done(name, "vectors/scroll", {"batch_size": 2, "after": after})
        assert problems(document, {"$ref": "Page"}, page) == []
        seen += [record["id"] for record in page["records"]]
        pages += 1
        after = page["next"]
        if after is None:
            break
    assert seen == everything and pages == count // 2 + 1
    odd = rest.done(name, "vectors/scroll", {"filter": {"n": {"$lt": 5}}, "on_damage": "skip"})
    assert sorted(record["metadata"]["n"] for record in odd["records"]) == list(range(5)) and odd["next"] is None
    assert rest.done(name, "vectors/count") == {"count": count}
    assert rest.done(name, "vectors/count", {"filter": {"n": {"$in": [1, 2.0, "3"]}}}) == {"count": 2}


def test_search_is_what_the_python_client_finds(rest: Rest, client: VectorStore, name: str, document: Any) -> None:
    chosen = np.random.default_rng(5)
    rows = chosen.standard_normal((300, 16), np.float32)
    client.insert(rows, [{"n": n % 7} for n in range(300)], [f"i{n:03}" for n in range(300)], name)
    query = rows[17].astype(float).tolist()
    for extra in (
        {},
        {"top_k": 3, "distance_metric": "l2"},
        {"filter": {"n": 3}, "include_vectors": False, "consistency_level": "ONE"},
        {"params": {"exact": True}, "consistency_level": "ALL", "distance_metric": "dot_product"},
        {"params": {"ef": 50, "recall": 0.9, "nprobe": 4}, "timeout_ms": 7000},
    ):
        answer = rest.done(name, "search", {"query_vector": query, **extra})
        wanted = client.search(query, collection=name, **extra)
        assert problems(document, {"$ref": "SearchResult"}, answer) == []
        assert [match["id"] for match in answer["results"]] == [match.id for match in wanted.results]
        assert [np.float32(match["distance"]) for match in answer["results"]] == [match.distance for match in wanted.results]
        assert [match["metadata"] for match in answer["results"]] == [match.metadata for match in wanted.results]
        for match, same in zip(answer["results"], wanted.results, strict=True):
            assert (match["vector"] is None) == (same.vector is None) == (extra.get("include_vectors") is False)
            assert same.vector is None or np.array_equal(np.array(match["vector"], "float32"), same.vector)
        assert answer["metrics"]["consistency_level_achieved"] == extra.get("consistency_level", "QUORUM")
        assert answer["metrics"]["time_ms"] > 0 and answer["metrics"]["nodes_queried"] == wanted.metrics.nodes_queried
    batch = rest.done(name, "search_batch", {"query_vectors": rows[:4].astype(float).tolist(), "top_k": 5})
    assert problems(document, {"$ref": "BatchSearchResult"}, batch) == []
    wanted_batch = client.search_batch(rows[:4], collection=name, top_k=5)
    assert [[match["id"] for match in hits] for hits in batch["results"]] == wanted_batch.ids
    assert rest.done(name, "search_batch", {"query_vectors": [[1] * 16], "filter": {"n": "none"}})["results"] == [[]]


def test_collections_are_made_described_and_dropped(rest: Rest, client: VectorStore, name: str, document: Any) -> None:
    body: dict[str, Any] = {
        "name": name,
        "dimension": 4,
        "metric": "l2",
        "index": "ivf",
        "index_params": {"nlist": 12, "codes": "auto"},
    }
    made = rest.ask("POST", "/v1/collections", {**body, "replication_factor": 3})
    assert made.status == 200 and problems(document, {"$ref": "Collection"}, made.json) == []
    again = rest.ask("POST", "/v1/collections", body)
    assert (again.status, again.error["code"]) == (409, "collection_exists")
    assert rest.ask("POST", "/v1/collections", {**body, "exist_ok": True}).status == 200
    names = rest.ask("GET", "/v1/collections")
    assert names.json == {"collections": client.list_collections()} and name in names.json["collections"]
    rest.done(name, "vectors/insert", {"vectors": [[1, 2, 3, 4]]})
    path = "/v1/collections/" + "".join(f"%{byte:02X}" for byte in name.encode())
    described = rest.ask("GET", path).json
    assert problems(document, {"$ref": "CollectionInfo"}, described) == []
    seen = dict(client.describe(name))
    same = ("name", "dimension", "metric", "index", "index_params", "count", "segments", "head_rows")
    assert {key: described[key] for key in same} == {key: seen[key] for key in same}
    assert described["replication_factor"] == 3 and described["privacy"] == "plain"
    for what in ("flush", "compact", "verify"):
        report = rest.done(name, what, None if what == "verify" else {"timeout_ms": 60_000})
        assert report == {"ok": True, "problems": []}
    assert rest.ask("GET", path).json["segments"] == 1
    assert rest.ask("DELETE", path).json == {"status": "success"}
    for method in ("GET", "DELETE"):
        absent = rest.ask(method, path)
        assert (absent.status, absent.error["code"]) == (404, "collection_not_found")
    for what in ("search", "vectors/count", "vectors/get", "flush", "vectors/delete", "vectors/update"):
        needed: dict[str, Any] = {"search": {"query_vector": [1]}, "vectors/update": {"id": "a", "metadata": {}}}
        absent = rest.post(name, what, {"ids": ["a"]} if what in ("vectors/get", "vectors/delete") else needed.get(what))
        assert (absent.status, absent.error["code"]) == (404, "collection_not_found"), what


def test_reports(rest: Rest, client: VectorStore, filled: str, document: Any) -> None:
    status = rest.ask("GET", "/v1/cluster/status").json
    assert problems(document, {"$ref": "ClusterStatus"}, status) == []
    assert set(status) == set(client.status()) and status["cluster_id"] == client.status()["cluster_id"]
    detail = rest.ask("GET", "/v1/status").json
    assert problems(document, {"$ref": "NodeStatus"}, detail) == []
    assert set(detail) == set(status) | {"queues", "lag", "restoring"}
    health = rest.ask("GET", "/v1/health")
    assert health.status == 200 and health.json == {"status": "ok"}
    metrics = rest.ask("GET", "/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b"# TYPE dvesp_requests_total counter\n" in metrics.body


def test_snapshot_over_rest_is_a_store(rest: Rest, document: Any, cluster: Cluster, client: VectorStore, name: str) -> None:
    client.insert(np.eye(4, dtype=np.float32), [{"n": row} for row in range(4)], list("abcd"), collection=name)
    client.update("b", metadata={"n": 9}, collection=name)
    made = rest.ask("POST", "/v1/snapshots", {"name": "nightly-1"})
    assert made.status == 200 and made.json["name"] == "nightly-1" and made.json["records"] >= 4, made
    assert not problems(document, document["components"]["schemas"]["Snapshot"], made.json)
    assert rest.ask("GET", "/v1/snapshots").json == {"snapshots": ["nightly-1"]}
    with VectorStore.restore(cluster.directory / "snapshots" / "nightly-1") as copy:
        assert copy.count(name) == 4 and copy.verify(name).ok
        record = copy.get("b", collection=name)[0]
        assert record is not None and (record.version, record.metadata) == (2, {"n": 9})
    for wrong in ("nightly-1", "../up", "a/b", ".hidden", "", "x" * 65, "a b", 3):
        reply = rest.ask("POST", "/v1/snapshots", {"name": wrong})
        assert (reply.status, reply.error["code"]) == (400, "invalid_argument"), wrong
    assert rest.ask("GET", "/v1/snapshots").json == {"snapshots": ["nightly-1"]}


def test_openapi_lists_exactly_the_routes_that_answer(rest: Rest, document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    methods = ("GET", "POST", "PUT", "DELETE", "PATCH")
    listed = {(method, path) for path, item in document["paths"].items() for method in methods if method.lower() in item}
    assert len(listed) == 25
    for path in document["paths"]:
        allowed = {method for method in methods if (method, path) in listed}
        for method in methods:
            reply = rest.ask(method, path.replace("{name}", "no-such-collection"), b"{}" if method != "GET" else None)
            if method in allowed:
                assert reply.status not in (401, 405) and "no such route" not in reply.body.decode(), (method, path, reply)
                stated = document["paths"][path][method.lower()]["responses"]
                assert str(reply.status) in stated, (method, path, reply)
            else:
                assert reply.status == 405 and set(reply.headers["allow"].split(", ")) == allowed
                assert reply.error["code"] == "invalid_argument"
    nowhere = (
        "/ /v1 /v1/ /v1/nothing /v1/collections/ /v1/collections//search /v1/collections/a/b /v1/collections/a/search/x /rpc"
    )
    for path in nowhere.split():
        for method in ("GET", "POST"):
            reply = rest.ask(method, path)
            assert (reply.status, reply.error["code"]) == (404, "invalid_argument"), path
    references = set()

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            references.update([value["$ref"]] if "$ref" in value else [])
            for member in value.values():
                collect(member)
        elif isinstance(value, list):
            for member in value:
                collect(member)

    collect(document)
    assert references == {f"#/components/schemas/{schema}" for schema in document["components"]["schemas"]}


VECTOR = [1.0] * DIMENSION
INSERT, SEARCH, CREATE = "vectors/insert", "search", ""
BAD: list[tuple[str, Any, str]] = [
    (INSERT, b"", "vectors"),
    (INSERT, b"{", "not JSON"),
    (INSERT, b'{"vectors": [[NaN]]}', "not JSON"),
    (INSERT, b'{"vectors": [[Infinity]]}', "not JSON"),
    (INSERT, b'{"vectors": [[1e999]]}', "not JSON"),
    (INSERT, b'{"vectors": [[1]]} x', "not JSON"),
    (INSERT, b'{"vectors": [[1]], "ids": ["\xff"]}', "not JSON"),
    (INSERT, b'{"vectors": [[1]], "ids": ["\\ud800"]}', "not JSON"),
    (INSERT, b"[1, 2]", "must be a JSON object"),
    (INSERT, b"7", "must be a JSON object"),
    (INSERT, b'{"vectors": [[1]], "vectors": [[2]]}', "'vectors' is given twice"),
    (INSERT, b'{"vectors": [[1]], "metadata": [{"a": 1, "b": 2, "a": 3}]}', "'a' is given twice"),
    (INSERT, b'{"vectors": [[1]], "metadata": [{"a": 18446744073709551616}]}', "64 bits"),
    (INSERT, b'{"vectors": [[1]], "metadata": [{"a": ' + b"[" * 40 + b"]" * 40 + b"}]}", "32 levels"),
    (INSERT, b'{"vectors": [[1]], "metadata": ' + b"[" * 100_000, "64 levels"),
    (INSERT, b'{"vectors": ' + b"[" * 100_000, "vectors"),
    (INSERT, {"vectors": []}, "vectors"),
    (INSERT, {"vectors": [[]]}, "row 0"),
    (INSERT, {"vectors": VECTOR}, "vectors"),
    (INSERT, {"vectors": 5}, "vectors"),
    (INSERT, {"vectors": {}}, "vectors"),
    (INSERT, {"vectors": [[1, None]]}, "row 0"),
    (INSERT, {"vectors": [[1, 2], [1, "2"]]}, "row 1"),
    (INSERT, {"vectors": [[1, 2], [True, 2]]}, "row 1"),
    (INSERT, {"vectors": [[1, 2], [1]]}, "row 1 has 1 numbers"),
    (INSERT, {"vectors": [[1, 1e39]]}, "row 0, element 1"),
    (INSERT, {"vectors": [[1.0] * 4097]}, "4096"),
    (INSERT, {"vectors": [[0.0] * DIMENSION]}, "zero"),
    (INSERT, {"vectors": [VECTOR], "ids": []}, "ids"),
    (INSERT, {"vectors": [VECTOR], "ids": [""]}, "ids"),
    (INSERT, {"vectors": [VECTOR], "ids": [5]}, "ids: row 0"),
    (INSERT, {"vectors": [VECTOR], "ids": {"a": 1}}, "ids"),
    (INSERT, {"vectors": [VECTOR], "ids": ["x" * 513]}, "ids"),
    (INSERT, {"vectors": [VECTOR] * 2, "ids": ["a", "a"]}, "repeated"),
    (INSERT, {"vectors": [VECTOR], "metadata": {}}, "metadata"),
    (INSERT, {"vectors": [VECTOR], "metadata": [1]}, "metadata: row 0"),
    (INSERT, {"vectors": [VECTOR], "metadata": [{}, {}]}, "metadata"),
    (INSERT, {"vectors": [VECTOR], "colour": 1}, "'colour' is unknown"),
    (INSERT, {"vectors": [VECTOR], "timeout_ms": 0}, "timeout_ms"),
    (INSERT, {"vectors": [VECTOR], "timeout_ms": 1.5}, "timeout_ms"),
    (INSERT, {"vectors": [VECTOR], "timeout_ms": "1"}, "timeout_ms"),
    (INSERT, {"vectors": [VECTOR], "timeout_ms": True}, "timeout_ms"),
    (INSERT, {"vectors": [VECTOR], "consistency_level": "SOME"}, "consistency_level"),
    (INSERT, {"vectors": [VECTOR], "consistency_level": 1}, "consistency_level"),
    ("vectors/upsert", {"vectors": [VECTOR]}, "ids"),
    ("vectors/upsert", {"records": []}, "vectors"),
    ("vectors/upsert", {"records": [5]}, "records: row 0"),
    ("vectors/upsert", {"records": [{"id": "a"}]}, "vector"),
    ("vectors/upsert", {"records": [{"vector": VECTOR}]}, "id"),
    ("vectors/upsert", {"records": [{"id": "a", "vector": VECTOR, "x": 1}]}, "x' is unknown"),
    ("vectors/upsert", {"records": [{"id": "a", "vector": VECTOR}], "vectors": [VECTOR]}, "'vectors' is unknown"),
    ("vectors/update", {"id": "r0"}, "vector and metadata"),
    ("vectors/update", {"metadata": {}}, "id: is missing"),
    ("vectors/update", {"id": "r0", "metadata": {}, "if_version": 0}, "if_version"),
    ("vectors/update", {"id": "r0", "metadata": []}, "metadata"),
    ("vectors/delete", {"filter": []}, "filter"),
    ("vectors/delete", {"filter": {"a": {"$near": 1}}}, "$near"),
    ("vectors/get", {}, "ids"),
    ("vectors/scroll", {"batch_size": 0}, "batch_size"),
    ("vectors/scroll", {"batch_size": 100_001}, "batch_size"),
    ("vectors/scroll", {"after": 5}, "after"),
    ("vectors/scroll", {"on_damage": "hide"}, "on_damage"),
    ("vectors/count", {"filter": {"$or": 5}}, "$or"),
    (SEARCH, {}, "query_vector"),
    (SEARCH, {"query_vector": [VECTOR]}, "query_vector"),
    (SEARCH, {"query_vector": VECTOR, "top_k": 0}, "top_k"),
    (SEARCH, {"query_vector": VECTOR, "top_k": 1001}, "top_k"),
    (SEARCH, {"query_vector": VECTOR, "distance_metric": "far"}, "distance_metric"),
    (SEARCH, {"query_vector": VECTOR, "include_vectors": 1}, "include_vectors"),
    (SEARCH, {"query_vector": VECTOR, "params": {"ef": 0}}, "params.ef"),
    (SEARCH, {"query_vector": VECTOR, "params": {"recall": 0}}, "params.recall"),
    (SEARCH, {"query_vector": VECTOR, "params": {"speed": 1}}, "'params.speed' is unknown"),
    (SEARCH, {"query_vectors": [VECTOR]}, "query_vectors"),
    ("search_batch", {"query_vectors": [VECTOR] * 1001, "top_k": 1000}, "1,000,000"),
    ("flush", {"now": True}, "'now' is unknown"),
    (CREATE, {"dimension": 3}, "name: is missing"),
    (CREATE, {"name": "x"}, "dimension"),
    (CREATE, {"name": "", "dimension": 3}, "name"),
    (CREATE, {"name": "x" * 256, "dimension": 3}, "255"),
    (CREATE, {"name": "x", "dimension": 0}, "dimension"),
    (CREATE, {"name": "x", "dimension": 3, "metric": "far"}, "metric"),
    (CREATE, {"name": "x", "dimension": 3, "index": "tree"}, "index"),
    (CREATE, {"name": "x", "dimension": 3, "index_params": {"M": 1}}, "index_params.M"),
    (CREATE, {"name": "x", "dimension": 3, "index_params": {"nlist": 4}}, "index_params.nlist"),
    (CREATE, {"name": "x", "dimension": 3, "index": "ivf", "index_params": {"nlist": "few"}}, "index_params.nlist"),
    (CREATE, {"name": "x", "dimension": 3, "replication_factor": 9}, "replication_factor"),
    (CREATE, {"name": "x", "dimension": 3, "sealed": True}, "'sealed' is unknown"),
]


def test_bad_input_is_refused_by_name_and_changes_nothing(rest: Rest, client: VectorStore, filled: str) -> None:
    before = client.list_collections()
    for what, body, words in BAD:
        reply = rest.ask("POST", "/v1/collections", body) if what == CREATE else rest.post(filled, what, body)
        shown = (what, str(body)[:80], reply.body[:300])
        assert reply.status == 400 and reply.error["code"] == "invalid_argument", shown
        assert words in reply.error["message"] and reply.error["outcome"] == "bad_input", shown
    wrong = rest.post(filled, SEARCH, {"query_vector": [1, 2]})
    assert (wrong.status, wrong.error["code"]) == (400, "dimension_mismatch")
    for path in (
        "/v1/collections/%zz",
        "/v1/collections/%f",
        "/v1/collections/%ff",
        "/v1/collections?x=1",
        "/v1/" + "a" * 5000,
    ):
        assert rest.ask("GET", path).status == 400, path
    assert client.list_collections() == before and client.count(collection=filled) == 5


def test_a_refused_first_batch_creates_no_collection(rest: Rest, client: VectorStore, name: str) -> None:
    assert rest.post(name, INSERT, {"vectors": [[0, 0]]}).status == 400
    assert name not in client.list_collections()


def test_requests_belong_to_a_trace(rest: Rest) -> None:
    trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    given = rest.ask("GET", "/v1/health", None, {"traceparent": f"00-{trace}-{span}-01"}).headers["traceparent"].split("-")
    assert given[:2] == ["00", trace] and given[2] != span and given[3] == "01"
    for wrong in ("", "00-" + "0" * 32 + f"-{span}-01", f"ff-{trace}-{span}-01", f"00-{trace.upper()}-{span}-01", "x" * 500):
        drawn = rest.ask("GET", "/v1/health", None, {"traceparent": wrong}).headers["traceparent"].split("-")
        assert len(drawn[1]) == 32 and drawn[1] not in (trace, "0" * 32)


def test_web_pages_are_refused(rest: Rest) -> None:
    refused = rest.ask("GET", "/v1/collections", None, {"Origin": "https://example.org"})
    assert (refused.status, refused.error["code"]) == (403, "permission_denied")


def leaders(nodes: list[Rest], group: int) -> list[bool]:
    line = f'dvesp_group_leads{{group="{group}"}} 1\n'
    return [line in node.ask("GET", "/metrics").body.decode() for node in nodes]


def test_a_write_that_nobody_answers_says_which_ids_to_look_for(tmp_path: Path, wait_until: Callable[..., None]) -> None:
    with Cluster(tmp_path, 3) as cluster:
        nodes = [Rest(address) for address in cluster.addresses]
        nodes[0].done("c", INSERT, {"vectors": [[1, 2]], "ids": ["first"]})
        wait_until(lambda: sum(leaders(nodes, 1)) == 1)
        asked = leaders(nodes, 1).index(False)
        nodes[asked].done("c", INSERT, {"vectors": [[2, 2]], "ids": ["its own"]})  # it has a connection to the leader now
        frozen = [process for number, process in cluster.processes.items() if number != asked]
        for process in frozen:
            process.send_signal(signal.SIGSTOP)
        try:
            started = time.monotonic()
            reply = nodes[asked].post("c", INSERT, {"vectors": [[3, 4]], "ids": ["second"], "timeout_ms": 1500})
            assert (reply.status, reply.error["code"], reply.error["outcome"]) == (504, "timeout", "maybe_done")
            assert reply.error["vector_ids"] == ["second"]
            assert 1 < time.monotonic() - started < 10
            wait_until(lambda: nodes[asked].ask("GET", "/v1/health").status == 503)
            failed = nodes[asked].post("c", "vectors/count", {"timeout_ms": 500})
            assert failed.status in (503, 504) and failed.error["code"] in ("unavailable", "timeout")
        finally:
            for process in frozen:
                process.send_signal(signal.SIGCONT)
        nodes[asked].done("c", INSERT, {"vectors": [[3, 4]], "ids": ["second"], "timeout_ms": 15_000})
        assert nodes[asked].done("c", "vectors/count", {"timeout_ms": 15_000}) == {"count": 3}


def test_a_node_that_is_told_to_stop_does_not_wait_for_rest(tmp_path: Path) -> None:
    with Cluster(tmp_path, 3) as cluster:
        node = Rest(cluster.addresses[0])
        node.done("c", INSERT, {"vectors": [[1, 2]]})
        for number in (1, 2):
            cluster.processes[number].send_signal(signal.SIGSTOP)
        with ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(node.post, "c", what, {"timeout_ms": 600_000}) for what in ("vectors/count", "flush")]
            time.sleep(1)
            started = time.monotonic()
            assert cluster.stop(0) == 0
            assert time.monotonic() - started < 10
            for asked in waiting:
                assert isinstance(asked.exception(30), (ConnectionError, HTTPException)) or asked.result().status >= 500

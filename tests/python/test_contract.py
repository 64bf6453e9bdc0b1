"""The public contract: every method with the names and defaults it promises, and the example every deployment must run."""

from __future__ import annotations

import copy
import inspect
import pickle
import uuid
from pathlib import Path
from typing import Any

import dvesp
import numpy as np
import pytest
from dvesp import AsyncVectorStore, VectorStore

REQUIRED = inspect.Parameter.empty
CALL = {"consistency_level": None, "timeout_ms": 5000}
RECORDS = {"collection": "default", **CALL}
SEARCH = {
    "top_k": 10,
    "distance_metric": None,
    "filter": None,
    "include_vectors": True,
    "params": None,
    **RECORDS,
}
METHODS: dict[str, dict[str, Any]] = {
    "create_collection": {
        "name": REQUIRED,
        "dimension": REQUIRED,
        "metric": "cosine",
        "index": "hnsw",
        "index_params": None,
        "privacy": "plain",
        "fragments": "auto",
        "replication_factor": None,
        "exist_ok": False,
        **CALL,
    },
    "insert": {"vectors": REQUIRED, "metadata": None, "ids": None, **RECORDS},
    "upsert": {"metadata": None, "ids": None, "vectors": None, **RECORDS},
    "search": {"query_vector": REQUIRED, **SEARCH},
    "query": {"query_vector": REQUIRED, **SEARCH},
    "search_batch": {"query_vectors": REQUIRED, **SEARCH},
    "update": {"id": REQUIRED, "vector": None, "metadata": None, "if_version": None, **RECORDS},
    "delete": {"ids": None, "filter": None, **RECORDS},
    "get": {"ids": REQUIRED, **RECORDS},
    "scroll": {"filter": None, "batch_size": 1000, "after": None, "on_damage": "raise", **RECORDS},
    "count": {"filter": None, **RECORDS},
    "list_collections": {},
    "collection": {"name": REQUIRED},
    "drop_collection": {"name": REQUIRED},
    "describe": {"name": "default"},
    "flush": {"collection": None},
    "compact": {"collection": None},
    "snapshot": {"path": REQUIRED},
    "restore": {"source": None, "path": None, "from_": None, "keyring": None, "wait": True},
    "verify": {"collection": "default"},
    "status": {"detail": False},
    "close": {},
}
CONSTRUCTOR = {
    "path": None,
    "nodes": None,
    "consistency_level": "QUORUM",
    "tls": None,
    "api_key": None,
    "keyring": None,
    "devices": None,
    "archive": None,
    "chain": None,
    "progress": None,
}
ERRORS = {
    "InvalidArgument": ValueError,
    "DimensionMismatch": dvesp.InvalidArgument,
    "CollectionNotFound": KeyError,
    "CollectionExists": dvesp.Error,
    "IdExists": dvesp.Error,
    "IdNotFound": KeyError,
    "VersionConflict": dvesp.Error,
    "Timeout": TimeoutError,
    "Unavailable": ConnectionError,
    "Corruption": dvesp.Error,
    "StoreLocked": dvesp.Error,
    "StorageFull": OSError,
    "PermissionDenied": PermissionError,
    "Sealed": dvesp.Error,
    "IntegrityError": dvesp.Error,
}


def assert_takes(function: Any, wanted: dict[str, Any]) -> None:
    parameters = inspect.signature(function).parameters
    assert {name: parameters[name].default for name in wanted} == wanted


@pytest.mark.parametrize("method", METHODS)
def test_method_signature_is_the_contract(method: str) -> None:
    assert_takes(getattr(VectorStore, method), METHODS[method])
    assert (inspect.getdoc(getattr(VectorStore, method)) or "").count(" ") > 3, "a method without a docstring"


@pytest.mark.parametrize("method", METHODS)
def test_async_method_signature_is_the_same(method: str) -> None:
    assert_takes(getattr(AsyncVectorStore, method), METHODS[method])


@pytest.mark.parametrize("cls", [VectorStore, AsyncVectorStore])
def test_constructor_signature_is_the_contract(cls: type) -> None:
    assert_takes(cls, CONSTRUCTOR)
    kinds = {name: p.kind for name, p in inspect.signature(cls).parameters.items()}
    assert kinds["path"] is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert {kind for name, kind in kinds.items() if name != "path"} == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("name", ERRORS)
def test_error_class_has_its_bases(name: str) -> None:
    cls = getattr(dvesp, name)
    assert issubclass(cls, dvesp.Error) and issubclass(cls, ERRORS[name])
    assert str(cls("no 'quotes' added")) == "no 'quotes' added"
    assert str(pickle.loads(pickle.dumps(cls("kept")))) == "kept"


def test_timeout_carries_vector_ids_through_pickling() -> None:
    error = dvesp.Timeout("late", vector_ids=["a", "b"])
    assert pickle.loads(pickle.dumps(error)).vector_ids == ["a", "b"]
    assert dvesp.Timeout("late").vector_ids == []


def test_exported_names_all_exist() -> None:
    assert all(hasattr(dvesp, name) for name in dvesp.__all__)
    assert (Path(dvesp.__file__).parent / "py.typed").exists()


def test_example_of_the_contract_runs_unchanged() -> None:
    store = VectorStore()
    # fmt: off
    result = store.insert(vectors=np.random.rand(1000, 384).astype('float32'),
                          metadata=[{"source": "document", "id": str(i)} for i in range(1000)],
                          collection="embeddings", timeout_ms=5000)
    search_result = store.search(query_vector=np.random.rand(384).astype('float32'), collection="embeddings",
                                 top_k=10, distance_metric="cosine", filter={"source": "document"})
    # fmt: on
    assert f"Search completed in {search_result.metrics.time_ms}ms".endswith("ms")
    assert result.status == "success" and len(result.vector_ids) == 1000
    assert [uuid.UUID(id).version for id in result.vector_ids] == [4] * 1000
    assert result.storage_nodes == ["local"] and len(bytes.fromhex(result.consistency_hash)) == 32
    assert result.timestamp_ms > 1_600_000_000_000
    assert len(search_result.results) == 10
    assert search_result.metrics.nodes_queried == 1 and search_result.metrics.time_ms > 0
    assert search_result.metrics.consistency_level_achieved == "QUORUM"
    assert store.describe("embeddings").to_dict().items() >= {"dimension": 384, "metric": "cosine"}.items()


@pytest.mark.parametrize("level", ["ONE", "QUORUM", "ALL"])
def test_consistency_level_asked_is_the_level_achieved(level: str) -> None:
    with VectorStore(consistency_level=level) as store:
        store.insert([[1.0, 2.0]])
        assert store.search([1.0, 2.0]).metrics.consistency_level_achieved == level
        other = "ALL" if level == "ONE" else "ONE"
        assert store.search([1, 2], consistency_level=other).metrics.consistency_level_achieved == other
        assert store.search_batch([[1, 2]], consistency_level=other).metrics.consistency_level_achieved == other


def test_collection_name_comes_first_where_the_contract_says_so(store: VectorStore) -> None:
    store.insert([[1.0], [2.0]], [{"a": 1}, {"a": 2}], ["x", "y"], collection="docs")
    assert store.count("docs") == store.count(collection="docs") == 2
    assert store.count("docs", filter={"a": 1}) == store.count("docs", {"a": 1}) == 1
    assert store.count(filter={"a": 1}, collection="docs") == 1
    assert sorted(record.id for record in store.scroll("docs")) == ["x", "y"]
    assert [record.id for record in store.scroll("docs", filter={"a": 2})] == ["y"]
    assert store.verify("docs").ok and store.describe("docs").count == 2


def test_collection_handle_does_what_the_store_does(store: VectorStore) -> None:
    docs = store.create_collection("docs", 2, metric="l2")
    assert docs.name == "docs" and docs == store.collection("docs") and docs.dimension == 2 and docs.metric == "l2"
    docs.insert([[0, 0], [3, 4]], [{"n": 0}, {"n": 1}], ["a", "b"])
    assert [match.distance for match in docs.search([0, 0])] == [0, 5]
    assert [match.id for match in docs.query([3, 4], 1)] == ["b"]
    assert docs.search_batch([[0, 0]], top_k=1).ids == [["a"]]
    assert docs.update("a", metadata={"n": 7}).version == 2
    assert docs.upsert({"id": "c", "vector": [1, 1]}).vector_ids == ["c"]
    assert docs.delete("c").deleted == 1
    assert docs.count({"n": 7}) == 1 and len(docs) == 2 and docs
    records = docs.get(["a", "nobody"])
    assert records[0] is not None and records[0].version == 2 and records[1] is None
    assert sorted(record.id for record in docs) == ["a", "b"]
    docs.flush()
    docs.compact()
    assert docs.verify().ok and docs.describe().count == 2


def test_describe_reads_as_attribute_item_and_dict(store: VectorStore) -> None:
    store.create_collection("docs", 3, metric="dot_product", index="flat")
    info = store.describe("docs")
    assert info["dimension"] == info.dimension == dict(info)["dimension"] == 3
    assert (info.name, info.metric, info.index, info.count) == ("docs", "dot_product", "flat", 0)
    assert info.privacy == ("sealed" if store._is_sealed else "plain")
    with pytest.raises(KeyError):
        info["colour"]


def test_store_refuses_to_be_copied_or_pickled(store: VectorStore) -> None:
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="VectorStore"):
            attempt(store)


def test_status_has_exactly_the_members_of_the_report(store: VectorStore) -> None:
    status = store.status()
    assert set(status) == {"cluster_id", "topology", "node_count", "members", "ipfs", "privacy"}
    nodes = {"embedded": 1, "cluster": 3}[status["topology"]]
    assert status["node_count"] == len(status["members"]) == nodes
    member = status["members"][0]
    assert member["state"] == "alive" and set(member) <= {
        *("node_id", "transport", "address", "peer_id", "state", "role", "entities", "shards"),
        *("last_sync", "sync_policy", "trust"),
    }
    assert set(status["ipfs"]) == {"archived_segments", "total_cids", "pinned_nodes", "last_archive"}
    assert set(status["privacy"]) == {"differential_privacy_enabled", "shared_segments_noised"}
    assert set(store.status(detail=True)) - {"archive", "chain", "rebalancing"} == set(status) | {"queues", "lag", "restoring"}


def test_results_show_themselves_and_escape_html(store: VectorStore) -> None:
    store.insert([[1.0, 0.0], [0.0, 1.0]], [{"t": "<script>alert(1)</script>"}, None], ["<b>", "plain"])
    shown = [
        store.insert([[1.0, 1.0]], ids=["<i>"]),
        store.search([1.0, 0.0]),
        store.search_batch([[1.0, 0.0]], top_k=3),
        store.get(["<b>"])[0],
        store.update("plain", metadata={"a": 1}),
        store.delete("plain"),
        store.verify(),
        store.describe(),
        store.collection("default"),
        store,
    ]
    for value in shown:
        text = value._repr_html_()
        assert text.startswith("<table>") and "<script>" not in text and "<b>" not in text and "<i>" not in text
        assert type(value).__name__ in repr(value) and " at 0x" not in repr(value)


def test_results_become_tables(store: VectorStore) -> None:
    store.insert([[1.0, 0.0], [0.0, 1.0]], [{"n": 1}, {"n": "one"}], ["a", "b"])
    result = store.search([1.0, 0.0])
    frame = result.to_pandas()
    assert list(frame["id"]) == ["a", "b"] and frame["vector"][0].tolist() == [1.0, 0.0]
    table = result.to_arrow()
    assert table["id"].to_pylist() == ["a", "b"] and table["vector"].to_pylist() == [[1.0, 0.0], [0.0, 1.0]]
    batch = store.search_batch([[1.0, 0.0], [0.0, 1.0]], top_k=3).to_pandas()
    assert list(batch["query"]) == [0, 0, 1, 1] and list(batch["id"]) == ["a", "b", "b", "a"]
    assert sorted(store.collection("default").to_pandas()["id"]) == ["a", "b"]
    assert store.collection("default").to_arrow().num_rows == 2


def test_missing_package_is_named(store: VectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    store.insert([[1.0]])
    with pytest.raises(ImportError, match="pip install pandas"):
        store.search([1.0]).to_pandas()


def test_results_survive_pickling(store: VectorStore) -> None:
    store.insert([[1.0, 2.0]], [{"n": 1}], ["a"])
    for value in (store.search([1.0, 2.0]), store.get("a")[0], store.verify(), store.describe()):
        assert pickle.loads(pickle.dumps(value)) == value
    batch = pickle.loads(pickle.dumps(store.search_batch([[1.0, 2.0]], top_k=2)))
    assert batch.ids == [["a", None]] and batch.metadata == [[{"n": 1}, None]]

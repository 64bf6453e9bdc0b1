"""Every refusal: the class, its built-in base, a message that names the field, and nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvesp import (
    CollectionExists,
    CollectionNotFound,
    DimensionMismatch,
    Error,
    IdExists,
    IdNotFound,
    InvalidArgument,
    Unavailable,
    VectorStore,
    VersionConflict,
)

NAN, INF = float("nan"), float("inf")
V = [[1.0, 2.0], [3.0, 4.0]]
Call = Callable[[VectorStore], Any]

DEEP: dict[str, Any] = {}
for _ in range(10_000):
    DEEP = {"d": DEEP}

# what is wrong -> (call on a store that holds "a" and "b" in "docs" (cosine, 2-d), class, words of the message)
REFUSALS: dict[str, tuple[Call, type[Error], str]] = {
    "vectors nan": (lambda s: s.insert([[1.0, NAN]], collection="docs"), InvalidArgument, "vectors"),
    "vectors inf": (lambda s: s.insert([[1.0, 2.0], [INF, 1.0]], collection="docs"), InvalidArgument, "1"),
    "vectors f64 overflow": (lambda s: s.insert([[1e300, 1.0]], collection="docs"), InvalidArgument, "float32"),
    "vectors ragged": (lambda s: s.insert([[1.0, 2.0], [1.0]], collection="docs"), InvalidArgument, "row 1"),
    "vectors one-d": (lambda s: s.insert([1.0, 2.0], collection="docs"), InvalidArgument, "vectors"),
    "vectors three-d": (lambda s: s.insert([[[1.0, 2.0]]], collection="docs"), InvalidArgument, "vectors"),
    "vectors scalar": (lambda s: s.insert(3.0, collection="docs"), InvalidArgument, "vectors"),
    "vectors none": (lambda s: s.insert(None, collection="docs"), InvalidArgument, "vectors"),
    "vectors empty": (lambda s: s.insert([], collection="docs"), InvalidArgument, "vectors"),
    "vectors no rows": (lambda s: s.insert(np.empty((0, 2), "f4"), collection="docs"), InvalidArgument, "vectors"),
    "vectors no columns": (lambda s: s.insert(np.empty((2, 0), "f4"), collection="docs"), InvalidArgument, "vectors"),
    "vectors strings": (lambda s: s.insert([["a", "b"]], collection="docs"), InvalidArgument, "vectors"),
    "vectors one string": (lambda s: s.insert("abc", collection="docs"), InvalidArgument, "vectors"),
    "vectors digits as text": (lambda s: s.insert([["1", "2"]], collection="docs"), InvalidArgument, "vectors"),
    "vectors objects": (lambda s: s.insert([[object(), 1]], collection="docs"), InvalidArgument, "vectors"),
    "vectors none inside": (lambda s: s.insert([[None, 1.0]], collection="docs"), InvalidArgument, "vectors"),
    "vectors bool": (lambda s: s.insert([[True, False]], collection="docs"), InvalidArgument, "vectors"),
    "vectors complex": (lambda s: s.insert([[1j, 2j]], collection="docs"), InvalidArgument, "vectors"),
    "vectors dates": (lambda s: s.insert(np.zeros((1, 2), "M8[s]"), collection="docs"), InvalidArgument, "vectors"),
    "vectors zero in cosine": (lambda s: s.insert([[1.0, 1.0], [0.0, 0.0]], collection="docs"), InvalidArgument, "1"),
    "vectors too many": (
        lambda s: s.insert(np.ones((100_001, 2), np.float32), collection="docs"),
        InvalidArgument,
        "100",
    ),
    "vectors dimension": (lambda s: s.insert([[1.0, 2.0, 3.0]], collection="docs"), DimensionMismatch, "docs"),
    "vectors too wide": (lambda s: s.insert(np.ones((1, 4097), "f4"), collection="new"), InvalidArgument, "4096"),
    "metadata count": (lambda s: s.insert(V, [{"n": 1}], collection="docs"), InvalidArgument, "metadata"),
    "metadata one dict": (lambda s: s.insert(V, {"n": 1}, collection="docs"), InvalidArgument, "metadata"),
    "metadata text": (lambda s: s.insert(V, "ab", collection="docs"), InvalidArgument, "metadata"),
    "metadata element": (lambda s: s.insert(V, [{}, 5], collection="docs"), InvalidArgument, "metadata[1]"),
    "metadata not json": (lambda s: s.insert(V, [{}, {"n": {1, 2}}], collection="docs"), InvalidArgument, "metadata"),
    "metadata object": (lambda s: s.insert(V, [{}, {"n": object()}], collection="docs"), InvalidArgument, "metadata"),
    "metadata bytes": (lambda s: s.insert(V, [{}, {"n": b"x"}], collection="docs"), InvalidArgument, "metadata"),
    "metadata nan": (lambda s: s.insert(V, [{}, {"n": NAN}], collection="docs"), InvalidArgument, "metadata"),
    "metadata key": (lambda s: s.insert(V, [{}, {1: "n"}], collection="docs"), InvalidArgument, "metadata"),
    "metadata surrogate": (lambda s: s.insert(V, [{}, {"n": "\ud800"}], collection="docs"), InvalidArgument, "metadata"),
    "metadata too deep": (lambda s: s.insert(V, [{}, DEEP], collection="docs"), InvalidArgument, "metadata"),
    "ids count": (lambda s: s.insert(V, ids=["x"], collection="docs"), InvalidArgument, "ids"),
    "ids one str": (lambda s: s.insert(V, ids="xy", collection="docs"), InvalidArgument, "ids"),
    "ids int": (lambda s: s.insert(V, ids=["x", 7], collection="docs"), InvalidArgument, "ids[1]"),
    "ids none inside": (lambda s: s.insert(V, ids=["x", None], collection="docs"), InvalidArgument, "ids[1]"),
    "ids empty": (lambda s: s.insert(V, ids=["x", ""], collection="docs"), InvalidArgument, "id"),
    "ids too long": (lambda s: s.insert(V, ids=["x", "é" * 257], collection="docs"), InvalidArgument, "512"),
    "ids repeated": (lambda s: s.insert(V, ids=["x", "x"], collection="docs"), InvalidArgument, "id"),
    "ids surrogate": (lambda s: s.insert(V, ids=["x", "\ud800"], collection="docs"), InvalidArgument, "id"),
    "ids exist": (lambda s: s.insert(V, ids=["x", "a"], collection="docs"), IdExists, "'a'"),
    "insert level": (lambda s: s.insert(V, collection="docs", consistency_level="TWO"), InvalidArgument, "level"),
    "insert timeout zero": (lambda s: s.insert(V, collection="docs", timeout_ms=0), InvalidArgument, "timeout_ms"),
    "insert timeout text": (lambda s: s.insert(V, collection="docs", timeout_ms="5"), InvalidArgument, "timeout_ms"),
    "insert collection": (lambda s: s.insert(V, collection=5), InvalidArgument, "collection"),
    "insert collection empty": (lambda s: s.insert(V, collection=""), InvalidArgument, "name"),
    "upsert nothing": (lambda s: s.upsert(collection="docs"), InvalidArgument, "upsert"),
    "upsert both": (lambda s: s.upsert(V, ids=["a", "b"], vectors=V, collection="docs"), InvalidArgument, "exactly"),
    "upsert no ids": (lambda s: s.upsert(V, collection="docs"), InvalidArgument, "ids"),
    "upsert no id": (lambda s: s.upsert([{"vector": [1, 2]}], collection="docs"), InvalidArgument, "'id'"),
    "upsert no vector": (lambda s: s.upsert({"id": "a"}, collection="docs"), InvalidArgument, "'vector'"),
    "upsert unknown": (lambda s: s.upsert({"id": "a", "vector": [1, 2], "x": 1}, collection="docs"), InvalidArgument, "x"),
    "upsert mixed": (lambda s: s.upsert([{"id": "a", "vector": [1, 2]}, 5], collection="docs"), InvalidArgument, "[1]"),
    "upsert record ids": (
        lambda s: s.upsert({"id": "a", "vector": [1, 2]}, ids=["a"], collection="docs"),
        InvalidArgument,
        "ids",
    ),
    "upsert repeated": (
        lambda s: s.upsert([{"id": "q", "vector": [1, 2]}] * 2, collection="docs"),
        InvalidArgument,
        "q",
    ),
    "update absent": (lambda s: s.update("zz", metadata={}, collection="docs"), IdNotFound, "zz"),
    "update nothing": (lambda s: s.update("a", collection="docs"), InvalidArgument, "vector"),
    "update version": (lambda s: s.update("a", [1, 1], if_version=9, collection="docs"), VersionConflict, "a"),
    "update version type": (lambda s: s.update("a", [1, 1], if_version="1", collection="docs"), InvalidArgument, "if_v"),
    "update dimension": (lambda s: s.update("a", [1, 1, 1], collection="docs"), DimensionMismatch, "dimension"),
    "update zero": (lambda s: s.update("a", [0, 0], collection="docs"), InvalidArgument, "vector"),
    "update nan": (lambda s: s.update("a", [NAN, 0], collection="docs"), InvalidArgument, "vector"),
    "update metadata": (lambda s: s.update("a", metadata=[1], collection="docs"), InvalidArgument, "metadata"),
    "update id": (lambda s: s.update(5, [1, 1], collection="docs"), InvalidArgument, "id"),
    "delete nothing": (lambda s: s.delete(collection="docs"), InvalidArgument, "filter"),
    "delete empty filter": (lambda s: s.delete(filter={}, collection="docs"), InvalidArgument, "filter"),
    "delete ids": (lambda s: s.delete([1], collection="docs"), InvalidArgument, "ids[0]"),
    "delete operator": (lambda s: s.delete(filter={"n": {"$x": 1}}, collection="docs"), InvalidArgument, "$x"),
    "search nan": (lambda s: s.search([NAN, 1], collection="docs"), InvalidArgument, "query_vector"),
    "search zero": (lambda s: s.search([0, 0], collection="docs"), InvalidArgument, "query"),
    "search two": (lambda s: s.search(V, collection="docs"), InvalidArgument, "search_batch"),
    "search text": (lambda s: s.search("words", collection="docs"), InvalidArgument, "query_vector"),
    "search empty": (lambda s: s.search([], collection="docs"), InvalidArgument, "query_vector"),
    "search dimension": (lambda s: s.search([1, 2, 3], collection="docs"), DimensionMismatch, "3"),
    "search top_k 0": (lambda s: s.search([1, 2], top_k=0, collection="docs"), InvalidArgument, "top_k"),
    "search top_k 1001": (lambda s: s.search([1, 2], top_k=1001, collection="docs"), InvalidArgument, "top_k"),
    "search top_k bool": (lambda s: s.search([1, 2], top_k=True, collection="docs"), InvalidArgument, "top_k"),
    "search top_k float": (lambda s: s.search([1, 2], top_k=5.0, collection="docs"), InvalidArgument, "top_k"),
    "search top_k text": (lambda s: s.search([1, 2], top_k="5", collection="docs"), InvalidArgument, "top_k"),
    "search metric": (lambda s: s.search([1, 2], 5, "hamming", collection="docs"), InvalidArgument, "distance_metric"),
    "search metric type": (lambda s: s.search([1, 2], 5, ["l2"], collection="docs"), InvalidArgument, "distance_metric"),
    "search filter type": (lambda s: s.search([1, 2], filter="n=1", collection="docs"), InvalidArgument, "filter"),
    "search filter list": (lambda s: s.search([1, 2], filter=[{}], collection="docs"), InvalidArgument, "filter"),
    "search vectors flag": (lambda s: s.search([1, 2], include_vectors="no", collection="docs"), InvalidArgument, "incl"),
    "search params key": (lambda s: s.search([1, 2], params={"efs": 1}, collection="docs"), InvalidArgument, "efs"),
    "search params ef": (lambda s: s.search([1, 2], params={"ef": 0}, collection="docs"), InvalidArgument, "ef"),
    "search params nprobe": (lambda s: s.search([1, 2], params={"nprobe": "a"}, collection="docs"), InvalidArgument, "np"),
    "search params exact": (lambda s: s.search([1, 2], params={"exact": 1}, collection="docs"), InvalidArgument, "exact"),
    "search params recall": (lambda s: s.search([1, 2], params={"recall": 2}, collection="docs"), InvalidArgument, "rec"),
    "search params type": (lambda s: s.search([1, 2], params=5, collection="docs"), InvalidArgument, "params"),
    "search level": (lambda s: s.search([1, 2], collection="docs", consistency_level=1), InvalidArgument, "level"),
    "search timeout": (lambda s: s.search([1, 2], collection="docs", timeout_ms=-1), InvalidArgument, "timeout_ms"),
    "search collection": (lambda s: s.search([1, 2], collection="nope"), CollectionNotFound, "nope"),
    "batch one-d": (lambda s: s.search_batch([1, 2], collection="docs"), InvalidArgument, "query_vectors"),
    "batch dimension": (lambda s: s.search_batch([[1, 2, 3]], collection="docs"), DimensionMismatch, "3"),
    "batch nan": (lambda s: s.search_batch([[1, 2], [1, NAN]], collection="docs"), InvalidArgument, "1"),
    "get ids": (lambda s: s.get([1], collection="docs"), InvalidArgument, "ids[0]"),
    "get none": (lambda s: s.get(None, collection="docs"), InvalidArgument, "ids"),
    "get collection": (lambda s: s.get(["a"], collection="nope"), CollectionNotFound, "nope"),
    "update collection": (lambda s: s.update("a", [1, 1], collection="nope"), CollectionNotFound, "nope"),
    "delete collection": (lambda s: s.delete("a", collection="nope"), CollectionNotFound, "nope"),
    "count collection": (lambda s: s.count("nope"), CollectionNotFound, "nope"),
    "count filter": (lambda s: s.count("docs", {"$near": 1}), InvalidArgument, "$near"),
    "scroll collection": (lambda s: s.scroll("nope"), CollectionNotFound, "nope"),
    "scroll batch": (lambda s: s.scroll("docs", batch_size=0), InvalidArgument, "batch_size"),
    "scroll after": (lambda s: s.scroll("docs", after=5), InvalidArgument, "after"),
    "scroll damage": (lambda s: s.scroll("docs", on_damage="ignore"), InvalidArgument, "on_damage"),
    "scroll filter": (lambda s: s.scroll("docs", {"n": {"$gtt": 1}}), InvalidArgument, "$gtt"),
    "verify collection": (lambda s: s.verify("nope"), CollectionNotFound, "nope"),
    "describe collection": (lambda s: s.describe("nope"), CollectionNotFound, "nope"),
    "handle collection": (lambda s: s.collection("nope"), CollectionNotFound, "nope"),
    "drop collection": (lambda s: s.drop_collection("nope"), CollectionNotFound, "nope"),
    "flush collection": (lambda s: s.flush("nope"), CollectionNotFound, "nope"),
    "compact collection": (lambda s: s.compact("nope"), CollectionNotFound, "nope"),
    "create exists": (lambda s: s.create_collection("docs", 2), CollectionExists, "docs"),
    "create other": (lambda s: s.create_collection("docs", 3, exist_ok=True), CollectionExists, "docs"),
    "create name": (lambda s: s.create_collection("", 2), InvalidArgument, "name"),
    "create name type": (lambda s: s.create_collection(None, 2), InvalidArgument, "name"),
    "create dimension 0": (lambda s: s.create_collection("n", 0), InvalidArgument, "dimension"),
    "create dimension 4097": (lambda s: s.create_collection("n", 4097), InvalidArgument, "dimension"),
    "create dimension float": (lambda s: s.create_collection("n", 2.0), InvalidArgument, "dimension"),
    "create metric": (lambda s: s.create_collection("n", 2, "cosin"), InvalidArgument, "metric"),
    "create index": (lambda s: s.create_collection("n", 2, index="lsh"), InvalidArgument, "index"),
    "create params": (lambda s: s.create_collection("n", 2, index_params=[1]), InvalidArgument, "index_params"),
    "create params key": (lambda s: s.create_collection("n", 2, index_params={"EM": 3}), InvalidArgument, "EM"),
    "create privacy": (lambda s: s.create_collection("n", 2, privacy="secret"), InvalidArgument, "privacy"),
    "create sealed": (lambda s: s.create_collection("n", 2, privacy="veiled"), InvalidArgument, "privacy"),
    "create fragments": (lambda s: s.create_collection("n", 2, fragments=(5, 3)), InvalidArgument, "fragments"),
    "create replicas": (
        lambda s: s.create_collection("n", 2, replication_factor=4),
        InvalidArgument,
        "replication_factor",
    ),
    "create replicas 0": (lambda s: s.create_collection("n", 2, replication_factor=0), InvalidArgument, "replication"),
    "status flag": (lambda s: s.status("yes"), InvalidArgument, "detail"),
    "snapshot path": (lambda s: s.snapshot(5), InvalidArgument, "path"),
}
BUILTIN_BASES = {
    InvalidArgument: ValueError,
    DimensionMismatch: ValueError,
    CollectionNotFound: KeyError,
    IdNotFound: KeyError,
    Unavailable: ConnectionError,
}


def contents(store: VectorStore) -> Any:
    """Everything a store holds, in a form that compares."""
    return {
        name: sorted((r.id, r.vector.tobytes(), str(r.metadata), r.version) for r in store.scroll(name))
        for name in store.list_collections()
    }


@pytest.fixture
def filled(store: VectorStore) -> VectorStore:
    store.insert([[1.0, 0.0], [0.0, 1.0]], [{"n": 1}, {"n": 2}], ["a", "b"], collection="docs")
    return store


@pytest.mark.parametrize("case", REFUSALS)
def test_refusal_has_its_class_names_the_field_and_writes_nothing(filled: VectorStore, case: str) -> None:
    call, cls, words = REFUSALS[case]
    before = contents(filled)
    with pytest.raises(cls) as caught:
        call(filled)
    assert type(caught.value) is cls, f"{type(caught.value).__name__}: {caught.value}"
    assert isinstance(caught.value, BUILTIN_BASES.get(cls, Error))
    assert words.lower() in str(caught.value).lower(), str(caught.value)
    assert len(str(caught.value)) > 15 and contents(filled) == before


FILTERS_REFUSED: list[dict[Any, Any]] = [
    {"n": {"$regex": "a"}},
    {"$nor": [{"n": 1}]},
    {"n": {"$in": 5}},
    {"n": {"$in": "text"}},
    {"n": {"$nin": {"a": 1}}},
    {"n": {"$exists": "yes"}},
    {"n": {"$gt": [1]}},
    {"n": {"$gt": None}},
    {"$and": {"n": 1}},
    {"$or": 5},
    {"$or": [5]},
    {"$not": [{"n": 1}]},
    {"n": {"$eq": object()}},
    {"n": {1, 2}},
    {"n": b"bytes"},
    {"n": NAN},
    {5: 1},
    {"n": {"$gt": 1, "m": 2}},
]


@pytest.mark.parametrize("filter", FILTERS_REFUSED, ids=str)
def test_filter_that_means_nothing_is_refused_everywhere(filled: VectorStore, filter: dict[str, Any]) -> None:
    before = contents(filled)
    for call in (
        lambda: filled.search([1, 2], filter=filter, collection="docs"),
        lambda: filled.search_batch([[1, 2]], filter=filter, collection="docs"),
        lambda: filled.count("docs", filter),
        lambda: list(filled.scroll("docs", filter)),
        lambda: filled.delete(filter=filter, collection="docs"),
    ):
        with pytest.raises(InvalidArgument):
            call()
    assert contents(filled) == before


@pytest.mark.parametrize("argument", ["archive", "chain"])
def test_constructor_argument_that_is_no_place_is_refused_by_name(tmp_path: Path, argument: str) -> None:
    with pytest.raises(InvalidArgument, match=argument):
        VectorStore(tmp_path / "store", **{argument: ["x"]})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"nodes": "node1:7000"}, "list of addresses"),
        ({"nodes": []}, "empty"),
        ({"nodes": ["node1:7000", 7]}, "element 1"),
        ({"nodes": ["127.0.0.1"]}, "HOST:PORT"),
        ({"nodes": ["127.0.0.1:99999"]}, "HOST:PORT"),
        ({"nodes": ["node1:7000"]}, "another machine"),
        ({"nodes": ["127.0.0.1:7000"], "tls": "ca.pem"}, "TLS"),
        ({"nodes": ["127.0.0.1:7000"], "api_key": "k"}, "api_key"),
        ({"tls": "ca.pem"}, "nodes"),
        ({"api_key": "k"}, "nodes"),
    ],
)
def test_wrong_addresses_and_credentials_are_refused_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: dict[str, Any], word: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(InvalidArgument, match=word):
        VectorStore(**arguments)


def test_path_with_nodes_is_refused_and_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="path and nodes"):
        VectorStore(tmp_path / "store", nodes=["localhost:1"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("settings", [{"consistency_level": "MOST"}, {"consistency_level": None}, {"progress": 1}])
def test_constructor_setting_that_is_wrong_is_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(settings))):
        VectorStore(tmp_path / "store", **settings)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["", 5, b"bytes", ["a"]])
def test_constructor_path_that_is_none_is_refused(path: Any) -> None:
    with pytest.raises(InvalidArgument, match="path"):
        VectorStore(path)


def test_path_of_a_file_is_refused_and_the_file_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(Error):
        VectorStore(file)
    assert file.read_text() == "mine"


def test_restore_arguments_that_are_wrong_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="source"):
        VectorStore.restore()
    with pytest.raises(InvalidArgument, match="from_"):
        VectorStore.restore(tmp_path / "to", from_=["x"])
    with pytest.raises(InvalidArgument, match="keyring"):
        VectorStore.restore(tmp_path / "from", tmp_path / "to", keyring=object())
    with pytest.raises(InvalidArgument, match="wait"):
        VectorStore.restore(tmp_path / "from", tmp_path / "to", wait="no")  # type: ignore[arg-type]
    with pytest.raises(Error):
        VectorStore.restore(tmp_path / "nothing-there", tmp_path / "to")


def test_closed_store_refuses_every_call(store: VectorStore) -> None:
    store.insert(V, collection="docs")
    store.close()
    store.close()
    calls: list[Call] = [
        lambda s: s.insert(V, collection="docs"),
        lambda s: s.search([1, 2], collection="docs"),
        lambda s: s.get("a", collection="docs"),
        lambda s: s.count("docs"),
        lambda s: s.list_collections(),
        lambda s: s.flush(),
        lambda s: s.status(),
    ]
    for call in calls:
        with pytest.raises(InvalidArgument, match="closed"):
            call(store)


def test_key_errors_print_their_sentence_without_quotes(store: VectorStore) -> None:
    with pytest.raises(KeyError) as caught:
        store.count("nope")
    assert not str(caught.value).startswith(("'", '"'))


def test_refused_batch_creates_no_collection(store: VectorStore) -> None:
    for wrong in ([[NAN]], [[0.0]], [["a"]]):
        with pytest.raises(InvalidArgument):
            store.insert(wrong, collection="new")
    with pytest.raises(InvalidArgument):
        store.insert([[1.0], [2.0]], ids=["x", "x"], collection="new")
    assert store.list_collections() == []

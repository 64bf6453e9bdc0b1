"""Writes do what the contract says: all or nothing, idempotent, versions that grow by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dvesp import DimensionMismatch, IdExists, InvalidArgument, VectorStore, VersionConflict

V = [[1.0, 2.0], [3.0, 4.0]]


def one(store: VectorStore, id: str) -> Any:
    record = store.get([id])[0]
    assert record is not None
    return record


def test_insert_returns_ids_in_request_order(any_store: VectorStore) -> None:
    result = any_store.insert(V, [{"n": 1}, None], ["z", "a"])
    assert result.vector_ids == ["z", "a"] and result.status == "success"
    assert one(any_store, "z").vector.tolist() == [1, 2] and one(any_store, "z").metadata == {"n": 1}
    assert one(any_store, "a").metadata is None and one(any_store, "a").version == 1


def test_insert_retry_writes_nothing_and_answers_the_same_hash(any_store: VectorStore) -> None:
    first = any_store.insert(V, [{"n": 1}, None], ["a", "b"])
    again = any_store.insert(V, [{"n": 1}, None], ["a", "b"])
    assert again.vector_ids == first.vector_ids and again.consistency_hash == first.consistency_hash
    assert any_store.count() == 2 and one(any_store, "a").version == 1


def test_insert_of_known_id_with_other_content_is_refused_whole(any_store: VectorStore) -> None:
    any_store.insert(V, [{"n": 1}, None], ["a", "b"])
    for vectors, metadata in (([[9.0, 9.0], [1.0, 1.0]], None), (V, [{"n": 1}, {"n": 2}])):
        with pytest.raises(IdExists, match="b"):
            any_store.insert(vectors, metadata, ["new", "b"])
    assert any_store.count() == 2 and any_store.get("new") == [None]


def test_insert_hash_depends_on_order_and_content(store: VectorStore) -> None:
    hashes = {
        store.insert(vectors, metadata, ids, collection=f"c{i}").consistency_hash
        for i, (vectors, metadata, ids) in enumerate(
            [(V, None, ["a", "b"]), (V, None, ["b", "a"]), (V[::-1], None, ["a", "b"]), (V, [{}, {"n": 1}], ["a", "b"])]
        )
    }
    assert len(hashes) == 4 and all(len(bytes.fromhex(value)) == 32 for value in hashes)


def test_insert_creates_the_collection_with_the_defaults(store: VectorStore) -> None:
    store.insert(V, collection="fresh")
    info = store.describe("fresh")
    assert (info.dimension, info.metric, info.index, info.count) == (2, "cosine", "hnsw", 2)
    with pytest.raises(DimensionMismatch):
        store.insert([[1.0]], collection="fresh")


def test_upsert_takes_a_record_records_or_columns(any_store: VectorStore) -> None:
    assert any_store.upsert({"id": "a", "vector": [1, 2], "metadata": {"n": 1}}).vector_ids == ["a"]
    assert any_store.upsert([{"id": "b", "vector": np.array([3, 4])}, {"id": "a", "vector": (5, 6)}]).vector_ids == ["b", "a"]
    assert any_store.upsert(vectors=V, ids=["c", "b"], metadata=[{"n": 3}, {"n": 4}]).status == "success"
    assert any_store.upsert(V, [{"n": 5}, None], ["d", "e"]).vector_ids == ["d", "e"]
    assert any_store.count() == 5
    assert one(any_store, "a").vector.tolist() == [5, 6] and one(any_store, "a").metadata is None
    assert one(any_store, "b").metadata == {"n": 4} and one(any_store, "a").version == 2


def test_upsert_takes_back_the_records_that_get_returned(store: VectorStore) -> None:
    store.insert(V, [{"n": 1}, None], ["a", "b"])
    records = store.get(["a", "b"])
    store.upsert(records, collection="copy")
    assert store.get(["a", "b"], "copy") == records


def holds_it(nodes: list[str]) -> bool:
    """One machine keeps what it acknowledged; of a cluster a majority does."""
    return nodes == ["local"] or (len(nodes) >= 2 and set(nodes) <= {"node0", "node1", "node2"})


def test_update_changes_what_is_given_and_counts_versions(any_store: VectorStore) -> None:
    any_store.insert(V, [{"n": 1, "kept": True}, None], ["a", "b"])
    assert any_store.update("a", vector=[7, 8]).version == 2
    assert one(any_store, "a").metadata == {"n": 1, "kept": True} and one(any_store, "a").vector.tolist() == [7, 8]
    result = any_store.update("a", metadata={"n": 2})
    assert result.version == 3 and result.status == "success" and holds_it(result.storage_nodes)
    assert one(any_store, "a").metadata == {"n": 2} and one(any_store, "a").vector.tolist() == [7, 8]
    assert any_store.update("a", [1, 1], {}, if_version=3).version == 4
    assert one(any_store, "a").metadata in ({}, None) and one(any_store, "b").version == 1
    any_store.flush()
    assert any_store.update("a", metadata={"n": 9}).version == 5 and any_store.count() == 2


def test_update_with_stale_version_changes_nothing(any_store: VectorStore) -> None:
    any_store.insert(V, ids=["a", "b"])
    any_store.update("a", metadata={"n": 1}, if_version=1)
    with pytest.raises(VersionConflict, match="a"):
        any_store.update("a", metadata={"n": 2}, if_version=1)
    assert one(any_store, "a").metadata == {"n": 1} and one(any_store, "a").version == 2


def test_delete_counts_what_was_there(any_store: VectorStore) -> None:
    any_store.insert(np.eye(6, dtype=np.float32), [{"n": i} for i in range(6)], list("abcdef"))
    result = any_store.delete(["a", "nobody", "b"])
    assert (result.deleted, result.status) == (2, "success") and holds_it(result.storage_nodes)
    assert any_store.delete("c").deleted == 1 and any_store.delete("c").deleted == 0
    assert any_store.delete([]).deleted == 0
    assert any_store.delete(filter={"n": {"$gte": 5}}).deleted == 1
    assert any_store.delete(["d", "e"], filter={"n": 4}).deleted == 1
    assert [record.id for record in any_store.scroll()] == ["d"] and any_store.get(["a", "d"])[0] is None


def test_deleted_id_can_be_inserted_again(any_store: VectorStore) -> None:
    any_store.insert(V, ids=["a", "b"])
    any_store.delete("a")
    any_store.insert([[9.0, 9.0]], [{"n": 1}], ["a"])
    assert one(any_store, "a").vector.tolist() == [9, 9] and any_store.count() == 2


def test_get_keeps_the_order_asked_and_repeats(any_store: VectorStore) -> None:
    any_store.insert(V, ids=["a", "b"])
    any_store.flush()
    any_store.insert([[5.0, 6.0]], ids=["c"])
    assert [None if r is None else r.id for r in any_store.get(["c", "x", "a", "c"])] == ["c", None, "a", "c"]
    assert any_store.get([]) == []
    assert [r.id for r in any_store.get("b") if r is not None] == ["b"]


def test_metadata_comes_back_as_it_was(any_store: VectorStore) -> None:
    rows: list[dict[str, Any] | None] = [
        None,
        {"int": 2**53, "negative": -(2**62), "float": 0.1, "tiny": 5e-324, "true": True, "none": None},
        {"text": 'naïve 文字 🎉 \u0000 "quoted"', "": "empty key", "a.b": "dotted key"},
        {"list": [1, "a", None, [2.5, {"deep": [True]}]], "dict": {"x": {"y": {}}}, "empty": []},
        {"long": "x" * 100_000},
    ]
    vectors = np.ones((len(rows), 3), np.float32)
    ids = [str(i) for i in range(len(rows))]
    any_store.insert(vectors, rows, ids)
    for _ in range(2):
        back = [record.metadata for record in any_store.get(ids) if record is not None]
        assert back == rows and [type((row or {}).get("true")) for row in back][1] is bool
        assert isinstance(back[1]["float"], float) and isinstance(back[1]["int"], int)  # type: ignore[index]
        any_store.flush()


@pytest.mark.parametrize("id", ["a", " ", "é" * 256, "x" * 512, "文字/?#%", "\n\t\0", "🎉", "A" * 36])
def test_any_str_of_up_to_512_bytes_is_an_id(any_store: VectorStore, id: str) -> None:
    any_store.insert([[1.0, 2.0]], ids=[id])
    any_store.flush()
    assert one(any_store, id).id == id and any_store.search([1, 2])[0].id == id
    assert any_store.delete(id).deleted == 1


def test_batch_of_the_largest_size_is_stored_whole(store: VectorStore) -> None:
    vectors = np.random.default_rng(0).standard_normal((100_000, 2)).astype(np.float32)
    result = store.insert(vectors, timeout_ms=60_000)
    assert len(set(result.vector_ids)) == 100_000 and store.count() == 100_000


def test_input_array_may_be_changed_after_the_call(store: VectorStore) -> None:
    vectors = np.ones((3, 4), np.float32)
    store.insert(vectors, ids=["a", "b", "c"])
    vectors[:] = 7
    assert one(store, "a").vector.tolist() == [1, 1, 1, 1]


def test_collections_are_apart(store: VectorStore) -> None:
    store.insert(V, ids=["a", "b"], collection="one")
    store.insert([[1.0, 2.0, 3.0]], ids=["a"], collection="two")
    assert store.list_collections() == ["one", "two"]
    assert store.count("one") == 2 and store.count("two") == 1
    store.drop_collection("one")
    assert store.list_collections() == ["two"] and store.count("two") == 1
    store.create_collection("one", 5)
    assert store.count("one") == 0 and store.describe("one").dimension == 5


def test_create_collection_with_exist_ok_keeps_what_is_there(store: VectorStore) -> None:
    store.create_collection("docs", 2, "l2").insert(V)
    assert store.create_collection("docs", 2, "l2", exist_ok=True).count() == 2


def test_scroll_goes_on_behind_an_id(store: VectorStore) -> None:
    store.insert(np.eye(25, dtype=np.float32), ids=[f"{i:02d}" for i in range(25)])
    store.flush()
    order = [record.id for record in store.scroll(batch_size=7)]
    assert sorted(order) == [f"{i:02d}" for i in range(25)]
    assert [record.id for record in store.scroll(after=order[9], batch_size=4)] == order[10:]
    assert list(store.scroll(after=order[-1])) == []


def test_refused_insert_keeps_earlier_batches_intact(any_store: VectorStore) -> None:
    any_store.insert(V, ids=["a", "b"])
    with pytest.raises(InvalidArgument):
        any_store.insert([[1.0, 2.0], [float("nan"), 1.0]], ids=["c", "d"])
    assert any_store.count() == 2 and any_store.verify().ok

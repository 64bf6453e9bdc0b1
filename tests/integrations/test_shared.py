"""What all adapters share: other kinds of stores, many threads, large writes, a write that failed."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvesp import AsyncVectorStore, InvalidArgument, Keyring, Unavailable, VectorStore
from dvesp.integrations import shared
from dvesp.integrations.haystack import DvespDocumentStore
from dvesp.integrations.langchain import DvespVectorStore as LangChainStore
from dvesp.integrations.llama_index import DvespVectorStore as LlamaStore
from dvesp.integrations.shared import BoundCollection, similarity
from haystack import Document
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import VectorStoreQuery


def test_adapters_work_on_a_sealed_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVESP_TEST_KEY", "00" * 32)
    devices = [tmp_path / f"d{number}" for number in range(5)]
    with VectorStore(tmp_path / "s", devices=devices, keyring=Keyring.from_environment("DVESP_TEST_KEY")) as store:
        langchain = LangChainStore(None, store, collection="langchain")
        langchain.add_embeddings([("a", [1, 0]), ("b", [0, 1])], [{"n": 1}, {"n": 2}], ["a", "b"])
        found = langchain.similarity_search_by_vector([1, 0], filter={"n": {"$gt": 1}})
        assert [document.id for document in found] == ["b"]
        llama = LlamaStore(store, collection="llama")
        llama.add([TextNode(id_="a", embedding=[1.0, 0.0]), TextNode(id_="b", embedding=[0.0, 1.0])])
        assert llama.query(VectorStoreQuery(query_embedding=[0, 1], similarity_top_k=2)).ids == ["b", "a"]
        haystack = DvespDocumentStore(store, collection="haystack", embedding_dim=2)
        haystack.write_documents([Document(id="a", embedding=[1.0, 0.0]), Document(id="b", meta={"n": 1})])
        assert haystack.update_by_filter({"field": "n", "operator": "==", "value": 1}, {"n": 2}) == 1
        assert [document.meta for document in haystack.filter_documents()] == [{}, {"n": 2}]
        haystack.delete_all_documents()
        assert haystack.count_documents() == 0 and langchain.delete(["a"])
        assert [document.id for document in langchain.get_by_ids(["a", "b"])] == ["b"]


async def test_an_async_store_is_taken_as_it_is() -> None:
    async with AsyncVectorStore() as store:
        adapter = LangChainStore(None, store, collection="c")
        adapter.add_embeddings([("a", [1, 0])], ids=["a"])
        assert await store.count("c") == 1
        adapter.close()
        assert await store.count("c") == 1


@pytest.mark.parametrize("kind", ["embedded", "cluster"])
def test_many_threads_make_one_collection(kind: str, request: pytest.FixtureRequest) -> None:
    store = request.getfixturevalue(f"{kind}_store")
    adapter = LangChainStore(None, store, collection="busy", metric="l2")

    def write(number: int) -> None:
        adapter.add_embeddings([(f"{number}-{row}", [number, row]) for row in range(10)])
        assert adapter.similarity_search_by_vector([number, 0], k=1)[0].page_content == f"{number}-0"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(16)))
    assert store.count("busy") == 160 and store.describe("busy").metric == "l2"


def test_large_writes_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "BATCH_ROWS_MAX", 7)
    with BoundCollection(None, None, "c") as bound:
        ids = [f"{row:03}" for row in range(50)]
        vectors = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
        assert bound.write("insert", ids, vectors, [{"row": row} for row in range(50)]) == ids
        assert [(record.id, record.metadata) for record in bound.records()] == [(id, {"row": int(id)}) for id in ids]
        assert all(np.array_equal(record.vector, vectors[int(record.id)]) for record in bound.records())


def test_a_write_that_no_node_stored_is_an_error(embedded_store: VectorStore) -> None:
    bound = BoundCollection(embedded_store, None, "c")
    true_upsert = embedded_store.upsert

    def upsert(*args: Any, **kwargs: Any) -> Any:
        return dataclasses.replace(true_upsert(*args, **kwargs), status="failed")

    embedded_store.upsert = upsert  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="collection 'c': the batch is stored on no node"):
        bound.write("upsert", ["a"], [[1.0, 0.0]], [{}])


def test_settings_reach_the_collection_and_a_wrong_one_is_refused() -> None:
    with BoundCollection(None, None, "c", "dot_product", "ivf", {"nlist": 4}) as bound:
        assert bound.metric() == "dot_product"
        bound.write("upsert", ["a"], [[1.0, 0.0]], [{}])
        info = bound.store.describe("c")
        assert (info.metric, info.index, info.index_params["nlist"]) == ("dot_product", "ivf", 4)
    for arguments, message in [
        ((None, None, "c", "hamming"), "metric"),
        ((None, None, "c", None, "tree"), "index"),
        (("store", None, "c"), r"must be an open dvesp\.VectorStore"),
        ((None, None, 3), "collection"),
    ]:
        with pytest.raises(InvalidArgument, match=message):
            BoundCollection(*arguments)  # type: ignore[arg-type]


def test_a_collection_with_its_own_metric_keeps_it(embedded_store: VectorStore) -> None:
    embedded_store.create_collection("c", 2, "l2")
    bound = BoundCollection(embedded_store, None, "c")
    assert bound.metric() == "l2"
    bound.write("upsert", ["a"], [[3.0, 4.0]], [{}])
    assert bound.search([0.0, 0.0], 1)[0].distance == pytest.approx(5)
    bound.drop()
    assert bound.metric() == "cosine" and bound.count() == 0 and bound.delete(["a"]) == 0


@pytest.mark.parametrize(("metric", "expected"), [("cosine", 0.75), ("dot_product", -0.25), ("l2", 0.8)])
def test_similarity_is_higher_for_what_is_nearer(metric: str, expected: float) -> None:
    assert similarity(metric, 0.25) == pytest.approx(expected)
    assert similarity(metric, 0.25) > similarity(metric, 0.5)

"""`dvesp.integrations.haystack`: every mixin of Haystack's shared suite, and what it does not ask."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvesp import DimensionMismatch, InvalidArgument, VectorStore
from dvesp.integrations.haystack import DvespDocumentStore, DvespEmbeddingRetriever
from haystack import Document, Pipeline
from haystack.dataclasses import ByteStream, SparseEmbedding
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy, FilterPolicy
from haystack.errors import FilterError
from haystack.testing import document_store as sync_suite
from haystack.testing import document_store_async as async_suite


def as_stored(documents: list[Document]) -> list[Document]:
    """Documents in the order of ids, with embeddings as float32: how the store gives them back, and nothing else changed."""
    stored = []
    for document in sorted(documents, key=lambda document: document.id):
        members = document.to_dict(flatten=False)
        if document.embedding is not None:
            members["embedding"] = np.asarray(document.embedding, np.float32).tolist()
        stored.append(Document.from_dict(members))
    return stored


class SharedSuite(
    sync_suite.DocumentStoreBaseExtendedTests,
    sync_suite.CountDocumentsByFilterTest,
    sync_suite.CountUniqueMetadataByFilterTest,
    sync_suite.GetMetadataFieldsInfoTest,
    sync_suite.GetMetadataFieldMinMaxTest,
    sync_suite.GetMetadataFieldUniqueValuesTest,
    async_suite.CountDocumentsAsyncTest,
    async_suite.CountDocumentsByFilterAsyncTest,
    async_suite.CountUniqueMetadataByFilterAsyncTest,
    async_suite.DeleteAllAsyncTest,
    async_suite.DeleteByFilterAsyncTest,
    async_suite.DeleteDocumentsAsyncTest,
    async_suite.FilterDocumentsAsyncTest,
    async_suite.GetMetadataFieldsInfoAsyncTest,
    async_suite.GetMetadataFieldMinMaxAsyncTest,
    async_suite.GetMetadataFieldUniqueValuesAsyncTest,
    async_suite.UpdateByFilterAsyncTest,
    async_suite.WriteDocumentsAsyncTest,
):
    @staticmethod
    def assert_documents_are_equal(received: list[Document], expected: list[Document]) -> None:
        assert received == as_stored(expected)

    def test_write_documents(self, document_store: Any) -> None:
        """Without a policy an id that is there is refused, as the suite leaves it to each store."""
        document = Document(content="test doc")
        assert document_store.write_documents([document]) == 1
        with pytest.raises(DuplicateDocumentError):
            document_store.write_documents([document])

    async def test_write_documents_async(self, document_store: Any) -> None:
        """As `test_write_documents`."""
        document = Document(content="test doc")
        assert await document_store.write_documents_async([document]) == 1
        with pytest.raises(DuplicateDocumentError):
            await document_store.write_documents_async([document])


def test_no_mixin_of_haystack_is_left_out() -> None:
    for module in (sync_suite, async_suite):
        suites = {value for name, value in vars(module).items() if isinstance(value, type) and name.endswith(("Test", "Tests"))}
        assert all(issubclass(SharedSuite, suite) for suite in suites) and len(suites) > 10


class TestEmbedded(SharedSuite):
    @pytest.fixture
    def document_store(self, embedded_store: VectorStore) -> DvespDocumentStore:
        return DvespDocumentStore(embedded_store)


class TestCluster(SharedSuite):
    @pytest.fixture
    def document_store(self, cluster_store: VectorStore) -> DvespDocumentStore:
        return DvespDocumentStore(cluster_store)


EAST = [1.0, 0.0]


@pytest.fixture
def compass() -> Iterator[DvespDocumentStore]:
    """Five documents, the last without an embedding."""
    store = DvespDocumentStore(embedding_dim=2)
    rows: list[tuple[str, list[float] | None]] = [("e", EAST), ("n", [0, 1]), ("ne", [1, 1]), ("w", [-1, 0]), ("none", None)]
    store.write_documents(
        [Document(id=id, content=id, embedding=vector, meta={"rank": rank}) for rank, (id, vector) in enumerate(rows)]
    )
    yield store
    store.close()


def ids(documents: list[Document]) -> list[str]:
    return [document.id for document in documents]


def test_documents_without_an_embedding_are_kept_but_not_found_by_one(compass: DvespDocumentStore) -> None:
    assert compass.count_documents() == 5
    assert ids(compass.search(EAST, top_k=10)) == ["e", "ne", "n", "w"]
    none = compass.filter_documents({"field": "id", "operator": "==", "value": "none"})
    assert none == [Document(id="none", content="none", meta={"rank": 4})]


def test_scores_are_similarities(compass: DvespDocumentStore) -> None:
    scores = [document.score for document in compass.search(EAST)]
    assert scores == pytest.approx([1, 0.5**0.5, 0, -1], abs=1e-6)


def test_retriever_filters_limits_and_returns_embeddings(compass: DvespDocumentStore) -> None:
    high = {"field": "meta.rank", "operator": ">=", "value": 1}
    low = {"field": "meta.rank", "operator": "<", "value": 3}
    retriever = DvespEmbeddingRetriever(compass, filters=high, top_k=2)
    assert ids(retriever.run(query_embedding=EAST)["documents"]) == ["ne", "n"]
    assert ids(retriever.run(query_embedding=EAST, top_k=1, filters=low)["documents"]) == ["e"]
    merging = DvespEmbeddingRetriever(compass, filters=high, filter_policy=FilterPolicy.MERGE)
    not_n = {"field": "content", "operator": "!=", "value": "n"}
    assert ids(merging.run(query_embedding=EAST, filters=not_n)["documents"]) == ["ne", "w"]
    near = DvespEmbeddingRetriever(compass, score_threshold=0.5, params={"exact": True})
    assert ids(near.run(query_embedding=EAST)["documents"]) == ["e", "ne"]
    assert ids(near.run(query_embedding=EAST, score_threshold=0.9)["documents"]) == ["e"]
    least = compass.search(EAST)[1].score
    assert ids(near.run(query_embedding=EAST, score_threshold=least)["documents"]) == ["e", "ne"]
    first = near.run(query_embedding=EAST, return_embedding=True)["documents"][0]
    assert first.embedding == EAST and near.run(query_embedding=EAST)["documents"][0].embedding is None


async def test_retriever_runs_as_coroutine(compass: DvespDocumentStore) -> None:
    found = await DvespEmbeddingRetriever(compass, top_k=1).run_async(query_embedding=[0, 1])
    assert ids(found["documents"]) == ["n"]


def test_a_pipeline_is_written_to_a_file_and_read_back(tmp_path: Path) -> None:
    store = DvespDocumentStore(path=tmp_path / "s", embedding_dim=2, metric="l2")
    store.write_documents([Document(id="a", content="a", embedding=EAST)])
    pipeline = Pipeline()
    pipeline.add_component("retriever", DvespEmbeddingRetriever(store, top_k=3, filter_policy="merge"))
    assert ids(pipeline.run({"retriever": {"query_embedding": EAST}})["retriever"]["documents"]) == ["a"]
    text = pipeline.dumps()
    store.close()
    again = Pipeline.loads(text, allowed_modules=["dvesp.integrations.haystack"])
    found = again.run({"retriever": {"query_embedding": [4.0, 0.0]}})["retriever"]["documents"]
    assert ids(found) == ["a"] and found[0].score == pytest.approx(1 / 4)
    assert again.dumps() == text
    again.get_component("retriever")._document_store.close()


def test_a_store_that_was_handed_in_stays_open_and_is_not_serialised() -> None:
    with VectorStore() as store:
        adapter = DvespDocumentStore(store, embedding_dim=2)
        with pytest.raises(InvalidArgument, match="construct with path or nodes"):
            adapter.to_dict()
        adapter.close()
        assert store.list_collections() == []


def test_nodes_are_opened_and_serialised(cluster: Any, cluster_store: VectorStore) -> None:
    store = DvespDocumentStore(nodes=cluster.addresses, embedding_dim=2)
    store.write_documents([Document(id="a", content="a", embedding=EAST)])
    again = DvespDocumentStore.from_dict(store.to_dict())
    assert ids(again.search(EAST)) == ["a"]
    again.close()
    store.close()


def test_every_member_of_a_document_survives(compass: DvespDocumentStore) -> None:
    document = Document(
        id="all",
        content="text",
        blob=ByteStream(bytes(range(256)), meta={"page": 1}, mime_type="image/png"),
        meta={"deep": {"list": [1, None, True]}, "a.b": 1},
        embedding=[0.5, -0.5],
        sparse_embedding=SparseEmbedding([1, 7], [0.25, 0.5]),
    )
    compass.write_documents([document])
    assert compass.filter_documents({"field": "meta.deep.list", "operator": "==", "value": True}) == [document]
    assert compass.filter_documents({"field": "a.b", "operator": "==", "value": 1}) == [document]


def test_policies_hold_for_ids_that_are_twice_in_one_call(compass: DvespDocumentStore) -> None:
    twice = [Document(id="x", content="first"), Document(id="x", content="last")]
    with pytest.raises(DuplicateDocumentError):
        compass.write_documents(twice)
    assert compass.count_documents() == 5
    assert compass.write_documents(twice, DuplicatePolicy.SKIP) == 1
    by_id = {"field": "id", "operator": "==", "value": "x"}
    assert compass.filter_documents(by_id)[0].content == "first"
    assert compass.write_documents([Document(id="x", content="late"), Document(id="y")], DuplicatePolicy.SKIP) == 1
    assert compass.filter_documents(by_id)[0].content == "first"
    assert compass.write_documents(twice, DuplicatePolicy.OVERWRITE) == 2
    assert compass.filter_documents(by_id)[0].content == "last"


def test_wrong_input_is_refused_with_a_remedy(compass: DvespDocumentStore) -> None:
    with pytest.raises(DimensionMismatch, match=r"document 'd' has an embedding of 3 numbers.*embedding_dim=2"):
        compass.write_documents([Document(id="d", embedding=[1.0, 2.0, 3.0])])
    with pytest.raises(InvalidArgument, match="delete_all_documents"):
        compass.delete_by_filter({})
    for filters, message in [
        ({"field": "embedding", "operator": "==", "value": 1}, "cannot be filtered"),
        ({"field": "meta.rank", "operator": "~", "value": 1}, "operator '~' is unknown"),
        ({"field": "meta.rank", "operator": ">", "value": True}, "takes a number"),
        ({"operator": "XOR", "conditions": []}, "operator 'XOR' is unknown"),
        ({"operator": "AND", "conditions": []}, "at least one"),
    ]:
        with pytest.raises(FilterError, match=message):
            compass.filter_documents(filters)


def test_dates_and_none_in_lists() -> None:
    store = DvespDocumentStore(embedding_dim=2)
    store.write_documents(
        [
            Document(id="1", meta={"at": "2024-01-01"}),
            Document(id="2", meta={"at": "2025-01-01"}),
            Document(id="3", meta={"at": None}),
            Document(id="4"),
        ]
    )

    def found(operator: str, value: Any) -> list[str]:
        return ids(store.filter_documents({"field": "at", "operator": operator, "value": value}))

    assert found(">", datetime(2024, 6, 1)) == ["2"]
    assert found("in", [None, "2024-01-01"]) == ["1", "3", "4"]
    assert found("not in", [None, "2024-01-01"]) == ["2"]
    assert found("in", ["2024-01-01"]) == ["1"]
    store.close()


def test_update_by_filter_loses_no_other_change(compass: DvespDocumentStore) -> None:
    """Another writer changes a document between the reading and the writing of `update_by_filter`."""
    true_update, interfering = compass.store.update, [True]

    def update(id: str, **kwargs: Any) -> Any:
        if interfering and id == "n":
            interfering.clear()
            true_update(id, metadata={"id": "n", "content": "n", "meta": {"rank": 1, "other": True}}, collection="haystack")
        return true_update(id, **kwargs)

    compass.store.update = update  # type: ignore[method-assign]
    assert compass.update_by_filter({"field": "rank", "operator": "<=", "value": 2}, {"mine": True}) == 3
    changed = compass.filter_documents({"field": "id", "operator": "==", "value": "n"})[0]
    assert changed.meta == {"rank": 1, "other": True, "mine": True}

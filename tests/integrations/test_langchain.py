"""`dvesp.integrations.langchain`: LangChain's own suite, and what the suite does not ask."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvesp import InvalidArgument, VectorStore
from dvesp.integrations.langchain import DvespVectorStore
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.indexing import InMemoryRecordManager, index
from langchain_tests.integration_tests import VectorStoreIntegrationTests


class TestEmbedded(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, embedded_store: VectorStore) -> DvespVectorStore:
        return DvespVectorStore(self.get_embeddings(), embedded_store)


class TestCluster(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, cluster_store: VectorStore) -> DvespVectorStore:
        return DvespVectorStore(self.get_embeddings(), cluster_store)


PLACES = {"east": [1.0, 0.0], "north": [0.0, 1.0], "northeast": [1.0, 1.0], "west": [-1.0, 0.0], "easterly": [1.0, 0.01]}


class Compass(Embeddings):
    """Places as directions; counts what is asked through coroutines."""

    def __init__(self) -> None:
        self.awaited = 0

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [PLACES[text] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return PLACES[text]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        self.awaited += 1
        return self.embed_documents(texts)

    async def aembed_query(self, text: str) -> list[float]:
        self.awaited += 1
        return self.embed_query(text)


@pytest.fixture
def places() -> Iterator[DvespVectorStore]:
    """All places, with ids e, n, ne, w, el."""
    metadatas = [{"axis": axis, "rank": rank, "tags": [axis]} for rank, axis in enumerate(["x", "y", "xy", "x", "x"])]
    ids = ["e", "n", "ne", "w", "el"]
    with DvespVectorStore.from_texts(list(PLACES), Compass(), metadatas, ids=ids, collection="places") as made:
        yield made


def texts(documents: list[Document]) -> list[str]:
    return [document.page_content for document in documents]


def test_search_orders_by_distance_and_keeps_metadata(places: DvespVectorStore) -> None:
    assert texts(places.similarity_search("east")) == ["east", "easterly", "northeast", "north"]
    first = places.similarity_search("north", k=1)[0]
    assert first == Document(id="n", page_content="north", metadata={"axis": "y", "rank": 1, "tags": ["y"]})


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"axis": "x"}, ["east", "easterly", "west"]),
        ({"rank": {"$gte": 1, "$lt": 3}}, ["northeast", "north"]),
        ({"$or": [{"axis": "y"}, {"tags": {"$contains": "xy"}}]}, ["northeast", "north"]),
        ({"$not": {"axis": "x"}}, ["northeast", "north"]),
        ({"text": {"$contains": "orth"}}, ["northeast", "north"]),
        ({"axis": {"$nin": ["x", "y", "xy"]}}, []),
    ],
)
def test_filter_passes_through(places: DvespVectorStore, filter: dict[str, Any], expected: list[str]) -> None:
    assert texts(places.similarity_search("east", k=5, filter=filter)) == expected


def test_scores_are_distances_and_relevance_lies_between_0_and_1(places: DvespVectorStore) -> None:
    scores = {document.page_content: score for document, score in places.similarity_search_with_score("east", k=5)}
    assert scores["east"] == pytest.approx(0, abs=1e-6)
    assert scores["northeast"] == pytest.approx(1 - math.sqrt(0.5), abs=1e-6)
    assert scores["west"] == pytest.approx(2, abs=1e-6)
    relevance = {document.id: score for document, score in places.similarity_search_with_relevance_scores("east", k=5)}
    assert relevance == pytest.approx({"e": 1, "el": 1 / math.sqrt(1.0001), "ne": math.sqrt(0.5), "n": 0, "w": 0}, abs=1e-6)
    good = places.similarity_search_with_relevance_scores("east", k=5, score_threshold=0.5)
    assert [document.id for document, _ in good] == ["e", "el", "ne"]


@pytest.mark.parametrize(
    ("metric", "distance", "relevance"), [("l2", 2.0, 1 / 3), ("dot_product", 1.0, 0.0), ("cosine", 2.0, 0.0)]
)
def test_metric_of_the_collection_decides_scores(metric: str, distance: float, relevance: float) -> None:
    with DvespVectorStore.from_texts(["west"], Compass(), metric=metric) as store:
        assert store.store.describe("langchain").metric == metric
        assert store.similarity_search_with_score("east")[0][1] == pytest.approx(distance)
        assert store.similarity_search_with_relevance_scores("east")[0][1] == pytest.approx(relevance)
    with DvespVectorStore.from_texts(["west"], Compass(), metric=metric, relevance_score_fn=lambda d: d / 4) as store:
        assert store.similarity_search_with_relevance_scores("east")[0][1] == pytest.approx(distance / 4)


def test_mmr_prefers_what_is_different(places: DvespVectorStore) -> None:
    assert texts(places.max_marginal_relevance_search("east", k=2, lambda_mult=1.0)) == ["east", "easterly"]
    assert texts(places.max_marginal_relevance_search("east", k=2, lambda_mult=0.3, filter={"rank": {"$ne": 3}})) == [
        "east",
        "north",
    ]
    assert texts(places.max_marginal_relevance_search("east", k=2, fetch_k=2, lambda_mult=0.0)) == ["east", "easterly"]
    assert places.max_marginal_relevance_search("east", filter={"axis": "none"}) == []


def test_retriever_takes_each_search_type(places: DvespVectorStore) -> None:
    assert texts(places.as_retriever(search_kwargs={"k": 1, "filter": {"axis": "y"}}).invoke("east")) == ["north"]
    assert texts(places.as_retriever(search_type="mmr", search_kwargs={"k": 1}).invoke("west")) == ["west"]
    threshold = places.as_retriever(search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.9})
    assert texts(threshold.invoke("east")) == ["east", "easterly"]


def test_embeddings_are_stored_and_asked_without_an_embedder() -> None:
    with DvespVectorStore(None) as store:
        assert store.add_embeddings([("a", [1, 0]), ("b", [0, 1])], [{"n": 1}, {"n": 2}], ["1", "2"]) == ["1", "2"]
        found = store.similarity_search_with_score_by_vector([0, 1], k=1)
        assert found == [(Document(id="2", page_content="b", metadata={"n": 2}), pytest.approx(0, abs=1e-6))]
        assert texts(store.similarity_search_by_vector([1, 0], k=1)) == ["a"]
        with pytest.raises(InvalidArgument, match="embedding is None"):
            store.similarity_search("a")
        with pytest.raises(InvalidArgument, match="ids has 1 elements but there are 2 texts"):
            store.add_embeddings([("a", [1, 0]), ("b", [0, 1])], ids=["1"])
        with pytest.raises(InvalidArgument, match="rectangle"):
            store.add_embeddings([("a", [1, 0]), ("b", [0])])


def test_delete_by_filter_and_of_the_collection(places: DvespVectorStore) -> None:
    assert places.delete(filter={"axis": "x"})
    assert {document.id for document in places.similarity_search("east")} == {"n", "ne"}
    with pytest.raises(InvalidArgument, match="delete_collection"):
        places.delete()
    places.delete_collection()
    places.delete_collection()
    assert places.similarity_search("east") == [] and places.get_by_ids(["n"]) == []
    assert places.add_texts(["east"], ids=["again"]) == ["again"]
    assert texts(places.similarity_search("east")) == ["east"]


def test_documents_come_back_after_reopening(tmp_path: Path) -> None:
    documents = [Document(id="1", page_content="east"), Document(page_content="north", metadata={"n": {"deep": [1, None]}})]
    with DvespVectorStore.from_documents(documents, Compass(), path=tmp_path / "s", collection="d") as store:
        assert store.store.count("d") == 2
    with DvespVectorStore(Compass(), path=tmp_path / "s", collection="d") as store:
        north = store.similarity_search("north", k=1, filter={"n.deep": 1})[0]
        assert north.page_content == "north" and north.metadata == {"n": {"deep": [1, None]}}
        assert north.id is not None and len(north.id) == 36
        assert texts(store.get_by_ids(["1", "absent", north.id])) == ["east", "north"]


def test_wrong_arguments_are_refused_with_a_remedy(places: DvespVectorStore) -> None:
    with pytest.raises(InvalidArgument, match=r"metadatas\[1\] has a member 'text'.*text_key"):
        places.add_texts(["east", "west"], [{}, {"text": "mine"}])
    assert places.store.count("places") == 5
    with pytest.raises(InvalidArgument, match="where: no such argument"):
        places.similarity_search("east", where={"axis": "x"})
    with pytest.raises(InvalidArgument, match="must be a LangChain Embeddings"):
        DvespVectorStore(lambda text: [1.0])  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="store and path are both given"):
        DvespVectorStore(Compass(), places.store, "somewhere")
    with pytest.raises(InvalidArgument, match="metadatas has 1 elements"):
        places.add_texts(["east", "west"], [{}])


def test_text_key_opens_what_others_wrote() -> None:
    with VectorStore() as store:
        store.upsert([{"id": "1", "vector": [1, 0], "metadata": {"body": "east", "text": 7}}], collection="c")
        store.upsert([{"id": "2", "vector": [0, 1]}], collection="c")
        adapter = DvespVectorStore(Compass(), store, collection="c", text_key="body")
        found = adapter.similarity_search("east", k=2, params={"exact": True})
        assert found == [Document(id="1", page_content="east", metadata={"text": 7}), Document(id="2", page_content="")]
        adapter.close()
        assert store.count("c") == 2, "a store that was handed in stays open"


async def test_coroutines_await_the_embedding(tmp_path: Path) -> None:
    embedding = Compass()
    store = await DvespVectorStore.afrom_texts(["east", "west"], embedding, [{"n": 1}, {"n": 2}], path=tmp_path / "s")
    assert texts(await store.asimilarity_search("east", filter={"n": 2})) == ["west"]
    assert (await store.asimilarity_search_with_score("west", k=1))[0][1] == pytest.approx(0, abs=1e-6)
    assert (await store.asimilarity_search_with_relevance_scores("west", k=1))[0][1] == pytest.approx(1)
    assert texts(await store.amax_marginal_relevance_search("east", k=1)) == ["east"]
    assert texts(await store.asimilarity_search_by_vector([-1, 0], k=1)) == ["west"]
    assert texts(await store.as_retriever(search_kwargs={"k": 1}).ainvoke("west")) == ["west"]
    assert embedding.awaited == 6
    await store.adelete(filter={"n": 1})
    assert await store.aget_by_ids([]) == [] and store.store.count("langchain") == 1
    await store.adelete_collection()
    assert await store.asimilarity_search("east") == []
    store.close()


def test_langchain_indexing_removes_what_is_gone(places: DvespVectorStore) -> None:
    records = InMemoryRecordManager(namespace="places")
    records.create_schema()
    documents = [Document("east", metadata={"source": "1"}), Document("north", metadata={"source": "2"})]
    places.delete_collection()
    first = index(documents, records, places, cleanup="full", source_id_key="source", key_encoder="sha256")
    assert (first["num_added"], first["num_deleted"]) == (2, 0)
    second = index(documents[:1], records, places, cleanup="full", source_id_key="source", key_encoder="sha256")
    assert (second["num_skipped"], second["num_deleted"]) == (1, 1)
    assert texts(places.similarity_search("north")) == ["east"]

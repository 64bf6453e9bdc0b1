"""`dvesp.integrations.llama_index`: every operator, condition and mode, with the results that LlamaIndex's documentation says.

The expected ids are written by hand from `llama_index.core.vector_stores.types`, not computed.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from dvesp import InvalidArgument, Unavailable, VectorStore
from dvesp.integrations.llama_index import DvespVectorStore
from llama_index.core import Document, StorageContext, VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.schema import ImageNode, IndexNode, NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)

ALL_IDS = ["ant", "bee", "cat", "dog", "eel"]
EAST = [1.0, 0.0]


def animals() -> list[TextNode]:
    """Five nodes of three documents; eel has no metadata of its own."""
    rows: list[tuple[str, str, list[float], dict[str, Any]]] = [
        ("ant", "insects", [1.0, 0.0], {"legs": 6, "kind": "Insect", "tags": ["small", "social"], "note": "Ants are Strong"}),
        ("bee", "insects", [1.0, 0.01], {"legs": 6, "kind": "insect", "tags": ["flying", "social"], "note": "makes honey"}),
        ("cat", "pets", [1.0, 1.0], {"legs": 4, "kind": "mammal", "tags": ["pet"], "weight": 4.5, "note": ""}),
        ("dog", "pets", [0.0, 1.0], {"legs": 4, "kind": "mammal", "tags": [], "weight": 20.0, "note": "a STRONG swimmer"}),
        ("eel", "fish", [-1.0, 0.0], {}),
    ]
    return [
        TextNode(
            id_=id,
            text=f"about the {id}",
            embedding=vector,
            metadata=metadata,
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=document)},
        )
        for id, document, vector, metadata in rows
    ]


@pytest.fixture(params=["embedded", "cluster"])
def store(request: pytest.FixtureRequest) -> DvespVectorStore:
    """The animals, in a directory and on three nodes."""
    adapter = DvespVectorStore(request.getfixturevalue(f"{request.param}_store"), collection="animals")
    assert adapter.add(animals()) == ALL_IDS
    return adapter


def ids_of(store: DvespVectorStore, filters: MetadataFilters | None) -> list[str]:
    """What a query, `get_nodes` and a query by coroutine find, which has to be the same."""
    found = store.query(VectorStoreQuery(query_embedding=EAST, similarity_top_k=10, filters=filters)).ids
    assert found is not None
    assert sorted(found) == [node.node_id for node in store.get_nodes(filters=filters)]
    return sorted(found)


@pytest.mark.parametrize(
    ("key", "operator", "value", "expected"),
    [
        ("kind", FilterOperator.EQ, "mammal", ["cat", "dog"]),
        ("legs", FilterOperator.EQ, 6, ["ant", "bee"]),
        ("weight", FilterOperator.EQ, 4.5, ["cat"]),
        ("kind", FilterOperator.NE, "mammal", ["ant", "bee", "eel"]),
        ("legs", FilterOperator.GT, 4, ["ant", "bee"]),
        ("legs", FilterOperator.GTE, 4, ["ant", "bee", "cat", "dog"]),
        ("weight", FilterOperator.LT, 20.0, ["cat"]),
        ("weight", FilterOperator.LTE, 20.0, ["cat", "dog"]),
        ("kind", FilterOperator.IN, ["mammal", "fish"], ["cat", "dog"]),
        ("legs", FilterOperator.IN, [4, 8], ["cat", "dog"]),
        ("kind", FilterOperator.NIN, ["mammal", "Insect"], ["bee", "eel"]),
        ("tags", FilterOperator.ANY, ["flying", "pet"], ["bee", "cat"]),
        ("tags", FilterOperator.ANY, ["soc"], []),
        ("tags", FilterOperator.ALL, ["social", "small"], ["ant"]),
        ("tags", FilterOperator.ALL, ["social"], ["ant", "bee"]),
        ("tags", FilterOperator.CONTAINS, "social", ["ant", "bee"]),
        ("note", FilterOperator.TEXT_MATCH, "Strong", ["ant"]),
        ("note", FilterOperator.TEXT_MATCH_INSENSITIVE, "strong", ["ant", "dog"]),
        ("note", FilterOperator.TEXT_MATCH_INSENSITIVE, "none", []),
        ("kind", FilterOperator.TEXT_MATCH_INSENSITIVE, "INSECT", ["ant", "bee"]),
        ("tags", FilterOperator.IS_EMPTY, None, ["dog", "eel"]),
        ("note", FilterOperator.IS_EMPTY, None, ["cat", "eel"]),
        ("weight", FilterOperator.IS_EMPTY, None, ["ant", "bee", "eel"]),
    ],
)
def test_operator_finds_what_its_documentation_says(
    store: DvespVectorStore, key: str, operator: FilterOperator, value: Any, expected: list[str]
) -> None:
    filters = MetadataFilters(filters=[MetadataFilter(key=key, operator=operator, value=value)])
    assert ids_of(store, filters) == expected


def test_every_operator_of_llama_index_is_in_the_table() -> None:
    mark = next(m for m in test_operator_finds_what_its_documentation_says.pytestmark if m.name == "parametrize")
    assert {row[1] for row in mark.args[1]} == set(FilterOperator)


MAMMAL = MetadataFilter(key="kind", value="mammal")
SIX = MetadataFilter(key="legs", value=6)
HEAVY = MetadataFilter(key="weight", value=10, operator=FilterOperator.GT)
STRONG = MetadataFilter(key="note", value="strong", operator=FilterOperator.TEXT_MATCH_INSENSITIVE)
SIX_AND_STRONG = MetadataFilters(filters=[SIX, STRONG])
OR, NOT = FilterCondition.OR, FilterCondition.NOT


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (MetadataFilters(filters=[]), ALL_IDS),
        (MetadataFilters(filters=[MAMMAL, HEAVY]), ["dog"]),
        (MetadataFilters(filters=[MAMMAL, HEAVY], condition=None), ["dog"]),
        (MetadataFilters(filters=[SIX, HEAVY], condition=OR), ["ant", "bee", "dog"]),
        (MetadataFilters(filters=[SIX, HEAVY], condition=NOT), ["cat", "eel"]),
        (MetadataFilters(filters=[MetadataFilters(filters=[MAMMAL], condition=NOT), STRONG]), ["ant"]),
        (
            MetadataFilters(
                filters=[MetadataFilters(filters=[MAMMAL, HEAVY]), MetadataFilters(filters=[SIX, STRONG])], condition=OR
            ),
            ["ant", "dog"],
        ),
        (
            MetadataFilters(filters=[MetadataFilters(filters=[SIX_AND_STRONG], condition=NOT)]),
            ["bee", "cat", "dog", "eel"],
        ),
        (MetadataFilters(filters=[MetadataFilters(filters=[]), SIX]), ["ant", "bee"]),
    ],
)
def test_conditions_nest(store: DvespVectorStore, filters: MetadataFilters, expected: list[str]) -> None:
    assert ids_of(store, filters) == expected


@pytest.mark.parametrize(
    ("operator", "value", "message"),
    [
        (FilterOperator.IN, "mammal", "'kind' in takes a list, not 'mammal'"),
        (FilterOperator.ALL, 3, "'kind' all takes a list, not 3"),
        (FilterOperator.EQ, None, "'kind' == has no value: .*IS_EMPTY"),
        (FilterOperator.TEXT_MATCH_INSENSITIVE, 3, "'kind' text_match_insensitive takes a text, not 3"),
        (FilterOperator.GT, ["a"], "gt of field 'kind' takes a number or a string"),
    ],
)
def test_wrong_values_are_refused(operator: FilterOperator, value: Any, message: str) -> None:
    with DvespVectorStore() as store:
        store.add(animals())
        with pytest.raises(InvalidArgument, match=message):
            store.get_nodes(filters=MetadataFilters(filters=[MetadataFilter(key="kind", operator=operator, value=value)]))


def test_insensitive_match_reaches_nested_fields_and_lists() -> None:
    with DvespVectorStore() as store:
        store.add([TextNode(id_="1", embedding=EAST, metadata={"a": {"b.c": "Deep"}, "l": ["ONE", "two"]})])
        for key, text in (("a.b.c", "dEE"), ("l", "one")):
            condition = MetadataFilter(key=key, value=text, operator=FilterOperator.TEXT_MATCH_INSENSITIVE)
            assert [node.node_id for node in store.get_nodes(filters=MetadataFilters(filters=[condition]))] == ["1"]


# --- query modes ---


def test_default_mode_gives_nearest_nodes_and_similarities(store: DvespVectorStore) -> None:
    found = store.query(VectorStoreQuery(query_embedding=EAST, similarity_top_k=4))
    assert found.ids == ["ant", "bee", "cat", "dog"]
    assert found.similarities == pytest.approx([1, 1 / math.sqrt(1.0001), math.sqrt(0.5), 0], abs=1e-6)
    assert found.nodes is not None and found.nodes[0].get_content() == "about the ant"


def test_ids_of_nodes_and_documents_restrict_a_query(store: DvespVectorStore) -> None:
    def ids(**restrictions: Any) -> list[str] | None:
        return store.query(VectorStoreQuery(query_embedding=EAST, similarity_top_k=9, **restrictions)).ids

    assert ids(node_ids=["dog", "ant", "absent"]) == ["ant", "dog"]
    assert ids(doc_ids=["pets", "fish"]) == ["cat", "dog", "eel"]
    assert ids(doc_ids=["pets"], node_ids=["ant", "cat"]) == ["cat"]
    assert ids(doc_ids=["pets"], filters=MetadataFilters(filters=[HEAVY])) == ["dog"]
    assert ids(node_ids=[], doc_ids=[]) == ids() and len(ids() or []) == 5, "LlamaIndex's retriever says `no restriction` so"


def test_mmr_mode_prefers_what_is_different(store: DvespVectorStore) -> None:
    def ids(threshold: float | None, **kwargs: Any) -> list[str] | None:
        query = VectorStoreQuery(
            query_embedding=EAST, similarity_top_k=2, mode=VectorStoreQueryMode.MMR, mmr_threshold=threshold
        )
        return store.query(query, **kwargs).ids

    assert ids(1.0) == ["ant", "bee"]
    assert ids(0.1) == ["ant", "eel"]
    assert ids(None, mmr_threshold=0.1) == ["ant", "eel"]
    assert ids(0.1, mmr_prefetch_k=4) == ["ant", "dog"]
    assert ids(0.1, mmr_prefetch_factor=1) == ["ant", "bee"]
    with pytest.raises(InvalidArgument, match="both given"):
        ids(0.1, mmr_prefetch_factor=1, mmr_prefetch_k=4)
    none = MetadataFilters(filters=[MetadataFilter(key="kind", value="none")])
    empty = store.query(VectorStoreQuery(query_embedding=EAST, mode=VectorStoreQueryMode.MMR, filters=none))
    assert (empty.ids, empty.nodes, empty.similarities) == ([], [], [])


@pytest.mark.parametrize(
    ("mode", "lacking"),
    [
        (VectorStoreQueryMode.SPARSE, "sparse vectors"),
        (VectorStoreQueryMode.HYBRID, "sparse vectors or a text index"),
        (VectorStoreQueryMode.TEXT_SEARCH, "a text index"),
        (VectorStoreQueryMode.SEMANTIC_HYBRID, "a text index and a reranker"),
        (VectorStoreQueryMode.SVM, "classifiers"),
        (VectorStoreQueryMode.LOGISTIC_REGRESSION, "classifiers"),
        (VectorStoreQueryMode.LINEAR_REGRESSION, "classifiers"),
    ],
)
def test_modes_that_the_store_lacks_say_what_is_missing(mode: VectorStoreQueryMode, lacking: str) -> None:
    with DvespVectorStore() as store, pytest.raises(Unavailable, match=f"query mode {mode.value}: this store has no {lacking}"):
        store.query(VectorStoreQuery(query_embedding=EAST, query_str="ant", mode=mode))


@pytest.mark.parametrize(("metric", "similarity"), [("cosine", -1.0), ("dot_product", -2.0), ("l2", 1 / 4)])
def test_metric_decides_the_similarity(metric: str, similarity: float) -> None:
    with DvespVectorStore(metric=metric) as store:
        store.add([TextNode(id_="1", embedding=[-2.0, 0.0])])
        found = store.query(VectorStoreQuery(query_embedding=EAST))
        assert found.similarities == pytest.approx([similarity])


# --- nodes ---


def test_nodes_come_back_as_they_were(store: DvespVectorStore) -> None:
    nodes = animals()
    assert store.get_nodes(["cat", "absent", "ant"]) == [
        node.model_copy(update={"embedding": [float(x) for x in node.embedding or []]}) for node in (nodes[2], nodes[0])
    ]
    assert store.get_nodes(["cat", "ant"], MetadataFilters(filters=[SIX]))[0].node_id == "ant"
    assert [node.node_id for node in store.get_nodes()] == ALL_IDS


def test_kinds_of_nodes_survive() -> None:
    nodes = [
        IndexNode(id_="1", text="t", index_id="other", embedding=EAST),
        ImageNode(id_="2", text="t", image_url="somewhere", embedding=EAST),
        TextNode(id_="3", text="ünïcode", metadata={"deep": {"list": [1, None, {"x": True}]}}, embedding=EAST),
    ]
    with DvespVectorStore() as store:
        store.add(nodes)
        assert store.get_nodes() == nodes
        assert [type(node) for node in store.get_nodes()] == [IndexNode, ImageNode, TextNode]


def test_records_of_others_become_nodes() -> None:
    with VectorStore() as plain:
        plain.upsert([{"id": "x", "vector": EAST, "metadata": {"text": "hello", "n": 1}}], collection="c")
        node = DvespVectorStore(plain, collection="c").get_nodes()[0]
        assert (node.node_id, node.get_content(), node.metadata) == ("x", "hello", {"n": 1})


def test_delete_by_document_by_id_and_by_filter(store: DvespVectorStore) -> None:
    store.delete("insects")
    assert ids_of(store, None) == ["cat", "dog", "eel"]
    store.delete_nodes(["cat", "absent"])
    assert ids_of(store, None) == ["dog", "eel"]
    store.delete_nodes(["eel"], MetadataFilters(filters=[MAMMAL]))
    assert ids_of(store, None) == ["dog", "eel"]
    store.delete_nodes(filters=MetadataFilters(filters=[MAMMAL]))
    assert ids_of(store, None) == ["eel"]
    with pytest.raises(InvalidArgument, match="clear removes everything"):
        store.delete_nodes()
    store.clear()
    assert ids_of(store, None) == [] and store.client.list_collections() == ["animals"]
    store.add(animals()[:1])
    assert ids_of(store, None) == ["ant"]


def test_an_empty_store_answers_and_refuses_nodes_without_embedding() -> None:
    with DvespVectorStore() as store:
        assert store.query(VectorStoreQuery(query_embedding=EAST)).ids == [] and store.get_nodes() == []
        store.clear()
        store.delete("nothing")
        assert store.add([]) == []
        with pytest.raises(InvalidArgument, match="node 'n' has no embedding"):
            store.add([TextNode(id_="n", text="t")])
        with pytest.raises(InvalidArgument, match="query_embedding is None"):
            store.query(VectorStoreQuery(query_str="t"))


async def test_coroutines_do_the_same(embedded_store: VectorStore) -> None:
    store = DvespVectorStore(embedded_store)
    assert await store.async_add(animals()) == ALL_IDS
    assert (await store.aquery(VectorStoreQuery(query_embedding=EAST, similarity_top_k=1))).ids == ["ant"]
    await store.adelete("pets")
    await store.adelete_nodes(["eel"])
    assert [node.node_id for node in await store.aget_nodes()] == ["ant", "bee"]
    await store.adelete_nodes(filters=MetadataFilters(filters=[MetadataFilter(key="kind", value="insect")]))
    assert [node.node_id for node in await store.aget_nodes()] == ["ant"]
    await store.aclear()
    assert await store.aget_nodes() == []


class Letters(BaseEmbedding):
    """Counts of the letters a to h."""

    def _get_text_embedding(self, text: str) -> list[float]:
        return [text.count(letter) + 0.01 for letter in "abcdefgh"]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


async def test_an_index_is_built_asked_and_reopened(tmp_path: Path) -> None:
    documents = [
        Document(text="aaa aaa", doc_id="1", metadata={"n": 1}),
        Document(text="bbb bbb", doc_id="2", metadata={"n": 2}),
    ]
    with DvespVectorStore(path=tmp_path / "s") as store:
        context = StorageContext.from_defaults(vector_store=store)
        index = VectorStoreIndex.from_documents(documents, storage_context=context, embed_model=Letters())
        index.insert(Document(text="ccc", doc_id="3", metadata={"n": 3}))
        index.delete_ref_doc("2")
    with DvespVectorStore(path=tmp_path / "s") as store:
        index = VectorStoreIndex.from_vector_store(store, embed_model=Letters())
        found = index.as_retriever(similarity_top_k=3).retrieve("a")
        assert [(hit.node.ref_doc_id, hit.text) for hit in found] == [("1", "aaa aaa"), ("3", "ccc")]
        assert found[0].score is not None and found[0].score > 0.9
        mmr = index.as_retriever(vector_store_query_mode="mmr", similarity_top_k=1)
        assert [hit.text for hit in await mmr.aretrieve("c")] == ["ccc"]
        filtered = index.as_retriever(filters=MetadataFilters(filters=[MetadataFilter(key="n", value=3)]))
        assert [hit.text for hit in filtered.retrieve("a")] == ["ccc"]

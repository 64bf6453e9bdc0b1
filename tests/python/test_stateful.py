"""Random histories of a store against a dict: writes, deletes, flush, compact, reopen, and every way to read."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from dvesp import IdExists, IdNotFound, VectorStore, VersionConflict
from filter_model import matches
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

DIMENSION = 3
ids = st.sampled_from([f"id{i}" for i in range(12)])
vectors = st.lists(st.integers(-4, 4), min_size=DIMENSION, max_size=DIMENSION).filter(any)
metadata = st.none() | st.fixed_dictionaries({}, optional={"n": st.integers(0, 3), "tags": st.lists(st.sampled_from("ab"))})
records = st.dictionaries(ids, st.tuples(vectors, metadata), min_size=1, max_size=5)
filters = st.sampled_from([{"n": 1}, {"n": {"$gte": 2}}, {"tags": "a"}, {"n": {"$exists": False}}, {"$not": {"tags": "b"}}])


class StoreAgainstDict(RuleBasedStateMachine):
    """The model: id -> (vector, metadata, version)."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="dvesp-stateful-"))
        self.model: dict[str, tuple[list[int], Any, int]] = {}
        self.store = VectorStore(self.directory / "store")

    @initialize(metric=st.sampled_from(["cosine", "l2", "dot_product"]), index=st.sampled_from(["hnsw", "ivf", "flat"]))
    def create(self, metric: str, index: str) -> None:
        self.store.create_collection("default", DIMENSION, metric, index)

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.directory)

    def same(self, id: str, content: tuple[list[int], Any]) -> bool:
        return self.model[id][:2] == content

    @rule(batch=records)
    def insert(self, batch: dict[str, tuple[list[int], Any]]) -> None:
        conflict = any(id in self.model and not self.same(id, content) for id, content in batch.items())
        rows, fields = zip(*batch.values(), strict=True)
        try:
            self.store.insert(list(rows), list(fields), list(batch))
            assert not conflict, "an insert over other content was accepted"
        except IdExists:
            assert conflict, "an insert without conflict was refused"
            return
        for id, (row, field) in batch.items():
            self.model.setdefault(id, (row, field, 1))

    @rule(batch=records)
    def upsert(self, batch: dict[str, tuple[list[int], Any]]) -> None:
        self.store.upsert([{"id": id, "vector": row, "metadata": field} for id, (row, field) in batch.items()])
        for id, (row, field) in batch.items():
            version = self.store.get(id)[0].version  # type: ignore[union-attr]
            before = self.model.get(id)
            grown = before is None or (version - before[2] in ((0, 1) if before[:2] == (row, field) else (1,)))
            assert version >= 1 and grown, "versions start at 1 and grow by 1"
            self.model[id] = (row, field, version)

    @rule(id=ids, row=st.none() | vectors, field=st.none() | st.fixed_dictionaries({"n": st.integers(0, 3)}))
    def update(self, id: str, row: list[int] | None, field: Any) -> None:
        if row is None and field is None:
            return
        try:
            version = self.store.update(id, row, field).version
        except IdNotFound:
            assert id not in self.model
            return
        old_row, old_field, old_version = self.model[id]
        assert version == old_version + 1
        self.model[id] = (row or old_row, old_field if field is None else field, version)

    @rule(id=ids, offset=st.sampled_from([1, 2]))
    def update_with_wrong_version(self, id: str, offset: int) -> None:
        if id in self.model:
            try:
                self.store.update(id, metadata={"n": 0}, if_version=self.model[id][2] + offset)
            except VersionConflict:
                return
            raise AssertionError("a wrong if_version was accepted")

    @rule(gone=st.lists(ids, max_size=4))
    def delete(self, gone: list[str]) -> None:
        there = {id for id in gone if id in self.model}
        assert self.store.delete(gone).deleted == len(there)
        for id in there:
            del self.model[id]

    @rule(filter=filters)
    def delete_by_filter(self, filter: dict[str, Any]) -> None:
        there = self.matching(filter)
        assert self.store.delete(filter=filter).deleted == len(there)
        for id in there:
            del self.model[id]

    @rule()
    def flush(self) -> None:
        self.store.flush()

    @rule()
    def compact(self) -> None:
        self.store.compact()

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = VectorStore(self.directory / "store")

    @rule()
    def go_through_a_snapshot(self) -> None:
        copy = self.directory / "copy"
        self.store.snapshot(copy)
        self.store.close()
        shutil.rmtree(self.directory / "store")
        self.store = VectorStore.restore(copy, self.directory / "store")
        shutil.rmtree(copy)

    def matching(self, filter: dict[str, Any]) -> set[str]:
        return {id for id, (_, field, _) in self.model.items() if matches(filter, field)}

    @rule(filter=filters)
    def filtered_reads_agree(self, filter: dict[str, Any]) -> None:
        wanted = self.matching(filter)
        assert self.store.count(filter=filter) == len(wanted)
        assert {record.id for record in self.store.scroll(filter=filter)} == wanted
        assert {match.id for match in self.store.search([1, 2, 3], filter=filter, top_k=20)} == wanted

    @rule(query=vectors)
    def search_is_exact(self, query: list[int]) -> None:
        result = self.store.search(query, 20, "l2")
        truth = {id: float(np.linalg.norm(np.subtract(row, query))) for id, (row, _, _) in self.model.items()}
        assert {match.id for match in result} == set(truth)
        np.testing.assert_allclose([match.distance for match in result], sorted(truth.values()), rtol=1e-5, atol=1e-5)
        for match in result:
            row, field, _ = self.model[match.id]
            assert match.metadata == field and match.vector is not None and match.vector.tolist() == row

    @rule()
    def verify(self) -> None:
        report = self.store.verify()
        assert report.ok, report.problems

    @invariant()
    def every_record_is_the_models(self) -> None:
        if "default" not in self.store.list_collections():
            return
        assert self.store.count() == len(self.model)
        for record in self.store.get(list(self.model)):
            assert record is not None
            assert (record.vector.tolist(), record.metadata, record.version) == self.model[record.id]
        assert {record.id for record in self.store.scroll(batch_size=5)} == set(self.model)


TestStoreAgainstDict = StoreAgainstDict.TestCase
TestStoreAgainstDict.settings = settings(
    max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)

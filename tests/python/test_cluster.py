"""Three real nodes: the example of the contract, levels, nodes that stop, die, come back, and lose their disks."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvesp import InvalidArgument, Timeout, Unavailable, VectorStore
from node_cluster import Cluster

pytestmark = pytest.mark.slow
V = np.eye(4, dtype=np.float32)


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes of this test alone."""
    with Cluster(tmp_path, 3) as running:
        yield running


def metric(cluster: Cluster, number: int, name: str) -> dict[str, int]:
    """The values of one metric of a node, by its labels."""
    with urllib.request.urlopen(f"http://{cluster.addresses[number]}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return {line.split()[0].removeprefix(name): int(line.split()[1]) for line in lines if line.startswith(name)}


def leader(cluster: Cluster, wait: Callable[[Callable[[], bool]], None]) -> int:
    """The number of the node that leads the first collection."""
    leads: list[int] = []

    def found() -> bool:
        leads[:] = [n for n in cluster.processes if metric(cluster, n, "dvesp_group_leads").get('{group="1"}') == 1]
        return len(leads) == 1

    wait(found)
    return leads[0]


def test_example_of_the_contract_runs_and_every_field_is_right(three: Cluster) -> None:
    store = VectorStore(nodes=three.addresses, consistency_level="QUORUM")
    vectors = np.random.default_rng(0).random((1000, 384)).astype("float32")
    before = time.time() * 1000
    result = store.insert(
        vectors=vectors,
        metadata=[{"source": "document", "id": str(i)} for i in range(1000)],
        collection="embeddings",
        timeout_ms=5000,
    )
    assert result.status == "success" and len(set(result.vector_ids)) == 1000
    assert all(len(id) == 36 and id[14] == "4" for id in result.vector_ids)
    assert len(result.storage_nodes) >= 2 and set(result.storage_nodes) <= {"node0", "node1", "node2"}
    assert len(bytes.fromhex(result.consistency_hash)) == 32 and before - 2000 < result.timestamp_ms < time.time() * 1000 + 2000
    found = store.search(
        query_vector=vectors[7], collection="embeddings", top_k=10, distance_metric="cosine", filter={"source": "document"}
    )
    assert found.results[0].id == result.vector_ids[7] and found.results[0].distance == pytest.approx(0, abs=1e-5)
    assert np.array_equal(found.results[0].vector, vectors[7]) and found.results[0].metadata == {
        "source": "document",
        "id": "7",
    }
    assert len(found.results) == 10 and found.metrics.time_ms > 0
    assert (found.metrics.nodes_queried, found.metrics.consistency_level_achieved) == (2, "QUORUM")


@pytest.mark.parametrize(("level", "nodes"), [("ONE", 1), ("QUORUM", 2), ("ALL", 3)])
def test_levels_say_how_many_nodes_they_asked_and_see_what_was_written(cluster: Cluster, level: str, nodes: int) -> None:
    with VectorStore(nodes=cluster.addresses, consistency_level=level) as store:
        ids = store.insert(V, collection=f"level-{level}").vector_ids
        store.update(ids[0], metadata={"n": 1}, collection=f"level-{level}")
        found = store.search(V[0], collection=f"level-{level}")
        assert found.metrics.nodes_queried == nodes and found.metrics.consistency_level_achieved == level
        assert found.results[0].metadata == {"n": 1} and store.count(f"level-{level}") == 4
        store.drop_collection(f"level-{level}")


def test_leader_dies_and_nothing_acknowledged_is_lost(three: Cluster, wait_until: Callable[[Callable[[], bool]], None]) -> None:
    store = VectorStore(nodes=three.addresses)
    ids = store.insert(V).vector_ids
    for _ in range(3):
        victim = leader(three, wait_until)
        three.kill(victim)
        start = time.monotonic()
        ids += store.insert(V, timeout_ms=10_000).vector_ids
        assert time.monotonic() - start < 10
        three.start(victim)
        expected = len(ids)
        wait_until(lambda expected=expected: store.count() == expected)
    assert all(store.get(ids)) and store.verify()


def test_all_nodes_die_at_once_and_come_back_with_everything(three: Cluster) -> None:
    store = VectorStore(nodes=three.addresses)
    ids = [id for _ in range(20) for id in store.insert(V).vector_ids]
    for number in list(three.processes):
        three.kill(number)
    for number in range(3):
        three.start(number)
    three.wait_until_ready()
    assert all(store.get(ids, timeout_ms=10_000)) and store.count() == len(ids)


def test_minority_refuses_writes_but_reads_at_one_go_on(
    three: Cluster, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    store = VectorStore(nodes=three.addresses)
    ids = store.insert(V).vector_ids
    wait_until(lambda: all(metric(three, n, "dvesp_group_applied_index")['{group="1"}'] >= 2 for n in range(3)))
    alone = leader(three, wait_until)
    for number in set(range(3)) - {alone}:
        three.kill(number)
    time.sleep(2)  # the leader notices
    left = VectorStore(nodes=[three.addresses[alone]])
    assert left.insert(V, timeout_ms=1000).status == "failed"
    with pytest.raises((Unavailable, Timeout)):
        left.count(timeout_ms=1000)
    assert all(left.get(ids, consistency_level="ONE"))
    with pytest.raises(Unavailable):
        left.create_collection("new", 4, timeout_ms=1000)


def test_write_at_all_is_partial_while_a_replica_is_away(
    three: Cluster, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    store = VectorStore(nodes=three.addresses, consistency_level="ALL")
    assert store.insert(V).status == "success"
    three.kill((leader(three, wait_until) + 1) % 3)
    result = store.insert(V, timeout_ms=4000)
    assert result.status == "partial" and len(result.storage_nodes) == 2
    assert store.count(consistency_level="QUORUM") == 8


def test_node_that_lost_its_disk_comes_back_whole(three: Cluster, wait_until: Callable[[Callable[[], bool]], None]) -> None:
    store = VectorStore(nodes=three.addresses)
    rows = np.random.default_rng(1).random((20_000, 16), dtype=np.float32)
    for first in range(0, 20_000, 5000):
        store.insert(rows[first : first + 5000])
    ids = store.insert(V.repeat(4, axis=1)).vector_ids
    store.delete(ids[:2])
    three.kill(0)
    shutil.rmtree(three.directory / "n0")
    three.start(0)
    one = VectorStore(nodes=[three.addresses[0]], consistency_level="ONE")

    def is_back() -> bool:
        try:
            return one.count(timeout_ms=1000) == 20_002
        except (Unavailable, Timeout, LookupError):
            return False

    wait_until(is_back)
    wait_until(lambda: set(metric(three, 0, "dvesp_group_voters").values()) == {3})
    assert one.get(ids)[:2] == [None, None] and store.verify()
    query = rows[11]
    exact: list[Any] = [s.search(query, params={"exact": True}).results for s in (one, store)]
    assert [match.id for match in exact[0]] == [match.id for match in exact[1]]


def test_snapshot_under_writes_is_of_one_moment_and_outlives_the_leader(
    three: Cluster, tmp_path: Path, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    rows, batch = 6000, 20
    vectors = np.random.default_rng(1).standard_normal((rows, 64)).astype("float32")
    ids = [f"row-{number:05}" for number in range(rows)]
    with VectorStore(nodes=three.addresses) as store, VectorStore(nodes=three.addresses) as writing:
        store.insert(vectors, [{"round": 0}] * rows, ids, timeout_ms=20_000)
        stop = threading.Event()
        acknowledged = [0]

        def write() -> None:
            """Upserts the same ids in one batch, round after round: a snapshot must never hold two rounds."""
            while not stop.is_set():
                with contextlib.suppress(Timeout, Unavailable):
                    number = acknowledged[0] + 1
                    writing.upsert(ids=ids[:batch], vectors=vectors[:batch], metadata=[{"round": number}] * batch)
                    acknowledged[0] = number

        thread = threading.Thread(target=write)
        thread.start()
        try:
            for kills in (False, True):
                path = tmp_path / f"copy-{kills}"
                wait_until(lambda: acknowledged[0] > 0)
                seen = acknowledged[0]
                killer = threading.Timer(0.05, three.kill, [leader(three, wait_until)])
                if kills:
                    killer.start()
                store.snapshot(path)
                with VectorStore(path) as copy:
                    found = {record.id: record for record in copy.scroll()}
                    assert sorted(found) == ids and copy.verify().ok
                    rounds = {found[id].metadata["round"] for id in ids[:batch]}
                    assert len(rounds) == 1 and rounds.pop() >= seen
                    for number in range(batch, rows):
                        assert found[ids[number]].version == 1
                        assert found[ids[number]].vector.tobytes() == vectors[number].tobytes()
        finally:
            stop.set()
            thread.join()
            killer.join(timeout=10)
    assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy-False", "copy-True"]


def test_snapshot_without_a_majority_fails_and_leaves_nothing(three: Cluster, tmp_path: Path) -> None:
    with VectorStore(nodes=three.addresses) as store:
        store.insert(V, timeout_ms=20_000)
        three.kill(0)
        three.kill(1)
        before = sorted(path.name for path in tmp_path.iterdir())
        started = time.monotonic()
        with pytest.raises(Unavailable):
            store.snapshot(tmp_path / "copy")
        assert time.monotonic() - started < 60
        assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_restarted_node_catches_up_and_stops_cleanly(three: Cluster, wait_until: Callable[[Callable[[], bool]], None]) -> None:
    store = VectorStore(nodes=three.addresses)
    store.insert(V)
    assert three.stop(1) == 0
    for _ in range(200):
        store.insert(V)
    store.create_collection("made-meanwhile", 4)
    three.start(1)
    one = VectorStore(nodes=[three.addresses[1]], consistency_level="ONE")
    wait_until(lambda: one.count() == 804)
    wait_until(lambda: metric(three, 1, "dvesp_group_applied_index").get('{group="2"}', 0) >= 1)
    assert store.insert(V, collection="made-meanwhile", consistency_level="ALL").status == "success"


def test_status_names_every_member_and_collections_ask_for_replicas(cluster: Cluster) -> None:
    with VectorStore(nodes=cluster.addresses) as store:
        store.create_collection("two", 4, replication_factor=2)
        assert len(store.insert(V, collection="two", consistency_level="ALL").storage_nodes) == 2
        status = json.loads(json.dumps(store.status()))
        assert sorted(member["node_id"] for member in status["members"]) == ["node0", "node1", "node2"]
        group = store.status()["members"][0]["shards"] + store.status()["members"][1]["shards"]
        group += store.status()["members"][2]["shards"]
        assert sum(shard == max(group) for shard in group) == 2
        assert store.search(V[0], collection="two", top_k=1).results and store.count("two") == 4
        with pytest.raises(InvalidArgument, match="replication_factor"):
            store.create_collection("four", 4, replication_factor=4)
        store.drop_collection("two")

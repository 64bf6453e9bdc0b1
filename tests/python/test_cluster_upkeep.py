"""Real nodes over time: damaged disks that are found and mended, versions that are mixed while a cluster is upgraded."""

from __future__ import annotations

import contextlib
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dvesp import VectorStore
from node_cluster import Cluster

pytestmark = pytest.mark.slow
Wait = Callable[[Callable[[], bool]], None]


def metric(cluster: Cluster, number: int, name: str) -> list[int]:
    """The values of one metric of a node."""
    with urllib.request.urlopen(f"http://{cluster.addresses[number]}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return [int(line.split()[1]) for line in lines if line.split("{")[0].split()[0] == name]


def speaks(cluster: Cluster, format: int) -> bool:
    return all(metric(cluster, number, "dvesp_cluster_format") == [format] for number in cluster.processes)


def is_mended(cluster: Cluster, number: int) -> bool:
    """A newcomer learns first; it votes when it has everything, and then the one that it replaces is gone."""
    try:
        voters, learners = metric(cluster, number, "dvesp_group_voters"), metric(cluster, number, "dvesp_group_learners")
    except OSError:  # it starts
        return False
    return voters == [3, 3] and learners == [0, 0]


def turn_bits(path: Path, rng: np.random.Generator, count: int) -> None:
    data = bytearray(path.read_bytes())
    written = len(data.rstrip(b"\0"))
    for place in rng.integers(0, written, count):
        data[place] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)


def fill(store: VectorStore, rng: np.random.Generator) -> np.ndarray:
    rows = rng.random((6000, 16), dtype=np.float32)
    for first in range(0, len(rows), 1000):
        store.insert(rows[first : first + 1000], ids=[f"r{at}" for at in range(first, first + 1000)])
    return rows


def check(store: VectorStore, rows: np.ndarray) -> None:
    assert store.count() == len(rows)
    found = store.get([f"r{at}" for at in range(len(rows))])
    assert all(record is not None and np.array_equal(record.vector, row) for record, row in zip(found, rows, strict=True))


def test_damaged_log_is_set_aside_and_everything_is_fetched_again(tmp_path: Path, wait_until: Wait) -> None:
    rng = np.random.default_rng(3)
    with Cluster(tmp_path, 3) as cluster, VectorStore(nodes=cluster.addresses) as store:
        rows = fill(store, rng)
        wait_until(lambda: (tmp_path / "n1" / "peers").exists())
        assert cluster.stop(1) == 0
        for log in sorted((tmp_path / "n1" / "log").iterdir()):
            turn_bits(log, rng, 20)
        cluster.start(1)
        assert "damaged" in cluster.log(1) and (tmp_path / "n1" / "damaged-1" / "log").is_dir()
        wait_until(lambda: is_mended(cluster, 1))
        cluster.kill(0)  # the mended node is needed now
        check(store, rows)
        cluster.start(0)
        wait_until(lambda: is_mended(cluster, 0))
        assert store.verify()


def test_damaged_segment_is_found_while_the_node_runs_and_mended(tmp_path: Path, wait_until: Wait) -> None:
    rng = np.random.default_rng(4)
    options = ["--insecure", "--scrub-seconds", "1"]
    with Cluster(tmp_path, 3, options) as cluster, VectorStore(nodes=cluster.addresses) as store:
        rows = fill(store, rng)
        store.flush()
        wait_until(lambda: speaks(cluster, 2))
        segments = sorted((tmp_path / "n2" / "seg").iterdir())
        assert segments
        turn_bits(segments[0], rng, 1)
        wait_until(lambda: (tmp_path / "n2" / "damaged-1").is_dir())
        wait_until(lambda: is_mended(cluster, 2))
        wait_until(lambda: metric(cluster, 2, "dvesp_scrubs_total") != [0])
        assert metric(cluster, 2, "dvesp_disk_damaged") == [0]
        check(store, rows)
        assert store.verify()


def test_node_with_a_damaged_disk_and_nobody_to_ask_keeps_everything_where_it_is(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    with Cluster(tmp_path, 1) as cluster:
        with VectorStore(nodes=cluster.addresses) as store:
            fill(store, rng)
        cluster.stop(0)
        log = min((tmp_path / "n0" / "log").iterdir())
        turn_bits(log, rng, 20)
        with pytest.raises(AssertionError, match="damaged"):
            cluster.start(0)
        assert log.exists() and not (tmp_path / "n0" / "damaged-1").exists()


def test_versions_are_mixed_under_load_and_nothing_is_lost(tmp_path: Path, wait_until: Wait) -> None:
    """Nodes that speak the previous format are replaced one by one; the last one lifts the cluster to the new format."""
    new = set[int]()
    errors: list[str] = []
    written: dict[str, float] = {}
    is_over = threading.Event()
    with Cluster(tmp_path, 3, lambda number: ["--insecure", *([] if number in new else ["--format", "1"])]) as cluster:

        def work(number: int) -> None:
            with VectorStore(nodes=cluster.addresses) as store:
                at = 0
                while not is_over.is_set():
                    try:
                        id = f"{number}-{at}"
                        store.upsert({"id": id, "vector": [float(at), number, 1, 1]}, timeout_ms=15_000)
                        written[id] = float(at)
                        at += 1
                        if at % 100 == 0:
                            store.create_collection(f"c{number}", 4, exist_ok=True, timeout_ms=15_000)
                        store.get([id], timeout_ms=15_000)
                    except Exception as error:
                        errors.append(repr(error))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for number in range(3):
            time.sleep(1)
            assert speaks(cluster, 1)
            assert cluster.stop(number) == 0
            new.add(number)
            cluster.start(number)
        wait_until(lambda: speaks(cluster, 2))
        time.sleep(1)
        is_over.set()
        for thread in threads:
            thread.join()
        assert not errors and len(written) > 100
        with VectorStore(nodes=cluster.addresses) as store:
            records = store.get(list(written))
            assert all(record and record.vector[0] == value for record, value in zip(records, written.values(), strict=True))
        cluster.stop(0)
        new.discard(0)
        with contextlib.suppress(AssertionError):  # it knows at once, or when it has read on
            cluster.start(0)
        wait_until(lambda: "speaks format 2, this node only format 1" in cluster.log(0))


def test_replicas_are_compared_under_writes_and_found_equal(tmp_path: Path, wait_until: Wait) -> None:
    with Cluster(tmp_path, 3, ["--insecure", "--scrub-seconds", "2"]) as cluster, VectorStore(nodes=cluster.addresses) as store:
        rows = fill(store, np.random.default_rng(3))
        deadline = time.monotonic() + 8
        number = 0
        while time.monotonic() < deadline:  # checks fall between batches, upserts and deletes
            store.upsert({"id": f"r{number % 6000}", "vector": rows[number % 6000]})
            store.delete(ids=[f"gone{number}"])
            number += 1
        store.flush()
        wait_until(lambda: sum(metric(cluster, node, "dvesp_comparisons_total")[0] for node in range(3)) >= 3)
        for node in range(3):
            assert metric(cluster, node, "dvesp_divergences_total") == [0]
            assert metric(cluster, node, "dvesp_comparisons_undecided_total") == [0]
            assert "differ" not in cluster.log(node) and "damaged" not in cluster.log(node)
        queues = store.status(detail=True)["queues"]
        assert queues and all("problem" not in waiting for waiting in queues.values())
        check(store, rows)

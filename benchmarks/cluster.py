"""Three nodes and their clients on one machine: failover, latencies at each level, throughput, lag between replicas.

Everything shares the machine's cores and its disk: three copies are written where a real cluster writes one on each machine.
Failover: the leader of the collection is killed (kill -9) under load; the gap is the time between the last write acknowledged
before the kill and the first after it. Lag: from the acknowledgement of a write at QUORUM (the leader has applied it) until a
read at ONE finds it on every other node, polled.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import numpy as np
import plots
import vectors
from dvesp import Error, VectorStore

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "python"))
from node_cluster import Cluster

DIMENSION = 384
THREADS = 8


def main() -> int:
    """Measures and writes the report."""
    parser = common.parser("cluster", __doc__ or "")
    parser.add_argument("--trials", type=int, default=100, help="leaders to kill")
    parser.add_argument("--rows", type=int, default=100_000, help="to search among")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each throughput")
    parser.add_argument("--parts", default="batches,search,writes,lag,failover", help="the others keep their earlier figures")
    parser.add_argument("--batches", type=int, default=30, help="inserts of 10,000")
    options = parser.parse_args()
    parts = options.parts.split(",")
    earlier = json.loads(options.json.read_text(encoding="utf-8"))["results"] if options.json.exists() else {}
    results: dict[str, Any] = {name: part for name, part in earlier.items() if name not in parts}
    with common.scratch(options) as directory:
        with Cluster(directory, 3) as cluster, VectorStore(nodes=cluster.addresses) as store:
            if "batches" in parts:
                results["batches"] = _batches(store, options.batches)
            if "search" in parts:
                results["search"] = _searches(store, options)
            if "writes" in parts:
                results["writes"] = _writes(store, options.seconds)
            if "lag" in parts:
                results["lag"] = _lag(store, cluster.addresses)
        failover = directory / "failover"
        failover.mkdir()
        if "failover" in parts:
            with Cluster(failover, 3) as cluster:
                results["failover"] = _failover(cluster, options.trials)
    for name in parts:
        results[name]["commit"] = common._git("rev-parse", "--short", "HEAD")
    gaps = results.get("failover", {}).get("gaps_s", [])
    if "failover" in parts:
        shares = [(number + 1) / len(gaps) for number in range(len(gaps))]
        panel = plots.Panel("leader killed under load: writes resumed", "share of trials", lines={"by": (sorted(gaps), shares)})
        plots.save(options.plot, "Failover", [panel], columns=1)
    common.write_report(options, {"trials": options.trials, "rows": options.rows, "dimension": DIMENSION}, results)
    common.print_table(
        "cluster of three on one machine", ("what", "figures"), [(name, str(value)) for name, value in results.items()]
    )
    return 0


def _rows(count: int, dimension: int = DIMENSION, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal((count, dimension), np.float32)


def _batches(store: VectorStore, count: int) -> dict[str, Any]:
    out = {}
    for dimension in (DIMENSION, 1536):
        rows = _rows(10_000, dimension)
        times = []
        for number in range(count + 2):
            took = common.timed(
                lambda rows=rows, dimension=dimension: store.insert(rows, collection=f"b{dimension}", timeout_ms=30_000)
            )
            if number >= 2:
                times.append(took)
            time.sleep(0.3)
        out[f"insert_10k_x_{dimension}_ms"] = common.milliseconds(times)
        store.drop_collection(f"b{dimension}")
    return out


def _on_threads(work: Callable[[int], None], seconds: float) -> list[float]:
    """Calls `work` from eight threads for a while; the durations of all calls in seconds."""
    times: list[list[float]] = [[] for _ in range(THREADS)]
    deadline = time.monotonic() + seconds

    def loop(thread: int) -> None:
        while time.monotonic() < deadline:
            times[thread].append(common.timed(lambda: work(thread)))

    threads = [threading.Thread(target=loop, args=(thread,)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [one for thread in times for one in thread]


def _searches(store: VectorStore, options: Any) -> dict[str, Any]:
    data = vectors.load(options.data, options.rows)
    for first in range(0, len(data.rows), 10_000):
        store.insert(np.ascontiguousarray(data.rows[first : first + 10_000]), collection="s", timeout_ms=60_000)
    store.compact("s")
    queries = data.queries[:1000]
    out: dict[str, Any] = {"rows": len(data.rows), "data": "real embeddings" if options.data else "made"}
    for level in ("ONE", "QUORUM", "ALL"):
        alone = [
            common.timed(lambda query=query, level=level: store.search(query, collection="s", consistency_level=level))
            for query in queries
        ]
        out[f"alone_{level}_ms"] = common.milliseconds(alone)
        together = _on_threads(lambda thread, level=level: _search(store, queries, thread, level), options.seconds)
        out[f"threads_{level}"] = {"qps": round(len(together) / options.seconds), **common.milliseconds(together)}
    return out


def _search(store: VectorStore, queries: Any, thread: int, level: str) -> None:
    store.search(queries[(thread * 131 + int(time.monotonic() * 1e6)) % len(queries)], collection="s", consistency_level=level)


def _writes(store: VectorStore, seconds: float) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for level in ("ONE", "QUORUM", "ALL"):
        rows = _rows(1000, seed=5)
        times = _on_threads(lambda thread, rows=rows, level=level: _insert(store, rows[thread : thread + 1], level), seconds)
        out[f"insert_{level}"] = {"per_second": round(len(times) / seconds), **common.milliseconds(times)}
    ids = store.insert(_rows(2000, seed=6), collection="w").vector_ids
    update = [common.timed(lambda id=id: store.update(id, metadata={"n": 1}, collection="w")) for id in ids[:1000]]
    delete = [common.timed(lambda id=id: store.delete(id, collection="w")) for id in ids[1000:]]
    out["update_ms"], out["delete_ms"] = common.milliseconds(update), common.milliseconds(delete)
    return out


def _insert(store: VectorStore, row: Any, level: str) -> None:
    store.insert(row, collection="w", consistency_level=level)


def _lag(store: VectorStore, addresses: list[str]) -> dict[str, Any]:
    """While another thread writes about 500 rows a second."""
    stop = threading.Event()

    def load() -> None:
        rows = _rows(64, seed=8)
        while not stop.is_set():
            store.insert(rows[:1], collection="w")
            time.sleep(0.001)

    writer = threading.Thread(target=load)
    writer.start()
    readers = [VectorStore(nodes=[address], consistency_level="ONE") for address in addresses]
    lags = []
    for number in range(1000):
        id = store.insert(_rows(1, seed=number), collection="w").vector_ids[0]
        start = time.monotonic()
        for reader in readers:
            while reader.get(id, collection="w")[0] is None:
                pass
        lags.append(time.monotonic() - start)
    stop.set()
    writer.join()
    return {"until_every_node_has_it_ms": common.milliseconds(lags)}


def _leader(cluster: Cluster, group: int) -> int | None:
    for number, address in enumerate(cluster.addresses):
        try:
            text = urllib.request.urlopen(f"http://{address}/metrics", timeout=1).read().decode()
        except OSError:
            continue
        if f'dvesp_group_leads{{group="{group}"}} 1' in text:
            return number
    return None


def _failover(cluster: Cluster, trials: int) -> dict[str, Any]:
    store = VectorStore(nodes=cluster.addresses)
    store.insert(_rows(100), collection="f")
    acknowledged: list[tuple[float, str]] = []
    reads: list[float] = []
    failures: list[str] = []
    stop = threading.Event()

    def write() -> None:
        rows = _rows(64, seed=9)
        while not stop.is_set():
            try:
                acknowledged.append((0.0, store.insert(rows[:1], collection="f", timeout_ms=5000).vector_ids[0]))
                acknowledged[-1] = (time.monotonic(), acknowledged[-1][1])
            except Error as error:
                failures.append(f"write: {error}")

    def read() -> None:
        queries = _rows(64, seed=10)
        while not stop.is_set():
            try:
                reads.append(common.timed(lambda: store.search(queries[0], collection="f", consistency_level="ONE")))
            except Error as error:
                failures.append(f"read: {error}")
            time.sleep(0.005)

    threads = [threading.Thread(target=write), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    gaps = []
    for _ in range(trials):
        time.sleep(0.5)
        leader = _leader(cluster, 1)
        while leader is None:
            time.sleep(0.1)
            leader = _leader(cluster, 1)
        killed = time.monotonic()
        cluster.kill(leader)
        while acknowledged[-1][0] < killed + 0.02 and time.monotonic() < killed + 10:
            time.sleep(0.002)
        after = next((at for at, _ in list(acknowledged) if at > killed + 0.02), time.monotonic())
        gaps.append(after - killed)
        cluster.start(leader)
        cluster.wait_until_ready()
        time.sleep(0.7)
    stop.set()
    for thread in threads:
        thread.join()
    ids = [id for at, id in acknowledged if at > 0]
    missing = sum(
        record is None for first in range(0, len(ids), 5000) for record in store.get(ids[first : first + 5000], collection="f")
    )
    return {
        "gaps_s": [round(gap, 4) for gap in gaps],
        "gap_ms": common.milliseconds(gaps),
        "gap_max_ms": round(1000 * max(gaps)),
        "reads_at_ONE_ms": common.milliseconds(reads),
        "read_at_ONE_max_ms": round(1000 * max(reads)),
        "failures": failures[:10],
        "acknowledged": len(ids),
        "acknowledged_and_missing": missing,
    }


if __name__ == "__main__":
    raise SystemExit(main())

"""A sealed store over five nodes on a LAN: searches, reads and writes whose fragments cross the network, over mutual TLS.

Nodes and client are in network namespaces of one machine, whose switch delays every frame (lan.py); they share its cores. Needs
root. A round trip is twice the delay, and what the switch and the kernels add is reported beside it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import common
import numpy as np
import plots
import vectors
from dvesp import TLS, Keyring, VectorStore
from dvesp.cli import main as dvesp
from dvesp.cli_serve import node_binary
from lan import Lan

BATCH = 5_000
DEVICES = 5
PORT = 7000
PINGS = 200


def main() -> int:
    """Measures, prints and writes the report."""
    parser = common.parser("sealed_lan", __doc__ or "")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--delay-ms", type=float, default=0.1, help="of every frame, one way")
    options = parser.parse_args()
    if common.run_task(options, {"measure": _measure}):
        return 0
    with common.scratch(options) as directory, Lan(DEVICES + 1, options.delay_ms / 1000) as lan, _nodes(directory, lan):
        task = {"name": "measure", "directory": str(directory), "rows": options.rows, "queries": options.queries}
        task |= {"data": None if options.data is None else str(options.data)}
        task |= {"addresses": [f"{lan.address(number)}:{PORT}" for number in range(DEVICES)]}
        results = common.run_child(task, lan.prefix(DEVICES))
    rows = [[name, str(value)] for name, value in results.items()]
    common.print_table(f"{options.rows:,} rows, {DEVICES} nodes, {options.delay_ms} ms one way", ("what", "figures"), rows)
    common.write_report(options, {"rows": options.rows, "queries": options.queries, "delay_ms": options.delay_ms}, results)
    kinds = ("search", "search, ids alone", "fragments of ten", "get one", "insert one")
    bars = {f"{kind}, {point}": results[kind][point] for kind in kinds for point in ("p50_ms", "p99_ms")}
    plots.save(options.plot, "A sealed store over five nodes", [plots.Panel("wall", "ms", bars, logarithmic=True)])
    return 0


@contextlib.contextmanager
def _nodes(directory: Path, lan: Lan) -> Iterator[None]:
    """Nodes with devices, each in its namespace, with a certificate of its own."""
    ca = directory / "ca"
    with contextlib.redirect_stdout(sys.stderr):
        assert dvesp(["ca", "init", "--dir", str(ca), "--organisation", "Benchmark"]) == 0
        assert dvesp(["ca", "issue", "client", "--dir", str(ca), "--role", "client"]) == 0
        for number in range(DEVICES):
            issue = ["ca", "issue", f"node{number}", "--dir", str(ca), "--role", "node", "--host", lan.address(number)]
            assert dvesp(issue) == 0
    processes = []
    try:
        for number in range(DEVICES):
            command = [*lan.prefix(number), node_binary(), "--data", str(directory / f"n{number}")]
            command += ["--listen", f"{lan.address(number)}:{PORT}", "--device", str(directory / f"d{number}")]
            command += ["--tls-ca", str(ca / "ca.pem"), "--tls-cert", str(ca / f"node{number}.crt.pem")]
            command += ["--tls-key", str(ca / f"node{number}.key.pem")]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None and process.stdout.readline().startswith("ready "), f"node {number} did not start"
            processes.append(process)
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _open(task: dict[str, Any]) -> VectorStore:
    os.environ["DVESP_BENCH_KEY"] = "5e" * 32
    ca = Path(task["directory"]) / "ca"
    tls = TLS(str(ca / "ca.pem"), str(ca / "client.crt.pem"), str(ca / "client.key.pem"))
    keyring = Keyring.from_environment("DVESP_BENCH_KEY")
    return VectorStore(Path(task["directory"]) / "s", devices=task["addresses"], keyring=keyring, tls=tls)


def _round_trip(task: dict[str, Any]) -> dict[str, float]:
    """Of the network alone: a TCP connection to the first node, which is one round trip."""
    host = task["addresses"][0].rpartition(":")[0]
    return common.milliseconds(common.timed(lambda: socket.create_connection((host, PORT)).close()) for _ in range(PINGS))


def _measure(task: dict[str, Any]) -> dict[str, Any]:
    directory = None if task["data"] is None else Path(task["data"])
    data = vectors.load(directory, task["rows"]).head(task["rows"], task["queries"])
    truth = vectors.Truth(data, "cosine")
    results: dict[str, Any] = {"round trip": _round_trip(task)}
    store = _open(task)
    watch = common.Stopwatch()
    for first in range(0, len(data.rows), BATCH):
        part = data.rows[first : first + BATCH]
        numbers = range(first, first + len(part))
        store.insert(part, [{"n": number} for number in numbers], [f"r{number}" for number in numbers])
    results["fill"] = watch.read()
    store.compact()
    found: list[list[str]] = []
    samples: list[float] = []
    for query in data.queries:
        samples.append(
            common.timed(lambda query=query: found.append([one.id for one in store.search(query, top_k=10).results]))
        )
    results["search"] = common.milliseconds(samples)
    results["search, ids alone"] = common.milliseconds(
        common.timed(lambda query=query: store.search(query, top_k=10, include_vectors=False)) for query in data.queries
    )
    results["fragments of ten"] = common.milliseconds(common.timed(lambda ids=ids: store.get(ids)) for ids in found)
    results["recall@10"] = truth.recall([[int(id[1:]) for id in ids] for ids in found])
    random = np.random.default_rng(1)
    one_of = [f"r{number}" for number in random.integers(len(data.rows), size=min(1000, len(data.queries)))]
    results["get one"] = common.milliseconds(common.timed(lambda id=id: store.get([id])) for id in one_of)
    results["insert one"] = common.milliseconds(
        common.timed(lambda at=at: store.insert(data.queries[at : at + 1], ids=[f"x{at}"]))
        for at in range(min(200, len(data.queries)))
    )
    promise = store.retrievability()
    results["retrievability"] = {"k": promise.k, "n": promise.n, "records below n": promise.records_below_n}
    store.close()
    return results


if __name__ == "__main__":
    sys.exit(main())

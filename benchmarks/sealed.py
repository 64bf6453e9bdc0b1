"""A sealed store beside a plain one: searches, reads, writes, memory, every pair of five devices offline, and the way back.

Both stores hold the same rows and are asked in turns. Devices are directories of one disk, so every write is five writes and
five syncs of it; a LAN adds its round trip to each read.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import common
import numpy as np
import plots
import vectors
from dvesp import Keyring, VectorStore

BATCH = 10_000
DEVICES = 5


def main() -> int:
    """Measures, prints and writes the report."""
    parser = common.parser("sealed", __doc__ or "")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=1000)
    options = parser.parse_args()
    data = vectors.load(options.data, options.rows).head(options.rows, options.queries)
    with common.scratch(options) as directory:
        results = _measure(directory, data)
    rows = [[name, str(value)] for name, value in results.items()]
    common.print_table(f"{options.rows:,} rows, {data.origin}", ("what", "figures"), rows)
    common.write_report(options, {"rows": options.rows, "queries": options.queries, "origin": data.origin}, results)
    bars = {
        f"{kind}, {point}": results[f"search {kind}"][point] for kind in ("plain", "sealed") for point in ("p50_ms", "p99_ms")
    }
    plots.save(options.plot, "One search, ten results with vectors", [plots.Panel("wall", "ms", bars, logarithmic=True)])
    return 0


def _open(directory: Path) -> VectorStore:
    os.environ["DVESP_BENCH_KEY"] = "5e" * 32
    devices = [directory / f"d{number}" for number in range(DEVICES)]
    return VectorStore(directory / "s", devices=devices, keyring=Keyring.from_environment("DVESP_BENCH_KEY"))


def _fill(store: VectorStore, rows: Any) -> dict[str, float]:
    watch = common.Stopwatch()
    for first in range(0, len(rows), BATCH):
        part = rows[first : first + BATCH]
        numbers = range(first, first + len(part))
        store.insert(part, [{"n": number} for number in numbers], [f"r{number}" for number in numbers])
    return watch.read()


def _measure(directory: Path, data: vectors.Vectors) -> dict[str, Any]:
    truth = vectors.Truth(data, "cosine")
    plain, sealed = VectorStore(directory / "plain"), _open(directory)
    results: dict[str, Any] = {"fill plain": _fill(plain, data.rows), "fill sealed": _fill(sealed, data.rows)}
    plain.compact()
    sealed.compact()
    times: dict[str, list[float]] = {"plain": [], "sealed": []}
    found: list[list[str]] = []
    for query in data.queries:
        for kind, store in (("plain", plain), ("sealed", sealed)):
            start = time.perf_counter()
            answer = store.search(query, top_k=10)
            times[kind].append(time.perf_counter() - start)
        found.append([match.id for match in answer.results])
    for kind, samples in times.items():
        results[f"search {kind}"] = common.milliseconds(samples)
    results["search sealed, ids alone"] = common.milliseconds(
        common.timed(lambda query=query: sealed.search(query, top_k=10, include_vectors=False)) for query in data.queries
    )
    results["recall@10"] = truth.recall([[int(id[1:]) for id in ids] for ids in found])
    random = np.random.default_rng(1)
    results["get one"] = common.milliseconds(
        common.timed(lambda: sealed.get([f"r{int(random.integers(len(data.rows)))}"])) for _ in range(1000)
    )
    results["insert one"] = common.milliseconds(
        common.timed(lambda at=at: sealed.insert(data.queries[at : at + 1], ids=[f"x{at}"])) for at in range(200)
    )
    plain.close()
    sealed.close()
    folders = {"plain": "plain", "index": "s", "a device": "d0"}
    results["bytes a row"] = {
        what: round(common.disk_bytes(directory / folder) / len(data.rows)) for what, folder in folders.items()
    }
    before = _anonymous_bytes()
    watch = common.Stopwatch()
    sealed = _open(directory)
    sealed.search(data.queries[0])
    results["open"] = watch.read() | {"anonymous bytes a row": round((_anonymous_bytes() - before) / len(data.rows))}
    sealed.close()
    results["pairs offline"] = _pairs(directory, data)
    shutil.rmtree(directory / "s")
    watch = common.Stopwatch()
    sealed = _open(directory)
    results["restore from devices"] = watch.read() | {"records": sealed.count()}
    sealed.close()
    return results


def _pairs(directory: Path, data: vectors.Vectors) -> dict[str, int]:
    """Every record with every two devices away, compared byte by byte."""
    same = 0
    for pair in itertools.combinations(range(DEVICES), 2):
        for number in pair:
            (directory / f"d{number}").rename(directory / f"away{number}")
        with _open(directory) as store:
            for first in range(0, len(data.rows), BATCH):
                part = data.rows[first : first + BATCH]
                records = store.get([f"r{number}" for number in range(first, first + len(part))])
                same += sum(
                    record is not None and record.vector.tobytes() == row.tobytes()
                    for record, row in zip(records, part, strict=True)
                )
        for number in pair:
            (directory / f"away{number}").rename(directory / f"d{number}")
    return {"records read": 10 * len(data.rows), "identical": same}


def _anonymous_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return 1024 * int(line.split()[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())

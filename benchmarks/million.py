"""A million rows on one machine: loading, building, searching, opening, memory.

The rows are made (a curved surface of 20 dimensions, vectors.manifold) in pieces that share the surface, so that memory holds
the store and not the data. Truth: exact search of the store itself, checked against NumPy on some queries.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import common
import numpy as np
from dvesp import VectorStore

LATENT, HIDDEN, PIECE, TOP_K = 20, 256, 50_000, 10


def main() -> int:
    """Measures and writes the report."""
    parser = common.parser("million", __doc__ or "")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--limit-mb", type=int, default=0, help="memory of the searching process (needs a cgroup); 0: no limit")
    options = parser.parse_args()
    if common.run_task(options, {"build": _build, "search": _search}):
        return 0
    with common.scratch(options) as directory:
        task = {"directory": str(directory / "store"), "rows": options.rows, "dimension": options.dimension}
        task |= {"queries": options.queries}
        built = common.run_child({"name": "build", **task}, timeout_s=7200)
        limited = _limit(options.limit_mb) if options.limit_mb else []
        if limited:
            _forget_cached_pages(directory)
        searched = common.run_child({"name": "search", **task}, [*limited, "env", "DVESP_THREADS=1"], timeout_s=3600)
        disk = common.disk_bytes(directory)
    results = {"build": built, "search": searched, "disk_bytes_per_row": disk / options.rows}
    for name in ("build", "search"):
        common.print_table(name, list(results[name]), [list(results[name].values())])
    print(f"bytes on the disk a row: {results['disk_bytes_per_row']:.0f}")
    common.write_report(options, {"rows": options.rows, "dimension": options.dimension}, results)
    return 0


def _limit(megabytes: int) -> list[str]:
    """A command prefix that puts what follows into a control group of so much memory, page cache included."""
    for group, limit in (
        ("/sys/fs/cgroup/memory/dvesp-bench", "memory.limit_in_bytes"),
        ("/sys/fs/cgroup/dvesp-bench", "memory.max"),
    ):
        if not Path(group).parent.joinpath("cgroup.procs").exists():
            continue
        script = f'mkdir -p {group} && echo {megabytes << 20} > {group}/{limit} && echo $$ > {group}/cgroup.procs && exec "$@"'
        return ["sh", "-c", script, "sh"]
    raise SystemExit("--limit-mb: this machine has no control groups for memory")


def _forget_cached_pages(directory: Path) -> None:
    """Pages that the builder left in the cache would not count against the searcher's limit."""
    for path in directory.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


class Surface:
    """Points of one surface, by piece: the same for every process."""

    def __init__(self, dimension: int) -> None:
        random = np.random.default_rng(5)
        self.topics = random.standard_normal((1000, LATENT), np.float32)
        self.first = random.standard_normal((LATENT, HIDDEN), np.float32) / np.float32(np.sqrt(LATENT))
        self.second = random.standard_normal((HIDDEN, dimension), np.float32) / np.float32(np.sqrt(HIDDEN))

    def piece(self, number: int, count: int) -> Any:
        """Unit vectors, float32 ``[count, dimension]``."""
        random = np.random.default_rng(1000 + number)
        chosen = random.integers(0, len(self.topics), count)
        latent = self.topics[chosen] + 0.6 * random.standard_normal((count, LATENT), np.float32)
        rows = np.tanh(latent @ self.first) @ self.second
        rows += np.float32(0.02) * random.standard_normal(rows.shape, np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _build(task: dict[str, Any]) -> dict[str, Any]:
    surface = Surface(task["dimension"])
    load_s = 0.0
    with VectorStore(task["directory"], progress=False) as store:
        store.create_collection("default", task["dimension"], "cosine")
        for number, start in enumerate(range(0, task["rows"], PIECE)):
            rows = surface.piece(number, min(PIECE, task["rows"] - start))
            names = [str(start + row) for row in range(len(rows))]
            load_s += common.timed(lambda rows=rows, names=names: store.upsert(rows, None, names))
        watch = common.Stopwatch()
        store.flush()
        store.compact()
        built = watch.read()
    return {"load_s": load_s, "index_wall_s": built["wall_s"], "index_cpu_s": built["cpu_s"], "peak_rss_mb": _status("VmHWM")}


def _status(field: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    return 0.0


def _search(task: dict[str, Any]) -> dict[str, Any]:
    queries = Surface(task["dimension"]).piece(10**6, task["queries"])
    anonymous_mb = _status("RssAnon")
    start = time.perf_counter()
    with VectorStore(task["directory"], progress=False) as store:
        opened_s = time.perf_counter() - start
        first_s = common.timed(lambda: store.search(queries[0], top_k=TOP_K))
        results: dict[str, Any] = {"open_s": opened_s, "first_search_s": first_s}
        truth = store.search_batch(queries[:200], top_k=TOP_K, include_vectors=False, params={"exact": True})
        for target in (0.95, 0.98, 0.99):
            params = {"recall": target}
            found = store.search_batch(queries, top_k=TOP_K, include_vectors=False, params=params)
            hits = sum(len(set(one) & set(other)) for one, other in zip(found.ids[:200], truth.ids, strict=True))
            results[f"recall at {target}"] = hits / (200 * TOP_K)
            before = time.process_time()
            store.search_batch(queries, top_k=TOP_K, include_vectors=False, params=params)
            results[f"us at {target}"] = (time.process_time() - before) / len(queries) * 1e6
            single = [
                common.timed(lambda query=query, params=params: store.search(query, top_k=TOP_K, params=params))
                for query in queries
            ]
            results[f"p99 ms at {target}"] = common.milliseconds(single)["p99_ms"]
        results["anonymous_mb"] = _status("RssAnon") - anonymous_mb
    return results


if __name__ == "__main__":
    sys.exit(main())

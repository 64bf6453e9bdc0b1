"""A million rows on one machine: loading, building, searching, opening, memory.

Rows: `--texts DIR` takes the sentence embeddings that benchmarks/real_texts.py made; else they are made in pieces (a curved
surface of 20 dimensions, vectors.manifold), so that memory holds the store and not the data. Truth: 1,000 queries, exact search
of the store once it is built, by the building process; 20 of them are checked against NumPy over all rows. With `--limit-mb`
the searching process, its page cache included, lives in a control group of that size and starts with nothing cached.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import common
import numpy as np
from dvesp import VectorStore

LATENT, HIDDEN, PIECE, TOP_K = 20, 256, 50_000, 10
TEXT_ROWS_MAX = 1_000_000
QUERIES_PIECE = 10**6  # the number of the piece that queries come from
TRUTHS, CHECKED = 1000, 20
TRUTH, BUILT = "truth.json", "built.json"


def main() -> int:
    """Measures and writes the report."""
    parser = common.parser("million", __doc__ or "")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--texts", type=Path, default=None, metavar="DIR", help="real-texts.f16.npy and its queries")
    parser.add_argument(
        "--keep", type=Path, default=None, metavar="DIR", help="store to build into, or to search if it is there"
    )
    parser.add_argument("--recalls", type=float, nargs="+", default=[0.95, 0.98, 0.99])
    parser.add_argument("--limit-mb", type=int, default=0, help="memory of the searching process (needs a cgroup); 0: no limit")
    options = parser.parse_args()
    if common.run_task(options, {"build": build, "search": search}):
        return 0
    with common.scratch(options) as scratch:
        directory = options.keep or scratch
        directory.mkdir(parents=True, exist_ok=True)
        task = {"directory": str(directory), "rows": options.rows, "dimension": options.dimension, "queries": options.queries}
        task |= {"texts": options.texts and str(options.texts), "recalls": options.recalls}
        kept = directory / BUILT
        if kept.exists():
            built = json.loads(kept.read_text(encoding="utf-8"))
        else:
            built = common.run_child({"name": "build", **task}, timeout_s=7200)
            kept.write_text(json.dumps(built), encoding="utf-8")
        limited = _limit(options.limit_mb) if options.limit_mb else []
        if limited:
            _forget_cached_pages(directory)
        searched = common.run_child({"name": "search", **task}, [*limited, "env", "DVESP_THREADS=1"], timeout_s=3600)
        disk = common.disk_bytes(directory / "store")
    results = {"build": built, "search": searched, "disk_bytes_per_row": disk / options.rows}
    for name in ("build", "search"):
        common.print_table(name, list(results[name]), [list(results[name].values())])
    print(f"bytes on the disk a row: {results['disk_bytes_per_row']:.0f}")
    data = "real texts" if options.texts else "made: a surface of 20 dimensions"
    parameters = {"rows": options.rows, "dimension": options.dimension, "data": data, "limit_mb": options.limit_mb}
    common.write_report(options, parameters, results)
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


class Texts:
    """Embeddings of real texts, by piece."""

    def __init__(self, directory: str) -> None:
        self.rows = np.load(Path(directory) / "real-texts.f16.npy", mmap_mode="r")
        self.queries = np.load(Path(directory) / "real-texts-queries.f16.npy")

    def piece(self, number: int, count: int) -> Any:
        """Float32 ``[count, 384]``; the queries come after all rows."""
        if number >= QUERIES_PIECE:
            return self.queries[:count].astype(np.float32)
        return self.rows[number * PIECE : number * PIECE + count].astype(np.float32)


def _source(task: dict[str, Any]) -> Surface | Texts:
    return Texts(task["texts"]) if task["texts"] else Surface(task["dimension"])


def build(task: dict[str, Any]) -> dict[str, Any]:
    """Loads and compacts the store, and leaves the true neighbours of some queries beside it."""
    source = _source(task)
    directory = Path(task["directory"])
    load_s = 0.0
    queries = source.piece(QUERIES_PIECE, TRUTHS)
    checked = np.full((CHECKED, 0), 0, np.float32)
    with VectorStore(directory / "store", progress=False) as store:
        store.create_collection("default", task["dimension"], "cosine")
        for number, start in enumerate(range(0, task["rows"], PIECE)):
            rows = source.piece(number, min(PIECE, task["rows"] - start))
            names = [str(start + row) for row in range(len(rows))]
            load_s += common.timed(lambda rows=rows, names=names: store.upsert(rows, None, names))
            unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
            similar = queries[:CHECKED] @ unit.T
            checked = -np.sort(-np.hstack([checked, similar]), axis=1)[:, :TOP_K]
        watch = common.Stopwatch()
        store.flush()
        store.compact()
        built = watch.read()
        peak_mb = _status("VmHWM")
        truth = store.search_batch(queries, top_k=TOP_K, include_vectors=False, params={"exact": True})
    lengths = np.linalg.norm(queries[:CHECKED], axis=1, keepdims=True)
    gap = float(np.abs(truth.distances[:CHECKED] - (1 - checked / lengths)).max())
    if gap > 1e-4:
        raise SystemExit(f"exact search and NumPy differ by {gap}")
    (directory / TRUTH).write_text(json.dumps([list(ids) for ids in truth.ids]), encoding="utf-8")
    return {"load_s": load_s, "index_wall_s": built["wall_s"], "index_cpu_s": built["cpu_s"], "peak_rss_mb": peak_mb}


def _status(field: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    return 0.0


def search(task: dict[str, Any]) -> dict[str, Any]:
    """Opens the store, measures recall, CPU and latencies at every recall asked for."""
    directory = Path(task["directory"])
    queries = _source(task).piece(QUERIES_PIECE, task["queries"])
    truth = json.loads((directory / TRUTH).read_text(encoding="utf-8"))
    anonymous_mb = _status("RssAnon")
    start = time.perf_counter()
    with VectorStore(directory / "store", progress=False) as store:
        opened_s = time.perf_counter() - start
        first_s = common.timed(lambda: store.search(queries[0], top_k=TOP_K))
        results: dict[str, Any] = {"open_s": opened_s, "first_search_s": first_s}
        for target in task["recalls"]:
            params = {"recall": target}
            watch = common.Stopwatch()
            found = store.search_batch(queries, top_k=TOP_K, include_vectors=False, params=params)
            first = watch.read()
            hits = sum(len(set(one) & set(other)) for one, other in zip(found.ids, truth, strict=False))
            results[f"recall at {target}"] = hits / (len(truth) * TOP_K)
            watch = common.Stopwatch()
            store.search_batch(queries, top_k=TOP_K, include_vectors=False, params=params)
            again = watch.read()
            results[f"us at {target}"] = again["cpu_s"] / len(queries) * 1e6
            results[f"wall us at {target}, first time, again"] = [
                round(part["wall_s"] / len(queries) * 1e6, 1) for part in (first, again)
            ]
            single = [
                common.timed(lambda query=query, params=params: store.search(query, top_k=TOP_K, params=params))
                for query in queries
            ]
            results[f"p99 ms at {target}"] = common.milliseconds(single)["p99_ms"]
        results["anonymous_mb"] = _status("RssAnon") - anonymous_mb
        results["mapped_mb"] = _status("RssFile")
    return results


if __name__ == "__main__":
    sys.exit(main())

"""Search in memory beside vector indexes from their packages: queries a second by recall, CPU time of one thread.

All contenders live in one process and take turns (A B C, C B A); each answers 1,000 queries with one batch call at every
effort (dvesp: at every recall asked for). dvesp answers through its public API from a real store, after flush and compact.
Queries a second at a recall are read off each round's own curve; a ratio compares two curves of the same round. Huge pages
are asked for everyone.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import common
import numpy as np
import plots
import vectors
from dvesp import VectorStore

THREADS = {"DVESP_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
TOP_K = 10
RECALLS = (0.95, 0.98, 0.99)
RECALL_MIN, RECALL_ENOUGH = 0.90, 0.996
EFFORTS = (10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 384, 512)
CHILD_TIMEOUT_S = 5400
TARGETS = (0.85, 0.88, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.975, 0.98, 0.985, 0.99, 0.993, 0.996, 0.998)
REPEATS = 2  # calls at one effort in a row; the faster counts, for every contender


@dataclass
class Contender:
    """An index over the rows: `search(effort)` answers all queries with row numbers ``[q, 10]``."""

    name: str
    search: Callable[[Any], Any]
    efforts: Sequence[Any]
    build_cpu_s: float
    bytes_per_vector: float
    note: str = ""
    recalls: dict[str, float] = field(default_factory=dict)


def main() -> int:
    """Measures every data set and writes the report."""
    parser = common.parser("search_peers", __doc__ or "")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="contenders, by names with commas between; all")
    parser.add_argument("--sets", default="embeddings,manifold,clustered", help="which data")
    options = parser.parse_args()
    if common.run_task(options, {"measure": lambda task: _measure(options, task)}):
        return 0
    results: dict[str, Any] = {}
    environment = [f"{name}={value}" for name, value in (THREADS | HUGE_PAGES).items()]
    for name in options.sets.split(","):
        task = {"name": "measure", "set": name, "data": str(options.data) if options.data else None}
        task |= {"rows": options.rows, "rounds": options.rounds, "only": options.only}
        results[name] = common.run_child(task, ["env", *environment], CHILD_TIMEOUT_S)
        _show(name, results[name])
    versions = {package: common.version_of(package) for package in ("hnswlib", "rabitqlib", "usearch", "faiss-cpu")}
    parameters = {"rows": options.rows, "rounds": options.rounds, "top_k": TOP_K, "repeats": REPEATS, "versions": versions}
    common.write_report(options, parameters | {"environment": THREADS | HUGE_PAGES}, results)
    _plot(options.plot, results)
    return 0


def _data(task: dict[str, Any]) -> vectors.Vectors:
    if task["set"] == "clustered":
        return vectors.clustered(task["rows"], 384)
    if task["set"] == "manifold":
        return vectors.manifold(task["rows"], 384)
    return vectors.load(task["data"], task["rows"])


def _measure(options: Any, task: dict[str, Any]) -> dict[str, Any]:
    data = _data(task)
    rows = data.rows / np.linalg.norm(data.rows, axis=1, keepdims=True)
    queries = data.queries / np.linalg.norm(data.queries, axis=1, keepdims=True)
    unit = vectors.Vectors(rows, queries, data.origin)
    truth = vectors.Truth(unit, "cosine", TOP_K)
    with common.scratch(options) as directory:
        contenders = []
        for name, make in CONTENDERS.items():
            if task["only"] and name not in task["only"].split(","):
                continue
            try:
                contenders.append(make(unit, directory))
            except ImportError as error:
                print(f"{name} is left out: {error}")
                continue
            built = contenders[-1]
            print(f"{name}: built in {built.build_cpu_s:.1f} CPU s, {built.bytes_per_vector:.0f} bytes a vector", flush=True)
        curves: dict[str, list[list[dict[str, Any]]]] = {contender.name: [] for contender in contenders}
        for number in range(task["rounds"]):
            for contender in contenders if number % 2 == 0 else contenders[::-1]:
                curves[contender.name].append(_curve(contender, truth))
    at_recall = {
        name: [{str(recall): _rate_at(curve, recall) for recall in RECALLS} for curve in rounds]
        for name, rounds in curves.items()
    }
    return {
        "origin": data.origin,
        "contenders": {
            one.name: {"build_cpu_s": one.build_cpu_s, "bytes_per_vector": one.bytes_per_vector, "note": one.note}
            for one in contenders
        },
        "curves": curves,
        "queries_per_second": {name: _summary(rounds) for name, rounds in at_recall.items()},
        "ratio_of_dvesp_to": {name: _ratios(at_recall["dvesp"], rounds) for name, rounds in at_recall.items()}
        if "dvesp" in at_recall
        else {},
    }


def _curve(contender: Contender, truth: vectors.Truth) -> list[dict[str, Any]]:
    """(recall, queries a CPU second) at each effort that matters."""
    curve = []
    for effort in contender.efforts:
        key = str(effort)
        if contender.recalls.get(key, RECALL_MIN) < RECALL_MIN:
            continue
        seconds = float("inf")
        wall = float("inf")
        for _ in range(REPEATS):
            cpu_before, wall_before = time.process_time(), time.perf_counter()
            found = contender.search(effort)
            seconds = min(seconds, time.process_time() - cpu_before)
            wall = min(wall, time.perf_counter() - wall_before)
        if key not in contender.recalls:
            contender.recalls[key] = truth.recall([[int(row) for row in answer] for answer in found])
        recall = contender.recalls[key]
        count = len(truth.vectors.queries)
        curve.append({"effort": effort, "recall": recall, "qps_cpu": count / seconds, "qps_wall": count / wall})
        if recall > RECALL_ENOUGH:
            break
    return curve


def _rate_at(curve: list[dict[str, Any]], recall: float) -> float | None:
    """Queries a second at `recall`, between the two efforts around it (logarithms of rate and of missing recall)."""
    points = sorted((point["recall"], point["qps_cpu"]) for point in curve)
    for (low, fast), (high, slow) in itertools.pairwise(points):
        if low <= recall <= high and high > low:
            depth = [np.log(1 - min(value, 0.99999)) for value in (low, recall, high)]
            share = (depth[0] - depth[1]) / (depth[0] - depth[2])
            return float(np.exp(np.log(fast) + share * (np.log(slow) - np.log(fast))))
    return None


def _summary(rounds: list[dict[str, float | None]]) -> dict[str, list[float] | None]:
    """Median, least and most of each recall's figures; nothing where a round never reached it."""
    summary: dict[str, list[float] | None] = {}
    for recall in map(str, RECALLS):
        values = [one[recall] for one in rounds]
        known = [value for value in values if value is not None]
        summary[recall] = [float(np.median(known)), min(known), max(known)] if len(known) == len(values) else None
    return summary


def _ratios(own: list[dict[str, float | None]], other: list[dict[str, float | None]]) -> dict[str, list[float] | None]:
    pairs = [
        {key: mine[key] / theirs[key] if mine[key] and theirs[key] else None for key in mine}  # type: ignore[operator]
        for mine, theirs in zip(own, other, strict=True)
    ]
    return _summary(pairs)


def _dvesp(data: vectors.Vectors, directory: Path) -> Contender:
    store = VectorStore(directory / f"store-{len(data.rows)}-{abs(hash(data.origin))}", progress=False)
    store.create_collection("default", data.rows.shape[1], "cosine")
    for start in range(0, len(data.rows), 10_000):
        batch = data.rows[start : start + 10_000]
        store.upsert(batch, None, [str(start + row) for row in range(len(batch))])
    store.flush()
    watch = common.Stopwatch()
    store.compact()
    seconds = watch.read()["cpu_s"]
    indexes = sorted((path.stat().st_size for path in directory.rglob("seg/*")), reverse=True)
    graph_bytes = indexes[1] / len(data.rows)  # beside the segment itself
    codes_bytes = data.rows.shape[1] + 64

    def search(target: float) -> Any:
        found = store.search_batch(data.queries, top_k=TOP_K, include_vectors=False, params={"recall": target})
        return found.ids

    note = f"hot: {graph_bytes:.0f} B (4-bit codes and links); int8 codes {codes_bytes} B and float32 rows are mapped"
    return Contender("dvesp", search, TARGETS, seconds, graph_bytes + codes_bytes, note)


def _hnswlib(data: vectors.Vectors, directory: Path) -> Contender:
    import hnswlib

    index = hnswlib.Index("ip", data.rows.shape[1])
    watch = common.Stopwatch()
    index.init_index(len(data.rows), M=16, ef_construction=200, random_seed=1)
    index.add_items(data.rows, np.arange(len(data.rows)), num_threads=1)
    seconds = watch.read()["cpu_s"]
    path = directory / "hnswlib.bin"
    index.save_index(str(path))

    def search(effort: int) -> Any:
        index.set_ef(effort)
        return index.knn_query(data.queries, TOP_K, num_threads=1)[0]

    return Contender("hnswlib", search, EFFORTS, seconds, path.stat().st_size / len(data.rows), "M 16, ef_construction 200")


def _symphonyqg(data: vectors.Vectors, directory: Path) -> Contender:
    import rabitqlib

    index = rabitqlib.SymqgIndex(data.rows.shape[1], 32, "ip", 0)
    watch = common.Stopwatch()
    index.build(data.rows, 200, 1)
    seconds = watch.read()["cpu_s"]
    path = directory / "symqg.bin"
    index.save(str(path))

    def search(effort: int) -> Any:
        answer = index.search(data.queries, TOP_K, effort, num_threads=1)
        return next(np.asarray(part) for part in answer if np.asarray(part).dtype.kind in "iu")

    return Contender("symphonyqg", search, EFFORTS, seconds, path.stat().st_size / len(data.rows), "degree 32")


def _usearch(data: vectors.Vectors, directory: Path) -> Contender:
    from usearch.index import Index

    index = Index(ndim=data.rows.shape[1], metric="ip", dtype="bf16", connectivity=16, expansion_add=200)
    watch = common.Stopwatch()
    index.add(np.arange(len(data.rows), dtype=np.uint64), data.rows, threads=1)
    seconds = watch.read()["cpu_s"]
    path = directory / "usearch.bin"
    index.save(str(path))

    def search(effort: int) -> Any:
        index.expansion_search = effort
        return index.search(data.queries, TOP_K, threads=1).keys.astype(np.int64)

    return Contender("usearch bf16", search, EFFORTS, seconds, path.stat().st_size / len(data.rows), "connectivity 16")


def _faiss_ivf(data: vectors.Vectors, directory: Path) -> Contender:
    import faiss

    faiss.omp_set_num_threads(1)
    dimension = data.rows.shape[1]
    index = faiss.index_factory(dimension, f"IVF512,PQ{dimension // 2}x4fs,RFlat", faiss.METRIC_INNER_PRODUCT)
    watch = common.Stopwatch()
    index.train(data.rows[np.random.default_rng(0).permutation(len(data.rows))[:60_000]])
    index.add(data.rows)
    seconds = watch.read()["cpu_s"]
    path = directory / "faiss.bin"
    faiss.write_index(index, str(path))

    def search(effort: tuple[int, int]) -> Any:
        lists = faiss.SearchParametersIVF(nprobe=effort[0])
        parameters = faiss.IndexRefineSearchParameters(k_factor=effort[1], base_index_params=lists)
        return index.search(data.queries, TOP_K, params=parameters)[1]

    efforts = [(lists, factor) for factor in (4,) for lists in (8, 16, 32, 48, 64, 96, 128)]
    note = "IVF512, PQ fast scan of 4 bits, refined by float32"
    return Contender("faiss IVF", search, efforts, seconds, path.stat().st_size / len(data.rows), note)


CONTENDERS: dict[str, Callable[[vectors.Vectors, Path], Contender]] = {
    "dvesp": _dvesp,
    "hnswlib": _hnswlib,
    "symphonyqg": _symphonyqg,
    "usearch bf16": _usearch,
    "faiss IVF": _faiss_ivf,
}


def _show(name: str, result: dict[str, Any]) -> None:
    header = ["contender", *[f"QPS at {recall}" for recall in RECALLS], *[f"dvesp x at {recall}" for recall in RECALLS]]
    header += ["build CPU s", "bytes a vector"]
    rows = []
    for contender, rates in result["queries_per_second"].items():
        ratios = result["ratio_of_dvesp_to"].get(contender, {})
        cells = [rates[str(recall)][0] if rates[str(recall)] else None for recall in RECALLS]
        cells += [ratios[str(recall)][0] if ratios.get(str(recall)) else None for recall in RECALLS]
        facts = result["contenders"][contender]
        rows.append([contender, *cells, facts["build_cpu_s"], facts["bytes_per_vector"]])
    common.print_table(f"{name}: {result['origin']}", header, rows)


def _plot(path: Path, results: dict[str, Any]) -> None:
    panels = []
    for name, result in results.items():
        lines = {}
        for contender, rounds in result["curves"].items():
            shared = min(len(curve) for curve in rounds)
            recalls = [rounds[0][point]["recall"] for point in range(shared)]
            rates = [float(np.median([curve[point]["qps_cpu"] for curve in rounds])) for point in range(shared)]
            lines[contender] = (recalls, rates)
        panels.append(plots.Panel(name, "queries a CPU second", lines=lines, x_label="recall@10", logarithmic=True))
    plots.save(path, "Search in memory, one thread", panels)


if __name__ == "__main__":
    sys.exit(main())

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
    parser.add_argument("--sets", default="embeddings,texts,manifold,clustered", help="which data; texts needs --texts")
    parser.add_argument("--texts", type=Path, default=None, metavar="DIR", help="what benchmarks/real_texts.py left")
    parser.add_argument("--text-rows", type=int, default=200_000)
    parser.add_argument("--hdf5", type=Path, default=None, metavar="DIR", help="answers too, in the layout of ann-benchmarks")
    options = parser.parse_args()
    if common.run_task(options, {"measure": lambda task: _measure(options, task)}):
        return 0
    results: dict[str, Any] = {}
    environment = [f"{name}={value}" for name, value in (THREADS | HUGE_PAGES).items()]
    for name in options.sets.split(","):
        if name == "texts" and not options.texts:
            continue
        task = {"name": "measure", "set": name, "data": str(options.data) if options.data else None}
        task |= {"rows": options.rows, "rounds": options.rounds, "only": options.only, "text_rows": options.text_rows}
        task |= {"texts": options.texts and str(options.texts), "hdf5": options.hdf5 and str(options.hdf5)}
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
    if task["set"] == "texts":
        rows = np.load(Path(task["texts"]) / "real-texts.f16.npy", mmap_mode="r")[: task["text_rows"]].astype(np.float32)
        queries = np.load(Path(task["texts"]) / "real-texts-queries.f16.npy").astype(np.float32)
        return vectors.Vectors(rows, queries, f"sentences of manuals and dictionaries, {len(rows):,} embeddings")
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
                answers: dict[str, Any] = {}
                curves[contender.name].append(_curve(contender, truth, answers))
                if task["hdf5"] and number == 0:
                    _write_hdf5(Path(task["hdf5"]), task["set"], contender, curves[contender.name][0], answers, unit)
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


def _curve(contender: Contender, truth: vectors.Truth, answers: dict[str, Any]) -> list[dict[str, Any]]:
    """(recall, queries a CPU second) at each effort that matters; the first answers at each go into `answers`."""
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
            answers[key] = [[int(row) for row in answer if row is not None] for answer in found]
            contender.recalls[key] = truth.recall(answers[key])
        recall = contender.recalls[key]
        count = len(truth.vectors.queries)
        curve.append({"effort": effort, "recall": recall, "qps_cpu": count / seconds, "qps_wall": count / wall})
        if recall > RECALL_ENOUGH and not isinstance(effort, tuple):
            break
    return curve


def _rate_at(curve: list[dict[str, Any]], recall: float) -> float | None:
    """Queries a second at `recall`, between the two efforts around it (logarithms of rate and of missing recall)."""
    points = sorted((point["recall"], point["qps_cpu"]) for point in curve)
    # Of a sweep over two parameters only what no other setting beats.
    points = [one for one in points if not any(other[0] >= one[0] and other[1] > one[1] for other in points)]
    for (low, fast), (high, slow) in itertools.pairwise(points):
        if low <= recall <= high and high > low:
            depth = [np.log(1 - min(value, 0.99999)) for value in (low, recall, high)]
            share = (depth[0] - depth[1]) / (depth[0] - depth[2])
            return float(np.exp(np.log(fast) + share * (np.log(slow) - np.log(fast))))
    return None


def _write_hdf5(
    directory: Path,
    data_set: str,
    contender: Contender,
    curve: list[dict[str, Any]],
    answers: dict[str, Any],
    unit: vectors.Vectors,
) -> None:
    """A file for each setting, as ann-benchmarks stores a run: neighbors, distances, times, attributes."""
    import h5py

    for number, point in enumerate(curve):
        found = answers.get(str(point["effort"]))
        if found is None:
            continue
        neighbors = np.full((len(found), TOP_K), -1, np.int32)
        for place, rows in enumerate(found):
            neighbors[place, : len(rows[:TOP_K])] = rows[:TOP_K]
        distances = 1 - np.einsum("qd,qkd->qk", unit.queries, unit.rows[neighbors])
        distances[neighbors < 0] = np.inf
        target = directory / data_set / str(TOP_K) / contender.name.replace(" ", "-") / f"{number:02d}.hdf5"
        target.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(target, "w") as file:
            file.create_dataset("neighbors", data=neighbors)
            file.create_dataset("distances", data=distances.astype(np.float32))
            file.create_dataset("times", data=np.full(len(found), 1 / point["qps_wall"], np.float32))
            attributes = {"algo": contender.name, "name": f"{contender.name}({point['effort']})", "dataset": data_set}
            attributes |= {"distance": "angular", "count": TOP_K, "batch_mode": True, "run_count": REPEATS}
            attributes |= {
                "build_time": contender.build_cpu_s,
                "best_search_time": 1 / point["qps_wall"],
                "expect_extra": False,
            }
            attributes |= {"index_size": contender.bytes_per_vector * len(unit.rows) / 1024, "candidates": float(TOP_K)}
            file.attrs.update(attributes)


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


def _filled(data: vectors.Vectors, directory: Path, kind: str) -> tuple[VectorStore, float, float]:
    """A compacted store over the rows, the CPU seconds of its index and the index file's bytes a row."""
    store = VectorStore(directory / f"store-{kind}", progress=False)
    store.create_collection("default", data.rows.shape[1], "cosine", index=kind)
    for start in range(0, len(data.rows), 10_000):
        batch = data.rows[start : start + 10_000]
        store.upsert(batch, None, [str(start + row) for row in range(len(batch))])
    store.flush()
    watch = common.Stopwatch()
    store.compact()
    seconds = watch.read()["cpu_s"]
    files = sorted((path.stat().st_size for path in (directory / f"store-{kind}").rglob("seg/*")), reverse=True)
    return store, seconds, files[1] / len(data.rows)  # the largest is the segment itself


def _dvesp(data: vectors.Vectors, directory: Path, kind: str = "hnsw") -> Contender:
    store, seconds, index_bytes = _filled(data, directory, kind)
    codes_bytes = data.rows.shape[1] + 64

    def search(target: float) -> Any:
        found = store.search_batch(data.queries, top_k=TOP_K, include_vectors=False, params={"recall": target})
        return found.ids

    what = "codes and links" if kind == "hnsw" else "codes in two lists"
    note = f"hot: {index_bytes:.0f} B ({what}); int8 codes {codes_bytes} B and float32 rows are mapped"
    name = "dvesp" if kind == "hnsw" else "dvesp IVF"
    return Contender(name, search, TARGETS, seconds, index_bytes + codes_bytes, note)


def _dvesp_ivf(data: vectors.Vectors, directory: Path) -> Contender:
    return _dvesp(data, directory, "ivf")


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

    efforts = [(lists, factor) for factor in (2, 4, 8) for lists in (8, 12, 16, 24, 32, 48, 64, 96, 128)]
    note = "IVF512, PQ fast scan of 4 bits, refined by float32"
    return Contender("faiss IVF", search, efforts, seconds, path.stat().st_size / len(data.rows), note)


CONTENDERS: dict[str, Callable[[vectors.Vectors, Path], Contender]] = {
    "dvesp": _dvesp,
    "dvesp IVF": _dvesp_ivf,
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

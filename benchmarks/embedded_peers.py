"""dvesp beside other embedded stores, as a Python user sees them: load, single rows, search, filters, memory, open, size.

Every store works in processes of its own, one after another, and the rounds alternate (A B C A B C); figures are medians
over the rounds, with minimum and maximum in the JSON. Recall is against the exact answer, ties counted.
"""

from __future__ import annotations

import gc
import re
import shutil
import statistics
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import common
import numpy as np
import peers
import plots
import vectors
import workloads

SHARES = (0.001, 0.01, 0.5)
SYNC_CALLS = "fsync,fdatasync,msync,sync_file_range,sync,syncfs"
SYNC_ROWS = 20
# column: (what it is called, whether less is better)
COLUMNS = {
    "insert_10k_p50_s": ("10k insert p50 s", True),
    "insert_10k_p99_s": ("10k insert p99 s", True),
    "single_rows_per_s": ("one by one rows/s", False),
    "single_rows_per_s_8_threads": ("8 threads rows/s", False),
    "load_index_s": ("load + index s", True),
    "search_p50_ms": ("search p50 ms", True),
    "search_p99_ms": ("search p99 ms", True),
    "recall": ("recall", False),
    "rss_mb": ("RSS MB", True),
    "anonymous_mb": ("anon MB", True),
    "open_s": ("open s", True),
    "import_s": ("import s", True),
    "disk_mb": ("disk MB", True),
    "install_mb": ("install MB", True),
    "syncs_per_write": ("syncs a write", False),
}


def main() -> int:
    """Runs the rounds, prints the table and writes the report."""
    parser = common.parser("embedded_peers", __doc__ or "")
    parser.add_argument("--rows", type=int, default=20_000, help="100,000 for figures to quote, with --rounds 3")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--peers", nargs="*", default=list(peers.PEERS), choices=list(peers.PEERS))
    parser.add_argument("--budget-s", type=float, default=3, help="each timed loop of a slow store ends after this")
    options = parser.parse_args()
    if common.run_task(options, {"load": _load, "search": _search, "sync": _sync}):
        return 0
    with common.scratch(options) as directory:
        data = vectors.load(options.data, options.rows).head(options.rows, options.queries)
        np.save(directory / "rows.npy", data.rows)
        np.save(directory / "queries.npy", data.queries)
        truths = _truths(data)
        rounds = [_round(options, directory, truths) for _ in range(options.rounds)]
    results: dict[str, Any] = {name: _medians([one[name] for one in rounds]) for name in options.peers}
    for name, row in results.items():
        peer = peers.PEERS[name]
        row |= {"version": common.version_of(peer.distribution), "setting": peer.setting, "durable": peer.durable}
    ratios = _ratios(results)
    _show(results, ratios)
    parameters = {"rows": options.rows, "rounds": options.rounds, "queries": options.queries, "budget_s": options.budget_s}
    parameters |= {"origin": data.origin, "top_k": peers.TOP_K, "shares": SHARES}
    common.write_report(options, parameters, {"stores": results, "dvesp_to_best_peer": ratios, "rounds": rounds})
    _plot(options.plot, results)
    return 0


def _truths(data: vectors.Vectors) -> dict[str, vectors.Truth]:
    ranks = vectors.ranks(len(data.rows))
    masks = {str(share): ranks < max(1, round(share * len(ranks))) for share in SHARES}
    return {
        "all": vectors.Truth(data, "cosine"),
        **{name: vectors.Truth(data, "cosine", passing=m) for name, m in masks.items()},
    }


def _round(options: Any, directory: Path, truths: dict[str, vectors.Truth]) -> dict[str, dict[str, Any]]:
    measured = {}
    for name in options.peers:
        with tempfile.TemporaryDirectory(dir=directory, ignore_cleanup_errors=True) as place:
            task = {"peer": name, "directory": place, "data": str(directory), "budget_s": options.budget_s}
            row = common.run_child({**task, "name": "load"})
            row |= _with_recall(common.run_child({**task, "name": "search"}), truths)
            row["syncs_per_write"] = _syncs_per_write(task)
        row["install_mb"], row["install_mb_with_numpy"] = _install_mb(peers.PEERS[name].distribution)
        measured[name] = row
        print(
            f"{name}: load {row['load_index_s']:.1f} s, search {row['search_p50_ms']:.3f} ms, recall {row['recall']:.3f}",
            flush=True,
        )
    return measured


# --- in the child ---


def _peer(task: dict[str, Any], place: str = "store") -> tuple[peers.Peer, Any]:
    rows = np.load(Path(task["data"]) / "rows.npy", mmap_mode="r")
    return peers.PEERS[task["peer"]](Path(task["directory"]) / place, rows.shape[1]), rows


def _load(task: dict[str, Any]) -> dict[str, Any]:
    """Loads everything in batches of 10,000, makes it fast, then inserts single rows into a second store."""
    peer, rows = _peer(task)
    ranks = vectors.ranks(len(rows)).tolist()
    watch, seconds = common.Stopwatch(), []
    peer.create()
    for start, stop in workloads.batches(len(rows)):
        batch, numbers = np.array(rows[start:stop]), range(start, stop)
        seconds.append(
            common.timed(lambda batch=batch, numbers=numbers: peer.insert(numbers, batch, ranks[numbers.start : numbers.stop]))
        )
    index_s = common.timed(peer.finish)
    used = watch.read()
    peer.close()
    answer = {
        "insert_10k_p50_s": float(np.percentile(seconds, 50)),
        "insert_10k_p99_s": float(np.percentile(seconds, 99)),
        "load_index_s": sum(seconds) + index_s,
        "index_s": index_s,
        "load_cpu_s": used["cpu_s"],
        "load_peak_rss_mb": workloads.memory_bytes()["VmHWM"] / 1e6,
        "disk_mb": common.disk_bytes(Path(task["directory"])) / 1e6,
    }
    return answer | _singles(task)


def _singles(task: dict[str, Any]) -> dict[str, float]:
    peer, rows = _peer(task, "single")
    peer.create()
    copies = np.array(rows[:2000])
    done = workloads.repeat_for(min(2.0, task["budget_s"]), 1, _insert_one(peer, copies))
    answer = {"single_rows_per_s": done["per_s"], "single_p50_ms": common.milliseconds(done["seconds"])["p50_ms"]}
    if isinstance(peer, peers.Dvesp):
        done = workloads.repeat_for(min(2.0, task["budget_s"]), 8, _insert_one(peer, copies))
        answer["single_rows_per_s_8_threads"] = done["per_s"]
    peer.close()
    return answer


def _insert_one(peer: peers.Peer, rows: Any) -> Any:
    first = int(time.perf_counter() * 1e3) % 100_000 * 1_000_000  # other ids than an earlier call's
    room = peers.Hnswlib.room

    def insert(thread: int, number: int) -> None:
        id = number % room if isinstance(peer, peers.Hnswlib) else first + thread * 100_000 + number
        peer.insert(range(id, id + 1), rows[number % len(rows)][None], [number])

    return insert


def _search(task: dict[str, Any]) -> dict[str, Any]:
    """Opens the loaded store in this fresh process, searches, and says what memory that took."""
    peer, rows = _peer(task)
    queries = np.load(Path(task["data"]) / "queries.npy")
    import_s = common.timed(lambda: __import__(_module(task["peer"])))
    began_s = time.perf_counter()
    peer.open()
    open_s = time.perf_counter() - began_s
    peer.search(queries[0])
    answer: dict[str, Any] = {"import_s": import_s, "open_s": open_s, "open_and_search_s": time.perf_counter() - began_s}
    for query in queries[:20]:
        peer.search(query)
    seconds, found = _timed_searches(peer, queries, None, task["budget_s"])
    answer |= {"search_p50_ms": common.milliseconds(seconds)["p50_ms"], "search_p99_ms": common.milliseconds(seconds)["p99_ms"]}
    memory = workloads.memory_bytes()
    answer |= {"rss_mb": memory["VmRSS"] / 1e6, "anonymous_mb": memory["RssAnon"] / 1e6, "found": {"all": found}}
    for share in SHARES:
        bound = max(1, round(share * len(rows)))
        peer.search(queries[0], bound)
        seconds, answer["found"][str(share)] = _timed_searches(peer, queries[:200], bound, task["budget_s"])
        answer[f"filter_{share:g}_p50_ms"] = common.milliseconds(seconds)["p50_ms"]
    peer.close()
    return answer


def _module(name: str) -> str:
    return peers.PEERS[name].distribution.removesuffix("-py").replace("-", "_")


def _timed_searches(peer: peers.Peer, queries: Any, bound: int | None, budget_s: float) -> tuple[list[float], list[list[int]]]:
    seconds: list[float] = []
    found: list[list[int]] = []
    gc.collect()
    for query in queries:
        began_s = time.perf_counter()
        answer = peer.search(query, bound)
        seconds.append(time.perf_counter() - began_s)
        found.append([number for number, _ in answer])
        if sum(seconds) > budget_s and len(seconds) >= 10:
            break
    return seconds, found


def _sync(task: dict[str, Any]) -> dict[str, Any]:
    """Writes a few single rows, for the parent to count the syncs of."""
    peer, rows = _peer(task, f"sync-{task['count']}")
    peer.create()
    for number in range(task["count"]):
        peer.insert(range(number, number + 1), np.array(rows[number : number + 1]), [number])
    sys.stdout.flush()
    return {}


# --- in the parent ---


def _with_recall(answer: dict[str, Any], truths: dict[str, vectors.Truth]) -> dict[str, Any]:
    found = answer.pop("found")
    answer["recall"] = truths["all"].recall(found["all"])
    for share in SHARES:
        answer[f"filter_{share:g}_recall"] = truths[str(share)].recall(found[str(share)])
    return answer


def _syncs_per_write(task: dict[str, Any]) -> float | None:
    """System calls that force data to the disk, for each acknowledged single write; None where strace is not installed."""
    if shutil.which("strace") is None:
        return None
    counts = []
    for count in (2, 2 + SYNC_ROWS):
        trace = Path(task["directory"]) / f"strace-{count}"
        common.run_child(
            {**task, "name": "sync", "count": count}, prefix=["strace", "-f", "-e", f"trace={SYNC_CALLS}", "-o", str(trace)]
        )
        counts.append(len(re.findall(r"sync\w*\(", trace.read_text(errors="replace"))))
    return max(0.0, (counts[1] - counts[0]) / SYNC_ROWS)


def _install_mb(distribution: str) -> tuple[float, float]:
    """Installed megabytes of a package and all that it needs: without NumPy and what that needs, and with it."""
    sizes: dict[str, int] = {}
    waiting = [distribution]
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in sizes:
            continue
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            sizes[name] = _folder_bytes() if name == "dvesp" else 0
            waiting += ["numpy", "tqdm"] if name == "dvesp" else []
            continue
        sizes[name] = sum(file.size or 0 for file in found.files or [])
        waiting += [re.split(r"[^\w.-]", need)[0] for need in found.requires or [] if "extra ==" not in need]
    total = sum(sizes.values()) / 1e6
    return total - sizes.get("numpy", 0) / 1e6, total


def _folder_bytes() -> int:
    import dvesp

    files = Path(dvesp.__file__).parent.rglob("*")
    return sum(path.stat().st_size for path in files if path.is_file() and path.suffix != ".pyc")


def _medians(rows: list[dict[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for key in rows[0]:
        values = [row[key] for row in rows if row.get(key) is not None]
        merged[key] = statistics.median(values) if values else None
        if len(values) > 1 and min(values) != max(values):
            merged[key + "_range"] = [min(values), max(values)]
    return merged


def _ratios(results: dict[str, Any]) -> dict[str, Any]:
    """For each column the best peer, the best of those that sync their writes, and dvesp's figure divided by each."""
    columns = {key: less for key, (_, less) in COLUMNS.items() if key != "syncs_per_write"}
    columns |= {f"filter_{share:g}_p50_ms": True for share in SHARES}
    ratios = {}
    for key, less_is_better in columns.items():
        own = results.get("dvesp", {}).get(key)
        others = {name: row[key] for name, row in results.items() if name != "dvesp" and row.get(key)}
        if own is None or not others:
            continue
        pick = min if less_is_better else max
        best = pick(others, key=others.__getitem__)
        ratio = {"dvesp": own, "best_peer": best, "peer": others[best], "ratio": own / others[best]}
        durable = {name: value for name, value in others.items() if results[name]["durable"].startswith("yes")}
        if durable:
            name = pick(durable, key=durable.__getitem__)
            ratio |= {"best_durable_peer": name, "ratio_to_durable": own / durable[name]}
        ratios[key] = ratio | {"less_is_better": less_is_better}
    return ratios


def _show(results: dict[str, Any], ratios: dict[str, Any]) -> None:
    header = ["store", *[title for title, _ in COLUMNS.values()]]
    common.print_table("Figures", header, [[name, *[row.get(key) for key in COLUMNS]] for name, row in results.items()])
    header = ["store", *[f"{share:.1%} {what}" for share in SHARES for what in ("recall", "p50 ms")], "durable"]
    keys = [f"filter_{share:g}_{what}" for share in SHARES for what in ("recall", "p50_ms")]
    common.print_table(
        "Filters", header, [[name, *[row[key] for key in keys], row["durable"]] for name, row in results.items()]
    )
    names = ("dvesp", "best_peer", "peer", "ratio", "best_durable_peer", "ratio_to_durable")
    rows = [
        [key, "less" if row["less_is_better"] else "more", *[row.get(name) for name in names]] for key, row in ratios.items()
    ]
    common.print_table("dvesp divided by the best peer of each column", ("column", "better", *names), rows)


def _plot(path: Path, results: dict[str, Any]) -> None:
    panels = []
    shown = {key: title for key, (title, _) in COLUMNS.items() if key not in ("single_rows_per_s_8_threads", "syncs_per_write")}
    shown |= {f"filter_{share:g}_p50_ms": f"filter passing {share:.1%}: p50 ms" for share in SHARES}
    for key, title in shown.items():
        bars = {name: row.get(key) for name, row in results.items()}
        if any(bars.values()):
            panels.append(plots.Panel(title, title.rsplit(" ", 1)[-1], bars, logarithmic=key != "recall", own="dvesp"))
    plots.save(path, "Embedded stores from Python", panels, columns=3)


if __name__ == "__main__":
    sys.exit(main())

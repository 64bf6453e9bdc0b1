"""Archives: what they cost a writer, and how long a store takes to come back from a directory, S3, IPFS and Shadow Drive.

Services run on this machine, beside the store, on its cores and its disk. Upserts: two stores take turns, one whose archive
cannot be reached, one without an archive. Cold start: a new process restores 100,000 x 1536 with their graphs; the first
answer, the last piece, CPU seconds and peak memory of that process, and whether 20 searches answer as before.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import common
import numpy as np
import plots
from dvesp import IPFS, S3, Directory, ShadowDrive, VectorStore

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "python"))

COLD = """
import json, resource, sys, time
import numpy as np
from dvesp import *
target, queries, place = eval(sys.argv[1]), np.load(sys.argv[2]), sys.argv[3]
began, first = time.perf_counter(), None
store = VectorStore.restore(place, from_=target, wait=False)
while True:
    answer = store.search(queries[0])
    if first is None and len(answer):
        first = time.perf_counter() - began
    if not answer.metrics.is_partial:
        break
    if store.status(detail=True)["restoring"] and store.status(detail=True)["restoring"]["error"]:
        store.wait_restored()
    time.sleep(0.02)
full = time.perf_counter() - began
usage = resource.getrusage(resource.RUSAGE_SELF)
ids = [[match.id for match in store.search(query)] for query in queries]
verified = bool(store.verify())
print(json.dumps({"first_s": round(first, 2), "full_s": round(full, 2), "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
                  "peak_mb": usage.ru_maxrss // 1024, "verified": verified, "ids": ids}))
"""


def main() -> int:
    """Measures and writes the report."""
    parser = common.parser("archive", __doc__ or "")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=1536)
    parser.add_argument("--upserts", type=int, default=1000)
    parser.add_argument("--targets", default="directory,s3,ipfs,shadow")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    with common.scratch(options) as directory:
        results["upserts"] = _upserts(directory, options.upserts)
        results |= _cold(directory, options)
    bars = [(name, part) for name, part in results.items() if name != "upserts"]
    panel = plots.Panel(
        f"{options.rows:,} x {options.dimension} come back",
        "seconds",
        lines={
            "first answer": (list(range(len(bars))), [part["first_s"] for _, part in bars]),
            "everything": (list(range(len(bars))), [part["full_s"] for _, part in bars]),
        },
    )
    plots.save(options.plot, "Archives: " + ", ".join(name for name, _ in bars), [panel], columns=1)
    common.write_report(options, {"rows": options.rows, "dimension": options.dimension}, results)
    common.print_table("archives", ("what", "figures"), [(name, str(value)) for name, value in results.items()])
    return 0


def _upserts(directory: Path, count: int) -> dict[str, Any]:
    """Medians of upserts into two stores that take turns."""
    away = [S3("http://127.0.0.1:1", "b", "a", "s", archive_public=True), IPFS("http://127.0.0.1:1", archive_public=True)]
    rng = np.random.default_rng(2)
    times: dict[str, list[float]] = {"without": [], "unreachable": []}
    with VectorStore(directory / "u1") as without, VectorStore(directory / "u2", archive=away) as unreachable:
        for at in range(count + 50):
            record = {"id": str(at), "vector": rng.random(384, dtype=np.float32), "metadata": {"n": at}}
            pair = [("without", without), ("unreachable", unreachable)]
            for name, store in pair if at % 2 == 0 else pair[::-1]:
                took = common.timed(lambda store=store, record=record: store.upsert(record))
                if at >= 50:
                    times[name].append(took)
        failures = [one["failures"] for one in unreachable.status(detail=True)["archive"]]
    out: dict[str, Any] = {name: common.milliseconds(values) for name, values in times.items()}
    out["ratio_of_medians"] = round(float(np.median(times["unreachable"]) / np.median(times["without"])), 3)
    return out | {"failed_rounds": failures}


def _cold(directory: Path, options: Any) -> dict[str, Any]:
    from kubo import Kubo
    from s3_server import S3Server
    from shadow_drive import ShadowDrive as ShadowDriveServer
    from shadow_drive import account_of, wallet_of

    wanted = options.targets.split(",")
    rng = np.random.default_rng(1)
    out: dict[str, Any] = {}
    with ExitStack() as stack:
        targets: dict[str, Any] = {}
        if "directory" in wanted:
            targets["directory"] = Directory(directory / "kept", archive_public=True)
        if "s3" in wanted:
            server = stack.enter_context(S3Server(directory / "s3"))
            targets["s3"] = S3(server.url, "archive", "test-access", "test-secret-key", archive_public=True)
        if "ipfs" in wanted:
            node = stack.enter_context(Kubo(directory / "ipfs"))
            targets["ipfs"] = IPFS(node.api, archive_public=True)
        if "shadow" in wanted:
            owner, account = wallet_of("owner"), account_of("v1.5")
            wallet = directory / "id.json"
            wallet.write_text(json.dumps(list(bytes(owner))))
            drive = stack.enter_context(ShadowDriveServer())
            drive.add_account(account, str(owner.pubkey()), reserved=4 << 30)
            targets["shadow"] = ShadowDrive(drive.url, account, wallet, archive_public=True)
        with VectorStore(directory / "s") as store:
            for first in range(0, options.rows, 10_000):
                rows = rng.standard_normal((10_000, options.dimension), dtype=np.float32)
                store.insert(rows, ids=[str(at) for at in range(first, first + 10_000)])
            _wait_for_graphs(store, options.rows)
            queries = rng.standard_normal((20, options.dimension), dtype=np.float32)
            np.save(directory / "queries.npy", queries)
            before = [[match.id for match in store.search(query)] for query in queries]
        for name, target in targets.items():
            with VectorStore(directory / "s", archive=[target]) as store:
                archiving = common.timed(store.archive)
                kept = store.status(detail=True)["archive"][0]["bytes"]
            part = _restore(target, directory)
            out[name] = {"archive_s": round(archiving, 2), "bytes": kept, "same_answers": part.pop("ids") == before, **part}
            print(name, out[name], flush=True)
    return out


def _wait_for_graphs(store: VectorStore, rows: int) -> None:
    while (info := store.describe())["indexed_rows"] + info["head_rows"] < rows:
        time.sleep(0.5)


def _restore(target: Any, directory: Path) -> dict[str, Any]:
    place = directory / "back"
    shutil.rmtree(place, ignore_errors=True)
    text = repr(target)
    if isinstance(target, S3):  # its repr keeps the secret
        text = f"S3({target.endpoint!r}, {target.bucket!r}, 'test-access', 'test-secret-key', archive_public=True)"
    if isinstance(target, ShadowDrive):
        text = f"ShadowDrive({target.endpoint!r}, {target.account!r}, {str(target.wallet)!r}, archive_public=True)"
    text = text.replace("PosixPath(", "str(")
    command = [sys.executable, "-c", COLD, text, str(directory / "queries.npy"), str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return dict(json.loads(done.stdout))


if __name__ == "__main__":
    raise SystemExit(main())

"""How a search grows with the rows: CPU microseconds a query at one recall, memory and disk a row, from 10,000 rows up.

Each size is a store of its own, loaded and compacted in one process and searched in another (batches of 1,000, one thread), on
made data and, with `--texts`, on the embeddings of benchmarks/real_texts.py. "Growth" compares the queries a second with
those of the smallest size: 1 would be as slow as log n allows, above 1 is better.
"""

from __future__ import annotations

import math
import shutil
import sys
from pathlib import Path
from typing import Any

import common
import million
import plots

RECALL = 0.98


def main() -> int:
    """Measures every size and writes the report."""
    parser = common.parser("growth", __doc__ or "")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 30_000, 100_000, 300_000, 1_000_000])
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--texts", type=Path, default=None, metavar="DIR")
    options = parser.parse_args()
    if common.run_task(options, {"build": million.build, "search": million.search}):
        return 0
    results: dict[str, list[dict[str, Any]]] = {}
    sources = {"made": None} | ({"texts": str(options.texts)} if options.texts else {})
    for name, texts in sources.items():
        results[name] = []
        for rows in options.sizes:
            if texts and rows > million.TEXT_ROWS_MAX:
                continue
            results[name].append(_measure(options, rows, texts))
        _show(name, results[name])
    common.write_report(options, {"sizes": options.sizes, "dimension": options.dimension, "recall asked": RECALL}, results)
    _plot(options.plot, results)
    return 0


def _measure(options: Any, rows: int, texts: str | None) -> dict[str, Any]:
    with common.scratch(options) as directory:
        task = {"directory": str(directory), "rows": rows, "dimension": options.dimension, "queries": 1000}
        task |= {"texts": texts, "recalls": [RECALL]}
        built = common.run_child({"name": "build", **task}, timeout_s=7200)
        searched = common.run_child({"name": "search", **task}, ["env", "DVESP_THREADS=1"], timeout_s=3600)
        disk = common.disk_bytes(directory / "store")
        shutil.rmtree(directory / "store")
    return {
        "rows": rows,
        "recall": searched[f"recall at {RECALL}"],
        "us": searched[f"us at {RECALL}"],
        "open_s": searched["open_s"],
        "build_cpu_us_a_row": built["index_cpu_s"] / rows * 1e6,
        "anonymous_bytes_a_row": searched["anonymous_mb"] * 2**20 / rows,
        "disk_bytes_a_row": disk / rows,
    }


def _show(name: str, points: list[dict[str, Any]]) -> None:
    first = points[0]
    for point in points:
        allowed = math.log(point["rows"]) / math.log(first["rows"])
        point["growth"] = allowed / (point["us"] / first["us"])
    common.print_table(name, list(first), [list(point.values()) for point in points])


def _plot(path: Path, results: dict[str, list[dict[str, Any]]]) -> None:
    panels = []
    for title, key in (("CPU us a query", "us"), ("anonymous bytes a row", "anonymous_bytes_a_row")):
        lines = {
            name: ([point["rows"] for point in points], [point[key] for point in points]) for name, points in results.items()
        }
        panels.append(plots.Panel(title, title, lines=lines, x_label="rows", logarithmic=True))
    plots.save(path, f"Growth, recall asked {RECALL}", panels)


if __name__ == "__main__":
    sys.exit(main())

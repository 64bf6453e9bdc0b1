"""What every benchmark here shares: options, timing, child processes, the machine's description, the JSON report.

A benchmark is run as `python benchmarks/NAME.py [--data DIR] [--json FILE] [--plot FILE]`. Work that must not disturb other
work (memory, open times, other stores) runs in child processes: the same script with ``--task``, a JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
RESULT_MARK = "RESULT "
CHILD_TIMEOUT_S = 1800
Task = Callable[[dict[str, Any]], dict[str, Any]]


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """The options that all benchmarks take; `name` is the script's, without its suffix."""
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    options.add_argument("--data", type=Path, default=os.environ.get("DVESP_BENCH_DATA"), metavar="DIR")
    options.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / f"{name}.json", metavar="FILE")
    options.add_argument("--plot", type=Path, default=ROOT / "benchmarks" / "plots" / f"{name}.png", metavar="FILE")
    options.add_argument("--scratch", type=Path, default=None, metavar="DIR", help="where stores are made; the system's")
    options.add_argument("--task", default=None, help=argparse.SUPPRESS)
    return options


def run_task(options: argparse.Namespace, tasks: dict[str, Task]) -> bool:
    """In a child: runs the task asked for, prints its result, and says True."""
    if options.task is None:
        return False
    task = json.loads(options.task)
    result = tasks[task["name"]](task)
    print(RESULT_MARK + json.dumps(result), flush=True)
    return True


def child_command(task: dict[str, Any]) -> list[str]:
    """The command that runs `task` in a child of the script that is running."""
    return [sys.executable, str(Path(sys.argv[0]).resolve()), "--task", json.dumps(task)]


def run_child(task: dict[str, Any], prefix: Sequence[str] = (), timeout_s: int = CHILD_TIMEOUT_S) -> dict[str, Any]:
    """What a task answers in a fresh process. Raises RuntimeError, with the child's last words, when it fails."""
    done = subprocess.run([*prefix, *child_command(task)], capture_output=True, text=True, timeout=timeout_s)
    for line in reversed(done.stdout.splitlines()):
        if done.returncode == 0 and line.startswith(RESULT_MARK):
            return dict(json.loads(line.removeprefix(RESULT_MARK)))
    raise RuntimeError(f"task {task['name']} failed ({done.returncode}): {done.stderr[-2000:]}")


@contextlib.contextmanager
def scratch(options: argparse.Namespace) -> Iterator[Path]:
    """A directory for stores, gone afterwards; on a real disk if --scratch or TMPDIR says so."""
    with tempfile.TemporaryDirectory(prefix="dvesp-bench-", dir=options.scratch, ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def milliseconds(samples_s: Iterable[float]) -> dict[str, float]:
    """Percentiles of wall times in seconds, as milliseconds."""
    values = np.asarray(list(samples_s)) * 1e3
    if not values.size:
        return {"count": 0}
    named = {f"p{point}_ms": round(float(np.percentile(values, point)), 4) for point in (50, 90, 99)}
    return {
        "count": int(values.size),
        "min_ms": round(float(values.min()), 4),
        **named,
        "max_ms": round(float(values.max()), 4),
    }


class Stopwatch:
    """Wall and CPU seconds (all threads of this process) since it was made."""

    def __init__(self) -> None:
        self._wall_s, self._cpu_s = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """``wall_s`` and ``cpu_s`` so far."""
        wall_s, cpu_s = time.perf_counter() - self._wall_s, time.process_time() - self._cpu_s
        return {"wall_s": round(wall_s, 4), "cpu_s": round(cpu_s, 4)}


def timed(call: Callable[[], Any]) -> float:
    """Wall seconds of one call."""
    start_s = time.perf_counter()
    call()
    return time.perf_counter() - start_s


def disk_bytes(directory: Path) -> int:
    """Bytes that the files below a directory occupy on the disk, preallocated ones too."""
    total = 0
    for path in directory.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # background work removes files while we look
            if path.is_file():
                total += path.stat().st_blocks * 512
    return total


def _first_value(path: str, word: str) -> str:
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        if line.startswith(word):
            return line.split(":", 1)[1].strip()
    return "unknown"


def _git(*words: str) -> str:
    try:
        quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # a benchmark leaves the repository alone
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, env=quiet)
    except OSError:
        return "unknown"
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def machine() -> dict[str, Any]:
    """Where the figures come from: processor, memory, kernel, the native core's instruction set and digest."""
    from dvesp import _native

    library = Path(_native.__file__).read_bytes()
    return {
        "cpu": _first_value("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "cores_allowed": len(os.sched_getaffinity(0)),
        "memory": _first_value("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "instruction_set": _native.instruction_set(),
        "native_sha256": hashlib.sha256(library).hexdigest()[:16],
        "dvesp_threads": os.environ.get("DVESP_THREADS", "default"),
        "load_average_1min": os.getloadavg()[0],
    }


def version_of(package: str) -> str:
    """The installed version of a package, or "absent"."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


def write_report(options: argparse.Namespace, parameters: dict[str, Any], results: dict[str, Any]) -> dict[str, Any]:
    """Writes the JSON report and returns it."""
    report = {
        "benchmark": Path(sys.argv[0]).stem,
        "command": "python benchmarks/" + " ".join([Path(sys.argv[0]).name, *_public_words(sys.argv[1:])]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "commit_is_modified": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "machine": machine(),
        "parameters": parameters,
        "results": results,
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten: {os.path.relpath(options.json)}")
    return report


def _public_words(words: Sequence[str]) -> list[str]:
    """Command words fit for a report: directories of this machine are left out."""
    shown: list[str] = []
    hidden = False
    for word in words:
        shown.append("DIR" if hidden else word)
        hidden = word in ("--data", "--scratch", "--json", "--plot", "--texts", "--keep", "--hdf5")
    return shown


def print_table(title: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table in plain text; numbers are shown with four significant digits."""
    cells = [list(header), *[[_shown(value) for value in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    print(f"\n{title}")
    for number, row in enumerate(cells):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)

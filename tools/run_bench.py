"""Runs every benchmark, programs first and then scripts; each writes its JSON, scripts also a plot, into build/bench/.

usage: .venv/bin/python tools/run_bench.py [WORD...]     WORD: only benchmarks whose name has it
Scripts are the benchmarks/*.py that can be run (the rest helps them), called as
`python benchmarks/NAME.py --json build/bench/NAME.json --plot build/bench/NAME.png`. DVESP_BENCH_DATA names a folder of real
embeddings; without it they make their own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from stages import ROOT, files


def scripts() -> list[str]:
    """The Python files of benchmarks/ that are benchmarks themselves."""
    return [path for path in files("benchmarks/*.py") if '\nif __name__ == "__main__":' in (ROOT / path).read_text("utf-8")]


def command_of(source: str) -> list[str]:
    out = f"build/bench/{Path(source).stem}"
    if source.endswith(".py"):
        return [sys.executable, source, "--json", f"{out}.json", "--plot", f"{out}.png"]
    return [f"build/bench/bin/{Path(source).stem}", f"--benchmark_out={out}.json", "--benchmark_out_format=json"]


def main(words: list[str]) -> int:
    failed = 0
    for source in [*files("benchmarks/*_bench.cpp"), *scripts()]:
        if words and not any(word in source for word in words):
            continue
        print(f"=== {source}", flush=True)
        failed += subprocess.run(command_of(source), cwd=ROOT).returncode != 0
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

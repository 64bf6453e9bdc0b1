"""Runs every benchmark, programs first and then benchmarks/*_bench.py; each writes its JSON into build/bench/.

usage: .venv/bin/python tools/run_bench.py [WORD...]     WORD: only benchmarks whose name has it
Python benchmarks are called as `python benchmarks/NAME_bench.py --json build/bench/NAME_bench.json`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from stages import ROOT, files


def command_of(source: str) -> list[str]:
    name = Path(source).stem
    out = f"build/bench/{name}.json"
    if source.endswith(".py"):
        return [sys.executable, source, "--json", out]
    return [f"build/bench/bin/{name}", f"--benchmark_out={out}", "--benchmark_out_format=json"]


def main(words: list[str]) -> int:
    sources = [*files("benchmarks/*_bench.cpp"), *files("benchmarks/*_bench.py")]
    failed = 0
    for source in sources:
        if words and not any(word in source for word in words):
            continue
        print(f"=== {source}", flush=True)
        failed += subprocess.run(command_of(source), cwd=ROOT).returncode != 0
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

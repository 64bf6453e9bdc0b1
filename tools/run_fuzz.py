"""Runs every fuzz target for a number of seconds on its growing corpus; prints last `N passed, N failed` in targets.

usage: .venv/bin/python tools/run_fuzz.py SECONDS        a failing input stays in build/corpus/<target>-*
"""

from __future__ import annotations

import os
import subprocess
import sys

from stages import ROOT, SANITIZER_ENVIRONMENT, fuzz_command, fuzzers


def main(seconds: int) -> int:
    passed = failed = 0
    for program in fuzzers("fuzz"):
        command = fuzz_command(program, [f"-max_total_time={seconds}", "-print_final_stats=1", "-close_fd_mask=1"])
        print(" ".join(command), flush=True)
        code = subprocess.run(command, cwd=ROOT, env={**os.environ, **SANITIZER_ENVIRONMENT}).returncode
        passed += code == 0
        failed += code != 0
    print(f"{passed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))

"""Runs the stages of tools/stages.py, prints a table with seconds, and last the sum: `N passed, N failed`.

usage: .venv/bin/python tools/run_tests.py [--fast] [WORD...]     WORD: only stages whose name has it, with their builds
Exit code 1 if anything failed. The output of each stage is kept in build/logs/.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from stages import BIN, ROOT, Stage, all_stages

LOGS = ROOT / "build" / "logs"
LINES_SHOWN_OF_A_FAILURE = 60
COMMANDS_AT_ONCE = 2


@dataclass(frozen=True)
class Outcome:
    stage: Stage
    passed: int
    failed: int
    seconds: float
    note: str = ""


def count_tests(kind: str, output: str) -> tuple[int, int]:
    """(passed, failed) as `output` says it. A skipped test is a failed one: this project skips nothing."""
    passed = failed = 0
    if kind == "doctest":
        pattern = r"test cases:\s*\d+\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed(?:\s*\|\s*(\d+) skipped)?"
        for match in re.finditer(pattern, output):
            passed += int(match.group(1))
            failed += int(match.group(2)) + int(match.group(3) or 0)
    elif kind == "pytest":
        lines = [
            line for line in output.splitlines() if re.search(r"\b(passed|failed|error|errors|skipped)\b.* in [\d.]+s", line)
        ]
        for number, word in re.findall(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed)\b", lines[-1] if lines else ""):
            if word == "passed":
                passed += int(number)
            else:
                failed += int(number)
    elif kind == "plain":
        for match in re.finditer(r"^(\d+) passed, (\d+) failed$", output, re.MULTILINE):
            passed += int(match.group(1))
            failed += int(match.group(2))
    return passed, failed


def run_command(command: list[str], stage: Stage) -> tuple[int, str]:
    """Exit code and output of one command; after `timeout_s` its whole process group is killed."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}", **stage.environment}
    environment.setdefault("CMAKE_BUILD_PARALLEL_LEVEL", "2")
    symbolizer = shutil.which("llvm-symbolizer-16")
    if symbolizer:
        environment.setdefault("ASAN_SYMBOLIZER_PATH", symbolizer)
    try:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
    except OSError as error:
        return 127, f"{command[0]}: {error.strerror}\n"
    try:
        output, _ = process.communicate(timeout=stage.timeout_s)
        code, note = process.returncode, ""
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        code, note = 124, f"\nkilled: not done after {stage.timeout_s} s\n"
    return code, output.decode("utf-8", "replace") + note


def outputs_of(stage: Stage) -> Iterator[tuple[list[str], tuple[int, str]]]:
    """Each command with its exit code and output, in their order; tests of simulations run two at a time."""
    if not stage.is_parallel:
        yield from ((command, run_command(command, stage)) for command in stage.commands)
        return
    with ThreadPoolExecutor(max_workers=COMMANDS_AT_ONCE) as pool:
        yield from zip(stage.commands, pool.map(lambda command: run_command(command, stage), stage.commands), strict=True)


def run_stage(stage: Stage) -> Outcome:
    """Runs the commands (a build stops at its first failure) and counts; silence or a bad exit code is a failure too."""
    start = time.monotonic()
    passed = failed = 0
    text = ""
    for command, (code, output) in outputs_of(stage):
        text += f"$ {' '.join(command)[:300]}\n{output}"
        command_passed, command_failed = count_tests(stage.count, output)
        if stage.count == "command":
            command_passed = int(code == 0)
        silent = stage.count not in ("command", "build") and command_passed + command_failed == 0
        if (code != 0 or silent) and command_failed == 0:
            command_failed = 1
            text += f"exit code {code}, no test counted as failed\n" if not silent else f"exit code {code}, no tests were run\n"
        passed += command_passed
        failed += command_failed
        if failed and stage.count == "build":
            break
    log = LOGS / (re.sub(r"[^a-z0-9]+", "-", stage.name.lower()).strip("-") + ".log")
    log.write_text(text, encoding="utf-8")
    if failed:
        tail = "\n".join(text.splitlines()[-LINES_SHOWN_OF_A_FAILURE:])
        print(f"--- {stage.name} failed; the whole output: {log.relative_to(ROOT)}\n{tail}\n---", flush=True)
    return Outcome(stage, passed, failed, time.monotonic() - start)


def run_all(stages: list[Stage]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    broken_builds: set[str] = set()
    for stage in stages:
        if stage.after in broken_builds:
            outcome = Outcome(stage, 0, 1, 0.0, f"not run: {stage.after} failed")
        else:
            print(f"{stage.name} ...", flush=True)
            outcome = run_stage(stage)
        if outcome.failed and stage.count == "build":
            broken_builds.add(stage.name)
        outcomes.append(outcome)
    return outcomes


def chosen(stages: list[Stage], words: list[str]) -> list[Stage]:
    if not words:
        return stages
    names = {stage.name for stage in stages if any(word in stage.name for word in words)}
    names |= {stage.after for stage in stages if stage.name in names}
    return [stage for stage in stages if stage.name in names]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="release unit tests, tidy, quick Python tests")
    parser.add_argument("words", nargs="*", metavar="WORD")
    arguments = parser.parse_args()
    LOGS.mkdir(parents=True, exist_ok=True)
    outcomes = run_all(chosen(all_stages(arguments.fast), arguments.words))
    width = max((len(outcome.stage.name) for outcome in outcomes), default=5)
    print(f"\n{'stage':<{width}}  {'passed':>8}  {'failed':>6}  {'seconds':>7}")
    for outcome in outcomes:
        counts = f"{outcome.passed:>8}  {outcome.failed:>6}  {outcome.seconds:>7.1f}"
        print(f"{outcome.stage.name:<{width}}  {counts}  {outcome.note}".rstrip())
    passed = sum(outcome.passed for outcome in outcomes)
    failed = sum(outcome.failed for outcome in outcomes)
    print(f"in {Path(ROOT).name}, {sum(outcome.seconds for outcome in outcomes):.0f} s; logs: build/logs/")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())

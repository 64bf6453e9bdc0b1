"""Runs the simulations and crash tests on new seeds until the time is up; goes on where it stopped and adds up.

usage: .venv/bin/python tools/campaign.py SECONDS        state: build/campaign.json; remove it to begin anew
Each program is called as `PROGRAM --seed-first S --seed-count N` and prints `N passed, N failed`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from run_tests import count_tests
from stages import ROOT, programs

STATE = ROOT / "build" / "campaign.json"
SEEDS_PER_CALL = 50
FAILED_CALLS_KEPT = 100


@dataclass
class Tally:
    seed_next: int = 1
    passed: int = 0
    failed: int = 0
    seconds: float = 0.0
    failed_calls: list[str] = field(default_factory=list)


def load() -> dict[str, Tally]:
    if not STATE.exists():
        return {}
    return {name: Tally(**row) for name, row in json.loads(STATE.read_text(encoding="utf-8")).items()}


def save(tallies: dict[str, Tally]) -> None:
    """Replaces the file as a whole, so that an interrupted campaign loses one call at the most."""
    fresh = STATE.with_suffix(".new")
    fresh.write_text(json.dumps({name: asdict(tally) for name, tally in tallies.items()}, indent=2), encoding="utf-8")
    fresh.replace(STATE)


def run_once(program: str, tally: Tally) -> None:
    command = [program, "--seed-first", str(tally.seed_next), "--seed-count", str(SEEDS_PER_CALL)]
    start = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    passed, failed = count_tests("plain", done.stdout)
    if failed == 0 and (done.returncode != 0 or passed == 0):
        failed = 1
    if failed:
        print(done.stdout[-4000:])
        print("failed:", " ".join(command), flush=True)
        tally.failed_calls = [*tally.failed_calls, " ".join(command)][-FAILED_CALLS_KEPT:]
    tally.seed_next += SEEDS_PER_CALL
    tally.passed += passed
    tally.failed += failed
    tally.seconds += time.monotonic() - start


def main(seconds: float) -> int:
    tallies = load()
    names = [*programs("sim", "release"), *programs("crash", "release"), *programs("cluster_sim", "release")]
    deadline = time.monotonic() + seconds
    try:
        while names and time.monotonic() < deadline:
            for program in names:
                run_once(program, tallies.setdefault(Path(program).name, Tally()))
                save(tallies)
    except KeyboardInterrupt:
        print("stopped; the next `make campaign` goes on from here")
    for name, tally in sorted(tallies.items()):
        print(
            f"{name:<30} {tally.passed:>9} passed {tally.failed:>6} failed {tally.seconds:>9.0f} s, next seed {tally.seed_next}"
        )
    failed = sum(tally.failed for tally in tallies.values())
    print(f"{sum(tally.passed for tally in tallies.values())} passed, {failed} failed")
    return int(failed > 0 or not names)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))

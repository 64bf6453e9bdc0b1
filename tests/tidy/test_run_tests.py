"""The runner of `make test` must never turn a failure, a skip or silence into success."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import run_tests
from stages import Stage, all_stages


@pytest.mark.parametrize(
    ("kind", "output", "expected"),
    [
        ("doctest", "[doctest] test cases:  12 |  11 passed | 1 failed | 0 skipped\n", (11, 1)),
        ("doctest", "[doctest] test cases:  12 |  10 passed | 0 failed | 2 skipped\n", (10, 2)),
        ("pytest", "58 passed in 0.77s\n", (58, 0)),
        ("pytest", "1 failed, 58 passed, 2 errors in 61.02s (0:01:01)\n", (58, 3)),
        ("pytest", "1 passed, 1 skipped, 1 xfailed in 0.1s\n", (1, 2)),
        ("pytest", "7 passed, 3 deselected in 0.1s\n", (7, 0)),
        ("plain", "seed 1 fine\n1000 passed, 0 failed\n20 passed, 3 failed\n", (1020, 3)),
        ("plain", "about 3 passed, 0 failed in all\n", (0, 0)),
    ],
)
def test_output_is_counted_as_the_tool_means_it(kind: str, output: str, expected: tuple[int, int]) -> None:
    assert run_tests.count_tests(kind, output) == expected


@pytest.mark.parametrize(
    ("count", "script", "passed", "failed"),
    [
        ("plain", "echo '3 passed, 0 failed'", 3, 0),
        ("plain", "echo '3 passed, 0 failed'; exit 1", 3, 1),
        ("plain", "echo '3 passed, 2 failed'; exit 1", 3, 2),
        ("plain", "echo nothing", 0, 1),
        ("doctest", "kill -9 $$", 0, 1),
        ("command", "exit 0", 1, 0),
        ("command", "exit 3", 0, 1),
        ("build", "exit 0", 0, 0),
        ("build", "exit 1", 0, 1),
        ("command", "sleep 60", 0, 1),
    ],
)
def test_stage_with_this_ending_counts_so(count: str, script: str, passed: int, failed: int) -> None:
    run_tests.LOGS.mkdir(parents=True, exist_ok=True)
    outcome = run_tests.run_stage(Stage("own test of the runner", [["sh", "-c", script]], count, timeout_s=2))
    assert (outcome.passed, outcome.failed) == (passed, failed)


def test_program_that_is_not_there_counts_as_failed() -> None:
    run_tests.LOGS.mkdir(parents=True, exist_ok=True)
    outcome = run_tests.run_stage(Stage("own test of the runner", [["build/no-such-program"]], "doctest"))
    assert (outcome.passed, outcome.failed) == (0, 1)


def test_stage_after_a_broken_build_is_failed_and_not_run() -> None:
    run_tests.LOGS.mkdir(parents=True, exist_ok=True)
    broken = Stage("own test of a broken build", [["false"]], "build")
    dependent = Stage("own test after it", [["true"]], "command", after=broken.name)
    outcomes = run_tests.run_all([broken, dependent])
    assert [(outcome.passed, outcome.failed) for outcome in outcomes] == [(0, 1), (0, 1)]
    assert "not run" in outcomes[1].note


def test_every_stage_waits_for_a_build_of_the_table() -> None:
    for fast in (False, True):
        stages = all_stages(fast)
        names = [stage.name for stage in stages]
        assert len(set(names)) == len(names)
        for position, stage in enumerate(stages):
            assert not stage.after or stage.after in names[:position]

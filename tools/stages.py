"""The stages of `make test` and `make test-fast`: one table row each, with its commands and how its tests are counted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent  # of .venv
SANITIZER_ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1",
}
FUZZ_RUNS = 5000  # inputs a target in `make test`; `make fuzz` goes on for as long as asked


@dataclass(frozen=True)
class Stage:
    """`count` is `doctest`, `pytest` or `plain` (lines `N passed, N failed`), `command` (each command is one test) or
    `build` (no tests; one failed when it fails). `after` names the build without which the stage cannot be believed."""

    name: str
    commands: list[list[str]]
    count: str
    after: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    timeout_s: int = 1800
    is_parallel: bool = False  # commands that share nothing: simulations, fuzzers


def files(pattern: str) -> list[str]:
    """Paths of the checkout that match, relative to it and sorted."""
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern))


def programs(folder: str, preset: str) -> list[str]:
    """The programs that tests/CMakeLists.txt makes of the files with a main() in tests/`folder`."""
    sources = [path for path in files(f"tests/{folder}/*.cpp") if "\nint main(" in (ROOT / path).read_text(encoding="utf-8")]
    return [f"build/{preset}/bin/{folder}_{Path(path).stem}" for path in sources]


def fuzzers(preset: str) -> list[str]:
    return [f"build/{preset}/bin/{Path(path).stem}" for path in files("tests/fuzz/*_fuzz.cpp")]


def build(preset: str) -> Stage:
    configure = ["cmake", "--preset", preset, "-Wno-dev", "--log-level=NOTICE"]
    return Stage(f"build {preset}", [configure, ["cmake", "--build", "--preset", preset]], "build")


def style_stages(fast: bool) -> list[Stage]:
    tool = str(BIN)
    cpp = [
        path for suffix in ("cpp", "hpp") for top in ("cpp", "tests", "benchmarks") for path in files(f"{top}/**/*.{suffix}")
    ]
    stages = [
        Stage("tidy", [[sys.executable, "tests/tidy/tidy.py"]], "plain"),
        Stage("tidy's own test", [[f"{tool}/pytest", "tests/tidy"]], "pytest"),
        Stage("clang-format", [["clang-format-16", "--dry-run", "--Werror", *cpp]], "command"),
        Stage("ruff", [[f"{tool}/ruff", "check", "--quiet"], [f"{tool}/ruff", "format", "--check", "--quiet"]], "command"),
        Stage("mypy", [[f"{tool}/mypy"]], "command"),
    ]
    return stages[:2] if fast else stages


def release_stages(fast: bool) -> list[Stage]:
    stages = [build("release"), Stage("unit", [["build/release/bin/unit_tests"]], "doctest", "build release")]
    if fast:
        return stages
    stages.append(Stage("kernels on aarch64, emulated", [["tools/test_neon"]], "doctest"))
    secrets = [["valgrind", "--quiet", "--error-limit=no", program] for program in programs("crypto", "release")]
    if secrets:
        stages.append(Stage("secrets in constant time", secrets, "plain", "build release"))
    for folder, name in (("sim", "power cuts"), ("crash", "kill -9")):
        commands = [[program] for program in programs(folder, "release")]
        if commands:
            stages.append(Stage(name, commands, "plain", "build release", is_parallel=folder == "sim"))
    cluster = "build/release/bin/cluster_sim_faults"
    parts = [[cluster, "--seed-first", str(first), "--seed-count", "250"] for first in range(1, 1001, 250)]
    if files("tests/cluster_sim/faults.cpp"):
        stages.append(Stage("simulated clusters", parts, "plain", "build release", is_parallel=True))
        stages.append(Stage("branches in clusters", [["build/release/bin/cluster_sim_branches"]], "plain", "build release"))
        stages.append(Stage("replicas that differ", [["build/release/bin/cluster_sim_divergence"]], "plain", "build release"))
        stages.append(Stage("damaged disks in clusters", [["build/release/bin/cluster_sim_flips"]], "plain", "build release"))
    return stages


def sanitizer_stages() -> list[Stage]:
    asan, tsan = "build asan-ubsan", "build tsan"
    environment = SANITIZER_ENVIRONMENT
    stages = [build("asan-ubsan")]
    stages.append(Stage("unit, asan + ubsan", [["build/asan-ubsan/bin/unit_tests"]], "doctest", asan, environment))
    sim = [[program] for program in programs("sim", "asan-ubsan")]
    if sim:
        stages.append(Stage("power cuts, asan + ubsan", sim, "plain", asan, environment, is_parallel=True))
    if files("tests/cluster_sim/faults.cpp"):
        program = "build/asan-ubsan/bin/cluster_sim_faults"
        simulated = [[program, "--seed-first", first, "--seed-count", "13"] for first in ("1", "14")]
        stages.append(Stage("simulated clusters, asan + ubsan", simulated, "plain", asan, environment, is_parallel=True))
    fuzz = [fuzz_command(program, ["-seed=1", f"-runs={FUZZ_RUNS}"]) for program in fuzzers("asan-ubsan")]
    if fuzz:
        stages.append(Stage("fuzz, asan + ubsan", fuzz, "command", asan, environment, is_parallel=True))
    stages.append(build("tsan"))
    unit = [*without_address_randomization(), "build/tsan/bin/unit_tests"]
    stages.append(Stage("unit, tsan", [unit], "doctest", tsan, environment))
    return stages


def fuzz_command(program: str, options: list[str]) -> list[str]:
    """A libFuzzer call that collects new inputs in build/corpus and starts from those in tests/fuzz/corpus."""
    name = Path(program).name
    collected = ROOT / "build" / "corpus" / name
    collected.mkdir(parents=True, exist_ok=True)
    given = [f"tests/fuzz/corpus/{name}"] if (ROOT / "tests/fuzz/corpus" / name).is_dir() else []
    artifacts = f"-artifact_prefix=build/corpus/{name}-"
    return [program, *options, "-max_len=65536", "-rss_limit_mb=2048", artifacts, f"build/corpus/{name}", *given]


def without_address_randomization() -> list[str]:
    """clang 16's thread sanitizer cannot place its shadow memory on kernels that randomize more bits than it knew."""
    prefix = ["setarch", os.uname().machine, "-R"]
    if shutil.which("setarch") and subprocess.run([*prefix, "true"], capture_output=True).returncode == 0:
        return prefix
    return []


def python_stages(fast: bool) -> list[Stage]:
    if not files("cpp/bind/*.cpp"):
        return []
    tool = str(BIN)
    wheel = Stage("build wheel", [["tools/install_wheel"]], "build")
    stages = [wheel]
    if not fast:
        stages.append(Stage("stubs are current", [[sys.executable, "tools/stubs.py", "--check"]], "command", wheel.name))
        stages.append(
            Stage(
                "stubtest",
                [[f"{tool}/stubtest", "--allowlist", "tools/stubtest_allowlist.txt", "dvesp._native"]],
                "command",
                wheel.name,
            )
        )
    if files("tests/python/**/test_*.py"):
        chosen = ["-m", "not slow"] if fast else []
        stages.append(Stage("pytest", [[f"{tool}/pytest", *chosen]], "pytest", wheel.name))
    if not fast and files("tests/integrations/test_*.py"):
        adapters = ["build/integrations-venv/bin/python", "-m", "pytest", "tests/integrations"]
        stages.append(Stage("integrations", [adapters], "pytest", wheel.name))
    if not fast and files("tests/cluster/faults.py"):
        faults = [sys.executable, "tests/cluster/faults.py", "--short"]
        stages.append(Stage("faults on real processes", [faults], "plain", wheel.name))
    return stages


def all_stages(fast: bool) -> list[Stage]:
    """The table, cheapest answers first. A stage whose sources do not exist is not in it."""
    sanitizers = [] if fast else sanitizer_stages()
    return [*style_stages(fast), *release_stages(fast), *python_stages(fast), *sanitizers]

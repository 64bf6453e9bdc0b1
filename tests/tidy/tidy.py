"""Checks the checkout against layers.toml; prints `path:line: what: what instead` and last `N passed, N failed` in files.

usage: python tests/tidy/tidy.py [ROOT]        exit code 1 if anything was found
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from source import Function, blank_cpp, cpp_functions, python_functions

CPP_SUFFIXES = {".cpp", ".hpp"}
TEXT_SUFFIXES = CPP_SUFFIXES | {
    ".py", ".pyi", ".toml", ".json", ".txt", ".md", ".cmake", ".def", ".sh", ".cfg", ".ini", ".yml", ".yaml", ".ipynb", "",
}  # fmt: skip
LEFT_OUT_FOLDERS = {
    ".git", ".venv", "build", "dist", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "corpus",
}  # fmt: skip
LEFT_OUT_FILES = {"LICENSE"}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([\w.]+)/([\w./]+)[>"]', re.MULTILINE)


@dataclass(frozen=True)
class Problem:
    path: str
    line: int
    what: str
    instead: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}: {self.instead}"


@dataclass(frozen=True)
class Ban:
    name: str
    rooms: frozenset[str]  # empty: every text file
    where: str
    pattern: re.Pattern[str]
    instead: str


@dataclass
class Rules:
    layers: dict[str, int]
    limits: dict[str, int]
    bans: list[Ban]
    exceptions: set[tuple[str, str]]
    used_exceptions: set[tuple[str, str]] = field(default_factory=set)


def load_rules(path: Path) -> Rules:
    """The rules of layers.toml. Raises KeyError or re.error when the table is wrong: the check must not pass then."""
    table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    bans = []
    for row in table["ban"]:
        rooms: set[str] = set() if row["rooms"] == "files" else set(table["groups"][row["rooms"]])
        rooms -= set(row.get("except_rooms", []))
        if row["where"] not in ("code", "text"):
            raise KeyError(f"ban {row['name']}: where = {row['where']}")
        bans.append(Ban(row["name"], frozenset(rooms), row["where"], re.compile(row["pattern"]), row["instead"]))
    names = {ban.name for ban in bans}
    exceptions = set()
    for row in table["exception"]:
        if row["ban"] not in names or not row["reason"]:
            raise KeyError(f"exception for {row['file']}: no such ban, or no reason: {row['ban']}")
        exceptions.add((row["file"], row["ban"]))
    return Rules(table["layers"], table["limits"], bans, exceptions)


def room_of(path: str) -> str | None:
    """The room of a path below cpp/, or None."""
    parts = path.split("/")
    if parts[0] != "cpp" or len(parts) < 3:
        return None
    return parts[2] if parts[1] == "include" else parts[1]


def check_layers(path: str, code: str, rules: Rules) -> Iterator[Problem]:
    room = room_of(path)
    if room is None:
        return
    if room not in rules.layers:
        yield Problem(path, 1, f"unknown room {room}", "name its layer in tests/tidy/layers.toml")
        return
    for match in INCLUDE.finditer(code):
        other = match.group(1)
        if other not in rules.layers or other == room or rules.layers[other] < rules.layers[room]:
            continue
        line = code.count("\n", 0, match.start(1)) + 1
        what = f"{room} (layer {rules.layers[room]}) includes {other} (layer {rules.layers[other]})"
        yield Problem(path, line, what, "include strictly lower layers only; move the shared part down")


def check_bans(path: str, text: str, code: str, rules: Rules) -> Iterator[Problem]:
    room = room_of(path)
    for ban in rules.bans:
        if ban.rooms and room not in ban.rooms:
            continue
        source = code if ban.where == "code" else text
        for match in ban.pattern.finditer(source):
            if (path, ban.name) in rules.exceptions:
                rules.used_exceptions.add((path, ban.name))
                continue
            line = source.count("\n", 0, match.start()) + 1
            yield Problem(path, line, f"{ban.name} `{match.group(0).strip()}`", ban.instead)


def check_first_line(path: str, text: str) -> Iterator[Problem]:
    lines = text.split("\n")
    name = path.rsplit("/", 1)[-1]
    if Path(path).suffix in CPP_SUFFIXES:
        if not re.match(rf"/// \S*{re.escape(name)} - \S", lines[0]):
            yield Problem(path, 1, "no responsibility in the first line", f"/// room/{name} - what this file is for")
    elif name.endswith(".py") and text.strip():
        first = lines[1] if lines[0].startswith("#!") and len(lines) > 1 else lines[0]
        if not re.match(r'r?"""\S', first):
            yield Problem(path, 1, "no responsibility in the first line", '"""What this module is for."""')


def check_lengths(path: str, text: str, rules: Rules) -> Iterator[Problem]:
    suffix = Path(path).suffix
    functions: list[Function] = []
    if suffix in CPP_SUFFIXES:
        functions = cpp_functions(text)
    elif suffix == ".py":
        functions = python_functions(text)
    else:
        return
    for function in functions:
        if function.lines > rules.limits["function_lines_max"]:
            what = f"{function.name} has {function.lines} lines, more than {rules.limits['function_lines_max']}"
            yield Problem(path, function.line, what, "take the pure part out into a function with a name")
    lines = text.count("\n")
    if lines > rules.limits["file_lines_max"]:
        what = f"the file has {lines} lines, more than {rules.limits['file_lines_max']}"
        yield Problem(path, lines, what, "split it by responsibility")
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > rules.limits["line_characters_max"]:
            yield Problem(path, number, f"a line of {len(line)} characters", "break it")


def check_file(path: str, text: str, rules: Rules) -> list[Problem]:
    """All problems of one file. `path` is relative to the checkout, with slashes."""
    is_cpp = Path(path).suffix in CPP_SUFFIXES
    code = blank_cpp(text) if is_cpp else text
    problems = list(check_layers(path, code, rules)) if is_cpp else []
    problems += check_bans(path, text, code, rules)
    problems += check_first_line(path, text)
    problems += check_lengths(path, text, rules)
    return sorted(problems, key=lambda problem: problem.line)


def text_files(root: Path) -> Iterator[Path]:
    """Every text file of the checkout, in order, without what builds leave behind."""
    for entry in sorted(root.iterdir()):
        if entry.is_symlink():
            continue
        if entry.is_dir():
            if entry.name not in LEFT_OUT_FOLDERS:
                yield from text_files(entry)
        elif entry.suffix in TEXT_SUFFIXES and entry.name not in LEFT_OUT_FILES:
            yield entry


def check_tree(root: Path, rules: Rules) -> tuple[int, list[Problem]]:
    """The number of files looked at, and the problems of all of them."""
    count = 0
    problems: list[Problem] = []
    for file in text_files(root):
        path = file.relative_to(root).as_posix()
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            if file.suffix:
                problems.append(Problem(path, 1, "not UTF-8", "save it as UTF-8"))
            continue  # a file without a suffix that is no text is data
        count += 1
        problems += check_file(path, text, rules)
    for path, ban in sorted(rules.exceptions - rules.used_exceptions):
        if (root / path).exists():
            problems.append(Problem("tests/tidy/layers.toml", 1, f"the exception {ban} for {path} is unused", "remove it"))
    return count, problems


def main(arguments: list[str]) -> int:
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[2]
    rules = load_rules(Path(__file__).parent / "layers.toml")
    count, problems = check_tree(root, rules)
    for problem in problems:
        print(problem)
    failed = len({problem.path for problem in problems})
    print(f"{count - failed} passed, {failed} failed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

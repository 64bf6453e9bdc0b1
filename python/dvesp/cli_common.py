"""What every command of the command line shares: how it is declared, how it opens a store, how it prints."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .errors import CollectionNotFound
from .store import VectorStore

__all__ = [
    "Commands",
    "UsageError",
    "bar_of",
    "choose_collection",
    "json_argument",
    "open_store",
    "positive_int",
    "print_json",
    "print_table",
    "say",
]


class UsageError(Exception):
    """The command line is wrong in a way that only the command itself can see: exit code 2."""


class Commands:
    """Adds commands to the parser, each with an example in its help and a ``--json`` option."""

    def __init__(self, subparsers: Any) -> None:
        self._subparsers = subparsers

    def add(self, name: str, run: Callable[[argparse.Namespace], None], summary: str, example: str) -> argparse.ArgumentParser:
        """Declares a command and returns its parser for further arguments.

        Args:
            name: as typed.
            run: does the work; raises what `cli.main` turns into an exit code.
            summary: one sentence for the lists of commands.
            example: a whole command line, for ``--help``.
        """
        parser: argparse.ArgumentParser = self._subparsers.add_parser(
            name, help=summary, description=summary, epilog=f"example: {example}"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, for machines")
        parser.set_defaults(run=run)
        return parser

    def group(self, name: str, summary: str, example: str) -> Commands:
        """Declares a command that consists of commands, such as ``dvesp ca``, and returns the place to add those.

        Args:
            name, summary, example: as for `add`.
        """
        parser = self._subparsers.add_parser(name, help=summary, description=summary, epilog=f"example: {example}")
        return Commands(parser.add_subparsers(metavar="COMMAND", required=True))


def positive_int(text: str) -> int:
    """An argparse type: an int of at least 1."""
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return number


def json_argument(text: str | None, name: str, kind: type) -> Any:
    """The value of an option that is JSON, or None when it was not given.

    Raises:
        UsageError: not JSON, or not of ``kind``.
    """
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{name} is not JSON: {error}") from None
    if not isinstance(value, kind):
        raise UsageError(f"{name} must be a JSON {'object' if kind is dict else 'array'}, such as {_EXAMPLES[kind]}")
    return value


_EXAMPLES: dict[type, str] = {dict: '\'{"kind": "note"}\'', list: "'[0.1, 0.2]'"}


def open_store(path: str, *, create: bool = False) -> VectorStore:
    """Opens the store in a directory, or the cluster at ``HOST:PORT,...``; commands that read do not create a directory.

    Raises:
        UsageError: there is no such directory.
    """
    if _NODES.fullmatch(path) and not Path(path).exists():
        return VectorStore(nodes=path.split(","))
    if not create and not Path(path).is_dir():
        raise UsageError(f"there is no store at {path!r}: give its directory with --store")
    return VectorStore(path)


def choose_collection(store: VectorStore, asked: str | None) -> str:
    """The collection a command is about: the one asked for, else ``default``, else the only one there is.

    Raises:
        CollectionNotFound: the one asked for is absent, or there is no telling which is meant.
    """
    names = store.list_collections()
    if asked is not None:
        if asked not in names:
            raise CollectionNotFound(f"there is no collection {asked!r}; the store has: {', '.join(names) or 'none'}")
        return asked
    if "default" in names:
        return "default"
    own = [name for name in names if not (name.endswith("_model") and name.removesuffix("_model") in names)]
    if len(own) == 1:
        return own[0]
    raise CollectionNotFound(f"name the collection with --collection; the store has: {', '.join(own) or 'none'}")


_NODES = re.compile(r"[\w.\-\[\]:]+:\d{1,5}(,[\w.\-\[\]:]+:\d{1,5})*")


def bar_of(total: int | None, what: str, unit: str) -> Any:
    """A progress bar that shows only where somebody watches."""
    from tqdm.auto import tqdm  # a command that draws nothing need not load it

    return tqdm(total=total, desc=what, unit=unit, disable=not sys.stderr.isatty(), leave=False)


def say(text: str) -> None:
    """Words for people, on stderr, so that stdout stays what the command's output is."""
    print(text, file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """One JSON value on one line of stdout."""
    print(json.dumps(value, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], width_max: int = 60) -> None:
    """A table with aligned columns; cells longer than ``width_max`` are cut."""
    texts = [[_cut(str(cell), width_max) for cell in row] for row in (columns, *rows)]
    widths = [max(len(row[i]) for row in texts) for i in range(len(columns))]
    for row in texts:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cut(text: str, width_max: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width_max else line[: width_max - 1] + "…"

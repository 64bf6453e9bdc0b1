"""The ``dvesp`` command: one parser, one place where errors become a line on stderr and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage. With ``--json`` a command prints one JSON object on stdout; people's words,
progress and errors go to stderr. Each command lives in a ``cli_*.py`` module that adds itself with `Commands.add`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from . import (
    __version__,
    cli_archive,
    cli_ask,
    cli_audit,
    cli_bench,
    cli_ca,
    cli_chain,
    cli_data,
    cli_devices,
    cli_keys,
    cli_mcp,
    cli_org,
    cli_serve,
    cli_store,
)
from .cli_common import Commands, UsageError
from .errors import Error

__all__ = ["main"]

DONE, FAILED, WRONG_USAGE = 0, 1, 2
_MODULES = (  # in the order of the help
    cli_ask,
    cli_data,
    cli_store,
    cli_serve,
    cli_ca,
    cli_keys,
    cli_audit,
    cli_org,
    cli_archive,
    cli_chain,
    cli_bench,
)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line that begins ``dvesp: error:``, whichever command they are about."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USAGE, f"dvesp: error: {message} (try: {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="dvesp",
        description="A vector database in a directory, or on many nodes.",
        epilog="example: dvesp demo && dvesp query 'read a csv file' --store ./dvesp-demo",
    )
    parser.add_argument("--version", action="version", version=f"dvesp {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    commands = Commands(subparsers)
    for module in (
        cli_ask,
        cli_data,
        cli_store,
        cli_serve,
        cli_ca,
        cli_keys,
        cli_devices,
        cli_audit,
        cli_org,
        cli_archive,
        cli_chain,
        cli_bench,
        cli_mcp,
    ):
        module.add_commands(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code.

    Args:
        argv: the arguments without the program's name; None: those of the process.
    """
    try:
        options = _parser().parse_args(argv)
    except SystemExit as stop:  # --help and usage errors have printed already
        return stop.code if isinstance(stop.code, int) else DONE
    try:
        options.run(options)
        sys.stdout.flush()
    except UsageError as error:
        return _say(error, WRONG_USAGE)
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (Error, OSError, ImportError, ValueError) as error:  # ValueError: damaged input files
        return _say(error, FAILED)
    except KeyboardInterrupt:
        return _say("interrupted", FAILED)
    return DONE


def _say(error: object, code: int) -> int:
    print("dvesp: error:", " ".join(str(error).split()), file=sys.stderr)
    return code

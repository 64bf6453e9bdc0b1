"""``dvesp audit``: an auditor's look at the log of a sealed store. It needs no key and changes nothing."""

from __future__ import annotations

import argparse
import collections
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import _native
from .cli_common import Commands, UsageError, positive_int, print_json, print_table, say
from .deployment import device_place, device_tls, is_on_node
from .errors import IntegrityError

__all__ = ["add_commands"]

FOLDER, FILE = "audit", "log"
POLL_SECONDS = 0.5
PIECE = 10_000
_COLUMNS = ("index", "time_ms", "kind", "actor", "is_of_device", "subject", "count", "touched", "leaf")


def add_commands(commands: Commands) -> None:
    """Declares ``audit verify``, ``audit export`` and ``audit tail``."""
    example = "dvesp audit verify ./s --device ./d1 --device ./d2"
    audit = commands.group("audit", "Check and read the audit log of a sealed store; no key is needed.", example)
    verify = audit.add("verify", _verify, "Check every entry, the tree, every signature, and what devices remember.", example)
    _add_path(verify)
    verify.add_argument(
        "--device",
        action="append",
        default=[],
        metavar="DEVICE",
        help="a device to ask, a directory or a node as HOST:PORT; without any, nobody is: say whom you trust",
    )
    verify.add_argument(
        "--accept-restart", action="store_true", help="an earlier log that this one admits to be lost is no failure"
    )

    example = "dvesp audit export ./s > audit.jsonl"
    export = audit.add("export", _export, "Print every entry as a line of JSON, or the proof of one.", example)
    _add_path(export)
    export.add_argument("--proof", type=_index, metavar="N", help="the inclusion proof of entry N (from 0) and its checkpoint")

    tail = audit.add("tail", _tail, "Print the last entries.", "dvesp audit tail ./s --follow")
    _add_path(tail)
    tail.add_argument("--follow", action="store_true", help="go on with new entries until interrupted")
    tail.add_argument("--count", type=positive_int, default=10, metavar="N", help="how many; default: 10")


def _add_path(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="the directory of the sealed store")


def _index(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return int(text)


def _directory(options: argparse.Namespace) -> str:
    directory = Path(options.path) / FOLDER
    if not (directory / FILE).is_file():
        raise UsageError(f"there is no audit log in {options.path!r}: give the directory of a sealed store")
    return str(directory)


def _verify(options: argparse.Namespace) -> None:
    directory = _directory(options)
    places = [device_place(device, "--device") for device in options.device]
    for place in places:
        if not is_on_node(place) and not Path(place).is_dir():
            raise UsageError(f"there is no device at {place!r}")
    files = device_tls(places, None)
    report: dict[str, Any] = _native.audit_verify(directory, places, files)
    if report["problems"]:  # a store that is open may have been writing just then, or a device renaming
        time.sleep(POLL_SECONDS)
        report = _native.audit_verify(directory, places, files)
    failures = report["problems"] + ([] if options.accept_restart else report["restarts"])
    report["ok"] = not failures
    if options.json:
        print_json(report)
    else:
        shown = {**report, "devices": len(report["devices"]), "ok": "yes" if report["ok"] else "no"}
        print_table(("part", "value"), [(k, v) for k, v in shown.items() if not isinstance(v, list)], width_max=128)
        for problem in report["problems"] + report["restarts"]:
            say(problem)
        if not options.device:
            say("No device was asked: a history that its owner rewrote in whole is not seen. Give --device.")
    if failures:
        raise IntegrityError(f"the audit log of {options.path} failed: {failures[0]}")


def _entries(directory: str) -> Iterator[tuple[Any, ...]]:
    offset = index = 0
    while True:
        rows, offset, index = _native.audit_read(directory, offset, index, PIECE)
        yield from rows
        if len(rows) < PIECE:
            return


def _as_dict(row: tuple[Any, ...]) -> dict[str, Any]:
    entry = dict(zip(_COLUMNS, row, strict=True))
    entry["time"] = datetime.fromtimestamp(entry["time_ms"] / 1000, UTC).isoformat(timespec="milliseconds")
    entry["device" if entry.pop("is_of_device") else "collection"] = entry.pop("subject")
    return entry


def _export(options: argparse.Namespace) -> None:
    directory = _directory(options)
    if options.proof is not None:
        proof: dict[str, Any] = _native.audit_prove(directory, options.proof)
        proof["entry"] = _as_dict(proof["entry"])
        return print_json(proof)
    for row in _entries(directory):
        print(json.dumps(_as_dict(row)))


def _tail(options: argparse.Namespace) -> None:
    directory = _directory(options)
    offset = index = 0
    last: collections.deque[tuple[Any, ...]] = collections.deque(maxlen=options.count)
    while True:
        rows, offset, index = _native.audit_read(directory, offset, index, PIECE)
        last.extend(rows)
        if len(rows) < PIECE:
            break
    _print_rows(list(last), options.json)
    while options.follow:
        time.sleep(POLL_SECONDS)
        rows, offset, index = _native.audit_read(directory, offset, index, PIECE)
        _print_rows(rows, options.json)


def _print_rows(rows: list[tuple[Any, ...]], as_json: bool) -> None:
    for row in rows:
        entry = _as_dict(row)
        if as_json:
            print(json.dumps(entry))
            continue
        about = f"device {entry['device']}" if "device" in entry else f"collection {entry['collection']}"
        touched = entry["touched"][:16] if entry["touched"].strip("0") else "-"
        words = (entry["time"], f"{entry['kind']:<8}", f"{about:<14}", f"{entry['count']:>8}", f"{touched:<16}", entry["actor"])
        print(f"{entry['index']:>8}", *words, sep="  ")
    sys.stdout.flush()

"""The commands about a store as a whole: ``status``, ``verify``, ``snapshot``, ``restore``."""

from __future__ import annotations

import argparse
from pathlib import Path

from .cli_common import Commands, UsageError, open_store, print_json, print_table
from .errors import Corruption
from .store import VectorStore

__all__ = ["add_commands"]


def add_commands(commands: Commands) -> None:
    """Declares ``status``, ``verify``, ``snapshot`` and ``restore``."""
    status = commands.add("status", _status, "Show what a store holds.", "dvesp status --store ./my-store")
    status.add_argument("--store", metavar="DIR", required=True, help="the store's directory, or HOST:PORT,... of a cluster")
    status.add_argument("--detail", action="store_true", help="also queues, lag and what is being restored")
    summary = "Check every checksum, Merkle root, graph and id map of a store against its data."
    verify = commands.add("verify", _verify, summary, "dvesp verify --store ./my-store")
    verify.add_argument("--store", metavar="DIR", required=True, help="the store's directory, or HOST:PORT,... of a cluster")
    verify.add_argument("--collection", help="default: all")
    summary = "Copy a whole store, as of now, into a new or empty directory."
    snapshot = commands.add("snapshot", _snapshot, summary, "dvesp snapshot ./backup --store ./my-store")
    snapshot.add_argument("target", metavar="DIR", help="a new or empty directory")
    snapshot.add_argument("--store", metavar="DIR", required=True, help="the store's directory, or HOST:PORT,... of a cluster")
    summary = "Make a store from a snapshot."
    restore = commands.add("restore", _restore, summary, "dvesp restore ./backup --store ./my-store-again")
    restore.add_argument("source", metavar="DIR", help="what `dvesp snapshot` wrote")
    restore.add_argument("--store", metavar="DIR", required=True, help="the new store's directory, new or empty")


def _status(options: argparse.Namespace) -> None:
    with open_store(options.store) as store:
        status = store.status(options.detail)
        infos = [store.describe(name).to_dict() for name in store.list_collections()]
    if options.json:
        print_json(status)
        return
    print(f"{options.store}: {status['topology']}, {status['node_count']} node, {len(infos)} collections")
    columns = ("name", "count", "dimension", "metric", "index", "segments", "disk_bytes")
    print_table(columns, [[info[column] for column in columns] for info in infos])
    for name in sorted(set(status) & {"queues", "lag", "restoring"}):
        print(f"{name}: {status[name]}")


def _verify(options: argparse.Namespace) -> None:
    with open_store(options.store) as store:
        names = store.list_collections() if options.collection is None else [options.collection]
        problems = {name: store.verify(name).problems for name in names}
    count = sum(map(len, problems.values()))
    if options.json:
        print_json({"ok": count == 0, "problems": problems})
    else:
        for name, found in problems.items():
            print(f"{name}: {'ok' if not found else f'{len(found)} problems'}")
            for problem in found:
                print(f"  {problem}")
    if count:
        raise Corruption(f"{count} problems found in {options.store}")


def _snapshot(options: argparse.Namespace) -> None:
    with open_store(options.store) as store:
        store.snapshot(options.target)
        counts = _counts(store)
    _report(options, "snapshot", options.target, counts)


def _restore(options: argparse.Namespace) -> None:
    if not Path(options.source).is_dir():
        raise UsageError(f"there is no snapshot at {options.source!r}")
    with VectorStore.restore(options.source, options.store) as store:
        counts = _counts(store)
    _report(options, "restored", options.store, counts)


def _counts(store: VectorStore) -> dict[str, int]:
    return {name: store.count(name) for name in store.list_collections()}


def _report(options: argparse.Namespace, what: str, where: str, counts: dict[str, int]) -> None:
    if options.json:
        print_json({"path": where, "collections": counts})
    else:
        print(f"{what}: {where} ({sum(counts.values()):,} records in {len(counts)} collections)")

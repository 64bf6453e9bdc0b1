"""``dvesp archive``: copies of a store outside of it, and the way back. Secrets come from files and the environment."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import _native
from .archiving import check_keyring, check_targets, parse_target
from .cli_common import Commands, UsageError, positive_int, print_json, print_table, say
from .errors import IntegrityError
from .keyring import Keyring
from .store import VectorStore

__all__ = ["add_commands"]

_FORMS = "a directory, ipfs:URL, s3:URL/BUCKET/PREFIX, or shadow:URL,ACCOUNT,WALLET-FILE; several: give it again"


def add_commands(commands: Commands) -> None:
    """Declares ``archive push``, ``pull``, ``list``, ``verify`` and ``prune``."""
    archive = commands.group("archive", "Copy a store to an archive, and bring it back.", "dvesp archive list --from ./backup")

    example = "dvesp archive push ./my-store --to ./backup --key-file my.key"
    push = archive.add("push", _push, "Bring an archive up to date with a store.", example)
    push.add_argument("store", metavar="STORE", help="the store's directory")
    _targets(push, "--to")

    example = "dvesp archive pull ./new-store --from ./backup --key-file my.key"
    pull = archive.add("pull", _pull, "Make a store of what an archive holds.", example)
    pull.add_argument("store", metavar="STORE", help="the new store's directory: absent or empty")
    _targets(pull, "--from")

    example = "dvesp archive list --from ./backup --key-file my.key"
    _targets(archive.add("list", _list, "List the states that an archive holds, newest first.", example), "--from")

    example = "dvesp archive verify --from ./backup --key-file my.key"
    summary = "Read every object of the newest state and name what is damaged."
    _targets(archive.add("verify", _verify, summary, example), "--from")

    example = "dvesp archive prune ./my-store --to ./backup --key-file my.key --keep 3"
    prune = archive.add("prune", _prune, "Remove what the newest states do not need.", example)
    prune.add_argument("store", metavar="STORE", help="the store's directory, which no process has open")
    prune.add_argument("--keep", metavar="N", type=positive_int, default=1, help="states to keep; default 1")
    _targets(prune, "--to")


def _targets(parser: argparse.ArgumentParser, option: str) -> None:
    parser.add_argument(option, dest="targets", action="append", required=True, metavar="TARGET", help=_FORMS)
    parser.add_argument("--public", action="store_true", help="objects are kept in clear, for everybody to read")
    secret = parser.add_mutually_exclusive_group()
    secret.add_argument("--passphrase-env", metavar="VAR", help="the environment variable with the passphrase")
    secret.add_argument("--wallet", metavar="FILE", help="a wallet: JSON of 64 numbers, or base58")
    secret.add_argument("--key-file", metavar="FILE", help="a raw key, as `dvesp keys init` makes it")


def _keyring(options: argparse.Namespace) -> Keyring | None:
    if options.passphrase_env is not None:
        return Keyring.from_passphrase_environment(options.passphrase_env)
    if options.wallet is not None:
        return Keyring.from_wallet(options.wallet)
    return None if options.key_file is None else Keyring.from_file(options.key_file)


def _opened(options: argparse.Namespace) -> VectorStore:
    if not Path(options.store).is_dir():
        raise UsageError(f"there is no store at {options.store!r}: give its directory")
    targets = [parse_target(text, options.public) for text in options.targets]
    return VectorStore(options.store, archive=targets, keyring=_keyring(options))


def _archive(options: argparse.Namespace) -> _native.Archive:
    targets = [parse_target(text, options.public) for text in options.targets]
    return _native.Archive(check_targets(targets, "--from"), check_keyring(_keyring(options)))


def _push(options: argparse.Namespace) -> None:
    with _opened(options) as store:
        store.archive()
        reports = store.status(detail=True)["archive"]
    if options.json:
        return print_json({"archive": reports})
    columns = ("target", "manifest", "segments", "objects", "bytes", "root")
    print_table(columns, [[report[column] or "" for column in columns] for report in reports])


def _pull(options: argparse.Namespace) -> None:
    targets = [parse_target(text, options.public) for text in options.targets]
    with VectorStore.restore(options.store, from_=targets, keyring=_keyring(options)) as store:
        counts = {name: store.count(collection=name) for name in store.list_collections()}
    if options.json:
        return print_json({"store": options.store, "collections": counts})
    print_table(("collection", "records"), list(counts.items()))


def _list(options: argparse.Namespace) -> None:
    states = _archive(options).states()
    if options.json:
        return print_json({"states": states})
    columns = ("target", "manifest", "created", "collections", "segments", "objects", "bytes", "problem")
    rows = [
        [", ".join(value) if isinstance(value := state[name], list) else value or "" for name in columns] for state in states
    ]
    print_table(columns, rows)


def _verify(options: argparse.Namespace) -> None:
    problems = _archive(options).verify()
    if options.json:
        print_json({"ok": not problems, "problems": problems})
    for problem in problems:
        say(problem)
    if problems:
        raise IntegrityError(f"{len(problems)} problems in the archive")
    if not options.json:
        print("whole")


def _prune(options: argparse.Namespace) -> None:
    with _opened(options) as store:
        store.archive()
        removed = store.prune_archive(options.keep)
    if options.json:
        return print_json({"removed": removed, "kept": options.keep})
    print(f"{removed} objects removed")

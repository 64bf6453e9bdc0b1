"""``dvesp chain``: roots of a store's collections on Solana, posted, checked by anybody, and the program that keeps them."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import resources
from typing import Any

from . import _native
from .chain import ANCHOR_MODES, COMMITMENTS, PRIORITY_MAX, ROOTS_OF, ChainComparison, compare, connect
from .cli_common import Commands, UsageError, open_store, positive_int, print_json, print_table, say
from .errors import IntegrityError
from .keyring import Keyring
from .store import VectorStore

__all__ = ["add_commands"]

_PLACE = "--rpc-url http://localhost:8899 --program-id ADDRESS"
_PROGRAM_BYTES_MAX = 1 << 20
_LAMPORTS = 10**9  # of one SOL


def _interruptible(run: Callable[[argparse.Namespace], None]) -> Callable[[argparse.Namespace], None]:
    """``run`` beside a thread that hears Ctrl-C: a call that waits for the chain ends then."""

    def wait(options: argparse.Namespace) -> None:
        options.chain, options.is_over = None, False
        thread = ThreadPoolExecutor(1, thread_name_prefix="dvesp-chain")
        try:
            thread.submit(run, options).result()
        except KeyboardInterrupt:
            options.is_over = True
            if options.chain is not None:
                options.chain.cancel()
            raise
        finally:
            thread.shutdown()

    return wait


def add_commands(commands: Commands) -> None:
    """Declares ``chain deploy``, ``post``, ``verify``, ``history`` and ``balance``."""
    example = f"dvesp chain verify ./my-store {_PLACE} --creator ADDRESS"
    chain = commands.group("chain", "Keep and check the roots of a store's collections on Solana.", example)

    example = "dvesp chain deploy --rpc-url http://localhost:8899 --wallet id.json --program-key program.json"
    deploy = chain.add("deploy", _deploy, "Put the program that keeps roots onto a chain; once for everybody.", example)
    _service(deploy)
    deploy.add_argument("--wallet", metavar="FILE", required=True, help="who pays, and may upgrade the program")
    summary = "the program's key, whose public half becomes its address; made anew when the file is not there"
    deploy.add_argument("--program-key", metavar="FILE", required=True, help=summary)

    example = f"dvesp chain post ./my-store {_PLACE} --wallet id.json"
    post = chain.add("post", _post, "Post the root of every collection that the chain does not have yet.", example)
    _store(post)
    _service(post)
    _program(post)
    post.add_argument("--wallet", metavar="FILE", required=True, help="who pays and signs")
    post.add_argument("--creator", metavar="ADDRESS", help="whose records they are, when it is not the wallet")

    example = f"dvesp chain verify ./my-store {_PLACE} --creator ADDRESS"
    summary = "Compute the roots from the store's data and compare them with the chain; exit code 1 if any differs."
    verify = chain.add("verify", _verify, summary, example)
    _store(verify)
    _service(verify)
    _program(verify)
    _reader(verify)
    verify.add_argument("--id", metavar="ID", help="prove that this record is under the collection's root on the chain")
    verify.add_argument("--allow-behind", action="store_true", help="an earlier state of just this data is no failure")

    example = f"dvesp chain history ./my-store {_PLACE} --creator ADDRESS --limit 20"
    history = chain.add("history", _history, "List the roots that were posted, the newest first.", example)
    _store(history)
    _service(history)
    _program(history)
    _reader(history)
    history.add_argument("--limit", type=positive_int, default=20, metavar="N", help="how many transactions; default: 20")

    example = "dvesp chain balance --rpc-url http://localhost:8899 --wallet id.json"
    balance = chain.add("balance", _balance, "Print the lamports of a wallet.", example)
    _service(balance)
    _reader(balance)


def _store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", metavar="STORE", help="the store's directory")
    devices = "of a sealed store: a device's directory, or a node as HOST:PORT; give them all"
    parser.add_argument("--device", action="extend", nargs="+", default=[], metavar="DEVICE", help=devices)
    secret = parser.add_mutually_exclusive_group()
    secret.add_argument("--passphrase-env", metavar="VAR", help="of a sealed store: the variable with the passphrase")
    secret.add_argument("--key-file", metavar="FILE", help="of a sealed store: a raw key")
    secret.add_argument("--key-wallet", metavar="FILE", help="of a sealed store: a wallet that unlocks it")
    parser.add_argument("--collection", metavar="NAME", help="only this one; default: all")
    parser.add_argument("--root-of", choices=ROOTS_OF, default="frames", help="what the root is over; default: frames")


def _service(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rpc-url", metavar="URL", required=True, help="an RPC node of the cluster")
    parser.add_argument("--commitment", choices=COMMITMENTS, default="confirmed", help="default: confirmed")
    parser.add_argument("--priority-microlamports", type=_priority, default=0, metavar="N", help="a compute unit; default: 0")


def _program(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--program-id", metavar="ADDRESS", help="of the program dvesp_root; not needed with --mode memo")
    parser.add_argument("--mode", choices=ANCHOR_MODES[:2], default="program", help="where roots are kept; default: program")


def _reader(parser: argparse.ArgumentParser) -> None:
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--creator", metavar="ADDRESS", help="who posted the roots; no secret is needed")
    who.add_argument("--wallet", metavar="FILE", help="the same by the wallet's file")


def _priority(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= number <= PRIORITY_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to {PRIORITY_MAX}")
    return number


def _connect(options: argparse.Namespace) -> _native.Chain:
    mode = getattr(options, "mode", "program")
    program_id = getattr(options, "program_id", None)
    if program_id is None and mode == "program" and hasattr(options, "program_id"):
        raise UsageError("--program-id is missing: `dvesp chain deploy` prints it; or use --mode memo")
    wallet = None if options.wallet is None else Keyring.from_wallet(options.wallet)
    creator = getattr(options, "creator", None)
    settings = (options.commitment, options.priority_microlamports, mode)
    chain = connect(options.rpc_url, program_id or _NO_PROGRAM, *settings, wallet=wallet, creator=creator)
    options.chain = chain  # for an interrupt, which may have come already
    if getattr(options, "is_over", False):
        chain.cancel()
    return chain


_NO_PROGRAM = "1" * 32  # where none is asked for: 32 zero bytes


@contextmanager
def _opened(options: argparse.Namespace) -> Iterator[tuple[_native.Store, list[str], _native.Chain]]:
    chain = _connect(options)
    with _open(options) as store:
        native = store._native
        if not isinstance(native, _native.Store):
            raise UsageError(
                "STORE is a cluster: its roots are posted by stores on one machine alone; give a snapshot's directory"
            )
        yield native, _collections(store, options.collection), chain


def _open(options: argparse.Namespace) -> VectorStore:
    if not options.device:
        return open_store(options.store)
    if options.passphrase_env is not None:
        keyring = Keyring.from_passphrase_environment(options.passphrase_env)
    elif options.key_file is not None:
        keyring = Keyring.from_file(options.key_file)
    elif options.key_wallet is not None:
        keyring = Keyring.from_wallet(options.key_wallet)
    else:
        raise UsageError("--device: a sealed store needs its secret: --passphrase-env, --key-file or --key-wallet")
    if not os.path.isdir(options.store):
        raise UsageError(f"there is no store at {options.store!r}: give its directory")
    return VectorStore(options.store, devices=options.device, keyring=keyring)


def _collections(store: VectorStore, asked: str | None) -> list[str]:
    if asked is None:
        return store.list_collections()
    return [store.collection(asked).name]


@_interruptible
def _deploy(options: argparse.Namespace) -> None:
    options.mode, options.program_id = "program", _NO_PROGRAM
    key = _program_key(options.program_key)
    program = resources.files("dvesp").joinpath("programs", "dvesp_root.so").read_bytes()
    done = _connect(options).deploy(key._secret, program[:_PROGRAM_BYTES_MAX])
    if options.json:
        return print_json(done)
    print(done["program_id"])
    if done["transactions"] == 0:
        return say("The program was there already, byte for byte.")
    say(f"{done['program_bytes']} bytes in {done['transactions']} transactions for {done['lamports_spent']} lamports.")


def _program_key(file: str) -> Keyring:
    """The key in a file; a new one where there is no file, readable by its owner alone."""
    if not os.path.exists(file):
        wallet = list(_native.make_wallet())
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as out:
            json.dump(wallet, out)
        say(f"{file}: a new key; keep it until the program is deployed.")
    return Keyring.from_wallet(file)


@_interruptible
def _post(options: argparse.Namespace) -> None:
    posted = []
    with _opened(options) as (native, names, chain):
        for name in names:
            local = _native.chain_root(native, name, options.root_of, None)
            if local["leaf_count"] == 0:
                continue
            done = chain.post(local["collection_id"], local["root"], local["leaf_count"], local["only_grows"])
            posted.append({"collection": name, "address": chain.address(local["collection_id"]), **done})
    if options.json:
        return print_json({"posted": posted})
    for one in posted:
        what = f"posted by {one['signature']}" if one["signature"] else "was there already"
        print(f"{one['collection']}: root {one['root']} over {one['leaf_count']} leaves, sequence {one['sequence']}: {what}")
    if not posted:
        say("The store has no collections with records.")


@_interruptible
def _verify(options: argparse.Namespace) -> None:
    with _opened(options) as (native, names, chain):
        if options.id is not None:
            return _verify_record(options, native, names, chain)
        found = [compare(native, name, chain, options.root_of) for name in names]
    if options.json:
        print_json({"collections": [{"ok": bool(one), **asdict(one)} for one in found]})
    else:
        for one in found:
            print(one.sentence())
    wrong = [one for one in found if not _passes(one, options.allow_behind)]
    if wrong:
        raise IntegrityError(f"{len(wrong)} of {len(found)} collections differ from the chain: {', '.join(map(_short, wrong))}")


def _passes(one: ChainComparison, allow_behind: bool) -> bool:
    return bool(one) or (one.local_leaf_count == 0 and one.state == "missing") or (allow_behind and one.state == "behind")


def _short(one: ChainComparison) -> str:
    return f"{one.collection} ({one.state})"


def _verify_record(options: argparse.Namespace, native: _native.Store, names: list[str], chain: _native.Chain) -> None:
    if options.collection is None and len(names) != 1:
        raise UsageError(f"--id: name the collection with --collection; the store has: {', '.join(names) or 'none'}")
    if options.root_of != "frames":
        raise UsageError("--id: a record is proven through its batch: that needs --root-of frames")
    there = compare(native, names[0], chain)
    if there.state not in ("same", "behind"):
        raise IntegrityError(f"no record can be proven: {there.sentence()}")
    proof = _native.chain_prove(native, names[0], options.id, there.chain_leaf_count)
    if proof["root"] != there.chain_root:
        raise IntegrityError(f"the proof leads to root {proof['root']}, but the chain has {there.chain_root}")
    if options.json:
        return print_json({"collection": names[0], "address": there.address, "slot": there.slot, "proof": proof})
    where = f"root {there.chain_root}, sequence {there.sequence}, slot {there.slot}"
    print(f"{options.id}: version {proof['version']} is under {where}")
    rows = f"row {proof['leaf_index']} of {proof['leaf_count']}"
    say(f"Leaf {proof['leaf']} is {rows} of batch {proof['frame_index']} of {proof['frame_count']}.")


@_interruptible
def _history(options: argparse.Namespace) -> None:
    out, problems = [], []
    with _opened(options) as (native, names, chain):
        for name in names:
            collection_id = _native.chain_root(native, name, options.root_of, None)["collection_id"]
            past = chain.history(collection_id, min(options.limit, 1000))
            out.append({"collection": name, "address": chain.address(collection_id), "roots": past})
            if options.mode == "program":
                problems += [f"{name}: {problem}" for problem in _broken_links(past)]
    if options.json:
        print_json({"collections": out, "problems": problems})
    else:
        columns = ("collection", "sequence", "leaves", "root", "slot", "time")
        rows = [(one["collection"], *_row(root)) for one in out for root in one["roots"]]
        print_table(columns, rows, width_max=64)
    if problems:
        raise IntegrityError("; ".join(problems))


def _row(root: dict[str, Any]) -> tuple[Any, ...]:
    when = datetime.fromtimestamp(root["unix_timestamp"], UTC).isoformat() if root["unix_timestamp"] > 0 else ""
    return root["sequence"], root["leaf_count"], root["root"], root["slot"], when


def _broken_links(past: list[dict[str, Any]]) -> list[str]:
    """Roots whose chain hash is not SHA-256(the one before | root | sequence), where the one before is known."""
    problems = []
    for newer, older in zip(past, [*past[1:], None], strict=True):
        before = "00" * 32 if newer["sequence"] == 1 else None
        if older is not None and older["sequence"] == newer["sequence"] - 1:
            before = older["chain_hash"]
        if before is None:
            continue
        linked = bytes.fromhex(before) + bytes.fromhex(newer["root"]) + struct.pack("<Q", newer["sequence"])
        if hashlib.sha256(linked).hexdigest() != newer["chain_hash"]:
            problems.append(f"sequence {newer['sequence']} does not continue the one before")
    return problems


@_interruptible
def _balance(options: argparse.Namespace) -> None:
    chain = _connect(options)
    lamports = chain.balance()
    if options.json:
        return print_json({"address": chain.creator(), "lamports": lamports})
    print(lamports)
    say(f"{chain.creator()} has {lamports / _LAMPORTS:.9f} SOL.")

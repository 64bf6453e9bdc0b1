"""``dvesp keys``: who unlocks a sealed store. Secrets come from files and the environment, never from the command line."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from .cli_common import Commands, UsageError, positive_int, print_json, print_table, say
from .keyring import Keyring
from .keys import KeySpread, StoreKeys, forbid_core_dumps, make_key_file, recover

__all__ = ["add_commands", "keyring_of", "opened_arguments"]

_DEVICES = "--device ./d1 ./d2 ./d3 ./d4 ./d5"
_WORDS_BYTES_MAX = 65_536


def add_commands(commands: Commands) -> None:
    """Declares ``keys init``, ``list``, ``add``, ``remove``, ``rotate``, ``shred``, ``split`` and ``recover``."""
    keys = commands.group("keys", "Change who unlocks a sealed store.", f"dvesp keys list ./s {_DEVICES} --key-file old.key")
    init = keys.add("init", _init, "Make a new random key file, for its owner alone.", "dvesp keys init ./new.key")
    init.add_argument("file", metavar="FILE", help="the new file; nothing is overwritten")

    summary = "List the secrets that unlock a store: kind, number and epoch."
    opened_arguments(keys.add("list", _list, summary, f"dvesp keys list ./s {_DEVICES} --key-file old.key"))

    example = f"dvesp keys add ./s {_DEVICES} --key-file old.key --new-wallet wallet.json"
    _new(opened_arguments(keys.add("add", _add, "Let one more secret unlock a store.", example)))

    example = f"dvesp keys remove ./s 2 {_DEVICES} --key-file old.key"
    summary = "Let a secret unlock a store no more; rotate when it may have been copied."
    remove = keys.add("remove", _remove, summary, example)
    opened_arguments(remove).add_argument("number", metavar="NUMBER", type=positive_int, help="of `dvesp keys list`")

    example = f"dvesp keys rotate ./s {_DEVICES} --key-file old.key --new-key-file new.key"
    summary = "Begin a new master key, which the new secrets alone unlock."
    _new(opened_arguments(keys.add("rotate", _rotate, summary, example)))

    example = f"dvesp keys shred ./s letters {_DEVICES} --key-file old.key --yes"
    shred = opened_arguments(keys.add("shred", _shred, "Make a collection unreadable for ever.", example))
    shred.add_argument("collection", metavar="COLLECTION", help="whose key goes")
    shred.add_argument("--yes", action="store_true", help="it cannot be undone: say that you mean it")

    example = f"dvesp keys split ./s 2 3 {_DEVICES} --key-file old.key"
    summary = "Print recovery words of the master key (SLIP-39): N lines, any K of which recover it."
    split = opened_arguments(keys.add("split", _split, summary, example))
    split.add_argument("threshold", metavar="K", type=positive_int, help="how many lines recover the key")
    split.add_argument("shares", metavar="N", type=positive_int, help="how many lines there are, at most 16")

    example = f"dvesp keys recover ./s {_DEVICES} --words words.txt --new-key-file new.key"
    summary = "Let a new secret unlock a store whose secrets are lost, by recovery words."
    restored = keys.add("recover", _recover, summary, example)
    restored.add_argument("--words", metavar="FILE", default="-", help="K lines of words; default: stdin")
    _new(_place(restored))


def _place(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("store", metavar="STORE", help="the store's directory")
    parser.add_argument(
        "--device",
        action="extend",
        nargs="+",
        required=True,
        metavar="DEVICE",
        help="a device's directory, or a node as HOST:PORT; give them all",
    )
    return parser


def opened_arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Adds what opens a sealed store: its directory, its devices and a secret."""
    secret = _place(parser).add_mutually_exclusive_group(required=True)
    secret.add_argument("--passphrase-env", metavar="VAR", help="the environment variable with the passphrase")
    secret.add_argument("--wallet", metavar="FILE", help="a wallet: JSON of 64 numbers, or base58")
    secret.add_argument("--key-file", metavar="FILE", help="a raw key, as `dvesp keys init` makes it")
    return parser


def _new(parser: argparse.ArgumentParser) -> None:
    many: dict[str, object] = {"action": "append", "default": []}
    parser.add_argument("--new-passphrase-env", metavar="VAR", help="the variable with a new passphrase", **many)  # type: ignore[arg-type]
    parser.add_argument("--new-wallet", metavar="FILE", help="a new wallet", **many)  # type: ignore[arg-type]
    parser.add_argument("--new-key-file", metavar="FILE", help="a new raw key", **many)  # type: ignore[arg-type]


def keyring_of(options: argparse.Namespace) -> Keyring:
    """The secret that the command line names."""
    if options.passphrase_env is not None:
        return Keyring.from_passphrase_environment(options.passphrase_env)
    return Keyring.from_wallet(options.wallet) if options.wallet else Keyring.from_file(options.key_file)


def _keys(options: argparse.Namespace) -> StoreKeys:
    forbid_core_dumps()
    return StoreKeys(options.store, devices=options.device, keyring=keyring_of(options))


def _new_keyrings(options: argparse.Namespace) -> list[Keyring]:
    forbid_core_dumps()
    made = [Keyring.from_passphrase_environment(name) for name in options.new_passphrase_env]
    made += [Keyring.from_wallet(path) for path in options.new_wallet]
    made += [Keyring.from_file(path) for path in options.new_key_file]
    if not made:
        raise UsageError("give the new secret: --new-passphrase-env VAR, --new-wallet FILE or --new-key-file FILE")
    return made


def _new_keyring(options: argparse.Namespace) -> Keyring:
    made = _new_keyrings(options)
    if len(made) > 1:
        raise UsageError("give one new secret; call again for the next")
    return made[0]


def _report(options: argparse.Namespace, done: str, spread: KeySpread) -> None:
    if options.json:
        return print_json({"done": done, **asdict(spread)})
    print(f"{done}: {spread.reached} of {spread.devices} devices have the new keys")
    if spread.reached < spread.devices:
        say("The others keep the old keys until the store is opened with them connected.")


def _init(options: argparse.Namespace) -> None:
    make_key_file(options.file)
    if options.json:
        return print_json({"file": options.file})
    print(options.file)
    say("Who has this file can open what it unlocks; without it, or recovery words, nobody can.")


def _list(options: argparse.Namespace) -> None:
    with _keys(options) as keys:
        slots, store_id, epoch = keys.slots(), keys.store_id, keys.epoch
    if options.json:
        return print_json({"store_id": store_id, "epoch": epoch, "slots": [asdict(slot) for slot in slots]})
    print_table(
        ("number", "kind", "epoch", "used now"), [(s.number, s.kind, s.epoch, "yes" if s.is_used else "") for s in slots]
    )


def _add(options: argparse.Namespace) -> None:
    new = _new_keyring(options)
    with _keys(options) as keys:
        _report(options, "added", keys.add(new))


def _remove(options: argparse.Namespace) -> None:
    with _keys(options) as keys:
        _report(options, "removed", keys.remove(options.number))


def _rotate(options: argparse.Namespace) -> None:
    new = _new_keyrings(options)
    with _keys(options) as keys:
        _report(options, "rotated", keys.rotate(*new))


def _shred(options: argparse.Namespace) -> None:
    if not options.yes:
        raise UsageError(f"{options.collection!r} would be unreadable for ever: add --yes if you mean it")
    with _keys(options) as keys:
        _report(options, "shredded", keys.shred(options.collection))


def _split(options: argparse.Namespace) -> None:
    with _keys(options) as keys:
        words = keys.split(options.threshold, options.shares)
    if options.json:
        return print_json({"threshold": options.threshold, "mnemonics": words})
    print("\n".join(words))
    say(f"Any {options.threshold} of these {options.shares} lines open the store. Keep each in another place.")
    say("A rotation makes them void.")


def _recover(options: argparse.Namespace) -> None:
    new = _new_keyring(options)
    if options.words != "-" and not Path(options.words).is_file():
        raise UsageError("--words names no file: words are read from a file or stdin, never from the command line")
    if options.words == "-":
        text = sys.stdin.read(_WORDS_BYTES_MAX)
    else:
        with open(options.words, encoding="utf-8", errors="replace") as file:
            text = file.read(_WORDS_BYTES_MAX)
    spread = recover(options.store, devices=options.device, words=text.splitlines(), keyring=new)
    _report(options, "recovered", spread)

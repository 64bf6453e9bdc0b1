"""``dvesp devices``: which devices a sealed store has; devices are added, removed and replaced."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from .cli_common import Commands, print_json, print_table, say
from .cli_keys import keyring_of, opened_arguments
from .errors import Unavailable
from .keys import StoreKeys, forbid_core_dumps
from .results import DeviceInfo
from .store import VectorStore

__all__ = ["add_commands"]

_DEVICES = "--device ./d1 ./d2 ./d3 ./d4 ./d5 --key-file my.key"


def add_commands(commands: Commands) -> None:
    """Declares ``devices list``, ``add``, ``remove``, ``replace`` and ``rebalance``."""
    summary = "List, add, remove and replace the devices of a sealed store."
    devices = commands.group("devices", summary, f"dvesp devices list ./s {_DEVICES}")
    example = f"dvesp devices list ./s {_DEVICES}"
    opened_arguments(devices.add("list", _list, "List the devices: number, state, fragments, bytes, trust.", example))

    summary = "Add a device; fragments move to it before the command ends."
    add = opened_arguments(devices.add("add", _add, summary, f"dvesp devices add ./s ./d6 {_DEVICES}"))
    add.add_argument("place", metavar="PLACE", help="a new directory, or a node as HOST:PORT")

    summary = "Remove a device: one that answers is emptied, another one is given up for good."
    remove = opened_arguments(devices.add("remove", _remove, summary, f"dvesp devices remove ./s 2 {_DEVICES}"))
    remove.add_argument("old", metavar="PLACE|NUMBER", type=_named, help="of `dvesp devices list`")

    summary = "Put a new device in the place of another, which may be lost."
    replace = opened_arguments(devices.add("replace", _replace, summary, f"dvesp devices replace ./s ./d2 ./d6 {_DEVICES}"))
    replace.add_argument("old", metavar="PLACE|NUMBER", type=_named, help="of `dvesp devices list`")
    replace.add_argument("new", metavar="NEW", help="a new directory, or a node as HOST:PORT")

    summary = "Move and make again what is not where it shall be."
    opened_arguments(devices.add("rebalance", _rebalance, summary, f"dvesp devices rebalance ./s {_DEVICES}"))


def _named(text: str) -> str | int:
    return int(text) if text.isascii() and text.isdigit() else text


def _store(options: argparse.Namespace, *more: str) -> VectorStore:
    forbid_core_dumps()
    return VectorStore(options.store, devices=[*options.device, *more], keyring=keyring_of(options), progress=False)


def _list(options: argparse.Namespace) -> None:
    forbid_core_dumps()
    with StoreKeys(options.store, devices=options.device, keyring=keyring_of(options)) as keys:
        found = keys.devices()
    _print(options, found, "listed")


def _print(options: argparse.Namespace, found: list[DeviceInfo], done: str) -> None:
    if options.json:
        return print_json({"done": done, "devices": [asdict(device) for device in found]})
    rows = [
        (d.number, d.place, d.state if d.reachable else f"{d.state}, away", _or(d.fragments), _or(d.bytes), f"{d.trust:.3f}")
        for d in found
    ]
    print_table(("number", "place", "state", "fragments", "bytes", "trust"), rows)


def _or(number: int | None) -> str:
    return "" if number is None else str(number)


def _end(options: argparse.Namespace, store: VectorStore, done: str) -> None:
    """Everything goes where it shall be, as far as the devices that answer allow."""
    is_over = store.rebalance()
    _print(options, store.devices(), done)
    if not is_over:
        say("Not everything is where it shall be: a device that is needed does not answer. `dvesp devices rebalance` goes on.")


def _add(options: argparse.Namespace) -> None:
    with _store(options, options.place) as store:
        store.add_device(options.place)
        _end(options, store, "added")


def _remove(options: argparse.Namespace) -> None:
    is_done = False
    try:
        store = _store(options)
    except Unavailable:  # it may not open before the device is given up
        with StoreKeys(options.store, devices=options.device, keyring=keyring_of(options)) as keys:
            keys.remove_device(options.old)
        store = _store(options)
        is_done = True
    with store:
        if not is_done:
            store.remove_device(options.old)
        _end(options, store, "removed")


def _replace(options: argparse.Namespace) -> None:
    is_done = False
    try:
        store = _store(options, options.new)
    except Unavailable:
        with StoreKeys(options.store, devices=[*options.device, options.new], keyring=keyring_of(options)) as keys:
            keys.replace_device(options.old, options.new)
        store = _store(options, options.new)
        is_done = True
    with store:
        if not is_done:
            store.replace_device(options.old, options.new)
        _end(options, store, "replaced")


def _rebalance(options: argparse.Namespace) -> None:
    with _store(options) as store:
        _end(options, store, "rebalanced")

"""``dvesp org``: an organisation's first private store, made and tried out in one command."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from . import _native
from .cli_common import Commands, UsageError, positive_int, print_json, say
from .errors import IntegrityError, InvalidArgument, Unavailable
from .keyring import Keyring
from .keys import make_key_file
from .store import VectorStore

__all__ = ["add_commands"]

DEVICES, DEVICES_MIN, DEVICES_MAX = 5, 5, 100
COLLECTION, DIMENSION = "notes", 384
NOTES = ("the door code changes on Monday", "the budget is approved", "ship the second batch by train")


def add_commands(commands: Commands) -> None:
    """Declares ``org quickstart``."""
    example = "dvesp org quickstart ./acme --organisation 'Acme Ltd'"
    org = commands.group("org", "An organisation's private store.", example)
    quickstart = org.add(
        "quickstart",
        _quickstart,
        "Make a CA, a key, devices and a sealed store, write the first records, and show what a loss of devices does.",
        example,
    )
    quickstart.add_argument("directory", metavar="DIR", help="where everything goes; created, or empty")
    quickstart.add_argument("--organisation", required=True, metavar="NAME", help="in every certificate's subject")
    quickstart.add_argument(
        "--devices", type=positive_int, default=DEVICES, metavar="N", help=f"{DEVICES_MIN}..{DEVICES_MAX}; default: {DEVICES}"
    )


class _Steps:
    """Says what is being done, and remembers it for ``--json``."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def say(self, text: str) -> None:
        self.done.append(text)
        say(f"{len(self.done)}. {text}")


def _quickstart(options: argparse.Namespace) -> None:
    if not DEVICES_MIN <= options.devices <= DEVICES_MAX:
        raise UsageError(f"--devices is {options.devices} but must be {DEVICES_MIN}..{DEVICES_MAX}")
    place = Path(options.directory)
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise InvalidArgument(f"{options.directory!r} is not empty: nothing is overwritten, choose another directory")
    began = time.monotonic()
    steps = _Steps()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    ca = _make_ca(place, options.organisation, steps)
    key = place / "org.key"
    make_key_file(str(key))
    steps.say(f"The key is {key}. Without it nobody reads anything, you included: keep a copy elsewhere.")
    devices = [place / "devices" / f"d{number}" for number in range(1, options.devices + 1)]
    (place / "devices").mkdir()
    report = _try_out(place / "store", devices, key, steps)
    _check_audit(place / "store", devices, steps)
    summary: dict[str, Any] = {
        "ca": ca,
        "key": str(key),
        "store": str(place / "store"),
        "devices": [str(device) for device in devices],
        "collection": COLLECTION,
        "seconds": round(time.monotonic() - began, 3),
        "steps": steps.done,
        **report,
    }
    if options.json:
        return print_json(summary)
    _say_what_next(place, devices)


def _make_ca(place: Path, organisation: str, steps: _Steps) -> dict[str, str]:
    certificate, key = _native.make_ca(str(place / "ca"), organisation)
    owner, owner_key = _native.issue_certificate(str(place / "ca"), "owner", [], "client", 90, str(place))
    steps.say(f"The CA of {organisation} is in {place / 'ca'}; {owner} is your own certificate. Keep {key} offline.")
    return {"certificate": certificate, "key": key, "owner_certificate": owner, "owner_key": owner_key}


def _open(store: Path, devices: list[Path], key: Path) -> VectorStore:
    return VectorStore(store, devices=[str(one) for one in devices], keyring=Keyring.from_file(key), progress=False)


def _try_out(path: Path, devices: list[Path], key: Path, steps: _Steps) -> dict[str, Any]:
    vectors = np.random.default_rng(1).standard_normal((len(NOTES), DIMENSION)).astype("float32")
    records = [
        {"id": f"note-{number}", "vector": vector, "metadata": {"text": text}}
        for number, (vector, text) in enumerate(zip(vectors, NOTES, strict=True), 1)
    ]
    with _open(path, devices, key) as store:
        store.create_collection(COLLECTION, DIMENSION)
        status = store.upsert(records, collection=COLLECTION).status
        promise = store.retrievability(COLLECTION)
    steps.say(
        f"{len(NOTES)} records are written ({status}): each as {promise.n} encrypted fragments, one a device; any {promise.k} "
        "give it back."
    )
    lost = promise.guaranteed_losses
    _without(path, devices, key, lost, vectors)
    steps.say(f"With {lost} devices away every record is still found and read.")
    too_many = len(devices) - promise.k + 1
    try:
        _without(path, devices, key, too_many, vectors)
    except Unavailable:
        steps.say(f"With {too_many} away nothing is read: {promise.k - 1} devices know nothing. They are back now.")
    else:
        raise IntegrityError(f"records were read from {promise.k - 1} devices: do not use this store")
    return {"k": promise.k, "n": promise.n, "status": status}


def _without(path: Path, devices: list[Path], key: Path, count: int, vectors: Any) -> None:
    """Searches for every record while the first ``count`` devices are away."""
    away = [(device, device.with_name(f"{device.name}.away")) for device in devices[:count]]
    for device, elsewhere in away:
        device.rename(elsewhere)
    try:
        with _open(path, devices, key) as store:
            for number, vector in enumerate(vectors):
                found = store.search(vector, top_k=1, collection=COLLECTION)[0]
                is_same = found.vector is not None and np.array_equal(found.vector, vector)
                if found.metadata != {"text": NOTES[number]} or not is_same:
                    raise IntegrityError(f"note-{number + 1} came back as something else: do not use this store")
    finally:
        for device, elsewhere in away:
            elsewhere.rename(device)


def _check_audit(path: Path, devices: list[Path], steps: _Steps) -> None:
    report = _native.audit_verify(str(path / "audit"), [str(device) for device in devices], None)
    failures = report["problems"] + report["restarts"]
    if failures:
        raise IntegrityError(f"the audit log is not whole: {failures[0]}")
    steps.say(f"The audit log has {report['entries']} entries, signed by the store and cosigned by its devices: verified.")


def _say_what_next(place: Path, devices: list[Path]) -> None:
    listed = " ".join(f"--device {device}" for device in devices)
    store, key = place / "store", place / "org.key"
    say("")
    say("Next:")
    say(f"- move the directories in {place / 'devices'} to disks or machines that fail one by one")
    say(f"- make recovery words and keep them apart: dvesp keys split {store} 2 3 {listed} --key-file {key}")
    say(f"- check who did what: dvesp audit verify {store} {listed}")
    say("- in Python:")
    print("from dvesp import Keyring, VectorStore")
    print(f"keyring = Keyring.from_file({str(key)!r})")
    print(f"store = VectorStore({str(store)!r}, devices={[str(device) for device in devices]!r}, keyring=keyring)")

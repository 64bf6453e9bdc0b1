"""Who unlocks a sealed store: secrets added, removed and replaced, recovery words, collections shredded.

The store must be closed: `StoreKeys` holds its lock. ``dvesp keys`` does the same from a shell. What changes is the table of
keys, which is in the store's directory and on every device; a device that is away gets the new one when it is back.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from . import _native
from .arguments import check_collection, check_int, check_path
from .deployment import TLS, check_devices, device_info, device_name, device_place, device_tls
from .errors import InvalidArgument, Sealed
from .keyring import Keyring
from .results import DeviceInfo

__all__ = ["KeySlot", "KeySpread", "StoreKeys", "forbid_core_dumps", "make_key_file", "recover"]

SHARES_MAX = 16  # of SLIP-39
_WORDS = 33  # of a share of 32 bytes
_EXTRA = "recovery words need the package shamir-mnemonic: pip install 'dvesp[recovery]'"


@dataclass(frozen=True)
class KeySlot:
    """One way to unlock a store.

    Attributes:
        number: from 1, as `StoreKeys.remove` takes it.
        kind: ``"passphrase"``, ``"wallet"`` or ``"key-file"``.
        epoch: of the master key, 1 at the store's creation; each rotation begins the next.
        is_used: it unlocked this `StoreKeys`.
    """

    number: int
    kind: str
    epoch: int
    is_used: bool


@dataclass(frozen=True)
class KeySpread:
    """How far a change of the keys came.

    Attributes:
        devices: of the store.
        reached: those that have the new keys. The others have the old ones until they are connected and the store is opened.
    """

    devices: int
    reached: int


class StoreKeys:
    """The keys of a sealed store, opened without its records; a context manager.

    Args:
        path: the store's directory. Where only devices are left, it is made, and the next opening fills it from them.
        devices: where the devices are, as for `VectorStore`.
        keyring: a secret that unlocks the store now.
        tls: what nodes with devices are shown, as for `VectorStore`.

    Raises:
        Sealed: the secret is wrong, was removed, or was replaced by a rotation. Unavailable: fewer than k devices.
        StoreLocked: the store is open. InvalidArgument: there is no sealed store. IntegrityError: a device is another store's.

    Example:
        >>> with StoreKeys("./s", devices=["./d1", "./d2", "./d3"], keyring=Keyring.from_file("old.key")) as keys:
        ...     keys.add(Keyring.from_wallet("wallet.json"))
        ...     words = keys.split(2, 3)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        devices: Iterable[str | os.PathLike[str]],
        keyring: Keyring,
        tls: TLS | None = None,
    ) -> None:
        name = check_path(path)
        places = check_devices(name, devices)
        secret = _secret_of(keyring, "keyring")
        self._native = _native.StoreKeys(name, places, secret, device_tls(places, tls))

    @property
    def store_id(self) -> str:
        """The store's id, 32 hexadecimal digits. No secret."""
        return str(self._native.describe()["store_id"])

    @property
    def epoch(self) -> int:
        """The master key's, 1 at the store's creation."""
        return int(self._native.describe()["epoch"])

    def slots(self) -> list[KeySlot]:
        """Every way to unlock the store."""
        told = self._native.describe()
        return [KeySlot(at, kind, told["epoch"], used) for at, (kind, used) in enumerate(told["slots"], 1)]

    def add(self, keyring: Keyring) -> KeySpread:
        """One more secret unlocks the store; at most 16.

        Raises:
            InvalidArgument: there are 16. Unavailable: fewer than k devices; nothing is written.
        """
        return KeySpread(*self._native.add(_secret_of(keyring, "keyring")))

    def remove(self, number: int) -> KeySpread:
        """A secret unlocks the store no more. It still unlocks copies of the older table of keys: `rotate` ends that for
        everything that is made anew.

        Args:
            number: of a slot of `slots()`.

        Raises:
            InvalidArgument: there is no such slot, or it is the last. Unavailable: fewer than k devices; nothing is written.
        """
        return KeySpread(*self._native.remove(check_int(number, "number", 1, SHARES_MAX)))

    def rotate(self, *keyrings: Keyring) -> KeySpread:
        """A new master key, which the given secrets alone unlock; earlier recovery words are void.

        Records are not encrypted anew: who has an older table of keys and a secret of it can still read the fragments of k
        devices. A power cut leaves a store that the old secrets open, or the new ones.

        Args:
            keyrings: 1 to 16; the present one stays only if it is among them.

        Raises:
            InvalidArgument: none is given. Unavailable: fewer than k devices; nothing is written.
        """
        given = [_secret_of(one, f"keyrings: element {at}") for at, one in enumerate(keyrings)]
        return KeySpread(*self._native.rotate(given))

    def shred(self, collection: str) -> KeySpread:
        """Makes the records of a collection unreadable for ever; reads of it raise `Sealed`, and other collections stay.

        Its key goes from the directory and from every device that is here, and the store's index, which has the vectors, is
        removed: the next opening brings it back from the devices, without the collection. A device that is away keeps the old
        key until it is back (`KeySpread`), and so does every copy that somebody made.

        Raises:
            CollectionNotFound. Sealed: it was shredded before. Unavailable: fewer than k devices; nothing is written.
        """
        return KeySpread(*self._native.shred(check_collection(collection)))

    def devices(self) -> list[DeviceInfo]:
        """The devices of the store, as `VectorStore.devices`: also of one that does not open, for a device was lost."""
        return [device_info(told) for told in self._native.devices()]

    def add_device(self, place: str | os.PathLike[str]) -> None:
        """As `VectorStore.add_device`; records move when the store is opened."""
        self._native.add_device(device_place(place, "place"))

    def remove_device(self, place_or_number: str | os.PathLike[str] | int) -> None:
        """As `VectorStore.remove_device`, of a device that does not answer: it is given up for good.

        Raises:
            Unavailable: it answers: open the store and remove it there. Others as for `VectorStore.remove_device`.
        """
        self._native.remove_device(device_name(self._native, place_or_number, "place_or_number"))

    def replace_device(self, old: str | os.PathLike[str] | int, new: str | os.PathLike[str]) -> None:
        """As `VectorStore.replace_device`, of a device that does not answer.

        Raises:
            Unavailable: it answers: open the store and replace it there. Others as for `VectorStore.replace_device`.
        """
        self._native.replace_device(device_name(self._native, old, "old"), device_place(new, "new"))

    def split(self, threshold: int, shares: int) -> list[str]:
        """The master key as SLIP-39 recovery words: ``shares`` lines of 33 words, any ``threshold`` of which recover it.

        They are secrets: who has enough of them can unlock the store. A rotation makes them void.

        Args:
            threshold, shares: 1 <= threshold <= shares <= 16; a threshold of 1 has one share.

        Raises:
            InvalidArgument: other numbers. ImportError: shamir-mnemonic is not installed.
        """
        shares = check_int(shares, "shares", 1, SHARES_MAX)
        threshold = check_int(threshold, "threshold", 1, shares)
        if threshold == 1 and shares > 1:
            raise InvalidArgument("threshold is 1, so every share is the whole key: split(1, 1), or a threshold of 2 or more")
        library = _library()
        groups: list[list[str]] = library.generate_mnemonics(1, [(threshold, shares)], self._native.master())
        return groups[0]

    def close(self) -> None:
        """Lets go of the store. A second call does nothing."""
        self._native.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return "StoreKeys(...)"

    def __reduce__(self) -> Any:
        raise TypeError("StoreKeys holds a lock and secrets, and is not pickled")


def recover(
    path: str | os.PathLike[str],
    *,
    devices: Iterable[str | os.PathLike[str]],
    words: Sequence[str],
    keyring: Keyring,
    tls: TLS | None = None,
) -> KeySpread:
    """Lets a new secret unlock a store whose secrets are lost, by recovery words; other secrets stay.

    Args:
        words: as many lines of `StoreKeys.split` as its threshold, in any order.
        keyring: the new secret.
        tls: what nodes with devices are shown.

    Raises:
        Sealed: too few lines, a wrong word, words of another store or of an epoch that a rotation ended.
        ImportError: shamir-mnemonic is not installed. Others as `StoreKeys`. Nothing is written then.
    """
    name = check_path(path)
    paths, secret = check_devices(name, devices), _secret_of(keyring, "keyring")
    native = _native.StoreKeys.recover(name, paths, _master_of(words), device_tls(paths, tls))
    try:
        return KeySpread(*native.add(secret))
    finally:
        native.close()


def make_key_file(path: str | os.PathLike[str]) -> None:
    """Writes a new random raw key, 64 hexadecimal digits, for `Keyring.from_file`; mode 0600, nothing is overwritten.

    Raises:
        InvalidArgument: there is such a file, or it cannot be made.
    """
    name = check_path(path)
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise InvalidArgument(f"{name!r} exists already: a key is never overwritten, choose another name") from None
    except OSError as error:
        raise InvalidArgument(f"cannot make {name!r}: {error.strerror}") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32) + "\n")
        file.flush()
        os.fsync(descriptor)


def forbid_core_dumps() -> None:
    """This process leaves no core dump, and no other process of the user can attach to it or read its memory.

    ``dvesp keys`` does it for itself. In a program of yours it also keeps debuggers and profilers out.
    """
    _native.forbid_core_dumps()


def _secret_of(keyring: Any, what: str) -> _native.Keyring:
    if not isinstance(keyring, Keyring):
        raise InvalidArgument(f"{what} is a {type(keyring).__name__} but must be a dvesp.Keyring")
    return keyring._secret


def _library() -> Any:
    try:
        import shamir_mnemonic  # optional: only recovery words need it
    except ImportError:
        raise ImportError(_EXTRA) from None
    return shamir_mnemonic


def _master_of(words: Sequence[str]) -> bytes:
    """The master key of recovery words; what is wrong is told without a word of them."""
    if isinstance(words, (str, bytes)) or not all(isinstance(line, str) for line in words):
        raise InvalidArgument("words is no list of str: give each share's words as one str")
    library = _library()
    lines = [" ".join(line.lower().split()) for line in words if line.strip()]
    if not lines:
        raise Sealed("recovery: there are no words; give as many lines as the threshold they were split with")
    shares = []
    for number, line in enumerate(lines, 1):
        if line.count(" ") + 1 != _WORDS:
            raise Sealed(f"recovery: line {number} has {line.count(' ') + 1} words but must have {_WORDS}")
        try:
            shares.append(library.Share.from_mnemonic(line))
        except (library.MnemonicError, ValueError, KeyError):
            raise Sealed(f"recovery: line {number} has a wrong word, or its words are not in order") from None
    if len({share.identifier for share in shares}) > 1:
        raise Sealed("recovery: the lines are not of one split: give lines that were made together")
    distinct = {share.index: line for share, line in zip(shares, lines, strict=True)}
    needed = shares[0].member_threshold
    if len(distinct) < needed:
        raise Sealed(f"recovery: {len(distinct)} different lines are given, but {needed} of them are needed")
    try:
        master: bytes = library.combine_mnemonics(list(distinct.values())[:needed])
    except (library.MnemonicError, ValueError):
        raise Sealed("recovery: the lines do not belong together") from None
    return master

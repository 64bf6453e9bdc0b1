"""What unlocks a sealed store: a passphrase, a wallet, a raw key. The secret is held by native code and never shown."""

from __future__ import annotations

import json
import os
from typing import Any

from . import _native
from .arguments import check_path
from .errors import InvalidArgument

__all__ = ["Keyring"]

_FILE_BYTES_MAX = 4096
_WALLET_BYTES = 64


class Keyring:
    """A secret that unlocks sealed stores; make one with the ``from_...`` methods.

    Example:
        >>> keyring = Keyring.from_passphrase("correct horse battery staple")
        >>> store = VectorStore("./s", devices=["./d1", "./d2", "./d3", "./d4", "./d5"], keyring=keyring)
    """

    __slots__ = ("_secret",)

    _secret: _native.Keyring

    def __init__(self) -> None:
        raise InvalidArgument("a Keyring is made with from_passphrase, from_wallet, from_file or from_environment")

    @classmethod
    def _of(cls, native: _native.Keyring) -> Keyring:
        keyring = object.__new__(cls)
        keyring._secret = native
        return keyring

    @classmethod
    def from_passphrase(cls, passphrase: str) -> Keyring:
        """A passphrase of 1 to 4096 bytes of UTF-8; scrypt (N = 2^17, r = 8) makes guessing slow: 0.3 s and 128 MB each.

        Raises:
            InvalidArgument: no str, empty, too long.
        """
        if not isinstance(passphrase, str):
            raise InvalidArgument(f"passphrase is a {type(passphrase).__name__} but must be a str")
        return cls._of(_native.Keyring.from_passphrase(passphrase.encode()))

    @classmethod
    def from_wallet(cls, path: str | os.PathLike[str]) -> Keyring:
        """A wallet file: the JSON of the Solana CLI (64 numbers) or the secret key in base58.

        The key is derived from the wallet's seed, never from its public half, which is compared.

        Raises:
            InvalidArgument: no such file, neither form, or the public half is of another seed.
        """
        text = _read(path).strip()
        if not text.startswith(b"["):
            return cls._of(_native.Keyring.from_wallet_text(text.decode("ascii", "replace")))
        try:
            numbers = json.loads(text)
            wallet = bytes(numbers)
        except (ValueError, TypeError):
            raise InvalidArgument("keyring: the wallet is no JSON list of 64 numbers from 0 to 255") from None
        return cls._of(_native.Keyring.from_wallet_bytes(wallet))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Keyring:
        """A raw key of 32 bytes, as they are or as 64 hexadecimal digits; ``dvesp keys init`` makes one.

        Raises:
            InvalidArgument: no such file, or neither form.
        """
        return cls._of(_native.Keyring.from_raw(_raw_key(_read(path))))

    @classmethod
    def from_passphrase_environment(cls, name: str) -> Keyring:
        """A passphrase in an environment variable, as `from_passphrase`.

        Raises:
            InvalidArgument: the variable is not set, or empty.
        """
        value = os.environ.get(name)
        if value is None:
            raise InvalidArgument(f"keyring: the environment variable {name} is not set")
        return cls.from_passphrase(value)

    @classmethod
    def from_environment(cls, name: str = "DVESP_KEY") -> Keyring:
        """A raw key of 64 hexadecimal digits in an environment variable.

        Raises:
            InvalidArgument: the variable is not set, or holds something else.
        """
        value = os.environ.get(name)
        if value is None:
            raise InvalidArgument(f"keyring: the environment variable {name} is not set")
        return cls._of(_native.Keyring.from_raw(_raw_key(value.encode())))

    def __repr__(self) -> str:
        return "Keyring(...)"

    def __reduce__(self) -> Any:
        raise InvalidArgument("a Keyring is not pickled: its secret would be written")


def _read(path: str | os.PathLike[str]) -> bytes:
    name = check_path(path)
    try:
        with open(name, "rb") as file:
            data = file.read(_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise InvalidArgument(f"keyring: cannot read {name!r}: {error.strerror}") from None
    if len(data) > _FILE_BYTES_MAX:
        raise InvalidArgument(f"keyring: {name!r} is longer than a key")
    return data


def _raw_key(data: bytes) -> bytes:
    if len(data) == 32:
        return data
    try:
        return bytes.fromhex(data.decode("ascii").strip())
    except (ValueError, UnicodeDecodeError):
        raise InvalidArgument("keyring: a raw key has 32 bytes, or 64 hexadecimal digits") from None

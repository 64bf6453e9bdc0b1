"""Where an archive goes: a directory, IPFS, S3, Shadow Drive. A target is a description; nothing is asked before it is used."""

from __future__ import annotations

import abc
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from . import _native
from .arguments import check_flag, check_int, check_path
from .errors import InvalidArgument
from .keyring import Keyring

__all__ = ["IPFS", "S3", "Directory", "ShadowDrive", "Target"]

_NAME_BYTES_MAX = 32
_RATE_MAX = 1 << 40


class Target(abc.ABC):
    """A place that keeps an archive. ``archive_public``: objects are kept in clear, for everybody who can read the place."""

    archive_public: bool

    @abc.abstractmethod
    def _settings(self) -> dict[str, Any]:
        """What native code makes a target of."""


@dataclass(frozen=True)
class Directory(Target):
    """A directory: a disk that is carried away, a shared file system. Created with the first object.

    Raises:
        InvalidArgument: no path.
    """

    path: str | os.PathLike[str]
    archive_public: bool = False

    def __post_init__(self) -> None:
        check_path(self.path)
        check_flag(self.archive_public, "archive_public")

    def _settings(self) -> dict[str, Any]:
        return {"kind": "directory", "public": self.archive_public, "path": os.path.abspath(check_path(self.path))}


@dataclass(frozen=True)
class IPFS(Target):
    """IPFS nodes (kubo) that pin the archive, and gateways to read it from.

    Args:
        api: the RPC address of a node, such as ``"http://127.0.0.1:5001"``, or several: each of them pins everything.
        gateways: addresses to read from when the nodes cannot; whatever they send is checked against its CID.
        root: a CID or IPNS name that leads to an archive which is only read; then ``api`` may be empty.
        name: of the archive on its nodes, up to 32 bytes; another name for each store.
        ipns_key: a key of the first node: its name follows the newest state.
        token: what the nodes ask for as ``Authorization``, such as ``"Bearer ..."``; never shown.
        pin_services: pinning services that the first node knows by these names.
        bytes_per_second: bound on uploads; None: none.

    Raises:
        InvalidArgument: an address that is no http(s) URL, a name that is too long.
    """

    api: str | Iterable[str] = ()
    gateways: Iterable[str] = ()
    root: str | None = None
    name: str = "store"
    ipns_key: str | None = None
    token: str | None = field(default=None, repr=False)
    pin_services: Iterable[str] = ()
    bytes_per_second: int | None = None
    archive_public: bool = False

    def __post_init__(self) -> None:
        settings = self._settings()
        if not settings["apis"] and self.root is None:
            raise InvalidArgument("IPFS: give api=, the RPC address of a node, or root=, a CID or IPNS name to read from")
        if not 1 <= len(self.name.encode()) <= _NAME_BYTES_MAX:
            raise InvalidArgument(f"name is {self.name!r} but must have 1 to {_NAME_BYTES_MAX} bytes")

    def _settings(self) -> dict[str, Any]:
        apis = [self.api] if isinstance(self.api, str) else list(self.api)
        return {
            "kind": "ipfs",
            "public": check_flag(self.archive_public, "archive_public"),
            "apis": [_check_url(one, "api") for one in apis],
            "gateways": [_check_url(one, "gateways") for one in _texts(self.gateways, "gateways")],
            "pin_services": _texts(self.pin_services, "pin_services"),
            "root": _text(self.root, "root"),
            "name": _text(self.name, "name").encode().hex(),
            "ipns_key": _text(self.ipns_key, "ipns_key"),
            "token": _text(self.token, "token"),
            "bytes_per_second": _rate(self.bytes_per_second),
        }


@dataclass(frozen=True)
class S3(Target):
    """A bucket of S3, or of anything that speaks like it, at an endpoint.

    Args:
        endpoint: ``"https://HOST"`` or ``"http://HOST:PORT"``; the bucket is named in the path.
        bucket: one that exists.
        access_key, secret_key: None: ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY`` (and ``AWS_SESSION_TOKEN``); never shown.
        region: what requests are signed for.
        prefix: of every key; another one for each store.
        bytes_per_second: bound on uploads; None: none.

    Raises:
        InvalidArgument: an endpoint that is no URL, no bucket, no keys.
    """

    endpoint: str
    bucket: str
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    region: str = "us-east-1"
    prefix: str = ""
    bytes_per_second: int | None = None
    archive_public: bool = False

    def __post_init__(self) -> None:
        if not _text(self.bucket, "bucket"):
            raise InvalidArgument("bucket is empty: name one that exists")
        settings = self._settings()
        if not settings["access_key"] or not settings["secret_key"]:
            raise InvalidArgument("S3: give access_key= and secret_key=, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")

    def _settings(self) -> dict[str, Any]:
        given = self.access_key is not None
        return {
            "kind": "s3",
            "public": check_flag(self.archive_public, "archive_public"),
            "endpoint": _check_url(self.endpoint, "endpoint"),
            "bucket": _text(self.bucket, "bucket"),
            "region": _text(self.region, "region"),
            "prefix": _text(self.prefix, "prefix"),
            "access_key": _text(self.access_key, "access_key") or os.environ.get("AWS_ACCESS_KEY_ID", ""),
            "secret_key": _text(self.secret_key, "secret_key") or os.environ.get("AWS_SECRET_ACCESS_KEY", ""),
            "session_token": "" if given else os.environ.get("AWS_SESSION_TOKEN", ""),
            "bytes_per_second": _rate(self.bytes_per_second),
        }


@dataclass(frozen=True)
class ShadowDrive(Target):
    """A storage account (v1.5) or bucket (v2) of Shadow Drive. Its S3 gateway is a `S3` target.

    Args:
        endpoint: the service's address.
        account: the storage account or bucket, in base58.
        wallet: path of the owner's wallet (JSON of 64 numbers, or base58), or a `Keyring` made of it.
        api: ``"v1.5"`` or ``"v2"``.
        files: where files are read from, when that is not the endpoint itself.
        bytes_per_second: bound on uploads; None: none.

    Raises:
        InvalidArgument: an address that is no URL, an account that is no base58, a wallet that is none.
    """

    endpoint: str
    account: str
    wallet: str | os.PathLike[str] | Keyring = field(repr=False)
    api: str = "v1.5"
    files: str | None = None
    bytes_per_second: int | None = None
    archive_public: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[1-9A-HJ-NP-Za-km-z]{32,44}", _text(self.account, "account")):
            raise InvalidArgument(f"account is {self.account!r} but must be an address in base58")
        if self.api not in ("v1.5", "v2"):
            raise InvalidArgument(f"api is {self.api!r} but must be 'v1.5' or 'v2'")
        self._settings()

    def _settings(self) -> dict[str, Any]:
        return {
            "kind": "shadow_drive",
            "public": check_flag(self.archive_public, "archive_public"),
            "endpoint": _check_url(self.endpoint, "endpoint"),
            "files": "" if self.files is None else _check_url(self.files, "files"),
            "account": self.account,
            "api": self.api,
            "wallet": self._wallet(),
            "bytes_per_second": _rate(self.bytes_per_second),
        }

    def _wallet(self) -> _native.Keyring:
        wallet = self.wallet if isinstance(self.wallet, Keyring) else Keyring.from_wallet(os.path.expanduser(self.wallet))
        return wallet._secret


def _rate(value: Any) -> int:
    return 0 if value is None else check_int(value, "bytes_per_second", 1, _RATE_MAX)


def _text(value: Any, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or "\0" in value or "\n" in value:
        raise InvalidArgument(f"{name} is a {type(value).__name__} but must be one line of text")
    return value


def _texts(values: Any, name: str) -> list[str]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise InvalidArgument(f"{name} is {values!r} but must be a list of texts")
    return [_text(value, name) for value in values]


def _check_url(value: Any, name: str) -> str:
    text = _text(value, name)
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", text):
        raise InvalidArgument(f"{name} is {text!r} but must be an address such as http://127.0.0.1:5001")
    return text

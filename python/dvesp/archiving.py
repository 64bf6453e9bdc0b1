"""What a store asks of its archive: targets and keys as users give them, checked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from . import _native
from .errors import InvalidArgument, Unavailable
from .keyring import Keyring
from .targets import IPFS, S3, Directory, ShadowDrive, Target

__all__ = ["check_keyring", "check_targets", "open_archived", "parse_target"]


def check_targets(targets: Any, name: str) -> list[dict[str, Any]]:
    """The settings of one target or of several.

    Raises:
        InvalidArgument: none, or something else than targets.
    """
    given = [targets] if isinstance(targets, Target) or not isinstance(targets, Iterable) else list(targets)
    if not given or not all(isinstance(target, Target) for target in given):
        raise InvalidArgument(f"{name} is {targets!r} but must be a list of targets such as [Directory('/backup')]")
    return [target._settings() for target in given]


def check_keyring(keyring: Any) -> _native.Keyring | None:
    """The secret of a keyring, or None.

    Raises:
        InvalidArgument: no `Keyring`.
    """
    if keyring is None:
        return None
    if not isinstance(keyring, Keyring):
        raise InvalidArgument(f"keyring is a {type(keyring).__name__} but must be a dvesp.Keyring")
    return keyring._secret


def open_archived(path: str | None, nodes: Any, devices: Any, keyring: Any, archive: Any) -> _native.Store:
    """A plain store whose archive follows its writes.

    Raises:
        InvalidArgument: no targets, no Keyring. Sealed: no key, or the wrong one. Unavailable: nodes or devices too.
    """
    if nodes is not None:
        raise Unavailable("archive= is not available with nodes=: archive a snapshot of the cluster, snapshot(path)")
    if devices is not None:
        raise Unavailable("archive= is not available with devices=: the fragments on devices are the copy of a sealed store")
    return _native.Store(path, check_targets(archive, "archive"), check_keyring(keyring))


def parse_target(text: str, public: bool) -> Target:
    """A target as the command line writes it.

    A directory; ``ipfs:http://NODE:5001`` (behind it ``,name=NAME``, ``,gateway=URL``, ``,root=CID``);
    ``s3:URL/BUCKET/PREFIX`` with the keys in the environment; ``shadow:URL,ACCOUNT,WALLET-FILE`` (behind it ``,api=v2``).

    Raises:
        InvalidArgument: not what its kind needs.
    """
    kind, _, rest = text.partition(":")
    if kind == "s3":
        found = re.fullmatch(r"(https?://[^/]+)/([^/]+)/?(.*)", rest)
        if found is None:
            raise InvalidArgument(f"{text!r} is no target: write s3:http://HOST:PORT/BUCKET/PREFIX")
        return S3(found[1], found[2], prefix=found[3], archive_public=public)
    if kind not in ("ipfs", "shadow"):
        return Directory(text, archive_public=public)
    fields = [part for part in rest.split(",") if "=" not in part and part]
    options = [(part.split("=", 1)[0], part.split("=", 1)[1]) for part in rest.split(",") if "=" in part]
    named = dict(options)
    if kind == "shadow":
        if len(fields) != 3 or set(named) - {"api"}:
            raise InvalidArgument(f"{text!r} is no target: write shadow:URL,ACCOUNT,WALLET-FILE")
        return ShadowDrive(fields[0], fields[1], fields[2], api=named.get("api", "v1.5"), archive_public=public)
    if set(named) - {"name", "gateway", "root"}:
        raise InvalidArgument(f"{text!r} is no target: write ipfs:URL,name=NAME,gateway=URL,root=CID")
    gateways = [value for name, value in options if name == "gateway"]
    return IPFS(fields, gateways, named.get("root"), named.get("name", "store"), archive_public=public)

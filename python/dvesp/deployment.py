"""What the arguments of a store may ask of this build; what they may not is refused by name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .errors import InvalidArgument, Unavailable

__all__ = ["check_path", "check_plain", "refuse_elsewhere"]

_ELSEWHERE = {
    "nodes": "a cluster needs the network client; this build is for one machine: use path= or nothing",
    "tls": "certificates are for talking to nodes; this build is for one machine",
    "api_key": "a key is for talking to nodes; this build is for one machine",
    "keyring": "sealed collections need the sealing layer, which this build does not have",
    "devices": "sealed collections need the sealing layer, which this build does not have",
    "archive": "archive targets need the archive layer, which this build does not have: use snapshot(path)",
    "chain": "anchoring on a chain needs the chain client, which this build does not have",
    "from_": "archive targets need the archive layer, which this build does not have: restore a snapshot",
}


def refuse_elsewhere(arguments: Mapping[str, Any]) -> None:
    """Refuses every argument that asks for more than one machine's plain store.

    Args:
        arguments: name -> value as the user gave it; None means not given.

    Raises:
        Unavailable: one of them is given; the message names it.
    """
    for name, value in arguments.items():
        if value is not None:
            raise Unavailable(f"{name}= is not available: {_ELSEWHERE[name]}")


def check_path(path: Any, field: str = "path") -> str:
    """A directory's path as str.

    Raises:
        InvalidArgument: not a str or path object, or empty.
    """
    try:
        text = os.fspath(path)
    except TypeError:
        raise InvalidArgument(f"{field} is {path!r} ({type(path).__name__}) but must be a directory's path") from None
    if not isinstance(text, str) or not text:
        raise InvalidArgument(f"{field} is {path!r} but must be a non-empty path as str")
    return text


def check_plain(privacy: Any, fragments: Any, replication_factor: Any) -> None:
    """Refuses what a collection on one machine cannot be: sealed, fragmented or replicated.

    Raises:
        InvalidArgument: a value that no deployment takes.
        Unavailable: sealed, or more than one replica.
    """
    if privacy == "sealed":
        raise Unavailable('privacy="sealed" is not available: ' + _ELSEWHERE["devices"])
    if privacy != "plain":
        raise InvalidArgument(f"privacy is {privacy!r} but must be 'plain' or 'sealed'")
    if fragments != "auto":
        raise InvalidArgument(f"fragments is {fragments!r}, but only a sealed collection has fragments: leave it at 'auto'")
    if replication_factor is None:
        return
    if isinstance(replication_factor, bool) or not isinstance(replication_factor, int) or replication_factor < 1:
        raise InvalidArgument(f"replication_factor is {replication_factor!r} but must be an int of at least 1, or None")
    if replication_factor > 1:
        raise Unavailable(f"replication_factor={replication_factor} is not available: one machine keeps one replica")

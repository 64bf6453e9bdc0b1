"""What a store asks of its archive: targets and keys as users give them, checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import _native
from .errors import InvalidArgument, Unavailable
from .keyring import Keyring
from .targets import Directory, Target

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
    """A target as the command line writes it: a directory, or ``kind:...``.

    Raises:
        InvalidArgument: a kind that there is not, or not what it needs.
    """
    return Directory(text, archive_public=public)

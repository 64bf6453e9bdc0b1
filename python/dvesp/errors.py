"""The exceptions of dvesp: one class per kind of failure, each also the built-in that Python users expect.

The table behind them is ``base/errors.def``; native code raises these very classes, because they are handed to it when
this module is imported. Every message says what was wrong, where (collection, row, field) and what to do about it.

Example:
    >>> try:
    ...     store.search([1.0, 2.0], collection="typo")
    ... except dvesp.CollectionNotFound as error:  # `except KeyError` works as well
    ...     print(error)
"""

from __future__ import annotations

import errno
from typing import Any

from . import _native

__all__ = [
    "CollectionExists",
    "CollectionNotFound",
    "Corruption",
    "DimensionMismatch",
    "Error",
    "IdExists",
    "IdNotFound",
    "IntegrityError",
    "InvalidArgument",
    "PermissionDenied",
    "Sealed",
    "StorageFull",
    "StoreLocked",
    "Timeout",
    "Unavailable",
    "VersionConflict",
]


class Error(Exception):
    """Base of all dvesp exceptions; raised itself when the operating system fails to read or write."""

    def __str__(self) -> str:
        """The message as text. ``KeyError`` would print its ``repr``, with quotes and escapes, hence this method."""
        return Exception.__str__(self)


class InvalidArgument(Error, ValueError):
    """An argument is wrong: nothing was written, and the same call will fail again. Also: a call on a closed store."""


class DimensionMismatch(InvalidArgument):
    """The vectors have another dimension than the collection."""


class CollectionNotFound(Error, KeyError):
    """There is no such collection. Only ``insert`` and ``upsert`` create one by themselves."""


class CollectionExists(Error):
    """The collection exists already; ``exist_ok=True`` accepts one with the same settings."""


class IdExists(Error):
    """``insert`` met an id that is stored with other content; nothing of the batch was written. ``upsert`` replaces."""


class IdNotFound(Error, KeyError):
    """``update`` was asked to change a record that is not there."""


class VersionConflict(Error):
    """The record has another version than ``if_version`` asked for: read it again, then decide."""


class Timeout(Error, TimeoutError):
    """No answer within ``timeout_ms``: the write may or may not have happened.

    Attributes:
        vector_ids: ids of the batch in request order, so that ``get(error.vector_ids)`` tells what was stored.
            Repeating the same ``insert`` with these ids is safe.
    """

    def __init__(self, *args: Any, vector_ids: list[str] | None = None) -> None:
        super().__init__(*args)
        self.vector_ids: list[str] = [] if vector_ids is None else vector_ids


class Unavailable(Error, ConnectionError):
    """The store cannot do this now, or this build cannot do it at all; nothing was written."""


class Corruption(Error):
    """Stored bytes are not what was written. What is undamaged stays readable: ``scroll(on_damage="skip")``."""


class StoreLocked(Error):
    """The directory is open already, in this process or another; one process owns a store."""


class StorageFull(Error, OSError):
    """The disk is full; nothing was written. ``errno`` is ``ENOSPC``."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.errno = errno.ENOSPC


class PermissionDenied(Error, PermissionError):
    """Access was refused, by the file system or by a node."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.errno = errno.EACCES


class Sealed(Error):
    """A key is needed to read this, or the key given is the wrong one."""


class IntegrityError(Error):
    """A proof (checksum, Merkle root, signature) does not match the data it stands for."""


_native.set_error_classes({name: globals()[name] for name in __all__})

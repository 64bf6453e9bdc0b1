"""What every part of a store's façade shares: the native store, the settings, the checks common to all calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import arguments as check

if TYPE_CHECKING:
    from ._native import RemoteStore, Store

__all__ = ["Session"]


class Session:
    """An open native store and the settings it was opened with; `Writing`, `Reading` and `VectorStore` build on it."""

    _native: Store | RemoteStore
    _path: str | None
    _level: str
    _progress: bool | None
    _is_sealed: bool

    def _take(
        self, native: Store | RemoteStore, path: str | None, level: str, progress: bool | None, is_sealed: bool = False
    ) -> None:
        self._native = native
        self._path = path
        self._level = level
        self._progress = progress
        self._is_sealed = is_sealed

    def _common(self, collection: Any, consistency_level: Any, timeout_ms: Any) -> tuple[str, str, int]:
        """The arguments that every record method takes, checked: collection, level, timeout."""
        level = self._level if consistency_level is None else check.check_level(consistency_level)
        return check.check_collection(collection), level, check.check_timeout(timeout_ms)

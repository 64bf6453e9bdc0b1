"""What a store is after ``os.fork()``: in the child it refuses every call, because its threads stayed in the parent.

Without this, a child (a PyTorch data loader's worker, say) would wait for ever for threads that it does not have, or write to
files that the parent owns.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import Any, NoReturn

from .errors import Unavailable
from .session import Session

__all__ = ["watch"]

_open: weakref.WeakSet[Session] = weakref.WeakSet()


class _LeftInParent:
    """Stands in for the native store in a forked child: closing does nothing, everything else is refused."""

    def close(self) -> None:
        """Nothing: the files and threads are the parent's."""

    def __getattr__(self, name: str) -> NoReturn:
        raise Unavailable("this store was opened before fork(): open it in the process that uses it, or start with spawn")


def watch(session: Session) -> None:
    """Makes ``session`` refuse calls in children forked from now on."""
    _open.add(session)


def _disown() -> None:
    """Runs in the child. The native object is never destroyed there: its destructor would wait for the parent's threads."""
    for session in list(_open):
        native: Any = session._native
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(native))
        session._native = _LeftInParent()  # type: ignore[assignment]


os.register_at_fork(after_in_child=_disown)

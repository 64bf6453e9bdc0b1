"""A progress bar for work of more than two seconds, drawn by a thread that asks the store how far it is."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["shown"]

DELAY_S = 2.0
POLL_S = 0.1

Poll = Callable[[], tuple[str, int, int]]


def _in_notebook() -> bool:
    """Whether this is a Jupyter kernel; asks IPython only where it is loaded already."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    return shell is not None and hasattr(shell, "kernel")


def _is_wanted(mode: bool | None) -> bool:
    """``mode`` as given to the store: None asks whether somebody can see it."""
    if mode is not None:
        return mode
    return _in_notebook() or (sys.stderr is not None and sys.stderr.isatty())


def _draw(what: str, poll: Poll, done: threading.Event) -> None:
    """The helper thread: waits, then redraws until ``done``. Progress is a courtesy: it must never break the work."""
    if done.wait(DELAY_S):
        return
    with contextlib.suppress(Exception):
        from tqdm.auto import tqdm  # imported only when a bar is drawn

        with tqdm(desc=what, unit=" rows", leave=False, file=sys.stderr) as bar:
            while not done.wait(POLL_S):
                phase, done_count, total_count = poll()
                _move(bar, phase or what, done_count, total_count)


def _move(bar: Any, phase: str, done_count: int, total_count: int) -> None:
    bar.set_description_str(phase, refresh=False)
    bar.total = total_count or None
    bar.n = done_count
    bar.refresh()


@contextlib.contextmanager
def shown(what: str, poll: Poll, mode: bool | None) -> Iterator[None]:
    """Shows progress while the body runs, once it has run for two seconds.

    Args:
        what: the name of the work, for the bar.
        poll: returns ``(phase, done, total)``; called from the helper thread, about ten times a second.
        mode: True always, False never, None when stderr is a terminal or this is a notebook.
    """
    if not _is_wanted(mode):
        yield
        return
    done = threading.Event()
    thread = threading.Thread(target=_draw, args=(what, poll, done), name=f"dvesp-progress-{what}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()

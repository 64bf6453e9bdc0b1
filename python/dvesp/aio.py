"""`AsyncVectorStore`: the methods of `VectorStore` as coroutines, on a small thread pool of its own.

The native calls release the GIL, so the event loop runs on while they work. Cancelling a coroutine abandons its
answer; the work itself runs to its end in its thread, as it would in another process.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from .collection import Collection
from .records import page_records
from .results import Record
from .store import VectorStore

if TYPE_CHECKING:
    from . import _native

__all__ = ["AsyncCollection", "AsyncVectorStore"]

THREADS_MAX = 8

P = ParamSpec("P")
R = TypeVar("R")


class _Pool:
    """A bounded thread pool; once it is shut, calls run at once, and the closed store refuses them."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="dvesp-async")
        self._shut = False

    async def run(self, function: Callable[[], R]) -> R:
        """Runs ``function`` in a thread, with the caller's context variables."""
        if self._shut:
            return function()
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._executor, functools.partial(context.run, function))

    def shut(self) -> None:
        """Waits for the calls under way and ends the threads."""
        self._shut = True
        self._executor.shutdown(wait=True)


def _coroutine(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]:
    """A coroutine with signature, docstring and effect of a blocking method of the wrapped ``_sync``."""

    async def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        pool: _Pool = self._pool
        return await pool.run(functools.partial(method, self._sync, *args, **kwargs))

    functools.update_wrapper(call, method)
    return call


class AsyncScroll(AsyncIterator[Record]):
    """The records of a snapshot, fetched a page at a time in the pool; awaiting it gives itself."""

    def __init__(self, cursor: _native.Cursor | _native.RemoteCursor, pool: _Pool) -> None:
        self._cursor = cursor
        self._pool = pool
        self._page: list[Record] = []
        self._next = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Record:
        while self._next >= len(self._page):
            page = await self._pool.run(self._cursor.next)
            if page is None:
                raise StopAsyncIteration
            self._page, self._next = page_records(page), 0
        record = self._page[self._next]
        self._next += 1
        return record

    def __await__(self) -> Generator[Any, None, Self]:
        return self
        yield  # makes this a generator, which is what await asks for


class AsyncCollection:
    """A handle to one collection whose methods are coroutines; see `Collection`."""

    def __init__(self, collection: Collection, pool: _Pool) -> None:
        self._sync = collection
        self._pool = pool
        self.name = collection.name

    insert = _coroutine(Collection.insert)
    upsert = _coroutine(Collection.upsert)
    search = _coroutine(Collection.search)
    query = search
    search_batch = _coroutine(Collection.search_batch)
    update = _coroutine(Collection.update)
    delete = _coroutine(Collection.delete)
    get = _coroutine(Collection.get)
    count = _coroutine(Collection.count)
    describe = _coroutine(Collection.describe)
    verify = _coroutine(Collection.verify)
    retrievability = _coroutine(Collection.retrievability)
    flush = _coroutine(Collection.flush)
    compact = _coroutine(Collection.compact)
    to_pandas = _coroutine(Collection.to_pandas)
    to_arrow = _coroutine(Collection.to_arrow)

    def scroll(
        self,
        filter: dict[str, Any] | None = None,
        batch_size: int = 1000,
        after: str | None = None,
        on_damage: str = "raise",
        *,
        consistency_level: str | None = None,
        timeout_ms: int = 5000,
    ) -> AsyncScroll:
        """`Collection.scroll` as an async iterator; the snapshot is taken by this call."""
        store = self._sync._store
        rest = (consistency_level, timeout_ms)
        return AsyncScroll(store._cursor(self.name, filter, batch_size, after, on_damage, *rest), self._pool)

    def __repr__(self) -> str:
        return f"Async{self._sync!r}"

    def _repr_html_(self) -> str:
        return self._sync._repr_html_()


class AsyncVectorStore:
    """`VectorStore` for asyncio: the same arguments and methods, as coroutines, and an async context manager.

    The constructor opens the store at once (well under a second); up to eight calls run at a time, further ones wait.

    Example:
        >>> async with AsyncVectorStore("./my-store") as store:
        ...     await store.insert(vectors, metadata)
        ...     result = await store.search(query, top_k=3)
        ...     async for record in store.scroll(filter={"kind": "note"}):
        ...         print(record.id)
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        nodes: Any = None,
        consistency_level: str = "QUORUM",
        tls: Any = None,
        api_key: Any = None,
        keyring: Any = None,
        devices: Any = None,
        archive: Any = None,
        chain: Any = None,
        progress: bool | None = None,
    ) -> None:
        settings = {
            "tls": tls,
            "api_key": api_key,
            "keyring": keyring,
            "devices": devices,
            "archive": archive,
            "chain": chain,
        }
        self._take(VectorStore(path, nodes=nodes, consistency_level=consistency_level, progress=progress, **settings))

    def _take(self, store: VectorStore) -> None:
        self._sync = store
        self._pool = _Pool()

    insert = _coroutine(VectorStore.insert)
    upsert = _coroutine(VectorStore.upsert)
    search = _coroutine(VectorStore.search)
    query = search
    search_batch = _coroutine(VectorStore.search_batch)
    update = _coroutine(VectorStore.update)
    delete = _coroutine(VectorStore.delete)
    get = _coroutine(VectorStore.get)
    count = _coroutine(VectorStore.count)
    list_collections = _coroutine(VectorStore.list_collections)
    drop_collection = _coroutine(VectorStore.drop_collection)
    describe = _coroutine(VectorStore.describe)
    flush = _coroutine(VectorStore.flush)
    compact = _coroutine(VectorStore.compact)
    verify = _coroutine(VectorStore.verify)
    retrievability = _coroutine(VectorStore.retrievability)
    devices = _coroutine(VectorStore.devices)
    add_device = _coroutine(VectorStore.add_device)
    remove_device = _coroutine(VectorStore.remove_device)
    replace_device = _coroutine(VectorStore.replace_device)
    rebalance = _coroutine(VectorStore.rebalance)
    snapshot = _coroutine(VectorStore.snapshot)
    archive = _coroutine(VectorStore.archive)
    prune_archive = _coroutine(VectorStore.prune_archive)
    wait_restored = _coroutine(VectorStore.wait_restored)
    status = _coroutine(VectorStore.status)

    @functools.wraps(VectorStore.create_collection)
    async def create_collection(self, *args: Any, **kwargs: Any) -> AsyncCollection:
        create = functools.partial(self._sync.create_collection, *args, **kwargs)
        return AsyncCollection(await self._pool.run(create), self._pool)

    @functools.wraps(VectorStore.collection)
    async def collection(self, name: str) -> AsyncCollection:
        open_handle = functools.partial(self._sync.collection, name)
        return AsyncCollection(await self._pool.run(open_handle), self._pool)

    def scroll(
        self,
        collection: Any = "default",
        filter: Any = None,
        batch_size: int = 1000,
        after: str | None = None,
        on_damage: str = "raise",
        *,
        consistency_level: str | None = None,
        timeout_ms: int = 5000,
    ) -> AsyncScroll:
        """`VectorStore.scroll` as an async iterator; the snapshot is taken by this call."""
        rest = (consistency_level, timeout_ms)
        return AsyncScroll(self._sync._cursor(collection, filter, batch_size, after, on_damage, *rest), self._pool)

    @classmethod
    async def restore(
        cls,
        source: str | os.PathLike[str] | None = None,
        path: str | os.PathLike[str] | None = None,
        *,
        from_: Any = None,
        keyring: Any = None,
        wait: bool = True,
    ) -> Self:
        """`VectorStore.restore`: an open store made from a snapshot."""
        opened = await asyncio.to_thread(VectorStore.restore, source, path, from_=from_, keyring=keyring, wait=wait)
        store = cls.__new__(cls)
        store._take(opened)
        return store

    @classmethod
    @functools.wraps(VectorStore.restore_from_shadow_drive)
    async def restore_from_shadow_drive(cls, *args: Any, **kwargs: Any) -> Self:
        store = cls.__new__(cls)
        store._take(await asyncio.to_thread(VectorStore.restore_from_shadow_drive, *args, **kwargs))
        return store

    async def close(self) -> None:
        """Closes the store once the calls under way are done; a second call does nothing."""
        await asyncio.to_thread(self._shut)

    def _shut(self) -> None:
        self._pool.shut()
        self._sync.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("an AsyncVectorStore owns files and threads and can be neither copied nor pickled")

    def __repr__(self) -> str:
        return f"Async{self._sync!r}"

    def _repr_html_(self) -> str:
        return self._sync._repr_html_()

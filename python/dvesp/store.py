"""`VectorStore`: the one class users open. Records are written in ``writing.py`` and read in ``reading.py``.

On one machine a store lives in memory or in a directory. Vectors are float32 ``[n, d]``, times are milliseconds, distances
ascend from the nearest. All methods may be called from any thread at once, and the GIL is released while native code works.
After ``os.fork()`` only the process that opened the store may use it: in the child every call raises `Unavailable`.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any, Self

from . import _native
from . import arguments as check
from .archiving import check_keyring, check_targets, open_archived
from .arguments import check_path
from .chain import attach, check_chain
from .collection import Collection
from .deployment import (
    check_fragments,
    check_replicas,
    connect,
    device_info,
    device_name,
    device_place,
    open_sealed,
)
from .errors import InvalidArgument
from .forks import watch
from .keyring import Keyring
from .progress import shown
from .reading import Reading
from .results import CollectionInfo, DeviceInfo, Retrievability, VerifyReport
from .tables import html_table
from .targets import ShadowDrive
from .writing import Writing

__all__ = ["VectorStore"]

DIMENSION_MAX = 4096


class VectorStore(Writing, Reading):
    """A vector database in memory (``VectorStore()``) or in a directory (``VectorStore("./my-store")``).

    Args:
        path: the store's directory, created if absent; one process owns it. None: in memory, gone at exit.
        nodes: addresses ``"HOST:PORT"`` of a cluster, any of its nodes.
        consistency_level: ``"ONE"``, ``"QUORUM"`` or ``"ALL"``: the default of every call. On one machine all mean
            durable.
        tls: what a client shows to nodes, a `TLS`; also to those that keep devices.
        devices: 2 to 255 directories or nodes, five for 3 of 5: the store is sealed. Records lie in them as encrypted
            fragments, any k of n of which give a record; the store's own directory holds the index, encrypted under a key that
            only k devices give. A node is ``"HOST:PORT"`` and was started with ``--device``; what has a slash, is a path object
            or is there is a directory. A missing one is a device offline. An empty ``path`` is brought back from devices with
            data.
        keyring: a `Keyring`, which sealed stores need, and archives that are not public.
        archive: one or more targets (`Directory`, `IPFS`, `S3`, `ShadowDrive`) that a copy of everything goes to in the
            background, encrypted; writes never wait for it, see ``archive()``.
        chain: a `Solana`, to which the roots of the collections follow writes in the background, for a store on this
            machine; ``status(detail=True)["chain"]`` says how far they are.
        api_key: of REST.
        progress: bars for long work; None: where somebody can see them, False: never, True: always.

    Raises:
        InvalidArgument: ``path`` together with ``nodes``, an unknown level, a path that is none.
        Unavailable: an argument that asks for more than this build has.
        StoreLocked: the directory is open already. Corruption, PermissionDenied: what opening met.
        Sealed: the store is sealed and the key is missing or wrong.

    Example:
        >>> with VectorStore("./my-store") as store:
        ...     store.insert(np.random.rand(3, 4).astype("float32"), [{"n": i} for i in range(3)], ["a", "b", "c"])
        ...     store.search(np.ones(4, "float32"), top_k=2, filter={"n": {"$gte": 1}})[0].id
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
        if path is not None and nodes is not None:
            raise InvalidArgument("path and nodes are both given: a store is either a directory or a cluster, leave one out")
        level = check.check_level(consistency_level)
        bars = None if progress is None else check.check_flag(progress, "progress")
        directory = None if path is None else check_path(path)
        check_chain(chain, nodes)
        native: _native.Store | _native.RemoteStore
        if archive is not None:
            native = open_archived(directory, nodes, devices, keyring, archive)
        elif devices is not None or keyring is not None:
            native = open_sealed(directory, nodes, devices, keyring, tls)
        else:
            native = _native.Store(directory) if nodes is None else connect(nodes, tls, api_key)
        if nodes is None and (api_key is not None or (tls is not None and devices is None)):
            raise InvalidArgument("tls and api_key are for talking to nodes: give nodes=[...] too")
        if isinstance(native, _native.Store):
            attach(native, chain)
        self._take(native, directory, level, bars, devices is not None)
        watch(self)
        watch(self)

    def create_collection(
        self,
        name: str,
        dimension: int,
        metric: str = "cosine",
        index: str = "hnsw",
        index_params: dict[str, Any] | None = None,
        privacy: str = "plain",
        fragments: Any = "auto",
        replication_factor: int | None = None,
        exist_ok: bool = False,
        *,
        consistency_level: str | None = None,
        timeout_ms: int = 5000,
    ) -> Collection:
        """Creates a collection and returns a handle to it.

        Args:
            name: of the collection.
            dimension: elements of every vector, 1..4096.
            metric: ``"cosine"``, ``"l2"`` or ``"dot_product"``; a search may still ask for another.
            index: ``"hnsw"`` (``M=16, ef_construction=200``), ``"ivf"`` (``nlist="auto"``) or ``"flat"`` (exact).
            index_params: the index's parameters and ``"codes"``.
            privacy: ``"plain"`` or ``"sealed"``; every collection of a store with ``devices`` is sealed.
            fragments: of a sealed collection: ``(k, n)``: any k of n fragments give a record; ``"auto"``: the planner's choice.
            replication_factor: None or 1 on one machine.
            exist_ok: whether an existing collection with the same settings is fine.

        Raises:
            InvalidArgument: a name, dimension, metric, index or parameter that is wrong.
            CollectionExists: it exists (with ``exist_ok``: with other settings).
            Unavailable: sealed, or replicated.
        """
        name, _, timeout_ms = self._common(check.check_collection(name, "name"), consistency_level, timeout_ms)
        dimension = check.check_int(dimension, "dimension", 1, DIMENSION_MAX)
        metric = check.check_choice(metric, "metric", check.METRICS)
        index = check.check_choice(index, "index", check.INDEX_KINDS)
        if index_params is not None and not isinstance(index_params, dict):
            raise InvalidArgument(f'index_params is {index_params!r} but must be a dict such as {{"M": 16}}, or None')
        exist_ok = check.check_flag(exist_ok, "exist_ok")
        plan = check_fragments(privacy, fragments, self._is_sealed)
        replicas = check_replicas(replication_factor, isinstance(self._native, _native.Store))
        if plan is not None and isinstance(self._native, _native.Store):
            self._native.plan_collection(name, *plan)
        self._native.create_collection(name, dimension, metric, index, index_params, exist_ok, replicas, timeout_ms)
        return Collection(self, name)

    def list_collections(self, *, consistency_level: str | None = None, timeout_ms: int = 5000) -> list[str]:
        """The names of all collections, sorted."""
        _, _, timeout_ms = self._common("", consistency_level, timeout_ms)
        return self._native.list_collections(timeout_ms)

    def collection(self, name: str) -> Collection:
        """A handle to a collection that exists: the store's methods with ``collection`` filled in.

        Raises:
            CollectionNotFound: there is none of that name.
        """
        self._native.describe(check.check_collection(name, "name"), 5000, self._level)
        return Collection(self, name)

    def drop_collection(self, name: str, *, consistency_level: str | None = None, timeout_ms: int = 5000) -> None:
        """Removes a collection and everything in it.

        Raises:
            CollectionNotFound: there is none of that name.
        """
        _, _, timeout_ms = self._common(check.check_collection(name, "name"), consistency_level, timeout_ms)
        self._native.drop_collection(name, timeout_ms)

    def describe(
        self,
        name: str = "default",
        *,
        collection: str | None = None,
        consistency_level: str | None = None,
        timeout_ms: int = 5000,
    ) -> CollectionInfo:
        """Settings and size of a collection; ``collection=`` is another word for ``name``.

        Raises:
            CollectionNotFound: there is none of that name.
        """
        name, level, timeout_ms = self._common(name if collection is None else collection, consistency_level, timeout_ms)
        return CollectionInfo.from_native(self._native.describe(name, timeout_ms, level))

    def flush(self, collection: str | None = None) -> None:
        """Seals every head into segments and waits until they are durable; None: all collections."""
        name = None if collection is None else check.check_collection(collection)
        with shown("flush", self._native.progress, self._progress):
            self._native.flush(name)

    def compact(self, collection: str | None = None) -> None:
        """Merges segments; returns when graphs are built and no background work is left. None: all collections."""
        name = None if collection is None else check.check_collection(collection)
        with shown("compact", self._native.progress, self._progress):
            self._native.compact(name)

    def retrievability(self, collection: str = "default") -> Retrievability:
        """What a sealed collection promises when devices are gone, and how many of its records keep that promise now.

        Looks at every record: about 2 us each.

        Raises:
            CollectionNotFound. InvalidArgument: the store is not sealed.
        """
        name, _, _ = self._common(collection, None, 5000)
        if not self._is_sealed or not isinstance(self._native, _native.Store):
            raise InvalidArgument("retrievability: the store is not sealed: it has no devices")
        return Retrievability(**self._native.retrievability(name))

    def devices(self) -> list[DeviceInfo]:
        """The devices of a sealed store, in the order of joining, and what speaks for and against them.

        Raises:
            InvalidArgument: the store is not sealed.
        """
        return [device_info(told) for told in self._fleet("devices").devices()]

    def add_device(self, place: str | os.PathLike[str]) -> None:
        """One more device. It joins at once; records that it shall hold move in the background, while others read and write.

        A store that is opened later finds it by itself, but a node only when ``devices`` names a node.

        Args:
            place: a new directory, or a node as ``HOST:PORT``.

        Raises:
            InvalidArgument: the store is not sealed, or the place has a device already. Unavailable: too few devices to agree,
            nothing changed. Timeout: too few took the change; whether it is made shows when the store is opened again.
        """
        self._fleet("add_device").add_device(device_place(place, "place"))

    def remove_device(self, place_or_number: str | os.PathLike[str] | int) -> None:
        """A device leaves. One that answers is emptied in the background: others are given what it has before it is gone. One
        that does not answer is given up for good: what it had is made again from k other devices.

        Args:
            place_or_number: of `devices`.

        Raises:
            InvalidArgument: there is none, or a collection needs as many devices as there are: replace it, or add one first.
            Unavailable: too few others are here to have what it has. Timeout: as for `add_device`.
        """
        native = self._fleet("remove_device")
        native.remove_device(device_name(native, place_or_number, "place_or_number"))

    def replace_device(self, old: str | os.PathLike[str] | int, new: str | os.PathLike[str]) -> None:
        """A new device in the place of another: what the old one has, or had, goes to the new one, and nothing else moves.

        Args:
            old: place or number of `devices`; one that does not answer is given up for good.
            new: as for `add_device`.

        Raises:
            InvalidArgument, Unavailable, Timeout: as for `add_device` and `remove_device`.
        """
        native = self._fleet("replace_device")
        native.replace_device(device_name(native, old, "old"), device_place(new, "new"))

    def rebalance(self) -> bool:
        """Moves and makes again what is not where it shall be, now instead of in the background.

        Returns:
            Whether no device is joining or leaving any more; False: one that is needed does not answer.
        """
        return self._fleet("rebalance").rebalance()

    def _fleet(self, method: str) -> _native.Store:
        self._common("default", None, 5000)
        if not self._is_sealed or not isinstance(self._native, _native.Store):
            raise InvalidArgument(f"{method}: the store is not sealed: it has no devices")
        return self._native

    def verify(
        self, collection: str = "default", *, consistency_level: str | None = None, timeout_ms: int = 5000
    ) -> VerifyReport:
        """Reads everything and checks every checksum, Merkle root, graph and id map against the data.

        Reads to the end: ``timeout_ms`` bounds the waiting for nodes, and there are none here.

        Raises:
            CollectionNotFound. Damage is no exception here: it is in the report, whose truth value is ``ok``.
        """
        name, _, _ = self._common(collection, consistency_level, timeout_ms)
        with shown("verify", self._native.progress, self._progress):
            problems = self._native.verify(name)
        return VerifyReport(not problems, problems)

    def snapshot(self, path: str | os.PathLike[str]) -> None:
        """Writes a copy of the whole store, as of now, into a new or empty directory; it opens like any store.

        Of a cluster, each collection as of one moment, read from a majority: it opens as an embedded store on this machine, and
        nothing is at ``path`` before it is whole. Indexes are built by whoever opens it.

        Raises:
            InvalidArgument: the directory is not empty. StorageFull, PermissionDenied. Unavailable, Timeout: no majority of the
            nodes answers.
        """
        target = check_path(path)
        if os.path.isdir(target) and os.listdir(target):
            raise InvalidArgument(f"path: {target!r} is not empty; a snapshot goes into a new or empty directory")
        with shown("snapshot", self._native.progress, self._progress):
            self._native.snapshot(target)

    def archive(self, collection: str | None = None, *, timeout_ms: int | None = None) -> None:
        """Waits until every target of the archive holds everything acknowledged so far, of all collections.

        Without it uploads follow writes by themselves; ``status(detail=True)["archive"]`` says how far they are.

        Args:
            collection: one that exists; the others go with it. None: all.
            timeout_ms: None: as long as it takes, unless a target fails five times in a row.

        Raises:
            InvalidArgument: the store has no archive, or a target holds another store's. Unavailable, Timeout: a target cannot
            be reached. PermissionDenied: it refuses. Corruption: a file of the store is damaged and was not archived.
        """
        if collection is not None:
            self.collection(collection)
        wait_ms = 0 if timeout_ms is None else check.check_timeout(timeout_ms)
        with shown("archive", self._native.progress, self._progress):
            self._embedded("archive").archive(wait_ms)

    def prune_archive(self, keep: int = 1) -> int:
        """Removes what the newest ``keep`` states in each target do not need; returns how many objects went.

        Raises:
            InvalidArgument: ``keep`` below 1, or the store has no archive. Unavailable, Timeout: a target cannot be reached.
        """
        return self._embedded("archive").prune_archive(check.check_int(keep, "keep", 1, 1_000_000))

    def wait_restored(self, timeout_ms: int | None = None) -> None:
        """Waits until a store that ``restore(wait=False)`` opened is complete.

        Raises:
            Timeout: it is not, after ``timeout_ms``. IntegrityError, Corruption, Unavailable: what ended the restore.
        """
        wait_ms = 0 if timeout_ms is None else check.check_timeout(timeout_ms)
        native = self._embedded("restore")
        with shown("restore", native.restore_progress, self._progress):
            native.wait_restored(wait_ms)

    def _embedded(self, what: str) -> _native.Store:
        if not isinstance(self._native, _native.Store):
            raise InvalidArgument(f"{what}: a cluster has no archive of its own")
        return self._native

    @classmethod
    def restore(
        cls,
        source: str | os.PathLike[str] | None = None,
        path: str | os.PathLike[str] | None = None,
        *,
        from_: Any = None,
        keyring: Any = None,
        wait: bool = True,
    ) -> Self:
        """Opens a store made from a snapshot, or from an archive.

        Args:
            source: the directory that ``snapshot`` wrote; with ``from_`` it is where the new store lives.
            path: where the new store lives; None: in memory.
            from_: a target of the archive, or several; what one lacks or has damaged comes from another.
            keyring: what the archive was made with, unless it is public.
            wait: False: an archived store serves as soon as its first segment is there; searches say ``is_partial``, writes are
                refused, and ``wait_restored()`` waits for the end. A snapshot is complete when this returns, either way.

        Raises:
            InvalidArgument: no source, a path that holds something, no archive there. Sealed: the key is wrong or missing.
            Corruption, IntegrityError: the snapshot or an object is damaged, by name. Unavailable, Timeout: no target answers.
        """
        check.check_flag(wait, "wait")
        if from_ is not None:
            return cls._restore_archive(source if path is None else path, from_, keyring, wait)
        if keyring is not None:
            raise InvalidArgument(
                "keyring is given without from_: a snapshot needs none, and a sealed store comes back by opening it with "
                "devices=[...]"
            )
        if source is None:
            raise InvalidArgument("source is None: give the directory that snapshot(path) wrote")
        origin, target = check_path(source, "source"), None if path is None else check_path(path)
        with shown("restore", lambda: ("restore", 0, 0), None):
            native = _native.Store.restore(origin, target)
        return cls._of(native, target)

    @classmethod
    def restore_from_shadow_drive(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        endpoint: str,
        account: str,
        wallet: Any,
        api: str = "v1.5",
        keyring: Any = None,
        wait: bool = True,
    ) -> Self:
        """``restore`` from a storage account of Shadow Drive whose archive was made with the wallet as its keyring.

        Args:
            path: where the new store lives; None: in memory.
            endpoint, account, wallet, api: as of `ShadowDrive`.
            keyring: None: the wallet itself.
            wait: as of ``restore``.

        Raises:
            As ``restore``.
        """
        target = ShadowDrive(endpoint, account, wallet, api=api)
        if keyring is None:
            keyring = wallet if isinstance(wallet, Keyring) else Keyring.from_wallet(os.path.expanduser(wallet))
        return cls._restore_archive(path, target, keyring, check.check_flag(wait, "wait"))

    @classmethod
    def _restore_archive(cls, path: Any, from_: Any, keyring: Any, wait: bool) -> Self:
        target = None if path is None else check_path(path)
        native = _native.Store.restore_archive(check_targets(from_, "from_"), check_keyring(keyring), target)
        store = cls._of(native, target)
        if wait:
            try:
                store.wait_restored()
            except BaseException:
                store.close()
                raise
        return store

    @classmethod
    def _of(cls, native: _native.Store, path: str | None) -> Self:
        store = cls.__new__(cls)
        store._take(native, path, "QUORUM", None)
        watch(store)
        watch(store)
        return store

    def status(self, detail: bool = False) -> dict[str, Any]:
        """The state, with the members of ``GET /v1/cluster/status``; ``detail`` adds queues, lag, archive, restoring."""
        return self._native.status(check.check_flag(detail, "detail"))

    def close(self) -> None:
        """Closes the store; a second call does nothing. A store that was never closed loses nothing acknowledged."""
        self._native.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        native = self.__dict__.get("_native")  # absent when the constructor raised
        if native is not None:
            native.close()

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a VectorStore owns files and threads and can be neither copied nor pickled: open it where it is used")

    def __repr__(self) -> str:
        return f"VectorStore({'' if self._path is None else repr(self._path)})"

    def _repr_html_(self) -> str:
        infos = [self.describe(name) for name in self.list_collections()]
        columns = ("name", "count", "dimension", "metric", "index")
        return html_table(repr(self), columns, ([info[column] for column in columns] for info in infos), len(infos))

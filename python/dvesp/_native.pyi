"""
The native core of dvesp; use the dvesp package instead.
"""

from __future__ import annotations

import collections.abc
import typing

import numpy
import numpy.typing

import dvesp.errors

class SearchReply:
    """
    Results of a search; arrays share its memory.
    """
    @property
    def counts(self) -> list[typing.Any]: ...
    @property
    def distances(self) -> numpy.typing.NDArray[numpy.float32]: ...
    @property
    def ids(self) -> list[typing.Any]: ...
    @property
    def is_partial(self) -> bool: ...
    @property
    def level(self) -> str: ...
    @property
    def metadata(self) -> list[typing.Any]: ...
    @property
    def nodes_queried(self) -> int: ...
    @property
    def time_ms(self) -> float: ...
    @property
    def vectors(self) -> typing.Any: ...

class Keyring:
    """
    A secret that unlocks sealed stores; never shown.
    """
    @staticmethod
    def from_passphrase(passphrase: bytes) -> Keyring: ...
    @staticmethod
    def from_raw(key: bytes) -> Keyring: ...
    @staticmethod
    def from_wallet_bytes(wallet: bytes) -> Keyring: ...
    @staticmethod
    def from_wallet_text(text: str) -> Keyring: ...

class StoreKeys:
    """
    Who unlocks a sealed store; holds its lock.
    """
    @staticmethod
    def recover(
        path: str, devices: collections.abc.Sequence[str], master: bytes, tls: tuple[str, str, str] | None
    ) -> StoreKeys: ...
    def __init__(
        self, path: str, devices: collections.abc.Sequence[str], keyring: Keyring, tls: tuple[str, str, str] | None
    ) -> None: ...
    def add(self, keyring: Keyring) -> tuple[typing.Any, ...]:
        """
        (devices, of which reached)
        """
    def add_device(self, place: str) -> None: ...
    def close(self) -> None: ...
    def describe(self) -> dict[str, typing.Any]: ...
    def devices(self) -> list[typing.Any]: ...
    def master(self) -> bytes:
        """
        The master key, for recovery shares alone.
        """
    def remove(self, number: typing.SupportsInt | typing.SupportsIndex) -> tuple[typing.Any, ...]: ...
    def remove_device(self, place: str) -> None: ...
    def replace_device(self, old: str, place: str) -> None: ...
    def rotate(self, keyrings: collections.abc.Sequence[Keyring]) -> tuple[typing.Any, ...]: ...
    def shred(self, collection: str) -> tuple[typing.Any, ...]: ...

class Archive:
    """
    Targets with an archive, looked at without a store.
    """
    def __init__(self, targets: list[typing.Any], keyring: Keyring | None) -> None: ...
    def states(self) -> list[typing.Any]:
        """
        Manifests, newest first.
        """
    def verify(self) -> list[str]:
        """
        Reads every object of the newest manifests; problems, each naming its object.
        """

class Cursor:
    """
    Walks a pinned snapshot.
    """
    def next(self) -> typing.Any:
        """
        (ids, vectors [m, d], metadata, versions), or None at the end.
        """

class Store:
    """
    One embedded store; safe to share between threads.
    """
    @staticmethod
    def restore(source: str, path: str | None) -> Store: ...
    @staticmethod
    def restore_archive(archive: list[typing.Any], keyring: Keyring | None, path: str | None) -> Store: ...
    @typing.overload
    def __init__(self, path: str | None) -> None: ...
    @typing.overload
    def __init__(
        self, path: str, devices: collections.abc.Sequence[str], keyring: Keyring, tls: tuple[str, str, str] | None
    ) -> None: ...
    @typing.overload
    def __init__(self, path: str | None, archive: list[typing.Any], keyring: Keyring | None) -> None: ...
    def add_device(self, place: str) -> None: ...
    def archive(self, timeout_ms: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    def close(self) -> None: ...
    def compact(self, collection: str | None) -> None: ...
    def count(
        self, collection: str, filter: typing.Any | None, timeout_ms: typing.SupportsInt | typing.SupportsIndex, level: str
    ) -> int: ...
    def create_collection(
        self,
        name: str,
        dimension: typing.SupportsInt | typing.SupportsIndex,
        metric: str,
        index: str,
        index_params: dict[str, typing.Any] | None,
        exist_ok: bool,
        replication_factor: typing.SupportsInt | typing.SupportsIndex,
        timeout_ms: typing.SupportsInt | typing.SupportsIndex,
    ) -> None: ...
    def delete(
        self,
        collection: str,
        ids: list[typing.Any] | None,
        filter: typing.Any | None,
        timeout_ms: typing.SupportsInt | typing.SupportsIndex,
        level: str,
    ) -> tuple[typing.Any, ...]: ...
    def describe(
        self, name: str, timeout_ms: typing.SupportsInt | typing.SupportsIndex, level: str
    ) -> dict[str, typing.Any]: ...
    def devices(self) -> list[typing.Any]: ...
    def drop_collection(self, name: str, timeout_ms: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    def flush(self, collection: str | None) -> None: ...
    def get(
        self, collection: str, ids: list[typing.Any], timeout_ms: typing.SupportsInt | typing.SupportsIndex, level: str
    ) -> tuple[typing.Any, ...]: ...
    def list_collections(self, timeout_ms: typing.SupportsInt | typing.SupportsIndex) -> list[str]: ...
    def plan_collection(
        self, name: str, k: typing.SupportsInt | typing.SupportsIndex, n: typing.SupportsInt | typing.SupportsIndex
    ) -> None: ...
    def progress(self) -> tuple[typing.Any, ...]: ...
    def prune_archive(self, keep: typing.SupportsInt | typing.SupportsIndex) -> int: ...
    def rebalance(self) -> bool: ...
    def remove_device(self, place: str) -> None: ...
    def replace_device(self, old: str, place: str) -> None: ...
    def restore_progress(self) -> tuple[typing.Any, ...]: ...
    def retrievability(self, collection: str) -> dict[str, typing.Any]: ...
    def scroll(
        self,
        collection: str,
        filter: typing.Any | None,
        after: str | None,
        batch_size: typing.SupportsInt | typing.SupportsIndex,
        on_damage: str,
        timeout_ms: typing.SupportsInt | typing.SupportsIndex,
        level: str,
    ) -> Cursor: ...
    def search(
        self,
        collection: str,
        queries: numpy.ndarray,
        top_k: typing.SupportsInt | typing.SupportsIndex,
        metric: str | None,
        filter: typing.Any | None,
        include_vectors: bool,
        ef: typing.SupportsInt | typing.SupportsIndex | None,
        nprobe: typing.SupportsInt | typing.SupportsIndex | None,
        exact: bool,
        recall: typing.SupportsFloat | typing.SupportsIndex | None,
        timeout_ms: typing.SupportsInt | typing.SupportsIndex,
        level: str,
    ) -> SearchReply: ...
    def snapshot(self, path: str) -> None: ...
    def status(self, detail: bool) -> dict[str, typing.Any]: ...
    def update(
        self,
        collection: str,
        id: str,
        vector: numpy.ndarray | None,
        metadata: dict[str, typing.Any] | None,
        if_version: typing.SupportsInt | typing.SupportsIndex | None,
        timeout_ms: typing.SupportsInt | typing.SupportsIndex,
        level: str,
    ) -> tuple[typing.Any, ...]: ...
    def verify(self, collection: str) -> list[str]: ...
    def wait_restored(self, timeout_ms: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    def write(
        self,
        collection: str,
        vectors: numpy.ndarray,
        ids: list[typing.Any] | None,
        metadata: list[typing.Any] | None,
        mode: str,
        timeout_ms: typing.SupportsInt | typing.SupportsIndex,
        level: str,
    ) -> tuple[typing.Any, ...]: ...

class RemoteCursor:
    """
    Walks a snapshot pinned on a node.
    """
    def next(self) -> typing.Any:
        """
        (ids, vectors [m, d], metadata, versions), or None at the end.
        """

class RemoteStore:
    """
    A cluster; safe to share between threads.
    """
    def __init__(self, nodes: collections.abc.Sequence[str], tls: tuple[str, str, str] | None) -> None: ...
    def close(self) -> None: ...
    def compact(self, collection: str | None) -> None: ...
    def count(
        self, collection: str, filter: typing.Any | None, timeout_ms: typing.SupportsInt | typing.SupportsIndex, level: str
    ) -> int: ...
    def create_collection(
        self,
        name: str,
        dimension: typing.SupportsInt | typing.SupportsIndex,
        metric: str,
        index: str,
        index_params: dict[str, typing.Any] | None,
        exist_ok: bool,
        replication_factor: typing.SupportsInt | typing.SupportsIndex,
        timeout_ms: typing.SupportsInt | typing.SupportsIndex,
    ) -> None: ...
    def delete(
        self,
        collection: str,
        ids: list[typing.Any] | None,
        filter: typing.Any | None,
        timeout_ms: typing.SupportsInt | typing.SupportsIndex,
        level: str,
    ) -> tuple[typing.Any, ...]: ...
    def describe(
        self, name: str, timeout_ms: typing.SupportsInt | typing.SupportsIndex, level: str
    ) -> dict[str, typing.Any]: ...
    def drop_collection(self, name: str, timeout_ms: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    def flush(self, collection: str | None) -> None: ...
    def get(
        self, collection: str, ids: list[typing.Any], timeout_ms: typing.SupportsInt | typing.SupportsIndex, level: str
    ) -> tuple[typing.Any, ...]: ...
    def list_collections(self, timeout_ms: typing.SupportsInt | typing.SupportsIndex) -> list[str]: ...
    def progress(self) -> tuple[typing.Any, ...]: ...
    def scroll(
        self,
        collection: str,
        filter: typing.Any | None,
        after: str | None,
        batch_size: typing.SupportsInt | typing.SupportsIndex,
        on_damage: str,
        timeout_ms: typing.SupportsInt | typing.SupportsIndex,
        level: str,
    ) -> RemoteCursor: ...
    def search(
        self,
        collection: str,
        queries: numpy.ndarray,
        top_k: typing.SupportsInt | typing.SupportsIndex,
        metric: str | None,
        filter: typing.Any | None,
        include_vectors: bool,
        ef: typing.SupportsInt | typing.SupportsIndex | None,
        nprobe: typing.SupportsInt | typing.SupportsIndex | None,
        exact: bool,
        recall: typing.SupportsFloat | typing.SupportsIndex | None,
        timeout_ms: typing.SupportsInt | typing.SupportsIndex,
        level: str,
    ) -> SearchReply: ...
    def snapshot(self, path: str) -> None: ...
    def status(self, detail: bool) -> dict[str, typing.Any]: ...
    def update(
        self,
        collection: str,
        id: str,
        vector: numpy.ndarray | None,
        metadata: dict[str, typing.Any] | None,
        if_version: typing.SupportsInt | typing.SupportsIndex | None,
        timeout_ms: typing.SupportsInt | typing.SupportsIndex,
        level: str,
    ) -> tuple[typing.Any, ...]: ...
    def verify(self, collection: str) -> list[str]: ...
    def write(
        self,
        collection: str,
        vectors: numpy.ndarray,
        ids: list[typing.Any] | None,
        metadata: list[typing.Any] | None,
        mode: str,
        timeout_ms: typing.SupportsInt | typing.SupportsIndex,
        level: str,
    ) -> tuple[typing.Any, ...]: ...

class Chain:
    """
    Roots of collections on Solana; safe to share.
    """
    def __init__(
        self,
        rpc_url: str,
        program_id: str,
        commitment: str,
        priority_microlamports: typing.SupportsInt | typing.SupportsIndex,
        anchor_mode: str,
        wallet: Keyring | None,
        creator: str | None,
    ) -> None: ...
    def address(self, collection_id: bytes) -> str:
        """
        The account of a collection's record, in base58.
        """
    def balance(self) -> int:
        """
        Lamports of the wallet, or of the creator.
        """
    def cancel(self) -> None:
        """
        Ends a call that waits, and refuses later ones.
        """
    def creator(self) -> str:
        """
        The key under which records are, in base58.
        """
    def deploy(self, program_key: Keyring, program: bytes) -> dict[str, typing.Any]:
        """
        Puts the program onto the chain.
        """
    def history(self, collection_id: bytes, limit: typing.SupportsInt | typing.SupportsIndex) -> list[typing.Any]:
        """
        Roots that were posted, newest first.
        """
    def post(
        self, collection_id: bytes, root: bytes, leaf_count: typing.SupportsInt | typing.SupportsIndex, only_grows: bool
    ) -> dict[str, typing.Any]:
        """
        Puts a root on the chain, unless it is there.
        """
    def read(self, collection_id: bytes) -> typing.Any:
        """
        The root on the chain, or None.
        """

def audit_prove(directory: str, index: typing.SupportsInt | typing.SupportsIndex) -> dict[str, typing.Any]:
    """
    An entry, the hashes that prove it, and the signed checkpoint that they lead to.
    """

def audit_read(
    directory: str,
    offset: typing.SupportsInt | typing.SupportsIndex,
    index: typing.SupportsInt | typing.SupportsIndex,
    count: typing.SupportsInt | typing.SupportsIndex,
) -> tuple[typing.Any, ...]:
    """
    (entries, next offset, next index) from a place in the log; offset 0 and index 0 are its beginning.
    """

def audit_verify(
    directory: str, devices: collections.abc.Sequence[str], tls: tuple[str, str, str] | None
) -> dict[str, typing.Any]:
    """
    Checks the audit log in a directory, and what devices remember of it; what was found, problems first of all.
    """

def chain_attach(store: Store, chain: Chain, root_of: str) -> None:
    """
    From now on the roots of a store's collections follow its writes to the chain.
    """

def chain_frames(store: Store, collection: str) -> list[typing.Any]:
    """
    (hlc, shard, root, rows) of every batch, in the order of the tree.
    """

def chain_prove(
    store: Store, collection: str, id: str, frame_count: typing.SupportsInt | typing.SupportsIndex | None
) -> dict[str, typing.Any]:
    """
    That a record is under the root of all frames, or of the first frame_count.
    """

def chain_root(
    store: Store, collection: str, root_of: str, frame_count: typing.SupportsInt | typing.SupportsIndex | None
) -> dict[str, typing.Any]:
    """
    A collection's identity on a chain, its root and leaves.
    """

def error_table() -> list[typing.Any]:
    """
    Rows (name, number, outcome, HTTP status, Python class, sentence).
    """

def forbid_core_dumps() -> None:
    """
    This process leaves no core dump, and no other one of the same user may read its memory.
    """

def instruction_set() -> str:
    """
    The kernels that this CPU runs.
    """

def is_in_revocation_snapshot(path: str, ca_file: str, certificate: str) -> bool:
    """
    Whether the certificate of a PEM file is in such a file.
    """

def issue_certificate(
    ca_directory: str,
    name: str,
    hosts: collections.abc.Sequence[str],
    role: str,
    days: typing.SupportsInt | typing.SupportsIndex,
    directory: str,
) -> tuple[str, str]:
    """
    Writes <name>.crt.pem and <name>.key.pem; returns their paths. days below 1: expired already.
    """

def issued_certificates(ca_directory: str) -> list[dict[str, typing.Any]]:
    """
    What read_certificate says, of all that the CA issued, oldest first.
    """

def make_ca(directory: str, organisation: str) -> tuple[str, str]:
    """
    Writes ca.pem and ca.key.pem; returns their paths. Nothing is overwritten.
    """

def make_wallet() -> bytes:
    """
    The 64 bytes of a new wallet: a random seed and its public key.
    """

def read_certificate(path: str) -> dict[str, typing.Any]:
    """
    What the first certificate of a PEM file says.
    """

def read_revocations(path: str) -> list[dict[str, typing.Any]]:
    """
    The entries of a file; none when it is absent.
    """

def renew_certificate(
    ca_directory: str, name: str, directory: str, days: typing.SupportsInt | typing.SupportsIndex
) -> tuple[str, str]:
    """
    A new key and certificate in the place of the old ones; returns their paths. days 0: as before.
    """

def revoke_certificates(ca_directory: str, serials: collections.abc.Sequence[str], reason: str) -> list[dict[str, typing.Any]]:
    """
    Signs that they count no more; returns the new entries.
    """

def set_error_classes(classes: dict[str, typing.Any]) -> None:
    """
    Registers the exception class for each class name of the error table.
    """

def vector_bytes_copied() -> int:
    """
    Bytes of vectors copied from NumPy into log buffers, in this process.
    """

def version() -> str:
    """
    The version of the package.
    """

def write_revocation_snapshot(ca_directory: str, path: str) -> int:
    """
    All revoked serials as one small signed file; returns how many there are.
    """

_error_classes: dict[str, typing.Any] = {
    "CollectionExists": dvesp.errors.CollectionExists,
    "CollectionNotFound": dvesp.errors.CollectionNotFound,
    "Corruption": dvesp.errors.Corruption,
    "DimensionMismatch": dvesp.errors.DimensionMismatch,
    "Error": dvesp.errors.Error,
    "IdExists": dvesp.errors.IdExists,
    "IdNotFound": dvesp.errors.IdNotFound,
    "IntegrityError": dvesp.errors.IntegrityError,
    "InvalidArgument": dvesp.errors.InvalidArgument,
    "PermissionDenied": dvesp.errors.PermissionDenied,
    "Sealed": dvesp.errors.Sealed,
    "StorageFull": dvesp.errors.StorageFull,
    "StoreLocked": dvesp.errors.StoreLocked,
    "Timeout": dvesp.errors.Timeout,
    "Unavailable": dvesp.errors.Unavailable,
    "VersionConflict": dvesp.errors.VersionConflict,
}

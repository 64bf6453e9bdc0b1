"""The methods that change records: ``insert``, ``upsert``, ``update``, ``delete``."""

from __future__ import annotations

from typing import Any

from . import arguments as check
from .convert import as_matrix, as_row
from .errors import InvalidArgument, Timeout
from .records import columns_of, is_records
from .results import DeleteResult, InsertResult, UpdateResult
from .session import Session

__all__ = ["Writing"]

VERSION_MAX = 2**63 - 1


class Writing(Session):
    """Every write is all or nothing, and durable and visible to the next search when it returns."""

    def insert(
        self,
        vectors: Any,
        metadata: Any = None,
        ids: Any = None,
        collection: str = "default",
        *,
        consistency_level: str | None = None,
        timeout_ms: int = 5000,
    ) -> InsertResult:
        """Stores a batch, all or nothing; returns once it is durable and visible to the next search.

        Args:
            vectors: ``[n, d]`` numbers, n up to 100,000; float32 C-contiguous is fastest, anything else is converted
                once.
            metadata: a list of n dicts (JSON values) or None.
            ids: n different str of 1..512 UTF-8 bytes; None: fresh UUIDv4.
            collection: created when absent (dimension of the vectors, cosine, hnsw).

        Returns:
            The ids in request order and the Merkle root of the batch. An identical retry writes nothing and answers
            the same.

        Raises:
            InvalidArgument: anything wrong with the input; nothing was written.
            DimensionMismatch: the collection has another dimension.
            IdExists: an id is stored with other content; nothing was written.
            StorageFull, Timeout (carries ``vector_ids``), Corruption.
        """
        matrix = as_matrix(vectors, "vectors")
        return self._write(matrix, metadata, ids, "insert", self._common(collection, consistency_level, timeout_ms))

    def upsert(
        self,
        records: Any = None,
        metadata: Any = None,
        ids: Any = None,
        collection: str = "default",
        *,
        vectors: Any = None,
        consistency_level: str | None = None,
        timeout_ms: int = 5000,
    ) -> InsertResult:
        """Stores or replaces records by id, all or nothing.

        Args:
            records: one ``{"id", "vector", "metadata"}``, a list of them, or vectors ``[n, d]`` with ``ids``.
            metadata, ids, collection: as `insert`, for vectors; ``ids`` are required then.
            vectors: the same as ``records``, for those who write ``vectors=``.

        Raises: as `insert`, but never ``IdExists``.

        Example:
            >>> store.upsert({"id": "a", "vector": [0.1, 0.2], "metadata": {"kind": "note"}}, collection="notes")
        """
        common = self._common(collection, consistency_level, timeout_ms)
        if (records is None) == (vectors is None):
            raise InvalidArgument("upsert takes either records or vectors (with ids): give exactly one of them")
        rows = vectors if records is None else records
        if is_records(rows):
            if metadata is not None or ids is not None:
                raise InvalidArgument("metadata and ids go with vectors; records carry their own: leave the arguments out")
            ids, rows, metadata = columns_of(rows)
        elif ids is None:
            raise InvalidArgument("ids is None: upsert replaces by id, so give one for each vector (insert makes fresh ones)")
        return self._write(as_matrix(rows, "vectors"), metadata, ids, "upsert", common)

    def _write(self, matrix: Any, metadata: Any, ids: Any, mode: str, common: tuple[str, str, int]) -> InsertResult:
        collection, level, timeout_ms = common
        row_count = matrix.shape[0]
        rows = check.check_metadata(metadata, row_count)
        names = None if ids is None else check.check_ids(ids)
        if names is not None and len(names) != row_count:
            raise InvalidArgument(f"ids has {len(names)} elements but there are {row_count} vectors: give one for each")
        vector_ids, root, timestamp_ms, status, nodes = self._native.write(
            collection, matrix, names, rows, mode, timeout_ms, level
        )
        if status == "unknown":
            raise Timeout(root, vector_ids=vector_ids)
        return InsertResult(status, vector_ids, nodes, root, timestamp_ms)

    def update(
        self,
        id: str,
        vector: Any = None,
        metadata: dict[str, Any] | None = None,
        if_version: int | None = None,
        collection: str = "default",
        *,
        consistency_level: str | None = None,
        timeout_ms: int = 5000,
    ) -> UpdateResult:
        """Replaces the vector, the metadata (as a whole), or both, of one record; its version grows by 1.

        Args:
            id: of a record that is there.
            vector: ``[d]`` numbers, or None to keep it.
            metadata: a dict, or None to keep it.
            if_version: only if the record has this version now.

        Raises:
            IdNotFound: there is no such record. VersionConflict: it has another version. InvalidArgument: neither
                vector
            nor metadata, or wrong input. CollectionNotFound, DimensionMismatch, StorageFull, Timeout.
        """
        name, level, timeout_ms = self._common(collection, consistency_level, timeout_ms)
        if not isinstance(id, str):
            raise InvalidArgument(f"id is {id!r} ({type(id).__name__}) but must be a str")
        if vector is None and metadata is None:
            raise InvalidArgument("vector and metadata are both None: give what to change")
        if metadata is not None and not isinstance(metadata, dict):
            raise InvalidArgument(
                f"metadata is {metadata!r} ({type(metadata).__name__}) but must be a dict, or None to keep it"
            )
        row = None if vector is None else as_row(vector, "vector")
        wanted = None if if_version is None else check.check_int(if_version, "if_version", 1, VERSION_MAX)
        version, timestamp_ms, status, nodes = self._native.update(name, id, row, metadata, wanted, timeout_ms, level)
        return UpdateResult(status, version, nodes, timestamp_ms)

    def delete(
        self,
        ids: Any = None,
        filter: dict[str, Any] | None = None,
        collection: str = "default",
        *,
        consistency_level: str | None = None,
        timeout_ms: int = 5000,
    ) -> DeleteResult:
        """Deletes records by id (one str or several), by filter, or those of the ids that also match the filter.

        Returns:
            How many were there; unknown ids are not counted.

        Raises:
            InvalidArgument: neither ids nor filter, or an empty filter, which would match everything.
            CollectionNotFound, StorageFull, Timeout.
        """
        name, level, timeout_ms = self._common(collection, consistency_level, timeout_ms)
        conditions = check.check_filter(filter)
        if ids is None and not conditions:
            raise InvalidArgument("ids and filter are both missing: say what to delete (drop_collection removes everything)")
        names = None if ids is None else check.check_ids(ids, single=True)
        deleted, timestamp_ms, status, nodes = self._native.delete(name, names, conditions or None, timeout_ms, level)
        return DeleteResult(status, deleted, nodes, timestamp_ms)

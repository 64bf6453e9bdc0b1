"""`DvespDocumentStore`: Haystack documents as records of one collection (``documents.py`` says how)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Self

from haystack import Document, default_from_dict, default_to_dict
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy

from ...aio import AsyncVectorStore
from ...errors import IdExists, IdNotFound, InvalidArgument, VersionConflict
from ...store import VectorStore
from ..shared import EVERYTHING, BoundCollection, similarity
from .coroutines import Coroutines
from .documents import EMBEDDED, document_of, payload_of, vectors_of
from .filters import store_filter
from .overview import Overview

__all__ = ["DvespDocumentStore"]

COLLECTION = "haystack"
EMBEDDING_DIM = 768  # of Haystack's default embedder, as its other stores assume
ATTEMPTS_MAX = 16  # of a write that another writer gets in the way of


class DvespDocumentStore(Overview, Coroutines):
    """Documents of one collection of a store: embedded, in a cluster, or sealed.

    Args:
        store: an open `VectorStore`, which stays open when this object is closed; such a document store has no ``to_dict``.
        path: of a store to open instead; with neither, one in memory.
        nodes: addresses ``"HOST:PORT"`` of a cluster to open instead.
        collection: made by the first document.
        embedding_dim: numbers in an embedding, 1..4096; documents without one are stored, too.
        metric: ``"cosine"``, ``"l2"`` or ``"dot_product"``; None: the collection's, cosine for a new one.
        index, index_params: of a collection that is made, as `VectorStore.create_collection`.

    Embeddings come back as float32. Documents come in the order of their ids. Calls of the coroutines run in threads.

    Example:
        >>> document_store = DvespDocumentStore(path="./my-store", embedding_dim=384)
        >>> document_store.write_documents(documents, policy=DuplicatePolicy.OVERWRITE)
        >>> DvespEmbeddingRetriever(document_store).run(query_embedding=vector, top_k=3)["documents"]
    """

    def __init__(
        self,
        store: VectorStore | AsyncVectorStore | None = None,
        path: str | os.PathLike[str] | None = None,
        nodes: list[str] | None = None,
        collection: str = COLLECTION,
        embedding_dim: int = EMBEDDING_DIM,
        metric: str | None = None,
        index: str = "hnsw",
        index_params: dict[str, Any] | None = None,
    ) -> None:
        if nodes is not None and (store is not None or path is not None):
            raise InvalidArgument("nodes together with store or path: a document store is in one place, leave the others out")
        self._settings = {
            "path": None if path is None else os.fspath(path),
            "nodes": nodes,
            "collection": collection,
            "embedding_dim": embedding_dim,
            "metric": metric,
            "index": index,
            "index_params": index_params,
        }
        self._was_handed_in = store is not None
        self._dimension = embedding_dim
        opened = store if nodes is None else VectorStore(nodes=nodes)
        self._collection = BoundCollection(opened, path, collection, metric, index, index_params)
        self._opened_nodes = self._collection.store if nodes is not None else None

    @property
    def store(self) -> VectorStore:
        """The store itself."""
        return self._collection.store

    def to_dict(self) -> dict[str, Any]:
        """How this was constructed, for a pipeline's file.

        Raises:
            InvalidArgument: an open store was handed in, which no file can hold: use ``path`` or ``nodes``.
        """
        if self._was_handed_in:
            raise InvalidArgument("store: an open store cannot be written to a pipeline's file; construct with path or nodes")
        described: dict[str, Any] = default_to_dict(self, **self._settings)
        return described

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The document store that `to_dict` described."""
        made: Self = default_from_dict(cls, data)
        return made

    def close(self) -> None:
        """Closes the store if this object opened it (``path``, ``nodes``, or memory)."""
        self._collection.close()
        if self._opened_nodes is not None:
            self._opened_nodes.close()

    # --- the protocol ---

    def count_documents(self) -> int:
        """How many documents there are."""
        return self._collection.count()

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """The documents that match, with their embeddings, in the order of ids.

        Raises:
            FilterError: a filter that is wrong.
        """
        return [document_of(record) for record in self._collection.records(store_filter(filters))]

    def write_documents(self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE) -> int:
        """Stores documents; returns how many were written.

        Args:
            documents: with or without embeddings.
            policy: FAIL (and NONE): nothing is written if an id is there; SKIP: those are left out; OVERWRITE: they are
                replaced. An id twice in ``documents`` counts as there: the first is kept, or with OVERWRITE the last.

        Raises:
            ValueError: no list of documents. DuplicateDocumentError. DimensionMismatch: an embedding of another length.
        """
        if not isinstance(documents, list) or not all(isinstance(document, Document) for document in documents):
            raise InvalidArgument("documents must be a list of haystack.Document")
        if policy is DuplicatePolicy.OVERWRITE:
            self._write("upsert", {document.id: document for document in documents}.values())
            return len(documents)
        first = {document.id: document for document in reversed(documents)}
        if policy is not DuplicatePolicy.SKIP and len(first) < len(documents):
            raise DuplicateDocumentError("an id is twice in documents: choose DuplicatePolicy.SKIP or OVERWRITE")
        for _ in range(ATTEMPTS_MAX):
            there = {record.id for record in self._collection.get(list(first)) if record is not None}
            if there and policy is not DuplicatePolicy.SKIP:
                raise DuplicateDocumentError(f"id {min(there)!r} is in the document store already ({len(there)} in all)")
            missing = [document for id, document in first.items() if id not in there]
            try:
                self._write("insert", missing)
            except IdExists:  # written by somebody else in between
                continue
            return len(missing)
        raise DuplicateDocumentError("others write the same ids all the time: nothing was written")

    def delete_documents(self, document_ids: list[str]) -> None:
        """Deletes by id; unknown ids are no error."""
        self._collection.delete(document_ids)

    # --- beyond the protocol, as Haystack's other stores have it ---

    def delete_all_documents(self, recreate_index: bool = False) -> None:
        """Deletes everything; with ``recreate_index`` the collection, too, which the next document makes anew."""
        if recreate_index:
            self._collection.drop()
        else:
            self._collection.delete(filter=EVERYTHING)

    def delete_by_filter(self, filters: dict[str, Any]) -> int:
        """Deletes what matches, returns how many that was.

        Raises:
            InvalidArgument: an empty filter: `delete_all_documents` removes everything.
        """
        condition = store_filter(filters)
        if condition is None:
            raise InvalidArgument("filters is empty: say what to delete (delete_all_documents removes everything)")
        return self._collection.delete(filter=condition)

    def update_by_filter(self, filters: dict[str, Any], meta: dict[str, Any]) -> int:
        """Sets members of ``meta`` in every document that matches; returns how many there were.

        Each document changes by itself: one that another writer changes meanwhile is looked at again, and loses nothing.
        """
        condition = store_filter(filters) or {}
        pending: dict[str, Any] = {}
        updated = 0
        for _ in range(ATTEMPTS_MAX):
            conflicts = []
            for record in self._collection.records({"$and": [condition, pending]}):
                payload = dict(record.metadata or {})
                payload["meta"] = {**(payload.get("meta") or {}), **meta}
                name = self._collection.name
                try:
                    self.store.update(record.id, metadata=payload, if_version=record.version, collection=name)
                    updated += 1
                except (VersionConflict, IdNotFound):
                    conflicts.append(record.id)
            if not conflicts:
                return updated
            pending = {"id": {"$in": conflicts}}
        raise VersionConflict(f"{len(conflicts)} documents change all the time and were not updated; {updated} were")

    def search(
        self,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        return_embedding: bool = False,
        params: dict[str, Any] | None = None,
    ) -> list[Document]:
        """The documents nearest to an embedding, with scores that are higher for nearer ones; what retrievers call.

        Args:
            query_embedding: ``embedding_dim`` numbers.
            filters: as `filter_documents`.
            top_k: 1..1000.
            return_embedding: whether documents carry theirs.
            params: as `VectorStore.search`.
        """
        condition = store_filter(filters)
        embedded = EMBEDDED if condition is None else {"$and": [condition, EMBEDDED]}
        matches = self._collection.search(query_embedding, top_k, embedded, params, return_embedding)
        metric = self._collection.metric()
        return [document_of(match, similarity(metric, match.distance)) for match in matches]

    def _write(self, mode: str, documents: Iterable[Document]) -> None:
        rows = list(documents)
        vectors = vectors_of(rows, self._dimension)
        self._collection.write(mode, [row.id for row in rows], vectors, [payload_of(row) for row in rows])

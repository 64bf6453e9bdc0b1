"""Haystack documents as records, and back.

A record's metadata are the document's members ``id``, ``content``, ``meta`` (as it is, so filters reach into it), ``blob``
(its bytes as Base64) and ``sparse_embedding``, those that are None left out. A document without an embedding has a placeholder
as its vector, since every record has one, and the member ``unembedded``, by which searches leave it out.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from haystack import Document
from haystack.dataclasses import ByteStream
from numpy.typing import NDArray

from ...errors import DimensionMismatch
from ...results import Record
from ...search_results import Match

__all__ = ["EMBEDDED", "document_of", "payload_of", "vectors_of"]

UNEMBEDDED = "unembedded"
EMBEDDED: dict[str, Any] = {UNEMBEDDED: {"$exists": False}}
_STORED = ("id", "content", "meta", "sparse_embedding")


def payload_of(document: Document) -> dict[str, Any]:
    """A document as a record's metadata."""
    members = document.to_dict(flatten=False)
    payload = {name: members[name] for name in _STORED if members.get(name) is not None}
    if document.blob is not None:
        blob = document.blob
        data = base64.b64encode(blob.data).decode("ascii")
        payload["blob"] = {"data": data, "meta": blob.meta, "mime_type": blob.mime_type}
    if document.embedding is None:
        payload[UNEMBEDDED] = True
    return payload


def vectors_of(documents: list[Document], dimension: int) -> NDArray[np.float32]:
    """The embeddings as rows; a placeholder of length 1 for a document that has none.

    Raises:
        DimensionMismatch: an embedding of another length, naming its document.
    """
    rows = np.zeros((len(documents), dimension), np.float32)
    rows[:, 0] = 1.0
    for row, document in enumerate(documents):
        if document.embedding is not None:
            if len(document.embedding) != dimension:
                raise DimensionMismatch(
                    f"document {document.id!r} has an embedding of {len(document.embedding)} numbers but the store was "
                    f"constructed with embedding_dim={dimension}: give the dimension of your embedder"
                )
            rows[row] = document.embedding
    return rows


def document_of(record: Record | Match, score: float | None = None) -> Document:
    """A record as a document, with the embedding that it was written with; of a match, if the search returned vectors."""
    payload = record.metadata or {}
    blob = payload.get("blob")
    if blob is not None:
        blob = {**blob, "data": base64.b64decode(blob["data"])}
    embedding = None if record.vector is None or payload.get(UNEMBEDDED) else record.vector.tolist()
    members = {name: payload[name] for name in _STORED if name in payload}
    return Document.from_dict({"id": record.id, **members, "blob": _plain(blob), "embedding": embedding, "score": score})


def _plain(blob: dict[str, Any] | None) -> dict[str, Any] | None:
    """A blob as `Document.from_dict` takes it."""
    return None if blob is None else ByteStream(**blob).to_dict()

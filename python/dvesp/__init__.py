"""dvesp: a vector database in a directory. ``VectorStore`` is where everything starts.

Example:
    >>> import numpy as np
    >>> from dvesp import VectorStore
    >>> with VectorStore("./my-store") as store:
    ...     store.insert(vectors=np.random.rand(1000, 384).astype("float32"), collection="embeddings")
    ...     store.search(query_vector=np.random.rand(384).astype("float32"), collection="embeddings", top_k=10)
"""

from ._native import version as _version
from .aio import AsyncCollection, AsyncVectorStore
from .chain import Solana
from .collection import Collection
from .deployment import TLS
from .errors import (
    CollectionExists,
    CollectionNotFound,
    Corruption,
    DimensionMismatch,
    Error,
    IdExists,
    IdNotFound,
    IntegrityError,
    InvalidArgument,
    PermissionDenied,
    Sealed,
    StorageFull,
    StoreLocked,
    Timeout,
    Unavailable,
    VersionConflict,
)
from .keyring import Keyring
from .results import CollectionInfo, DeleteResult, DeviceInfo, InsertResult, Record, Retrievability, UpdateResult, VerifyReport
from .search_results import BatchSearchResult, Match, Metrics, SearchResult
from .store import VectorStore
from .targets import IPFS, S3, Directory, ShadowDrive

__version__ = _version()

__all__ = [
    "IPFS",
    "S3",
    "TLS",
    "AsyncCollection",
    "AsyncVectorStore",
    "BatchSearchResult",
    "Collection",
    "CollectionExists",
    "CollectionInfo",
    "CollectionNotFound",
    "Corruption",
    "DeleteResult",
    "DeviceInfo",
    "DimensionMismatch",
    "Directory",
    "Error",
    "IdExists",
    "IdNotFound",
    "InsertResult",
    "IntegrityError",
    "InvalidArgument",
    "Keyring",
    "Match",
    "Metrics",
    "PermissionDenied",
    "Record",
    "Retrievability",
    "Sealed",
    "SearchResult",
    "ShadowDrive",
    "Solana",
    "StorageFull",
    "StoreLocked",
    "Timeout",
    "Unavailable",
    "UpdateResult",
    "VectorStore",
    "VerifyReport",
    "VersionConflict",
    "__version__",
]

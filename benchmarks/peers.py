"""Embedded stores behind one interface, so that `embedded_peers.py` asks all of them for the same work.

Each peer is set up as its own guide advises: cosine, field of the filter indexed where the store can, durable writes where
it offers them. Row numbers are the ids (dvesp and chromadb take them as text); answers are (row number, distance) pairs.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

Answer = list[tuple[int, float]]
TOP_K = 10


class Peer:
    """One store in one directory. `distribution` is its package; `insert` returns once the store has acknowledged."""

    name = ""
    distribution = ""
    durable = ""  # what an acknowledged write survives, as the store's guide says
    setting = "defaults"

    def __init__(self, path: Path, dimension: int) -> None:
        self.path, self.dimension = path, dimension

    def create(self) -> None:
        """Makes an empty store and leaves it open."""
        raise NotImplementedError

    def open(self) -> None:
        """Opens the store that is there."""
        raise NotImplementedError

    def insert(self, numbers: range, rows: Any, ranks: list[int]) -> None:
        """Stores rows float32 ``[n, d]`` under row numbers, each with an integer field `rank`."""
        raise NotImplementedError

    def finish(self) -> None:
        """Builds whatever makes searches fast."""

    def search(self, query: Any, rank_below: int | None = None) -> Answer:
        """The ten nearest rows by cosine, among those with rank < rank_below."""
        raise NotImplementedError

    def close(self) -> None:
        """Releases the store."""


class Dvesp(Peer):
    """This project, default settings."""

    name = distribution = "dvesp"
    durable = "yes: fdatasync before the acknowledgement"

    def create(self) -> None:
        """See Peer."""
        self.open()
        self._store.create_collection("c", self.dimension)

    def open(self) -> None:
        """See Peer."""
        from dvesp import VectorStore

        self._store = VectorStore(self.path, progress=False)

    def insert(self, numbers: range, rows: Any, ranks: list[int]) -> None:
        """See Peer."""
        self._store.insert(rows, [{"rank": rank} for rank in ranks], [str(n) for n in numbers], "c", timeout_ms=60_000)

    def finish(self) -> None:
        """See Peer."""
        self._store.compact()

    def search(self, query: Any, rank_below: int | None = None) -> Answer:
        """See Peer."""
        filter = None if rank_below is None else {"rank": {"$lt": rank_below}}
        found = self._store.search(query, TOP_K, filter=filter, include_vectors=False, collection="c")
        return [(int(match.id), match.distance) for match in found]

    def close(self) -> None:
        """See Peer."""
        self._store.close()


class QdrantEdge(Peer):
    """Qdrant's engine in the process; the field is indexed and the optimizer run, which builds its graph."""

    name, distribution = "qdrant-edge", "qdrant-edge-py"
    durable = "no: a log without sync; flush() syncs"
    setting = "defaults, rank indexed, optimize()"

    def create(self) -> None:
        """See Peer."""
        import qdrant_edge as edge

        self.path.mkdir(parents=True)
        config = edge.EdgeConfig(vectors=edge.EdgeVectorParams(size=self.dimension, distance=edge.Distance.Cosine))
        self._shard = edge.EdgeShard.create(str(self.path), config)
        self._edge = edge
        self._shard.update(edge.UpdateOperation.create_field_index("rank", edge.PayloadSchemaType.Integer))

    def open(self) -> None:
        """See Peer."""
        import qdrant_edge as edge

        self._edge, self._shard = edge, edge.EdgeShard.load(str(self.path))

    def insert(self, numbers: range, rows: Any, ranks: list[int]) -> None:
        """See Peer."""
        point = self._edge.Point
        points = [point(n, row, {"rank": rank}) for n, row, rank in zip(numbers, rows.tolist(), ranks, strict=True)]
        self._shard.update(self._edge.UpdateOperation.upsert_points(points))

    def finish(self) -> None:
        """See Peer."""
        self._shard.optimize()
        self._shard.flush()

    def search(self, query: Any, rank_below: int | None = None) -> Answer:
        """See Peer."""
        edge, wanted = self._edge, None
        if rank_below is not None:
            wanted = edge.Filter(must=[edge.FieldCondition(key="rank", range=edge.RangeFloat(lt=float(rank_below)))])
        request = edge.QueryRequest(TOP_K, query=edge.Query.Nearest(query.tolist()), filter=wanted)
        return [(point.id, 1 - point.score) for point in self._shard.query(request)]

    def close(self) -> None:
        """See Peer."""
        self._shard.close()


class LanceFlat(Peer):
    """LanceDB without a vector index: exact, by scanning."""

    name, distribution = "lancedb flat", "lancedb"
    durable = "no: files without sync"
    setting = "BTREE on rank"

    def create(self) -> None:
        """See Peer."""
        import lancedb
        import pyarrow as pa

        vector = pa.list_(pa.float32(), self.dimension)
        self._schema = pa.schema([("id", pa.int64()), ("rank", pa.int64()), ("vector", vector)])
        self._table = lancedb.connect(str(self.path)).create_table("c", schema=self._schema)

    def open(self) -> None:
        """See Peer."""
        import lancedb

        self._table = lancedb.connect(str(self.path)).open_table("c")

    def insert(self, numbers: range, rows: Any, ranks: list[int]) -> None:
        """See Peer."""
        import pyarrow as pa

        flat = pa.array(rows.reshape(-1), pa.float32())
        columns = [pa.array(numbers, pa.int64()), pa.array(ranks, pa.int64())]
        vector = pa.FixedSizeListArray.from_arrays(flat, self.dimension)
        self._table.add(pa.Table.from_arrays([*columns, vector], schema=self._schema))

    def finish(self) -> None:
        """See Peer."""
        self._table.optimize()
        self._table.create_scalar_index("rank")

    def search(self, query: Any, rank_below: int | None = None) -> Answer:
        """See Peer."""
        request = self._tuned(self._table.search(query).distance_type("cosine").select(["id", "_distance"]).limit(TOP_K))
        if rank_below is not None:
            request = request.where(f"rank < {rank_below}", prefilter=True)
        found = request.to_arrow()
        return list(zip(found["id"].to_pylist(), found["_distance"].to_pylist(), strict=True))

    def _tuned(self, request: Any) -> Any:
        return request


class LanceHnsw(LanceFlat):
    """LanceDB with its HNSW over scalar-quantized vectors, one partition, re-ranked."""

    name = "lancedb HNSW_SQ"
    setting = "IVF_HNSW_SQ, 1 partition, ef 64, refine_factor 2, BTREE on rank"

    def finish(self) -> None:
        """See Peer."""
        super().finish()
        self._table.create_index(metric="cosine", index_type="IVF_HNSW_SQ", num_partitions=1)

    def _tuned(self, request: Any) -> Any:
        return request.ef(64).refine_factor(2)


class Chroma(Peer):
    """ChromaDB's persistent client: HNSW behind SQLite."""

    name = distribution = "chromadb"
    durable = "yes: SQLite commit; the graph is rebuilt from its log"

    def create(self) -> None:
        """See Peer."""
        self._connect()
        self._collection = self._client.create_collection("rows", configuration={"hnsw": {"space": "cosine"}})

    def open(self) -> None:
        """See Peer."""
        self._connect()
        self._collection = self._client.get_collection("rows")

    def _connect(self) -> None:
        import chromadb

        settings = chromadb.Settings(anonymized_telemetry=False)
        self._client = chromadb.PersistentClient(str(self.path), settings=settings)

    def insert(self, numbers: range, rows: Any, ranks: list[int]) -> None:
        """See Peer."""
        step = self._client.get_max_batch_size()
        for start in range(0, len(rows), step):
            ids = [str(n) for n in numbers[start : start + step]]
            documents = [{"rank": rank} for rank in ranks[start : start + step]]
            self._collection.add(ids=ids, embeddings=rows[start : start + step], metadatas=documents)

    def search(self, query: Any, rank_below: int | None = None) -> Answer:
        """See Peer."""
        where = None if rank_below is None else {"rank": {"$lt": rank_below}}
        found = self._collection.query(query_embeddings=[query], n_results=TOP_K, where=where, include=["distances"])
        return [(int(id), distance) for id, distance in zip(found["ids"][0], found["distances"][0], strict=True)]


class SqliteVec(Peer):
    """SQLite with the vec0 virtual table, which scans; write-ahead log, synced at every commit.

    Through apsw, for not every Python's own sqlite3 module may load extensions.
    """

    name, distribution = "sqlite-vec", "sqlite-vec"
    durable = "yes: SQLite commit, synchronous = FULL"
    setting = "vec0, rank as metadata column, WAL"

    def open(self) -> None:
        """See Peer."""
        import apsw
        import sqlite_vec

        self._connection = apsw.Connection(str(self.path.with_suffix(".db")))
        self._connection.enable_load_extension(True)
        self._connection.load_extension(sqlite_vec.loadable_path())
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute("pragma synchronous = full")

    def create(self) -> None:
        """See Peer."""
        self.open()
        columns = f"embedding float[{self.dimension}] distance_metric=cosine, rank integer"
        self._connection.execute(f"create virtual table c using vec0({columns})")

    def insert(self, numbers: range, rows: Any, ranks: list[int]) -> None:
        """See Peer."""
        with_blobs = zip(numbers, (row.tobytes() for row in rows), ranks, strict=True)
        self._connection.execute("begin")
        self._connection.executemany("insert into c(rowid, embedding, rank) values (?, ?, ?)", with_blobs)
        self._connection.execute("commit")

    def search(self, query: Any, rank_below: int | None = None) -> Answer:
        """See Peer."""
        text = f"select rowid, distance from c where embedding match ? and k = {TOP_K}"
        blob = struct.pack(f"{self.dimension}f", *query)
        if rank_below is None:
            return self._connection.execute(text, (blob,)).fetchall()
        return self._connection.execute(text + " and rank < ?", (blob, rank_below)).fetchall()

    def close(self) -> None:
        """See Peer."""
        self._connection.close()


class Hnswlib(Peer):
    """The bare index: no log, no fields; a filter is a Python function, a save writes the whole file."""

    name = distribution = "hnswlib"
    durable = "no: only what save_index() wrote"
    setting = "M 16, ef_construction 200, ef 64"
    room = 300_000

    def create(self) -> None:
        """See Peer."""
        import hnswlib

        self._index = hnswlib.Index("cosine", self.dimension)
        self._index.init_index(self.room, M=16, ef_construction=200, random_seed=1)
        self._index.set_ef(64)
        self._ranks = np.zeros(self.room, np.int64)

    def open(self) -> None:
        """See Peer."""
        import hnswlib

        self._index = hnswlib.Index("cosine", self.dimension)
        self._index.load_index(str(self.path) + ".bin", max_elements=self.room)
        self._index.set_ef(64)
        self._ranks = np.load(str(self.path) + ".npy")

    def insert(self, numbers: range, rows: Any, ranks: list[int]) -> None:
        """See Peer."""
        self._index.add_items(rows, np.asarray(numbers))
        self._ranks[numbers.start : numbers.stop] = ranks

    def finish(self) -> None:
        """See Peer."""
        self._index.save_index(str(self.path) + ".bin")
        np.save(str(self.path) + ".npy", self._ranks)

    def search(self, query: Any, rank_below: int | None = None) -> Answer:
        """See Peer."""
        ranks = self._ranks
        accepts = None if rank_below is None else lambda label: ranks[label] < rank_below
        try:
            labels, distances = self._index.knn_query(query, TOP_K, num_threads=1, filter=accepts)
        except RuntimeError:  # it found fewer than ten that pass, and then returns none
            return []
        return list(zip(labels[0].tolist(), distances[0].tolist(), strict=True))


PEERS: dict[str, type[Peer]] = {
    peer.name: peer for peer in (Dvesp, QdrantEdge, LanceFlat, LanceHnsw, Chroma, SqliteVec, Hnswlib)
}

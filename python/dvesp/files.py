"""Reads and writes the files that ``dvesp import`` and ``dvesp export`` exchange: JSON lines, NumPy and Parquet.

JSON lines: ``{"id", "vector", "metadata"}`` a line; other members of a line join the metadata. Parquet: a column of
ids, a column of vectors, ``metadata`` as JSON text or struct, other columns join the metadata. NumPy: the matrix
alone, with ids and metadata beside it in ``<file>.jsonl``.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .errors import InvalidArgument
from .results import Record
from .tables import optional_package

__all__ = ["FORMATS", "Batch", "format_of", "read_batches", "row_count_of", "write_records"]

FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".npy": "npy", ".parquet": "parquet", ".pq": "parquet"}
WRITE_ROWS = 10_000


class Batch(NamedTuple):
    """Some rows of a file: vectors as `insert` takes them, ids (None: fresh ones), metadata."""

    vectors: Any
    ids: list[str] | None
    metadata: list[dict[str, Any] | None] | None


def format_of(path: Path) -> str:
    """``"jsonl"``, ``"npy"`` or ``"parquet"``, by the file's suffix.

    Raises:
        InvalidArgument: another suffix.
    """
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise InvalidArgument(f"{path.name} has no known format: the suffix must be one of {', '.join(FORMATS)}")
    return kind


def row_count_of(path: Path) -> int | None:
    """How many rows a file has, where that is cheap to know; for the progress bar."""
    kind = format_of(path)
    if kind == "npy":
        return int(_matrix(path).shape[0])
    if kind == "parquet":
        return int(optional_package("pyarrow.parquet", "Parquet").ParquetFile(path).metadata.num_rows)
    return None


def read_batches(path: Path, batch_rows: int, ids_column: str | None, vector_column: str) -> Iterator[Batch]:
    """The rows of a file, ``batch_rows`` at a time.

    Args:
        path: the file.
        batch_rows: rows of a batch.
        ids_column: the member or column with the ids; None: ``id`` where there is one, else fresh ids.
        vector_column: the member or column with the vectors.

    Raises:
        InvalidArgument: the file is not what its suffix says; the message names the line or column.
        ImportError: Parquet without pyarrow.
    """
    kind = format_of(path)
    if kind == "npy":
        return _npy_batches(path, batch_rows, ids_column)
    if kind == "parquet":
        return _parquet_batches(path, batch_rows, ids_column, vector_column)
    return _jsonl_batches(path, batch_rows, ids_column, vector_column)


def _matrix(path: Path) -> Any:
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise InvalidArgument(f"{path.name} is not a NumPy file of numbers: {error}") from None
    if matrix.ndim != 2:
        raise InvalidArgument(f"{path.name} has shape {list(matrix.shape)} but must hold one matrix [n, d]")
    return matrix


def _beside(path: Path) -> Path:
    """Where the ids and metadata of a NumPy file are."""
    return path.with_name(path.name + ".jsonl")


def _npy_batches(path: Path, batch_rows: int, ids_column: str | None) -> Iterator[Batch]:
    matrix, beside = _matrix(path), _beside(path)
    if not beside.exists():
        for start in range(0, matrix.shape[0], batch_rows):
            yield Batch(np.asarray(matrix[start : start + batch_rows]), None, None)
        return
    start = 0
    for rows in _chunks(_json_lines(beside), batch_rows):
        ids, metadata = _split([row for _, row in rows], ids_column, vector_column=None)
        yield Batch(np.asarray(matrix[start : start + len(rows)]), ids, metadata)
        start += len(rows)
    if start != matrix.shape[0]:
        raise InvalidArgument(f"{beside.name} has {start} lines but {path.name} has {matrix.shape[0]} rows: they must match")


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and object of every line that is not blank."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InvalidArgument(f"{path.name} line {number} is not JSON: {error}") from None
            if not isinstance(row, dict):
                raise InvalidArgument(f"{path.name} line {number} is not a JSON object")
            yield number, row


def _chunks(rows: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(rows)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def _jsonl_batches(path: Path, batch_rows: int, ids_column: str | None, vector_column: str) -> Iterator[Batch]:
    for chunk in _chunks(_json_lines(path), batch_rows):
        for number, row in chunk:
            if vector_column not in row:
                raise InvalidArgument(f"{path.name} line {number} has no {vector_column!r}: name it with --vector-column")
        rows = [row for _, row in chunk]
        ids, metadata = _split(rows, ids_column, vector_column)
        yield Batch([row[vector_column] for row in rows], ids, metadata)


def _split(
    rows: list[dict[str, Any]], ids_column: str | None, vector_column: str | None
) -> tuple[list[str] | None, list[dict[str, Any] | None]]:
    """Ids and metadata of rows; what is neither id, vector nor ``metadata`` joins the metadata."""
    key = ids_column or "id"
    have = [key in row for row in rows]
    if any(have) != all(have) or (ids_column and not all(have)):
        raise InvalidArgument(f"row {have.index(False)} of a batch has no {key!r}: every row needs an id, or none")
    reserved = {key, vector_column, "metadata"}
    metadata = []
    for row in rows:
        rest = {name: value for name, value in row.items() if name not in reserved and name != "version"}
        given = row.get("metadata")
        joined = {**given, **rest} if isinstance(given, dict) else rest
        metadata.append(joined if joined or isinstance(given, dict) else None)
    return ([str(row[key]) for row in rows] if all(have) else None), metadata


def _parquet_batches(path: Path, batch_rows: int, ids_column: str | None, vector_column: str) -> Iterator[Batch]:
    file = optional_package("pyarrow.parquet", "Parquet").ParquetFile(path)
    names = file.schema_arrow.names
    for name in (vector_column, *([ids_column] if ids_column else [])):
        if name not in names:
            raise InvalidArgument(f"{path.name} has no column {name!r} but {', '.join(names)}: name it with an option")
    for batch in file.iter_batches(batch_size=batch_rows):
        rows = batch.drop_columns([vector_column]).to_pylist() if len(names) > 1 else [{}] * batch.num_rows
        for row in rows:
            if isinstance(row.get("metadata"), str):
                row["metadata"] = json.loads(row["metadata"])
        ids, metadata = _split(rows, ids_column, vector_column)
        yield Batch(batch.column(vector_column), ids, metadata)


def write_records(path: Path, records: Iterator[Record], tick: Any) -> int:
    """Writes records to a file of the format its suffix says; returns how many.

    Args:
        path: the file; replaced when it is there.
        records: of ``scroll``.
        tick: called with the number of rows written since the last call.
    """
    writer = {"jsonl": _write_jsonl, "npy": _write_npy, "parquet": _write_parquet}[format_of(path)]
    return writer(path, _ticked(_chunks(records, WRITE_ROWS), tick))


def _ticked(chunks: Iterator[list[Record]], tick: Any) -> Iterator[list[Record]]:
    for chunk in chunks:
        yield chunk
        tick(len(chunk))


def _write_jsonl(path: Path, chunks: Iterator[list[Record]]) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for record in itertools.chain.from_iterable(chunks):
            row = {"id": record.id, "vector": record.vector.tolist(), "metadata": record.metadata}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def _write_npy(path: Path, chunks: Iterator[list[Record]]) -> int:
    vectors = []
    with _beside(path).open("w", encoding="utf-8") as file:
        for record in itertools.chain.from_iterable(chunks):
            vectors.append(record.vector)
            file.write(json.dumps({"id": record.id, "metadata": record.metadata}, ensure_ascii=False) + "\n")
    np.save(path, np.stack(vectors) if vectors else np.empty((0, 0), np.float32))
    return len(vectors)


def _write_parquet(path: Path, chunks: Iterator[list[Record]]) -> int:
    arrow = optional_package("pyarrow", "Parquet")
    parquet = optional_package("pyarrow.parquet", "Parquet")
    count, writer = 0, None
    try:
        for chunk in chunks:
            matrix = np.stack([record.vector for record in chunk])
            columns = {
                "id": arrow.array([record.id for record in chunk], arrow.string()),
                "vector": arrow.FixedSizeListArray.from_arrays(arrow.array(matrix.reshape(-1)), matrix.shape[1]),
                "metadata": arrow.array([_json_or_none(record.metadata) for record in chunk], arrow.string()),
                "version": arrow.array([record.version for record in chunk], arrow.int64()),
            }
            table = arrow.table(columns)
            writer = writer or parquet.ParquetWriter(path, table.schema)
            writer.write_table(table)
            count += len(chunk)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        empty = {"id": arrow.array([], arrow.string()), "vector": arrow.array([], arrow.list_(arrow.float32()))}
        parquet.write_table(arrow.table(empty), path)
    return count


def _json_or_none(metadata: dict[str, Any] | None) -> str | None:
    return None if metadata is None else json.dumps(metadata, ensure_ascii=False)

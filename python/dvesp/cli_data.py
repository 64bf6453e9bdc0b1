"""The commands that move data: ``import`` and ``export``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from .arguments import METRICS
from .cli_common import Commands, UsageError, bar_of, choose_collection, json_argument, open_store, positive_int, print_json
from .errors import InvalidArgument
from .files import format_of, read_batches, row_count_of, write_records

__all__ = ["add_commands"]

BATCH_ROWS = 10_000
TIMEOUT_MS = 60_000


def add_commands(commands: Commands) -> None:
    """Declares ``import`` and ``export``."""
    summary = "Load vectors from a .npy, .parquet or .jsonl file into a collection."
    load = commands.add("import", _import, summary, "dvesp import notes.jsonl --store ./my-store --collection notes")
    load.add_argument("file", type=Path, help="the file; ids and metadata of a .npy file are read from FILE.jsonl")
    load.add_argument("--store", metavar="DIR", required=True, help="the store's directory, created if absent")
    load.add_argument("--collection", default="default", help="created if absent (default: %(default)s)")
    load.add_argument("--metric", choices=METRICS, help="of a new collection (default: cosine)")
    load.add_argument("--ids-column", metavar="NAME", help="default: id where there is one, else fresh ids")
    load.add_argument("--vector-column", metavar="NAME", default="vector", help="default: %(default)s")
    load.add_argument("--batch-size", type=positive_int, default=BATCH_ROWS, help="rows a batch (default: %(default)s)")
    load.add_argument("--upsert", action="store_true", help="replace records whose id is there already")
    summary = "Write a collection to a .jsonl, .npy or .parquet file."
    dump = commands.add("export", _export, summary, "dvesp export notes.parquet --store ./my-store --collection notes")
    dump.add_argument("file", type=Path, help="the file; ids and metadata of a .npy file go to FILE.jsonl")
    dump.add_argument("--store", metavar="DIR", required=True, help="the store's directory, or HOST:PORT,... of a cluster")
    dump.add_argument("--collection", help="default: the one named default, or the only one")
    dump.add_argument("--filter", metavar="JSON", help="""only records that match, such as '{"kind": "note"}'""")


def _check_format(path: Path) -> None:
    try:
        format_of(path)
    except InvalidArgument as error:
        raise UsageError(str(error)) from None


def _import(options: argparse.Namespace) -> None:
    _check_format(options.file)
    if not options.file.is_file():
        raise UsageError(f"there is no file {str(options.file)!r}")
    began = time.perf_counter()
    row_count = 0
    with open_store(options.store, create=True) as store, bar_of(row_count_of(options.file), "import", " rows") as bar:
        for batch in read_batches(options.file, options.batch_size, options.ids_column, options.vector_column):
            if row_count == 0 and options.metric is not None:
                store.create_collection(options.collection, len(batch.vectors[0]), options.metric, exist_ok=True)
            upsert = options.upsert and batch.ids is not None
            write = store.upsert if upsert else store.insert
            write(batch.vectors, batch.metadata, batch.ids, options.collection, timeout_ms=TIMEOUT_MS)
            row_count += len(batch.vectors)
            bar.update(len(batch.vectors))
    if row_count == 0:
        raise InvalidArgument(f"{options.file} has no rows")
    seconds = time.perf_counter() - began
    if options.json:
        print_json({"collection": options.collection, "rows": row_count, "seconds": seconds})
    else:
        rate = row_count / max(seconds, 1e-9)
        print(f"{row_count:,} rows into {options.collection!r} in {seconds:.1f} s ({rate:,.0f} rows/s)")


def _export(options: argparse.Namespace) -> None:
    _check_format(options.file)
    conditions = json_argument(options.filter, "--filter", dict)
    with open_store(options.store) as store:
        name = choose_collection(store, options.collection)
        with bar_of(store.count(name, conditions), "export", " rows") as bar:
            row_count = write_records(options.file, store.scroll(name, conditions, batch_size=BATCH_ROWS), bar.update)
    if options.json:
        print_json({"collection": name, "rows": row_count, "file": str(options.file)})
    else:
        print(f"{row_count:,} rows of {name!r} to {options.file}")

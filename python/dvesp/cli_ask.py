"""The commands that ask: ``demo`` (build a store and ask it) and ``query`` (ask any store)."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from .cli_common import (
    Commands,
    UsageError,
    bar_of,
    choose_collection,
    json_argument,
    open_store,
    positive_int,
    print_json,
    print_table,
    say,
)
from .demo import COLLECTION, QUESTIONS, build, collect, embed_query, is_built, takes_text
from .errors import IdNotFound
from .search_results import SearchResult
from .store import VectorStore

__all__ = ["add_commands"]

TOP_K_DEMO = 3


def add_commands(commands: Commands) -> None:
    """Declares ``demo`` and ``query``."""
    demo = commands.add("demo", _demo, "Index Python's own documentation and ask it questions.", "dvesp demo --limit 2000")
    demo.add_argument("--path", metavar="DIR", type=Path, help="index the .txt, .md, .rst, .py files below DIR instead")
    demo.add_argument("--store", metavar="DIR", default="./dvesp-demo", help="the store it leaves (default: %(default)s)")
    demo.add_argument("--limit", metavar="N", type=positive_int, help="index at most N texts")
    summary = "Search a collection by text, by vector or by the vector of a record."
    query = commands.add("query", _query, summary, "dvesp query 'read a csv file' --store ./dvesp-demo --top-k 5")
    query.add_argument("text", nargs="?", help="a question, for collections that `dvesp demo` made")
    query.add_argument("--store", metavar="DIR", required=True, help="the store's directory, or HOST:PORT,... of a cluster")
    query.add_argument("--collection", help="default: the one named default, or the only one")
    query.add_argument("--vector", metavar="JSON", help="the query as a JSON array of numbers")
    query.add_argument("--id", help="search around the record with this id")
    query.add_argument("--top-k", type=positive_int, default=10, help="how many results (default: %(default)s)")
    query.add_argument("--metric", choices=("cosine", "l2", "dot_product"), help="default: the collection's")
    query.add_argument("--filter", metavar="JSON", help="""conditions on the metadata, such as '{"kind": "class"}'""")


def _demo(options: argparse.Namespace) -> None:
    began = time.perf_counter()
    with open_store(options.store, create=True) as store:
        reused = is_built(store, options.path)
        if reused:
            say(f"The store {options.store} is there already: {store.count(COLLECTION):,} texts, reopened.")
        else:
            _build(store, options)
        answers = [_answer(store, question) for question in QUESTIONS]
        count = store.count(COLLECTION)
    seconds = time.perf_counter() - began
    if options.json:
        print_json({"store": options.store, "texts": count, "reused": reused, "seconds": seconds, "answers": answers})
        return
    for answer in answers:
        print(f"\n{answer['question']}?   ({answer['time_ms']:.2f} ms)")
        rows = [(f"{match['distance']:.3f}", match["id"], match["metadata"]["text"]) for match in answer["results"]]
        print_table(("distance", "where", "what it says"), rows)
    print(f"\nDone in {seconds:.1f} s: {count:,} texts in {options.store}. Ask it yourself:")
    print(f'  dvesp query "open a web page" --store {options.store}')


def _build(store: VectorStore, options: argparse.Namespace) -> None:
    """Reads the texts, embeds and stores them, with a bar where somebody watches."""
    say(f"Reading {options.path or 'the docstrings of the Python standard library'} …")
    corpus = collect(options.path, options.limit)
    say(f"Embedding and storing {len(corpus.texts):,} texts …")
    with bar_of(len(corpus.texts), "indexing", " texts") as bar:
        build(store, corpus, bar.update)


def _answer(store: VectorStore, question: str) -> dict[str, Any]:
    began = time.perf_counter()
    vector = embed_query(question)
    result = store.search(vector, TOP_K_DEMO, collection=COLLECTION, include_vectors=False)
    results = _plain(result)
    return {"question": question, "time_ms": (time.perf_counter() - began) * 1e3, "results": results}


def _plain(result: SearchResult) -> list[dict[str, Any]]:
    return [{"id": match.id, "distance": match.distance, "metadata": match.metadata} for match in result]


def _query(options: argparse.Namespace) -> None:
    if sum(given is not None for given in (options.text, options.vector, options.id)) != 1:
        raise UsageError("give exactly one of: a text, --vector JSON, --id ID")
    vector = json_argument(options.vector, "--vector", list)
    conditions = json_argument(options.filter, "--filter", dict)
    with open_store(options.store) as store:
        name = choose_collection(store, options.collection)
        if vector is None:
            vector = _vector_of(store, name, options)
        result = store.search(vector, options.top_k, options.metric, conditions, include_vectors=False, collection=name)
    if options.json:
        print_json({"collection": name, "time_ms": result.metrics.time_ms, "results": _plain(result)})
        return
    rows = [(f"{match.distance:.4f}", match.id, _glance(match.metadata)) for match in result]
    print_table(("distance", "id", "metadata"), rows, width_max=80)
    print(f"{len(result)} results in {result.metrics.time_ms:.2f} ms")


def _vector_of(store: VectorStore, name: str, options: argparse.Namespace) -> Any:
    """The query's vector: of the record ``--id``, or of the text, which needs the demo's model."""
    if options.id is not None:
        record = store.get(options.id, name)[0]
        if record is None:
            raise IdNotFound(f"there is no record {options.id!r} in collection {name!r}")
        return record.vector
    if not takes_text(store, name):
        raise UsageError(f"collection {name!r} was not made by `dvesp demo`, so a text has no vector: use --vector or --id")
    return embed_query(options.text)


def _glance(metadata: dict[str, Any] | None) -> str:
    """What to show of a record's metadata: its text if it has one."""
    text = (metadata or {}).get("text")
    return text if isinstance(text, str) else str(metadata or "")

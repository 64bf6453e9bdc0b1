"""The demo's store: a corpus, and which model embedded it, so that a reopened store can be asked.

Two collections: ``docs`` holds the texts, ``docs_model`` one record that names the model and the corpus. The second is
written last, so a store that has it is complete, and one that lacks it was interrupted and is built anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .corpus import Text, folder_texts, standard_library_texts
from .embed import DIMENSION, MODEL, load_model
from .errors import InvalidArgument
from .store import VectorStore

__all__ = [
    "COLLECTION",
    "QUESTIONS",
    "Corpus",
    "build",
    "collect",
    "embed_query",
    "is_built",
    "takes_text",
]

COLLECTION = "docs"
QUESTIONS = ("how do I parse a date", "read a csv file", "run a command in a subprocess", "compress data")
BATCH_ROWS = 5000
STANDARD_LIBRARY = "the Python standard library"


class Corpus(NamedTuple):
    """The texts to index and where they are from."""

    source: str
    texts: list[Text]


def _model_collection(name: str) -> str:
    """The collection that says how collection ``name`` was embedded."""
    return f"{name}_model"


def _model_record(store: VectorStore, name: str) -> dict[str, Any] | None:
    """What ``build`` wrote last, or None."""
    if _model_collection(name) not in store.list_collections():
        return None
    record = store.get([MODEL], _model_collection(name))[0]
    return None if record is None else record.metadata


def takes_text(store: VectorStore, name: str) -> bool:
    """Whether collection ``name`` was embedded by this module and can be asked in words."""
    return _model_record(store, name) is not None


def collect(folder: Path | None, limit: int | None) -> Corpus:
    """Gathers the corpus.

    Args:
        folder: text files below it, or None for the standard library's docstrings.
        limit: how many texts at most, or None for all.

    Raises:
        InvalidArgument: no folder of that name, or no text in it.
    """
    if folder is not None and not folder.is_dir():
        raise InvalidArgument(f"path {str(folder)!r} is not a directory: give a folder of .txt, .md, .rst or .py files")
    found = list(standard_library_texts() if folder is None else folder_texts(folder))
    texts = found if limit is None else _spread(found, limit)
    if not texts:
        raise InvalidArgument(f"there is no text under {str(folder)!r}: it takes .txt, .md, .rst and .py files")
    return Corpus(STANDARD_LIBRARY if folder is None else str(folder.resolve()), texts)


def _spread(texts: Sequence[Text], limit: int) -> list[Text]:
    """At most ``limit`` texts, evenly spread over all of them."""
    if limit >= len(texts):
        return list(texts)
    return [texts[i * len(texts) // limit] for i in range(limit)]


def is_built(store: VectorStore, folder: Path | None) -> bool:
    """Whether the store holds this corpus already.

    Raises:
        InvalidArgument: it holds another one.
    """
    held = _model_record(store, COLLECTION)
    if held is None:
        return False
    source = STANDARD_LIBRARY if folder is None else str(folder.resolve())
    if held["source"] != source:
        raise InvalidArgument(f"the store holds {held['source']}, not {source}: choose another directory with --store")
    return True


def build(store: VectorStore, corpus: Corpus, tick: Callable[[int], None]) -> int:
    """Embeds the corpus and writes both collections; returns how many texts have a vector.

    Args:
        store: where to; the collections of an interrupted run are replaced.
        corpus: of `collect`.
        tick: called with the number of texts after each batch.
    """
    for name in (COLLECTION, _model_collection(COLLECTION)):
        if name in store.list_collections():
            store.drop_collection(name)
    store.create_collection(COLLECTION, DIMENSION)
    model = load_model()
    stored = 0
    for start in range(0, len(corpus.texts), BATCH_ROWS):
        batch = corpus.texts[start : start + BATCH_ROWS]
        vectors = model.embed(text.text for text in batch)
        known = np.flatnonzero(vectors.any(axis=1))
        if len(known):
            metadata = [{**batch[row].metadata, "source": corpus.source} for row in known]
            store.insert(vectors[known], metadata, [batch[row].id for row in known], COLLECTION, timeout_ms=60_000)
        stored += len(known)
        tick(len(batch))
    name = _model_collection(COLLECTION)
    store.create_collection(name, 1, metric="l2", index="flat")
    store.insert(np.zeros((1, 1), np.float32), [{"source": corpus.source}], [MODEL], name, timeout_ms=60_000)
    return stored


def embed_query(text: str) -> NDArray[np.float32]:
    """A question as a unit vector ``[DIMENSION]``.

    Raises:
        InvalidArgument: the text has no words.
    """
    vector: NDArray[np.float32] = load_model().embed([text])[0]
    if not vector.any():
        raise InvalidArgument(f"text {text!r} has no words: ask a question")
    return vector

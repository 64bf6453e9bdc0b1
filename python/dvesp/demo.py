"""The demo's store: a corpus, and the word vectors it was embedded with, so that a reopened store can be asked.

Two collections: ``docs`` holds the texts, ``docs_words`` the word vectors. The second is written last, so a store that
has it is complete, and one that lacks it was interrupted and is built anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .corpus import Text, folder_texts, standard_library_texts
from .embed import DIMENSION, WordVectors, learn, words_of
from .errors import InvalidArgument
from .store import VectorStore

__all__ = [
    "COLLECTION",
    "QUESTIONS",
    "Corpus",
    "build",
    "collect",
    "embed_query",
    "has_words",
    "is_built",
    "word_collection",
]

COLLECTION = "docs"
QUESTIONS = ("how do I parse a date", "read a csv file", "run a command in a subprocess", "compress data")
BATCH_ROWS = 5000
STANDARD_LIBRARY = "the Python standard library"


class Corpus(NamedTuple):
    """The texts to index and where they are from."""

    source: str
    texts: list[Text]


def word_collection(name: str) -> str:
    """The collection that holds the word vectors of collection ``name``."""
    return f"{name}_words"


def has_words(store: VectorStore, name: str) -> bool:
    """Whether collection ``name`` was embedded by this module and can be asked in words."""
    return word_collection(name) in store.list_collections()


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
    if not has_words(store, COLLECTION):
        return False
    source = STANDARD_LIBRARY if folder is None else str(folder.resolve())
    first = next(store.scroll(COLLECTION, batch_size=1), None)
    held = None if first is None or first.metadata is None else first.metadata.get("source")
    if held != source:
        raise InvalidArgument(f"the store holds {held}, not {source}: choose another directory with --store")
    return True


def build(store: VectorStore, corpus: Corpus, tick: Callable[[int], None]) -> int:
    """Embeds the corpus and writes both collections; returns how many texts have a vector.

    Args:
        store: where to; the collections of an interrupted run are replaced.
        corpus: of `collect`.
        tick: called with the number of texts after each batch.
    """
    for name in (COLLECTION, word_collection(COLLECTION)):
        if name in store.list_collections():
            store.drop_collection(name)
    store.create_collection(COLLECTION, DIMENSION)
    model = learn([text.text for text in corpus.texts])
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
    _write_words(store, model)
    return stored


def _write_words(store: VectorStore, model: WordVectors) -> None:
    """Writes the word vectors in one batch, so that an interrupted run leaves none."""
    name = word_collection(COLLECTION)
    store.create_collection(name, DIMENSION, metric="dot_product", index="flat")
    store.insert(model.vectors, ids=model.words, collection=name, timeout_ms=60_000)


def embed_query(store: VectorStore, name: str, text: str) -> NDArray[np.float32]:
    """A question as a unit vector ``[DIMENSION]``, from the word vectors in the store.

    Raises:
        InvalidArgument: no word of it occurs in the corpus.
    """
    words = sorted(set(words_of(text)))
    records = store.get(words, word_collection(name)) if words else []
    found = [record for record in records if record is not None]
    if not found:
        raise InvalidArgument(f"no word of {text!r} occurs in collection {name!r}: ask in its words")
    model = WordVectors([record.id for record in found], np.stack([record.vector for record in found]))
    vector: NDArray[np.float32] = model.embed([text])[0]
    return vector

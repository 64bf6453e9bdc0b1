"""Text to vectors without a model file: word vectors learned from the texts themselves, by latent semantic analysis.

Words that keep the same company get near vectors (Deerwester et al. 1990, "Indexing by latent semantic analysis"); the
truncated SVD is the randomised one of Halko, Martinsson and Tropp 2011, algorithm 4.4. Every word also has a few
coordinates of its own, drawn from its name, so that a rare word finds itself. A text is the sum of its words' vectors.
Learning takes seconds and needs NumPy only; for real applications bring the vectors of a language model.
"""

from __future__ import annotations

import functools
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["DIMENSION", "WordVectors", "learn", "words_of"]

DIMENSION = 256
TOPIC_DIMENSION = 160
OVERSAMPLING = 16
POWER_ITERATIONS = 2
OWN_WEIGHT = 0.5
VOCABULARY_MAX = 20_000
TEXTS_LEARNED_MAX = 40_000
TEXTS_WITH_WORD_MIN = 2
CHUNK_ELEMENTS_MAX = 8_000_000
SEED = 20_111

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]+|[^\W\d_]+")
_STOP_TEXT = """
a an and any are as at be been but by can could did do does for from had has have how i if in into is it its me my no not of
on or our self so some such than that the their them then there these they this those to was we were what when where which
who why will with would you your
"""
_STOP_WORDS = frozenset(_STOP_TEXT.split())
_ENDINGS = (("ies", "y"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("es", ""), ("s", ""), ("e", ""))
STEM_MIN = 3
WORD_CHARACTERS_MAX = 40


class Sparse(NamedTuple):
    """A sparse matrix by rows: row ``i`` has the entries ``starts[i]:starts[i + 1]`` of ``columns`` and ``values``."""

    starts: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: NDArray[np.float32]


@functools.lru_cache(maxsize=200_000)
def _stem(word: str) -> str:
    """``files`` and ``file``, ``parsing`` and ``parse`` become one word; crude, and enough for retrieval."""
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= STEM_MIN and not word.endswith("ss"):
            return word[: len(word) - len(ending)] + instead
    return word


def words_of(text: str) -> list[str]:
    """The words of a text that carry meaning, stemmed, in order; ``parseDate`` is two, as ``parse_date`` is."""
    lowered = (word.lower() for word in _WORD.findall(text))
    return [_stem(word) for word in lowered if 1 < len(word) <= WORD_CHARACTERS_MAX and word not in _STOP_WORDS]


class WordVectors:
    """Words and their float32 vectors ``[len(words), DIMENSION]``; embeds texts as the sum of their words' vectors."""

    def __init__(self, words: Sequence[str], vectors: NDArray[np.float32]) -> None:
        self.words = list(words)
        self.vectors = vectors
        self._index = {word: row for row, word in enumerate(self.words)}

    def embed(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """Unit vectors float32 ``[n, DIMENSION]``; zeros for a text of which no word is known.

        Cost: about 20 us for a text of twenty words.
        """
        vectors = _times(_count(map(words_of, texts), self._index), self.vectors)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32, copy=False)


def learn(texts: Sequence[str]) -> WordVectors:
    """Learns word vectors from texts; the same texts give the same vectors.

    Args:
        texts: at least a few hundred for vectors that mean something; at most ``TEXTS_LEARNED_MAX``, evenly picked,
            are used.

    Raises:
        ValueError: the texts have no words.
    """
    picked = [texts[i] for i in np.unique(np.linspace(0, len(texts) - 1, TEXTS_LEARNED_MAX).astype(int))] if texts else []
    token_lists = [words_of(text) for text in picked]
    texts_with_word = Counter(word for tokens in token_lists for word in set(tokens))
    if not texts_with_word:
        raise ValueError("the texts have no words to learn from")
    least = TEXTS_WITH_WORD_MIN if len(token_lists) > VOCABULARY_MAX // 10 else 1
    common = [word for word, count in texts_with_word.most_common(VOCABULARY_MAX) if count >= least]
    words = sorted(common or texts_with_word)
    rarity = np.array([np.log(1 + len(token_lists) / texts_with_word[word]) for word in words], np.float32)
    matrix = _count(iter(token_lists), {word: row for row, word in enumerate(words)})
    topics = _topics(_weighted(matrix, rarity), len(words))
    own = np.stack([_own_coordinates(word) for word in words])
    return WordVectors(words, np.ascontiguousarray(np.hstack([topics, OWN_WEIGHT * own]) * rarity[:, None]))


def _own_coordinates(word: str) -> NDArray[np.float32]:
    """A random unit vector that depends on the word alone: nearly orthogonal to every other word's."""
    draw = np.random.default_rng(zlib.crc32(word.encode())).standard_normal(DIMENSION - TOPIC_DIMENSION)
    return (draw / np.linalg.norm(draw)).astype(np.float32)


def _count(token_lists: Iterable[list[str]], index: dict[str, int]) -> Sparse:
    """Text by word: 1 + ln(how often the word occurs)."""
    starts: list[int] = [0]
    columns: list[int] = []
    counts: list[int] = []
    for tokens in token_lists:
        known = Counter(index[token] for token in tokens if token in index)
        columns.extend(known)
        counts.extend(known.values())
        starts.append(len(columns))
    values = 1 + np.log(np.array(counts, np.float32))
    return Sparse(np.array(starts, np.int64), np.array(columns, np.int64), values.astype(np.float32))


def _weighted(matrix: Sparse, rarity: NDArray[np.float32]) -> Sparse:
    """Every word by its rarity, every text at unit length, so that long texts do not rule."""
    values = matrix.values * rarity[matrix.columns]
    rows = np.repeat(np.arange(len(matrix.starts) - 1), np.diff(matrix.starts))
    lengths = np.sqrt(np.bincount(rows, values**2, len(matrix.starts) - 1))
    return Sparse(matrix.starts, matrix.columns, (values / lengths[rows]).astype(np.float32))


def _transposed(matrix: Sparse, column_count: int) -> Sparse:
    order = np.argsort(matrix.columns, kind="stable")
    rows = np.repeat(np.arange(len(matrix.starts) - 1), np.diff(matrix.starts))
    starts = np.concatenate([[0], np.cumsum(np.bincount(matrix.columns, minlength=column_count))])
    return Sparse(starts.astype(np.int64), rows[order], matrix.values[order])


def _times(matrix: Sparse, dense: NDArray[np.float32]) -> NDArray[np.float32]:
    """``matrix @ dense``, a bounded number of rows at a time so that the gathered rows stay in reach of the cache."""
    row_count, width = len(matrix.starts) - 1, dense.shape[1]
    product = np.zeros((row_count, width), np.float32)
    entries_max = max(1, CHUNK_ELEMENTS_MAX // width)
    first = 0
    while first < row_count:
        last = int(np.searchsorted(matrix.starts, matrix.starts[first] + entries_max, side="right")) - 1
        last = min(max(last, first + 1), row_count)
        begin, end = matrix.starts[first], matrix.starts[last]
        filled = np.flatnonzero(np.diff(matrix.starts[first : last + 1]))  # reduceat has no empty groups
        if len(filled):
            gathered = dense[matrix.columns[begin:end]] * matrix.values[begin:end, None]
            product[first + filled] = np.add.reduceat(gathered, matrix.starts[first + filled] - begin, axis=0)
        first = last
    return product


def _topics(matrix: Sparse, word_count: int) -> NDArray[np.float32]:
    """The leading right singular vectors, one row for each word, zero-padded to ``TOPIC_DIMENSION``."""
    back = _transposed(matrix, word_count)
    width = min(TOPIC_DIMENSION + OVERSAMPLING, word_count)
    start = np.random.default_rng(SEED).standard_normal((word_count, width)).astype(np.float32)
    basis = np.linalg.qr(start)[0]
    for _ in range(POWER_ITERATIONS + 1):
        basis = np.linalg.qr(_times(back, _times(matrix, basis)))[0]
    projected = _times(matrix, basis)
    _, turn = np.linalg.eigh(projected.T @ projected)
    leading = (basis @ turn[:, ::-1])[:, :TOPIC_DIMENSION]
    return np.pad(leading, ((0, 0), (0, TOPIC_DIMENSION - leading.shape[1]))).astype(np.float32)

"""Data and truth for benchmarks: real embeddings from a folder or made ones, exact neighbours, recall with ties counted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEED = 20240
ROWS_FILE, QUERIES_FILE = "wordnet-minilm-100k.f16.npy", "wordnet-minilm-queries-1k.f16.npy"
Floats = NDArray[np.float32]
# A result counts as found when it is as near as the last true neighbour up to float32's rounding of the distance.
TIE_RELATIVE, TIE_ABSOLUTE = 1e-5, 1e-6


@dataclass(frozen=True)
class Vectors:
    """Rows to store and queries to ask, float32 ``[n, d]`` and ``[q, d]``; `origin` says where they come from."""

    rows: Floats
    queries: Floats
    origin: str

    def head(self, row_count: int, query_count: int) -> Vectors:
        """The first rows and queries."""
        return Vectors(self.rows[:row_count], self.queries[:query_count], self.origin)


def load(directory: Path | None, row_count: int = 100_000, dimension: int = 384) -> Vectors:
    """The embeddings in `directory`, or clustered random vectors when there is none."""
    if directory is None:
        return clustered(row_count, dimension)
    rows = np.load(Path(directory) / ROWS_FILE).astype(np.float32)
    queries = np.load(Path(directory) / QUERIES_FILE).astype(np.float32)
    return Vectors(rows[:row_count], queries, f"real embeddings: {ROWS_FILE}")


def clustered(row_count: int, dimension: int, query_count: int = 1000, seed: int = SEED) -> Vectors:
    """Unit vectors around random centres, about as hard to search as text embeddings: clusters of uneven size and few
    strong directions. Queries are drawn like the rows and are none of them."""
    random = np.random.default_rng(seed)
    cluster_count = max(8, row_count // 400)
    scale = (1 / np.sqrt(1 + np.arange(dimension))).astype(np.float32)
    centers = random.standard_normal((cluster_count, dimension), np.float32) * scale
    total = row_count + query_count
    chosen = (random.pareto(1.0, total) * cluster_count / 8).astype(np.int64) % cluster_count
    vectors = centers[chosen] + 0.7 * scale * random.standard_normal((total, dimension), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    origin = f"made: {cluster_count} clusters of Gaussian vectors, seed {seed}"
    return Vectors(vectors[:row_count], vectors[row_count:], origin)


def manifold(row_count: int, dimension: int, query_count: int = 1000, seed: int = SEED) -> Vectors:
    """Unit vectors on a curved surface of 20 dimensions: what an encoder makes of texts that vary in a few ways, with a
    twentieth of noise. Latent points are drawn around topics of uneven size and pass through two random layers."""
    random = np.random.default_rng(seed)
    latent_count, hidden_count, total = 20, 256, row_count + query_count
    topics = random.standard_normal((max(8, row_count // 1000), latent_count), np.float32)
    chosen = (random.pareto(1.0, total) * len(topics) / 8).astype(np.int64) % len(topics)
    latent = topics[chosen] + 0.6 * random.standard_normal((total, latent_count), np.float32)
    first = random.standard_normal((latent_count, hidden_count), np.float32) / np.float32(np.sqrt(latent_count))
    second = random.standard_normal((hidden_count, dimension), np.float32) / np.float32(np.sqrt(hidden_count))
    vectors = np.tanh(latent @ first) @ second
    scale = np.float32(0.05) * vectors.std()
    vectors += scale * random.standard_normal(vectors.shape, np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    origin = f"made: {latent_count} latent dimensions through two random layers, seed {seed}"
    return Vectors(vectors[:row_count], vectors[row_count:], origin)


def gaussian(row_count: int, dimension: int, query_count: int = 1000, seed: int = SEED) -> Vectors:
    """Independent normal coordinates: no structure at all, the worst case of every graph."""
    random = np.random.default_rng(seed)
    rows = random.standard_normal((row_count, dimension), np.float32)
    queries = random.standard_normal((query_count, dimension), np.float32)
    return Vectors(rows, queries, f"made: independent Gaussian, seed {seed}")


def with_norms(vectors: Vectors, sigma: float = 0.3, seed: int = SEED) -> Vectors:
    """The same directions with log-normal lengths, so that cosine, l2 and dot_product differ."""
    random = np.random.default_rng(seed)
    rows = vectors.rows * random.lognormal(0, sigma, (len(vectors.rows), 1)).astype(np.float32)
    queries = vectors.queries * random.lognormal(0, sigma, (len(vectors.queries), 1)).astype(np.float32)
    return Vectors(rows, queries, f"{vectors.origin}; lengths log-normal, sigma {sigma}")


def ranks(row_count: int, seed: int = SEED) -> NDArray[np.int64]:
    """A random permutation: `rank < share * n` passes exactly that share of the rows, wherever they lie."""
    return np.random.default_rng(seed + 1).permutation(row_count)


def distances(rows: NDArray[Any], query: NDArray[Any], metric: str) -> NDArray[np.float64]:
    """Distances of `rows` to one query in float64, as the product defines them."""
    rows, query = rows.astype(np.float64), query.astype(np.float64)
    if metric == "l2":
        return np.sqrt(((rows - query) ** 2).sum(axis=1))
    products = rows @ query
    if metric == "dot_product":
        return -products
    return 1 - products / (np.linalg.norm(rows, axis=1) * np.linalg.norm(query))


class Truth:
    """The distance of the k-th nearest row to each query, exactly, among all rows or those of a mask."""

    def __init__(self, vectors: Vectors, metric: str, top_k: int = 10, passing: NDArray[np.bool_] | None = None) -> None:
        self.vectors, self.metric = vectors, metric
        self.chosen = np.arange(len(vectors.rows)) if passing is None else np.flatnonzero(passing)
        self.top_k = min(top_k, len(self.chosen))
        self.bounds = self._bounds(vectors.rows if passing is None else vectors.rows[self.chosen])

    def _bounds(self, rows: Floats) -> NDArray[np.float64]:
        """float32 finds 4 k candidates, float64 settles the order among them."""
        keep = min(4 * self.top_k + 16, len(rows))
        squares = np.einsum("ij,ij->i", rows, rows)
        bounds = np.empty(len(self.vectors.queries))
        for start in range(0, len(bounds), 256):
            queries = self.vectors.queries[start : start + 256]
            keys = queries @ rows.T
            if self.metric == "cosine":
                keys /= np.sqrt(squares)
            elif self.metric == "l2":
                keys -= squares / 2
            near = np.argpartition(-keys, keep - 1, axis=1)[:, :keep]
            for number, query in enumerate(queries):
                exact = np.sort(distances(rows[near[number]], query, self.metric))
                bounds[start + number] = exact[self.top_k - 1]
        return bounds

    def recall(self, found: list[list[int]]) -> float:
        """The share of the true neighbours among row numbers found, ties counted. `found[i]` answers query i.

        Raises:
            ValueError: an answer names a row twice, or one that the filter excludes.
        """
        allowed = set(self.chosen.tolist())
        hits = 0
        for query, bound, answer in zip(self.vectors.queries, self.bounds, found, strict=False):
            if len(set(answer)) != len(answer) or not allowed.issuperset(answer):
                raise ValueError("an answer has a row twice, or a row that does not pass")
            if answer:
                exact = distances(self.vectors.rows[answer], query, self.metric)
                hits += min(self.top_k, int((exact <= bound + TIE_ABSOLUTE + TIE_RELATIVE * abs(bound)).sum()))
        return hits / (self.top_k * len(found))

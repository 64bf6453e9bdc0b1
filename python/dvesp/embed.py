"""Text to vectors with the static token vectors that the package ``wordllama`` carries, read straight from its files.

A text is the mean of its tokens' vectors (WordLlama: token embeddings of a large model, reduced to 256 dimensions and
trained for mean pooling). The package is found, not imported: its weights and its tokenizer are plain files, so nothing
of what it depends on is needed, and nothing is downloaded.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import Unavailable

__all__ = ["DIMENSION", "MODEL", "StaticModel", "load_model"]

DIMENSION = 256
MODEL = "wordllama-l2-supercat-256"
_WEIGHTS = "weights/l2_supercat_256.safetensors"
_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
_REMEDY = "run `pip install --no-deps wordllama` and `pip install tokenizers safetensors` (make demo does)"

# ``datetime.strptime`` and ``parseDate`` are read as words: identifiers are what documentation is full of.
_JOINTS = re.compile(r"[._]+|(?<=[a-z])(?=[A-Z])")


class StaticModel:
    """Token vectors float32 ``[tokens, DIMENSION]`` and the tokenizer that they belong to. Thread-safe."""

    def __init__(self, tokenizer: Any, vectors: NDArray[np.float32]) -> None:
        self._tokenizer = tokenizer
        self._vectors = vectors

    def embed(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """Unit vectors float32 ``[n, DIMENSION]``; zeros for a text without tokens.

        Cost: about 50 us for a text of twenty words.
        """
        readable = [_JOINTS.sub(" ", text) for text in texts]
        encoded = self._tokenizer.encode_batch(readable, add_special_tokens=False)
        out = np.zeros((len(encoded), DIMENSION), np.float32)
        for row, tokens in enumerate(encoded):
            if tokens.ids:
                out[row] = self._vectors[tokens.ids].mean(axis=0)
        lengths = np.linalg.norm(out, axis=1, keepdims=True)
        return (out / np.where(lengths > 0, lengths, 1)).astype(np.float32, copy=False)


@functools.cache
def load_model() -> StaticModel:
    """Reads weights and tokenizer from the installed package ``wordllama``; a second call returns the same model.

    Raises:
        Unavailable: the package, or one that reads its files, is not installed.
    """
    found = importlib.util.find_spec("wordllama")
    if found is None or not found.submodule_search_locations:
        raise Unavailable(f"the demo's embedding model is not installed: {_REMEDY}")
    folder = Path(found.submodule_search_locations[0])
    try:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer
    except ImportError as error:
        raise Unavailable(f"the demo's embedding model cannot be read ({error}): {_REMEDY}") from None
    vectors = load_file(folder / _WEIGHTS)["embedding.weight"].astype(np.float32)
    tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return StaticModel(tokenizer, vectors)

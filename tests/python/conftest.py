"""Fixtures of the Python tests: stores in memory and in a directory, and reproducible vectors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from dvesp import VectorStore
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

settings.register_profile("dvesp", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
settings.load_profile("dvesp")

Vectors = Callable[..., NDArray[np.float32]]


@pytest.fixture
def vectors() -> Vectors:
    """``vectors(n, d)`` -> the same normally distributed float32 ``[n, d]`` in every run."""

    def make(n: int, d: int = 8, seed: int = 0) -> NDArray[np.float32]:
        return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)

    return make


@pytest.fixture
def store() -> Iterator[VectorStore]:
    """An empty store in memory."""
    with VectorStore() as opened:
        yield opened


@pytest.fixture(params=["memory", "directory"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VectorStore]:
    """An empty store, once in memory and once in a directory."""
    with VectorStore(None if request.param == "memory" else tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """Waits up to ten seconds for a condition, and fails when it does not come true."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true within 10 s"
            time.sleep(0.01)

    return wait

"""Fixtures of the Python tests: stores in memory and in a directory, and reproducible vectors."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from dvesp import Keyring, VectorStore
from hypothesis import HealthCheck, settings
from node_cluster import Cluster
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


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes on loopback, shared by all tests of a session."""
    directory = tmp_path_factory.mktemp("cluster")
    with Cluster(directory, 3, ["--insecure", "--snapshots", str(directory / "snapshots")]) as running:
        yield running


def sealed_store(directory: Path, devices: int = 5, key: str = "00" * 32) -> VectorStore:
    """A sealed store in ``directory / "s"`` with devices ``d1``, ``d2``, ..., unlocked by a raw key."""
    os.environ["DVESP_TEST_KEY"] = key
    names = [directory / f"d{number}" for number in range(1, devices + 1)]
    return VectorStore(directory / "s", devices=names, keyring=Keyring.from_environment("DVESP_TEST_KEY"))


@contextlib.contextmanager
def opened_store(kind: str, request: pytest.FixtureRequest) -> Iterator[VectorStore]:
    """An empty store of one deployment; a cluster's collections are dropped afterwards."""
    if kind == "sealed":
        directory = request.getfixturevalue("tmp_path") / "sealed"
        with sealed_store(directory) as opened:
            yield opened
        return
    if kind != "cluster":
        with VectorStore(request.getfixturevalue("tmp_path") / "store" if kind == "directory" else None) as opened:
            yield opened
        return
    nodes = request.getfixturevalue("cluster").addresses
    with VectorStore(nodes=nodes) as opened:
        yield opened
    with VectorStore(nodes=nodes) as cleaning:
        for name in cleaning.list_collections():
            cleaning.drop_collection(name)


@pytest.fixture(params=["memory", "cluster", "sealed"])
def store(request: pytest.FixtureRequest) -> Iterator[VectorStore]:
    """An empty store: in memory, on three nodes, sealed over five devices."""
    with opened_store(request.param, request) as opened:
        yield opened


@pytest.fixture(params=["memory", "directory", "cluster", "sealed"])
def any_store(request: pytest.FixtureRequest) -> Iterator[VectorStore]:
    """An empty store, once in each deployment."""
    with opened_store(request.param, request) as opened:
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

"""Fixtures of the adapters' tests: an empty store in a directory, and one on three real nodes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvesp import VectorStore

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

from node_cluster import Cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes on loopback, shared by all tests of a session."""
    with Cluster(tmp_path_factory.mktemp("cluster"), 3) as running:
        yield running


@pytest.fixture
def embedded_store(tmp_path: Path) -> Iterator[VectorStore]:
    """An empty store in a directory."""
    with VectorStore(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def cluster_store(cluster: Cluster) -> Iterator[VectorStore]:
    """The cluster's store, whose collections are dropped afterwards."""
    with VectorStore(nodes=cluster.addresses) as opened:
        yield opened
        for name in opened.list_collections():
            opened.drop_collection(name)

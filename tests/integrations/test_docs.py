"""The documentation's pages about frameworks and other stores: every block runs, with the frameworks and clients themselves."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import chromadb
import numpy as np
import pytest
from doc_blocks import pages, run_page, uses_frameworks
from dvesp import VectorStore

ANIMALS = 250
PAGE = 100


def animal(number: int) -> dict[str, Any]:
    """A vector that turns away from the first axis as the number grows; float32, as Pinecone stores them."""
    angle = number / ANIMALS
    values = np.array([np.cos(angle), np.sin(angle), 0], np.float32).tolist()
    return {"id": f"animal-{number}", "values": values, "metadata": {"legs": float(number % 4 * 2), "tags": ["a", "b"]}}


class PineconeApi(BaseHTTPRequestHandler):
    """Lists and fetches ids of the namespace ``animals``, as the reference of Pinecone's data plane says."""

    def do_GET(self) -> None:
        url = urlparse(self.path)
        query = parse_qs(url.query)
        assert query["namespace"] == ["animals"] and self.headers["Api-Key"] == "secret"
        answer: dict[str, Any] = {"namespace": "animals", "usage": {"readUnits": 1}}
        if url.path == "/vectors/list":
            first = int(query.get("paginationToken", ["0"])[0])
            assert query["limit"] == [str(PAGE)]
            answer["vectors"] = [{"id": f"animal-{number}"} for number in range(first, min(first + PAGE, ANIMALS))]
            if first + PAGE < ANIMALS:
                answer["pagination"] = {"next": str(first + PAGE)}
        else:
            assert url.path == "/vectors/fetch"
            answer["vectors"] = {id: animal(int(id.removeprefix("animal-"))) for id in query["ids"]}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: requests are not worth a line."""


@pytest.fixture
def pinecone_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server on loopback, where the page's environment variables lead."""
    with ThreadingHTTPServer(("127.0.0.1", 0), PineconeApi) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("PINECONE_API_KEY", "secret")
        monkeypatch.setenv("PINECONE_INDEX_HOST", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("page", [page for page in pages() if uses_frameworks(page)])
@pytest.mark.usefixtures("pinecone_server")
def test_blocks_of_a_page_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_page(page, tmp_path, monkeypatch) > 0


@pytest.mark.parametrize(("space", "metric"), [("cosine", "cosine"), ("l2", "l2"), ("ip", "dot_product")])
def test_distances_of_chroma_are_as_its_page_says(space: str, metric: str) -> None:
    chroma = chromadb.EphemeralClient().create_collection(f"space-{space}", configuration={"hnsw": {"space": space}})
    chroma.add(ids=["a"], embeddings=[[3.0, 4.0]], documents=["old"])
    chroma.add(ids=["a"], embeddings=[[1.0, 1.0]], documents=["new"])
    assert chroma.get()["documents"] == ["old"], "add leaves out ids that are there"
    theirs = chroma.query(query_embeddings=[[1.0, 0.5]], n_results=1)["distances"][0][0]
    with VectorStore() as store:
        store.upsert([{"id": "a", "vector": [3, 4]}], collection="c")
        ours = store.search([1, 0.5], distance_metric=metric, collection="c")[0].distance
    expected = {"cosine": ours, "l2": ours**2, "ip": 1 + ours}
    assert theirs == pytest.approx(expected[space], rel=1e-5)


def test_the_pages_are_there() -> None:
    assert {page for page in pages() if uses_frameworks(page)} == {
        "docs/from-chroma.md",
        "docs/from-pinecone.md",
        "docs/integrations.md",
    }

"""`dvesp mcp`, asked by the official client over stdio."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from dvesp import InvalidArgument, VectorStore
from dvesp.integrations.mcp import load_embedder
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

EMBEDDER = """
def embed(texts):
    return [[text.count("a"), text.count("b"), 0.01] for text in texts]

def wrong(texts):
    return [1.0, 2.0]

NOT_A_FUNCTION = 3
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A store with four notes, and a module with an embedder beside it."""
    (tmp_path / "letters.py").write_text(EMBEDDER)
    with VectorStore(tmp_path / "s") as store:
        store.insert(
            [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]],
            [{"text": "aaa", "n": 1}, {"text": "bbb", "n": 2}, {"n": 3}, None],
            ["a", "b", "c", "ab"],
            "notes",
        )
    return tmp_path


@contextlib.asynccontextmanager
async def served(directory: Path, *options: str, store: str = "s", mode: str = "auto") -> AsyncIterator[Client]:
    """A client of ``dvesp mcp`` with these options; ``legacy`` is the handshake of protocols before 2026."""
    command = [str(Path(sys.executable).with_name("dvesp")), "mcp", store, *options]
    parameters = StdioServerParameters(command=command[0], args=command[1:], cwd=directory, env={"PYTHONPATH": str(directory)})
    with (directory / "mcp.log").open("w") as log:
        async with Client(stdio_client(parameters, errlog=log), mode=mode) as client:
            yield client


async def call(client: Client, tool: str, **arguments: Any) -> Any:
    """What a tool answers; an error of it raises AssertionError with its text."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content[0].text
    return result.structured_content["result"]


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    """The text of a tool's error."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return result.content[0].text


async def test_reading_tools_and_no_writing_one_by_default(directory: Path) -> None:
    async with served(directory) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert sorted(tools) == ["get", "list_collections", "search"]
        assert all(tool.annotations is not None and tool.annotations.read_only_hint for tool in tools.values())
        facts = await call(client, "list_collections")
        assert facts == [{"name": "notes", "count": 4, "dimension": 3, "metric": "cosine", "takes_text": False}]
        found = await call(client, "search", collection="notes", vector=[1, 0.1, 0], top_k=2)
        assert [(hit["id"], hit["metadata"], hit["vector"]) for hit in found] == [
            ("a", {"text": "aaa", "n": 1}, None),
            ("ab", None, None),
        ]
        found = await call(
            client, "search", collection="notes", vector=[1, 0, 0], filter={"n": {"$gte": 2}}, include_vectors=True
        )
        assert [(hit["id"], hit["vector"]) for hit in found] == [("b", [0, 1, 0]), ("c", [0, 0, 1])]
        assert await call(client, "get", collection="notes", ids=["c", "absent", "a"]) == [
            {"id": "c", "metadata": {"n": 3}, "version": 1, "vector": None},
            {"id": "a", "metadata": {"text": "aaa", "n": 1}, "version": 1, "vector": None},
        ]
        assert "upsert" in await refusal(client, "upsert", collection="notes", records=[{"vector": [1, 0, 0]}])
    with VectorStore(directory / "s") as store:
        assert store.count("notes") == 4


async def test_clients_of_older_protocols_are_served(directory: Path) -> None:
    async with served(directory, mode="legacy") as client:
        assert sorted(tool.name for tool in (await client.list_tools()).tools) == ["get", "list_collections", "search"]
        assert [hit["id"] for hit in await call(client, "search", collection="notes", vector=[0, 0, 1], top_k=1)] == ["c"]


async def test_errors_are_sentences_for_the_model(directory: Path) -> None:
    async with served(directory) as client:
        assert "takes no text" in await refusal(client, "search", collection="notes", text="a")
        assert "exactly one of text and vector" in await refusal(client, "search", collection="notes")
        assert "'other' does not exist" in await refusal(client, "search", collection="other", vector=[1])
        assert "dimension" in await refusal(client, "search", collection="notes", vector=[1])
        assert "$near" in await refusal(client, "search", collection="notes", vector=[1, 0, 0], filter={"n": {"$near": 1}})
        assert "top_k" in await refusal(client, "search", collection="notes", vector=[1, 0, 0], top_k=101)
        assert await call(client, "get", collection="notes", ids=["a"]), "and the server lives on"


async def test_text_is_searched_and_stored_with_an_embedder(directory: Path) -> None:
    async with served(directory, "--embedder", "letters:embed", "--writable") as client:
        assert (await call(client, "list_collections"))[0]["takes_text"]
        found = await call(client, "search", collection="notes", text="aaab", top_k=1)
        assert found[0]["id"] == "a"
        records = [{"id": "a", "text": "bbbb", "metadata": {"n": 9}}, {"vector": [0, 0, 5]}]
        ids = await call(client, "upsert", collection="notes", records=records)
        assert ids[0] == "a" and len(ids[1]) == 36
        assert await call(client, "get", collection="notes", ids=["a"]) == [
            {"id": "a", "metadata": {"n": 9, "text": "bbbb"}, "version": 2, "vector": None}
        ]
        assert "records[1] has neither" in await refusal(
            client, "upsert", collection="notes", records=[{"text": "a"}, {"id": "x"}]
        )
        assert await call(client, "upsert", collection="fresh", records=[{"id": "1", "text": "ab"}]) == ["1"]
    with VectorStore(directory / "s") as store:
        assert store.count("notes") == 5 and store.count("fresh") == 1


async def test_an_embedder_that_is_wrong_says_so(directory: Path) -> None:
    async with served(directory, "--embedder", "letters:wrong") as client:
        assert "shape [2] out of 1 texts" in await refusal(client, "search", collection="notes", text="a")


async def test_collections_of_the_demo_take_text_without_an_embedder(directory: Path) -> None:
    (directory / "texts").mkdir()
    for name, text in (("ants.md", "Ants carry heavy leaves."), ("boats.md", "A boat sails on the sea.")):
        (directory / "texts" / name).write_text(text)
    demo = [str(Path(sys.executable).with_name("dvesp")), "demo", "--path", "texts", "--store", "s"]
    subprocess.run(demo, cwd=directory, capture_output=True, check=True, timeout=60)
    async with served(directory) as client:
        by_text = {facts["name"]: facts["takes_text"] for facts in await call(client, "list_collections")}
        assert by_text["docs"] and not by_text["notes"]
        found = await call(client, "search", collection="docs", text="a ship on the water", top_k=1)
        assert "boat" in found[0]["metadata"]["text"]


async def test_a_cluster_is_served(directory: Path, cluster: Any, cluster_store: VectorStore) -> None:
    cluster_store.insert([[1, 0], [0, 1]], [{"n": 1}, {"n": 2}], ["a", "b"], "far")
    async with served(directory, store=",".join(cluster.addresses)) as client:
        assert [hit["id"] for hit in await call(client, "search", collection="far", vector=[0, 1])] == ["b", "a"]


def dvesp(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("dvesp")), "mcp", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)


def test_command_line_refuses_what_is_wrong(directory: Path) -> None:
    for arguments, code, message in [
        (("absent",), 2, "there is no store at 'absent'"),
        (("s", "--json"), 2, "--json says nothing here"),
        (("s", "--embedder", "letters"), 1, "must be MODULE:FUNCTION"),
        (("s", "--embedder", "no_such_module:embed"), 1, "no_such_module"),
        ((), 2, "STORE"),
    ]:
        done = dvesp(directory, *arguments)
        assert (done.returncode, done.stdout) == (code, "") and message in done.stderr, done.stderr
    assert dvesp(directory, "s").returncode == 0, "stdin ends, so does the server"


def test_embedder_is_found_by_name(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(directory))
    assert load_embedder("letters:embed")(["ab"]) == [[1, 1, 0.01]]
    with pytest.raises(InvalidArgument, match="has no function 'NOT_A_FUNCTION'"):
        load_embedder("letters:NOT_A_FUNCTION")

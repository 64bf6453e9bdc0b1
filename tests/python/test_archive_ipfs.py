"""Archives on real IPFS nodes (kubo): one name everywhere, pinned, found, spared by garbage collection, read from anybody."""

from __future__ import annotations

import random
import signal
import time
import urllib.error
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from kubo import Kubo, Tool, ToolError, name_of
from lying_gateway import LyingGateway, flipped, swapped, truncated
from pinning_service import TOKEN, PinningService

pytestmark = pytest.mark.slow
KIB, MIB = 1 << 10, 1 << 20
CHUNK = 256 * KIB
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, MIB - 1, MIB, MIB + 1, 173 * CHUNK, 174 * CHUNK, 174 * CHUNK + 1, 175 * CHUNK]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Kubo]]:
    """Two nodes that know each other."""
    with ExitStack() as stack:
        pair = [stack.enter_context(Kubo(tmp_path_factory.mktemp("ipfs") / "repo")) for _ in range(2)]
        pair[0].connect(pair[1])
        yield pair


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Kubo]:
    """One node that nobody knows."""
    with Kubo(tmp_path / "repo") as one:
        yield one


def file_of(directory: Path, size: int, seed: int = 1) -> Path:
    path = directory / f"{seed}-{size}"
    with path.open("wb") as out:
        for start in range(0, size, MIB):
            out.write(random.Random(f"{seed} {start}").randbytes(min(MIB, size - start)))
    return path


def refusal(tool: Tool, do: str, **command: object) -> ToolError:
    with pytest.raises(ToolError) as caught:
        tool.ask(do, **command)
    return caught.value


def holds(node: Kubo, cid: str) -> bool:
    """Whether the node itself has the block."""
    try:
        return bool(node.rpc("block/stat", arg=cid, offline="true"))
    except urllib.error.HTTPError:
        return False


def wait_for(what: str, holds: object, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


@pytest.mark.parametrize("size", [*SIZES, 50 * MIB, 300 * MIB])
def test_object_has_one_cid_everywhere(size: int, nodes: list[Kubo], tmp_path: Path) -> None:
    path = file_of(tmp_path, size)
    with Tool(apis=[nodes[0].api], name="01") as first, Tool(apis=[nodes[1].api], name="02") as second:
        cid = first.put(path)
        assert cid == nodes[0].add(path)
        assert second.put(path) == cid
        assert first.put(path) == cid
        assert first.has(path) and second.has(path)
        assert name_of(path) | {"locator": cid} in first.ask("list")["objects"]
        second.get(path, tmp_path / "back")
        for tool in (first, second):
            tool.ask("remove", **name_of(path))
            assert not tool.has(path)
    for one in nodes:
        one.rpc("repo/gc", quiet="true")


def test_object_is_pinned_on_all_nodes_and_read_from_any_gateway(nodes: list[Kubo], tmp_path: Path) -> None:
    path = file_of(tmp_path, 3 * MIB + 5, seed=2)
    with Tool(apis=[nodes[0].api, nodes[1].api], name="03") as tool:
        cid = tool.put(path)
        for one in nodes:
            assert one.rpc("pin/ls", arg=cid, type="recursive")["Keys"][cid]["Type"] == "recursive"
            assert one.rpc("files/stat", arg="/dvesp/03")["Hash"] == tool.root()
    with Tool(gateways=[nodes[1].gateway], root=cid_root(nodes[0], "03")) as reader:
        reader.get(path, tmp_path / "back")
        reader.get(path, tmp_path / "back", locator=cid)
        assert reader.has(path)


def cid_root(node: Kubo, name: str) -> str:
    root: str = node.rpc("files/stat", arg=f"/dvesp/{name}")["Hash"]
    return root


def test_blocks_come_from_another_node_over_its_gateway(nodes: list[Kubo], tmp_path: Path) -> None:
    path = file_of(tmp_path, 20 * MIB + 1, seed=3)
    with Tool(apis=[nodes[0].api], name="04") as tool:
        tool.put(path)
        root = tool.root()
    with Tool(gateways=[nodes[1].gateway], root=root) as reader:  # which has none of it, and asks the first node
        reader.get(path, tmp_path / "back")


def test_further_node_that_finds_nobody_gets_the_content_from_us(nodes: list[Kubo], node: Kubo, tmp_path: Path) -> None:
    path = file_of(tmp_path, MIB + 5, seed=4)
    with Tool(apis=[nodes[0].api, node.api], name="05") as tool:
        cid = tool.put(path)
        assert node.rpc("pin/ls", arg=cid, type="recursive")["Keys"]
        assert 5 < tool.seconds < 60  # it was asked to find the content, and given up on


@pytest.mark.parametrize(
    ("manner", "error"),
    [
        ({"change": flipped}, "integrity"),
        ({"change": truncated}, "unavailable"),
        ({"change": truncated, "keeps_length": True}, "unavailable"),
        ({"change": swapped}, "integrity"),
        ({"status": 429}, "unavailable"),
        ({"status": 500}, "unavailable"),
        ({"status": 404}, "corruption"),
    ],
    ids=["flipped", "truncated", "broken off", "swapped", "429", "500", "404"],
)
def test_gateway_that_misbehaves_is_found_out(manner: dict[str, object], error: str, nodes: list[Kubo], tmp_path: Path) -> None:
    path = file_of(tmp_path, 3 * MIB, seed=5)
    with Tool(apis=[nodes[0].api], name="06") as tool:
        cid = tool.put(path)
        root = tool.root()
    with LyingGateway(nodes[0].gateway, **manner) as bad:  # type: ignore[arg-type]
        with Tool(gateways=[bad.url, nodes[0].gateway], root=root) as reader:
            reader.get(path, tmp_path / "back", locator=cid)
            assert bad.requests
        with Tool(gateways=[bad.url], root=root) as reader:
            caught = refusal(reader, "get", path=str(tmp_path / "back"), locator=cid, **name_of(path))
            assert bad.url in caught.message
            if manner.get("change") is not truncated:  # half of a CAR is half of the blocks: the rest comes one by one
                assert caught.code == error


def test_gateway_that_stalls_is_left(nodes: list[Kubo], tmp_path: Path) -> None:
    path = file_of(tmp_path, 3 * MIB, seed=6)
    with Tool(apis=[nodes[0].api], name="07") as tool:
        cid = tool.put(path)
        root = tool.root()
    with (
        LyingGateway(nodes[0].gateway, stalls=True) as bad,
        Tool(gateways=[bad.url, nodes[0].gateway], root=root) as reader,
    ):
        reader.get(path, tmp_path / "back", locator=cid)
        assert len(bad.requests) == 1
        assert 15 < reader.seconds < 45


def test_garbage_collection_spares_the_archive(node: Kubo, tmp_path: Path) -> None:
    kept, dropped, loose = (file_of(tmp_path, 2 * MIB, seed) for seed in (7, 8, 9))
    with Tool(apis=[node.api], name="08") as tool:
        locators = [tool.put(path) for path in (kept, dropped)]
        tool.ask("put_document", name="manifest-0000000000000001", text="first")
        tool.ask("put_document", name="manifest-0000000000000002", text="second " * 100_000)
        tool.ask("put_document", name="keyring", text="old " * 100_000)
        tool.ask("put_document", name="keyring", text="new " * 100_000)
        tool.ask("remove", **name_of(dropped))
        node.call("add", "--pin=false", "--cid-version=1", str(loose))
        node.rpc("repo/gc", quiet="true")
        tool.get(kept, tmp_path / "back")
        assert tool.documents() == ["keyring", "manifest-0000000000000001", "manifest-0000000000000002"]
        assert tool.document("keyring") == "new " * 100_000
        assert tool.document("manifest-0000000000000002") == "second " * 100_000
        assert tool.document("manifest-0000000000000003") is None
        assert holds(node, locators[0])
        assert not holds(node, locators[1]) and not holds(node, node.add(loose))
        tool.ask("remove_document", name="keyring")
        tool.ask("remove_document", name="keyring")
        assert tool.document("keyring") is None


def test_object_outlives_the_end_of_its_pin(node: Kubo, tmp_path: Path) -> None:
    """Two archives share an object; one lets go of it, and with it of the node's only pin."""
    path = file_of(tmp_path, 2 * MIB, seed=10)
    with Tool(apis=[node.api], name="0a") as first, Tool(apis=[node.api], name="0b") as second:
        first.put(path)
        second.put(path)
        first.ask("remove", **name_of(path))
        node.rpc("repo/gc", quiet="true")
        second.get(path, tmp_path / "back")
        assert not second.has(path)  # so that the archive puts it, and pins it, again
        second.put(path)
        assert second.has(path)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_node_that_starts_again_has_everything(how: signal.Signals, node: Kubo, tmp_path: Path) -> None:
    path = file_of(tmp_path, 2 * MIB, seed=11)
    with Tool(apis=[node.api], name="0c") as tool:
        tool.put(path)
        tool.ask("put_document", name="keyring", text="k")
        root = tool.root()
        node.stop(how)
        for command in ({"do": "has"}, {"do": "put", "path": str(path)}, {"do": "get", "path": str(tmp_path / "back")}):
            assert refusal(tool, **command, **name_of(path)).code == "unavailable"
        node.start()
        assert tool.has(path) and tool.root() == root and tool.document("keyring") == "k"
        tool.get(path, tmp_path / "back")


def test_root_that_is_wrong_is_refused_in_time(nodes: list[Kubo], tmp_path: Path) -> None:
    path = file_of(tmp_path, 10, seed=12)
    unknown = nodes[0].add(file_of(tmp_path, CHUNK + 12, seed=13))  # nobody has it
    with Tool(gateways=[nodes[0].gateway], root=unknown) as reader:
        assert refusal(reader, "list_documents").code == "unavailable"
        assert reader.seconds < 30
    with Tool(gateways=[nodes[0].gateway], root=nodes[0].add(path)) as reader:
        assert "root: the CID is no directory's" in refusal(reader, "list_documents").message
    nodes[0].call("files", "mkdir", "-p", "--cid-version=1", "/elsewhere/x")
    other = nodes[0].rpc("files/stat", arg="/elsewhere")["Hash"]
    with Tool(gateways=[nodes[0].gateway], root=other) as reader:
        caught = refusal(reader, "list_documents")
        assert caught.code == "corruption" and "is no archive" in caught.message


def test_ipns_name_follows_the_newest_manifest(node: Kubo, tmp_path: Path) -> None:
    name = node.rpc("key/gen", arg="archive", type="ed25519")["Id"]
    path = file_of(tmp_path, MIB, seed=14)

    def published() -> str:
        return str(node.rpc("name/resolve", arg=name, nocache="true")["Path"])

    with Tool(apis=[node.api], name="0d", ipns_key="archive") as tool:
        tool.put(path)
        for number in (1, 2):
            tool.ask("put_document", name=f"manifest-{number:016x}", text=f"number {number}")
            assert tool.seconds < 5  # publishing goes on behind it
            root = tool.root()
            time.sleep(0.5)
            wait_for("the name points to the root", lambda root=root: published() == f"/ipfs/{root}")
            for settings in ({"gateways": [node.gateway]}, {"apis": [node.api]}):
                with Tool(root=name, **settings) as reader:
                    assert reader.root() == root
                    assert reader.documents()[-1] == f"manifest-{number:016x}"
                    assert reader.document(f"manifest-{number:016x}") == f"number {number}"
                    reader.get(path, tmp_path / "back")
    with Tool(apis=[node.api], name="0d", ipns_key="lost") as tool:
        caught = refusal(tool, "put_document", name="manifest-0000000000000003", text="x")
        assert caught.code == "invalid_argument" and "ipns_key" in caught.message
    other = node.rpc("key/gen", arg="unused", type="ed25519")["Id"]
    with Tool(root=other, gateways=[node.gateway]) as reader:
        assert refusal(reader, "root").code in ("unavailable", "corruption")
    with LyingGateway(node.gateway, change=flipped) as bad, Tool(root=name, gateways=[bad.url]) as reader:
        assert refusal(reader, "root").code == "integrity"


def test_root_is_found_by_other_nodes(nodes: list[Kubo], tmp_path: Path) -> None:
    path = file_of(tmp_path, MIB, seed=15)
    with Tool(apis=[nodes[0].api], name="0e") as tool:
        cid = tool.put(path)
        tool.ask("put_document", name="manifest-0000000000000001", text="x")
        root = tool.root()
        own = nodes[0].rpc("id")["ID"]

        def is_found(what: str) -> bool:
            return own in nodes[1].call("routing", "findprovs", "--num-providers=1", what)

        wait_for("the root has a provider", lambda: is_found(root))
        wait_for("the object has a provider", lambda: is_found(cid))


def test_token_is_asked_for_and_given(tmp_path: Path) -> None:
    rights = {"archive": {"AuthSecret": "bearer:s3cret", "AllowedPaths": ["/api/v0"]}}
    with Kubo(tmp_path / "repo", {"API": {"HTTPHeaders": {}, "Authorizations": rights}}) as node:
        path = file_of(tmp_path, 100, seed=16)
        for token in ("", "Bearer wrong"):
            with Tool(apis=[node.api], name="0f", token=token) as tool:
                caught = refusal(tool, "put", path=str(path), **name_of(path))
                assert caught.code == "permission_denied" and "token" in caught.message and "wrong" not in caught.message
        with Tool(apis=[node.api], name="0f", token="Bearer s3cret") as tool:
            tool.put(path)
            tool.get(path, tmp_path / "back")


def test_pinning_service_is_asked_once_and_let_go(node: Kubo, tmp_path: Path) -> None:
    path = file_of(tmp_path, MIB, seed=19)
    with PinningService() as service, PinningService() as other:
        node.call("pin", "remote", "service", "add", "kept by others", service.url, TOKEN)
        node.call("pin", "remote", "service", "add", "wrong", other.url, "no secret")
        with Tool(apis=[node.api], name="20", pin_services=["kept by others"]) as tool:
            cid = tool.put(path)
            tool.put(path)
            assert [one["pin"]["cid"] for one in service.pins.values()] == [cid]
            assert [one["pin"]["name"] for one in service.pins.values()] == [name_of(path)["sha256"]]
            tool.ask("remove", **name_of(path))
            assert service.pins == {}
        for name, word, code in (("wrong", "UNAUTHORIZED", "permission_denied"), ("unknown", "not known", "unavailable")):
            with Tool(apis=[node.api], name="21", pin_services=[name]) as tool:
                caught = refusal(tool, "put", path=str(path), **name_of(path))
                assert caught.code == code and word in caught.message and "no secret" not in caught.message
        assert other.refused > 0


def test_address_that_is_no_node_says_so(nodes: list[Kubo], tmp_path: Path) -> None:
    path = file_of(tmp_path, 100, seed=17)
    with Tool(apis=[nodes[0].gateway], name="10") as tool:
        caught = refusal(tool, "put", path=str(path), **name_of(path))
        assert caught.code == "invalid_argument" and "no RPC of kubo" in caught.message


def test_put_and_get_of_much_stay_small_in_memory(node: Kubo, tmp_path: Path) -> None:
    path = file_of(tmp_path, 512 * MIB, seed=18)
    with Tool(apis=[node.api], name="11") as tool:
        tool.ask("plan", path=str(path))
        print(f"CIDs: {tool.seconds / 512 / MIB * 1e9:.2f} ns/byte")
        tool.put(path)
        print(f"put: {512 / tool.seconds:.0f} MiB/s, peak {tool.peak_mb} MB")
        assert tool.peak_mb < 64
        tool.get(path, tmp_path / "back")
        print(f"get from the node: {512 / tool.seconds:.0f} MiB/s, peak {tool.peak_mb} MB")
        root = tool.root()
    with Tool(gateways=[node.gateway], root=root) as tool:
        tool.get(path, tmp_path / "back")
        print(f"get from its gateway: {512 / tool.seconds:.0f} MiB/s, peak {tool.peak_mb} MB")
        assert tool.peak_mb < 64

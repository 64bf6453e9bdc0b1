"""Archives on Shadow Drive, both APIs: a service that checks every signature, and one that lies, stalls and breaks off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kubo import name_of
from shadow_drive import ShadowDrive, ShadowTool
from test_archive_ipfs import file_of

MIB = 1 << 20
PART = 5 * MIB
APIS = ["v1.5", "v2"]
SIZES = [0, 1, PART - 1, PART, PART + 1, 12 * MIB]


@pytest.fixture
def drive() -> Iterator[ShadowDrive]:
    with ShadowDrive() as one:
        yield one


@pytest.fixture(params=APIS)
def tool(request: pytest.FixtureRequest, drive: ShadowDrive) -> Iterator[ShadowTool]:
    with ShadowTool(drive, request.param, stall_ms=2000) as one:
        yield one


@pytest.mark.parametrize("size", SIZES)
def test_object_comes_back(size: int, tool: ShadowTool, drive: ShadowDrive, tmp_path: Path) -> None:
    path = file_of(tmp_path, size)
    assert not tool.has(path)
    assert tool.put(path) == ""
    assert drive.files == {tool.stored(path): path.read_bytes()}
    assert tool.has(path)
    tool.get(path, tmp_path / "back")
    assert tool.ask("list")["objects"] == [name_of(path) | {"locator": ""}]
    assert tool.documents() == []

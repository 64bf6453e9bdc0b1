"""Archives on Shadow Drive, both APIs: a service that checks every signature, and one that lies, stalls and breaks off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kubo import name_of
from shadow_drive import ShadowDrive, ShadowTool, account_of, wallet_of
from test_archive_ipfs import file_of, refusal

pytestmark = pytest.mark.slow
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
    posts = sum(one.startswith("POST") for one in drive.requests)
    assert tool.put(path) == ""
    assert sum(one.startswith("POST") for one in drive.requests) == posts, "it was there already"
    tool.ask("remove", **name_of(path))
    tool.ask("remove", **name_of(path))
    assert not drive.files and not tool.has(path)
    assert tool.ask("list")["objects"] == []


def test_parts_have_five_mib(drive: ShadowDrive, tmp_path: Path) -> None:
    with ShadowTool(drive, "v2") as tool:
        tool.put(file_of(tmp_path, 12 * MIB))
    assert [one for one in drive.requests if one.startswith("POST")] == [
        "POST /v1/object/multipart/create",
        *["POST /v1/object/multipart/upload-part"] * 3,
        "POST /v1/object/multipart/complete",
    ]
    assert tool.peak_mb < 40, "content goes through, not into memory"


def test_documents_are_replaced(tool: ShadowTool, drive: ShadowDrive, tmp_path: Path) -> None:
    assert tool.documents() == [] and tool.document("keyring") is None
    tool.put(file_of(tmp_path, 10))
    drive.files[tool.account, "somebody else's.txt"] = b"not ours"
    for text in ("first", "second, longer", "", "x" * (6 * MIB)):
        tool.ask("put_document", name="keyring", text=text)
        assert tool.document("keyring") == text
    tool.ask("put_document", name="manifest-000000000000000a", text="m")
    assert tool.documents() == ["keyring", "manifest-000000000000000a"]
    assert len(tool.ask("list")["objects"]) == 1
    tool.ask("remove_document", name="keyring")
    tool.ask("remove_document", name="keyring")
    assert tool.documents() == ["manifest-000000000000000a"]
    assert refusal(tool, "put_document", name="../up", text="").code == "invalid_argument"


def test_other_content_than_the_name_says_is_not_sent(tool: ShadowTool, drive: ShadowDrive, tmp_path: Path) -> None:
    path, other = file_of(tmp_path, 100), file_of(tmp_path, 100, seed=2)
    error = refusal(tool, "put", path=str(path), **name_of(other))
    assert error.code == "integrity" and name_of(other)["sha256"] in error.message
    assert drive.requests == []


@pytest.mark.parametrize("api", APIS)
def test_wrong_wallet_is_refused(api: str, drive: ShadowDrive, tmp_path: Path) -> None:
    kept, path = file_of(tmp_path, 100), file_of(tmp_path, 6 * MIB, seed=2)
    stranger = wallet_of("stranger")
    with ShadowTool(drive, api) as owner, ShadowTool(drive, api, stranger) as tool:
        owner.put(kept)
        before = dict(drive.files)
        for error in (
            refusal(tool, "put", path=str(path), **name_of(path)),
            refusal(tool, "remove", **name_of(kept)),
            refusal(tool, "put_document", name="keyring", text="mine now"),
        ):
            assert error.code == "permission_denied"
            assert tool.account in error.message and str(stranger.pubkey()) in error.message
            assert stranger.secret().hex() not in error.message
        assert drive.files == before


@pytest.mark.parametrize("api", APIS)
def test_wrong_account_is_named(api: str, drive: ShadowDrive, tmp_path: Path) -> None:
    path, nowhere = file_of(tmp_path, 6 * MIB), str(wallet_of("nowhere").pubkey())
    with ShadowTool(drive, api, account=nowhere) as tool:
        assert not tool.has(path)
        for error in (refusal(tool, "put", path=str(path), **name_of(path)), refusal(tool, "list")):
            assert error.code == "invalid_argument" and nowhere in error.message and "account" in error.message
        assert refusal(tool, "get", path=str(tmp_path / "back"), **name_of(path)).code == "corruption"


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"account": "not base58 0OIl"}, "account"),
        ({"account": "abc"}, "account"),
        ({"account": "", "api": "v2"}, "account"),
        ({"account": "a/../b", "api": "v2"}, "account"),
        ({"api": "v3"}, "api"),
        ({"endpoint": "ftp://here"}, "endpoint"),
        ({"files_base": "here"}, "files_base"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, str], word: str, drive: ShadowDrive) -> None:
    with ShadowTool(drive, **{"api": "v1.5", **settings}) as tool:
        error = refusal(tool, "list")
        assert error.code == "invalid_argument" and error.message.startswith(word + ":")


def test_files_may_be_read_elsewhere(drive: ShadowDrive, tmp_path: Path) -> None:
    path = file_of(tmp_path, 1000)
    with ShadowDrive() as cache, ShadowTool(drive, "v2", files_base=cache.url + "/") as tool:
        tool.put(path)
        assert refusal(tool, "get", path=str(tmp_path / "back"), **name_of(path)).code == "corruption"
        cache.files.update(drive.files)
        tool.get(path, tmp_path / "back")


def test_damaged_downloads_are_refused_and_named(tool: ShadowTool, drive: ShadowDrive, tmp_path: Path) -> None:
    path, other = file_of(tmp_path, 300_000), file_of(tmp_path, 300_000, seed=2)
    tool.put(path)
    tool.put(other)
    whole = drive.files[tool.stored(path)]

    def code(stored: bytes | None) -> str:
        drive.files.pop(tool.stored(path), None)
        if stored is not None:
            drive.files[tool.stored(path)] = stored
        error = refusal(tool, "get", path=str(tmp_path / "back"), **name_of(path))
        assert name_of(path)["sha256"] in error.message
        return error.code

    flipped = bytearray(whole)
    flipped[-1] ^= 1
    assert code(bytes(flipped)) == "integrity"
    assert code(drive.files[tool.stored(other)]) == "integrity"
    assert code(whole + b"x") == "integrity"
    assert code(whole[:-1]) == "corruption" and not tool.has(path)
    assert code(b"") == "corruption"
    assert code(None) == "corruption"
    drive.files[tool.stored(path)] = whole
    for how, expected in (("altered", "integrity"), ("short", "corruption"), ("longer", "integrity"), ("half", "unavailable")):
        drive.fail("GET", how)
        assert refusal(tool, "get", path=str(tmp_path / "back"), **name_of(path)).code == expected
    tool.get(path, tmp_path / "back")


STATUSES = {401: "permission_denied", 403: "permission_denied", 413: "storage_full", 507: "storage_full"}
LATER = {429: "unavailable", 500: "unavailable", 502: "unavailable", 503: "unavailable"}


@pytest.mark.parametrize(("status", "code"), [*STATUSES.items(), *LATER.items(), (301, "invalid_argument")])
def test_statuses_mean_errors(status: int, code: str, tool: ShadowTool, drive: ShadowDrive, tmp_path: Path) -> None:
    path, new = file_of(tmp_path, 1000), file_of(tmp_path, 1001)
    tool.put(path)
    drive.fail("", status, count=-1)
    for error in (
        refusal(tool, "has", **name_of(path)),
        refusal(tool, "get", path=str(tmp_path / "back"), **name_of(path)),
        refusal(tool, "put", path=str(new), **name_of(new)),
        refusal(tool, "remove", **name_of(path)),
        refusal(tool, "list"),
        refusal(tool, "put_document", name="keyring", text="k"),
        refusal(tool, "get_document", name="keyring"),
        refusal(tool, "list_documents"),
    ):
        assert error.code == code and str(status) in error.message
    drive.faults.clear()
    tool.get(path, tmp_path / "back")
    tool.put(new)


@pytest.mark.parametrize("how", ["half", "stall"])
def test_answers_that_break_off(how: str, tool: ShadowTool, drive: ShadowDrive, tmp_path: Path) -> None:
    path = file_of(tmp_path, 300_000)
    expected = "timeout" if how == "stall" else "unavailable"
    drive.fail("POST", how)
    assert refusal(tool, "put", path=str(path), **name_of(path)).code == expected
    tool.put(path)
    drive.fail("GET", how)
    assert refusal(tool, "get", path=str(tmp_path / "back"), **name_of(path)).code == expected
    assert tool.seconds < 10
    tool.get(path, tmp_path / "back")


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b"null", b"{}", b'{"files": 1, "objects": {}}', b"[" * 100_000, b"\xff{"])
def test_answers_that_say_nothing(answer: bytes, tool: ShadowTool, drive: ShadowDrive, tmp_path: Path) -> None:
    path = file_of(tmp_path, 1000)
    drive.fail("POST", 200, count=-1, body=answer)
    assert refusal(tool, "put", path=str(path), **name_of(path)).code == "unavailable"
    assert refusal(tool, "list").code == "unavailable"


def test_a_part_is_tried_again(drive: ShadowDrive, tmp_path: Path) -> None:
    path = file_of(tmp_path, 12 * MIB)
    with ShadowTool(drive, "v2", stall_ms=2000) as tool:
        drive.fail("upload-part", 503, count=2)
        tool.put(path)
        tool.get(path, tmp_path / "back")
        tool.ask("remove", **name_of(path))
        drive.fail("upload-part", 503, count=3)
        assert refusal(tool, "put", path=str(path), **name_of(path)).code == "unavailable"
        drive.fail("upload-part", 403)
        assert refusal(tool, "put", path=str(path), **name_of(path)).code == "permission_denied"
        drive.fail("complete", "half")
        drive.fail("create", 200, body=b'{"uploadId": "a\\nb", "key": "k"}')
        assert refusal(tool, "put", path=str(path), **name_of(path)).code == "unavailable"
        tool.ask("remove", **name_of(path))
        drive.faults.clear()
        tool.put(path)
        tool.get(path, tmp_path / "back")


@pytest.mark.parametrize("api", APIS)
def test_full_account_says_so(api: str, drive: ShadowDrive, tmp_path: Path) -> None:
    drive.add_account(account_of(api), str(wallet_of("owner").pubkey()), reserved=7 * MIB)
    with ShadowTool(drive, api) as tool:
        for size in (3 * MIB, 6 * MIB):
            path = file_of(tmp_path, size)
            if size == 3 * MIB:
                tool.put(path)
                continue
            error = refusal(tool, "put", path=str(path), **name_of(path))
            assert error.code == "storage_full" and "storage" in error.message
        assert len(drive.files) == 1


def test_long_lists_are_read(tool: ShadowTool, drive: ShadowDrive) -> None:
    for number in range(20_000):
        drive.files[tool.account, f"{number:064x}.dvseg"] = b"x" * (number % 3)
    listed = tool.ask("list")["objects"]
    assert [(one["sha256"], one["bytes"]) for one in listed] == [(f"{n:064x}", n % 3) for n in range(20_000)]


@pytest.mark.parametrize("api", APIS)
def test_place_has_a_name_without_credentials(api: str, drive: ShadowDrive) -> None:
    with ShadowTool(drive, api, endpoint=drive.url.replace("http://", "http://user:secret@")) as tool:
        text = tool.ask("describe")["text"]
        tool.ask("put_document", name="keyring", text="k")
        tool.ask("remove_document", name="keyring")
        drive.fail("", 503, count=-1)
        assert "secret" not in refusal(tool, "list").message
    assert tool.account in text and drive.url.removeprefix("http://") in text and "secret" not in text
    assert tool.wallet.secret().hex() not in text

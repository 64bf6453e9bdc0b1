"""What an entry of a list of devices may be, and how one that is none is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from dvesp import TLS, InvalidArgument, Keyring, Unavailable, VectorStore
from dvesp.deployment import device_place
from node_cluster import Cluster


def test_node_without_a_device_says_so(tmp_path: Path) -> None:
    with Cluster(tmp_path, 1) as plain, pytest.raises(Unavailable, match="--device"):
        VectorStore(tmp_path / "s", devices=[*plain.addresses, tmp_path / "d"], keyring=keyring())


def keyring() -> Keyring:
    return Keyring.from_passphrase("correct horse battery staple")


@pytest.mark.parametrize(
    ("devices", "words"),
    [
        (["127.0.0.1:7000", "127.0.0.1:7000"], "of its own"),
        (["127.0.0.1:70000", "127.0.0.1:7001"], "port"),
        (["10.1.2.3:7000", "10.1.2.4:7000"], "TLS"),
        (["http://node1:7000", "./d"], "HOST:PORT"),
    ],
)
def test_entries_that_are_no_places_are_named(
    devices: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(InvalidArgument, match=words):
        VectorStore(tmp_path / "s", devices=devices, keyring=keyring())


def test_what_is_a_directory_and_what_a_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here:7000").mkdir()
    assert device_place("here:7000") == "here:7000" and device_place("https://here:7000") == "node://here:7000"
    assert device_place("there:7000") == "node://there:7000" and device_place("./there:7000") == "./there:7000"
    assert device_place(Path("there:7000")) == "there:7000" and device_place("[::1]:7000") == "node://[::1]:7000"
    assert device_place("d1") == "d1" and device_place("there:7000#new") == "node://there:7000#new"
    (tmp_path / "file").write_text("")
    files = TLS("file", "file", "file")
    with pytest.raises(InvalidArgument, match="leave it out"):
        VectorStore(tmp_path / "s", devices=["./d1", "./d2"], keyring=keyring(), tls=files)

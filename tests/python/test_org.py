"""``dvesp org quickstart``: what it leaves works, nothing is overwritten, and no secret is printed."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from dvesp import Keyring, VectorStore, cli


def test_quickstart_leaves_a_store_that_its_own_lines_of_python_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "acme"
    assert cli.main(["org", "quickstart", str(place), "--organisation", "Acme", "--json"]) == 0
    printed = capsys.readouterr()
    summary = json.loads(printed.out)
    secret = Path(summary["key"]).read_text(encoding="ascii").strip()
    assert len(secret) == 64 and secret not in printed.out + printed.err
    assert stat.S_IMODE(Path(summary["key"]).stat().st_mode) == 0o600
    assert (summary["k"], summary["n"], summary["status"], len(summary["devices"])) == (3, 5, "success", 5)
    assert Path(summary["ca"]["certificate"]).exists() and Path(summary["ca"]["owner_certificate"]).exists()
    keyring = Keyring.from_file(summary["key"])
    with VectorStore(summary["store"], devices=summary["devices"], keyring=keyring) as store:
        assert store.count(summary["collection"]) == 3
        assert store.retrievability(summary["collection"]).records_below_n == 0
        record = store.get(["note-2"], summary["collection"])[0]
        assert record is not None and record.metadata == {"text": "the budget is approved"}
    for file in [*Path(summary["store"]).rglob("*"), *(place / "devices").rglob("*")]:
        if file.is_file():
            assert b"budget" not in file.read_bytes() and b"note-2" not in file.read_bytes()


@pytest.mark.parametrize("devices", [7, 8, 12, 30])
def test_quickstart_takes_more_devices_and_says_what_it_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], devices: int
) -> None:
    place = tmp_path / "fleet"
    assert cli.main(["org", "quickstart", str(place), "--organisation", "Acme", "--devices", str(devices)]) == 0
    printed = capsys.readouterr()
    assert "still found and read" in printed.err and "know nothing" in printed.err and "verified" in printed.err
    assert printed.out.startswith("from dvesp import Keyring, VectorStore\n")
    assert len(list((place / "devices").iterdir())) == devices


def test_quickstart_refuses_what_is_there_and_too_few_devices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    assert cli.main(["org", "quickstart", str(tmp_path), "--organisation", "Acme"]) == 1
    assert "not empty" in capsys.readouterr().err and (tmp_path / "file").read_text(encoding="utf-8") == "mine"
    assert cli.main(["org", "quickstart", str(tmp_path / "new"), "--organisation", "Acme", "--devices", "4"]) == 2
    assert "--devices is 4" in capsys.readouterr().err and not (tmp_path / "new").exists()
    assert cli.main(["org", "quickstart", str(tmp_path / "new"), "--organisation", "Acme", "--devices", "101"]) == 2

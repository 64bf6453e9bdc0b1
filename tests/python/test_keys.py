"""Keys of sealed stores: who unlocks them, and who no more; recovery words; shredded collections; nothing secret is shown."""

from __future__ import annotations

import builtins
import ctypes
import itertools
import json
import os
import pickle
import resource
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import sealed_store
from dvesp import (
    CollectionExists,
    CollectionNotFound,
    Error,
    IntegrityError,
    InvalidArgument,
    Keyring,
    Sealed,
    StoreLocked,
    Unavailable,
    VectorStore,
)
from dvesp.cli import main
from dvesp.keys import KeySpread, StoreKeys, make_key_file, recover

OLD, NEW, THIRD = "00" * 32, "11" * 32, "c0ffee77" * 8
PASSPHRASE = "correct horse battery staple"


def keyring(key: str) -> Keyring:
    os.environ["DVESP_TEST_KEY"] = key
    return Keyring.from_environment("DVESP_TEST_KEY")


def devices(place: Path) -> list[Path]:
    return [place / f"d{number}" for number in range(1, 6)]


def opened(place: Path, key: str = OLD) -> StoreKeys:
    return StoreKeys(place / "s", devices=devices(place), keyring=keyring(key))


def tree(place: Path) -> dict[str, bytes]:
    """Everything that is stored; locks hold a process id and say nothing."""
    return {
        str(path.relative_to(place)): path.read_bytes()
        for path in sorted(place.rglob("*"))
        if path.is_file() and path.name != "lock"
    }


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A closed sealed store with the collections ``letters`` and ``notes``."""
    rows = np.eye(4, dtype=np.float32)
    with sealed_store(tmp_path) as store:
        for name in ("letters", "notes"):
            store.insert(rows, [{"n": at} for at in range(4)], list("abcd"), name)
    return tmp_path


def check(place: Path, key: str) -> None:
    with sealed_store(place, key=key) as store:
        assert store.get(["b"], "notes")[0].vector.tolist() == [0, 1, 0, 0]  # type: ignore[union-attr]
        assert store.retrievability("notes").records_below_n == 0


def test_added_secret_opens_and_slots_are_listed_without_secrets(place: Path) -> None:
    with opened(place) as keys:
        assert keys.add(keyring(NEW)) == KeySpread(5, 5)
        assert keys.add(Keyring.from_passphrase(PASSPHRASE)).reached == 5
        told = [(slot.number, slot.kind, slot.epoch, slot.is_used) for slot in keys.slots()]
        assert told == [(1, "key-file", 1, True), (2, "key-file", 1, False), (3, "passphrase", 1, False)]
        with pytest.raises(TypeError):
            pickle.dumps(keys)
    for key in (OLD, NEW):
        check(place, key)
    with VectorStore(place / "s", devices=devices(place), keyring=Keyring.from_passphrase(PASSPHRASE)) as store:
        assert store.count("notes") == 4
    with pytest.raises(InvalidArgument, match="closed"):
        keys.slots()


def test_removed_secret_opens_no_more_and_the_last_one_stays(place: Path) -> None:
    with opened(place) as keys:
        keys.add(keyring(NEW))
        keys.remove(1)
        assert [slot.number for slot in keys.slots()] == [1]
        with pytest.raises(InvalidArgument, match="last slot"):
            keys.remove(1)
        with pytest.raises(InvalidArgument, match="no slot 2"):
            keys.remove(2)
    check(place, NEW)
    with pytest.raises(Sealed, match="does not open"):
        sealed_store(place, key=OLD)


def test_rotation_ends_the_old_secret_also_where_an_old_table_comes_back(place: Path) -> None:
    shutil.copytree(place / "s", place / "older")
    (place / "d2").rename(place / "away")
    with opened(place) as keys:
        assert keys.rotate(keyring(NEW), keyring(THIRD)) == KeySpread(5, 4)
        assert keys.epoch == 2
    with pytest.raises(Sealed, match="does not open"):
        sealed_store(place, key=OLD)
    (place / "away").rename(place / "d2")  # with the old table
    with pytest.raises(Sealed, match="replaced by a rotation"):
        sealed_store(place, key=OLD)
    shutil.rmtree(place / "s")
    with pytest.raises(Sealed, match="replaced by a rotation"):  # nor from the devices alone
        sealed_store(place, key=OLD)
    (place / "older").rename(place / "s")
    with pytest.raises(Sealed, match="replaced by a rotation"):  # nor with an older directory
        sealed_store(place, key=OLD)
    check(place, NEW)  # the older directory and the device take the new table
    for other in (1, 3, 4, 5):
        shutil.move(place / f"d{other}", place / f"away{other}")
    for path in (place / "s", place / "d2"):
        with pytest.raises((Sealed, Unavailable)):
            sealed_store(place, key=OLD)
        assert path.exists()
    for other in (1, 3, 4, 5):
        shutil.move(place / f"away{other}", place / f"d{other}")
    shutil.rmtree(place / "s")
    check(place, THIRD)


def test_shredded_collection_is_sealed_for_ever_and_others_work(place: Path) -> None:
    shutil.copytree(place / "s", place / "older")
    (place / "d3").rename(place / "away")
    with opened(place) as keys:
        assert keys.shred("letters") == KeySpread(5, 4)
        with pytest.raises(Sealed, match="was shredded"):
            keys.shred("letters")
        with pytest.raises(CollectionNotFound, match="nothing"):
            keys.shred("nothing")
    row = np.ones((1, 4), np.float32)

    def everything_is_sealed(is_rolled_back: bool = False) -> None:
        with sealed_store(place) as store:
            for call in (
                lambda: store.get(["a"], "letters"),
                lambda: store.search(row[0], collection="letters"),
                lambda: store.count("letters"),
                lambda: list(store.scroll("letters")),
                lambda: store.insert(row, ids=["x"], collection="letters"),
                lambda: store.delete(["a"], collection="letters"),
            ):
                with pytest.raises(Sealed, match="'letters' was shredded"):
                    call()
            with pytest.raises(CollectionExists):
                store.create_collection("letters", 3)
            assert store.count("notes") >= 4 and store.get(["b"], "notes")[0] is not None
            if is_rolled_back:  # its audit log too, which the devices notice
                with pytest.raises(IntegrityError, match="does not cosign"):
                    store.flush()
            else:
                store.flush()
            store.compact("notes")

    everything_is_sealed()
    (place / "away").rename(place / "d3")  # with the old table, and with fragments
    everything_is_sealed()
    shutil.rmtree(place / "s")
    everything_is_sealed()
    shutil.rmtree(place / "s")
    shutil.copytree(place / "older", place / "s")  # an index that has the vectors
    everything_is_sealed(is_rolled_back=True)
    with sealed_store(place) as store:
        store.insert(row, ids=["x"], collection="notes")
        store.drop_collection("letters")
        store.insert(row * 2, ids=["y"], collection="letters")
    shutil.rmtree(place / "s")
    with sealed_store(place) as store:
        assert store.count("letters") == 1 and store.count("notes") == 5
    check(place, OLD)


def test_shredded_collection_has_no_key_in_any_table_and_no_index(place: Path) -> None:
    before = tree(place)
    with opened(place) as keys:
        keys.shred("letters")
    after = tree(place)
    tables = [data for name, data in after.items() if name == "s/keys" or "/keys" in name]
    assert len(tables) >= 6 and all(b"data/2" in data and b"data/1" not in data for data in tables)
    assert any(b"data/1" in data for data in before.values())
    assert not [name for name in after if name.startswith("s/index/")], "the index had the vectors"
    check(place, OLD)


@pytest.mark.parametrize("gone", [1, 2])
def test_recovery_words_open_a_store_whose_secrets_are_lost(place: Path, gone: int) -> None:
    with opened(place) as keys:
        words = keys.split(2, 3)
        again = keys.split(2, 3)
    assert len(words) == 3 and all(len(line.split()) == 33 for line in words)
    if gone == 2:
        shutil.rmtree(place / "s")
    before = tree(place)
    chosen = [words[2], "", words[0].upper() + "  "]

    def refused(lines: list[str], text: str) -> None:
        with pytest.raises(Sealed, match=text) as caught:
            recover(place / "s", devices=devices(place), words=lines, keyring=keyring(NEW))
        shown = str(caught.value)
        # Two in a row: one alone may be a word of the message, for "have" and "line" are words of shares too.
        first = words[0].split()
        assert not any(" ".join(pair) in shown for pair in itertools.pairwise(first)), shown
        assert tree(place) == before, "nothing is written"

    refused([], "there are no words")
    refused(words[:1], "1 different lines are given, but 2")
    refused([words[0], words[0]], "1 different lines")
    refused([words[0], again[1]], "not of one split")
    refused([words[0], " ".join(words[1].split()[:-1])], "line 2 has 32 words")
    changed = words[1].split()
    changed[5] = "academic" if changed[5] != "academic" else "acid"
    refused([words[0], " ".join(changed)], "line 2 has a wrong word")
    refused([words[0], " ".join([*changed[:5], "nonsense", *changed[6:]])], "line 2 has a wrong word")
    with sealed_store(place / "other"):
        pass
    with opened(place / "other") as others:
        foreign = others.split(2, 2)
    shutil.rmtree(place / "other")
    refused(foreign, "not of this store")
    assert recover(place / "s", devices=devices(place), words=chosen, keyring=keyring(NEW)) == KeySpread(5, 5)
    for key in (OLD, NEW):
        check(place, key)
    with opened(place, NEW) as keys:
        keys.rotate(keyring(NEW))
    with pytest.raises(Sealed, match="epoch 1, which a rotation ended"):
        recover(place / "s", devices=devices(place), words=words[:2], keyring=keyring(THIRD))


def test_every_two_of_three_lines_recover_and_numbers_are_checked(place: Path) -> None:
    with opened(place) as keys:
        for numbers in ((0, 3), (4, 3), (1, 2), (2, 17)):
            with pytest.raises(InvalidArgument):
                keys.split(*numbers)
        assert len(keys.split(1, 1)) == 1
        words = keys.split(2, 3)
    for pair in ((0, 1), (0, 2), (2, 1)):
        recover(place / "s", devices=devices(place), words=[words[at] for at in pair], keyring=keyring(NEW))
    check(place, NEW)


def test_words_are_slip_39_of_the_published_vectors() -> None:
    # Vector 4 of SLIP-39's vectors.json, passphrase TREZOR: that the library is the standard's is ours to know, too.
    shamir = pytest.importorskip("shamir_mnemonic")
    words = [
        "shadow pistol academic always adequate wildlife fancy gross oasis cylinder mustang wrist rescue view short owner flip "
        "making coding armed",
        "shadow pistol academic acid actress prayer class unknown daughter sweater depict flip twice unkind craft early "
        "superior advocate guest smoking",
    ]
    assert shamir.combine_mnemonics(words, b"TREZOR").hex() == "b43ceb7e57a0ea8766221624d01b0864"


def test_too_few_devices_wrong_keys_and_open_stores_write_nothing(place: Path) -> None:
    before = tree(place)
    with pytest.raises(Sealed, match="does not open"):
        opened(place, NEW)
    for number in (1, 2, 3):
        (place / f"d{number}").rename(place / f"away{number}")
    with pytest.raises(Unavailable, match="2 of 5 devices"):
        opened(place)
    for number in (1, 2, 3):
        (place / f"away{number}").rename(place / f"d{number}")
    assert tree(place) == before
    with opened(place) as keys:
        for number in (1, 2, 3):
            (place / f"d{number}").rename(place / f"away{number}")
        for call in (
            lambda: keys.add(keyring(NEW)),
            lambda: keys.rotate(keyring(NEW)),
            lambda: keys.remove(1),
            lambda: keys.shred("notes"),
        ):
            with pytest.raises(Unavailable, match="nothing was written"):
                call()
        for number in (1, 2, 3):
            (place / f"away{number}").rename(place / f"d{number}")
        assert tree(place) == before
        with pytest.raises(InvalidArgument, match="at least one secret"):
            keys.rotate()
        with pytest.raises((StoreLocked, Unavailable)):
            sealed_store(place)
    with sealed_store(place), pytest.raises(StoreLocked):
        opened(place)
    with pytest.raises(InvalidArgument, match="no sealed store"):
        StoreKeys(place / "x", devices=[place / "y", place / "z"], keyring=keyring(OLD))
    assert not (place / "x").exists() and not (place / "y").exists()
    with pytest.raises(InvalidArgument, match="Keyring"):
        StoreKeys(place / "s", devices=devices(place), keyring="secret")  # type: ignore[arg-type]


def test_stale_devices_take_the_newest_table(place: Path) -> None:
    for number in (1, 2):
        shutil.copytree(place / f"d{number}", place / f"old{number}")
    with opened(place) as keys:
        keys.add(keyring(NEW))
        keys.rotate(keyring(NEW))
        keys.add(keyring(THIRD))
    for number in (1, 2):
        shutil.rmtree(place / f"d{number}")
        (place / f"old{number}").rename(place / f"d{number}")
    shutil.rmtree(place / "s")
    check(place, THIRD)
    for number in (3, 4):
        shutil.rmtree(place / f"d{number}")
    check_places = [place / "s", place / "d1", place / "d2", place / "d5"]
    assert all(path.exists() for path in check_places)
    with sealed_store(place, key=NEW) as store:
        assert store.count("notes") == 4


def cli(*arguments: Any, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dvesp", "keys", *map(str, arguments)]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


def test_commands_do_what_they_say_and_show_no_secret(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEW_PASSPHRASE", PASSPHRASE)
    old, new = place / "old.key", place / "new.key"
    old.write_text(OLD)
    shown = []

    def run(code: int, *arguments: Any, text: str = "") -> Any:
        done = cli(*arguments, text=text)
        assert done.returncode == code, done
        shown.append(done.stdout + done.stderr)
        return json.loads(done.stdout) if "--json" in arguments and code == 0 else done.stdout + done.stderr

    where = (place / "s", "--device", *devices(place))
    with_old, with_new = ("--key-file", old), ("--key-file", new)
    assert run(0, "init", new, "--json") == {"file": str(new)}
    assert stat.S_IMODE(new.stat().st_mode) == 0o600 and len(new.read_text().strip()) == 64
    kept = new.read_text()
    assert "exists already" in run(1, "init", new) and new.read_text() == kept
    assert "1 of" not in run(0, "list", *where, *with_old)
    assert run(0, "add", *where, *with_old, "--new-key-file", new, "--json") == {"done": "added", "devices": 5, "reached": 5}
    assert "5 of 5" in run(0, "add", *where, *with_new, "--new-passphrase-env", "NEW_PASSPHRASE")
    slots = run(0, "list", *where, "--passphrase-env", "NEW_PASSPHRASE", "--json")["slots"]
    assert [slot["kind"] for slot in slots] == ["key-file", "key-file", "passphrase"] and slots[2]["is_used"]
    run(0, "remove", place / "s", 1, *where[1:], *with_new)
    assert "does not open" in run(1, "list", *where, *with_old)
    assert "--yes" in run(2, "shred", place / "s", "letters", *where[1:], *with_new)
    assert "5 of 5" in run(0, "shred", place / "s", "letters", *where[1:], *with_new, "--yes")
    run(0, "rotate", *where, *with_new, "--new-key-file", old, "--new-passphrase-env", "NEW_PASSPHRASE")
    assert "does not open" in run(1, "list", *where, *with_new)
    done = cli("split", place / "s", 2, 3, *where[1:], *with_old)  # the one command whose output is secret
    words = done.stdout.splitlines()
    assert done.returncode == 0 and len(words) == 3 and "Any 2" in done.stderr
    text = "\n".join(words[1:])
    assert "2 of them are needed" in run(1, "recover", *where, "--new-key-file", new, text=words[0])
    (place / "words.txt").write_text(text)
    assert "5 of 5" in run(0, "recover", *where, "--words", place / "words.txt", "--new-key-file", new)
    assert run(0, "recover", *where, "--new-key-file", new, "--json", text=text)["reached"] == 5
    assert "give the new secret" in run(2, "recover", *where, text=text)
    run(2, "add", *where, "--new-key-file", new)
    run(2, "list", place / "s", *with_old)
    assert "not set" in run(1, "list", *where, "--passphrase-env", "NO_SUCH")
    assert "words are read from" in run(2, "recover", *where, "--words", words[1], "--new-key-file", new)
    for text in shown:
        assert not any(secret in text for secret in (OLD, kept.strip(), PASSPHRASE, *words)), text


def test_each_command_has_an_example_in_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("init", "list", "add", "remove", "rotate", "shred", "split", "recover"):
        assert main(["keys", name, "--help"]) == 0
        assert f"example: dvesp keys {name}" in capsys.readouterr().out.replace("\n", " ").replace("  ", " ")


def test_missing_library_is_named_with_its_pip_line(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name == "shamir_mnemonic":
            raise ImportError(name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with opened(place) as keys, pytest.raises(ImportError, match=r"pip install 'dvesp\[recovery\]'"):
        keys.split(2, 3)
    with pytest.raises(ImportError, match="pip install"):
        recover(place / "s", devices=devices(place), words=["a"], keyring=keyring(NEW))


def test_no_secret_is_in_an_exception_or_a_repr(place: Path) -> None:
    secret = Keyring.from_passphrase(PASSPHRASE)
    with opened(place) as keys:
        texts = [repr(secret), str(secret), repr(keys), repr(keys.slots()), repr(keys.add(secret))]
    for call in (
        lambda: StoreKeys(place / "s", devices=devices(place), keyring=Keyring.from_passphrase(PASSPHRASE * 2)),
        lambda: StoreKeys(place / "s", devices=devices(place), keyring=keyring(THIRD)),
        lambda: Keyring.from_passphrase(PASSPHRASE * 1000),
        lambda: make_key_file(place),
    ):
        with pytest.raises(Error) as caught:
            call()
        texts.append(f"{caught.value!r} {caught.value.args} {caught.value.__context__} {caught.value.__cause__}")
    assert not any(PASSPHRASE in text or THIRD in text for text in texts), texts


def test_commands_about_keys_leave_no_core_dump() -> None:
    get_dumpable = 3  # PR_GET_DUMPABLE of prctl(2)
    pid = os.fork()
    if pid == 0:
        from dvesp.keys import forbid_core_dumps

        forbid_core_dumps()
        is_off = ctypes.CDLL(None).prctl(get_dumpable, 0, 0, 0, 0) == 0 and resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
        os._exit(0 if is_off else 1)
    assert os.waitpid(pid, 0)[1] == 0

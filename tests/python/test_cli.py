"""The command line: every command works, prints JSON when asked, and leaves with the right code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvesp import VectorStore, __version__
from dvesp.cli import main
from dvesp.corpus import folder_texts, standard_library_texts
from dvesp.embed import DIMENSION, load_model

COMMANDS = ["demo", "query", "mcp", "import", "export", "status", "verify", "snapshot", "restore", "bench"]


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """The directory of a store with three records in ``notes``."""
    path = tmp_path / "store"
    with VectorStore(path) as store:
        store.create_collection("notes", 2, "l2")
        store.insert([[1, 0], [0, 1], [2, 2]], [{"n": 1}, {"n": 2, "tags": ["x"]}, None], ["a", "b", "c"], "notes")
    return path


def run_json(capsys: pytest.CaptureFixture[str], *arguments: Any) -> Any:
    assert main([*map(str, arguments), "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def contents(path: Path, collection: str = "notes") -> Any:
    with VectorStore(path) as store:
        return sorted((r.id, r.vector.tolist(), r.metadata) for r in store.scroll(collection))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"example: dvesp {command}" in " ".join(out.split()) and "--json" in out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["bogus"],
        ["query", "text"],
        ["query", "--store", "nowhere", "--id", "a"],
        ["import", "x.csv", "--store", "s"],
        ["import", "absent.npy", "--store", "s"],
        ["demo", "--limit", "0"],
        ["demo", "--limit", "many"],
        ["bench", "--metric", "hamming"],
        ["restore", "nowhere", "--store", "s"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2_with_one_line(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("dvesp: error: ") and captured.err.count("\n") == 1 and captured.out == ""
    assert list(tmp_path.iterdir()) == []


def test_failure_exits_1_with_one_line(filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.jsonl").write_text('{"id": "a", "vector": [1, 2]}\nnot json\n')
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "text.npy").write_text("not numpy")
    (tmp_path / "file").write_text("")
    failures = [
        ["query", "--store", filled, "--id", "nobody"],
        ["query", "--store", filled, "--id", "a", "--collection", "nope"],
        ["query", "--store", filled, "--vector", "[1,2,3]"],
        ["import", tmp_path / "bad.jsonl", "--store", tmp_path / "new"],
        ["import", tmp_path / "binary.jsonl", "--store", tmp_path / "new"],
        ["import", tmp_path / "text.npy", "--store", tmp_path / "new"],
        ["export", tmp_path / "no" / "where.jsonl", "--store", filled],
        ["snapshot", tmp_path, "--store", filled],
        ["demo", "--path", tmp_path / "file", "--store", tmp_path / "demo"],
    ]
    for arguments in failures:
        assert main(list(map(str, arguments))) == 1, arguments
        captured = capsys.readouterr()
        lines = [line for line in captured.err.splitlines() if line.startswith("dvesp: error: ")]
        assert len(lines) == 1 and "Traceback" not in captured.err, captured.err


def test_locked_store_is_a_failure_not_a_traceback(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with VectorStore(filled):
        assert main(["status", "--store", str(filled)]) == 1
    assert capsys.readouterr().err.startswith("dvesp: error: ")


def test_query_asks_by_vector_and_by_id(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = run_json(capsys, "query", "--store", filled, "--vector", "[1, 0]", "--top-k", 2)
    assert [match["id"] for match in answer["results"]] == ["a", "b"] and answer["results"][0]["distance"] == 0
    answer = run_json(capsys, "query", "--store", filled, "--id", "c", "--filter", '{"n": 2}')
    assert [match["id"] for match in answer["results"]] == ["b"] and answer["results"][0]["metadata"]["tags"] == ["x"]
    assert main(["query", "--store", str(filled), "--id", "a", "--metric", "cosine"]) == 0
    assert "distance" in capsys.readouterr().out
    for wrong in (["words"], ["--vector", "oops"], ["--vector", '{"a": 1}'], ["--id", "a", "--vector", "[1, 2]"], []):
        assert main(["query", "--store", str(filled), *wrong]) == 2


@pytest.mark.parametrize("suffix", ["jsonl", "npy", "parquet"])
def test_export_and_import_bring_everything_back(
    filled: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file, copy = tmp_path / f"notes.{suffix}", tmp_path / "copy"
    assert run_json(capsys, "export", file, "--store", filled)["rows"] == 3
    options = ["--store", copy, "--collection", "notes", "--metric", "l2", "--batch-size", 2]
    assert run_json(capsys, "import", file, *options)["rows"] == 3
    assert contents(copy) == contents(filled)
    assert run_json(capsys, "import", file, *options)["rows"] == 3, "a second import of the same file changes nothing"
    with VectorStore(copy) as store:
        assert store.describe("notes").metric == "l2" and store.count("notes") == 3
    assert run_json(capsys, "export", file, "--store", filled, "--filter", '{"n": 1}')["rows"] == 1


def test_import_takes_other_columns_as_metadata(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"key": 7, "emb": [1, 2], "lang": "de", "metadata": {"n": 1}}, {"key": 8, "emb": [3, 4], "lang": "fr"}]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    options = ["--store", tmp_path / "s", "--ids-column", "key", "--vector-column", "emb"]
    run_json(capsys, "import", file, *options)
    assert contents(tmp_path / "s", "default") == [("7", [1, 2], {"n": 1, "lang": "de"}), ("8", [3, 4], {"lang": "fr"})]
    rows[0]["lang"] = "en"
    file.write_text("\n".join(map(json.dumps, rows)))
    assert main(["import", str(file), *map(str, options)]) == 1, "other content under a known id needs --upsert"
    run_json(capsys, "import", file, *options, "--upsert")
    assert contents(tmp_path / "s", "default")[0][2]["lang"] == "en"


def test_import_of_a_bare_matrix_makes_fresh_ids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "m.npy", np.random.default_rng(0).standard_normal((50, 4)))
    assert run_json(capsys, "import", tmp_path / "m.npy", "--store", tmp_path / "s")["rows"] == 50
    with VectorStore(tmp_path / "s") as store:
        assert store.count() == 50 and store.describe().metric == "cosine"


def test_status_verify_snapshot_restore_tell_what_they_did(
    filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_json(capsys, "status", "--store", filled)["topology"] == "embedded"
    assert "queues" in run_json(capsys, "status", "--store", filled, "--detail")
    assert main(["status", "--store", str(filled)]) == 0 and "notes" in capsys.readouterr().out
    assert run_json(capsys, "verify", "--store", filled) == {"ok": True, "problems": {"notes": []}}
    assert run_json(capsys, "snapshot", tmp_path / "copy", "--store", filled)["collections"] == {"notes": 3}
    assert run_json(capsys, "restore", tmp_path / "copy", "--store", tmp_path / "again")["collections"] == {"notes": 3}
    assert contents(tmp_path / "again") == contents(filled)
    assert main(["verify", "--store", str(filled), "--collection", "nope"]) == 1


def test_bench_measures_this_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = run_json(capsys, "bench", "--rows", 300, "--dimension", 8, "--queries", 20)
    assert report["rows"] == 300 and report["recall_at_10"] >= 0.95 and report["search_p99_ms"] > 0
    np.save(tmp_path / "m.npy", np.random.default_rng(0).standard_normal((60, 4)))
    assert main(["bench", "--npy", str(tmp_path / "m.npy"), "--memory", "--queries", "5"]) == 0
    assert "recall_at_10" in capsys.readouterr().out


def test_demo_answers_from_the_standard_library_and_is_reused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "demo"
    first = run_json(capsys, "demo", "--store", store)
    assert first["texts"] > 5000 and not first["reused"]
    top = {answer["question"]: [match["id"] for match in answer["results"]] for answer in first["answers"]}
    assert any("csv" in id for id in top["read a csv file"])
    assert any("subprocess" in id for id in top["run a command in a subprocess"])
    assert any("compress" in id for id in top["compress data"])
    assert any("date" in id for id in top["how do I parse a date"])
    again = run_json(capsys, "demo", "--store", store)
    assert again["reused"] and again["texts"] == first["texts"]
    assert [a["results"] for a in again["answers"]] == [a["results"] for a in first["answers"]]
    answer = run_json(capsys, "query", "compress bytes with bz2", "--store", store)
    assert any(match["id"].startswith("bz2") for match in answer["results"])
    assert main(["query", "", "--store", str(store)]) == 1


def test_demo_indexes_a_folder_and_keeps_stores_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    for name, topic in (("ships.md", "sailing ships cross the ocean"), ("bread.txt", "bread is baked from flour")):
        (texts / name).write_text("\n\n".join(f"{topic}, paragraph number {i} of many" for i in range(5)))
    (texts / "code.py").write_text('def bake():\n    """Bake a loaf of bread in the oven."""\n')
    report = run_json(capsys, "demo", "--path", texts, "--store", tmp_path / "demo")
    assert report["texts"] == 11
    answer = run_json(capsys, "query", "ocean ships", "--store", tmp_path / "demo", "--top-k", 3)
    assert all(match["id"].startswith("ships.md") for match in answer["results"])
    assert main(["demo", "--path", str(texts), "--store", str(tmp_path / "demo")]) == 0
    assert "Done in" in capsys.readouterr().out
    assert main(["demo", "--store", str(tmp_path / "demo"), "--limit", "10"]) == 1
    assert "another directory" in capsys.readouterr().err


def test_interrupted_demo_is_built_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with VectorStore(tmp_path / "demo") as store:
        store.insert(np.ones((3, DIMENSION), np.float32), collection="docs")
    report = run_json(capsys, "demo", "--store", tmp_path / "demo", "--limit", 200)
    assert not report["reused"] and 150 < report["texts"] <= 200


def test_corpus_names_are_unique_and_leave_tests_out() -> None:
    ids = [text.id for text in standard_library_texts()]
    assert len(ids) == len(set(ids)) and "csv" in ids and "subprocess.run" in ids
    assert not any(id.split(".")[0] == "test" or ".test." in id or ".tests." in id for id in ids)


def test_corpus_of_a_folder_skips_what_it_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def (:\n")
    (tmp_path / "latin.txt").write_bytes("façade of a building, in latin-1\n".encode("latin-1"))
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    assert [text.id for text in folder_texts(tmp_path)] == ["latin.txt:1"]


def test_embedding_is_reproducible_and_finds_company() -> None:
    model = load_model()
    texts = ["a cat", "lions", "the truck", ""]
    vectors = model.embed(texts)
    assert vectors.shape == (4, DIMENSION) and model.embed(texts).tobytes() == vectors.tobytes()
    cat, lion, truck, nothing = vectors
    assert cat @ lion > cat @ truck and not nothing.any()
    np.testing.assert_allclose(np.linalg.norm([cat, lion, truck], axis=1), 1, rtol=1e-5)
    parts, identifier = model.embed(["parse date time", "parseDate.time"])
    assert parts @ identifier > 0.8


def test_command_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "dvesp", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, f"dvesp {__version__}")
    done = subprocess.run([sys.executable, "-m", "dvesp", "bogus"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith("dvesp: error: ")


def test_reader_that_leaves_early_gets_no_traceback(filled: Path) -> None:
    command = f'"{sys.executable}" -m dvesp query --store "{filled}" --id a | true'
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr

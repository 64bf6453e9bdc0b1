"""The three distributions in integrations/: each wheel is built, installed into its own directory, its README run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LANGCHAIN, LLAMA_INDEX, HAYSTACK = "langchain-dvesp", "llama-index-vector-stores-dvesp", "dvesp-haystack"

# Each file of the wheel's package; where a folder is a namespace that others share, there is no __init__.py in it.
FILES = {
    LANGCHAIN: {"langchain_dvesp/__init__.py", "langchain_dvesp/py.typed"},
    LLAMA_INDEX: {"llama_index/vector_stores/dvesp/__init__.py", "llama_index/vector_stores/dvesp/py.typed"},
    HAYSTACK: {
        "haystack_integrations/components/retrievers/dvesp/__init__.py",
        "haystack_integrations/components/retrievers/dvesp/embedding_retriever.py",
        "haystack_integrations/components/retrievers/dvesp/py.typed",
        "haystack_integrations/document_stores/dvesp/__init__.py",
        "haystack_integrations/document_stores/dvesp/document_store.py",
        "haystack_integrations/document_stores/dvesp/py.typed",
    },
}

# What has to hold once the wheel is there, printed by a fresh interpreter.
CHECKS = {
    LANGCHAIN: "import langchain_dvesp, dvesp.integrations.langchain as own\n"
    "assert langchain_dvesp.DvespVectorStore is own.DvespVectorStore",
    LLAMA_INDEX: "import llama_index.core, llama_index.vector_stores.dvesp as named, dvesp.integrations.llama_index as own\n"
    "assert named.DvespVectorStore is own.DvespVectorStore and llama_index.__file__ is None",
    HAYSTACK: """
from haystack import Document, Pipeline
from haystack_integrations.components.retrievers.dvesp import DvespEmbeddingRetriever
from haystack_integrations.document_stores.dvesp import DvespDocumentStore
store = DvespDocumentStore(path="p", embedding_dim=2)
store.write_documents([Document(id="a", embedding=[1.0, 0.0])])
pipeline = Pipeline()
pipeline.add_component("retriever", DvespEmbeddingRetriever(store))
text = pipeline.dumps()
assert "haystack_integrations.document_stores.dvesp.document_store.DvespDocumentStore" in text
store.close()
again = Pipeline.loads(text)
found = again.run({"retriever": {"query_embedding": [1.0, 0.0]}})["retriever"]["documents"]
assert [document.id for document in found] == ["a"]
""",
}


def run(*command: str, cwd: Path, path: Path | None = None) -> str:
    environment = {**os.environ, "HAYSTACK_TELEMETRY_ENABLED": "false"} | ({} if path is None else {"PYTHONPATH": str(path)})
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", [LANGCHAIN, LLAMA_INDEX, HAYSTACK])
def test_wheel_is_built_and_imported(name: str, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    source = ROOT / "integrations" / name
    run(*pip, "wheel", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", ".", str(source), cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert {file for file in archive.namelist() if ".dist-info/" not in file} == FILES[name]
    installed = tmp_path / "installed"
    run(*pip, "install", "--no-deps", "--no-index", "--target", str(installed), str(wheel), cwd=tmp_path)
    run(sys.executable, "-c", CHECKS[name], cwd=tmp_path, path=installed)
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", (source / "README.md").read_text(), re.M | re.S)):
        (tmp_path / str(number)).mkdir()
        assert "Ants are strong." in run(sys.executable, "-c", block, cwd=tmp_path / str(number), path=installed)


def test_distributions_ask_for_the_extra_of_the_same_version() -> None:
    own = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name, extra in ((LANGCHAIN, "langchain"), (LLAMA_INDEX, "llama-index"), (HAYSTACK, "haystack")):
        project = tomllib.loads((ROOT / "integrations" / name / "pyproject.toml").read_text())["project"]
        assert (project["name"], project["version"]) == (name, own["version"])
        assert project["dependencies"] == [f"dvesp[{extra}]>={own['version']}"]
        assert extra in own["optional-dependencies"]

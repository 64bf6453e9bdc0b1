"""Runs the ```python blocks of the documentation: page by page, in order, in one namespace and a directory of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

__all__ = ["NOT_RUN", "ROOT", "pages", "run_page", "uses_frameworks"]

ROOT = Path(__file__).resolve().parents[2]

# Blocks that no test can run, by page and first line, each with the reason.
NOT_RUN = {
    (
        "README.md",
        'nodes = ["node1:7000", "node2:7000", "node3:7000"]',
    ): "names machines that only the reader has",
    (
        "docs/chain.md",
        "from dvesp import Solana, VectorStore",
    ): "names a deployed program; test_chain_cli.py runs the same",
    ("docs/archive.md", "from dvesp import IPFS, S3, ShadowDrive"): "names services; test_archive_services.py asks real ones",
}

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FRAMEWORKS = re.compile(r"^(from|import) (langchain|llama_index|haystack|mcp|chromadb|pinecone)", re.MULTILINE)


def pages() -> list[str]:
    """The pages that have a block, relative to the checkout."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [path.relative_to(ROOT).as_posix() for path in found if _BLOCK.search(path.read_text(encoding="utf-8"))]


def uses_frameworks(page: str) -> bool:
    """Whether a page imports what only the venv of tests/integrations has."""
    return any(_FRAMEWORKS.search(block.group(1)) for block in _BLOCK.finditer((ROOT / page).read_text(encoding="utf-8")))


def run_page(page: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Runs the blocks of a page in ``directory``; a traceback names the page and its line. Returns how many there are."""
    text = (ROOT / page).read_text(encoding="utf-8")
    monkeypatch.chdir(directory)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    count = 0
    for block in _BLOCK.finditer(text):
        source = block.group(1)
        count += 1
        if (page, source.partition("\n")[0]) in NOT_RUN:
            continue
        lines_above = text.count("\n", 0, block.start(1))
        exec(compile("\n" * lines_above + source, str(ROOT / page), "exec"), namespace)
    return count

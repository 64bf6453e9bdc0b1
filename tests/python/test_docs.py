"""Every ```python block of README.md and docs/*.md runs. Pages that import frameworks: tests/integrations/test_docs.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from doc_blocks import NOT_RUN, ROOT, pages, run_page, uses_frameworks


@pytest.mark.parametrize("page", [page for page in pages() if not uses_frameworks(page)])
def test_blocks_of_a_page_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_page(page, tmp_path, monkeypatch) > 0


def test_blocks_that_are_not_run_exist() -> None:
    for (page, first_line), reason in NOT_RUN.items():
        assert f"```python\n{first_line}\n" in (ROOT / page).read_text(encoding="utf-8") and reason


def test_a_failing_block_names_its_page_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("text\n\n```python\nx = 1\n```\n\n```python\nassert x == 1\nassert x == 2\n```\n")
    monkeypatch.setattr("doc_blocks.ROOT", tmp_path)
    with pytest.raises(AssertionError) as failure:
        run_page("page.md", tmp_path, monkeypatch)
    place = failure.traceback[-1]
    assert (Path(str(place.path)).name, place.lineno + 1) == ("page.md", 9)

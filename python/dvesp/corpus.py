"""Texts for the demo: the docstrings of Python's own standard library, or the paragraphs of a folder's text files.

Nothing is imported or executed: Python sources are parsed with ``ast``.
"""

from __future__ import annotations

import ast
import re
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Text", "folder_texts", "standard_library_texts"]

TEXT_CHARACTERS_MAX = 2000
PARAGRAPH_CHARACTERS_MIN = 20
FILE_BYTES_MAX = 4_000_000
_TEST_PARTS = frozenset({"test", "tests", "idle_test", "__pycache__", "site-packages"})
_SUFFIXES = frozenset({".txt", ".md", ".rst", ".py"})
_Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Text(NamedTuple):
    """One text to index: a unique ``id``, what is embedded, and the metadata that is stored with it."""

    id: str
    text: str
    metadata: dict[str, Any]


def standard_library_texts() -> Iterator[Text]:
    """Every docstring of every standard module, class and function with Python source, but for the tests."""
    library = Path(sysconfig.get_paths()["stdlib"])
    return _unique(text for name in sorted(sys.stdlib_module_names) for text in _module_texts(library, name))


def folder_texts(folder: Path) -> Iterator[Text]:
    """Paragraphs of ``.txt``, ``.md``, ``.rst`` files, docstrings of ``.py`` files under ``folder``, by path."""
    return _unique(text for path in sorted(folder.rglob("*")) for text in _file_texts(folder, path))


def _unique(texts: Iterator[Text]) -> Iterator[Text]:
    """The same texts; the second definition of a name becomes ``name#2``."""
    seen: dict[str, int] = {}
    for text in texts:
        count = seen[text.id] = seen.get(text.id, 0) + 1
        yield text if count == 1 else text._replace(id=f"{text.id}#{count}")


def _module_texts(library: Path, name: str) -> Iterator[Text]:
    single, package = library / f"{name}.py", library / name
    sources = [single] if single.is_file() else sorted(package.rglob("*.py"))
    for source in sources:
        relative = source.relative_to(library)
        if not _TEST_PARTS.intersection(relative.parts):
            parts = relative.with_suffix("").parts
            yield from _docstrings(source, ".".join(parts[:-1] if parts[-1] == "__init__" else parts))


def _file_texts(folder: Path, path: Path) -> Iterator[Text]:
    if path.suffix not in _SUFFIXES or not path.is_file() or path.stat().st_size > FILE_BYTES_MAX:
        return
    name = path.relative_to(folder).as_posix()
    if path.suffix == ".py":
        yield from _docstrings(path, name)
        return
    for number, paragraph in enumerate(re.split(r"\n\s*\n", _read(path)), start=1):
        text = " ".join(paragraph.split())
        if len(text) >= PARAGRAPH_CHARACTERS_MIN:
            place = f"{name}:{number}"
            yield Text(place, text[:TEXT_CHARACTERS_MAX], {"name": place, "kind": "paragraph", "text": _first_line(text)})


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _docstrings(path: Path, module: str) -> Iterator[Text]:
    """The docstrings of one source file; a file that this Python cannot parse has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old escapes in other people's strings
            tree = ast.parse(_read(path))
    except (SyntaxError, ValueError, RecursionError):
        return
    yield from _node_texts(tree, module, module, "module")


def _node_texts(node: ast.AST, name: str, module: str, kind: str) -> Iterator[Text]:
    if isinstance(node, ast.Module | _Documented):
        docstring = ast.get_docstring(node)
        if docstring:
            line = 1 if isinstance(node, ast.Module) else node.lineno
            metadata = {"name": name, "module": module, "kind": kind, "line": line, "text": _first_line(docstring)}
            yield Text(name, f"{name} {name}\n{docstring}"[:TEXT_CHARACTERS_MAX], metadata)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Documented):
            child_kind = "class" if isinstance(child, ast.ClassDef) else "function"
            yield from _node_texts(child, f"{name}.{child.name}", module, child_kind)
        elif isinstance(child, (ast.If, ast.Try)):  # definitions that depend on the platform
            yield from _node_texts(child, name, module, kind)


def _first_line(text: str) -> str:
    """The first paragraph on one line, short enough to print."""
    return " ".join(text.strip().split("\n\n")[0].split())[:200]

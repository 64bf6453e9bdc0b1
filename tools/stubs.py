"""Writes python/dvesp/_native.pyi from the installed module; with --check, compares and prints the difference instead."""

from __future__ import annotations

import difflib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
STUB = ROOT / "python" / "dvesp" / "_native.pyi"


def generate() -> str:
    """The stub's text as pybind11-stubgen sees the module, formatted as the rest of the Python."""
    with tempfile.TemporaryDirectory() as folder:
        command = [str(BIN / "pybind11-stubgen"), "dvesp._native", "--output-dir", folder, "--exit-code"]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        text = (Path(folder) / "dvesp" / "_native.pyi").read_text(encoding="utf-8")
    # pybind11-stubgen invents an __all__ that the module does not have; stubtest would object.
    text = re.sub(r"^__all__.*?\]\n", "", text, flags=re.MULTILINE | re.DOTALL)
    # pybind11's plain containers say nothing of what is inside; strict typing wants it said.
    for bare, full in (("tuple", "tuple[typing.Any, ...]"), ("dict", "dict[str, typing.Any]"), ("list", "list[typing.Any]")):
        text = re.sub(rf"\b{bare}\b(?!\[)", full, text)
    text = text if re.search(r"^import typing$", text, re.MULTILINE) else text.replace("\nimport", "\nimport typing\nimport", 1)
    for arguments in (["check", "--fix-only", "--select=I,F401,UP"], ["format"]):
        command = [str(BIN / "ruff"), *arguments, "--quiet", "--stdin-filename", str(STUB), "-"]
        text = subprocess.run(command, check=True, cwd=ROOT, input=text, text=True, capture_output=True).stdout
    return text


def main() -> int:
    generated = generate()
    if "--check" not in sys.argv[1:]:
        STUB.write_text(generated, encoding="utf-8")
        print(f"wrote {STUB.relative_to(ROOT)}")
        return 0
    written = STUB.read_text(encoding="utf-8") if STUB.exists() else ""
    sys.stdout.writelines(
        difflib.unified_diff(written.splitlines(True), generated.splitlines(True), "the stub in the tree", "make stubs")
    )
    return int(written != generated)


if __name__ == "__main__":
    sys.exit(main())

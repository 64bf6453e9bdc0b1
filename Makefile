# Makefile - what a person types; each target is a line or two over cmake, pip and tools/. `make` alone prints this list.
# A fresh Debian 12 needs `apt-get install -y make`; tools/setup brings the rest.
.PHONY: help demo test test-fast fuzz campaign bench stubs program coverage format lint clean setup
.DEFAULT_GOAL := help
python := .venv/bin/python
SECONDS ?= 300
BENCH ?=

help:
	@echo "make demo        install what is missing, build, and run dvesp demo"
	@echo "make test        every check: style, types, unit, Python, sanitizers, power cuts, kill -9"
	@echo "make test-fast   tidy, release unit tests, quick Python tests: under a minute when built"
	@echo "make fuzz        fuzz targets, SECONDS=300 each, on a corpus that grows in build/corpus"
	@echo "make campaign    power cuts, kills and flips on new seeds for SECONDS=300; resumes and adds up"
	@echo "make bench       benchmarks against peers; JSON into build/bench (BENCH=word: only those)"
	@echo "make stubs       write python/dvesp/_native.pyi anew from the built module"
	@echo "make program     the Solana program programs/dvesp_root/dvesp_root.so, byte for byte the committed one"
	@echo "make coverage    lines and branches of cpp/ that the C++ tests execute"
	@echo "make format      clang-format and ruff over the tree;  make lint: clang-tidy (slow)"
	@echo "make setup       only install what is missing;  make clean: remove build/ and .venv"

demo:
	@tools/setup demo
	@echo "demo: building the wheel" && tools/install_wheel
	@.venv/bin/dvesp demo && echo "demo: done; .venv/bin/dvesp --help shows what else there is"

test:
	@tools/setup test
	@$(python) tools/run_tests.py

test-fast:
	@tools/setup test
	@$(python) tools/run_tests.py --fast

fuzz:
	@tools/setup test
	@cmake --preset fuzz --log-level=NOTICE && cmake --build --preset fuzz
	@$(python) tools/run_fuzz.py $(SECONDS)

campaign:
	@tools/setup test
	@cmake --preset release --log-level=NOTICE && cmake --build --preset release
	@$(python) tools/campaign.py $(SECONDS)

bench:
	@tools/setup bench
	@tools/install_wheel
	@cmake --preset bench --log-level=NOTICE && cmake --build --preset bench
	@$(python) tools/run_bench.py $(BENCH)

stubs:
	@tools/setup test
	@tools/install_wheel
	@$(python) tools/stubs.py

program:
	@tools/setup test
	@programs/dvesp_root/build.sh

coverage:
	@tools/setup test
	@tools/coverage

format:
	@tools/setup test
	@find cpp tests benchmarks -name '*.[ch]pp' -exec clang-format-16 -i {} +
	@.venv/bin/ruff check --quiet --fix-only . && .venv/bin/ruff format --quiet .

lint:
	@tools/setup bench
	@cmake --preset release --log-level=NOTICE && cmake --build --preset release
	@find cpp -name '*.cpp' ! -path 'cpp/bind/*' -print0 | xargs -0 -n 1 clang-tidy-16 --quiet -p build/release

setup:
	@tools/setup test

clean:
	rm -rf build .venv

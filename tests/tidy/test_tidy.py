"""Plants one violation of every rule and expects tidy to name it; and shows that clean files stay clean."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import tidy
from source import blank_cpp, cpp_functions, python_functions

HERE = Path(__file__).parent


@pytest.fixture
def rules() -> tidy.Rules:
    return tidy.load_rules(HERE / "layers.toml")


def cpp(path: str, body: str) -> str:
    return f"/// {path.split('/', 1)[1]} - a planted file.\n{body}\n"


def found(path: str, text: str, rules: tidy.Rules) -> list[str]:
    return [f"{problem.line}: {problem.what}" for problem in tidy.check_file(path, text, rules)]


@pytest.mark.parametrize(
    ("path", "line", "what"),
    [
        ("cpp/base/x.cpp", '#include "store/log.hpp"', "base (layer 0) includes store (layer 3)"),
        ("cpp/codec/x.hpp", '#include "kernels/kernels.hpp"', "codec (layer 1) includes kernels (layer 1)"),
        ("cpp/index/x.hpp", '#include "ports/files.hpp"', "index (layer 2) includes ports (layer 2)"),
        ("cpp/store/x.hpp", "#include <dvesp/results.hpp>", "store (layer 3) includes dvesp (layer 3)"),
        ("cpp/include/dvesp/x.hpp", '#include "node/local.hpp"', "dvesp (layer 3) includes node (layer 4)"),
        ("cpp/os/x.cpp", '#include "sim/files.hpp"', "os (layer 5) includes sim (layer 5)"),
        ("cpp/attic/x.cpp", "int a;", "unknown room attic"),
        ("cpp/index/x.cpp", "#include <thread>", "thread `"),
        ("cpp/base/x.cpp", "#include <mutex>", "thread `"),
        ("cpp/codec/x.cpp", "#include <chrono>", "clock `"),
        ("cpp/kernels/x.cpp", "#include <random>", "randomness `"),
        ("cpp/store/x.cpp", "auto a = rand();", "randomness `"),
        ("cpp/sim/x.cpp", "std::random_device device;", "randomness `"),
        ("cpp/codec/x.cpp", "#include <fstream>", "files `"),
        ("cpp/index/x.cpp", "#include <filesystem>", "files `"),
        ("cpp/index/x.cpp", "#include <sys/mman.h>", "files `"),
        ("cpp/base/x.cpp", "#  include <unistd.h>", "files `"),
        ("cpp/index/x.cpp", "std::unordered_map<int, int> a;", "unordered `"),
        ("cpp/store/x.cpp", 'auto a = std::getenv("A");', "environment `"),
        ("cpp/codec/x.cpp", "auto a = reinterpret_cast<std::uintptr_t>(b);", "addresses `"),
        ("cpp/codec/x.cpp", 'format("%p", b);', "addresses `"),
        ("cpp/index/x.cpp", "std::set<A*, std::less<A*>> a;", "addresses `"),
        ("cpp/store/x.cpp", "#include <thread>", "operating system `"),
        ("cpp/node/x.cpp", "auto a = std::chrono::steady_clock::now();", "operating system `"),
        ("cpp/store/x.cpp", "void f() { throw 1; }", "throw `"),
        ("cpp/store/x.cpp", "auto* a = new Thing(1);", "raw new `"),
        ("cpp/store/x.cpp", "void f(A* a) { delete a; }", "raw new `"),
        ("cpp/bind/x.cpp", "using namespace std;", "using namespace std `"),
        ("cpp/store/x.cpp", 'void f() { std::printf("a"); }', "printing `"),
        ("cpp/os/x.cpp", "void f() { std::cerr << 1; }", "printing `"),
        ("cpp/os/x.cpp", "void f() { co_await g(); }", "coroutine `"),
        ("cpp/base/x.cpp", "// TO" + "DO later", "unfinished work `"),
        ("tests/unit/x_test.cpp", "// FIX" + "ME", "unfinished work `"),
        ("tests/unit/x_test.cpp", 'auto a = "/tm' + 'p/store";', "absolute path `"),
        ("docs/x.md", "see /roo" + "t/notes", "absolute path `"),
        ("tools/x", "cd /wor" + "k/main", "absolute path `"),
        ("docs/x.md", "https://pypi" + ".org/simple", "registry host `"),
    ],
)
def test_planted_violation_is_named(path: str, line: str, what: str, rules: tidy.Rules) -> None:
    text = cpp(path, line) if path.startswith(("cpp/", "tests/")) else f"# head\n{line}\n"
    problems = found(path, text, rules)
    assert len(problems) == 1, problems
    expected_line = 1 if "unknown room" in what else 2
    assert problems[0].startswith(f"{expected_line}: {what}")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("cpp/store/x.cpp", '#include "index/hnsw.hpp"'),
        ("cpp/store/x.cpp", '#include "store/log.hpp"'),
        ("cpp/node/x.cpp", "#include <dvesp/results.hpp>"),
        ("cpp/index/x.cpp", "#include <hnswlib/hnswlib.h>"),
        ("cpp/store/x.cpp", "#include <mutex>"),
        ("cpp/os/x.cpp", "#include <thread>"),
        ("cpp/bind/x.cpp", "void f() { throw 1; }"),
        ("cpp/base/x.cpp", "// `piece` must not throw; printf( is explained here"),
        ("cpp/base/x.cpp", 'auto a = "throw new getenv( std::cout";'),
        ("cpp/base/x.cpp", "A(const A&) = delete;"),
        ("cpp/store/x.cpp", "auto a = std::unique_ptr<A>(new A(1));"),
        ("cpp/base/x.cpp", "auto a = 1'000'000; // throw"),
        ("cpp/store/x.cpp", "int new_count = std::snprintf(a, b);"),
        ("cpp/store/x.cpp", "bool operand(); int strand(1);"),
        ("docs/x.md", "the leaf/root path, build/tmp/x and ../work"),
    ],
)
def test_clean_line_stays_clean(path: str, line: str, rules: tidy.Rules) -> None:
    text = cpp(path, line) if path.startswith("cpp/") else f"# head\n{line}\n"
    assert found(path, text, rules) == []


def test_first_line_without_responsibility_is_named(rules: tidy.Rules) -> None:
    assert found("cpp/base/x.cpp", '#include "base/x.hpp"\n', rules) == ["1: no responsibility in the first line"]
    assert found("cpp/base/x.cpp", "/// base/y.cpp - copied from elsewhere.\n", rules) != []
    assert found("python/dvesp/x.py", "import os\n", rules) == ["1: no responsibility in the first line"]
    assert found("tools/x.py", '#!/usr/bin/env python3\n"""Does one thing."""\n', rules) == []


def test_long_function_is_named_and_longest_allowed_is_not(rules: tidy.Rules) -> None:
    def function(lines: int) -> str:
        return cpp("cpp/base/x.cpp", "void f(int a) {\n" + "    a += 1;\n" * (lines - 2) + "}")

    assert found("cpp/base/x.cpp", function(70), rules) == []
    assert found("cpp/base/x.cpp", function(71), rules) == ["2: f has 71 lines, more than 70"]
    python = '"""Module."""\n\n\ndef f(a):\n' + "    a += 1\n" * 70
    assert found("tools/x.py", python, rules) == ["4: f has 71 lines, more than 70"]


def test_long_file_and_long_line_are_named(rules: tidy.Rules) -> None:
    assert found("cpp/base/x.cpp", cpp("cpp/base/x.cpp", "int a;\n" * 499), rules) == [
        "501: the file has 501 lines, more than 500"
    ]
    assert found("cpp/base/x.cpp", cpp("cpp/base/x.cpp", "int a;" + " " * 140), rules) == ["2: a line of 146 characters"]


def test_functions_are_found_in_classes_initializers_and_directives() -> None:
    text = """
namespace a {
class B : public C {
  public:
    explicit B(int x) : x_(x), y_{1} {
        if (x) { y_ = 2; }
    }
    [[nodiscard]] int get() const noexcept { return x_; }
  private:
    int x_ = 0;
};
#define OPEN(x) {
template <class T>
auto f(T t) -> decltype(t) {
    auto g = [&](int i) { return i; };
    return g(t);
}
const int table[] = {1, 2, 3};
void h(T t = {}, U u = U{1}) noexcept {
    if (t) { u = 1; }
}
D::D(int x)
    : x_(x), y_(1) {
}
}  // namespace a
"""
    spans = {function.name: function.lines for function in cpp_functions(text)}
    assert spans["get"] == 1
    assert spans["f"] == 5
    assert spans["h"] == 3
    assert spans["B"] == 3
    assert spans["D::D"] == 3
    assert max(spans.values()) == 5
    assert not {"g", "table", "if", "OPEN"} & set(spans)


def test_docstring_of_python_function_is_not_counted() -> None:
    assert python_functions('def f():\n    """a\n    b\n    """\n    return 1\n')[0].lines == 2


def test_blanked_source_keeps_every_line_number() -> None:
    text = 'int a; /* one\ntwo */ auto b = R"x(\n"throw"\n)x"; // end\n#include "base/x.hpp"\n'
    blanked = blank_cpp(text)
    assert blanked.count("\n") == text.count("\n")
    assert "throw" not in blanked
    assert '#include "base/x.hpp"' in blanked


def test_unused_exception_is_named(tmp_path: Path, rules: tidy.Rules) -> None:
    (tmp_path / "cpp/base").mkdir(parents=True)
    (tmp_path / "cpp/base/assert.cpp").write_text("/// base/assert.cpp - prints nothing any more.\n")
    count, problems = tidy.check_tree(tmp_path, rules)
    assert count == 1
    assert [problem.what for problem in problems] == ["the exception printing for cpp/base/assert.cpp is unused"]


def test_exception_without_ban_is_refused(tmp_path: Path) -> None:
    table = (HERE / "layers.toml").read_text() + '\n[[exception]]\nfile = "cpp/a"\nban = "nothing"\nreason = "none"\n'
    (tmp_path / "layers.toml").write_text(table)
    with pytest.raises(KeyError, match="no such ban"):
        tidy.load_rules(tmp_path / "layers.toml")

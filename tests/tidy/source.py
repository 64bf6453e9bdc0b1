"""What tidy.py needs to know of a source text: C++ without comments and texts, and the functions with their lengths."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

_CPP_TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/                                 # comments
      | R"(?P<mark>[^\s()\\]{0,16})\(.*?\)(?P=mark)"        # raw texts
      | "(?:\\.|[^"\\\n])*"                                 # texts
      | (?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'                 # characters, but not the ' of 1'000
    """,
    re.VERBOSE | re.DOTALL,
)
_CONTAINER = re.compile(r"^\s*(?:template\s*<.*>\s*)?(?:inline\s+)?(namespace|class|struct|union|enum|extern)\b", re.DOTALL)
_MEMBER_INITIALIZER = re.compile(r"\)\s*(?:noexcept\s*)?:(?!:).*(?<![\w)}])(?!(?:const|noexcept|try)$)\w+$", re.DOTALL)
_ACCESS_LABEL = re.compile(r"^\s*(?:public|protected|private)\s*:(?!:)")
_NAME = re.compile(r"([~\w:]+|operator\W+)\s*\(")


@dataclass(frozen=True)
class Function:
    name: str
    line: int
    lines: int


def blank_cpp(text: str) -> str:
    """The text with comments, string and character literals emptied; every line keeps its number, #include keeps its path."""

    def blank(match: re.Match[str]) -> str:
        token = match.group(0)
        newlines = "\n" * token.count("\n")
        if token.startswith('"'):
            line_start = text.rfind("\n", 0, match.start()) + 1
            is_include = re.match(r"\s*#\s*include", text[line_start : match.start()])
            return token if is_include else '""'
        return newlines or (" " if token.startswith("/") else "''")

    return _CPP_TOKEN.sub(blank, text)


def _without_directives(code: str) -> str:
    """Empties preprocessor lines: their braces need not match."""
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: "\n" * m.group(0).count("\n"), code, flags=re.MULTILINE)


def _kind_of_brace(header: str) -> str:
    """What a `{` outside of any function opens, from the words before it."""
    words = header.strip()
    if _CONTAINER.match(words):
        return "container"
    inside_arguments = words.count("(") > words.count(")")
    if "(" not in words or inside_arguments or words.endswith("=") or _MEMBER_INITIALIZER.search(words):
        return "value"
    return "function"


def cpp_functions(text: str) -> list[Function]:
    """Functions that are not inside another function, with their lines from the first of the signature to the last brace."""
    code = _without_directives(blank_cpp(text))
    functions: list[Function] = []
    open_kinds: list[str] = []
    inner_depth = 0  # braces open inside of a function or a value: nothing in there is looked at
    header_start = 0
    started: tuple[str, int] = ("", 0)
    for position, character in enumerate(code):
        if character == "{":
            kind = "inner"
            if inner_depth == 0:
                header = _ACCESS_LABEL.sub("", code[header_start:position])
                kind = _kind_of_brace(header)
                if kind == "function":
                    name = _NAME.search(header)
                    started = (name.group(1).strip() if name else "?", position - len(header.lstrip()))
            open_kinds.append(kind)
            inner_depth += kind != "container"
        elif character == "}" and open_kinds:
            kind = open_kinds.pop()
            inner_depth -= kind != "container"
            if kind == "function":
                line = code.count("\n", 0, started[1]) + 1
                functions.append(Function(started[0], line, code.count("\n", started[1], position) + 1))
            if kind == "value":
                continue  # a value is a part of the words before the next brace
        if character in "{};" and inner_depth == 0:
            header_start = position + 1
    return functions


def python_functions(text: str) -> list[Function]:
    """Every function of a Python text; its docstring is not counted, for it is the contract."""
    functions: list[Function] = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            lines -= (first.end_lineno or first.lineno) - first.lineno + 1
        functions.append(Function(node.name, node.lineno, lines))
    return functions

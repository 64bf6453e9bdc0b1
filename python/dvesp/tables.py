"""Results as tables: HTML for notebooks, plus the optional ways out to pandas and Arrow."""

from __future__ import annotations

import html
import importlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["Tabular", "html_table", "optional_package", "short"]

ROWS_SHOWN_MAX = 20
TEXT_CHARACTERS_MAX = 80


def short(value: object, characters_max: int = TEXT_CHARACTERS_MAX) -> str:
    """One line of text for ``value``, at most ``characters_max`` characters; an array becomes its type and shape."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype.name}[{', '.join(map(str, value.shape))}]"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= characters_max else text[: characters_max - 1] + "…"


def html_table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[object]], row_count: int) -> str:
    """An HTML table of the first rows; every text is escaped, because ids and metadata are other people's text.

    Args:
        caption: what the table shows.
        columns: the head of the table.
        rows: cells by row; at most ``ROWS_SHOWN_MAX`` are read.
        row_count: how many rows there are in all, for the line that says how many are not shown.
    """

    def row_html(cells: Iterable[object], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(short(cell))}</{tag}>" for cell in cells) + "</tr>"

    shown = [row_html(row, "td") for _, row in zip(range(ROWS_SHOWN_MAX), rows, strict=False)]
    more = f"<p>… and {row_count - len(shown)} more</p>" if row_count > len(shown) else ""
    head = f"<caption>{html.escape(caption)}</caption><thead>{row_html(columns, 'th')}</thead>"
    return f"<table>{head}<tbody>{''.join(shown)}</tbody></table>{more}"


def optional_package(package: str, method: str) -> Any:
    """The module ``package``; when it is absent, an ImportError that says what to install for ``method``."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(f"{method} needs {package}, which is not installed: pip install {package}") from error


def _arrow_column(arrow: Any, values: Any) -> Any:
    """``values`` as an Arrow array; a float32 ``[n, d]`` matrix becomes a fixed-size list over the same memory."""
    if isinstance(values, np.ndarray) and values.ndim == 2:
        flat = arrow.array(np.ascontiguousarray(values).reshape(-1))
        return arrow.FixedSizeListArray.from_arrays(flat, values.shape[1])
    try:
        return arrow.array(values)
    except (arrow.ArrowInvalid, arrow.ArrowTypeError):  # metadata whose fields change their type from row to row
        return arrow.array([None if value is None else json.dumps(value) for value in values])


class Tabular:
    """Mixin of whatever is a table: ``to_pandas()``, ``to_arrow()``, notebook view, all from one list of columns."""

    __slots__ = ()

    def _columns(self) -> Mapping[str, Any]:
        """Column name -> list or array, all of one length."""
        raise TypeError(f"{type(self).__name__} does not say what its columns are")

    def to_pandas(self) -> Any:
        """The rows as a ``pandas.DataFrame``; vectors are views of the result's own memory.

        Raises:
            ImportError: pandas is not installed.
        """
        pandas = optional_package("pandas", "to_pandas()")
        return pandas.DataFrame(
            {
                name: list(values) if isinstance(values, np.ndarray) and values.ndim > 1 else values
                for name, values in self._columns().items()
            }
        )

    def to_arrow(self) -> Any:
        """The rows as a ``pyarrow.Table``; vectors are a fixed-size list of float32.

        Raises:
            ImportError: pyarrow is not installed.
        """
        arrow = optional_package("pyarrow", "to_arrow()")
        return arrow.table({name: _arrow_column(arrow, values) for name, values in self._columns().items()})

    def _repr_html_(self) -> str:
        columns = self._columns()
        row_count = max((len(values) for values in columns.values()), default=0)
        return html_table(type(self).__name__, list(columns), zip(*columns.values(), strict=True), row_count)

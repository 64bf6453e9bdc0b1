"""Plots of benchmark results as PNG files: panels of bars with ranges, and lines over time."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BAR = "#3b6ea5"
OWN = "#c8553d"


@dataclass
class Panel:
    """One plot of a figure: bars by label (a value, or median, min, max), or lines of (x, y)."""

    title: str
    unit: str
    bars: Mapping[str, float | Sequence[float] | None] = field(default_factory=dict)
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]] = field(default_factory=dict)
    marks: Mapping[str, float] = field(default_factory=dict)  # vertical lines in a plot of lines
    logarithmic: bool = False
    limits: tuple[float, float] | None = None
    own: str = ""  # the label drawn in another colour
    x_label: str = "seconds"  # of a plot of lines


def save(path: Path, title: str, panels: Sequence[Panel], columns: int = 2) -> None:
    """Writes the figure; says so when matplotlib is not there, and goes on."""
    try:
        import matplotlib as mpl
    except ImportError:
        print("no plot: matplotlib is not installed (tools/requirements/bench.txt)")
        return
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    tallest = max(len(panel.bars) for panel in panels)
    size = (6.5 * columns, rows * max(2.8, 0.9 + 0.27 * tallest))
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for index, axis in enumerate(axes.flat):
        if index < len(panels):
            _draw(axis, panels[index])
        else:
            axis.set_visible(False)
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    print(f"written: {os.path.relpath(path)}")


def _draw(axis: Any, panel: Panel) -> None:
    axis.set_title(panel.title, fontsize=10)
    if panel.lines:
        for label, (xs, ys) in panel.lines.items():
            axis.plot(xs, ys, label=label, linewidth=1)
        for number, (label, x) in enumerate(panel.marks.items()):
            axis.axvline(x, color="grey", linewidth=0.7, linestyle=":")
            axis.annotate(label, (x, 1 - 0.08 * (number % 3)), xycoords=("data", "axes fraction"), fontsize=7)
        axis.set_xlabel(panel.x_label)
        if panel.logarithmic:
            axis.set_yscale("log")
        axis.set_ylabel(panel.unit)
        axis.legend(fontsize=7)
        return
    _draw_bars(axis, panel)


def _draw_bars(axis: Any, panel: Panel) -> None:
    shown = {label: value for label, value in panel.bars.items() if value is not None}
    for place, (label, value) in enumerate(shown.items()):
        median, low, high = (value, value, value) if isinstance(value, (int, float)) else tuple(value)
        axis.barh(place, median, color=OWN if label == panel.own else BAR, height=0.7)
        if high > low:
            axis.plot([low, high], [place, place], color="black", linewidth=1)
        axis.annotate(f" {median:.4g}", (max(median, high), place), va="center", fontsize=7)
    axis.set_yticks(range(len(shown)), list(shown), fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel(panel.unit, fontsize=8)
    axis.margins(x=0.15)
    if panel.logarithmic:
        axis.set_xscale("log")
    if panel.limits:
        axis.set_xlim(*panel.limits)

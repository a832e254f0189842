"""Plots of a report: SVG that takes the colours of the page around it, so that it reads by day and by night."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..evaluation.rank_changes import RankChanges

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "Dot", "Group", "curve_plot", "dot_plot", "line_plot", "strip_plot"]

Scores = NDArray[np.float64]
Group = Literal["best", "tied", "worse", "ceiling"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Those of Okabe and Ito, which most people with a colour deficiency can tell apart."""

GROUPS: dict[Group, tuple[str, str, str]] = {
    "best": ("#009E73", "o", "best"),
    "tied": ("#56B4E9", "s", "tied with it"),
    "worse": ("#D55E00", "v", "worse"),
    "ceiling": ("#CC79A7", "D", "second annotator"),
}
"""Colour, mark and word of each group; marks differ too, so that no one has to tell colours apart."""

INK, FAINT = "#010203", "#c0c1c2"
"""Stand for the text colour and the line colour of the page, which are put in afterwards."""

MAX_NAME = 34
"""Signs of a name that are shown."""

WIDTH = 7.2
"""Inches of a plot over the full width."""

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "napari-cutout",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}


_FITTED = "width: 100%; stroke-linejoin: round; stroke-linecap: butt"


@dataclass(frozen=True, slots=True)
class Dot:
    """One line of a dot plot.

    Parameters
    ----------
    name : str
        What it is called.
    score : float
        Where the dot is.
    low, high : float
        Ends of its interval; NaN for none.
    group : {"best", "tied", "worse", "ceiling"}
        Its colour and mark.
    """

    name: str
    score: float
    low: float
    high: float
    group: Group


def dot_plot(dots: Sequence[Dot], label: str, title: str) -> str:
    """Draw scores with intervals, one line each.

    Parameters
    ----------
    dots : sequence of Dot
        From top to bottom.
    label : str
        Of the axis.
    title : str
        What a screen reader says.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    with _figure(0.28 * len(dots) + 1.0) as (figure, axes):
        for line, dot in enumerate(dots):
            colour, mark, _ = GROUPS[dot.group]
            if dot.low == dot.low:
                axes.plot([dot.low, dot.high], [line, line], color=colour, linewidth=2, solid_capstyle="round")
            axes.plot([dot.score], [line], color=colour, marker=mark, markersize=6, linestyle="none")
        _name_lines(axes, [dot.name for dot in dots])
        there = [group for group in GROUPS if any(dot.group == group for dot in dots)]
        marks = [_mark(axes, *GROUPS[group][:2]) for group in there]
        figure.legend(marks, [GROUPS[g][2] for g in there], loc="outside upper right", ncols=4)
        axes.set_xlabel(label)
        return _svg(figure, title, "dots")


def strip_plot(series: Mapping[str, Sequence[float]], label: str, title: str) -> str:
    """Draw every score of several series, and the mean of each.

    Parameters
    ----------
    series : mapping of str to sequence of float
        Scores by what they are of; NaN is left out.
    label : str
        Of the axis.
    title : str
        What a screen reader says.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    with _figure(0.34 * len(series) + 0.8) as (figure, axes):
        for line, values in enumerate(series.values()):
            known = np.sort(np.asarray([v for v in values if v == v], np.float64))
            axes.plot(known, line + _spread(len(known)), "o", color=COLOURS[0], alpha=0.55, markersize=4, mew=0)
            if len(known):
                axes.plot([known.mean()] * 2, [line - 0.34, line + 0.34], color=COLOURS[1], linewidth=2)
        _name_lines(axes, list(series))
        axes.set_xlabel(label)
        axes.set_xlim(_start([v for values in series.values() for v in values]) - 0.02, 1.02)
        return _svg(figure, title, "strip")


def curve_plot(series: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str) -> str:
    """Draw Dice over IoU: the curve that single items lie on, the items, and the mean of each series.

    Parameters
    ----------
    series : mapping of str to (sequence of float, sequence of float)
        IoU and Dice of the items, by what they are of; at most six.
    title : str
        What a screen reader says.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    with _figure(4.6, width=5.2) as (figure, axes):
        axes.plot(*RankChanges.curve(), color=INK, linewidth=1, label="Dice = 2 IoU / (1 + IoU)")
        for (name, (iou, dice)), colour, mark in zip(series.items(), COLOURS, "osvD^P", strict=False):
            axes.plot(iou, dice, mark, color=colour, alpha=0.5, markersize=4.5, mew=0)
            mean = [[float(np.mean(values))] for values in (iou, dice) if len(values)]
            if mean:
                axes.plot(*mean, mark, color=colour, markersize=9, mec=INK, mew=0.8, label=f"mean, {_short(name)}")
        axes.set_xlabel("IoU")
        axes.set_ylabel("Dice")
        low = _start([value for iou, _ in series.values() for value in iou])
        axes.set_xlim(low - 0.02, 1.02)
        axes.set_ylim(low - 0.02, 1.02)
        axes.set_aspect("equal")
        axes.legend(loc="lower right")
        return _svg(figure, title, "curve")


def line_plot(x: Sequence[float], lines: Mapping[str, Sequence[float]], labels: tuple[str, str], title: str) -> str:
    """Draw scores over a setting, one line for each way of taking them.

    Parameters
    ----------
    x : sequence of float
        The settings, rising.
    lines : mapping of str to sequence of float
        Scores by what they are; at most six. NaN leaves a gap.
    labels : tuple of two str
        Of the two axes.
    title : str
        What a screen reader says.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    with _figure(3.2, width=5.2) as (figure, axes):
        for (name, values), colour, mark in zip(lines.items(), COLOURS, "osvD^P", strict=False):
            axes.plot(x, values, color=colour, marker=mark, markersize=5, linewidth=1.5, label=name)
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        axes.set_ylim(-0.02, 1.02)
        axes.legend(loc="lower left")
        return _svg(figure, title, "line")


@contextmanager
def _figure(height: float, width: float = WIDTH) -> Iterator[tuple[Figure, Axes]]:
    """Give a figure of its own: no window, no state that others see but the style meanwhile."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # The browser has the sign, if the font by which widths are measured here has not.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure = Figure((width, height), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        yield figure, axes


def _name_lines(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _start(scores: Sequence[float]) -> float:
    """Return where an axis begins on which all scores lie: at 0, or above it in steps of 0.2."""
    known = [score for score in scores if score == score]
    return max(0.0, min(0.8, (min(known) - 0.05) // 0.2 / 5)) if known else 0.0


def _mark(axes: Axes, colour: str, mark: str) -> Any:
    return axes.plot([], [], color=colour, marker=mark, linestyle="none")[0]


def _spread(n: int) -> Scores:
    """Return offsets across a line under which neighbours do not hide each other: the same every time."""
    spread: Scores = (np.arange(n, dtype=np.float64) * 0.618034 % 1 - 0.5) * 0.5
    return spread


def _short(name: str) -> str:
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"


def _svg(figure: Figure, title: str, name: str) -> str:
    """Return a figure as an element for a page: without a header, addresses and dates, in the colours of the page."""
    from markupsafe import escape

    text = io.StringIO()
    figure.savefig(text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    # A style for * would be one for the whole page.
    svg = re.sub(r"\s*<metadata>.*?</metadata>|\s*<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"| version="1.1"', "", svg).replace("xlink:href", "href")
    # Several plots stand on one page, and ids are those of the page.
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    width = figure.get_figwidth() * 96
    head = f'<svg role="img" aria-label="{escape(title)}" style="{_FITTED}; max-width: {width:.0f}px"'
    svg = re.sub(r'<svg width="[^"]*" height="[^"]*"|<svg height="[^"]*" width="[^"]*"|<svg', head, svg, count=1)
    svg = re.sub(r" font-family: [^;\"]*;", "", svg)
    return svg.replace(INK, "currentColor").replace(FAINT, "var(--line)").strip()

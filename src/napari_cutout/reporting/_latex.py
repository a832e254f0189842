"""Tables for a paper, with the rules of the LaTeX package booktabs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._references import escaped
from ._tables import NOTHING, Column

__all__ = ["latex_table"]


def latex_table(columns: Sequence[Column], records: Sequence[Mapping[str, Any]], caption: str, label: str) -> str:
    r"""Return a table to be read by ``\input``.

    Parameters
    ----------
    columns : sequence of Column
        What is shown.
    records : sequence of mapping
        One per line.
    caption : str
        What the table shows.
    label : str
        What ``\ref`` calls it.

    Returns
    -------
    str
        A ``table`` environment that needs ``\usepackage{booktabs}``; signs that LaTeX reads as commands are escaped.
    """
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escaped(caption)}}}",
        rf"  \label{{{label}}}",
        rf"  \begin{{tabular}}{{{''.join('l' if c.is_text else 'r' for c in columns)}}}",
        r"    \toprule",
        _line([escaped(c.title) for c in columns]),
        r"    \midrule",
        *(_line([_cell(c.word(record)) for c in columns]) for record in records),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"    {' & '.join(cells)} \\\\"


def _cell(text: str) -> str:
    return escaped(text).replace(NOTHING, "--")

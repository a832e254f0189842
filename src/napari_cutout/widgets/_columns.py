"""Tables as columns of data: what stands in a cell, and in which order rows stand.  No Qt here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Column", "as_text", "cell_text", "row_order"]


@dataclass(frozen=True, slots=True)
class Column:
    """How one column of a table is shown.

    Parameters
    ----------
    name : str
        The name of its data.
    title : str
        What stands above it; by default its name.
    tooltip : str
        What is shown when the mouse rests on the title.
    format : str
        How numbers are written, as `format` takes it; by default whole numbers in full and others to 4 digits.
    shown : bool
        Whether it is in view at first; the menu of the header shows and hides columns.
    editable : bool
        Whether its cells can be edited.
    colour : callable, optional
        From a value to the colour of a small square beside it, as ``"#rrggbb"``; None for no square.
    """

    name: str
    title: str = ""
    tooltip: str = ""
    format: str = ""
    shown: bool = True
    editable: bool = False
    colour: Callable[[Any], str | None] | None = None

    @property
    def heading(self) -> str:
        """What stands above the column."""
        return self.title or self.name


def cell_text(value: Any, spec: str = "") -> str:
    """Return the text of a cell.

    Parameters
    ----------
    value : object
        A number or a text; NumPy's numbers too.
    spec : str
        How numbers are written, as `format` takes it.

    Returns
    -------
    str
        A dash for NaN.

    Examples
    --------
    >>> cell_text(1234567), cell_text(0.123456), cell_text(float("nan")), cell_text(0.5, ".3f")
    ('1234567', '0.1235', '-', '0.500')
    """
    if isinstance(value, float | np.floating) and math.isnan(value):
        return "-"
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        whole = isinstance(value, int | np.integer)
        return format(value, spec or ("" if whole else ".4g"))
    return str(value)


def row_order(values: Sequence[Any] | NDArray[Any], *, descending: bool = False) -> NDArray[np.intp]:
    """Return the rows in the order of their values; rows of equal values keep their order.

    Parameters
    ----------
    values : sequence or 1-D array
        Numbers, or texts, which are compared without regard to case.
    descending : bool
        Largest first.

    Returns
    -------
    intp array of shape (n,)
        The row that comes first, second...; NaN and empty texts come last in either direction.

    Examples
    --------
    >>> row_order([3.0, float("nan"), 1.0, 3.0], descending=True).tolist()
    [0, 3, 2, 1]
    """
    if not len(values):
        return np.zeros(0, np.intp)
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        array = np.asarray([str(value).casefold() for value in values])
    missing = np.isnan(array) if array.dtype.kind == "f" else array == "" if array.dtype.kind == "U" else None
    rank = np.unique(array, return_inverse=True)[1].reshape(-1)
    rank = -rank if descending else rank
    return np.argsort(rank, kind="stable") if missing is None else np.lexsort((rank, missing))


def as_text(columns: Sequence[Column], data: Mapping[str, Sequence[Any]], rows: Iterable[int]) -> str:
    """Return rows as text that spreadsheets paste: tabs between cells, numbers in full, the titles on top.

    Parameters
    ----------
    columns : sequence of Column
        The columns to write, in order.
    data : mapping
        The values of each column by its name.
    rows : iterable of int
        The rows to write, in order.

    Returns
    -------
    str
        One line per row, and one above them.
    """
    lines = [[column.heading for column in columns]]
    lines += [[_plain(data[column.name][row]) for column in columns] for row in rows]
    return "\n".join("\t".join(line) for line in lines)


def _plain(value: Any) -> str:
    """Return a value as text without tabs and line ends; NaN is empty."""
    if isinstance(value, float | np.floating) and math.isnan(value):
        return ""
    return " ".join(str(value).split())

"""What the columns of a table are called in a file: the name with its unit, as every program reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["heading", "headings"]

_PLAIN = str.maketrans({"µ": "u", "μ": "u", "Å": "A", "²": "2", "³": "3"})
"""Letters of units that spreadsheets and R break, and what stands for them."""


def heading(name: str, unit: str = "") -> str:
    """Return what a column is called in a file.

    Parameters
    ----------
    name : str
        The name of the column; a part that is the name of a channel may hold anything.
    unit : str
        The unit of its numbers, such as ``"µm²"``; empty if they have none, or it is not known.

    Returns
    -------
    str
        One word of letters, digits and underscores that ends in the unit, such as ``area_um2``: pandas, R and
        spreadsheets take it as it is.
    """
    return re.sub(r"\W+", "_", f"{name}_{unit.translate(_PLAIN)}" if unit else name)


def headings(columns: Iterable[tuple[str, str]]) -> list[str]:
    """Return what columns are called in one file, each by a name of its own.

    Parameters
    ----------
    columns : iterable of (str, str)
        Name and unit of each.

    Returns
    -------
    list of str
        The `heading` of each; of names that differ in signs alone, such as ``CD4+`` and ``CD4-``, those after the first
        have their number at the end, as in ``mean_CD4__2``.
    """
    found: dict[str, None] = {}
    for name, unit in columns:
        plain, number = heading(name, unit), 1
        own = plain
        while own in found:
            number += 1
            own = f"{plain}_{number}"
        found[own] = None
    return list(found)

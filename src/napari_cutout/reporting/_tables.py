"""Tables as text, for a page, for LaTeX and for CSV: columns said once."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["NOTHING", "Column", "as_csv", "word"]

NOTHING = "\N{EN DASH}"
"""What stands for a value that is not defined."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    key : str
        Where its values stand in a record.
    title : str
        Its heading.
    digits : int, optional
        Digits after the point; None for words and whole numbers.
    about : str
        What it means, in a sentence.
    is_text : bool
        True for words, which are aligned to the left.
    """

    key: str
    title: str
    digits: int | None = None
    about: str = ""
    is_text: bool = False

    def word(self, record: Mapping[str, Any]) -> str:
        """Return the value of a record as it is printed."""
        return word(record.get(self.key), self.digits)

    def sort_key(self, record: Mapping[str, Any]) -> str:
        """Return by what a table is sorted: the value with all its digits; empty, which is sorted last, if none."""
        value = record.get(self.key)
        return "" if value is None or value != value else str(value)


def word(value: Any, digits: int | None = None) -> str:
    """Return a value as it is printed.

    Parameters
    ----------
    value : any
        None and NaN are not defined.
    digits : int, optional
        Digits after the point of a float.

    Returns
    -------
    str
        The word.
    """
    if value is None or value != value:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.{digits}f}" if digits is not None and isinstance(value, int | float) else str(value)


def as_csv(records: Sequence[Mapping[str, Any]], names: Sequence[str] | None = None) -> str:
    """Return records as CSV, with all digits; what is not defined is empty.

    Parameters
    ----------
    records : sequence of mapping
        One per line.
    names : sequence of str, optional
        Which entries, in their order; those of the first record by default.

    Returns
    -------
    str
        The text, with a heading.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(
        text, names or list(records[0] if records else ()), lineterminator="\n", extrasaction="ignore"
    )
    writer.writeheader()
    for record in records:
        writer.writerow({k: "" if v is None or v != v else v for k, v in record.items()})
    return text.getvalue()

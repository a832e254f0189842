"""Tables as text, the same way for every kind of score."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["csv_text", "listed", "rows_of", "table_text"]

MAX_LABELS = 10
"""Labels of one kind that a line lists."""


def rows_of(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Return the rows of a table that is given by its columns."""
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def csv_text(names: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return rows as CSV under a line of names."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue()


def table_text(names: Sequence[str], table: Iterable[Mapping[str, Any]]) -> str:
    """Return rows that name their values as CSV under a line of those names."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def listed(labels: tuple[int, ...]) -> str:
    """Return how many labels there are, and the first of them."""
    more = f" and {len(labels) - MAX_LABELS} more" if len(labels) > MAX_LABELS else ""
    shown = ", ".join(map(str, labels[:MAX_LABELS]))
    return f"{len(labels)} ({shown}{more})" if labels else "0"

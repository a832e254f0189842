"""Tables as text, the same way for every kind of score."""

from __future__ import annotations

from typing import Any

__all__ = ["listed", "rows_of"]

MAX_LABELS = 10
"""Labels of one kind that a line lists."""


def rows_of(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Return the rows of a table that is given by its columns."""
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def listed(labels: tuple[int, ...]) -> str:
    """Return how many labels there are, and the first of them."""
    more = f" and {len(labels) - MAX_LABELS} more" if len(labels) > MAX_LABELS else ""
    shown = ", ".join(map(str, labels[:MAX_LABELS]))
    return f"{len(labels)} ({shown}{more})" if labels else "0"

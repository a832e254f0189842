"""What a keyboard and a screen reader need: fields in the order in which they are read, with names and tooltips."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QFormLayout, QLabel, QLayout, QScrollArea, QWidget

__all__ = ["align", "explain", "order_tabs", "tab_stops"]


def explain(field: QWidget, name: str, text: str) -> None:
    """Give a field the name that a screen reader says, and a tooltip.

    A field keeps a tooltip of its own even where that of the widget around it is shown, since only its own is read
    aloud.
    """
    field.setAccessibleName(name)
    field.setToolTip(text)


def align(labels: Iterable[QLabel]) -> None:
    """Make labels of several forms equally wide, so that the fields beside them stand below each other."""
    labels = list(labels)
    width = max(label.sizeHint().width() for label in labels)
    for label in labels:
        label.setMinimumWidth(width)


def order_tabs(top: QWidget) -> None:
    """Let Tab go through the fields as they are read; Qt would go through them as they were made.

    Parameters
    ----------
    top : QWidget
        What holds them, or a part of it. Call it again after fields were added.

    Notes
    -----
    All of the form is ordered, also when a part is named: a new field at the head of that part stands at the end of
    Qt's chain, and would take the rest of the part there.
    """
    while (around := top.parentWidget()) is not None and not isinstance(around, QDockWidget):
        top = around
    for before, after in pairwise(tab_stops(top)):
        QWidget.setTabOrder(before, after)


def tab_stops(top: QWidget) -> list[QWidget]:
    """Return the fields that Tab stops at, whether they are shown or not, as they are read."""
    return [widget for widget in _widgets_of(top) if widget.focusPolicy() & Qt.FocusPolicy.TabFocus]


def _widgets_of(widget: QWidget) -> Iterator[QWidget]:
    """Yield a widget and all that is laid out in it."""
    yield widget
    if isinstance(widget, QScrollArea):
        yield from _widgets_of(widget.widget())
    elif (layout := widget.layout()) is not None:
        yield from _widgets_in(layout, [child for child in widget.children() if isinstance(child, QWidget)])


def _widgets_in(layout: Any, children: Sequence[QWidget]) -> Iterator[QWidget]:
    """Yield what a layout holds of the widget whose children these are.

    No layout is asked for its items: their Python wrappers would outlive them.
    """
    inner = [child for child in layout.children() if isinstance(child, QLayout)]
    held = [(place, thing) for thing in (*children, *inner) if (place := _place(layout, thing)) is not None]
    for _, thing in sorted(held, key=lambda pair: pair[0]):
        yield from _widgets_in(thing, children) if isinstance(thing, QLayout) else _widgets_of(thing)


def _place(layout: Any, thing: Any) -> tuple[int, int] | None:
    """Return where in a layout a widget or a layout is, None if elsewhere."""
    at = layout.indexOf(thing)
    if at < 0:
        return None
    if not isinstance(layout, QFormLayout):
        return at, 0
    asked = layout.getLayoutPosition if isinstance(thing, QLayout) else layout.getWidgetPosition
    row, role = asked(thing)
    return row, int(getattr(role, "value", role))

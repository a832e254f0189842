"""The rows of what is done before and after the cut, as low as they can be read: tick boxes stand beside each other."""

from __future__ import annotations

from collections.abc import Collection

from qtpy.QtWidgets import QCheckBox, QFormLayout, QHBoxLayout, QLabel, QWidget

from ._editors import Editor

__all__ = ["ALWAYS_IN_VIEW", "OptionRows", "add_row"]

ALWAYS_IN_VIEW = ("sigma", "one_per_object", "min_size", "fill_holes", "clear_border")
"""Shared options that nobody should have to look for, in their order; the others stand under *More*."""

_BESIDE = {"clear_border": "fill_holes"}
"""Tick boxes that stand in the row of another."""


class OptionRows:
    """Rows for the options that methods share, of which each method shows those that it has.

    Parameters
    ----------
    layout : QFormLayout
        Where the rows stand that are always in view.
    more : QFormLayout
        Where the others stand.
    """

    def __init__(self, layout: QFormLayout, more: QFormLayout) -> None:
        self._layout, self._more = layout, more
        self._rows: dict[str, tuple[QFormLayout, Editor]] = {}
        self._ticked: dict[str, _TickBoxes] = {}

    @property
    def folded(self) -> list[Editor]:
        """The editors under *More*."""
        return [editor for layout, editor in self._rows.values() if layout is self._more]

    def add(self, editor: Editor) -> None:
        """Add a row for an option, or put its tick box beside one that is there."""
        name = editor.param.name
        if isinstance(editor.field, QCheckBox) and name in ALWAYS_IN_VIEW:
            if (boxes := self._ticked.get(_BESIDE.get(name, ""))) is None:
                boxes = _TickBoxes()
                self._layout.addRow(boxes)
            boxes.add(editor)
            self._ticked[name] = boxes
            return
        layout = self._layout if name in ALWAYS_IN_VIEW else self._more
        self._rows[name] = layout, editor
        add_row(layout, editor)

    def show_for(self, names: Collection[str]) -> None:
        """Show the options of these names and no others."""
        for name, (layout, editor) in self._rows.items():
            layout.setRowVisible(editor, name in names)
        for boxes in set(self._ticked.values()):
            self._layout.setRowVisible(boxes, boxes.show_for(names))


class _TickBoxes(QWidget):  # type: ignore[misc]
    """Tick boxes in one row, each behind its words, so that their width leaves more to the fields of other rows."""

    def __init__(self) -> None:
        super().__init__()
        self._boxes: list[tuple[QLabel, Editor]] = []
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)

    def add(self, editor: Editor) -> None:
        """Add a tick box."""
        label = QLabel()
        _lead(label, editor)
        self._boxes.append((label, editor))
        self._row.addWidget(label)
        self._row.addWidget(editor)
        self._row.addStretch(1)

    def show_for(self, names: Collection[str]) -> bool:
        """Show the tick boxes that are named, and tell whether there is one."""
        for label, editor in self._boxes:
            for widget in (label, editor):
                widget.setVisible(editor.param.name in names)
        return any(editor.param.name in names for _, editor in self._boxes)


def add_row(layout: QFormLayout, editor: Editor) -> None:
    """Add the field of a setting, with a label that leads to it."""
    label = QLabel()
    _lead(label, editor)
    layout.addRow(label, editor)


def _lead(label: QLabel, editor: Editor) -> None:
    """Let a label say what a setting is called, and lead to its field."""
    label.setText(editor.caption)
    label.setToolTip(editor.description)
    label.setBuddy(editor.field)

"""The rows of what is done before and after the cut, as low as they can be read: tick boxes stand beside each other."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

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
        self._shared: dict[str, _Beside] = {}

    @property
    def folded(self) -> list[Editor]:
        """The editors under *More*."""
        return [editor for layout, editor in self._rows.values() if layout is self._more]

    def add(self, editor: Editor) -> None:
        """Add a row for an option, or put its tick box beside one that is there."""
        name = editor.param.name
        if (first := _BESIDE.get(name)) in self._rows and isinstance(editor.field, QCheckBox):
            layout, other = self._rows.pop(str(first))
            label: Any = layout.labelForField(other)
            layout.takeRow(other)
            label.deleteLater()
            both = _Beside(other, editor)
            layout.addRow(both)
            self._shared |= {str(first): both, name: both}
            return
        layout = self._layout if name in ALWAYS_IN_VIEW else self._more
        self._rows[name] = layout, editor
        add_row(layout, editor)

    def show_for(self, names: Collection[str]) -> None:
        """Show the options of these names and no others."""
        for name, (layout, editor) in self._rows.items():
            layout.setRowVisible(editor, name in names)
        for both in set(self._shared.values()):
            self._layout.setRowVisible(both, both.show_for(names))


class _Beside(QWidget):  # type: ignore[misc]
    """Two tick boxes in one row; where a method has but one of them, that one is the row."""

    def __init__(self, first: Editor, second: Editor) -> None:
        super().__init__()
        self._editors = (first, second)
        self._labels = (QLabel(), QLabel())
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for label, editor in zip(self._labels, self._editors, strict=True):
            _lead(label, editor)
            layout.addWidget(label)
            layout.addWidget(editor)
            layout.addStretch(1)
        self.show_for([editor.param.name for editor in self._editors])

    def show_for(self, names: Collection[str]) -> bool:
        """Show those of the two that are named, and tell whether one is."""
        shown = [editor.param.name in names for editor in self._editors]
        for label, editor, on in zip(self._labels, self._editors, shown, strict=True):
            label.setVisible(on)
            editor.setVisible(on)
        return any(shown)


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

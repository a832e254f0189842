"""The table of *Compare*: rows with pictures, failed ones grey; and the layer that shows the labels of a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from qtpy.QtCore import QModelIndex, QSize, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPalette
from qtpy.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem, QWidget

from ..comparison.leaderboard import Row
from . import _layers
from ._compare_job import COLUMNS, PICTURE_EDGE, Setup, SoFar, columns_of, objects_in
from ._object_link import show_place
from ._preview_layer import PreviewLayer, lies_on
from ._table import Table
from ._thumbnails import icon

__all__ = ["CompareTable", "RowLayer"]

_GREY = QColor("#808080")
"""Of rows that failed; readable on dark themes and on light ones."""

_WIDEST = {"rank": 30, "picture": PICTURE_EDGE + 4, "name": 138, "score": 52}
"""Width that columns do not exceed, in pixels, so that names and scores are seen in a dock of 320."""

_BREAK = "\u200b"
"""A space without width, at which a line may end."""

_PICTURE = [column.name for column in COLUMNS].index("picture")


class _RowLook(QStyledItemDelegate):  # type: ignore[misc]
    """Draws the picture of a row in place of its number, and a row that failed in grey."""

    def __init__(self, table: CompareTable) -> None:
        super().__init__(table)
        self._table = table

    def initStyleOption(self, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Grey what failed."""
        super().initStyleOption(option, index)
        row = self._table.row_of(index)
        if row is not None and row.error:
            for role in (QPalette.ColorRole.Text, QPalette.ColorRole.WindowText):
                option.palette.setColor(role, _GREY)
        option.text = "" if index.column() == _PICTURE else option.text.replace("_", f"_{_BREAK}")

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Draw a cell."""
        super().paint(painter, option, index)
        if index.column() == _PICTURE and (picture := self._table.icon_of(index)) is not None:
            picture.paint(painter, option.rect.adjusted(1, 1, -1, -1), Qt.AlignmentFlag.AlignCenter)

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        """Make room for the picture."""
        size = super().sizeHint(option, index)
        return QSize(PICTURE_EDGE + 4, PICTURE_EDGE + 4) if index.column() == _PICTURE else size


class CompareTable(Table):
    """Shows the rows of a comparison as they finish.

    Parameters
    ----------
    parent : QWidget, optional
        Its parent.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(COLUMNS, parent)
        self._rows: list[Row] = []
        self._icons: dict[int, QIcon] = {}
        self.setItemDelegate(_RowLook(self))
        self.setSelectionMode(Table.SelectionMode.SingleSelection)
        self.setIconSize(QSize(PICTURE_EDGE, PICTURE_EDGE))
        self.setWordWrap(True)  # a row is as high as its picture
        for size in (self.verticalHeader().setDefaultSectionSize, self.verticalHeader().setMinimumSectionSize):
            size(PICTURE_EDGE + 4)

    def show_rows(self, so_far: SoFar | None) -> None:
        """Show these rows; the one that is selected stays so."""
        chosen = [self._rows[at] for at in self.selected]
        self._rows = [] if so_far is None else [one.row for one in so_far.board.standings]
        pictures: Mapping[int, Any] = {} if so_far is None else so_far.pictures
        self._icons = {
            id(row): self._icons.get(id(row)) or icon(pictures[id(row)]) for row in self._rows if id(row) in pictures
        }
        self.set_shown("f1", so_far is not None and so_far.board.problem.numbered)
        self.set_data({c.name: [] for c in COLUMNS} if so_far is None else columns_of(so_far.board))
        self.select([at for at, row in enumerate(self._rows) if row in chosen])

    def fit(self) -> None:
        """Make columns as wide as what they hold needs; long names take a second line."""
        super().fit()
        for at, column in enumerate(self.columns):
            widest = _WIDEST.get(column.name, self.columnWidth(at))
            self.setColumnWidth(at, min(widest, self.columnWidth(at)))

    @property
    def chosen_row(self) -> Row | None:
        """The row that is selected."""
        return self._rows[self.selected[0]] if self.selected else None

    def row_of(self, index: QModelIndex) -> Row | None:
        """Return the row that a cell belongs to."""
        at = self._model.row_at(index.row())
        return self._rows[at] if at < len(self._rows) else None

    def icon_of(self, index: QModelIndex) -> QIcon | None:
        """Return the picture of the row that a cell belongs to."""
        return self._icons.get(id(self.row_of(index)))


class RowLayer(PreviewLayer):
    """The temporary layer that shows the labels of a row, in the plane that its picture shows."""

    name = "compared"

    def show_row(self, viewer: Any, row: Row, setup: Setup, so_far: SoFar) -> None:
        """Show the labels of a row, and move the viewer to their plane.

        Parameters
        ----------
        viewer : napari viewer
            What moves.
        row : Row
            With a plane.
        setup : Setup
            What was compared.
        so_far : SoFar
            What is known of the comparison: which plane it is, and which class is the background.
        """
        assert row.plane is not None
        aim, index = setup.target, so_far.index
        seen = objects_in(row.plane, row, so_far.board.problem.background)
        labels = np.where(seen, row.plane, 0).astype(np.int32)[(None,) * len(index)]
        place = lies_on(aim.result_place, (*index, 0, 0), (1.0,) * labels.ndim, aim.spread)
        self.name = f"compared: {row.name}"
        self.show(aim.as_layer(labels), place, setup.image)
        layer = self.layer
        if layer is not None and layer.name != self.name:
            layer.name = self.name
        if layer is not None and index and len(viewer.dims.displayed) == 2:
            at = tuple(0.0 if n == 1 else (n - 1) / 2 for n in _layers.level_zero(layer).shape)
            show_place(viewer, layer, at)

    def _made(self, labels: Any, **options: Any) -> Any:
        from napari.layers import Labels

        return Labels(labels, name=self.name, opacity=0.6, **options)

"""A table of columns that sorts, selects by row, copies, and hides columns; other widgets say what stands in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QItemSelection, QItemSelectionModel, QModelIndex, QPoint, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QKeySequence, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QApplication, QMenu, QTableView, QWidget

from ._columns import Column, as_text, cell_text, row_order

__all__ = ["ColumnsModel", "Table"]

_HEADER = "QHeaderView { font-size: 7.5pt; } QHeaderView::section { padding: 1px 3px; }"
"""Style of the header: small, so that more columns are in view."""

_MAX_WIDTH = 240
"""Width that no column exceeds by itself, in pixels."""

_SQUARE = 12
"""Edge of the square that shows a colour, in pixels."""

_ROW_HEIGHT = 22
"""Height of a row, in pixels."""

_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
_LEFT = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)

NOWHERE = QModelIndex()


def _square(colour: str) -> QIcon:
    """Return a square of this colour, which keeps it in a selected row, where Qt would tint it."""
    pixmap = QPixmap(_SQUARE, _SQUARE)
    pixmap.fill(QColor(colour))
    icon = QIcon(pixmap)
    icon.addPixmap(pixmap, QIcon.Mode.Selected)
    return icon


class ColumnsModel(QAbstractTableModel):  # type: ignore[misc]
    """Columns of data, in an order of rows that is found by NumPy.

    A sorting proxy would ask Python for two values at each comparison, which takes seconds on 100,000 rows.

    Parameters
    ----------
    columns : sequence of Column
        What is shown of the data, in order.

    Attributes
    ----------
    edited
        Emitted with the row of the data, the column's name and the text when somebody has edited a cell. The data
        stay as they are until whoever listens sets them.
    """

    edited = Signal(int, str, str)

    def __init__(self, columns: Sequence[Column] = ()) -> None:
        super().__init__()
        self.columns: tuple[Column, ...] = tuple(columns)
        self.values: dict[str, Sequence[Any]] = {column.name: () for column in columns}
        self._order = np.zeros(0, np.intp)
        self._sorted: tuple[int, bool] = (-1, False)

    def set_data(self, columns: Sequence[Column], data: Mapping[str, Sequence[Any]]) -> None:
        """Show other data; the order that was asked for stays where the columns are the same."""
        lengths = {column.name: len(data[column.name]) for column in columns}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"all columns must have the same number of rows, got {lengths}")
        self.beginResetModel()
        if [column.name for column in columns] != [column.name for column in self.columns]:
            self._sorted = (-1, False)
        self.columns = tuple(columns)
        self.values = {column.name: data[column.name] for column in columns}
        self._order = self._wanted_order()
        self.endResetModel()

    def set_column(self, name: str, values: Sequence[Any]) -> None:
        """Replace the values of one column; rows stay where they are, and selected."""
        if len(values) != self.rowCount():
            raise ValueError(f"column {name!r} must have {self.rowCount()} rows, got {len(values)}")
        self.values[name] = values
        at = [column.name for column in self.columns].index(name)
        if self.rowCount():
            self.dataChanged.emit(self.index(0, at), self.index(self.rowCount() - 1, at))

    def row_at(self, place: int) -> int:
        """Return the row of the data that stands at this place, counted from the top."""
        return int(self._order[place])

    def places(self, rows: Iterable[int]) -> list[int]:
        """Return where rows of the data stand, counted from the top, rising."""
        place = np.empty(len(self._order), np.intp)
        place[self._order] = np.arange(len(self._order))
        return sorted(int(place[row]) for row in rows)

    # What Qt asks for

    def rowCount(self, parent: QModelIndex = NOWHERE) -> int:
        return 0 if parent.isValid() else len(self._order)

    def columnCount(self, parent: QModelIndex = NOWHERE) -> int:
        return 0 if parent.isValid() else len(self.columns)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        column = self.columns[index.column()]
        value = self.values[column.name][self.row_at(index.row())]
        if role == Qt.ItemDataRole.DisplayRole:
            return cell_text(value, column.format)
        if role == Qt.ItemDataRole.EditRole:
            return str(value)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _LEFT if isinstance(value, str) else _RIGHT
        if role == Qt.ItemDataRole.DecorationRole and column.colour is not None:
            colour = column.colour(value)
            return None if colour is None else _square(colour)
        return None

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        if not index.isValid() or role != Qt.ItemDataRole.EditRole:
            return False
        self.edited.emit(self.row_at(index.row()), self.columns[index.column()].name, str(value).strip())
        return True

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        known = super().flags(index)
        editable = index.isValid() and self.columns[index.column()].editable
        return known | Qt.ItemFlag.ItemIsEditable if editable else known

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self.columns):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self.columns[section].heading
        return (self.columns[section].tooltip or None) if role == Qt.ItemDataRole.ToolTipRole else None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Put the rows into the order of a column; -1 is the order of the data. What is selected stays selected."""
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        rows = [self.row_at(index.row()) for index in before]
        self._sorted = (column, order == Qt.SortOrder.DescendingOrder)
        self._order = self._wanted_order()
        place = np.empty(len(self._order), np.intp)
        place[self._order] = np.arange(len(self._order))
        after = [self.index(int(place[row]), index.column()) for row, index in zip(rows, before, strict=True)]
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

    def _wanted_order(self) -> np.ndarray[Any, np.dtype[np.intp]]:
        column, descending = self._sorted
        n_rows = len(next(iter(self.values.values()), ()))
        if not 0 <= column < len(self.columns):
            return np.arange(n_rows)
        return row_order(self.values[self.columns[column].name], descending=descending)


class Table(QTableView):  # type: ignore[misc]
    """Shows columns of data. Rows are named by their place in the data, whatever the order on the screen.

    Parameters
    ----------
    columns : sequence of Column
        What is shown, in order.
    parent : QWidget, optional
        Its parent.

    Attributes
    ----------
    chosen
        Emitted with the list of selected rows whenever the user selects others; not by `select`.
    edited
        Emitted with the row, the column's name and the text when the user has edited a cell. The data stay as they
        are until `set_column` or `set_data` is called.

    Examples
    --------
    >>> table = Table([Column("class"), Column("iou", "IoU", format=".3f")])  # doctest: +SKIP
    >>> table.set_data({"class": [0, 1], "iou": [0.98, 0.91]})  # doctest: +SKIP
    """

    chosen = Signal(list)
    edited = Signal(int, str, str)

    def __init__(self, columns: Sequence[Column] = (), parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = ColumnsModel(columns)
        self._model.edited.connect(self.edited)
        self.setModel(self._model)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setAlternatingRowColors(False)  # napari's themes give the other colour no style: white on dark
        self.setWordWrap(False)
        self.setSortingEnabled(True)
        self.verticalHeader().setVisible(False)
        self.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
        self.verticalHeader().setMinimumSectionSize(_ROW_HEIGHT)
        header = self.horizontalHeader()
        header.setSortIndicatorClearable(True)  # a third click gives the order of the data
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        header.setStyleSheet(_HEADER)
        header.setMinimumSectionSize(30)
        header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header.customContextMenuRequested.connect(self._ask_for_columns)
        self._silent = False
        self.selectionModel().selectionChanged.connect(self._tell)
        self._hide_columns()

    @property
    def columns(self) -> tuple[Column, ...]:
        """What is shown, in order."""
        return self._model.columns

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return self._model.rowCount()

    def set_data(self, data: Mapping[str, Sequence[Any]], columns: Sequence[Column] | None = None) -> None:
        """Show other data, and other columns if they are given; nothing is selected then.

        Parameters
        ----------
        data : mapping
            The values of each column by its name, lists or 1-D arrays of one length.
        columns : sequence of Column, optional
            What to show; by default the columns there are.

        Raises
        ------
        ValueError
            If columns differ in length.
        """
        fresh = columns is not None and [c.name for c in columns] != [c.name for c in self.columns]
        self._model.set_data(self.columns if columns is None else columns, data)
        if fresh:
            self.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
            self._hide_columns()
        self.fit()

    def set_column(self, name: str, values: Sequence[Any]) -> None:
        """Replace the values of one column; the order and the selection stay."""
        self._model.set_column(name, values)

    def value(self, row: int, name: str) -> Any:
        """Return the value of a cell by the row of the data and the name of the column."""
        return self._model.values[name][row]

    def texts(self) -> list[list[str]]:
        """Return what the cells say, row by row as they stand on the screen; hidden columns are left out."""
        shown = [at for at in range(len(self.columns)) if not self.isColumnHidden(at)]
        places = range(self.n_rows)
        return [[str(self._model.data(self._model.index(place, at))) for at in shown] for place in places]

    @property
    def selected(self) -> list[int]:
        """The selected rows of the data, from the top of the screen down."""
        places = sorted(index.row() for index in self.selectionModel().selectedRows())
        return [self._model.row_at(place) for place in places]

    def select(self, rows: Iterable[int]) -> None:
        """Select rows of the data and scroll to the first of them, without emitting `chosen`."""
        places, last = self._model.places(rows), max(len(self.columns) - 1, 0)
        chosen = QItemSelection()
        for place in places:
            chosen.select(self._model.index(place, 0), self._model.index(place, last))
        self._silent = True
        try:
            self.selectionModel().select(chosen, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        finally:
            self._silent = False
        if places:
            shown = next((at for at in range(last + 1) if not self.isColumnHidden(at)), 0)
            self.scrollTo(self._model.index(places[0], shown))

    def set_shown(self, name: str, shown: bool) -> None:
        """Show or hide a column."""
        self.setColumnHidden([column.name for column in self.columns].index(name), not shown)

    def fit(self) -> None:
        """Make columns as wide as what they hold needs."""
        header = self.horizontalHeader()
        header.setResizeContentsPrecision(200)  # rows that are looked at
        for at in range(len(self.columns)):
            needed = max(self.sizeHintForColumn(at), header.sectionSizeHint(at)) + 4
            header.resizeSection(at, min(needed, _MAX_WIDTH))

    def copy(self) -> None:
        """Copy the selected rows, or all, as text that spreadsheets paste."""
        columns = [column for at, column in enumerate(self.columns) if not self.isColumnHidden(at)]
        rows = self.selected or [self._model.row_at(place) for place in range(self.n_rows)]
        QApplication.clipboard().setText(as_text(columns, self._model.values, rows))

    def keyPressEvent(self, event: Any) -> None:
        """Copy whole rows, where Qt would copy one cell."""
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
            event.accept()
        else:
            super().keyPressEvent(event)

    def columns_menu(self) -> QMenu:
        """Return the menu that shows and hides columns; at least one stays."""
        menu = QMenu(self)
        shown = [not self.isColumnHidden(at) for at in range(len(self.columns))]
        for at, column in enumerate(self.columns):
            action = menu.addAction(column.heading)
            action.setToolTip(column.tooltip)
            action.setCheckable(True)
            action.setChecked(shown[at])
            action.setEnabled(not (shown[at] and sum(shown) == 1))
            show: Callable[[bool], None] = partial(self.set_shown, column.name)
            action.toggled.connect(show)
        return menu

    def _ask_for_columns(self, at: QPoint) -> None:
        menu = self.columns_menu()
        menu.exec(self.horizontalHeader().mapToGlobal(at))
        menu.deleteLater()

    def _hide_columns(self) -> None:
        for at, column in enumerate(self.columns):
            self.setColumnHidden(at, not column.shown)

    def _tell(self, *_: Any) -> None:
        if not self._silent:
            self.chosen.emit(self.selected)

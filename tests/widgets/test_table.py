"""The table that widgets share: the pure rules of its cells and order, and what a user does with it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cutout.widgets._columns import Column, as_text, cell_text, row_order

NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "spec", "text"),
    [
        pytest.param(7, "", "7", id="int"),
        pytest.param(np.int64(10**12), "", "1000000000000", id="int64"),
        pytest.param(1234567, ",", "1,234,567", id="thousands"),
        pytest.param(0.123456, "", "0.1235", id="float"),
        pytest.param(np.float64(0.5), ".3f", "0.500", id="digits"),
        pytest.param(NAN, ".3f", "-", id="nan"),
        pytest.param("nuclei", ".3f", "nuclei", id="text"),
        pytest.param(True, "", "True", id="bool"),
    ],
)
def test_cells_say_their_value(value, spec, text):
    assert cell_text(value, spec) == text


@pytest.mark.parametrize(
    ("values", "rising", "falling"),
    [
        pytest.param([2, 1, 2, 3], [1, 0, 2, 3], [3, 0, 2, 1], id="ties-keep-their-order"),
        pytest.param([NAN, 2.0, 1.0], [2, 1, 0], [1, 2, 0], id="nan-last"),
        pytest.param(["b", "", "A", "c"], [2, 0, 3, 1], [3, 0, 2, 1], id="texts-without-case"),
        pytest.param([False, True], [0, 1], [1, 0], id="bools"),
        pytest.param(np.array([2**63, 2**63 - 1], np.uint64), [1, 0], [0, 1], id="uint64"),
        pytest.param([], [], [], id="nothing"),
    ],
)
def test_rows_are_put_in_order(values, rising, falling):
    assert row_order(values).tolist() == rising
    assert row_order(values, descending=True).tolist() == falling


def test_text_for_spreadsheets_has_numbers_in_full_and_no_tabs_in_cells():
    columns = [Column("class"), Column("iou", "IoU", format=".1f")]
    data = {"class": ["a\tb", "c"], "iou": [0.123456789, NAN]}
    assert as_text(columns, data, [1, 0]) == "class\tIoU\nc\t\na b\t0.123456789"


# In a window -----------------------------------------------------------------------------------------

DATA = {"label": [1, 2, 3], "iou": [0.5, NAN, 0.25], "name": ["b", "a", ""]}
COLUMNS = [
    Column("label", colour=lambda label: "#ff0000" if label == 1 else None),
    Column("iou", "IoU", "intersection over union", format=".2f"),
    Column("name", editable=True),
]


@pytest.fixture
def table(qtbot):
    """A table of three rows."""
    from napari_cutout.widgets._table import Table

    table = Table(COLUMNS)
    qtbot.addWidget(table)
    table.set_data(DATA)
    return table


def click_header(table, at, qtbot):
    from qtpy.QtCore import QPoint, Qt

    header = table.horizontalHeader()
    place = QPoint(header.sectionViewportPosition(at) + 5, header.height() // 2)
    qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=place)


@pytest.mark.qt
def test_a_click_on_the_header_sorts_up_down_and_back(table, qtbot):
    table.resize(400, 300)
    table.show()
    seen = []
    for _ in range(3):
        click_header(table, 1, qtbot)
        seen.append([row[0] for row in table.texts()])
    assert seen == [["3", "1", "2"], ["1", "3", "2"], ["1", "2", "3"]]
    assert table.texts()[1] == ["2", "-", "a"]


@pytest.mark.qt
def test_selected_rows_stay_selected_when_the_order_changes(table):
    from qtpy.QtCore import Qt

    table.select([0, 2])
    assert table.selected == [0, 2]
    table.sortByColumn(1, Qt.SortOrder.AscendingOrder)
    assert table.selected == [2, 0], "from the top down"
    assert table.value(table.selected[0], "iou") == 0.25


@pytest.mark.qt
def test_the_order_stays_when_data_of_the_same_columns_come(table):
    from qtpy.QtCore import Qt

    table.sortByColumn(0, Qt.SortOrder.DescendingOrder)
    table.set_data({"label": [5, 6], "iou": [0.1, 0.2], "name": ["", ""]})
    assert [row[0] for row in table.texts()] == ["6", "5"]
    table.set_data({"a": [2, 1]}, [Column("a")])
    assert table.texts() == [["2"], ["1"]], "other columns begin in their own order"


@pytest.mark.qt
def test_only_the_user_is_heard(table, qtbot):
    from qtpy.QtCore import Qt

    heard = []
    table.chosen.connect(heard.append)
    table.select([1])
    assert heard == []
    table.resize(400, 300)
    table.show()
    place = table.visualRect(table.model().index(2, 0)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert heard == [[2]]


@pytest.mark.qt
def test_an_edit_is_told_and_changes_nothing_by_itself(table):
    from qtpy.QtCore import Qt

    told = []
    table.edited.connect(lambda *what: told.append(what))
    table.sortByColumn(0, Qt.SortOrder.DescendingOrder)
    model = table.model()
    assert model.flags(model.index(0, 2)) & Qt.ItemFlag.ItemIsEditable
    assert not model.flags(model.index(0, 0)) & Qt.ItemFlag.ItemIsEditable
    assert model.setData(model.index(0, 2), " nuclei ")
    assert told == [(2, "name", "nuclei")]
    assert table.value(2, "name") == ""
    table.select([2])
    table.set_column("name", ["", "", "nuclei"])
    assert table.texts()[0] == ["3", "0.25", "nuclei"]
    assert table.selected == [2]


@pytest.mark.qt
def test_columns_can_be_hidden_but_one_stays(table):
    actions = {action.text(): action for action in table.columns_menu().actions()}
    assert set(actions) == {"label", "IoU", "name"}
    actions["IoU"].trigger()
    assert table.texts()[0] == ["1", "b"]
    table.set_shown("name", False)
    left = {a.text(): a.isEnabled() for a in table.columns_menu().actions()}
    assert left == {"label": False, "IoU": True, "name": True}


@pytest.mark.qt
def test_rows_are_copied_for_spreadsheets(table, qtbot):
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QApplication

    table.select([2])
    qtbot.keyClick(table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QApplication.clipboard().text() == "label\tIoU\tname\n3\t0.25\t"
    table.select([])
    table.copy()
    assert QApplication.clipboard().text().count("\n") == 3


@pytest.mark.qt
def test_a_square_shows_the_colour_of_a_label_and_tooltips_explain_titles(table):
    from qtpy.QtCore import Qt
    from qtpy.QtGui import QIcon

    model = table.model()
    role = Qt.ItemDataRole.DecorationRole
    icon = model.data(model.index(0, 0), role)
    for mode in (QIcon.Mode.Normal, QIcon.Mode.Selected):
        assert icon.pixmap(12, mode).toImage().pixelColor(5, 5).name() == "#ff0000"
    assert model.data(model.index(1, 0), role) is None
    assert model.headerData(1, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole) == "intersection over union"


@pytest.mark.qt
def test_columns_of_unequal_length_are_refused(table):
    with pytest.raises(ValueError, match=r"same number of rows, got \{'label': 1, 'iou': 2, 'name': 0\}"):
        table.set_data({"label": [1], "iou": [1.0, 2.0], "name": []})
    with pytest.raises(ValueError, match="'name' must have 3 rows, got 1"):
        table.set_column("name", ["a"])
    assert len(table.texts()) == 3

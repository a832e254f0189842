"""The fields of settings, driven by keys as a user does."""

from __future__ import annotations

import pytest

from napari_cutout import catalog

pytestmark = pytest.mark.qt


@pytest.fixture
def field(qtbot):
    """The field of a setting on the screen."""

    def make(method, name):
        from napari_cutout.widgets._editors import Editor

        entry = catalog.find(method)
        editor = Editor(entry, next(p for p in entry.settings if p.name == name))
        qtbot.addWidget(editor)
        editor.show()
        return editor

    return make


@pytest.mark.parametrize(
    ("typed", "value"),
    [("117", 117.0), ("0.1234567891", 0.1234567891), ("-3.5", -3.5), ("1e-7", 1e-7), ("2.5e+20", 2.5e20)],
)
def test_any_number_may_be_typed(field, qtbot, typed, value):
    editor = field("threshold_at", "value")
    box = editor.field
    box.selectAll()
    qtbot.keyClicks(box, typed)
    assert editor.value == value
    box.setValue(value)
    assert float(box.text()) == value


@pytest.mark.parametrize("typed", ["2", "0.5", "1e3"])
@pytest.mark.parametrize("take_away", ["selectAll", "clear"])
def test_a_number_is_typed_before_its_unit_or_without_it(qtbot, typed, take_away):
    from napari_cutout.widgets._editors import FloatBox

    box = FloatBox()
    qtbot.addWidget(box)
    box.setRange(0.01, 1e5)
    box.setSuffix(" min")
    box.setValue(5)
    getattr(box, take_away)()
    qtbot.keyClicks(box, typed)
    assert box.value() == float(typed)
    qtbot.keyClicks(box, " mi")  # no other unit
    box.interpretText()
    assert box.text() == f"{float(typed):g} min"
    box.lineEdit().setText("7")  # the unit deleted
    box.interpretText()
    assert (box.value(), box.text()) == (7.0, "7 min")


@pytest.mark.parametrize("typed", ["abc", "nan", "inf", "--"])
def test_what_is_no_number_does_not_become_one(field, qtbot, typed):
    editor = field("threshold_at", "value")
    editor.set_value(5.0)
    editor.field.selectAll()
    qtbot.keyClicks(editor.field, typed)
    editor.field.clearFocus()
    editor.field.interpretText()
    assert editor.value == 5.0


def test_a_number_out_of_range_is_refused(field, qtbot):
    editor = field("sauvola", "window")
    editor.field.selectAll()
    qtbot.keyClicks(editor.field, "5000")
    editor.field.interpretText()
    assert editor.value <= 2001
    with pytest.raises(ValueError, match=r"window must be between 3 and 2001, got 5000\.0"):
        editor.set_value(5000.0)


@pytest.mark.parametrize(("start", "up"), [(0.0, 1.0), (0.5, 0.51), (117.0, 127.0), (-40.0, -39.0), (2000.0, 2100.0)])
def test_a_click_changes_about_a_tenth(field, start, up):
    box = field("threshold_at", "value").field
    box.setValue(start)
    box.stepBy(1)
    assert box.value() == up


def test_a_step_of_the_setting_is_used(field):
    box = field("sauvola", "k").field
    box.setValue(0.2)
    box.stepBy(2)
    assert box.value() == 0.3


def test_automatic_is_none_until_it_is_unticked(field):
    editor = field("hysteresis", "low")
    assert editor.value is None
    editor.automatic.setChecked(False)
    assert editor.field.isEnabled()
    assert editor.value == 0.0
    editor.set_value(None)
    assert not editor.field.isEnabled()


def test_the_wheel_changes_no_field_that_it_passes(field, qtbot):
    from qtpy.QtCore import QPoint, QPointF, Qt
    from qtpy.QtGui import QWheelEvent
    from qtpy.QtWidgets import QApplication

    editor = field("sauvola", "window")
    box = editor.field
    box.clearFocus()
    centre = QPointF(box.rect().center())
    wheel = QWheelEvent(
        centre,
        centre,
        QPoint(0, 120),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(box, wheel)
    assert editor.value == 25.0


def test_a_type_without_a_field_is_an_error():
    from napari_cutout._method import Param
    from napari_cutout.widgets._editors import _field

    with pytest.raises(TypeError, match="the setting 'extent' has the type <class 'dict'>"):
        _field(Param("extent", dict[str, int], {}))


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("10, 50", (10.0, 50.0)),
        ("-3.5;1e3", (-3.5, 1000.0)),
        (" 7 ,", (7.0,)),
        ("1 2\t3", (1.0, 2.0, 3.0)),
        ("1,,2", (1.0, 2.0)),
    ],
)
def test_several_numbers_are_typed_with_commas_or_spaces(field, qtbot, typed, value):
    editor = field("classes_at", "values")
    qtbot.keyClicks(editor.field, typed.replace("\t", " "))
    assert editor.value == value
    assert not editor.field.styleSheet()


@pytest.mark.parametrize(
    ("typed", "value", "sentence"),
    [
        ("", (), "values must have 1 to 63 entries, got 0"),
        ("50, 10", (50.0, 10.0), "values must rise"),
        ("1, x", (1.0, "x"), "every entry of values must be of type float, got 'x' of type str"),
        ("inf", (float("inf"),), "every entry of values must be a finite number, got inf"),
    ],
    ids=["empty", "falling", "text", "infinite"],
)
def test_numbers_that_are_not_right_are_red_until_they_are(field, qtbot, typed, value, sentence):
    editor = field("classes_at", "values")
    seen = []
    editor.changed.connect(lambda: seen.append(editor.value))
    editor.set_value((1.0, 2.0))
    editor.field.clear()
    qtbot.keyClicks(editor.field, typed)
    assert editor.value == seen[-1] == value
    assert "border" in editor.field.styleSheet()
    with pytest.raises((ValueError, TypeError), match=sentence):
        editor.param.check(editor.value)
    editor.set_value((0.1, 2.0, 1e300))
    assert editor.field.text() == "0.1, 2, 1e+300"
    assert editor.value == (0.1, 2.0, 1e300)
    assert not editor.field.styleSheet()


def test_several_whole_numbers_may_be_found_automatically(qtbot):
    from typing import Annotated

    from napari_cutout._method import Items, _param
    from napari_cutout.widgets._editors import Editor

    param = _param("classes", Annotated[tuple[int, ...], Items(9)] | None, None)
    editor = Editor(catalog.find("threshold"), param)
    qtbot.addWidget(editor)
    assert editor.value is None
    assert not editor.field.isEnabled()
    editor.set_value((3, 1))
    assert editor.value == (3, 1)
    editor.field.setText("2, 4.5")
    assert editor.value == (2, "4.5")
    assert editor.field.styleSheet()
    editor.automatic.setChecked(True)
    assert editor.value is None

"""The doctor in the window: what it reports beyond the command line, its keys, and that it leaves the event loop."""

from __future__ import annotations

import getpass
import sys
import threading
from pathlib import Path

import pytest

from napari_cutout import __version__
from napari_cutout.widgets import _doctor

from ..patience import PATIENCE

pytestmark = pytest.mark.qt


@pytest.fixture
def clipboard(viewer):
    """Qt's clipboard, which holds nothing yet."""
    from qtpy.QtGui import QGuiApplication

    board = QGuiApplication.clipboard()
    board.setText("")
    return board


@pytest.fixture
def open_doctor(viewer, qtbot):
    """Choose *Doctor* in the menu and wait for its report."""
    from napari._app_model import get_app_model

    def choose_and_wait():
        get_app_model().commands.execute_command("napari-cutout.doctor").result()
        (window,) = viewer.window.main_menu.window().findChildren(_doctor.DoctorWindow)
        qtbot.waitUntil(lambda: window.slot.worker is None and bool(window.text))
        return window

    return choose_and_wait


@pytest.fixture
def held(monkeypatch):
    """Hold every report until the event is set; tells in which thread it was made."""
    event, threads = threading.Event(), []

    def diagnosis(facts):
        threads.append(threading.get_ident())
        assert event.wait(PATIENCE), "the test never let the report go on"
        return ["one", "two"]

    monkeypatch.setattr(_doctor, "diagnosis", diagnosis)
    yield event, threads
    event.set()


def test_the_report_says_what_the_window_runs_on(open_doctor):
    import napari
    import qtpy

    lines = open_doctor().text.splitlines()
    facts = {line[:13].strip(): line[15:] for line in lines if line[13:15] == "  "}
    assert facts["napari-cutout"] == __version__
    assert facts["napari"] == napari.__version__
    assert facts["Qt"].startswith(f"{qtpy.QtCore.qVersion()} through {qtpy.API_NAME}, platform ")
    assert facts["OpenGL"][0].isdigit()
    assert facts["textures"].startswith("up to ")
    assert "vispy " in facts["GUI libraries"]
    assert facts["preferences"].startswith("device=auto, memory_limit_gib=0.0, ")
    assert not {"models_folder", "other_models", "scheduler", "result_name"} & {
        entry.partition("=")[0] for entry in facts["preferences"].split(", ")
    }, "nothing that names people, files or machines"
    assert max(map(len, lines[: lines.index("")])) <= 100


def test_the_report_names_no_user_no_folder_and_no_layer(open_doctor, viewer):
    viewer.add_points(name="patient 17")
    said = open_doctor().text
    for private in (str(Path.home()), sys.prefix, sys.executable, f"/{getpass.getuser()}/", "patient 17"):
        assert private not in said


def test_looking_leaves_the_event_loop(open_doctor, viewer, held, qtbot):
    event, threads = held
    _doctor.open_doctor()
    (window,) = viewer.window.main_menu.window().findChildren(_doctor.DoctorWindow)
    qtbot.waitUntil(lambda: bool(threads))
    assert threads[0] != threading.get_ident()
    assert (window.text, window.copy_button.isEnabled()) == ("", False)
    assert "Looking at this machine" in window.field.placeholderText()
    _doctor.open_doctor()  # while it looks, nothing else starts
    event.set()
    qtbot.waitUntil(lambda: window.text == "one\ntwo")
    assert window.copy_button.isEnabled()
    assert len(threads) == 1


def test_it_opens_once_and_docks_nothing(open_doctor, viewer):
    first, second = open_doctor(), open_doctor()
    assert first is second
    assert not dict(viewer.window.dock_widgets)


def test_closing_while_it_looks_is_no_error(viewer, held, qtbot):
    event, threads = held
    _doctor.open_doctor()
    (window,) = viewer.window.main_menu.window().findChildren(_doctor.DoctorWindow)
    qtbot.waitUntil(lambda: bool(threads))
    worker = window.slot.worker
    with qtbot.waitSignal(window.destroyed):
        window.close()
    with qtbot.waitSignal(worker.signals.finished):
        event.set()
    assert viewer.window.main_menu.window().findChild(_doctor.DoctorWindow) is None


def test_copy_takes_all_and_says_so(open_doctor, clipboard):
    window = open_doctor()
    window.copy_button.click()
    assert clipboard.text() == window.text
    assert window.copy_button.text() == "&Copied"
    window.look()
    assert window.copy_button.text() == "&Copy"


def test_the_keys(open_doctor, clipboard, qtbot):
    from qtpy.QtCore import Qt
    from qtpy.QtGui import QKeySequence, QTextCursor

    window = open_doctor()
    qtbot.keySequence(window.field, QKeySequence(QKeySequence.StandardKey.Copy))
    assert clipboard.text() == window.text
    cursor = window.field.textCursor()
    cursor.movePosition(QTextCursor.MoveOperation.Right, QTextCursor.MoveMode.KeepAnchor, len("napari"))
    window.field.setTextCursor(cursor)
    qtbot.keySequence(window.field, QKeySequence(QKeySequence.StandardKey.Copy))
    assert clipboard.text() == "napari"
    with qtbot.waitSignal(window.destroyed):
        qtbot.keyClick(window, Qt.Key.Key_Escape)


def test_the_letters_are_all_of_one_width(open_doctor):
    metrics = open_doctor().field.fontMetrics()
    assert metrics.horizontalAdvance("iiii") == metrics.horizontalAdvance("MMMM")


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_it_has_the_colours_of_the_theme(open_doctor, viewer, theme, qtbot):
    from qtpy.QtGui import QPalette

    from napari_cutout.widgets._theme import contrast

    viewer.theme = theme
    field = open_doctor().field
    field.ensurePolished()
    text, ground = (field.palette().color(role).name() for role in (QPalette.ColorRole.Text, QPalette.ColorRole.Base))
    assert contrast(text, ground) >= 7


def test_an_error_is_told_without_folders(viewer, monkeypatch, qtbot):
    def broken(facts):
        raise OSError(f"cannot open {Path.home() / 'secret' / 'x.so'}")

    monkeypatch.setattr(_doctor, "diagnosis", broken)
    _doctor.open_doctor()
    (window,) = viewer.window.main_menu.window().findChildren(_doctor.DoctorWindow)
    qtbot.waitUntil(lambda: bool(window.text))
    assert window.text == "the report could not be made: OSError: cannot open …/x.so"


def test_without_a_viewer_it_names_the_command(monkeypatch):
    import napari

    monkeypatch.setattr(napari, "current_viewer", lambda: None)
    with pytest.raises(RuntimeError, match="run: napari-cutout doctor"):
        _doctor.open_doctor()

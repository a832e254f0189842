"""The bar that runs work in a thread, without a viewer."""

from __future__ import annotations

import threading
import warnings

import pytest

from napari_cutout._compiling import COMPILING, compiling
from napari_cutout._monitor import Cancelled

from ..patience import PATIENCE

pytestmark = pytest.mark.qt


@pytest.fixture
def bar(qtbot):
    from napari_cutout.widgets._worker import RunBar

    bar = RunBar("Go")
    qtbot.addWidget(bar)
    bar.results = []
    bar.returned.connect(bar.results.append)
    return bar


def test_work_runs_in_another_thread_and_its_result_comes_back(bar, qtbot):
    with qtbot.waitSignal(bar.ended):
        bar.start(lambda report, is_cancelled: threading.get_ident())
    assert len(bar.results) == 1
    assert bar.results[0] != threading.get_ident()
    assert (bar.button.text(), bar.running) == ("Go", False)


def test_a_result_that_comes_after_the_cancel_is_dropped(bar, qtbot):
    go_on = threading.Event()
    bar.start(lambda report, is_cancelled: go_on.wait(PATIENCE))
    bar.button.click()
    assert (bar.button.text(), bar.button.isEnabled()) == ("Stopping…", False)
    with qtbot.waitSignal(bar.ended):
        go_on.set()
    assert bar.results == []
    assert bar.status.text() == "cancelled; nothing was changed"


def test_work_sees_the_cancel(bar, qtbot):
    seen = threading.Event()

    def work(report, is_cancelled):
        while not is_cancelled():
            seen.set()
        raise Cancelled("cancelled while testing")

    bar.start(work)
    qtbot.waitUntil(seen.is_set)
    with qtbot.waitSignal(bar.ended):
        bar.button.click()
    assert bar.status.text() == "cancelled while testing"
    assert bar.status.styleSheet() == "", "a cancel is no error"


def test_what_is_compiled_meanwhile_is_said_and_then_the_stage_again(bar, qtbot):
    seen = []
    bar._show_progress = lambda stage, _: seen.append(stage)

    def work(report, is_cancelled):
        report("flooding", 0.5)
        with compiling():
            pass

    with qtbot.waitSignal(bar.ended):
        bar.start(work)
    assert seen == ["flooding", COMPILING, "flooding"]


def test_progress_is_not_reported_more_often_than_it_can_be_seen(bar, qtbot):
    shown = []

    def work(report, is_cancelled):
        for done in range(10_001):
            report("counting", done / 10_000)

    bar._show_progress = lambda *event: shown.append(event)
    with qtbot.waitSignal(bar.ended):
        bar.start(work)
    assert len(shown) == 101
    assert shown[-1] == ("counting", 1.0)


def test_one_run_at_a_time(bar, qtbot):
    go_on = threading.Event()
    bar.start(lambda report, is_cancelled: go_on.wait(PATIENCE))
    with pytest.raises(RuntimeError, match="a run is under way; cancel it first"):
        bar.start(lambda report, is_cancelled: None)
    with qtbot.waitSignal(bar.ended):
        go_on.set()


@pytest.mark.parametrize(
    ("error", "sentence", "level"),
    [
        (ValueError("window must be odd"), "window must be odd", "DEBUG"),
        (
            MemoryError(),
            "memory ran out, and nothing was changed; close other layers or programs, or crop the image",
            "DEBUG",
        ),
        (KeyError("gone"), "KeyError: 'gone'; the log has the details", "ERROR"),
        (RuntimeError("broken"), "RuntimeError: broken; the log has the details", "ERROR"),
    ],
    ids=["value", "memory", "key", "runtime"],
)
def test_an_error_is_shown_and_logged(bar, qtbot, error, sentence, level, monkeypatch, caplog):
    shown = []
    monkeypatch.setattr("napari.utils.notifications.show_error", shown.append)

    def work(report, is_cancelled):
        raise error

    with caplog.at_level("DEBUG", logger="napari_cutout"), qtbot.waitSignal(bar.ended):
        bar.start(work)
    assert bar.status.text() == sentence
    assert shown == [sentence]
    (record,) = (r for r in caplog.records if r.name.startswith("napari_cutout"))
    assert record.exc_info[1] is error
    assert record.levelname == level, "what users can mend is no error of the program"
    assert bar.button.isEnabled()


def test_details_of_an_error_stay_at_hand_until_the_next_run(bar, qtbot, monkeypatch):
    monkeypatch.setattr("napari.utils.notifications.show_error", lambda _: None)

    def work(report, is_cancelled):
        raise ValueError("window must be odd")

    assert bar.details_button.isHidden()
    with qtbot.waitSignal(bar.ended):
        bar.start(work)
    bar.calm()  # the form shows the sentence at its field
    assert (bar.status.text(), bar.details_button.isHidden()) == ("", False)
    with qtbot.waitSignal(bar.ended):
        bar.start(lambda report, is_cancelled: None)
    assert bar.details_button.isHidden()
    bar.say("the layer of the result is gone", problem=True)
    assert bar.details_button.isHidden(), "there is no traceback to this sentence"


def test_a_thread_leaves_the_units_of_napari_to_the_first_layer(bar, qtbot, monkeypatch):
    import pint

    from napari_cutout.widgets import _worker

    warmed = []
    monkeypatch.setattr(_worker, "_warm_up", lambda: warmed.append(1))
    for registry, n in ((pint.registry.LazyRegistry(), 0), (pint.UnitRegistry(), 1)):
        monkeypatch.setattr(pint, "get_application_registry", lambda held=registry: pint.ApplicationRegistry(held))
        with qtbot.waitSignal(bar.ended):
            bar.start(lambda report, is_cancelled: 1)
        assert len(warmed) == n


def test_colours_of_labels_are_made_in_silence_while_another_thread_puts_back_its_filters(bar, qtbot, monkeypatch):
    import skimage.color
    from napari.utils.colormaps.colormap_utils import _color_random

    warnings.simplefilter("error")  # before what pytest is told to ignore
    real = skimage.color.lab2rgb
    with qtbot.waitSignal(bar.ended):
        bar.start(lambda *_: None)
    compiling = warnings.catch_warnings()  # as Numba does around every loop, in whichever thread
    compiling.__enter__()

    def while_it_ends(lab):
        compiling.__exit__(None, None, None)
        return real(lab)

    monkeypatch.setattr(skimage.color, "lab2rgb", while_it_ends)
    _color_random(256, seed=0.5)


def test_methods_are_called_as_in_the_menus_unless_they_are_code():
    from napari_cutout.widgets._worker import spoken

    assert spoken("histogram_segmentation needs min_size") == "histogram segmentation needs min_size"
    assert spoken("call nc.multi_otsu or multi_otsu(image)") == "call nc.multi_otsu or multi_otsu(image)"

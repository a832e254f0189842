"""A run that was asked for begins at once, whatever else waits, and the end of the program waits for what runs."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from napari_cutout._monitor import Cancelled
from napari_cutout.widgets import _pools, _warm_up
from napari_cutout.widgets._pools import Turn

pytestmark = pytest.mark.qt

SOON = 120_000
"""Milliseconds that work may take to begin and end, which takes a fraction of a second where it does at all."""


@pytest.fixture(autouse=True)
def own_pools(qapp, monkeypatch):
    """Let no loop that tests before this one compile be in the way."""
    pools = {}
    monkeypatch.setattr(_pools, "_pools", pools)
    yield
    for pool in pools.values():
        assert pool.waitForDone(SOON)


@pytest.fixture
def one_thread(qapp):
    """Let Qt's own pool have a single thread, as on a machine of one core."""
    from qtpy.QtCore import QThreadPool

    pool = QThreadPool.globalInstance()
    before = pool.maxThreadCount()
    pool.setMaxThreadCount(1)
    yield
    pool.setMaxThreadCount(before)


def until_cancelled(is_cancelled, begun):
    """Go on until somebody cancels it, or for as long as a test may take."""
    begun.set()
    for _ in range(SOON):
        if is_cancelled():
            raise Cancelled
        threading.Event().wait(0.002)


@pytest.fixture
def started(qapp):
    """Start work and return its worker; what takes its signals is connected before. All is cancelled in the end."""
    from napari_cutout.widgets._worker import _Worker

    workers = []

    def start(work, turn, **slots):
        workers.append(worker := _Worker(work, turn=turn))
        for name, slot in slots.items():
            getattr(worker.signals, name).connect(slot)
        worker.start()
        return worker

    yield start
    for worker in workers:
        worker.quit()


def test_a_run_does_not_wait_for_what_other_widgets_compile(viewer, dock, blobs, qtbot, one_thread, monkeypatch):
    begun = threading.Event()
    monkeypatch.setattr(_warm_up, "_WARM", set())
    monkeypatch.setattr(_warm_up, "execute", lambda *_, is_cancelled, **__: until_cancelled(is_cancelled, begun))
    viewer.add_image(blobs)
    widgets = [dock(name) for name in ("Watershed", "k-means", "Gaussian mixture", "Threshold")]
    assert begun.wait(SOON / 1000)
    before = len(viewer.layers)
    with qtbot.waitSignal(widgets[-1].bar.ended, timeout=SOON):
        widgets[-1].bar.button.click()
    assert len(viewer.layers) == before + 1
    for widget in widgets:
        widget.let_go()
    qtbot.waitUntil(lambda: not any(widget.warm_up.running for widget in widgets), timeout=SOON)


def test_what_is_seen_does_not_wait_for_what_is_compiled_beforehand(qtbot, one_thread, started):
    begun, shown, ended = threading.Event(), [], []

    def goes_on(_, is_cancelled):
        until_cancelled(is_cancelled, begun)

    first = [started(goes_on, Turn.BEFOREHAND, finished=lambda: ended.append(1)) for _ in range(2)]
    started(lambda *_: 7, Turn.SHOWN, returned=shown.append)
    qtbot.waitUntil(lambda: shown == [7], timeout=SOON)
    for worker in first:
        worker.quit()
    qtbot.waitUntil(lambda: len(ended) == 2, timeout=SOON)


def test_work_that_was_asked_for_may_wait_for_other_such_work(qtbot, one_thread, started):
    written, found = threading.Event(), []
    started(lambda *_: written.wait(SOON / 1000), Turn.ASKED, returned=found.append)
    started(lambda *_: written.set(), Turn.ASKED)
    qtbot.waitUntil(lambda: found == [True], timeout=SOON)


@pytest.mark.parametrize(("turn", "n"), [(Turn.ASKED, 1), (Turn.SHOWN, 0), (Turn.BEFOREHAND, 0)])
def test_what_nobody_wants_any_more_is_not_begun(qtbot, turn, n):
    from napari_cutout.widgets._worker import _Worker

    begun, ended = [], []
    worker = _Worker(lambda *_: begun.append(1), turn=turn)
    worker.signals.finished.connect(lambda: ended.append(1))
    worker.quit()
    worker.start()
    qtbot.waitUntil(lambda: ended == [1], timeout=SOON)
    assert len(begun) == n


def test_the_signals_of_a_worker_go_in_the_thread_of_the_window(qtbot):
    from qtpy.QtCore import Qt

    from napari_cutout.widgets._worker import _Worker

    gone = []
    worker = _Worker(lambda *_: None, turn=Turn.ASKED)
    worker.signals.destroyed.connect(lambda: gone.append(threading.get_ident()), Qt.ConnectionType.DirectConnection)
    worker.start()
    assert worker.signals.parent() is not None, "whoever lets go of it last would take it along"
    del worker
    qtbot.waitUntil(lambda: bool(gone), timeout=SOON)
    assert gone == [threading.get_ident()]


def test_the_end_cancels_what_runs_and_begins_nothing_more(qtbot, started):
    begun, begins = threading.Event(), []
    started(lambda _, is_cancelled: until_cancelled(is_cancelled, begun), Turn.BEFOREHAND)
    started(lambda *_: begins.append(1), Turn.BEFOREHAND)
    assert begun.wait(SOON / 1000)
    _pools.end()
    assert [_pools.pool_of(turn).activeThreadCount() for turn in Turn] == [0, 0, 0]
    assert begins == []


def test_the_end_waits_no_longer_than_it_may(qtbot, started, monkeypatch, caplog):
    begun, go_on = threading.Event(), threading.Event()

    def deaf(*_):
        begun.set()
        go_on.wait(SOON / 1000)

    started(deaf, Turn.ASKED)
    assert begun.wait(SOON / 1000)
    with monkeypatch.context() as patch:
        patch.setattr(_pools, "PATIENCE", 0.01)
        _pools.end()
    assert [record.getMessage() for record in caplog.records] == [
        "work that was asked for by hand has not ended in 0.01 s"
    ]
    go_on.set()
    _pools.end()
    assert _pools.pool_of(Turn.ASKED).activeThreadCount() == 0


EXIT = """
import threading
from qtpy.QtCore import QCoreApplication
from napari_cutout._monitor import Cancelled
from napari_cutout.widgets._worker import _Worker
app, begun = QCoreApplication([]), threading.Event()
def work(report, is_cancelled):
    while not is_cancelled():
        begun.set()
        report("counting", sum(range(100)) % 7)
    raise Cancelled
_Worker(work).start()
begun.wait(60)
"""


def test_a_program_that_ends_without_an_event_loop_cancels_what_runs_and_ends():
    done = subprocess.run([sys.executable, "-c", EXIT], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")

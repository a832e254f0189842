"""A run in a thread of its own, and the bar that starts it, shows how far it is and cancels it."""

from __future__ import annotations

import logging
import re
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
from qtpy.QtCore import QCoreApplication, QObject, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import WorkerBase

from .. import catalog
from .._compiling import announced, interrupted
from .._device import gpu_known, gpu_status, size
from .._monitor import Cancelled
from ..unet._torch import NoTorch
from ._pools import Turn, pool_of
from ._text_window import TextWindow

__all__ = ["ALERT", "DOUBT", "RunBar", "Work", "WorkerSlot", "mark", "spoken"]

log = logging.getLogger(__name__)

_RED = "QComboBox, QAbstractSpinBox, QCheckBox, NumbersBox { border: 1px solid #e5484d; }"
"""Style of a field that holds something wrong."""

ALERT = "color: white; background: #a4262c; border-radius: 3px; padding: 3px"
"""Style of a line that says what is wrong; readable on dark themes and on light ones."""

DOUBT = "color: black; background: #ffb224; border-radius: 3px; padding: 3px"
"""Style of a line that says what a result should not be trusted in; readable on both, too."""

TRIFLE = 0.02
"""Share of the free memory below which what a run needs is not worth a line; the tooltip of Run has it."""

_OF_COLOURS = "Conversion from CIE-LAB, via XYZ to sRGB color space resulted in"
"""How a warning of scikit-image begins that says nothing to anybody who looks at labels."""

_PATIENCE = 300
"""Milliseconds after which a run that nobody started by hand shows how far it is."""


def mark(field: QWidget, problem: bool) -> None:
    """Turn a field, or the fields that a widget holds, red or back."""
    restyle(field, _RED if problem else "")


def restyle(widget: QWidget, style: str) -> None:
    """Give a widget a style sheet unless it has it: Qt draws it anew each time, which takes milliseconds."""
    if widget.styleSheet() != style:
        widget.setStyleSheet(style)


Work = Callable[[Callable[[str, float], None], Callable[[], bool]], Any]
"""Called with on_progress and is_cancelled in a thread of its own; may raise `Cancelled`."""


class _Signals(QObject):  # type: ignore[misc]
    """The signals of a worker, which live in the thread of the window."""

    started = Signal()
    finished = Signal()
    _finished = Signal(object)
    returned = Signal(object)
    errored = Signal(object)
    warned = Signal(tuple)
    progressed = Signal(str, float)
    cancelled = Signal(str)


class _Worker(WorkerBase):  # type: ignore[misc]
    """Runs one piece of work in a thread; napari asks it to quit when it closes.

    Parameters
    ----------
    work : callable
        What to do.
    keeps : bool
        What it returns after it was cancelled counts.
    turn : Turn
        Who waits for it.
    """

    def __init__(self, work: Work, *, keeps: bool = False, turn: Turn = Turn.ASKED) -> None:
        super().__init__(SignalsClass=_Signals)
        self.signals.setParent(QCoreApplication.instance())  # else it may go in the thread that lets go of this last
        self._work, self._keeps, self._turn = work, keeps, turn
        self._shown: tuple[str, int] = ("", -1)

    def start(self) -> None:
        """Let it begin when its turn has come: at once, if it was asked for by hand."""
        # napari silences this while it makes the colours of a Labels layer.  A thread that compiles puts back the
        # filters of the whole program as it found them, Numba's by `catch_warnings`: the one for this has to be there.
        warnings.filterwarnings("ignore", _OF_COLOURS, UserWarning)
        self._worker_set.add(self)
        self.signals._finished.connect(self._set_discard)
        self.signals._finished.connect(self.signals.deleteLater)
        pool_of(self._turn).start(self)

    def run(self) -> None:
        """Run the work and tell how it ended.

        The base class would also replace the warning filters of the whole program while it runs, and relay
        an exception as an error where it is a cancel.
        """
        self._running = True
        self._tell(self.signals.started)
        try:
            if self.abort_requested and self._turn is not Turn.ASKED:
                raise Cancelled("cancelled before its turn came; nothing was changed")
            if _has_units():
                _warm_up()
            progress, tell = interrupted(self._progress)
            with announced(tell):
                result = self._work(progress, lambda: self.abort_requested)
        except Cancelled as cancelled:
            self._tell(self.signals.cancelled, str(cancelled))
        except Exception as error:
            self._tell(self.signals.errored, error)
        else:
            if self.abort_requested and not self._keeps:
                self._tell(self.signals.cancelled, "cancelled; nothing was changed")
            else:
                self._tell(self.signals.returned, result)
        self._running = False
        self._tell(self.signals.finished)
        self._tell(self.signals._finished, self)

    def _tell(self, signal: Any, *facts: Any) -> None:
        """Tell the window, unless it went away while the work ran; what its slots raise does not come here."""
        with suppress(RuntimeError):
            signal.emit(*facts)

    def _progress(self, stage: str, fraction: float) -> None:
        """Tell the window, but not more often than it can show a change."""
        now = (stage, int(100 * fraction))
        if now != self._shown:
            self._shown = now
            self._tell(self.signals.progressed, stage, fraction)


def _has_units() -> bool:
    """Tell whether napari has loaded its units, as it does for the first layer.

    They are loaded when they are first asked for, and whoever asks from another thread meanwhile is told that there is
    no pixel: a thread of ours that came first would be in the way of the first layer of the user.
    """
    import pint

    return not isinstance(pint.get_application_registry().get(), pint.registry.LazyRegistry)


@cache
def _warm_up() -> None:
    """Import what the first Labels layer of a session imports, which would block the event loop for a second."""
    from napari.layers import Labels

    with suppress(Exception):  # what runs after it needs none of it
        Labels(np.zeros((1, 1), np.uint8))


class WorkerSlot:
    """Holds the worker that runs; it is no Qt object, so that it can stop it after the widget is gone."""

    worker: _Worker | None = None

    def quit(self, _: Any = None) -> None:
        """Ask the worker to stop, if there is one."""
        if self.worker is not None:
            self.worker.quit()


class RunBar(QWidget):  # type: ignore[misc]
    """A button that becomes *Cancel* while work runs, a progress bar and a line that says what came out.

    Parameters
    ----------
    text : str
        What the button says.
    parent : QWidget, optional
        Its parent.

    Attributes
    ----------
    ready
        Whether a run may start; set it with `set_ready`.
    keys
        What the tooltip of the button says before all else: the keys that press it.
    requested
        Emitted when the button was pressed and nothing runs; answer with `start`.
    returned
        Emitted with what the work returned.
    failed
        Emitted with the sentence of an error, which stands under the button by then.
    stopping
        Emitted when the work was asked to stop, and nothing is to take its place.
    ended
        Emitted after every run, however it ended.
    """

    requested = Signal()
    returned = Signal(object)
    failed = Signal(str)
    stopping = Signal()
    ended = Signal()

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text, self.keys = text, ""
        self.slot = WorkerSlot()
        self.ready = True
        self._quiet = self._superseded = False
        self._said: tuple[str, bool, bool, str] = ("", False, False, "")
        self._aside = ""
        self.button = QPushButton(text)
        self.button.clicked.connect(self._press)
        self.progress = QProgressBar()
        self.progress.setRange(0, 100)
        self.progress.setTextVisible(True)
        self.progress.setVisible(False)
        self._late = QTimer(self)
        self._late.setSingleShot(True)
        self._late.setInterval(_PATIENCE)
        self._late.timeout.connect(lambda: self.progress.setVisible(True))
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.status.setMinimumWidth(80)
        self.plan = QLabel()
        self.plan.setWordWrap(True)
        self.plan.setVisible(False)
        self.details_button = QPushButton("Details…")
        self.details_button.setToolTip("The traceback of the error, to copy into a report")
        self.details_button.setVisible(False)
        self.details_button.clicked.connect(self._show_details)
        self._error: Exception | None = None
        self.beside = QHBoxLayout()
        self.beside.addWidget(self.button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plan)
        layout.addLayout(self.beside)
        layout.addWidget(self.progress)
        layout.addWidget(self.status)
        layout.addWidget(self.details_button)

    @property
    def running(self) -> bool:
        """True from the press on Run until the work has ended."""
        return self.slot.worker is not None

    def set_ready(self, ready: bool) -> None:
        """Say whether a run may start; Cancel can always be pressed."""
        self.ready = ready
        if not self.running:
            self.button.setEnabled(ready)

    def start(self, work: Work, *, quiet: bool = False, keeps: bool = False) -> None:
        """Start work, one run at a time.

        Parameters
        ----------
        work : callable
            What to do.
        quiet : bool
            Show its progress only if it takes long, and errors here alone.
        keeps : bool
            What it returns after it was cancelled is what it had by then, and counts.
        """
        if self.running:
            raise RuntimeError("a run is under way; cancel it first")
        self.slot.worker = worker = _Worker(work, keeps=keeps)
        worker.signals.progressed.connect(self._show_progress)
        worker.signals.returned.connect(self._show_result)
        worker.signals.errored.connect(self._show_error)
        worker.signals.cancelled.connect(self._show_cancelled)
        worker.signals.finished.connect(self._end)
        self.button.setText("Cancel")
        self.button.setEnabled(True)
        self.progress.setValue(0)
        self.progress.setFormat("starting")
        self._quiet, self._superseded, self._error = quiet, False, None
        self.details_button.setVisible(False)
        if quiet:
            self._late.start()
        else:
            self.progress.setVisible(True)
            self.say("")
        worker.start()

    def cancel(self) -> None:
        """Ask the work to stop; it does at its next block."""
        if self.running:
            self._superseded = False
            self.slot.quit()
            self.button.setText("Stopping…")
            self.button.setEnabled(False)
            self.stopping.emit()

    def supersede(self) -> None:
        """Ask the work to stop because other work takes its place, of which nothing need be said."""
        self._superseded = True
        self.slot.quit()

    def show_plan(self, sentence: str, *, aside: bool = False) -> None:
        """Say where a run would be and what it would take: in a line above the button, or aside in its tooltip."""
        self.plan.setText(sentence)
        self.plan.setVisible(bool(sentence) and not aside)
        self.button.setToolTip("\n".join(words for words in (self.keys, sentence) if words))

    def show_need(self, device: str, need: int, free: int) -> None:
        """Say where a run would be and what memory it takes of what is free: a trifle only in the tooltip."""
        used = device if device != "auto" or (gpu_known() and gpu_status().usable) else "cpu"
        self.show_plan(f"{used.upper()} · needs about {size(need)} of {size(free)}", aside=need < TRIFLE * free)

    def say(self, sentence: str, *, problem: bool = False, doubt: bool = False, why: str = "") -> None:
        """Show one line under the button: plainly, as what is wrong, or as what should not be trusted.

        Parameters
        ----------
        sentence : str
            What to say; nothing takes the line away.
        problem, doubt : bool
            Whether it is what is wrong, or what should not be trusted.
        why : str
            What the tooltip adds.
        """
        self._said, self._aside = (sentence, problem, doubt, why), ""
        self._show_line()

    def say_aside(self, sentence: str) -> None:
        """Show a line in place of what was said, which comes back when there is nothing aside any more.

        Parameters
        ----------
        sentence : str
            What holds for a while only, such as what a preview has found; empty if that is over.
        """
        self._aside = sentence
        self._show_line()

    def calm(self) -> None:
        """Take back what was said to be wrong."""
        _, problem, _, _ = self._said
        if problem:
            self._said = ("", False, False, "")
            self._show_line()

    def _show_line(self) -> None:
        sentence, problem, doubt, why = (self._aside, False, False, "") if self._aside else self._said
        self.status.setToolTip(why)
        self.status.setVisible(bool(sentence))
        restyle(self.status, ALERT if problem else DOUBT if doubt else "")
        self.status.setText(sentence)

    def _press(self) -> None:
        if self.running:
            self.cancel()
        else:
            self.requested.emit()

    def _show_progress(self, stage: str, fraction: float) -> None:
        self.progress.setValue(int(100 * fraction))
        self.progress.setFormat(f"{stage} %p%")

    def _show_cancelled(self, sentence: str) -> None:
        if not self._superseded:
            self.say(sentence)

    def _show_result(self, result: Any) -> None:
        self.returned.emit(result)

    def _show_error(self, error: Exception) -> None:
        from napari.utils.notifications import show_error

        sentence = _sentence(error)
        expected = _is_plain(error)  # the sentence says all
        log.log(logging.DEBUG if expected else logging.ERROR, "a run failed", exc_info=error)
        self._error = error
        self.details_button.setVisible(True)
        self.say(sentence, problem=True)
        if not self._quiet:
            show_error(sentence)
        self.failed.emit(sentence)

    def _show_details(self) -> None:
        """Show the traceback of the last error in a window of its own."""
        if self._error is not None:
            TextWindow("What went wrong", "".join(traceback.format_exception(self._error)), self).show()

    def _end(self) -> None:
        self.slot.worker = None
        self._late.stop()
        self.progress.setVisible(False)
        self.button.setText(self._text)
        self.button.setEnabled(self.ready)
        self.ended.emit()


def _is_plain(error: Exception) -> bool:
    """Tell whether an error speaks in words meant for users; those of the system name a file and its number."""
    if isinstance(error, OSError):
        return error.filename is None and len(error.args) == 1
    return isinstance(error, ValueError | TypeError | MemoryError | NoTorch)


def spoken(sentence: str) -> str:
    """Return a sentence with the methods that it names called as in the menus, unless it names them as code."""
    names = "|".join(name for name in catalog.methods() if "_" in name)
    return re.sub(rf"(?<![\w.])(?:{names})(?![\w(])", lambda found: found[0].replace("_", " "), sentence)


def _sentence(error: Exception) -> str:
    """Say what went wrong: in the error's own words where they are meant for users, else with its type."""
    if _is_plain(error) and str(error):
        return spoken(str(error))
    if isinstance(error, MemoryError):
        return "memory ran out, and nothing was changed; close other layers or programs, or crop the image"
    return f"{type(error).__name__}: {error}; the log has the details"

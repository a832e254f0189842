"""The threads that work runs in: what a person waits for never stands behind what nobody has asked for.

Qt's own pool has as many threads as there are processors, and all plugins share it.  A dozen open widgets would fill it
for minutes with loops that are compiled beforehand, and a press on *Run* would wait behind them.
"""

from __future__ import annotations

import atexit
import logging
import time
from enum import Enum
from typing import Any

from qtpy.QtCore import QCoreApplication, QThread, QThreadPool
from superqt.utils import WorkerBase

__all__ = ["Turn", "end", "pool_of"]

log = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds that the end of a program waits for what runs; a loop that is being compiled cannot be cut off."""


class Turn(Enum):
    """Who waits for work, and so what it may have to wait for."""

    ASKED = "asked for by hand: it begins at once, and may wait for other work"
    SHOWN = "follows what is seen: it waits for others of its kind only"
    BEFOREHAND = "not needed yet: one at a time"


_pools: dict[Turn, Any] = {}


def pool_of(turn: Turn) -> Any:
    """Return the threads for work of a kind; call it in the thread of the window.

    Parameters
    ----------
    turn : Turn
        Who waits for it.

    Returns
    -------
    QThreadPool
        Owned by the application, which waits for what runs before it goes.
    """
    if not _pools:
        atexit.register(end)
        QCoreApplication.instance().aboutToQuit.connect(end)
    if turn not in _pools:
        pool = QThreadPool(QCoreApplication.instance())
        most = {Turn.ASKED: 2**10, Turn.SHOWN: max(4, QThread.idealThreadCount()), Turn.BEFOREHAND: 1}
        pool.setMaxThreadCount(most[turn])
        _pools[turn] = pool
    return _pools[turn]


def end() -> None:
    """Ask all work to stop, forget what has not begun, and wait a while for what runs.

    A thread that still ran Python while the interpreter goes would bring the process down with it.
    """
    for worker in tuple(WorkerBase._worker_set):
        worker.quit()
    last = time.monotonic() + PATIENCE
    for turn, pool in _pools.items():
        try:
            pool.clear()
            ended = pool.waitForDone(max(int(1000 * (last - time.monotonic())), 1))
        except RuntimeError:  # the application went before, and waited for it
            continue
        if not ended:
            log.warning("work that was %s has not ended in %g s", turn.value.split(":")[0], PATIENCE)

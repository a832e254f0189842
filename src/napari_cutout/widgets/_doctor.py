"""*Doctor* in napari: what the command line's doctor says, with what the window runs on, to read and to copy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from qtpy import API_NAME
from qtpy.QtCore import qVersion
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QWidget

from ..doctor import diagnosis, versions, without_folders
from ._preferences import preferences
from ._text_window import TextWindow
from ._worker import WorkerSlot, _Worker

__all__ = ["DoctorWindow", "open_doctor", "window_facts"]

LIBRARIES = ("npe2", "app-model", "vispy", "magicgui", "superqt", "pyqtgraph", "psygnal", "pydantic")
"""What the window stands on, beside napari and Qt."""

_MAX_3D_TEXTURE_SIZE = 0x8073
"""GL_MAX_3D_TEXTURE_SIZE, which vispy does not name."""


def open_doctor() -> None:
    """Show the report beside the window of the current viewer; a second call looks again."""
    from napari import current_viewer

    viewer = current_viewer()
    if viewer is None:
        raise RuntimeError("the doctor needs an open viewer; without one, run: napari-cutout doctor")
    parent = viewer.window.main_menu.window()
    window = parent.findChild(DoctorWindow) or DoctorWindow(parent)
    window.look()
    window.show()
    window.raise_()
    window.activateWindow()


class DoctorWindow(TextWindow):
    """Shows what this program runs on; finding that out takes seconds and leaves the event loop.

    Parameters
    ----------
    parent : QWidget
        The window of the viewer.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__("Cutout: Doctor", "", parent)
        self.field.setPlaceholderText("Looking at this machine…")
        self.slot = WorkerSlot()

    def look(self) -> None:
        """Find out anew; while that is under way, a second call does nothing."""
        if self.slot.worker is not None:
            return
        self.set_text("")
        facts = window_facts()  # asks OpenGL and Qt, which answer in this thread only

        def work(on_progress: Callable[[str, float], None], is_cancelled: Callable[[], bool]) -> str:
            return "\n".join(diagnosis(facts))

        self.slot.worker = worker = _Worker(work)
        worker.signals.returned.connect(self.set_text)
        worker.signals.errored.connect(self._fail)
        worker.signals.finished.connect(self._end)
        worker.start()

    def _fail(self, error: Exception) -> None:
        self.set_text(without_folders(f"the report could not be made: {type(error).__name__}: {error}"))

    def _end(self) -> None:
        self.slot.worker = None


_PRIVATE = ("result_name", "models_folder", "other_models", "scheduler")
"""Preferences that may name people, files and machines."""


def window_facts() -> dict[str, str]:
    """Return what the window runs on; to be called in the thread of the window.

    Returns
    -------
    dict
        Facts for people by their names, as `diagnosis` takes them. Nothing in them names files or people.
    """
    screen = QGuiApplication.primaryScreen()
    size = screen.size()
    set_by_user = {name: value for name, value in asdict(preferences()).items() if name not in _PRIVATE}
    return {
        "Qt": f"{qVersion()} through {API_NAME}, platform {QGuiApplication.platformName()}",
        "screen": f"{size.width()} x {size.height()}, scaled by {screen.devicePixelRatio():g}",
        **_opengl_facts(),
        "GUI libraries": versions(LIBRARIES),
        "preferences": ", ".join(f"{name}={value}" for name, value in set_by_user.items()),
    }


def _opengl_facts() -> dict[str, str]:
    """Return what draws the canvas, and the largest image that it can draw."""
    from vispy.gloo import gl
    from vispy.gloo.context import get_current_canvas

    canvas: Any = get_current_canvas()
    if canvas is None:
        return {"OpenGL": "not started"}
    canvas.set_current()
    plane, volume = (gl.glGetParameter(key) for key in (gl.GL_MAX_TEXTURE_SIZE, _MAX_3D_TEXTURE_SIZE))
    return {
        "OpenGL": f"{gl.glGetParameter(gl.GL_VERSION)} on {gl.glGetParameter(gl.GL_RENDERER)}",
        "textures": f"up to {plane} pixels along an axis in 2-D, {volume} in 3-D",
    }

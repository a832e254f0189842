"""What can be done with the result of a run: copy it as Python or as a command, save its recipe, use it, undo it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtGui import QAction, QGuiApplication
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QMenu, QPushButton, QToolButton, QWidget

from .._chain import Made, made
from .._sources import Source, fingerprint
from ..recipe import Recipe
from . import _layers
from ._dock import docks
from ._layers import ours
from ._recipe_files import saved, taken
from ._request import Outcome
from ._sources import PAINTED
from ._worker import WorkerSlot, _Worker

__all__ = ["ResultBar"]

Layer = Any
"""A napari layer."""

COPIED = {
    "python": "copied as Python",
    "command": "copied as a command",
    "methods": "copied a paragraph for the methods section, its references and BibTeX",
}
"""What is said once the text is on the clipboard, by its form."""


class ResultBar(QWidget):  # type: ignore[misc]
    """Buttons below the summary of a result.

    Parameters
    ----------
    frame : MethodFrame
        The widget whose results these are.

    Attributes
    ----------
    copied
        Emitted with the text once it is on the clipboard.
    """

    copied = Signal(str)

    def __init__(self, frame: Any) -> None:
        super().__init__()
        self._slot = WorkerSlot()
        self.destroyed.connect(self._slot.quit)
        self._frame = frame
        self._layer: Layer | None = None
        self.python_button, self.save_button = QPushButton("Copy as Python"), QPushButton("Save recipe…")
        self.python_button.setToolTip("A short script that gives these labels")
        self.save_button.setToolTip(
            "A file that napari-cutout run applies to other images; strokes are saved beside it"
        )
        self.python_button.clicked.connect(lambda _: self.copy("python"))
        self.save_button.clicked.connect(lambda _: self._ask_and_save())
        self.more_button = QToolButton()
        self.more_button.setText("⋯")
        self.more_button.setAccessibleName("more to do with the result")
        self.more_button.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.more_button.setFixedWidth(28)
        self.more_button.setToolTip("More to do with the result")
        self.more_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu = QMenu(self)
        self.more_button.setMenu(self.menu)
        self.menu.aboutToShow.connect(self._fill_menu)
        self.command_action = QAction("Copy as command", self)
        self.command_action.triggered.connect(lambda _=False: self.copy("command"))
        self.methods_action = QAction("Copy methods text", self)
        self.methods_action.setToolTip("A paragraph for the methods section of a paper, and BibTeX")
        self.methods_action.triggered.connect(lambda _=False: self.copy("methods"))
        self.restore_action = QAction("Restore previous", self)
        self.restore_action.setToolTip("Give the layer back what it held before the last run")
        self.restore_action.triggered.connect(lambda _=False: self.restore())
        self.update_action = QAction("Update the result on the next run", self)
        self.update_action.setCheckable(True)
        self.update_action.setChecked(True)
        self.update_action.setToolTip(
            "Off: every run adds a layer. A layer that was edited or renamed is never updated."
        )
        self._uses: list[QAction] = []
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for button, stretch in ((self.python_button, 1), (self.save_button, 1), (self.more_button, 0)):
            layout.addWidget(button, stretch)
        self.setVisible(False)

    @property
    def updates(self) -> bool:
        """Whether the next run may update the layer of the last one."""
        return bool(self.update_action.isChecked())

    def show_for(self, layer: Layer, outcome: Outcome) -> None:
        """Offer what can be done with the result of a run."""
        self._layer = layer
        self.setVisible(True)

    def copy(self, form: str) -> None:
        """Copy how the result was made: as ``"python"``, as a ``"command"``, or as text for a paper's ``"methods"``."""
        if not self._is_there():
            return
        how = made(ours(self._layer))
        if how is None:
            self._frame.bar.say("the layer does not say how it was made; run again", problem=True)
            return
        held = {layer.name: _layers.level_zero(layer) for layer in self._frame.viewer.layers if hasattr(layer, "paint")}
        provenance = ours(self._layer)["provenance"]
        self._slot.quit()
        self._slot.worker = worker = _Worker(
            lambda *_: cited(how, provenance) if form == "methods" else written(how, form, held)
        )
        worker.signals.returned.connect(lambda text: self._put(text, form))
        worker.signals.errored.connect(lambda error: self._frame.bar.say(str(error), problem=True))
        worker.start()

    def _put(self, text: str, form: str) -> None:
        """Put text on the clipboard and say so."""
        self._slot.worker = None
        QGuiApplication.clipboard().setText(text)
        self._frame.bar.say(COPIED[form])
        self.copied.emit(text)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Save the recipe of the result, and beside it what was painted for it.

        Parameters
        ----------
        path : path
            Where to write.
        overwrite : bool
            Replace what is there.
        """
        if not self._is_there():
            return
        recipe = Recipe.from_json(ours(self._layer)["recipe"])
        painted = painted_inputs(ours(self._layer), PAINTED.get(self._layer, {}))
        try:
            self._frame.bar.say(saved(recipe, path, painted, overwrite=overwrite))
        except (OSError, ValueError) as error:
            self._frame.bar.say(str(error), problem=True)

    def restore(self) -> None:
        """Give the layer of the last run back what it held before; again, to undo that."""
        self._frame.results.restore()
        self._frame.bar.say("the result of the run before; Restore previous takes you back")

    def _is_there(self) -> bool:
        """Tell whether the result is still there, and say so if it is not."""
        there = self._layer is not None and self._layer in self._frame.viewer.layers
        if not there:
            self._frame.bar.say("the layer of the result is gone; run again", problem=True)
        return there

    def _ask_and_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save recipe", f"{self._frame.method.name}.json", "*.json")
        if path and (taken := self._taken(Path(path))):
            self._frame.bar.say(f"{taken} is there already, and would be replaced; choose another name", problem=True)
        elif path:
            self.save(path, overwrite=True)

    def _taken(self, path: Path) -> str:
        """Return the name of a file that saving would replace, though nobody was asked about it; empty if none."""
        painted = painted_inputs(ours(self._layer), PAINTED.get(self._layer, {})) if self._layer is not None else {}
        return taken(path, painted)

    def _fill_menu(self) -> None:
        """Offer what is possible now."""
        self.menu.clear()
        self.restore_action.setEnabled(self._frame.results.can_restore)
        for action in (self.command_action, self.methods_action, self.restore_action, self.update_action):
            self.menu.addAction(action)
        self._uses = list(self._use_actions())
        if self._uses:
            self.menu.addSeparator()
            for action in self._uses:
                self.menu.addAction(action)

    def _use_actions(self) -> Any:
        """Yield an action for every field of an open widget that could take the result."""
        for dock in docks(self._frame.viewer):
            title = getattr(dock, "row", "") or type(dock).__name__.removesuffix("Widget")
            for name, box in dock.boxes.items():
                if self._layer in box.offered and not (dock is self._frame and name == dock.method.source.name):
                    action = QAction(f"Use as {name} in {title}", self)
                    action.triggered.connect(lambda _=False, dock=dock, name=name: dock.use(name, self._layer))
                    yield action


def written(how: Made, form: str, held: Mapping[str, Any]) -> str:
    """Return how labels were made as text; it reads files and layers, so call it in a thread of its own.

    Parameters
    ----------
    how : Made
        How they were made.
    form : {"python", "command"}
        What to write.
    held : mapping of str to array
        What the Labels layers of the viewer hold now, by their names.

    Returns
    -------
    str
        With a comment for every input that no longer holds what was run on.
    """
    from .._code import as_command, as_python, checked  # with the command line under it, which takes a while to import

    sources = checked(how.sources)
    notes = [
        f"# the layer {one.layer!r} was painted on since; the recipe, once saved, keeps it as it was\n"
        for one in sources.values()
        if one.sha256 and not _can_be_had(one, held)
    ]
    if form == "command":
        return "".join(notes) + as_command(how.recipe, sources)
    in_viewer = not all(one.path or one.points for one in sources.values())
    if in_viewer:
        notes.insert(
            0, "# for napari's console, where `viewer` is the window; layers without a file are read from it\n"
        )
    return "".join(notes) + as_python(how.recipe, sources, viewer=in_viewer)


def cited(how: Made, provenance: Mapping[str, Any]) -> str:
    """Return what a paper says of how labels were made, with the version that made them."""
    from .._citations import cite, ran

    return str(cite(how.recipe, version=ran(provenance)))


def _can_be_had(source: Source, held: Mapping[str, Any]) -> bool:
    """Tell whether what was painted is in a file, said by its points, or in a layer as it was."""
    if source.path or source.points:
        return True
    return source.layer in held and fingerprint(held[source.layer]) == source.sha256


def painted_inputs(metadata: Mapping[str, Any], painted: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was painted for a result, by the names of its recipe's inputs.

    Parameters
    ----------
    metadata : mapping
        What this plugin stored with the layer.
    painted : mapping of str to array
        What users had painted, by fingerprint.

    Returns
    -------
    dict
        Only what is still known; the recipe asks for the rest when it is run.
    """
    how = made(metadata)
    if how is None:
        return {}
    return {name: painted[one.sha256] for name, one in how.sources.items() if one.sha256 in painted}

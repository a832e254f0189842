"""What can be done with the result of a run: copy it as Python or as a command, save its recipe, use it, undo it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QAction, QGuiApplication, QKeySequence
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QMenu, QPushButton, QShortcut, QToolButton, QVBoxLayout, QWidget

from .._chain import Made, made
from .._sources import Source, fingerprint
from ..recipe import Recipe
from . import _layers
from ._access import explain
from ._clicked import problem_of
from ._clicks_row import ClicksRow
from ._edited import edited
from ._file_size import differs_in_file
from ._layers import ours
from ._recipe_files import saved, taken
from ._request import Outcome
from ._run_undo import run_history
from ._sources import PAINTED
from ._use_as import GROUPS, Use, uses
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


_CORRECTED = "The labels were then corrected by hand."

_UNEDITED = "; edits by hand are no step of it"
_SIZED = "; the layer has no voxel size and its file has one, which a run on the file counts with: pixels may differ"


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
        self.update_action = QAction("Update the result on the next run", self)
        self.update_action.setCheckable(True)
        self.update_action.setChecked(True)
        self.update_action.setToolTip(
            "Off: every run adds a layer. A layer that was edited or renamed is never updated."
        )
        self._build_uses()
        self._build_runs()
        self._lay_out()
        self.setVisible(False)

    def _build_uses(self) -> None:
        """Make what the result is used and edited with."""
        self.use_button = QPushButton("Use as")
        explain(
            self.use_button, "use the result as", "Open the widget in which the result is markers, a mask, truth, …"
        )
        self.use_menu = QMenu(self)
        self.use_button.setMenu(self.use_menu)
        self.use_menu.aboutToShow.connect(self._fill_uses)
        self.edit_button = QPushButton("Edit objects")
        self.edit_button.setCheckable(True)
        explain(self.edit_button, "edit objects", "Merge, split, cut and delete objects of the result by clicks.")
        self.edit_button.toggled.connect(self._show_clicks)
        self.edit_button.setVisible("edit" not in getattr(self._frame, "extras", {}))  # it has the row in any case
        self.clicks_row = ClicksRow(self._frame.viewer, self._layer_there)
        self.clicks_row.setVisible(False)

    def _build_runs(self) -> None:
        """Make what takes runs back; whichever widget made the last one, all show the same."""
        self.runs = run_history(self._frame.viewer)
        self.undo_button, self.redo_button = QToolButton(), QToolButton()
        for button, sign, do in ((self.undo_button, "↶", self.undo), (self.redo_button, "↷", self.redo)):
            button.setText(sign)
            button.setFixedWidth(28)
            button.clicked.connect(lambda _=False, do=do: do())
        for keys, do in (("Ctrl+Alt+Z", self.undo), ("Ctrl+Alt+Shift+Z", self.redo)):
            key = QShortcut(QKeySequence(keys), self._frame)
            key.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            key.activated.connect(do)
        self.destroyed.connect(self.runs.listen(self._show_runs))
        self._show_runs()

    def _lay_out(self) -> None:
        first, second, layout = QHBoxLayout(), QHBoxLayout(), QVBoxLayout(self)
        for button, stretch in (
            (self.use_button, 1), (self.edit_button, 1), (self.undo_button, 0), (self.redo_button, 0),
        ):  # fmt: skip
            first.addWidget(button, stretch)
        for button, stretch in ((self.python_button, 1), (self.save_button, 1), (self.more_button, 0)):
            second.addWidget(button, stretch)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for row in (first, second):
            row.setSpacing(4)
            layout.addLayout(row)
        layout.insertWidget(1, self.clicks_row)

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
        labels, known = _layers.level_zero(self._layer), dict(ours(self._layer))

        def text(*_: Any) -> str:
            by_hand = edited(known, labels)
            return cited(how, provenance, by_hand) if form == "methods" else written(how, form, held, by_hand)

        self._slot.worker = worker = _Worker(text)
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
            by_hand = edited(ours(self._layer), _layers.level_zero(self._layer))
            aside = (_UNEDITED if by_hand else "") + (_SIZED if differs_in_file(ours(self._layer)) else "")
            self._frame.bar.say(saved(recipe, path, painted, overwrite=overwrite) + aside)
        except (OSError, ValueError) as error:
            self._frame.bar.say(str(error), problem=True)

    def undo(self) -> None:
        """Take the last run back, of whichever widget."""
        self._say_what(self.runs.undo)

    def redo(self) -> None:
        """Do again what was taken back last."""
        self._say_what(self.runs.redo)

    def use(self, use: Use) -> None:
        """Let another widget use the result, and say so in both."""
        if not self._is_there():
            return
        frame = self._frame
        image = frame.source if hasattr(frame, "source") else frame.boxes["image"].layer
        try:
            widget, sentence = use.on(frame.viewer, self._layer, image)
        except ValueError as error:
            frame.bar.say(str(error), problem=True)
            return
        for one in {frame, widget}:
            one.bar.say(sentence)

    def _say_what(self, do: Callable[[], str]) -> None:
        """Do something and say what was done, or why it was not."""
        try:
            self._frame.bar.say(do())
        except ValueError as error:
            self._frame.bar.say(str(error), problem=True)

    def _show_runs(self) -> None:
        """Say in tooltips what would be taken back, and done again."""
        for button, run, word, keys in (
            (self.undo_button, self.runs.last, "undo", "Ctrl+Alt+Z"),
            (self.redo_button, self.runs.next, "redo", "Ctrl+Alt+Shift+Z"),
        ):
            button.setEnabled(run is not None)
            about = f"{word} {run.title} ({keys})" if run is not None else f"no run to {word}"
            explain(button, f"{word} run", about)

    def _show_clicks(self, on: bool) -> None:
        """Show the buttons that edit objects, with the result selected; or put them away."""
        self.clicks_row.setVisible(on)
        if not on:
            self.clicks_row.let_go()
        elif self._is_there():
            self._frame.viewer.layers.selection.active = self._layer
            if problem := problem_of(self._layer):
                self._frame.bar.say(problem, problem=True)

    def _layer_there(self) -> Layer | None:
        """Return the layer of the result, if it is still there."""
        return self._layer if self._layer is not None and self._layer in self._frame.viewer.layers else None

    def _is_there(self) -> bool:
        """Tell whether the result is still there, and say so if it is not."""
        there = self._layer_there() is not None
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
        for action in (self.command_action, self.methods_action, self.update_action):
            self.menu.addAction(action)

    def _fill_uses(self) -> None:
        """Offer every field of every widget that takes labels."""
        self.use_menu.clear()
        for what, group in groupby(uses(getattr(self._frame, "row", "")), lambda use: use.what):
            menu = self.use_menu.addMenu(GROUPS[what])
            for use in group:
                menu.addAction(use.row).triggered.connect(lambda _=False, use=use: self.use(use))


def written(how: Made, form: str, held: Mapping[str, Any], by_hand: bool = False) -> str:
    """Return how labels were made as text; it reads files and layers, so call it in a thread of its own.

    Parameters
    ----------
    how : Made
        How they were made.
    form : {"python", "command"}
        What to write.
    held : mapping of str to array
        What the Labels layers of the viewer hold now, by their names.
    by_hand : bool
        Whether the labels were edited since.

    Returns
    -------
    str
        With a comment for every input that no longer holds what was run on, and on edits.
    """
    from .._code import as_command, as_python, checked  # with the command line under it, which takes a while to import

    sources = checked(how.sources)
    notes = [
        f"# the layer {one.layer!r} was painted on since; the recipe, once saved, keeps it as it was\n"
        for one in sources.values()
        if one.sha256 and not _can_be_had(one, held)
    ]
    if by_hand:
        notes.append("# the labels were edited by hand since; this gives them as they were before\n")
    if form == "command":
        return "".join(notes) + as_command(how.recipe, sources)
    in_viewer = not all(one.path or one.points for one in sources.values())
    if in_viewer:
        notes.insert(
            0, "# for napari's console, where `viewer` is the window; layers without a file are read from it\n"
        )
    return "".join(notes) + as_python(how.recipe, sources, viewer=in_viewer)


def cited(how: Made, provenance: Mapping[str, Any], by_hand: bool = False) -> str:
    """Return what a paper says of how labels were made, with the version that made them; and that they were edited."""
    from .._citations import cite, ran

    found = cite(how.recipe, version=ran(provenance))
    return str(replace(found, text=f"{found.text} {_CORRECTED}") if by_hand else found)


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

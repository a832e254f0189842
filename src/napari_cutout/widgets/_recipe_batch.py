"""Where a recipe runs: on the layers that it reads, on several images, or on all files of a folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QHBoxLayout, QLabel, QLineEdit, QPushButton, QWidget

from .. import io
from .._monitor import Cancelled
from ..evaluation._images import ERRORS, sentence
from ..recipe import Recipe
from ._access import explain
from ._dock import form
from ._image_list import ImageList
from ._results import Finished

__all__ = ["TABLE", "BatchRows", "Folder", "FolderDone", "PathRow", "Several", "run_several"]

Layer = Any
"""A napari layer."""

Mode = Literal["layers", "images", "folder"]
"""On the layers of the inputs, on the images that are ticked, on the files of a folder."""

_WORDS = {"layers": "the layers above", "images": "several images", "folder": "a folder"}

TABLE = "objects.csv"
"""The file in the target folder that holds what was measured of all objects."""

_GO_ON = ("pass resume=True to go on", "tick 'go on with what is there' and press Run to go on")
"""How a run that was cancelled is gone on with, headless and here."""


@dataclass(frozen=True, slots=True)
class Folder:
    """What runs on a folder.

    Parameters
    ----------
    source, target : str
        The folders.
    inputs : dict of str to str
        The folders of what the recipe reads beside the image.
    suffix : str
        Ending of the files of labels.
    table : bool
        Whether the objects are measured into one table.
    resume : bool
        Whether to go on where files are there already.
    whole : bool
        Whether to leave out the region of the recipe.
    """

    source: str
    target: str
    inputs: dict[str, str]
    suffix: str = ".tif"
    table: bool = True
    resume: bool = False
    whole: bool = False

    def work(self, recipe: Recipe, device: Any) -> Callable[[Any, Any], FolderDone]:
        """Return what a worker is to do."""

        def work(on_progress: Any, is_cancelled: Any) -> FolderDone:
            from ..running._batch import run

            Path(self.target).mkdir(parents=True, exist_ok=True)
            try:
                batch: Any = run(
                    recipe,
                    self.source,
                    self.target,
                    inputs=self.inputs,
                    suffix=self.suffix,
                    table=str(Path(self.target) / TABLE) if self.table else None,
                    resume=self.resume,
                    whole=self.whole,
                    device=device,
                    on_progress=on_progress,
                    is_cancelled=is_cancelled,
                )
            except Cancelled as error:
                raise Cancelled(str(error).replace(*_GO_ON)) from error
            rows = getattr(batch, "rows", None)
            failed = [] if rows is None else [(Path(row.source).name, row.error) for row in batch.failed]
            return FolderDone(1 if rows is None else len(rows), tuple(failed), self)

        return work


@dataclass(frozen=True, slots=True)
class FolderDone:
    """What came of a folder.

    Parameters
    ----------
    n : int
        How many images there were.
    failed : tuple of (str, str)
        The names of those that failed, and why.
    folder : Folder
        What ran.
    """

    n: int
    failed: tuple[tuple[str, str], ...]
    folder: Folder


@dataclass(frozen=True, slots=True, eq=False)
class Several:
    """What came of several layers.

    Parameters
    ----------
    finished : tuple of Finished
        Those that were cut, in the order of the layers.
    failed : tuple of (str, str)
        The names of those that failed, and why.
    cancelled : bool
        Whether there are others that did not run.
    """

    finished: tuple[Finished, ...]
    failed: tuple[tuple[str, str], ...]
    cancelled: bool = False


def run_several(works: Sequence[tuple[str, Any]]) -> Callable[[Any, Any], Several]:
    """Return what a worker is to do for several layers, one after the other.

    Parameters
    ----------
    works : sequence of (str, callable)
        The name of each layer, and what is to be done for it.

    Returns
    -------
    callable
        One that fails does not stop the others; when it is cancelled, those that were done are returned.
    """

    def work(on_progress: Any, is_cancelled: Any) -> Several:
        finished: list[Finished] = []
        failed: list[tuple[str, str]] = []
        for number, (name, one) in enumerate(works):

            def told(stage: str, done: float, number: int = number) -> None:
                on_progress(f"image {number + 1} of {len(works)}: {stage}", (number + done) / len(works))

            try:
                finished.append(one(told, is_cancelled))
            except Cancelled:
                return Several(tuple(finished), tuple(failed), True)
            except ERRORS as error:
                failed.append((name, sentence(error)))
        return Several(tuple(finished), tuple(failed))

    return work


class PathRow(QWidget):  # type: ignore[misc]
    """A line for the path of a folder, and a button that asks for it.

    Parameters
    ----------
    name : str
        What it is, for a screen reader.
    why : str
        Its tooltip.
    """

    changed = Signal()

    def __init__(self, name: str, why: str) -> None:
        super().__init__()
        self._name = name
        self.line, self.button = QLineEdit(), QPushButton("…")
        self.line.setMinimumWidth(60)
        self.button.setFixedWidth(28)
        explain(self.line, name, why)
        explain(self.button, f"choose {name}", f"Choose the folder. {why}")
        self.line.textChanged.connect(lambda _: self.changed.emit())
        self.button.clicked.connect(lambda _: self._ask())
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.line, 1)
        layout.addWidget(self.button)

    @property
    def path(self) -> str:
        """What it says; ``~`` is the user's own folder."""
        first, *rest = re.split(r"(?=[/\\])", str(self.line.text()).strip(), maxsplit=1)
        return "".join((str(Path.home()) if first == "~" else first, *rest))

    def _ask(self) -> None:
        if path := QFileDialog.getExistingDirectory(self, self._name, self.path):
            self.line.setText(path)


class BatchRows(QWidget):  # type: ignore[misc]
    """Chooses where a recipe runs.

    Parameters
    ----------
    layers : napari layer list
        The layers of the viewer.
    problem : callable
        From an Image layer to why the recipe cannot run on it; empty if it can.

    Attributes
    ----------
    changed
        Emitted when something else is chosen.
    """

    changed = Signal()

    def __init__(self, layers: Any, problem: Callable[[Layer], str]) -> None:
        super().__init__()
        self.mode_box = QComboBox()
        self.mode_box.addItems([_WORDS[mode] for mode in get_args(Mode)])
        explain(self.mode_box, "run on", "Where the recipe runs: on its layers, on several images, or on all files.")
        self.images = ImageList(layers, problem)
        explain(self.images, "images", "Tick the images to run the recipe on; each gets its labels.")
        self.source = PathRow("folder of images", "Every image in it is cut.")
        self.target = PathRow("folder for labels", "Labels, their recipes and the table are written there.")
        self.suffix_box = QComboBox()
        self.suffix_box.addItems([ending for ending in io.WRITERS if ending != ".npz"])
        self.suffix_box.setCurrentText(".tif")
        explain(self.suffix_box, "labels as", "The kind of the files of labels.")
        self.table_box = QCheckBox(f"measure objects into {TABLE}")
        self.table_box.setChecked(True)
        self.table_box.setToolTip("One table of all objects of all images: sizes, places, grey levels.")
        self.resume_box = QCheckBox("go on with what is there")
        self.resume_box.setToolTip("Images whose labels are there, made by this recipe, are not cut again.")
        self.others: dict[str, PathRow] = {}
        self._form = form()
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.addRow("run on", self.mode_box)
        self._of: dict[str, list[QWidget]] = {
            "images": [self.images],
            "folder": [self.source, self.target, self.suffix_box, self.table_box, self.resume_box],
        }
        names = {self.images: "images", self.source: "from", self.target: "to", self.suffix_box: "labels as"}
        for widget in (w for widgets in self._of.values() for w in widgets):
            self._form.addRow(QLabel(names.get(widget, "")), widget) if widget in names else self._form.addRow(widget)
        self.setLayout(self._form)
        for signal in (self.mode_box.currentIndexChanged, self.table_box.toggled, self.resume_box.toggled):
            signal.connect(lambda _: self._show())
        for changed in (self.images.changed, self.source.changed, self.target.changed):
            changed.connect(self.changed)
        self._show()

    @property
    def mode(self) -> Mode:
        """Where the recipe runs."""
        mode: Mode = get_args(Mode)[self.mode_box.currentIndex()]
        return mode

    def choose(self, mode: Mode) -> None:
        """Choose where it runs."""
        self.mode_box.setCurrentIndex(get_args(Mode).index(mode))

    def show_inputs(self, names: Sequence[str]) -> None:
        """Ask for a folder of each of these inputs beside that of the images."""
        if list(self.others) == list(names):
            return
        for row in self.others.values():
            self._form.removeRow(row)
        self.others = {}
        at = self._form.getWidgetPosition(self.source)[0]
        for number, name in enumerate(names, start=1):
            row = self.others[name] = PathRow(f"folder of {name}", f"The {name} of every image, named like it.")
            row.changed.connect(self.changed)
            self._form.insertRow(at + number, f"{name} from", row)
        self._show()

    def folder(self, *, whole: bool) -> Folder:
        """Return what the rows say of folders."""
        return Folder(
            self.source.path,
            self.target.path,
            {name: row.path for name, row in self.others.items()},
            self.suffix_box.currentText(),
            self.table_box.isChecked(),
            self.resume_box.isChecked(),
            whole,
        )

    def problem(self) -> str:
        """Say what is missing; empty if nothing is."""
        if self.mode == "images":
            return "" if self.images.ticked else "tick the images to run on"
        if self.mode == "folder":
            return self._folder_problem()
        return ""

    def _folder_problem(self) -> str:
        for row, what in ((self.source, "the images"), *((row, name) for name, row in self.others.items())):
            if not row.path:
                return f"choose the folder of {what}"
            if not Path(row.path).is_dir():
                return f"there is no folder {row.path!r}; choose that of {what}"
            if not Path(row.path).is_absolute():
                return f"{row.path!r} is only the end of a path; give all of it, or choose the folder of {what}"
        if not self.target.path:
            return "choose a folder for the labels"
        target = Path(self.target.path)
        if not target.is_absolute():
            return f"{self.target.path!r} is only the end of a path; give all of it, or choose a folder for the labels"
        if target.exists() and target.samefile(self.source.path):
            return "labels would lie among the images, and be taken for some next time; choose another folder for them"
        if target.is_file():
            return f"{self.target.path!r} is a file; choose a folder for the labels"
        if target.is_dir() and any(target.iterdir()) and not self.resume_box.isChecked():
            return f"{target.name!r} holds files already; choose an empty folder, or tick 'go on with what is there'"
        return ""

    def _show(self) -> None:
        for mode, widgets in self._of.items():
            for widget in (*widgets, *(self.others.values() if mode == "folder" else ())):
                self._form.setRowVisible(widget, self.mode == mode)
        self.changed.emit()

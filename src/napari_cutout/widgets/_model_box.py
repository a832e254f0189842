"""The field for a trained model: a list of those in the models folder and of others that were used, and Browse."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from qtpy.QtCore import QStandardPaths, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QMenu,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ._access import explain
from ._dock import problem_line, sentence_line, show_sentence
from ._model_files import ModelInfo, described, models_in
from ._preferences import preferences, remember

__all__ = ["ModelBox", "known_models", "models_folder"]

MOST_OTHERS = 8
"""Models outside the models folder that are remembered."""

_NONE = "choose a model"
_TOOLTIP = "What was trained on annotations: those in the models folder, newest first, and others that were used."


def models_folder() -> Path:
    """Return where models are kept: what the user has set, else a folder of the user's application data."""
    if chosen := preferences().models_folder.strip():
        return Path(chosen).expanduser()
    place = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericDataLocation)
    return Path(place) / "napari-cutout" / "models"


def other_models() -> list[str]:
    """Return models elsewhere that were used, the last one first."""
    return [path for path in preferences().other_models.split(os.pathsep) if path]


def known_models(*more: str) -> dict[str, ModelInfo]:
    """Return the models that are offered, by their folders: the newest of the models folder first, then others.

    Parameters
    ----------
    *more : str
        Folders that are offered, too, if they hold models.
    """
    known = {info.path: info for info in models_in(models_folder())}
    for path in (*other_models(), *more):
        if path not in known and (info := _info(path)) is not None:
            known[path] = info
    return known


class ModelBox(QWidget):  # type: ignore[misc]
    """Chooses a model, and says what it is.

    Parameters
    ----------
    name : str
        What the setting is called on the screen.
    description : str
        What it is for.
    parent : QWidget, optional
        Its parent.

    Attributes
    ----------
    valueChanged
        Emitted when another model is chosen.
    box
        The list.
    about
        What the chosen model is.
    problem
        Why what was browsed to is no model.
    """

    valueChanged = Signal()

    def __init__(self, name: str, description: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.box = _List()
        explain(self.box, name, f"{description}\n{_TOOLTIP}")
        self.browse_button = QToolButton()
        self.browse_button.setText("…")
        self.browse_button.setFixedWidth(28)
        self.browse_button.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        explain(self.browse_button, f"browse for a {name}", "Choose a model that lies elsewhere, or the models folder.")
        self.browse_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self.browse_button)
        menu.addAction("A model…", self._browse)
        menu.addAction("A package of the BioImage Model Zoo…", self._browse_package)
        menu.addAction("The models folder…", self._browse_folder)
        self.browse_button.setMenu(menu)
        self.about, self.problem = sentence_line(), problem_line()
        self.about.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        row = QHBoxLayout()
        row.addWidget(self.box, 1)
        row.addWidget(self.browse_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addLayout(row)
        for line in (self.about, self.problem):
            layout.addWidget(line)
        self.setFocusProxy(self.box)
        self.refresh()
        self.box.opening.connect(self.refresh)
        self.box.currentIndexChanged.connect(self._chosen)

    def value(self) -> str | None:
        """Return the folder of the chosen model; None if none is."""
        found: str | None = self.box.currentData()
        return found

    @property
    def chosen(self) -> str | None:
        """The same, as fields say in which something is to be chosen."""
        return self.value()

    def setValue(self, value: Any) -> None:
        """Choose a model by its folder, which joins the list."""
        before = self.value()
        self._offer(str(value))
        if self.value() != before:
            self._chosen(self.box.currentIndex())

    def refresh(self) -> None:
        """List the models that there are now; the choice stays."""
        self._offer(self.value())

    def choose(self, path: str | Path) -> None:
        """Choose a folder that was browsed to, or say in red why it is no model."""
        try:
            described(path)
        except (ImportError, OSError, ValueError) as error:
            show_sentence(self.problem, str(error))
            return
        place = str(Path(path).absolute())
        if Path(place).parent != models_folder():
            others = [place, *(other for other in other_models() if other != place)]
            remember(other_models=os.pathsep.join(others[:MOST_OTHERS]))
        self.setValue(place)
        show_sentence(self.problem, "")

    def keep_in(self, folder: str | Path) -> None:
        """Keep models in another folder from now on, and list those that are there."""
        remember(models_folder=str(folder))
        self.refresh()

    def _offer(self, kept: str | None) -> None:
        """Fill the list, with `kept` chosen whether or not it is still there."""
        known = known_models(*([kept] if kept else []))
        self.box.blockSignals(True)
        self.box.clear()
        self.box.addItem(_NONE, None)
        for path, info in known.items():
            self._add(info.name, path, str(info))
        if kept and kept not in known:
            self._add(Path(kept).name, kept, "")
        self.box.setCurrentIndex(max(self.box.findData(kept), 0))
        self.box.blockSignals(False)
        self._tell()

    def _add(self, name: str, path: str, about: str) -> None:
        self.box.addItem(name, path)
        self.box.setItemData(self.box.count() - 1, f"{about}\n{path}", Qt.ItemDataRole.ToolTipRole)

    def _chosen(self, _: int) -> None:
        show_sentence(self.problem, "")
        self._tell()
        self.valueChanged.emit()

    def _tell(self) -> None:
        """Say what the chosen model is; the form says why one cannot be used."""
        info = _info(self.value()) if self.value() else None
        show_sentence(self.about, "" if info is None else str(info))

    def _browse(self) -> None:
        if path := QFileDialog.getExistingDirectory(self, "The folder of a model", str(models_folder())):
            self.choose(path)

    def _browse_package(self) -> None:
        wanted = "Packages (*.zip *.yaml)"
        if path := QFileDialog.getOpenFileName(self, "A package of the BioImage Model Zoo", filter=wanted)[0]:
            self.choose(path)

    def _browse_folder(self) -> None:
        if path := QFileDialog.getExistingDirectory(self, "Keep models in this folder", str(models_folder())):
            self.keep_in(path)


def _info(path: str | None) -> ModelInfo | None:
    try:
        return None if path is None else described(path)
    except (ImportError, OSError, ValueError):
        return None


class _List(QComboBox):  # type: ignore[misc]
    """A list that is filled anew when it opens.

    Attributes
    ----------
    opening
        Emitted before it opens.
    """

    opening = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # names may be long
        self.setMinimumWidth(80)

    def showPopup(self) -> None:
        """Open it."""
        self.opening.emit()
        super().showPopup()

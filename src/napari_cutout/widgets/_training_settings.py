"""The fields of a training beside its layers: what label 0 means, what to learn, how long, and what few ever change."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any, get_args

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QLabel, QSpinBox, QVBoxLayout, QWidget

from .._method import _descriptions
from ..unet.architecture import MAX_DEPTH, Normalisation
from ..unet.plan import unet_plan
from ._access import explain
from ._dock import form
from ._editors import FloatBox, StillUnlessFocused
from ._fold import Fold
from ._training_layers import SLICES, Unpainted, guess_of

__all__ = ["TrainingSettings"]

Layer = Any
"""A napari layer."""

MINUTES = 5.0
"""Time that is proposed: enough for a few slices on two processors."""

AUTO_DEPTH = -1
"""What the field of the depth holds where the program chooses."""

_HEADS: Mapping[str, str] = {"classes": "classes", "objects": "boundary", "objects (depth)": "distance"}
"""What the box calls the heads."""

_UNPAINTED = (
    "What label 0 of the annotation means: background, if everything was annotated; not annotated, if it holds "
    "strokes, so that nothing is learned from the rest; background in its slices, if some slices of a volume were "
    "annotated completely."
)
_LEARN = (
    "planes: every slice by itself, which is quicker and needs no more than a few annotated slices. "
    "volume: slices together, for objects that only their neighbours tell apart."
)
_APART = (
    "classes: the class of each voxel. objects: objects that are numbered, one label each, so that those that touch "
    "are split; they are learned with their boundaries, or with how deep inside one a voxel lies."
)


_MINUTES = "Time that the training may take; the steps are planned so that they fit. Cancel keeps the best so far."


class TrainingSettings(QWidget):  # type: ignore[misc]
    """What a training is asked for.

    Attributes
    ----------
    changed
        Emitted when something else is said.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._guessed_for: Layer | None = None
        self._by_hand = self._guessing = False
        self._still = StillUnlessFocused(self)
        self.unpainted_box, self.learn_box, self.apart_box = (self._combo() for _ in range(3))
        self.unpainted_box.addItems(get_args(Unpainted))
        self.unpainted_box.currentIndexChanged.connect(self._chose_unpainted)
        self.learn_box.addItems(["volume", "planes"])
        self.apart_box.addItems(list(_HEADS))
        self.painted = QLabel()
        self.painted.setWordWrap(True)
        self.minutes_box = FloatBox(None)
        self.minutes_box.setRange(0.01, 100_000.0)
        self.minutes_box.setValue(MINUTES)
        self.minutes_box.setSuffix(" min")
        self.background_box = self._spin(0, 2**31 - 1, 1)
        self.form = form()
        self.form.setContentsMargins(0, 0, 0, 0)
        for text, field, why in (
            ("unpainted", self.unpainted_box, _UNPAINTED),
            ("", self.painted, ""),
            ("learn", self.learn_box, _LEARN),
            ("tell apart", self.apart_box, _APART),
            ("around objects", self.background_box, "The label that was painted around objects."),
            ("at most", self.minutes_box, _MINUTES),
        ):
            self._add(self.form, text, field, why)
        self.more = self._build_more()
        self.form.addRow(self.more)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self.form)
        for box in (self.unpainted_box, self.learn_box, self.apart_box, self.normalisation_box):
            box.currentIndexChanged.connect(self._changed)
        for box in (self.steps_box, self.width_box, self.depth_box, self.seed_box, self.background_box):
            box.valueChanged.connect(self._changed)
        self.minutes_box.valueChanged.connect(self._changed)
        self.residual_box.toggled.connect(self._changed)
        self._show_rows(volume=False)

    def _build_more(self) -> Fold:
        hidden = QWidget()
        self.more_rows = inner = form()
        inner.setContentsMargins(0, 4, 0, 0)
        hidden.setLayout(inner)
        self.steps_box = self._spin(1, 10**9, _default("n_steps"))
        self.width_box = self._spin(1, 512, _default("width"))
        self.depth_box = self._spin(AUTO_DEPTH, MAX_DEPTH, AUTO_DEPTH)
        self.depth_box.setSpecialValueText("automatic")
        self.seed_box = self._spin(0, 2**31 - 1, _default("seed"))
        self.normalisation_box = self._combo()
        self.normalisation_box.addItems(get_args(Normalisation))
        self.normalisation_box.setCurrentText(_default("normalisation"))
        self.residual_box = QCheckBox()
        self.residual_box.setChecked(_default("residual"))
        for text, name, field in (
            ("most steps", "n_steps", self.steps_box),
            ("width", "width", self.width_box),
            ("depth", "depth", self.depth_box),
            ("normalisation", "normalisation", self.normalisation_box),
            ("residual", "residual", self.residual_box),
            ("seed", "seed", self.seed_box),
        ):
            self._add(inner, text, field, _about(name))
        return Fold("More", hidden, "What few ever change.")

    # What it says

    @property
    def unpainted(self) -> Unpainted:
        """What label 0 means."""
        return get_args(Unpainted)[self.unpainted_box.currentIndex()]  # type: ignore[no-any-return]

    @property
    def flat(self) -> bool:
        """Whether planes are learned one by one."""
        return self.learn_box.currentText() == "planes" or not self.form.isRowVisible(self.learn_box)

    @property
    def minutes(self) -> float:
        """How long it may take."""
        return float(self.minutes_box.value())

    @property
    def value(self) -> dict[str, Any]:
        """What the fields say, as `unet_plan` takes it; what follows from layers is not there."""
        head = _HEADS[self.apart_box.currentText()]
        depth = self.depth_box.value()
        return {
            "head": head,
            "dimensions": 2 if self.flat else 3,
            "n_steps": self.steps_box.value(),
            "width": self.width_box.value(),
            "depth": None if depth == AUTO_DEPTH else depth,
            "normalisation": self.normalisation_box.currentText(),
            "residual": self.residual_box.isChecked(),
            "seed": self.seed_box.value(),
            **({"background": self.background_box.value()} if self._asks_background else {}),
        }

    def show_for(self, annotation: Layer | None, *, volume: bool, planes: bool) -> None:
        """Guess what was painted, unless that was said by hand, and show the fields that are needed.

        Parameters
        ----------
        annotation : napari Labels layer or None
            What was painted.
        volume : bool
            Whether the image has slices.
        planes : bool
            Whether the form runs slice by slice; proposed where the annotation is another.
        """
        fresh = annotation is not self._guessed_for
        self.blockSignals(True)  # whoever asks reads it now
        if fresh:
            self._guessed_for, self._by_hand = annotation, False
            self.learn_box.setCurrentText("planes" if planes else "volume")
        self._offer_slices(volume)
        guess, words = ("background", "") if annotation is None else guess_of(annotation, volume=volume)
        self.painted.setText(words)
        if not self._by_hand:
            self._guessing = True
            self.unpainted_box.setCurrentText(guess)
            self._guessing = False
        self._show_rows(volume=volume)
        self.blockSignals(False)

    @property
    def _asks_background(self) -> bool:
        """Whether it has to be said which label is around objects."""
        return self.apart_box.currentIndex() > 0 and self.unpainted == "not annotated"

    def _offer_slices(self, volume: bool) -> None:
        """Offer what only volumes have."""
        model: Any = self.unpainted_box.model()
        item = model.item(self.unpainted_box.findText(SLICES))
        item.setEnabled(volume)

    def _show_rows(self, *, volume: bool) -> None:
        self.form.setRowVisible(self.learn_box, volume)
        self.form.setRowVisible(self.painted, bool(self.painted.text()))
        self.form.setRowVisible(self.background_box, self._asks_background)

    def _chose_unpainted(self, _: int) -> None:
        self._by_hand = not self._guessing

    def _changed(self, *_: Any) -> None:
        self.form.setRowVisible(self.background_box, self._asks_background)
        changed = [n for n, v in (("width", self.width_box), ("depth", self.depth_box)) if v.value() != _first(n)]
        self.more.set_text("More" + "".join(f" · {n}" for n in changed))
        self.changed.emit()

    # Building

    def _combo(self) -> QComboBox:
        box = QComboBox()
        box.setMinimumContentsLength(8)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        return box

    def _spin(self, low: int, high: int, value: int) -> QSpinBox:
        box = QSpinBox()
        box.setRange(low, high)
        box.setValue(value)
        return box

    def _add(self, layout: QFormLayout, text: str, field: QWidget, why: str) -> None:
        label = QLabel(text)
        label.setToolTip(why)
        label.setBuddy(field)
        if text:
            explain(field, text, why)
        if not isinstance(field, QLabel | QCheckBox):
            field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            field.installEventFilter(self._still)
        layout.addRow(label, field)


@cache
def _parameters() -> Mapping[str, inspect.Parameter]:
    return inspect.signature(unet_plan).parameters


def _default(name: str) -> Any:
    """Return the default of a setting of `unet_plan`, so that the widget has no other."""
    return _parameters()[name].default


def _first(name: str) -> Any:
    """Return what the field of a setting holds at first."""
    return AUTO_DEPTH if name == "depth" else _default(name)


def _about(name: str) -> str:
    """Return what the documentation says of a setting of a training."""
    return _descriptions(unet_plan).get(name, "")

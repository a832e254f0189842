"""From a setting of the catalog to the field that edits it: limits, choices, default and prose all come from there."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtGui import QValidator
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from .._method import Method, Param
from ..processing.features import features
from ._access import explain
from ._log_slider import LogSlider
from ._model_box import ModelBox
from ._words_box import WordsBox, explained
from ._worker import mark

__all__ = [
    "Editor",
    "FloatBox",
    "NumbersBox",
    "StillUnlessFocused",
    "applies",
    "caption",
    "caption_of",
    "value_text",
    "world_size",
]

MAX_INT = 2**31 - 1
"""Largest whole number that a spin box holds."""

MAX_FLOAT = 1.7e308
"""Largest number that a field takes where a setting has no limits."""

NARROWEST = 84
"""Width that shows the numbers people give, in pixels; the largest possible one would need a line of its own."""

_CAPTIONS = {
    "method": "level chosen by",
    "one_per_object": "one number per object",
    "min_size": "remove smaller than",
    "clear_border": "clear border",
    "sigma": "smoothing sigma",
    "n_classes": "classes",
    "n_clusters": "classes",
    "n_components": "classes",
    "max_components": "most classes",
    "n_regions": "regions",
    "n_superpixels": "superpixels",
    "features": "compare by",
    "scales": "at scales",
    "n_init": "starts",
    "max_iterations": "most iterations",
}
"""What to call a setting where its name alone would puzzle."""

_OWN_CAPTIONS = {"min_size": "join smaller than"}
"""The same for settings of a method that are called like an option of others, and do something else."""

_SHARES = {"min_size": "join below this share"}
"""The same where it is no number of voxels, but a share."""

_NO_VALUE = {"threshold": "no limit"}
"""What leaving a setting out means, where the method does not choose a value then."""

BELOW, ABOVE = 0.01, 1000.0
"""Where the slider of a setting ends, as multiples of what the method chooses by itself."""

_ALONE = {"intensity", "position"}
"""Features that have no scale."""

_APPLIES: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "scales": lambda settings: bool(set(settings.get("features", ())) - _ALONE),
    "max_components": lambda settings: settings.get("n_components") == "auto",
}
"""When a setting means something, where that depends on others."""


def applies(name: str, settings: Mapping[str, Any]) -> bool:
    """Tell whether a setting means something beside the others; else there is no need to show it."""
    return name not in _APPLIES or _APPLIES[name](settings)


def caption(name: str) -> str:
    """Return what stands beside the field of a setting."""
    return _CAPTIONS.get(name, name.replace("_", " "))


def caption_of(param: Param, description: str = "join") -> str:
    """Return what stands beside the field of a setting of a method, or of an option that many share.

    Parameters
    ----------
    param : Param
        The setting.
    description : str
        What its method says of it: whether small ones join others, or are removed.

    Returns
    -------
    str
        A few words.
    """
    if param.option or "join" not in description:
        return caption(param.name)
    own = _SHARES if param.type is float and param.name in _SHARES else _OWN_CAPTIONS
    return own.get(param.name, caption(param.name))


def value_text(value: Any) -> str:
    """Return the value of a setting in as few characters as say it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(map(value_text, value))
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def world_size(description: str, value: float | tuple[float, ...], spacing: Sequence[float], unit: str) -> str:
    """Say how large a setting is in the world, where its text says that it counts voxels.

    Parameters
    ----------
    description : str
        The docstring's text on the setting.
    value : float or tuple of float
        Its value.
    spacing : sequence of float
        World length of a voxel per axis.
    unit : str
        The symbol of the unit of length.

    Returns
    -------
    str
        Such as ``"= 0.5 µm"``; empty where it is no length and no size, or the size of voxels is not known.
    """
    if not unit or not value:
        return ""
    values = value if isinstance(value, tuple) else (value,)
    if "edges of the smallest voxel" in description:
        return f"= {', '.join(f'{v * min(spacing):.4g}' for v in values)} {unit}"
    if "fewer voxels" in description:
        power = "²" if len(spacing) == 2 else "³"
        return f"= {', '.join(f'{v * math.prod(spacing):.4g}' for v in values)} {unit}{power}"
    return ""


class FloatBox(QDoubleSpinBox):  # type: ignore[misc]
    """A spin box for any float: it shows the shortest text, and steps by about a tenth of the value.

    Parameters
    ----------
    step : float, optional
        What one click changes, where the setting says so.
    parent : QWidget, optional
        Its parent.
    """

    def __init__(self, step: float | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._step = step
        self.setDecimals(30)

    def textFromValue(self, value: float) -> str:
        """Return the shortest text of up to ten digits."""
        return f"{value:.10g}"

    def valueFromText(self, text: str) -> float:
        """Return the number that a text stands for, with or without the unit behind it."""
        return float(text.removesuffix(self.suffix()))

    def validate(self, text: str, position: int) -> Any:
        """Accept what Python reads as a float within the limits, and what may become one."""
        typed = text.removesuffix(self.suffix())
        try:
            number = float(typed)
        except ValueError:
            known = set(typed.lower()) <= set("0123456789.+-e")
            return (QValidator.State.Intermediate if known else QValidator.State.Invalid), text, position
        inside = self.minimum() <= number <= self.maximum()
        return (QValidator.State.Acceptable if inside else QValidator.State.Intermediate), text, position

    def stepBy(self, steps: int) -> None:
        """Change the value by so many steps."""
        value = self.value()
        step = self._step or (10.0 ** (math.floor(math.log10(abs(value))) - 1) if value else 1.0)
        self.setValue(float(f"{value + steps * step:.12g}"))


class NumbersBox(QLineEdit):  # type: ignore[misc]
    """A line for several numbers with commas between them, red while the setting does not allow them.

    Parameters
    ----------
    param : Param
        The setting; its entries are floats or ints.
    parent : QWidget, optional
        Its parent.

    Attributes
    ----------
    valueChanged
        Emitted when the text has changed, whether or not it is right.
    """

    valueChanged = Signal()

    def __init__(self, param: Param, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._param = param
        self.setPlaceholderText("10, 20, 30" if param.item is int else "10, 20.5, 30")
        self.textChanged.connect(self._text_changed)

    def value(self) -> tuple[Any, ...]:
        """Return the numbers; what is none stays text, so that the check of the setting can quote it."""
        return tuple(_number(word, self._param.item) for word in re.split(r"[,;\s]+", self.text().strip(" ,;")) if word)

    def setValue(self, values: Sequence[float]) -> None:
        """Show these numbers, each as the shortest text that is exactly it."""
        self.setText(", ".join(repr(self._param.item(value)).removesuffix(".0") for value in values))

    def _text_changed(self) -> None:
        try:
            self._param.check(self.value())
        except (TypeError, ValueError):
            mark(self, True)
        else:
            mark(self, False)
        self.valueChanged.emit()


def _number(word: str, kind: type) -> Any:
    try:
        return kind(word)
    except ValueError:
        return word


class StillUnlessFocused(QObject):  # type: ignore[misc]
    """Keeps the wheel, which scrolls the form, from changing the fields that pass under it."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Wheel and not watched.hasFocus():
            event.ignore()
            return True
        return False


class Editor(QWidget):  # type: ignore[misc]
    """The field of one setting.

    Parameters
    ----------
    method : Method
        Whose setting it is; its docstring gives the tooltip.
    param : Param
        The setting.
    parent : QWidget, optional
        Its parent.

    Attributes
    ----------
    caption
        What stands beside it.
    changed
        Emitted when the value has changed.
    """

    changed = Signal()

    def __init__(self, method: Method, param: Param, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.param = param
        self.description = method.describe(param.name)
        self.caption = caption_of(param, self.description)
        self.field = _field(param, self.description)
        left_out = _NO_VALUE.get(param.name, "automatic")
        self.automatic = QCheckBox(left_out) if param.optional or param.words else None
        self.world = QLabel()
        self.world.setVisible(False)
        self.slider = self._make_slider() if _slides(param) else None
        # Several numbers take the whole line, and how large they are stands below.
        layout: QVBoxLayout | QHBoxLayout
        if self.slider is None:
            layout = QVBoxLayout(self) if isinstance(self.field, NumbersBox) else QHBoxLayout(self)
        else:
            layout = QHBoxLayout()
            outer = QVBoxLayout(self)
            outer.setContentsMargins(0, 0, 0, 0)
            outer.addLayout(layout)
            outer.addWidget(self.slider)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.field, 1)
        layout.addWidget(self.world)
        if self.automatic is not None:
            layout.addWidget(self.automatic)
            does = "Go on without it." if param.name in _NO_VALUE else "Let the method choose."
            explain(self.automatic, f"{self.caption} {left_out}", does)
            self.automatic.toggled.connect(self._automatic_toggled)
        self.setToolTip(self.description)
        if not isinstance(self.field, ModelBox):  # it explains its parts
            explain(self.field, self.caption, self.description)
        self._still = StillUnlessFocused(self)
        if not isinstance(self.field, WordsBox):  # its tick boxes have the focus, and know no wheel
            wheeled = self.field.box if isinstance(self.field, ModelBox) else self.field
            wheeled.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            wheeled.installEventFilter(self._still)
        if self.slider is not None:
            self.slider.installEventFilter(self._still)
        if not param.required:
            self.set_value(param.default)
        _signal_of(self.field).connect(lambda *_: self.changed.emit())

    @property
    def value(self) -> Any:
        """The value as the method takes it; None for *automatic*, or the word that the setting has for it."""
        if self.automatic is not None and self.automatic.isChecked():
            return self._word
        if isinstance(self.field, QComboBox):
            return self.param.choices[self.field.currentIndex()]
        return self.field.isChecked() if isinstance(self.field, QCheckBox) else self.field.value()

    @property
    def is_right(self) -> bool:
        """Whether the setting allows the value."""
        try:
            self.param.check(self.value)
        except (TypeError, ValueError):
            return False
        return True

    def set_value(self, value: Any) -> None:
        """Show a value that the setting allows."""
        self.param.check(value)
        if self.automatic is not None:
            self.automatic.setChecked(value == self._word)
            if value == self._word:
                return
        if isinstance(self.field, QComboBox):
            self.field.setCurrentIndex(self.param.choices.index(value))
        elif isinstance(self.field, QCheckBox):
            self.field.setChecked(value)
        else:
            self.field.setValue(value)

    @property
    def _word(self) -> str | None:
        """What *automatic* stands for."""
        return self.param.words[0] if self.param.words else None

    def show_found(self, facts: Mapping[str, Any]) -> None:
        """Show what the method has chosen by itself, and let the slider stand around it.

        Parameters
        ----------
        facts : mapping
            What it has found out; under ``usual`` what it would have, if the setting were left to it.
        """
        left_out = self.value is None
        found = (facts if left_out else facts.get("usual", {})).get(self.param.name)
        if self.slider is None or found is None:
            return
        self.slider.set_ends(BELOW * (found or 1.0), ABOVE * (found or 1.0))
        if left_out:
            self.field.blockSignals(True)  # it is no choice of the user
            self.field.setValue(float(f"{found:.4g}"))
            self.field.blockSignals(False)
        self.slider.show_value(self.field.value())

    def show_world(self, spacing: Sequence[float], unit: str) -> None:
        """Show how large the value is in the world, where it is a length or a size."""
        text, value = "", self.value
        numbers = value if isinstance(value, tuple) else (value,)
        if isinstance(self.field, QAbstractSpinBox | NumbersBox) and all(isinstance(n, int | float) for n in numbers):
            text = world_size(self.description, value, spacing, unit)
        self.world.setText(text)
        self.world.setVisible(bool(text))

    def _make_slider(self) -> LogSlider:
        """Return a slider that sets the field, and follows it."""
        slider = LogSlider()
        explain(slider, f"{caption(self.param.name)} slider", f"{self.description} Equal steps are equal ratios.")
        slider.moved.connect(self._slide_to)
        self.field.valueChanged.connect(slider.show_value)
        return slider

    def _slide_to(self, number: float) -> None:
        """Take the number of the slider, which is no longer left to the method then."""
        assert self.automatic is not None
        self.blockSignals(True)  # one change, and not one of the tick box and one of the number
        self.automatic.setChecked(False)
        self.field.setValue(number)
        self.blockSignals(False)
        self.changed.emit()

    def _automatic_toggled(self, on: bool) -> None:
        self.field.setEnabled(not on)
        self.changed.emit()


def _slides(param: Param) -> bool:
    """Tell whether a number is one that a slider finds: the method tells what it would choose, and ratios matter."""
    typical = param.typical
    told = param.optional and param.type is float and param.name not in _NO_VALUE
    return told and typical is not None and typical.log and not param.grey_level


def _field(param: Param, description: str = "") -> QWidget:
    """Make the field that suits the type of a setting."""
    if param.folder is not None:
        return ModelBox(caption(param.name), description)
    if param.choices:
        box = QComboBox()
        box.addItems([str(choice) for choice in param.choices])
        box.setMinimumContentsLength(8)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        return box
    if param.type is bool:
        return QCheckBox()
    limits = param.range
    if param.type is int:
        spin: QAbstractSpinBox = QSpinBox()
        spin.setRange(int(limits.min) if limits else -MAX_INT, int(limits.max) if limits else MAX_INT)
        spin.setSingleStep(int((limits.step if limits else None) or 1))
        spin.setMinimumWidth(NARROWEST)
        return spin
    if param.type is float:
        spin = FloatBox(limits.step if limits else None)
        spin.setRange(limits.min if limits else -MAX_FLOAT, limits.max if limits else MAX_FLOAT)
        spin.setMinimumWidth(NARROWEST)
        return spin
    if param.item in (int, float):
        return NumbersBox(param)
    if param.item_choices:
        return WordsBox(param, caption(param.name), explained(features))
    raise TypeError(f"the setting {param.name!r} has the type {param.type!r}, for which there is no field")


def _signal_of(field: QWidget) -> Any:
    if isinstance(field, QComboBox):
        return field.currentIndexChanged
    return field.toggled if isinstance(field, QCheckBox) else field.valueChanged

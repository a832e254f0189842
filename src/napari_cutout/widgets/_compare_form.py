"""The parts of the form of *Compare*: who takes part, and how rows are judged."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QLabel, QListWidget, QListWidgetItem, QSpinBox, QVBoxLayout, QWidget

from .. import catalog
from .._device import Asked as Device
from ..comparison._contest import Rules
from ..comparison._cuts import cuts, cuts_from_strokes
from ..comparison._tallies import Metric
from ._access import explain
from ._dock import form
from ._editors import StillUnlessFocused
from ._fold import Fold

__all__ = ["MethodList", "RuleFields", "default_rules"]

_METRICS = {"dice": "Dice", "iou": "IoU", "f1": "F1 of objects", "pq": "panoptic quality"}
"""What the box calls what rows are ranked by."""

_MAX_ROWS = 7
"""Methods that are in view; a longer list scrolls."""

_NUMBERS = {
    "budget": (2, 1000, 30, "Settings that are tried for each method and fold, where it is tuned."),
    "folds": (2, 50, 5, "Parts of the annotation that are held out in turn; fewer where there are fewer strokes."),
    "repeats": (1, 50, 1, "How many times strokes or blocks are dealt to the parts anew."),
    "seed": (0, 2**31 - 1, 0, "Of the deal, the search and the bootstrap: the same seed gives the same table."),
}
"""Least, most and first value of each number, and what it means."""


def default_rules() -> Rules:
    """Return the rules of a form that nobody has touched."""
    first = {name: start for name, (_, _, start, _) in _NUMBERS.items()}
    return Rules("dice", False, first["budget"], first["folds"], first["repeats"], first["seed"], "auto")


_TAKES_LONG = " It takes minutes, so it takes part only where it is ticked."


def _slow(names: Iterable[str]) -> frozenset[str]:
    """Return those of some methods that take minutes."""
    return frozenset(name for name in names if catalog.find(name).slow)


class MethodList(Fold):
    """Chooses methods: all that apply, or those that are ticked; folded away until somebody asks for it.

    Attributes
    ----------
    changed
        Emitted when another choice was made.
    """

    changed = Signal()

    def __init__(self) -> None:
        self.list = QListWidget()
        there = {cut.of for cut in (*cuts(0.0, "bright"), *cuts_from_strokes())}
        names = [name for name in catalog.methods() if name in there]
        for name in names:
            item = QListWidgetItem(name.replace("_", " "))
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
            item.setToolTip(catalog.find(name).summary + (_TAKES_LONG if name in _slow(names) else ""))
            self.list.addItem(item)
        self._names = list(names)
        self.list.setFixedHeight(_MAX_ROWS * max(self.list.sizeHintForRow(0), 18) + 8)
        explain(
            self.list,
            "methods",
            "Which methods take part. As it comes: all that apply, without those that take minutes.",
        )
        super().__init__("Methods", self.list, "Which methods take part.")
        self.choose()
        self.list.itemChanged.connect(lambda _: self._note())
        self._note()

    @property
    def chosen(self) -> tuple[str, ...] | None:
        """The names of the methods that are ticked; None for all that apply and are not slow."""
        found = tuple(name for at, name in enumerate(self._names) if self._is_ticked(at))
        slow = _slow(self._names)
        return None if found == tuple(name for name in self._names if name not in slow) else found

    def choose(self, *names: str) -> None:
        """Tick these methods and no others; all that are not slow if none is named."""
        slow = _slow(self._names)
        self.list.blockSignals(True)
        for at, name in enumerate(self._names):
            on = name in names if names else name not in slow
            self.list.item(at).setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
        self.list.blockSignals(False)
        self._note()

    def _is_ticked(self, at: int) -> bool:
        return bool(self.list.item(at).checkState() == Qt.CheckState.Checked)

    def _note(self) -> None:
        chosen = self.chosen
        self.set_text(
            "Methods · all that apply" if chosen is None else f"Methods · {len(chosen)} of {len(self._names)}"
        )
        self.changed.emit()


class RuleFields(QWidget):  # type: ignore[misc]
    """Says how rows are judged: whether settings are searched for, and under *More* how and by what.

    Attributes
    ----------
    changed
        Emitted when a field has changed.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._still = StillUnlessFocused(self)
        self.tune_box = QCheckBox("&tune settings on the annotation")
        self.tune_box.setToolTip(
            "On: settings are searched for on some strokes and scored on others. Off: every method runs as it comes."
        )
        self.tune_box.toggled.connect(lambda _: self._note())
        self.metric_box = QComboBox()
        self.metric_box.addItems([_METRICS[name] for name in get_args(Metric)])
        explain(
            self.metric_box, "rank by", "What settings are chosen and rows are ranked by; objects must be numbered."
        )
        self.device_box = QComboBox()
        self.device_box.addItems(get_args(Device))
        explain(self.device_box, "device", "Where to run; auto takes the GPU where there is one and it gains time.")
        self.numbers = {name: self._number(name) for name in _NUMBERS}
        layout = form()
        fields: dict[str, Any] = {"rank by": self.metric_box, **self.numbers, "device": self.device_box}
        for text, field in fields.items():
            label = QLabel(text)
            label.setBuddy(field)
            label.setToolTip(field.toolTip())
            field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            field.installEventFilter(self._still)
            layout.addRow(label, field)
        for box in (self.metric_box, self.device_box):
            box.currentIndexChanged.connect(lambda _: self._note())
        hidden = QWidget()
        hidden.setLayout(layout)
        self.more = Fold("More", hidden, "How the annotation is held out, and what rows are ranked by.")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.tune_box)
        outer.addWidget(self.more)
        self._note()

    @property
    def rules(self) -> Rules:
        """What the fields say."""
        numbers = {name: box.value() for name, box in self.numbers.items()}
        metric: Metric = get_args(Metric)[self.metric_box.currentIndex()]
        device: Device = get_args(Device)[self.device_box.currentIndex()]
        return Rules(metric, self.tune_box.isChecked(), device=device, **numbers)

    def _number(self, name: str) -> QSpinBox:
        low, high, start, why = _NUMBERS[name]
        box = QSpinBox()
        box.setRange(low, high)
        box.setValue(start)
        explain(box, name, why)
        box.valueChanged.connect(lambda _: self._note())
        return box

    def _note(self) -> None:
        """Say what is changed of that which is folded away."""
        rules, first = self.rules, default_rules()
        self.numbers["budget"].setEnabled(rules.tune)
        words = [_METRICS[rules.metric]] if rules.metric != first.metric else []
        words += [f"{name} {getattr(rules, name)}" for name in _NUMBERS if getattr(rules, name) != getattr(first, name)]
        self.more.set_text("".join(["More", *(f" · {word}" for word in words)]))
        self.changed.emit()

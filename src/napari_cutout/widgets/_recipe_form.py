"""The form of one step of a recipe: its method, what its arrays read, and its settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QVBoxLayout, QWidget

from .. import catalog
from .._method import OF_THE_IMAGE, Method, Param
from .._recipe_edits import Draft, insertable, sources
from ..recipe import Recipe, Step, output_number
from ._access import explain
from ._dock import form, sentence_line, show_sentence
from ._editors import Editor, applies, caption, value_text
from ._fold import Fold
from ._option_rows import OptionRows, add_row
from ._recipe_list import needs_nothing_more

__all__ = ["StepForm", "new_step"]

_NONE, _NEW = "none", "another layer"
"""What an array may read beside what is there: nothing, and an input that the recipe has not yet."""

_FEW = 2
"""Choices of an array that must be given, where there is but one beside a layer more."""


def new_step(method: Method, like: Step | None = None, **given: Any) -> Step:
    """Return a step of a method, with the settings of another where they mean the same.

    Parameters
    ----------
    method : Method
        Its method.
    like : Step, optional
        A step whose place it takes.
    **given : object
        Settings that are known.

    Returns
    -------
    Step
        What else must be chosen has the value that a field for it begins with.
    """
    asked = [p for p in method.settings if p.required and p.name not in given]
    settings: dict[str, Any] = {**{p.name: Editor(method, p).value for p in asked}, **given}
    before = {} if like is None else {p.name: p for p in catalog.find(like.method).settings}
    for param in method.settings:
        other = before.get(param.name)
        if like is not None and param.name in like.settings and other is not None and (other.option or param.option):
            settings[param.name] = like.settings[param.name]
    arrays = {p.name for p in method.arrays}
    wiring = {} if like is None else {array: name for array, name in like.inputs.items() if array in arrays}
    return Step(method.name, settings, wiring)


class StepForm(QWidget):  # type: ignore[misc]
    """Edits one step.

    Parameters
    ----------
    parent : QWidget, optional
        Its parent.

    Attributes
    ----------
    changed
        Emitted with a `Step` and the name of the setting, or of what else was changed.
    refused
        Emitted with a sentence instead where the settings do not go together.
    """

    changed = Signal(object, str)
    refused = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.editors: dict[str, Editor] = {}
        self.wires: dict[str, QComboBox] = {}
        self._offered: dict[str, list[str]] = {}
        self._folded: list[Editor] = []
        self._optional: list[Param] = []
        self._methods: list[Method] = []
        self._shown: tuple[Any, ...] = ()
        self._recipe: Recipe | None = None
        self._number = 0
        self._step: Step | None = None
        self.method_box = QComboBox()
        explain(self.method_box, "method", "Another method in the place of this one.")
        self.method_box.currentIndexChanged.connect(lambda _: self._method_changed())
        self.summary = sentence_line()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._head = form()
        self._head.addRow("method", self.method_box)
        self._head.addRow(self.summary)
        self._layout.addLayout(self._head)
        self._body = QWidget()
        self._layout.addWidget(self._body)

    def show_step(self, draft: Draft | None, number: int) -> None:
        """Show a step of a recipe.

        Parameters
        ----------
        draft : Draft, optional
            The recipe.
        number : int
            Which step.
        """
        self.setVisible(draft is not None and number > 0)
        if draft is None or not number:
            self._shown = ()
            return
        recipe = draft.recipe
        self._recipe, self._number, step = recipe, number, recipe.steps[number - 1]
        self._step = step
        method = catalog.find(step.method)
        offered = tuple((p.name, self._offers(recipe, number, p)) for p in method.arrays)
        if self._shown != (method.name, number, offered):
            self._build(method, offered)
            self._shown = (method.name, number, offered)
        self._fill(step)

    def show_world(self, lengths: Sequence[float], unit: str) -> None:
        """Show how large settings are in the world, where they count voxels of this size."""
        for editor in self.editors.values():
            editor.show_world(lengths, unit)

    def _offers(self, recipe: Recipe, number: int, param: Param) -> tuple[str, ...]:
        """Return what an array may read, an empty text for nothing, and a free name for a layer more."""
        found = sources(recipe, number, param)
        free = next(name for n in range(1, 99) if (name := param.name + f"_{n}" * (n > 1)) not in recipe.roles)
        return (*(() if param.required else ("",)), *found, free)

    def _build(self, method: Method, offered: tuple[tuple[str, tuple[str, ...]], ...]) -> None:
        """Make the fields anew."""
        self._fill_methods(method)
        self._optional = [p for p in method.arrays if not p.required]
        body = QWidget()
        layout, more = form(), form()
        self.wires, self._offered, self.editors = {}, {}, {}
        for param in method.arrays:
            choices = list(dict(offered)[param.name])
            few = not param.required or len(choices) <= _FEW  # it seldom reads anything else
            self._add_wire(more if few else layout, method, param, choices)
        options = OptionRows(layout, more)
        for param in method.settings:
            if param.name in OF_THE_IMAGE:
                continue
            editor = self.editors[param.name] = Editor(method, param)
            editor.changed.connect(lambda name=param.name: self._setting_changed(name))
            if param.option:
                options.add(editor)
            else:
                add_row(more if param.seldom else layout, editor)
        self._folded = [*options.folded, *(e for e in self.editors.values() if e.param.seldom and not e.param.option)]
        hidden = QWidget()
        hidden.setLayout(more)
        more.setContentsMargins(0, 2, 0, 0)
        self.more = Fold("More", hidden, "Settings that are needed less often.")
        self.more.setVisible(more.rowCount() > 0)
        layout.addRow(self.more)
        body.setLayout(layout)
        self._rows = layout, more
        self._layout.replaceWidget(self._body, body)
        self._body.setParent(None)
        self._body.deleteLater()
        self._body = body
        show_sentence(self.summary, method.summary)

    def _fill_methods(self, method: Method) -> None:
        """Offer the methods that could stand here: those that cut what this one cuts."""
        assert self._recipe is not None
        role = method.source.role
        there = insertable(self._recipe, self._number)
        offered = [m for m in there if m.source.role == role and (needs_nothing_more(m) or m.name == method.name)]
        self._methods = offered if method in offered else [method, *offered]
        self.method_box.blockSignals(True)
        self.method_box.clear()
        for at, one in enumerate(self._methods):
            self.method_box.addItem(one.name.replace("_", " "))
            self.method_box.setItemData(at, one.summary, Qt.ItemDataRole.ToolTipRole)
        self.method_box.setCurrentIndex(self._methods.index(method))
        self.method_box.blockSignals(False)

    def _add_wire(self, layout: QFormLayout, method: Method, param: Param, offered: list[str]) -> None:
        box = QComboBox()
        box.setMinimumContentsLength(8)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        box.addItems([self._said(name) for name in offered[:-1]] + [_NEW])
        explain(box, caption(param.name), method.describe(param.name))
        label = QLabel(caption(param.name))
        label.setBuddy(box)
        label.setToolTip(method.describe(param.name))
        self.wires[param.name], self._offered[param.name] = box, offered
        box.currentIndexChanged.connect(lambda _, name=param.name: self._wire_changed(name))
        layout.addRow(label, box)

    def _said(self, name: str) -> str:
        """Return what an array reads, in words."""
        if not (made := output_number(name)):
            return name or _NONE
        assert self._recipe is not None
        return f"step {made}, {self._recipe.steps[made - 1].method.replace('_', ' ')}"

    def _fill(self, step: Step) -> None:
        """Show what a step says, without a word to anybody."""
        for name, box in self.wires.items():
            box.blockSignals(True)
            box.setCurrentIndex(self._offered[name].index(step.inputs.get(name, "")))
            box.blockSignals(False)
        for name, editor in self.editors.items():
            value = step.complete_settings[name]
            if editor.value != value:
                editor.blockSignals(True)
                editor.set_value(value)
                editor.blockSignals(False)
        self._show_folds(step)

    def _show_folds(self, step: Step) -> None:
        layout, more = self._rows
        settings = step.complete_settings
        for name, editor in self.editors.items():
            if not editor.param.option:
                rows = more if editor.param.seldom else layout
                rows.setRowVisible(editor, applies(name, settings) or not editor.is_right)
        changed = [e for e in self._folded if not e.param.required and e.value != e.param.default]
        words = [f"{e.caption} {value_text(e.value)}" for e in changed]
        wired = [
            f"{caption(p.name)} {self._said(step.inputs[p.name])}" for p in self._optional if p.name in step.inputs
        ]
        self.more.set_text(" · ".join(["More", *wired, *words]))

    # Changing

    def _setting_changed(self, name: str) -> None:
        step, editor = self._step, self.editors[name]
        if step is not None and editor.is_right:  # else its field is red
            self._emit(lambda: replace(step, settings={**step.settings, name: editor.value}), name)

    def _wire_changed(self, array: str) -> None:
        if (step := self._step) is None:
            return
        name = self._offered[array][self.wires[array].currentIndex()]
        others = {other: source for other, source in step.inputs.items() if other != array}
        self._emit(lambda: replace(step, inputs={**others, array: name} if name else others), array)

    def _method_changed(self) -> None:
        method = self._methods[self.method_box.currentIndex()]
        self._emit(lambda: new_step(method, self._step), "method")

    def _emit(self, make: Callable[[], Step], what: str) -> None:
        try:
            step = make()
        except (TypeError, ValueError) as error:  # a setting does not go with the others
            self.refused.emit(str(error))
            return
        self._step = step
        self.changed.emit(step, what)

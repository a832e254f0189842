"""The part of the widget *Recipe* that shows a recipe and changes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QCheckBox, QFileDialog, QHBoxLayout, QLabel, QPushButton

from .. import catalog
from .._method import Method
from .._recipe_edits import Draft
from ..recipe import Recipe, Step
from ._access import explain, order_tabs
from ._dock import Dock, form, group, problem_line, sentence_line, show_sentence
from ._layer_box import LayerBox
from ._recipe_batch import BatchRows
from ._recipe_files import saved, taken
from ._recipe_form import StepForm, new_step
from ._recipe_inputs import InputRows
from ._recipe_job import Loaded, Setup, from_file, from_layer, noticed, problems
from ._recipe_list import StepList
from ._recipe_past import Past
from ._recipe_place import PlaceRows
from ._recipe_request import painted_of

__all__ = ["RecipeEditor"]

Layer = Any
"""A napari layer."""

_NOTHING = "Run a method first, or open a recipe: its steps stand here then."


class RecipeEditor(Dock):
    """Shows the steps of a recipe and changes them; what runs is left to the widget.

    Parameters
    ----------
    napari_viewer : napari viewer
        Where layers come from and results go.

    Attributes
    ----------
    past
        The recipe as it is, and what it was before.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, "Run")
        self.past = Past()
        self._lines: dict[str, QLabel] = {name: problem_line() for name in ("recipe", "batch", "memory")}
        self._build_recipe()
        self._build_step()
        self._build_layers()
        self.content.addStretch(1)

    def setup(self) -> Setup | None:
        """Return what is to run; None if there is no recipe."""
        raise NotImplementedError

    def image_problem(self, layer: Layer) -> str:
        """Say why the recipe cannot run on an image; empty if it can."""
        raise NotImplementedError

    def add_layer(self, name: str) -> None:
        """Add an empty Labels layer for an input, ready to paint."""
        raise NotImplementedError

    # Building

    def _build_recipe(self) -> None:
        from napari.layers import Labels

        self.recipe_box = LayerBox(self.viewer.layers, Labels, optional=False)
        explain(self.recipe_box, "steps of", "Labels that were made here: the steps that made them are shown.")
        self.recipe_box.activated.connect(lambda _: self._take(self.recipe_box.layer))
        self.open_button, self.save_button = QPushButton("Open…"), QPushButton("Save…")
        self.open_button.setToolTip("Open a recipe from its file")
        self.save_button.setToolTip("Save the recipe; strokes and masks are saved beside it")
        self.open_button.clicked.connect(lambda _: self._ask_and_open())
        self.save_button.clicked.connect(lambda _: self._ask_and_save())
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self.open_button)
        buttons.addWidget(self.save_button)
        self.notice = sentence_line()
        self.steps = StepList()
        self.steps.chosen.connect(lambda _: self._show_step())
        self.steps.switched.connect(lambda number, on: self._edit(lambda d: d.switched(number, on), number))
        self.steps.inserted.connect(self.insert)
        self.steps.pressed.connect(lambda what: getattr(self, what)())
        layout = form()
        layout.addRow("steps of", self.recipe_box)
        for row in (buttons, self.notice, self.steps, self._lines["recipe"]):
            layout.addRow(row)
        self.content.addWidget(group("Recipe", layout))

    def _build_step(self) -> None:
        self.form = StepForm()
        self.form.changed.connect(self._replace)
        self.form.refused.connect(lambda sentence: show_sentence(self._lines["recipe"], sentence))
        layout = form()
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addRow(self.form)
        self.step_group = group("Step", layout)
        self.content.addWidget(self.step_group)

    def _build_layers(self) -> None:
        self.inputs = InputRows(self.viewer.layers)
        self.inputs.changed.connect(self.refresh)
        self.inputs.add_pressed.connect(self.add_layer)
        self.place = PlaceRows(self.viewer)
        self.place.chosen.connect(lambda selection: self._edit(lambda d: d.aimed(selection), self.steps.number))
        self.place.changed.connect(self.refresh)
        self.whole_box = QCheckBox("all of the image, not its region")
        self.whole_box.setToolTip("The recipe was made on a region; on other images it may lie elsewhere.")
        self.whole_box.toggled.connect(lambda _: self.refresh())
        self.batch = BatchRows(self.viewer.layers, self.image_problem)
        self.batch.changed.connect(self.refresh)
        layout = form()
        for row in (self.inputs, self.place, self.whole_box, self.batch, self._lines["batch"]):
            layout.addRow(row)
        self.layers_group = group("Layers", layout)
        self.content.addWidget(self.layers_group)

    # The recipe

    @property
    def draft(self) -> Draft | None:
        """The recipe as it is edited."""
        return None if self.past.now is None else self.past.now[0]

    @property
    def loaded(self) -> Loaded | None:
        """What it was loaded from."""
        return None if self.past.now is None else self.past.now[1]

    @property
    def method(self) -> Method:
        """The method of the last step, which names files."""
        steps = () if self.draft is None else self.draft.running.steps
        return catalog.find(steps[-1].method if steps else "threshold")

    def open_file(self, path: str | Path) -> None:
        """Show the recipe of a file, or say why there is none."""
        try:
            loaded = from_file(str(path))
        except (OSError, ValueError) as error:
            self.bar.say(str(error), problem=True)
            return
        self._load(loaded)
        self.bar.say(f"opened {Path(path).name}")

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Save the steps that are on, and beside them what is painted for them.

        Parameters
        ----------
        path : path
            Where to write.
        overwrite : bool
            Replace what is there.
        """
        if self.draft is None:
            return
        recipe, painted = self._to_save()
        left_out = f"; {len(self.draft.off)} that are off are left out" if self.draft.off else ""
        try:
            self.bar.say(saved(recipe, path, painted, overwrite=overwrite) + left_out)
        except (OSError, ValueError) as error:
            self.bar.say(str(error), problem=True)

    def _to_save(self) -> tuple[Recipe, dict[str, Any]]:
        """Return the recipe as it runs on its layers if it does, and what is painted for it."""
        setup = self.setup()
        assert setup is not None
        if problems(setup).keys() - {"memory"}:
            return setup.recipe, {name: a for name, a in setup.kept.items() if name in setup.recipe.inputs}
        return setup.fitted(), painted_of(setup)

    def _ask_and_open(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open recipe", "", "*.json")
        if path:
            self.open_file(path)

    def _ask_and_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save recipe", f"{self.method.name}.json", "*.json")
        if path and (name := taken(Path(path), self._to_save()[1])):
            self.bar.say(f"{name} is there already, and would be replaced; choose another name", problem=True)
        elif path:
            self.save(path, overwrite=True)

    def _load(self, loaded: Loaded) -> None:
        self.past.begin(Draft(loaded.recipe), loaded)
        self.inputs.begin_anew()
        self._show_recipe(len(loaded.recipe.steps))
        show_sentence(self.notice, loaded.said)

    def _take_first(self) -> None:
        """Choose labels that say how they were made, the active ones first, unless there are steps already."""
        if self.closed or self.draft is not None:
            return
        made = [layer for layer in self.recipe_box.offered if from_layer(layer) is not None]
        if made:
            active = self.viewer.layers.selection.active
            self.use("recipe", active if active in made else made[-1])
        else:
            show_sentence(self.notice, _NOTHING)
            self._show_recipe(0)

    def _take(self, layer: Layer | None) -> None:
        """Show the recipe of a layer, or that it has none."""
        loaded = None if layer is None else from_layer(layer)
        if loaded is not None:
            self._load(noticed(loaded, layer))
        elif layer is not None:
            why = "; the steps before stay" if self.draft is not None else f". {_NOTHING}"
            show_sentence(self.notice, f"'{layer.name}' does not say how it was made{why}")

    def use(self, name: str, layer: Layer) -> None:
        """Choose a layer in the field of that name."""
        if name == "recipe":
            self.recipe_box.choose(layer)
            self._take(layer)
        else:
            super().use(name, layer)

    # Editing

    def _edit(self, change: Callable[[Draft], Draft], number: int, key: str = "") -> None:
        """Change the recipe and choose a step, or say why it cannot be."""
        if self.past.now is None:
            return
        draft, loaded = self.past.now
        try:
            changed = change(draft)
        except ValueError as error:
            show_sentence(self._lines["recipe"], str(error))
            self._show_recipe(self.steps.number or 1, calm=False)
            return
        if changed != draft:
            self.past.push(changed, loaded, key)
        self._show_recipe(number)

    def insert(self, name: str, settings: Mapping[str, Any] | None = None) -> None:
        """Insert a step of a method after the one that is chosen, with some settings."""
        number = self.steps.number + 1
        self._edit(lambda draft: draft.inserted(number, new_step(catalog.find(name), **(settings or {}))), number)

    def duplicate(self) -> None:
        """Put the step that is chosen there a second time."""
        number = self.steps.number
        self._edit(lambda draft: draft.inserted(number + 1, draft.recipe.steps[number - 1]), number + 1)

    def remove(self) -> None:
        """Remove the step that is chosen."""
        number = self.steps.number
        self._edit(lambda draft: draft.removed(number), max(number - 1, 1))

    def up(self) -> None:
        """Move the step that is chosen up."""
        number = self.steps.number
        self._edit(lambda draft: draft.moved(number, number - 1), number - 1)

    def down(self) -> None:
        """Move the step that is chosen down."""
        number = self.steps.number
        self._edit(lambda draft: draft.moved(number, number + 1), number + 1)

    def undo(self) -> None:
        """Take the last change of the recipe back."""
        self._go(self.past.undo)

    def redo(self) -> None:
        """Make the change that was taken back."""
        self._go(self.past.redo)

    def _go(self, step: Callable[[], None]) -> None:
        """Show the recipe of another time."""
        before = self.draft
        step()
        if before is not None and self.draft is not None:
            self.place.follow(before.running, self.draft.running)
        self._show_recipe(self.steps.number)

    def set(self, number: int, **settings: Any) -> None:
        """Change settings of a step."""
        if self.draft is not None:
            step = self.draft.recipe.steps[number - 1]
            changed = Step(step.method, {**step.settings, **settings}, step.inputs)
            self._edit(lambda draft: draft.replaced(number, changed), number)

    def _replace(self, step: Step, what: str) -> None:
        number = self.steps.number
        self._edit(lambda draft: draft.replaced(number, step), number, f"{number} {what}")

    def _show_recipe(self, number: int, *, calm: bool = True) -> None:
        """Show the recipe as it is now."""
        if calm:
            show_sentence(self._lines["recipe"], "")
        self.steps.show_draft(self.draft, number, can_undo=self.past.can_undo, can_redo=self.past.can_redo)
        self._show_step()

    def _show_step(self) -> None:
        number = self.steps.number if self.draft is not None else 0
        self.form.show_step(self.draft, number)
        self.step_group.setVisible(number > 0)
        self.step_group.setTitle(f"Step {number}")
        if self.draft is not None:
            self.steps.show_draft(self.draft, number, can_undo=self.past.can_undo, can_redo=self.past.can_redo)
        order_tabs(self)
        self.refresh()

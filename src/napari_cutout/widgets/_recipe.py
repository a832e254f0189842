"""The widget *Recipe*: the steps that made some labels, to change, to run again, and to run on other images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QComboBox, QLabel, QPushButton, QWidget

from .._device import Asked
from .._recipe_edits import needed, up_to
from ..running._step_cache import StepCache
from . import _layers
from ._access import explain
from ._dock import show_sentence
from ._layer_box import LayerBox
from ._preferences import preferences
from ._preview import Preview
from ._preview_job import PreviewAnswer
from ._recipe_batch import TABLE, FolderDone, Several, run_several
from ._recipe_editing import RecipeEditor
from ._recipe_job import Loaded, Setup, estimate, problems
from ._recipe_request import preview_of, request_of
from ._result_bar import ResultBar
from ._results import Finished, Results
from ._target import recalled, spatial
from ._text_window import TextWindow

__all__ = ["RecipeWidget"]

Layer = Any
"""A napari layer."""

_SHOWN = 2
"""Images that failed and are named in the line below the button."""


class RecipeWidget(RecipeEditor):
    """Shows the steps of a recipe, and runs it when some were changed.

    Parameters
    ----------
    napari_viewer : napari viewer
        Where layers come from and results go.

    Attributes
    ----------
    known
        What steps gave, for runs that differ in what comes after them.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.results = Results(self.viewer)
        self.known = StepCache()
        self.out_of_sight = False
        self._newest: tuple[Layer | None, Layer | None] = (None, None)
        self._failed: tuple[tuple[str, str], ...] = ()
        self._numbers: dict[int, str] = {}
        self._all_boxes: list[LayerBox] = [self.recipe_box]
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._take_first)
        self.preview = Preview(self.viewer, self, delay=preferences().preview_delay_ms)
        self._build_bar()
        self.listen(self._all_boxes)
        self._take_first()

    def _build_bar(self) -> None:
        self.device_box = QComboBox()
        self.device_box.addItems(get_args(Asked))
        self.device_box.setCurrentText(preferences().device)
        self.device_box.currentIndexChanged.connect(lambda _: self.refresh())
        explain(self.device_box, "device", "Where to run; auto takes the GPU where there is one and it gains time.")
        self.preview_box = QCheckBox("&preview")
        self.preview_box.setToolTip("Show what the run would give for what is in view, while settings change.")
        self.preview_box.toggled.connect(self._switch_preview)
        self.bar.beside.insertWidget(0, self.preview_box)
        self.bar.beside.insertWidget(1, self.device_box)
        self.bar.layout().insertWidget(1, self._lines["memory"])
        self.failures_button = QPushButton("What failed…")
        self.failures_button.setToolTip("The images that failed, and why, to copy")
        self.failures_button.clicked.connect(lambda _: self._show_failures())
        self.failures_button.setVisible(False)
        self.layout().addWidget(self.failures_button)
        self.result_bar = ResultBar(self)
        self.result_bar.save_button.setVisible(False)  # what is above saves the steps as they are now
        self.layout().addWidget(self.result_bar)
        self.preview.view_changed.connect(self.refresh)
        self.preview.answered.connect(self._show_answer)
        self.preview.failed.connect(lambda sentence: self.bar.say_aside(f"no preview: {sentence}"))
        self.preview.waiting.connect(self.bar.say_aside)
        self.preview.gone.connect(lambda: self.bar.say_aside(""))
        self.preview.switched_off.connect(lambda: self.preview_box.setChecked(False))
        self.preview_box.setChecked(preferences().preview_on_opening)

    # What the form says

    @property
    def source(self) -> Layer | None:
        """The layer that is cut; None if there is none."""
        setup = self.setup()
        return None if setup is None else setup.source

    def setup(self) -> Setup | None:
        """Return what is to run; None if there is no recipe."""
        if self.past.now is None:
            return None
        draft, loaded = self.past.now
        recipe = draft.running
        region = recipe.selection is not None and bool(recipe.selection.box)
        setup = Setup(
            recipe,
            {name: self.inputs.chosen.get(name) for name in recipe.inputs},
            loaded.kept,
            region and self.whole_box.isChecked(),
            get_args(Asked)[self.device_box.currentIndex()],
            self.free_memory(),
            preferences().result_name,
            loaded.sources,
        )
        return setup.with_channels({layer.name: layer for layer in self.batch.images.offered})

    def image_problem(self, layer: Layer) -> str:
        """Say why the recipe cannot run on an image; empty if it can."""
        setup = self.setup()
        if setup is None:
            return "there is no recipe yet"
        if setup.recipe.roles[setup.recipe.source] != "image":
            return "the recipe begins with labels, and these hold grey levels"
        return next(iter(problems(setup.on(layer)).values()), "")

    def fields(self) -> Mapping[str, QWidget]:
        """Return the fields that can turn red."""
        settings = {name: editor.field for name, editor in self.form.editors.items()}
        return {**self.place.fields(), **settings, **self.inputs.boxes, "device": self.device_box}

    def lines(self) -> Mapping[str, QLabel]:
        """Return the lines for what is wrong."""
        lines = {**self._lines, **self.place.lines, **self.inputs.lines}
        return {name: line for name, line in lines.items() if name != "recipe"}

    def list_changed(self) -> None:
        """Show the recipe of labels that were made since, if none is shown; offer the images that there are."""
        if self.draft is None:
            self._soon.start()  # what was painted for a layer is known once it is there
        else:
            self.refresh()

    # Reacting

    def _load(self, loaded: Loaded) -> None:
        """Show other steps, whose first run gives a layer of its own."""
        self.results.forget()
        super()._load(loaded)

    def refresh(self) -> None:
        """Check what is to run, mark what is wrong, and show what follows from it."""
        if self.closed or not hasattr(self, "result_bar"):
            return
        setup = self._show_inputs()
        for widget in (self.step_group, self.layers_group, self.save_button):
            widget.setVisible(setup is not None)
        found = {} if setup is None else self._problems(setup)
        self.mark(found, found)
        if "recipe" in found:  # it goes with the steps, and away when they are shown anew
            show_sentence(self._lines["recipe"], found["recipe"])
        self.bar.calm()
        self.bar.set_ready(setup is not None and not found)
        self._show_plan(setup, found)
        self._ask_preview(setup if not found.keys() - {"batch"} else None)

    def _show_inputs(self) -> Setup | None:
        """Show the layers that the recipe reads, and return what is to run."""
        if self.past.now is None:
            self.place.show_for(None)
            return None
        draft, loaded = self.past.now
        recipe = draft.running
        if self.inputs.show_for(recipe, loaded.kept, loaded.sources):
            self.boxes = {"recipe": self.recipe_box, **self.inputs.boxes}
            self._all_boxes[:] = self.boxes.values()
        self.watch(list(self.inputs.chosen.values()))
        self.whole_box.setVisible(recipe.selection is not None and bool(recipe.selection.box))
        self.batch.show_inputs([name for name in recipe.inputs if name != recipe.source])
        self.batch.images.blockSignals(True)
        self.batch.images.refresh()
        self.batch.images.blockSignals(False)
        setup = self.setup()
        self.place.show_for(setup)
        self._show_world(setup)
        return setup

    def _show_world(self, setup: Setup | None) -> None:
        """Show how large settings are in the world, as the layer says."""
        layer = None if setup is None else setup.source
        if layer is not None:
            axes = spatial(recalled(layer).letters)
            self.form.show_world(_layers.spacing(layer, axes), _layers.length_unit(layer, axes))

    def _problems(self, setup: Setup) -> dict[str, str]:
        """Say what is wrong with where it shall run."""
        if self.batch.mode == "layers":
            found = problems(setup)
            misfit = setup.source is not None and setup.recipe.source in found
            self.place.offer_fit(self.draft if misfit else None)
            return {**found, **(self.place.problems() if misfit else {})}
        self.place.offer_fit(None)
        sentence = self.batch.problem()
        return {"batch": sentence} if sentence else {}

    def _show_plan(self, setup: Setup | None, found: Mapping[str, str]) -> None:
        """Say where a run would be, and how much memory it would take."""
        if setup is None or self.batch.mode != "layers" or found.keys() - {"memory"}:
            self.bar.show_plan("")
            return
        self.bar.show_need(setup.device, estimate(setup), setup.free)

    # Preview

    def _switch_preview(self, on: bool) -> None:
        self.preview.set_on(on)
        self.bar.calm()
        self.refresh()

    def _ask_preview(self, setup: Setup | None) -> None:
        if not self.preview.is_on:
            return
        if setup is None or self.out_of_sight or problems(setup):
            self.preview.clear()
            return
        try:
            job, layers, aim = preview_of(setup, self.viewer)
        except ValueError as error:
            self.preview.clear()
            self.bar.say_aside(f"no preview: {error}")
            return
        source, result = self._newest
        self.preview.ask(job, layers, aim.place, aim.spread, instead_of=result if source is setup.source else None)

    def _show_answer(self, answer: PreviewAnswer) -> None:
        approximate = answer.approximate and f"approximate: {answer.approximate}"
        self.bar.say_aside(" · ".join(word for word in ("preview", answer.count, approximate) if word))

    # Running

    def start(self) -> None:
        """Read the layers and start the run, or show what is wrong."""
        self.refresh()
        if (setup := self.setup()) is None or not self.bar.ready:
            return
        self._forget_failures()
        try:
            if self.batch.mode == "folder":
                folder = self.batch.folder(whole=setup.whole)
                self.bar.start(folder.work(setup.recipe, setup.device), keeps=True)
            elif self.batch.mode == "images":
                self.bar.start(run_several(self._works(setup)), keeps=True)
            else:
                self._run(setup, {number: number for number in range(1, len(setup.recipe.steps) + 1)})
        except ValueError as error:
            self.bar.say(str(error), problem=True)

    def _works(self, setup: Setup) -> list[tuple[str, Any]]:
        """Return what is to be done for every image that is ticked."""
        works = []
        for layer in self.batch.images.ticked:
            one = setup.on(layer)
            read = {**one.layers, "recipe": None}
            works.append((layer.name, self.results.work(request_of(one), read, layer, update=self.result_bar.updates)))
        return works

    def _run(self, setup: Setup, numbers: Mapping[int, int], name: str = "recipe") -> None:
        """Run on the layers of the inputs; `numbers` says which step of those that are on each is."""
        self.known.begin(max(0, (setup.free - estimate(setup)) // 2))
        request = request_of(setup, self.known, name=name)
        assert self.draft is not None
        on = {running: self.draft.number_of(one) for running, one in numbers.items()}
        self._numbers = {running: f"{n} {self.draft.recipe.steps[n - 1].method}" for running, n in on.items()}
        self.bar.start(self.results.work(request, setup.layers, setup.source, update=self.result_bar.updates))

    def show(self) -> None:
        """Show what the step that is chosen gives, as a layer of its own."""
        setup, number = self.setup(), self.steps.number
        if setup is None or self.bar.running or self.draft is None or number in self.draft.off:
            return
        running = self.draft.running_number(number)
        upto, kept = up_to(setup.recipe, running), needed(setup.recipe, running)
        one = replace(setup, recipe=upto, layers={n: setup.layers.get(n) for n in upto.inputs})
        if found := problems(one):
            self.bar.say(next(iter(found.values())), problem=True)
            return
        try:
            method = upto.steps[-1].method.replace("_", " ")
            self._run(one, dict(enumerate(kept, start=1)), f"step {number} {method}")
        except ValueError as error:
            self.bar.say(str(error), problem=True)

    def show_result(self, result: Any) -> None:
        """Show what came of a run."""
        self.preview.clear()
        if isinstance(result, FolderDone):
            self._show_folder(result)
        elif isinstance(result, Several):
            self._show_several(result)
        elif (layer := self._put(result)) is not None:
            reused = ", ".join(self._numbers[n] for n in sorted(self.known.reused) if n in self._numbers)
            self.bar.say(result.outcome.summary + (f" · as before: {reused}" if reused else ""))
            self.result_bar.show_for(layer, result.outcome)

    def _put(self, finished: Finished) -> Layer | None:
        if (layer := self.results.put(finished)) is None:
            self.bar.say("the result was edited meanwhile, so it is not updated; press Run for a layer of its own")
        self._newest = finished.source, layer
        return layer

    def _show_several(self, result: Several) -> None:
        layers = [self._put(one) for one in result.finished]
        cut = [layer for layer in layers if layer is not None]
        if cut:
            self.result_bar.show_for(cut[-1], result.finished[-1].outcome)
        words = f"cut {len(cut)} image{'s' * (len(cut) != 1)}" + ("; cancelled before the others" * result.cancelled)
        self._say_failed(words, result.failed)

    def _show_folder(self, done: FolderDone) -> None:
        table = f", objects in {TABLE}" if done.folder.table else ""
        words = f"cut {done.n - len(done.failed)} of {done.n} images into {done.folder.target}{table}"
        self._say_failed(words, done.failed)

    def _say_failed(self, words: str, failed: tuple[tuple[str, str], ...]) -> None:
        """Say what was cut, and the first of those that failed."""
        self._failed = failed
        self.failures_button.setVisible(bool(failed))
        named = "; ".join(f"{name}: {why}" for name, why in failed[:_SHOWN])
        more = f"; and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
        self.bar.say(f"{words} · {len(failed)} failed: {named}{more}" if failed else words, doubt=bool(failed))

    def _forget_failures(self) -> None:
        self._failed = ()
        self.failures_button.setVisible(False)

    def _show_failures(self) -> None:
        TextWindow("What failed", "\n".join(f"{name}: {why}" for name, why in self._failed), self).show()

    def add_layer(self, name: str) -> None:
        """Add an empty Labels layer that fits on the image, ready to paint, and choose it."""
        setup = self.setup()
        if setup is None or setup.source is None:
            return
        try:
            aim = setup.aim
        except ValueError:
            return  # the form shows what is wrong
        layer = self.viewer.add_labels(np.zeros(aim.shape, np.uint8), name=name, **aim.place)
        layer.mode, layer.brush_size = "paint", 10
        self.inputs.boxes[name].choose(layer)

    # Coming and going

    def let_go(self) -> None:
        """Stop what runs, take the preview away and forget the viewer."""
        super().let_go()
        self.preview.let_go()
        self.known.begin(0)

    def hideEvent(self, event: Any) -> None:
        """Take the preview away while the widget is not seen."""
        self.out_of_sight = True
        if self.preview.is_on and not self.closed:
            self.preview.clear()
        super().hideEvent(event)

    def showEvent(self, event: Any) -> None:
        """Show the preview again."""
        self.out_of_sight = False
        super().showEvent(event)
        if self.preview.is_on and not self.closed:
            self.refresh()

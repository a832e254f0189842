"""The part of the form of the U-Net that trains a model on annotations, and shows live how well it learns."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QLabel, QPushButton, QVBoxLayout, QWidget

from ._access import explain
from ._class_names import class_names
from ._dock import form as empty_form
from ._dock import problem_line, show_sentence
from ._extent import extent_of
from ._fold import Fold
from ._histogram_levels import Change
from ._layer_box import LayerBox, LayerField, LayerListener
from ._missing_torch import missing_torch
from ._model_box import models_folder
from ._model_files import asked_of, free_place, left_behind, models_in, seconds_of
from ._newest import Newest
from ._preview_layer import PreviewLayer
from ._request import Form
from ._target import spatial
from ._training_job import Example, TrainingJob, example_of, work_of
from ._training_layers import IGNORED, PairOfLayers, Unpainted, plan_of, read
from ._training_pairs import PairList
from ._training_plot import TrainingPlot
from ._training_settings import TrainingSettings
from ._worker import RunBar, mark

__all__ = ["TrainingRow"]

PLANNED_AFTER = 400
"""Milliseconds without a stroke or a change after which it is counted again what is annotated."""

MOST_PLANNED = 2**26
"""Voxels of an annotation above which it is not counted before Train is pressed."""

_EXPLAINED = "Learn from annotations what no threshold tells apart; the model joins the list above."


class _ExampleLayer(PreviewLayer):
    """The labels that the network gives an example, on top of its image; it is never saved, and goes away."""

    def _made(self, labels: Any, **options: Any) -> Any:
        return Labels(labels, name="training example", opacity=0.5, **options)


class TrainingRow(QWidget):  # type: ignore[misc]
    """Trains a model.

    Parameters
    ----------
    frame : MethodFrame
        The form that it belongs to.

    Attributes
    ----------
    changed
        Emitted with a `Change` once there is a new model, which the form should choose.
    changing
        Never emitted.
    planned
        Emitted when it is known what a training would be, or why there can be none.
    bar
        Starts, shows and cancels the training.
    """

    changed = Signal(object)
    changing = Signal(object)
    planned = Signal()
    _stepped = Signal(object, int)
    _reported = Signal(object)

    def __init__(self, frame: Any) -> None:
        super().__init__()
        self._frame, self._viewer = frame, frame.viewer
        self._form: Form | None = None
        self._closing = threading.Event()
        self._plans = Newest()
        self._asked: Any = None
        self._example: Example | None = None
        self._names = class_names(self._viewer)
        self._classes: tuple[int, ...] = ()
        self.shown = _ExampleLayer(self._viewer.layers)
        self.destroyed.connect(self._plans.stop)
        self.destroyed.connect(lambda _=None, closing=self._closing: closing.set())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.missing = missing_torch()
        self.fold = Fold("Train a model", self._build(), _EXPLAINED)
        layout.addWidget(self.missing)
        layout.addWidget(self.fold)
        self._connect()
        there = find_spec("torch") is not None
        self.missing.setVisible(not there)
        self.fold.setVisible(there)
        self.fold.show_content(there and not models_in(models_folder()))

    # Building

    def _build(self) -> QWidget:
        inner = QWidget()
        self.box = LayerBox(self._viewer.layers, Labels, optional=False)
        explain(self.box, "annotation", "Labels painted on the image: one label for each class, or for each object.")
        self.field = LayerField(self.box, can_add=True)
        self.problem = problem_line()
        self.pairs, self.settings = PairList(), TrainingSettings()
        self.example_box = QCheckBox("show an &example while it learns")
        self.example_box.setChecked(True)
        self.example_box.setToolTip("A temporary layer with what the network says now of what is in view.")
        self.keep_button = QPushButton("Keep the example")
        self.keep_button.setToolTip("Add the example as a layer of its own.")
        self.keep_button.setVisible(False)
        self.bar = RunBar("Train")
        self.bar.plan.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.continue_button = QPushButton()
        self.plot = TrainingPlot(self._viewer, self._name_of)
        form = empty_form()
        form.setContentsMargins(0, 0, 0, 0)
        label = QLabel("annotation")
        label.setBuddy(self.box)
        form.addRow(label, self.field)
        form.addRow(self.problem)
        layout = QVBoxLayout(inner)
        layout.setContentsMargins(6, 0, 6, 0)
        layout.addLayout(form)
        layout.setSpacing(2)
        for widget in (self.pairs, self.settings):
            layout.addWidget(widget)
        self.settings.more_rows.addRow(self.example_box)
        held = QWidget()
        QVBoxLayout(held).addWidget(self.bar.plan)
        held.layout().setContentsMargins(0, 0, 0, 0)
        self.plan_fold = Fold("", held, "What is learned, by which network, and how much memory it takes.")
        layout.addWidget(self.plan_fold)
        for widget in (self.bar, self.keep_button, self.continue_button, self.plot):
            layout.addWidget(widget)
        return inner

    def _connect(self) -> None:
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(PLANNED_AFTER)
        self._soon.timeout.connect(self._plan)
        listener = LayerListener(self._viewer.layers, self._list_changed, self._look)
        self._listener: LayerListener | None = listener
        self.destroyed.connect(lambda _=None, held=listener: held.close())
        self.box.changed.connect(self._look)
        self.field.add_pressed.connect(self._add_annotation)
        self.pairs.add_pressed.connect(self._add_pair)
        for signal in (self.pairs.changed, self.settings.changed):
            signal.connect(self._look)
        self.fold.button.clicked.connect(lambda _=False: self._look())
        self.example_box.toggled.connect(lambda on: None if on else self._hide_example())
        self.keep_button.clicked.connect(lambda _=False: self._keep_example())
        self.continue_button.clicked.connect(lambda _=False: self.go_on())
        self.destroyed.connect(self.bar.slot.quit)
        self.bar.requested.connect(self.start)
        self.bar.returned.connect(self._finished)
        self.bar.ended.connect(self._look)
        self._stepped.connect(self.plot.add_steps)
        self._reported.connect(self._show_report)

    # What the form says

    def refresh(self, form: Form | None, facts: Mapping[str, Any]) -> None:
        """Take note of what the form says now."""
        self._form = form
        self._look()

    @property
    def pair(self) -> PairOfLayers | None:
        """The image of the form, and the annotation that is chosen; None if one is missing."""
        if self._form is None or self._form.source is None or self.box.layer is None:
            return None
        return PairOfLayers(self._form, self.box.layer)

    @property
    def all_pairs(self) -> list[PairOfLayers]:
        """What will be trained on."""
        return self.pairs.with_this(self.pair)

    def let_go(self) -> None:
        """Stop what runs, so that its checkpoint stays, and forget the viewer."""
        self._closing.set()
        self._plans.stop()
        self._soon.stop()
        self.bar.cancel()
        self.plot.let_go()
        self._hide_example()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _list_changed(self) -> None:
        self.box.refresh()
        self.pairs.keep_those_in(self._viewer.layers)
        if self.shown.layer is not None and self.shown.layer not in self._viewer.layers:  # somebody took it away
            self.example_box.setChecked(False)
        self._look()

    def _look(self) -> None:
        """Show what follows from what is chosen, and count anew what is annotated when nothing changes any more."""
        if self._closing.is_set() or not self.fold.is_open:
            return
        pair = self.pair
        volume = pair is not None and len(spatial(pair.form.choice.letters)) == 3
        planes = pair is not None and pair.form.choice.depth != "together"
        self.settings.show_for(None if pair is None else pair.annotation, volume=volume, planes=planes)
        if self._listener is not None:
            self._listener.watch([] if pair is None else [pair.annotation])
        self.pairs.add_button.setEnabled(pair is not None)
        self._offer_continuing()
        self._complain("")
        self.bar.calm()
        if pair is None and not self.pairs.pairs:
            self.bar.set_ready(False)
            self._say_plan(self._what_is_missing())
            return
        self.bar.set_ready(True)
        self._soon.start()

    def _what_is_missing(self) -> str:
        if self._form is None or self._form.source is None:
            return "choose an image to train on"
        return "press + and paint a few strokes of two labels or more, such as 1 for background and 2 for membranes"

    def _plan(self) -> None:
        """Count what is annotated, in a thread, and say what a training would be."""
        if self._closing.is_set() or self.bar.running:
            return
        pairs, settings, unpainted = self.all_pairs, self.settings.value, self.settings.unpainted
        try:
            large = max(int(np.prod(pair.target.shape, dtype=np.int64)) for pair in pairs) > MOST_PLANNED
        except (ValueError, TypeError) as error:
            self._refuse(error)
            return
        if large:
            self._say_plan("the annotation is large: its classes are counted when the training starts")
            self.planned.emit()
            return
        try:
            work = plan_of(pairs, unpainted, settings)
        except (ValueError, TypeError) as error:
            self._refuse(error)
            return
        self._plans.ask(lambda: work, self._show_plan, self._refuse)

    def _show_plan(self, plan: Any) -> None:
        if self._closing.is_set():
            return
        self._classes = tuple(plan.classes)
        self._say_plan("\n".join(plan.lines()), folded="What it will learn")
        self.bar.set_ready(True)
        self.planned.emit()

    def _refuse(self, error: Exception) -> None:
        """Say in red why there can be no training of what is chosen."""
        if self._closing.is_set():
            return
        self._say_plan("")
        self.bar.set_ready(False)
        self._complain(str(error))
        self.planned.emit()

    def _say_plan(self, words: str, *, folded: str = "") -> None:
        """Say what a training would be: folded away where it is many lines, and in view where something is missing."""
        self.bar.show_plan(words)
        was_folded = not self.plan_fold.button.isHidden()
        self.plan_fold.button.setVisible(bool(folded))
        self.plan_fold.setVisible(bool(words))
        self.plan_fold.show_content(self.plan_fold.is_open if folded and was_folded else not folded)
        self.plan_fold.set_text(folded)

    def _complain(self, sentence: str) -> None:
        show_sentence(self.problem, sentence)
        mark(self.box, bool(sentence))

    # Layers

    def _add_annotation(self) -> None:
        """Add an empty Labels layer that fits on the image, ready to paint, and choose it."""
        form = self._form
        if form is None or form.source is None:
            return
        try:
            aim = form.target
        except ValueError:
            return  # the form shows what has to be said first
        layer = self._viewer.add_labels(np.zeros(aim.shape, np.uint8), name="annotation", **aim.place)
        layer.mode, layer.brush_size = "paint", 10
        self.box.choose(layer)

    def _add_pair(self) -> None:
        """Keep the pair that is chosen, or say why it cannot be trained on."""
        if (pair := self.pair) is None:
            return
        try:
            _ = pair.target
        except (ValueError, TypeError) as error:
            self._refuse(error)
            return
        self.pairs.add(pair)

    # Training

    def start(self) -> None:
        """Read the layers and start to train, or show what is wrong."""
        pairs = self.all_pairs
        wanted = pairs[-1].image.name if pairs else ""
        self._train(free_place(models_folder(), wanted), self.settings.value, self.settings.unpainted)

    def go_on(self) -> None:
        """Go on with the training that was interrupted last, with its own settings, on what is chosen now."""
        places = left_behind(models_folder())
        if not self.bar.running and places:
            asked = asked_of(places[0])
            ignored, unpainted = asked.pop("ignore", None), self.settings.unpainted
            if asked:
                unpainted = next((word for word, value in IGNORED.items() if value == ignored), unpainted)
            spent = seconds_of(places[0]) / 60  # the time in the form is from now on
            self._train(places[0], asked or self.settings.value, unpainted, spent=spent, resume=True)

    def _train(
        self,
        place: Path,
        settings: Mapping[str, Any],
        unpainted: Unpainted,
        *,
        spent: float = 0.0,
        resume: bool = False,
    ) -> None:
        pairs = self.all_pairs
        if not pairs or self._form is None:
            return
        try:
            found = read(pairs, unpainted)
            self._example = self._example_now(pairs[-1], flat=settings["dimensions"] == 2)
        except (ValueError, TypeError) as error:
            self._refuse(error)
            return
        self._plans.drop()
        self._soon.stop()
        self._complain("")
        self.plot.begin()
        minutes = self.settings.minutes + spent
        job = TrainingJob(found, settings, minutes, self._form.device, place, resume, self._example)
        self.bar.start(work_of(job, self._stepped, self._reported, self._closing), keeps=True)

    def _example_now(self, pair: PairOfLayers, *, flat: bool) -> Example | None:
        """Return what of an image is in view, if an example is wanted."""
        form = self._form
        if not self.example_box.isChecked() or form is None or form.extent is None or pair.image is not form.source:
            return None
        now = extent_of(self._viewer, pair.image, form.choice.letters, "whole")  # the slider has moved since
        return example_of(pair, now.point, flat=flat)

    def _finished(self, place: Path) -> None:
        """Let the form choose the model."""
        if self._closing.is_set():
            return
        curves = self.plot.curves
        _, best = curves.best_point
        dice = f", Dice {best[0]:.3f} on what was held out" if best else ""
        self.bar.say(f"'{place.name}' is trained{dice}; press Run to use it")
        self.changed.emit(Change("unet_predict", {"model": str(place)}, ()))

    def _offer_continuing(self) -> None:
        """Offer to go on with a training that was interrupted, which is not the one that runs."""
        places = [] if self.bar.running else left_behind(models_folder())
        self.continue_button.setVisible(bool(places))
        if places:
            self.continue_button.setText(f"Continue '{places[0].name}'")
            self.continue_button.setToolTip(
                "Go on with this training, which was interrupted, from its last checkpoint; the images and annotations "
                "must be those of then."
            )
            self.continue_button.setEnabled(self.pair is not None or bool(self.pairs.pairs))

    # While it learns

    def _show_report(self, report: Any) -> None:
        if self._closing.is_set():
            return
        self.plot.add_report(report)
        if problem := getattr(report, "problem", ""):
            self.bar.say(problem, problem=True)
        example = self._example
        if report.example is None or example is None or not self.example_box.isChecked():
            return
        if example.source in self._viewer.layers:
            self.shown.show(example.as_layer(np.array(report.example)), example.place, example.source)
            self.keep_button.setVisible(True)

    def _hide_example(self) -> None:
        self.shown.clear()
        self.keep_button.setVisible(False)

    def _keep_example(self) -> None:
        """Add the example as a layer of the user's."""
        if (layer := self.shown.layer) is not None and self._example is not None:
            active = self._viewer.layers.selection.active
            self._viewer.add_labels(np.array(layer.data), name="training example", **self._example.place)
            self._viewer.layers.selection.active = active

    def _name_of(self, at: int) -> str:
        """Return what a class is called: as users named its label, else by its label."""
        if at >= len(self._classes):
            return f"class {at}"
        return self._names.name_of(self._classes[at]) or f"label {self._classes[at]}"

"""The widget *Evaluate*: one Labels layer scored against another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QLabel, QWidget

from ..evaluation._annotation import Unpainted
from ..evaluation._error_kinds import ERROR_KINDS, OBJECT_KINDS
from ..evaluation._matching import Match
from . import _history, _layers
from ._boundaries import BoundaryQuestion
from ._class_names import class_names
from ._dock import Dock, form, group, problem_line
from ._edited import edited
from ._error_layer import show_errors
from ._evaluate_tabs import FADED, EvaluateTabs, button, legend
from ._fold import Fold
from ._histogram_plot import preload
from ._layer_box import LayerBox
from ._layers import ours
from ._objects import Side
from ._place_button import PlaceButton
from ._question import ObjectErrors, Question, Score
from ._score_layers import is_numbered, painted, problems, zone_of
from ._scores import Asked, headline, standing
from ._slices import axis_names
from ._witness import Witness
from ._worker import Work

__all__ = ["EvaluateWidget"]

_MATCHES = {"auto": "auto", "binary": "binary", "value": "by value", "overlap": "by best overlap"}
"""What the box calls the rules of `evaluate`."""

_MATCH_TOOLTIP = (
    "How predicted labels are matched to the classes of truth.\n"
    "auto: by value where the labels of both sides agree, so that they name classes; by best overlap where predicted "
    "is a map of classes without a background, or truth holds strokes whose labels do not agree; binary everywhere "
    "else, as where labels number objects. The scores say which rule it was, and why.\n"
    "binary: any label but 0 is an object.\n"
    "by value: equal labels are the same class.\n"
    "by best overlap: each predicted label counts as the class it shares most voxels with, which favours predicted."
)

_UNPAINTED_TOOLTIP = (
    "What label 0 of the truth means: background, if everything was annotated; not annotated, if it holds strokes. "
    "Voxels that are not annotated leave every count."
)

_NOTICE = "border-left: 3px solid #e69f00; padding-left: 5px"
"""Style of the line that says why they are not."""

_TOOLTIPS = {
    "predicted": "The labels that are scored.",
    "truth": "The labels that are right.",
    "complete": "Shapes, or labels that are not 0, inside which every object is annotated. It is needed where what is "
    "unpainted is not annotated: without it nobody can tell which objects are in excess.",
}

Progress = Callable[[str, float], None]


@dataclass(slots=True)
class _Run:
    """What is known of an evaluation before it is finished.

    Parameters
    ----------
    asked : Asked
        What the form said.
    number : int
        Its number in the history.
    layers : tuple of napari layer
        Predicted and truth.
    place : dict
        Where the errors lie.
    witness : Witness
        Watches the layers since they were read.
    """

    asked: Asked
    number: int
    layers: tuple[Any, Any]
    place: dict[str, Any]
    witness: Witness


class EvaluateWidget(Dock):
    """Scores labels against an annotation, per class, object and slice, and shows where they are wrong.

    Parameters
    ----------
    napari_viewer : napari viewer
        Where layers come from and the error layer goes.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, "Evaluate")
        self.history = _history.history(napari_viewer)
        self.names = class_names(napari_viewer)
        self._receive: Callable[[Any], None] = self._show_score
        self._fresh: _history.Past | None = None  # what this widget scored last; nothing else can be current
        self._run: _Run | None = None
        self._done: _Run | None = None
        self._truth: Any = None
        self._build_layers()
        self._build_result()
        self.listen(list(self.boxes.values()))
        self.names.changed.connect(self.tabs.rename)
        self._guess_layers()
        self.tabs.show_history()
        self.refresh()

    @property
    def shown(self) -> _history.Past | None:
        """The evaluation that is shown."""
        return self.tabs.shown

    @property
    def score(self) -> Score | None:
        """The scores that are shown."""
        return None if self.shown is None else self.shown.score

    # Building

    def _build_layers(self) -> None:
        from napari.layers import Labels, Shapes

        self.boxes = {name: LayerBox(self.viewer.layers, Labels, optional=False) for name in ("predicted", "truth")}
        self.boxes["complete"] = LayerBox(self.viewer.layers, (Labels, Shapes), optional=True)
        self.unpainted_box, self.match_box = QComboBox(), QComboBox()
        self.unpainted_box.addItems(get_args(Unpainted))
        self.unpainted_box.setToolTip(_UNPAINTED_TOOLTIP)
        self.match_box.addItems([_MATCHES[rule] for rule in get_args(Match)])
        self.match_box.setToolTip(_MATCH_TOOLTIP)
        for box in (self.unpainted_box, self.match_box):
            box.currentIndexChanged.connect(self._show_standing)
            box.setMinimumContentsLength(8)
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._painted = QLabel()
        self._lines = {name: problem_line() for name in self.boxes}
        for name, box in self.boxes.items():
            box.setToolTip(_TOOLTIPS[name])
        self.introduce()
        layout = form()
        for name in ("predicted", "truth"):
            layout.addRow(name, self.boxes[name])
            layout.addRow(self._lines[name])
        self.place_button = PlaceButton("truth", "predicted")
        layout.addRow(self.place_button)
        layout.addRow("unpainted", self.unpainted_box)
        layout.addRow("", self._painted)
        inner, folded = QWidget(), form()
        inner.setLayout(folded)
        folded.addRow("complete inside", self.boxes["complete"])
        folded.addRow(self._lines["complete"])
        folded.addRow("match", self.match_box)
        self.rules = Fold("", inner, "Where every object is annotated, and how labels are matched to the truth.")
        layout.addRow(self.rules)
        self.content.addWidget(group("Layers", layout))

    def _build_result(self) -> None:
        self.headline, self.notice = QLabel(), QLabel()
        for line in (self.notice, self.headline):
            line.setWordWrap(True)
            line.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            self.content.addWidget(line)
        self.notice.setStyleSheet(_NOTICE)
        self.notice.setVisible(False)
        self.tabs = tabs = EvaluateTabs(self.viewer, self.history, self.names)
        tabs.said.connect(lambda sentence, problem: self.bar.say(sentence, problem=problem))
        tabs.past_chosen.connect(self._choose_past)
        tabs.cleared.connect(self.clear_history)
        tabs.boundaries.asked.connect(self.measure_boundaries)
        tabs.object_errors_button.clicked.connect(self.add_object_errors)
        self.bar.ended.connect(self._show_standing)
        self.content.addWidget(tabs, 1)
        self.error_button = button("Add error layer", self.add_error_layer)
        self.error_button.setToolTip("Show where labels were found, in excess, missed or of the wrong class.")
        self.content.addWidget(self.error_button)
        self.content.addWidget(legend(ERROR_KINDS))

    def _guess_layers(self) -> None:
        """Choose the newest of our results as predicted, and the topmost other layer as truth."""
        labels: list[Any] = self.boxes["truth"].offered
        known = [layer for layer in labels if "napari_cutout" in layer.metadata]  # layers of errors among them
        ours = [layer for layer in known if "recipe" in layer.metadata["napari_cutout"]]
        others = [layer for layer in labels if layer not in known]
        if ours:
            self.boxes["predicted"].choose(ours[-1])
        if others or len(ours) > 1:  # a result against another one, as long as there is no annotation
            self.boxes["truth"].choose(others[-1] if others else ours[-2])
        if len(others) > 1 and not ours:
            self.boxes["predicted"].choose(others[-2])

    # Reacting to the form

    def refresh(self) -> None:
        """Check the choice, and guess anew what unpainted means where the truth is another layer."""
        predicted, truth, complete = (box.layer for box in self.boxes.values())
        self.watch([predicted, truth, complete])
        found = {problem.field: problem.sentence for problem in problems(predicted, truth, complete)}
        self.mark(found, found)
        self.place_button.show_for(truth, predicted)
        self.bar.calm()
        if truth is not self._truth:
            self._truth = truth
            self._guess_unpainted()
        self.bar.set_ready(not found)
        self._show_standing()

    def _show_rules(self) -> None:
        """Say in the line of their fold where every object is annotated, and how labels are matched."""
        complete = self.boxes["complete"].layer
        inside = "everywhere" if complete is None else f"inside '{complete.name}'"
        self.rules.set_text(f"match {self.match_box.currentText()} · complete {inside}")

    def fields(self) -> Mapping[str, QWidget]:
        """Return the boxes of the layers."""
        return self.boxes

    def lines(self) -> Mapping[str, QLabel]:
        """Return the line under each box."""
        return self._lines

    def let_go(self) -> None:
        """Stop what runs, and forget the viewer and its layers."""
        super().let_go()
        for run in (self._run, self._done):
            if run is not None:
                run.witness.close()
        self.tabs.let_go()

    def _guess_unpainted(self) -> None:
        found = None if self._truth is None else painted(self._truth)
        if found is not None:
            self.unpainted_box.setCurrentText(found.guess)
        large = "not looked at: large" if self._truth is not None else ""
        self._painted.setText(large if found is None else str(found))

    @property
    def unpainted(self) -> Unpainted:
        """What label 0 of the truth means."""
        return get_args(Unpainted)[self.unpainted_box.currentIndex()]  # type: ignore[no-any-return]

    @property
    def asked(self) -> Asked | None:
        """What the form says; None if a layer is missing."""
        predicted, truth = self.boxes["predicted"].layer, self.boxes["truth"].layer
        if predicted is None or truth is None:
            return None
        match: Match = get_args(Match)[self.match_box.currentIndex()]
        asked = Asked(predicted.name, truth.name, self.unpainted, match, (id(predicted), id(truth)))
        if (complete := self.boxes["complete"].layer) is None:
            return asked
        return replace(asked, complete=complete.name, complete_layer=id(complete))

    # Running

    def start(self) -> None:
        """Read the layers and start to count, or show what is wrong."""
        self.refresh()
        predicted, truth, complete = (box.layer for box in self.boxes.values())
        asked = self.asked
        if predicted is None or truth is None or asked is None or problems(predicted, truth, complete):
            return
        if self._run is not None:
            self._run.witness.close()
        watched = [layer for layer in (predicted, truth, complete) if layer is not None]
        witness = Witness(self.viewer.layers, watched, self._show_standing)
        number = self.history.take_number()
        self._run = _Run(asked, number, (predicted, truth), _layers.placement(predicted), witness)
        question = Question(
            _layers.copy_of(predicted),
            _layers.copy_of(truth),
            asked.unpainted,
            asked.match,
            is_numbered(predicted),
            None if complete is None else zone_of(complete, predicted),
            f"{number}: {predicted.name}",
            [entry.score.agreement for entry in self.history.entries],
        )
        self._work(partial(_answer, question, dict(ours(predicted))), self._show_score)

    def _work(self, work: Work, receive: Callable[[Any], None]) -> None:
        """Start work, and say who gets what it returns."""
        self._receive = receive
        self.bar.start(work)
        self._show_standing()

    def show_result(self, result: Any) -> None:
        """Hand what the work returned to whoever asked for it."""
        self._receive(result)

    def _show_score(self, answer: tuple[Score, bool]) -> None:
        """Show the scores, and keep them in the history."""
        result, by_hand = answer
        if self._run is None:
            return
        if self._done is not None:
            self._done.witness.close()
        self._done, self._run = self._run, None
        predicted = self._done.layers[0]
        method, settings = _history.made_by(predicted.metadata, edited=by_hand)
        axes = tuple(axis_names(predicted))
        asked, number = self._done.asked, self._done.number
        self._fresh = _history.Past(datetime.now(), asked, method, settings, axes, result, number)
        self.history.add(self._fresh)
        self.tabs.show_history()
        self._show(self._fresh)
        self.tabs.past.select([len(self.history.entries) - 1])

    def _show(self, past: _history.Past) -> None:
        self.headline.setText(headline(past.asked, past.score.evaluation, past.score.objects))
        self.tabs.show_past(past, self._layers_of(past))
        self._show_standing()

    def _layers_of(self, past: _history.Past | None) -> dict[Side, Any]:
        """Return the layers of predicted and truth, each None if it is no longer there."""
        there = {id(layer): layer for layer in self.viewer.layers}
        known = (0, 0) if past is None else past.asked.layers
        return {"predicted": there.get(known[0]), "truth": there.get(known[1])}

    def _show_standing(self, _: int = 0) -> None:
        """Say whether the scores are those of the layers and settings as they are now."""
        self._show_rules()
        sentence = self._standing()
        current = self.shown is not None and not sentence
        self.notice.setText(sentence)
        self.notice.setVisible(bool(sentence))
        self.headline.setStyleSheet(FADED if sentence else "")
        self.tabs.set_current(not sentence, self._layers_of(self.shown))
        self.error_button.setEnabled(current and self.score is not None and self.score.errors is not None)
        free = current and not self.bar.running
        self.tabs.object_errors_button.setEnabled(free)
        self.tabs.boundaries.button.setEnabled(free and not self.tabs.boundaries.problem())

    def _standing(self) -> str:
        if self.shown is None:
            return ""
        if self.shown is not self._fresh or self._done is None:
            return f"An earlier evaluation, of {self.shown.time:%H:%M:%S}."
        witness = self._done.witness
        return standing(self.shown.asked, self.asked, changed=witness.changed, gone=witness.gone)

    # Boundaries and errors, of layers that are still as they were when they were scored

    def measure_boundaries(self) -> None:
        """Measure how far the surfaces of the layers that were scored are apart, and show it."""
        past, done, page = self._fresh, self._done, self.tabs.boundaries
        if past is None or done is None or self._standing() or self.bar.running:
            return
        predicted, truth = (_layers.copy_of(layer) for layer in done.layers)
        spacing, ignore = _layers.spacing(done.layers[0]), past.score.evaluation.ignore
        threshold = self.tabs.objects.threshold
        question = BoundaryQuestion(
            predicted, truth, spacing, page.tolerance, page.by, ignore, past.asked.match, threshold
        )
        self._work(question.answer, partial(self._show_boundaries, past))

    def _show_boundaries(self, past: _history.Past, found: Any) -> None:
        self.tabs.show_boundaries(past, found)
        self._show_standing()

    def add_error_layer(self) -> None:
        """Show where labels were found, in excess, missed or of the wrong class, in fixed colours."""
        if self._fresh is not None and self._done is not None and self._fresh.score.errors is not None:
            name = f"{self._fresh.asked.predicted} errors"
            show_errors(self.viewer, self._fresh.score.errors, name, self._done.place)

    def add_object_errors(self) -> None:
        """Show every object as found, split, merged, missed, invented, inexact or unjudged, in fixed colours."""
        past, done = self._fresh, self._done
        if past is None or done is None or past.score.objects is None or self._standing() or self.bar.running:
            return
        predicted, truth = (_layers.copy_of(layer) for layer in done.layers)
        question = ObjectErrors(predicted, truth, past.score.objects.found, self.tabs.objects.threshold)
        name = f"{past.asked.predicted} object errors"
        show = partial(show_errors, self.viewer, name=name, place=done.place, kinds=tuple(OBJECT_KINDS.values()))
        self._work(question.answer, show)

    # History and files

    def _choose_past(self, at: int) -> None:
        self._show(self.history.entries[at])

    def clear_history(self) -> None:
        """Forget all evaluations but the one that is shown."""
        self.history.clear()
        self.tabs.show_history()
        self._show_standing()

    def export(self, kind: Literal["csv", "json"], path: str | Path, *, overwrite: bool = False) -> None:
        """Write the scores to a file, and say so.

        Parameters
        ----------
        kind : {"csv", "json"}
            What to write.
        path : path
            Where to write.
        overwrite : bool
            Replace what is there.
        """
        self.tabs.export(kind, path, overwrite=overwrite)


def _answer(
    question: Question, known: Mapping[str, Any], on_progress: Progress, is_cancelled: Callable[[], bool]
) -> tuple[Score, bool]:
    """Answer in a thread of its own, and tell whether labels were edited; what draws plots is imported there, too."""
    preload()
    return question.answer(on_progress, is_cancelled), edited(known, question.predicted)

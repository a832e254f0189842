"""One widget for every row of the catalog: choose a method, its layers and settings, see it at once, run it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, get_args

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from .. import catalog
from .._device import Asked, gpu_known, gpu_status
from .._method import OF_THE_IMAGE, Method, Param
from ..recipe import Recipe
from . import _layers
from ._access import align, explain, order_tabs
from ._channels import channel_problem
from ._contents import token_of
from ._dock import Dock, form, group, problem_line, sentence_line, show_sentence
from ._editors import Editor, applies, caption, value_text
from ._extent import extent_of
from ._extras import Extra, make_extra
from ._file_size import size_in_file
from ._fold import Fold
from ._found import because, is_doubtful, levels_found, tried, warnings_of
from ._image_list import ImageList
from ._large import Large, LargeFinished
from ._layer_box import LayerBox, LayerField
from ._option_rows import ALWAYS_IN_VIEW, OptionRows, add_row
from ._preferences import preferences
from ._preview import Preview
from ._preview_job import PreviewAnswer, PreviewJob
from ._region_row import RegionRow
from ._request import (
    Form,
    Outcome,
    Problem,
    Request,
    estimate,
    gives_objects,
    named_fields,
    preview_inputs,
    problems,
    remarks,
    resolve,
)
from ._result_bar import ResultBar
from ._results import Finished, Results
from ._run_undo import Run, run_history
from ._target import Choice, Target, spatial
from ._target_rows import TargetRows
from ._view import kept_in_view, view_of
from ._voxel_size import VoxelSizeFields
from ._warm_up import WarmUp, sample_for

__all__ = ["MethodFrame"]

Layer = Any
"""A napari layer."""

_WITHOUT = {"regions": "none: superpixels"}
"""What stands for no layer where the method makes then what it would have held."""

_MASK = "mask"
"""An array that few give: it is folded away with where to run and how large voxels are."""

_WHERE = "Where to run, how large voxels are, and a mask."

_GROWS = 100
"""How much more of the room that is left over goes to what is read better when it is high than stays empty."""

_FROM_THE_LAYER = OF_THE_IMAGE
"""Shared options that the image layer answers, or the fields below it."""

_PREVIEW = "Show what the run would give for what is in view, while settings change."
_TOO_SLOW = "There is no preview: the method takes too long to run after every change."

_SETTLED = 200
"""Milliseconds without a move after which the view is looked at again; by then the canvas was drawn."""


class MethodFrame(Dock):
    """The widget of one row: all its methods, with all their settings.

    Parameters
    ----------
    napari_viewer : napari viewer
        Where layers come from and results go.

    Attributes
    ----------
    row
        The row of the catalog; set by the classes that are made from this one.
    out_of_sight
        Whether the widget is hidden, as behind another tab.
    ran
        Emitted with its `Request` and the layer of its labels after a run.
    """

    row: ClassVar[str] = ""
    ran = Signal(object, object)
    _probed = Signal()

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, "Run")
        self.methods: list[Method] = catalog.rows()[self.row]
        self.fields_of: dict[str, LayerField] = {}
        self.editors: dict[str, Editor] = {}
        self.results = Results(self.viewer)
        self.warm_up = WarmUp()
        self.destroyed.connect(self.warm_up.stop)
        self.facts: Mapping[str, Any] = {}
        self._facts_of: Any = None
        self._asked: Any = None
        self.out_of_sight = False
        self._told: Any = None
        self._newest: tuple[Layer | None, Layer | None] = (None, None)
        self._read: tuple[Form | None, tuple[Problem, ...]] = (None, ())
        self._lines: dict[str, QLabel] = {}
        self._remarks: dict[str, QLabel] = {}
        self._rows: dict[str, tuple[QWidget, ...]] = {}
        self._settings, self._seldom = form(), form()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self.show_extras)
        self.preview = Preview(self.viewer, self, delay=preferences().preview_delay_ms)
        self._build_methods()
        self._build_inputs()
        self._build_own_settings()
        self.extras: dict[str, Extra] = {}
        self._build_extras()
        self._build_shared()
        self.content.addStretch(1)
        self._build_bar()
        self._connect_preview()
        self._follow_view()
        self.listen(list(self.boxes.values()))
        self._choose_method()
        self._probe()

    # What the form says

    @property
    def method(self) -> Method:
        """The chosen method."""
        at: int = self.method_box.currentIndex()
        return self.methods[at]

    @property
    def layers(self) -> dict[str, Layer | None]:
        """The chosen layer of every array that the method takes."""
        return {param.name: self.boxes[param.name].layer for param in self.method.arrays}

    @property
    def settings(self) -> dict[str, Any]:
        """The value of every setting that the form shows for the method."""
        return {p.name: self.editors[p.name].value for p in self.method.settings if p.name in self.editors}

    @property
    def source(self) -> Layer | None:
        """The layer that is cut."""
        return self.layers[self.method.source.name]

    def says(self) -> Form:
        """Return all that the form says.

        Raises
        ------
        ValueError
            If nothing of the layer is in view, or a Shapes layer holds no area.
        """
        source = self.source
        choice = self.target_rows.choice if source is not None else Choice()
        extent = None
        if source is not None and len(choice.letters) >= source.ndim:
            extent = extent_of(self.viewer, source, choice.letters, self.target_rows.region)
        device: Asked = get_args(Asked)[self.device_box.currentIndex()]
        says = Form(
            self.method,
            self.layers,
            self.settings,
            choice,
            extent,
            device,
            self.voxel_size.value,
            self.free_memory(),
            preferences().result_name,
            tuple(self.channel_list.ticked) if not self.channel_list.isHidden() else (),
        )
        return self.large.decide(says)

    def choose_method(self, name: str) -> None:
        """Choose a method of the row by its name."""
        self.method_box.setCurrentIndex([m.name for m in self.methods].index(name))

    def set(self, **settings: Any) -> None:
        """Set fields by the names of their settings."""
        for name, value in settings.items():
            self.editors[name].set_value(value)

    def set_quietly(self, **settings: Any) -> None:
        """Set fields so that the next run takes them, where nothing that is shown depends on them until then."""
        for name, value in settings.items():
            self.editors[name].blockSignals(True)
            self.editors[name].set_value(value)
            self.editors[name].blockSignals(False)

    # Building

    def _build_methods(self) -> None:
        self.method_box = QComboBox()
        for at, method in enumerate(self.methods):
            self.method_box.addItem(method.name.replace("_", " "))
            self.method_box.setItemData(at, method.summary, Qt.ItemDataRole.ToolTipRole)
        self.method_box.currentIndexChanged.connect(lambda _: self._choose_method())
        self.method_box.setVisible(len(self.methods) > 1)
        self._summary = QLabel()
        self._summary.setWordWrap(True)
        layout = form()
        if len(self.methods) > 1:
            layout.addRow("&method", self.method_box)
        layout.addRow(self._summary)
        self.content.addLayout(layout)

    def _build_inputs(self) -> None:
        layout, folded = form(), form()
        first = self.methods[0].source.name
        params = {p.name: p for method in self.methods for p in method.arrays}
        for param in params.values():
            rows = folded if param.name == _MASK and not param.required else layout
            none = _WITHOUT.get(param.name, "none")
            box = LayerBox(self.viewer.layers, _kind(param), optional=not param.required, none=none)
            field = LayerField(box, can_add=param.name != first and param.name not in _WITHOUT)
            field.add_pressed.connect(lambda name=param.name: self.add_layer(name))
            label, line, remark = QLabel(caption(param.name)), problem_line(), sentence_line()
            label.setBuddy(box)
            rows.addRow(label, field)
            self.boxes[param.name], self.fields_of[param.name], self._lines[param.name] = box, field, line
            self._rows[param.name], self._remarks[param.name] = (label, field), remark
            rows.addRow(line)
            rows.addRow(remark)
            if param.name == first:
                self._build_target(layout, folded)
        self.place = _fold(folded, "", _WHERE)
        self.use_file_size = QPushButton("Use it")
        self.use_file_size.setToolTip("Give the layer the voxel size of its file, which its reader left out")
        self.use_file_size.clicked.connect(lambda _: self._use_file_size())
        layout.addRow(self.place)
        layout.addRow(self.use_file_size)
        self.content.addWidget(group("Layers", layout))

    def _build_target(self, layout: QFormLayout, folded: QFormLayout) -> None:
        self.target_rows = TargetRows(self.viewer.layers, apart=True)
        self.target_rows.changed.connect(self.refresh)
        layout.addRow(self.target_rows)
        folded.addRow(self.target_rows.where)
        for name, rows in (("axes", layout), ("time", layout), ("region", folded)):
            self._lines[name] = problem_line()
            rows.addRow(self._lines[name])
        self.channel_list = ImageList(self.viewer.layers, self._channel_problem, lambda: self.source)
        self.channel_list.changed.connect(self.refresh)
        self._with = QLabel("with")
        self._with.setBuddy(self.channel_list)
        explain(self.channel_list, "with", "Other images that are looked at together with the image, as its channels.")
        layout.addRow(self._with, self.channel_list)
        self._voxel, self.voxel_size, self._lines["spacing"] = QLabel(), VoxelSizeFields(), problem_line()
        self._voxel.setWordWrap(True)
        self.voxel_size.changed.connect(self.refresh)
        self._sized: tuple[Layer | None, int] = (None, 0)
        self.keep_size = QPushButton("Set on the layer")
        self.keep_size.setToolTip("Give the layer this scale and unit, so that results, tables and files have it, too")
        self.keep_size.clicked.connect(lambda _: self._set_voxel_size())
        for widget in (self._voxel, self.voxel_size, self.keep_size, self._lines["spacing"]):
            folded.addRow(widget)

    def _build_own_settings(self) -> None:
        outer = QVBoxLayout()
        outer.setContentsMargins(0, 0, 0, 2)
        outer.setSpacing(2)
        outer.addLayout(self._settings)
        self.seldom = _fold(self._seldom)
        self._lines["settings"] = problem_line()
        below = QVBoxLayout()
        below.setContentsMargins(6, 0, 6, 0)
        for widget in (self.seldom, self._lines["settings"]):
            below.addWidget(widget)
        outer.addLayout(below)
        self.content.addWidget(group("Cut", outer))

    def _build_shared(self) -> None:
        layout, more = form(), form()
        self.option_rows = OptionRows(layout, more)
        owners = {p.name: m for m in reversed(self.methods) for p in m.settings if p.option}
        shared = {p.name: p for m in self.methods for p in m.settings if p.option and p.name not in _FROM_THE_LAYER}
        for name in (*(n for n in ALWAYS_IN_VIEW if n in shared), *(n for n in shared if n not in ALWAYS_IN_VIEW)):
            editor = self._add_editor(owners[name], shared[name])
            self.option_rows.add(editor)
        self.more = _fold(more)
        self.more.setVisible(bool(self.option_rows.folded))
        layout.addRow(self.more)
        self._around, self._shares = group("Before and after the cut", layout), bool(shared)
        self.content.addWidget(self._around)  # also where it is empty: shown without a parent it would be a window

    def _build_extras(self) -> None:
        """Add what the methods of the row declare beyond the form."""
        for name in dict.fromkeys(name for method in self.methods for name in method.extras):
            extra = self.extras[name] = make_extra(name, self)
            extra.changed.connect(self._take_change)
            extra.changing.connect(self._try_change)
            if not getattr(extra, "after_result", False):
                self.content.addWidget(extra, _GROWS * getattr(extra, "grows", False))

    def _build_bar(self) -> None:
        self.device_box = QComboBox()
        self.device_box.addItems(get_args(Asked))
        self.device_box.setCurrentText(preferences().device)
        self.device_box.currentIndexChanged.connect(lambda _: self.refresh())
        explain(self.device_box, "device", "Where to run; auto takes the GPU where there is one and it gains time.")
        self.preview_box = QCheckBox("&preview")
        self.preview_box.toggled.connect(self._switch_preview)
        self.bar.beside.insertWidget(0, self.preview_box)
        self.bar.beside.insertWidget(1, self.device_box)
        self.large = Large(self)
        self.bar.layout().insertWidget(1, self.large.row)
        self._lines["memory"] = problem_line()
        self._lines["device"] = problem_line()
        self._lines["scheduler"] = self.large.row.problem
        for name in ("memory", "device"):
            self.bar.layout().insertWidget(1, self._lines[name])
        self.result_bar = ResultBar(self)
        self.layout().addWidget(self.result_bar)
        self.region_row = RegionRow(self.viewer, self.bar.say)
        self.layout().addWidget(self.region_row)
        for extra in self.extras.values():
            if getattr(extra, "after_result", False):
                self.layout().addWidget(extra)

    def _add_editor(self, method: Method, param: Param) -> Editor:
        editor = Editor(method, param)
        editor.changed.connect(self.refresh)
        self.editors[param.name] = editor
        return editor

    # Reacting

    def _choose_method(self) -> None:
        """Show the settings and layers of the method that is chosen now."""
        method = self.method
        self._summary.setText(method.summary)
        self.method_box.setToolTip(method.summary)
        kept = {name: e.value for name, e in self.editors.items() if not e.param.option and e.param.choices}
        for layout in (self._settings, self._seldom):
            while layout.rowCount():
                layout.removeRow(0)
        self.editors = {name: e for name, e in self.editors.items() if e.param.option}
        for param in (p for p in method.settings if not p.option and p.name not in _FROM_THE_LAYER):
            editor = self._add_editor(method, param)
            if kept.get(param.name) in param.choices:
                editor.set_value(kept[param.name])
            add_row(self._seldom if param.seldom else self._settings, editor)
        self.seldom.setVisible(self._seldom.rowCount() > 0)
        for param in method.arrays:
            explain(self.boxes[param.name], caption(param.name), method.describe(param.name))
        taken = {p.name for p in method.arrays}
        for name, widgets in self._rows.items():
            for widget in widgets:
                widget.setVisible(name in taken)
        self.preview_box.setEnabled(not method.slow)
        self.preview_box.setToolTip(_TOO_SLOW if method.slow else _PREVIEW)
        has = {p.name for p in method.settings}
        self.option_rows.show_for(has)
        for name, extra in self.extras.items():
            extra.setVisible(name in method.extras)
        order_tabs(self)
        self.refresh()

    def refresh(self) -> None:
        """Check the form, mark what is wrong, and show what follows from what it says."""
        if self.closed:
            return
        links = gives_objects(self.method, self.settings)
        method = self.method
        self.target_rows.show_for(self.source, takes_channels=method.takes_channels, links=links, frames=method.frames)
        region = self.target_rows.region
        self._show_channels()
        self.watch([*self.layers.values(), *self.channel_list.ticked, None if isinstance(region, str) else region])
        self._show_voxel_size()
        self._show_place()
        self._show_folds()
        says, found = self._read = self._checked()
        sentences = {p.field: p.sentence for p in found}
        self.mark(sentences, {*sentences, *named_fields(sentences.get("settings", ""), self.editors)})
        self.bar.calm()
        self.bar.set_ready(not sentences)
        said = remarks(says) if says is not None and not sentences else {}
        for name, line in self._remarks.items():
            show_sentence(line, said.get(name, ""))
        if self._facts_of != (now := self._question(says, found)):
            self.facts, self._facts_of = {}, now
        self._show_plan(says, found)
        self._around.setVisible(self._shares and not self._lacks_model())
        self._warm_up(says)
        self._ask_preview(says if not sentences else None)
        self._show_extras_soon()

    def _show_place(self) -> None:
        """Say in the line of its fold where a run would be, and how large voxels are."""
        image, mask = self.source, self.layers.get(_MASK)
        self.place.setVisible(image is not None)
        if image is None:
            self.use_file_size.hide()
            return
        axes, given = spatial(self.target_rows.choice.letters), self.voxel_size.value
        size = _layers.voxel_words(image, given, axes)
        known = given is not None or _layers.has_voxel_size(image, axes)
        said = None if known else size_in_file(image, len(axes))
        size += f", the file says {said}" if said is not None else ""
        self.use_file_size.setVisible(said is not None)
        inside = f"inside '{mask.name}'" if mask is not None else ""
        self.place.set_text(" · ".join(words for words in (self.target_rows.said(), inside, size) if words))

    def _lacks_model(self) -> bool:
        """Tell whether there is nothing to cut with yet, so that what comes after the cut can wait."""
        lacking = (e for e in self.editors.values() if e.param.folder is not None)
        return any(not editor.is_right or not editor.value for editor in lacking)

    def _show_folds(self) -> None:
        """Show the settings that mean something beside the others, and say what is changed of those folded away."""
        settings = self.settings
        own, lacking = [e for e in self.editors.values() if not e.param.option], self._lacks_model()
        for editor in own:
            layout = self._seldom if editor.param.seldom else self._settings
            meant = applies(editor.param.name, settings) and (editor.param.folder is not None or not lacking)
            layout.setRowVisible(editor, meant or not editor.is_right)
        for fold, held in ((self.more, self.option_rows.folded), (self.seldom, [e for e in own if e.param.seldom])):
            changed = [e for e in held if e.param.name in settings and e.value != e.param.default]
            fold.set_text("More" + "".join(f" · {e.caption} {value_text(e.value)}" for e in changed))

    def _checked(self) -> tuple[Form | None, tuple[Problem, ...]]:
        """Return what the form says and what is wrong with it."""
        try:
            says = self.says()
        except ValueError as error:
            return None, (Problem("region", str(error)),)
        return says, problems(says) + self.large.problems(says)

    def _warm_up(self, says: Form | None) -> None:
        """Compile in the background what this form will run, as soon as it says on what."""
        if says is None or says.source is None or says.method.slow:
            return
        try:
            self.warm_up.ask(sample_for(says))
        except (TypeError, ValueError):  # the form shows what has to be said first
            return

    def _question(self, says: Form | None, found: tuple[Problem, ...]) -> Any:
        """Return what is equal as long as the form asks the same of the same voxels."""
        if says is None or found:
            return None
        held = {name: token_of(layer) for name, layer in says.layers.items() if layer is not None}
        beside = [token_of(layer) for layer in says.channels]
        return says.method.name, dict(says.settings), held, beside, says.target.selection

    def _show_plan(self, says: Form | None, found: tuple[Problem, ...]) -> None:
        """Say where a run would be, and how much memory it would take."""
        if says is None or says.source is None or any(p.field != "memory" for p in found):
            self.bar.show_plan("")
            return
        if says.into_store:
            self.bar.show_plan(self.large.plan_line(says))
            return
        self.bar.show_need(says.device, estimate(says, says.target), says.free)

    def _show_channels(self) -> None:
        """Offer other images as channels of one that has none, for a method that takes them."""
        alone = self.source is not None and "c" not in self.target_rows.choice.letters
        self.channel_list.blockSignals(True)  # it is read now
        self.channel_list.refresh()
        self.channel_list.blockSignals(False)
        for widget in (self._with, self.channel_list):
            widget.setVisible(self.method.takes_channels and alone and bool(self.channel_list.offered))

    def _channel_problem(self, layer: Layer) -> str:
        return channel_problem(self.source, layer) if self.source is not None else "there is no image yet"

    def _show_voxel_size(self) -> None:
        """Say how large voxels are, ask if the layer does not know, and show lengths in the world."""
        image = self.source
        axes = spatial(self.target_rows.choice.letters)
        asked = image is not None and not _layers.has_voxel_size(image, axes)
        self._voxel.setVisible(image is not None)
        self.voxel_size.setVisible(asked)
        self.keep_size.setVisible(asked and self.voxel_size.value is not None)
        before, self._sized = self._sized, (image, len(axes))
        if image is None:
            return
        if self._sized != before:
            self.voxel_size.show_for(len(axes), _layers.length_unit(image, axes))
        given = self.voxel_size.value
        self._voxel.setText(_layers.voxel_text(image, given, axes))
        lengths, unit = _layers.spacing(image, axes), _layers.length_unit(image, axes)
        if given is not None and not _layers.has_voxel_size(image, axes):
            lengths, unit = given.lengths, given.unit
        for editor in self.editors.values():
            editor.show_world(lengths, unit)

    def _set_voxel_size(self) -> None:
        """Give the layer the size that the fields say."""
        given, layer = self.voxel_size.value, self.source
        if given is not None and layer is not None and len(given.lengths) == layer.ndim:
            with kept_in_view(self.viewer, layer):
                layer.scale, layer.units = given.lengths, (given.unit,) * layer.ndim

    def _use_file_size(self) -> None:
        """Give the layer the size that its file says, along the axes of space."""
        layer, axes = self.source, spatial(self.target_rows.choice.letters)
        said = None if layer is None else size_in_file(layer, len(axes))
        if layer is None or said is None:
            return
        scale, units = list(layer.scale), [str(unit) for unit in layer.units]
        for at, length in zip(axes, said.lengths, strict=True):
            scale[at], units[at] = length, said.unit or "pixel"
        with kept_in_view(self.viewer, layer):
            layer.scale, layer.units = scale, units

    def fields(self) -> Mapping[str, QWidget]:
        """Return the fields of the chosen method, and of the voxel size and the device."""
        arrays = {p.name: self.boxes[p.name] for p in self.method.arrays}
        settings = {name: editor.field for name, editor in self.editors.items()}
        fixed = {"spacing": self.voxel_size, "device": self.device_box, "scheduler": self.large.row.box}
        return {**self.target_rows.fields(), **arrays, **settings, **fixed}

    def lines(self) -> Mapping[str, QLabel]:
        """Return the line under each layer, under the voxel size and under the settings."""
        return self._lines

    # Running

    def start(self) -> None:
        """Read the layers and start the run, or show what is wrong."""
        if (asked := self.ask()) is None:
            return
        form, request = asked
        if form.into_store:
            self.large.start(form, request)
            return
        updates = self.result_bar.updates
        extras: list[Any] = [self.extras[name] for name in self.method.extras]
        offers = (extra.work(form, request, update=updates) for extra in extras if hasattr(extra, "work"))
        work = next((offered for offered in offers if offered is not None), None)
        self.bar.start(work or self.results.work(request, form.layers, form.source, update=updates))

    def ask(self) -> tuple[Form, Request] | None:
        """Read the layers for a run, and return what the form says and what is to run; None if something is wrong."""
        self.refresh()
        try:
            form = self.says()
            request = resolve(form)
        except (ValueError, TypeError) as error:
            if self.bar.ready:  # else the form shows why
                self.bar.say(str(error), problem=True)
            return None
        self._asked = self._facts_of = self._question(*self._read)
        return form, request

    def show_result(self, result: Finished) -> None:
        """Show the labels, as a layer of their own or in that of the run before."""
        if isinstance(result, LargeFinished):
            self._show_large(result)
            return
        outcome: Outcome = result.outcome
        self.preview.clear()
        if (layer := self.results.put(result)) is None:
            self.bar.say("the result was edited meanwhile, so it is not updated; press Run for a layer of its own")
            return
        self.bar.say(outcome.summary, doubt=is_doubtful(outcome.facts), why=_why(outcome))
        self._told = self._asked
        if self._asked == self._question(*self._checked()):
            self.facts, self._facts_of = outcome.facts, self._asked
        self._newest = result.source, layer
        self.result_bar.show_for(layer, outcome)
        self.ran.emit(result.request, layer)
        self.show_extras()

    def _show_large(self, finished: LargeFinished) -> None:
        """Show labels that went into a store."""
        self.preview.clear()
        layer, outcome = self.large.show(finished)
        self.bar.say(outcome.summary, doubt=is_doubtful(outcome.facts), why=_why(outcome))
        if layer is not None:
            title = f"{self.row} on {self.source.name}" if self.source is not None else self.row
            run_history(self.viewer).note(Run(title, layer, None, None, self.source))
            self._newest = self.source, layer
            self.result_bar.show_for(layer, outcome)
            self.region_row.show_for(layer)
            self.ran.emit(finished.run.request, layer)

    def add_layer(self, name: str) -> None:
        """Add an empty Labels layer that fits on the image, ready to paint, and choose it."""
        says, _ = self._checked()
        if says is None or says.source is None:
            return
        try:
            aim: Target = says.target
        except ValueError:
            return  # the form shows what has to be said first
        import numpy as np

        layer = self.viewer.add_labels(np.zeros(aim.shape, np.uint8), name=name, **aim.place)
        layer.mode, layer.brush_size = "paint", 10
        self.boxes[name].choose(layer)

    def use(self, name: str, layer: Layer) -> None:
        """Choose a layer in the field of that name, and a method that has this field."""
        if name not in self.layers:
            self.choose_method(next(m.name for m in self.methods if name in {p.name for p in m.arrays}))
        super().use(name, layer)

    def list_changed(self) -> None:
        """Offer the Shapes layers that there are now as regions, and the images as channels."""
        if not self.target_rows.offers_all() or not self.channel_list.offers_all():
            self.refresh()

    # The view

    def _follow_view(self) -> None:
        """Look again whether the layer is in view after the view has moved, where that is what is wrong."""
        self._moved = QTimer(self)
        self._moved.setSingleShot(True)
        self._moved.setInterval(_SETTLED)
        self._moved.timeout.connect(self.refresh)
        for event in self._view_events():
            event.connect(self._view_moved)

    def _view_events(self) -> tuple[Any, ...]:
        dims, camera = self.viewer.dims.events, self.viewer.camera.events
        return dims.current_step, dims.ndisplay, dims.order, camera.center, camera.zoom

    def _view_moved(self, event: Any = None) -> None:
        if not self.closed and self._lines["region"].text():
            self._moved.start()

    # Preview

    def _connect_preview(self) -> None:
        self.preview.view_changed.connect(self.refresh)
        self.preview.answered.connect(self._show_answer)
        self.preview.failed.connect(lambda sentence: self.bar.say_aside(f"no preview: {sentence}"))
        self.preview.waiting.connect(self.bar.say_aside)
        self.preview.gone.connect(lambda: self.bar.say_aside(""))
        self.preview.switched_off.connect(lambda: self.preview_box.setChecked(False))
        self.preview_box.setChecked(preferences().preview_on_opening)

    def _switch_preview(self, on: bool) -> None:
        self.preview.set_on(on)
        self.bar.calm()
        self.refresh()

    def _ask_preview(self, says: Form | None) -> None:
        if not self.preview.is_on:
            return
        if says is None or self.out_of_sight or says.method.slow:
            self.preview.clear()
            return
        job, layers, aim = self.preview_job(says)
        source, result = self._newest
        replaced = result if source is says.source else None
        self.preview.ask(job, layers, aim.place, aim.spread, instead_of=replaced)

    def preview_job(self, says: Form) -> tuple[PreviewJob, dict[str, Layer], Target]:
        """Return what a preview of this form computes, of which layers, and what the run would work on."""
        aim = says.target
        inputs, layers = preview_inputs(says, aim)
        step = says.step(aim, inputs)
        view = view_of(self.viewer, says.source)
        return PreviewJob(Recipe((step,), aim.selection), inputs, view), layers, aim

    def _show_answer(self, answer: PreviewAnswer) -> None:
        if self._facts_of == self._question(*self._read):
            self.facts = answer.facts
        self._show_extras_soon()
        if self._told == self._facts_of:  # what the run has said holds, and says more
            self.bar.say_aside("")
            return
        approximate = answer.approximate and f"approximate: {answer.approximate}"
        found = (levels_found(answer.facts), answer.count, tried(answer.facts), *warnings_of(answer.facts))
        words = ("preview", *found, approximate)
        self.bar.say_aside(" · ".join(word for word in words if word))

    # Extras

    def _show_extras_soon(self) -> None:
        """Show the extras at once, or while previews follow a slider, when the window has drawn the preview."""
        if self.preview.is_on:
            self._soon.start()
        else:
            self.show_extras()

    def show_extras(self) -> None:
        """Let the extras show what follows from the form as it was last read."""
        if self.closed:
            return
        says, found = self._read
        for editor in self.editors.values():
            editor.show_found(self.facts)
        for name, extra in self.extras.items():
            if name in self.method.extras:
                extra.refresh(says if not any(p.field != "settings" for p in found) else None, self.facts)

    def _take_change(self, change: Any) -> None:
        """Let the form say what was dragged."""
        if change.method != self.method.name:
            self.choose_method(change.method)
        self.set(**change.settings)

    def _try_change(self, change: Any) -> None:
        """Preview what is being dragged, without touching the form."""
        if not self.preview.is_on:
            return
        method = catalog.find(change.method)
        known = {p.name for p in method.settings}
        settings = {name: value for name, value in self.settings.items() if name in known} | dict(change.settings)
        says = replace(self.says(), method=method, settings=settings)
        if not problems(says):
            self._ask_preview(says)

    # The machine

    def _probe(self) -> None:
        """Find out in the background whether there is a GPU, which may take a second the first time."""
        if gpu_known():
            return
        self._probed.connect(self.refresh)
        done = self._probed

        def probe() -> None:
            gpu_status()
            try:
                done.emit()
            except RuntimeError:  # the widget was closed meanwhile
                return

        threading.Thread(target=probe, daemon=True).start()

    def let_go(self) -> None:
        """Stop what runs, take the preview away and forget the viewer."""
        if not self.closed:
            for event in self._view_events():
                event.disconnect(self._view_moved)
            self.region_row.let_go()
        super().let_go()
        self.preview.let_go()
        self.warm_up.stop()
        for extra in self.extras.values():
            extra.let_go()

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
        align([*(label for label, _ in self._rows.values()), *self.target_rows.labels])
        if self.preview.is_on and not self.closed:
            self.refresh()


def _why(outcome: Outcome) -> str:
    """Return why a run was where it was, where that is known."""
    provenance = outcome.options.get("metadata", {}).get("napari_cutout", {}).get("provenance", {})
    return because(provenance) if "reason" in provenance.get("device", {}) else ""


def _kind(param: Param) -> tuple[type, ...]:
    """Return which layers an array may come from."""
    from napari.layers import Image, Labels, Points

    role = param.role.name if param.role is not None else ""
    return {"image": (Image,), "markers": (Labels, Points)}.get(role, (Labels,))


def _fold(layout: QFormLayout, text: str = "More", why: str = "Settings that are needed less often.") -> Fold:
    """Return a form that is folded away."""
    hidden = QWidget()
    hidden.setLayout(layout)
    layout.setContentsMargins(0, 2, 0, 0)
    return Fold(text, hidden, why)

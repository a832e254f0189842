"""One widget for every row of the catalog: choose a method, its layers and settings, run it, get a Labels layer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, get_args

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QFrame,
    QGroupBox,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from .. import catalog
from .._device import Asked
from .._method import Method, Param
from . import _layers
from ._editors import Editor, caption
from ._layer_box import LayerBox, LayerListener
from ._request import Outcome, named_fields, problems, resolve
from ._voxel_size import VoxelSizeFields
from ._worker import ALERT, RunBar, mark

__all__ = ["Dock", "MethodFrame", "form", "group"]

Layer = Any
"""A napari layer."""

_ALWAYS_IN_VIEW = ("sigma", "one_per_object", "fill_holes", "min_size", "clear_border")
"""Shared options that nobody should have to look for; the others stand under *More*."""

_MIN_WIDTH = 330
"""Width below which sentences break into too many lines, in pixels."""

_MIN_HEIGHT = 150
"""Height that a form keeps when napari stacks several, in pixels."""

_FROM_THE_LAYER = ("spacing",)
"""Shared options that the image layer answers, or the fields below it."""


def form() -> QFormLayout:
    """Return an empty form whose fields take the width that there is."""
    layout = QFormLayout()
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    layout.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
    layout.setContentsMargins(6, 4, 6, 4)
    layout.setVerticalSpacing(4)
    return layout


def group(title: str, layout: Any) -> QGroupBox:
    """Return a titled box around a layout."""
    box = QGroupBox(title)
    box.setLayout(layout)
    return box


def problem_line() -> QLabel:
    """Return a hidden line for a sentence on what is wrong."""
    line = QLabel()
    line.setWordWrap(True)
    line.setStyleSheet(ALERT)
    line.setVisible(False)
    return line


def show_sentence(line: QLabel, sentence: str) -> None:
    """Show a sentence in its line, or hide the line if there is none."""
    line.setText(sentence)
    line.setVisible(bool(sentence))


class _Column(QScrollArea):  # type: ignore[misc]
    """Scrolls up and down, and is never narrower than what it holds."""

    def __init__(self, content: QVBoxLayout) -> None:
        super().__init__()
        inner = QWidget()
        inner.setLayout(content)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(inner)

    def minimumSizeHint(self) -> QSize:
        """Return a size as wide as the content with a scroll bar beside it."""
        width = self.widget().minimumSizeHint().width() + self.verticalScrollBar().sizeHint().width()
        return QSize(max(width, _MIN_WIDTH), _MIN_HEIGHT)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Ask for more room when the content does."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))


class Dock(QWidget):  # type: ignore[misc]
    """What the widgets share: a form that scrolls, a run bar below it, and letting go when they are closed.

    Parameters
    ----------
    napari_viewer : napari viewer
        Where layers come from and results go.
    run : str
        What the button says.
    """

    def __init__(self, napari_viewer: Any, run: str) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.bar = RunBar(run)
        self.content = QVBoxLayout()
        self.content.setContentsMargins(4, 4, 4, 4)
        self._listener: LayerListener | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        self._column = _Column(self.content)
        layout.addWidget(self._column, 1)
        layout.addWidget(self.bar)
        self.bar.requested.connect(self.start)
        self.bar.returned.connect(self.show_result)
        self.bar.failed.connect(self.show_failure)

    def start(self) -> None:
        """Read the layers and start the run."""
        raise NotImplementedError

    def show_result(self, result: Any) -> None:
        """Show what the run returned."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Bring the form into agreement with the layers."""
        raise NotImplementedError

    def fields(self) -> Mapping[str, QWidget]:
        """Return the fields that can turn red, by the names that errors call them."""
        raise NotImplementedError

    def lines(self) -> Mapping[str, QLabel]:
        """Return the lines for what is wrong, by the names of the fields that they stand under."""
        raise NotImplementedError

    def show_failure(self, sentence: str) -> None:
        """Show an error of the run under the fields that it names, which stay red until something is changed."""
        fields, lines = self.fields(), self.lines()
        named = named_fields(sentence, fields)
        at = next((name for name in (*named, "settings") if name in lines), None)
        if not self.bar.ready:  # changed meanwhile, and what is wrong with the form now is shown there
            return
        if not named or at is None or "device" in named:
            self.mark({}, named)
            return
        self.mark({at: sentence}, named)
        self.bar.calm()
        self._column.ensureWidgetVisible(fields[named[0]])

    def mark(self, sentences: Mapping[str, str], named: Collection[str]) -> None:
        """Show these sentences in their lines and turn these fields red; all others are as they should be."""
        for name, line in self.lines().items():
            show_sentence(line, sentences.get(name, ""))
        for name, field in self.fields().items():
            mark(field, name in named)

    def listen(self, boxes: Sequence[LayerBox]) -> None:
        """Follow the layer list and the layers that the boxes choose."""

        def on_list() -> None:
            for box in boxes:
                box.refresh()

        self._listener = listener = LayerListener(self.viewer.layers, on_list, self.refresh)
        for box in boxes:
            box.changed.connect(self.refresh)
        self.destroyed.connect(listener.close)
        self.destroyed.connect(self.bar.slot.quit)

    def watch(self, layers: Sequence[Layer | None]) -> None:
        """Refresh when one of these layers changes its data or its place."""
        if self._listener is not None:
            self._listener.watch([layer for layer in layers if layer is not None])

    def let_go(self) -> None:
        """Stop what runs and forget the viewer; the widget is not used after this."""
        self.bar.cancel()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def event(self, event: QEvent) -> bool:
        """Let go when napari takes the widget out of its window, which is how it closes one."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.let_go()
        return bool(super().event(event))


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
    """

    row: ClassVar[str] = ""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, "Run")
        self.methods: list[Method] = catalog.rows()[self.row]
        self.boxes: dict[str, LayerBox] = {}
        self.editors: dict[str, Editor] = {}
        self._lines: dict[str, QLabel] = {}
        self._rows: dict[str, tuple[QWidget, ...]] = {}
        self._settings = form()
        self.extras = QVBoxLayout()
        self._build_methods()
        self._build_inputs()
        self._build_own_settings()
        self._build_shared()
        self.content.addLayout(self.extras)
        self.content.addStretch(1)
        self._build_device()
        self.listen(list(self.boxes.values()))
        self._choose_method()

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

    def choose_method(self, name: str) -> None:
        """Choose a method of the row by its name."""
        self.method_box.setCurrentIndex([m.name for m in self.methods].index(name))

    def set(self, **settings: Any) -> None:
        """Set fields by the names of their settings."""
        for name, value in settings.items():
            self.editors[name].set_value(value)

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
            layout.addRow("method", self.method_box)
        layout.addRow(self._summary)
        self.content.addLayout(layout)

    def _build_inputs(self) -> None:
        layout = form()
        params = {p.name: p for method in self.methods for p in method.arrays}
        for param in params.values():
            box = LayerBox(self.viewer.layers, _kind(param), optional=not param.required)
            label, line = QLabel(caption(param.name)), problem_line()
            layout.addRow(label, box)
            self.boxes[param.name], self._lines[param.name] = box, line
            self._rows[param.name] = (label, box)
            if param.name == "image":
                self._add_voxel_size(layout)
            layout.addRow(line)
        self.content.addWidget(group("Layers", layout))

    def _add_voxel_size(self, layout: QFormLayout) -> None:
        self._voxel, self.voxel_size, self._lines["spacing"] = QLabel(), VoxelSizeFields(), problem_line()
        self._voxel.setWordWrap(True)
        self.voxel_size.changed.connect(self.refresh)
        self._sized: Layer | None = None
        for widget in (self._voxel, self.voxel_size):
            layout.addRow("", widget)
        layout.addRow(self._lines["spacing"])

    def _build_own_settings(self) -> None:
        outer = QVBoxLayout()
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addLayout(self._settings)
        self._lines["settings"] = problem_line()
        outer.addWidget(self._lines["settings"])
        self.content.addWidget(group("Cut", outer))

    def _build_shared(self) -> None:
        layout, more = form(), form()
        shared = {p.name: p for p in self.methods[0].settings if p.option and p.name not in _FROM_THE_LAYER}
        for name in (*_ALWAYS_IN_VIEW, *(n for n in shared if n not in _ALWAYS_IN_VIEW)):
            editor = self._add_editor(self.methods[0], shared[name])
            _add_row(layout if name in _ALWAYS_IN_VIEW else more, editor)
        self._hidden = [e for name, e in self.editors.items() if e.param.option and name not in _ALWAYS_IN_VIEW]
        hidden = QWidget()
        hidden.setLayout(more)
        self.more = QCollapsible("More", expandedIcon="▼", collapsedIcon="▶")
        self.more.setDuration(0)
        self.more.setContent(hidden)
        self.more.layout().setContentsMargins(0, 0, 0, 0)
        self.more.collapse(animate=False)
        layout.addRow(self.more)
        self.content.addWidget(group("Before and after the cut", layout))

    def _build_device(self) -> None:
        self.device_box = QComboBox()
        self.device_box.addItems(get_args(Asked))
        self.device_box.currentIndexChanged.connect(lambda _: self.refresh())
        self.device_box.setToolTip("Where to run; auto takes the GPU where there is one and it gains time.")
        self.bar.beside.insertWidget(0, QLabel("device"))
        self.bar.beside.insertWidget(1, self.device_box)

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
        while self._settings.rowCount():
            self._settings.removeRow(0)
        self.editors = {name: e for name, e in self.editors.items() if e.param.option}
        for param in (p for p in method.settings if not p.option):
            editor = self._add_editor(method, param)
            if kept.get(param.name) in param.choices:
                editor.set_value(kept[param.name])
            _add_row(self._settings, editor)
        taken = {p.name for p in method.arrays}
        for name, widgets in self._rows.items():
            for widget in widgets:
                widget.setVisible(name in taken)
        self.refresh()

    def refresh(self) -> None:
        """Check the form, mark what is wrong, and say how large voxels are."""
        self.watch(list(self.layers.values()))
        self._show_voxel_size()
        changed = [e for e in self._hidden if e.value != e.param.default]
        self.more.setText("More" + "".join(f" · {caption(e.param.name)} {e.value:g}" for e in changed))
        sentences = {p.field: p.sentence for p in problems(self.method, self.layers, self.settings)}
        self.mark(sentences, {*sentences, *named_fields(sentences.get("settings", ""), self.editors)})
        self.bar.calm()
        self.bar.set_ready(not sentences)

    def _show_voxel_size(self) -> None:
        """Say how large voxels are, ask if the image layer does not know, and show lengths in the world."""
        image = self.layers["image"]
        self._voxel.setVisible(image is not None)
        self.voxel_size.setVisible(image is not None and image.ndim in (2, 3) and not _layers.has_voxel_size(image))
        before, self._sized = self._sized, image
        if image is None:
            return
        if image is not before:
            self.voxel_size.show_for(image.ndim, _layers.length_unit(image))
        given = self.voxel_size.value
        self._voxel.setText(_layers.voxel_text(image, given))
        lengths, unit = _layers.spacing(image), _layers.length_unit(image)
        if given is not None and not _layers.has_voxel_size(image):
            lengths, unit = given.lengths, given.unit
        for editor in self.editors.values():
            editor.show_world(lengths, unit)

    def fields(self) -> Mapping[str, QWidget]:
        """Return the fields of the chosen method, and of the voxel size and the device."""
        arrays = {p.name: self.boxes[p.name] for p in self.method.arrays}
        settings = {name: editor.field for name, editor in self.editors.items()}
        return {**arrays, **settings, "spacing": self.voxel_size, "device": self.device_box}

    def lines(self) -> Mapping[str, QLabel]:
        """Return the line under each layer, under the voxel size and under the settings."""
        return self._lines

    def start(self) -> None:
        """Read the layers and start the run, or show what is wrong."""
        self.refresh()
        device, size = self.device_box.currentText(), self.voxel_size.value
        try:
            request = resolve(self.method, self.layers, self.settings, device, size)
        except (ValueError, TypeError):
            return  # the form shows why
        self.bar.start(request.run)

    def show_result(self, result: Outcome) -> None:
        """Add the labels as a layer of their own."""
        self.viewer.add_labels(result.labels, **result.options)
        self.bar.say(result.summary)


def _kind(param: Param) -> type:
    from napari.layers import Image, Labels

    kind: type = Image if param.role is not None and param.role.name == "image" else Labels
    return kind


def _add_row(layout: QFormLayout, editor: Editor) -> None:
    label = QLabel(caption(editor.param.name))
    label.setToolTip(editor.description)
    layout.addRow(label, editor)

"""What all widgets share: a form that scrolls, a run bar below it, and letting go when they are closed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from weakref import WeakSet

from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer
from qtpy.QtGui import QKeySequence, QResizeEvent
from qtpy.QtWidgets import (
    QDockWidget,
    QFormLayout,
    QFrame,
    QGroupBox,
    QLabel,
    QScrollArea,
    QShortcut,
    QVBoxLayout,
    QWidget,
)

from .._device import free_host_memory
from ._fold import open_folds_around
from ._layer_box import LayerBox, LayerListener
from ._preferences import preferences
from ._request import named_fields
from ._worker import ALERT, RunBar, mark, restyle

__all__ = ["Dock", "docks", "form", "group", "problem_line", "sentence_line", "show_sentence"]

Layer = Any
"""A napari layer."""

_MIN_WIDTH = 306
"""Width of a form inside its dock, in pixels: a dock of 320 shows all of it."""

_MIN_HEIGHT = 150
"""Height that a form keeps when napari stacks several, in pixels."""

_MEMORY_KEPT = 2000
"""Milliseconds after which the free memory is asked for anew."""

_OPEN: WeakSet[Dock] = WeakSet()


def docks(viewer: Any) -> list[Dock]:
    """Return the widgets of this plugin that are open in a viewer, or in that behind the proxy that plugins get."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    return [dock for dock in _OPEN if dock.viewer is viewer and not dock.closed]


def form() -> QFormLayout:
    """Return an empty form: its fields take the width that there is, or a line of their own where that is little."""
    layout = QFormLayout()
    layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    layout.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
    layout.setContentsMargins(6, 1, 6, 1)
    layout.setVerticalSpacing(4)
    return layout


def group(title: str, layout: Any) -> QGroupBox:
    """Return a titled box around a layout."""
    box = QGroupBox(title)
    box.setLayout(layout)
    return box


class _Sentence(QLabel):  # type: ignore[misc]
    """Words that are as high as they need; a form would give those over all of its width too little."""

    def setText(self, text: str) -> None:
        """Show other words."""
        super().setText(text)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Take more lines where the form gets narrower."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        if (height := self.heightForWidth(self.width())) != self.minimumHeight():
            self.setMinimumHeight(max(height, 0))


def sentence_line() -> QLabel:
    """Return a hidden line for a sentence on what is worth knowing."""
    line = _Sentence()
    line.setWordWrap(True)
    line.setVisible(False)
    return line


def problem_line() -> QLabel:
    """Return a hidden line for a sentence on what is wrong."""
    line = sentence_line()
    line.setStyleSheet(ALERT)
    return line


def show_sentence(line: QLabel, sentence: str) -> None:
    """Show a sentence in its line, or hide the line if there is none."""
    line.setText(sentence)
    line.setVisible(bool(sentence))


def _is_empty(field: QWidget) -> bool:
    """Tell whether a field is one for a layer or for a model, and none is chosen."""
    return getattr(field, "chosen", field) is None


class _Column(QScrollArea):  # type: ignore[misc]
    """Scrolls up and down, and is never narrower than what it holds."""

    def __init__(self, content: QVBoxLayout) -> None:
        super().__init__()
        inner = QWidget()
        inner.setLayout(content)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # Tab goes to the fields, and the form scrolls after it
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
        self.viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)  # plugins get it behind a proxy
        self.closed = False
        self.boxes: dict[str, LayerBox] = {}
        self.bar = RunBar(run)
        self.content = QVBoxLayout()
        self.content.setContentsMargins(4, 2, 4, 2)
        self.content.setSpacing(2)
        self._listener: LayerListener | None = None
        self._free, self._free_known = 0, QTimer(self)
        self._free_known.setSingleShot(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 4)
        layout.setSpacing(3)
        self._column = _Column(self.content)
        layout.addWidget(self._column, 1)
        layout.addWidget(self.bar)
        self._run_key = QShortcut(QKeySequence("Ctrl+Return"), self)
        self._run_key.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self._run_key.activated.connect(self.bar.button.click)
        self.bar.keys = "Ctrl+Return"
        self.bar.show_plan("")
        _OPEN.add(self)
        self.bar.requested.connect(self.start)
        self.bar.returned.connect(self.show_result)
        self.bar.failed.connect(self.show_failure)

    def introduce(self) -> QLabel:
        """Begin with a sentence on what the widget is good for: what its class says of itself; return its line."""
        line = sentence_line()
        show_sentence(line, (type(self).__doc__ or "").partition("\n")[0])
        self.content.addWidget(line)
        return line

    def start(self) -> None:
        """Read the layers and start the run."""
        raise NotImplementedError

    def show_result(self, result: Any) -> None:
        """Show what the run returned."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Bring the form into agreement with the layers."""
        raise NotImplementedError

    def use(self, name: str, layer: Layer) -> None:
        """Choose a layer in the field of that name."""
        self.boxes[name].choose(layer)

    def list_changed(self) -> None:
        """Take note that layers have come, gone, or been renamed; the layer boxes know by then."""

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
            self.mark({}, named, tried=True)
            return
        self.mark({at: sentence}, named, tried=True)
        self.bar.calm()
        self._column.ensureWidgetVisible(fields[named[0]])

    def mark(self, sentences: Mapping[str, str], named: Collection[str], *, tried: bool = False) -> None:
        """Show these sentences in their lines and turn these fields red; all others are as they should be.

        Where nothing is chosen yet, nothing is wrong: as long as no run was `tried`, the sentence stands there as a
        hint, and nothing is red.
        """
        fields = self.fields()
        empty = set() if tried else {name for name in named if name in fields and _is_empty(fields[name])}
        for name, line in self.lines().items():
            sentence = sentences.get(name, "")
            about = (name,) if name in fields else named_fields(sentence, fields)
            restyle(line, "" if about and empty.issuperset(about) else ALERT)
            show_sentence(line, sentence)
        for name, field in fields.items():
            mark(field, name in named and name not in empty)
            if name in named:
                open_folds_around(field)

    def free_memory(self) -> int:
        """Return how many bytes a run may take; asked for anew every few seconds."""
        if not self._free_known.isActive():
            limit, free = int(preferences().memory_limit_gib * 2**30), free_host_memory()
            self._free = min(free, limit) if limit else free
            self._free_known.start(_MEMORY_KEPT)
        return self._free

    def listen(self, boxes: Sequence[LayerBox]) -> None:
        """Follow the layer list and the layers that the boxes choose."""

        def on_list() -> None:
            for box in boxes:
                box.refresh()
            self.list_changed()

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
        self.closed = True
        self.bar.cancel()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def event(self, event: QEvent) -> bool:
        """Join the others when napari docks the widget, and let go when it is taken out, which is how it is closed.

        It belongs to nobody then: Python would keep it for what is connected to it, or delete it in whichever thread
        looks for garbage, which ends the program.
        """
        if event.type() == QEvent.Type.ParentChange:
            if isinstance(holder := self.parent(), QDockWidget):
                holder.dockLocationChanged.connect(self._join_tabs)
            elif holder is None:
                self.let_go()
                self.deleteLater()
        return bool(super().event(event))

    def _join_tabs(self, area: Qt.DockWidgetArea) -> None:
        """Stand as a tab, in front, among the widgets of this plugin in the same area of the window.

        Below each other they need more height than a screen has. It is done once, as soon as the widget has its place
        and before it is shown: where the user moves it later it stays.
        """
        window, holder = self.window(), self.parent()
        holder.dockLocationChanged.disconnect(self._join_tabs)
        holders = [dock.parent() for dock in docks(self.viewer) if dock is not self]
        docked = [one for one in holders if isinstance(one, QDockWidget) and window.dockWidgetArea(one) == area]
        if beside := [one for one in docked if not one.isFloating()]:
            window.tabifyDockWidget(max(beside, key=QWidget.isVisible), holder)
            holder.show()  # only tabs of what is shown can be raised
            holder.raise_()

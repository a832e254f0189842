"""The widget *Measure*: size, place, shape and grey levels of every object, in a table that is linked to the viewer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMessageBox,
    QPushButton,
    QWidget,
)

from .._writing import write_text
from . import _layers
from ._class_names import class_names
from ._dock import Dock, form, group, problem_line
from ._image_list import ImageList
from ._layer_box import LayerBox
from ._measurements import (
    Measured,
    begins_with_time,
    channel_axes,
    columns_of,
    csv_of,
    headline,
    image_problem,
    place_of,
    problems,
    resolve,
    row_of,
    voxel_size,
    with_more_rows,
)
from ._object_link import ObjectLink, show_place
from ._place_button import PlaceButton
from ._table import Table
from ._theme import hex_colour
from ._voxel_size import VoxelSizeFields

__all__ = ["MeasureWidget"]

Layer = Any
"""A napari layer."""

_FIRST_AXIS = ("depth: one volume", "time: each frame by itself")
"""What the first of three axes may be."""


class MeasureWidget(Dock):
    """Measures the objects of a Labels layer, and shows in the viewer what is chosen in the table.

    Parameters
    ----------
    napari_viewer : napari viewer
        Where layers come from.

    Attributes
    ----------
    measured
        What the last run gave; None before.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, "Measure")
        self.measured: Measured | None = None
        self._asked: Layer | None = None
        self._shown: Layer | None = None
        self._sized: Layer | None = None
        self.names = class_names(napari_viewer)
        self.names.changed.connect(self._show_names)
        self._build_layers()
        self._build_result()
        self.listen([self.labels_box, self.image_list])
        self._link = ObjectLink(napari_viewer, self.select_label, self.outdate)
        self.destroyed.connect(self._link.close)
        self.refresh()

    # Building

    def _build_layers(self) -> None:
        from napari.layers import Labels

        self.labels_box = LayerBox(self.viewer.layers, Labels, optional=False)
        self.labels_box.setToolTip("The objects to measure, one number each.")
        self.boxes = {"labels": self.labels_box}
        self.first_axis_box, self.channel_box = QComboBox(), QComboBox()
        self.first_axis_box.addItems(_FIRST_AXIS)
        self.first_axis_box.setToolTip("What the first axis of the labels is.")
        self.first_axis_box.currentIndexChanged.connect(self._axis_chosen)
        self.channel_box.setToolTip("Which axis of the image counts channels.")
        self.image_list = ImageList(self.viewer.layers, self._image_problem)
        self.image_list.setToolTip("Images whose grey levels are measured, each as a channel.")
        self._voxel, self.voxel_size = QLabel(), VoxelSizeFields()
        self._voxel.setWordWrap(True)
        self.voxel_size.changed.connect(self.refresh)
        self._lines = {name: problem_line() for name in ("labels", "image", "spacing")}
        self.introduce()
        self._form = layout = form()
        layout.addRow("labels", self.labels_box)
        layout.addRow(self._lines["labels"])
        layout.addRow("first axis", self.first_axis_box)
        layout.addRow("", self._voxel)
        layout.addRow("", self.voxel_size)
        layout.addRow(self._lines["spacing"])
        layout.addRow("grey levels of", self.image_list)
        self.place_button = PlaceButton("the image", "the labels")
        layout.addRow(self.place_button)
        layout.addRow("channel axis", self.channel_box)
        layout.addRow(self._lines["image"])
        self.content.addWidget(group("Layers", layout))

    def _build_result(self) -> None:
        self.headline = QLabel()
        self.headline.setWordWrap(True)
        self.headline.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.table = Table()
        self.table.setAccessibleName("measurements")
        self.table.setToolTip("A row for each object; choose one to see it, double-click a class to rename it.")
        self.table.setMinimumHeight(180)
        self.table.chosen.connect(self._show_object)
        self.table.edited.connect(self._rename)
        self.only_box = QCheckBox("show only the selected object")
        self.only_box.toggled.connect(self._show_only)
        self.columns_button, self.csv_button = QPushButton("Columns…"), QPushButton("Export CSV…")
        self.columns_button.clicked.connect(self._ask_for_columns)
        self.csv_button.clicked.connect(self._ask_and_export)
        buttons = QHBoxLayout()
        for widget in (self.columns_button, self.csv_button):
            buttons.addWidget(widget)
        for widget in self._result_widgets:
            widget.setEnabled(False)
        self.content.addWidget(self.headline)
        self.content.addWidget(self.table, 1)
        self.content.addWidget(self.only_box)
        self.content.addLayout(buttons)

    @property
    def _result_widgets(self) -> tuple[QWidget, ...]:
        return self.only_box, self.columns_button, self.csv_button

    # What the form says

    @property
    def labels(self) -> Layer | None:
        """The chosen Labels layer."""
        return self.labels_box.layer

    @property
    def frames(self) -> bool:
        """True if the first axis of the labels counts frames."""
        if self.labels is None or self.labels.ndim == 2:
            return False
        return bool(self.labels.ndim == 4 or self.first_axis_box.currentIndex() == 1)

    # Reacting

    def refresh(self) -> None:
        """Bring the form into agreement with the layers."""
        labels = self.labels
        found = {problem.field: problem.sentence for problem in problems(labels)}
        self._offer_images()
        self.watch([labels, *self.image_list.offered])
        if labels is not self._sized:
            self._sized = labels
            self._ask_of(labels)
        self._form.setRowVisible(self.first_axis_box, labels is not None and labels.ndim == 3)
        self._show_voxel_size(None if found else labels)
        self._offer_channel_axes(None if found else labels)
        self.mark(found, found)
        self.bar.calm()
        self.bar.set_ready(not found)

    def fields(self) -> Mapping[str, QWidget]:
        """Return the fields that errors may name."""
        return {"labels": self.labels_box, "image": self.image_list, "spacing": self.voxel_size}

    def lines(self) -> Mapping[str, QLabel]:
        """Return the line under each field."""
        return self._lines

    def _ask_of(self, labels: Layer | None) -> None:
        """Begin anew with another layer: what its first axis is, and how large a voxel."""
        if labels is None:
            return
        self.first_axis_box.blockSignals(True)
        self.first_axis_box.setCurrentIndex(int(begins_with_time(labels)))
        self.first_axis_box.blockSignals(False)
        self.voxel_size.show_for(labels.ndim - self.frames, _layers.length_unit(labels))

    def _axis_chosen(self, at: int) -> None:
        if self.labels is not None and self.labels.ndim == 3:
            self.voxel_size.show_for(3 - at, _layers.length_unit(self.labels))
        self.refresh()

    def _show_voxel_size(self, labels: Layer | None) -> None:
        self._voxel.setVisible(labels is not None)
        size = None if labels is None else voxel_size(labels, frames=self.frames)
        self._form.setRowVisible(self.voxel_size, labels is not None and size is None)
        if labels is None:
            return
        space = labels.ndim - self.frames
        word, given = "voxel" if space == 3 else "pixel", self.voxel_size.value
        each = "; each index of the first axis is measured by itself" if labels.ndim == 4 else ""
        if size is not None:
            self._voxel.setText(f"{word} {size}{each}")
        elif given is not None:
            self._voxel.setText(f"{word} {given} for this run; the layer has no size{each}")
        else:
            self._voxel.setText(f"{word} size not set: sizes and lengths are in {word}s{each}")

    def _offer_images(self) -> None:
        """List the images anew, without being called back."""
        self.image_list.blockSignals(True)
        self.image_list.refresh()
        self.image_list.blockSignals(False)
        self._form.setRowVisible(self.image_list, bool(self.image_list.offered))
        wrong = (image for image in self.image_list.offered if self._image_problem(image))
        apart = next((image for image in wrong if _layers.lie_apart(image, self.labels)), None)
        self.place_button.show_for(apart, self.labels)

    def _image_problem(self, image: Layer) -> str:
        """Say why an image does not fit the chosen labels."""
        return "" if self.labels is None or problems(self.labels) else image_problem(self.labels, image)

    def _offer_channel_axes(self, labels: Layer | None) -> None:
        """Ask for the axis of channels where an image has one."""
        images = [] if labels is None else self.image_list.ticked
        axes = next((axes for image in images if (axes := channel_axes(labels, image))), ())
        before = self.channel_box.currentData()
        self.channel_box.clear()
        for axis in axes:
            self.channel_box.addItem(f"axis {axis}", axis)
        self.channel_box.setCurrentIndex(axes.index(before) if before in axes else 0 if axes else -1)
        self._form.setRowVisible(self.channel_box, len(axes) > 0)

    # Running

    def start(self) -> None:
        """Read the layers and start to measure, or show what is wrong."""
        self.refresh()
        if self.labels is None or not self.bar.ready:
            return
        axis, given = self.channel_box.currentData(), self.voxel_size.value
        try:
            question = resolve(self.labels, self.image_list.ticked, frames=self.frames, axis=axis, given=given)
        except (ValueError, TypeError) as error:
            self.mark({"image": str(error)}, {"image"})
            return
        self._asked = self.labels
        self.bar.start(question.answer)

    def show_result(self, result: Measured) -> None:
        """Show the table."""
        self.measured, self._shown = result, self._asked
        self.headline.setText(headline(result))
        data: dict[str, Any] = {**result.found.columns, "name": self._row_names()}
        self.table.set_data(data, columns_of(result.found, self._colour))
        for widget in self._result_widgets:
            widget.setEnabled(True)
        self._link.follow(self._shown)

    def let_go(self) -> None:
        """Stop what runs and forget the viewer; the widget is not used after this."""
        super().let_go()
        self._link.close()

    # Names

    def _row_names(self) -> list[str]:
        if self.measured is None:
            return []
        return [self.names.name_of(label) for label in self.measured.found.columns["label"].tolist()]

    def _show_names(self) -> None:
        if self.measured is not None:
            self.table.set_column("name", self._row_names())

    def _rename(self, row: int, _: str, text: str) -> None:
        self.names.set(int(self.table.value(row, "label")), text)

    # The table and the viewer

    def _colour(self, label: Any) -> str | None:
        """Return the colour of a label in its layer."""
        if self._shown is None:
            return None
        red, green, blue, _ = (float(part) for part in self._shown.colormap.map(np.asarray([label]))[0])
        return hex_colour((red, green, blue))

    def _show_object(self, rows: list[int]) -> None:
        """Move the viewer to the first object that is selected, and select its label."""
        if not rows or self.measured is None or self._shown is None or self._shown not in self.viewer.layers:
            return
        label = int(self.table.value(rows[0], "label"))
        with self._link.silent():
            self._shown.selected_label = label
            show_place(self.viewer, self._shown, place_of(self.measured, rows[0]))

    def select_label(self, label: int, position: Any) -> None:
        """Select the row of a label, at an index of the layer's data; none if it was not measured."""
        if self.measured is None:
            return
        row = row_of(self.measured, label, position)
        self.table.select([] if row is None else [row])

    def _show_only(self, on: bool) -> None:
        if self._shown is not None:
            self._shown.show_selected_label = on

    def outdate(self) -> None:
        """Say that the table is older than the labels."""
        if self.measured is not None:
            self.headline.setText(headline(self.measured) + "\nthe labels have changed since: measure again")

    def _ask_for_columns(self) -> None:
        menu = self.table.columns_menu()
        menu.exec(self.columns_button.mapToGlobal(self.columns_button.rect().bottomLeft()))
        menu.deleteLater()

    # Files

    def export(self, path: str | Path, *, overwrite: bool = False, add: bool = False) -> None:
        """Write the table as CSV, and say so.

        Parameters
        ----------
        path : str or path
            Where to write.
        overwrite : bool
            Replace what is there.
        add : bool
            Put the rows under those that are there, of another image.
        """
        if self.measured is None:
            return
        try:
            own = csv_of(self.measured, self._row_names())
            text = self._under(Path(path), own) if add else own
            if text is None:
                return
            written = write_text(path, text, overwrite=overwrite or add)
        except OSError as error:
            self.bar.say(str(error), problem=True)
        else:
            self.bar.say(f"added {len(self.measured.found)} rows to {written}" if add else f"wrote {written}")

    def _under(self, path: Path, text: str) -> str | None:
        """Return the rows under those of a file; None if they do not belong there, which is said."""
        try:
            joined = with_more_rows(path.read_bytes().decode("utf-8"), text)
        except UnicodeDecodeError:
            joined = None
        if joined is None:
            why = "has other columns: measure the same channels, with the same units and names, or choose another file"
            self.bar.say(f"'{path.name}' {why}", problem=True)
        return joined

    def _ask_and_export(self, _: bool = False) -> None:
        """Ask for a file; where one is there, whether rows are added to it."""
        options = QFileDialog.Option.DontConfirmOverwrite
        path, _filter = QFileDialog.getSaveFileName(
            self, "Export measurements", "objects.csv", "*.csv", options=options
        )
        if not path:
            return
        what = self._ask_what_to_do(path) if Path(path).exists() else "replace"
        if what:
            self.export(path, overwrite=what == "replace", add=what == "add")

    def _ask_what_to_do(self, path: str) -> str:
        """Ask whether to add rows to a table that is there or to replace it; neither is an answer, too."""
        box = QMessageBox(self)
        box.setWindowTitle("Export measurements")
        box.setText(f"{Path(path).name} is there already. Add the rows of this image under those that it has?")
        add = box.addButton("Add rows", QMessageBox.ButtonRole.AcceptRole)
        replace = box.addButton("Replace", QMessageBox.ButtonRole.DestructiveRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(add)
        box.exec()
        chosen = box.clickedButton()
        box.deleteLater()
        return "add" if chosen is add else "replace" if chosen is replace else ""

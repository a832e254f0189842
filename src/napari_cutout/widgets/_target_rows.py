"""The rows that say what of a layer is run on: region, level, axes, slices, frames and channel."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QLabel, QSizePolicy, QWidget

from . import _layers
from ._access import explain, order_tabs
from ._editors import StillUnlessFocused
from ._extent import Region
from ._target import ASKED, Choice, levels_of, n_channels, recalled, remember, taken_by

__all__ = ["TargetRows", "words_of"]

Layer = Any
"""A napari layer."""

_REGIONS = {"whole": "whole image", "view": "field of view"}
_DEPTHS = {"together": "whole volume", "each": "each slice by itself", "this": "this slice"}
_TIMES = {
    "": "choose…",
    "each": "each frame by itself",
    "pooled": "each frame, statistics of all",
    "this": "this frame",
}
_NUMBERS = {False: "on and on", True: "linked by overlap"}
_LETTERS = {ASKED: "?", "t": "T", "c": "C", "z": "Z"}

_TOOLTIPS = {
    "region": "Where to look: everywhere, in what the view shows, or inside the shapes of a Shapes layer.",
    "level": "Which level of the pyramid; the labels lie where the image does at every level.",
    "axes": "What the axes before y and x are: T is time, C are channels, Z are slices.",
    "depth": "The whole volume at once; or slices, where each is an image of its own.",
    "time": (
        "Every frame is cut by itself. Its threshold may come from that frame, or be one for all from the "
        "statistics of all frames."
    ),
    "numbers": (
        "Objects of frames or slices are numbered on and on, or linked: what overlaps from one to the next is one "
        "object and has one number, as link_frames gives it."
    ),
    "channel": (
        "Which channel to cut; grey is the mean of the colours. Together, a method looks at all channels of a voxel at "
        "once. Alpha is no colour, and left out of both."
    ),
}

_GREY, _TOGETHER = "grey (mean of all)", "all together"


def words_of(choice: Choice) -> list[str]:
    """Say what of an image is run on, and what of it at a time, in the words of the rows.

    Parameters
    ----------
    choice : Choice
        What they say; its axes are named.
    """
    letters, channel = choice.letters, choice.channel
    words = [" ".join(letters).upper()]
    if "t" in letters:
        words.append(_TIMES[choice.time])
    words.append(_DEPTHS[choice.depth] if "z" in letters else "" if "t" in letters else _REGIONS["whole"])
    if "c" in letters:
        words.append({"grey": _GREY, "all": f"channels {_TOGETHER}"}.get(str(channel), f"channel {channel}"))
    return [*filter(None, words), *([f"level {choice.level}"] if choice.level else [])]


class TargetRows(QWidget):  # type: ignore[misc]
    """The rows below a layer that say what of it is run on; those that do not apply are hidden.

    Parameters
    ----------
    layers : napari layer list
        Where Shapes layers come from.
    parent : QWidget, optional
        Its parent.
    left_out : collection of str
        Rows that are never shown, by what stands before them, such as ``"slices"``.
    apart : bool
        Whether the rows of the region and of the level stand elsewhere, where the caller puts `where`.

    Attributes
    ----------
    changed
        Emitted when the user has chosen something else.
    where
        What holds the rows of the region and of the level.
    """

    changed = Signal()

    def __init__(
        self, layers: Any, parent: QWidget | None = None, *, left_out: Collection[str] = (), apart: bool = False
    ) -> None:
        super().__init__(parent)
        self._left_out = left_out
        self._layers = layers
        self._layer: Layer | None = None
        self._choice = Choice()
        self._takes_channels = self._links = False
        self._offered: list[Region] = []
        self._still = StillUnlessFocused(self)
        self.region_box, self.level_box, self.depth_box = (self._box(name) for name in ("region", "level", "depth"))
        self.time_box, self.channel_box, self.numbers_box = map(self._box, ("time", "channel", "numbers"))
        self.axis_boxes: list[QComboBox] = []
        self._axes = QWidget()
        self._axes_layout = QHBoxLayout(self._axes)
        self._axes_layout.setContentsMargins(0, 0, 0, 0)
        self._axes.setToolTip(_TOOLTIPS["axes"])
        self.where = QWidget()
        inner, outer = _rows(self.where), _rows(self)
        if not apart:
            outer.addRow(self.where)
        self._names: dict[QWidget, QLabel] = {}
        self._forms: dict[QWidget, QFormLayout] = {}
        for text, field in (
            ("run on", self.region_box),
            ("level", self.level_box),
            ("axes", self._axes),
            ("slices", self.depth_box),
            ("frames", self.time_box),
            ("numbers", self.numbers_box),
            ("channel", self.channel_box),
        ):
            label = QLabel(text)
            label.setToolTip(field.toolTip())
            label.setBuddy(field)
            field.setAccessibleName(text)
            self._forms[field] = inner if field in (self.region_box, self.level_box) else outer
            self._forms[field].addRow(label, field)
            self._names[field] = label
            self._forms[field].setRowVisible(field, text not in left_out)

    @property
    def choice(self) -> Choice:
        """What the rows say."""
        if self._layer is None:
            return self._choice
        return taken_by(self._choice, self._layer, takes_channels=self._takes_channels)

    @property
    def offers_some(self) -> bool:
        """Whether there is a row in which something could be chosen."""
        return any(self._forms[field].isRowVisible(field) for field in self._names)

    @property
    def region(self) -> Region:
        """Where to look."""
        at = self.region_box.currentIndex()
        return self._offered[at] if 0 <= at < len(self._offered) else "whole"

    def said(self) -> str:
        """Say in a few words what the rows of the region and of the level say."""
        level = f"level {self.level_box.currentIndex()}" if self.level_box.count() > 1 else ""
        return " · ".join(words for words in (self.region_box.currentText(), level) if words)

    def fields(self) -> dict[str, QWidget]:
        """Return the fields that errors may name."""
        boxes = {"region": self.region_box, "level": self.level_box, "channel": self.channel_box}
        return {"axes": self._axes, "time": self.time_box, "numbers": self.numbers_box, **boxes}

    def choose_region(self, region: Region) -> None:
        """Choose where to look, as the box offers it."""
        self.region_box.setCurrentIndex(self._offered.index(region))

    def choose(self, **chosen: Any) -> None:
        """Change some of the choice as the user would, such as ``depth="each"`` or ``channel="all"``."""
        channel = chosen.pop("channel", None)
        choice = replace(self._choice, **chosen)
        self._change(choice if channel is None else _with_channel(choice, channel, self._takes_channels))

    def offers_all(self) -> bool:
        """Tell whether the box offers the Shapes layers that there are now, by their names."""
        offered = [self.region_box.itemText(at) for at in range(self.region_box.count())]
        return offered == [_region_text(region) for region in self._regions()]

    def show_for(
        self,
        layer: Layer | None,
        *,
        takes_channels: bool = False,
        links: bool = False,
        frames: bool = False,
        choice: Choice | None = None,
    ) -> None:
        """Show the rows that a layer and a method need, with a choice, or with what was last chosen for the layer."""
        for rows in (self, self.where):
            rows.setVisible(layer is not None)
        self._layer, self._takes_channels, self._links = layer, takes_channels, links
        self._offer_regions()
        if layer is not None:
            self._choice = recalled(layer, frames=frames) if choice is None else choice
            self._fill(layer)

    @property
    def labels(self) -> list[QLabel]:
        """What stands before the rows."""
        return list(self._names.values())

    # Building

    def _box(self, name: str) -> QComboBox:
        box = QComboBox()
        box.setToolTip(_TOOLTIPS[name])
        box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        box.installEventFilter(self._still)
        box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        box.setMinimumWidth(80)
        box.activated.connect(lambda _: self._read())
        if name == "region":
            box.currentIndexChanged.connect(lambda _: self.changed.emit())
        return box

    def _offer_regions(self) -> None:
        """Offer the Shapes layers that there are now, and keep the choice where it is still there."""
        before = self.region
        self._offered = self._regions()
        self.region_box.blockSignals(True)
        self.region_box.clear()
        for region in self._offered:
            self.region_box.addItem(_region_text(region))
        at = next((n for n, region in enumerate(self._offered) if region is before), 0)
        self.region_box.setCurrentIndex(at)
        self.region_box.blockSignals(False)

    def _regions(self) -> list[Region]:
        from napari.layers import Shapes

        return [*_REGIONS, *(layer for layer in self._layers if isinstance(layer, Shapes))]

    def _fill(self, layer: Layer) -> None:
        """Bring every row into agreement with the choice."""
        choice, letters = self._choice, self._choice.letters
        arrays = levels_of(layer)
        shapes = [" × ".join(str(n) for n in array.shape) for array in arrays]  # noqa: RUF001
        _refill(self.level_box, [f"{n}: {shape}" for n, shape in enumerate(shapes)], choice.level)
        self._fill_axes(letters, getattr(layer, "rgb", False))
        _refill(self.depth_box, list(_DEPTHS.values()), list(_DEPTHS).index(choice.depth))
        _refill(self.time_box, list(_TIMES.values()), list(_TIMES).index(choice.time))
        _refill(self.numbers_box, list(_NUMBERS.values()), list(_NUMBERS).index(choice.linked))
        self._fill_channels(layer)
        shown = {
            self.level_box: len(arrays) > 1,
            self._axes: bool(self.axis_boxes),
            self.depth_box: "z" in letters,
            self.time_box: "t" in letters,
            self.numbers_box: self._links and choice.in_parts,
            self.channel_box: "c" in letters,
        }
        for field, on in shown.items():
            self._forms[field].setRowVisible(field, on and self._names[field].text() not in self._left_out)

    def _fill_channels(self, layer: Layer) -> None:
        """Offer each channel, their mean, and where the method takes them, all together."""
        n, channel = n_channels(layer, self._choice.letters), self.choice.channel
        names = [f"{number}" for number in range(n)]
        if getattr(layer, "rgb", False):
            names = ["red", "green", "blue", "alpha"][:n]
        together = [_TOGETHER] if self._takes_channels and n > 1 else []
        at = channel if isinstance(channel, int) else n if channel == "grey" else n + 1
        _refill(self.channel_box, [*names, _GREY, *together], at)

    def _fill_axes(self, letters: str, colour: bool) -> None:
        """Give every axis before y and x a box."""
        leading = letters[: len(letters) - 2 - colour]
        while len(self.axis_boxes) > len(leading):
            box = self.axis_boxes.pop()
            self._axes_layout.removeWidget(box)
            box.deleteLater()
        while len(self.axis_boxes) < len(leading):
            box = self._box("axes")
            box.setMinimumWidth(40)
            self._axes_layout.insertWidget(len(self.axis_boxes), box)
            self.axis_boxes.append(box)
            order_tabs(self)
        for axis, (box, letter) in enumerate(zip(self.axis_boxes, leading, strict=True)):
            _refill(box, list(_LETTERS.values()), list(_LETTERS).index(letter))
            if self._layer is not None:
                n = _layers.level_zero(self._layer).shape[axis]
                explain(box, f"axis {axis}", f"{_TOOLTIPS['axes']} Axis {axis} has the length {n}.")

    # Reacting

    def _read(self) -> None:
        """Take what the boxes say as the choice."""
        letters = "".join(list(_LETTERS)[box.currentIndex()] for box in self.axis_boxes)
        choice = replace(
            self._choice,
            letters=letters + self._choice.letters[len(self.axis_boxes) :],
            depth=list(_DEPTHS)[self.depth_box.currentIndex()],
            time=list(_TIMES)[self.time_box.currentIndex()],
            level=max(self.level_box.currentIndex(), 0),
            linked=list(_NUMBERS)[max(self.numbers_box.currentIndex(), 0)],
        )
        box, words = self.channel_box, {_GREY: "grey", _TOGETHER: "all"}
        channel: Any = words.get(box.currentText(), max(box.currentIndex(), 0)) if box.count() > 1 else 0
        self._change(_with_channel(choice, channel, box.findText(_TOGETHER) >= 0))

    def _change(self, choice: Choice) -> None:
        if self._layer is None or choice == self._choice:
            return
        self._choice = choice
        remember(self._layer, choice)
        self._fill(self._layer)
        self.changed.emit()


def _rows(owner: QWidget) -> QFormLayout:
    """Give a widget rows of fields, without a margin of its own."""
    layout = QFormLayout(owner)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setVerticalSpacing(4)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return layout


def _with_channel(choice: Choice, channel: Any, offered: bool) -> Choice:
    """Choose a channel, or all of them where they are offered: then that for methods that take one is kept."""
    if channel == "all":
        return replace(choice, together=True)
    return replace(choice, channel=channel, together=choice.together and not offered)


def _region_text(region: Region) -> str:
    return _REGIONS[region] if isinstance(region, str) else f"inside '{region.name}'"


def _refill(box: QComboBox, texts: list[str], at: int) -> None:
    """Show these texts and choose one, without a word to anybody."""
    box.blockSignals(True)
    if [box.itemText(n) for n in range(box.count())] != texts:
        box.clear()
        box.addItems(texts)
    box.setCurrentIndex(min(max(at, 0), len(texts) - 1))
    box.blockSignals(False)

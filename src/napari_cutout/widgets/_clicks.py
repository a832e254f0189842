"""Objects merged, split, cut and deleted by clicks in the viewer.  No Qt here."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ..methods import _edits
from ..methods._edits import Edit
from . import _layers
from ._clicked import Clicked, clicked_at, frame_of, problem_of
from ._clicks_marks import Marks
from ._layers import ours
from ._view import camera_of, of_viewer

__all__ = ["TOOLS", "Clicks", "Tool", "clicks"]

Layer = Any
"""A napari layer."""

Name = Literal["merge", "split", "cut", "delete"]
"""What clicks do."""

STILL = 4.0
"""Pixels of the screen that the mouse may move while a click is still a click."""

_UNDO = "Ctrl+Z takes it back"


@dataclass(frozen=True, slots=True)
class Tool:
    """One thing that clicks do.

    Parameters
    ----------
    name : str
        What its button says.
    tooltip : str
        What it is for.
    hint : str
        What to do next, with the keys.
    """

    name: str
    tooltip: str
    hint: str


TOOLS: Mapping[str, Tool] = {
    "merge": Tool(
        "Merge",
        "Make several objects one",
        "Click the object to keep, then each one that belongs to it. Enter, or a click on the background, begins anew.",
    ),
    "split": Tool(
        "Split",
        "Divide an object among two clicks in it or more, at the neck between them",
        "Click once in every part of one object, then press Enter. Escape forgets the clicks.",
    ),
    "cut": Tool(
        "Cut",
        "Cut an object along a line; a volume through all slices of the object",
        "Drag a line across an object, or click its two ends. Escape forgets the first.",
    ),
    "delete": Tool("Delete", "Make objects background", "Click the object to delete."),
}
"""What clicks can do, in the order of the buttons."""


class Clicks:
    """Does to the selected Labels layer what is clicked: one for each viewer, whichever widgets show its buttons.

    Parameters
    ----------
    viewer : napari viewer
        Where clicks are heard.

    Attributes
    ----------
    tool
        The name of what clicks do now; empty if nothing.
    layer
        The layer that is edited by them.
    said
        What happened last, and whether that is a problem.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = weakref.ref(viewer)
        self.tool: str = ""
        self.layer: Any = None
        self.said: tuple[str, bool] = ("", False)
        self._gathered: list[Clicked] = []
        self._marks = Marks(viewer)
        self._mode = ""
        self._listeners: list[Any] = []

    @property
    def viewer(self) -> Any:
        """The viewer."""
        return self._viewer()

    def listen(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call a bound method whenever the tool, the layer or what is said has changed; it is held weakly.

        What is returned ends it: connect it to `destroyed` of a widget, which Python may keep after Qt has deleted it.
        """
        listener = weakref.WeakMethod(changed)
        self._listeners.append(listener)

        def end() -> None:
            self._listeners = [one for one in self._listeners if one is not listener]

        return end

    # Choosing

    def choose(self, tool: str) -> None:
        """Let clicks do something else, or nothing if it is empty.

        Parameters
        ----------
        tool : str
            One of `TOOLS`, or an empty string.
        """
        self._stop()
        if tool:
            self._begin(tool)
        self._tell()

    def _begin(self, tool: str) -> None:
        layer = self.viewer.layers.selection.active
        if problem := problem_of(layer):
            self.said = problem, True
            return
        self.tool, self.layer, self.said = tool, layer, (TOOLS[tool].hint, False)
        self._mode = str(layer.mode)
        layer.mode = "pan_zoom"
        layer.mouse_pan = tool != "cut"
        self.viewer.mouse_drag_callbacks.append(self._pressed)
        layer.bind_key("Enter", self._enter, overwrite=True)
        layer.bind_key("Escape", self._escape, overwrite=True)
        layer.events.mode.connect(self._left)
        self.viewer.layers.selection.events.active.connect(self._left)

    def put_away(self) -> None:
        """Let clicks do nothing, whatever goes on in the list of layers meanwhile."""
        self._marks.clear_soon()
        self.choose("")

    def _stop(self) -> None:
        layer, self.layer, self.tool, self._gathered = self.layer, None, "", []
        if layer is None:
            return
        self._marks.clear()
        self.viewer.mouse_drag_callbacks.remove(self._pressed)
        layer.events.mode.disconnect(self._left)
        self.viewer.layers.selection.events.active.disconnect(self._left)
        for key in ("Enter", "Escape"):
            layer.bind_key(key, None)
        layer.mouse_pan = str(layer.mode) == "pan_zoom"
        self.said = "", False

    def _left(self, event: Any = None) -> None:
        """Stop once the user takes up another tool or another layer."""
        if not self._marks.busy:
            self.put_away()

    def _tell(self) -> None:
        alive = [(one, call) for one in self._listeners if (call := one()) is not None]
        self._listeners = [one for one, _ in alive]
        for _, call in alive:
            call()

    def _say(self, sentence: str, problem: bool = False) -> None:
        self.said = sentence, problem
        self._tell()

    # Hearing

    def _pressed(self, _: Any, event: Any) -> Iterator[None]:
        """Tell a click from a drag; while a line is dragged, show it."""
        if getattr(event, "button", 1) not in (1, None) or self.layer is None:
            return
        start = np.array(event.position)
        first = clicked_at(self.layer, event)
        yield
        moved = False
        while event.type == "mouse_move":
            moved = moved or self._far(start, event.position)
            if moved and self.tool == "cut" and first is not None:
                here = clicked_at(self.layer, event)
                self._marks.line(self.layer, first.place, here.place if here else first.place)
            yield
        last = clicked_at(self.layer, event)
        if moved and self.tool == "cut" and first is not None and last is not None:
            self._cut(first, last)
        elif not moved:
            self._clicked(first)

    def _far(self, start: NDArray[Any], position: Any) -> bool:
        return bool(np.linalg.norm(np.array(position) - start) * camera_of(self.viewer).zoom > STILL)

    def _clicked(self, click: Clicked | None) -> None:
        if click is None:
            return
        if not self._still_there():
            self._forget()
        {"merge": self._merge, "split": self._seed, "cut": self._end, "delete": self._delete}[self.tool](click)

    def _enter(self, _: Any = None) -> None:
        """Split by the seeds that were clicked; in all else, begin anew."""
        if self.tool == "split":
            self._split()
        else:
            self._escape()

    def _escape(self, _: Any = None) -> None:
        """Forget what was clicked; if there is nothing to forget, put the tool away."""
        if not self._gathered:
            self.choose("")
            return
        self._forget()
        self._say(TOOLS[self.tool].hint)

    def _forget(self) -> None:
        self._gathered = []
        self._marks.clear()

    def _still_there(self) -> bool:
        """Tell whether what was clicked so far holds the numbers that it had: a run or an undo may change them."""
        for one in self._gathered:
            part, at = self._part(one), one.inner
            inside = all(0 <= i < n for i, n in zip(at, part.shape, strict=True))
            if (int(part[at]) if inside else 0) != one.label:
                return False
        return True

    # Doing

    def _merge(self, click: Clicked) -> None:
        if not click.label:
            self._forget()
            self._say(TOOLS["merge"].hint)
        elif not self._gathered or self._gathered[0].frame != click.frame:
            self._gathered = [click]
            self._marks.points(self.layer, [click.place])
            self._say(f"keeps {click.label}; now click what belongs to it")
        elif click.label != (kept := self._gathered[0].label):
            self._do(
                lambda labels: _edits.merge(labels, [kept, click.label]), click, f"merged {click.label} into {kept}"
            )

    def _seed(self, click: Clicked) -> None:
        if not click.label:
            self._say("there is no object; click inside the object that is to be split", True)
            return
        if self._gathered and (self._gathered[0].label, self._gathered[0].frame) != (click.label, click.frame):
            self._forget()  # another object: begin with that
        self._gathered.append(click)
        self._marks.points(self.layer, [one.place for one in self._gathered])
        n = len(self._gathered)
        more = "click in every other part of it" if n == 1 else "press Enter to split it, or click more parts"
        self._say(f"{n} part{'s' * (n > 1)} of {click.label}; {more}")

    def _split(self) -> None:
        if not self._still_there():
            self._forget()
        if len(self._gathered) < 2:
            self._say(f"a split needs two clicks in one object or more, and there is {len(self._gathered)}", True)
            return
        gathered, first = self._gathered, self._gathered[0]
        axes, seeds = range(len(first.frame), self.layer.ndim), [one.inner for one in gathered]
        lengths = _layers.spacing(self.layer, list(axes))
        if self._do(
            lambda labels: _edits.split(labels, first.label, seeds, lengths, highest=self._highest()),
            first,
            f"split {first.label} into {len(gathered)}",
        ):
            self._forget()

    def _end(self, click: Clicked) -> None:
        if not self._gathered:
            self._gathered = [click]
            self._marks.points(self.layer, [click.place])
            self._say("now click the other end of the line")
            return
        first = self._gathered[0]
        self._cut(first, click)

    def _cut(self, first: Clicked, last: Clicked) -> None:
        self._forget()
        shown = list(self.viewer.dims.displayed)
        before = self.viewer.dims.ndim - self.layer.ndim
        axes = tuple(axis - before - len(first.frame) for axis in shown)
        if len(axes) != 2 or min(axes) < 0:
            self._say("a line cuts in a slice: switch the viewer to 2-D, or split by clicks, which works in 3-D", True)
            return
        start, stop = ([float(one.inner_exact[axis]) for axis in axes] for one in (first, last))
        label = _under(self._part(first), first, last)
        if not label:
            self._say("the line meets no object; draw it across one", True)
            return
        self._do(
            lambda labels: _edits.cut(labels, label, start, stop, axes, highest=self._highest()), first, f"cut {label}"
        )

    def _delete(self, click: Clicked) -> None:
        if click.label:
            self._do(lambda labels: _edits.erase(labels, [click.label]), click, f"deleted {click.label}")

    def _do(self, make: Callable[[NDArray[Any]], Edit], at: Clicked, done: str) -> bool:
        """Make an edit and put it into the layer, as one step of its history; tell whether it could be."""
        try:
            edit = make(self._part(at))
        except (ValueError, TypeError) as error:
            self._say(str(error), True)
            return False
        put(self.layer, edit, at.frame)
        new = f": {', '.join(map(str, edit.new))} {'is' if len(edit.new) == 1 else 'are'} new" if edit.new else ""
        self._say(f"{done}{new}; {_UNDO}")
        return True

    def _part(self, click: Clicked) -> NDArray[Any]:
        """Return the labels of the frame that was clicked."""
        part: NDArray[Any] = self.layer.data[click.frame]
        return part

    def _highest(self) -> int:
        """Return the highest label beyond the frame that is edited: of other frames, and of the store it came from."""
        known = int(ours(self.layer).get("highest", 0))
        return max(known, int(self.layer.data.max(initial=0))) if frame_of(self.layer) else known


def _under(labels: NDArray[Any], first: Clicked, last: Clicked) -> int:
    """Return the object of which a line covers most, the first of those that are equal; 0 if none."""
    start, stop = np.array(first.inner_exact), np.array(last.inner_exact)
    n = max(int(np.abs(stop - start).max() * 2), 1) + 1
    steps = np.rint(start + np.linspace(0, 1, n)[:, None] * (stop - start)).astype(int)
    inside = ((steps >= 0) & (steps < labels.shape)).all(axis=1)
    values = labels[tuple(steps[inside].T)]
    found, counts = np.unique(values[values != 0], return_counts=True)
    return int(found[counts.argmax()]) if len(found) else 0


def put(layer: Layer, edit: Edit, frame: tuple[int, ...] = ()) -> None:
    """Put an edit into a Labels layer, as one step that napari's own undo takes back.

    Parameters
    ----------
    layer : napari Labels layer
        In memory.
    edit : Edit
        What changes in the frame.
    frame : tuple of int
        Which index along the first axes was edited.
    """
    if not edit.n_voxels:
        return
    small = np.int32 if max(layer.data.shape) < 2**31 else np.intp  # the history keeps these
    leading = tuple(np.full(edit.n_voxels, at, small) for at in frame)
    with layer.block_history():  # else napari tells of the change before it makes it
        layer.data_setitem((*leading, *(at.astype(small) for at in edit.at)), edit.labels)


_CLICKS: WeakKeyDictionary[Any, Clicks] = WeakKeyDictionary()


def clicks(viewer: Any) -> Clicks:
    """Return what hears the clicks of a viewer, which lives as long as the viewer.

    Parameters
    ----------
    viewer : napari viewer
        The viewer, or the proxy of it that napari hands to plugins.

    Returns
    -------
    Clicks
        Always the same for one viewer.
    """
    return of_viewer(viewer, _CLICKS, Clicks)

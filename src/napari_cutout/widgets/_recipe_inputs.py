"""The layers that a recipe reads: a row for each of its inputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QWidget

from .._sources import Source
from ..recipe import Recipe
from ._access import explain
from ._dock import form, problem_line
from ._editors import caption
from ._layer_box import LayerBox, LayerField

__all__ = ["InputRows"]

Layer = Any
"""A napari layer."""

_KEPT = "as it was saved"
"""The choice of an input that needs no layer."""


class InputRows(QWidget):  # type: ignore[misc]
    """Chooses the layers.

    Parameters
    ----------
    layers : napari layer list
        The layers of the viewer.

    Attributes
    ----------
    boxes
        By the names of the inputs.
    lines
        The line below each for what is wrong.
    changed
        Emitted when another layer is chosen.
    add_pressed
        Emitted with the name of an input for which a layer to paint on is wanted.
    """

    changed = Signal()
    add_pressed = Signal(str)

    def __init__(self, layers: Any) -> None:
        super().__init__()
        self._layers = layers
        self._shown: tuple[Any, ...] = ()
        self._anew = False
        self.boxes: dict[str, LayerBox] = {}
        self.lines: dict[str, QLabel] = {}
        self._form = form()
        self._form.setContentsMargins(0, 0, 0, 0)
        self.setLayout(self._form)

    @property
    def chosen(self) -> dict[str, Layer | None]:
        """The layer of every input; None for one that is kept."""
        return {name: box.layer for name, box in self.boxes.items()}

    def begin_anew(self) -> None:
        """Let the next recipe read the layers that it was made on, whatever is chosen now, where they are there."""
        self._shown, self._anew = (), True

    def show_for(self, recipe: Recipe, kept: Collection[str], sources: Mapping[str, Source]) -> bool:
        """Show a row for each input of a recipe; layers stay chosen, unless it begins anew.

        Parameters
        ----------
        recipe : Recipe
            What reads them.
        kept : collection of str
            The inputs that need no layer.
        sources : mapping of str to Source
            Which layers they were.

        Returns
        -------
        bool
            True if there are other rows now.
        """
        now = tuple((name, role, name in kept) for name, role in recipe.roles.items()), recipe.source
        if now == self._shown:
            return False
        before, anew = self.chosen, self._anew
        self._shown, self._anew = now, False
        while self._form.rowCount():
            self._form.removeRow(0)
        self.boxes, self.lines = {}, {}
        for name, role in recipe.roles.items():
            is_kept = name in kept and name != recipe.source
            box = LayerBox(self._layers, _kind(role), optional=is_kept, none=_KEPT)
            explain(box, name, f"The layer that the recipe reads as {name}.")
            was = sources[name].layer if name in sources else ""
            named = next((layer for layer in box.offered if layer is not None and layer.name == was), None)
            kept_on = before.get(name)
            wanted = (named or kept_on) if anew else (kept_on or named)
            if wanted is not None and wanted in box.offered:
                box.choose(wanted)
            self._add(name, box, can_add=role != "image" and name != recipe.source)
        return True

    def _add(self, name: str, box: LayerBox, *, can_add: bool) -> None:
        row = LayerField(box, can_add=can_add)
        row.add_pressed.connect(lambda: self.add_pressed.emit(name))
        label = QLabel(caption(name))
        label.setBuddy(box)
        self.boxes[name], self.lines[name] = box, problem_line()
        box.changed.connect(self.changed)
        self._form.addRow(label, row)
        self._form.addRow(self.lines[name])

    @property
    def names(self) -> Sequence[str]:
        """The names of the inputs."""
        return list(self.boxes)


def _kind(role: str) -> tuple[type, ...]:
    """Return which layers an input may come from."""
    from napari.layers import Image, Labels, Points

    return {"image": (Image,), "markers": (Labels, Points)}.get(role, (Labels,))

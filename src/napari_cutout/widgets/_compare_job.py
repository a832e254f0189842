"""What *Compare* asks, runs and shows, as plain data and functions.  No Qt here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from .._monitor import Cancelled
from .._selection import Selection
from ..comparison._contest import Rules, shown_at
from ..comparison._preparation import Comparison, prepared
from ..comparison.leaderboard import FOR_CHOOSING, Leaderboard, Row, Standing
from ..evaluation._annotation import Unpainted
from . import _layers
from ._columns import Column
from ._target import Choice, Extent, Target, levels_of, spatial, target
from ._thumbnails import RGB, ground, outlined

__all__ = [
    "COLUMNS",
    "Asked",
    "Question",
    "Setup",
    "SoFar",
    "columns_of",
    "fitting_level",
    "headline",
    "notes_of",
    "standing",
    "whole_of",
]

Layer = Any
"""A napari layer."""

PICTURE_EDGE = 44
"""Pixels of the longer edge of a picture in the table."""

COLUMNS = (
    Column("rank", "#", "1 is the best; equal scores share a rank, and a second annotator has none", format="d"),
    Column("picture", "labels", "the labels in the plane in which most is annotated; click to see them on the image"),
    Column("name", tooltip="the method and what sets it apart from others of the table, or a layer"),
    Column("score", tooltip="what rows are ranked by, on what was held out", format=".3f"),
    Column("interval", "95 %", "where the score may lie on other strokes or blocks of this kind, by bootstrap"),
    Column("tied", tooltip="cannot be told from the best: corrected p above 0.05, and intervals overlap"),
    Column("dice", "Dice", "mean over classes, on what was held out", format=".3f"),
    Column("iou", "IoU", "mean over classes, on what was held out", format=".3f"),
    Column("f1", "F1", "of objects at an IoU of 0.5, where the annotation numbers them", format=".3f"),
    Column("seconds", "s", "what a run took, in seconds: the median over settings", format=".2g"),
    Column("note", tooltip="why a method failed, or what one should know about it"),
)
"""The table, in the order of its columns."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form said when *Compare* was pressed; whether the table is current is read from it.

    Parameters
    ----------
    image, truth : str
        The names of the layers.
    unpainted : {"background", "not annotated"}
        What label 0 of the annotation means.
    methods : tuple of str or None
        Which methods; None for all that apply.
    rules : Rules
        How they are compared.
    selection : Selection
        What of the image is looked at.
    spacing : tuple of float or None
        World length of a voxel.
    layers : tuple of int
        All layers that take part, by their `id`.
    """

    image: str
    truth: str
    unpainted: Unpainted
    methods: tuple[str, ...] | None
    rules: Rules
    selection: Selection
    spacing: tuple[float, ...] | None
    layers: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Setup:
    """What the form says.

    Parameters
    ----------
    image, truth : napari layer or None
        What is cut, and the annotation.
    choice : Choice
        Axes, channel and level of the image.
    extent : Extent or None
        What is in view, and where to look; None if there is no image.
    unpainted : {"background", "not annotated"}
        What label 0 of the annotation means.
    methods : tuple of str or None
        Which methods; None for all that apply.
    rules : Rules
        How they are compared.
    contestants : tuple of napari Labels layer
        Other labels that take part.
    ceiling : napari Labels layer or None
        A second annotator.
    voxel_size : VoxelSize or None
        Used where the image has no size of its own.
    """

    image: Layer
    truth: Layer
    choice: Choice
    extent: Extent | None
    unpainted: Unpainted
    methods: tuple[str, ...] | None
    rules: Rules
    contestants: tuple[Layer, ...] = ()
    ceiling: Layer = None
    voxel_size: _layers.VoxelSize | None = None

    @cached_property
    def target(self) -> Target:
        """What is looked at; raises `Unfit` if that is not said yet."""
        return target(self.image, self.choice, self.extent or Extent((0,) * 5))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers that take part."""
        second = () if self.ceiling is None else (self.ceiling,)
        return (self.image, self.truth, *self.contestants, *second)

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """World length of a voxel along the axes that methods see; None if nobody has set it."""
        return spacing_of(self.image, self.target, self.choice, self.voxel_size)

    @property
    def asked(self) -> Asked:
        """What can be compared with what another form says."""
        return Asked(
            self.image.name if self.image is not None else "",
            self.truth.name if self.truth is not None else "",
            self.unpainted,
            self.methods,
            self.rules,
            self.target.selection,
            self.spacing,
            tuple(id(layer) for layer in self.layers),
        )

    def problems(self) -> dict[str, str]:
        """Say why it cannot be run, by the names of fields; empty if it can."""
        if self.image is None:
            return {"image": "there is no image layer; open an image, or a sample from the File menu"}
        try:
            aim = self.target
        except ValueError as error:
            return {getattr(error, "field", "axes"): str(error)}
        found = _region_problem(self, aim)
        if self.truth is None:
            paint = "press + beside the field and paint a stroke on objects, and one with another label beside them"
            return {**found, "truth": f"there is no Labels layer to use as annotation; {paint}"}
        named = {"truth": self.truth, "ceiling": self.ceiling}
        wrong = {name: layer_problem(layer, self) for name, layer in named.items() if layer is not None}
        if self.ceiling is self.truth:
            wrong["ceiling"] = f"annotation and second annotator are both '{self.truth.name}'; choose another layer"
        return {**found, **{name: sentence for name, sentence in wrong.items() if sentence}}


def spacing_of(image: Layer, aim: Target, choice: Choice, given: _layers.VoxelSize | None) -> tuple[float, ...] | None:
    """Return the world length of a voxel along the axes that methods see: the layer's, else what was given."""
    if _layers.has_voxel_size(image, spatial(choice.letters)):
        return aim.run_spacing
    axes = aim.selection.kept_axes.replace("t", "")
    if given is None or len(given.lengths) != len(axes):
        return None
    return tuple(s for axis, s in zip(axes, given.lengths, strict=True) if axis in aim.selection.run_axes)


def _region_problem(setup: Setup, aim: Target) -> dict[str, str]:
    """Say what is wrong with the part of the image that is looked at."""
    if setup.extent is not None and setup.extent.outline is not None:
        return {"region": "a comparison looks into one upright rectangle only; draw one, or choose the field of view"}
    n_bytes = math.prod(aim.result_shape) * np.dtype(aim.array.dtype).itemsize
    if isinstance(aim.array, np.ndarray) or n_bytes <= _layers.MAX_LAZY_BYTES:
        return {}
    way_out = "choose a coarser level, or the field of view" if len(levels_of(setup.image)) > 1 else "choose a part"
    size, most = n_bytes / 2**30, _layers.MAX_LAZY_BYTES / 2**30
    return {
        "region": f"'{setup.image.name}' is not in memory and has {size:.1f} GiB here; at most {most:g} GiB are read "
        f"for a comparison; {way_out}"
    }


def layer_problem(layer: Layer, setup: Setup) -> str:
    """Say why labels cannot be compared on the image, in one sentence; empty if they can."""
    aim, shape = setup.target, tuple(_layers.level_zero(layer).shape)
    if shape != aim.shape:
        level = f" at level {setup.choice.level}" if setup.choice.level else ""
        return (
            f"'{layer.name}' has the shape {shape}, and '{setup.image.name}'{level} needs {aim.shape}; press + beside "
            "the field for a layer that fits, or crop or resample it"
        )
    if not _layers.lies_at(layer, aim.place, aim.shape):
        return (
            f"'{layer.name}' lies elsewhere than '{setup.image.name}' or has another scale; copy the image's scale "
            "and transforms to it (right-click)"
        )
    return ""


def fitting_level(image: Layer, truth: Layer | None, choice: Choice) -> int:
    """Return the level of a pyramid to compare on: that which the annotation fits, else the finest that can be read.

    Parameters
    ----------
    image : napari Image layer
        With one level or several.
    truth : napari Labels layer or None
        The annotation.
    choice : Choice
        What was chosen so far.

    Returns
    -------
    int
        The chosen one where nothing speaks against it.
    """
    levels = levels_of(image)
    if truth is not None:
        wanted = tuple(_layers.level_zero(truth).shape)
        kept = [at for at, axis in enumerate(choice.letters) if axis != "c"]
        fits = [n for n, one in enumerate(levels) if len(kept) and tuple(one.shape[at] for at in kept) == wanted]
        if fits:
            return fits[0]
    for number, one in enumerate(levels[choice.level :], start=choice.level):
        n_bytes = math.prod(one.shape) * np.dtype(one.dtype).itemsize
        if isinstance(one, np.ndarray) or n_bytes <= _layers.MAX_LAZY_BYTES:
            return number
    return choice.level


# Running --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class SoFar:
    """The rows that are finished, ranked.

    Parameters
    ----------
    board : Leaderboard
        Of those rows.
    pictures : mapping of int to uint8 array of shape (height, width, 3)
        By the `id` of their rows; at most `PICTURE_EDGE` pixels along an edge.
    index : tuple of int
        Which plane pictures show, along all axes of the labels but the last two.
    n_entries : int
        How many rows there will be.
    """

    board: Leaderboard
    pictures: Mapping[int, RGB]
    index: tuple[int, ...]
    n_entries: int


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What a press on *Compare* asks: layers were read when it was pressed.

    Parameters
    ----------
    setup : Setup
        What the form said.
    truth : integer array
        A copy of the annotation, of what is looked at.
    labels : mapping of str to integer array
        The same of other labels, by what their rows are called.
    ceiling : integer array or None
        The same of a second annotator.
    """

    setup: Setup
    truth: Any
    labels: Mapping[str, Any] = field(default_factory=dict)
    ceiling: Any = None

    @classmethod
    def of(cls, setup: Setup) -> Question:
        """Read the layers that a form has chosen."""
        second = None if setup.ceiling is None else _part(setup.ceiling, setup)
        labels = {layer.name: _part(layer, setup) for layer in setup.contestants}
        return cls(setup, _part(setup.truth, setup), labels, second)

    def answer(
        self,
        tell: Callable[[SoFar], None],
        on_progress: Callable[[str, float], None],
        is_cancelled: Callable[[], bool],
    ) -> SoFar:
        """Run all rows; call it in a thread of its own.

        Parameters
        ----------
        tell : callable
            Called after each row with all that are finished.
        on_progress : callable
            Called with the name of a method and the fraction of all that are done.
        is_cancelled : callable
            Polled while methods run.

        Returns
        -------
        SoFar
            All of them.

        Raises
        ------
        Cancelled
            If `is_cancelled` returned True; what was told stands.
        """
        on_progress("reading", 0.0)
        made = self._prepared(is_cancelled)
        index, n = shown_at(made.contest.truths[0]), len(made.entries)
        rows: list[Row] = []
        pictures: dict[int, RGB] = {}
        so_far = SoFar(made.leaderboard(rows), pictures, index, n)
        shown = so_far.board.given.image
        assert shown is not None
        grey = ground(shown, PICTURE_EDGE)
        try:
            for number, entry in enumerate(made.entries):
                on_progress(entry.name, number / n)
                if is_cancelled():
                    raise Cancelled
                rows.append(made.contest.row(entry))
                if (plane := rows[-1].plane) is not None:
                    pictures[id(rows[-1])] = outlined(
                        grey, plane, objects_in(plane, rows[-1], made.contest.problem.background)
                    )
                so_far = SoFar(made.leaderboard(rows), dict(pictures), index, n)
                tell(so_far)
        except Cancelled:
            raise Cancelled(f"cancelled; {len(rows)} of {n} rows were finished and stay") from None
        return so_far

    def _prepared(self, is_cancelled: Callable[[], bool]) -> Comparison:
        setup = self.setup
        return prepared(
            setup.target.array,
            self.truth,
            rules=setup.rules,
            methods=setup.methods,
            labels=self.labels,
            ceiling=self.ceiling,
            ignore=0 if setup.unpainted == "not annotated" else None,
            spacing=setup.spacing,
            selection=setup.target.selection,
            is_cancelled=is_cancelled,
        )


def _part(layer: Layer, setup: Setup) -> Any:
    """Return a copy of the labels of a layer where the comparison looks."""
    aim = setup.target
    whole = aim.as_input(_layers.level_zero(layer))
    return np.array(whole[tuple(slice(*ends) for ends in aim.selection.bounds(tuple(aim.array.shape)))])


def objects_in(plane: Any, row: Row, background: int) -> Any:
    """Return where a row sees objects in its plane: labels that stand for another class than the background."""
    if not row.mapping:
        return plane != 0
    return np.isin(plane, [label for label, of in row.mapping.items() if of != background])


# Showing --------------------------------------------------------------------------------------------------


def columns_of(board: Leaderboard) -> dict[str, list[Any]]:
    """Return the columns of the table; a picture is the number of its row."""
    table = [_cells(number, one, board.winner) for number, one in enumerate(board.standings)]
    return {column.name: [row[column.name] for row in table] for column in COLUMNS}


def _cells(number: int, one: Standing, winner: Standing | None) -> dict[str, Any]:
    record = one.record()
    ceiling = "second annotator: what can be reached" if one.row.is_ceiling else ""
    return {
        **record,
        "rank": math.nan if one.rank is None else one.rank,
        "picture": number,
        "interval": "" if one.low != one.low else f"{one.low:.2f} to {one.high:.2f}",
        "tied": "tied" if one.tied and one is not winner else "",
        "note": f"failed: {one.row.error}" if one.row.error else record["note"] or ceiling,
    }


def headline(so_far: SoFar, asked: Asked) -> str:
    """Say what was scored, and what one should know before reading a score.

    Parameters
    ----------
    so_far : SoFar
        What is finished.
    asked : Asked
        What the form said.

    Returns
    -------
    str
        A few short lines; that strokes are for choosing comes first.
    """
    board = so_far.board
    first = [_sentence(note)[:-1] for note in board.notes if _is_for_choosing(note)]
    scored = f"Ranked by {board.metric} on {board.n_units} {board.held_out} held out"
    lines = [*first, scored]
    if asked.selection.level:
        lines.append(f"On level {asked.selection.level} of the pyramid; settings in voxels are those of that level")
    if board.winner is not None:
        tied = sum(one.tied and one is not board.winner for one in board.standings)
        best = f"Best: {board.winner.row.name}"
        lines.append(f"{best}; {tied} more cannot be told from it" if tied else best)
    return ".\n".join(lines) + "."


def notes_of(so_far: SoFar) -> list[str]:
    """Return what else one should know of the scores, a sentence each."""
    board = so_far.board
    notes = [*board.notes, *([board.order_note] if board.order_note else [])]
    return [_sentence(_without_code(note)) for note in notes if not _is_for_choosing(note)]


def _without_code(note: str) -> str:
    """Leave out what only Python and the command line have: a clause after a semicolon with a name in backquotes."""
    return "; ".join(part for part in note.split("; ") if "`" not in part)


def _is_for_choosing(note: str) -> bool:
    return note.lower() == FOR_CHOOSING.lower()


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:]}."


def standing(shown: Asked, now: Asked | None, *, changed: bool, gone: bool) -> str:
    """Say why the table is not that of what the form says now, or return an empty string.

    Parameters
    ----------
    shown : Asked
        What was compared.
    now : Asked or None
        What the form says now; None if it lacks something.
    changed : bool
        Whether a layer was edited or moved since.
    gone : bool
        Whether a layer is no longer in the viewer.

    Returns
    -------
    str
        One sentence.
    """
    pair = f"'{shown.image}' against '{shown.truth}'"
    if gone:
        return f"Rows of {pair}; a layer of them is gone."
    if changed:
        return f"Rows of an earlier state: {pair}, or a layer beside them, changed since. Press Compare to run again."
    if now is None or now.layers != shown.layers:
        return f"Rows of {pair}, not of the layers chosen above."
    return "" if now == shown else "Rows of other settings than those above. Press Compare to run with these."


def whole_of(setup: Setup) -> Setup:
    """Return a form that looks at all of the image in the same way: all slices and frames, each by itself or not."""
    choice = setup.choice
    every = replace(
        choice,
        depth="each" if choice.depth == "this" else choice.depth,
        time="each" if choice.time == "this" else choice.time,
    )
    point = (0,) * 5 if setup.extent is None else setup.extent.point
    return replace(setup, choice=every, extent=Extent(point))

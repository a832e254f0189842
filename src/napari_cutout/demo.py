"""The main job, headless: every method on annotated images, compared, with labels, pictures and reports."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from . import catalog, io
from ._demo_tiles import said_in_tiles
from ._device import Asked
from ._own_folder import OwnFolder
from ._pictures import Panels, Strip, draw
from ._reading import read_image, read_labels
from ._stored import file_name
from ._volume import Volume
from ._writing import scratch_folder, write_text
from .comparison._contest import Rules
from .comparison._cuts import CLASS_STROKES
from .comparison._preparation import prepared
from .comparison._strokes import one_kind, strokes_from
from .comparison.compare import compare
from .comparison.leaderboard import Leaderboard, Standing
from .comparison.try_all import try_all
from .evaluation.overlap import error_map
from .recipe import Recipe, Step, with_provenance
from .reporting._comparison import Origin, write_report
from .reporting._inputs import Files
from .running._batch import ERRORS, columns, sentence
from .running._execute import execute
from .samples import coins, nuclei_2d, nuclei_3d

__all__ = ["demo"]

MARKER = ".napari-cutout-demo"
"""A folder that holds this file was made by the demo; its lines name the files that the demo wrote into it."""

_TAKEN = ("readme.txt", MARKER)
"""Names that an image cannot have, because files of the demo beside it have them."""

REPORT, ON_STROKES = "report", "report-on-strokes"
"""Folders of the two comparisons of a sample."""

NETWORK = "unet_from_strokes"
"""The row of the network that the strokes teach."""

LEARNING = {"n_steps": 35, "width": 8, "dimensions": 2}
"""A training of seconds, for the comparison trains once for each fold."""

TIDY = " cleaned"
"""What is added to the name of a row whose recipe cleans up."""

BACKGROUND_RADIUS = 50.0
"""Half the box of the background subtraction, in pixels; wider than the objects of most images."""

_README = """\
What napari-cutout's demo wrote. The next demo with the same folder replaces these files,
and keeps all others.

<sample>/report/report.html  every method, ranked by how it does on parts of the image that were held out; open it in
                             a browser. Beside it the table as CSV, LaTeX and JSON, and the recipe of every row
<sample>/report-on-strokes/  the same where only a few strokes are known, as you would paint them; they were made from
                             the truth, and serve for choosing, not for publishing
<sample>/picture.png         the best row of each method: image, truth, labels, errors
<sample>/labels/<row>.tif    the labels of each row as OME-TIFF, and as OME-Zarr (<row>.zarr)
<sample>/labels/<row>.json   its recipe, and how the labels came about (device, versions, settings, thresholds)
<sample>/image.tif           the image, where it is a sample of ours
<sample>/in-tiles.zarr       of a volume: labels that were found tile by tile, from image.zarr
<sample>/truth.tif           its annotation
<sample>/strokes.tif         the strokes

Cleaned: the uneven background subtracted (radius 50) and smoothed (sigma 1) before the cut, holes filled and
objects below 30 pixels or 100 voxels removed after it.

Check a report of a sample against the files beside it:
  napari-cutout verify <sample>/report/report.json

Run a recipe on your own image:
  napari-cutout run <sample>/labels/<row>.json image.tif labels.tif
A recipe that reads markers also needs --input markers=strokes.tif

unet_from_strokes: a small U-Net that was trained for some seconds on the strokes of the tuning part, as all methods
that read strokes are given them. How to train one for your own images: napari-cutout unet train --help
"""


@dataclass(frozen=True, eq=False)
class Case:
    """An image to run everything on.

    Parameters
    ----------
    name : str
        What its folder is called.
    image : Volume
        Grey, 2-D or 3-D.
    truth : array, optional
        Its annotation.
    ignore : int, optional
        The value of truth that means *not annotated*.
    ours : bool
        True for a sample of ours, which is written beside the results.
    learned : bool
        True if a network is trained on its strokes, too, which takes about a minute.
    """

    name: str
    image: Volume
    truth: NDArray[Any] | None = None
    ignore: int | None = None
    ours: bool = False
    learned: bool = False

    @cached_property
    def strokes(self) -> NDArray[Any] | None:
        """Strokes: the truth where it holds some, else painted from it; None without a truth."""
        if self.truth is None or self.ignore == 0:
            return self.truth
        return strokes_from(self.truth, self.ignore)

    @cached_property
    def shown_at(self) -> Any:
        """The index of the plane that pictures show: the one with most of the truth, or the middle one."""
        if self.image.data.ndim == 2:
            return ()
        if self.truth is None or not (self.truth != 0).any():
            return self.image.data.shape[0] // 2
        return int((self.truth != 0).sum(axis=(1, 2)).argmax())


def demo(
    output: Path,
    *,
    image: str | None = None,
    truth: str | None = None,
    ignore: int | None = None,
    channel: int | Literal["mean"] | None = None,
    device: Asked = "auto",
    overwrite: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Leaderboard]:
    """Compare every method on annotated images, and write a folder of reports, labels and pictures.

    Parameters
    ----------
    output : Path
        The folder to make. In one that the demo made before, the demo's own files are replaced; others stay.
    image : path, optional
        Your image, such as ``"image.tif"`` or ``"file.npz:key"``; by default three annotated samples are run.
    truth : path, optional
        Its annotation. Without one, methods are run and not scored.
    ignore : int, optional
        The value of truth that means *not annotated*; 0 for strokes.
    channel : int or "mean", optional
        Which channel to take of an image that has several.
    device : {"auto", "cpu", "gpu"}
        Where to run.
    overwrite : bool
        Write into a folder that is there although the demo did not make it; files that are there stay.
    say : callable
        Gets the lines that a user reads.

    Returns
    -------
    dict of str to Leaderboard
        The comparisons, by the folder of their report in `output`.

    Raises
    ------
    FileExistsError
        If the folder is there, is not the demo's, and `overwrite` is False; or a file that the demo did not write
        has the name of one that it would write.
    ValueError
        If a file cannot be read, or the truth does not fit the image or names nothing to compare.
    """
    output = Path(output).resolve()
    folder = OwnFolder(output, MARKER, "the demo")
    folder.check(overwrite)
    if truth is not None and image is None:
        raise ValueError(f"truth {truth!r} was given without an image; give both, or none to run the samples")
    cases = samples() if image is None else [own_case(image, truth, ignore, channel)]
    folder.check_free(["README.txt", *(f"{case.name}/picture.png" for case in cases)])
    boards: dict[str, Leaderboard] = {}
    with scratch_folder(output) as work:
        for case in cases:
            (work / case.name / "labels").mkdir(parents=True)
            _write_inputs(case, work / case.name)
            found = _compared(case, work / case.name, device, say)
            _write_labels(case, found, work / case.name, device, say)
            boards |= {f"{case.name}/{name}": board for name, board in found.items()}
        write_text(work / "README.txt", _README)
        folder.take(work)
    say(f"\nLabels, recipes and pictures are in {output}; README.txt there says what is what.")
    say("\n".join(_last_lines(output, list(boards))))
    return boards


def samples() -> list[Case]:
    """Return the annotated samples: a volume, and two images."""
    made = [make() for make in (nuclei_3d, nuclei_2d, coins)]
    return [
        Case(s.name, s.image, np.asarray(s.truth.data), ours=True, learned=s.name == "nuclei_2d")
        for s in made
        if s.truth is not None
    ]


def own_case(image: str, truth: str | None, ignore: int | None, channel: int | Literal["mean"] | None) -> Case:
    """Read the user's own image and its annotation."""
    volume = read_image(image, channel=channel)
    annotation = None if truth is None else np.asarray(read_labels(truth, "truth"))
    if annotation is not None and annotation.shape != volume.data.shape:
        raise ValueError(
            f"truth must have the shape of image, {volume.data.shape}, but has {annotation.shape}; "
            "crop or resample it to the image"
        )
    name = file_name(volume.name) or "image"
    return Case(f"{name} image" if name.casefold() in _TAKEN else name, volume, annotation, ignore, learned=True)


def _last_lines(output: Path, reports: list[str]) -> Iterator[str]:
    """Yield what to do next: which report to open, or how to get one."""
    if not reports:
        yield "Nothing is scored without a truth. Paint a few strokes, save them, and see which method is best:"
        yield "  napari-cutout compare IMAGE STROKES --ignore 0 --report report"
        return
    yield "Open in a browser:"
    yield from (f"  {output / name / 'report.html'}" for name in reports)


# Comparing ---------------------------------------------------------------------------------------------


def _compared(case: Case, folder: Path, device: Asked, say: Callable[[str], None]) -> dict[str, Leaderboard]:
    """Compare methods on the truth, and on strokes; write the reports, and return the leaderboards by their names."""
    shape = " x ".join(map(str, case.image.data.shape))
    say(f"\n{case.name}: {shape} voxels, {case.image.data.dtype}")
    if case.truth is None:
        return {}
    image, spacing = case.image.data, case.image.spacing
    tidy, learned = cleaned_up(case, device), _learned(case, say)
    on_strokes = learned if case.ignore == 0 else {}
    boards = {
        REPORT: compare(
            image, case.truth, recipes=tidy | on_strokes, ignore=case.ignore, spacing=spacing, device=device
        )
    }
    if case.ignore != 0:
        boards[ON_STROKES] = compare(image, case.strokes, recipes=learned, ignore=0, spacing=spacing, device=device)
    for name, board in boards.items():
        say(f"\n{case.name}, scored on {board.held_out} that were held out:\n{board.summary()}")
        write_report(board, folder / name, origin=_origin(case, folder, name))
    return boards


def _learned(case: Case, say: Callable[[str], None]) -> dict[str, Recipe]:
    """Return the network that takes part where strokes are known, if there is torch to train it."""
    if not case.learned:
        return {}
    if find_spec("torch") is None:
        say(f'{NETWORK} is left out, because torch is not installed: pip install "napari-cutout[unet]"')
        return {}
    say("training a small U-Net on strokes, once for each part that is held out")
    return {NETWORK: Recipe([Step(NETWORK, LEARNING, {"markers": CLASS_STROKES})])}


def _origin(case: Case, folder: Path, name: str) -> Origin | None:
    """Return the files that a report can be verified with, where they lie beside it."""
    truth = folder / ("strokes.tif" if name == ON_STROKES else "truth.tif")
    return Origin(Files((str(folder / "image.tif"),), (str(truth),))) if case.ours else None


def cleaned_up(case: Case, device: Asked = "auto") -> dict[str, Recipe]:
    """Return what `compare` runs by itself, with the steps around each cut that most images need.

    Parameters
    ----------
    case : Case
        An image with a truth.
    device : {"auto", "cpu", "gpu"}
        Where grey levels are counted.

    Returns
    -------
    dict of str to Recipe
        By what the rows are called.
    """
    rules = Rules("dice", tune=False, budget=2, folds=2, repeats=1, seed=0, device=device)
    made = prepared(case.image.data, case.truth, rules=rules, ignore=case.ignore, spacing=case.image.spacing)
    numbered = made.contest.problem.numbered
    return {
        f"{entry.name}{TIDY}": _tidy(entry.recipe, case.image.data.ndim, numbered=numbered)
        for entry in made.entries
        if entry.recipe is not None and not entry.strokes and not _needs_a_level(entry.recipe)
    }


def _needs_a_level(recipe: Recipe) -> bool:
    """Tell whether a grey level was given, which is one of the image as it is and not of what is left after a step."""
    return any(p.required and p.grey_level for step in recipe.steps for p in catalog.find(step.method).settings)


def _tidy(recipe: Recipe, ndim: int, *, numbered: bool) -> Recipe:
    """Return a recipe with the steps around each cut switched on, and objects numbered where that is asked for."""
    around = {"sigma": 1.0, "fill_holes": True, "min_size": 30 if ndim == 2 else 100}
    steps = []
    for step in recipe.steps:
        known = {p.name for p in catalog.find(step.method).settings}
        more: dict[str, Any] = dict(around)
        if "window" not in known:  # which levels the background itself
            more["background_radius"] = BACKGROUND_RADIUS
        if numbered and "n_classes" not in known:  # of several classes the scores tell which are objects
            more["one_per_object"] = True
        own = {name: value for name, value in more.items() if name in known}
        steps.append(Step(step.method, {**step.settings, **own}, step.inputs))
    return replace(recipe, steps=steps)


# Writing -----------------------------------------------------------------------------------------------


def _write_inputs(case: Case, folder: Path) -> None:
    if case.strokes is not None and case.ignore != 0:
        io.write(folder / "strokes.tif", replace(case.image, data=case.strokes, metadata={}))
    if case.ours and case.truth is not None:
        io.write(folder / "image.tif", case.image, kind="image")
        io.write(folder / "truth.tif", replace(case.image, data=case.truth))


def _write_labels(
    case: Case, boards: Mapping[str, Leaderboard], folder: Path, device: Asked, say: Callable[[str], None]
) -> None:
    """Run every row on the whole image, write its labels and its recipe, and draw the best of each method."""
    standings = _standings(boards)
    recipes = {name: one.row.recipe for name, one in standings.items() if one.row.recipe is not None}
    recipes = recipes or _untried(case, device, say)
    shown = _best_of_way(recipes, standings)
    arrays = {"image": case.image.data, CLASS_STROKES: case.strokes}
    strips, in_tiles = [], ""
    for name, recipe in recipes.items():
        try:
            given = {needed: arrays[needed] for needed in recipe.inputs}
            ran = execute(recipe, given, spacing=case.image.spacing, device=device)
        except ERRORS as error:  # such as of a volume, where a plane went well
            say(f"{name}: {sentence(error)}")
            continue
        path = folder / "labels" / "-".join(re.findall(r"\w+", name))
        volume = replace(case.image, data=ran.labels, name=path.name, metadata={"provenance": ran.provenance})
        for ending in (".tif", ".zarr"):
            io.write(path.with_suffix(ending), volume, kind="labels")
        write_text(path.with_suffix(".json"), with_provenance(recipe, ran.provenance, path.parent))
        if case.ours and case.image.data.ndim == 3 and _splits(recipe) and not in_tiles:
            in_tiles = said_in_tiles(case.image, name, recipe, ran.labels, folder, device)
        if name in shown:
            strips.append(_strip(case, name, standings.get(name), ran.labels))
    draw(folder / "picture.png", _panels(case, strips))
    if in_tiles:
        say(f"\n{in_tiles}")


def _splits(recipe: Recipe) -> bool:
    """Tell whether a recipe cuts and then splits, and needs the image alone."""
    return len(recipe.steps) > 1 and recipe.inputs == (recipe.source,)


def _standings(boards: Mapping[str, Leaderboard]) -> dict[str, Standing]:
    """Return the rows that can be run by their names, the best first; of two of one name the first."""
    found: dict[str, Standing] = {}
    for board in boards.values():
        for one in board.standings:
            if one.row.recipe is not None and not one.row.error:
                found.setdefault(one.row.name, one)
    return found


def _untried(case: Case, device: Asked, say: Callable[[str], None]) -> dict[str, Recipe]:
    """Try all methods on one plane, say what each finds, and return what can be run on all of the image."""
    lines, recipes = [("method", "objects in a plane", "cover", "")], {}
    for trial in try_all(case.image.data, spacing=case.image.spacing, device=device):
        note = trial.error or (f"like {trial.like}" if trial.like else "")
        lines.append((trial.name, str(trial.n_objects), "" if trial.error else f"{trial.share:.1%}", note))
        if not trial.error:
            recipes[trial.name] = whole = replace(trial.recipe, selection=None)
            recipes[f"{trial.name}{TIDY}"] = _tidy(whole, case.image.data.ndim, numbered=True)
    say("\n".join(columns(lines, right=[1, 2])))
    return recipes


# What is shown -----------------------------------------------------------------------------------------


def _best_of_way(recipes: Mapping[str, Recipe], standings: Mapping[str, Standing]) -> set[str]:
    """Return the best row of each way; of those that split objects by the objects, which hardly move the Dice."""
    of_way: dict[tuple[str, ...], list[str]] = {}
    for name, recipe in recipes.items():
        of_way.setdefault(_way(recipe), []).append(name)

    def merit(name: str) -> float:
        """Return F1 of a row that splits; all others are equal, and of equals the first is taken."""
        if len(recipes[name].steps) == 1 or name not in standings:
            return 0.0
        f1 = standings[name].f1
        return f1 if f1 == f1 else 0.0

    return {max(names, key=merit) for names in of_way.values()}


def _way(recipe: Recipe) -> tuple[str, ...]:
    """Return the methods of a recipe, one after the other."""
    return tuple(step.method for step in recipe.steps)


def _strip(case: Case, name: str, standing: Standing | None, labels: NDArray[Any]) -> Strip:
    """Return one row of the picture: the labels of a plane, and where they differ from the truth."""
    found = len(np.unique(labels[labels != 0]))
    at = case.shown_at
    if case.truth is None or case.strokes is None or standing is None or standing.row.recipe is None:
        return Strip(f"{name}:   {found} labels", labels[at].copy(), None)
    scores = f"Dice {standing.dice:.3f}   IoU {standing.iou:.3f}"
    if standing.f1 == standing.f1:
        scores += f"   F1 {standing.f1:.3f}"
    if case.ignore != 0 and CLASS_STROKES in standing.row.recipe.inputs:
        scores += " on strokes"
        labels = np.where(labels == case.strokes.max(), 0, labels)  # the background has the largest label of strokes
    # Objects of one kind are one class to all rows, as they are to their scores.
    alike = case.ignore is None and one_kind(case.truth, None)
    errors = error_map(labels, (case.truth != 0).astype(np.uint8) if alike else case.truth, ignore=case.ignore)
    # Copies, because a view would keep all labels of all rows in memory.
    return Strip(f"{name}:   {scores}   {found} labels", labels[at].copy(), errors[at].copy())


def _panels(case: Case, strips: Sequence[Strip]) -> Panels:
    at = case.shown_at
    plane = "" if at == () else f", plane {at + 1} of {case.image.data.shape[0]}"
    truth = None if case.truth is None else case.truth[at]
    return Panels(f"{case.name}{plane}", np.asarray(case.image.data[at]), truth, strips)

"""The main job, headless: every method on annotated images, scored, ranked, and written with pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from . import catalog, io, recipe
from ._batch import ERRORS, columns, how_read, sentence, table_as_csv
from ._device import Asked
from ._execute import Result, execute
from ._own_folder import OwnFolder
from ._reading import read_image, read_labels
from ._stored import file_name
from ._volume import Volume
from ._writing import scratch_folder, write_text
from .comparison._cuts import CLASS_STROKES, MIDDLES, CleanUp, Cut, clean_ups, cuts
from .comparison._strokes import middles_from, one_kind, strokes_from
from .evaluation.objects import ObjectEvaluation, evaluate_objects
from .evaluation.overlap import Evaluation, error_map, evaluate
from .recipe import Recipe, Step
from .samples import coins, nuclei_2d, nuclei_3d

if TYPE_CHECKING:
    from ._pictures import Panels

__all__ = ["demo"]

MARKER = ".napari-cutout-demo"
"""A folder that holds this file was made by the demo; its lines name the files that the demo wrote into it."""

_TAKEN = ("scores.csv", "readme.txt", MARKER)
"""Names that an image cannot have, because files of the demo beside it have them."""

_README = """\
What napari-cutout's demo wrote. The next demo with the same folder replaces these files,
and keeps all others.

scores.csv                   one line per run: sample, method, clean-up, IoU, Dice, objects, seconds, backend;
                             F1@0.5 and AP@0.5 count objects found with an IoU of 0.5 or more, split and merged those
                             cut in several and those run together, where the truth and the run number them
<sample>/picture.png         the best run of each method: image, truth, labels, errors
<sample>/pictures/           the same for all runs of a method
<sample>/labels/<run>.tif    the labels of each run as OME-TIFF, and as OME-Zarr (<run>.zarr)
<sample>/recipes/<run>.json  its recipe, and how the labels came about (device, versions, settings, thresholds)
<sample>/image.tif           the image, where it is a sample of ours
<sample>/truth.tif           its annotation
<sample>/strokes.tif         the strokes that methods got which need some; they were made from the truth
<sample>/middles.tif         a stroke in every object, for the watershed; made from the truth as well

Run a recipe on your own image:
  napari-cutout run <sample>/recipes/<run>.json image.tif labels.tif
A recipe that reads markers also needs --input markers=strokes.tif, one that reads middles --input middles=middles.tif
"""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """An image to run everything on.

    Parameters
    ----------
    name : str
        What the table and the folder call it.
    image : Volume
        Grey, 2-D or 3-D.
    truth : array, optional
        Its annotation.
    ignore : int, optional
        The value of truth that means *not annotated*.
    ours : bool
        True for a sample of ours, which is written beside the results.
    """

    name: str
    image: Volume
    truth: NDArray[Any] | None = None
    ignore: int | None = None
    ours: bool = False

    @property
    def objects(self) -> str:
        """Whether the objects of the truth are brighter or darker than the rest; bright without a truth."""
        if self.truth is None:
            return "bright"
        known = np.isfinite(self.image.data) & (True if self.ignore is None else self.truth != self.ignore)
        inside, outside = (self.image.data[known & side] for side in (self.truth != 0, self.truth == 0))
        return "dark" if inside.size and outside.size and np.median(inside) < np.median(outside) else "bright"

    @property
    def n_classes(self) -> int:
        """How many classes there are: two where objects of one kind are looked for, else those of the truth."""
        if self.truth is None or one_kind(self.truth, self.ignore):
            return 2
        return len(np.unique(self.truth[True if self.ignore is None else self.truth != self.ignore]))


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One line of the table.

    Parameters
    ----------
    case, cut, clean_up
        What was run.
    recipe : Recipe, optional
        The recipe; None if none could be made.
    result : Result, optional
        What it gave, of its labels one plane only; None where it failed.
    evaluation : Evaluation, optional
        Its scores, where there is a truth.
    object_scores : ObjectEvaluation, optional
        The scores of its objects, where it numbers them and the truth does so as well.
    objects : int
        How many objects (or classes, where the truth has classes) it found.
    plane, errors : 2-D array, optional
        The plane of the labels and of the errors that is shown.
    error : str
        Why it failed.
    """

    case: Case
    cut: Cut
    clean_up: CleanUp
    recipe: Recipe | None = None
    result: Result | None = None
    evaluation: Evaluation | None = None
    object_scores: ObjectEvaluation | None = None
    objects: int = 0
    plane: NDArray[Any] | None = None
    errors: NDArray[np.uint8] | None = None
    error: str = ""

    @property
    def slug(self) -> str:
        """What files of this run are called."""
        words = "-".join(w for w in (self.cut.title, self.clean_up.slug) if w)
        return "".join(c if c.isalnum() or c in "-_" else "" for c in words.replace(" ", "-"))

    @property
    def iou(self) -> float:
        """Mean IoU; NaN where there is none."""
        return self.evaluation.mean_iou if self.evaluation else float("nan")

    @property
    def dice(self) -> float:
        """Mean Dice; NaN where there is none."""
        return self.evaluation.mean_dice if self.evaluation else float("nan")

    @property
    def f1(self) -> float:
        """F1 of objects at an IoU of 0.5; NaN where there is none."""
        return float(self.object_scores.at(0.5)["f1"]) if self.object_scores else float("nan")

    @property
    def one_each(self) -> bool:
        """True if its labels number objects: it was asked to, or has no choice; those of strokes are their classes."""
        if self.recipe is None:
            return False
        last = self.recipe.steps[-1]
        has_choice = any(p.name == "one_per_object" for p in catalog.find(last.method).settings)
        return bool(last.settings.get("one_per_object", not (has_choice or self.cut.strokes == CLASS_STROKES)))

    @property
    def found(self) -> str:
        """How many objects it found that have a number each, or how many classes."""
        one, more = ("object", "objects") if self.one_each else ("class", "classes")
        return f"{self.objects} {one if self.objects == 1 else more}"

    @property
    def _warning(self) -> str:
        """What a reader of the score must know: a matching that was chosen on the truth favours the cut."""
        overlap = self.evaluation is not None and self.evaluation.match == "overlap"
        return "classes paired on the truth" if overlap else ""

    @property
    def rank(self) -> tuple[float, int]:
        """Sorts the best first, failed runs last."""
        return (-self.iou if self.iou == self.iou else float(bool(self.error)), len(self.clean_up.settings))

    def record(self) -> dict[str, Any]:
        """Return the line of the table as a flat dict."""
        ran = self.result.provenance if self.result else None
        at = self.object_scores.at(0.5) if self.object_scores else {}
        return {
            "sample": self.case.name,
            "method": self.cut.title,
            "clean-up": self.clean_up.title,
            "IoU": self.iou,
            "Dice": self.dice,
            "F1@0.5": at.get("f1", float("nan")),
            "AP@0.5": at.get("ap", float("nan")),
            "found": self.found if self.result else "",
            "split": len(self.object_scores.split) if self.object_scores else "",
            "merged": len(self.object_scores.merged) if self.object_scores else "",
            "seconds": ran["seconds"] if ran else float("nan"),
            "backend": ran["device"]["used"] if ran else "",
            "matched by": self.evaluation.match if self.evaluation else "",
            "note": self.error or ", ".join(filter(None, (self.cut.note, self._warning))),
            "run": self.slug,
        }


# What to run -------------------------------------------------------------------------------------------


def pairs_of(case: Case, device: Asked) -> list[tuple[Cut, CleanUp]]:
    """Return the sensible pairs of cut and clean-up; local thresholds level the background themselves.

    Parameters
    ----------
    case : Case
        The image.
    device : {"auto", "cpu", "gpu"}
        Where Otsu's threshold is found, for the method that needs a grey level.

    Returns
    -------
    list of tuple of Cut and CleanUp
        What to run.
    """
    objects, n_classes = case.objects, case.n_classes
    numbered = one_kind(case.truth, case.ignore)
    return [
        (cut, clean_up)
        for clean_up in clean_ups(case.image.data.ndim)
        for cut in cuts(_otsu(case, clean_up, device), objects, numbered=numbered, n_classes=n_classes)
        if not (cut.local and "background_radius" in clean_up.settings)
    ]


# Running -----------------------------------------------------------------------------------------------


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
) -> list[dict[str, Any]]:
    """Run every method on annotated images, score and rank them, and write a folder of results.

    Parameters
    ----------
    output : Path
        The folder to make. In one that the demo made before, the demo's own files are replaced; others stay.
    image : path, optional
        Your image, such as ``"image.tif"`` or ``"file.npz:key"``; by default three annotated samples are run.
    truth : path, optional
        Its annotation.
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
    list of dict
        The table, best first within each sample.

    Raises
    ------
    FileExistsError
        If the folder is there, is not the demo's, and `overwrite` is False; or a file that the demo did not write
        has the name of one that it would write.
    ValueError
        If a file cannot be read or the truth does not fit the image.
    """
    output = Path(output).resolve()
    folder = OwnFolder(output, MARKER, "the demo")
    folder.check(overwrite)
    if truth is not None and image is None:
        raise ValueError(f"truth {truth!r} was given without an image; give both, or none to run the samples")
    cases = samples() if image is None else [own_case(image, truth, ignore, channel)]
    folder.check_free(["scores.csv", "README.txt", *(f"{case.name}/picture.png" for case in cases)])
    with scratch_folder(output) as work:
        runs = [run for case in cases for run in _ranked(case, work, device, say)]
        table = [run.record() for run in runs]
        write_text(work / "scores.csv", table_as_csv(table))
        write_text(work / "README.txt", _README)
        folder.take(work)
    say("")
    say("\n".join(as_text(table)))
    say("\n".join(["", *_object_lines(runs)]))
    if image is not None and (scores := [run.evaluation for run in runs if run.evaluation is not None]):
        say("\n" + how_read(scores, ignore))
    say(f"\nLabels, pictures, recipes and scores.csv are in {output}; README.txt there says what is what.")
    return table


def samples() -> list[Case]:
    """Return the annotated samples: a volume, and two images."""
    made = [make() for make in (nuclei_3d, nuclei_2d, coins)]
    return [Case(s.name, s.image, np.asarray(s.truth.data), ours=True) for s in made if s.truth is not None]


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
    return Case(f"{name} image" if name.casefold() in _TAKEN else name, volume, annotation, ignore)


def _ranked(case: Case, work: Path, device: Asked, say: Callable[[str], None]) -> list[Run]:
    """Run everything on one image, write labels, recipes and pictures, and return the runs, best first."""
    from ._pictures import draw

    folder = work / case.name
    for name in ("labels", "recipes", "pictures"):
        (folder / name).mkdir(parents=True)
    strokes = strokes_of(case)
    _write_inputs(case, strokes, folder)
    pairs = pairs_of(case, device)
    shape = " x ".join(map(str, case.image.data.shape))
    say(f"{case.name}: {len(pairs)} runs on {shape} voxels, {case.image.data.dtype}")
    runs = sorted((_run(case, cut, tidy, strokes, folder, device) for cut, tidy in pairs), key=lambda run: run.rank)
    for title, chosen in _pictures_of(runs):
        draw(folder / title, _panels(case, [run for run in chosen if run.plane is not None]))
    return runs


def strokes_of(case: Case) -> dict[str, NDArray[Any]]:
    """Return the strokes that can be made from the truth of a case, by what recipes call them."""
    if case.truth is None:
        return {}
    made: dict[str, NDArray[Any]] = {CLASS_STROKES: strokes_from(case.truth, case.ignore)}
    if one_kind(case.truth, case.ignore):
        made[MIDDLES] = middles_from(case.truth, case.ignore)
    return made


def _otsu(case: Case, clean_up: CleanUp, device: Asked) -> float | None:
    """Return Otsu's threshold of the image as a cut will see it; None for an image that has none."""
    before = {name: clean_up.settings[name] for name in ("background_radius", "sigma") if name in clean_up.settings}
    with suppress(*ERRORS):
        step = Step("threshold", before)
        found = execute(Recipe([step]), {"image": case.image.data}, spacing=case.image.spacing, device=device)
        return float(found.provenance["facts"]["threshold"])
    return None


def _run(
    case: Case, cut: Cut, clean_up: CleanUp, strokes: Mapping[str, NDArray[Any]], folder: Path, device: Asked
) -> Run:
    run = Run(case, cut, clean_up)
    try:
        if cut.strokes and cut.strokes not in strokes:
            raise ValueError("it needs strokes, which the demo makes from a truth; give one")
        # A map of several grey classes stays one: which of them are objects is left to the scoring.
        classes = any(p.name == "n_classes" for p in catalog.find(cut.method).settings)
        objects = not classes and one_kind(case.truth, case.ignore)
        made = Recipe(cut.steps({**clean_up.settings, **({"one_per_object": True} if objects else {})}))
        arrays = {"image": case.image.data, **strokes}
        result = execute(made, {name: arrays[name] for name in made.inputs}, spacing=case.image.spacing, device=device)
        return _scored(replace(run, recipe=made, result=result), folder)
    except ERRORS as error:
        return replace(run, error=sentence(error))


def _scored(run: Run, folder: Path) -> Run:
    """Write the labels and the recipe of a run, score it, and keep one plane for the picture."""
    assert run.recipe is not None
    assert run.result is not None
    case, labels = run.case, run.result.labels
    volume = replace(case.image, data=labels, name=run.slug, metadata={"provenance": run.result.provenance})
    for ending in (".tif", ".zarr"):
        io.write(folder / "labels" / f"{run.slug}{ending}", volume, kind="labels")
    text = recipe.with_provenance(run.recipe, run.result.provenance)
    write_text(folder / "recipes" / f"{run.slug}.json", text)
    at = shown_plane(case)
    found = len(np.unique(labels[labels != 0]))
    plane = labels[at].copy()  # not a view, which would keep all labels of all runs in memory
    run = replace(run, result=replace(run.result, labels=plane), objects=found, plane=plane)
    if case.truth is None:
        return run
    # Objects of one kind are one class to all runs, so that their scores can be ranked.
    alike = case.ignore is None and one_kind(case.truth, None)
    truth = (case.truth != 0).astype(np.uint8) if alike else case.truth
    scores = evaluate(labels, truth, ignore=case.ignore)
    errors = error_map(labels, truth, ignore=case.ignore)[at].copy()
    numbered = alike and run.one_each and len(np.unique(case.truth[case.truth != 0])) > 1
    found_objects = evaluate_objects(labels, case.truth) if numbered else None
    return replace(run, evaluation=scores, object_scores=found_objects, errors=errors)


def _write_inputs(case: Case, strokes: Mapping[str, NDArray[Any]], folder: Path) -> None:
    for name, painted in strokes.items():
        path = folder / ("strokes.tif" if name == CLASS_STROKES else f"{name}.tif")
        io.write(path, replace(case.image, data=painted, metadata={}))
    if case.ours and case.truth is not None:
        io.write(folder / "image.tif", case.image, kind="image")
        io.write(folder / "truth.tif", replace(case.image, data=case.truth))


# What is shown -----------------------------------------------------------------------------------------


def shown_plane(case: Case) -> Any:
    """Return the index of the plane that pictures show: the one with most of the truth, or the middle one."""
    if case.image.data.ndim == 2:
        return ()
    if case.truth is None or not (case.truth != 0).any():
        return case.image.data.shape[0] // 2
    return int((case.truth != 0).sum(axis=(1, 2)).argmax())


def _pictures_of(runs: Sequence[Run]) -> Iterator[tuple[str, list[Run]]]:
    """Yield file names and the runs to draw: the best of each method, then all of each method."""
    of_method: dict[str, list[Run]] = {}
    for run in runs:
        of_method.setdefault(run.cut.method, []).append(run)
    yield "picture.png", [_best(group) for group in of_method.values()]
    for method, group in of_method.items():
        best_of_rule = {run.cut.title: run for run in reversed(group)}  # the best is written last
        chosen = group if len(best_of_rule) == 1 else [run for run in group if best_of_rule[run.cut.title] is run]
        yield f"pictures/{method}.png", chosen


def _best(group: Sequence[Run]) -> Run:
    """Return the best run of a method: by its objects where it splits those of another, which hardly moves the IoU."""
    splits = [run for run in group if run.cut.first is not None and run.object_scores is not None]
    return max(splits, key=lambda run: run.f1) if splits else group[0]


def _panels(case: Case, runs: Sequence[Run]) -> Panels:
    from ._pictures import Panels, Strip

    at = shown_plane(case)
    plane = "" if at == () else f", plane {at + 1} of {case.image.data.shape[0]}"
    strips = [Strip(_caption(run), np.asarray(run.plane), run.errors) for run in runs]
    truth = None if case.truth is None else case.truth[at]
    return Panels(f"{case.name}{plane}", np.asarray(case.image.data[at]), truth, strips)


def _caption(run: Run) -> str:
    scores = "" if run.evaluation is None else f"IoU {run.iou:.3f}   Dice {run.dice:.3f}   "
    if run.object_scores is not None:
        scores += f"F1 {run.f1:.3f}   "
    clean_up = "no clean-up" if not run.clean_up.settings else run.clean_up.title
    return f"{run.cut.title}, {clean_up}:   {scores}{run.found}"


def _object_lines(runs: Sequence[Run]) -> Iterator[str]:
    """Yield what splitting changed in each sample: the objects of Otsu's threshold, and of what split them."""
    for name in dict.fromkeys(run.case.name for run in runs):
        scored = [run for run in runs if run.case.name == name and run.object_scores is not None]
        best = {run.cut.title: run for run in sorted(scored, key=lambda run: run.f1)}
        titles = ["threshold otsu", *(title for title, run in best.items() if run.cut.first is not None)]
        words = [f"{title} {best[title].f1:.4f} ({best[title].found})" for title in titles if title in best]
        if len(words) > 1:
            n_true = max(run.object_scores.n_true for run in scored if run.object_scores is not None)
            yield f"{name}, {n_true} objects; F1@0.5 with the best clean-up: {', '.join(words)}"


def as_text(table: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the table as aligned lines.

    Parameters
    ----------
    table : sequence of mapping
        What `demo` returns.

    Returns
    -------
    list of str
        The heading, and one line per run.
    """
    names = [name for name in table[0] if name != "run"]
    digits = {"IoU": ".4f", "Dice": ".4f", "F1@0.5": ".4f", "AP@0.5": ".4f", "seconds": ".3f"}

    def word(name: str, value: Any) -> str:
        if name not in digits:
            return str(value)
        return format(value, digits[name]) if value == value else "-"

    lines = [names, *([word(name, row[name]) for name in names] for row in table)]
    return columns(lines, right=[names.index(name) for name in (*digits, "found", "split", "merged")])

"""Files of labels scored against files of truth: one pair, or all of two folders, read one at a time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import io
from ._pairs import FilePair, Pairing, folders_named, is_many, paired, stem_of
from ._reading import as_volume, read_labels
from ._volume import UNITS, Volume
from .evaluation._images import Boundaries, Loaded, Pair
from .evaluation._matching import Match
from .evaluation.pooled import PooledEvaluation, pooled_scores

__all__ = ["ScoredFiles", "Settings", "score_files", "score_pairs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How files are scored; see `napari_cutout.evaluate_images`.

    Parameters
    ----------
    ignore, match, numbered, boundaries, spacing, tolerance, width, seed
        As there. Without `spacing`, voxels have the size that the file of truth names, or else that of labels.
    """

    ignore: int | None = None
    match: Match = "auto"
    numbered: bool | None = None
    boundaries: bool = False
    spacing: tuple[float, ...] | None = None
    tolerance: float | None = None
    width: float | None = None
    seed: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        named = {name: getattr(self, name) for name in self.__slots__}
        return {**named, "spacing": None if self.spacing is None else list(self.spacing)}

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Settings:
        """Read what `as_dict` returned."""
        return cls(**{**entry, "spacing": None if entry["spacing"] is None else tuple(entry["spacing"])})


@dataclass(frozen=True, slots=True, eq=False)
class ScoredFiles:
    """The scores of files.

    Parameters
    ----------
    result : PooledEvaluation
        The scores.
    pairing : Pairing
        The files that they are of; its pairs are in the order of the images.
    settings : Settings
        How they were scored.
    unit : str
        The unit of lengths, such as ``"micrometer"``; empty where no surface was scored or it is not known.
    """

    result: PooledEvaluation
    pairing: Pairing
    settings: Settings
    unit: str = ""


def score_files(
    predicted: str | os.PathLike[str],
    truth: str | os.PathLike[str],
    complete: str | os.PathLike[str] | None = None,
    *,
    settings: Settings | None = None,
) -> ScoredFiles:
    """Score every file of labels in a folder or pattern against the truth of the same name, or one against one.

    Parameters
    ----------
    predicted, truth : path
        Files, folders or patterns.
    complete : path, optional
        Where every object is annotated, not 0: one file for one pair; else a folder or a pattern, paired by name.
    settings : Settings, optional
        How they are scored.

    Returns
    -------
    ScoredFiles
        One row per pair. What cannot be read, compared or told apart is a row with its reason; what has no partner is
        listed, on both sides.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If no truth is named like any of the labels, or one is given for many.
    """
    return score_pairs(_with_regions(_pairing(predicted, truth), complete), settings or Settings())


def score_pairs(pairing: Pairing, settings: Settings) -> ScoredFiles:
    """Score pairs of files that are known already, as `score_files` does."""
    reader = _Reader(settings)
    pairs = [Pair(one.name, reader.loads(one), one.error, one.folder) for one in pairing.pairs]
    lengths = Boundaries(tolerance=settings.tolerance, width=settings.width)
    result = pooled_scores(
        pairs,
        ignore=settings.ignore,
        match=settings.match,
        numbered=settings.numbered,
        boundaries=lengths if settings.boundaries else None,
        seed=settings.seed,
        unpaired=(pairing.unpaired_predicted, pairing.unpaired_truth),
    )
    return ScoredFiles(result, pairing, settings, reader.unit or "")


def _pairing(predicted: str | os.PathLike[str], truth: str | os.PathLike[str]) -> Pairing:
    many = is_many(predicted), is_many(truth)
    if any(many):
        files, truths = io.inputs(predicted), io.inputs(truth)
        if not many[1] and len(files) > 1:
            raise ValueError(f"one truth was given for {len(files)} images; give a folder or a pattern of truths")
        return paired(files, truths)
    one = os.fspath(predicted)
    return Pairing((FilePair(stem_of(predicted), one, os.fspath(truth), folder=folders_named([one])[0]),))


def _with_regions(pairing: Pairing, complete: str | os.PathLike[str] | None) -> Pairing:
    """Give each pair its region that is annotated completely; a pair without one has that error."""
    if complete is None:
        return pairing
    if not is_many(complete):
        if len(pairing.pairs) > 1:
            raise ValueError(
                f"one region `complete` was given for {len(pairing.pairs)} pairs; give a folder or a pattern of them"
            )
        return replace(pairing, pairs=tuple(replace(one, complete=os.fspath(complete)) for one in pairing.pairs))
    files = io.inputs(complete)
    named = paired([one.predicted for one in pairing.pairs if not one.error], files).pairs
    regions = {one.predicted: one for one in named if not one.error}
    return replace(pairing, pairs=tuple(_with_region(one, regions) for one in pairing.pairs))


def _with_region(one: FilePair, regions: Mapping[str, FilePair]) -> FilePair:
    if one.error:
        return one
    if one.predicted not in regions:
        problem = "no one region that is annotated completely is named like it, so it was not scored; add one"
        return replace(one, error=problem)
    return replace(one, complete=regions[one.predicted].truth)


class _Reader:
    """Reads pairs, and keeps to the unit of the first file that names one, so that lengths can be averaged.

    Parameters
    ----------
    settings : Settings
        How they are scored.
    """

    def __init__(self, settings: Settings) -> None:
        self.given = settings.spacing
        self.wanted = settings.boundaries
        self.unit: str | None = None

    def loads(self, one: FilePair) -> Any:
        """Return what reads a pair."""
        return lambda: self.load(one)

    def load(self, one: FilePair) -> Loaded:
        """Read a pair.

        Raises
        ------
        ValueError
            If a file has channels or time points, or no size of voxels where others have one.
        """
        predicted, truth = as_volume(one.predicted), as_volume(one.truth)
        complete = None if not one.complete else read_labels(one.complete, "complete") != 0
        return Loaded(
            read_labels(predicted, "predicted"), read_labels(truth, "truth"), complete, self.spacing(truth, predicted)
        )

    def spacing(self, *volumes: Volume) -> tuple[float, ...] | None:
        """Return the size of voxels that was given, or that of the first volume that knows it, in the unit of all."""
        if self.given is not None or not self.wanted:
            return self.given
        known = next((volume for volume in volumes if volume.spacing is not None), None)
        unit = "" if known is None else known.units or ""
        self.unit = unit if self.unit is None else self.unit
        if (unit in UNITS) != (self.unit in UNITS):
            raise ValueError(
                f"its voxels have a size in {unit or 'no known unit'}, and those of the first image in "
                f"{self.unit or 'no known unit'}, so lengths cannot be compared; give the size of voxels as `spacing`"
            )
        if known is None or known.spacing is None:
            return None
        factor = UNITS[unit][1] / UNITS[self.unit][1] if unit in UNITS else 1.0
        return tuple(length * factor for length in known.spacing)

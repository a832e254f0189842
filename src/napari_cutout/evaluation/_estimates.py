"""One figure over many images: of added counts, as a mean of images, as a mean of objects, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._bootstrap import ends

__all__ = ["NOT_DEFINED", "Estimate", "Figure", "Sampler", "mean_ratio"]

Counts = NDArray[Any]
Scores = NDArray[np.float64]
Score = Callable[[Counts], Scores]
"""From summed counts of shape (..., m), or whatever follows the images, to scores of shape (...)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score with its interval.

    Parameters
    ----------
    value : float
        The score; NaN where it is not defined.
    low, high : float
        95 % interval by bootstrap over images; NaN where there is one image only.
    n : int
        What it is made of: images, or for a mean over objects, objects.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    n: int = 0


NOT_DEFINED = Estimate(math.nan)


@dataclass(frozen=True, slots=True)
class Figure:
    """One score over many images, in up to three ways that are not the same.

    Parameters
    ----------
    name : str
        Of the score, such as ``"dice"``.
    of : str
        Which class or which IoU it is of; empty for the mean of the classes, and where there is nothing to choose.
    group : {"overlap", "objects", "regions", "boundaries"}
        What kind of score it is.
    pooled : Estimate
        Counts are added over all images, and then scored: large images and many objects count more.
    image_mean : Estimate
        The mean of the scores of the images that have it: each of them counts once.
    object_mean : Estimate
        The mean over the true objects of all images: each of them counts once.
    n_undefined : int
        Scored images that do not have it, and are not in the image-mean.
    prevalence : float
        Share of all voxels that truth gives to what is scored; NaN where that means nothing.
    """

    name: str
    of: str
    group: str
    pooled: Estimate
    image_mean: Estimate
    object_mean: Estimate = NOT_DEFINED
    n_undefined: int = 0
    prevalence: float = math.nan

    @property
    def label(self) -> str:
        """The name and what it is of."""
        return f"{self.name} ({self.of})" if self.of else self.name

    @property
    def row(self) -> dict[str, Any]:
        """The figure as a flat dict."""
        flat: dict[str, Any] = {"group": self.group, "figure": self.name, "of": self.of}
        for way in ("pooled", "image_mean", "object_mean"):
            one: Estimate = getattr(self, way)
            flat |= {way: one.value, f"{way}_low": one.low, f"{way}_high": one.high}
        return {
            **flat,
            "n_images": self.image_mean.n,
            "n_undefined": self.n_undefined,
            "n_objects": self.object_mean.n,
            "prevalence": self.prevalence,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Sampler:
    """Makes estimates, all by the same draws of images.

    Parameters
    ----------
    weights : float64 array of shape (n_draws, n_images)
        How often each image is drawn.
    """

    weights: Scores

    def of_counts(self, counts: Counts, score: Score, n: int | None = None) -> Estimate:
        """Add counts over images, and score the sum; ``n`` is what it is said to be made of, by default all images."""
        n_images = len(counts)
        value = float(score(counts.sum(axis=0)))
        between = ends(score(np.tensordot(self.weights, counts, axes=1))) if n_images > 1 else (math.nan, math.nan)
        return Estimate(value, *between, n_images if n is None else n)

    def of_images(self, scores: Sequence[float]) -> tuple[Estimate, int]:
        """Return the mean over the images that have a score, and how many do not."""
        values = np.asarray(scores, np.float64)
        there = ~np.isnan(values)
        counts = np.stack([np.where(there, values, 0), there], axis=-1)
        return self.of_counts(counts, mean_ratio, int(there.sum())), int((~there).sum())

    def of_objects(self, scores: Sequence[Scores]) -> Estimate:
        """Return the mean over all objects; ``scores`` are those of each image, without NaN."""
        counts = np.asarray([[math.fsum(one), len(one)] for one in scores])
        return self.of_counts(counts, mean_ratio, sum(map(len, scores)))


def mean_ratio(counts: Counts) -> Scores:
    """Return the first of two summed counts over the second, (..., 2) to (...); NaN where the second is 0."""
    return quotient(counts[..., 0], counts[..., 1])


def quotient(part: Counts, whole: Counts) -> Scores:
    """Return part / whole; NaN where there is nothing."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    found: Scores = np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, np.nan), where=whole != 0)
    return found

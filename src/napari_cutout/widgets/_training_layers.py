"""From layers to what a training learns from: images, annotations, and what unpainted means.  No Qt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._array import is_lazy
from .._method import Param, Role
from .._monitor import watch
from . import _layers
from ._channels import Channels
from ._points import copy_of_labels
from ._request import Form, check_labels_layer
from ._score_layers import painted
from ._target import Target

__all__ = ["IGNORED", "SLICES", "PairOfLayers", "Read", "Unpainted", "guess_of", "plan_of", "read", "readable"]

Layer = Any
"""A napari layer."""

Unpainted = Literal["background", "not annotated", "background in its slices"]
"""What label 0 of an annotation means; the last is for volumes of which some slices are annotated completely."""

SLICES: Unpainted = "background in its slices"

IGNORED: Mapping[Unpainted, int | None] = {"background": None, "not annotated": 0, SLICES: -1}
"""The value of an annotation, as it is read, from which nothing is learned."""

ANNOTATION = Param("annotation", None, None, Role("labels"))
"""What errors call the layer that was painted on."""


@dataclass(frozen=True, slots=True, eq=False)
class PairOfLayers:
    """An image and what was painted on it.

    Parameters
    ----------
    form : Form
        The image layer, its axes and channels; its method and its region are of no account.
    annotation : napari Labels layer
        What was painted.
    """

    form: Form
    annotation: Layer

    @property
    def image(self) -> Layer:
        """The layer of the image."""
        return self.form.source

    @property
    def name(self) -> str:
        """Such as ``"cells · strokes"``."""
        return f"{self.image.name} · {self.annotation.name}"

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers that it needs."""
        return (self.image, *self.form.channels[1:], self.annotation)

    def is_of(self, image: Layer, annotation: Layer) -> bool:
        """Tell whether it is of these layers."""
        return self.image is image and self.annotation is annotation

    @property
    def target(self) -> Target:
        """What is learned from: the whole image, frame by frame if it is a time series.

        Raises
        ------
        ValueError
            If the axes are not named yet, or the annotation does not lie on the image.
        TypeError
            If the annotation does not hold whole numbers.
        """
        choice = replace(self.form.choice, depth="together", time="each" if "t" in self.form.choice.letters else "")
        aim = replace(self.form, extent=None).target_of(choice)
        check_labels_layer(ANNOTATION, self.annotation, self.image, aim)
        return aim

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """World length of a voxel along the axes of space; None if nobody has set it."""
        letters = self.form.choice.letters
        at = [n for n, axis in enumerate(letters) if axis in "zyx"]
        if _layers.has_voxel_size(self.image, at):
            return self.target.run_spacing
        given = self.form.voxel_size
        return given.lengths if given is not None and len(given.lengths) == len(at) else None


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """What was read of layers.

    Parameters
    ----------
    images, annotations : list of arrays
        One for each image, or for each frame of a time series: in memory, or of dask.
    options : mapping
        What follows from the layers: the axis of channels, the spacing and the value that is not annotated.
    """

    images: list[Any]
    annotations: list[Any]
    options: Mapping[str, Any]


def read(pairs: Sequence[PairOfLayers], unpainted: Unpainted) -> Read:
    """Read layers as they are now; what can be painted on is copied, and what is not in memory is not computed.

    Parameters
    ----------
    pairs : sequence of PairOfLayers
        At least one.
    unpainted : {"background", "not annotated", "background in its slices"}
        What label 0 means. Frames without labels are left out unless it is background everywhere.

    Returns
    -------
    Read
        Arrays that a training takes.

    Raises
    ------
    ValueError, TypeError
        If an annotation does not fit, or images differ in what they are; the sentence says which.
    """
    images, annotations, seen = [], [], {}
    for pair in pairs:
        aim = pair.target
        chosen = aim.selection
        options = {"channel_axis": chosen.channel_axis, "spacing": pair.spacing, "ignore": IGNORED[unpainted]}
        facts = (chosen.run_axes, chosen.n_channels(tuple(aim.array.shape)), options["channel_axis"], pair.spacing)
        seen[facts] = pair
        if len(seen) > 1:
            raise ValueError(_differing(*seen.items()))
        array, labels = readable(aim.array), readable(copy_of_labels(pair.annotation, aim))
        for part in chosen.parts(tuple(aim.array.shape)):
            of_part = labels[part]
            if unpainted == "background" or not isinstance(of_part, np.ndarray) or of_part.any():
                images.append(chosen.cut(array, part))
                annotations.append(_by_slices(of_part) if unpainted == SLICES else of_part)
    if not images:
        raise ValueError(f"nothing is painted on '{pairs[0].annotation.name}'; paint strokes of two labels or more")
    return Read(images, annotations, options)


def _by_slices(labels: Any) -> Any:
    """Return labels that are -1 in slices without any paint."""
    if not isinstance(labels, np.ndarray):
        raise ValueError(
            "unpainted: slices without paint are looked for in memory, and the annotation is not there; say whether "
            "unpainted is background or not annotated"
        )
    painted = labels.any(axis=tuple(range(1, labels.ndim)), keepdims=True)
    return np.where(painted, labels.astype(np.int32), np.int32(-1))  # -1 would wrap around among unsigned labels


def _differing(first: tuple[Any, PairOfLayers], other: tuple[Any, PairOfLayers]) -> str:
    """Say what of two images is not the same, which one network cannot learn from."""
    words = ("axes", "channels", "axis of channels", "voxel size")
    at = next(n for n, (a, b) in enumerate(zip(first[0], other[0], strict=True)) if a != b)
    return (
        f"image '{other[1].image.name}' has the {words[at]} {other[0][at]}, and '{first[1].image.name}' "
        f"{first[0][at]}; images of one training must be alike: remove one from the list"
    )


def readable(array: Any) -> Any:
    """Return an array that parts are cut out of without reading it: NumPy as it is, all else as dask."""
    held = array.as_input() if isinstance(array, Channels) else array
    if isinstance(held, np.ndarray | Channels) or is_lazy(held):
        return held
    import dask.array as da

    return da.from_array(held)


def guess_of(annotation: Layer, *, volume: bool) -> tuple[Unpainted, str]:
    """Guess what label 0 of an annotation means, from what is painted now.

    Parameters
    ----------
    annotation : napari Labels layer
        What was painted.
    volume : bool
        Whether its third axis from the end is one of slices.

    Returns
    -------
    guess : str
        Strokes of several labels say that the rest is not annotated; one label in some of the slices, that these are
        annotated completely; anything else, that all is.
    words : str
        How much is painted, as far as that was looked at.
    """
    found = painted(annotation)
    if found is None:
        return "not annotated", "not looked at: large"
    words = f"{100 * found.share:.3g} % painted, {found.n_labels} label{'' if found.n_labels == 1 else 's'}"
    labels = _layers.level_zero(annotation)
    if found.guess == "background" and volume and found.n_labels and isinstance(labels, np.ndarray):
        slices: NDArray[np.bool_] = np.any(labels, axis=tuple(at for at in range(labels.ndim) if at != labels.ndim - 3))
        if not slices.all():
            return SLICES, f"{words}, in {np.count_nonzero(slices)} of {len(slices)} slices"
    return found.guess, words


def plan_of(pairs: Sequence[PairOfLayers], unpainted: Unpainted, settings: Mapping[str, Any]) -> Callable[..., Any]:
    """Return work that says what a training would be, of layers as they are now.

    Parameters
    ----------
    pairs : sequence of PairOfLayers
        At least one.
    unpainted : str
        As `read` takes it.
    settings : mapping
        What the form says beside that, as `unet_plan` takes it.

    Returns
    -------
    callable
        Takes on_progress and is_cancelled, and returns a `UNetPlan`; call it in a thread.

    Raises
    ------
    ValueError, TypeError
        As `read`.
    """
    found = read(pairs, unpainted)

    def work(on_progress: Callable[[str, float], None], is_cancelled: Callable[[], bool]) -> Any:
        from ..unet.plan import unet_plan

        with watch(on_progress, is_cancelled):
            return unet_plan(found.images, found.annotations, **found.options, **settings)

    return work

"""What the BioImage Model Zoo does to grey levels before a network and to numbers after it, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, is_lazy, to_numpy
from .._plan import Pass
from ..methods._grey_levels import Bins, Histogram, counting
from ._scaling import Scaling, joined_moments, moments_of, scaling_of, statistic

__all__ = ["Before", "Step", "after_of", "before_of"]

Step = Callable[[NDArray[Any]], NDArray[Any]]
"""Changes every number by itself."""


@dataclass(frozen=True, slots=True)
class Linear:
    """``number * gain + offset``."""

    gain: float
    offset: float

    def __call__(self, numbers: NDArray[Any]) -> NDArray[Any]:
        return numbers * np.float32(self.gain) + np.float32(self.offset)


@dataclass(frozen=True, slots=True)
class Clip:
    """Numbers beyond a range become its ends."""

    low: float | None
    high: float | None

    def __call__(self, numbers: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(np.clip(numbers, self.low, self.high))


@dataclass(frozen=True, slots=True)
class Binarize:
    """1 above a threshold, else 0."""

    threshold: float

    def __call__(self, numbers: NDArray[Any]) -> NDArray[Any]:
        return (numbers > self.threshold).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Cast:
    """Numbers as another dtype holds them."""

    dtype: str

    def __call__(self, numbers: NDArray[Any]) -> NDArray[Any]:
        kind = np.dtype(self.dtype)
        if kind.kind in "iu":  # what it cannot hold, it holds as its ends
            info = np.iinfo(kind)
            numbers = np.clip(numbers, info.min, info.max)
        return numbers.astype(kind).astype(np.float32)


def sigmoid(numbers: NDArray[Any]) -> NDArray[Any]:
    """Return the logistic function of every number."""
    from scipy.special import expit

    return np.asarray(expit(numbers))


def softmax(numbers: NDArray[Any]) -> NDArray[Any]:
    """Return the softmax along the channels of an array of shape (n, K, ...)."""
    from scipy.special import softmax as scipy_softmax

    return np.asarray(scipy_softmax(numbers, axis=1))


# Before the network ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spread:
    """Numbers less their mean, in units of their standard deviation."""

    eps: float
    joint: bool


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Numbers from one quantile to another become 0 to 1, or are kept between them."""

    low: float | None
    high: float | None
    eps: float
    clips: bool


@dataclass(frozen=True, slots=True)
class Before:
    """What is done to one channel: steps, one of which may need to know the whole.

    Parameters
    ----------
    steps : tuple
        Before the one that needs to know the whole.
    whole : Spread or Quantiles, optional
        That one.
    rest : tuple
        After it.
    """

    steps: tuple[Step, ...]
    whole: Spread | Quantiles | None = None
    rest: tuple[Step, ...] = ()

    def made(self, found: Step | None) -> Steps:
        """Return all steps, of which one was found out."""
        return Steps((*self.steps, *(() if found is None else (found,)), *self.rest))


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps one after the other: how grey levels become what a network sees."""

    steps: tuple[Step, ...]

    def __call__(self, block: NDArray[Any]) -> NDArray[np.float32]:
        """Return a block in float32; voxels that are not finite become 0."""
        numbers = block.astype(np.float32)
        bad = ~np.isfinite(numbers) if block.dtype.kind == "f" else None
        if bad is not None:
            numbers[bad] = 0
        numbers = np.asarray(_through(self.steps, numbers), np.float32)
        if bad is not None:
            numbers[bad] = 0
        return numbers


def _through(steps: Sequence[Step], numbers: NDArray[Any]) -> NDArray[Any]:
    for step in steps:
        numbers = step(numbers)
    return numbers


def scalings(before: Sequence[Before], channels: Sequence[Array]) -> list[Any]:
    """Return what is done to each channel of an image; delayed if it is lazy."""
    found = [_found(part, channel) for part, channel in zip(before, channels, strict=True)]
    makes = [partial(_made, part, at) for at, part in enumerate(before)]
    if any(is_lazy(channel) for channel in channels):
        import dask

        return [dask.delayed(make, pure=True)(found) for make in makes]
    return [make(found) for make in makes]


def _made(part: Before, at: int, found: Sequence[Any]) -> Steps:
    """Return the steps of a channel, of which it is known what was found out of all channels."""
    if isinstance(part.whole, Spread):
        moments = joined_moments(found) if part.whole.joint else found[at]
        exact = scaling_of(moments)
        return part.made(Scaling(exact.shift, exact.factor + part.whole.eps))
    return part.made(found[at])


def _found(part: Before, channel: Array) -> Any:
    """Return what a step needs to know of a channel; delayed if it is lazy."""
    match part.whole:
        case None:
            return None
        case Spread():
            return statistic(_itself, part.steps, (_MOMENTS,), channel)
        case Quantiles():
            start, passes = counting(channel)
            return statistic(partial(_between, part.steps, part.whole), start, passes, channel, None)


def _itself(found: Any) -> Any:
    return found


def _moments_after(steps: tuple[Step, ...], block: Array) -> Any:
    """Return the moments of a block after the steps before."""
    numbers = to_numpy(block)
    finite = numbers[np.isfinite(numbers)] if numbers.dtype.kind == "f" else numbers
    return moments_of(None, Steps(steps)(finite))


_MOMENTS = Pass(
    _moments_after, lambda a, b: a.joined(b), lambda _, found: found, lambda _: True, "measuring the spread"
)


def _between(steps: tuple[Step, ...], wanted: Quantiles, bins: Bins) -> Step:
    """Return the step that two quantiles of the grey levels decide; the steps before keep the order of numbers.

    Raises
    ------
    ValueError
        If no voxel is finite.
    """
    histogram = bins.histogram()
    low, high = (
        None if q is None else float(_through(steps, np.array([quantile(histogram, q)], np.float32))[0])
        for q in (wanted.low, wanted.high)
    )
    if wanted.clips:
        return Clip(low, high)
    assert low is not None
    assert high is not None
    return Scaling(low, high - low + wanted.eps)


def quantile(histogram: Histogram, percent: float) -> float:
    """Return a quantile of counted grey levels, between those of two voxels where it falls between them."""
    below = np.cumsum(histogram.counts)
    place = percent / 100 * (int(below[-1]) - 1)
    first = int(place)
    a, b = (histogram.values[np.searchsorted(below, min(at, below[-1] - 1), side="right")] for at in (first, first + 1))
    return float(a + (place - first) * (b - a))


# What a description says -------------------------------------------------------------------------------


def before_of(said: Sequence[Mapping[str, Any]], n_channels: int, axes: Sequence[str], tensor: str) -> list[Before]:
    """Return what is done to each channel of the input.

    Parameters
    ----------
    said : sequence of mapping
        The entries of ``preprocessing``.
    n_channels : int
        Channels of the input.
    axes : sequence of str
        Its spatial axes, such as ``"yx"``.
    tensor : str
        Its name.

    Raises
    ------
    ValueError
        If a step is not one that can be done tile by tile.
    """
    return [_before(said, at, n_channels, axes, tensor) for at in range(n_channels)]


def _before(said: Sequence[Mapping[str, Any]], at: int, n: int, axes: Sequence[str], tensor: str) -> Before:
    steps: list[Step] = []
    whole: Spread | Quantiles | None = None
    rest: list[Step] = []
    for entry in said:
        name, kwargs = _named(entry)
        needs = _whole(name, kwargs, n, axes, tensor)
        if needs is None:
            (steps if whole is None else rest).append(_step(name, kwargs, at, n))
            continue
        if whole is not None:
            raise ValueError(f"two of the steps before the network need to know the whole image, the second is {name}")
        whole = needs
    if isinstance(whole, Quantiles) and any(isinstance(s, Linear) and s.gain <= 0 for s in steps):
        raise ValueError("a step before the quantiles of the image turns its grey levels around")
    return Before(tuple(steps), whole, tuple(rest))


def _named(entry: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    return str(entry["id"]), dict(entry.get("kwargs") or {})


def _whole(name: str, kwargs: Mapping[str, Any], n: int, axes: Sequence[str], tensor: str) -> Spread | Quantiles | None:
    """Return a step that needs to know the whole image; None if this does not."""
    clips = name == "clip" and (kwargs.get("min_percentile") is not None or kwargs.get("max_percentile") is not None)
    if name not in ("zero_mean_unit_variance", "scale_range") and not clips:
        return None
    if kwargs.get("reference_tensor") not in (None, tensor):
        raise ValueError(f"{name} refers to the tensor {kwargs['reference_tensor']!r}, and only its own can be")
    over = kwargs.get("axes")
    if over is not None and not set(axes) <= set(over):
        raise ValueError(
            f"{name} is done for each plane or line by itself (axes {list(over)}), and only for all at once can be"
        )
    joint = over is None or "channel" in over
    eps = float(kwargs.get("eps", 1e-6))
    if name == "zero_mean_unit_variance":
        return Spread(eps, joint)
    if joint and n > 1:
        raise ValueError(f"{name} takes the quantiles of all channels together, and only those of each can be")
    low, high = kwargs.get("min_percentile"), kwargs.get("max_percentile")
    if clips:
        return Quantiles(_percent(low), _percent(high), 0.0, True)
    return Quantiles(_percent(0 if low is None else low), _percent(100 if high is None else high), eps, False)


def _percent(value: Any) -> float | None:
    if value is None:
        return None
    if not 0 <= float(value) <= 100:
        raise ValueError(f"a percentile must be between 0 and 100, got {value!r}")
    return float(value)


def _step(name: str, kwargs: Mapping[str, Any], at: int, n: int) -> Step:
    """Return a step that changes every number of a channel by itself."""

    def of(key: str, default: float = 0.0) -> float:
        value = kwargs.get(key, default)
        if isinstance(value, list | tuple):
            if len(value) not in (1, n) or kwargs.get("axis", "channel") != "channel":
                raise ValueError(f"{key} of {name} must have one number for each of {n} channels, got {value!r}")
            value = value[at if len(value) == n else 0]
        return float(value)

    match name:
        case "ensure_dtype":
            return _cast(str(kwargs["dtype"]))
        case "scale_linear":
            return Linear(of("gain", 1.0), of("offset"))
        case "fixed_zero_mean_unit_variance":
            return Scaling(of("mean"), of("std", 1.0) + 1e-6)
        case "clip":
            return Clip(*(None if kwargs.get(end) is None else float(kwargs[end]) for end in ("min", "max")))
        case "binarize":
            return Binarize(of("threshold"))
        case "sigmoid":
            return sigmoid
        case _:
            raise ValueError(
                f"the step {name!r} is not known here; known are ensure_dtype, scale_linear, clip, binarize, sigmoid, "
                f"softmax, zero_mean_unit_variance, fixed_zero_mean_unit_variance, scale_range"
            )


def _cast(dtype: str) -> Cast:
    if np.dtype(dtype).kind not in "fiub":
        raise ValueError(f"ensure_dtype must name a dtype of real numbers, got {dtype!r}")
    return Cast(dtype)


# After the network -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EachChannel:
    """A step for every channel of an array of shape (n, K, ...)."""

    steps: tuple[Step, ...]

    def __call__(self, numbers: NDArray[Any]) -> NDArray[Any]:
        return np.stack([step(numbers[:, at]) for at, step in enumerate(self.steps)], axis=1)


def after_of(said: Sequence[Mapping[str, Any]], n_channels: int) -> list[Step]:
    """Return what is done to the output, an array of shape (n, K, ...).

    Parameters
    ----------
    said : sequence of mapping
        The entries of ``postprocessing``.
    n_channels : int
        Channels of the output.

    Raises
    ------
    ValueError
        If a step is not known, or needs to know the whole.
    """
    found: list[Step] = []
    for entry in said:
        name, kwargs = _named(entry)
        if name in ("zero_mean_unit_variance", "scale_range", "scale_mean_variance"):
            raise ValueError(f"the step {name!r} after the network needs to know its whole output, which is never held")
        if name == "softmax":
            if kwargs.get("axis", "channel") != "channel":
                raise ValueError(f"softmax must be taken along the channels, got {kwargs['axis']!r}")
            found.append(softmax)
            continue
        found.append(EachChannel(tuple(_step(name, kwargs, at, n_channels) for at in range(n_channels))))
    return found

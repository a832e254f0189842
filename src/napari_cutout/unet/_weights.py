"""The weights that an architecture has, by torch's names for them, without torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .architecture import Architecture

__all__ = ["Kind", "check_weights", "n_bytes_of", "weights_for"]

Kind = tuple[tuple[int, ...], str]
"""Shape and dtype of an array."""


def weights_for(architecture: Architecture) -> dict[str, Kind]:
    """Return shape and dtype of all weights of an architecture.

    Parameters
    ----------
    architecture : Architecture
        What they belong to.

    Returns
    -------
    dict of str to (shape, dtype)
        By torch's names.
    """
    a = architecture
    found: dict[str, Kind] = {}
    for level, n in enumerate(a.widths):
        found.update(_block(a, f"encoder.{level}", a.widths[level - 1] if level else a.n_channels, n, level))
    for level, n in enumerate(a.widths[:-1]):
        found.update(_block(a, f"decoder.{level}", 2 * n, n, level))
        found[f"up.{level}.weight"] = (a.widths[level + 1], n, *a.strides[level]), "float32"
        found[f"up.{level}.bias"] = (n,), "float32"
    found["last.weight"] = (a.n_outputs, a.width, *(1,) * a.ndim), "float32"
    found["last.bias"] = (a.n_outputs,), "float32"
    return found


def _block(a: Architecture, name: str, n_in: int, n_out: int, level: int) -> Iterator[tuple[str, Kind]]:
    kernel = a.kernels[level]
    for at, n in ((0, n_in), (3, n_out)):  # then a normalisation each, and between them a ReLU
        yield f"{name}.inner.{at}.weight", ((n_out, n, *kernel), "float32")
        if a.normalisation == "none":
            yield f"{name}.inner.{at}.bias", ((n_out,), "float32")
            continue
        parts = ("weight", "bias", "running_mean", "running_var") if a.normalisation == "batch" else ("weight", "bias")
        for part in parts:
            yield f"{name}.inner.{at + 1}.{part}", ((n_out,), "float32")
        if a.normalisation == "batch":
            yield f"{name}.inner.{at + 1}.num_batches_tracked", ((), "int64")
    if a.residual and n_in != n_out:
        yield f"{name}.link.weight", ((n_out, n_in, *(1,) * a.ndim), "float32")


def n_bytes_of(architecture: Architecture) -> int:
    """Return how much memory the weights of an architecture take."""
    return sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in weights_for(architecture).values())


def check_weights(architecture: Architecture, weights: Mapping[str, NDArray[Any]]) -> None:
    """Raise unless weights are those of an architecture.

    Parameters
    ----------
    architecture : Architecture
        What they should belong to.
    weights : mapping of str to array
        By torch's names.

    Raises
    ------
    ValueError
        If a weight is missing, not wanted, of another shape or dtype, or not finite.
    """
    wanted = weights_for(architecture)
    for name in sorted(set(wanted) ^ set(weights)):
        there = "misses" if name in wanted else "has, beyond those of its architecture,"
        raise ValueError(f"the model {there} the weight {name!r}; its weights are those of another one")
    for name, (shape, dtype) in wanted.items():
        value = np.asarray(weights[name])
        if (value.shape, value.dtype.name) != (shape, dtype):
            raise ValueError(
                f"the weight {name!r} must be {dtype} of shape {shape}, got {value.dtype.name} of shape {value.shape}; "
                f"it is that of another model"
            )
        if not np.isfinite(value).all() or (name.endswith("running_var") and (value < 0).any()):
            raise ValueError(
                f"the weight {name!r} holds a number that no training gives (NaN, infinite, or a negative variance); "
                f"train the model again"
            )

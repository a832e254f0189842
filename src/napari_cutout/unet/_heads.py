"""What each head is trained on, and how right it is: classes, boundaries of objects, or depths inside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._targets import DEPTHS, UNKNOWN_DEPTH
from ._torch import import_torch
from .losses import loss_named, precise
from .trained import Head

__all__ = ["counts_of", "loss_of"]


def loss_of(head: Head, name: str) -> Callable[..., Any]:
    """Return what training a head makes small.

    Parameters
    ----------
    head : {"classes", "boundary", "distance"}
        What the network says.
    name : str
        The loss of classes, such as ``"dice + cross-entropy"``.

    Returns
    -------
    callable
        ``loss(logits, target, weights)``. Of ``"distance"`` the first two outputs are background and inside, of which
        the loss is that of classes; to it is added the mean of ``|sigmoid(third) - depth|`` over voxels whose depth is
        known.
    """
    classes = loss_named(name)
    if head != "distance":
        return classes

    def total(logits: Any, target: Any, weights: Any = None) -> Any:
        return classes(logits[:, :2], target.clamp(max=1), weights) + _depth_loss(logits[:, 2], target)

    return total


def counts_of(head: Head, said: Any, target: Any) -> NDArray[np.int64]:
    """Return for each class how many annotated voxels are right, said and annotated, of which its Dice follows.

    Parameters
    ----------
    head : {"classes", "boundary", "distance"}
        What the network says.
    said : float tensor of shape (n, K, [Z,] Y, X)
        Before softmax.
    target : int64 tensor of shape (n, [Z,] Y, X)
        What `Targets.of` returned.

    Returns
    -------
    int64 array of shape (3, K)
        Of ``"distance"`` the third class is what lies more than half as deep as its object; without it the best
        network would be chosen by what it says of the outline alone.
    """
    if head != "distance":
        return _counts(said.argmax(1), target, said.shape[1])
    inside = said[:, :2].argmax(1)
    outline = _counts(inside, target.clamp(max=1), 2)
    deep = (2 * target > DEPTHS).long().masked_fill((target < 0) | (target == UNKNOWN_DEPTH), -1)
    core = _counts(inside * (said[:, 2] > 0).long(), deep, 2)
    return np.concatenate((outline, core[:, 1:]), axis=1)


def _depth_loss(logits: Any, target: Any) -> Any:
    """Return how wrong depths are, 0 where none is known."""
    known = (target > 0) & (target != UNKNOWN_DEPTH)
    wrong = (import_torch().sigmoid(precise(logits)) - target / DEPTHS).abs()
    return (wrong * known).sum() / known.sum().clamp(min=1)


def _counts(best: Any, target: Any, k: int) -> NDArray[np.int64]:
    known = target >= 0
    table = (target[known] * k + best[known]).bincount(minlength=k * k).reshape(k, k).cpu().numpy()
    return np.stack((table.diagonal(), table.sum(0), table.sum(1)))

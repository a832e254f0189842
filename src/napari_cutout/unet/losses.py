"""What training makes small: losses of classes, in all of which voxels that nobody annotated teach nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ._torch import import_torch

__all__ = ["LOSSES", "class_weights", "cross_entropy", "dice_loss", "focal_loss", "loss_named", "precise"]

NOT_ANNOTATED = -1
"""The target of a voxel that nobody annotated."""


def cross_entropy(logits: Any, target: Any, weights: Any = None) -> Any:
    """Return how surprising the target is: the mean of ``-log p`` over annotated voxels.

    Parameters
    ----------
    logits : float tensor of shape (n, K, [Z,] Y, X)
        What the network says of each class, before softmax.
    target : int64 tensor of shape (n, [Z,] Y, X)
        The class of each voxel, 0 to K - 1; -1 where nobody annotated.
    weights : float tensor of shape (K,), optional
        How much a voxel of each class counts; all the same by default.

    Returns
    -------
    float tensor
        One number; 0 where nothing is annotated, with no gradient.
    """
    functional = import_torch().nn.functional
    known = target >= 0
    logits = precise(logits)
    each = functional.cross_entropy(
        logits, target, weight=_like(weights, logits), ignore_index=NOT_ANNOTATED, reduction="none"
    )
    return each.sum() / _counted(target, known, weights)


def focal_loss(logits: Any, target: Any, weights: Any = None, *, gamma: float = 2.0) -> Any:
    """Return cross-entropy in which voxels that are right already count less.

    Parameters
    ----------
    logits, target, weights
        As in `cross_entropy`.
    gamma : float
        How much less: the factor is ``(1 - p) ** gamma``, p that of the target's class.

    Returns
    -------
    float tensor
        One number; 0 where nothing is annotated.

    References
    ----------
    .. [1] T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollár, "Focal loss for dense object detection", ICCV (2017)
       2980-2988. DOI:10.1109/ICCV.2017.324
    """
    torch = import_torch()
    known = target >= 0
    log_p = torch.log_softmax(precise(logits), dim=1).gather(1, target.clamp(min=0).unsqueeze(1)).squeeze(1)
    wrong = (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny)  # at 0 a root has no finite slope
    each = -(wrong**gamma) * log_p * known
    if weights is not None:
        each = each * _like(weights, log_p)[target.clamp(min=0)]
    return each.sum() / _counted(target, known, weights)


def dice_loss(logits: Any, target: Any, weights: Any = None, *, smooth: float = 1.0) -> Any:
    """Return 1 minus the mean soft Dice of the classes.

    Parameters
    ----------
    logits, target
        As in `cross_entropy`.
    weights : float tensor of shape (K,), optional
        Not used: each class counts the same however common it is.
    smooth : float
        Added above and below the fraction; a class that is nowhere and not predicted then scores 1.

    Returns
    -------
    float tensor
        ``1 - mean((2 sum(p y) + s) / (sum(p) + sum(y) + s))``, the sums over all annotated voxels of the batch.
    """
    torch = import_torch()
    known = (target >= 0).unsqueeze(1)
    p = torch.softmax(precise(logits), dim=1) * known
    y = torch.zeros_like(p).scatter_(1, target.clamp(min=0).unsqueeze(1), 1.0) * known
    axes = [a for a in range(p.ndim) if a != 1]
    both, either = (p * y).sum(axes), p.sum(axes) + y.sum(axes)
    return 1 - ((2 * both + smooth) / (either + smooth)).mean()


LOSSES: Mapping[str, Callable[..., Any]] = {
    "cross-entropy": cross_entropy,
    "dice": dice_loss,
    "focal": focal_loss,
}
"""The losses by name."""


def loss_named(name: str) -> Callable[..., Any]:
    """Return a loss, or the sum of several, by name.

    Parameters
    ----------
    name : str
        Such as ``"dice"`` or ``"dice + cross-entropy"``.

    Returns
    -------
    callable
        ``loss(logits, target, weights)``.

    Raises
    ------
    ValueError
        If there is no such loss; the message lists those there are.
    """
    words = [word.strip() for word in name.split("+")]
    for word in words:
        if word not in LOSSES:
            raise ValueError(f"there is no loss {word!r} in {name!r}; there are: {', '.join(LOSSES)}, and their sums")
    losses = [LOSSES[word] for word in words]

    def total(logits: Any, target: Any, weights: Any = None) -> Any:
        return sum(loss(logits, target, weights) for loss in losses)

    return total


def class_weights(counts: Sequence[float]) -> list[float]:
    """Return how much a voxel of each class counts, so that rare classes are not drowned.

    Parameters
    ----------
    counts : sequence of float
        Annotated voxels of each class.

    Returns
    -------
    list of float
        Proportional to 1 over the square root of the prevalence, with a mean of 1 over the annotated voxels. The
        square root lies between no weights, which lose rare classes, and 1 over the prevalence, which finds them
        everywhere.

    Raises
    ------
    ValueError
        If a class has no voxel.
    """
    if any(n <= 0 for n in counts):
        raise ValueError(f"every class needs annotated voxels, got {list(counts)}")
    total = float(sum(counts))
    raw = [(total / n) ** 0.5 for n in counts]
    mean = sum(w * n for w, n in zip(raw, counts, strict=True)) / total
    return [w / mean for w in raw]


def precise(logits: Any) -> Any:
    """Return logits in which sums over a batch keep their digits: float32 where they have 16 bits, else as they are."""
    return logits.float() if logits.dtype.itemsize < 4 else logits


def _like(weights: Any, logits: Any) -> Any:
    """Return weights with the dtype of logits; a gradient check needs all of them in float64."""
    return None if weights is None else weights.to(logits.dtype)


def _counted(target: Any, known: Any, weights: Any) -> Any:
    """Return how much all annotated voxels count together; at least a little, so that none gives 0."""
    total = known.sum() if weights is None else (weights[target.clamp(min=0)] * known).sum()
    return total.clamp(min=1e-6)

"""What a network learns from: against NumPy, by hand, by numerical gradients, and in the range of 16 bits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import napari_cutout as nc
from napari_cutout.unet._heads import counts_of, loss_of
from napari_cutout.unet._torch import import_torch
from napari_cutout.unet.losses import LOSSES, class_weights, cross_entropy, dice_loss, focal_loss, loss_named

torch = import_torch()

SHAPE = (2, 5, 6)


def drawn(seed: int, k: int = 3, shape: tuple[int, ...] = SHAPE, dtype: Any = None) -> tuple[Any, Any]:
    """Return logits, and targets of which a third is not annotated."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (shape[0], k, *shape[1:]))
    target = np.where(rng.random(shape) < 1 / 3, -1, rng.integers(0, k, shape))
    return torch.from_numpy(logits).to(dtype or torch.float64), torch.from_numpy(target)


def as_probabilities(logits: Any) -> np.ndarray:
    """Return probabilities with the classes first."""
    odds = np.exp(logits.double().numpy())
    return np.moveaxis(odds / odds.sum(1, keepdims=True), 1, 0)


TWINS: dict[str, Callable[..., float]] = {
    "cross-entropy": nc.cross_entropy_loss,
    "focal": nc.focal_loss,
    "dice": lambda p, truth, weights, ignore: nc.soft_dice_loss(p, truth, ignore=ignore),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weights", [None, (0.5, 1.0, 3.0)])
@pytest.mark.parametrize("shape", [SHAPE, (1, 3, 4, 5)])
def test_losses_are_those_of_numpy(name: str, weights: tuple[float, ...] | None, shape: tuple[int, ...]) -> None:
    logits, target = drawn(0, shape=shape)
    expected = TWINS[name](as_probabilities(logits), target.numpy(), weights=weights, ignore=-1)
    told = None if weights is None else torch.tensor(weights)
    assert float(loss_named(name)(logits, target, told)) == pytest.approx(expected, rel=1e-6)
    assert float(loss_named(name)(logits.float(), target, told)) == pytest.approx(expected, rel=1e-5)


def test_losses_by_hand() -> None:
    # p of class 1: 1/2, 3/4, 1/4, and one voxel that nobody annotated.
    logits = torch.tensor([[[0.0, 0.0, 0.0, 9.0], [0.0, math.log(3), -math.log(3), 0.0]]], dtype=torch.float64)
    target = torch.tensor([[1, 1, 0, -1]])
    # -log of 1/2, 3/4, 3/4
    assert float(cross_entropy(logits, target)) == pytest.approx((math.log(2) + 2 * math.log(4 / 3)) / 3)
    weights = torch.tensor([2.0, 1.0], dtype=torch.float64)
    assert float(cross_entropy(logits, target, weights)) == pytest.approx((math.log(2) + 3 * math.log(4 / 3)) / 4)
    assert float(focal_loss(logits, target)) == pytest.approx((math.log(2) / 4 + 2 * math.log(4 / 3) / 16) / 3)
    # Class 1: sum(p y) = 5/4, sum(p) = 3/2, sum(y) = 2. Class 0: 3/4, 3/2, 1.
    dice = ((2.5 + 1) / (3.5 + 1) + (1.5 + 1) / (2.5 + 1)) / 2
    assert float(dice_loss(logits, target)) == pytest.approx(1 - dice)
    both = loss_named("dice + cross-entropy")(logits, target)
    assert float(both) == pytest.approx(1 - dice + (math.log(2) + 2 * math.log(4 / 3)) / 3)


@pytest.mark.parametrize("name", [*LOSSES, "dice + focal"])
@pytest.mark.parametrize("weights", [None, (0.5, 1.0, 3.0)])
def test_gradients_are_those_of_differences(name: str, weights: tuple[float, ...] | None) -> None:
    logits, target = drawn(1, shape=(2, 2, 3))
    told = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: loss_named(name)(x, target, told), logits.requires_grad_())


@pytest.mark.parametrize("name", LOSSES)
def test_what_nobody_annotated_teaches_nothing(name: str) -> None:
    logits, target = drawn(2)
    known = (target >= 0).unsqueeze(1).expand(logits.shape)
    other = torch.where(known, logits, torch.full_like(logits, 50.0))
    assert torch.equal(loss_named(name)(other, target), loss_named(name)(logits, target))
    loss_named(name)(logits.requires_grad_(), target).backward()
    assert not logits.grad[~known].any()
    assert logits.grad[known].all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weights", [None, (1.0, 2.0, 3.0)])
def test_nothing_annotated_is_no_loss_and_no_gradient(name: str, weights: tuple[float, ...] | None) -> None:
    logits, target = drawn(3)
    loss = loss_named(name)(
        logits.requires_grad_(), torch.full_like(target, -1), None if weights is None else torch.tensor(weights)
    )
    loss.backward()
    assert float(loss.detach()) == 0
    assert not logits.grad.any()


@pytest.mark.parametrize("name", LOSSES)
def test_16_bits_lose_nothing_but_the_digits_of_what_is_said(name: str) -> None:
    logits, target = drawn(4, shape=(4, 64, 64), dtype=torch.float16)
    logits = (logits * 1000).clamp(-60000, 60000)  # near the largest number of 16 bits
    loss = loss_named(name)(logits.requires_grad_(), target)
    loss.backward()
    assert loss.dtype == torch.float32
    assert math.isfinite(float(loss.detach()))
    assert torch.isfinite(logits.grad).all()
    assert float(loss.detach()) == pytest.approx(float(loss_named(name)(logits.detach().double(), target)), rel=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_focal_loss_of_what_is_certain_has_a_finite_gradient(gamma: float) -> None:
    logits = torch.tensor([[[200.0, -200.0], [-200.0, 200.0]]], dtype=torch.float64, requires_grad=True)
    focal_loss(logits, torch.tensor([[0, 0]]), gamma=gamma).backward()
    assert torch.isfinite(logits.grad).all()


@given(st.integers(0, 10**6))
def test_without_focus_the_focal_loss_is_the_cross_entropy(seed: int) -> None:
    logits, target = drawn(seed)
    weights = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)
    for told in (None, weights):
        plain, focal = cross_entropy(logits, target, told), focal_loss(logits, target, told, gamma=0.0)
        assert float(focal) == pytest.approx(float(plain), rel=1e-12)


def test_losses_are_known_by_name() -> None:
    with pytest.raises(ValueError, match=r"there is no loss 'jaccard' in 'dice \+ jaccard'; there are: cr"):
        loss_named("dice + jaccard")
    with pytest.raises(ValueError, match="there is no loss ''"):
        loss_named("")


# Weights of classes ----------------------------------------------------------------------------------


def test_class_weights_by_hand() -> None:
    # 1 / sqrt of 1/10 and 9/10 is 3.162 and 1.054; over the voxels 0.1 * 3.162 + 0.9 * 1.054 = 1.265 on average.
    assert class_weights([10, 90]) == pytest.approx([3.162278 / 1.264911, 1.054093 / 1.264911], rel=1e-5)
    assert class_weights([7, 7, 7]) == pytest.approx([1, 1, 1])
    with pytest.raises(ValueError, match=r"every class needs annotated voxels, got \[3, 0\]"):
        class_weights([3, 0])


@given(st.lists(st.integers(1, 10**12), min_size=2, max_size=6))
def test_class_weights_are_1_on_average_and_larger_for_rare_classes(counts: list[int]) -> None:
    weights = class_weights(counts)
    assert sum(w * n for w, n in zip(weights, counts, strict=True)) == pytest.approx(sum(counts))
    order = sorted(range(len(counts)), key=counts.__getitem__)
    assert all(weights[a] >= weights[b] for a, b in itertools.pairwise(order))


# The heads that tell objects apart ----------------------------------------------------------------------


def test_the_loss_of_depths_by_hand() -> None:
    # Third output 0, so a depth of 1/2. Targets: background, depths 51/255 = 1/5 and 1, inside of unknown depth, none.
    logits = torch.zeros((1, 3, 5), dtype=torch.float64)
    target = torch.tensor([[0, 51, 255, 256, -1]])
    outline = float(loss_named("cross-entropy")(logits[:, :2], torch.tensor([[0, 1, 1, 1, -1]])))
    assert outline == pytest.approx(math.log(2))
    total = loss_of("distance", "cross-entropy")(logits, target)
    assert float(total) == pytest.approx(math.log(2) + (0.3 + 0.5) / 2)
    # No depth is known: the outline alone.
    assert float(loss_of("distance", "cross-entropy")(logits[..., 3:], target[..., 3:])) == pytest.approx(math.log(2))


def test_depths_teach_only_where_they_are_known() -> None:
    logits = torch.randn((1, 3, 5), generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    loss_of("distance", "dice")(logits, torch.tensor([[0, 51, 255, 256, -1]])).backward()
    assert logits.grad[0, 2].ne(0).tolist() == [False, True, True, False, False]
    assert logits.grad[0, 0].ne(0).tolist() == [True, True, True, True, False]


@pytest.mark.parametrize("head", ["classes", "boundary"])
def test_other_heads_learn_classes(head: Any) -> None:
    logits, target = drawn(5)
    assert torch.equal(loss_of(head, "dice")(logits, target), dice_loss(logits, target))


def test_counts_by_hand() -> None:
    # Said: 0, 1, 1, 2, 2; annotated: 0, 0, 1, 2, nothing.
    said = torch.eye(3)[[0, 1, 1, 2, 2]].T[None]
    assert counts_of("boundary", said, torch.tensor([[0, 0, 1, 2, -1]])).tolist() == [[1, 1, 1], [1, 2, 1], [2, 1, 1]]


def test_counts_of_depths_by_hand() -> None:
    # Said: background, inside deep, inside deep, inside shallow, inside deep; and background, though deep.
    said = torch.tensor([[[1.0, 0, 0, 0, 0, 1], [0, 1, 1, 1, 1, 0], [-1, 1, 1, -1, 1, 1]]])
    target = torch.tensor([[0, 200, 100, 255, 256, 0]])
    # Outline: background right twice of 2 and 2; inside 4 of 4 and 4.
    # Deep, above 127.5 of 255: annotated 200 and 255, said at 200 and 100, right at 200; 256 is not known.
    assert counts_of("distance", said, target).tolist() == [[2, 4, 1], [2, 4, 2], [2, 4, 2]]

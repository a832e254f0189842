"""Losses: by hand, against the scores of certain labels and scikit-learn, and by what must hold for any values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics

from napari_cutout import Cancelled, watch
from napari_cutout.evaluation.losses import generalised_dice_loss, soft_dice_loss, tversky_loss
from napari_cutout.evaluation.overlap import evaluate
from napari_cutout.evaluation.surprise import cross_entropy_loss, focal_loss

from .strict import on_host

OVERLAPS: list[Any] = [soft_dice_loss, tversky_loss, generalised_dice_loss]
LOSSES: list[Any] = [*OVERLAPS, cross_entropy_loss, focal_loss]
OF_ONE_OBJECT = soft_dice_loss, tversky_loss


def softmax(seed: int, n_classes: int, shape: tuple[int, ...] = (5, 6, 7)) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities of classes that add up to 1, and labels that they are close to."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, n_classes, shape)
    scores = rng.standard_normal((n_classes, *shape)) + 1.5 * certain(truth, n_classes)
    odds = np.exp(scores)
    return odds / odds.sum(axis=0), truth


def certain(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Return probabilities of 1 for the class of each label."""
    return (np.arange(n_classes).reshape(-1, *[1] * labels.ndim) == labels).astype(np.float64)


def spelt_out(probabilities: np.ndarray, truth: np.ndarray, alpha: float, beta: float, smooth: float) -> float:
    """Return the Tversky loss with each voxel's share in TP, FP and FN written out."""
    found = []
    for k, p in enumerate(probabilities):
        y = truth == k
        tp, fp, fn = p[y].sum(), p[~y].sum(), (1 - p)[y].sum()
        found.append(1 - (tp + smooth / 2) / (tp + alpha * fp + beta * fn + smooth / 2))
    return float(np.mean(found))


# By hand ---------------------------------------------------------------------------------------------


def test_soft_dice_of_one_object_by_hand() -> None:
    probabilities, truth = np.array([0.5, 1.0, 0.25, 0.25]), np.array([0, 3, 3, 0])
    # sum(p y) = 1.25, sum(p) = 2, sum(y) = 2
    assert soft_dice_loss(probabilities, truth) == pytest.approx(1 - (2 * 1.25 + 1) / (2 + 2 + 1))
    assert soft_dice_loss(probabilities, truth, smooth=0) == pytest.approx(1 - 2.5 / 4)
    # without the first voxel: 1.25, 1.5, 2
    truth[0] = 7
    assert soft_dice_loss(probabilities, truth, ignore=7) == pytest.approx(1 - (2.5 + 1) / (1.5 + 2 + 1))


def test_tversky_of_one_object_by_hand() -> None:
    probabilities, truth = np.array([0.5, 1.0, 0.25, 0.25]), np.array([0, 3, 3, 0])
    # TP = 1 + 0.25, FP = 0.5 + 0.25, FN = 0 + 0.75
    assert tversky_loss(probabilities, truth, smooth=0) == pytest.approx(1 - 1.25 / (1.25 + 0.3 * 0.75 + 0.7 * 0.75))
    loss = tversky_loss(probabilities, truth, alpha=0.1, beta=2, smooth=3)
    assert loss == pytest.approx(1 - (2.5 + 3) / (2.5 + 2 * 0.1 * 0.75 + 2 * 2 * 0.75 + 3))


def test_losses_of_classes_by_hand() -> None:
    truth = np.array([0, 0, 1, 2, 9])
    probabilities = np.array(
        [
            [1.0, 0.5, 0.0, 0.0, 0.3],
            [0.0, 0.5, 1.0, 0.5, 0.3],
            [0.0, 0.0, 0.0, 0.5, 0.3],
        ]
    )
    # Of the annotated voxels: sum(p y) = 1.5, 1, 0.5; sum(p) = 1.5, 2, 0.5; sum(y) = 2, 1, 1.
    dice = [3 / 3.5, 2 / 3, 1 / 1.5]
    assert soft_dice_loss(probabilities, truth, smooth=0, ignore=9) == pytest.approx(1 - sum(dice) / 3)
    smoothed = [(3 + 1) / (3.5 + 1), (2 + 1) / (3 + 1), (1 + 1) / (1.5 + 1)]
    assert soft_dice_loss(probabilities, truth, ignore=9) == pytest.approx(1 - sum(smoothed) / 3)
    # FP = 0, 1, 0 and FN = 0.5, 0, 0.5
    index = [1.5 / (1.5 + 0.7 * 0.5), 1 / (1 + 0.3 * 1), 0.5 / (0.5 + 0.7 * 0.5)]
    assert tversky_loss(probabilities, truth, smooth=0, ignore=9) == pytest.approx(1 - sum(index) / 3)
    # weights 1/4, 1, 1: above 1.5/4 + 1 + 0.5 = 1.875, below 3.5/4 + 3 + 1.5 = 5.375
    assert generalised_dice_loss(probabilities, truth, ignore=9) == pytest.approx(1 - 2 * 1.875 / 5.375)


def test_a_class_that_is_not_there_weighs_as_the_rarest_that_is() -> None:
    truth = np.array([0, 0, 0, 1])
    probabilities = certain(np.array([0, 0, 2, 1]), 3)
    # sum(p y) = 2, 1, 0; sum(p) = 2, 1, 1; sum(y) = 3, 1, 0; weights 1/9, 1, and 1 as that of class 1:
    # above 2/9 + 1 + 0 = 11/9, below 5/9 + 2 + 1 = 32/9
    assert generalised_dice_loss(probabilities, truth) == pytest.approx(1 - 22 / 32)


def test_a_class_that_is_nowhere_is_left_out_where_nothing_smooths() -> None:
    truth = np.array([0, 0, 1, 1])
    probabilities = certain(np.array([0, 1, 1, 1]), 3)
    # Dice 2/3 and 4/5 of classes 0 and 1; with smoothing class 2 is perfect: 0/0 becomes 1/1.
    assert soft_dice_loss(probabilities, truth, smooth=0) == pytest.approx(1 - (2 / 3 + 4 / 5) / 2)
    assert soft_dice_loss(probabilities, truth) == pytest.approx(1 - (3 / 4 + 5 / 6 + 1) / 3)


def test_surprise_by_hand() -> None:
    truth = np.array([0, 0, 1, 9])
    probabilities = np.array([[0.5, 1.0, 0.75, 0.0], [0.5, 0.0, 0.25, 0.0]])
    # -log p of what is there: log 2, 0, log 4; in units of log 2: 1, 0, 2
    assert cross_entropy_loss(probabilities, truth, ignore=9) == pytest.approx(3 / 3 * np.log(2))
    # voxels of class 1 count 3: (1 + 0 + 3 * 2) / (1 + 1 + 3)
    weighted = cross_entropy_loss(probabilities, truth, weights=(1, 3), ignore=9)
    assert weighted == pytest.approx(7 / 5 * np.log(2))
    # (1 - p)^2 = 1/4, 0, 9/16: (1/4 + 0 + 2 * 9/16) / 3 = 11/24
    assert focal_loss(probabilities, truth, ignore=9) == pytest.approx(11 / 24 * np.log(2))
    # gamma 1, and class 1 alone counts: 3/4 * 2
    assert focal_loss(probabilities, truth, gamma=1, weights=(0, 2), ignore=9) == pytest.approx(3 / 2 * np.log(2))


def test_what_was_held_to_be_impossible_is_infinitely_surprising_unless_it_does_not_count() -> None:
    truth, probabilities = np.array([0, 1]), np.array([[0.0, 0.5], [1.0, 0.5]])
    assert cross_entropy_loss(probabilities, truth) == np.inf
    assert cross_entropy_loss(probabilities, truth, weights=(0, 1)) == pytest.approx(np.log(2))
    assert np.isnan(focal_loss(probabilities, truth, weights=(0, 0)))
    assert np.isnan(focal_loss(probabilities, np.zeros(2, int), ignore=0))


def test_nothing_is_perfect_with_smoothing_and_undefined_without() -> None:
    nothing, classes = np.zeros(3), np.zeros((2, 3))
    for loss in (soft_dice_loss, tversky_loss):
        for probabilities in (nothing, classes):
            ignore = None if probabilities is nothing else 0
            assert loss(probabilities, np.zeros(3, int), ignore=ignore) == 0
            assert np.isnan(loss(probabilities, np.zeros(3, int), smooth=0, ignore=ignore))
    assert np.isnan(generalised_dice_loss(classes, np.zeros(3, int), ignore=0))


@pytest.mark.parametrize("loss", LOSSES)
def test_ignored_probabilities_and_labels_are_not_read(loss: Any) -> None:
    truth, probabilities = np.array([0, 1, 77]), np.array([[1.0, 0.0, np.nan], [0.0, 1.0, 5.0]])
    assert loss(probabilities, truth, ignore=77) == 0
    if loss in OF_ONE_OBJECT:
        assert loss(np.array([np.nan, 1.0]), np.array([-4, 1]), ignore=-4) == 0


# Against others --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ignore", [None, 0, 2])
def test_losses_of_certain_labels_follow_from_their_scores(ignore: int | None) -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 4, (8, 9))
    predicted = np.where(rng.random((8, 9)) < 0.5, rng.integers(0, 4, (8, 9)), truth)
    scores = evaluate(predicted, truth, match="value", ignore=ignore, classes=[k for k in range(4) if k != ignore])
    masked = certain(predicted, 4)
    if ignore is not None:  # what is found of a class that is nowhere in truth would count
        masked[ignore] = 0
    assert soft_dice_loss(masked, truth, smooth=0, ignore=ignore) == pytest.approx(1 - scores.dice.mean(), rel=1e-12)
    iou = tversky_loss(masked, truth, alpha=1, beta=1, smooth=0, ignore=ignore)
    assert iou == pytest.approx(1 - scores.iou.mean(), rel=1e-12)
    precision = tversky_loss(masked, truth, alpha=1, beta=0, smooth=0, ignore=ignore)
    assert precision == pytest.approx(1 - scores.precision.mean(), rel=1e-12)
    recall = tversky_loss(masked, truth, alpha=0, beta=1, smooth=0, ignore=ignore)
    assert recall == pytest.approx(1 - scores.recall.mean(), rel=1e-12)
    weights = 1 / (scores.tp + scores.fn) ** 2
    whole = (weights * (2 * scores.tp + scores.fp + scores.fn)).sum()
    generalised = generalised_dice_loss(masked, truth, ignore=ignore)
    assert generalised == pytest.approx(1 - 2 * (weights * scores.tp).sum() / whole, rel=1e-12)


@pytest.mark.parametrize(("beta", "precision_weight"), [(0.5, 1), (2.0, 1), (0.8, 0.2)])
def test_tversky_of_a_mask_is_the_f_beta_of_scikit_learn(beta: float, precision_weight: float) -> None:
    # F_b = (1 + b^2) TP / ((1 + b^2) TP + b^2 FN + FP): alpha = 1 / (1 + b^2) and beta = b^2 / (1 + b^2)
    rng = np.random.default_rng(2)
    truth, predicted = rng.integers(0, 2, (2, 200))
    share = 1 / (1 + beta**2)
    loss = tversky_loss(predicted / 1, truth, alpha=share, beta=1 - share, smooth=0)
    assert loss == pytest.approx(1 - metrics.fbeta_score(truth, predicted, beta=beta), rel=1e-12)


@pytest.mark.parametrize("weights", [None, (1.0, 2.0, 0.5)])
def test_cross_entropy_is_that_of_scikit_learn(weights: tuple[float, ...] | None) -> None:
    probabilities, truth = softmax(8, 3)
    of_voxels = None if weights is None else np.asarray(weights)[truth.ravel()]
    expected = metrics.log_loss(truth.ravel(), probabilities.reshape(3, -1).T, sample_weight=of_voxels)
    assert cross_entropy_loss(probabilities, truth, weights=weights) == pytest.approx(expected, rel=1e-12)
    assert focal_loss(probabilities, truth, gamma=0, weights=weights) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("alpha", "beta", "smooth"), [(0.3, 0.7, 0.0), (0.5, 0.5, 1.0), (2.0, 0.1, 30.0)])
def test_losses_equal_those_that_are_spelt_out(alpha: float, beta: float, smooth: float) -> None:
    probabilities, truth = softmax(3, 5)
    loss = tversky_loss(probabilities, truth, alpha=alpha, beta=beta, smooth=smooth)
    assert loss == pytest.approx(spelt_out(probabilities, truth, alpha, beta, smooth), rel=1e-12)


# Any library, any dtype, any chunk -------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtypes", [("float64", "int64"), ("float32", "uint8"), ("float32", "bool")])
def test_losses_are_the_same_in_every_library(
    to_library: Callable[[Any], Any], loss: Any, dtypes: tuple[str, str]
) -> None:
    probabilities, truth = (a.astype(d) for a, d in zip(softmax(4, 2), dtypes, strict=True))
    ignore = None if dtypes[1] == "bool" else 0
    expected = loss(probabilities.astype(np.float64), truth.astype(int), ignore=ignore)
    found = loss(to_library(probabilities), to_library(truth), ignore=ignore)
    assert type(found) is float
    assert found == pytest.approx(expected, rel=1e-12)
    if loss in OF_ONE_OBJECT:
        alone = loss(to_library(probabilities[1]), to_library(truth), ignore=ignore)
        assert alone == pytest.approx(loss(probabilities[1], truth, ignore=ignore), rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_blocks_and_chunks_give_the_loss_of_the_whole(monkeypatch: pytest.MonkeyPatch, loss: Any) -> None:
    probabilities, truth = softmax(5, 3, (7, 20, 30))
    whole = loss(probabilities, truth, ignore=2)
    monkeypatch.setattr("napari_cutout._plan.BLOCK_VOXELS", 70)
    assert loss(probabilities, truth, ignore=2) == pytest.approx(whole, rel=1e-12)
    lazy = da.from_array(probabilities, (2, 3, 20, 11)), da.from_array(truth, (4, 7, 30))
    assert loss(*lazy, ignore=2) == pytest.approx(whole, rel=1e-12)
    holes = ((0, 4, 0, 3), (20,), (30,))
    lazy = da.from_array(probabilities, ((3,), *holes)), da.from_array(truth, holes)
    assert loss(*lazy, ignore=2) == pytest.approx(whole, rel=1e-12)


def test_a_value_out_of_range_is_found_in_any_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_cutout._plan.BLOCK_VOXELS", 10)
    for at, wrong in ((0, 2.0), (50, -0.5), (99, np.nan), (0, np.nan)):
        probabilities, truth = softmax(6, 2, (100,))
        probabilities[1, at] = wrong
        with pytest.raises(ValueError, match="probabilities must lie between 0 and 1"):
            soft_dice_loss(probabilities, truth)
        with pytest.raises(ValueError, match="probabilities must lie between 0 and 1"):
            soft_dice_loss(da.from_array(probabilities, (1, 30)), da.from_array(truth, 25))


@pytest.mark.parametrize("lazy", [False, True])
def test_a_run_is_watched_and_cancelled(monkeypatch: pytest.MonkeyPatch, lazy: bool) -> None:
    monkeypatch.setattr("napari_cutout._plan.BLOCK_VOXELS", 10)
    probabilities, truth = softmax(7, 2, (100,))
    arrays = (da.from_array(probabilities, (2, 10)), da.from_array(truth, 10)) if lazy else (probabilities, truth)
    with watch(is_cancelled=lambda: True), pytest.raises(Cancelled):
        generalised_dice_loss(*arrays)


# Properties ------------------------------------------------------------------------------------------


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities of classes, which need not add up to 1, and labels of some of them."""
    n_classes, shape = draw(st.integers(2, 4)), draw(hnp.array_shapes(max_dims=3, max_side=5))
    fractions = st.integers(0, 8).map(lambda k: k / 8)  # sums of eighths are exact
    probabilities = draw(hnp.arrays(np.float64, (n_classes, *shape), elements=fractions))
    return probabilities, draw(hnp.arrays(np.int64, shape, elements=st.integers(0, n_classes - 1)))


weights = st.floats(0.01, 10)


@given(cases(), weights, weights, st.sampled_from([0.0, 1.0, 100.0]))
def test_losses_lie_between_0_and_1(
    case: tuple[np.ndarray, np.ndarray], alpha: float, beta: float, smooth: float
) -> None:
    probabilities, truth = case
    for loss in (
        tversky_loss(probabilities, truth, alpha=alpha, beta=beta, smooth=smooth),
        soft_dice_loss(probabilities, truth, smooth=smooth),
        generalised_dice_loss(probabilities, truth),
    ):
        assert 0 <= loss <= 1


@given(cases(), st.floats(0, 5), st.floats(0, 5))
def test_more_focus_is_never_more_loss(case: tuple[np.ndarray, np.ndarray], gamma: float, more: float) -> None:
    assert focal_loss(*case, gamma=gamma + more) <= focal_loss(*case, gamma=gamma)


@given(cases(), st.sampled_from([0.0, 1.0]))
def test_even_weights_give_soft_dice(case: tuple[np.ndarray, np.ndarray], smooth: float) -> None:
    probabilities, truth = case
    y = certain(truth, len(probabilities))
    axes = tuple(range(1, y.ndim))
    right = 2 * (probabilities * y).sum(axes) + smooth
    whole = probabilities.sum(axes) + y.sum(axes) + smooth
    expected = 1 - np.mean(right[whole > 0] / whole[whole > 0])
    assert soft_dice_loss(probabilities, truth, smooth=smooth) == pytest.approx(expected, rel=1e-12, abs=1e-14)
    even = tversky_loss(probabilities, truth, alpha=0.5, beta=0.5, smooth=smooth)
    assert even == pytest.approx(expected, rel=1e-12, abs=1e-14)


@given(cases(), weights, weights, weights)
def test_a_weight_more_is_a_loss_more(
    case: tuple[np.ndarray, np.ndarray], alpha: float, beta: float, more: float
) -> None:
    less = tversky_loss(*case, alpha=alpha, beta=beta)
    assert tversky_loss(*case, alpha=alpha + more, beta=beta) >= less
    assert tversky_loss(*case, alpha=alpha, beta=beta + more) >= less


@given(cases())
def test_truth_itself_is_perfect_and_its_contrary_the_worst(case: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, truth = case
    exact = certain(truth, len(probabilities))
    for loss in LOSSES:
        assert loss(exact, truth) == 0
    for loss in (soft_dice_loss, tversky_loss):
        assert loss(1 - exact, truth, smooth=0) == 1
    assert generalised_dice_loss(1 - exact, truth) == 1
    assert cross_entropy_loss(1 - exact, truth) == focal_loss(1 - exact, truth) == np.inf


@given(cases(), st.data())
def test_the_order_of_voxels_and_classes_does_not_matter(
    case: tuple[np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    probabilities, truth = case
    order = np.array(data.draw(st.permutations(range(len(probabilities)))))
    for loss in LOSSES:
        expected = pytest.approx(loss(probabilities, truth), rel=1e-12, abs=1e-14)
        assert loss(probabilities[order], np.argsort(order)[truth]) == expected
        flat = probabilities.reshape(len(order), -1)
        assert loss(flat[:, ::-1], truth.ravel()[::-1]) == expected


@given(cases(), st.integers(0, 3))
def test_ignoring_equals_leaving_out(case: tuple[np.ndarray, np.ndarray], ignore: int) -> None:
    probabilities, truth = case
    kept = truth != ignore
    if not kept.any():
        return
    for loss in LOSSES:
        expected = pytest.approx(loss(probabilities[:, kept], truth[kept]), rel=1e-12, abs=1e-14)
        assert loss(probabilities, truth, ignore=ignore) == expected


# Bad input -------------------------------------------------------------------------------------------

LABELS = np.array([[0, 1], [1, 0]])
TWO = np.stack([1.0 - LABELS, LABELS])
FAR = np.array([[0, 1], [1, 2**64 - 1]], np.uint64)
ERRORS = [
    (lambda: soft_dice_loss(LABELS, LABELS), TypeError, "probabilities must be floats from 0 to 1, got dtype int64"),
    (lambda: soft_dice_loss(LABELS * 2.0, LABELS), ValueError, "between 0 and 1, got 0 to 2; apply a sigmoid"),
    (lambda: soft_dice_loss(LABELS * np.nan, LABELS), ValueError, "between 0 and 1, got nan to nan"),
    (lambda: soft_dice_loss(LABELS / 1, LABELS, smooth=-1), ValueError, "smooth must be 0 or more and finite, got -1"),
    (lambda: soft_dice_loss(LABELS / 1, LABELS, smooth=np.inf), ValueError, "smooth must be 0 or more .* got inf"),
    (lambda: soft_dice_loss(LABELS / 1, LABELS[:1]), ValueError, "truth must have the shape of probabilities, "),
    (lambda: soft_dice_loss(TWO, LABELS[:1]), ValueError, "truth must have the shape of each class of probabilities"),
    (lambda: soft_dice_loss(LABELS / 1, LABELS / 1), TypeError, "truth must hold integer labels"),
    (lambda: soft_dice_loss(LABELS / 1, on_host(LABELS)), TypeError, "from one library, got numpy and array_api"),
    (lambda: soft_dice_loss([0.5], [1]), TypeError, "an array was expected, got list"),
    (lambda: soft_dice_loss(LABELS / 1, LABELS, ignore=0.5), TypeError, "ignore must be an integer label"),
    (lambda: soft_dice_loss(TWO[:, :0], LABELS[:0]), ValueError, "which holds no voxels"),
    (lambda: tversky_loss(TWO, LABELS, alpha=-0.1), ValueError, "alpha must be 0 or more and finite, got -0.1"),
    (lambda: tversky_loss(TWO, LABELS, beta=np.nan), ValueError, "beta must be 0 or more and finite, got nan"),
    (lambda: tversky_loss(TWO, LABELS, alpha=0, beta=0), ValueError, "alpha and beta are both 0"),
    (lambda: tversky_loss(TWO[:1], LABELS), ValueError, r"2 classes or more, got 1 .*pass probabilities\[0\]"),
    (lambda: tversky_loss(TWO, LABELS * 2), ValueError, "classes 0 to 1 .* got labels from 0 to 2; give the label"),
    (lambda: soft_dice_loss(TWO, LABELS - 1), ValueError, "classes 0 to 1 .* got labels from -1 to 0"),
    (lambda: soft_dice_loss(LABELS / 1, FAR), ValueError, f"truth holds the label {2**64 - 1}, .* at most {2**63 - 1}"),
    (lambda: soft_dice_loss(LABELS / 1, FAR, ignore=-1), ValueError, f"truth holds the label {2**64 - 1}"),
    (lambda: generalised_dice_loss(TWO, LABELS + 1), ValueError, "classes 0 to 1 .* got labels from 1 to 2"),
    (lambda: generalised_dice_loss(LABELS / 1, LABELS), ValueError, r"axis of classes .*\(2, 2\).*np.stack"),
    (lambda: generalised_dice_loss(TWO[0][0], LABELS), ValueError, r"axis of classes .* but have shape \(2,\)"),
    (lambda: focal_loss(TWO, LABELS, gamma=-1), ValueError, "gamma must be 0 or more and finite, got -1"),
    (lambda: focal_loss(TWO, LABELS, gamma=np.nan), ValueError, "gamma must be 0 or more and finite, got nan"),
    (lambda: focal_loss(TWO, LABELS, weights=(1,)), ValueError, r"weights must be 2 numbers.* got \(1,\)"),
    (lambda: cross_entropy_loss(TWO, LABELS, weights=(1, -1)), ValueError, r"weights must be 2 numbers, 0 or more"),
    (lambda: cross_entropy_loss(LABELS / 1, LABELS), ValueError, r"axis of classes .*np.stack"),
    (lambda: cross_entropy_loss(TWO * 2 - 1, LABELS), ValueError, "between 0 and 1, got -1 to 1"),
    (lambda: generalised_dice_loss(TWO * 1j, LABELS), TypeError, "must be floats from 0 to 1, got dtype complex128"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS)
def test_bad_input_is_named(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_unknown_shapes_of_dask_are_named() -> None:
    truth = da.from_array(np.arange(9) % 2, 3)
    some = truth[truth > 0]
    with pytest.raises(ValueError, match=r"known shapes, got \(nan,\).*compute_chunk_sizes"):
        soft_dice_loss(some / 2, some)

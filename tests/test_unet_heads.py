"""Heads that tell objects apart: targets by hand and against scikit-image and SciPy, and touching objects found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage
from skimage import segmentation

import napari_cutout as nc
from napari_cutout.unet._pairs import Pair, annotated_in
from napari_cutout.unet._patches import Patches
from napari_cutout.unet._scaling import Scaling
from napari_cutout.unet._targets import Targets, targets_of


def told(labels: Any, head: Any, ignore: int | None = None, **more: Any) -> Targets:
    """Return what labels mean."""
    values, counts = np.unique(labels, return_counts=True)
    return targets_of(dict(zip(values.tolist(), counts.tolist(), strict=True)), ignore, head, **more)


# Boundaries ------------------------------------------------------------------------------------------


def test_boundaries_by_hand() -> None:
    labels = np.array(
        [
            [0, 0, 0, 0, 0, 0, 0],
            [0, 3, 3, 3, 5, 5, 5],
            [0, 3, 3, 3, 5, 5, 5],
            [0, 3, 3, 3, 5, 5, 5],
        ]
    )
    # Both sides of where 3 and 5 touch; the edges of the image on the right and below are none.
    expected = [
        [0, 0, 0, 0, 0, 0, 0],
        [0, 2, 2, 2, 2, 2, 2],
        [0, 2, 1, 2, 2, 1, 1],
        [0, 2, 1, 2, 2, 1, 1],
    ]
    assert told(labels, "boundary").of(labels).tolist() == expected
    # What is not annotated is no boundary: beside 9 the object is inside.
    labels[:, 4:] = 9
    expected = [
        [0, 0, 0, 0, -1, -1, -1],
        [0, 2, 2, 2, -1, -1, -1],
        [0, 2, 1, 1, -1, -1, -1],
        [0, 2, 1, 1, -1, -1, -1],
    ]
    assert told(labels, "boundary", ignore=9).of(labels).tolist() == expected


SHAPES = hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=6)
LABELS = hnp.arrays(np.int64, SHAPES, elements=st.integers(0, 3))


@given(LABELS)
def test_boundaries_are_the_inner_ones_of_scikit_image(labels: NDArray[np.int64]) -> None:
    labels[(0,) * labels.ndim] = 0
    labels[(-1,) * labels.ndim] = 1
    if labels.size == 1 or 0 not in labels:
        return
    found = told(labels, "boundary").of(labels)
    thick = segmentation.find_boundaries(labels, connectivity=1, mode="thick")
    np.testing.assert_array_equal(found, np.where(labels == 0, 0, np.where(thick, 2, 1)))


# Depths ----------------------------------------------------------------------------------------------


def test_depths_by_hand() -> None:
    labels = np.array([[0, 4, 4, 4, 4, 4, 0, 7, 0], [0] * 9])
    labels[1, 1:6] = 4
    # Of 4, in the image's two rows: 1, 2, 3, 2, 1 voxels from the background at both ends, thirds of 255; 7 is 1 of 1.
    # Below the 7 is background, one voxel away too.
    third = [85, 170, 255, 170, 85]
    assert told(labels, "distance").of(labels).tolist() == [[0, *third, 0, 255, 0], [0, *third, 0, 0, 0]]
    # Cut at the left, nobody knows how large 4 would be if it touched the cut; it does not, and background does.
    assert told(labels, "distance").of(labels, [(False, False), (True, False)]).tolist()[0] == [0, *third, 0, 255, 0]
    assert told(labels, "distance").of(labels[:, 2:], [(False, False), (True, False)]).tolist()[0] == [
        256, 256, 256, 256, 0, 255, 0,
    ]  # fmt: skip
    # The image's own edge cuts nothing: what is there is the object. 4 voxels: 4, 3, 2, 1 from the background.
    assert told(labels, "distance").of(labels[:, 2:]).tolist()[0][:5] == [255, 191, 128, 64, 0]
    # Beside what is not annotated an object may go on.
    labels[0, 0] = 9
    assert told(labels, "distance", ignore=9).of(labels).tolist()[0] == [-1, *[256] * 5, 0, 255, 0]


def test_depths_are_in_the_world() -> None:
    labels = np.zeros((3, 9, 9), int)
    labels[1, 2:7, 2:7] = 1
    # Voxels 1 wide and 2 long: the middle is 2 from above and 3 from the side, the rim of the plane 1: 1/2 of 2.
    found = told(labels, "distance", spacing=(2, 1, 1)).of(labels)
    assert found[1, 4, 2:7].tolist() == [128, 255, 255, 255, 128]


@given(LABELS, st.sampled_from([None, (1.5, 1.0, 1.0), (1.0, 1.0, 2.5)]))
def test_depths_are_shares_of_the_distance_of_scipy(
    labels: NDArray[np.int64], spacing: tuple[float, ...] | None
) -> None:
    labels[(0,) * labels.ndim] = 0
    if not labels.any():
        return
    lengths = None if spacing is None else spacing[-labels.ndim :]
    found = told(labels, "distance", spacing=lengths).of(labels)
    for label in np.unique(labels[labels > 0]):
        far = ndimage.distance_transform_edt(labels == label, sampling=lengths)
        parts, n = ndimage.label(labels == label)
        for one in (parts == k for k in range(1, n + 1)):
            np.testing.assert_allclose(found[one], 255 * far[one] / far[one].max(), atol=0.51)
    assert not found[labels == 0].any()
    assert found.max() == 255


def blobs(shape: tuple[int, ...], seed: int) -> NDArray[np.int64]:
    """Return objects of several sizes that touch, and background."""
    rng = np.random.default_rng(seed)
    level = ndimage.gaussian_filter(rng.normal(0, 1, shape), 2)
    seeds = np.zeros(shape, np.int64)
    places = rng.choice(seeds.size, 12, replace=False)
    seeds.ravel()[places] = np.arange(1, 13)
    near = ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True)
    labels: NDArray[np.int64] = np.where(level > -0.02, seeds[tuple(near)], 0)
    return labels


@pytest.mark.parametrize("head", ["classes", "boundary", "distance"])
@pytest.mark.parametrize("ignore", [None, 3])
def test_patches_say_of_a_part_what_the_whole_says(head: Any, ignore: int | None) -> None:
    labels = blobs((40, 44), 0)
    pair = Pair("image", (np.zeros(labels.shape, np.float32),), labels, (Scaling(0.0, 1.0),))
    targets = told(labels, head, ignore)
    whole = targets.of(labels)
    found = annotated_in([pair], (4, 4), ignore)
    patches = Patches.of([pair], found.cells(targets), targets, (8, 12))
    n_depths = 0
    for middle in np.ndindex(5, 5):
        at = [4 + 8 * middle[0], 6 + 8 * middle[1]]
        start = [min(max(a - n // 2, 0), m - n) for a, n, m in zip(at, (8, 12), labels.shape, strict=True)]
        expected = whole[start[0] : start[0] + 8, start[1] : start[1] + 12]
        _, target = patches.patch(0, at)
        unknown = target == 256
        np.testing.assert_array_equal(target[~unknown], expected[~unknown])
        assert (expected[unknown] > 0).all()  # inside is known
        n_depths += int(((target > 1) & ~unknown).sum())
    assert n_depths > 50 or head == "classes"


def test_planes_that_are_learned_alone_hold_whole_objects() -> None:
    labels = np.zeros((5, 24, 24), int)
    labels[:, 8:15, 8:15] = np.arange(1, 6)[:, None, None]
    pair = Pair("image", (np.zeros(labels.shape, np.float32),), labels, (Scaling(0.0, 1.0),))
    for head in ("boundary", "distance"):
        targets = told(labels, head, spacing=(1, 1))
        patches = Patches.of([pair], annotated_in([pair], (1, 8, 8), None).cells(targets), targets, (1, 16, 16))
        _, target = patches.patch(0, [2, 12, 12])
        plane = told(labels[2], head).of(labels[2])
        np.testing.assert_array_equal(target, plane[None, 4:20, 4:20])  # as if there were no planes around it


# What labels mean ----------------------------------------------------------------------------------------


def test_background_is_0_or_what_is_said() -> None:
    labels = np.array([[0, 0, 5, 5, 7, 7, 8]])
    assert told(labels, "boundary", ignore=0, background=5).of(labels).tolist() == [[-1, -1, 0, 0, 2, 2, 2]]
    assert told(labels, "boundary", ignore=5).of(labels).tolist() == [[0, 0, -1, -1, 1, 2, 2]]
    targets = told(labels, "boundary", ignore=0, background=5)
    assert (targets.classes, targets.counts, targets.n_outputs) == ((0, 1), (2, 3), 3)
    assert targets.classes_in(labels).tolist() == [[-1, -1, 0, 0, 1, 1, 1]]
    numbers = np.array([[0, 1, 2**40, 2**62]])  # of objects, as large as they like
    assert told(numbers, "distance").of(numbers).tolist() == [[0, 255, 255, 255]]


@pytest.mark.parametrize(
    ("counts", "ignore", "background", "message"),
    [
        ({0: 9, 1: 2}, 0, None, r"shown what is around objects.*\(ignore=0\).*ignore=None.*such as 2, .*background=2"),
        ({0: 9, 1: 2}, 0, 0, "background and ignore are both 0"),
        ({0: 9, 1: 2}, 0, 7, "no voxel has the label 7 of the background; there are: 1; say background=1"),
        ({1: 9, 2: 2}, None, None, "no voxel has the label 0 of the background; there are: 1, 2; say"),
        (dict.fromkeys(range(1, 20), 9), None, None, r"there are: 1, 2, 3, 4, 5, 6, 7, 8, \.\.\. \(19 labels\)"),
        ({0: 9, 1: 2, 2: 4}, None, 1, "background=1, and there are voxels of 0"),
        ({0: 9}, None, None, "only background, the label 0, is annotated; paint objects"),
        ({0: 9}, 0, None, "nothing is annotated: every voxel is 0"),
        ({-1: 9, 1: 2}, None, None, "must not be negative, got -1; say ignore=-1"),
    ],
)
def test_labels_that_cannot_be_learned_are_named(
    counts: dict[int, int], ignore: int | None, background: int | None, message: str
) -> None:
    for head in ("boundary", "distance"):
        with pytest.raises(ValueError, match=message):
            targets_of(counts, ignore, head, background=background)  # type: ignore[arg-type]


def test_classes_have_no_background() -> None:
    with pytest.raises(ValueError, match="background=1 is for head='boundary' or 'distance'"):
        targets_of({1: 3, 2: 4}, 0, "classes", background=1)


def test_how_common_boundaries_are_is_counted_in_patches() -> None:
    labels = np.array([[0, 1, 2]])
    assert told(labels, "boundary").weighed(np.array([0, 1, 1, 2, -1])) == (1, 2, 1)
    assert told(labels, "boundary").weighed(np.array([0, 2])) == (1, 1, 1)  # none is 0, of which there is no root
    assert told(labels, "distance").weighed(np.array([0, 200, 256])) == (1, 2)
    with pytest.raises(ValueError, match=r"no object is known as a whole.*head='boundary'"):
        told(labels, "distance").weighed(np.array([0, 256, -1]))


# Objects that touch ----------------------------------------------------------------------------------------


def touching(shape: tuple[int, ...], n: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return bright balls that touch but hardly overlap, in noise."""
    rng = np.random.default_rng(seed)
    labels, grid, found = np.zeros(shape, np.int32), np.indices(shape), 0
    for _ in range(300):
        radius = rng.uniform(4, 7)
        middle = rng.uniform(0, shape).reshape(-1, *(1,) * len(shape))
        far = np.sqrt(((grid - middle) ** 2).sum(0))
        if found < n and not labels[far < radius - 1].any():
            found += 1
            labels[(far < radius) & (labels == 0)] = found
    image = ndimage.gaussian_filter((labels > 0) * 80.0, 0.7) + rng.normal(20, 8, shape)
    return image.astype(np.float32), labels


@pytest.mark.parametrize(
    ("head", "shape", "patch", "n_steps"),
    [
        ("boundary", (64, 64), (32, 32), 80),
        ("distance", (64, 64), (32, 32), 120),
        pytest.param("boundary", (24, 32, 32), (16, 16, 16), 150, marks=pytest.mark.slow),
        pytest.param("distance", (24, 32, 32), (16, 16, 16), 200, marks=pytest.mark.slow),
    ],
)
def test_objects_that_touch_are_told_apart(
    head: Any, shape: tuple[int, ...], patch: tuple[int, ...], n_steps: int
) -> None:
    images, annotations = zip(*(touching(shape, 22, seed) for seed in range(4)), strict=True)
    model = nc.unet_train(
        list(images), list(annotations), ignore=None, head=head, width=8, depth=2, n_steps=n_steps, patch=patch,
        batch_size=8 if len(shape) == 2 else 4, validation=0.0, learning_rate=5e-3, augment=("flips",), device="cpu",
    )  # fmt: skip
    image, truth = touching(shape, 22, 100)
    inside = nc.unet_predict(image, model=model)
    assert set(np.unique(inside)) <= {0, 1}
    objects = nc.unet_predict(image, model=model, one_per_object=True)
    np.testing.assert_array_equal(objects > 0, inside > 0)
    ours = nc.evaluate_objects(objects, truth).f1[0]
    joined = nc.evaluate_objects(nc.components(inside > 0), truth).f1[0]
    assert ours > max(joined + 0.15, 0.75)

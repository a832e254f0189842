"""What patches go through: labels move with their image, nothing is invented, and the seed says all."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cutout.unet._settings import Augmentation
from napari_cutout.unet._torch import import_torch
from napari_cutout.unet.augmentation import BEND, augmented, bends, read_from

torch = import_torch()

ALL = get_args(Augmentation)
WARPS = "flips", "rotations", "elastic"


def smooth(shape: tuple[int, ...], n: int = 4, seed: int = 0) -> tuple[Any, Any]:
    """Return targets in large pieces, and images that are 1 where the target is 1 and 0 elsewhere."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 3, (n, *(-(-s // 8) for s in shape)))
    target = np.kron(coarse, np.ones((1, *(8,) * len(shape)), int))[(slice(None), *map(slice, shape))]
    image = np.stack([target == 1, target == 2], 1).astype(np.float32)
    return torch.from_numpy(image), torch.from_numpy(np.ascontiguousarray(target))


@pytest.mark.parametrize("shape", [(32, 32), (24, 40), (16, 24, 24)])
@pytest.mark.parametrize("augment", [(), ("flips",), ("rotations",), ("elastic",), WARPS])
def test_labels_move_with_their_image(shape: tuple[int, ...], augment: tuple[str, ...]) -> None:
    image, target = smooth(shape)
    for seed in range(4):
        x, y = augmented(image, target, augment, [seed])
        assert (x.shape, y.shape, x.dtype, y.dtype) == (image.shape, target.shape, torch.float32, torch.int64)
        known = y >= 0
        # Between pieces an image is neither 0 nor 1; away from there it says what the target says.
        sure = known & (((x < 0.01) | (x > 0.99)).all(1))
        said = x[:, 0].round().long() + 2 * x[:, 1].round().long()
        assert torch.equal(said[sure], y[sure])
        assert int(sure.sum()) > 0.5 * int(known.sum())
        assert float(known.float().mean()) > 0.5


@pytest.mark.parametrize("shape", [(9, 9), (8, 11), (5, 9, 9), (4, 5, 6)])
def test_flips_and_turns_lose_nothing(shape: tuple[int, ...]) -> None:
    image = torch.arange(3 * int(np.prod(shape)), dtype=torch.float32).reshape(3, 1, *shape)
    target = image[:, 0].long()
    turned = set()
    for seed in range(12):
        x, y = augmented(image, target, ("flips",), [seed])
        assert torch.equal(x[:, 0].long(), y)
        for before, after in zip(target, y, strict=True):
            assert torch.equal(before.flatten().sort().values, after.flatten().sort().values)
            turned.add(tuple(after.flatten()[:2].tolist()))
    assert len(turned) > 6


def test_nothing_switched_on_changes_nothing() -> None:
    image, target = smooth((16, 16))
    x, y = augmented(image, target, (), [0])
    assert x is image
    assert y is target


def test_long_voxels_stay_in_their_planes() -> None:
    # A volume of which each plane is its own number: whatever turns and bends in the plane leaves it.
    planes = torch.arange(6.0)[:, None, None].expand(6, 24, 24)
    image, target = planes[None, None].clone(), planes[None].long()
    for seed in range(8):
        _, y = augmented(image, target, ("rotations",), [seed], spacing=(5, 1, 1))
        for plane in y[0]:
            assert len(set(plane.unique().tolist()) - {-1}) <= 1
        _, y = augmented(image, target, ("flips",), [seed], spacing=(5, 1, 1))
        assert all(len(plane.unique()) == 1 for plane in y[0])
    # Isotropic volumes are turned across planes too.
    mixed = [augmented(image, target, ("rotations",), [s])[1][0, 3].unique() for s in range(12)]
    assert any(len(set(plane.tolist()) - {-1}) > 1 for plane in mixed)


def test_right_angles_only_where_voxels_are_square() -> None:
    image = torch.arange(64.0).reshape(1, 1, 8, 8)
    target = image[:, 0].long()
    for seed in range(20):
        _, y = augmented(image, target, ("flips",), [seed], spacing=(3, 1))
        assert {abs(int(y[0, 0, 1] - y[0, 0, 0]))} == {1}  # rows stay rows
    steps = {
        abs(int(y[0, 0, 1] - y[0, 0, 0])) for _, y in (augmented(image, target, ("flips",), [s]) for s in range(20))
    }
    assert steps == {1, 8}


@given(st.integers(0, 10**6), st.sets(st.sampled_from(ALL)), st.sampled_from([(16, 16), (8, 12), (1, 16), (8, 8, 8)]))
def test_no_class_is_invented_and_all_numbers_are_finite(seed: int, augment: set[str], shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    image = torch.from_numpy(rng.normal(0, 30, (2, 2, *shape)).astype(np.float32))
    target = torch.from_numpy(rng.choice([-1, 0, 7, 256], (2, *shape)))
    x, y = augmented(image, target, augment, [seed])
    assert set(y.unique().tolist()) <= {-1, *target.unique().tolist()}
    assert torch.isfinite(x).all()
    again = augmented(image, target, sorted(augment), [seed])  # in any order
    assert torch.equal(x, again[0])
    assert torch.equal(y, again[1])


def test_another_seed_is_another_patch() -> None:
    image, target = smooth((32, 32))
    found = [augmented(image, target, ALL, [0, k])[0] for k in range(3)]
    assert not torch.equal(found[0], found[1])
    assert not torch.equal(found[1], found[2])
    assert not torch.equal(found[0][0], found[0][1])  # nor are the patches of a batch all treated alike


def test_what_comes_from_beyond_a_patch_is_not_annotated() -> None:
    image, target = torch.ones((1, 1, 32, 32)), torch.ones((1, 32, 32), dtype=torch.int64)
    shares = []
    for seed in range(10):
        x, y = augmented(image, target, ("rotations",), [seed])
        assert torch.allclose(x, torch.ones_like(x), atol=1e-5)  # mirrored, never dark
        assert set(y.unique().tolist()) <= {-1, 1}
        shares.append(float((y < 0).float().mean()))
    assert max(shares) > 0.01
    assert min(shares) < 0.01


@pytest.mark.parametrize("shape", [(64, 64), (32, 48, 48)])
def test_bending_hardly_folds(shape: tuple[int, ...]) -> None:
    ndim = len(shape)
    folded = []
    for seed in range(10):
        moves = bends(2, shape, np.random.default_rng(seed), None, torch.device("cpu")).numpy()
        # Displacements of -1 to 1 across a patch, x first; where the determinant of what they do is negative, it folds.
        steps = [2 / n for n in shape]
        for move in moves:
            jacobian = np.empty((*shape, ndim, ndim))
            for i in range(ndim):
                for j, slope in enumerate(np.gradient(move[..., ndim - 1 - i], *steps)):
                    jacobian[..., i, j] = slope + (i == j)
            folded.append(float((np.linalg.det(jacobian) <= 0).mean()))
        assert np.abs(moves).max() < 6 * BEND
    assert np.mean(folded) < 0.01
    assert np.mean(np.asarray(folded) == 0) > 0.7


def test_bending_is_shorter_along_long_voxels_and_none_across_a_single_plane() -> None:
    plain = bends(1, (16, 32, 32), np.random.default_rng(0), None, torch.device("cpu"))
    long = bends(1, (16, 32, 32), np.random.default_rng(0), (4.0, 1.0, 1.0), torch.device("cpu"))
    assert torch.allclose(long[..., 2], plain[..., 2] / 4, atol=1e-6)  # x first, so z last
    assert torch.equal(long[..., :2], plain[..., :2])
    assert not bends(1, (1, 32, 32), np.random.default_rng(0), None, torch.device("cpu"))[..., 2].any()


def test_turning_keeps_lengths_in_patches_that_are_not_square() -> None:
    # What is read for the corners of a patch of 20 x 80: a turn keeps their distance from the middle, up to scale.
    shape = (20, 80)
    for seed in range(10):
        matrix = read_from(shape, np.random.default_rng(seed), None, True)
        world = np.diag(np.array(shape[::-1]) / 2.0)
        whole = world @ matrix[:, :2] @ np.linalg.inv(world)
        scale = np.sqrt(np.linalg.det(whole))
        assert 0.8 <= scale <= 1.25
        np.testing.assert_allclose(whole @ whole.T, scale**2 * np.eye(2), atol=1e-9)


def test_brightness_keeps_the_order_of_grey_levels_and_the_labels() -> None:
    image = torch.linspace(-4, 4, 256).reshape(1, 1, 16, 16)
    target = torch.zeros((1, 16, 16), dtype=torch.int64)
    for seed in range(10):
        x, y = augmented(image, target, ("intensity",), [seed])
        assert (x.flatten().diff() > 0).all()
        assert y is target
        assert 0.3 < float(x.std() / image.std()) < 3


def test_noise_is_added_to_about_half_of_the_patches() -> None:
    image, target = torch.zeros((400, 1, 8, 8)), torch.zeros((400, 8, 8), dtype=torch.int64)
    x, _ = augmented(image, target, ("noise",), [0])
    spread = x.flatten(1).std(1)
    assert 150 < int((spread > 0).sum()) < 250
    assert float(spread.max()) < 0.3
    assert abs(float(x.mean())) < 0.01

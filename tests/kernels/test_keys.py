"""The kernel that turns floats into integers of the same order, against its twin on the host and against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_cutout._array import to_numpy
from napari_cutout.methods._keys import OUTSIDE, keys_of

from .. import strict

TINY = np.finfo(np.float32).smallest_subnormal
SPECIAL = [-np.inf, np.inf, np.nan, -np.nan, 0.0, -0.0, TINY, -TINY, 1.0, -1.0, np.finfo(np.float32).max]


@pytest.fixture(params=[pytest.param("strict", marks=pytest.mark.kernels), pytest.param("cupy", marks=pytest.mark.gpu)])
def move(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Return what takes an array to where the kernel runs."""
    if request.param == "cupy":
        return request.getfixturevalue("to_gpu")  # type: ignore[no-any-return]
    request.getfixturevalue("on_cpu")
    return strict.on_device


def test_keys_are_in_the_order_of_the_floats(move: Callable[[Any], Any]) -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 5000, dtype=np.uint32)  # any float there is, NaNs of every payload among them
    image = np.concatenate([np.array(SPECIAL, np.float32), bits.view(np.float32)]).reshape(1, -1)
    keys = to_numpy(keys_of(move(image)))
    assert keys.dtype == np.uint32
    np.testing.assert_array_equal(keys, keys_of(image))
    nan = np.isnan(image)
    assert (keys[nan] == OUTSIDE).all()
    assert (keys[~nan] != OUTSIDE).all()
    _, expected = np.unique(image[~nan] + np.float32(0), return_inverse=True)
    _, found = np.unique(keys[~nan], return_inverse=True)
    np.testing.assert_array_equal(found, expected)

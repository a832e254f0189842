"""The compiled Gaussian has the bits of the arrays, which every other library runs."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_cutout._array import to_numpy
from napari_cutout.processing._weighted_means import weighted_means_on_host
from napari_cutout.processing.filters import _means, gaussian_weights

from .strict import on_host


@given(
    hnp.arrays(
        st.sampled_from(["float32", "float64"]),
        hnp.array_shapes(min_dims=1, max_dims=3, max_side=12),
        elements=st.floats(-1e6, 1e6, width=32),
    ),
    st.lists(st.sampled_from([0.0, 0.3, 0.9, 2.0, 5.1]), min_size=3, max_size=3),
)
@example(np.arange(2500, dtype=np.float32).reshape(1, 2, 1250), [0.0, 1.0, 2.0])  # longer than a strip
@example(np.arange(2400, dtype=np.float64).reshape(3, 2, 400), [1.0, 1.0, 0.0])
def test_the_compiled_gaussian_has_the_bits_of_the_arrays(levels: np.ndarray, sigmas: list[float]) -> None:
    weights = [gaussian_weights(sigma) for sigma in sigmas[: levels.ndim]]
    for layout in (levels, np.asfortranarray(levels), levels[..., ::-1]):
        found, expected = weighted_means_on_host(layout, weights), _means(on_host(layout), weights)
        assert found.dtype == levels.dtype
        np.testing.assert_array_equal(found, to_numpy(expected))


def test_what_is_not_smoothed_is_left_alone() -> None:
    image = np.random.default_rng(0).random((4, 5))
    image.flags.writeable = False
    assert weighted_means_on_host(image, [[1.0], [1.0]]) is image
    assert weighted_means_on_host(image, [[1.0], [0.5, 0.25]]) is not image

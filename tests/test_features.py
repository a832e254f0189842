"""Features of voxels against SciPy and scikit-image, in tiles, on every library and on dask; eigenvalues."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import dask.array as da
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.feature import hessian_matrix_eigvals

import napari_cutout as nc
from napari_cutout import _plan
from napari_cutout._array import array_namespace, to_numpy
from napari_cutout._plan import with_halo
from napari_cutout.processing import _eigenvalues
from napari_cutout.processing._eigenvalues import symmetric_eigenvalues
from napari_cutout.processing.features import REACH, Bank, FeatureName, bank_of, channels_of, coordinates
from napari_cutout.processing.filters import edges

from .cases import two_humps

NAMES: tuple[FeatureName, ...] = get_args(FeatureName)
SMOOTHED = tuple(name for name in NAMES if name not in ("intensity", "position"))
SHAPES = {2: (21, 26), 3: (13, 16, 11)}
SPACINGS = {2: (1.5, 0.5), 3: (2.0, 0.7, 1.0)}

# By definition ---------------------------------------------------------------------------------------


def steps_of(spacing: tuple[float, ...] | None, ndim: int) -> np.ndarray:
    """Return the edges of a voxel in edges of the smallest one, rounded to 1/1024."""
    lengths = np.ones(ndim) if spacing is None else np.asarray(spacing)
    return np.round(lengths / lengths.min() * 1024) / 1024


def shifted(image: np.ndarray, axis: int, by: int) -> np.ndarray:
    """Return the neighbours along an axis, edges mirrored."""
    wide = np.pad(image, [(1, 1) if a == axis else (0, 0) for a in range(image.ndim)], mode="symmetric")
    return np.take(wide, np.arange(image.shape[axis]) + 1 + by, axis=axis)


class Definition:
    """Features in float64, from SciPy's Gaussian and NumPy's eigenvalues."""

    def __init__(self, image: np.ndarray, scale: float, spacing: tuple[float, ...] | None = None) -> None:
        self.image, self.scale, self.axes = image.astype(np.float64), scale, range(image.ndim)
        self.steps = steps_of(spacing, image.ndim)
        self.mean = self.smooth(self.image)
        self.slopes = [self.slope(self.mean, axis) for axis in self.axes]

    def smooth(self, values: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(values, self.scale / self.steps, mode="reflect", truncate=4.0)

    def slope(self, values: np.ndarray, axis: int) -> np.ndarray:
        return (shifted(values, axis, 1) - shifted(values, axis, -1)) / (2 * self.steps[axis])

    def bend(self, axis: int) -> np.ndarray:
        both = shifted(self.mean, axis, 1) + shifted(self.mean, axis, -1)
        return (both - 2 * self.mean) / self.steps[axis] ** 2

    def second(self, a: int, b: int) -> np.ndarray:
        return self.scale**2 * (self.bend(a) if a == b else self.slope(self.slopes[a], b))

    def eigenvalues(self, entry: Callable[[int, int], np.ndarray]) -> np.ndarray:
        matrix = np.stack([np.stack([entry(min(a, b), max(a, b)) for b in self.axes], -1) for a in self.axes], -1)
        return np.moveaxis(np.linalg.eigvalsh(matrix), -1, 0)

    def of(self, name: str) -> np.ndarray:
        found: dict[str, Callable[[], Any]] = {
            "gaussian": lambda: [self.mean],
            "gradient": lambda: [np.sqrt(np.sum(np.square(self.slopes), axis=0))],
            "laplacian": lambda: [np.sum([self.bend(axis) for axis in self.axes], axis=0)],
            "hessian": lambda: self.eigenvalues(self.second),
            "structure": lambda: self.eigenvalues(lambda a, b: self.smooth(self.slopes[a] * self.slopes[b])),
            "variance": lambda: [self.smooth((self.image - self.mean) ** 2)],
        }
        return np.array(found[name]())


@pytest.mark.parametrize("scale", [0.7, 2.0])
@pytest.mark.parametrize("even", [True, False], ids=["even", "spacing"])
@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", SMOOTHED)
def test_features_are_what_their_definitions_say(name: FeatureName, ndim: int, even: bool, scale: float) -> None:
    image = two_humps(SHAPES[ndim], dtype="float64")
    spacing = None if even else SPACINGS[ndim]
    expected = Definition(image, scale, spacing).of(name)
    bank = bank_of((name,), (scale,), spacing, ndim)
    found = bank([image])
    assert len(found) == len(expected) == len(bank.columns)
    for column, truth in zip(found, expected, strict=True):
        assert column.dtype == np.float64
        np.testing.assert_allclose(column, truth, rtol=1e-12, atol=5e-8 * np.abs(expected).max())
    found32 = nc.features(image.astype(np.float32), features=(name,), scales=(scale,), spacing=spacing)
    assert found32.dtype == np.float32
    tolerance = 2e-5 * max(np.abs(expected).max(), np.abs(image).max())
    np.testing.assert_allclose(found32, expected, rtol=1e-4, atol=tolerance)


def test_smoothing_and_slopes_are_those_of_the_filters() -> None:
    image, spacing = two_humps((9, 20, 17)), (2.0, 1.0, 1.0)
    intensity, smooth, slope = nc.features(
        image, features=("intensity", "gaussian", "gradient"), scales=(1.5,), spacing=spacing
    )
    np.testing.assert_array_equal(intensity, image)
    np.testing.assert_array_equal(smooth, nc.gaussian(image, sigma=1.5, spacing=spacing))
    np.testing.assert_array_equal(slope, nc.gradient_magnitude(smooth, spacing=spacing))


def test_eigenvalues_of_the_hessian_are_those_of_scikit_image() -> None:
    image = two_humps((12, 13, 14), dtype="float64")
    smooth = ndimage.gaussian_filter(image, 1.5)
    slopes = [(shifted(smooth, a, 1) - shifted(smooth, a, -1)) / 2 for a in range(3)]
    entries = []
    for a in range(3):
        for b in range(a, 3):
            mixed = (shifted(slopes[b], a, 1) - shifted(slopes[b], a, -1)) / 2
            entries.append(shifted(smooth, a, 1) - 2 * smooth + shifted(smooth, a, -1) if a == b else mixed)
    expected = hessian_matrix_eigvals(entries)[::-1] * 1.5**2  # largest first there
    found = bank_of(("hessian",), (1.5,), None, 3)([image])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_curvature_and_texture_of_known_shapes() -> None:
    y, x = np.indices((41, 41)) - 20.0
    names: tuple[FeatureName, ...] = ("gradient", "laplacian", "hessian", "structure", "variance")
    middle = (slice(None), 20, 20)
    values = nc.features(3 * x, features=names, scales=(1.0,))[middle]
    ramp = dict(zip(nc.feature_names(names, (1.0,), 2), values, strict=True))
    assert ramp["gradient 1"] == pytest.approx(3)
    assert ramp["structure 1 largest"] == pytest.approx(9)
    assert ramp["structure 1 smallest"] == pytest.approx(0, abs=1e-5)
    assert ramp["laplacian 1"] == pytest.approx(0, abs=1e-5)
    bowl = bank_of(("laplacian", "hessian"), (2.0,), None, 2)([x * x + 2 * y * y])
    assert [column[20, 20] for column in bowl] == pytest.approx([2 + 4, 2 * 4, 4 * 4])  # times the scale squared
    saddle = bank_of(("hessian",), (2.0,), None, 2)([x * y])
    assert [column[20, 20] for column in saddle] == pytest.approx([-4, 4])


# Columns ---------------------------------------------------------------------------------------------


def test_columns_have_short_names_of_their_own() -> None:
    assert nc.feature_names(("position", "structure", "intensity"), (1, 2.5), ndim=2) == (
        "intensity", "structure 1 smallest", "structure 1 largest", "structure 2.5 smallest", "structure 2.5 largest",
        "position y", "position x",
    )  # fmt: skip
    assert nc.feature_names(("hessian", "gradient", "position"), (0.5,), n_channels=2) == (
        "channel 0 hessian 0.5 smallest", "channel 0 hessian 0.5 middle", "channel 0 hessian 0.5 largest",
        "channel 0 gradient 0.5", "channel 1 hessian 0.5 smallest", "channel 1 hessian 0.5 middle",
        "channel 1 hessian 0.5 largest", "channel 1 gradient 0.5", "position z", "position y", "position x",
    )  # fmt: skip
    close = nc.feature_names(("gaussian",), (1.0, 1.0000001, 10, 100))
    assert close == ("gaussian 1", "gaussian 1.0000001", "gaussian 10", "gaussian 100")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"ndim": 5}, "ndim must be 2 or 3, the axes of an image without that of the channels, got 5"),
        ({"ndim": 1}, "ndim must be 2 or 3, the axes of an image without that of the channels, got 1"),
        ({"n_channels": 0}, "n_channels must be 1 at least, got 0"),
    ],
    ids=["five axes", "one axis", "no channel"],
)
def test_columns_of_no_image_have_no_names(settings: dict[str, int], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        nc.feature_names(("hessian",), **settings)


@pytest.mark.parametrize("channel_axis", [0, 1, -1])
def test_channels_are_described_one_by_one(channel_axis: int) -> None:
    channels = [two_humps((14, 12), seed=seed) for seed in range(3)]
    names: tuple[FeatureName, ...] = ("intensity", "variance", "position")
    found = nc.features(np.stack(channels, channel_axis), features=names, channel_axis=channel_axis)
    alone = [nc.features(channel, features=names) for channel in channels]
    np.testing.assert_array_equal(found, np.concatenate([*(a[:-2] for a in alone), alone[0][-2:]]))
    assert len(found) == len(nc.feature_names(names, ndim=2, n_channels=3)) == 3 * 3 + 2


def test_positions_are_in_edges_of_the_smallest_voxel() -> None:
    image = two_humps((3, 4, 5))
    found = nc.features(image, features=("position",), spacing=(6e-3, 2e-3, 3e-3))
    expected = np.indices(image.shape) * np.array([3, 1, 1.5]).reshape(3, 1, 1, 1)
    np.testing.assert_array_equal(found, expected)
    for line in coordinates((300, 200, 100), None, image):
        assert line.shape == (300, 200, 100)
        assert line.dtype == np.float32
        assert line.base.nbytes <= 1200  # one line is held, not the volume


def test_a_bank_says_all_that_it_depends_on() -> None:
    bank = bank_of(("gaussian", "position"), (1,), (2.0, 1.0), 2, n_channels=3)
    names = {"Bank": Bank}
    assert eval(repr(bank), names) == bank == Bank(("gaussian", "position"), (1.0,), edges((4, 2), 2), 3)
    assert hash(bank) == hash(eval(repr(bank), names))
    assert bank.ndim == 2


# In tiles, and on every library ----------------------------------------------------------------------


@st.composite
def tiles(draw: st.DrawFn) -> tuple[np.ndarray, Bank, tuple[slice, ...]]:
    """Return an image, a bank and a part of the image."""
    ndim = draw(st.sampled_from([2, 3]))
    shape = tuple(draw(st.integers(1, 40 if ndim == 2 else 18)) for _ in range(ndim))
    names = tuple(draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)))
    scales = tuple(sorted(draw(st.sets(st.sampled_from([0.1, 0.4, 1.0, 1.7, 3.0]), min_size=1, max_size=2))))
    spacing = tuple(draw(st.sampled_from([0.3, 0.5, 1.0, 2.0, 7.0])) for _ in range(ndim))
    image = two_humps(shape, seed=draw(st.integers(0, 9)), dtype=draw(st.sampled_from(["uint16", "float32"])))
    if image.dtype == np.float32 and draw(st.booleans()):
        image[np.random.default_rng(0).random(shape) < 0.1] = np.nan
    starts = [draw(st.integers(0, n - 1)) for n in shape]
    region = tuple(slice(s, draw(st.integers(s + 1, n))) for s, n in zip(starts, shape, strict=True))
    return image, bank_of(names, scales, spacing, ndim), region


@given(tiles())
def test_a_tile_with_its_halo_has_the_bits_of_the_whole(case: tuple[np.ndarray, Bank, tuple[slice, ...]]) -> None:
    image, bank, region = case
    positions = coordinates(image.shape, bank.edges, image)
    whole = bank([image], positions)
    read, keep = with_halo(region, bank.width, image.shape)
    part = bank([image[read]], [line[read] for line in positions])
    for column, expected in zip(part, whole, strict=True):
        np.testing.assert_array_equal(column[keep], expected[region])


@pytest.mark.parametrize("name", NAMES)
def test_the_halo_is_no_wider_than_it_must_be(name: FeatureName) -> None:
    image = np.random.default_rng(0).random((5, 60))
    bank = bank_of((name,), (1.3,), (2.0, 1.0), 2)
    if name in ("intensity", "position"):
        assert bank.width == (0, 0)
        return
    whole = bank([image])
    for width, same in ((bank.width[1], True), (bank.width[1] - 1, False)):
        part = bank([image[:, 30 - width :]])
        equal = [np.array_equal(p[:, width:], w[:, 30:]) for p, w in zip(part, whole, strict=True)]
        assert all(equal) == same


@pytest.mark.parametrize("ndim", [2, 3])
def test_blocks_chunks_and_libraries_do_not_show(
    ndim: int, to_library: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = two_humps({2: (50, 61), 3: (19, 20, 31)}[ndim], dtype="float32")
    image[3, 4] = np.nan
    settings: dict[str, Any] = {"features": NAMES, "scales": (0.5, 1.0), "spacing": SPACINGS[ndim]}
    whole = nc.features(image, **settings)
    given = to_library(image)
    found = nc.features(given, **settings)
    assert array_namespace(found) is array_namespace(given)
    np.testing.assert_array_equal(to_numpy(found), whole)
    lazy = nc.features(da.from_array(image, 13), **settings)
    assert isinstance(lazy, da.Array)
    assert lazy.shape == whole.shape
    assert lazy.dtype == np.float32
    np.testing.assert_array_equal(lazy.compute(), whole)
    monkeypatch.setattr(_plan, "BLOCK_VOXELS", 4000)
    np.testing.assert_array_equal(nc.features(image, **settings), whole)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["uint16", "float32", "float64"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_gpu_gives_the_features_of_the_host(ndim: int, dtype: str, to_gpu: Callable[[Any], Any]) -> None:
    image = two_humps({2: (50, 61), 3: (19, 20, 31)}[ndim], dtype=dtype)
    if dtype.startswith("float"):
        image[3, 4] = np.nan
    settings: dict[str, Any] = {"features": NAMES, "scales": (0.5, 1.7), "spacing": SPACINGS[ndim]}
    found = to_numpy(nc.features(to_gpu(image), **settings))
    np.testing.assert_array_equal(found, nc.features(image, **settings))


def test_channels_of_a_dask_array_stay_lazy() -> None:
    image = np.stack([two_humps((20, 30), seed=seed) for seed in range(2)], -1)
    names: tuple[FeatureName, ...] = ("gradient", "position")
    lazy = nc.features(da.from_array(image, (9, 14, 1)), features=names, channel_axis=2)
    np.testing.assert_array_equal(lazy.compute(), nc.features(image, features=names, channel_axis=2))
    assert [channel.shape for channel in channels_of(image, 2)] == [(20, 30)] * 2


def test_the_image_is_left_alone_whatever_its_layout() -> None:
    image = two_humps((12, 30, 9))
    image.flags.writeable = False
    whole = nc.features(image, features=NAMES)
    np.testing.assert_array_equal(nc.features(np.asfortranarray(image), features=NAMES), whole)
    np.testing.assert_array_equal(nc.features(np.repeat(image, 2, axis=1)[:, ::2], features=NAMES), whole)


# What images may hold --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint64", "float16", "float32"])
def test_every_dtype_gives_the_features_of_its_numbers(dtype: str) -> None:
    image = two_humps((15, 18), dtype="int8" if dtype == "int8" else "uint8").astype(dtype)
    found = nc.features(image, features=NAMES)
    wide = nc.features(image.astype(np.float64), features=NAMES)
    np.testing.assert_allclose(found, wide, rtol=1e-4, atol=1e-2)
    of_bank = Bank(("gaussian",), (1.0,), (1024, 1024))([image])[0]
    assert of_bank.dtype == ("float64" if dtype in ("int32", "uint64") else "float32")


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("ndim", [2, 3])
def test_what_is_no_number_stays_where_it_is(hole: float, ndim: int) -> None:
    image = two_humps(SHAPES[ndim], dtype="float32")
    holes = np.random.default_rng(1).random(image.shape) < 0.15
    image[holes] = hole
    image[0], holes[0] = hole, True
    found = dict(zip(nc.feature_names(NAMES, ndim=ndim), nc.features(image, features=NAMES), strict=True))
    for name, column in found.items():
        if name == "intensity":
            np.testing.assert_array_equal(column, image)
        elif not name.startswith("position"):
            np.testing.assert_array_equal(np.isnan(column), holes, err_msg=name)
            assert np.isfinite(column[~holes]).all()
    alone = np.full(image.shape, hole, np.float32)
    alone[(1,) * ndim] = 7
    gaussian, variance = nc.features(alone, features=("gaussian", "variance"), scales=(1.0,))
    assert gaussian[(1,) * ndim] == pytest.approx(7)
    assert variance[(1,) * ndim] == pytest.approx(0, abs=1e-9)


def test_neighbours_that_are_no_number_count_as_equal() -> None:
    row = np.array([[1.0, 4.0, np.nan, 2.0, 8.0]])
    laplacian, gradient = bank_of(("laplacian", "gradient"), (0.1,), None, 2)([row])  # too narrow to smooth
    np.testing.assert_array_equal(laplacian, [[3.0, -3.0, np.nan, 6.0, -6.0]])
    np.testing.assert_array_equal(gradient, [[1.5, 1.5, np.nan, 3.0, 3.0]])


@pytest.mark.parametrize("value", [0, 7, 65535])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (6, 7), (1, 1, 1), (1, 5, 1), (4, 5, 6)])
def test_a_constant_image_has_no_texture(shape: tuple[int, ...], value: int) -> None:
    image = np.full(shape, value, np.uint16)
    for name, column in zip(nc.feature_names(NAMES, ndim=len(shape)), nc.features(image, features=NAMES), strict=True):
        if name.startswith(("intensity", "gaussian")):
            np.testing.assert_allclose(column, value, rtol=1e-6)
        elif not name.startswith("position"):
            np.testing.assert_allclose(column, 0, atol=1e-6 * max(value, 1) ** (2 if "struc" in name else 1))


def test_an_axis_of_one_voxel_adds_nothing() -> None:
    image = two_humps((17, 23), dtype="float64")
    names: tuple[FeatureName, ...] = ("gaussian", "gradient", "laplacian", "variance")
    np.testing.assert_allclose(
        nc.features(image[:, None], features=names)[:, :, 0], nc.features(image, features=names), rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize("factor", [1e-30, 1e-12, 1e12, 1e18])
def test_grey_levels_may_have_any_unit(factor: float) -> None:
    image = two_humps((9, 10, 11), dtype="float64")
    names: tuple[FeatureName, ...] = ("gradient", "hessian", "laplacian")
    plain, scaled = (nc.features(i, features=names) for i in (image, image * factor))
    np.testing.assert_allclose(scaled / np.float32(factor), plain, rtol=1e-4, atol=1e-4)


def test_grey_levels_that_are_too_large_overflow_without_a_warning() -> None:
    image = two_humps((9, 10), dtype="float64") * 1e300
    assert not np.isfinite(nc.features(image, features=("variance", "structure", "hessian"))).any()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda i: nc.features(i, features=()), "features must have 1 to 8 entries, got 0"),
        (lambda i: nc.features(i, features="gaussian"), "features must be a tuple of words, got 'gaussian'"),
        (lambda i: nc.features(i, features=("edges",)), "every entry of features must be one of 'intensity', "),
        (lambda i: nc.features(i, features=("hessian", "hessian")), r"features must be different words, got \('hess"),
        (lambda i: nc.features(i, scales=(3.0, 1.0)), r"scales must rise, .* got \(3.0, 1.0\)"),
        (lambda i: nc.features(i, scales=(0.0,)), "every entry of scales must be between 0.1 and 100, got 0.0"),
        (lambda i: nc.features(i, scales=("wide",)), "every entry of scales must be of type float, got 'wide'"),
        (lambda i: nc.features(i, spacing=(1.0,)), "spacing must have one length per axis, 2 of them"),
        (lambda i: nc.features(i, channel_axis=2), "channel_axis must be an axis of image, -2 to 1, got 2"),
        (lambda i: nc.features(i, channel_axis=0), r"image must be 2-D .* got shape \(5,\) beside the channels"),
        (lambda i: nc.features(i > 0), "image is boolean"),
        (lambda i: nc.features(i[:0]), r"image has shape \(0, 5\) and so no voxels"),
        (lambda i: nc.features(i.tolist()), "an array was expected, got list"),
    ],
    ids=[
        "none", "a-word", "unknown", "twice", "falling", "zero", "word-as-scale", "spacing", "no-axis", "1-d",
        "boolean", "empty", "list",
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(call: Any, sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        call(np.ones((4, 5)))


def test_every_feature_has_a_reach_and_a_method() -> None:
    assert tuple(REACH) == NAMES
    for ndim in (2, 3):
        for name in NAMES:
            bank = bank_of((name,), (1.0,), None, ndim)
            image = two_humps(SHAPES[ndim])
            assert len(bank([image], coordinates(image.shape, None, image))) == len(bank.columns)


# Eigenvalues -----------------------------------------------------------------------------------------


def upper_of(matrices: np.ndarray) -> list[np.ndarray]:
    n = matrices.shape[-1]
    return [np.ascontiguousarray(matrices[..., a, b]) for a in range(n) for b in range(a, n)]


def close_to_numpy(matrices: np.ndarray, tolerance: float) -> None:
    """Compare with LAPACK, relative to the largest entry of each matrix."""
    found = np.stack(symmetric_eigenvalues(upper_of(matrices)), -1)
    expected = np.linalg.eigvalsh(matrices.astype(np.float64))
    scale = np.abs(matrices).max((-1, -2)).astype(np.float64)
    wrong = np.abs(found - expected) / np.where(scale > 0, scale, 1)[..., None]
    assert wrong.max() <= tolerance, matrices[np.unravel_index(wrong.argmax(), wrong.shape)[:-1]]
    assert (np.diff(found, axis=-1) >= 0).all()


def rotations(n: int, ndim: int, seed: int = 0) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((n, ndim, ndim)))[0]


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("magnitude", [1e-300, 1e-40, 1e-3, 1.0, 1e6, 1e40, 1e300])
def test_eigenvalues_are_those_of_lapack(ndim: int, magnitude: float) -> None:
    matrices = np.random.default_rng(0).standard_normal((5000, ndim, ndim))
    matrices = (matrices + matrices.transpose(0, 2, 1)) * magnitude
    close_to_numpy(matrices, 5e-8)


@pytest.mark.parametrize(
    "values",
    [
        (0, 0, 0), (2, 2, 2), (-2, -2, -2), (1, 1, 3), (1, 3, 3), (-3, -3, 1), (0, 0, 1), (0, 0, -1), (-1, 0, 1),
        (1, 1 + 1e-9, 3), (1, 1 + 1e-14, 1 + 2e-14), (1e-12, 1, 1e6), (5, 5 + 1e-7, 5 - 1e-7), (-1, 1e-20, 1),
    ],
    ids=str,
)  # fmt: skip
def test_eigenvalues_that_nearly_agree(values: tuple[float, float, float]) -> None:
    turned = rotations(500, 3)
    matrices = turned @ np.diag(np.array(values, float)) @ turned.transpose(0, 2, 1)
    matrices = np.concatenate([(matrices + matrices.transpose(0, 2, 1)) / 2, np.diag(np.array(values, float))[None]])
    close_to_numpy(matrices, 5e-8)
    close_to_numpy(matrices.astype(np.float32), 2e-7)
    has_the_bits_of_the_arrays(upper_of(matrices))
    flat = turned[:, :2, :2] * 0 + np.diag(np.array(values[:2], float))
    close_to_numpy(flat, 1e-15)


def has_the_bits_of_the_arrays(upper: list[np.ndarray]) -> None:
    """Compare the compiled loop with what runs on every other library."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_eigenvalues, "is_host", lambda _: False)
        expected = symmetric_eigenvalues(upper)
    for found, wanted in zip(symmetric_eigenvalues(upper), expected, strict=True):
        assert found.dtype == upper[0].dtype
        np.testing.assert_array_equal(found.view(f"i{found.itemsize}"), wanted.view(f"i{found.itemsize}"))


numbers = st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False)


@given(hnp.arrays(np.float32, (6, 20), elements=numbers))
@example(np.full((6, 20), 1, np.float32))
def test_the_compiled_loop_has_the_bits_of_the_arrays(entries: np.ndarray) -> None:
    for dtype in (np.float32, np.float64):
        has_the_bits_of_the_arrays(list(entries.astype(dtype)))


@pytest.mark.parametrize("n_entries", [3, 6])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_entry_that_is_not_finite_has_no_eigenvalues(
    n_entries: int, bad: float, to_library: Callable[[Any], Any]
) -> None:
    upper = np.random.default_rng(0).random((n_entries, n_entries + 1))
    upper[np.arange(n_entries), np.arange(n_entries)] = bad
    found = [to_numpy(column) for column in symmetric_eigenvalues([to_library(entry) for entry in upper])]
    assert np.isnan(np.stack(found)[:, :-1]).all()
    assert np.isfinite(np.stack(found)[:, -1]).all()


@pytest.mark.parametrize("n_entries", [3, 6])
def test_eigenvalues_on_every_library_and_in_pieces(
    n_entries: int, to_library: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    upper = np.random.default_rng(0).standard_normal((n_entries, 7, 6, 5)).astype(np.float32)
    upper[:, 0] = 0
    expected = symmetric_eigenvalues(list(upper))
    monkeypatch.setattr(_eigenvalues, "PIECE", 99)
    for found, wanted in zip(symmetric_eigenvalues([to_library(e) for e in upper]), expected, strict=True):
        np.testing.assert_array_equal(to_numpy(found), wanted)

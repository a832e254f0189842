"""What every method in the catalog must hold to, whoever wrote it."""

from __future__ import annotations

import inspect
from typing import Any

import dask.array as da
import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout import _array
from napari_cutout._checks import REAL_DTYPES
from napari_cutout._method import Method
from napari_cutout.processing.segment import AfterOptions

from .cases import (
    CUTS,
    FLOODS,
    GRAPHS,
    IMAGE_METHODS,
    LABEL_METHODS,
    METHODS,
    NETWORKS,
    TOGETHER,
    WALKS,
    arrays_of,
    blobs,
    same_partition,
    settings_of,
    tie_free,
    two_humps,
)
from .conftest import read_only

SHAPES = [(23, 31), (6, 17, 19), (1, 17, 19), (9, 17, 1)]
SMOOTHING: dict[str, Any] = {"background_radius": 6.0, "median_radius": 1, "sigma": 0.7}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "objects": {"one_per_object": True, "connectivity": 3},
    "all": SMOOTHING | {"fill_holes": True, "clear_border": True, "min_size": 3},
}
REGION_OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "all": SMOOTHING | {"min_size": 3},
    "inside": {"clear_border": True},
}

WALKERS = [entry.name for entry in WALKS]

every_method = pytest.mark.parametrize("entry", METHODS, ids=lambda m: m.name)
every_image_method = pytest.mark.parametrize("entry", IMAGE_METHODS, ids=lambda m: m.name)
every_smoothing_method = pytest.mark.parametrize(
    "entry", [m for m in IMAGE_METHODS if m not in NETWORKS], ids=lambda m: m.name
)
every_graph_method = pytest.mark.parametrize("entry", GRAPHS, ids=lambda m: m.name)
every_method_with_options = pytest.mark.parametrize(
    "entry", [m for m in IMAGE_METHODS if m not in GRAPHS], ids=lambda m: m.name
)
every_prepared_method = pytest.mark.parametrize(
    "entry", [m for m in IMAGE_METHODS if m not in [*NETWORKS, *GRAPHS]], ids=lambda m: m.name
)
every_cut = pytest.mark.parametrize("entry", CUTS, ids=lambda m: m.name)
every_flood = pytest.mark.parametrize("entry", FLOODS, ids=lambda m: m.name)
every_walk = pytest.mark.parametrize("entry", WALKS, ids=lambda m: m.name)
every_label_method = pytest.mark.parametrize("entry", LABEL_METHODS, ids=lambda m: m.name)
all_options = pytest.mark.parametrize(
    ("entry", "options"),
    [
        *(pytest.param(m, more, id=f"{m.name}-{name}") for m in CUTS for name, more in OPTIONS.items()),
        *(pytest.param(m, more, id=f"{m.name}-{name}") for m in FLOODS for name, more in REGION_OPTIONS.items()),
    ],
)


def run(entry: Method, image: np.ndarray, **more: Any) -> Any:
    return entry(**arrays_of(entry, image), **settings_of(entry) | more)


@all_options
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_library_gives_the_same_labels_and_keeps_its_inputs(
    entry: Method, shape: tuple[int, ...], options: dict[str, Any], to_library: Any
) -> None:
    image = two_humps(shape, dtype="float32" if options else "uint8")
    arrays = arrays_of(entry, image)
    given = {name: to_library(array) for name, array in arrays.items()}
    labels = entry(**given, **settings_of(entry), **options)
    assert type(labels) is type(given["image"])
    assert labels.device == given["image"].device
    assert tuple(labels.shape) == shape
    assert _array.dtype_name(labels) == ("int32" if entry in FLOODS or "one_per_object" in options else "uint8")
    expected = entry(**arrays, **settings_of(entry), **options)
    np.testing.assert_array_equal(_array.to_numpy(labels), expected)
    for name, array in arrays.items():
        np.testing.assert_array_equal(_array.to_numpy(given[name]), array)


@every_image_method
@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_any_real_dtype_gives_the_labels_of_the_widest(entry: Method, dtype: str) -> None:
    image = two_humps((21, 30), dtype="int8" if dtype == "int8" else "uint8").astype(dtype)
    wide = "float64" if dtype.startswith("float") else "int64"  # integers have a bin each, floats 65,536 bins
    expected = run(entry, image.astype(wide), **_fixed_scale(entry))
    np.testing.assert_array_equal(run(entry, image, **_fixed_scale(entry)), expected)
    swapped = image.astype(image.dtype.newbyteorder())
    np.testing.assert_array_equal(run(entry, swapped, **_fixed_scale(entry)), expected)


def _fixed_scale(entry: Method) -> dict[str, Any]:
    """Return the settings whose defaults follow the dtype."""
    return {"sauvola": {"r": 60.0}, "random_walker": {"beta": "auto"}}.get(entry.name, {})


@every_image_method
def test_strides_do_not_matter(entry: Method) -> None:
    image = two_humps((40, 44), dtype="float32")
    view = np.asfortranarray(image)[::-1, 3::2]
    np.testing.assert_array_equal(run(entry, view), run(entry, np.ascontiguousarray(view)))


@every_cut
@pytest.mark.parametrize("move", [lambda a: a[::-1], lambda a: a[..., ::-1], np.transpose], ids=["z", "x", "T"])
def test_flips_and_transposition_move_the_labels(entry: Method, move: Any) -> None:
    image = two_humps((12, 15, 14), dtype="uint16")
    options = {"sigma": 1.0, "fill_holes": True, "min_size": 4}
    options |= {"threshold_at": {"value": 10_000.0}, "classes_at": {"values": (10_000.0, 15_000.0)}}.get(entry.name, {})
    moved = run(entry, np.ascontiguousarray(move(image)), **options)
    assert len(np.unique(moved)) > 1
    np.testing.assert_array_equal(moved, move(run(entry, image, **options)))
    numbered = run(entry, move(image), one_per_object=True, **options)
    assert same_partition(numbered, move(run(entry, image, one_per_object=True, **options)))


@every_flood
@pytest.mark.parametrize("move", [lambda a: a[::-1], lambda a: a[..., ::-1], np.transpose], ids=["z", "x", "T"])
@pytest.mark.parametrize("connectivity", [1, 3])
def test_flips_and_transposition_move_the_regions(entry: Method, move: Any, connectivity: int) -> None:
    image = tie_free((12, 15, 14), seed=2)  # where voxels tie, the first in scan order wins
    regions = run(entry, image, connectivity=connectivity)
    moved = run(entry, np.ascontiguousarray(move(image)), connectivity=connectivity)
    assert len(np.unique(moved)) > 1
    assert same_partition(moved, move(regions))
    if entry.needs == "strokes":
        np.testing.assert_array_equal(moved, move(regions))


DASK_CASES = [
    *(
        pytest.param(m, more, dtype, id=f"{m.name}-{name}-{dtype}")
        for m in CUTS
        for name, more in OPTIONS.items()
        for dtype in ("uint16", "float32")
    ),
    *(
        pytest.param(m, REGION_OPTIONS[name], dtype, id=f"{m.name}-{name}-{dtype}")
        for m in FLOODS
        for name, dtype in (("plain", "uint16"), ("all", "float32"))
    ),
]


@pytest.mark.parametrize("chunks", [(5, 17, 19), (4, 6, 7)], ids=str)
@pytest.mark.parametrize(("entry", "options", "dtype"), DASK_CASES)
def test_dask_gives_the_labels_of_the_whole(
    entry: Method, chunks: tuple[int, ...], options: dict[str, Any], dtype: str
) -> None:
    image = two_humps((11, 17, 19), seed=3, dtype=dtype)
    arrays = arrays_of(entry, image)
    lazy = {name: da.from_array(array, chunks) for name, array in arrays.items()}
    labels = entry(**lazy, **settings_of(entry), **options)
    assert isinstance(labels, da.Array)
    whole = entry(**arrays, **settings_of(entry), **options)
    assert labels.dtype == whole.dtype
    np.testing.assert_array_equal(labels.compute(scheduler="sync"), whole)


@every_graph_method
def test_dask_gives_the_regions_of_the_whole(entry: Method) -> None:
    image = two_humps((11, 17, 19), seed=3, dtype="float32")
    arrays = arrays_of(entry, image) | {"image": image.copy(), "mask": np.ones(image.shape, bool)}
    arrays["image"][2, 3, 4:9] = np.nan
    arrays["mask"][7:, :9] = False  # one chunk is outside
    more = {"n_superpixels": 60} if any(p.name == "n_superpixels" for p in entry.settings) else {"scale": 2000.0}
    lazy = {name: da.from_array(array, (7, 9, 19) if name == "image" else 10) for name, array in arrays.items()}
    labels = entry(**lazy, **more)
    assert isinstance(labels, da.Array)
    whole = entry(**arrays, **more)
    assert labels.dtype == whole.dtype
    assert len(np.unique(whole)) > 2
    np.testing.assert_array_equal(labels.compute(scheduler="sync"), whole)


@every_prepared_method
def test_steps_before_the_cut_are_those_of_processing(entry: Method) -> None:
    image = two_humps((30, 30), dtype="uint8")
    smooth = nc.gaussian(nc.median(image, radius=1), sigma=0.8)
    at_once = run(entry, image, median_radius=1, sigma=0.8, **_fixed_scale(entry))
    arrays = arrays_of(entry, image) | {"image": smooth}
    np.testing.assert_array_equal(at_once, entry(**arrays, **settings_of(entry), **_fixed_scale(entry)))


@every_smoothing_method
def test_mask_and_nan_are_background_and_do_not_count(entry: Method) -> None:
    image = two_humps((30, 33), dtype="float32")
    mask = np.zeros(image.shape, bool)
    mask[4:25, 5:30] = True
    spoilt = image.copy()
    spoilt[~mask] = 1e9
    arrays = arrays_of(entry, image) | {"mask": mask}
    filling = {"fill_holes": True} if entry in CUTS else {}
    labels = entry(**arrays | {"image": spoilt}, **settings_of(entry), **filling)
    assert labels.any()
    assert not labels[~mask].any()
    spoilt[~mask] = -1e9
    again = entry(**arrays | {"image": spoilt}, **settings_of(entry), **filling)
    np.testing.assert_array_equal(labels, again)
    holes = image.copy()
    holes[7, 9], holes[20, 11:15] = np.nan, np.nan
    keep = ~np.isnan(holes)
    without = entry(**arrays_of(entry, image) | {"image": holes}, **settings_of(entry))
    assert not without[~keep].any()
    for more in (filling, filling | {"one_per_object": True}) if entry in CUTS else ():
        filled = entry(**arrays_of(entry, image) | {"image": holes}, **settings_of(entry), **more)
        assert not filled[~keep].any()
    filled = np.where(keep, image, 0).astype(np.float32)
    expected = entry(**arrays_of(entry, image) | {"image": filled, "mask": keep}, **settings_of(entry))
    np.testing.assert_array_equal(without, expected)


@every_image_method
@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (np.zeros((0, 5), np.uint8), r"shape \(0, 5\) and so no voxels"),
        (np.zeros(9, np.uint8), r"2-D \(Y, X\) or 3-D .* got shape \(9,\)"),
        (np.zeros((2, 2, 2, 2), np.uint8), r"got shape \(2, 2, 2, 2\)"),
        (np.zeros((20, 30, 3), np.uint8), r"\(20, 30, 3\) and dtype uint8 looks like a colour image.*grey\(image\)"),
        (np.zeros((20, 30, 4), np.float32), r"\(20, 30, 4\) and dtype float32 looks like a colour image"),
        (np.zeros((5, 5), bool), "image is boolean.*pass the grey-level image"),
        (np.zeros((5, 5), complex), "must be real, got dtype complex128.*magnitude"),
        (np.zeros((5, 5), object), "must hold integers or floats, got dtype object"),
        (np.zeros((5, 5), "datetime64[s]"), "must hold integers or floats, got dtype datetime64"),
        (np.ma.masked_equal(np.eye(5), 0), "image is a masked array.*mask=~image.mask"),
        ([[1, 2], [3, 4]], "an array was expected, got list"),
    ],
    ids=lambda v: (
        "" if isinstance(v, str) else f"{type(v).__name__} {getattr(v, 'dtype', '')} {getattr(v, 'shape', '')}"
    ),
)
def test_bad_images_are_refused(entry: Method, image: Any, sentence: str) -> None:
    markers = np.ones(getattr(image, "shape", (2, 2)), int) if not isinstance(image, list) else [[1, 0], [0, 0]]
    with pytest.raises((ValueError, TypeError), match=sentence):
        entry(image, **({"markers": markers} if entry.needs == "strokes" else {}), **settings_of(entry))


@every_image_method
@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"mask": np.ones((5, 6), bool)}, r"mask must have the shape of image, \(20, 20\), but has \(5, 6\)"),
        ({"mask": np.ones((20, 20))}, "mask must hold booleans, got dtype float64"),
        ({"mask": np.ma.ones((20, 20), bool)}, r"mask is a masked array, whose .* lost; pass mask.filled\(False\)"),
        ({"spacing": (1.0,)}, r"one length per axis, 2 of them, got \(1.0,\)"),
        ({"spacing": (1.0, -2.0)}, r"positive and finite, got \(1.0, -2.0\)"),
        ({"spacing": "wide"}, "one length per axis, such as"),
        ({"sigma": -1.0}, r"sigma must be between 0 and 1000?, got -1.0"),
        ({"sigma": float("nan")}, "sigma must be a finite number, got nan"),
        ({"sigma": "1"}, "sigma must be of type float, got '1' of type str"),
        ({"min_size": 2.5}, r"min_size must be (of type int|between 0 and 1), got 2.5"),
        ({"fill_holes": 1}, "fill_holes must be of type bool, got 1"),
        ({"objects": "green"}, "objects must be one of 'bright', 'dark', got 'green'"),
    ],
    ids=[
        "mask-shape",
        "mask-float",
        "mask-masked",
        "spacing-short",
        "spacing-negative",
        "spacing-text",
        "sigma-negative",
        "sigma-nan",
        "sigma-text",
        "min_size-float",
        "fill_holes-int",
        "objects-unknown",
    ],
)
def test_bad_arguments_are_refused(entry: Method, more: dict[str, Any], sentence: str) -> None:
    (name,) = more
    if name not in {p.name for p in entry.params}:
        sentence = f"unexpected keyword argument '{name}'"
    with pytest.raises((ValueError, TypeError), match=sentence):
        run(entry, two_humps((20, 20)), **more)


@every_method
def test_settings_out_of_range_are_refused_by_name_and_value(entry: Method) -> None:
    image = two_humps((12, 12))
    for param in entry.settings:
        if param.range is None:
            continue
        for value in (param.range.min - 1, param.range.max * 2 + 1):
            kind = int if param.type is int else float
            with pytest.raises(ValueError, match=f"{param.name} must be .*{str(kind(value))[:6]}"):
                run(entry, image, **{param.name: kind(value)})


@every_image_method
def test_mixed_libraries_are_refused(entry: Method) -> None:
    image = two_humps((12, 12))
    with pytest.raises(TypeError, match="one library, got numpy and dask"):
        run(entry, image, mask=da.ones(image.shape, dtype=bool))


@pytest.mark.parametrize("entry", [m for m in IMAGE_METHODS if m.name != "watershed"], ids=lambda m: m.name)
@pytest.mark.parametrize("fill", [np.nan, np.inf])
def test_images_without_a_finite_voxel_are_refused(entry: Method, fill: float) -> None:
    arrays = arrays_of(entry, two_humps((12, 12)))
    arrays["image"] = np.full((12, 12), fill, np.float32)
    sentence = "no finite voxel" if entry in NETWORKS else "no finite voxel to count"
    with pytest.raises(ValueError, match=sentence):
        entry(**arrays, **settings_of(entry))


@every_flood
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64"])
def test_a_constant_image_is_one_plateau(entry: Method, dtype: str) -> None:
    image = np.full((6, 6), 7, dtype)
    if dtype.startswith("float"):
        image[0, 0] = np.nan
    arrays = {"image": image} | ({"markers": np.eye(6, dtype=int)} if entry.needs == "strokes" else {})
    np.testing.assert_array_equal(entry(**arrays), (image == 7).astype(int))


@every_cut
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64"])
def test_constant_images_are_refused(entry: Method, dtype: str) -> None:
    if entry.name == "threshold_at":
        assert run(entry, np.full((4, 5), 7, dtype), value=6.0).all()
        return
    if entry.name == "classes_at":
        assert (run(entry, np.full((4, 5), 7, dtype), values=(6.0, 7.0)) == 2).all()
        return
    image = np.full((6, 6), 7, dtype)
    if dtype.startswith("float"):
        image[0, 0], image[0, 1], image[0, 2] = np.nan, np.inf, -np.inf
    arrays = {"image": image} | ({"markers": np.eye(6, dtype=int)} if entry.needs == "strokes" else {})
    if entry.name == "back_projection":  # strokes on the only grey level select it
        assert entry(**arrays)[3:].all()
        return
    with pytest.raises(ValueError, match=r"needs at least . grey levels in the image, but every voxel is 7;"):
        entry(**arrays, **settings_of(entry))


@every_image_method
def test_integers_that_floats_cannot_tell_apart_are_refused(entry: Method) -> None:
    image = 2**60 + np.arange(100).reshape(10, 10)
    arrays = {"image": image} | ({"markers": np.diag([1, 2] * 5)} if entry.needs == "strokes" else {})
    if entry.name in (
        "threshold_at",
        "classes_at",
        "sauvola",
        "niblack",
        "local_mean",
        "watershed",
        "felzenszwalb",
        *WALKERS,
        "unet_predict",
    ):
        entry(**arrays, **settings_of(entry), **_fixed_scale(entry))
        return
    sentence = rf"integers {2**60} to {2**60 + 99}, which float64 cannot tell apart"
    with pytest.raises(ValueError, match="image is constant" if entry in NETWORKS else sentence):
        entry(**arrays, **settings_of(entry))


@every_image_method
def test_unknown_shapes_are_refused(entry: Method) -> None:
    lazy = da.from_array(np.arange(60).reshape(12, 5))
    lazy = lazy[lazy[:, 0] > 10]
    arrays = {"image": lazy} | ({"markers": lazy} if entry.needs == "strokes" else {})
    with pytest.raises(ValueError, match=r"unknown shape \(nan, 5\); call compute_chunk_sizes"):
        entry(**arrays, **settings_of(entry))


@every_image_method
def test_same_call_same_answer(entry: Method) -> None:
    image = two_humps((64, 64, 30))
    more = {"sigma": 0.5} if any(p.name == "sigma" for p in entry.settings) else {}
    np.testing.assert_array_equal(run(entry, image, **more), run(entry, image, **more))


@every_method
def test_docstring_describes_every_parameter(entry: Method) -> None:
    signature = inspect.signature(entry.func)
    assert [p.name for p in entry.params] == list(signature.parameters)
    for param in entry.params:
        text = entry.describe(param.name)
        assert text.endswith("."), f"{entry.name}: {param.name} is described by {text!r}"
    assert len(entry.summary) <= 70
    assert entry.summary.endswith(".")
    assert getattr(nc, entry.name) is entry.func


@every_method_with_options
def test_defaults_of_the_shared_options_are_off(entry: Method) -> None:
    image = two_humps((30, 30), dtype="uint8")
    off = {p.name: p.default for p in entry.settings if p.option}
    np.testing.assert_array_equal(run(entry, image), run(entry, image, **off))
    shared = AfterOptions if entry in NETWORKS else nc.Options if entry in CUTS else nc.RegionOptions
    assert [p.name for p in entry.settings if p.option] == list(shared.__annotations__)


@pytest.mark.gpu
@all_options
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64", "int32"])
def test_gpu_gives_the_labels_of_the_host(entry: Method, options: dict[str, Any], dtype: str, to_gpu: Any) -> None:
    image = two_humps((24, 40, 33), dtype=dtype)
    arrays = arrays_of(entry, image)
    labels = entry(**{n: to_gpu(a) for n, a in arrays.items()}, **settings_of(entry), **options)
    expected = entry(**arrays, **settings_of(entry), **options)
    np.testing.assert_array_equal(_array.to_numpy(labels), expected)


# Methods that solve an equation to within a tolerance ------------------------------------------------------

WITHIN = 1e-2
"""What probabilities may differ by between devices and tilings."""


def walk_case(shape: tuple[int, ...], dtype: str = "float32") -> dict[str, np.ndarray]:
    """Return an image in noise and a few strokes of three labels."""
    image = two_humps(shape, seed=4, dtype=dtype)
    markers = np.random.default_rng(1).integers(1, 4, shape) * (np.random.default_rng(2).random(shape) < 0.03)
    markers.ravel()[:3] = 1, 2, 3
    return {"image": image, "markers": markers.astype(np.int32)}


def likelihood(entry: Method, arrays: dict[str, Any], **more: Any) -> np.ndarray:
    """Return the probabilities that the labels of a walk come from."""
    return _array.to_numpy(getattr(nc, f"{entry.name}_probabilities")(**arrays, **more))


def assert_about_the_same(labels: np.ndarray, expected: np.ndarray, shares: np.ndarray) -> None:
    """Compare labels, except where the two most likely ones are about as likely."""
    np.testing.assert_array_equal(labels == 0, np.isnan(shares[0]))
    high = np.sort(np.nan_to_num(shares), axis=0)
    clear = high[-1] - high[-2] > 2 * WITHIN
    assert clear.mean() > 0.7
    np.testing.assert_array_equal(labels[clear], expected[clear])


@every_walk
@pytest.mark.parametrize("beta", [0.0, 130.0, 2000.0, "auto"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_library_walks_about_the_same_and_keeps_its_inputs(
    entry: Method, shape: tuple[int, ...], beta: Any, to_library: Any
) -> None:
    arrays = walk_case(shape, "uint8")
    arrays["mask"] = np.ones(shape, bool)
    arrays["mask"][..., 4:7, -1] = False
    given = {name: to_library(array) for name, array in arrays.items()}
    labels = entry(**given, beta=beta)
    assert type(labels) is type(given["image"])
    assert labels.device == given["image"].device
    assert tuple(labels.shape) == shape
    assert _array.dtype_name(labels) == "int32"
    shares = likelihood(entry, arrays, beta=beta)
    np.testing.assert_allclose(likelihood(entry, given, beta=beta), shares, rtol=0, atol=WITHIN)
    assert_about_the_same(_array.to_numpy(labels), entry(**arrays, beta=beta), shares)
    for name, array in arrays.items():
        np.testing.assert_array_equal(_array.to_numpy(given[name]), array)


@every_walk
@pytest.mark.parametrize("options", [REGION_OPTIONS["all"], {"min_size": 90}], ids=["all", "large"])
def test_every_library_tidies_a_walk_about_the_same(entry: Method, options: dict[str, Any], to_library: Any) -> None:
    arrays = walk_case((6, 17, 19))
    labels = entry(**{name: to_library(array) for name, array in arrays.items()}, beta="auto", **options)
    expected = entry(**arrays, beta="auto", **options)
    assert len(np.unique(expected)) > 2
    assert (_array.to_numpy(labels) != expected).mean() < 2e-3


@every_walk
def test_every_library_walks_on_channels_about_the_same(entry: Method, to_library: Any) -> None:
    arrays = walk_case((6, 17, 19))
    arrays["image"] = np.stack([arrays["image"], two_humps((6, 17, 19), seed=8, dtype="float32")], axis=-1)
    more = {"channel_axis": -1, "beta": "auto", "spacing": (2.0, 1.0, 1.0)}
    shares = likelihood(entry, arrays, **more)
    given = {name: to_library(array) for name, array in arrays.items()}
    np.testing.assert_allclose(likelihood(entry, given, **more), shares, rtol=0, atol=WITHIN)


@every_walk
@pytest.mark.parametrize("move", [lambda a: a[::-1], lambda a: a[..., ::-1], np.transpose], ids=["z", "x", "T"])
@pytest.mark.parametrize("beta", [130.0, "auto"])
def test_flips_and_transposition_move_a_walk(entry: Method, move: Any, beta: Any) -> None:
    arrays = walk_case((12, 15, 14), "uint8")
    moved = {name: np.ascontiguousarray(move(array)) for name, array in arrays.items()}
    shares = likelihood(entry, arrays, beta=beta)
    of_moved = likelihood(entry, moved, beta=beta)
    for before, after in zip(shares, of_moved, strict=True):
        np.testing.assert_allclose(after, move(before), rtol=0, atol=WITHIN)
    assert_about_the_same(entry(**moved, beta=beta), move(entry(**arrays, beta=beta)), of_moved)


@every_walk
@pytest.mark.parametrize("chunks", [(5, 17, 19), (4, 6, 7), 40], ids=str)
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_dask_walks_about_as_on_the_whole(entry: Method, chunks: Any, dtype: str) -> None:
    arrays = walk_case((11, 17, 19), dtype)
    lazy = {name: da.from_array(array, chunks) for name, array in arrays.items()}
    labels = entry(**lazy, beta="auto")
    assert isinstance(labels, da.Array)
    expected = entry(**arrays, beta="auto")
    assert (labels.shape, labels.dtype) == (expected.shape, expected.dtype)
    shares = likelihood(entry, arrays, beta="auto")
    assert_about_the_same(labels.compute(scheduler="sync"), expected, shares)


@every_walk
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64"])
@pytest.mark.parametrize("beta", [130.0, "auto"])
def test_on_a_constant_image_distances_alone_count(entry: Method, dtype: str, beta: Any) -> None:
    image, markers = np.full((5, 9), 7, dtype), np.zeros((5, 9), int)
    markers[:, 0], markers[:, 8] = 3, 1
    np.testing.assert_array_equal(np.delete(entry(image, markers, beta=beta), 4, axis=1), [[3] * 4 + [1] * 4] * 5)


@pytest.mark.gpu
@every_walk
@pytest.mark.parametrize("beta", [130.0, 2000.0, "auto"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64", "int32"])
def test_gpu_walks_about_as_the_host(entry: Method, dtype: str, beta: Any, to_gpu: Any) -> None:
    arrays = walk_case((24, 40, 33), dtype)
    if dtype == "int32" and beta != "auto":
        arrays["image"] = arrays["image"].astype(dtype) << 16  # a range that counts
    shares = likelihood(entry, arrays, beta=beta)
    given = {name: to_gpu(array) for name, array in arrays.items()}
    np.testing.assert_allclose(likelihood(entry, given, beta=beta), shares, rtol=0, atol=WITHIN)
    assert_about_the_same(_array.to_numpy(entry(**given, beta=beta)), entry(**arrays, beta=beta), shares)


# Methods that see all channels together ------------------------------------------------------------------

TABLES: dict[str, dict[str, Any]] = {
    "channels": {},
    "edges and curvature": {"features": ("intensity", "gradient", "hessian"), "scales": (0.8,)},
    "texture and place": {"features": ("variance", "structure", "position"), "scales": (0.7,), "spacing": True},
    "more than are kept": {"features": ("intensity", "hessian", "structure", "laplacian"), "scales": (0.6, 0.9)},
    "tidied": SMOOTHING | {"fill_holes": True, "min_size": 3, "one_per_object": True, "connectivity": 2},
}
every_table = pytest.mark.parametrize("table", TABLES)
every_joint_method = pytest.mark.parametrize("entry", TOGETHER, ids=lambda m: m.name)
AXES = [((17, 21), 0), ((6, 9, 11), -1), ((6, 9, 11), 1)]


def channels_and_settings(
    shape: tuple[int, ...], axis: int, table: str, dtype: str = "float32"
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Return two channels of three noisy classes, a mask of the shape of one, and what to cluster them by."""
    channels, _ = blobs(shape, 3, 2, seed=5, apart=3.0, dtype="float64")
    channels = channels * 2 + 40 * two_humps(shape, seed=1, dtype="float64") / 20_000
    mask = np.random.default_rng(2).random(shape) < 0.95
    mask[:2] = True
    more = dict(TABLES[table])
    if more.pop("spacing", None):
        more["spacing"] = (2.0, 1.0, 1.5)[-len(shape) :]
    return np.ascontiguousarray(np.moveaxis(channels.astype(dtype), 0, axis)), mask, more | {"channel_axis": axis}


@every_joint_method
@every_table
@pytest.mark.parametrize(("shape", "axis"), AXES)
def test_every_library_gives_the_same_labels_of_channels(
    entry: Method, table: str, shape: tuple[int, ...], axis: int, to_library: Any
) -> None:
    image, mask, more = channels_and_settings(shape, axis, table)
    given = to_library(image), to_library(mask)
    labels = entry(*given, **more)
    assert type(labels) is type(given[0])
    assert labels.device == given[0].device
    assert tuple(labels.shape) == shape
    expected = entry(image, mask, **more)
    assert len(np.unique(expected)) > 2
    np.testing.assert_array_equal(_array.to_numpy(labels), expected)
    np.testing.assert_array_equal(_array.to_numpy(given[0]), image)


@every_joint_method
@every_table
@pytest.mark.parametrize(
    ("shape", "axis", "chunks"), [((17, 21), -1, 5), ((6, 9, 11), 0, (1, 4, 9, 6)), ((6, 9, 11), 3, 4)]
)
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_dask_gives_the_labels_of_the_whole_of_channels(
    entry: Method, table: str, shape: tuple[int, ...], axis: int, chunks: Any, dtype: str
) -> None:
    image, mask, more = channels_and_settings(shape, axis, table, dtype)
    lazy = entry(da.from_array(image, chunks), da.from_array(mask, 7), **more)
    assert isinstance(lazy, da.Array)
    whole = entry(image, mask, **more)
    assert lazy.dtype == whole.dtype
    np.testing.assert_array_equal(lazy.compute(scheduler="sync"), whole)


@every_joint_method
@pytest.mark.parametrize("features", [("intensity",), ("intensity", "gaussian")], ids=["plain", "features"])
@pytest.mark.parametrize(
    "move", [lambda a: a[..., ::-1, :], lambda a: a[..., ::-1], lambda a: a.swapaxes(-1, -2)], ids="yxT"
)
def test_flips_of_channels_move_the_labels(entry: Method, move: Any, features: tuple[str, ...]) -> None:
    image, _ = blobs((8, 14, 12), 3, 2, seed=6, apart=6.0)  # clear enough to be found from any start
    more = {"channel_axis": 0, "features": features, "scales": (0.4,)}
    moved = entry(np.ascontiguousarray(move(image)), **more)
    assert len(np.unique(moved)) == 3
    np.testing.assert_array_equal(moved, move(entry(image, **more)))


@every_joint_method
@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_channels_of_any_real_dtype_give_the_labels_of_float64(entry: Method, dtype: str) -> None:
    image, mask, more = channels_and_settings((12, 15), 0, "channels")
    image = np.clip(np.round(image) - 60, -120, 120).astype("int8")
    image = (image.astype(np.int16) + (0 if dtype.startswith(("int", "float")) else 120)).astype(dtype)
    expected = entry(image.astype(np.float64), mask, **more)
    np.testing.assert_array_equal(entry(image, mask, **more), expected)
    np.testing.assert_array_equal(entry(image.astype(image.dtype.newbyteorder()), mask, **more), expected)
    view = np.asfortranarray(np.repeat(image, 2, axis=2))[..., ::2]
    np.testing.assert_array_equal(entry(view, mask, **more), expected)


@every_joint_method
def test_the_axis_of_channels_may_be_any_and_one_channel_is_one(entry: Method) -> None:
    image, mask, _ = channels_and_settings((6, 9, 11), 0, "channels")
    expected = entry(image, mask, channel_axis=0)
    for axis in (1, 2, 3, -1, -2, -4):
        np.testing.assert_array_equal(entry(np.moveaxis(image, 0, axis), mask, channel_axis=axis), expected)
    np.testing.assert_array_equal(entry(image[:1], mask, channel_axis=0), entry(image[0], mask))


@every_joint_method
@pytest.mark.parametrize("tidied", [{}, {"fill_holes": True}], ids=["plain", "filled"])
@pytest.mark.parametrize("spoilt", [np.nan, np.inf, -np.inf])
def test_a_voxel_that_one_channel_does_not_know_is_background(
    entry: Method, spoilt: float, tidied: dict[str, bool]
) -> None:
    image, _, more = channels_and_settings((14, 15), 0, "channels")
    more |= tidied
    keep = np.ones(image.shape[1:], bool)
    keep[3, 4], keep[7, 8] = False, False
    holes = image.copy()
    holes[0, 3, 4], holes[1, 7, 8] = spoilt, spoilt
    labels = entry(holes, **more)
    np.testing.assert_array_equal(labels == 0, ~keep)
    np.testing.assert_array_equal(labels, entry(image, keep, **more))


@every_joint_method
@pytest.mark.parametrize(
    ("shape", "more", "sentence"),
    [
        ((2, 9, 9), {"channel_axis": 3}, "channel_axis must be an axis of image, -3 to 2, got 3"),
        ((2, 9, 9), {"channel_axis": -4}, "channel_axis must be an axis of image, -3 to 2, got -4"),
        ((2, 9, 9), {"channel_axis": 0.5}, "channel_axis must be of type int, got 0.5"),
        ((0, 9, 9), {"channel_axis": 0}, r"\(0, 9, 9\) has no channels along axis 0"),
        ((2, 9), {"channel_axis": 0}, "2-D .* or 3-D"),
        ((2, 3, 9, 9, 9), {"channel_axis": 0}, "2-D .* or 3-D"),
        ((2, 9, 9), {"channel_axis": 0, "mask": np.ones((2, 9, 9), bool)}, r"mask must have .* \(9, 9\)"),
        ((2, 9, 9), {"channel_axis": 0, "features": ()}, "features must have 1 to 8 entries, got 0"),
        ((2, 9, 9), {"channel_axis": 0, "features": ("colour",)}, "features .*'colour'"),
        ((2, 9, 9), {"channel_axis": 0, "features": ("gaussian", "gaussian")}, "features .*twice|distinct|different"),
        ((2, 9, 9), {"channel_axis": 0, "scales": (3.0, 1.0)}, "scales .*ris"),
        ((2, 9, 9), {"channel_axis": 0, "scales": (0.0,)}, "scales .*between 0.1 and 100"),
        ((2, 9, 9), {"channel_axis": 0, "spacing": (1.0, 1.0, 1.0)}, "one length per axis, 2 of them"),
    ],
)
def test_bad_channels_and_features_are_refused(
    entry: Method, shape: tuple[int, ...], more: dict[str, Any], sentence: str
) -> None:
    image = np.random.default_rng(0).random(shape)
    with pytest.raises((ValueError, TypeError), match=sentence):
        entry(image, **more)


@pytest.mark.gpu
@every_joint_method
@every_table
@pytest.mark.parametrize(("shape", "axis"), AXES)
@pytest.mark.parametrize("dtype", ["uint16", "float32", "float64"])
def test_gpu_gives_the_labels_of_channels_on_the_host(
    entry: Method, table: str, shape: tuple[int, ...], axis: int, dtype: str, to_gpu: Any
) -> None:
    image, mask, more = channels_and_settings(shape, axis, table, dtype)
    labels = entry(to_gpu(image), to_gpu(mask), **more)
    np.testing.assert_array_equal(_array.to_numpy(labels), entry(image, mask, **more))


# Probabilities of the classes -----------------------------------------------------------------------------

MIXTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "one channel": ("channels", {}),
    "smooth": ("channels", {"smoothness": 2.0}),
    "channels": ("channels", {"covariance": "tied"}),
    "smooth channels": ("channels", {"smoothness": 2.0}),
    "features": ("edges and curvature", {"smoothness": 1.0, "covariance": "diagonal"}),
}
every_mixture = pytest.mark.parametrize("name", MIXTURES)


def mixture_case(name: str) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Return an image with a voxel that is not finite, a mask, and how to fit a mixture to it."""
    table, own = MIXTURES[name]
    image, mask, more = channels_and_settings((6, 9, 11), 0, table)
    image[0, 2, 3, 4] = np.nan
    if name in ("one channel", "smooth"):
        return image[0], mask, own
    image[1, 3, 4, 5] = np.inf  # unknown beside other channels
    return image, mask, more | own


@every_mixture
def test_every_library_gives_the_same_probabilities(name: str, to_library: Any) -> None:
    image, mask, more = mixture_case(name)
    for function in (nc.probabilities, nc.uncertainty):
        given = to_library(image), to_library(mask)
        found = function(*given, **more)
        assert type(found) is type(given[0])
        assert found.device == given[0].device
        assert _array.dtype_name(found) == "float32"
        expected = function(image, mask, **more)
        assert np.isnan(expected).any()
        assert len(np.unique(expected)) > 50
        np.testing.assert_array_equal(_array.to_numpy(found), expected)


@every_mixture
@pytest.mark.parametrize("chunks", [5, 3])
def test_dask_gives_the_probabilities_of_the_whole(name: str, chunks: int) -> None:
    image, mask, more = mixture_case(name)
    for function in (nc.probabilities, nc.uncertainty):
        lazy = function(da.from_array(image, chunks), da.from_array(mask, 7), **more)
        assert isinstance(lazy, da.Array)
        expected = function(image, mask, **more)
        assert (lazy.shape, lazy.dtype) == (expected.shape, np.float32)
        np.testing.assert_array_equal(lazy.compute(scheduler="sync"), expected)


@pytest.mark.gpu
@every_mixture
def test_gpu_gives_the_probabilities_of_the_host(name: str, to_gpu: Any) -> None:
    image, mask, more = mixture_case(name)
    given = to_gpu(image), to_gpu(mask)
    shares = _array.to_numpy(nc.probabilities(*given, **more))
    expected = nc.probabilities(image, mask, **more)
    expected[expected < np.finfo(np.float32).tiny] = 0  # CuPy compiles with -ftz=true, which makes them zero
    np.testing.assert_array_equal(shares, expected)
    unsure = _array.to_numpy(nc.uncertainty(*given, **more))  # logarithms are the library's
    np.testing.assert_allclose(unsure, nc.uncertainty(image, mask, **more), rtol=0, atol=1e-6)


# Methods that begin with labels --------------------------------------------------------------------------


@every_label_method
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_library_gives_the_same_labels_of_labels(entry: Method, shape: tuple[int, ...], to_library: Any) -> None:
    labels = arrays_of(entry, two_humps(shape))["labels"]
    given = to_library(labels)
    found = entry(given, **settings_of(entry))
    assert type(found) is type(given)
    assert found.device == given.device
    expected = entry(labels, **settings_of(entry))
    assert _array.dtype_name(found) == _array.dtype_name(expected)
    assert expected.any()
    np.testing.assert_array_equal(_array.to_numpy(found), expected)
    np.testing.assert_array_equal(_array.to_numpy(given), labels)


@every_label_method
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_labels_of_any_integers_give_the_same(entry: Method, dtype: str) -> None:
    labels = arrays_of(entry, two_humps((21, 30)))["labels"].astype(dtype)
    expected = entry(labels.astype(np.int64), **settings_of(entry))
    np.testing.assert_array_equal(entry(labels, **settings_of(entry)), expected)
    swapped = labels.astype(labels.dtype.newbyteorder())
    np.testing.assert_array_equal(entry(swapped, **settings_of(entry)), expected)


@every_label_method
def test_strides_of_labels_do_not_matter(entry: Method) -> None:
    view = np.asfortranarray(arrays_of(entry, two_humps((40, 44)))["labels"])[::-1, 3::2]
    expected = entry(np.ascontiguousarray(view), **settings_of(entry))
    np.testing.assert_array_equal(entry(view, **settings_of(entry)), expected)


@every_label_method
@pytest.mark.parametrize("chunks", [(5, 17, 19), (4, 6, 7)], ids=str)
def test_dask_gives_the_labels_of_whole_labels(entry: Method, chunks: tuple[int, ...]) -> None:
    labels = arrays_of(entry, two_humps((11, 17, 19), seed=3))["labels"]
    lazy = entry(da.from_array(labels, chunks), **settings_of(entry))
    assert isinstance(lazy, da.Array)
    whole = entry(labels, **settings_of(entry))
    assert lazy.dtype == whole.dtype
    np.testing.assert_array_equal(lazy.compute(scheduler="sync"), whole)


@every_label_method
@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        pytest.param(np.zeros((0, 5), np.uint8), r"labels has shape \(0, 5\) and so no voxels", id="empty"),
        pytest.param(np.zeros(9, np.uint8), r"labels must be 2-D \(Y, X\) or 3-D .* got shape \(9,\)", id="1-D"),
        pytest.param(np.zeros((2, 2, 2, 2), np.uint8), r"got shape \(2, 2, 2, 2\)", id="4-D"),
        pytest.param(np.zeros((5, 5)), "labels must hold integers, got dtype float64", id="floats"),
        pytest.param(np.zeros((5, 5), complex), "labels must hold integers, got dtype complex128", id="complex"),
        pytest.param(np.zeros((5, 5), object), "labels must hold integers, got dtype object", id="objects"),
        pytest.param(np.ma.masked_equal(np.eye(5, dtype=int), 1), r"labels is .* labels.filled\(0\)", id="masked"),
        pytest.param([[1, 2], [3, 4]], "an array was expected, got list", id="list"),
    ],
)
def test_bad_labels_are_refused(entry: Method, labels: Any, sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        entry(labels, **settings_of(entry))


@every_label_method
def test_no_objects_in_no_objects_out(entry: Method) -> None:
    labels = np.zeros((6, 7), np.uint16)
    assert not entry(labels, **settings_of(entry)).any()


@pytest.mark.gpu
@every_label_method
@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "int32", "int64"])
def test_gpu_gives_the_labels_of_labels_on_the_host(entry: Method, dtype: str, to_gpu: Any) -> None:
    labels = arrays_of(entry, two_humps((24, 40, 33)))["labels"].astype(dtype)
    found = entry(to_gpu(labels), **settings_of(entry))
    np.testing.assert_array_equal(_array.to_numpy(found), entry(labels, **settings_of(entry)))


def test_read_only_arrays_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        read_only(np.zeros(3))[0] = 1

"""From layers to arrays and back: plain data, no window."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr
from napari.layers import Image, Labels

from napari_cutout.widgets import _layers

# napari says so of every volume that is turned or sheared out of the plane, the user's as well as ours.
pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")


@pytest.fixture
def tilted():
    """A layer with every transform that napari knows."""
    return Image(
        np.zeros((3, 4, 5)),
        name="tilted",
        scale=(2, 0.5, 0.5),
        translate=(1, 2, 3),
        rotate=(10, 20, 30),
        shear=(0.1, 0.2, 0.3),
        affine=np.array([[1, 0.1, 0, 5], [0, 1.5, 0, 6], [0, 0, 1, 7], [0, 0, 0, 1]]),
        units=("um", "um", "um"),
        axis_labels=("z", "y", "x"),
    )


def test_placement_puts_a_new_layer_where_the_old_one_lies(tilted):
    copy = Labels(np.zeros((3, 4, 5), np.uint8), **_layers.placement(tilted))
    rng = np.random.default_rng(0)
    for point in rng.uniform(-10, 10, (5, 3)):
        np.testing.assert_allclose(copy.data_to_world(point), tilted.data_to_world(point), atol=1e-9)
    assert copy.units == tilted.units
    assert copy.axis_labels == tilted.axis_labels
    np.testing.assert_allclose(copy.shear, tilted.shear)
    np.testing.assert_allclose(copy.translate, tilted.translate)


def test_placement_of_an_rgb_layer_has_no_axis_of_colours():
    rgb = Image(np.zeros((4, 5, 3), np.uint8), rgb=True, scale=(2, 3))
    assert _layers.placement(rgb)["scale"] == (2, 3)
    Labels(np.zeros((4, 5), np.uint8), **_layers.placement(rgb))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"scale": (2, 0.5, 0.5)}, (2, 0.5, 0.5)),
        ({"scale": (2, -0.5, 0.5)}, (2, 0.5, 0.5)),
        ({"scale": (2, 0.5, 0.5), "rotate": (10, 20, 30)}, (2, 0.5, 0.5)),
        ({"scale": (2, 0.5, 0.5), "affine": np.diag([3.0, 1, 1, 1])}, (6, 0.5, 0.5)),
        ({"affine": np.array([[1, 3, 0, 0], [0, 4, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])}, (1, 5, 1)),
    ],
    ids=["scale", "mirrored", "rotated", "stretched", "sheared"],
)
def test_spacing_is_the_world_length_of_voxel_edges(options, expected):
    assert _layers.spacing(Image(np.zeros((3, 4, 5)), **options)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("shape", "options", "expected"),
    [
        ((3, 4, 5), {"scale": (0.5, 0.2, 0.2), "units": ("um",) * 3}, "voxel 0.5 × 0.2 × 0.2 µm"),  # noqa: RUF001
        ((3, 4, 5), {"scale": (0.5, 0.2, 0.2)}, "voxel 0.5 × 0.2 × 0.2"),  # noqa: RUF001
        ((4, 5), {"scale": (0.5, 0.2), "units": ("nm", "nm")}, "pixel 0.5 × 0.2 nm"),  # noqa: RUF001
        ((3, 4, 5), {}, "voxel size not set (taken as a cube)"),
        ((4, 5), {}, "pixel size not set"),
    ],
)
def test_voxel_text(shape, options, expected):
    assert _layers.voxel_text(Image(np.zeros(shape), **options)) == expected


def test_level_zero_of_a_pyramid():
    levels = [np.zeros((8, 8)), np.zeros((4, 4))]
    assert _layers.level_zero(Image(levels, multiscale=True)).shape == (8, 8)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: Image(da.zeros((2**9, 2**9, 2**9), chunks=2**8, dtype=np.float64), contrast_limits=(0, 1)), "dask"),
        (lambda: Image(zarr.zeros((2**9, 2**9, 2**9), dtype="f8", chunks=(256,) * 3), contrast_limits=(0, 1)), "zarr"),
        (
            lambda: Image(
                [da.zeros((2**9,) * 3, chunks=2**8), da.zeros((2**8,) * 3, chunks=2**8)],
                multiscale=True,
                contrast_limits=(0, 1),
            ),
            "multiscale",
        ),
    ],
    ids=["dask", "zarr", "multiscale"],
)
def test_a_large_lazy_layer_is_refused(make, kind, monkeypatch):
    layer = make()
    assert _layers.data_problem(layer) == "", "1 GiB is the limit, and is within it"
    monkeypatch.setattr(_layers, "MAX_LAZY_BYTES", 2**30 - 1)
    text = _layers.data_problem(layer)
    assert f"is a {kind} layer of 1.0 GiB" in text
    assert "crop it" in text


def test_an_array_in_memory_is_never_refused(monkeypatch):
    monkeypatch.setattr(_layers, "MAX_LAZY_BYTES", 1)
    assert _layers.data_problem(Image(np.zeros((9, 9)))) == ""


def test_copy_of_labels_is_not_changed_by_painting():
    layer = Labels(np.zeros((9, 9), np.uint8))
    copy = _layers.copy_of(layer)
    layer.data[2:4] = 1
    assert not copy.any()


@pytest.mark.parametrize(
    ("options", "same"),
    [
        ({"scale": (2, 2)}, True),
        ({"scale": (2, 2.0001)}, True),
        ({"scale": (2, 1)}, False),
        ({"scale": (2, 2), "translate": (0, 1)}, False),
        ({"affine": np.diag([2.0, 2, 1])}, True),
        ({"scale": (2, 2), "rotate": 90}, False),
    ],
)
def test_same_place(options, same):
    image = Image(np.zeros((9, 9)), scale=(2, 2))
    assert _layers.same_place(image, Labels(np.zeros((9, 9), int), **options)) is same

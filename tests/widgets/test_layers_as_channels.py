"""Several Image layers are looked at together, as the channels of one image, and the result names them all."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr
from qtpy.QtCore import Qt

import napari_cutout as nc
from napari_cutout._code import as_python
from napari_cutout._selection import Selection
from napari_cutout._sources import Source, checksum
from napari_cutout.recipe import Recipe
from napari_cutout.widgets._channels import Channels, channel_problem
from napari_cutout.widgets._target_rows import TargetRows

from ..toys import channel_methods, strongest_by_hand
from .test_all_channels import open_toy, stains
from .test_reproduce import copied, hold_to

__all__ = ["channel_methods", "copied", "open_toy"]

pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")


# What stands for them -------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["numpy", "dask", "zarr"])
def test_channels_are_indexed_like_the_stack(library):
    stack = stains(3, 5, 12, 14)
    as_held = {"numpy": np.asarray, "dask": da.from_array, "zarr": zarr.array}[library]
    held = Channels(tuple(as_held(one) for one in stack))
    assert (held.shape, held.ndim, held.dtype) == (stack.shape, stack.ndim, stack.dtype)
    assert held.in_memory is (library == "numpy")
    for index in (1, (2, 3), (slice(0, 2), slice(1, 4), 5), slice(1, 3), (slice(None), 2, slice(3, 9))):
        np.testing.assert_array_equal(held[index], stack[index])
    given = held.as_input()
    assert (given is held) is (library == "numpy")
    np.testing.assert_array_equal(np.asarray(given[:]), stack)
    assert checksum(held) == checksum(stack)


def test_channels_hold_the_values_of_all_dtypes():
    small, large = np.full((2, 3), 7, np.uint8), np.full((2, 3), 60_000, np.uint16)
    held = Channels((small, large))
    assert held.dtype == np.uint16
    assert held[:].tolist() == [small.tolist(), large.tolist()]
    assert Channels((small, da.from_array(large))).as_input().dtype == np.uint16


def test_what_cannot_be_a_channel_says_why():
    from napari.layers import Image

    image = Image(stains(20, 22), name="image", scale=(2, 1))
    assert channel_problem(image, Image(stains(20, 22), scale=(2, 1))) == ""
    reasons = {
        "'b' has shape (20, 23), and 'image' has (20, 22)": Image(stains(20, 23), name="b", scale=(2, 1)),
        "'b' lies elsewhere than 'image'; copy its scale": Image(stains(20, 22), name="b"),
        "'b' is a colour image; split its channels": Image(stains(20, 22, 3), name="b", rgb=True),
        "'b' has 2 levels, and 'image' has 1": Image([stains(20, 22), stains(10, 11)], name="b", multiscale=True),
    }
    for reason, other in reasons.items():
        assert channel_problem(image, other).startswith(reason)


def test_a_source_of_several_layers_survives_json_and_is_stacked_in_code():
    source = Source("a, b", shape=(2, 12, 14), dtype="uint8", layers=("a", "b"))
    assert Source.from_dict(source.as_dict()) == source
    recipe = Recipe([nc.Step("strongest")], Selection("cyx", "all"))
    assert "'image': np.stack([viewer.layers['a'].data, viewer.layers['b'].data])," in as_python(
        recipe, {"image": source}, viewer=True
    )
    assert "# save the layers 'a', 'b' as channels, as 'a, b.tif' first" in as_python(recipe, {"image": source})


# In the window --------------------------------------------------------------------------------------------


def rows_of(widget):
    """Return the images that are offered as channels; None if the row is hidden."""
    return None if widget.channel_list.isHidden() else [layer.name for layer in widget.channel_list.offered]


@pytest.mark.qt
def test_other_images_are_offered_beside_one_without_channels(viewer, open_toy):
    first = viewer.add_image(stains(24, 26), name="first")
    widget = open_toy()
    assert rows_of(widget) is None, "there is no other"
    viewer.add_image(stains(24, 26), name="second")
    viewer.add_image(stains(9, 9), name="small")
    widget.boxes["image"].choose(first)
    assert rows_of(widget) == ["second", "small"]
    assert widget.channel_list.ticked == []
    assert widget.channel_list.item(1).flags() == Qt.ItemFlag.NoItemFlags
    assert "has shape (9, 9)" in widget.channel_list.item(1).toolTip()
    widget.choose_method("above_hundred")
    assert rows_of(widget) is None, "it takes one channel"
    widget.choose_method("strongest")
    assert rows_of(widget) == ["second", "small"]
    several = viewer.add_image(stains(3, 24, 26), name="several", axis_labels=("c", "y", "x"))
    widget.boxes["image"].choose(several)
    assert rows_of(widget) is None, "it has channels of its own"
    assert isinstance(widget.target_rows, TargetRows)
    viewer.layers["small"].name = "tiny"
    widget.boxes["image"].choose(first)
    assert rows_of(widget) == ["second", "tiny", "several"]


KINDS = {
    "plane": ((24, 26), {}),
    "volume": ((5, 24, 26), {}),
    "slices": ((5, 24, 26), {"depth": "each"}),
    "frames": ((4, 24, 26), {"letters": "tyx", "time": "pooled"}),
}


@pytest.mark.qt
@pytest.mark.parametrize("library", ["numpy", "dask", "mixed"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_ticked_is_previewed_run_and_named(kind, library, viewer, open_toy, press, qtbot):
    shape, rows = KINDS[kind]
    images = [stains(*shape, seed=n) for n in range(3)]
    images[1] = images[1].astype(np.uint16) * 3
    scale = (2.0, 0.5, 0.25)[-len(shape) :]
    for n, image in enumerate(images):
        lazy = library == "dask" or (library == "mixed" and n == 1)
        viewer.add_image(da.from_array(image, chunks=8) if lazy else image, name=f"stain {n}", scale=scale)
    widget = open_toy()
    widget.boxes["image"].choose(viewer.layers["stain 1"])
    widget.target_rows.choose(**rows)
    one = widget.bar.plan.text()
    widget.channel_list.tick(viewer.layers["stain 0"], viewer.layers["stain 2"])
    assert widget.bar.plan.text() != one, "three channels need more than one"
    with qtbot.waitSignal(widget.preview.answered):
        widget.preview_box.setChecked(True)
    qtbot.waitUntil(lambda: "approximate" not in widget.bar.status.text())
    shown = np.squeeze(np.asarray(viewer.layers["preview"].data)).copy()
    press(widget)
    labels = viewer.layers[-1]
    channels = np.stack([images[1], images[0], images[2]])
    by_slice = np.stack([strongest_by_hand(plane) for plane in channels.swapaxes(0, 1)])
    expected = by_slice if kind == "slices" else strongest_by_hand(channels)
    np.testing.assert_array_equal(labels.data, expected)
    at = viewer.dims.current_step[0] if len(shape) == 3 else slice(None)
    np.testing.assert_array_equal(shown, expected[at])
    np.testing.assert_array_equal(labels.scale, scale)
    ours = labels.metadata["napari_cutout"]
    recipe = Recipe.from_json(ours["recipe"])
    assert recipe.selection.channel == "all"
    assert recipe.selection.axes[0] == "c"
    source = ours["provenance"]["sources"]["image"]
    assert source["layers"] == ("stain 1", "stain 0", "stain 2")
    assert source["shape"] == channels.shape
    assert source["contents"]
    np.testing.assert_array_equal(nc.execute(recipe, {"image": channels}).labels, expected)


@pytest.mark.qt
def test_a_change_of_any_channel_is_seen(viewer, open_toy, press, qtbot):
    first, second = (viewer.add_image(stains(24, 26, seed=n), name=f"stain {n}") for n in range(2))
    widget = open_toy()
    widget.boxes["image"].choose(first)
    widget.channel_list.tick(second)
    with qtbot.waitSignal(widget.preview.answered):
        widget.preview_box.setChecked(True)
    with qtbot.waitSignal(widget.preview.answered):
        second.data = stains(24, 26, seed=9) // 4 + 1  # its largest value is another, which is remembered
    expected = strongest_by_hand(np.stack([first.data, second.data]))
    qtbot.waitUntil(lambda: np.array_equal(viewer.layers["preview"].data, expected))
    viewer.layers.remove(viewer.layers["stain 1"])
    assert rows_of(widget) is None
    with qtbot.waitSignal(widget.preview.answered):
        widget.refresh()
    press(widget)
    assert (viewer.layers[-1].data == 1).all(), "one channel is the strongest everywhere"


@pytest.mark.qt
def test_a_channel_that_fits_no_more_is_left_out(viewer, open_toy):
    first, second = (viewer.add_image(stains(24, 26), name=f"stain {n}") for n in range(2))
    widget = open_toy()
    widget.boxes["image"].choose(first)
    widget.channel_list.tick(second)
    assert widget.channel_list.ticked == [second]
    second.data = stains(9, 9)
    assert widget.channel_list.ticked == []
    assert widget.bar.ready


@pytest.mark.qt
@pytest.mark.parametrize("multiscale", [False, True], ids=["one level", "pyramid"])
def test_on_a_level_of_a_pyramid_and_inside_a_mask(multiscale, viewer, open_toy, press):
    images = [stains(48, 52, seed=n) for n in range(2)]
    for n, image in enumerate(images):
        data = [image, image[::2, ::2]] if multiscale else image
        viewer.add_image(data, multiscale=multiscale, name=f"stain {n}")
    widget = open_toy()
    widget.boxes["image"].choose(viewer.layers["stain 0"])
    widget.channel_list.tick(viewer.layers["stain 1"])
    widget.target_rows.choose(level=int(multiscale))
    widget.add_layer("mask")
    viewer.layers["mask"].data[:, 10:] = 1
    viewer.layers["mask"].refresh()
    press(widget)
    stack = np.stack(images)[:, :: 1 + multiscale, :: 1 + multiscale]
    inside = np.indices(stack.shape[1:])[1] >= 10
    np.testing.assert_array_equal(viewer.layers[-1].data, strongest_by_hand(stack * inside) * inside)


@pytest.mark.qt
@pytest.mark.parametrize("axes", ["cyx", "czyx", "zcyx"])
def test_all_channels_of_a_file_are_found_in_it_again(axes, viewer, open_toy, press, copied, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shape = tuple({"c": 3, "z": 4, "y": 24, "x": 26}[axis] for axis in axes)
    nc.write("stains.ome.tif", nc.Volume(stains(*shape), axes, (0.5,) * (len(axes) - 1), "micrometer"), kind="image")
    layers = viewer.open("stains.ome.tif", plugin="napari-cutout")
    assert len(layers) == 3
    widget = open_toy()
    widget.boxes["image"].choose(layers[0])
    widget.channel_list.tick(*layers[1:])
    press(widget)
    assert viewer.layers[-1].metadata["napari_cutout"]["provenance"]["sources"]["image"]["path"] == "stains.ome.tif"
    assert "save" not in copied(widget, "command")
    hold_to(copied, widget, viewer.layers[-1])
    expected = viewer.layers[-1].data
    widget.channel_list.tick(layers[1])
    press(widget)
    assert "path" not in viewer.layers[-1].metadata["napari_cutout"]["provenance"]["sources"]["image"]
    assert (viewer.layers[-1].data != expected).any()

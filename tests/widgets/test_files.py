"""Labels layers in files: all comes back, nothing else is lost, and other stores open as they should."""

from __future__ import annotations

import json
import os
from pathlib import Path

import dask.array as da
import fsspec
import numpy as np
import pytest
import skimage.io
import tifffile
import zarr
from napari.layers import Image, Labels, Layer
from npe2 import PluginManager

from napari_cutout import Recipe, Step, Volume, io, run
from napari_cutout.widgets import _files
from napari_cutout.widgets._files import get_reader, read_layers, write_ome_tiff, write_ome_zarr

# napari says it of a layer that is rotated out of the slice; it is the same before and after.
pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing is being requested")

WRITERS = {".ome.tif": write_ome_tiff, ".ome.zarr": write_ome_zarr}
OURS = {
    "recipe": Recipe([Step("threshold", {"method": "otsu"})]).to_json(),
    "provenance": {"steps": [{"method": "threshold"}], "facts": {"threshold": 12.5}},
    "class_names": {"1": "nuclei", "2": "Grund, dunkel"},
}


def ramp(*shape, dtype=np.int32):
    return (np.arange(np.prod(shape)) % 251).reshape(shape).astype(dtype)


def save(layer, path):
    data, attributes, kind = layer.as_layer_data_tuple()
    assert kind == "labels"
    ending = next(ending for ending in WRITERS if path.name.endswith(ending))
    assert WRITERS[ending](str(path), data, attributes) == [str(path)]
    return path


def opened(path):
    reader = get_reader(str(path))
    assert reader is not None
    return [Layer.create(*found) for found in reader(str(path))]


def assert_same_layer(got, expected):
    assert type(got) is type(expected)
    assert got.multiscale == expected.multiscale
    np.testing.assert_array_equal(np.asarray(got.data), np.asarray(expected.data))
    assert got.data.dtype == expected.data.dtype
    for name in ("scale", "translate", "rotate", "shear"):
        np.testing.assert_array_equal(getattr(got, name), getattr(expected, name), err_msg=name)
    np.testing.assert_array_equal(got.affine.affine_matrix, expected.affine.affine_matrix)
    for name in ("units", "axis_labels", "name", "metadata", "opacity", "blending"):
        assert getattr(got, name) == getattr(expected, name), name
    corner = np.array(expected.data.shape)
    np.testing.assert_array_equal(got.data_to_world(corner), expected.data_to_world(corner))


PLACES = {
    "plain": {},
    "micrometres": {"scale": (2, 0.5, 0.25), "translate": (-3, 1e-9, 7.25), "units": ("um",) * 3},
    "mixed units": {"scale": (2000, 0.5, 0.25), "translate": (1, 2, 3), "units": ("nm", "um", "um")},
    "named axes": {"axis_labels": ("Time", "y", "x"), "scale": (30, 1.5, 1.5), "units": ("s", "mm", "mm")},
    "other axes": {"axis_labels": ("depth", "left", "right"), "scale": (1, 1, 1.5)},
    "negative": {"scale": (-2, 0.5, -0.1), "translate": (1, 0, 0)},
    "rotated": {"rotate": 30, "scale": (1, 2, 3)},
    "sheared": {"shear": (0.1, 0.2, -0.3)},
    "affine": {"affine": np.array([[2, 0.1, 0, 5], [0, 1, 0, -1 / 3], [0, 0.5, 1, 0], [0, 0, 0, 1]])},
    "all": {
        "scale": (-2, 0.5, 0.25),
        "translate": (1, 2, 3),
        "rotate": (10, 20, 30),
        "shear": (0.5, 0, 0),
        "affine": np.diag([1, 2, 1, 1]),
        "units": ("um",) * 3,
        "axis_labels": ("z", "y", "x"),
        "opacity": 0.3,
        "blending": "additive",
    },
}


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize("place", PLACES)
def test_a_layer_comes_back_as_it_was(tmp_path, ending, place):
    layer = Labels(ramp(3, 5, 7), name="cells & nuclei", metadata={"napari_cutout": OURS}, **PLACES[place])
    (got,) = opened(save(layer, tmp_path / f"a{ending}"))
    assert_same_layer(got, layer)


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize(
    ("shape", "labels", "axes"),
    [
        ((5, 7), None, "yx"),
        ((3, 5, 7), None, "zyx"),
        ((3, 5, 7), ("t", "y", "x"), "tyx"),
        ((3, 5, 7), ("Plane", "row", "column"), "zyx"),
        ((2, 3, 5, 7), None, "tzyx"),
        ((2, 3, 5, 7), ("c", "z", "y", "x"), "czyx"),
        ((2, 3, 1, 5, 7), None, "tczyx"),
        ((5, 7), ("x", "y"), "yx"),
    ],
)
def test_files_name_the_axes_for_other_programs(tmp_path, ending, shape, labels, axes):
    layer = Labels(ramp(*shape), axis_labels=labels)
    path = save(layer, tmp_path / f"a{ending}")
    assert io.read(path).axes == axes
    (got,) = opened(path)
    assert_same_layer(got, layer)


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize(
    ("dtype", "largest"),
    [("u1", 255), ("i2", 2**15 - 1), ("u2", 2**16 - 1), ("i4", 2**31 - 1), ("u4", 2**32 - 1), ("i8", 2**31), ("u8", 9)],
)
def test_every_dtype_comes_back(tmp_path, ending, dtype, largest):
    layer = Labels(np.array([[0, 1], [largest, 3]], dtype))
    (got,) = opened(save(layer, tmp_path / f"a{ending}"))
    assert_same_layer(got, layer)


def test_labels_of_more_than_32_bits_go_to_zarr_and_tiff_says_so(tmp_path):
    layer = Labels(np.array([[0, 1], [2**63 + 1, 3]], np.uint64))
    (got,) = opened(save(layer, tmp_path / "a.ome.zarr"))
    assert_same_layer(got, layer)
    with pytest.raises(OSError, match=r"'.*a\.ome\.tif': OME-TIFF holds integers of up to 32 bits.*or write .*\.zarr"):
        save(layer, tmp_path / "a.ome.tif")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.ome.zarr"]


def test_other_programs_read_pixels_and_grid(tmp_path):
    yaozarrs = pytest.importorskip("yaozarrs")
    layer = Labels(ramp(6, 5, 7), scale=(2000, -0.5, 0.25), translate=(1000, 2, 3), units=("nm", "um", "um"))
    tiff, store = (save(layer, tmp_path / f"a{ending}") for ending in WRITERS)
    np.testing.assert_array_equal(skimage.io.imread(tiff), layer.data)
    with tifffile.TiffFile(tiff) as tif:
        pixels = tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]["Pixels"]
    assert [pixels[f"PhysicalSize{axis}"] for axis in "ZYX"] == pytest.approx([2, 0.5, 0.25])
    assert [pixels["Plane"][2][f"Position{axis}"] for axis in "ZYX"] == pytest.approx([1 + 2 * 2, 2, 3])
    label_image = yaozarrs.validate_zarr_store(str(store)).ome_metadata()
    assert isinstance(label_image, yaozarrs.v05.LabelImage)
    scale, shift = label_image.multiscales[0].datasets[0].coordinateTransformations
    assert scale.scale == pytest.approx([2, 0.5, 0.25])
    assert shift.translation == pytest.approx([1, 2, 3])
    assert {axis.unit for axis in label_image.multiscales[0].axes} == {"micrometer"}


def test_a_layer_that_nobody_placed_claims_no_spacing(tmp_path):
    for ending in WRITERS:
        assert io.read(save(Labels(ramp(5, 7)), tmp_path / f"a{ending}")).spacing is None


@pytest.mark.parametrize("ending", WRITERS)
def test_what_other_plugins_keep_in_the_layer_stays_if_json_can_hold_it(tmp_path, ending):
    theirs = {"other": {"a": [1, 2.5, None, "ü"]}, "table": np.arange(3), "tool": object()}
    layer = Labels(ramp(5, 7), metadata={"napari_cutout": OURS, **theirs})
    with pytest.warns(UserWarning, match="the metadata 'tool' are no plain JSON, so they are not in the file"):
        path = save(layer, tmp_path / f"a{ending}")
    (got,) = opened(path)
    assert got.metadata == {"napari_cutout": OURS, "other": theirs["other"], "table": [0, 1, 2]}


@pytest.mark.parametrize("ending", WRITERS)
def test_previews_and_what_has_too_many_axes_are_refused(tmp_path, ending):
    preview = Labels(ramp(5, 7), name="otsu", metadata={"napari_cutout": {"preview": True}})
    with pytest.raises(OSError, match="'otsu' is a preview, which is not saved; press Run and save its result"):
        save(preview, tmp_path / f"a{ending}")
    with pytest.raises(OSError, match="labels of 2 to 5 axes can be saved, but these have 6; take a part"):
        save(Labels(ramp(1, 1, 1, 2, 3, 4)), tmp_path / f"a{ending}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", WRITERS)
def test_multiscale_labels_are_saved_at_full_resolution(tmp_path, ending):
    finest = ramp(300, 200)
    layer = Labels([finest, finest[::2, ::2]], scale=(0.5, 0.5), metadata={"napari_cutout": OURS})
    (got,) = opened(save(layer, tmp_path / f"a{ending}"))
    assert got.multiscale == (ending == ".ome.zarr")
    np.testing.assert_array_equal(np.asarray(got.data[0] if got.multiscale else got.data), finest)
    np.testing.assert_array_equal(got.scale, layer.scale)
    where = {"store": str(tmp_path / "a.ome.zarr")} if got.multiscale else {}
    assert got.metadata == {"napari_cutout": OURS | where}
    again = save(got, tmp_path / "b.ome.tif")
    assert opened(again)[0].metadata == layer.metadata, "where the labels were is not saved with them"


@pytest.mark.parametrize("ending", WRITERS)
def test_dask_labels_are_computed_chunk_by_chunk(tmp_path, ending):
    computed = []

    def block(values, block_info=None):
        computed.append(values.size)
        return values

    labels = ramp(4, 300, 200)
    lazy = da.from_array(labels, chunks=(1, 300, 200)).map_blocks(block, dtype=labels.dtype, meta=labels[:0])
    attributes = Labels(labels).as_layer_data_tuple()[1]
    WRITERS[ending](str(tmp_path / f"a{ending}"), lazy, attributes)
    assert computed == [300 * 200] * 4
    np.testing.assert_array_equal(io.read(tmp_path / f"a{ending}").data, labels)


def test_what_the_command_line_wrote_comes_back_with_its_recipe(tmp_path):
    image = Volume(ramp(20, 30, dtype=np.uint8), "yx", (0.5, 0.25), "micrometer", origin=(1.0, 2.0))
    recipe = Recipe([Step("threshold", {"method": "otsu"})])
    for ending in WRITERS:
        result = run(recipe, image, target=tmp_path / f"a{ending}")
        (got,) = opened(tmp_path / f"a{ending}")
        assert isinstance(got, Labels)
        np.testing.assert_array_equal(got.data, result.labels)
        found = got.metadata["napari_cutout"]
        assert json.loads(found["recipe"]) == found["provenance"]["recipe"]
        assert Recipe.from_json(found["recipe"]).steps[0].method == "threshold"
        np.testing.assert_array_equal(got.scale, (0.5, 0.25))
        np.testing.assert_array_equal(got.translate, (1, 2))
        assert (str(got.units[0]), got.axis_labels, got.name) == ("micrometer", ("y", "x"), "a")


# What is in the way --------------------------------------------------------------------------------------------


def content(path):
    return {str(file): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


@pytest.mark.parametrize("ending", WRITERS)
def test_labels_of_ours_are_replaced(tmp_path, ending):
    path = save(Labels(ramp(5, 7)), tmp_path / f"a{ending}")
    save(Labels(ramp(8, 9)), path)
    assert opened(path)[0].data.shape == (8, 9)
    assert list(tmp_path.iterdir()) == [path]


def image_store(path):
    io.write(path, Volume(ramp(5, 7), "yx"), kind="image")


def labels_with_more(path):
    save(Labels(ramp(5, 7)), path)
    zarr.open_group(str(path)).create_group("tables")


def labels_of_another_program(path):
    save(Labels(ramp(5, 7)), path)
    about = json.loads((path / "zarr.json").read_text())
    del about["attributes"]["napari_cutout"]
    (path / "zarr.json").write_text(json.dumps(about))


def damaged_store(path):
    save(Labels(ramp(5, 7)), path)
    (path / "zarr.json").write_text("{")


def thesis(path):
    path.write_text("my thesis")


@pytest.mark.parametrize(
    ("name", "make", "sentence"),
    [
        ("a.ome.zarr", image_store, "it holds no labels that were saved by napari-cutout, so it is not replaced"),
        ("a.ome.zarr", labels_with_more, "it holds tables beside the labels, so it is not replaced"),
        ("a.ome.zarr", labels_of_another_program, "it holds no labels that were saved by napari-cutout"),
        ("a.ome.zarr", damaged_store, "the metadata of 'a.ome.zarr' are damaged"),
        ("a.ome.zarr", Path.mkdir, "it is a folder but no Zarr store, so it is not replaced; choose another name"),
        ("a.ome.zarr", thesis, "exists already, and it is not what its name says, so it is not replaced"),
        ("a.ome.tif", Path.mkdir, "it is a folder but no Zarr store, so it is not replaced"),
        ("a.ome.tif", thesis, "exists already, and it is not what its name says, so it is not replaced"),
    ],
)
def test_nothing_else_is_replaced(tmp_path, name, make, sentence):
    make(tmp_path / name)
    before = content(tmp_path)
    with pytest.raises(OSError, match=sentence):
        save(Labels(ramp(8, 9)), tmp_path / name)
    assert content(tmp_path) == before
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("write", "given", "made"),
    [
        (write_ome_tiff, "cells", "cells.ome.tif"),
        (write_ome_tiff, "cells.v2", "cells.v2.ome.tif"),
        (write_ome_tiff, "cells.tif", "cells.ome.tif"),
        (write_ome_tiff, "cells.OME.TIFF", "cells.OME.TIFF"),
        (write_ome_zarr, "cells", "cells.ome.zarr"),
        (write_ome_zarr, "cells.zarr", "cells.zarr"),
    ],
)
def test_a_name_without_the_ending_gets_it_and_then_replaces_nothing(tmp_path, write, given, made):
    data, attributes, _ = Labels(ramp(5, 7)).as_layer_data_tuple()
    assert write(str(tmp_path / given), data, attributes) == [str(tmp_path / made)]
    assert [entry.name for entry in tmp_path.iterdir()] == [made]
    if given != made:  # napari's dialog has asked about another name
        with pytest.raises(FileExistsError, match="exists already; choose another name"):
            write(str(tmp_path / given), data, attributes)


# Reading what others wrote -------------------------------------------------------------------------------------


def test_an_image_store_opens_lazily_with_channels_grid_and_its_labels(tmp_path):
    image = ramp(2, 3, 200, 90, dtype=np.uint16)
    store = io.write(
        tmp_path / "cells.ome.zarr",
        Volume(image, "czyx", (2.0, 0.5, 0.5), "micrometer", origin=(1.0, 2.0, 3.0)),
        kind="image",
    )
    group = zarr.open_group(str(store))
    group.attrs["ome"] = {**group.attrs["ome"], "omero": {"channels": [{"label": "DAPI"}, {"label": "GFP"}]}}
    nuclei = Volume(ramp(3, 200, 90), "zyx", (2.0, 0.5, 0.5), "micrometer")
    group.create_group("labels").attrs["ome"] = {"version": "0.5", "labels": ["nuclei"]}
    io.write(store / "labels" / "nuclei.zarr", nuclei)
    (store / "labels" / "nuclei.zarr").rename(store / "labels" / "nuclei")
    (levels, options, kind), labels = read_layers(str(store))
    assert (kind, options["channel_axis"], options["name"]) == ("image", 0, ["cells DAPI", "cells GFP"])
    assert [type(level) for level in levels] == [da.Array] * 3
    assert [level.shape for level in levels] == [(2, 3, 200, 90), (2, 3, 100, 45), (2, 3, 50, 45)]
    np.testing.assert_array_equal(levels[1].compute(), image[:, :, ::2, ::2])
    assert (options["scale"], options["translate"]) == ((2.0, 0.5, 0.5), (1.0, 2.0, 3.0))
    assert (options["units"], options["axis_labels"]) == (("micrometer",) * 3, ("z", "y", "x"))
    assert labels[2] == "labels"
    assert labels[1]["name"] == "nuclei"
    np.testing.assert_array_equal(labels[0], nuclei.data)
    (alone,) = read_layers(str(store / "labels"))
    np.testing.assert_array_equal(alone[0], nuclei.data)


def at_an_address(folder, address):
    """Copy a store to where only an address leads."""
    files = fsspec.filesystem("memory")
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            files.pipe(f"{address}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def test_stores_at_an_address_open_lazily_with_their_labels(tmp_path):
    image = ramp(3, 200, 90, dtype=np.uint16)
    volume = Volume(image, "zyx", (2.0, 0.5, 0.5), "micrometer", origin=(1.0, 2.0, 3.0))
    store = io.write(tmp_path / "cells.ome.zarr", volume, kind="image")
    labels = Volume(ramp(3, 200, 90), "zyx", (2.0, 0.5, 0.5), "micrometer")
    zarr.open_group(str(store)).create_group("labels").attrs["ome"] = {"version": "0.5", "labels": ["nuclei"]}
    io.write(store / "labels" / "nuclei.zarr", labels).rename(store / "labels" / "nuclei")
    at_an_address(store, "memory://reader/cells.ome.zarr")
    address = "memory://reader/cells.ome.zarr"
    assert get_reader(address) is read_layers
    (levels, options, kind), (nuclei, about, other) = read_layers(address)
    assert (kind, other, options["name"]) == ("image", "labels", "cells")
    assert {type(level) for level in (*levels, *nuclei)} == {da.Array}, "labels from far away are not read whole"
    np.testing.assert_array_equal(levels[1].compute(), image[:, ::2, ::2])
    np.testing.assert_array_equal(nuclei[0].compute(), labels.data)
    for one in (options, about):
        assert one["scale"] == (2.0, 0.5, 0.5)
        assert one["units"] == ("micrometer",) * 3
    assert options["translate"] == (1.0, 2.0, 3.0)
    assert about["metadata"]["napari_cutout"]["store"] == f"{address}/labels/nuclei"


def test_an_image_is_shown_in_the_range_of_its_coarsest_level(tmp_path):
    image = ramp(2, 300, 200, dtype=np.uint16) + 1000
    image[1] += 5000
    store = io.write(tmp_path / "a.ome.zarr", Volume(image, "cyx", (0.5, 0.5), origin=(9.0, 9.0)), kind="image")
    ((levels, options, _),) = read_layers(str(store))
    coarsest = np.asarray(levels[-1])
    assert options["contrast_limits"] == [(one.min(), one.max()) for one in coarsest]
    flat = io.write(tmp_path / "b.ome.zarr", Volume(np.full((9, 8), 7, np.uint16), "yx"), kind="image")
    assert read_layers(str(flat))[0][1]["contrast_limits"] == (7, 8)


def test_labels_too_large_for_memory_stay_lazy(tmp_path, monkeypatch):
    path = save(Labels(ramp(300, 200)), tmp_path / "a.ome.zarr")
    monkeypatch.setattr(_files, "MAX_LAZY_BYTES", 300 * 200 * 4 - 1)
    ((levels, options, _),) = read_layers(str(path))
    assert options["multiscale"]
    assert {type(level) for level in levels} == {da.Array}
    monkeypatch.setattr(_files, "MAX_LAZY_BYTES", 300 * 200 * 4)
    assert isinstance(read_layers(str(path))[0][0], np.ndarray)


def test_an_ome_tiff_of_another_program_is_an_image_with_its_grid(tmp_path):
    path = tmp_path / "cells.ome.tif"
    metadata = {"axes": "CZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2.0}
    tifffile.imwrite(path, ramp(2, 3, 5, 7, dtype=np.uint16), photometric="minisblack", metadata=metadata)
    ((data, options, kind),) = read_layers(str(path))
    assert (kind, options["channel_axis"], options["scale"], data.shape) == ("image", 0, (2, 0.5, 0.5), (2, 3, 5, 7))
    io.write(path, Volume(ramp(5, 7, 3, dtype=np.uint8), "yxc", (1.0, 2.0), "nanometer"), overwrite=True)
    ((data, options, kind),) = read_layers(str(path))
    assert Layer.create(data, options, kind).rgb
    assert options["scale"] == (1.0, 2.0)


def test_what_is_left_to_others(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", ramp(5, 7))
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.zarr").mkdir()
    (tmp_path / "zarr.json").write_text("{}")
    store = save(Labels(ramp(5, 7)), tmp_path / "a.ome.zarr")
    for path in ("a.tif", "folder", "empty.zarr", "absent.ome.tif"):
        assert get_reader(str(tmp_path / path)) is None, path
    assert get_reader([str(store), str(store)]) is None
    assert get_reader("https://example.org/a.ome.tif") is None
    assert get_reader(str(store)) is get_reader(str(store / "zarr.json")) is read_layers


def damage_tiff(path):
    path.write_bytes(path.read_bytes()[:-100])


def damage_store(path):
    (path / "0" / "zarr.json").write_text("")


@pytest.mark.parametrize(("ending", "damage"), [(".ome.tif", damage_tiff), (".ome.zarr", damage_store)])
def test_damaged_files_give_one_sentence(tmp_path, ending, damage):
    path = save(Labels(ramp(50, 70)), tmp_path / f"a{ending}")
    damage(path)
    with pytest.raises(ValueError, match=rf"^cannot read '.*a{ending}': [^\n]+$"):
        read_layers(str(path))


# In napari -----------------------------------------------------------------------------------------------------


@pytest.mark.qt
@pytest.mark.parametrize("ending", WRITERS)
def test_save_and_open_in_the_viewer(viewer, tmp_path, ending):
    layer = viewer.add_labels(ramp(3, 5, 7), name="cells", metadata={"napari_cutout": OURS}, **PLACES["all"])
    path = str(tmp_path / f"a{ending}")
    assert layer.save(path, plugin="napari-cutout") == [path]
    (got,) = viewer.open(path, plugin="napari-cutout")
    expected = Labels(layer.data, name="cells [1]", metadata=layer.metadata, **PLACES["all"])
    assert_same_layer(got, expected)
    assert got.source.reader_plugin == "napari-cutout"
    got.paint((1, 2, 3), 9)
    assert got.data[1, 2, 3] == 9


@pytest.mark.qt
@pytest.mark.parametrize(
    ("ending", "pattern"), [(".ome.tif", "*.ome.tif"), (".ome.tif", "*.tif"), (".ome.zarr", f"*.zarr{os.sep}")]
)
def test_opening_without_naming_the_plugin_takes_the_choice_that_was_remembered(viewer, tmp_path, ending, pattern):
    from napari.settings import get_settings

    get_settings().plugins.extension2reader = {pattern: "napari-cutout"}
    layer = viewer.add_labels(ramp(3, 5, 7), metadata={"napari_cutout": OURS}, **PLACES["all"])
    path = str(tmp_path / f"a{ending}")
    assert viewer.layers.save(path) == [path]
    (got,) = viewer.open(path, plugin=None)  # as the menu and dropping do; left out, it would be napari's own
    np.testing.assert_array_equal(got.affine.affine_matrix, layer.affine.affine_matrix)
    assert got.metadata == layer.metadata


@pytest.mark.qt
def test_the_description_of_a_store_opens_it_without_any_choice(viewer, tmp_path):
    layer = viewer.add_labels(ramp(3, 5, 7), metadata={"napari_cutout": OURS}, name="cells")
    path = tmp_path / "a.ome.zarr"
    layer.save(str(path))
    (got,) = viewer.open(str(path / "zarr.json"), plugin=None)
    assert got.metadata == layer.metadata
    np.testing.assert_array_equal(got.data, layer.data)


@pytest.mark.qt
def test_plain_tiff_stays_with_napari(viewer, tmp_path):
    layer = viewer.add_labels(ramp(5, 7), metadata={"napari_cutout": OURS})
    path = str(tmp_path / "a.tif")
    assert layer.save(path) == [path]
    (got,) = viewer.open(path, plugin=None)  # would raise if there were two readers to choose from
    assert got.source.reader_plugin == "napari"
    manager = PluginManager.instance()
    writer, _ = manager.get_writer("a.tif", ["labels"])
    assert writer.command == "napari.write_labels"
    for name, command in (("a.ome.tif", "write_ome_tiff"), ("a.zarr", "write_ome_zarr")):
        writer, _ = manager.get_writer(name, ["labels"])
        assert writer.command == f"napari-cutout.{command}"


@pytest.mark.qt
def test_the_sentence_of_a_refusal_reaches_the_user(viewer, tmp_path):
    preview = viewer.add_labels(ramp(5, 7), name="otsu", metadata={"napari_cutout": {"preview": True}})
    with pytest.raises(OSError, match="'otsu' is a preview, which is not saved"):
        preview.save(str(tmp_path / "a.ome.tif"), plugin="napari-cutout")


@pytest.mark.qt
def test_a_store_with_channels_becomes_one_lazy_layer_per_channel(viewer, tmp_path):
    image = ramp(4, 2, 3, 200, 90, dtype=np.uint16)
    volume = Volume(image, "tczyx", (2.0, 0.5, 0.5), "micrometer", origin=(1.0, 2.0, 3.0))
    path = io.write(tmp_path / "cells.ome.zarr", volume, kind="image")
    layers = viewer.open(str(path), plugin="napari-cutout")
    assert [type(layer) for layer in layers] == [Image] * 2
    for channel, layer in enumerate(layers):
        assert layer.multiscale
        np.testing.assert_array_equal(layer.scale, (1, 2, 0.5, 0.5))
        np.testing.assert_array_equal(layer.translate, (0, 1, 2, 3))
        assert [str(unit) for unit in layer.units] == ["pixel", "micrometer", "micrometer", "micrometer"]
        assert layer.axis_labels == ("t", "z", "y", "x")
        np.testing.assert_array_equal(np.asarray(layer.data[1]), image[:, channel, :, ::2, ::2])

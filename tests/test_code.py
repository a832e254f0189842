"""Copy as Python, copy as command: for every method and every kind of selection, they give the pixels of the run."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask.array as da
import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout import catalog, cli, io
from napari_cutout._code import as_command, as_python, checked
from napari_cutout._selection import Selection
from napari_cutout._sources import Source, fingerprint
from napari_cutout.io import Volume
from napari_cutout.recipe import Recipe, Step

from .cases import class_map, settings_of, strokes, two_humps
from .toys import channel_methods

__all__ = ["channel_methods"]

METHODS = list(catalog.methods().values())
every_method = pytest.mark.parametrize("entry", METHODS, ids=lambda m: m.name)

SPACING = (2.0, 0.5, 0.25)

SELECTIONS: dict[str, tuple[Selection | None, tuple[int, ...]]] = {
    "plane": (None, (24, 30)),
    "volume": (None, (5, 24, 30)),
    "slices": (Selection("zyx", each="z"), (5, 24, 30)),
    "pooled slices": (Selection("zyx", each="z", pooled=True), (5, 24, 30)),
    "channel": (Selection("cyx", channel=1), (2, 24, 30)),
    "grey": (Selection("yxc", channel="grey"), (24, 30, 3)),
    "region": (Selection("yx", box=((3, 20), (2, 29))), (24, 30)),
    "frames": (Selection("tyx", each="t"), (3, 24, 30)),
    "pooled frames": (Selection("tcyx", channel=0, each="t", pooled=True), (3, 2, 24, 30)),
    "one frame": (Selection("tyx", box=((1, 2), (0, 24), (0, 30)), each="t"), (3, 24, 30)),
    "all": (Selection("tczyx", 1, 0, ((1, 3), (0, 2), (1, 24), (4, 30)), "tz", True), (3, 2, 3, 24, 30)),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings_for(entry: Any) -> dict[str, Any]:
    levels = {"threshold_at": {"value": 11_000.5}, "classes_at": {"values": (-9.5, 9_000.0, 14_000.0)}}
    return levels.get(entry.name, settings_of(entry))


def source_of(name: str, array: np.ndarray, path: str, painted: bool) -> Source:
    known = fingerprint(array) if painted else ""
    return Source(f"the {name}", path, tuple(array.shape), array.dtype.name, known)


def save(name: str, array: np.ndarray, axes: str, spacing: tuple[float, ...] | None) -> str:
    n = sum(axis in "zyx" for axis in axes)
    volume = Volume(array, axes, spacing and spacing[-n:], "micrometer" if spacing else None)
    io.write(f"{name}.tif", volume, kind="image")
    return f"{name}.tif"


class Case:
    """A recipe, its inputs as arrays and as files, and the labels that it gives."""

    def __init__(
        self, steps: list[Step], selection: Selection | None, arrays: dict[str, np.ndarray], spacing: Any = None
    ) -> None:
        self.recipe = Recipe(steps, selection)
        self.arrays = arrays
        self.labels = nc.execute(self.recipe, arrays).labels
        self.sources = {}
        for name, array in arrays.items():
            axes = selection.axes if selection else "zyx"[-array.ndim :]
            axes = axes if len(axes) == array.ndim else axes.replace("c", "")
            path = save(name, array, axes, spacing)
            self.sources[name] = source_of(name, array, path, self.recipe.roles[name] != "image")

    def check_python(self) -> str:
        text = as_python(self.recipe, self.sources, target="from python.tif")
        found: dict[str, Any] = {}
        exec(compile(text, "copied", "exec"), found)
        np.testing.assert_array_equal(found["labels"], self.labels)
        np.testing.assert_array_equal(io.read("from python.tif").data, self.labels)
        return text

    def check_viewer(self) -> str:
        layers = {f"the {name}": SimpleNamespace(data=array) for name, array in self.arrays.items()}
        text = as_python(self.recipe, self.sources, viewer=True)
        found: dict[str, Any] = {"viewer": SimpleNamespace(layers=layers)}
        exec(compile(text, "copied", "exec"), found)
        np.testing.assert_array_equal(found["labels"], self.labels)
        assert ".tif" not in text
        return text

    def check_command(self) -> str:
        text = as_command(self.recipe, self.sources, target="from command.tif")
        *notes, line = text.splitlines()
        program, *words = shlex.split(line)
        assert program == "napari-cutout"
        if "# save the recipe as 'recipe.json' first" in notes:
            self.recipe.save("recipe.json", overwrite=True)
        assert cli.main(words) == 0
        written = io.read("from command.tif")
        np.testing.assert_array_equal(written.data, self.labels)
        assert written.axes == (self.recipe.selection.kept_axes if self.recipe.selection else written.axes)
        return text

    def check(self) -> None:
        self.check_python()
        self.check_viewer()
        self.check_command()


def inputs_of(entry: Any, shape: tuple[int, ...], selection: Selection | None, masked: bool) -> dict[str, np.ndarray]:
    image = two_humps(shape)
    kept = image if selection is None or "c" not in selection.axes else image.take(0, selection.axes.index("c"))
    if entry.source.name == "labels":
        return {"labels": class_map(image)}
    arrays = {"image": image}
    if entry.needs == "strokes":
        arrays["markers"] = strokes(kept)
    if masked and any(p.name == "mask" for p in entry.arrays):
        arrays["mask"] = (np.indices(kept.shape)[-1] > 3).astype(np.uint8)
    return arrays


@every_method
@pytest.mark.parametrize("masked", [False, True], ids=["everywhere", "masked"])
def test_every_method_is_copied(entry: Any, masked: bool) -> None:
    arrays = inputs_of(entry, (24, 30), None, masked)
    shares = any(p.name == "min_size" and p.type is float for p in entry.settings)
    more = {"sigma": 0.75, "min_size": 0.25 if shares else 2, "spacing": (0.5, 0.25)}
    settings = settings_for(entry) | {k: v for k, v in more.items() if k in {p.name for p in entry.settings}}
    case = Case([Step(entry.name, settings, {n: n for n in arrays})], None, arrays, SPACING)
    case.check()
    assert " run " not in as_command(case.recipe, case.sources)


@pytest.mark.parametrize(
    ("entry", "which"),
    [
        pytest.param(m, which, id=f"{which}-{m.name}")
        for which in SELECTIONS
        for m in METHODS
        if which == "frames" or not m.slow
    ],
)
def test_every_method_is_copied_with_every_selection(entry: Any, which: str) -> None:
    selection, shape = SELECTIONS[which]
    if entry.source.name == "labels" and which == "grey":
        return  # labels have no colour
    arrays = inputs_of(entry, shape, selection, False)
    case = Case([Step(entry.name, settings_for(entry), {n: n for n in arrays})], selection, arrays)
    case.check_python()
    case.check_command()


@pytest.mark.parametrize("which", SELECTIONS)
def test_a_file_with_lengths_and_a_layer_without_agree(which: str) -> None:
    selection, shape = SELECTIONS[which]
    arrays = inputs_of(catalog.find("local_mean"), shape, selection, True)
    case = Case([Step("local_mean", {"window": 9.0}, {n: n for n in arrays})], selection, arrays, SPACING)
    case.check()


def test_steps_after_one_another_are_copied() -> None:
    image = two_humps((24, 30))
    other = two_humps((24, 30), seed=5)
    steps = [
        Step("threshold", {"objects": "dark"}, {"image": "image_2"}),
        Step("multi_otsu", {"n_classes": 2, "spacing": (1.0, 1.0)}, {"image": "image", "mask": "step_1"}),
        Step("hysteresis", {"low": 9e3, "high": 12e3}, {"image": "image", "mask": "step_2"}),
    ]
    case = Case(steps, None, {"image_2": other, "image": image})
    case.check()
    for path in Path().glob("*.*"):
        path.unlink()
    frames = {"image_2": np.stack([other] * 2), "image": np.stack([image, image // 2])}
    Case(steps, Selection("tyx", each="t", pooled=True), frames).check()


def test_the_script_reads_well() -> None:
    step = Step("threshold", {"method": "li", "sigma": 1.5, "fill_holes": True, "spacing": (0.5, 0.25)})
    sources = {"image": Source("nuclei", "nuclei.tif", (24, 30), "uint16")}
    assert as_python(Recipe([step]), sources) == (
        "import napari_cutout as nc\n"
        "\n"
        "image = nc.read('nuclei.tif')\n"
        "labels = nc.threshold(image.data, method='li', sigma=1.5, fill_holes=True, spacing=(0.5, 0.25))\n"
        "nc.write('labels.tif', nc.Volume(labels, image.axes, image.spacing, image.units))\n"
    )
    assert as_python(Recipe([step]), sources, viewer=True) == (
        "import napari_cutout as nc\n"
        "\n"
        "image = viewer.layers['nuclei'].data\n"
        "labels = nc.threshold(image, method='li', sigma=1.5, fill_holes=True, spacing=(0.5, 0.25))\n"
    )
    assert as_command(Recipe([step]), sources) == (
        "napari-cutout threshold nuclei.tif labels.tif --method=li --sigma=1.5 --fill-holes --spacing=0.5,0.25\n"
    )
    frames = Recipe([step], Selection("tyx", each="t"))
    movie = {"image": Source("nuclei", "a movie.tif", (5, 24, 30), "uint16")}
    assert as_python(frames, movie) == (
        "import napari_cutout as nc\n"
        "\n"
        "recipe = nc.Recipe(\n"
        "    [\n"
        "        nc.Step('threshold', "
        "{'method': 'li', 'sigma': 1.5, 'fill_holes': True, 'spacing': (0.5, 0.25)}),\n"
        "    ],\n"
        "    nc.Selection('tyx', each='t'),\n"
        ")\n"
        "\n"
        "result = nc.run(recipe, 'a movie.tif', 'labels.tif', axes='tyx')\n"
        "labels = result.labels\n"
    )
    assert as_command(frames, movie).startswith("napari-cutout threshold 'a movie.tif' labels.tif --method=li ")


def test_what_has_no_file_must_be_saved_first() -> None:
    recipe = Recipe([Step("back_projection", {}, {"mask": "where"})])
    sources = {"image": Source("my nuclei", shape=(24, 30)), "markers": Source("s", "-strokes.tif")}
    text = as_command(recipe, sources)
    assert text.splitlines()[:3] == [
        "# save the layer 'my nuclei' as 'my nuclei.tif' first",
        "# save what the recipe reads as 'where' as 'where.tif' first",
        "# save the recipe as 'recipe.json' first",
    ]
    assert "'my nuclei.tif' labels.tif --markers=-strokes.tif --input=where=where.tif" in text
    script = as_python(recipe, sources)
    assert "# save the layer 'my nuclei' as 'my nuclei.tif' first\n" in script
    assert "where = nc.read('where.tif')" in script
    assert "# save" not in as_python(recipe, sources, viewer=True)


def test_a_setting_that_no_option_takes_away_needs_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe([Step("histogram_segmentation", {"n_classes": 3})])
    assert "--n-classes=3" in as_command(recipe, {})
    object.__setattr__(recipe.steps[0], "settings", {"n_classes": None, "smoothing": None})
    assert as_command(recipe, {}).splitlines()[-1].startswith("napari-cutout run recipe.json ")


TOGETHER: dict[str, tuple[Selection, tuple[int, ...]]] = {
    "stains": (Selection("cyx", "all"), (2, 24, 30)),
    "colours": (Selection("yxc", "all"), (24, 30, 4)),
    "region": (Selection("czyx", "all", box=((0, 3), (2, 20), (0, 9))), (2, 5, 24, 30)),
    "frames": (Selection("tcyx", "all", each="t", pooled=True), (3, 2, 24, 30)),
}


@pytest.mark.parametrize("masked", [False, True], ids=["everywhere", "masked"])
@pytest.mark.parametrize("which", TOGETHER)
def test_all_channels_are_copied(which: str, masked: bool) -> None:
    selection, shape = TOGETHER[which]
    arrays = {"image": np.random.default_rng(0).integers(1, 200, shape).astype(np.uint8)}
    if masked:
        kept = tuple(n for axis, n in zip(selection.axes, shape, strict=True) if axis != "c")
        arrays["mask"] = (np.indices(kept)[-1] > 3).astype(np.uint8)
    case = Case([Step("strongest", {}, {name: name for name in arrays})], selection, arrays)
    case.check_viewer()
    assert "channel='all'" in case.check_python()
    assert "--channel=all" in case.check_command()


def test_levels_are_copied() -> None:
    image = two_humps((300, 280))
    io.write("image.zarr", Volume(image, "yx", (0.5, 0.5), "micrometer"), kind="image")
    level = io.read("image.zarr", level=1)
    assert level.data.shape == (150, 140)
    selection = Selection("yx", level=1, box=((10, 100), (0, 140)))
    recipe = Recipe([Step("threshold", {"spacing": (1.0, 1.0)})], selection)
    expected = nc.execute(recipe, {"image": level.data}).labels
    sources = {"image": Source("image", "image.zarr", (300, 280), "uint16", multiscale=True, in_memory=False)}
    found: dict[str, Any] = {}
    exec(as_python(recipe, sources), found)
    np.testing.assert_array_equal(found["labels"], expected)
    labels = io.read("labels.tif")
    assert labels.spacing == (1.0, 1.0)
    assert labels.origin is not None
    assert labels.origin[0] - (level.origin or (0.0,))[0] == pytest.approx(10.0)
    assert cli.main(shlex.split(as_command(recipe, sources, target="again.tif"))[1:]) == 0
    np.testing.assert_array_equal(io.read("again.tif").data, expected)
    pyramid = [da.from_array(image), da.from_array(level.data)]
    found = {"viewer": SimpleNamespace(layers={"image": SimpleNamespace(data=pyramid)})}
    exec(as_python(recipe, sources, viewer=True), found)
    np.testing.assert_array_equal(found["labels"], expected)


def test_a_file_that_does_not_hold_what_was_painted_is_no_source() -> None:
    painted = strokes(two_humps((24, 30)))
    path = save("strokes", painted, "yx", None)
    good = source_of("strokes", painted, path, True)
    edited = source_of("strokes", painted + 1, path, True)
    gone = source_of("strokes", painted, "gone.tif", True)
    image = Source("image", "not looked at.tif")
    found = checked({"good": good, "edited": edited, "gone": gone, "image": image})
    assert {name: one.path for name, one in found.items()} == {
        "good": path,
        "edited": "",
        "gone": "",
        "image": "not looked at.tif",
    }

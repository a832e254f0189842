"""The demo: every method on annotated images, scored, with labels, recipes and pictures that are what they say."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import napari_cutout as nc
from napari_cutout import _batch, _pictures, catalog, demo, io, samples
from napari_cutout._volume import Volume
from napari_cutout.cli import main
from napari_cutout.comparison import _cuts, _strokes
from napari_cutout.demo import Case
from napari_cutout.recipe import Recipe

from .cases import IMAGE_METHODS

CUTTING = [entry for entry in IMAGE_METHODS if not entry.name.startswith("markers_")]

Made = tuple[Path, list[dict[str, Any]], list[str]]

SHAPES = {"nuclei_2d": (64, 80), "nuclei_3d": (8, 48, 48)}


def small_samples() -> list[Case]:
    """Return samples as the demo makes them, but small."""
    made = [samples.nuclei_2d(shape=SHAPES["nuclei_2d"]), samples.nuclei_3d(shape=SHAPES["nuclei_3d"])]  # type: ignore[arg-type]
    return [Case(s.name, s.image, s.truth.data, ours=True) for s in made if s.truth is not None]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The folder, the table and the lines of one run of the demo."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "samples", small_samples)
        table = demo.demo(folder, say=said.append)
    return folder, table, said


def test_every_method_is_run_in_every_sensible_pair(made: Made) -> None:
    _, table, _ = made
    assert len({(row["sample"], row["run"]) for row in table}) == len(table)
    for sample in SHAPES:
        for entry in [*CUTTING, catalog.find("split_touching")]:
            name = entry.name
            runs = [row for row in table if row["sample"] == sample and row["method"].partition(" ")[0] == name]
            rules = next((p.choices for p in entry.settings if p.name == "method"), (None,))
            local = any(p.name == "window" for p in entry.settings)
            ways = 2 if name in ("kmeans", "gaussian_mixture") else len(rules)
            assert len(runs) == ways * (3 if local else 4)
    assert not {row["method"].partition(" ")[0] for row in table} & {"markers_from_minima", "objects", "draw_lines"}


def test_scores_are_those_of_the_labels_in_the_files(made: Made) -> None:
    folder, table, _ = made
    scored = [row for row in table if not math.isnan(row["IoU"])]
    assert len(scored) > 0.9 * len(table)
    for row in scored[::7]:
        sample = folder / row["sample"]
        truth = io.read(sample / "truth.tif").data
        tiff, store = (io.read(sample / "labels" / f"{row['run']}{ending}") for ending in (".tif", ".zarr"))
        np.testing.assert_array_equal(tiff.data, store.data)
        assert tiff.spacing == store.spacing == io.read(sample / "image.tif").spacing
        expected = nc.evaluate(tiff.data, (truth != 0).astype(np.uint8))  # objects of one kind are one class
        assert row["matched by"] == expected.match
        assert (row["IoU"], row["Dice"]) == (expected.mean_iou, expected.mean_dice)
        assert row["found"].split()[0] == str(len(np.unique(tiff.data[tiff.data != 0])))


def test_objects_are_scored_where_run_and_truth_number_them(made: Made) -> None:
    folder, table, _ = made
    numbered = [row for row in table if not math.isnan(row["AP@0.5"])]
    assert {row["sample"] for row in numbered} == set(SHAPES)
    assert {row["found"].split()[1].rstrip("s") for row in numbered} == {"object"}
    assert {row["found"].split()[1] for row in table if row["IoU"] == row["IoU"] and row not in numbered} == {"classes"}
    for row in numbered[::9]:
        sample = folder / row["sample"]
        labels = io.read(sample / "labels" / f"{row['run']}.tif").data
        scores = nc.evaluate_objects(labels, io.read(sample / "truth.tif").data.astype(labels.dtype))
        at = scores.at(0.5)
        assert (row["F1@0.5"], row["AP@0.5"]) == (at["f1"], at["ap"])
        assert (row["split"], row["merged"]) == (len(scores.split), len(scores.merged))
    assert max(row["AP@0.5"] for row in numbered) > 0.5


def test_voxels_are_sorted_into_objects_and_background(made: Made) -> None:
    folder, table, _ = made
    for title, settings in {
        "kmeans": {"n_clusters": 2},
        "kmeans features": {"n_clusters": 2, "features": ["gaussian", "hessian"]},
        "gaussian_mixture": {"n_components": 2},
        "gaussian_mixture smoothness": {"n_components": 2, "smoothness": 4.0},
    }.items():
        for row in (row for row in table if row["method"] == title):
            recipe = json.loads((folder / row["sample"] / "recipes" / f"{row['run']}.json").read_text())
            (step,) = recipe["steps"]
            assert {name: step["settings"][name] for name in settings} == settings
            assert row["note"].startswith("2 classes")
            assert row["found"].split()[1].startswith("object")
    plain = {(row["sample"], row["clean-up"]): row for row in table if row["method"] == "kmeans"}
    for row in (row for row in table if row["method"] == "threshold otsu"):
        # Both minimise the squares inside of two classes.
        assert plain[row["sample"], row["clean-up"]]["IoU"] == row["IoU"]


def test_recipes_run_again(made: Made, tmp_path: Path) -> None:
    folder, table, _ = made
    strokes_of = {"back_projection": ("markers", "strokes.tif"), "watershed after otsu": ("middles", "middles.tif")}
    for method in ("sauvola", "threshold_at", "kmeans features", "split_touching after otsu", *strokes_of):
        row = next(row for row in table if row["method"] == method)
        sample = folder / row["sample"]
        recipe = sample / "recipes" / f"{row['run']}.json"
        name, file = strokes_of.get(method, ("", ""))
        strokes = ["--input", f"{name}={sample / file}"] if name else []
        assert main(["run", str(recipe), str(sample / "image.tif"), str(tmp_path / f"{method}.tif"), *strokes]) == 0
        labels = io.read(sample / "labels" / f"{row['run']}.tif").data
        np.testing.assert_array_equal(io.read(tmp_path / f"{method}.tif").data, labels)
        assert json.loads(recipe.read_text())["provenance"]["device"]["used"] == row["backend"]


def test_the_table_is_sorted_and_on_screen_and_in_a_file(made: Made) -> None:
    folder, table, said = made
    for sample in SHAPES:
        scores = [row["IoU"] for row in table if row["sample"] == sample and row["IoU"] == row["IoU"]]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] > 0.8
    lines = "\n".join(said).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("sample "))
    assert lines[at].split()[:8] == ["sample", "method", "clean-up", "IoU", "Dice", "F1@0.5", "AP@0.5", "found"]
    assert lines[at].split()[8:10] == ["split", "merged"]
    assert f"{table[0]['IoU']:.4f}" in lines[at + 1]
    assert [line.split()[0] for line in lines[at + 1 : at + 1 + len(table)]] == [row["sample"] for row in table]
    assert lines[-1].endswith("README.txt there says what is what.")
    with (folder / "scores.csv").open(newline="") as file:
        stored = list(csv.DictReader(file))
    assert [row["run"] for row in stored] == [row["run"] for row in table]
    assert float(stored[0]["IoU"]) == table[0]["IoU"]


def test_what_one_should_know_is_in_the_table(made: Made) -> None:
    _, table, _ = made
    notes = {row["method"]: row["note"] for row in table if not math.isnan(row["IoU"])}
    assert notes["back_projection"] == "strokes made from the truth"
    assert notes["watershed after otsu"] == "a stroke in every object of the truth"
    assert notes["threshold_at"].startswith("at Otsu's ")
    failed = [row for row in table if math.isnan(row["IoU"])]
    assert all(row["note"] and not row["backend"] for row in failed)


def test_pictures_show_what_they_say(made: Made) -> None:
    folder, table, _ = made
    for sample, shape in SHAPES.items():
        names = {path.stem for path in (folder / sample / "pictures").iterdir()}
        ran = {row["method"].partition(" ")[0] for row in table if row["sample"] == sample and row["IoU"] == row["IoU"]}
        assert names == ran
        with Image.open(folder / sample / "picture.png") as picture:
            pixels = np.asarray(picture)
        width, height = round(_pictures.PANEL * shape[-1] / max(shape)), round(_pictures.PANEL * shape[-2] / max(shape))
        assert pixels.shape[1] == 4 * (width + _pictures.GAP) + _pictures.GAP
        top, left = 4 * _pictures.LINE + _pictures.GAP, _pictures.GAP + 2 * (width + _pictures.GAP)
        best = next(row for row in table if row["sample"] == sample)
        labels = io.read(folder / sample / "labels" / f"{best['run']}.tif").data
        truth = io.read(folder / sample / "truth.tif").data
        at = () if truth.ndim == 2 else int((truth != 0).sum(axis=(1, 2)).argmax())
        shown = _pictures._resized(_pictures.coloured(labels[at]), (width, height))
        np.testing.assert_array_equal(pixels[top : top + height, left : left + width], np.asarray(shown))
        errors = pixels[3 * _pictures.LINE + _pictures.GAP :, -(width + _pictures.GAP) : -_pictures.GAP]
        for colour in _pictures.ERRORS[:4]:
            assert (errors == colour).all(axis=-1).sum() > 100


def test_touching_objects_are_split_in_3d_and_scored_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = samples.nuclei_3d()
    assert sample.truth is not None
    case = Case(sample.name, sample.image, sample.truth.data, ours=True)
    smooth = _cuts.clean_ups(3)[2]
    chosen = [cut for cut in _cuts.cuts(None, "bright") if cut.first is not None or cut.title == "threshold otsu"]
    monkeypatch.setattr(demo, "samples", lambda: [case])
    monkeypatch.setattr(demo, "pairs_of", lambda case, device: [(cut, smooth) for cut in chosen])
    said: list[str] = []
    rows = {row["method"]: row for row in demo.demo(tmp_path / "out", say=said.append)}
    otsu, split, seeded = (rows[t] for t in ("threshold otsu", "split_touching after otsu", "watershed after otsu"))
    assert split["IoU"] == pytest.approx(otsu["IoU"], abs=1e-3)  # which the cuts hardly touch
    assert otsu["F1@0.5"] < 0.5 < 0.8 < split["F1@0.5"]
    assert split["F1@0.5"] < seeded["F1@0.5"]
    assert split["merged"] < 5 < otsu["merged"]
    folder = tmp_path / "out" / "nuclei_3d"
    steps = Recipe.load(folder / "recipes" / f"{split['run']}.json").steps
    assert [(step.method, dict(step.inputs)) for step in steps] == [
        ("threshold", {"image": "image"}),
        ("split_touching", {"labels": "step_1"}),
    ]
    assert steps[0].settings["one_per_object"]
    labels = io.read(folder / "labels" / f"{split['run']}.tif").data
    image, spacing = sample.image.data, sample.image.spacing
    cut = nc.threshold(image, sigma=1.0, fill_holes=True, min_size=100, one_per_object=True, spacing=spacing)
    np.testing.assert_array_equal(labels, nc.split_touching(cut, min_size=100, spacing=spacing))
    line = next(line for line in "\n".join(said).splitlines() if line.startswith("nuclei_3d, "))
    n_true = len(np.unique(sample.truth.data)) - 1
    assert line.startswith(f"nuclei_3d, {n_true} objects; F1@0.5 with the best clean-up: threshold otsu ")
    assert f"split_touching after otsu {split['F1@0.5']:.4f} ({split['found']})" in line


# The user's own image ------------------------------------------------------------------------------------


def test_your_own_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = samples.nuclei_2d(shape=(64, 64))
    assert sample.truth is not None
    np.savez(tmp_path / "mine.npz", img=sample.image.data, gt=sample.truth.data)
    words = ["--image", f"{tmp_path}/mine.npz:img", "--truth", f"{tmp_path}/mine.npz:gt"]
    assert main(["demo", str(tmp_path / "out"), *words]) == 0
    said = capsys.readouterr().out
    assert said.startswith("img: 89 runs on 64 x 64 voxels, uint16\n")
    assert "Unpainted voxels of the truth (0, " in said
    assert {p.name for p in (tmp_path / "out").iterdir()} == {demo.MARKER, "README.txt", "img", "scores.csv"}
    assert not (tmp_path / "out" / "img" / "image.tif").exists()  # the user has it
    assert not list(tmp_path.glob(".out*"))


def test_an_image_without_a_truth_is_cut_and_not_scored(tmp_path: Path) -> None:
    image = samples.nuclei_2d(shape=(64, 64)).image
    io.write(tmp_path / "mine.tif", image, kind="image")
    table = demo.demo(tmp_path / "out", image=str(tmp_path / "mine.tif"))
    assert all(math.isnan(row["IoU"]) for row in table)
    notes = {row["method"]: row["note"] for row in table}
    assert notes["back_projection"] == "it needs strokes, which the demo makes from a truth; give one"
    otsu = next(row for row in table if row["run"] == "threshold-otsu")
    expected = nc.threshold(image.data, one_per_object=True, spacing=image.spacing)
    np.testing.assert_array_equal(io.read(tmp_path / "out" / "mine" / "labels" / "threshold-otsu.tif").data, expected)
    assert otsu["found"].startswith(f"{expected.max()} object")
    assert (tmp_path / "out" / "mine" / "picture.png").exists()


@pytest.mark.parametrize(
    ("files", "kind", "text"),
    [
        ({"truth": "t.npy"}, ValueError, "truth 't.npy' was given without an image; give both, or none"),
        ({"image": "none.npy"}, FileNotFoundError, "there is no file"),
        (
            {"image": "i.npy", "truth": "small.npy"},
            ValueError,
            r"truth must have the shape of image, \(9, 9\), but has",
        ),
        ({"image": "colour.npy"}, ValueError, "'colour' has 3 channels"),
    ],
)
def test_what_cannot_be_run_leaves_nothing_behind(
    files: dict[str, str], kind: type[Exception], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("i.npy", np.eye(9))
    np.save("small.npy", np.eye(3, dtype=np.uint8))
    np.save("colour.npy", np.zeros((9, 9, 3), np.uint8))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(kind, match=text):
        demo.demo(tmp_path / "out", **files)  # type: ignore[arg-type]
    assert sorted(tmp_path.iterdir()) == before


# The folder --------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, Any]]]:
    """The demo with one pair on one image."""
    image = np.zeros((16, 16), np.uint8)
    image[4:9, 4:9] = 9
    case = Case("square", Volume(image, "yx"), (image > 0).astype(np.uint8), ours=True)
    pair = (_cuts.Cut("threshold", "threshold otsu"), _cuts.clean_ups(2)[0])
    monkeypatch.setattr(demo, "samples", lambda: [case])
    monkeypatch.setattr(demo, "pairs_of", lambda case, device: [pair])
    return demo.demo


def test_files_of_the_demo_are_replaced_and_nothing_else(
    quick: Callable[..., list[dict[str, Any]]], tmp_path: Path
) -> None:
    (row,) = quick(tmp_path / "out")
    assert (row["IoU"], row["found"], row["matched by"]) == (1.0, "1 object", "value")
    listed = (tmp_path / "out" / demo.MARKER).read_text().splitlines()
    assert {"README.txt", "scores.csv", "square/picture.png"} < set(listed)
    mine = [tmp_path / "out" / "mine.txt", tmp_path / "out" / "square" / "mine.txt", tmp_path / "outside"]
    for path in mine:
        path.write_text("precious")
    old = tmp_path / "out" / "older" / "labels.tif"
    old.parent.mkdir()
    old.write_text("of the demo before")
    with (tmp_path / "out" / demo.MARKER).open("a") as marker:
        marker.write(f"older/labels.tif\n../outside\n{tmp_path / 'outside'}\n")
    (tmp_path / "out" / "README.txt").write_text("old")
    for overwrite in (False, True):
        quick(tmp_path / "out", overwrite=overwrite)
        assert {path.read_text() for path in mine} == {"precious"}
        assert not old.parent.exists()
        assert (tmp_path / "out" / "README.txt").read_text().startswith("What")
        assert (tmp_path / "out" / demo.MARKER).read_text().splitlines() == listed


def test_a_marker_does_not_reach_through_links(quick: Callable[..., list[dict[str, Any]]], tmp_path: Path) -> None:
    quick(tmp_path / "out")
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "file").write_text("precious")
    (tmp_path / "out" / "link").symlink_to(tmp_path / "else")
    with (tmp_path / "out" / demo.MARKER).open("a") as marker:
        marker.write("link/file\n")
    quick(tmp_path / "out")
    assert (tmp_path / "else" / "file").read_text() == "precious"


@pytest.mark.parametrize("name", ["README.txt", "scores.csv", "square", "square/picture.png", "square/labels"])
@pytest.mark.parametrize("marked", [True, False])
def test_a_file_in_the_way_is_refused(
    quick: Callable[..., list[dict[str, Any]]], tmp_path: Path, name: str, marked: bool
) -> None:
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text("precious")
    if marked:
        (tmp_path / "out" / demo.MARKER).write_text("\n")
    else:
        with pytest.raises(FileExistsError, match="holds something that the demo did not make; choose another name"):
            quick(tmp_path / "out")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FileExistsError, match="is in the way, and the demo did not write it; move it, or choose"):
        quick(tmp_path / "out", overwrite=True)
    assert path.read_text() == "precious"
    assert sorted(tmp_path.rglob("*")) == before


def test_overwrite_adds_to_a_folder_of_someone_else(quick: Callable[..., list[dict[str, Any]]], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    (folder / "square").mkdir(parents=True)
    (folder / "square" / "notes.txt").write_text("precious")
    quick(folder, overwrite=True)
    assert (folder / "square" / "notes.txt").read_text() == "precious"
    assert (folder / "scores.csv").exists()
    (tmp_path / "file").write_text("precious")
    with pytest.raises(FileExistsError, match="is a file, and the demo writes a folder"):
        quick(tmp_path / "file", overwrite=True)


def test_the_folder_one_stands_in(
    quick: Callable[..., list[dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    quick(Path())
    assert (tmp_path / "here" / "scores.csv").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


@pytest.mark.parametrize(
    ("key", "name"),
    [("../../escaped", ".._.._escaped"), ("a/b", "a_b"), ("..", "__"), ("scores.csv", "scores.csv image")],
)
def test_the_name_of_an_image_is_no_path(key: str, name: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", **{key: np.eye(9)})
    assert demo.own_case(f"{tmp_path}/set.npz:{key}", None, None, None).name == name


def test_a_demo_that_breaks_leaves_the_old_folder(
    quick: Callable[..., list[dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(tmp_path / "out")
    before = (tmp_path / "out" / "scores.csv").read_bytes()

    def full(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_pictures, "draw", full)
    with pytest.raises(KeyboardInterrupt):
        quick(tmp_path / "out")
    assert (tmp_path / "out" / "scores.csv").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


# Its parts ---------------------------------------------------------------------------------------------


def test_the_samples_are_annotated() -> None:
    cases = demo.samples()
    assert [(case.name, case.image.data.ndim) for case in cases] == [("nuclei_3d", 3), ("nuclei_2d", 2), ("coins", 2)]
    for case in cases:
        assert case.truth is not None
        assert _strokes.one_kind(case.truth, None)
        assert case.objects == "bright"


def test_dark_objects_are_looked_for_where_the_truth_says_so() -> None:
    image = np.full((12, 12), 200, np.uint8)
    image[3:7, 3:7] = 20
    case = Case("hole", Volume(image, "yx"), (image < 100).astype(np.uint8))
    assert case.objects == "dark"
    found = {cut.title: cut for cut in _cuts.cuts(100.0, case.objects)}
    assert found["threshold otsu"].settings == {"method": "otsu", "objects": "dark"}
    assert found["threshold_at"].settings == {"value": 100.0, "objects": "dark"}
    assert found["threshold_at"].note == "at Otsu's 100, dark objects"


def test_instances_are_told_from_classes() -> None:
    squares = np.zeros((20, 20), np.int32)
    squares[2:6, 2:6], squares[10:15, 10:15] = 1, 2
    stripes = np.repeat(np.arange(20) % 3, 20).reshape(20, 20)
    assert _strokes.one_kind(None, None)
    assert _strokes.one_kind(squares > 0, None)
    assert _strokes.one_kind(squares, None)
    assert _strokes.one_kind(np.arange(100).reshape(10, 10), None)
    assert not _strokes.one_kind(stripes, None)
    assert not _strokes.one_kind(squares, 0)  # strokes have classes


def test_strokes_lie_inside_what_they_stand_for() -> None:
    truth = samples.nuclei_2d(shape=(64, 64)).truth
    assert truth is not None
    strokes = _strokes.strokes_from(truth.data, None)
    assert set(np.unique(strokes)) == {0, 1, 2}
    assert (truth.data[strokes == 1] != 0).all()
    assert (truth.data[strokes == 2] == 0).all()
    assert 0 < len(np.unique(truth.data[strokes == 1])) <= _strokes.N_STROKES
    assert (strokes != 0).mean() < 0.6
    classes = np.repeat(np.arange(20) // 3 % 3, 20).reshape(20, 20)
    several = _strokes.strokes_from(classes, None)
    assert [set(classes[several == label]) for label in (1, 2, 3)] == [{1}, {2}, {0}]
    sparse = _strokes.strokes_from(classes, 0)
    assert [set(classes[sparse == label]) for label in (1, 2)] == [{1}, {2}]
    assert set(np.unique(sparse)) == {0, 1, 2}


def test_every_object_gets_a_stroke_inside_it() -> None:
    truth = np.zeros((12, 20), np.int32)
    truth[1:8, 1:8], truth[1:8, 8:13], truth[9:, 15:] = 40, 7, 300  # two that touch, one at the edge of the image
    middles = _strokes.middles_from(truth, None)
    assert {int(label): set(truth[middles == label]) for label in np.unique(middles)} == {
        0: {0, 7, 40},  # the small one is all core
        1: {7},
        2: {40},
        3: {300},
    }
    assert middles[4, 4] == 2
    assert (middles[1] == 0).all()  # no stroke reaches an edge of its object
    hidden = _strokes.middles_from(truth, 40)
    assert [set(truth[hidden == label]) for label in (1, 2)] == [{7}, {300}]
    pieces = _strokes.middles_from((truth == 7) | (truth == 300), None)
    assert [set(truth[pieces == label]) for label in (1, 2)] == [{7}, {300}]


def test_classes_are_not_split() -> None:
    titles = {cut.title for cut in _cuts.cuts(1.0, "bright", numbered=False)}
    assert not {title for title in titles if "after otsu" in title}
    assert {"threshold otsu", "back_projection"} <= titles


def test_splits_look_for_dark_objects_too() -> None:
    found = {cut.method: cut for cut in _cuts.cuts(None, "dark") if cut.first is not None}
    assert set(found) == {"watershed", "watershed_from_minima", "split_touching"}
    assert all(cut.first.settings["objects"] == "dark" for cut in found.values() if cut.first)
    assert found["watershed"].settings == {}  # dark objects are valleys as they are
    bright = {cut.method: cut for cut in _cuts.cuts(None, "bright") if cut.first is not None}
    assert bright["watershed"].settings == {"surface": "inverted"}


def test_classes_are_matched_by_the_scores(tmp_path: Path) -> None:
    classes = np.repeat(np.arange(24) // 4 % 3, 24).reshape(24, 24)
    image = (classes * 50 + np.random.default_rng(0).integers(0, 9, classes.shape)).astype(np.uint8)
    np.savez(tmp_path / "mine.npz", image=image, classes=classes)
    table = demo.demo(tmp_path / "out", image=f"{tmp_path}/mine.npz:image", truth=f"{tmp_path}/mine.npz:classes")
    best = next(row for row in table if row["method"] == "multi_otsu")
    assert (best["IoU"], best["matched by"], best["found"]) == (1.0, "overlap", "3 classes")
    assert best["note"] == "classes paired on the truth"
    for method in ("kmeans", "gaussian_mixture"):
        row = next(row for row in table if row["method"] == method)
        assert (row["IoU"], row["found"], row["note"]) == (1.0, "3 classes", "3 classes, classes paired on the truth")


@pytest.mark.parametrize("value", [0, 7, np.nan])
def test_flat_images_are_stretched_to_black(value: float) -> None:
    assert not _pictures.stretched(np.full((4, 4), value)).any()


def test_pictures_stretch_contrast_and_give_every_label_a_colour() -> None:
    ramp = _pictures.stretched(np.arange(1000.0).reshape(10, 100))
    assert (ramp.min(), ramp.max()) == (0, 255)
    labels = np.arange(100).reshape(10, 10)
    colours = _pictures.coloured(labels).reshape(-1, 3)
    assert (colours[0] == 0).all()
    assert len(np.unique(colours, axis=0)) == 100


def test_tables_line_up() -> None:
    lines = _batch.columns([("a", "number"), ("long", "1.5"), ("b", "10.25")], right=[1])
    assert lines == ["a     number", "long     1.5", "b      10.25"]


@pytest.mark.slow
def test_the_real_samples(tmp_path: Path) -> None:
    table = demo.demo(tmp_path / "out")
    assert {row["sample"] for row in table} == {"nuclei_3d", "nuclei_2d", "coins"}
    assert all(Recipe.load(path).steps for path in (tmp_path / "out").rglob("recipes/*.json"))

"""The demo: every method on annotated images, compared, with labels, recipes and pictures that are what they say."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import napari_cutout as nc
from napari_cutout import _demo_tiles, _pictures, demo, io, samples
from napari_cutout._volume import Volume
from napari_cutout.cli import main
from napari_cutout.comparison import _strokes
from napari_cutout.comparison._cuts import cuts_from_strokes
from napari_cutout.comparison.leaderboard import FOR_CHOOSING, Leaderboard, Row, Standing
from napari_cutout.demo import Case
from napari_cutout.recipe import Recipe, Step
from napari_cutout.running import _batch

Boards = dict[str, Leaderboard]
Made = tuple[Path, Boards, str]

SHAPES = {"nuclei_2d": (64, 80), "nuclei_3d": (8, 48, 48)}

REPORTED = "nuclei_2d"

SAMPLES = demo.samples

FROM_STROKES = {cut.title for cut in cuts_from_strokes()} - {demo.NETWORK}
"""Rows that only the comparison on strokes can run."""


_LEARNED = demo._learned


@pytest.fixture(autouse=True)
def nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the network out of images of one's own, as it is of the samples here: it takes a minute."""
    monkeypatch.setattr(demo, "_learned", lambda *_: {})


def small_samples() -> list[Case]:
    """Return samples as the demo makes them, but small."""
    made = [samples.nuclei_2d(shape=SHAPES["nuclei_2d"]), samples.nuclei_3d(shape=SHAPES["nuclei_3d"])]  # type: ignore[arg-type]
    return [Case(s.name, s.image, s.truth.data, ours=True) for s in made if s.truth is not None]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The folder, the leaderboards and the lines of one run of the demo; of two samples one has reports."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    said: list[str] = []
    write_report = demo.write_report

    def report(board: Leaderboard, place: Path, **given: Any) -> None:
        if place.parent.name == REPORTED:  # drawing takes most of the time
            write_report(board, place, **given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "samples", small_samples)
        patch.setattr(demo, "write_report", report)
        boards = demo.demo(folder, say=said.append)
    return folder, boards, "\n".join(said)


def labels_file(name: str) -> str:
    """Return what the labels of a row are called, for the names that there are."""
    return name.replace(" ", "-")


def test_rows_and_scores_are_those_of_compare(made: Made) -> None:
    _, boards, said = made
    for case in small_samples():
        assert case.truth is not None
        alone = nc.compare(case.image.data, case.truth, spacing=case.image.spacing)
        found = boards[f"{case.name}/report"]
        assert not any(one.row.error for one in found.standings)
        scores = {one.row.name: (one.score, one.dice, one.f1) for one in found.standings}
        plain = {one.row.name: (one.score, one.dice, one.f1) for one in alone.standings}
        # What is cut at a level that was given cannot be cut there when the background is gone.
        assert set(scores) == set(plain) | {f"{name} cleaned" for name in set(plain) - {"threshold_at", "classes_at"}}
        np.testing.assert_array_equal([scores[name] for name in plain], list(plain.values()))
        painted = _strokes.strokes_from(case.truth, None)
        strokes = nc.compare(case.image.data, painted, ignore=0, spacing=case.image.spacing)
        assert strokes.summary() == boards[f"{case.name}/report-on-strokes"].summary()
        assert {one.row.name for one in strokes.standings} == set(plain) | FROM_STROKES
        assert FOR_CHOOSING in strokes.notes
        assert found.summary() in said
        assert strokes.summary() in said


def test_cleaned_rows_do_more_around_the_same_cut(made: Made) -> None:
    _, boards, _ = made
    for case in small_samples():
        rows = {one.row.name: one.row for one in boards[f"{case.name}/report"].standings}
        smallest = 30 if case.image.data.ndim == 2 else 100
        around = {"background_radius": 50.0, "sigma": 1.0, "fill_holes": True, "min_size": smallest}
        for name in ("threshold otsu", "hysteresis", "kmeans features", "split_touching after otsu", "sauvola"):
            plain, cleaned = rows[name].recipe, rows[f"{name} cleaned"].recipe
            assert plain is not None
            assert cleaned is not None
            before, after = plain.steps[0].settings, cleaned.steps[0].settings
            expected = {key: value for key, value in around.items() if name != "sauvola" or key != "background_radius"}
            assert after == {**before, **expected, "one_per_object": True}
            assert [step.inputs for step in plain.steps] == [step.inputs for step in cleaned.steps]
        several = rows["multi_otsu cleaned"].recipe
        assert several is not None
        assert not several.steps[0].settings["one_per_object"]  # scores tell which of three classes are objects


def test_reports_hold_what_was_printed(made: Made) -> None:
    folder, boards, said = made
    for name, board in boards.items():
        if not name.startswith(f"{REPORTED}/"):
            continue
        with (folder / name / "scores.csv").open(newline="") as file:
            stored = list(csv.DictReader(file))
        assert [row["name"] for row in stored] == [one.row.name for one in board.standings]
        assert [float(row["dice"]) for row in stored] == [one.dice for one in board.standings]
        page = (folder / name / "report.html").read_text()
        assert all(one.row.name in page for one in board.standings)
    assert said.splitlines()[-1 - len(boards) :] == [
        "Open in a browser:",
        *(f"  {folder / name / 'report.html'}" for name in boards),
    ]
    assert list(boards) == [f"{name}/{report}" for name in SHAPES for report in ("report", "report-on-strokes")]


def test_reports_can_be_verified(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _, _ = made
    assert main(["verify", str(folder / REPORTED / "report-on-strokes" / "report.json")]) == 0, capsys.readouterr()


def test_labels_are_those_of_the_recipes(made: Made, tmp_path: Path) -> None:
    folder, boards, _ = made
    for case in small_samples():
        place = folder / case.name / "labels"
        reports = (f"{case.name}/report-on-strokes", f"{case.name}/report")  # of two of one name the latter counts
        rows = {one.row.name: one.row for name in reports for one in boards[name].standings}
        assert {path.name for path in place.glob("*.tif")} == {f"{labels_file(name)}.tif" for name in rows}
        for name in ("sauvola", "threshold_at", "kmeans features cleaned", "split_touching after otsu", *FROM_STROKES):
            path = place / labels_file(name)
            tiff, store = (io.read(path.with_suffix(ending)) for ending in (".tif", ".zarr"))
            np.testing.assert_array_equal(tiff.data, store.data)
            assert tiff.spacing == store.spacing == case.image.spacing
            assert Recipe.load(path.with_suffix(".json")).steps == getattr(rows[name].recipe, "steps", None)
            strokes = ["--input", f"markers={place.parent / 'strokes.tif'}"] if name in FROM_STROKES else []
            again = tmp_path / f"{case.name}-{path.name}.tif"
            words = ["run", str(path.with_suffix(".json")), str(place.parent / "image.tif"), str(again), *strokes]
            assert main(words) == 0
            np.testing.assert_array_equal(io.read(again).data, tiff.data)
            ran = json.loads(path.with_suffix(".json").read_text())["provenance"]
            assert ran["device"]["used"] == "cpu"
            assert np.count_nonzero(tiff.data) > 0


def test_what_the_demo_was_given_lies_beside_its_results(made: Made) -> None:
    folder, _, _ = made
    for case in small_samples():
        assert case.truth is not None
        place = folder / case.name
        for name, array in (("image", case.image.data), ("truth", case.truth), ("strokes", case.strokes)):
            np.testing.assert_array_equal(io.read(place / f"{name}.tif").data, array)


def test_the_picture_shows_the_best_row_of_each_method(made: Made) -> None:
    folder, boards, _ = made
    for case in small_samples():
        assert case.truth is not None
        shape = case.image.data.shape
        with Image.open(folder / case.name / "picture.png") as picture:
            pixels = np.asarray(picture)
        width, height = round(_pictures.PANEL * shape[-1] / max(shape)), round(_pictures.PANEL * shape[-2] / max(shape))
        assert pixels.shape[1] == 4 * (width + _pictures.GAP) + _pictures.GAP
        board = boards[f"{case.name}/report"]
        ways = {demo._way(one.row.recipe) for one in board.standings if one.row.recipe is not None}
        step = height + _pictures.LINE + _pictures.GAP
        assert (pixels.shape[0] - 3 * _pictures.LINE - 3 * _pictures.GAP) == step * (len(ways) + len(FROM_STROKES))
        top, left = 4 * _pictures.LINE + _pictures.GAP, _pictures.GAP + 2 * (width + _pictures.GAP)
        best = board.winner
        assert best is not None
        labels = io.read(folder / case.name / "labels" / f"{labels_file(best.row.name)}.tif").data[case.shown_at]
        shown = np.asarray(_pictures._resized(_pictures.coloured(labels), (width, height)))
        np.testing.assert_array_equal(pixels[top : top + height, left : left + width], shown)
        truth = case.truth[case.shown_at] != 0
        wrong = np.asarray(_pictures.ERRORS, np.uint8)[
            nc.error_map((labels != 0).astype(np.uint8), truth.astype(np.uint8))
        ]
        errors = np.asarray(_pictures._resized(wrong, (width, height)))
        left += width + _pictures.GAP
        np.testing.assert_array_equal(pixels[top : top + height, left : left + width], errors)


def test_of_rows_that_split_the_picture_shows_the_one_with_the_best_objects() -> None:
    rows = {"otsu": 0.2, "split": 0.4, "split cleaned": 0.9, "split smooth": float("nan")}
    cut, split = Step("threshold"), Step("split_touching", {}, {"labels": "step_1"})
    recipes = {name: Recipe([cut, split] if "split" in name else [cut]) for name in rows}
    recipes["otsu cleaned"] = Recipe([cut])
    nothing = float("nan")
    standings = {
        name: Standing(Row(name), 1, nothing, nothing, nothing, nothing, True, nothing, nothing, f1, nothing)
        for name, f1 in {**rows, "otsu cleaned": 0.7}.items()
    }
    assert demo._best_of_way(recipes, standings) == {"otsu", "split cleaned"}
    assert demo._best_of_way(recipes, {}) == {"otsu", "split"}


def test_strokes_of_the_background_are_no_object_in_the_picture() -> None:
    (case, _) = small_samples()
    assert case.strokes is not None
    recipe = Recipe([Step("watershed", {}, {"markers": "markers"})])
    standing = Standing(Row("watershed", recipe), 1, 0.5, 0.5, 0.5, 0.5, True, 0.5, 0.25, float("nan"), float("nan"))
    labels = np.where(case.truth == 0, 2, 1)
    strip = demo._strip(case, "watershed", standing, labels)
    assert strip.errors is not None
    assert set(np.unique(strip.errors)) == {0, 1}  # all found, nothing in excess or missed
    assert strip.caption == "watershed:   Dice 0.500   IoU 0.250 on strokes   2 labels"
    np.testing.assert_array_equal(strip.labels, labels == 1)


def test_touching_objects_are_split_in_3d_and_scored_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = samples.nuclei_3d()
    assert sample.truth is not None
    case = Case(sample.name, sample.image, sample.truth.data, ours=True)
    monkeypatch.setattr(demo, "samples", lambda: [case])
    monkeypatch.setattr(demo, "compare", partial(demo.compare, methods=["threshold_at"]))
    whole = demo.cleaned_up
    wanted = ("threshold otsu cleaned", "split_touching after otsu cleaned")
    monkeypatch.setattr(demo, "cleaned_up", lambda *given: {name: whole(*given)[name] for name in wanted})
    monkeypatch.setattr(demo, "write_report", lambda *_, **__: None)
    board = demo.demo(tmp_path / "out")["nuclei_3d/report"]
    otsu, split = (next(one for one in board.standings if one.row.name == name) for name in wanted)
    assert split.dice == pytest.approx(otsu.dice, abs=1e-3)  # which the cuts hardly touch
    assert otsu.f1 < 0.5 < 0.8 < split.f1
    assert split.row.recipe is not None
    assert [(step.method, dict(step.inputs)) for step in split.row.recipe.steps] == [
        ("threshold", {"image": "image"}),
        ("split_touching", {"labels": "step_1"}),
    ]
    labels = io.read(tmp_path / "out" / "nuclei_3d" / "labels" / "split_touching-after-otsu-cleaned.tif").data
    around = {"background_radius": 50.0, "sigma": 1.0, "fill_holes": True, "min_size": 100}
    cut = nc.threshold(sample.image.data, one_per_object=True, spacing=sample.image.spacing, **around)
    np.testing.assert_array_equal(labels, nc.split_touching(cut, min_size=100, spacing=sample.image.spacing))


# The user's own image ------------------------------------------------------------------------------------


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo with few methods, so that the tests are quick."""
    monkeypatch.setattr(demo, "compare", partial(demo.compare, methods=["threshold_at", "multi_otsu"]))
    monkeypatch.setattr(demo, "cleaned_up", lambda *_: {})


def test_your_own_image(few: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = samples.nuclei_2d(shape=(64, 64))
    assert sample.truth is not None
    np.savez(tmp_path / "mine.npz", img=sample.image.data, gt=sample.truth.data)
    words = ["--image", f"{tmp_path}/mine.npz:img", "--truth", f"{tmp_path}/mine.npz:gt"]
    assert main(["demo", str(tmp_path / "out"), *words]) == 0
    said = capsys.readouterr().out
    assert said.startswith("\nimg: 64 x 64 voxels, uint16\n")
    out = tmp_path / "out"
    assert said.splitlines()[-3:] == [
        "Open in a browser:",
        f"  {out / 'img' / 'report' / 'report.html'}",
        f"  {out / 'img' / 'report-on-strokes' / 'report.html'}",
    ]
    assert {path.name for path in out.iterdir()} == {demo.MARKER, "README.txt", "img"}
    assert not (out / "img" / "image.tif").exists()  # the user has it
    assert not list(tmp_path.glob(".out*"))


def test_your_own_strokes_are_compared_once(few: None, tmp_path: Path) -> None:
    sample = samples.nuclei_2d(shape=(64, 64))
    assert sample.truth is not None
    strokes = _strokes.strokes_from(sample.truth.data, None)
    np.savez(tmp_path / "mine.npz", img=sample.image.data, strokes=strokes)
    files = {"image": f"{tmp_path}/mine.npz:img", "truth": f"{tmp_path}/mine.npz:strokes"}
    boards = demo.demo(tmp_path / "out", **files, ignore=0)  # type: ignore[arg-type]
    assert list(boards) == ["img/report"]
    assert (boards["img/report"].held_out, FOR_CHOOSING in boards["img/report"].notes) == ("strokes", True)
    assert not (tmp_path / "out" / "img" / "strokes.tif").exists()  # the user has them
    assert (tmp_path / "out" / "img" / "picture.png").exists()


def test_an_image_without_a_truth_is_cut_and_not_scored(tmp_path: Path) -> None:
    image = samples.nuclei_2d(shape=(64, 64)).image
    io.write(tmp_path / "mine.tif", image, kind="image")
    said: list[str] = []
    assert demo.demo(tmp_path / "out", image=str(tmp_path / "mine.tif"), say=said.append) == {}
    lines = "\n".join(said).splitlines()
    assert lines[-2:] == [
        "Nothing is scored without a truth. Paint a few strokes, save them, and see which method is best:",
        "  napari-cutout compare IMAGE STROKES --ignore 0 --report report",
    ]
    trials = {trial.name: trial for trial in nc.try_all(image.data, spacing=image.spacing)}
    (line,) = (line.split() for line in lines if line.startswith("threshold otsu "))
    assert line[2:4] == [str(trials["threshold otsu"].n_objects), f"{trials['threshold otsu'].share:.1%}"]
    folder = tmp_path / "out" / "mine"
    ran = {labels_file(name) for name, trial in trials.items() if not trial.error}
    cleaned = {f"{name}-cleaned" for name in ran}
    assert {path.stem for path in (folder / "labels").glob("*.tif")} == ran | cleaned
    expected = nc.threshold(image.data, spacing=image.spacing)
    np.testing.assert_array_equal(io.read(folder / "labels" / "threshold-otsu.tif").data, expected)
    numbered = io.read(folder / "labels" / "threshold-otsu-cleaned.tif").data
    around = {"background_radius": 50.0, "sigma": 1.0, "fill_holes": True, "min_size": 30}
    expected = nc.threshold(image.data, one_per_object=True, spacing=image.spacing, **around)
    np.testing.assert_array_equal(numbered, expected)
    assert not (folder / "report").exists()
    with Image.open(folder / "picture.png") as picture:
        assert picture.width == 640  # image and labels


def test_a_volume_is_cut_as_a_whole_although_a_plane_was_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = samples.nuclei_3d(shape=(8, 48, 48)).image
    io.write(tmp_path / "mine.tif", image, kind="image")
    trials = list(nc.try_all(image.data, spacing=image.spacing))[:2]
    monkeypatch.setattr(demo, "try_all", lambda *_, **__: iter(trials))
    demo.demo(tmp_path / "out", image=str(tmp_path / "mine.tif"))
    expected = nc.threshold(image.data, spacing=image.spacing)
    labels = io.read(tmp_path / "out" / "mine" / "labels" / f"{labels_file('threshold otsu')}.tif").data
    np.testing.assert_array_equal(labels, expected)


def test_a_row_that_fails_on_all_of_the_image_is_said(
    few: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(recipe: Recipe, *given: Any, **settings: Any) -> Any:
        if recipe.steps[0].method == "multi_otsu":
            raise MemoryError
        return nc.execute(recipe, *given, **settings)

    monkeypatch.setattr(demo, "execute", full)
    monkeypatch.setattr(demo, "samples", lambda: small_samples()[:1])
    said: list[str] = []
    demo.demo(tmp_path / "out", say=said.append)
    assert "multi_otsu: memory ran out; crop the image, or use a machine with more memory" in said
    assert [path.stem for path in (tmp_path / "out" / "nuclei_2d" / "labels").glob("*.tif")] == ["threshold_at"]


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
def quick(few: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Boards]:
    """The demo with two methods on one image, and reports that are not drawn."""

    def report(board: Leaderboard, folder: Path, **_: Any) -> None:
        folder.mkdir()
        (folder / "report.html").write_text(board.summary())

    image = np.zeros((16, 16), np.uint8)
    image[4:9, 4:9] = 9
    case = Case("square", Volume(image, "yx"), (image > 0).astype(np.uint8), ours=True)
    monkeypatch.setattr(demo, "samples", lambda: [case])
    monkeypatch.setattr(demo, "write_report", report)
    return demo.demo


def test_a_network_learns_from_strokes_and_is_ranked_with_the_rest(
    quick: Callable[..., Boards], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [case.name for case in SAMPLES() if case.learned] == ["nuclei_2d"]
    (case,) = demo.samples()
    monkeypatch.setattr(demo, "samples", lambda: [replace(case, learned=True)])
    monkeypatch.setattr(demo, "_learned", _LEARNED)
    monkeypatch.setattr(demo, "LEARNING", {"n_steps": 1, "width": 2, "dimensions": 2})
    said: list[str] = []
    boards = quick(tmp_path / "out", say=said.append)
    rows = {name: {one.row.name: one.row for one in board.standings} for name, board in boards.items()}
    assert "unet_from_strokes" not in rows["square/report"]
    assert not rows["square/report-on-strokes"]["unet_from_strokes"].error
    assert (tmp_path / "out" / "square" / "labels" / "unet_from_strokes.tif").exists()
    assert "training a small U-Net on strokes, once for each part that is held out" in said
    monkeypatch.setattr(demo, "find_spec", lambda _: None)
    boards = quick(tmp_path / "out", say=said.append)
    assert "unet_from_strokes" not in {one.row.name for one in boards["square/report-on-strokes"].standings}
    assert any('left out, because torch is not installed: pip install "napari-cutout[unet]"' in line for line in said)


def test_files_of_the_demo_are_replaced_and_nothing_else(quick: Callable[..., Boards], tmp_path: Path) -> None:
    assert quick(tmp_path / "out")["square/report"].table[0]["dice"] == 1.0
    listed = (tmp_path / "out" / demo.MARKER).read_text().splitlines()
    assert {"README.txt", "square/report/report.html", "square/picture.png"} < set(listed)
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


def test_a_marker_does_not_reach_through_links(quick: Callable[..., Boards], tmp_path: Path) -> None:
    quick(tmp_path / "out")
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "file").write_text("precious")
    (tmp_path / "out" / "link").symlink_to(tmp_path / "else")
    with (tmp_path / "out" / demo.MARKER).open("a") as marker:
        marker.write("link/file\n")
    quick(tmp_path / "out")
    assert (tmp_path / "else" / "file").read_text() == "precious"


@pytest.mark.parametrize("name", ["README.txt", "square", "square/picture.png", "square/labels", "square/report"])
@pytest.mark.parametrize("marked", [True, False])
def test_a_file_in_the_way_is_refused(quick: Callable[..., Boards], tmp_path: Path, name: str, marked: bool) -> None:
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


def test_overwrite_adds_to_a_folder_of_someone_else(quick: Callable[..., Boards], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    (folder / "square").mkdir(parents=True)
    (folder / "square" / "notes.txt").write_text("precious")
    quick(folder, overwrite=True)
    assert (folder / "square" / "notes.txt").read_text() == "precious"
    assert (folder / "square" / "picture.png").exists()
    (tmp_path / "file").write_text("precious")
    with pytest.raises(FileExistsError, match="is a file, and the demo writes a folder"):
        quick(tmp_path / "file", overwrite=True)


def test_the_folder_one_stands_in(
    quick: Callable[..., Boards], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    quick(Path())
    assert (tmp_path / "here" / "README.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


@pytest.mark.parametrize(
    ("key", "name"),
    [("../../escaped", ".._.._escaped"), ("a/b", "a_b"), ("..", "__"), ("README.txt", "README.txt image")],
)
def test_the_name_of_an_image_is_no_path(key: str, name: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", **{key: np.eye(9)})
    assert demo.own_case(f"{tmp_path}/set.npz:{key}", None, None, None).name == name


def test_a_demo_that_breaks_leaves_the_old_folder(
    quick: Callable[..., Boards], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(tmp_path / "out")
    before = (tmp_path / "out" / demo.MARKER).read_bytes()

    def full(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "draw", full)
    with pytest.raises(KeyboardInterrupt):
        quick(tmp_path / "out")
    assert (tmp_path / "out" / demo.MARKER).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


# Its parts ---------------------------------------------------------------------------------------------


def test_the_samples_are_annotated() -> None:
    cases = demo.samples()
    assert [(case.name, case.image.data.ndim) for case in cases] == [("nuclei_3d", 3), ("nuclei_2d", 2), ("coins", 2)]
    for case in cases:
        assert case.truth is not None
        assert _strokes.one_kind(case.truth, None)


def test_classes_of_your_own_are_compared_as_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("multi_otsu", "kmeans", "gaussian_mixture")
    monkeypatch.setattr(demo, "compare", partial(demo.compare, methods=names))
    monkeypatch.setattr(demo, "write_report", lambda *_, **__: None)
    classes = np.repeat(np.arange(24) // 4 % 3, 24).reshape(24, 24)
    image = (classes * 50 + np.random.default_rng(0).integers(0, 9, classes.shape)).astype(np.uint8)
    np.savez(tmp_path / "mine.npz", image=image, classes=classes)
    boards = demo.demo(tmp_path / "out", image=f"{tmp_path}/mine.npz:image", truth=f"{tmp_path}/mine.npz:classes")
    for board in boards.values():
        scores = {one.row.name: one.iou for one in board.standings}
        assert [scores[name] for name in names] == [1.0, 1.0, 1.0]
    for one in boards["image/report"].standings:
        assert one.row.recipe is not None
        assert not any(step.settings.get("one_per_object") for step in one.row.recipe.steps)
    labels = io.read(tmp_path / "out" / "image" / "labels" / "kmeans.tif").data
    assert [set(classes[labels == label]) for label in (1, 2, 3)] == [{0}, {1}, {2}]  # by rising mean


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


SPLIT = Recipe([Step("threshold", {"sigma": 1.0}), Step("split_touching", {}, {"labels": "step_1"})])


@pytest.mark.parametrize("changed", [0, 3])
def test_the_demo_says_whether_tiles_show(changed: int, tmp_path: Path) -> None:
    sample = samples.nuclei_3d(shape=(8, 96, 80))
    whole = nc.execute(SPLIT, {"image": sample.image.data}, spacing=sample.image.spacing).labels
    n_objects = len(np.unique(whole[whole > 0]))
    whole.reshape(-1)[:changed] += 1
    said = _demo_tiles.said_in_tiles(sample.image, "split", SPLIT, whole, tmp_path)
    assert said.startswith("split, in 4 tiles of 8x64x64 voxels: ") or said.startswith("split, in 4 tiles of 8 x 64 x ")
    assert ("DIFFERS from the whole at 3 voxels" in said) == (changed > 0)
    assert (f"identical to those of the whole, all {n_objects} of them" in said) == (changed == 0)


def test_of_the_samples_the_volume_is_run_in_tiles(made: Made) -> None:
    folder, _, text = made
    assert text.count("the labels are identical to those of the whole") == 1
    assert (folder / "nuclei_3d" / "in-tiles.zarr").is_dir()


@pytest.mark.slow
def test_the_real_samples(tmp_path: Path) -> None:
    boards = demo.demo(tmp_path / "out")
    assert [name.partition("/")[0] for name in boards][::2] == ["nuclei_3d", "nuclei_2d", "coins"]
    assert all(Recipe.load(path).steps for path in (tmp_path / "out").rglob("recipes/*.json"))

"""``napari-cutout compare`` and ``verify``: files in, a table and a report out, and a report that can be checked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout import Recipe, Step
from napari_cutout._selection import Selection
from napari_cutout.cli import BAD_INPUT, SOME_FAILED, main
from napari_cutout.io import Volume

from .test_report import scene

METHODS = ["--methods", "threshold_at"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with an image and its annotation."""
    monkeypatch.chdir(tmp_path)
    image, truth = scene()
    np.save("image.npy", image)
    np.save("truth.npy", truth)
    return tmp_path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files and a report of them."""
    folder = tmp_path_factory.mktemp("made")
    image, truth = scene()
    np.save(folder / "image.npy", image)
    np.save(folder / "truth.npy", truth)
    np.save(folder / "shifted.npy", np.roll(truth, 1, 0))
    np.save(folder / "second.npy", np.roll(truth, 1, 1))
    files = [str(folder / "image.npy"), str(folder / "truth.npy"), "--report", str(folder / "report")]
    others = ["--labels", f"shifted={folder / 'shifted.npy'}", "--ceiling", str(folder / "second.npy")]
    assert main(["compare", *files, *METHODS, *others]) == 0
    return folder


@pytest.fixture
def copied(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same elsewhere, to be changed."""
    shutil.copytree(made, tmp_path / "there")
    monkeypatch.chdir(tmp_path / "there")
    return tmp_path / "there"


def content_of(path: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return found


# Comparing ---------------------------------------------------------------------------------------------


def test_the_table_is_that_of_python(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, truth = scene()
    options = ["--folds", "3", "--repeats", "2", "--seed", "5", "--metric", "iou", "--background", "0"]
    assert main(["compare", "image.npy", "truth.npy", *METHODS, *options]) == 0
    board = nc.compare(image, truth, methods=["threshold_at"], folds=3, repeats=2, seed=5, metric="iou", background=0)
    said = f"{board}\n".replace("truth_is='classes'", "--truth-is classes").replace("metric='f1'", "--metric f1")
    assert capsys.readouterr().out == said
    assert sorted(path.name for path in here.iterdir()) == ["image.npy", "truth.npy"]


def test_tuning_and_recipes_take_part(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Recipe([Step("threshold", {"method": "li"})]).save("own.json")
    options = ["--tune", "--budget", "3", "--recipe", "my own=own.json", "--folds", "2"]
    assert main(["compare", "image.npy", "truth.npy", *METHODS, *options, "--report", "report"]) == 0
    rows = {row["name"]: row for row in content_of("report/report.json")["rows"]}
    assert set(rows) == {"threshold_at", "my own"}
    assert rows["threshold_at"]["tried"] >= 2
    assert rows["my own"]["recipe"]["steps"][0]["method"] == "threshold"
    assert main(["verify", "report/report.json"]) == 0


def test_labels_of_truth_are_what_is_said(here: Path) -> None:
    asked = ["compare", "image.npy", "truth.npy", "--methods", "multi_otsu", "--report", "report"]
    assert main([*asked, "--truth-is", "classes"]) == 0
    assert content_of("report/report.json")["classes"] == [0, 1, 2, 3, 4]
    assert main(["verify", "report/report.json"]) == 0
    assert main([*asked, "--truth-is", "objects", "--overwrite"]) == 0
    assert content_of("report/report.json")["classes"] == [0, 1]


def test_recipes_run_on_what_is_compared(here: Path) -> None:
    chosen = Selection("yx", box=((0, 16), (0, 16)))
    Recipe([Step("threshold", {"method": "li"})], chosen).save("own.json")
    assert main(["compare", "image.npy", "truth.npy", *METHODS, "--recipe", "own=own.json", "--report", "report"]) == 0
    row = next(row for row in content_of("report/report.json")["rows"] if row["name"] == "own")
    assert not row["failed"]
    assert "selection" not in row["recipe"]
    image, truth = scene()
    expected = nc.compare(image, truth, methods=[], recipes={"own": Recipe([Step("threshold", {"method": "li"})])})
    assert row["dice"] == expected.standings[0].dice


def test_the_report_knows_its_files(made: Path) -> None:
    inputs = content_of(made / "report" / "report.json")["inputs"]
    assert inputs["images"][0]["path"] == "../image.npy"
    assert inputs["labels"]["shifted"][0]["path"] == "../shifted.npy"
    assert inputs["ceiling"][0]["path"] == "../second.npy"
    page = (made / "report" / "report.html").read_text(encoding="utf-8")
    assert "image.npy (48 x 48, uint8)" in page
    assert str(made) not in page
    assert str(made) not in (made / "report" / "report.json").read_text(encoding="utf-8")


def test_folders_are_paired_and_what_is_left_out_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("images", "truths", "others"):
        Path(name).mkdir()
    for number in range(4):
        image, truth = scene(number)
        np.save(f"images/img_{number}.npy", image)
        np.save(f"truths/gt_{number}.npy", truth)
        np.save(f"others/cp_{number}.npy", np.roll(truth, number, 0))
    np.save("images/img_8.npy", image)
    np.save("truths/gt_9.npy", truth)
    asked = ["compare", "images", "truths", *METHODS, "--report", "report"]
    assert main([*asked, "--labels", "cellpose=others/*.npy"]) == 0
    said = capsys.readouterr().out
    assert "Left out, because they have no partner: img_8.npy, gt_9.npy." in said
    content = content_of("report/report.json")
    assert content["held_out"] == "images"
    assert content["n_units"] == 4
    assert content["inputs"]["left_out"] == ["../images/img_8.npy", "../truths/gt_9.npy"]
    assert [one["path"] for one in content["inputs"]["truths"]] == [f"../truths/gt_{n}.npy" for n in range(4)]
    page = Path("report/report.html").read_text(encoding="utf-8")
    assert "Left out, because they have no partner: img_8.npy, gt_9.npy." in page
    assert main(["verify", "report/report.json"]) == 0
    Path("elsewhere").mkdir()
    for name in ("images", "truths"):
        shutil.move(name, f"elsewhere/{name}")
    assert main(["verify", "report/report.json"]) == BAD_INPUT
    assert "say with --image where it is" in capsys.readouterr().err
    moved = ["--image", "elsewhere/images", "--truth", "elsewhere/truths"]
    assert main(["verify", "report/report.json", *moved]) == 0


def test_labels_must_be_there_for_every_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("images", "truths", "others"):
        Path(name).mkdir()
    for number in range(2):
        image, truth = scene(number)
        np.save(f"images/{number}.npy", image)
        np.save(f"truths/{number}.npy", truth)
    np.save("others/1.npy", truth)
    assert main(["compare", "images", "truths", *METHODS, "--labels", "other=others"]) == BAD_INPUT
    said = capsys.readouterr().err
    assert "--labels other 'others' holds nothing that is named like" in said


def test_strokes_are_scored_with_a_warning(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    strokes = np.zeros((48, 48), np.uint8)
    strokes[8, 5:15] = strokes[32, 5:15] = 1
    strokes[20, 2:46] = strokes[44, 2:46] = 2
    np.save("strokes.npy", strokes)
    asked = ["compare", "image.npy", "strokes.npy", "--ignore", "0", "--methods", "threshold_at,watershed"]
    assert main([*asked, "--report", "report"]) == 0
    assert "for choosing, not for publishing" in capsys.readouterr().out
    assert {row["name"] for row in content_of("report/report.json")["rows"]} == {"threshold_at", "watershed"}
    page = Path("report/report.html").read_text(encoding="utf-8")
    assert "napari-cutout run &#34;recipes/watershed.json&#34; image.tif labels.tif --input markers=markers.tif" in page
    assert main(["verify", "report/report.json"]) == 0


def test_a_region_of_one_channel_is_compared_and_checked(here: Path) -> None:
    image, truth = scene()
    nc.write("colours.tif", Volume(np.stack([image, image[::-1]]), "cyx", spacing=(2.0, 2.0)))
    asked = ["compare", "colours.tif", "truth.npy", "--channel", "0", "--region", "y=0:40,x=4:48"]
    assert main([*asked, *METHODS, "--report", "report"]) == 0
    content = content_of("report/report.json")
    assert content["reading"] == {"channel": 0, "region": {"y": [0, 40], "x": [4, 48]}}
    assert content["arguments"]["spacing"] == [2.0, 2.0]
    (row,) = content["rows"]
    assert row["recipe"]["selection"] == {"axes": "cyx", "channel": 0, "box": [[0, 40], [4, 48]]}
    expected = nc.compare(image[:40, 4:], truth[:40, 4:], methods=["threshold_at"], spacing=(2.0, 2.0))
    assert row["dice"] == expected.standings[0].dice
    assert main(["verify", "report/report.json"]) == 0


def test_the_recipe_of_one_frame_runs_on_the_file(here: Path) -> None:
    image, truth = scene()
    nc.write("film.tif", Volume(np.stack([image[::-1], image, image.T]), "tyx"))
    asked = ["compare", "film.tif", "truth.npy", "--frame", "1", *METHODS, "--report", "report"]
    assert main(asked) == 0
    (row,) = content_of("report/report.json")["rows"]
    result = nc.run(f"report/{row['recipe_file']}", "film.tif")
    assert nc.evaluate(np.asarray(result.labels)[0] > 0, truth > 0).dice[1] == row["dice"]
    assert main(["verify", "report/report.json"]) == 0


def test_images_of_several_kinds_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("images", "truths"):
        Path(name).mkdir()
    image, truth = scene()
    for number in range(2):
        nc.write(f"images/{number}.tif", Volume(image, "yx", spacing=(1.0, 1.0 + number)))
        np.save(f"truths/{number}.npy", truth)
    assert main(["compare", "images", "truths", *METHODS]) == BAD_INPUT
    assert "must have the same voxel size" in capsys.readouterr().err
    assert main(["compare", "images", "truths", *METHODS, "--spacing", "1", "1"]) == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--recipe", "own.json"], "--recipe must be name=file, got 'own.json'"),
        (["--labels", "a=truth.npy", "--labels", "a=image.npy"], "--labels names 'a' twice"),
        (["--methods", "treshold"], "treshold"),
        (["--metric", "f1", "--truth-is", "classes"], "--metric f1 scores numbered objects"),
        (["--folds", "1"], "folds must be a whole number from 2, got 1"),
        (["--region", "y=3"], "--region must be such as"),
        (["--methods", "threshold_at", "--axes", "zyx"], "axes"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    here: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "image.npy", "truth.npy", *options, "--report", "report"]) == BAD_INPUT
    assert said in capsys.readouterr().err
    assert not Path("report").exists()


def test_a_folder_that_is_there_is_refused_before_anything_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("report").mkdir()
    Path("report/mine.txt").write_text("mine")
    assert main(["compare", "no.npy", "truth.npy", "--report", "report"]) == BAD_INPUT
    assert "holds something that the report did not make" in capsys.readouterr().err
    assert main(["compare", "image.npy", "truth.npy", *METHODS, "--report", "report", "--overwrite"]) == 0
    assert Path("report/mine.txt").read_text() == "mine"


def test_where_nothing_ran_the_exit_code_says_so(here: Path) -> None:
    np.save("image.npy", np.full((48, 48), np.nan))
    assert main(["compare", "image.npy", "truth.npy", *METHODS]) == SOME_FAILED


# Checking ----------------------------------------------------------------------------------------------


def test_a_report_holds_wherever_it_is_moved_with_its_files(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "report/report.json"]) == 0
    assert capsys.readouterr().out == "the report holds: 3 rows as they were\n"


@pytest.mark.parametrize("file", ["image", "truth", "shifted", "second"])
def test_another_pixel_is_seen(copied: Path, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    array = np.load(f"{file}.npy")
    array[0, 0] += 1
    np.save(f"{file}.npy", array)
    assert main(["verify", "report/report.json"]) == SOME_FAILED
    said = capsys.readouterr().out
    assert f"'../{file}.npy': it holds other voxels than those that were scored" in said
    assert "the report does not hold" in said


@pytest.mark.parametrize("entry", ["dice", "iou", "score", "low", "high", "p", "rank", "tried"])
def test_another_figure_is_seen(copied: Path, entry: str, capsys: pytest.CaptureFixture[str]) -> None:
    content = content_of("report/report.json")
    row = content["rows"][-1]
    row[entry] = row[entry] + (1 if isinstance(row[entry], int) else 1e-6)
    Path("report/report.json").write_text(json.dumps(content))
    assert main(["verify", "report/report.json"]) == SOME_FAILED
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"{row['name']}: {entry} is ")
    assert said[1:] == ["the report does not hold: 1 difference"]


@pytest.mark.parametrize(
    ("entry", "value", "said"),
    [
        ("n_units", 3, "n_units is 16, was 3"),
        ("held_out", "images", "held_out is 'blocks', was 'images'"),
        ("for_choosing_only", True, "for_choosing_only is False, was True"),
    ],
)
def test_other_facts_are_seen(
    copied: Path, entry: str, value: Any, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = content_of("report/report.json")
    Path("report/report.json").write_text(json.dumps({**content, entry: value}))
    assert main(["verify", "report/report.json"]) == SOME_FAILED
    assert capsys.readouterr().out.splitlines()[0] == said


def test_another_recipe_is_seen(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = content_of("report/report.json")
    row = next(row for row in content["rows"] if row["recipe"])
    row["recipe"]["steps"][0]["settings"]["value"] += 1
    Path("report/report.json").write_text(json.dumps(content))
    assert main(["verify", "report/report.json"]) == SOME_FAILED
    assert "threshold_at: recipe is not what it was" in capsys.readouterr().out


def test_the_same_voxels_in_another_file_are_noted(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("truth.npy", np.load("truth.npy").astype(np.int64))
    content = content_of("report/report.json")
    content["versions"]["numpy"] = "1.0"
    Path("report/report.json").write_text(json.dumps(content))
    assert main(["verify", "report/report.json"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "note: truth '../truth.npy': the file is another one (SHA-256), and holds the same voxels",
        f"note: numpy is {np.__version__}, was 1.0",
        "the report holds: 3 rows as they were",
    ]


def test_files_that_moved_are_named(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("image", "shifted", "second"):
        Path(f"{name}.npy").rename(f"{name}-2.npy")
    for option in ("--image", "--labels shifted=FILE", "--ceiling"):
        given = ["--image", "image-2.npy"] if option != "--image" else []
        given += ["--labels", "shifted=shifted-2.npy"] if option == "--ceiling" else []
        assert main(["verify", "report/report.json", *given]) == BAD_INPUT
        assert f"say with {option} where it is" in capsys.readouterr().err
    moved = [*given, "--ceiling", "second-2.npy"]
    assert main(["verify", "report/report.json", *moved]) == 0


def test_the_report_of_arrays_needs_files(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, truth = scene()
    nc.compare(image, truth, methods=["threshold_at"]).report("report")
    assert main(["verify", "report/report.json"]) == BAD_INPUT
    assert "the report was made of arrays that were no files; save them, and pass --image" in capsys.readouterr().err
    given = ["--image", "image.npy", "--truth", "truth.npy"]
    assert main(["verify", "report/report.json", *given]) == 0
    assert main(["verify", "report/report.json", "--image", "truth.npy", "--truth", "truth.npy"]) == SOME_FAILED


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "because it is no JSON"),
        ('{"format": "napari-cutout recipe"}', "has no entry 'format'"),
        ('{"format": "napari-cutout report", "version": 99}', "the report has version 99"),
        ('{"format": "napari-cutout report", "version": 1, "kind": "poem"}', "of the kind 'poem'"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.json").write_text(text)
    assert main(["verify", str(tmp_path / "x.json")]) == BAD_INPUT
    assert said in capsys.readouterr().err

"""The report of an evaluation: what it says is what was scored, nothing is lost, and it can be checked."""

from __future__ import annotations

import base64
import csv
import io as text_io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import napari_cutout as nc
from napari_cutout import cli, io
from napari_cutout._pairs import FilePair, Pairing
from napari_cutout._scoring import ScoredFiles, Settings, score_files, score_pairs
from napari_cutout.cli import main
from napari_cutout.io import Volume
from napari_cutout.reporting._evaluation import write_report
from napari_cutout.reporting._evaluation_page import picture_of
from napari_cutout.reporting._verify import Moved, verify


class Page(HTMLParser):
    """The text of a page, the cells of its tables, and what it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.pictures: list[str] = []
        self.images_without_words = 0
        self.in_cell = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self.in_cell = True
        source = given.get("src") or (given.get("href") if tag == "link" else None) or ""
        self.pictures += [source] if source.startswith("data:") else []
        self.loads += [source] if source and not source.startswith("data:") else []
        self.images_without_words += tag == "img" and not given.get("alt")

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self.in_cell:
            self.rows[-1][-1] += data.strip()

    def handle_endtag(self, tag: str) -> None:
        self.in_cell = self.in_cell and tag not in ("td", "th")

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page_of(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Labels and truths of three images that number objects; one has no partner, one of its truths no labels."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for folder in ("labels", "truth"):
        Path(folder).mkdir()
    for number, name in enumerate("abc"):
        truth = np.zeros((24, 30), np.uint16)
        for k in range(4 + number):
            row, column = divmod(k, 3)
            truth[row * 8 + 1 : row * 8 + 7, column * 10 + 1 : column * 10 + 8] = k + 1
        labels = np.roll(truth, number, axis=1)
        labels[labels == 2] = 0
        labels = np.append(0, rng.permutation(50)[:20] + 1)[labels].astype(np.uint16)
        io.write(f"labels/{name}.tif", Volume(labels, "yx", (0.5, 0.5), "micrometer"))
        io.write(f"truth/{name}.tif", Volume(truth, "yx", (0.5, 0.5), "micrometer"))
    io.write("labels/lonely.tif", Volume(np.ones((4, 4), np.uint8), "yx"))
    io.write("truth/left.tif", Volume(np.ones((4, 4), np.uint8), "yx"))
    return tmp_path


@pytest.fixture
def scored(folders: Path) -> ScoredFiles:
    assert folders.is_dir()
    return score_files("labels", "truth", settings=Settings(boundaries=True))


def test_the_page_says_what_was_scored(scored: ScoredFiles) -> None:
    write_report(scored, "report")
    page = page_of(Path("report"))
    found = scored.result
    for name, of, title in (
        ("dice", "", "Dice"),
        ("ap", "IoU 0.5", "AP @ 0.5"),
        ("vi", "", "VI"),
        ("hd95", "", "HD95"),
    ):
        figure = found.figure(name, of)
        (row,) = [row for row in page.rows if row[0] == title]
        dash = "\N{EN DASH}"
        expected = [
            cell
            for one in (figure.pooled, figure.image_mean, figure.object_mean)[: 2 if name == "vi" else 3]
            for cell in (
                (f"{one.value:.3f}", f"{one.low:.3f}{dash}{one.high:.3f}") if one.value == one.value else (dash, dash)
            )
        ]
        assert row[1:] == [*expected, "3", "0", *([f"{figure.prevalence:.3f}"] if figure.group == "overlap" else [])]
    for one in found.table[:3]:
        assert sum(row[0] == one["image"] and f"{one['mean_dice']:.3f}" in row for row in page.rows) == 2
    assert "lengths in micrometer" in page.text
    pooled, image_mean, object_mean = (
        getattr(found.figure("dice"), way).value for way in ("pooled", "image_mean", "object_mean")
    )
    assert re.search(
        rf"Dice of 3 images: {pooled:.3f} \(\S+\) pooled; {image_mean:.3f} \(\S+\) as image-mean; {object_mean:.3f} ",
        page.text,
    )
    for text in found.definitions.values():
        assert " ".join(text.split()) in page.text


def test_what_has_no_partner_is_on_the_page_and_in_every_table(scored: ScoredFiles) -> None:
    write_report(scored, "report")
    page = page_of(Path("report"))
    assert [str(Path("labels/lonely.tif")), "no truth is named like it"] in page.rows
    assert [str(Path("truth/left.tif")), "no labels are named like it"] in page.rows
    with Path("report/images.csv").open(newline="") as file:
        assert [row["error"] for row in csv.DictReader(file)][3:] == [
            "no truth is named like it",
            "no labels are named like it",
        ]
    content = json.loads(Path("report/report.json").read_text())
    assert content["unpaired_predicted"] == ["../labels/lonely.tif"]
    assert content["unpaired_truth"] == ["../truth/left.tif"]


def test_the_page_needs_nothing_else_and_reads_without_pictures(scored: ScoredFiles) -> None:
    write_report(scored, "report")
    page = page_of(Path("report"))
    assert page.loads == []
    assert page.images_without_words == 0
    assert page.tags.count("svg") == 3
    assert len(page.pictures) == 3
    assert "@import" not in (Path("report/report.html").read_text())
    for tag in ("section", "table", "svg", "figure", "details"):
        text = Path("report/report.html").read_text()
        assert text.count(f"<{tag}") == text.count(f"</{tag}>")


def test_tables_hold_all_figures(scored: ScoredFiles) -> None:
    write_report(scored, "report")
    with Path("report/scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(scored.result.figures)
    assert [float(row["image_mean"]) for row in rows] == pytest.approx(
        [one.image_mean.value for one in scored.result.figures], nan_ok=True
    )
    assert all(row["definition"] for row in rows)
    latex = Path("report/scores.tex").read_text()
    dice = scored.result.figure("dice")
    assert f"    Dice & {dice.pooled.value:.3f} & " in latex
    assert r"Pooled & 95 \% interval & Image-mean & 95 \% interval & Object-mean & 95 \% interval & Images \\" in latex
    assert "matched by binary" in latex


def test_names_are_escaped(folders: Path) -> None:
    assert folders.is_dir()
    name = "<script>alert('a')</script> & \"b\" µ 100%_$"
    pairing = Pairing((FilePair(name, "labels/a.tif", "truth/a.tif"),), (f"{name}.tif",))
    write_report(score_pairs(pairing, Settings()), "report")
    page = page_of(Path("report"))
    assert page.tags.count("script") == 1, "that which sorts tables"
    assert any(row[0] == name for row in page.rows)
    assert any(row[0] == f"{name}.tif" for row in page.rows)
    assert json.loads(Path("report/report.json").read_text())["inputs"][0]["name"] == name


def test_two_reports_are_the_same_but_for_the_time(scored: ScoredFiles) -> None:
    write_report(scored, "report")
    first = {path.name: path.read_text() for path in Path("report").iterdir()}
    again = score_files("labels", "truth", settings=Settings(boundaries=True))
    write_report(again, "report", overwrite=True)
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"
    for path in Path("report").iterdir():
        assert re.sub(time, "", path.read_text()) == re.sub(time, "", first[path.name]), path.name


def test_a_folder_that_is_there_is_refused_and_what_others_wrote_stays(scored: ScoredFiles) -> None:
    Path("report").mkdir()
    Path("report/mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds something that the report did not make"):
        write_report(scored, "report")
    write_report(scored, "report", overwrite=True)
    assert Path("report/mine.txt").read_text() == "mine"
    Path("other").mkdir()
    Path("other/scores.csv").write_text("mine")
    with pytest.raises(FileExistsError, match="is in the way"):
        write_report(scored, "other", overwrite=True)
    assert [path.name for path in Path("other").iterdir()] == ["scores.csv"]


def test_a_report_holds_and_says_what_does_not(scored: ScoredFiles) -> None:
    write_report(scored, "report")
    report = Path("report/report.json")
    good = verify(report)
    assert good.differences == ()
    assert good.n_rows == len(scored.result.figures) + 3
    content = json.loads(report.read_text())
    content["rows"][0]["pooled"] += 1e-6
    report.write_text(json.dumps(content))
    (difference,) = verify(report).differences
    assert difference.startswith("overlap: dice: pooled is ")
    truth = io.read("truth/a.tif")
    truth.data[0, 0] = 1
    io.write("truth/a.tif", truth, overwrite=True)
    differences = verify(report).differences
    assert "truth '../truth/a.tif': the file is another one (SHA-256)" in differences
    assert any(one.startswith("image: a: ") and "mean_dice is " in one for one in differences)
    assert not any(one.startswith("image: b") for one in differences)


def test_a_report_moves_with_its_files_or_is_told_where_they_are(scored: ScoredFiles, tmp_path: Path) -> None:
    write_report(scored, "report")
    (tmp_path / "elsewhere").mkdir()
    for name in ("labels", "truth", "report"):
        shutil.move(name, "elsewhere")
    assert verify("elsewhere/report/report.json").differences == ()
    shutil.move("elsewhere/truth", "somewhere")
    with pytest.raises(ValueError, match="say with --truth where it is"):
        verify("elsewhere/report/report.json")
    assert verify("elsewhere/report/report.json", Moved(truth="somewhere")).differences == ()


def test_strokes_are_for_choosing(folders: Path) -> None:
    assert folders.is_dir()
    warning = "Scored on strokes: for choosing, not for publishing."
    write_report(score_files("labels", "truth", settings=Settings(ignore=0)), "strokes")
    assert warning in page_of(Path("strokes")).text
    assert "for choosing, not for publishing" in Path("strokes/scores.tex").read_text()
    write_report(score_files("labels", "truth"), "report")
    assert warning not in page_of(Path("report")).text


def test_a_report_of_nothing_says_why(folders: Path) -> None:
    assert folders.is_dir()
    pairing = Pairing((FilePair("a", "labels/a.tif", "truth/left.tif"), FilePair("b", error="two have this name")))
    write_report(score_pairs(pairing, Settings()), "report")
    page = page_of(Path("report"))
    assert "No image could be scored" in page.text
    assert ["b", "two have this name"] in page.rows
    assert verify("report/report.json").differences == ()


def test_classes_have_a_page_without_objects(folders: Path) -> None:
    assert folders.is_dir()
    for folder in ("classes", "known"):
        Path(folder).mkdir()
        for name in "ab":
            data = np.repeat([0, 1, 2], 20).reshape(6, 10).astype(np.uint8)
            data[2, : 3 if folder == "classes" else 0] = 2
            io.write(f"{folder}/{name}.tif", Volume(data, "yx"))
    write_report(score_files("classes", "known"), "report")
    page = page_of(Path("report"))
    assert any(row[0] == "Dice, class 2" for row in page.rows)
    assert not any(row[0].startswith(("PQ", "VI")) for row in page.rows)
    assert "a label is the class of that number" in page.text


def picture(one: str) -> np.ndarray:
    return np.asarray(Image.open(text_io.BytesIO(base64.b64decode(one.partition(",")[2]))).convert("RGB"))


def test_pictures_show_what_is_wrong_in_the_worst_plane(folders: Path) -> None:
    assert folders.is_dir()
    truth, labels = np.zeros((2, 3, 8, 8), np.uint8)
    truth[:, 1:5, 1:5] = 1
    labels[:, 1:5, 1:5] = 7
    labels[1, 1:5, 1:5], labels[1, 6, 6] = 0, 7
    io.write("l.tif", Volume(labels, "zyx"))
    io.write("t.tif", Volume(truth, "zyx"))
    found = score_files("l.tif", "t.tif")
    shown = picture_of(found.result.images[0], found.pairing.pairs[0])
    assert shown.shape == (420, 420)
    write_report(found, "report")
    (colours,) = [picture(one) for one in page_of(Path("report")).pictures]
    # 52.5 pixels a voxel, at the middle of voxels: background, missed, in excess
    middle = [
        tuple(colours[int((row + 0.5) * 52.5), int((column + 0.5) * 52.5)]) for row, column in ((0, 0), (2, 2), (6, 6))
    ]
    assert middle[1:] == [(0, 114, 178), (230, 159, 0)]
    assert middle[0][0] == middle[0][1] > 200


@pytest.mark.usefixtures("folders")
def test_the_command_writes_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "labels", "truth", "--report", "report"]) == cli.SOME_FAILED
    assert "report written to " in capsys.readouterr().out
    expected = score_files("labels", "truth").result.figure("dice")
    content = json.loads(Path("report/report.json").read_text())
    (dice,) = [row for row in content["rows"] if row["name"] == "overlap: dice"]
    assert (dice["pooled"], dice["object_mean"]) == (expected.pooled.value, expected.object_mean.value)
    assert main(["evaluate", "labels/a.tif", "truth/a.tif", "--report", "one", "--csv", "a.csv"]) == 0
    alone = nc.evaluate(io.read("labels/a.tif").data, io.read("truth/a.tif").data)
    assert f"Dice of 1 image: {alone.mean_dice:.3f}" in page_of(Path("one")).text
    assert Path("a.csv").read_text().startswith("class,")
    Path("labels/a.tif").unlink()
    assert main(["evaluate", "labels", "truth", "--report", "report"]) == cli.BAD_INPUT
    assert "give --overwrite" in capsys.readouterr().err, "it is refused before anything is scored"


def test_settings_of_a_report_are_those_of_the_command(folders: Path) -> None:
    assert folders.is_dir()
    words: list[Any] = [
        "--boundaries",
        "--tolerance",
        "1.5",
        "--spacing",
        "2",
        "1",
        "--match",
        "binary",
        "--ignore",
        "9",
    ]
    assert main(["evaluate", "labels/a.tif", "truth/a.tif", "--report", "report", *words]) == 0
    content = json.loads(Path("report/report.json").read_text())
    expected = Settings(boundaries=True, tolerance=1.5, spacing=(2.0, 1.0), match="binary", ignore=9)
    assert Settings.from_dict(content["arguments"]) == expected
    assert verify("report/report.json").differences == ()
    assert {"cpu", "cores", "memory_bytes", "gpu"} <= set(content["hardware"])
    assert content["versions"]["napari-cutout"] == nc.__version__


def test_a_report_keeps_the_folder_of_every_image_and_scores_each_folder(tmp_path: Path) -> None:
    truth = np.zeros((12, 12), np.int32)
    truth[1:5, 1:5], truth[7:11, 7:11] = 1, 2
    half = np.where(truth == 1, 1, 0).astype(np.int32)
    for folder, labels in (("control", truth), ("treated", half)):
        for name, array in (("labels", labels), ("truth", truth)):
            (tmp_path / name / folder).mkdir(parents=True)
            io.write(tmp_path / name / folder / "a.tif", Volume(array, "yx"), kind="labels")
    scored = score_files(tmp_path / "labels", tmp_path / "truth", settings=Settings(numbered=True))
    assert [(row["image"], row["folder"]) for row in scored.result.table] == [("a", "control"), ("a", "treated")]
    assert scored.result.titles == ("control/a", "treated/a")
    dice = {
        row["folder"]: row["pooled"] for row in scored.result.by_folder if (row["figure"], row["of"]) == ("dice", "")
    }
    assert dice == {"control": 1.0, "treated": pytest.approx(2 * 16 / (32 + 16))}
    assert "treated: dice 0.6667 pooled, 0.6667 image-mean, of 1 image" in str(scored.result)
    write_report(scored, tmp_path / "report")
    page = Page((tmp_path / "report" / "report.html").read_text(encoding="utf-8"))
    assert any(row[:4] == ["treated", "1", "0.667", "0.667"] for row in page.rows)
    lines = (tmp_path / "report" / "folders.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("folder,group,figure,of,pooled")
    assert (
        verify(tmp_path / "report" / "report.json").differences == ()
        # Each image against its own truth, though names are alike.
    )

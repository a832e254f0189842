"""The report of a comparison: what it says is what was found, it needs nothing else, and it damages nothing."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import napari_cutout as nc
from napari_cutout import Leaderboard, Recipe, Step
from napari_cutout._pictures import stretched
from napari_cutout.comparison.leaderboard import FOR_CHOOSING
from napari_cutout.reporting import _comparison, _files, _machine, _panels, _plots
from napari_cutout.reporting._comparison_page import changes, how_chosen, verdict
from napari_cutout.reporting._latex import latex_table
from napari_cutout.reporting._tables import NOTHING, Column, as_csv, word
from napari_cutout.reporting._verify import file_differences, row_differences

NASTY = """<script>alert("1")</script> & 50 % of $x_1$ {a} \\ # ~ ^ 'é' 中"""
VOID = {"meta", "img", "br", "path", "use"}


class Page(HTMLParser):
    """A page taken apart: elements, the text of cells, and every address in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.cells: list[list[str]] = []
        self.banners: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")
        if tag == "div" and "banner" in dict(attrs).get("class", ""):
            self.banners.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "td" in self.open or "th" in self.open:
            self.cells[-1][-1] += data
        if self.banners and "p" in self.open and self.open[-2] in ("div", "p"):
            self.banners[-1] += data

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def scene(seed: int = 0) -> tuple[Any, Any]:
    """Four bright squares on noise, numbered, and an object that is hard to see."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((48, 48), np.uint8)
    for number, (y, x) in enumerate([(4, 4), (4, 28), (28, 4), (28, 28)], start=1):
        truth[y : y + 12, x : x + 12] = number
    image = rng.normal(60, 15, truth.shape) + 90 * (truth > 0)
    return np.clip(image, 0, 255).astype(np.uint8), truth


def compared(**given: Any) -> Leaderboard:
    image, truth = scene()
    needs_more = Recipe([Step("threshold", {}, {"image": "image", "mask": "elsewhere"})])
    asked: dict[str, Any] = {
        "methods": ["threshold_at", "multi_otsu"],
        "recipes": {"needs <more>": needs_more},
        "labels": {NASTY: np.roll(truth, 2, 0)},
        "ceiling": np.roll(truth, 1, 1),
    }
    return nc.compare(image, truth, **{**asked, **given})


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    return compared()


@pytest.fixture(scope="module")
def folder(board: Leaderboard, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return board.report(tmp_path_factory.mktemp("made") / "report").parent


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def content(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return found


# The page ----------------------------------------------------------------------------------------------


def test_the_page_is_whole_and_loads_nothing(page: Page, folder: Path) -> None:
    assert page.open == []
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "audio", "video", "source")
        for name in ("src", "href", "srcset", "data", "poster", "background", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,")), (tag, name)
        assert not any(name.startswith("on") for name in attributes)
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    assert not re.search(r"@import|https?://|xmlns", text)
    assert sum(tag == "script" for tag, _ in page.elements) == 1


def test_every_row_is_in_the_table_with_its_numbers(page: Page, board: Leaderboard) -> None:
    lines = {cells[1].strip(): [cell.strip() for cell in cells] for cells in page.cells if len(cells) > 8}
    head = lines.pop("Method")
    assert set(lines) == {one.row.name for one in board.standings}
    for one in board.standings:
        shown = dict(zip(head, lines[one.row.name], strict=True))
        for name, value in (("Dice", one.dice), ("IoU", one.iou), ("F1", one.f1), ("PQ", one.pq)):
            assert shown[name] == (f"{value:.3f}" if value == value else NOTHING)
        assert shown["Rank"] == (NOTHING if one.rank is None else str(one.rank))
        if one.low == one.low:
            assert shown["95 % interval"] == f"{one.low:.3f}{NOTHING}{one.high:.3f}"
        assert shown["Note"] == (one.row.error or one.row.note)
    assert "elsewhere" in lines["needs <more>"][-1]
    assert "Tried" not in head


def test_tables_are_sorted_by_all_digits(page: Page, board: Leaderboard) -> None:
    keys = {attributes.get("data-key") for tag, attributes in page.elements if tag in ("td", "th")}
    assert {str(one.dice) for one in board.standings if one.dice == one.dice} <= keys


def test_names_are_words_and_no_code(folder: Path, page: Page) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert all("alert" not in name for _, attributes in page.elements for name in attributes)
    tex = (folder / "scores.tex").read_text(encoding="utf-8")
    assert r"\textless{}script\textgreater{}" in tex
    assert r"50 \% of \$x\_1\$ \{a\} \textbackslash{} \# \textasciitilde{} \textasciicircum{} 'é' 中" in tex


def test_pictures_and_plots_have_words_for_the_blind(page: Page, board: Leaderboard) -> None:
    pictures = page.of("img")
    shown = [one for one in board.standings if one.row.plane is not None]
    assert len(pictures) == len(shown) + 2
    assert all(picture["alt"] for picture in pictures)
    assert len({picture["alt"] for picture in pictures}) == len(pictures)
    plots = page.of("svg")
    assert len(plots) == 3
    assert all(plot["role"] == "img" and plot["aria-label"] for plot in plots)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert all(head.get("scope") in ("col", "row") for head in page.of("th"))


def test_the_winner_is_named_with_its_interval_and_what_is_tied(board: Leaderboard) -> None:
    best = board.winner
    assert best is not None
    first, *rest = verdict(board)
    assert first == (
        f"{best.row.name} scored best: Dice {best.dice:.3f} (95 % interval {best.low:.3f} to {best.high:.3f}), on "
        f"{board.n_units} blocks that were held out."
    )
    ceiling = board.standings[0]
    assert rest[-1].startswith(f"A second annotator reaches Dice {ceiling.dice:.3f} (95 % interval")
    one, other, third = [one for one in board.standings if one.rank is not None]
    far = [replace(x, rank=n, tied=n == 1) for n, x in enumerate((one, other, third), 1)]
    assert list(verdict(replace(board, standings=tuple(far))))[1:] == ["All others are worse."]
    near = (far[0], replace(far[1], tied=True), far[2])
    (tied,) = list(verdict(replace(board, standings=near)))[1:]
    assert (
        tied
        == f"Tied with it, because the difference may be chance (p > 0.05), and intervals overlap: {other.row.name}."
    )
    equal = [replace(x, rank=1) for x in far]
    said = list(verdict(replace(board, standings=tuple(equal))))
    assert said[0].startswith(f"{one.row.name} and 2 others scored best")
    assert said[1] == f"Equal to it: {other.row.name}, {third.row.name}."


def test_a_paper_says_how_a_method_was_chosen(board: Leaderboard, folder: Path) -> None:
    one = next(one for one in board.standings if one.row.name == "threshold_at")
    n = sum(other.rank is not None for other in board.standings)
    assert how_chosen(board, one) == (
        f"Of {n} methods compared, it was number {one.rank} by Dice ({one.score:.3f}, 95 % interval {one.low:.3f} to "
        f"{one.high:.3f}) on {board.n_units} blocks that were held out in 5 folds."
    )
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert how_chosen(board, one) in text
    assert nc.cite(one.row.recipe, evaluation=["evaluate", "evaluate_objects"]).text in text
    assert how_chosen(board, board.standings[0]) == ""
    tuned = replace(board, facts={**board.facts, "tuned": True, "budget": 7})
    assert "its settings searched for (7 tried in each fold)" in how_chosen(tuned, one)


def test_where_all_fail_the_page_says_so(board: Leaderboard, tmp_path: Path) -> None:
    failed = replace(board, standings=tuple(one for one in board.standings if one.row.error))
    assert list(verdict(failed)) == ["No method gave a result that can be ranked; the table has the reasons."]
    page = Page(failed.report(tmp_path / "failed").read_text(encoding="utf-8"))
    assert any("needs <more>" in cells[1] for cells in page.cells if len(cells) > 1)
    assert page.of("svg") == []


def test_scores_on_strokes_carry_a_warning(board: Leaderboard, page: Page, tmp_path: Path) -> None:
    image, truth = scene()
    strokes = np.zeros_like(truth)
    strokes[8, 5:15] = strokes[32, 5:15] = 1
    strokes[20, 2:46] = strokes[44, 2:46] = 2
    found = nc.compare(image, strokes, ignore=0, methods=["threshold_at"])
    there = found.report(tmp_path / "strokes").parent
    warned = Page((there / "report.html").read_text(encoding="utf-8"))
    assert warned.banners[0].strip() == f"{FOR_CHOOSING[0].upper()}{FOR_CHOOSING[1:]}."
    assert "for choosing, not for publishing" in (there / "scores.tex").read_text()
    assert json.loads((there / "report.json").read_text())["for_choosing_only"] is True
    assert not any("for publishing" in banner for banner in page.banners)


def test_iou_against_dice_compares_units_that_all_have(board: Leaderboard) -> None:
    found = changes(board)
    scores = board.iou_by_unit()
    common = set.intersection(*map(set, scores.values()))
    assert found["n_units"] == len(common)
    for row in found["records"]:
        values = [scores[row["contestant"]][unit] for unit in common]
        assert row["mean_iou"] == pytest.approx(np.mean(values))
        assert row["mean_dice"] == pytest.approx(np.mean([2 * v / (1 + v) for v in values]))
    assert changes(replace(board, standings=board.standings[:1])) == {}


def test_a_unit_without_a_score_is_not_counted_as_bad(board: Leaderboard) -> None:
    one = next(one for one in board.standings if one.rank == 2)
    assert one.row.overlap is not None
    counts = one.row.overlap.copy()
    counts[3] = 0  # nothing there and nothing found
    others = [replace(x, row=replace(x.row, overlap=counts)) if x is one else x for x in board.standings]
    found = changes(replace(board, standings=tuple(others)))
    assert found["n_units"] == changes(board)["n_units"] - 1


# Files -------------------------------------------------------------------------------------------------


def test_csv_holds_all_digits(folder: Path, board: Leaderboard) -> None:
    rows = list(csv.DictReader(io.StringIO((folder / "scores.csv").read_text(encoding="utf-8"))))
    assert [row["name"] for row in rows] == [one.row.name for one in board.standings]
    for row, one in zip(rows, board.standings, strict=True):
        for name in ("dice", "iou", "f1", "pq", "low", "high"):
            value = getattr(one, name)
            assert (row[name] == "") == (value != value)
            assert value != value or float(row[name]) == value


def test_json_says_what_was_read_and_asked(content: dict[str, Any], board: Leaderboard) -> None:
    image, truth = scene()
    # a fingerprint is the SHA-256 of the shape as JSON, the dtype, and the values; here both are bytes already
    expected = hashlib.sha256(b"[48, 48]" + b"|u1" + image.tobytes()).hexdigest()
    assert content["inputs"]["images"] == [{"shape": [48, 48], "dtype": "uint8", "voxels_sha256": expected}]
    other = hashlib.sha256(b"[48, 48]" + b"|u1" + truth.tobytes()).hexdigest()
    assert content["inputs"]["truths"][0]["voxels_sha256"] == other
    assert content["arguments"]["methods"] == ["threshold_at", "multi_otsu"]
    assert content["arguments"]["recipes"]["needs <more>"]["steps"][0]["inputs"]["mask"] == "elsewhere"
    assert content["kind"] == "comparison"
    assert content["versions"]["numpy"] == np.__version__
    assert set(content["hardware"]) == {"cpu", "cores", "threads", "memory_bytes", "gpu", "gpu_driver", "system"}
    for row, one in zip(content["rows"], board.standings, strict=True):
        if one.row.overlap is None:
            assert row["by_unit"] == {}
            continue
        tp, fp, fn = one.row.overlap[:, 1].T
        for unit in range(board.n_units):
            whole = tp[unit] + fp[unit] + fn[unit]
            assert row["by_unit"]["iou"][unit] == (pytest.approx(tp[unit] / whole) if whole else None)


def test_every_figure_is_defined(content: dict[str, Any]) -> None:
    assert {"dice", "iou", "f1", "pq", "interval", "p", "tied", "held_out", "ceiling"} <= set(content["definitions"])
    assert "0.5 or more" in content["definitions"]["f1"]
    assert "background" in content["definitions"]["dice"]


def test_recipes_are_files_that_load(folder: Path, board: Leaderboard) -> None:
    files = {one.row.name: name for name, one in _comparison.recipe_files(board).items()}
    assert set(files) == {one.row.name for one in board.standings if one.row.recipe is not None and not one.row.error}
    for one in board.standings:
        if one.row.name in files:
            assert Recipe.load(folder / "recipes" / f"{files[one.row.name]}.json") == one.row.recipe


def test_names_that_a_disk_cannot_tell_apart_get_numbers(board: Leaderboard) -> None:
    one = next(one for one in board.standings if one.row.recipe is not None and not one.row.error)
    named = [replace(one, row=replace(one.row, name=name)) for name in ("a/b", "A_b", "a:b")]
    assert list(_comparison.recipe_files(replace(board, standings=tuple(named)))) == ["a_b", "A_b-2", "a_b-3"]


def test_a_report_is_the_same_every_time(
    board: Leaderboard, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = json.loads((folder / "report.json").read_text())["created"]
    monkeypatch.setattr(_machine, "now", lambda: made)
    again = compared()
    timed = {one.row.name: one.row.seconds for one in board.standings}
    rows = (replace(one, row=replace(one.row, seconds=timed[one.row.name])) for one in again.standings)
    there = replace(again, standings=tuple(rows)).report(tmp_path / "again").parent
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert len(files) == 7
    for name in files:
        assert (there / name).read_bytes() == (folder / name).read_bytes(), name


def test_what_no_report_wrote_stays(board: Leaderboard, tmp_path: Path) -> None:
    place = tmp_path / "report"
    board.report(place)
    with pytest.raises(FileExistsError, match="holds a report already"):
        board.report(place)
    (place / "mine.txt").write_text("mine")
    (place / "recipes" / "mine.json").write_text("mine")
    fewer = replace(board, standings=tuple(one for one in board.standings if one.row.name != "multi_otsu"))
    assert (place / "recipes" / "multi_otsu.json").exists()
    fewer.report(place, overwrite=True)
    assert not (place / "recipes" / "multi_otsu.json").exists()
    assert (place / "mine.txt").read_text() == (place / "recipes" / "mine.json").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_folder_of_others_is_not_taken(board: Leaderboard, tmp_path: Path) -> None:
    place = tmp_path / "work"
    place.mkdir()
    (place / "scores.csv").write_text("mine")
    with pytest.raises(FileExistsError, match="holds something that the report did not make"):
        board.report(place)
    with pytest.raises(FileExistsError, match=r"scores\.csv' is in the way, and the report did not write it"):
        board.report(place, overwrite=True)
    assert [path.name for path in place.iterdir()] == ["scores.csv"]
    assert (place / "scores.csv").read_text() == "mine"
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="is a file, and the report writes a folder"):
        board.report(tmp_path / "file", overwrite=True)


def test_a_report_made_meanwhile_is_not_replaced(
    board: Leaderboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, write = tmp_path / "report", _files.write_text

    def writes(*args: Any, **given: Any) -> Path:
        place.mkdir(exist_ok=True)
        (place / "scores.csv").write_text("theirs")
        return write(*args, **given)

    monkeypatch.setattr(_files, "write_text", writes)
    with pytest.raises(FileExistsError, match="is in the way"):
        board.report(place)
    assert [path.name for path in place.iterdir()] == ["scores.csv"]
    assert (place / "scores.csv").read_text() == "theirs"


def test_a_full_disk_leaves_the_report_that_was_there(
    board: Leaderboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = board.report(tmp_path / "report").parent
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}

    def fails(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_files, "write_text", fails)
    with pytest.raises(OSError, match="No space left"):
        board.report(place, overwrite=True)
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


# Parts -------------------------------------------------------------------------------------------------


def test_words_of_values() -> None:
    assert [word(v, 2) for v in (None, float("nan"), 0.125, 3, True, "x")] == [
        NOTHING,
        NOTHING,
        "0.12",
        "3.00",
        "yes",
        "x",
    ]
    assert word(3) == "3"


def test_csv_leaves_out_what_is_not_defined() -> None:
    assert as_csv([{"a": 0.1, "b": float("nan")}, {"a": None, "b": 'x,"y"'}]) == 'a,b\n0.1,\n,"x,""y"""\n'


def test_a_latex_table_has_a_cell_for_every_column() -> None:
    columns = [Column("name", "Name_1", is_text=True), Column("score", "Dice", 2)]
    text = latex_table(
        columns, [{"name": f"a & b {NOTHING} c", "score": 0.5}, {"name": "c", "score": None}], "50 %", "tab:x"
    )
    assert text.splitlines() == [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        r"  \caption{50 \%}",
        r"  \label{tab:x}",
        r"  \begin{tabular}{lr}",
        r"    \toprule",
        r"    Name\_1 & Dice \\",
        r"    \midrule",
        r"    a \& b -- c & 0.50 \\",
        r"    c & -- \\",
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]


def test_outlines_lie_on_either_side_of_a_border() -> None:
    # 2 x 2 pixels become 420 x 420; labels differ between the columns, so columns 209 and 210 are the border
    picture = _panels.outlined(np.full((2, 2), 255, np.uint8), (np.array([[1, 2], [1, 2]]), _panels.PREDICTED))
    assert picture.shape == (420, 420)
    assert (picture[:, 209:211] == _panels.PREDICTED).all()
    assert (np.delete(picture, (209, 210), axis=1) == 247).all()


def test_strokes_have_a_colour_each_and_leave_the_rest() -> None:
    strokes = np.zeros((420, 420), np.uint8)
    strokes[3, 4], strokes[5, 6] = 7, 9
    picture = _panels.painted(np.zeros((420, 420), np.uint8), strokes)
    assert (picture[3, 4], picture[5, 6]) == tuple(_panels.STROKES[:2])
    assert (picture > 0).sum() == 2


def test_a_png_shows_greys_and_colours() -> None:
    picture = np.array([[0, 247], [_panels.TRUTH, _panels.PREDICTED]], np.uint8)
    head, data = _panels.png_uri(picture).split(",")
    assert head == "data:image/png;base64"
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
    assert shown.tolist() == [[[0, 0, 0], [255, 255, 255]], [[86, 180, 233], [230, 159, 0]]]


def test_a_few_bright_pixels_are_seen() -> None:
    image = np.zeros((100, 100))
    image[5, 6], image[7, 8] = 10, 20  # fewer than 0.5 %, so that both quantiles are 0
    picture = stretched(image)
    assert (picture[5, 6], picture[7, 8], picture.sum()) == (127, 255, 382)


def test_large_images_are_made_smaller_and_thin_ones_stay() -> None:
    assert _panels.outlined(np.zeros((1000, 500), np.uint8)).shape == (420, 210)
    assert _panels.outlined(np.zeros((1, 3000), np.uint8)).shape == (1, 420)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: _plots.dot_plot([_plots.Dot(NASTY, 0.5, 0.4, 0.6, "best")], "Dice", NASTY),
        lambda: _plots.strip_plot({NASTY: [0.25, float("nan"), 0.5], "none": []}, "Dice", NASTY),
        lambda: _plots.curve_plot({NASTY: ([0.5, 1.0], [2 / 3, 1.0]), "none": ([], [])}, NASTY),
    ],
    ids=["dots", "strip", "curve"],
)
def test_plots_are_words_and_take_the_colours_of_the_page(draw: Callable[[], str]) -> None:
    svg = draw()
    assert svg == draw()
    parsed = Page(svg)
    assert parsed.open == []
    assert "<script>" not in svg
    assert "currentColor" in svg
    assert not re.search(r"#010203|#c0c1c2|http|<style|font-family", svg)
    assert parsed.elements[0] == ("svg", parsed.elements[0][1])
    assert parsed.elements[0][1]["aria-label"] == NASTY
    assert "width" not in parsed.elements[0][1]


def test_a_plot_has_a_mark_for_every_score() -> None:
    n = [_plots.strip_plot({"a": [0.5] * k}, "Dice", "t").count("<use") for k in (1, 4)]
    assert n[1] - n[0] == 3


def test_axes_begin_below_the_lowest_score() -> None:
    assert [_plots._start(v) for v in ([0.3, 0.9], [0.86], [0.66], [0.02], [], [float("nan")])] == [
        0.2,
        0.8,
        0.6,
        0.0,
        0.0,
        0.0,
    ]


def test_files_and_folders_are_hashed(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"x" * 3_000_000)
    assert _machine.file_sha256(tmp_path / "a.bin") == hashlib.sha256(b"x" * 3_000_000).hexdigest()
    store = tmp_path / "s.zarr"
    (store / "0").mkdir(parents=True)
    (store / "0" / "c").write_bytes(b"1")
    (store / "zarr.json").write_bytes(b"2")
    lines = f"{hashlib.sha256(b'1').hexdigest()}  0/c\n{hashlib.sha256(b'2').hexdigest()}  zarr.json\n"
    assert _machine.file_sha256(store) == hashlib.sha256(lines.encode()).hexdigest()


# Checking ----------------------------------------------------------------------------------------------


def test_rows_differ_in_all_but_rounding_and_time() -> None:
    old = [{"name": "a", "dice": 0.5, "seconds": 1.0, "n": 1, "by": [0.1, None]}, {"name": "b", "dice": 0.5}]
    assert list(row_differences(old, old, "name")) == []
    near = [{**old[0], "dice": 0.5 + 1e-12, "seconds": 9.0}, old[1]]
    assert list(row_differences(old, near, "name")) == []
    far = [{**old[0], "dice": 0.75, "n": 2, "by": [0.1, 0.2]}, {"name": "c"}]
    assert list(row_differences(old, far, "name")) == [
        "a: dice is 0.75, was 0.5; n is 2, was 1; by is not what it was",
        "b: the row is gone",
        "c: the row is new",
    ]
    assert list(row_differences([{"name": "a", "dice": None}], [{"name": "a", "dice": 0.0}], "name")) == [
        "a: dice is 0, was not defined"
    ]


def test_files_differ_where_their_voxels_do() -> None:
    one = {"path": "x.tif", "sha256": "1", "voxels_sha256": "2"}
    assert list(file_differences("image", [one], [one])) == []
    ((text, matters),) = file_differences("image", [one], [{**one, "voxels_sha256": "3"}])
    assert matters
    assert text == "image 'x.tif': it holds other voxels than those that were scored"
    ((text, matters),) = file_differences("image", [one], [{**one, "sha256": "3"}])
    assert not matters
    ((text, matters),) = file_differences("image", [one], [])
    assert matters

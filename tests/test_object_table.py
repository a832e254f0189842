"""One table of the objects of many images: from labels in files, and from a run."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout import io
from napari_cutout.cli import main
from napari_cutout.io import Volume
from napari_cutout.processing._headings import heading
from napari_cutout.running._object_table import Entry, ObjectTable, entries_of

SIZE = {"spacing": (0.5, 0.25), "units": "micrometer"}
RECIPE = nc.Recipe([nc.Step("threshold_at", {"value": 50.0, "one_per_object": True})])


def rows_of(path: str | Path, delimiter: str = ",") -> list[dict[str, str]]:
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def numbers(row: dict[str, str]) -> dict[str, float]:
    return {name: float(text) for name, text in row.items() if name not in ("image", "folder") and text}


def nuclei(*places: tuple[int, int], level: int = 100) -> np.ndarray:
    image = np.zeros((12, 16), np.uint8)
    for y, x in places:
        image[y : y + 3, x : x + 4] = level + y
    return image


@pytest.fixture
def plate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Images of two conditions, two of them under one name; nothing is in one of them."""
    monkeypatch.chdir(tmp_path)
    images = {
        "control/a": nuclei((1, 1), (6, 9)),
        "control/b": nuclei(),
        "treated/a": nuclei((2, 3), (7, 2), (8, 10), level=90),
    }
    for name, image in images.items():
        Path("plate", name).parent.mkdir(parents=True, exist_ok=True)
        io.write(f"plate/{name}.tif", Volume(image, "yx", **SIZE), kind="image")
    return images


def test_headings_are_words_with_their_units() -> None:
    assert heading("area", "µm²") == "area_um2"
    assert heading("volume", "Å³") == "volume_A3"
    assert heading("mean_GFP (488 nm)") == "mean_GFP_488_nm_"
    assert heading("area") == "area"


def test_a_run_writes_labels_and_one_table_of_all_objects(plate: dict[str, np.ndarray]) -> None:
    told: list[tuple[str, float]] = []
    batch = nc.run(RECIPE, "plate", "out", table="objects.csv", on_progress=lambda *what: told.append(what))
    assert not batch.failed
    assert sorted(p.as_posix() for p in Path("out").rglob("*.tif")) == [f"out/{name}.tif" for name in plate]
    rows = rows_of("objects.csv")
    assert [(row["folder"], row["image"], row["label"]) for row in rows] == [
        ("control", "a", "1"), ("control", "a", "2"),
        ("treated", "a", "1"), ("treated", "a", "2"), ("treated", "a", "3"),
    ]  # fmt: skip
    expected = [
        dict(zip(found.headings, row.values(), strict=True))
        for image in plate.values()
        for found in [nc.measure(nc.components(image > 50), image, spacing=(0.5, 0.25), units="µm")]
        for row in found.table
    ]
    assert [numbers(row) for row in rows] == expected
    assert {"area_um2", "centroid_y_um", "length_major_um"} <= set(rows[0])
    beside = rows_of("objects_per_image.csv")
    assert [(row["folder"], row["image"], row["n_objects"]) for row in beside] == [
        ("control", "a", "2"), ("control", "b", "0"), ("treated", "a", "3"),
    ]  # fmt: skip
    assert (beside[1]["area_mean_um2"], beside[1]["area_total_um2"], beside[1]["mean_of_mean"]) == ("", "0.0", "")
    assert float(beside[2]["area_mean_um2"]) == 12 * 0.125
    assert float(beside[2]["labelled_fraction"]) == 36 / (12 * 16)
    assert batch.tables is not None
    assert batch.tables.n_objects == 5
    assert told[0][0].startswith("image 1 of 3: ")
    assert told[-1][0].startswith("image 3 of 3: ")
    assert max(fraction for _, fraction in told) <= 1


def test_measuring_files_gives_the_table_of_the_run(plate: dict[str, np.ndarray]) -> None:
    nc.run(RECIPE, "plate", "out", table="out/run.csv")
    Path("out/run.csv").rename("run.csv")
    Path("out/run_per_image.csv").rename("run_per_image.csv")
    found = nc.measure_images("out", "plate", "objects.csv")
    assert Path("objects.csv").read_bytes() == Path("run.csv").read_bytes()
    assert found.per_image_path.read_bytes() == Path("run_per_image.csv").read_bytes()
    assert main(["measure", "out", "plate", "--table", "words.csv"]) == 0, "as the table of a run is named"
    assert Path("words.csv").read_bytes() == Path("run.csv").read_bytes()
    assert main(["run", str(saved()), "plate", "again", "--table", "again.tsv"]) == 0
    assert rows_of("again.tsv", "\t") == rows_of("run.csv")


def saved() -> Path:
    RECIPE.save("recipe.json")
    return Path("recipe.json")


def test_resuming_a_folder_keeps_what_is_there_and_counts_it(plate: dict[str, np.ndarray]) -> None:
    nc.run(RECIPE, "plate/control", "out")
    corrected = np.zeros((12, 16), np.int32)
    corrected[0, :5] = 1
    io.write("out/b.tif", Volume(corrected, "yx", **SIZE), overwrite=True)
    Path("out/a.tif").unlink()
    Path("out/a.tif.recipe.json").unlink()
    batch = nc.run(RECIPE, "plate/control", "out", table="objects.csv", resume=True)
    assert [("resumed" in row.provenance, row.target) for row in batch.rows] == [
        (False, Path("out/a.tif")), (True, Path("out/b.tif")),
    ]  # fmt: skip
    assert [(row["image"], row["n_voxels"]) for row in rows_of("objects.csv")] == [("a", "12"), ("a", "12"), ("b", "5")]
    nc.measure_images("out", "plate/control", "measured.csv")
    assert rows_of("measured.csv") == rows_of("objects.csv"), "named after the images, whose folder is the condition"
    other = nc.Recipe([nc.Step("threshold_at", {"value": 60.0})])
    before = Path("objects.csv").read_bytes()
    refused = nc.run(other, "plate/control", "out", table="objects.csv", resume=True)
    assert (refused.tables, Path("objects.csv").read_bytes()) == (None, before), "nothing was measured"
    assert all("another recipe made it" in row.error for row in refused.rows)
    assert not nc.run(other, "plate/control", "out", resume=True, overwrite=True).failed


def test_resuming_a_folder_notices_an_image_that_was_replaced(plate: dict[str, np.ndarray]) -> None:
    nc.run(RECIPE, "plate/control", "out")
    image = nc.read("plate/control/b.tif")
    image.data[0, 0] += 1
    io.write("plate/control/b.tif", image, kind="image", overwrite=True)
    kept, refused = nc.run(RECIPE, "plate/control", "out", resume=True).rows
    assert "resumed" in kept.provenance
    assert refused.error == (
        "'out/b.tif' exists already, and image 'plate/control/b.tif' was changed since; choose another name or "
        "folder, or allow to overwrite it"
    )
    kept, redone = nc.run(RECIPE, "plate/control", "out", resume=True, overwrite=True).rows
    assert "resumed" in kept.provenance, "only what was changed runs again"
    assert "resumed" not in redone.provenance
    other = nc.run(RECIPE, "plate/control", "out", resume=True, spacing=(1, 1)).rows
    assert [row.error.split("and its ")[1][:42] for row in other] == ["spacing was [0.5, 0.25] and is [1.0, 1.0];"] * 2
    assert not nc.run(RECIPE, "plate/control", "out", resume=True).failed


def test_channels_whose_names_differ_in_signs_have_columns_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    labels = np.zeros((4, 5), np.int32)
    labels[1:3, 1:4] = 1
    for name, grey in (("labels", labels), ("plus", labels * 10), ("minus", labels * 20), ("rest", labels * 30)):
        io.write(f"{name}.tif", Volume(grey.astype(np.int32), "yx"), kind="labels")
    channels = {"CD4+": "plus.tif", "CD4-": "minus.tif", "CD4 ": "rest.tif"}
    nc.measure_images("labels.tif", channels, "objects.csv")
    (row,), (image,) = rows_of("objects.csv"), rows_of("objects_per_image.csv")
    for number, end in zip(("10.0", "20.0", "30.0"), ("", "_2", "_3"), strict=True):
        assert row[f"mean_CD4_{end}"] == image[f"mean_of_mean_CD4_{end}"] == number
    found = nc.measure(labels, {name: nc.read(path).data for name, path in channels.items()})
    assert set(found.headings) | {"image", "folder"} == set(row)


def test_channels_frames_and_stores(tmp_path: Path) -> None:
    labels = np.zeros((3, 8, 10), np.uint16)
    labels[0, 1:4, 1:5], labels[2, 3:6, 2:7] = 7, 7
    colours = np.random.default_rng(0).integers(0, 99, (3, 2, 8, 10), np.uint16)
    io.write(tmp_path / "film.zarr", Volume(labels, "tyx", spacing=(500.0, 250.0), units="nanometer"))
    io.write(tmp_path / "film.tif", Volume(colours, "tcyx", **SIZE), kind="image")
    table = tmp_path / "objects.csv"
    nc.measure_images(
        tmp_path / "film.zarr", tmp_path / "film.tif", table, channels=("DAPI", "GFP"), units="um", overwrite=True
    )
    expected = nc.measure(
        labels, {"DAPI": colours[:, 0], "GFP": colours[:, 1]}, spacing=(0.5, 0.25), units="µm", frame_axis=0
    )
    rows = rows_of(table)
    assert [row["frame"] for row in rows] == ["0", "2"]
    for row, found in zip(rows, expected.table, strict=True):
        assert numbers(row) == pytest.approx(dict(zip(expected.headings, found.values(), strict=True)), rel=1e-12)
    beside = rows_of(tmp_path / "objects_per_image.csv")
    assert [(row["frame"], row["n_objects"]) for row in beside] == [("0", "1"), ("1", "0"), ("2", "1")]
    assert {"mean_of_mean_DAPI", "mean_of_mean_GFP"} <= set(beside[0])


def test_one_run_from_store_to_store_has_a_table_too(tmp_path: Path) -> None:
    image = nuclei((1, 1), (6, 9), (2, 10))
    io.write(tmp_path / "in.zarr", Volume(image, "yx", **SIZE), kind="image")
    nc.run(RECIPE, tmp_path / "in.zarr", tmp_path / "out.zarr", table=tmp_path / "objects.csv")
    found = nc.measure(nc.components(image > 50), image, spacing=(0.5, 0.25), units="µm")
    assert [numbers(row) for row in rows_of(tmp_path / "objects.csv")] == [
        dict(zip(found.headings, row.values(), strict=True)) for row in found.table
    ]
    with pytest.raises(ValueError, match="cannot be written by one part of a job array"):
        nc.run(RECIPE, tmp_path / "in.zarr", tmp_path / "p.zarr", table=tmp_path / "o.csv", part="1/2")


def test_what_cannot_be_measured_is_a_line_with_its_reason(
    plate: dict[str, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    nc.run(RECIPE, "plate", "out")
    io.write("plate/control/a.tif", Volume(plate["control/a"], "yx", (2.0, 2.0), "micrometer"), overwrite=True)
    Path("plate/control/b.tif").unlink()
    assert main(["measure", "out", "plate", "objects.csv"]) == 1
    said = capsys.readouterr().err
    assert "labels have voxels of 0.5 x 0.25 µm, and image has 2 x 2 µm" in said
    assert "no image is named like the labels 'out/control/b.tif'; add one, or take them out" in said
    assert [row["error"] != "" for row in rows_of("objects_per_image.csv")] == [True, True, False]
    assert {row["image"] for row in rows_of("objects.csv")} == {"a"}
    assert main(["measure", "out", "plate", "mine.csv", "--spacing", "1", "--overwrite"]) == 1
    assert "spacing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("out", "plate"), "'plate' ends in '', which is no table; name one to write last, ending in .csv or .tsv"),
        (("out", "t.csv", "--units", "parsec"), "units must be one of Å, pm, nm"),
        (("out", "t.csv", "--image", "plate"), "--image must be name=folder, such as GFP=gfp/, got 'plate'"),
        (("out", "plate", "t.csv", "--image", "a=plate"), "images are given twice"),
        (("out", "one.tif", "t.csv"), "one image was given for 3 label images"),
        (("out", "no/t.csv"), "there is no folder 'no'"),
    ],
)
@pytest.mark.usefixtures("plate")
def test_what_is_wrong_is_said_before_anything_is_measured(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    nc.run(RECIPE, "plate", "out")
    io.write("one.tif", Volume(nuclei(), "yx"))
    assert main(["measure", *words]) == 2
    assert said in capsys.readouterr().err
    assert not list(Path().glob("t*.csv"))


def test_images_of_several_kinds_share_a_table(tmp_path: Path) -> None:
    out = ObjectTable(tmp_path / "objects.csv")
    flat, deep = np.zeros((4, 5), np.uint8), np.zeros((3, 4, 5), np.uint8)
    flat[1, 1:3], deep[0, 1, 1] = 1, 2
    out.add(Entry("flat"), nc.measure(flat), flat.shape)
    out.fail(Entry("lost"), "it was not there")
    dark = np.full(deep.shape, np.nan, np.float32)
    out.add(Entry("deep"), nc.measure(deep, dark, spacing=(2, 1, 1), units="nm"), deep.shape)
    out.close()
    first, second = rows_of(tmp_path / "objects.csv")
    assert (first["area"], first["volume_nm3"], first["mean"]) == ("2.0", "", "")
    assert (second["area"], second["volume_nm3"], second["mean"]) == ("", "2.0", "")
    assert [row["error"] for row in rows_of(tmp_path / "objects_per_image.csv")] == ["", "it was not there", ""]
    with pytest.raises(FileExistsError, match="exists already"):
        ObjectTable(tmp_path / "objects.csv")


def test_entries_are_named_from_where_folders_part() -> None:
    files = ["/data/p/control/day 1/a.tif", "/data/p/treated/a.ome.tif"]
    assert entries_of(files) == [Entry("a", "control/day 1"), Entry("a", "treated")]
    assert entries_of(["/data/p/control/b.tif", "/data/p/control/set.npz:k"]) == [
        Entry("b", "control"),
        Entry("k", "control"),
    ]


def test_labels_in_a_folder_of_the_images_are_no_images(plate: dict[str, Any]) -> None:
    nc.run(RECIPE, "plate", "plate/labels")
    assert len(nc.run(RECIPE, "plate", "plate/labels", overwrite=True).rows) == len(plate)

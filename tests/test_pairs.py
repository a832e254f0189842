"""Which file belongs to which, and the scores of files: nothing is dropped in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout import io
from napari_cutout._pairs import FilePair, pair, paired
from napari_cutout._scoring import Settings, score_files
from napari_cutout.io import Volume

PAIRS = {
    "same names": (["x/a.tif", "x/b.tif"], ["y/b.png", "y/a.png"], ["y/a.png", "y/b.png"]),
    "ome": (["a.ome.tif"], ["a.tif"], ["a.tif"]),
    "keys": (["s.npz:img_000", "s.npz:img_001"], ["s.npz:gt_001"], [None, "s.npz:gt_001"]),
    "one key": (["s.npz:img_007"], ["s.npz:gt_007"], ["s.npz:gt_007"]),
    "suffixes": (["1-raw.tif", "2-raw.tif"], ["1-masks.tif", "2-masks.tif"], ["1-masks.tif", "2-masks.tif"]),
    "numbers are not words": (["t1.tif", "t2.tif"], ["t2.npy"], [None, "t2.npy"]),
}


@pytest.mark.parametrize(("images", "others", "expected"), PAIRS.values(), ids=PAIRS)
def test_pairs(images: list[str], others: list[str], expected: list[str | None]) -> None:
    assert list(pair(images, others, "truth").values()) == expected


@pytest.mark.parametrize(("images", "others", "expected"), PAIRS.values(), ids=PAIRS)
def test_labels_are_paired_as_images_are(images: list[str], others: list[str], expected: list[str | None]) -> None:
    found = paired(images, others)
    assert [(one.predicted, one.truth) for one in found.pairs] == [
        (image, other) for image, other in zip(images, expected, strict=True) if other
    ]
    assert found.unpaired_predicted == tuple(i for i, other in zip(images, expected, strict=True) if not other)
    assert found.unpaired_truth == tuple(sorted(set(others) - set(expected)))


@pytest.mark.parametrize(
    ("images", "others"), [(["cell_A.tif"], ["cell_B.tif"]), (["a.tif"], ["b.tif"]), (["img_1.tif"], ["gt_2.tif"])]
)
def test_names_that_differ_are_not_paired(images: list[str], others: list[str]) -> None:
    with pytest.raises(ValueError, match="no truth is named like an image"):
        pair(images, others, "truth")
    with pytest.raises(ValueError, match="no truth is named like labels"):
        paired(images, others)


def test_names_that_several_files_have_are_a_pair_with_that_error() -> None:
    with pytest.raises(ValueError, match=r"'a.tif' and 'a.png' have one name"):
        pair(["a.tif", "a.png", "b.tif"], ["a.tif", "b.tif"], "truth")
    found = paired(["a.tif", "a.png", "b.tif", "c.tif"], ["b.tif", "t/a.tif", "d.tif", "d.png"])
    assert [one.name for one in found.pairs] == ["a", "b"]
    assert found.pairs[0].error == (
        "2 files of labels and 1 truths have this name, so that nobody can tell which belong together: 'a.tif', "
        "'a.png', 't/a.tif'; take all but one of each out"
    )
    assert (found.pairs[1].predicted, found.pairs[1].truth, found.pairs[1].error) == ("b.tif", "b.tif", "")
    assert (found.unpaired_predicted, found.unpaired_truth) == (("c.tif",), ("d.tif", "d.png"))


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Labels, truths and complete regions of two images."""
    monkeypatch.chdir(tmp_path)
    truth = np.zeros((8, 12), np.uint16)
    truth[1:4, 1:5], truth[4:7, 6:10], truth[1:3, 8:11] = 1, 2, 3
    labels = np.where(truth == 3, 0, truth * 5)
    arrays = {"labels": labels, "truth": truth, "complete": (np.arange(12) < 7) * np.ones((8, 1), np.uint8)}
    for folder, array in arrays.items():
        Path(folder).mkdir()
        io.write(f"{folder}/a.tif", Volume(array.astype(np.uint16), "yx"))
        io.write(f"{folder}/b.tif", Volume(array[:, ::-1].astype(np.uint16), "yx"))
    return arrays


def test_files_are_scored_as_arrays_are(folders: dict[str, np.ndarray]) -> None:
    labels, truth = folders["labels"], folders["truth"]
    expected = nc.evaluate_images([labels, labels[:, ::-1]], [truth, truth[:, ::-1]])
    found = score_files("labels", "truth").result
    assert [one.row for one in found.figures[:2]] == [one.row for one in expected.figures[:2]]
    assert [one.name for one in found.images] == ["a", "b"]
    alone = score_files("labels/a.tif", "truth/a.tif")
    assert alone.pairing.pairs == (FilePair("a", "labels/a.tif", "truth/a.tif", folder="labels"),)
    assert alone.result.figure("dice").pooled.value == nc.evaluate(labels > 0, truth > 0).mean_dice


def test_a_damaged_file_is_a_row_with_its_reason(folders: dict[str, np.ndarray]) -> None:
    Path("truth/a.tif").write_bytes(b"broken")
    io.write("labels/c.tif", Volume(np.zeros((3, 8, 12), np.uint16), "cyx"))
    io.write("truth/c.tif", Volume(folders["truth"], "yx"))
    broken, fine, colours = score_files("labels", "truth").result.images
    assert "cannot read" in broken.error
    assert "has 3 channels" in colours.error
    assert fine.evaluation is not None


def test_complete_regions_are_paired_by_name(folders: dict[str, np.ndarray]) -> None:
    labels, truth, zone = (folders[name] for name in ("labels", "truth", "complete"))
    settings = Settings(ignore=0)
    found = score_files("labels", "truth", "complete", settings=settings).result
    expected = nc.evaluate_objects(labels, truth, ignore=0, complete=zone > 0).at(0.5)
    assert found.figure("pq", "IoU 0.5").image_mean.value == expected["pq"]
    Path("complete/b.tif").unlink()
    found = score_files("labels", "truth", "complete", settings=settings).result
    assert [bool(one.error) for one in found.images] == [False, True]
    assert "no one region that is annotated completely is named like it" in found.images[1].error
    assert score_files("labels/a.tif", "truth/a.tif", "complete/a.tif", settings=settings).result.numbered
    with pytest.raises(ValueError, match="one region `complete` was given for 2 pairs"):
        score_files("labels", "truth", "complete/a.tif", settings=settings)


def test_one_truth_for_many_is_refused(folders: dict[str, np.ndarray]) -> None:
    assert len(folders) == 3
    with pytest.raises(ValueError, match="one truth was given for 2 images"):
        score_files("labels", "truth/a.tif")
    found = score_files("labels/a.tif", "truth")
    assert found.pairing.unpaired_truth == (str(Path("truth/b.tif")),)


@pytest.mark.parametrize("settings", [Settings(), Settings(ignore=0, spacing=(2.0, 1.0), boundaries=True, seed=3)])
def test_settings_survive_json(settings: Any) -> None:
    assert Settings.from_dict(settings.as_dict()) == settings

"""Runs from stores to stores: the labels of the whole, whatever part of an image, and errors that leave nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from scipy.ndimage import gaussian_filter

from napari_cutout import io
from napari_cutout._monitor import Cancelled
from napari_cutout._volume import Volume
from napari_cutout.blockwise import Threads, TooLarge
from napari_cutout.recipe import Recipe, Step
from napari_cutout.running._batch import run
from napari_cutout.running._execute import Result
from napari_cutout.running._run_folder import RunFolder
from napari_cutout.stores import Place, open_image

SHAPE = (40, 50, 60)
TILE = 16

OBJECTS = Step("threshold", {"sigma": 1.0, "one_per_object": True, "min_size": 4})


def blobs(shape: tuple[int, ...] = SHAPE, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).random(shape)
    return (gaussian_filter(noise, 2) * 40000).astype(np.uint16)


def in_store(path: Path, image: np.ndarray, chunks: tuple[int, ...] | None = None) -> Path:
    array = zarr.create_array(
        store=str(path), shape=image.shape, dtype=image.dtype, chunks=chunks or (TILE,) * image.ndim
    )
    array[...] = image
    return path


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return in_store(tmp_path_factory.mktemp("in") / "cells.zarr", blobs())


def result_of(*args: Any, **more: Any) -> Result:
    found = run(*args, **more)
    assert isinstance(found, Result)
    return found


def left_beside(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir()} - {target.name, f"{target.name}.recipe.json"}


STEPS = {
    "classes": Step("kmeans"),
    "objects": OBJECTS,
    "a neighbourhood": Step("sauvola", {"window": 7.0}),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("tile", [None, TILE], ids=["whole", "tiles"])
def test_the_labels_are_those_of_the_whole(step: Step, tile: int | None, stored: Path, tmp_path: Path) -> None:
    whole = result_of(step, blobs()).labels
    target = tmp_path / "labels.zarr"
    result = result_of(step, stored, target, tile=tile)
    np.testing.assert_array_equal(result.labels, whole)
    np.testing.assert_array_equal(io.read(target).data, whole)
    told = result.provenance
    assert told["plan"]["mode"] == ("whole" if tile is None else "tiles")
    assert told["n_labels"] == whole.max()
    assert io.read(target).metadata["provenance"] == told
    assert left_beside(target) == set()
    beside = json.loads((tmp_path / "labels.zarr.recipe.json").read_text())
    assert Recipe.from_json(json.dumps(beside)).steps == (step,)


def test_the_smallest_dtype_is_written(stored: Path, tmp_path: Path) -> None:
    result = result_of(OBJECTS, stored, tmp_path / "labels.zarr", tile=TILE)
    assert result.labels.max().compute() < 256
    assert result.labels.dtype == np.uint8


def test_it_lies_where_the_image_does(tmp_path: Path) -> None:
    source, target = tmp_path / "image.zarr", tmp_path / "labels.zarr"
    volume = Volume(blobs(), "zyx", (2.0, 0.5, 0.5), "micrometer", origin=(1.0, 2.0, 3.0))
    io.write(source, volume, kind="image")
    result_of(OBJECTS, source, target, tile=32, region={"y": (8, 48)})
    found = io.read(target)
    np.testing.assert_array_equal(found.data, result_of(OBJECTS, volume, region={"y": (8, 48)}).labels)
    assert (found.spacing, found.units, found.origin) == ((2.0, 0.5, 0.5), "micrometer", (1.0, 6.0, 3.0))


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("step", [OBJECTS, Step("kmeans")], ids=lambda step: step.method)
def test_frames_one_after_the_other(step: Step, pooled: bool, tmp_path: Path) -> None:
    movie = np.stack([blobs((40, 50), seed) + 500 * seed for seed in range(3)]).astype(np.uint16)
    source = tmp_path / "movie.zarr"
    io.write(source, Volume(movie, "tyx"), kind="image")
    asked: dict[str, Any] = {"each": "t", "pooled": pooled}
    whole = result_of(step, Volume(movie, "tyx"), **asked)
    result = result_of(step, source, tmp_path / "labels.zarr", tile=TILE, **asked)
    np.testing.assert_array_equal(result.labels, whole.labels)
    assert result.provenance["steps"] == whole.provenance["steps"]


@pytest.mark.parametrize("channel", [1, "mean", "all"])
def test_channels(channel: Any, tmp_path: Path) -> None:
    colours = np.stack([blobs((3 * TILE, 50), seed) for seed in range(3)], axis=0)
    source = tmp_path / "colours.zarr"
    io.write(source, Volume(colours, "cyx"), kind="image")
    step = Step("kmeans", {"n_clusters": 2})
    whole = result_of(step, Volume(colours, "cyx"), channel=channel).labels
    np.testing.assert_array_equal(
        result_of(step, source, tmp_path / "labels.zarr", channel=channel, tile=TILE).labels, whole
    )


def test_other_inputs_are_files_stores_or_arrays(stored: Path, tmp_path: Path) -> None:
    mask = np.zeros(SHAPE, np.uint8)
    mask[5:30, 10:, :40] = 1
    step = Step("threshold", {"one_per_object": True}, {"mask": "mask"})
    whole = result_of(step, blobs(), inputs={"mask": mask}).labels
    io.write(tmp_path / "mask.tif", Volume(mask, "zyx"), kind="labels")
    for number, other in enumerate((tmp_path / "mask.tif", in_store(tmp_path / "mask.zarr", mask), mask)):
        result = result_of(step, stored, tmp_path / f"{number}.zarr", inputs={"mask": other}, tile=TILE)
        np.testing.assert_array_equal(result.labels, whole)


@pytest.mark.parametrize(
    "make",
    [lambda path: zarr.open_array(str(path)), lambda path: io.read_lazily(path)[0].data],
    ids=["zarr", "dask"],
)
def test_zarr_and_dask_arrays_go_to_stores(make: Callable[[Path], Any], stored: Path, tmp_path: Path) -> None:
    result = result_of(OBJECTS, make(stored), tmp_path / "labels.zarr", tile=TILE)
    np.testing.assert_array_equal(result.labels, result_of(OBJECTS, blobs()).labels)


def test_to_and_from_an_object_store(tmp_path: Path) -> None:
    at = f"memory://{tmp_path.name}"
    array = zarr.create_array(store=f"{at}/in.zarr", shape=SHAPE, dtype="uint16", chunks=(TILE,) * 3)
    array[...] = blobs()
    result = result_of(OBJECTS, f"{at}/in.zarr", f"{at}/out.zarr", tile=TILE)
    np.testing.assert_array_equal(result.labels, result_of(OBJECTS, blobs()).labels)
    assert result.target == f"{at}/out.zarr"
    assert result.provenance["source"] == f"{at}/in.zarr"
    assert RunFolder(Place.of(f"{at}/out.zarr")).begun() is None


def test_labels_are_scored(stored: Path, tmp_path: Path) -> None:
    truth = (blobs() > 20000).astype(np.uint8)
    whole = result_of(Step("kmeans", {"n_clusters": 2}), blobs(), truth=truth)
    result = result_of(Step("kmeans", {"n_clusters": 2}), stored, tmp_path / "o.zarr", truth=truth, tile=TILE)
    assert result.evaluation is not None
    assert whole.evaluation is not None
    assert result.evaluation.mean_iou == whole.evaluation.mean_iou


def test_who_watches_is_told(stored: Path, tmp_path: Path) -> None:
    told: list[Any] = []
    blocks: list[Any] = []
    fractions: list[float] = []
    result_of(
        OBJECTS,
        stored,
        tmp_path / "labels.zarr",
        tile=TILE,
        probe=True,
        on_plan=lambda plan: told.append(plan.mode),
        on_target=lambda target: told.append(target.levels[0].shape),
        on_block=blocks.append,
        on_progress=lambda _, done: fractions.append(done),
    )
    assert told == ["tiles", SHAPE]
    seen = np.zeros(SHAPE, int)
    for block in blocks:
        seen[block] += 1
    assert (seen == 1).all()
    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.8


def test_memory_that_runs_out_means_smaller_tiles(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def each(self: Threads, name: str, work: Any, numbers: Any) -> Any:
        if max(self.tile) > TILE and name != "counting grey levels":
            raise TooLarge(f"memory ran out with one tile of {self.tile} voxels at work")
        return each_tile(self, name, work, numbers)

    each_tile = Threads.each
    monkeypatch.setattr(Threads, "each", each)
    result = result_of(OBJECTS, stored, tmp_path / "labels.zarr", tile=2 * TILE)
    np.testing.assert_array_equal(result.labels, result_of(OBJECTS, blobs()).labels)
    assert result.provenance["plan"]["tile"] == [TILE] * 3
    assert "went on in tiles of 16x16x16 voxels" in result.provenance["out_of_memory"]


# What is refused ---------------------------------------------------------------------------------------


def test_what_exists_stays(stored: Path, tmp_path: Path) -> None:
    target = in_store(tmp_path / "labels.zarr", np.ones((2, 2), np.uint8))
    with pytest.raises(FileExistsError, match="exists already"):
        run(OBJECTS, stored, target, tile=TILE)
    assert left_beside(target) == set()
    with pytest.raises(ValueError, match=r"would replace .*, which is read"):
        run(OBJECTS, target, target, tile=TILE, overwrite=True)
    np.testing.assert_array_equal(zarr.open_array(str(target))[...], 1)


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"tile": 0}, "tile must be"),
        ({"memory": "much"}, "memory must be a number of bytes"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"memory": "1kB"}, "may be taken"),
        ({"region": {"y": (0, 90)}}, "region ends at 90"),
        ({"inputs": {"mask": np.zeros((3, 3, 3), bool)}}, "mask"),
        ({"ngff": "0.3"}, "ngff|version|0.3"),
    ],
)
def test_what_is_wrong_leaves_nothing(more: dict[str, Any], match: str, stored: Path, tmp_path: Path) -> None:
    target = tmp_path / "labels.zarr"
    with pytest.raises((ValueError, MemoryError), match=match):
        run(OBJECTS, stored, target, **more)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_not_made(stored: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no folder .* to write 'labels.zarr' to; make it"):
        run(OBJECTS, stored, tmp_path / "nowhere" / "labels.zarr")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_stays_or_is_replaced(stored: Path, tmp_path: Path) -> None:
    target = tmp_path / "labels.zarr"
    target.write_text("mine")
    with pytest.raises(FileExistsError, match="exists already"):
        run(OBJECTS, stored, target)
    assert target.read_text() == "mine"
    assert left_beside(target) == set()


def test_tiles_of_what_is_no_store_are_as_was_asked_for(tmp_path: Path) -> None:
    result = result_of(OBJECTS, blobs(), tmp_path / "labels.tif", tile=32)
    assert "8 tiles of 32" in result.provenance["tiling"]
    np.testing.assert_array_equal(result.labels, result_of(OBJECTS, blobs()).labels)
    with pytest.raises(ValueError, match="ngff is for runs from a Zarr store to a Zarr store"):
        run(OBJECTS, blobs(), tmp_path / "labels.zarr", ngff="0.4")


def test_a_method_that_refuses_its_image_leaves_nothing(tmp_path: Path) -> None:
    source = in_store(tmp_path / "flat.zarr", np.full((20, 20), 7, np.uint8))
    with pytest.raises(ValueError, match="grey levels"):
        run(Step("histogram_segmentation"), source, tmp_path / "labels.zarr", tile=8)
    assert [path.name for path in tmp_path.iterdir()] == ["flat.zarr"]


def test_a_chunk_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    source = in_store(tmp_path / "in.zarr", blobs())
    (source / "c" / "1" / "1" / "1").write_bytes(b"garbage")
    with pytest.raises(ValueError, match=r"cannot decode chunk \(1, 1, 1\)"):
        run(OBJECTS, source, tmp_path / "labels.zarr", tile=TILE)
    assert not (tmp_path / "labels.zarr").exists()


def test_absent_chunks_are_counted(tmp_path: Path) -> None:
    source = in_store(tmp_path / "in.zarr", blobs())
    (source / "c" / "1" / "1" / "1").unlink()
    (source / "c" / "0" / "0" / "2").unlink()
    for number, tile in enumerate((None, TILE)):
        result = result_of(OBJECTS, source, tmp_path / f"{number}.zarr", tile=tile)
        assert result.provenance["absent_chunks"] == 2


def test_a_cancelled_run_can_be_taken_up_again(stored: Path, tmp_path: Path) -> None:
    target = tmp_path / "labels.zarr"
    stages: list[str] = []
    with pytest.raises(Cancelled, match=r"is kept in .*pass resume=True"):
        run(
            OBJECTS,
            stored,
            target,
            tile=TILE,
            on_progress=lambda stage, _: stages.append(stage),
            is_cancelled=lambda: "writing labels" in stages,
        )
    assert not target.exists()
    with pytest.raises(FileExistsError, match="was begun and is not finished; pass resume=True"):
        run(OBJECTS, stored, target, tile=TILE)
    result = result_of(OBJECTS, stored, target, resume=True)
    np.testing.assert_array_equal(result.labels, result_of(OBJECTS, blobs()).labels)
    assert left_beside(target) == set()
    assert open_image(target).metadata["run"]


def test_resume_is_for_stores(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="resume is for runs from a Zarr store to a Zarr store"):
        run(OBJECTS, blobs(), tmp_path / "labels.tif", resume=True)

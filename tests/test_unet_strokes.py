"""A U-Net that learns from strokes: what it gives, what it learns again, what it refuses, and how it is compared."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import dask.array as da
import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout import catalog
from napari_cutout._monitor import Cancelled, watch
from napari_cutout.recipe import Recipe, Step
from napari_cutout.unet import strokes

from .cases import model_folder

QUICK: dict[str, Any] = {"n_steps": 60, "width": 8}
"""A training that takes a second, and is enough for the square."""


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    strokes._kept.clear()
    yield
    strokes._kept.clear()


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The painted voxels of each training that was begun."""
    seen: list[int] = []
    plan = strokes.unet_plan

    def counted(image: Any, markers: Any, **settings: Any) -> Any:
        seen.append(int(np.count_nonzero(np.asarray(markers))))
        return plan(image, markers, **settings)

    monkeypatch.setattr(strokes, "unet_plan", counted)
    return seen


def square() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a bright square in noise, strokes of 1 on it and of 2 around it, and where it is."""
    image = np.random.default_rng(0).normal(0, 1, (32, 40)).astype(np.float32)
    inside = np.zeros(image.shape, bool)
    inside[8:20, 10:30] = True
    image[inside] += 4
    painted = np.zeros(image.shape, np.uint8)
    painted[10:12, 12:20] = painted[16:18, 14:26] = 1
    painted[2:4, 2:30] = painted[26:29, 8:36] = painted[9:18, 34:36] = 2
    return image, painted, inside


def test_strokes_teach_what_is_where() -> None:
    image, painted, inside = square()
    labels = nc.unet_from_strokes(image, painted, **QUICK)
    assert labels.dtype == np.int32
    assert set(np.unique(labels)) == {1, 2}
    assert np.mean((labels == 1) == inside) > 0.9  # all background would be 0.81
    without = nc.unet_from_strokes(image, painted, background=2, **QUICK)
    np.testing.assert_array_equal(without, np.where(labels == 2, 0, labels))


def test_the_same_strokes_give_the_same_labels_trained_again_or_not(trained: list[int]) -> None:
    image, painted, _ = square()
    first = nc.unet_from_strokes(image, painted, **QUICK)
    kept = nc.unet_from_strokes(image.copy(), painted.astype(np.int64), **QUICK)
    assert len(trained) == 1, "the same voxels in other arrays"
    strokes._kept.clear()
    again = nc.unet_from_strokes(image, painted, **QUICK)
    assert len(trained) == 2
    np.testing.assert_array_equal(kept, first)
    np.testing.assert_array_equal(again, first)


def test_what_changes_after_the_training_does_not_train_again(trained: list[int]) -> None:
    image, painted, _ = square()
    few = {"n_steps": 1, "width": 2}
    for more in ({}, {"background": 2}, {"min_size": 5}, {"one_per_object": True, "connectivity": 2}):
        nc.unet_from_strokes(image, painted, **few, **more)
    assert len(trained) == 1
    others = [
        (image + 1, painted, few),
        (image, np.where(painted == 2, 3, painted), few),
        (image, painted, few | {"seed": 1}),
        (image, painted, few | {"n_steps": 2}),
        (image, painted, few | {"spacing": (1.0, 3.0)}),
    ]
    for number, (grey, marks, settings) in enumerate(others, start=2):
        nc.unet_from_strokes(grey, marks, **settings)
        assert len(trained) == number
    assert len(strokes._kept) == strokes.MOST_KEPT
    mask = np.ones(image.shape, bool)
    mask[:5] = False
    nc.unet_from_strokes(image, painted, mask, **few)
    assert trained[-1] == np.count_nonzero(painted[5:]), "strokes outside are left out"


def test_steps_after_are_on_the_highest_label_that_is_not_background(monkeypatch: pytest.MonkeyPatch) -> None:
    image, painted, _ = square()
    found = np.ones(image.shape, np.uint8)  # what a network might say: a small and a large part of 2 in 1
    found[4, 4] = found[10:20, 10:20] = 2
    monkeypatch.setattr(strokes, "unet_predict", lambda *_, **__: found.copy())
    few = {"n_steps": 1, "width": 2}
    kept = nc.unet_from_strokes(image, painted, min_size=5, **few)
    expected = found.copy()
    expected[4, 4] = 1  # what is removed becomes the lowest label
    np.testing.assert_array_equal(kept, expected)
    kept = nc.unet_from_strokes(image, painted, min_size=5, background=1, **few)
    np.testing.assert_array_equal(kept, np.where(expected == 2, 2, 0))
    numbers = nc.unet_from_strokes(image, painted, one_per_object=True, **few)
    assert [numbers[4, 4], numbers[15, 15], numbers[0, 0]] == [1, 2, 0]
    numbers = nc.unet_from_strokes(image, painted, background=2, one_per_object=True, **few)
    np.testing.assert_array_equal(numbers, (found == 1).astype(int))


@pytest.mark.parametrize("chunks", [(32, 40), (10, 16)], ids=str)
def test_dask_is_read_when_it_is_computed_and_chunks_do_not_show(chunks: tuple[int, int], trained: list[int]) -> None:
    image, painted, _ = square()
    mask = np.ones(image.shape, bool)
    mask[30:] = False
    lazy = [da.from_array(array, chunks) for array in (image, painted, mask)]
    few = {"n_steps": 4, "width": 2, "min_size": 3, "background": 2}
    with watch() as seen:
        labels = nc.unet_from_strokes(*lazy, **few)
        assert isinstance(labels, da.Array)
        assert labels.chunks == lazy[0].chunks
        assert not trained
        found = labels.compute(scheduler="sync")
        assert seen.facts["strokes"] == {"1": 40, "2": 158}
    np.testing.assert_array_equal(found, nc.unet_from_strokes(image, painted, mask, **few))
    assert found.dtype == labels.dtype


def test_planes_of_a_volume_are_learned_one_by_one() -> None:
    image, painted, _ = square()
    volume, marks = np.stack([image, image[::-1], image]), np.stack([painted, 0 * painted, painted])
    with watch() as seen:
        labels = nc.unet_from_strokes(volume, marks, dimensions=2, n_steps=2, width=2)
    assert labels.shape == volume.shape
    assert len(seen.facts["receptive_field"]) == 2
    assert seen.facts["model"] == "from strokes"
    with pytest.raises(ValueError, match="dimensions must be 2 for planes, got 3"):
        nc.unet_from_strokes(image, painted, dimensions=3)


def test_several_channels_are_looked_at_together() -> None:
    image, painted, inside = square()
    flat = np.zeros_like(image)
    labels = nc.unet_from_strokes(np.stack([flat, image]), painted, channel_axis=0, **QUICK)
    assert np.mean((labels == 1) == inside) > 0.9  # all background would be 0.81


@pytest.mark.parametrize(
    ("marks", "sentence"),
    [
        ({}, "markers have no painted voxel inside, all are 0; paint strokes on the objects and, with another"),
        ({4: 1}, "markers have one label only, 1, which leaves nothing to tell apart"),
        ({4: 1, 9: -1}, "markers must be labels from 0 to 2147483647, got -1; renumber them"),
        ({4: 1, 9: 2**31}, "markers must be labels from 0 to 2147483647, got 2147483648; renumber them"),
    ],
    ids=["none", "one", "negative", "large"],
)
def test_strokes_that_teach_nothing_are_refused(marks: dict[int, int], sentence: str) -> None:
    image, painted, _ = square()
    painted = np.zeros(painted.shape, np.int64)
    for row, label in marks.items():
        painted[row] = label
    with pytest.raises(ValueError, match=sentence):
        nc.unet_from_strokes(image, painted)


def test_a_training_that_is_cancelled_gives_nothing() -> None:
    image, painted, _ = square()
    polls = iter(range(100))
    with pytest.raises(Cancelled, match="nothing was changed"), watch(is_cancelled=lambda: next(polls) > 12):
        nc.unet_from_strokes(image, painted, n_steps=50, width=2)
    assert not strokes._kept


def test_without_torch_the_way_to_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    image, painted, _ = square()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r'the U-Net needs torch.*pip install "napari-cutout\[unet\]"'):
        nc.unet_from_strokes(image, painted)


# Compared ----------------------------------------------------------------------------------------------


def test_it_is_compared_only_where_it_is_named(trained: list[int]) -> None:
    image, painted, _ = square()
    assert {name for name, entry in catalog.methods().items() if entry.slow} == {"unet_from_strokes"}
    alone = nc.compare(image, painted, ignore=0, folds=2)
    assert not {"unet_from_strokes", "unet_predict"} & {one.row.name for one in alone.standings}
    assert not trained
    made = Recipe([Step("unet_from_strokes", {"n_steps": 12, "width": 2}, {"markers": "markers"})])
    board = nc.compare(image, painted, ignore=0, folds=2, methods=["random_walker"], recipes={"unet": made})
    row = next(one.row for one in board.standings if one.row.name == "unet")
    assert not row.error
    assert row.seconds > 0
    total = np.count_nonzero(painted)
    assert trained[-1] == total, "at last it learns from all strokes"
    assert all(0 < n < total for n in trained[:-1])
    assert sum(trained[:-1]) == total, "and of two folds each learns from what the other is scored on"


def test_by_name_it_takes_part_with_its_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    def minute(*_: Any) -> None:
        raise RuntimeError("this would take a minute")

    image, painted, _ = square()
    monkeypatch.setattr(strokes, "_train", minute)
    board = nc.compare(image, painted, ignore=0, folds=2, methods=["unet_from_strokes"])
    (one,) = board.standings
    assert one.row.recipe is not None
    assert dict(one.row.recipe.steps[0].inputs) == {"image": "image", "markers": "markers"}
    assert "this would take a minute" in one.row.error


def test_a_trained_model_takes_part_as_a_recipe_and_is_not_trusted() -> None:
    image, _, inside = square()
    made = Recipe([Step("unet_predict", {"model": model_folder()})])
    board = nc.compare(image, inside.astype(int), methods=["unet_predict"], recipes={"mine": made})
    rows = {one.row.name: one.row for one in board.standings}
    assert rows["unet_predict"].error.startswith("it needs a trained model; give it as a recipe that names one")
    assert not rows["mine"].error
    assert "its score says nothing if its model was trained on this annotation" in rows["mine"].note

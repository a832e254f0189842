"""Steps that are not run again: the same labels, only where settings and voxels are the same, within a limit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_cutout.recipe import Recipe, Selection, Step
from napari_cutout.running._execute import execute
from napari_cutout.running._step_cache import StepCache, _folders

LIMIT = 2**20


def chain(sigma: float = 0.0, distance: float = 2.0) -> Recipe:
    """A threshold, what parts touching objects, and lines between them."""
    steps = [
        Step("threshold", {"sigma": sigma}),
        Step("split_touching", {"min_separation": distance}, {"labels": "step_1"}),
        Step("draw_lines", {}, {"labels": "step_2"}),
    ]
    return Recipe(steps)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (24, 30)).astype(np.uint8)


def run(cache: StepCache, recipe: Recipe, image: np.ndarray, limit: int = LIMIT) -> set[int]:
    """Run with what is known, hold the labels against those of a run that knows nothing, and say what was reused."""
    cache.begin(limit)
    found = execute(recipe, {"image": image}, known=cache)
    fresh = execute(recipe, {"image": image})
    np.testing.assert_array_equal(found.labels, fresh.labels)
    assert found.provenance["facts"] == fresh.provenance["facts"]
    found.labels[...] = 7  # whoever has them may paint on them
    return set(cache.reused)


def test_steps_before_the_one_that_changed_are_not_run_again(image: np.ndarray) -> None:
    cache = StepCache()
    assert run(cache, chain(), image) == set()
    assert run(cache, chain(), image) == {1, 2, 3}
    assert run(cache, chain(distance=3.0), image) == {1}
    assert run(cache, chain(sigma=1.0, distance=3.0), image) == set()
    assert run(cache, chain(distance=3.0), image) == {1, 2, 3}  # and back
    assert run(cache, Recipe([*chain().steps, Step("objects", {}, {"labels": "step_3"})]), image) == {1, 2, 3}


def test_steps_run_again_on_an_image_that_was_painted_on_in_place(image: np.ndarray) -> None:
    cache = StepCache()
    run(cache, chain(), image)
    image[4:9, 4:9] = 255
    assert run(cache, chain(), image) == set()
    assert run(cache, chain(), image.astype(np.uint16)) == set()


def test_parts_are_known_one_by_one(image: np.ndarray) -> None:
    cache, frames = StepCache(), np.stack([image, image[::-1]])
    recipe = Recipe(chain().steps, Selection("tyx", each="t"))
    run(cache, recipe, frames)
    frames[1, 3:6] = 0
    assert run(cache, recipe, frames) == {1, 2, 3}  # of the first frame
    assert len(cache._held) == 9
    frames[1] = image
    assert run(cache, recipe, frames) == {1, 2, 3}
    assert run(cache, Recipe(chain(sigma=1.0).steps, Selection("tyx", each="t")), frames) == set(), "equal, but new"


def test_what_is_kept_stays_within_its_limit(image: np.ndarray) -> None:
    cache, room = StepCache(), 2 * 4 * image.size
    run(cache, chain(), image, room)
    assert 0 < cache.nbytes <= room
    assert run(cache, chain(), image, room) == {1, 2}  # the first ones, not the last
    assert run(cache, chain(sigma=1.0), image, room) == set()
    assert run(cache, chain(sigma=1.0), image, room) == {1, 2}
    cache.begin(image.size - 1)
    assert cache.nbytes == 0
    run(cache, chain(), image, 0)
    assert cache.nbytes == 0


def test_a_model_is_known_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"1")
    before = _folders("unet_predict", {"model": str(tmp_path)})
    (tmp_path / "weights").write_bytes(b"12")
    assert before != _folders("unet_predict", {"model": str(tmp_path)})
    assert _folders("threshold", {}) == []

"""Memory that runs out: whatever allocation fails, a run ends in the right labels and says what happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from napari_cutout import _array, _device
from napari_cutout._memory import Free
from napari_cutout._selection import Selection
from napari_cutout.blockwise import Stored, Threads, TooLarge
from napari_cutout.recipe import Recipe, Step
from napari_cutout.running import _tile_choice
from napari_cutout.running._execute import execute
from napari_cutout.running._limits import Limits
from napari_cutout.running._steps import Run

from . import strict
from .cases import strokes, two_humps

SHAPE = (12, 15, 14)

IMAGE = two_humps(SHAPE)

RECIPES = {
    "otsu": Recipe([Step("threshold", {"sigma": 0.8, "fill_holes": True, "min_size": 4, "one_per_object": True})]),
    "kmeans": Recipe([Step("kmeans", {"median_radius": 1})]),
    "local": Recipe([Step("sauvola", {"window": 5.0, "clear_border": True})]),
    "flood": Recipe([Step("watershed")]),
    "two steps": Recipe([Step("threshold"), Step("split_touching", {}, {"labels": "step_1"})]),
}

ENOUGH = Limits(Free(1 << 30, "the test"), 2)

IN_TILES = Limits(Free(1 << 30, "the test"), 2, tile=(8,))


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tile_choice, "SMALLEST", 4)


def inputs_of(recipe: Recipe) -> dict[str, np.ndarray]:
    known = {"image": IMAGE, "markers": strokes(IMAGE)}
    return {name: known[name] for name in recipe.inputs}


class Allocations:
    """Counts what asks for memory, and raises where it is told to."""

    def __init__(self, fails: Callable[[int, int], bool]) -> None:
        self.n, self.n_failed, self.fails = 0, 0, fails

    def ask(self, n_bytes: int) -> None:
        self.n += 1
        if self.fails(self.n, n_bytes):
            self.n_failed += 1
            raise MemoryError(f"cannot allocate {n_bytes} bytes")


def size_of(shape: Any, dtype: Any) -> int:
    return int(np.prod(shape)) * np.dtype(dtype).itemsize


@contextmanager
def failing(fails: Callable[[int, int], bool]) -> Iterator[Allocations]:
    """Let NumPy's new arrays, tiles that are read, and scratch arrays fail."""
    asked = Allocations(fails)

    def new(function: Any) -> Any:
        def call(shape: Any, dtype: Any = float, *args: Any, **kwargs: Any) -> Any:
            asked.ask(size_of(shape, dtype or float))
            return function(shape, dtype, *args, **kwargs)

        return call

    def read(source: Stored, region: Any) -> Any:
        asked.ask(size_of([s.stop - s.start for s in region], source.dtype))
        return reads(source, region)

    def scratch(sweeper: Threads, shape: Any, dtype: str, chunks: Any) -> Any:
        asked.ask(size_of(shape, dtype))
        return scratches(sweeper, shape, dtype, chunks)

    reads, scratches = Stored.read, Threads.scratch
    with pytest.MonkeyPatch.context() as patch:
        for name in ("empty", "zeros"):
            patch.setattr(np, name, new(getattr(np, name)))
        patch.setattr(Stored, "read", read)
        patch.setattr(Threads, "scratch", scratch)
        yield asked


def at(number: int) -> Callable[[int, int], bool]:
    """Let one allocation fail."""
    return lambda n, _: n == number


def numbers(n: int, tries: int) -> list[int]:
    """Return about so many numbers up to `n`, and always the first and the last."""
    return sorted({1, n, *range(1, n + 1, max(n // tries, 1))})


def assert_right_whichever_fails(recipe: Recipe, allowed: Limits, tries: int) -> None:
    arrays = inputs_of(recipe)
    expected = execute(recipe, arrays, device="cpu").labels
    with failing(at(0)) as asked:
        execute(recipe, arrays, device="cpu", limits=allowed)
    assert asked.n > 5
    for number in numbers(asked.n, tries):
        with failing(at(number)) as failed:
            result = execute(recipe, arrays, device="cpu", limits=allowed)
        assert failed.n_failed == 1, number
        np.testing.assert_array_equal(result.labels, expected, err_msg=f"allocation {number} failed")
        assert result.provenance["out_of_memory"].startswith("memory ran out")


every_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
whole_and_tiles = pytest.mark.parametrize("allowed", [ENOUGH, IN_TILES], ids=["whole", "tiles"])


@whole_and_tiles
@pytest.mark.parametrize("recipe", [RECIPES["otsu"], RECIPES["flood"]], ids=["otsu", "flood"])
def test_if_an_allocation_fails_the_labels_are_right(recipe: Recipe, allowed: Limits) -> None:
    assert_right_whichever_fails(recipe, allowed, 4)


@pytest.mark.slow
@whole_and_tiles
@every_recipe
def test_whichever_allocation_fails_the_labels_are_right(recipe: Recipe, allowed: Limits) -> None:
    assert_right_whichever_fails(recipe, allowed, 10**6)


@pytest.mark.parametrize("name", ["local", "kmeans"])
def test_with_less_memory_tiles_are_smaller_and_that_is_said(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, arrays = RECIPES[name], {"image": two_humps((32, 36, 40))}
    expected = execute(recipe, arrays, device="cpu").labels

    def whole(_run: Run, _used: str) -> Any:
        raise MemoryError("no room for 1 MiB")

    def read(source: Stored, region: Any) -> Any:
        if (n := size_of([s.stop - s.start for s in region], "uint8")) > 7000:
            raise MemoryError(f"no room for {n} voxels")
        return reads(source, region)

    reads = Stored.read
    monkeypatch.setattr(Run, "whole", whole)
    monkeypatch.setattr(Stored, "read", read)
    result = execute(recipe, arrays, device="cpu", limits=ENOUGH)
    np.testing.assert_array_equal(result.labels, expected)
    first, *others = result.provenance["out_of_memory"].split("; went on in tiles of ")
    assert first == "memory ran out for the whole (no room for 1 MiB)"
    assert others[0].startswith("16 x 20 x 20 voxels. memory ran out with one tile of (16, 20, 20) voxels at work (no")
    assert others[1] == "8 x 12 x 12 voxels"
    assert result.provenance["tiling"] == "48 tiles of 8 x 12 x 12 voxels"


def test_where_not_even_the_smallest_tile_fits_that_is_an_error() -> None:
    with failing(lambda _, n_bytes: n_bytes > 0), pytest.raises(MemoryError):
        execute(RECIPES["otsu"], {"image": IMAGE}, device="cpu", limits=IN_TILES)


def test_frames_that_do_not_fit_are_run_in_tiles_one_by_one() -> None:
    image = two_humps((3, 20, 24))
    options = {"sigma": 0.8, "one_per_object": True}
    for pooled in (False, True):
        recipe = Recipe([Step("threshold", options)], Selection("tyx", each="t", pooled=pooled))
        expected = execute(recipe, {"image": image}, device="cpu")
        result = execute(recipe, {"image": image}, device="cpu", limits=IN_TILES)
        np.testing.assert_array_equal(result.labels, expected.labels)
        assert result.provenance["steps"] == expected.provenance["steps"]
        assert result.provenance["tiling"] == "one index of 't' at a time, in 9 tiles of 8 x 8 voxels"


def test_channels_that_stand_last_are_cut_together_in_tiles() -> None:
    image = np.stack([two_humps((20, 24), seed=n) for n in range(3)], axis=-1)
    recipe = Recipe([Step("kmeans", {"n_clusters": 2})], Selection("yxc", channel="all"))
    expected = execute(recipe, {"image": image}, device="cpu").labels
    result = execute(recipe, {"image": image}, device="cpu", limits=IN_TILES)
    assert (result.labels == expected).mean() > 0.99
    assert result.provenance["tiling"] == "9 tiles of 8 x 8 voxels"


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let ``"gpu"`` mean a device whose allocations count up, and fail at those numbers that a test puts here."""
    fails: list[int] = []
    n = [0]

    def place(array: Any, used: str) -> Any:
        if used == "cpu":
            return _array.to_numpy(array)
        n[0] += 1
        if n[0] in fails or -1 in fails:
            raise MemoryError("out of memory on the device")
        return strict.on_device(array) if isinstance(array, np.ndarray) else array

    monkeypatch.setattr(_device, "place", place)
    monkeypatch.setattr(
        _device, "choose", lambda n, b, asked: _device.Choice(asked, "cpu" if asked == "cpu" else "gpu", "it is there")
    )
    monkeypatch.setattr(_device, "gpu_status", lambda: _device.GpuStatus(True, name="a GPU", free=1 << 34))
    return fails


def test_a_device_that_runs_out_of_memory_goes_on_in_tiles(device: list[int]) -> None:
    recipe = RECIPES["local"]
    expected = execute(recipe, {"image": IMAGE}, device="cpu").labels
    device += [1, 2, 4, 9]
    result = execute(recipe, {"image": IMAGE}, device="gpu", limits=ENOUGH)
    np.testing.assert_array_equal(result.labels, expected)
    assert result.provenance["device"]["used"] == "gpu"
    assert result.provenance["out_of_memory"].startswith("memory ran out for the whole (out of memory on the device)")


def test_a_device_without_any_memory_is_left_for_the_host_or_said(device: list[int]) -> None:
    device.append(-1)
    result = execute(RECIPES["local"], {"image": IMAGE}, limits=ENOUGH)
    np.testing.assert_array_equal(result.labels, execute(RECIPES["local"], {"image": IMAGE}, device="cpu").labels)
    assert result.provenance["device"]["used"] == "cpu"
    assert result.provenance["device"]["reason"].startswith("the GPU failed (TooLarge: memory ran out with one tile of")
    with pytest.raises(TooLarge, match="out of memory on the device"):
        execute(RECIPES["local"], {"image": IMAGE}, device="gpu", limits=ENOUGH)

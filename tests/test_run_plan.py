"""What a run will do, before it does it."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

import napari_cutout as nc
from napari_cutout import _device, _memory
from napari_cutout._memory import Free, allowing, host_memory, parse_bytes, within
from napari_cutout.cli import main
from napari_cutout.running import _probe
from napari_cutout.running._limits import Limits, limits
from napari_cutout.running._run_plan import RunPlan, line, plan_arrays, smaller

from .cases import METHODS, settings_of

GIB = 1 << 30
HERE = Free(4 * GIB, "what was asked for")


class Shaped:
    """An array of which nothing but its shape is looked at."""

    def __init__(self, shape: tuple[int, ...], dtype: str = "uint16", chunks: tuple[int, ...] | None = None) -> None:
        self.shape, self.dtype, self.ndim = shape, np.dtype(dtype), len(shape)
        if chunks is not None:
            self.chunks = chunks


def plan_of(
    method: str,
    shape: tuple[int, ...],
    free: int = 4 * GIB,
    *,
    cores: int = 2,
    tile: tuple[int, ...] = (),
    block: tuple[int, ...] | None = None,
    **settings: Any,
) -> RunPlan:
    """Plan one method on a store of a shape."""
    recipe = nc.Recipe([nc.Step(method, settings)])
    inputs = {name: Shaped(shape, "uint16", (64,) * len(shape)) for name in recipe.inputs}
    allowed = Limits(Free(free, "what was asked for"), cores, tile)
    return plan_arrays(recipe, inputs, limits=allowed, device="cpu", block=block)


# Memory ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [("4GiB", 4 << 30), ("4g", 4 << 30), ("1.5 MB", 1_500_000), ("800 kb", 800_000), ("12", 12), (7, 7), (".5K", 512)],
)
def test_bytes_are_read_as_people_write_them(text: str | int, n_bytes: int) -> None:
    assert parse_bytes(text) == n_bytes


@pytest.mark.parametrize("text", ["", "4 apples", "-1GiB", "0", "GiB", "1e9", "4GiB!", "inf"])
def test_other_texts_are_no_bytes(text: str) -> None:
    with pytest.raises(ValueError, match="such as '4GiB'"):
        parse_bytes(text)


def test_what_is_left_of_the_address_space_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=100 * GIB))
    monkeypatch.setattr(resource, "getrlimit", lambda which: (10 * GIB if which == resource.RLIMIT_AS else -1, -1))
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/statm").write_text(f"{4 * GIB // resource.getpagesize()} 1 1 1 0 1 0\n")
    found = host_memory(tmp_path)
    assert found == Free(int(0.8 * 6 * GIB), "the limit of its address space (ulimit -v)")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert host_memory(tmp_path) == Free(80 * GIB, "what the machine has available")


def test_the_limit_that_counts_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=100 * GIB))
    for name, content in {
        "proc/self/cgroup": "0::/",
        "sys/fs/cgroup/memory.max": f"{10 * GIB}",
        "sys/fs/cgroup/memory.current": f"{5 * GIB}",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(_memory, "_left_of_addresses", lambda _: iter(()))
    assert host_memory(tmp_path) == Free(4 * GIB, "the limit of its control group")


def test_what_the_process_holds_is_part_of_what_it_may_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil.Process, "memory_info", lambda _: SimpleNamespace(rss=3 * GIB))
    monkeypatch.setitem(sys.modules, _memory.LIBRARIES, SimpleNamespace())
    assert within(8 * GIB).n_bytes == 4 * GIB
    assert within(2 * GIB).n_bytes == 0
    monkeypatch.delitem(sys.modules, _memory.LIBRARIES)
    assert within(8 * GIB).n_bytes == 4 * GIB - int(0.8 * _memory.LOADING)


def test_inside_a_run_everything_is_told_the_same() -> None:
    with allowing(Free(5, "a test")):
        assert _device.free_host_memory() == 5
    assert _device.free_host_memory() > 5


# What is chosen ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", METHODS, ids=lambda entry: entry.name)
def test_every_method_has_a_plan_that_keeps_within_memory(entry: Any) -> None:
    recipe = nc.Recipe([nc.Step(entry.name, settings_of(entry))])
    inputs = {name: Shaped((1024,) * 3, "uint16", (64,) * 3) for name in recipe.inputs}
    made = plan_arrays(recipe, inputs, limits=Limits(Free(40 * GIB, "a test"), 2), device="cpu", in_tiles=True)
    assert made.mode == "tiles"
    assert made.host_bytes <= 40 * GIB
    assert 1 <= made.workers <= 2
    assert made.n_tiles == math.prod(-(-1024 // e) for e in made.tile)
    assert json.loads(json.dumps(made.as_dict()))["tile"] == list(made.tile)


@given(data=st.data())
def test_tiles_are_whole_blocks_and_fit(data: st.DataObject) -> None:
    ndim = data.draw(st.integers(2, 3))
    edges = st.integers(1, 5000 if ndim == 2 else 700)
    shape = tuple(data.draw(edges) for _ in range(ndim))
    block = tuple(data.draw(st.integers(1, 100)) for _ in range(ndim))
    free = data.draw(st.integers(1 << 20, 1 << 34))
    cores = data.draw(st.integers(1, 64))
    unit = tuple(min(b, n) for b, n in zip(block, shape, strict=True))
    least = 60 * math.prod(n + 10 for n in unit)  # bytes; what joins objects is not asked for
    if least > free:
        free += least
    made = plan_of("threshold", shape, free, cores=cores, block=block, sigma=1.0)
    assert made.host_bytes <= free
    if made.mode == "tiles":
        assert all(e % min(b, n) == 0 or e == n for e, b, n in zip(made.tile, block, shape, strict=True))
        assert made.workers <= min(cores, made.n_tiles)


def test_the_whole_is_taken_where_it_fits_and_tiles_where_not() -> None:
    assert plan_of("threshold", (512, 512, 512)).mode == "whole"
    made = plan_of("threshold", (1500, 1500, 1500))
    assert made.mode == "tiles"
    assert made.why.startswith("the whole needs ")
    assert made.why.endswith(", and 4.0 GiB may be taken, by what was asked for")


def test_less_memory_means_smaller_tiles_and_then_fewer_at_a_time() -> None:
    plans = [plan_of("sauvola", (2048, 2048, 2048), n << 20, cores=8) for n in (16384, 2048, 512, 128)]
    sizes = [math.prod(made.tile) for made in plans]
    assert sizes == sorted(sizes, reverse=True)
    assert plans[0].workers == 8
    assert plans[-1].workers < 8


def test_tiles_are_near_cubes_whatever_the_blocks() -> None:
    made = plan_of("threshold", (2000, 2000, 2000), block=(1, 512, 512))
    assert max(made.tile) <= 2 * min(made.tile)


def test_there_are_tiles_for_every_worker() -> None:
    made = plan_of("watershed", (512, 512, 512), 8 * GIB, cores=4, tile=())
    assert made.mode == "whole"
    arrays = {name: Shaped((512,) * 3, "uint16", (64,) * 3) for name in ("image", "markers")}
    recipe = nc.Recipe([nc.Step("threshold")])
    made = plan_arrays(recipe, {"image": arrays["image"]}, limits=Limits(HERE, 4), device="cpu", in_tiles=True)
    assert made.n_tiles >= 2 * made.workers == 8


def test_a_tile_that_was_asked_for_is_rounded_up_to_blocks() -> None:
    made = plan_of("threshold", (512, 512, 512), tile=(100,), block=(64, 64, 64))
    assert made.tile == (128, 128, 128)
    assert made.notes == ("tiles are whole blocks of the target, 64x64x64 voxels each",)
    assert plan_of("threshold", (512, 512, 512), tile=(64, 128), block=(64, 64, 64)).tile == (512, 64, 128)
    assert "tiny" in plan_of("threshold", (512, 512, 512), tile=(16,), block=(16, 16, 16)).notes[0]


@pytest.mark.parametrize("tile", [0, -3, (), (64, 0), 1.5, "64"])
def test_tiles_must_be_edges(tile: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="tile must be one edge"):
        limits(tile=tile)


def test_workers_must_be_some() -> None:
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        limits(workers=0)


def test_a_tile_that_fits_nowhere_is_refused_with_what_it_needs() -> None:
    with pytest.raises(MemoryError, match=r"one tile of 64x64x64 voxels needs .* pass more memory"):
        plan_of("sauvola", (2048, 2048, 2048), 1 << 20, block=(64, 64, 64))


def test_frames_are_planned_one_by_one() -> None:
    recipe = nc.Recipe([nc.Step("threshold", {"sigma": 1.0})], nc.Selection("tzyx", each="t"))
    image = Shaped((10, 256, 256, 256), "uint16", (1, 64, 64, 64))
    made = plan_arrays(recipe, {"image": image}, limits=Limits(Free(GIB, "a test"), 2), device="cpu")
    assert (made.shape, made.n_parts, made.mode) == ((256, 256, 256), 10, "whole")
    assert ", 10 times: " in line(made)


def test_half_the_edge_comes_next_when_memory_ran_out() -> None:
    made = plan_of("threshold", (512, 512, 512), tile=(128,), block=(32, 32, 32))
    half = smaller(made, (32, 32, 32))
    assert half is not None
    assert (half.tile, half.n_tiles, half.why) == ((64, 64, 64), 512, "memory ran out")
    assert smaller(smaller(half, (32,) * 3), (32,) * 3) is None  # type: ignore[arg-type]


def test_a_gpu_that_is_not_there_can_be_planned_for() -> None:
    recipe = nc.Recipe([nc.Step("sauvola")])
    image = {"image": Shaped((1024, 1024, 1024), "uint16", (64,) * 3)}
    plans = {}
    for memory in (8, 141):
        allowed = Limits(Free(64 * GIB, "a test"), 8, gpu=memory * GIB)
        plans[memory] = plan_arrays(recipe, image, limits=allowed)
        assert plans[memory].device == "gpu"
        assert plans[memory].assumed
        assert plans[memory].device_bytes <= memory * GIB
        assert f"of {memory}.0 GiB" in str(plans[memory])
    assert plans[141].mode == "whole"
    assert (plans[8].mode, plans[8].workers) == ("tiles", 1)
    assert "of GPU memory" in plans[8].why


# What it says ------------------------------------------------------------------------------------------


def test_the_line_says_what_matters() -> None:
    made = plan_of("threshold", (1024, 1024, 1024), 2 * GIB, block=(64,) * 3)
    text = f"in {made.n_tiles} tiles of {'x'.join(map(str, made.tile))} on the CPU, 2 at a time: "
    assert line(made) == f"{text}{_memory.size(made.host_bytes)} of 2.0 GiB"
    probed = _probe.replace(made, read_bytes=12 * GIB, seconds=239.0)
    assert line(probed).endswith(", reads 12.0 GiB, about 4 min")
    assert line(plan_of("threshold", (64, 64, 64))).startswith("whole on the CPU: ")


def test_the_text_says_all_of_it() -> None:
    rows = str(plan_of("threshold", (1024, 1024, 1024), 2 * GIB, one_per_object=True)).splitlines()
    names = [row.split("  ")[0] for row in rows]
    assert names == ["runs", "on", "sees", "tiles", "memory", "free", "writes"]
    assert len({len(row) - len(row.partition("  ")[2].lstrip()) for row in rows}) == 1  # in one column
    assert "to join them" in rows[4]
    assert rows[5].endswith("2.0 GiB to plan with, by what was asked for")


# The probe ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 1000, (96, 96, 96)).astype("uint16")


def test_a_probe_counts_sweeps_and_bytes(image: np.ndarray) -> None:
    made = nc.plan(nc.Step("threshold"), image, tile=32, workers=1)
    assert made.sweeps == 2  # one counts grey levels, and one labels voxels
    assert made.read_bytes == 2 * image.nbytes
    assert made.scratch_bytes == 0
    assert made.seconds is not None
    assert made.seconds > 0


def test_a_probe_counts_what_is_read_around_tiles(image: np.ndarray) -> None:
    made = nc.plan(nc.Step("sauvola", {"window": 9.0}), image, tile=32, workers=1)
    assert made.sweeps == 2  # one looks for what is no number, and one labels voxels with four around each
    assert made.read_bytes == image.nbytes + (3 * (4 + 32 + 4)) ** 3 * image.itemsize


def test_a_probe_reads_a_box_of_the_middle_and_nothing_else(image: np.ndarray, tmp_path: Path) -> None:
    store = zarr.create_array(tmp_path / "v.zarr", shape=(600, 600, 600), chunks=(100,) * 3, dtype="uint16")
    store[200:400, 200:400, 200:400] = np.tile(image, (3, 3, 3))[:200, :200, :200]
    (tmp_path / "v.zarr/c/0/0/0").parent.mkdir(parents=True)
    (tmp_path / "v.zarr/c/0/0/0").write_bytes(b"no chunk of this kind")
    made = nc.plan(nc.Step("threshold"), tmp_path / "v.zarr", tile=100)
    assert made.sweeps == 2
    assert made.tile == (100, 100, 100)
    assert nc.plan(nc.Step("threshold"), tmp_path / "v.zarr", probe=False).sweeps is None


def test_what_a_method_says_of_the_middle_is_a_note(image: np.ndarray) -> None:
    flat = np.full_like(image, 7)
    made = nc.plan(nc.Step("histogram_segmentation"), flat, tile=32)
    assert made.seconds is None
    assert "a probe of the middle failed (histogram_segmentation needs at least 2 grey" in made.notes[-1]


def test_a_probe_has_an_end(image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_probe, "PATIENCE", -1.0)
    made = nc.plan(nc.Step("threshold"), image, tile=32)
    assert made.seconds is None
    assert "not known" in made.notes[-1]
    assert "note" in str(made)


def test_a_folder_has_no_plan(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros((8, 8), "uint8"))
    with pytest.raises(ValueError, match="name one of them"):
        nc.plan(nc.Step("threshold"), tmp_path)


# On the command line -----------------------------------------------------------------------------------


def test_the_plan_is_printed_and_nothing_runs(
    image: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zarr.create_array(tmp_path / "v.zarr", data=image, chunks=(32,) * 3)
    words = [str(tmp_path / "v.zarr"), str(tmp_path / "o.zarr"), "--plan", "--tile", "32", "--memory", "100GiB"]
    assert main(["threshold", *words, "--recipe-out", str(tmp_path / "r.json")]) == 0
    said = capsys.readouterr().out
    assert "27 of 32x32x32 voxels" in said
    assert "an estimate from a short probe" in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["v.zarr"]
    assert "exists, and the run would refuse it" not in said
    assert main(["threshold", words[0], words[0], *words[2:]]) == 0
    assert "v.zarr exists, and the run would refuse it; give --overwrite" in capsys.readouterr().out
    assert main(["threshold", *words[:2], "--assume-gpu", "8GiB"]) != 0
    assert "give --plan with it" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["v.zarr"]

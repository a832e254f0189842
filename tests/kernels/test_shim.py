"""The stand-in for ``cupy.RawModule``, the launch code and ``portable.cuh``, on kernels with known answers."""

from __future__ import annotations

from importlib import resources
from typing import Any

import array_api_strict
import numpy as np
import pytest
from scipy import ndimage

from napari_cutout import kernels

from .. import strict
from ..cases import same_partition
from .cpu_module import HERE, CpuModule

pytestmark = pytest.mark.kernels

INDEXES = {"int": np.int32, "long long": np.int64}


@pytest.fixture
def samples(compiler: None) -> CpuModule:
    return CpuModule(HERE / "samples.cu", (f"-I{kernels.FOLDER}",))


@pytest.fixture
def barriers(compiler: None) -> CpuModule:
    return CpuModule(HERE / "barriers.cu")


@pytest.fixture(params=INDEXES)
def wide(request: pytest.FixtureRequest, compiler: None) -> tuple[CpuModule, Any]:
    """Return the samples for one type of index, and that type."""
    options = (f"-I{kernels.FOLDER}", f"-DINDEX={request.param}")
    return CpuModule(HERE / "samples.cu", options), INDEXES[request.param]


@pytest.mark.parametrize("n_blocks", [1, 7])
def test_threads_of_a_block_wait_for_each_other(barriers: CpuModule, n_blocks: int) -> None:
    values = np.random.default_rng(0).integers(-99, 99, (n_blocks, 64), dtype=np.int32)
    got = np.zeros_like(values)
    barriers.get_function("blocks_reverse")((n_blocks,), (64,), (values, got))
    np.testing.assert_array_equal(got, 2 * values[:, ::-1])


def gathered(module: CpuModule, values: Any, weight: Any, n: int) -> tuple[int, int, int]:
    total, lowest, highest = np.zeros(1, np.uint64), np.full(1, 2**32 - 1, np.uint32), np.zeros(1, np.uint32)
    kernels.launch(module, "values_gather", n, values, total, lowest, highest, weight, np.int64(n))
    return int(total[0]), int(lowest[0]), int(highest[0])


@pytest.mark.parametrize("n", [1, 255, 256, 257, 100_000])
def test_every_item_has_one_thread(samples: CpuModule, n: int) -> None:
    values = np.random.default_rng(n).integers(0, 2**32, n + 5, dtype=np.uint32)
    expected = int(values[:n].sum(dtype=np.int64)), int(values[:n].min()), int(values[:n].max())
    assert gathered(samples, values, None, n) == expected


def test_nothing_is_launched_for_no_items(samples: CpuModule) -> None:
    assert gathered(samples, np.zeros(0, np.uint32), None, 0) == (0, 2**32 - 1, 0)


def test_a_pointer_may_be_null_or_not(samples: CpuModule) -> None:
    values = np.arange(10, dtype=np.uint32)
    assert gathered(samples, values, np.ones(10, np.float32), 10)[0] == 55
    assert gathered(samples, values, None, 10)[0] == 45


def test_arrays_of_a_second_device_are_used_where_they_are(barriers: CpuModule) -> None:
    values, out = strict.on_device(np.zeros(64, np.int32) + 3), strict.on_device(np.zeros(64, np.int32))
    barriers.get_function("blocks_reverse")((1,), (64,), (values, out))
    assert isinstance(out, array_api_strict._array_object.Array)
    np.testing.assert_array_equal(strict.to_host(out), 6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(64, np.int32),), "takes 2 arguments, got 1"),
        ((np.zeros(64, np.int64), np.zeros(64, np.int32)), "argument 0 of blocks_reverse is an array of i4, got int64"),
        ((np.zeros(64, np.int32), np.int32(1)), "argument 1 of blocks_reverse is an array of i4, got int32"),
        ((np.zeros(64, np.int32), np.zeros((64, 2), np.int32)[:, 0]), "argument 1 .* C-contiguous, and is written to"),
        ((np.zeros(64, np.int32), np.broadcast_to(np.int32(0), 64)), "argument 1 .* C-contiguous, and is written to"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(barriers: CpuModule, arguments: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        barriers.get_function("blocks_reverse")((1,), (64,), arguments)


def test_a_scalar_of_another_width_is_refused(samples: CpuModule) -> None:
    with pytest.raises(TypeError, match="argument 1 of trees_start is a scalar of i4, got int64"):
        kernels.launch(samples, "trees_start", 5, np.zeros(5, np.int32), np.int64(5))


@pytest.mark.parametrize("number", [5, 5.0, True])
def test_a_python_number_is_refused(samples: CpuModule, number: Any) -> None:
    with pytest.raises(TypeError, match=f"trees_start got the Python number {number}; say its width"):
        kernels.launch(samples, "trees_start", 5, np.zeros(5, np.int32), number)


def test_a_file_that_does_not_compile_says_why(compiler: None) -> None:
    with pytest.raises(RuntimeError, match=r"samples.cu does not compile for the CPU:\n[^$]*strange"):
        CpuModule(HERE / "samples.cu", (f"-I{kernels.FOLDER}", "-DINDEX=strange"))


@pytest.mark.parametrize(("n", "dtype"), [(1, "int32"), (2**31 - 1, "int32"), (2**31, "int64")])
def test_the_narrowest_index_that_is_wide_enough(n: int, dtype: str) -> None:
    index = kernels.index_of(n)
    assert (index.dtype, INDEXES[index.define]) == (dtype, index.scalar)
    assert index.scalar(n) == n


def test_libraries_without_kernels_are_refused() -> None:
    with pytest.raises(TypeError, match=r"the kernels of basins.cu run on cupy arrays, got one of numpy on cpu"):
        kernels._loaded.__wrapped__("numpy", "basins", (), "cpu")


def test_the_package_ships_its_kernels() -> None:
    shipped = {entry.name for entry in resources.files("napari_cutout.kernels").iterdir()}
    assert {"portable.cuh"} | {path.name for path in kernels.FOLDER.glob("*.cu")} <= shipped


# -- portable.cuh ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 3, 4), (3, 1, 4), (2, 3, 1), (3, 4, 5)])
@pytest.mark.parametrize("connectivity", [1, 2, 3])
def test_neighbours(wide: tuple[CpuModule, Any], shape: tuple[int, int, int], connectivity: int) -> None:
    module, integer = wide
    n = int(np.prod(shape))
    got = np.full((n, 27), -7, integer)
    kernels.launch(module, "neighbours_list", n, got, *map(integer, shape), np.int32(connectivity))
    padded = np.pad(np.arange(n).reshape(shape), 1, constant_values=-1)
    around = np.stack(
        [padded[1 + z :, 1 + y :, 1 + x :][: shape[0], : shape[1], : shape[2]].ravel()
         for z in (-1, 0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1)], axis=1,
    )  # fmt: skip
    steps = np.abs(np.indices((3, 3, 3)) - 1).sum(0).ravel()
    np.testing.assert_array_equal(got, np.where((steps > 0) & (steps <= connectivity), around, -1))


@pytest.mark.parametrize("threads", [32, 1024], ids=["many blocks", "one block"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 7, 5), (1, 33, 31), (4, 9, 13)])
@pytest.mark.parametrize("connectivity", [1, 2, 3])
def test_trees_are_connected_components(
    wide: tuple[CpuModule, Any], shape: tuple[int, int, int], connectivity: int, threads: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(kernels, "THREADS", threads)
    module, integer = wide
    n = int(np.prod(shape))
    territory = np.random.default_rng(n + connectivity).integers(0, 3, shape, dtype=np.int32)
    parent = np.full(shape, -7, integer)
    kernels.launch(module, "trees_start", n, parent, integer(n))
    kernels.launch(module, "trees_join", n, parent, territory, *map(integer, shape), np.int32(connectivity))
    kernels.launch(module, "trees_flatten", n, parent, integer(n))
    np.testing.assert_array_equal(parent.ravel()[parent], parent)
    assert (parent.ravel() <= np.arange(n)).all()
    box = ndimage.generate_binary_structure(3, connectivity)
    for value in (1, 2):
        inside = territory == value
        expected = ndimage.label(inside, box)[0]
        assert same_partition(np.where(inside, parent + 1, 0), expected)

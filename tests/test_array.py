"""What is said where something is no array, or arrays come from several libraries, and that the way out leads out."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr

import napari_cutout as nc
from napari_cutout import _array

IMAGE = np.float32([[0, 0, 0, 9, 9, 9]] * 3)
STROKES = np.array([[1, 0, 0, 0, 0, 2]] * 3)
LABELS = [[1, 1, 1, 2, 2, 2]] * 3


def said_of(*arrays: Any) -> str:
    with pytest.raises(TypeError) as raised:
        nc.random_walker(*arrays)
    return str(raised.value)


def test_dask_and_numpy_are_brought_together_as_it_says() -> None:
    lazy = da.from_array(IMAGE)
    assert said_of(lazy, STROKES) == (
        "all arrays must come from one library, got dask and numpy; "
        "wrap the others with dask.array.from_array, or call .compute() on those of dask"
    )
    assert nc.random_walker(lazy, da.from_array(STROKES)).compute().tolist() == LABELS
    assert nc.random_walker(lazy.compute(), STROKES).tolist() == LABELS


@pytest.mark.parametrize("at", [0, 1])
def test_zarr_arrays_are_read_as_it_says(at: int) -> None:
    arrays: list[Any] = [IMAGE, STROKES]
    arrays[at] = kept = zarr.array(arrays[at])
    assert said_of(*arrays) == (
        "an array was expected, got a zarr Array; read it with numpy.asarray, or pass it to dask.array.from_zarr"
    )
    arrays[at] = np.asarray(kept)
    assert nc.random_walker(*arrays).tolist() == LABELS
    lazy = nc.random_walker(*[da.from_zarr(zarr.array(array)) for array in (IMAGE, STROKES)])
    assert lazy.compute().tolist() == LABELS


def test_other_stores_are_wrapped_as_it_says() -> None:
    class Dataset:
        shape, chunks, dtype, ndim = (3, 6), (3, 6), np.dtype("float32"), 2

        def __getitem__(self, key: Any) -> Any:
            return IMAGE[key]

    said = said_of(Dataset(), STROKES)
    assert said.endswith(" Dataset; read it with numpy.asarray, or pass it to dask.array.from_array")
    lazy: Any = da.from_array(Dataset())
    assert nc.random_walker(lazy, da.from_array(STROKES)).compute().tolist() == LABELS


@pytest.mark.parametrize("kind", [str, Path])
def test_files_are_read_as_it_says(kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nc.write("image.tif", nc.Volume(IMAGE, "yx"), kind="image")
    said = said_of(kind("image.tif"), STROKES)
    assert said == ("an array was expected, got 'image.tif'; read the file first: napari_cutout.read('image.tif').data")
    read = eval(said.partition("first: ")[2], {"napari_cutout": nc})
    assert nc.random_walker(read, STROKES).tolist() == LABELS
    assert said_of(IMAGE, kind("image.tif")) == said


def test_others_are_named() -> None:
    assert said_of(IMAGE.tolist(), STROKES) == "an array was expected, got list; pass a NumPy, CuPy or dask array"


@pytest.mark.parametrize(
    ("libraries", "way_out"),
    [
        (["numpy", "cupy"], "move them first with cupy.asnumpy or cupy.asarray"),
        (["cupy", "numpy"], "move them first with cupy.asnumpy or cupy.asarray"),
        (["torch", "numpy"], "move them first, for example with numpy.asarray"),
    ],
)
def test_ways_out_fit_the_libraries(libraries: list[str], way_out: str) -> None:
    assert _array._one_library(libraries) == way_out


SHAPED = {"zeros": 1, "ones": 1, "empty": 1, "full": 2, "asarray": 1, "zeros_like": 1, "ones_like": 1, "empty_like": 1}
"""What the array API makes arrays with, and how many arguments may stand there without a name."""


def test_dtypes_have_their_names_where_a_library_may_be_cupy() -> None:
    """NumPy takes a dtype without its name, and `array_api_compat` refuses it of CuPy, which few machines have."""
    calls = [
        (path.name, call)
        for path in Path(nc.__file__).parent.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name) and call.func.value.id == "xp"
    ]  # fmt: skip
    wrong = [f"{name}: {ast.unparse(call)}" for name, call in calls if len(call.args) > SHAPED.get(call.func.attr, 9)]
    assert len(calls) > 30
    assert not wrong

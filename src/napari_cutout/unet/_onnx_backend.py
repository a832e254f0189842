"""A network from elsewhere, as ONNX, run by onnxruntime."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .. import _device
from .._array import to_numpy
from ._files import needed

__all__ = ["Form", "OnnxBackend"]

STEP = 32
"""Tiles begin at multiples of it where sizes allow it: networks halve their input up to five times."""

BYTES_PER_VOXEL = 2000
"""Memory that a tile is planned with: what the network is made of is not known."""

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
}


@dataclass(frozen=True, slots=True)
class Form:
    """What a network takes and gives.

    Parameters
    ----------
    axes_in, axes_out : str
        Letters of the axes in order: b, c, and of z, y, x those that it has.
    n_channels : int
        Channels of the input.
    sizes : tuple of tuple of int
        The smallest input along each axis of space, and by how much it may be longer; 0 if it may not.
    halo : tuple of int
        Voxels along each axis that do not count at the edge of the output; 0 if nothing is said.
    """

    axes_in: str
    axes_out: str
    n_channels: int
    sizes: tuple[tuple[int, int], ...]
    halo: tuple[int, ...]

    @property
    def ndim(self) -> int:
        """Axes of space: 2 or 3."""
        return len(self.sizes)

    @property
    def space(self) -> str:
        """Letters of the axes of space, in our order."""
        return "zyx"[-self.ndim :]

    def multiple(self, tile: Sequence[int]) -> tuple[int, ...]:
        """Return at whose multiples tiles of a size begin: so that halos of an eighth of it do not grow."""
        found = []
        for (least, step), n in zip(self.sizes, tile, strict=True):
            multiple = math.gcd(step or least, STEP)
            while multiple > max(n // 8, 1):
                multiple //= 2
            found.append(multiple)
        return tuple(found)

    def tile(self, most: Sequence[int]) -> tuple[int, ...]:
        """Return the largest input that it takes, no larger than `most` where that is allowed."""
        return tuple(
            least + max(n - least, 0) // step * step if step else least
            for (least, step), n in zip(self.sizes, most, strict=True)
        )

    def allowed(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the smallest input that it takes and that holds this one.

        Raises
        ------
        ValueError
            If there is none.
        """
        found = []
        for (least, step), n in zip(self.sizes, shape, strict=True):
            if n > least and not step:
                raise ValueError(f"the network takes {least} voxels along an axis, and got {n}")
            found.append(least + -(-max(n - least, 0) // max(step, 1)) * step)
        return tuple(found)


class OnnxBackend:
    """A network from elsewhere on a device.

    Parameters
    ----------
    data : bytes
        The file of ONNX.
    form : Form
        What it takes and gives.
    after : callable
        From its output of shape (n, K, *shape) to probabilities of classes.
    n_outputs : int
        How many classes.
    most : sequence of int
        Voxels of a tile at most.
    device : {"auto", "cpu", "gpu"}
        Where to run.

    Raises
    ------
    ImportError
        If onnxruntime is not installed; the message has the line that installs it.
    ValueError
        If the file is no network that can be run, or the device cannot be used.
    """

    runtime = "onnxruntime"
    exact = False
    """How far a voxel sees is not known."""

    receptive_field: tuple[int, ...] | None = None
    most_at_once = 1

    def __init__(
        self,
        data: bytes,
        form: Form,
        after: Callable[[NDArray[Any]], NDArray[np.float32]],
        n_outputs: int,
        most: Sequence[int],
        device: Literal["auto", "cpu", "gpu"] = "auto",
    ) -> None:
        self.form, self._after = form, after
        self.n_channels, self.n_outputs, self.ndim = form.n_channels, n_outputs, form.ndim
        tile = form.tile(most)
        self.tile: tuple[int, ...] | None = tile
        self.multiple = form.multiple(tile)
        self.reach = tuple(h or n for h, n in zip(form.halo, tile, strict=True))
        self._session = _session(data, device)
        self._input = self._session.get_inputs()[0]
        on_gpu = self._session.get_providers()[0] == "CUDAExecutionProvider"
        self.ran_on = "a GPU of onnxruntime" if on_gpu else "cpu"

    def __call__(self, tiles: Any) -> NDArray[np.float32]:
        """Return probabilities of shape (n, n_outputs, *shape)."""
        return np.concatenate([self._one(np.asarray(tile, np.float32)) for tile in tiles])

    def _one(self, tile: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what it says of one tile of shape (C, *shape)."""
        shape = tile.shape[1:]
        filled = [(0, n - m) for n, m in zip(self.form.allowed(shape), shape, strict=True)]
        wide = np.pad(tile, ((0, 0), *filled))[None]
        given = _arranged(wide, "bc" + self.form.space, self.form.axes_in)
        found = self._run(given.astype(_DTYPES[self._input.type]))
        if found.ndim != len(self.form.axes_out):
            raise ValueError(f"the output of the network has {found.ndim} axes, not {self.form.axes_out!r}")
        said = self._after(_arranged(found, self.form.axes_out, "bc" + self.form.space).astype(np.float32))
        if said.shape != (1, self.n_outputs, *wide.shape[2:]):
            raise ValueError(
                f"the network gives an output of shape {said.shape} for {wide.shape}, not what its description says"
            )
        return np.asarray(said[(slice(None), slice(None), *(slice(n) for n in shape))])

    def _run(self, given: NDArray[Any]) -> NDArray[Any]:
        try:
            return np.asarray(self._session.run(None, {self._input.name: np.ascontiguousarray(given)})[0])
        except Exception as error:  # onnxruntime's own derive from nothing narrower
            if "allocat" in str(error):
                raise MemoryError(str(error)) from error
            raise ValueError(f"the network cannot be run on an input of shape {given.shape}: {error!s:.300}") from error

    def tile_bytes(self, shape: Sequence[int]) -> int:
        """Return about how much memory a tile takes."""
        return BYTES_PER_VOXEL * math.prod(shape)

    def free_bytes(self) -> int:
        """Return how much memory there is for tiles."""
        return _device.free_host_memory()

    def taken(self, tiles: Any) -> NDArray[Any]:
        """Return tiles that are in the memory of a GPU in that of the host."""
        return to_numpy(tiles)

    def release(self) -> None:
        """Give nothing back: onnxruntime keeps what it has."""

    @property
    def out_of_memory(self) -> tuple[type[BaseException], ...]:
        """What is raised where memory runs out."""
        return (MemoryError,)


def _arranged(array: NDArray[Any], have: str, want: str) -> NDArray[Any]:
    """Return an array with other axes: those that are not wanted have length 1, and those that are new as well."""
    for axis in set(have) - set(want):
        if array.shape[have.index(axis)] != 1:
            raise ValueError(f"the network gives {array.shape[have.index(axis)]} along the axis {axis!r}, not 1")
    kept = [have.index(axis) for axis in want if axis in have]
    dropped = [have.index(axis) for axis in have if axis not in want]
    array = array.transpose(*kept, *dropped)
    array = array.reshape(array.shape[: len(kept)])
    return array[tuple(slice(None) if axis in have else None for axis in want)]


def _session(data: bytes, device: Literal["auto", "cpu", "gpu"]) -> Any:
    """Return a network that is ready to run."""
    runtime = needed("onnxruntime", "running a model of the BioImage Model Zoo", "zoo")
    cuda = "CUDAExecutionProvider"
    there = cuda in runtime.get_available_providers()
    if device == "gpu" and not there:
        raise ValueError(
            "device='gpu' cannot be used: this onnxruntime is built for CPUs; install onnxruntime-gpu in its place, or "
            "choose device='cpu'"
        )
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    providers = [cuda] if there and device != "cpu" else []
    try:
        found = runtime.InferenceSession(data, options, providers=[*providers, "CPUExecutionProvider"])
        inputs, outputs = found.get_inputs(), found.get_outputs()
    except Exception as error:  # onnxruntime's own derive from nothing narrower
        raise ValueError(f"the weights are no network that onnxruntime can run: {error!s:.300}") from error
    if len(inputs) != 1 or len(outputs) != 1 or inputs[0].type not in _DTYPES:
        raise ValueError(
            f"the network must have one input of numbers and one output, got {[i.type for i in inputs]} and "
            f"{len(outputs)} output(s)"
        )
    return found

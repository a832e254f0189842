"""Models of the BioImage Model Zoo, read from a package on disk: nothing is fetched, and no code of theirs is run."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._array import Array
from ._files import needed
from ._onnx_backend import Form, OnnxBackend
from ._package import MOST_DESCRIPTION, Package
from ._zoo_axes import form_of
from ._zoo_old import as_new
from ._zoo_steps import Before, Step, after_of, before_of, scalings, sigmoid, softmax
from .trained import Head

__all__ = ["ZooModel", "load_zoo"]

MOST_WEIGHTS, MOST_TENSOR = 1 << 31, 1 << 28
"""Bytes that weights and an example of an output may have; no more fit into one file of ONNX."""

MOST_CHANNELS = 255
"""Channels of an output; labels are uint8."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ZooModel:
    """A model of the BioImage Model Zoo.

    Parameters
    ----------
    name : str
        What its authors call it.
    data : bytes
        Its network, as ONNX.
    form : Form
        What the network takes and gives.
    before : tuple of Before
        What is done to each channel of an image.
    after : tuple of callable
        What is done to the output of the network, an array of shape (n, K, ...).
    n_channels_out : int
        Channels of the output.
    exclusive : bool
        True if they are probabilities that add up to 1, so that each is a class; False if each may be anything from 0
        to 1, so that 0 is where none of them is above a half.
    digest : str
        SHA-256 of its description and its network.
    """

    name: str
    data: bytes
    form: Form
    before: tuple[Before, ...]
    after: tuple[Step, ...]
    n_channels_out: int
    exclusive: bool
    digest: str

    def __repr__(self) -> str:
        return (
            f"ZooModel({self.name!r}, {self.ndim}-D, {self.n_channels} channel(s), classes {self.classes}, "
            f"{len(self.data):,} bytes)"
        )

    @property
    def head(self) -> Head:
        """What it says of a voxel: its class."""
        return "classes"

    @property
    def n_channels(self) -> int:
        """Channels of the images that it takes."""
        return self.form.n_channels

    @property
    def ndim(self) -> int:
        """Axes of the images that it takes: 2 or 3."""
        return self.form.ndim

    @property
    def n_outputs(self) -> int:
        """How many probabilities it gives each voxel."""
        return self.n_channels_out + (not self.exclusive)

    @property
    def classes(self) -> tuple[int, ...]:
        """The label of each class: 0, and one for every channel of the output, or the next."""
        return tuple(range(self.n_outputs))

    def scalings(self, channels: Sequence[Array]) -> Sequence[Any]:
        """Return how grey levels of each channel become what it sees, by statistics of the whole image.

        Parameters
        ----------
        channels : sequence of array
            The channels of an image.

        Returns
        -------
        sequence of callable
            One for each; delayed for dask arrays.
        """
        return scalings(self.before, channels)

    def backend(self, most: Sequence[int], device: Literal["auto", "cpu", "gpu"] = "auto") -> OnnxBackend:
        """Return it ready to run.

        Parameters
        ----------
        most : sequence of int
            Voxels of a tile at most.
        device : {"auto", "cpu", "gpu"}
            Where to run.

        Raises
        ------
        ImportError
            If onnxruntime is not installed; the message has the line that installs it.
        ValueError
            If its weights cannot be run, or the device cannot be used.
        """
        after = partial(_classes_of, after=self.after, exclusive=self.exclusive)
        return OnnxBackend(self.data, self.form, after, self.n_outputs, most, device)


def _classes_of(numbers: NDArray[Any], *, after: Sequence[Step], exclusive: bool) -> NDArray[np.float32]:
    """Return probabilities of classes, of what a network gives of shape (n, K, ...)."""
    for step in after:
        numbers = step(numbers)
    numbers = np.clip(numbers, 0, 1)
    if exclusive:
        return np.asarray(numbers, np.float32)
    # None of them is as likely as the likeliest is not; so the most likely class is 0 below a half.
    numbers = np.concatenate([1 - numbers.max(1, keepdims=True), numbers], 1)
    return np.asarray(numbers / numbers.sum(1, keepdims=True), np.float32)


def load_zoo(path: str | os.PathLike[str]) -> ZooModel:
    """Read a model of the BioImage Model Zoo from a package on disk.

    Parameters
    ----------
    path : str or path
        The .zip that was downloaded, its folder, or the ``bioimageio.yaml`` in it; formats 0.4 and 0.5.

    Returns
    -------
    ZooModel
        For `unet_predict` and `unet_probabilities`. Where an output of the network is the probability of one kind of
        object each, 0 is what belongs to none of them, and 1, 2... are the outputs in their order. Where they add up to
        1, they are the classes 0, 1...

    Raises
    ------
    FileNotFoundError
        If there is no package, or a file of it is missing.
    ValueError
        If the package is corrupt, or needs what this program does not do; the message says what.
    ImportError
        If onnx is not installed; the message has the line that installs it.

    Notes
    -----
    Only weights in ONNX are read. Those of PyTorch need code of the package, or are unpickled, so they are not.
    Statistics that a package asks for before its network are those of the whole image, as for models of our own, so
    that tiles and chunks do not show. Nothing is fetched from the network, and nothing written.
    """
    return _read(Path(path), whole=True)


def described(path: str | os.PathLike[str]) -> ZooModel:
    """Read what a model of the BioImage Model Zoo is, without its network, which may be large.

    Parameters
    ----------
    path : str or path
        As in `load_zoo`.

    Returns
    -------
    ZooModel
        With no data and no digest.

    Raises
    ------
    FileNotFoundError, ValueError
        As in `load_zoo`, but for what is wrong with the network.
    """
    return _read(Path(path), whole=False)


def _read(place: Path, *, whole: bool) -> ZooModel:
    package = Package(place)
    content = package.content()
    try:
        if str(content.get("format_version", "")).startswith("0.4."):
            content = as_new(content)
        return _model(package, content, whole)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError) as error:
        said = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"the package {str(package.place)!r} cannot be used: {said:.500}") from error


def _model(package: Package, content: Mapping[str, Any], whole: bool) -> ZooModel:
    version = str(content.get("format_version", ""))
    if not version.startswith("0.5."):
        raise ValueError(f"its format_version is {version!r}, and 0.4 and 0.5 are read; update napari-cutout")
    (given,), (found,) = (_only(content[name], name) for name in ("inputs", "outputs"))
    form, n_out = form_of(given, found)
    before = before_of(given.get("preprocessing") or (), form.n_channels, form.space, str(given["id"]))
    after = after_of(found.get("postprocessing") or (), n_out)
    if not 1 <= n_out <= MOST_CHANNELS:
        raise ValueError(f"its output has {n_out} channels, and up to {MOST_CHANNELS} can be classes")
    entry = _onnx(content["weights"])
    exclusive = _exclusive(package, found, form, after, n_out)
    data = _weights(package, entry) if whole else b""
    digest = "" if not whole else sha256(package.read(package.description, MOST_DESCRIPTION) + data).hexdigest()
    name = str(content.get("name") or package.place.stem)
    return ZooModel(name, data, form, tuple(before), tuple(after), n_out, exclusive, digest)


def _only(tensors: Any, name: str) -> Sequence[Mapping[str, Any]]:
    if not isinstance(tensors, list) or len(tensors) != 1:
        n = len(tensors) if isinstance(tensors, list) else 0
        raise ValueError(f"it has {n} {name}, and a model with one can be used")
    return tensors


def _onnx(weights: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is said of the network as ONNX."""
    entry = weights.get("onnx")
    if not entry:
        kinds = ", ".join(str(kind) for kind, value in weights.items() if value) or "none"
        raise ValueError(
            f"its weights ({kinds}) need code of the package or are unpickled, which could run anything; only ONNX is "
            f"run, so ask its authors for weights in ONNX"
        )
    if entry.get("external_data"):
        raise ValueError("its weights lie in two files, and only one file of ONNX is read")
    found: Mapping[str, Any] = entry
    return found


def _weights(package: Package, entry: Mapping[str, Any]) -> bytes:
    """Return the network, as ONNX."""
    data = package.read(entry["source"], MOST_WEIGHTS, entry.get("sha256"))
    _check_complete(data)
    return data


def _check_complete(data: bytes) -> None:
    """Refuse ONNX that is none, or that would have files beside it read."""
    onnx = needed("onnx", "reading a model of the BioImage Model Zoo", "zoo")
    try:
        found = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's own derive from nothing narrower
        raise ValueError(f"its weights are no ONNX: {error!s:.200}") from error
    graphs = [found.graph, *(onnx.GraphProto(node=function.node) for function in found.functions)]
    while graphs:
        graph = graphs.pop()
        sparse = [part for s in graph.sparse_initializer for part in (s.values, s.indices)]
        held = [t for node in graph.node for a in node.attribute for t in (a.t, *a.tensors)]
        if any(t.data_location == onnx.TensorProto.EXTERNAL for t in (*graph.initializer, *sparse, *held)):
            raise ValueError("its weights refer to other files, and only one file of ONNX is read")
        graphs.extend(g for node in graph.node for a in node.attribute for g in (a.g, *a.graphs) if g.node)


# What its output means ---------------------------------------------------------------------------------


def _exclusive(package: Package, found: Mapping[str, Any], form: Form, after: Sequence[Step], n_channels: int) -> bool:
    """Tell whether the channels of the output add up to 1, of what the steps after the network and its example say."""
    last = next((s for s in reversed(after) if not _keeps_range(s)), None)
    if last is softmax:
        return n_channels > 1
    if last is not None:
        return False
    example = _example(package, found)
    if example is None:
        if n_channels == 1 and _range(found) == [0, 1]:
            return False
        raise ValueError("nothing says what its output means: it ends without sigmoid or softmax, and has no example")
    if example.ndim != len(form.axes_out):
        raise ValueError(f"the example of its output has {example.ndim} axes, and its output {len(form.axes_out)}")
    low, high = float(example.min()), float(example.max())
    if not (low >= -1e-3 and high <= 1 + 1e-3):
        raise ValueError(f"its output is no probability: it goes from {low:g} to {high:g} in its example")
    total = example.sum(form.axes_out.index("c")) if "c" in form.axes_out else example
    return bool(n_channels > 1 and np.abs(total - 1).max() < 1e-2)


def _keeps_range(step: Step) -> bool:
    """Tell whether a step says nothing about what the numbers mean: all but sigmoid and softmax."""
    inner = getattr(step, "steps", (step,))
    return not any(s in (sigmoid, softmax) for s in inner)


def _range(found: Mapping[str, Any]) -> list[float]:
    data = found.get("data") or {}
    return [float(v) for v in data.get("range") or ()] if isinstance(data, Mapping) else []


def _example(package: Package, found: Mapping[str, Any]) -> NDArray[Any] | None:
    """Return the example of its output; None if there is none."""
    entry = found.get("test_tensor")
    if not entry or not str(entry["source"]).endswith(".npy"):
        return None
    data = package.read(entry["source"], MOST_TENSOR, entry.get("sha256"))
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(file)
    if dtype.kind not in "fiub" or math.prod(shape) * dtype.itemsize != len(data) - file.tell() or not math.prod(shape):
        raise ValueError(f"{entry['source']} is not a complete array of numbers")
    return np.load(io.BytesIO(data), allow_pickle=False)  # type: ignore[no-any-return]

"""What predicts a tile: a network of this program, ready to run; others have the same face."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from .._array import to_numpy
from ._torch import deterministic, free_bytes, import_torch, make_room, release, torch_device, trim
from .model import network
from .trained import UNetModel

__all__ = ["Backend", "TorchBackend"]


TILES_ON_GPU = 16
"""Tiles of a batch at most; a guess that has not been measured yet."""

_NO_HOST_MEMORY = ("can't allocate memory", "not enough memory")
"""How torch says that host memory ran out, for which it has no exception of its own."""


class Backend(Protocol):
    """Something that turns tiles into what a network says of each voxel."""

    n_channels: int
    n_outputs: int
    ndim: int
    multiple: tuple[int, ...]
    reach: tuple[int, ...]
    runtime: str
    """The module that runs it."""

    ran_on: str
    """The name of the GPU that it runs on, or ``"cpu"``."""

    receptive_field: tuple[int, ...] | None
    """Voxels along each axis that an output voxel may depend on, where that is known."""

    exact: bool
    """True if a tile gives what the whole gives wherever its halo covers `reach`."""

    tile: tuple[int, ...] | None
    """Voxels of a tile at most, where the network says so."""

    def __call__(self, tiles: Any) -> Any:
        """Return probabilities of shape (n, n_outputs, *shape) for float32 tiles of shape (n, n_channels, *shape)."""

    most_at_once: int
    """Tiles of a batch at most."""

    def taken(self, tiles: Any) -> Any:
        """Return tiles that are in the memory of a GPU as what the network can be asked about."""

    def tile_bytes(self, shape: Sequence[int]) -> int:
        """Return about how much memory a tile takes."""

    def free_bytes(self) -> int:
        """Return how much memory there is for tiles."""

    def release(self) -> None:
        """Give memory back that is only kept for later."""

    @property
    def out_of_memory(self) -> tuple[type[BaseException], ...]:
        """What is raised where memory runs out."""


class TorchBackend:
    """A trained U-Net on a device.

    Parameters
    ----------
    model : UNetModel
        What was trained.
    device : {"auto", "cpu", "gpu"}
        Where to run.

    Raises
    ------
    NoTorch
        If torch cannot be loaded.
    ValueError
        If the device cannot be used, or the weights are not those of the architecture.
    """

    runtime = "torch"

    def __init__(self, model: UNetModel, device: Literal["auto", "cpu", "gpu"] = "auto") -> None:
        self._torch = import_torch()
        self.device = torch_device(device)
        self.ran_on = "cpu" if self.device.type == "cpu" else self._torch.cuda.get_device_name(self.device)
        a = self.architecture = model.architecture
        self.head = model.head
        self.n_channels, self.n_outputs, self.ndim = a.n_channels, a.n_outputs, a.ndim
        self.multiple = a.multiple
        self.reach = tuple(max(pair) for pair in a.reach)
        self.receptive_field: tuple[int, ...] | None = a.receptive_field
        self.exact = not a.has_tile_statistics
        self.tile: tuple[int, ...] | None = None
        self.most_at_once = TILES_ON_GPU if self.device.type == "cuda" else 1  # processors are busy with one
        self._shape: tuple[int, ...] = ()
        net = network(a)
        load_weights(net, model.weights)
        self._net = folded(net.eval()).to(self.device, memory_format=_layout(a.ndim))

    def __call__(self, tiles: Any) -> Any:
        """Return what the network says, as a tensor on its device."""
        torch = self._torch
        x = tiles if isinstance(tiles, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(tiles))
        x = x.to(self.device).contiguous(memory_format=_layout(self.ndim))
        mixed = self.device.type == "cuda"
        if tuple(x.shape) != self._shape:  # what tiles of another shape left fits none of this one
            self._shape = tuple(x.shape)
            trim()
        try:
            with (
                torch.inference_mode(),
                deterministic(),
                torch.autocast(self.device.type, torch.float16, enabled=mixed),
            ):
                return activated(self._net(x).float(), self.head)
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError) or not any(words in str(error) for words in _NO_HOST_MEMORY):
                raise
            raise MemoryError(str(error).partition("\n")[0]) from error

    def taken(self, tiles: Any) -> Any:
        """Return CuPy arrays as tensors, without a copy where the network runs on their GPU."""
        return self._torch.from_dlpack(tiles) if self.device.type == "cuda" else to_numpy(tiles)

    def tile_bytes(self, shape: Sequence[int]) -> int:
        """Return about how much memory a tile takes."""
        return self.architecture.predict_bytes(int(np.prod(shape)))

    def free_bytes(self) -> int:
        """Return how much memory there is for tiles."""
        if self.device.type == "cuda":
            make_room()
        return free_bytes(self.device)

    def release(self) -> None:
        """Give memory of a GPU back that torch keeps, so that CuPy can have it."""
        if self.device.type == "cuda":
            release(self.device)

    @property
    def out_of_memory(self) -> tuple[type[BaseException], ...]:
        """What torch raises where memory runs out."""
        return (self._torch.OutOfMemoryError, MemoryError)


def activated(logits: Any, head: str) -> Any:
    """Return probabilities of classes; of a distance head, those of background and inside, and how deep it is."""
    torch = import_torch()
    if head == "distance":
        return torch.cat((torch.softmax(logits[:, :2], 1), torch.sigmoid(logits[:, 2:])), 1)
    return torch.softmax(logits, 1)


def folded(net: Any) -> Any:
    """Return a network with each frozen batch normalisation worked into the convolution before it."""
    nn = import_torch().nn
    fuse = import_torch().nn.utils.fusion.fuse_conv_bn_eval
    for part in net.modules():
        for at in range(len(part) - 1) if isinstance(part, nn.Sequential) else ():
            if isinstance(part[at + 1], nn.BatchNorm2d | nn.BatchNorm3d):
                part[at], part[at + 1] = fuse(part[at], part[at + 1]), nn.Identity()
    return net


def load_weights(net: Any, weights: Any) -> None:
    """Put weights into a network.

    Raises
    ------
    ValueError
        If names or shapes are not those of the network.
    """
    torch = import_torch()
    wanted = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in weights.items()}
    if wanted != given:
        differing = sorted(set(wanted.items()) ^ set(given.items()))
        raise ValueError(
            f"the weights are not those of this architecture: {differing[0][0]} differs; they belong to another model"
        )
    net.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})


def weights_of(net: Any) -> dict[str, NDArray[Any]]:
    """Return a copy of the weights of a network in host memory."""
    return {name: value.detach().cpu().numpy().copy() for name, value in net.state_dict().items()}


def _layout(ndim: int) -> Any:
    torch = import_torch()
    return torch.channels_last if ndim == 2 else torch.channels_last_3d

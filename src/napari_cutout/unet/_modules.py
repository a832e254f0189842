"""What a U-Net computes, as torch modules; imported only where torch is there."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

__all__ = ["Block", "InstanceNorm", "UNet", "pooled", "pooled_in_planes"]


class Block(nn.Module):  # type: ignore[misc]
    """Two convolutions, and what went in added to what comes out where there is a link."""

    def __init__(self, inner: Any, link: Any) -> None:
        super().__init__()
        self.inner = inner
        self.link = link

    def forward(self, x: Any) -> Any:
        """Return the activations of a level."""
        found = self.inner(x)
        return functional.relu(found if self.link is None else found + self.link(x), inplace=True)


class InstanceNorm(nn.Module):  # type: ignore[misc]
    """Each channel of each image to mean 0 and deviation 1, times and plus what was learned.

    Torch's own module refuses channels of a single voxel, which the deepest level of a small image has; here they
    become what is added.
    """

    def __init__(self, n: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n))
        self.bias = nn.Parameter(torch.zeros(n))

    def forward(self, x: Any) -> Any:
        """Return the channels evened out."""
        return torch.instance_norm(x, self.weight, self.bias, None, None, True, 0.0, 1e-5, True)


class UNet(nn.Module):  # type: ignore[misc]
    """An encoder, a decoder, and links between their levels."""

    def __init__(self, encoder: Any, decoder: Any, up: Any, last: Any, strides: tuple[tuple[int, ...], ...]) -> None:
        super().__init__()
        self.encoder, self.decoder, self.up, self.last = encoder, decoder, up, last
        self.strides = strides

    def forward(self, x: Any) -> Any:
        """Return one number per class and voxel, before softmax."""
        links = []
        for level, block in enumerate(self.encoder):
            x = block(x if level == 0 else pooled(x, self.strides[level - 1]))
            links.append(x)
        links.pop()
        for level in range(len(self.strides) - 1, -1, -1):
            x = self.up[level](x)  # what it was made of is free before there is more
            x = self.decoder[level](torch.cat((x, links.pop()), dim=1))
        return self.last(x)


def pooled(x: Any, stride: tuple[int, ...]) -> Any:
    """Return the largest of each box of `stride` voxels."""
    if len(stride) == 2:
        return functional.max_pool2d(x, stride)
    return functional.max_pool3d(x, stride) if x.device.type == "cpu" else pooled_in_planes(x, stride)


def pooled_in_planes(x: Any, stride: tuple[int, ...]) -> Any:
    """Return the largest of each box of a volume.

    On a GPU torch's own pooling of volumes adds up gradients in any order; two poolings in a plane give the same and
    do not.
    """
    n, c, z, y, w = x.shape
    flat = functional.max_pool2d(x.reshape(n * c, z, y, w), stride[1:])
    y, w = flat.shape[2:]
    flat = functional.max_pool2d(flat.reshape(n, c, z, y * w), (stride[0], 1))
    return flat.reshape(n, c, flat.shape[2], y, w)

"""The U-Net itself, in plain torch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from ._torch import import_torch
from .architecture import Architecture, Normalisation

__all__ = ["network"]


def network(architecture: Architecture, *, seed: int = 0) -> Any:
    """Return a U-Net with random weights.

    Parameters
    ----------
    architecture : Architecture
        What it is made of.
    seed : int
        The weights are drawn from it; the state of torch's own generator is left as it is.

    Returns
    -------
    torch.nn.Module
        From float32 of shape (n, n_channels, [Z,] Y, X) to (n, n_outputs, [Z,] Y, X), before softmax. Y and X, and Z,
        are multiples of ``architecture.multiple``.

    Raises
    ------
    NoTorch
        If torch cannot be loaded.

    Notes
    -----
    Convolutions are padded with zeros, so that the output has the shape of the input. Weights are drawn as He et al.
    do; those of the last layer, which no ReLU follows, with the variance that keeps its input's.

    References
    ----------
    .. [1] O. Ronneberger, P. Fischer and T. Brox, "U-Net: convolutional networks for biomedical image segmentation",
       MICCAI (2015) 234-241. DOI:10.1007/978-3-319-24574-4_28
    .. [2] K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers: surpassing human-level performance on
       ImageNet classification", ICCV (2015) 1026-1034. DOI:10.1109/ICCV.2015.123
    """
    torch = import_torch()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _unet(architecture)


def _unet(a: Architecture) -> Any:
    nn = import_torch().nn
    channels = (a.n_channels, *a.widths)
    pairs = list(itertools.pairwise(channels))
    encoder = nn.ModuleList(
        _block(a, n_in, n_out, kernel) for (n_in, n_out), kernel in zip(pairs, a.kernels, strict=True)
    )
    decoder = nn.ModuleList(
        _block(a, 2 * n, n, kernel) for n, kernel in zip(a.widths[:-1], a.kernels[:-1], strict=True)
    )
    double = _layer("ConvTranspose", a.ndim)
    up = nn.ModuleList(
        double(below, here, stride, stride)
        for (here, below), stride in zip(itertools.pairwise(a.widths), a.strides, strict=True)
    )
    last = _layer("Conv", a.ndim)(a.width, a.n_outputs, 1)
    # Smaller ones teach the layers before it nothing until it has grown, which takes a hundred steps.
    nn.init.normal_(last.weight, std=a.width**-0.5)
    nn.init.zeros_(last.bias)
    return _classes().UNet(encoder, decoder, up, last, a.strides)


def _layer(name: str, ndim: int) -> Any:
    return getattr(import_torch().nn, f"{name}{ndim}d")


def _block(a: Architecture, n_in: int, n_out: int, kernel: Sequence[int]) -> Any:
    """Return two convolutions, each with its normalisation."""
    nn = import_torch().nn

    def convolution(n_before: int) -> list[Any]:
        padding = tuple(k // 2 for k in kernel)
        layer = _layer("Conv", a.ndim)(n_before, n_out, tuple(kernel), padding=padding, bias=a.normalisation == "none")
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        return [layer, _normalised(a.normalisation, n_out, a.ndim)]

    first, second = convolution(n_in), convolution(n_out)
    inner = nn.Sequential(*first, nn.ReLU(inplace=True), *second)
    link = None
    if a.residual:
        link = nn.Identity() if n_in == n_out else _layer("Conv", a.ndim)(n_in, n_out, 1, bias=False)
    return _classes().Block(inner, link)


def _normalised(kind: Normalisation, n: int, ndim: int) -> Any:
    nn = import_torch().nn
    if kind == "batch":
        return _layer("BatchNorm", ndim)(n)
    if kind == "instance":
        return _classes().InstanceNorm(n)
    if kind == "group":
        return nn.GroupNorm(next(g for g in (8, 4, 2, 1) if n % g == 0), n)
    return nn.Identity()


def _classes() -> Any:
    """Return the classes that derive from torch's, which cannot be written before torch is loaded."""
    from . import _modules

    return _modules

"""Tiled prediction against MONAI's sliding window: the same network, tiles, overlap, weights and processor."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from _harness import Case, Target
from napari_cutout import unet_predict
from napari_cutout.unet._backend import TorchBackend, weights_of
from napari_cutout.unet._run import TILE
from napari_cutout.unet._torch import import_torch
from napari_cutout.unet.architecture import architecture_for
from napari_cutout.unet.model import network
from napari_cutout.unet.trained import UNetModel

OVERLAP = 0.25
"""Share of a tile that the next one sees too: what ours takes at most where a voxel sees farther than that."""

SHAPES = {2: {"depth": 4, "width": 16}, 3: {"depth": 3, "width": 8}}


@cache
def model(ndim: int) -> UNetModel:
    """Return a network that was never trained; that takes as long."""
    architecture = architecture_for((TILE[ndim]), **SHAPES[ndim])
    return UNetModel(architecture, weights_of(network(architecture)), (0, 1), name="untrained")


@cache
def backend(ndim: int) -> TorchBackend:
    """Return the same network as ours runs, its normalisations folded into its convolutions."""
    return TorchBackend(model(ndim), "cpu")


def ours(image: np.ndarray) -> np.ndarray:
    """Return labels."""
    return unet_predict(image, model=model(image.ndim))


def of_monai(image: np.ndarray) -> np.ndarray:
    """Return labels as MONAI's users do: scale, slide a window, take the likeliest."""
    from monai.inferers import sliding_window_inference

    torch = import_torch()
    net = backend(image.ndim)
    scaled = ((image - image.mean()) / image.std()).astype(np.float32)
    with torch.inference_mode():
        said = sliding_window_inference(
            torch.from_numpy(scaled)[None, None], TILE[image.ndim], 1, net, overlap=OVERLAP, mode="gaussian"
        )
        return said.argmax(1)[0].to(torch.uint8).numpy()


def same(found: np.ndarray, peer: np.ndarray) -> float:
    """Return the share of voxels with the same label; tiles lie elsewhere, and the network was never trained."""
    return float((found == peer).mean())


def words(found: Any, peer: Any, image: np.ndarray) -> str:
    """Return how large the image is."""
    return f"{' x '.join(map(str, image.shape))}, tiles of {TILE[image.ndim][0]}, {SHAPES[image.ndim]}"


CASES = [
    Case(f"U-Net on a {what}", (array,), ours, of_monai, same, Target(ratio=1.0), rounds=3, needs="monai", words=words)
    for what, array in (("plane", "plane"), ("volume", "three quarters"))
]

"""What patches go through before they are learned from, on the device they are learned on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from ._torch import import_torch

__all__ = ["augmented"]

SCALES = 0.8, 1.25
"""By how much a patch is made smaller or larger."""

BEND = 0.06
"""Standard deviation of the elastic displacement, in edges of the patch; it is smooth over a quarter of it."""


def augmented(
    image: Any, target: Any, augment: Collection[str], seed: Sequence[int], *, spacing: Sequence[float] | None = None
) -> tuple[Any, Any]:
    """Return patches turned, bent, brightened and made noisy at random.

    Parameters
    ----------
    image : float32 tensor of shape (n, C, [Z,] Y, X)
        Patches.
    target : int64 tensor of shape (n, [Z,] Y, X)
        Their classes.
    augment : collection of str
        Some of ``"flips"``, ``"rotations"``, ``"elastic"``, ``"intensity"``, ``"noise"``.
    seed : sequence of int
        The same seed gives the same patches on the same device.
    spacing : sequence of float, optional
        World length of a voxel along each axis; patches turn only in planes whose voxels are about as long as wide.

    Returns
    -------
    image, target : tensor
        The same shapes. Voxels that come from beyond a patch are mirrored, and not annotated.
    """
    rng = np.random.default_rng(list(seed))
    if "flips" in augment:
        image, target = _flipped(image, target, rng, spacing)
    if "rotations" in augment or "elastic" in augment:
        image, target = _warped(image, target, augment, rng, spacing)
    if "intensity" in augment:
        image = _brightened(image, rng)
    if "noise" in augment:
        image = _noisy(image, rng)
    return image, target


def _flipped(image: Any, target: Any, rng: np.random.Generator, spacing: Sequence[float] | None) -> tuple[Any, Any]:
    """Mirror each patch along random axes, and turn it by right angles where that keeps its shape."""
    torch = import_torch()
    images, targets = [], []
    ndim = target.ndim - 1
    turns = target.shape[-1] == target.shape[-2] and _alike(spacing, ndim, -2, -1)
    for x, y in zip(image, target, strict=True):
        axes = [a for a in range(-ndim, 0) if rng.random() < 0.5]
        x, y = x.flip(axes), y.flip(axes)
        if turns and rng.random() < 0.5:
            x, y = x.transpose(-1, -2), y.transpose(-1, -2)
        images.append(x)
        targets.append(y)
    return torch.stack(images), torch.stack(targets)


def _warped(
    image: Any, target: Any, augment: Collection[str], rng: np.random.Generator, spacing: Sequence[float] | None
) -> tuple[Any, Any]:
    """Turn, scale and bend each patch."""
    torch = import_torch()
    functional = torch.nn.functional
    n, shape = image.shape[0], target.shape[1:]
    matrices = np.stack([read_from(shape, rng, spacing, "rotations" in augment) for _ in range(n)])
    theta = torch.from_numpy(matrices.astype(np.float32)).to(image.device)
    grid = functional.affine_grid(theta, (n, 1, *shape), align_corners=False)
    if "elastic" in augment:
        grid = grid + bends(n, shape, rng, spacing, image.device)
    moved = functional.grid_sample(image, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    # 0 beyond the patch, so that -1, not annotated, is what is read there.
    classes = functional.grid_sample((target + 1).unsqueeze(1).float(), grid, mode="nearest", align_corners=False)
    return moved, classes.squeeze(1).round().long() - 1


def read_from(shape: Sequence[int], rng: np.random.Generator, spacing: Sequence[float] | None, turn: bool) -> Any:
    """Return where a patch is read: scaled, and turned in one plane, in torch's coordinates (x first, -1 to 1)."""
    ndim = len(shape)
    matrix = np.eye(ndim)
    if turn:
        matrix *= np.exp(rng.uniform(np.log(SCALES[0]), np.log(SCALES[1])))
        planes = [(a, b) for a in range(ndim) for b in range(a + 1, ndim) if _alike(spacing, ndim, a, b)]
        if planes:
            a, b = planes[int(rng.integers(len(planes)))]
            # Half are turned by any angle, half by little: rotated patches lose their corners.
            angle = rng.uniform(-np.pi, np.pi) if rng.random() < 0.5 else rng.normal(0, 0.1)
            rotation = np.eye(ndim)
            rotation[a, a] = rotation[b, b] = np.cos(angle)
            rotation[a, b], rotation[b, a] = -np.sin(angle), np.sin(angle)
            edges = np.diag(np.asarray(shape, float))
            matrix = matrix @ np.linalg.inv(edges) @ rotation @ edges
    return np.hstack((matrix[::-1, ::-1], np.zeros((ndim, 1))))


def bends(n: int, shape: Sequence[int], rng: np.random.Generator, spacing: Sequence[float] | None, device: Any) -> Any:
    """Return smooth displacements, smaller along axes with long voxels."""
    torch = import_torch()
    ndim = len(shape)
    coarse = rng.normal(0, BEND, (n, ndim, *(5 if s > 8 else 1 for s in shape))).astype(np.float32)
    coarse *= rng.random((n, *(1,) * (ndim + 1))).astype(np.float32)
    lengths = np.ones(ndim) if spacing is None else np.asarray(spacing) / min(spacing)
    for axis in range(ndim):
        coarse[:, ndim - 1 - axis] /= lengths[axis] if shape[axis] > 1 else np.inf
    mode = "bilinear" if ndim == 2 else "trilinear"
    fine = torch.nn.functional.interpolate(
        torch.from_numpy(coarse).to(device), size=tuple(shape), mode=mode, align_corners=True
    )
    return fine.movedim(1, -1)


def _brightened(image: Any, rng: np.random.Generator) -> Any:
    """Change contrast, brightness and the curve of grey levels of each patch."""
    torch = import_torch()
    n, ndim = image.shape[0], image.ndim

    def numbers(values: Any) -> Any:
        return torch.from_numpy(np.asarray(values, np.float32)).to(image.device).reshape(n, *(1,) * (ndim - 1))

    contrast, shift = numbers(np.exp(rng.normal(0, 0.2, n))), numbers(rng.normal(0, 0.2, n))
    curve = numbers(np.exp(rng.normal(0, 0.2, n)))
    image = image * contrast + shift
    return image.sign() * (image.abs() + 1e-6) ** curve


def _noisy(image: Any, rng: np.random.Generator) -> Any:
    """Add noise to half of the patches."""
    torch = import_torch()
    generator = torch.Generator(image.device).manual_seed(int(rng.integers(2**62)))
    n, ndim = image.shape[0], image.ndim
    strength = np.where(rng.random(n) < 0.5, rng.uniform(0, 0.2, n), 0).astype(np.float32)
    noise = torch.randn(image.shape, generator=generator, device=image.device)
    return image + noise * torch.from_numpy(strength).to(image.device).reshape(n, *(1,) * (ndim - 1))


def _alike(spacing: Sequence[float] | None, ndim: int, a: int, b: int) -> bool:
    """Tell whether voxels are about as long along two axes."""
    if spacing is None:
        return True
    lengths = list(spacing)[-ndim:]
    return 0.5 < lengths[a] / lengths[b] < 2

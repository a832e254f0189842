"""What a U-Net is made of, as plain data: its shape can be counted and shown before torch is loaded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from .._checks import check_spacing

__all__ = ["Architecture", "Normalisation", "architecture_for"]

Normalisation = Literal["batch", "instance", "group", "none"]
"""What follows each convolution: ``"batch"`` is frozen when predicting, so that tiles equal the whole."""

MAX_DEPTH = 8

WIDEST = 512
"""Channels of a level at most; deeper levels stay that wide."""

Axes = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Architecture:
    """A U-Net: an encoder that halves, a decoder that doubles, and links between their levels.

    Parameters
    ----------
    n_channels : int
        Channels of an image.
    n_outputs : int
        Channels of what comes out, before softmax.
    strides : tuple of tuple of int
        By how much each level is coarser than the one above it, along each axis; its length is the depth.
    kernels : tuple of tuple of int
        Edges of the convolutions of each level, odd, along each axis; one more than `strides`.
    width : int
        Channels of the first level; every level has twice as many as the one above it, up to 512.
    normalisation : {"batch", "instance", "group", "none"}
        What follows each convolution.
    residual : bool
        True to add what goes into the two convolutions of a level to what comes out.

    Raises
    ------
    ValueError
        If a number is out of range, or the numbers of axes or levels differ.

    References
    ----------
    .. [1] O. Ronneberger, P. Fischer and T. Brox, "U-Net: convolutional networks for biomedical image segmentation",
       MICCAI (2015) 234-241. DOI:10.1007/978-3-319-24574-4_28
    .. [2] Ö. Çiçek, A. Abdulkadir, S. S. Lienkamp, T. Brox and O. Ronneberger, "3D U-Net: learning dense volumetric
       segmentation from sparse annotation", MICCAI (2016) 424-432. DOI:10.1007/978-3-319-46723-8_49
    """

    n_channels: int
    n_outputs: int
    strides: tuple[Axes, ...]
    kernels: tuple[Axes, ...]
    width: int = 16
    normalisation: Normalisation = "batch"
    residual: bool = False

    def __post_init__(self) -> None:
        _check_count("n_channels", self.n_channels, 1, 1024)
        _check_count("n_outputs", self.n_outputs, 1, 1024)
        _check_count("width", self.width, 1, WIDEST)
        if self.normalisation not in get_args(Normalisation):
            known = ", ".join(map(repr, get_args(Normalisation)))
            raise ValueError(f"normalisation must be one of {known}, got {self.normalisation!r}")
        if not isinstance(self.residual, bool):
            raise ValueError(f"residual must be true or false, got {self.residual!r}")
        _check_levels(self.strides, self.kernels)

    @property
    def ndim(self) -> int:
        """How many axes an image has: 2 or 3."""
        return len(self.kernels[0])

    @property
    def depth(self) -> int:
        """How often the encoder halves."""
        return len(self.strides)

    @property
    def multiple(self) -> Axes:
        """Voxels along each axis of which an image must have a multiple, and at which tiles may begin."""
        return tuple(math.prod(stride[axis] for stride in self.strides) for axis in range(self.ndim))

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level."""
        return tuple(min(self.width << level, max(WIDEST, self.width)) for level in range(self.depth + 1))

    @property
    def reach(self) -> tuple[tuple[int, int], ...]:
        """How far an output voxel sees along each axis: down and up, in voxels, for the voxel that sees farthest."""
        return tuple((max(d for d, _ in spans), max(u for _, u in spans)) for spans in self._spans())

    @property
    def receptive_field(self) -> Axes:
        """Voxels along each axis that an output voxel may depend on, itself included."""
        return tuple(max(down + up + 1 for down, up in spans) for spans in self._spans())

    def _spans(self) -> list[list[tuple[int, int]]]:
        """Return for each axis how far down and up each output voxel sees, by where it lies in a coarsest voxel."""
        return [_spans([k[a] for k in self.kernels], [s[a] for s in self.strides]) for a in range(self.ndim)]

    @property
    def has_tile_statistics(self) -> bool:
        """True if layers look at the whole of what they are given, so that tiles cannot equal the whole."""
        return self.normalisation in ("instance", "group")

    @property
    def n_parameters(self) -> int:
        """How many numbers are learned."""
        return (
            sum(self._n_of_level(level) for level in range(self.depth + 1))
            + self.width * self.n_outputs
            + (self.n_outputs)
        )

    def _n_of_level(self, level: int) -> int:
        """Return the numbers of both blocks of a level, and of what doubles the level below it."""
        here, before = self.widths[level], self.widths[level - 1] if level else self.n_channels
        total = self._n_of_block(before, here, level)
        if level < self.depth:
            total += self._n_of_block(2 * here, here, level)
            total += self.widths[level + 1] * here * math.prod(self.strides[level]) + here
        return total

    def _n_of_block(self, n_in: int, n_out: int, level: int) -> int:
        edge = math.prod(self.kernels[level])
        shift = {"none": n_out}.get(self.normalisation, 2 * n_out)
        link = n_in * n_out if self.residual and n_in != n_out else 0
        return n_in * n_out * edge + n_out * n_out * edge + 2 * shift + link

    def predict_bytes(self, n_voxels: int) -> int:
        """Return about how much memory predicting takes for a batch of so many voxels, beyond the weights.

        Parameters
        ----------
        n_voxels : int
            Voxels of all tiles of the batch.

        Notes
        -----
        Within 30 % of what torch was measured to take on a CPU, for a width of 16 or more; narrower networks of volumes
        take up to 550 bytes per voxel there, since convolutions of few channels are spread out in memory.
        """
        return round(4 * n_voxels * (self._around + max(self._held(level) for level in range(self.depth + 1))))

    @property
    def _around(self) -> int:
        """The numbers per voxel of the image, of what comes out, and of room to work in."""
        return self.n_channels + 3 * self.n_outputs + 5

    def _held(self, level: int) -> float:
        """Return the numbers per voxel of the image that are held while the decoder is at a level."""
        sizes = [1.0 / math.prod(math.prod(s) for s in self.strides[:at]) for at in range(self.depth + 1)]
        links = sum(w * s for w, s in zip(self.widths[:level], sizes[:level], strict=True))
        # Above the deepest level a link, what comes from below, and both side by side; then what goes into a
        # convolution and what comes out.
        copies = 4.4 if level < self.depth else 2.0
        copies += 1.1 if self.residual or self.normalisation == "instance" else 0.0
        return links + copies * self.widths[level] * sizes[level]

    def train_bytes(self, n_voxels: int) -> int:
        """Return about how much memory training takes for a batch of so many voxels.

        Parameters
        ----------
        n_voxels : int
            Voxels of all patches of the batch.
        """
        per_voxel = float(self._around)
        for level, width in enumerate(self.widths):
            size = 1.0 / math.prod(math.prod(s) for s in self.strides[:level])
            n_blocks = 2 if level < self.depth else 1
            kept = 4 if self.normalisation == "none" else 6  # inputs of convolutions, of normalisations, of ReLUs
            per_voxel += size * width * (kept * n_blocks + (2 if level < self.depth else 0))
        return round(4 * (n_voxels * per_voxel + 4 * self.n_parameters))

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Architecture:
        """Return the architecture that was stored with `as_dict`.

        Parameters
        ----------
        given : dict
            All fields by name.

        Raises
        ------
        ValueError
            If a field is missing, unknown or not allowed.
        """
        names = set(cls.__dataclass_fields__)
        if not isinstance(given, dict) or set(given) != names:
            raise ValueError(f"an architecture has {', '.join(sorted(names))}, got {given!r}")
        levels = {}
        for name in ("strides", "kernels"):
            if not isinstance(given[name], list | tuple):
                raise ValueError(f"{name} must be a list with the numbers of each level, got {given[name]!r}")
            levels[name] = tuple(tuple(axes) if isinstance(axes, list | tuple) else axes for axes in given[name])
        return cls(**{**given, **levels})


def architecture_for(
    shape: Sequence[int],
    *,
    n_channels: int = 1,
    n_outputs: int = 2,
    spacing: Sequence[float] | None = None,
    depth: int | None = None,
    width: int = 16,
    normalisation: Normalisation = "batch",
    residual: bool = False,
) -> Architecture:
    """Return a U-Net that fits images of a shape and the form of their voxels.

    Parameters
    ----------
    shape : sequence of int
        Voxels of the smallest image along each axis, 2 or 3.
    n_channels, n_outputs : int
        Channels of an image, and of what comes out.
    spacing : sequence of float, optional
        World length of a voxel along each axis; equal by default. Along an axis whose voxels are at least twice as
        long as the shortest, convolutions are 1 voxel wide and nothing is halved until the others have become as long.
    depth : int, optional
        How often to halve; by default 4 in 2-D and 3 in 3-D, less where the image is too small.
    width : int
        Channels of the first level.
    normalisation : {"batch", "instance", "group", "none"}
        What follows each convolution.
    residual : bool
        True to add what goes into the two convolutions of a level to what comes out.

    Returns
    -------
    Architecture
        Its strides are 1 along axes that are not halved.

    Raises
    ------
    ValueError
        If the image is too small for the depth that was asked for.
    """
    ndim = len(shape)
    lengths = [float(s) for s in check_spacing(spacing or (1.0,) * ndim, ndim)]
    wanted = depth if depth is not None else 4 if ndim == 2 else 3
    _check_count("depth", wanted, 0, MAX_DEPTH)
    left, kernel = list(shape), (1,) * ndim
    strides: list[Axes] = []
    kernels: list[Axes] = []
    for level in range(wanted + 1):
        # The rule of nnU-Net (Isensee et al. 2021, DOI:10.1038/s41592-020-01008-z): an axis is halved while its voxels
        # are less than twice as long as the shortest of the axes that can still be halved, and its kernel is 3 from
        # the level on at which they are less than twice as long as the shortest. Two departures: axes are halved
        # down to 2 voxels and not 4, since images are smaller here, and a plane has no neighbours along its axis.
        near = _near(lengths, [n > 1 for n in shape])
        kernel = tuple(3 if is_near or k == 3 else 1 for is_near, k in zip(near, kernel, strict=True))
        kernels.append(kernel)
        if level == wanted:
            break
        stride = tuple(2 if is_near else 1 for is_near in _near(lengths, [n >= 4 for n in left]))
        if math.prod(stride) == 1:
            if depth is not None:
                raise ValueError(
                    f"an image of {tuple(shape)} voxels is too small for depth {depth}; choose a depth of at most "
                    f"{level}"
                )
            break
        strides.append(stride)
        left = [n // s for n, s in zip(left, stride, strict=True)]
        lengths = [length * s for length, s in zip(lengths, stride, strict=True)]
    return Architecture(n_channels, n_outputs, tuple(strides), tuple(kernels), width, normalisation, residual)


def _near(lengths: Sequence[float], among: Sequence[bool]) -> list[bool]:
    """Tell which of some axes have voxels that are less than twice as long as the shortest of them."""
    shortest = min((length for length, is_among in zip(lengths, among, strict=True) if is_among), default=0.0)
    return [is_among and length < 2 * shortest for length, is_among in zip(lengths, among, strict=True)]


def _spans(kernels: Sequence[int], strides: Sequence[int]) -> list[tuple[int, int]]:
    """Return how far output voxels see along one axis, down and up, by following intervals back to the image."""
    seen = [_seen(at, at, 0, kernels, strides) for at in range(math.prod(strides))]
    return [(at - low, high - at) for at, (low, high) in enumerate(seen)]


def _seen(low: int, high: int, level: int, kernels: Sequence[int], strides: Sequence[int]) -> tuple[int, int]:
    """Return the first and last voxel of the image that reach from `low` to `high` of a level's output."""
    side = 2 * (kernels[level] // 2)  # two convolutions
    if level < len(strides):  # the decoder's block sees the encoder's, and the level below
        low, high, stride = low - side, high + side, strides[level]
        below_low, below_high = _seen(low // stride, high // stride, level + 1, kernels, strides)
        low, high = min(low, below_low), max(high, below_high)
    low, high = low - side, high + side  # the encoder's block
    if level:
        stride = strides[level - 1]
        return low * stride, high * stride + stride - 1
    return low, high


def _check_count(name: str, value: Any, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, got {value!r}")


def _check_levels(strides: Any, kernels: Any) -> None:
    ndim = len(kernels[0]) if kernels and isinstance(kernels[0], tuple) else 0
    if ndim not in (2, 3) or len(kernels) != len(strides) + 1 or len(strides) > MAX_DEPTH:
        raise ValueError(
            f"kernels must have 2 or 3 axes and one level more than strides, at most {MAX_DEPTH + 1}, got "
            f"kernels={kernels!r}, strides={strides!r}"
        )
    for name, levels, allowed in (("strides", strides, (1, 2, 4)), ("kernels", kernels, (1, 3, 5, 7))):
        for axes in levels:
            right = isinstance(axes, tuple) and all(type(n) is int and n in allowed for n in axes)
            if not right or len(axes) != ndim:
                raise ValueError(f"every entry of {name} must be {ndim} of the numbers {allowed}, got {axes!r}")

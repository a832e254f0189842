"""How labels are stored: the grid, the pyramid, the chunks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._volume import Volume
from ._image import Image

__all__ = ["Layout", "smallest"]


@dataclass(frozen=True, slots=True)
class Layout:
    """The grid of labels, their pyramid and chunks; `dataclasses.replace` makes others.

    `axes` are those of the labels as stored: those of the image in the order t, z, y, x, without c.
    """

    axes: str
    shape: tuple[int, ...]
    scale: tuple[float, ...]
    translation: tuple[float, ...] | None
    units: tuple[str | None, ...]
    factors: tuple[tuple[float, ...], ...]
    shapes: tuple[tuple[int, ...], ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None = None

    @classmethod
    def of(cls, image: Image | Volume, level: int = 0) -> Layout:
        """Return the layout of labels of an image: its grid, its pyramid from `level` on, its chunks where fit."""
        raise NotImplementedError

    @property
    def block_shape(self) -> tuple[int, ...]:
        """What the edges of blocks are multiples of: the chunks of level 0, or its shards."""
        raise NotImplementedError


def smallest(max_label: int) -> np.dtype[Any]:
    """Return the smallest unsigned dtype that holds labels up to a number."""
    raise NotImplementedError

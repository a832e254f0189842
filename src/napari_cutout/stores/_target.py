"""Labels in the making: written block by block, resumed, and put in place when they are complete."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ._checked import CheckedArray
from ._layout import Layout
from ._place import Place

__all__ = ["LabelsTarget", "edit_labels"]

Region = tuple[slice, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LabelsTarget:
    """Labels that are being written to a store. It can be pickled."""

    place: Place
    layout: Layout
    levels: tuple[CheckedArray, ...]
    version: Literal["0.4", "0.5"]

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str] | Place,
        layout: Layout,
        dtype: Any,
        *,
        work: str | os.PathLike[str],
        source: str | None = None,
        ngff: Literal["0.4", "0.5"] | None = None,
        storage_options: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> LabelsTarget:
        """Check the place, and make the arrays of all levels (anew, where a run was begun and is not resumed).

        `work` is the run folder: a local target is made in ``work/labels.zarr``, on the same disk. With an object
        store it is not used. `source` is ``Image.path``.
        """
        raise NotImplementedError

    @classmethod
    def reopen(
        cls,
        path: str | os.PathLike[str] | Place,
        layout: Layout,
        dtype: Any,
        *,
        work: str | os.PathLike[str],
        source: str | None = None,
        ngff: Literal["0.4", "0.5"] | None = None,
        storage_options: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> LabelsTarget:
        """Open what `create` with the same arguments made, to go on with it."""
        raise NotImplementedError

    @staticmethod
    def check(
        path: str | os.PathLike[str] | Place,
        *,
        source: str | None = None,
        ngff: Literal["0.4", "0.5"] | None = None,
        storage_options: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        """Refuse, before anything is computed, a place that cannot be written to or holds what must stay."""
        raise NotImplementedError

    @property
    def block_shape(self) -> tuple[int, ...]:
        """What regions that are written start and end at multiples of: chunks of level 0, or its shards."""
        raise NotImplementedError

    def write(self, region: Sequence[slice], labels: np.ndarray[Any, Any]) -> int:
        """Write a block of level 0; return how many chunks (or shards) are stored for it, empty ones left out."""
        raise NotImplementedError

    def shrink_regions(self, level: int) -> list[Region]:
        """Return the regions of a level, of whole chunks or shards, that `shrink` is to be called with."""
        raise NotImplementedError

    def shrink(self, level: int, region: Sequence[slice]) -> int:
        """Fill a region of a level from the level above, every n-th voxel; return how many chunks are stored."""
        raise NotImplementedError

    def commit(self, metadata: Mapping[str, Any], *, name: str = "") -> str:
        """Put the labels in place; may be repeated after a kill. `metadata` holds recipe and provenance.

        Returns where they are, without credentials.
        """
        raise NotImplementedError

    def discard(self) -> None:
        """Remove what was written, and leave what was there before."""
        raise NotImplementedError


def edit_labels(
    path: str | os.PathLike[str] | Place,
    start: Sequence[int],
    labels: np.ndarray[Any, Any],
    *,
    storage_options: Mapping[str, Any] | None = None,
) -> None:
    """Write a box into stored labels, anywhere, and into every level of their pyramid."""
    raise NotImplementedError

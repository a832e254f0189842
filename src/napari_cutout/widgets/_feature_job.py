"""What a preview of a feature computes: one column of what is in view.  Plain data, no Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import to_numpy
from .._monitor import watch
from ..processing.features import channels_of, feature_names, features
from ..processing.segment import prepare
from ._known_statistics import StatisticsCache
from ._preview_job import IsCancelled, OnProgress, PreviewAnswer, PreviewJob, parts_of

__all__ = ["Column", "FeatureJob", "columns_of"]


@dataclass(frozen=True, slots=True)
class Column:
    """Which column of the features of an image, whatever its scales are called.

    Parameters
    ----------
    feature : str
        Name of the feature.
    channel : int
        Which channel; 0 for a feature that all share.
    scale : int
        Which of the scales; 0 for a feature that has none.
    number : int
        Which of the columns of that feature, such as the second eigenvalue.
    """

    feature: str
    channel: int = 0
    scale: int = 0
    number: int = 0


def columns_of(names: Sequence[str], scales: Sequence[float], ndim: int, n_channels: int) -> dict[str, Column]:
    """Return the columns of features in their order.

    Parameters
    ----------
    names : sequence of str
        The features.
    scales : sequence of float
        Standard deviations of the Gaussians behind them.
    ndim : int
        Axes that the method sees, without that of the channels.
    n_channels : int
        Channels that it sees.

    Returns
    -------
    dict of str to Column
        By the name that `napari_cutout.feature_names` gives a column.

    Raises
    ------
    TypeError, ValueError
        If a name or a scale is not allowed.
    """
    known: dict[str, Column] = {}
    for name in names:
        for at, scale in enumerate(scales):
            for number, column in enumerate(feature_names((name,), (scale,), ndim)):  # type: ignore[arg-type]
                for channel in range(n_channels):
                    prefix = f"channel {channel} " if n_channels > 1 and name != "position" else ""
                    known.setdefault(prefix + column, Column(name, channel if prefix else 0, at, number))
    return {name: known[name] for name in feature_names(tuple(names), tuple(scales), ndim, n_channels)}  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class FeatureJob(PreviewJob):
    """What a preview of one feature is asked for.

    Parameters
    ----------
    column : Column
        Which one.
    """

    column: Column = Column("intensity")

    def run(self, cache: StatisticsCache, on_progress: OnProgress, is_cancelled: IsCancelled) -> PreviewAnswer:
        """Compute what is in view; call it in a thread of its own.

        Parameters
        ----------
        cache : StatisticsCache
            Where it is remembered how far the steps look.
        on_progress : callable
            Called with a stage and the fraction of it that is done.
        is_cancelled : callable
            Polled between blocks.

        Returns
        -------
        PreviewAnswer
            With the column as ``labels``, float32, and as the fact ``column``.

        Raises
        ------
        Cancelled
            If `is_cancelled` returned True.
        ValueError
            If nothing is in view.
        """
        region, parts = parts_of(self)
        values = np.zeros(region.shape, np.float32)
        notes = {region.approximate: None}
        for number, (part, at) in enumerate(parts):
            look = partial(self._column, settings=part.steps[-1].complete_settings)
            with watch(on_progress, is_cancelled):
                found, fits = part.looked_at(look, cache, is_cancelled)
            values[at] = found.reshape(values[at].shape)
            notes |= {} if fits else {"a smaller neighbourhood than in the run": None}
            on_progress("computing features", (number + 1) / len(parts))
        start = tuple(first for first, _ in region.box)
        approximate = "; ".join(filter(None, notes))
        return PreviewAnswer(values, start, region.level, region.factor, {"column": self.column}, approximate)

    def _column(self, held: Mapping[str, Any], settings: Mapping[str, Any]) -> NDArray[Any]:
        """Return the column of what was read, as the method compares voxels by it."""
        column, spacing = self.column, settings["spacing"]
        channel = channels_of(held[self.source], self.selection.channel_axis)[column.channel]
        prepared = prepare(channel, settings["objects"], settings)
        scales = (settings["scales"][column.scale],)
        made = features(prepared, features=(column.feature,), scales=scales, spacing=spacing)  # type: ignore[arg-type]
        found: NDArray[Any] = to_numpy(made)[column.number]
        return found

"""Objects that touch, told apart by what a network says of boundaries or depths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._array import Array
from .._method import Labels
from ..methods.watershed import watershed_from_minima
from ..processing.segment import tidy_regions
from ._run import Prediction, predict

__all__ = ["instances"]

DEPTH = 25.0
"""How deep a minimum must be to be an object of its own, of 254 steps from certain to certain not.

Of 15, 25, 40 and 60 it finds most of touching discs and balls, none of them real, with both heads together: boundaries
want less, depths want more.
"""


def instances(
    prediction: Prediction, channels: Sequence[Array], mask: Array | None, options: Mapping[str, Any]
) -> Labels:
    """Return objects as numbers.

    Parameters
    ----------
    prediction : Prediction
        Gives a relief: 0 around objects, 1 to 255 in them, highest where two touch.
    channels : sequence of arrays
        The image.
    mask : array or None
        Where objects may be.
    options : mapping
        Steps after.

    Returns
    -------
    int32 array
        A number for each object.
    """
    relief = predict(prediction, channels, mask)
    return tidy_regions(watershed_from_minima(relief, relief > 0, depth=DEPTH), options)

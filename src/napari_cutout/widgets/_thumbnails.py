"""Small pictures of labels on a grey image: objects tinted, with their outlines.  No Qt before one is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._pictures import stretched

__all__ = ["EDGE", "ground", "icon", "outlined"]

EDGE = 128
"""Pixels of the longer edge, however large the image is."""

COLOUR = (255, 176, 0)
"""Of outlines and tints; stands out on black and on white, for colour-blind eyes too."""

TINT = 0.25
"""How much of a pixel's grey gives way inside objects."""

RGB = NDArray[np.uint8]


def ground(image: NDArray[Any], edge: int = EDGE) -> RGB:
    """Return a plane as a small grey picture.

    Parameters
    ----------
    image : 2-D array
        Grey levels.
    edge : int
        Pixels of its longer edge.

    Returns
    -------
    uint8 array of shape (height, width)
        Each pixel is the mean of what it stands for; a picture that is smaller is enlarged.
    """
    from PIL import Image

    height, width = size_of(image.shape, edge)
    picture = Image.fromarray(stretched(image))
    way = Image.Resampling.BOX if max(image.shape) > edge else Image.Resampling.NEAREST
    return np.asarray(picture.resize((width, height), way))


def outlined(grey: RGB, labels: NDArray[Any], is_object: NDArray[np.bool_] | None = None) -> RGB:
    """Draw labels on a small grey picture.

    Parameters
    ----------
    grey : uint8 array of shape (height, width)
        As `ground` returns it.
    labels : 2-D integer or bool array
        Of the shape of the image; sampled, never held.
    is_object : 2-D bool array, optional
        What is tinted; all that is not 0 by default.

    Returns
    -------
    uint8 array of shape (height, width, 3)
        A copy.
    """
    rows, columns = (
        ((np.arange(n) + 0.5) * full / n).astype(np.intp) for n, full in zip(grey.shape, labels.shape, strict=True)
    )
    small = np.asarray(labels[np.ix_(rows, columns)])
    inside = small != 0 if is_object is None else np.asarray(is_object[np.ix_(rows, columns)])
    edges = np.zeros(small.shape, bool)
    for axis in (0, 1):  # a pixel of an object beside one of another or of none
        here, there = np.moveaxis(small, axis, 0)[:-1], np.moveaxis(small, axis, 0)[1:]
        np.moveaxis(edges, axis, 0)[:-1] |= here != there
        np.moveaxis(edges, axis, 0)[1:] |= here != there
    picture = np.repeat(grey[..., None], 3, axis=2).astype(np.float32)
    colour = np.asarray(COLOUR, np.float32)
    picture[inside] += TINT * (colour - picture[inside])
    picture[edges & inside] = colour
    return picture.astype(np.uint8)


def size_of(shape: tuple[int, ...], edge: int) -> tuple[int, int]:
    """Return height and width of a small picture of a plane, whose longer edge has that many pixels."""
    scale = edge / max(shape)
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def icon(picture: RGB) -> Any:
    """Return a picture as a QIcon, which keeps its colours in a selected row, where Qt would tint it."""
    from qtpy.QtGui import QIcon, QImage, QPixmap

    height, width = picture.shape[:2]
    data = np.ascontiguousarray(picture)
    image = QImage(data.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    pixmap = QPixmap.fromImage(image)  # a copy: the array may go
    made = QIcon(pixmap)
    made.addPixmap(pixmap, QIcon.Mode.Selected)
    return made

"""Pictures of a report: an image with outlines on it, as PNG inside the page.

A picture is a plane of palette indices: grey levels and a few colours in one byte per pixel, a third of the size.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["PALETTE", "PREDICTED", "STROKES", "TRUTH", "outlined", "painted", "png_uri", "wrong"]

Plane = NDArray[Any]
Picture = NDArray[np.uint8]

SIDE = 420
"""Longer edge of a picture in pixels."""

N_GREYS = 248

TRUTH, PREDICTED, *STROKES = range(N_GREYS, 256)
"""Indices of colours: outlines of the annotation and of what was found, and strokes by the order of their labels."""

ERRORS = (230, 150, PREDICTED, STROKES[3], STROKES[2])
"""Indices of what `error_map` tells apart: background and right in greys, in excess, missed, of another class."""

_COLOURS = (86, 180, 233, 230, 159, 0, 0, 158, 115, 213, 94, 0, 204, 121, 167, 0, 114, 178, 240, 228, 66, 86, 180, 233)
"""Those of Okabe and Ito."""

PALETTE = (*(level * 255 // (N_GREYS - 1) for level in range(N_GREYS) for _ in range(3)), *_COLOURS)
"""Red, green and blue of each index."""


def outlined(image: Plane, *outlines: tuple[Plane, int]) -> Picture:
    """Draw the outlines of labels on an image.

    Parameters
    ----------
    image : uint8 array of shape (Y, X)
        Grey levels.
    *outlines : tuple of (integer array of shape (Y, X), int)
        Labels, and the palette index of their outlines; later ones lie on top.

    Returns
    -------
    uint8 array of shape (height, width)
        Palette indices; the longer edge has 420 pixels.
    """
    picture = _grey(image)
    for labels, colour in outlines:
        picture[_borders(_fitted(labels, picture.shape))] = colour
    return picture


def painted(image: Plane, strokes: Plane) -> Picture:
    """Lay strokes over an image, each label in a colour of its own.

    Parameters
    ----------
    image : uint8 array of shape (Y, X)
        Grey levels.
    strokes : integer array of shape (Y, X)
        Labels; 0 is not painted.

    Returns
    -------
    uint8 array of shape (height, width)
        Palette indices; the longer edge has 420 pixels.
    """
    picture = _grey(image)
    shown = _fitted(strokes, picture.shape)
    for number, label in enumerate(label for label in np.unique(strokes) if label):
        picture[shown == label] = STROKES[number % len(STROKES)]
    return picture


def wrong(errors: Plane, labels: Plane) -> Picture:
    """Paint where labels are wrong, and draw their outlines.

    Parameters
    ----------
    errors : uint8 array of shape (Y, X)
        What `error_map` returned.
    labels : integer array of shape (Y, X)
        The labels.

    Returns
    -------
    uint8 array of shape (height, width)
        Palette indices; the longer edge has 420 pixels.
    """
    scale = SIDE / max(errors.shape)
    shape = tuple(max(1, round(n * scale)) for n in errors.shape)
    picture: Picture = np.asarray(ERRORS, np.uint8)[_fitted(errors, shape)]
    picture[_borders(_fitted(labels, shape))] = 0
    return picture


def png_uri(picture: Picture) -> str:
    """Return a picture as an address that holds it all.

    Parameters
    ----------
    picture : uint8 array of shape (height, width)
        Palette indices.

    Returns
    -------
    str
        ``data:image/png;base64,...``; the same for the same picture.
    """
    file = io.BytesIO()
    shown = Image.fromarray(picture)
    shown.putpalette(PALETTE)
    shown.save(file, format="PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _grey(image: Plane) -> Picture:
    scale = SIDE / max(image.shape)
    height, width = (max(1, round(n * scale)) for n in image.shape)
    kind = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
    levels = np.asarray(Image.fromarray(image).resize((width, height), kind), np.uint16)
    return (levels * (N_GREYS - 1) // 255).astype(np.uint8)


def _fitted(labels: Plane, shape: tuple[int, ...]) -> Plane:
    """Return labels on the grid of a picture, each pixel the label at its middle."""
    rows, columns = (((np.arange(n) + 0.5) * m / n).astype(np.intp) for n, m in zip(shape, labels.shape, strict=True))
    found: Plane = labels[rows[:, None], columns]
    return found


def _borders(labels: Plane) -> NDArray[np.bool_]:
    """Return the pixels on either side of a border between labels: lines two pixels wide."""
    border = np.zeros(labels.shape, bool)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    border[1:] |= down
    border[:-1] |= down
    border[:, 1:] |= right
    border[:, :-1] |= right
    return border

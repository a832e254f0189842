"""Pictures for people: image, truth, labels and errors side by side, drawn with Pillow alone."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from .evaluation._error_kinds import ERROR_KINDS

Plane = NDArray[Any]
Colours = NDArray[np.uint8]

PANEL = 236
"""Longer edge of a panel in pixels."""

GAP = 10
LINE = 26
"""Height of a line of text."""

BACKGROUND = (255, 255, 255)
INK = (20, 20, 20)

ERRORS = ((0, 0, 0), *(kind.rgb for kind in ERROR_KINDS))
"""The colour of each label of an error map; 0, which is right or not annotated, is black."""


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """One row of a picture.

    Parameters
    ----------
    caption : str
        The text above it.
    labels : 2-D array
        The labels.
    errors : 2-D array, optional
        What `napari_cutout.error_map` returned.
    """

    caption: str
    labels: Plane
    errors: Plane | None


@dataclass(frozen=True, slots=True, eq=False)
class Panels:
    """A whole picture.

    Parameters
    ----------
    title : str
        The text on top.
    image : 2-D array
        Grey levels.
    truth : 2-D array, optional
        The annotation.
    strips : sequence of Strip
        The rows.
    """

    title: str
    image: Plane
    truth: Plane | None
    strips: Sequence[Strip]


def draw(path: Path, panels: Panels) -> None:
    """Draw rows of panels (image, truth, labels, errors) and write them as PNG.

    Parameters
    ----------
    path : Path
        Where to write; nothing is written if there is no row.
    panels : Panels
        What to draw.
    """
    if not panels.strips:
        return
    size = _fitted(panels.image.shape)
    n = 2 if panels.truth is None else 4
    width = max(n * (size[0] + GAP) + GAP, 640)
    canvas = Image.new(
        "RGB", (width, 3 * LINE + 2 * GAP + len(panels.strips) * (size[1] + LINE + GAP) + GAP), BACKGROUND
    )
    pen = ImageDraw.Draw(canvas)
    pen.text((GAP, GAP // 2), panels.title, INK, ImageFont.load_default(size=20))
    _legend(pen, panels)
    heads = ("image", "labels") if panels.truth is None else ("image", "truth", "labels", "errors")
    for i, head in enumerate(heads):
        pen.text((GAP + i * (size[0] + GAP), 2 * LINE + GAP), head, INK, ImageFont.load_default(size=16))
    top = 3 * LINE + GAP
    for strip in panels.strips:
        pen.text((GAP, top), strip.caption, INK, ImageFont.load_default(size=16))
        for i, picture in enumerate(_row(panels, strip, size)):
            canvas.paste(picture, (GAP + i * (size[0] + GAP), top + LINE))
        top += size[1] + LINE + GAP
    canvas.save(path, format="PNG")


def _legend(pen: ImageDraw.ImageDraw, panels: Panels) -> None:
    if panels.truth is None:
        return
    left = float(GAP)
    font = ImageFont.load_default(size=14)
    for value in _used(panels):
        pen.rectangle((left, LINE + 9, left + 14, LINE + 23), fill=ERRORS[value], outline=INK)
        word = ERROR_KINDS[value - 1].word
        pen.text((left + 20, LINE + 7), word, INK, font)
        left += 20 + pen.textlength(word, font) + 18


def _used(panels: Panels) -> list[int]:
    """Return the errors that the legend explains; the wrong class only where there is one."""
    wrong = any(strip.errors is not None and (strip.errors == 4).any() for strip in panels.strips)
    return [1, 2, 3, 4] if wrong else [1, 2, 3]


def _row(panels: Panels, strip: Strip, size: tuple[int, int]) -> list[Image.Image]:
    grey = _resized(stretched(panels.image), size, smooth=True)
    labels = _resized(coloured(strip.labels), size)
    if panels.truth is None or strip.errors is None:
        return [grey, labels]
    errors = np.asarray(ERRORS, np.uint8)[strip.errors]
    return [grey, _resized(coloured(panels.truth), size), labels, _resized(errors, size)]


def _fitted(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return width and height of a panel; the longer edge is that of every panel."""
    scale = PANEL / max(shape)
    return max(round(shape[1] * scale), 8), max(round(shape[0] * scale), 8)


def _resized(picture: Colours, size: tuple[int, int], *, smooth: bool = False) -> Image.Image:
    kind = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    return Image.fromarray(picture).resize(size, kind).convert("RGB")


def stretched(image: Plane) -> Colours:
    """Stretch the 0.5 to 99.5 % quantiles of an image over black to white; all of it where these are equal.

    Parameters
    ----------
    image : 2-D array
        Grey levels; what is not finite becomes black.

    Returns
    -------
    uint8 array
        The same shape.
    """
    grey = np.asarray(image, np.float64)
    known = np.isfinite(grey)
    values = grey[known] if known.any() else np.zeros(1)
    low, high = np.quantile(values, (0.005, 0.995))
    if low == high:  # of an image with a few small objects
        low, high = values.min(), values.max()
    inside = np.clip(np.where(known, grey, low), low, high)
    return np.asarray((inside - low) / (high - low or 1.0) * 255, np.uint8)


def coloured(labels: Plane) -> Colours:
    """Give every label a colour of its own, and 0 black.

    Parameters
    ----------
    labels : 2-D integer array
        Any labels.

    Returns
    -------
    uint8 array of shape (Y, X, 3)
        Hues go round by the golden ratio, so that neighbours in number differ most.
    """
    found, at = np.unique(labels, return_inverse=True)
    palette = [(0.0, 0.0, 0.0) if v == 0 else _colour(i) for i, v in enumerate(found.tolist())]
    return (np.asarray(palette) * 255).astype(np.uint8)[at.reshape(labels.shape)]


def _colour(number: int) -> tuple[float, float, float]:
    return colorsys.hsv_to_rgb(0.08 + number * 0.618034 % 1, 0.55 + 0.2 * (number % 3) / 2, 1.0 - 0.15 * (number % 2))

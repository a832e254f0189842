"""Draw when each method does well and when it fails: ``python docs/make_case_pictures.py [METHOD ...]``.

Writes ``docs/pictures/methods/<method>-cases.png``. The cases are made and scored by the code that they show, and one
that does not do well, or does not fail, is an error: a picture cannot claim what is not so.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shape_cases  # noqa: F401 -- registers its cases
from make_method_pictures import outlined, spotted
from PIL import Image, ImageDraw, ImageFont

from cases import BAD, CASES, GOOD, Array, Case
from napari_cutout._pictures import BACKGROUND, GAP, INK, LINE, coloured, stretched

FOLDER = Path(__file__).parent / "pictures" / "methods"
WIDTH = 236
"""Width of a panel in pixels; four stand in a row."""

STROKES = ((230, 60, 60), (60, 160, 255), (60, 200, 90))

WELL, BADLY = (20, 110, 60), (170, 40, 40)


def checked(name: str) -> tuple[Case, Case]:
    """Return the cases of a method, which are what they are called.

    Parameters
    ----------
    name : str
        A method.

    Returns
    -------
    tuple of Case
        What it does well, and what it fails on.

    Raises
    ------
    ValueError
        If it does not.
    """
    well, badly = CASES[name]()
    if well.score < GOOD or badly.score > BAD:
        raise ValueError(
            f"{name} scores {well.score:.2f} where it does well and {badly.score:.2f} where it fails; "
            f"they must be above {GOOD} and below {BAD}: choose other scenes"
        )
    return well, badly


def panels(case: Case) -> tuple[Image.Image, Image.Image]:
    """Return what a method was given, and what it made of it."""
    marks = case.measure.endswith("marker")
    if case.mask is not None:
        given = coloured(case.mask)
        made = spotted(case.mask > 0, case.result) if marks else coloured(case.result)
    else:
        given = stretched(case.image) if case.marked is None else painted(case.image, case.marked)
        made = spotted(case.image, case.result) if marks else outlined(case.image, case.result)
    return enlarged(given), enlarged(made)


def painted(image: Array, marked: Array) -> Array:
    """Return an image with strokes, the first labels in colours that are told apart on grey."""
    if marked.max() > len(STROKES):
        return spotted(image, marked)
    grey = np.repeat(stretched(image)[..., None], 3, axis=-1)
    return np.where(marked[..., None] > 0, np.array([(0, 0, 0), *STROKES], np.uint8)[marked], grey)


def enlarged(picture: np.ndarray) -> Image.Image:
    """Return a picture in the width of a panel."""
    height = round(WIDTH * picture.shape[0] / picture.shape[1])
    return Image.fromarray(picture).convert("RGB").resize((WIDTH, height), Image.Resampling.NEAREST)


def draw(name: str) -> None:
    """Write the picture of a method."""
    cases = checked(name)
    height = round(WIDTH * cases[0].result.shape[0] / cases[0].result.shape[1])
    canvas = Image.new("RGB", (4 * WIDTH + 6 * GAP, height + 2 * LINE + 2 * GAP), BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    for side, (case, word, colour) in enumerate(zip(cases, ("Does well", "Fails"), (WELL, BADLY), strict=True)):
        left = GAP + side * (2 * WIDTH + 3 * GAP)
        pen.text((left, GAP // 2), f"{word}: {case.title}", colour, ImageFont.load_default(size=16))
        said = f"{case.measure} {case.score:.2f}"
        frames = case.measure.endswith("number")
        given = (
            "three frames"
            if frames
            else "labels"
            if case.mask is not None
            else "image"
            if case.marked is None
            else "image and strokes"
        )
        pen.text((left, GAP // 2 + LINE), given, INK, ImageFont.load_default(size=14))
        pen.text((left + WIDTH + GAP, GAP // 2 + LINE), said, INK, ImageFont.load_default(size=14))
        for at, part in enumerate(panels(case)):
            canvas.paste(part, (left + at * (WIDTH + GAP), GAP // 2 + 2 * LINE))
    canvas.quantize(96, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        FOLDER / f"{name}-cases.png", optimize=True
    )


def main(names: Sequence[str]) -> None:
    """Draw the cases of the methods that are named, or of all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in names or CASES:
        draw(name)


if __name__ == "__main__":
    main(sys.argv[1:])

"""The command that measures labels, of one image or of a folder."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from ._options import several
from ._run import Progress, warn_once
from ._said import SOME_FAILED, as_options, said_of_tables

READ = Group("What is measured", sort_key=1)
WRITE = Group("Files to write", sort_key=2)


def measure(
    labels: Annotated[str, Parameter(help="Label images: a file, a folder, or a pattern in quotes.")],
    images: Annotated[
        str, Parameter(help="Images of the same names, whose grey levels are measured; may be left out.")
    ] = "",
    table: Annotated[
        str, Parameter(help="The .csv or .tsv to write: a line for each object. Beside it TABLE_per_image has images.")
    ] = "",
    /,
    *,
    image: Annotated[
        list[str] | None,
        Parameter(group=READ, help="A channel in files of its own: name=folder. May be repeated.", negative=""),
    ] = None,
    channels: Annotated[
        tuple[str, ...],
        Parameter(
            group=READ,
            help="What the channels of an image are called, in their order, such as DAPI,GFP.",
            converter=several(str),
            consume_multiple=True,
            negative="",
        ),
    ] = (),
    spacing: Annotated[
        tuple[float, ...] | None,
        Parameter(
            group=READ,
            help="World length of a voxel along each axis. By default that of the files.",
            converter=several(float),
            consume_multiple=True,
            negative="",
        ),
    ] = None,
    units: Annotated[
        str | None,
        Parameter(group=READ, help="The unit of lengths in the table and of --spacing, such as um or nm."),
    ] = None,
    axes: Annotated[
        str | None,
        Parameter(group=READ, help="What the axes of labels are, such as tyx, where the files do not say it."),
    ] = None,
    named: Annotated[
        str, Parameter(name="--table", group=WRITE, help="The table to write, as TABLE, where it is not the last name.")
    ] = "",
    overwrite: Annotated[bool, Parameter(group=WRITE, help="Replace files that are there.", negative="")] = False,
) -> int:
    """Measure objects, and write size, place, shape and grey levels of each as one table with units."""
    from ..running._measure import measure_images

    if named and table:
        raise ValueError(f"the table is named twice, as {table!r} and with --table {named!r}; leave one out")
    if named:
        table = named
    elif not table:
        images, table = "", images
    if not table:
        raise ValueError(f"no table is named for the objects of {labels!r}; add one to write, such as objects.csv")
    with Progress() as show, warnings.catch_warnings(record=True) as heard:
        found = measure_images(
            labels,
            _images(images, image or ()),
            Path(table),
            channels=channels,
            spacing=spacing,
            units=units,
            axes=axes,
            overwrite=overwrite,
            on_progress=show,
        )
    warn_once(heard)
    for row in found.failed:
        print(f"napari-cutout: {row['image']}: {as_options(row['error'])}", file=sys.stderr)
    print(said_of_tables(found))
    return SOME_FAILED if found.failed else 0


def _images(images: str, named: list[str] | tuple[str, ...]) -> str | dict[str, str] | None:
    """Return the images as `measure_images` takes them: of one source, or by the names of their channels."""
    if not named:
        return images or None
    if images:
        raise ValueError(f"images are given twice, as {images!r} and with --image; give all of them with --image")
    pairs = [text.partition("=") for text in named]
    if bad := [text for text, (name, equals, path) in zip(named, pairs, strict=True) if not (name and equals and path)]:
        raise ValueError(f"--image must be name=folder, such as GFP=gfp/, got {bad[0]!r}")
    return {name: path for name, _, path in pairs}

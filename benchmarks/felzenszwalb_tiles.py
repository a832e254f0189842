"""How far a graph-based segmentation in tiles is from that of the whole, as variation of information.

``python benchmarks/felzenszwalb_tiles.py [FOLDER]`` writes ``results/felzenszwalb-tiles.json`` and ``.md``. The images
are no part of the repository: their folder is the argument, or what NAPARI_CUTOUT_DATA names. Tiles are far smaller
than in use, where an image of up to 2^23 voxels is one tile, so that there is something to see; and beside them
stands what half a grey level of noise does to the whole.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import dask.array as da
import numpy as np
from skimage import io

import napari_cutout as nc
from _harness import machine
from napari_cutout.methods import _felzenszwalb_tiles, partition
from reference_table import cell, data_folder

Array = np.ndarray
Row = dict[str, Any]

RESULTS = Path(__file__).with_name("results")

N_PICTURES = 10
"""Natural images, the first by name."""

N_NUCLEI = 5
"""Images of nuclei, the first ones."""

MIN_SIZE = 50
"""Of regions, everywhere."""

SCALES = (30.0, 300.0)
"""In grey levels times voxels."""

TILES = {"natural": (128, 256), "nuclei": (256, 512), "FIB-SEM": (64, 128)}
"""Edges of tiles by set; those of a volume are cubes, or twice as long along one axis."""


def images(folder: Path) -> Iterator[tuple[str, Array, int | None]]:
    """Yield the set, the image and the axis of its channels."""
    for path in sorted((folder / "bsds500_test").glob("*.jpg"))[:N_PICTURES]:
        yield "natural", io.imread(path), 2
    with np.load(folder / "coelho2009_gnf.npz") as file:
        for k in range(N_NUCLEI):
            yield "nuclei", file[f"img_{k:03}"], None
    with np.load(folder / "fibsem_medulla250.npz") as file:
        yield "FIB-SEM", file["image"], None


def segmented(image: Array, axis: int | None, scale: float, edge: int | None) -> tuple[Array, int]:
    """Return the regions of an image, and in how many tiles they were found; without an edge the whole is one."""
    more: Row = {"scale": scale, "min_size": MIN_SIZE, "channel_axis": axis}
    if edge is None:
        return nc.felzenszwalb(image, **more), 1
    plan, voxels = partition.felzenszwalb_plan, edge ** (image.ndim - (axis is not None))
    with (
        mock.patch.object(partition, "felzenszwalb_plan", lambda *given: plan(*given, tile_voxels=voxels)),
        mock.patch.object(_felzenszwalb_tiles, "_joined", wraps=_felzenszwalb_tiles._joined) as joined,
    ):
        regions = nc.felzenszwalb(da.from_array(image, -1), **more).compute()
    return regions, len(joined.call_args.args[2])


def compared(image: Array, axis: int | None, scale: float, edges: tuple[int, ...]) -> Iterator[Row]:
    """Yield how far tiles of each edge are from the whole, and at last half a grey level of noise."""
    whole, _ = segmented(image, axis, scale, None)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, image.shape).astype(np.float32)
    for edge in (*edges, None):
        other, n = segmented(image if edge else image + noise, axis, scale, edge)
        found = nc.evaluate_partition(other, whole)
        yield {
            "scale": scale,
            "edge": edge,
            "n_tiles": n,
            "n_regions": int(other.max()),
            "n_whole": int(whole.max()),
            "split": found.vi_split,
            "merge": found.vi_merge,
        }


def measured(folder: Path) -> Iterator[Row]:
    """Yield a row for every set, scale and edge: means over the images."""
    every: dict[tuple[Any, ...], list[Row]] = {}
    for name, image, axis in images(folder):
        for scale in SCALES:
            for row in compared(image, axis, scale, TILES[name]):
                print(name, row, flush=True)
                every.setdefault((name, scale, row["edge"]), []).append(row)
    for (name, scale, edge), rows in every.items():
        means = {key: float(np.mean([r[key] for r in rows])) for key in rows[0] if key not in ("scale", "edge")}
        yield {"set": name, "scale": scale, "edge": edge, "n_images": len(rows), **means}


def table(rows: list[Row]) -> str:
    """Return the rows as a table."""
    lines = [
        "| images | scale | tiles | regions | of the whole | VI | split | merge |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        tiles = f"{row['n_tiles']:.0f}, edge {row['edge']}" if row["edge"] else "none, ± half a grey level"
        counts = f"{row['n_regions']:.0f} | {row['n_whole']:.0f}"
        lines.append(
            f"| {row['set']} ({row['n_images']}) | {row['scale']:g} | {tiles} | {counts} "
            f"| {cell(row['split'] + row['merge'])} | {cell(row['split'])} | {cell(row['merge'])} |"
        )
    return "\n".join(lines)


HEAD = f"""# Graph-based segmentation in tiles: how far from the whole

Made by `python benchmarks/felzenszwalb_tiles.py`: variation of information in bits between the regions of
`felzenszwalb` in tiles and those of the whole (`min_size={MIN_SIZE}`), means over the images. *split* is what tiles
cut that is one region in the whole, *merge* what they join. Tiles are far smaller here than in use, where an image of
up to 2^23 voxels (2,896 x 2,896, or 203 x 203 x 203) is one tile and so *is* the whole. The rows *half a grey level*
are not tiled: they say how far the regions of the whole move if noise is added that no eye can see.

"""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?")
    about = machine()
    rows = list(measured(data_folder(parser.parse_args().folder)))
    RESULTS.joinpath("felzenszwalb-tiles.json").write_text(
        json.dumps({"machine": about, "rows": rows}, indent=1) + "\n"
    )
    RESULTS.joinpath("felzenszwalb-tiles.md").write_text(HEAD + table(rows) + "\n")


if __name__ == "__main__":
    main()

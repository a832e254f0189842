"""Tiles: what they cover, where they are exact, and that what they say of a voxel adds up to one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cutout.unet._shares import share, shares_of
from napari_cutout.unet._tiling import SIGMA, Tiling, tiling_for

multiples = st.sampled_from([1, 2, 4, 8])


@st.composite
def tilings(draw: st.DrawFn) -> Tiling:
    """Return tiles of an axis, or of two."""
    ndim = draw(st.integers(1, 2))
    multiple = tuple(draw(multiples) for _ in range(ndim))
    return tiling_for(
        [draw(st.integers(1, 120)) for _ in range(ndim)],
        tile=[draw(st.integers(1, 70)) for _ in range(ndim)],
        reach=[draw(st.integers(0, 40)) for _ in range(ndim)],
        multiple=multiple,
    )


@given(tilings())
def test_every_voxel_lies_in_one_cell_and_is_spoken_of_once(tiling: Tiling) -> None:
    for n, parts, m in zip(tiling.shape, tiling.axes, tiling.multiple, strict=True):
        owned, said = np.zeros(n, int), np.zeros(n, np.float64)
        for part in parts:
            owned[slice(*part.cell)] += 1
            said[slice(*part.support)] += part.weights
            assert (part.weights > 0).all()
            assert 0 <= part.start <= part.support[0] < part.support[1] <= part.stop <= n
            assert part.start % m == 0
            assert part.stop == n or part.stop % m == 0
        np.testing.assert_array_equal(owned, 1)
        np.testing.assert_allclose(said, 1, rtol=0, atol=1e-6)


@given(tilings())
def test_where_a_tile_sees_what_the_whole_shows_it_alone_speaks(tiling: Tiling) -> None:
    """A voxel's interval of what it sees, cut off at the edges of the image, is compared with the tile's."""
    for n, parts, reach in zip(tiling.shape, tiling.axes, tiling.reach, strict=True):
        for part in parts:
            for voxel in range(*part.support):
                others = [p for p in parts if p is not part and p.support[0] <= voxel < p.support[1]]
                sees = max(voxel - reach, 0), min(voxel + reach + 1, n)
                if others:
                    assert not any(p.start <= sees[0] and sees[1] <= p.stop for p in (part, *others))
                elif tiling.exact:
                    assert part.start <= sees[0]
                    assert sees[1] <= part.stop


@given(tilings())
def test_cells_hear_all_tiles_that_speak_of_them(tiling: Tiling) -> None:
    told: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for tile in tiling.tiles():
        found = np.ones((1, *(s.stop - s.start for s in tile.read)), np.float32)
        for cell, part in shares_of(tile, found, tiling):
            told.setdefault(cell, []).append(tile.index)
            assert part.shape[1:] == tuple(s.stop - s.start for s in tiling.tile(cell).cell)
    everything = list(itertools.product(*map(range, tiling.grid)))
    assert told == {index: [tile.index for tile in tiling.about(index)] for index in everything}


def test_a_tile_is_no_larger_than_asked_for_where_its_halo_leaves_room() -> None:
    tiling = tiling_for((1000, 300), tile=(256, 512), reach=(20, 300), multiple=(16, 8))
    # Along the first axis 20 becomes 32, no more than a quarter of 256: cells of at most 192, six of them, which is
    # 167 each and 176 as a multiple of 16. The second axis fits into a tile.
    assert (tiling.edges, tiling.halo, tiling.grid) == ((176, 304), (32, 0), (6, 1))
    assert [p.cell for p in tiling.axes[0]] == [(0, 176), (176, 352), (352, 528), (528, 704), (704, 880), (880, 1000)]
    assert [(p.start, p.stop) for p in tiling.axes[0]][:2] == [(0, 208), (144, 384)]
    assert tiling.exact
    assert tiling.tile_shape == (240, 304)


def test_an_eighth_of_a_tile_is_blended_where_a_voxel_sees_farther() -> None:
    tiling = tiling_for((64,), tile=(32,), reach=(30,), multiple=(4,))
    # A quarter of 32 is less than 30, so 4 voxels on each side; cells of 24, three of them, so 22 and then 24 wide.
    assert (tiling.edges, tiling.halo, tiling.grid) == ((24,), (4,), (3,))
    assert not tiling.exact
    first, second, _ = tiling.axes[0]
    assert (first.start, first.stop, second.start, second.stop) == (0, 28, 20, 52)
    assert first.support == (0, 28)
    # Of voxel 20 both speak, 8.5 from one centre (11.5) and 15.5 from the other (35.5): sigma is an eighth of 32.
    ours, theirs = (math.exp(-0.5 * (d / (SIGMA * 32)) ** 2) for d in (8.5, 15.5))
    assert first.weights[20] == pytest.approx(ours / (ours + theirs), rel=1e-6)
    assert second.weights[0] == pytest.approx(theirs / (ours + theirs), rel=1e-6)
    assert (first.weights[:20] == 1).all()


def test_a_short_rest_belongs_to_the_tile_that_sees_it_already() -> None:
    tiling = Tiling((70,), (32,), (8,), (8,), (8,))
    assert [p.cell for p in tiling.axes[0]] == [(0, 32), (32, 70)]
    assert (tiling.axes[0][1].start, tiling.axes[0][1].stop) == (24, 70)


def test_a_share_is_cut_out_weighted_and_filled_up() -> None:
    tiling = tiling_for((64,), tile=(32,), reach=(30,), multiple=(4,))
    first, second = tiling.tile((0,)), tiling.tile((1,))
    said = np.arange(32, dtype=np.float32)[None] + 1  # of voxels 20 to 51
    found = share(second, said, first)[0]
    np.testing.assert_array_equal(found[:20], 0)  # nothing is said of them
    np.testing.assert_array_equal(found[20:], second.parts[0].weights[:4] * said[0, :4])

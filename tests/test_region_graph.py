"""Graphs of regions: by hand, against plain loops and scikit-image, and the same however the image is cut."""

from __future__ import annotations

import itertools
import math
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage import graph as skimage_graph

import napari_cutout as nc
from napari_cutout import _plan
from napari_cutout.methods._region_sums import in_parts, of_parts
from napari_cutout.methods._regions import RegionGraph, Sources, graph_of, looked_up, numbers_of

from . import strict

FIELDS = ("labels", "sizes", "means", "first", "pairs", "n_faces", "boundary", "areas")


def assert_same(found: RegionGraph, expected: RegionGraph) -> None:
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


def in_loops(
    channels: list[np.ndarray],
    regions: np.ndarray,
    mask: np.ndarray,
    boundary: np.ndarray | None,
    connectivity: int,
    spacing: tuple[float, ...],
) -> tuple[dict[int, Any], dict[tuple[int, int], Any]]:
    """Return what the definition says, voxel by voxel."""
    given = [*channels] if boundary is None else [*channels, boundary]
    inside = {
        p
        for p in np.ndindex(regions.shape)
        if regions[p] and mask[p] and all(math.isfinite(float(image[p])) for image in given)
    }
    nodes: dict[int, Any] = {}
    for p in sorted(inside):
        node = nodes.setdefault(
            int(regions[p]), {"size": 0, "levels": [], "first": np.ravel_multi_index(p, mask.shape)}
        )
        node["size"] += 1
        node["levels"].append([float(c[p]) for c in channels])
    edges: dict[tuple[int, int], Any] = {}
    for p, step in itertools.product(sorted(inside), itertools.product((-1, 0, 1), repeat=mask.ndim)):
        q = tuple(a + b for a, b in zip(p, step, strict=True))
        n_axes = sum(map(abs, step))
        if q in inside and regions[p] < regions[q] and n_axes <= connectivity:
            apart = math.sqrt(sum((float(c[p]) - float(c[q])) ** 2 for c in channels))
            strength = apart if boundary is None else (float(boundary[p]) + float(boundary[q])) / 2
            area = math.prod(s for s, there in zip(spacing, step, strict=True) if not there) if n_axes == 1 else 0.0
            edges.setdefault((int(regions[p]), int(regions[q])), []).append((strength, area))
    return nodes, edges


def test_a_graph_by_hand() -> None:
    image = np.array([[10, 10, 20, 20], [10, 14, 20, 20], [90, 90, 90, 50]], np.uint8)
    regions = np.array([[5, 5, 2, 2], [5, 5, 2, 2], [9, 9, 9, 0]])
    found = nc.region_graph(image, regions, spacing=(3.0, 2.0))
    assert found.labels.tolist() == [2, 5, 9]
    assert found.sizes.tolist() == [4, 4, 3]
    assert found.means.tolist() == [[20.0], [11.0], [90.0]]  # (10 + 10 + 10 + 14) / 4 = 11
    assert found.first.tolist() == [2, 0, 8]
    # 2 and 5 share two faces across x, 2 and 9 one across y, 5 and 9 two across y
    assert found.pairs.tolist() == [[0, 1], [0, 2], [1, 2]]
    assert found.n_faces.tolist() == [2, 1, 2]
    # (|10 - 20| + |14 - 20|) / 2 = 8; |20 - 90| = 70; (|10 - 90| + |14 - 90|) / 2 = 78
    assert found.boundary.tolist() == [8.0, 70.0, 78.0]
    assert found.areas.tolist() == [6.0, 2.0, 4.0]  # a face across x is 3 long, one across y is 2 long
    assert repr(found) == "RegionGraph(3 regions, 3 boundaries)"
    corners = nc.region_graph(image, regions, connectivity=2)
    # crosswise, 2 and 5 touch at 10-20 and 14-20; 2 and 9 at 20-90 twice; 5 and 9 at 10-90 and twice at 14-90
    assert corners.n_faces.tolist() == [4, 3, 5]
    assert corners.boundary.tolist() == pytest.approx([(10 + 6 + 10 + 6) / 4, 70.0, (80 + 76 + 80 + 76 + 76) / 5])
    assert corners.areas.tolist() == [2.0, 1.0, 2.0]  # no corner has an area


def test_a_boundary_image_by_hand() -> None:
    image, regions = np.zeros((2, 4)), np.array([[1, 1, 2, 2], [1, 1, 2, 2]])
    boundary = np.array([[0.0, 0.5, 0.7, 0.0], [0.0, 0.2, 0.4, 9.0]])
    found = nc.region_graph(image, regions, boundary=boundary)
    assert found.boundary == pytest.approx([(0.6 + 0.3) / 2], rel=1e-7)  # rounded to 2^-30 of 9
    channels = nc.region_graph(np.stack([image, image + 3]), regions, boundary=boundary, channel_axis=0)
    assert channels.boundary.tolist() == found.boundary.tolist()
    assert channels.means.tolist() == [[0.0, 3.0], [0.0, 3.0]]


@pytest.mark.parametrize("spoilt", [np.nan, np.inf])
def test_voxels_without_a_boundary_strength_belong_to_no_region(spoilt: float) -> None:
    image, regions = np.array([[1.0, 3.0, 8.0, 8.0]]), np.array([[1, 1, 2, 2]])
    found = nc.region_graph(image, regions, boundary=np.array([[spoilt, 0.5, 0.5, 0.0]]))
    assert (found.sizes.tolist(), found.means.tolist()) == ([1, 2], [[3.0], [8.0]])


@st.composite
def scenes(draw: st.DrawFn) -> dict[str, Any]:
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=2, max_size=3)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from(["uint8", "int16", "int64", "float32", "float64"]))
    channels = [(rng.normal(0, 50, shape)).astype(dtype) for _ in range(draw(st.integers(1, 3)))]
    if dtype.startswith("float") and draw(st.booleans()):
        channels[0][tuple(rng.integers(0, shape))] = draw(st.sampled_from([np.nan, np.inf]))
    return {
        "channels": channels,
        "regions": rng.integers(0, draw(st.integers(1, 6)), shape) * draw(st.sampled_from([1, 2**60])),
        "mask": rng.random(shape) < 0.9,
        "boundary": rng.random(shape).astype(np.float32) if draw(st.booleans()) else None,
        "connectivity": draw(st.integers(1, 3)),
        "spacing": tuple(rng.uniform(0.5, 2, len(shape)).tolist()),
    }


@given(scenes())
def test_graphs_are_what_plain_loops_find(scene: dict[str, Any]) -> None:
    spacing = scene["spacing"]
    found = graph_of(Sources(**{k: v for k, v in scene.items() if k != "spacing"}), spacing)
    nodes, edges = in_loops(**scene)
    assert found.labels.tolist() == sorted(nodes)
    assert found.sizes.tolist() == [nodes[name]["size"] for name in sorted(nodes)]
    assert found.first.tolist() == [nodes[name]["first"] for name in sorted(nodes)]
    means = np.array([np.mean(nodes[name]["levels"], axis=0) for name in sorted(nodes)]).reshape(
        -1, len(scene["channels"])
    )
    np.testing.assert_allclose(found.means, means, rtol=1e-6, atol=1e-6)
    names = [tuple(pair) for pair in found.labels[found.pairs].tolist()]
    assert names == sorted(edges)
    assert found.n_faces.tolist() == [len(edges[pair]) for pair in names]
    strengths, areas = (np.array([[sum(face[at] for face in edges[pair])] for pair in names]).ravel() for at in (0, 1))
    np.testing.assert_allclose(found.boundary * found.n_faces, strengths, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.areas, areas, rtol=1e-12)


@given(scenes(), st.integers(1, 9))
def test_blocks_and_libraries_do_not_show(scene: dict[str, Any], voxels: int) -> None:
    spacing = scene.pop("spacing")
    expected = graph_of(Sources(**scene), spacing)
    values = numbers_of(expected, expected.labels % 3)
    image = looked_up(Sources(**scene), expected.labels, values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_plan, "BLOCK_VOXELS", voxels)
        patch.setattr(_plan, "DEVICE_BLOCK_VOXELS", voxels + 3)
        assert_same(graph_of(Sources(**scene), spacing), expected)
        moved = {k: v if v is None or k == "connectivity" else strict.on_device(v) for k, v in scene.items()}
        moved["channels"] = [strict.on_device(c) for c in scene["channels"]]
        assert_same(graph_of(Sources(**moved), spacing), expected)
        on_device = looked_up(Sources(**moved), expected.labels, values)
    np.testing.assert_array_equal(strict.to_host(on_device), image)


@pytest.mark.parametrize(("shape", "chunks"), [((13, 17), (4, 5)), ((6, 9, 7), (2, 9, 3)), ((5, 8), (1, 3))])
def test_chunks_do_not_show(shape: tuple[int, ...], chunks: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    image, regions, mask = rng.random((*shape, 2)), rng.integers(0, 6, shape), rng.random(shape) < 0.9
    expected = nc.region_graph(image, regions, mask, channel_axis=-1, connectivity=2)
    lazy = [da.from_array(image, chunks=(*chunks, 1)), da.from_array(regions, chunks=chunks), da.from_array(mask)]
    assert_same(nc.region_graph(*lazy, channel_axis=-1, connectivity=2), expected)


@pytest.mark.parametrize("connectivity", [1, 2])
def test_means_and_neighbours_are_those_of_scikit_image(connectivity: int) -> None:
    rng = np.random.default_rng(5)
    image = rng.integers(0, 255, (30, 40, 3)).astype(np.uint8)
    regions = 1 + ndimage.zoom(rng.integers(0, 9, (6, 8)), 5, order=0)
    found = nc.region_graph(image, regions, channel_axis=-1, connectivity=connectivity)
    theirs = skimage_graph.rag_mean_color(image, regions, connectivity=connectivity)
    assert found.labels.tolist() == sorted(theirs.nodes)
    assert found.sizes.tolist() == [theirs.nodes[name]["pixel count"] for name in sorted(theirs.nodes)]
    np.testing.assert_allclose(found.means, [theirs.nodes[name]["mean color"] for name in sorted(theirs.nodes)])
    pairs = found.labels[found.pairs]
    assert {tuple(pair) for pair in pairs.tolist()} == {tuple(sorted(edge)) for edge in theirs.edges}
    apart = np.linalg.norm(found.means[found.pairs[:, 0]] - found.means[found.pairs[:, 1]], axis=1)
    np.testing.assert_allclose(apart, [theirs[a][b]["weight"] for a, b in pairs.tolist()])


def test_strengths_are_those_of_scikit_image_where_no_voxel_has_two_faces() -> None:
    """It counts voxels and not faces, and of a voxel between several regions only some: stripes have neither."""
    rng = np.random.default_rng(6)
    edges, regions = rng.random((9, 20)), np.broadcast_to(np.arange(20) // 4 + 1, (9, 20))
    found = nc.region_graph(edges, regions, boundary=edges)
    theirs = skimage_graph.rag_boundary(regions, edges, connectivity=1)
    expected = [theirs[a][b]["weight"] for a, b in found.labels[found.pairs].tolist()]
    np.testing.assert_allclose(found.boundary, expected, rtol=1e-7)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "uint64", "float16", "float64"])
def test_means_hold_for_every_dtype(dtype: str) -> None:
    kind = np.dtype(dtype)
    large = (
        2.0**40 if kind.kind == "f" and kind.itemsize > 2 else 60000.0 if kind.kind == "f" else np.iinfo(kind).max // 2
    )
    image = np.array([[0, large, large, 0]], kind)
    found = nc.region_graph(image, np.array([[1, 1, 2, 2]]))
    np.testing.assert_allclose(found.means[:, 0], [float(image[0, 1]) / 2] * 2, rtol=1e-9)
    assert found.boundary.tolist() == [0.0]


def test_what_belongs_to_no_region() -> None:
    image = np.array([[1.0, np.nan, 3.0, np.inf, 5.0, 7.0]])
    regions, mask = np.array([[1, 1, 1, 2, 2, 3]]), np.array([[1, 1, 1, 1, 1, 0]])
    found = nc.region_graph(image, regions, mask)
    assert found.labels.tolist() == [1, 2]
    assert found.sizes.tolist() == [2, 1]
    assert found.means.tolist() == [[2.0], [5.0]]
    assert found.pairs.shape == (0, 2)  # infinity lies between the two
    assert found.boundary.shape == found.areas.shape == (0,)


@pytest.mark.parametrize("wrap", [np.asarray, strict.on_device, da.from_array], ids=["numpy", "strict", "dask"])
def test_no_region_and_one_region(wrap: Any) -> None:
    image = wrap(np.ones((3, 4)))
    none = nc.region_graph(image, wrap(np.zeros((3, 4), int)))
    assert len(none) == 0
    assert none.means.shape == (0, 1)
    assert none.pairs.shape == (0, 2)
    one = nc.region_graph(image, wrap(np.ones((3, 4), bool)))
    assert (one.labels.tolist(), one.sizes.tolist(), one.pairs.tolist()) == ([1], [12], [])


def test_huge_labels_and_negative_ones() -> None:
    image = np.arange(4.0)[None]
    found = nc.region_graph(image, np.array([[2**63 - 1, 2**63 - 1, 5, 7]], np.uint64))
    assert found.labels.tolist() == [5, 7, 2**63 - 1]
    assert found.pairs.tolist() == [[0, 1], [0, 2]]
    with pytest.raises(ValueError, match="regions hold 9223372036854775808, and labels must be at most"):
        nc.region_graph(image, np.array([[2**63, 1, 1, 1]], np.uint64))
    with pytest.raises(ValueError, match="regions hold -3, and labels must be 0 or more"):
        nc.region_graph(image, np.array([[1, -3, 1, 1]]))


def test_arguments_are_checked() -> None:
    image, regions = np.zeros((4, 5)), np.ones((4, 5), int)
    with pytest.raises(ValueError, match=r"regions must have the shape of image, \(4, 5\), but has \(5, 4\)"):
        nc.region_graph(image, regions.T)
    with pytest.raises(TypeError, match="regions must hold integers, got dtype float64"):
        nc.region_graph(image, image)
    with pytest.raises(ValueError, match=r"mask must have the shape of image, \(4, 5\), but has \(1, 5\)"):
        nc.region_graph(image, regions, regions[:1])
    with pytest.raises(ValueError, match=r"boundary must have the shape of image, \(4, 5\), but has \(5, 4\); crop"):
        nc.region_graph(image, regions, boundary=image.T)
    with pytest.raises(ValueError, match="connectivity must be between 1 and 3, got 4"):
        nc.region_graph(image, regions, connectivity=4)
    with pytest.raises(ValueError, match="spacing must be positive"):
        nc.region_graph(image, regions, spacing=(1.0, -1.0))
    with pytest.raises(TypeError, match="all arrays must come from one library"):
        nc.region_graph(image, da.from_array(regions))


def test_sums_in_two_parts_do_not_depend_on_how_they_were_added() -> None:
    values = np.array([2**62 + 7, -5, -(2**61), 2**33 - 1, 12])
    parts = in_parts(values)
    for cut in range(1, 5):
        two = in_parts(np.array([values[:cut].astype(object).sum() % 2**62, 0], np.int64))[0]  # fits into int64
        rest = in_parts(np.array([0, 0]))[0]
        assert of_parts(two + rest) == float(values[:cut].astype(object).sum() % 2**62)
    assert of_parts(parts.sum(axis=0)) == float(sum(values.tolist()))
    assert of_parts(parts[:2].sum(axis=0) + parts[2:].sum(axis=0)) == float(sum(values.tolist()))


def test_groups_are_numbered_by_their_first_voxel() -> None:
    regions = np.array([[7, 3, 3, 1], [7, 7, 9, 1]])
    found = nc.region_graph(np.zeros((2, 4)), regions)
    assert found.labels.tolist() == [1, 3, 7, 9]
    # 1 and 7 are a group, which begins first, then 3, then 9
    assert numbers_of(found, np.array([4, 2, 4, 0])).tolist() == [1, 2, 1, 3]

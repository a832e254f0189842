"""Merging regions: by hand, against plain Python and scikit-image, and what a hierarchy must be."""

from __future__ import annotations

import gc
import itertools
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage import graph as skimage_graph

import napari_cutout as nc
from napari_cutout import _plan, catalog
from napari_cutout._monitor import Cancelled, watch
from napari_cutout.cli import main
from napari_cutout.methods import _merge_tree
from napari_cutout.methods._hierarchy import listening
from napari_cutout.methods._merge_tree import Criterion

from . import strict
from .cases import same_partition

CRITERIA = get_args(Criterion)

every_criterion = pytest.mark.parametrize("criterion", CRITERIA)


def scene(shape: tuple[int, ...], seed: int, n: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Return noise without ties, and regions that are the voxels nearest to one of n points, some of them outside."""
    rng = np.random.default_rng(seed)
    points = np.zeros(shape, np.int64)
    points.flat[rng.choice(points.size, n, replace=False)] = rng.permutation(3 * n)[:n]
    _, at = ndimage.distance_transform_edt(points == 0, return_indices=True)
    return rng.random(shape) * 100, points[tuple(at)]


def in_plain_python(graph: nc.RegionGraph, criterion: str) -> tuple[list[tuple[int, int]], list[float]]:
    """Return all merges and how much the two differ, looking at every pair anew each time."""
    order = np.argsort(graph.first).tolist()
    place = np.argsort(order).tolist()
    size = {place[i]: float(n) for i, n in enumerate(graph.sizes)}
    mean = {place[i]: m for i, m in enumerate(graph.means)}
    edges = {
        tuple(sorted((place[a], place[b]))): (float(n), float(n * s))
        for (a, b), n, s in zip(graph.pairs.tolist(), graph.n_faces, graph.boundary, strict=True)
    }

    def height(pair: tuple[int, int]) -> float:
        a, b = pair
        apart = float(np.linalg.norm(mean[a] - mean[b]))
        if criterion == "boundary":
            return edges[pair][1] / edges[pair][0]
        return apart if criterion == "mean" else apart**2 * size[a] * size[b] / (size[a] + size[b])

    merges, heights = [], []
    while edges:
        a, b = min(edges, key=lambda pair: (height(pair), *pair))
        merges.append((order[a], order[b]))
        heights.append(height((a, b)))
        mean[a] = (size[a] * mean[a] + size[b] * mean[b]) / (size[a] + size[b])
        size[a] += size[b]
        del edges[a, b]
        for pair in [pair for pair in edges if b in pair]:
            other = tuple(sorted((a, sum(pair) - b)))
            edges[other] = tuple(np.add(edges.pop(pair), edges.get(other, (0.0, 0.0))))
    return merges, heights


def test_merges_by_hand() -> None:
    # means 10 (4 voxels), 12 (1), 16 (3); ward: 4/5 * 2^2 = 3.2 and 3/4 * 4^2 = 12, so the first two merge,
    # to (40 + 12) / 5 = 10.4; then 15/8 * 5.6^2 = 58.8
    image = np.array([[10, 10, 10, 10, 12, 16, 16, 16]], np.uint8)
    regions = np.array([[3, 3, 3, 3, 1, 7, 7, 7]])
    graph = nc.region_graph(image, regions)
    ward = nc.merge_tree(graph)
    assert graph.labels.tolist() == [1, 3, 7]
    assert ward.merges.tolist() == [[1, 0], [1, 2]]  # 3 begins first, and goes on under its own name
    assert ward.heights.tolist() == pytest.approx([3.2, 58.8])
    assert repr(ward) == "MergeTree(3 regions, 2 merges)"
    assert len(ward) == 3
    mean = nc.merge_tree(graph, criterion="mean")
    assert mean.heights.tolist() == pytest.approx([2.0, 5.6])
    assert ward.cut(n_regions=2).tolist() == [1, 1, 2]
    assert mean.cut(threshold=5.5).tolist() == [1, 1, 2]
    assert mean.cut(threshold=2.0).tolist() == [1, 1, 2]  # no more than the threshold
    assert mean.cut(threshold=1.9).tolist() == [2, 1, 3]
    assert mean.cut(n_regions=3, threshold=100.0).tolist() == [2, 1, 3]
    assert mean.cut().tolist() == [1, 1, 1]


def test_what_is_weaker_after_a_merge_has_the_height_of_that_merge() -> None:
    # 10 | 12 | 9: the first two differ by 2 and merge to 11 by their sizes, which differs from 9 by 2; with sizes 3
    # and 1 they merge to 10.5, which differs by 1.5 only
    image = np.array([[10, 10, 10, 12, 9, 9, 9]])
    graph = nc.region_graph(image, np.array([[1, 1, 1, 2, 3, 3, 3]]))
    assert nc.merge_tree(graph, criterion="mean").heights.tolist() == [2.0, 2.0]


def test_pairs_that_differ_by_the_same_go_in_scan_order() -> None:
    image = np.array([[0, 1, 2, 3, 4, 5]])
    regions = np.array([[6, 5, 4, 3, 2, 1]])
    tree = nc.merge_tree(nc.region_graph(image, regions), criterion="boundary")
    assert tree.heights.tolist() == [1.0] * 5
    assert tree.labels[tree.merges].tolist() == [[6, 5], [6, 4], [6, 3], [6, 2], [6, 1]]


@every_criterion
@pytest.mark.parametrize("shape", [(14, 17), (6, 8, 7)], ids=str)
def test_trees_are_those_of_plain_python(shape: tuple[int, ...], criterion: Criterion) -> None:
    for seed in range(4):
        image, regions = scene((*shape,), seed)
        channels = np.stack([image, np.random.default_rng(seed + 9).random(shape) * 80])
        graph = nc.region_graph(channels, regions, image > 15, channel_axis=0)
        tree = nc.merge_tree(graph, criterion=criterion)
        merges, heights = in_plain_python(graph, criterion)
        assert [tuple(pair) for pair in tree.merges.tolist()] == merges
        np.testing.assert_allclose(tree.heights, np.maximum.accumulate(heights), rtol=1e-9)


def test_a_hub_with_many_neighbours_merges_as_in_plain_python() -> None:
    """What lies around all others has them as neighbours, one after the other of whom it loses."""
    rng = np.random.default_rng(1)
    regions = np.ones((25, 25), int)
    regions[1::2, 1::2] = np.arange(2, 146).reshape(12, 12)
    for criterion in CRITERIA:
        graph = nc.region_graph(rng.random(regions.shape), regions)
        tree = nc.merge_tree(graph, criterion=criterion)
        assert [tuple(pair) for pair in tree.merges.tolist()] == in_plain_python(graph, criterion)[0]


@every_criterion
def test_regions_that_touch_many_merge_as_in_plain_python(criterion: Criterion) -> None:
    """Graphs that no image has, of many ties: all pairs may touch, so that regions pass pairs on to and fro."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 20))
        pairs = np.argwhere(np.triu(rng.random((n, n)) < rng.random(), 1))
        levels, (faces, strengths) = rng.integers(0, 4, (n, 1)) * 1.0, rng.integers(1, 3, (2, len(pairs)))
        first, ones = rng.permutation(n), np.ones(n, np.int64)
        graph = nc.RegionGraph(np.arange(n), ones, levels, first, pairs, faces, strengths * 1.0, strengths * 1.0)
        tree = nc.merge_tree(graph, criterion=criterion)
        assert [tuple(pair) for pair in tree.merges.tolist()] == in_plain_python(graph, criterion)[0]


def star(n: int, means: np.ndarray) -> nc.RegionGraph:
    """Return the graph of a background, last in scan order, that touches all of n others."""
    places, ones = np.arange(n + 1), np.ones(n + 1, np.int64)
    spokes = np.stack([places[:n], np.full(n, n)], 1)
    return nc.RegionGraph(places, ones, means[:, None], places, spokes, ones[:n], means[:n], np.ones(n))


@pytest.mark.parametrize(("criterion", "n"), [("mean", 5_000), ("boundary", 20_000)])
def test_a_background_with_very_many_neighbours_merges_at_once(criterion: Criterion, n: int) -> None:
    """Looking at every neighbour of every neighbour would take minutes; work is counted, for clocks are not to trust.

    All differ from the background by another number, 1 to n, on the same side. That of the boundary stays: they merge
    by it. The mean goes towards those that have merged, and never leaves the nearest of those left.
    """
    means = np.append(np.random.default_rng(0).permutation(n) + 1.0, 0.0)
    graph = star(n, means)
    seen: list[float] = []
    with watch(on_progress=lambda _, share: seen.append(share)):
        tree = nc.merge_tree(graph, criterion=criterion)
    order = np.argsort(means[:n])
    firsts = np.minimum.accumulate(np.append(n, order))  # the whole goes on under the first name that is in it
    expected = np.stack([np.minimum(firsts[:-1], order), np.maximum(firsts[:-1], order)], 1)
    np.testing.assert_array_equal(tree.merges, expected)
    assert len(seen) < 6  # every 4 million: each by itself, or 5,000^2 / 2 for the mean; 20,000^2 / 2 would be 47
    assert seen == sorted(seen)


def test_merging_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_merge_tree, "VISITS", 10)
    asked = iter([False] * 5)  # the stage asks first
    graph = star(300, np.arange(301.0))
    with watch(is_cancelled=lambda: next(asked, True)), pytest.raises(Cancelled):
        nc.merge_tree(graph, criterion="boundary")
    assert next(asked, None) is None


@every_criterion
def test_levels_at_the_end_of_float64_merge_as_others_do(criterion: Criterion) -> None:
    image, regions = scene((12, 15), 5)
    plain = nc.merge_tree(nc.region_graph(image, regions), criterion=criterion)
    graph = nc.region_graph(image, regions)
    huge = replace(graph, means=np.ldexp(graph.means, 1010), boundary=np.ldexp(graph.boundary, 1010))
    tree = nc.merge_tree(huge, criterion=criterion)
    np.testing.assert_array_equal(tree.merges, plain.merges)
    most = np.finfo(np.float64).max  # of squares, there is no larger number
    times = 1010 * (1 + (criterion == "ward"))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(tree.heights, np.minimum(np.ldexp(plain.heights, times), most))


def _mean_again(graph: Any, kept: int, gone: int, other: int) -> dict[str, float]:
    return {"weight": float(np.linalg.norm(graph.nodes[gone]["mean color"] - graph.nodes[other]["mean color"]))}


def _merge_means(graph: Any, gone: int, kept: int) -> None:
    graph.nodes[kept]["total color"] += graph.nodes[gone]["total color"]
    graph.nodes[kept]["pixel count"] += graph.nodes[gone]["pixel count"]
    graph.nodes[kept]["mean color"] = graph.nodes[kept]["total color"] / graph.nodes[kept]["pixel count"]


def _added_boundaries(graph: Any, kept: int, gone: int, other: int) -> dict[str, float]:
    none = {"weight": 0.0, "count": 0}
    a, b = graph[kept].get(other, none), graph[gone].get(other, none)
    n = a["count"] + b["count"]
    return {"count": n, "weight": (a["count"] * a["weight"] + b["count"] * b["weight"]) / n}


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_thresholds_are_those_of_scikit_image(share: float) -> None:
    """Its hierarchical merging updates what is merged, too; thresholds lie between heights, where there is no tie."""
    image, regions = scene((30, 36), 3, n=60)
    regions += 1
    tree = nc.merge_tree(nc.region_graph(image, regions), criterion="mean")
    threshold = float(np.quantile(tree.heights, share)) * 1.000001
    theirs = skimage_graph.rag_mean_color(image[..., None].repeat(3, -1), regions, connectivity=1)
    times = np.sqrt(3)  # they see the one channel three times
    expected = skimage_graph.merge_hierarchical(
        regions, theirs, threshold * times, False, True, _merge_means, _mean_again
    )
    found = nc.merge_regions(image, regions, criterion="mean", n_regions=1, threshold=threshold)
    assert same_partition(found, expected)
    assert 1 < found.max() < 60


def test_boundaries_merge_as_in_scikit_image() -> None:
    image, regions = scene((30, 36), 4, n=60)
    regions += 1
    graph = nc.region_graph(image, regions)
    tree = nc.merge_tree(graph, criterion="boundary")
    theirs = skimage_graph.RAG()
    theirs.add_nodes_from((int(name), {"labels": [int(name)]}) for name in graph.labels)
    for (a, b), n, strength in zip(graph.labels[graph.pairs].tolist(), graph.n_faces, graph.boundary, strict=True):
        theirs.add_edge(a, b, weight=float(strength), count=int(n))
    threshold = float(np.median(tree.heights)) * 1.000001
    expected = skimage_graph.merge_hierarchical(
        regions, theirs, threshold, False, True, lambda *_: None, _added_boundaries
    )
    found = nc.merge_regions(image, regions, criterion="boundary", n_regions=1, threshold=threshold)
    assert same_partition(found, expected)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = tuple(draw(st.lists(st.integers(1, 7), min_size=2, max_size=3)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([3, 1000]))  # many ties, and hardly any
    return rng.integers(0, levels, shape).astype(np.uint16), rng.integers(0, draw(st.integers(1, 12)), shape)


@given(graphs(), st.sampled_from(CRITERIA))
def test_what_every_hierarchy_is(drawn: tuple[np.ndarray, np.ndarray], criterion: Criterion) -> None:
    image, regions = drawn
    graph = nc.region_graph(image, regions)
    tree = nc.merge_tree(graph, criterion=criterion)
    n = len(graph)
    n_parts = n - len(tree.merges)
    assert (np.diff(tree.heights) >= 0).all()
    assert np.isfinite(tree.heights).all()
    before = None
    for wanted in range(n, 0, -1):
        cut = tree.cut(n_regions=wanted)
        assert set(cut.tolist()) == set(range(1, max(wanted, n_parts) + 1))
        if before is not None:  # what was together stays together
            assert all(len(set(cut[before == group])) == 1 for group in set(before))
        before = cut
    numbers = [
        len(set(tree.cut(threshold=height).tolist())) for height in np.linspace(0, tree.heights.max(initial=1), 7)
    ]
    assert numbers == sorted(numbers, reverse=True)


@given(graphs(), st.sampled_from(CRITERIA), st.integers(1, 8), st.integers(0, 99))
def test_names_of_regions_do_not_show(
    drawn: tuple[np.ndarray, np.ndarray], criterion: Criterion, n_regions: int, seed: int
) -> None:
    image, regions = drawn
    names = np.random.default_rng(seed).choice(10**12, 12, replace=False) + 1
    renamed = np.where(regions > 0, names[regions], 0)
    found = nc.merge_regions(image, regions, criterion=criterion, n_regions=n_regions)
    np.testing.assert_array_equal(nc.merge_regions(image, renamed, criterion=criterion, n_regions=n_regions), found)
    np.testing.assert_array_equal(found > 0, regions > 0)
    first = [np.flatnonzero(found.ravel() == number)[0] for number in range(1, found.max() + 1)]
    assert first == sorted(first)


@every_criterion
def test_chunks_blocks_and_libraries_do_not_show(criterion: Criterion, monkeypatch: pytest.MonkeyPatch) -> None:
    image, regions = scene((19, 23), 8)
    image[3, 4] = np.nan
    mask = image > 5
    more: dict[str, Any] = {"criterion": criterion, "n_regions": 7}
    expected = nc.merge_regions(image, regions, mask, **more)
    assert expected.dtype == np.int32
    assert expected.max() == 7
    lazy = nc.merge_regions(
        da.from_array(image, chunks=(5, 7)), da.from_array(regions, chunks=(19, 4)), da.from_array(mask), **more
    )
    assert lazy.chunks == ((5, 5, 5, 4), (7, 7, 7, 2))
    with watch() as monitor:
        np.testing.assert_array_equal(lazy.compute(), expected)
    monkeypatch.setattr(_plan, "BLOCK_VOXELS", 40)
    monkeypatch.setattr(_plan, "DEVICE_BLOCK_VOXELS", 70)
    np.testing.assert_array_equal(nc.merge_regions(image, regions, mask, **more), expected)
    moved = nc.merge_regions(*map(strict.on_device, (image, regions, mask)), **more)
    np.testing.assert_array_equal(strict.to_host(moved), expected)
    del monitor


def test_superpixels_are_where_it_begins() -> None:
    image = np.kron(np.array([[10, 200, 10], [200, 10, 200]], np.uint8), np.ones((16, 16), np.uint8))
    with watch() as monitor:
        found = nc.merge_regions(image, n_regions=6, n_superpixels=60)
    np.testing.assert_array_equal(found, np.kron(np.arange(1, 7).reshape(2, 3), np.ones((16, 16), int)))
    assert monitor.facts["n_regions"] == 6
    assert monitor.facts["method"] == "merge_regions"
    begun = nc.superpixels(image, n_superpixels=60)
    np.testing.assert_array_equal(nc.merge_regions(image, begun, n_regions=6), found)


def test_parts_that_do_not_touch_are_never_merged() -> None:
    image, regions = np.zeros((3, 9)), np.zeros((3, 9), int)
    regions[:, :2], regions[:, 4], regions[:, 5], regions[:, 8] = 4, 3, 2, 1
    found = nc.merge_regions(image, regions, n_regions=1)
    assert found[0].tolist() == [1, 1, 0, 0, 2, 2, 0, 0, 3]


@pytest.mark.parametrize("regions", [np.zeros((4, 5), int), np.ones((4, 5), bool)], ids=["none", "one"])
def test_one_region_or_none_stays_what_it_is(regions: np.ndarray) -> None:
    image = np.arange(20.0).reshape(4, 5)
    for wrap in (np.asarray, strict.on_device, da.from_array):
        found = nc.merge_regions(wrap(image), wrap(regions))
        np.testing.assert_array_equal(strict.to_host(found), regions.astype(np.int32))


def test_wrong_inputs_are_refused() -> None:
    image, regions = np.zeros((4, 5)), np.ones((4, 5), int)
    with pytest.raises(ValueError, match=r"regions must have the shape of image, \(4, 5\), but has \(5, 4\)"):
        nc.merge_regions(image, regions.T)
    with pytest.raises(ValueError, match="regions hold -1, and labels must be 0 or more"):
        nc.merge_regions(image, -regions)
    with pytest.raises(TypeError, match="regions must hold integers, got dtype float64"):
        nc.merge_regions(image, image)
    with pytest.raises(ValueError, match="criterion must be one of 'ward', 'mean', 'boundary', got 'size'"):
        nc.merge_regions(image, regions, criterion="size")
    graph = nc.region_graph(image, regions)
    with pytest.raises(ValueError, match="criterion must be one of 'ward', 'mean', 'boundary', got 'size'"):
        nc.merge_tree(graph, criterion="size")
    with pytest.raises(ValueError, match="n_regions must be 1 or more, got 0"):
        nc.merge_tree(graph).cut(n_regions=0)
    with pytest.raises(ValueError, match="threshold must be a difference, got nan"):
        nc.merge_tree(graph).cut(threshold=float("nan"))


def test_whoever_listens_has_the_hierarchy() -> None:
    image, regions = scene((12, 15), 2)
    with listening() as heard:
        found = nc.merge_regions(image, regions, image > 5, n_regions=9)
    (hierarchy,) = heard
    np.testing.assert_array_equal(hierarchy.table(9)[hierarchy.regions], found)
    np.testing.assert_array_equal(
        hierarchy.table(1, 300.0)[hierarchy.regions],
        nc.merge_regions(image, regions, image > 5, n_regions=1, threshold=300.0),
    )
    assert hierarchy.most - hierarchy.fewest == len(hierarchy.heights)


def test_a_block_in_work_takes_what_is_said() -> None:
    rng = np.random.default_rng(0)
    image = rng.random((48, 64, 64), np.float32)  # one block
    regions = np.arange(image.size, dtype=np.int32).reshape(image.shape) // 2048 + 1
    nc.merge_regions(image, regions)
    gc.collect()
    tracemalloc.start()
    try:
        nc.merge_regions(image, regions)
        taken = tracemalloc.get_traced_memory()[1] / image.size - 4  # the result
    finally:
        tracemalloc.stop()
    assert 0.5 <= taken / catalog.find("merge_regions").working <= 1


# Optional labels in recipes and on the command line --------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with an image and regions of it."""
    monkeypatch.chdir(tmp_path)
    image, regions = scene((14, 18), 6)
    nc.write("image.tif", nc.Volume(image.astype(np.uint8), "yx"), kind="image")
    nc.write("regions.tif", nc.Volume(regions.astype(np.uint8), "yx"))
    return tmp_path


def test_recipes_say_whether_regions_are_an_input() -> None:
    image, regions = scene((14, 18), 6)
    alone, given_regions = nc.Step("merge_regions"), nc.Step("merge_regions", {}, {"regions": "cells"})
    assert nc.Recipe([alone]).inputs == ("image",)
    recipe = nc.Recipe.from_json(nc.Recipe([given_regions]).to_json())
    assert recipe.inputs == ("image", "cells")
    assert dict(recipe.roles) == {"image": "image", "cells": "labels"}
    assert recipe.source == "image"
    result = nc.execute(recipe, {"image": image, "cells": regions})
    np.testing.assert_array_equal(result.labels, nc.merge_regions(image, regions))
    chain = nc.Recipe(
        [
            nc.Step("watershed_from_minima", {"depth": 1.0}),
            nc.Step("merge_regions", {"n_regions": 3}, {"regions": "step_1"}),
        ]
    )
    assert chain.inputs == ("image",)
    begun = nc.watershed_from_minima(image, depth=1.0)
    np.testing.assert_array_equal(
        nc.execute(chain, {"image": image}).labels, nc.merge_regions(image, begun, n_regions=3)
    )
    with pytest.raises(ValueError, match="the recipe needs the input 'cells'"):
        nc.execute(recipe, {"image": image})


def test_every_slice_has_its_own_regions() -> None:
    image, regions = scene((3, 12, 15), 7)
    recipe = nc.Recipe(
        [nc.Step("merge_regions", {"n_regions": 4}, {"regions": "regions"})], nc.Selection("zyx", each="z")
    )
    found = nc.execute(recipe, {"image": image, "regions": regions}).labels
    expected = [nc.merge_regions(plane, cut, n_regions=4) for plane, cut in zip(image, regions, strict=True)]
    for number, (plane, cut) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_array_equal(plane, np.where(cut > 0, cut + 4 * number, 0))


def test_the_command_takes_regions_from_a_file_or_makes_them(folder: Path) -> None:
    image, regions = nc.read("image.tif").data, nc.read("regions.tif").data
    assert main(["merge-regions", "image.tif", "with.tif", "--regions", "regions.tif", "--n-regions", "5"]) == 0
    np.testing.assert_array_equal(nc.read("with.tif").data, nc.merge_regions(image, regions, n_regions=5))
    assert main(["merge-regions", "image.tif", "without.tif", "--n-regions", "5", "--n-superpixels", "20"]) == 0
    expected = nc.merge_regions(image, n_regions=5, n_superpixels=20)
    np.testing.assert_array_equal(nc.read("without.tif").data, expected)
    inputs = [json.loads(Path(f"{n}.tif.recipe.json").read_text())["steps"][0]["inputs"] for n in ("with", "without")]
    assert inputs == [{"image": "image", "regions": "regions"}, {"image": "image"}]
    again = ["run", "with.tif.recipe.json", "image.tif", "again.tif", "--regions", "regions.tif"]
    assert main(again) == 0
    np.testing.assert_array_equal(nc.read("again.tif").data, nc.read("with.tif").data)


def test_a_folder_of_images_is_paired_with_regions_by_name(tmp_path: Path) -> None:
    for number, folder in itertools.product(range(2), ("images", "regions")):
        (tmp_path / folder).mkdir(exist_ok=True)
        arrays = scene((14, 18), number)
        nc.write(tmp_path / folder / f"{number}.tif", nc.Volume(arrays[folder == "regions"].astype(np.uint8), "yx"))
    step = nc.Step("merge_regions", {"n_regions": 3}, {"regions": "regions"})
    batch = nc.run(step, tmp_path / "images", inputs={"regions": tmp_path / "regions"})
    for number, row in enumerate(batch.rows):
        image, regions = (array.astype(np.uint8) for array in scene((14, 18), number))
        np.testing.assert_array_equal(row.labels, nc.merge_regions(image, regions, n_regions=3))

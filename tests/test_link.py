"""Objects linked over frames and slices: by hand, against plain Python, in tiles, stores and parts."""

from __future__ import annotations

import doctest
from functools import reduce
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

import napari_cutout as nc
from napari_cutout import Recipe, Selection, Step, Volume, cli
from napari_cutout.methods.link import Tracks
from napari_cutout.processing import _links

from .reference.links import linked as linked_slowly

A_LIFE = np.array([
    [[1, 1, 1, 1, 1, 1, 0, 7, 7, 0, 4, 4]],  # 1 will divide, 7 will vanish for a frame, 4 stays
    [[2, 2, 2, 0, 5, 5, 0, 0, 0, 0, 9, 9]],
    [[2, 2, 2, 0, 5, 5, 0, 3, 3, 0, 9, 0]],
    [[0, 6, 6, 0, 0, 0, 0, 3, 3, 0, 9, 0]],  # one child is gone
])  # fmt: skip


def test_a_division_a_gap_and_an_end_by_hand() -> None:
    assert nc.link_frames(A_LIFE)[:, 0].tolist() == [
        [1, 1, 1, 1, 1, 1, 0, 2, 2, 0, 3, 3],
        [4, 4, 4, 0, 5, 5, 0, 0, 0, 0, 3, 3],
        [4, 4, 4, 0, 5, 5, 0, 6, 6, 0, 3, 0],
        [0, 4, 4, 0, 0, 0, 0, 6, 6, 0, 3, 0],
    ]
    bridged = nc.link_frames(A_LIFE, max_gap=1)
    assert bridged[2, 0, 7:9].tolist() == [2, 2]
    np.testing.assert_array_equal(nc.link_frames(da.from_array(A_LIFE, 1), max_gap=1).compute(), bridged)
    half = np.array([[[1, 1, 1, 1, 1, 1, 1, 0]], [[2, 2, 2, 0, 0, 0, 3, 3]]])  # 3 lies for half of its voxels in 1
    assert nc.link_frames(half)[1, 0].tolist() == [1, 1, 1, 0, 0, 0, 2, 2]
    goes_on = np.array([[[1, 1, 1, 1, 1, 1]], [[2, 2, 2, 2, 0, 3]]])
    assert nc.link_frames(goes_on)[1, 0].tolist() == [1, 1, 1, 1, 0, 2]
    nearer = np.array([[[1, 1, 1, 1, 1, 1, 0, 0]], [[0, 0, 0, 0, 2, 2, 2, 2]], [[0, 3, 3, 3, 3, 3, 3, 0]]])
    assert nc.link_frames(nearer, min_overlap=0.3, max_gap=1)[2, 0, 1] == 2, "the frame before comes first"
    undivided = nc.link_frames(A_LIFE, divisions=False, min_overlap=0.5)
    assert undivided[1, 0].tolist() == [1, 1, 1, 0, 4, 4, 0, 0, 0, 0, 3, 3]


def test_the_table_has_first_and_last_frames_and_parents(tmp_path: Path) -> None:
    found = nc.link_table(nc.link_frames(A_LIFE))
    rows = [tuple(row.values()) for row in found.table]
    assert rows == [
        (1, 0, 0, 0, 1),
        (2, 0, 0, 0, 1),
        (3, 0, 3, 0, 4),
        (4, 1, 3, 1, 3),
        (5, 1, 2, 1, 2),
        (6, 2, 3, 0, 2),
    ]
    text = found.to_ctc(tmp_path / "res_track.txt").read_text()
    assert text == "1 0 0 0\n2 0 0 0\n3 0 3 0\n4 1 3 1\n5 1 2 1\n6 2 3 0\n"
    assert found.to_csv(tmp_path / "tracks.csv").read_text().splitlines()[4] == "4,1,3,1,3"
    assert not nc.link_table(nc.link_frames(A_LIFE), divisions=False).columns["parent"].any()
    last = np.moveaxis(nc.link_frames(A_LIFE), 0, -1)
    assert nc.link_table(da.from_array(last, 1), frame_axis=-1).table == found.table


def test_a_table_that_the_challenge_cannot_have_is_refused(tmp_path: Path) -> None:
    found = nc.link_table(nc.link_frames(A_LIFE, max_gap=1))
    with pytest.raises(ValueError, match=r"object 2 is missing in a frame .*; link with max_gap=0, or write to_csv"):
        found.to_ctc(tmp_path / "res_track.txt")
    with pytest.raises(ValueError, match=r"labels must have an axis of frames .* got shape \(3, 3\); pass labels"):
        nc.link_table(np.eye(3, dtype=int))
    with pytest.raises(ValueError, match=r"frame_axis must be an axis of labels of shape \(3, 3\), got 2"):
        nc.link_table(np.eye(3, dtype=int), frame_axis=2)
    assert len(nc.link_table(np.zeros((2, 3, 3), int))) == 0
    assert isinstance(found, Tracks)


def test_equal_overlaps_go_to_what_comes_first_in_scan_order() -> None:
    frames = np.array([[[0, 1, 1, 0, 2, 2, 0]], [[0, 0, 3, 3, 3, 0, 0]]])
    assert nc.link_frames(frames, divisions=False)[1, 0].tolist() == [0, 0, 1, 1, 1, 0, 0]
    forked = np.array([[[0, 0, 3, 3, 0, 0]], [[0, 2, 2, 1, 1, 0]]])  # the first of both by place, not by label
    assert nc.link_frames(forked, divisions=False)[1, 0].tolist() == [0, 1, 1, 2, 2, 0]


FRAMES = arrays(np.uint8, st.tuples(st.integers(1, 5), st.just(2), st.integers(1, 7)), elements=st.integers(0, 3))
SETTINGS = st.fixed_dictionaries({
    "min_overlap": st.sampled_from([0.0, 0.2, 0.25, 0.5, 1.0]),
    "max_gap": st.integers(0, 2),
    "divisions": st.booleans(),
})  # fmt: skip


@given(FRAMES, SETTINGS)
def test_plain_python_links_the_same(frames: np.ndarray, settings: dict[str, Any]) -> None:
    found = nc.link_frames(frames, **settings)
    expected, parents = linked_slowly(list(frames), **settings)
    np.testing.assert_array_equal(found, expected)
    if not settings["max_gap"]:
        told = nc.link_table(found, min_overlap=settings["min_overlap"], divisions=settings["divisions"])
        assert {row["label"]: row["parent"] for row in told.table if row["parent"]} == parents


@given(FRAMES, SETTINGS, st.permutations([1, 2, 3]), st.integers(1, 5))
def test_objects_stay_apart_names_do_not_matter_and_nothing_is_looked_at_ahead(
    frames: np.ndarray, settings: dict[str, Any], names: list[int], n: int
) -> None:
    found = nc.link_frames(frames, **settings)
    for frame, numbers in zip(frames, found, strict=True):
        pairs = {(int(a), int(b)) for a, b in zip(frame.ravel(), numbers.ravel(), strict=True)}
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    renamed = np.asarray([0, *names], np.int64)[frames]
    np.testing.assert_array_equal(nc.link_frames(renamed - 2**40 * (renamed > 0), **settings), found)
    np.testing.assert_array_equal(nc.link_frames(frames[:n], **settings), found[:n])
    np.testing.assert_array_equal(np.unique(found[found > 0]), np.arange(1, found.max() + 1))


def test_what_many_tiles_tell_is_summed_in_a_few_sorts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    tiles = [
        _links.counts_of(block[1], [(at - 1, block[0])], at, (0, 0), (4, 4))
        for at, block in enumerate(rng.integers(0, 5, (300, 2, 4, 4)))
    ] + [_links.Counts.none()] * 300
    expected, order = _links.Counts.summed(tiles), rng.permutation(600)
    n_sorted, groups = 0, _links._groups

    def counting(keys: np.ndarray) -> Any:
        nonlocal n_sorted
        n_sorted += keys.shape[1]
        return groups(keys)

    monkeypatch.setattr(_links, "_groups", counting)
    told = reduce(_links.gathered, (tiles[i] for i in order))
    found = _links.total_of(told)
    np.testing.assert_array_equal(found.objects, expected.objects)
    np.testing.assert_array_equal(found.pairs, expected.pairs)
    assert len(told) < _links.ALIKE * (1 + np.log(len(expected)) / np.log(8)), "few sums wait, of whatever size"
    assert n_sorted <= 5 * len(expected), "not all of them again for every tile"


@given(FRAMES, SETTINGS, st.tuples(*[st.integers(1, 3)] * 3))
def test_dask_links_as_the_whole(frames: np.ndarray, settings: dict[str, Any], chunks: tuple[int, int, int]) -> None:
    lazy = nc.link_frames(da.from_array(frames, chunks), **settings)
    np.testing.assert_array_equal(lazy.compute(scheduler="sync"), nc.link_frames(frames, **settings))


# Parts that are run one by one -----------------------------------------------------------------------------


def film(seed: int = 3) -> np.ndarray:
    """Return frames of volumes in which blobs drift, come and go."""
    moving = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((5, 6, 24, 30)), (0.8, 1, 1.5, 1.5))
    return np.clip(1000 + 200 * moving / moving.std(), 0, 2000).astype(np.uint16)


VALUE = 1200.0
CUT = Step("threshold_at", {"value": VALUE, "one_per_object": True})
LINK = Step("link_frames", {"min_overlap": 0.1, "max_gap": 1}, {"labels": "step_1"})


def by_hand(frames: np.ndarray, **settings: Any) -> np.ndarray:
    """Cut every frame by itself, then link them in plain Python."""
    each = [nc.threshold_at(frame, value=VALUE, one_per_object=True) for frame in frames]
    return np.stack(linked_slowly(each, **settings)[0])


@pytest.fixture(scope="module")
def linked_film() -> np.ndarray:
    found = by_hand(film(), min_overlap=0.1, max_gap=1)
    assert found.max() > 20
    return found


def test_frames_of_volumes_are_linked_when_all_are_cut(linked_film: np.ndarray, tmp_path: Path) -> None:
    image = film()
    recipe = Recipe([CUT, LINK], Selection("tzyx", each="t"))
    result = nc.execute(recipe, {"image": image})
    np.testing.assert_array_equal(result.labels, linked_film)
    table = nc.link_table(result.labels, min_overlap=0.1)
    facts = result.provenance["steps"][-1]["facts"]
    assert facts["n_tracks"] == len(table) == linked_film.max()
    assert facts["n_bridged"] == (table.columns["end"] - table.columns["begin"] >= table.columns["n_frames"]).sum() > 0
    assert facts["n_divisions"] == len(set(table.columns["parent"].tolist()) - {0})
    lazy = nc.execute(recipe, {"image": da.from_array(image, (1, 3, 24, 7))})
    np.testing.assert_array_equal(lazy.labels, linked_film)
    tiles = nc.run(recipe, image, tile=(4, 16, 16))
    assert "tiling" in tiles.provenance
    np.testing.assert_array_equal(tiles.labels, linked_film)
    measured = nc.measure(result.labels, frame_axis=0)
    n_rows = np.bincount(measured.columns["label"])[1:]
    np.testing.assert_array_equal(n_rows, table.columns["n_frames"])
    assert n_rows.max() == 5


def test_a_run_on_a_store_links_in_tiles_and_resumes(
    linked_film: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "film.zarr", tmp_path / "labels.zarr"
    nc.write(source, Volume(film(), "tzyx", spacing=(1.0, 1.0, 1.0)))
    recipe = Recipe([CUT, LINK], Selection("tzyx", each="t"))
    asked: dict[str, Any] = {"tile": (6, 16, 16)}
    with monkeypatch.context() as broken:
        broken.setattr("napari_cutout.running._store_attempt.decided", _stop)
        with pytest.raises(KeyboardInterrupt):
            nc.run(recipe, source, target, **asked)
    result = nc.run(recipe, source, target, resume=True, **asked)
    assert "taken up again" in result.provenance["resumed"]
    np.testing.assert_array_equal(np.asarray(result.labels), linked_film)
    assert result.labels.dtype == np.uint8
    assert result.provenance["steps"][-1]["facts"]["n_tracks"] == linked_film.max()


def _stop(*_: Any) -> Any:
    raise KeyboardInterrupt


def test_slices_of_a_volume_become_objects_and_then_frames_are_linked() -> None:
    image = film(5)[:3]
    settings = {"min_overlap": 0.2, "divisions": False}
    slices = by_hand(image[0], **settings)
    link = Step("link_frames", settings, {"labels": "step_1"})
    of_slices = nc.execute(Recipe([CUT, link], Selection("zyx", each="z")), {"image": image[0]}).labels
    np.testing.assert_array_equal(of_slices, slices)
    np.testing.assert_array_equal(nc.link_frames(by_hand(image[0], min_overlap=2.0), **settings), slices)
    volumes = [by_hand(volume, **settings) for volume in image]
    both = np.stack(linked_slowly(volumes, 0.2)[0])
    link = Step("link_frames", {"min_overlap": 0.2}, {"labels": "step_1"})
    for axes, turned in (("tzyx", image), ("ztyx", image.swapaxes(0, 1))):
        found = nc.execute(Recipe([CUT, link], Selection(axes, each="tz")), {"image": turned}).labels
        np.testing.assert_array_equal(found if axes == "tzyx" else found.swapaxes(0, 1), both)


def test_labels_that_are_there_are_linked_alone() -> None:
    found = nc.run(Step("link_frames"), A_LIFE, axes="tyx", each="t")
    np.testing.assert_array_equal(found.labels, nc.link_frames(A_LIFE))
    inside = nc.run(Step("link_frames"), A_LIFE > 0, axes="tyx", each="t").labels
    np.testing.assert_array_equal(inside, nc.link_frames(A_LIFE > 0))


def test_nothing_comes_after_parts_were_linked() -> None:
    steps = [CUT, LINK, Step("draw_lines", {}, {"labels": "step_2"})]
    assert len(Recipe(steps).steps) == 3
    with pytest.raises(ValueError, match=r"step 2, link_frames, links .* along 't', so it must be the last step; move"):
        Recipe(steps, Selection("tyx", each="t"))


# On the page -----------------------------------------------------------------------------------------------


def test_the_page_says_what_happens() -> None:
    page = Path(__file__).parents[1] / "docs" / "link.md"
    found = doctest.testfile(str(page), module_relative=False)
    assert found.attempted > 8
    assert not found.failed


# On the command line ---------------------------------------------------------------------------------------


def test_the_command_line_links_frames_and_writes_their_table(
    linked_film: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, out, tracks = tmp_path / "film.npy", tmp_path / "labels.tif", tmp_path / "res_track.txt"
    np.save(image, film()[:, 3])
    cut = ["threshold_at", str(image), str(out), "--value", f"{VALUE}", "--axes", "tyx", "--each", "t", "--link"]
    assert cli.main(cut) == cli.BAD_INPUT
    assert "threshold_at gives classes, and link joins objects; pass --one-per-object" in capsys.readouterr().err
    assert cli.main([*cut, "--one-per-object", "--tracks", str(tracks)]) == 0
    said = capsys.readouterr().out
    labels = nc.read(out).data
    assert f"{labels.max()} linked objects, " in said
    np.testing.assert_array_equal(labels, by_hand(film()[:, 3]))
    rows = [line.split() for line in tracks.read_text().splitlines()]
    assert f"{len(rows):,} linked objects written to" in said
    assert rows == [
        [str(row[key]) for key in ("label", "begin", "end", "parent")] for row in nc.link_table(labels).table
    ]
    relinked = tmp_path / "relinked.tif"
    assert cli.main(["link-frames", str(out), str(relinked), "--tracks", str(tmp_path / "again.txt")]) == 0, "each is t"
    np.testing.assert_array_equal(nc.read(relinked).data, labels)
    assert (tmp_path / "again.txt").read_text() == tracks.read_text()
    gap = ["link-frames", str(out), str(tmp_path / "gap.tif"), "--max-gap", "1", "--tracks", str(tmp_path / "gap.txt")]
    assert cli.main(gap) == cli.BAD_INPUT
    assert "gap.txt cannot tell of objects that come back after a gap, and --max-gap is 1; name a .csv" in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "gap.tif").exists(), "it is said before the run"
    recipe = Recipe.load(f"{out}.recipe.json")
    assert [step.method for step in recipe.steps] == ["threshold_at", "link_frames"]
    again = ["run", f"{out}.recipe.json", str(image), str(tmp_path / "again.tif"), "--axes", "tyx"]
    assert cli.main([*again, "--tracks", str(tmp_path / "t.csv")]) == 0
    np.testing.assert_array_equal(nc.read(tmp_path / "again.tif").data, labels)
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 1 + len(rows)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--link"], "link joins the objects of frames or slices that are run one by one, and nothing is; pass --each"),
        (["--each", "z", "--tracks", "t.csv"], "nothing is linked; give --link as well"),
        (["--each", "z", "--link", "--one-per-object", "--tracks", "t.png"], "must end in .csv or .txt, got 't.png'"),
    ],
)
def test_what_cannot_be_linked_is_said(
    more: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "volume.npy", film()[0])
    words = ["threshold_at", str(tmp_path / "volume.npy"), str(tmp_path / "out.tif"), "--value", "1200", *more]
    assert cli.main(words) == cli.BAD_INPUT
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out.tif").exists()

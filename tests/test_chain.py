"""Chains: a recipe that begins with what made its inputs gives the pixels of the runs one after the other."""

from __future__ import annotations

import json
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

import napari_cutout as nc
from napari_cutout import _sources, catalog
from napari_cutout._chain import Made, chained, made
from napari_cutout._method import Labels
from napari_cutout._selection import Selection
from napari_cutout._sources import Source, fingerprint
from napari_cutout.recipe import Recipe, Step

from .cases import IMAGE_METHODS, settings_of, strokes, two_humps

METHODS = IMAGE_METHODS


@nc.method("Toys")
def toy_objects(labels: Labels) -> Labels:
    """Number the connected parts of a class.

    Parameters
    ----------
    labels : int array
        Classes.
    """
    return nc.components(np.asarray(labels) == np.max(labels))


@nc.method("Toys")
def toy_largest(labels: Labels) -> Labels:
    """Keep the label that is the highest.

    Parameters
    ----------
    labels : int array
        Numbers.
    """
    return np.where(labels == np.max(labels), labels, 0).astype(np.int32)


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    for toy in (toy_objects, toy_largest):
        monkeypatch.setitem(catalog.methods(), toy.__name__, toy.__method__)  # type: ignore[attr-defined]


class Bench:
    """Layers by name, and what made them: what a viewer holds."""

    def __init__(self, **layers: np.ndarray) -> None:
        self.layers = dict(layers)
        self.made: dict[str, Made] = {}

    def source(self, name: str) -> Source:
        array = self.layers[name]
        painted = "" if name.startswith("image") else fingerprint(array)
        return Source(name, shape=array.shape, dtype=array.dtype.name, sha256=painted)

    def run(self, out: str, step: Step, selection: Selection | None, **layers: str) -> Any:
        """Run a step on layers, and keep the chain with what it gave; return the chain."""
        sources = {array: self.source(layer) for array, layer in layers.items()}
        parents = {array: self.made[layer] for array, layer in layers.items() if layer in self.made}
        step = Step(step.method, step.settings, {array: array for array in layers})
        chain = chained(step, selection, sources, parents)
        arrays = {array: self.layers[layer] for array, layer in layers.items()}
        labels = nc.execute(Recipe([step], selection), arrays).labels
        self.layers[out] = labels
        self.made[out] = Made(chain.recipe, chain.sources, fingerprint(labels))
        return chain

    def again(self, chain: Any) -> np.ndarray:
        """Run a chain on the layers that its sources name."""
        return nc.execute(chain.recipe, {n: self.layers[s.layer] for n, s in chain.sources.items()}).labels


@pytest.fixture
def bench() -> Bench:
    image = two_humps((28, 33), seed=1)
    painted = strokes(image)
    painted[np.unravel_index(image.argmax(), image.shape)] = painted.max() + 1  # two labels inside of any threshold
    return Bench(image=image, image_of_nuclei=image[::-1].copy(), strokes=painted)


@pytest.mark.parametrize("entry", METHODS, ids=lambda m: m.name)
def test_a_mask_that_was_cut_is_cut_again(entry: Any, bench: Bench) -> None:
    bench.run("inside", Step("threshold", {"fill_holes": True}), None, image="image")
    more = {"markers": "strokes"} if entry.needs == "strokes" else {}
    settings = settings_of(entry)
    chain = bench.run("out", Step(entry.name, settings), None, image="image", mask="inside", **more)
    assert [s.method for s in chain.recipe.steps] == ["threshold", entry.name]
    assert set(chain.recipe.inputs) == {"image", *more}
    assert chain.recipe.steps[1].inputs["mask"] == "step_1"
    np.testing.assert_array_equal(bench.again(chain), bench.layers["out"])


def test_images_that_differ_get_names_that_differ(bench: Bench) -> None:
    bench.run("inside", Step("threshold"), None, image="image_of_nuclei")
    chain = bench.run("out", Step("multi_otsu"), None, image="image", mask="inside")
    assert {n: s.layer for n, s in chain.sources.items()} == {"image": "image", "image_2": "image_of_nuclei"}
    assert chain.recipe.source == "image"
    np.testing.assert_array_equal(bench.again(chain), bench.layers["out"])
    deeper = bench.run("deeper", Step("threshold", {"method": "li"}), None, image="image_of_nuclei", mask="out")
    assert {n: s.layer for n, s in deeper.sources.items()} == {"image": "image_of_nuclei", "image_2": "image"}
    assert [s.method for s in deeper.recipe.steps] == ["threshold", "multi_otsu", "threshold"]
    np.testing.assert_array_equal(bench.again(deeper), bench.layers["deeper"])


def test_a_parent_of_two_inputs_runs_once(bench: Bench) -> None:
    bench.run("inside", Step("threshold"), None, image="image")
    bench.run("coarse", Step("multi_otsu"), None, image="image", mask="inside")
    chain = bench.run("out", Step("back_projection"), None, image="image", markers="coarse", mask="inside")
    assert [s.method for s in chain.recipe.steps] == ["threshold", "multi_otsu", "back_projection"]
    assert dict(chain.recipe.steps[2].inputs) == {"image": "image", "markers": "step_2", "mask": "step_1"}
    np.testing.assert_array_equal(bench.again(chain), bench.layers["out"])


def test_a_step_that_equals_an_earlier_one_is_still_the_last(bench: Bench) -> None:
    bench.run("first", Step("threshold"), None, image="image")
    bench.run("second", Step("multi_otsu"), None, image="image", mask="first")
    bench.run("third", Step("threshold"), None, image="image", mask="second")
    chain = bench.run("fourth", Step("threshold"), None, image="image", mask="third")
    assert [s.method for s in chain.recipe.steps] == ["threshold", "multi_otsu", "threshold", "threshold"]
    np.testing.assert_array_equal(bench.again(chain), bench.layers["fourth"])


def test_labels_that_were_edited_are_an_input(bench: Bench) -> None:
    bench.run("inside", Step("threshold"), None, image="image")
    bench.layers["inside"][0, 0] ^= 1
    chain = bench.run("out", Step("multi_otsu"), None, image="image", mask="inside")
    assert chain.apart == {"mask": "it was edited since"}
    assert chain.recipe.inputs == ("image", "mask")
    np.testing.assert_array_equal(bench.again(chain), bench.layers["out"])


def test_labels_alone_may_be_the_source(bench: Bench) -> None:
    bench.run("classes", Step("multi_otsu"), None, image="image")
    chain = bench.run("objects", Step("toy_objects"), None, labels="classes")
    assert chain.recipe.inputs == ("image",)
    assert chain.recipe.source == "image"
    np.testing.assert_array_equal(bench.again(chain), bench.layers["objects"])
    largest = bench.run("largest", Step("toy_largest"), None, labels="objects")
    assert [s.method for s in largest.recipe.steps] == ["multi_otsu", "toy_objects", "toy_largest"]
    np.testing.assert_array_equal(bench.again(largest), bench.layers["largest"])
    unmade = bench.run("of strokes", Step("toy_objects"), None, labels="strokes")
    assert unmade.recipe.inputs == ("labels",) == (unmade.recipe.source,)


# Selections --------------------------------------------------------------------------------------------


@pytest.fixture
def movies() -> Bench:
    frames = np.stack([two_humps((2, 24, 26), seed=t) + 900 * t for t in range(3)])
    return Bench(image=frames.astype(np.uint16))


EACH = Selection("tcyx", channel=1, box=((1, 3), (2, 20), (0, 26)), each="t")
WHOLE = Selection("tcyx", channel=1, each="t")


def test_a_run_on_all_that_a_parent_gave_has_its_selection(movies: Bench) -> None:
    movies.run("classes", Step("multi_otsu"), EACH, image="image")
    chain = movies.run("objects", Step("toy_objects"), Selection("tyx", each="t"), labels="classes")
    assert chain.recipe.selection == EACH
    assert chain.apart == {}
    assert movies.layers["objects"].max() > 1
    np.testing.assert_array_equal(movies.again(chain), movies.layers["objects"])


def test_objects_that_are_numbered_over_frames_are_an_input(movies: Bench) -> None:
    movies.run("classes", Step("threshold", {"one_per_object": True}), WHOLE, image="image")
    chain = movies.run("largest", Step("toy_largest"), Selection("tyx", each="t"), labels="classes")
    assert "numbered over all parts" in chain.apart["labels"]
    np.testing.assert_array_equal(movies.again(chain), movies.layers["largest"])
    masked = movies.run("out", Step("threshold"), WHOLE, image="image", mask="classes")
    assert masked.recipe.inputs == ("image",)  # a mask is only asked for inside or outside
    np.testing.assert_array_equal(movies.again(masked), movies.layers["out"])


def test_frames_are_linked_after_what_numbered_their_objects_and_nothing_goes_on_from_there(movies: Bench) -> None:
    each = Selection("tyx", each="t")
    movies.run("objects", Step("threshold", {"one_per_object": True}), WHOLE, image="image")
    chain = movies.run("linked", Step("link_frames"), each, labels="objects")
    assert not chain.apart
    assert [step.method for step in chain.recipe.steps] == ["threshold", "link_frames"]
    np.testing.assert_array_equal(movies.again(chain), movies.layers["linked"])
    chain = movies.run("lines", Step("draw_lines"), each, labels="linked")
    assert "linked over all parts" in chain.apart["labels"]


OTHERS = {
    "channel": Selection("tcyx", channel=0, each="t"),
    "pooled": Selection("tcyx", channel=1, each="t", pooled=True),
}


@pytest.mark.parametrize("selection", OTHERS.values(), ids=OTHERS)
def test_a_mask_of_another_selection_is_an_input(selection: Selection, movies: Bench) -> None:
    movies.run("inside", Step("threshold"), selection, image="image")
    chain = movies.run("out", Step("multi_otsu"), WHOLE, image="image", mask="inside")
    assert chain.apart == {"mask": "it was made of another part of the image"}
    assert chain.recipe.selection == WHOLE
    np.testing.assert_array_equal(movies.again(chain), movies.layers["out"])


def test_the_same_selection_is_chained(movies: Bench) -> None:
    pooled = OTHERS["pooled"]
    movies.run("inside", Step("threshold"), pooled, image="image")
    chain = movies.run("out", Step("multi_otsu"), pooled, image="image", mask="inside")
    assert chain.recipe.inputs == ("image",)
    np.testing.assert_array_equal(movies.again(chain), movies.layers["out"])


PARTS = {
    "together": (Selection("zyx"), "it runs on other parts of it"),
    "region": (Selection("tyx", box=((0, 1), (0, 9), (0, 9)), each="t"), "it runs on other parts of it"),
    "pooled": (Selection("tyx", each="t", pooled=True), "it runs on other parts of it"),
}


@pytest.mark.parametrize(("selection", "why"), PARTS.values(), ids=PARTS)
def test_a_run_on_other_parts_of_what_a_parent_gave_is_not_chained(
    selection: Selection, why: str, movies: Bench
) -> None:
    movies.run("classes", Step("multi_otsu"), EACH, image="image")
    chain = movies.run("objects", Step("toy_objects"), selection, labels="classes")
    assert chain.apart == {"labels": why}
    np.testing.assert_array_equal(movies.again(chain), movies.layers["objects"])
    plain = Bench(image=two_humps((20, 22)))
    plain.run("classes", Step("multi_otsu"), None, image="image")
    region = plain.run("objects", Step("toy_objects"), Selection("yx", box=((2, 9), (3, 9))), labels="classes")
    assert region.apart == {"labels": "it runs on a part of it"}
    np.testing.assert_array_equal(plain.again(region), plain.layers["objects"])


# What is stored with a layer ---------------------------------------------------------------------------


def test_what_made_a_layer_is_read_from_its_metadata(bench: Bench) -> None:
    bench.run("inside", Step("threshold"), None, image="image")
    known = bench.made["inside"]
    provenance = {"sha256": known.sha256, "sources": {n: s.as_dict() for n, s in known.sources.items()}}
    stored = json.loads(json.dumps({"recipe": known.recipe.to_json(), "provenance": provenance}))
    assert made(stored) == known
    in_store = {"sources": provenance["sources"]}
    assert made({**stored, "provenance": in_store}).sha256 == ""
    assert made({**stored, "provenance": {**in_store, "edits": [{}]}}).sha256 == "edited by hand"
    assert made({}) is None
    assert made({"recipe": "{}", "provenance": provenance}) is None
    assert made({"recipe": stored["recipe"], "provenance": {}}) is None
    no_sources = Made(known.recipe, {}, known.sha256)
    step = Step("threshold", {}, {"image": "image", "mask": "mask"})
    sources = {"image": bench.source("image"), "mask": bench.source("inside")}
    assert chained(step, None, sources, {"mask": no_sources}).apart == {
        "mask": "it is not known where its image came from"
    }


def test_sources_are_the_same_by_what_is_known_of_them() -> None:
    image = Source("nuclei", "a.tif", (4, 5), "uint8")
    assert image.is_same(Source("nuclei", "a.tif", (4, 5), "uint8"))
    for other in (Source("cells", "a.tif", (4, 5), "uint8"), Source("nuclei", "b.tif", (4, 5), "uint8"), Source()):
        assert not image.is_same(other)
    assert not Source().is_same(Source())  # nothing is known of either
    assert Source("a", sha256="1").is_same(Source("b", sha256="1"))
    assert not Source("a", sha256="1").is_same(Source("a", sha256="2"))
    assert Source.from_dict(json.loads(json.dumps(image.as_dict()))) == image
    assert Source.from_dict({"layer": "a", "of a later version": 1}) == Source("a")
    assert Source().as_dict() == {}


# Fingerprints ------------------------------------------------------------------------------------------


def test_a_fingerprint_by_hand() -> None:
    import hashlib

    expected = hashlib.sha256(b"[2, 3]" + b"<u2" + np.array([0, 1, 300, 0, 0, 7], "<u2").tobytes()).hexdigest()
    assert fingerprint(np.array([[0, 1, 300], [0, 0, 7]])) == expected


@given(st.data())
def test_a_fingerprint_is_of_values_and_shape_alone(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=4)))
    low, high = data.draw(st.sampled_from([(0, 2), (0, 200), (0, 60_000), (-90, 90), (0, 2**31 - 1), (-(2**31), 9)]))
    values = np.random.default_rng(data.draw(st.integers(0, 99))).integers(low, high, shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_sources, "RUN_VOXELS", data.draw(st.integers(1, 50)))
        first = fingerprint(values)
        patch.setattr(_sources, "SLAB_VOXELS", data.draw(st.integers(1, 50)))
        for dtype in ("u1", "i1", "u2", "i2", "u4", "i4", "u8"):
            limits = np.iinfo(dtype)
            if limits.min <= values.min() and values.max() <= limits.max:
                assert fingerprint(values.astype(dtype)) == first
                assert fingerprint(values.astype(f">{dtype}")) == first
        chunks = tuple(data.draw(st.integers(1, 7)) for _ in shape)
        held = [np.asfortranarray(values), values[::-1].copy()[::-1], da.from_array(values, chunks=chunks)]
        for other in [*held, zarr.array(values, chunks=tuple(map(min, chunks, shape)))]:
            assert fingerprint(other) == first
        changed = values.copy()
        changed.flat[data.draw(st.integers(0, values.size - 1))] += 1
        assert fingerprint(changed) != first
        assert fingerprint(values.reshape(-1, 1, 1)) != first


def test_booleans_are_zeros_and_ones_and_floats_are_refused() -> None:
    mask = np.random.default_rng(0).random((30, 40)) > 0.5
    assert fingerprint(mask) == fingerprint(mask.astype(np.int64)) == fingerprint(mask.T.copy().T)
    assert fingerprint(np.zeros((0, 3), int)) != fingerprint(np.zeros((3, 0), int))
    with pytest.raises(TypeError, match="fingerprint takes integers or booleans, got dtype float64; convert it first"):
        fingerprint(np.ones((2, 2)))


def test_a_parent_whose_image_was_replaced_since_stays_apart() -> None:
    labels = np.ones((4, 5), np.uint8)
    before = Source("nuclei", shape=(4, 5), dtype="uint8", contents="1")
    parent = Made(Recipe([Step("threshold")]), {"image": before}, fingerprint(labels))
    mask = Source("mask", shape=(4, 5), dtype="uint8", sha256=fingerprint(labels))
    step = Step("threshold", {}, {"image": "image", "mask": "mask"})

    def chain_on(contents: str) -> Any:
        image = Source("nuclei", shape=(4, 5), dtype="uint8", contents=contents)
        return chained(step, None, {"image": image, "mask": mask}, {"mask": parent})

    assert (len(chain_on("1").recipe.steps), chain_on("1").apart) == (2, {})
    assert len(chain_on("").recipe.steps) == 2  # saved by a version that did not look
    changed = chain_on("2")
    assert changed.apart == {"mask": "nuclei was changed since"}
    assert changed.recipe.inputs == ("image", "mask")
    assert len(changed.recipe.steps) == 1


def test_two_parents_of_an_image_that_was_replaced_between_them_are_not_both_chained() -> None:
    made_of = {
        name: Made(
            Recipe([Step("threshold")]), {"image": Source("nuclei", shape=(4, 5), dtype="uint8", contents=name)}, name
        )
        for name in ("mask", "labels")
    }
    sources = {name: Source(name, shape=(4, 5), dtype="uint8", sha256=name) for name in made_of}
    image = Source("other", shape=(4, 5), dtype="uint8")
    entry = next(e for e in METHODS if {"markers", "mask"} <= {p.name for p in e.arrays})
    step = Step(entry.name, settings_of(entry), {"image": "image", "markers": "markers", "mask": "mask"})
    parents = {"markers": made_of["labels"], "mask": made_of["mask"]}
    inputs = {"image": image, "markers": sources["labels"], "mask": sources["mask"]}
    assert chained(step, None, inputs, parents).apart == {"mask": "nuclei was changed since"}

"""Edit this region: a box of stored labels is copied out, painted on, and written back to every level."""

from __future__ import annotations

import os
from functools import partial

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qtpy.QtCore import Qt

from napari_cutout import io, stores
from napari_cutout._volume import Volume
from napari_cutout.widgets import _region_edit
from napari_cutout.widgets._files import read_layers
from napari_cutout.widgets._region_edit import Changed, box_problem, fitting_box, take, write_back
from napari_cutout.widgets._region_row import RegionRow, are_classes, box_of, store_of
from napari_cutout.widgets._store_levels import opened
from napari_cutout.widgets._store_numbers import Held, free_numbers, labels_in

SHAPE = (20, 150, 130)
BOX = ((3, 17), (41, 100), (5, 70))


def labels_of(seed=0):
    return np.random.default_rng(seed).integers(0, 6, SHAPE).astype(np.uint8)


@pytest.fixture
def store(tmp_path):
    """Labels with three levels, as a run writes them."""
    metadata = {"provenance": {"facts": {}, "n_labels": 5}, "run": "1"}
    return str(io.write(tmp_path / "a.zarr", Volume(labels_of(), "zyx", (2.0, 0.5, 0.5), "micrometer", "", metadata)))


def assert_holds(store, labels):
    """Check all levels: each takes every n-th voxel."""
    levels = opened(store).levels
    assert len(levels) == 3
    for level in levels:
        steps = tuple(slice(None, None, int(factor)) for factor in level.factors)
        np.testing.assert_array_equal(level.array[...], labels[steps])


def edits_of(store):
    return opened(store).metadata["provenance"].get("edits", [])


def painted(taken, label=9):
    edited = taken.before.copy()
    edited[tuple(slice(n // 4, n // 2 + 1) for n in edited.shape)] = label
    return edited


def ends(n):
    return st.tuples(st.integers(0, n - 1), st.integers(1, 60)).map(lambda one: (one[0], min(sum(one), n)))


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=12, deadline=None
)
@given(box=st.tuples(*map(ends, SHAPE)), label=st.integers(0, 255))
def test_every_level_holds_what_was_written_and_again_what_was_undone(store, box, label):
    before = labels_of()
    taken = take(store, box)
    at = tuple(slice(*one) for one in box)
    np.testing.assert_array_equal(taken.before, before[at])
    edited = before.copy()
    edited[at] = painted(taken, label)
    written = write_back(taken, edited[at])
    assert_holds(store, edited)
    assert written.n_changed == np.count_nonzero(edited != before)
    write_back(written.taken, written.undo, undoes=True)
    assert_holds(store, before)
    assert edits_of(store) == []


def test_the_provenance_notes_edits_and_the_files_elsewhere_stay(store, tmp_path):
    files = list(tmp_path.rglob("c/*/*/*"))
    for path in files:
        os.utime(path, ns=(0, 0))  # what is written within a tick of the clock has another time, too
    taken = take(store, ((0, 4), (0, 60), (0, 60)))
    write_back(taken, painted(taken))
    changed = {path for path in files if path.stat().st_mtime_ns != 0}
    assert len(files) == 9 + 4 + 1
    assert len(changed) == 3, "one file of each level"
    (edit,) = edits_of(store)
    assert edit["box"] == [[0, 4], [0, 60], [0, 60]]
    assert edit["voxels"] == np.count_nonzero(painted(taken) != taken.before)
    assert opened(store).metadata["provenance"]["n_labels"] == 9, "numbers above it are free in all of the store"
    same = take(store, BOX)
    assert write_back(same, same.before).n_changed == 0
    assert edits_of(store) == [edit], "what changes nothing is no edit"


def test_only_so_many_edits_are_remembered(store, monkeypatch):
    monkeypatch.setattr(_region_edit, "MOST_EDITS", 2)
    for label in (7, 8, 9):
        taken = take(store, BOX)
        write_back(taken, painted(taken, label))
    assert len(edits_of(store)) == 2
    assert opened(store).metadata["provenance"]["earlier_edits"] == 1


def test_a_change_meanwhile_is_noticed_and_may_be_replaced(store):
    taken, other = take(store, BOX), take(store, ((10, 12), (50, 60), (0, 10)))
    write_back(other, np.full_like(other.before, 7))
    now = opened(store).levels[0].array[...]
    with pytest.raises(Changed, match="voxels of this region were changed in the store since it was copied out; disc"):
        write_back(taken, painted(taken))
    assert_holds(store, now)
    written = write_back(taken, painted(taken), anyway=True)
    now[tuple(slice(*one) for one in BOX)] = painted(taken)
    assert_holds(store, now)
    assert written.undo[10 - 3, 50 - 41, 0] == 7, "undo puts back what the other one has written"


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        (300, "label 300 does not fit into the store, which holds uint8 .0 to 255.; give the object a free number"),
        (-1, "label -1 does not fit"),
    ],
)
def test_labels_that_the_store_cannot_hold_are_refused(store, label, sentence):
    taken = take(store, BOX)
    with pytest.raises(ValueError, match=sentence):
        write_back(taken, painted(taken.__class__(taken.store, taken.box, taken.before.astype(np.int64)), label))
    with pytest.raises(ValueError, match=r"has the shape .* in the store, but the layer has"):
        write_back(taken, taken.before[1:])
    assert_holds(store, labels_of())


def test_a_failure_leaves_the_store_as_it_was(store, monkeypatch):
    real, calls = stores.edit_labels, []

    def failing(path, start, labels, **options):
        calls.append(labels)
        real(path, start, labels, **options)
        if len(calls) == 1:
            raise OSError("no space left on device")

    monkeypatch.setattr(stores, "edit_labels", failing)
    taken = take(store, BOX)
    with pytest.raises(OSError, match=r"could not write to 'a.zarr' \(no space left on device\); the region was put"):
        write_back(taken, painted(taken))
    assert_holds(store, labels_of())
    assert edits_of(store) == []


def test_what_is_no_labels_is_not_edited(tmp_path):
    image = str(io.write(tmp_path / "image.zarr", Volume(labels_of(), "zyx"), kind="image"))
    with pytest.raises(ValueError, match="holds no labels; open labels that a run has written"):
        take(image, BOX)


def test_a_box_too_large_is_said_and_cut_along_what_is_not_shown(monkeypatch, store):
    monkeypatch.setattr(_region_edit, "MOST_VOXELS", 1000)
    assert box_problem(((0, 10), (0, 10), (0, 10))) == ""
    assert "holds 1,100 voxels, and at most 1,000 are edited at a time; zoom in" in box_problem(((0, 11), (0, 100)))
    with pytest.raises(ValueError, match="at most 1,000"):
        take(store, BOX)
    assert fitting_box(((0, 90), (0, 10), (5, 15)), (50, 0, 0), [0]) == ((45, 55), (0, 10), (5, 15))
    assert fitting_box(((0, 90), (0, 10), (5, 15)), (88, 0, 0), [0]) == ((80, 90), (0, 10), (5, 15))
    assert fitting_box(((2, 6), (0, 10), (5, 15)), (4, 0, 0), [0]) == ((2, 6), (0, 10), (5, 15))


# Numbers for new objects -----------------------------------------------------------------------------------

SMALL = (6, 30, 20)
"""The shape of labels in two files, with an object of one voxel that no coarser level has."""


def numbered(tmp_path, labels, name="n.zarr", **metadata):
    """Labels in a store, of which the provenance knows too low a number: others have changed it since."""
    metadata = {"provenance": {"n_labels": 2, **metadata}, "run": "1"}
    return str(io.write(tmp_path / name, Volume(labels, "zyx", metadata=metadata)))


def free_in_plain_numpy(before, box, edited, highest):
    """Return the store after a write, and which labels became which, by the plainest reading of the rule.

    None if there are no numbers.
    """
    at = tuple(slice(*one) for one in box)
    held, there = set(before.flat), set(before[at].flat)
    new = sorted(set(edited.flat) - there - {0})
    moved = [label for label in new if label in held or label > highest]
    taken = (held | set(edited.flat)) - set(moved) | (held & set(moved))
    numbers = list(range(int(max(taken)) + 1, highest + 1))
    if len(numbers) < len(moved):
        numbers = [n for n in range(1, highest + 1) if n not in taken]
    if len(numbers) < len(moved):
        return before, None
    becomes = dict(zip(moved, numbers, strict=False))
    after = before.copy()
    after[at] = np.array([becomes.get(int(label), int(label)) for label in edited.flat]).reshape(edited.shape)
    return after, {int(a): b for a, b in becomes.items()}


inside = st.integers(0, 2).flatmap(lambda a: st.tuples(st.just(a), st.integers(a + 1, 4)))
stroke = st.tuples(st.tuples(inside, inside, inside), st.integers(0, 300))


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=30, deadline=None
)
@given(
    seed=st.integers(0, 99),
    most=st.sampled_from([3, 40, 255]),
    n_gaps=st.integers(0, 9),
    edits=st.lists(st.tuples(st.tuples(inside, inside, inside), st.lists(stroke, min_size=1, max_size=3)), max_size=3),
)
def test_edits_one_after_the_other_give_new_objects_numbers_of_their_own(tmp_path_factory, seed, most, n_gaps, edits):
    now = np.random.default_rng(seed).integers(0, most + 1, SMALL).astype(np.uint8)
    now[(now > 200) & (now % 10 > n_gaps)] = 255
    store, held, undo = numbered(tmp_path_factory.mktemp("s"), now), Held(), []
    for box, strokes in edits:
        taken = take(store, box)
        edited = taken.before.astype(np.int32)
        for part, label in strokes:
            edited[tuple(slice(*one) for one in part)] = label
        before, (now, moved) = now, free_in_plain_numpy(now, box, edited, 255)
        if moved is None:
            with pytest.raises(ValueError, match="the store has numbers up to 255, of which"):
                write_back(taken, edited, held=partial(held.labels, store))
            continue
        written = write_back(taken, edited, held=partial(held.labels, store))
        assert dict(written.moved) == moved
        np.testing.assert_array_equal(opened(store).levels[0].array[...], now)
        for level in opened(store).levels:
            steps = tuple(slice(None, None, int(factor)) for factor in level.factors)
            np.testing.assert_array_equal(level.array[...], now[steps])
        undo.append((written, before))
    for written, before in reversed(undo):
        write_back(written.taken, written.undo, undoes=True)
        np.testing.assert_array_equal(opened(store).levels[0].array[...], before)


def test_a_store_that_has_all_numbers_refuses_a_new_object_and_stays_as_it_is(tmp_path):
    labels = (np.arange(np.prod(SMALL)) % 256).reshape(SMALL).astype(np.uint8)
    store, box = numbered(tmp_path, labels), ((0, 1), (0, 4), (0, 4))
    taken, held = take(store, box), partial(Held().labels, store)
    edited = taken.before.astype(np.int32)
    edited[0, 0, 0] = 256
    with pytest.raises(ValueError, match="numbers up to 255, of which 0 are free, and the region holds 1 new obj"):
        write_back(taken, edited, held=held)
    np.testing.assert_array_equal(opened(store).levels[0].array[...], labels)
    everywhere = take(store, tuple((0, n) for n in SMALL))
    write_back(everywhere, np.where(everywhere.before == 77, 0, everywhere.before), held=held)
    taken = take(store, box)
    written = write_back(taken, edited, held=held)
    assert dict(written.moved) == {256: 77}, "the way out that the sentence names"
    assert opened(store).levels[0].array[0, 0, 0] == 77


def test_what_others_change_in_files_is_seen_and_the_rest_is_not_read_again(store, monkeypatch):
    held, read = Held(), []
    real = stores.CheckedArray.__getitem__
    monkeypatch.setattr(stores.CheckedArray, "__getitem__", lambda array, at: read.append(at) or real(array, at))
    np.testing.assert_array_equal(held.labels(store), np.arange(6))
    n_files, read[:] = len(read), []
    assert n_files == 9
    zarr.open_array(f"{store}/0", mode="r+")[19, 149, 129] = 200
    np.testing.assert_array_equal(held.labels(store), [0, 1, 2, 3, 4, 5, 200])
    assert len(read) == 1, "one file has changed"


def test_files_that_are_not_there_hold_the_fill_value(tmp_path):
    labels = np.zeros(SHAPE, np.uint8)
    labels[0, 0, 0] = 7
    assert list(Held().labels(numbered(tmp_path, labels))) == [0, 7]
    full = str(io.write(tmp_path / "full.zarr", Volume(np.full((8, 8), 3, np.uint8), "yx")))
    assert list(Held().labels(full)) == [3]


def test_what_is_in_no_coarser_level_counts(tmp_path):
    labels = np.ones(SHAPE, np.uint16)
    labels[1, 1, 1] = 900
    store = numbered(tmp_path, labels)
    assert all(900 not in level.array[...] for level in opened(store).levels[1:])
    taken = take(store, ((10, 12), (50, 60), (50, 60)))
    edited = taken.before.copy()
    edited[0, :3] = 900
    assert write_back(taken, edited, held=partial(Held().labels, store)).moved == {900: 901}


def test_a_region_without_anything_new_looks_for_no_number():
    before = np.array([[1, 2, 0]])
    assert free_numbers(np.array([[2, 2, 0]]), before, lambda: pytest.fail("nothing is new"), 255) == {}
    assert list(labels_in(np.array([[5, 5, 2], [2, 0, 5]]))) == [0, 2, 5]
    assert list(labels_in(np.zeros((0, 3), int))) == []


# In the viewer ---------------------------------------------------------------------------------------------


@pytest.fixture
def layer(viewer, store):
    """The labels as a layer, which is multiscale and lazy."""
    ((data, options, _),) = read_layers(store)
    return viewer.add_labels(data, **options)


@pytest.fixture
def row(viewer, layer, qtbot):
    """The row of buttons, and what it said."""
    said = []
    row = RegionRow(viewer, lambda sentence, problem=False: said.append((sentence, problem)))
    qtbot.addWidget(row)
    row.said = said
    yield row
    row.let_go()


@pytest.fixture
def press(qtbot):
    """Press a button and wait until what it does is done."""

    def press(row, button):
        assert button.isEnabled()
        button.click()
        qtbot.waitUntil(lambda: not row.running)

    return press


def offered(row):
    names = ("edit_button", "write_button", "discard_button", "undo_button")
    return [name.partition("_")[0] for name in names if not getattr(row, name).isHidden()]


def draw(viewer, z, y, x):
    """Draw a rectangle around these voxels, in the world of the layer."""
    corners = [(z, a - 0.5, b - 0.5) for a, b in ((y[0], x[0]), (y[0], x[1]), (y[1], x[1]), (y[1], x[0]))]
    return viewer.add_shapes([corners], shape_type="rectangle", scale=(2, 0.5, 0.5))


@pytest.mark.qt
def test_a_drawn_region_is_edited_written_and_undone(viewer, layer, row, press, store):
    draw(viewer, 3, (10, 40), (20, 60))
    row.region_box.setCurrentIndex(1)
    assert offered(row) == ["edit"]
    press(row, row.edit_button)
    copy = row.edited
    assert offered(row) == ["write", "discard"]
    assert not layer.visible
    assert copy.mode == "paint"
    np.testing.assert_array_equal(copy.data, labels_of()[:, 10:40, 20:60])
    np.testing.assert_array_equal(copy.translate, (0, 5, 10))
    np.testing.assert_array_equal(copy.scale, layer.scale)
    copy.data[4, 5:9, 5:9] = 9
    press(row, row.write_button)
    edited = labels_of()
    edited[4, 15:19, 25:29] = 9
    assert_holds(store, edited)
    assert layer.visible
    assert copy not in viewer.layers
    np.testing.assert_array_equal(np.asarray(layer.data[0]), edited)
    assert layer.metadata["napari_cutout"]["provenance"]["edits"]
    assert row.said[-1] == ("wrote 16 changed voxels into the store; Undo puts the old ones back", False)
    assert offered(row) == ["edit", "undo"]
    press(row, row.undo_button)
    assert_holds(store, labels_of())
    np.testing.assert_array_equal(np.asarray(layer.data[0]), labels_of())
    assert offered(row) == ["edit"]


@pytest.mark.qt
def test_an_object_that_is_new_by_key_m_joins_no_other(viewer, layer, row, press, store, qtbot):
    labels = labels_of()
    labels[19, 140:, 100:] = 7  # beyond the region, which has numbers up to 5 only
    write_back(take(store, tuple((0, n) for n in SHAPE)), labels)
    zarr.open_array(f"{store}/0", mode="r+")[18, 149, 129] = labels[18, 149, 129] = 6  # by another program
    draw(viewer, 3, (10, 40), (20, 60))
    row.region_box.setCurrentIndex(1)
    for number in (8, 9):
        press(row, row.edit_button)
        viewer.layers.selection.active = row.edited
        qtbot.keyClick(viewer.__wrapped__.window._qt_viewer.canvas.native, Qt.Key.Key_M)
        by_key = row.edited.selected_label
        assert by_key == (6 if number == 8 else 9)
        row.edited.brush_size = 3
        row.edited.paint((2 * number - 12, 8, 8), by_key)
        copy = np.array(row.edited.data)
        press(row, row.write_button)
        labels[:, 10:40, 20:60] = np.where(copy == by_key, number, copy)
        np.testing.assert_array_equal(opened(store).levels[0].array[...], labels)
        np.testing.assert_array_equal(np.asarray(layer.data[0]), labels)
        as_other = ", 6 as 8, since another object has that number there" * (number == 8)
        assert f" into the store{as_other}; Undo puts the old ones back" in row.said[-1][0]
    press(row, row.undo_button)
    assert 9 not in opened(store).levels[0].array[...]


@pytest.mark.qt
def test_a_full_store_keeps_what_was_painted_in_its_layer(viewer, qtbot, press, tmp_path):
    labels = (np.arange(np.prod(SHAPE)) % 256).reshape(SHAPE).astype(np.uint8)
    ((data, options, _),) = read_layers(numbered(tmp_path, labels))
    viewer.add_labels(data, **options)
    said = []
    row = RegionRow(viewer, lambda sentence, problem=False: said.append((sentence, problem)))
    qtbot.addWidget(row)
    press(row, row.edit_button)
    row.edited.data[0, 0, 0] = 256
    assert row.numbers_box.isChecked()
    press(row, row.write_button)
    assert said[-1][1]
    assert "of which 0 are free" in said[-1][0]
    assert row.edited in viewer.layers
    assert row.edited.editable
    assert row.edited.data[0, 0, 0] == 256
    row.edited.data[row.edited.data == 256] = 9
    press(row, row.write_button)
    assert said[-1][0].startswith("wrote 1 changed voxel into the store; Undo")
    row.let_go()


@pytest.mark.qt
def test_classes_are_written_as_they_are_painted(viewer, qtbot, press, tmp_path):
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, 100:] = 1  # beyond the region, which holds nothing
    steps = [{"method": "threshold", "settings": {"one_per_object": False}}]
    store = numbered(tmp_path, labels, steps=steps)
    ((data, options, _),) = read_layers(store)
    layer = viewer.add_labels(data, **options)
    assert are_classes(layer)
    draw(viewer, 0, (0, 10), (0, 10)).scale = (1, 1, 1)
    row = RegionRow(viewer, lambda *_, **__: None)
    qtbot.addWidget(row)
    row.show_for(layer)
    row.region_box.setCurrentIndex(1)
    press(row, row.edit_button)
    assert not row.numbers_box.isChecked()
    row.edited.data[:5, 0, 0] = 1
    press(row, row.write_button)
    assert list(opened(store).levels[0].array[:, 0, 0]) == [1] * 5 + [0] * 15
    row.let_go()


@pytest.mark.qt
def test_a_conflict_is_said_and_the_edit_stays(viewer, layer, row, press, store):
    press(row, row.edit_button)
    assert row.edited.data.shape == SHAPE, "all is in view before the canvas was drawn"
    other = take(store, BOX)
    write_back(other, painted(other))
    row.edited.data[0] = 3
    press(row, row.write_button)
    assert row.said[-1][1]
    assert "were changed in the store" in row.said[-1][0]
    assert row.write_button.text() == "Write anyway"
    assert row.edited in viewer.layers
    press(row, row.write_button)
    edited = labels_of()
    edited[0] = 3
    assert_holds(store, edited)


@pytest.mark.qt
def test_discarding_and_removing_the_copy_leave_the_store_and_the_layers_as_they_were(viewer, layer, row, press, store):
    press(row, row.edit_button)
    row.edited.data[:] = 1
    row.discard_button.click()
    assert list(viewer.layers) == [layer]
    assert layer.visible
    press(row, row.edit_button)
    viewer.layers.remove(row.edited)
    assert row.edited is None
    assert layer.visible
    assert offered(row) == ["edit"]
    assert_holds(store, labels_of())
    viewer.layers.remove(layer)
    assert row.isHidden()


@pytest.mark.qt
def test_what_cannot_be_edited_is_said(viewer, layer, row, press, monkeypatch):
    monkeypatch.setattr(_region_edit, "MOST_VOXELS", 1000)
    row.edit()
    assert row.said[-1][1]
    assert "at most 1,000 are edited at a time" in row.said[-1][0]
    shapes = draw(viewer, 3, (200, 240), (20, 60))
    with pytest.raises(ValueError, match="lies beside 'a'"):
        box_of(viewer, layer, shapes)
    viewer.add_image(np.zeros((900, 4, 4), np.uint8))
    viewer.dims.set_point(0, 800)
    with pytest.raises(ValueError, match="not in view"):
        box_of(viewer, layer, "view")


@pytest.mark.qt
def test_of_frames_the_one_that_is_shown_is_edited(viewer, tmp_path):
    labels = np.repeat(labels_of()[:3, None], 2, axis=1)
    path = io.write(tmp_path / "t.zarr", Volume(labels, "tzyx", metadata={"run": "1"}))
    ((data, options, _),) = read_layers(str(path))
    layer = viewer.add_labels(data, **options)
    viewer.dims.set_current_step(0, 2)
    assert box_of(viewer, layer, "view") == ((2, 3), (0, 2), (0, 150), (0, 130))


def test_only_stored_labels_that_are_complete_offer_it(store):
    from napari.layers import Image, Labels

    ((data, options, _),) = read_layers(store)
    assert store_of(Labels(data, **options)) == store
    ours = options["metadata"]["napari_cutout"]
    assert not store_of(Labels(data, **options | {"metadata": {"napari_cutout": ours | {"unfinished": True}}}))
    assert not store_of(Labels(np.asarray(data[0]), metadata=options["metadata"]))
    assert not store_of(Image(np.zeros((4, 4))))
    assert not store_of(None)


def test_axes_in_another_order_are_refused(store):
    group = zarr.open_group(store)
    ome = group.attrs["ome"]
    ome["multiscales"][0]["axes"].reverse()
    group.attrs["ome"] = ome
    del group.attrs["napari_cutout"]
    with pytest.raises(ValueError, match="axes in another order, 'xyz'; write it anew"):
        take(store, BOX)

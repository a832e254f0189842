"""What a run works on, and where its labels lie: plain data, no window."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_cutout._selection import Selection
from napari_cutout.widgets import _layers
from napari_cutout.widgets._target import (
    ASKED,
    Choice,
    Extent,
    Outline,
    Unfit,
    axes_of,
    factors,
    recalled,
    remember,
    smaller_choices,
    spatial,
    target,
)

# napari says so of every volume that is turned or sheared out of the plane, the user's as well as ours.
pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")

TRANSFORMS = {
    "plain": {},
    "scale": {"scale": (2, 0.5, 0.25)},
    "translate": {"translate": (1, -2, 3)},
    "mirrored": {"scale": (2, -0.5, 0.25)},
    "rotate": {"rotate": (10, 20, 30), "scale": (2, 1, 1)},
    "shear": {"shear": (0.1, 0.2, 0.3), "scale": (2, 0.5, 0.25)},
    "affine": {"affine": np.array([[1, 0.1, 0, 5], [0, 1.5, 0, 6], [0.2, 0, 1, 7], [0, 0, 0, 1]])},
    "all": {
        "scale": (2, 0.5, 0.25),
        "translate": (1, 2, 3),
        "rotate": (10, 20, 30),
        "shear": (0.1, 0.2, 0.3),
        "affine": np.array([[1, 0.1, 0, 5], [0, 1.5, 0, 6], [0, 0, 1, 7], [0, 0, 0, 1]]),
    },
}


def whole(ndim, point=None):
    """An extent that says no more than where the viewer stands."""
    return Extent((0,) * ndim if point is None else point)


def labels_on(aim, *, result=True):
    """A Labels layer where the target says."""
    shape = aim.as_layer(np.zeros(aim.result_shape, np.uint8)).shape if result else aim.shape
    return Labels(np.zeros(shape, np.uint8), **(aim.result_place if result else aim.place))


def assert_same_place(labels, at, image, there):
    """The centre of a voxel of the labels lies on a point of the image."""
    np.testing.assert_allclose(labels.data_to_world(at), image.data_to_world(there), atol=1e-9)


# Axes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "options", "letters"),
    [
        ((8, 9), {}, "yx"),
        ((7, 8, 9), {}, "zyx"),
        ((6, 7, 8, 9), {}, f"{ASKED}zyx"),
        ((5, 6, 7, 8, 9), {}, f"{ASKED}{ASKED}zyx"),
        ((6, 7, 8, 9), {"axis_labels": ("t", "z", "y", "x")}, "tzyx"),
        ((3, 8, 9), {"axis_labels": ("C", "Y", "X")}, "cyx"),
        ((3, 8, 9), {"axis_labels": ("Time", "y", "x")}, "tyx"),
        ((6, 7, 8, 9), {"axis_labels": ("time", "channel", "y", "x")}, "tcyx"),
        ((6, 7, 8, 9), {"axis_labels": ("t", "t", "y", "x")}, f"{ASKED}zyx"),
        ((6, 7, 8, 9), {"axis_labels": ("t", "z", "x", "y")}, f"{ASKED}zyx"),
        ((6, 7, 8, 9), {"axis_labels": ("t", "angle", "y", "x")}, f"{ASKED}zyx"),
        ((8, 9, 3), {"rgb": True}, "yxc"),
        ((7, 8, 9, 3), {"rgb": True}, "zyxc"),
        ((5, 8, 9, 3), {"rgb": True, "axis_labels": ("t", "y", "x")}, "tyxc"),
    ],
    ids=str,
)
def test_axes_are_read_off_the_layer_and_what_may_be_time_or_channels_is_asked(shape, options, letters):
    choice = recalled(Image(np.zeros(shape, np.uint8), **options))
    assert choice.letters == letters
    assert choice.time == "", "frames are asked for, never guessed"
    assert choice.channel == ("grey" if "rgb" in options else 0)


def test_a_choice_is_remembered_for_its_layer_until_it_says_nothing_about_the_data():
    layer, other = Image(np.zeros((4, 5, 8, 9))), Image(np.zeros((4, 5, 8, 9)))
    said = Choice("tcyx", time="each", channel=4)
    remember(layer, said)
    assert recalled(layer) == said
    assert recalled(other).letters == f"{ASKED}zyx"
    layer.data = np.zeros((4, 4, 8, 9))
    assert recalled(layer) != said, "there is no channel 4 any more"
    layer.data = np.zeros((5, 8, 9))
    assert recalled(layer) == Choice("zyx")


@pytest.mark.parametrize("letters", ["yx", "zyx", "tczyx", "yxc", "tyx"])
def test_axes_that_are_named_pass(letters):
    assert axes_of(letters) == letters


@pytest.mark.parametrize(
    ("letters", "words"),
    [
        (f"t{ASKED}yx", "axis 1 of 4 may be time, channels or slices; say which it is"),
        ("ttyx", "two axes are called 't' in 'ttyx'; every axis needs a name of its own"),
    ],
)
def test_axes_that_are_not_named_are_refused(letters, words):
    with pytest.raises(Unfit, match=words) as caught:
        axes_of(letters)
    assert caught.value.field == "axes"


def test_spatial_axes():
    assert spatial("tczyx") == [2, 3, 4]
    assert spatial(f"{ASKED}yxc") == [1, 2]


# Levels -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "smaller", "expected"),
    [
        ((8, 8), (8, 8), (1, 1)),
        ((8, 8), (4, 2), (2, 4)),
        ((9, 9), (5, 4), (2, 2)),
        ((7, 33, 31), (7, 17, 15), (1, 2, 2)),
        ((3, 100), (1, 25), (3, 4)),
        ((100,), (67,), (100 / 67,)),
        ((1, 1), (1, 1), (1, 1)),
    ],
)
def test_a_factor_is_a_whole_number_where_one_explains_both_shapes(shape, smaller, expected):
    assert factors(shape, smaller) == expected


def test_a_voxel_of_a_level_lies_on_the_middle_of_those_that_it_stands_for():
    full = np.zeros((6, 16, 20), np.uint8)
    image = Image([full, full[:, ::2, ::2], full[:, ::4, ::4]], multiscale=True, **TRANSFORMS["all"])
    for level, factor in ((0, 1), (1, 2), (2, 4)):
        aim = target(image, Choice("zyx", level=level), whole(3))
        assert aim.factor == (1, factor, factor)
        assert aim.array.shape == aim.result_shape == aim.shape == (6, 16 // factor, 20 // factor)
        labels = labels_on(aim)
        half = (factor - 1) / 2
        for z, y, x in ((0, 0, 0), (5, 1, 2), (3, 3, 0)):
            assert_same_place(labels, (z, y, x), image, (z, y * factor + half, x * factor + half))
        lengths = _layers.spacing(image)
        assert aim.spacing == pytest.approx((lengths[0], lengths[1] * factor, lengths[2] * factor))


def test_half_a_voxel_by_hand():
    image = Image([np.zeros((8, 8)), np.zeros((4, 4))], multiscale=True, scale=(0.5, 0.5), translate=(10, 20))
    aim = target(image, Choice("yx", level=1), whole(2))
    assert aim.result_place["scale"] == (1.0, 1.0)
    # The first voxel stands for those at 10 and 10.5, so that its centre lies at 10.25.
    assert aim.result_place["translate"] == (10.25, 20.25)


# Places -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("box", [None, ((1, 4), (2, 9), (3, 8))], ids=["whole", "box"])
def test_labels_lie_voxel_on_voxel(transform, box):
    image = Image(np.zeros((5, 12, 10)), units=("um",) * 3, axis_labels=("z", "y", "x"), **TRANSFORMS[transform])
    aim = target(image, Choice("zyx"), Extent((0, 0, 0), box))
    start = (0, 0, 0) if box is None else (1, 2, 3)
    assert aim.result_shape == ((5, 12, 10) if box is None else (3, 7, 5))
    labels = labels_on(aim)
    for at in ((0, 0, 0), (2, 6, 4), (1, 0, 3)):
        assert_same_place(labels, at, image, np.add(at, start))
    assert labels.units == image.units
    assert labels.axis_labels == image.axis_labels
    on_whole = labels_on(aim, result=False)
    assert on_whole.data.shape == (5, 12, 10)
    assert_same_place(on_whole, (4, 11, 9), image, (4, 11, 9))


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_labels_without_leading_channels_lie_where_the_planes_do(transform):
    spatial_part = TRANSFORMS[transform]
    image = Image(np.zeros((3, 5, 12, 10)), **_with_leading_axis(spatial_part))
    alone = Image(np.zeros((5, 12, 10)), **spatial_part)
    aim = target(image, Choice("czyx", channel=2), Extent((0, 0, 0), ((1, 4), (2, 9), (3, 8))))
    assert (aim.spread, aim.selection.channel) == (None, 2)
    labels = labels_on(aim)
    assert labels.ndim == 3
    for at in ((0, 0, 0), (2, 6, 4)):
        assert_same_place(labels, at, alone, np.add(at, (1, 2, 3)))
        np.testing.assert_allclose(labels.data_to_world(at), image.data_to_world((0, *np.add(at, (1, 2, 3))))[1:])


def _with_leading_axis(options):
    """Return a place in space as that of an array with channels before it."""
    found = dict(options)
    if "scale" in found:
        found["scale"] = (1, *found["scale"])
    if "translate" in found:
        found["translate"] = (0, *found["translate"])
    for name in ("rotate", "shear", "affine"):
        if name in found:
            inner = found[name]
            if name != "affine":
                small = Image(np.zeros((2, 2, 2)), **{name: inner})
                inner = small.rotate if name == "rotate" else _shear_matrix(small)
            matrix = np.eye(len(inner) + 1)
            matrix[1:, 1:] = inner
            found[name] = matrix
    return found


def _shear_matrix(layer):
    z, y, x = layer.shear
    return np.array([[1, z, y], [0, 1, x], [0, 0, 1]])


def test_channels_in_the_middle_are_one_voxel_that_spans_them_all():
    image = Image(np.zeros((4, 3, 12, 10)), scale=(5, 2, 0.5, 0.25), translate=(1, 10, 2, 3))
    aim = target(image, Choice("tcyx", time="each", channel=1), Extent((0, 0, 0), ((0, 4), (2, 9), (3, 8))))
    assert aim.spread == 1
    assert aim.shape == (4, 1, 12, 10)
    assert aim.result_shape == (4, 7, 5)
    labels = labels_on(aim)
    assert labels.data.shape == (4, 1, 7, 5)
    assert_same_place(labels, (3, 0, 6, 4), image, (3, 1, 8, 7))
    for edge, channel in ((-0.5, -0.5), (0.5, 2.5)):  # from the first edge of the channels to the last
        assert labels.data_to_world((0, edge, 0, 0))[1] == image.data_to_world((0, channel, 0, 0))[1]
    for channel in range(3):  # at every step of the slider the labels are in view
        world = image.data_to_world((2, channel, 5, 5))
        assert round(float(labels.world_to_data(world)[1])) == 0


def test_arrays_of_layers_with_a_spread_axis_go_to_the_method_without_it():
    image = Image(np.zeros((4, 3, 12, 10)))
    aim = target(image, Choice("tcyx", time="each", channel=1), whole(3))
    strokes = np.arange(4 * 12 * 10).reshape(4, 1, 12, 10)
    np.testing.assert_array_equal(aim.as_input(strokes), strokes[:, 0])
    np.testing.assert_array_equal(aim.as_layer(strokes[:, 0]), strokes)
    plain = target(Image(np.zeros((12, 10))), Choice("yx"), whole(2))
    np.testing.assert_array_equal(plain.as_input(strokes[0, 0]), strokes[0, 0])


def test_a_colour_image_gives_labels_on_its_planes():
    image = Image(np.zeros((6, 12, 10, 3), np.uint8), rgb=True, scale=(3, 2, 1), translate=(1, 2, 3))
    aim = target(image, Choice("zyxc", channel="grey"), Extent((0, 0, 0), ((1, 3), (0, 12), (4, 10))))
    assert (aim.spread, aim.result_shape) == (None, (2, 12, 6))
    labels = labels_on(aim)
    assert_same_place(labels, (1, 5, 5), image, (2, 5, 9))


# What is run at a time ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Choice("tzyx", time="each"), Selection("tzyx", each="t")),
        (Choice("tzyx", time="pooled"), Selection("tzyx", each="t", pooled=True)),
        (
            Choice("tzyx", time="this"),
            Selection("tzyx", each="t", box=((2, 3), (0, 5), (0, 6), (0, 7))),
        ),
        (Choice("tzyx", depth="each", time="each"), Selection("tzyx", each="tz")),
        (
            Choice("tzyx", depth="this", time="this"),
            Selection("tzyx", each="tz", box=((2, 3), (4, 5), (0, 6), (0, 7))),
        ),
        (
            Choice("tzyx", depth="this", time="pooled"),
            Selection("tzyx", each="tz", pooled=True, box=((0, 4), (4, 5), (0, 6), (0, 7))),
        ),
        (Choice("zcyx", depth="each", channel=2), Selection("zcyx", channel=2, each="z")),
        (Choice("czyx", channel="grey"), Selection("czyx", channel="grey")),
    ],
    ids=[
        "each frame",
        "pooled",
        "this frame",
        "each slice",
        "this slice of this frame",
        "this slice",
        "slices",
        "grey",
    ],
)
def test_rows_become_a_selection(choice, expected):
    image = Image(np.zeros((4, 5, 6, 7)))
    kept = [at for at, axis in enumerate(choice.letters) if axis != "c"]
    point = tuple((2, 4, 0, 0)[at] for at in kept)
    assert target(image, choice, Extent(point)).selection == expected


def test_the_method_sees_the_axes_that_are_run_together():
    image = Image(np.zeros((4, 5, 6, 7)), scale=(9, 3, 2, 1))
    aim = target(image, Choice("tzyx", time="each"), whole(4))
    assert (aim.part_shape, aim.run_spacing) == ((5, 6, 7), (3, 2, 1))
    aim = target(image, Choice("tzyx", time="each", depth="each"), whole(4))
    assert (aim.part_shape, aim.run_spacing) == ((6, 7), (2, 1))


def test_this_slice_is_that_of_the_level():
    levels = [np.zeros((8, 16, 16)), np.zeros((4, 8, 8))]
    image = Image(levels, multiscale=True)
    for shown, index in ((0, 0), (1, 0), (2, 1), (7, 3), (99, 3)):
        aim = target(image, Choice("zyx", depth="this", level=1), whole(3, (shown, 0, 0)))
        assert aim.selection.box[0] == (index, index + 1)
        assert_same_place(labels_on(aim), (0, 0, 0), image, (2 * index + 0.5, 0.5, 0.5))


def test_a_box_at_a_lower_level_covers_what_was_asked_for():
    image = Image([np.zeros((16, 16)), np.zeros((4, 4))], multiscale=True)
    aim = target(image, Choice("yx", level=1), Extent((0, 0), ((5, 9), (0, 4))))
    assert aim.selection.box == ((1, 3), (0, 1))


def test_a_box_over_the_edge_is_cut_off_there_and_one_of_everything_is_none():
    image = Image(np.zeros((16, 12)))
    assert target(image, Choice("yx"), Extent((0, 0), ((-3, 5), (4, 40)))).selection.box == ((0, 5), (4, 12))
    assert target(image, Choice("yx"), Extent((0, 0), ((-3, 16), (0, 40)))).selection.box == ()


@pytest.mark.parametrize(
    ("choice", "extent", "field", "words"),
    [
        (Choice(f"{ASKED}zyx"), whole(4), "axes", "axis 0 of 4 may be time"),
        (Choice("tzyx"), whole(4), "time", "the image is a time series; say whether each frame"),
        (
            Choice("tzyx", time="each"),
            Extent((0,) * 4, ((0, 4), (0, 5), (6, 9), (0, 7))),
            "region",
            "the region lies beside the image along 'y'; move it onto the image",
        ),
    ],
    ids=["axis", "frames", "region"],
)
def test_what_cannot_be_run_on_names_the_row_that_says_so(choice, extent, field, words):
    with pytest.raises(Unfit, match=words) as caught:
        target(Image(np.zeros((4, 5, 6, 7))), choice, extent)
    assert caught.value.field == field


def test_what_would_need_less_memory_is_offered_most_image_first():
    assert smaller_choices(Choice("zyx"), 3) == [
        ("each slice by itself", Choice("zyx", depth="each")),
        ("level 1", Choice("zyx", level=1)),
        ("level 2", Choice("zyx", level=2)),
    ]
    assert smaller_choices(Choice("yx", level=1), 2) == []
    assert smaller_choices(Choice("zyx", depth="each"), 1) == []


# Outlines -----------------------------------------------------------------------------------------


def test_an_outline_holds_the_voxels_whose_centre_lies_inside():
    outline = Outline((np.array([[0.5, 0.5], [0.5, 3.5], [3.5, 3.5], [3.5, 0.5]]),), (0, 1))
    expected = np.zeros((6, 5), bool)
    expected[1:4, 1:4] = True
    np.testing.assert_array_equal(outline.mask((6, 5), (1, 1)), expected)


def test_outlines_are_joined_and_go_on_along_the_other_axes():
    first = np.array([[-0.5, -0.5], [-0.5, 1.5], [1.5, 1.5], [1.5, -0.5]])
    outline = Outline((first, first + 3), (1, 2))
    plane = np.zeros((6, 6), bool)
    plane[:2, :2] = plane[3:5, 3:5] = True
    np.testing.assert_array_equal(outline.mask((4, 6, 6), (1, 1, 1)), np.stack([plane] * 4))
    across = Outline((first,), (0, 2)).mask((4, 6, 6), (1, 1, 1))
    np.testing.assert_array_equal(across[:, 0], across[:, 5])
    assert across[:2, 3, :2].all()
    assert across.sum() == 4 * 6


def test_an_outline_at_a_lower_level_holds_the_blocks_whose_middle_lies_inside():
    # Blocks of 2 x 2 have their middles at 0.5, 2.5, 4.5: those from 2 to 5 are the second and the third.
    outline = Outline((np.array([[2.0, 2.0], [2.0, 5.0], [5.0, 5.0], [5.0, 2.0]]),), (0, 1))
    expected = np.zeros((4, 4), bool)
    expected[1:3, 1:3] = True
    np.testing.assert_array_equal(outline.mask((4, 4), (2, 2)), expected)

"""Colours of plots: from the theme, seen by all, and following a change.  No window here."""

from __future__ import annotations

import gc

import pytest
from napari.components import ViewerModel

from napari_cutout.widgets._theme import (
    MIN_CONTRAST,
    PlotColours,
    ThemeListener,
    contrast,
    mixed,
    plot_colours,
    readable,
)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#ffffff", "#000000", 21.0),
        ("#123456", "#123456", 1.0),
        ("#777777", "#ffffff", 4.48),  # the known grey that just fails for text
        ("#ff0000", "#ffffff", 4.00),
    ],
)
def test_contrast_is_that_of_wcag(one, other, expected):
    assert contrast(one, other) == pytest.approx(expected, abs=0.005)


def test_a_mix_lies_between():
    assert mixed("#000000", "#ff8000", 0) == "#000000"
    assert mixed("#000000", "#ff8000", 1) == "#ff8000"
    assert mixed("#000000", "#ff8000", 0.5) == "#804000"


def test_a_colour_that_stands_out_stays_and_another_moves_as_little_as_needed():
    assert readable("#0072b2", "#ffffff", "#000000") == "#0072b2"
    moved = readable("#f0e442", "#ffffff", "#000000")
    assert MIN_CONTRAST <= contrast(moved, "#ffffff") < 4
    assert readable("#808080", "#808080", "#808080") == "#808080"


@pytest.mark.parametrize("theme", ["dark", "light", "system"])
def test_every_colour_stands_out_from_the_background(theme):
    colours = plot_colours(theme)
    for name in ("text", "axis", "data", "focus"):
        assert contrast(getattr(colours, name), colours.background) >= MIN_CONTRAST, name
    for label in ("#ffff00", "#000000", "#ffffff", "#23242b"):
        assert contrast(colours.line(label), colours.background) >= MIN_CONTRAST


def test_colours_are_those_of_the_theme():
    assert plot_colours("dark").background == "#23242b"
    assert plot_colours("dark").text == "#f0f1f2"
    assert plot_colours("light").background == "#ebe7e6"


def test_an_unknown_theme_is_refused():
    with pytest.raises(ValueError, match="mauve"):
        plot_colours("mauve")


def viewer_in(theme):
    viewer = ViewerModel()
    viewer.theme = theme
    return viewer


def test_the_listener_tells_at_once_and_after_every_change_until_it_is_closed():
    viewer = viewer_in("dark")
    seen: list[PlotColours] = []
    listener = ThemeListener(viewer, seen.append)
    viewer.theme = "light"
    assert seen == [plot_colours("dark"), plot_colours("light")]
    listener.close()
    listener.close()
    viewer.theme = "dark"
    assert len(seen) == 2


def test_the_viewer_does_not_keep_a_listener():
    viewer = viewer_in("dark")
    seen: list[PlotColours] = []
    listener = ThemeListener(viewer, seen.append)
    del listener
    gc.collect()
    viewer.theme = "light"
    assert len(seen) == 1

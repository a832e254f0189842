"""Colours of plots, read from napari's theme, so that they are right in light and dark and follow a change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = [
    "MIN_CONTRAST",
    "PlotColours",
    "ThemeListener",
    "contrast",
    "hex_colour",
    "mixed",
    "plot_colours",
    "readable",
]

RGB = tuple[float, float, float]
"""Red, green and blue, from 0 to 1."""

MIN_CONTRAST = 3.0
"""Contrast that lines and bars need to be seen by all, as WCAG 2.2 has it in its rule 1.4.11."""

_STEPS = 20
"""How finely a colour is moved towards the text colour until it stands out."""


@dataclass(frozen=True, slots=True)
class PlotColours:
    """What to draw a plot in, each as ``"#rrggbb"``.

    Parameters
    ----------
    background : str
        Behind everything; that of the dock widgets.
    text : str
        Letters and digits.
    axis : str
        Axes and their ticks; quieter than `text`.
    grid : str
        What should be seen only when looked for.
    data : str
        Bars and the first curve.
    focus : str
        What has the keyboard's focus or is being dragged.
    """

    background: str
    text: str
    axis: str
    grid: str
    data: str
    focus: str

    def line(self, colour: str) -> str:
        """Return a colour as a line on this background needs it: that colour, moved until it stands out."""
        return readable(colour, self.background, self.text)


def plot_colours(theme: str) -> PlotColours:
    """Return the colours of plots in one of napari's themes.

    Parameters
    ----------
    theme : str
        The id of a theme, as ``viewer.theme`` has it: ``"dark"``, ``"light"``, ``"system"`` or one of a plugin.

    Returns
    -------
    PlotColours
        Colours of that theme; those that would not stand out are moved towards its text colour.

    Raises
    ------
    ValueError
        If napari has no such theme.
    """
    from napari.utils.theme import get_theme

    found = get_theme(theme)
    background, text, current = (hex_colour(_rgb(getattr(found, name))) for name in ("background", "text", "current"))
    return PlotColours(
        background=background,
        text=text,
        axis=mixed(background, text, 0.6),
        grid=mixed(background, text, 0.15),
        data=readable(current, background, text),
        focus=readable(hex_colour(_rgb(found.warning)), background, text),
    )


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, from 1 (none) to 21 (black on white), as WCAG defines it."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def readable(colour: str, background: str, text: str, ratio: float = MIN_CONTRAST) -> str:
    """Return `colour`, moved towards `text` by as little as gives it a contrast of `ratio` to `background`."""
    candidates = (mixed(colour, text, step / _STEPS) for step in range(_STEPS + 1))
    return next((c for c in candidates if contrast(c, background) >= ratio), text)


def mixed(one: str, other: str, share: float) -> str:
    """Return a colour between two: `one` at a share of 0, `other` at 1."""
    a, b = _parsed(one), _parsed(other)
    return hex_colour((_between(a[0], b[0], share), _between(a[1], b[1], share), _between(a[2], b[2], share)))


def hex_colour(rgb: RGB) -> str:
    """Return red, green and blue, each from 0 to 1, as ``"#rrggbb"``."""
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)


def _between(a: float, b: float, share: float) -> float:
    return a + share * (b - a)


def _parsed(colour: str) -> RGB:
    return int(colour[1:3], 16) / 255, int(colour[3:5], 16) / 255, int(colour[5:7], 16) / 255


def _rgb(colour: Any) -> RGB:
    red, green, blue = colour.as_rgb_tuple(alpha=False)
    return red / 255, green / 255, blue / 255


def _luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2.2."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _parsed(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


class ThemeListener:
    """Hands over the colours of plots: once at the start, and again whenever the viewer's theme changes.

    It is no Qt object, so that it can let go after the plot that it serves is gone. Whoever makes one keeps it:
    the viewer does not.

    Parameters
    ----------
    viewer : napari viewer
        Whose theme to follow.
    paint : callable
        Takes `PlotColours`.
    """

    def __init__(self, viewer: Any, paint: Callable[[PlotColours], None]) -> None:
        self._viewer, self._paint, self._closed = viewer, paint, False
        viewer.events.theme.connect(self._changed)
        self._changed()

    def close(self) -> None:
        """Let go of the viewer; a second time does nothing."""
        if not self._closed:
            self._viewer.events.theme.disconnect(self._changed)
            self._closed = True

    def _changed(self, event: Any = None) -> None:
        self._paint(plot_colours(self._viewer.theme))

"""The outlines of the 24 coins in scikit-image's `coins`, drawn for this package."""

from __future__ import annotations

# An ellipse per coin: row and column of the centre, semi-major and semi-minor axis in pixels, angle in
# degrees from the row axis towards the column axis. Each was started from a circle set by hand, fitted to the
# steepest fall of brightness across the rim (not to a threshold), and looked at on the enlarged picture; the
# fifteenth, which is no ellipse, was widened by hand. The order is that of their first pixels, row by row.
OUTLINES: tuple[tuple[float, float, float, float, float], ...] = (
    (43.5, 334.6, 29.6, 27.9, 89),
    (50.8, 155.2, 23.4, 22.4, 73),
    (51.0, 215.2, 23.7, 21.9, 86),
    (52.4, 275.8, 20.8, 19.0, 79),
    (54.4, 44.1, 22.4, 19.3, 105),
    (56.2, 100.2, 19.7, 17.9, 87),
    (118.9, 270.6, 25.5, 24.0, 91),
    (124.2, 44.7, 20.8, 19.7, 134),
    (123.7, 205.3, 20.4, 18.8, 122),
    (124.4, 336.2, 19.4, 19.1, 139),
    (125.7, 102.3, 19.4, 18.3, 126),
    (127.3, 153.6, 19.6, 17.6, 96),
    (186.7, 347.0, 32.2, 31.1, 88),
    (193.0, 212.4, 23.9, 23.2, 88),
    (194.2, 273.9, 23.4, 20.8, 45),
    (195.6, 101.7, 21.9, 21.3, 88),
    (197.3, 43.7, 19.8, 18.4, 22),
    (197.7, 154.1, 19.4, 18.8, 88),
    (259.8, 45.9, 28.5, 27.5, 122),
    (261.2, 172.3, 29.0, 25.8, 87),
    (263.2, 300.6, 26.5, 24.0, 127),
    (263.2, 243.9, 24.2, 23.3, 112),
    (265.6, 113.8, 21.4, 21.0, 67),
    (267.8, 358.1, 22.7, 20.8, 90),
)

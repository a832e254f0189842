"""How long the first of everything takes: on a cold machine, where nothing is compiled yet, and on a warm one.

``python benchmarks/feeling.py [--quick] [--only WORD] [--out FILE.md]`` starts every measurement in a process of its
own. *Cold* has an empty folder for compiled loops and for the byte code of Python; *warm* has what the cold one left.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

SHAPES = {"2-D": (512, 512), "3-D": (64, 256, 256)}

PREVIEWED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "Threshold": ("threshold_at", {"value": 60.0}, {"value": 40.0}),
    "k-means": ("kmeans", {}, {"n_clusters": 4}),
    "Watershed": ("watershed_from_minima", {}, {"depth": 9.0}),
}
"""Widgets with a preview: the method, what it has to be told, and what is changed while the preview is on."""

LIMIT_MS = 120_000
"""An answer that takes longer is none."""


def main() -> None:
    """Measure, and print or write the table."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--quick", action="store_true", help="one round, and small volumes")
    given.add_argument("--only", default="", help="only what has this word in its name")
    given.add_argument("--out", type=Path)
    given.add_argument("--child", nargs=2, metavar=("WHAT", "QUICK"))
    options = given.parse_args()
    if options.child:
        what, quick = options.child
        print(json.dumps(IN_NAPARI[what]() if what in IN_NAPARI else method(what, quick=quick == "1")), flush=True)
        os._exit(0)  # nothing is to be closed: what was measured is told
        return
    text = markdown(measured(options.only, quick=options.quick))
    options.out.write_text(text, encoding="utf-8") if options.out else print(text)


def measured(only: str, *, quick: bool) -> dict[str, dict[str, list[float]]]:
    """Return the milliseconds of every row, cold and warm, round by round and one subject after the other."""
    from napari_cutout import catalog

    names = [*IN_NAPARI, *(name for name, entry in catalog.methods().items() if not entry.network)]
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(1 if quick else 3):
        for name in (name for name in names if only in name):
            with tempfile.TemporaryDirectory() as folder:
                for machine in ("cold", "warm"):
                    for row, ms in child(name, Path(folder), quick=quick).items():
                        found.setdefault(row, {}).setdefault(machine, []).append(ms)
    return found


def child(what: str, kept: Path, *, quick: bool) -> dict[str, float]:
    """Measure in a process that keeps what it compiles in this folder."""
    command = [sys.executable, __file__, "--child", what, str(int(quick))]
    if what in IN_NAPARI and sys.platform == "linux" and not os.environ.get("DISPLAY"):
        if (xvfb := shutil.which("xvfb-run")) is None:
            return {}
        command = [xvfb, "-a", "-s", "-screen 0 1600x1200x24", *command]
    environment = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(kept / "numba"),
        "PYTHONPYCACHEPREFIX": str(kept / "python"),
        "PYTHONDONTWRITEBYTECODE": "",  # else no process is ever warm
        "NAPARI_CONFIG": "",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{what} could not be measured: {done.stderr.strip()[-2000:]}")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def since(start: float) -> float:
    """Return the milliseconds since then."""
    return 1000 * (time.perf_counter() - start)


def method(name: str, *, quick: bool) -> dict[str, float]:
    """Run one method first on an image, again on it, and then on a volume."""
    start = time.perf_counter()
    import napari_cutout as nc

    found = {"import napari_cutout": since(start)}
    from napari_cutout import catalog

    entry = catalog.find(name)
    shapes = {"2-D": SHAPES["2-D"], "2-D again": SHAPES["2-D"], "3-D": (16, 64, 64) if quick else SHAPES["3-D"]}
    for label, shape in shapes.items():
        arrays = inputs(entry, shape)
        recipe = nc.Recipe([nc.Step(name, needed(entry), {key: key for key in arrays})])
        source = arrays.pop(entry.source.name)
        start = time.perf_counter()
        nc.run(recipe, source, inputs=arrays)
        found[f"{name}, {label}"] = since(start)
    return found


def needed(entry: Any) -> dict[str, Any]:
    """Return values of the settings that have no default."""
    values = {"value": 50.0, "values": (30.0, 60.0), "low": 40.0, "high": 80.0, "depth": 5.0}
    return {p.name: values[p.name] for p in entry.settings if p.required}


def inputs(entry: Any, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return smooth blobs and the arrays that a method needs beside them, or all there are for no method."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(0).normal(size=shape), 4)
    image = np.clip(50 + 25 * noise / noise.std(), 0, 100).astype(np.uint8)
    strokes = np.zeros(shape, np.uint8)
    strokes[image < 20], strokes[image > 80] = 1, 2
    made = {"image": image, "labels": (image > 60).astype(np.int32), "markers": strokes}
    if entry is None:
        return made
    return {p.name: made.get(p.name, image) for p in entry.arrays if p.required}


def widgets() -> dict[str, float]:
    """Open every widget of the plugin beside an image, close it, and open it again."""
    start = time.perf_counter()
    import napari

    viewer = napari.Viewer(show=False)
    found = {"napari itself": since(start)}
    viewer.add_image(inputs(None, SHAPES["2-D"])["image"])
    import npe2

    manifest = npe2.PluginManager.instance().get_manifest("napari-cutout")
    for widget in manifest.contributions.widgets or ():
        for label in ("first", "again"):
            start = time.perf_counter()
            dock, _ = viewer.window.add_plugin_dock_widget("napari-cutout", widget.display_name)
            napari.qt.get_qapp().processEvents()
            found[f"open {widget.display_name}, {label}"] = since(start)
            viewer.window.remove_dock_widget(dock)
    return found


def previews() -> dict[str, float]:
    """Switch the preview on in widgets that were opened before, and change a setting while it is on."""
    import napari

    viewer = napari.Viewer(show=False)
    viewer.add_image(inputs(None, SHAPES["2-D"])["image"])
    found = {}
    for name, (method_name, told, changed) in PREVIEWED.items():
        dock, widget = viewer.window.add_plugin_dock_widget("napari-cutout", name)
        widget.preview_box.setChecked(False)
        widget.choose_method(method_name)
        widget.set(**told)
        answers = widget.preview.answered
        found[f"first preview, {name}"] = until(answers, partial(widget.preview_box.setChecked, True))
        found[f"preview after a change, {name}"] = until(answers, partial(widget.set, **changed))
        viewer.window.remove_dock_widget(dock)
    return found


def comparison() -> dict[str, float]:
    """Press Compare for the first time, with strokes and the methods that it offers."""
    import napari

    viewer, made = napari.Viewer(show=False), inputs(None, SHAPES["2-D"])
    viewer.add_image(made["image"])
    viewer.add_labels(made["markers"])
    _, widget = viewer.window.add_plugin_dock_widget("napari-cutout", "Compare")
    return {"first Compare": until(widget.bar.ended, widget.bar.button.click)}


def until(signal: Any, begin: Callable[[], object]) -> float:
    """Return the milliseconds from the beginning of something until Qt tells of its end."""
    from qtpy.QtCore import QEventLoop, QTimer

    ended: list[float] = []
    loop, last = QEventLoop(), QTimer(singleShot=True, interval=LIMIT_MS)
    signal.connect(lambda *_: ended.append(time.perf_counter()))
    signal.connect(loop.quit)
    last.timeout.connect(loop.quit)
    last.start()
    start = time.perf_counter()
    begin()
    if not ended:
        loop.exec_()
    if not ended:
        raise RuntimeError(f"no answer came within {LIMIT_MS / 1000:.0f} s")
    return 1000 * (ended[0] - start)


IN_NAPARI = {"widgets": widgets, "previews": previews, "comparison": comparison}
"""What is measured in a window of napari."""


def markdown(found: dict[str, dict[str, list[float]]]) -> str:
    """Return the medians as a table."""
    lines = [
        "# The first of everything",
        "",
        f"Medians of processes of their own, in ms, on {platform.system()} with {os.cpu_count()} processors. *Cold*: "
        "no loop and no byte code is compiled yet; *warm*: the process after it. Made by `benchmarks/feeling.py`.",
        "",
        "| what | cold | warm | processes |",
        "| --- | ---: | ---: | ---: |",
    ]
    for row, times in found.items():
        cold, warm = (statistics.median(times[machine]) for machine in ("cold", "warm"))
        lines.append(f"| {row} | {cold:,.0f} | {warm:,.0f} | {len(times['warm'])} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()

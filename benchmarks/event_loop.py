"""How long the event loop of napari is blocked while the widgets work: in the real program, under Xvfb where needed.

``python benchmarks/event_loop.py [--quick]`` prints the rows; ``run.py`` runs it and puts them into its report.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

BLOCK_MS, LATENCY_MS, OPEN_MS, IMPORT_MS = 50, 100, 300, 150
"""What must not be exceeded."""

BEAT_MS = 2
"""How often the heart beats; what is longer between two beats is a block."""

SLIDER_MS = 16
"""A hand on a slider gives about 60 values a second."""

COLUMNS = ("event loop", "ms", "worst ms", "of it computing", "limit ms", "met", "rounds")


def rows(*, quick: bool) -> list[dict[str, Any]]:
    """Measure in a program of its own; an empty list where there is no screen and no Xvfb."""
    command = [sys.executable, __file__, "--json", *(["--quick"] if quick else [])]
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        if (xvfb := shutil.which("xvfb-run")) is None:
            return []
        command = [xvfb, "-a", "-s", "-screen 0 1600x1200x24", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the event loop could not be measured: {done.stderr.strip()[-2000:]}")
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(measured: list[dict[str, Any]]) -> list[list[str]]:
    """Return the rows of the table as text."""
    return [
        [
            row["case"],
            f"{row['ms']:.1f}",
            f"{row['worst_ms']:.1f}",
            "-" if row["computing_ms"] is None else f"{row['computing_ms']:.1f}",
            "-" if row["limit_ms"] is None else f"< {row['limit_ms']}",
            {True: "yes", False: "NO", None: "-"}[row["met"]],
            str(row["rounds"]),
        ]
        for row in measured
    ]


def markdown(measured: list[dict[str, Any]]) -> str:
    """Return the rows as a table of a page; nothing if there are none."""
    if not measured:
        return ""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *table(measured)]
    return "\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


@dataclass(frozen=True, slots=True)
class Block:
    """A time in which the event loop did not turn, and how much of it its own thread computed, in milliseconds.

    The rest it waited for a processor, which other programs, the threads of a method or napari's own may have had.
    """

    ms: float
    computing_ms: float


def blocks_row(case: str, blocks: list[Block], limit: float | None, *, quick: bool) -> dict[str, Any]:
    """Return the row of some blocks, the worst of which must be under the limit."""
    worst = max(blocks, key=lambda block: block.ms)
    found = row(case, [block.ms for block in blocks], limit, worst=True, quick=quick)
    return {**found, "computing_ms": worst.computing_ms}


def row(case: str, times: list[float], limit: float | None, *, worst: bool, quick: bool) -> dict[str, Any]:
    """Return a row: the median and the worst, one of which must be under the limit."""
    middle, longest = statistics.median(times), max(times)
    judged = None if limit is None or quick else (longest if worst else middle) < limit
    return {
        "case": case,
        "ms": middle,
        "worst_ms": longest,
        "computing_ms": None,
        "limit_ms": limit,
        "met": judged,
        "rounds": len(times),
    }


# In the program of its own ----------------------------------------------------------------------------


class Heart:
    """Beats in the event loop and keeps the gaps between beats."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self.beats: list[tuple[float, float]] = []
        self.timer = QTimer()
        self.timer.setTimerType(Qt.TimerType.PreciseTimer)
        self.timer.setInterval(BEAT_MS)
        self.timer.timeout.connect(self.beat)

    def beat(self) -> None:
        """Keep what time it is, and how much of it this thread has had."""
        self.beats.append((time.perf_counter(), time.thread_time()))

    def __enter__(self) -> Heart:
        self.beat()
        self.timer.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.timer.stop()
        self.beat()

    def longest(self, before: float = float("inf")) -> Block:
        """Return the longest block, of those that ended before a moment."""
        gaps = [
            Block(max(1000 * (b - a) - BEAT_MS, 0.0), 1000 * (d - c))
            for (a, c), (b, d) in itertools.pairwise(self.beats)
            if b < before
        ]
        return max(gaps, key=lambda gap: gap.ms, default=Block(0.0, 0.0))

    def around(self, moment: float) -> Block:
        """Return the block in which a moment lies."""
        for (a, c), (b, d) in itertools.pairwise(self.beats):
            if a <= moment <= b:
                return Block(1000 * (b - a), 1000 * (d - c))
        raise ValueError("the heart did not beat then")


def settle(until: Callable[[], bool] = lambda: True, rest: int = 300) -> None:
    """Let the event loop run until a condition holds, and for a while after."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop, timer = QEventLoop(), QTimer()
    timer.setInterval(1)
    timer.timeout.connect(lambda: loop.quit() if until() else None)
    timer.start()
    loop.exec()
    timer.stop()
    QTimer.singleShot(rest, loop.quit)
    loop.exec()


def window() -> Any:
    """Open napari."""
    import napari

    viewer = napari.Viewer(show=True)
    viewer.window.resize(1400, 900)
    return viewer


def open_widget(viewer: Any, name: str) -> Any:
    """Open a widget of the plugin."""
    return viewer.window.add_plugin_dock_widget("napari-cutout", name)[1]


def while_a_method_runs(*, quick: bool) -> list[dict[str, Any]]:
    """Run a method on a volume from its widget, some times."""
    import data

    viewer = window()
    viewer.add_image(data.array("nuclei", 32 if quick else 256), name="nuclei")
    widget = open_widget(viewer, "Threshold")
    widget.preview_box.setChecked(False)
    widget.set(sigma=2.0)
    settle()
    both = [one_run(widget) for _ in range(2 if quick else 5)]
    viewer.close()
    running, adding = map(list, zip(*both, strict=True))
    return [
        blocks_row("a method runs on the volume, longest block", running, BLOCK_MS, quick=quick),
        blocks_row("its labels become a layer (mostly napari)", adding, None, quick=quick),
    ]


def one_run(widget: Any) -> tuple[Block, Block]:
    """Return the longest block of a run, and the block at its end, in which the labels become a layer."""
    ended: list[float] = []
    with Heart() as heart:
        widget.bar.button.click()
        widget.bar.slot.worker.signals.finished.connect(lambda: ended.append(time.perf_counter()))
        settle(lambda: not widget.bar.running, 0)
    settle()
    return heart.longest(ended[0]), heart.around(ended[0])


def while_a_slider_is_dragged(*, quick: bool) -> list[dict[str, Any]]:
    """Drag the threshold over a large slice with the preview on, and measure napari drawing by itself beside it."""
    import numpy as np

    side, rounds = (256, 1) if quick else (2048, 5)
    viewer = window()
    grain = np.random.default_rng(0).integers(0, 4000, (side, side)).astype(np.uint16)
    viewer.add_image(grain, name="slice", contrast_limits=(0, 4000))
    widget = open_widget(viewer, "Threshold")
    widget.choose_method("threshold_at")
    widget.set(value=2000.0)
    latencies = followed(widget, 3 if quick else 40)
    pixels = widget.preview.layer.data.copy()

    def move(step: int) -> None:
        widget.set(value=1000.0 + 20 * step)

    ours = [dragged(move, quick=quick) for _ in range(rounds)]
    widget.preview_box.setChecked(False)
    form = [dragged(move, quick=quick) for _ in range(rounds)]
    labels = viewer.add_labels(pixels)
    settle()
    alone = [dragged(lambda _: labels.refresh(extent=False, thumbnail=False), quick=quick) for _ in range(rounds)]
    viewer.close()
    return [
        row("a threshold preview follows a slider, median", latencies, LATENCY_MS, worst=False, quick=quick),
        blocks_row("a slider is dragged with preview, longest block", ours, BLOCK_MS, quick=quick),
        blocks_row("the same without preview: the form alone", form, None, quick=quick),
        blocks_row("napari alone redraws labels of that size", alone, None, quick=quick),
    ]


def followed(widget: Any, n_steps: int) -> list[float]:
    """Switch the preview on and return how long after a step of the slider its pixels are in the layer, each time."""
    answers: list[float] = []
    widget.preview.answered.connect(lambda _: answers.append(time.perf_counter()))
    widget.preview_box.setChecked(True)
    settle(lambda: bool(answers), 1000)
    latencies = []
    for step in range(n_steps):
        n, start = len(answers), time.perf_counter()
        widget.set(value=1000.0 + 40 * step)
        settle(lambda n=n: len(answers) > n, 80)  # type: ignore[misc]
        latencies.append(1000 * (answers[n] - start))
    return latencies


def dragged(move: Callable[[int], None], *, quick: bool) -> Block:
    """Move something 60 times a second for two seconds, and return the longest block."""
    from qtpy.QtCore import QTimer

    waiting = list(range(10 if quick else 120))
    timer = QTimer()
    timer.setInterval(SLIDER_MS)
    timer.timeout.connect(lambda: move(waiting.pop()) if waiting else None)
    with Heart() as heart:
        timer.start()
        settle(lambda: not waiting, 0)
    timer.stop()
    settle()
    return heart.longest()


def opening(*, quick: bool) -> list[dict[str, Any]]:
    """Open a second widget, in new windows of one program."""
    times = []
    for _ in range(1 if quick else 5):
        viewer = window()
        open_widget(viewer, "Threshold")
        settle()
        start = time.perf_counter()
        open_widget(viewer, "Histogram")
        settle(rest=0)
        times.append(1000 * (time.perf_counter() - start))
        viewer.close()
    return [row("a second widget opens", times, OPEN_MS, worst=False, quick=quick)]


def importing(*, quick: bool) -> list[dict[str, Any]]:
    """Import the plugin: what its menus take, then all that its first widget brings with it, once a session."""
    napari = "import napari, napari.layers; from napari.window import Window"
    widget = "from napari_cutout.widgets import ThresholdWidget"
    found = []
    for case, before, imported, limit in (
        ("the plugin is imported into napari", napari, "import napari_cutout.widgets", IMPORT_MS),
        ("its first widget is imported into napari", napari, widget, IMPORT_MS),
        ("the same without collecting napari's garbage", f"{napari}; import gc; gc.disable()", widget, None),
        ("the same by itself, with napari", "pass", widget, None),
    ):
        timed = f"start = time.perf_counter()\n{imported}\nprint(1000 * (time.perf_counter() - start))"
        code = f"{before}\nimport time\n{timed}"
        times = []
        for _ in range(1 if quick else 5):
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
            )
            times.append(float(done.stdout.splitlines()[-1]))
        found.append(row(case, times, limit, worst=False, quick=quick))
    return found


MEASURES = (importing, opening, while_a_method_runs, while_a_slider_is_dragged)


def main() -> None:
    """Measure all in this program."""
    sys.path.insert(0, str(Path(__file__).parent))
    quick = "--quick" in sys.argv
    with TemporaryDirectory() as home:
        os.environ |= {"XDG_CONFIG_HOME": home}  # napari as it comes, not as this user has set it up
        measured = [one for measure in MEASURES for one in measure(quick=quick)]
    if "--json" in sys.argv:
        print(json.dumps(measured))
        return
    from _harness import aligned

    print(aligned([COLUMNS, *table(measured)]))


if __name__ == "__main__":
    main()

"""Measure ours against the peers, print a table, and keep it.

``python benchmarks/run.py [--quick] [--only WORDS] [--out benchmarks/results/NAME.json]``
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import boundaries
import clustering
import data
import distance
import evaluation
import event_loop
import felzenszwalb
import filters
import overlap
import random_walker
import region_graph
import superpixels
import thresholds
import unet_predict
import watershed
import watershed_gpu
from _harness import COLUMNS, Case, aligned, machine, markdown, peak_here, peaks_of, result_of, table

SIDE, QUICK_SIDE = 256, 32

EVENT_LOOP = "event loop"
"""What `--only` calls what is measured in napari."""

OTHERS = (EVENT_LOOP, watershed_gpu.NAME, random_walker.NAME)
"""What is measured beside the cases."""

MODULES = (
    thresholds,
    overlap,
    evaluation,
    boundaries,
    filters,
    distance,
    watershed,
    clustering,
    random_walker,
    felzenszwalb,
    region_graph,
    superpixels,
    unet_predict,
)

CASES: list[Case] = [case for module in MODULES for case in module.CASES]


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Measure napari-cutout against its peers, in one run.")
    parser.add_argument("--quick", action="store_true", help="tiny arrays and few rounds: does everything run?")
    parser.add_argument("--only", default="", metavar="WORDS", help="cases whose name holds these words")
    parser.add_argument("--out", type=Path, help="a JSON file to write; a Markdown table is put beside it")
    parser.add_argument("--peak", nargs="+", help=argparse.SUPPRESS)  # how peaks_of runs one side by itself
    options = parser.parse_args(arguments)
    if options.peak:
        side, name, *paths = options.peak
        print(peak_here(getattr(next(case for case in CASES if case.name == name), side), paths))
        return
    chosen = [case for case in CASES if options.only in case.name]
    looped, on_gpu, walked = (options.only in name for name in OTHERS)
    if not (chosen or looped or on_gpu or walked):
        names = [*(case.name for case in CASES), *OTHERS]
        parser.error(f"no case holds {options.only!r}; there are: {'; '.join(names)}")
    report = run(chosen, quick=options.quick, looped=looped, on_gpu=on_gpu, walked=walked)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(report, indent=1) + "\n")
        ends = (
            event_loop.markdown(report["event_loop"]),
            watershed_gpu.markdown(report["gpu"]),
            random_walker.markdown(report["random_walker"]),
        )
        options.out.with_suffix(".md").write_text("".join([markdown(report), *ends]))


def run(
    cases: list[Case], *, quick: bool, looped: bool = False, on_gpu: bool = False, walked: bool = False
) -> dict[str, Any]:
    """Measure cases one after another and print their rows as they come.

    Parameters
    ----------
    cases : list of Case
        What to measure.
    quick : bool
        True takes tiny arrays and two rounds, measures the memory of the first case only, and judges no target.
    looped : bool
        Whether the event loop is measured as well.
    on_gpu : bool
        Whether the watershed is measured on a GPU as well, if there is one.
    walked : bool
        Whether the errors and the growth of the random walker are measured as well.

    Returns
    -------
    dict
        The machine, the shape of the arrays, one row per case, the cases that were left out and why, the rows of the
        event loop, and what `watershed_gpu.measured` and `random_walker.measured` returned.
    """
    side = QUICK_SIDE if quick else SIDE
    left_out = {case.name: reason for case in cases if (reason := case.why_not())}
    report: dict[str, Any] = {
        "machine": machine(), "shape": [side] * 3, "quick": quick, "results": [], "left_out": left_out
    }  # fmt: skip
    print("\n".join(f"{name}: {value}" for name, value in report["machine"].items()))
    print("".join(f"{name}: not measured, since {reason}\n" for name, reason in left_out.items()), end="")
    cases = [case for case in cases if case.name not in left_out]
    for case in cases:
        arrays = tuple(data.array(name, side) for name in case.arrays)
        peaks = (None, None) if quick and case is not cases[0] else peaks_of(case, arrays)
        report["results"].append(result_of(case, arrays, peaks, quick=quick))
        print(f"{len(report['results'])}/{len(cases)} {case.name}", flush=True)
    if cases:
        print(aligned([COLUMNS, *table(report["results"])]))
        print("".join(f"{row['case']}: {row['words']}\n" for row in report["results"] if row["words"]), end="")
    report["event_loop"] = event_loop.rows(quick=quick) if looped else []
    if report["event_loop"]:
        print(aligned([event_loop.COLUMNS, *event_loop.table(report["event_loop"])]))
    elif looped:
        print(f"{EVENT_LOOP}: not measured, since there is no screen and no Xvfb")
    report["gpu"] = watershed_gpu.measured(quick=quick) if on_gpu else {}
    if on_gpu:
        print(watershed_gpu.report_text(report["gpu"]))
    report["random_walker"] = random_walker.measured(quick=quick) if walked else []
    if walked:
        print(random_walker.report_text(report["random_walker"]))
    return report


if __name__ == "__main__":
    main()

"""Compiled loops: linked to one another, and built once however many threads call them first."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numba
import numpy as np
import pytest

from napari_cutout._compiled import bare, compiled, inlined


@compiled
def _squared(value: int) -> int:
    return value * value


@compiled
def _sum_of_squares(values: np.ndarray, bonus: int = 1) -> int:
    total = bonus
    for i in range(values.size):
        total += _squared(values[i])
    return total


def test_a_compiled_loop_calls_another_and_keeps_its_defaults() -> None:
    assert _sum_of_squares(np.arange(4)) == 15
    assert _sum_of_squares(np.arange(4), 0) == 14


@inlined
def _raised(values: np.ndarray, at: int, by: int) -> int:
    values[at] += by
    return values[at]


@bare
def _raise_all(values: np.ndarray, by: int) -> int:
    highest = values[0]
    for i in range(values.size):
        highest = max(highest, _raised(values, i, by))
    return highest


@bare
def _make(n: int) -> np.ndarray:
    return np.zeros(n)


def test_bare_loops_write_where_they_are_told_and_may_be_made_of_parts() -> None:
    values = np.array([3, -1, 5, 2])
    assert _raise_all(values, 10) == 15
    assert values.tolist() == [13, 9, 15, 12]
    assert _raised(values, 1, 1) == 10


def test_bare_loops_cannot_make_arrays() -> None:
    with pytest.raises(numba.TypingError, match="zeros"):
        _make(3)


def test_threads_that_call_first_share_one_build() -> None:
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(_sum_of_squares(np.arange(3)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [6] * 4
    assert _sum_of_squares.dispatcher() is _sum_of_squares.dispatcher()


def test_a_second_process_finds_linked_loops_in_the_cache(tmp_path: Path) -> None:
    (tmp_path / "loops.py").write_text(
        "import numpy as np\n"
        "from napari_cutout._compiled import compiled\n"
        "@compiled\n"
        "def part(value):\n    return 2 * value\n"
        "@compiled\n"
        "def whole(values):\n"
        "    total = 0\n"
        "    for i in range(values.size):\n        total += part(values[i])\n"
        "    return total\n"
        "print(whole(np.arange(5)), len(whole.dispatcher().stats.cache_hits))\n"
    )
    runs = [
        subprocess.run([sys.executable, "loops.py"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert [run.split() for run in runs] == [["20", "0"], ["20", "1"]]


def test_a_change_to_a_part_in_another_file_is_seen(tmp_path: Path) -> None:
    head = "from napari_cutout._compiled import compiled, inlined\n"
    (tmp_path / "whole.py").write_text(
        f"{head}from middle import middle\n@compiled\ndef whole(v):\n    return middle(v)\n"
    )
    (tmp_path / "middle.py").write_text(f"{head}from part import part\n@inlined\ndef middle(v):\n    return part(v)\n")
    found = []
    for factor in (2, 3, 3):
        (tmp_path / "part.py").write_text(f"{head}@compiled\ndef part(v):\n    return {factor} * v\n")
        command = [
            sys.executable,
            "-B",  # bytecode would hide a change of the same length within a second
            "-c",
            "from whole import whole; print(whole(7), len(whole.dispatcher().stats.cache_hits))",
        ]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        found.append(run.stdout.split())
    assert found == [["14", "0"], ["21", "0"], ["21", "1"]]

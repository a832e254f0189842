"""What is compiled is told while it happens, and is kept for the next process where a folder can be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_cutout._compiled import compiled
from napari_cutout._compiling import COMPILING, announced, compiling, interrupted
from napari_cutout._kept_code import clear_loops, kept_kernels, kept_loops
from napari_cutout.doctor import diagnosis

CHILD = """
import numpy as np
import napari_cutout as nc
from napari_cutout._compiling import announced
told = []
with announced(told.append):
    nc.threshold(np.arange(64, dtype=np.uint8).reshape(8, 8))
print(told.count(True), told.count(False))
"""


def test_it_is_told_once_whatever_is_compiled_on_the_way_and_then_comes_what_was_before() -> None:
    seen: list[tuple[str, float]] = []
    show, tell = interrupted(lambda stage, fraction: seen.append((stage, fraction)))
    with announced(tell):
        show("flooding", 0.5)
        with compiling(), compiling():
            pass
    with compiling():
        pass
    assert seen == [("flooding", 0.5), (COMPILING, 0.5), ("flooding", 0.5)]


def test_a_second_process_compiles_nothing_and_what_is_kept_can_be_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", CHILD]
    first, second = (
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    )
    assert first[0] == first[1] != "0"
    assert second == ["0", "0"]
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))
    kept = kept_loops()
    assert kept.where == "in NUMBA_CACHE_DIR"
    assert kept.n_bytes == sum(path.stat().st_size for path in tmp_path.rglob("*.nb[ci]")) > 0
    assert any("kept in NUMBA_CACHE_DIR, " in line for line in diagnosis())
    assert clear_loops() == kept
    assert kept_loops().files == ()
    assert not list(tmp_path.rglob("*.nb[ci]"))


def _doubled(values: np.ndarray) -> int:
    total = 0
    for i in range(values.size):
        total += 2 * values[i]
    return total


def test_loops_run_where_no_folder_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numba.core.caching.CacheImpl._locator_classes", [])
    told: list[bool] = []
    with announced(told.append):
        assert compiled(_doubled)(np.arange(4)) == 12
    assert told == [True, False]
    assert not kept_loops().where
    assert any("set NUMBA_CACHE_DIR" in line for line in diagnosis())


def test_kernels_that_cupy_keeps_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "none yet"))
    assert kept_kernels().files == ()
    (tmp_path / "a.cubin").write_bytes(bytes(7))
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path))
    assert (kept_kernels().where, kept_kernels().n_bytes) == ("in CUPY_CACHE_DIR", 7)

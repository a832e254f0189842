"""Every deliberate breakage in `mutants.py` turns a test red."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import napari_cutout as nc

from .mutants import MUTANTS, Mutant

SOURCE = Path(nc.__file__).parent
ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.file}: {m.old.strip()}")
def test_the_line_is_there_once(mutant: Mutant) -> None:
    assert (SOURCE / mutant.file).read_text().count(mutant.old) == 1


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.file}: {m.old.strip()}")
def test_the_breakage_is_caught(mutant: Mutant, tmp_path: Path) -> None:
    copy = tmp_path / "src" / "napari_cutout"
    shutil.copytree(SOURCE, copy)  # with Numba's cache, so that only the broken file is compiled again
    broken = copy / mutant.file
    broken.write_text(broken.read_text().replace(mutant.old, mutant.new))
    environment = os.environ | {"PYTHONPATH": str(copy.parent), "HYPOTHESIS_PROFILE": "broken"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xvfb", *["--slow"] * ("sanitizers" in mutant.tests)]
    command = [sys.executable, "-m", "pytest", *options, mutant.tests]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=560)
    assert run.returncode == 1 or run.returncode < 0, (
        f"no test of {mutant.tests} fails:\n{run.stdout[-2000:]}{run.stderr[-500:]}"
    )

"""The guide for clusters: its scripts are correct, and do what it says when jobs end, are stopped, or wait."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import napari_cutout as nc
from napari_cutout.cli import main

from .patience import PATIENCE

GUIDE = (Path(__file__).parents[1] / "docs" / "clusters.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
(SBATCH,) = (text for kind, text in BLOCKS if kind == "bash")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the scripts are for bash")


def stand_in(folder: Path, name: str, text: str) -> None:
    """Put a program before all others of its name."""
    place = folder / "bin" / name
    place.parent.mkdir(exist_ok=True)
    place.write_text(f"#!/bin/bash\n{text}\n")
    place.chmod(0o755)


@contextmanager
def job(folder: Path, i: int, n: int) -> Iterator[subprocess.Popen[bytes]]:
    """Start what SLURM starts for one task of the array; nothing of it outlives the block."""
    given = {"SLURM_ARRAY_TASK_ID": str(i), "SLURM_ARRAY_TASK_COUNT": str(n), "SLURM_JOB_ID": f"100{i}"}
    given["PATH"] = f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    command, known = ["bash", "-c", SBATCH], {**os.environ, **given}
    with subprocess.Popen(command, cwd=folder, env=known, stdout=subprocess.PIPE, start_new_session=True) as task:
        try:
            yield task
        finally:
            with suppress(ProcessLookupError):
                os.killpg(task.pid, signal.SIGKILL)


def code_of(folder: Path, i: int, n: int) -> int:
    """Run a task to its end."""
    with job(folder, i, n) as task:
        task.communicate(timeout=PATIENCE)
        return task.returncode


@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if kind in ("bash", "sh")])
def test_scripts_are_bash(text: str) -> None:
    subprocess.run([shutil.which("bash") or "bash", "-n", "-c", text], check=True)


def test_sbatch_finds_what_it_is_told() -> None:
    told = re.findall(r"^#SBATCH --([a-z-]+)(?:=\S+)?$", SBATCH, re.MULTILINE)
    assert len(told) == SBATCH.count("#SBATCH")
    assert {"array", "requeue", "signal", "time", "mem"} <= set(told)
    assert SBATCH.index("#SBATCH --signal") < SBATCH.index("napari-cutout")  # sbatch stops reading at a command


def test_a_task_that_is_to_be_started_again_is_requeued(tmp_path: Path) -> None:
    stand_in(tmp_path, "scontrol", 'echo "$@" > scontrol.txt')
    for code in (0, 1, 75):
        stand_in(tmp_path, "napari-cutout", f'echo "$@" > said.txt; exit {code}')
        assert code_of(tmp_path, 3, 64) == code
        assert (tmp_path / "scontrol.txt").exists() == (code == 75)
    assert (tmp_path / "scontrol.txt").read_text() == "requeue 1003\n"
    assert (tmp_path / "said.txt").read_text() == "run nuclei.json volume.zarr nuclei.zarr --part 3/64\n"


def test_a_task_that_is_told_to_stop_lets_the_run_end_in_order(tmp_path: Path) -> None:
    stand_in(tmp_path, "scontrol", "touch scontrol.txt")
    stop = "trap 'sleep 0.2; touch stopped; exit 75' TERM; echo ready; while :; do sleep 0.05; done"
    stand_in(tmp_path, "napari-cutout", stop)
    with job(tmp_path, 1, 2) as task:
        assert task.stdout is not None
        assert task.stdout.readline() == b"ready\n"
        task.send_signal(signal.SIGTERM)
        assert task.wait(PATIENCE) == 75
    assert (tmp_path / "stopped").exists()
    assert (tmp_path / "scontrol.txt").exists()


def test_a_task_of_the_guide_runs(tmp_path: Path) -> None:
    nc.write(tmp_path / "volume.zarr", nc.samples.nuclei_3d().image, kind="image")
    nc.Recipe([nc.Step("threshold", {"sigma": 1.0})]).save(tmp_path / "nuclei.json")
    assert code_of(tmp_path, 1, 1) == 0
    assert (tmp_path / "nuclei.zarr").is_dir()


def test_dask_jobqueue_starts_workers_with_what_the_guide_gives_it() -> None:
    jobqueue = pytest.importorskip("dask_jobqueue")
    (text,) = (text for kind, text in BLOCKS if kind == "python")
    compile(text, "clusters.md", "exec")
    given = re.search(r"SLURMCluster\((.*)\)", text)
    assert given is not None
    options = eval(f"dict({given[1]})")
    with jobqueue.SLURMCluster(**options, scheduler_options={"dashboard_address": ":0"}) as cluster:
        script = cluster.job_script()
    assert "--nthreads 1 --memory-limit 14.90GiB" in script
    assert "#SBATCH -t 04:00:00" in script


def test_options_of_the_guide_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--help"]) == 0
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    commands = [line for _, text in BLOCKS for line in text.splitlines() if "napari-cutout run" in line]
    assert commands
    for line in commands:
        assert set(re.findall(r"(?<=\s)--[a-z-]+", line.partition("napari-cutout run")[2])) <= known

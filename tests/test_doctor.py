"""The doctor: what it may say in public, and what it offers."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from napari_cutout import _device, catalog, doctor
from napari_cutout.unet import _torch


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("/home/jane doe"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/usr/lib/libcuda.so.1: cannot open", "…/libcuda.so.1: cannot open"),
        ("no '/home/jane doe/secret/env/lib/libcublas.so'", "no '…/libcublas.so'"),
        ("in /home/jane doe", "in ~"),
        ("in /home/jane does/x.py", "in …/jane does/x.py"),
        (r"no C:\Users\jane\AppData\nvrtc64.dll here", "no …/nvrtc64.dll here"),
        ("failed:/data/jane/x.so", "failed:…/x.so"),
        ("see https://docs.cupy.dev/en/install.html", "see https://docs.cupy.dev/en/install.html"),
        ("CPU/GPU, and/or 3 / 4", "CPU/GPU, and/or 3 / 4"),
        ('pip install "napari-cutout[cuda13]"', 'pip install "napari-cutout[cuda13]"'),
    ],
    ids=["system", "home-with-space", "home", "longer-name", "windows", "after-colon", "url", "slashes", "no-path"],
)
def test_folders_are_left_out(home: None, text: str, expected: str) -> None:
    assert doctor.without_folders(text) == expected


def test_a_home_that_is_the_root_is_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("/"))
    assert doctor.without_folders("3 / 4 in /opt/x.so") == "3 / 4 in …/x.so"


def test_the_report_names_no_user_and_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = f"CuPy is installed but does not import ({Path.home() / 'envs' / 'lib' / 'cupy.so'}: cannot open)"
    monkeypatch.setattr(_device, "gpu_status", lambda: _device.GpuStatus(False, reason, "pip install cupy"))
    said = "\n".join(doctor.diagnosis({"more": f"found in {sys.prefix}"}))
    assert "CuPy is installed but does not import (…/cupy.so: cannot open)" in said
    for private in (str(Path.home()), sys.prefix, sys.executable, f"/{getpass.getuser()}/"):
        assert private not in said


def test_further_facts_stand_in_the_same_columns() -> None:
    lines = doctor.diagnosis({"something longer": "its value"})
    assert "something longer  its value" in lines
    assert next(line for line in lines if line.startswith("Python")).index(" (") > len("something longer")


def test_a_long_fact_is_broken_between_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version", lambda package: "" if package == "b" * 40 else "1.0")
    lines = doctor.diagnosis({"many": doctor.versions(["a" * 40, "b" * 40, "c"])})
    at = next(number for number, line in enumerate(lines) if line.startswith("many"))
    assert lines[at] == f"many           {'a' * 40} 1.0,"
    assert lines[at + 1] == f"{' ' * 15}{'b' * 40} missing, c 1.0"


def test_pytorch_is_offered_once_a_method_needs_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version", lambda package: "" if package == "torch" else "1.0")
    offer = 'to use U-Nets: pip install "napari-cutout[unet]"'
    monkeypatch.setattr(catalog, "methods", lambda: {"otsu": SimpleNamespace(needs="image")})
    assert offer not in doctor.diagnosis()
    monkeypatch.setattr(catalog, "methods", lambda: {"unet": SimpleNamespace(needs="model")})
    assert offer in doctor.diagnosis()


@pytest.mark.parametrize(
    ("prefix", "expected"), [("conda", "conda"), ("venv", "virtual environment"), ("base", "no virtual environment")]
)
def test_the_kind_of_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, prefix: str, expected: str) -> None:
    (tmp_path / "conda" / "conda-meta").mkdir(parents=True)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / prefix))
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path / "base"))
    line = next(line for line in doctor.diagnosis() if line.startswith("Python"))
    assert line.endswith(f", {expected})")


@pytest.mark.parametrize(
    ("cuda", "usable", "expected"),
    [
        (None, False, "built for CPUs"),
        ("13.0", True, "built for CUDA 13.0, U-Nets run on NVIDIA H200"),
        ("13.0", False, "built for CUDA 13.0, it finds no usable GPU"),
    ],
)
def test_what_u_nets_run_on(monkeypatch: pytest.MonkeyPatch, cuda: str | None, usable: bool, expected: str) -> None:
    card = SimpleNamespace(is_available=lambda: usable, get_device_name=lambda: "NVIDIA H200")
    monkeypatch.setattr(_torch, "import_torch", lambda: SimpleNamespace(version=SimpleNamespace(cuda=cuda), cuda=card))
    monkeypatch.setattr(doctor, "version", lambda package: "2.13.0")
    there = _device.GpuStatus(True, name="NVIDIA H200", driver="580", cuda="13.0", free=3 << 30, total=4 << 30)
    monkeypatch.setattr(_device, "gpu_status", lambda: there)
    lines = doctor.diagnosis()
    assert f"PyTorch        2.13.0, {expected}" in lines
    offered = [line for line in lines if line.startswith("to use U-Nets on the GPU: ")]
    assert len(offered) == (cuda is None)
    monkeypatch.setattr(_device, "gpu_status", lambda: _device.GpuStatus(False, "no driver", "install one"))
    lines = doctor.diagnosis()
    assert "PyTorch        2.13.0, U-Nets run on the CPU" in lines
    assert not any("on the GPU: pip install --force-reinstall" in line for line in lines), "there is none to run on"


def test_a_torch_that_does_not_load_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise _torch.NoTorch("torch does not load (libc10.so: cannot open); reinstall it")

    monkeypatch.setattr(_torch, "import_torch", broken)
    assert doctor._what_torch_uses() == "but torch does not load (libc10.so: cannot open); reinstall it"

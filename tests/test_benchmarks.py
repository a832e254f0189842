"""The benchmarks run and say what they should; how fast anything is, is not asked here."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

import napari_cutout as nc
from napari_cutout import catalog, kernels

from . import strict
from .kernels.cpu_module import CpuModule, why_no_compiler

FOLDER = Path(__file__).parents[1] / "benchmarks"

ANOTHER_RULE = {
    "split touching, peaks": 0.8,
    "kmeans": 0.9,  # the peer stops at an optimum nearby
    "gaussian_mixture": 0.8,
    "gaussian_mixture, 3 channels, half the edge": 0.8,
    "superpixels, 128^3": 0.6,  # regions of a few voxels, whose boundaries are most of it
    "superpixels, colours": 0.6,
    "U-Net on a plane": 0.8,  # tiles lie elsewhere, and an untrained network is never sure
    "U-Net on a volume": 0.8,
    "features, hessian, half the edge": 0.6,  # a correlation; edges, where derivatives differ, are half of the array
}
"""Cases whose peer answers by another rule, and how far it agrees all the same."""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER / "run.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return __import__("_harness")


def test_a_quick_run_measures_every_case(tmp_path: Path) -> None:
    done = run("--quick", "--out", str(tmp_path / "new" / "quick.json"))
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "new" / "quick.json").read_text())
    assert report["shape"] == [32, 32, 32]
    assert {"processor", "cores", "python", "numpy", "napari-cutout"} <= set(report["machine"])
    names = [row["case"] for row in report["results"]]
    assert len(names) == len(set(names)) > 15
    for row in report["results"]:
        assert len(row["ours_all_s"]) == row["rounds"] == 2
        assert row["met"] is None
        if row["peer_s"] is not None:
            assert row["ratio"] == pytest.approx(row["peer_s"] / row["ours_s"])
            assert row["agreement"] > ANOTHER_RULE.get(row["case"], 0.99), row["case"]
        assert row["case"] in done.stdout
    page = (tmp_path / "new" / "quick.md").read_text()
    assert all(f"| {name} |" in page for name in names)
    if sys.platform.startswith("linux"):
        assert report["results"][0]["ours_bytes_per_voxel"] >= 0


def test_features_are_those_of_the_peer_where_no_edge_is_near(harness: ModuleType) -> None:
    clustering = __import__("clustering")
    image = ndimage.gaussian_filter(np.random.default_rng(0).random((44, 44, 44)), 1.5).astype(np.float32)
    ours, theirs = clustering.our_features(image), clustering.peers_features(image)
    inner = (slice(None), *[slice(14, -14)] * 3)  # four times the largest scale, and two differences
    assert clustering.correlation(ours[inner], theirs[inner]) > 0.99


def test_unknown_cases_are_answered_with_those_there_are() -> None:
    done = run("--only", "nothing like it")
    assert done.returncode == 2
    assert "no case holds 'nothing like it'; there are: threshold otsu" in done.stderr


def test_a_case_without_its_peer_is_left_out_and_named(tmp_path: Path) -> None:
    code = (
        "import importlib.util, sys\n"
        f"sys.path.insert(0, {str(FOLDER)!r})\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'edt' else found(name, *rest)\n"
        "import run\n"
        f"run.main(['--quick', '--only', 'distance', '--out', {str(tmp_path / 'quick.json')!r}])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    report = json.loads((tmp_path / "quick.json").read_text())
    assert "edt" not in report["machine"]
    assert [row["case"] for row in report["results"]] == ["distance, inside objects, SciPy"]
    assert "distance, spacing" in report["left_out"]
    assert "distance, spacing: not measured, since edt is not installed; the extra `bench` has it" in done.stdout
    assert "Not measured: distance, spacing, since edt is not installed" in (tmp_path / "quick.md").read_text()


def test_targets(harness: ModuleType) -> None:
    both = harness.Target(ratio=5, bytes_per_voxel=1)
    assert str(both) == ">= 5x, < 1 B/voxel"
    assert both.met(seconds=9, ratio=5, peak=0.9) is True
    assert both.met(seconds=9, ratio=4.9, peak=0.9) is False
    assert both.met(seconds=9, ratio=5, peak=1) is False
    assert both.met(seconds=9, ratio=5, peak=None) is None
    assert harness.Target(seconds=1).met(seconds=0.9, ratio=None, peak=None) is True
    assert harness.Target().met(seconds=0.9, ratio=None, peak=None) is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's mark is read on Linux only")
def test_memory_is_the_peak_beyond_input_and_output(tmp_path: Path) -> None:
    voxels = 1 << 24
    script = tmp_path / "measure.py"
    script.write_text(
        "import sys, numpy as np\n"
        f"sys.path.insert(0, {str(FOLDER)!r})\n"
        "from _harness import peak_here\n"
        "def side(image):\n"
        "    temporary = np.ones(image.shape, np.float32)\n"
        "    return image + np.uint8(1)\n"
        f"np.save({str(tmp_path / 'image.npy')!r}, np.ones({voxels}, np.uint8))\n"
        f"print(peak_here(side, [{str(tmp_path / 'image.npy')!r}]))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    # 4 bytes for the temporary; the result (1 byte) and the image (1 byte) do not count.
    assert math.isclose(float(done.stdout), 4, abs_tol=0.2)


# The random walker -------------------------------------------------------------------------------------


def test_the_direct_solver_solves_the_equations_of_the_definition(harness: ModuleType) -> None:
    walker = __import__("random_walker")
    strokes = np.array([[[1, 0, 0, 0, 2]]])
    flat = walker.exact(np.full((1, 1, 5), 0.5) + 1e-9 * np.arange(5), strokes, 0.0)
    np.testing.assert_allclose(flat, [[[1, 0.75, 0.5, 0.25, 0]]], atol=1e-9)
    image = np.array([[[0, 0, 1.0, 1.0, 1.0]]])
    # Deviation 0.49; the edge in the middle weighs exp(-10 / 4.9) = 0.1299, a resistance of 7.70 beside three of 1.
    weight = np.exp(-10 / (10 * np.sqrt(0.24)))
    steps = np.array([0, 1, 1 / weight, 1, 1]).cumsum() / (3 + 1 / weight)
    np.testing.assert_allclose(walker.exact(image, strokes, 10.0), 1 - steps.reshape(1, 1, 5), atol=1e-7)


def test_single_voxels_are_found_where_a_run_warms_up(harness: ModuleType) -> None:
    data = __import__("data")
    image = data.blobs(48)
    strokes = data.single_voxels(image, 10)
    assert (strokes > 0).sum() == 400
    counts = np.bincount(strokes.ravel())[1:]
    assert len(counts) == 10
    assert counts.min() > 30
    (warm,) = harness.sample([strokes])
    assert set(range(1, 11)) <= set(np.unique(warm))


def test_sampled_strokes_stay_inside_what_they_mark(harness: ModuleType) -> None:
    walker_strokes = __import__("walker_strokes")
    truth = np.zeros((3, 40, 40), int)
    truth[:, 5:30, 5:30], truth[:, 33:38, 33:38], truth[:, :, :3] = 7, 255, 9
    strokes = walker_strokes.strokes_of(truth, 4, seed=0)
    assert set(np.unique(strokes)) == {0, 7, 9, 255}
    assert (strokes[strokes > 0] == truth[strokes > 0]).all()
    assert 10 < (strokes == 7).sum() <= 40  # four strokes of ten voxels, which may cross
    np.testing.assert_array_equal(strokes, walker_strokes.strokes_of(truth, 4, seed=0))
    labels = np.where(truth == 7, 7, 255)
    labels[0, 5:30, 5:30] = 9
    # Of label 7 two planes of three are found and nothing else; label 9 shares nothing with what was called so.
    assert walker_strokes.scores(labels, truth) == pytest.approx(((2 / 3 + 0) / 2, (4 / 5 + 0) / 2))


def test_normalized_cuts_are_scored_beside_scikit_image(
    harness: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts = __import__("normalized_cut")
    truth = np.repeat([[1] * 8 + [2] * 16], 24, axis=0)
    (tmp_path / "bsds500_test").mkdir()
    colours = np.stack([np.where(truth == 1, 30, 220).astype(np.uint8)] * 3, axis=-1)
    np.savez(tmp_path / "bsds500_test" / "ground_truth.npz", seg_7=np.stack([truth, truth]))
    cuts.io.imsave(tmp_path / "bsds500_test" / "7.jpg", colours, check_contrast=False)
    monkeypatch.setattr(cuts, "N_SUPERPIXELS", 12)
    rows = {line.split("|")[1].strip(): line.split("|")[2:] for line in cuts.quality(tmp_path)[2:]}
    for name in ("**ours**, contrast 16", "scikit-image, defaults (sigma 255)"):
        assert [cell.strip() for cell in rows[name][:4]] == ["1.000", "1.000", "0.000", "2"]
    assert rows["**ours**, n_regions=10"][3].strip() == "10"


def test_graph_cuts_are_scored_and_their_flows_leave_one_cut(
    harness: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts = __import__("graph_cut")
    monkeypatch.setattr(cuts, "GRIDS", {"small": ((20, 24), 5.0)})
    (row,) = cuts.flows(lambda _: None)
    assert (row[0], row[-1]) == ("small", "True")
    truth = np.repeat([[0] * 10 + [1] * 14], 20, axis=0)
    strokes = np.zeros((20, 24), np.uint8)
    strokes[5:9, 3], strokes[5:9, 20] = 1, 2
    arrays = {"img_a": np.stack([truth * 200 + 20] * 3, axis=-1).astype(np.uint8), "gt_a": truth, "seeds1_a": strokes}
    assert cuts.photograph(arrays, "seeds1", "a", n_superpixels=12) == (1.0, 0.0)
    truth[:, 23] = 0  # 20 of 280 that are found are wrong now, of 480 in all
    assert cuts.photograph(arrays, "seeds1", "a", n_superpixels=12) == pytest.approx((260 / 280, 20 / 480))


def test_membranes_are_scored_as_by_hand_and_rows_are_kept(harness: ModuleType, tmp_path: Path) -> None:
    study_of = __import__("unet_membranes")
    truth = [np.array([[1, 1, 0, 0]], bool), np.array([[1, 1, 1, 1]], bool)]
    found = [np.array([[1, 0, 1, 0]], bool), np.array([[1, 1, 1, 0]], bool)]
    scored = study_of.scored(found, truth)
    # Both: 1 and 3; found and true: 2 + 2 and 3 + 4; pooled Dice 8 / 11, IoU 4 / 7.
    assert scored["dice"] == pytest.approx(8 / 11)
    assert scored["iou"] == pytest.approx(4 / 7)
    assert scored["mean_dice"] == pytest.approx((1 / 2 + 6 / 7) / 2)
    assert scored["mean_iou"] == pytest.approx((1 / 3 + 3 / 4) / 2)
    study = study_of.Study(np.zeros((9, 1, 4)), np.zeros((9, 1, 4), bool), tmp_path / "rows.json")
    asked = {"part": "classical", "name": "Otsu", "tried": 3}
    study.keep(asked, lambda: {"settings": "sigma 1", **scored})
    study.keep(asked, lambda: pytest.fail("it was measured before"))
    study.keep({"part": "trained", "name": "U-Net", "minutes": 1.0}, lambda: {"done": 9, **scored, "dice": 0.9})
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [row["name"] for row in rows] == ["Otsu", "U-Net"]
    page = (tmp_path / "rows.md").read_text()
    assert "| Otsu | 0.727 (0.679) | 0.571 (0.542) |" in page
    assert "+0.173. Asked for was +0.10: met." in page


def test_lines_between_floods_are_membranes_of_the_width_asked_for(harness: ModuleType) -> None:
    study_of = __import__("unet_membranes")
    image = np.full((20, 31), 200.0)
    image[:, 15] = 50.0
    for width in (2, 4, 6):
        found = study_of._lines(image, 1.0, 10.0, width, None)
        assert found.sum(1).tolist() == [width] * 20
        assert found[:, 15].all()
    assert study_of._lines(image, 1.0, 10.0, 8, 0.0).sum() == 20  # where it is dark, too
    dark = study_of._darkest(image, "kmeans", {"n_clusters": 2, "min_size": 0}, 1)
    np.testing.assert_array_equal(dark, image == 50)


def test_the_report_of_the_walker_judges_what_has_a_limit(harness: ModuleType) -> None:
    walker = __import__("random_walker")
    rows = [walker.Row("one", "1 s", "< 2 s", True), walker.Row("two", "3 s", "< 2 s", False), walker.Row("three", "4")]
    assert [line.split()[-1] for line in walker.report_text(rows).splitlines()] == ["met", "yes", "NO", "-"]
    assert "| two | 3 s | < 2 s | NO |" in walker.markdown(rows)
    assert walker.markdown([]) == ""


# The watershed on a GPU --------------------------------------------------------------------------------


@pytest.fixture
def gpu(harness: ModuleType) -> ModuleType:
    return __import__("watershed_gpu")


def test_without_a_gpu_the_report_says_so(tmp_path: Path, gpu: ModuleType) -> None:
    done = run("--quick", "--only", "on a GPU", "--out", str(tmp_path / "gpu.json"))
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "gpu.json").read_text())["gpu"]
    page = (tmp_path / "gpu.md").read_text()
    if reason := gpu.why_not():
        assert report == {"why_not": reason}
        assert f"watershed on a GPU: not measured, since {reason}" in done.stdout
        assert f"watershed on a GPU: not measured, since {reason}." in page
    else:
        assert report["agreement"] > 0.999
        assert all(f"| {row['kernel']} |" in page for row in report["kernels"])


@pytest.mark.kernels
def test_kernels_are_counted_with_the_bytes_of_their_arrays(gpu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    if reason := why_no_compiler():
        pytest.skip(f"the kernels cannot be compiled for the CPU: {reason}")
    monkeypatch.setitem(kernels.LOADERS, "array_api_strict", CpuModule)
    turns = iter(range(10_000))
    traffic = gpu.Traffic(lambda: next(turns), lambda before, after: 2.0 * (after - before))
    image, markers = gpu.landscape(12)
    with gpu.watching("array_api_strict", traffic):
        labels = nc.watershed(strict.on_device(image), strict.on_device(markers))
    assert kernels.LOADERS["array_api_strict"] is CpuModule
    np.testing.assert_array_equal(strict.to_host(labels), nc.watershed(image, markers))
    rows = {row["kernel"]: row for row in traffic.rows(copy_bandwidth=1e9)}
    assert {"keys_from_float", "plateau_join", "pointer_jump"} <= set(rows)
    keys = rows["keys_from_float"]  # reads float32 and writes uint32, in the 2 ms of the clock above
    assert (keys["launches"], keys["ms"]) == (1, 2.0)
    assert keys["GB_s"] == pytest.approx(8 * 12**3 / 2e-3 / 1e9)
    assert keys["of_copy"] == pytest.approx(8 * 12**3 / 2e-3 / 1e9)
    assert [row["ms"] for row in traffic.rows(1.0)] == sorted((row["ms"] for row in rows.values()), reverse=True)


def test_the_report_of_a_gpu_names_the_card_and_every_kernel(gpu: ModuleType) -> None:
    kernel = {"kernel": "pass_offer", "launches": 7, "ms": 12.5, "GB_s": 1234.4, "of_copy": 0.41}
    report = {
        "card": "Some GPU", "shape": [512, 512, 512], "seconds": 0.51, "peer_side": 256,
        "peer_seconds": 10.2, "ours_beside_peer": 0.051, "ratio": 200.0,
        "agreement": 1.0, "bytes_per_voxel": 24.04, "met": True, "copy_GB_s": 3000.0, "kernels": [kernel],
    }  # fmt: skip
    text = gpu.report_text(report)
    assert "Some GPU, 512 x 512 x 512 voxels of float32\n0.510 s; at an edge of 256, 0.051 s, and" in text
    assert "and scikit-image on the host 10.2 s, 200x; agreement 1.000000" in text
    assert "24.0 bytes per voxel beyond input and output; limits 1 s and 40 bytes: met" in text
    assert text.splitlines()[-1].split() == ["pass_offer", "7", "12.50", "1234", "41%"]
    assert "| pass_offer | 7 | 12.50 | 1234 | 41% |" in gpu.markdown(report)
    assert gpu.markdown({}) == ""


# All methods on a GPU ------------------------------------------------------------------------------------


class HostAsCard:
    """The host, in the place of a GPU."""

    name = "no GPU"

    def put(self, array: np.ndarray) -> np.ndarray:
        return array.copy()

    def wait(self) -> None:
        pass

    def peak_of(self, run: Callable[[], Any]) -> int:
        run()
        return 2 * 12**3


def test_all_methods_are_measured_on_a_gpu(harness: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    every = __import__("gpu")
    names = [case.name for case in every.cases()]
    assert {"threshold, sigma", "watershed", "random_walker", "superpixels", "draw_lines", "measure"} <= set(names)
    assert len(names) == len(set(names))

    def fails(*_: Any) -> None:
        raise MemoryError("too much")

    chosen = [case for case in every.cases() if case.name in ("threshold", "distance")]
    rows = list(every.measured(HostAsCard(), (12, 14), [*chosen, every.Case("broken", fails, ("image",))]))
    assert [(row["case"], row["side"]) for row in rows] == [
        ("threshold", 12), ("distance", 12), ("broken", 12), ("threshold", 14), ("distance", 14)
    ]  # fmt: skip
    assert all(row["same"] == 1 for row in rows if "error" not in row)
    assert (rows[0]["bytes_per_voxel"], rows[0]["input_bytes_per_voxel"]) == (2, 2)
    page = every.markdown({"card": "Some GPU", "machine": {"cores": 2}, "rows": rows})
    assert "| broken | 12 | MemoryError: too much |" in page
    assert "| threshold | 14 |" in page
    every.main(["--quick"])
    if reason := every.why_not():
        assert f"not measured, since {reason}" in capsys.readouterr().out


def test_the_first_of_everything_is_one_table(harness: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    feeling: Any = __import__("feeling")
    asked: list[str] = []

    def child(what: str, kept: Path, *, quick: bool) -> dict[str, float]:
        cold = not any(kept.iterdir())
        (kept / "compiled").touch()
        asked.append(what)
        return {f"the first of {what}": 1234.4 if cold else 5.0}

    monkeypatch.setattr(feeling, "child", child)
    table = feeling.markdown(feeling.measured("", quick=True))
    assert {"widgets", "previews", "comparison", "threshold", "watershed"} <= set(asked)
    assert asked[::2] == asked[1::2]  # a cold process, and the one after it
    assert "| the first of previews | 1,234 | 5 | 1 |" in table
    for method, told, changed in feeling.PREVIEWED.values():
        assert {*told, *changed} <= {param.name for param in catalog.find(method).settings}

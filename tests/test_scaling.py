"""The benchmark of workers measures what it says, and its projection is the arithmetic that it names."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def scaling(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("distributed")
    monkeypatch.syspath_prepend(str(FOLDER))
    return __import__("scaling")


def test_costs_are_found_again(scaling: ModuleType) -> None:
    rows = [
        {
            "tiles": t,
            "faces": f,
            "voxels": v,
            "seconds": 2e-3 * t + 3e-6 * v,
            "driver_seconds": 5e-7 * f,
            "bytes": 9 * f,
        }
        for t, f, v in ((8, 3e5, 1e7), (64, 9e5, 1e7), (27, 6e5, 1e7), (8, 1e5, 1e6))
    ]
    found = scaling.fitted(rows)
    assert found["seconds"] == pytest.approx({"tiles": 2e-3, "faces": 0, "voxels": 3e-6}, rel=1e-3, abs=1e-12)
    assert found["driver_seconds"] == pytest.approx({"once": 0, "tiles": 0, "faces": 5e-7}, abs=1e-9)
    assert found["bytes"] == pytest.approx({"tiles": 0, "faces": 9}, abs=1e-6)


def test_workers_share_the_tiles_and_not_the_driver(scaling: ModuleType) -> None:
    costs = {"seconds": {"voxels": 1e-7}, "driver_seconds": {"tiles": 1e-3}, "bytes": {"faces": 2.0}}
    voxels, edge = 1000**3, 100
    one, many = (scaling.projected(costs, 2.0, 1e-4, voxels, edge, n) for n in (1, 10))
    assert (one.work_hours * 3600, many.work_hours * 3600) == pytest.approx((100, 10))
    assert one.driver_hours * 3600 == many.driver_hours * 3600 == pytest.approx(1)
    assert (one.hours * 3600, many.hours * 3600) == pytest.approx((101, 11))
    assert many.efficiency == pytest.approx(101 / 110)
    assert scaling.projected(costs, 2.0, 1e-2, voxels, edge, 10).hours * 3600 == pytest.approx(21)  # sending is slower
    assert one.driver_bytes == pytest.approx(2 * 3 * 9 * 100 * 100**2)
    at = scaling.bound(costs, edge, one.driver_bytes)
    assert at == pytest.approx(voxels, rel=1e-3)


def test_a_small_run_is_measured_and_reported(scaling: ModuleType, tmp_path: Path) -> None:
    source = __import__("volume").box((64, 64, 64))
    (name,) = (name for name in scaling.RECIPES if name.startswith("otsu"))
    rows = [scaling.cost(name, source, edge) for edge in (32, 64)]
    assert [row["tiles"] for row in rows] == [8, 1]
    assert [row["faces"] for row in rows] == [3 * 64**2, 0]
    assert all(row["seconds"] > 0 and row["driver_seconds"] > 0 and row["looks"] >= row["sweeps"] > 2 for row in rows)
    found = {"rows": rows, "costs": scaling.fitted(rows), "looks": 3.0, "seconds": {1: [2.0, 2.2], 2: [1.0, 1.1]}}
    report = {"machine": {}, "side": 64, "edges": [32, 64], "rounds": 2, "task_seconds": 1e-3, "cases": {name: found}}
    page = scaling.markdown(report)
    assert "| otsu, components | 2.1 | 1.1 | 2.00 |" in page
    assert "| otsu, components | 1,000 |" in page
    scaling.draw(report, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").stat().st_size > 10_000

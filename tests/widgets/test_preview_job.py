"""A preview gives the voxels of the run, reads no more than it must, and says where it cannot be sure."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from napari_cutout import catalog
from napari_cutout._execute import execute
from napari_cutout._monitor import Cancelled
from napari_cutout._selection import Selection
from napari_cutout.methods.histogram import histogram
from napari_cutout.recipe import Recipe, Step
from napari_cutout.widgets import _preview_arrays, _preview_region
from napari_cutout.widgets._known_statistics import StatisticsCache
from napari_cutout.widgets._preview_job import PreviewJob
from napari_cutout.widgets._view import View

from ..cases import arrays_of, settings_of, two_humps

METHODS = [entry for entry in catalog.methods().values() if entry.needs != "labels"]


def quiet(*_):
    """Hear of progress."""


def never():
    return False


def plane(shape, at=0, box=None):
    """Return the view of one plane of a volume, or of a part of it."""
    n = len(shape)
    hidden = [(at, at + 1)] * (n - 2)
    return View((n - 2, n - 1), (at,) * n, (*hidden, *(box or [(0, s) for s in shape[-2:]])))


def answered(job, cache=None):
    """Return the answer once all statistics are known, as the controller would ask for it."""
    cache = cache or StatisticsCache()
    answer = job.run(cache, quiet, never)
    for wanted in answer.wanted:
        job.gather(wanted, cache, quiet, never)
    return job.run(cache, quiet, never)


def same_voxels(answer, labels):
    index = tuple(slice(a, a + n) for a, n in zip(answer.start, answer.labels.shape, strict=True))
    np.testing.assert_array_equal(answer.labels, labels[index])
    assert answer.labels.dtype == labels.dtype


SETTINGS = [
    pytest.param({}, id="plain"),
    pytest.param({"sigma": 1.3}, id="sigma"),
    pytest.param({"median_radius": 1, "spacing": (2.0, 1.0, 1.0)}, id="median"),
    pytest.param({"background_radius": 4.0, "sigma": 0.7, "spacing": (3.0, 1.0, 1.5)}, id="background"),
]
VIEWS = [
    pytest.param((40, 44), ((0, 40), (0, 44)), id="2d-whole"),
    pytest.param((60, 64), ((10, 22), (30, 41)), id="2d-zoomed"),
    pytest.param((9, 30, 32), ((0, 30), (0, 32)), id="3d-slice"),
    pytest.param((9, 40, 44), ((3, 14), (20, 30)), id="3d-zoomed"),
]


@pytest.mark.parametrize("masked", [pytest.param(False, id="all"), pytest.param(True, id="masked")])
@pytest.mark.parametrize(("shape", "box"), VIEWS)
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("entry", METHODS, ids=lambda entry: entry.name)
def test_a_preview_with_the_statistics_of_the_whole_gives_the_voxels_of_the_run(entry, settings, shape, box, masked):
    image = two_humps(shape, seed=3)
    arrays = arrays_of(entry, image)
    if masked:
        arrays["mask"] = np.indices(shape)[-1] > 5
    settings = {**settings_of(entry), **settings}
    if "window" in {p.name for p in entry.settings}:
        settings["window"] = 7.0
    if len(shape) == 2 and "spacing" in settings:
        settings["spacing"] = settings["spacing"][1:]
    recipe = Recipe([Step(entry.name, settings, {name: name for name in arrays})])
    answer = answered(PreviewJob(recipe, arrays, plane(shape, 4, box)))
    assert not answer.wanted
    whole = execute(recipe, arrays, device="cpu")
    assert answer.facts.get("threshold") == whole.provenance["facts"].get("threshold")
    if answer.approximate:  # what connects faint voxels to bright ones may lie out of view
        assert (entry.name, answer.approximate) == ("hysteresis", "objects are followed in view only")
    else:
        same_voxels(answer, whole.labels)

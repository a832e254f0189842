"""The widgets k-means and Gaussian mixture: features, components in the histogram, probabilities, warnings."""

from __future__ import annotations

import json

import dask.array as da
import numpy as np
import pytest
from scipy.stats import norm

import napari_cutout as nc
from napari_cutout import catalog
from napari_cutout._selection import Selection
from napari_cutout.processing.features import feature_names
from napari_cutout.recipe import Recipe, Step
from napari_cutout.widgets._feature_job import Column, FeatureJob, columns_of
from napari_cutout.widgets._known_statistics import StatisticsCache
from napari_cutout.widgets._view import View

from ..patience import PATIENCE

pytestmark = [pytest.mark.qt, pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")]


@pytest.fixture
def tissues():
    """Three grey levels with noise of different widths, uint8, 2-D; no class is only a region."""
    random = np.random.default_rng(4)
    classes = random.choice(3, (48, 60), p=(0.5, 0.3, 0.2))
    noise = random.normal(0, 1, classes.shape) * np.array([5, 12, 8])[classes]
    return (np.array([40, 100, 200])[classes] + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture
def features_of(dock, qtbot):
    """Open k-means with features and return it with a way to wait for the layer that shows one of them."""

    def make(name="k-means", features=("intensity", "gradient")):
        widget = dock(name)
        widget.set(features=features)
        return widget, widget.extras["features"]

    return make


def show(row, name, qtbot):
    """Choose a feature and return the layer that shows it."""
    with qtbot.waitSignal(row.preview.answered):
        row.box.setCurrentText(name)
    return row.preview.layer


# The form


def editor(method, name, qtbot):
    from napari_cutout.widgets._editors import Editor

    entry = catalog.find(method)
    made = Editor(entry, next(p for p in entry.settings if p.name == name))
    qtbot.addWidget(made)
    return made


def test_words_are_ticked_and_stand_in_the_order_of_the_choices(qtbot):
    field = editor("kmeans", "features", qtbot)
    heard = []
    field.changed.connect(lambda: heard.append(field.value))
    assert field.value == ("intensity",)
    field.field.boxes["structure"].click()
    field.field.boxes["gaussian"].click()
    assert heard == [("intensity", "structure"), ("intensity", "gaussian", "structure")]
    field.set_value(("variance", "gradient"))
    assert heard[2:] == [("gradient", "variance")], "it is told once"
    for word in ("gradient", "variance"):
        field.field.boxes[word].click()
    assert field.value == ()
    assert not field.is_right


def test_every_feature_is_explained(qtbot):
    boxes = editor("kmeans", "features", qtbot).field.boxes
    assert boxes["variance"].toolTip() == "The mean squared deviation from the Gaussian: how rough a texture is."
    assert all(len(box.toolTip()) > 20 and box.toolTip()[0].isupper() for box in boxes.values())
    assert "Boxes" not in boxes["position"].toolTip()
    assert boxes["position"].toolTip().endswith("smallest voxel.")


def test_automatic_is_the_word_beside_the_number(qtbot):
    field = editor("gaussian_mixture", "n_components", qtbot)
    assert field.value == 3
    field.automatic.click()
    assert field.value == "auto"
    assert not field.field.isEnabled()
    field.set_value(5)
    assert (field.value, field.automatic.isChecked(), field.field.isEnabled()) == (5, False, True)
    field.set_value("auto")
    assert field.value == "auto"


def test_scales_are_said_in_the_world_and_checked(qtbot):
    field = editor("kmeans", "scales", qtbot)
    field.show_world((2.0, 0.5), "µm")
    assert field.world.text() == "= 0.5, 1.5 µm"
    field.field.setText("3, 1")
    field.show_world((2.0, 0.5), "µm")
    assert not field.is_right
    field.field.setText("1, x")
    field.show_world((2.0, 0.5), "µm")
    assert field.world.text() == ""


def rows(layout):
    """Return the settings whose rows are shown."""
    return [
        layout.itemAt(at, layout.ItemRole.FieldRole).widget().param.name
        for at in range(layout.rowCount())
        if layout.isRowVisible(at)
    ]


def test_what_means_nothing_beside_the_others_is_not_shown(viewer, dock, tissues):
    viewer.add_image(tissues, name="tissues")
    widget = dock("Gaussian mixture")
    assert rows(widget._settings) == ["n_components", "features", "smoothness", "objects"]
    assert "max_components" not in rows(widget._seldom)
    assert {"covariance", "n_init", "seed"} <= set(rows(widget._seldom))
    widget.set(n_components="auto", features=("intensity", "laplacian"))
    assert "scales" in rows(widget._settings)
    assert "max_components" in rows(widget._seldom)
    widget.editors["scales"].field.setText("3, 1")
    widget.set(features=("intensity", "position"))
    assert "scales" in rows(widget._settings), "what is wrong is shown, so that it can be mended"
    widget.set(scales=(1.0, 3.0))
    assert "scales" not in rows(widget._settings)


def test_the_fold_says_what_is_changed_in_it(viewer, dock, tissues):
    viewer.add_image(tissues, name="tissues")
    widget = dock("Gaussian mixture")
    assert widget.seldom.text() == "More"
    assert not widget.seldom.is_open
    widget.set(covariance="tied", seed=7)
    assert widget.seldom.text() == "More · covariance tied · seed 7"
    threshold = dock("Threshold")
    assert threshold.seldom.isHidden()


# Features


def test_columns_have_the_names_and_the_order_of_the_library():
    names, scales = ("intensity", "gradient", "hessian", "position"), (1.0, 2.5)
    found = columns_of(names, scales, 3, 2)
    assert tuple(found) == feature_names(names, scales, 3, 2)
    assert found["channel 1 hessian 2.5 middle"] == Column("hessian", 1, 1, 1)
    assert found["position y"] == Column("position", 0, 0, 1)


@pytest.mark.parametrize("name", ["gradient 3", "structure 1 largest", "position x", "intensity"])
def test_it_shows_the_column_that_voxels_are_compared_by(viewer, features_of, qtbot, tissues, name):
    source = viewer.add_image(tissues, name="tissues", scale=(2.0, 0.5), translate=(3, 4))
    widget, row = features_of(features=("intensity", "gradient", "structure", "position"))
    widget.set(sigma=1.0)
    layer = show(row, name, qtbot)
    smooth = nc.features(tissues, features=("gaussian",), scales=(1.0,), spacing=(2.0, 0.5))[0]
    names = ("intensity", "gradient", "structure", "position")
    columns = nc.features(smooth, features=names, spacing=(2.0, 0.5))
    expected = columns[feature_names(names, ndim=2).index(name)]
    # Smoothing in float32 and a column in another are rounded each.
    np.testing.assert_allclose(layer.data, expected, rtol=1e-5, atol=1e-4)
    assert layer.name == f"feature {name}"
    np.testing.assert_array_equal((layer.scale, layer.translate), (source.scale, source.translate))
    limits = np.quantile(expected, (0.005, 0.995))
    np.testing.assert_allclose(layer.contrast_limits, limits, rtol=1e-4, atol=1e-3)


def test_it_follows_the_slice_and_the_settings_and_goes_away(viewer, features_of, qtbot, volume):
    viewer.add_image(volume, name="volume")
    widget, row = features_of()
    viewer.dims.set_current_step(0, 2)
    layer = show(row, "gradient 1", qtbot)
    expected = nc.features(volume, features=("gradient",), scales=(1.0,))[0]
    np.testing.assert_array_equal(layer.data[0], expected[2])
    viewer.dims.set_current_step(0, 4)
    qtbot.waitUntil(lambda: np.array_equal(row.preview.layer.data[0], expected[4]))
    widget.set(scales=(2.0, 5.0))
    wider = nc.features(volume, features=("gradient",), scales=(2.0,))[0]
    qtbot.waitUntil(lambda: row.preview.layer.name == "feature gradient 2")
    np.testing.assert_array_equal(row.preview.layer.data[0], wider[4])
    assert row.box.currentText() == "gradient 2", "the same column with another scale"
    widget.set(features=("intensity", "variance"))
    qtbot.waitUntil(lambda: row.box.currentText() == "nothing")
    assert [one.name for one in viewer.layers] == ["volume"]


def test_it_is_never_left_behind_saved_or_offered(viewer, features_of, qtbot, tissues, tmp_path):
    viewer.add_image(tissues, name="tissues")
    widget, row = features_of()
    layer = show(row, "gradient 1", qtbot)
    assert [one.name for one in widget.boxes["image"].offered] == ["tissues"]
    assert layer not in widget.channel_list.offered
    with pytest.raises(ValueError, match="a preview is not saved"):
        layer.save(str(tmp_path / "feature.tif"))
    viewer.window.remove_dock_widget(widget)
    assert [one.name for one in viewer.layers] == ["tissues"]
    assert not row.preview.is_on


def test_removing_its_layer_switches_it_off(viewer, features_of, qtbot, tissues):
    viewer.add_image(tissues, name="tissues")
    _, row = features_of()
    layer = show(row, "gradient 1", qtbot)
    viewer.layers.remove(layer)
    assert row.box.currentText() == "nothing"


def test_the_preview_of_labels_lies_above_it(viewer, features_of, qtbot, tissues):
    viewer.add_image(tissues, name="tissues")
    widget, row = features_of()
    show(row, "gradient 1", qtbot)
    with qtbot.waitSignal(widget.preview.answered):
        widget.preview_box.setChecked(True)
    assert [one.name for one in viewer.layers] == ["tissues", "feature gradient 1", "preview"]


@pytest.mark.parametrize("row", ["k-means", "Gaussian mixture"])
def test_the_preview_of_a_slice_becomes_that_of_the_run(viewer, dock, press, qtbot, volume, row):
    viewer.add_image(volume, name="volume")
    widget = dock(row)
    widget.set(features=("intensity", "gradient", "position"), scales=(1.0,))
    viewer.dims.set_current_step(0, 3)
    press(widget)
    labels = viewer.layers[-1].data
    viewer.layers[-1].visible = False
    widget.preview_box.setChecked(True)

    def the_same():
        return widget.preview.layer is not None and np.array_equal(widget.preview.layer.data[0], labels[3])

    qtbot.waitUntil(lambda: the_same() and "approximate" not in widget.bar.status.text())


def test_channels_are_told_apart(viewer, features_of, qtbot, tissues):
    two = np.stack([tissues, tissues[::-1]])
    viewer.add_image(two, name="two")
    widget, row = features_of()
    widget.target_rows.choose(letters="cyx")
    layer = show(row, "channel 1 gradient 1", qtbot)
    expected = nc.features(two[1], features=("gradient",), scales=(1.0,))[0]
    np.testing.assert_array_equal(layer.data, expected)


def job_for(image, axes, view, column, **settings):
    """Return what a preview of a feature of k-means is asked for."""
    step = Step("kmeans", {"features": ("gradient", "position"), "scales": (1.0, 3.0), **settings}, {"image": "image"})
    selection = Selection(axes, each="t" if "t" in axes else "")
    return FeatureJob(Recipe((step,), selection), {"image": image}, view, column=column)


def answer_of(job):
    return job.run(StatisticsCache(), lambda *_: None, lambda: False)


def test_a_part_in_view_is_that_of_the_whole():
    volume = da.from_array(np.random.default_rng(1).integers(0, 900, (3, 400, 300)).astype(np.uint16), chunks=64)
    view = View((1, 2), (1, 50, 60), ((1, 2), (40, 90), (50, 80)))
    found = answer_of(job_for(volume, "zyx", view, Column("gradient", scale=1)))
    (z, y, x), (n_z, n_y, n_x) = found.start, found.labels.shape
    assert (n_z, n_y < 100, n_x < 100) == (1, True, True)
    whole = nc.features(volume.compute(), features=("gradient",), scales=(3.0,))[0]
    np.testing.assert_array_equal(found.labels, whole[z : z + 1, y : y + n_y, x : x + n_x])
    assert found.approximate == ""
    place = answer_of(job_for(volume, "zyx", view, Column("position", number=2)))
    np.testing.assert_array_equal(place.labels[0, 0], np.arange(x, x + n_x))


def test_a_frame_is_looked_at_by_itself():
    frames = np.random.default_rng(1).integers(0, 900, (3, 40, 30)).astype(np.uint16)
    view = View((1, 2), (2, 5, 5), ((2, 3), (0, 40), (0, 30)))
    found = answer_of(job_for(frames, "tyx", view, Column("gradient")))
    np.testing.assert_array_equal(found.labels, nc.features(frames[2], features=("gradient",), scales=(1.0,)))


def test_a_large_image_is_looked_at_on_a_lower_level(monkeypatch):
    from napari_cutout.widgets import _preview_region

    monkeypatch.setattr(_preview_region, "MOST_VOXELS", 10_000)
    full = np.random.default_rng(1).integers(0, 900, (200, 160)).astype(np.uint16)
    view = View((0, 1), (50, 50), ((0, 200), (0, 160)))
    found = answer_of(job_for([full, full[::2, ::2]], "yx", view, Column("gradient", scale=1)))
    assert (found.level, found.factor) == (1, (2, 2))
    expected = nc.features(full[::2, ::2], features=("gradient",), scales=(1.5,), spacing=(2, 2))[0]
    np.testing.assert_array_equal(found.labels, expected)
    assert found.approximate == "computed on level 1"


def test_one_feature_is_not_worth_a_choice(viewer, dock, tissues):
    viewer.add_image(tissues, name="tissues")
    row = dock("k-means").extras["features"]
    assert row._inner.isHidden()


def test_on_a_lower_level_scales_mean_the_same():
    from napari_cutout.widgets._preview_job import scaled

    step = Step("kmeans", {"scales": (1.0, 3.0, 4.0), "features": ("gradient",)}, {"image": "image"})
    (lower,) = scaled((step,), (4.0, 4.0), Selection("yx"))
    np.testing.assert_allclose(lower.settings["scales"], (0.25, 0.75, 1.0))
    (least,) = scaled((step,), (64.0, 64.0), Selection("yx"))
    catalog.find("kmeans").check_settings(least.settings)


# The histogram


def plot_after_a_run(widget, press, qtbot):
    press(widget)
    plot = widget.extras["histogram"].view.plot
    qtbot.waitUntil(lambda: plot.canvas is not None and not plot.fitted.isHidden())
    return plot


@pytest.mark.parametrize("step", [1, 37], ids=["bars of one level", "bars of 37 levels"])
def test_components_are_drawn_as_the_voxels_that_they_stand_for(viewer, dock, press, qtbot, tissues, step):
    tissues = tissues * np.uint16(step)
    viewer.add_image(tissues, name="tissues")
    widget = dock("Gaussian mixture")
    plot = plot_after_a_run(widget, press, qtbot)
    curves = plot.canvas._class_curves
    fit = nc.fit_gaussian_mixture(tissues)
    assert len(curves) == 4
    sums = 0
    for curve, weight, mean, variance in zip(
        curves, fit.weights, fit.means[:, 0], fit.covariances[:, 0, 0], strict=False
    ):
        x, y = curve.getData()
        np.testing.assert_allclose(
            y, step * tissues.size * weight * norm.pdf(x, mean, variance**0.5), rtol=1e-9, atol=1e-9
        )
        sums = sums + y
    np.testing.assert_allclose(curves[3].getData()[1], sums)
    layer = viewer.layers["tissues gaussian mixture"]
    for label, curve in enumerate(curves[:3], start=1):
        expected = plot._colours.line("#" + "".join(f"{round(255 * c):02x}" for c in layer.get_color(label)[:3]))
        assert curve.opts["pen"].color().name() == expected
    assert f"{fit.means[0, 0]:.4g}" in plot.fitted.text()


def test_on_a_logarithmic_scale_curves_follow_the_bars(viewer, dock, press, qtbot, tissues):
    viewer.add_image(tissues, name="tissues")
    plot = plot_after_a_run(dock("Gaussian mixture"), press, qtbot)
    plot.scale = "log"
    x, y = plot.canvas._class_curves[0].getData()
    fit = nc.fit_gaussian_mixture(tissues)
    bar = norm.pdf(x, fit.means[0, 0], fit.covariances[0, 0, 0] ** 0.5) * fit.weights[0] * tissues.size
    known = bar > 0.5
    assert 0 < known.sum() < len(x)
    np.testing.assert_allclose(y[known], np.log10(bar[known]) - np.log10(0.5))
    np.testing.assert_array_equal(y[~known], 0)


def test_clusters_have_a_tick_at_their_centre_and_lines_between(viewer, dock, press, qtbot, tissues):
    viewer.add_image(tissues, name="tissues")
    plot = plot_after_a_run(dock("k-means"), press, qtbot)
    fit = nc.fit_kmeans(tissues)
    np.testing.assert_allclose([curve.getData()[0][0] for curve in plot.canvas._class_curves], fit.centres[:, 0])
    assert len(plot.levels) == 2


@pytest.mark.parametrize(
    ("row", "features"), [("k-means", ("intensity", "gradient")), ("Gaussian mixture", ("gaussian",))]
)
def test_classes_of_features_are_not_drawn_and_it_says_why(viewer, dock, press, qtbot, tissues, row, features):
    viewer.add_image(tissues, name="tissues")
    widget = dock(row)
    plot = plot_after_a_run(widget, press, qtbot)
    widget.set(features=features, scales=(1.0,))
    qtbot.waitUntil(lambda: "classes are made of features" in plot.line.text())
    press(widget)
    assert plot.fitted.isHidden()
    assert plot.levels == ()
    widget.set(features=("intensity",))
    assert "features" not in plot.line.text()


def test_channels_together_leave_no_empty_plot(viewer, dock, qtbot, tissues):
    viewer.add_image(np.stack([tissues, tissues[::-1]]), name="two")
    widget = dock("k-means")
    plot = widget.extras["histogram"].view.plot
    with qtbot.waitSignal(widget.preview.count_failed):
        widget.target_rows.choose(letters="cyx")
    assert "a histogram is of one" in plot.line.text()
    assert plot.log_box.isHidden()
    with qtbot.waitSignal(widget.preview.counted):
        widget.target_rows.choose(letters="cyx", channel=0)
    assert f"{tissues.size:,} voxels" in plot.line.text()
    assert not plot.log_box.isHidden()


# Probabilities


def add(row, kind, qtbot):
    """Press a button and wait for its layer."""
    with qtbot.waitSignal(row.bars[kind].ended):
        row.bars[kind].button.click()


def test_probabilities_lie_on_the_image_with_the_classes_first(viewer, dock, press, qtbot, tissues):
    viewer.add_image(
        tissues,
        name="tissues",
        scale=(2.0, 0.5),
        translate=(3, 4),
        units=("um", "um"),
        axis_labels=("y", "x"),
        rotate=30,
    )
    widget = dock("Gaussian mixture")
    row = widget.extras["probabilities"]
    assert row._inner.isHidden(), "there is nothing to ask for before a run"
    widget.set(smoothness=2.0, sigma=0.5, min_size=9)
    press(widget)
    labels = viewer.layers["tissues gaussian mixture"]
    assert not row._inner.isHidden()
    widget.set(n_components=5)  # what the form says now is of no account
    add(row, "probabilities", qtbot)
    layer = viewer.layers["tissues gaussian mixture probabilities"]
    expected = nc.probabilities(tissues, smoothness=2.0, sigma=0.5, spacing=(2.0, 0.5))
    np.testing.assert_array_equal(layer.data, expected)
    assert layer.axis_labels == ("class", "y", "x")
    assert tuple(layer.contrast_limits) == (0, 1)
    for corner in ((0, 0), (47, 59), (10, 3)):
        np.testing.assert_allclose(layer.data_to_world((0, *corner))[1:], labels.data_to_world(corner))
    assert [layer.data_to_world((at, 0, 0))[0] for at in range(3)] == [1, 2, 3], "as the labels are numbered"
    add(row, "uncertainty", qtbot)
    unsure = viewer.layers["tissues gaussian mixture uncertainty"]
    np.testing.assert_allclose(unsure.data, nc.uncertainty(tissues, smoothness=2.0, sigma=0.5, spacing=(2.0, 0.5)))
    np.testing.assert_array_equal(unsure.scale, labels.scale)


def test_they_say_what_ran_and_are_not_taken_for_labels(viewer, dock, press, qtbot, tissues):
    from napari_cutout._chain import made

    viewer.add_image(tissues, name="tissues")
    widget = dock("Gaussian mixture")
    press(widget)
    add(widget.extras["probabilities"], "uncertainty", qtbot)
    kept = viewer.layers["tissues gaussian mixture"].metadata["napari_cutout"]
    ours = viewer.layers["tissues gaussian mixture uncertainty"].metadata["napari_cutout"]
    assert ours["shows"] == "uncertainty"
    assert ours["recipe"] == kept["recipe"]
    assert ours["provenance"]["facts"] == kept["provenance"]["facts"]
    assert made(kept) is not None
    assert made(ours) is None


def test_every_press_adds_a_layer(viewer, dock, press, qtbot, tissues):
    viewer.add_image(tissues, name="tissues")
    widget = dock("Gaussian mixture")
    press(widget)
    for _ in range(2):
        add(widget.extras["probabilities"], "uncertainty", qtbot)
    assert len(viewer.layers) == 4


@pytest.mark.parametrize("time", ["each", "pooled"])
def test_frames_have_their_own_and_a_class_that_one_lacks_is_impossible(viewer, dock, press, qtbot, tissues, time):
    frames = np.stack([tissues, np.where(tissues < 70, tissues, 60).astype(np.uint8)])
    viewer.add_image(frames, name="frames")
    widget = dock("Gaussian mixture")
    widget.target_rows.choose(letters="tyx", time=time)
    widget.set(n_components="auto", max_components=4)
    press(widget)
    add(widget.extras["probabilities"], "probabilities", qtbot)
    maps = viewer.layers[-1].data
    assert maps.shape[1:] == frames.shape
    np.testing.assert_allclose(maps.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(maps.argmax(axis=0) + 1, viewer.layers["frames gaussian mixture"].data)
    if time == "each":
        apart = [nc.probabilities(frame, n_components="auto", max_components=4) for frame in frames]
        assert len(apart[0]) != len(apart[1])
        for number, one in enumerate(apart):
            np.testing.assert_array_equal(maps[: len(one), number], one)


def test_channels_are_fitted_together(viewer, dock, press, qtbot, tissues):
    two = np.stack([tissues, tissues[::-1]]).reshape(2, 4, 12, 60).swapaxes(0, 1)
    viewer.add_image(two, name="two")
    widget = dock("Gaussian mixture")
    widget.target_rows.choose(letters="zcyx")  # labels have an axis that spans all channels
    press(widget)
    add(widget.extras["probabilities"], "probabilities", qtbot)
    layer, labels = viewer.layers[-1], viewer.layers["two gaussian mixture"]
    assert layer.data.shape == (3, *labels.data.shape) == (3, 4, 1, 12, 60)
    np.testing.assert_array_equal(layer.data[:, :, 0], nc.probabilities(two, channel_axis=1))


def test_layers_beside_are_fitted_together(viewer, dock, press, qtbot, tissues):
    viewer.add_image(tissues, name="one")
    other = viewer.add_image(tissues[::-1].copy(), name="other")
    widget = dock("Gaussian mixture")
    widget.boxes["image"].choose(viewer.layers["one"])
    widget.channel_list.tick(other)
    press(widget)
    add(widget.extras["probabilities"], "probabilities", qtbot)
    expected = nc.probabilities(np.stack([tissues, tissues[::-1]]), channel_axis=0)
    np.testing.assert_array_equal(viewer.layers[-1].data, expected)


def test_a_mask_is_used_for_them(viewer, dock, press, qtbot, tissues):
    viewer.add_image(tissues, name="tissues")
    mask = np.zeros(tissues.shape, np.uint8)
    mask[:20] = 1
    painted = viewer.add_labels(mask, name="mask")
    widget = dock("Gaussian mixture")
    widget.boxes["mask"].choose(painted)
    press(widget)
    painted.data[:] = 1  # after the run
    add(widget.extras["probabilities"], "probabilities", qtbot)
    expected = np.zeros(tissues.shape, np.uint8)
    expected[:20] = 1
    np.testing.assert_array_equal(viewer.layers[-1].data, nc.probabilities(tissues, expected))


def test_what_does_not_fit_is_refused(viewer, dock, press, qtbot, tissues, monkeypatch):
    viewer.add_image(tissues, name="tissues")
    widget = dock("Gaussian mixture")
    press(widget)
    monkeypatch.setattr(widget, "free_memory", lambda: 30_000)
    bar = widget.extras["probabilities"].bars["probabilities"]
    bar.button.click()
    assert not bar.running
    assert "are free; add the uncertainty, or run on a region" in bar.status.text()


def test_they_can_be_cancelled(viewer, dock, press, qtbot, tissues, monkeypatch):
    import threading

    viewer.add_image(tissues, name="tissues")
    widget = dock("Gaussian mixture")
    press(widget)
    reached, opened = threading.Event(), threading.Event()
    real = catalog.images_of("gaussian_mixture")["uncertainty"]

    def held(*args, **settings):
        reached.set()
        assert opened.wait(PATIENCE)
        return real(*args, **settings)

    monkeypatch.setattr(catalog, "images_of", lambda name: {"uncertainty": held})
    bar = widget.extras["probabilities"].bars["uncertainty"]
    bar.button.click()
    assert reached.wait(PATIENCE)
    bar.button.click()
    with qtbot.waitSignal(bar.ended):
        opened.set()
    assert "cancelled" in bar.status.text()
    assert len(viewer.layers) == 2


# What a user should know


def test_a_run_that_did_not_converge_says_so(viewer, dock, press, tissues):
    viewer.add_image(tissues, name="tissues")
    widget = dock("Gaussian mixture")
    widget.set(features=("intensity", "gradient"), max_iterations=1, tolerance=0.0)
    press(widget)
    assert "did not converge in 1 iterations; raise max_iterations" in widget.bar.status.text()


def test_several_warnings_are_wrapped(viewer, dock, press, tissues, monkeypatch):
    from napari_cutout.methods import _mixtures

    viewer.add_image(tissues, name="tissues")
    widget = dock("Gaussian mixture")
    width = widget.minimumSizeHint().width()
    said = [f"no grey level is most likely in class {k}; ask for fewer classes" for k in range(1, 7)]
    noted = _mixtures.note_mixture
    monkeypatch.setattr(_mixtures, "note_mixture", lambda found, warnings=(): noted(found, said))
    press(widget)
    status = widget.bar.status
    assert "; ".join(said) in status.text()
    assert status.heightForWidth(300) > 5 * status.fontMetrics().height()
    assert widget.minimumSizeHint().width() == width


def test_an_automatic_number_of_classes_is_said_and_kept(viewer, dock, press, qtbot, tissues):
    viewer.add_image(tissues, name="tissues")
    widget = dock("Gaussian mixture")
    widget.set(n_components="auto", max_components=4)
    press(widget)
    assert " · 3 classes · chosen from 1 to 4 · " in widget.bar.status.text()
    made = viewer.layers["tissues gaussian mixture"].metadata["napari_cutout"]
    facts = json.loads(json.dumps(made["provenance"]["facts"]))
    assert facts == made["provenance"]["facts"]
    assert set(facts["criteria"]) == {"1", "2", "3", "4"}
    for form in ("python", "command"):
        with qtbot.waitSignal(widget.result_bar.copied) as copied:
            widget.result_bar.copy(form)
        assert "auto" in copied.args[0]
    widget.preview_box.setChecked(True)
    widget.set(objects="dark")
    qtbot.waitUntil(lambda: "preview" in widget.bar.status.text())
    assert "chosen from 1 to 4" in widget.bar.status.text()


def test_a_column_that_is_left_out_is_named(viewer, dock, press, tissues):
    viewer.add_image(np.stack([tissues, np.full_like(tissues, 7)]), name="one empty")
    widget = dock("k-means")
    widget.target_rows.choose(letters="cyx")
    press(widget)
    assert "left out: channel 1 intensity (constant)" in widget.bar.status.text()


def test_parts_that_did_not_converge_are_counted():
    from napari_cutout.widgets._found import _warnings

    step = {"facts": {}, "by_part": {"warning": [None, "k-means did not converge", None]}}
    found = _warnings({"facts": {}, "steps": [step]})
    assert found == ["in 1 of 3 parts, such as: k-means did not converge"]

"""The list of trained models, what it says of each and refuses; and the curves of a training."""

from __future__ import annotations

import json
import math
import os
from types import SimpleNamespace

import numpy as np
import pytest
from napari.layers import Image

from napari_cutout import catalog
from napari_cutout.unet.trained import SETTINGS
from napari_cutout.widgets import _model_box
from napari_cutout.widgets._model_files import (
    asked_of,
    described,
    free_place,
    left_behind,
    model_problem,
    models_in,
    seconds_of,
    training_at,
)
from napari_cutout.widgets._preferences import Preferences
from napari_cutout.widgets._training_curves import MOST_POINTS, Curves

from .unet_parts import form_on, model


def saved(folder, name, *, seconds, **what):
    """Save a model that is of a given age."""
    model(name=name, **what).save(folder / name)
    os.utime(folder / name / SETTINGS, (seconds, seconds))
    return str(folder / name)


# Files ----------------------------------------------------------------------------------------------------


def test_a_model_says_what_it_is(tmp_path):
    info = described(saved(tmp_path, "cells", seconds=1_000_000, classes=(0, 1, 4), n_channels=2))
    assert (info.name, info.n_channels, info.ndim, info.n_outputs) == ("cells", 2, 2, 3)
    assert str(info).startswith("2-D · 2 channels · classes 0, 1, 4 · Dice 0.812 on what was held out · ")
    objects = described(saved(tmp_path, "nuclei", seconds=1_000_000, classes=(0, 1), head="boundary", ndim=3))
    assert str(objects).startswith("3-D · 1 channel · objects, by their boundaries · ")
    assert objects.n_outputs == 3  # background, inside, boundary


def test_weights_are_not_read(tmp_path):
    path = saved(tmp_path, "cells", seconds=1_000_000)
    (tmp_path / "cells" / "weights.safetensors").write_bytes(b"not weights at all")
    assert described(path).classes == (1, 2)


def test_a_model_that_was_trained_anew_is_read_anew(tmp_path):
    path = saved(tmp_path, "cells", seconds=1_000_000)
    assert described(path).classes == (1, 2)
    model(classes=(3, 9)).save(path, overwrite=True)
    assert described(path).classes == (3, 9)


def test_the_newest_model_comes_first_and_what_is_none_is_left_out(tmp_path):
    for name, seconds in (("old", 1_000_000), ("new", 3_000_000), ("middle", 2_000_000)):
        saved(tmp_path, name, seconds=seconds)
    (tmp_path / "notes").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / SETTINGS).write_text("{")
    assert [info.name for info in models_in(tmp_path)] == ["new", "middle", "old"]
    assert models_in(tmp_path / "nowhere") == []


def test_a_new_model_has_a_name_of_its_own_that_any_disk_takes(tmp_path):
    assert free_place(tmp_path, "a/b: c*?").name == "a b c"
    assert free_place(tmp_path, " ..").name == "model"
    (tmp_path / "cells").mkdir()
    assert free_place(tmp_path, "cells").name == "cells (2)"
    (tmp_path / "cells (2).checkpoint").touch()  # of one that is being trained
    assert free_place(tmp_path, "cells").name == "cells (3)"


def test_what_was_interrupted_is_known_by_its_checkpoint(tmp_path):
    assert left_behind(tmp_path) == []
    for name, seconds in (("first", 1_000_000), ("second", 2_000_000)):
        (tmp_path / f"{name}.checkpoint").touch()
        os.utime(tmp_path / f"{name}.checkpoint", (seconds, seconds))
    assert left_behind(tmp_path) == [tmp_path / "second", tmp_path / "first"]
    (tmp_path / "fresh.checkpoint").touch()  # another program may be at it
    assert left_behind(tmp_path) == [tmp_path / "second", tmp_path / "first"]
    with training_at(tmp_path / "first"):
        assert left_behind(tmp_path) == [tmp_path / "second"]
    with training_at(tmp_path / "fresh"):
        pass
    assert left_behind(tmp_path)[0] == tmp_path / "fresh", "what has ended here is known to have ended"
    assert seconds_of(tmp_path / "first") == 0
    assert asked_of(tmp_path / "first") == {}  # an empty file says nothing; the training says why


# Whether one can be used ------------------------------------------------------------------------------------


def problem_of(given, image, **choice):
    """Return what the form says of a model on an image."""
    form = form_on(Image(image, name="image"), **choice)
    form.settings["model"] = given
    return model_problem(form.method, form.settings, form.target)


def test_a_model_has_to_be_chosen_and_to_be_there(tmp_path):
    plane = np.zeros((8, 10))
    assert problem_of(None, plane) == "model: none is chosen; choose one, or train one below"
    assert "gone" in problem_of(str(tmp_path / "gone"), plane)
    assert problem_of(saved(tmp_path, "cells", seconds=1_000_000), plane) == ""


def test_a_model_has_to_fit_the_image(tmp_path):
    two = saved(tmp_path, "two", seconds=1_000_000, n_channels=2)
    assert problem_of(two, np.zeros((8, 10))) == (
        "the model 'two' was trained on 2 channels, and the image has 1; choose the same channels as in its training"
    )
    assert problem_of(two, np.zeros((2, 8, 10)), letters="cyx", channel="all") == ""
    solid = saved(tmp_path, "solid", seconds=1_000_000, ndim=3)
    assert problem_of(solid, np.zeros((6, 8, 10)), letters="zyx") == ""
    assert "was trained on volumes" in problem_of(solid, np.zeros((6, 8, 10)), letters="zyx", depth="each")


# The list ---------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Keep preferences of the models in this test: a folder of its own."""
    values = {"models_folder": str(tmp_path / "models"), "other_models": ""}
    (tmp_path / "models").mkdir()
    monkeypatch.setattr(_model_box, "preferences", lambda: Preferences(**values))
    monkeypatch.setattr(_model_box, "remember", lambda **new: values.update(new))
    return values


@pytest.fixture
def field(kept, qtbot):
    """The field of the setting, as the form has it."""
    from napari_cutout.widgets._editors import Editor

    method = catalog.find("unet_predict")
    editor = Editor(method, next(p for p in method.settings if p.name == "model"))
    qtbot.addWidget(editor)
    return editor


qt = pytest.mark.qt


@qt
def test_the_list_offers_what_is_in_the_folder_when_it_opens(field, tmp_path):
    assert field.value is None
    path = saved(tmp_path / "models", "cells", seconds=1_000_000)
    field.field.box.opening.emit()
    assert [field.field.box.itemText(at) for at in range(2)] == ["choose a model", "cells"]
    heard = []
    field.changed.connect(lambda: heard.append(field.value))
    field.field.box.setCurrentIndex(1)
    assert heard == [path]
    assert "classes 1, 2" in field.field.about.text()
    field.field.box.opening.emit()
    assert field.value == path, "the choice stays"
    assert heard == [path]


@qt
def test_a_setting_is_shown_and_told_once(field, tmp_path):
    path = saved(tmp_path / "models", "cells", seconds=1_000_000)
    heard = []
    field.changed.connect(lambda: heard.append(field.value))
    field.set_value(path)
    field.set_value(path)
    assert heard == [path]


@qt
def test_a_model_elsewhere_is_remembered(field, kept, tmp_path):
    path = saved(tmp_path, "elsewhere", seconds=1_000_000)
    field.field.choose(path)
    assert field.value == path
    assert kept["other_models"] == path
    assert _model_box.ModelBox("model", "").box.findData(path) > 0, "the next widget offers it"
    field.field.keep_in(tmp_path)
    assert _model_box.models_folder() == tmp_path


@qt
def test_a_wrong_folder_is_refused_in_red_and_the_choice_stays(field, tmp_path):
    path = saved(tmp_path / "models", "cells", seconds=1_000_000)
    field.set_value(path)
    (tmp_path / "photos").mkdir()
    field.field.choose(tmp_path / "photos")
    with pytest.raises(FileNotFoundError) as raised:
        described(tmp_path / "photos")
    assert field.field.problem.text() == str(raised.value)
    assert not field.field.problem.isHidden()
    assert field.value == path
    settings = tmp_path / "models" / "cells" / SETTINGS
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "classes": "all"}))
    field.field.choose(path)
    assert "does not describe a U-Net" in field.field.problem.text()


# Curves -----------------------------------------------------------------------------------------------------


def report(step, dice, n_steps=100):
    mean = math.nan if not dice else sum(dice) / len(dice)
    return SimpleNamespace(step=step, n_steps=n_steps, validation_loss=0.5, dice=dice, mean_dice=mean)


def test_many_batches_are_drawn_as_means_of_several():
    curves = Curves()
    for step in range(1, 4 * MOST_POINTS + 1):
        curves.add_steps([(step, float(step))], 10_000)
    assert MOST_POINTS / 2 <= len(curves.losses) <= MOST_POINTS
    # The loss of a batch is its number, so every mean lies on the line through them.
    np.testing.assert_allclose(curves.losses, curves.steps)
    assert curves.steps[-1] == pytest.approx(4 * MOST_POINTS, abs=8)


def test_the_best_is_the_first_of_equals_and_the_line_says_so():
    curves = Curves()
    assert curves.words(str) == ""
    curves.add_steps([(1, 2.0), (2, 1.5)], 100)
    assert curves.words(str) == "step 2 of 100"
    for step, dice in ((10, (0.5, 0.7)), (20, (0.6, 0.8)), (30, (0.8, 0.6))):
        curves.add_report(report(step, dice))
    assert curves.best_point == ([20], [pytest.approx(0.7)])
    assert curves.words(lambda at: "ab"[at]) == ("step 30 of 100 · Dice 0.700 (a 0.80, b 0.60) · best 0.700 at step 20")
    assert curves.highest_loss == 2.0
    curves.validation_losses[0] = 80.0  # before the normalisation has settled
    assert curves.highest_loss == 2.0


def test_without_anything_held_out_there_is_no_dice():
    curves = Curves()
    curves.add_report(report(10, ()))
    assert curves.best_point == ([], [])
    assert "nothing is held out" in curves.words(str)

"""Names of classes: one list per viewer, read from layers and kept in those that we made."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from napari_cutout.widgets import _class_names
from napari_cutout.widgets._class_names import class_names, names_in, write_names

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pydantic")


@pytest.fixture
def model():
    """A viewer without a window."""
    from napari.components import ViewerModel

    return ViewerModel()


def labels(model, name="cut", **ours):
    return model.add_labels(np.eye(4, dtype=int), name=name, metadata={"napari_cutout": ours} if ours else {})


@pytest.mark.parametrize(
    ("metadata", "names"),
    [
        pytest.param({}, {}, id="none"),
        pytest.param(
            {"napari_cutout": {"class_names": {"1": "nuclei", "12": " cells "}}}, {1: "nuclei", 12: "cells"}, id="two"
        ),
        pytest.param({"napari_cutout": {"class_names": {"one": "a", "-1": "b", "2": 5, "3": ""}}}, {}, id="unreadable"),
        pytest.param({"napari_cutout": {"class_names": ["nuclei"]}}, {}, id="list"),
        pytest.param({"napari_cutout": "text"}, {}, id="text"),
        pytest.param({"napari_cutout": {"class_names": {1: "nuclei"}}}, {1: "nuclei"}, id="numbers-as-keys"),
    ],
)
def test_names_are_read_from_what_a_layer_keeps(model, metadata, names):
    assert names_in(model.add_labels(np.eye(4, dtype=int), metadata=metadata)) == names


def test_a_name_is_one_for_all_and_kept_in_our_results_only(model):
    ours, mine = labels(model, recipe="{}"), labels(model, "mine")
    errors, preview = labels(model, "errors", meaning={}), labels(model, "preview", recipe="{}", preview=True)
    names = class_names(model)
    told = []
    names.changed.connect(lambda: told.append(dict(names.names)))
    names.set(2, "  cell\n wall ")
    names.set(1, "nuclei")
    names.set(1, "nuclei")
    assert told == [{2: "cell wall"}, {2: "cell wall", 1: "nuclei"}]
    assert names.name_of(np.int64(2)) == "cell wall"
    assert names.name_of(3) == ""
    assert ours.metadata["napari_cutout"]["class_names"] == {"1": "nuclei", "2": "cell wall"}
    assert mine.metadata == {}
    for layer in (errors, preview):
        assert "class_names" not in layer.metadata["napari_cutout"]
    names.set(1, "")
    names.set(2, "")
    assert "class_names" not in ours.metadata["napari_cutout"]
    assert told[-1] == {}


def test_new_results_are_given_the_names(model):
    names = class_names(model)
    names.set(1, "nuclei")
    assert labels(model, recipe="{}").metadata["napari_cutout"]["class_names"] == {"1": "nuclei"}


def test_opened_layers_bring_names_and_none_that_is_there_is_replaced(model):
    early = labels(model, recipe="{}", class_names={"1": "nuclei"})
    names = class_names(model)
    assert names.names == {1: "nuclei"}
    told = []
    names.changed.connect(lambda: told.append(1))
    opened = labels(model, "opened", recipe="{}", class_names={"1": "cells", "2": "walls"})
    assert names.names == {1: "nuclei", 2: "walls"}
    assert told == [1]
    for layer in (early, opened):
        assert names_in(layer) == names.names


def test_each_viewer_has_its_own_and_gives_the_same_every_time(model):
    from napari.components import ViewerModel
    from napari.utils._proxies import PublicOnlyProxy

    other = ViewerModel()
    class_names(model).set(1, "nuclei")
    assert class_names(PublicOnlyProxy(model)) is class_names(model)
    assert class_names(other).names == {}
    key = id(other)
    assert key in _class_names._known
    del other
    gc.collect()
    assert key not in _class_names._known, "the names of a viewer that is gone are gone"


def test_write_names_says_nothing_to_a_layer_of_the_user(model):
    layer = labels(model)
    write_names(layer, {1: "nuclei"})
    assert layer.metadata == {}

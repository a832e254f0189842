"""*Copy methods text*: what a paper says of the result, on the clipboard."""

from __future__ import annotations

import pytest
from qtpy.QtGui import QGuiApplication

import napari_cutout as nc
from napari_cutout.recipe import Recipe

from ..cases import two_humps

pytestmark = pytest.mark.qt


@pytest.fixture
def cut(viewer, dock, press):
    """A widget that has run."""
    viewer.add_image(two_humps((40, 52), dtype="uint16"), name="nuclei")
    widget = dock("Threshold")
    widget.set(method="li", background_radius=9.0)
    press(widget)
    assert widget.results.last is not None, widget.bar.status.text()
    return widget


def chosen(widget, text):
    """Choose an entry of the menu below the result."""
    widget.result_bar.menu.aboutToShow.emit()
    (action,) = (action for action in widget.result_bar.menu.actions() if action.text() == text)
    action.trigger()


def test_the_menu_copies_what_a_paper_says(cut, qtbot):
    with qtbot.waitSignal(cut.result_bar.copied):
        chosen(cut, "Copy methods text")
    text = QGuiApplication.clipboard().text()
    recipe = Recipe.from_json(cut.results.last.metadata["napari_cutout"]["recipe"])
    assert text == str(nc.cite(recipe))
    assert "(Soille, 2004, chapter 4)" in text
    assert "@article{li1998iterative," in text
    assert cut.bar.status.text() == "copied a paragraph for the methods section, its references and BibTeX"


def test_it_stands_beside_the_command(cut):
    cut.result_bar.menu.aboutToShow.emit()
    texts = [action.text() for action in cut.result_bar.menu.actions()]
    assert texts.index("Copy methods text") == texts.index("Copy as command") + 1


def test_the_version_that_ran_is_named(cut, qtbot):
    cut.results.last.metadata["napari_cutout"]["provenance"]["versions"]["napari-cutout"] = "0.0.7"
    with qtbot.waitSignal(cut.result_bar.copied):
        chosen(cut, "Copy methods text")
    assert QGuiApplication.clipboard().text().startswith("Images were processed with napari-cutout 0.0.7. ")


def test_a_layer_that_is_gone_is_not_cited(cut, viewer):
    viewer.layers.remove(cut.results.last)
    QGuiApplication.clipboard().setText("before")
    chosen(cut, "Copy methods text")
    assert QGuiApplication.clipboard().text() == "before"
    assert "the layer of the result is gone" in cut.bar.status.text()

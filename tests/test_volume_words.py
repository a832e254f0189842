"""What programs call axes, everywhere alike."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_cutout._volume import AXES, axis_letter
from napari_cutout.widgets._target import recalled

WORDS = {"Frames": "t", " time ": "t", "channels": "c", "Plane": "z", "row": "y", "width": "x", "axis -1": "", "": ""}


@pytest.mark.parametrize("word", [*WORDS, *AXES])
def test_an_axis_is_known_by_its_words(word: str) -> None:
    assert axis_letter(word) == WORDS.get(word, word)


class Layer(SimpleNamespace):
    """A layer that can be a key."""

    __hash__ = object.__hash__


def test_a_layer_is_known_by_the_words_that_a_file_may_have() -> None:
    layer = Layer(data=np.zeros((2, 3, 4, 5)), ndim=4, axis_labels=("frame", "plane", "row", "column"))
    assert recalled(layer).letters == "tzyx"

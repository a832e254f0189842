"""The tutorial in the real viewer: every step that it names can be taken, and what it says comes out."""

from __future__ import annotations

from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"

pytestmark = [pytest.mark.qt, pytest.mark.slow]


def test_every_step_of_the_tutorial_can_be_taken(viewer, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    import make_tutorial_pictures as tutorial

    pictures = list(tutorial.walk(viewer, tmp_path))
    page = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    shown = [name for name in pictures if f"](pictures/tutorial-{name}.png)" in page]
    assert shown == pictures == ["preview", "threshold", "split", "errors", "corrected", "measure"]
    assert len((tmp_path / "nuclei.csv").read_text(encoding="utf-8").splitlines()) == 47

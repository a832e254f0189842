"""What a method is good for and when it fails: said for every one, shown for every one, and so."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from napari_cutout import catalog

ROOT = Path(__file__).parents[1]
FEW = ("threshold", "multi_otsu", "watershed", "split_touching", "link_frames")
"""What is checked at every change, in a second; the others are before a release, those with a network when drawn."""

NETWORKS = {"unet_predict", "unet_from_strokes"}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script that draws the cases, writing elsewhere."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    made = __import__("make_case_pictures")
    monkeypatch.setattr(made, "FOLDER", tmp_path)
    return made


def test_every_method_says_and_shows_it(script: ModuleType) -> None:
    assert set(script.CASES) == set(catalog.methods())
    for name in catalog.methods():
        page = (ROOT / "docs" / "methods" / f"{name}.md").read_text(encoding="utf-8")
        assert page.count("**Good for:** ") == page.count("**Fails when:** ") == 1, name
        assert f"../pictures/methods/{name}-cases.png" in page
        assert (ROOT / "docs" / "pictures" / "methods" / f"{name}-cases.png").stat().st_size < 80_000


def test_cases_do_well_and_fail_as_they_claim(script: ModuleType, tmp_path: Path) -> None:
    script.main(FEW)
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}-cases.png" for name in FEW}


@pytest.mark.slow
def test_all_cases_do_well_and_fail_as_they_claim(script: ModuleType) -> None:
    for name in sorted(set(script.CASES) - NETWORKS):
        script.checked(name)


def test_a_case_that_is_not_what_it_claims_is_an_error(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    well, _ = script.checked("objects")
    monkeypatch.setitem(script.CASES, "objects", lambda: (well, well))
    with pytest.raises(ValueError, match=r"objects scores 1\.00 where it does well and 1\.00 where it fails"):
        script.checked("objects")

"""The site: every page is in its contents, every picture is shown, and nothing that is built asks the network.

`make docs` builds it, and fails on anything that Sphinx warns of; here is what Sphinx does not see.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import napari_cutout as nc

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
pytest.importorskip("sphinx", reason="the site needs the extra `docs`")

PAGES = [
    *DOCS.rglob("*.md"),
    *(ROOT / "benchmarks").rglob("*.md"),
    *map(ROOT.joinpath, ("CHANGELOG.md", "CONTRIBUTING.md")),
]
PICTURE = re.compile(r"!\[[^]]*\]\(([^)#\s]+)\)")
ASKS = re.compile(
    r"""<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=["'](?:https?:)?//|@import\s+url\(["']?http"""
)
"""What makes a browser fetch something from elsewhere."""


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))


def listed(page: Path) -> Iterator[Path]:
    """Yield the pages that a page of the contents leads to, and all that these lead to."""
    from conf import ENTRY, LEADS

    yield page
    if page.stem in LEADS:
        for _, link in ENTRY.findall(page.read_text(encoding="utf-8")):
            yield from listed((page.parent / link).resolve())


def test_every_page_is_in_the_contents_once() -> None:
    found = list(listed(DOCS / "index.md"))
    assert len(found) == len(set(found))
    assert set(PAGES) - set(found) == set()


def test_contents_are_what_lists_and_tables_lead_to() -> None:
    from conf import contents

    text = (
        "# A\n- [One](one.md): says it\n\n## B\n| [`two`](b/two.md) | x |\nSee [three](three.md).\n\n## C\nNothing.\n"
    )
    blocks = "\n".join(contents(text)).split("```{toctree}")[1:]
    assert ["One <one.md>" in block for block in blocks] == [True, False]
    assert ["two <b/two.md>" in block and ":caption: B" in block for block in blocks] == [False, True]
    assert "three" not in "".join(blocks)


def test_every_picture_is_shown_somewhere() -> None:
    pages = [ROOT / "README.md", *PAGES]
    shown = {
        (page.parent / link).resolve() for page in pages for link in PICTURE.findall(page.read_text(encoding="utf-8"))
    }
    kept = set((DOCS / "pictures").rglob("*.png"))
    assert kept - shown == set()
    assert {path for path in shown if DOCS in path.parents} - kept == set()


def test_every_public_name_has_a_place_and_every_command_a_title(monkeypatch: pytest.MonkeyPatch) -> None:
    import _api_pages
    from _command_pages import command_page, commands

    assert sorted(name for names in _api_pages.members().values() for name in names) == sorted(nc.__all__)
    page = command_page()
    assert all(f"\n## {command.name}\n" in page for command in commands())
    monkeypatch.setattr(_api_pages, "GROUPS", {"unet": _api_pages.GROUPS["unet"]})
    with pytest.raises(LookupError, match=r"compare.*belongs to no page; add its module to GROUPS"):
        _api_pages.page_of("compare")


def test_options_stand_on_the_page_of_commands_once_or_with_their_command() -> None:
    from _command_pages import SHARED_BY, command_page, commands

    page = command_page().splitlines()
    for command in commands():
        for lines in command.groups.values():
            assert all(line in page for line in lines), command.name
    described = [line for line in page if line.startswith("* `--sigma ")]
    assert len(described) < SHARED_BY


def test_what_was_built_asks_nothing_of_the_network() -> None:
    assert ASKS.search('<script src="https://cdn.org/x.js"></script>')
    assert not ASKS.search('<a href="https://doi.org/10.1">doi</a>')
    built = ROOT / "build" / "site"
    if not built.exists():
        pytest.skip("the site is not built here; `make docs` builds it")
    asking = [
        str(path.relative_to(built))
        for path in (*built.rglob("*.html"), *built.rglob("*.css"))
        if ASKS.search(path.read_text(encoding="utf-8"))
    ]
    assert asking == []


def test_the_messages_that_the_guide_explains_are_those_of_the_program() -> None:
    """Parts of a message between what differs from machine to machine must stand in the code as they do on the page."""
    said = "".join(
        (ROOT / "src" / "napari_cutout" / name).read_text(encoding="utf-8") for name in ("_device.py", "doctor.py")
    )
    table = (DOCS / "gpu.md").read_text(encoding="utf-8").partition("## The commonest messages")[2]
    messages = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    assert len(messages) == 6
    for message in messages:
        for part in re.split(r", and| …|\d+\.\d+|\d+", message):
            assert part.strip(" ,") in said, message


def test_the_tutorial_says_what_comes_out() -> None:
    """The clicks are taken by `docs/make_tutorial_pictures.py`; this is the same without a window."""
    page = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    sample = nc.samples.nuclei_2d()
    settings = {"sigma": 1.0, "fill_holes": True, "min_size": 40, "one_per_object": True}
    cut = nc.threshold(sample.image.data, method="li", **settings)
    split = nc.split_touching(cut, depth=0.5)
    assert [f"*{labels.max()} objects*" in page for labels in (cut, split)] == [True, True]
    scores = nc.evaluate_objects(split, sample.truth.data)
    assert len(scores.merged) == 1
    assert "*1 merged*" in page
    assert (len(scores.split), len(scores.missed), len(scores.invented)) == (0, 0, 0)

"""Print what a release brings, or say why it cannot be one: ``python .ci/release_notes.py v1.2.3``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def release_notes(tag: str, root: Path) -> str:
    """Return the part of the changelog that belongs to a tag.

    Parameters
    ----------
    tag : str
        Such as ``"v1.2.3"``.
    root : Path
        The repository.

    Returns
    -------
    str
        Markdown, without the heading.

    Raises
    ------
    ValueError
        If the version of the package, the citation or the changelog is another, or changes wait in ``changes``.
    """
    version = tag.removeprefix("v")
    for name, pattern in (
        ("src/napari_cutout/__init__.py", r'^__version__ = "(.+)"'),
        ("CITATION.cff", r"^version: (.+)"),
        ("conda.recipe/recipe.yaml", r'^  version: "(.+)"'),
    ):
        found = re.search(pattern, (root / name).read_text(encoding="utf-8"), re.MULTILINE)
        if found is None or found[1] != version:
            said = found[1] if found else "nothing"
            raise ValueError(f"the tag {tag} is for {version}, and {name} says {said}; make them agree")
    waiting = sorted(path.name for path in (root / "changes").glob("*.*.md"))
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    part = re.search(rf"^## {re.escape(version)}, .*\n+((?:(?!## ).*\n?)*)", changelog, re.MULTILINE)
    if waiting or part is None:
        raise ValueError(
            f"CHANGELOG.md has no part for {version} or changes wait: {waiting[:3]}; "
            f"run make changelog VERSION={version}, and commit"
        )
    return part[1].strip() + "\n"


if __name__ == "__main__":
    print(release_notes(sys.argv[1], ROOT), end="")

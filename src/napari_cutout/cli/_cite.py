"""The command that writes what a paper says of a recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ._options import check_free


def cite(
    recipe: Annotated[Path, Parameter(help="A recipe, as JSON, such as every command writes beside labels.")],
    /,
    *,
    bibtex: Annotated[Path | None, Parameter(help="Write the BibTeX to this file, and print the rest.")] = None,
    scored: Annotated[bool, Parameter(help="Name how labels are scored, too.", negative="")] = False,
    overwrite: Annotated[bool, Parameter(help="Replace a file that is there.", negative="")] = False,
) -> int:
    """Print a paragraph for the methods section of a paper, and the BibTeX of the works behind a recipe."""
    from .._citations import cite as cited
    from .._citations import ran
    from .._writing import write_text
    from ..recipe import Recipe

    if bibtex is not None:
        check_free(bibtex, overwrite)
        if bibtex.exists() and recipe.exists() and bibtex.samefile(recipe):
            raise ValueError(f"--bibtex {str(bibtex)!r} is the recipe itself; choose another name")
    loaded = Recipe.load(recipe)
    version = ran(json.loads(recipe.read_text(encoding="utf-8")).get("provenance"))
    citation = cited(loaded, evaluation=scored, version=version)
    if bibtex is None:
        print(citation)
        return 0
    write_text(bibtex, citation.bibtex, overwrite=overwrite)
    print(citation.prose)
    print(f"BibTeX written to {bibtex}")
    return 0

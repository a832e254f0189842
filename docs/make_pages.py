"""Write the pages of methods, of Python and of the command line, and the table in the README, from the package.

``python docs/make_pages.py`` writes what has changed; with ``--check`` it only says what would.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from _api_pages import api_pages
from _command_pages import command_page
from _widget_page import widget_page

from napari_cutout._method import Method, Param, Range
from napari_cutout.catalog import methods

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = DOCS / "methods"
API = DOCS / "api"
FIGURES = ROOT / "benchmarks" / "results"
PICTURES = DOCS / "pictures" / "methods"
GUIDES = {"k-means": "clustering", "Gaussian mixture": "clustering", "U-Net": "unet"}
"""Guides that are called otherwise than their widget."""

BY_NAME = {"channel_axis": " On the command line the file says it, or `--axes`; `--channel` chooses one channel."}
"""What the command line has instead of a setting."""

VERDICT = re.compile(r"^(Good for:|Fails when:) (.+?)\n\n", flags=re.MULTILINE | re.DOTALL)
"""What the notes of a docstring begin with."""

MARKS = ("<!-- methods: made by docs/make_pages.py -->", "<!-- end of methods -->")


def sections(entry: Method) -> dict[str, str]:
    """Split a numpydoc docstring into its sections; the prose before them is called ``""``."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}\n", inspect.getdoc(entry.func) or "", flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def allowed(param: Param) -> str:
    """Say which values a setting may have."""
    if param.choices:
        return ", ".join(f"`{c}`" for c in param.choices)
    if param.item_choices:
        return "some of " + ", ".join(f"`{c}`" for c in param.item_choices)
    if param.type is tuple and param.name != "spacing":
        return ("whole numbers" if param.item is int else "numbers") + limits(param.item_range)
    if param.folder:
        return f"the folder of {param.folder.holds}"
    kind = {"float": "number", "int": "whole number", "bool": "yes or no", "tuple": "one length per axis"}
    words = kind.get(param.type.__name__, param.type.__name__) + limits(param.range)
    return words + "".join(f", or `{word}`" for word in param.words)


def limits(allowed_values: Range | None) -> str:
    """Say between which numbers a setting must be."""
    if allowed_values is None:
        return ""
    low, high = (f"{int(v):,}" if v == int(v) else f"{v:g}" for v in (allowed_values.min, allowed_values.max))
    return f", {low} to {high}"


def default(param: Param) -> str:
    """Say what a setting is when it is not given."""
    if param.required:
        return "must be given"
    return "found by itself" if param.default is None and param.range else f"`{param.default}`"


def settings_table(params: list[Param], entry: Method) -> Iterator[str]:
    """Yield the lines of a table of settings."""
    yield "| setting | allowed | default | |"
    yield "|---|---|---|---|"
    for param in params:
        text = entry.describe(param.name) + BY_NAME.get(param.name, "")
        yield f"| `{param.name}` | {allowed(param)} | {default(param)} | {text} |"


def references(text: str) -> Iterator[str]:
    """Yield numpydoc references as a list, with DOIs as links."""
    for item in re.split(r"^\.\. \[\d+\] ", text, flags=re.MULTILINE)[1:]:
        yield "- " + re.sub(r"DOI:(\S+)", r"[doi:\1](https://doi.org/\1)", " ".join(item.split()))


def example(entry: Method) -> tuple[str, str]:
    """Return the call in Python and on the command line."""
    needed = [p for p in entry.settings if p.required]
    arrays = [p.name for p in entry.arrays if p.required]
    levels = {p.name: typical(p) for p in needed}
    python = ", ".join([*arrays, *(f"{name}={value}" for name, (value, _) in levels.items())])
    command = [f"--{name} strokes.tif" for name in arrays[1:]] + [f"--{n} {words}" for n, (_, words) in levels.items()]
    files = "image.tif labels.tif" if arrays[0] == "image" else "mask.tif labels.tif"
    return f"nc.{entry.name}({python})", " ".join([f"napari-cutout {dashed(entry.name)} {files}", *command])


def typical(param: Param) -> tuple[str, str]:
    """Return what a setting without a default might be, in Python and on the command line."""
    if param.folder:
        return f'"my_{param.name}"', f"my_{param.name}"
    return ("(50.0, 100.0)", "50 100") if param.type is tuple else ("100.0", "100")


def dashed(name: str) -> str:
    """Return the name of a method on the command line."""
    return name.replace("_", "-")


def shown(entry: Method) -> Iterator[str]:
    """Yield the picture of a method, made by docs/make_method_pictures.py, where there is one."""
    if (PICTURES / f"{entry.name}.png").exists():
        yield from (f"![What {entry.name} does](../pictures/methods/{entry.name}.png)", "")


def verdict(entry: Method) -> Iterator[str]:
    """Yield what a method is good for and when it fails, and the picture of docs/make_case_pictures.py of both."""
    for words in VERDICT.findall(sections(entry)["Notes"]):
        yield from (f"**{words[0]}** " + " ".join(words[1].split()), "")
    if (PICTURES / f"{entry.name}-cases.png").exists():
        said = f"{entry.name} where it does well, and where it fails; the score of each beside it"
        yield from (f"![{said}](../pictures/methods/{entry.name}-cases.png)", "")


def further(entry: Method) -> Iterator[str]:
    """Yield links to what else is written about the widget of a method: a guide, a definition."""
    name = GUIDES.get(entry.row, entry.row.lower().replace(" ", "-"))
    kinds = ((f"{name}.md", f"Guide: {entry.row}"), (f"{name}-definition.md", "The definition, in pictures"))
    links = [f"[{title}](../{file})" for file, title in kinds if (DOCS / file).exists()]
    if "features" in entry.extras:
        links.append(f"[What each feature says](../{name}.md#what-tells-classes-apart)")
    if links:
        yield from (" · ".join(links), "")


def page(entry: Method) -> str:
    """Return the page of a method."""
    parts = sections(entry)
    summary, _, prose = parts[""].partition("\n")
    python, command = example(entry)
    own, shared = ([p for p in entry.settings if p.option is option] for option in (False, True))
    around = "Before and after it, all off unless asked for:"
    lines = [
        f"# {entry.name}",
        "",
        f"**{summary}** {' '.join(prose.split())}",
        "",
        *shown(entry),
        *verdict(entry),
        f"In napari: *Layers > Segment > Cutout > {entry.row}*, method *{entry.name}*.",
        "",
        "```python",
        "import napari_cutout as nc",
        "",
        f"labels = {python}",
        "```",
        "",
        "```sh",
        command,
        "```",
        "",
        "## Settings",
        "",
        *settings_table(own, entry),
        "",
        *([around, "", *settings_table(shared, entry), ""] if shared else []),
        "## Result",
        "",
        re.sub(r"(`(?:image|labels)`) ", r"\1: ", " ".join(parts["Returns"].split()), count=1),
        "",
        "## How it works, and what it costs",
        "",
        " ".join(VERDICT.sub("", parts["Notes"]).split()),
        "",
        *further(entry),
        *(["## References", "", *references(parts["References"]), ""] if "References" in parts else []),
    ]
    return "\n".join(lines)


def table() -> str:
    """Return the table of all methods for the README."""
    lines = ["| widget | method | needs | the same labels everywhere | |", "|---|---|---|---|---|"]
    for entry in methods().values():
        link = f"[`{entry.name}`](docs/methods/{entry.name}.md)"
        lines.append(f"| {entry.row} | {link} | {entry.needs} | {entry.agreement} | {entry.summary} |")
    return "\n".join(lines)


def by_widget() -> Iterator[str]:
    """Yield the lines of the page that leads to all methods: a table for each widget."""
    yield from (
        "Every method is a call in Python, a command, a step of a recipe, and a choice in a widget of napari.",
        "",
    )
    rows: dict[str, list[Method]] = {}
    for entry in methods().values():
        rows.setdefault(entry.row, []).append(entry)
    for row, entries in rows.items():
        yield from (f"## {row}", "", "| method | needs | the same labels everywhere | |", "|---|---|---|---|")
        for entry in entries:
            yield f"| [`{entry.name}`]({entry.name}.md) | {entry.needs} | {entry.agreement} | {entry.summary} |"
        yield ""


def figures() -> Iterator[str]:
    """Yield the lines of the page that leads to all that was measured."""
    for path in sorted(FIGURES.glob("[!R]*.md")):
        title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        yield f"- [{path.stem}]({path.name}): {title}"


def pages() -> dict[Path, str]:
    """Return the text of every file that is made from the package."""
    made = {PAGES / f"{entry.name}.md": page(entry) for entry in methods().values()}
    made[PAGES / "README.md"] = "\n".join(["# Methods", "", *by_widget()])
    made |= {API / name: text for name, text in api_pages()}
    made[DOCS / "command-line.md"] = command_page()
    made[DOCS / "widgets.md"] = widget_page()
    made[FIGURES / "README.md"] = "\n".join(["# Figures", "", *figures(), ""])
    readme = ROOT / "README.md"
    head, _, rest = readme.read_text(encoding="utf-8").partition(MARKS[0])
    tail = rest.partition(MARKS[1])[2]
    made[readme] = f"{head}{MARKS[0]}\n{table()}\n{MARKS[1]}{tail}"
    return made


def main() -> int:
    """Write the pages, or say which are out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a page is out of date")
    check = parser.parse_args().check
    made = pages()
    stale = [p for p, text in made.items() if not p.exists() or p.read_text(encoding="utf-8") != text]
    gone = [p for folder in (PAGES, API) for p in folder.glob("*.md") if p not in made]
    for path in [*stale, *gone]:
        print(("out of date: " if check else "written: ") + str(path.relative_to(ROOT)))
    if check:
        return 1 if stale or gone else 0
    for path in stale:
        path.parent.mkdir(exist_ok=True)
        path.write_text(made[path], encoding="utf-8")
    for path in gone:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())

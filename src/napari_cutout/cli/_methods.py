"""One command per method of the catalog: its settings are options, its arrays files."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from .. import catalog
from .._method import Method, Param, Range
from ._link import LINK_OPTIONS, linking
from ._options import (
    AROUND,
    CHANNELS,
    IMAGES,
    IN_THE_FILE,
    METHOD,
    PART,
    PLAN_OPTIONS,
    RUN,
    RUN_OPTIONS,
    STORE_OPTIONS,
    check_free,
    number_or_word,
    option,
    place_of,
    run_options,
    several,
    with_signature,
)
from ._run import Progress, run_and_report
from ._said import SOME_FAILED

if TYPE_CHECKING:
    from .._class_images import Kind
    from ..recipe import Recipe
    from ..running._execute import Result

ANY_NUMBER = 1e300
"""Upper limits beyond this only say that a number is finite."""


def command(entry: Method) -> Callable[..., int]:
    """Return a method as a command: its settings are options, its arrays files.

    Parameters
    ----------
    entry : Method
        A method of the catalog.

    Returns
    -------
    callable
        A function with the signature and help that cyclopts reads.
    """

    def cut(image: str, output: str, **given: Any) -> int:
        from ..recipe import Recipe, Step

        # cyclopts hands over what was given alone, so that the recipe holds what the user chose.
        others = {p.name: given[p.name] for p in entry.arrays[1:] if given.get(p.name) is not None}
        settings = {p.name: given[p.name] for p in entry.settings if p.name in given}
        recipe = Recipe([Step(entry.name, settings, {name: name for name in others})])
        options, target = run_options(given), place_of(output)
        recipe_out = given.get("recipe_out")
        if recipe_out is not None and not options["plan"]:
            check_free(recipe_out, options["overwrite"])
        images: dict[Kind, Path] = {kind: given[kind] for kind in IMAGES if kind in given}
        wanted = images and not options["plan"]
        also = _class_images(images, recipe, image, Path(output), others, options) if wanted else None
        recipe, tracks = linking(recipe, given, image)
        code = run_and_report(entry.name, recipe, image, target, others, options, [also, tracks])
        if recipe_out is not None and code in (0, SOME_FAILED) and not options["plan"]:
            recipe.save(recipe_out, overwrite=options["overwrite"])
        return code

    return with_signature(cut, entry.name, entry.summary, _parameters(entry))


def _class_images(
    images: dict[Kind, Path], recipe: Recipe, image: str, output: Path, others: dict[str, str], options: dict[str, Any]
) -> Callable[[Result], None]:
    """Check where images of the classes go, and return what writes them once the labels are there."""
    from .. import _class_images
    from .._wanted import Wanted

    names = ("channel", "frame", "level", "axes", "each", "pooled")
    wanted = Wanted(**{name: options[name] for name in names}, region=options["region"] or {})
    _class_images.check(images, image, [*others.values(), output], wanted, options["overwrite"])

    def also(result: Result) -> None:
        with Progress() as show:
            _class_images.write(
                images, recipe, result, image, others, wanted, overwrite=options["overwrite"], on_progress=show
            )
        print("\n".join(f"{kind} written to {path}" for kind, path in images.items()))

    return also


def _parameters(entry: Method) -> dict[str, tuple[Any, Any]]:
    """Return annotation and default of every option of a method's command."""
    run = {
        **RUN_OPTIONS,
        **PLAN_OPTIONS,
        **STORE_OPTIONS,
        "channel": (option(str | None, PART, CHANNELS[entry.takes_channels]), None),
    }
    if all(p.name != "mask" for p in entry.arrays):
        del run["mask"]
    others = {p.name: _file(entry, p) for p in entry.arrays if p.name not in (entry.source.name, "mask")}
    settings = {p.name: (_setting(entry, p), p.default) for p in entry.settings if p.name not in IN_THE_FILE}
    linked = {name: said for name, said in LINK_OPTIONS.items() if not (entry.frames and name == "link")}
    recipe = {"recipe_out": (option(Path | None, RUN, "Write the recipe alone to this file, too."), None)}
    images: dict[str, tuple[Any, Any]] = {
        kind: (option(Path | None, RUN, f"{text} A .tif, .npy or .zarr; of one image that is run as a whole."), None)
        for kind, text in IMAGES.items()
        if kind in catalog.images_of(entry.name)
    }
    return {**others, **settings, **run, **linked, **recipe, **images}


def _file(entry: Method, param: Param) -> tuple[Any, Any]:
    """Return annotation and default of the option that names the file of an array."""
    kind, default = (str, inspect.Parameter.empty) if param.required else (str | None, None)
    return Annotated[kind, Parameter(group=RUN, help=f"{entry.describe(param.name)} A file.")], default


def _setting(entry: Method, param: Param) -> Any:
    """Return what cyclopts needs to know of a setting: its plain type, its prose, its limits."""
    kind = Literal[param.choices] if param.choices else param.type
    text = entry.describe(param.name)
    group = AROUND if param.option else METHOD
    if param.folder:
        return Annotated[str, Parameter(group=group, help=f"{text} A folder, or a file that holds one.")]
    if param.type is tuple:
        return _many(param, text + (" By default that of the file." if param.name == "spacing" else ""), group)
    if param.optional:
        kind = kind | None
    negative = "" if param.type is bool else None
    text += _limits(param.range)
    if param.words:  # of any type, so that the method says in one sentence what it may be
        text, kind = f"{text[:-1]}, or {', '.join(param.words)}.", Any
    converter = number_or_word(param.type) if param.words else None
    return Annotated[kind, Parameter(group=group, help=text, negative=negative, converter=converter)]


def _many(param: Param, text: str, group: Group) -> Any:
    """Return what cyclopts needs to know of a setting with several entries: ``1 2`` and ``1,2`` are both right."""
    item: Any = str if param.item_choices else param.item
    text += f" Of {', '.join(map(str, param.item_choices))}." if param.item_choices else ""
    parameter = Parameter(group=group, help=text, converter=several(item), consume_multiple=True, negative="")
    kind: Any = tuple.__class_getitem__((item, ...))
    return Annotated[kind if param.required else kind | None, parameter]


def _limits(limits: Range | None) -> str:
    if limits is None:
        return ""
    low, high = (f"{value:.0f}" if value == int(value) else f"{value:g}" for value in (limits.min, limits.max))
    return f" From {low} to {high}." if limits.max < ANY_NUMBER else f" From {low}."

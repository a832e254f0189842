"""The command line: one sub-command per method, made from the catalog, and what goes with them."""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Group, Parameter, Token

from . import __version__, catalog
from ._method import Method, Param, Range
from ._monitor import Cancelled

if TYPE_CHECKING:
    from ._batch import Batch, Row
    from ._class_images import Kind
    from ._execute import Result
    from .recipe import Recipe

__all__ = ["main", "make_app"]

Device = Literal["auto", "cpu", "gpu"]
Match = Literal["auto", "binary", "value", "overlap"]

BAD_INPUT = 2
"""Exit code where something given is not right; nothing was written then."""

SOME_FAILED = 1
"""Exit code where some images of a folder failed and the others are done."""

CANCELLED = 130
"""Exit code after Ctrl+C, as shells have it."""

ANY_NUMBER = 1e300
"""Upper limits beyond this only say that a number is finite."""

_METHOD = Group("Settings of the method", sort_key=1)
_OPTIONS = Group("Before and after the cut", sort_key=2)
_PART = Group("Which part of the image", sort_key=3)
_RUN = Group("Run", sort_key=4)
_SCORE = Group("Score", sort_key=5)

_Folder = Annotated[str, Parameter(help="An image file, file.npz:key, a folder, or a pattern in quotes.")]
_Output = Annotated[
    Path,
    Parameter(
        help="Where the labels go: a .tif, .png, .npy or .zarr for one image, a folder for many. "
        "Beside it OUTPUT.recipe.json holds the recipe and how the labels came about."
    ),
]


def _option(kind: Any, group: Group, text: str) -> Any:
    return Annotated[kind, Parameter(group=group, help=text)]


def _several(item: Any) -> Callable[[Any, Sequence[Token]], tuple[Any, ...]]:
    """Return a reader of several numbers or words, given as ``1 2`` or as ``1,2``."""

    def convert(_: Any, tokens: Sequence[Token]) -> tuple[Any, ...]:
        return tuple(item(part) for token in tokens for part in token.value.split(","))

    return convert


def _number_or_word(kind: Any) -> Callable[[Any, Sequence[Token]], Any]:
    """Return a reader of a number that may be a word; which words there are, the method says itself."""

    def convert(_: Any, tokens: Sequence[Token]) -> Any:
        for read in (kind, float):
            with suppress(ValueError):
                return read(tokens[0].value)
        return tokens[0].value

    return convert


RUN_OPTIONS: dict[str, tuple[Any, Any]] = {
    "mask": (
        _option(str | None, _RUN, "Where to look: a file of 0 and not 0; for many images a folder or pattern."),
        None,
    ),
    "channel": (
        _option(str | None, _PART, "Which channel, from 0, 'mean', or 'all' together, where every step takes them."),
        None,
    ),
    "frame": (_option(int | None, _PART, "Which time point of a time series, from 0."), None),
    "level": (_option(int | None, _PART, "Which level of an OME-Zarr image, 0 being the finest."), None),
    "region": (_option(str | None, _PART, "First index and the one after the last, such as y=0:64,x=10:90."), None),
    "each": (_option(str | None, _PART, "What is cut one by one: t frame by frame, z slice by slice, or tz."), None),
    "pooled": (
        Annotated[bool, Parameter(group=_PART, help="Cut them with the statistics of all of them.", negative="")],
        False,
    ),
    "axes": (_option(str | None, _PART, "What the axes are, such as tyx, where the file does not say it."), None),
    "device": (_option(Device, _RUN, "Where to run; auto takes the GPU where it is there and worth it."), "auto"),
    "suffix": (_option(str, _RUN, "Ending of the files in an output folder: .tif, .png, .npy or .zarr."), ".tif"),
    "overwrite": (Annotated[bool, Parameter(group=_RUN, help="Replace files that are there.", negative="")], False),
    "truth": (
        _option(str | None, _SCORE, "Score against this annotation; for many images a folder or pattern."),
        None,
    ),
    "ignore": (
        _option(
            int | None, _SCORE, "Value of truth that means not annotated; 0 for strokes. By default there is none."
        ),
        None,
    ),
    "match": (_option(Match, _SCORE, "How labels are matched to the classes of truth."), "auto"),
}
"""What all commands that run something share: annotation and default by name."""

_IN_THE_FILE = {"channel_axis"}
"""Settings that no option has: a file names its axes, and ``--axes`` does where it does not."""

_CHANNELS = {
    False: "Which channel of a colour image, from 0, or 'mean'.",
    True: "Which channel, from 0, or 'mean'. By default 'all' of them together.",
}
"""What is said of the channel, for methods that take one and for those that take all."""

_IMAGES: dict[Kind, str] = {
    "probabilities": "Write the probability of each class to this file, too, as float32.",
    "uncertainty": "Write how unsure the classes are to this file, too, 0 to 1, as float32.",
}
"""What else a command can write, for methods whose classes have probabilities."""

_RECIPE_OPTIONS: dict[str, tuple[Any, Any]] = {
    "whole": (
        Annotated[bool, Parameter(group=_PART, help="Leave out the region that the recipe was made on.", negative="")],
        False,
    ),
    "spacing": (
        Annotated[
            tuple[float, ...] | None,
            Parameter(
                group=_RUN,
                help="World length of a voxel along each axis. By default that of the file.",
                converter=_several(float),
                consume_multiple=True,
                negative="",
            ),
        ],
        None,
    ),
}
"""What the command that runs a recipe has beyond them."""


def main(tokens: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    tokens : sequence of str, optional
        The words after the program's name; by default those that it was started with.

    Returns
    -------
    int
        0 if all went well, 1 if some images of a folder failed, 2 on bad input (one sentence on the error
        stream; with ``NAPARI_CUTOUT_TRACEBACK=1`` in the environment the traceback too), 130 if cancelled.
    """
    try:
        found = make_app()(sys.argv[1:] if tokens is None else list(tokens), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        return _fail(error, _readable(error))
    except (KeyboardInterrupt, Cancelled):
        print("cancelled; files that were complete stay", file=sys.stderr)
        return CANCELLED
    except (ValueError, TypeError, OSError, MemoryError) as error:
        from ._batch import sentence

        return _fail(error, as_options(sentence(error)))
    return found if isinstance(found, int) else 0


def _fail(error: Exception, text: str) -> int:
    if os.environ.get("NAPARI_CUTOUT_TRACEBACK") == "1":
        import traceback

        traceback.print_exception(error)
    print(f"napari-cutout: {text}", file=sys.stderr)
    return BAD_INPUT


_WORDS = {
    "allow to overwrite": "give --overwrite",
    "use 'cpu'": "give --device cpu",
    "channel_axis=-1 for": "--axes yxc for",
}
"""Ways out as Python has them, and as the command line has them."""


def as_options(text: str) -> str:
    """Return a sentence with settings as the command line spells them: ``--channel 0`` for ``channel=0``.

    Parameters
    ----------
    text : str
        A sentence of the library.

    Returns
    -------
    str
        The same; names in quotes, such as those of files, stay what they are.
    """
    params = {p.name for entry in catalog.methods().values() for p in entry.params}
    known = {*RUN_OPTIONS, *_RECIPE_OPTIONS, *_IMAGES, *params} - _IN_THE_FILE

    def spelled(found: re.Match[str]) -> str:
        way, name, value, alone, array, file = found.group("way", "name", "value", "alone", "array", "file")
        if way:
            return _WORDS[way]
        if array:
            return " ".join(input_option(array, file))
        option = f"--{(name or alone or '').replace('_', '-')}"
        return (
            (option if value == "True" else f"{option} {value}")
            if name in known
            else option
            if alone in known
            else found.group()
        )

    ways = "|".join(map(re.escape, _WORDS))
    pattern = (
        rf"\b(?P<way>{ways})(?: it\b| a file\b)?|\b(?P<name>[a-z_]+)='?(?P<value>[\w.+-]*\w)'?"
        r"|`(?P<alone>[a-z_]+)`|inputs=\{'(?P<array>[^']+)': '(?P<file>[^']+)'\}|(?<!\w)'[^']*'"
    )
    return re.sub(pattern, spelled, text)


def _readable(error: CycloptsError) -> str:
    return " ".join(str(error).split()) + " See napari-cutout --help, or --help after the command."


def make_app() -> App:
    """Return the command line as a cyclopts app."""
    app = App(
        name="napari-cutout",
        help="Cut objects out of microscopy images and volumes, and score the result.",
        version=__version__,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
        default_parameter=Parameter(show_default=_typed),
    )
    for number, row in enumerate(catalog.rows()):
        group = Group(row, sort_key=number)
        for entry in (m for m in catalog.rows()[row] if m.row == row):
            app.command(command(entry), name=names(entry.name), group=group)
    others = Group("More", sort_key=99)
    for function in (run_recipe(), evaluate, list_methods, demo, doctor):
        app.command(function, name=_NAMES[function.__name__], group=others)
    return app


def _typed(value: Any) -> str | None:
    """Return a default as one would type it; None where there is none."""
    return None if value is None else ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


_NAMES = {"run_recipe": "run", "evaluate": "evaluate", "list_methods": "methods", "demo": "demo", "doctor": "doctor"}


def names(name: str) -> list[str]:
    """Return the names of a command or an option: with hyphens, and as in Python."""
    return list(dict.fromkeys((name.replace("_", "-"), name)))


# One command per method ----------------------------------------------------------------------------------


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

    def cut(image: str, output: Path, **given: Any) -> int:
        from .recipe import Recipe, Step

        # cyclopts hands over what was given alone, so that the recipe holds what the user chose.
        others = {p.name: given[p.name] for p in entry.arrays[1:] if given.get(p.name) is not None}
        settings = {p.name: given[p.name] for p in entry.settings if p.name in given}
        recipe = Recipe([Step(entry.name, settings, {name: name for name in others})])
        options = _run_options(given)
        recipe_out = given.get("recipe_out")
        if recipe_out is not None:
            _check_free(recipe_out, options["overwrite"])
        images: dict[Kind, Path] = {kind: given[kind] for kind in _IMAGES if kind in given}
        also = _class_images(images, recipe, image, output, others, options) if images else None
        code = _run(entry.name, recipe, image, output, others, options, also)
        if recipe_out is not None:
            recipe.save(recipe_out, overwrite=options["overwrite"])
        return code

    return _with_signature(cut, entry.name, entry.summary, _parameters(entry))


def _class_images(
    images: dict[Kind, Path], recipe: Recipe, image: str, output: Path, others: dict[str, str], options: dict[str, Any]
) -> Callable[[Result], None]:
    """Check where images of the classes go, and return what writes them once the labels are there."""
    from . import _class_images
    from ._wanted import Wanted

    names = ("channel", "frame", "level", "axes", "each", "pooled")
    wanted = Wanted(**{name: options[name] for name in names}, region=options["region"] or {})
    _class_images.check(images, image, [*others.values(), output], wanted, options["overwrite"])

    def also(result: Result) -> None:
        with _Progress() as show:
            _class_images.write(
                images, recipe, result, image, others, wanted, overwrite=options["overwrite"], on_progress=show
            )
        print("\n".join(f"{kind} written to {path}" for kind, path in images.items()))

    return also


def _check_free(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise FileExistsError(f"{str(path)!r} exists already; choose another name, or give --overwrite")


def _run_options(given: dict[str, Any]) -> dict[str, Any]:
    """Return what `run` takes, from what was given and the defaults."""
    shared = {name: given.get(name, default) for name, (_, default) in RUN_OPTIONS.items() if name != "mask"}
    return {**shared, "channel": _channel(shared["channel"]), "region": _region(shared["region"])}


def _region(text: str | None) -> dict[str, tuple[int, int]] | None:
    """Return the ends along each axis that ``y=0:64,x=10:90`` names."""
    if text is None:
        return None
    if not re.fullmatch(r"[a-z]=\d+:\d+(,[a-z]=\d+:\d+)*", text):
        raise ValueError(
            f"--region must be such as y=0:64,x=10:90, first index and the one after the last, got {text!r}"
        )
    ends = (part.partition("=")[::2] for part in text.split(","))
    return {axis: (int(pair.partition(":")[0]), int(pair.partition(":")[2])) for axis, pair in ends}


def _parameters(entry: Method) -> dict[str, tuple[Any, Any]]:
    """Return annotation and default of every option of a method's command."""
    run = {**RUN_OPTIONS, "channel": (_option(str | None, _PART, _CHANNELS[entry.takes_channels]), None)}
    if all(p.name != "mask" for p in entry.arrays):
        del run["mask"]
    strokes = {
        p.name: (
            Annotated[str, Parameter(group=_RUN, help=f"{entry.describe(p.name)} A file.")],
            inspect.Parameter.empty,
        )
        for p in entry.arrays
        if p.name not in (entry.source.name, "mask")
    }
    settings = {p.name: (_setting(entry, p), p.default) for p in entry.settings if p.name not in _IN_THE_FILE}
    recipe = {"recipe_out": (_option(Path | None, _RUN, "Write the recipe alone to this file, too."), None)}
    images: dict[str, tuple[Any, Any]] = {
        kind: (_option(Path | None, _RUN, f"{text} A .tif, .npy or .zarr; of one image that is run as a whole."), None)
        for kind, text in _IMAGES.items()
        if "probabilities" in entry.extras
    }
    return {**strokes, **settings, **run, **recipe, **images}


def _setting(entry: Method, param: Param) -> Any:
    """Return what cyclopts needs to know of a setting: its plain type, its prose, its limits."""
    kind = Literal[param.choices] if param.choices else param.type
    text = entry.describe(param.name)
    group = _OPTIONS if param.option else _METHOD
    if param.type is tuple:
        return _many(param, text + (" By default that of the file." if param.name == "spacing" else ""), group)
    if param.optional:
        kind = kind | None
    negative = "" if param.type is bool else None
    text += _limits(param.range)
    if param.words:  # of any type, so that the method says in one sentence what it may be
        text, kind = f"{text[:-1]}, or {', '.join(param.words)}.", Any
    converter = _number_or_word(param.type) if param.words else None
    return Annotated[kind, Parameter(group=group, help=text, negative=negative, converter=converter)]


def _many(param: Param, text: str, group: Group) -> Any:
    """Return what cyclopts needs to know of a setting with several entries: ``1 2`` and ``1,2`` are both right."""
    item: Any = str if param.item_choices else param.item
    text += f" Of {', '.join(map(str, param.item_choices))}." if param.item_choices else ""
    parameter = Parameter(group=group, help=text, converter=_several(item), consume_multiple=True, negative="")
    kind: Any = tuple.__class_getitem__((item, ...))
    return Annotated[kind if param.required else kind | None, parameter]


def _limits(limits: Range | None) -> str:
    if limits is None:
        return ""
    low, high = (f"{value:.0f}" if value == int(value) else f"{value:g}" for value in (limits.min, limits.max))
    return f" From {low} to {high}." if limits.max < ANY_NUMBER else f" From {low}."


def _with_signature(
    function: Callable[..., int], name: str, text: str, options: dict[str, tuple[Any, Any]]
) -> Callable[..., int]:
    """Give a function the signature that cyclopts reads: input and output first, then options."""
    kinds = inspect.Parameter
    first = [
        kinds("image", kinds.POSITIONAL_ONLY, annotation=_Folder),
        kinds("output", kinds.POSITIONAL_ONLY, annotation=_Output),
    ]
    rest = [kinds(n, kinds.KEYWORD_ONLY, default=d, annotation=a) for n, (a, d) in options.items()]
    function.__signature__ = inspect.Signature([*first, *rest])  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in [*first, *rest]}
    function.__name__ = name
    function.__doc__ = text
    return function


def _run(
    name: str,
    recipe: Recipe,
    image: str,
    output: Path,
    others: dict[str, str],
    options: dict[str, Any],
    also: Callable[[Result], None] | None = None,
) -> int:
    """Run a recipe on a file or a folder, and say what came of it."""
    from . import _batch
    from ._execute import Result

    with _Progress() as show:
        result = _batch.run(
            recipe,
            image,
            output,
            inputs=others,
            on_progress=show,
            **options,
        )
    if isinstance(result, Result):
        print(report(name, result))
        if also is not None:
            also(result)
        if result.evaluation is not None:
            scores = result.evaluation
            print(f"IoU {scores.mean_iou:.4f}, Dice {scores.mean_dice:.4f} (labels matched: {scores.match})")
            if _batch.run_numbers_objects(result):
                print(_batch.said_of_objects(_batch.object_scores(scores)))
            print(_batch.how_read([result.evaluation], options["ignore"]))
        return 0
    return _report_many(name, result)


class _Progress:
    """Show on a terminal what runs; say nothing into files and pipes."""

    def __enter__(self) -> Callable[[str, float], None] | None:
        self._live = sys.stderr.isatty()
        return self._show if self._live else None

    def __exit__(self, *_: object) -> None:
        if self._live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def _show(self, stage: str, fraction: float) -> None:
        print(f"\r\033[K{stage} {fraction:4.0%}", end="", file=sys.stderr, flush=True)


# What is said ------------------------------------------------------------------------------------------


def report(name: str, result: Result) -> str:
    """Return one line on a run: method, what was found, device and why, seconds, file.

    Parameters
    ----------
    name : str
        What was run.
    result : Result
        What it gave.

    Returns
    -------
    str
        The line.
    """
    device = result.provenance["device"]
    place = "" if result.target is None else f"; written to {result.target}"
    return (
        f"{name}: {what_was_found(result)}; on the {device['used'].upper()} because {device['reason']}; "
        f"{result.provenance['seconds']:.2f} s{place}"
    )


def what_was_found(result: Result) -> str:
    """Return the number of objects, or the share of each class, the thresholds, and what is to be known of them."""
    import numpy as np

    last = result.provenance["steps"][-1]
    if last["settings"].get("one_per_object"):
        n = int(result.labels.max())
        found = f"{n} object{'' if n == 1 else 's'}"
    else:
        labels, counts = np.unique(result.labels, return_counts=True)
        shares = [f"class {k} {c / result.labels.size:.1%}" for k, c in zip(labels, counts, strict=True) if k]
        found = ", ".join(shares) or "nothing"
    return found + _what_was_noted(last["facts"])


def _what_was_noted(facts: dict[str, Any]) -> str:
    """Return the thresholds or the means of classes, and what is to be known of them."""
    cuts = [facts["threshold"]] if "threshold" in facts else facts.get("thresholds", [])
    means = facts.get("means", []) if "variances" in facts else []  # of several columns they are no grey levels
    at = [f" ({words} {', '.join(f'{x:g}' for x in of)})" for words, of in (("cut at", cuts), ("means", means)) if of]
    left_out = [f"; left out: {', '.join(facts['left_out'])}"] if "left_out" in facts else []
    warned = [f"; {facts['warning']}"] if "warning" in facts else []
    return "".join([*at, *left_out, *warned])


def _report_many(name: str, batch: Batch) -> int:
    import numpy as np

    from ._batch import how_read, rules_taken, said_of_objects

    for row in batch.rows:
        if row.error:
            print(f"napari-cutout: {row.source}: {as_options(row.error)}", file=sys.stderr)
        if row.provenance or row.evaluation is not None:
            print(_line(row))
    scored = [row.evaluation for row in batch.rows if row.evaluation is not None]
    print(f"{name}: {len(batch.rows)} images, {len(batch.failed)} of them with errors")
    if scored:
        iou, dice = np.nanmean([e.mean_iou for e in scored]), np.nanmean([e.mean_dice for e in scored])
        print(f"mean of {len(scored)} scored images: IoU {iou:.4f}, Dice {dice:.4f}")
        if objects := batch.objects:
            print(said_of_objects(objects))
        print(how_read(scored, scored[0].ignore))
        if different := rules_taken(scored):
            print(different)
    return SOME_FAILED if batch.failed else 0


def _line(row: Row) -> str:
    parts = [row.source]
    if row.provenance:
        parts.append(f"{row.provenance['device']['used'].upper()} {row.provenance['seconds']:.2f} s")
    if row.target is not None:
        parts.append(f"written to {row.target}")
    if row.evaluation is not None:
        parts.append(f"IoU {row.evaluation.mean_iou:.4f} Dice {row.evaluation.mean_dice:.4f} ({row.evaluation.match})")
    return "  ".join(parts)


# The other commands --------------------------------------------------------------------------------------


def run_recipe() -> Callable[..., int]:
    """Return the command that runs a recipe from a file."""

    def run(recipe: Path, image: str, output: Path, **given: Any) -> int:
        from .recipe import Recipe

        loaded = Recipe.load(recipe)
        others = dict(_named(text) for text in given.get("input") or ())
        others |= {name: given[name] for name in _array_names() if given.get(name) is not None}
        options = {
            **_run_options(given),
            **{name: given.get(name, _RECIPE_OPTIONS[name][1]) for name in _RECIPE_OPTIONS},
        }
        return _run(str(recipe), loaded, image, output, others, options)

    inputs = Annotated[
        list[str] | None,
        Parameter(
            group=_RUN, help="What the recipe reads under another name: name=file. May be repeated.", negative=""
        ),
    ]
    arrays = {
        name: (_option(str | None, _RUN, f"What the recipe reads as {name}: a file; for many images a folder."), None)
        for name in _array_names()
    }
    options = {**arrays, "input": (inputs, None), **RUN_OPTIONS, **_RECIPE_OPTIONS}
    made = _with_signature(
        run, "run_recipe", "Run a recipe, such as the demo and every command write beside labels.", options
    )
    kinds = inspect.Parameter
    annotation = Annotated[Path, Parameter(help="A recipe, as JSON.")]
    signature = inspect.signature(made)
    recipe = kinds("recipe", kinds.POSITIONAL_ONLY, annotation=annotation)
    made.__signature__ = signature.replace(parameters=[recipe, *signature.parameters.values()])  # type: ignore[attr-defined]
    made.__annotations__ = {"recipe": annotation, **made.__annotations__}
    return made


def _array_names() -> list[str]:
    """Return what methods call the arrays beside that which they cut."""
    found = dict.fromkeys(p.name for entry in catalog.methods().values() for p in entry.arrays[1:])
    return [name for name in found if name != "image"]


def input_option(name: str, file: str) -> list[str]:
    """Return the words that give a recipe an input under a name."""
    return [f"--{names(name)[0]}", file] if name in _array_names() else ["--input", f"{name}={file}"]


def _named(text: str) -> tuple[str, str]:
    name, equals, file = text.partition("=")
    if not (name and equals and file):
        raise ValueError(f"--input must be name=file, got {text!r}")
    return name, file


def evaluate(
    predicted: Annotated[str, Parameter(help="Labels: a file, a folder, or a pattern in quotes.")],
    truth: Annotated[str, Parameter(help="The annotation: a file; for many labels a folder or a pattern.")],
    /,
    *,
    ignore: Annotated[int | None, Parameter(help="Value of truth that means not annotated; 0 for strokes.")] = None,
    match: Annotated[Match, Parameter(help="How labels are matched to the classes of truth.")] = "auto",
    csv: Annotated[Path | None, Parameter(help="Write the table to this file, too.")] = None,
    json: Annotated[Path | None, Parameter(help="Write the scores to this file, too; for one pair only.")] = None,
    objects: Annotated[
        Path | None,
        Parameter(help="Score each label as an object, and write what became of it to this file; for one pair only."),
    ] = None,
    overwrite: Annotated[bool, Parameter(help="Replace files that are there.", negative="")] = False,
) -> int:
    """Score labels against an annotation: IoU and Dice per class, and where labels number objects, each object."""
    from ._batch import how_read, is_many, score_many
    from ._reading import read_labels
    from .evaluation import overlap

    for path in (csv, json, objects):
        if path is not None:
            _check_free(path, overwrite)
    if is_many(predicted):
        if json is not None or objects is not None:
            name = "json" if json is not None else "objects"
            raise ValueError(f"--{name} holds the scores of one pair; for a folder give --csv")
        batch = score_many(predicted, truth, ignore=ignore, match=match)
        if csv is not None:
            batch.to_csv(csv, overwrite=overwrite)
        return _report_many("evaluate", batch)
    found = overlap.evaluate(
        read_labels(predicted, "predicted"), read_labels(truth, "truth"), ignore=ignore, match=match
    )
    print(found.summary())
    if found.numbers_objects or objects is not None:
        print(f"\n{found.objects.summary()}\n")
    print(how_read([found], ignore))
    if csv is not None:
        found.to_csv(csv, overwrite=overwrite)
    if json is not None:
        found.to_json(json, overwrite=overwrite)
    if objects is not None:
        found.objects.objects_to_csv(objects, overwrite=overwrite)
    return 0


def list_methods() -> int:
    """List the methods: what each needs, how far devices agree, what it is good for."""
    from ._batch import columns

    lines = [("method", "row", "needs", "agreement", "what it does")]
    lines += [(m.name, m.row, m.needs, m.agreement, m.summary) for m in catalog.methods().values()]
    print("\n".join(columns(lines)))
    return 0


def demo(
    output: Annotated[Path, Parameter(help="The folder to make.")] = Path("demo-output"),
    /,
    *,
    image: Annotated[str | None, Parameter(help="Your own image; by default the annotated samples are used.")] = None,
    truth: Annotated[str | None, Parameter(help="Its annotation.")] = None,
    ignore: Annotated[int | None, Parameter(help="Value of truth that means not annotated; 0 for strokes.")] = None,
    channel: Annotated[str | None, Parameter(help="Which channel of a colour image, from 0, or 'mean'.")] = None,
    device: Annotated[Device, Parameter(help="Where to run.")] = "auto",
    overwrite: Annotated[
        bool, Parameter(help="Write into a folder that the demo did not make; what is there stays.", negative="")
    ] = False,
) -> int:
    """Run every method on annotated samples, or on your own image, and rank them by score."""
    from .demo import demo as run_demo

    run_demo(
        output,
        image=image,
        truth=truth,
        ignore=ignore,
        channel=_channel(channel),
        device=device,
        overwrite=overwrite,
        say=print,
    )
    return 0


def _channel(text: str | None) -> Any:
    return int(text) if text is not None and re.fullmatch(r"-?\d+", text) else text


def doctor() -> int:
    """Show what this program runs on, what is missing, and the line that mends it."""
    from .doctor import diagnosis

    print("\n".join(diagnosis()))
    return 0

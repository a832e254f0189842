"""What commands share: groups of options, how words are read, and what every run takes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter, Token

from .. import catalog

if TYPE_CHECKING:
    from .._class_images import Kind

Device = Literal["auto", "cpu", "gpu"]
Match = Literal["auto", "binary", "value", "overlap"]

METHOD = Group("Settings of the method", sort_key=1)
AROUND = Group("Before and after the cut", sort_key=2)
PART = Group("Which part of the image", sort_key=3)
RUN = Group("Run", sort_key=4)
LARGE = Group("From a Zarr store to a Zarr store, of any size", sort_key=5)
SCORE = Group("Score", sort_key=6)

Folder = Annotated[
    str, Parameter(help="An image file, file.npz:key, a Zarr store or its URL, a folder, or a pattern in quotes.")
]
Output = Annotated[
    str,
    Parameter(
        help="Where the labels go: a .tif, .png, .npy or .zarr, or the URL of a store, for one image, a folder for "
        "many. Beside it OUTPUT.recipe.json holds the recipe and how the labels came about."
    ),
]


def option(kind: Any, group: Group, text: str) -> Any:
    return Annotated[kind, Parameter(group=group, help=text)]


def several(item: Any) -> Callable[[Any, Sequence[Token]], tuple[Any, ...]]:
    """Return a reader of several numbers or words, given as ``1 2`` or as ``1,2``."""

    def convert(_: Any, tokens: Sequence[Token]) -> tuple[Any, ...]:
        given = [part for token in tokens for part in token.value.split(",")]
        try:
            return tuple(map(item, given))
        except ValueError:
            if item not in (int, float):
                raise
            kind = "whole numbers" if item is int else "numbers"
            raise ValueError(f"it takes {kind}, such as 2 or 2,3; {','.join(given)!r} holds something else") from None

    return convert


def number_or_word(kind: Any) -> Callable[[Any, Sequence[Token]], Any]:
    """Return a reader of a number that may be a word; which words there are, the method says itself."""

    def convert(_: Any, tokens: Sequence[Token]) -> Any:
        for read in (kind, float):
            with suppress(ValueError):
                return read(tokens[0].value)
        return tokens[0].value

    return convert


RUN_OPTIONS: dict[str, tuple[Any, Any]] = {
    "mask": (
        option(str | None, RUN, "Where to look: a file of 0 and not 0; for many images a folder or pattern."),
        None,
    ),
    "channel": (
        option(str | None, PART, "Which channel, from 0, 'mean', or 'all' together, where every step takes them."),
        None,
    ),
    "frame": (option(int | None, PART, "Which time point of a time series, from 0."), None),
    "level": (option(int | None, PART, "Which level of an OME-Zarr image, 0 being the finest."), None),
    "region": (option(str | None, PART, "First index and the one after the last, such as y=0:64,x=10:90."), None),
    "each": (option(str | None, PART, "What is cut one by one: t frame by frame, z slice by slice, or tz."), None),
    "pooled": (
        Annotated[bool, Parameter(group=PART, help="Cut them with the statistics of all of them.", negative="")],
        False,
    ),
    "axes": (option(str | None, PART, "What the axes are, such as tyx, where the file does not say it."), None),
    "device": (option(Device, RUN, "Where to run; auto takes the GPU where it is there and worth it."), "auto"),
    "suffix": (option(str, RUN, "Ending of the files in an output folder: .tif, .png, .npy or .zarr."), ".tif"),
    "table": (
        option(
            str | None,
            RUN,
            "Measure the objects that were found, and write a line for each to this .csv; beside it a line for each "
            "image.",
        ),
        None,
    ),
    "overwrite": (Annotated[bool, Parameter(group=RUN, help="Replace files that are there.", negative="")], False),
    "truth": (
        option(str | None, SCORE, "Score against this annotation; for many images a folder or pattern."),
        None,
    ),
    "ignore": (
        option(int | None, SCORE, "Value of truth that means not annotated; 0 for strokes. By default there is none."),
        None,
    ),
    "match": (option(Match, SCORE, "How labels are matched to the classes of truth."), "auto"),
}
"""What all commands that run something share: annotation and default by name."""

PLAN_OPTIONS: dict[str, tuple[Any, Any]] = {
    "plan": (
        Annotated[
            bool,
            Parameter(
                group=LARGE,
                help="Say what the run would do and how much memory and time it would take, and run nothing.",
                negative="",
            ),
        ],
        False,
    ),
    "assume_gpu": (
        option(str | None, LARGE, "With --plan: as if there were a GPU with this memory, such as 48GiB."),
        None,
    ),
}
"""What asks for the plan of a run."""

STORE_OPTIONS: dict[str, tuple[Any, Any]] = {
    "memory": (
        option(str | None, LARGE, "The most memory to take, such as 4GiB; by default most of what is free."),
        None,
    ),
    "tile": (
        Annotated[
            tuple[int, ...] | None,
            Parameter(
                group=LARGE,
                help="Edges of a tile in voxels, one for all axes or one for each, such as 256 or 64,256,256; by "
                "default the largest that fit into memory.",
                converter=several(int),
                consume_multiple=True,
                negative="",
            ),
        ],
        None,
    ),
    "workers": (option(int | None, LARGE, "Tiles at work at a time at most; by default one for each core."), None),
    "scheduler": (
        option(
            str | None, LARGE, "The scheduler of a cluster whose workers do the tiles, such as tcp://10.0.0.5:8786."
        ),
        None,
    ),
    "part": (
        option(str | None, LARGE, "Which part of a job array this is, such as 3/64: all parts together do one run."),
        None,
    ),
    "patience": (
        option(
            float | None,
            LARGE,
            "Seconds that a part waits for others before it ends with code 75, to be started again; by default 900.",
        ),
        None,
    ),
    "resume": (
        Annotated[
            bool,
            Parameter(
                group=RUN,
                help="Go on with a run that was stopped or killed: tile by tile, or with the images that have no "
                "labels yet; if it is complete, do nothing.",
                negative="",
            ),
        ],
        False,
    ),
    "ngff": (
        option(
            Literal["0.4", "0.5"] | None,
            LARGE,
            "The version of OME-Zarr to write; by default that of the image where labels are added to it, else 0.5.",
        ),
        None,
    ),
    "storage_options": (
        Annotated[
            list[str] | None,
            Parameter(
                name=["--storage-options", "--storage-option"],
                group=LARGE,
                help="What opens an object store: name=value, such as anon=true, or JSON. May be repeated; secrets are "
                "better in the environment, as NAPARI_CUTOUT_STORAGE_OPTIONS.",
                negative="",
            ),
        ],
        None,
    ),
}
"""What a run from a store to a store takes beyond them."""

IN_THE_FILE = {"channel_axis"}
"""Settings that no option has: a file names its axes, and ``--axes`` does where it does not."""

COMPARE_OPTIONS = (
    "methods",
    "ceiling",
    "tune",
    "budget",
    "background",
    "metric",
    "folds",
    "repeats",
    "seed",
    "truth_is",
)
"""What `compare` takes beyond them."""

CHANNELS = {
    False: "Which channel of a colour image, from 0, or 'mean'.",
    True: "Which channel, from 0, or 'mean'. By default 'all' of them together.",
}
"""What is said of the channel, for methods that take one and for those that take all."""

IMAGES: dict[Kind, str] = {
    "probabilities": "Write the probability of each class or label to this file, too, as float32.",
    "uncertainty": "Write how unsure the classes are to this file, too, 0 to 1, as float32.",
}
"""What else a command can write, for methods whose classes have probabilities."""

RECIPE_OPTIONS: dict[str, tuple[Any, Any]] = {
    "whole": (
        Annotated[bool, Parameter(group=PART, help="Leave out the region that the recipe was made on.", negative="")],
        False,
    ),
    "spacing": (
        Annotated[
            tuple[float, ...] | None,
            Parameter(
                group=RUN,
                help="World length of a voxel along each axis. By default that of the file.",
                converter=several(float),
                consume_multiple=True,
                negative="",
            ),
        ],
        None,
    ),
}
"""What the command that runs a recipe has beyond them."""


def names(name: str) -> list[str]:
    """Return the names of a command or an option: with hyphens, and as in Python."""
    return list(dict.fromkeys((name.replace("_", "-"), name)))


def with_signature(
    function: Callable[..., int], name: str, text: str, options: dict[str, tuple[Any, Any]]
) -> Callable[..., int]:
    """Give a function the signature that cyclopts reads: input and output first, then options."""
    kinds = inspect.Parameter
    first = [
        kinds("image", kinds.POSITIONAL_ONLY, annotation=Folder),
        kinds("output", kinds.POSITIONAL_ONLY, annotation=Output),
    ]
    rest = [kinds(n, kinds.KEYWORD_ONLY, default=d, annotation=a) for n, (a, d) in options.items()]
    function.__signature__ = inspect.Signature([*first, *rest])  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in [*first, *rest]}
    function.__name__ = name
    function.__doc__ = text
    return function


def run_options(given: dict[str, Any]) -> dict[str, Any]:
    """Return what `run` takes, from what was given and the defaults."""
    shared = {name: given.get(name, default) for name, (_, default) in RUN_OPTIONS.items() if name != "mask"}
    read = {"channel": channel_of(shared["channel"]), "region": region_of(shared["region"])}
    asked = {name: given.get(name, default) for name, (_, default) in PLAN_OPTIONS.items()}
    return {**shared, **read, **_store_options(given), **asked}


def _store_options(given: dict[str, Any]) -> dict[str, Any]:
    """Return what was given of the options of stores, as `run` takes it."""
    from ..stores import parse_storage_options

    found = {name: given.get(name, default) for name, (_, default) in STORE_OPTIONS.items()}
    found["storage_options"] = parse_storage_options(found["storage_options"] or ()) or None
    return found


def place_of(output: str) -> Path | str:
    """Return where labels go as `run` takes it: a path, or a URL, which is none."""
    from ..stores import is_url

    return output if is_url(output) else Path(output)


def channel_of(text: str | None) -> Any:
    return int(text) if text is not None and re.fullmatch(r"-?\d+", text) else text


def region_of(text: str | None) -> dict[str, tuple[int, int]] | None:
    """Return the ends along each axis that ``y=0:64,x=10:90`` names."""
    if text is None:
        return None
    if not re.fullmatch(r"[a-z]=\d+:\d+(,[a-z]=\d+:\d+)*", text):
        raise ValueError(
            f"--region must be such as y=0:64,x=10:90, first index and the one after the last, got {text!r}"
        )
    ends = (part.partition("=")[::2] for part in text.split(","))
    return {axis: (int(pair.partition(":")[0]), int(pair.partition(":")[2])) for axis, pair in ends}


def check_free(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise FileExistsError(f"{str(path)!r} exists already; choose another name, or give --overwrite")


def array_names() -> list[str]:
    """Return what methods call the arrays beside that which they cut."""
    found = dict.fromkeys(p.name for entry in catalog.methods().values() for p in entry.arrays[1:])
    return [name for name in found if name != "image"]


def input_option(name: str, file: str) -> list[str]:
    """Return the words that give a recipe an input under a name."""
    return [f"--{names(name)[0]}", file] if name in array_names() else ["--input", f"{name}={file}"]

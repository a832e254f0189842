"""Commands that train a U-Net, use it, say what it is, and hand it on."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from cyclopts import App, Group, Parameter, Token

from .. import catalog
from ._methods import command
from ._options import RUN, Folder, Output, several
from ._run import Progress
from ._said import as_options

if TYPE_CHECKING:
    from ..unet._loop import Report
    from ..unet.trained import UNetModel

CANCELLED = 130
"""Exit code after Ctrl+C, as shells have it; what was learned until then is saved."""

LEARNED = Group("What is learned", sort_key=1)
TIME = Group("How long", sort_key=2)
NETWORK = Group("The network, and how it learns", sort_key=3)

GROUPS = {
    **dict.fromkeys(("ignore", "head", "background", "dimensions", "channel", "spacing"), LEARNED),
    **dict.fromkeys(("max_minutes", "n_steps", "validation", "patience"), TIME),
    **dict.fromkeys(("device", "resume", "overwrite"), RUN),
}
"""Where the options of a training stand in its help; all others are of the network."""

NO_OPTIONS = ("images", "annotations", "folder", "channel_axis", "example", "on_report", "on_step")
"""Arguments of `unet_train` that are no options: those that are given by place, and those that are for programs."""

Model = Annotated[Path, Parameter(help="The folder of a model, or a BioImage Model Zoo package.")]


def unet_app(**shared: Any) -> App:
    """Return the commands of the U-Net.

    Parameters
    ----------
    **shared : object
        What apps inside others are made with.
    """
    app = App(name="unet", help="Train a U-Net on your own annotation, and label images with it.", **shared)
    app.command(_train_command(), name="train")
    app.command(_predict_command(), name="predict")
    app.command(info, name="info")
    app.command(export, name="export")
    return app


# Training ----------------------------------------------------------------------------------------------


def _train_command() -> Callable[..., int]:
    """Return the command that trains: its options are the settings of `unet_train`."""
    from ..unet.train import unet_train

    kinds = inspect.Parameter
    places = {
        "images": "An image file, file.npz:key, a folder, or a pattern in quotes.",
        "annotations": "What was painted on it: labels of its shape; for many images a folder or a pattern.",
    }
    first = [
        kinds(name[:-1], kinds.POSITIONAL_ONLY, annotation=Annotated[str, Parameter(help=text)])
        for name, text in places.items()
    ]
    first.append(
        kinds("model", kinds.POSITIONAL_ONLY, annotation=Annotated[Path, Parameter(help="The folder to make.")])
    )
    options = [
        p.replace(kind=kinds.KEYWORD_ONLY, annotation=annotation)
        for p, annotation in _annotated(unet_train)
        if p.name not in NO_OPTIONS
    ]
    text = "Print what would be learned, and stop."
    plan = Annotated[bool, Parameter(group=RUN, help=text, negative="")]
    options.append(kinds("plan", kinds.KEYWORD_ONLY, default=False, annotation=plan))

    def train(image: str, annotation: str, model: Path, *, plan: bool = False, **given: Any) -> int:
        return _train(image, annotation, model, plan, given)

    train.__signature__ = inspect.Signature([*first, *options])  # type: ignore[attr-defined]
    train.__annotations__ = {p.name: p.annotation for p in (*first, *options)}
    train.__doc__ = "Train a U-Net on annotated images; a few strokes of each class are enough to begin with."
    return train


def _annotated(function: Callable[..., Any]) -> list[tuple[inspect.Parameter, Any]]:
    """Return the parameters of a training, each with what cyclopts needs to know of it."""
    from .._method import _descriptions
    from ..unet import plan, train

    names = {**vars(plan), **vars(train), "Report": Any}
    described = {**_descriptions(plan.unet_plan), **_descriptions(function)}
    found = []
    for p in inspect.signature(function).parameters.values():
        hint = Any if p.name in NO_OPTIONS else eval(p.annotation, names)
        found.append((p, _option(p.name, hint, described.get(p.name, ""))))
    return found


def _option(name: str, hint: Any, text: str) -> Any:
    """Return the annotation of an option: its plain type, its prose, and how several words are read."""
    group = GROUPS.get(name, NETWORK)
    members = [m for m in get_args(hint) if m is not type(None)] if get_origin(hint) in _UNIONS else [hint]
    (bare,) = members
    if get_origin(bare) is not None and get_origin(bare) is not Literal:  # several numbers or words
        (item,) = get_args(bare)
        words = get_args(item) if get_origin(item) is Literal else ()
        text += " Or none." if words else ""
        converter = _words if words else several(item)
        kind: Any = tuple[str, ...] if words else tuple.__class_getitem__((item, ...))
        kind = kind if words else kind | None
        return Annotated[
            kind, Parameter(group=group, help=text, converter=converter, consume_multiple=True, negative="")
        ]
    if name == "ignore":
        text = text.replace("None if", "'none' if")
        return Annotated[int | None, Parameter(group=group, help=text, converter=_number_or_none)]
    kind = bare | None if bare is not hint else bare
    return Annotated[kind, Parameter(group=group, help=text, negative="" if bare is bool else None)]


_UNIONS = (Union, type(int | str))


def _words(_: Any, tokens: Sequence[Token]) -> tuple[str, ...]:
    found = several(str)(_, tokens)
    return () if found == ("none",) else found


def _number_or_none(_: Any, tokens: Sequence[Token]) -> int | None:
    return None if tokens[0].value.lower() == "none" else int(tokens[0].value)


def _train(image: str, annotation: str, model: Path, plan_only: bool, given: dict[str, Any]) -> int:
    from .._monitor import watch
    from ..unet.plan import unet_plan
    from ..unet.train import Run

    settings = {name: given.pop(name) for name in inspect.signature(unet_plan).parameters if name in given}
    if not plan_only:
        Run(**given).check(model)
    with Progress() as show, watch(show):
        plan = unet_plan(image, annotation, **settings)
    print(as_options("\n".join(plan.lines())))
    if plan_only:
        return 0
    with _Live() as live:
        made = plan.train(model, on_report=live.report, on_step=live.step, **given)
    return _said(made, model, image)


class _Live:
    """Say how a training is going: a line for each validation, and on a terminal one that is alive."""

    def __enter__(self) -> _Live:
        import time

        self._now = time.perf_counter
        self._started = self._now()
        self._is_terminal = sys.stderr.isatty()
        self._dice = ""
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()

    def step(self, step: int, n_steps: int, loss: float) -> None:
        """Show where it is."""
        if self._is_terminal:
            took = self._now() - self._started
            left = f"about {_duration(took / step * (n_steps - step))} left"
            line = f"step {step}/{n_steps}  loss {loss:.3f}{self._dice}  {left}"
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)

    def report(self, report: Report) -> None:
        """Say what a validation gave."""
        self._clear()
        dice = report.mean_dice
        known = dice == dice
        self._dice = f"  Dice {dice:.3f}" if known else ""
        held_out = f", on what is held out {report.validation_loss:.3f}{self._dice}" if known else ""
        best = ", the best so far" if known and report.best else ""
        problem = getattr(report, "problem", "")
        print(f"step {report.step}/{report.n_steps}  loss {report.loss:.3f}{held_out}{best}", flush=True)
        if problem:
            print(f"napari-cutout: {as_options(problem)}", file=sys.stderr)

    def _clear(self) -> None:
        if self._is_terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _said(made: UNetModel, folder: Path, image: str) -> int:
    """Say what a training came to, and what to do next."""
    told = made.training
    cancelled = "cancelled" in told["stopped"]
    score = "" if told["dice"] is None else f", Dice {told['dice']:.3f} on what was held out"
    what = "cancelled; the best so far is kept" if cancelled else str(told["stopped"])
    print(f"trained {told['steps']} steps in {_duration(told['seconds'])}{score}; {what}; saved to {folder}")
    print(f"label images with it: napari-cutout unet predict {image} {folder} labels.tif")
    return CANCELLED if cancelled else 0


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


# Using -------------------------------------------------------------------------------------------------


def _predict_command() -> Callable[..., int]:
    """Return the command that labels: that of the method, with the model in second place."""
    entry = catalog.find("unet_predict")
    cut = command(entry)
    kinds = inspect.Parameter
    options = dict(inspect.signature(cut).parameters)
    for name in ("image", "output", "model"):
        options.pop(name)
    text = f"{entry.describe('one_per_object')} By default where the model tells objects apart."
    numbered = Annotated[bool | None, Parameter(group=_group_of(options["one_per_object"]), help=text)]
    options["one_per_object"] = options["one_per_object"].replace(annotation=numbered, default=None)
    first = [
        kinds("image", kinds.POSITIONAL_ONLY, annotation=Folder),
        kinds("model", kinds.POSITIONAL_ONLY, annotation=Model),
        kinds("output", kinds.POSITIONAL_ONLY, annotation=Output),
    ]

    def predict(image: str, model: Path, output: Path, **given: Any) -> int:
        from ..unet._torch import import_torch
        from ..unet.predict import opened
        from ..unet.trained import UNetModel

        found = opened(str(model))
        if isinstance(found, UNetModel):  # packages of others run without torch
            import_torch()
        given.setdefault("one_per_object", found.head != "classes")
        return cut(image, output, model=str(model), **given)

    predict.__signature__ = inspect.Signature([*first, *options.values()])  # type: ignore[attr-defined]
    predict.__annotations__ = {p.name: p.annotation for p in (*first, *options.values())}
    predict.__doc__ = entry.summary
    return predict


def _group_of(parameter: inspect.Parameter) -> Any:
    (found,) = (m for m in get_args(parameter.annotation) if isinstance(m, Parameter))
    return found.group


def info(model: Model, /) -> int:
    """Say what a model is, and how it came about."""
    from ..unet.predict import opened

    print("\n".join(_columns(_facts(opened(str(model))))))
    return 0


def _facts(found: Any) -> dict[str, str]:
    facts = {
        "name": found.name,
        "labels": f"{found.ndim}-D images of {found.n_channels} channel{'s' if found.n_channels > 1 else ''}",
        "says": _SAYS.get(found.head, "{}").format(", ".join(map(str, found.classes))),
    }
    if (a := getattr(found, "architecture", None)) is not None:
        facts["network"] = (
            f"depth {a.depth}, width {a.width}, {a.n_parameters:,} parameters; each voxel sees "
            f"{' x '.join(map(str, a.receptive_field))}"
        )
    if spacing := getattr(found, "spacing", None):
        facts["voxel size"] = " x ".join(f"{s:g}" for s in spacing)
    return {**facts, **_how_trained(getattr(found, "training", {})), "SHA-256": found.digest}


_SAYS = {
    "classes": "the class of each voxel: {}",
    "boundary": "objects (1) and background (0), and the boundaries between objects that touch",
    "distance": "objects (1) and background (0), and how deep inside an object a voxel lies",
}


def _how_trained(told: Any) -> dict[str, str]:
    """Return what is known of the training; models from elsewhere say nothing of it."""
    facts = {}
    if told.get("images") and told.get("counts"):
        n = len(told["images"])
        shown = ", ".join(f"{label}: {n:,}" for label, n in zip(told["classes"], told["counts"], strict=False))
        facts["trained on"] = f"{n} image{'s' if n > 1 else ''}; annotated voxels {shown}"
    if "validation" in told:
        facts["validation"] = str(told["validation"])
    if "steps" in told:
        dice = "" if told.get("dice") is None else f", Dice {told['dice']:.3f} on what was held out"
        facts["training"] = f"{told['steps']} steps in {_duration(told['seconds'])}{dice}; {told['stopped']}"
    return facts


def _columns(facts: dict[str, str]) -> list[str]:
    from ..running._batch import columns

    return columns(list(facts.items()))


def export(
    model: Annotated[Path, Parameter(help="The folder of a model.")],
    target: Annotated[Path, Parameter(help="The .onnx file to write.")],
    /,
    *,
    overwrite: Annotated[bool, Parameter(help="Replace a file that is there.", negative="")] = False,
) -> int:
    """Write a model as ONNX, which other programs run."""
    from ..unet.trained import load_unet

    if target.suffix.lower() != ".onnx":
        raise ValueError(f"a model is exported as .onnx, not as {target.name!r}; choose such a name")
    print(f"written to {load_unet(model).export_onnx(target, overwrite=overwrite)}")
    return 0

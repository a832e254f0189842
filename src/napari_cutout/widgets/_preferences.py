"""What users set once, under *File > Preferences > Cutout*: the widgets' own defaults.

`Preferences` is the one list of them. The manifest's entry, from which napari builds its page, is made from it, and so
is what is checked when values are read.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from string import Formatter
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from .._device import Asked

__all__ = [
    "CATEGORY",
    "Preferences",
    "checked",
    "configurations",
    "name_of_result",
    "on_change",
    "preferences",
    "remember",
    "scheduler_problem",
    "template_problem",
]

log = logging.getLogger(__name__)

PLUGIN = "napari-cutout"
CATEGORY = "cutout"
"""Where napari keeps them: ``get_plugin_settings("napari-cutout").cutout``, and ``NAPARI_CUTOUT_DEVICE`` and so on
among the variables of the environment."""

_WHERE = "mend it under File > Preferences > Cutout"
_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}
_PLAIN_TYPES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_PLACES = ("image", "method")
"""What a name of a result may stand for."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """What napari's page shows of a preference beside its value, and between what numbers that has to be."""

    title: str
    description: str
    limits: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Preferences:
    """What users set once for all widgets.

    Parameters
    ----------
    device : {"auto", "cpu", "gpu"}
        What new widgets run on.
    memory_limit_gib : float
        The most memory that a run may plan with, in GiB (2**30 bytes); 0 for what is free.
    preview_delay_ms : int
        How long a preview waits for the next change of a slider, in milliseconds.
    preview_on_opening : bool
        Whether new widgets show a preview without being asked.
    update_after_stroke : bool
        Whether results follow the strokes that are painted, where a method can do that.
    result_name : str
        What new layers are called, as `name_of_result` takes it.
    models_folder : str
        Where trained models are kept; empty for a folder of the user's application data.
    other_models : str
        Models elsewhere that were used, with what separates paths on this system between them.
    scheduler : str
        The address of a dask scheduler whose workers run what goes into a store; empty for this machine.
    """

    device: Annotated[
        Asked,
        _Shown(
            "Device",
            "What new widgets run on. With auto, images that are large enough to gain by it run on a GPU that works.",
        ),
    ] = "auto"
    memory_limit_gib: Annotated[
        float,
        _Shown(
            "Memory limit in GiB (0: what is free)",
            "The most memory that a run may plan with. A run that needs more is refused before it starts.",
            (0, 65536),
        ),
    ] = 0.0
    preview_delay_ms: Annotated[
        int,
        _Shown(
            "Preview delay in ms",
            "How long a preview waits after a change before it computes. Raise it if dragging a slider stutters.",
            (0, 5000),
        ),
    ] = 30
    preview_on_opening: Annotated[
        bool,
        _Shown(
            "Preview when a widget opens",
            "New widgets show at once what a run would do with the part in view.",
        ),
    ] = False
    update_after_stroke: Annotated[
        bool,
        _Shown(
            "Update after each stroke",
            "Results of the random walker follow the strokes that are painted.",
        ),
    ] = True
    result_name: Annotated[
        str,
        _Shown(
            "Names of results",
            "What new layers are called. {image} stands for the name of the image layer, {method} for the method.",
        ),
    ] = "{image} {method}"
    models_folder: Annotated[
        str,
        _Shown(
            "Models folder",
            "Where trained models are kept and listed. Empty keeps them with the data of your other programs.",
        ),
    ] = ""
    other_models: Annotated[
        str,
        _Shown(
            "Models elsewhere",
            "Models outside that folder that were used, which stay in the list. Clear it to forget them.",
        ),
    ] = ""
    scheduler: Annotated[
        str,
        _Shown(
            "Scheduler",
            "The address of a dask scheduler, such as tcp://node7:8786, whose workers run what goes into a store. "
            "Empty runs it on this machine.",
        ),
    ] = ""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A preference as the manifest and the checks need it."""

    name: str
    type: type
    default: Any
    shown: _Shown
    choices: tuple[str, ...] = ()


def _entries() -> Iterator[_Entry]:
    hints = get_type_hints(Preferences, include_extras=True)
    for item in fields(Preferences):
        kind, shown = get_args(hints[item.name])
        choices = get_args(kind) if get_origin(kind) is Literal else ()
        yield _Entry(item.name, str if choices else kind, item.default, shown, choices)


_ENTRIES = tuple(_entries())


# What the manifest says --------------------------------------------------------------------------------


def configurations() -> dict[str, Any]:
    """Return the entry ``configurations`` of the manifest.

    Returns
    -------
    dict
        One category with one property per field of `Preferences`.
    """
    properties = {entry.name: _property(entry) for entry in _ENTRIES}
    return {CATEGORY: {"title": "Runs, previews and results", "properties": properties}}


def _property(entry: _Entry) -> dict[str, Any]:
    said = {
        "title": entry.shown.title,
        "description": entry.shown.description,
        "type": _JSON_TYPES[entry.type],
        "default": entry.default,
    }
    if entry.choices:
        said["enum"] = list(entry.choices)
    if entry.shown.limits is not None:
        said["minimum"], said["maximum"] = entry.shown.limits
    return said


# What the user has set ---------------------------------------------------------------------------------


def preferences() -> Preferences:
    """Return what the user has set.

    A value that breaks its rule is replaced by the default, and the log says so once.

    Returns
    -------
    Preferences
        The defaults where napari keeps no preferences of plugins, as its older versions, or where the plugin is
        disabled.
    """
    stored = _stored()
    if stored is None:
        return Preferences()
    return checked({entry.name: getattr(stored, entry.name, None) for entry in _ENTRIES})


def remember(**values: Any) -> None:
    """Keep what the user has chosen in a widget as a preference; nothing is kept where napari keeps none."""
    if (stored := _stored()) is not None:
        for name, value in values.items():
            setattr(stored, name, value)


def on_change(callback: Callable[[Preferences], None]) -> Callable[[], None]:
    """Call back whenever the user changes a preference, and when a dialog that is cancelled changes it back.

    Parameters
    ----------
    callback : callable
        Takes what is set now. It is held until it is let go.

    Returns
    -------
    callable
        Lets go of the callback; a second call does nothing.
    """
    stored = _stored()
    if stored is None:
        return lambda: None

    def changed(event: Any) -> None:
        callback(preferences())

    stored.events.connect(changed)

    def disconnect() -> None:
        if changed in stored.events.callbacks:
            stored.events.disconnect(changed)

    return disconnect


def checked(values: Mapping[str, Any]) -> Preferences:
    """Return preferences with the default in place of every value that breaks its rule.

    Parameters
    ----------
    values : mapping
        Values by the names of the fields of `Preferences`; one that is missing counts as broken.

    Returns
    -------
    Preferences
        What may be used.
    """
    good: dict[str, Any] = {}
    for entry in _ENTRIES:
        value = values.get(entry.name)
        if rule := _broken_rule(entry, value):
            _warn(f"{entry.name} must be {rule}, but is {value!r}; {entry.default!r} is used instead; {_WHERE}")
        else:
            good[entry.name] = value
    return Preferences(**good)


def _broken_rule(entry: _Entry, value: Any) -> str:
    """Return the rule that a value breaks; empty if it breaks none."""
    if entry.choices:
        return "" if value in entry.choices else f"one of {', '.join(entry.choices)}"
    if not _is_of(value, entry.type):
        return _PLAIN_TYPES[entry.type]
    low, high = entry.shown.limits or (-math.inf, math.inf)
    if entry.type in (int, float) and not low <= value <= high:
        return f"from {low} to {high}"
    return ""


def _is_of(value: Any, wanted: type) -> bool:
    """Return whether a value is of a type; True and False are no numbers, and an int is a float."""
    if isinstance(value, bool):
        return wanted is bool
    return isinstance(value, int | float if wanted is float else wanted)


@lru_cache(maxsize=256)
def _warn(sentence: str) -> None:
    """Write a sentence into the log, but not again."""
    log.warning(sentence)


def _stored() -> Any:
    """Return what napari keeps for this plugin, an evented model; None if it keeps nothing."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:
        return None
    try:
        return getattr(get_plugin_settings(PLUGIN), CATEGORY, None)
    except KeyError:  # the plugin is disabled, or runs from a folder that nobody installed
        return None


# The scheduler -----------------------------------------------------------------------------------------


_PROTOCOLS = ("tcp", "tls", "ucx", "ws", "wss", "inproc")


def scheduler_problem(address: str) -> str:
    """Return a sentence that says what is wrong with the address of a scheduler, as far as it can be seen.

    Parameters
    ----------
    address : str
        Such as ``"tcp://node7:8786"``.

    Returns
    -------
    str
        Empty if it may be right, or is empty.

    Examples
    --------
    >>> scheduler_problem("tcp://node7:8786")
    ''
    """
    if not address:
        return ""
    protocol, there, rest = address.partition("://")
    if not there or protocol not in _PROTOCOLS:
        return f"the scheduler, {address!r}, must be an address such as tcp://node7:8786; {_WHERE}"
    host, _, port = rest.rpartition(":")
    if protocol != "inproc" and (not host or not port.rstrip("/").isdecimal()):
        return f"the scheduler, {address!r}, must end in a host and a port, as in {protocol}://node7:8786; {_WHERE}"
    return ""


# Names of results --------------------------------------------------------------------------------------


def name_of_result(template: str, image: str, method: str) -> str:
    """Return the name of a new layer.

    Parameters
    ----------
    template : str
        What the user has set, such as ``"{image} {method}"``; `template_problem` says what it may hold. With one
        that is wrong the default is used, and the log says so once.
    image, method : str
        The name of the image layer and that of the method.

    Returns
    -------
    str
        Such as ``"coins otsu"``.
    """
    if problem := template_problem(template):
        template = Preferences().result_name
        _warn(f"{problem}; {template!r} is used instead")
    return template.format(image=image, method=method)


def template_problem(template: str) -> str:
    """Return a sentence that says what is wrong with a template of names.

    Parameters
    ----------
    template : str
        Text in which ``{image}`` and ``{method}`` stand for names; ``{{`` and ``}}`` are braces.

    Returns
    -------
    str
        Empty if it is right.
    """
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        return f"the name of results, {template!r}, cannot be read ({error}); write {{{{ for a brace, or {_WHERE}"
    if not template.strip():
        return f"the name of results is empty; {_WHERE}"
    for _, name, spec, conversion in parts:
        # Nothing but plain places: format() would also look up attributes and items of what it is given.
        if name is not None and (name not in _PLACES or spec or conversion):
            place = name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
            return f"the name of results, {template!r}, may hold {{image}} and {{method}}, not {{{place}}}; {_WHERE}"
    return ""

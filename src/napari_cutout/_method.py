"""What a segmentation method is: a typed function, and everything that can be read off it.

The API, the napari widget, the command line, the recipe step and the docs page all come from the one
function: defaults from its signature, limits from ``Annotated[..., Range(a, b)]``, choices from
``Literal``, prose from its numpydoc docstring, the kinds of arrays from their roles.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import numbers
import os
import re
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from ._array import array_namespace
from ._checks import check_channel_axis, check_image, check_labels, check_source_labels, check_spacing
from ._monitor import note

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Role:
    """What an array argument or a result means, whatever library holds it.

    Parameters
    ----------
    name : {"image", "mask", "markers", "labels"}
        One word of the vocabulary.
    """

    name: str


Image = Annotated[Any, Role("image")]
"""Grey-level array of shape ([Z,] Y, X) and any real dtype."""

Mask = Annotated[Any, Role("mask")]
"""Boolean (or 0 and not 0) array of the image's shape; voxels outside are left out and become 0."""

Markers = Annotated[Any, Role("markers")]
"""Integer array of the image's shape; 0 is not marked, any other value is a label painted by the user."""

Labels = Annotated[Any, Role("labels")]
"""Integer array of the image's shape; 0 is background."""

OF_THE_IMAGE = ("spacing", "channel_axis")
"""Settings that are properties of an image and not choices: recipes have no defaults for them, and so run on any."""

Objects = Literal["bright", "dark"]
"""Whether the objects are brighter or darker than what surrounds them."""


@dataclass(frozen=True, slots=True)
class Range(Mapping[str, float]):
    """Closed interval of allowed values.

    It is also the mapping of options that magicgui expects inside ``Annotated``.

    Parameters
    ----------
    min, max : float
        Smallest and largest allowed value.
    step : float, optional
        What one click in a widget changes.
    """

    min: float
    max: float
    step: float | None = None

    def __getitem__(self, key: str) -> float:
        options: dict[str, float] = {name: getattr(self, name) for name in self}
        return options[key]

    def __iter__(self) -> Iterator[str]:
        return (k for k in ("min", "max", "step") if getattr(self, k) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def check(self, name: str, value: float) -> None:
        """Raise ValueError, naming the setting, unless `value` lies in the interval."""
        if not self.min <= value <= self.max:
            raise ValueError(f"{name} must be between {self.min} and {self.max}, got {value!r}")


@dataclass(frozen=True, slots=True)
class Typical:
    """Marks a setting that a search may try, and the numbers that are common for it; a switch or a choice has none.

    Parameters
    ----------
    low, high : float
        Smallest and largest number that is tried.
    log : bool
        True if ratios matter and not differences.
    off : bool
        True if 0, which is no such number, leaves the step out, and that is tried too.
    length : bool
        True if it is a length in edges of the smallest voxel: no more than half of the image is tried.
    """

    low: float = 0.0
    high: float = 0.0
    log: bool = True
    off: bool = False
    length: bool = False


@dataclass(frozen=True, slots=True)
class GreyLevel:
    """Marks a setting that is a grey level of the image, or several: a plot of its histogram can show and drag it."""


@dataclass(frozen=True, slots=True)
class Items:
    """How many entries a tuple may have, and in which order.

    Parameters
    ----------
    most : int
        Largest number of entries; the smallest is 1.
    rising : bool
        True if every entry must be greater than the one before it.
    distinct : bool
        True if no entry may be there twice.
    each : Range, optional
        Allowed values of every entry.
    """

    most: int
    rising: bool = False
    distinct: bool = False
    each: Range | None = None

    def check(self, name: str, values: Any, kind: Any) -> None:
        """Raise, naming the setting, unless `values` are so many entries of this kind in this order."""
        choices = get_args(kind) if get_origin(kind) is Literal else ()
        noun = "words" if choices else "whole numbers" if kind is int else "numbers"
        if not isinstance(values, tuple | list):
            raise TypeError(f"{name} must be a tuple of {noun}, got {values!r} of type {type(values).__name__}")
        for value in values:
            self._check_entry(f"every entry of {name}", value, kind, choices)
        if not 1 <= len(values) <= self.most:
            raise ValueError(f"{name} must have 1 to {self.most} entries, got {len(values)}")
        if self.rising and any(b <= a for a, b in itertools.pairwise(values)):
            raise ValueError(
                f"{name} must rise, each greater than the one before, got {tuple(values)}; sort them, without doubles"
            )
        if self.distinct and len(set(values)) < len(values):
            raise ValueError(f"{name} must be different words, got {tuple(values)}; leave the doubles out")

    def _check_entry(self, name: str, value: Any, kind: Any, choices: tuple[Any, ...]) -> None:
        if choices:
            _check_choice(name, value, choices)
            return
        _check_type(name, value, kind)
        if self.each is not None:
            self.each.check(name, value)


@dataclass(frozen=True, slots=True)
class Seldom:
    """Marks a setting that few users change: widgets show it under *More*."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Marks a setting that is a folder, or what was read from one.

    Parameters
    ----------
    holds : str
        What it holds, such as ``"a U-Net"``.
    """

    holds: str

    def check(self, name: str, value: Any) -> None:
        """Raise, naming the setting, unless `value` is a path, or something that was read: it has a digest."""
        if isinstance(value, str | os.PathLike) and isinstance(os.fspath(value), str):
            if not os.fspath(value).strip("\0 "):
                raise ValueError(f"{name} must be the path of {self.holds}, got {value!r}; choose its folder")
            return
        if isinstance(value, Mapping) and set(value) == {"name", "sha256"}:
            raise ValueError(
                f"{name} was in memory alone when this was written: {value['name']!r} (SHA-256 {value['sha256']}); "
                f"save it, and give the folder that it was saved in"
            )
        if not (hasattr(value, "digest") and hasattr(value, "name")):
            raise TypeError(
                f"{name} must be {self.holds} or the path of one, got {value!r:.80} of type {type(value).__name__}"
            )


@dataclass(frozen=True, slots=True)
class Default:
    """The default of an option in a TypedDict, which has no place for one.

    Parameters
    ----------
    value : object
        The default.
    """

    value: Any


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of a method.

    Parameters
    ----------
    name : str
        Its name in the signature.
    annotation : type
        Its annotation with limits, as magicgui and cyclopts read it.
    default : object
        Its default, or ``inspect.Parameter.empty`` where it must be given.
    role : Role, optional
        Set for arrays; None for settings.
    range : Range, optional
        Allowed values of a number.
    choices : tuple
        Allowed values of a choice.
    words : tuple of str
        Words that are allowed beside a number, such as ``"auto"``.
    option : bool
        True for the steps around the cut that all methods share.
    """

    name: str
    annotation: Any
    default: Any
    role: Role | None = None
    range: Range | None = None
    choices: tuple[Any, ...] = ()
    words: tuple[str, ...] = ()
    option: bool = False

    @property
    def required(self) -> bool:
        """True if it has no default."""
        return self.default is inspect.Parameter.empty

    @property
    def optional(self) -> bool:
        """True if None may be given."""
        return types.NoneType in get_args(self.annotation)

    @property
    def type(self) -> Any:
        """The plain type: int, float, bool, str, tuple."""
        return _plain(self.annotation)

    @property
    def item(self) -> Any:
        """The plain type of the entries of a tuple, a ``Literal`` where they are words; None for anything else."""
        return get_args(_bare(self.annotation))[0] if self.type is tuple else None

    @property
    def item_choices(self) -> tuple[Any, ...]:
        """Allowed values of the entries of a tuple of words."""
        return get_args(self.item) if get_origin(self.item) is Literal else ()

    @property
    def item_range(self) -> Range | None:
        """Allowed values of the entries of a tuple of numbers."""
        items = _meta(self.annotation, Items)
        return items.each if items is not None else None

    @property
    def seldom(self) -> bool:
        """True if few users change it."""
        return _meta(self.annotation, Seldom) is not None

    @property
    def typical(self) -> Typical | None:
        """What a search tries of it; None if it is left as it is."""
        found: Typical | None = _meta(self.annotation, Typical)
        return found

    @property
    def folder(self) -> Folder | None:
        """What a folder must hold, where the setting is one."""
        found: Folder | None = _meta(self.annotation, Folder)
        return found

    @property
    def grey_level(self) -> bool:
        """True if it is a grey level of the image, or several."""
        return _meta(self.annotation, GreyLevel) is not None

    def check(self, value: Any) -> None:
        """Raise unless `value` is one that this setting allows.

        Raises
        ------
        TypeError
            If the value is of the wrong kind.
        ValueError
            If the value is out of range or not one of the choices.
        """
        if value is None and self.optional:
            return
        if self.choices:
            _check_choice(self.name, value, self.choices)
            return
        if self.words and isinstance(value, str):
            _check_choice(self.name, value, self.words, "a number or ")
            return
        _check_type(self.name, value, self.type)
        if self.folder is not None:
            self.folder.check(self.name, value)
        items = _meta(self.annotation, Items)
        if items is not None:
            items.check(self.name, value, self.item)
        if self.range is not None:
            self.range.check(self.name, value)


Memory = float | Callable[[Mapping[str, Any], int, int], float]
"""Bytes per voxel, or from all settings of a method and the numbers of voxels and channels to them."""


@dataclass(frozen=True, slots=True)
class Method:
    """A public function with all that the edges derive from it.

    Parameters
    ----------
    func : callable
        The public function, which checks its arguments.
    row : str
        The widget it belongs to: a row of the mission, such as ``"Threshold"``.
    params : tuple of Param
        All parameters in order, the shared options included.
    output : Role
        What it returns.
    agreement : str
        ``"exact"`` if every device and tiling gives bit-identical labels, ``"exact, near in tiles"`` if what is larger
        than a tile differs by as much as is published, else the stated tolerance.
    extras : tuple of str
        What its widget shows beyond the form, such as ``"histogram"``.
    memory : float or callable
        Bytes per voxel that the cut needs at its peak, beyond its input and the labels; where settings matter,
        ``memory(settings, n_voxels, n_channels)``.
    working : float
        Bytes per voxel of a block in work; blocks do not grow with the image.
    tile_memory : float or callable, optional
        Bytes per voxel of a tile at work and of its halo, beyond its inputs, the labels included; the arguments are
        those of `memory`. By default the labels and little more.
    tile_voxels : int
        Voxels of the tiles that it chooses itself, whatever those of the run are; 0 if it takes these.
    driver_memory : float
        Bytes per voxel of the faces between tiles, while what tiles tell of them is joined.
    device_memory : float
        Bytes of GPU memory per voxel that the cut needs at its peak, beyond its inputs, the labels included.
    also : tuple of str
        Other widgets that offer it, after their own methods.
    keeps : str
        The array whose labels the result keeps, such as ``"labels"``; empty if it makes its own.
    slow : bool
        True if it takes so long that it runs beside others only where it is asked for by name.
    network : bool
        True if it runs a network, which moves its tiles to a device that it finds by itself.
    frames : bool
        True if it links frames: where they are run one by one, it is these, and it is the last step.
    """

    func: Callable[..., Any]
    row: str
    params: tuple[Param, ...]
    output: Role
    agreement: str
    extras: tuple[str, ...] = ()
    memory: Memory = 0.0
    working: float = 4.0
    also: tuple[str, ...] = ()
    keeps: str = ""
    slow: bool = False
    network: bool = False
    tile_memory: Memory | None = None
    tile_voxels: int = 0
    driver_memory: float = 0.0
    device_memory: float = 10.0
    frames: bool = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.func(*args, **kwargs)

    @property
    def name(self) -> str:
        """The public name, which is also the recipe's and the command line's."""
        return str(self.func.__name__)

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(self.func) or "").partition("\n")[0]

    @property
    def arrays(self) -> tuple[Param, ...]:
        """Parameters that are arrays."""
        return tuple(p for p in self.params if p.role)

    @property
    def settings(self) -> tuple[Param, ...]:
        """Parameters that are not arrays: those of the method first, then the shared options."""
        return tuple(p for p in self.params if not p.role)

    @property
    def source(self) -> Param:
        """The array that the result lies on, the first one: an image, or the labels of another method."""
        return self.arrays[0]

    @property
    def labels_from(self) -> str:
        """The array whose labels the result has: the one it keeps, else the markers it needs; empty for its own."""
        markers = (p.name for p in self.arrays if p.role == Role("markers") and p.required)
        return self.keeps or next(markers, "")

    @property
    def takes_channels(self) -> bool:
        """True if it can look at all channels of an image together."""
        return any(p.name == "channel_axis" for p in self.params)

    @property
    def needs(self) -> str:
        """What the user must have: ``"image"``, ``"strokes"``, ``"labels"`` or ``"model"``."""
        if any(p.folder and p.required for p in self.settings):
            return "model"
        if any(p.role == Role("markers") and p.required for p in self.params):
            return "strokes"
        return self.source.role.name if self.source.role else "image"

    def bytes_per_voxel(self, settings: Mapping[str, Any], n_voxels: int, n_channels: int = 1) -> float:
        """Return what the cut needs at its peak, beyond its input and the labels."""
        return self.memory(settings, n_voxels, n_channels) if callable(self.memory) else self.memory

    def describe(self, param: str) -> str:
        """Return the docstring's text on a parameter."""
        return _descriptions(self.func).get(param, "")

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Raise unless every setting is known and allowed, and none that is required is missing.

        Raises
        ------
        ValueError
            If a setting is unknown, missing or out of range; the message lists what there is.
        TypeError
            If a setting is of the wrong kind.
        """
        known = {p.name: p for p in self.settings}
        for name, value in settings.items():
            if name not in known:
                raise ValueError(f"{self.name} has no setting {name!r}; it has: {', '.join(known)}")
            known[name].check(value)
        missing = [p.name for p in known.values() if p.required and p.name not in settings]
        if missing:
            raise ValueError(f"{self.name} needs the setting {missing[0]!r}, which has no default")


def method(
    row: str,
    *,
    agreement: str = "exact",
    extras: tuple[str, ...] = (),
    memory: Memory = 0.0,
    working: float = 4.0,
    tile_memory: Memory | None = None,
    tile_voxels: int = 0,
    driver_memory: float = 0.0,
    device_memory: float = 10.0,
    also: tuple[str, ...] = (),
    keeps: str = "",
    slow: bool = False,
    network: bool = False,
    frames: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a public function as a segmentation method and check what it is called with.

    ``**options: Unpack[SomeTypedDict]`` in the signature is replaced by the options it names, with their
    defaults and their prose, so that ``help``, editors and every edge see one flat signature.

    Parameters
    ----------
    row : str
        The widget it belongs to.
    agreement : str
        ``"exact"``, or the tolerance between devices and tilings in a few words.
    extras : tuple of str
        What its widget shows beyond the form, such as ``"histogram"``.
    memory : float or callable
        Bytes per voxel that the cut needs at its peak, beyond its input and the labels; where settings matter,
        ``memory(settings, n_voxels, n_channels)``.
    working : float
        Bytes per voxel of a block in work; blocks do not grow with the image.
    tile_memory : float or callable, optional
        Bytes per voxel of a tile at work and of its halo, beyond its inputs, the labels included; the arguments are
        those of `memory`. By default the labels and little more.
    tile_voxels : int
        Voxels of the tiles that it chooses itself, whatever those of the run are; 0 if it takes these.
    driver_memory : float
        Bytes per voxel of the faces between tiles, while what tiles tell of them is joined.
    device_memory : float
        Bytes of GPU memory per voxel that the cut needs at its peak, beyond its inputs, the labels included.
    also : tuple of str
        Other widgets that offer it, after their own methods.
    keeps : str
        The array that must be given and whose labels the result keeps, such as ``"labels"``.
    slow : bool
        True if it takes so long that it runs beside others only where it is asked for by name.
    network : bool
        True if it runs a network, which moves its tiles to a device that it finds by itself.
    frames : bool
        True if it links what is run one by one, such as frames.

    Returns
    -------
    callable
        A decorator; the function that it returns carries its `Method` as ``__method__``.

    Raises
    ------
    ValueError
        If `keeps` is not such an array; raised by the decorator.
    """

    def decorate(func: Callable[P, R]) -> Callable[P, R]:
        hints = get_type_hints(func, include_extras=True)
        params = tuple(_params(inspect.signature(func), hints))
        arrays = [p.name for p in params if p.role and p.required]
        if keeps and keeps not in arrays:
            raise ValueError(f"{func.__name__} cannot keep the labels of {keeps!r}; it needs: {', '.join(arrays)}")
        signature = inspect.Signature(
            [inspect.Parameter(p.name, _kind(p), default=p.default, annotation=p.annotation) for p in params],
            return_annotation=hints["return"],
        )

        @functools.wraps(func)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            bound = _bound(func.__name__, signature, args, kwargs)
            _check(params, bound.arguments)
            note(method=func.__name__)
            return func(*bound.args, **bound.kwargs)

        wrapper.__signature__ = signature  # type: ignore[attr-defined]
        wrapper.__doc__ = _with_options(func, hints)
        output = _meta(hints["return"], Role)
        wrapper.__method__ = Method(  # type: ignore[attr-defined]
            wrapper,
            row,
            params,
            output,
            agreement,
            extras,
            memory,
            working,
            also,
            keeps,
            slow,
            network,
            tile_memory,
            tile_voxels,
            driver_memory,
            device_memory,
            frames,
        )
        return wrapper

    return decorate


STEPS_AFTER = ("fill_holes", "clear_border", "min_size", "one_per_object", "connectivity", "background")
"""Options of a method that change its labels only; what else is made of the same settings does not take them."""


def with_settings_of(entry: Callable[..., Any], *, shows: str = "") -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Give a function the settings of a method, all but the steps after the cut, and check what it is called with.

    Parameters
    ----------
    entry : callable
        A method. An entry ``**settings`` of the function's docstring is replaced by what that of the method says of
        them.
    shows : str
        What the images that it returns show of the labels of the method, such as ``"probabilities"``; empty if it
        returns something else.

    Returns
    -------
    callable
        A decorator. The function is called with every setting by name, defaults filled in.
    """
    found: Method = entry.__method__  # type: ignore[attr-defined]
    params = tuple(p for p in found.params if p.name not in STEPS_AFTER)

    def decorate(func: Callable[..., R]) -> Callable[..., R]:
        signature = inspect.Signature(
            [inspect.Parameter(p.name, _kind(p), default=p.default, annotation=p.annotation) for p in params],
            return_annotation=get_type_hints(func, include_extras=True)["return"],
        )

        @functools.wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> R:
            if after := [name for name in STEPS_AFTER if name in kwargs]:
                raise TypeError(
                    f"{func.__name__} has no {after[0]}, a step after the cut, which changes labels alone; leave it out"
                )
            bound = _bound(func.__name__, signature, args, kwargs)
            _check(params, bound.arguments)
            return func(*bound.args, **bound.kwargs)

        wrapper.__signature__ = signature  # type: ignore[attr-defined]
        wrapper.__doc__ = _with_settings(func, found, [p.name for p in params if not p.role])
        wrapper.__shows__ = (found.name, shows) if shows else None  # type: ignore[attr-defined]
        return wrapper

    return decorate


def _bound(
    name: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> inspect.BoundArguments:
    """Return the arguments of a call, defaults filled in, or say of which function they are not."""
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None
    bound.apply_defaults()
    return bound


def _params(signature: inspect.Signature, hints: Mapping[str, Any]) -> Iterator[Param]:
    """Yield the parameters of a function, with ``**options`` spelt out."""
    for p in signature.parameters.values():
        if p.kind is not inspect.Parameter.VAR_KEYWORD:
            yield _param(p.name, hints[p.name], p.default)
            continue
        for name, hint in get_type_hints(get_args(hints[p.name])[0], include_extras=True).items():
            yield _param(name, hint, _meta(hint, Default).value, option=True)


def _param(name: str, hint: Any, default: Any, option: bool = False) -> Param:
    choices = get_args(_bare(hint)) if get_origin(_bare(hint)) is Literal else ()
    words = () if choices else tuple(word for m in _members(hint) if get_origin(m) is Literal for word in get_args(m))
    return Param(name, hint, default, _meta(hint, Role), _meta(hint, Range), choices, words, option)


def _kind(param: Param) -> Any:
    """Arrays may be given by position, settings by name only."""
    return inspect.Parameter.POSITIONAL_OR_KEYWORD if param.role else inspect.Parameter.KEYWORD_ONLY


def _members(hint: Any) -> tuple[Any, ...]:
    """Return the members of a union, without None, or the hint itself."""
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(a for a in get_args(hint) if a is not types.NoneType)
    return (hint,)


def _meta(hint: Any, kind: type[Any]) -> Any:
    """Return what of `kind` stands in ``Annotated``, or None."""
    for member in _members(hint):
        if get_origin(member) is Annotated:
            base, *extra = get_args(member)
            found = next((m for m in extra if isinstance(m, kind)), None)
            return found if found is not None else _meta(base, kind)
    return None


def _bare(hint: Any) -> Any:
    """Strip ``Annotated``, None, and words beside a number from a hint."""
    if get_origin(hint) is Annotated:
        return _bare(get_args(hint)[0])
    members = _members(hint)
    plain = [m for m in members if get_origin(m) is not Literal] or members  # a number, and words beside it
    return hint if len(plain) > 1 or plain[0] is hint else _bare(plain[0])


def _plain(hint: Any) -> Any:
    """Return the type that a value of this hint has."""
    bare = _bare(hint)
    origin = get_origin(bare)
    return origin if isinstance(origin, type) else bare


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the range of floats
        return False


def _check_choice(name: str, value: Any, choices: tuple[Any, ...], also: str = "") -> None:
    if value not in choices:
        raise ValueError(f"{name} must be {also or 'one of '}{', '.join(map(repr, choices))}, got {value!r}")


def _check_type(name: str, value: Any, kind: Any) -> None:
    if kind is bool:
        right = isinstance(value, bool | np.bool_)
    elif kind is int:
        right = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    elif kind is float:
        right = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if right and not _is_finite(value):
            raise ValueError(f"{name} must be a finite number, got {value!r}")
    else:
        return
    if not right:
        raise TypeError(f"{name} must be of type {kind.__name__}, got {value!r} of type {type(value).__name__}")


def _check(params: tuple[Param, ...], arguments: dict[str, Any]) -> None:
    """Check all arguments of a call: settings by themselves, arrays against the image."""
    for p in params:
        if not p.role:
            p.check(arguments[p.name])
    roles = {p.name: p.role.name for p in params if p.role and arguments[p.name] is not None}
    array_namespace(*(arguments[name] for name in roles))
    first, *others = roles
    source = arguments[first]
    shape = tuple(source.shape)
    if arguments.get("channel_axis") is not None:
        axis = arguments["channel_axis"] = check_channel_axis(source, arguments["channel_axis"])
        shape = shape[:axis] + shape[axis + 1 :]
    if roles[first] == "image":
        check_image(source, shape, channels="channel_axis" in arguments)
    else:
        check_source_labels(first, source)
    for name in others:
        check_labels(name, arguments[name], shape, boolean=roles[name] == "mask", of=first)
    if arguments.get("spacing") is not None:
        arguments["spacing"] = check_spacing(arguments["spacing"], len(shape))


# Prose -----------------------------------------------------------------------------------------------


def _with_options(func: Callable[..., Any], hints: Mapping[str, Any]) -> str:
    """Return the docstring of `func` with the entry ``**options`` replaced by the options' own entries."""
    text = inspect.getdoc(func) or ""
    shared = next((get_args(h)[0] for h in hints.values() if get_origin(h) is not None and _is_options(h)), None)
    if shared is None or "**options" not in text:
        return text + "\n"
    head, _, tail = text.partition("**options")
    end = tail.index("\n\n")
    texts = (_section(inspect.getdoc(part) or "", "Attributes") for part in (*_parents(shared), shared))
    entries = "\n".join(text for text in texts if text)
    return head + entries + tail[end:] + "\n"


def _with_settings(func: Callable[..., Any], entry: Method, names: list[str]) -> str:
    """Return the docstring of `func` with the entry ``**settings`` replaced by those of a method."""
    head, _, tail = (inspect.getdoc(func) or "").partition("**settings")
    blocks = re.split(r"\n(?=\w)", _section(inspect.getdoc(entry.func) or "", "Parameters"))
    kept = [block for block in blocks if block.partition(" :")[0] in names]
    return head + "\n".join(kept) + tail[tail.index("\n\n") :] + "\n"


def _parents(options: Any) -> tuple[Any, ...]:
    """Return the TypedDicts whose entries a TypedDict begins with."""
    return tuple(base for base in getattr(options, "__orig_bases__", ()) if hasattr(base, "__annotations__"))


def _is_options(hint: Any) -> bool:
    return str(get_origin(hint)).endswith("Unpack")


def _section(text: str, title: str) -> str:
    """Return the body of one numpydoc section."""
    body = text.partition(f"{title}\n{'-' * len(title)}\n")[2]
    return body.partition("\n\n")[0].rstrip()


@functools.cache
def _descriptions(func: Callable[..., Any]) -> dict[str, str]:
    import docstring_parser

    parsed = docstring_parser.parse(inspect.getdoc(func) or "", style=docstring_parser.DocstringStyle.NUMPYDOC)
    return {
        name: " ".join((p.description or "").split())
        for p in parsed.params
        for name in p.arg_name.replace(" ", "").split(",")
    }

"""Every segmentation method, found by name: nothing is registered, the modules are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from ._method import Method

MODULES = (
    "methods.threshold",
    "methods.local_threshold",
    "methods.histogram",
    "methods.cluster",
    "methods.watershed",
    "methods.random_walker",
    "methods.partition",
    "methods.region_graph",
    "unet.predict",
    "unet.strokes",
    "methods.objects",
    "methods.link",
)
"""Where methods are; the order of the menus."""


@cache
def methods() -> dict[str, Method]:
    """Return every method by its public name, in the order of the menus."""
    found = {}
    for module in MODULES:
        namespace = import_module(f"{__package__}.{module}")
        for name in namespace.__all__:
            if (entry := getattr(getattr(namespace, name), "__method__", None)) is not None:
                found[name] = entry
    return found


def find(name: str) -> Method:
    """Return the method of that name.

    Parameters
    ----------
    name : str
        Public name, such as ``"threshold"``.

    Returns
    -------
    Method
        The method.

    Raises
    ------
    ValueError
        If there is none; the message lists those there are.
    """
    try:
        return methods()[name]
    except KeyError:
        raise ValueError(f"there is no method {name!r}; there are: {', '.join(methods())}") from None


@cache
def images_of(name: str) -> Mapping[str, Callable[..., Any]]:
    """Return what a method can show beside its labels, such as how likely each is.

    Parameters
    ----------
    name : str
        Public name of the method, such as ``"random_walker"``.

    Returns
    -------
    mapping of str to callable
        By what the images show, such as ``"probabilities"``: the functions that make them, which take the arrays and
        the settings of the method, all but the steps after the cut. Empty for most methods.
    """
    found = {}
    for module in MODULES:
        namespace = import_module(f"{__package__}.{module}")
        for public in namespace.__all__:
            function = getattr(namespace, public)
            method, shows = getattr(function, "__shows__", None) or ("", "")
            if method == name:
                found[shows] = function
    return found


def rows() -> dict[str, list[Method]]:
    """Return the methods of every widget, in the order of the menus."""
    found: dict[str, list[Method]] = {}
    for entry in methods().values():
        found.setdefault(entry.row, []).append(entry)
    for entry in methods().values():
        for row in entry.also:
            found[row].append(entry)
    return found

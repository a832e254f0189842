"""Sample images as napari takes them: one function per sample, made when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._volume import Volume
from ..samples import SAMPLES, sample

__all__ = ["factory", "layer_data"]


def factory(name: str) -> Callable[[], list[tuple[Any, dict[str, Any], str]]] | None:
    """Return the function that makes the layers of a sample.

    Parameters
    ----------
    name : str
        The sample's name.

    Returns
    -------
    callable or None
        Returns layer data tuples, the image first and the truth on it; None if there is no such sample.
    """
    if name not in SAMPLES:
        return None

    def layers() -> list[tuple[Any, dict[str, Any], str]]:
        found = sample(name)
        image = layer_data(found.image, "image")
        return [image] if found.truth is None else [image, layer_data(found.truth, "labels")]

    layers.__name__ = layers.__qualname__ = f"sample_{name}"
    layers.__doc__ = f"Make the layers of the sample {name}."
    return layers


def layer_data(volume: Volume, kind: str) -> tuple[Any, dict[str, Any], str]:
    """Return a volume as a layer data tuple.

    Parameters
    ----------
    volume : Volume
        Spatial axes, and perhaps colours last.
    kind : {"image", "labels"}
        The type of the layer.

    Returns
    -------
    tuple
        Data, arguments of the layer, type.
    """
    options: dict[str, Any] = {"name": volume.name, "metadata": dict(volume.metadata)}
    if volume.spacing is not None:
        options |= {"scale": volume.spacing, "units": (volume.units or "pixel",) * len(volume.spacing)}
    if kind == "image" and volume.axes.endswith("c"):
        options["rgb"] = True
    return volume.data, options, kind

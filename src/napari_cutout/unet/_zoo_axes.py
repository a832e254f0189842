"""Axes and sizes of a model of the BioImage Model Zoo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._onnx_backend import Form

__all__ = ["form_of"]

MOST_CHANNELS, LONGEST = 1024, 1 << 16
"""Channels of an input, and voxels of it along an axis, beyond which a description is not believed."""

Axis = Mapping[str, Any]


def form_of(given: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[Form, int]:
    """Return what a network takes and gives, and the channels that it gives.

    Parameters
    ----------
    given, found : mapping
        The entries of the input and the output.

    Returns
    -------
    form : Form
        Axes, channels and sizes.
    n_channels : int
        Channels of the output.

    Raises
    ------
    ValueError
        If it has axes that images have not, or an output of another size than its input.
    """
    inside, outside = _letters(given), _letters(found)
    space = "".join(letter for letter in "zyx" if letter in inside)
    if space not in ("yx", "zyx") or set(outside) - {"b", "c"} != set(space):
        raise ValueError(
            f"its input has the axes {''.join(inside)!r} and its output {''.join(outside)!r}, not b, c, [z,] y, x"
        )
    sizes = tuple(_size(letter, inside, str(given["id"])) for letter in space)
    for letter in space:
        _check_size(outside[letter], inside[letter], str(given["id"]))
    halo = tuple(_count("halo", outside[letter].get("halo") or 0, 0, LONGEST) for letter in space)
    for (least, _), n in zip(sizes, halo, strict=True):
        if not 0 <= 2 * n < least:
            raise ValueError(f"its halo of {n} voxels leaves nothing of {least}")
    n_channels = _channels(inside.get("c"), MOST_CHANNELS)
    return Form("".join(inside), "".join(outside), n_channels, sizes, halo), _channels(outside.get("c"), MOST_CHANNELS)


def _letters(tensor: Mapping[str, Any]) -> dict[str, Axis]:
    """Return the axes of a tensor by their letters."""
    found: dict[str, Axis] = {}
    for axis in tensor["axes"]:
        kind = axis["type"]
        letter = {"batch": "b", "channel": "c"}.get(kind) or (str(axis.get("id", "x")) if kind == "space" else "")
        if letter not in tuple("bczyx") or letter in found:
            raise ValueError(f"it has an axis {kind} {axis.get('id', '')!s}, and b, c, z, y, x once each are allowed")
        found[letter] = axis
    return found


def _channels(axis: Axis | None, most: int) -> int:
    if axis is None:
        return 1
    return _count("channel_names", len(axis["channel_names"]), 1, most)


def _size(letter: str, axes: Mapping[str, Axis], tensor: str) -> tuple[int, int]:
    """Return the smallest input along an axis, and by how much it may be longer."""
    size = axes[letter]["size"]
    if isinstance(size, Mapping) and "axis_id" in size:
        other = str(size["axis_id"])
        if size.get("tensor_id", tensor) != tensor or other == letter or size.get("offset", 0) or other not in axes:
            raise ValueError(f"the size of its axis {letter} depends on {dict(size)}")
        size = axes[other]["size"]
        if not isinstance(size, int):
            raise ValueError(f"its axis {letter} must be as long as {other}, which may vary")
    if isinstance(size, Mapping):
        return _count("min", size["min"], 1, LONGEST), _count("step", size["step"], 1, LONGEST)
    return _count("size", size, 1, LONGEST), 0


def _check_size(axis: Axis, of_input: Axis, tensor: str) -> None:
    """Refuse an output that is not as long as the input."""
    size = axis["size"]
    if isinstance(size, Mapping):
        same = str(size.get("tensor_id")) == tensor and not size.get("offset", 0)
        if same and float(axis.get("scale", 1)) == float(of_input.get("scale", 1)):
            return
    elif size == of_input["size"]:
        return
    raise ValueError(f"its output is not as large as its input (size {size}), so labels would not lie on the image")


def _count(name: str, value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, got {value!r}")
    return value

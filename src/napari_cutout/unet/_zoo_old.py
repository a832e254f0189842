"""Descriptions of the format 0.4 of the BioImage Model Zoo, said in the words of 0.5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["as_new"]

_AXES = {"b": "batch", "c": "channel"}


def as_new(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description of the format 0.4 as one of 0.5.

    Parameters
    ----------
    content : mapping
        What it says.

    Returns
    -------
    dict
        What a model of 0.5 would say; only what is needed to run it.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it is not such a description.
    """
    inputs = [_input(tensor) for tensor in content["inputs"]]
    examples = list(content.get("test_outputs") or ())
    outputs = [_output(tensor, examples[at : at + 1]) for at, tensor in enumerate(content["outputs"])]
    return {**content, "format_version": "0.5.0", "inputs": inputs, "outputs": outputs}


def _input(tensor: Mapping[str, Any]) -> dict[str, Any]:
    shape = tensor["shape"]
    if isinstance(shape, Mapping):
        sizes: list[Any] = [
            {"min": least, "step": step} if step else least
            for least, step in zip(shape["min"], shape["step"], strict=True)
        ]
    else:
        sizes = list(shape)
    axes = [_axis(letter, size) for letter, size in zip(tensor["axes"], sizes, strict=True)]
    return {"id": tensor["name"], "axes": axes, "preprocessing": _steps(tensor.get("preprocessing"))}


def _output(tensor: Mapping[str, Any], example: Sequence[str]) -> dict[str, Any]:
    shape, letters = tensor["shape"], tensor["axes"]
    halo = list(tensor.get("halo") or [0] * len(letters))
    axes = []
    for at, letter in enumerate(letters):
        size = _output_size(shape, at, letter) if isinstance(shape, Mapping) else shape[at]
        axes.append({**_axis(letter, size), **({"halo": halo[at]} if halo[at] else {})})
    steps = _steps(tensor.get("postprocessing"))
    found = {"id": tensor["name"], "axes": axes, "postprocessing": steps, "data": {"range": tensor.get("data_range")}}
    return {**found, "test_tensor": {"source": example[0]}} if example else found


def _output_size(shape: Mapping[str, Any], at: int, letter: str) -> Any:
    """Return a size that is said as that of another tensor, scaled and moved."""
    scale, offset = shape["scale"][at], shape["offset"][at]
    if not scale:  # a new axis
        return int(2 * offset)
    if letter == "c":
        raise ValueError("the number of channels of its output depends on its input")
    # An offset is given for each end, and a scale other than 1 is none that is as large as the input.
    moved = int(2 * offset) if scale == 1 else 1
    return {"tensor_id": shape["reference_tensor"], "axis_id": letter, "offset": moved}


def _axis(letter: str, size: Any) -> dict[str, Any]:
    if letter == "c":
        return {"type": "channel", "channel_names": [f"channel{at}" for at in range(min(int(size), 4096))]}
    if letter == "b":
        return {"type": "batch"}
    return {"type": "space" if letter in "zyx" else letter, "id": letter, "size": size}


def _steps(said: Sequence[Mapping[str, Any]] | None) -> list[dict[str, Any]]:
    """Return steps under their new names, with axes spelt out."""
    found = []
    for step in said or ():
        name, kwargs = step["name"], dict(step.get("kwargs") or {})
        if isinstance(kwargs.get("axes"), str):
            kwargs["axes"] = [_AXES.get(letter, letter) for letter in kwargs["axes"]]
        if name == "zero_mean_unit_variance" and kwargs.pop("mode", "fixed") == "fixed" and "mean" in kwargs:
            name = "fixed_zero_mean_unit_variance"
        found.append({"id": name, "kwargs": kwargs})
    return found

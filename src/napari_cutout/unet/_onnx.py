"""A U-Net as ONNX, written from its architecture and weights: no torch, and the same bytes for the same model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._files import needed
from ._weights import n_bytes_of
from .architecture import Architecture
from .trained import UNetModel

__all__ = ["onnx_bytes"]

OPSET, IR_VERSION = 17, 8
"""What runtimes from 2022 on read."""

MOST_BYTES = 2**31 - 2**20
"""What one file of ONNX can hold: it is one protobuf message."""

EPSILON = 1e-5
"""What torch adds to variances."""


def onnx_bytes(model: UNetModel) -> bytes:
    """Return a model as ONNX.

    Parameters
    ----------
    model : UNetModel
        What to write.

    Returns
    -------
    bytes
        The file.

    Raises
    ------
    ImportError
        If onnx is not installed; the message has the line that installs it.
    ValueError
        If the weights are too many for one file.
    """
    onnx = needed("onnx", "exporting to ONNX", "zoo")
    if (n_bytes := n_bytes_of(model.architecture)) > MOST_BYTES:
        raise ValueError(
            f"the weights take {n_bytes:,} bytes, and a file of ONNX holds {MOST_BYTES:,}; lower the width"
        )
    a = model.architecture
    graph = _Graph(onnx.helper, model.weights)
    graph.add("Identity", [_activated(graph, _network(graph, a), model.head)], output="probabilities")
    axes = ["z", "y", "x"][-a.ndim :]
    float32 = onnx.TensorProto.FLOAT
    made = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes,
            "U-Net",
            [onnx.helper.make_tensor_value_info("image", float32, ["n", a.n_channels, *axes])],
            [onnx.helper.make_tensor_value_info("probabilities", float32, ["n", a.n_outputs, *axes])],
            [onnx.numpy_helper.from_array(value, name) for name, value in graph.constants.items()],
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="napari-cutout",
    )
    onnx.helper.set_model_props(made, _told(model))
    onnx.checker.check_model(made, full_check=True)
    return bytes(made.SerializeToString(deterministic=True))


def _told(model: UNetModel) -> dict[str, str]:
    """Return what a program must know to use it."""
    a = model.architecture
    told = {
        "name": model.name,
        "classes": list(model.classes),
        "head": model.head,
        "input": "(image - mean) / standard deviation of each channel over the whole image",
        "output": "background and inside add up to 1, and how deep inside"
        if model.head == "distance"
        else "probabilities, which add up to 1",
        "multiple": list(a.multiple),
        "receptive_field": list(a.receptive_field),
        "spacing": None if model.spacing is None else list(model.spacing),
        "sha256": model.digest,
    }
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in told.items()}


@dataclass(slots=True)
class _Graph:
    """Nodes and constants, as they are added."""

    helper: Any
    weights: Mapping[str, NDArray[Any]]
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)

    def add(self, kind: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """Add a node and return the name of what it gives."""
        name = output or f"{kind}_{len(self.nodes)}"
        self.nodes.append(self.helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def weight(self, name: str) -> str:
        """Return the name of a weight, which becomes part of the file."""
        return self.constant(name, np.asarray(self.weights[name], order="C"))

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Return the name of a constant."""
        self.constants[name] = value
        return name


def _network(graph: _Graph, a: Architecture) -> str:
    """Add what `_modules.UNet` computes."""
    x, links = "image", []
    for level in range(a.depth + 1):
        if level:
            stride = list(a.strides[level - 1])
            x = graph.add("MaxPool", [x], kernel_shape=stride, strides=stride)
        x = _block(graph, a, x, f"encoder.{level}", level)
        links.append(x)
    links.pop()
    for level in reversed(range(a.depth)):
        stride = list(a.strides[level])
        up = [x, graph.weight(f"up.{level}.weight"), graph.weight(f"up.{level}.bias")]
        x = graph.add("ConvTranspose", up, kernel_shape=stride, strides=stride)
        x = graph.add("Concat", [x, links.pop()], axis=1)
        x = _block(graph, a, x, f"decoder.{level}", level)
    return graph.add("Conv", [x, graph.weight("last.weight"), graph.weight("last.bias")], kernel_shape=[1] * a.ndim)


def _block(graph: _Graph, a: Architecture, x: str, name: str, level: int) -> str:
    """Add what `_modules.Block` computes."""
    kernel = a.kernels[level]

    def convolution(x: str, at: int) -> str:
        given = [x, graph.weight(f"{name}.inner.{at}.weight")]
        if a.normalisation == "none":
            given.append(graph.weight(f"{name}.inner.{at}.bias"))
        found = graph.add("Conv", given, kernel_shape=list(kernel), pads=[k // 2 for k in kernel] * 2)
        return _normalised(graph, a, found, f"{name}.inner.{at + 1}")

    inner = convolution(graph.add("Relu", [convolution(x, 0)]), 3)
    if a.residual:
        link = f"{name}.link.weight"
        if link in graph.weights:
            x = graph.add("Conv", [x, graph.weight(link)], kernel_shape=[1] * a.ndim)
        inner = graph.add("Add", [inner, x])
    return graph.add("Relu", [inner])


def _normalised(graph: _Graph, a: Architecture, x: str, name: str) -> str:
    if a.normalisation == "none":
        return x
    if a.normalisation == "group":
        return _group_normalised(graph, a, x, name)
    given = [graph.weight(f"{name}.weight"), graph.weight(f"{name}.bias")]
    if a.normalisation == "instance":
        return graph.add("InstanceNormalization", [x, *given], epsilon=EPSILON)
    given += [graph.weight(f"{name}.running_mean"), graph.weight(f"{name}.running_var")]
    return graph.add("BatchNormalization", [x, *given], epsilon=EPSILON)


def _group_normalised(graph: _Graph, a: Architecture, x: str, name: str) -> str:
    """Add a normalisation of groups as one of instances, each a group: older runtimes have no other."""
    weight, bias = (np.asarray(graph.weights[f"{name}.{part}"]) for part in ("weight", "bias"))
    n = len(weight)
    n_groups = next(g for g in (8, 4, 2, 1) if n % g == 0)
    wide = (n, *(1,) * a.ndim)
    groups = graph.constant(f"{name}.groups", np.array([0, n_groups, -1], np.int64))
    ones = graph.constant(f"{name}.ones", np.ones(n_groups, np.float32))
    noughts = graph.constant(f"{name}.noughts", np.zeros(n_groups, np.float32))
    shape = graph.add("Shape", [x])
    flat = graph.add("Reshape", [x, groups])
    flat = graph.add("InstanceNormalization", [flat, ones, noughts], epsilon=EPSILON)
    x = graph.add("Reshape", [flat, shape])
    x = graph.add("Mul", [x, graph.constant(f"{name}.weight", weight.reshape(wide))])
    return graph.add("Add", [x, graph.constant(f"{name}.bias", bias.reshape(wide))])


def _activated(graph: _Graph, x: str, head: str) -> str:
    """Add what makes probabilities of what comes out, as `_backend.activated`."""
    if head != "distance":
        return graph.add("Softmax", [x], axis=1)
    bounds = [graph.constant(f"bound.{i}", np.array([i], np.int64)) for i in range(4)]
    classes = graph.add("Softmax", [graph.add("Slice", [x, bounds[0], bounds[2], bounds[1]])], axis=1)
    depth = graph.add("Sigmoid", [graph.add("Slice", [x, bounds[2], bounds[3], bounds[1]])])
    return graph.add("Concat", [classes, depth], axis=1)

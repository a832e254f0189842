"""What a U-Net is made of: by hand, against torch's own counts, and against what gradients reach."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cutout.unet import _modules
from napari_cutout.unet._torch import import_torch
from napari_cutout.unet.architecture import Architecture, Normalisation, architecture_for
from napari_cutout.unet.model import network

torch = import_torch()

NORMALISATIONS: list[Normalisation] = ["batch", "instance", "group", "none"]


def square(strides: list[int], kernels: list[int], **more: Any) -> Architecture:
    """Return a U-Net of planes with the same strides and kernels along both axes."""
    return Architecture(1, 2, tuple((s, s) for s in strides), tuple((k, k) for k in kernels), **more)


# Reach -----------------------------------------------------------------------------------------------


def test_reach_by_hand() -> None:
    # Two convolutions of 3 voxels: 2 on each side.
    assert square([], [3]).reach == ((2, 2), (2, 2))
    assert square([], [5]).receptive_field == (9, 9)
    assert square([], [1]).receptive_field == (1, 1)
    # One halving. Voxel 0: the decoder's block sees -2..2, which are -1..1 of the level below; its block sees -3..3,
    # which were pooled from -6..7; the encoder's block before sees -8..9. Voxel 1: -1..3 are -1..1, so -8..9 too,
    # which is 9 down and 8 up. Each sees 18 voxels.
    one = square([2], [3, 3])
    assert one.reach == ((9, 9), (9, 9))
    assert one.receptive_field == (18, 18)
    # Halved without convolutions below: 0 sees -2..2, -1..1, -2..3, -4..5; 1 sees -1..3, -1..1, so -4..5.
    assert square([2], [3, 1]).reach == ((5, 5), (5, 5))
    # Not halved: -2..2, then -4..4 below, then -6..6.
    assert square([1], [3, 3]).reach == ((6, 6), (6, 6))


def measured_spans(a: Architecture) -> list[list[tuple[int, int]]]:
    """Return how far each output voxel sees along each axis, as gradients show it."""
    net = network(a).double()
    for weight in net.parameters():  # nothing cancels, and no ReLU is 0
        torch.nn.init.constant_(weight, 1 / max(weight[0].numel(), 1))
    shape = tuple(-(-(down + up + 4) // m) * 2 * m for (down, up), m in zip(a.reach, a.multiple, strict=True))
    image = torch.ones((1, a.n_channels, *shape), dtype=torch.float64, requires_grad=True)
    said = net(image)
    found = []
    for axis, m in enumerate(a.multiple):
        spans = []
        for phase in range(m):
            at = [n // 2 // k * k for n, k in zip(shape, a.multiple, strict=True)]
            at[axis] += phase
            (gradient,) = torch.autograd.grad(said[(0, 0, *at)], image, retain_graph=True)
            there = np.flatnonzero(gradient[0, 0].numpy().any(tuple(k for k in range(a.ndim) if k != axis)))
            spans.append((at[axis] - int(there[0]), int(there[-1]) - at[axis]))
        found.append(spans)
    return found


@pytest.mark.parametrize(
    "architecture",
    [
        square([2], [3, 3], width=1, normalisation="none"),
        square([2, 2], [3, 3, 3], width=1, normalisation="none", residual=True),
        square([4], [1, 5], width=1, normalisation="none"),
        Architecture(1, 1, ((1, 2), (2, 2)), ((1, 3), (3, 3), (1, 3)), 1, "none"),
        Architecture(1, 1, ((1, 2, 2),), ((1, 3, 3), (3, 3, 1)), 1, "none"),
    ],
)
def test_gradients_reach_exactly_as_far_as_was_computed(
    architecture: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = {2: torch.nn.functional.avg_pool2d, 3: torch.nn.functional.avg_pool3d}[architecture.ndim]
    monkeypatch.setattr(_modules, "pooled", lambda x, stride: pool(x, stride))  # the largest has a gradient alone
    found = measured_spans(architecture)
    assert architecture.reach == tuple((max(d for d, _ in s), max(u for _, u in s)) for s in found)
    assert architecture.receptive_field == tuple(max(d + u + 1 for d, u in s) for s in found)


# Counts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("ndim", [2, 3])
def test_as_many_parameters_as_torch_counts(normalisation: Normalisation, residual: bool, ndim: int) -> None:
    a = architecture_for(
        (32,) * ndim, n_channels=3, n_outputs=4, spacing=(2.5, 1, 1)[-ndim:], depth=2, width=3,
        normalisation=normalisation, residual=residual,
    )  # fmt: skip
    assert a.n_parameters == sum(p.numel() for p in network(a).parameters())


def test_parameters_by_hand() -> None:
    # 1 -> 2 -> 2 channels of 3 x 3 with a bias each: 18 + 2 + 36 + 2; the last layer: 2 * 3 + 3.
    assert Architecture(1, 3, (), ((3, 3),), 2, "none").n_parameters == 58 + 9
    # Batch normalisation has a factor and a shift, and no bias: 18 + 4 + 36 + 4.
    assert Architecture(1, 3, (), ((3, 3),), 2, "batch").n_parameters == 62 + 9
    # What goes in is added, through 1 x 1 where channels differ: 2 more.
    assert Architecture(1, 3, (), ((3, 3),), 2, "batch", residual=True).n_parameters == 64 + 9


def test_widths_double_up_to_the_widest() -> None:
    assert square([2] * 3, [3] * 4, width=16).widths == (16, 32, 64, 128)
    assert square([2] * 3, [3] * 4, width=200).widths == (200, 400, 512, 512)


MEASURE = """
import gc, sys
import numpy as np
from napari_cutout.unet._torch import import_torch
from napari_cutout.unet.architecture import architecture_for
from napari_cutout.unet.losses import loss_named
from napari_cutout.unet.model import network
from tests.pages import peak, touched_from_now
torch = import_torch()
torch.set_num_threads(1)
what, ndim, normalisation, residual, depth = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4] == "True", 3
n, shape = (4, (192,) * 2) if ndim == 2 else (1, (64 if what == "predict" else 48,) * 3)
a = architecture_for(shape, depth=depth, normalisation=normalisation, residual=residual)
layout = torch.channels_last if ndim == 2 else torch.channels_last_3d
net = network(a).to(memory_format=layout).train(what == "train")
optimizer = torch.optim.AdamW(net.parameters())
def once(n, shape):
    image = torch.zeros((n, 1, *shape)).contiguous(memory_format=layout)
    if what == "predict":
        with torch.inference_mode():
            return net(image)
    loss_named("dice + cross-entropy")(net(image), torch.zeros((n, *shape), dtype=torch.int64)).backward()
    optimizer.step()
    optimizer.zero_grad()
once(1, (16,) * ndim)
gc.collect()
before = touched_from_now()
once(n, shape)
voxels = n * int(np.prod(shape))
said = a.train_bytes(voxels) - 16 * a.n_parameters if what == "train" else a.predict_bytes(voxels)
print(said / (peak() - before))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("what", ["predict", "train"])
@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize(("normalisation", "residual"), [("batch", False), ("instance", False), ("none", True)])
def test_memory_is_told_within_30_percent(what: str, ndim: int, normalisation: str, residual: bool) -> None:
    words = [what, str(ndim), normalisation, str(residual)]
    environment = {"MALLOC_MMAP_THRESHOLD_": "65536"}  # so that what is freed leaves the process
    command, folder = [sys.executable, "-c", MEASURE, *words], Path(__file__).parents[1]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=folder)
    assert 0.7 < float(told.stdout) < 1.3


# From shape and spacing --------------------------------------------------------------------------------


def test_isotropic_images_are_halved_along_all_axes() -> None:
    plane, volume = architecture_for((256, 300)), architecture_for((64, 64, 64))
    assert (plane.strides, plane.kernels) == (((2, 2),) * 4, ((3, 3),) * 5)
    assert (volume.strides, volume.kernels) == (((2, 2, 2),) * 3, ((3, 3, 3),) * 4)
    assert volume.multiple == (8, 8, 8)


def test_long_voxels_wait_until_the_others_are_as_long() -> None:
    # Lengths 5, 1, 1: halved in the plane to 2, 2, then to 4, 4; now 5 < 2 * 4.
    a = architecture_for((32, 64, 64), spacing=(5, 1, 1))
    assert a.strides == ((1, 2, 2), (1, 2, 2), (2, 2, 2))
    assert a.kernels == ((1, 3, 3), (1, 3, 3), (3, 3, 3), (3, 3, 3))
    assert a.multiple == (2, 8, 8)
    # Twice as long is not near; a little less is.
    assert architecture_for((32, 64, 64), spacing=(2, 1, 1)).kernels[0] == (1, 3, 3)
    assert architecture_for((32, 64, 64), spacing=(1.9, 1, 1)).kernels[0] == (3, 3, 3)
    # um or nm, the network is the same.
    assert architecture_for((32, 64, 64), spacing=(0.5, 0.1, 0.1)) == a


def test_axes_that_are_too_short_are_not_halved_and_do_not_stop_the_others() -> None:
    # 6 planes are halved to 3 and stay; the plane goes on though its voxels become longer than those across.
    a = architecture_for((6, 64, 64))
    assert a.strides == ((2, 2, 2), (1, 2, 2), (1, 2, 2))
    assert a.kernels == ((3, 3, 3),) * 4
    assert architecture_for((2, 64, 64)).strides == ((1, 2, 2),) * 3


def test_a_single_plane_has_no_neighbours_whatever_its_thickness() -> None:
    a = architecture_for((1, 64, 64), spacing=(0.1, 1, 1))
    assert a.strides == ((1, 2, 2),) * 3
    assert a.kernels == ((1, 3, 3),) * 4


def test_small_images_have_shallow_networks_unless_a_depth_is_asked_for() -> None:
    assert architecture_for((9, 9)).strides == ((2, 2),) * 2  # 9, 4, 2
    assert architecture_for((3, 3)).depth == 0
    with pytest.raises(ValueError, match=r"image of \(9, 9\) voxels is too small for depth 3; .* at most 2"):
        architecture_for((9, 9), depth=3)
    with pytest.raises(ValueError, match="depth must be a whole number from 0 to 8, got 9"):
        architecture_for((4096, 4096), depth=9)
    assert architecture_for((4096, 4096), depth=8).multiple == (256, 256)


@given(
    st.lists(st.integers(1, 300), min_size=2, max_size=3),
    st.lists(st.floats(0.1, 10), min_size=3, max_size=3),
    st.integers(1, 64),
)
def test_any_image_has_a_network_that_fits_it(shape: list[int], spacing: list[float], width: int) -> None:
    a = architecture_for(shape, spacing=spacing[-len(shape) :], width=width)
    assert all(n >= 2 * m or m == 1 for n, m in zip(shape, a.multiple, strict=True))
    assert all(k == 1 or n > 1 for axes in a.kernels for k, n in zip(axes, shape, strict=True))
    assert Architecture.from_dict(json.loads(json.dumps(a.as_dict()))) == a
    assert a.train_bytes(100) > a.predict_bytes(100) > 0


# What is refused -------------------------------------------------------------------------------------

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
VALID = architecture_for((64, 64), depth=2).as_dict()


@given(st.sampled_from(sorted(VALID)), JSON)
def test_any_json_is_refused_or_valid(name: str, value: Any) -> None:
    given_one = {**VALID, name: value}
    try:
        found = Architecture.from_dict(given_one)
    except ValueError:
        return
    assert Architecture.from_dict(json.loads(json.dumps(found.as_dict()))) == found
    assert found.n_parameters > 0 < min(found.receptive_field)


@given(JSON)
def test_json_that_is_no_architecture_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="an architecture has kernels, "):
        Architecture.from_dict(value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_channels": 0}, "n_channels must be a whole number from 1 to 1024, got 0"),
        ({"n_outputs": True}, "n_outputs must be a whole number from 1 to 1024, got True"),
        ({"width": 513}, "width must be a whole number from 1 to 512, got 513"),
        ({"width": 16.0}, "width must be a whole number"),
        ({"normalisation": "layer"}, "normalisation must be one of 'batch', 'instance', 'group', 'none', got 'layer'"),
        ({"residual": 1}, "residual must be true or false, got 1"),
        ({"strides": [[2, 2]]}, "one level more than strides"),
        ({"strides": [[2, 2], [3, 2]]}, r"every entry of strides must be 2 of the numbers \(1, 2, 4\), got \(3, 2\)"),
        ({"kernels": [[3, 3], [3, 3], [3, 2]]}, r"every entry of kernels must be 2 of the numbers .* got \(3, 2\)"),
        ({"kernels": [[3, 3], [3, 3], [3]]}, "every entry of kernels must be 2 of the numbers"),
        ({"strides": None}, "strides must be a list with the numbers of each level, got None"),
        ({"kernels": 5}, "kernels must be a list with the numbers of each level, got 5"),
        ({"strides": [[2, 2]] * 9, "kernels": [[3, 3]] * 10}, "at most 9"),
        ({"more": 1}, "an architecture has"),
    ],
)
def test_fields_out_of_range_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Architecture.from_dict({**VALID, **change})


# The network -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("residual", [False, True])
def test_a_tile_says_what_the_whole_says_beyond_its_reach(normalisation: Normalisation, residual: bool) -> None:
    a = architecture_for((64, 64), depth=1, width=4, normalisation=normalisation, residual=residual)
    net = network(a, seed=3)
    image = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (1, 1, 64, 64)).astype(np.float32))
    net(image)  # batch normalisation keeps something of what it saw
    net.eval()
    (down, up), _ = a.reach
    with torch.inference_mode():
        whole, tile = net(image), net(image[..., 10:54, 10:54])
    inner = slice(down, 44 - up)
    close = torch.allclose(tile[..., inner, inner], whole[..., 10:54, 10:54][..., inner, inner], atol=1e-6)
    assert close is not a.has_tile_statistics
    rim = torch.allclose(tile[..., 0, :], whole[..., 10, 10:54], atol=1e-6)
    assert not rim  # beyond the tile it sees nothing


@pytest.mark.parametrize("residual", [False, True])
def test_residual_blocks_add_what_goes_in(residual: bool) -> None:
    a = Architecture(4, 2, (), ((3, 3),), 4, "none", residual)
    net = network(a)
    for layer in net.encoder[0].inner:
        for weight in layer.parameters():
            torch.nn.init.zeros_(weight)
    image = torch.randn((1, 4, 6, 6), generator=torch.Generator().manual_seed(0))
    found = net.encoder[0](image)
    assert torch.equal(found, image.relu() if residual else torch.zeros_like(image))


@pytest.mark.parametrize("shape", [(2, 3, 4, 6, 8), (1, 2, 2, 2, 4)])
@pytest.mark.parametrize("stride", [(2, 2, 2), (1, 2, 2), (2, 1, 2), (1, 1, 1)])
def test_pooling_of_a_gpu_is_that_of_the_cpu(shape: tuple[int, ...], stride: tuple[int, ...]) -> None:
    image = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    first, second = image.clone().requires_grad_(), image.clone().requires_grad_()
    expected, found = _modules.pooled(first, stride), _modules.pooled_in_planes(second, stride)
    assert torch.equal(found, expected)
    weights = torch.arange(expected.numel(), dtype=torch.float64).reshape(expected.shape)
    (expected * weights).sum().backward()
    (found * weights).sum().backward()
    assert torch.equal(first.grad, second.grad)


def test_instance_normalisation_is_that_of_torch_and_takes_a_single_voxel() -> None:
    image = torch.randn((2, 3, 5, 7), generator=torch.Generator().manual_seed(2))
    ours, theirs = _modules.InstanceNorm(3), torch.nn.InstanceNorm2d(3, affine=True)
    for layer in (ours, theirs):
        torch.nn.init.constant_(layer.weight, 1.5)
        torch.nn.init.constant_(layer.bias, -0.5)
    assert torch.allclose(ours(image), theirs(image), atol=1e-6)
    assert torch.allclose(ours(image[..., :1, :1]), torch.full((2, 3, 1, 1), -0.5), atol=1e-3)
    assert network(architecture_for((16, 16), normalisation="instance")).eval()(torch.ones((1, 1, 8, 8))).shape[1] == 2


def test_weights_follow_from_the_seed_and_leave_the_generator_of_torch_alone() -> None:
    a = architecture_for((16, 16), depth=1, width=4)
    before = torch.get_rng_state()
    first, second, other = network(a, seed=5), network(a, seed=5), network(a, seed=6)
    assert torch.equal(torch.get_rng_state(), before)
    same = [torch.equal(p, q) for p, q in zip(first.parameters(), second.parameters(), strict=True)]
    assert all(same)
    assert not torch.equal(first.last.weight, other.last.weight)


def test_the_last_layer_starts_with_the_spread_of_its_input() -> None:
    a = architecture_for((64, 64), n_outputs=300)
    net, given = network(a), []
    net.last.register_forward_hook(lambda _layer, inputs, _output: given.append(inputs[0]))
    said = net(torch.randn((2, 1, 64, 64), generator=torch.Generator().manual_seed(4)))
    assert float((said.square().mean() / given[0].square().mean()).detach()) == pytest.approx(1, rel=0.15)
    assert not net.last.bias.any()

"""Training a U-Net: that it learns, what teaches nothing, what reports say, when it stops, and what stays."""

from __future__ import annotations

import inspect
import itertools
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

import napari_cutout as nc
from napari_cutout.unet import _loop, train
from napari_cutout.unet._loop import Loop, Report, State
from napari_cutout.unet._settings import TrainSettings

from .patience import PATIENCE

torch = pytest.importorskip("torch")

TINY: dict[str, Any] = {"width": 4, "depth": 2, "patch": (16, 16), "batch_size": 4, "n_steps": 12, "device": "cpu"}


def blobs(shape: tuple[int, ...] = (48, 48), seed: int = 0, noise: float = 0.3) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return an image of blobs, and their truth: 1 around them and 2 in them."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), 3)
    truth = 1 + (smooth > np.quantile(smooth, 0.6))
    return (truth + noise * rng.normal(size=shape)).astype(np.float32), truth.astype(np.uint8)


def dice_of(found: NDArray[Any], truth: NDArray[Any], label: int) -> float:
    a, b = found == label, truth == label
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def same(one: nc.UNetModel, other: nc.UNetModel) -> bool:
    """Tell whether two models have the same weights, bit for bit."""
    return one.digest == other.digest


# It learns ---------------------------------------------------------------------------------------------


def test_one_annotated_patch_is_learned_by_heart() -> None:
    # Labels that no grey level tells: noise on noise. A network that reads patches right can still learn them.
    rng = np.random.default_rng(1)
    image = rng.normal(size=(32, 32)).astype(np.float32)
    truth = np.kron(rng.integers(1, 3, (4, 4)), np.ones((8, 8), int))
    model = nc.unet_train(
        image, truth, width=8, depth=3, patch=(32, 32), batch_size=2, n_steps=80, validation=0, augment=(),
        learning_rate=1e-2, device="cpu",
    )  # fmt: skip
    found = nc.unet_predict(image, model=model)
    assert min(dice_of(found, truth, 1), dice_of(found, truth, 2)) > 0.95


@pytest.mark.parametrize(("shape", "patch", "depth"), [((64, 64), (32, 32), 2), ((8, 32, 32), (8, 32, 32), 1)])
def test_a_few_strokes_are_enough_where_grey_levels_tell(
    shape: tuple[int, ...], patch: tuple[int, ...], depth: int
) -> None:
    image, truth = blobs(shape)
    strokes = np.zeros_like(truth)
    strokes[..., 8:12] = truth[..., 8:12]
    model = nc.unet_train(
        image, strokes, width=4, depth=depth, n_steps=60, batch_size=4, patch=patch, device="cpu", learning_rate=1e-2
    )
    found = nc.unet_predict(image, model=model)
    unseen = strokes == 0
    assert dice_of(found[unseen], truth[unseen], 2) > 0.85
    assert model.classes == (1, 2)


def test_channels_are_learned_from_together_and_one_by_one() -> None:
    _, truth = blobs((32, 32))
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(32, 32))
    image = np.stack((noise, noise + 2 * (truth == 2))).astype(np.float32)  # their difference alone tells
    settings = TINY | {"n_steps": 40, "learning_rate": 1e-2}
    both = nc.unet_train(image, truth, channel_axis=0, **settings)
    assert both.architecture.n_channels == 2
    assert dice_of(nc.unet_predict(image, model=both, channel_axis=0), truth, 2) > 0.9
    one = nc.unet_train(image, truth, channel_axis=0, channel=1, **TINY)
    assert same(one, nc.unet_train(image[1], truth, **TINY))


def test_numbered_objects_are_learned_with_their_boundaries() -> None:
    labels = np.kron(np.arange(1, 17).reshape(4, 4), np.ones((12, 12), int))
    labels[::12] = 0
    image = (labels > 0).astype(np.float32)
    model = nc.unet_train(image, labels, head="boundary", ignore=None, **TINY)
    assert (model.head, model.classes, model.architecture.n_outputs) == ("boundary", (0, 1), 3)
    assert len(model.training["history"][-1]["dice"]) == 3


# What teaches nothing ----------------------------------------------------------------------------------


def test_the_value_of_what_is_not_annotated_teaches_nothing() -> None:
    image, truth = blobs()
    painted = np.random.default_rng(0).random(truth.shape) < 0.3
    models = [
        nc.unet_train(image, np.where(painted, truth, unpainted), ignore=unpainted, **TINY) for unpainted in (0, 7)
    ]
    assert same(*models)


def test_what_is_held_out_teaches_nothing() -> None:
    image, truth = blobs()
    plan = nc.unet_plan(image, truth, **{k: v for k, v in TINY.items() if k != "device"})
    other = truth.copy()  # the labels that are held out, turned round: as many of each in each place
    for cell in np.flatnonzero(plan.held):
        region = plan.cells.region(int(cell), truth.shape)
        other[region] = truth[region][::-1, ::-1]
    settings = TINY | {"patience": 99, "loss": "dice"}
    first, second = (_last_weights(labels, image, settings) for labels in (truth, other))
    assert first[0] != second[0]
    for name, weights in first[1].items():
        np.testing.assert_array_equal(weights, second[1][name], err_msg=name)


def _last_weights(labels: NDArray[Any], image: NDArray[Any], settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the Dice of the last validation and the weights after the last step, not those that are kept."""
    found: list[State] = []
    run = Loop.run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loop, "run", lambda self, state: (found.append(state), run(self, state))[1])
        model = nc.unet_train(image, labels, **settings)
    return model.training["history"][-1]["dice"], dict(found[0].weights)


def test_parts_of_a_batch_teach_what_the_batch_teaches(monkeypatch: pytest.MonkeyPatch) -> None:
    image, truth = blobs()
    painted = np.where(np.random.default_rng(0).random(truth.shape) < 0.2, truth, 0)
    settings = TINY | {"normalisation": "none", "loss": "cross-entropy", "n_steps": 6}
    whole = nc.unet_train(image, painted, **settings)
    forward = type(_loop.network(whole.architecture)).forward

    def small(self: Any, x: Any) -> Any:
        if self.training and len(x) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, x)

    monkeypatch.setattr(type(_loop.network(whole.architecture)), "forward", small)
    with nc.watch() as monitor:
        parts = nc.unet_train(image, painted, **settings)
    assert monitor.facts["smaller_batches"] == "memory ran out; batches are learned in parts of 1 patches"
    assert parts.training["parts_of_batches"] == 1
    for name, weights in whole.weights.items():
        np.testing.assert_allclose(parts.weights[name], weights, rtol=1e-3, atol=1e-5, err_msg=name)


def test_a_patch_that_does_not_fit_is_an_error_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    image, truth = blobs()

    def full(*_: Any, **__: Any) -> Any:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(_loop, "augmented", full)
    with pytest.raises(MemoryError, match=r"one patch of \(16, 16\) voxels does not fit .* choose a smaller patch"):
        nc.unet_train(image, truth, **TINY)


# The same again ----------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_weights_and_leaves_the_generators_alone() -> None:
    image, truth = blobs()
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first, second, other = (nc.unet_train(image, truth, seed=seed, **TINY) for seed in (0, 0, 1))
    assert same(first, second)
    assert not same(first, other)
    assert torch.equal(before, torch.random.get_rng_state())
    assert not torch.are_deterministic_algorithms_enabled()


def test_lazy_and_stored_images_give_the_weights_of_arrays() -> None:
    import dask.array as da
    import zarr

    image, truth = blobs()
    settings = TINY | {"n_steps": 3}
    expected = nc.unet_train(image, truth, **settings)
    assert same(expected, nc.unet_train(da.from_array(image, chunks=20), da.from_array(truth, chunks=17), **settings))
    stored, strokes = zarr.array(np.stack((image, image)), chunks=(1, 20, 20)), zarr.array(truth, chunks=(9, 9))
    assert same(expected, nc.unet_train(stored, strokes, channel_axis=0, channel=1, **settings))
    del settings["device"]
    assert same(expected, nc.unet_plan(image, truth, **settings).train(device="cpu"))


def test_determinism_lasts_as_long_as_any_thread_needs_it() -> None:
    from napari_cutout.unet._torch import deterministic

    first, second = deterministic(), deterministic()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert torch.are_deterministic_algorithms_enabled()
    second.__exit__(None, None, None)
    assert not torch.are_deterministic_algorithms_enabled()


def test_running_statistics_are_those_of_batches_from_the_first_step_on() -> None:
    # Not nine parts of what they begin as, a mean of 0 and a variance of 1, to one of the first batch.
    image, truth = blobs()
    model = nc.unet_train(image, truth, **TINY | {"n_steps": 1, "learning_rate": 0.0, "augment": ()})
    net = _loop.network(model.architecture)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    changed = [k for k in before if "running_var" in k and np.allclose(model.weights[k], 0.9, atol=0.02)]
    assert not changed
    assert all((model.weights[k] < 0.89).any() or (model.weights[k] > 1).any() for k in before if "running_var" in k)


# Reports -----------------------------------------------------------------------------------------------


def test_reports_say_how_it_goes_and_show_the_example() -> None:
    image, truth = blobs()
    reports: list[Report] = []
    steps: list[tuple[int, int, float]] = []
    progress: list[float] = []
    with nc.watch(lambda stage, done: progress.append(done) if stage == "training" else None):
        model = nc.unet_train(
            image, truth, example=image[4:30, 5:40], on_report=reports.append,
            on_step=lambda *step: steps.append(step), **TINY,
        )  # fmt: skip
    assert [r.step for r in reports] == [5, 10, 12]
    assert [s[0] for s in steps] == list(range(1, 13))
    assert [loss for r in reports for loss in r.losses] == [s[2] for s in steps]
    for report in reports:
        assert report.loss == pytest.approx(np.mean(report.losses))
        assert report.n_steps == 12
        assert report.example is not None
        assert report.example.shape == (26, 35)
        assert len(report.dice) == 2
    best = max(reports, key=lambda r: (r.mean_dice, -r.validation_loss))
    assert model.training["dice"] == pytest.approx(best.mean_dice, abs=1e-6)
    assert model.training["history"] == [r.as_dict() for r in reports]
    assert progress[-1] == 11 / 12


def _labels_of(model: nc.UNetModel, image: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(nc.unet_predict(image, model=model))


def test_the_example_is_scaled_as_the_image_that_it_is_a_part_of() -> None:
    # The example alone would have another mean; without borders in reach it says what the whole says there.
    image, truth = blobs((64, 64))
    reports: list[Report] = []
    settings = TINY | {"depth": 1, "validation": 0}
    model = nc.unet_train(image, truth, example=image[:32], on_report=reports.append, **settings)
    reach = model.architecture.reach[0][1]
    assert reports[-1].example is not None
    np.testing.assert_array_equal(reports[-1].example[: 32 - reach], _labels_of(model, image)[: 32 - reach])


def test_an_example_of_planes_of_a_volume_has_their_axes() -> None:
    image, truth = blobs((6, 32, 32))
    reports: list[Report] = []
    nc.unet_train(image, truth, dimensions=2, example=image[2:3], on_report=reports.append, **TINY)
    assert reports[0].example is not None
    assert reports[0].example.shape == (1, 32, 32)


def test_a_validation_without_voxels_is_nan_and_the_last_network_is_kept() -> None:
    image, truth = blobs()
    reports: list[Report] = []
    model = nc.unet_train(image, truth, validation=0, on_report=reports.append, **TINY)
    assert all(math.isnan(r.validation_loss) and math.isnan(r.mean_dice) and r.best for r in reports)
    assert model.training["dice"] is None
    assert model.training["validation"] == "none, as was asked for"


# Keeping the best and stopping -------------------------------------------------------------------------


def scripted(monkeypatch: pytest.MonkeyPatch, scores: list[tuple[float, float]]) -> None:
    """Let validations give these Dice and losses, one after the other."""
    left = iter(scores)

    def said(_: Any) -> tuple[float, tuple[float, ...]]:
        dice, loss = next(left)
        return loss, (dice, dice)

    monkeypatch.setattr(_loop._Running, "_held_out", said)


def kept(reports: list[Report]) -> list[int]:
    return [r.step for r in reports if r.best]


def test_the_best_is_kept_and_of_equal_ones_that_with_the_smaller_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    image, truth = blobs()
    reports: list[Report] = []
    scripted(monkeypatch, [(0.5, 1.0), (0.7, 1.0), (0.7, 1.2), (0.7, 0.9), (0.6, 0.1)])
    model = nc.unet_train(image, truth, on_report=reports.append, **TINY | {"n_steps": 25})
    assert kept(reports) == [5, 10, 20]
    assert model.training["dice"] == 0.7
    monkeypatch.undo()
    scripted(monkeypatch, [(0.5, 1.0), (0.7, 1.0), (0.7, 1.2), (0.7, 0.9)])
    at_20 = nc.unet_train(image, truth, **TINY | {"n_steps": 25, "patience": 99}, on_step=_cancel_at(20))
    assert same(model, at_20)


def _cancel_at(step: int) -> Callable[[int, int, float], None]:
    def cancel(now: int, _n: int, _loss: float) -> None:
        if now == step + 1:
            raise nc.Cancelled("enough")

    return cancel


def test_it_stops_when_dice_has_not_become_better(monkeypatch: pytest.MonkeyPatch) -> None:
    image, truth = blobs()
    scripted(monkeypatch, [(0.5, 1.0), (0.6, 1.0), (0.6, 0.8), (0.6, 0.7), (0.6, 0.6)])
    model = nc.unet_train(image, truth, **TINY | {"n_steps": 60, "patience": 3})
    assert model.training["steps"] == 25
    assert model.training["stopped"] == "Dice had not become better in 3 validations"


@pytest.mark.parametrize("how", ["watch", "callback", "ctrl-c"])
def test_cancelling_keeps_the_best_so_far(tmp_path: Path, how: str) -> None:
    image, truth = blobs()
    done = 0

    def step(now: int, _n: int, _loss: float) -> None:
        nonlocal done
        done = now
        if now == 7 and how != "watch":
            raise KeyboardInterrupt if how == "ctrl-c" else nc.Cancelled("enough")

    with nc.watch(is_cancelled=lambda: done == 7 and how == "watch"):
        model = nc.unet_train(image, truth, folder=tmp_path / "model", on_step=step, **TINY)
    assert (model.training["steps"], model.training["stopped"]) == (7, "it was cancelled")
    assert same(model, nc.load_unet(tmp_path / "model"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model"]
    best = []
    nc.unet_train(image, truth, on_report=lambda r: best.append(r.step), **TINY | {"n_steps": 12})
    assert best[0] == 5  # of the steps after it nothing is known


def test_cancelling_before_the_first_step_leaves_nothing(tmp_path: Path) -> None:
    image, truth = blobs()
    stages: list[str] = []
    with (
        nc.watch(lambda stage, _: stages.append(stage), lambda: bool(stages) and stages[-1] == "training"),
        pytest.raises(nc.Cancelled, match="before the first step; nothing was learned"),
    ):
        nc.unet_train(image, truth, folder=tmp_path / "model", **TINY)
    assert not list(tmp_path.iterdir())


def test_another_error_of_who_watches_is_passed_on() -> None:
    image, truth = blobs()

    class Closed(Exception):
        pass

    def closed(*_: Any) -> None:
        raise Closed

    with pytest.raises(Closed):
        nc.unet_train(image, truth, on_step=closed, **TINY)


# Time --------------------------------------------------------------------------------------------------


def clock(monkeypatch: pytest.MonkeyPatch, per_step: float, per_validation: float = 0.0) -> Callable[..., None]:
    """Let time go on with steps and validations only."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    held_out = _loop._Running._held_out

    def slow(self: Any) -> Any:
        now[0] += per_validation
        return held_out(self)

    monkeypatch.setattr(_loop._Running, "_held_out", slow)

    def step(*_: Any) -> None:
        now[0] += per_step

    return step


@pytest.mark.parametrize(("per_step", "per_validation"), [(1.0, 0.0), (1.0, 3.0), (20.0, 0.0)])
def test_steps_are_planned_so_that_they_fit_into_the_time(
    monkeypatch: pytest.MonkeyPatch, per_step: float, per_validation: float
) -> None:
    image, truth = blobs()
    step = clock(monkeypatch, per_step, per_validation)
    settings = TINY | {"n_steps": 1000, "patience": 99}
    model = nc.unet_train(image, truth, max_minutes=1.0, on_step=step, **settings)
    told = model.training
    assert told["seconds"] <= 60 + per_step + per_validation
    assert told["steps"] >= (60 - per_step) / (per_step + per_validation / 5) * 0.6
    assert told["steps"] == told["planned_steps"] or told["stopped"] == "the time was up"
    if per_step == 1:
        assert told["stopped"] == "all steps were done", "the learning rate has fallen to 0"


def test_a_step_has_its_own_batch_where_there_are_more_than_were_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    # The first step takes a second of six, so five are planned; the others are quick, so that at the first validation,
    # after five steps, there are more.
    image, truth = blobs()
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    batch, step = train.Patches.batch, _loop._Running._step
    used: list[tuple[int, int]] = []

    def marked(self: Any, n: int, seed: Any) -> Any:
        found, target = batch(self, n, seed)
        return found * 0 + seed[-1], target

    def seen(self: Any, image: Any, *rest: Any) -> Any:
        used.append((self.state.step, int(image.flat[0])))
        return step(self, image, *rest)

    def tick(at: int, *_: Any) -> None:
        now[0] += 1 if at == 1 else 0.1

    monkeypatch.setattr(train.Patches, "batch", marked)
    monkeypatch.setattr(_loop._Running, "_step", seen)
    model = nc.unet_train(image, truth, max_minutes=0.1, on_step=tick, **TINY | {"n_steps": 1000})
    assert model.training["history"][0]["step"] == 5
    assert model.training["steps"] > 6
    assert used == [(n, n) for n in range(model.training["steps"])]


def test_the_time_includes_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    image, truth = blobs()
    step = clock(monkeypatch, 1.0)
    plan = train.unet_plan

    def slow(*args: Any, **settings: Any) -> Any:
        for _ in range(40):
            step()
        return plan(*args, **settings)

    monkeypatch.setattr(train, "unet_plan", slow)
    model = nc.unet_train(image, truth, max_minutes=1.0, on_step=step, **TINY | {"n_steps": 1000})
    assert 8 <= model.training["steps"] <= 20


def test_a_disk_that_is_slow_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    image, truth = blobs()
    batch = train.Patches.batch
    from threading import Event

    end = Event()

    def slow(self: Any, n: int, seed: Any) -> Any:
        if seed[1:] == [3, 4]:
            end.wait(PATIENCE)
        return batch(self, n, seed)

    monkeypatch.setattr(train.Patches, "batch", slow)
    ticks = 0

    def cancelled() -> bool:
        nonlocal ticks
        ticks += 1
        if ticks > 40:
            end.set()
        return ticks > 40

    monkeypatch.setattr(_loop, "POLL", 1e-3)
    with nc.watch(is_cancelled=cancelled):
        model = nc.unet_train(image, truth, **TINY)
    assert model.training["steps"] == 4


# Bad input ---------------------------------------------------------------------------------------------


def test_without_torch_the_message_has_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    image, truth = blobs()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r'pip install "napari-cutout\[unet\]"'):
        nc.unet_train(image, truth, **TINY)
    assert nc.unet_plan(image, truth, width=4).architecture.n_parameters > 0


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"max_minutes": 0}, ValueError, "max_minutes must be a number of more than 0, got 0"),
        ({"max_minutes": "5"}, ValueError, "max_minutes must be a number of more than 0, got '5'"),
        ({"loss": None}, ValueError, "loss must be a name such as .*, got None"),
        ({"augment": "flips"}, TypeError, "augment must be several words, such as ..flips.,., got .flips."),
        ({"patch": 5}, ValueError, r"patch must be 2 multiples of \(4, 4\), got 5"),
        ({"device": "tpu"}, ValueError, "device must be one of 'auto', 'cpu', 'gpu', got 'tpu'"),
        ({"resume": True}, ValueError, "give the folder of the model"),
        ({"learning_rate": -1.0}, ValueError, "learning_rate must be a number from 0 to 10, got -1.0"),
        ({"augment": ("flip",)}, ValueError, "augment must be some of .*, got 'flip'"),
        ({"widht": 4}, TypeError, "widht"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    image, truth = blobs()
    with pytest.raises(error, match=message):
        nc.unet_train(image, truth, **TINY | settings)


def test_nan_and_constant_images() -> None:
    image, truth = blobs()
    image[10:20, 10:20] = np.nan
    model = nc.unet_train(image, truth, **TINY)
    assert all(np.isfinite(w).all() for w in model.weights.values())
    with pytest.raises(ValueError, match="every image is constant"):
        nc.unet_train(np.full((48, 48), 7.0), truth, **TINY)


def test_a_loss_that_is_not_finite_does_not_spoil_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    image, truth = blobs()
    loss_of = _loop.loss_of
    calls = 0

    def sometimes(*named: Any) -> Any:
        loss = loss_of(*named)

        def total(*given: Any) -> Any:
            nonlocal calls
            calls += 1
            return loss(*given) * (math.nan if calls == 3 else 1.0)

        return total

    monkeypatch.setattr(_loop, "loss_of", sometimes)
    model = nc.unet_train(image, truth, **TINY)
    assert all(np.isfinite(w).all() for w in model.weights.values())


# The signature -----------------------------------------------------------------------------------------


def test_train_has_the_settings_of_the_plan() -> None:
    plan, full = (inspect.signature(f).parameters for f in (nc.unet_plan, nc.unet_train))
    for name, parameter in plan.items():
        assert full[name].default == parameter.default, name
        assert f"{name}" in (nc.unet_train.__doc__ or "")
    assert "**settings" not in (nc.unet_train.__doc__ or "")
    asked = TrainSettings((16, 16))
    for name in ("n_steps", "loss", "learning_rate", "schedule", "augment", "validation", "patience", "seed"):
        assert plan[name].default == getattr(asked, name), name


def test_the_learning_rate_rises_and_falls_to_nothing() -> None:
    for schedule in ("cosine", "poly"):
        asked = TrainSettings((16, 16), schedule=schedule, learning_rate=1.0)
        rates = [asked.rate(step, 400) for step in range(401)]
        assert rates[0] == pytest.approx(1 / 20)
        assert max(rates) == rates[20] == pytest.approx(1.0)
        assert all(a > b for a, b in itertools.pairwise(rates[20:]))
        assert rates[-1] == pytest.approx(0.0)
        # Halfway: cos(pi / 2) is 0, so 1/2; and (1 - 1/2) ** 0.9.
        assert asked.rate(210, 400) == pytest.approx(0.5 if schedule == "cosine" else 0.5**0.9)
    assert [TrainSettings((8, 8)).validate_every(n) for n in (12, 60, 120, 600, 1500)] == [5, 5, 10, 50, 50]

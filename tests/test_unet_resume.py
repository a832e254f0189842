"""A training that is killed goes on as if it had not been; what is on disk is never damaged."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save

import napari_cutout as nc
from napari_cutout.unet import _checkpoint, train
from napari_cutout.unet._checkpoint import read_checkpoint, write_checkpoint
from napari_cutout.unet._loop import Loop, Report, State

pytest.importorskip("torch")
resource = pytest.importorskip("resource", reason="limits of files and kill -9 are of Unix")

RNG = np.random.default_rng(0)
TRUTH = np.kron(RNG.integers(1, 3, (8, 8)), np.ones((5, 5), int)).astype(np.uint8)
IMAGE = (TRUTH + 0.5 * RNG.normal(size=TRUTH.shape)).astype(np.float32)
SETTINGS: dict[str, Any] = {
    "width": 2, "depth": 1, "patch": (16, 16), "batch_size": 2, "n_steps": 16, "device": "cpu", "patience": 99,
}  # fmt: skip
"""Validations after 5, 10, 15 and 16 steps."""


class Killed(BaseException):
    """What no program catches."""


def killed_at(step: int) -> Callable[[int, int, float], None]:
    def kill(now: int, _n: int, _loss: float) -> None:
        if now == step:
            raise Killed

    return kill


def trained(folder: Path | None = None, image: Any = IMAGE, truth: Any = TRUTH, **settings: Any) -> nc.UNetModel:
    return nc.unet_train(image, truth, folder=folder, **SETTINGS | settings)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def whole() -> nc.UNetModel:
    return trained()


def plain(model: nc.UNetModel) -> dict[str, Any]:
    """Return how a model came about, without what a clock says."""
    told = {k: v for k, v in model.training.items() if k != "seconds"}
    return told | {"history": [{k: v for k, v in h.items() if k != "seconds"} for h in told["history"]]}


# Killed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [(2,), (5,), (9,), (16,), (7, 12), (6, 8, 11, 13)])
def test_a_training_that_goes_on_gives_what_one_that_was_not_killed_gives(
    tmp_path: Path, whole: nc.UNetModel, steps: tuple[int, ...]
) -> None:
    for step in steps:
        with pytest.raises(Killed):
            trained(tmp_path / "model", resume=True, on_step=killed_at(step))
        assert left(tmp_path) == (["model.checkpoint"] if step > 5 else [])
    seen: list[int] = []
    model = trained(tmp_path / "model", resume=True, on_step=lambda step, *_: seen.append(step))
    assert seen[0] == (steps[-1] - 1) // 5 * 5 + 1  # no step is learned twice that a checkpoint holds
    assert model.digest == whole.digest
    assert plain(model) == plain(whole)
    assert left(tmp_path) == ["model"]
    assert nc.load_unet(tmp_path / "model").digest == whole.digest


SCRIPT = """
import os, signal, sys
import torch
torch.set_num_threads(1)
from tests.test_unet_resume import trained
from napari_cutout.unet import _checkpoint
from pathlib import Path
folder, how = Path(sys.argv[1]), sys.argv[2]
writes = 0
replacing = _checkpoint.replacing
class Half:
    def __init__(self, *args, **kwargs): self.context = replacing(*args, **kwargs)
    def __enter__(self):
        self.path = self.context.__enter__()
        return self
    def write_bytes(self, data):
        global writes
        writes += 1
        self.path.write_bytes(data[: len(data) // 2] if writes == 2 else data)
        if writes == 2: os.kill(os.getpid(), signal.SIGKILL)
    def __exit__(self, *error): return self.context.__exit__(*error)
if how == "write":
    _checkpoint.replacing = Half
def step(now, *_):
    if how == str(now): os.kill(os.getpid(), signal.SIGKILL)
trained(folder, resume=True, on_step=step)
"""


@pytest.mark.parametrize(("how", "at"), [("write", 5), ("13", 10)])
def test_kill_9_in_a_step_or_in_the_middle_of_a_write(tmp_path: Path, whole: nc.UNetModel, how: str, at: int) -> None:
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "model"), how], cwd=root, check=False, capture_output=True
    )
    assert done.returncode == -9, done.stderr.decode()
    assert (tmp_path / "model.checkpoint").exists()
    seen: list[int] = []
    model = trained(tmp_path / "model", resume=True, on_step=lambda step, *_: seen.append(step))
    assert seen[0] == at + 1
    assert model.digest == whole.digest


def test_steps_that_were_planned_stay_planned(tmp_path: Path) -> None:
    # The clock of the killed run says a second per step, that of the other says nothing: it does not plan anew.
    now = [0.0]

    def step(at: int, _n: int, _loss: float) -> None:
        now[0] += 1
        if at == 12:
            raise Killed

    settings = {"n_steps": 1000, "max_minutes": 0.5}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.perf_counter", lambda: now[0])
        with pytest.raises(Killed):
            trained(tmp_path / "model", on_step=step, **settings)
    state = read_checkpoint(tmp_path / "model.checkpoint", _request(tmp_path))
    assert state.planned
    assert 20 <= state.n_steps <= 30
    model = trained(tmp_path / "model", resume=True, **settings)
    assert model.training["steps"] == state.n_steps


def _request(folder: Path) -> dict[str, Any]:
    with safe_open(folder / "model.checkpoint", framework="numpy") as file:
        return dict(json.loads(file.metadata()["request"]))


def test_a_training_that_had_ended_is_not_learned_any_further(tmp_path: Path) -> None:
    # Killed after the last checkpoint and before the model was written.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "_save", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            trained(tmp_path / "model", patience=1, n_steps=100)
    seen: list[int] = []
    model = trained(
        tmp_path / "model", resume=True, patience=1, n_steps=100, on_step=lambda step, *_: seen.append(step)
    )
    assert not seen
    assert model.training["stopped"] == "Dice had not become better in 1 validations"


# Another training --------------------------------------------------------------------------------------

ONE_VOXEL, ONE_LABEL = IMAGE.copy(), TRUTH.copy()
ONE_VOXEL[3, 4], ONE_VOXEL[4, 3] = IMAGE[4, 3], IMAGE[3, 4]  # the same mean, the same standard deviation
ONE_LABEL[0, 0] = 3 - ONE_LABEL[0, 0]
OTHER: dict[str, tuple[dict[str, Any], str]] = {
    "image": ({"image": ONE_VOXEL}, "images 0 channels was "),
    "annotation": ({"truth": ONE_LABEL}, "counts was "),
    "width": ({"width": 3}, "architecture width was 2 and is 3"),
    "steps": ({"n_steps": 17}, "settings n_steps was 16 and is 17"),
    "seed": ({"seed": 1}, "settings seed was 0 and is 1"),
    "loss": ({"loss": "dice"}, "settings loss was 'dice . cross-entropy' and is 'dice'"),
    "ignore": ({"ignore": 255}, "ignore was 0 and is 255"),
    "spacing": ({"spacing": (2.0, 2.0)}, r"spacing was None and is \[2.0, 2.0\]"),
}


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed")
    with pytest.raises(Killed):
        trained(folder / "model", on_step=killed_at(8))
    return folder / "model.checkpoint"


@pytest.mark.parametrize("case", OTHER)
def test_a_checkpoint_of_another_training_is_refused_and_kept(killed: Path, case: str) -> None:
    settings, message = OTHER[case]
    before = killed.read_bytes()
    with pytest.raises(ValueError, match=f"model.checkpoint is of another training: .*{message}.*; ask for the same"):
        trained(killed.with_name("model"), resume=True, **settings)
    assert killed.read_bytes() == before


@pytest.mark.parametrize("damage", ["short", "empty", "text", "model"])
def test_a_checkpoint_that_is_none_is_refused(tmp_path: Path, killed: Path, whole: nc.UNetModel, damage: str) -> None:
    path = tmp_path / "model.checkpoint"
    if damage == "model":
        whole.save(tmp_path / "other")
        path.write_bytes((tmp_path / "other" / "weights.safetensors").read_bytes())
    else:
        path.write_bytes({"short": killed.read_bytes()[:-50], "empty": b"", "text": b"step 10\n" * 20}[damage])
    with pytest.raises(
        ValueError, match=r"model.checkpoint is (not a complete|no) checkpoint.*; delete it to start anew"
    ):
        trained(tmp_path / "model", resume=True)
    assert path.exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("request", None),
        ("request", "{"),
        ("numbers", None),
        ("numbers", "[]"),
        ("numbers", '{"step": "a"}'),
        ("step", "a"),
    ],
)
def test_a_checkpoint_whose_header_is_damaged_is_refused(
    tmp_path: Path, killed: Path, name: str, text: str | None
) -> None:
    with safe_open(killed, framework="numpy") as file:
        told = dict(file.metadata())
    if name == "step":  # all there, of another kind
        told["numbers"] = json.dumps(json.loads(told["numbers"]) | {"step": text})
    elif text is None:
        del told[name]
    else:
        told[name] = text
    (tmp_path / "model.checkpoint").write_bytes(save(load_file(killed), metadata=told))
    with pytest.raises(ValueError, match=r"is no checkpoint of this version \(.*\); delete it to start anew"):
        trained(tmp_path / "model", resume=True)


def test_a_checkpoint_is_on_the_disk_before_it_takes_the_place_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: (done.append("on disk"), fsync(number))[1])
    monkeypatch.setattr(Path, "replace", lambda self, to: (done.append("in place"), replace(self, to))[1])
    write_checkpoint(tmp_path / "c", State(), {})
    assert done == ["on disk", "in place"]


def test_a_checkpoint_holds_all_that_is_needed(tmp_path: Path) -> None:
    arrays = {"a.weight": RNG.normal(size=(2, 3)).astype(np.float32)}
    state = State(
        7, 20, True, 2, arrays, {"0.step": np.float32(7)}, {"scale": 1024.0, "_growth_tracker": 3}, arrays, 0.5, 1.25,
        4, [{"step": 5, "loss": None}], 3.5,
    )  # fmt: skip
    write_checkpoint(tmp_path / "c", state, {"seed": 0})
    found = read_checkpoint(tmp_path / "c", {"seed": 0})
    for name in State.__slots__:
        value = getattr(state, name)
        if isinstance(value, dict) and name != "scaler":
            np.testing.assert_equal(dict(getattr(found, name)), value)
        else:
            assert getattr(found, name) == value, name
    assert read_and_lose(tmp_path / "c") == {"weights/a.weight", "best/a.weight", "optimizer/0.step"}


def read_and_lose(path: Path) -> set[str]:
    return set(load_file(path))


# Places ------------------------------------------------------------------------------------------------


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if anything is read, however quickly."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("it was read before it was refused")

    monkeypatch.setattr(train, "unet_plan", refuse)


@pytest.mark.usefixtures("unread")
def test_places_that_cannot_be_written_to_are_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("of years")
    with pytest.raises(FileExistsError, match="mine' exists already"):
        trained(tmp_path / "mine")
    with pytest.raises(FileExistsError, match="it is a folder that holds no model"):
        trained(tmp_path / "mine", overwrite=True)
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        trained(tmp_path / "nowhere" / "model")
    (tmp_path / "model.checkpoint").write_bytes(b"an hour of work")
    with pytest.raises(FileExistsError, match="of a training that did not end; say resume=True to go on"):
        trained(tmp_path / "model")

    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "touch", refused)
    with pytest.raises(PermissionError, match="ask for the right to write there"):
        trained(tmp_path / "other")
    assert left(tmp_path) == ["mine", "model.checkpoint"]
    assert (tmp_path / "model.checkpoint").read_bytes() == b"an hour of work"
    assert left(tmp_path / "mine") == ["notes.txt"]


def test_a_model_is_replaced_when_its_successor_is_complete(tmp_path: Path, whole: nc.UNetModel) -> None:
    whole.save(tmp_path / "model")
    with pytest.raises(Killed):
        trained(tmp_path / "model", overwrite=True, seed=1, on_step=killed_at(12))
    assert nc.load_unet(tmp_path / "model").digest == whole.digest
    with pytest.raises(FileExistsError, match="exists already"):
        trained(tmp_path / "model", resume=True, seed=1)
    model = trained(tmp_path / "model", resume=True, overwrite=True, seed=1)
    assert nc.load_unet(tmp_path / "model").digest == model.digest != whole.digest


# A full disk -------------------------------------------------------------------------------------------


class Disk:
    """A disk on which no file may be longer than a limit, as the system sees to."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def __enter__(self) -> None:
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit, self.before[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


def test_a_full_disk_at_a_checkpoint_is_said_and_training_goes_on(tmp_path: Path, whole: nc.UNetModel) -> None:
    reports: list[Report] = []
    kept: list[bytes] = []
    path = tmp_path / "model.checkpoint"
    full = Disk(1000)

    def report(found: Report) -> None:
        reports.append(found)
        if len(reports) == 1:
            kept.append(path.read_bytes())
            full.__enter__()
        if len(reports) == 3:
            full.__exit__()
            kept.append(path.read_bytes())

    with nc.watch() as monitor:
        model = trained(tmp_path / "model", on_report=report)
    assert [bool(r.problem) for r in reports] == [False, True, True, False]
    assert "could not write" in reports[1].problem
    assert "free some space" in reports[1].problem
    assert monitor.facts["checkpoint"] == reports[2].problem
    assert kept[0] == kept[1], "the checkpoint before it is as it was"
    assert model.digest == whole.digest
    assert left(tmp_path) == ["model"]


def test_a_full_disk_at_the_end_loses_neither_model_nor_checkpoint(tmp_path: Path, whole: nc.UNetModel) -> None:
    full = Disk(1000)

    def report(found: Report) -> None:
        if found.step == 15:
            full.__enter__()

    try:
        with pytest.raises(
            nc.NotSaved, match=r"the model is trained, and could not write .*'model.checkpoint' is still"
        ) as e:
            trained(tmp_path / "model", on_report=report)
    finally:
        full.__exit__()
    assert e.value.model.digest == whole.digest
    e.value.model.save(tmp_path / "elsewhere")
    assert left(tmp_path) == ["elsewhere", "model.checkpoint"]
    assert trained(tmp_path / "model", resume=True).digest == whole.digest
    assert left(tmp_path / "model") == ["model.json", "weights.safetensors"]


def test_the_state_of_the_scaler_goes_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # On a CPU there is none; this one counts how often it was used.
    import torch

    class Scaler:
        def __init__(self, *_: Any, **__: Any) -> None:
            self.n = 0

        def scale(self, loss: Any) -> Any:
            return loss

        def unscale_(self, _: Any) -> None: ...

        def step(self, optimizer: Any) -> None:
            optimizer.step()

        def update(self) -> None:
            self.n += 1

        def state_dict(self) -> dict[str, Any]:
            return {"n": self.n}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.n = state["n"]

    monkeypatch.setattr(torch.amp, "GradScaler", Scaler)
    states: list[State] = []
    run = Loop.run
    monkeypatch.setattr(Loop, "run", lambda self, state: (states.append(state), run(self, state))[1])
    with pytest.raises(Killed):
        trained(tmp_path / "model", on_step=killed_at(8))
    trained(tmp_path / "model", resume=True)
    assert states[-1].scaler == {"n": 16}
    assert _checkpoint.checkpoint_of(Path("a/b.unet")) == Path("a/b.unet.checkpoint")

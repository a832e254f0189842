"""Models in memory and on disk: what is written is what is read, and anything else is refused."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import napari_cutout as nc
from napari_cutout.unet._backend import weights_of
from napari_cutout.unet._weights import n_bytes_of, weights_for
from napari_cutout.unet.architecture import Architecture, architecture_for
from napari_cutout.unet.model import network
from napari_cutout.unet.trained import UNetModel, load_unet, read_settings

torch = pytest.importorskip("torch")
safetensors_numpy = pytest.importorskip("safetensors.numpy")

FORMS = [
    architecture_for((32, 32), width=2, depth=2, normalisation=kind, residual=residual)
    for kind in ("batch", "instance", "group", "none")
    for residual in (False, True)
] + [
    architecture_for((8, 16, 16), width=2, depth=1, spacing=(3.0, 1.0, 1.0), n_channels=2, n_outputs=3),
    architecture_for((16, 16), width=2, depth=0),
]


def form(a: Architecture) -> str:
    return f"{a.ndim}d-{a.normalisation}-{a.depth}-{a.residual}"


def a_model(architecture: Architecture | None = None, **parts) -> UNetModel:
    """A model with random weights."""
    a = architecture or architecture_for((32, 32), width=2, depth=1)
    given = {"classes": tuple(range(a.n_outputs)), "name": "membranes", "spacing": (0.5,) * a.ndim, **parts}
    return UNetModel(a, weights_of(network(a)), **given)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    return a_model(training={"steps": 3}).save(tmp_path_factory.mktemp("models") / "membranes")


@pytest.fixture
def copied(saved, tmp_path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "membranes"))


def edited(folder: Path, **changes: object) -> Path:
    """The model with other settings."""
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")
    return folder


def rewritten(folder: Path, weights: dict[str, np.ndarray]) -> Path:
    safetensors_numpy.save_file(weights, folder / "weights.safetensors")
    return folder


def with_header(folder: Path, header: bytes, data: bytes = b"") -> Path:
    (folder / "weights.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)
    return folder


# What a model is ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", FORMS, ids=form)
def test_the_weights_that_are_expected_are_those_of_torch(architecture):
    net = network(architecture).state_dict()
    found = {name: (tuple(value.shape), str(value.dtype).removeprefix("torch.")) for name, value in net.items()}
    assert weights_for(architecture) == found
    assert n_bytes_of(architecture) == sum(value.numel() * value.element_size() for value in net.values())


@pytest.mark.parametrize("architecture", FORMS[::3], ids=form)
def test_a_model_is_read_as_it_was_written(architecture, tmp_path):
    model = a_model(architecture, training={"seconds": 1.5, "history": [{"step": 1}]})
    found = load_unet(model.save(tmp_path / "m"))
    assert {p.name for p in (tmp_path / "m").iterdir()} == {"model.json", "weights.safetensors"}
    assert (found.architecture, found.classes, found.head) == (model.architecture, model.classes, model.head)
    assert (found.spacing, found.training, found.name) == (model.spacing, model.training, model.name)
    assert found.digest == model.digest
    assert found.weights.keys() == model.weights.keys()
    for name, value in model.weights.items():
        np.testing.assert_array_equal(found.weights[name], value, strict=True)


def test_a_model_says_in_a_line_what_it_is():
    # Width 2 and depth 1 on 1 channel: 18 + 36 and 72 + 144 numbers of the encoder's convolutions, 72 + 36 of the
    # decoder's, 2 x (2 + 2 + 4 + 4 + 2 + 2) of the normalisations, 4 x 2 x 4 + 2 of what doubles, and 2 x 2 + 2 of
    # the last.
    n = 18 + 36 + 72 + 144 + 72 + 36 + 32 + 34 + 6
    assert n == 450
    assert repr(a_model()) == (
        "UNetModel('membranes', 2-D, 1 channel(s), classes (0, 1), head 'classes', 450 parameters)"
    )


def test_settings_are_read_without_the_weights(copied):
    (copied / "weights.safetensors").write_bytes(b"")
    assert read_settings(copied)["name"] == "membranes"
    assert read_settings(copied)["training"] == {"steps": 3}


def test_a_model_without_a_name_has_that_of_its_folder(copied, monkeypatch):
    assert load_unet(edited(copied, name="")).name == "membranes"
    monkeypatch.chdir(copied)
    assert load_unet(".").name == "membranes"


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"classes": (0, True)}, "classes must be two or more"),
        ({"classes": (1, 0)}, "classes must be two or more"),
        ({"classes": (0,)}, "classes must be two or more"),
        ({"classes": (-1, 0)}, "classes must be two or more"),
        ({"classes": (0, 2**31)}, "classes must be two or more"),
        ({"classes": (0, 1, 2)}, "needs 3 outputs"),
        ({"head": "edges"}, "head must be one of 'classes'"),
        ({"head": "boundary"}, "needs 3 outputs"),
        ({"spacing": (1.0,)}, "spacing must have one length per axis"),
        ({"spacing": (1.0, float("nan"))}, "spacing"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        a_model(**parts)


def broken_weights(name: str, value: np.ndarray | None) -> dict[str, np.ndarray]:
    weights = dict(a_model().weights)
    if value is None:
        del weights[name]
    else:
        weights[name] = value
    return weights


BROKEN = {
    "missing": ("last.bias", None, "misses the weight 'last.bias'"),
    "extra": ("evil", np.zeros(3, np.float32), "beyond those of its architecture, the weight 'evil'"),
    "shape": ("last.bias", np.zeros(3, np.float32), "must be float32 of shape (2,)"),
    "dtype": ("last.bias", np.zeros(2, np.float64), "must be float32 of shape (2,), got float64"),
    "nan": ("last.bias", np.array([0, np.nan], np.float32), "NaN, infinite"),
    "infinite": ("last.bias", np.array([0, np.inf], np.float32), "NaN, infinite"),
    "variance": ("encoder.0.inner.1.running_var", np.array([1, -1], np.float32), "negative variance"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_weights_that_are_not_those_of_the_architecture_are_refused(kind, copied):
    name, value, sentence = BROKEN[kind]
    weights = broken_weights(name, value)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        replace(a_model(), weights=weights)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        load_unet(rewritten(copied, weights))


# Writing ------------------------------------------------------------------------------------------------


def test_nothing_that_is_there_is_replaced_unasked(saved, copied, tmp_path):
    before = (copied / "model.json").read_bytes()
    with pytest.raises(FileExistsError, match="exists already"):
        a_model(name="other").save(copied)
    assert (copied / "model.json").read_bytes() == before
    a_model(name="other").save(copied, overwrite=True)
    assert load_unet(copied).name == "other"
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="holds no model"):
        a_model().save(tmp_path / "thesis", overwrite=True)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"
    with pytest.raises(FileNotFoundError, match="no folder"):
        a_model().save(tmp_path / "nowhere" / "m")


def test_a_full_disk_leaves_the_model_that_was_there(copied, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    before = {p.name: p.read_bytes() for p in copied.iterdir()}
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left on device"):
        a_model(name="other").save(copied, overwrite=True)
    assert {p.name: p.read_bytes() for p in copied.iterdir()} == before
    assert [p.name for p in copied.parent.iterdir()] == ["membranes"]


# Reading what is no model ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": 2}, "has the format 2, and this version reads 1; update napari-cutout"),
        ({"napari-cutout": "recipe"}, "does not describe a U-Net of this program"),
        ({"classes": [False, True]}, "classes must be two or more"),
        ({"classes": "01"}, "classes must be a list"),
        ({"classes": [0, 10**400]}, "classes must be two or more"),
        ({"head": ["classes"]}, "head must be one of"),
        ({"spacing": [1, 10**400]}, "does not describe"),
        ({"spacing": 5}, "spacing must be one length per axis"),
        ({"training": []}, "training must be an object"),
        ({"name": {"a": 1}}, "name must be a text"),
        ({"sha256": None}, "sha256 must be a text"),
        ({"sha256": "0" * 64}, "and model.json do not belong together"),
        ({"architecture": None}, "an architecture has"),
        ({"architecture": {}}, "an architecture has"),
    ],
)
def test_settings_that_are_not_those_of_a_model_are_refused(changes, sentence, copied):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        load_unet(edited(copied, **changes))


@pytest.mark.parametrize("name", ["architecture", "classes", "head", "spacing", "training", "name", "sha256"])
def test_settings_that_miss_an_entry_are_refused(name, copied):
    entries = json.loads((copied / "model.json").read_text("utf-8"))
    del entries[name]
    (copied / "model.json").write_text(json.dumps(entries), "utf-8")
    with pytest.raises(ValueError, match=f"it has no '{name}'"):
        load_unet(copied)


@pytest.mark.parametrize(
    "changes",
    [
        {"width": 10**9},
        {"n_channels": 10**9},
        {"n_outputs": 10**9},
        {"width": 2.0},
        {"width": True},
        {"strides": [[2, 2]] * 40, "kernels": [[3, 3]] * 41},
        {"strides": [[1024, 1024]]},
        {"kernels": [[999, 999]] * 2},
        {"kernels": [[3.0, 3.0]] * 2},
        {"kernels": 3},
        {"kernels": []},
        {"kernels": "33"},
        {"strides": {"a": 1}},
        {"residual": "yes"},
        {"normalisation": ["batch"]},
    ],
    ids=str,
)
def test_an_absurd_architecture_is_refused_before_anything_is_made(changes, copied, monkeypatch):
    architecture = json.loads((copied / "model.json").read_text("utf-8"))["architecture"]
    edited(copied, architecture={**architecture, **changes})
    monkeypatch.setattr(safetensors_numpy, "load", None)  # it does not come to reading weights
    with pytest.raises(ValueError, match="does not describe a U-Net of this program: "):
        load_unet(copied)


def test_settings_of_a_larger_model_allocate_nothing(copied, monkeypatch):
    architecture = json.loads((copied / "model.json").read_text("utf-8"))["architecture"]
    edited(copied, architecture={**architecture, "width": 512, "strides": [[2, 2]] * 8, "kernels": [[7, 7]] * 9})
    with pytest.raises(ValueError, match=r"does not fit model\.json: the model misses the weight"):
        load_unet(copied)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"\xff\xfe{}", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 10_000, b"null", b"[]", b'"U-Net"', b"NaN"],
    ids=lambda text: str(text[:8]),
)
def test_settings_that_are_not_json_are_refused(text, copied):
    (copied / "model.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"model\.json"):
        load_unet(copied)


def test_files_that_are_too_large_are_not_read(copied):
    for name, n_bytes in (("weights.safetensors", 1 << 40), ("model.json", 1 << 40)):
        with (copied / name).open("r+b") as file:
            file.truncate(n_bytes)  # no disk holds it: the file is sparse
        with pytest.raises(ValueError, match=f"{name} has 1,099,511,627,776 bytes, and may have"):
            load_unet(copied)


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
def test_what_is_no_file_is_refused(name, copied):
    (copied / name).unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(name)):
        load_unet(copied)
    (copied / name).mkdir()
    with pytest.raises(ValueError, match=f"{name} is not a file"):
        load_unet(copied)
    (copied / name).rmdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(copied / name)  # opening it would wait until somebody writes to it
        with pytest.raises(ValueError, match=f"{name} is not a file"):
            load_unet(copied)


def test_what_is_no_model_at_all_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not there; a U-Net is a folder with"):
        load_unet(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="holds no U-Net; a U-Net is a folder with"):
        load_unet(tmp_path)
    (tmp_path / "net.pth").write_bytes(b"PK")
    with pytest.raises(FileNotFoundError, match="a file of torch is not opened, because it may run anything"):
        load_unet(tmp_path / "net.pth")


def header_of(shape: list[int], end: int, dtype: str = "F32") -> bytes:
    return json.dumps({"last.bias": {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}}).encode()


@pytest.mark.parametrize(
    ("header", "data"),
    [
        (header_of([10**15], 4 * 10**15), b""),
        (header_of([2], 4 * 10**15), b"\0" * 8),
        (header_of([2], 8), b""),
        (header_of([2**63, 2**63], 8), b"\0" * 8),
        (header_of([-1], 8), b"\0" * 8),
        (header_of([2], 8, "Z99"), b"\0" * 8),
        (header_of([2], 4, "BF16"), b"\0" * 4),
        (header_of([2], 2, "F8_E4M3"), b"\0" * 2),
        (b"{}" + b" " * 10, b""),
        (b"[" * 10_000, b""),
        (b"", b""),
    ],
    ids=lambda part: str(part[-30:]),
)
def test_headers_that_lie_are_refused(header, data, copied):
    with pytest.raises(ValueError, match=r"weights\.safetensors"):
        load_unet(with_header(copied, header, data))


@pytest.mark.parametrize("n", [2**63, 2**64 - 1, 10**15, 10**8])
def test_a_header_that_claims_to_be_huge_is_refused(n, copied):
    (copied / "weights.safetensors").write_bytes(struct.pack("<Q", n) + b"{}")
    with pytest.raises(ValueError, match="is not a complete safetensors file"):
        load_unet(copied)


class Trap:
    """What runs when it is unpickled."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self):
        return Path.touch, (self.sprung,)


def test_nothing_is_unpickled(copied, tmp_path):
    sprung = tmp_path / "sprung"
    trap = pickle.dumps(Trap(sprung))
    pickle.loads(trap)  # the trap works
    assert sprung.exists()
    sprung.unlink()
    torch.save({"weights": Trap(sprung)}, tmp_path / "net.pth")
    for data in (trap, (tmp_path / "net.pth").read_bytes()):
        for name in ("weights.safetensors", "model.json"):
            kept = (copied / name).read_bytes()
            (copied / name).write_bytes(data)
            with pytest.raises(ValueError, match=re.escape(name)):
                load_unet(copied)
            (copied / name).write_bytes(kept)
    with pytest.raises((ValueError, FileNotFoundError)):
        nc.unet_predict(np.zeros((8, 8)), model=tmp_path / "net.pth")
    assert not sprung.exists()


def test_no_code_of_the_unet_could_unpickle():
    there = Path(nc.__file__).parent / "unet"
    forbidden = re.compile(r"\bpickle\b|torch\.load\b|torch\.jit|allow_pickle=True|(?<!\.)\b(eval|exec)\(|joblib")
    sources = sorted(there.rglob("*.py"))
    assert len(sources) > 10
    for path in sources:
        assert not forbidden.search(path.read_text("utf-8")), path.name


# Whatever a file holds --------------------------------------------------------------------------------------

FILES = st.sampled_from(["model.json", "weights.safetensors"])
ANYWHERE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def refused(folder: Path, name: str, data: bytes) -> None:
    """Check that a folder with another file is either refused in a sentence or the same model."""
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(data)
    try:
        assert load_unet(folder).digest  # a flipped bit of a history is nobody's harm
    except (ValueError, FileNotFoundError) as error:
        assert str(folder) in str(error)  # noqa: PT017 - it may as well be the same model
    finally:
        (folder / name).write_bytes(whole)


@ANYWHERE
@given(name=FILES, data=st.binary(max_size=2000))
def test_random_bytes_are_refused(copied, name, data):
    refused(copied, name, data)


@ANYWHERE
@given(name=FILES, data=st.data())
def test_truncated_files_are_refused(copied, name, data):
    whole = (copied / name).read_bytes()
    end = data.draw(st.integers(0, len(whole) - 1))
    (copied / name).write_bytes(whole[:end])
    with pytest.raises(ValueError, match=re.escape(str(copied))):
        load_unet(copied)
    (copied / name).write_bytes(whole)


@ANYWHERE
@given(name=FILES, data=st.data())
def test_one_flipped_bit_does_no_harm(copied, name, data):
    whole = bytearray((copied / name).read_bytes())
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    refused(copied, name, bytes(whole))


def test_a_flipped_bit_of_a_weight_is_seen(copied):
    path = copied / "weights.safetensors"
    whole = bytearray(path.read_bytes())
    whole[-1] ^= 1
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=r"and model\.json do not belong together"):
        load_unet(copied)

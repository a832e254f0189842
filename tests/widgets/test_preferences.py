"""Preferences: what the manifest says of them, what is read, and napari's page of them."""

from __future__ import annotations

import builtins
import logging
from dataclasses import fields, replace
from pathlib import Path

import pytest
from npe2 import PluginManifest

from napari_cutout.widgets import _preferences, manifest
from napari_cutout.widgets._preferences import (
    Preferences,
    checked,
    name_of_result,
    on_change,
    preferences,
    scheduler_problem,
)

DEFAULTS = Preferences()
VALUES = {
    "device": "gpu",
    "memory_limit_gib": 4.5,
    "preview_delay_ms": 120,
    "preview_on_opening": True,
    "update_after_stroke": False,
    "result_name": "{method} of {image}",
    "models_folder": "/data/models",
    "other_models": "/data/one",
    "scheduler": "tcp://node7:8786",
}


@pytest.fixture(autouse=True)
def warned_of_nothing():
    """Sentences are written once for a whole session, so every test starts one."""
    _preferences._warn.cache_clear()


@pytest.fixture
def stored(plugin_settings, npe2pm):
    """What napari keeps for this plugin, in a folder of this test."""
    npe2pm.register(PluginManifest.from_file(manifest.PATH))
    from napari.settings import get_plugin_settings

    return get_plugin_settings("napari-cutout")


# What the manifest says ----------------------------------------------------------------------------------


def test_the_manifest_says_of_every_preference_what_the_class_says():
    found = PluginManifest.from_file(manifest.PATH).contributions.configurations[_preferences.CATEGORY]
    assert list(found.properties) == [item.name for item in fields(Preferences)]
    for name, entry in found.properties.items():
        assert entry.default == getattr(DEFAULTS, name)
        assert entry.title
        assert entry.description.endswith(".")
    kinds = {name: entry.type for name, entry in found.properties.items()}
    assert kinds == {
        "device": "string",
        "memory_limit_gib": "number",
        "preview_delay_ms": "integer",
        "preview_on_opening": "boolean",
        "update_after_stroke": "boolean",
        "result_name": "string",
        "models_folder": "string",
        "other_models": "string",
        "scheduler": "string",
    }
    assert found.properties["device"].enum == ["auto", "cpu", "gpu"]
    assert (found.properties["preview_delay_ms"].minimum, found.properties["preview_delay_ms"].maximum) == (0, 5000)
    assert found.properties["memory_limit_gib"].minimum == 0


def test_the_test_fills_every_preference_with_another_value_than_its_default():
    assert {name: value for name, value in VALUES.items() if value != getattr(DEFAULTS, name)}.keys() == {
        item.name for item in fields(Preferences)
    }


def test_the_page_of_the_manual_lists_the_same():
    manual = (Path(__file__).parents[2] / "docs" / "preferences.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in manual.splitlines() if line.startswith("|")][2:]
    shown = {"auto": "auto", 0.0: "0", 30: "30", "": "empty", "{image} {method}": "`{image} {method}`"}
    switches = {True: "on", False: "off"}
    found = _preferences.configurations()[_preferences.CATEGORY]["properties"].values()
    assert [row[:2] for row in rows] == [
        [entry["title"].partition(" (")[0], (switches if entry["type"] == "boolean" else shown)[entry["default"]]]
        for entry in found
    ]


# What is checked -------------------------------------------------------------------------------------------


def test_good_values_are_taken(caplog):
    assert checked(VALUES) == Preferences(**VALUES)
    assert checked(VALUES | {"memory_limit_gib": 4, "preview_delay_ms": 5000}).memory_limit_gib == 4
    assert not caplog.records


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("device", "tpu", "one of auto, cpu, gpu"),
        ("device", None, "one of auto, cpu, gpu"),
        ("memory_limit_gib", -1.0, "from 0 to 65536"),
        ("memory_limit_gib", float("nan"), "from 0 to 65536"),
        ("memory_limit_gib", "4", "a number"),
        ("memory_limit_gib", True, "a number"),
        ("preview_delay_ms", 5001, "from 0 to 5000"),
        ("preview_delay_ms", 2.5, "a whole number"),
        ("preview_delay_ms", False, "a whole number"),
        ("preview_on_opening", 1, "true or false"),
        ("update_after_stroke", "yes", "true or false"),
        ("result_name", 7, "text"),
        ("result_name", None, "text"),
    ],
)
def test_a_bad_value_is_replaced_and_the_log_says_so_once(caplog, name, value, rule):
    for _ in range(3):
        assert checked(VALUES | {name: value}) == replace(Preferences(**VALUES), **{name: getattr(DEFAULTS, name)})
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        f"{name} must be {rule}, but is {value!r}; {getattr(DEFAULTS, name)!r} is used instead; "
        "mend it under File > Preferences > Cutout"
    )


def test_missing_values_are_replaced(caplog):
    assert checked({}) == DEFAULTS
    assert len(caplog.records) == len(fields(Preferences))


# What napari keeps -------------------------------------------------------------------------------------------


def test_values_are_read_from_napari(stored, tmp_path):
    assert preferences() == DEFAULTS
    for name, value in VALUES.items():
        setattr(stored.cutout, name, value)
    assert preferences() == Preferences(**VALUES)
    _preferences.remember(update_after_stroke=True)
    assert preferences() == Preferences(**VALUES | {"update_after_stroke": True})
    assert "preview_delay_ms: 120" in (tmp_path / "napari-cutout.yaml").read_text(encoding="utf-8")


def test_a_file_with_a_bad_value_gives_the_default_for_that_value_only(plugin_settings, npe2pm, tmp_path):
    (tmp_path / "napari-cutout.yaml").write_text("cutout:\n  device: tpu\n  preview_delay_ms: 70\n", encoding="utf-8")
    npe2pm.register(PluginManifest.from_file(manifest.PATH))
    assert preferences() == replace(DEFAULTS, preview_delay_ms=70)


def test_the_environment_sets_values(monkeypatch, plugin_settings, npe2pm):
    monkeypatch.setenv("NAPARI_CUTOUT_MEMORY_LIMIT_GIB", "2.5")
    npe2pm.register(PluginManifest.from_file(manifest.PATH))
    assert preferences().memory_limit_gib == 2.5


def test_a_plugin_that_is_not_there_has_the_defaults(plugin_settings, npe2pm, caplog):
    assert preferences() == DEFAULTS
    assert not [record for record in caplog.records if record.name == _preferences.__name__]
    on_change(pytest.fail)()


def test_a_napari_that_keeps_nothing_for_plugins_gives_the_defaults(monkeypatch, caplog):
    real = builtins.__import__

    def without(name, *args, **options):
        if name == "napari.settings":
            raise ImportError("cannot import name 'get_plugin_settings' from 'napari.settings'")
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    assert preferences() == DEFAULTS
    assert not caplog.records
    on_change(pytest.fail)()


def test_changes_are_told_until_the_callback_is_let_go(stored):
    heard = []
    let_go = on_change(heard.append)
    stored.cutout.device = "cpu"
    assert heard == [replace(DEFAULTS, device="cpu")]
    stored.cutout.device = "cpu"
    assert len(heard) == 1
    stored.cutout.update({"device": "gpu", "preview_delay_ms": 50})  # as the page of napari does
    assert heard[-1] == replace(DEFAULTS, device="gpu", preview_delay_ms=50)
    n_heard = len(heard)
    let_go()
    let_go()
    stored.cutout.device = "auto"
    assert len(heard) == n_heard


# Names of results --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{image} {method}", "coins {1} otsu"),
        ("{method} of {image}", "otsu of coins {1}"),
        ("labels", "labels"),
        ("{{{method}}}", "{otsu}"),
    ],
)
def test_names_of_results(template, expected, caplog):
    assert name_of_result(template, "coins {1}", "otsu") == expected
    assert not caplog.records


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{imag}", "may hold {image} and {method}, not {imag}"),
        ("{}", "may hold {image} and {method}, not {}"),
        ("{0}", "may hold {image} and {method}, not {0}"),
        ("{image.__class__}", "may hold {image} and {method}, not {image.__class__}"),
        ("{image[0]}", "may hold {image} and {method}, not {image[0]}"),
        ("{image!r}", "may hold {image} and {method}, not {image!r}"),
        ("{image:>{method}}", "may hold {image} and {method}, not {image:>{method}}"),
        ("{image", "cannot be read (expected '}' before end of string)"),
        ("image}", "cannot be read (Single '}' encountered in format string)"),
        ("  ", "is empty"),
    ],
)
def test_a_wrong_template_is_not_used_and_the_log_says_so_once(template, problem, caplog):
    for _ in range(2):
        assert name_of_result(template, "coins", "otsu") == "coins otsu"
    (record,) = caplog.records
    assert problem in record.getMessage()
    assert "mend it under File > Preferences > Cutout; '{image} {method}' is used instead" in record.getMessage()


# The page in napari ------------------------------------------------------------------------------------------


@pytest.fixture
def dialog(stored, viewer, qtbot):
    """napari's own Preferences."""
    from napari._qt.dialogs.preferences_dialog import PreferencesDialog

    dialog = PreferencesDialog()
    qtbot.addWidget(dialog)
    return dialog


@pytest.fixture
def page(dialog):
    """The fields of the page of this plugin, by name."""
    names = [dialog._list.item(at).text() for at in range(dialog._list.count())]
    return dialog._stack.widget(names.index("Cutout")).widget().layout().itemAt(0).widget().widget.widgets


@pytest.mark.qt
def test_the_page_shows_every_preference_and_sets_it(page):
    assert {name: field.state for name, field in page.items()} == {
        item.name: getattr(DEFAULTS, item.name) for item in fields(Preferences)
    }
    assert [page["device"].itemText(at) for at in range(page["device"].count())] == ["auto", "cpu", "gpu"]
    assert page["memory_limit_gib"].maximum() == 65536
    for name, value in VALUES.items():
        page[name].state = value
    assert preferences() == Preferences(**VALUES)


@pytest.mark.qt
def test_cancelling_the_page_takes_changes_back(page, dialog):
    heard = []
    let_go = on_change(heard.append)
    page["device"].setCurrentText("cpu")
    assert preferences().device == "cpu"
    dialog.reject()
    assert preferences() == DEFAULTS == heard[-1]
    let_go()


@pytest.mark.qt
def test_tests_leave_the_settings_of_the_user_alone(viewer):
    from napari.settings import get_plugin_settings, get_settings

    assert get_settings().config_path is None
    assert get_plugin_settings("napari-cutout").config_path is None


# The scheduler ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("", ""),
        ("tcp://node7:8786", ""),
        ("tls://10.0.0.7:8786/", ""),
        ("ws://[::1]:80", ""),
        ("inproc://10.0.0.7/1/2", ""),
        ("node7:8786", "'node7:8786', must be an address such as tcp://node7:8786; mend it"),
        ("http://node7:8786", "must be an address such as tcp"),
        ("tcp://node7", "'tcp://node7', must end in a host and a port, as in tcp://node7:8786"),
        ("tcp://:8786", "must end in a host and a port"),
        ("tcp://node7:port", "must end in a host and a port"),
    ],
)
def test_what_cannot_be_an_address_is_said(address, sentence):
    found = scheduler_problem(address)
    assert sentence in found
    assert bool(sentence) == bool(found)

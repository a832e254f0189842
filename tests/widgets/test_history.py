"""The history of evaluations: plain data, no window."""

from __future__ import annotations

import csv
import gc
from datetime import datetime

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_cutout import Recipe, Step
from napari_cutout.widgets import _history, _question, _scores

LABELS = np.array([[0, 1, 1], [0, 1, 0]])


def past(day=24, hour=9, **asked):
    score = _question.Question(LABELS, LABELS[::-1], "background", "binary").answer(lambda *_: None, lambda: False)
    given = {"predicted": "cut", "truth": "by hand", "unpainted": "background", "match": "auto", "layers": (1, 2)}
    when = datetime(2026, 11, day, hour, 30, 5)
    return _history.Past(when, _scores.Asked(**given | asked), "threshold", "sigma 1", ("y", "x"), score)


def test_a_row_holds_what_was_scored_how_and_what_came_out():
    row = past().row()
    assert list(row) == [column.name for column in _history.COLUMNS]
    assert (row["time"], row["predicted"], row["truth"]) == ("2026-11-24 09:30:05", "cut", "by hand")
    assert (row["method"], row["settings"]) == ("threshold", "sigma 1")
    assert (row["unpainted"], row["match"], row["voxels"]) == ("background", "binary", 6)
    assert row["mean_iou"] == pytest.approx(2 / 4)  # objects at 1 2 4 and at 1 4 5
    assert row["mean_dice"] == pytest.approx(4 / 6)


def test_only_the_newest_keeps_its_errors():
    history = _history.History()
    for hour in (9, 10, 11):
        history.add(past(hour=hour))
    assert [entry.score.errors is None for entry in history.entries] == [True, True, False]
    assert [entry.time.hour for entry in history.entries] == [9, 10, 11]


def test_the_day_is_shown_where_there_are_several():
    history = _history.History()
    history.add(past())
    assert history.columns()["time"] == ["09:30:05"]
    history.add(past(day=25))
    assert history.columns()["time"] == ["2026-11-24 09:30:05", "2026-11-25 09:30:05"]
    history.clear()
    assert history.entries == ()
    assert set(history.columns()) == {column.name for column in _history.COLUMNS}


def test_csv_gives_the_rows_back(tmp_path):
    history = _history.History()
    history.add(past())
    history.add(past(hour=12, predicted='with "quotes", and a comma'))
    with history.to_csv(tmp_path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["predicted"] for row in rows] == ["cut", 'with "quotes", and a comma']
    assert float(rows[0]["mean_iou"]) == history.entries[0].score.evaluation.mean_iou
    with pytest.raises(FileExistsError, match="exists already"):
        history.to_csv(tmp_path / "history.csv")


def test_every_viewer_has_its_own_history_and_takes_it_along():
    one, other = ViewerModel(), ViewerModel()
    assert _history.history(one) is _history.history(one)
    assert _history.history(one) is not _history.history(other)
    n = len(_history._HISTORIES)
    del other
    gc.collect()
    assert len(_history._HISTORIES) < n


def test_the_method_and_its_settings_are_read_from_the_recipe():
    text = Recipe(
        [Step("threshold", {"method": "li", "sigma": 1.0, "fill_holes": True, "spacing": (2, 1, 1)})]
    ).to_json()
    settings = "method li, sigma 1, fill_holes yes"
    assert _history.made_by({"napari_cutout": {"recipe": text}}) == ("threshold", settings)
    plain = Recipe([Step("threshold")]).to_json()
    assert _history.made_by({"napari_cutout": {"recipe": plain}}) == ("threshold", "")


@pytest.mark.parametrize(
    "metadata",
    [{}, {"napari_cutout": {}}, {"napari_cutout": None}, {"napari_cutout": {"recipe": "{"}}, {"other": 1}],
    ids=["empty", "no recipe", "none", "broken", "other"],
)
def test_labels_of_others_have_no_method(metadata):
    assert _history.made_by(metadata) == ("", "")

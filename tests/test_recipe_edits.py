"""Edits of recipes: any edit gives a recipe or says why it cannot, and the line of labels stays one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cutout import catalog
from napari_cutout._recipe_edits import (
    Draft,
    aimed,
    insertable,
    inserted,
    moved,
    removed,
    replaced,
    sources,
    unread,
    up_to,
)
from napari_cutout.recipe import Recipe, Selection, Step, output_number
from napari_cutout.running._execute import execute

THRESHOLD = Step("threshold")
SPLIT = Step("split_touching", inputs={"labels": "step_1"})
LINES = Step("draw_lines", inputs={"labels": "step_2"})
LINE = Recipe([THRESHOLD, SPLIT, LINES])
CELLS = Recipe(
    [
        THRESHOLD,
        Step("markers_from_distance", inputs={"labels": "step_1"}),
        Step("watershed", inputs={"image": "image", "markers": "step_2", "mask": "step_1"}),
    ]
)
METHODS = [m for m in catalog.methods().values() if not any(p.required for p in m.settings)]


def wires(recipe: Recipe) -> list[dict[str, str]]:
    return [dict(step.inputs) for step in recipe.steps]


def names(recipe: Recipe) -> list[str]:
    return [step.method for step in recipe.steps]


# What edits give ---------------------------------------------------------------------------------------


def test_a_step_on_labels_stands_in_the_line() -> None:
    found = inserted(LINE, 2, Step("objects", {"min_size": 9}))
    assert names(found) == ["threshold", "objects", "split_touching", "draw_lines"]
    assert wires(found)[1:] == [{"labels": "step_1"}, {"labels": "step_2"}, {"labels": "step_3"}]
    assert removed(found, 2) == LINE


def test_all_that_read_the_step_before_read_the_new_one() -> None:
    found = inserted(CELLS, 2, Step("objects"))
    assert wires(found)[2:] == [
        {"labels": "step_2"},
        {"image": "image", "markers": "step_3", "mask": "step_2"},
    ]
    assert removed(found, 2) == CELLS


def test_a_step_that_cuts_an_image_reads_the_image_of_the_recipe() -> None:
    cells = Recipe([Step("threshold", inputs={"image": "nuclei"}), SPLIT])
    found = inserted(cells, 3, Step("watershed"))
    assert found.steps[2].inputs == {"image": "nuclei", "markers": "markers"}
    assert found.inputs == ("nuclei", "markers")
    assert unread(found) == (1, 2)
    made = inserted(inserted(cells, 3, Step("markers_from_distance")), 4, Step("watershed"))
    assert made.steps[3].inputs["markers"] == "step_3"


def test_a_step_moves_in_its_line_or_keeps_what_it_reads() -> None:
    swapped = moved(LINE, 3, 2)
    assert names(swapped) == ["threshold", "draw_lines", "split_touching"]
    assert wires(swapped)[1:] == [{"labels": "step_1"}, {"labels": "step_2"}]
    apart = Recipe([THRESHOLD, Step("sauvola"), Step("objects", inputs={"labels": "step_1"})])
    assert wires(moved(apart, 1, 2))[2] == {"labels": "step_2"}


def test_steps_that_do_nothing_for_the_result_are_known() -> None:
    apart = Recipe([THRESHOLD, Step("sauvola"), Step("objects", inputs={"labels": "step_1"})])
    assert unread(apart) == (2,)
    assert up_to(apart, 3) == Recipe([THRESHOLD, Step("objects", inputs={"labels": "step_1"})])
    assert up_to(apart, 2) == Recipe([Step("sauvola")])


def test_a_step_that_is_off_is_left_out_of_the_run() -> None:
    draft = Draft(LINE).switched(2, False)
    assert names(draft.running) == ["threshold", "draw_lines"]
    assert [draft.number_of(n) for n in (1, 2)] == [1, 3]
    assert draft.running_number(3) == 2
    assert draft.switched(2, True) == Draft(LINE)
    assert draft.inserted(2, Step("objects")).off == {3}
    assert draft.moved(2, 3).off == {3}
    assert draft.removed(2).off == set()
    assert Draft(LINE).switched(3, False).removed(2).off == {2}


def test_other_voxels_are_run_on_by_steps_that_know_how_large_they_are() -> None:
    sized = Step("split_touching", {"spacing": (2.0, 0.5, 0.25)}, {"labels": "step_1"})
    line = Recipe([Step("threshold", {"sigma": 1.0, "spacing": (2.0, 0.5, 0.25)}), sized])
    slices = aimed(line, Selection("zyx", each="z"))
    assert slices.selection == Selection("zyx", each="z")
    assert [step.settings["spacing"] for step in slices.steps] == [(0.5, 0.25)] * 2
    assert aimed(line, Selection("tzyx", each="t")).steps == line.steps
    volume = aimed(slices, Selection("zyx"))
    assert not any("spacing" in step.settings for step in volume.steps), "nobody knows how thick a slice is"
    draft = Draft(LINE).switched(2, False).aimed(Selection("tyx", each="t"))
    assert (draft.off, draft.running.selection) == ({2}, Selection("tyx", each="t"))


def test_what_a_step_may_read_is_of_its_kind() -> None:
    watershed = {p.name: p for p in catalog.find("watershed").arrays}
    assert sources(CELLS, 3, watershed["image"]) == ("image",)
    assert sources(CELLS, 3, watershed["markers"]) == ("step_1", "step_2")
    assert "objects" not in {m.name for m in insertable(LINE, 1)}
    assert "objects" in {m.name for m in insertable(LINE, 2)}


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (lambda: removed(Recipe([THRESHOLD]), 1), "at least one step.*insert another first"),
        (lambda: removed(LINE, 1), "step 2, split_touching, reads the labels that step 1, threshold, makes"),
        (lambda: removed(LINE, 4), "steps 1 to 3, got 4"),
        (lambda: moved(LINE, 1, 3), "step 2, split_touching, reads what step 1, threshold, gives"),
        (lambda: moved(LINE, 2, 1), "split_touching works on labels, and nothing before step 1 gives some"),
        (lambda: inserted(LINE, 1, Step("objects")), "objects works on labels"),
        (lambda: inserted(LINE, 6, Step("objects")), "at 1 to 4, got 6"),
        (lambda: replaced(LINE, 2, Step("threshold", inputs={"image": "step_1"})), "step_1 gives labels"),
        (lambda: replaced(LINE, 2, Step("objects", inputs={"labels": "image"})), "'image' is an image"),
        (lambda: replaced(LINE, 2, Step("objects", inputs={"labels": "step_3"})), "does not come before it"),
        (lambda: Draft(LINE).switched(1, False), "step 1, threshold, cannot be switched off: step 2"),
        (lambda: Draft(LINE, frozenset({2, 3})).replaced(2, Step("sauvola")).removed(1), "at least one step"),
        (lambda: moved(CELLS, 1, 2), "step 2, markers_from_distance, reads what step 1"),
        (lambda: aimed(LINE, Selection("cyx", channel="all")), "threshold"),
    ],
)
def test_an_edit_that_cannot_be_says_why(edit: Callable[[], object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        edit()


# Whatever is done --------------------------------------------------------------------------------------


@st.composite
def edits(draw: st.DrawFn, draft: Draft) -> Draft:
    """Return a draft after any edit, or the ValueError that refused it."""
    n = len(draft.recipe.steps)
    number, other = draw(st.integers(1, n + 1)), draw(st.integers(1, n))
    step = Step(draw(st.sampled_from(METHODS)).name)
    kind = draw(st.sampled_from(["insert", "insert", "remove", "move", "replace", "switch"]))
    try:
        match kind:
            case "insert":
                return draft.inserted(number, step)
            case "remove":
                return draft.removed(other)
            case "move":
                return draft.moved(other, draw(st.integers(1, n)))
            case "replace":
                arrays = catalog.find(step.method).arrays
                offered = {p.name: sources(draft.recipe, other, p) for p in arrays}
                wiring = {name: draw(st.sampled_from(found)) for name, found in offered.items() if found}
                return draft.replaced(other, Step(step.method, inputs=wiring))
            case _:
                return draft.switched(other, draw(st.booleans()))
    except ValueError as error:
        assert str(error)  # noqa: PT017 - it says why
        return draft


@given(st.data())
def test_any_edit_of_a_recipe_gives_a_recipe_or_says_why(data: st.DataObject) -> None:
    draft = Draft(data.draw(st.sampled_from([LINE, CELLS, Recipe([Step("objects")])])))
    for _ in range(data.draw(st.integers(1, 6))):
        draft = data.draw(edits(draft))
        for recipe in (draft.recipe, draft.running):
            assert Recipe.from_json(recipe.to_json()) == recipe
            for number, step in enumerate(recipe.steps, start=1):
                for param in catalog.find(step.method).arrays:
                    made = output_number(step.inputs.get(param.name, ""))
                    assert made < number
                    assert not (made and param.role is not None and param.role.name == "image")
        assert len(draft.running.steps) == len(draft.recipe.steps) - len(draft.off)
        last = len(draft.recipe.steps)
        assert up_to(draft.recipe, last).steps[-1].method == draft.recipe.steps[-1].method
        assert unread(up_to(draft.recipe, last)) == ()


def test_the_labels_of_a_step_are_those_of_the_recipe_up_to_it() -> None:
    image = np.random.default_rng(0).integers(0, 200, (20, 24)).astype(np.uint8)
    for number in (1, 2, 3):
        short = Recipe(CELLS.steps[:number], Selection("yx"))
        np.testing.assert_array_equal(
            execute(up_to(CELLS, number), {"image": image}).labels, execute(short, {"image": image}).labels
        )

"""What a run or a preview has found, in a few words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_cutout.recipe import Step
from napari_cutout.widgets._found import (
    advice,
    because,
    counted,
    duration,
    levels_found,
    n_labels,
    stored_summary,
    summary,
    tried,
    walked,
)


@pytest.mark.parametrize(
    ("labels", "n"),
    [([0, 0], 0), ([0, 1, 1, 4], 2), ([2, 2, 3], 2), ([0, 2**31 - 1, 7], 2), ([2**31 - 1], 1)],
)
def test_labels_are_counted_and_background_is_none(labels, n):
    assert n_labels(np.array([labels], np.int32)) == n


@pytest.mark.parametrize(
    ("facts", "seen", "where", "whole", "text"),
    [
        ({"n_minima": 412}, 38, "in this slice", True, "412 minima, 38 in this slice"),
        ({"n_minima": 1}, 1, "", True, "1 minimum"),
        ({"n_minima": 99}, 1200, "in view", False, "1,200 minima in view"),
        ({"n_minima": 5, "n_markers": 5}, 5, "", True, "5 minima"),
        ({"n_objects": 73, "n_markers": 73}, 73, "", True, "73 objects"),
        ({"n_markers": 1}, 1, "in this slice", False, "1 marker in this slice"),
        ({"threshold": 4.0}, 3, "in view", True, ""),
    ],
)
def test_a_preview_counts_what_the_method_counts(facts, seen, where, whole, text):
    assert counted(facts, seen, where, whole=whole) == text


def test_the_depth_that_was_chosen_is_named():
    assert levels_found({"depth": 12.34567, "n_minima": 4}) == "depth 12.35"


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({}, ""),
        ({"criteria": {3: 1.0}}, ""),
        ({"criteria": {1: 9.0, 2: 3.5, 3: 4.0}}, "chosen from 1 to 3"),
        ({"criteria": {str(n): 1.0 for n in range(1, 13)}}, "chosen from 1 to 12"),
    ],
)
def test_a_number_of_classes_that_was_chosen_is_said(facts, text):
    assert tried(facts) == text


@pytest.mark.parametrize(
    ("method", "facts", "by_part", "text"),
    [
        ("watershed", {"n_markers": 3}, {}, "2 objects from 3 markers"),
        ("watershed_from_minima", {"n_minima": 3, "n_markers": 3}, {}, "2 objects from 3 minima"),
        ("markers_from_minima", {"n_minima": 2}, {}, "2 minima"),
        ("markers_from_minima", {}, {"n_minima": [1, 1]}, "2 minima"),
        ("split_touching", {"n_objects": 3, "n_markers": 3}, {}, "2 objects"),
        ("watershed", {}, {"n_markers": [2, 1]}, "2 objects"),
    ],
)
def test_a_run_says_how_many_objects_came_from_what(method, facts, by_part, text):
    step = {"facts": facts, **({"by_part": by_part} if by_part else {})}
    device = {"used": "cpu", "reason": "it was asked for"}
    provenance = {"facts": facts, "steps": [step], "device": device, "seconds": 0.5}
    line = summary(np.array([[0, 4, 9]], np.int32), Step(method), provenance)
    assert line == f"{text} · CPU · 0.5 s"


def test_the_beta_of_each_channel_is_named():
    assert levels_found({"beta": 130.0}) == "beta 130"
    assert levels_found({"beta": [12.346, 7.0]}) == "beta 12.3, 7"
    assert levels_found({"beta": 1548.2}) == "beta 1550"


NEARLY = {"approximate": "solved on 9 groups", "estimated_error": 1e-3, "converged": True, "n_iterations": 4}


@pytest.mark.parametrize(
    ("step", "text"),
    [
        ({"facts": NEARLY}, "approximate: solved on 9 groups"),
        (
            {"facts": {}, "by_part": {"approximate": [None, "solved on 9 groups", "solved on 8 groups"]}},
            "approximate in 2 of 3 parts, such as: solved on 9 groups",
        ),
    ],
    ids=["whole", "parts"],
)
def test_what_is_approximate_is_said_without_the_error_of_a_part_of_it(step, text):
    device = {"used": "cpu", "reason": "it was asked for"}
    provenance = {"facts": step["facts"], "steps": [step], "device": device, "seconds": 0.5}
    line = summary(np.array([[1, 2]], np.int32), Step("random_walker"), provenance)
    assert line == f"2 objects · {text} · CPU · 0.5 s"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (2e-4, "7 iterations, probabilities right to about 0.0002"),
        (0.14, "7 iterations, probabilities right to about 0.1"),
        (np.inf, "7 iterations"),  # of which nothing is known
    ],
)
def test_how_right_probabilities_are_is_said_in_words(error, words):
    assert walked({"n_iterations": 7, "estimated_error": error}) == words


def test_of_one_label_there_is_nothing_to_say():
    assert walked({"n_iterations": 0, "estimated_error": 0.0}) == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0021, "< 0.1 s"), (0.42, "0.4 s"), (59.4, "59 s"), (60, "1 min 0 s"), (125, "2 min 5 s"), (7260, "2 h 1 min")],
)
def test_a_time_is_said_as_people_do(seconds, words):
    assert duration(seconds) == words


def specks(n, size):
    """Objects of one size, numbered."""
    labels = np.zeros((2 * n, 8), np.int32)
    for at in range(n):
        labels[2 * at, :size] = at + 1
    return labels


def test_what_is_seldom_wanted_comes_with_what_to_do_about_it():
    numbered = Step("threshold", {"one_per_object": True})
    assert advice(specks(20, 4), numbered).startswith("20 of them have fewer than 5 voxels: raise smoothing sigma")
    assert advice(specks(20, 5), numbered) == ""
    assert advice(specks(19, 4), numbered) == ""
    mixed = np.concatenate([specks(12, 4), specks(8, 6) + 12 * (specks(8, 6) > 0)])
    assert advice(mixed, numbered).startswith("12 of them")
    assert "dark objects" in advice(np.zeros((4, 4), np.int32), numbered)
    assert "dark objects" not in advice(np.zeros((4, 4), np.int32), Step("threshold", {"objects": "dark"}))
    assert "one number per object" in advice(np.ones((4, 4), np.uint8), Step("threshold"))
    assert advice(specks(20, 4), Step("kmeans")) == ""


def test_objects_that_fill_an_image_are_said_to_lack_a_background():
    grown, full = Step("watershed", inputs={"markers": "markers"}), np.repeat(np.arange(1, 7), 4).reshape(4, 6)
    assert "choose a mask" in advice(full, grown)
    assert advice(full, replace(grown, inputs={"markers": "markers", "mask": "mask"})) == ""
    assert advice(np.where(full < 4, 1, full), grown) == "", "one of them is as large as a background"
    assert advice(np.minimum(full, 4), grown) == "", "so few may be the parts of something"
    assert advice(np.where(full == 1, 0, full), grown) == ""


def test_why_a_run_was_where_it_was_is_on_the_line_where_a_gpu_was_asked_for_in_vain():
    device = {"asked": "gpu", "used": "cpu", "reason": "memory ran out"}
    provenance = {"facts": {}, "steps": [{"facts": {}}], "device": device, "seconds": 3.0}
    assert summary(np.array([[1, 2]], np.int32), Step("random_walker"), provenance).endswith(
        "CPU because memory ran out · 3.0 s"
    )
    assert because(provenance) == "On the CPU because memory ran out."
    served = {**provenance, "device": {**device, "used": "gpu"}}
    assert summary(np.array([[1, 2]], np.int32), Step("random_walker"), served).endswith("GPU · 3.0 s")


@pytest.mark.parametrize(
    ("settings", "facts", "counted", "words"),
    [
        ({"one_per_object": True}, {"threshold": 706.2385}, {"n_labels": 2187}, "threshold 706.24 · 2,187 objects"),
        ({"one_per_object": True}, {}, {"n_labels": 3, "n_voxels": [9, 4, 0, 1]}, "2 objects"),
        ({"one_per_object": True}, {}, {"n_labels": 0, "n_voxels": [9]}, "0 objects"),
        ({"one_per_object": False}, {}, {"n_labels": 1, "n_voxels": [75, 25]}, "25 % selected"),
        ({"one_per_object": False}, {}, {"n_labels": 3, "n_voxels": [0, 1, 1, 1]}, "3 classes"),
        ({}, {"n_regions": 900}, {"n_labels": 900}, "900 regions"),
    ],
)
def test_of_a_store_it_is_said_what_came_out_as_of_any_run(settings, facts, counted, words):
    provenance = {
        "steps": [{"method": "threshold", "settings": settings, "facts": facts}],
        "facts": facts,
        "device": {"asked": "auto", "used": "cpu", "reason": "there is no NVIDIA driver"},
        "seconds": 0.2,
        **counted,
    }
    assert stored_summary(provenance, "a.zarr") == f"{words} · CPU · 0.2 s · in 'a.zarr'"
    wanted = {**provenance, "device": {**provenance["device"], "asked": "gpu"}}
    assert "CPU because there is no NVIDIA driver" in stored_summary(wanted, "a.zarr")

"""Sums that do not depend on their order, exponentials and logarithms that do not depend on the library."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_cutout import _array
from napari_cutout._arithmetic import (
    LOWEST,
    POWERS,
    QUANTUM_BITS,
    exp_of,
    exp_of_negative,
    log_of,
    log_of_sum,
    of_quanta,
    quanta,
    rounded,
    rounded_one,
    split,
)
from napari_cutout._compiled import compiled

QUANTUM = 2.0**-QUANTUM_BITS

moderate = st.floats(-(2.0**20), 2.0**20)


@compiled
def _exponentials(values: NDArray[np.float64], powers: NDArray[np.float64], found: NDArray[np.float64]) -> None:
    for i in range(values.size):
        found[i] = exp_of(values[i], powers)


@compiled
def _logarithms(values: NDArray[np.float64], found: NDArray[np.float64]) -> None:
    for i in range(values.size):
        found[i] = log_of(values[i])


@compiled
def _roundings(values: NDArray[np.float64], found: NDArray[np.float64]) -> None:
    for i in range(values.size):
        found[i] = rounded_one(values[i])


def negative_numbers() -> np.ndarray:
    """Return numbers over the whole range of the exponential, dense near 0 and near multiples of the logarithm of 2."""
    rng = np.random.default_rng(0)
    multiples = -np.arange(1021) * np.log(2.0) / 2
    near = np.concatenate([np.nextafter(multiples, 0.0), multiples, np.nextafter(multiples, -800.0)])
    return np.concatenate(
        [
            -rng.random(20_000) * 710,
            -(10 ** rng.uniform(-300, 2.8, 20_000)),
            near,
            [0.0, -0.0, -5e-324, LOWEST, -706.999],
        ]
    )


# Exponentials and logarithms --------------------------------------------------------------------------


def test_exponentials_are_right_to_about_the_last_place() -> None:
    values = negative_numbers()
    values = values[values > LOWEST]
    expected = np.exp(values)
    assert (np.abs(exp_of_negative(values) - expected) <= 2 * np.spacing(expected)).all()


def test_exponentials_at_the_ends_of_their_range() -> None:
    ends = np.array([0.0, -0.0, LOWEST, np.nextafter(LOWEST, 0), -708.0, -1e300, -np.inf])
    found = exp_of_negative(ends)
    np.testing.assert_array_equal(found[:2], 1.0)
    assert found[3] == pytest.approx(np.exp(LOWEST), rel=1e-15)
    np.testing.assert_array_equal(found[[2, 4, 5, 6]], 0.0)


@given(st.lists(st.floats(-750, 0), min_size=2, max_size=50))
@example([-0.34657359027997264, -0.3465735902799727])  # where the power of 2 changes
def test_exponentials_rise(numbers: list[float]) -> None:
    values = np.sort(np.asarray(numbers))
    assert (np.diff(exp_of_negative(values)) >= -2 * np.spacing(exp_of_negative(values)[1:])).all()


def test_logarithms_of_sums_are_right_to_a_billionth() -> None:
    values = np.concatenate([np.geomspace(1, 64, 50_000), np.arange(1.0, 65), np.sqrt(2) ** np.arange(13)])
    values = np.clip(values, 1, 64)
    np.testing.assert_allclose(log_of_sum(values), np.log(values), rtol=0, atol=1e-9)
    assert log_of_sum(np.ones(1))[0] == 0


def test_every_library_has_the_same_bits(to_library: Any) -> None:
    values, sums = negative_numbers(), np.linspace(1, 64, 5000)
    for function, given_values in ((exp_of_negative, values), (log_of_sum, sums), (rounded, values)):
        found = function(to_library(given_values))
        assert_same_bits(_array.to_numpy(found), function(given_values))
    for found, expected in zip(split(to_library(values * 1e9)), split(values * 1e9), strict=True):
        assert_same_bits(_array.to_numpy(found), expected)


@pytest.mark.gpu
def test_a_gpu_has_the_same_bits(to_gpu: Any) -> None:
    values, sums = negative_numbers(), np.linspace(1, 64, 5000)
    for function, given_values in ((exp_of_negative, values), (log_of_sum, sums), (rounded, values)):
        assert_same_bits(_array.to_numpy(function(to_gpu(given_values))), function(given_values))
    for found, expected in zip(split(to_gpu(values * 1e9)), split(values * 1e9), strict=True):
        assert_same_bits(_array.to_numpy(found), expected)


@given(st.lists(st.floats(-750, 0) | st.just(-np.inf) | st.floats(max_value=0, allow_nan=False), min_size=1))
def test_a_compiled_loop_has_the_bits_of_the_arrays(numbers: list[float]) -> None:
    values = np.asarray(numbers)
    found = np.empty_like(values)
    _exponentials(values, POWERS, found)
    assert_same_bits(found, exp_of_negative(values))


@given(st.lists(st.floats(1, 64), min_size=1), st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_compiled_logarithms_and_roundings_have_the_bits_of_the_arrays(sums: list[float], numbers: list[float]) -> None:
    values, others = np.asarray(sums), np.asarray(numbers)
    found, rounded_values = np.empty_like(values), np.empty_like(others)
    _logarithms(values, found)
    assert_same_bits(found, log_of_sum(values))
    _roundings(others, rounded_values)
    assert_same_bits(rounded_values, rounded(others))


def assert_same_bits(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype == np.float64
    np.testing.assert_array_equal(found.view(np.uint64), expected.view(np.uint64))


# Sums that do not depend on their order ---------------------------------------------------------------


@given(st.lists(moderate, min_size=1, max_size=200), st.randoms(use_true_random=False))
@example([2.0**27 - 1, QUANTUM, QUANTUM / 2, -QUANTUM / 2, 1e-300], None)
def test_sums_of_rounded_values_do_not_depend_on_their_order(numbers: list[float], random: Any) -> None:
    values = rounded(np.asarray(numbers))
    exact = sum(int(v * 2**QUANTUM_BITS) for v in values.tolist())
    shuffled = values.tolist()
    if random is not None:
        random.shuffle(shuffled)
    for total in (values.sum(), values[::-1].sum(), sum(shuffled), np.cumsum(shuffled)[-1]):
        assert int(total * 2.0**QUANTUM_BITS) == exact
    parts = quanta(values[:1].sum()) + quanta(values[1:].sum())
    assert int(parts) == exact
    assert float(of_quanta(np.asarray(parts, object))) == values.sum()


@given(st.lists(moderate, min_size=1, max_size=50))
def test_values_are_rounded_to_the_nearest_quantum(numbers: list[float]) -> None:
    values = np.asarray(numbers)
    found = rounded(values)
    assert (np.abs(found - values) <= QUANTUM / 2).all()
    np.testing.assert_array_equal(found * 2**QUANTUM_BITS, np.round(found * 2**QUANTUM_BITS))
    np.testing.assert_array_equal(rounded(found), found)


@pytest.mark.parametrize("power", [27, 28, 29, 40, 60, 300])
def test_beyond_its_range_a_rounded_value_is_what_it_was_but_for_its_last_places(power: int) -> None:
    values = (1 + np.random.default_rng(power).random(1000)) * 2.0**power * np.array([[1.0], [-1.0]])
    found = rounded(values)
    assert (np.abs(found - values) <= np.maximum(np.spacing(np.abs(values)), QUANTUM)).all()
    assert all((v * 2.0 ** (QUANTUM_BITS + 1)).is_integer() for v in found.ravel().tolist())


def test_whole_numbers_of_quanta_add_up_without_limit() -> None:
    huge = quanta(np.array([2.0**40, -QUANTUM, 3.0]))
    assert (huge + huge).tolist() == [2 * 2**64, -2, 6 * 2**24]
    total = sum((huge for _ in range(1000)), start=huge)
    np.testing.assert_array_equal(of_quanta(total), [1001 * 2.0**40, -1001 * QUANTUM, 3003.0])


def test_quanta_of_arrays_of_any_shape() -> None:
    values = np.arange(24.0).reshape(2, 3, 4) / 8
    assert quanta(values).shape == (2, 3, 4)
    np.testing.assert_array_equal(of_quanta(quanta(values)), values)
    assert int(quanta(np.float64(-0.5))) == -(2**23)


large_or_small = st.floats(-1e15, 1e15) | moderate | st.floats(-1.0, 1.0)


@given(st.lists(large_or_small, min_size=1, max_size=200), st.randoms(use_true_random=False))
@example([1e15, 128.0, -1e15, QUANTUM, 127.99999999, 0.3, -1e9 - 0.7], None)
def test_parts_of_large_values_sum_up_in_any_order(numbers: list[float], random: Any) -> None:
    values = np.asarray(numbers)
    large, rest = split(values)
    np.testing.assert_array_equal(large % 256, 0)
    assert (np.abs(rest) <= 128).all()
    assert (np.abs((values - large) - rest) <= QUANTUM / 2).all()  # the difference is exact
    order = list(range(len(numbers)))
    if random is not None:
        random.shuffle(order)
    for part in (large, rest):
        exact = sum(int(v * 2**QUANTUM_BITS) for v in part.tolist())
        for total in (part.sum(), part[::-1].sum(), part[order].sum(), np.cumsum(part[order])[-1]):
            assert int(total * 2.0**QUANTUM_BITS) == exact


def test_values_that_fit_sum_up_to_what_they_are_in_one_part_or_two() -> None:
    values = np.random.default_rng(0).normal(size=1000) * 500
    assert int(sum(quanta(part.sum()) for part in split(values))) == int(quanta(rounded(values).sum()))

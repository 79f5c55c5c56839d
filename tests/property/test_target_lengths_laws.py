"""Laws of target lengths, and a slow oracle for the choice in exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from laser_verl.core import (
    BANDS,
    Rollouts,
    TargetLengths,
    band_of,
    choose_target,
    coverage,
    least_solved,
    summarise,
    target_grid,
)

# A busy machine is no failure.
settings.register_profile("laser", deadline=None, max_examples=60)
settings.load_profile("laser")

bounds = st.tuples(st.integers(1, 50), st.integers(0, 60), st.integers(1, 30)).map(
    lambda given: (given[0], given[0] + given[1], given[2])
)
lengths = st.lists(st.integers(0, 130), max_size=30)
roundings = st.sampled_from(["ceil", "floor"])
Rounding = Literal["ceil", "floor"]
# A batch: the groups' lengths, each with whether it is solved.
groups = st.lists(st.lists(st.tuples(st.integers(0, 130), st.booleans()), min_size=1, max_size=5), max_size=6)


def rollouts_of(batch: list[list[tuple[int, bool]]], step: int = 0) -> Rollouts:
    return Rollouts.build(
        [number for number, group in enumerate(batch) for _ in group],
        [length for group in batch for length, _ in group],
        [is_solved for group in batch for _, is_solved in group],
        step=step,
    )


@given(bounds)
def test_grid_rises_by_at_most_the_interval_and_holds_both_bounds(given_bounds: tuple[int, int, int]) -> None:
    lower, upper, interval = given_bounds
    grid = target_grid(lower, upper, interval)
    assert (grid[0], grid[-1]) == (lower, upper)
    steps = np.diff(grid)
    assert ((steps >= 1) & (steps <= interval)).all()
    assert (steps[:-1] == interval).all()


@given(lengths, bounds)
def test_coverage_agrees_with_counting(given_lengths: list[int], given_bounds: tuple[int, int, int]) -> None:
    grid = target_grid(*given_bounds)
    assert coverage(given_lengths, grid).tolist() == [
        sum(length <= candidate for length in given_lengths) for candidate in grid
    ]


@given(lengths, bounds, st.integers(0, 12))
def test_choice_agrees_with_a_slow_oracle(
    given_lengths: list[int], given_bounds: tuple[int, int, int], needed: int
) -> None:
    assume(given_lengths)
    grid = target_grid(*given_bounds).tolist()
    expected_correct = {
        candidate: Fraction(sum(length <= candidate for length in given_lengths), len(given_lengths)) * needed
        for candidate in grid
    }
    enough = [candidate for candidate in grid if expected_correct[candidate] >= 1]
    assert choose_target(given_lengths, needed, target_grid(*given_bounds)) == (min(enough) if enough else max(grid))


@given(lengths, bounds, st.integers(0, 11))
def test_an_easier_band_never_has_the_longer_target_for_the_same_lengths(
    given_lengths: list[int], given_bounds: tuple[int, int, int], needed: int
) -> None:
    assume(given_lengths)
    grid = target_grid(*given_bounds)
    harder, easier = choose_target(given_lengths, needed, grid), choose_target(given_lengths, needed + 1, grid)
    assert harder is not None
    assert easier is not None
    assert easier <= harder


@given(lengths, bounds, st.integers(0, 12), st.integers(0, 20))
def test_longer_responses_never_shorten_the_target(
    given_lengths: list[int], given_bounds: tuple[int, int, int], needed: int, more: int
) -> None:
    assume(given_lengths)
    grid = target_grid(*given_bounds)
    before = choose_target(given_lengths, needed, grid)
    after = choose_target([length + more for length in given_lengths], needed, grid)
    assert before is not None
    assert after is not None
    assert after >= before


@given(st.integers(1, 64), roundings)
def test_least_solved_is_the_least_count_of_its_band(size: int, rounding: Rounding) -> None:
    counts = least_solved(size, rounding)
    exact = (Fraction(2 * size, 3), Fraction(size, 3))
    assert counts[:2] == tuple((math.ceil if rounding == "ceil" else math.floor)(count) for count in exact)
    if rounding == "ceil":
        # With the paper's rounding, C_d solved responses put a group in band d or an easier one, one fewer in a harder.
        for band in range(2):
            assert band_of([counts[band]], [size])[0] <= band
            assert band_of([counts[band] - 1], [size])[0] > band


@given(groups, bounds, roundings, st.integers(1, 8))
def test_recent_targets_of_one_batch_are_those_of_the_summary(
    batch: list[Any], given_bounds: tuple[int, int, int], rounding: Rounding, size: int
) -> None:
    recent = TargetLengths(*given_bounds, rounding=rounding, group_size=size)
    recent.observe(rollouts_of(batch))
    found = summarise(rollouts_of(batch), *given_bounds, rounding=rounding, group_size=size)
    assert recent.targets == found["target_length"]
    assert recent.num_prompts == found["num_prompts"]


@given(groups, st.lists(groups, max_size=3), bounds, roundings, st.integers(1, 8))
def test_targets_of_a_pass_are_those_of_its_summary_whatever_came_before(
    last: list[Any], before: list[list[Any]], given_bounds: tuple[int, int, int], rounding: Rounding, size: int
) -> None:
    targets = TargetLengths(*given_bounds, rounding=rounding, group_size=size)
    for batch in before:
        targets.observe(rollouts_of(batch), alone=True)
    kept = targets.targets
    targets.observe(rollouts_of(last), alone=True)
    found = summarise(rollouts_of(last), *given_bounds, rounding=rounding, group_size=size)
    for band in BANDS:
        has_prompts = found["num_prompts"][band] > 0
        assert targets.targets[band] == (found["target_length"] if has_prompts else kept)[band]
    if last:
        assert targets.num_prompts == found["num_prompts"]


@given(st.lists(groups, max_size=5), bounds, st.integers(1, 12))
def test_targets_are_always_candidates(steps: list[list[Any]], given_bounds: tuple[int, int, int], window: int) -> None:
    recent = TargetLengths(*given_bounds, window=window, update_every=1)
    grid = set(target_grid(*given_bounds).tolist())
    for step, batch in enumerate(steps):
        recent.observe(rollouts_of(batch, step))
        assert set(recent.targets.values()) <= grid
        assert list(recent.targets) == list(BANDS)


@given(st.lists(groups, min_size=1, max_size=5), bounds, st.integers(1, 12))
def test_the_window_is_the_shortest_tail_of_batches_that_fills_it(
    steps: list[list[Any]], given_bounds: tuple[int, int, int], window: int
) -> None:
    recent = TargetLengths(*given_bounds, window=window, update_every=1)
    for step, batch in enumerate(steps):
        recent.observe(rollouts_of(batch, step))
    sizes = [len(batch) for batch in steps if batch]
    kept = 0
    while sizes and kept < window:
        kept += sizes.pop()
    assert sum(recent.num_prompts.values()) == kept


@given(
    st.lists(groups, min_size=1, max_size=5),
    bounds,
    st.integers(1, 12),
    st.integers(1, 4),
    st.integers(0, 4),
    st.booleans(),
)
def test_saved_loaded_and_continued_equals_unbroken(
    steps: list[list[Any]], given_bounds: tuple[int, int, int], window: int, update_every: int, stop: int, alone: bool
) -> None:
    def new() -> TargetLengths:
        return TargetLengths(*given_bounds, window=window, update_every=update_every)

    unbroken, resumed = new(), new()
    for step, batch in enumerate(steps):
        if step == stop:
            state, resumed = resumed.state_dict(), new()
            resumed.load_state_dict(state)
        for targets in (unbroken, resumed):
            targets.observe(rollouts_of(batch, step), alone)
        assert resumed.targets == unbroken.targets
        assert resumed.metrics() == unbroken.metrics()
    np.testing.assert_equal(resumed.state_dict(), unbroken.state_dict())

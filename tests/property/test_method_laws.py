"""Laws that hold for every method, whatever the batch; `method_cases.py` says what each one claims.

One batch is tried on all methods, since drawing it takes longer than shaping it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from laser_verl.core import Method, Need, Rollouts, Shaped, describe, method_names
from laser_verl.core.state import load_state, save_state
from tests.oracles.rows import Row
from tests.property.method_cases import ALL_COLUMNS, CASES, LENGTHS, PROMPT_KEY, batches, each, rollouts_of

# A busy machine is no failure.
settings.register_profile(
    "methods", deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("methods")

NEEDS = {label: case.new().needs for label, case in CASES.items()}
GROUPWISE = [label for label, needs in NEEDS.items() if Need.BATCH not in needs]
STATELESS = [label for label, needs in NEEDS.items() if Need.HISTORY not in needs]
LASER_FAMILY = ("laser", "laser_d", "laser_d, fixed", "laser_de")
every_case = pytest.mark.parametrize("label", CASES)

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(autouse=True)
def _what_numpy_would_warn_of_is_an_error() -> Iterator[None]:
    with np.errstate(all="raise", under="ignore"):  # underflow is none of it
        yield


def shaped(method: Method, rollouts: Rollouts) -> Shaped:
    method.observe(rollouts)
    return method.shape(rollouts)


def close(got: Any, expected: Any) -> None:
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


def standardised(reward: np.ndarray) -> np.ndarray:
    return (reward - reward.mean()) / (reward.std(ddof=1) + 1e-6)


def test_the_cases_cover_all_methods_and_columns() -> None:
    assert {case.method for case in CASES.values()} == set(method_names())
    for name in method_names():
        assert set(describe(name).columns) <= {*ALL_COLUMNS, PROMPT_KEY}


@given(batch=batches(), shuffle=st.randoms(use_true_random=False))
def test_row_order_is_irrelevant(batch: list[Row], shuffle: Any) -> None:
    order = list(range(len(batch)))
    shuffle.shuffle(order)
    rollouts, mixed = rollouts_of(batch), rollouts_of([batch[place] for place in order])
    for case in each():
        straight, other = shaped(case.new(), rollouts), shaped(case.new(), mixed)
        for part in ("task_reward", "length_reward"):
            close(getattr(other, part), getattr(straight, part)[order])


@given(batch=batches())
def test_groups_are_independent(batch: list[Row]) -> None:
    # What came before, adaptive targets say, is equal for all: each group alone is shaped by the same method.
    rollouts = rollouts_of(batch)
    masks = [rollouts.group == group for group in range(rollouts.num_groups)]
    alone = [rollouts.select(mask) for mask in masks]
    for case in each(GROUPWISE):
        method = case.new()
        whole = shaped(method, rollouts).reward
        for mask, group in zip(masks, alone, strict=True):
            close(method.shape(group).reward, whole[mask])


@given(batch=batches())
def test_rewards_are_finite_and_in_range(batch: list[Row]) -> None:
    rollouts = rollouts_of(batch)
    for case in each():
        method = case.new()
        for _ in range(2):  # the second time with a history
            result = shaped(method, rollouts)
            for values in (result.task_reward, result.length_reward, result.reward):
                assert (values.shape, values.dtype) == ((len(batch),), np.float64)
                assert np.isfinite(values).all()
            assert result.target_length is None or result.target_length.shape == (len(batch),)
            assert (result.reward >= case.least - 1e-9).all()
            assert (result.reward <= case.greatest + 1e-9).all()


@given(batch=batches(), own=st.sampled_from([-100.0, -1.0, 0.0, 0.3, 7.0]))
def test_a_score_of_the_users_own_takes_the_place_of_the_verdicts(batch: list[Row], own: float) -> None:
    ended = [row for row in batch if row.columns["has_eos"]]  # without that a right answer may be wrong
    rollouts = rollouts_of(ended, task_score=[own] * len(ended))
    for case in each():
        result = shaped(case.new(), rollouts)
        assert len(set(result.task_reward)) <= 1
        assert np.isfinite(result.reward).all()


@given(batch=batches())
def test_the_laser_family_pays_a_wrong_answer_only_for_exploring_beyond_the_target(batch: list[Row]) -> None:
    rollouts = rollouts_of(batch)
    for case in each(LASER_FAMILY):
        result = shaped(case.new(), rollouts)
        assert result.target_length is not None
        may_explore = ~rollouts.solved & rollouts.well_formed & ~rollouts.repetitive
        may_explore &= (rollouts.length > result.target_length) & (case.method == "laser_de")
        assert not result.length_reward[~rollouts.solved & ~may_explore].any()
        assert (result.length_reward >= 0).all()


@given(batch=batches(num_prompts=2))  # large groups, so that several of a kind are solved
def test_a_shorter_solved_response_never_scores_below_a_longer_one_of_its_group(batch: list[Row]) -> None:
    rollouts = rollouts_of([row for row in batch if row.columns["has_eos"]])  # for `efficient` others are wrong
    for case in each():
        method = case.new()
        for _ in range(2):
            reward = shaped(method, rollouts).reward
            is_meant = rollouts.solved & (rollouts.length <= case.prefers_shorter_up_to)
            for group in range(rollouts.num_groups):
                rows = np.flatnonzero((rollouts.group == group) & is_meant)
                is_shorter = rollouts.length[rows][:, None] < rollouts.length[rows]
                if case.prefers_shorter_among:
                    kind = rollouts.columns[case.prefers_shorter_among][rows]
                    is_shorter &= kind[:, None] == kind
                assert (reward[rows][:, None] >= reward[rows] - 1e-9)[is_shorter].all()


@given(length=st.sampled_from(LENGTHS), correct=st.lists(st.booleans(), min_size=2, max_size=16))
def test_equal_lengths_leave_standardised_advantages_unchanged(length: int, correct: list[bool]) -> None:
    # Right and wrong, all well formed: two values stay two values in the same order. A third one would move.
    rollouts = rollouts_of([Row(0, length, is_right) for is_right in correct])
    for case in each():
        if not case.same_length_within[0] <= length <= case.same_length_within[1]:
            continue
        result = shaped(case.new(), rollouts)
        np.testing.assert_allclose(standardised(result.reward), standardised(result.task_reward), rtol=0, atol=1e-4)


@settings(max_examples=15)  # each example writes a file per case
@given(steps=st.lists(batches(max_size=10), min_size=2, max_size=3), stop=st.integers(0, 2))
def test_a_saved_and_loaded_method_goes_on_as_an_unbroken_one(
    steps: list[list[Row]], stop: int, tmp_path: Path
) -> None:
    given_steps = [rollouts_of(batch, step=step) for step, batch in enumerate(steps)]
    for case in each():
        unbroken, resumed = case.new(), case.new()
        for step, rollouts in enumerate(given_steps):
            np.testing.assert_array_equal(shaped(resumed, rollouts).reward, shaped(unbroken, rollouts).reward)
            if step == stop:
                save_state(tmp_path / "laser_state", {"method": resumed.state_dict()})
                resumed = case.new()
                resumed.load_state_dict(load_state(tmp_path / "laser_state")["method"])
        np.testing.assert_equal(resumed.state_dict(), unbroken.state_dict())


@every_case
def test_the_state_of_another_method_is_refused(label: str) -> None:
    method = CASES[label].new()
    with pytest.raises(ValueError, match="the saved state is of method 'other'"):
        method.load_state_dict({**method.state_dict(), "method": "other"})


@given(batch=batches())
def test_two_equal_batches_in_a_row_give_equal_rewards(batch: list[Row]) -> None:
    rollouts = rollouts_of(batch)
    for case in each(STATELESS):
        method = case.new()
        first = shaped(method, rollouts).reward
        np.testing.assert_array_equal(shaped(method, rollouts).reward, first)


@given(batch=batches())
def test_shaping_changes_no_state(batch: list[Row]) -> None:
    rollouts = rollouts_of(batch)
    for case in each():
        method = case.new()
        first, state = shaped(method, rollouts).reward, method.state_dict()
        np.testing.assert_array_equal(method.shape(rollouts).reward, first)
        np.testing.assert_equal(method.state_dict(), state)


@every_case
@pytest.mark.parametrize("rows_before", [0, 1])
def test_an_empty_batch_gives_empty_arrays(label: str, rows_before: int) -> None:
    method = CASES[label].new()
    shaped(method, rollouts_of([Row(0, 100, True)] * rows_before))
    result = shaped(method, rollouts_of([], step=1))
    for values in (result.task_reward, result.length_reward, result.reward):
        assert values.shape == (0,)


@pytest.mark.parametrize(("step", "share"), [(0, 0.0), (10, 0.0), (15, 0.5), (20, 1.0), (99, 1.0)])
@given(batch=batches())
def test_a_ramp_brings_in_the_length_term(batch: list[Row], step: int, share: float) -> None:
    rollouts = rollouts_of(batch, step=step)
    for case in each(label for label, case in CASES.items() if case.method != "mixed"):
        full, ramped = shaped(case.new(), rollouts), shaped(case.new(ramp=[10, 20]), rollouts)
        assert ramped.ramp_frac == share
        np.testing.assert_array_equal(ramped.task_reward, full.task_reward)
        np.testing.assert_array_equal(ramped.length_reward, share * full.length_reward)


@given(batch=batches())
def test_metrics_are_finite_numbers_that_verl_averages(batch: list[Row]) -> None:
    rollouts = rollouts_of(batch)
    for case in each():
        method = case.new()
        metrics = method.metrics()
        shaped(method, rollouts)
        metrics |= method.metrics()
        shaped(method, rollouts)
        for key, value in (metrics | method.metrics()).items():
            assert key.startswith("laser/")
            # verl aggregates by these syllables over sub-steps
            assert not any(syllable in key for syllable in ("min", "max", "sum", "total"))
            assert type(value) is float
            assert np.isfinite(value)


@every_case
def test_a_method_reads_no_column_but_those_it_names(label: str) -> None:
    method = CASES[label].new()
    assert set(method.required_columns) <= set(method.columns)
    assert set(describe(method.name).columns) <= set(method.columns)
    shaped(method, rollouts_of([Row(0, 100, True)], columns=method.columns))


@pytest.mark.parametrize(
    ("label", "column"), [(label, column) for label, case in CASES.items() for column in case.new().required_columns]
)
def test_a_missing_column_is_named(label: str, column: str) -> None:
    others = [known for known in ALL_COLUMNS if known != column]
    with pytest.raises(ValueError, match=rf"column {column}\b"):
        shaped(CASES[label].new(), rollouts_of([Row(0, 100, True)], columns=others))

"""Laws that hold for every batch, and a slow oracle written from the paper's equations."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laser_verl.core import BANDS, Context, Method, Rollouts, build

# A busy machine is no failure.
settings.register_profile("laser", deadline=None, max_examples=60)
settings.load_profile("laser")

UPPER = 40
METHODS = ("laser", "laser_d", "laser_de")


@dataclass(frozen=True)
class Row:
    prompt: int
    length: int
    correct: bool
    well_formed: bool
    repetitive: bool


# Few prompts, so that groups have several rows; lengths on both sides of every target and above the upper bound.
rows = st.builds(
    Row,
    st.integers(0, 4),
    st.integers(0, UPPER + 10),
    st.booleans(),
    st.sampled_from([True, True, False]),
    st.booleans(),
)
batches = st.lists(rows, max_size=24)


def rollouts_of(batch: list[Row], **extra: Any) -> Rollouts:
    return Rollouts.build(
        [row.prompt for row in batch],
        [row.length for row in batch],
        [row.correct for row in batch],
        well_formed=[row.well_formed for row in batch],
        repetitive=[row.repetitive for row in batch],
        **extra,
    )


def new(name: str, **options: Any) -> Method:
    given: dict[str, Any] = {"target_length": 20} if name == "laser" else {"lower_bound": 5, "interval": 5}
    return build(name, {**given, **options}, Context(group_size=6, max_response_length=UPPER))


def shaped_reward(method: Method, rollouts: Rollouts) -> np.ndarray:
    method.observe(rollouts)
    return method.shape(rollouts).reward


@pytest.mark.parametrize("name", METHODS)
@given(batch=batches, shuffle=st.randoms(use_true_random=False))
def test_row_order_is_irrelevant(name: str, batch: list[Row], shuffle: Any) -> None:
    order = list(range(len(batch)))
    shuffle.shuffle(order)
    straight = shaped_reward(new(name, **({} if name == "laser" else {"window": 2})), rollouts_of(batch))
    shuffled = shaped_reward(new(name), rollouts_of([batch[place] for place in order]))
    np.testing.assert_array_equal(shuffled, straight[order])


@pytest.mark.parametrize("name", METHODS)
@given(batch=batches)
def test_a_shorter_correct_answer_never_scores_below_a_longer_one_of_its_group(name: str, batch: list[Row]) -> None:
    reward = shaped_reward(new(name), rollouts_of(batch))
    for prompt in {row.prompt for row in batch}:
        solved = sorted(
            (row.length, -value)
            for row, value in zip(batch, reward, strict=True)
            if row.prompt == prompt and row.correct and row.well_formed
        )
        losses = [loss for _, loss in solved]
        assert losses == sorted(losses)


@pytest.mark.parametrize("name", METHODS[:2])
@given(batch=batches)
def test_laser_and_laser_d_never_reward_a_wrong_answer_for_its_length(name: str, batch: list[Row]) -> None:
    rollouts = rollouts_of(batch)
    method = new(name)
    method.observe(rollouts)
    assert not method.shape(rollouts).length_reward[~rollouts.solved].any()


@given(batch=batches)
def test_laser_de_never_rewards_malformed_or_looping_wrong_answers(batch: list[Row]) -> None:
    rollouts = rollouts_of(batch)
    method = new("laser_de")
    method.observe(rollouts)
    bonus = method.shape(rollouts).length_reward
    assert not bonus[~rollouts.well_formed].any()
    assert not bonus[~rollouts.solved & rollouts.repetitive].any()


@pytest.mark.parametrize("name", METHODS)
@given(length=st.integers(0, UPPER + 10), correct=st.lists(st.booleans(), min_size=2, max_size=16))
def test_equal_lengths_leave_standardised_advantages_unchanged(name: str, length: int, correct: list[bool]) -> None:
    # Right and wrong, all well formed: two values stay two values, in the same order, as long as alpha is below the gap
    # between them. A third value (malformed) would move, as would two values of one verdict.
    rollouts = Rollouts.build([0] * len(correct), [length] * len(correct), correct)
    method = new(name)
    method.observe(rollouts)
    shaped = method.shape(rollouts)

    def standardised(reward: np.ndarray) -> np.ndarray:
        return (reward - reward.mean()) / (reward.std(ddof=1) + 1e-6)

    np.testing.assert_allclose(standardised(shaped.reward), standardised(shaped.task_reward), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", METHODS)
@given(batch=batches, alpha=st.floats(0, 10), own=st.none() | st.floats(-100, 100))
def test_results_are_finite_and_in_range(name: str, batch: list[Row], alpha: float, own: float | None) -> None:
    rollouts = rollouts_of(batch, task_score=None if own is None else [own] * len(batch))
    method = new(name, alpha=alpha)
    method.observe(rollouts)
    shaped = method.shape(rollouts)
    assert shaped.reward.shape == shaped.task_reward.shape == shaped.length_reward.shape == (len(batch),)
    assert set(shaped.length_reward) <= {0.0, alpha}
    assert np.isfinite(shaped.reward).all()
    assert set(shaped.task_reward) <= ({1.0, -0.5, -1.0} if own is None else {own})
    assert shaped.target_length is not None
    assert ((shaped.target_length >= 5) & (shaped.target_length <= UPPER)).all()


@pytest.mark.parametrize("name", METHODS)
@given(steps=st.lists(batches, min_size=1, max_size=4), stop=st.integers(0, 3), window=st.integers(1, 8))
def test_saved_loaded_and_continued_equals_unbroken(name: str, steps: list[list[Row]], stop: int, window: int) -> None:
    options = {} if name == "laser" else {"window": window, "update_every": 2}
    unbroken, resumed = new(name, **options), new(name, **options)
    for step, batch in enumerate(steps):
        rollouts = rollouts_of(batch, step=step)
        expected = shaped_reward(unbroken, rollouts)
        if step == stop:
            state, resumed = resumed.state_dict(), new(name, **options)
            resumed.load_state_dict(state)
        np.testing.assert_array_equal(shaped_reward(resumed, rollouts), expected)
    np.testing.assert_equal(resumed.state_dict(), unbroken.state_dict())


def oracle(batch: list[Row], name: str, explore: str, rounding: str) -> list[Fraction]:
    """R = C + lambda * S response by response, with targets from this batch, as sections 5.2 and 5.3 tell it.

    Departs from the paper in two named points: malformed and looping responses do not explore unless `explore` says so,
    and a band whose expected number of correct responses never reaches 1 has the upper bound as its target.
    """
    half = Fraction(1, 2)
    pass_rate = {}
    for prompt in {row.prompt for row in batch}:
        group = [row for row in batch if row.prompt == prompt]
        pass_rate[prompt] = Fraction(sum(row.correct and row.well_formed for row in group), len(group))
    band = {
        prompt: "hard" if rate < Fraction(1, 3) else "medium" if rate < Fraction(2, 3) else "easy"
        for prompt, rate in pass_rate.items()
    }
    thirds = {"easy": Fraction(2 * 6, 3), "medium": Fraction(6, 3), "hard": Fraction(1)}
    target = {}
    for name_of_band in BANDS:
        lengths = [row.length for row in batch if band[row.prompt] == name_of_band]
        least = -(-thirds[name_of_band] // 1) if rounding == "ceil" else thirds[name_of_band] // 1
        target[name_of_band] = UPPER
        for candidate in range(5, UPPER + 1, 5):
            covered = sum(length <= candidate for length in lengths)
            if lengths and Fraction(covered, len(lengths)) * least >= 1:
                target[name_of_band] = candidate
                break
    rewards = []
    for row in batch:
        limit = target[band[row.prompt]]
        is_right = row.correct and row.well_formed
        reward = Fraction(1) if is_right else -half if row.well_formed else Fraction(-1)
        if is_right and row.length <= limit:
            reward += half
        may_explore = not is_right and (row.well_formed or explore == "all")
        may_explore = may_explore and (not row.repetitive or explore != "sound")
        if name == "laser_de" and may_explore and row.length > limit:
            reward += half
        rewards.append(reward)
    return rewards


@settings(max_examples=200)
@given(
    batch=batches,
    name=st.sampled_from(["laser_d", "laser_de"]),
    explore=st.sampled_from(["sound", "well_formed", "all"]),
    rounding=st.sampled_from(["ceil", "floor"]),
)
def test_shaping_agrees_with_a_slow_oracle(batch: list[Row], name: str, explore: str, rounding: str) -> None:
    options = {"rounding": rounding, **({"explore": explore} if name == "laser_de" else {})}
    reward = shaped_reward(new(name, **options), rollouts_of(batch))
    assert [Fraction(value) for value in reward] == oracle(batch, name, explore, rounding)


@given(batch=batches, target=st.integers(1, UPPER))
def test_laser_agrees_with_a_slow_oracle(batch: list[Row], target: int) -> None:
    reward = shaped_reward(new("laser", target_length=target), rollouts_of(batch))
    for row, value in zip(batch, reward, strict=True):
        if row.correct and row.well_formed:
            assert value == (1.5 if row.length <= target else 1.0)
        else:
            assert value == (-0.5 if row.well_formed else -1.0)

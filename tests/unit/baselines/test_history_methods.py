"""HAPO and LAPO, which go by a number of each prompt: reference numbers, the course of the history, bad options."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from laser_verl.core import Need, Rollouts, build
from laser_verl.core.groups import Groups
from laser_verl.core.prompt_index import key_numbers
from tests.unit.baselines.replays import Case, Course, Replays, close, named, rewards_of, rollouts_of

GOLDEN = Replays()

NAN = float("nan")


def fed(name: str, options: dict[str, Any], *batches: Rollouts) -> Any:
    """A method that has observed batches, and waits for the last one to be shaped."""
    method = build(name, options)
    for batch in batches:
        method.observe(batch)
    return method


def restored(method: Any, **options: Any) -> Any:
    fresh = build(method.name, options)
    fresh.load_state_dict(method.state_dict())
    return fresh


@GOLDEN.of("hapo/cosine/h1000", "hapo/linear/h1000")
def hapo(case: Case) -> None:
    params, lengths = case["params"], case["inputs"]["lengths"]
    options = {"kind": params["type"]} | ({"tolerance": params["tolerance"]} if params["type"] == "linear" else {})
    method, size = build("hapo", options), len(lengths)
    for correct, name in ((1, "length_reward_if_correct"), (0, "length_reward_if_wrong")):
        known, unknown, without = (
            Rollouts.build(["p"] * size, lengths, [correct] * size, columns=columns)
            for columns in ({"shortest_correct": [params["h"]] * size}, {"shortest_correct": [None] * size}, {})
        )
        close(case, method.shape(known).length_reward, case["expected"][name])
        for batch in (unknown, without):
            close(case, method.shape(batch).length_reward, case["expected"]["length_reward_if_h_null"])


@GOLDEN.of("hapo/sequence-min")
def hapo_over_steps(case: Case) -> None:
    course = Course(build("hapo"))
    for inputs, expected in zip(case["inputs"]["steps"], case["expected"]["steps"], strict=True):
        shaped = course.step(rollouts_of(inputs))
        close(case, shaped.reward, expected["rewards"])
        close(case, shaped.target_length, [NAN if expected["h_before"] is None else expected["h_before"]] * 4)
        assert course.tracker.shortest.tolist() == [np.inf if expected["h_after"] is None else expected["h_after"]]


@GOLDEN.of("lapo/stage1-mixed")
def lapo_window(case: Case) -> None:
    rollouts = rollouts_of(case["inputs"])
    close(case, rewards_of("lapo", {}, rollouts), case["expected"]["rewards"])
    solved = Groups.of(rollouts, rollouts.solved)
    for share, name in ((0.3, "percentile_lo"), (0.7, "percentile_hi")):
        close(case, solved.quantile(rollouts.length, share), [case["expected"][name]])


@GOLDEN.of("lapo/stage2-mixed")
def lapo_budget(case: Case) -> None:
    rollouts = rollouts_of(case["inputs"], columns={"budget": [case["params"]["budget"]] * 8})
    close(case, rewards_of("lapo", {"stage": 2}, rollouts), case["expected"]["rewards"])


@pytest.mark.parametrize("name", named(GOLDEN.replays))
def test_reference_numbers(name: str) -> None:
    GOLDEN.run(name)


# HAPO


def hapo_of(options: dict[str, Any], lengths: list[int], correct: list[int], shortest: list[Any]) -> Any:
    """What HAPO makes of responses with a history."""
    columns = {"shortest_correct": shortest}
    return build("hapo", options).shape(Rollouts.build(["p"] * len(lengths), lengths, correct, columns=columns))


def test_hapo_goes_by_the_history_of_each_prompt() -> None:
    course = Course(build("hapo"))
    course.step(Rollouts.build(["a", "a", "b"], [100, 200, 400], [0, 1, 1]))
    # b had 400: cos(pi/2 * 1/2); a had 200, since the shorter one was wrong: cos(pi/2) = 0; c has no history
    shaped = course.step(Rollouts.build(["b", "a", "c"], [200, 200, 200], [1, 1, 1]))
    np.testing.assert_allclose(shaped.reward, [1 + np.sqrt(0.5), 1.0, 1.0], atol=1e-12)
    np.testing.assert_array_equal(shaped.target_length, [400.0, 200.0, NAN])


def test_hapo_reads_two_groups_of_one_prompt_as_one() -> None:
    course, batch = Course(build("hapo")), Rollouts.build([0, 1], [300, 200], [1, 1], prompt_key=["p", "p"])
    course.step(batch)
    assert course.step(batch).target_length.tolist() == [200.0, 200.0]


def test_hapo_of_another_weight() -> None:
    # three times the history: max(-0.7, -1) = -0.7 if right; twice it: cos(pi) = -1 if wrong
    assert hapo_of({"weight": 0.5}, [300, 200], [1, 0], [100, 100]).reward.tolist() == [0.65, -0.5]


def test_a_history_of_no_tokens_counts_as_one() -> None:
    # r = 0, 1 and 2 against 1: cos(0) = 1, cos(pi/2) = 0, max(-0.7, cos(pi)) = -0.7
    shaped = hapo_of({}, [0, 1, 2], [1, 1, 1], [0, 0, 0])
    np.testing.assert_allclose(shaped.reward, [2.0, 1.0, 0.3], atol=1e-12)
    assert shaped.target_length.tolist() == [1.0, 1.0, 1.0]


def test_a_response_without_history_gets_no_length_term() -> None:
    shaped = hapo_of({}, [200, 200, 50], [1, 0, 1], [100, None, None])
    # twice the history costs all of 0.7; the others have none
    np.testing.assert_allclose(shaped.reward, [0.3, 0.0, 1.0], atol=1e-12)
    np.testing.assert_array_equal(shaped.target_length, [100.0, NAN, NAN])


def test_hapo_keeps_and_logs_nothing_of_its_own() -> None:
    course = Course(build("hapo"))
    state = course.method.state_dict()
    for _ in range(2):
        course.step(Rollouts.build(["a", "b", "c"], [100, 300, 500], [1, 1, 0]))
    assert course.method.state_dict() == state == {"version": 1, "method": "hapo"}
    assert course.method.metrics() == {}


def test_hapo_goes_on_from_a_saved_tracker_as_if_it_had_never_stopped() -> None:
    first, second = (Rollouts.build(["a", "b"], lengths, [1, 1]) for lengths in ([100, 300], [150, 90]))
    unbroken, resumed = Course(build("hapo")), Course(build("hapo"))
    unbroken.step(first)
    resumed.tracker.load_state_dict(unbroken.tracker.state_dict())
    # 1.5 times the history costs all of 0.7 (cos(3/4 pi) = -0.7071); 0.3 times it pays cos(0.15 pi) = 0.8910
    reward = resumed.step(second).reward
    np.testing.assert_allclose(reward, [0.3, 1.8910], atol=1e-4)
    np.testing.assert_array_equal(reward, unbroken.step(second).reward)


@pytest.mark.parametrize("value", [-1, "many", np.inf])
def test_a_history_that_is_no_length_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="shortest_correct"):
        hapo_of({}, [200], [1], [value])


# LAPO


def test_a_window_of_zero_width_pays_unless_told_not_to() -> None:
    batch = Rollouts.build([0, 0, 1, 1], [500, 90, 200, 200], [1, 0, 1, 1])
    assert rewards_of("lapo", {}, batch).tolist() == [1.7, 0.0, 1.7, 1.7]
    assert rewards_of("lapo", {"point_window": False}, batch).tolist() == [1.0, 0.0, 1.0, 1.0]


def test_lapo_of_other_percentiles_and_slope() -> None:
    batch = Rollouts.build([0] * 3, [100, 200, 300], [1, 1, 1])
    # the window is from 100 to 200, 300 lies 100 tokens outside: 1 + 0.5 * (1 - 100/400)
    options = {"percentiles": [0, 50], "slope": 400, "weight": 0.5}
    assert rewards_of("lapo", options, batch).tolist() == [1.5, 1.5, 1.375]


def test_stage_2_takes_the_budgets_of_stage_1() -> None:
    lengths = [100, 300, 500, 900, 50]
    stage_1 = fed("lapo", {}, Rollouts.build(["a"] * 3 + ["b"] * 2, lengths, [1, 1, 0, 1, 0]))
    stage_2 = restored(stage_1, stage=2)
    batch = Rollouts.build(["a", "b", "c"], [200, 900, 77], [1, 1, 1])
    stage_2.observe(batch)
    # the medians of the right lengths: 200 of a, 900 of b; c has none yet
    shaped = stage_2.shape(batch)
    np.testing.assert_array_equal(shaped.target_length, [200.0, 900.0, NAN])
    assert shaped.reward.tolist() == [1.8, 1.8, 1.0]


def test_stage_1_keeps_the_last_median_of_each_prompt() -> None:
    first, second = (
        Rollouts.build(["a", "b"], lengths, right) for lengths, right in (([9, 7], [1, 1]), ([12, 1], [1, 0]))
    )
    state = fed("lapo", {}, first, second).state_dict()
    assert state["history_keys"].tolist() == key_numbers(["a", "b"]).tolist()
    assert state["history_values"].tolist() == [12.0, 7.0]


def test_stage_2_lowers_a_budget_of_its_own_from_the_next_batch_on() -> None:
    first, second = (Rollouts.build(["a", "b"], lengths, [1, 1]) for lengths in ([400, 600], [300, 800]))
    method = fed("lapo", {"stage": 2}, first, second)
    assert method.shape(second).target_length.tolist() == [400.0, 600.0]
    method.observe(second)
    assert method.shape(second).target_length.tolist() == [300.0, 600.0]


def test_a_budget_of_the_data_comes_before_that_of_the_history() -> None:
    before = Rollouts.build(["a"], [400], [1])
    batch = Rollouts.build(["a", "a"], [100, 120], [1, 1], columns={"budget": [100, None]})
    assert fed("lapo", {"stage": 2}, before, batch).shape(batch).target_length.tolist() == [100.0, 400.0]


def test_lapo_goes_on_from_a_saved_state_as_if_it_had_never_stopped() -> None:
    first, second = (Rollouts.build(["a", "b"], lengths, [1, 1]) for lengths in ([100, 300], [160, 180]))
    for stage, budgets in ((1, [160.0, 180.0]), (2, [100.0, 180.0])):
        unbroken = fed("lapo", {"stage": stage}, first)
        resumed = restored(unbroken, stage=stage)
        for method in (unbroken, resumed):
            method.observe(second)
        np.testing.assert_array_equal(resumed.shape(second).reward, unbroken.shape(second).reward)
        assert resumed.state_dict()["history_values"].tolist() == budgets


def test_lapo_logs_its_budgets() -> None:
    batch = Rollouts.build(["a", "a", "b"], [100, 300, 500], [1, 1, 0])
    assert build("lapo").metrics() == {"laser/lapo/known_prompts": 0.0}
    assert fed("lapo", {}, batch).metrics() == {"laser/lapo/known_prompts": 1.0, "laser/lapo/history_mean": 200.0}


def test_lapo_needs_the_group_in_stage_1_only() -> None:
    assert build("lapo").needs == {Need.GROUP, Need.HISTORY}
    assert build("lapo", {"stage": 2}).needs == {Need.HISTORY}


@pytest.mark.parametrize("name", ["hapo", "lapo"])
def test_a_state_of_another_method_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="the saved state is of method 'none'"):
        build(name).load_state_dict(build("none").state_dict())


def test_a_damaged_history_is_refused() -> None:
    method = build("lapo")
    with pytest.raises(ValueError, match="the saved history of prompts is damaged"):
        method.load_state_dict({**method.state_dict(), "history_values": None})


# Bad options


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("hapo", {"weight": -1}, "weight=-1.0 must be 0 or more"),
        ("hapo", {"kind": "linear", "tolerance": -0.1}, "tolerance=-0.1 must be 0 or more"),
        ("hapo", {"tolerance": 0.2}, "tolerance=0.2 has no effect with kind='cosine'"),
        ("hapo", {"kind": "cosin"}, "did you mean 'cosine'"),
        ("lapo", {"weight": -1}, "weight=-1.0 must be 0 or more"),
        ("lapo", {"percentiles": [70, 30]}, "percentiles=[70.0, 30.0] must rise within 0 and 100"),
        ("lapo", {"percentiles": [0, 101]}, "percentiles=[0.0, 101.0] must rise within 0 and 100"),
        ("lapo", {"slope": 0}, "slope=0.0 must be 1 token or more"),
        ("lapo", {"stage": 2, "sigma": 0}, "sigma=0.0 must be 1 token or more"),
        ("lapo", {"sigma": 200}, "sigma=200.0 has no effect in stage 1; leave it out, or set stage=2"),
        ("lapo", {"stage": 2, "slope": 50}, "slope=50.0 has no effect in stage 2; leave it out, or set stage=1"),
    ],
)
def test_bad_options_are_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        build(name, options)


@pytest.mark.parametrize("name", ["hapo", "lapo"])
def test_no_column_is_required(name: str) -> None:
    assert build(name).required_columns == ()

from __future__ import annotations

import logging
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from laser_verl.core import EASY, HARD, MEDIUM, Context, LaserD, Need, Rollouts, Shaped, build

TARGETS = {"easy": 10, "medium": 20, "hard": 30}
FIXED = {"target_lengths": TARGETS}
TINY = Context(group_size=4, max_response_length=40)
ADAPTIVE = {"lower_bound": 10, "interval": 10}


def reward(name: str, options: Mapping[str, Any], rollouts: Rollouts, context: Context | None = None) -> list[float]:
    method = build(name, options, context)
    method.observe(rollouts)
    return method.shape(rollouts).reward.tolist()


def medium_group(**changed: Any) -> Rollouts:
    """Half of 4 solved: medium, whose target is 20 in FIXED."""
    given: dict[str, Any] = {"prompt": [0] * 4, "response_length": [20, 21, 20, 21], "correct": [1, 1, 0, 0]}
    return Rollouts.build(**{**given, **changed})


def test_laser_pays_up_to_and_including_the_target() -> None:
    rollouts = Rollouts.build([0] * 3, [3999, 4000, 4001], [1] * 3)
    assert reward("laser", {"target_length": 4000}, rollouts) == [1.5, 1.5, 1.0]


def test_laser_pays_an_empty_right_answer_and_no_wrong_or_malformed_one() -> None:
    rollouts = Rollouts.build([0] * 4, [0] * 4, [1, 0, 1, 0], well_formed=[1, 1, 0, 0])
    assert reward("laser", {"target_length": 1}, rollouts) == [1.5, -0.5, -1.0, -1.0]


def test_laser_takes_alpha_and_scores() -> None:
    rollouts = Rollouts.build([0] * 3, [1] * 3, [1, 0, 0], well_formed=[1, 1, 0])
    options = {"target_length": 5, "alpha": 0.25, "scores": {"correct": 2, "wrong": 0.5, "malformed": 0}}
    assert reward("laser", options, rollouts) == [2.25, 0.5, 0.0]


def test_laser_shapes_loose_responses_and_names_its_target() -> None:
    method = build("laser", {"target_length": 8})
    shaped = method.shape(Rollouts.build(["a", "b"], [8, 9], [1, 1]))
    assert shaped.length_reward.tolist() == [0.5, 0.0]
    assert shaped.target_length is not None
    assert shaped.target_length.tolist() == [8.0, 8.0]
    assert shaped.band is None
    assert method.metrics() == {"laser/target_length/all": 8.0}
    assert method.needs == {Need.RESPONSE}


def test_alpha_zero_switches_the_bonus_off() -> None:
    assert reward("laser", {"target_length": 30, "alpha": 0}, medium_group()) == [1.0, 1.0, -0.5, -0.5]


@pytest.mark.parametrize(
    ("solved", "band", "rewards"),
    [
        (0, HARD, [-0.5] * 6),
        (1, HARD, [1.5] + [-0.5] * 5),  # 25 <= 30
        (2, MEDIUM, [1.0] * 2 + [-0.5] * 4),  # exactly 1/3; 25 > 20
        (3, MEDIUM, [1.0] * 3 + [-0.5] * 3),
        (4, EASY, [1.0] * 4 + [-0.5] * 2),  # exactly 2/3
        (6, EASY, [1.0] * 6),
    ],
)
def test_laser_d_uses_the_target_of_the_groups_band(solved: int, band: int, rewards: list[float]) -> None:
    rollouts = Rollouts.build([0] * 6, [25] * 6, [1] * solved + [0] * (6 - solved))
    shaped = build("laser_d", FIXED).shape(rollouts)
    assert shaped.reward.tolist() == rewards
    assert shaped.band is not None
    assert shaped.band.tolist() == [band] * 6


def test_a_right_answer_in_a_bad_format_does_not_count_for_the_band() -> None:
    # 4 of 4 right, 1 solved: hard, target 30, not easy, target 10
    rollouts = medium_group(correct=[1] * 4, well_formed=[1, 0, 0, 0])
    assert reward("laser_d", FIXED, rollouts) == [1.5, -1.0, -1.0, -1.0]


def test_groups_of_different_sizes_are_judged_each_by_its_own() -> None:
    # "a": 1 of 1, easy, target 10; "b": 1 of 2, medium, target 20; "c": 1 of 4, hard, target 30. Rows in any order.
    rollouts = Rollouts.build(["c", "b", "a", "c", "b", "c", "c"], [30, 20, 11, 5, 5, 5, 5], [1, 1, 1, 0, 0, 0, 0])
    shaped = build("laser_d", FIXED).shape(rollouts)
    assert shaped.reward.tolist() == [1.5, 1.5, 1.0, -0.5, -0.5, -0.5, -0.5]
    assert shaped.target_length is not None
    assert shaped.target_length.tolist() == [30.0, 20.0, 10.0, 30.0, 20.0, 30.0, 30.0]


def test_laser_de_pays_long_wrong_answers_beyond_the_target_only() -> None:
    assert reward("laser_de", FIXED, medium_group()) == [1.5, 1.0, -0.5, 0.0]


@pytest.mark.parametrize(
    ("explore", "rewards"),
    [
        ("sound", [1.5, 0.0, -0.5, -1.0, -1.0]),
        ("well_formed", [1.5, 0.0, 0.0, -1.0, -1.0]),
        ("all", [1.5, 0.0, 0.0, -0.5, -0.5]),
    ],
)
def test_which_unsolved_responses_explore(explore: str, rewards: list[float]) -> None:
    # 1 of 5 solved: hard, target 30. Then wrong, looping, malformed, and right in a bad format; all longer.
    rollouts = Rollouts.build(
        [0] * 5, [30, 31, 31, 31, 31], [1, 0, 0, 0, 1], well_formed=[1, 1, 1, 0, 0], repetitive=[0, 0, 1, 0, 0]
    )
    assert reward("laser_de", {**FIXED, "explore": explore}, rollouts) == rewards


def test_a_users_own_scores_keep_their_scale() -> None:
    rollouts = medium_group(task_score=[10.0, 8.0, 3.0, -2.0])
    assert reward("laser", {"target_length": 20}, rollouts) == [10.5, 8.0, 3.0, -2.0]
    assert reward("laser_d", FIXED, rollouts) == [10.5, 8.0, 3.0, -2.0]
    assert reward("laser_de", FIXED, rollouts) == [10.5, 8.0, 3.0, -1.5]


def test_adaptive_targets_are_live_from_the_first_step() -> None:
    # easy: C_d = 3, 2 of 4 covered at 10: 2 * 3 >= 4, so the target is 10
    rollouts = Rollouts.build([0] * 4, [10, 10, 11, 40], [1] * 4, step=1)
    method = build("laser_d", ADAPTIVE, TINY)
    method.observe(rollouts)
    assert method.shape(rollouts).reward.tolist() == [1.5, 1.5, 1.0, 1.0]
    assert method.needs == {Need.GROUP, Need.HISTORY}
    assert method.metrics()["laser/target_length/easy"] == 10.0


def test_before_the_first_batch_every_target_is_the_upper_bound() -> None:
    shaped = build("laser_d", ADAPTIVE, TINY).shape(medium_group(response_length=[40, 41, 1, 1]))
    assert shaped.reward.tolist() == [1.5, 1.0, -0.5, -0.5]


def test_shaping_changes_no_state() -> None:
    method = build("laser_de", ADAPTIVE, TINY)
    before = method.state_dict()
    method.shape(medium_group())
    np.testing.assert_equal(method.state_dict(), before)


def test_fixed_targets_need_no_history_and_never_move() -> None:
    method = build("laser_d", FIXED)
    assert method.needs == {Need.GROUP}
    method.observe(medium_group(step=1))
    assert method.metrics() == {
        "laser/target_length/easy": 10.0,
        "laser/target_length/medium": 20.0,
        "laser/target_length/hard": 30.0,
    }


def test_the_upper_bound_defaults_to_the_longest_response() -> None:
    method = build("laser_d", ADAPTIVE, TINY)
    assert isinstance(method, LaserD)
    assert method.targets == {"easy": 40, "medium": 40, "hard": 40}


@pytest.mark.parametrize("name", ["laser", "laser_d", "laser_de"])
def test_a_batch_without_rows_gives_no_rewards(name: str) -> None:
    options = {"target_length": 10} if name == "laser" else ADAPTIVE
    assert reward(name, options, Rollouts.build([], [], []), TINY) == []


@pytest.mark.parametrize("name", ["laser_d", "laser_de"])
def test_a_batch_of_one_response(name: str) -> None:
    assert reward(name, ADAPTIVE, Rollouts.build(["p"], [10**6], [1]), TINY) == [1.0]
    assert reward(name, ADAPTIVE, Rollouts.build(["p"], [0], [0]), TINY) == [-0.5]


def test_released_code_rounds_down_and_lets_loops_explore() -> None:
    method = build("laser_de", {"preset": "released_code", **ADAPTIVE}, TINY)
    assert (method.rounding, method.explore) == ("floor", "well_formed")  # type: ignore[attr-defined]
    # medium, K = 4: C_d = 4 // 3 = 1, so all have to be covered: 30; with ceil C_d = 2, half is enough: 20
    rollouts = medium_group(response_length=[20, 20, 30, 30], repetitive=[0, 0, 1, 1])
    method.observe(rollouts)
    assert method.metrics()["laser/target_length/medium"] == 30.0
    paper = build("laser_de", ADAPTIVE, TINY)
    paper.observe(rollouts)
    assert paper.metrics()["laser/target_length/medium"] == 20.0


def test_a_preset_may_be_given_with_what_it_sets() -> None:
    build("laser_d", {"preset": "released_code", "rounding": "floor"}, Context(max_response_length=16384))
    build("laser_de", {"preset": "released_code", **FIXED})


@pytest.mark.parametrize(
    ("name", "options", "context", "told"),
    [
        ("laser", {"target_length": 0}, TINY, "target_length=0 must be a positive number of tokens; give e.g. 4096"),
        ("laser", {"target_length": 41}, TINY, "target_length=41 is above max_response_length=40"),
        ("laser", {"target_length": 40, "alpha": -0.1}, TINY, "alpha=-0.1 must be 0 or more"),
        ("laser_d", {"alpha": -1}, TINY, "alpha=-1.0 must be 0 or more"),
        ("laser_d", {**ADAPTIVE, "source": "monitr"}, TINY, "unknown source 'monitr'; did you mean 'monitor'? known: "),
        ("laser_d", {}, TINY, "upper_bound=40 is below lower_bound=2048; give a lower_bound of at most 40"),
        ("laser_d", {}, Context(), "give the longest target in tokens, e.g. 16384"),
        ("laser_d", {**ADAPTIVE, "upper_bound": 41}, TINY, "upper_bound=41 is above max_response_length=40"),
        ("laser_d", {**ADAPTIVE, "upper_bound": 0}, TINY, "upper_bound=0 must be a positive number of tokens"),
        ("laser_d", {**ADAPTIVE, "interval": 0}, TINY, "interval=0 must be a positive number of tokens"),
        ("laser_d", {**ADAPTIVE, "window": 0}, TINY, "window=0 must be a positive number of groups"),
        ("laser_d", {**ADAPTIVE, "update_every": 0}, TINY, "update_every=0 must be a positive number of steps"),
        ("laser_d", {"target_lengths": {"easy": 1, "hard": 3}}, TINY, "target_lengths lacks medium"),
        ("laser_d", {"target_lengths": {"esay": 1}}, TINY, "unknown target_lengths key 'esay'; did you mean 'easy'?"),
        ("laser_d", {"target_lengths": {**TARGETS, "hard": 41}}, TINY, "target_lengths.hard=41 is above"),
        ("laser_d", {"target_lengths": {**TARGETS, "easy": 0}}, TINY, "target_lengths.easy=0 must be a positive"),
        ("laser_d", {"target_lengths": {**TARGETS, "easy": 1.5}}, TINY, "target_lengths.easy=1.5 must be a positive"),
        ("laser_d", {**FIXED, "window": 7}, TINY, "window=7 has no effect with fixed target_lengths"),
        ("laser_d", {"preset": "released_code", "rounding": "ceil"}, TINY, "rounding='ceil' contradicts preset="),
        ("laser_de", {"preset": "released_code", "explore": "sound"}, TINY, "explore='sound' contradicts preset="),
        ("laser_de", {"explore": "sounds"}, TINY, "unknown explore 'sounds'; did you mean 'sound'?"),
    ],
)
def test_a_bad_setting_is_refused(name: str, options: dict[str, Any], context: Context, told: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        build(name, options, context)
    assert told in str(error.value)


def test_a_preset_given_to_the_class_itself_must_fit_too() -> None:
    with pytest.raises(ValueError, match="rounding='ceil' contradicts preset='released_code'"):
        LaserD(preset="released_code", upper_bound=4096)


def test_an_alpha_that_makes_long_wrong_answers_as_good_as_right_ones_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        build("laser_de", {**FIXED, "alpha": 1.4})
        assert not caplog.records
        build("laser_de", {**FIXED, "alpha": 1.5})  # -0.5 + 1.5 = 1.0
    assert "worth at least as much as a long right one" in caplog.text


def test_methods_pickle() -> None:
    method = build("laser_de", ADAPTIVE, TINY)
    method.observe(medium_group(step=1))
    copy = pickle.loads(pickle.dumps(method))
    rollouts = medium_group(response_length=[20, 30, 20, 40], step=2)
    assert copy.shape(rollouts).reward.tolist() == method.shape(rollouts).reward.tolist()
    np.testing.assert_equal(copy.state_dict(), method.state_dict())


def test_laser_d_and_laser_de_read_each_others_state() -> None:
    saved = build("laser_d", ADAPTIVE, TINY)
    saved.observe(medium_group(step=1))
    other = build("laser_de", ADAPTIVE, TINY)
    other.load_state_dict(saved.state_dict())
    assert other.metrics() == saved.metrics()


@pytest.mark.parametrize(
    ("saved", "here", "told"),
    [
        (("laser", {"target_length": 5}), ("laser_d", ADAPTIVE), "saved state is of method 'laser', this run uses"),
        (("laser_d", ADAPTIVE), ("laser", {"target_length": 5}), "saved state is of method 'laser_d', this run uses"),
        (("laser_d", FIXED), ("laser_d", ADAPTIVE), "saved targets are fixed, those of this run are recent"),
        (("laser_d", ADAPTIVE), ("laser_d", FIXED), "saved targets are recent, those of this run are fixed"),
        (("laser_d", ADAPTIVE), ("laser_d", {**ADAPTIVE, "interval": 5}), "interval is 10 in the saved state and 5"),
    ],
)
def test_a_state_of_another_kind_is_refused_with_how_to_go_on(saved: Any, here: Any, told: str) -> None:
    state = build(*saved, TINY).state_dict()
    with pytest.raises(ValueError, match=told) as error:
        build(*here, TINY).load_state_dict(state)
    assert "to go on" in str(error.value).lower()


@pytest.mark.parametrize(
    ("name", "options"), [("laser", {"target_length": 5}), ("laser_d", FIXED), ("laser_de", ADAPTIVE)]
)
def test_a_state_of_the_same_kind_is_taken(name: str, options: dict[str, Any]) -> None:
    build(name, options, TINY).load_state_dict(build(name, options, TINY).state_dict())


def test_rewards_are_float64_and_band_is_int8() -> None:
    shaped: Shaped = build("laser_d", FIXED).shape(medium_group())
    assert shaped.band is not None
    assert (shaped.reward.dtype, shaped.length_reward.dtype, shaped.band.dtype) == (np.float64, np.float64, np.int8)

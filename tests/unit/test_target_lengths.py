from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest

from laser_verl.core import Rollouts, TargetLengths, choose_target, coverage, summarise, target_grid


def batch(lengths: list[list[int]], solved: list[int], step: int = 0) -> Rollouts:
    """One group per list of lengths; the first `solved` of each are right."""
    prompt = [group for group, row in enumerate(lengths) for _ in row]
    correct = [int(place < solved[group]) for group, row in enumerate(lengths) for place in range(len(row))]
    return Rollouts.build(prompt, [length for row in lengths for length in row], correct, step=step)


def recent(**changed: Any) -> TargetLengths:
    given: dict[str, Any] = {"lower_bound": 10, "upper_bound": 40, "interval": 10, "group_size": 4, "update_every": 1}
    return TargetLengths(**{**given, **changed})


@pytest.mark.parametrize(
    ("bounds", "grid"),
    [
        ((10, 40, 10), [10, 20, 30, 40]),
        ((10, 45, 10), [10, 20, 30, 40, 45]),
        ((10, 11, 10), [10, 11]),
        ((10, 10, 10), [10]),
        ((10, 20, 100), [10, 20]),
        ((1, 3, 1), [1, 2, 3]),
    ],
)
def test_grid_goes_from_lower_and_ends_at_upper(bounds: tuple[int, int, int], grid: list[int]) -> None:
    assert target_grid(*bounds).tolist() == grid


@pytest.mark.parametrize(
    ("bounds", "told"),
    [
        ((0, 40, 10), "lower_bound=0 must be a positive number of tokens"),
        ((10, 40, 0), "interval=0 must be a positive number of tokens"),
        ((10, 40.0, 10), "upper_bound=40.0"),
        ((2048, 512, 10), "upper_bound=512 is below lower_bound=2048; give a lower_bound of at most 512, e.g. 64"),
    ],
)
def test_grid_refuses(bounds: tuple[Any, ...], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        target_grid(*bounds)


def test_coverage_counts_a_length_equal_to_the_candidate() -> None:
    # <= 10: 0, 5, 10; <= 20: those and 11, 20; 41 is above every candidate
    assert coverage([0, 5, 10, 11, 20, 41], target_grid(10, 40, 10)).tolist() == [3, 5, 5, 5]
    assert coverage([], target_grid(10, 40, 10)).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("lengths", "needed", "target"),
    [
        ([10, 20, 20, 30, 30, 30], 6, 10),  # 1 of 6 covered at 10: 1 * 6 >= 6, exactly
        ([10, 20, 20, 30, 30, 30], 5, 20),  # 1 * 5 < 6, 3 * 5 >= 6
        ([10, 20, 20, 30, 30, 30], 3, 20),  # 1 * 3 < 6, 3 * 3 >= 6
        ([10, 20, 30, 30, 30, 30], 3, 20),  # 2 * 3 >= 6, exactly
        ([10, 20, 20, 30, 30, 30], 1, 30),  # hard: all must be covered
        ([10, 20, 20, 30, 30, 35], 1, 40),
        ([10, 20, 20, 30, 30, 99], 1, 40),  # never covered: the upper bound
        ([99, 99], 6, 40),
        ([1, 1], 0, 40),  # C_d = 0: no length is enough
        ([], 6, None),
    ],
)
def test_target_is_the_shortest_length_that_is_expected_to_keep_one_solved(
    lengths: list[int], needed: int, target: int | None
) -> None:
    assert choose_target(lengths, needed, target_grid(10, 40, 10)) == target


def test_targets_start_at_the_upper_bound_and_are_live_after_the_first_batch() -> None:
    targets = recent()
    assert targets.targets == {"easy": 40, "medium": 40, "hard": 40}
    # easy: 2 of 4 covered at 10, C_d = ceil(8/3) = 3, 2 * 3 >= 4; hard: 4 of 4 covered at 30
    targets.observe(batch([[5, 10, 15, 20], [30, 25, 5, 5]], [4, 0]))
    assert targets.targets == {"easy": 10, "medium": 40, "hard": 30}
    assert targets.num_prompts == {"easy": 1, "medium": 0, "hard": 1}
    assert targets.target_array.tolist() == [10, 40, 30]


def test_coverage_counts_right_and_wrong_responses() -> None:
    targets = recent()
    # medium, 2 of 4 solved at 40 tokens; the wrong ones of 10 count: 2 * C_d = 2 * 2 >= 4
    targets.observe(batch([[40, 40, 10, 10]], [2]))
    assert targets.targets["medium"] == 10


def test_a_band_without_prompts_keeps_its_last_target() -> None:
    targets = recent(window=1)
    targets.observe(batch([[5, 5, 5, 15]], [4], step=1))
    assert targets.targets == {"easy": 10, "medium": 40, "hard": 40}
    targets.observe(batch([[20, 20, 20, 20]], [0], step=2))
    assert targets.targets == {"easy": 10, "medium": 40, "hard": 20}
    assert targets.num_prompts == {"easy": 0, "medium": 0, "hard": 1}


def test_targets_may_rise_again() -> None:
    targets = recent(window=1)
    targets.observe(batch([[10] * 4], [0], step=1))
    targets.observe(batch([[30] * 4], [0], step=2))
    assert targets.targets["hard"] == 30


def test_window_keeps_the_fewest_newest_batches_that_fill_it() -> None:
    targets = recent(window=3)
    for step in range(1, 5):
        targets.observe(batch([[10] * 4, [10] * 4], [0, 4], step=step))
        # 2 groups a batch: one batch is 2 < 3, two are 4 >= 3
        assert sum(targets.num_prompts.values()) == min(2 * step, 4)


def test_a_batch_larger_than_the_window_stays_whole() -> None:
    targets = recent(window=1)
    targets.observe(batch([[10] * 4] * 5, [4] * 5))
    assert targets.num_prompts["easy"] == 5


def test_update_every_counts_steps_from_the_last_update() -> None:
    targets = recent(window=1, update_every=20)
    seen = {}
    for step in (3, 4, 22, 23, 24, 42, 43):
        targets.observe(batch([[10 if step in (3, 24) else 20] * 4], [0], step=step))
        seen[step] = targets.targets["hard"]
    # chosen at the first batch (3), at 3 + 20 = 23, and at 23 + 20 = 43
    assert seen == {3: 10, 4: 10, 22: 10, 23: 20, 24: 20, 42: 20, 43: 20}


def test_several_batches_of_one_step_are_all_observed() -> None:
    targets = recent()
    targets.observe(batch([[10] * 4], [0], step=5))
    targets.observe(batch([[20] * 4], [0], step=5))
    assert targets.num_prompts["hard"] == 2


def test_a_batch_without_rows_changes_nothing() -> None:
    targets = recent()
    targets.observe(Rollouts.build([], [], [], step=1))
    assert targets.num_prompts == {"easy": 0, "medium": 0, "hard": 0}
    targets.observe(batch([[10] * 4], [0], step=2))
    assert targets.targets["hard"] == 10


def test_a_batch_observed_alone_is_all_that_the_targets_rest_on() -> None:
    targets = recent(window=7, update_every=20)
    targets.observe(batch([[10] * 4, [5, 10, 15, 20]], [0, 4], step=1))
    # hard: all four only at 30; easy keeps its 10, though the step is no time for a choice
    targets.observe(batch([[5, 5, 5, 25]], [0], step=2), alone=True)
    assert targets.targets == {"easy": 10, "medium": 40, "hard": 30}
    assert targets.num_prompts == {"easy": 0, "medium": 0, "hard": 1}
    # more groups than the window are all kept, and of two batches of a step the second counts
    targets.observe(batch([[20] * 4] * 9, [0] * 9, step=2), alone=True)
    assert targets.targets["hard"] == 20
    assert targets.num_prompts["hard"] == 9
    targets.observe(Rollouts.build([], [], [], step=3), alone=True)
    assert targets.num_prompts["hard"] == 9


def test_an_earlier_step_is_refused() -> None:
    targets = recent()
    targets.observe(batch([[10] * 4], [0], step=7))
    with pytest.raises(ValueError, match="step=3 is before the last observed step 7"):
        targets.observe(batch([[10] * 4], [0], step=3))


def test_a_partial_group_has_its_own_band_but_the_runs_number_of_rollouts() -> None:
    # 2 of 3 solved is easy. With K = 6, C_d = 4: 1 of 3 covered at 10, 1 * 4 >= 3. With K = 3, C_d = 2: 1 * 2 < 3.
    lengths, solved = [[10, 20, 20]], [2]
    of_six, of_three = recent(group_size=6), recent(group_size=3)
    of_six.observe(batch(lengths, solved))
    of_three.observe(batch(lengths, solved))
    assert (of_six.targets["easy"], of_three.targets["easy"]) == (10, 20)


def test_without_a_group_size_the_largest_group_of_the_first_batch_counts() -> None:
    targets = recent(group_size=None)
    targets.observe(batch([[10, 20, 20], [5] * 6], [2, 0]))
    assert targets.targets["easy"] == 10  # as with K = 6 above
    assert targets.state_dict()["group_size"] == 6


def test_groups_of_one_response() -> None:
    targets = recent(group_size=1)
    # C_d = 1 in every band: every response has to be covered
    targets.observe(batch([[10], [25], [5]], [1, 1, 0]))
    assert targets.targets == {"easy": 30, "medium": 40, "hard": 10}


def test_floor_with_two_rollouts_leaves_medium_at_the_upper_bound() -> None:
    targets = recent(group_size=2, rounding="floor")
    targets.observe(batch([[10, 10]], [1]))
    assert targets.targets["medium"] == 40


def test_a_band_gets_its_first_target_with_its_first_prompts() -> None:
    targets = recent(update_every=20)
    targets.observe(batch([[5, 10, 15, 20]], [4], step=1))
    # half right is medium: C_d = ceil(4/3) = 2 solved expected of 4, so 2 of the 4 lengths have to be covered: 20
    targets.observe(batch([[20, 20, 30, 30]], [2], step=2))
    assert targets.targets == {"easy": 10, "medium": 20, "hard": 40}
    # the next medium prompts wait for the next choice
    targets.observe(batch([[10, 10, 10, 10]], [2], step=3))
    assert targets.targets == {"easy": 10, "medium": 20, "hard": 40}


def test_a_band_that_waits_for_its_first_prompts_waits_after_a_resume_too() -> None:
    saved = recent(update_every=20)
    saved.observe(batch([[5, 10, 15, 20]], [4], step=1))
    targets = recent(update_every=20)
    targets.load_state_dict(saved.state_dict())
    targets.observe(batch([[10, 10, 10, 10]], [4], step=2))
    targets.observe(batch([[20, 20, 30, 30]], [2], step=3))
    assert targets.targets == {"easy": 10, "medium": 20, "hard": 40}


def test_metrics_name_targets_and_prompts_by_band() -> None:
    targets = recent()
    targets.observe(batch([[5, 10, 15, 20]], [4]))
    assert targets.metrics() == {
        "laser/target_length/easy": 10.0,
        "laser/target_length/medium": 40.0,
        "laser/target_length/hard": 40.0,
        "laser/target_prompts/easy": 1.0,
        "laser/target_prompts/medium": 0.0,
        "laser/target_prompts/hard": 0.0,
    }


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("window", 0, "window=0 must be a positive number of groups; give e.g. 500"),
        ("update_every", 0, "update_every=0 must be a positive number of steps; give e.g. 20"),
        ("group_size", 0, "group_size=0"),
        ("rounding", "up", "rounding='up' is unknown"),
        ("upper_bound", 9, "upper_bound=9 is below lower_bound=10"),
        ("upper_bound", 10**20, "upper_bound=10{20} must be a number of tokens of at most 10{9};"),
        ("upper_bound", 10**9, "interval=10 makes more than 100000 candidates .* give at least 10000"),
    ],
)
def test_bad_configuration_is_refused(option: str, value: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        recent(**{option: value})


def test_state_is_flat_and_plain() -> None:
    targets = recent()
    targets.observe(batch([[5, 10, 15, 20]], [4]))
    state = targets.state_dict()
    assert state["version"] == 1
    for value in state.values():
        assert isinstance(value, int | str | np.ndarray)
    json.dumps({key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in state.items()})


def test_a_state_of_nothing_observed_can_be_loaded() -> None:
    fresh = recent(group_size=None)
    fresh.load_state_dict(recent(group_size=None).state_dict())
    fresh.observe(batch([[10] * 4], [0], step=1))
    assert fresh.targets["hard"] == 10


def test_loading_takes_the_group_size_of_the_saved_run() -> None:
    saved = recent(group_size=4)
    fresh = recent(group_size=None)
    fresh.load_state_dict(saved.state_dict())
    assert fresh.state_dict()["group_size"] == 4


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("lower_bound", 20, "lower_bound is 10 in the saved state and 20 in this run"),
        ("upper_bound", 50, "upper_bound is 40 in the saved state and 50 in this run"),
        ("interval", 5, "interval is 10 in the saved state and 5 in this run"),
        ("rounding", "floor", "rounding is ceil in the saved state and floor in this run"),
        ("window", 7, "window is 500 in the saved state and 7 in this run"),
        ("group_size", 8, "group_size is 4 in the saved state and 8 in this run"),
    ],
)
def test_loading_names_the_setting_that_differs_and_how_to_go_on(option: str, value: Any, told: str) -> None:
    saved = recent()
    saved.observe(batch([[5] * 4], [4], step=3))
    other = recent(**{option: value})
    before = copy.deepcopy(other.state_dict())
    with pytest.raises(ValueError, match=told) as error:
        other.load_state_dict(saved.state_dict())
    assert "delete the file laser_state" in str(error.value)
    np.testing.assert_equal(other.state_dict(), before)


def test_loading_without_the_window_keeps_targets_only_and_the_next_batch_chooses_all() -> None:
    saved = recent(window=7, update_every=20)
    saved.observe(batch([[5, 10, 15, 20]], [4], step=5))
    targets = recent(window=2, update_every=20)
    targets.load_state_dict(saved.state_dict(), with_window=False)
    assert targets.targets == {"easy": 10, "medium": 40, "hard": 40}
    assert targets.num_prompts == {"easy": 0, "medium": 0, "hard": 0}
    targets.observe(batch([[20, 20, 20, 30]], [4], step=6))
    assert targets.targets == {"easy": 20, "medium": 40, "hard": 40}
    with pytest.raises(ValueError, match="interval is 10 in the saved state and 5 in this run"):
        recent(interval=5).load_state_dict(saved.state_dict(), with_window=False)
    with pytest.raises(ValueError, match="damaged, in targets"):
        recent().load_state_dict({**saved.state_dict(), "targets": np.array([1, 2, 3])}, with_window=False)


def test_loading_may_change_update_every() -> None:
    recent(update_every=3).load_state_dict(recent(update_every=5).state_dict())


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"version": 2}, "version 2, this release reads 1"),
        ({"targets": np.array([40, 40])}, "damaged, in targets"),
        ({"targets": np.array([40, 40, 45])}, "damaged, in targets"),
        ({"targets": np.array([40, 40, np.nan])}, "damaged, in targets"),
        ({"length": np.array([3])}, "damaged, in length"),
        ({"last_step": None}, "damaged, in last_step"),
        ({"lower_bound": "x"}, "lower_bound is x in the saved state and 10 in this run"),
        ({"batch_rows": np.array([1]), "band": np.array([3]), "length": np.array([-1])}, "batch_prompts, band, length"),
    ],
)
def test_a_damaged_state_is_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        recent().load_state_dict({**recent().state_dict(), **changed})


def test_a_state_with_missing_keys_is_refused() -> None:
    state = recent().state_dict()
    del state["targets"]
    with pytest.raises(ValueError, match="saved target lengths lack targets"):
        recent().load_state_dict(state)


def test_summary_of_one_easy_prompt() -> None:
    # 3 of 3 solved at 5 tokens: none fits 4, all fit 8
    found = summarise(batch([[5, 5, 5]], [3]), 4, 8, 4)
    assert found["target_length"] == {"easy": 8, "medium": 8, "hard": 8}
    assert found["num_prompts"] == {"easy": 1, "medium": 0, "hard": 0}
    assert found["coverage"]["easy"] == {"4": 0.0, "8": 1.0}
    assert found["coverage"]["hard"] == {"4": 0.0, "8": 0.0}


def test_summary_of_nothing_gives_the_upper_bound() -> None:
    found = summarise(Rollouts.build([], [], []), 4, 8, 4)
    assert found["target_length"] == {"easy": 8, "medium": 8, "hard": 8}


def test_groups_older_than_max_age_no_longer_count() -> None:
    targets = TargetLengths(10, 40, 10, window=100, max_age=2, update_every=1, group_size=1)
    for step, length in ((1, 40), (2, 20), (3, 10)):
        targets.observe(Rollouts.build(["p"], [length], [1], step=step))
        # step 1: 40 alone; step 2: 20 and 40, one solved prompt of each length, half of them within 20
        # step 3: the group of step 1 is two steps old and gone
        assert targets.num_prompts["easy"] == min(step, 2)
    assert targets.targets["easy"] == 20
    state = targets.state_dict()
    assert state["batch_steps"].tolist() == [2, 3]
    restored = TargetLengths(10, 40, 10, window=100, max_age=1, update_every=1, group_size=1)
    restored.load_state_dict(state)
    restored.observe(Rollouts.build(["p"], [30], [1], step=4))
    assert restored.num_prompts["easy"] == 1
    assert restored.targets["easy"] == 30


def test_a_max_age_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="max_age=0"):
        TargetLengths(10, 40, 10, max_age=0)

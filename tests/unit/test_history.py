"""What is known of a prompt from earlier steps: the column from the tracker, and the number that a method keeps."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest

from laser_verl.core import Rollouts
from laser_verl.core.history import HISTORY_COLUMNS, PromptHistory, with_history
from laser_verl.core.prompt_index import key_numbers
from laser_verl.core.tracker import DifficultyTracker

NAN = float("nan")


def history_of(**values: float) -> PromptHistory:
    history = PromptHistory()
    history.put(list(values), np.array(list(values.values())))
    return history


def shortest_correct(tracker: DifficultyTracker, rollouts: Rollouts) -> list[float]:
    """The column that a batch gets, which is then observed."""
    given = with_history(rollouts, tracker, HISTORY_COLUMNS)
    tracker.observe(given)
    return list(given.columns["shortest_correct"].tolist())


def test_the_shortest_correct_response_of_the_batches_before_by_hand() -> None:
    tracker = DifficultyTracker()
    first = Rollouts.build(["a", "b", "a", "c"], [300, 400, 200, 50], [1, 1, 1, 0])
    second = Rollouts.build(["c", "a", "b", "b"], [60, 250, 350, 10], [1, 1, 1, 0], step=1)
    third = Rollouts.build(["d", "b", "c", "a", "b"], [5, 5, 5, 5, 5], [1, 1, 1, 1, 1], step=2)
    np.testing.assert_array_equal(shortest_correct(tracker, first), [NAN, NAN, NAN, NAN])
    # c was not solved
    np.testing.assert_array_equal(shortest_correct(tracker, second), [NAN, 200.0, 400.0, 400.0])
    # a keeps its 200, b goes down to 350, c is solved at last
    np.testing.assert_array_equal(shortest_correct(tracker, third), [NAN, 350.0, 60.0, 200.0, 350.0])


def test_a_right_answer_in_a_bad_format_does_not_count() -> None:
    tracker = DifficultyTracker()
    tracker.observe(Rollouts.build(["a", "a", "b"], [40, 90, 30], [1, 1, 1], well_formed=[0, 1, 0]))
    batch = Rollouts.build(["a", "b"], [10, 10], [1, 1])
    np.testing.assert_array_equal(shortest_correct(tracker, batch), [90.0, NAN])


def test_several_groups_of_one_prompt_have_one_history() -> None:
    tracker, batch = DifficultyTracker(), Rollouts.build([0, 1, 1], [300, 200, 250], [1, 1, 1], prompt_key=["p"] * 3)
    np.testing.assert_array_equal(shortest_correct(tracker, batch), [NAN] * 3)
    assert shortest_correct(tracker, batch) == [200.0] * 3


def test_a_prompt_that_the_tracker_only_knows_of_has_no_history() -> None:
    tracker = DifficultyTracker()
    tracker.add(key_numbers(["a", "b"]))
    np.testing.assert_array_equal(shortest_correct(tracker, Rollouts.build(["b"], [7], [1])), [NAN])


def test_only_columns_that_are_asked_for_are_added_and_those_given_stay() -> None:
    tracker = DifficultyTracker()
    batch = Rollouts.build(["a", "a"], [30, 40], [1, 1], columns={"budget": [64, 64]})
    tracker.observe(batch)
    assert with_history(batch, tracker, ("budget", "prompt_key")) is batch
    both = with_history(batch, tracker, ("budget", "shortest_correct"))
    assert {name: values.tolist() for name, values in both.columns.items()} == {
        "budget": [64, 64],
        "shortest_correct": [30.0, 30.0],
    }
    assert not both.columns["shortest_correct"].flags.writeable
    assert batch.columns.keys() == {"budget"}
    given = Rollouts.build(["a", "a"], [30, 40], [1, 1], columns={"shortest_correct": [20, 20]})
    assert with_history(given, tracker, HISTORY_COLUMNS) is given


def test_asking_makes_no_prompt_known_and_an_empty_batch_is_a_batch() -> None:
    tracker = DifficultyTracker()
    with_history(Rollouts.build(["a"], [1], [1]), tracker, HISTORY_COLUMNS)
    assert tracker.size == 0
    assert shortest_correct(tracker, Rollouts.build([], [], [])) == []


def test_an_unknown_prompt_has_no_number() -> None:
    np.testing.assert_array_equal(PromptHistory().lookup(["a", "b"]), [NAN, NAN])
    np.testing.assert_array_equal(history_of(a=3.0).lookup(["b", "a", "b"]), [NAN, 3.0, NAN])


def test_looking_up_makes_no_prompt_known() -> None:
    history = history_of(a=3.0)
    history.lookup(["b"])
    assert len(history) == 1


def test_put_replaces_and_the_last_one_of_a_call_wins() -> None:
    history = history_of(a=3.0, b=5.0)
    history.put(["a", "c", "a"], np.array([9.0, 1.0, 7.0]))
    assert history.lookup(["a", "b", "c"]).tolist() == [7.0, 5.0, 1.0]


def test_fold_least_only_lowers() -> None:
    history = history_of(a=3.0, b=5.0)
    history.fold_least(["a", "b", "c", "c", "c"], np.array([4.0, 2.0, 8.0, 6.0, 7.0]))
    assert history.lookup(["a", "b", "c"]).tolist() == [3.0, 2.0, 6.0]


@pytest.mark.parametrize("name", ["put", "fold_least"])
def test_nan_changes_nothing(name: str) -> None:
    history = history_of(a=3.0)
    getattr(history, name)(["a", "b"], np.array([NAN, NAN]))
    np.testing.assert_array_equal(history.lookup(["a", "b"]), [3.0, NAN])
    assert len(history) == 1


def test_no_prompts_at_all() -> None:
    history = PromptHistory()
    history.put([], np.zeros(0))
    history.fold_least([], np.zeros(0))
    assert history.lookup([]).shape == (0,)
    assert len(history) == 0
    assert np.isnan(history.mean())


def test_the_mean_is_over_prompts_not_over_values() -> None:
    history = history_of(a=2.0, b=8.0)
    history.fold_least(["a", "a"], np.array([2.0, 2.0]))
    assert history.mean() == 5.0


def test_what_is_kept_back_counts_from_the_next_call_on() -> None:
    history = PromptHistory()
    history.fold_least_later(["a"], np.array([4.0]))
    np.testing.assert_array_equal(history.lookup(["a"]), [NAN])
    history.fold_least_later(["a"], np.array([1.0]))
    assert history.lookup(["a"]).tolist() == [4.0]


def test_a_save_has_what_is_kept_back_and_leaves_the_history_alone() -> None:
    history = PromptHistory()
    history.fold_least_later(["a"], np.array([4.0]))
    state = history.state_dict()
    assert state["history_keys"].dtype == np.uint64
    assert (state["history_keys"].tolist(), state["history_values"].tolist()) == (key_numbers(["a"]).tolist(), [4.0])
    np.testing.assert_array_equal(history.lookup(["a"]), [NAN])
    assert len(history) == 0


def test_a_loaded_history_goes_on_apart_from_its_state() -> None:
    state = history_of(a=3.0, é=5.0).state_dict()
    first, second = PromptHistory(), PromptHistory()
    for history in (first, second):
        history.load_state_dict(state)
    first.put(["a"], np.array([1.0]))
    assert first.lookup(["a", "é"]).tolist() == [1.0, 5.0]
    assert second.lookup(["a", "é"]).tolist() == [3.0, 5.0]


def test_loading_drops_what_was_known_and_kept_back() -> None:
    history = history_of(b=1.0)
    history.fold_least_later(["b"], np.array([0.5]))
    history.load_state_dict(history_of(a=3.0).state_dict())
    history.fold_least_later([], np.zeros(0))
    np.testing.assert_array_equal(history.lookup(["a", "b"]), [3.0, NAN])


def test_an_empty_history_is_saved_and_loaded() -> None:
    history = history_of(a=3.0)
    history.load_state_dict(PromptHistory().state_dict())
    assert len(history) == 0


@pytest.mark.parametrize(
    "damage",
    [
        {"history_keys": None},
        {"history_values": None},
        {"history_keys": np.array([7, 7], dtype=np.uint64)},
        {"history_keys": np.array([1, 2])},
        {"history_keys": np.array(["a", "b"])},
        {"history_keys": np.array([[1, 2]], dtype=np.uint64)},
        {"history_keys": np.zeros(0), "history_values": np.zeros(0)},
        {"history_values": np.array([1.0])},
        {"history_values": np.array([1.0, NAN])},
        {"history_values": np.array(["1", "2"])},
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(damage: dict[str, object]) -> None:
    history = history_of(z=1.0)
    with pytest.raises(ValueError, match="the saved history of prompts is damaged"):
        history.load_state_dict({**history_of(a=3.0, b=5.0).state_dict(), **damage})
    assert history.lookup(["z"]).tolist() == [1.0]


def test_a_million_responses_in_groups_of_eight_take_a_fraction_of_a_second() -> None:
    keys, history = [f"{number:016x}" for number in range(125_000)], PromptHistory()
    values = np.arange(125_000, dtype=np.float64)
    start = time.process_time()
    history.fold_least_later(keys, values)
    history.fold_least_later(keys, values)
    assert history.lookup(keys)[-1] == 124_999.0
    assert time.process_time() - start < 0.3


def test_a_prompt_of_a_hundred_thousand_takes_20_bytes() -> None:
    keys, values = [f"{number:016x}" for number in range(100_000)], np.arange(100_000, dtype=np.float64)
    tracemalloc.start()
    try:
        history = PromptHistory()
        history.put(keys, values)
        # beside 20 bytes a prompt only what an empty history takes too
        assert tracemalloc.get_traced_memory()[0] < 20 * len(history) + 4096
    finally:
        tracemalloc.stop()
    state = history.state_dict()
    assert sum(array.nbytes for array in state.values()) == 16 * len(history)
    assert history.lookup(keys[-1:]).tolist() == [99_999.0]


def test_prompts_that_come_batch_by_batch_are_known_like_those_that_come_at_once() -> None:
    keys, values = [f"{number:016x}" for number in range(10_000)], np.arange(10_000, dtype=np.float64)
    at_once, one_by_one = PromptHistory(), PromptHistory()
    at_once.put(keys, values)
    for first in range(0, 10_000, 700):
        one_by_one.put(keys[first : first + 700], values[first : first + 700])
    assert one_by_one.lookup(keys).tolist() == values.tolist()
    np.testing.assert_equal(one_by_one.state_dict(), at_once.state_dict())

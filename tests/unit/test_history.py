"""The number that each prompt keeps over the steps of a run."""

from __future__ import annotations

import time

import numpy as np
import pytest

from laser_verl.core.history import PromptHistory

NAN = float("nan")


def history_of(**values: float) -> PromptHistory:
    history = PromptHistory()
    history.put(list(values), np.array(list(values.values())))
    return history


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
    assert (state["history_keys"].tolist(), state["history_values"].tolist()) == (["a"], [4.0])
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
        {"history_keys": np.array(["a", "a"])},
        {"history_keys": np.array([1, 2])},
        {"history_keys": np.array([["a", "b"]])},
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

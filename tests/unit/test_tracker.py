"""The difficulty tracker, with numbers worked out by hand."""

from collections.abc import Sequence

import numpy as np
import pytest

from laser_verl.core.bands import EASY, HARD, MEDIUM, NO_BAND
from laser_verl.core.prompt_index import key_numbers
from laser_verl.core.rollouts import Rollouts
from laser_verl.core.tracker import DifficultyTracker

A, B, C, D = "a" * 16, "b" * 16, "c" * 16, "d" * 16


def batch(groups: Sequence[tuple[str, Sequence[int], Sequence[int]]], step: int = 1) -> Rollouts:
    """Groups of (prompt key, solved flags, lengths)."""
    rows = [(number, key, *row) for number, (key, *both) in enumerate(groups) for row in zip(*both, strict=True)]
    group, key, solved, length = zip(*rows, strict=True)
    return Rollouts.build(group, length, solved, step=step, prompt_key=key)


def test_a_prompt_is_what_its_batches_said() -> None:
    tracker = DifficultyTracker(decay=0.5)
    outcome = tracker.observe(batch([(A, [1, 1, 1, 0], [10, 20, 60, 99]), (B, [0, 0, 0, 0], [5, 5, 5, 5])], step=3))
    assert (outcome.places.tolist(), outcome.responses.tolist(), outcome.solved.tolist()) == ([0, 1], [4, 4], [3, 0])
    assert outcome.step == 3
    tracker.observe(batch([(A, [0, 1], [30, 8])], step=5))
    assert tracker.size == 2
    assert tracker.drawn.tolist() == [2, 1]
    assert tracker.responses.tolist() == [6, 4]
    assert tracker.solved.tolist() == [4, 0]
    assert tracker.weight.tolist() == [4.0, 4.0]  # 0.5 * 4 + 2
    assert tracker.weighted_solved.tolist() == [2.5, 0.0]  # 0.5 * 3 + 1
    assert tracker.pass_rate().tolist() == [0.625, 0.0]
    assert tracker.last_step.tolist() == [5, 3]
    assert tracker.correct_length.tolist() == [24.5, 0.0]  # (10 + 20 + 60 + 8) / 4
    assert tracker.shortest.tolist() == [8.0, np.inf]
    assert tracker.bands().tolist() == [MEDIUM, HARD]


def test_streaks_count_draws_solved_in_full_or_not_at_all() -> None:
    tracker = DifficultyTracker()
    for solved in ([1, 1], [1, 1], [1, 0]):
        tracker.observe(batch([(A, solved, [1, 1]), (B, [0, 0], [1, 1])]))
        tracker.observe(batch([(C, [1, 1], [1, 1]), (C, [1, 1], [1, 1])]))  # two groups of one prompt
    assert tracker.solved_streak.tolist() == [0, 0, 6]
    assert tracker.failed_streak.tolist() == [0, 3, 0]


def test_a_streak_stops_growing_at_the_largest_number_it_can_hold() -> None:
    tracker = DifficultyTracker()
    tracker.observe(batch([(A, [1], [1])]))
    state = tracker.state_dict()
    state["solved_streak"] = np.array([65534], dtype=np.uint16)
    tracker.load_state_dict(state)
    for _ in range(3):
        tracker.observe(batch([(A, [1], [1])]))
    assert tracker.solved_streak.tolist() == [65535]


def test_malformed_answers_are_not_solved() -> None:
    tracker = DifficultyTracker()
    tracker.observe(Rollouts.build([0, 0], [7, 9], [1, 1], [0, 1], prompt_key=[A, A]))
    assert (tracker.solved.tolist(), tracker.shortest.tolist()) == ([1], [9.0])


def test_two_groups_of_one_prompt_are_taken_together() -> None:
    tracker = DifficultyTracker(decay=0.5)
    outcome = tracker.observe(batch([(A, [1, 1], [4, 6]), (B, [1], [1]), (A, [0, 0], [1, 1])]))
    assert (outcome.drawn.tolist(), outcome.responses.tolist(), outcome.solved.tolist()) == ([2, 1], [4, 1], [2, 1])
    assert tracker.drawn.tolist() == [2, 1]
    assert tracker.pass_rate().tolist() == [0.5, 1.0]
    assert tracker.weight.tolist() == [4.0, 1.0]  # decayed once


def test_without_decay_the_rate_is_the_plain_share() -> None:
    tracker = DifficultyTracker(decay=1.0)
    for solved in ([1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0]):
        tracker.observe(batch([(A, solved, [1, 1, 1, 1])]))
    assert tracker.pass_rate().tolist() == [5 / 12]


def test_with_decay_zero_only_the_last_batch_counts() -> None:
    tracker = DifficultyTracker(decay=0.0)
    for solved in ([1, 1, 1, 1], [1, 0, 0, 0]):
        tracker.observe(batch([(A, solved, [1, 1, 1, 1])]))
    assert tracker.pass_rate().tolist() == [0.25]


def test_an_average_of_thirds_keeps_its_band() -> None:
    tracker = DifficultyTracker(decay=0.3)
    for _ in range(40):
        tracker.observe(batch([(A, [1, 0, 0], [1, 1, 1]), (B, [1, 1, 0], [1, 1, 1])]))
    assert tracker.bands().tolist() == [MEDIUM, EASY]


def test_prompts_made_known_are_not_seen() -> None:
    tracker = DifficultyTracker()
    assert tracker.add(key_numbers([A, B])).tolist() == [0, 1]
    tracker.observe(batch([(B, [1], [3])]))
    assert tracker.is_seen().tolist() == [False, True]
    assert tracker.bands().tolist() == [NO_BAND, EASY]
    assert np.isnan(tracker.pass_rate()[0])
    assert tracker.last_step.tolist() == [-1, 1]
    assert tracker.places(key_numbers([B, C])).tolist() == [1, -1]
    assert tracker.metrics()["laser/tracker/seen_prompts"] == 1.0


def test_metrics_are_of_the_prompts_seen() -> None:
    tracker = DifficultyTracker()
    assert tracker.metrics() == {"laser/tracker/seen_prompts": 0.0}
    tracker.observe(batch([(A, [1, 1], [1, 1]), (B, [0, 0], [1, 1]), (C, [0, 1], [1, 1]), (D, [0, 0], [1, 1])]))
    tracker.observe(batch([(B, [1, 1], [1, 1])]))  # (0 + 2) / (1 + 2)
    found = tracker.metrics()
    assert found["laser/tracker/pass_rate"] == pytest.approx((1 + 2 / 3 + 1 / 2 + 0) / 4)
    assert found["laser/tracker/band_frac/easy"] == 0.5
    assert found["laser/tracker/effective_prompts"] == pytest.approx(25 / 7)  # drawn 1, 2, 1 and 1 times
    assert found["laser/tracker/band_frac/medium"] == found["laser/tracker/band_frac/hard"] == 0.25


def test_arrays_cannot_be_written_to() -> None:
    tracker = DifficultyTracker()
    tracker.observe(batch([(A, [1], [1])]))
    with pytest.raises(ValueError, match="read-only"):
        tracker.drawn[0] = 7


def test_an_empty_batch_changes_nothing() -> None:
    tracker = DifficultyTracker()
    outcome = tracker.observe(Rollouts.build([], [], []))
    assert (tracker.size, outcome.places.tolist()) == (0, [])


def test_a_changed_data_set_keeps_what_it_shares() -> None:
    tracker = DifficultyTracker()
    tracker.observe(batch([(A, [1], [4]), (B, [0], [5]), (C, [1], [6])], step=7))
    kept = tracker.keep_only(key_numbers([C, D, A, D]))
    assert (kept.kept, kept.new, kept.dropped) == (2, 1, 1)
    assert tracker.keys.tolist() == key_numbers([C, D, A]).tolist()
    assert tracker.shortest.tolist() == [6.0, np.inf, 4.0]
    assert tracker.last_step.tolist() == [7, -1, 7]
    assert tracker.metrics()["laser/tracker/pass_rate"] == 1.0
    tracker.observe(batch([(D, [0], [1])]))
    assert tracker.solved.tolist() == [1, 0, 1]


def test_a_restored_tracker_goes_on_alike() -> None:
    tracker, restored = DifficultyTracker(), DifficultyTracker()
    tracker.observe(batch([(A, [1, 0], [4, 4]), (B, [0, 0], [5, 5])]))
    restored.load_state_dict(tracker.state_dict())
    for one in (tracker, restored):
        one.observe(batch([(B, [1, 0], [4, 4]), (D, [1, 0], [5, 5])], step=2))
    first, second = tracker.state_dict(), restored.state_dict()
    assert {key: np.asarray(value).tolist() for key, value in first.items()} == {
        key: np.asarray(value).tolist() for key, value in second.items()
    }
    assert tracker.metrics() == restored.metrics()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("version", 2, "the saved tracker has version 2, this release reads 1"),
        ("keys", np.array([1, 1], dtype=np.uint64), "the saved tracker is damaged, in keys"),
        ("keys", np.array(["a", "b"]), "the saved tracker is damaged, in keys"),
        ("solved", np.array([1], dtype=np.uint32), "the saved tracker is damaged, in solved"),
        ("weight", np.array([np.nan, 1], dtype=np.float32), "the saved tracker is damaged, in weight"),
        ("weight", np.array([1, 1]), "the saved tracker is damaged, in weight"),
        ("weighted_solved", np.array([2, 0], dtype=np.float32), "the saved tracker is damaged, in weighted_solved"),
        ("solved", np.array([1, 2], dtype=np.uint32), "the saved tracker is damaged, in solved, shortest"),
        ("shortest", np.array([np.inf, np.inf], dtype=np.float32), "the saved tracker is damaged, in shortest"),
        ("shortest", None, "the saved tracker is damaged, in shortest"),
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(field: str, value: object, message: str) -> None:
    tracker, other = DifficultyTracker(), DifficultyTracker()
    for one in (tracker, other):
        one.observe(batch([(A, [1], [4]), (B, [0], [5])]))
    before = other.metrics()
    with pytest.raises(ValueError, match=message):
        other.load_state_dict({**tracker.state_dict(), field: value})
    assert other.metrics() == before
    assert other.size == 2


@pytest.mark.parametrize("decay", [-0.1, 1.1, float("nan"), "half", True])
def test_a_decay_that_is_none_is_refused(decay: object) -> None:
    with pytest.raises(ValueError, match="decay"):
        DifficultyTracker(decay=decay)  # type: ignore[arg-type]


def test_a_prompt_takes_48_bytes() -> None:
    tracker = DifficultyTracker()
    tracker.add(np.arange(10_000, dtype=np.uint64))
    arrays = sum(array.nbytes for array in tracker._arrays.values())
    index = tracker._index._sorted.nbytes + tracker._index._place.nbytes
    assert (arrays + index) / tracker.size == 48

"""Prompts counted by pass rate: counts, draws, and what is found where."""

from __future__ import annotations

import numpy as np
import pytest

from laser_verl.core.policies.bins import NUM_BINS, OUT, UNSEEN, PassRateBins, bin_of
from tests.unit.policies.pools import NONE, observe, tracker_of

# More than two areas of 32,768 prompts, and one that is not full.
SIZE = 70_000


def scattered() -> PassRateBins:
    return PassRateBins(np.random.default_rng(0).integers(0, NUM_BINS, SIZE).astype(np.uint8))


def only(*bins: int) -> np.ndarray:
    """Log weights that leave all bins out but these, which are alike."""
    weights = np.full(NUM_BINS, -np.inf)
    weights[list(bins)] = 0.0
    return weights


@pytest.mark.parametrize(
    ("solved", "group", "expected"),
    # 240 * 1/3 = 80, 240 * 2/3 = 160, 240 * 5/7 = 171.4, 240 * 7/8 = 210
    [(0, 8, 0), (1, 3, 80), (2, 3, 160), (2, 6, 80), (5, 7, 171), (7, 8, 210), (8, 8, 240)],
)
def test_bin_of_a_group(solved: int, group: int, expected: int) -> None:
    tracker = tracker_of(1)
    for step in range(3):  # with decay, the rate of equal groups stays
        observe(tracker, [0], [solved], group, step)
        assert bin_of(tracker.pass_rate()).tolist() == [expected]


def test_bin_of_an_unseen_prompt() -> None:
    assert PassRateBins.of(tracker_of(2), 2).bins.tolist() == [UNSEEN, UNSEEN]


def test_totals_count_all_prompts() -> None:
    bins = scattered()
    assert bins.totals.tolist() == np.bincount(bins.bins, minlength=NUM_BINS).tolist()
    assert bins.totals.sum() == SIZE


def test_moved_bins_are_as_counted_anew() -> None:
    bins, rng = scattered(), np.random.default_rng(1)
    for _ in range(20):
        places = rng.choice(SIZE, 500, replace=False)
        bins.move(places, rng.integers(0, NUM_BINS, 500).astype(np.uint8))
    anew = PassRateBins(bins.bins)
    assert bins.totals.tolist() == anew.totals.tolist()
    for one in range(0, NUM_BINS, 40):  # that draws find the same places shows that the parts are counted right
        wanted = only(one)
        drawn = (
            bins.draw(wanted, 100, np.random.default_rng(2), NONE),
            anew.draw(wanted, 100, np.random.default_rng(2), NONE),
        )
        assert drawn[0].tolist() == drawn[1].tolist()


def test_a_whole_bin_is_drawn_once() -> None:
    bins = scattered()
    for one in (0, 120, 240, UNSEEN):
        numbers = np.zeros(NUM_BINS, dtype=np.int64)
        numbers[one] = bins.totals[one]
        drawn = bins.pick(numbers, np.random.default_rng(3))
        assert np.sort(drawn).tolist() == np.flatnonzero(np.equal(bins.bins, one)).tolist()


def test_draws_leave_the_excluded_out_and_put_them_back() -> None:
    bins = scattered()
    before = bins.totals
    excluded = np.flatnonzero(np.equal(bins.bins, 7))[5:]
    drawn = bins.draw(only(7), 5, np.random.default_rng(4), excluded)
    assert np.sort(drawn).tolist() == np.flatnonzero(np.equal(bins.bins, 7))[:5].tolist()
    assert bins.totals.tolist() == before.tolist()


def test_what_has_weight_0_fills_up_uniformly() -> None:
    bins = PassRateBins(np.array([3] * 10 + [200] * 50 + [OUT] * 50, dtype=np.uint8))
    drawn = bins.draw(only(3), 30, np.random.default_rng(5), NONE)
    assert set(range(10)) < set(drawn.tolist()) <= set(range(60))
    assert len(set(drawn.tolist())) == 30


def test_a_used_up_bin_leaves_its_part_to_the_next() -> None:
    # Weights that no float can hold beside each other: 1, e^-10000 and e^-20000.
    bins = PassRateBins(np.repeat([10, 20, 30], 10).astype(np.uint8))
    weights = only()
    weights[[10, 20, 30]] = [0.0, -1e4, -2e4]
    for count, greatest in ((10, 10), (15, 20), (20, 20), (25, 30)):
        assert max(bins.draw(weights, count, np.random.default_rng(6), NONE)) < greatest


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_weight_must_be_a_number(wrong: float) -> None:
    weights = only(0)
    weights[120] = wrong
    with pytest.raises(ValueError, match="weight of bin 120 must be a finite number of 0 or more"):
        scattered().draw(weights, 1, np.random.default_rng(0), NONE)


def test_more_than_there_are() -> None:
    bins = PassRateBins(np.array([0, 0, OUT], dtype=np.uint8))
    with pytest.raises(ValueError, match="count=2 is more than the 1 prompts"):
        bins.draw(only(0), 2, np.random.default_rng(0), np.array([1]))
    assert bins.totals[0] == 2


def test_bins_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        scattered().bins[0] = 1

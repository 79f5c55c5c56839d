"""What each policy learns, and what it does where its rule leaves nothing to draw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from laser_verl.core.policies.base import Policy, Pool
from laser_verl.core.policies.shares import exact_numbers
from tests.unit.policies.pools import NONE, draws, observe, pool_of, started, tracker_of


def drawn(policy: Policy, count: int, excluded: Any = NONE, seed: int = 0) -> list[int]:
    return policy.draw(count, np.random.default_rng(seed), np.asarray(excluded, dtype=np.int64)).tolist()


def show(policy: Policy, pool: Pool, places: list[int], solved: list[int], step: int = 1) -> None:
    policy.observe(observe(pool.tracker, places, solved, step=step))


def test_weighted_policies_follow_the_tracker() -> None:
    pool = pool_of([0, 0, 4])
    policy = started("max_entropy", pool)
    assert drawn(policy, 1) == [2]
    show(policy, pool, [0, 2], [8, 0])  # 0: 8 of 4 + 8 = 2/3; 2: 2 of 4 + 8 = 1/6
    show(policy, pool, [2], [0], step=2)  # 2: 1 of 6 + 8 = 1/14
    assert sorted(drawn(policy, 2)) == [0, 2]


def test_what_is_always_solved_is_drawn_where_there_is_nothing_else() -> None:
    policy = started("prioritised", pool_of([8] * 5 + [0]))
    assert set(drawn(policy, 3)) > {5}
    assert len(set(drawn(policy, 5, excluded=[5]))) == 5


def test_band_mix_leaves_the_part_of_a_missing_band_to_the_others() -> None:
    # Nothing is easy: medium and hard share 12 as 1/2 to 1/4.
    policy = started("band_mix", pool_of([4] * 20 + [0] * 20))
    assert sum(place < 20 for place in drawn(policy, 12)) == 8
    # 3 medium prompts are all there are; the other 9 are hard.
    policy = started("band_mix", pool_of([4] * 3 + [0] * 20))
    assert sum(place < 3 for place in drawn(policy, 12)) == 3


def test_band_mix_draws_what_it_has_a_share_for_first() -> None:
    shares = {"easy": 0.0, "medium": 1.0, "hard": 0.0}
    policy = started("band_mix", pool_of([4] * 4 + [8] * 8 + [None] * 4), shares=shares)
    # 4 unseen of 16 are a quarter of 4; the rest is medium.
    assert sorted(place // 4 for place in drawn(policy, 4)) == [0, 0, 0, 3]
    # Of 10, 4 are medium, 4 unseen, and only then 2 easy.
    assert sorted(min(place // 4, 3) for place in drawn(policy, 10))[:4] == [0] * 4
    assert sum(4 <= place < 12 for place in drawn(policy, 10)) == 2


@pytest.mark.parametrize(
    ("shares", "room", "count", "expected"),
    [
        ([0.25, 0.5, 0.25], [99, 99, 99], 8, [2, 4, 2]),
        ([0.25, 0.5, 0.25], [99, 0, 99], 8, [4, 0, 4]),
        ([0.25, 0.5, 0.25], [1, 99, 99], 7, [1, 4, 2]),  # 6 are left, as 2 to 1
        ([0.0, 1.0], [99, 5], 8, [0, 5]),
        ([0.1, 0.9], [99, 99], 0, [0, 0]),
        ([1 / 3, 1 / 3, 1 / 3], [99, 99, 99], 99, [33, 33, 33]),
    ],
)
def test_exact_numbers(shares: list[float], room: list[int], count: int, expected: list[int]) -> None:
    for seed in range(20):
        made = exact_numbers(np.array(shares), np.array(room), count, np.random.default_rng(seed))
        assert made.tolist() == expected


def test_exact_numbers_are_right_on_average() -> None:
    # 10 by 0.16, 0.23, 0.61: 1.6, 2.3 and 6.1.
    rng = np.random.default_rng(0)
    made = np.array([exact_numbers(np.array([0.16, 0.23, 0.61]), np.full(3, 99), 10, rng) for _ in range(4000)])
    assert (made.sum(axis=1) == 10).all()
    assert [set(column) for column in made.T] == [{1, 2}, {2, 3}, {6, 7}]
    np.testing.assert_allclose(made.mean(axis=0), [1.6, 2.3, 6.1], atol=0.03)  # standard error 0.008


def test_skip_solved_comes_back_to_what_was_last_drawn_longest_ago() -> None:
    tracker = tracker_of(6)
    for step, place in enumerate([3, 0, 5, 1, 4, 2]):
        observe(tracker, [place], [8], step=step)
    policy = started("skip_solved", Pool(tracker, 6))
    assert drawn(policy, 2) == [3, 0]
    assert drawn(policy, 2, excluded=[3, 5]) == [0, 1]
    policy.observe(observe(tracker, [4], [7], step=9))
    assert drawn(policy, 2) == [4, 3]


def test_skip_solved_waits_for_as_many_draws_as_asked() -> None:
    tracker = tracker_of(2)
    policy = started("skip_solved", Pool(tracker, 2), after=2)
    for step, wanted in ((0, {0, 1}), (1, {1})):
        observe(tracker, [0], [8], step=step)
        assert {drawn(policy, 1)[0] for _ in range(6)} == wanted


def test_skip_solved_looks_at_no_more_than_it_says() -> None:
    tracker = tracker_of(1000)
    observe(tracker, range(1000), [8] * 1000)
    policy = started("skip_solved", Pool(tracker, 1000))
    drawn(policy, 2)
    assert policy.position() == {"round": 0, "place": 128}


def test_greso_keeps_its_chances_in_the_first_round() -> None:
    pool = pool_of([None] * 4)
    policy = started("greso", pool)
    kept = []
    # Rounds of two batches. In the third, half was solved in full, more than the 1/12 allowed, and nothing failed, less
    # than the 1/6 allowed; in the fourth half failed.
    for step, solved in enumerate(([8, 8], [8, 8], [8, 4], [0, 4])):
        show(policy, pool, [2 * (step % 2), 2 * (step % 2) + 1], solved, step)
        kept.append((policy.metrics()["laser/sampler/p_easy"], policy.metrics()["laser/sampler/p_hard"]))
    np.testing.assert_allclose(kept, [(0.5, 0.5), (0.5, 0.5), (0.49, 0.51), (0.5, 0.5)])


def test_greso_allows_twice_as_many_failed_as_solved_groups() -> None:
    pool = pool_of([None] * 8)
    policy = started("greso", pool)
    show(policy, pool, list(range(8)), [4] * 8)
    show(policy, pool, list(range(8)), [8, 0, 4, 4, 4, 4, 4, 4], step=2)  # 1/8 is above 1/12 and below 1/6
    assert policy.metrics()["laser/sampler/p_easy"] == pytest.approx(0.49)
    assert policy.metrics()["laser/sampler/p_hard"] == pytest.approx(0.51)


def test_greso_stays_within_its_bounds() -> None:
    pool = pool_of([None] * 2)
    policy = started("greso", pool)
    for step in range(60):
        show(policy, pool, [0, 1], [8, 8], step)
    assert policy.metrics()["laser/sampler/p_easy"] == 0.05
    assert policy.metrics()["laser/sampler/p_hard"] == 0.95


def test_greso_fills_up_with_what_it_has_passed_over() -> None:
    tracker = tracker_of(5)
    for step in range(20):
        observe(tracker, range(5), [0] * 5, step=step)
    assert sorted(drawn(started("greso", Pool(tracker, 5)), 5)) == [0, 1, 2, 3, 4]


def test_adarft_takes_the_first_of_equal_labels() -> None:
    # At T = 20 the labels 10 and 30 are equally near.
    pool = pool_of([None] * 8, {"label": [30, 10, 50, 10, 30, 10, 30, 10]})
    policy = started("adarft", pool, column="label", initial=20)
    assert drawn(policy, 5) == [0, 1, 3, 4, 5]
    assert drawn(policy, 2, excluded=[0, 1, 3]) == [4, 5]
    assert drawn(policy, 8) == [0, 1, 3, 4, 5, 6, 7, 2]


def test_adarft_with_labels_is_the_same_as_sorting_them_all() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        labels = rng.integers(0, 12, 60).astype(float)
        target, count = float(rng.integers(0, 25)) / 2, int(rng.integers(1, 30))
        excluded = rng.choice(60, int(rng.integers(0, 30)), replace=False)
        policy = started("adarft", pool_of([None] * 60, {"label": labels}), column="label", initial=target)
        nearest = [int(place) for place in np.argsort(np.abs(labels - target), kind="stable") if place not in excluded]
        assert drawn(policy, count, excluded) == nearest[:count]


def test_adarft_follows_the_accuracy() -> None:
    pool = pool_of([None] * 2)
    policy = started("adarft", pool)
    show(policy, pool, [0, 1], [8, 6])  # 14 of 16 solved: 50 * tanh(2 * 0.375) = 31.757
    assert policy.metrics()["laser/sampler/target_difficulty"] == pytest.approx(31.757, abs=1e-3)
    show(policy, pool, [0, 1], [0, 0])  # 31.757 - 50 * tanh(1) < 0
    assert policy.metrics()["laser/sampler/target_difficulty"] == 0


def test_adarft_tracked_goes_outwards_from_the_target() -> None:
    # Difficulties 100, 50 (unseen), 50, 0, 12.5; T = 40.
    policy = started("adarft", pool_of([0, None, 4, 8, 7]), initial=40)
    assert [set(drawn(policy, count)) for count in (2, 3, 4)] == [{1, 2}, {1, 2, 4}, {1, 2, 3, 4}]


def test_mopps_keeps_what_is_likely_near_the_target() -> None:
    tracker = tracker_of(30)
    observe(tracker, range(10), [400] * 10, group=800)
    observe(tracker, range(10, 30), [800] * 20, group=800)
    assert set(drawn(started("mopps", Pool(tracker, 30)), 10)) == set(range(10))
    assert min(drawn(started("mopps", Pool(tracker, 30), target=1.0), 10)) >= 10


def test_sec_learns_from_groups() -> None:
    pool = pool_of([None] * 4, {"data_source": ["b", "a", "a", "c"]})
    policy = started("sec", pool)
    # a: (2 sqrt(1/2 * 1/2) + 0) / 2 = 1/2, b: 2 sqrt(1/4 * 3/4) = 0.866, c is not there; lr 1/2 halves both.
    show(policy, pool, [0, 1, 2], [2, 4, 8])
    np.testing.assert_allclose(policy.state_dict()["values"], [0.25, 0.4330, 0], atol=1e-4)
    show(policy, pool, [3], [4])  # the others decay
    np.testing.assert_allclose(policy.state_dict()["values"], [0.125, 0.2165, 0.5], atol=1e-4)


def test_sec_passes_on_what_a_category_has_no_prompts_for() -> None:
    pool = pool_of([None] * 8, {"kind": [1, 2, 1, 2, 2, 2, 2, 2]})
    policy = started("sec", pool, column="kind", temperature=0.01)
    show(policy, pool, [0, 2], [4, 4])
    assert set(drawn(policy, 4)) > {0, 2}
    assert set(drawn(policy, 4, excluded=[0])) > {2}
    assert sorted(drawn(policy, 8)) == list(range(8))


def test_sec_goes_on_with_other_categories() -> None:
    pool = pool_of([None] * 3, {"data_source": ["a", "b", "c"]})
    policy = started("sec", pool)
    show(policy, pool, [0, 1, 2], [4, 4, 0])
    other = started("sec", pool_of([None] * 2, {"data_source": ["d", "b"]}))
    other.load_state_dict(policy.state_dict())
    assert other.state_dict()["values"].tolist() == [0.5, 0.0]


STAGES = {"first": {"high": 2, "steps": 2}, "second": {"low": 2, "high": 3, "steps": 1}, "third": {"low": 3}}
LEVELS = [1, 2, 3, 4] * 4


def levels(places: list[int]) -> set[int]:
    return {LEVELS[place] for place in places}


def test_curriculum_goes_by_steps() -> None:
    policy = started("curriculum", pool_of([None] * 16, {"level": LEVELS}, batch_size=4), column="level", stages=STAGES)
    batches = draws(policy, 4, 6)
    assert sorted(batches[0] + batches[1]) == [0, 1, 4, 5, 8, 9, 12, 13]  # one round of the first stage
    assert levels(batches[2]) <= {2, 3}
    assert [levels(batch) <= {3, 4} for batch in batches[3:]] == [True] * 3
    assert not policy.is_adaptive
    assert policy.metrics() == {"laser/sampler/stage": 3.0, "laser/sampler/round": 1.0}


def test_curriculum_counts_prompts_not_draws() -> None:
    policy = started("curriculum", pool_of([None] * 16, {"level": LEVELS}, batch_size=4), column="level", stages=STAGES)
    batches = draws(policy, 2, 6)
    assert [levels(batch) <= {1, 2} for batch in batches[:4]] == [True] * 4
    assert [levels(batch) <= {2, 3} for batch in batches[4:]] == [True] * 2


def test_curriculum_advances_by_accuracy() -> None:
    pool = pool_of([None] * 16, {"level": LEVELS}, batch_size=2)
    stages = {"first": {"high": 2}, "second": {"low": 3}}
    policy = started("curriculum", pool, column="level", stages=stages, advance_at=0.53)
    assert policy.is_adaptive
    show(policy, pool, [0, 1], [4, 4])  # 0.5
    show(policy, pool, [2, 3], [8, 8])  # of the second stage: not counted
    assert levels(drawn(policy, 4)) <= {1, 2}
    show(policy, pool, [4, 5], [6, 6])  # 0.9 * 0.5 + 0.1 * 0.75 = 0.525
    assert levels(drawn(policy, 4)) <= {1, 2}
    show(policy, pool, [4, 5], [5, 5])  # 0.9 * 0.525 + 0.1 * 0.625 = 0.535
    assert levels(drawn(policy, 4)) == {3, 4}
    show(policy, pool, [2, 3], [8, 8])  # the last stage has no end
    assert levels(drawn(policy, 4)) == {3, 4}


def test_curriculum_leaves_its_stage_only_where_too_much_of_it_is_under_way() -> None:
    pool = pool_of([None] * 16, {"level": LEVELS}, batch_size=2)
    policy = started("curriculum", pool, column="level", stages={"a": {"high": 1}, "b": {}}, advance_at=0.9)
    places = drawn(policy, 4, excluded=[0, 4])
    assert {8, 12} < set(places)
    assert len(set(places) - {0, 4}) == 4


def test_column_mix_goes_round_each_value() -> None:
    pool = pool_of([None] * 12, {"level": [1.0, 2.0, 3.0] * 4}, batch_size=4)
    policy = started("column_mix", pool, column="level", shares={1: 0.5, "2": 0.5})
    batches = draws(policy, 4, 4)
    for pair in (batches[:2], batches[2:]):
        assert sorted(pair[0] + pair[1]) == [0, 1, 3, 4, 6, 7, 9, 10]


def test_column_mix_puts_values_in_no_order() -> None:
    pool = pool_of([None] * 40, {"level": ["a", "b"] * 20}, batch_size=8)
    policy = started("column_mix", pool, column="level", shares={"a": 0.5, "b": 0.5})
    first = [batch[0] % 2 for batch in draws(policy, 8, 40)]
    assert 8 < sum(first) < 32


def test_values_may_be_whole_numbers_of_any_kind() -> None:
    for level in ([1, 2], [1.0, 2.0], ["1", "2"], np.array([np.int64(1), 2.0], dtype=object)):
        policy = started("column_mix", pool_of([None] * 2, {"level": level}), column="level", shares={2: 1})
        assert drawn(policy, 1) == [1]

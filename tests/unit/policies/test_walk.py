"""Rounds: where they begin and end, and what a position is."""

from __future__ import annotations

import numpy as np

from laser_verl.core.policies.walk import Walk
from tests.unit.policies.pools import NONE, draws, pool_of, started


def shifted(number: int) -> np.ndarray:
    """0 to 4, beginning with the number of the round."""
    return (np.arange(5) + number) % 5


def test_a_round_takes_every_prompt_once() -> None:
    walk = Walk(10, (0,))
    rounds = [np.concatenate([walk.take(3), walk.take(7)]) for _ in range(3)]
    assert [sorted(round_.tolist()) for round_ in rounds] == [list(range(10))] * 3
    assert len({tuple(round_.tolist()) for round_ in rounds}) == 3


def test_walks_of_other_seeds_go_other_ways() -> None:
    seeds = [(0,), (1,), (0, 1), (0, 2), (0, 1, 1)]
    assert len({tuple(Walk(20, seed).take(20).tolist()) for seed in seeds}) == len(seeds)


def test_whole_draws_drop_the_rest_of_a_round() -> None:
    walk = Walk(5, (0,), shifted)
    assert [walk.take_whole(2).tolist() for _ in range(3)] == [[0, 1], [2, 3], [1, 2]]
    assert walk.position() == {"round": 1, "place": 2}


def test_other_draws_go_on_into_the_next_round_without_repeats() -> None:
    walk = Walk(5, (0,), shifted)
    assert walk.take(3).tolist() == [0, 1, 2]
    # 3 and 4 end round 0; round 1 is 1, 2, 3, 4, 0.
    assert walk.take(4).tolist() == [3, 4, 1, 2]
    # 3 and 4 were passed when they had just been drawn; they lose their turn in a round that they begin.
    assert walk.take(2).tolist() == [3, 4]
    assert walk.take(1).tolist() == [0]


def test_excluded_prompts_lose_their_turn() -> None:
    walk = Walk(5, (0,), shifted)
    assert walk.take(3, np.array([1, 0, 77])).tolist() == [2, 3, 4]


def test_a_draw_ends_where_all_are_excluded() -> None:
    assert Walk(5, (0,), shifted).take(3, np.arange(4)).tolist() == [4]


def test_skipped_prompts_are_told() -> None:
    walk = Walk(5, (0,), shifted)
    taken, skipped = walk.pick(2, NONE, lambda places: places % 2 == 0, 5)
    assert (taken.tolist(), skipped.tolist()) == ([1, 3], [0, 2])
    assert walk.position() == {"round": 0, "place": 4}


def test_the_limit_bounds_what_is_looked_at() -> None:
    walk = Walk(1000, (0,))
    taken, skipped = walk.pick(2, NONE, lambda places: places >= 0, 70)
    assert (len(taken), len(skipped), walk.position()) == (0, 70, {"round": 0, "place": 70})


def test_a_position_is_where_the_walk_goes_on() -> None:
    walk, other = Walk(50, (3,)), Walk(50, (3,))
    walk.take(70)
    other.go_to(walk.position())
    assert other.take(60).tolist() == walk.take(60).tolist()
    other.go_to({"round": 0, "place": 0})
    assert other.take(50).tolist() == Walk(50, (3,)).take(50).tolist()


def test_uniform_follows_the_order_that_the_host_gives() -> None:
    rounds = [np.random.default_rng((9, number)).permutation(10) for number in range(3)]
    policy = started("uniform", pool_of([None] * 10, order=rounds.__getitem__))
    expected = [rounds[number][first : first + 4].tolist() for number in range(3) for first in (0, 4)]
    assert draws(policy, 4, 6) == expected


def test_uniform_takes_no_notice_of_what_is_excluded() -> None:
    pool = pool_of([None] * 10)
    with_some = started("uniform", pool).draw(4, np.random.default_rng(0), np.arange(10))
    assert with_some.tolist() == draws(started("uniform", pool), 4, 1)[0]

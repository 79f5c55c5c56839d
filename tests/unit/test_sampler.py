"""The sampler around a policy: exploration, prompts in flight, and positions that a resumed run goes on from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from laser_verl.core.checks import Ints
from laser_verl.core.policies.base import Policy, PolicyBase, Pool, build_policy
from laser_verl.core.prompt_index import key_texts
from laser_verl.core.rollouts import Rollouts
from laser_verl.core.sampler import Sampler, draw_metrics
from laser_verl.core.tracker import DifficultyTracker, Outcome


@dataclass(kw_only=True, eq=False)
class First(PolicyBase):
    """Draws the first places that it may."""

    name = "first"

    def choose(self, count: int, rng: np.random.Generator, excluded: Ints) -> Ints:
        return np.setdiff1d(np.arange(self._pool.size), excluded)[:count]


def pool(size: int, batch_size: int = 4, seed: int = 0) -> Pool:
    tracker = DifficultyTracker()
    tracker.add(np.arange(size, dtype=np.uint64))
    return Pool(tracker=tracker, size=size, batch_size=batch_size, seed=seed)


def observe(sampler: Sampler, pool: Pool, places: Sequence[int], solved: Sequence[Sequence[int]], step: int) -> None:
    keys = key_texts(np.array(places, dtype=np.uint64))
    rows = [(key, flag) for key, flags in zip(keys, solved, strict=True) for flag in flags]
    names, flags = zip(*rows, strict=True)
    batch = Rollouts.build(names, [9] * len(rows), flags, step=step, prompt_key=names)
    sampler.observe(pool.tracker.observe(batch))


def test_without_exploration_the_policy_draws_alone() -> None:
    prompts = pool(10)
    sampler = Sampler(First(), prompts, epsilon=0.0)
    assert sampler.draw(4).tolist() == [0, 1, 2, 3]
    observe(sampler, prompts, [0, 1, 2, 3], [[1, 0]] * 4, step=1)
    assert sampler.draw(4).tolist() == [0, 1, 2, 3]


def test_prompts_in_flight_are_not_drawn_again() -> None:
    prompts = pool(10)
    sampler = Sampler(First(), prompts, epsilon=0.0)
    assert sampler.draw(3).tolist() == [0, 1, 2]
    assert sampler.draw(3).tolist() == [3, 4, 5]
    observe(sampler, prompts, [1, 4], [[1], [1]], step=1)
    assert sampler.in_flight == {0, 2, 3, 5}
    assert sampler.draw(3).tolist() == [1, 4, 6]
    sampler.only_in_flight([7])
    assert sampler.draw(2).tolist() == [0, 1]


def test_exploration_leaves_prompts_in_flight_alone_too() -> None:
    sampler = Sampler(First(), pool(20), epsilon=1.0)
    drawn = np.concatenate([sampler.draw(4) for _ in range(5)])
    assert sorted(drawn.tolist()) == list(range(20))


def test_a_policy_hears_of_its_own_prompts_only() -> None:
    heard: list[list[int]] = []

    class Listening(First):
        def observe(self, outcome: Outcome) -> None:
            heard.append(outcome.places.tolist())

    prompts = pool(6)
    sampler = Sampler(Listening(), prompts, epsilon=0.0)
    observe(sampler, prompts, [2, 77], [[1], [0]], step=1)  # 77 is not of the pool
    assert heard == [[2]]
    assert sampler.metrics(1)["laser/sampler/unseen_frac"] == pytest.approx(5 / 6)


def test_what_is_saved_right_after_a_resume_goes_on_alike_too() -> None:
    first, second, third = (Sampler(build_policy("uniform"), pool(40, seed=5)) for _ in range(3))
    drawn = [first.draw(4).tolist() for _ in range(3)]
    first.hand_over()
    second.load_state_dict(first.state_dict())
    third.load_state_dict(second.state_dict())
    assert third.draw(4).tolist() == drawn[1]


def test_where_all_are_in_flight_they_are_drawn_again() -> None:
    sampler = Sampler(First(), pool(5), epsilon=0.0)
    sampler.draw(4)
    assert sampler.draw(4).tolist() == [0, 1, 2, 3]


def test_exploration_reaches_every_prompt_in_time() -> None:
    prompts = pool(50, batch_size=10)
    sampler = Sampler(First(), prompts, epsilon=0.1)
    drawn = []
    for _ in range(100):
        places = sampler.draw(10)
        assert len(set(places.tolist())) == 10
        drawn.append(places)
        sampler.only_in_flight()
    # one of each ten, all 50 in turn: two rounds
    assert set(np.concatenate(drawn[:50]).tolist()) == set(range(50))
    counts = np.bincount(np.concatenate(drawn), minlength=50)
    assert counts[12:].tolist() == [2] * 38
    assert counts.sum() == 1000


def test_a_share_that_is_no_whole_number_holds_on_average() -> None:
    prompts = pool(1000, batch_size=8)
    sampler = Sampler(First(), prompts, epsilon=0.05)
    explored = 0
    for _ in range(1000):
        explored += int((sampler.draw(8) >= 16).sum())
        sampler.only_in_flight()
    # 0.05 * 8 * 1000 = 400 explored, of which 1.6 % fall on the first 16 places; the deviation is 16
    assert 340 < explored < 450


@pytest.mark.parametrize("policy", ["uniform", "sequential"])
def test_a_fixed_order_is_left_alone(policy: str) -> None:
    sampler = Sampler(build_policy(policy), pool(6, batch_size=3), epsilon=0.5)
    for _ in range(4):
        first, second = sampler.draw(3).tolist(), sampler.draw(3).tolist()
        assert sorted(first + second) == list(range(6))
    assert sampler.in_flight == frozenset()


def states(policy: Policy, other: Policy, epsilon: float, steps: int = 6) -> tuple[list[Any], list[Any]]:
    """Draws of a run, and of one that was saved after three steps and restored."""
    prompts, restored_prompts = pool(40, seed=5), pool(40, seed=5)
    sampler, restored = Sampler(policy, prompts, epsilon), Sampler(other, restored_prompts, epsilon)
    draws, again = [], []
    for step in range(1, steps + 1):
        if step == 4:
            restored_prompts.tracker.load_state_dict(prompts.tracker.state_dict())
            restored.restart()
            assert restored.load_state_dict(sampler.state_dict()) == []
        for one, drawn, of in ((sampler, draws, prompts), (restored, again, restored_prompts)):
            if one is sampler or step >= 4:
                places = one.draw(4)
                one.hand_over()
                drawn.append(places.tolist())
                observe(one, of, places.tolist(), [[place % 2, place % 3 == 0] for place in places.tolist()], step)
    return draws, again


@pytest.mark.parametrize("name", ["uniform", "sequential", "band_mix", "max_entropy", "mopps", "adarft", "greso"])
@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_a_restored_sampler_goes_on_alike(name: str, epsilon: float) -> None:
    draws, again = states(build_policy(name), build_policy(name), epsilon)
    assert draws[3:] == again
    assert len({tuple(places) for places in draws}) > 1


def test_what_ran_ahead_is_drawn_again_after_a_resume() -> None:
    ahead, resumed = (Sampler(build_policy("uniform"), pool(40, seed=5)) for _ in range(2))
    drawn = [ahead.draw(4).tolist() for _ in range(5)]
    for _ in range(2):
        ahead.hand_over()
    resumed.load_state_dict(ahead.state_dict())
    assert [resumed.draw(4).tolist() for _ in range(3)] == drawn[2:]


def test_another_policy_seed_or_pool_is_said() -> None:
    saved = Sampler(build_policy("band_mix"), pool(40, seed=5)).state_dict()
    assert Sampler(build_policy("mopps"), pool(40, seed=5)).load_state_dict(saved) == [
        "the policy was band_mix, is mopps, which begins anew"
    ]
    [text] = Sampler(build_policy("band_mix"), pool(40, seed=6)).load_state_dict(saved)
    assert text == "laser.seed was 5, is 6, so that the sampler draws otherwise"
    [text] = Sampler(build_policy("band_mix"), pool(40, seed=5)).load_state_dict(saved, is_same_pool=False)
    assert "begin anew" in text


def test_more_prompts_than_the_pool_has_are_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="a batch of 4 prompts is more than the 3 different prompts"):
        Sampler(build_policy("band_mix"), pool(3))


def test_metrics_say_who_waits() -> None:
    prompts = pool(4)
    sampler = Sampler(First(), prompts, epsilon=0.0)
    assert sampler.metrics(0) == {"laser/sampler/unseen_frac": 1.0, "laser/sampler/starvation_age": 0.0}
    observe(sampler, prompts, [0, 1, 2], [[1], [0], [1]], step=3)
    assert sampler.metrics(5) == {"laser/sampler/unseen_frac": 0.25, "laser/sampler/starvation_age": 5.0}
    observe(sampler, prompts, [3, 2], [[1], [1]], step=6)
    assert sampler.metrics(8) == {"laser/sampler/unseen_frac": 0.0, "laser/sampler/starvation_age": 5.0}


def test_draws_are_described_as_they_were_known_before() -> None:
    prompts = pool(6)
    sampler = Sampler(First(), prompts, epsilon=0.0)
    observe(sampler, prompts, [0, 1, 2], [[1, 1], [0, 0], [1, 0]], step=2)
    observe(sampler, prompts, [1], [[0, 0]], step=4)
    found = draw_metrics(prompts.tracker, np.array([0, 1, 2, 3, -1]), step=7)
    assert found == {
        "laser/sampler/drawn_frac/easy": 0.2,
        "laser/sampler/drawn_frac/medium": 0.2,
        "laser/sampler/drawn_frac/hard": 0.2,
        "laser/sampler/drawn_frac/unseen": 0.4,
        "laser/sampler/staleness": pytest.approx((5 + 3 + 5) / 3),
    }
    assert "laser/sampler/staleness" not in draw_metrics(prompts.tracker, np.array([3]), step=7)

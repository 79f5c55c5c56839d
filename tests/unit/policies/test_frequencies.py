"""How often each policy draws what, against its formula computed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from laser_verl.core.policies.base import Pool
from laser_verl.core.policies.sec import Sec
from tests.unit.policies.pools import draws, observe, pool_of, started, tracker_of

# Pass rates 0, 1/8, 1/2, 7/8 and 1, and unseen.
CLASSES = [0, 1, 4, 7, 8, None]
IN_CLASS = 2000


@cache
def mixed_pool() -> Pool:
    """2,000 prompts of each class, one after another."""
    return pool_of([solved for _ in range(IN_CLASS) for solved in CLASSES])


def class_counts(places: Any) -> np.ndarray:
    return np.bincount(np.asarray(places).reshape(-1) % len(CLASSES), minlength=len(CLASSES))


def fits(observed: Any, weights: Sequence[float]) -> None:
    """Chi-square of counts against weights; what has weight 0 must not come at all."""
    observed, expected = np.asarray(observed, dtype=float), np.asarray(weights, dtype=float)
    assert not observed[expected == 0].any()
    observed, expected = observed[expected > 0], expected[expected > 0]
    assert chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-3


@pytest.mark.parametrize(
    ("name", "options", "weights"),
    [
        # 1/8 * 7/8 = 0.109375, 1/2 * 1/2 = 0.25
        ("max_entropy", {}, [0, 0.109375, 0.25, 0.109375, 0, 0.25]),
        # exp(-KL): at p = 0 exp(-ln 2) = 1/2, at 1/8 0.7288
        ("max_entropy", {"weight": "mgpo"}, [0.5, 0.7288, 1, 0.7288, 0.5, 1]),
        ("max_entropy", {"unseen_pass_rate": 0.875}, [0, 0.109375, 0.25, 0.109375, 0, 0.109375]),
        ("prioritised", {}, [1, 0.875, 0.5, 0.125, 0, 0.5]),
        # exp(-0.5 / 0.1) = 0.006738, exp(-0.375 / 0.1) = 0.023518
        ("dots", {"tau": 0.1}, [0.006738, 0.023518, 1, 0.023518, 0.006738, 1]),
    ],
)
def test_weighted(name: str, options: dict[str, Any], weights: list[float]) -> None:
    places = draws(started(name, mixed_pool(), **options), 200, 50)
    fits(class_counts(places), weights)
    # Inside a class every prompt is as likely as any other: here in eight parts of the pool, from first to last.
    of_unseen = np.asarray(places).reshape(-1)
    of_unseen = of_unseen[of_unseen % len(CLASSES) == 5]
    fits(np.bincount(of_unseen // (len(CLASSES) * IN_CLASS // 8), minlength=8), [1] * 8)


def test_weighted_one_prompt_at_a_time() -> None:
    # Four prompts of pass rates 0, 1/4, 3/4 and 1: the chances of Kimi's rule are 1, 3/4, 1/4 and 0, over 2.
    policy = started("prioritised", pool_of([0, 2, 6, 8]))
    fits(np.bincount(np.concatenate(draws(policy, 1, 3000)), minlength=4), [0.5, 0.375, 0.125, 0])


def test_where_all_weights_are_0_every_prompt_is_as_likely() -> None:
    policy = started("max_entropy", pool_of([8] * 3 + [0]))
    fits(np.bincount(np.concatenate(draws(policy, 1, 2000)), minlength=4), [1, 1, 1, 1])


def test_dots_with_the_papers_temperature() -> None:
    # 120 and 119 of 240 solved: exp(-(1/240) / 0.001) = 0.0155.
    pool = pool_of([120, 119] * 2000, group=240)
    fits(np.bincount(np.concatenate(draws(started("dots", pool), 40, 50)) % 2, minlength=2), [1, 0.0155])


def test_band_mix() -> None:
    # Of six classes two are hard (0 and 1/8), one medium, two easy, one unseen: a sixth of the batch is unseen, and of
    # the other five sixths a quarter is easy, half medium, a quarter hard, shared evenly by classes of one band.
    places = draws(started("band_mix", mixed_pool()), 200, 50)
    fits(class_counts(places), [5 / 48, 5 / 48, 5 / 12, 5 / 48, 5 / 48, 1 / 6])
    counts = np.array([class_counts(draw) for draw in places])
    exact = [200 / 6, 200 * 5 / 12, 200 * 5 / 24, 200 * 5 / 24]
    for ideal, number in zip(
        exact, [counts[:, 5], counts[:, 2], counts[:, :2].sum(1), counts[:, 3:5].sum(1)], strict=True
    ):
        assert set(number) == {int(ideal), int(ideal) + 1}
        assert abs(number.mean() - ideal) < 0.25  # the standard error is at most 0.5 / sqrt(50) = 0.07


def test_uniform_begins_with_any_prompt() -> None:
    first = [draws(started("uniform", pool_of([None] * 8, seed=seed)), 1, 1)[0][0] for seed in range(2000)]
    fits(np.bincount(first, minlength=8), [1] * 8)


def test_uniform_rounds_differ() -> None:
    policy = started("uniform", pool_of([None] * 8))
    first = [round_[0] for round_ in draws(policy, 8, 2000)]
    fits(np.bincount(first, minlength=8), [1] * 8)


def test_skip_solved_begins_with_any_prompt_that_is_not_solved() -> None:
    solved = [8, 0, 8, 7, None, 8, 4, 8]
    first = []
    for seed in range(1500):
        pool = pool_of(solved, seed=seed)
        first.append(draws(started("skip_solved", pool), 1, 1)[0][0])
    fits(np.bincount(first, minlength=8), [0, 1, 0, 1, 1, 0, 1, 0])


def test_greso_passes_over_by_chance() -> None:
    # 0, 1, 2 and 3 groups in a row solved in full: kept with chance 1, 1/2, 1/4 and 1/8. The same for none solved.
    tracker = tracker_of(800)
    for step in range(3):
        places = [place for place in range(800) if place % 4 > step]
        observe(tracker, places, [8 if place < 400 else 0 for place in places], step=step)
    places = np.concatenate(draws(started("greso", Pool(tracker, 800)), 100, 200))
    fits(np.bincount(places[places < 400] % 4, minlength=4), [1, 0.5, 0.25, 0.125])
    fits(np.bincount(places[places >= 400] % 4, minlength=4), [1, 0.5, 0.25, 0.125])


def test_mopps_between_two_posteriors() -> None:
    # Distances d to 1/2: of Beta(1, 1) uniform on 0 to 1/2; of Beta(2, 2), with density 6 y (1 - y), d has the density
    # 3 - 12 d^2. The second is nearer with the chance 5/8: 2 * (3 d - 4 d^3), integrated over 0 to 1/2, is 3/4 - 1/8.
    policy = started("mopps", pool_of([1, None], group=2))
    fits(np.bincount(np.concatenate(draws(policy, 1, 2000)), minlength=2), [5 / 8, 3 / 8])


def test_mopps_candidates_are_uniform() -> None:
    # With one candidate per prompt wanted there is nothing to choose.
    policy = started("mopps", pool_of([0, 4, 8, None]), candidates=1)
    fits(np.bincount(np.concatenate(draws(policy, 1, 2000)), minlength=4), [1, 1, 1, 1])


def test_sec_draws_categories_by_their_chances() -> None:
    # Q = (0.4, 0.25, 0), temperature 0.4: exp(1), exp(0.625) and 1 over their sum 5.5865.
    source = ["a", "b", "c", "c"] * 1000
    policy = started("sec", pool_of([None] * 4000, {"data_source": source}), temperature=0.4)
    assert isinstance(policy, Sec)
    policy.learn(np.array([0.8, 0.5, 0.0]))
    places = np.concatenate(draws(policy, 100, 60))
    # The two places with category c have half of its chance each.
    fits(np.bincount(places % 4, minlength=4), [0.48658, 0.33442, 0.08950, 0.08950])
    fits(np.bincount(places[places % 4 == 0] // 500, minlength=8), [1] * 8)


def test_adarft_tracked_draws_uniformly_among_equals() -> None:
    # T = 0 is nearest to difficulty 100 * (1 - 7/8) = 12.5, as nothing is solved in full.
    policy = started("adarft", pool_of([7, 0, 7, 4, 7, None, 7, 1]))
    fits(np.bincount(np.concatenate(draws(policy, 1, 2000)), minlength=8), [1, 0, 1, 0, 1, 0, 1, 0])


def test_curriculum_begins_with_any_prompt_of_the_stage() -> None:
    stages = {"only": {"low": 2, "high": 4}}
    first = []
    for seed in range(2000):
        pool = pool_of([None] * 6, {"level": [1, 2, 3, 4, 5, 2.5]}, seed=seed)
        first.append(draws(started("curriculum", pool, column="level", stages=stages), 1, 1)[0][0])
    fits(np.bincount(first, minlength=6), [0, 1, 1, 1, 0, 1])


def test_column_mix() -> None:
    # A share of 0.3 of 8 prompts is 2.4: 2 or 3 prompts, 2.4 on average.
    pool = pool_of([None] * 100, {"level": ["easy", "hard", "hard", "odd"] * 25}, batch_size=8)
    policy = started("column_mix", pool, column="level", shares={"easy": 0.3, "hard": 0.7})
    places = np.array(draws(policy, 8, 300))
    fits(np.bincount(places.reshape(-1) % 4, minlength=4), [0.3, 0.35, 0.35, 0])
    easy = (places % 4 == 0).sum(axis=1)
    assert set(easy) == {2, 3}
    fits([(easy == 2).sum(), (easy == 3).sum()], [0.6, 0.4])


def test_sequential_takes_every_prompt_once_a_round() -> None:
    assert draws(started("sequential", pool_of([None] * 10)), 4, 3) == [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 2, 3]]

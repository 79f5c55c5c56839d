"""The advantage rules against loop-style versions of them, and laws that hold for every batch."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laser_verl.core.advantages.base import Advantages, build_rule, rule_names
from laser_verl.core.advantages.gdpo import decoupled
from laser_verl.core.framework import Shaped
from laser_verl.core.rollouts import Rollouts
from tests.oracles.advantages import RULE_ORACLES, Group, Rated, dot_lengths

# A busy machine is no failure.
few = settings(deadline=None, max_examples=20)

TRIES = [(name, options) for name, oracle in RULE_ORACLES.items() for options in oracle.options]

# Few values, so that lengths and rewards tie.
responses = st.builds(
    Rated,
    length=st.sampled_from([0, 1, 2, 7, 20, 21, 40, 60]),
    solved=st.sampled_from([True, True, False]),
    task_reward=st.sampled_from([1.0, 0.0, -0.5]),
    length_reward=st.sampled_from([0.0, 0.5, 0.37, -0.2]),
)
solved = st.builds(
    Rated, st.integers(0, 60), solved=st.just(True), task_reward=st.just(1.0), length_reward=st.just(0.0)
)
sizes = st.sampled_from([1, 2, 6, 8, 16])
groups = st.one_of(
    sizes.flatmap(lambda size: st.lists(responses, min_size=size, max_size=size)),
    sizes.flatmap(lambda size: st.lists(solved, min_size=size, max_size=size)),
)
batches = st.lists(groups, min_size=1, max_size=4)


def arrays_of(batch: list[Group], order: list[int] | None = None) -> tuple[Rollouts, Shaped]:
    rows = [(number, row) for number, group in enumerate(batch) for row in group]
    rows = rows if order is None else [rows[place] for place in order]
    rollouts = Rollouts.build(
        [number for number, _ in rows], [row.length for _, row in rows], [row.solved for _, row in rows]
    )
    shaped = Shaped(np.array([row.task_reward for _, row in rows]), np.array([row.length_reward for _, row in rows]))
    return rollouts, shaped


def advantages_of(
    name: str, options: dict[str, Any], batch: list[Group], order: list[int] | None = None, norm_by_std: bool = True
) -> Advantages:
    rollouts, shaped = arrays_of(batch, order)
    return build_rule(name, options).advantages(rollouts, shaped, shaped.reward, norm_by_std)


def close(got: Any, expected: list[list[float]]) -> None:
    np.testing.assert_allclose(got, [value for values in expected for value in values], rtol=1e-6, atol=1e-6)


def test_every_rule_has_an_oracle() -> None:
    assert sorted(RULE_ORACLES) == rule_names()


@pytest.mark.parametrize(("name", "options"), TRIES)
@few
@given(batch=batches, norm_by_std=st.booleans())
def test_a_rule_agrees_with_its_oracle(
    name: str, options: dict[str, Any], batch: list[Group], norm_by_std: bool
) -> None:
    expected = RULE_ORACLES[name].rule(batch, norm_by_std=norm_by_std, **options)
    close(advantages_of(name, options, batch, norm_by_std=norm_by_std).values, expected)


def random_group(chance: random.Random) -> Group:
    rate, spread = chance.choice([0.0, 0.3, 0.7, 1.0, 1.0]), chance.choice([1, 5, 60])
    return [
        Rated(
            length=chance.randrange(spread),
            solved=(is_solved := chance.random() < rate),
            task_reward=float(is_solved),
            length_reward=chance.choice([0.0, 0.5, chance.random()]),
        )
        for _ in range(chance.choice([1, 2, 6, 8, 16]))
    ]


def random_batches() -> Iterator[list[Group]]:
    chance = random.Random(7)
    for _ in range(20):
        yield [random_group(chance) for _ in range(50)]


@pytest.mark.parametrize("norm_by_std", [True, False])
@pytest.mark.parametrize(("name", "options"), TRIES)
def test_a_rule_agrees_with_its_oracle_on_a_thousand_groups(
    name: str, options: dict[str, Any], norm_by_std: bool
) -> None:
    for batch in random_batches():
        expected = RULE_ORACLES[name].rule(batch, norm_by_std=norm_by_std, **options)
        close(advantages_of(name, options, batch, norm_by_std=norm_by_std).values, expected)


@pytest.mark.parametrize("norm_by_std", [True, False])
@pytest.mark.parametrize("weights", [(1.0, 0.5), (0.3, 2.0), (1.0, 0.0)])
def test_gdpo_with_weights_agrees_with_its_oracle_on_a_thousand_groups(
    weights: tuple[float, float], norm_by_std: bool
) -> None:
    for batch in random_batches():
        rollouts, shaped = arrays_of(batch)
        got = decoupled(rollouts, (shaped.task_reward, shaped.length_reward), weights, norm_by_std)
        close(got, RULE_ORACLES["gdpo"].rule(batch, norm_by_std=norm_by_std, weights=weights))


@pytest.mark.parametrize("options", RULE_ORACLES["dot"].options)
@few
@given(batch=batches)
def test_dot_keeps_as_many_tokens_as_its_oracle(options: dict[str, Any], batch: list[Group]) -> None:
    expected = [length for group in batch for length in dot_lengths(group, **options)]
    kept = advantages_of("dot", options, batch).kept_tokens
    assert kept is not None
    assert kept.tolist() == expected


@pytest.mark.parametrize(("name", "options"), TRIES)
@few
@given(batch=batches, shuffle=st.randoms(use_true_random=False))
def test_row_order_is_irrelevant(name: str, options: dict[str, Any], batch: list[Group], shuffle: Any) -> None:
    order = list(range(sum(map(len, batch))))
    shuffle.shuffle(order)
    straight, shuffled = advantages_of(name, options, batch), advantages_of(name, options, batch, order)
    np.testing.assert_allclose(shuffled.values, straight.values[order], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "options"), [(n, o) for n, o in TRIES if RULE_ORACLES[n].is_groupwise])
@few
@given(batch=batches)
def test_groups_are_independent(name: str, options: dict[str, Any], batch: list[Group]) -> None:
    alone = np.concatenate([advantages_of(name, options, [group]).values for group in batch])
    np.testing.assert_allclose(advantages_of(name, options, batch).values, alone, rtol=0, atol=1e-6)

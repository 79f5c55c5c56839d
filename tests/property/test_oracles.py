"""Every method against plain loops written from the papers' equations (`tests/oracles`), on random groups."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laser_verl.core import Rollouts, build, method_names
from tests.oracles.rows import Row
from tests.property.random_groups import EDGES, LONGEST, all_oracles, expected, random_groups, rollouts_of, shuffled

# A busy machine is no failure.
settings.register_profile("oracles", deadline=None, max_examples=200)
settings.load_profile("oracles")

ORACLES = all_oracles()
TRIES = [(name, options) for name, oracle in sorted(ORACLES.items()) for options in oracle.options]
NUM_GROUPS = 1200

WITHOUT_AN_ORACLE = {
    "hapo": "looks at steps, not at a group: test_hapo_agrees_with_a_loop_over_steps",
    "laser": "test_laser_laws.py holds the oracle of its family",
    "laser_d": "test_laser_laws.py holds the oracle of its family",
    "laser_de": "test_laser_laws.py holds the oracle of its family",
    "mixed": "shapes by the methods that it is given",
    "none": "pays the scores alone",
}

pytestmark = pytest.mark.filterwarnings("error")


def rewards(name: str, options: Mapping[str, Any], rollouts: Rollouts) -> np.ndarray:
    method = build(name, options)
    with np.errstate(all="raise", under="ignore"):
        method.observe(rollouts)
        return method.shape(rollouts).reward


def close(got: Any, wanted: Any) -> None:
    np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)


def test_every_method_has_an_oracle_or_a_reason() -> None:
    assert ORACLES.keys() | WITHOUT_AN_ORACLE.keys() == set(method_names())
    assert not ORACLES.keys() & WITHOUT_AN_ORACLE.keys()


def test_the_random_groups_hold_what_is_promised() -> None:
    groups = random_groups(NUM_GROUPS, seed=1)
    assert {len(group) for group in groups} == {1, 2, 6, 8, 16}
    several = [group for group in groups if len(group) > 2]
    for is_met in (
        lambda group: not any(row.solved for row in group),
        lambda group: all(row.solved for row in group),
        lambda group: len({row.length for row in group}) == 1,
        lambda group: 1 < len({row.length for row in group}) < len(group),
        lambda group: any(not row.well_formed for row in group),
        lambda group: any(row.truncated and row.solved for row in group),
        lambda group: any(row.length == 0 for row in group),
    ):
        assert sum(map(is_met, several)) >= 50


@pytest.mark.parametrize(("name", "options"), TRIES, ids=[f"{name}-{options}" for name, options in TRIES])
def test_a_method_agrees_with_its_oracle_on_a_thousand_groups(name: str, options: dict[str, Any]) -> None:
    groups = random_groups(NUM_GROUPS, seed=len(name))
    mixed = rewards(name, options, rollouts_of(groups, ORACLES[name].columns, seed=2))
    got = np.empty_like(mixed)
    got[shuffled(len(mixed), seed=2)] = mixed
    close(got, expected(ORACLES[name], groups, options))


lengths = st.one_of(st.integers(0, 3), st.sampled_from(EDGES), st.integers(0, LONGEST))
groups_of_rows = st.lists(
    st.lists(
        st.builds(
            Row,
            length=lengths,
            solved=st.booleans(),
            truncated=st.booleans(),
            columns=st.fixed_dictionaries(
                {
                    "budget": st.just(1500.0),
                    "reference_accuracy": st.sampled_from([0.5, 0.0, 1.0]),
                    "reference_length": st.sampled_from([1500.0, 1.0]),
                    "uses_thinking": st.sampled_from([1.0, 0.0]),
                }
            ),
        ),
        min_size=1,
        max_size=8,
    ),
    min_size=1,
    max_size=4,
)


@given(groups=groups_of_rows, malformed=st.integers(0, 4), chosen=st.sampled_from(TRIES))
def test_the_smallest_groups_on_which_a_method_and_its_oracle_differ(
    groups: list[list[Row]], malformed: int, chosen: tuple[str, dict[str, Any]]
) -> None:
    # every so many-th wrong row is malformed too
    groups = [
        [replace(row, well_formed=row.solved or not malformed or place % malformed != 0) for place, row in enumerate(g)]
        for g in groups
    ]
    name, options = chosen
    got = rewards(name, options, rollouts_of(groups, ORACLES[name].columns))
    close(got, expected(ORACLES[name], groups, options))


def test_hbpo_agrees_with_its_oracle_where_responses_have_no_budget() -> None:
    groups = [[replace(row, columns={}) for row in group] for group in random_groups(NUM_GROUPS, seed=3)]
    for options in ORACLES["hbpo"].options:
        close(rewards("hbpo", options, rollouts_of(groups)), expected(ORACLES["hbpo"], groups, options))


def hapo(steps: Iterable[Mapping[str, Sequence[Row]]], weight: float, kind: str, tolerance: float) -> list[float]:
    """Reward of each row, step by step, group by group (arXiv 2505.11225, section 3)."""
    history: dict[str, int] = {}
    paid = []
    for groups in steps:
        for prompt, group in groups.items():
            for row in group:
                h, term = history.get(prompt, 0), 0.0
                if h and kind == "cosine":
                    term = math.cos(min(math.pi / 2 * row.length / h, math.pi))
                elif h and row.length < h:
                    term = 1 - row.length / h
                elif h and row.length > (1 + tolerance) * h:
                    term = max(-(row.length - (1 + tolerance) * h) / h, -1.0)
                paid.append(1.0 + weight * max(term, -0.7) if row.solved else weight * min(term, 0.0))
        for prompt, group in groups.items():
            for row in group:
                if row.solved:
                    length = max(row.length, 1)
                    history[prompt] = min(length, history.get(prompt, length))
    return paid


@pytest.mark.parametrize("options", [{}, {"weight": 0.3}, {"kind": "linear"}, {"kind": "linear", "tolerance": 0.5}])
def test_hapo_agrees_with_a_loop_over_steps(options: dict[str, Any]) -> None:
    draw = np.random.default_rng(4)
    # prompts come back, in each step some of them
    prompts = [f"p{number}" for number in range(60)]
    steps = [
        dict(zip(draw.permutation(prompts)[:50].tolist(), random_groups(50, seed), strict=True)) for seed in range(20)
    ]
    method, got = build("hapo", options), []
    for groups in steps:
        keys = [prompt for prompt, group in groups.items() for _ in group]
        rows = [row for group in groups.values() for row in group]
        rollouts = Rollouts.build(keys, [row.length for row in rows], [row.solved for row in rows])
        method.observe(rollouts)
        got += method.shape(rollouts).reward.tolist()
    close(got, hapo(steps, **{"weight": 1.0, "kind": "cosine", "tolerance": 0.1, **options}))

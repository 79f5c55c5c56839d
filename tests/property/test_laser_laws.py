"""What holds for LASER, LASER-D and LASER-DE whatever the run; `test_method_laws.py` has the laws of all methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laser_verl.core import Context, Method, build
from tests.oracles.laser import BANDS, band_of, targets_of_run
from tests.oracles.rows import Batch, Group, Row
from tests.property.random_groups import SIZES, all_oracles, rewards, rollouts_of

# A busy machine is no failure.
settings.register_profile("laser", deadline=None, max_examples=60)
settings.load_profile("laser")

ORACLES = all_oracles()
LOWER, UPPER = 5, 40
METHODS: list[tuple[str, dict[str, Any]]] = [
    ("laser_d", {}),
    ("laser_de", {}),
    ("laser_de", {"explore": "well_formed"}),
    ("laser_de", {"explore": "all", "alpha": 0.2}),
]

# Few prompts, so that groups have several rows; lengths on both sides of every target and above the upper bound.
rows = st.builds(
    Row,
    st.integers(0, 4),
    st.integers(0, UPPER + 10),
    st.booleans(),
    st.sampled_from([True, True, False]),
    st.booleans(),
)
batches = st.lists(rows, max_size=24)


def new(name: str, **options: Any) -> Method:
    given: dict[str, Any] = {"target_length": 20} if name == "laser" else {"lower_bound": LOWER, "interval": 5}
    return build(name, {**given, **options}, Context(group_size=6, max_response_length=UPPER))


@pytest.mark.parametrize("name", ["laser", "laser_d", "laser_de"])
@given(batch=batches, alpha=st.floats(0, 10), own=st.none() | st.floats(-100, 100))
def test_results_are_finite_and_in_range(name: str, batch: list[Row], alpha: float, own: float | None) -> None:
    rollouts = rollouts_of(batch, task_score=None if own is None else [own] * len(batch))
    method = new(name, alpha=alpha)
    method.observe(rollouts)
    shaped = method.shape(rollouts)
    assert shaped.reward.shape == shaped.task_reward.shape == shaped.length_reward.shape == (len(batch),)
    assert set(shaped.length_reward) <= {0.0, alpha}
    assert np.isfinite(shaped.reward).all()
    assert set(shaped.task_reward) <= ({1.0, -0.5, -1.0} if own is None else {own})
    assert shaped.target_length is not None
    assert ((shaped.target_length >= LOWER) & (shaped.target_length <= UPPER)).all()


def grouped(batch: list[Row]) -> list[Group]:
    groups: dict[Any, Group] = {}
    for row in batch:
        groups.setdefault(row.prompt, []).append(row)
    return list(groups.values())


@st.composite
def small_runs(draw: Callable[..., Any]) -> list[Batch]:
    """A few batches, some of them empty, at rising steps."""
    step, run = 0, []
    for batch in draw(st.lists(batches, min_size=1, max_size=4)):
        run.append(Batch(grouped(batch), step))
        step += draw(st.integers(1, 3))
    return run


@settings(max_examples=300)
@given(
    run=small_runs(),
    chosen=st.sampled_from(METHODS),
    group_size=st.sampled_from(SIZES),
    interval=st.integers(1, 9),
    rounding=st.sampled_from(["ceil", "floor"]),
    window=st.integers(1, 8),
    update_every=st.integers(1, 4),
)
def test_the_smallest_runs_on_which_a_method_and_its_oracle_differ(
    run: list[Batch], chosen: tuple[str, dict[str, Any]], group_size: int, **options: Any
) -> None:
    name, own = chosen
    options |= {**own, "lower_bound": LOWER, "upper_bound": UPPER}
    got = rewards(name, options, run, group_size=group_size)
    np.testing.assert_allclose(got, ORACLES[name].rule(run, group_size=group_size, **options), rtol=0, atol=1e-12)


# Bands of the groups of a batch, in turn.
BANDS_IN_TURN = (("medium", "hard"), ("easy", "hard"), BANDS, ("easy", "medium"))


def laser_run(group_size: int, seed: int) -> list[Batch]:
    """A thousand groups, most of them whole: batches of longer and shorter responses, some of them without a band."""
    draw = np.random.default_rng(seed)
    run = []
    for step in range(10):
        shortest, spread = int(draw.integers(50)), int(draw.choice([1, 20, 40]))
        groups: list[Group] = []
        while len(groups) < 100:
            size = group_size if draw.random() < 0.7 else int(draw.choice(SIZES))
            group = laser_group(draw, len(groups), shortest + draw.integers(spread, size=size))
            if band_of(group) in BANDS_IN_TURN[step % len(BANDS_IN_TURN)]:
                groups.append(group)
        run.append(Batch(groups, step))
    return run


def laser_group(draw: np.random.Generator, prompt: int, lengths: np.ndarray) -> Group:
    rate = draw.random()
    return [
        Row(
            prompt=prompt,
            length=length,
            correct=bool(draw.random() < rate),
            well_formed=bool(draw.random() < 0.9),
            repetitive=bool(draw.random() < 0.2),
        )
        for length in lengths.tolist()
    ]


BOUNDS = {"lower_bound": 10, "upper_bound": 85, "interval": 7}


@pytest.mark.parametrize(("window", "update_every"), [(1, 3), (200, 1), (5000, 20)])
@pytest.mark.parametrize("rounding", ["ceil", "floor"])
@pytest.mark.parametrize("group_size", SIZES)
def test_the_family_agrees_with_its_oracle_on_a_thousand_groups(
    group_size: int, rounding: str, window: int, update_every: int
) -> None:
    run = laser_run(group_size, seed=group_size)
    options = {**BOUNDS, "rounding": rounding, "window": window, "update_every": update_every}
    for name, own in METHODS:
        got = rewards(name, {**options, **own}, run, group_size=group_size)
        wanted = ORACLES[name].rule(run, group_size=group_size, **options, **own)
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-12, err_msg=f"{name} {own}")


@pytest.mark.parametrize("group_size", SIZES)
def test_the_thousand_groups_move_the_targets_of_all_bands(group_size: int) -> None:
    run = laser_run(group_size, seed=group_size)
    targets = list(targets_of_run(run, **BOUNDS, window=1, update_every=1, group_size=group_size))
    for band in BANDS:
        assert len({found[band] for found in targets}) >= 3, band
        assert any(all(band_of(group) != band for group in batch.groups) for batch in run), band

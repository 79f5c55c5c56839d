"""Laws that hold for every sampling policy, whatever training observes and whatever is under way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from laser_verl.core.policies.adarft import AdaRft
from laser_verl.core.policies.base import Policy, Pool, build_policy, policy_names
from laser_verl.core.policies.bins import PassRateBins
from laser_verl.core.policies.weighted import BinnedPolicy
from laser_verl.core.state import load_state, save_state
from laser_verl.core.tracker import DifficultyTracker
from tests.unit.policies.pools import observe, tracker_of

settings.register_profile(
    "policies", deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

SIZE, BATCH, GROUP = 40, 6, 4
STAGES = {"easy": {"high": 2, "steps": 2}, "middle": {"low": 2, "high": 4, "steps": 1}, "hard": {"low": 3}}
COLUMNS: dict[str, np.ndarray] = {
    "level": np.arange(SIZE) % 5 + 1.0,
    "data_source": np.array(["math", "chat", "math"] * 14)[:SIZE],
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in policy_names() if name not in ("curriculum", "column_mix")},
    "max_entropy, mgpo": ("max_entropy", {"weight": "mgpo"}),
    "dots, warm": ("dots", {"tau": 0.2}),
    "skip_solved, after 2": ("skip_solved", {"after": 2}),
    "adarft, labels": ("adarft", {"column": "level", "high": 6, "eta": 3}),
    "sec, cold": ("sec", {"column": "level", "temperature": 0.05}),
    "curriculum, steps": ("curriculum", {"column": "level", "stages": STAGES}),
    "curriculum, accuracy": (
        "curriculum",
        {"column": "level", "stages": {"easy": {"high": 3}, "hard": {"low": 3}}, "advance_at": 0.5},
    ),
    "column_mix": ("column_mix", {"column": "level", "shares": {1: 0.2, 3: 0.5, 5: 0.3}}),
}
every_case = pytest.mark.parametrize("label", CASES)

# One number of solved responses per prompt of a batch, and which prompts are under way, as a seed.
Batches = list[tuple[list[int], int]]
batches: st.SearchStrategy[Batches] = st.lists(
    st.tuples(st.lists(st.integers(0, GROUP), min_size=BATCH, max_size=BATCH), st.integers(0, 99)),
    min_size=1,
    max_size=16,
)


@pytest.fixture(autouse=True)
def _what_numpy_would_warn_of_is_an_error() -> Iterator[None]:
    with np.errstate(all="raise", under="ignore"):  # underflow is none of it
        yield


@dataclass
class Run:
    """A policy that draws, and learns from what it has drawn."""

    label: str
    seed: int = 0
    tracker: DifficultyTracker = field(default_factory=lambda: tracker_of(SIZE))
    step: int = 0

    def __post_init__(self) -> None:
        name, options = CASES[self.label]
        self.pool = Pool(self.tracker, SIZE, COLUMNS, BATCH, self.seed)
        self.policy: Policy = build_policy(name, options)
        self.policy.start(self.pool)

    def draw(self, excluded: np.ndarray, count: int = BATCH) -> np.ndarray:
        self.step += 1
        return self.policy.draw(count, np.random.default_rng((self.seed, self.step)), excluded)

    def learn(self, places: np.ndarray, solved: list[int]) -> None:
        self.policy.observe(observe(self.tracker, np.sort(places).tolist(), solved, GROUP, self.step))

    def go_through(self, given: Batches) -> list[list[int]]:
        drawn = []
        for solved, under_way in given:
            places = self.draw(excluded_of(under_way))
            self.learn(places, solved)
            drawn.append(places.tolist())
        return drawn


def excluded_of(under_way: int) -> np.ndarray:
    """Up to all places but a batch, in any order, some twice, and some that are not of the pool."""
    rng = np.random.default_rng(under_way)
    places = rng.choice(SIZE, int(rng.integers(0, SIZE - BATCH + 1)), replace=False)
    return np.concatenate([places, places[:3], [-1, SIZE + 5]])


def test_the_cases_cover_all_policies() -> None:
    assert {name for name, _ in CASES.values()} == set(policy_names())


@every_case
@settings(settings.get_profile("policies"))
@given(given=batches, count=st.integers(0, BATCH))
def test_draws_are_distinct_never_short_and_never_excluded(label: str, given: Batches, count: int) -> None:
    run = Run(label)
    for solved, under_way in given:
        excluded = excluded_of(under_way)
        some, places = run.draw(excluded, count), run.draw(excluded)
        for wanted, drawn in ((count, some), (BATCH, places)):
            assert (drawn.dtype, drawn.shape) == (np.int64, (wanted,))
            assert len(set(drawn.tolist())) == wanted
            assert ((drawn >= 0) & (drawn < SIZE)).all()
            assert not run.policy.is_adaptive or not np.isin(drawn, excluded).any()
        run.learn(places, solved)


@every_case
@settings(settings.get_profile("policies"))
@given(given=batches, seed=st.integers(0, 9))
def test_one_seed_gives_one_sequence(label: str, given: Batches, seed: int) -> None:
    assert Run(label, seed).go_through(given) == Run(label, seed).go_through(given)


@every_case
@settings(settings.get_profile("policies"))
@given(given=batches, later=batches)
def test_a_saved_run_goes_on_as_if_it_had_not_stopped(
    label: str, given: Batches, later: Batches, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run = Run(label)
    run.go_through(given)
    file = tmp_path_factory.mktemp("state") / "laser_state"
    saved = {"tracker": run.tracker.state_dict(), "learned": run.policy.state_dict(), "at": run.policy.position()}
    save_state(file, saved)
    saved = load_state(file)
    # The tracker may be restored before or after the policy starts.
    tracker = DifficultyTracker()
    tracker.load_state_dict(saved["tracker"])
    early, late = Run(label, tracker=tracker, step=run.step), Run(label, step=run.step)
    late.tracker.load_state_dict(saved["tracker"])
    for other in (early, late):
        other.policy.load_state_dict(saved["learned"])
        other.policy.go_to(saved.get("at", {}))
    expected = run.go_through(later + given)[:10]
    assert early.go_through(later + given)[:10] == expected
    assert late.go_through(later + given)[:10] == expected
    assert early.policy.metrics() == late.policy.metrics() == run.policy.metrics()


@every_case
@settings(settings.get_profile("policies"))
@given(given=batches)
def test_drawing_changes_the_position_alone_and_observing_the_state_alone(label: str, given: Batches) -> None:
    run = Run(label)
    for solved, under_way in given:
        state = run.policy.state_dict()
        places = run.draw(excluded_of(under_way))
        np.testing.assert_equal(run.policy.state_dict(), state)
        position = run.policy.position()
        run.learn(places, solved)
        assert run.policy.position() == position


@every_case
@settings(settings.get_profile("policies"))
@given(given=batches)
def test_what_is_logged_is_finite(label: str, given: Batches) -> None:
    run = Run(label)
    run.go_through(given)
    metrics = run.policy.metrics()
    assert all(name.startswith("laser/sampler/") for name in metrics)
    assert np.isfinite(list(metrics.values())).all()


@pytest.mark.parametrize("label", ["band_mix", "max_entropy", "prioritised", "dots", "adarft"])
@settings(settings.get_profile("policies"))
@given(given=batches)
def test_moved_bins_are_as_counted_anew(label: str, given: Batches) -> None:
    run = Run(label)
    run.go_through(given)
    assert isinstance(run.policy, BinnedPolicy | AdaRft)
    anew = PassRateBins.of(run.tracker, SIZE)
    assert run.policy._bins.bins.tolist() == anew.bins.tolist()
    assert run.policy._bins.totals.tolist() == anew.totals.tolist()


@every_case
@settings(settings.get_profile("policies"))
@given(given=batches)
def test_starting_once_more_begins_anew(label: str, given: Batches) -> None:
    run, other = Run(label), Run(label)
    run.go_through(given)
    fresh = Pool(tracker_of(SIZE), SIZE, COLUMNS, BATCH)
    run.policy.start(fresh)
    run.tracker, run.step = fresh.tracker, 0
    assert run.go_through(given) == other.go_through(given)

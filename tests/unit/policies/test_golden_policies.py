"""The published numbers of sampling policies, replayed case by case."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from laser_verl.core.policies.adarft import AdaRft
from laser_verl.core.policies.greso import Greso
from laser_verl.core.policies.mopps import Mopps
from laser_verl.core.policies.sec import Sec
from laser_verl.core.policies.weighted import Dots, Prioritised
from tests.unit.policies.pools import NONE, observe, pool_of, started, tracker_of

Case = dict[str, Any]

CASES: dict[str, Case] = {
    case["id"]: case
    for case in json.loads((Path(__file__).parents[1] / "golden" / "policies.json").read_text())["cases"]
}

NOT_REPLAYED = {
    "mopps/update-n1": "only a bug of the authors' code: with one rollout per prompt any posterior is Beta(8, 8)",
    "speed-rl/keep": "screening submits a prompt twice within a step; verl would number its rollouts alike",
    "dapo-dynamic/keep": "verl's own: algorithm.filter_groups drops groups after they were rolled out",
}

REPLAYS: dict[str, Callable[[Case], None]] = {}


def replays(*names: str) -> Callable[[Callable[[Case], None]], Callable[[Case], None]]:
    def add(replay: Callable[[Case], None]) -> Callable[[Case], None]:
        assert not REPLAYS.keys() & set(names)
        REPLAYS.update(dict.fromkeys(names, replay))
        return replay

    return add


@pytest.mark.parametrize("name", sorted(set(CASES) - set(NOT_REPLAYED)))
def test_case_gives_the_published_numbers(name: str) -> None:
    assert name in REPLAYS, f"golden case {name} is neither replayed nor listed in NOT_REPLAYED with its reason"
    REPLAYS[name](CASES[name])


def test_every_case_is_replayed_or_listed_with_a_reason() -> None:
    assert set(REPLAYS) | set(NOT_REPLAYED) == set(CASES)
    assert not set(REPLAYS) & set(NOT_REPLAYED)
    assert all(NOT_REPLAYED.values())


def close(case: Case, got: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(got, dtype=float), expected, rtol=0, atol=case["tolerance"])


@replays("adarft/trace")
def adarft(case: Case) -> None:
    params, inputs = case["params"], case["inputs"]
    options = {"initial": params["T0"], "low": params["d_min"], "high": params["d_max"]}
    options |= {name: params[name] for name in ("eta", "alpha", "beta")}
    pool = pool_of([None] * len(inputs["difficulties"]), {"difficulty": inputs["difficulties"]})
    policy = started("adarft", pool, column="difficulty", **options)
    assert isinstance(policy, AdaRft)
    for step in case["expected"]["steps"]:
        close(case, policy.metrics()["laser/sampler/target_difficulty"], step["T"])
        assert policy.draw(params["B"], np.random.default_rng(0), NONE).tolist() == step["selected"]
        policy.follow(step["mean_reward"])
        close(case, policy.metrics()["laser/sampler/target_difficulty"], step["T_next"])


@replays("sec/bandit")
def sec(case: Case) -> None:
    params = case["params"]
    pool = pool_of([None] * 3, {"data_source": ["a", "b", "c"]})
    policy = started("sec", pool, lr=params["lr"], temperature=params["temperature"])
    assert isinstance(policy, Sec)
    for step in case["expected"]["steps"]:
        policy.learn(np.array(step["observed"]))
        close(case, policy.state_dict()["values"], step["Q"])
        close(case, policy.chances(), step["probs"])


@replays("greso/skip-prob")
def greso(case: Case) -> None:
    tracker_pool = pool_of([None] * 4)
    policy = started("greso", tracker_pool, initial=case["params"]["p"])
    assert isinstance(policy, Greso)
    for place, (name, trace) in enumerate(case["inputs"].items()):
        for step, reward in trace:
            observe(tracker_pool.tracker, [place], [round(8 * reward)], step=step)
        tracker = tracker_pool.tracker
        streaks = (values[[place]].astype(np.int64) for values in (tracker.solved_streak, tracker.failed_streak))
        close(case, policy.skip_chance(*streaks), [case["expected"][name]])


@replays("mopps/update-n8")
def mopps(case: Case) -> None:
    n, rates = case["params"]["n"], case["inputs"]["success_rate"]
    pool = pool_of([round(n * rate) for rate in rates], group=n)
    policy = started("mopps", pool)
    assert isinstance(policy, Mopps)
    alpha, beta = policy.posterior(np.arange(len(rates)))
    close(case, alpha, case["expected"]["alpha"])
    close(case, beta, case["expected"]["beta"])


@replays("mopps/update-decay")
def mopps_forgets(case: Case) -> None:
    # The prior Beta(1, 1), and 8 responses of which 5 are solved, make the Beta(6, 4) that the case begins with.
    # 0.5 * 6 + 0.5 * 1 + 2 = 5.5, as 1 + 0.5 * 5 + 2 = 5.5; 0.5 * 4 + 0.5 * 1 + 6 = 8.5, as 1 + 0.5 * 3 + 6 = 8.5.
    n, inputs = case["params"]["n"], case["inputs"]
    tracker = tracker_of(1, decay=case["params"]["decay"])
    pool = pool_of([None])
    policy = started("mopps", type(pool)(tracker, 1))
    assert isinstance(policy, Mopps)
    observe(tracker, [0], [5], n)
    assert [float(part[0]) for part in policy.posterior(np.array([0]))] == [inputs["alpha"], inputs["beta"]]
    observe(tracker, [0], [round(n * inputs["success_rate"])], n, step=1)
    alpha, beta = policy.posterior(np.array([0]))
    close(case, [*alpha, *beta], [case["expected"]["alpha"], case["expected"]["beta"]])


def chances(log_weight: np.ndarray) -> np.ndarray:
    return np.exp(log_weight) / np.exp(log_weight).sum()


@replays("dots/probabilities")
def dots(case: Case) -> None:
    rates = np.array(case["inputs"]["predicted_difficulty"])
    close(case, chances(Dots(tau=case["params"]["tau"]).log_weight(rates)), case["expected"]["probs"])


@replays("kimi-sampling/prioritized")
def kimi(case: Case) -> None:
    rates = np.array(case["inputs"]["success_rate"])
    close(case, chances(Prioritised().log_weight(rates)), case["expected"]["probs"])

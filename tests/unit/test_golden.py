"""The published numbers for LASER, LASER-D and LASER-DE, replayed case by case.

`golden/laser.json` holds numbers that the authors' released code printed. Where we depart from that code on purpose,
the case asserts both sides: what agrees, and what ours gives instead.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from laser_verl.core import Context, Rollouts, Scores, TargetLengths, build, choose_target, least_solved, summarise
from laser_verl.core.coverage import target_grid

CASES: dict[str, dict[str, Any]] = {
    case["id"]: case for case in json.loads((Path(__file__).parent / "golden" / "laser.json").read_text())["cases"]
}

NOT_REPLAYED = {
    "laser/bug-stale-index": "only a bug of the released code: every row's reward lands at the last row's last token",
    "laser/code-only-penalty": "only in the released code: its length_reward_type=penalty is in no paper",
    "laser/code-only-hybrid": "only in the released code: its length_reward_type=hybrid is in no paper",
    "laser/base-score": "text to verdict: the tests of the scorer replay it",
    "laser-de/repetition-detector": "token ids to a flag: the tests of the released detector replay it",
}

Case = dict[str, Any]
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


def rollouts_of(inputs: Case) -> Rollouts:
    size = len(inputs["lengths"])
    return Rollouts.build(
        inputs.get("prompt", [0] * size), inputs["lengths"], inputs["correct"], well_formed=inputs.get("format_ok")
    )


def standardised(reward: np.ndarray) -> np.ndarray:
    """GRPO's advantage of one group, with the sample standard deviation."""
    return (reward - reward.mean()) / (reward.std(ddof=1) + 1e-6)


def close(case: Case, got: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(got, dtype=float), expected, rtol=0, atol=case["tolerance"])


@replays("laser/mixed/T4000", "laser/easy/T2048", "laser/all_wrong/T4096", "laser/format-failures")
def laser(case: Case) -> None:
    params = case["params"]
    method = build("laser", {"target_length": params["L_T"], "alpha": params["alpha"]})
    assert params.get("r_correct", 1) == Scores().correct
    assert params.get("r_wrong", -0.5) == Scores().wrong
    assert params.get("r_format", -1) == Scores().malformed
    close(case, method.shape(rollouts_of(case["inputs"])).reward, case["expected"]["rewards"])


@replays(
    "laser-d/three-buckets",
    "laser-de/three-buckets",
    "laser-de/format-failure-not-explored",
    "laser-d/edge-acc-2of6",
    "laser-d/edge-acc-4of6",
)
def fixed_targets(case: Case) -> None:
    name = case["id"].split("/")[0].replace("-", "_")
    method = build(name, {"target_lengths": case["params"]["budgets"], "alpha": case["params"]["alpha"]})
    shaped = method.shape(rollouts_of(case["inputs"]))
    expected = case["expected"]
    close(case, shaped.reward, expected["rewards"])
    assert shaped.target_length is not None
    if "budget_per_response" in expected:
        close(case, shaped.target_length, expected["budget_per_response"])
    if "budget" in expected:
        close(case, shaped.target_length, [expected["budget"]] * 6)


@replays("laser-d/no-monitor")
def before_any_observation(case: Case) -> None:
    # The release then has one target for all bands; ours is the upper bound.
    method = build("laser_d", {"upper_bound": case["params"]["target_length"]}, Context(group_size=8))
    close(case, method.shape(rollouts_of(case["inputs"])).reward, case["expected"]["rewards"])


@replays("laser-d/monitor-choose-ceil", "laser-d/monitor-choose-floor")
def adaptive_targets(case: Case) -> None:
    params, expected, rollouts = case["params"], case["expected"], rollouts_of(case["inputs"])
    bounds = (params["lower_bound"], params["upper_bound"], params["interval"])
    found = summarise(rollouts, *bounds, rounding=params["round_method"], group_size=params["K"])
    assert found["target_length"] == expected["budgets"]
    assert [int(length) for length in found["coverage"]["easy"]] == expected["thresholds"]
    for band, share in expected["coverage"].items():
        close(case, list(found["coverage"][band].values()), share)
    close(case, [count / rollouts.num_groups for count in found["num_prompts"].values()], [1 / 3] * 3)
    assert least_solved(params["K"], params["round_method"]) == tuple(expected["C_d"].values())
    recent = TargetLengths(*bounds, rounding=params["round_method"], group_size=params["K"])
    recent.observe(rollouts)
    assert recent.targets == expected["budgets"]


def monitored(case: Case, **changed: Any) -> dict[str, int]:
    params = {**case["params"], **changed}
    bounds = (params["lower_bound"], params["upper_bound"], params["interval"])
    return summarise(rollouts_of(case["inputs"]), *bounds, rounding=params["round_method"])["target_length"]


@replays("laser-d/monitor-hard-full-coverage-16384")
def full_coverage_of_the_hard_band(case: Case) -> None:
    assert monitored(case) == case["expected"]["budgets"]


@replays("laser-d/monitor-hard-full-coverage-9000")
def full_coverage_departs_in_the_fallback(case: Case) -> None:
    # The release starts from the longest response of the training batch, 9000 here, and so never comes to the candidate
    # 9216 that covers the hard band, nor to the upper bound for the empty bands.
    assert case["expected"]["budgets"] == {"easy": 9000, "medium": 9000, "hard": 9000}
    assert monitored(case) == {"easy": 16384, "medium": 16384, "hard": 9216}


@replays("laser-d/monitor-empty-buckets")
def empty_bands_get_the_upper_bound(case: Case) -> None:
    budgets = case["expected"]["budgets"]
    # 3 of 8 lengths fit 2048: 3 * C_d = 3 * 6 >= 8. The release gives empty bands its batch's longest response, 9000.
    assert budgets == {"easy": 2048, "medium": 9000, "hard": 9000}
    assert monitored(case) == {"easy": budgets["easy"], "medium": 16384, "hard": 16384}


@replays("laser-d/monitor-band-edges")
def one_band_rule_on_both_sides(case: Case) -> None:
    # The release's monitor closes bands from above: 2 of 6 hard, 4 of 6 medium. Its rewards, and all of ours, close
    # them from below: 2 of 6 medium, 4 of 6 easy.
    assert case["expected"]["proportion"] == {"easy": 0.0, "medium": 0.5, "hard": 0.5}
    found = summarise(rollouts_of(case["inputs"]), 1000, 2000, 500)
    assert found["num_prompts"] == {"easy": 1, "medium": 1, "hard": 0}


@replays("laser-d/grids")
def grids(case: Case) -> None:
    arguments, released = case["inputs"]["args"], case["expected"]["grids"]
    ours = [target_grid(*bounds).tolist() for bounds in arguments]
    assert ours[:3] == released[:3]
    # Lower bound 512: the release prepends it to a grid from 1024; ours steps from it and ends at the upper bound.
    assert ours[3] == [*range(512, 16384, 1024), 16384]
    # 3000 + 14 * 1024 = 17336: the release passes the upper bound; ours ends at it.
    assert released[4][-1] == 17336
    assert ours[4] == [*released[4][:-1], 16384]
    assert ours[5] == [1000, 2024, 3048, 4072, 4096]


@replays("laser-d/coverage-needed")
def coverage_needed(case: Case) -> None:
    total = round(1 / case["inputs"]["scan_step"])
    grid = np.array([1, 2], dtype=np.int64)

    def is_chosen(num_short: int, needed: int) -> bool:
        return choose_target([1] * num_short + [2] * (total - num_short), needed, grid) == 1

    for size, by_rounding in case["expected"].items():
        for rounding, by_band in by_rounding.items():
            for needed, share in zip(least_solved(int(size), rounding), by_band.values(), strict=True):
                least = bisect.bisect_left(range(total + 1), True, key=lambda short, c=needed: is_chosen(short, c))
                if share is None:
                    assert least == total + 1
                else:
                    assert least / total == pytest.approx(share, abs=case["tolerance"])


@replays("laser-de/repeated-response-still-rewarded")
def looping_responses(case: Case) -> None:
    inputs, target = case["inputs"], case["params"]["target_length"]
    rollouts = Rollouts.build([0] * 8, inputs["lengths"], inputs["correct"], repetitive=[1] * 8)
    options = {"target_lengths": dict.fromkeys(("easy", "medium", "hard"), target), "alpha": case["params"]["alpha"]}
    close(case, build("laser_de", options).shape(rollouts).reward, case["expected"]["rewards_intended"])
    released = build("laser_de", {**options, "preset": "released_code"})
    close(case, released.shape(rollouts).reward, case["expected"]["rewards_official"])


@replays("grpo-adv/laser-mixed")
def advantage_of_laser(case: Case) -> None:
    mixed = CASES["laser/mixed/T4000"]
    reward = build("laser", {"target_length": 4000}).shape(rollouts_of(mixed["inputs"])).reward
    close(case, reward, case["inputs"]["rewards"])
    close(case, standardised(reward), case["expected"]["advantages"])


@replays("grpo-adv/laser-de")
def advantage_of_laser_de(case: Case) -> None:
    # 4 of 8 solved: medium, target 100. Two short and two long right ones, one short and two long wrong ones, one
    # malformed.
    rollouts = Rollouts.build(
        [0] * 8, [50, 100, 101, 200, 100, 101, 200, 200], [1, 1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1, 0]
    )
    method = build("laser_de", {"target_lengths": {"easy": 1, "medium": 100, "hard": 1000}})
    reward = method.shape(rollouts).reward
    close(case, reward, case["inputs"]["rewards"])
    close(case, standardised(reward), case["expected"]["advantages"])

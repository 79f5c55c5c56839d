"""Methods that compare a response with its siblings: reference numbers, edges, and bad options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from laser_verl.core import Rollouts, build
from laser_verl.core.advantages.base import group_normalised
from tests.unit.baselines.replays import Case, Replays, close, named, rewards_of, rollouts_of

GOLDEN = Replays(
    left_out={
        "lc-r1/compress": "needs the lengths an extractor model keeps, and goes to the advantage of one token: left out"
    }
)

METHODS = ("efficient", "shorter_better", "alp", "grpo_lead", "lc_r1", "long2short", "gr3")


@GOLDEN.of(
    "arora-zanette/mixed/a0.4",
    "arora-zanette/mixed/a0.1",
    "arora-zanette/easy/a0.2",
    "arora-zanette/hard/a0.4",
    "arora-zanette/all_wrong/a0.4",
    "arora-zanette/equal_len/a0.4",
    "arora-zanette/no-eos",
)
def efficient(case: Case) -> None:
    columns = {name: case["inputs"][name] for name in ("has_eos",) if name in case["inputs"]}
    rollouts = rollouts_of(case["inputs"], columns=columns)
    close(case, rewards_of("efficient", {"alpha": case["params"]["alpha"]}, rollouts), case["expected"]["rewards"])


@GOLDEN.of("shorterbetter/mixed", "shorterbetter/hard", "shorterbetter/all_wrong")
def shorter_better(case: Case) -> None:
    shaped = build("shorter_better", case["params"]).shape(rollouts_of(case["inputs"]))
    close(case, shaped.reward, case["expected"]["rewards"])
    close(case, shaped.target_length, case["expected"]["SOL"])


@GOLDEN.of("alp/mixed", "alp/all_wrong", "alp/all_correct")
def alp(case: Case) -> None:
    shaped = build("alp", {"beta": case["params"]["beta"]}).shape(rollouts_of(case["inputs"]))
    close(case, shaped.reward, case["expected"]["rewards"])
    close(case, -shaped.length_reward, case["expected"]["penalty"])


@GOLDEN.of("grpo-lead/long", "grpo-lead/short", "grpo-lead/long-single", "grpo-lead/paper-no-gate")
def grpo_lead(case: Case) -> None:
    options = {"alpha": case["params"]["alpha"], "gate_length": 4000 if "gate" in case["params"] else None}
    close(case, rewards_of("grpo_lead", options, rollouts_of(case["inputs"])), case["expected"]["rewards"])


@GOLDEN.of("lc-r1/mixed", "lc-r1/all_wrong")
def lc_r1(case: Case) -> None:
    options = {"weight": case["params"]["len_coef"], "variant": "released_code"}
    rollouts = rollouts_of(case["inputs"])
    shaped = build("lc_r1", options).shape(rollouts)
    close(case, shaped.reward, case["expected"]["rewards"])
    close(case, shaped.length_reward, case["expected"]["length_reward"])
    close(case, group_normalised(rollouts, shaped.reward, norm_by_std=False), case["expected"]["advantages"])


@GOLDEN.of("vibethinker-long2short/mixed", "vibethinker-long2short/equal_len", "vibethinker-long2short/hard")
def long2short(case: Case) -> None:
    options = {"weight": case["params"]["lam"]}
    close(case, rewards_of("long2short", options, rollouts_of(case["inputs"])), case["expected"]["rewards"])


@GOLDEN.of("gr3/mixed", "gr3/easy")
def gr3(case: Case) -> None:
    close(case, rewards_of("gr3", case["params"], rollouts_of(case["inputs"])), case["expected"]["rewards"])


@pytest.mark.parametrize("name", named(GOLDEN.replays))
def test_reference_numbers(name: str) -> None:
    GOLDEN.run(name)


# sigmoid(-1) = 0.26894142, sigmoid(1) = 0.73105858; exp(0.05 / sqrt(2)) = 1.03598777, its inverse 0.96526236;
# 1 / 1.33 = 0.7518797, 1 / (1 + 0.33 * 100/200) = 0.8583691, 1 / (1 + 0.33 * 300/200) = 0.66889632
EDGES: dict[str, tuple[dict[str, Any], dict[str, list[float]]]] = {
    "one response": (
        {"response_length": [100], "correct": [1]},
        {
            "efficient": [0.95],  # 1 - 0.1 / 2
            "shorter_better": [2.0],
            "alp": [0.99999],  # 1 - 1e-7 * 100
            "grpo_lead": [1.0],
            "lc_r1": [2.000001],  # 1 - 100 / 100.0001 = 1e-6
            "long2short": [1.0],
            "gr3": [0.7518797],
        },
    ),
    "nobody right": (
        {"response_length": [100, 300], "correct": [0, 0]},
        {
            "efficient": [0.0, 0.0],
            "shorter_better": [-0.1, -0.1],  # 100 tokens to either side of the mean
            "alp": [-5e-6, -1.5e-5],  # rate 1 / 2
            "grpo_lead": [-1.0, -1.0],
            "lc_r1": [1.0, 1.0],
            "long2short": [0.0, 0.0],
            "gr3": [0.0, 0.0],
        },
    ),
    "everybody right": (
        {"response_length": [100, 300], "correct": [1, 1]},
        {
            "efficient": [0.97310586, 0.92689414],  # mean 200, std 100
            "shorter_better": [2.0, 1.8],
            "alp": [0.99999, 0.99997],
            "grpo_lead": [1.03598777, 0.96526236],  # std 141.4
            "lc_r1": [2.66666678, 2.00000033],  # 1 - 100 / 300.0001
            "long2short": [1.2, 0.8],
            "gr3": [0.8583691, 0.66889632],
        },
    ),
    "equal lengths": (
        {"response_length": [200, 200, 200], "correct": [1, 1, 0]},
        {
            "efficient": [0.95, 0.95, 0.0],
            "shorter_better": [2.0, 2.0, 0.0],
            "alp": [1 - 4e-5 / 3, 1 - 4e-5 / 3, -4e-5 / 3],
            "grpo_lead": [1.0, 1.0, -1.0],
            "lc_r1": [2.0000005, 2.0000005, 1.0],
            "long2short": [1.0, 1.0, 0.0],
            "gr3": [0.7518797, 0.7518797, 0.0],
        },
    ),
    "empty responses": (
        {"response_length": [0, 0, 0], "correct": [1, 1, 0]},
        {
            "efficient": [0.95, 0.95, 0.0],
            "shorter_better": [2.0, 2.0, 0.0],
            "alp": [1.0, 1.0, 0.0],
            "grpo_lead": [1.0, 1.0, -1.0],
            "lc_r1": [2.0, 2.0, 1.0],
            "long2short": [1.0, 1.0, 0.0],
            "gr3": [1.0, 1.0, 0.0],
        },
    ),
    "right but malformed": (
        {"response_length": [100, 200, 300], "correct": [1, 1, 1], "well_formed": [0, 1, 1]},
        {
            "efficient": [0.0, 0.97310586, 0.92689414],  # mean 250, std 50
            "shorter_better": [-0.1, 2.0, 1.9],  # target 200
            "alp": [-2e-5 / 3, 1 - 4e-5 / 3, 0.99998],  # rate 2 / 3
            "grpo_lead": [-1.0, 1.03598777, 0.96526236],
            "lc_r1": [0.0, 2.33333356, 2.00000033],
            "long2short": [0.0, 1.2, 0.8],
            "gr3": [0.0, 0.7518797, 0.66889632],  # the mean of all three is 200
        },
    ),
    "right but cut": (
        {"response_length": [100, 200, 300], "correct": [1, 1, 1], "truncated": [0, 0, 1]},
        {
            "efficient": [0.97310586, 0.92689414, 0.0],  # mean 150, std 50, without the one that was cut
            "shorter_better": [2.0, 1.9, 1.8],
            "alp": [0.99999, 0.99998, 0.99997],
            "grpo_lead": [1.05127110, 1.0, 0.95122942],  # exp(0.05), as std is 100
            "lc_r1": [2.66666678, 2.33333356, 2.00000033],
            # 1 / L stands as 6 to 3 to 2, mean 11/3, furthest 7/3
            "long2short": [1.2, 1 - 0.2 * 2 / 7, 1 - 0.2 * 5 / 7],
            "gr3": [0.8583691, 0.7518797, 0.66889632],
        },
    ),
}


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("name", METHODS)
def test_edges(name: str, edge: str) -> None:
    given, expected = EDGES[edge]
    rollouts = Rollouts.build([0] * len(given["correct"]), **given)
    with np.errstate(all="raise"):
        rewards = rewards_of(name, {}, rollouts)
    np.testing.assert_allclose(rewards, expected[name], rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", METHODS)
def test_a_far_off_sibling_overflows_nothing(name: str) -> None:
    # right ones of equal length have no spread, beside which the wrong ones are millions of deviations away
    rollouts = Rollouts.build([0] * 4, [500, 500, 0, 10**6], [1, 1, 0, 0])
    with np.errstate(all="raise"):
        assert np.isfinite(rewards_of(name, {}, rollouts)).all()


@pytest.mark.parametrize("name", METHODS)
def test_no_responses_at_all(name: str) -> None:
    assert rewards_of(name, {}, Rollouts.build([], [], [])).tolist() == []


def test_the_column_has_eos_goes_before_truncated() -> None:
    rollouts = Rollouts.build([0, 0], [100, 200], [1, 1], truncated=[1, 0], columns={"has_eos": [1, 0]})
    assert rewards_of("efficient", {"alpha": 0.4}, rollouts).tolist() == [0.8, 0.0]


def test_a_cut_answer_is_worth_as_much_as_a_wrong_one_whatever_the_scores() -> None:
    rollouts = Rollouts.build([0] * 3, [10, 20, 30], [1, 0, 1], truncated=[1, 1, 1], task_score=[0.7, np.nan, np.nan])
    assert rewards_of("efficient", {"scores": {"wrong": -0.5}}, rollouts).tolist() == pytest.approx([-0.5, -0.5, -0.5])


def test_shorter_better_multiplies_the_task_reward_and_names_its_target() -> None:
    rollouts = Rollouts.build([0, 0, 1, 1], [10, 20, 30, 50], [0, 1, 0, 0])
    shaped = build("shorter_better", {"scores": {"wrong": -0.5}}).shape(rollouts)
    assert shaped.task_reward.tolist() == [-1.0, 2.0, -1.0, -1.0]
    assert shaped.target_length is not None
    assert shaped.target_length.tolist() == [20.0, 20.0, 40.0, 40.0]


@pytest.mark.parametrize(
    ("lengths", "correct", "is_shaped"),
    [
        ([3000, 4000, 5000, 9000], [1, 1, 1, 1], False),  # the three shortest average 4000 exactly
        ([3001, 4000, 5000, 9000], [1, 1, 1, 1], True),
        ([3000, 4000, 5000, 9000], [0, 0, 1, 1], False),  # wrong ones are among the three
        ([3001, 4000, 5000, 9000], [0, 0, 1, 1], True),
        ([3000, 5000], [1, 1], False),  # fewer than three: those there are
        ([3000, 5002], [1, 1], True),
    ],
)
def test_the_gate_of_grpo_lead_looks_at_the_three_shortest(
    lengths: list[int], correct: list[int], is_shaped: bool
) -> None:
    rollouts = Rollouts.build([0] * len(lengths), lengths, correct)
    shaped = build("grpo_lead", {"gate_length": 4000}).shape(rollouts)
    assert shaped.length_reward.any() == is_shaped


def test_a_malformed_answer_sets_no_mark_for_lc_r1() -> None:
    rollouts = Rollouts.build([0] * 3, [100, 400, 800], [1, 1, 1], well_formed=[1, 1, 0])
    # 2 + 1 - 100/400, 2, and 0; in the authors' code 0 + 1 - 800/400
    assert rewards_of("lc_r1", {}, rollouts).tolist() == pytest.approx([2.75, 2.0, 0.0], abs=1e-6)
    released = rewards_of("lc_r1", {"variant": "released_code"}, rollouts)
    assert released.tolist() == pytest.approx([2.75, 2.0, -1.0], abs=1e-6)


@pytest.mark.parametrize("name", ["grpo_lead", "gr3"])
def test_a_factor_leaves_own_scores_below_zero_alone(name: str) -> None:
    rollouts = Rollouts.build([0, 0], [100, 300], [1, 1], task_score=[-1.0, 2.0])
    # twice the factor of the longer one of 100 and 300
    expected = {"grpo_lead": 2 * 0.96526236, "gr3": 2 * 0.66889632}[name]
    assert rewards_of(name, {}, rollouts).tolist() == pytest.approx([-1.0, expected])


def test_long2short_moves_reward_and_adds_none() -> None:
    rollouts = Rollouts.build([0] * 5, [7, 90, 90, 411, 3], [1, 1, 1, 1, 0])
    length_reward = build("long2short").shape(rollouts).length_reward
    assert length_reward.sum() == pytest.approx(0.0, abs=1e-12)
    assert length_reward[0] == pytest.approx(0.2)


def test_long2short_takes_most_from_one_long_answer_among_short_ones() -> None:
    rollouts = Rollouts.build([0] * 4, [100, 100, 100, 400], [1, 1, 1, 1])
    # 1 / L stands as 4, 4, 4 to 1, mean 3.25: 0.75 and -2.25 away
    expected = [1 + 0.2 / 3, 1 + 0.2 / 3, 1 + 0.2 / 3, 0.8]
    assert rewards_of("long2short", {}, rollouts).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("efficient", {"alpha": -0.1}, r"alpha=-0\.1 must be 0 or more"),
        (
            "efficient",
            {"alpha": 1.5},
            r"alpha=1\.5 must be at most 1, so that right stays above wrong; give e\.g\. 0\.1",
        ),
        ("efficient", {"alpha": 0.6, "scores": {"wrong": 0.5}}, r"alpha=0\.6 must be at most 0\.5"),
        ("shorter_better", {"alpha": -1}, r"alpha=-1\.0 must be 0 or more"),
        ("shorter_better", {"beta": -1}, r"beta=-1\.0 must be 0 or more"),
        ("alp", {"beta": -1e-7}, r"beta=-1e-07 must be 0 or more"),
        ("alp", {"beta": "1e-7"}, r"beta='1e-7' must be a finite number, not a text.*; give e\.g\. 1e-07"),
        ("alp", {"bta": 1e-7}, r"unknown alp option 'bta'; did you mean 'beta'\?"),
        ("grpo_lead", {"alpha": 2}, r"alpha=2\.0 must be at most 1"),
        ("grpo_lead", {"alpha": -2}, r"alpha=-2\.0 must be 0 or more"),
        ("grpo_lead", {"gate_length": 0}, r"gate_length=0 must be a positive number of tokens; give e\.g\. 4000"),
        ("lc_r1", {"weight": -1}, r"weight=-1\.0 must be 0 or more"),
        ("lc_r1", {"weight": "much"}, r"weight='much' must be a finite number"),
        ("long2short", {"weight": -0.2}, r"weight=-0\.2 must be 0 or more"),
        ("gr3", {"alpha": -0.33}, r"alpha=-0\.33 must be 0 or more"),
    ],
)
def test_bad_options(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(name, options)

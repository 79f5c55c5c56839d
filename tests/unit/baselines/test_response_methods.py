"""Methods that look at one response: reference numbers and edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from laser_verl.core import Context, Need, Rollouts, build, describe
from tests.unit.baselines.replays import Case, Replays, close, named, rewards_of, rollouts_of

PRUNING = {"stages": [4000, 3000, 2000], "starts": [0, 100, 200]}

GOLDEN = Replays(
    left_out={
        "repetition/open-r1": "counts n-grams of the text's words; a batch has only the flag repetitive",
        "hapo/repetition": "counts n-grams of tokens, off by default; a batch has only the flag repetitive",
        "laser-repo/len-ctrl-interval": "the release's controller of max_tokens, in no paper; see siri and thinkprune",
        "laser-repo/len-ctrl-clip": "the release's controller of max_tokens, in no paper; see siri and thinkprune",
    }
)

STARTS = {"4000": 0, "3000": 100, "2000": 200}


def with_budget(inputs: Case, budget: float, **extra: Any) -> Rollouts:
    return rollouts_of(inputs, columns={"budget": [budget] * len(inputs["lengths"])}, **extra)


@GOLDEN.of("truncation/mixed/T2000", "truncation/easy/T4000")
def truncation(case: Case) -> None:
    rollouts, options = rollouts_of(case["inputs"]), {"target_length": case["params"]["L_T"]}
    close(case, rewards_of("truncation", options, rollouts), case["expected"]["rewards"])
    as_wrong = rewards_of("truncation", {**options, "rho": case["params"]["r_wrong"]}, rollouts)
    close(case, as_wrong, case["expected"]["rewards_if_rho_is_wrong_reward"])


@GOLDEN.of("thinkprune/mixed/stages", "thinkprune/hard/stages")
def thinkprune(case: Case) -> None:
    options = {"stages": case["params"]["stages"], "starts": list(STARTS.values())}
    for stage, rewards in case["expected"]["rewards_by_stage"].items():
        rollouts = rollouts_of(case["inputs"], step=STARTS[stage])
        close(case, rewards_of("thinkprune", options, rollouts), rewards)
        close(case, rewards_of("thinkprune", {"stages": [int(stage)]}, rollouts), rewards)


@GOLDEN.of("l1-exact/n2000", "l1-exact/n512")
def l1_exact(case: Case) -> None:
    budget = case["params"]["n_gold"]
    shaped = build("l1_exact", {"alpha": case["params"]["alpha"]}).shape(with_budget(case["inputs"], budget))
    close(case, shaped.length_reward, case["expected"]["length_term"])
    close(case, shaped.reward, case["expected"]["rewards"])
    close(case, rewards_of("l1_exact", {"budget": budget}, rollouts_of(case["inputs"])), case["expected"]["rewards"])


@GOLDEN.of("l1-max/n2000", "l1-max/n2000-a0.0003")
def l1_max(case: Case) -> None:
    options = {key: case["params"][key] for key in ("alpha", "delta")}
    rollouts = with_budget(case["inputs"], case["params"]["n_gold"])
    names = {"rewards_l1_paper": "paper", "rewards_l1_code": "released_code", "laser_table2_as_printed": "laser_table"}
    for name, rewards in case["expected"].items():
        close(case, rewards_of("l1_max", {**options, "variant": names[name]}, rollouts), rewards)


@GOLDEN.of("dapo-overlong/20480-4096", "dapo-overlong/8192-2048")
def dapo_overlong(case: Case) -> None:
    lengths = case["inputs"]["lengths"]
    rollouts = Rollouts.build([0] * len(lengths), lengths, [1] * len(lengths))
    options = {"max_length": case["params"]["L_max"], "buffer": case["params"]["L_cache"]}
    variants = {"penalty": "paper", "verl_unclipped": "verl"}
    for name, penalty in case["expected"].items():
        shaped = build("dapo_overlong", {**options, "variant": variants[name]}).shape(rollouts)
        close(case, shaped.length_reward, penalty)


@GOLDEN.of("cosine/demystify-correct", "cosine/demystify-wrong", "cosine/open-r1-correct", "cosine/open-r1-wrong")
def cosine(case: Case) -> None:
    params = case["params"]
    options = {
        "correct": params["correct"],
        "wrong": params["wrong"],
        "exceed": params.get("exceed"),
        "max_length": params.get("L_max", params.get("max_len")),
        "margin": params.get("margin", 0),
    }
    close(case, rewards_of("cosine", options, rollouts_of(case["inputs"])), case["expected"]["rewards"])
    if "exceed" in params:
        # 14336 tokens and the rest of the values are the defaults; the margin is the code's own
        close(case, rewards_of("cosine", {"margin": 16}, rollouts_of(case["inputs"])), case["expected"]["rewards"])


@GOLDEN.of("siri/schedules", "siri/three-cycles")
def siri(case: Case) -> None:
    params = case["params"]
    options = {"longest": params["L_max"], "shortest": params["L_min"], "period": params["T"]}
    for kind, limits in case["expected"].items():
        method: Any = build("siri", {**options, "kind": kind})
        close(case, [method.limit(step) for step in case["inputs"]["steps"]], limits)


@GOLDEN.of("hbpo/reward", "hbpo/incorrect-or-long")
def hbpo(case: Case) -> None:
    inputs, options = case["inputs"], {"context_length": case["params"]["L_context"]}
    expected = case["expected"]["rewards"]
    by_budget = expected if isinstance(expected, dict) else {"None": expected}
    assert set(by_budget) == {str(budget) for budget in inputs.get("budgets", [inputs.get("budget")])}
    for budget, rewards in by_budget.items():
        rollouts = with_budget(inputs, np.nan if budget == "None" else float(budget))
        for variant in ("paper", "released_code"):
            close(case, rewards_of("hbpo", {**options, "variant": variant}, rollouts), rewards)
    close(case, rewards_of("hbpo", options, rollouts_of(inputs)), by_budget.get("None", by_budget))


@pytest.mark.parametrize("name", named(GOLDEN.replays))
def test_reference_numbers(name: str) -> None:
    GOLDEN.run(name)


BUDGETED = ("l1_exact", "l1_max")


@pytest.mark.parametrize(
    ("name", "options", "length", "right", "wrong"),
    [
        ("l1_exact", {"budget": 2000}, 1500, 0.85, -0.15),  # 500 tokens off, 0.0003 each
        ("l1_max", {"budget": 2000}, 1950, 1.0, 0.0),  # 0.01 * 50 + 0.5
        ("l1_max", {"budget": 2000}, 2040, 0.1, 0.0),  # 0.01 * -40 + 0.5
        ("l1_max", {"budget": 2000}, 2050, 0.0, 0.0),
        ("dapo_overlong", {}, 16384, 1.0, -1.0),
        ("dapo_overlong", {}, 18432, 0.5, -1.5),  # half of the buffer
        ("dapo_overlong", {}, 20480, 0.0, -2.0),
        ("dapo_overlong", {"weight": 0.5}, 30000, 0.5, -1.5),
        ("cosine", {}, 0, 2.0, -10.0),
        ("cosine", {}, 7168, 1.5, -5.0),  # half of 14336: the middle of either pair
        ("cosine", {}, 14336, -10.0, -10.0),
        ("cosine", {"margin": 16}, 14320, -10.0, -10.0),
        ("hbpo", {}, 1000, 3.71, 0.0),  # 4 * cos(0.3835) = 3.7088
        ("hbpo", {}, 4097, 0.0, 0.0),
        ("siri", {}, 16384, 1.0, 0.0),
        ("siri", {}, 16385, 0.0, 0.0),
        ("thinkprune", {"stages": [3000]}, 3001, 0.0, 0.0),
    ],
)
def test_one_response_right_and_wrong(
    name: str, options: dict[str, Any], length: int, right: float, wrong: float
) -> None:
    both = rewards_of(name, options, Rollouts.build([0, 1], [length, length], [1, 0]))
    np.testing.assert_allclose(both, [right, wrong], rtol=0, atol=1e-9)
    alone = rewards_of(name, options, Rollouts.build([0], [length], [1]))
    np.testing.assert_allclose(alone, [right], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["l1_exact", "l1_max", "dapo_overlong", "cosine", "hbpo", "siri"])
def test_a_malformed_response_is_paid_as_a_wrong_one(name: str) -> None:
    options = {"budget": 1000} if name in BUDGETED else {}
    rollouts = Rollouts.build([0, 0], [900, 900], [1, 0], well_formed=[0, 1], truncated=[1, 0])
    malformed, wrong = rewards_of(name, options, rollouts)
    assert malformed == wrong


@pytest.mark.parametrize("name", BUDGETED)
def test_the_columns_budget_goes_before_the_options(name: str) -> None:
    rollouts = Rollouts.build([0, 0, 0], [10, 10, 10], [1, 1, 1], columns={"budget": [100, np.nan, 0]})
    shaped = build(name, {"budget": 50}).shape(rollouts)
    assert shaped.target_length is not None
    assert shaped.target_length.tolist() == [100, 50, 0]


@pytest.mark.parametrize("name", BUDGETED)
def test_the_budgets_are_asked_for_unless_one_stands_for_all(name: str) -> None:
    assert build(name).required_columns == ("budget",)
    assert build(name, {"budget": 50}).required_columns == ()
    assert build(name).needs == {Need.RESPONSE, Need.PROMPT}
    with pytest.raises(ValueError, match="the batch has no column budget"):
        build(name).shape(Rollouts.build([0], [10], [1]))
    with pytest.raises(ValueError, match=r"budget\[0\]=-2000.0 must be a number of 0 or more"):
        build(name).shape(Rollouts.build([0], [10], [1], columns={"budget": [-2000.0]}))


def test_the_instructions_name_the_budget() -> None:
    said = [(build(name).instruction or "").format(budget=512) for name in BUDGETED]
    assert said == ["Think for 512 tokens.", "Think for maximum 512 tokens."]


@pytest.mark.parametrize(
    ("name", "options", "lengths", "before", "after"),
    [
        # 512 - 256 tokens of buffer before 512; the published lengths where none is known
        ("dapo_overlong", {"buffer": 256}, [384, 512, 18432], [1.0, 1.0, 1.0], [0.5, 0.0, 0.0]),
        ("cosine", {}, [256, 512, 14335], [1.99921, 1.99686, 1.0], [1.5, -10.0, -10.0]),
    ],
)
def test_the_longest_response_is_that_of_batch_or_run(
    name: str, options: dict[str, Any], lengths: list[int], before: list[float], after: list[float]
) -> None:
    rollouts = Rollouts.build([0] * 3, lengths, [1] * 3)
    # cos(pi * 256 / 14336) = 0.998427 and cos(pi * 512 / 14336) = 0.993712; half of 1 + cos above 1
    np.testing.assert_allclose(rewards_of(name, options, rollouts), before, rtol=0, atol=1e-5)
    for known in (Context(max_response_length=512), None):
        of_batch = Rollouts.build([0] * 3, lengths, [1] * 3, max_response_length=None if known else 512)
        np.testing.assert_allclose(rewards_of(name, options, of_batch, known), after, rtol=0, atol=1e-9)


def test_a_batch_too_short_for_buffer_or_margin_is_refused() -> None:
    rollouts = Rollouts.build([0], [10], [1], max_response_length=16)
    for name, option, value in (("dapo_overlong", "buffer", 4096), ("cosine", "margin", 16)):
        with pytest.raises(ValueError, match=rf"{option}={value} must be .*below the longest length, 16 tokens"):
            build(name, {option: value}).shape(rollouts)


def test_the_overlong_target_is_where_the_penalty_begins() -> None:
    shaped = build("dapo_overlong").shape(Rollouts.build([0], [10], [1]))
    assert shaped.target_length is not None
    assert shaped.target_length.tolist() == [16384.0]


def test_the_cosine_reward_that_rises_is_one_of_the_papers() -> None:
    rising = {"correct": [0, 10], "wrong": [0, 0]}
    rewards = rewards_of("cosine", rising, Rollouts.build([0] * 3, [0, 7168, 7168], [1, 1, 0]))
    np.testing.assert_allclose(rewards, [0.0, 5.0, 0.0], atol=1e-9)


def test_hbpo_pays_for_keeping_the_budget_and_less_beyond_it() -> None:
    rollouts = Rollouts.build([0] * 3, [1000, 2048, 1000], [1, 1, 1], columns={"budget": [1024, 1024, np.nan]})
    shaped = build("hbpo").shape(rollouts)
    # 4 * cos(0.3927) = 3.6955; 4 * cos(0.7854) - 1024 / 4096 = 2.8284 - 0.25; 3.7088 to hundredths
    np.testing.assert_allclose(shaped.reward, [3.6955, 2.5784, 3.71], atol=1e-4)
    assert shaped.target_length is not None
    np.testing.assert_array_equal(shaped.target_length, [1024, 1024, np.nan])


def test_only_the_released_hbpo_pays_less_far_below_a_budget() -> None:
    rollouts = Rollouts.build([0, 0], [0, 322], [1, 1], columns={"budget": [512, 512]})
    # 4 * cos(0.19635) = 3.9231 within the budget; in the code no tokens get 4 - 512 / 4096
    np.testing.assert_allclose(rewards_of("hbpo", {}, rollouts), [3.9231, 3.9231], atol=1e-4)
    np.testing.assert_allclose(rewards_of("hbpo", {"variant": "released_code"}, rollouts), [3.875, 3.9231], atol=1e-4)


def test_hbpo_scales_its_penalty_with_its_context() -> None:
    rollouts = Rollouts.build([0], [60], [1], columns={"budget": [40]})
    # 4 * cos(pi / 2 * 0.6) = 2.35114; 20 tokens too many at 1 / 100 each, or at 0.05
    for options, expected in (({}, 2.15114), ({"alpha": 0.05}, 1.35114), ({"alpha": 0.05, "beta": 0}, -1.0)):
        rewards = rewards_of("hbpo", {"context_length": 100, **options}, rollouts)
        np.testing.assert_allclose(rewards, [expected], rtol=0, atol=1e-4)


def test_hbpo_asks_for_no_column_and_refuses_a_budget_that_pays_nothing() -> None:
    method = build("hbpo")
    assert method.columns == ("budget",)
    assert method.required_columns == ()
    assert method.needs == {Need.RESPONSE}
    rollouts = Rollouts.build([0, 0], [10, 10], [1, 1], columns={"budget": [4096, 5000]})
    with pytest.raises(ValueError, match=r"column budget\[1\]=5000 is above context_length=4096"):
        method.shape(rollouts)


@pytest.mark.parametrize(
    ("kind", "limits"),
    [
        # the share of the period: 0, 1/8, 1/4, 3/8, 1/2, 5/8, 3/4, 7/8, 1; cos(pi / 4) = 0.70711
        ("cosine", [3000, 2707.11, 2000, 1292.89, 1000, 1292.89, 2000, 2707.11, 3000]),
        ("stair", [1000, 1000, 1000, 1000, 3000, 3000, 3000, 3000, 1000]),
        ("stair_cosine", [3000, 3000, 2000, 1000, 1000, 1000, 2000, 3000, 3000]),
    ],
)
def test_siri_goes_down_and_up(kind: str, limits: list[float]) -> None:
    method: Any = build("siri", {"longest": 3000, "shortest": 1000, "period": 8, "kind": kind})
    np.testing.assert_allclose([method.limit(step) for step in range(9)], limits, rtol=0, atol=0.01)
    assert [method.rollout_limit(step) for step in range(9)] == [int(limit) for limit in limits]
    assert method.limit(8_000_003) == method.limit(3)


def test_a_right_answer_counts_within_the_limit_of_its_step() -> None:
    rollouts = {step: Rollouts.build([0] * 3, [8192, 8193, 8192], [1, 1, 0], step=step) for step in (0, 320)}
    assert rewards_of("siri", {}, rollouts[0]).tolist() == [1.0, 1.0, 0.0]
    assert rewards_of("siri", {}, rollouts[320]).tolist() == [1.0, 0.0, 0.0]
    shaped = build("siri", {"scores": {"wrong": -0.5}}).shape(rollouts[320])
    assert shaped.reward.tolist() == [1.0, -0.5, -0.5]
    assert shaped.target_length is not None
    assert shaped.target_length.tolist() == [8192.0] * 3


@pytest.mark.parametrize(
    ("name", "options", "limits"),
    [
        ("siri", {}, {0: 16384.0, 160: 12288.0}),
        ("thinkprune", PRUNING, {0: 4000.0, 99: 4000.0, 100: 3000.0, 200: 2000.0, 10**9: 2000.0}),
    ],
)
def test_the_limit_of_the_last_batch_is_logged_and_cuts_the_rollouts(
    name: str, options: dict[str, Any], limits: dict[int, float]
) -> None:
    method = build(name, options)
    assert method.metrics() == {}
    for step, limit in limits.items():
        method.observe(Rollouts.build([0], [10], [1], step=step))
        assert method.metrics() == {"laser/target_length/all": pytest.approx(limit)}
        assert method.rollout_limit(step) == limit


def test_a_schedule_needs_the_step_and_one_stage_does_not() -> None:
    assert describe("siri").needs == describe("thinkprune").needs == {Need.RESPONSE, Need.HISTORY}
    assert build("thinkprune", PRUNING).needs == {Need.RESPONSE, Need.HISTORY}
    assert build("thinkprune", {"stages": [2000]}).needs == {Need.RESPONSE}


def test_scores_of_your_own_take_the_place_of_one_and_nothing() -> None:
    scores = {"scores": {"wrong": -0.5, "malformed": -1}}
    rollouts = Rollouts.build([0] * 3, [2000] * 3, [1, 0, 0], well_formed=[1, 1, 0], columns={"budget": [2000] * 3})
    assert rewards_of("l1_max", scores, rollouts).tolist() == [0.5, -0.5, -1.0]
    assert rewards_of("l1_exact", scores, rollouts).tolist() == [1.0, -0.5, -1.0]
    own = Rollouts.build([0, 0], [2000] * 2, [1, 0], task_score=[5.0, 3.0], columns={"budget": [2000] * 2})
    assert rewards_of("l1_max", {}, own).tolist() == [4.5, 3.0]

"""The advantage rules: reference numbers, numbers by hand, edges, and bad options."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest

from laser_verl.core import Context, Rollouts, Shaped, build
from laser_verl.core.advantages.base import (
    AdvantageRule,
    Advantages,
    build_rule,
    describe_rule,
    group_normalised,
    rule_names,
    whitened,
)
from laser_verl.core.advantages.ddca import Ddca
from laser_verl.core.advantages.drpo import Drpo
from laser_verl.core.advantages.gdpo import decoupled
from laser_verl.core.advantages.grpo_lead import GrpoLead
from laser_verl.core.advantages.mgpo import Mgpo
from tests.unit.baselines.replays import CASES, Case, Replays, close, named, rollouts_of

GOLDEN = Replays()

ONE_OR_NOTHING = {"wrong": 0.0, "malformed": 0.0}


def apply(rule: AdvantageRule, rollouts: Rollouts, reward: Any = None, norm_by_std: bool = True) -> Advantages:
    """The advantages of rewards that are all task reward; 1 and 0 where none are given."""
    values = rollouts.solved.astype(float) if reward is None else np.asarray(reward, dtype=float)
    return rule.advantages(rollouts, Shaped(values, np.zeros(rollouts.size)), values, norm_by_std)


def one_group(lengths: list[int], correct: list[int]) -> Rollouts:
    return Rollouts.build([0] * len(lengths), lengths, correct)


@GOLDEN.of("grpo-adv/constant", "grpo-adv/single")
def grpo(case: Case) -> None:
    reward = np.array(case["inputs"]["rewards"])
    rollouts = one_group([1] * len(reward), [1] * len(reward))
    close(case, group_normalised(rollouts, reward), case["expected"]["advantages"])


@GOLDEN.of("mgpo/lambda1.0", "mgpo/lambda4.0")
def mgpo(case: Case) -> None:
    lam, share = case["params"]["lam"], np.array(case["inputs"]["p"])
    weight = Mgpo(lam=lam).weight(share)
    close(case, weight, case["expected"]["weight"])
    close(case, -np.log(weight) / lam, case["expected"]["D_ME"])


@GOLDEN.of("dler/batch-norm")
def dler(case: Case) -> None:
    rollouts, expected = rollouts_of(case["inputs"]), case["expected"]
    reward = (
        build("truncation", {"target_length": case["params"]["L_T"], "scores": ONE_OR_NOTHING}).shape(rollouts).reward
    )
    close(case, reward, expected["rewards"])
    close(case, group_normalised(rollouts, reward, norm_by_std=False), expected["centred"])
    # `advantages` of the case divides by the population's std, ours, as verl's whitening does, by the sample's
    close(case, apply(build_rule("dler"), rollouts, reward).values, expected["advantages_ddof1"])


@GOLDEN.of("ddca/mixed", "ddca/all_correct", "ddca/hard")
def ddca(case: Case) -> None:
    rollouts, weight = rollouts_of(case["inputs"]), case["params"]["beta"]
    for name, options in (
        ("advantages_grpo", {}),
        ("advantages_rloo", {"base": "rloo"}),
        ("advantages_grpo_not_dynamic", {"dynamic": False}),
    ):
        rule = build_rule("ddca", {"weight": weight, **options})
        close(case, apply(rule, rollouts).values, case["expected"][name])


@GOLDEN.of("dot/n16-outlier", "dot/n8-never", "dot/one-wrong")
def dot(case: Case) -> None:
    rollouts, expected = rollouts_of(case["inputs"]), case["expected"]
    rule = build_rule("dot", {name: case["params"][name] for name in ("alpha", "margin")})
    made = apply(rule, rollouts)
    close(case, made.kept_tokens, expected["lengths_after"])
    close(case, made.values, group_normalised(rollouts, np.array(expected["rewards_after"])))


@GOLDEN.of("drpo/weights-mixed", "drpo/weights-easy")
def drpo(case: Case) -> None:
    rollouts, expected = rollouts_of(case["inputs"]), case["expected"]
    weights = Drpo(lam=case["params"]["lam"], max_length=case["params"]["L_max"]).weights(rollouts)
    assert rollouts.length[rollouts.solved].tolist() == expected["positive_lengths"]
    close(case, weights[rollouts.solved], expected["positive_weights"])
    assert not weights[~rollouts.solved].any()


@GOLDEN.of("gdpo/acc+short", "gdpo/weights-1-0.5")
def gdpo(case: Case) -> None:
    rollouts, expected = rollouts_of(case["inputs"]), case["expected"]
    options = {"target_length": case["params"]["T"], "alpha": 1.0, "scores": ONE_OR_NOTHING}
    shaped = build("laser", options).shape(rollouts)
    close(case, shaped.task_reward, expected["r_acc"])
    close(case, shaped.length_reward, expected["r_short_if_correct"])
    # each response was one token where these numbers come from
    ones = rollouts_of({**case["inputs"], "lengths": [1] * rollouts.size})
    weights = case["params"]["weights"]
    close(case, decoupled(ones, (shaped.task_reward, shaped.length_reward), weights), expected["advantages"])
    if weights == [1.0, 1.0]:
        made = build_rule("gdpo").advantages(ones, shaped, shaped.reward)
        close(case, made.values, expected["advantages"])


@GOLDEN.of("gdpo/grpo-on-sum-for-contrast")
def grpo_on_the_sum(case: Case) -> None:
    reward = np.array(case["expected"]["reward_sum"])
    close(case, group_normalised(rollouts_of(case["inputs"]), reward), case["expected"]["advantages"])


@GOLDEN.of("note/penalty-size-vanishes", "note/alp-eps")
def size_of_a_penalty(case: Case) -> None:
    rollouts = rollouts_of(case["inputs"])
    for beta, expected in case["expected"]["advantages_by_beta"].items():
        close(case, group_normalised(rollouts, 1.0 - float(beta) * rollouts.length), expected)


@pytest.mark.parametrize("name", named(GOLDEN.replays))
def test_reference_numbers(name: str) -> None:
    GOLDEN.run(name)


@pytest.mark.parametrize("name", named(["grpo-lead/long", "grpo-lead/short", "grpo-lead/long-single"]))
def test_reference_numbers_of_grpo_lead(name: str) -> None:
    case = CASES[name]
    params, expected = case["params"], case["expected"]
    rule = GrpoLead(floor=params["A"], ceiling=params["B"], midpoint=params["rho0"], steepness=params["k"])
    close(case, rule.weight(np.array([expected["rho"], 1 - expected["rho"]])), [expected["w_pos"], expected["w_neg"]])
    for made in (rule, build_rule("grpo_lead")):
        close(case, apply(made, rollouts_of(case["inputs"]), expected["rewards"]).values, expected["advantages"])


def test_mgpo_by_hand() -> None:
    rollouts = Rollouts.build([0, 0, 1, 1], [9, 9, 9, 9], [1, 0, 1, 1])
    made = apply(build_rule("mgpo"), rollouts, [1.0, 0.0, 1.5, 1.0])
    # +-0.5 / 0.70711, and +-0.25 / 0.35355 times 1/2 for the group all solved
    np.testing.assert_allclose(made.values, [0.70711, -0.70711, 0.35355, -0.35355], atol=1e-5)
    # (1 + 1/2) / 2
    assert made.metrics == {"laser/mgpo/weight_mean": pytest.approx(0.75)}


def test_mgpo_takes_a_malformed_response_for_unsolved() -> None:
    rollouts = Rollouts.build([0, 0], [9, 9], [1, 1], well_formed=[1, 0])
    assert apply(build_rule("mgpo"), rollouts).metrics["laser/mgpo/weight_mean"] == 1.0


def test_dler_keeps_the_size_of_a_penalty_where_all_are_solved() -> None:
    rollouts = Rollouts.build([0, 0, 1, 1], [9, 9, 9, 9], [1, 0, 1, 1])
    values = apply(build_rule("dler"), rollouts, [1.0, 0.0, 1.0, 0.98]).values
    # centred 0.5, -0.5, 0.01, -0.01; their sample std sqrt(0.5002 / 3) = 0.40833
    np.testing.assert_allclose(values, [1.2245, -1.2245, 0.02449, -0.02449], atol=1e-4)


def test_dler_ignores_the_switch_for_a_groups_own_std() -> None:
    rollouts, reward = one_group([9, 9, 9], [1, 0, 0]), [1.0, 0.0, 0.2]
    with_std, without = (apply(build_rule("dler"), rollouts, reward, by_std).values for by_std in (True, False))
    np.testing.assert_array_equal(with_std, without)


def test_ddca_adds_a_length_advantage_to_any_reward() -> None:
    rollouts = one_group([1000, 3000, 500, 500], [1, 1, 0, 0])
    # z is -1 and 1 among the two solved; 0.2 * 2/4 * (0.5 - sigmoid(-1)) = 0.1 * 0.231059
    for by_std in (True, False):
        base = apply(Ddca(weight=0.0), rollouts, norm_by_std=by_std).values
        added = apply(build_rule("ddca"), rollouts, norm_by_std=by_std).values - base
        np.testing.assert_allclose(added, [0.0231059, -0.0231059, 0.0, 0.0], atol=1e-7)
    # rewards 1, 1, 0, 0 have the population's std 1/2
    np.testing.assert_allclose(apply(Ddca(weight=0.0), rollouts).values, [1, 1, -1, -1], atol=1e-6)


def test_dot_cuts_by_options() -> None:
    # mean 130, sample std sqrt((3 * 30^2 + 90^2) / 3) = 60; T = 130 + 60 = 190; 220 is 30 above it
    rollouts = one_group([100, 100, 100, 220], [1, 1, 1, 1])
    cut = apply(build_rule("dot", {"alpha": 1.0, "margin": 30, "rho": -0.5}), rollouts)
    assert cut.kept_tokens is not None
    assert cut.kept_tokens.tolist() == [100, 100, 100, 190]
    # rewards 1, 1, 1, -0.5: mean 0.625, sample std 0.75
    np.testing.assert_allclose(cut.values, [0.5, 0.5, 0.5, -1.5], atol=1e-5)
    assert cut.metrics == {"laser/dot/cut_frac": 0.25}
    spared = apply(build_rule("dot", {"alpha": 1.0, "margin": 31}), rollouts)
    assert spared.kept_tokens is not None
    assert spared.kept_tokens.tolist() == [100, 100, 100, 220]
    assert not spared.values.any()


def test_dot_spares_a_group_with_a_malformed_response() -> None:
    rollouts = Rollouts.build([0] * 4, [100, 100, 100, 900], [1] * 4, well_formed=[1, 1, 0, 1])
    kept = apply(build_rule("dot", {"alpha": 1.0}), rollouts).kept_tokens
    assert kept is not None
    assert kept.tolist() == [100, 100, 100, 900]


def test_drpo_by_hand() -> None:
    # of the mixed group the solved 800 and 2000 weigh 0.81229 and 0.18771, times 2
    rollouts = Rollouts.build([0, 0, 0, 0, 1, 1], [800, 2000, 100, 100, 50, 60], [1, 1, 0, 0, 1, 1])
    values = apply(build_rule("drpo", {"max_length": 8192}), rollouts, [1.0, 1.0, 0.0, 0.0, 1.5, 1.0]).values
    # rewards 1, 1, 0, 0 normalise to +-0.5 / 0.57735 = +-0.86603; the group all solved gets nothing
    np.testing.assert_allclose(values, [1.40694, 0.32512, -0.86603, -0.86603, 0.0, 0.0], atol=1e-4)


def test_drpo_takes_the_longest_response_of_the_batch_or_the_run() -> None:
    plain = one_group([800, 2000, 100], [1, 1, 0])
    given = apply(build_rule("drpo", {"max_length": 4096}), plain).values
    of_batch = Rollouts.build([0] * 3, [800, 2000, 100], [1, 1, 0], max_response_length=4096)
    np.testing.assert_array_equal(apply(build_rule("drpo"), of_batch).values, given)
    of_run = build_rule("drpo", {}, Context(max_response_length=4096))
    np.testing.assert_array_equal(apply(of_run, plain).values, given)
    with pytest.raises(ValueError, match="max_response_length, which is not known; give max_length"):
        apply(build_rule("drpo"), plain)


def test_gdpo_counts_tokens_as_verl_does() -> None:
    rollouts = one_group([3, 1], [1, 0])
    shaped = Shaped(np.array([1.0, 0.0]), np.zeros(2))
    values = build_rule("gdpo").advantages(rollouts, shaped, shaped.reward).values
    # normalised to +-0.70711; over three tokens of one and one of the other: mean 0.35355, sample std 0.70711
    np.testing.assert_allclose(values, [0.5, -1.5], atol=1e-5)


def test_whitening_leaves_what_has_no_comparison_at_zero() -> None:
    assert whitened(np.array([3.0])).tolist() == [0.0]
    assert whitened(np.array([3.0, 4.0]), np.array([0, 1])).tolist() == [0.0, 0.0]
    np.testing.assert_allclose(whitened(np.array([1.0, 3.0])), [-0.70711, 0.70711], atol=1e-5)


OPTIONS: dict[str, dict[str, Any]] = {"drpo": {"max_length": 4096}}

EDGES = {
    "no responses": Rollouts.build([], [], []),
    "one right": one_group([5], [1]),
    "one wrong": one_group([5], [0]),
    "all right": one_group([5, 60, 700], [1, 1, 1]),
    "all wrong": one_group([5, 60, 700], [0, 0, 0]),
    "equal lengths": one_group([5, 5, 5], [1, 0, 1]),
    "no tokens": one_group([0, 0, 0], [1, 0, 1]),
    "far apart": one_group([0, 10**6, 10**6], [1, 1, 0]),
    "malformed and truncated": Rollouts.build(
        [0, 0, 1], [5, 6, 7], [1, 1, 1], well_formed=[0, 1, 1], truncated=[0, 1, 1]
    ),
}


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("name", rule_names())
@pytest.mark.parametrize("norm_by_std", [True, False])
def test_edges_give_numbers(name: str, edge: str, norm_by_std: bool) -> None:
    rollouts = EDGES[edge]
    with np.errstate(divide="raise", invalid="raise", over="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        made = apply(build_rule(name, OPTIONS.get(name)), rollouts, norm_by_std=norm_by_std)
    assert made.values.shape == (rollouts.size,)
    assert np.isfinite(made.values).all()
    assert all(np.isfinite(value) for value in made.metrics.values())
    assert not any(syllable in key for key in made.metrics for syllable in ("min", "max", "sum", "total"))


@pytest.mark.parametrize("name", [name for name in rule_names() if name not in ("dler", "gdpo", "drpo")])
def test_a_group_of_one_keeps_its_reward_as_in_verl(name: str) -> None:
    # of MGPO and GRPO-LEAD times their weight: 1/2, and w(1) = 0.4 + 1.1 / (1 + exp(2.5)) = 0.48344
    weight = {"mgpo": 0.5, "grpo_lead": 0.48344}.get(name, 1.0)
    assert apply(build_rule(name), one_group([5], [1])).values.tolist() == [pytest.approx(weight, abs=1e-5)]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mgpo", {"lam": -1}, r"lam=-1\.0 must be 0 or more"),
        ("mgpo", {"lambda": 1}, "unknown mgpo option 'lambda'"),
        ("ddca", {"weight": -0.1}, r"weight=-0\.1 must be 0 or more"),
        ("ddca", {"base": "rlo"}, "did you mean 'rloo'"),
        ("dot", {"alpha": -1}, r"alpha=-1\.0 must be 0 or more"),
        ("dot", {"margin": 0}, "margin=0 must be a positive number of tokens"),
        ("dot", {"rho": float("nan")}, "rho=nan must be a finite number"),
        ("drpo", {"lam": 0}, r"lam=0\.0 must be 0\.001 or more"),
        ("dot", {"rho": 2}, r"rho=2\.0 must not be above 1"),
        ("dler", {"over": "rows"}, "unknown over 'rows'; .*known: responses, tokens"),
        ("drpo", {"max_length": 0}, "max_length=0 must be a positive number of tokens"),
        ("grpo_lead", {"floor": 2}, r"ceiling=1\.5 must be at least floor=2\.0"),
        ("grpo_lead", {"midpoint": 1.5}, r"midpoint=1\.5 must be a share from 0 to 1"),
        ("grpo_lead", {"steepness": -1}, r"steepness=-1\.0 must be 0 or more"),
        ("dler", {"lam": 1}, "unknown dler option 'lam'"),
        ("mpgo", {}, "unknown advantage rule 'mpgo'; did you mean 'mgpo'"),
    ],
)
def test_bad_options_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_rule(name, options)


def test_dot_refuses_groups_in_which_it_never_cuts() -> None:
    # (8 - 1) / sqrt(8) = 2.47
    with pytest.raises(ValueError, match=r"never cuts a response in groups of 8: none is more than 2\.47 standard"):
        build_rule("dot", {}, Context(group_size=8))
    build_rule("dot", {}, Context(group_size=11))
    build_rule("dot", {"alpha": 2.4}, Context(group_size=8))


@pytest.mark.parametrize("name", rule_names())
def test_each_rule_explains_itself(name: str) -> None:
    info = describe_rule(name)
    assert info.source.startswith("arXiv ")
    assert info.formula
    assert info.options.keys() == info.meanings.keys()
    assert not info.required
    json.dumps(info.options)


def test_an_unfinished_rule_says_what_it_lacks() -> None:
    with pytest.raises(NotImplementedError, match="has to define advantages"):
        apply(AdvantageRule(), one_group([5], [1]))

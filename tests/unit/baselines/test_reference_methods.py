"""Methods with a budget, a reference or a way of answering: reference numbers, edges, and bad options."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from laser_verl.core import Context, Rollouts, build
from laser_verl.core.advantages.base import build_rule, group_normalised
from laser_verl.core.groups import Groups
from tests.unit.baselines.replays import Case, Course, Replays, close, named, rewards_of, rollouts_of

GOLDEN = Replays()

NAN = float("nan")


# Reference numbers


@GOLDEN.of("dast/mixed", "dast/all_wrong", "dast/all_correct", "dast/mixed/Lmax16384")
def dast(case: Case) -> None:
    limit = case["params"]["Lmax"]
    options = {"max_length": limit} if isinstance(limit, int) else {}
    shaped = build("dast", options).shape(rollouts_of(case["inputs"]))
    close(case, shaped.reward, case["expected"]["rewards"])
    close(case, shaped.target_length, [case["expected"]["L_budget"]] * 8)


def with_own_reference(inputs: Case) -> Rollouts:
    """The case's responses, with the mean length and the pass rate of their own group as those of the reference."""
    rollouts = rollouts_of(inputs)
    length, accuracy = (Groups.of(rollouts).mean(values) for values in (rollouts.length, rollouts.correct))
    columns = {"reference_length": length[rollouts.group], "reference_accuracy": accuracy[rollouts.group]}
    return rollouts_of(inputs, columns=columns)


@GOLDEN.of("o1-pruner/mixed/a2", "o1-pruner/mixed/a5")
def o1_pruner(case: Case) -> None:
    rollouts, alpha = with_own_reference(case["inputs"]), case["params"]["alpha"]
    close(case, rewards_of("o1_pruner", {"alpha": alpha}, rollouts), case["expected"]["paper_unclipped"])
    clipped = rewards_of("o1_pruner", {"alpha": alpha, "clip": case["params"]["clip"]}, rollouts)
    close(case, clipped, case["expected"]["code_clipped"])


@GOLDEN.of("o1-pruner/two-prompts-standardised")
def o1_pruner_over_a_data_set(case: Case) -> None:
    rewards = rewards_of("o1_pruner", {"clip": [-2, 4]}, with_own_reference(case["inputs"]))
    used = rewards[[0, 1, 8, 9]]
    close(case, used, case["expected"]["raw_of_used"])
    close(case, (used - used.mean()) / used.std(), case["expected"]["weights"])


@GOLDEN.of("autothink/stage1", "autothink/stage2", "autothink/stage3", "autothink/stage1-too-little-thinking")
def autothink(case: Case) -> None:
    stage = int(case["id"].partition("stage")[2][0])
    rollouts = rollouts_of(case["inputs"], columns={"uses_thinking": case["inputs"]["think"]})
    shaped = build("autothink", {"stage": stage}).shape(rollouts)
    close(case, shaped.task_reward, case["inputs"]["base_rewards"])
    close(case, shaped.reward, case["expected"]["rewards"])


@GOLDEN.of("thinkless/group", "thinkless/all-correct")
def thinkless(case: Case) -> None:
    thinks = [mode == "think" for mode in case["inputs"]["mode"]]
    rollouts = Rollouts.build([0] * 8, [100] * 8, case["inputs"]["correct"], columns={"uses_thinking": thinks})
    rewards = rewards_of("thinkless", {}, rollouts)
    close(case, rewards, case["expected"]["rewards"])
    close(case, rewards - rewards.mean(), case["expected"]["advantages"])


@GOLDEN.of("dler/da-dler")
def da_dler(case: Case) -> None:
    rollouts, expected = rollouts_of(case["inputs"]), case["expected"]
    shaped = build("da_dler", {name: case["params"][name] for name in ("limit_easy", "limit_hard")}).shape(rollouts)
    close(case, shaped.target_length, expected["limits"])
    close(case, shaped.reward, expected["rewards"])
    close(case, group_normalised(rollouts, shaped.reward, norm_by_std=False), expected["centred"])
    # `advantages` of the case divides by the population's std, ours, as verl's whitening does, by the sample's
    made = build_rule("dler").advantages(rollouts, shaped, shaped.reward)
    close(case, made.values, expected["advantages_ddof1"])


@pytest.mark.parametrize("name", named(GOLDEN.replays))
def test_reference_numbers(name: str) -> None:
    GOLDEN.run(name)


# Edges

METHODS: list[tuple[str, dict[str, Any]]] = [
    ("hapo", {}),
    ("hapo", {"kind": "linear"}),
    ("lapo", {}),
    ("lapo", {"stage": 2}),
    ("dast", {}),
    ("o1_pruner", {}),
    ("autothink", {}),
    ("autothink", {"stage": 3}),
    ("thinkless", {}),
    ("da_dler", {}),
]


def batch_of(lengths: list[int], correct: list[int], prompt: list[int] | None = None, **extra: Any) -> Rollouts:
    """Responses, every second of which thinks, against a reference of 100 tokens and 0.5."""
    size = len(lengths)
    columns = {
        "uses_thinking": [row % 2 for row in range(size)],
        "reference_length": [100] * size,
        "reference_accuracy": [0.5] * size,
    }
    return Rollouts.build(prompt or [0] * size, lengths, correct, columns=columns, **extra)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "batch",
    [
        batch_of([], []),
        batch_of([50], [1]),
        batch_of([50], [0]),
        batch_of([0], [1]),
        batch_of([0, 0, 0], [1, 1, 1]),
        batch_of([0, 0, 0], [0, 0, 0]),
        batch_of([0, 0, 900], [1, 1, 0]),
        batch_of([70, 70, 70], [1, 1, 1]),
        batch_of([70, 70, 70], [0, 0, 0]),
        batch_of([50, 60, 90000], [1, 1, 0]),
        batch_of([50, 60, 70], [1, 1, 1], well_formed=[0, 0, 0], truncated=[1, 1, 1], repetitive=[1, 1, 1]),
    ],
)
@pytest.mark.parametrize(("name", "options"), METHODS)
def test_every_batch_has_finite_rewards(name: str, options: dict[str, Any], batch: Rollouts) -> None:
    course = Course(build(name, options))
    for _ in range(2):
        assert np.isfinite(course.step(batch).reward).all()
        assert all(np.isfinite(value) for value in course.method.metrics().values())


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        # a correct, malformed response is treated as a wrong one; no length term in the first batch
        ("hapo", {}, [1.0, 0.0]),
        ("lapo", {}, [1.7, 0.0]),
        # budget 0.5 * 40 + 0.5 * 40: both are on it
        ("dast", {}, [0.5, -0.1]),
        # 100/40 - 1 + 2 * (1 - 0.5), and 1.5 - 1
        ("o1_pruner", {}, [2.5, 0.5]),
        # no-think right 2; thinking, malformed 0
        ("autothink", {"stage": 2}, [2.0, 0.0]),
        ("thinkless", {}, [1.0, -1.0]),
        ("da_dler", {}, [1.0, 0.0]),
    ],
)
def test_a_malformed_response_is_not_right(name: str, options: dict[str, Any], expected: list[float]) -> None:
    batch = batch_of([40, 40], [1, 1], well_formed=[1, 0])
    np.testing.assert_allclose(rewards_of(name, options, batch), expected, atol=1e-12)


@pytest.mark.parametrize(("name", "options"), METHODS)
def test_own_scores_take_the_place_of_the_verdict(name: str, options: dict[str, Any]) -> None:
    batch = batch_of([40, 90], [1, 0], task_score=[0.25, NAN])
    method = build(name, options)
    task, without = method.shape(batch).task_reward, method.shape(batch_of([40, 90], [1, 0])).task_reward
    assert (task[0], task[1]) == (0.25, without[1])


# The others


def test_dast_takes_the_longest_response_that_it_knows_of() -> None:
    lengths, nobody = [100, 300], [0, 0]
    tries = [
        (Rollouts.build([0, 0], lengths, nobody), Context(), 300.0),
        (Rollouts.build([0, 0], lengths, nobody), Context(max_response_length=800), 800.0),
        (Rollouts.build([0, 0], lengths, nobody, max_response_length=700), Context(max_response_length=800), 700.0),
    ]
    for rollouts, context, budget in tries:
        assert build("dast", {}, context).shape(rollouts).target_length.tolist() == [budget] * 2


def test_autothink_punishes_loops_of_wrong_responses_that_do_not_think() -> None:
    batch = Rollouts.build(
        [0] * 4, [9] * 4, [0, 0, 1, 0], repetitive=[1, 1, 1, 0], columns={"uses_thinking": [0, 1, 0, 0]}
    )
    # only what is below 0 goes to -2: a wrong response that thinks has 0, a right one 2
    assert rewards_of("autothink", {"stage": 2}, batch).tolist() == [-2.0, 0.0, 2.0, -1.0]


def test_autothink_balances_over_the_batch_not_the_prompt() -> None:
    # three of four think: their rewards go 2 * (0.75 - 0.5) of the way, 1 to 0 and 0 to -1; also where the prompt has
    # one of each kind
    batch = Rollouts.build([0, 0, 1, 1], [9] * 4, [1, 1, 1, 0], columns={"uses_thinking": [1, 0, 1, 1]})
    assert rewards_of("autothink", {}, batch).tolist() == [0.5, 2.0, 0.5, -0.5]


def test_autothink_takes_single_options_in_place_of_the_stage() -> None:
    batch = Rollouts.build([0] * 4, [9] * 4, [1, 1, 1, 0], columns={"uses_thinking": [1, 0, 1, 1]})
    assert rewards_of("autothink", {"gamma": 0.25}, batch).tolist() == [0.0, 2.0, 0.0, -1.0]
    # lengths 8 and 10, whose sample deviation is sqrt(2): z = -+0.7071, exp(0.7071) - 1 = 1.0281, exp(-0.7071) - 1
    pair = Rollouts.build([0, 0], [8, 10], [1, 1], columns={"uses_thinking": [1, 1]})
    rewards = rewards_of("autothink", {"stage": 3, "alpha": 1.0}, pair)
    np.testing.assert_allclose(rewards, [2.0281, 0.4931], atol=1e-4)


def test_an_answer_beyond_the_limit_still_makes_a_prompt_easy() -> None:
    batch = Rollouts.build([0, 0, 1, 1, 1], [3000, 10, 3000, 10, 10], [1, 0, 1, 0, 0])
    # half of the first group is solved, a third of the second
    assert rewards_of("da_dler", {}, batch).tolist() == [0.0, 0.0, 1.0, 0.0, 0.0]


# Bad input


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("dast", {"max_length": 0}, "max_length=0 must be a positive number of tokens"),
        ("o1_pruner", {"alpha": -2}, "alpha=-2.0 must be 0 or more"),
        ("o1_pruner", {"clip": [4, -2]}, "clip=[4.0, -2.0] must be two rising numbers"),
        ("autothink", {"alpha": 2}, "alpha=2.0 must be 0 to 1"),
        ("autothink", {"gamma": -0.5}, "gamma=-0.5 must be 0 to 1"),
        ("thinkless", {"weight": -0.5}, "weight=-0.5 must be 0 or more"),
        ("thinkless", {"weight": 3}, "weight=3.0 must be at most 2, or a right answer with a thought is worth less"),
        ("da_dler", {"limit_easy": 0}, "limit_easy=0 must be a positive number of tokens"),
        ("da_dler", {"limit_easy": 5000}, "limit_easy=5000 is above limit_hard=4000"),
    ],
)
def test_bad_options_are_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        build(name, options)


def test_a_limit_that_no_response_passes_is_refused() -> None:
    with pytest.raises(ValueError, match="limit_hard=4000 is above max_response_length=3000"):
        build("da_dler", {}, Context(max_response_length=3000))


@pytest.mark.parametrize(
    ("name", "required"),
    [
        ("o1_pruner", ("reference_length", "reference_accuracy")),
        ("autothink", ("uses_thinking",)),
        ("thinkless", ("uses_thinking",)),
    ],
)
def test_a_column_that_the_batch_lacks_is_named(name: str, required: tuple[str, ...]) -> None:
    method, batch = build(name), Rollouts.build([0], [1], [1])
    assert method.required_columns == required
    with pytest.raises(ValueError, match=f"the batch has no column {required[0]}"):
        method.shape(batch)


def test_an_accuracy_in_percent_is_refused() -> None:
    columns = {"reference_length": [9, 9], "reference_accuracy": [1, 62.5]}
    with pytest.raises(ValueError, match=r"reference_accuracy\[1\]=62.5 must be a share, 0 to 1"):
        rewards_of("o1_pruner", {}, Rollouts.build([0, 0], [9, 9], [1, 1], columns=columns))

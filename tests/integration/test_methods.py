"""Every length reward and advantage rule in a real run: two steps of training on mixed groups."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from laser_verl.core import method_names
from laser_verl.core.advantages.base import rule_names
from tests.integration.runs import SEEDED, Run, World, finish

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

KWARGS = "+reward.reward_kwargs"
# The same eight prompts in every step, so that a history of prompts is of use in the second.
AGAIN = ("data.train_max_samples=8", "trainer.total_epochs=4")
# Room for the sentence that L1 adds.
LONG_PROMPTS = ("data.max_prompt_length=96",)
CUT = "its limit ends the rollouts too, so that no right answer is beyond it"


@dataclass(frozen=True)
class Try:
    """One run: the method's options, other arguments, and why its reward may be the task reward."""

    options: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    unshaped: str = ""


METHODS: dict[str, Try] = {
    "none": Try(unshaped="it has no length term"),
    "laser": Try(("target_length=24",)),
    "laser_d": Try(("lower_bound=8", "interval=4")),
    "laser_de": Try(("lower_bound=8", "interval=4")),
    "truncation": Try(("target_length=24",)),
    "thinkprune": Try(("stages=[60,40]", "starts=[0,2]"), unshaped=CUT),
    "l1_exact": Try(("alpha=0.01",), LONG_PROMPTS),
    "l1_max": Try((), LONG_PROMPTS),
    "dapo_overlong": Try(("buffer=88",)),
    "cosine": Try(("max_length=96",)),
    "hbpo": Try(("context_length=96",)),
    # cosine from 80 to 40 over a period of 4: 80 at step 0, 60 at step 1, 40 at step 2
    "siri": Try(("longest=80", "shortest=40", "period=4"), unshaped=CUT),
    "efficient": Try(),
    "kimi": Try(),
    "shorter_better": Try(("beta=0.01",)),
    "alp": Try(("beta=0.001",)),
    "grpo_lead": Try(),
    "lc_r1": Try(),
    "long2short": Try(),
    "gr3": Try(),
    "dast": Try(),
    "o1_pruner": Try(),
    "lapo": Try(),
    "autothink": Try(),
    "thinkless": Try(),
    "hapo": Try((), AGAIN),
    "da_dler": Try(("limit_easy=16", "limit_hard=32")),
    "mixed": Try(
        ("per_data_source={tiny_world/easy:{method:autothink,alpha:0.2},tiny_world/medium:hapo,default:none}",), AGAIN
    ),
}
RULES: dict[str, tuple[str, ...]] = {
    "dler": (),
    "mgpo": ("+laser.advantage.lam=2.0",),
    "ddca": (),
    "dot": ("+laser.advantage.alpha=0.5", "+laser.advantage.margin=1"),
    "drpo": (),
    "grpo_lead": (),
    "gdpo": (),
}
# Between them every kind of need: the mixture's methods read the group, the whole batch and a history, the other the
# response and its prompt's budget, with an advantage rule over the batch.
IN_EVERY_RUN = {"mixed", "l1_max"}


def test_the_tables_name_every_method_and_rule() -> None:
    assert METHODS.keys() == set(method_names())
    assert RULES.keys() == set(rule_names())


def options_of(given: Try) -> list[str]:
    return [*(f"{KWARGS}.{option}" for option in given.options), *given.extra]


def train(world: World, out: Path, *arguments: str) -> Run:
    return finish(Run(out), [*world.arguments(), *SEEDED, *arguments])


def assert_trained(run: Run, unshaped: str) -> None:
    for step in (1, 2):
        metrics = run.metrics()[step]
        assert 0.1 < metrics["laser/accuracy"] < 0.95
        assert metrics["laser/no_signal_group_frac"] < 1.0
        assert metrics["critic/score/mean"] == pytest.approx(metrics["laser/shaped_reward/mean"], abs=1e-4)
        assert metrics["critic/advantages/max"] > metrics["critic/advantages/min"]
        assert metrics["actor/grad_norm"] > 0
        assert math.isfinite(metrics["actor/grad_norm"])
    differ = [row["score"] != pytest.approx(row["task_reward"]) for step in (1, 2) for row in run.rollouts(step)]
    assert any(differ) != bool(unshaped), unshaped


def assert_shaped_by_source(rows: list[dict[str, Any]], others: set[str]) -> None:
    """A length term for easy prompts at once, for medium ones once there is a history, for hard ones never."""
    sources = {row["data_source"] for row in rows}
    assert sources == {"tiny_world/easy", "tiny_world/medium", "tiny_world/hard"}
    shaped = {row["data_source"] for row in rows if row["score"] != pytest.approx(row["task_reward"])}
    assert shaped == {"tiny_world/easy"} | others


def _marked(name: str) -> object:
    return name if name in IN_EVERY_RUN else pytest.param(name, marks=pytest.mark.slow)


@pytest.mark.parametrize("name", [_marked(name) for name in METHODS])
def test_two_steps_with_a_method(world_with_columns: World, runs_folder: Path, name: str) -> None:
    given = METHODS[name]
    rule = ("algorithm.adv_estimator=dler",) if name == "l1_max" else ()
    arguments = [f"reward.reward_manager.name={name}", *options_of(given), *rule]
    run = train(world_with_columns, runs_folder / name, *arguments)
    assert_trained(run, given.unshaped)
    if name == "hapo":
        assert any(row["score"] != row["task_reward"] for row in run.rollouts(2))
        assert all(row["score"] == row["task_reward"] for row in run.rollouts(1))
    if name.startswith("l1_"):
        assert all(f"{int(row['budget'])} tokens." in row["input"] for row in run.rollouts(1))
    if given.unshaped == CUT:
        assert max(row["response_length"] for row in run.rollouts(1)) == 60
        assert max(row["response_length"] for row in run.rollouts(2)) == 40
    if name == "mixed":
        assert_shaped_by_source(run.rollouts(1), set())
        assert_shaped_by_source(run.rollouts(2), {"tiny_world/medium"})


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
def test_two_steps_with_an_advantage_rule(world_with_columns: World, runs_folder: Path, name: str) -> None:
    arguments = ["reward.reward_manager.name=kimi", f"algorithm.adv_estimator={name}", *RULES[name]]
    run = train(world_with_columns, runs_folder / f"rule_{name}", *arguments)
    assert_trained(run, "")
    assert f"advantages by {name}" in run.log.read_text() or name == "gdpo"


@pytest.mark.slow
def test_the_second_stage_of_lapo_goes_on_with_the_budgets_of_the_first(
    world_with_columns: World, runs_folder: Path
) -> None:
    common = ["reward.reward_manager.name=lapo", *AGAIN, "trainer.save_freq=2"]
    first = train(world_with_columns, runs_folder / "lapo_stages", *common, f"{KWARGS}.stage=1")
    second = Run(first.out)
    finish(
        second,
        [*world_with_columns.arguments(), *SEEDED, *common, f"{KWARGS}.stage=2", "trainer.total_training_steps=4"],
    )
    assert any(row["score"] > 1.0 for row in second.rollouts(3))

"""What a check refuses that composes: the run refuses it too, in the same words, before any model loads."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from omegaconf import OmegaConf

from laser_verl.core import Context
from laser_verl.verl_ext.checks import Report, check
from laser_verl.verl_ext.driver import Driver
from laser_verl.verl_ext.refusals import Refused
from laser_verl.verl_ext.settings import Plugin, Settings, Verification
from tests.contract.good_run import KWARGS, fields, message
from tests.contract.test_trainer_choice import chosen, config

METHOD = "reward.reward_manager.name"
ESTIMATOR = "algorithm.adv_estimator"
STOCK = f"{METHOD}=naive"


@pytest.fixture
def checked(good: list[str]) -> Any:
    """A check of the good run without its method and the method's options."""
    kept = [text for text in good if not text.startswith(("method", KWARGS))]
    return lambda *arguments: check([*kept, "~method", *arguments])


def refusal(method: str, group_size: int = 4, rule: str | None = None, **reward: Any) -> str | None:
    """What our trainer says to a run before it builds verl's; None if nothing."""
    settings = Settings(
        method, {}, Verification(correct_at=0.5), Plugin(), Context(group_size, 64), "sync", advantage_rule=rule
    )
    node = {"custom_reward_function": {"path": None}, "reward_model": {"enable": False}, **reward}
    try:
        Driver(settings, OmegaConf.create({"reward": node}))
    except Refused as error:
        return str(error)
    return None


def in_check(report: Report, field: str) -> str:
    return f"laser_verl: {message(report, field)}"


def run_of_verl(**laser: Any) -> Any:
    made = config("naive", laser=laser or None)
    OmegaConf.update(made, ESTIMATOR, laser.pop("estimator", "grpo"), force_add=True)
    return made


def test_a_rule_of_ours_beside_verls_reward_manager(checked: Any) -> None:
    report = checked(STOCK, f"{ESTIMATOR}=mgpo", "+laser.advantage.lamm=2")
    told = in_check(report, ESTIMATOR)
    assert "mgpo reads the verdicts on whole groups" in told
    assert "reward.reward_manager.name=none for plain correctness" in told
    assert "did you mean 'lam'?" in message(report, "laser.advantage.lamm")
    made = run_of_verl()
    made.algorithm.adv_estimator = "mgpo"
    with pytest.raises(Refused) as caught:
        chosen(made)
    assert str(caught.value) == told


def test_verls_own_gdpo_needs_nothing_of_ours(checked: Any) -> None:
    assert ESTIMATOR not in fields(checked(STOCK, f"{ESTIMATOR}=gdpo"))
    made = run_of_verl()
    made.algorithm.adv_estimator = "gdpo"
    assert chosen(made) == "stock"


def test_options_of_a_rule_that_nobody_reads(checked: Any) -> None:
    told = in_check(checked(STOCK, "+laser.advantage.lam=2"), "laser.advantage")
    assert "nobody reads it under reward.reward_manager.name=naive" in told
    with pytest.raises(Refused) as caught:
        chosen(run_of_verl(advantage={"lam": 2}))
    assert str(caught.value) == told


def test_a_reward_model_does_not_say_which_responses_think(checked: Any) -> None:
    told = in_check(
        checked(f"{METHOD}=autothink", "reward.reward_model.enable=true", f"+{KWARGS}.correct_at=0.5"),
        "reward.reward_model.enable",
    )
    assert "autothink has to know which responses think" in told
    assert refusal("autothink", reward_model={"enable": True}) == told
    assert refusal("kimi", reward_model={"enable": True}) is None
    function = {"custom_reward_function": {"path": "mine.py"}}
    assert refusal("autothink", reward_model={"enable": True}, **function) is None


def test_groups_of_one(checked: Any) -> None:
    told = in_check(checked(f"{METHOD}=kimi", "actor_rollout_ref.rollout.n=1"), "actor_rollout_ref.rollout.n")
    assert "gives kimi groups of one response" in told
    assert refusal("kimi", group_size=1) == told
    assert "gives dler groups" in (refusal("none", group_size=1, rule="dler") or "")
    assert refusal("none", group_size=1) is None
    assert refusal("hapo", group_size=1) is None


def test_a_refusal_travels_between_processes() -> None:
    sent = pickle.loads(pickle.dumps(Refused("a.b", "a.b=1 is wrong; give 2")))
    assert (sent.field, str(sent)) == ("a.b", "laser_verl: a.b=1 is wrong; give 2")

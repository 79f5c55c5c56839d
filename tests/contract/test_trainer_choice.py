"""Which trainer a config gets: decided before any model loads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

from laser_verl.core import MethodBase, Need, register
from laser_verl.core.registry import METHODS
from laser_verl.verl_ext.trainer_modes import TRAINERS, LaserSync, choose_trainer


def config(name: str = "laser_d", laser: dict[str, Any] | None = None, **reward_kwargs: Any) -> DictConfig:
    made = OmegaConf.create(
        {
            "reward": {
                "reward_manager": {"name": name, "source": "register"},
                "reward_kwargs": reward_kwargs,
                "custom_reward_function": {"path": None},
                "reward_model": {"enable": False},
            },
            "actor_rollout_ref": {
                "rollout": {"name": "vllm", "n": 4, "agent": {"default_agent_loop": "single_turn_agent"}}
            },
            "data": {"max_response_length": 4096},
            "trainer": {"v1": {"trainer_mode": "sync"}},
        }
    )
    if laser is not None:
        made.laser = laser
    OmegaConf.set_struct(made, True)
    return made


class Ours:
    """Stands where our trainer is built: building the real one starts Ray."""

    mode = "sync"

    def __init__(self, config: DictConfig) -> None:
        self.config = config


def chosen(made: DictConfig) -> str:
    result = choose_trainer(Ours)(made, lambda config: "stock")
    return "ours" if isinstance(result, Ours) else result


def test_naming_a_manager_of_ours_is_enough() -> None:
    assert chosen(config("laser_d")) == "ours"
    assert chosen(config("laser", target_length=2048)) == "ours"


def test_other_managers_keep_the_stock_trainer() -> None:
    assert chosen(config("naive")) == "stock"
    assert chosen(config("naive", laser={"auto_mode": True})) == "stock"


def test_auto_mode_false_keeps_the_stock_trainer_for_a_response_method() -> None:
    assert chosen(config("laser", laser={"auto_mode": False}, target_length=2048)) == "stock"


def test_auto_mode_false_with_a_group_method_prints_the_line_to_add() -> None:
    with pytest.raises(ValueError, match=r"add trainer\.v1\.trainer_mode=laser_sync"):
        chosen(config("laser_d", laser={"auto_mode": False}))


def test_auto_mode_false_still_checks_the_methods_options() -> None:
    with pytest.raises(ValueError, match="target_length"):
        chosen(config("laser", laser={"auto_mode": False}, target_lenght=2048))


def test_seeded_rollout_with_a_stock_trainer_changes_the_agent_loop() -> None:
    made = config("laser", laser={"auto_mode": False, "seeded_rollout": True}, target_length=2048)
    assert chosen(made) == "stock"
    assert made.actor_rollout_ref.rollout.agent.default_agent_loop == "laser_seeded"


def test_seeded_rollout_refuses_another_agent_loop() -> None:
    made = config("laser", laser={"auto_mode": False, "seeded_rollout": True}, target_length=2048)
    made.actor_rollout_ref.rollout.agent.default_agent_loop = "tool_agent"
    with pytest.raises(ValueError, match="tool_agent"):
        chosen(made)


def test_seeded_rollout_refuses_an_engine_without_seeds_per_request() -> None:
    made = config("laser", laser={"auto_mode": False, "seeded_rollout": True}, target_length=2048)
    made.actor_rollout_ref.rollout.name = "sglang"
    with pytest.raises(ValueError, match=r"rollout\.name=vllm; it is sglang: leave out laser\.seeded_rollout"):
        chosen(made)


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_mode_of_ours_needs_a_manager_of_ours(trainer: type) -> None:
    with pytest.raises(ValueError, match=r"laser_.* needs reward\.reward_manager\.name to be one of .*laser, laser_d,"):
        trainer(config("naive"))


def test_a_state_that_cannot_be_saved_ends_the_run_in_its_first_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))

    @register("unsaved", needs={Need.RESPONSE}, formula="C", source="none")
    @dataclass(kw_only=True, eq=False)
    class Unsaved(MethodBase):
        """A number of numpy in its state."""

        def state_dict(self) -> dict[str, Any]:
            return {**super().state_dict(), "seen": np.int64(0)}

    told = r"laser_verl: method unsaved, state_dict: state entry seen=np\.int64\(0\) must be"
    with pytest.raises(ValueError, match=told):
        LaserSync(config("unsaved"))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (config(lower_bond=8), "lower_bound"),
        (config(laser={"automode": False}), "did you mean laser.auto_mode"),
        (config(laser={"auto_mode": "no"}), "true or false"),
        (config(laser={"poll_interval": 0}), "poll_interval=0"),
        (config(thinking="loud"), "thinking='loud'"),
        (config(correct_at="all"), "correct_at='all'"),
        (config(correct_at=float("nan")), "correct_at=nan"),
        (config(laser={"sampler": "easy"}), r"laser\.sampler='easy' must be a mapping of options"),
        (config(laser={"sampler": {"policy": "easy"}}), r"laser\.sampler: unknown sampling policy 'easy'"),
        (config(laser={"sampler": {"shares": {}}}), r"laser\.sampler\.policy=None must be one of adarft"),
        (config(laser={"sampler": {"policy": "speed"}}), "sampling policy 'speed' is not built"),
        (config(laser={"sampler": {"policy": "dots", "epsilon": 2}}), r"laser\.sampler\.epsilon=2 must be a share"),
        (config(laser={"sampler": {"policy": "uniform", "epsilon": 0.1}}), r"epsilon=0\.1 has no effect with"),
        (config(laser={"tracker": {"decay": 2}}), r"laser\.tracker\.decay=2 must be from 0 to 1"),
        (config(laser={"tracker": {"dekay": 1}}), r"laser\.tracker: unknown option 'dekay'; did you mean 'decay'"),
        (config(laser={"samplr": {}}), r"laser\.samplr is unknown; did you mean laser\.sampler"),
        (config(verify_timeout_seconds=0), "verify_timeout_seconds=0"),
        (config(upper_bound=8192), "upper_bound"),
    ],
)
def test_wrong_options_end_the_run_in_its_first_second(made: DictConfig, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LaserSync(made)

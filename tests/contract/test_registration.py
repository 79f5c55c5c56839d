"""What importing verl does with the plugin installed."""

from __future__ import annotations

import pickle

import pytest

from laser_verl.core import method_names

MODES = ["laser_sync", "laser_colocate_async", "laser_separate_async"]


def test_our_names_are_in_verls_registries_and_stock_trainers_still_answer() -> None:
    from verl.checkpoint_engine.base import CheckpointEngineRegistry
    from verl.experimental.agent_loop.agent_loop import _agent_loop_registry
    from verl.experimental.reward_loop.reward_manager.registry import REWARD_MANAGER
    from verl.trainer.ppo.v1.trainer_base import TRAINER_REGISTRY

    assert set(MODES) | {"sync", "colocate_async", "separate_async"} <= set(TRAINER_REGISTRY)
    assert {*method_names(), "naive", "dapo"} <= set(REWARD_MANAGER)
    assert "laser_seeded" in _agent_loop_registry
    assert "ray_object_store" in CheckpointEngineRegistry._registry
    assert TRAINER_REGISTRY["sync"].__name__ == "PPOTrainerSync"
    assert TRAINER_REGISTRY["laser_sync"].__mro__[2] is TRAINER_REGISTRY["sync"].__wrapped__


def test_what_builds_on_a_trainer_of_verl_gets_the_stock_one() -> None:
    from verl.trainer.ppo.v1.trainer_base import get_trainer_cls
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

    class Extended(get_trainer_cls("sync")):
        def __init__(self, config: str) -> None:
            self.seen = config

    built = Extended(config="mine")
    assert isinstance(built, PPOTrainerSync)
    assert built.seen == "mine"


def test_a_registry_is_left_as_it_was_when_adding_fails() -> None:
    from laser_verl.verl_ext.compat import all_or_nothing

    registry = {"sync": 1}

    def add_two() -> None:
        with all_or_nothing(registry):
            registry["laser_sync"] = 2
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        add_two()
    assert registry == {"sync": 1}


def test_reward_manager_class_travels_to_workers() -> None:
    from laser_verl.verl_ext.reward_manager import LengthRewardManager

    assert pickle.loads(pickle.dumps(LengthRewardManager)) is LengthRewardManager

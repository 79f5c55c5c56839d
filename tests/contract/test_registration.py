"""What importing verl does with the plugin installed."""

from __future__ import annotations

import pickle
from pathlib import Path

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


def test_names_of_verls_reward_managers_are_reserved() -> None:
    from verl.experimental.reward_loop.reward_manager.registry import REWARD_MANAGER

    from laser_verl.core.registry import RESERVED

    assert {name for name, cls in REWARD_MANAGER.items() if cls.__module__.startswith("verl.")} == RESERVED


def test_a_name_that_is_taken_is_left_out_and_the_others_are_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from laser_verl.verl_ext import reward_manager

    info = tmp_path / "users_methods-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: users-methods\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[laser_verl.methods]\ndapo = users\nusers_own = users\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = {"dapo": str, "kimi": int}
    monkeypatch.setattr(reward_manager, "REWARD_MANAGER", registry)
    monkeypatch.setattr(reward_manager, "register_manager", lambda name: lambda cls: registry.__setitem__(name, cls))
    added = reward_manager.register()
    assert set(added) == set(method_names()) - {"kimi"}
    assert "users_own" in added
    assert (registry["dapo"], registry["kimi"]) == (str, int)
    assert registry["laser_d"] is reward_manager.LengthRewardManager
    first, second = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "method 'dapo' of users-methods has the name of a reward manager of verl" in first
    assert "rename it" in first
    assert second == (
        "laser_verl: the reward manager 'kimi' is already builtins.int, so our method of that name is left out; "
        "uninstall or rename the other"
    )


def test_reward_manager_class_travels_to_workers() -> None:
    from laser_verl.verl_ext.reward_manager import LengthRewardManager

    assert pickle.loads(pickle.dumps(LengthRewardManager)) is LengthRewardManager

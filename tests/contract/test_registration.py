"""What importing verl does with the plugin installed."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys

import pytest

from laser_verl.core import method_names

MODES = ["laser_sync", "laser_colocate_async", "laser_separate_async"]


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "VERL_PLATFORM": "cpu", **environment}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=variables, timeout=300)


def test_importing_verl_loads_only_the_platform_and_a_failing_part_is_loud() -> None:
    code = """
import json, sys, verl
from laser_verl.verl_ext.register import report
later = ("verl.trainer", "verl.experimental", "vllm", "laser_verl.core")
print(json.dumps([sorted(report()["registered"]), [name for name in sys.modules if name.startswith(later)]]))
sys.modules["laser_verl.verl_ext.reward_manager"] = None
try:
    import verl.experimental.reward_loop.reward_manager
except ImportError:
    print(json.dumps(["raised", sorted(report()["failed"])]))
"""
    finished = python(code)
    at_import, afterwards = map(json.loads, finished.stdout.splitlines()[-2:])
    assert at_import == [["platforms"], []]
    assert afterwards == ["raised", ["reward_managers"]]
    assert "ERROR" in finished.stderr
    assert "could not register its reward managers" in finished.stderr


def test_without_the_cpu_platform_nothing_of_verl_changes_and_our_modules_may_come_first() -> None:
    code = """
import importlib.metadata, json, sys, verl
ours = sorted(name for name in sys.modules if name.startswith("laser_verl"))
print(json.dumps([ours, importlib.metadata.version.__module__]))
import laser_verl.verl_ext.reward_manager
from laser_verl.verl_ext.register import report
print(json.dumps(report()))
"""
    finished = python(code, VERL_PLATFORM="nvidia")
    at_import, afterwards = map(json.loads, finished.stdout.splitlines()[-2:])
    assert at_import == [
        ["laser_verl", "laser_verl.verl_ext", "laser_verl.verl_ext.register"],
        "importlib.metadata",
    ]
    assert afterwards == {"registered": {"reward_managers": list(method_names())}, "failed": {}}


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


def test_verl_s_older_trainers_need_no_transfer_queue() -> None:
    code = """
import sys
sys.modules["transfer_queue"] = None
import verl.experimental.agent_loop
from laser_verl.verl_ext.register import report
print(report()["registered"]["agent_loops"], report()["failed"])
"""
    finished = python(code, VERL_PLATFORM="nvidia")
    assert finished.stdout.splitlines()[-1:] == ["['laser_seeded'] {}"], finished.stderr[-2000:]


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


def test_vllm_plugin_does_nothing_without_the_cpu_platform() -> None:
    code = "import sys; from laser_verl.verl_ext.vllm_cpu import register; register(); print('vllm' in sys.modules)"
    assert python(code, VERL_PLATFORM="").stdout.strip() == "False"

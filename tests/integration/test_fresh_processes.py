"""What fresh interpreters do with the plugin installed: importing verl, and `laser-verl check` as a program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from laser_verl.core import method_names

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

MODE = "trainer.v1.trainer_mode"


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
        [
            "laser_verl",
            "laser_verl.resolvers",
            *(f"laser_verl.verl_ext{module}" for module in ("", ".compat", ".logs", ".register")),
        ],
        "importlib.metadata",
    ]
    assert afterwards == {"registered": {"reward_managers": list(method_names())}, "failed": {}}


def test_verl_s_older_trainers_need_no_transfer_queue() -> None:
    code = """
import sys
sys.modules["transfer_queue"] = None
import verl.experimental.agent_loop
from laser_verl.verl_ext.register import report
print(report()["registered"]["agent_loops"], report()["failed"])
"""
    finished = python(code, VERL_PLATFORM="nvidia")
    assert finished.stdout.splitlines()[-1:] == ["['laser_seeded', 'laser_limited'] {}"], finished.stderr[-2000:]


def test_command_prints_json_and_exits_with_one_on_mistakes(good: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "laser_verl", "check", *good]
    bad = subprocess.run([*command, "trainer.use_v1=false", "--json"], capture_output=True, text=True, cwd=tmp_path)
    assert bad.returncode == 1
    found = json.loads(bad.stdout)
    assert found["ok"] is False
    assert [error["field"] for error in found["errors"]] == ["trainer.use_v1"]
    assert "set it true" in found["errors"][0]["message"]
    assert found["active"]["method"] == "laser_d"


def test_registered_trainer_mode_of_others_is_looked_up(good: list[str], tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(
        "from verl.trainer.ppo.v1.trainer_base import PPOTrainer, register_trainer\n"
        "register_trainer('sync_plus')(type('Theirs', (PPOTrainer,), {}))\n"
    )
    modules = {"VERL_USE_EXTERNAL_MODULES": "laser_verl.verl_ext.register,theirs", "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "laser_verl", "check", *good, f"{MODE}=sync_plus", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, **modules})
    found = json.loads(done.stdout)
    assert found["errors"] == []
    assert any("sync_plus is neither verl's nor ours" in note for note in found["active"]["notes"])


def test_vllm_plugin_does_nothing_without_the_cpu_platform() -> None:
    code = "import sys; from laser_verl.verl_ext.vllm_cpu import register; register(); print('vllm' in sys.modules)"
    assert python(code, VERL_PLATFORM="").stdout.strip() == "False"

"""The commands of `examples/run_*.sh`, as `DRY_RUN=1` prints them, before the real check of a run."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import DictConfig

from laser_verl.verl_ext import checks
from laser_verl.verl_ext.checks import Report, check
from tests.contract.preset_runs import arguments, composed, write_data, write_hub_cache

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

LAUNCHED = {
    "run_laser_d_1.5b_fsdp.sh": {},
    "run_laser_d_7b_megatron.sh": {},
    "run_laser_d_moe_megatron.sh": {},
    "run_laser_d_async.sh": {},
    "run_laser_d_async.sh separate": {"MODE": "separate_async"},
    "run_laser_d_lora.sh": {},
    "run_laser_d_sglang.sh": {},
    "run_laser_d_cpu.sh": {},
    "run_laser_d_1.5b_fsdp.sh kimi on 8 x 8": {"METHOD": "kimi", "HARDWARE": "8x8", "BACKEND": "fsdp2"},
    "run_laser_d_async.sh separate, small": {"MODE": "separate_async", "DEVICE": "cpu"},
    "run_laser_d_lora.sh small": {"DEVICE": "cpu"},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    made = write_data(tmp_path_factory.mktemp("data"))
    return {"TRAIN_FILES": made["data.train_files"], "VAL_FILES": made["data.val_files"]}


@pytest.fixture(scope="module")
def hub_cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    cache = tmp_path_factory.mktemp("hub")
    write_hub_cache(cache)
    return str(cache)


def overrides(name: str, data: dict[str, str], out: Path) -> list[str]:
    """What follows the config's name in the command that a dry run prints."""
    kept = {"HOME": os.environ["HOME"], "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", str(EXAMPLES / name.split()[0])],
        env=kept | data | {"OUT": str(out), "DRY_RUN": "1"} | LAUNCHED[name],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    words = shlex.split(done.stdout.replace("\\\n", ""))
    return words[words.index("--config-name=laser_verl") + 1 :]


def composes(name: str, data: dict[str, str], out: Path) -> tuple[tuple[str, ...], DictConfig]:
    given = tuple(overrides(name, data, out))
    return given, composed(*given)


@pytest.mark.parametrize("name", LAUNCHED)
def test_the_printed_command_passes_the_check(
    name: str, data: dict[str, str], hub_cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", hub_cache)
    given, config = composes(name, data, tmp_path)
    monkeypatch.setattr(checks, "compose_config", lambda _, __: config.copy())
    report: Report = check(arguments(*given))
    assert report.mistakes == []
    assert report.active["method"] == LAUNCHED[name].get("METHOD", "laser_d")


def test_a_launcher_has_the_papers_settings(data: dict[str, str], tmp_path: Path) -> None:
    _, config = composes("run_laser_d_1.5b_fsdp.sh", data, tmp_path)
    actor = config.actor_rollout_ref.actor
    assert (config.data.train_batch_size, actor.ppo_mini_batch_size, config.actor_rollout_ref.rollout.n) == (128, 64, 8)
    assert (actor.optim.lr, actor.clip_ratio_high, actor.entropy_coeff) == (1e-6, 0.28, 0.001)
    assert (config.trainer.nnodes, config.trainer.n_gpus_per_node) == (1, 8)
    # so that the same command goes on from its checkpoints
    assert config.trainer.resume_mode == "auto"
    assert config.trainer.save_freq > 0


def test_megatron_launchers_split_the_model(data: dict[str, str], tmp_path: Path) -> None:
    _, dense = composes("run_laser_d_7b_megatron.sh", data, tmp_path)
    _, moe = composes("run_laser_d_moe_megatron.sh", data, tmp_path)
    assert dense.actor_rollout_ref.actor.strategy == moe.actor_rollout_ref.actor.strategy == "megatron"
    assert dense.actor_rollout_ref.actor.megatron.tensor_model_parallel_size == 4
    assert moe.actor_rollout_ref.actor.megatron.expert_model_parallel_size == 8
    assert moe.trainer.nnodes == 4


def test_lora_and_sglang_are_what_their_launchers_say(data: dict[str, str], tmp_path: Path) -> None:
    _, lora = composes("run_laser_d_lora.sh", data, tmp_path)
    assert (lora.actor_rollout_ref.model.lora_rank, lora.actor_rollout_ref.actor.optim.lr) == (64, 1e-5)
    _, sglang = composes("run_laser_d_sglang.sh", data, tmp_path)
    assert sglang.actor_rollout_ref.rollout.name == "sglang"

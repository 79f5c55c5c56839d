"""`examples/run_*.sh`: the arguments that a program in the place of Python gets, and what they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from laser_verl.core import method_names

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CONFIGS = EXAMPLES.parent / "configs"
LAUNCHERS = sorted(path.name for path in EXAMPLES.glob("run_*.sh"))
ON_GPUS = [name for name in LAUNCHERS if name != "run_laser_d_cpu.sh"]
FSDP = "run_laser_d_1.5b_fsdp.sh"

# Python for the files beside the launchers and the list of methods, and a printer of arguments for everything else.
PYTHON = f"""#!/bin/sh
case "$1 $2 $3" in */examples/*.py*|"-m laser_verl methods") exec {sys.executable} "$@" ;; esac
printf '%s\\n' python3 "$@"
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "python3").write_text(PYTHON)
    (folder / "python3").chmod(0o755)
    # a clone that is sent to a cluster brings no programs
    (folder / "laser-verl").write_text("#!/bin/sh\nexit 127\n")
    (folder / "laser-verl").chmod(0o755)
    return folder


def environment(programs: Path, **variables: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return kept | {"PATH": f"{programs}:{kept['PATH']}", "OUT": str(programs.parent / "out")} | variables


def call(programs: Path, launcher: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(EXAMPLES / launcher), *arguments],
        env=environment(programs, **variables),
        cwd=programs.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )


def words(programs: Path, launcher: str, *arguments: str, **variables: str) -> list[str]:
    data = {} if variables.get("DEVICE") == "cpu" else {"TRAIN_FILES": "a.parquet", "VAL_FILES": "b.parquet"}
    done = call(programs, launcher, *arguments, **data | variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def refusal(programs: Path, launcher: str, **variables: str) -> str:
    data = {"TRAIN_FILES": "a.parquet", "VAL_FILES": "b.parquet"}
    done = call(programs, launcher, **data | variables)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


def value(found: list[str], key: str) -> str:
    """What an override ends up with: the last one counts."""
    return [word.partition("=")[2] for word in found if word.lstrip("+").startswith(f"{key}=")][-1]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_help_is_one_page_and_runs_nothing(programs: Path, launcher: str) -> None:
    done = call(programs, launcher, "--help")
    assert done.returncode == 0
    assert done.stdout == call(programs, launcher, "-h").stdout
    lines = done.stdout.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 120
    assert not any(line.startswith(("#", "python3")) for line in lines)
    assert f"examples/{launcher}" in done.stdout
    for knob in ("TRAIN_FILES", "METHOD", "MODEL", "HARDWARE", "DRY_RUN=1", "CHECK=1", "DEVICE=cpu"):
        assert knob in done.stdout


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_every_knob_of_a_launcher_is_in_its_help(programs: Path, launcher: str) -> None:
    knobs = re.findall(r"^([A-Z_]+)=\$\{\1:-", (EXAMPLES / launcher).read_text(), re.MULTILINE)
    assert knobs
    page = call(programs, launcher, "-h").stdout
    assert [knob for knob in knobs if knob not in page] == []


@pytest.mark.parametrize("launcher", ON_GPUS)
def test_a_launcher_trains_with_presets_that_exist(programs: Path, launcher: str) -> None:
    found = words(programs, launcher, "trainer.total_epochs=1")
    assert found[:3] == ["python3", "-m", "verl.trainer.main_ppo"]
    assert {f"--config-path={CONFIGS}", "--config-name=laser_verl", "data.train_files=a.parquet"} <= set(found)
    for group in ("method", "model", "backend", "hardware", "paper"):
        assert (CONFIGS / group / f"{value(found, group)}.yaml").is_file()
    assert found[-1] == "trainer.total_epochs=1"


@pytest.mark.parametrize("launcher", ON_GPUS)
@pytest.mark.parametrize("missing", ["TRAIN_FILES", "VAL_FILES"])
def test_missing_data_is_said(programs: Path, launcher: str, missing: str) -> None:
    message = refusal(programs, launcher, **{missing: ""})
    assert message.startswith(f"{launcher}: {missing} is not set; give a verl parquet")


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_check_gets_what_the_training_would(programs: Path, launcher: str) -> None:
    device = {"DEVICE": "cpu"} if launcher not in ON_GPUS else {}
    checked = words(programs, launcher, **device, CHECK="1")
    assert checked[:4] == ["python3", "-m", "laser_verl", "check"]
    assert checked[4:] == words(programs, launcher, **device)[3:]


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize("device", ["gpu", "cpu"])
def test_a_dry_run_prints_the_very_command(programs: Path, launcher: str, device: str) -> None:
    if "megatron" in launcher and device == "cpu":
        pytest.skip("its stand-ins are not for the installed package alone")
    strange = {"DEVICE": device, "OUT": str(programs.parent / "it's a=folder, {x}")}
    arguments = ("~critic", "trainer.logger=[console, 'file']")
    printed = words(programs, launcher, *arguments, **strange, DRY_RUN="1")
    assert all(line.endswith(" \\") for line in printed[:-1])
    pasted = subprocess.run(
        ["bash", "-c", "\n".join(printed)], env=environment(programs), capture_output=True, text=True, check=True
    )
    assert pasted.stdout.splitlines() == words(programs, launcher, *arguments, **strange)


@pytest.mark.parametrize("method", method_names())
def test_a_method_is_set_by_its_preset_or_by_its_name(programs: Path, method: str) -> None:
    has_preset = (CONFIGS / "method" / f"{method}.yaml").is_file()
    found = words(programs, FSDP, METHOD=method)
    chosen = [word for word in found if word.startswith(("method=", "~method", "reward.reward_manager"))]
    assert chosen == ([f"method={method}"] if has_preset else ["~method", f"reward.reward_manager.name={method}"])
    assert value(found, "trainer.experiment_name") == f"{method}_1.5b_fsdp"


def test_a_method_of_another_package_is_set_by_its_name(programs: Path) -> None:
    record = '[{"name": "half_price", "set_by": "reward.reward_manager.name"}]'
    listed = PYTHON.replace(f'exec {sys.executable} "$@"', f"echo '{record}'; exit")
    (programs / "python3").write_text(listed)
    found = words(programs, FSDP, METHOD="half_price")
    assert {"~method", "reward.reward_manager.name=half_price"} <= set(found)


def test_an_unknown_method_is_refused_with_the_closest(programs: Path) -> None:
    message = refusal(programs, FSDP, METHOD="lazer_d")
    assert "did you mean 'laser_d'?" in message
    assert "METHOD=lazer_d is not known" in message


def test_an_advantage_rule_is_no_method(programs: Path) -> None:
    assert "add algorithm.adv_estimator=dler" in refusal(programs, FSDP, METHOD="dler")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"HARDWARE": "8"}, "HARDWARE=8; give nodes x GPUs of each, e.g. 2x8"),
        ({"HARDWARE": "0x8"}, "HARDWARE=0x8; give nodes x GPUs"),
        ({"BACKEND": "fsdp3"}, "BACKEND=fsdp3; give one of: cpu fsdp fsdp2 megatron megatron_moe"),
        ({"DEVICE": "tpu"}, "DEVICE=tpu; give gpu or cpu"),
    ],
)
def test_a_wrong_knob_is_refused(programs: Path, variables: dict[str, str], message: str) -> None:
    assert message in refusal(programs, FSDP, **variables)


def test_nodes_without_a_preset_are_set_by_number(programs: Path) -> None:
    assert "hardware=2x8" in words(programs, FSDP, HARDWARE="2x8")
    found = words(programs, FSDP, HARDWARE="3x4")
    assert {"trainer.nnodes=3", "trainer.n_gpus_per_node=4"} <= set(found)
    assert not any(word.startswith("hardware=") for word in found)


def test_a_checkpoint_takes_the_sizes_of_the_launchers_model(programs: Path) -> None:
    found = words(programs, FSDP, MODEL="/models/my own")
    assert value(found, "model") == "r1_distill_qwen_1.5b"
    assert value(found, "actor_rollout_ref.model.path") == "'/models/my own'"
    assert value(words(programs, FSDP, MODEL="qwen3_4b"), "model") == "qwen3_4b"


def test_separate_async_asks_for_nodes_of_its_own(programs: Path) -> None:
    found = words(programs, "run_laser_d_async.sh", MODE="separate_async", ROLLOUT_HARDWARE="2x4")
    assert value(found, "trainer.v1.trainer_mode") == "separate_async"
    assert value(found, "actor_rollout_ref.rollout.nnodes") == "2"
    assert value(found, "actor_rollout_ref.rollout.n_gpus_per_node") == "4"
    assert value(found, "actor_rollout_ref.rollout.checkpoint_engine.backend") == "nccl"
    colocated = words(programs, "run_laser_d_async.sh")
    assert value(colocated, "trainer.v1.trainer_mode") == "colocate_async"
    assert not any("rollout.nnodes" in word for word in colocated)
    assert "MODE=sync; give" in refusal(programs, "run_laser_d_async.sh", MODE="sync")


def test_a_small_run_joins_a_cluster_only_where_it_is_named(programs: Path) -> None:
    alone = words(programs, FSDP, DEVICE="cpu", DRY_RUN="1")
    assert "  RAY_ADDRESS=local \\" in alone
    joined = words(programs, FSDP, DEVICE="cpu", RAY_ADDRESS="10.0.0.1:6379", HARDWARE="2x1")
    assert value(joined, "trainer.nnodes") == "2"
    assert value(joined, "ray_kwargs.ray_init.num_gpus") == "null"
    # workers of a cluster that runs have an environment of their own
    assert value(joined, "ray_kwargs.ray_init.runtime_env.env_vars.VERL_PLATFORM") == "'cpu'"
    assert not any("env_vars.VERL_PLATFORM" in word for word in alone)


def test_a_small_run_scales_the_method_down(programs: Path) -> None:
    found = words(programs, FSDP, DEVICE="cpu", METHOD="laser")
    assert value(found, "reward.reward_kwargs.target_length") == "24"
    assert {"model=tiny_cpu", "hardware=cpu", "trainer.total_training_steps=2"} <= set(found)
    data = [Path(value(found, f"data.{name}_files")) for name in ("train", "val")]
    assert all(path.is_file() for path in data)
    assert value(words(programs, "run_laser_d_cpu.sh"), "trainer.total_training_steps") == "20"


def test_shellcheck_finds_nothing() -> None:
    program = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        pytest.skip("shellcheck is not installed")
    scripts = sorted(str(path) for kind in ("*.sh", "*.sbatch") for path in EXAMPLES.rglob(kind))
    assert len(scripts) >= len(LAUNCHERS) + 3
    done = subprocess.run([program, "-x", *scripts], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


SCRIPTS = sorted([*EXAMPLES.rglob("*.sh"), *EXAMPLES.rglob("*.sbatch")])


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_stop_at_the_first_error(path: Path) -> None:
    if path.name != "common.sh":
        assert "\nset -euo pipefail\n" in path.read_text()
        assert path.read_text().startswith("#!/usr/bin/env bash\n")
        assert os.access(path, os.X_OK)

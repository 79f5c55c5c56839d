"""The command line of a quickstart: what a user would type."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString

import laser_verl
from laser_verl.commands import WrongUsage
from laser_verl.core.registry import describe
from laser_verl.quickstart.plan import Plan, Stage
from laser_verl.quickstart.world import knows_think_tags

# Options of methods, on the scale of the miniature world and of a model of one's own; a method gets those that it has.
_SCALES: Mapping[str, tuple[Any, Any]] = {
    "target_length": (24, 128),
    "lower_bound": (8, 32),
    "interval": (4, 16),
    "window": (64, 64),
    "update_every": (5, 2),
    "limit_easy": (16, 96),
    "limit_hard": (40, 192),
    "stages": ([40, 24], [256, 128]),
    "starts": ([0, 35], [0, 4]),
    "longest": (64, 256),
    "shortest": (24, 128),
    "period": (20, 8),
    "buffer": (32, 64),
    "context_length": (128, 256),
}
_OWN_PROMPT_TOKENS = 512
_OWN_RESPONSE_TOKENS = 256


def config_folder() -> Path:
    """The folder of the presets: in the package where it was installed from a wheel, beside it in a clone."""
    package = Path(laser_verl.__file__).parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def environment(plan: Plan, metrics: Path) -> dict[str, str]:
    """The variables that the training needs besides those of the shell.

    Args:
        plan: The plan.
        metrics: File for verl's file logger.

    Returns:
        Names and values.
    """
    variables = {
        "VERL_PLATFORM": "cpu",
        "VERL_FILE_LOGGER_PATH": str(metrics),
        "VLLM_CPU_KVCACHE_SPACE": "4" if plan.is_own else "1",
        "HYDRA_FULL_ERROR": "1",
        "HF_HUB_OFFLINE": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    if plan.nodes == 1:
        # not a cluster that somebody else started on this machine
        variables["RAY_ADDRESS"] = "local"
    return variables


def arguments(plan: Plan, stage: Stage) -> list[str]:
    """The program and its arguments.

    Args:
        plan: The plan.
        stage: FRESH or RESUME to train, EVALUATE for the last evaluation alone.

    Returns:
        The words of the command line.
    """
    return [*_program(plan), *_settings(plan), *_outputs(plan.out), *_evaluations(plan, stage)]


def as_shell(plan: Plan) -> str:
    """The whole training as text to be pasted into a shell and changed by hand.

    Args:
        plan: The plan.

    Returns:
        One command over several lines. It writes to a folder of its own, so that it starts from step 0 and leaves the
        results of the quickstart alone.
    """
    by_hand = plan.out / "by_hand"
    variables = [f"{name}={shlex.quote(value)}" for name, value in environment(plan, by_hand / "metrics.jsonl").items()]
    settings = [*_settings(plan), *_outputs(by_hand)]
    lines = [
        f"mkdir -p {shlex.quote(str(by_hand))} &&",
        " ".join(variables),
        shlex.join(_program(plan)),
        *map(shlex.quote, settings),
    ]
    return " \\\n  ".join(lines)


def _program(plan: Plan) -> list[str]:
    trainer = [sys.executable, "-m", "verl.trainer.main_ppo"]
    if plan.nodes > 1:
        trainer = [sys.executable, "-m", "laser_verl.quickstart.nodes", str(plan.nodes), *trainer]
    return trainer


def _settings(plan: Plan) -> list[str]:
    return [
        f"--config-path={config_folder()}",
        "--config-name=quickstart",
        *_method(plan),
        _path("data.train_files", plan.train_file),
        _path("data.val_files", plan.held_out_file),
        f"data.seed={plan.seed}",
        f"laser.seed={plan.seed}",
        _path("actor_rollout_ref.model.path", plan.base),
        *(_own_sizes(plan.base) if plan.is_own else []),
        f"trainer.total_training_steps={plan.steps}",
        *_nodes(plan),
    ]


def _outputs(folder: Path) -> list[str]:
    return [
        _path("trainer.default_local_dir", folder / "checkpoints"),
        _path("trainer.rollout_data_dir", folder / "rollouts"),
        _path("trainer.validation_data_dir", folder / "evaluation"),
        _path("hydra.run.dir", folder / "hydra"),
    ]


def _path(key: str, path: Path) -> str:
    """An override that Hydra reads as this very path, whatever is in its name."""
    text = str(path)
    if re.fullmatch(r"[A-Za-z0-9/._-]+", text):
        return f"{key}={text}"
    return f"{key}={QuotedString(text, Quote.single).with_quotes()}"


def small_options(method: str, is_own: bool) -> dict[str, Any]:
    """Options that scale a method down to a small run.

    Args:
        method: its name.
        is_own: for a model of one's own, in place of the miniature world.

    Returns:
        Names and values, of `laser` in the miniature world `{"target_length": 24}`.
    """
    known = describe(method).options
    return {name: own if is_own else world for name, (world, own) in _SCALES.items() if name in known}


def _method(plan: Plan) -> list[str]:
    options = small_options(plan.method, plan.is_own)
    if plan.is_own and not knows_think_tags(plan.base):
        options["thinking"] = "boxed"
    if plan.data is not None:
        options["scorers.default"] = "math"  # whatever their data_source
    return [
        f"reward.reward_manager.name={plan.method}",
        *(f"+reward.reward_kwargs.{name}={str(value).replace(' ', '')}" for name, value in options.items()),
    ]


def _own_sizes(model: Path) -> list[str]:
    """A step of an unknown model has to end within minutes on a laptop: few responses, of moderate length."""
    rollout = "actor_rollout_ref.rollout"
    actor = "actor_rollout_ref.actor"
    prompt_tokens = min(_OWN_PROMPT_TOKENS, _positions(model) - _OWN_RESPONSE_TOKENS)
    return [
        "data.train_batch_size=4",
        f"data.max_prompt_length={prompt_tokens}",
        f"data.max_response_length={_OWN_RESPONSE_TOKENS}",
        "data.filter_overlong_prompts=true",
        f"{rollout}.n=4",
        f"{rollout}.max_model_len={prompt_tokens + _OWN_RESPONSE_TOKENS}",
        f"{rollout}.max_num_seqs=16",
        f"{rollout}.log_prob_micro_batch_size_per_gpu=4",
        f"{actor}.ppo_mini_batch_size=4",
        f"{actor}.ppo_micro_batch_size_per_gpu=4",
        f"{actor}.optim.lr=1e-5",
        "trainer.save_freq=5",
    ]


def _positions(model: Path) -> int:
    """The longest text that a checkpoint can read."""
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    # multimodal checkpoints keep those of their language model apart
    found = config.get("max_position_embeddings") or config.get("text_config", {}).get("max_position_embeddings")
    positions = int(found or _OWN_PROMPT_TOKENS + _OWN_RESPONSE_TOKENS)
    if positions < 2 * _OWN_RESPONSE_TOKENS:
        raise WrongUsage(
            f"--model {model} reads max_position_embeddings={positions} tokens; give a checkpoint that reads at least "
            f"{2 * _OWN_RESPONSE_TOKENS}, half of them its response"
        )
    return positions


def _nodes(plan: Plan) -> list[str]:
    """A cluster that runs already decides how much it has."""
    if plan.nodes == 1:
        return []
    return [
        f"trainer.nnodes={plan.nodes}",
        "ray_kwargs.ray_init.num_cpus=null",
        "ray_kwargs.ray_init.num_gpus=null",
        "ray_kwargs.ray_init.include_dashboard=null",
    ]


def _evaluations(plan: Plan, stage: Stage) -> list[str]:
    if stage is Stage.EVALUATE:
        return ["trainer.val_only=true"]
    return ["trainer.val_before_train=false"] if plan.is_evaluated(0) else []

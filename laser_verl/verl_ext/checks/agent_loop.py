"""The agent loop: can its requests be seeded, and does our scorer understand what it writes."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from laser_verl.verl_ext.agent_loops import AGENT_LOOP, SEEDABLE, SINGLE_TURN
from laser_verl.verl_ext.checks.report import Report
from laser_verl.verl_ext.checks.scoring import needs_think
from laser_verl.verl_ext.settings import Settings

_ENGINE = "actor_rollout_ref.rollout.name"
_MULTI_TURN = "actor_rollout_ref.rollout.multi_turn.enable"
_OTHER_ENGINES = ("sglang", "trtllm")


def check_agent_loop(config: DictConfig, settings: Settings, report: Report) -> None:
    """Check the agent loop against what is ours.

    Args:
        config: The composed config.
        settings: Ours.
        report: Takes mistakes and notes.
    """
    loop = OmegaConf.select(config, AGENT_LOOP)
    if settings.plugin.seeded_rollout:
        _check_seeded(config, loop, report)
    turns = f"{AGENT_LOOP}={loop}" if loop not in SINGLE_TURN else None
    if OmegaConf.select(config, _MULTI_TURN):
        turns = turns or f"{_MULTI_TURN}=true"
    if turns and needs_think(config, settings):
        report.notes.append(
            f"{turns} may take several turns: a model that thinks in each writes several think blocks, and "
            f"thinking={settings.verification.thinking} calls all but one malformed; for such a model add "
            "+reward.reward_kwargs.thinking=boxed"
        )


def _check_seeded(config: DictConfig, loop: object, report: Report) -> None:
    field = "laser.seeded_rollout"
    if loop not in SEEDABLE:
        report.add(
            field,
            f"{field}=true seeds single-turn rollouts, but {AGENT_LOOP}={loop}; leave one of the two out",
        )
    engine = OmegaConf.select(config, _ENGINE)
    if engine in _OTHER_ENGINES:
        report.add(
            field,
            f"{field}=true seeds each request, which works with vllm only, but {_ENGINE}={engine}; leave {field} out, "
            f"or give {_ENGINE}=vllm",
        )

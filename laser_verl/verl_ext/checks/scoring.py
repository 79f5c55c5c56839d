"""Who scores a response: our scorer, a user's function, a reward model, or the agent loop itself."""

from __future__ import annotations

import enum

from omegaconf import DictConfig, OmegaConf

from laser_verl.verl_ext.agent_loops import AGENT_LOOP, SINGLE_TURN
from laser_verl.verl_ext.checks.report import Report
from laser_verl.verl_ext.settings import Settings, has_function, has_reward_model_only, names_our_manager

# None of these sets reward_score, which would keep verl from asking the reward manager.
_LOOPS_THAT_NEVER_SCORE = (*SINGLE_TURN, "tool_agent")


class Golds(enum.Enum):
    """Whether somebody reads the gold answers of the rows."""

    READ = enum.auto()
    PERHAPS = enum.auto()
    UNREAD = enum.auto()


def is_by_us(config: DictConfig) -> bool:
    """Whether our scorer scores."""
    return names_our_manager(config) and not has_function(config) and not config.reward.reward_model.enable


def may_loop_score(config: DictConfig) -> bool:
    """Whether the default agent loop is one that may set the score itself."""
    return OmegaConf.select(config, AGENT_LOOP) not in _LOOPS_THAT_NEVER_SCORE


def who_reads_golds(config: DictConfig, settings: Settings | None) -> Golds:
    """Whether somebody reads the gold answers of the rows.

    Args:
        config: The composed config.
        settings: Ours, where the reward manager is.

    Returns:
        `UNREAD` with a reward model alone, `PERHAPS` where an agent loop may score and `correct_at` reads its score.
    """
    if has_reward_model_only(config):
        return Golds.UNREAD
    has_threshold = settings is not None and settings.verification.correct_at is not None
    return Golds.PERHAPS if has_threshold and may_loop_score(config) else Golds.READ


def needs_think(config: DictConfig, settings: Settings | None) -> bool | None:
    """Whether a response has to hold think tags.

    Args:
        config: The composed config.
        settings: Ours, where the reward manager is.

    Returns:
        None where nothing of ours reads the response, or a format of the user's does.
    """
    if settings is None or not is_by_us(config):
        return None
    return {"deepseek": True, "answer_tag": True, "boxed": False}.get(settings.verification.thinking)


def say(key: str, problem: str, golds: Golds, report: Report) -> None:
    """Report what keeps our scorers from scoring a row, a note where perhaps nobody asks them.

    Args:
        key: Config key of the data.
        problem: What is wrong.
        golds: Whether somebody reads the golds.
        report: Takes the mistake or the note.
    """
    if golds is Golds.PERHAPS:
        report.notes.append(f"{problem}; no matter if the agent loop sets every score itself")
    else:
        report.add(key, problem)

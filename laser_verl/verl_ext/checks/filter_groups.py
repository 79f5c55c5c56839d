"""DAPO's group filter, which verl applies to the scores of the reward workers, before our trainer shapes them."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from laser_verl.core.checks import unknown
from laser_verl.verl_ext.checks.report import Report
from laser_verl.verl_ext.checks.scoring import may_loop_score
from laser_verl.verl_ext.reward_row import OWN_SCORE, SCORED_BY
from laser_verl.verl_ext.settings import Settings, has_function, has_reward_model_only

_NODE = "algorithm.filter_groups"
_SAMPLER = "trainer.v1.sampler.custom_sampler"
_POOL = "reward.reward_model.enable_resource_pool"

# verl reads "reward" from rm_scores, everything else from reward_extra_info.
_REWARD = "reward"
OUR_KEYS = (
    "acc",
    "answer_correct",
    "well_formed",
    "repetitive",
    "truncated",
    "task_score",
    "score",
    "response_length",
    OWN_SCORE,
    *SCORED_BY,
)
"""What our reward manager sends along with every response."""


def check_filter_groups(config: DictConfig, settings: Settings, is_shaped_on_driver: bool, report: Report) -> None:
    """Check the filter's metric, and say what filtering before shaping costs.

    Args:
        config: The composed config.
        settings: Ours.
        is_shaped_on_driver: Whether our trainer shapes, rather than the reward workers.
        report: Takes mistakes and notes.
    """
    if not OmegaConf.select(config, f"{_NODE}.enable") or _has_own_sampler(config):
        return
    metric = OmegaConf.select(config, f"{_NODE}.metric")
    _check_metric(config, metric, report)
    if config.reward.reward_model.enable and not OmegaConf.select(config, _POOL):
        report.add(
            f"{_NODE}.enable",
            f"{_NODE}.enable=true needs each score when its response ends, and {_POOL}=false gives it later; set "
            f"{_POOL}=true or {_NODE}.enable=false",
        )
    is_after_shaping = metric == _REWARD and not is_shaped_on_driver
    tells_right_from_wrong = metric != "response_length" and not has_reward_model_only(config)
    if tells_right_from_wrong and not is_after_shaping and not report.names(f"{_NODE}.metric"):
        report.notes.append(
            f"{_NODE}.enable=true drops every group whose responses have the same {metric}, and does so before "
            f"{settings.method} shapes: prompts that are always right, where shortening pays most, never get a length "
            f"reward; give {_NODE}.enable=false to keep them"
        )


def _has_own_sampler(config: DictConfig) -> bool:
    return all(OmegaConf.select(config, f"{_SAMPLER}.{name}") for name in ("path", "name"))


def _check_metric(config: DictConfig, metric: object, report: Report) -> None:
    """A metric that no response carries ends the run when the first group is finished."""
    key = f"{_NODE}.metric"
    if not metric:
        report.add(key, f"{key} has no value; give one, e.g. {key}={_REWARD}")
    elif has_reward_model_only(config):
        if metric != _REWARD:
            report.add(key, f"{key}={metric}, but a reward model gives the score alone; give {key}={_REWARD}")
    elif not has_function(config) and not may_loop_score(config) and metric not in (_REWARD, *OUR_KEYS):
        report.add(key, f"{key}: " + unknown("metric", metric, (_REWARD, *OUR_KEYS)))

"""Configs that compose and that would end a run late: refused alike by `laser-verl check` and by the run itself."""

from __future__ import annotations

from collections.abc import Iterable

from omegaconf import DictConfig, OmegaConf

from laser_verl.core.framework import Need
from laser_verl.verl_ext.columns import USES_THINKING
from laser_verl.verl_ext.sampler_settings import WORKERS, SamplerSettings, TrackerSettings, has_sampler
from laser_verl.verl_ext.settings import GDPO, Plugin, Settings, advantage_rule, has_reward_model_only


class Refused(ValueError):
    """A value that no run can go on with.

    Attributes:
        field: its key in the config.
    """

    def __init__(self, field: str, message: str) -> None:
        """Keep both as arguments, by which an exception travels between processes."""
        super().__init__(field, message)
        self.field = field

    def __str__(self) -> str:
        """Say who refuses."""
        return f"laser_verl: {self.args[1]}"


def refuse_unread_rule(config: DictConfig, plugin: Plugin) -> None:
    """Refuse an advantage rule of ours, or options of one, beside a reward manager that is none of ours.

    Args:
        config: the run's config.
        plugin: its keys under ``laser``.

    Raises:
        Refused: such a rule would find no verdicts, and nobody would read its options.
    """
    rule, name = advantage_rule(config), config.reward.reward_manager.name
    if rule not in (None, GDPO):
        raise Refused(
            "algorithm.adv_estimator",
            f"algorithm.adv_estimator={rule} reads the verdicts on whole groups, which a stock trainer does not pass "
            f"on, and reward.reward_manager.name={name} is none of laser_verl; name one that is, e.g. "
            "reward.reward_manager.name=none for plain correctness",
        )
    if plugin.advantage:
        raise Refused(
            "laser.advantage",
            f"laser.advantage={dict(plugin.advantage)} is for an advantage rule of laser_verl, and nobody reads it "
            f"under reward.reward_manager.name={name}; leave it out, or name a reward manager of laser_verl, e.g. "
            "reward.reward_manager.name=none for plain correctness",
        )


def refuse_stock_sampler(config: DictConfig) -> None:
    """Refuse a sampler of ours under a stock trainer.

    Args:
        config: the run's config.

    Raises:
        Refused: there is one, which nobody would ask for prompts.
    """
    if has_sampler(config):
        raise Refused(
            "laser.auto_mode",
            "laser.sampler draws prompts for our trainer, and laser.auto_mode=false leaves the stock one in place; "
            "leave it out",
        )


def refuse_workers(config: DictConfig, sampler: SamplerSettings | None) -> None:
    """Refuse processes that read training data ahead of what an adaptive policy learns.

    Args:
        config: the run's config.
        sampler: ours.

    Raises:
        Refused: the policy follows the training, and the data loader has workers.
    """
    workers = OmegaConf.select(config, WORKERS)
    if sampler is not None and workers and sampler.build_policy().is_adaptive:
        raise Refused(
            WORKERS,
            f"{WORKERS}={workers} would draw prompts ahead of what the policy {sampler.policy} learns from the "
            f"training; set {WORKERS}=0",
        )


def refuse_filtered_groups(config: DictConfig, sampler: SamplerSettings | None) -> None:
    """Refuse verl's group filter beside a policy that follows the training.

    Args:
        config: the run's config.
        sampler: ours.

    Raises:
        Refused: verl would drop the groups that are solved in full or not at all before the tracker sees them.
    """
    key = "algorithm.filter_groups.enable"
    if sampler is not None and OmegaConf.select(config, key) and sampler.build_policy().is_adaptive:
        raise Refused(
            key,
            f"{key}=true drops groups that are solved in full, or not at all, before the tracker sees them, and the "
            f"policy {sampler.policy} would draw their prompts again and again; set {key}=false, or take a policy of a "
            "fixed order, e.g. uniform",
        )


def refuse_unknown_verdicts(config: DictConfig, tracker: TrackerSettings) -> None:
    """Refuse a reward model's scores where nothing says which of them count as correct, under another reward manager.

    Args:
        config: the run's config.
        tracker: ours, of a run whose rewards stay as they are.

    Raises:
        Refused: always so, without ``laser.tracker.correct_at``.
    """
    if has_reward_model_only(config) and tracker.correct_at is None:
        raise Refused(
            "laser.tracker.correct_at",
            "reward.reward_model.enable=true gives scores, and the tracker has to know which responses are correct; "
            "say from which score on: +laser.tracker.correct_at=0.5",
        )


def refuse_groups_of_one(settings: Settings, needs: Iterable[Need]) -> None:
    """Refuse a single response per prompt where responses are compared.

    Args:
        settings: ours.
        needs: what the method has to see.

    Raises:
        Refused: the groups are of one response, and method or advantage rule compare.
    """
    has_siblings = settings.context.group_size != 1
    if not has_siblings and (settings.advantage_rule is not None or {Need.GROUP, Need.BATCH} & set(needs)):
        raise Refused(
            "actor_rollout_ref.rollout.n",
            f"actor_rollout_ref.rollout.n=1 gives {settings.advantage_rule or settings.method} groups of one response, "
            "which have no siblings to compare with and are either easy or hard; give at least 3, e.g. "
            "actor_rollout_ref.rollout.n=8",
        )


def refuse_scores_without_threshold(config: DictConfig, settings: Settings) -> None:
    """Refuse a reward model's scores where nothing says which of them count as correct.

    Args:
        config: the run's config.
        settings: ours.

    Raises:
        Refused: always so, without ``correct_at``.
    """
    if has_reward_model_only(config) and settings.verification.correct_at is None:
        raise Refused(
            "reward.reward_kwargs.correct_at",
            "reward.reward_model.enable=true gives scores, and a length reward has to know which responses are "
            "correct; say from which score on: +reward.reward_kwargs.correct_at=0.5",
        )


def refuse_unknown_thinking(config: DictConfig, settings: Settings, columns: Iterable[str]) -> None:
    """Refuse a reward model's scores for a method that tells thinking responses from others.

    Args:
        config: the run's config.
        settings: ours.
        columns: what the method reads of a response.

    Raises:
        Refused: it reads whether a response thinks, and no reward worker looks.
    """
    if has_reward_model_only(config) and USES_THINKING in columns:
        raise Refused(
            "reward.reward_model.enable",
            f"{settings.method} has to know which responses think, which a reward model does not say; leave out "
            "reward.reward_model.enable=true",
        )

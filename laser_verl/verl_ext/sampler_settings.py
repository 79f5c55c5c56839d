"""What a verl config asks of the difficulty tracker and of the sampler: ``+laser.tracker`` and ``+laser.sampler``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from laser_verl.core.checks import finite_number, unknown
from laser_verl.core.monitor import Monitoring
from laser_verl.core.policies.base import Policy, build_policy, policy_names
from laser_verl.core.sampler import EPSILON, explores
from laser_verl.core.tracker import DECAY, DifficultyTracker

if TYPE_CHECKING:
    from laser_verl.verl_ext.settings import Plugin

UNIFORM, SEQUENTIAL = "uniform", "sequential"
"""Policies that do what verl does with and without ``data.shuffle``."""

_SAMPLER, _TRACKER = "laser.sampler", "laser.tracker"
WORKERS = "data.dataloader_num_workers"
"""Key of verl's config: processes that read training data ahead."""


@dataclass(frozen=True)
class TrackerSettings:
    """The keys under ``+laser.tracker``."""

    decay: float = DECAY
    """What earlier batches keep of their weight in the pass rate of a prompt, 0 to 1."""

    key: str | None = None
    """Column of the data that names a prompt, ``extra_info.NAME`` for one inside; null takes data source, messages and
    gold answer together."""

    correct_at: float | None = None
    """From which score on a response counts as correct under a reward manager that is none of ours; null takes 1.0, and
    has to be given where a reward model scores."""

    def build(self) -> DifficultyTracker:
        """A tracker that knows no prompts."""
        return DifficultyTracker(self.decay)


@dataclass(frozen=True)
class SamplerSettings:
    """The keys under ``+laser.sampler``."""

    policy: str
    """Name of a policy; ``laser-verl policies`` lists them."""

    epsilon: float | None = None
    """Share of each batch that is drawn from all prompts in turn, so that none starves; null takes 0.05, or nothing
    under a policy of a fixed order and one that keeps prompts out on purpose."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """Those of the policy."""

    def build_policy(self) -> Policy:
        """The policy; raises ValueError with the remedy where an option is wrong."""
        return build_policy(self.policy, self.options)

    def epsilon_in_force(self) -> float:
        """The exploring share, 0 where the policy draws no prompts beside its own."""
        if not explores(self.build_policy()):
            return 0.0
        return EPSILON if self.epsilon is None else self.epsilon


def sampler_in_force(plugin: Plugin, monitoring: Monitoring | None, config: DictConfig) -> SamplerSettings | None:
    """The sampler of a run.

    Where none is named it is one of verl's own order, if a monitor set is kept out of the training, or a column names
    the prompts, which rows then have to carry along.

    Args:
        plugin: our keys in the config.
        monitoring: what the method monitors.
        config: the run's config.

    Returns:
        The settings; None where verl chooses the prompts.
    """
    is_excluding = monitoring is not None and monitoring.exclude
    if plugin.sampler is not None or (plugin.tracker.key is None and not is_excluding):
        return plugin.sampler
    return SamplerSettings(UNIFORM if config.data.get("shuffle") else SEQUENTIAL)


def has_sampler(config: DictConfig) -> bool:
    """Whether a run chooses its prompts by us."""
    return OmegaConf.select(config, _SAMPLER) is not None


def read_tracker(given: Mapping[str, Any]) -> TrackerSettings:
    """The checked keys under ``+laser.tracker``.

    Raises:
        ValueError: an unknown key, or a value that breaks its rule.
    """
    known = [item.name for item in fields(TrackerSettings)]
    for name in given:
        if name not in known:
            raise ValueError(f"laser_verl: {_TRACKER}: {unknown('option', name, known)}")
    settings = TrackerSettings(**given)
    if settings.key is not None and (not isinstance(settings.key, str) or not settings.key):
        raise ValueError(
            f"laser_verl: {_TRACKER}.key={settings.key!r} must be the name of a column, e.g. extra_info.index"
        )
    try:
        if settings.correct_at is not None:
            finite_number("correct_at", settings.correct_at, 1.0)
        settings.build()
    except ValueError as error:
        raise ValueError(f"laser_verl: {_TRACKER}.{error}") from error
    return settings


def read_sampler(given: Mapping[str, Any] | None) -> SamplerSettings | None:
    """The checked keys under ``+laser.sampler``; None where there are none.

    Raises:
        ValueError: there is no policy, or a value breaks its rule. Options of the policy are checked by
            :meth:`SamplerSettings.build_policy`.
    """
    if given is None:
        return None
    options = dict(given)
    policy, epsilon = options.pop("policy", None), options.pop("epsilon", None)
    if not isinstance(policy, str):
        raise ValueError(
            f"laser_verl: {_SAMPLER}.policy={policy!r} must be one of {', '.join(policy_names())}; "
            f"e.g. '+{_SAMPLER}={{policy: band_mix}}'"
        )
    settings = SamplerSettings(policy, epsilon, options)
    try:
        built = settings.build_policy()
        if epsilon is not None:
            _check_epsilon(epsilon, built)
    except ValueError as error:
        text = str(error)
        is_of_option = re.split(r"\W", text, maxsplit=1)[0] in given
        raise ValueError(f"laser_verl: {_SAMPLER}{'.' if is_of_option else ': '}{text}") from error
    return settings


def _check_epsilon(epsilon: Any, policy: Policy) -> None:
    if not 0 <= finite_number("epsilon", epsilon, EPSILON) <= 1:
        raise ValueError(f"epsilon={epsilon} must be a share from 0 to 1; give e.g. {EPSILON}")
    if not explores(policy):
        raise ValueError(
            f"epsilon={epsilon} has no effect with policy={policy.name}, which draws no prompts beside its own; leave "
            "out epsilon"
        )

"""What a verl config asks of laser_verl, read and checked once; needs omegaconf only."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from omegaconf import DictConfig, OmegaConf

from laser_verl.core.advantages.base import AdvantageRule, build_rule, rule_names
from laser_verl.core.framework import Context, Method, Need
from laser_verl.core.registry import build, method_names
from laser_verl.scoring.formats import reader
from laser_verl.scoring.scorer import LONGEST_SECONDS, REPETITION
from laser_verl.scoring.tasks import Scorers, read_scorers
from laser_verl.verl_ext.sampler_settings import (
    SamplerSettings,
    TrackerSettings,
    read_sampler,
    read_tracker,
)

STOCK_MODES = ("sync", "colocate_async", "separate_async")
"""verl's trainer modes that have a counterpart here, ``laser_<mode>``."""

GDPO = "gdpo"
"""The advantage rule that is verl's own; without our trainer it does what verl has it do."""

_KWARGS = "reward.reward_kwargs"


@dataclass(frozen=True)
class Verification:
    """How one response is verified: the part of ``reward.reward_kwargs`` that is not the method's."""

    thinking: str = "deepseek"
    """Name of a format of ``scoring.formats``; ``deepseek``: a ``<think>...</think>`` block, then a boxed answer."""

    scorers: Mapping[str, Any] = field(default_factory=dict)
    """Which scorer a ``data_source`` has: ``{SOURCE: ENTRY, default: ENTRY}``, beside those that are shipped."""

    repetition: str = "strict"
    """What finds loops; ``released_code`` is the official code's detector, for replaying its numbers only."""

    verify_timeout_seconds: float = 5.0
    """Wall-clock limit of one symbolic comparison."""

    correct_at: float | None = None
    """With a score in place of a verdict (``custom_reward_function`` that returns a float, or a reward model): the
    least score that counts as correct."""

    def read_scorers(self) -> Scorers:
        """The scorers; raises ValueError with the remedy where an entry is wrong."""
        return read_scorers(self.scorers, f"laser_verl: {_KWARGS}.scorers")


@dataclass(frozen=True)
class Plugin:
    """The keys under ``+laser``."""

    auto_mode: bool = True
    """Put our trainer of the same mode in the stock one's place."""

    seeded_rollout: bool = False
    """Seed each request by (seed, step, prompt, rollout), so that runs and resumed runs repeat."""

    seed: int = 0
    """The run's seed for ``seeded_rollout``."""

    poll_interval: float | None = None
    """Seconds between two looks at the replay buffer; null keeps verl's 2.0."""

    advantage: Mapping[str, Any] = field(default_factory=dict)
    """Options of the advantage rule that ``algorithm.adv_estimator`` names."""

    tracker: TrackerSettings = field(default_factory=TrackerSettings)
    """How prompts are told apart and their pass rates averaged."""

    sampler: SamplerSettings | None = None
    """How the prompts of a step are chosen; null leaves it to verl."""

    shape_on_driver: bool = False
    """Set by our trainer before it starts workers; not for users."""


@dataclass(frozen=True)
class Settings:
    """All that a verl config says to laser_verl."""

    method: str
    method_options: Mapping[str, Any]
    verification: Verification
    plugin: Plugin
    context: Context
    trainer_mode: str
    advantage_rule: str | None = None
    shapes: bool = True
    """False where the reward manager is none of ours, and its rewards stay as they are."""

    def build_method(self) -> Method:
        """The configured method; raises with the remedy where an option is wrong."""
        return build(self.method, self.method_options, self.context)

    def build_rule(self) -> AdvantageRule | None:
        """The configured advantage rule, None for one of verl's own; raises where an option is wrong."""
        if self.advantage_rule is not None:
            return build_rule(self.advantage_rule, self.plugin.advantage, self.context)
        if self.plugin.advantage:
            raise ValueError(
                f"laser_verl: laser.advantage={dict(self.plugin.advantage)} is for an advantage rule, and "
                f"algorithm.adv_estimator names none of {', '.join(rule_names())}; name one, or leave it out"
            )
        return None

    @property
    def needs_driver(self) -> bool:
        """Whether method or advantage rule look beyond the one response."""
        return self.advantage_rule is not None or bool(self.build_method().needs - {Need.RESPONSE, Need.PROMPT})


def names_our_manager(config: DictConfig) -> bool:
    """Whether ``reward.reward_manager.name`` is one of ours."""
    manager = config.reward.reward_manager
    return manager.get("source", "register") == "register" and manager.name in method_names()


def has_function(config: DictConfig) -> bool:
    """Whether a user's own function scores."""
    return bool(OmegaConf.select(config, "reward.custom_reward_function.path"))


def has_reward_model_only(config: DictConfig) -> bool:
    """Whether a reward model's score is taken as it is, with no reward manager asked."""
    return bool(config.reward.reward_model.enable) and not has_function(config)


def read_plugin(config: DictConfig) -> Plugin:
    """The checked keys under ``+laser``.

    Raises:
        ValueError: an unknown key, or a value of the wrong type.
    """
    given = _mapping("laser", config.get("laser"))
    _reject_unknown("laser", given, [f.name for f in fields(Plugin)])
    sampler = None if given.get("sampler") is None else _mapping("laser.sampler", given["sampler"])
    own = {
        "advantage": _mapping("laser.advantage", given.get("advantage")),
        "tracker": read_tracker(_mapping("laser.tracker", given.get("tracker"))),
        "sampler": read_sampler(sampler),
    }
    plugin = Plugin(**{**given, **own})
    for name in ("auto_mode", "seeded_rollout", "shape_on_driver"):
        if not isinstance(getattr(plugin, name), bool):
            raise ValueError(f"laser_verl: laser.{name}={getattr(plugin, name)!r} must be true or false")
    if isinstance(plugin.seed, bool) or not isinstance(plugin.seed, int) or plugin.seed < 0:
        raise ValueError(f"laser_verl: laser.seed={plugin.seed!r} must be an integer of 0 or more, e.g. +laser.seed=1")
    poll = plugin.poll_interval
    if poll is not None and (isinstance(poll, bool) or not isinstance(poll, int | float) or not 0 < poll <= 60):
        raise ValueError(f"laser_verl: laser.poll_interval={poll!r} must be seconds in (0, 60], e.g. 0.05")
    return plugin


def read_settings(config: DictConfig) -> Settings:
    """Read the config of a run whose reward manager is one of ours.

    Raises:
        ValueError: an unknown key under ``laser`` or a verification option of the wrong kind. Options of the method
            are checked by :meth:`Settings.build_method`.
    """
    kwargs = _mapping(_KWARGS, config.reward.get("reward_kwargs"))
    names = [f.name for f in fields(Verification)]
    verification = Verification(**{name: kwargs.pop(name) for name in names if name in kwargs})
    _check_verification(verification)
    return Settings(
        method=str(config.reward.reward_manager.name),
        method_options=kwargs,
        verification=verification,
        plugin=read_plugin(config),
        context=_context(config),
        trainer_mode=str(config.trainer.v1.trainer_mode),
        advantage_rule=advantage_rule(config),
    )


def read_observing_settings(config: DictConfig) -> Settings:
    """Read the config of a run that draws its prompts by us, and whose rewards are made by another reward manager."""
    plugin = read_plugin(config)
    return Settings(
        method="none",
        method_options={},
        verification=Verification(correct_at=1.0 if plugin.tracker.correct_at is None else plugin.tracker.correct_at),
        plugin=plugin,
        context=_context(config),
        trainer_mode=str(config.trainer.v1.trainer_mode),
        shapes=False,
    )


def _context(config: DictConfig) -> Context:
    return Context(
        group_size=int(config.actor_rollout_ref.rollout.n), max_response_length=int(config.data.max_response_length)
    )


def advantage_rule(config: DictConfig) -> str | None:
    """The advantage rule that ``algorithm.adv_estimator`` names; None for an estimator that is not among ours."""
    estimator = OmegaConf.select(config, "algorithm.adv_estimator")
    return str(estimator) if estimator in rule_names() else None


def line_to_add(settings: Settings) -> str:
    """What to add to a command in which a group method meets ``auto_mode=false``."""
    mode = settings.trainer_mode if settings.trainer_mode in STOCK_MODES else "sync"
    return f"trainer.v1.trainer_mode=laser_{mode}"


def refuse_group_method(settings: Settings) -> None:
    """Refuse a method that needs siblings where only single responses are seen.

    Raises:
        ValueError: always when the method needs more than the response; it holds the line to add.
    """
    if settings.advantage_rule is not None:
        raise ValueError(
            f"laser_verl: algorithm.adv_estimator={settings.advantage_rule} needs the verdicts, which the stock "
            f"trainer never sees; add {line_to_add(settings)} or leave out laser.auto_mode=false"
        )
    if settings.needs_driver:
        needs = ", ".join(sorted(settings.build_method().needs))
        raise ValueError(
            f"laser_verl: reward.reward_manager.name={settings.method} needs {needs}, which a reward worker of the "
            f"stock trainer never sees; add {line_to_add(settings)} or leave out laser.auto_mode=false"
        )


def _check_verification(verification: Verification) -> None:
    try:
        reader(verification.thinking)
    except ValueError as error:
        raise ValueError(f"laser_verl: {_KWARGS}.{error}") from error
    verification.read_scorers()
    if verification.repetition not in REPETITION:
        close = difflib.get_close_matches(str(verification.repetition), REPETITION, n=1)
        raise ValueError(
            f"laser_verl: {_KWARGS}.repetition={verification.repetition!r} is unknown; known: {', '.join(REPETITION)}"
            + (f"; did you mean {close[0]!r}?" if close else "")
        )
    seconds = verification.verify_timeout_seconds
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= LONGEST_SECONDS:
        raise ValueError(
            f"laser_verl: {_KWARGS}.verify_timeout_seconds={seconds!r} must be in (0, {LONGEST_SECONDS}], e.g. 5"
        )
    at = verification.correct_at
    if at is not None and (isinstance(at, bool) or not isinstance(at, int | float) or not math.isfinite(at)):
        raise ValueError(f"laser_verl: {_KWARGS}.correct_at={at!r} must be a finite number, e.g. 1.0")


def _mapping(field: str, node: Any) -> dict[str, Any]:
    if node is None:
        return {}
    plain = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    if not isinstance(plain, dict):
        raise ValueError(f"laser_verl: {field}={plain!r} must be a mapping of options, e.g. +{field}.NAME=VALUE")
    return {str(key): value for key, value in plain.items()}


def _reject_unknown(where: str, given: Mapping[str, Any], known: list[str]) -> None:
    public = [name for name in known if name != "shape_on_driver"]
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, public, n=1)
            hint = f"did you mean {where}.{close[0]}? " if close else ""
            raise ValueError(f"laser_verl: {where}.{name} is unknown; {hint}Known are {', '.join(public)}")

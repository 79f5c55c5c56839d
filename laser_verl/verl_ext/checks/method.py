"""Our own part of a config: reward manager, method, options, and which trainer takes the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from laser_verl.core.advantages.base import build_rule
from laser_verl.core.checks import unknown
from laser_verl.core.framework import Context, Method, Need
from laser_verl.core.registry import build, describe, method_names
from laser_verl.verl_ext.checks.agent_loop import check_agent_loop
from laser_verl.verl_ext.checks.filter_groups import check_filter_groups
from laser_verl.verl_ext.checks.functions import check_format, is_our_function
from laser_verl.verl_ext.checks.length_term import note_size_of_length_term
from laser_verl.verl_ext.checks.names import OUR_MODES
from laser_verl.verl_ext.checks.report import Report, each_mistake, shown, whole
from laser_verl.verl_ext.checks.scorers import check_entries, sound_entries
from laser_verl.verl_ext.checks.scoring import is_by_us
from laser_verl.verl_ext.refusals import (
    refuse_groups_of_one,
    refuse_scores_without_threshold,
    refuse_stock_sampler,
    refuse_unknown_thinking,
    refuse_unknown_verdicts,
    refuse_unread_rule,
)
from laser_verl.verl_ext.sampler_settings import has_sampler
from laser_verl.verl_ext.settings import (
    GDPO,
    STOCK_MODES,
    Plugin,
    Settings,
    Verification,
    advantage_rule,
    has_function,
    line_to_add,
    names_our_manager,
    read_plugin,
    read_settings,
)

_KWARGS = "reward.reward_kwargs"
_ESTIMATOR = "algorithm.adv_estimator"
_SIZES = ("actor_rollout_ref.rollout.n", "data.max_response_length")


def check_method(config: DictConfig, report: Report) -> Settings | None:
    """Check all that is ours in a config, and say what is active.

    Args:
        config: The composed config.
        report: Takes mistakes, notes and what is active.

    Returns:
        The settings; None where no reward manager of ours is named or its settings cannot be read.
    """
    plugin = _check_plugin(config, report) or Plugin()
    check_legacy_keys(config, report)
    mode = str(config.trainer.v1.trainer_mode)
    if not names_our_manager(config):
        _check_without_ours(config, plugin, mode, report)
        return None
    if config.trainer.use_v1 is not True:
        report.add(
            "trainer.use_v1",
            f"trainer.use_v1={shown(config.trainer.use_v1)}: the legacy trainer never calls laser_verl; set it true",
        )
    settings, method = _check_options(config, plugin, report)
    if settings is None:
        return None
    is_ours = mode in OUR_MODES or (mode in STOCK_MODES and settings.plugin.auto_mode)
    _say_active(settings, method, is_ours, mode, report)
    _check_group(settings, method, is_ours, report)
    if is_ours:
        _check_gdpo(config, report)
    else:
        with report.refusals():
            refuse_stock_sampler(config)
    check_filter_groups(config, settings, is_ours, report)
    check_agent_loop(config, settings, report)
    if method is not None:
        note_size_of_length_term(config, method, settings, report)
    _check_verdict_source(config, settings, method, report)
    check_entries(config, settings, report)
    if is_by_us(config):
        check_format(settings.verification.thinking, _KWARGS, report)
    return settings


def _check_plugin(config: DictConfig, report: Report) -> Plugin | None:
    node = config.get("laser")
    given = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    if given is not None and not isinstance(given, dict):
        report.add("laser", f"laser={given!r} must be a mapping; give e.g. +laser.auto_mode=true")
        return None
    if "shape_on_driver" in (given or {}):
        report.add("laser.shape_on_driver", "laser.shape_on_driver is set by the trainer itself; leave it out")
    plugin, found = each_mistake(lambda keys: read_plugin(OmegaConf.create({"laser": keys})), given or {})
    for name, message in found:
        report.add(f"laser.{name}".rstrip("."), message)
    return plugin


def check_legacy_keys(config: DictConfig, report: Report) -> None:
    """Refuse verl's old reward keys: they compose, and main_ppo ignores them."""
    moved = {
        "reward_model.reward_manager": "reward.reward_manager.name",
        "reward_model.enable": "reward.reward_model.enable",
        "reward_model.num_workers": "reward.num_workers",
        "reward_model.model.path": "reward.reward_model.model_path",
        "custom_reward_function.path": "reward.custom_reward_function.path",
        "custom_reward_function.name": "reward.custom_reward_function.name",
        "sandbox_fusion.url": "reward.sandbox_fusion.url",
    }
    for old, new in moved.items():
        value = OmegaConf.select(config, old)
        if value is not None:
            report.add(
                old, f"{old}={shown(value)} is a key of older verl that main_ppo ignores; write {new}={shown(value)}"
            )


def _check_without_ours(config: DictConfig, plugin: Plugin, mode: str, report: Report) -> None:
    name = config.reward.reward_manager.name
    report.active |= {"reward_manager": str(name), "method": None, "trainer": mode, "shaped_on": None}
    if has_sampler(config) and (mode in OUR_MODES or (mode in STOCK_MODES and plugin.auto_mode)):
        report.active["trainer"] = f"laser_{mode.removeprefix('laser_')}"
    elif mode in OUR_MODES:
        report.add(
            "trainer.v1.trainer_mode",
            f"trainer.v1.trainer_mode={mode} needs one of our reward managers or a sampler, got "
            f"reward.reward_manager.name={name}; give one of {', '.join(method_names())}, or e.g. "
            "'+laser.sampler={policy: band_mix}'",
        )
    elif mode in STOCK_MODES:
        with report.refusals():
            refuse_stock_sampler(config)
    with report.refusals():
        refuse_unread_rule(config, plugin)
    if has_sampler(config):
        with report.refusals():
            refuse_unknown_verdicts(config, plugin.tracker)
    if (rule := advantage_rule(config)) not in (None, GDPO):
        _check_rule(lambda options: build_rule(str(rule), options, Context()), plugin, report)
    if plugin.seeded_rollout:
        report.notes.append(
            f"laser.seeded_rollout=true does nothing under reward.reward_manager.name={name}, which is none of ours"
        )


def _check_options(config: DictConfig, plugin: Plugin, report: Report) -> tuple[Settings | None, Method | None]:
    name = str(config.reward.reward_manager.name)
    node = config.reward.get("reward_kwargs")
    given = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    if given is not None and not isinstance(given, dict):
        report.add(_KWARGS, f"{_KWARGS}={given!r} must be a mapping; give e.g. +{_KWARGS}.alpha=0.5")
        return None, None
    options = {str(key): value for key, value in (given or {}).items()}
    verification = {item.name for item in fields(Verification)}
    known = [*describe(name).options, *sorted(verification)]
    for key in [key for key in options if key not in known]:
        report.add(f"{_KWARGS}.{key}", unknown(f"{name} option", key, known))
        del options[key]
    if "scorers" in options:
        options["scorers"] = sound_entries(options["scorers"], report)
    if None in [whole(config, key, report) for key in _SIZES]:
        return None, None
    base = _settings_only(config)

    def read(kwargs: dict[str, Any]) -> Settings:
        base.reward.reward_kwargs = kwargs
        return read_settings(base)

    method_options = {key: value for key, value in options.items() if key not in verification}
    read_as, found = each_mistake(read, {key: options[key] for key in options if key in verification})
    settings = replace(read_as or read({}), plugin=plugin, method_options=method_options)
    method, more = each_mistake(lambda kwargs: build(name, kwargs, settings.context), method_options)
    _check_rule(lambda options: _with_rule_options(settings, options).build_rule(), plugin, report)
    for key, message in (*found, *more):
        report.add(f"{_KWARGS}.{key}" if key else _KWARGS, message.replace(f"{_KWARGS}.", ""))
    return settings, None if more else method


def _with_rule_options(settings: Settings, options: Mapping[str, Any]) -> Settings:
    return replace(settings, plugin=replace(settings.plugin, advantage=options))


def _check_rule(build_it: Callable[[dict[str, Any]], object], plugin: Plugin, report: Report) -> None:
    for key, message in each_mistake(build_it, dict(plugin.advantage))[1]:
        report.add(f"laser.advantage.{key}".rstrip("."), message)


def _check_gdpo(config: DictConfig, report: Report) -> None:
    from laser_verl.verl_ext.advantages import gdpo_options

    if OmegaConf.select(config, _ESTIMATOR) != GDPO:
        return
    try:
        gdpo_options(config.algorithm)
    except ValueError as error:
        key = "gdpo_reward_weights" if "gdpo_reward_weights=" in str(error) else "gdpo_reward_keys"
        report.add(f"algorithm.{key}", str(error).removeprefix("laser_verl: "))


def _settings_only(config: DictConfig) -> DictConfig:
    """The few values that `read_settings` looks at; the rest may not even resolve."""
    made = OmegaConf.create({"reward": {"reward_kwargs": {}}})
    for key in ("reward.reward_manager.name", "trainer.v1.trainer_mode", _ESTIMATOR, *_SIZES):
        OmegaConf.update(made, key, OmegaConf.select(config, key), force_add=True)
    return made


def _say_active(settings: Settings, method: Method | None, is_ours: bool, mode: str, report: Report) -> None:
    trainer, shaped_on = f"{mode} (neither verl's nor ours)", "unknown"
    if is_ours:
        trainer, shaped_on = f"laser_{mode.removeprefix('laser_')}", "driver"
    elif mode in STOCK_MODES:
        trainer, shaped_on = f"{mode} (verl's own)", "reward worker"
    report.active |= {
        "reward_manager": settings.method,
        "method": settings.method,
        "options": _options_in_force(settings.method, method) if method else dict(settings.method_options),
        "targets": method.target_text() if method else None,
        "shaped_on": shaped_on,
        "advantages": settings.advantage_rule,
        "trainer": trainer,
        "verification": asdict(settings.verification),
        "seeded": settings.plugin.seed if settings.plugin.seeded_rollout else None,
    }


def _options_in_force(name: str, method: Method) -> dict[str, Any]:
    options = {}
    for key in describe(name).options:
        value = getattr(method, key)
        options[key] = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    return {key: dict(value) if isinstance(value, Mapping) else value for key, value in options.items()}


def _check_group(settings: Settings, method: Method | None, is_ours: bool, report: Report) -> None:
    needs = set(method.needs if method else describe(settings.method).needs)
    beyond = ", ".join(sorted(needs - {Need.RESPONSE, Need.PROMPT}))
    with report.refusals():
        refuse_groups_of_one(settings, needs)
    if is_ours or settings.trainer_mode not in STOCK_MODES:
        return
    if settings.plugin.poll_interval is not None:
        report.notes.append(
            f"laser.poll_interval={settings.plugin.poll_interval} does nothing under laser.auto_mode=false, which "
            "leaves the stock trainer in place"
        )
    if settings.advantage_rule is not None or beyond:
        who = settings.method if beyond else f"{_ESTIMATOR}={settings.advantage_rule}"
        report.add(
            "laser.auto_mode",
            f"laser.auto_mode={shown(settings.plugin.auto_mode)} under trainer.v1.trainer_mode={settings.trainer_mode} "
            f"leaves the stock trainer in place, and {who} needs {beyond or 'the verdicts'}, which a reward "
            f"worker never sees; add {line_to_add(settings)} or leave out laser.auto_mode=false",
        )
    else:
        report.notes.append(
            f"with the stock trainer {settings.method} is applied in the reward workers, which cannot tell validation "
            "from training: validation's reward is shaped too, while score and acc stay raw"
        )


def _check_verdict_source(config: DictConfig, settings: Settings, method: Method | None, report: Report) -> None:
    with report.refusals():
        refuse_scores_without_threshold(config, settings)
    with report.refusals():
        refuse_unknown_thinking(config, settings, method.columns if method else ())
    if settings.verification.correct_at is None and has_function(config) and not is_our_function(config):
        report.notes.append(
            "reward.custom_reward_function has to return a dict with score and acc; for one that returns a number, say "
            f"from which one on an answer is correct: +{_KWARGS}.correct_at=1.0"
        )

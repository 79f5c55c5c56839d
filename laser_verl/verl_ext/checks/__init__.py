"""`laser-verl check`: everything that can be wrong before a model loads, all of it at once."""

from __future__ import annotations

import time
from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf

from laser_verl.core.framework import Method
from laser_verl.verl_ext.checks.batches import check_rows
from laser_verl.verl_ext.checks.columns import check_columns
from laser_verl.verl_ext.checks.compose import Arguments, compose_config, read_arguments
from laser_verl.verl_ext.checks.data import Readers, Split, check_data
from laser_verl.verl_ext.checks.functions import check_reward_function
from laser_verl.verl_ext.checks.limits import check_limits
from laser_verl.verl_ext.checks.method import check_method
from laser_verl.verl_ext.checks.report import Mistake, Report
from laser_verl.verl_ext.checks.scorers import check_sources
from laser_verl.verl_ext.checks.scoring import is_by_us, needs_think, who_reads_golds
from laser_verl.verl_ext.columns import data_columns
from laser_verl.verl_ext.settings import Plugin, Settings, Verification, names_our_manager, read_plugin

__all__ = ["Arguments", "Mistake", "Report", "check", "read_arguments"]


def check(arguments: Arguments | Sequence[str]) -> Report:
    """Check the arguments of a training run; needs no accelerator and loads no weights.

    Args:
        arguments: What would follow `python -m verl.trainer.main_ppo`.

    Returns:
        Every mistake with its remedy, notes, and what is active.

    Raises:
        WrongUsage: If Hydra would not understand the command line.
    """
    begun = time.perf_counter()
    given = arguments if isinstance(arguments, Arguments) else read_arguments(arguments)
    report = Report()
    config = compose_config(given, report)
    if config is not None:
        _check_config(config, report)
    if config is not None and given.gpu_gib is not None and report.ok:
        from laser_verl.verl_ext.checks.memory import check_memory

        with report.guard("--memory"):
            report.memory = check_memory(config, given.gpu_gib, report)
    report.active["seconds"] = round(time.perf_counter() - begun, 1)
    return report


_SECTIONS = (
    "actor_rollout_ref.actor",
    "actor_rollout_ref.rollout",
    "actor_rollout_ref.model",
    "algorithm",
    "critic",
    "data",
    "reward.reward_manager",
    "reward.reward_model",
    "trainer.v1.separate_async.hybrid_rollout",
)


def _check_config(config: DictConfig, report: Report) -> None:
    for section in _SECTIONS:
        with report.guard(section):
            if not isinstance(OmegaConf.select(config, section), DictConfig):
                report.add(
                    section, f"{section} is not the mapping that verl needs; leave out what removes or replaces it"
                )
    if any(report.names(section) for section in _SECTIONS):
        return
    is_ours, settings = names_our_manager(config), None
    with report.guard("reward.reward_manager"):
        settings = check_method(config, report)
    with report.guard("reward.custom_reward_function"):
        check_reward_function(config, report)
    splits = _check_splits(config, settings, report)
    if settings is not None:
        with report.guard("data.train_files"):
            check_limits(config, settings, report)
    # Imported late: verl takes seconds, and Hydra's errors should not wait for it.
    from laser_verl.verl_ext.checks import host

    if not host.import_verl(report):
        return
    with report.guard("verl"):
        host.check_host(config, report)
    if not is_ours and not report.names("reward.reward_manager.name"):
        name = config.reward.reward_manager.name
        report.notes.append(f"reward.reward_manager.name={name} is none of ours, so laser_verl shapes nothing")
        with report.guard("data.train_files"):
            host.check_stock_sources(config, splits, report)
    from laser_verl.verl_ext.checks.model import check_model, check_other_models
    from laser_verl.verl_ext.checks.sampler import check_sampler

    with report.guard("laser.sampler"):
        method = _build_method(settings)
        check_sampler(config, _plugin(config), method.monitor if method else None, splits, report)
    with report.guard("actor_rollout_ref.model.path"):
        check_model(config, splits, needs_think(config, settings), report)
        check_other_models(config, report)


def _check_splits(config: DictConfig, settings: Settings | None, report: Report) -> dict[str, Split]:
    with report.guard("data.train_files"):
        verification, method = settings.verification if settings else Verification(), _build_method(settings)
        readers = Readers(
            golds=who_reads_golds(config, settings),
            scorers=verification.read_scorers() if settings and is_by_us(config) else None,
            timeout_seconds=verification.verify_timeout_seconds,
            is_seeded=settings is not None and settings.plugin.seeded_rollout,
            columns=() if method is None else data_columns(method),
        )
        splits = check_data(config, readers, report)
        if readers.scorers is not None:
            check_sources(splits, readers.scorers, readers.golds, report)
        if method is not None:
            check_columns(config, splits, method, report.active.get("shaped_on") != "reward worker", report)
        if "train" in splits and splits["train"].num_rows:
            check_rows(config, splits["train"].num_rows, report)
        return splits
    return {}


def _plugin(config: DictConfig) -> Plugin:
    """Our keys; the defaults where one is wrong, which is reported already."""
    try:
        return read_plugin(config)
    except ValueError:
        return Plugin()


def _build_method(settings: Settings | None) -> Method | None:
    """The method; None where an option is wrong, which is reported already."""
    try:
        return settings.build_method() if settings is not None else None
    except ValueError:
        return None

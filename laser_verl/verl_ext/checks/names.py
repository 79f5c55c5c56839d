"""Names that verl looks up only after the models are loaded."""

from __future__ import annotations

import difflib
import importlib.util
import os
import sys

from omegaconf import DictConfig, OmegaConf

from laser_verl.commands.info import NOT_LOADED, is_loaded_by_verl
from laser_verl.core.checks import unknown
from laser_verl.core.registry import method_names
from laser_verl.verl_ext.checks.functions import check_object
from laser_verl.verl_ext.checks.report import Report
from laser_verl.verl_ext.settings import STOCK_MODES

OUR_MODES = tuple(f"laser_{mode}" for mode in STOCK_MODES)

_MANAGER = "reward.reward_manager"
_ENGINES = ("vllm", "sglang", "trtllm")
_OUR_MODULE = "laser_verl.verl_ext.register"


def check_names(config: DictConfig, report: Report) -> None:
    """Look up reward manager, trainer mode, advantage estimator and rollout engine; verl is imported already.

    Args:
        config: The composed config.
        report: Takes mistakes and notes.
    """
    _check_manager(config, report)
    _check_mode(config, report)
    _check_estimator(config, report)
    _check_engine(config, report)


def _check_manager(config: DictConfig, report: Report) -> None:
    from verl.experimental.reward_loop.reward_manager.registry import REWARD_MANAGER

    manager = config.reward.reward_manager
    if manager.source == "register":
        known = sorted({*REWARD_MANAGER, *method_names()})
        if manager.name not in known:
            report.add(f"{_MANAGER}.name", f"{_MANAGER}.name: " + unknown("reward manager", manager.name, known))
        elif manager.name in method_names() and manager.name not in REWARD_MANAGER:
            report.add(
                f"{_MANAGER}.name",
                f"{_MANAGER}.name={manager.name} is not registered with verl; `laser-verl info` says what failed",
            )
        elif manager.name in method_names() and not is_loaded_by_verl():
            report.add(f"{_MANAGER}.name", f"{_MANAGER}.name={manager.name}: {NOT_LOADED}")
    elif manager.source == "importlib":
        check_object(str(manager.module.path), str(manager.name), f"{_MANAGER}.module.path", f"{_MANAGER}.name", report)
    else:
        known = ["register", "importlib"]
        report.add(f"{_MANAGER}.source", f"{_MANAGER}.source: " + unknown("source", manager.source, known))


def _check_mode(config: DictConfig, report: Report) -> None:
    key, mode = "trainer.v1.trainer_mode", str(config.trainer.v1.trainer_mode)
    if mode in (*STOCK_MODES, *OUR_MODES):
        return
    # Whoever registers a trainer has imported verl's trainers, which takes seconds; a check does not.
    trainers = sys.modules.get("verl.trainer.ppo.v1.trainer_base")
    registered = getattr(trainers, "TRAINER_REGISTRY", {})
    known = list(dict.fromkeys((*STOCK_MODES, *OUR_MODES, *registered)))
    if mode in registered or (_has_foreign_modules() and not difflib.get_close_matches(mode, known, n=1)):
        report.notes.append(
            f"{key}={mode} is neither verl's nor ours, so it was not checked; it shapes groups only if its trainer "
            "derives from one of ours"
        )
    else:
        report.add(key, f"{key}: " + unknown("trainer mode", mode, known))


def _has_foreign_modules() -> bool:
    modules = os.environ.get("VERL_USE_EXTERNAL_MODULES", "").split(",")
    return any(module not in ("", _OUR_MODULE) for module in modules)


def _check_estimator(config: DictConfig, report: Report) -> None:
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY

    key, estimator = "algorithm.adv_estimator", config.algorithm.adv_estimator
    if estimator not in ADV_ESTIMATOR_REGISTRY:
        report.add(key, f"{key}: " + unknown("advantage estimator", estimator, sorted(ADV_ESTIMATOR_REGISTRY)))


def _check_engine(config: DictConfig, report: Report) -> None:
    key = "actor_rollout_ref.rollout.name"
    if OmegaConf.is_missing(config.actor_rollout_ref.rollout, "name"):
        report.add(key, f"{key} has no value; give one of {', '.join(_ENGINES)}")
        return
    engine = config.actor_rollout_ref.rollout.name
    if engine not in _ENGINES:
        report.add(key, f"{key}: " + unknown("rollout engine", engine, _ENGINES))
    elif engine in ("vllm", "sglang") and importlib.util.find_spec(engine) is None:
        report.notes.append(f"{key}={engine}, which is not installed where this check ran")

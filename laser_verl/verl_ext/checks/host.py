"""What verl itself says: its config classes, its validation, and the names in its registries."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import importlib.util
import io
import re
import warnings
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from laser_verl.commands.info import NOT_LOADED, is_loaded_by_verl
from laser_verl.core.checks import unknown
from laser_verl.core.framework import method_names
from laser_verl.verl_ext.checks.batches import check_batches
from laser_verl.verl_ext.checks.compose import closest
from laser_verl.verl_ext.checks.data import Split, is_run_or_searched
from laser_verl.verl_ext.checks.functions import check_object
from laser_verl.verl_ext.checks.report import Report, one_line

_MANAGER = "reward.reward_manager"
_ENGINES = ("vllm", "sglang", "trtllm")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what verl prints and warns about out of the report; errors still come through."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def import_verl(report: Report) -> bool:
    """Import verl and with it every plugin; False where that fails."""
    try:
        with quiet():
            importlib.import_module("verl")
            importlib.import_module("verl.experimental.reward_loop.reward_manager")
            importlib.import_module("verl.trainer.ppo.utils")
    except Exception as error:  # the reason is what the user came for, whatever its class
        report.add("verl", f"verl cannot be imported: {type(error).__name__}: {error}; `laser-verl info` says more")
        return False
    return True


def check_host(config: DictConfig, report: Report) -> None:
    """Let verl check the config without starting anything.

    Args:
        config: The composed config.
        report: Takes the mistakes.
    """
    from verl.trainer.ppo.utils import need_critic, need_reference_policy

    _check_names(config, report)
    with report.guard("algorithm"), quiet():
        needs_ref, needs_critic = bool(need_reference_policy(config)), need_critic(config)
        report.active |= {"adv_estimator": str(config.algorithm.adv_estimator), "critic": needs_critic}
        with report.guard("data.train_batch_size"):
            check_batches(config, needs_ref, needs_critic, report)
        lean = _without_critic_model(config)
        nodes = ["actor_rollout_ref.actor", "actor_rollout_ref.rollout", "algorithm"]
        nodes.append("trainer.v1.separate_async.hybrid_rollout")
        nodes += ["critic"] * needs_critic
        are_built = [_build(lean, node, report) for node in nodes]
        if all(are_built):
            _validate(lean, needs_ref, needs_critic, report)
    _check_interpolations(config, report)


def check_stock_sources(config: DictConfig, splits: dict[str, Split], report: Report) -> None:
    """Refuse sources that verl's own scoring does not know, where a manager of verl uses it.

    Args:
        config: The composed config.
        splits: What the data holds.
        report: Takes the mistakes.
    """
    if config.reward.reward_model.enable or OmegaConf.select(config, "reward.custom_reward_function.path"):
        return
    for name, split in splits.items():
        wrong = [source for source in sorted(split.sources) if not _is_scored_by_verl(source)]
        if wrong:
            report.add(
                f"data.{name}_files",
                f"data.{name}_files has data_source={', '.join(wrong)}, which verl's own scoring does not know; use "
                "one of our reward managers, or give reward.custom_reward_function.path",
            )


def _is_scored_by_verl(source: str) -> bool:
    from verl.utils.reward_score import default_compute_score

    if is_run_or_searched(source):
        return True
    try:
        with quiet():
            default_compute_score(data_source=source, solution_str="", ground_truth="0")
    except NotImplementedError:
        return False
    except Exception:  # it knows the source and stumbles over an empty answer
        return True
    return True


def _check_names(config: DictConfig, report: Report) -> None:
    """Names that verl looks up only after the models are loaded."""
    from verl.experimental.reward_loop.reward_manager.registry import REWARD_MANAGER
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY

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
    estimator = config.algorithm.adv_estimator
    if estimator not in ADV_ESTIMATOR_REGISTRY:
        names = sorted(ADV_ESTIMATOR_REGISTRY)
        report.add(
            "algorithm.adv_estimator", "algorithm.adv_estimator: " + unknown("advantage estimator", estimator, names)
        )
    key = "actor_rollout_ref.rollout.name"
    if OmegaConf.is_missing(config.actor_rollout_ref.rollout, "name"):
        report.add(key, f"{key} has no value; give one of {', '.join(_ENGINES)}")
        return
    engine = config.actor_rollout_ref.rollout.name
    if engine not in _ENGINES:
        report.add(key, f"{key}: " + unknown("rollout engine", engine, _ENGINES))
    elif engine in ("vllm", "sglang") and importlib.util.find_spec(engine) is None:
        report.notes.append(f"{key}={engine}, which is not installed where this check ran")


def _without_critic_model(config: DictConfig) -> DictConfig:
    """A copy whose critic does not read a model folder as soon as its class is built."""
    lean = config.copy()
    with open_dict(lean):
        if "model" in lean.critic:
            del lean.critic["model"]
    return lean


def _build(config: DictConfig, path: str, report: Report) -> bool:
    """Build verl's config class of a node as its workers do, all unknown keys reported at once."""
    from verl.utils.config import omega_conf_to_dataclass

    node = OmegaConf.select(config, path).copy()
    strange = list(_unknown_keys(node, path))
    for key, known in strange:
        close = closest(key, known)
        hint = f"did you mean {close}? " if close else ""
        report.add(key, f"{key}: verl's config class has no such field; {hint}leave it out or correct it")
        _remove(node, key.removeprefix(f"{path}."))
    try:
        omega_conf_to_dataclass(node)
    except Exception as error:  # whatever verl's class refuses is the user's to know
        return _say(path, error, report)
    return not strange


def _remove(node: DictConfig, key: str) -> None:
    parent, _, leaf = key.rpartition(".")
    owner = OmegaConf.select(node, parent) if parent else node
    with open_dict(owner):
        del owner[leaf]


def _unknown_keys(node: Any, path: str) -> Iterator[tuple[str, list[str]]]:
    if not isinstance(node, DictConfig) or node._is_none():
        return
    cls = _class_of(node)
    if cls is not None and dataclasses.is_dataclass(cls):
        known = [item.name for item in dataclasses.fields(cls) if item.init]
        yield from (
            (f"{path}.{key}", [f"{path}.{name}" for name in known])
            for key in node
            if key not in known and not str(key).startswith("_")
        )
    for key in node:
        if not OmegaConf.is_missing(node, key):
            with contextlib.suppress(OmegaConfBaseException):
                yield from _unknown_keys(node[key], f"{path}.{key}")


def _class_of(node: DictConfig) -> Any:
    target = node.get("_target_")
    if not isinstance(target, str):
        return None
    module, _, name = target.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None


def _validate(config: DictConfig, needs_ref: bool, needs_critic: bool, report: Report) -> None:
    from verl.utils.config import validate_config

    try:
        validate_config(config, use_reference_policy=needs_ref, use_critic=needs_critic)
    except Exception as error:  # verl asserts and raises alike
        # A value of the wrong type has its own line; verl only stumbles over it.
        if not (isinstance(error, TypeError) and report.mistakes):
            _say("verl", error, report)


def _say(path: str, error: BaseException, report: Report) -> bool:
    """Report verl's own words, unless they are about a field that has a clearer line already; always False."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = one_line(str(error)) or type(error).__name__
    leaves = {mistake.field.rpartition(".")[2] for mistake in report.mistakes} - {""}
    is_echo = any(re.search(rf"(?<!\w){re.escape(leaf)}(?!\w)", text) for leaf in leaves)
    # verl words the same batch size in several ways.
    is_echo |= "batch_size" in text and any("batch_size" in leaf for leaf in leaves)
    if not is_echo:
        report.add(path, f"verl refuses {path}: {text}" if path != "verl" else f"verl refuses the config: {text}")
    return False


def _check_interpolations(config: DictConfig, report: Report) -> None:
    """`main_ppo` resolves the whole config; report each value that does not."""
    for key in _unresolved(config, ""):
        report.add(key[0], f"{key[0]} cannot be resolved ({key[1]}); correct the ${{...}} in it")


def _unresolved(node: Any, path: str) -> Iterator[tuple[str, str]]:
    if not OmegaConf.is_config(node) or node._is_none() or node._is_missing():
        return
    for key in node if isinstance(node, DictConfig) else range(len(node)):
        here = f"{path}.{key}".lstrip(".")
        if OmegaConf.is_missing(node, key):
            continue
        try:
            value = node[key]
        except OmegaConfBaseException as error:
            yield here, str(error).splitlines()[0]
            continue
        yield from _unresolved(value, here)

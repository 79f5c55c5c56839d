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
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from laser_verl.scoring.tasks import is_run_or_searched
from laser_verl.verl_ext.checks.batches import check_batches
from laser_verl.verl_ext.checks.compose import closest
from laser_verl.verl_ext.checks.data import Split
from laser_verl.verl_ext.checks.names import check_names
from laser_verl.verl_ext.checks.report import Report, one_line
from laser_verl.verl_ext.settings import has_function

# The first that is above 0 counts.
_LORA_RANKS = ("actor_rollout_ref.model.lora.rank", "actor_rollout_ref.model.lora_rank")


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

    check_names(config, report)
    with report.guard("actor_rollout_ref.model.lora"):
        _check_lora(config, report)
    with report.guard("algorithm"), quiet():
        needs_ref, needs_critic = bool(need_reference_policy(config)), need_critic(config)
        report.active |= {"adv_estimator": str(config.algorithm.adv_estimator), "critic": needs_critic}
        with report.guard("data.train_batch_size"):
            check_batches(config, needs_ref, needs_critic, report)
        with report.guard("verl"):
            _check_numbers(config, report)
        lean = _without_loading(config)
        nodes = ["actor_rollout_ref.actor", "actor_rollout_ref.rollout", "algorithm"]
        nodes.append("trainer.v1.separate_async.hybrid_rollout")
        nodes += ["critic"] * needs_critic
        are_built = [_build(lean, node, report) for node in nodes]
        if all(are_built):
            _validate(lean, needs_ref, needs_critic, report)
    _check_interpolations(config, report)


def _check_numbers(config: DictConfig, report: Report) -> None:
    """Text where verl's own config has a number: its classes take it, and a worker stumbles over it later."""
    import verl

    own = OmegaConf.load(Path(verl.__file__).parent / "trainer" / "config" / "_generated_ppo_trainer.yaml")
    for key, number in _numbers(OmegaConf.to_container(own)):
        with contextlib.suppress(OmegaConfBaseException):  # a value that cannot be resolved has its own line
            value = OmegaConf.select(config, key)
            if isinstance(value, str) and not report.names(key):
                report.add(key, f"{key}={value} must be a number, as in verl's own config ({number})")


def _numbers(node: Any, path: str = "") -> Iterator[tuple[str, int | float]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _numbers(value, f"{path}.{key}".lstrip("."))
    elif isinstance(node, int | float) and not isinstance(node, bool):
        yield path, node


def check_stock_sources(config: DictConfig, splits: dict[str, Split], report: Report) -> None:
    """Refuse sources that verl's own scoring does not know, where a manager of verl uses it.

    Args:
        config: The composed config.
        splits: What the data holds.
        report: Takes the mistakes.
    """
    if config.reward.reward_model.enable or has_function(config):
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


def _without_loading(config: DictConfig) -> DictConfig:
    """A copy whose critic does not read a model folder, and without LoRA, for which verl would import vLLM."""
    lean = config.copy()
    with open_dict(lean):
        if "model" in lean.critic:
            del lean.critic["model"]
        for key in _LORA_RANKS:
            if isinstance(OmegaConf.select(lean, key), int):
                OmegaConf.update(lean, key, 0)
    return lean


def _check_lora(config: DictConfig, report: Report) -> None:
    """The rule of validate_config that would import vLLM."""
    used = [key for key in _LORA_RANKS if isinstance(rank := OmegaConf.select(config, key), int) and rank > 0]
    is_merged = OmegaConf.select(config, "actor_rollout_ref.model.lora.merge")
    if not used or is_merged or OmegaConf.select(config, "actor_rollout_ref.rollout.name") != "vllm":
        return
    key, largest = used[0], _largest_lora_rank()
    rank = OmegaConf.select(config, key)
    if largest is None:
        report.notes.append(f"{key}={rank} was not checked; vLLM's list of ranks cannot be read here")
    elif rank > largest:
        report.add(key, f"{key}={rank} is above {largest}, the largest LoRA rank of vLLM; give at most {largest}")


def _largest_lora_rank() -> int | None:
    """The end of vLLM's own list, read without importing vLLM, which takes seconds."""
    spec = importlib.util.find_spec("vllm")
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).parent / "config" / "lora.py"
    found = re.search(
        r"^MaxLoRARanks = Literal\[([\d, ]+)\]", file.read_text("utf-8") if file.is_file() else "", re.MULTILINE
    )
    return max(map(int, found[1].split(","))) if found else None


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
    """`main_ppo` resolves the whole config; report each value that does not, unless by a mistake reported already."""
    wrong = [mistake.field for mistake in report.mistakes]
    for key, reason in _unresolved(config, ""):
        if not any(f"{field}=" in reason for field in wrong):
            report.add(key, f"{key} cannot be resolved ({reason}); correct the ${{...}} in it")


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

"""What Ray's nodes have, asked before a model loads: enough of them, each with this laser_verl and this verl."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import ray
from omegaconf import DictConfig, OmegaConf
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from verl.single_controller.ray import ResourcePoolManager
from verl.utils.device import get_resource_name

from laser_verl.verl_ext.refusals import Refused

logger = logging.getLogger(__name__)

# Packages that driver and workers must have alike; of the first this very folder, of the second what is installed.
_PACKAGES = ("laser_verl", "verl")
_ENGINE = ("tensor_model", "data", "pipeline_model")
# verl's own figure for engines that generate on GPUs of their own (RolloutReplica.init_standalone).
_CPUS_OF_ROLLOUT = 2
_REMEDY = (
    "install the same packages in the environment of every node (Ray need not be started again), or let Ray do it: "
    "examples/ray/submit.sh sends them along as a runtime_env"
)


class Wanted(NamedTuple):
    """GPUs that verl asks for.

    Attributes:
        key: the option that says how many nodes.
        groups: how many times.
        gpus: GPUs of one node each time.
        cpus: CPUs of that node with each GPU.
    """

    key: str
    groups: int
    gpus: int
    cpus: int


def check_cluster(config: DictConfig) -> None:
    """Refuse a cluster on which the run would wait for ever, or find out late that a node lacks the plugin.

    Args:
        config: the run's config.

    Raises:
        Refused: there are fewer nodes or GPUs than asked for, or nodes with other versions. Nothing is asked where
            this process is not connected to Ray.
    """
    if not ray.is_initialized():
        return
    nodes = [node for node in ray.nodes() if node["Alive"]]
    refuse_missing_nodes(wanted(config), nodes)
    refuse_other_versions(nodes)


def wanted(config: DictConfig) -> list[Wanted]:
    """What verl's trainer will ask Ray for.

    Args:
        config: the run's config.

    Returns:
        One entry for each pool of GPUs. With `trainer.nnodes=2` and `trainer.n_gpus_per_node=8` alone that is
        `[("trainer.nnodes", 2, 8, 3)]`.
    """
    cpus = ResourcePoolManager.max_colocate_count
    switches = {"reward.reward_model": "enable_resource_pool", "distillation": "enabled"}
    pools = ["trainer", *(pool for pool, switch in switches.items() if OmegaConf.select(config, f"{pool}.{switch}"))]
    found = [
        Wanted(f"{pool}.nnodes", _number(config, f"{pool}.nnodes"), _number(config, f"{pool}.n_gpus_per_node"), cpus)
        for pool in pools
    ]
    if str(OmegaConf.select(config, "trainer.v1.trainer_mode")).removeprefix("laser_") == "separate_async":
        rollout = "actor_rollout_ref.rollout"
        per_node, nodes = _number(config, f"{rollout}.n_gpus_per_node"), _number(config, f"{rollout}.nnodes")
        engine = math.prod(_number(config, f"{rollout}.{kind}_parallel_size", 1) for kind in _ENGINE)
        together = max(1, min(per_node, engine))
        found.append(Wanted(f"{rollout}.nnodes", per_node * nodes // together, together, _CPUS_OF_ROLLOUT))
    return [pool for pool in found if pool.groups > 0 and pool.gpus > 0]


def refuse_missing_nodes(pools: Sequence[Wanted], nodes: Sequence[Mapping[str, Any]]) -> None:
    """Refuse to wait for nodes that Ray does not have.

    verl places each group of GPUs on one node, and with each GPU some CPUs; where no node has them it waits without a
    word.

    Args:
        pools: what is asked for.
        nodes: Ray's nodes, as `ray.nodes()` has them.

    Raises:
        Refused: the groups cannot be placed. Two nodes of 8 GPUs and 96 CPUs have room for 2 groups of 8 GPUs with 3
            CPUs to each; nodes of 8 and of 4 GPUs have room for 1, and nodes of 8 GPUs and 16 CPUs for none.
    """
    device = get_resource_name()
    for size in sorted({pool.gpus for pool in pools}, reverse=True):
        larger = [pool for pool in pools if pool.gpus >= size]
        cpus = min(pool.cpus for pool in larger)
        # A group of 8 GPUs takes the place of two of 4.
        needed = sum(pool.groups * (pool.gpus // size) for pool in larger)
        places = sum(min(_has(node, device) // size, _has(node, "CPU") // (size * cpus)) for node in nodes)
        if needed > places:
            key = pools[0].key
            asked = " and ".join(f"{pool.groups} x {pool.gpus} {device} ({pool.key})" for pool in pools)
            have = "; ".join(f"{_name(node)} {_has(node, device)} {device}, {_has(node, 'CPU')} CPU" for node in nodes)
            raise Refused(
                key,
                f"{key}={pools[0].groups} cannot be placed: the run needs {asked}, each group on one node with {cpus} "
                f"CPU to a {device}; nodes that Ray has: {len(nodes)} ({have}). Start Ray on the missing ones first "
                f"(ray start --address=HEAD:6379), or set {key} and {key.removesuffix('nnodes')}n_gpus_per_node to "
                "what is there",
            )


def refuse_other_versions(nodes: Sequence[Mapping[str, Any]]) -> None:
    """Refuse nodes on which laser_verl is missing, or it or verl has another version than here.

    Args:
        nodes: Ray's nodes, as `ray.nodes()` has them.

    Raises:
        Refused: naming each such node, what it has, and the remedy.
    """
    begun, here = time.perf_counter(), ray.get_runtime_context().get_node_id()
    # verl puts reward workers and agent loops on any node that has CPUs.
    others = [node for node in nodes if node["NodeID"] != here and node["Resources"].get("CPU", 0) > 0]
    if not others:
        return
    ask = ray.remote(num_cpus=0, max_retries=0)(_question())
    answers = [
        ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(_PACKAGES)
        for node in others
    ]
    own, strange = _question()(_PACKAGES), []
    for node, answer in zip(others, answers, strict=True):
        try:
            found = ray.get(answer)
        except ray.exceptions.RayError as error:
            strange.append(f"{_name(node)} cannot be asked ({str(error).strip().splitlines()[-1]})")
            continue
        if found != own:
            strange.append(f"{_name(node)} has {_versions(found)}")
    if strange:
        trainers = next((_name(node) for node in nodes if node["NodeID"] == here), here)
        raise Refused(
            "laser_verl",
            f"the trainer's node {trainers} has {_versions(own)}, while {'; '.join(strange)}. To go on, {_REMEDY}",
        )
    seconds = time.perf_counter() - begun
    logger.info("laser_verl: %s on all %d nodes, asked in %.1f s", _versions(own), len(others) + 1, seconds)


def _question() -> Callable[[Sequence[str]], dict[str, str | None]]:
    """A function that Ray sends as it is: one with a name in our package would have to be imported there."""

    def versions(packages: Sequence[str]) -> dict[str, str | None]:
        import contextlib
        import importlib
        import importlib.metadata

        found: dict[str, str | None] = dict.fromkeys(packages)
        with contextlib.suppress(ImportError):
            # The code that would run: what is installed may be hidden by another folder on the path.
            found[packages[0]] = importlib.import_module(packages[0]).__version__
        for package in packages[1:]:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                found[package] = importlib.metadata.version(package)
        return found

    return versions


def _versions(found: Mapping[str, str | None]) -> str:
    return " and ".join(f"no {name}" if version is None else f"{name} {version}" for name, version in found.items())


def _has(node: Mapping[str, Any], resource: str) -> int:
    return int(node["Resources"].get(resource, 0))


def _name(node: Mapping[str, Any]) -> str:
    return f"{node['NodeName']} ({node['NodeManagerHostname']})"


def _number(config: DictConfig, key: str, default: int = 0) -> int:
    return int(OmegaConf.select(config, key, default=default) or default)

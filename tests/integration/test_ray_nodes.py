"""Two Ray nodes on one machine: a worker on each, and what is said where a node is not as the others."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import laser_verl
from tests.integration.runs import ENVIRONMENT, LASER_D, SEEDED, Run, World, finish, started, wait_until
from tests.integration.test_modes import assert_laser_d_trained

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2700)]

# Python runs it in each process of a node.
WITHOUT_PLUGIN = "import sys; sys.modules['laser_verl'] = None"
OTHER_VERSION = "import laser_verl; laser_verl.__version__ = '0.0.1'"


@contextlib.contextmanager
def two_nodes(second: dict[str, Any], head_cpus: int = 16) -> Iterator[str]:
    """The address of a cluster whose nodes, unlike those that a run starts itself, have their own environment."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": head_cpus, "num_gpus": 1})
    try:
        cluster.add_node(num_cpus=16, num_gpus=1, **second)
        cluster.wait_for_nodes()
        yield cluster.address
    finally:
        cluster.shutdown()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("RAY_ADDRESS")


def arguments(world: World, address: str, nodes: int = 2) -> list[str]:
    return [
        *world.arguments(),
        *LASER_D,
        *SEEDED,
        f"trainer.nnodes={nodes}",
        "ray_kwargs.ray_init.num_cpus=null",
        "ray_kwargs.ray_init.num_gpus=null",
        "ray_kwargs.ray_init.include_dashboard=null",
        f"+ray_kwargs.ray_init.address={address}",
    ]


def refused(run: Run, words: list[str]) -> str:
    """The log of a run that ends before a worker of the model starts."""
    with started(run, words) as tree:
        wait_until(run, tree, lambda: tree.poll() is not None, limit=600)
        assert tree.poll() != 0
    log = run.log.read_text(errors="replace")
    assert "WorkerDict" not in log
    assert "groups shaped by" not in log
    return re.sub(r"\s+", " ", log)


@pytest.mark.slow
def test_two_ray_nodes(world: World, runs_folder: Path, environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(runs_folder / "two_nodes")
    monkeypatch.setenv("VERL_FILE_LOGGER_PATH", str(run.out / "metrics.jsonl"))
    with two_nodes({}) as address:
        finish(run, arguments(world, address))
    assert_laser_d_trained(run, "sync")
    assert "and verl 0.9.1 on all 2 nodes, asked in" in run.log.read_text()


@pytest.mark.slow
def test_a_node_with_another_version_ends_the_run_at_once(
    world: World, runs_folder: Path, environment: None, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(OTHER_VERSION)
    with two_nodes({"env_vars": {"PYTHONPATH": str(tmp_path)}}) as address:
        log = refused(Run(runs_folder / "other_version"), arguments(world, address))
        # Ray chooses the node of the trainer, which asks the other
        found = re.search(r"node \S+ \(.+?\) has laser_verl (\S+) and verl .+?, while .+? has laser_verl (\S+) ", log)
        assert found is not None
        assert set(found.groups()) == {"0.0.1", laser_verl.__version__}
        # the nodes are still there: too few for a run that asks for four
        log = refused(Run(runs_folder / "too_few"), arguments(world, address, nodes=4))
        assert "trainer.nnodes=4 cannot be placed" in log
        assert "nodes that Ray has: 2 (" in log


@pytest.mark.slow
def test_a_trainer_on_a_node_without_the_plugin_ends_at_once(
    world: World, runs_folder: Path, environment: None, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_PLUGIN)
    # no room on the head, as under KubeRay
    with two_nodes({"env_vars": {"PYTHONPATH": str(tmp_path)}}, head_cpus=0) as address:
        log = refused(Run(runs_folder / "without_plugin"), arguments(world, address))
    assert "laser_verl" in log
    assert re.search(r"ModuleNotFoundError|ImportError", log)

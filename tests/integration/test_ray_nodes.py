"""Two Ray nodes on one machine: a worker on each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.runs import ENVIRONMENT, LASER_D, SEEDED, Run, World, finish
from tests.integration.test_modes import assert_laser_d_trained

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(2700)]


@pytest.fixture
def run(runs_folder: Path) -> Run:
    return Run(runs_folder / "two_nodes")


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch, run: Run) -> Iterator[str]:
    """The address of a cluster whose nodes, unlike those that a run starts itself, have their own environment."""
    from ray.cluster_utils import Cluster

    for name, value in {**ENVIRONMENT, "VERL_FILE_LOGGER_PATH": str(run.out / "metrics.jsonl")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("RAY_ADDRESS")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 16, "num_gpus": 1})
    try:
        cluster.add_node(num_cpus=16, num_gpus=1)
        cluster.wait_for_nodes()
        yield cluster.address
    finally:
        cluster.shutdown()


def test_two_ray_nodes(world: World, run: Run, two_nodes: str) -> None:
    arguments = [
        *world.arguments(),
        *LASER_D,
        *SEEDED,
        "trainer.nnodes=2",
        "ray_kwargs.ray_init.num_cpus=null",
        "ray_kwargs.ray_init.num_gpus=null",
        "ray_kwargs.ray_init.include_dashboard=null",
        f"+ray_kwargs.ray_init.address={two_nodes}",
    ]
    finish(run, arguments)
    assert_laser_d_trained(run, "sync")

"""Ray's nodes are looked at before a model loads: enough of them, and the same laser_verl and verl on each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import ray
from omegaconf import DictConfig, OmegaConf
from ray.cluster_utils import Cluster
from verl.trainer import constants_ppo

import laser_verl
from laser_verl.verl_ext.cluster import Wanted, check_cluster, refuse_missing_nodes, refuse_other_versions, wanted
from laser_verl.verl_ext.refusals import Refused
from laser_verl.verl_ext.trainer_modes import LaserSync, choose_trainer
from tests.contract.test_trainer_choice import config as run_config


def config(**keys: Any) -> DictConfig:
    made = OmegaConf.create({"trainer": {"nnodes": 2, "n_gpus_per_node": 8, "v1": {"trainer_mode": "sync"}}})
    for key, value in keys.items():
        OmegaConf.update(made, key.replace("__", "."), value)
    return made


def node(name: str, gpus: int, cpus: int = 96) -> dict[str, Any]:
    return {
        "NodeID": name,
        "NodeName": name,
        "NodeManagerHostname": f"{name}.cluster",
        "Resources": {"GPU": float(gpus), "CPU": float(cpus)},
    }


def test_a_run_asks_for_its_nodes() -> None:
    assert wanted(config()) == [Wanted("trainer.nnodes", 2, 8, 3)]


def test_a_reward_model_and_a_teacher_on_gpus_of_their_own_are_asked_for_too() -> None:
    pools = wanted(
        config(
            reward__reward_model={"enable_resource_pool": True, "nnodes": 1, "n_gpus_per_node": 4},
            distillation={"enabled": True, "nnodes": 3, "n_gpus_per_node": 2},
        )
    )
    assert pools[1:] == [Wanted("reward.reward_model.nnodes", 1, 4, 3), Wanted("distillation.nnodes", 3, 2, 3)]


def test_what_is_switched_off_is_not_asked_for() -> None:
    rollout = {"nnodes": 2, "n_gpus_per_node": 8, "tensor_model_parallel_size": 2}
    off = config(
        reward__reward_model={"enable_resource_pool": False, "nnodes": 1, "n_gpus_per_node": 4},
        actor_rollout_ref__rollout=rollout,
    )
    assert wanted(off) == [Wanted("trainer.nnodes", 2, 8, 3)]


@pytest.mark.parametrize("mode", ["separate_async", "laser_separate_async"])
@pytest.mark.parametrize(
    ("parallel", "groups", "gpus"),
    [
        # 2 nodes of 8 GPUs: 8 engines of 2
        ({"tensor_model_parallel_size": 2}, 8, 2),
        # one engine of 16 takes a whole node twice
        ({"tensor_model_parallel_size": 8, "pipeline_model_parallel_size": 2}, 2, 8),
    ],
)
def test_engines_of_separate_async_need_gpus_of_their_own(
    parallel: dict[str, int], groups: int, gpus: int, mode: str
) -> None:
    rollout = {"nnodes": 2, "n_gpus_per_node": 8, **parallel}
    pools = wanted(config(trainer__v1__trainer_mode=mode, actor_rollout_ref__rollout=rollout))
    assert pools[1] == Wanted("actor_rollout_ref.rollout.nnodes", groups, gpus, 2)


@pytest.mark.parametrize(
    "nodes",
    [
        [node("a", 8)],
        # as many GPUs as asked for, and no node with 8
        [node("a", 4), node("b", 4), node("c", 4), node("d", 4)],
        [node("a", 8), node("b", 7)],
        # 8 GPUs ask for 24 CPUs
        [node("a", 8), node("b", 8, cpus=23)],
    ],
)
def test_nodes_that_ray_does_not_have_are_refused(nodes: list[dict[str, Any]]) -> None:
    with pytest.raises(Refused, match=r"trainer\.nnodes=2 cannot be placed") as refused:
        refuse_missing_nodes([Wanted("trainer.nnodes", 2, 8, 3)], nodes)
    text = str(refused.value)
    assert "2 x 8 GPU (trainer.nnodes)" in text
    assert f"nodes that Ray has: {len(nodes)} (a (a.cluster) " in text
    assert "ray start --address=" in text
    assert "trainer.n_gpus_per_node" in text


@pytest.mark.parametrize(
    "nodes", [[node("a", 8, 24), node("b", 8, 24)], [node("a", 16)], [node("a", 0), node("b", 20)]]
)
def test_nodes_that_are_enough_are_accepted(nodes: list[dict[str, Any]]) -> None:
    refuse_missing_nodes([Wanted("trainer.nnodes", 2, 8, 3)], nodes)


def test_groups_of_different_sizes_share_nodes() -> None:
    pools = [Wanted("trainer.nnodes", 1, 8, 3), Wanted("actor_rollout_ref.rollout.nnodes", 4, 2, 2)]
    refuse_missing_nodes(pools, [node("a", 8), node("b", 8)])
    # 8 GPUs take the place of 4 groups of 2, so 7 places are one too few
    with pytest.raises(Refused, match=r"1 x 8 GPU \(trainer\.nnodes\) and 4 x 2 GPU \(actor_rollout_ref"):
        refuse_missing_nodes(pools, [node("a", 8), node("b", 6)])


OLDER = "import sys, types; sys.modules['laser_verl'] = types.SimpleNamespace(__version__='0.0.1')"
MISSING = "import sys; sys.modules['laser_verl'] = None"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head as this process is, and two nodes whose processes find something else where laser_verl should be."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "num_gpus": 1, "include_dashboard": False})
    try:
        for name, code in (("older", OLDER), ("missing", MISSING)):
            folder = tmp_path_factory.mktemp(name)
            # Python runs it in each process of the node, before Ray puts folders of this process on the path.
            (folder / "sitecustomize.py").write_text(code)
            made.add_node(num_cpus=4, num_gpus=1, node_name=name, env_vars={"PYTHONPATH": str(folder)})
        made.wait_for_nodes()
        ray.init(address=made.address, log_to_driver=False)
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def alive() -> dict[str, dict[str, Any]]:
    return {one["NodeName"]: one for one in ray.nodes() if one["Alive"]}


def test_nodes_with_another_version_are_named(cluster: Cluster) -> None:
    with pytest.raises(Refused) as refused:
        check_cluster(config(trainer__nnodes=3, trainer__n_gpus_per_node=1))
    text = str(refused.value)
    assert f"has laser_verl {laser_verl.__version__} and verl 0.9.1, while " in text
    assert "older (" in text
    assert "has laser_verl 0.0.1 and verl 0.9.1" in text
    assert "missing (" in text
    assert "has no laser_verl and verl 0.9.1" in text
    assert text.count(" has ") == 3
    assert "install" in text
    assert "runtime_env" in text


def test_this_node_and_nodes_without_cpus_are_not_asked(cluster: Cluster) -> None:
    here = ray.get_runtime_context().get_node_id()
    idle = [one | {"Resources": {"GPU": 1.0}} for one in alive().values() if one["NodeID"] != here]
    own = [one for one in alive().values() if one["NodeID"] == here]
    refuse_other_versions(own + idle)


def test_a_node_that_dies_meanwhile_is_named(cluster: Cluster) -> None:
    gone = alive()["older"] | {"NodeID": "e" * 56, "NodeName": "gone"}
    with pytest.raises(Refused, match=r"gone \(.*\) cannot be asked"):
        refuse_other_versions([gone])


def test_missing_nodes_come_first(cluster: Cluster) -> None:
    with pytest.raises(Refused, match=r"trainer\.nnodes=4 cannot be placed.*nodes that Ray has: 3"):
        check_cluster(config(trainer__nnodes=4, trainer__n_gpus_per_node=1))


def test_without_ray_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    check_cluster(config(trainer__nnodes=64))


class Looked(Exception):
    """The cluster was looked at."""


@pytest.mark.parametrize("auto_mode", [True, False])
def test_a_run_of_ours_looks_before_it_builds_verls_trainer(monkeypatch: pytest.MonkeyPatch, auto_mode: bool) -> None:
    def look(_: DictConfig) -> None:
        raise Looked

    monkeypatch.setattr("laser_verl.verl_ext.trainer_modes.check_cluster", look)
    made = run_config("laser", laser={"auto_mode": auto_mode}, target_length=2048)
    with pytest.raises(Looked):
        choose_trainer(LaserSync)(made, lambda config: pytest.fail("built verl's trainer"))


def test_a_run_of_verl_alone_does_not_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("laser_verl.verl_ext.trainer_modes.check_cluster", lambda _: pytest.fail("looked"))
    assert choose_trainer(LaserSync)(run_config("naive"), lambda config: "stock") == "stock"


def external_modules(made: DictConfig | None) -> str | None:
    """What verl gives its workers to import, or None."""
    variables: dict[str, str] = constants_ppo.get_ppo_ray_runtime_env(made)["env_vars"]
    return variables.get("VERL_USE_EXTERNAL_MODULES")


def test_every_worker_of_a_run_of_ours_has_to_import_the_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VERL_USE_EXTERNAL_MODULES", raising=False)
    assert external_modules(run_config("laser_d")) == "laser_verl.verl_ext.register"
    assert (
        external_modules(run_config("naive", laser={"sampler": {"policy": "greso"}})) == "laser_verl.verl_ext.register"
    )
    for other in (run_config("naive"), OmegaConf.create({"data": {}}), None):
        assert external_modules(other) is None
    # Ray refuses a variable that a submitted job has set already
    monkeypatch.setenv("VERL_USE_EXTERNAL_MODULES", "somebody.elses")
    assert external_modules(run_config("laser_d")) is None

"""`examples/kuberay/rayjob.yaml`: fields that KubeRay knows, and values that fit together."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import yaml

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

# Fields of the custom resource, by KubeRay's API reference for ray.io/v1.
SPEC = {
    *("activeDeadlineSeconds", "backoffLimit", "clusterSelector", "deletionStrategy", "entrypoint"),
    *("entrypointNumCpus", "entrypointNumGpus", "entrypointResources", "jobId", "managedBy", "metadata"),
    *("rayClusterSpec", "runtimeEnvYAML", "shutdownAfterJobFinishes", "submissionMode", "submitterConfig"),
    *("submitterPodTemplate", "suspend", "ttlSecondsAfterFinished"),
}
CLUSTER = {
    *("authOptions", "autoscalerOptions", "enableInTreeAutoscaling", "gcsFaultToleranceOptions", "headGroupSpec"),
    *("headServiceAnnotations", "managedBy", "rayVersion", "suspend", "workerGroupSpecs"),
}
HEAD = {"enableIngress", "headService", "rayStartParams", "serviceType", "template"}
WORKERS = {
    *("groupName", "idleTimeoutSeconds", "maxReplicas", "minReplicas", "numOfHosts", "rayStartParams", "replicas"),
    *("scaleStrategy", "suspend", "template"),
}
CONTAINER = {"image", "name", "ports", "resources", "volumeMounts"}


def manifest() -> dict[str, Any]:
    return dict(yaml.safe_load((EXAMPLES / "kuberay" / "rayjob.yaml").read_text()))


def test_the_manifest_is_a_rayjob() -> None:
    job = manifest()
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert set(job) == {"apiVersion", "kind", "metadata", "spec"}
    spec, cluster = job["spec"], job["spec"]["rayClusterSpec"]
    groups = cluster["workerGroupSpecs"]
    for fields, known in (
        (spec, SPEC),
        (cluster, CLUSTER),
        (cluster["headGroupSpec"], HEAD),
        *((group, WORKERS) for group in groups),
    ):
        assert set(fields) <= known
    for group in (cluster["headGroupSpec"], *groups):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        pod = group["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert set(container) <= CONTAINER
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_the_manifest_asks_for_the_nodes_that_it_starts() -> None:
    spec = manifest()["spec"]
    (group,) = spec["rayClusterSpec"]["workerGroupSpecs"]
    resources = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert f"HARDWARE={group['replicas']}x{resources['nvidia.com/gpu']}" in shlex.split(spec["entrypoint"])
    assert group["rayStartParams"]["num-gpus"] == resources["nvidia.com/gpu"]
    assert int(resources["cpu"]) >= 3 * int(resources["nvidia.com/gpu"])


def test_the_manifest_runs_a_launcher_and_installs_the_plugin() -> None:
    spec = manifest()["spec"]
    words = shlex.split(spec["entrypoint"])
    launcher = next(word for word in words if word.endswith(".sh"))
    assert (EXAMPLES / launcher.partition("/examples/")[2]).is_file()
    environment = yaml.safe_load(spec["runtimeEnvYAML"])
    assert environment["pip"] == [launcher.partition("/examples/")[0]]
    assert environment["env_vars"] == {"VERL_USE_EXTERNAL_MODULES": "laser_verl.verl_ext.register"}
    assert spec["backoffLimit"] > 0
    assert any(word.startswith("OUT=/shared/") for word in words)

"""The launchers of `examples/` really train where `DEVICE=cpu` says so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from laser_verl.quickstart.processes import ProcessTree
from tests.integration.runs import REPOSITORY, Run, wait_until
from tests.integration.test_modes import assert_laser_d_trained
from tests.megatron_cpu import PACKAGES

EXAMPLES = REPOSITORY / "examples"

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2700)]


def launch(run: Run, *words: str, **variables: str) -> Run:
    """Run a script of `examples/` to its end; whatever happens, nothing of it is left."""
    run.out.mkdir(parents=True)
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "DEVICE": "cpu", "OUT": str(run.out)}
    tree = ProcessTree(["bash", *words], environment | variables, run.log, run.out)
    try:
        wait_until(run, tree, lambda: tree.poll() is not None, limit=1200)
        assert tree.poll() == 0, run.tail()
    finally:
        tree.end()
    return run


def test_fsdp(runs_folder: Path) -> None:
    run = launch(Run(runs_folder / "fsdp"), str(EXAMPLES / "run_laser_d_1.5b_fsdp.sh"))
    assert_laser_d_trained(run, "sync")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["colocate_async", "separate_async"])
def test_async(runs_folder: Path, mode: str) -> None:
    run = launch(Run(runs_folder / f"launched_{mode}"), str(EXAMPLES / "run_laser_d_async.sh"), MODE=mode)
    assert_laser_d_trained(run, mode)


@pytest.mark.slow
def test_lora(runs_folder: Path) -> None:
    run = launch(Run(runs_folder / "lora"), str(EXAMPLES / "run_laser_d_lora.sh"))
    assert_laser_d_trained(run, "sync")
    assert "'lora_rank': 64" in run.log.read_text()


@pytest.mark.slow
@pytest.mark.skipif(not PACKAGES.is_dir(), reason="no megatron-core beside this environment")
def test_megatron(runs_folder: Path) -> None:
    run = launch(Run(runs_folder / "megatron"), str(EXAMPLES / "run_laser_d_7b_megatron.sh"))
    assert_laser_d_trained(run, "sync")
    assert "'strategy': 'megatron'" in run.log.read_text()


# Nodes on which the plugin is not installed: Python forgets where this clone is before anything is imported.
WITHOUT_PLUGIN = "import sys; sys.path[:] = [path for path in sys.path if path != {clone!r}]\n"


def wait_for_jobs(address: str) -> None:
    """A cluster takes jobs only some time after its nodes are there."""
    from ray.job_submission import JobSubmissionClient

    deadline = time.monotonic() + 120
    while True:
        try:
            JobSubmissionClient(address).submit_job(entrypoint="true")
        except RuntimeError:
            assert time.monotonic() < deadline
            time.sleep(1)
        else:
            return


@pytest.fixture
def job_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A cluster of two nodes that takes jobs."""
    from ray.cluster_utils import Cluster

    (tmp_path / "sitecustomize.py").write_text(WITHOUT_PLUGIN.format(clone=str(REPOSITORY)))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    without = {"PYTHONPATH": str(tmp_path)}
    alone = subprocess.run([sys.executable, "-c", "import laser_verl"], env=without, cwd=tmp_path, capture_output=True)
    assert alone.returncode == 1
    head = {"num_cpus": 16, "num_gpus": 1, "include_dashboard": True, "dashboard_port": 0, "env_vars": without}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        cluster.add_node(num_cpus=16, num_gpus=1, env_vars=without)
        cluster.wait_for_nodes()
        wait_for_jobs(f"http://{cluster.webui_url}")
        yield f"http://{cluster.webui_url}"
    finally:
        cluster.shutdown()


@pytest.mark.slow
def test_two_nodes_get_the_plugin_with_a_submitted_job(runs_folder: Path, job_server: str) -> None:
    words = (str(EXAMPLES / "ray" / "submit.sh"), str(EXAMPLES / "run_laser_d_1.5b_fsdp.sh"))
    run = launch(Run(runs_folder / "submitted"), *words, RAY_ADDRESS=job_server, HARDWARE="2x1")
    assert_laser_d_trained(run, "sync")
    log = run.log.read_text()
    assert "on all 2 nodes, asked in" in log
    # imported from where Ray unpacks what is sent, by the trainer and by the rollout
    assert re.search(r"TaskRunnerV1.*working_dir_files/_ray_pkg_\w+/laser_verl/data/tiny_base", log)
    assert re.search(r"vLLMHttpServer.*working_dir_files/_ray_pkg_\w+/laser_verl/data/tiny_base", log)

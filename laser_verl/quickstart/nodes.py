r"""Run a command on a Ray cluster of several nodes on this machine, and take the cluster down afterwards.

    python -m laser_verl.quickstart.nodes 2 python -m verl.trainer.main_ppo ... trainer.nnodes=2 \
        ray_kwargs.ray_init.num_cpus=null ray_kwargs.ray_init.num_gpus=null

The nodes share the real cores; each has logical ones and one logical device.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

LOGICAL_CPUS_PER_NODE = 32


def run(num_nodes: int, words: Sequence[str]) -> int:
    """Run a command with `RAY_ADDRESS` set to a new local cluster.

    Args:
        num_nodes: Nodes of the cluster, 1 or more.
        words: The program and its arguments.

    Returns:
        Its exit code.
    """
    from ray.cluster_utils import Cluster

    resources = {"num_cpus": LOGICAL_CPUS_PER_NODE, "num_gpus": 1}
    head = {**resources, "include_dashboard": False}
    signal.signal(signal.SIGTERM, _as_exit)
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(num_nodes - 1):
            cluster.add_node(**resources)
        cluster.wait_for_nodes()
        command = subprocess.Popen(list(words), env={**os.environ, "RAY_ADDRESS": cluster.address})
        try:
            return command.wait()
        finally:
            command.terminate()
            command.wait()
    finally:
        cluster.shutdown()


def _as_exit(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main() -> None:
    """Run on this process's arguments: the number of nodes, then the command."""
    if len(sys.argv) < 3 or not sys.argv[1].isdigit() or int(sys.argv[1]) < 1:
        raise SystemExit(f"usage: python -m {__spec__.name} NODES COMMAND ...")
    raise SystemExit(run(int(sys.argv[1]), sys.argv[2:]))


if __name__ == "__main__":
    main()

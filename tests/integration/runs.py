"""Real verl runs for the tests: started in a session of their own, always stopped, read from verl's own outputs."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from laser_verl.data import tiny_world
from laser_verl.quickstart.processes import ProcessTree

REPOSITORY = Path(__file__).resolve().parents[2]

ENVIRONMENT = {
    "VERL_PLATFORM": "cpu",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "HF_HUB_OFFLINE": "1",
    "RAY_ADDRESS": "local",  # never join a cluster that somebody else started on this machine
    "RAY_USAGE_STATS_ENABLED": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "HYDRA_FULL_ERROR": "1",
}

PROMPTS_A_STEP = 8
ROLLOUTS = 4


class World:
    """The miniature world on disk: model folder and parquet files."""

    def __init__(
        self, folder: Path, problems_per_difficulty: int = 16, columns: Mapping[str, float] | None = None
    ) -> None:
        problems = tiny_world.make_problems(problems_per_difficulty, seed=7)
        held_out = tiny_world.make_problems(4, seed=8, exclude=problems)
        self.model = tiny_world.write_model(folder / "model")
        rows, others = tiny_world.to_rows(problems, "train"), tiny_world.to_rows(held_out, "test")
        for row in (*rows, *others):
            row["extra_info"] |= columns or {}
        self.train = tiny_world.write_parquet(rows, folder / "train.parquet")
        self.test = tiny_world.write_parquet(others, folder / "test.parquet")

    def arguments(self) -> list[str]:
        """A small training run on CPU in which weights move: lr 1e-3, one update of 32 responses a step."""
        rows = PROMPTS_A_STEP * ROLLOUTS
        return [
            f"--config-path={REPOSITORY / 'configs'}",
            "--config-name=laser_verl",
            "~method",
            "hardware=cpu",
            "algorithm.adv_estimator=grpo",
            f"data.train_files={self.train}",
            f"data.val_files={self.test}",
            f"data.train_batch_size={PROMPTS_A_STEP}",
            "data.max_prompt_length=64",
            "data.max_response_length=96",
            "data.seed=3",
            f"actor_rollout_ref.model.path={self.model}",
            "actor_rollout_ref.actor.optim.lr=1e-3",
            "actor_rollout_ref.actor.use_kl_loss=false",
            f"actor_rollout_ref.actor.ppo_mini_batch_size={PROMPTS_A_STEP}",
            f"actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu={rows // 2}",
            f"actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu={rows // 2}",
            f"actor_rollout_ref.rollout.n={ROLLOUTS}",
            "actor_rollout_ref.rollout.max_model_len=192",
            "trainer.val_before_train=false",
            "trainer.test_freq=-1",
            "trainer.save_freq=-1",
            "trainer.total_training_steps=2",
            "trainer.project_name=laser_verl_tests",
        ]


LASER_D = (
    "reward.reward_manager.name=laser_d",
    "+reward.reward_kwargs.lower_bound=8",
    "+reward.reward_kwargs.interval=4",
    "+reward.reward_kwargs.update_every=2",
)
SEEDED = ("+laser.seeded_rollout=true", "+laser.seed=5")


class Run:
    """One run's process and outputs."""

    def __init__(self, out: Path, python: str = sys.executable) -> None:
        self.out = out
        self.python = python
        self.log = out / "log.txt"
        self.checkpoints = out / "checkpoints"

    def metrics(self) -> dict[int, dict[str, float]]:
        """Metrics by step, from verl's file logger."""
        lines = (self.out / "metrics.jsonl").read_text().splitlines()
        steps: dict[int, dict[str, float]] = {}
        for line in map(json.loads, lines):
            steps.setdefault(line["step"], {}).update(line["data"])
        return steps

    def rollouts(self, step: int) -> list[dict[str, Any]]:
        """The dump of one step."""
        return [json.loads(line) for line in (self.out / "rollouts" / f"{step}.jsonl").read_text().splitlines()]

    def tail(self, lines: int = 60) -> str:
        """The end of the log, for a failure's message."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@contextmanager
def started(run: Run, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Iterator[ProcessTree]:
    """Start ``main_ppo``; whatever happens, nothing of it is left when the block ends."""
    run.out.mkdir(parents=True, exist_ok=True)
    variables = {
        **ENVIRONMENT,
        "VERL_FILE_LOGGER_PATH": str(run.out / "metrics.jsonl"),
        **(environment or {}),
    }
    command = [
        run.python,
        "-m",
        "verl.trainer.main_ppo",
        *arguments,
        f"trainer.default_local_dir={run.checkpoints}",
        f"trainer.rollout_data_dir={run.out / 'rollouts'}",
        f"hydra.run.dir={run.out / 'hydra'}",
    ]
    tree = ProcessTree(command, variables, run.log, run.out)
    try:
        yield tree
    finally:
        tree.end()


def finish(run: Run, arguments: Sequence[str], environment: Mapping[str, str] | None = None, limit: int = 1200) -> Run:
    """Run to the end; fail with the log's end if it does not get there."""
    with started(run, arguments, environment) as tree:
        wait_until(run, tree, lambda: tree.poll() is not None, limit)
        assert tree.poll() == 0, run.tail()
    return run


def kill_when(run: Run, tree: ProcessTree, path: Path, content: str, limit: int = 1200) -> None:
    """SIGKILL the run as soon as a file says so."""
    wait_until(run, tree, lambda: path.exists() and path.read_text().strip() == content, limit)
    os.kill(tree.pid, signal.SIGKILL)


def wait_until(run: Run, tree: ProcessTree, is_reached: Callable[[], bool], limit: int) -> None:
    """Wait for a condition; fail with the log's end when the run ends before it or takes longer."""
    deadline = time.monotonic() + limit
    while not is_reached():
        has_ended = tree.poll() is not None
        assert not has_ended or is_reached(), f"ended early:\n{run.tail()}"
        assert time.monotonic() < deadline, f"not there after {limit} s:\n{run.tail()}"
        time.sleep(0.02)

"""Samplers that are killed again and again, in every mode, with every kind of policy and with rewards of verl's own."""

from __future__ import annotations

import json
import os
import random
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.runs import (
    LASER_D,
    PROMPTS_A_STEP,
    ROLLOUTS,
    SEEDED,
    Run,
    World,
    finish,
    kill_when,
    started,
    wait_until,
)
from tests.integration.test_difficulty import ARGUMENTS, STEPS, same, without

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(3600)]

REWARD = Path(__file__).with_name("parity_reward.py")
RANDOM_STEPS = sorted(random.Random(20).sample(range(2, STEPS - 1), 3))


def chain(run: Run, arguments: list[str], kills: list[int]) -> Run:
    """Run to the end, killed after each of these checkpoints and resumed."""
    for step in kills:
        with started(run, arguments) as tree:
            kill_when(run, tree, run.checkpoints / "latest_checkpointed_iteration.txt", str(step))
    return finish(run, arguments)


def test_three_kills_at_random_steps_change_nothing(world: World, runs_folder: Path) -> None:
    arguments = [*world.arguments(), *ARGUMENTS]
    unbroken = finish(Run(runs_folder / "kills_unbroken"), arguments)
    broken = chain(Run(runs_folder / "kills"), arguments, RANDOM_STEPS)
    same(unbroken, broken, without(*RANDOM_STEPS))
    assert broken.log.read_text().count("laser_verl: restored") == len(RANDOM_STEPS)


def test_workers_that_read_ahead_change_nothing(world: World, runs_folder: Path) -> None:
    arguments = [
        *world.arguments(),
        *SEEDED,
        *LASER_D,
        "+laser.sampler={policy: uniform}",
        "data.dataloader_num_workers=2",
        "trainer.total_training_steps=9",
        "trainer.save_freq=1",
    ]
    unbroken = finish(Run(runs_folder / "workers_unbroken"), arguments)
    broken = chain(Run(runs_folder / "workers"), arguments, [4])
    same(unbroken, broken, [step for step in range(1, 10) if step != 4])
    rounds = [
        [row["prompt_key"] for step in steps for row in broken.rollouts(step)] for steps in (range(1, 7), (7, 8, 9))
    ]
    assert len(set(rounds[0])) == 48  # six batches of 8 are a round
    assert len(set(rounds[1])) == 24


def test_no_prompt_is_lost_or_trained_on_twice_in_colocate_async(world: World, runs_folder: Path) -> None:
    arguments = [
        *world.arguments(),
        *LASER_D,
        "+laser.sampler={policy: max_entropy}",
        "trainer.v1.trainer_mode=colocate_async",
        "trainer.v1.colocate_async.num_warmup_batches=1",
        "trainer.total_training_steps=8",
        "trainer.save_freq=1",
    ]
    run = Run(runs_folder / "colocate_kill")
    dump = run.out / "rollouts" / "4.jsonl"  # written when the checkpoint is there
    with started(run, arguments) as tree:
        whole = PROMPTS_A_STEP * ROLLOUTS
        wait_until(run, tree, lambda: dump.exists() and len(dump.read_text().splitlines()) == whole, 1200)
        os.kill(tree.pid, signal.SIGKILL)
    assert (run.checkpoints / "latest_checkpointed_iteration.txt").read_text() == "4"
    before = [row for step in range(1, 5) for row in run.rollouts(step)]
    finish(run, arguments)
    rows = before + [row for step in range(5, 9) for row in run.rollouts(step)]
    groups = Counter(row["uid"].split("_")[0] for row in rows)
    assert len(groups) == 8 * PROMPTS_A_STEP
    assert set(groups.values()) == {ROLLOUTS}  # whole groups, each trained on once
    assert "Re-issued" in run.log.read_text() or "Restored" in run.log.read_text()
    for step in range(5, 9):
        assert len({row["prompt_key"] for row in run.rollouts(step)}) == PROMPTS_A_STEP


def test_rewards_of_verls_own_manager_stay_and_its_prompts_are_drawn(world: World, runs_folder: Path) -> None:
    arguments = [
        *world.arguments(),
        *SEEDED,
        "reward.reward_manager.name=naive",
        f"reward.custom_reward_function.path={REWARD}",
        "reward.custom_reward_function.name=compute_score",
        "+laser.sampler={policy: max_entropy}",
        "trainer.total_training_steps=4",
        "trainer.save_freq=4",
    ]
    run = finish(Run(runs_folder / "naive"), arguments)
    assert "trainer laser_sync, rewards as they are, prompts drawn by max_entropy" in run.log.read_text()
    for step in range(1, 5):
        metrics, rows = run.metrics()[step], run.rollouts(step)
        assert metrics["critic/score/mean"] == pytest.approx(sum(row["score"] for row in rows) / len(rows))
        assert 0.0 < metrics["laser/accuracy"] < 1.0
        assert not [name for name in metrics if name.startswith("laser/") and "reward" in name]
    assert run.metrics()[4]["laser/tracker/seen_prompts"] > PROMPTS_A_STEP


def test_a_monitor_set_may_be_kept_out_of_the_training(world: World, runs_folder: Path) -> None:
    arguments = [
        *world.arguments(),
        *SEEDED,
        *LASER_D,
        "+reward.reward_kwargs.source=monitor",
        "+reward.reward_kwargs.monitor={size: 8, exclude: true}",
        "trainer.total_training_steps=6",
    ]
    run = finish(Run(runs_folder / "excluded"), arguments)
    monitored = {
        json.loads(line)["prompt_key"]
        for line in (run.out / "rollouts" / "monitor" / "5.jsonl").read_text().splitlines()
    }
    trained = {row["prompt_key"] for step in range(1, 7) for row in run.rollouts(step)}
    assert len(monitored) == 8
    assert len(trained) == 40  # a round of the others
    assert not monitored & trained

"""LASER-D with a monitor set and prompts drawn by band, killed and resumed; and the same beside rollouts under way."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from laser_verl.core.state import load_state
from tests.integration.runs import PROMPTS_A_STEP, ROLLOUTS, SEEDED, Run, World, finish, kill_when, started

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2700)]

STEPS, KILLED_AT, MONITORED = 12, 5, 12
SHARES = {"easy": 0.25, "medium": 0.25, "hard": 0.5}
MONITOR = (
    "reward.reward_manager.name=laser_d",
    "+reward.reward_kwargs.lower_bound=8",
    "+reward.reward_kwargs.interval=4",
    "+reward.reward_kwargs.update_every=4",
    "+reward.reward_kwargs.source=monitor",
    f"+reward.reward_kwargs.monitor={{size: {MONITORED}}}",
)
BAND_MIX = "+laser.sampler={policy: band_mix, shares: {easy: 0.25, medium: 0.25, hard: 0.5}, epsilon: 0}"
ARGUMENTS = (
    *SEEDED,
    *MONITOR,
    BAND_MIX,
    "actor_rollout_ref.actor.optim.lr=2e-5",
    f"trainer.total_training_steps={STEPS}",
    "trainer.save_freq=1",
    "trainer.max_actor_ckpt_to_keep=2",
)


@pytest.fixture(scope="module")
def unbroken(world: World, runs_folder: Path) -> Run:
    return finish(Run(runs_folder / "difficulty"), [*world.arguments(), *ARGUMENTS])


@pytest.fixture(scope="module")
def colocate(world: World, runs_folder: Path) -> Run:
    arguments = [
        *world.arguments(),
        *SEEDED,
        *MONITOR,
        "+laser.sampler={policy: max_entropy}",
        "trainer.v1.trainer_mode=colocate_async",
        "trainer.v1.colocate_async.num_warmup_batches=1",
        "trainer.total_training_steps=6",
    ]
    return finish(Run(runs_folder / "monitor_colocate_async"), arguments)


def drawn(run: Run, step: int) -> dict[str, float]:
    metrics = run.metrics()[step]
    return {name: metrics[f"laser/sampler/drawn_frac/{name}"] for name in ("easy", "medium", "hard", "unseen")}


def without(*killed: int) -> list[int]:
    """All steps but those killed: verl saves a step before it dumps it, so that the kill may have cost the dump."""
    return [step for step in range(1, STEPS + 1) if step not in killed]


def same(run: Run, other: Run, steps: Iterable[int]) -> None:
    """Prompts, responses, rewards and targets of the steps are equal."""
    for step in steps:
        rows, others = (
            sorted(each.rollouts(step), key=lambda row: (row["prompt_key"], row["uid"].rsplit("_", 2)[1]))
            for each in (run, other)
        )
        for name in ("prompt_key", "output", "score"):
            assert [row[name] for row in rows] == [row[name] for row in others], (step, name)
        logged = other.metrics().get(step)  # verl's file logger begins anew when a run is resumed
        for name, value in run.metrics()[step].items() if logged else ():
            if name.startswith(("laser/target_length", "laser/sampler", "laser/tracker", "laser/monitor")):
                assert logged[name] == value, (step, name)


def targets(run: Run) -> dict[str, Any]:
    """What the command line makes of a run's dumps."""
    command = [sys.executable, "-m", "laser_verl", "targets", "--input", str(run.out / "rollouts")]
    bounds = ["--lower", "8", "--upper", "96", "--interval", "4"]
    return json.loads(subprocess.run([*command, *bounds], check=True, capture_output=True, text=True).stdout)


def assert_targets_are_those_of_the_monitor(run: Run, passes: tuple[int, ...]) -> None:
    folder = run.out / "rollouts" / "monitor"
    assert sorted(int(path.stem) for path in folder.iterdir()) == list(passes)
    for step in passes:
        rows = [json.loads(line) for line in (folder / f"{step}.jsonl").read_text().splitlines()]
        assert len(rows) == MONITORED * ROLLOUTS
        assert len({row["prompt_key"] for row in rows}) == MONITORED
        metrics = run.metrics()[step]
        assert metrics["timing_s/laser_monitor"] > 0
        assert metrics["laser/monitor/accuracy"] == pytest.approx(
            sum(row["correct"] and row["well_formed"] for row in rows) / len(rows)
        )
    found, last = targets(run)["monitor"], run.metrics()[passes[-1]]
    assert found["step"] == passes[-1]
    for band, number in found["num_prompts"].items():
        assert last[f"laser/target_prompts/{band}"] == number
        if number:  # a band without prompts keeps its target
            assert last[f"laser/target_length/{band}"] == found["target_length"][band]


def test_the_start_line_names_the_policy(unbroken: Run) -> None:
    assert "groups shaped by laser_sync, prompts drawn by band_mix" in unbroken.log.read_text()


def test_bands_are_drawn_as_asked_once_they_are_known(unbroken: Run) -> None:
    shares = [drawn(unbroken, step) for step in range(1, STEPS + 1)]
    assert shares[0] == {"easy": 0.0, "medium": 0.0, "hard": 0.0, "unseen": 1.0}
    unseen = [share["unseen"] for share in shares]
    assert unseen[-1] < 0.4 < unseen[1]
    metrics = unbroken.metrics()
    for step, share in enumerate(shares[1:], start=2):
        known = 1 - metrics[step - 1]["laser/sampler/unseen_frac"]
        pool = {band: metrics[step - 1][f"laser/tracker/band_frac/{band}"] * known * 48 for band in SHARES}
        for band, asked in SHARES.items():
            wanted = asked * known * PROMPTS_A_STEP
            if all(pool[other] > SHARES[other] * known * PROMPTS_A_STEP for other in SHARES):  # no band is short
                assert abs(share[band] * PROMPTS_A_STEP - wanted) <= 1.0, (step, band)
    # a uniform draw would hold as many hard prompts as the pool
    hard = [share["hard"] / (1 - share["unseen"]) for share in shares[-6:]]
    of_pool = [metrics[step]["laser/tracker/band_frac/hard"] for step in range(STEPS - 6, STEPS)]
    assert sum(hard) > 1.5 * sum(of_pool) > 0


def test_a_batch_holds_no_prompt_twice_and_is_never_short(unbroken: Run) -> None:
    for step in range(1, STEPS + 1):
        rows = unbroken.rollouts(step)
        assert len(rows) == PROMPTS_A_STEP * ROLLOUTS
        assert len({row["prompt_key"] for row in rows}) == PROMPTS_A_STEP
    assert 0.1 < unbroken.metrics()[STEPS]["laser/accuracy"] < 0.95


def test_the_tracker_holds_what_the_dumps_say(unbroken: Run) -> None:
    state = load_state(unbroken.checkpoints / f"global_step_{STEPS}" / "laser_state")["tracker"]
    counts: dict[int, list[int]] = {}
    for step in range(1, STEPS + 1):
        for row in unbroken.rollouts(step):
            count = counts.setdefault(int(row["prompt_key"], 16), [0, 0, 0])
            count[0] += 1
            count[1] += row["correct"] and row["well_formed"]
            count[2] = step
    found = zip(*(state[name].tolist() for name in ("keys", "responses", "solved", "last_step")), strict=True)
    assert {key: list(values) for key, *values in found if values[0]} == counts
    assert len(state["keys"]) == 48


def test_targets_are_those_of_the_monitor_set(unbroken: Run) -> None:
    assert_targets_are_those_of_the_monitor(unbroken, (1, 5, 9))
    tokens = {"monitor": 0, "train": 0}
    for step in range(1, STEPS + 1):
        if step in (1, 5, 9):
            dump = unbroken.out / "rollouts" / "monitor" / f"{step}.jsonl"
            tokens["monitor"] += sum(json.loads(line)["response_length"] for line in dump.read_text().splitlines())
        tokens["train"] += sum(row["response_length"] for row in unbroken.rollouts(step))
    share = tokens["monitor"] / (tokens["monitor"] + tokens["train"])
    assert unbroken.metrics()[STEPS]["laser/monitor/token_frac"] == pytest.approx(share)


def test_the_monitor_answers_beside_rollouts_under_way(colocate: Run) -> None:
    assert_targets_are_those_of_the_monitor(colocate, (1, 5))
    keys = [row["uid"].split("_")[0] for step in range(1, 7) for row in colocate.rollouts(step)]
    assert len(keys) == 6 * PROMPTS_A_STEP * ROLLOUTS
    assert len(set(keys)) == 6 * PROMPTS_A_STEP  # nothing of the set was trained on, and no group twice
    for step in range(1, 7):
        assert len({row["prompt_key"] for row in colocate.rollouts(step)}) == PROMPTS_A_STEP


def test_a_state_goes_with_the_weights_that_verl_removes(unbroken: Run) -> None:
    left = {path.parent.name for path in unbroken.checkpoints.glob("*/laser_state")}
    assert left == {path.parent.name for path in unbroken.checkpoints.glob("*/actor")}
    assert left == {f"global_step_{STEPS - 1}", f"global_step_{STEPS}"}


def test_killed_and_resumed_equals_unbroken(unbroken: Run, world: World, runs_folder: Path) -> None:
    run, arguments = Run(runs_folder / "difficulty_resumed"), [*world.arguments(), *ARGUMENTS]
    with started(run, arguments) as tree:
        kill_when(run, tree, run.checkpoints / "latest_checkpointed_iteration.txt", str(KILLED_AT))
    finish(run, arguments)
    same(unbroken, run, without(KILLED_AT))
    assert STEPS in run.metrics()
    assert "laser_verl: restored" in run.log.read_text()

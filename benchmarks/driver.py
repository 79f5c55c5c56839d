"""What a step of 1,024 responses costs on the driver, beside stock verl's step on the same data.

Two real runs of the miniature reasoner on CPU, one after the other: verl's `naive` manager and trainer, then `laser_d`.
Both verify with the same trivial reward function, so that the difference is the shaping. Takes about five minutes.

Run: python benchmarks/driver.py
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from tests.integration.runs import LASER_D, SEEDED, Run, World, finish  # noqa: E402

PROMPTS, ROLLOUTS, STEPS = 128, 8, 3


def arguments(world: World) -> list[str]:
    """The common part of both runs."""
    rows = PROMPTS * ROLLOUTS
    return [
        *world.arguments(),
        f"data.train_batch_size={PROMPTS}",
        f"actor_rollout_ref.rollout.n={ROLLOUTS}",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={PROMPTS}",
        f"actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu={rows // 8}",
        f"actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu={rows // 8}",
        f"trainer.total_training_steps={STEPS}",
        f"reward.custom_reward_function.path={REPOSITORY / 'tests' / 'integration' / 'parity_reward.py'}",
        "reward.custom_reward_function.name=compute_score",
    ]


def report(name: str, run: Run) -> None:
    """One line of medians over the steps."""
    steps = [metrics for step, metrics in sorted(run.metrics().items()) if step > 0]

    def seconds(timer: str) -> float:
        return statistics.median(step.get(f"timing_s/{timer}", 0.0) for step in steps)

    print(
        f"{name:10} step {seconds('step'):6.2f} s, advantage {seconds('adv'):5.3f} s, "
        f"of it laser_shape {seconds('laser_shape'):5.3f} s ({len(run.rollouts(1))} responses, median of {len(steps)})"
    )


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), problems_per_difficulty=PROMPTS)
        stock = finish(Run(Path(folder) / "stock"), [*arguments(world), "laser.poll_interval=null"], limit=900)
        report("stock", stock)
        ours = finish(Run(Path(folder) / "laser_d"), [*arguments(world), *LASER_D, *SEEDED], limit=900)
        report("laser_d", ours)


if __name__ == "__main__":
    main()

"""A run that would start, as arguments: what the tests of `laser-verl check` break one thing of."""

from pathlib import Path

from laser_verl.data import tiny_world
from laser_verl.verl_ext.checks import Report

CONFIGS = Path(__file__).parents[2] / "configs"
KWARGS = "reward.reward_kwargs"


def write_world(folder: Path) -> None:
    """24 training and 9 validation rows, and the tiny base model."""
    train = tiny_world.make_problems(8, seed=1)
    tiny_world.write_parquet(tiny_world.to_rows(train, "train"), folder / "train.parquet")
    held_out = tiny_world.make_problems(3, seed=2, exclude=train)
    tiny_world.write_parquet(tiny_world.to_rows(held_out, "val"), folder / "val.parquet")
    tiny_world.write_model(folder / "model")


def good_arguments(world: Path) -> list[str]:
    """A run that would start: 8 prompts of 4 responses, one worker."""
    actor, rollout = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
    return [
        *("--config-path", str(CONFIGS), "--config-name", "laser_verl", "method=laser_d", "hardware=cpu"),
        f"{KWARGS}.lower_bound=16",
        f"{KWARGS}.interval=8",
        "algorithm.adv_estimator=grpo",
        f"data.train_files={world / 'train.parquet'}",
        f"data.val_files={world / 'val.parquet'}",
        "data.train_batch_size=8",
        "data.max_prompt_length=64",
        "data.max_response_length=160",
        f"actor_rollout_ref.model.path={world / 'model'}",
        f"{actor}.ppo_mini_batch_size=8",
        f"{actor}.ppo_micro_batch_size_per_gpu=16",
        f"{rollout}.log_prob_micro_batch_size_per_gpu=16",
        f"{rollout}.n=4",
    ]


def fields(report: Report) -> list[str]:
    """What the mistakes are about."""
    return [mistake.field for mistake in report.mistakes]


def message(report: Report, field: str) -> str:
    """The only mistake of a field, on one line."""
    found = [mistake.message for mistake in report.mistakes if mistake.field == field]
    assert len(found) == 1, report.mistakes
    assert "\n" not in found[0]
    return found[0]


def has_note(report: Report, *words: str) -> bool:
    """Whether some note holds all of the words."""
    return any(all(word in note for word in words) for note in report.notes)

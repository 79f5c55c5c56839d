"""LASER-D under verl's other advantage estimators, with KL in the reward, and a response method in the workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.runs import LASER_D, PROMPTS_A_STEP, ROLLOUTS, SEEDED, Run, World, finish, started, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(2700)]

ROWS = PROMPTS_A_STEP * ROLLOUTS
KL_IN_REWARD = ("algorithm.use_kl_in_reward=true", "algorithm.kl_ctrl.kl_coef=0.01")
CRITIC = ("critic.optim.lr=1e-3", f"critic.ppo_micro_batch_size_per_gpu={ROWS // 2}")
REFERENCE = (f"actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu={ROWS // 2}",)


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("grpo_kl_in_reward", (*KL_IN_REWARD, *REFERENCE)),
        ("rloo", ("algorithm.adv_estimator=rloo",)),
        ("reinforce_plus_plus", ("algorithm.adv_estimator=reinforce_plus_plus",)),
        ("gae_with_critic", ("algorithm.adv_estimator=gae", *CRITIC)),
    ],
)
def test_shaped_rewards_reach_the_advantages(
    world: World, runs_folder: Path, name: str, extra: tuple[str, ...]
) -> None:
    arguments = [*world.arguments(), *LASER_D, *SEEDED, *extra, f"critic.model.path={world.model}"]
    run = finish(Run(runs_folder / name), arguments)
    for step in (1, 2):
        metrics = run.metrics()[step]
        assert metrics["critic/score/mean"] == pytest.approx(metrics["laser/shaped_reward/mean"], abs=1e-5)
        assert metrics["critic/advantages/max"] > metrics["critic/advantages/min"]
        assert metrics["actor/grad_norm"] > 1e-3
    if name == "gae_with_critic":
        assert run.metrics()[2]["critic/vf_loss"] > 0
    if name == "grpo_kl_in_reward":
        # the policy has moved away from its reference after one update, and the reward pays for it
        step = run.metrics()[2]
        assert step["critic/rewards/mean"] < step["critic/score/mean"]


def test_auto_mode_false_shapes_single_responses_in_the_workers(world: World, runs_folder: Path) -> None:
    extra = (
        "reward.reward_manager.name=laser",
        "+reward.reward_kwargs.target_length=24",
        "+laser.auto_mode=false",
        *SEEDED,
    )
    run = finish(Run(runs_folder / "auto_mode_false"), [*world.arguments(), *extra])
    assert "applied in the reward workers" in run.log.read_text()
    scores = [row["score"] for step in (1, 2) for row in run.rollouts(step)]
    assert set(scores) <= {1.5, 1.0, -0.5, -1.0}
    assert 1.5 in scores
    assert not any(name.startswith("laser/") for name in run.metrics()[1])


def test_a_users_own_reward_function_is_shaped_on_its_scale(world: World, runs_folder: Path) -> None:
    reward = Path(__file__).parent / "parity_reward.py"
    extra = (f"reward.custom_reward_function.path={reward}", "reward.custom_reward_function.name=compute_score")
    run = finish(Run(runs_folder / "custom_reward"), [*world.arguments(), *LASER_D, *SEEDED, *extra])
    for row in run.rollouts(2):
        assert row["task_score"] == row["task_reward"] == (1.0 if row["correct"] else -0.25)
        assert row["score"] - row["task_reward"] in (0.0, 0.5 if row["correct"] else 0.0)


def test_a_reward_without_a_verdict_stops_an_asynchronous_run(world: World, runs_folder: Path) -> None:
    reward = Path(__file__).parent / "parity_reward.py"
    extra = (
        f"reward.custom_reward_function.path={reward}",
        "reward.custom_reward_function.name=without_verdict",
        "trainer.v1.trainer_mode=colocate_async",
    )
    run = Run(runs_folder / "without_verdict")
    with started(run, [*world.arguments(), *LASER_D, *extra]) as tree:
        wait_until(run, tree, lambda: tree.poll() is not None, limit=1200)
        assert tree.poll() != 0
    assert "say from which score on it is: +reward.reward_kwargs.correct_at=1.0" in run.log.read_text()

"""A run that names none of ours is verl's own; with the one entry it is ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from laser_verl.data import tiny_world
from tests.integration.runs import REPOSITORY, Run, World, finish

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2700)]

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def stock_arguments(world: World, runs_folder: Path) -> list[str]:
    """A stock GRPO command on random weights; seeded, so that two runs can be compared text by text."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    model = runs_folder / "random_model"
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(tiny_world.base_path())).float().save_pretrained(model)
    AutoTokenizer.from_pretrained(tiny_world.base_path()).save_pretrained(model)
    loops = runs_folder / "agent_loops.yaml"
    loops.write_text("[{name: by_seed, _target_: laser_verl.verl_ext.seeded_rollout.SeededAgentLoop}]")
    return [
        *world.arguments(),
        f"actor_rollout_ref.model.path={model}",
        f"actor_rollout_ref.rollout.agent.agent_loop_config_path={loops}",
        "actor_rollout_ref.rollout.agent.default_agent_loop=by_seed",
        f"reward.custom_reward_function.path={HERE / 'parity_reward.py'}",
        "reward.custom_reward_function.name=compute_score",
        "data.max_response_length=24",
        "trainer.val_before_train=true",
    ]


@pytest.fixture(scope="module")
def with_plugin(stock_arguments: list[str], runs_folder: Path) -> Run:
    return finish(Run(runs_folder / "stock_with_plugin"), stock_arguments)


def test_same_rewards_and_metric_names_with_and_without_the_plugin(
    stock_arguments: list[str], with_plugin: Run, runs_folder: Path
) -> None:
    without = finish(
        Run(runs_folder / "stock_without_plugin"),
        stock_arguments,
        {
            "VERL_USE_EXTERNAL_PLUGINS": "none",
            "VERL_USE_EXTERNAL_MODULES": "tests.integration.cpu_platform_only",
            "PYTHONPATH": str(REPOSITORY),
        },
    )
    for step in (1, 2):
        pairs = [sorted((row["output"], row["score"]) for row in run.rollouts(step)) for run in (with_plugin, without)]
        assert pairs[0] == pairs[1]
        assert {score for _, score in pairs[0]} == {1.0, -0.25}
        assert set(with_plugin.rollouts(step)[0]) == set(without.rollouts(step)[0])
    for step, metrics in without.metrics().items():
        assert set(metrics) == set(with_plugin.metrics()[step])
        assert not any(name.startswith("laser/") for name in metrics)
    assert "laser_verl 0." not in with_plugin.log.read_text()


def test_fp32_trainer_and_vllm_agree_while_weights_move(with_plugin: Run) -> None:
    for step in (1, 2):
        metrics = with_plugin.metrics()[step]
        assert metrics["training/rollout_probs_diff_max"] < 1e-6
        assert metrics["actor/grad_norm"] > 1e-2

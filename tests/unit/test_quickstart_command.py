import json
import shlex

import pytest

from laser_verl.commands import WrongUsage
from laser_verl.quickstart.command import arguments, as_shell, config_folder, environment
from laser_verl.quickstart.plan import Plan, Stage


def test_the_command_is_verl_s_own_with_one_entry_for_the_method(tmp_path):
    words = arguments(Plan(tmp_path, steps=40, seed=7), Stage.FRESH)
    assert words[1:5] == ["-m", "verl.trainer.main_ppo", f"--config-path={config_folder()}", "--config-name=quickstart"]
    assert "reward.reward_manager.name=laser_d" in words
    assert {"data.seed=7", "laser.seed=7", "trainer.total_training_steps=40"} <= set(words)
    assert (config_folder() / "quickstart.yaml").is_file()


@pytest.mark.parametrize(
    ("method", "has", "lacks"),
    [("laser_de", "lower_bound=8", "target_length"), ("laser", "target_length=24", "lower_bound")],
)
def test_a_method_gets_the_options_that_it_has(tmp_path, method, has, lacks):
    text = " ".join(arguments(Plan(tmp_path, method=method), Stage.FRESH))
    assert f"+reward.reward_kwargs.{has}" in text
    assert f"reward_kwargs.{lacks}" not in text


def test_the_base_model_is_evaluated_once(tmp_path):
    plan = Plan(tmp_path, steps=40)
    assert "trainer.val_before_train=false" not in arguments(plan, Stage.FRESH)
    plan.answers(0).parent.mkdir()
    plan.answers(0).touch()
    assert "trainer.val_before_train=false" in arguments(plan, Stage.RESUME)


def test_a_missing_last_evaluation_is_made_up_for(tmp_path):
    plan = Plan(tmp_path, steps=40)
    plan.checkpoints.mkdir()
    (plan.checkpoints / "latest_checkpointed_iteration.txt").write_text("40")
    plan.answers(0).parent.mkdir()
    plan.answers(0).touch()
    words = arguments(plan, Stage.EVALUATE)
    assert "trainer.val_only=true" in words
    assert "trainer.val_before_train=false" not in words


def test_each_start_has_its_own_metrics_file(tmp_path):
    plan = Plan(tmp_path)
    names = [environment(plan, number)["VERL_FILE_LOGGER_PATH"] for number in (0, 1)]
    assert names == [str(tmp_path / "metrics" / "000.jsonl"), str(tmp_path / "metrics" / "001.jsonl")]


def test_the_printed_command_is_the_one_that_runs(tmp_path):
    plan = Plan(tmp_path / "a folder", seed=3)
    # a shell drops a backslash together with the line end after it, shlex does not
    words = shlex.split(as_shell(plan, Stage.FRESH, 0).replace("\\\n", " "))
    variables = environment(plan, 0)
    assert words[: len(variables)] == [f"{name}={value}" for name, value in variables.items()]
    assert words[len(variables) :] == arguments(plan, Stage.FRESH)


def test_two_nodes_run_under_a_local_cluster(tmp_path):
    words = arguments(Plan(tmp_path, nodes=2), Stage.FRESH)
    assert words[1:4] == ["-m", "laser_verl.quickstart.nodes", "2"]
    assert {"trainer.nnodes=2", "ray_kwargs.ray_init.num_cpus=null", "ray_kwargs.ray_init.num_gpus=null"} <= set(words)


def own(tmp_path, template, positions=2048):
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps({"max_position_embeddings": positions}))
    (model / "chat_template.jinja").write_text(template)
    return Plan(tmp_path / "out", model=model, data=tmp_path / "data.parquet")


def test_a_model_without_think_tags_is_not_asked_for_them(tmp_path):
    words = arguments(own(tmp_path, "{{ messages }}"), Stage.FRESH)
    assert "+reward.reward_kwargs.thinking=boxed" in words
    assert f"actor_rollout_ref.model.path={tmp_path / 'model'}" in words


def test_a_model_with_think_tags_is(tmp_path):
    words = arguments(own(tmp_path, "{{ messages }}<think></think>"), Stage.FRESH)
    assert not [word for word in words if "thinking" in word]


@pytest.mark.parametrize(("positions", "prompt", "total"), [(2048, 512, 768), (600, 344, 600)])
def test_lengths_fit_a_model_of_one_s_own(tmp_path, positions, prompt, total):
    # 256 tokens are for the response: 600 - 256 = 344
    words = arguments(own(tmp_path, "", positions), Stage.FRESH)
    assert f"data.max_prompt_length={prompt}" in words
    assert f"actor_rollout_ref.rollout.max_model_len={total}" in words


def test_a_model_of_too_few_positions_is_refused(tmp_path):
    with pytest.raises(WrongUsage, match="max_position_embeddings=256 tokens"):
        arguments(own(tmp_path, "", 256), Stage.FRESH)

import json
import shlex
from dataclasses import replace

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from laser_verl.commands import WrongUsage
from laser_verl.quickstart import command as module
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


def test_options_are_of_the_scale_of_the_model(tmp_path):
    world = arguments(Plan(tmp_path, method="thinkprune"), Stage.FRESH)
    mine = own(tmp_path, "")
    one_s_own = arguments(replace(mine, method="thinkprune"), Stage.FRESH)
    for words, stages, starts in ((world, "[40,24]", "[0,35]"), (one_s_own, "[256,128]", "[0,4]")):
        assert {f"+reward.reward_kwargs.stages={stages}", f"+reward.reward_kwargs.starts={starts}"} <= set(words)


def evaluate_base(plan, text="{}\n"):
    plan.answers(0).parent.mkdir()
    plan.answers(0).write_text(text)


def test_the_base_model_is_evaluated_once(tmp_path):
    plan = Plan(tmp_path, steps=40)
    assert "trainer.val_before_train=false" not in arguments(plan, Stage.FRESH)
    evaluate_base(plan)
    assert "trainer.val_before_train=false" in arguments(plan, Stage.RESUME)


def test_a_base_evaluation_that_was_cut_off_is_made_again(tmp_path):
    plan = Plan(tmp_path, steps=40)
    evaluate_base(plan, '{"input": "Ab')
    assert "trainer.val_before_train=false" not in arguments(plan, Stage.RESUME)


def test_a_missing_last_evaluation_is_made_up_for(tmp_path):
    plan = Plan(tmp_path, steps=40)
    evaluate_base(plan)
    words = arguments(plan, Stage.EVALUATE)
    assert "trainer.val_only=true" in words
    assert "trainer.val_before_train=false" not in words


def test_the_metrics_file_is_for_verl_s_file_logger(tmp_path):
    variables = environment(Plan(tmp_path), tmp_path / "metrics" / "001.jsonl")
    assert variables["VERL_FILE_LOGGER_PATH"] == str(tmp_path / "metrics" / "001.jsonl")


def pasted(text):
    """What a shell makes of it: a backslash goes together with the line end after it, which shlex does not know."""
    return shlex.split(text.replace("\\\n", " "))


def test_the_printed_command_is_the_one_that_runs_with_outputs_of_its_own(tmp_path, monkeypatch):
    # both folders need the shell's quotes, the first one Hydra's too
    monkeypatch.setattr(module, "config_folder", lambda: tmp_path / "my configs")
    plan = Plan(tmp_path / "a folder, mine", seed=3)
    by_hand = plan.out / "by_hand"
    words = pasted(as_shell(plan))
    variables = environment(plan, by_hand / "metrics.jsonl")
    assert words[:4] == ["mkdir", "-p", str(by_hand), "&&"]
    assert words[4 : 4 + len(variables)] == [f"{name}={value}" for name, value in variables.items()]
    runs, printed = arguments(plan, Stage.FRESH), words[4 + len(variables) :]
    assert len(printed) == len(runs)
    differing = {(a, b) for a, b in zip(runs, printed, strict=True) if a != b}
    outputs = ("trainer.default_local_dir", "trainer.rollout_data_dir", "trainer.validation_data_dir", "hydra.run.dir")
    assert {a.partition("=")[0] for a, _ in differing} == set(outputs)
    assert all(b == a.replace(str(plan.out), str(by_hand)) for a, b in differing)


@pytest.mark.parametrize(
    "name", ["plain", "a b", "josé", "a,b", "(copy) [1] {x}", "it's", "x=1;!#&~", "back\\", "b\\'q"]
)
def test_hydra_reads_a_path_as_it_is(tmp_path, name):
    plan = Plan(tmp_path / name)
    values = {}
    for word in arguments(plan, Stage.FRESH):
        if word.partition("=")[0] in ("data.train_files", "trainer.default_local_dir"):
            override = OverridesParser.create().parse_override(word)
            assert not override.is_sweep_override()
            values[override.key_or_group] = override.value()
    assert values == {
        "data.train_files": str(tmp_path / name / "train.parquet"),
        "trainer.default_local_dir": str(tmp_path / name / "checkpoints"),
    }


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


def test_data_of_one_s_own_is_mathematics_whatever_its_source(tmp_path):
    word = "+reward.reward_kwargs.scorers.default=math"
    assert word in arguments(own(tmp_path, ""), Stage.FRESH)
    assert word not in arguments(Plan(tmp_path), Stage.FRESH)


@pytest.mark.parametrize(("positions", "prompt", "total"), [(2048, 512, 768), (600, 344, 600)])
def test_lengths_fit_a_model_of_one_s_own(tmp_path, positions, prompt, total):
    # 256 tokens are for the response: 600 - 256 = 344
    words = arguments(own(tmp_path, "", positions), Stage.FRESH)
    assert f"data.max_prompt_length={prompt}" in words
    assert f"actor_rollout_ref.rollout.max_model_len={total}" in words


def test_a_model_of_too_few_positions_is_refused(tmp_path):
    with pytest.raises(WrongUsage, match="max_position_embeddings=256 tokens"):
        arguments(own(tmp_path, "", 256), Stage.FRESH)


@pytest.mark.parametrize(
    ("config", "total"),
    [({"text_config": {"max_position_embeddings": 700}}, 700), ({"max_position_embeddings": None}, 768), ({}, 768)],
)
def test_a_model_that_says_its_positions_elsewhere_or_not_at_all(tmp_path, config, total):
    plan = own(tmp_path, "")
    (plan.model / "config.json").write_text(json.dumps(config))
    assert f"actor_rollout_ref.rollout.max_model_len={total}" in arguments(plan, Stage.FRESH)

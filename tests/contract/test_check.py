"""`laser-verl check` against the real verl and Hydra: a good config has no mistake, a bad one a line for each."""

import sys
from pathlib import Path

import pytest
from omegaconf import DictConfig

from laser_verl.commands import WrongUsage
from laser_verl.commands.check import run
from laser_verl.verl_ext.checks import Report, check
from laser_verl.verl_ext.checks.compose import compose_config, read_arguments
from tests.contract.good_run import KWARGS, fields, message


def test_good_config_says_what_is_active(good: list[str]) -> None:
    report = check(good)
    assert report.mistakes == []
    active = report.active
    assert active["method"] == "laser_d"
    assert active["trainer"] == "laser_sync"
    assert active["shaped_on"] == "driver"
    assert active["options"]["lower_bound"] == 16
    assert active["options"]["scores"] == {"correct": 1.0, "wrong": -0.5, "malformed": -1.0}
    assert active["targets"] == "adaptive per difficulty band, 16 to 160 tokens, from recent groups"
    # 8 and 3 problems of each of three difficulties.
    assert active["data"]["train"]["rows"] == 24
    assert active["data"]["val"]["rows"] == 9
    assert active["data"]["val"]["data_sources"] == ["tiny_world/easy", "tiny_world/hard", "tiny_world/medium"]
    assert active["think_tags"] == "written by the model"
    assert active["seeded"] is None


def test_config_is_the_one_main_ppo_gets(good: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import verl.trainer.main_ppo as host

    received: list[DictConfig] = []
    monkeypatch.setattr(host, "validate_config", lambda **_: None)
    monkeypatch.setattr(host, "run_ppo", lambda config, **_: received.append(config))
    untouched = ["hydra/job_logging=none", "hydra/hydra_logging=none"]  # "disabled" switches off every logger
    monkeypatch.setattr(sys, "argv", ["main_ppo", *good, *untouched])
    monkeypatch.chdir(tmp_path)
    host.main()
    report = Report()
    assert compose_config(read_arguments(good), report) == received[0]
    assert report.ok


def test_run_prints_text_for_people(good: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(good) == 0
    out, err = capsys.readouterr()
    assert "targets       adaptive per difficulty band, 16 to 160 tokens, from recent groups" in out
    assert err == ""
    assert run([*good, "trainer.use_v1=false"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "error: trainer.use_v1=false" in err
    assert "1 mistake" in err


@pytest.mark.parametrize("arguments", [["--multirun"], ["--nonsense"], ["a=1", "--config-name", "x", "b=2"]])
def test_what_is_no_training_command_is_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(WrongUsage, match="main_ppo"):
        run(arguments)


def test_every_refused_override_is_named_with_the_closest_key(good: list[str]) -> None:
    report = check(
        [
            *good,
            *("rolout.n=3", "data.train_batch_siz=8", "laser.seed=1", "method=laser_x", "foo"),
            *("+actor_rollout_ref.rollout.n=3", "+lazer.seed=1", "+reward.reward_kwarg.alpha=1"),
        ]
    )
    assert "did you mean actor_rollout_ref.rollout.n?" in message(report, "rolout.n")
    assert "did you mean data.train_batch_size?" in message(report, "data.train_batch_siz")
    assert "+laser.seed=1" in message(report, "laser.seed")
    assert "did you mean method=laser_d?" in message(report, "method")
    assert "no override" in message(report, "foo")
    assert "leave out the +" in message(report, "actor_rollout_ref.rollout.n")
    assert "+laser.seed" in message(report, "lazer.seed")
    assert "reward.reward_kwargs" in message(report, "reward.reward_kwarg.alpha")


def test_unknown_names_suggest_the_closest(good: list[str]) -> None:
    report = check(
        [
            *good,
            *("reward.reward_manager.name=lazer_d", "trainer.v1.trainer_mode=synk", "algorithm.adv_estimator=grop"),
            *("actor_rollout_ref.rollout.name=vlm", "reward_model.reward_manager=dapo"),
        ]
    )
    assert "did you mean 'laser_d'?" in message(report, "reward.reward_manager.name")
    assert "did you mean 'sync'?" in message(report, "trainer.v1.trainer_mode")
    assert "did you mean 'grpo'?" in message(report, "algorithm.adv_estimator")
    assert "did you mean 'vllm'?" in message(report, "actor_rollout_ref.rollout.name")
    assert "reward.reward_manager.name=dapo" in message(report, "reward_model.reward_manager")
    assert len(report.mistakes) == 5


def test_a_plugin_that_verl_is_told_to_leave_out(good: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERL_USE_EXTERNAL_PLUGINS", "none")
    report = check(good)
    assert fields(report) == ["reward.reward_manager.name"]
    assert "VERL_USE_EXTERNAL_PLUGINS" in message(report, "reward.reward_manager.name")


def test_every_wrong_option_has_its_line(good: list[str]) -> None:
    report = check(
        [
            *good,
            *(f"+{KWARGS}.alhpa=3", f"{KWARGS}.alpha=x", f"+{KWARGS}.thinking=deep", f"{KWARGS}.window=0"),
            *("+laser.auto_mod=false", "+laser.seed=x", "actor_rollout_ref.rollout.n=1"),
            *("actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=8",),
            *("actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=8",),
        ]
    )
    assert "did you mean 'alpha'?" in message(report, f"{KWARGS}.alhpa")
    assert "finite number" in message(report, f"{KWARGS}.alpha")
    assert "deepseek" in message(report, f"{KWARGS}.thinking")
    assert "window=0" in message(report, f"{KWARGS}.window")
    assert "did you mean laser.auto_mode?" in message(report, "laser.auto_mod")
    assert "integer" in message(report, "laser.seed")
    assert "groups of one response" in message(report, "actor_rollout_ref.rollout.n")
    assert len(report.mistakes) == 7


@pytest.mark.parametrize(
    ("extra", "field", "words"),
    [
        ([f"+{KWARGS}.upper_bound=8"], f"{KWARGS}.upper_bound", "upper_bound=8 is below lower_bound=16"),
        ([f"+{KWARGS}.upper_bound=500"], f"{KWARGS}.upper_bound", "above max_response_length=160"),
        (
            [f"+{KWARGS}.target_lengths={{easy:16,medium:32,hard:500}}"],
            f"{KWARGS}.target_lengths",
            "target_lengths.hard=500 is above max_response_length=160",
        ),
        (["+laser.auto_mode=false"], "laser.auto_mode", "add trainer.v1.trainer_mode=laser_sync"),
    ],
)
def test_one_mistake_gives_one_line(good: list[str], extra: list[str], field: str, words: str) -> None:
    report = check([*good, *extra])
    assert fields(report) == [field]
    assert words in message(report, field)


def test_response_method_on_the_stock_trainer_is_said_to_shape_validation(good: list[str]) -> None:
    laser = ["method=laser", f"{KWARGS}.target_length=100", "+laser.auto_mode=false"]
    report = check([text for text in good if not text.startswith(("method", KWARGS))] + laser)
    assert report.ok
    assert report.active["shaped_on"] == "reward worker"
    assert report.active["targets"] == "100 tokens"
    assert any("validation's reward is shaped too, while score and acc stay raw" in note for note in report.notes)


def test_batch_sizes_that_verl_refuses_later(good: list[str]) -> None:
    actor, rollout = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
    report = check([*good, f"{actor}.ppo_mini_batch_size=16"])
    assert fields(report) == ["data.train_batch_size"]
    # 8 prompts of 4 are 32 rows; 3 ranks cannot share them, 12 does not divide them.
    report = check([*good, "trainer.n_gpus_per_node=3"])
    assert "divisible by the 3 data-parallel ranks" in message(report, f"{actor}.ppo_mini_batch_size")
    report = check(
        [*good, f"{actor}.ppo_micro_batch_size_per_gpu=12", f"{rollout}.log_prob_micro_batch_size_per_gpu=32"]
    )
    assert "give e.g. 8" in message(report, f"{actor}.ppo_micro_batch_size_per_gpu")
    report = check(
        [*good, f"{rollout}.log_prob_micro_batch_size_per_gpu=null", f"{rollout}.tensor_model_parallel_size=2"]
    )
    assert "is not set" in message(report, f"{rollout}.log_prob_micro_batch_size_per_gpu")
    assert "must divide the 1 GPUs" in message(report, f"{rollout}.tensor_model_parallel_size")


def test_a_micro_batch_of_a_number_of_tokens_has_room_for_the_longest_sequence(good: list[str]) -> None:
    actor, rollout = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
    dynamic = [*good, f"{actor}.use_dynamic_bsz=true"]
    # a prompt of 64 and a response of 160 tokens
    assert check([*dynamic, f"{actor}.ppo_max_token_len_per_gpu=224"]).ok
    report = check([*dynamic, f"{actor}.ppo_max_token_len_per_gpu=223"])
    assert fields(report) == [f"{actor}.ppo_max_token_len_per_gpu"]
    assert "=223 is below the 224 tokens of the longest" in message(report, f"{actor}.ppo_max_token_len_per_gpu")
    report = check([*dynamic, f"{rollout}.log_prob_max_token_len_per_gpu=100", f"{rollout}.max_model_len=100"])
    assert report.ok, "what the rollout has room for is the longest"
    report = check([*dynamic, f"{actor}.ppo_max_token_len_per_gpu=many"])
    assert "must be a whole number" in message(report, f"{actor}.ppo_max_token_len_per_gpu")


def test_separate_async_needs_matching_steps_a_pool_and_an_engine(good: list[str]) -> None:
    report = check([*good, "trainer.v1.trainer_mode=separate_async"])
    # 4 parameter sync steps of mini batches of 8.
    assert "give data.train_batch_size=32" in message(report, "data.train_batch_size")
    assert "nccl" in message(report, "actor_rollout_ref.rollout.checkpoint_engine.backend")
    assert "actor_rollout_ref.rollout.nnodes" in fields(report)
    assert report.active["trainer"] == "laser_separate_async"


def test_text_where_verl_has_a_number_is_found_although_its_classes_take_it(good: list[str]) -> None:
    wrong = {
        "actor_rollout_ref.actor.optim.lr": "fast",
        "actor_rollout_ref.rollout.temperature": "hot",
        "actor_rollout_ref.rollout.gpu_memory_utilization": "90%",
        "trainer.total_epochs": "few",
    }
    report = check([*good, *(f"{key}={value}" for key, value in wrong.items())])
    assert sorted(fields(report)) == sorted(wrong)
    for key, value in wrong.items():
        assert message(report, key).startswith(f"{key}={value} must be a number, as in verl's own config (")
    # one line where another check has one
    assert fields(check([*good, "actor_rollout_ref.rollout.n=many"])) == ["actor_rollout_ref.rollout.n"]


def test_verl_config_classes_speak_for_themselves(good: list[str]) -> None:
    actor = "actor_rollout_ref.actor"
    report = check([*good, f"{actor}.loss_agg_mode=foo", f"+{actor}.clip_ration=3", "+data.here=${nowhere}"])
    assert f"did you mean {actor}.clip_ratio?" in message(report, f"{actor}.clip_ration")
    assert "Invalid loss_agg_mode: foo" in message(report, actor)
    assert "cannot be resolved" in message(report, "data.here")

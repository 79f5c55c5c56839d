"""`laser-verl check` on settings of verl that compose and then stop a run, or do something else than they seem to."""

import importlib.util
import sys

import pytest
from omegaconf import DictConfig, OmegaConf

from laser_verl.verl_ext.checks import Report, check
from laser_verl.verl_ext.checks.batches import check_batches
from laser_verl.verl_ext.checks.compose import compose_config, read_arguments
from laser_verl.verl_ext.checks.filter_groups import OUR_KEYS
from laser_verl.verl_ext.checks.method import check_method
from tests.contract.good_run import KWARGS, fields, has_note, message
from tests.contract.test_reward_manager import GOOD, row, verify

FILTER = "algorithm.filter_groups"
ROLLOUT = "actor_rollout_ref.rollout"
MODE = "trainer.v1.trainer_mode"
MODEL = "actor_rollout_ref.model"


@pytest.fixture(scope="module")
def config(good: list[str]) -> DictConfig:
    """The good run as one config, for rules of one function: a whole check takes a second."""
    composed = compose_config(read_arguments(good), Report())
    assert composed is not None
    OmegaConf.set_struct(composed, False)
    return composed


def method_report(config: DictConfig, *changes: str) -> Report:
    report = Report()
    check_method(OmegaConf.merge(config, OmegaConf.from_dotlist(list(changes))), report)
    return report


def batches_report(config: DictConfig, *changes: str) -> Report:
    report = Report()
    check_batches(OmegaConf.merge(config, OmegaConf.from_dotlist(list(changes))), False, False, report)
    return report


def test_filtered_groups_never_reach_the_length_reward(good: list[str], config: DictConfig) -> None:
    report = check([*good, f"{FILTER}.enable=true"])
    assert report.mistakes == []
    assert has_note(report, "the same reward", "before laser_d shapes", f"{FILTER}.enable=false")
    on = f"{FILTER}.enable=true"
    for metric in ("score", "acc", "truncated"):
        assert has_note(method_report(config, on, f"{FILTER}.metric={metric}"), f"the same {metric}")
    assert not has_note(method_report(config), FILTER)
    assert not has_note(method_report(config, on, f"{FILTER}.metric=response_length"), FILTER)


def test_groups_filtered_by_a_reward_that_is_shaped_already(good: list[str]) -> None:
    laser = ["method=laser", f"{KWARGS}.target_length=100", "+laser.auto_mode=false", f"{FILTER}.enable=true"]
    kept = [text for text in good if not text.startswith(("method", KWARGS))]
    assert not has_note(check([*kept, *laser]), FILTER)
    assert has_note(check([*kept, *laser, f"{FILTER}.metric=acc"]), "before laser shapes")


def test_filter_metric_that_no_response_carries(good: list[str], config: DictConfig) -> None:
    key, on = f"{FILTER}.metric", f"{FILTER}.enable=true"
    report = check([*good, on, f"{key}=seq_reward"])
    assert fields(report) == [key]
    assert "answer_correct" in message(report, key)
    assert not has_note(report, FILTER)
    assert "did you mean 'acc'?" in message(method_report(config, on, f"{key}=accu"), key)
    assert "has no value" in message(method_report(config, on, f"{key}=null"), key)
    assert method_report(config, f"{key}=seq_reward").ok

    # A user's function, sampler or agent loop may well know more.
    sampler = "trainer.v1.sampler.custom_sampler"
    for knows_more in (
        ["reward.custom_reward_function.path=mine.py"],
        [f"{sampler}.path=mine.py", f"{sampler}.name=Mine"],
        [f"{ROLLOUT}.agent.default_agent_loop=mine"],
    ):
        assert key not in fields(method_report(config, on, f"{key}=mine", *knows_more))


def test_metrics_are_what_our_manager_sends() -> None:
    assert set(verify(row(GOOD))["reward_extra_info"]) == set(OUR_KEYS)


def test_filter_by_a_reward_model(config: DictConfig) -> None:
    on = ["reward.reward_model.enable=true", f"{KWARGS}.correct_at=0.5", f"{FILTER}.enable=true"]
    report = method_report(config, *on, f"{FILTER}.metric=acc")
    assert fields(report) == [f"{FILTER}.metric", f"{FILTER}.enable"]
    assert f"give {FILTER}.metric=reward" in message(report, f"{FILTER}.metric")
    assert "enable_resource_pool=true" in message(report, f"{FILTER}.enable")


def test_seeds_need_the_loop_that_sends_them(config: DictConfig) -> None:
    seeded, key = "laser.seeded_rollout=true", "laser.seeded_rollout"
    assert method_report(config, seeded).ok
    limited = method_report(config, seeded, f"{ROLLOUT}.agent.default_agent_loop=laser_limited")
    assert "default_agent_loop=laser_limited; leave one of the two out" in message(limited, key)


@pytest.mark.parametrize("engine", ["sglang", "trtllm"])
def test_seeds_need_vllm(good: list[str], engine: str) -> None:
    report = check([*good, "+laser.seeded_rollout=true", f"{ROLLOUT}.name={engine}"])
    assert "laser.seeded_rollout" in fields(report)
    assert f"give {ROLLOUT}.name=vllm" in message(report, "laser.seeded_rollout")
    assert "laser.seeded_rollout" not in fields(check([*good, f"{ROLLOUT}.name={engine}"]))


def test_batches_are_fetched_in_whole_chunks(good: list[str], config: DictConfig) -> None:
    key = "data.gen_batch_size"
    # 8 prompts: two chunks of 4, but no number of chunks of 3 or of 16.
    assert check([*good, f"{key}=4"]).ok
    report = check([*good, f"{key}=3"])
    assert fields(report) == [key]
    assert "must divide data.train_batch_size=8" in message(report, key)
    assert f"give e.g. {key}=4" in message(batches_report(config, f"{key}=12"), key)
    assert f"give e.g. {key}=8" in message(batches_report(config, f"{key}=16"), key)
    assert "at least 1" in message(batches_report(config, f"{key}=-2"), key)
    # There verl fetches one by one, whatever was given.
    switches = (f"{FILTER}.enable=true", "trainer.v1.sampler.sync_refill_failed_groups=true", f"{MODE}=colocate_async")
    for switch in switches:
        assert batches_report(config, f"{key}=3", switch).ok


def test_lora_is_checked_without_vllm(good: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # None makes an import fail.
    monkeypatch.setitem(sys.modules, "vllm", None)
    monkeypatch.setitem(sys.modules, "verl.workers.rollout.vllm_rollout.utils", None)
    report = check([*good, f"{MODEL}.lora_rank=16"])
    assert report.mistakes == []
    assert has_note(report, f"{MODEL}.lora_rank=16 was not checked")
    merged = check([*good, f"+{MODEL}.lora.merge=true", f"+{MODEL}.lora.rank=9999"])
    assert not has_note(merged, "rank=9999 was not checked")


@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="the list of ranks is vLLM's")
def test_lora_rank_above_vllms_largest(good: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "verl.workers.rollout.vllm_rollout.utils", None)
    report = check([*good, f"{MODEL}.lora_rank=513"])
    assert fields(report) == [f"{MODEL}.lora_rank"]
    assert "give at most 512" in message(report, f"{MODEL}.lora_rank")
    assert check([*good, f"{MODEL}.lora_rank=512"]).ok


def test_keys_that_do_nothing_without_our_trainer(good: list[str], config: DictConfig) -> None:
    stock = "reward.reward_manager.name=naive"
    report = method_report(config, stock, "laser.seeded_rollout=true")
    assert has_note(report, "laser.seeded_rollout=true does nothing")
    assert not has_note(method_report(config, stock), "does nothing")
    assert not has_note(method_report(config, "laser.seeded_rollout=true"), "seeded_rollout=true does nothing")
    laser = ["method=laser", f"{KWARGS}.target_length=100", "+laser.auto_mode=false", "laser.poll_interval=0.1"]
    report = check([text for text in good if not text.startswith(("method", KWARGS))] + laser)
    assert report.mistakes == []
    assert has_note(report, "laser.poll_interval=0.1 does nothing")


def test_trainer_mode_of_others_may_be_registered_later(good: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = [*good, f"{MODE}=made_elsewhere"]
    monkeypatch.setenv("VERL_USE_EXTERNAL_MODULES", "laser_verl.verl_ext.register")
    assert "trainer mode" in message(check(theirs), MODE)
    monkeypatch.setenv("VERL_USE_EXTERNAL_MODULES", "laser_verl.verl_ext.register,theirs")
    report = check(theirs)
    assert report.mistakes == []
    assert has_note(report, f"{MODE}=made_elsewhere is neither verl's nor ours")
    assert report.active["shaped_on"] == "unknown"
    assert "did you mean 'sync'?" in message(check([*good, f"{MODE}=synk"]), MODE)


def test_rollout_ranks_without_hybrid_engine(good: list[str], config: DictConfig) -> None:
    key = f"{ROLLOUT}.tensor_model_parallel_size"
    separate = [
        *(f"{MODE}=separate_async", "trainer.v1.separate_async.parameter_sync_step=1"),
        *(f"{ROLLOUT}.checkpoint_engine.backend=nccl", f"{ROLLOUT}.nnodes=1", f"{ROLLOUT}.n_gpus_per_node=2"),
    ]
    # Two rollout GPUs hold one replica of 2; the trainer's one GPU holds none unless the engine is hybrid.
    assert "must divide the 1 GPUs" in message(batches_report(config, *separate, f"{key}=2"), key)
    alone = [*separate, "actor_rollout_ref.hybrid_engine=false"]
    assert check([*good, *alone, f"{key}=2"]).mistakes == []
    assert "above the 2 GPUs" in message(batches_report(config, *alone, f"{key}=4"), key)
    # Of 8 GPUs two replicas of 3 take 6.
    report = batches_report(config, *alone, f"{ROLLOUT}.n_gpus_per_node=8", f"{key}=3")
    assert report.ok
    assert has_note(report, "2 of the 8 GPUs", "stay idle")


def test_several_thoughts_of_a_multi_turn_response(good: list[str], config: DictConfig) -> None:
    loop = f"{ROLLOUT}.agent.default_agent_loop=tool_agent"
    report = check([*good, loop])
    assert report.mistakes == []
    assert has_note(report, loop, "+reward.reward_kwargs.thinking=boxed")
    turns = f"{ROLLOUT}.multi_turn.enable=true"
    assert has_note(method_report(config, turns), turns, "+reward.reward_kwargs.thinking=boxed")
    assert not has_note(method_report(config, turns, f"{KWARGS}.thinking=boxed"), "think blocks")
    assert not has_note(method_report(config), "think blocks")
    for single in ("single_turn_agent", "laser_seeded", "laser_limited"):
        assert not has_note(method_report(config, f"{ROLLOUT}.agent.default_agent_loop={single}"), "think blocks")

"""What methods read of a row: from the data to the reward worker, into the prompt, and to the agent loop."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from tensordict import NonTensorData, TensorDict
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop
from verl.trainer.ppo.v1.trainer_base import PPOTrainer
from verl.utils.dataset.rl_dataset import get_dataset_class

from laser_verl.core import Context, Method, build
from laser_verl.data import tiny_world
from laser_verl.scoring.formats import prompt_opens_think, thinks
from laser_verl.verl_ext.agent_loops import choose_agent_loop
from laser_verl.verl_ext.budget_dataset import BudgetDataset, use_budget_prompts
from laser_verl.verl_ext.columns import data_columns, read_numbers, say_budget
from laser_verl.verl_ext.limited_rollout import LimitedAgentLoop
from laser_verl.verl_ext.settings import Plugin, Settings, Verification
from laser_verl.verl_ext.trainer_modes import LaserSync
from tests.contract.test_reward_manager import TOKENIZER, config, row, verify

L1 = build("l1_max")
INSTRUCTION = L1.instruction or ""


def method_config(name: str, **changes: Any) -> DictConfig:
    settings = config(name, **changes)
    settings.reward.reward_kwargs = {}
    return settings


def read(method: Method, **info: Any) -> dict[str, float]:
    return read_numbers({"data_source": "sums", "extra_info": info}, method, "index=17")


def test_a_column_is_read_as_a_number() -> None:
    assert read(L1, budget=24) == {"budget": 24.0}


def test_what_comes_from_earlier_batches_is_no_column_of_the_data() -> None:
    mixture = build("mixed", {"per_data_source": {"sums": "hapo", "default": "hbpo"}})
    assert "shortest_correct" in mixture.columns
    assert data_columns(build("hapo")) == ()
    assert data_columns(mixture) == ("budget",)
    assert read(build("hapo"), shortest_correct="no number") == {}


@pytest.mark.parametrize("value", [None, -1, "many", "2000", True, math.nan, math.inf])
def test_a_row_without_its_required_column_is_named(value: Any) -> None:
    with pytest.raises(ValueError, match=r"index=17 has extra_info\.budget=.*give every row a number of 0 or more"):
        read(L1, budget=value)


@pytest.mark.parametrize("value", [None, math.nan])
def test_a_column_that_an_option_replaces_may_lack(value: Any) -> None:
    assert math.isnan(read(build("l1_max", {"budget": 50}), budget=value)["budget"])


def test_a_row_whose_source_has_no_method_is_named() -> None:
    mixed = build("mixed", {"per_data_source": {"chat": "none"}})
    with pytest.raises(ValueError, match=r"^laser_verl: the row with index=17: unknown data_source 'sums'; .*default"):
        read(mixed)


def test_the_columns_of_a_source_are_those_of_its_method() -> None:
    mixed = build("mixed", {"per_data_source": {"sums": "o1_pruner", "default": "none"}})
    with pytest.raises(ValueError, match=r"extra_info\.reference_length=None"):
        read(mixed)
    other = read_numbers({"data_source": "chat", "extra_info": None}, mixed, "index=1")
    assert all(math.isnan(value) for value in other.values())


@pytest.mark.parametrize(
    ("text", "opened", "expected"),
    [
        ("<think>so</think>7", False, True),
        ("<think>\n\n</think>7", False, False),
        ("so</think>7", True, True),
        ("\n</think>7", True, False),
        ("7", False, False),
        ("<think>cut off", False, True),
    ],
)
def test_whether_a_response_thinks(text: str, opened: bool, expected: bool) -> None:
    assert thinks(text, opened) == expected


def test_a_prompt_may_end_in_an_opened_thought_with_an_ellipsis() -> None:
    assert prompt_opens_think("?<think>\n...\n")
    assert not prompt_opens_think("?<think>\nso...\n")


def test_the_reward_worker_sends_whether_a_response_thinks() -> None:
    settings = method_config("thinkless")
    info = verify(row(rf"<think>a</think>\boxed{{b}}{TOKENIZER.eos_token}"), settings)["reward_extra_info"]
    assert info["uses_thinking"] == 1.0
    assert info["own_score"] == 0.0


def test_a_workers_own_shaping_reads_the_row() -> None:
    item = row(rf"<think>a</think>\boxed{{b}}{TOKENIZER.eos_token}")
    item.non_tensor_batch["extra_info"][0]["budget"] = 24
    settings = method_config("l1_max", laser__shape_on_driver=False)
    # 20 tokens of 24: 0.01 * 4 + 0.5 of the 1 for a right answer
    length = verify(item, settings)["reward_extra_info"]["response_length"]
    assert verify(item, settings)["reward_score"] == pytest.approx(0.01 * (24 - length) + 0.5)


def test_a_ramp_in_the_worker_knows_its_step() -> None:
    item = row(rf"<think>a</think>\boxed{{b}}{TOKENIZER.eos_token}")
    item.non_tensor_batch["global_steps"] = np.array([15], dtype=object)
    settings = config("laser", laser__shape_on_driver=False)
    settings.reward.reward_kwargs = {"target_length": 40, "ramp": [10, 20]}
    assert verify(item, settings)["reward_score"] == pytest.approx(1.25)


def test_a_response_within_the_limit_of_its_step_but_cut_there_is_truncated() -> None:
    item = row(r"<think>a</think>\boxed{b}")
    assert verify(item)["reward_extra_info"]["truncated"] == 0.0
    length = int(verify(item)["reward_extra_info"]["response_length"])
    item.non_tensor_batch["laser_max_tokens"] = np.array([length], dtype=object)
    assert verify(item)["reward_extra_info"]["truncated"] == 1.0


def test_the_budget_is_said_at_the_end_of_the_prompt() -> None:
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "2 + 3?"}]
    given = {"prompt": messages, "extra_info": {"budget": 500}}
    assert say_budget(given, "prompt", "Use {budget} tokens.", 100)[-1]["content"] == "2 + 3? Use 500 tokens."
    assert say_budget({"prompt": messages}, "prompt", "{budget} tokens.", 100)[-1]["content"] == "2 + 3? 100 tokens."
    assert say_budget({"prompt": messages, "extra_info": None}, "prompt", "Use {budget} tokens.", None) == messages
    assert messages[-1]["content"] == "2 + 3?"


@pytest.mark.parametrize(("budget", "said"), [(2000.0, "2000"), (2000.5, "2000.5"), (0, "0"), (1e7, "10000000")])
def test_the_prompt_says_the_budget_that_the_reward_reads(budget: float, said: str) -> None:
    given = {"prompt": [{"role": "user", "content": "2 + 3?"}], "extra_info": {"budget": budget}}
    assert say_budget(given, "prompt", "{budget} tokens.", None)[-1]["content"] == f"2 + 3? {said} tokens."
    assert read(L1, budget=budget)["budget"] == float(said)


@pytest.mark.parametrize("budget", ["2k", "2000", -1, math.inf, True])
def test_a_budget_that_cannot_be_said_names_its_row(tmp_path: Path, budget: Any) -> None:
    row_of_data = {"data_source": "sums", "prompt": [{"role": "user", "content": "2 + 3?"}]}
    path = tiny_world.write_parquet(
        [{**row_of_data, "extra_info": {"index": 17, "budget": budget}}], tmp_path / "train.parquet"
    )
    run = OmegaConf.create({"data": {"prompt_key": "prompt", "cache_dir": str(tmp_path / "cache")}})
    assert use_budget_prompts(run, build("l1_max", {"budget": 50}))
    with pytest.raises(ValueError, match=r"data_source='sums', index=17 has extra_info\.budget="):
        BudgetDataset([str(path)], TOKENIZER, run.data)


def test_verl_reads_its_data_through_ours(tmp_path: Path) -> None:
    rows = tiny_world.to_rows(tiny_world.make_problems(2, seed=1), "train")
    for number, problem in enumerate(rows):
        problem["extra_info"]["budget"] = 10 + number
    path = tiny_world.write_parquet(rows, tmp_path / "train.parquet")
    run = OmegaConf.create(
        {
            "data": {
                "train_files": str(path),
                "prompt_key": "prompt",
                "max_prompt_length": 96,
                "filter_overlong_prompts": True,
                "cache_dir": str(tmp_path / "cache"),
                "custom_cls": {"path": None, "name": None},
            }
        }
    )
    assert use_budget_prompts(run, L1)
    made = get_dataset_class(run.data)
    assert made.__name__ == BudgetDataset.__name__
    data = made([str(path)], TOKENIZER, run.data)
    assert len(data) == len(rows)
    for number, problem in enumerate(rows):
        said = data[number]["raw_prompt"][-1]["content"]
        assert said == f"{problem['prompt'][-1]['content']} {INSTRUCTION.format(budget=10 + number)}"
    # prompts of 10 to 35 tokens become longer by 29 or 30: verl measures what the model sees
    run.data.max_prompt_length = 36
    assert len(made([str(path)], TOKENIZER, run.data)) == 0


def test_a_data_set_class_of_the_users_own_stays() -> None:
    run = OmegaConf.create({"data": {"custom_cls": {"path": "own.py", "name": "Own"}}})
    assert not use_budget_prompts(run, L1)
    assert run.data.custom_cls.path == "own.py"
    assert not use_budget_prompts(OmegaConf.create({"data": {}}), build("kimi"))


def settings_of(method: str, seeded: bool = False) -> Settings:
    return Settings(method, {}, Verification(), Plugin(seeded_rollout=seeded), Context(4, 96), "sync")


@pytest.mark.parametrize(
    ("method", "seeded", "given", "chosen"),
    [
        ("kimi", False, "single_turn_agent", "single_turn_agent"),
        ("siri", False, "single_turn_agent", "laser_limited"),
        ("siri", True, "single_turn_agent", "laser_seeded"),
        ("siri", False, "tool_agent", "tool_agent"),
    ],
)
def test_which_agent_loop_generates(method: str, seeded: bool, given: str, chosen: str) -> None:
    agent = {"agent": {"default_agent_loop": given}, "name": "vllm"}
    run = OmegaConf.create({"actor_rollout_ref": {"rollout": agent}})
    choose_agent_loop(run, settings_of(method, seeded), build(method))
    assert run.actor_rollout_ref.rollout.agent.default_agent_loop == chosen


def test_the_limit_of_a_prompt_reaches_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []

    async def run(self: Any, sampling_params: dict[str, Any], **kwargs: Any) -> None:
        seen.append(sampling_params)

    monkeypatch.setattr(SingleTurnAgentLoop, "run", run)
    loop, shared = object.__new__(LimitedAgentLoop), {"top_p": 1.0}
    asyncio.run(loop.run(shared, laser_max_tokens=16))
    asyncio.run(loop.run(shared))
    assert seen == [{"top_p": 1.0, "max_tokens": 16}, {"top_p": 1.0}]


def test_every_training_prompt_carries_the_limit_of_its_step(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[TensorDict] = []
    monkeypatch.setattr(PPOTrainer, "_submit_batch_to_rollout", lambda self, batch: sent.append(batch) or 0)
    trainer = object.__new__(LaserSync)
    trainer.driver = SimpleNamespace(method=build("siri", {"longest": 80, "shortest": 40, "period": 4}))
    for step, limits_rollouts in ((1, True), (2, True), (2, False)):
        trainer.global_steps, trainer._limits_rollouts = step, limits_rollouts
        trainer._submit_batch_to_rollout(TensorDict({"index": torch.arange(3)}, batch_size=3))
    # cosine from 80 to 40 over four steps; verl keeps values per prompt in a checkpoint, and none that stands for all
    assert [batch["laser_max_tokens"] for batch in sent[:2]] == [[60] * 3, [40] * 3]
    assert not isinstance(sent[0].get("laser_max_tokens"), NonTensorData)
    assert "laser_max_tokens" not in sent[2]

"""The real reward manager on verl's own rows, with the miniature world's tokenizer."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from tensordict import TensorDict
from transformers import AutoTokenizer
from verl import DataProto

from laser_verl.data.tiny_world import base_path
from laser_verl.verl_ext.reward_manager import LengthRewardManager, read_custom_result

TOKENIZER = AutoTokenizer.from_pretrained(base_path())
EOS = TOKENIZER.eos_token


def config(name: str = "laser_d", **changes: Any) -> DictConfig:
    settings = OmegaConf.create(
        {
            "reward": {
                "reward_manager": {"name": name, "source": "register"},
                "reward_kwargs": {} if name != "laser" else {"target_length": 20},
                "custom_reward_function": {"path": None, "name": None},
                "reward_model": {"enable": False},
            },
            "actor_rollout_ref": {"rollout": {"n": 4}},
            "data": {"max_response_length": 40},
            "trainer": {"v1": {"trainer_mode": "sync"}},
            "laser": {"shape_on_driver": True},
        }
    )
    if name != "laser":
        settings.reward.reward_kwargs = {"lower_bound": 8, "interval": 4}
    for key, value in changes.items():
        OmegaConf.update(settings, key.replace("__", "."), value)
    return settings


def row(response: str, gold: Any = "b", prompt: str = "<|user|>AbBa>a<|assistant|>") -> DataProto:
    prompt_ids = TOKENIZER(prompt, add_special_tokens=False).input_ids
    response_ids = TOKENIZER(response, add_special_tokens=False).input_ids
    ids = torch.tensor([prompt_ids + response_ids])
    batch = TensorDict(
        {
            "prompts": torch.tensor([prompt_ids]),
            "responses": torch.tensor([response_ids]),
            "attention_mask": torch.ones_like(ids),
        },
        batch_size=1,
    )
    row_data = {
        "data_source": np.array(["tiny_world/easy"], dtype=object),
        "reward_model": np.array([{"ground_truth": gold, "style": "rule"}], dtype=object),
        "extra_info": np.array([{"index": 17}], dtype=object),
    }
    return DataProto(batch=batch, non_tensor_batch=row_data)


def verify(data: DataProto, settings: DictConfig | None = None, compute_score: Any = None) -> dict[str, Any]:
    async def go() -> dict[str, Any]:
        manager = LengthRewardManager(settings or config(), TOKENIZER, compute_score)
        try:
            return await manager.run_single(data)
        finally:
            manager.scorer.close()

    return asyncio.run(go())


GOOD = "<think>bab!</think>\\boxed{b}" + EOS


@pytest.mark.parametrize(
    ("response", "score", "acc", "answer_correct", "well_formed"),
    [
        (GOOD, 1.0, 1.0, 1.0, 1.0),
        ("<think>aba!</think>\\boxed{a}" + EOS, -0.5, 0.0, 0.0, 1.0),
        # the right answer without a thought: worth as little as any malformed response
        ("\\boxed{b}" + EOS, -1.0, 0.0, 1.0, 0.0),
        ("<think>bab!", -1.0, 0.0, 0.0, 0.0),
    ],
)
def test_task_score_follows_format_and_answer(
    response: str, score: float, acc: float, answer_correct: float, well_formed: float
) -> None:
    result = verify(row(response))
    info = result["reward_extra_info"]
    assert result["reward_score"] == score
    assert (info["acc"], info["answer_correct"], info["well_formed"]) == (acc, answer_correct, well_formed)
    assert info["task_score"] == score


def test_length_counts_tokens_with_the_end_token() -> None:
    # <think> b a b ! </think> \boxed{ b } and the end token; the tags and \boxed{ are one token each
    assert verify(row(GOOD))["reward_extra_info"]["response_length"] == 10


def test_a_prompt_that_opens_the_thought_supplies_the_tag() -> None:
    opened = row("bab!</think>\\boxed{b}" + EOS, prompt="<|user|>AbBa>a<|assistant|><think>")
    assert verify(opened)["reward_extra_info"]["acc"] == 1.0


def test_boxed_mode_asks_for_no_thought() -> None:
    settings = config(reward__reward_kwargs={"lower_bound": 8, "interval": 4, "thinking": "boxed"})
    assert verify(row("\\boxed{b}" + EOS), settings)["reward_score"] == 1.0


def test_a_response_cut_at_the_limit_is_truncated() -> None:
    cut = "<think>" + "b" * 39
    assert verify(row(cut))["reward_extra_info"]["truncated"] == 1.0
    assert verify(row(GOOD))["reward_extra_info"]["truncated"] == 0.0


def test_a_response_method_is_applied_in_the_worker_only_without_our_trainer() -> None:
    in_worker = config("laser", laser__shape_on_driver=False)
    assert verify(row(GOOD), in_worker)["reward_score"] == 1.5
    assert verify(row(GOOD), config("laser"))["reward_score"] == 1.0


def test_a_group_method_refuses_to_work_on_single_responses() -> None:
    with pytest.raises(ValueError, match=r"trainer.v1.trainer_mode=laser_sync"):
        verify(row(GOOD), config(laser__shape_on_driver=False))


@pytest.mark.parametrize("gold", [None, "", "  "])
def test_a_missing_gold_answer_names_the_row(gold: Any) -> None:
    with pytest.raises(ValueError, match=r"tiny_world/easy.*17.*ground_truth"):
        verify(row(GOOD, gold=gold))


def test_works_off_the_main_thread() -> None:
    results: list[float] = []
    thread = threading.Thread(target=lambda: results.append(verify(row(GOOD))["reward_score"]))
    thread.start()
    thread.join()
    assert results == [1.0]


def test_a_users_own_function_keeps_its_scale() -> None:
    settings = config(reward__custom_reward_function={"path": "mine.py", "name": "score"})
    result = verify(row(GOOD), settings, lambda **_: {"score": 30.0, "acc": True})
    assert result["reward_score"] == 30.0
    assert result["reward_extra_info"]["acc"] == 1.0


@pytest.mark.parametrize(
    ("result", "correct_at", "score", "correct"),
    [
        ({"score": 2.5, "acc": True}, None, 2.5, 1.0),
        ({"score": 2.5, "acc": 0}, None, 2.5, 0.0),
        (0.7, 0.7, 0.7, 1.0),
        (0.69, 0.7, 0.69, 0.0),
    ],
)
def test_custom_results(result: Any, correct_at: float | None, score: float, correct: float) -> None:
    verdict = read_custom_result(result, correct_at)
    assert (verdict["task_score"], verdict["answer_correct"]) == (score, correct)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (1.0, "correct_at=1.0"),
        ({"score": 1.0, "acc": 0.4}, "acc=0.4"),
        ({"acc": True}, "score and acc"),
        (None, "score and acc"),
        (float("nan"), "finite"),
    ],
)
def test_custom_results_without_a_verdict_are_errors(result: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_custom_result(result, None)

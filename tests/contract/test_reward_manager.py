"""The real reward manager on verl's own rows, with the miniature world's tokenizer."""

from __future__ import annotations

import asyncio
import math
import threading
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from tensordict import TensorDict
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoTokenizer
from verl import DataProto
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager

from laser_verl.data.tiny_world import base_path
from laser_verl.verl_ext.reward_manager import LengthRewardManager
from laser_verl.verl_ext.reward_row import read_custom_result

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


def row(
    response: str,
    gold: Any = "b",
    prompt: str = "<|user|>AbBa>a<|assistant|>",
    left: int = 0,
    right: int = 0,
    padding: str = "z",
) -> DataProto:
    """One row; `left` and `right` are the padding tokens before the prompt and after the response."""
    prompt_ids = TOKENIZER(prompt, add_special_tokens=False).input_ids
    response_ids = TOKENIZER(response, add_special_tokens=False).input_ids
    (padding_id,) = TOKENIZER(padding, add_special_tokens=False).input_ids
    batch = TensorDict(
        {
            "prompts": torch.tensor([[padding_id] * left + prompt_ids]),
            "responses": torch.tensor([response_ids + [padding_id] * right]),
            "attention_mask": torch.tensor(
                [[0] * left + [1] * len(prompt_ids) + [1] * len(response_ids) + [0] * right]
            ),
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


# 3 and 30 differ, so that a mask cut at the wrong end shows; with its padding the response is as long as the limit, 40
@pytest.mark.parametrize("padding", ["z", TOKENIZER.pad_token, EOS])
def test_padding_on_either_side_is_neither_counted_nor_read(padding: str) -> None:
    read: list[str] = []

    def record(solution_str: str, **_: Any) -> dict[str, Any]:
        read.append(solution_str)
        return {"score": 1.0, "acc": True}

    padded = row(GOOD, left=3, right=30, padding=padding)
    settings = config(reward__custom_reward_function={"path": "mine.py", "name": "score"})
    for result in (verify(padded), verify(padded, settings, record)):
        info = result["reward_extra_info"]
        assert (result["reward_score"], info["acc"], info["answer_correct"]) == (1.0, 1.0, 1.0)
        assert (info["response_length"], info["truncated"], info["repetitive"]) == (10, 0.0, 0.0)
    assert read == ["<think>bab!</think>\\boxed{b}"]


def test_a_cut_response_is_truncated_whatever_pads_its_prompt() -> None:
    cut = row("<think>" + "b" * 39, left=7, padding=EOS)
    info = verify(cut)["reward_extra_info"]
    assert (info["response_length"], info["truncated"], info["well_formed"]) == (40, 1.0, 0.0)


@pytest.mark.parametrize("padding", ["z", TOKENIZER.pad_token, EOS])
def test_a_response_of_padding_only_is_empty_and_malformed(padding: str) -> None:
    result = verify(row("", left=3, right=40, padding=padding))
    info = result["reward_extra_info"]
    assert result["reward_score"] == info["task_score"] == -1.0
    assert (info["acc"], info["answer_correct"], info["well_formed"]) == (0.0, 0.0, 0.0)
    assert (info["response_length"], info["truncated"], info["repetitive"]) == (0, 0.0, 0.0)


@pytest.mark.parametrize(("tag", "acc"), [("<think>", 1.0), ("", 0.0)])
def test_the_tag_that_opens_the_thought_is_read_from_the_end_of_a_padded_prompt(tag: str, acc: float) -> None:
    opened = row(
        "bab!</think>\\boxed{b}" + EOS, prompt="<|user|>AbBa>a<|assistant|>" + tag, left=3, right=5, padding="<think>"
    )
    assert verify(opened)["reward_extra_info"]["acc"] == acc


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


@pytest.mark.parametrize("gold", [None, "", "  ", r"\boxed{}"])
def test_a_missing_gold_answer_names_the_row(gold: Any) -> None:
    with pytest.raises(ValueError, match=r"tiny_world/easy.*17.*ground_truth|ground_truth.*tiny_world/easy.*17"):
        verify(row(GOOD, gold=gold), config("laser", laser__shape_on_driver=False))


@pytest.mark.parametrize(("gold", "returned"), [(None, {"score": 1.0, "acc": True}), ("b", 1.0)])
def test_under_our_trainer_a_row_that_cannot_be_scored_is_sent_to_the_driver(gold: Any, returned: Any) -> None:
    settings = config(reward__custom_reward_function={"path": "mine.py", "name": "score"})
    result = verify(row(GOOD, gold=gold), settings, lambda **_: returned)
    # what verl's group filter may ask for; it keeps a group whose metric is NaN, so that the driver sees why
    infos = result["reward_extra_info"]
    assert all(math.isnan(value) for value in (result["reward_score"], infos["acc"], infos["score"]))
    assert ("ground_truth" if gold is None else "correct_at") in result["reward_extra_info"]["laser_error"]


def test_an_error_inside_a_users_function_is_left_to_verl() -> None:
    settings = config(reward__custom_reward_function={"path": "mine.py", "name": "score"})
    with pytest.raises(ZeroDivisionError):
        verify(row(GOOD), settings, lambda **_: 1 / 0)


def test_the_last_of_several_outputs_counts_whatever_their_lengths() -> None:
    # verl pads prompts, responses and masks of a trajectory each by themselves
    question = "<|user|>AbBa>a<|assistant|>"
    outputs = [(question, "<think>aba"), (question + "<think>aba" + question, GOOD)]
    ids = [[TOKENIZER(text, add_special_tokens=False).input_ids for text in output] for output in outputs]

    def padded(rows: list[list[int]]) -> torch.Tensor:
        return pad_sequence([torch.tensor(ids) for ids in rows], batch_first=True)

    batch = {
        "prompts": padded([prompt for prompt, _ in ids]),
        "responses": padded([response for _, response in ids]),
        "attention_mask": padded([[1] * (len(prompt) + len(response)) for prompt, response in ids]),
    }
    last = row(GOOD).non_tensor_batch
    data = DataProto(
        batch=TensorDict(batch, batch_size=2),
        non_tensor_batch={
            **{name: np.repeat(values, 2) for name, values in last.items()},
            "prompt_len": np.array([len(prompt) for prompt, _ in ids]),
            "response_len": np.array([len(response) for _, response in ids]),
        },
    )
    for order in ([0, 1], [1, 0]):
        info = verify(data[order])["reward_extra_info"]
        assert info["response_length"] == len(ids[order[-1]][1])
        assert info["acc"] == float(order[-1] == 1)


LOOP = "<think>" + "bab," * 24


def test_a_looping_response_is_seen_with_our_verdict_and_with_a_users_own() -> None:
    custom = {"path": "mine.py", "name": "score"}
    mine = config(reward__custom_reward_function=custom, data__max_response_length=160)
    ours = config(data__max_response_length=160)
    for settings, function in ((ours, None), (mine, lambda **_: {"score": 0, "acc": 0})):
        assert verify(row(LOOP), settings, function)["reward_extra_info"]["repetitive"] == 1.0
        assert verify(row(GOOD), settings, function)["reward_extra_info"]["repetitive"] == 0.0


def test_works_off_the_main_thread() -> None:
    results: list[float] = []
    thread = threading.Thread(target=lambda: results.append(verify(row(GOOD))["reward_score"]))
    thread.start()
    thread.join()
    assert results == [1.0]


def test_a_users_own_function_keeps_its_scale() -> None:
    settings = config(reward__custom_reward_function={"path": "mine.py", "name": "score"})
    result = verify(row(GOOD), settings, lambda **_: {"score": 30.0, "acc": True, "steps": 4})
    assert result["reward_score"] == 30.0
    info = result["reward_extra_info"]
    assert (info["acc"], info["score"], info["steps"]) == (1.0, 30.0, 4)


def test_a_users_own_function_gets_what_it_gets_from_verls_managers() -> None:
    seen: list[dict[str, Any]] = []

    def score(**given: Any) -> dict[str, Any]:
        seen.append(given)
        return {"score": 1.0, "acc": True}

    data = row(GOOD)
    data.non_tensor_batch["__num_turns__"] = np.array([3])
    data.non_tensor_batch["tool_extra_fields"] = np.array([{"tool_rewards": [0.5]}], dtype=object)

    async def stock() -> None:
        await NaiveRewardManager(config(), TOKENIZER, score).run_single(data)

    verify(data, config(reward__custom_reward_function={"path": "mine.py", "name": "score"}), score)
    asyncio.run(stock())
    assert seen[0]["extra_info"] == seen[1]["extra_info"]
    assert seen[0]["extra_info"]["tool_rewards"] == [0.5]
    assert verify(data)["reward_extra_info"]["several_turns"] == 1.0
    assert set(seen[0]) == set(seen[1])


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
        ({"score": 1.0, "acc": True, "well_formed": "no"}, "well_formed='no'"),
        ({"acc": True}, "score and acc"),
        (None, "score and acc"),
        (float("nan"), "finite"),
    ],
)
def test_custom_results_without_a_verdict_are_errors(result: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_custom_result(result, None)

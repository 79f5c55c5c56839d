"""verl's rows of a stream of responses, and reward managers to run on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from tensordict import TensorDict
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from verl import DataProto

from benchmarks.data.streams import Item

MAX_RESPONSE_LENGTH = 32_768


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token per byte: what decoding costs does not depend on a download."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: index for index, letter in enumerate([*letters, "<eos>"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<eos>")


def row(tokenizer: PreTrainedTokenizerFast, item: Item) -> DataProto:
    """One row as verl's agent loop hands it to a reward worker."""
    prompt = tokenizer("Solve it.").input_ids
    response = [*tokenizer(item.response).input_ids, tokenizer.eos_token_id]
    batch = TensorDict(
        {
            "prompts": torch.tensor([prompt]),
            "responses": torch.tensor([response]),
            "attention_mask": torch.ones(1, len(prompt) + len(response), dtype=torch.long),
        },
        batch_size=1,
    )
    columns = {
        "data_source": "math_dapo",
        "reward_model": {"ground_truth": item.gold, "style": "rule"},
        "extra_info": {"index": 0},
    }
    return DataProto(batch=batch, non_tensor_batch={name: _column(value) for name, value in columns.items()})


def naive_manager(tokenizer: PreTrainedTokenizerFast) -> Any:
    """The `naive` manager of verl; the data source of the rows selects math_dapo."""
    from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager

    return NaiveRewardManager(OmegaConf.create({}), tokenizer, None)


def laser_manager(tokenizer: PreTrainedTokenizerFast) -> Any:
    """Ours, of LASER-D."""
    from laser_verl.verl_ext.reward_manager import LengthRewardManager

    config = {
        "reward": {
            "reward_manager": {"name": "laser_d"},
            "reward_kwargs": {},
            "custom_reward_function": {"path": None},
        },
        "actor_rollout_ref": {"rollout": {"n": 8}},
        "data": {"max_response_length": MAX_RESPONSE_LENGTH},
        "trainer": {"v1": {"trainer_mode": "sync"}},
        "laser": {"shape_on_driver": True},
    }
    return LengthRewardManager(OmegaConf.create(config), tokenizer, None)


def _column(value: Any) -> np.ndarray:
    column = np.empty(1, dtype=object)
    column[0] = value
    return column

"""Rollout dumps that later tools can read: verl's columns, and what the verdict and the reward were made of."""

from __future__ import annotations

from typing import Any

import transfer_queue as tq
from transfer_queue import KVBatchMeta

from laser_verl.core.keys import prompt_key
from laser_verl.verl_ext.layout import Layout
from laser_verl.verl_ext.text import decode_visible

_FIELDS = ["prompts", "responses", "rm_scores", "reward_model", "extra_fields", "data_source", "raw_prompt"]
_FLAGS = ("well_formed", "repetitive", "truncated")


def dump_columns(batch: KVBatchMeta, tokenizer: Any, max_response_length: int) -> dict[str, list[Any]]:
    """The columns of one step's dump, one row a response, sorted by verl's key ``{uid}_{session}_{index}``.

    Args:
        batch: the trained batch, still in the TransferQueue. Padding rows and the earlier turns of a multi-turn
            trajectory are left out.
        tokenizer: decodes prompts and responses, think tags kept.
        max_response_length: tokens, written along so that recorded rollouts can be shaped again.

    Returns:
        ``input``, ``output``, ``gts``, ``score`` (after shaping) and ``uid`` as verl writes them, and ``task_reward``,
        ``correct``, ``well_formed``, ``repetitive``, ``truncated``, ``response_length``, ``data_source``,
        ``prompt_key``, ``max_response_length``. verl adds ``step``.
    """
    keys = sorted((batch.keys[row] for row in Layout.of(batch.keys, batch.tags).final), key=_order)
    data = tq.kv_batch_get(keys=keys, partition_id=batch.partition_id, select_fields=_FIELDS)
    prompts, responses = data["prompts"].unbind(), data["responses"].unbind()
    golds = [row.get("ground_truth") for row in data["reward_model"]]
    sources, messages = list(data["data_source"]), list(data["raw_prompt"])
    scores = [float(row.sum()) for row in data["rm_scores"].unbind()]
    infos = [row.get("reward_extra_info") or {} for row in data["extra_fields"]]
    columns: dict[str, list[Any]] = {
        "input": [decode_visible(tokenizer, ids.tolist()) for ids in prompts],
        "output": [decode_visible(tokenizer, ids.tolist()) for ids in responses],
        "gts": golds,
        "score": scores,
        "uid": keys,
        "task_reward": [info.get("task_score", score) for info, score in zip(infos, scores, strict=True)],
        "correct": [bool(info.get("answer_correct", False)) for info in infos],
        "response_length": [len(ids) for ids in responses],
        "max_response_length": [max_response_length] * len(keys),
        "data_source": sources,
        "prompt_key": [prompt_key(*row) for row in zip(sources, messages, golds, strict=True)],
    }
    return columns | {name: [bool(info.get(name, False)) for info in infos] for name in _FLAGS}


def _order(key: str) -> tuple[str, int, int]:
    uid, session, index = key.rsplit("_", 2)
    return uid, int(session), int(index)

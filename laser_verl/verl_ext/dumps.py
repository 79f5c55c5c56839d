"""Rollout dumps that later tools can read: verl's columns, and what the verdict and the reward were made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import transfer_queue as tq
from transfer_queue import KVBatchMeta

from laser_verl.verl_ext.layout import Layout, optional_field
from laser_verl.verl_ext.reward_row import OWN_SCORE, SCORED_BY
from laser_verl.verl_ext.text import decode_visible

_FIELDS = ["prompts", "responses", "rm_scores", "extra_fields"]
_OPTIONAL_FIELDS = ["reward_model", "data_source"]

OWN_COLUMNS = frozenset(
    {
        *("input", "output", "gts", "score", "uid", "step", "data_source", "prompt_key", "max_response_length"),
        *("task_reward", "task_score", "correct", "well_formed", "repetitive", "truncated", "response_length"),
    }
)
"""Columns of a dump, verl's and ours, that no column of the data takes the place of."""

# What the reward worker sent along and the driver's record says better.
_VERDICT = ("acc", "answer_correct", "task_score", OWN_SCORE, *SCORED_BY)


def dump_columns(
    batch: KVBatchMeta, tokenizer: Any, max_response_length: int, records: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[Any]]:
    """The columns of one step's dump, one row a response, sorted by verl's key ``{uid}_{session}_{index}``.

    Args:
        batch: the trained batch, still in the TransferQueue. Padding rows and the earlier turns of a multi-turn
            trajectory are left out.
        tokenizer: decodes prompts and responses, think tags kept.
        max_response_length: tokens, written along so that recorded rollouts can be shaped again.
        records: by key, what the driver shaped each response from.

    Returns:
        ``input``, ``output``, ``gts``, ``score`` (after shaping) and ``uid`` as verl writes them; ``task_reward``,
        ``correct``, ``well_formed``, ``repetitive``, ``truncated``, ``response_length``, and ``task_score`` where the
        score is not of our making; ``data_source``, ``prompt_key``, ``max_response_length``; what the method reads of
        the data, a name that is taken as ``extra_info.<name>``; and what a user's reward function returned besides.
        verl adds ``step``.
    """
    keys = sorted((batch.keys[row] for row in Layout.of(batch.keys, batch.tags).final), key=_order)
    data = tq.kv_batch_get(keys=keys, partition_id=batch.partition_id, select_fields=[*_FIELDS, *_OPTIONAL_FIELDS])
    prompts, responses = data["prompts"].unbind(), data["responses"].unbind()
    golds = [(row or {}).get("ground_truth") for row in optional_field(data, "reward_model")]
    infos = [row.get("reward_extra_info") or {} for row in data["extra_fields"]]
    recorded = [records[key] for key in keys]
    columns: dict[str, list[Any]] = {
        "input": [decode_visible(tokenizer, ids.tolist()) for ids in prompts],
        "output": [decode_visible(tokenizer, ids.tolist()) for ids in responses],
        "gts": golds,
        "score": [float(row.sum()) for row in data["rm_scores"].unbind()],
        "uid": keys,
        **{name: [row[name] for row in recorded] for name in (recorded[0] if recorded else ())},
        "max_response_length": [max_response_length] * len(keys),
        "data_source": optional_field(data, "data_source"),
    }
    others = dict.fromkeys(name for info in infos for name in info if name not in (*columns, *_VERDICT))
    return columns | {name: [info.get(name) for info in infos] for name in others}


def _order(key: str) -> tuple[str, int, int]:
    uid, session, index = key.rsplit("_", 2)
    return uid, int(session), int(index)

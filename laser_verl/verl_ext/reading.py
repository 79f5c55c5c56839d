"""From verl's batch in the TransferQueue to `Rollouts`: verdicts, lengths, and the prompts behind them."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real
from typing import Any

import numpy as np
import torch
import transfer_queue as tq
from transfer_queue import KVBatchMeta

from laser_verl.core.framework import Method
from laser_verl.core.keys import prompt_key
from laser_verl.core.rollouts import Rollouts
from laser_verl.verl_ext.columns import DATA_SOURCE, USES_THINKING, data_columns, read_numbers
from laser_verl.verl_ext.layout import Layout, optional_field
from laser_verl.verl_ext.prompt_rows import KEY
from laser_verl.verl_ext.reward_row import ERROR, OWN_SCORE, SCORED_BY, SEVERAL_TURNS
from laser_verl.verl_ext.settings import Settings


class BatchReader:
    """Reads batches for one run's method."""

    def __init__(self, settings: Settings, method: Method) -> None:
        """Set up."""
        self.settings, self.method = settings, method

    def rollouts(self, batch: KVBatchMeta, layout: Layout, step: int) -> Rollouts:
        """The responses of a batch with the verdicts that the reward workers sent along."""
        extra = fetch(batch, "extra_fields")
        infos = [extra[row].get("reward_extra_info") or {} for row in layout.final]
        refuse_bad_rows(info.get(ERROR) for info in infos)
        has_turns = len(layout.rows) > len(layout.final) or any(SEVERAL_TURNS in info for info in infos)
        if is_unjudged := any("answer_correct" not in info for info in infos):
            infos = self._with_scores(infos, batch, layout)

        def column(name: str) -> list[float]:
            return [info[name] for info in infos]

        return Rollouts.build(
            prompt=layout.uids,
            response_length=_written_tokens(batch, layout, has_masks=has_turns or is_unjudged),
            correct=column("answer_correct"),
            well_formed=column("well_formed"),
            repetitive=column("repetitive"),
            truncated=column("truncated"),
            task_score=[info["task_score"] if info.get(OWN_SCORE) else np.nan for info in infos],
            step=step,
            max_response_length=self.settings.context.max_response_length,
            columns=self._columns(batch, layout, infos),
            prompt_key=self._prompt_keys(batch, layout),
        )

    def _columns(self, batch: KVBatchMeta, layout: Layout, infos: list[dict[str, Any]]) -> dict[str, np.ndarray]:
        sent = [*SCORED_BY, *(name for name in (USES_THINKING,) if name in self.method.columns)]
        columns = {name: np.array([info.get(name, np.nan) for info in infos]) for name in sent}
        names = data_columns(self.method)
        if not names and DATA_SOURCE not in self.method.columns:
            return columns
        data = tq.kv_batch_get(
            keys=batch.keys, partition_id=batch.partition_id, select_fields=[DATA_SOURCE, "extra_info"]
        )
        sources, extra = optional_field(data, DATA_SOURCE), optional_field(data, "extra_info")
        if DATA_SOURCE in self.method.columns:
            columns[DATA_SOURCE] = np.array([str(sources[row]) for row in layout.final], dtype=object)
        if names:
            numbers = [self._numbers(sources[row], extra[row]) for row in layout.final]
            columns |= {name: np.array([of_row[name] for of_row in numbers]) for name in names}
        return columns

    def _numbers(self, source: Any, extra: Any) -> dict[str, float]:
        where = f"data_source={source!r}, index={(extra or {}).get('index')!r}"
        return read_numbers({DATA_SOURCE: source, "extra_info": extra}, self.method, where)

    def _prompts(self, batch: KVBatchMeta, layout: Layout) -> dict[str, tuple[Any, ...]]:
        """By verl's id of a prompt, its data source, messages, gold answer, and key if it has one."""
        first = {uid: batch.keys[row] for uid, row in zip(reversed(layout.uids), layout.final[::-1], strict=True)}
        fields = ["data_source", "raw_prompt", "reward_model", KEY]
        data = tq.kv_batch_get(keys=list(first.values()), partition_id=batch.partition_id, select_fields=fields)
        golds = [(row or {}).get("ground_truth") for row in optional_field(data, "reward_model")]
        prompts = zip(
            *(optional_field(data, "data_source"), list(data["raw_prompt"]), golds, optional_field(data, KEY)),
            strict=True,
        )
        return dict(zip(first, prompts, strict=True))

    def _prompt_keys(self, batch: KVBatchMeta, layout: Layout) -> list[str]:
        prompts = self._prompts(batch, layout)
        keys = {uid: own or prompt_key(*prompt) for uid, (*prompt, own) in prompts.items()}
        return [keys[uid] for uid in layout.uids]

    def group_names(self, batch: KVBatchMeta, layout: Layout) -> list[str]:
        """What names each group in an error, in the order of their first responses."""
        prompts = self._prompts(batch, layout)
        texts = {uid: f"{source}: {messages[-1]['content']!s:.60}" for uid, (source, messages, *_) in prompts.items()}
        return [texts[uid] for uid in dict.fromkeys(layout.uids)]

    def _with_scores(self, infos: list[dict[str, Any]], batch: KVBatchMeta, layout: Layout) -> list[dict[str, Any]]:
        scores = fetch(batch, "rm_scores")
        return [
            info if "answer_correct" in info else self._from_score(self._score(info, float(scores[row].sum())))
            for info, row in zip(infos, layout.final, strict=True)
        ]

    def _score(self, info: dict[str, Any], reward: float) -> float:
        """What decides over right and wrong: the reward, or the accuracy beside it where another manager gives one."""
        accuracy = None if self.settings.shapes else info.get("acc")
        return float(accuracy) if isinstance(accuracy, Real) else reward

    def _from_score(self, score: float) -> dict[str, Any]:
        correct_at = self.settings.verification.correct_at
        if correct_at is None:
            raise ValueError(
                "laser_verl: a response arrived without a verdict; its agent loop set reward_score itself. "
                "Leave the score to the reward manager, or add +reward.reward_kwargs.correct_at=1.0"
            )
        flags = {"well_formed": 1.0, "repetitive": 0.0, "truncated": 0.0, OWN_SCORE: 1.0}
        return {"answer_correct": float(score >= correct_at), "task_score": score, **flags}


def refuse_bad_rows(errors: Iterable[Any]) -> None:
    """Stop the run where a reward worker could not score a row.

    Args:
        errors: What the workers sent as ``laser_error``, None where all is well.

    Raises:
        ValueError: the first of them.
    """
    for error in errors:
        if error is not None:
            raise ValueError(error)


def fetch(batch: KVBatchMeta, field: str) -> list[Any]:
    """A field of all rows. Each fetch creates objects for every row, so ask for nothing that is not needed."""
    data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=[field])[field]
    return list(data.unbind()) if isinstance(data, torch.Tensor) else list(data)


def _written_tokens(batch: KVBatchMeta, layout: Layout, has_masks: bool) -> list[int]:
    """Tokens that the model wrote, per response: over all turns, without what tools answered, which the masks tell."""
    masks = fetch(batch, "response_mask") if has_masks else None
    tokens = layout.tokens if masks is None else np.array([int(mask.sum()) for mask in masks])
    return np.bincount(layout.response, tokens[layout.rows], len(layout.final)).astype(np.int64).tolist()

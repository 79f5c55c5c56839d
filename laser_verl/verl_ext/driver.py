"""What our trainer modes do on the driver: whole groups in, shaped rewards, metrics and state out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transfer_queue as tq
from omegaconf import DictConfig
from tensordict import TensorDict
from transfer_queue import KVBatchMeta

import laser_verl
from laser_verl.core import guarded
from laser_verl.core import state as state_file
from laser_verl.core.framework import Shaped
from laser_verl.core.keys import prompt_key
from laser_verl.core.metrics import scoring_metrics, source_metrics, step_metrics
from laser_verl.core.rollouts import Rollouts
from laser_verl.scoring import LAYERS, STATUSES
from laser_verl.verl_ext.advantages import Batch
from laser_verl.verl_ext.columns import DATA_SOURCE, PROMPT_KEY, USES_THINKING, data_columns, read_numbers
from laser_verl.verl_ext.dumps import OWN_COLUMNS
from laser_verl.verl_ext.layout import Layout, optional_field, place_rewards
from laser_verl.verl_ext.refusals import (
    refuse_groups_of_one,
    refuse_scores_without_threshold,
    refuse_unknown_thinking,
)
from laser_verl.verl_ext.reward_row import ERROR, OWN_SCORE, SCORED_BY, SEVERAL_TURNS
from laser_verl.verl_ext.settings import Settings, has_function

logger = logging.getLogger(__name__)


class Driver:
    """Method, state and bookkeeping of one run, in the driver process."""

    def __init__(self, settings: Settings, config: DictConfig) -> None:
        """Build the method; a wrong option is an error here, before any model loads."""
        self.settings = settings
        self.method = settings.build_method()
        self.rule = settings.build_rule()
        self.records: dict[str, dict[str, Any]] = {}
        """By verl's key of a response: what it was shaped from in this step, for the rollout dump."""
        self._recorded_step = -1
        self._has_own_scores = (
            has_function(config)
            or bool(config.reward.reward_model.enable)
            or settings.verification.correct_at is not None
            or bool(settings.verification.read_scorers().functions)
        )
        refuse_groups_of_one(settings, self.method.needs)
        refuse_scores_without_threshold(config, settings)
        refuse_unknown_thinking(config, settings, self.method.columns)

    def start_line(self, mode: str) -> str:
        """The line that says what is active."""
        options = ", ".join(f"{k}={v}" for k, v in self.settings.method_options.items()) or "default options"
        text = f"laser_verl {laser_verl.__version__}: {self.settings.method} ({options}), groups shaped by laser_{mode}"
        text += f", advantages by {self.settings.advantage_rule}" if self.settings.advantage_rule else ""
        at = self.settings.verification.correct_at
        return text + (f", correct from score {at} on" if at is not None else "")

    def shape(self, batch: KVBatchMeta, step: int) -> Batch:
        """Shape the rewards of a batch in the TransferQueue; returns what its advantages are made of."""
        layout = Layout.of(batch.keys, batch.tags)
        rollouts = self.rollouts(batch, layout, step)
        shaped = guarded.shape(self.method, rollouts, lambda: self._group_names(batch, layout))
        if self._recorded_step < 0:
            self.method_state()
        scores = TensorDict({"rm_scores": place_rewards(layout, shaped.reward)}, batch_size=len(batch.keys))
        tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=scores)
        # With several updates a step verl dumps them together.
        before = self.records if step == self._recorded_step else {}
        self.records, self._recorded_step = before | self._record(batch, layout, rollouts, shaped), step
        return Batch(
            rule=self.rule,
            rollouts=rollouts,
            shaped=shaped,
            layout=layout,
            keys=batch.keys,
            masks=lambda: _fetch(batch, "response_mask"),
        )

    def metrics(self, batch: Batch) -> dict[str, float]:
        """What a step logs, once its advantages are known."""
        rollouts = batch.rollouts
        scored = scoring_metrics(
            *(rollouts.columns[name] for name in SCORED_BY), names={"status": STATUSES, "layer": LAYERS}
        )
        group_size = self.settings.context.group_size
        step = step_metrics(rollouts, batch.shaped, group_size) | source_metrics(rollouts, batch.shaped, group_size)
        with guarded.naming(self.method, "metrics"):
            own = dict(self.method.metrics())
        return {**step, **scored, **own, **batch.metrics}

    def rollouts(self, batch: KVBatchMeta, layout: Layout, step: int) -> Rollouts:
        """The responses of a batch with the verdicts that the reward workers sent along."""
        extra = _fetch(batch, "extra_fields")
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
            prompt_key=self._prompt_keys(batch, layout) if PROMPT_KEY in self.method.columns else None,
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

    def _prompts(self, batch: KVBatchMeta, layout: Layout) -> dict[str, tuple[Any, Any, Any]]:
        """By verl's id of a prompt, its data source, messages and gold answer."""
        first = {uid: batch.keys[row] for uid, row in zip(reversed(layout.uids), layout.final[::-1], strict=True)}
        fields = ["data_source", "raw_prompt", "reward_model"]
        data = tq.kv_batch_get(keys=list(first.values()), partition_id=batch.partition_id, select_fields=fields)
        golds = [(row or {}).get("ground_truth") for row in optional_field(data, "reward_model")]
        prompts = zip(optional_field(data, "data_source"), list(data["raw_prompt"]), golds, strict=True)
        return dict(zip(first, prompts, strict=True))

    def _prompt_keys(self, batch: KVBatchMeta, layout: Layout) -> list[str]:
        keys = {uid: prompt_key(*prompt) for uid, prompt in self._prompts(batch, layout).items()}
        return [keys[uid] for uid in layout.uids]

    def _group_names(self, batch: KVBatchMeta, layout: Layout) -> list[str]:
        """What names each group in an error, in the order of their first responses."""
        prompts = self._prompts(batch, layout)
        texts = {uid: f"{source}: {messages[-1]['content']!s:.60}" for uid, (source, messages, _) in prompts.items()}
        return [texts[uid] for uid in dict.fromkeys(layout.uids)]

    def _with_scores(self, infos: list[dict[str, Any]], batch: KVBatchMeta, layout: Layout) -> list[dict[str, Any]]:
        scores = _fetch(batch, "rm_scores")
        return [
            info if "answer_correct" in info else self._from_score(float(scores[row].sum()))
            for info, row in zip(infos, layout.final, strict=True)
        ]

    def _from_score(self, score: float) -> dict[str, Any]:
        correct_at = self.settings.verification.correct_at
        if correct_at is None:
            raise ValueError(
                "laser_verl: a response arrived without a verdict; its agent loop set reward_score itself. "
                "Leave the score to the reward manager, or add +reward.reward_kwargs.correct_at=1.0"
            )
        flags = {"well_formed": 1.0, "repetitive": 0.0, "truncated": 0.0, OWN_SCORE: 1.0}
        return {"answer_correct": float(score >= correct_at), "task_score": score, **flags}

    def _record(
        self, batch: KVBatchMeta, layout: Layout, rollouts: Rollouts, shaped: Shaped
    ) -> dict[str, dict[str, Any]]:
        columns = {
            "task_reward": shaped.task_reward,
            "correct": rollouts.correct,
            **{name: getattr(rollouts, name) for name in ("well_formed", "repetitive", "truncated")},
            "response_length": rollouts.length,
            **{
                f"extra_info.{name}" if name in OWN_COLUMNS else name: rollouts.columns[name]
                for name in data_columns(self.method)
            },
        }
        if self._has_own_scores and rollouts.task_score is not None:
            columns["task_score"] = rollouts.task_score
        keys = [batch.keys[row] for row in layout.final]
        values = zip(*(map(_or_none, column.tolist()) for column in columns.values()), strict=True)
        return {key: dict(zip(columns, row, strict=True)) for key, row in zip(keys, values, strict=True)}

    def method_state(self) -> dict[str, Any]:
        """What a checkpoint holds of the method; ValueError names the method where the file could not hold it.

        Called before training too, so that a state which cannot be saved ends the run then.
        """
        with guarded.naming(self.method, "state_dict"):
            state = self.method.state_dict()
            if not isinstance(state, dict):
                raise ValueError(
                    f"it returned a {type(state).__name__}; return a flat dict of numbers, texts and arrays"
                )
            state_file.pack(state)
        return state

    def save(self, folder: Path, fingerprint: Mapping[str, Any]) -> None:
        """Write ``laser_state`` into a step's checkpoint folder, before verl's commit file."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {"fingerprint": self._fingerprint(fingerprint), "method": self.method_state()}
        state_file.save_state(folder / state_file.NAME, state)

    def load(self, folder: Path, fingerprint: Mapping[str, Any]) -> None:
        """Restore what :meth:`save` wrote; a folder without the file starts afresh and says so."""
        path = folder / state_file.NAME
        if not path.exists():
            logger.warning("laser_verl: %s is not there (a run without laser_verl?); the targets start afresh", path)
            return
        state = state_file.load_state(path)
        state_file.compare_fingerprints(state.get("fingerprint", {}), self._fingerprint(fingerprint), path)
        with guarded.naming(self.method, "load_state_dict"):
            self.method.load_state_dict(state.get("method", {}))
        logger.info("laser_verl: restored %s", path)

    def _fingerprint(self, data: Mapping[str, Any]) -> dict[str, Any]:
        return {"rollout_n": self.settings.context.group_size, **data}


def _or_none(value: Any) -> Any:
    """None for what is not known; JSON has no NaN."""
    return None if value != value else value


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


def _fetch(batch: KVBatchMeta, field: str) -> list[Any]:
    """A field of all rows. Each fetch creates objects for every row, so ask for nothing that is not needed."""
    data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=[field])[field]
    return list(data.unbind()) if isinstance(data, torch.Tensor) else list(data)


def _written_tokens(batch: KVBatchMeta, layout: Layout, has_masks: bool) -> list[int]:
    """Tokens that the model wrote, per response: over all turns, without what tools answered, which the masks tell."""
    masks = _fetch(batch, "response_mask") if has_masks else None
    tokens = layout.tokens if masks is None else np.array([int(mask.sum()) for mask in masks])
    return np.bincount(layout.response, tokens[layout.rows], len(layout.final)).astype(np.int64).tolist()

"""What our trainer modes do on the driver: whole groups in, shaped rewards, metrics and state out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import transfer_queue as tq
from omegaconf import DictConfig
from tensordict import TensorDict
from transfer_queue import KVBatchMeta

import laser_verl
from laser_verl.core import guarded
from laser_verl.core import state as state_file
from laser_verl.core.checkpoints import compare_fingerprints, step_of
from laser_verl.core.history import with_history
from laser_verl.core.metrics import scoring_metrics, source_metrics, step_metrics
from laser_verl.core.prompt_index import Keys
from laser_verl.core.rollouts import Rollouts
from laser_verl.scoring import LAYERS, STATUSES
from laser_verl.verl_ext.advantages import Batch
from laser_verl.verl_ext.columns import data_columns
from laser_verl.verl_ext.difficulty import Difficulty
from laser_verl.verl_ext.dumps import OWN_COLUMNS
from laser_verl.verl_ext.layout import Layout, place_rewards
from laser_verl.verl_ext.monitor import Monitor
from laser_verl.verl_ext.reading import BatchReader, fetch
from laser_verl.verl_ext.refusals import (
    refuse_filtered_groups,
    refuse_groups_of_one,
    refuse_scores_without_threshold,
    refuse_unknown_thinking,
    refuse_unknown_verdicts,
    refuse_workers,
)
from laser_verl.verl_ext.reward_row import SCORED_BY
from laser_verl.verl_ext.sampler_settings import sampler_in_force
from laser_verl.verl_ext.settings import Settings, has_function

logger = logging.getLogger(__name__)


class Driver:
    """Method, state and bookkeeping of one run, in the driver process."""

    def __init__(self, settings: Settings, config: DictConfig) -> None:
        """Build the method; a wrong option is an error here, before any model loads."""
        self.settings = settings
        self.method = settings.build_method()
        self.rule = settings.build_rule()
        self.reader = BatchReader(settings, self.method)
        self._sampler = sampler_in_force(settings.plugin, self.method.monitor, config)
        self.difficulty = Difficulty(settings.plugin.tracker, self._sampler)
        self.records: dict[str, dict[str, Any]] = {}
        """By verl's key of a response: what it was shaped from in this step, for the rollout dump."""
        self.monitor: Monitor | None = None
        """The monitor set, where the method has one."""
        self._recorded_step = -1
        self._seen: dict[str, float] = {}
        self._has_own_scores = (
            has_function(config)
            or bool(config.reward.reward_model.enable)
            or settings.verification.correct_at is not None
            or bool(settings.verification.read_scorers().functions)
        )
        refuse_workers(config, self._sampler)
        refuse_filtered_groups(config, self._sampler)
        if not settings.shapes:
            refuse_unknown_verdicts(config, settings.plugin.tracker)
            return
        refuse_groups_of_one(settings, self.method.needs)
        refuse_scores_without_threshold(config, settings)
        refuse_unknown_thinking(config, settings, self.method.columns)

    def start_line(self, mode: str) -> str:
        """The line that says what is active."""
        options = ", ".join(f"{k}={v}" for k, v in self.settings.method_options.items()) or "default options"
        release = f"laser_verl {laser_verl.__version__}"
        drawn = f", prompts drawn by {self._sampler.policy}" if self._sampler else ""
        if not self.settings.shapes:
            return f"{release}: trainer laser_{mode}, rewards as they are{drawn}"
        text = f"{release}: {self.settings.method} ({options}), groups shaped by laser_{mode}{drawn}"
        text += f", advantages by {self.settings.advantage_rule}" if self.settings.advantage_rule else ""
        at = self.settings.verification.correct_at
        return text + (f", correct from score {at} on" if at is not None else "")

    def shape(self, batch: KVBatchMeta, step: int) -> Batch:
        """Shape the rewards of a batch in the TransferQueue and learn from it; returns what advantages are made of."""
        layout = Layout.of(batch.keys, batch.tags)
        read = self.reader.rollouts(batch, layout, step)
        rollouts = with_history(read, self.difficulty.tracker, self.method.columns)
        shaped = guarded.shape(self.method, rollouts, lambda: self.reader.group_names(batch, layout))
        if self._recorded_step < 0:
            self.method_state()
        if self.settings.shapes:
            scores = TensorDict({"rm_scores": place_rewards(layout, shaped.reward)}, batch_size=len(batch.keys))
            tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=scores)
        self._seen = self.difficulty.observe(rollouts)
        if self.monitor is not None:
            self._seen |= self.monitor.count(rollouts)
        # With several updates a step verl dumps them together.
        before = self.records if step == self._recorded_step else {}
        of_row = {"task_reward": shaped.task_reward}
        self.records, self._recorded_step = before | self._record(batch, layout, rollouts, of_row), step
        return Batch(
            rule=self.rule,
            rollouts=rollouts,
            shaped=shaped,
            layout=layout,
            keys=batch.keys,
            masks=lambda: fetch(batch, "response_mask"),
        )

    def observe_monitor(self, batch: KVBatchMeta, step: int) -> None:
        """Let the method learn from the answers to the monitor set, which nothing is trained on."""
        assert self.monitor is not None
        layout = Layout.of(batch.keys, batch.tags)
        rollouts = self.reader.rollouts(batch, layout, step)
        with guarded.naming(self.method, "observe_monitor"):
            self.method.observe_monitor(rollouts)
        self.monitor.count(rollouts, is_pass=True)
        self.records |= self._record(batch, layout, rollouts, {})

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
        if not self.settings.shapes:
            step = {name: value for name, value in step.items() if "reward" not in name and "signal" not in name}
        return {**step, **scored, **own, **batch.metrics, **self._seen}

    def _record(
        self, batch: KVBatchMeta, layout: Layout, rollouts: Rollouts, of_row: Mapping[str, np.ndarray]
    ) -> dict[str, dict[str, Any]]:
        columns = {
            **of_row,
            "correct": rollouts.correct,
            **{name: getattr(rollouts, name) for name in ("well_formed", "repetitive", "truncated")},
            "response_length": rollouts.length,
            "prompt_key": np.array(rollouts.prompt_key)[rollouts.group],
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
        own = self.difficulty.state_dict() | ({} if self.monitor is None else {"monitor": dict(self.monitor.tokens)})
        seen = {"step": step_of(folder), "fingerprint": self._fingerprint(fingerprint)}
        state = {**seen, "method": self.method_state(), **own}
        state_file.save_state(folder / state_file.NAME, state)

    def load(self, folder: Path, fingerprint: Mapping[str, Any], row_keys: Callable[[], Keys] | None = None) -> None:
        """Restore what :meth:`save` wrote; a folder without the file starts afresh and says so.

        Args:
            folder: of the step.
            fingerprint: of the training data.
            row_keys: returns the keys of their rows, asked for where they have changed.

        Raises:
            ValueError: the file is damaged, or of a run that this one cannot go on with; the message says which.
        """
        path = folder / state_file.NAME
        if not path.exists():
            logger.warning(
                "laser_verl: %s is not there (a run without laser_verl?); all of ours start afresh",
                path,
            )
            return
        state = state_file.load_state(path)
        changed = compare_fingerprints(state.get("fingerprint", {}), self._fingerprint(fingerprint), path)
        if changed:
            logger.info("laser_verl: the training data have changed: %s", "; ".join(changed))
        try:
            may_differ = changed and row_keys is not None and self.difficulty.sampler is None
            self.difficulty.load_state_dict(state, row_keys() if may_differ else None)
        except ValueError as error:
            raise ValueError(f"laser_verl: {path}: {error}") from error
        if self.monitor is not None:
            self.monitor.tokens |= state.get("monitor", {})
        with guarded.naming(self.method, "load_state_dict"):
            self.method.load_state_dict(state.get("method", {}))
        logger.info("laser_verl: restored %s", path)

    def _fingerprint(self, data: Mapping[str, Any]) -> dict[str, Any]:
        return {"rollout_n": self.settings.context.group_size, **data}


def _or_none(value: Any) -> Any:
    """None for what is not known; JSON has no NaN."""
    return None if value != value else value

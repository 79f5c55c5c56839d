"""The reward worker's part: what one response is worth by itself.

Each finished response comes alone, streams while others are still generated, and is only verified here: format,
answer, loops, length. Its worth beside its siblings is decided on the driver (``trainer_modes.py``).
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from omegaconf import DictConfig
from verl import DataProto
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase
from verl.experimental.reward_loop.reward_manager.registry import REWARD_MANAGER
from verl.experimental.reward_loop.reward_manager.registry import register as register_manager
from verl.utils.import_utils import load_extern_object

from laser_verl.core.framework import Method
from laser_verl.core.registry import METHODS, method_names
from laser_verl.core.rollouts import Rollouts
from laser_verl.scoring import LAYERS, STATUSES, Scorer
from laser_verl.scoring.formats import prompt_opens_think, thinks
from laser_verl.scoring.tasks import Judge, Verifier
from laser_verl.verl_ext.columns import DATA_SOURCE, USES_THINKING, read_numbers
from laser_verl.verl_ext.compat import all_or_nothing
from laser_verl.verl_ext.layout import MAX_TOKENS
from laser_verl.verl_ext.reward_row import (
    ERROR,
    OWN_SCORE,
    SEVERAL_TURNS,
    UNSCORED,
    BadRow,
    extra_info,
    ground_truth,
    has_several_turns,
    read_custom_result,
    row_name,
    scorer_of,
    valid_ids,
)
from laser_verl.verl_ext.settings import Settings, read_settings, refuse_group_method
from laser_verl.verl_ext.text import decode_visible

logger = logging.getLogger(__name__)

_PROMPT_TAIL_TOKENS = 16


@dataclass(frozen=True)
class _Response:
    """A response and the row that it answers."""

    item: Any
    ids: list[int]
    text: str
    truncated: bool
    prompt_opens_think: bool


class LengthRewardManager(RewardManagerBase):
    """Verifies one response; ``reward.reward_manager.name`` names the method, ``reward.reward_kwargs`` its options.

    Under the ``laser_*`` trainer modes the reward is the task score alone. Under a stock trainer
    (``+laser.auto_mode=false``) a method that needs only the response is applied here.
    """

    def __init__(
        self,
        config: DictConfig,
        tokenizer: Any,
        compute_score: Any,
        reward_router_address: str | None = None,
        reward_model_tokenizer: Any = None,
    ) -> None:
        """Build method and scorer, so that a wrong option ends the worker's start, not a step of training."""
        super().__init__(config, tokenizer, compute_score)
        self.settings: Settings = read_settings(config)
        self.method: Method = self.settings.build_method()
        if not self.settings.plugin.shape_on_driver:
            refuse_group_method(self.settings)
        verification = self.settings.verification
        self.custom = bool((config.reward.get("custom_reward_function") or {}).get("path"))
        self.scorers = verification.read_scorers()
        self.functions: dict[Any, Callable[..., Any]] = {
            function: load_extern_object(function.path, function.name) for function in self.scorers.functions
        }
        self.scorer = Scorer(
            thinking=verification.thinking,
            timeout_seconds=verification.verify_timeout_seconds,
            repetition=verification.repetition,
        )
        self.router = (
            {"reward_router_address": reward_router_address, "reward_model_tokenizer": reward_model_tokenizer}
            if reward_router_address is not None
            else {}
        )

    async def run_single(self, data: DataProto) -> dict[str, Any]:
        """Verify the last output of one trajectory.

        Args:
            data: verl's row (or the outputs of one multi-turn trajectory, of which the last counts).

        Returns:
            ``reward_score`` and ``reward_extra_info`` with ``acc`` (correct and well formed, 0 or 1),
            ``answer_correct``, ``well_formed``, ``repetitive``, ``truncated`` (0 or 1), ``task_score``, ``score`` (the
            same), ``response_length`` in tokens, ``score_status`` and ``score_layer`` (indices into
            ``laser_verl.scoring.STATUSES`` and ``LAYERS``), ``score_milliseconds``, ``several_turns`` where there were,
            the columns that the method reads, and whatever else a user's function returned.

        Raises:
            BadRow: the row has no scorer or no gold answer that its scorer can read, or the user's own function
                returned no verdict. Under our trainer it is returned as ``laser_error`` instead, and stops the run on
                the driver.
        """
        item = data[-1:][0]
        prompt_ids, response_ids = valid_ids(item)
        text = await self.loop.run_in_executor(None, decode_visible, self.tokenizer, response_ids)
        truncated = self._is_truncated(item, response_ids)
        tail = self.tokenizer.decode(prompt_ids[-_PROMPT_TAIL_TOKENS:], skip_special_tokens=False)
        response = _Response(item, response_ids, text, truncated, prompt_opens_think(tail))
        try:
            info = self._columns(response) | await self._verdict(response)
        except BadRow as error:
            if not self.settings.plugin.shape_on_driver:
                raise
            info = {**UNSCORED, ERROR: str(error)}
        info |= {
            "acc": np.nan if ERROR in info else float(bool(info["answer_correct"]) and bool(info["well_formed"])),
            "truncated": float(truncated),
            "response_length": float(len(response_ids)),
            "score": info["task_score"],
        }
        if has_several_turns(item):
            info[SEVERAL_TURNS] = 1.0
        return {"reward_score": self._reward(info, item), "reward_extra_info": info}

    def _columns(self, response: _Response) -> dict[str, float]:
        """What the method reads of the response, and of the row if it is shaped here."""
        columns: dict[str, float] = {}
        if USES_THINKING in self.method.columns:
            columns[USES_THINKING] = float(thinks(response.text, response.prompt_opens_think))
        if not self.settings.plugin.shape_on_driver:
            try:
                columns |= read_numbers(response.item.non_tensor_batch, self.method, row_name(response.item))
            except ValueError as error:
                raise BadRow(str(error)) from error
        return columns

    async def _verdict(self, response: _Response) -> dict[str, Any]:
        if self.custom:
            return await self._by_function(self.compute_score, "custom_reward_function", response)
        task = scorer_of(response.item, self.scorers)
        if task.function is not None:
            return await self._by_function(self.functions[task.function], task.name, response)
        return await self._by_scorer(task.judge, response)

    async def _by_scorer(self, judge: Judge | Verifier | None, response: _Response) -> dict[str, Any]:
        gold, name = ground_truth(response.item), row_name(response.item)
        try:
            verdict = await self.scorer.score_async(
                response.text,
                gold,
                token_ids=np.asarray(response.ids, dtype=np.int64),
                truncated=response.truncated,
                prompt_opens_think=response.prompt_opens_think,
                row=name,
                judge=judge,
            )
        except ValueError as error:
            raise BadRow(f"laser_verl: {error}") from error
        scores = self.method.scores_of(response.item.non_tensor_batch.get("data_source"))
        task_score = scores.correct if verdict.correct else scores.wrong
        return {
            "answer_correct": float(verdict.correct),
            "well_formed": float(verdict.well_formed),
            "repetitive": float(verdict.repetitive),
            "task_score": float(task_score if verdict.well_formed else scores.malformed),
            OWN_SCORE: 0.0,
            "score_status": float(STATUSES.index(verdict.status)),
            "score_layer": float(LAYERS.index(verdict.layer)),
            "score_milliseconds": verdict.milliseconds,
        }

    async def _by_function(self, function: Callable[..., Any], name: str, response: _Response) -> dict[str, Any]:
        arguments = {
            "data_source": response.item.non_tensor_batch["data_source"],
            "solution_str": response.text,
            "ground_truth": ground_truth(response.item),
            "extra_info": extra_info(response.item),
            **self.router,
        }
        begun = time.perf_counter()
        if inspect.iscoroutinefunction(getattr(function, "func", function)):
            result = await function(**arguments)
        else:
            result = await self.loop.run_in_executor(None, lambda: function(**arguments))
            if inspect.isawaitable(result):
                result = await result
        milliseconds = (time.perf_counter() - begun) * 1000
        ids = np.asarray(response.ids, dtype=np.int64)
        loops = await self.loop.run_in_executor(None, self.scorer.is_repetitive, ids)
        verdict = read_custom_result(result, self.settings.verification.correct_at, name)
        return verdict | {"repetitive": float(loops), "score_milliseconds": milliseconds}

    def _is_truncated(self, item: Any, response_ids: list[int]) -> bool:
        limit = self.settings.context.max_response_length
        assert limit is not None
        limit = min(limit, int(item.non_tensor_batch.get(MAX_TOKENS) or limit))
        return len(response_ids) >= limit and response_ids[-1] != self.tokenizer.eos_token_id

    def _reward(self, info: dict[str, Any], item: Any) -> float:
        if self.settings.plugin.shape_on_driver:
            return info["task_score"]
        row = item.non_tensor_batch
        known = {**info, DATA_SOURCE: str(row.get(DATA_SOURCE))}
        rollouts = Rollouts.build(
            prompt=[0],
            response_length=[int(info["response_length"])],
            correct=[bool(info["answer_correct"])],
            well_formed=[bool(info["well_formed"])],
            repetitive=[bool(info["repetitive"])],
            truncated=[bool(info["truncated"])],
            task_score=[info["task_score"] if info[OWN_SCORE] else np.nan],
            step=int(row.get("global_steps") or 0),
            max_response_length=self.settings.context.max_response_length,
            columns={name: [known[name]] for name in self.method.columns if name in known},
        )
        return float(self.method.shape(rollouts).reward[0])


def register() -> list[str]:
    """Register the one manager under the name of every method, those that are taken left out."""
    for reason in METHODS.left_out():
        logger.error("laser_verl: %s", reason)
    names = []
    with all_or_nothing(REWARD_MANAGER):
        for name in method_names():
            taken = REWARD_MANAGER.get(name, LengthRewardManager)
            if taken is not LengthRewardManager:
                logger.error(
                    "laser_verl: the reward manager %r is already %s.%s, so our method of that name is left out; "
                    "uninstall or rename the other",
                    name,
                    taken.__module__,
                    taken.__qualname__,
                )
                continue
            register_manager(name)(LengthRewardManager)
            names.append(name)
    return names


REGISTERED = register()

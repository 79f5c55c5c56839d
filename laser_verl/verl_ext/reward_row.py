"""One row as verl hands it to a reward worker: its tokens, its gold answer, and what a user's function makes of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from laser_verl.scoring import LAYERS, STATUSES
from laser_verl.scoring.tasks import Scorers, Task, read_golds

ERROR = "laser_error"
"""Key of ``reward_extra_info`` under which a reward worker sends the reason why it could not score a row."""


SEVERAL_TURNS = "several_turns"
"""Key of ``reward_extra_info``, 1 where tools or users answered in between; absent elsewhere."""

SCORED_BY = ("score_status", "score_layer", "score_milliseconds")
"""Keys of ``reward_extra_info`` that say how a verdict came about: indices into ``laser_verl.scoring.STATUSES`` and
``LAYERS``, and wall time. Absent where no reward manager of ours gave it."""

OWN_SCORE = "own_score"
"""Key of ``reward_extra_info``, 1 where ``task_score`` is from a user's function, 0 where the method decides what the
verdict is worth."""

UNSCORED: dict[str, float] = {
    "answer_correct": 0.0,
    "well_formed": 0.0,
    "repetitive": 0.0,
    "task_score": math.nan,
    OWN_SCORE: 0.0,
    "score_status": float(STATUSES.index("error")),
    "score_layer": float(LAYERS.index("task")),
    "score_milliseconds": 0.0,
}
"""What stands in for the verdict on a row that could not be scored: verl's group filter wants its metric in every row,
and would end the run, or leave out the group, before the driver sees why. It keeps a group whose metric is NaN."""

# the user's and the model's
_TURNS_OF_ONE_ANSWER = 2


class BadRow(ValueError):
    """A row that cannot be scored, through no fault of the response.

    verl logs an error of a reward worker and goes on without the group, in an async mode for ever. So our trainer has
    it sent along as :data:`ERROR` and stops the run.
    """


def valid_ids(item: Any) -> tuple[list[int], list[int]]:
    """Token ids of prompt and response without padding.

    verl pads the outputs of a multi-turn trajectory on the right, prompts, responses and mask each by themselves, and
    sends the true lengths along; elsewhere the mask tells.

    Args:
        item: verl's row.

    Returns:
        Prompt and response, [P] and [L].
    """
    prompts, responses, row = item.batch["prompts"], item.batch["responses"], item.non_tensor_batch
    if "response_len" in row:
        return prompts[: int(row["prompt_len"])].tolist(), responses[: int(row["response_len"])].tolist()
    # numpy: torch would wake its threads for each of these small selections
    width, mask = prompts.shape[-1], item.batch["attention_mask"].bool().numpy()
    prompt_ids = prompts.numpy()[mask[:width]].tolist()
    response_ids = responses.numpy()[mask[width : width + responses.shape[-1]]].tolist()
    return prompt_ids, response_ids


def row_name(item: Any) -> str:
    """What names the row in an error."""
    row = item.non_tensor_batch
    index = (row.get("extra_info") or {}).get("index", row.get("index"))
    return f"data_source={row.get('data_source')!r}, index={index!r}"


def ground_truth(item: Any) -> Any:
    """The gold answer of the row.

    Raises:
        BadRow: it has none.
    """
    gold = (item.non_tensor_batch.get("reward_model") or {}).get("ground_truth")
    if gold is None or (isinstance(gold, str) and not gold.strip()):
        raise BadRow(
            f"laser_verl: the row with {row_name(item)} has no reward_model.ground_truth; "
            "give every training and validation row a gold answer"
        )
    return gold


def scorer_of(item: Any, scorers: Scorers) -> Task:
    """What scores the row, its gold answer checked.

    Raises:
        BadRow: its data source has no scorer, or that scorer cannot read the gold answer.
    """
    name = row_name(item)
    source = item.non_tensor_batch.get("data_source")
    task = scorers.find(source)
    if task is None:
        missing = scorers.explain_missing(source, "reward.reward_kwargs.scorers")
        raise BadRow(f"laser_verl: the row with {name} {missing}")
    if task.judge is None:
        return task
    try:
        golds = read_golds(task.judge, ground_truth(item), name)
    except ValueError as error:
        raise BadRow(f"laser_verl: {error}") from error
    for gold in golds:
        if problem := task.check_gold(gold):
            raise BadRow(f"laser_verl: the row with {name}: reward_model.ground_truth={gold!r:.80} {problem}")
    return task


def has_several_turns(item: Any) -> bool:
    """Whether the response holds more than one turn of the model."""
    return int(item.non_tensor_batch.get("__num_turns__") or 0) > _TURNS_OF_ONE_ANSWER


def extra_info(item: Any) -> dict[str, Any]:
    """What verl's own reward managers hand to a user's function as ``extra_info``."""
    row = item.non_tensor_batch
    return {
        **(row.get("extra_info") or {}),
        **(row.get("tool_extra_fields") or {}),
        "num_turns": row.get("__num_turns__"),
        "rollout_reward_scores": row.get("reward_scores", {}),
    }


def read_custom_result(
    result: Any, correct_at: float | None, function: str = "custom_reward_function"
) -> dict[str, Any]:
    """The verdict in what a user's function returned.

    Args:
        result: a mapping with ``score`` and ``acc`` (and optionally ``well_formed``), or a number.
        correct_at: the least number that counts as correct, needed where there is no ``acc``.
        function: what names the function in an error.

    Returns:
        ``answer_correct``, ``well_formed``, ``task_score`` (on the function's own scale), ``own_score``,
        ``score_status``, ``score_layer``, and the mapping's other keys as they are.

    Raises:
        BadRow: neither ``acc`` nor ``correct_at``, or a value that is no verdict.
    """
    fields = dict(result) if isinstance(result, dict) else {"score": result}
    try:
        score = float(fields["score"])
    except (KeyError, TypeError, ValueError):
        raise BadRow(
            f"laser_verl: {function} returned {result!r:.200}; return a number or a dict with score and acc"
        ) from None
    if not math.isfinite(score):
        raise BadRow(f"laser_verl: {function} returned score={score!r}; it must be a finite number")
    if "acc" not in fields and correct_at is None:
        raise BadRow(
            f"laser_verl: {function} returned {result!r:.200}, which does not say whether the answer is "
            "right; return a dict with acc, or say from which score on it is: +reward.reward_kwargs.correct_at=1.0"
        )
    correct = _flag("acc", fields["acc"], function) if "acc" in fields else score >= float(correct_at or 0.0)
    return {
        **fields,
        "answer_correct": float(correct),
        "well_formed": float(_flag("well_formed", fields.get("well_formed", True), function)),
        "task_score": score,
        OWN_SCORE: 1.0,
        "score_status": float(STATUSES.index("equal" if correct else "different")),
        "score_layer": float(LAYERS.index("task")),
    }


def _flag(name: str, value: Any, function: str) -> bool:
    if not isinstance(value, bool | int | float | np.bool_ | np.number) or value not in (0, 1):
        raise BadRow(f"laser_verl: {function} returned {name}={value!r:.80}; it must be true or false")
    return bool(value)

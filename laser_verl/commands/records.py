"""Recorded rollouts as `Rollouts`: JSONL with one training batch a line, or the rollout dumps of verl.

verl writes one file `STEP.jsonl` per training step, one response a line, with the keys `input, output, gts, score,
step, uid`; the trainer modes of laser_verl add the verdict and the length, without which no method can be applied.
Shape letter: B responses.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from laser_verl.commands import BadInput, message_of
from laser_verl.commands.rows import Row, kind, name_of, read_rows, refuse_misspelt, require
from laser_verl.core.history import HISTORY_COLUMNS
from laser_verl.core.rollouts import Rollouts

REQUIRED = ("prompt", "response_length", "correct", "well_formed")
OPTIONAL = (
    "repetitive",
    "truncated",
    "task_score",
    "step",
    "max_response_length",
    "uses_thinking",
    "has_eos",
    "budget",
    "reference_length",
    "reference_accuracy",
    *HISTORY_COLUMNS,
    "data_source",
    "prompt_key",
)
VERDICT = ("response_length", "correct", "well_formed")
# The keys of stock verl that describe the text, not the verdict; `score` is the shaped reward of the recorded run.
STOCK_DUMP = ("input", "output", "gts", "score")
# What `Rollouts.build` takes by name; every other key is a column.
_BUILD = ("response_length", "correct", "well_formed", "repetitive", "truncated", "task_score")


@dataclass(frozen=True)
class Record:
    """One recorded training batch and the place it was read from (`FILE:LINE`, its first line)."""

    rollouts: Rollouts
    where: str


def read_records(source: str) -> Iterator[Record]:
    """Training batches of a recording, in order; which of the two formats it is shows in the keys of its first line.

    Args:
        source: A JSONL file, a folder of verl's rollout dumps (read in the order of their steps), or `-` for standard
            input.

    Yields:
        One record per batch: per line of a batch file, per run of lines with the same `step` in a dump.

    Raises:
        WrongUsage: If the file or folder does not exist or the folder holds no dump.
        BadInput: If a line is malformed; the message starts with `FILE:LINE`.
    """
    rows = read_rows(source, REQUIRED)
    first = next(rows, None)
    if first is None:
        name = name_of(source)
        raise BadInput(f"{name} holds no batch; give JSONL with one batch a line: {{{', '.join(REQUIRED)}}}")
    rows = itertools.chain([first], rows)
    yield from _dump_records(rows) if _is_dump(first.values) else _batch_records(rows)


def merge(records: Iterable[Record]) -> Rollouts:
    """All batches as one, each group kept apart: a prompt that returns in a later batch is a new group.

    Args:
        records: At least one batch.

    Returns:
        Rollouts of all B responses with group, length and verdict; columns are dropped.
    """
    groups: list[np.ndarray] = []
    parts: list[Rollouts] = []
    num_groups = 0
    for record in records:
        groups.append(record.rollouts.group + num_groups)
        num_groups += record.rollouts.num_groups
        parts.append(record.rollouts)
    return Rollouts.build(
        prompt=np.concatenate(groups),
        response_length=np.concatenate([part.length for part in parts]),
        correct=np.concatenate([part.correct for part in parts]),
        well_formed=np.concatenate([part.well_formed for part in parts]),
    )


def _is_dump(values: Mapping[str, Any]) -> bool:
    return "prompt" not in values and ("uid" in values or {"output", "score"} <= values.keys())


def _batch_records(rows: Iterator[Row]) -> Iterator[Record]:
    for number, row in enumerate(rows, 1):
        values = dict(row.values)
        require(values, REQUIRED, row.where)
        for key in REQUIRED:
            if not isinstance(values[key], list):
                raise BadInput(f"{row.where}: {key} must be a list, one value per response, not {kind(values[key])}")
        step = _whole(values.pop("step", None), "step", row.where)
        longest = _whole(values.pop("max_response_length", None), "max_response_length", row.where)
        yield _record(values, row.where, number if step is None else step, longest)


def _dump_records(rows: Iterator[Row]) -> Iterator[Record]:
    for step, batch in itertools.groupby(rows, key=_dump_step):
        members = list(batch)
        where = members[0].where
        keys = [key for key in members[0].values if key not in (*STOCK_DUMP, "uid", "step")]
        for row in members:
            require(row.values, keys, row.where)
        values: dict[str, Any] = {key: [row.values[key] for row in members] for key in keys}
        values["prompt"] = [_group_of(row) for row in members]
        longest = values.pop("max_response_length", [None])[0]
        yield _record(values, where, step, _whole(longest, "max_response_length", where))


def _dump_step(row: Row) -> int:
    """The step of a dumped response; the place where a dump of another trainer is recognised."""
    missing = [key for key in VERDICT if key not in row.values]
    if missing:
        raise BadInput(
            f"{row.where}: a rollout dump without {', '.join(missing)}: stock verl does not record them. The trainer "
            "modes of laser_verl do: set trainer.rollout_data_dir and trainer.v1.trainer_mode=laser_sync (or "
            "laser_colocate_async, laser_separate_async), or name a method, reward.reward_manager.name=laser_d"
        )
    require(row.values, ("uid", "step"), row.where)
    step = _whole(row.values["step"], "step", row.where)
    if step is None:
        raise BadInput(f"{row.where}: step=null must be a whole number, the training step")
    return step


def _group_of(row: Row) -> str:
    """The group of a dumped response: its key is `{uid}_{session}_{index}`, the group is `uid`."""
    parts = str(row.values["uid"]).rsplit("_", 2)
    if len(parts) != 3 or not parts[0]:
        raise BadInput(f"{row.where}: uid={row.values['uid']!r} must read {{uid}}_{{session}}_{{index}}, as from verl")
    return parts[0]


def _record(values: dict[str, Any], where: str, step: int, max_response_length: int | None) -> Record:
    """Validate one batch; every key that `Rollouts` has no field for becomes a column."""
    prompt = values.pop("prompt")
    keys = values.pop("prompt_key", None)
    fields = {key: values.pop(key) for key in _BUILD if values.get(key) is not None}
    columns = {key: array for key, value in values.items() if (array := _column(value, len(prompt))) is not None}
    refuse_misspelt(columns, OPTIONAL, where)
    try:
        rollouts = Rollouts.build(
            prompt,
            **fields,
            step=step,
            max_response_length=max_response_length,
            columns=columns,
            prompt_key=[keys] * len(prompt) if isinstance(keys, str) else keys,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{where}: {message_of(error)}") from error
    return Record(rollouts, where)


def _column(value: Any, size: int) -> np.ndarray | None:
    """A column as an array; one scalar stands for all responses, and an object or null is no column."""
    if value is None or isinstance(value, dict):
        return None
    values = value if isinstance(value, list) else [value] * size
    kinds = {type(item) for item in values}
    if kinds <= {bool}:
        return np.array(values, dtype=bool)
    if kinds <= {int, float, type(None)} and kinds != {type(None)}:
        # null is a missing number; NaN cannot come from the file itself.
        return np.array([np.nan if item is None else item for item in values])
    return np.fromiter(values, dtype=object, count=len(values))


def _whole(value: Any, name: str, where: str) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise BadInput(f"{where}: {name}={value!r} must be a whole number, 0 or more")

"""`laser-verl simulate`: a method or an advantage rule on recorded rollouts, in the order of the trainer's calls."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from laser_verl.commands import BadInput, WrongUsage, message_of
from laser_verl.commands.names import METHOD, select
from laser_verl.commands.records import Record, read_records
from laser_verl.commands.rows import parse_json
from laser_verl.core import framework, guarded, registry
from laser_verl.core.advantages.base import AdvantageRule, build_rule
from laser_verl.core.bands import BANDS, NO_BAND
from laser_verl.core.history import HISTORY_COLUMNS, with_history
from laser_verl.core.options import zero_one
from laser_verl.core.tracker import DifficultyTracker


@dataclass(frozen=True)
class _Simulated:
    """What the trainer would call, and keep, from batch to batch.

    Attributes:
        method: Shapes the rewards.
        rule: Makes advantages of them, or None.
        tracker: Of the prompts, where the method reads what it knows of them; else None.
    """

    method: framework.Method
    rule: AdvantageRule | None
    tracker: DifficultyTracker | None


def run(method: str, source: str, options: str = "{}") -> Iterator[dict[str, Any]]:
    """Shape every recorded batch, state carried from one to the next.

    Args:
        method: Registry key, as `laser_d`; or an advantage rule, which is then applied to plain correctness, 1 or 0.
            A name that both have, as `grpo_lead`, is the length reward, and the rule is not simulated.
        source: File, folder of rollout dumps, or `-`; see `read_records`.
        options: The method's options as a JSON object.

    Yields:
        Per batch `reward`, `task_reward`, `length_reward`, `band`, `target_length`: lists with one value per response,
        null where the method has none. An advantage rule adds `advantage`.

    Raises:
        WrongUsage: If the method or an option is unknown or wrong.
        BadInput: If a line is malformed or lacks what the method needs.
    """
    settings = _options(options)
    [entry] = select(method)
    is_rule = METHOD not in entry.parts
    simulated: _Simulated | None = None
    for record in read_records(source):
        if simulated is None:
            simulated = _build(method, settings, record, is_rule)
        yield _shape(simulated, record)


def _options(text: str) -> dict[str, Any]:
    try:
        options = parse_json(text)
    except ValueError as error:
        raise WrongUsage(f"--options {text}: not JSON: {message_of(error)}") from error
    if not isinstance(options, dict):
        raise WrongUsage(f"""--options {text} must be a JSON object, e.g. '{{"alpha": 0.5}}'""")
    return options


def _build(name: str, options: dict[str, Any], first: Record, is_rule: bool) -> _Simulated:
    """Method, rule and tracker; without a trainer to ask, `rollout.n` is the largest group of the first batch."""
    rollouts = first.rollouts
    group_size = int(rollouts.group_size.max()) if rollouts.num_groups else None
    context = framework.Context(group_size=group_size, max_response_length=rollouts.max_response_length)
    try:
        if is_rule:
            plain = registry.build("none", {"scores": zero_one()}, context)
            return _Simulated(plain, build_rule(name, options, context), None)
        method = registry.build(name, options, context)
        if method.monitor is not None:
            raise ValueError(
                "source='monitor' has no passes over a monitor set here, so that the targets would never move; give "
                "source=recent"
            )
    except (ValueError, KeyError) as error:
        raise WrongUsage(_with_remedy(error, first)) from error
    return _Simulated(method, None, None if set(HISTORY_COLUMNS).isdisjoint(method.columns) else DifficultyTracker())


def _shape(simulated: _Simulated, record: Record) -> dict[str, Any]:
    method, rule, tracker = simulated.method, simulated.rule, simulated.tracker
    rollouts = record.rollouts if tracker is None else with_history(record.rollouts, tracker, method.columns)
    try:
        shaped = guarded.shape(method, rollouts)
        made = rule.advantages(rollouts, shaped, shaped.reward) if rule else None
    except (ValueError, RuntimeError) as error:
        raise BadInput(f"{record.where}: {_with_remedy(error, record).removeprefix('laser_verl: ')}") from error
    if tracker is not None:
        tracker.observe(rollouts)
    line = {
        "reward": shaped.reward.tolist(),
        "task_reward": shaped.task_reward.tolist(),
        "length_reward": shaped.length_reward.tolist(),
        "band": None if shaped.band is None else [None if code == NO_BAND else BANDS[code] for code in shaped.band],
        "target_length": None if shaped.target_length is None else _tokens(shaped.target_length),
    }
    if made is not None:
        line["advantage"] = made.values.tolist()
    if made is not None and made.kept_tokens is not None:
        line["kept_tokens"] = made.kept_tokens.tolist()
    return line


def _with_remedy(error: BaseException, record: Record) -> str:
    """The message, and where a recording says the limit that the trainer would have known."""
    message = message_of(error)
    if "max_response_length" not in message or record.rollouts.max_response_length is not None:
        return message
    return f"{message}; or give each line of --input the key max_response_length"


def _tokens(lengths: np.ndarray) -> list[int | float | None]:
    """Token counts as whole numbers where they are; NaN, no target for that response, as null."""
    return [None if math.isnan(value) else int(value) if value.is_integer() else value for value in lengths.tolist()]

"""What methods read of a row besides its verdict: numbers of its ``extra_info``, and whether the response thinks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

from laser_verl.core.framework import Method
from laser_verl.core.history import HISTORY_COLUMNS

USES_THINKING = "uses_thinking"
DATA_SOURCE = "data_source"
PROMPT_KEY = "prompt_key"
BUDGET = "budget"
"""Column of the number that a method may have said in each prompt."""

_NOT_OF_THE_DATA = (USES_THINKING, DATA_SOURCE, PROMPT_KEY, *HISTORY_COLUMNS)


def data_columns(method: Method) -> tuple[str, ...]:
    """Columns that a method reads from the ``extra_info`` of the data's rows."""
    return tuple(name for name in method.columns if name not in _NOT_OF_THE_DATA)


def read_numbers(row: Mapping[str, Any], method: Method, where: str) -> dict[str, float]:
    """The numbers that a row brings for the method of its data source, NaN for those that may be missing and are.

    Args:
        row: ``data_source`` and ``extra_info`` of the row.
        method: the method in use.
        where: what names the row in an error.

    Returns:
        Number by column: ``{"budget": 2000.0}`` where the method reads the column budget and ``extra_info`` holds 2000.

    Raises:
        ValueError: its data source has no method, or a column that it needs is missing or no number of 0 or more.
    """
    try:
        part = method.part_of(row.get(DATA_SOURCE))
    except ValueError as error:
        raise ValueError(f"laser_verl: the row with {where}: {error}") from error
    info = row.get("extra_info") or {}
    return {
        name: _number(info.get(name), name, name in part.required_columns, where) if name in part.columns else math.nan
        for name in data_columns(method)
    }


def is_missing(value: Any) -> bool:
    """Whether a row has no value: None, or the NaN that pandas writes for it."""
    return value is None or (isinstance(value, Real) and value != value)


def is_readable(value: Any, is_required: bool) -> bool:
    """Whether a method can read a row's value: a number of 0 or more, or none where it may be missing."""
    if is_missing(value):
        return not is_required
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= value < math.inf


def _number(value: Any, name: str, is_required: bool, where: str) -> float:
    if not is_readable(value, is_required):
        raise ValueError(
            f"laser_verl: the row with {where} has extra_info.{name}={value!r:.40}; give every row a number of 0 "
            "or more there"
        )
    return math.nan if is_missing(value) else float(value)


def say_budget(row: Mapping[str, Any], prompt_key: str, instruction: str, budget: int | None) -> list[dict[str, Any]]:
    """The prompt of a row with its budget.

    Args:
        row: a row of the data.
        prompt_key: the column of its chat messages.
        instruction: a sentence with ``{budget}``.
        budget: tokens for a row without ``extra_info.budget``; None leaves its prompt alone.

    Returns:
        The messages: with "Use {budget} tokens." and a budget of 500, the last one, "2 + 3?", becomes
        "2 + 3? Use 500 tokens.". A budget of 500.5 is said as it is, for the method reads it so.

    Raises:
        ValueError: the row's budget is no number of 0 or more.
    """
    info = row.get("extra_info") or {}
    own = _number(info.get(BUDGET), BUDGET, False, f"data_source={row.get(DATA_SOURCE)!r}, index={info.get('index')!r}")
    tokens = budget if math.isnan(own) else own
    messages = [dict(message) for message in row[prompt_key]]
    if tokens is not None and messages and isinstance(messages[-1]["content"], str):
        said = int(tokens) if tokens == int(tokens) else tokens
        messages[-1]["content"] = f"{messages[-1]['content']} {instruction.format(budget=said)}"
    return messages

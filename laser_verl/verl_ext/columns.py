"""What methods read of a row besides its verdict: numbers of its ``extra_info``, and whether the response thinks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from laser_verl.core.framework import Method

USES_THINKING = "uses_thinking"
DATA_SOURCE = "data_source"
PROMPT_KEY = "prompt_key"

_NOT_OF_THE_DATA = (USES_THINKING, DATA_SOURCE, PROMPT_KEY)


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
    part, info = method.part_of(row.get(DATA_SOURCE)), row.get("extra_info") or {}
    return {
        name: _number(info.get(name), name, name in part.required_columns, where) if name in part.columns else math.nan
        for name in data_columns(method)
    }


def _number(value: Any, name: str, is_required: bool, where: str) -> float:
    if value is None and not is_required:
        return math.nan
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if math.isnan(number) and not is_required and isinstance(value, float):
        return math.nan
    if not 0 <= number < math.inf:
        raise ValueError(
            f"laser_verl: the row with {where} has extra_info.{name}={value!r:.40}; give every row a number of 0 "
            "or more there"
        )
    return number


def say_budget(row: Mapping[str, Any], prompt_key: str, instruction: str, budget: int | None) -> list[dict[str, Any]]:
    """The prompt of a row with its budget.

    Args:
        row: a row of the data.
        prompt_key: the column of its chat messages.
        instruction: a sentence with ``{budget}``.
        budget: tokens for a row without ``extra_info.budget``; None leaves its prompt alone.

    Returns:
        The messages: with "Use {budget} tokens." and a budget of 500, the last one, "2 + 3?", becomes
        "2 + 3? Use 500 tokens.".
    """
    own = (row.get("extra_info") or {}).get("budget")
    tokens = budget if own is None or own != own else own
    messages = [dict(message) for message in row[prompt_key]]
    if tokens is not None and messages and isinstance(messages[-1]["content"], str):
        messages[-1]["content"] = f"{messages[-1]['content']} {instruction.format(budget=int(tokens))}"
    return messages

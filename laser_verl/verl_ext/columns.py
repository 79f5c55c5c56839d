"""What methods read of a row besides its verdict: numbers of its ``extra_info``, and whether the response thinks."""

from __future__ import annotations

import math
from typing import Any

from laser_verl.core.framework import Method
from laser_verl.scoring.formats import thinks
from laser_verl.verl_ext.reward_row import BadRow, row_name

USES_THINKING = "uses_thinking"
DATA_SOURCE = "data_source"
PROMPT_KEY = "prompt_key"

NOT_OF_THE_DATA = (USES_THINKING, DATA_SOURCE, PROMPT_KEY)
"""Columns that no ``extra_info`` has to bring."""


def columns_to_send(item: Any, method: Method, text: str, prompt_opens_think: bool) -> dict[str, float]:
    """What the reward worker sends along for a method, NaN for what an optional column lacks.

    Args:
        item: verl's row.
        method: the method in use.
        text: the response.
        prompt_opens_think: whether the prompt ended with the opening think tag.

    Returns:
        Number by column: ``{"budget": 2000.0}`` where the method reads the column budget and the row's ``extra_info``
        holds 2000.

    Raises:
        BadRow: a required column is missing, or holds no number of 0 or more.
    """
    info = item.non_tensor_batch.get("extra_info") or {}
    try:
        part = method.part_of(item.non_tensor_batch.get(DATA_SOURCE))
    except ValueError:  # a data source of validation alone, which nothing shapes
        return {}
    sent = {
        name: _number(item, name, info.get(name), is_required=name in part.required_columns)
        for name in part.columns
        if name not in NOT_OF_THE_DATA
    }
    if USES_THINKING in part.columns:
        sent[USES_THINKING] = float(thinks(text, prompt_opens_think))
    return sent


def _number(item: Any, name: str, value: Any, is_required: bool) -> float:
    if value is None and not is_required:
        return math.nan
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise BadRow(
            f"laser_verl: the row with {row_name(item)} has extra_info.{name}={value!r:.40}; give every row a number "
            "of 0 or more there"
        )
    return number

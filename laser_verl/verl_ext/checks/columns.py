"""Does the data bring what the method reads of each row besides the gold answer: budgets, reference lengths."""

from __future__ import annotations

import math
from typing import Any

from omegaconf import DictConfig, OmegaConf

from laser_verl.core.framework import Method
from laser_verl.verl_ext.checks.data import Split
from laser_verl.verl_ext.checks.report import Report
from laser_verl.verl_ext.columns import NOT_OF_THE_DATA

_CUSTOM = "data.custom_cls.path"


def check_columns(config: DictConfig, splits: dict[str, Split], method: Method, name: str, report: Report) -> None:
    """Check the first training rows for the columns that a method needs.

    Args:
        config: The composed config.
        splits: What the data holds.
        method: The method in use.
        name: Its name.
        report: Takes mistakes and notes.
    """
    if method.instruction is not None and OmegaConf.select(config, _CUSTOM):
        report.notes.append(
            f"{name} adds each prompt's budget to the prompt, but {_CUSTOM} reads the data its own way; let it add "
            f"{method.instruction!r}"
        )
    if "train" not in splits:
        return
    split, key = splits["train"], "data.train_files"
    for column in method.required_columns:
        if column not in NOT_OF_THE_DATA:
            _check_column(column, split, key, name, hasattr(method, column), report)
    parts = getattr(method, "parts", None)
    if parts is not None and (missing := sorted(split.sources - parts.keys())) and "default" not in parts:
        report.add(
            key,
            f"{key} has data_source={missing[0]!r}, for which per_data_source has no method; it has "
            f"{', '.join(parts)}: add +reward.reward_kwargs.per_data_source.{missing[0]}=none, or a default",
        )


def _check_column(column: str, split: Split, key: str, name: str, is_option: bool, report: Report) -> None:
    for where, info in split.infos:
        value = (info or {}).get(column)
        if not _is_number(value):
            option = f", or one for all: +reward.reward_kwargs.{column}=2000" if is_option else ""
            report.add(
                key,
                f"{where} has extra_info.{column}={value!r:.40}, and {name} needs a number of 0 or more there; "
                f"give every row one{option}",
            )
            return


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf

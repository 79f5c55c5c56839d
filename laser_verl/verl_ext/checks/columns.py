"""Does the data bring what the method reads of each row besides the gold answer: budgets, reference lengths."""

from __future__ import annotations

import math
from typing import Any

from omegaconf import DictConfig, OmegaConf

from laser_verl.core.framework import Method
from laser_verl.verl_ext.checks.data import Split
from laser_verl.verl_ext.checks.report import Report
from laser_verl.verl_ext.columns import data_columns, say_budget

_CUSTOM = "data.custom_cls.path"


def check_columns(config: DictConfig, splits: dict[str, Split], method: Method, is_ours: bool, report: Report) -> None:
    """Check the first rows for the columns that a method needs, and put its budgets into their prompts.

    Args:
        config: The composed config.
        splits: What the data holds.
        method: The method in use.
        is_ours: Whether our trainer shapes, which leaves validation rows alone.
        report: Takes mistakes and notes.
    """
    name = method.name
    if method.instruction is not None and OmegaConf.select(config, _CUSTOM):
        report.notes.append(
            f"{name} adds each prompt's budget to the prompt, but {_CUSTOM} reads the data its own way; let it add "
            f"{method.instruction!r}"
        )
    elif method.instruction is not None:
        _say_budgets(splits, method)
    for split_name in ("train",) if is_ours else ("train", "val"):
        if split_name in splits:
            _check_numbers(f"data.{split_name}_files", splits[split_name], method, name, report)
    if "train" not in splits:
        return
    split, key = splits["train"], "data.train_files"
    parts = getattr(method, "parts", None)
    if parts is not None and (missing := sorted(split.sources - parts.keys())) and "default" not in parts:
        report.add(
            key,
            f"{key} has data_source={missing[0]!r}, for which per_data_source has no method; it has "
            f"{', '.join(parts)}: add {missing[0]}: none to it, or default: none",
        )


def _check_numbers(key: str, split: Split, method: Method, name: str, report: Report) -> None:
    seen = set()
    for where, row in split.rows:
        try:
            part = method.part_of(row.get("data_source"))
        except ValueError:
            continue
        info = row.get("extra_info") or {}
        for column in data_columns(part):
            value = info.get(column)
            if column not in part.required_columns or column in seen or _is_number(value):
                continue
            seen.add(column)
            option = f", or one for all: +reward.reward_kwargs.{column}=2000" if hasattr(method, column) else ""
            report.add(
                key,
                f"{where} has extra_info.{column}={value!r:.40}, and {name} needs a number of 0 or more there; "
                f"give every row one{option}",
            )


def _say_budgets(splits: dict[str, Split], method: Method) -> None:
    """Make the prompts those that the run will see."""
    for split in splits.values():
        rows = dict(split.rows)
        split.prompts = [
            (
                where,
                say_budget(
                    {"prompt": messages, "extra_info": rows.get(where, {}).get("extra_info")},
                    "prompt",
                    str(method.instruction),
                    getattr(method, "budget", None),
                ),
            )
            for where, messages in split.prompts
        ]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf

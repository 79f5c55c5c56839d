"""Does the data bring what the method reads of each row besides the gold answer: budgets, reference lengths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from omegaconf import DictConfig, OmegaConf

from laser_verl.core.checks import unknown
from laser_verl.core.framework import Method
from laser_verl.core.mixed import DEFAULT, Mixed
from laser_verl.core.registry import describe
from laser_verl.verl_ext.checks.data import Split, row_text
from laser_verl.verl_ext.checks.report import Report
from laser_verl.verl_ext.checks.tables import FIRST_ROWS
from laser_verl.verl_ext.columns import BUDGET, data_columns, is_missing, is_readable, say_budget

_CUSTOM = "data.custom_cls.path"
_KWARGS = "reward.reward_kwargs"

# training and validation
_NUM_SPLITS = 2


def check_columns(config: DictConfig, splits: dict[str, Split], method: Method, is_ours: bool, report: Report) -> None:
    """Check every row for the columns that a method needs, and put its budgets into the prompts of the first.

    Args:
        config: The composed config.
        splits: What the data holds.
        method: The method in use.
        is_ours: Whether our trainer shapes, which leaves validation rows alone.
        report: Takes mistakes and notes.
    """
    says_budgets = method.instruction is not None and not OmegaConf.select(config, _CUSTOM)
    if method.instruction is not None and not says_budgets:
        report.notes.append(
            f"{method.name} adds each prompt's budget to the prompt, but {_CUSTOM} reads the data its own way; let it "
            f"add {method.instruction!r}"
        )
    shaped = {name: split for name, split in splits.items() if name == "train" or not is_ours}
    for name, split in splits.items():
        columns = data_columns(method) if name in shaped else (BUDGET,) if says_budgets else ()
        for column in columns:
            _check_numbers(f"data.{name}_files", split, method, column, report, may_miss=name not in shaped)
        if BUDGET in columns:
            _note_long_budgets(config, f"data.{name}_files", split, method, report)
    if says_budgets:
        _say_budgets(splits, method)
    if isinstance(method, Mixed):
        _check_sources(splits, shaped, method, report)


def _check_sources(splits: dict[str, Split], shaped: dict[str, Split], method: Mixed, report: Report) -> None:
    parts = method.parts
    for name, split in shaped.items():
        missing = sorted(split.sources - parts.keys())
        if missing and DEFAULT not in parts:
            report.add(
                f"data.{name}_files",
                f"data.{name}_files has data_source={missing[0]!r}, for which per_data_source has no method; it has "
                f"{', '.join(parts)}: add {missing[0]}: none to it, or default: none",
            )
    if len(splits) < _NUM_SPLITS:
        return
    sources = sorted({source for split in splits.values() for source in split.sources})
    for source in sorted(parts.keys() - {DEFAULT} - set(sources)):
        field = f"{_KWARGS}.per_data_source"
        report.add(
            field,
            f"{field}.{source}={parts[source].name} is for rows that the data do not have; "
            f"{unknown('data_source', source, sources)}; correct it, or leave it out",
        )


def _check_numbers(key: str, split: Split, method: Method, column: str, report: Report, may_miss: bool) -> None:
    """Report the first row whose value the run would refuse, by the rule that the run goes by."""
    wrong = [
        (where, row, part, value)
        for where, row, part, value in _values(split, method, column)
        if not is_readable(value, not may_miss and column in part.required_columns)
    ]
    if not wrong:
        return
    where, row, part, value = wrong[0]
    more = f" ({len(wrong)} such rows)" if len(wrong) > 1 else ""
    has_option = is_missing(value) and column in describe(method.name).options
    report.add(
        key,
        f"{row_text(where, row)} has extra_info.{column}={value!r:.40}{more}, and {part.name} needs a number of 0 or "
        f"more there{', no text' if isinstance(value, str) else ''}; give every row one"
        + (f", or one for all: +{_KWARGS}.{column}=2000" if has_option else ""),
    )


def _note_long_budgets(config: DictConfig, key: str, split: Split, method: Method, report: Report) -> None:
    longest = int(config.data.max_response_length)
    budgets = [
        (where, row, value)
        for where, row, _, value in _values(split, method, BUDGET)
        if is_readable(value, is_required=True) and value > longest
    ]
    if budgets:
        where, row, value = budgets[0]
        report.notes.append(
            f"{row_text(where, row)} has extra_info.{BUDGET}={value}, above data.max_response_length={longest}, where "
            f"a response is cut ({len(budgets)} such rows in {key}); lower the budgets, or raise "
            "data.max_response_length"
        )


def _values(
    split: Split, method: Method, column: str, most: int | None = None
) -> Iterator[tuple[str, int, Method, Any]]:
    """File, row, method and value of the rows whose data source has a method that reads the column.

    Args:
        split: The data.
        method: The method in use.
        column: What it reads of extra_info.
        most: Rows of each file; None takes all.

    Yields:
        One row after the other.
    """
    for where, table in split.tables:
        readers: dict[Any, Method | None] = {}
        rows = table.slice(0, most)
        values = zip(_plain(rows, "data_source"), _plain(rows, "extra_info", column), strict=True)
        for row, (source, value) in enumerate(values):
            if source not in readers:
                readers[source] = _reader(method, source, column)
            reader = readers[source]
            if reader is not None:
                yield where, row, reader, value


def _reader(method: Method, source: Any, column: str) -> Method | None:
    try:
        part = method.part_of(source)
    except ValueError:  # a source without a method is reported by itself, where it matters
        return None
    return part if column in part.columns else None


def _plain(table: pa.Table, name: str, child: str | None = None) -> list[Any]:
    """A column, or one child of it, as Python values; None in every row where it is not there."""
    column = table[name] if name in table.column_names else None
    if column is not None and child is None:
        return list(column.to_pylist())
    if column is None or not pa.types.is_struct(column.type) or column.type.get_field_index(child) < 0:
        return [None] * len(table)
    return list(pc.struct_field(column, child).to_pylist())


def _say_budgets(splits: dict[str, Split], method: Method) -> None:
    """Make the prompts those that the run will see, without the budgets that cannot be read."""
    for split in splits.values():
        rows = _values(split, method, BUDGET, FIRST_ROWS)
        budgets = {row_text(where, row): value for where, row, _, value in rows if is_readable(value, is_required=True)}
        split.prompts = [(where, _said(messages, budgets.get(where), method)) for where, messages in split.prompts]


def _said(messages: Any, budget: Any, method: Method) -> Any:
    row = {"prompt": messages, "extra_info": {BUDGET: budget}}
    return say_budget(row, "prompt", str(method.instruction), getattr(method, BUDGET, None))

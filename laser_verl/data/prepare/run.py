"""`laser-verl prepare` from the first row read to the data card."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pyarrow as pa

from laser_verl.commands import BadInput
from laser_verl.data.prepare import overlap
from laser_verl.data.prepare.card import Outcome, write_card
from laser_verl.data.prepare.duplicates import Duplicates
from laser_verl.data.prepare.golds import GoldCheck
from laser_verl.data.prepare.intake import Intake
from laser_verl.data.prepare.lengths import Lengths
from laser_verl.data.prepare.output import Folder, Report, Tables
from laser_verl.data.prepare.plan import DROP, MOST_PROMPT_TOKENS, OFF, Plan
from laser_verl.data.prepare.rows import Row, Stage
from laser_verl.data.prepare.sources import find_inputs, read_inputs
from laser_verl.data.prepare.splits import MONITOR, TRAIN, VALIDATION, Splitter

_ROWS_AT_A_TIME = 4096


def prepare(plan: Plan) -> dict[str, Any]:
    """Carry a plan out.

    Args:
        plan: The plan.

    Returns:
        The data card. The same plan on the same files gives the same bytes in all files of the folder.

    Raises:
        BadInput: If what is read is bad, or the folder cannot be written; nothing is left under its name.
    """
    inputs = find_inputs(plan)
    try:
        with Folder(plan.request.to) as scratch, ExitStack() as stack:
            report = stack.enter_context(closing(Report(scratch)))
            outcome = Outcome(plan, inputs, _evaluation_sets(plan))
            stages, golds = _stages(outcome, stack)
            intake, tables = Intake(plan), Tables(scratch, plan)
            splitter = Splitter(plan.request.seed, plan.request.monitor, plan.request.validation)
            for rows in _batches(intake.rows(read_inputs(plan, inputs), report)):
                for stage in stages:
                    rows = stage(rows, report)
                for row in filter(None, map(splitter.place, rows)):
                    tables.add(TRAIN, row)
            for split in (MONITOR, VALIDATION):
                for row in splitter.held_out(split):
                    tables.add(split, row)
            if not tables.num_rows.total():
                reasons = ", ".join(f"{reason} {number}" for reason, number in report.left_out.items())
                raise BadInput(f"all {intake.num_read} rows were left out: {reasons}; nothing is written")
            tables.close()
            report.close()
            return write_card(scratch, outcome, intake.num_read, report, tables, golds.unchecked if golds else set())
    except (OSError, pa.ArrowException) as error:
        number = getattr(error, "errno", None)
        said = os.strerror(number) if number else str(error)
        raise BadInput(f"--to {plan.request.to} cannot be written: {said}; give another folder") from error
    except RuntimeError as error:
        raise BadInput(f"gold answers cannot be checked: {error}; or leave them unchecked: --golds off") from error


def _evaluation_sets(plan: Plan) -> list[overlap.EvaluationSet]:
    if not plan.request.is_decontaminating:
        return []
    return [overlap.read_evaluation_set(path) for path in (*overlap.SHIPPED, *plan.request.against)]


def _stages(outcome: Outcome, stack: ExitStack) -> tuple[list[Stage], GoldCheck | None]:
    """What rows pass, the cheap before the dear; and the one of golds, which knows what it could not check."""
    plan = outcome.plan
    stages: list[Stage] = [Duplicates(plan.is_made)]
    if outcome.sets:
        stages.append(overlap.Overlap(outcome.sets))
    if plan.request.model is not None:
        stages.append(Lengths(plan.request.model, plan.template, plan.request.max_prompt_tokens or MOST_PROMPT_TOKENS))
    if plan.request.golds == OFF:
        return stages, None
    golds = stack.enter_context(closing(GoldCheck(plan.request.golds == DROP)))
    return [*stages, golds], golds


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(itertools.islice(rows, _ROWS_AT_A_TIME)):
        yield batch

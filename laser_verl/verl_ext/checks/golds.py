"""The gold answers of a data file: has every row one, and can its scorer read it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from laser_verl.scoring.golds import unreadable
from laser_verl.scoring.tasks import Scorers, read_golds
from laser_verl.verl_ext.checks.tables import Rows

# Reading mathematics takes time where the fast layers cannot.
_ROWS_OF_MATHEMATICS = 1000


def gold_problems(where: str, rows: Rows, scorers: Scorers | None, timeout_seconds: float) -> list[str]:
    """What is wrong with the gold answers and the sources of a file.

    Args:
        where: What names the file.
        rows: The file.
        scorers: Ours, where they score it.
        timeout_seconds: Limit of one symbolic comparison.

    Returns:
        Problems, each with the first row that has it.
    """
    found = [_gold_problem(where, rows, scorers), _source_problem(where, rows)]
    problems = [problem for problem in found if problem]
    if problems or scorers is None:
        return problems
    unread = sorted(_unreadable(rows, scorers, timeout_seconds))
    more = f" ({len(unread)} such golds)" if len(unread) > 1 else ""
    return [f"{where}: row {row} (from 0) has {problem}{more}" for row, problem in unread[:1]]


def _gold_problem(where: str, rows: Rows, scorers: Scorers | None) -> str | None:
    remedy = "give every row a gold answer as reward_model.ground_truth"
    if "reward_model" not in rows.names:
        return f"{where} has no column reward_model; {remedy}"
    column = rows.every["reward_model"]
    if not pa.types.is_struct(column.type) or column.type.get_field_index("ground_truth") < 0:
        return f"{where}: the column reward_model has no ground_truth (it is {column.type}); {remedy}"
    golds = pc.struct_field(column, "ground_truth")
    missing = _is_missing(golds)
    count = pc.sum(missing).as_py() or 0
    if count:
        row = pc.index(missing, True).as_py()
        more = f" ({count} such rows)" if count > 1 else ""
        return f"{where}: row {row} (from 0) has no reward_model.ground_truth{more}; {remedy}"
    if pa.types.is_struct(golds.type) and _has_scorer_of_answers(rows, scorers):
        return (
            f"{where}: reward_model.ground_truth is a mapping; laser_verl's scorers take a text, a number or a list of "
            "these: write the answer alone, or score with reward.custom_reward_function.path"
        )
    return None


def _has_scorer_of_answers(rows: Rows, scorers: Scorers | None) -> bool:
    tasks = [scorers.find(source) for source in sources_of(rows)] if scorers else []
    return any(task is not None and task.function is None for task in tasks)


def _is_missing(golds: pa.ChunkedArray) -> pa.ChunkedArray:
    missing = pc.is_null(golds)
    if pa.types.is_string(golds.type) or pa.types.is_large_string(golds.type):
        missing = pc.or_(missing, pc.fill_null(pc.equal(pc.utf8_trim_whitespace(golds), ""), True))
    elif pa.types.is_list(golds.type):
        missing = pc.or_(missing, pc.fill_null(pc.equal(pc.list_value_length(golds), 0), True))
    return missing


def _source_problem(where: str, rows: Rows) -> str | None:
    remedy = "give every row the name of its data set"
    if "data_source" not in rows.names:
        return f"{where} has no column data_source; {remedy}"
    missing = pc.is_null(rows.every["data_source"])
    if not pc.any(missing).as_py():
        return None
    return f"{where}: row {pc.index(missing, True).as_py()} (from 0) has no data_source; {remedy}"


def sources_of(rows: Rows) -> set[str]:
    """The names of the data sets in a file."""
    if "data_source" not in rows.names:
        return set()
    return {str(source) for source in pc.unique(rows.every["data_source"]).to_pylist() if source is not None}


def _unreadable(rows: Rows, scorers: Scorers, timeout_seconds: float) -> list[tuple[int, str]]:
    """Rows whose scorer cannot read their gold, and why."""
    tasks = {source: scorers.find(source) for source in sources_of(rows)}
    has_judge = any(task is not None and task.judge is not None for task in tasks.values())
    read = rows.every if has_judge else rows.every.slice(0, _ROWS_OF_MATHEMATICS)
    columns = read["data_source"], pc.struct_field(read["reward_model"], "ground_truth")
    wrong: list[tuple[int, str]] = []
    mathematics: dict[str, tuple[int, str]] = {}
    for row, (source, gold) in enumerate(zip(*(column.to_pylist() for column in columns), strict=True)):
        task = tasks[str(source)]
        if task is None or task.function is not None or (task.judge is None and row >= _ROWS_OF_MATHEMATICS):
            continue
        try:
            answers = read_golds(task.judge, gold)
        except ValueError as error:
            wrong.append((row, str(error)))
            continue
        for answer in answers:
            if task.judge is None:
                mathematics.setdefault(answer, (row, str(source)))
            elif problem := task.check_gold(answer):
                wrong.append((row, f"reward_model.ground_truth={answer!r:.80}, which {problem}"))
    return wrong + _unreadable_mathematics(mathematics, timeout_seconds)


def _unreadable_mathematics(golds: dict[str, tuple[int, str]], timeout_seconds: float) -> list[tuple[int, str]]:
    texts = list(golds)
    found = [(*golds[texts[index]], texts[index]) for index in unreadable(texts, timeout_seconds)]
    return [
        (
            row,
            f"reward_model.ground_truth={text!r:.80}, in which math-verify reads no mathematics, or too much of it; "
            f"correct it, or name another scorer, e.g. +reward.reward_kwargs.scorers={{{source}: exact}}",
        )
        for row, source, text in found
    ]

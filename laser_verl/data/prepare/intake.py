"""Rows as they stand in files become problems with gold answers, or a message that names them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from laser_verl.commands import BadInput
from laser_verl.data.prepare.layouts import OPTIONAL, number_or_none
from laser_verl.data.prepare.plan import TABLE, Plan
from laser_verl.data.prepare.rows import Findings, Row, digest, some
from laser_verl.data.prepare.splits import drawn_budget
from laser_verl.scoring.answers import gold_answers

_LISTED = 5
_MOST_TOKENS = 10**8


class Intake:
    """Reads rows by a plan's layout.

    A row without a problem or a gold is a mistake, for either all have one or the file is not what it is taken for.
    After the first of them only their number is found out.
    """

    def __init__(self, plan: Plan) -> None:
        """Start without rows."""
        self._plan = plan
        self._lacking: dict[str, list[str]] = {"problem": [], "gold": []}
        self._num_lacking = dict.fromkeys(self._lacking, 0)
        self._has_labels: bool | None = None
        named = OPTIONAL if plan.request.source == TABLE else ("difficulty",) if plan.request.difficulty else ()
        self._unseen = {name for name in named if name in plan.layout.fields}
        self.num_read = 0

    def rows(self, given: Iterable[tuple[str, Mapping[str, Any]]], findings: Findings) -> Iterator[Row]:
        """Read rows.

        Args:
            given: (what names a row, the row).
            findings: Takes those that are of no use.

        Yields:
            The problems, as long as no row lacks anything.

        Raises:
            BadInput: Rows lack a problem or a gold, a value is none that its column can hold, or a column that the
                user named holds nothing.
        """
        for where, raw in given:
            index = self.num_read
            self.num_read += 1
            reason = self._plan.layout.reason_to_leave_out(raw)
            if reason is not None:
                findings.count(reason)
                continue
            row = self._row(index, where, self._plan.layout.values(raw))
            if row is None or any(self._num_lacking.values()):
                continue
            if isinstance(row.gold, list) and not self._plan.layout.has_lists:
                findings.add(row, "several_golds", False, {"gold": row.gold})
                continue
            yield row
        for what, number in self._num_lacking.items():
            if number:
                raise BadInput(
                    f"rows without a {what}, of {self.num_read}, counted from 0: {some(self._lacking[what], number)}; "
                    "give every row one, or take these out"
                )
        if self._unseen:
            name = min(self._unseen)
            column = self._plan.layout.fields[name]
            raise BadInput(f"no row has a value under {column}, which is to be the {name}; correct the column's name")

    def _row(self, index: int, where: str, values: Mapping[str, Any]) -> Row | None:
        problem = values["problem"]
        has_problem = isinstance(problem, str) and not problem.isspace() and problem != ""
        gold = self._gold(values, where)
        for what, is_there in (("problem", has_problem), ("gold", gold is not None)):
            if not is_there:
                self._num_lacking[what] += 1
                if len(self._lacking[what]) < _LISTED:
                    self._lacking[what].append(where)
        if not has_problem or gold is None:
            return None
        source = str(values.get("data_source") or self._plan.layout.data_source)
        difficulty, budget = self._difficulty(values.get("difficulty"), where), _budget(values.get("budget"), where)
        try:
            f"{''.join(gold)}{source}{difficulty}".encode()
            row = Row(index, problem.strip(), gold, source, difficulty, budget, digest(problem))
        except UnicodeEncodeError as error:
            raise BadInput(f"{where} holds half of a surrogate pair, which is no text; correct the row") from error
        self._unseen -= {name for name in OPTIONAL if getattr(row, name) is not None}
        if self._plan.budget is not None:
            row.budget = drawn_budget(self._plan.request.seed, row, *self._plan.budget)
        return row

    def _gold(self, values: Mapping[str, Any], where: str) -> str | list[str] | None:
        """A text, or a list where the column is one of lists or this row has several."""
        given = values["golds"] if self._plan.layout.has_lists else values["gold"]
        items = given if isinstance(given, list) else [given]
        golds = [gold for item in items if (gold := _gold_text(item, where)) is not None]
        if self._plan.layout.has_lists or len(golds) > 1:
            return golds or None
        return golds[0] if golds else None

    def _difficulty(self, value: Any, where: str) -> float | str | None:
        """A number, or a label where the first difficulty is one."""
        if value is None or value == "" or value != value:
            return None
        number = number_or_none(value)
        if self._has_labels is None:
            self._has_labels = number is None
        if self._has_labels:
            return str(value)
        if number is None:
            raise BadInput(f"{where} has the difficulty {value!r:.40}, and rows before it have numbers; make it one")
        return number


def _gold_text(value: Any, where: str) -> str | None:
    if isinstance(value, str):
        return value.strip() or None
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, Mapping | list | bytes):
        raise BadInput(
            f"{where} has the gold {value!r:.60}; a gold is a text or a number: name the column that holds it"
        )
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    try:
        return gold_answers(value)[0]
    except ValueError as error:
        raise BadInput(f"{where}: {error}") from error


def _budget(value: Any, where: str) -> int | None:
    if value is None or value == "" or value != value:
        return None
    number = number_or_none(value)
    if number is None or not 1 <= number <= _MOST_TOKENS or number != int(number):
        raise BadInput(f"{where} has the budget {value!r:.40}; give a whole number of tokens, 1 or more, 10^8 at most")
    return int(number)

"""Gold answers that the scorer of their row cannot read, so that no answer would ever be right."""

from __future__ import annotations

from concurrent.futures import Future

from laser_verl.data.prepare.rows import Findings, Row
from laser_verl.scoring import gym_verifiers
from laser_verl.scoring.answers import gold_answers
from laser_verl.scoring.golds import GoldReader
from laser_verl.scoring.pool import MathPool
from laser_verl.scoring.tasks import GYM, MATH, Scorers
from laser_verl.scoring.verdict import Status

# A problem of reasoning-gym may take its verifier longer than a comparison.
_SECONDS = 30.0
_NUM_WORKERS = 2


class GoldCheck:
    """Lists the rows whose gold cannot be read, and leaves them out where asked to.

    Mathematics is read as the scorer reads it; a problem of reasoning-gym has to be solved by the library's own answer.
    Sources whose scorer a run names in its configuration are not checked.
    """

    def __init__(self, is_dropping: bool) -> None:
        """Start nothing yet."""
        self._is_dropping = is_dropping
        self._scorers = Scorers()
        self._mathematics = GoldReader()
        self._verifiers = MathPool(_NUM_WORKERS, _SECONDS, gym_verifiers.__name__)
        self.unchecked: set[str] = set()
        """Sources that have no scorer of their own."""

    def __call__(self, rows: list[Row], findings: Findings) -> list[Row]:
        """Return all rows, or those with a gold that can be read."""
        problems = self._problems(rows)
        for row in rows:
            if row.index in problems:
                details = {"gold": row.gold, "problem_with_it": problems[row.index]}
                findings.add(row, "unreadable_gold", not self._is_dropping, details)
        return [row for row in rows if row.index not in problems] if self._is_dropping else rows

    def close(self) -> None:
        """Kill the worker processes."""
        self._mathematics.close()
        self._verifiers.close()

    def _problems(self, rows: list[Row]) -> dict[int, str]:
        """What is wrong, by the index of the row."""
        problems: dict[int, str] = {}
        mathematics: list[tuple[int, str]] = []
        verified: list[tuple[int, Future[Status]]] = []
        for row in rows:
            task = self._scorers.find(row.data_source)
            if task is None:
                self.unchecked.add(row.data_source)
            elif task is MATH:
                mathematics += self._answers(row, problems)
            elif task is GYM and (answer := gym_verifiers.own_answer(str(row.gold))) is not None:
                verified.append((row.index, self._verifiers.submit([str(row.gold)], answer)))
        for number in self._mathematics.unreadable([text for _, text in mathematics]):
            problems[mathematics[number][0]] = "math-verify reads no mathematics in it, or too much"
        for index, future in verified:
            if (status := future.result()) != "equal":
                problems[index] = f"the library's own answer is {status}"
        return problems

    @staticmethod
    def _answers(row: Row, problems: dict[int, str]) -> list[tuple[int, str]]:
        try:
            return [(row.index, answer) for answer in gold_answers(row.gold)]
        except ValueError:
            problems[row.index] = "nothing is left of it without spaces and delimiters"
            return []

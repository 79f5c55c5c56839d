"""Accuracy and tokens on the held-out problems before and after, with their standard errors."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE
from rich.table import Table

from laser_verl.commands import BadInput

LEAST_SAVED_FRAC = 0.20
ALLOWED_ERRORS = 2.0
"""Accuracy may be lower by this many standard errors of the difference before it counts as a loss."""

OVERALL = "all"


@dataclass(frozen=True)
class Answer:
    """One response to a held-out problem.

    Attributes:
        source: The problem's data source; None where it cannot be told.
        correct: Whether it is right and well formed.
        tokens: Its length, end of text included.
    """

    source: str | None
    correct: bool
    tokens: int


@dataclass(frozen=True)
class Estimate:
    """A mean over responses with its standard error, NaN for fewer than two."""

    mean: float
    error: float


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    name: str
    num_after: int
    accuracy_before: Estimate
    accuracy_after: Estimate
    tokens_before: Estimate
    tokens_after: Estimate

    @property
    def saved_frac(self) -> float:
        """Fraction of the tokens that the training saved."""
        return 1.0 - self.tokens_after.mean / self.tokens_before.mean if self.tokens_before.mean else 0.0

    @property
    def accuracy_change(self) -> Estimate:
        """Accuracy after minus before; the two evaluations are taken as independent samples."""
        before, after = self.accuracy_before, self.accuracy_after
        return Estimate(after.mean - before.mean, math.hypot(before.error, after.error))


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and standard error of the mean, `s / sqrt(n)` with `s` over `n - 1`.

    Args:
        values: One number per response, at least one.

    Returns:
        The estimate: of 0, 0, 1, 1 it is 0.5 with error `sqrt(1/3)/2 = 0.289`.
    """
    mean = sum(values) / len(values)
    if len(values) < 2:
        return Estimate(mean, math.nan)
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return Estimate(mean, math.sqrt(variance / len(values)))


def read_answers(path: Path, held_out: Sequence[dict[str, object]]) -> list[Answer]:
    """Read an evaluation that verl wrote.

    verl leaves out the data source, so a response is matched to its problem by the text of the question.

    Args:
        path: JSONL with `input`, `acc` and `response_length` per response.
        held_out: Rows of the held-out file.

    Returns:
        One answer per line.

    Raises:
        BadInput: If a line is cut off, as on a full disk.
    """
    questions = sorted(((_question(row), str(row["data_source"])) for row in held_out), key=lambda pair: -len(pair[0]))
    exact = dict(questions)
    answers = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            text, correct, tokens = row["input"], bool(row["acc"]), int(row["response_length"])
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(
                f"{path}, line {number} is no response of an evaluation ({error}); delete the run's folder and start "
                "again"
            ) from error
        source = exact.get(text) or next((name for question, name in questions if question in text), None)
        answers.append(Answer(source, correct, tokens))
    return answers


def _question(row: dict[str, object]) -> str:
    prompt = row["prompt"]
    return str(prompt[-1]["content"] if isinstance(prompt, list) else prompt).strip()


def compare(before: Sequence[Answer], after: Sequence[Answer]) -> list[Row]:
    """The lines of the table: all problems, then each data source in the order of its name's first appearance.

    Args:
        before: Answers of the base model.
        after: Answers of the trained model.

    Returns:
        The lines; only the first where data sources cannot be told or there is one.
    """
    sources = list(dict.fromkeys(answer.source for answer in before))
    rows = [_row(OVERALL, before, after)]
    if len(sources) > 1 and None not in sources:
        for source in sorted(str(source) for source in sources):
            parts = [[answer for answer in answers if answer.source == source] for answers in (before, after)]
            rows.append(_row(source, *parts))
    return _in_order_of_difficulty(rows)


def _in_order_of_difficulty(rows: list[Row]) -> list[Row]:
    rank = {name: at for at, name in enumerate((OVERALL, "tiny_world/easy", "tiny_world/medium", "tiny_world/hard"))}
    return sorted(rows, key=lambda row: rank.get(row.name, len(rank)))


def _row(name: str, before: Sequence[Answer], after: Sequence[Answer]) -> Row:
    return Row(
        name=name,
        num_after=len(after),
        accuracy_before=estimate([float(answer.correct) for answer in before]),
        accuracy_after=estimate([float(answer.correct) for answer in after]),
        tokens_before=estimate([float(answer.tokens) for answer in before]),
        tokens_after=estimate([float(answer.tokens) for answer in after]),
    )


def as_table(rows: Iterable[Row], title: str) -> Table:
    """The table for people.

    Args:
        rows: Its lines.
        title: Its heading.

    Returns:
        Accuracy in percent and mean tokens, each with one standard error.
    """
    table = Table(title=title, title_justify="left", caption="± one standard error", caption_justify="left", box=SIMPLE)
    table.add_column("problems", no_wrap=True)
    for heading in ("number", "accuracy before", "accuracy after", "tokens before", "tokens after", "saved"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.name.removeprefix("tiny_world/"),
            str(row.num_after),
            _percent(row.accuracy_before),
            _percent(row.accuracy_after),
            _tokens(row.tokens_before),
            _tokens(row.tokens_after),
            f"{100 * row.saved_frac:.0f} %",
        )
    return table


def _percent(value: Estimate) -> str:
    return f"{_with_error(100 * value.mean, 100 * value.error)} %"


def _tokens(value: Estimate) -> str:
    return _with_error(value.mean, value.error)


def _with_error(mean: float, error: float) -> str:
    return f"{mean:.1f}" if math.isnan(error) else f"{mean:.1f} ± {error:.1f}"


def failures(overall: Row) -> list[str]:
    """What a run on the miniature world did not reach.

    Args:
        overall: The line of all problems.

    Returns:
        One sentence per failure, none where it has fewer tokens at no lower accuracy.
    """
    found = []
    if overall.tokens_after.mean > (1.0 - LEAST_SAVED_FRAC) * overall.tokens_before.mean:
        found.append(f"{100 * overall.saved_frac:.0f} % of the tokens saved, {100 * LEAST_SAVED_FRAC:.0f} % expected")
    change = overall.accuracy_change
    if change.mean < -ALLOWED_ERRORS * change.error:
        found.append(
            f"accuracy fell by {-100 * change.mean:.1f} points, more than {ALLOWED_ERRORS:.0f} standard errors of the "
            f"difference ({100 * ALLOWED_ERRORS * change.error:.1f} points)"
        )
    return found


def summary(overall: Row) -> str:
    """The table's first line in a sentence.

    Args:
        overall: The line of all problems.

    Returns:
        For example ``31 % fewer tokens; accuracy +6.5 ± 2.8 points``.
    """
    saved, change = overall.saved_frac, overall.accuracy_change
    tokens = f"{100 * abs(saved):.0f} % {'fewer' if saved >= 0 else 'more'} tokens"
    return f"{tokens}; accuracy {100 * change.mean:+.1f} ± {100 * change.error:.1f} points"

"""Which responses are right, computed from recorded samples alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

from laser_verl.commands import BadInput, CommandError, message_of
from laser_verl.evaluate.problems import scorer_of
from laser_verl.evaluate.samples import Id, Sample
from laser_verl.scoring import Scorer, formats
from laser_verl.scoring.answers import normalise

KEYWORDS = ("recheck", "rethink", "try again", "wait", "alternatively", "retry", "however")
"""Words of reflection, arXiv 2505.15612, the figure on keywords."""

_KEYWORDS = re.compile(rf"\b(?:{'|'.join(KEYWORDS)})\b".replace(" ", r"\s+"), re.IGNORECASE)
# Most of them wait for a process of math-verify.
_NUM_THREADS = 32
_MAX_PROCESSES = 8


@dataclass(frozen=True, slots=True)
class Judged:
    """What is known of a response besides its lengths.

    Attributes:
        correct: The answer is right.
        well_formed: The response has the shape of its format.
        repetitive: It ends in a loop.
        status: Of the comparison, see `laser_verl.scoring.verdict`.
        answer: What it votes for: its answer, normalised; None for a malformed response.
    """

    correct: bool
    well_formed: bool
    repetitive: bool
    status: str
    answer: str | None


def judge(samples: Sequence[Sample], thinking: str) -> dict[Id, Judged]:
    """Judge responses; the same samples give the same verdicts.

    Args:
        samples: Those without a text are left out.
        thinking: Response format.

    Returns:
        Verdicts by the samples' `id`.

    Raises:
        BadInput: If a gold is no answer, a data source has no scorer, or the format is unknown here.
        CommandError: If math-verify cannot be started.
    """
    try:
        formats.reader(thinking)
    except ValueError as error:
        raise BadInput(f"the samples have a format that cannot be read here: {message_of(error)}") from error
    given = [sample for sample in samples if sample.response is not None]
    processes = min(len(os.sched_getaffinity(0)), _MAX_PROCESSES)
    with ThreadPoolExecutor(_NUM_THREADS) as threads, closing(Scorer(thinking, num_workers=processes)) as scorer:
        verdicts = threads.map(lambda sample: _judge(scorer, sample), given)
        return {sample.id: verdict for sample, verdict in zip(given, verdicts, strict=True)}


def _judge(scorer: Scorer, sample: Sample) -> Judged:
    assert sample.response is not None
    where = f"{sample.benchmark}: {sample.question:.60}"
    task = scorer_of(sample.source, where)
    try:
        verdict = scorer.score(
            sample.response,
            sample.gold,
            prompt_opens_think=sample.opens_think,
            row=where,
            judge=task.judge,
        )
    except ValueError as error:
        raise BadInput(message_of(error)) from error
    except RuntimeError as error:
        raise CommandError(message_of(error)) from error
    votes = verdict.well_formed and verdict.extracted is not None
    return Judged(
        correct=verdict.correct,
        well_formed=verdict.well_formed,
        repetitive=verdict.repetitive,
        status=verdict.status,
        answer=normalise(verdict.extracted or "") if votes else None,
    )


def count_keywords(text: str) -> Mapping[str, int]:
    r"""How often a text has each of `KEYWORDS`, whole words in any case; white space within one may be any.

    Args:
        text: A response.

    Returns:
        Numbers by keyword: of "Wait, wait. Awaiting: try\nagain" they are 2 of wait and 1 of try again.
    """
    numbers = dict.fromkeys(KEYWORDS, 0)
    for found in _KEYWORDS.findall(text):
        numbers[" ".join(found.lower().split())] += 1
    return numbers


def count_all(texts: Iterable[str]) -> list[list[int]]:
    """The numbers of `count_keywords` of each text, in the order of `KEYWORDS`."""
    return [list(count_keywords(text).values()) for text in texts]

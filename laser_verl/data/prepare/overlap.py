"""Problems that evaluation sets have too: those that share 13 words in a row with one of theirs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laser_verl.commands import BadInput
from laser_verl.data.prepare.reading import read_rows
from laser_verl.data.prepare.rows import Findings, Row
from laser_verl.data.prepare.templates import TEMPLATES

WORDS = 13
"""In a row, shared with a problem of an evaluation set."""

SHIPPED = tuple(sorted((Path(__file__).parents[1] / "benchmarks").glob("*.jsonl")))
"""AIME 2024 and AMC 2023."""

_COLUMNS = ("problem", "question", "Problem", "Question", "prompt")

# Letters and digits; of Chinese and Japanese, which have no spaces, each sign.
_CJK = "\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+")

_LEAST_OF_THE_PROBLEM = 2
_OF_THE_TRADE = frozenset(
    _WORD.findall(
        "an and any are as at be by can for if in is it its let not of on or some such that the there to where which "
        "with answer compute determine express expressed final find form given how let many value what written "
        "coprime divisible integer integers positive prime relatively square "
        "cdot dfrac frac left mathrm right sqrt text tfrac"
    )
)


@dataclass(frozen=True)
class EvaluationSet:
    """Problems that are not to be trained on.

    Attributes:
        name: The file's, without its end.
        path: The file.
        problems: (what names it, its words) of each.
    """

    name: str
    path: Path
    problems: tuple[tuple[str, tuple[str, ...]], ...]


def read_evaluation_set(path: Path) -> EvaluationSet:
    """Read a file of problems.

    Args:
        path: JSONL, JSON, CSV or parquet with a column problem, question or prompt, a text or chat messages;
            rows may have an id.

    Returns:
        The set.

    Raises:
        BadInput: If it cannot be read, or has none of these columns.
    """
    problems = []
    for number, row in enumerate(read_rows(path)):
        text = next((text for column in _COLUMNS if (text := _text(row.get(column))) is not None), None)
        if text is None:
            raise BadInput(
                f"{path}, row {number} (from 0): none of the columns problem, question and prompt has a text; it has "
                f"{', '.join(row)}: rename the column of problems"
            )
        problems.append((str(row.get("id", number)), words_of(text)))
    return EvaluationSet(path.stem, path, tuple(problems))


def _text(value: Any) -> str | None:
    """A problem; of chat messages the last that the user says, without one of our templates around it."""
    if not isinstance(value, list):
        return value if isinstance(value, str) else None
    messages = [message for message in value if isinstance(message, Mapping) and message.get("role") == "user"]
    text = messages[-1].get("content") if messages else None
    if not isinstance(text, str):
        return None
    return next((problem for one in TEMPLATES.values() if (problem := one.problem(text)) is not None), text)


def words_of(text: str) -> tuple[str, ...]:
    """Letters and digits, small: `words_of("What is $x_1+2$?")` is `("what", "is", "x", "1", "2")`."""
    return tuple(_WORD.findall(unicodedata.normalize("NFC", text).casefold()))


class Overlap:
    """Leaves out the rows that share `WORDS` words in a row with a problem of an evaluation set, or all of its words.

    Two of the 13 at least have to be of the problem: "can be written as m/n, where m and n are relatively prime
    positive integers" is how contests ask, and stands in thousands of problems.
    """

    def __init__(self, sets: Iterable[EvaluationSet]) -> None:
        """Index the sets."""
        self._grams: dict[str, tuple[str, str]] = {}
        self._whole: dict[str, tuple[str, str]] = {}
        for one in sets:
            for name, words in one.problems:
                self._whole.setdefault(" ".join(words), (one.name, name))
                for gram in _grams(words):
                    if sum(map(_is_of_the_problem, gram.split())) >= _LEAST_OF_THE_PROBLEM:
                        self._grams.setdefault(gram, (one.name, name))

    def find(self, problem: str) -> tuple[str, str, str] | None:
        """The evaluation set, its problem, and the words that a problem shares with it; None for none."""
        words = words_of(problem)
        for gram in _grams(words):
            if gram in self._grams:
                return (*self._grams[gram], gram)
        whole = " ".join(words)
        return (*self._whole[whole], whole) if whole in self._whole and words else None

    def __call__(self, rows: list[Row], findings: Findings) -> list[Row]:
        """Return the rows that share nothing."""
        kept = []
        for row in rows:
            found = self.find(row.problem)
            if found is None:
                kept.append(row)
                continue
            name, problem, shared = found
            findings.add(row, "in_evaluation_set", False, {"set": name, "set_problem": problem, "words": shared})
        return kept


def _is_of_the_problem(word: str) -> bool:
    is_sign = word.isascii() and (len(word) == 1 or word.isdecimal())
    return not is_sign and word not in _OF_THE_TRADE


def _grams(words: Sequence[str]) -> Iterator[str]:
    for first in range(len(words) - WORDS + 1):
        yield " ".join(words[first : first + WORDS])

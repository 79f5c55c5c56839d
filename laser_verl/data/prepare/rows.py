"""A problem on its way from a data set to verl's parquet, and what is said of those that stay behind."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

SHOWN = 200
"""Characters of a problem in a finding."""


@dataclass(slots=True)
class Row:
    """A problem with its gold answer.

    Attributes:
        index: Which row of the input it is, counted from 0 over all files.
        problem: Its text.
        gold: Its answer, a list of acceptable ones where the source has lists.
        data_source: The name that chooses its scorer.
        difficulty: A number or a label, None where it has none.
        budget: Tokens that the prompt is to ask for, None where it has none.
        digest: 64 bits of its text, the same for problems that differ in spaces and capitals only.
    """

    index: int
    problem: str
    gold: str | list[str]
    data_source: str
    difficulty: float | str | None
    budget: int | None
    digest: int


class Stage(Protocol):
    """Something that leaves rows out, or says something of them."""

    def __call__(self, rows: list[Row], findings: Findings) -> list[Row]:
        """Return the rows that stay, in order."""
        ...


class Findings(Protocol):
    """Takes what is found of rows."""

    def count(self, reason: str, number: int = 1) -> None:
        """Count rows that are left out and not worth a line each."""
        ...

    def add(self, row: Row, finding: str, is_kept: bool, details: Mapping[str, Any]) -> None:
        """List a row."""
        ...


def digest(text: str) -> int:
    """64 bits of a problem's text.

    Args:
        text: The problem.

    Returns:
        The same number for texts that differ in white space, capitals and the composition of accents only;
        `digest("What is  1+1?") == digest("what is 1+1?")`.

    Raises:
        UnicodeEncodeError: If it holds half of a surrogate pair.
    """
    folded = text.casefold() if text.isascii() else _canonical(_canonical(text).casefold())
    return hash64(" ".join(folded.split()))


def _canonical(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def hash64(*parts: object) -> int:
    """A number below 2^64 from some values, the same on every machine."""
    text = "\0".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def shown(text: str) -> str:
    """A text, cut to what a line of a report has room for."""
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def some(items: Iterable[object], total: int, most: int = 5) -> str:
    """The first of some numbers, and how many there are: `3, 17, 29 (12 in all)`."""
    first = list(items)[:most]
    more = f" ({total} in all)" if total > len(first) else ""
    return ", ".join(map(str, first)) + more

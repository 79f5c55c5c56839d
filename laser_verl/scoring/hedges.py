r"""Answers that name the gold and something else beside it.

math-verify looks at a part of these only: it drops text and indices behind a number and takes the last side of an
equation. A grader would ask which of the two is meant.
"""

import re
from itertools import pairwise
from typing import Final

from laser_verl.scoring.readings import Scalar, read

_TEXT_AT_END = re.compile(
    r"(?<=.)\\(?:text|math)(?:[a-z]{2})?\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}$|(?<=.)\\mbox\{([^{}]*)\}$"
)
_EXPONENT = re.compile(r"\^\{?-?[0-9]+\}?|(?<=[a-zA-Z])[0-9]")  # of a unit
_SECOND_ANSWER = re.compile(r"[0-9]|\b(?:or|and)\b")
_LIST_IN_INDEX = re.compile(r"[0-9}]_\{[^{}]*(?:,|\bor\b)[^{}]*\}")
_DOTS: Final = (r"\ldots", r"\cdots", r"\dots", "...")
_EQUALS = re.compile(r"(?<![<>!\\])=")
_APPROXIMATELY: Final = r"\approx"

# What a value and its approximation may differ by, relative to the larger.
_APPROXIMATION: Final = 0.01


def is_hedged(gold: str, answer: str) -> bool:
    r"""Say whether an answer holds a second answer that math-verify would pass over.

    Args:
        gold: The gold answer, normalised.
        answer: The model's answer, normalised, of bounded length.

    Returns:
        True for a second number, "or" or "and" in a text at the end (the exponent of a unit is none), a list in an
        index, dots that the gold has not, and sides of an equation that are different numbers. E.g. of
        `7\text{ or 8}`, `7_{8, 9}`, `8 = 7`: True; of `7\text{ m/s}^2`, `x = 7`, `\sqrt{2} \approx 1.41`: False.
    """
    text = _TEXT_AT_END.search(answer)
    if text and _SECOND_ANSWER.search(_EXPONENT.sub("", text.group(1) or text.group(2) or "")):
        return True
    if _LIST_IN_INDEX.search(answer) or any(dots in answer and dots not in gold for dots in _DOTS):
        return True
    if _APPROXIMATELY in answer:
        return _are_apart(answer.split(_APPROXIMATELY), _APPROXIMATION)
    return "=" in answer and _are_apart(_EQUALS.split(answer), 0.0)


def _are_apart(sides: list[str], tolerance: float) -> bool:
    """Whether two neighbouring sides are numbers that differ."""
    values = [_constant(side.strip()) for side in sides]
    return any(
        first is not None
        and second is not None
        and abs(first - second) > max(tolerance, 1e-6) * max(abs(first), abs(second))
        for first, second in pairwise(values)
    )


def _constant(text: str) -> float | None:
    found = read(text)
    return found.value.approximate() if isinstance(found, Scalar) and found.value.is_constant else None

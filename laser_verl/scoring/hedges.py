r"""Answers that name the gold and something else beside it.

math-verify looks at a part of these only: it drops text and indices behind a number and takes one side of an equation.
A grader would ask which of the two is meant.
"""

import re
from itertools import combinations
from typing import Final

from laser_verl.scoring.readings import Scalar, Word, plain, read

_TEXT = re.compile(r"(?<=.)\\(?:text(?:[a-z]{2}|normal)?|math[a-z]{2}|mbox)\{([^{}]*)\}")
_SEPARATOR_ALONE = re.compile(r"[ ,]*(?:and|or)[ ,]*", re.IGNORECASE)
_SECOND_ANSWER = re.compile(
    # "or", but for "or more" and the like; a number at the start or behind a separator, but for "5-cent"
    r"\bor\b(?! *(?:more|less|fewer|greater|so|higher|lower|longer|shorter|above|below|later|earlier|older|better))"
    r"|(?:^|\band\b|[,;(])[ $(]*-?[0-9]+(?![-a-zA-Z0-9])",
    re.IGNORECASE,
)
_LIST_IN_INDEX = re.compile(r"[0-9}] *_ *\{[^{}]*(?:,|\bor\b)[^{}]*\}")
_LIST_GOES_ON = re.compile(r", *\\ldots")
_STATEMENTS = re.compile(r",(?![0-9]{3}(?![0-9]))")  # 1,234 is one number
_SIDES = re.compile(r"(?<![<>!\\])=|\\approx")
_MOST_SIDES: Final = 4

# A side with a unit is no bare number.
_HAS_UNIT = re.compile(r"\\circ|\\text|\\math|\\mbox|%")


def is_hedged(gold: str, answer: str) -> bool:
    r"""Say whether an answer holds a second answer that math-verify would pass over.

    Args:
        gold: The gold answer, normalised.
        answer: The model's answer, normalised, of bounded length.

    Returns:
        True for "or" or a second number in a text behind a value, a list in an index, a list that goes on with dots
        where that of the gold does not, and sides of an equation that are different numbers. E.g. of
        `7\text{ or 8}`, `7_{8, 9}`, `8 = 7`: True; of `7\text{ m/s}^2`, `x = 7`, `\sqrt{2} \approx 1.41`: False.
    """
    for text in _TEXT.findall(answer):
        if not _SEPARATOR_ALONE.fullmatch(text) and _SECOND_ANSWER.search(text):
            return True
    if _LIST_IN_INDEX.search(answer):
        return True
    if _LIST_GOES_ON.search(plain(answer)) and r"\ldots" not in plain(gold):
        return True
    return any(_is_false(statement) for statement in _STATEMENTS.split(answer))


def _is_false(statement: str) -> bool:
    """Whether two sides of an equation are numbers that differ, or it sets three words equal, or goes on and on."""
    sides = _SIDES.split(statement)
    if len(sides) > _MOST_SIDES or (len(sides) > 2 and all(isinstance(read(side.strip()), Word) for side in sides)):
        return True
    is_exact = r"\approx" not in statement
    values = [(side, value) for side in sides if (value := _constant(side.strip())) is not None]
    for (left, first), (right, second) in combinations(values, 2):
        rounding = 0.0 if is_exact else max(_last_digit(left), _last_digit(right))
        if abs(first - second) > rounding + 1e-6 * max(1.0, abs(first), abs(second)):
            return True
    return False


def _constant(text: str) -> float | None:
    found = None if _HAS_UNIT.search(text) else read(text)
    return found.value.approximate() if isinstance(found, Scalar) and found.value.is_constant else None


def _last_digit(side: str) -> float:
    """What an approximation may be off by: a little more than half of its last digit."""
    number = re.fullmatch(r"-?[0-9,]+(?:\.([0-9]+))?", side.strip())
    return 0.6 * 10.0 ** -len(number.group(1) or "") if number else 0.0

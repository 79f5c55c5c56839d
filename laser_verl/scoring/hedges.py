r"""Answers that name the gold and something else beside it.

math-verify looks at a part of these only: it drops text and indices behind a number, takes one side of an equation, and
adds numbers that stand side by side. A grader would ask which of the two is meant.
"""

import re
from collections.abc import Sequence
from typing import Final

from laser_verl.scoring.readings import Scalar, plain, read, read_word

_TEXT = re.compile(r"(?<=.)\\(?:text(?:[a-z]{2}|normal)?|math[a-z]{2}|mbox)\{([^{}]*)\}")
_SEPARATOR_ALONE = re.compile(r"[ ,]*(?:and|or)[ ,]*", re.IGNORECASE)
_SECOND_ANSWER = re.compile(
    # "or", but for "or more" and the like; a number at the start or behind a separator, but for "5-cent"
    r"\bor\b(?! *(?:more|less|fewer|greater|so|higher|lower|longer|shorter|above|below|later|earlier|older|better))"
    r"|(?:^|\b(?:and|vs|versus|but|oder|und|ou)\b\.?|[,;(])[ $(]*-?[0-9]+(?![-a-zA-Z0-9])"
    # "/8", but for "/100 km"
    r"|/ *-?[0-9]+(?! *[-a-zA-Z0-9])"
    # taken back
    r"|^ *(?:is|are) +not\b|\bnot +the +(?:right +|correct +|final +)?answer\b"
    r"|\b(?:is|are) +(?:wrong|incorrect|false)\b",
    re.IGNORECASE,
)
_SAME_AGAIN = re.compile(r"[ (,]*or +([0-9]+(?:\.[0-9]+)?(?:/[0-9]+)?)[ )]*", re.IGNORECASE)
_LIST_IN_INDEX = re.compile(r"[0-9}] *_ *\{[^{}]*(?:,|\bor\b)[^{}]*\}")
_GOES_ON = re.compile(r", *\\ldots|^\\ldots|(?:^|[^0-9.,_^])[0-9]+ *\\ldots$")
_ANY_TEXT = re.compile(r"\\(?:text|math|mbox)[a-z]*\{[^{}]*\}")
_SIDE_BY_SIDE = re.compile(r"(?<![_^0-9.,a-zA-Z{])[0-9]+(?:\.[0-9]+)? +[0-9]+(?![0-9/,])")
_STATEMENTS = re.compile(r",(?![0-9]{3}(?![0-9]))")  # 1,234 is one number
_SIDES = re.compile(r"(?<![<>!\\])=|\\approx|\\equiv")
_CONGRUENCE = re.compile(r"\\equiv.*mod")

# Longer chains are not read: no honest one is, and each side may take a millisecond.
_MOST_SIDES: Final = 16

# A side with a unit is no bare number; one with a letter is none either.
_HAS_UNIT = re.compile(r"\\circ|\\text|\\math|\\mbox|%")
_HAS_LETTER = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]")


def is_hedged(gold: str, answer: str) -> bool:
    r"""Say whether an answer holds a second answer that math-verify would pass over.

    Args:
        gold: The gold answer, normalised.
        answer: The model's answer, normalised, of bounded length.

    Returns:
        True for "or" or a second number in a text behind a value, and a text that takes the value back; a list in an
        index; dots behind an integer or a list where the gold has none; two numbers side by side; and sides of an
        equation that are different numbers, or more of them than are read. E.g. of `7\text{ or 8}`, `7_{8, 9}`,
        `3 \quad 4`, `8 = 7`: True; of `7\text{ m/s}^2`, `x = 7`, `\sqrt{2} \approx 1.41`: False.
    """
    if any(_names_another(answer[: found.start()], found.group(1)) for found in _TEXT.finditer(answer)):
        return True
    if _LIST_IN_INDEX.search(answer):
        return True
    simple = plain(answer)
    if _SIDE_BY_SIDE.search(_ANY_TEXT.sub(";", simple)) or (_GOES_ON.search(simple) and r"\ldots" not in plain(gold)):
        return True
    chains = [text for text in _STATEMENTS.split(answer) if _SIDES.search(text) and not _CONGRUENCE.search(text)]
    return sum(len(_numbers(chain)) for chain in chains) > _MOST_SIDES or any(map(_is_false, chains))


def _names_another(before: str, text: str) -> bool:
    if _SEPARATOR_ALONE.fullmatch(text) or not _SECOND_ANSWER.search(text):
        return False
    again = _SAME_AGAIN.fullmatch(text)
    sides = [before.strip(), again.group(1)] if again else []
    return again is None or None in map(_constant, sides) or _differ(sides, is_exact=True)


def _is_false(chain: str) -> bool:
    """Whether it sets numbers equal that differ, or three words."""
    sides = _SIDES.split(chain)
    is_words = len(sides) > 2 and all(read_word(side.strip()) for side in sides)
    return is_words or _differ(_numbers(chain), is_exact=r"\approx" not in chain)


def _numbers(chain: str) -> list[str]:
    """The sides that may be numbers, where there are two."""
    sides = [side.strip() for side in _SIDES.split(chain) if not _HAS_LETTER.search(side)]
    return sides if len(sides) > 1 else []


def _differ(sides: Sequence[str], is_exact: bool) -> bool:
    """Whether a side is another number than the first number; one with a decimal point may be rounded."""
    values = [(side, value) for side in sides if (value := _constant(side)) is not None]
    for side, value in values[1:]:
        first = values[0][1]
        rounding = max(_last_digit(text, is_exact) for text in (values[0][0], side))
        if abs(first - value) > rounding + 1e-6 * max(1.0, abs(first), abs(value)):
            return True
    return False


def _constant(text: str) -> float | None:
    found = None if _HAS_UNIT.search(text) else read(text)
    return found.value.approximate() if isinstance(found, Scalar) and found.value.is_constant else None


def _last_digit(side: str, is_exact: bool) -> float:
    """What a rounded number may be off by: a little more than half of its last digit."""
    number = re.fullmatch(r"-?[0-9,]+(?:\.([0-9]+))?", side)
    if number is None or (is_exact and number.group(1) is None):
        return 0.0
    return 0.6 * 10.0 ** -len(number.group(1) or "")

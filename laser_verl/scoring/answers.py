"""Golds and the fast layers of answer equality: everything that needs no symbolic algebra."""

import math
import re
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from laser_verl.scoring.formats import last_boxed

Gold = str | int | float | Sequence[str | int | float]

# math-verify reads longer decimals with limited precision; those are left to it.
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{1,15})?")
_MAX_DIGITS = 15

# math-verify compares decimals after rounding to 6 places: numbers further apart than this never round to the same.
_SURELY_APART = Fraction(1, 10**6)

_MATH_QUOTES = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))


def normalise(text: str) -> str:
    """Strip what never changes an answer: outer math delimiters, a final full stop, runs of white space.

    Args:
        text: Answer or gold.

    Returns:
        The bare answer. E.g. ` $ 7 $.`: `7`.
    """
    text, before = " ".join(text.split()), None
    while text != before:
        text, before = _without_quotes(text.rstrip(". ")), text
    return text


def _without_quotes(text: str) -> str:
    for left, right in _MATH_QUOTES:
        inner = text[len(left) : len(text) - len(right)]
        if len(text) >= len(left) + len(right) and text.startswith(left) and text.endswith(right) and left not in inner:
            return inner.strip()
    return text


def gold_answers(gold: Gold | None, row: object = None) -> list[str]:
    r"""Turn the gold of a data row into the list of acceptable answers.

    Args:
        gold: A string (plain, LaTeX, in math delimiters or in a `\boxed{}`), a finite number, or a list of these.
        row: What names the row in an error, e.g. its index.

    Returns:
        One or more non-empty answers, normalised. E.g. `["$1/2$", 0.5]`: `["1/2", "0.5"]`.

    Raises:
        ValueError: If the gold is missing, empty, not finite or of another type.
    """
    plain: object = gold.tolist() if isinstance(gold, np.ndarray | np.generic) else gold  # as parquet gives them
    items = list(plain) if isinstance(plain, list | tuple) else [plain]
    if not items:
        raise _bad_gold(gold, row)
    return [_gold_answer(item, row) for item in items]


def _gold_answer(gold: object, row: object) -> str:
    if isinstance(gold, str):
        boxed = last_boxed(gold)
        answer = normalise(gold if boxed is None else boxed)
        if answer.strip("$"):
            return answer
    elif isinstance(gold, int | float) and not isinstance(gold, bool) and math.isfinite(gold):
        return str(int(gold)) if gold == int(gold) else repr(gold)
    raise _bad_gold(gold, row)


def _bad_gold(gold: object, row: object) -> ValueError:
    return ValueError(
        f"ground_truth={gold!r} of row {row!r} is not an answer; give a non-empty string, a finite number or a "
        'non-empty list of these in reward_model.ground_truth, e.g. "\\\\frac{1}{2}"'
    )


def quick_verdict(gold: str, answer: str) -> bool | None:
    """Compare two normalised answers without symbolic algebra, where that is sure to be what math-verify would say.

    Layers: equal strings; two plain numbers as exact fractions; two single ASCII letters that differ in more than case.

    Args:
        gold: A gold answer.
        answer: The model's answer.

    Returns:
        True for equal, False for different, None where math-verify has to decide. E.g. ("0.5", "0.50"): True;
        ("7", "x"): None.
    """
    if gold == answer:
        return True
    ours, theirs = _plain_number(gold), _plain_number(answer)
    if ours is not None and theirs is not None:
        if ours == theirs:
            return True
        whole = ours.denominator == theirs.denominator == 1
        return False if whole or abs(ours - theirs) > _SURELY_APART else None
    if len(gold) == len(answer) == 1 and (gold + answer).isascii() and (gold + answer).isalpha():
        return False if gold.lower() != answer.lower() else None
    return None


def _plain_number(text: str) -> Fraction | None:
    if len(text) > _MAX_DIGITS + 2 or not _NUMBER.fullmatch(text):
        return None
    return Fraction(text)

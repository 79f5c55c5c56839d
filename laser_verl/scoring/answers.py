"""Golds, and the text of an answer without what never changes it."""

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import numpy as np

from laser_verl.scoring.formats import last_boxed

Gold = str | int | float | Sequence[str | int | float]

# 1\,234 is one number; math-verify adds the two
_THIN_SPACE = re.compile(r"(?<=[0-9])\\,(?=[0-9]{3}(?![0-9]))")

# around all of an answer
_BOX = re.compile(r"\\(?:fbox|boxed) ?\{((?:[^{}]|\{[^{}]*\})*)\}")

# to math-verify, 2e-05 is 2·e - 5
_SCIENTIFIC = re.compile(r"([+-]?[0-9]+(?:\.[0-9]+)?)[eE]([+-]?[0-9]{1,5})")

_PERCENT = re.compile(r"(?<=[0-9}$)])(?:\\?[ ~])+(?:percent|pct|percentage)$")
_SYNONYMS: Final = (
    (re.compile(r"(?<!\\)~(?!=)"), " "),
    (re.compile(r"(?:\\[bB]igg?[lrm]?)+(?=[()\[\]|]|\\[{}|])"), ""),
    (re.compile(r"(\\(?:left|right|begin|end))\s+(?=[()\[\]{}|]|\\[{}|])"), r"\1"),
    (re.compile(r"\\varnothing(?![a-zA-Z])"), r"\\emptyset"),
    (re.compile("°"), r"^\\circ"),
)

# of an integer gold, well below the number of digits that Python refuses to print
_MAX_BITS = 4096

_MATH_QUOTES = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))


def normalise(text: str) -> str:
    r"""Strip what never changes an answer: math delimiters, a final full stop, runs of white space, thin spaces.

    The thin space is that of thousands. Where there are several ways to write the same, as a degree sign and `^\circ`,
    `50 percent` and `50\%`, `2e-05` and `2\times10^{-5}`, it becomes the one that math-verify reads.

    Args:
        text: Answer or gold.

    Returns:
        The bare answer. E.g. ` $ 7 $.`: `7`.
    """
    for pattern, synonym in _SYNONYMS:
        text = pattern.sub(synonym, text)
    text, before = _THIN_SPACE.sub("", " ".join(text.split())), None
    while text != before:
        text, before = _without_quotes(_without_tail(text)), text
    if scientific := _SCIENTIFIC.fullmatch(text):
        return rf"{scientific.group(1)}\times10^{{{int(scientific.group(2))}}}"
    return _PERCENT.sub(r"\%", text)


def _without_tail(text: str) -> str:
    r"""The text without full stops, white space, `\,` and the like at its end, or what stripping left of a `\ `."""
    end = len(text)
    while end:
        is_command = text[end - 1] in ",;:!" and text[end - 2 : end - 1] == "\\" and text[end - 3 : end - 2] != "\\"
        is_backslash = text[end - 1] == "\\" and text[end - 2 : end - 1] != "\\"
        is_stop = text[end - 1] == "." and text[end - 2 : end - 1] != "."
        if not (is_command or is_backslash or is_stop or text[end - 1].isspace()):
            break
        end -= 2 if is_command else 1
    return text[:end]


def _without_quotes(text: str) -> str:
    for left, right in _MATH_QUOTES:
        inner = text[len(left) : len(text) - len(right)]
        if len(text) >= len(left) + len(right) and text.startswith(left) and text.endswith(right) and left not in inner:
            return inner.strip()
    box = _BOX.fullmatch(text)
    return box.group(1).strip() if box else text


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
    elif isinstance(gold, int) and not isinstance(gold, bool) and gold.bit_length() <= _MAX_BITS:
        return str(gold)
    elif isinstance(gold, float) and math.isfinite(gold):
        return str(int(gold)) if gold == int(gold) else format(Decimal(repr(float(gold))), "f")
    raise _bad_gold(gold, row)


def _bad_gold(gold: object, row: object) -> ValueError:
    where = "" if row is None else f" of row {row!r}"
    return ValueError(
        f"ground_truth={_shown(gold)}{where} is not an answer; give a non-empty string, a finite number or a "
        'non-empty list of these in reward_model.ground_truth, e.g. "\\\\frac{1}{2}"'
    )


def _shown(gold: object) -> str:
    is_long = isinstance(gold, int) and gold.bit_length() > _MAX_BITS
    return "an integer of that length" if is_long else f"{gold!r:.200}"

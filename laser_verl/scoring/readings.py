r"""What an answer says, without symbolic algebra: a number, an exact expression, a word, a tuple, a set, an interval.

Reads as math-verify reads; what it might read otherwise is not read here (None), and math-verify decides.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final, Literal

from laser_verl.scoring.expressions import MAX_CHARACTERS, MAX_DIGITS, read_expression
from laser_verl.scoring.polynomials import INFINITY, Polynomial


@dataclass(frozen=True)
class Word:
    """A letter or a word, as the letter of a choice; lower case."""

    text: str


@dataclass(frozen=True)
class Scalar:
    """One value.

    Args:
        value: The exact value, a percentage already divided by 100.
        is_decimal: Written with a decimal point: math-verify compares it rounded to 6 places.
        percent: The number before the percent sign, where there is one.
    """

    value: Polynomial
    is_decimal: bool = False
    percent: Fraction | None = None


@dataclass(frozen=True)
class Collection:
    """Several values in brackets, or separated by commas.

    Args:
        kind: The brackets; "{}" is a set, without brackets as well.
        items: Its values, at least two in brackets other than "{}".
    """

    kind: Literal["()", "[]", "(]", "[)", "{}"]
    items: tuple[Scalar, ...]


@dataclass(frozen=True)
class Assignment:
    """A letter set equal to one value, as `x = 5`."""

    name: str
    value: Scalar


Reading = Word | Scalar | Collection | Assignment

_SIMPLER: Final = (
    (re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\(?:left|right)(?=[()\[\]|]|\\[{}|])"), ""),
    (re.compile(r"\\(?:displaystyle(?![a-zA-Z])|!)|\\?\$"), ""),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\[cd]?dots(?![a-zA-Z])|\.\.\."), r"\\ldots"),
    (re.compile(r"\\[,;: ]|\\q?quad(?![a-zA-Z])"), " "),
    (re.compile(r"\\frac ?([0-9]) ?([0-9])(?![0-9])"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\sqrt ?([0-9])(?![0-9])"), r"\\sqrt{\1}"),
    (re.compile(r" *([-+*/^=(){}\[\]<>|:_]) *"), r"\1"),
    (re.compile(r" +(?=\\[a-zA-Z%|])"), ""),
    (re.compile(r"(\\[a-zA-Z]+) +(?![a-zA-Z ])"), r"\1"),
    (re.compile(r" *, *(?![0-9]{3}(?![0-9]))"), ", "),
)

_STYLES: Final = r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit)"
_WORD = re.compile(rf"{_STYLES}\{{ *(?:\(([a-zA-Z]+)\)|([a-zA-Z]+)) *\}}|\(([a-zA-Z])\)|([a-zA-Z])|([A-Z]{{2,6}})")
_BOLD: Final = r"\\(?:text|math)(?:bf|it)"  # of one letter, a variable
_UNIT = re.compile(
    rf"(?!{_BOLD}\{{ *[a-zA-Z] *\}})(?:{_STYLES}|\\mbox)\{{[ ~]*([a-zA-Z. /]*)\}} *(?:\^[0-9]|\^\{{[0-9]\}})?$"
)
_DEGREES = re.compile(r"(?<=[0-9]) *\^ *(?:\\circ|\{ *\\circ *\})$")
_NUMBER = re.compile(r"([+-]?) *([1-9][0-9]{0,2}(?:,[0-9]{3})+|[0-9]+)(\.[0-9]+)? *(\\?%)?")
_ASSIGNMENT = re.compile(r"([abknpqruvwxyzABKNPQRUVWXYZ])(_[0-9a-zA-Z]|_\{[0-9a-zA-Z]+\})? *= *([^=]*)")
_THOUSANDS = re.compile(r"(?<![0-9])[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])")
_SEPARATORS = re.compile(r" *\\text\{ *(?:,? *and|,? *or) *\} *|,? +(?:and|or) +|;")

# Words at the end that math-verify gives a meaning of their own.
_NO_UNITS: Final = frozenset({"percent", "percentage", "pct", "and", "or", "T", "d", "th", ""})


def plain(text: str) -> str:
    r"""Drop what only changes the looks: spacing, sizes of fractions and brackets, currency signs.

    Args:
        text: A normalised answer.

    Returns:
        The same answer in fewer notations. E.g. `\left(\dfrac12,\ 3\right)`: `(\frac{1}{2}, 3)`.
    """
    for pattern, simple in _SIMPLER:
        text = pattern.sub(simple, text)
    return " ".join(text.split())


@lru_cache(maxsize=4096)
def read(text: str) -> Reading | None:
    r"""Read an answer.

    Args:
        text: A normalised answer.

    Returns:
        What it says, None where math-verify has to read it. E.g. `0.50`: Scalar of 1/2, decimal; `x+c`: None.
    """
    if len(text) > MAX_CHARACTERS:
        return None
    text = plain(text)
    if not text or not text.isascii():
        return None
    if _WORD.fullmatch(text):
        return read_word(text)
    assignment = _ASSIGNMENT.fullmatch(text)
    if assignment:
        value = None if _THOUSANDS.search(assignment.group(3)) else _scalar(assignment.group(3))
        return None if value is None else Assignment((assignment.group(1) + (assignment.group(2) or "")).lower(), value)
    return _scalar(text) or _collection(text)


def read_word(text: str) -> Word | None:
    r"""Read a letter or a word.

    Args:
        text: A normalised answer.

    Returns:
        The word, None for anything else and for the imaginary unit, which has one case. E.g. `\text{(B)}`: Word of "b".
    """
    word = _WORD.fullmatch(plain(text))
    name = next(filter(None, word.groups())).lower() if word else "i"
    return None if name == "i" else Word(name)


def _scalar(text: str) -> Scalar | None:
    without_unit = _without_unit(text.strip())
    if without_unit is None:
        return None
    number = _NUMBER.fullmatch(without_unit)
    if number:
        return _number(*number.groups())
    value = read_expression(without_unit)
    return None if value is None else Scalar(value)


def _without_unit(text: str) -> str | None:
    r"""The text without `\text{ cm}` or degrees at its end; None where that end may mean something else."""
    text = text.removesuffix(".").rstrip()
    unit = _UNIT.search(text)
    if unit is None:
        return _DEGREES.sub("", text)
    before = text[: unit.start()].rstrip()
    if unit.group(1).strip() in _NO_UNITS or not before or "\\text" in before or "\\m" in before:
        return None
    return _DEGREES.sub("", before)


def _number(sign: str, whole: str, decimals: str | None, percent: str | None) -> Scalar | None:
    whole = whole.replace(",", "")
    if max(len(whole), len(decimals or "")) > MAX_DIGITS:
        return None
    value = Fraction(f"{sign}{whole}{decimals or ''}")
    if percent:
        return Scalar(Polynomial.number(value / 100), bool(decimals), value)
    return Scalar(Polynomial.number(value), bool(decimals))


def _collection(text: str) -> Collection | None:
    text = _SEPARATORS.sub(", ", text)
    if _THOUSANDS.search(text):  # 1,234 may be one number or two
        return None
    if text.startswith(r"\{") and text.endswith(r"\}"):
        return _of_items("{}", text[2:-2], at_least=1)
    if text[0] in "([" and text[-1] in ")]":
        found = _of_items(text[0] + text[-1], text[1:-1], at_least=2)
        if found is not None:
            return found
    return _of_items("{}", text, at_least=2)


def _of_items(kind: str, text: str, at_least: int) -> Collection | None:
    parts = text.split(",")
    if len(parts) < at_least:
        return None
    items = tuple(_item(part.strip(), is_end=kind != "{}") for part in parts)
    if any(item is None or item.percent is not None for item in items):
        return None
    return Collection(kind, items)  # type: ignore[arg-type]


def _item(text: str, is_end: bool) -> Scalar | None:
    if is_end and text.lstrip("+-") == INFINITY and len(text) <= len(INFINITY) + 1:
        infinity = Polynomial.symbol(INFINITY)
        return Scalar(-infinity if text[0] == "-" else infinity)
    return _scalar(text) if text and not any(bracket in text for bracket in "[]") else None

r"""Cheap guards before symbolic work: answers that no exam ever had and that would keep a computer algebra system busy.

One pass over the text, an upper estimate of its size, no big number ever computed. A refused answer is "unparseable".
"""

import math
import re
from typing import Final

LIMITS: Final = {
    "characters": 1_000,  # of one answer
    "depth": 30,  # of nested (, [ or {
    "digits": 500,  # of one number
    "magnitude": 10_000,  # decimal digits of any power, factorial or binomial coefficient
}
"""What an answer may not exceed; the one table of limits."""

_TOKEN = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)|(?P<command>\\[a-zA-Z]+)|\*\*|(?P<other>[^\s\\]|\\[^a-zA-Z]?)")
_DIGITS = re.compile(rf"[0-9]{{{LIMITS['digits'] + 1}}}")
_OPEN: Final = {"(": ")", "[": "]", "{": "}"}
_WITH_LIMITS: Final = frozenset({r"\sum", r"\prod", r"\int"})  # what follows ^ is no exponent
_FRACTIONS: Final = frozenset({r"\frac", r"\dfrac", r"\tfrac", r"\cfrac"})
_BINOMIALS: Final = frozenset({r"\binom", r"\dbinom", r"\tbinom"})
_TWO: Final = 0.302  # above log10(2)
_E: Final = 0.435  # above log10(e)
_HUGE: Final = 9.0  # 10^_HUGE is beyond every limit, and no overflow
_SPACING = re.compile(r"\\(?:left|right|[,;:! ])|[\s,]+")


class _TooLarge(Exception):
    """Names the limit that an answer exceeds."""


def refuse(answer: str) -> str | None:
    r"""Say which limit an answer exceeds.

    Args:
        answer: The model's answer, of any length.

    Returns:
        A key of `LIMITS`, None for an answer that may be looked at. E.g. `9^{9^9}`: "magnitude"; `2^{100}`: None.
    """
    if len(answer) > LIMITS["characters"]:
        return "characters"
    depth = 0
    for character in answer:
        if character in _OPEN:
            depth += 1
            if depth > LIMITS["depth"]:
                return "depth"
        elif character in ")]}":
            depth = max(0, depth - 1)
    if _DIGITS.search(answer):
        return "digits"
    if "^" not in answer and "**" not in answer and "!" not in answer and "binom" not in answer:
        return None
    try:
        _Estimate(answer).total()
    except _TooLarge as error:
        return str(error)
    except RecursionError:
        return "depth"
    return None


class _Estimate:
    """Upper estimates of log10 of the absolute value of each part; symbols count as 1: raising them costs nothing."""

    def __init__(self, text: str) -> None:
        self._tokens = [match.group() for match in _TOKEN.finditer(_SPACING.sub(" ", text))]
        self._at = 0

    def total(self) -> float:
        """The whole text; brackets that close too early are passed over."""
        total = 0.0
        while self._at < len(self._tokens):
            total += self._run(None)
            self._at += 1
        return total

    def _run(self, end: str | None) -> float:
        """Everything up to `end` as one product, a sum counting twice: larger than the value; divisors are left out."""
        total = 0.0
        while self._at < len(self._tokens) and self._tokens[self._at] != end and self._tokens[self._at] not in ")]}":
            is_divisor = self._at > 0 and self._tokens[self._at - 1] == "/"
            value = self._powers()
            total += 0.0 if is_divisor else value
        return total

    def _powers(self) -> float:
        base = self._factorials(self._atom())
        if self._at < len(self._tokens) and self._tokens[self._at] in ("^", "**"):
            self._at += 1
            exponent = self._powers() if self._at < len(self._tokens) else 0.0
            return self._factorials(_limited(base * 10 ** min(exponent, _HUGE)))
        return base

    def _factorials(self, value: float) -> float:
        while self._at < len(self._tokens) and self._tokens[self._at] == "!":
            self._at += 1
            n = 10 ** min(value, _HUGE)
            value = _limited(n * max(math.log10(max(n, 1.0)), 1.0) if n > 20 else math.lgamma(n + 1) / math.log(10))
        return value

    def _atom(self) -> float:
        token = self._tokens[self._at]
        self._at += 1
        if token in _OPEN:
            value = self._run(_OPEN[token])
            self._at += 1
            return value
        if token in _BINOMIALS:
            return self._binomial()
        if token in _FRACTIONS:
            return self._fraction()
        if token in _WITH_LIMITS:
            return self._with_limits()
        if token[0].isdigit() and token.isascii():
            return _digits(token)
        if token == r"\end":  # of a matrix, whose powers are worked out
            self._next_atom()
            return 1.0
        return {"+": _TWO, "e": _E}.get(token, 0.0)

    def _next_atom(self) -> float:
        return self._atom() if self._at < len(self._tokens) else 0.0

    def _fraction(self) -> float:
        if self._at < len(self._tokens) and self._tokens[self._at].isdigit() and len(self._tokens[self._at]) > 1:
            self._at += 1  # \frac12
            return 1.0
        value = self._next_atom()
        self._next_atom()
        return value

    def _with_limits(self) -> float:
        while self._at + 1 < len(self._tokens) and self._tokens[self._at] in ("_", "^"):
            self._at += 1
            self._atom()
        return 0.0

    def _binomial(self) -> float:
        upper, lower = self._next_atom(), self._next_atom()
        return _limited(min(_TWO * 10 ** min(upper, _HUGE), upper * 10 ** min(lower, _HUGE)))


def _digits(number: str) -> float:
    """|log10| of a number: a small one may be the base of a negative power."""
    value = float(number[:300])
    return float(len(number)) if len(number) > 300 else abs(math.log10(value)) if value else 0.0


def _limited(digits: float) -> float:
    if digits > LIMITS["magnitude"]:
        raise _TooLarge("magnitude")
    return digits

r"""LaTeX of polynomials, square roots and multiples of π, read into exact values.

A small grammar, read as math-verify reads it; whatever is outside it or read differently by different people is left to
math-verify: decimals inside an expression, a number right behind a number (`2 3`), letters that math-verify takes for
units at the end of an answer.
"""

import re
from fractions import Fraction
from typing import Final

from laser_verl.scoring.polynomials import MAX_EXPONENT, PI, NotExact, Polynomial

MAX_CHARACTERS: Final = 200
MAX_DIGITS: Final = 15

# No c, d, g, h, l, m, o, s, t (units), e, i, j (constants), f (function).
_LETTERS: Final = "abknpqruvwxyzABKNPQRUVWXYZ"

_TOKEN = re.compile(
    rf"\s*(?:(?P<number>[0-9]+)|(?P<letter>[{_LETTERS}])|(?P<command>\\(?:frac|sqrt|pi|cdot|times)(?![a-zA-Z]))"
    r"|(?P<sign>[-+*/^(){}])|(?P<end>$))"
)
# Two or more letters at the end may be a unit to math-verify; these never are.
_WORD_AT_END = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}$")
_PRODUCT_AT_END = re.compile(r"(?<![a-zA-Z])[xyzXYZ]+$")


def read_expression(text: str) -> Polynomial | None:
    r"""Read an expression.

    Args:
        text: A bare answer in which `\left`, `\dfrac` and the like are gone (`readings.plain`).

    Returns:
        Its exact value, or None where it is outside the grammar. E.g. `2\sqrt{8}`: the value 4·√2; `2 3`: None.
    """
    if len(text) > MAX_CHARACTERS or (_WORD_AT_END.search(text) and not _PRODUCT_AT_END.search(text)):
        return None
    try:
        return _Reader(text).read()
    except (NotExact, RecursionError):
        return None


class _Reader:
    """Recursive descent: sum, product (`*`, `/`), juxtaposition (which binds tighter than `/`), power, atom."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0

    def read(self) -> Polynomial:
        value = self._sum()
        if self._peek() != "":
            raise NotExact
        return value

    def _peek(self) -> str:
        return self._tokens[self._at]

    def _take(self, expected: str | None = None) -> str:
        token = self._tokens[self._at]
        if expected is not None and token != expected:
            raise NotExact
        self._at += 1
        return token

    def _sum(self) -> Polynomial:
        value = self._signed()
        while self._peek() in ("+", "-"):
            minus = self._take() == "-"
            value = value - self._product() if minus else value + self._product()
        return value

    def _signed(self) -> Polynomial:
        if self._peek() in ("+", "-"):
            return -self._product() if self._take() == "-" else self._product()
        return self._product()

    def _product(self) -> Polynomial:
        value = self._juxtaposed()
        while self._peek() in ("*", "/", r"\cdot", r"\times"):
            divide = self._take() == "/"
            value = value / self._juxtaposed() if divide else value * self._juxtaposed()
        return value

    def _juxtaposed(self) -> Polynomial:
        first = self._at
        value = self._power()
        if self._is_mixed(first):
            value = value + self._power()
            if self._starts_atom():
                raise NotExact
            return value
        last = value
        while self._starts_atom():
            following = self._power()
            # math-verify adds a number that stands right behind a number
            if last.rational is not None and following.rational is not None:
                raise NotExact
            value, last = value * following, following
        return value

    def _is_mixed(self, first: int) -> bool:
        r"""Whether an integer alone stands before a fraction of integers: `2\frac{1}{2}` is 5/2."""
        ahead = self._tokens[self._at : self._at + 7]
        return (
            self._at == first + 1
            and self._tokens[first].isdigit()
            and len(ahead) == 7
            and [ahead[i] for i in (0, 1, 3, 4, 6)] == [r"\frac", "{", "}", "{", "}"]
            and ahead[2].isdigit()
            and ahead[5].isdigit()
            and int(ahead[2]) > 0
        )

    def _starts_atom(self) -> bool:
        token = self._peek()
        return token.isalnum() or token in ("(", r"\frac", r"\sqrt", r"\pi")

    def _power(self) -> Polynomial:
        base = self._atom()
        if self._peek() != "^":
            return base
        self._take()
        exponent = self._exponent()
        if self._peek() == "^":
            raise NotExact
        return base.power(exponent)

    def _exponent(self) -> int:
        is_bare = self._peek().isdigit()
        value = Polynomial.number(int(self._take())) if is_bare else self._group("{", "}")
        number = value.rational
        if number is None or number.denominator != 1 or abs(number) > MAX_EXPONENT:
            raise NotExact
        return int(number)

    def _group(self, left: str, right: str) -> Polynomial:
        self._take(left)
        value = self._sum()
        self._take(right)
        return value

    def _atom(self) -> Polynomial:
        token = self._take()
        if token.isdigit():
            if len(token) > MAX_DIGITS:
                raise NotExact
            return Polynomial.number(Fraction(int(token)))
        if token == PI:
            return Polynomial.symbol(PI)
        if token.isalpha():
            return Polynomial.symbol(token.lower())
        self._at -= 1
        if token == "(":
            return self._group("(", ")")
        if token == r"\frac":
            self._take()
            return self._group("{", "}") / self._group("{", "}")
        self._take(r"\sqrt")
        return self._group("{", "}").square_root()


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    while True:
        match = _TOKEN.match(text, at)
        if match is None:
            raise NotExact
        found.append(match.group().strip())
        if match.lastgroup == "end":
            return found
        at = match.end()

r"""Exact values: polynomials in symbols, powers of π and square roots of integers, with rational coefficients.

The form is unique: each term is a rational times √r, r free of squares, times integer powers of symbols. Such terms are
linearly independent over the rationals, so two values are equal exactly when their terms are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Final

PI: Final = r"\pi"
INFINITY: Final = r"\infty"

Term = tuple[int, tuple[tuple[str, int], ...]]
"""Radicand (1 for none), and (symbol, exponent) pairs in order, exponents not 0."""

_ONE: Final[Term] = (1, ())

# Bounds that keep every value within a few milliseconds; the cost counts products of terms since the first number.
_MAX_COST: Final = 1000
_MAX_TERMS: Final = 60
_MAX_RADICAND: Final = 10**6
_MAX_BITS: Final = 256
MAX_EXPONENT: Final = 20


class NotExact(Exception):
    """The value has no such form, or one too large to be handled here."""


class Polynomial:
    r"""An exact value; immutable, compared and hashed by its terms.

    Args:
        terms: Coefficient of each term; zeros are dropped.
        cost: What it took to get here.

    Raises:
        NotExact: If the value is too large. E.g. `\frac{1}{\sqrt{2}}` is `Polynomial({(2, ()): Fraction(1, 2)})`.
    """

    __slots__ = ("cost", "terms")

    def __init__(self, terms: Mapping[Term, Fraction], cost: int = 0) -> None:
        self.cost = cost
        self.terms = {term: factor for term, factor in terms.items() if factor}
        if len(self.terms) > _MAX_TERMS or any(_bits(factor) > _MAX_BITS for factor in self.terms.values()):
            raise NotExact

    @classmethod
    def number(cls, value: Fraction | int) -> Polynomial:
        """A rational number."""
        return cls({_ONE: Fraction(value)})

    @classmethod
    def symbol(cls, name: str) -> Polynomial:
        """A variable, or π."""
        return cls({(1, ((name, 1),)): Fraction(1)})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Polynomial) and self.terms == other.terms

    def __hash__(self) -> int:
        return hash(frozenset(self.terms.items()))

    @property
    def rational(self) -> Fraction | None:
        """The value where it is a rational number, else None."""
        if not self.terms:
            return Fraction(0)
        return self.terms.get(_ONE) if len(self.terms) == 1 else None

    @property
    def is_constant(self) -> bool:
        """No symbol but π occurs."""
        return all(name == PI for _, powers in self.terms for name, _ in powers)

    @property
    def is_product_of_symbols(self) -> bool:
        """A single term without a number in front, as `x` or `xy`."""
        return len(self.terms) == 1 and all(
            radicand == 1 and powers and factor == 1 and not {name for name, _ in powers} & {PI, INFINITY}
            for (radicand, powers), factor in self.terms.items()
        )

    def approximate(self) -> float:
        """The value of a constant as a float, to some 15 digits of its largest term."""
        return math.fsum(
            float(factor) * math.sqrt(radicand) * math.pi ** sum(power for _, power in powers)
            for (radicand, powers), factor in self.terms.items()
        )

    def __add__(self, other: Polynomial) -> Polynomial:
        terms = dict(self.terms)
        for term, factor in other.terms.items():
            terms[term] = terms.get(term, Fraction(0)) + factor
        return Polynomial(terms, self.cost + other.cost)

    def __neg__(self) -> Polynomial:
        return Polynomial({term: -factor for term, factor in self.terms.items()}, self.cost)

    def __sub__(self, other: Polynomial) -> Polynomial:
        return self + -other

    def __mul__(self, other: Polynomial) -> Polynomial:
        cost = self.cost + other.cost + len(self.terms) * len(other.terms)
        if cost > _MAX_COST:
            raise NotExact
        terms: dict[Term, Fraction] = {}
        for left, first in self.terms.items():
            for right, second in other.terms.items():
                term, factor = _times(left, right)
                terms[term] = terms.get(term, Fraction(0)) + first * second * factor
        return Polynomial(terms, cost)

    def __truediv__(self, other: Polynomial) -> Polynomial:
        return self * other.inverse()

    def inverse(self) -> Polynomial:
        """One over the value: of a single term, or of a rational plus one square root, by its conjugate."""
        if len(self.terms) == 1:
            ((radicand, powers), factor) = next(iter(self.terms.items()))
            inverted = tuple((name, -power) for name, power in powers)
            return Polynomial({(radicand, inverted): 1 / (factor * radicand)})
        if len(self.terms) == 2 and _ONE in self.terms and not any(powers for _, powers in self.terms):
            conjugate = Polynomial({term: f if term == _ONE else -f for term, f in self.terms.items()})
            norm = (self * conjugate).rational
            if norm:
                return conjugate * Polynomial.number(1 / norm)
        raise NotExact

    def power(self, exponent: int) -> Polynomial:
        """The value to an integer power of at most 20."""
        if abs(exponent) > MAX_EXPONENT or (exponent <= 0 and not self.terms):
            raise NotExact
        base = self if exponent >= 0 else self.inverse()
        result = Polynomial.number(1)
        for _ in range(abs(exponent)):
            result = result * base
        return result

    def square_root(self) -> Polynomial:
        """The square root of a rational number that is not negative."""
        value = self.rational
        if value is None or value < 0 or value.numerator * value.denominator > _MAX_RADICAND:
            raise NotExact
        outside, inside = _split_square(value.numerator * value.denominator)
        return Polynomial({(inside, ()): Fraction(outside, value.denominator)})


def _bits(factor: Fraction) -> int:
    return factor.numerator.bit_length() + factor.denominator.bit_length()


def _times(left: Term, right: Term) -> tuple[Term, int]:
    shared = math.gcd(left[0], right[0])  # √(ab)·√(ac) = a·√(bc), and bc has no square where ab and ac have none
    radicand = (left[0] // shared) * (right[0] // shared)
    if radicand > _MAX_RADICAND:
        raise NotExact
    powers = dict(left[1])
    for name, power in right[1]:
        powers[name] = powers.get(name, 0) + power
    return (radicand, tuple(sorted((name, power) for name, power in powers.items() if power))), shared


def _split_square(number: int) -> tuple[int, int]:
    """(a, b) with number = a²·b and b free of squares; 0 gives (0, 1)."""
    if number == 0:
        return 0, 1
    outside, inside, divisor = 1, number, 2
    while divisor * divisor <= inside:
        while inside % (divisor * divisor) == 0:
            inside //= divisor * divisor
            outside *= divisor
        divisor += 1
    return outside, inside

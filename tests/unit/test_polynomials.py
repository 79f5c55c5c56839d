"""Exact values, against numbers worked out by hand."""

from fractions import Fraction

import pytest

from laser_verl.scoring.expressions import read_expression
from laser_verl.scoring.polynomials import PI, NotExact, Polynomial

TWO = Polynomial.number(2)
X = Polynomial.symbol("x")


def test_square_roots_are_split_into_square_and_rest() -> None:
    assert Polynomial.number(72).square_root().terms == {(2, ()): Fraction(6)}
    assert Polynomial.number(Fraction(1, 2)).square_root().terms == {(2, ()): Fraction(1, 2)}
    assert Polynomial.number(0).square_root() == Polynomial.number(0)
    assert Polynomial.number(49).square_root().rational == 7


def test_square_roots_multiply() -> None:
    six, ten = (Polynomial.number(n).square_root() for n in (6, 10))
    assert (six * ten).terms == {(15, ()): Fraction(2)}


def test_a_sum_with_one_root_is_inverted_by_its_conjugate() -> None:
    value = Polynomial.number(1) + TWO.square_root()  # 1/(1+√2) = √2 - 1
    assert value.inverse() == TWO.square_root() - Polynomial.number(1)


def test_symbols_cancel() -> None:
    assert (X * X.inverse()).rational == 1
    assert ((X + TWO).power(2) - X.power(2)).terms == {(1, (("x", 1),)): Fraction(4), (1, ()): Fraction(4)}


def test_constants_have_a_float() -> None:
    value = Polynomial.symbol(PI) * TWO.square_root()
    assert value.is_constant
    assert value.approximate() == pytest.approx(4.442882938)
    assert not (value + X).is_constant


@pytest.mark.parametrize(
    "fails",
    [
        lambda: Polynomial.number(0).inverse(),
        lambda: Polynomial.number(0).power(0),
        lambda: (X + TWO).inverse(),
        lambda: Polynomial.number(-2).square_root(),
        lambda: X.square_root(),
        lambda: Polynomial.number(10**7 + 19).square_root(),
        lambda: TWO.power(21),
        lambda: Polynomial.number(10**9).power(20),
        lambda: (X + Polynomial.symbol("y") + Polynomial.symbol("z") + TWO).power(9),
    ],
)
def test_what_has_no_short_form_is_refused(fails: object) -> None:
    with pytest.raises(NotExact):
        fails()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1/2x", {(1, (("x", -1),)): Fraction(1, 2)}),  # juxtaposition binds tighter than a slash
        ("2/3/4", {(1, ()): Fraction(1, 6)}),
        ("-x^2", {(1, (("x", 2),)): Fraction(-1)}),
        (r"-2\frac{1}{2}", {(1, ()): Fraction(-5, 2)}),
        (r"3\frac{7}{4}", {(1, ()): Fraction(19, 4)}),
        (r"2\frac{x}{2}", {(1, (("x", 1),)): Fraction(1)}),
        ("x^10", {(1, (("x", 10),)): Fraction(1)}),
        (r"4\pi r^2", {(1, ((PI, 1), ("r", 2))): Fraction(4)}),
        (r"2\cdot 3x", {(1, (("x", 1),)): Fraction(6)}),
    ],
)
def test_expressions_are_read_as_math_verify_reads_them(text: str, value: dict) -> None:
    read = read_expression(text)
    assert read is not None
    assert read.terms == value


@pytest.mark.parametrize(
    "text",
    [
        *("2 3", "2(3)", r"\frac{1}{2}\frac{1}{3}", "x+t", "2ab", "e", "i", "1.5x", "2^{1/2}", "2^{x}", "2^3^2", "1/0"),
        *("x!", "", "+", "(", "x)", "x_1", r"\sin x", r"\sqrt[3]{2}", "9" * 16, "x" * 201, r"\frac{1}{x+y}", "--5"),
        "{" * 100,
    ],
)
def test_the_rest_is_left_unread(text: str) -> None:
    assert read_expression(text) is None

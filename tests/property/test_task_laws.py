r"""Laws of the scorers beside mathematics, for any numbers, letters and texts."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from string import ascii_letters

from hypothesis import given
from hypothesis import strategies as st

from laser_verl.scoring.short_answers import Within, read_letter, read_number, same_choice, same_text

# every code point, lone surrogates and NUL among them, mixed with what the readers look for
PIECES = st.sampled_from(
    ["A", "C", "(", ")", ".", ",", " ", r"\text{", "}", "{", "%", "1", "e", r"\frac{", "/", "^", "-"]
)
TEXTS = st.lists(PIECES | st.text(st.characters(), max_size=3), max_size=20).map("".join)
INTEGERS = st.integers(-(10**30), 10**30)
NUMBERS = st.fractions(max_denominator=10**6)
TOLERANCES = st.fractions(0, 10, max_denominator=1000)
WRAPS = st.sampled_from(["{}", " {} ", r"\text{{{}}}", r"\textbf{{ {} }}", r"\mathrm{{{}}}"])


@given(TEXTS, TEXTS)
def test_any_text_is_survived(gold: str, answer: str) -> None:
    assert same_text(gold, answer) is same_text(answer, gold)
    assert not same_choice(gold, answer) or read_letter(gold) == read_letter(answer)
    assert same_choice(gold, gold) is (read_letter(gold) is not None)
    Within(Fraction(1, 10), Fraction(0))(gold, answer)


@given(TEXTS)
def test_what_is_read_is_a_letter_or_a_number_of_its_digits(text: str) -> None:
    letter, number = read_letter(text), read_number(text)
    assert letter is None or (letter in ascii_letters[26:] and letter.lower() in text.lower())
    assert number is None or any(digit in text for digit in "0123456789")


@given(INTEGERS, st.integers(0, 20))
def test_a_decimal_is_read_as_the_decimal_module_reads_it(digits: int, places: int) -> None:
    decimal = Decimal(f"{digits}E-{places}")  # exact; arithmetic would round to 28 digits
    for text in (f"{decimal:f}", f"{digits}e-{places}", rf"{digits}\times10^{{-{places}}}", f"{digits}/{10**places}"):
        number = read_number(text)
        assert number is not None, text
        assert number.value == Fraction(decimal), text


@given(INTEGERS)
def test_separators_of_thousands_change_nothing(value: int) -> None:
    written = f"{value:,}"
    readings = [read_number(written.replace(",", mark)) for mark in (",", "{,}", r"\,", " ", "")]
    assert [number.value for number in readings if number is not None] == [value] * 5


@given(NUMBERS, NUMBERS, TOLERANCES, TOLERANCES)
def test_a_wider_tolerance_takes_no_answer_away(a: Fraction, b: Fraction, less: Fraction, more: Fraction) -> None:
    gold, answer = f"{a.numerator}/{a.denominator}", f"{b.numerator}/{b.denominator}"
    low, high = sorted([less, more])
    assert Within(low, low)(gold, answer) <= Within(high, low)(gold, answer) <= Within(high, high)(gold, answer)
    assert Within(Fraction(0), Fraction(0))(gold, answer) is (a == b)
    assert Within(Fraction(0), less)(gold, answer) is Within(Fraction(0), less)(answer, gold)


@given(st.sampled_from(ascii_letters), st.sampled_from(ascii_letters), WRAPS, WRAPS)
def test_letters_are_equal_whatever_their_case_and_dress(gold: str, answer: str, dress: str, other: str) -> None:
    assert same_choice(dress.format(gold), other.format(f"({answer})")) is (gold.lower() == answer.lower())
    assert read_letter(f"({gold}) ({answer})") is None or gold.isupper() is not answer.isupper()


@given(st.sampled_from("ABCDE"), st.sampled_from("ABCDE"), TEXTS, TEXTS)
def test_another_letter_between_commas_is_never_taken(gold: str, other: str, before: str, after: str) -> None:
    assert not same_choice(gold, f"({gold}) {before}, {other}, {after}") or gold == other

"""Letters, numbers and texts as answers, read without algebra."""

from __future__ import annotations

from fractions import Fraction

import pytest

from laser_verl.scoring.short_answers import Within, read_letter, read_number, same_choice, same_text
from laser_verl.scoring.tasks import build


@pytest.mark.parametrize(
    "text",
    [
        *("C", "c", "(C)", "( c )", "C.", "C)", "C:", "C) 12 cm", "(C) 12 cm", "C. 12", "C: 12"),
        *(r"\text{C}", r"\text{ C }", r"\mathrm{(C)}", r"(\text{C})", r"\text{C}.", r"\text{(C) 12 cm}"),
        *(r"\textbf{(C)}\ 12", r"\textbf{(C) }12", r"\textbf{C}\quad 12", r"\text{\textbf{C}}"),
        # what a choice says may hold letters: of a formula, of a unit, of the other choices' names
        *("C) V = IR", "C) f(x) = x", "C) 12 m", r"C) 5 \text{ N}", "C) Both A and B", "(C) (2, 3)"),
    ],
)
def test_one_letter_is_a_choice(text: str) -> None:
    assert read_letter(text) == "C"
    assert same_choice("C", text)
    assert not same_choice("B", text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "12 cm", "AC", "CC", "A cat", "C 12", "(C", "e.g. C", "the answer is C", "Ç", "\u0421"),
        *("A, C", "A,C", "A/C", "A and C", "A or C", "A & C", "A B C", r"A \text{ and } C"),
        *("(A)(C)", "(A) (C)", "(A), (C)", "(A) or C", "(A) C", "A) C)", "A) or C", "A. C.", "a) or c"),
        *("A) 12 C) 13", "(A) 12 (C) 13", "A. 12 C. 13", "A: 12, C: 13", r"\textbf{(A)} 12 \textbf{(C)} 13"),
        *(r"\text{A}\text{C}", r"\text{A} \text{and} \text{C}", r"\text{A and C}", "(A) (B) (C) (D) (E)"),
        *(
            "C" * 100_000,
            "(" * 100_000,
            "C)" * 100_000,
            r"\text{" * 100_000 + "C" + "}" * 100_000,
            "C) " + "x" * 10_000,
        ),
    ],
    ids=lambda text: text[:20],
)
def test_two_letters_or_none_are_no_choice(text: str) -> None:
    assert read_letter(text) is None
    assert not same_choice("C", text)
    assert not same_choice(text, text)


@pytest.mark.parametrize(
    "text",
    [
        *("(A) B or C", "A) B C D", "A: B C", "(A) or option B", "(A) but B is also right", "A. maybe B", "A) 12, B"),
        *(r"(A)\lor B", r"\text{A} \lor B", r"(A)\cup(B)", "(A) $B$", r"(A) \text{or B}", r"\text{(A) or B}"),
        *(r"(A) \mathbf{B}", r"(A) \boldsymbol{B}", r"(A)_{B}", "(A)^B", "(A) [B]", '(A) "B"', "A) 12/B", "A) 12 B C"),
        *("(A) or (b)", "(A), (b)", "(A) (b)", "A) or b)", "A: or b", r"(A) \vee b", "(a) or (B)", "(a) but B too"),
        *("(A) A or B", "(A) A cone, or B", "(A) I think B", "(A) 5 C, or B"),
    ],
)
def test_another_letter_in_what_follows_is_a_second_choice(text: str) -> None:
    assert not same_choice("A", text)


@pytest.mark.parametrize(
    "text",
    [
        *("(C) 5 C", "(C) 5C", r"(C) 25^\circ C", r"(C) 25^{\circ}\text{C}", r"(C) 5 \text{ B}"),
        *("C. I think", "(C) A triangle with equal sides", "C) A cone", "(C) Neither A nor B", "(C) All of A and B"),
        *("(C) E = mc^2", "(C) A^2", r"(C) C_{6}H_{12}O_{6}", "(C) B12", "(C) B-cells", "(C) a + b", "(C) f (a) = b"),
        *("(C) DNA", r"(C) \angle ABC", "(C) 5, so C it is", "(C) a dog", "(C) a"),
    ],
)
def test_units_words_and_formulas_are_no_second_choice(text: str) -> None:
    assert same_choice("C", text)


def test_choices_reach_up_to_e_or_to_the_gold() -> None:
    assert same_choice("C", "(C) maybe F")
    assert not same_choice("J", "(J) maybe F")
    assert same_choice("J", "J. I think")


def test_the_text_of_the_gold_is_right_whatever_letters_it_holds() -> None:
    assert same_choice("C) Vitamin D", r"\text{C) Vitamin D}")
    assert not same_choice("C) Vitamin D", "C) Vitamin B")
    assert not same_choice("C", "C) Vitamin D")
    assert build("multiple_choice").check_gold("C) Vitamin D") is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("12", 12), ("-3", -3), ("+3", 3), ("−4", -4), ("- 5", -5), ("007", 7), ("0", 0), ("-0", 0)),
        *(("3.25", Fraction(13, 4)), (".5", Fraction(1, 2)), ("5.", 5), ("0.1", Fraction(1, 10))),
        *(("1,234", 1234), ("1,234,567.5", Fraction(2469135, 2)), ("1 234", 1234)),
        *((r"1{,}234", 1234), (r"1\,234\,567", 1234567), (r"12\!,345", 12345)),
        *(
            ("1.5e-3", Fraction(3, 2000)),
            ("2E5", 200_000),
            ("1e+2", 100),
            ("10^5", 100_000),
            ("-10^{-2}", Fraction(-1, 100)),
        ),
        *(
            (r"1.5\times10^{-3}", Fraction(3, 2000)),
            (r"1.5 \times 10^{-3}", Fraction(3, 2000)),
            (r"2\cdot 10^6", 2_000_000),
        ),
        *(("3×10^8", 300_000_000), ("3*10^8", 300_000_000), ("1e1000", 10**1000)),
        *(("3/4", Fraction(3, 4)), ("-3/4", Fraction(-3, 4)), ("3 / -4", Fraction(-3, 4)), ("0.5/2", Fraction(1, 4))),
        *(
            (r"\frac{3}{4}", Fraction(3, 4)),
            (r"-\frac{3}{4}", Fraction(-3, 4)),
            (r"\dfrac{-3}{1,000}", Fraction(-3, 1000)),
        ),
        *(("50%", Fraction(1, 2)), (r"12.5\%", Fraction(1, 8)), (r"\frac{1}{2}\%", Fraction(1, 200))),
        *(
            (r"5\text{ cm}", 5),
            (r"5 \text{ cm}^2", 5),
            (r"9.81\,\mathrm{m/s}^{2}", Fraction(981, 100)),
            (r"2\mathrm{~kg}", 2),
        ),
        *((r"30^\circ", 30), (r"30^{\circ}", 30), (r"20^\circ\text{C}", 20), (r"50\%\text{ of them}", Fraction(1, 2))),
        (r"\text{12}", 12),
    ],
)
def test_numbers_are_read_exactly(text: str, value: int | Fraction) -> None:
    number = read_number(text)
    assert number is not None
    assert number.value == value


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "x",
            "cm",
            "5 cm",
            "five",
            "inf",
            "nan",
            "-",
            ".",
            "1e",
            "e5",
            "--3",
            "2x",
            "0x10",
            "1_000",
            "٣",
            "½",
            "²",
        ),
        *(
            "1,5",
            "12,34",
            "1,2345",
            "1, 234",
            "1 2",
            "1,234 567",
            "3/0",
            "0/0",
            r"\frac{1}{0}",
            "1/2/3",
            "2(3)",
            "1.2.3",
        ),
        *("3, 4", "3 or 4", r"5\text{ or 7}", r"5\text{ or }7", "1+1", "2^3", "10^10^10", r"\sqrt{2}", r"1\frac{1}{2}"),
        *("1e1001", "1e-1001", "10^{9999999999}", "1e" + "9" * 1000, "9" * 101, "9" * 100_000, "-" * 100_000),
        *("1" + ",000" * 100_000, " " * 100_000, r"\frac{" * 100_000, "__import__('os')", "1\x00", "\ud800"),
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_what_is_no_plain_number_is_not_read(text: str) -> None:
    assert read_number(text) is None
    assert not Within(Fraction(1), Fraction(1))("1", text)


def within(relative: str = "0", absolute: str = "0") -> Within:
    return Within(Fraction(relative), Fraction(absolute))


@pytest.mark.parametrize(
    ("judge", "gold", "answer", "is_equal"),
    [
        # 1 % of 9.81 is 0.0981: up to 9.9081
        (within("0.01"), "9.81", "9.9081", True),
        (within("0.01"), "9.81", "9.90810000000000000001", False),
        (within("0.01"), "-9.81", "-9.9081", True),
        (within("0.01"), "-9.81", "9.81", False),
        # of the gold, not of the answer: 1 % of 100 is 1, and 1 % of 101.01 would be more
        (within("0.01"), "100", "101", True),
        (within("0.01"), "100", "101.01", False),
        (within("0.01"), "0", "0.0", True),
        (within("0.01"), "0", "1e-1000", False),
        (within(absolute="0.1"), "10", "9.9", True),
        (within(absolute="0.1"), "10", "9.8999", False),
        (within("0.01", "5"), "100", "105", True),  # the wider of 1 and 5
        (within("0.01", "5"), "1000", "1010", True),  # the wider of 10 and 5
        (within("0.01", "5"), "1000", "1011", False),
        # binary floats call 0.1 + 0.2 more than 0.3
        (within(absolute="0.1"), "0.2", "0.3", True),
        (within(absolute="0.5"), r"50\%", r"50.5\%", True),  # percent points
        (within(absolute="0.5"), r"50\%", r"50.6\%", False),
        (within(absolute="0.5"), r"50\%", "0.503", True),
        (within(absolute="0.5"), r"50\%", "0.9", False),
        (within(absolute="0.5"), r"50\%", r"99\%", False),
        (within(absolute="0.5"), "0.5", r"99\%", True),
        (within(), "0.1", "1/10", True),
        (within(), "1/3", "0.3333333333333333", False),
        # a percent sign on one side only may mean either, as in mathematics
        (within(), "50%", "0.5", True),
        (within(), "50%", "50", True),
        (within(), "50", r"50\%", True),
        (within(), "0.5", "50%", True),
        (within(), "50%", "50%", True),
        (within(), "50%", "0.5%", False),
        (within(), "50", "5000%", True),
        # units are not compared
        (within(), r"5\text{ m}", r"5\text{ km}", True),
        (within("1"), "x", "x", False),
    ],
)
def test_tolerances_at_their_edges(judge: Within, gold: str, answer: str, is_equal: bool) -> None:
    assert judge(gold, answer) is is_equal


@pytest.mark.parametrize(
    ("gold", "answer", "is_equal"),
    [
        ("Rome", "Rome", True),
        ("Rome", r"\text{Rome}", True),
        (r"\mathrm{Rome}", r"\textbf{ Rome }", True),
        ("Rome", r"\text{\textbf{\textit{Rome}}}", True),
        ("New York", r"\text{New   York}", True),
        ("Rome", "rome", False),
        ("Rome", "Rome, Italy", False),
        ("Rome", r"\text{Rome} or \text{Paris}", False),
        ("0.5", "1/2", False),
        (r"\text{a}b", r"\text{a}b", True),
        (r"a\}", r"\text{a\}}", True),
    ],
)
def test_exact_compares_text(gold: str, answer: str, is_equal: bool) -> None:
    assert same_text(gold, answer) is is_equal


def test_many_wrappers_end_soon() -> None:
    assert not same_text("C", r"\text{" * 100_000 + "C" + "}" * 100_000)

"""The fast layers: what each decides, and what it leaves to math-verify."""

import time

import pytest

from laser_verl.scoring.answers import normalise
from laser_verl.scoring.hedges import is_hedged
from laser_verl.scoring.layers import compare


@pytest.mark.parametrize(
    ("gold", "answer", "layer"),
    [
        ("yes", "yes", "text"),
        (r"\left( \dfrac12 \right)", r"(\frac{1}{2})", "text"),
        ("A", r"\textbf{(A)}", "text"),
        ("(1,2)", "( 1 , 2 )", "text"),
        ("0.5", "0.50", "number"),
        ("7", "7.0", "number"),
        ("+3", "3", "number"),
        ("0.1", r"\frac{1}{10}", "number"),
        ("1234", "1,234", "number"),
        ("1234", "1{,}234.0", "number"),
        ("50%", r"\frac12", "number"),
        ("50", r"50\%", "number"),
        ("100%", "1", "number"),
        (r"\$12", r"12.00\text{ dollars}", "number"),
        ("45", r"45^\circ", "number"),
        ("2.5", r"2\frac{1}{2}", "number"),
        ("5", "x = 5", "number"),
        ("n=5", "5", "number"),
        ("8", "2^3", "number"),
        (r"2\sqrt{2}", r"\sqrt{8}", "expression"),
        (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt2}", "expression"),
        (r"\sqrt{2}-1", r"\frac{1}{1+\sqrt{2}}", "expression"),
        (r"\frac{\pi}{2}", r"\pi/2", "expression"),
        ("x^2-1", "(x+1)(x-1)", "expression"),
        ("X+1", "1+x", "expression"),
        (r"\{1, 2\}", "2, 1", "structure"),
        (r"(1, \frac12)", "(1.0, 0.5)", "structure"),
        (r"(1,2,\dots,9)", r"(1, 2, \ldots, 9)", "text"),
        ("ABCD", "ABCD", "text"),
        (r"x\equiv 7\pmod{10}", r"x \equiv 7 \pmod{10}", "text"),
        (r"\{x \mid x > 2\}", r"\{x\mid x>2\}", "text"),
        (r"A \cap B", r"A\cap B", "text"),
        (r"x = k\pi, k \in \mathbb{Z}", r"x=k\pi,\ k\in\mathbb{Z}", "text"),
        ("(1,2)", "(1,~2)", "text"),
        (r"\left|x\right|", "|x|", "text"),
        ("2e-05", "0.00002", "number"),
        ("(1,2]", r"\bigl(1,2\bigr]", "text"),
        ("(1, 2)", r"(1\text{ cm}, 2\text{ cm})", "structure"),
        (r"1 \text{ or } -1", r"\{-1, 1\}", "structure"),
        (r"(-\infty, \frac{6}{2}]", r"(-\infty, 3]", "structure"),
        ("7", "{7}".replace("{", r"\{").replace("}", r"\}"), "structure"),
    ],
)
def test_equal(gold: str, answer: str, layer: str) -> None:
    assert compare(normalise(gold), normalise(answer)) == (True, layer)


@pytest.mark.parametrize(
    ("gold", "answer", "layer"),
    [
        ("A", "B", "text"),
        ("7", "A", "expression"),
        ("ABCD", "DCBA", "text"),
        (r"\frac{1}{13983816}", "0.0", "number"),
        ("10^{-7}", "0.0000002", "number"),
        ("7", "8", "number"),
        ("1/3", "0.34", "number"),
        ("0.1", "0.100002", "number"),  # 2e-6 apart: no rounding to 6 places joins them
        ("50%", "0.6", "number"),
        (r"\sqrt{2}", "1.41", "expression"),
        (r"\sqrt{2}", r"\sqrt{3}", "expression"),
        ("3", r"\pi", "expression"),
        ("x+1", "x+2", "expression"),
        ("7", "7, 8", "structure"),
        ("(1, 2)", "(2, 1)", "structure"),
        ("[0, 1)", "(0, 1]", "structure"),
        ("(1, 2)", "(1, 2, 3)", "structure"),
        (r"\{1, 2\}", r"\{1, 3\}", "structure"),
    ],
)
def test_different(gold: str, answer: str, layer: str) -> None:
    assert compare(normalise(gold), normalise(answer)) == (False, layer)


@pytest.mark.parametrize(
    "answer",
    [
        *(r"7\text{ or 8}", r"7\text{, 8, 9}", r"7 \text{ (or 8)}", r"7\mbox{ OR eight}", r"7\mathrm{8}"),
        *("7_{8, 9}", r"7,\ldots", "8=7", "x = 8 = 7", "8 = x = 7", r"\frac{1}{2}=7", r"7 \approx 8", "7, 8"),
        *(r"7\text{ or 8}\text{ cm}", "7 _ {8,9}", r"7 \approx 8 = 7", "x=1=x=2=x=3=x=7", r"7\text{ (8)}"),
        *(r"7\text{/8}", r"7 \text{ vs. 8}", r"7 \text{ oder 8}", r"7\text{ but 8}", r"7\text{ (or 8)}"),
        *(r"7 \text{ is wrong}", r"7 \text{ is not the answer}", r"7\text{, not the right answer}"),
        *(r"7 \ldots", r"\ldots 7", r"x = 7\ldots", r"8 \equiv 7", r"3 \quad 4", "3 4", r"x = 3\ 4", "8.0 = 7"),
        *("6.9=7", "=".join(["8"] + ["7"] * 30), "x=1=1=1=1=2=7", r"7 = 7.4, \pi \approx 3"),
    ],
)
def test_a_second_answer_is_no_answer(answer: str) -> None:
    compared = compare("7", normalise(answer))
    assert compared is not None
    assert not compared[0]


@pytest.mark.parametrize(
    "answer",
    [
        *(r"7\text{ m/s}^2", r"7\text{ m s}^{-1}", r"7\,\mathrm{m/s^2}", r"7\text{ cm2}", r"7\text{ organs}"),
        *("x = 7", "7 = 7.0", r"\frac{22}{7} \approx 3.14", "x_1 = 7", r"60^\circ=\frac{\pi}{3}", r"\pi = 180^\circ"),
        *(r"\frac{1}{64}\approx0.016", r"\frac{1}{3}\approx 0.3", r"\sqrt{2}\approx1.4", r"0.333\ldots = \frac{1}{3}"),
        *(r"1+2+\ldots+n=\frac{n(n+1)}{2}", r"10 \cdot 9 \cdots 1 = 3628800", r"3.14\ldots", r"7\text{ or more}"),
        *(r"12\text{ men and women}", r"7\text{ in base 10}", r"7\text{ (mod 10)}", r"7\text{ liters per 100 km}"),
        *(r"7\text{ 5-cent coins}", r"7\text{ when n = 3}", r"7\text{ (Option 2)}", r"0.25\text{ mol of C6H12O6}"),
        *(
            r"25\text{ mL of 0.5 M HCl}",
            r"1\text{ or }2",
            r"1 \text{, and } 2",
            "a=1, b=2, c=3, d=4, k=5",
            "10^3 = 1,000",
        ),
        *(r"A=\frac12 bh=\frac12 \cdot 6 \cdot 4=\frac{24}{2}=12", r"\pi = 3.14", r"\sqrt{2}=1.41", r"\frac13 = 0.33"),
        *(r"\frac{1}{2}\text{ (or 0.5)}", r"0.5\text{ or 1/2}", r"7\text{ wrong answers}", r"7\text{ liters/100 km}"),
        *(
            r"7\text{ if n is not 0}",
            r"x \equiv 7 \pmod{10}",
            r"3^4 \equiv 81 \equiv 1 \pmod{10}",
            r"\log_2 3",
            "1011_2",
        ),
        *(r"3\quad\text{cm}", r"x=1\quad y=2", r"2 \frac{1}{2}", r"0.333\ldots", r"\text{May 5 2020}", r"\binom 5 2"),
        *(r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", "x^2 3", "1 234/5", "a = b, c = 1, d = 2"),
    ],
)
def test_units_and_equal_sides_are_no_second_answer(answer: str) -> None:
    assert not is_hedged("7", normalise(answer))


def test_many_sides_are_read_in_milliseconds() -> None:
    chain = "=".join(rf"(1+\sqrt2+\sqrt3+\sqrt5)^4+{k}-{k}" for k in range(16))
    begun = time.process_time()
    assert not is_hedged("7", chain)
    assert time.process_time() - begun < 0.2


def test_statements_without_numbers_on_both_sides_are_not_read() -> None:
    answer = ",".join(f"(a+b+k+n)^5+{k}" for k in range(60))
    begun = time.process_time()
    assert not is_hedged("7", answer)
    assert time.process_time() - begun < 0.05


def test_long_chains_of_sums_are_not_multiplied_out() -> None:
    long = "+".join([r"(i+\sqrt{2}+\sqrt{3}+\sqrt{5}+\sqrt{7}+\sqrt{11})^{20}".replace("i", "x")] * 3)
    begun = time.process_time()
    assert compare("7", "=".join(f"{long}+{k}" for k in range(4))) in (None, (False, "text"))
    assert time.process_time() - begun < 0.1


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("i", "I"),
        ("0.1", "0.1000001"),  # 1e-7 apart: math-verify rounds both to 0.1
        ("1/3", "0.33333333"),
        (r"\sqrt{2}", "1.414213562"),
        ("5", "2(3)"),  # math-verify adds a number to the number before it
        ("7", "7 cm"),
        ("f(2)=5", "5"),
        ("7", "7 = 7"),
        ("7", r"7 \approx 7.001"),
        ("9.8", r"9.8\text{ m s}^{-2}\text{ }"),
        ("x", "2x-x"),
        ("1234", "(1,234)"),
        ("1234", "01,234"),
        ("0.234", "0,234"),
        ("7", r"7\mathbf{x}"),
        ("(1, 2, 3)", r"(1\mathbf{x}, 2, 3)"),
        ("(1, 2)", "1, 2"),
        ("[2, 2]", "2"),
        (r"x\%", "x"),
        (r"\sin x", r"\cos x"),
        ("0.5x", r"\frac{x}{2}"),
        ("\u0664", "4"),  # Arabic digit four
        ("1" * 40, "2" * 40),
        ("7", "x^{2^{99}}"),
        ("7", "(" * 150),
        ("7", ""),
    ],
)
def test_left_to_math_verify(gold: str, answer: str) -> None:
    assert compare(normalise(gold), normalise(answer)) is None

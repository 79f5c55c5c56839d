"""Guards: the table of limits, each at its edge."""

import time

import pytest

from laser_verl.scoring.guards import LIMITS, refuse


@pytest.mark.parametrize(
    ("answer", "limit"),
    [
        ("x" * 1_001, "characters"),
        ("(" * 31, "depth"),
        (r"\sqrt{" * 31 + "2" + "}" * 31, "depth"),
        ("1" * 501, "digits"),
        ("9^9^9^9", "magnitude"),
        ("9^{9^{9^9}}", "magnitude"),
        ("9**9**9", "magnitude"),
        ("10^{10^{10}}", "magnitude"),
        (r"\left(10^{9}\right)!", "magnitude"),
        ("3!!!!", "magnitude"),
        ("5000!", "magnitude"),
        (r"\binom{10^9}{5 \cdot 10^8}", "magnitude"),
        ("2^{10^6}", "magnitude"),
        ("0.5^{-10^{10}}", "magnitude"),
        ("e^{e^{e^{e}}}", "magnitude"),
        (r"\begin{pmatrix} 1 & 1 \\ 1 & 0 \end{pmatrix}^{10^9}", "magnitude"),
        (r"\left(\frac{5}{2}\right)^{100000}", "magnitude"),
        ("(x+y)^{1000000}", "magnitude"),
        ("2^" * 300 + "2", "magnitude"),
    ],
)
def test_what_is_refused(answer: str, limit: str) -> None:
    assert limit in LIMITS
    begun = time.process_time()
    assert refuse(answer) == limit
    assert time.process_time() - begun < 0.05


@pytest.mark.parametrize(
    "answer",
    [
        *("", "^", "!", "x^", "}}}^{", "\ud800^\x00", r"45^\circ", "a_{10^9}"),
        *(r"e^{\frac{2\pi i k}{2024}}", r"2^{\frac{1}{100000}}", "2^{1/100000}", r"\binom{20000}{2}", "x^{100000}"),
        *(r"1000\left(1 + \frac{0.05}{365}\right)^{3650}", r"\frac{2024!}{2022!}", "2023^{2024}+1", "1^{100000}"),
        *(r"\cos^{100000}x", "f^{(100000)}(0)", r"\frac12^{100}"),
        *("x" * 1_000, "(" * 30, "1" * 500, "2^{100}", "100!", "5!!", "(3!)!", "2^{2024}-1", "x^{2n+1}", "e^{-x^2}"),
        *(r"\binom{2024}{1012}", r"(x+y)^{2024}", "(a+b+c)^{2024}", r"\sum_{k=1}^{10^{12}} k", "n^{n^n}", "n!"),
    ],
)
def test_what_is_let_through(answer: str) -> None:
    assert refuse(answer) is None


@pytest.mark.parametrize("text", ["(" * 10**6, "9" * 10**6, "2^" * 10**6, "!" * 10**6, "\ud800" * 10**6])
def test_any_length_is_refused_at_once(text: str) -> None:
    begun = time.process_time()
    assert refuse(text) == "characters"
    assert time.process_time() - begun < 0.01

"""What runs inside the math-verify process: its shortcuts change no verdict."""

import time
from collections.abc import Callable, Sequence

import pytest
from math_verify import parse

from laser_verl.scoring.judge import are_surely_apart, load_judge

Judge = Callable[[Sequence[str], str], str]


@pytest.fixture(scope="module")
def judge() -> Judge:
    return load_judge()


@pytest.mark.parametrize(
    ("gold", "answer", "status"),
    [
        ("x^2+3x+7", "(x+1)^2+x+6", "equal"),  # ANTLR's fast prediction fails here, the full one does not
        (r"\sin(2x)", r"2\sin x\cos x", "equal"),
        (r"\sin(2x)", r"\sin x\cos x", "different"),
        (r"\frac{x+1}{x-1}", r"1+\frac{2}{x-1}", "equal"),
        (r"\ln 8", r"3\ln 2", "equal"),
        (r"\sqrt[3]{2}", "1.259921", "equal"),  # rounded to 6 places
        (r"\sqrt[3]{2}", "1.2599", "different"),
        ("x", "x=x", "equal"),
        ("x>3", "3<x", "equal"),
        (r"x \in (0, 1)", "(0, 1)", "equal"),
        (r"\begin{pmatrix} 1 & 2 \end{pmatrix}", r"\begin{pmatrix} 1 & 3 \end{pmatrix}", "different"),
        ("50%", r"\frac{1}{2}", "equal"),
        ("50%", r"x=\%", "unparseable"),
        ("50%", "%", "unparseable"),
        ("7", r"1,2,3,4 \fbox{7}", "unparseable"),
        ("7", r"8 \boxed {7}", "unparseable"),
        ("7", "8. final answer is $7$ I hope", "unparseable"),
        ("10^{-30}", "10^{-20}", "different"),
        ("10^{-30}", "2^{-100}", "different"),
        ("10^{-30}", r"\frac{1}{10^{30}}", "equal"),
        ("7", r"so \frac{1}{2} of 7@", "unparseable"),
        (r"\frac{1}{2}", r"@ \frac{1}{2} @", "unparseable"),  # nothing is picked out of what cannot be read
        ("7", "", "unparseable"),
        ("7", r"7\}", "unparseable"),  # no character is passed over because the parser starts anew
        ("12", r"12~\text{hours}", "unparseable"),
    ],
)
def test_verdicts(judge: Judge, gold: str, answer: str, status: str) -> None:
    assert judge([gold], answer) == status


def test_any_of_several_golds_will_do(judge: Judge) -> None:
    assert judge([r"\cos x", r"\sin x", "7)"], r"\cos(\frac{\pi}{2}-x)") == "equal"


@pytest.mark.parametrize("answer", ["final answer is $" * 40, "answer: " * 100, r"\fbox{" * 20 + "}" * 20])
def test_words_before_an_answer_are_no_reason_to_search(judge: Judge, answer: str) -> None:
    begun = time.process_time()
    assert judge(["7"], answer) in ("different", "unparseable")
    assert time.process_time() - begun < 1.0


def test_without_golds_it_says_whether_the_answer_can_be_read(judge: Judge) -> None:
    assert judge([], r"\sin x") == "different"
    assert judge([], "7)") == "unparseable"


@pytest.mark.parametrize(
    ("gold", "answer", "apart"),
    [
        (r"\sin x", r"2\sin x", True),
        (r"\sqrt[3]{2}", r"\sqrt[3]{3}", True),
        (r"\sin x", r"\cos(\pi/2-x)", False),
        ("x", r"2\sin x", False),  # a bare symbol is compared by name
        (r"\sqrt[3]{2}", "1.2599", False),  # a decimal is rounded
        (r"1.6\times10^{-19}", r"9.1\times10^{-31}", True),  # but 0.0 is not every small number
        ("0.0", r"10^{-7}", True),
        ("0.0", r"\sin \pi", False),
        ("50%", "51", False),
        ("x=1", "x=2", False),
        ("(1,2)", "(1,3)", False),
        (r"\begin{pmatrix} 1 \end{pmatrix}", r"\begin{pmatrix} 2 \end{pmatrix}", False),
        (r"\ln(-1)", r"\ln(-2)", True),
        ("0", r"\sin \pi", False),
        (r"e^{40}+1-e^{40}", "1", False),
        (r"10^{-9}", r"2 \cdot 10^{-9}", True),
        (r"10^{-30}", r"10^{-20}", True),
        (r"10^{-30}", r"\frac{1}{10^{30}}", False),
        (r"10^{-9}", r"\sin \pi", False),
        ("0", r"10^{-20}", False),
    ],
)
def test_only_plain_expressions_are_called_apart(gold: str, answer: str, apart: bool) -> None:
    ours, theirs = (
        parse(rf"$\boxed{{{text[:-1]}}}$\%" if text.endswith("%") else rf"\boxed{{{text}}}") for text in (gold, answer)
    )
    assert are_surely_apart(ours, theirs) is apart
    assert not are_surely_apart([], theirs)

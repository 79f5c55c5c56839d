"""Golds and fast layers; the layers are held against math-verify itself."""

import math
import random
import string

import numpy as np
import pytest

from laser_verl.scoring.answers import gold_answers, normalise, quick_verdict
from laser_verl.scoring.worker import as_latex, load_judge


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        (" 7 ", "7"),
        ("$7$", "7"),
        ("$$ 7 $$.", "7"),
        (r"\(7\)", "7"),
        (r"\[ x \]", "x"),
        ("$1$ and $2$", "$1$ and $2$"),
        ("1\n 2", "1 2"),
        ("7.", "7"),
        ("$", "$"),
        ("$$", ""),
        ("7 . .", "7"),
        (r"\(\[x\]\)", "x"),
        ("", ""),
    ],
)
def test_delimiters_and_white_space_are_stripped(text: str, bare: str) -> None:
    assert normalise(text) == bare


@pytest.mark.parametrize(
    ("gold", "answers"),
    [
        ("7", ["7"]),
        (r"so \boxed{\frac{1}{2}}", [r"\frac{1}{2}"]),
        (7, ["7"]),
        (7.0, ["7"]),
        (0.5, ["0.5"]),
        (["1/2", 0.5], ["1/2", "0.5"]),
        (np.int64(7), ["7"]),
        (np.float32(0.5), ["0.5"]),
        (np.array(["a", "b"], dtype=object), ["a", "b"]),
    ],
)
def test_golds_of_every_kind_are_read(gold: object, answers: list[str]) -> None:
    assert gold_answers(gold) == answers


@pytest.mark.parametrize(
    "gold",
    [None, "", "  ", "$$ $$", "$", r"\boxed{}", r"so \boxed{ }", [], ["7", ""], [None], math.nan, math.inf, True, {}],
)
def test_a_missing_gold_names_the_row(gold: object) -> None:
    with pytest.raises(ValueError, match=r"row 'train-12'.*give a non-empty string"):
        gold_answers(gold, row="train-12")


@pytest.mark.parametrize(
    ("gold", "answer", "verdict"),
    [
        ("yes", "yes", True),
        ("0.5", "0.50", True),
        ("7", "7.0", True),
        ("+3", "3", True),
        ("7", "8", False),
        ("0.1", "0.100002", False),  # 2e-6 apart: no rounding to 6 places joins them
        ("0.1", "0.1000001", None),  # 1e-7 apart: math-verify rounds both to 0.1
        ("A", "B", False),
        ("A", "a", None),  # math-verify ignores the case of a symbol
        ("1/2", "0.5", None),
        ("\u0664", "4", None),  # Arabic digit four
        ("1" * 40, "2" * 40, None),
        ("9^9^9^9", "7", None),
    ],
)
def test_fast_layers_decide_or_pass_on(gold: str, answer: str, verdict: bool | None) -> None:
    assert quick_verdict(gold, answer) is verdict


def _pairs(rng: random.Random) -> list[tuple[str, str]]:
    def number() -> str:
        sign, whole = rng.choice(["", "", "-", "+"]), rng.choice([0, 1, 7, 12, rng.randrange(10**6)])
        tail = rng.choice(["", "", ".0", ".5", ".50", f".{rng.randrange(10**4):04d}", f".{rng.randrange(10**7):07d}"])
        return f"{sign}{rng.choice(['', '0'])}{whole}{tail}"

    def near(text: str) -> str:
        digit = rng.choice("0123456789")
        changes = [text + "0" if "." in text else text + ".0", text + digit, text[:-1] + digit, "0" + text, "-" + text]
        return rng.choice(changes)

    numbers = [number() for _ in range(300)]
    pairs = [(a, rng.choice([near(a), rng.choice(numbers)])) for a in numbers]
    letters = [(rng.choice(string.ascii_letters), rng.choice(string.ascii_letters)) for _ in range(150)]
    same = ["x", r"\frac{1}{2}", "(1, 2)", r"\sqrt{2}", "yes", r"\text{B}", "x^2+1", r"50\%", "[0,1)", "@"]
    return pairs + letters + [(text, text) for text in same]


def test_fast_layers_agree_with_math_verify() -> None:
    judge, decided = load_judge(), 0
    for gold, answer in _pairs(random.Random(5)):
        quick = quick_verdict(gold, answer)
        if quick is not None:
            decided += 1
            assert quick == (judge([gold], answer) == "equal"), (gold, answer)
    assert decided > 350


@pytest.mark.parametrize(
    ("text", "latex"),
    [("7", r"\boxed{7}"), (r"50\%", r"$\boxed{50}$\%"), ("50%", r"$\boxed{50}$\%"), ("%", r"\boxed{%}")],
)
def test_a_percent_sign_goes_where_math_verify_reads_it(text: str, latex: str) -> None:
    assert as_latex(text) == latex

"""Golds, and the text of answers."""

import math

import numpy as np
import pytest

from laser_verl.scoring.answers import gold_answers, normalise
from laser_verl.scoring.judge import as_latex


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
        ("0.333...", "0.333..."),
        (r"\(\[x\]\)", "x"),
        ("", ""),
        (r"12\,345\,678", "12345678"),
        (r"1\,23", r"1\,23"),
        ("204\\ ", "204"),
        (r"7\,\;", "7"),
        ("7 \\", "7"),
        ("7" + r"\,. " * 200_000, "7"),
        ("7\\\\ ", "7\\\\"),
        ("45°", r"45^\circ"),
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
        (10**400, ["1" + "0" * 400]),
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
    [
        *(None, "", "  ", "$$ $$", "$", r"\boxed{}", r"so \boxed{ }", [], ["7", ""], [None], math.nan, True, {}),
        *(math.inf, 10**2000, np.float64("nan")),
    ],
)
def test_a_missing_gold_names_the_row(gold: object) -> None:
    with pytest.raises(ValueError, match=r"row 'train-12'.*give a non-empty string"):
        gold_answers(gold, row="train-12")


@pytest.mark.parametrize(
    ("text", "latex"),
    [("7", r"\boxed{7}"), (r"50\%", r"$\boxed{50}$\%"), ("50%", r"$\boxed{50}$\%"), ("%", r"\boxed{%}")],
)
def test_a_percent_sign_goes_where_math_verify_reads_it(text: str, latex: str) -> None:
    assert as_latex(text) == latex

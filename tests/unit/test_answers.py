"""Golds, and the text of answers."""

import math

import numpy as np
import pytest

from laser_verl.scoring.answers import gold_answers, normalise


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
        ("50 percent", r"50\%"),
        ("50 pct.", r"50\%"),
        (r"\frac{1}{2}\ percentage", r"\frac{1}{2}\%"),
        ("x percent", "x percent"),
        ("1.5e-03", r"1.5\times10^{-3}"),
        ("-2E+05", r"-2\times10^{5}"),
        ("2e", "2e"),
        ("3e5x", "3e5x"),
        ("(1,~2)", "(1, 2)"),
        (r"\~7", r"\~7"),
        (r"\bigl(1,2\Bigr]", "(1,2]"),
        (r"\bigcup", r"\bigcup"),
        (r"\left ( \frac{1}{2} \right )", r"\left( \frac{1}{2} \right)"),
        (r"\begin {pmatrix} 1 \end {pmatrix}", r"\begin{pmatrix} 1 \end{pmatrix}"),
        (r"\left" + " " * 300_000 + "x", r"\left x"),
        (r"\varnothing", r"\emptyset"),
        (r"$\fbox{\frac{1}{2}}$", r"\frac{1}{2}"),
        (r"\boxed {7}", "7"),
        (r"8 \fbox{7}", r"8 \fbox{7}"),
        (r"\fbox{7} \{8}", r"\fbox{7} \{8}"),
        (r"\fbox{" + "{}" * 300_000, r"\fbox{" + "{}" * 300_000),
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
        (2e-05, ["0.00002"]),
        (-1.5e-10, ["-0.00000000015"]),
        (np.float64(2.5e-7), ["0.00000025"]),
        (1e22, ["1" + "0" * 22]),
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

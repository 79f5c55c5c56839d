"""Streams of responses for the scoring benchmark: what a model in training writes, with its true verdict."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import laser_verl

PER_PROMPT = 8
HOSTILE_SHARE = 0.01

# Past the guards: these keep a computer algebra system busy until it is stopped. The first number varies.
HOSTILE = (
    r"\sum_{{k=1}}^{{9{0}99}} \sin(k^2)",
    r"\prod_{{k=1}}^{{9{0}99}} \cos(k)",
    r"\sum_{{n=1}}^{{8{0}99}} \frac{{1}}{{n^n+\sin n}}",
)
# Refused by the guards.
LARGE = (r"{0}^{{9^{{9^9}}}}", r"(10^{{{0}}})!", r"{0}!!!!!!", "(" * 500 + "{0}")

_SENTENCES = (
    "Let me set this up again: with $a={0}$ and $b={1}$ we get $a^2+b^2={2}$, which is not what the problem asks for.",
    "So the ratio is \\frac{{{0}}}{{{1}}}, and the remaining part is $x_{0} = {2}$ as before.",
    "Wait, I should double-check the case $n={0}$. There the sum has {1} terms, each at most {2}.",
    "Therefore $$\\sum_{{k=1}}^{{{0}}} k = {2}$$ and the other root is $-{1}$.",
    "Hmm, that can't be right, because {0} is not divisible by {1}. Let me try {2} instead.",
    "By symmetry, the number of ways is \\binom{{{0}}}{{{1}}} minus the {2} that were counted twice.",
)


@dataclass(frozen=True)
class Item:
    """One response, its gold, and whether it is right and well formed in truth."""

    response: str
    gold: str
    is_right: bool


def rl_stream(seed: int) -> list[Item]:
    """(a): eight responses a prompt on AIME24 and AMC23 and as many generated problems, none with an integer gold."""
    rng = random.Random(seed)
    folder = Path(laser_verl.__file__).parent / "data" / "benchmarks"
    golds: list[tuple[str, Callable[[random.Random, bool], str]]] = []
    for name in ("aime24", "amc23"):
        for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            value = int(json.loads(line)["answer"])
            golds.append((json.loads(line)["answer"], _forms_of_integer(value)))
    golds += [rng.choice(_KINDS)(rng) for _ in range(len(golds))]
    items = [_item(rng, gold, forms) for gold, forms in golds for _ in range(PER_PROMPT)]
    rng.shuffle(items)
    return items


def symbolic_stream(seed: int, number: int = 300) -> list[Item]:
    """(b): symbolic answers, no pair twice; half of them equal their gold in another form."""
    rng = random.Random(seed)
    found: dict[tuple[str, str], Item] = {}
    while len(found) < number:
        gold, right, wrong = _symbolic(rng)
        answer, is_right = (right, True) if rng.random() < 0.5 else (wrong, False)
        found[gold, answer] = Item(_response(rng, answer), gold, is_right)
    return list(found.values())


def with_hostile(items: list[Item], seed: int) -> list[Item]:
    """(c): one response in a hundred is hostile, half of those past the guards."""
    rng = random.Random(seed)
    items = list(items)
    for at in rng.sample(range(len(items)), round(HOSTILE_SHARE * len(items))):
        text = rng.choice(rng.choice((HOSTILE, LARGE))).format(rng.randrange(10, 99))
        items[at] = Item(_response(rng, text), items[at].gold, False)
    return items


def _response(rng: random.Random, answer: str) -> str:
    count = rng.choice((10, 20, 40, 80))
    numbers = [tuple(rng.randrange(2, 999) for _ in range(3)) for _ in range(count)]
    thought = " ".join(rng.choice(_SENTENCES).format(*three) for three in numbers)
    return f"<think>{thought}</think>\n\nPutting this together, the answer is $\\boxed{{{answer}}}$."


def _item(rng: random.Random, gold: str, forms: Callable[[random.Random, bool], str]) -> Item:
    is_right = rng.random() < 0.55
    response = _response(rng, forms(rng, is_right))
    if rng.random() < 0.05:  # cut at the length limit
        return Item(response[: len(response) // 2], gold, False)
    return Item(response, gold, is_right)


def _noisy(rng: random.Random, text: str) -> str:
    return rng.choice([text] * 12 + [f"x = {text}", rf"\displaystyle {text}", rf"\left({text}\right)", f" {text} "])


def _forms_of_integer(value: int) -> Callable[[random.Random, bool], str]:
    def write(rng: random.Random, is_right: bool) -> str:
        number = value if is_right else value + rng.choice((-10, -2, -1, 1, 2, 10, 100))
        forms = [str(number)] * 20 + [f"{number:,}", f"{number}.0", rf"{number}\text{{ units}}", f"n = {number}"]
        return _noisy(rng, rng.choice(forms))

    return write


def _fraction(rng: random.Random) -> tuple[str, Callable[[random.Random, bool], str]]:
    value = Fraction(rng.randrange(1, 60), rng.randrange(2, 40)) + Fraction(1, 97)

    def write(rng: random.Random, is_right: bool) -> str:
        number = value if is_right else value + Fraction(rng.choice((-1, 1)), rng.choice((2, 3, 5)))
        over, under = number.numerator, number.denominator
        forms = [rf"\frac{{{over}}}{{{under}}}", rf"\dfrac{{{over}}}{{{under}}}", f"{over}/{under}"]
        return _noisy(rng, rng.choice(forms))

    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}", write


def _decimal(rng: random.Random) -> tuple[str, Callable[[random.Random, bool], str]]:
    value = Fraction(rng.randrange(1, 4000) * 10 + 5, 100)

    def write(rng: random.Random, is_right: bool) -> str:
        number = value if is_right else value + Fraction(rng.choice((-1, 1)), 10)
        fraction = rf"\frac{{{number.numerator}}}{{{number.denominator}}}"
        return _noisy(rng, rng.choice([f"{float(number):.2f}", f"{float(number):.3f}", fraction]))

    return f"{float(value):.2f}", write


def _surd(rng: random.Random) -> tuple[str, Callable[[random.Random, bool], str]]:
    a, b, c = rng.randrange(2, 12), rng.choice((2, 3, 5, 6, 7, 10, 11)), rng.randrange(2, 20)

    def write(rng: random.Random, is_right: bool) -> str:
        k = a if is_right else a + rng.choice((-1, 1, 2))
        forms = [rf"\frac{{{k}\sqrt{{{b}}}}}{{{c}}}", rf"\frac{{{k}}}{{{c}}}\sqrt{{{b}}}"]
        forms.append(rf"\frac{{\sqrt{{{k * k * b}}}}}{{{c}}}")
        return _noisy(rng, rng.choice(forms))

    return rf"\frac{{{a}\sqrt{{{b}}}}}{{{c}}}", write


def _pair(rng: random.Random) -> tuple[str, Callable[[random.Random, bool], str]]:
    a, b = sorted(rng.sample(range(-20, 40), 2))
    left, right = rng.choice(["()", "[]", "[)", "(]", (r"\{", r"\}")])

    def write(rng: random.Random, is_right: bool) -> str:
        end = b if is_right else b + rng.choice((1, 2))
        spaced = f"{left}{a}, {end}{right}"
        return rng.choice([spaced, f"{left}{a},{end}{right}", rf"\left{left}{a}, {end}\right{right}"])

    return f"{left}{a}, {b}{right}", write


def _polynomial(rng: random.Random) -> tuple[str, Callable[[random.Random, bool], str]]:
    a, b = rng.randrange(1, 12), rng.randrange(1, 12)

    def write(rng: random.Random, is_right: bool) -> str:
        c = b if is_right else b + rng.choice((1, 2))
        return rng.choice([f"x^2+{a + c}x+{a * c}", f"(x+{a})(x+{c})", f"x^2 + {a * c} + {a + c}x"])

    return f"x^2+{a + b}x+{a * b}", write


def _transcendental(rng: random.Random) -> tuple[str, Callable[[random.Random, bool], str]]:
    a, b = rng.randrange(2, 12), rng.randrange(2, 12)

    def write(rng: random.Random, is_right: bool) -> str:
        c = b if is_right else b + 1
        return rng.choice([rf"{a}\ln {c}", rf"\ln {c}^{a}", rf"{a}\ln({c})", rf"\ln {c} \cdot {a}"])

    return rf"{a}\ln {b}", write


_KINDS = (_fraction, _fraction, _decimal, _surd, _pair, _polynomial, _transcendental)

# Each: gold, the same in another form, something else; with numbers A, B, C, and S = A + B in their places.
_SYMBOLIC = (
    (r"\frac{A\sqrt{B}}{C}", r"\sqrt{B}\cdot\frac{A}{C}", r"\frac{A\sqrt{B}}{S}"),
    (r"\frac{A\pi}{B}+C", r"C+\frac{A}{B}\pi", r"\frac{A\pi}{B}-C"),
    ("(x+A)(x+B)+C", "x^2+Sx+A*B+C", "x^2+Sx+A*B+C+1"),
    (r"\frac{x+A}{x+B}", r"1+\frac{A-B}{x+B}", r"2+\frac{A-B}{x+B}"),
    (r"A\sin(Bx)\cos(Bx)+C", r"C+\frac{A}{2}\sin(2 \cdot Bx)", r"C+A\sin(2 \cdot Bx)"),
    (r"A\ln B+C", r"C+\ln B^{A}", r"C+\ln S^{A}"),
    (r"Ae^{Bx}+C", r"C+A(e^{x})^{B}", r"C+Ae^{Sx}"),
    (r"\sqrt[3]{A}+\frac{B}{C}", r"\frac{B}{C}+A^{1/3}", r"\frac{B}{C}+\sqrt[3]{S}"),
    ("A+Bi", "Bi+A", "A-Bi+C"),
    (
        r"\begin{pmatrix} A \\ B \\ C \end{pmatrix}",
        r"\begin{bmatrix} A\\B\\C\end{bmatrix}",
        r"\begin{pmatrix} A \\ C \\ S \end{pmatrix}",
    ),
)


def _symbolic(rng: random.Random) -> tuple[str, str, str]:
    numbers = {"A": rng.randrange(2, 60), "B": rng.randrange(2, 60), "C": rng.randrange(2, 60)}
    numbers["S"] = numbers["A"] + numbers["B"]
    gold, right, wrong = (re.sub("[ABCS]", lambda m: str(numbers[m.group()]), t) for t in rng.choice(_SYMBOLIC))
    return gold, right, wrong

"""Token sequences that loop and that do not, for the tests and the benchmark of the loop detectors.

Everything follows from the committed solutions (`reasoning.jsonl`: AIME 2024, by the authors named at each `url`), from
texts that Python ships, and from seeds: `random.Random` draws the same numbers on every machine.
"""

from __future__ import annotations

import json
import pydoc_data.topics
import random
import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from math import exp, log
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from laser_verl.scoring.loops import word_ids

Tokens = NDArray[np.int64]
LONGEST = 16_000
EDITS = (0.0, 0.0, 0.01, 0.02, 0.03)


class Loop(NamedTuple):
    """One looping response and how it was made."""

    ids: Tokens
    period: int
    edits: float  # share of the loop's tokens substituted, deleted, or followed by an inserted one
    after: int  # tokens that follow the loop


def words(text: str) -> Tokens:
    """White-space separated words."""
    return np.array(word_ids(text), dtype=np.int64)


def pieces(text: str) -> Tokens:
    r"""Runs of word characters, and runs of one other character: a stand-in for the pieces of a tokenizer."""
    return np.array(word_ids_of(re.finditer(r"\w+|(\W)\1*", text)), dtype=np.int64)


def digits(text: str) -> Tokens:
    r"""As `pieces`, but one token a digit, and a word takes its space along, as many tokenizers have it."""
    return np.array(word_ids_of(re.finditer(r" ?[^\W\d]+|\d|(\W)\1*", text)), dtype=np.int64)


def word_ids_of(found: Iterator[re.Match[str]]) -> list[int]:
    seen: dict[str, int] = {}
    return [seen.setdefault(match[0], len(seen)) for match in found]


SPLITS: dict[str, Callable[[str], Tokens]] = {"words": words, "pieces": pieces, "digits": digits}


# Texts


@cache
def solutions() -> str:
    """Real solutions of competition problems."""
    lines = (Path(__file__).parent / "reasoning.jsonl").read_text(encoding="utf-8").splitlines()
    return "\n\n".join(json.loads(line)["solution"] for line in lines)


@cache
def prose() -> str:
    """Long prose with headings, lists and tables: the topics of Python's own help."""
    return "\n".join(text for _, text in sorted(pydoc_data.topics.topics.items()))


def _cases(draw: random.Random) -> str:
    base, step, first = draw.randint(3, 12), draw.randint(1, 5), draw.randint(0, 200)
    word = draw.choice(["Case", "Try", "Let me check", "If", "Now take"])
    shape = draw.choice(
        [
            "{word} n = {n}: {n} mod {base} = {rest}, no.",
            "{word} n = {n}: then n^2 + n + 41 = {square}, which is not a multiple of {base}, so this value fails.",
            "{i}. {word} x = {n}. Then we get the value {square} on the left side and 0 on the right side, "
            "so the equation does not hold, and we go on with the next candidate.",
            "{word} $a = {n}$, so $b = {square}$; since $a < b$ we need to look at the next one. Not a solution.",
        ]
    )
    values = (first + step * i for i in range(draw.randint(5, 60)))
    return "\n".join(
        shape.format(word=word, i=i, n=n, base=base, rest=n % base, square=n * n + n + 41)
        for i, n in enumerate(values, 1)
    )


def _table(draw: random.Random) -> str:
    columns = draw.randint(2, 8)
    head = "| " + " | ".join(f"x_{i}" for i in range(columns)) + " |\n" + "|" + "---|" * columns + "\n"
    cell = draw.choice(
        [
            lambda: str(draw.randint(0, 99)),
            lambda: draw.choice("01"),
            lambda: draw.choice(["yes", "no"]),
            lambda: f"{draw.randint(0, 999):05d}",
            lambda: f"\\frac{{{draw.randint(1, 9)}}}{{{draw.randint(2, 9)}}}",
        ]
    )
    return head + "\n".join(
        "| " + " | ".join(cell() for _ in range(columns)) + " |" for _ in range(draw.randint(3, 40))
    )


def _truth_table(draw: random.Random) -> str:
    rows = product("TF", repeat=draw.randint(2, 5))
    return "\n".join(f"{' '.join(row)} | {draw.choice('TF')}" for row in rows)


def _matrix(draw: random.Random) -> str:
    size = draw.randint(2, 6)
    steps = []
    for step in range(1, draw.randint(2, 6)):
        rows = (" & ".join(str(draw.choice([0, 0, 1, draw.randint(-9, 9)])) for _ in range(size)) for _ in range(size))
        steps.append(
            f"Step {step}: subtract row {step} from the others.\n\\begin{{pmatrix}} "
            + " \\\\ ".join(rows)
            + " \\end{pmatrix}"
        )
    return "\n".join(steps)


def _list(draw: random.Random) -> str:
    mark = draw.choice(["- ", "* ", "  - [ ] ", "> ", "1. "])
    starts = ["The sum of", "Note that", "We need", "By symmetry,", "The number of"]
    return "\n".join(
        f"{mark}{draw.choice(starts)} {_phrase(draw, draw.randint(2, 12))}." for _ in range(draw.randint(3, 30))
    )


def _phrase(draw: random.Random, length: int) -> str:
    found = _vocabulary()
    return " ".join(found[int(len(found) ** draw.random()) - 1] for _ in range(length))


@cache
def _vocabulary() -> list[str]:
    return list(dict.fromkeys(re.findall(r"[a-z]{2,}", solutions())))


def _paragraph(draw: random.Random) -> str:
    return " ".join(_phrase(draw, draw.randint(4, 20)).capitalize() + "." for _ in range(draw.randint(2, 10)))


def _recheck(draw: random.Random) -> str:
    a, b = draw.randint(2, 99), draw.randint(2, 99)
    claim = f"{a} * {b} = {a * b}, and {a} + {b} = {a + b}."
    again = ["Wait, let me check that again.", "Hmm, let me double-check.", "Let me recompute to be sure.", "Yes."]
    told = [f"{claim} {draw.choice(again)}" for _ in range(draw.randint(2, 3))]
    return " ".join([*told, "So that is right.", _paragraph(draw)])


def _restated(draw: random.Random) -> str:
    problem = "The problem says: " + _paragraph(draw)
    told = (f"{problem}\n\n{_paragraph(draw)}\n" for _ in range(draw.randint(2, 4)))
    return "\n".join(told) + problem


def _hesitation(draw: random.Random) -> str:
    said = ["Wait.", "Hmm.", "No, that is not right.", "Let me think.", "Okay.", "So what now?", "But wait."]
    return " ".join(draw.choice(said) for _ in range(draw.randint(3, 12))) + " " + _paragraph(draw)


def _numbers(draw: random.Random) -> str:
    length = draw.randint(10, 120)
    kind = draw.randrange(6)
    if kind == 0:
        return "The binary digits are " + " ".join(draw.choice("01") for _ in range(length)) + "."
    if kind == 1:
        return "1/7 = 0." + "142857" * draw.randint(2, 6) + "..."
    if kind == 2:
        return ", ".join(f"{i:04d}" for i in range(length)) + "."
    if kind == 3:
        return "Squares: " + ", ".join(f"{i}^2 = {i * i}" for i in range(1, length)) + "."
    if kind == 4:
        base, modulus = draw.randint(2, 9), draw.choice([7, 11, 13, 17, 19, 101])
        return "\n".join(f"{base}^{i} = {pow(base, i, modulus)} (mod {modulus})" for i in range(1, length // 2))
    return "Flips: " + "".join(draw.choice("HT") for _ in range(length)) + ", " * draw.randint(0, 1)


def _pairs(draw: random.Random) -> str:
    rows, columns = draw.randint(2, 9), draw.randint(2, 9)
    shape = draw.choice(["({i}, {j})", "a_{{{i}{j}}} = {s}", "for i = {i} and j = {j} the sum i + j is {s}, so no"])
    return ", ".join(shape.format(i=i, j=j, s=i + j) for i in range(1, rows + 1) for j in range(1, columns + 1)) + "."


def _algebra(draw: random.Random) -> str:
    a, b, c = (draw.randint(2, 40) for _ in range(3))
    lines = [f"{a}x + {b} = {c}", f"{a}x = {c} - {b}", f"{a}x = {c - b}", f"x = {c - b}/{a}"]
    shape = draw.choice(["${}$", "\\[ {} \\]", "=> {}", "&= {} \\\\"])
    return "\n".join(shape.format(line) for line in lines)


MAKERS = (_cases, _table, _truth_table, _matrix, _list, _paragraph, _recheck, _restated, _hesitation, _numbers)
MAKERS += (_pairs, _algebra)


def generated(seed: int, characters: int, makers: tuple[Callable[[random.Random], str], ...] = MAKERS) -> str:
    """Reasoning that repeats itself with reason: enumerations, tables, lists, checks, restated problems."""
    draw = random.Random(seed)
    parts: list[str] = []
    size = 0
    while size < characters:
        parts.append(draw.choice(makers)(draw))
        size += len(parts[-1])
    return "\n\n".join(parts)


@cache
def streams() -> dict[tuple[str, str], Tokens]:
    """Long ordinary texts by kind and split."""
    texts = {"prose": prose(), "solutions": solutions(), "generated": generated(1, 400_000)}
    for maker in MAKERS:
        texts[maker.__name__.strip("_")] = generated(2, 100_000, (maker,))
    return {(kind, split): cut(text) for kind, text in texts.items() for split, cut in SPLITS.items()}


# Samples


def ordinary(size: int, seed: int) -> Iterator[tuple[str, str, Tokens]]:
    """Draw chunks of 200 to 16,000 tokens of ordinary text: kind, split, token ids."""
    draw = random.Random(seed)
    names = sorted(streams())
    for number in range(size):
        kind, split = names[number % len(names)]
        stream = streams()[kind, split]
        length = min(round(200 * exp(draw.random() * log(LONGEST / 200))), len(stream))
        start = draw.randint(0, len(stream) - length)
        yield kind, split, stream[start : start + length]


def loops(size: int, seed: int) -> Iterator[Loop]:
    """Draw looping responses: an ordinary beginning, then a block over and over, then perhaps a shorter other text.

    Periods are spread over 1 to 500 tokens. A loop has four copies of the block and 160 tokens at least; its last copy
    is cut anywhere.
    """
    draw = random.Random(seed)
    for number in range(size):
        period = 1 + number * 7 % 20 if number % 5 == 0 else 1 + number * 37 % 500
        edits = draw.choice(EDITS)
        block = _slice(draw, period)
        least = max(160, 4 * period)
        length = round(least * exp(draw.random() ** 2 * log(LONGEST / 2 / least)))
        looped = _edited(draw, np.resize(block, length), edits)
        after = draw.choice([0, 0, draw.randint(1, 2), draw.randint(1, int(0.9 * length))])
        before = draw.randint(
            0, LONGEST - length - after if draw.random() < 0.5 else min(1000, LONGEST - length - after)
        )
        parts = [_slice(draw, before), looped, _slice(draw, after)]
        yield Loop(np.concatenate(parts), period, edits, after)


def _slice(draw: random.Random, length: int) -> Tokens:
    """Ordinary tokens; those of the two sources never meet in one response's block by design, only by chance."""
    kind = draw.choice(["prose", "solutions", "generated"])
    stream = streams()[kind, draw.choice(["pieces", "digits"])]
    start = draw.randint(0, len(stream) - length)
    return stream[start : start + length]


def _edited(draw: random.Random, ids: Tokens, share: float) -> Tokens:
    """Substitute, delete, or insert before, that share of the tokens."""
    edited: list[int] = []
    for token in ids.tolist():
        if draw.random() >= share:
            edited.append(token)
            continue
        kind = draw.randrange(3)
        if kind < 2:
            edited.append(draw.randint(0, 50_000))
        if kind == 1:
            edited.append(token)
    return np.array(edited, dtype=np.int64)

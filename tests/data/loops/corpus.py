"""Token sequences that loop and that do not, for the tests and the benchmark of the loop detectors.

All follow from the committed solutions (`reasoning.jsonl`: AIME 2024, written by the people whom each `url` names) and
from seeds: `random.Random` draws the same numbers on every machine. Only the prose, not used in loops, is Python's own
and differs a little between its versions.
"""

from __future__ import annotations

import json
import pydoc_data.topics
import random
import re
from collections.abc import Callable, Iterable, Iterator
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
SHORTEST = 200
SHORTEST_LOOP = 160
REAL = ("prose", "solutions")
EDITS = (0.0, 0.0, 0.01, 0.02, 0.03)


class Loop(NamedTuple):
    """One looping response and how it was made."""

    ids: Tokens
    period: int
    edits: float  # share of the loop's tokens substituted, deleted, or followed by an inserted one
    after: int  # tokens that follow the loop


def words(text: str) -> Tokens:
    """Words and signs, as the detector splits them."""
    return np.array(word_ids(text), dtype=np.int64)


def pieces(text: str) -> Tokens:
    r"""Runs of word characters, and runs of one other character: a stand-in for the tokens of a real tokenizer."""
    return _numbered(re.finditer(r"\w+|(\W)\1*", text))


def digits(text: str) -> Tokens:
    r"""As `pieces`, but a digit is a token, and a word takes its space along: as many tokenizers have it."""
    return _numbered(re.finditer(r" ?[^\W\d]+|\d|(\W)\1*", text))


def _numbered(found: Iterable[re.Match[str]]) -> Tokens:
    seen: dict[str, int] = {}
    return np.array([seen.setdefault(match[0], len(seen)) for match in found], dtype=np.int64)


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


def ordinary(size: int = 5400, seed: int = 2) -> Iterator[tuple[str, str, Tokens]]:
    """Draw chunks of 200 to 16,000 tokens of ordinary text, about half of it real: kind, split, token ids."""
    draw = random.Random(seed)
    names = sorted(streams())
    names += [name for name in names if name[0] in REAL] * 5
    for number in range(size):
        kind, split = names[number % len(names)]
        stream = streams()[kind, split]
        yield kind, split, _slice(draw, stream, min(_between(SHORTEST, LONGEST, draw.random()), len(stream)))


def loops(size: int = 1200, seed: int = 1) -> Iterator[Loop]:
    """Draw looping responses: an ordinary beginning, then a block over and over, then perhaps a shorter other text.

    Periods are spread over 1 to 500 tokens, a fifth of them below 21. A loop has four copies of the block and 160
    tokens at least; its last copy is cut anywhere. All parts are ordinary text, tables and enumerations included.
    """
    draw = random.Random(seed)
    for number in range(size):
        period = 1 + number // 5 % 20 if number % 5 == 0 else 1 + number * 37 % 500
        edits = draw.choice(EDITS)
        length = _between(max(SHORTEST_LOOP, 4 * period), LONGEST // 2, draw.random() ** 2)
        after = draw.choice([0, 0, draw.randint(1, 2), draw.randint(1, int(0.9 * length))])
        room = LONGEST - length - after
        before = draw.randint(0, draw.choice([room, min(room, 1000)]))
        looped = _edited(draw, np.resize(_ordinary(draw, period), length), edits)
        parts = [_ordinary(draw, before), looped, _ordinary(draw, after)]
        yield Loop(np.concatenate(parts), period, edits, after)


def _between(least: int, most: int, share: float) -> int:
    """From `least` to `most` on a logarithmic scale."""
    return round(least * exp(share * log(most / least)))


def _ordinary(draw: random.Random, length: int) -> Tokens:
    return _slice(
        draw, streams()[draw.choice(["prose", "solutions", "generated"]), draw.choice(["pieces", "digits"])], length
    )


def _slice(draw: random.Random, stream: Tokens, length: int) -> Tokens:
    start = draw.randint(0, len(stream) - length)
    return stream[start : start + length]


def _edited(draw: random.Random, ids: Tokens, share: float) -> Tokens:
    """Substitute, delete, or insert before, that share of the tokens."""
    edited: list[int] = []
    for token in ids.tolist():
        kind = draw.randrange(3) if draw.random() < share else None
        if kind in (0, 1):
            edited.append(draw.randint(0, 50_000))
        if kind in (1, None):
            edited.append(token)
    return np.array(edited, dtype=np.int64)

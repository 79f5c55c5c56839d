"""Mutated answers by the thousand: none above the limit, no process left behind, memory flat."""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pytest

from laser_verl.scoring import STATUSES, Scorer, Verdict
from tests.unit.test_hostile_responses import resident_megabytes
from tests.unit.test_scorer import is_alive, wait_until, workers_of

LIMIT = 1.0
# A worker may have to be started first, on a busy machine.
SLACK = 14.0
# 15 000 remembered verdicts take 25.
MEGABYTES = 48

# fmt: off
PIECES = (
    r"\frac{1}{2}", r"\sqrt{", r"\text{ or }", r"\left(", r"\right)", r"\begin{pmatrix}", r"\end{pmatrix}", r"\boxed{",
    "^{", "_{", "^", "!", "}", "{", "(", ")", "[", "]", r"\{", r"\}", "$", "$$", r"\%", "%", "&", r"\\", "\\", ",", "=",
    r"\sum_{k=1}^{n}", r"\int_0^1 ", r"\binom{9}{", r"\pm ", r"\cup ", r"\infty", r"\le ", r"\circ", r"\pi", r"\sin ",
    "9", "99999", "0.5", "1,000", "-", "+", "*", "/", "**", " ", "\n", "x", "i", "e", "and", "|", "</think>", "<think>",
    "__import__('os')",
)
# fmt: on


def character(rng: random.Random) -> str:
    """Any code point, lone surrogates among them."""
    return chr(rng.choice([rng.randrange(0x80), rng.randrange(0x3000), rng.randrange(0x110000)]))


def mutate(rng: random.Random, text: str, other: str) -> str:
    start, end = sorted((rng.randint(0, len(text)), rng.randint(0, len(text))))
    changes: list[Callable[[], str]] = [
        lambda: text[:start] + other[rng.randint(0, len(other)) :],
        lambda: text[:end] + text[start:],
        lambda: text[:start] + text[end:],
        lambda: text[:start] + rng.choice(PIECES) + text[start:],
        lambda: text[:start] + rng.choice(PIECES) + text[start:end] + rng.choice(PIECES) + text[end:],
        lambda: text[:start] + character(rng) + text[start:],
        lambda: text[:start] + text[start:end][::-1] + text[end:],
        lambda: text[:start] + text[start:end] * rng.choice([2, 3, 50]) + text[end:],
    ]
    return rng.choice(changes)()


def responses(seed: int) -> Iterator[tuple[str, str | list[str]]]:
    """Without end: a response with one to four mutations, and a gold."""
    rng = random.Random(seed)
    file = Path(__file__).parents[1] / "data" / "scoring" / "pairs.jsonl"
    pairs = [json.loads(line) for line in file.read_text().splitlines()]
    while True:
        pair, other = rng.choice(pairs), rng.choice(pairs)
        answer = pair["answer"]
        for _ in range(rng.choice([1, 1, 2, 4])):
            answer = mutate(rng, answer, other["answer"])
        response = rf"<think> a </think> \boxed{{{answer}}}"
        yield (mutate(rng, response, answer) if rng.random() < 0.1 else response), pair["gold"]


@pytest.mark.parametrize(
    "number", [1_000, pytest.param(20_000, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])], ids=str
)
def test_mutated_answers_are_judged_in_time(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    before = set(workers_of(os.getpid()))
    scorer = Scorer(timeout_seconds=LIMIT, num_workers=2)

    def judge(item: tuple[str, str | list[str]]) -> tuple[Verdict, float, str]:
        begun = time.perf_counter()
        verdict = scorer.score(*item)
        return verdict, time.perf_counter() - begun, item[0]

    statuses: Counter[str] = Counter()
    slowest, resident, begun = (0.0, ""), [], time.perf_counter()
    stream = responses(seed=number)
    with ThreadPoolExecutor(2) as threads:
        for _ in range(4):
            for verdict, seconds, response in threads.map(judge, islice(stream, number // 4)):
                assert verdict.correct == (verdict.status == "equal")
                assert verdict.status in STATUSES
                statuses[verdict.status] += 1
                slowest = max(slowest, (seconds, response[:200]))
            resident.append(round(resident_megabytes()))
            assert len(set(workers_of(os.getpid())) - before) <= 4  # two at work, and those in waiting
    mine = set(workers_of(os.getpid())) - before
    scorer.close()
    with capsys.disabled():
        print(f"\n  {number} in {time.perf_counter() - begun:.0f} s: {dict(statuses)}")
        print(f"  slowest {slowest[0]:.2f} s: {slowest[1]!a}; resident MB after each quarter: {resident}")
    assert slowest[0] < LIMIT + SLACK, slowest
    assert resident[-1] - resident[0] < MEGABYTES
    assert statuses["error"] == 0
    assert wait_until(lambda: not any(map(is_alive, mine)), 5.0)

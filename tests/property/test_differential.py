"""All layers together against plain math-verify, on generated pairs of a gold and an answer.

They may differ only for the reasons named here; docs/scoring.md gives the why of each.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from math_verify import LatexExtractionConfig, parse, verify

from laser_verl.scoring import Scorer
from laser_verl.scoring.answers import normalise
from tests.property.answers import pairs

Reader = Callable[[str], list]


@lru_cache(1 << 15)
def plain(text: str) -> list:
    """math-verify with its defaults on a box, as anybody would call it."""
    return parse(rf"\boxed{{{text}}}")


def box_alone(text: str) -> list:
    return parse(rf"\boxed{{{text}}}", (LatexExtractionConfig(),), extraction_mode="first_match")


def with_percent_outside(text: str) -> str:
    bare = text.removesuffix("%").removesuffix("\\").rstrip()
    return rf"$\boxed{{{bare}}}$\%" if text.endswith("%") and bare else rf"\boxed{{{text}}}"


def percent_outside(text: str) -> list:
    return parse(with_percent_outside(text))


def without_full_stop(text: str) -> list:
    return plain(text.rstrip(". "))


def without_degree_sign(text: str) -> list:
    return plain(text.replace("°", r"^\circ"))


def all_together(text: str) -> list:
    return parse(with_percent_outside(normalise(text)), (LatexExtractionConfig(),), extraction_mode="first_match")


REASONS: dict[str, Reader] = {
    "a final full stop is no part of the answer": without_full_stop,
    "a degree sign is read like ^\\circ": without_degree_sign,
    "a percent sign inside the box counts": percent_outside,
    "nothing is picked out of a box that cannot be read": box_alone,
    "several of these": all_together,
}


def reason(gold: str, answer: str, ours: bool) -> str | None:
    return next((name for name, read in REASONS.items() if bool(verify(read(gold), read(answer))) == ours), None)


@pytest.fixture(scope="module")
def scorer() -> Iterator[Scorer]:
    logging.disable(logging.CRITICAL)
    scorer = Scorer(thinking="boxed", timeout_seconds=20.0)
    yield scorer
    scorer.close()
    logging.disable(logging.NOTSET)


def compare(scorer: Scorer, number: int, start: int) -> tuple[Counter, list]:
    counts: Counter = Counter()
    unexplained: list = []

    @seed(start)
    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(pairs())
    def one(pair: tuple[str, str]) -> None:
        gold, answer = pair
        if not normalise(gold).strip("$"):
            return
        verdict = scorer.score(rf"\boxed{{{answer}}}", gold)
        counts[f"layer {verdict.layer}"] += 1
        counts["pairs"] += 1
        counts["equal"] += verdict.correct
        if bool(verify(plain(gold), plain(answer))) == verdict.correct:
            counts["agreements"] += 1
        elif why := reason(gold, answer, verdict.correct):
            counts[f"meant: {why}"] += 1
        else:
            unexplained.append((gold, answer, verdict))

    one()
    return counts, unexplained


@pytest.mark.parametrize(
    ("number", "start"),
    [(1_500, 1), pytest.param(6_000, 2, marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
)
def test_no_layer_differs_from_math_verify_without_a_reason(
    scorer: Scorer, number: int, start: int, capsys: pytest.CaptureFixture[str]
) -> None:
    counts, unexplained = compare(scorer, number, start)
    with capsys.disabled():
        print()
        for name, count in counts.most_common():
            print(f"  {count:6d}  {name}")
    assert not unexplained
    assert counts["pairs"] > 0.95 * number
    for layer in ("text", "number", "expression", "structure", "math_verify"):
        assert counts[f"layer {layer}"] > 0.01 * number, layer
    assert 0.2 < counts["equal"] / counts["pairs"] < 0.8

"""Pairs of gold and answer checked by hand: the verdict is math-verify's, or differs for the reason on the line.

Each line of pairs.jsonl has: gold; answer, the text inside the box; equal, what a careful grader says; kind;
math_verify, the verdict of math-verify with default options on the boxed gold and the boxed answer; ours, only where
the scorer deliberately differs from math-verify; and why, where any two of these differ.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from laser_verl.scoring import Scorer

FILE = Path(__file__).parents[1] / "data" / "scoring" / "pairs.jsonl"

PAIRS: list[dict[str, Any]] = [json.loads(line) for line in FILE.read_text().splitlines()]


@pytest.fixture(scope="module")
def scorer() -> Iterator[Scorer]:
    scorer = Scorer(timeout_seconds=20.0)
    yield scorer
    scorer.close()


def test_the_verdict_is_the_one_of_math_verify_or_the_reason_is_given(
    scorer: Scorer, capsys: pytest.CaptureFixture[str]
) -> None:
    unexplained: list[tuple[str, ...]] = []
    layers: Counter[str] = Counter()
    for pair in PAIRS:
        verdict = scorer.score(rf"<think> a </think> \boxed{{{pair['answer']}}}", pair["gold"])
        layers[verdict.layer] += 1
        if verdict.correct != pair.get("ours", pair["math_verify"]):
            unexplained.append((pair["gold"], pair["answer"], verdict.status, verdict.layer))
    deliberate = sum("ours" in pair for pair in PAIRS)
    as_by_hand = sum(pair["equal"] == pair.get("ours", pair["math_verify"]) for pair in PAIRS)
    agreements = len(PAIRS) - deliberate - len(unexplained)
    with capsys.disabled():
        print(f"\n  {len(PAIRS)} pairs: {agreements} as math-verify, {deliberate} deliberately not,")
        print(f"  {len(unexplained)} unexplained; {as_by_hand} as by hand; layers {dict(layers)}")
    assert unexplained == []


def test_the_pairs_are_what_they_claim_to_be() -> None:
    assert len(PAIRS) >= 320
    assert len({(str(pair["gold"]), pair["answer"]) for pair in PAIRS}) == len(PAIRS)
    assert 0.4 < sum(pair["equal"] for pair in PAIRS) / len(PAIRS) < 0.6
    for pair in PAIRS:
        verdicts = {pair["equal"], pair["math_verify"], pair.get("ours", pair["math_verify"])}
        assert ("why" in pair) == (len(verdicts) == 2), pair
        assert pair.get("ours") is not pair["math_verify"], pair

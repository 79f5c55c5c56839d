"""The memory of comparisons: shared, never asked twice, logged once."""

import asyncio
import logging
from collections.abc import Iterator

import pytest

from laser_verl.scoring import Scorer
from laser_verl.scoring.golds import unreadable

SLOW = r"\sum_{k=1}^{99999} \sin(k^2)"


@pytest.fixture(scope="module")
def scorer() -> Iterator[Scorer]:
    scorer = Scorer(thinking="boxed", timeout_seconds=1.0)
    yield scorer
    scorer.close()


def test_the_same_pair_is_asked_once(scorer: Scorer) -> None:
    first, second = (scorer.score(r"\boxed{\sin x}", r"\cos(\frac{\pi}{2}-x)") for _ in range(2))
    assert (first.status, first.layer) == ("equal", "math_verify")
    assert (second.status, second.layer) == ("equal", "cache")


def test_many_at_once_cost_one_time_out_and_one_line(scorer: Scorer, caplog: pytest.LogCaptureFixture) -> None:
    async def ask() -> list:
        return await asyncio.gather(*(scorer.score_async(rf"\boxed{{{SLOW}}}", "7") for _ in range(20)))

    with caplog.at_level(logging.WARNING):
        verdicts = asyncio.run(ask())
    assert {verdict.status for verdict in verdicts} == {"timeout"}
    assert [verdict.layer for verdict in verdicts].count("math_verify") == 1
    assert max(verdict.milliseconds for verdict in verdicts) < 1900  # two time-outs would take 2000
    lines = [record.getMessage() for record in caplog.records if "time limit" in record.getMessage()]
    assert len(lines) == 1
    assert SLOW.replace("\\", "\\\\") in lines[0]


def test_one_who_gives_up_does_not_take_the_verdict_from_the_others(scorer: Scorer) -> None:
    async def ask() -> str:
        response = r"\boxed{\tan x}"
        first = asyncio.create_task(scorer.score_async(response, r"\frac{\sin x}{\cos x}"))
        second = asyncio.create_task(scorer.score_async(response, r"\frac{\sin x}{\cos x}"))
        await asyncio.sleep(0)
        first.cancel()
        return (await second).status

    assert asyncio.run(ask()) == "equal"


def test_unreadable_golds_are_found() -> None:
    golds = ["7", "7)", "9^{9^9}", r"\sin x", r"\text{Monday}", "@@", r"\frac{1}{2"]
    assert [golds[index] for index in unreadable(golds)] == ["7)", "9^{9^9}", "@@", r"\frac{1}{2"]

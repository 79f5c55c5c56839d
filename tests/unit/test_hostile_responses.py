"""Hostile responses: each gets its verdict in time, runs nothing, and leaves neither memory nor processes behind."""

import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from laser_verl.scoring import Scorer
from tests.data.scoring.hostile import GROUPS, MARK, RESPONSES, Hostile
from tests.unit.test_scorer import is_alive, wait_until, workers_of

pytestmark = pytest.mark.alone

# Of the parent: what a pass over 40 MB of text may leave allocated.
MEGABYTES = 64


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def judge(scorer: Scorer, item: Hostile) -> tuple[str, str | None]:
    """Status, and what is wrong with the verdict."""
    begun = time.perf_counter()
    verdict = scorer.score(item.response, item.gold)
    seconds = time.perf_counter() - begun
    right = verdict.correct == item.correct and verdict.status in item.statuses
    if right and seconds <= item.seconds:
        return verdict.status, None
    return verdict.status, f"{item.name}: {verdict.status} in {seconds:.2f} s, {(verdict.extracted or '')[:60]!a}"


def judge_all(items: list[Hostile]) -> Counter[str]:
    """Judge with one scorer, from as many threads as it has workers."""
    before = set(workers_of(os.getpid()))
    scorer = Scorer(timeout_seconds=1.0, num_workers=2)
    scorer.score(r"<think></think> \boxed{x+1}", "1+x")
    with ThreadPoolExecutor(2) as threads:
        judged = list(threads.map(lambda item: judge(scorer, item), items))
    mine = set(workers_of(os.getpid())) - before
    scorer.close()
    assert [problem for _, problem in judged if problem is not None] == []
    assert wait_until(lambda: not any(map(is_alive, mine)), 5.0)
    return Counter(status for status, _ in judged)


@pytest.mark.parametrize("group", GROUPS)
def test_every_response_gets_its_verdict_in_time(
    group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # where code would leave its file, were it run
    resident = resident_megabytes()
    statuses = judge_all(GROUPS[group])
    with capsys.disabled():
        print(f"\n  {len(GROUPS[group])} {group}: {dict(statuses)}")
    assert resident_megabytes() - resident < MEGABYTES
    assert list(tmp_path.glob(f"*{MARK}*")) == []


def test_there_are_enough_and_each_has_a_name_of_its_own() -> None:
    assert len(RESPONSES) >= 64
    assert max(Counter(item.name for item in RESPONSES).values()) == 1

"""The memory of comparisons: shared, never asked twice, logged once."""

import asyncio
import logging
import subprocess
import sys
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


FORKED = """
import os, threading, time
from concurrent.futures import Future
from laser_verl.scoring import cache

class Pool:
    def __init__(self, *settings):
        time.sleep(0.2)  # long enough for every other thread to come by
        self.pid = os.getpid()

    def submit(self, golds, answer):
        future = Future()
        future.set_result("equal" if self.pid == os.getpid() else "error")
        return future

cache.MathPool = Pool
judge = cache.CachedJudge(1, 5.0)
judge.ask(["x"], "y")
judge._lock.acquire()
if child := os.fork():
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
statuses, barrier = [], threading.Barrier(32)

def ask(number):
    barrier.wait()
    statuses.append(judge.ask(["x"], f"y+{number}")[0].result())

threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(32)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(10)
os._exit(statuses != ["equal"] * 32)
"""


def test_no_thread_of_a_forked_process_meets_the_pool_or_the_lock_of_its_parent() -> None:
    subprocess.run([sys.executable, "-c", FORKED], check=True, timeout=60)


def test_unreadable_golds_are_found() -> None:
    golds = ["7", "7)", "9^{9^9}", r"\sin x", r"\text{Monday}", "@@", r"\frac{1}{2"]
    assert [golds[index] for index in unreadable(golds)] == ["7)", "9^{9^9}", "@@", r"\frac{1}{2"]

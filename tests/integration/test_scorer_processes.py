"""The scorer's worker processes end with the process that started them."""

import functools
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from laser_verl.scoring import Scorer
from tests.unit.test_scorer import is_alive, wait_until, workers_of

pytestmark = pytest.mark.integration

PARENT = """
import threading, time
from laser_verl.scoring import Scorer
scorer = Scorer(timeout_seconds=2.0)
scorer.score(r"<think></think>\\boxed{\\sin x}", "x")
for answer in [r"\\sum_{k=1}^{99999} \\sin(k^2)", r"\\cos x"]:
    text = rf"<think></think>\\boxed{{{answer}}}"
    threading.Thread(target=scorer.score, args=(text, "x"), daemon=True).start()
time.sleep(1)
print("busy", flush=True)
time.sleep(60 if %r else 0)
"""


def have_died(pids: list[int]) -> bool:
    return not any(map(is_alive, pids))


def everyone_below(pid: int) -> list[int]:
    starters = workers_of(pid)
    return starters + [child for starter in starters for child in workers_of(starter)]


@pytest.mark.parametrize("kill", [True, False])
def test_no_worker_outlives_its_parent(kill: bool) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT % kill], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    workers: list[int] = []
    if kill:
        assert parent.stdout.readline() == "busy\n"
        workers = everyone_below(parent.pid)
        assert len(workers) > 2
        parent.kill()  # one worker is stuck in a sum, the other idle or still starting
    else:
        while parent.poll() is None:
            workers = everyone_below(parent.pid) or workers
            time.sleep(0.02)
        assert parent.returncode == 0
    parent.wait(10)
    parent.stdout.close()
    # The stuck one ends by its own alarm: 2 s limit + 2 s grace. After an orderly exit nothing is left at once.
    assert wait_until(functools.partial(have_died, workers), 10.0 if kill else 1.0)


WITH_A_FORK = """
import os, time
from laser_verl.scoring import Scorer
scorer = Scorer(thinking="boxed")
scorer.score(r"\\boxed{\\sin x}", "x")
child = os.fork()
if child:
    print(child, flush=True)
time.sleep(60)
"""


def test_no_worker_outlives_its_parent_for_a_fork_that_holds_its_pipes() -> None:
    parent = subprocess.Popen([sys.executable, "-c", WITH_A_FORK], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    fork = int(parent.stdout.readline())
    try:
        workers = everyone_below(parent.pid)
        assert len(workers) == 2
        parent.kill()
        parent.wait(10)
        assert wait_until(functools.partial(have_died, workers), 5.0)
        assert is_alive(fork)
    finally:
        parent.kill()
        os.kill(fork, signal.SIGKILL)
        parent.stdout.close()


@pytest.fixture
def scorer() -> Iterator[Scorer]:
    scorer = Scorer(thinking="boxed", timeout_seconds=60.0, num_workers=1)
    yield scorer
    scorer.close()


def test_children_killed_at_any_moment_cost_neither_a_verdict_nor_their_starter(scorer: Scorer) -> None:
    assert scorer.score(r"\boxed{\sin x}", "x").status == "different"
    starters = workers_of(os.getpid())
    with ThreadPoolExecutor(1) as threads:
        for i in range(60):
            verdict = threads.submit(scorer.score, rf"\boxed{{\sin x+{i}}}", rf"{i}+\sin x")
            time.sleep(i / 30_000)  # 0 to 2 ms, the time of a few hand-overs
            children = everyone_below(starters[0])
            for child in children:
                os.kill(child, signal.SIGKILL)
            assert verdict.result(60).status == "equal"
            assert wait_until(functools.partial(have_died, children), 10.0)
    assert workers_of(os.getpid()) == starters


def test_a_worker_out_of_memory_costs_a_second_try(scorer: Scorer) -> None:
    assert scorer.score(r"\boxed{\sin x}", "x").status == "different"
    (starter,) = workers_of(os.getpid())
    (worker,) = workers_of(starter)
    pages = int(Path(f"/proc/{worker}/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + (1 << 19)
    resource.prlimit(worker, resource.RLIMIT_AS, (limit, limit))
    matrix = r"\begin{pmatrix} %d & x \\ 2 & \cos x \end{pmatrix}^2"
    answers = [rf"\boxed{{\tan({i}x) + {matrix % i}}}" for i in range(8)]
    assert {scorer.score(answer, r"\sin x").status for answer in answers} <= {"different", "unparseable"}
    assert scorer.score(r"\boxed{\cos x}", r"\sin(\frac{\pi}{2}-x)").status == "equal"
    assert workers_of(os.getpid()) == [starter]
    assert workers_of(starter) != [worker]


@pytest.mark.parametrize("forked", [False, True])
def test_an_answer_whose_worker_dies_twice_is_an_error_and_not_tried_again(scorer: Scorer, forked: bool) -> None:
    slow = r"\boxed{\sum_{k=1}^{99999} \sin(k^2)}"
    assert scorer.score(r"\boxed{\sin x}", "x").status == "different"
    with ThreadPoolExecutor(1) as threads:
        verdict = threads.submit(scorer.score, slow, "7")
        deadline = time.monotonic() + 100
        while not verdict.done() and time.monotonic() < deadline:
            time.sleep(0.5)
            starters = workers_of(os.getpid())
            children = [child for starter in starters for child in workers_of(starter)]
            if children:  # what hits a worker that still starts does not count
                for pid in children if forked else starters:
                    os.kill(pid, signal.SIGKILL)
        assert verdict.result(1).status == "error"
    again = scorer.score(slow, "7")
    assert (again.status, again.layer) == ("error", "cache")
    assert scorer.score(r"\boxed{\cos x}", r"\sin(\frac{\pi}{2}-x)").status == "equal"
    assert len(workers_of(os.getpid())) == 1


FORKED = """
import os, pathlib, sys
from laser_verl.scoring import Scorer
sys.path.append(pathlib.Path("/nowhere"))
scorer = Scorer(thinking="boxed")
assert scorer.score(r"\\boxed{\\sin x}", "x").status == "different"
child = os.fork()
status = scorer.score(r"\\boxed{\\cos x}", r"\\sin(\\frac{\\pi}{2}-x)").status
assert status == "equal"
scorer.close()
if child:
    assert os.waitpid(child, 0)[1] == 0
else:
    os._exit(0)
"""


def test_both_sides_of_a_fork_score_on() -> None:
    subprocess.run([sys.executable, "-c", FORKED], check=True, timeout=60)


EXITING = """
import os
from laser_verl.scoring import Scorer
scorer = Scorer(thinking="boxed")
assert scorer.score(r"\\boxed{\\sin x}", "x").status == "different"
pool = scorer._judged._pool
pool._lock.acquire()
child = os.fork()
if child:
    pool._lock.release()
    assert os.waitpid(child, 0)[1] == 0
    assert scorer.score(r"\\boxed{\\cos x}", r"\\sin(\\frac{\\pi}{2}-x)").status == "equal"
"""


def test_a_fork_exits_whatever_its_parent_was_doing() -> None:
    subprocess.run([sys.executable, "-c", EXITING], check=True, timeout=60)

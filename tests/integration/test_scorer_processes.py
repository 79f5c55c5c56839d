"""The scorer's worker processes end with the process that started them."""

import subprocess
import sys
import time

import pytest

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


@pytest.mark.parametrize("kill", [True, False])
def test_no_worker_outlives_its_parent(kill: bool) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT % kill], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    workers: list[int] = []
    if kill:
        assert parent.stdout.readline() == "busy\n"
        workers = workers_of(parent.pid)
        assert workers
        parent.kill()  # one worker is stuck in a sum, the other idle or still starting
    else:
        while parent.poll() is None:
            workers = workers_of(parent.pid) or workers
            time.sleep(0.02)
        assert parent.returncode == 0
    parent.wait(10)
    parent.stdout.close()
    # The stuck one ends by its own alarm: 2 s limit + 2 s grace. After an orderly exit nothing is left at once.
    assert wait_until(lambda: not any(map(is_alive, workers)), 10.0 if kill else 1.0)

"""Comparisons that were made before, or are being made: nothing is asked of math-verify twice."""

import logging
import os
import threading
import weakref
from concurrent.futures import Future
from typing import Final

from cachetools import LRUCache

from laser_verl.scoring.pool import MATHEMATICS, MathPool
from laser_verl.scoring.verdict import Layer, Status

logger = logging.getLogger(__name__)

SIZE: Final = 1 << 16

_LOGGED_CHARACTERS: Final = 80

_Key = tuple[tuple[str, ...], str]


class CachedJudge:
    """A pool with a memory, also of time-outs: a hostile answer costs one time-out, however often it is given.

    Args:
        num_workers: Most math-verify processes at a time, at least 1.
        timeout_seconds: Limit for one comparison, in seconds.
        judging: What compares, as `MathPool` takes it.
    """

    def __init__(self, num_workers: int, timeout_seconds: float, judging: str = MATHEMATICS) -> None:
        self._settings = num_workers, timeout_seconds, judging
        self._layer: Layer = "math_verify" if judging == MATHEMATICS else "task"
        self.begin()
        _judges.add(self)

    def begin(self) -> None:
        """Forget everything, and leave the worker processes to whoever started them."""
        self._pool = MathPool(*self._settings)
        self._lock = threading.Lock()
        self._known: LRUCache[_Key, Future[Status]] = LRUCache(SIZE)

    def close(self) -> None:
        """Kill the worker processes; comparisons still open raise RuntimeError."""
        self._pool.close()

    def ask(self, golds: list[str], answer: str) -> tuple[Future[Status], Layer]:
        """Compare an answer with golds.

        Args:
            golds: Acceptable answers.
            answer: The model's answer.

        Returns:
            A future with the status, shared by all who ask the same (do not cancel it), and "cache", or else
            "math_verify", or "task" where something else compares.

        Raises:
            RuntimeError: If the pool is closed.
        """
        key = (tuple(golds), answer)
        with self._lock:
            future = self._known.get(key)
            if future is not None:
                return future, "cache"
            future = self._known[key] = self._pool.submit(golds, answer)
        future.add_done_callback(lambda done: self._settle(key, done))
        return future, self._layer

    def _settle(self, key: _Key, done: Future[Status]) -> None:
        if done.cancelled() or done.exception() is not None:
            with self._lock:
                self._known.pop(key, None)
        elif done.result() == "timeout":
            logger.warning(
                "laser_verl: comparing an answer with %.80r was stopped at the time limit, it counts as wrong: %.80r",
                key[0][0],
                key[1][:_LOGGED_CHARACTERS],
            )


_judges: weakref.WeakSet[CachedJudge] = weakref.WeakSet()


def _begin_all() -> None:
    for judge in _judges:
        judge.begin()


# The threads that wait for the workers are the parent's, and a lock may be held for ever. At the fork itself, while the
# child has one thread: no other can meet a judge that is only half renewed.
os.register_at_fork(after_in_child=_begin_all)

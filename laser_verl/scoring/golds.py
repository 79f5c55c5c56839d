"""Golds that cannot be read, found before a run rather than counted as wrong answers in it."""

from collections.abc import Sequence
from contextlib import closing
from typing import Final

from laser_verl.scoring import guards
from laser_verl.scoring.pool import MathPool
from laser_verl.scoring.readings import read

_NUM_WORKERS: Final = 2


class GoldReader:
    """Reads golds of mathematics, with worker processes that stay for the next ones.

    Args:
        timeout_seconds: Limit for math-verify to read one gold, in seconds.
    """

    def __init__(self, timeout_seconds: float = 5.0) -> None:
        self._pool = MathPool(_NUM_WORKERS, timeout_seconds)

    def unreadable(self, golds: Sequence[str]) -> list[int]:
        """Find the golds that no answer but the same text could ever equal; see `unreadable`."""
        found = {text: _is_unreadable_at_once(text) for text in golds}
        undecided = [text for text, verdict in found.items() if verdict is None]
        futures = [(text, self._pool.submit([], text)) for text in undecided]
        found |= {text: future.result() != "different" for text, future in futures}
        return [index for index, text in enumerate(golds) if found[text]]

    def close(self) -> None:
        """Kill the worker processes."""
        self._pool.close()


def unreadable(golds: Sequence[str], timeout_seconds: float = 5.0) -> list[int]:
    r"""Find the golds that no answer but the same text could ever equal.

    Args:
        golds: Golds as `answers.gold_answers` gives them.
        timeout_seconds: Limit for math-verify to read one gold, in seconds.

    Returns:
        Their indices, in order: math-verify cannot read them, or a guard refuses them. E.g. ["7", "7)", "9^{9^9}"]:
        [1, 2].

    Raises:
        RuntimeError: If no math-verify worker can be started.
    """
    with closing(GoldReader(timeout_seconds)) as reader:
        return reader.unreadable(golds)


def _is_unreadable_at_once(text: str) -> bool | None:
    if guards.refuse(text) is not None:
        return True
    return None if read(text) is None else False

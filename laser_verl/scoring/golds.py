"""Golds that cannot be read, found before a run rather than counted as wrong answers in it."""

from collections.abc import Sequence
from typing import Final

from laser_verl.scoring import guards
from laser_verl.scoring.pool import MathPool
from laser_verl.scoring.readings import read

_NUM_WORKERS: Final = 2


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
    found = {text: _is_unreadable_at_once(text) for text in golds}
    undecided = [text for text, verdict in found.items() if verdict is None]
    pool = MathPool(_NUM_WORKERS, timeout_seconds)
    try:
        futures = [(text, pool.submit([], text)) for text in undecided]
        found |= {text: future.result() != "different" for text, future in futures}
    finally:
        pool.close()
    return [index for index, text in enumerate(golds) if found[text]]


def _is_unreadable_at_once(text: str) -> bool | None:
    if guards.refuse(text) is not None:
        return True
    return None if read(text) is None else False

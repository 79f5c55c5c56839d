"""The scorer: one response and its gold in, one verdict out, on any text and without stalling an event loop."""

import asyncio
import difflib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from laser_verl.scoring import formats, loops
from laser_verl.scoring.answers import Gold, gold_answers, normalise, quick_verdict
from laser_verl.scoring.pool import MathPool
from laser_verl.scoring.tasks import Judge
from laser_verl.scoring.verdict import Status, Verdict

# Longer responses are read in a thread: 10^6 braces take a third of a second.
_INLINE_CHARACTERS = 20_000


@dataclass(frozen=True)
class _Draft:
    """A verdict that may still lack its status."""

    parsed: formats.Parsed
    status: Status | None
    golds: list[str]
    answer: str
    repetitive: bool


class Scorer:
    """Verifies responses: format, answer, loop.

    Args:
        thinking: "deepseek" (`<think>…</think>`, then a box) or "boxed" (no thinking asked).
        timeout_seconds: Limit for one answer comparison in seconds, above 0, not counting the wait for a free worker.
        num_workers: Most math-verify processes at a time, at least 1; started when first needed.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self, thinking: formats.Thinking = "deepseek", timeout_seconds: float = 5.0, num_workers: int = 2
    ) -> None:
        if thinking not in formats.THINKING:
            close = difflib.get_close_matches(str(thinking), formats.THINKING, n=1, cutoff=0)
            raise ValueError(f"thinking={thinking!r} is unknown; known: {formats.THINKING}; did you mean {close[0]!r}?")
        if not (math.isfinite(timeout_seconds) and timeout_seconds > 0):
            raise ValueError(f"timeout_seconds={timeout_seconds} must be a positive number of seconds; give e.g. 5.0")
        if num_workers < 1:
            raise ValueError(f"num_workers={num_workers} must be at least 1; give e.g. 2")
        self._thinking = thinking
        self._pool = MathPool(num_workers, timeout_seconds)

    async def score_async(
        self,
        response: str,
        gold: Gold | None,
        token_ids: Sequence[int] | NDArray[np.integer] | None = None,
        truncated: bool = False,
        prompt_opens_think: bool = False,
        *,
        row: object = None,
        judge: Judge | None = None,
    ) -> Verdict:
        r"""Verify one response without ever holding the event loop for more than a few milliseconds.

        Args:
            response: Text of the response, special tokens such as EOS removed, think tags kept.
            gold: Acceptable answer: a string, a finite number, or a list of these.
            token_ids: Token ids of the response [L], padding removed; None looks for loops in the words instead.
            truncated: Generation stopped at the length limit.
            prompt_opens_think: The prompt ended with `<think>` (`formats.prompt_opens_think`).
            row: What names the data row in an error.
            judge: What compares a gold with an answer, of `tasks.build`; None compares as mathematics.

        Returns:
            The verdict. E.g. `<think>a</think> \boxed{0.5}` with gold "1/2": correct, well formed, "equal".

        Raises:
            ValueError: If the gold is missing or empty.
            RuntimeError: If no math-verify worker can be started, or the scorer is closed.
        """
        begun = time.perf_counter()
        golds = gold_answers(gold, row)
        if len(response) > _INLINE_CHARACTERS:
            draft = await asyncio.to_thread(self._draft, response, golds, token_ids, prompt_opens_think, judge)
        else:
            draft = self._draft(response, golds, token_ids, prompt_opens_think, judge)
        if draft.status is not None:
            return _verdict(draft, draft.status, begun, truncated)
        judged: Status = await asyncio.wrap_future(self._pool.submit(draft.golds, draft.answer))
        return _verdict(draft, judged, begun, truncated)

    def score(
        self,
        response: str,
        gold: Gold | None,
        token_ids: Sequence[int] | NDArray[np.integer] | None = None,
        truncated: bool = False,
        prompt_opens_think: bool = False,
        *,
        row: object = None,
        judge: Judge | None = None,
    ) -> Verdict:
        """Verify one response and wait for the verdict; from any thread. See `score_async`."""
        begun = time.perf_counter()
        draft = self._draft(response, gold_answers(gold, row), token_ids, prompt_opens_think, judge)
        status = draft.status or self._pool.submit(draft.golds, draft.answer).result()
        return _verdict(draft, status, begun, truncated)

    def close(self) -> None:
        """Kill the worker processes. Called at exit as well; a second call does nothing."""
        self._pool.close()

    def _draft(
        self,
        response: str,
        golds: list[str],
        token_ids: Sequence[int] | NDArray[np.integer] | None,
        prompt_opens_think: bool,
        judge: Judge | None,
    ) -> _Draft:
        parsed = formats.parse(response, self._thinking, prompt_opens_think)
        repetitive = loops.is_repetitive(loops.word_ids(response) if token_ids is None else token_ids)
        answer = "" if parsed.answer is None else normalise(parsed.answer)
        if not answer:
            return _Draft(parsed, "unparseable", golds, answer, repetitive)
        if judge is not None:
            is_equal = any(judge(gold, answer) for gold in golds)
            return _Draft(parsed, "equal" if is_equal else "different", golds, answer, repetitive)
        quick = {gold: quick_verdict(gold, answer) for gold in golds}
        undecided = [gold for gold, verdict in quick.items() if verdict is None]
        status: Status | None = "equal" if True in quick.values() else None if undecided else "different"
        return _Draft(parsed, status, undecided, answer, repetitive)


def _verdict(draft: _Draft, status: Status, begun: float, truncated: bool) -> Verdict:
    milliseconds = (time.perf_counter() - begun) * 1000
    parsed = draft.parsed
    return Verdict(
        status == "equal", parsed.well_formed, status, parsed.answer, milliseconds, bool(truncated), draft.repetitive
    )

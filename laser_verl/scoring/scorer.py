"""The scorer: one response and its gold in, one verdict out, on any text and without stalling an event loop."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from laser_verl.scoring import formats, guards, loops
from laser_verl.scoring.answers import Gold, normalise
from laser_verl.scoring.cache import CachedJudge
from laser_verl.scoring.layers import compare
from laser_verl.scoring.released_loops import is_repetitive_as_released
from laser_verl.scoring.short_answers import bare_text
from laser_verl.scoring.tasks import Judge, Verifier, read_golds
from laser_verl.scoring.verdict import Layer, Status, Verdict

Repetition = Literal["strict", "released_code"]

REPETITION: Final[tuple[Repetition, ...]] = get_args(Repetition)

LONGEST_SECONDS: Final = 600
"""Most that one comparison may be given."""

# Longer responses are read in a thread: 10^6 braces take a third of a second.
_INLINE_CHARACTERS: Final = 20_000


@dataclass(frozen=True)
class _Draft:
    """A verdict that may still lack its status: math-verify has to compare the golds with the answer."""

    parsed: formats.Parsed
    repetitive: bool
    status: Status | None
    layer: Layer
    golds: list[str]
    answer: str


class Scorer:
    """Verifies responses: format, answer, loop.

    Args:
        thinking: Name of a response format, see `formats`: "deepseek" (`<think>…</think>`, then a box), "boxed" (no
            thinking asked), "answer_tag", or one that an installed package brings.
        timeout_seconds: Limit for one answer comparison in seconds, in (0, `LONGEST_SECONDS`], not counting the wait
            for a free worker.
        num_workers: Most math-verify processes at a time, at least 1; started when first needed.
        repetition: "strict" (`loops`), or "released_code" (`released_loops`) to replay what the paper's code printed.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        thinking: str = "deepseek",
        timeout_seconds: float = 5.0,
        num_workers: int = 2,
        repetition: Repetition = "strict",
    ) -> None:
        formats.reader(thinking)
        if not 0 < timeout_seconds <= LONGEST_SECONDS:
            raise ValueError(f"timeout_seconds={timeout_seconds} must be in (0, {LONGEST_SECONDS}], e.g. 5")
        if num_workers < 1:
            raise ValueError(f"num_workers={num_workers} must be at least 1; give e.g. 2")
        if repetition not in REPETITION:
            raise ValueError(f"repetition={repetition!r} is unknown; known: {', '.join(REPETITION)}")
        self._thinking = thinking
        self.is_repetitive = {"strict": loops.is_repetitive, "released_code": is_repetitive_as_released}[repetition]
        self._judged = CachedJudge(num_workers, timeout_seconds)
        self._verified: dict[Verifier, CachedJudge] = {}
        self._limits = num_workers, timeout_seconds

    async def score_async(
        self,
        response: str,
        gold: Gold | None,
        token_ids: Sequence[int] | NDArray[np.integer] | None = None,
        truncated: bool = False,
        prompt_opens_think: bool = False,
        *,
        row: object = None,
        judge: Judge | Verifier | None = None,
    ) -> Verdict:
        r"""Verify one response without ever holding the event loop for more than a few milliseconds.

        Args:
            response: Text of the response, special tokens such as EOS removed, think tags kept.
            gold: Acceptable answer: a string, a finite number, or a list of these.
            token_ids: Token ids of the response [L], padding removed; None looks for loops in the words instead.
            truncated: Generation stopped at the length limit.
            prompt_opens_think: The prompt ended with `<think>` (`formats.prompt_opens_think`).
            row: What names the data row in an error.
            judge: What compares a gold with an answer, of a task that `tasks.build` made; None compares as mathematics.

        Returns:
            The verdict. E.g. `<think>a</think> \boxed{0.5}` with gold "1/2": correct, well formed, "equal".

        Raises:
            ValueError: If the gold is missing or empty, or the response is no text.
            RuntimeError: If no math-verify worker can be started, or the scorer is closed.
        """
        begun = time.perf_counter()
        golds = read_golds(judge, gold, row)
        _refuse_other_than_text(response, row)
        if len(response) > _INLINE_CHARACTERS:
            draft = await asyncio.to_thread(self._draft, response, golds, token_ids, prompt_opens_think, judge)
        else:
            draft = self._draft(response, golds, token_ids, prompt_opens_think, judge)
        if draft.status is not None:
            return _verdict(draft, draft.status, draft.layer, begun, truncated)
        future, layer = self._judge(judge).ask(draft.golds, draft.answer)
        judged = await asyncio.shield(asyncio.wrap_future(future))  # others may wait for the same
        return _verdict(draft, judged, layer, begun, truncated)

    def score(
        self,
        response: str,
        gold: Gold | None,
        token_ids: Sequence[int] | NDArray[np.integer] | None = None,
        truncated: bool = False,
        prompt_opens_think: bool = False,
        *,
        row: object = None,
        judge: Judge | Verifier | None = None,
    ) -> Verdict:
        """Verify one response and wait for the verdict; from any thread. See `score_async`."""
        begun = time.perf_counter()
        golds = read_golds(judge, gold, row)
        _refuse_other_than_text(response, row)
        draft = self._draft(response, golds, token_ids, prompt_opens_think, judge)
        if draft.status is not None:
            return _verdict(draft, draft.status, draft.layer, begun, truncated)
        future, layer = self._judge(judge).ask(draft.golds, draft.answer)
        return _verdict(draft, future.result(), layer, begun, truncated)

    def close(self) -> None:
        """Kill the worker processes. Called at exit as well; a second call does nothing."""
        for judge in (self._judged, *self._verified.values()):
            judge.close()

    def _judge(self, judge: Judge | Verifier | None) -> CachedJudge:
        if not isinstance(judge, Verifier):
            return self._judged
        if judge not in self._verified:  # what another thread has made meanwhile is taken
            self._verified.setdefault(judge, CachedJudge(*self._limits, judge.judging))
        return self._verified[judge]

    def _draft(
        self,
        response: str,
        golds: list[str],
        token_ids: Sequence[int] | NDArray[np.integer] | None,
        prompt_opens_think: bool,
        judge: Judge | Verifier | None,
    ) -> _Draft:
        parsed = formats.parse(response, self._thinking, prompt_opens_think)
        repetitive = self.is_repetitive(loops.word_ids(response) if token_ids is None else token_ids)
        answer = "" if parsed.answer is None else normalise(parsed.answer)
        status: Status | None
        if not answer:
            status, layer, undecided = "unparseable", "format", golds
        elif isinstance(judge, Verifier):
            status, layer, undecided, answer = None, "task", golds, _as_written(parsed.answer or "")
        elif judge is not None:
            is_equal = any(judge(gold, answer) for gold in golds)
            status, layer, undecided = "equal" if is_equal else "different", "task", golds
        else:
            status, layer, undecided = _compare(golds, answer)
        return _Draft(parsed, repetitive, status, layer, undecided, answer)


def _refuse_other_than_text(response: object, row: object) -> None:
    if not isinstance(response, str):
        where = "" if row is None else f"row {row!r}: "
        raise ValueError(f"{where}response={response!r:.80} must be a text, not {type(response).__name__}")


def _as_written(answer: str) -> str:
    r"""An answer with its lines and signs; out of a `\text{}` around all of it."""
    return bare_text(answer) if answer.startswith("\\") else answer


def _compare(golds: list[str], answer: str) -> tuple[Status | None, Layer, list[str]]:
    """Status and layer as far as the fast layers know, and the golds that are left to math-verify."""
    if answer in golds:
        return "equal", "text", []
    if guards.refuse(answer) is not None:
        return "unparseable", "guard", []
    layer: Layer = "guard"
    undecided = []
    for gold in golds:
        compared = compare(gold, answer)
        if compared is None:
            if guards.refuse(gold) is None:
                undecided.append(gold)
            continue
        is_equal, layer = compared
        if is_equal:
            return "equal", layer, []
    return (None, "math_verify", undecided) if undecided else ("different", layer, [])


def _verdict(draft: _Draft, status: Status, layer: Layer, begun: float, truncated: bool) -> Verdict:
    parsed = draft.parsed
    return Verdict(
        correct=status == "equal",
        well_formed=parsed.well_formed,
        status=status,
        extracted=parsed.answer,
        milliseconds=(time.perf_counter() - begun) * 1000,
        truncated=bool(truncated),
        repetitive=draft.repetitive,
        layer=layer,
    )

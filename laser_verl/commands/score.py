"""`laser-verl score`: a verdict for each recorded response, several at a time, printed in the order of the lines."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from laser_verl.commands import BadInput, CommandError, WrongUsage, message_of
from laser_verl.commands.rows import STANDARD_INPUT, Row, kind, name_of, read_rows, refuse_misspelt, require
from laser_verl.scoring import STATUSES, Scorer, Verdict, formats
from laser_verl.scoring.answers import gold_answers

REQUIRED = ("response", "gold")
OPTIONAL = ("prompt",)

# Lines read ahead of the next one to be printed: enough work behind a slow answer, and not much text held.
_LINES_AHEAD: Final = 256
# Most of them wait for a worker process.
_NUM_THREADS: Final = 32
# Each process of math-verify takes about 100 MB.
_MAX_PROCESSES: Final = 8

Write = Callable[[dict[str, Any]], None]


def run(source: str, thinking: str, timeout_seconds: float, write: Write) -> str:
    """Score every line, as many at a time as this computer has cores.

    Args:
        source: A JSONL file, or `-` for standard input.
        thinking: A format of `formats.known()`.
        timeout_seconds: Limit for one comparison by math-verify in seconds, in (0, 600].
        write: Takes `correct`, `well_formed`, `status`, `extracted` and `milliseconds` of each line, in order and as
            soon as they are known; called from another thread.

    Returns:
        A summary: responses, seconds, responses per status.

    Raises:
        WrongUsage: If the file cannot be read, the format is unknown or the limit is out of range.
        BadInput: If a line is malformed or there is none; what came before has been written.
        CommandError: If math-verify cannot be started.
    """
    begun = time.perf_counter()
    if source != STANDARD_INPUT and Path(source).is_dir():
        raise WrongUsage(f"--input {source} is a folder; give a file of {{{', '.join(REQUIRED)}}} lines, or -")
    numbers: Counter[str] = Counter()

    def count_and_write(verdict: dict[str, Any]) -> None:
        write(verdict)
        numbers[verdict["status"]] += 1

    # The scorer is closed first, which ends whatever an interrupt leaves open.
    with (
        _InOrder(count_and_write) as output,
        ThreadPoolExecutor(_NUM_THREADS) as threads,
        closing(_scorer(thinking, timeout_seconds)) as scorer,
    ):
        try:
            for row in read_rows(source, REQUIRED):
                if not output.put(threads.submit(_score, scorer, row)):
                    break
        except CommandError as error:
            output.put(_failed(error))
        output.finish()
    if not numbers:
        raise BadInput(
            f"{name_of(source)} holds no response; give JSONL with one response a line: {{{', '.join(REQUIRED)}}}"
        )
    per_status = ", ".join(f"{status} {numbers[status]}" for status in STATUSES)
    return f"{numbers.total()} responses in {time.perf_counter() - begun:.1f} s: {per_status}"


class _InOrder:
    """Writes results in the order in which they were asked for, each as soon as it is known.

    In a thread of its own, so that a program that waits for one verdict before it sends the next line gets it. The
    main thread reads: only there can Ctrl-C end a wait for input.
    """

    def __init__(self, write: Write) -> None:
        self._write = write
        self._results: queue.Queue[Future[dict[str, Any]] | None] = queue.Queue(_LINES_AHEAD)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="laser-score-output")

    def __enter__(self) -> _InOrder:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def put(self, result: Future[dict[str, Any]]) -> bool:
        """Take one more result, after a wait while too many are open; False once one could not be written."""
        self._results.put(result)
        return self._failure is None

    def finish(self) -> None:
        """Wait until all is written, and raise what hindered it."""
        self._end()
        if self._failure is not None:
            raise self._failure

    def _end(self) -> None:
        if self._thread.is_alive():
            self._results.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (result := self._results.get()) is not None:
            if self._failure is not None:  # nothing comes after a gap
                result.cancel()
                continue
            try:
                self._write(result.result())
            except BaseException as error:
                self._failure = error


def _scorer(thinking: str, timeout_seconds: float) -> Scorer:
    try:
        formats.reader(thinking)
    except ValueError as error:
        raise WrongUsage(f"--thinking: {error}") from error
    try:
        return Scorer(thinking, timeout_seconds, min(len(os.sched_getaffinity(0)), _MAX_PROCESSES))
    except ValueError as error:
        raise WrongUsage(f"--timeout: {error}") from error


def _score(scorer: Scorer, row: Row) -> dict[str, Any]:
    response, gold, prompt = _fields(row)
    opens = formats.prompt_opens_think(prompt)
    try:
        verdict: Verdict = scorer.score(response, gold, prompt_opens_think=opens, row=row.where)
    except ValueError as error:
        raise BadInput(f"{row.where}: {message_of(error)}") from error
    except RuntimeError as error:
        raise CommandError(message_of(error)) from error
    return {
        "correct": verdict.correct,
        "well_formed": verdict.well_formed,
        "status": verdict.status,
        "extracted": verdict.extracted,
        "milliseconds": round(verdict.milliseconds, 3),
    }


def _fields(row: Row) -> tuple[str, Any, str]:
    require(row.values, REQUIRED, row.where)
    refuse_misspelt(row.values, OPTIONAL, row.where)
    response, gold, prompt = row.values["response"], row.values["gold"], row.values.get("prompt")
    if not isinstance(response, str):
        raise BadInput(f"{row.where}: response must be a text, not {kind(response)}")
    if not (prompt is None or isinstance(prompt, str)):
        raise BadInput(f"{row.where}: prompt must be a text as the model sees it, not {kind(prompt)}")
    try:
        gold_answers(gold)
    except ValueError as error:
        raise BadInput(
            f"{row.where}: gold={gold!r:.80} is no answer; give a text that is not blank, a finite number, or a list "
            "of these"
        ) from error
    return response, gold, prompt or ""


def _failed(error: CommandError) -> Future[dict[str, Any]]:
    future: Future[dict[str, Any]] = Future()
    future.set_exception(error)
    return future

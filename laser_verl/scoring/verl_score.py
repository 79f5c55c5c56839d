"""The scorer alone, as verl's `custom_reward_function` under its stock `naive` and `dapo` reward managers.

    reward.custom_reward_function.path=pkg://laser_verl.scoring.verl_score
    +reward.custom_reward_function.reward_kwargs.thinking=boxed

Two things that our own reward managers do cannot be done here. The stock managers do not hand over the prompt: where
the chat template opens the thought, add `prompt_opens_think=true` in the same place. And they decode without special
tokens: where a tokenizer counts the think tags among these, no response has them, so all are malformed and only
`thinking=boxed` is left. Loops are looked for in words instead of tokens.
"""

import os
import threading
from collections.abc import Mapping
from typing import Any, cast

from laser_verl.core import Scores
from laser_verl.scoring.formats import reader
from laser_verl.scoring.scorer import LONGEST_SECONDS, Scorer
from laser_verl.scoring.tasks import DEFAULT, MATH, Scorers, Task, read_golds, read_scorers
from laser_verl.scoring.verdict import LAYERS, STATUSES, Verdict

_SCORES = Scores()

_lock = threading.Lock()
_made: dict[str, tuple[Scorer, Scorers]] = {}


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    thinking: str = "deepseek",
    prompt_opens_think: bool = False,
    verify_timeout_seconds: float = 5.0,
    scorers: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    r"""Score one response as verl asks for it; asynchronous, so that no thread of verl waits for a slow answer.

    Source: arXiv 2505.15612, section 2 (1 right, -0.5 wrong, -1 malformed).

    Args:
        data_source: The row's, which chooses among `scorers`.
        solution_str: Text of the response.
        ground_truth: A text, a finite number, or a list of these.
        extra_info: The row's; its `index` names the row in an error.
        thinking: A format of `formats.known()`.
        prompt_opens_think: The chat template ends every prompt with `<think>`.
        verify_timeout_seconds: Limit for one comparison by math-verify, in (0, 600].
        scorers: `{SOURCE: ENTRY, default: ENTRY}` as in `tasks.build`, users' functions apart; None takes every source
            for mathematics, save those whose answers are programs or search results.

    Returns:
        `score`, `acc` (right and well formed), `answer_correct`, `well_formed`, `repetitive` (0 or 1), `score_status`
        and `score_layer` (indices into `STATUSES` and `LAYERS`), `score_milliseconds`. All are numbers, since verl
        averages them in validation. E.g. `\boxed{0.5}` with gold "1/2": score -1.0, acc 0.0, answer_correct 1.0; after
        `<think>a</think>`: score 1.0, acc 1.0.

    Raises:
        ValueError: If an option is wrong, the source has no scorer, or the gold is missing or none that its scorer can
            read; the message names the row.
        RuntimeError: If no math-verify worker can be started.
    """
    row = f"data_source={data_source!r}, index={(extra_info or {}).get('index')!r}"
    scorer, choice = _make(thinking, prompt_opens_think, verify_timeout_seconds, scorers)
    task = _task(choice, data_source, ground_truth, row)
    verdict = await scorer.score_async(
        solution_str, ground_truth, prompt_opens_think=prompt_opens_think, row=row, judge=task.judge
    )
    return _as_numbers(verdict)


def _as_numbers(verdict: Verdict) -> dict[str, float]:
    task_score = _SCORES.correct if verdict.correct else _SCORES.wrong
    return {
        "score": task_score if verdict.well_formed else _SCORES.malformed,
        "acc": float(verdict.correct and verdict.well_formed),
        "answer_correct": float(verdict.correct),
        "well_formed": float(verdict.well_formed),
        "repetitive": float(verdict.repetitive),
        "score_status": float(STATUSES.index(verdict.status)),
        "score_layer": float(LAYERS.index(verdict.layer)),
        "score_milliseconds": verdict.milliseconds,
    }


def read_options(
    thinking: object = "deepseek",
    prompt_opens_think: object = False,
    verify_timeout_seconds: object = 5.0,
    scorers: object = None,
) -> Scorers:
    """Check the options of `compute_score`, and read the scorers among them; starts nothing.

    Args:
        thinking: As in `compute_score`.
        prompt_opens_think: As in `compute_score`.
        verify_timeout_seconds: As in `compute_score`.
        scorers: As in `compute_score`.

    Returns:
        The scorers. E.g. `read_options().find("physics")`: `MATH`.

    Raises:
        ValueError: If an option is wrong; the message begins with its name.
    """
    reader(cast(str, thinking))
    if not isinstance(prompt_opens_think, bool):
        raise ValueError(f"prompt_opens_think={prompt_opens_think!r} must be true or false")
    seconds = verify_timeout_seconds
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= LONGEST_SECONDS:
        raise ValueError(f"verify_timeout_seconds={seconds!r} must be in (0, {LONGEST_SECONDS}], e.g. 5")
    choice = Scorers({DEFAULT: MATH}) if scorers is None else read_scorers(scorers)
    if choice.functions:
        raise ValueError(
            f"scorers={scorers} names a function, which this one cannot call; name one of our reward managers, "
            "or give that function itself as reward.custom_reward_function"
        )
    return choice


def _make(
    thinking: str, prompt_opens_think: bool, timeout_seconds: float, scorers: Mapping[str, Any] | None
) -> tuple[Scorer, Scorers]:
    """One scorer per process and set of options, closed at exit by itself; a fork does not share its parent's."""
    key = repr((thinking, prompt_opens_think, timeout_seconds, scorers))
    with _lock:
        if key not in _made:
            choice = read_options(thinking, prompt_opens_think, timeout_seconds, scorers)
            _made[key] = Scorer(thinking, timeout_seconds), choice
        return _made[key]


def _begin() -> None:
    """Start anew in a forked process, whose parent may have held the lock."""
    global _lock
    _lock = threading.Lock()
    _made.clear()


os.register_at_fork(after_in_child=_begin)


def _task(choice: Scorers, data_source: str, ground_truth: Any, row: str) -> Task:
    task = choice.find(data_source)
    if task is None:
        missing = choice.explain_missing(data_source, "reward.custom_reward_function.reward_kwargs.scorers")
        raise ValueError(f"the row with {row} {missing}")
    for gold in read_golds(task.judge, ground_truth, row):
        if problem := task.check_gold(gold):
            raise ValueError(f"the row with {row}: ground_truth={gold!r:.80} {problem}")
    return task

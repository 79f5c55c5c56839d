"""The problems of an evaluation: benchmarks by name, and files of problems with gold answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import laser_verl.data
from laser_verl.commands import BadInput, WrongUsage
from laser_verl.core.checks import unknown
from laser_verl.core.keys import prompt_key
from laser_verl.data.hub import fetch
from laser_verl.data.prepare.reading import SUFFIXES, read_rows
from laser_verl.data.prepare.templates import Template
from laser_verl.scoring.tasks import DEFAULT, MATH, Scorers, Task, read_golds

MANY_SAMPLES, FEW_SAMPLES = 16, 4
MOST_ROWS_OF_MANY = 100
"""AIME24 (30 problems) and AMC23 (40) have 16 samples each in the paper, MATH500 and OlympiadBench 4."""

_PROBLEM_COLUMNS = ("problem", "question")
_GOLD_COLUMNS = ("answer", "final_answer", "gold", "ground_truth")
_VERL_COLUMNS = ("prompt", "reward_model")

_SCORERS = Scorers({DEFAULT: MATH})


@dataclass(frozen=True)
class Benchmark:
    """A benchmark that has a name.

    Attributes:
        source: Its `data_source`, which chooses the scorer.
        file: Its file in the package, or the pattern of its file on the hub.
        hub: Its name on the hub; None for one that ships.
    """

    source: str
    file: str
    hub: str | None = None


BENCHMARKS: Mapping[str, Benchmark] = {
    "aime24": Benchmark("aime24", "aime24.jsonl"),
    "amc23": Benchmark("amc23", "amc23.jsonl"),
    "math500": Benchmark("math500", "test.jsonl", "HuggingFaceH4/MATH-500"),
    "olympiad_bench": Benchmark("olympiadbench", "*OE_TO_maths_en_COMP*.parquet", "Hothan/OlympiadBench"),
}


@dataclass(frozen=True)
class Problem:
    """One problem.

    Attributes:
        benchmark: Name of the benchmark that it belongs to.
        key: 16 hexadecimal digits of benchmark and prompt.
        source: Its `data_source`, which chooses the scorer.
        messages: The prompt as chat messages.
        gold: The acceptable answer, or a list of them.
    """

    benchmark: str
    key: str
    source: str
    messages: tuple[Mapping[str, str], ...]
    gold: Any

    @property
    def question(self) -> str:
        """The text of the last message."""
        return self.messages[-1]["content"]


def scorer_of(source: str, where: str) -> Task:
    """The scorer of a data source: mathematics, unless it has one of its own.

    Args:
        source: A row's `data_source`.
        where: What names the row in the message.

    Returns:
        The scorer.

    Raises:
        BadInput: If the gold of the source is no answer, as of programs that have to be run.
    """
    task = _SCORERS.find(source)
    if task is None or task.function is not None:
        raise BadInput(
            f"{where}: data_source={source!r} is scored by running code or by search, and an evaluation compares "
            "answers; leave these rows out"
        )
    return task


def default_samples(num_problems: int) -> int:
    """Samples a problem unless a number is given: 16 of 30 problems, 4 of 500."""
    return MANY_SAMPLES if num_problems <= MOST_ROWS_OF_MANY else FEW_SAMPLES


def read_benchmark(name: str, template: Template) -> list[Problem]:
    """The problems behind one `--on`.

    Args:
        name: A name of `BENCHMARKS`, or a file.
        template: What is said around a problem; a file of verl's columns brings its own prompts.

    Returns:
        Problems in the order of the file, each once.

    Raises:
        WrongUsage: If there is no such benchmark or file.
        BadInput: If the file has another layout, a row lacks its gold, or two rows disagree about one.
    """
    known = BENCHMARKS.get(name)
    path = Path(name).expanduser()
    if known is not None:
        title, source, path = name, known.source, _file_of(name, known)
    elif path.is_file():
        title, source = path.stem, "math"
    elif path.suffix in SUFFIXES or len(path.parts) > 1:
        raise WrongUsage(f"--on {name} does not exist; give a file, or one of {', '.join(BENCHMARKS)}")
    else:
        raise WrongUsage(f"--on: {unknown('benchmark', name, BENCHMARKS)}; or give a file ({', '.join(SUFFIXES)})")
    rows = ((f"{path} row {number}", row) for number, row in enumerate(read_rows(path)))
    return _without_copies(_problem(title, source, template, where, row) for where, row in rows)


def _file_of(name: str, known: Benchmark) -> Path:
    if known.hub is None:
        return Path(laser_verl.data.__file__).with_name("benchmarks") / known.file
    then, by_hand = "give the file by --on", f"--include '{known.file}'"
    folder = fetch(known.hub, [known.file], is_dataset=True, asked=f"--on {name}", by_hand=by_hand, then=then)
    found = [path for path in sorted(folder.rglob("*")) if path.match(known.file)]
    if not found:
        raise BadInput(f"--on {name}: {known.hub} has no {known.file}; {then}")
    return found[0]


def _problem(title: str, source: str, template: Template, where: str, row: Mapping[str, Any]) -> Problem:
    messages, gold = _of_verl(row, where) if _is_of_verl(row) else _of_table(row, where, template)
    source = str(row.get("data_source") or source) if _is_of_verl(row) else source
    task = scorer_of(source, where)
    try:
        read_golds(task.judge, gold)
    except ValueError as error:
        raise BadInput(
            f"{where}: the gold {gold!r:.80} is no answer; give a text that is not blank, a finite number, or a list "
            "of these"
        ) from error
    return Problem(title, prompt_key(title, messages, None), source, tuple(messages), gold)


def _is_of_verl(row: Mapping[str, Any]) -> bool:
    return all(name in row for name in _VERL_COLUMNS)


def _of_verl(row: Mapping[str, Any], where: str) -> tuple[list[dict[str, str]], Any]:
    prompt, reward_model = row["prompt"], row["reward_model"]
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    is_sound = isinstance(messages, list) and messages
    if not is_sound or not all(isinstance(one, dict) and isinstance(one.get("content"), str) for one in messages):
        raise BadInput(f"{where}: prompt={prompt!r:.80} is no list of chat messages with texts; write it as verl does")
    if not isinstance(reward_model, dict) or "ground_truth" not in reward_model:
        raise BadInput(f"{where}: reward_model has no ground_truth; every row needs its gold answer")
    return [{"role": str(one.get("role")), "content": one["content"]} for one in messages], reward_model["ground_truth"]


def _of_table(row: Mapping[str, Any], where: str, template: Template) -> tuple[list[dict[str, str]], Any]:
    problem = next((row[name] for name in _PROBLEM_COLUMNS if name in row), None)
    gold = next((name for name in _GOLD_COLUMNS if name in row), None)
    if problem is None or gold is None:
        raise BadInput(
            f"{where} has the columns {', '.join(row)}; an evaluation needs a problem ({', '.join(_PROBLEM_COLUMNS)}) "
            f"and its gold ({', '.join(_GOLD_COLUMNS)}), or verl's prompt and reward_model"
        )
    if not isinstance(problem, str) or not problem.strip():
        raise BadInput(f"{where}: the problem {problem!r:.80} is no text; give one")
    return template.messages(problem), row[gold]


def _without_copies(problems: Iterator[Problem]) -> list[Problem]:
    found: dict[str, Problem] = {}
    for problem in problems:
        other = found.setdefault(problem.key, problem)
        if other.gold != problem.gold:
            raise BadInput(
                f"{problem.benchmark}: one problem has the golds {other.gold!r:.60} and {problem.gold!r:.60}: "
                f"{problem.question!r:.80}; keep the right one, or one row with a list of both"
            )
    return list(found.values())

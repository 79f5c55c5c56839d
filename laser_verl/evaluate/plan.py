"""What an evaluation is asked to do, checked before a model loads."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from laser_verl.commands import WrongUsage
from laser_verl.core.checks import unknown
from laser_verl.data.prepare.templates import TEMPLATES
from laser_verl.evaluate.problems import BENCHMARKS, Problem, default_samples, read_benchmark
from laser_verl.evaluate.settings import DTYPES
from laser_verl.scoring import formats


@dataclass(frozen=True, kw_only=True)
class Request:
    """The options of the command line, under their names."""

    model: str
    on: list[str]
    out: Path
    samples: int | None
    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    dtype: str
    template: str
    thinking: str
    budgets: str | None
    cue: str
    answer_tokens: int
    workers: int
    tensor_parallel: int
    max_num_seqs: int | None


@dataclass(frozen=True)
class Plan:
    """A request that has been checked.

    Attributes:
        request: The request.
        problems: All problems, in the order of the benchmarks.
        samples: Samples a problem, by benchmark.
        budgets: Budgets of the thought, tokens, ascending.
    """

    request: Request
    problems: list[Problem]
    samples: dict[str, int]
    budgets: list[int] = field(default_factory=list)


def make_plan(request: Request) -> Plan:
    """Check a request and read its problems.

    Args:
        request: The request.

    Returns:
        The plan.

    Raises:
        WrongUsage: If an option is out of range, or a benchmark is unknown.
        BadInput: If a file of problems is bad.
    """
    _check_numbers(request)
    for option, value, known in (
        ("dtype", request.dtype, DTYPES),
        ("template", request.template, tuple(TEMPLATES)),
        ("thinking", request.thinking, formats.known()),
    ):
        if value not in known:
            raise WrongUsage(f"--{option}: {unknown(option, value, known)}")
    if not request.on:
        raise WrongUsage(f"--on is missing; give a file of problems, or one of {', '.join(BENCHMARKS)}")
    budgets = read_budgets(request.budgets)
    problems: list[Problem] = []
    samples: dict[str, int] = {}
    for name in request.on:
        found = read_benchmark(name, TEMPLATES[request.template])
        title = found[0].benchmark
        if title in samples:
            raise WrongUsage(f"--on {name}: there is a benchmark {title} already; rename the file")
        samples[title] = request.samples or default_samples(len(found))
        problems += found
    return Plan(request, problems, samples, budgets)


def read_budgets(text: str | None) -> list[int]:
    """The budgets of `--budgets`.

    Args:
        text: Whole numbers of 0 or more with commas between them, None for none.

    Returns:
        The numbers, ascending; of `"1000,0"` they are 0 and 1000.

    Raises:
        WrongUsage: If it is anything else.
    """
    if text is None:
        return []
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise WrongUsage(
            f"--budgets {text!r} must be whole numbers of tokens, 0 or more, with commas between them; give e.g. "
            "--budgets 0,500,1000,2000,4000,8000"
        )
    return sorted(set(map(int, parts)))


def _check_numbers(request: Request) -> None:
    for option, least in (
        ("samples", 1),
        ("max_tokens", 1),
        ("seed", 0),
        ("answer_tokens", 1),
        ("workers", 1),
        ("tensor_parallel", 1),
        ("max_num_seqs", 1),
    ):
        value = getattr(request, option)
        if value is not None and value < least:
            raise WrongUsage(f"--{option.replace('_', '-')} {value} must be {least} or more")
    if not 0 <= request.temperature <= 10:
        raise WrongUsage(f"--temperature {request.temperature} must be from 0 to 10; the paper has 0.6")
    if not 0 < request.top_p <= 1:
        raise WrongUsage(f"--top-p {request.top_p} must be above 0 and at most 1; the paper has 0.95")

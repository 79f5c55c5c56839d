"""How long each method takes on 10^6 responses, beside a loop-style version of it: `python benchmarks/methods.py`.

Every method observes and shapes shuffled rows, in groups of 8, that it has a history of; every advantage rule works on
rewards of kimi. Pinned to one core; the smallest processor time of several repeats counts. Three numbers for each:
seconds; the ratio to a tenth of the responses, of which 10 is linear; and how many times slower loops are. These are
the oracles of the tests, plain Python over the rows with the same options, timed on at most 2 * 10^4 of the same
responses and scaled by their number. `--responses` takes another number in the place of 10^6. Takes about half a
minute.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from shaping import GROUP_SIZE, columns, parser_of, seconds

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from laser_verl.core import Context, Rollouts, build, method_names
from laser_verl.core.advantages.base import build_rule, rule_names
from tests.oracles.advantages import RULE_ORACLES, Rated
from tests.oracles.rows import Batch, Oracle, Row
from tests.property.random_groups import all_oracles

MOST_OF_LOOPS = 2 * 10**4
CONTEXT = Context(GROUP_SIZE, 20_480)
# Adaptive targets are chosen anew after as many steps.
STEPS_APART = 20
RULE_OPTIONS: dict[str, dict[str, Any]] = {"drpo": {"max_length": 20_480}}
DRAWS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "budget": lambda draw, size: draw.integers(1, 4001, size).astype(np.float64),
    "data_source": lambda draw, size: draw.choice(np.array(["math", "code", "chat"], dtype=object), size),
    "reference_accuracy": lambda draw, size: draw.random(size),
    "reference_length": lambda draw, size: draw.integers(1, 16_385, size).astype(np.float64),
    "shortest_correct": lambda draw, size: draw.integers(1, 16_385, size).astype(np.float64),
    "uses_thinking": lambda draw, size: draw.integers(0, 2, size).astype(np.float64),
}


@dataclass(frozen=True)
class Timing:
    """Seconds on a tenth of the responses, on all of them, and of loops over all of them."""

    small: float
    large: float
    loops: float


def batch(size: int) -> Rollouts:
    """A batch in shuffled rows with all columns that methods read."""
    given = columns(size, seed=1)
    draw = np.random.default_rng(2)
    # one value per prompt, but for what each response has of its own
    extra = {
        name: drawn(draw, size) if name == "uses_thinking" else drawn(draw, size // GROUP_SIZE)[given["prompt"]]
        for name, drawn in DRAWS.items()
    }
    return Rollouts.build(**given, columns=extra, max_response_length=CONTEXT.max_response_length)


def fewer(rollouts: Rollouts) -> Rollouts:
    """The first groups of a batch."""
    return rollouts.select(rollouts.group < MOST_OF_LOOPS // GROUP_SIZE)


def grouped(rollouts: Rollouts, rows: Iterable[Any]) -> list[list[Any]]:
    """The rows group by group."""
    groups: list[list[Any]] = [[] for _ in range(rollouts.num_groups)]
    for group, row in zip(rollouts.group.tolist(), rows, strict=True):
        groups[group].append(row)
    return groups


def rows_of(rollouts: Rollouts, names: Iterable[str]) -> list[Row]:
    """What an oracle of a method sees of a batch."""
    known = (rollouts.group, rollouts.length, rollouts.correct, rollouts.well_formed)
    given = {name: rollouts.columns[name].tolist() for name in names}
    return [
        Row(*values, columns={name: column[row] for name, column in given.items()})
        for row, values in enumerate(zip(*(column.tolist() for column in known), strict=True))
    ]


def time_method(name: str, batches: list[Rollouts], repeats: int) -> Timing:
    """Time a method and its oracle."""
    oracle = all_oracles()[name]
    options, times = oracle.options[0], []
    for rollouts in batches:
        method = build(name, options, CONTEXT)
        method.observe(rollouts)
        # Copies, so that sums cached by an earlier repeat do not help.
        steps = iter([replace(rollouts, step=STEPS_APART * step) for step in range(1, repeats + 1)])

        def task(method: Any = method, steps: Any = steps) -> None:
            fresh = next(steps)
            method.observe(fresh)
            assert np.isfinite(method.shape(fresh).reward).all()

        times.append(seconds(task, repeats))
    return Timing(*times, time_oracle(oracle, batches[-1], repeats))


def time_oracle(oracle: Oracle, rollouts: Rollouts, repeats: int) -> float:
    """Time loops over the first groups, which come twice so that there is a history, and scale to all of the batch."""
    some = fewer(rollouts)
    groups = grouped(some, rows_of(some, oracle.columns))
    run = [Batch(groups, step) for step in (0, STEPS_APART)]
    return seconds(lambda: oracle.rule(run, **oracle.options[0]), repeats) / 2 * rollouts.size / some.size


def time_rule(name: str, batches: list[Rollouts], repeats: int) -> Timing:
    """Time an advantage rule and its oracle on rewards of kimi."""
    options, times = RULE_OPTIONS.get(name, {}), []
    for rollouts in batches:
        rule, shaped = build_rule(name, options, replace(CONTEXT, group_size=None)), build("kimi").shape(rollouts)
        copies = iter([replace(rollouts) for _ in range(repeats)])

        def task(rule: Any = rule, shaped: Any = shaped, copies: Any = copies) -> None:
            assert np.isfinite(rule.advantages(next(copies), shaped, shaped.reward).values).all()

        times.append(seconds(task, repeats))
    some = fewer(batches[-1])
    shaped = build("kimi").shape(some)
    values = (some.length, some.solved, shaped.task_reward, shaped.length_reward)
    groups = grouped(some, [Rated(*row) for row in zip(*(column.tolist() for column in values), strict=True)])
    loops = seconds(lambda: RULE_ORACLES[name].rule(groups, **options), repeats)
    return Timing(*times, loops * batches[-1].size / some.size)


KINDS: dict[str, tuple[list[str], Callable[[str, list[Rollouts], int], Timing]]] = {
    "length rewards": (method_names(), time_method),
    "advantages": (rule_names(), time_rule),
}


def table_of(size: int) -> Table:
    """The headings."""
    loops = f"loops, s for\n{size:,}, from\n{min(size, MOST_OF_LOOPS):,}"
    table = Table("", f"s for\n{size // 10:,}", f"s for\n{size:,}", "ratio", loops, "times\nslower")
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__)
    known = sorted({name for names, _ in KINDS.values() for name in names})
    parser.add_argument("--only", nargs="+", choices=known, metavar="NAME", help="names of methods and rules")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    table = table_of(arguments.responses)
    batches = [batch(size) for size in (arguments.responses // 10, arguments.responses)]
    timings: dict[str, Timing] = {}
    for kind, (names, time) in KINDS.items():
        table.add_row(kind)
        for name in names:
            if arguments.only is None or name in arguments.only:
                timings[f"{name} ({kind})"] = found = time(name, batches, arguments.repeats)
                numbers = (f"{found.small:.4f}", f"{found.large:.3f}", f"{found.large / found.small:.1f}")
                table.add_row(f"  {name}", *numbers, f"{found.loops:.2f}", f"{found.loops / found.large:.0f}")
        table.add_section()
    Console(width=100).print(table)
    slowest = max(timings, key=lambda name: timings[name].large)
    print(f"slowest: {slowest}, {timings[slowest].large:.3f} s on {arguments.responses:,} responses")


if __name__ == "__main__":
    main()

"""How long each method takes on 10^6 responses, beside a loop-style version of it: `python benchmarks/methods.py`.

Every method observes and shapes shuffled rows, in groups of 8, that it has a history of; every advantage rule works on
rewards of kimi. Pinned to one core; the smallest processor time of several repeats counts. A ratio of 10^6 to 10^5
responses of 10 is linear. The loops are the oracles of the tests, plain Python over the rows of a group with the same
options, timed on 2 * 10^4 of the same responses and scaled to 10^6. Takes about half a minute.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from shaping import GROUP_SIZE, columns, seconds

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from laser_verl.core import Context, Rollouts, build, method_names
from laser_verl.core.advantages.base import build_rule, rule_names
from tests.oracles.advantages import RULE_ORACLES, Rated
from tests.oracles.rows import Row
from tests.property.random_groups import all_oracles, expected

SIZES = (10**5, 10**6)
LOOP_SIZE = 2 * 10**4
CONTEXT = Context(GROUP_SIZE, 20_480)

# Where the defaults do not do and no oracle says which options to take.
OPTIONS: dict[str, dict[str, Any]] = {
    "laser": {"target_length": 4096},
    "mixed": {"per_data_source": {"math": "laser_d", "code": "kimi", "default": "none"}},
}
RULE_OPTIONS: dict[str, dict[str, Any]] = {"drpo": {"max_length": 20_480}}
# The oracle of GDPO goes through every token, 10^10 of them.
WITHOUT_LOOPS = ("gdpo",)
DRAWS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "budget": lambda draw, size: draw.integers(1, 4001, size).astype(np.float64),
    "data_source": lambda draw, size: draw.choice(np.array(["math", "code", "chat"], dtype=object), size),
    "reference_accuracy": lambda draw, size: draw.random(size),
    "reference_length": lambda draw, size: draw.integers(1, 16_385, size).astype(np.float64),
    "uses_thinking": lambda draw, size: draw.integers(0, 2, size).astype(np.float64),
}


@dataclass(frozen=True)
class Timing:
    """Seconds on each of `SIZES`, and of loops over the larger one; None if there are no loops."""

    small: float
    large: float
    loops: float | None


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
    return rollouts.select(rollouts.group < LOOP_SIZE // GROUP_SIZE)


def grouped(rollouts: Rollouts, rows: list[Any]) -> list[list[Any]]:
    """The rows group by group."""
    groups: list[list[Any]] = [[] for _ in range(rollouts.num_groups)]
    for group, row in zip(rollouts.group.tolist(), rows, strict=True):
        groups[group].append(row)
    return groups


def rows_of(rollouts: Rollouts, names: tuple[str, ...]) -> list[Row]:
    """What an oracle of a method sees of a batch."""
    length, solved, well_formed = rollouts.length.tolist(), rollouts.solved.tolist(), rollouts.well_formed.tolist()
    given = {name: rollouts.columns[name].tolist() for name in names}
    return [
        Row(length[row], solved[row], well_formed[row], columns={name: values[row] for name, values in given.items()})
        for row in range(rollouts.size)
    ]


def scaled(task: Callable[[], Any], repeats: int) -> float:
    """Seconds that loops over a few groups would take on the largest size."""
    return seconds(task, repeats) * SIZES[-1] / LOOP_SIZE


def time_method(name: str, batches: Mapping[int, Rollouts], repeats: int) -> Timing:
    """Time a method, and its oracle if it has one."""
    oracle = all_oracles().get(name)
    options = oracle.options[0] if oracle else OPTIONS.get(name, {})
    times = []
    for rollouts in batches.values():
        method = build(name, options, CONTEXT)
        method.observe(rollouts)
        # Copies, so that sums cached by an earlier repeat do not help; adaptive targets are chosen anew at each step.
        steps = iter([replace(rollouts, step=20 * step) for step in range(1, repeats + 1)])

        def task(method: Any = method, steps: Any = steps) -> None:
            fresh = next(steps)
            method.observe(fresh)
            assert np.isfinite(method.shape(fresh).reward).all()

        times.append(seconds(task, repeats))
    if oracle is None:
        return Timing(*times, None)
    some = fewer(batches[SIZES[-1]])
    groups = grouped(some, rows_of(some, oracle.columns))
    return Timing(*times, scaled(lambda: expected(oracle, groups, options), repeats))


def time_rule(name: str, batches: Mapping[int, Rollouts], repeats: int) -> Timing:
    """Time an advantage rule and its oracle on rewards of kimi."""
    options, times = RULE_OPTIONS.get(name, {}), []
    for rollouts in batches.values():
        rule, shaped = build_rule(name, options, replace(CONTEXT, group_size=None)), build("kimi").shape(rollouts)
        copies = iter([replace(rollouts) for _ in range(repeats)])

        def task(rule: Any = rule, shaped: Any = shaped, copies: Any = copies) -> None:
            assert np.isfinite(rule.advantages(next(copies), shaped, shaped.reward).values).all()

        times.append(seconds(task, repeats))
    if name in WITHOUT_LOOPS:
        return Timing(*times, None)
    some = fewer(batches[SIZES[-1]])
    shaped = build("kimi").shape(some)
    values = (some.length, some.solved, shaped.task_reward, shaped.length_reward)
    groups = grouped(some, [Rated(*row) for row in zip(*(column.tolist() for column in values), strict=True)])
    return Timing(*times, scaled(lambda: RULE_ORACLES[name].rule(groups, **options), repeats))


def add_row(table: Table, name: str, timing: Timing) -> None:
    """One line of the table."""
    loops = ("", "") if timing.loops is None else (f"{timing.loops:.1f}", f"{timing.loops / timing.large:.0f}")
    table.add_row(name, f"{timing.small:.4f}", f"{timing.large:.3f}", f"{timing.large / timing.small:.1f}", *loops)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="*", help="names of methods and rules")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    table = Table("", "10^5 [s]", "10^6 [s]", "ratio", "loops, 10^6 [s]", "times slower")
    for column in table.columns[1:]:
        column.justify = "right"
    batches = {size: batch(size) for size in SIZES}
    timings: dict[str, Timing] = {}
    for kind, names, time in (("length rewards", method_names(), time_method), ("advantages", rule_names(), time_rule)):
        table.add_row(kind)
        for name in names:
            if arguments.only is None or name in arguments.only:
                timings[f"{name} ({kind})"] = timing = time(name, batches, arguments.repeats)
                add_row(table, f"  {name}", timing)
        table.add_section()
    Console(width=100).print(table)
    slowest = max(timings, key=lambda name: timings[name].large)
    print(f"slowest: {slowest}, {timings[slowest].large:.3f} s on 10^6 responses")


if __name__ == "__main__":
    main()

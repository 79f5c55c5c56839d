"""All oracles, random runs to try them on, and what a method pays on a run."""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from laser_verl.core import Context, Rollouts, build
from laser_verl.core.history import with_history
from laser_verl.core.tracker import DifficultyTracker
from tests import oracles
from tests.oracles.rows import ORACLES, Batch, Group, Oracle, Row

SIZES = (1, 2, 6, 8, 16)
LONGEST = 20_000
# Limits among the options that the oracles are tried with, and their neighbours.
EDGES = tuple(limit + by for limit in (300, 1000, 2000, 2500, 3000, 4000, 14_320, 16_384) for by in (-1, 0, 1))
# Apart by one or by more; the last ones are 20 steps after the first.
STEPS = (0, 1, 2, 3, 5, 6, 8, 11, 14, 19, 20, 21)
GROUPS_PER_STEP = 100
NUM_PROMPTS = 130
SOURCES = ("math", "code", "chat")


def all_oracles() -> Mapping[str, Oracle]:
    """The oracles of all modules."""
    for module in pkgutil.iter_modules(oracles.__path__):
        importlib.import_module(f"{oracles.__name__}.{module.name}")
    return ORACLES


def random_run(seed: int) -> list[Batch]:
    """Batches of groups of all sizes: nobody, somebody or everybody right; lengths that differ, tie, or are all equal.

    Most prompts come back in a later batch, of the same data source.
    """
    draw = np.random.default_rng(seed)
    run = []
    for step in STEPS:
        thinking = draw.choice([0.1, 0.5, 0.8, 1.0])
        prompts = draw.permutation(NUM_PROMPTS)[:GROUPS_PER_STEP]
        run.append(
            Batch([_random_group(draw, int(prompt), int(draw.choice(SIZES)), thinking) for prompt in prompts], step)
        )
    return run


def _random_group(draw: np.random.Generator, prompt: int, size: int, thinking: float) -> Group:
    lengths = _random_lengths(draw, size)
    pass_rate = draw.choice([0.0, 1.0, draw.random(), draw.random()])
    malformed, truncated, repetitive = draw.choice([0.0, 0.2], size=3)
    of_prompt = {
        "budget": float(draw.integers(1, 16_000)),
        "data_source": SOURCES[prompt % len(SOURCES)],
        "reference_accuracy": float(draw.integers(0, 9) / 8),
        "reference_length": float(draw.integers(1, LONGEST)),
    }
    return [
        Row(
            prompt=f"p{prompt}",
            length=int(length),
            correct=bool(draw.random() < pass_rate),
            well_formed=bool(draw.random() >= malformed),
            repetitive=bool(draw.random() < repetitive),
            truncated=bool(draw.random() < truncated),
            columns={**of_prompt, "uses_thinking": float(draw.random() < thinking)},
        )
        for length in lengths
    ]


def _random_lengths(draw: np.random.Generator, size: int) -> np.ndarray:
    kind, longest = draw.integers(4), int(draw.choice([3, 60, LONGEST]))
    if kind == 0:
        return np.full(size, draw.integers(longest + 1))
    if kind == 1:
        return draw.choice(draw.integers(longest + 1, size=3), size)
    if kind == 2:
        return draw.choice(EDGES, size)
    return draw.integers(longest + 1, size=size)


def rollouts_of(
    rows: Sequence[Row],
    columns: Iterable[str] = (),
    missing: Mapping[str, Any] = MappingProxyType({}),
    **extra: Any,
) -> Rollouts:
    """The rows as one batch; where a row lacks a column, it gets what `missing` says, else NaN."""
    return Rollouts.build(
        [row.prompt for row in rows],
        [row.length for row in rows],
        [row.correct for row in rows],
        well_formed=[row.well_formed for row in rows],
        repetitive=[row.repetitive for row in rows],
        truncated=[row.truncated for row in rows],
        columns={
            name: np.array([row.columns.get(name, missing.get(name, math.nan)) for row in rows]) for name in columns
        },
        **extra,
    )


def rewards(
    name: str,
    options: Mapping[str, Any],
    run: Iterable[Batch],
    columns: Iterable[str] = (),
    group_size: int | None = None,
) -> list[float]:
    """What a method pays each row of a run, in the order of the oracles; it is shown the rows of a batch shuffled."""
    method, tracker, paid = build(name, options, Context(group_size)), DifficultyTracker(), list[float]()
    for batch in run:
        rows = [row for group in batch.groups for row in group]
        order = np.random.default_rng(batch.step).permutation(len(rows))
        rollouts = rollouts_of([rows[place] for place in order], columns, step=batch.step)
        with np.errstate(all="raise", under="ignore"):
            rollouts = with_history(rollouts, tracker, method.columns)
            method.observe(rollouts)
            shaped = method.shape(rollouts).reward
            tracker.observe(rollouts)
        in_order = np.empty_like(shaped)
        in_order[order] = shaped
        paid += in_order.tolist()
    return paid

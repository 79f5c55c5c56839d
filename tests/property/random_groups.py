"""All oracles, and random groups to try them on."""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from laser_verl.core import Rollouts
from tests import oracles
from tests.oracles.rows import ORACLES, Oracle, Row

SIZES = (1, 2, 6, 8, 16)
LONGEST = 20_000
# Limits among the options that the oracles are tried with, and their neighbours.
EDGES = tuple(limit + by for limit in (300, 1000, 2000, 2500, 3000, 4000, 14_320, 16_384) for by in (-1, 0, 1))


def all_oracles() -> Mapping[str, Oracle]:
    """The oracles of all modules."""
    for module in pkgutil.iter_modules(oracles.__path__):
        importlib.import_module(f"{oracles.__name__}.{module.name}")
    return ORACLES


def random_groups(number: int, seed: int) -> list[list[Row]]:
    """Groups of all sizes: nobody, somebody or everybody right; lengths that differ, tie, or are all equal."""
    draw = np.random.default_rng(seed)
    return [_random_group(draw, int(draw.choice(SIZES))) for _ in range(number)]


def _random_group(draw: np.random.Generator, size: int) -> list[Row]:
    lengths = _random_lengths(draw, size)
    pass_rate = draw.choice([0.0, 1.0, draw.random(), draw.random()])
    malformed, truncated = draw.choice([0.0, 0.2], size=2)
    of_prompt = {
        "budget": float(draw.integers(1, 16_000)),
        "reference_accuracy": float(draw.integers(0, 9) / 8),
        "reference_length": float(draw.integers(1, LONGEST)),
    }
    rows = []
    for length in lengths:
        well_formed = bool(draw.random() >= malformed)
        rows.append(
            Row(
                length=int(length),
                solved=bool(draw.random() < pass_rate) and well_formed,
                well_formed=well_formed,
                truncated=bool(draw.random() < truncated),
                columns={**of_prompt, "uses_thinking": float(draw.integers(2))},
            )
        )
    return rows


def _random_lengths(draw: np.random.Generator, size: int) -> np.ndarray:
    kind, longest = draw.integers(4), int(draw.choice([3, 60, LONGEST]))
    if kind == 0:
        return np.full(size, draw.integers(longest + 1))
    if kind == 1:
        return draw.choice(draw.integers(longest + 1, size=3), size)
    if kind == 2:
        return draw.choice(EDGES, size)
    return draw.integers(longest + 1, size=size)


def rollouts_of(groups: Sequence[Sequence[Row]], columns: Iterable[str] = (), seed: int | None = None) -> Rollouts:
    """The groups as one batch; with a seed in shuffled rows, else one after the other."""
    rows = [(number, row) for number, group in enumerate(groups) for row in group]
    if seed is not None:
        rows = [rows[place] for place in shuffled(len(rows), seed)]
    return Rollouts.build(
        [number for number, _ in rows],
        [row.length for _, row in rows],
        [row.solved for _, row in rows],
        well_formed=[row.well_formed for _, row in rows],
        truncated=[row.truncated for _, row in rows],
        columns={name: np.array([row.columns.get(name, math.nan) for _, row in rows]) for name in columns},
    )


def shuffled(size: int, seed: int) -> list[int]:
    """An order of rows."""
    order: list[int] = np.random.default_rng(seed).permutation(size).tolist()
    return order


def expected(oracle: Oracle, groups: Sequence[Sequence[Row]], options: Mapping[str, Any]) -> list[float]:
    """What an oracle pays, group by group, row by row."""
    return [reward for group in groups for reward in oracle.rule(list(group), **options)]

"""Methods that go by the training step, by earlier batches, or by other methods, as plain loops over a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tests.oracles.rows import ORACLES, Batch, run_oracle


@run_oracle(
    "hapo",
    {},
    {"weight": 0.3},
    {"kind": "linear"},
    {"kind": "linear", "tolerance": 0.5},
)
def hapo(batches: Sequence[Batch], weight: float = 1.0, kind: str = "cosine", tolerance: float = 0.1) -> list[float]:
    history: dict[Any, int] = {}
    rewards = []
    for batch in batches:
        for group in batch.groups:
            for row in group:
                h, term = history.get(row.prompt, 0), 0.0
                if h and kind == "cosine":
                    term = math.cos(min(math.pi / 2 * row.length / h, math.pi))
                elif h and row.length < h:
                    term = 1 - row.length / h
                elif h and row.length > (1 + tolerance) * h:
                    term = max(-(row.length - (1 + tolerance) * h) / h, -1.0)
                rewards.append(1.0 + weight * max(term, -0.7) if row.solved else weight * min(term, 0.0))
        for group in batch.groups:
            for row in group:
                if row.solved:
                    length = max(row.length, 1)
                    history[row.prompt] = min(length, history.get(row.prompt, length))
    return rewards


def within(batch: Batch, limit: float) -> list[float]:
    return [1.0 if row.solved and row.length <= limit else 0.0 for group in batch.groups for row in group]


@run_oracle("thinkprune", {"stages": (2000,)}, {"stages": (4000, 2500, 1000), "starts": (0, 5, 14)})
def thinkprune(batches: Sequence[Batch], stages: tuple[int, ...], starts: tuple[int, ...] = (0,)) -> list[float]:
    rewards = []
    for batch in batches:
        limit = stages[0]
        for stage, start in zip(stages, starts, strict=True):
            if batch.step >= start:
                limit = stage
        rewards += within(batch, limit)
    return rewards


# Half-way between the two limits, where a last bit would decide, no whole number of tokens lies.
LIMITS = {"longest": 3000, "shortest": 999}


@run_oracle(
    "siri",
    {**LIMITS, "period": 16},
    {**LIMITS, "period": 10, "kind": "stair"},
    {**LIMITS, "period": 16, "kind": "stair_cosine"},
    {**LIMITS, "period": 9, "kind": "stair_cosine"},
)
def siri(batches: Sequence[Batch], longest: int, shortest: int, period: int = 640, kind: str = "cosine") -> list[float]:
    middle, swing = (longest + shortest) / 2, (longest - shortest) / 2
    rewards = []
    for batch in batches:
        phase = batch.step % period
        angle = 2 * math.pi * phase / period
        if kind == "stair":
            limit = float(shortest if 2 * phase < period else longest)
        elif kind == "cosine":
            limit = middle + swing * math.cos(angle)
        elif 8 * phase < period or 8 * phase >= 7 * period:
            limit = float(longest)
        elif 8 * phase < 3 * period:
            limit = middle + swing * math.cos(2 * (angle - math.pi / 4))
        elif 8 * phase < 5 * period:
            limit = float(shortest)
        else:
            limit = middle + swing * math.cos(2 * (angle - 3 * math.pi / 4))
        rewards += within(batch, limit)
    return rewards


@run_oracle(
    "mixed",
    {"per_data_source": {"math": {"method": "laser_d", "upper_bound": 16384}, "code": "hapo", "default": "none"}},
    {"per_data_source": {"default": {"method": "hapo", "weight": 0.5}, "code": "kimi"}},
    columns=("data_source",),
)
def mixed(batches: Sequence[Batch], per_data_source: dict[str, Any]) -> list[float]:
    paid: dict[tuple[int, int], list[float]] = {}
    for key, entry in per_data_source.items():
        options = {"method": entry} if isinstance(entry, str) else dict(entry)
        places = []
        for number, batch in enumerate(batches):
            for place, group in enumerate(batch.groups):
                source = group[0].columns["data_source"]
                if key == (source if source in per_data_source else "default"):
                    places.append((number, place))
        part = [
            Batch([batch.groups[place] for its, place in places if its == number], batch.step)
            for number, batch in enumerate(batches)
        ]
        rewards = iter(ORACLES[options.pop("method")].rule(part, **options))
        for number, place in places:
            paid[number, place] = [next(rewards) for _ in batches[number].groups[place]]
    return [
        reward
        for number, batch in enumerate(batches)
        for place in range(len(batch.groups))
        for reward in paid[number, place]
    ]

"""Methods that look at a reference, a budget or a way of answering, as plain loops over the rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.oracles.rows import Batch, Row, oracle, run_oracle


def score(row: Row) -> float:
    return 1.0 if row.solved else 0.0


def percentile(values: Sequence[int], percent: float) -> float:
    ordered = sorted(values)
    place = percent / 100 * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


@oracle("dast", {}, {"max_length": 16384})
def dast(rows: list[Row], max_length: int | None = None) -> list[float]:
    limit = max(row.length for row in rows) if max_length is None else max_length
    right = [row.length for row in rows if row.solved]
    budget = float(limit)
    if right:
        share = len(right) / len(rows)
        budget = share * sum(right) / len(right) + (1 - share) * limit
    rewards = []
    for row in rows:
        over = (row.length - budget) / budget if budget else 0.0
        if row.solved:
            rewards.append(max(-0.5 * over + 0.5, 0.1))
        else:
            rewards.append(min(0.9 * over - 0.1, -0.1))
    return rewards


@oracle("o1_pruner", {}, {"alpha": 5.0}, {"clip": [-2.0, 4.0]}, columns=("reference_length", "reference_accuracy"))
def o1_pruner(rows: list[Row], alpha: float = 2.0, clip: Sequence[float] | None = None) -> list[float]:
    rewards = []
    for row in rows:
        shorter = row.columns["reference_length"] / max(row.length, 1) - 1
        reward = shorter + alpha * (score(row) - row.columns["reference_accuracy"])
        if clip is not None:
            reward = min(max(reward, clip[0]), clip[1])
        rewards.append(reward)
    return rewards


@oracle(
    "lapo",
    {},
    {"point_window": False},
    {"percentiles": [10.0, 50.0], "slope": 400.0, "weight": 1.0},
    {"stage": 2},
    {"stage": 2, "sigma": 1000.0},
    columns=("budget",),
)
def lapo(
    rows: list[Row],
    stage: int = 1,
    weight: float | None = None,
    percentiles: Sequence[float] = (30.0, 70.0),
    slope: float = 100.0,
    point_window: bool = True,
    sigma: float = 120.0,
) -> list[float]:
    if weight is None:
        weight = 0.7 if stage == 1 else 0.8
    right = [row.length for row in rows if row.solved]
    rewards = []
    for row in rows:
        bonus = 0.0
        if row.solved and stage == 1:
            low, high = (percentile(right, percent) for percent in percentiles)
            if low <= row.length <= high:
                bonus = 1.0
            else:
                bonus = max(0.0, 1 - min(abs(row.length - low), abs(row.length - high)) / slope)
            if low == high and not point_window:
                bonus = 0.0
        elif row.solved:
            bonus = math.exp(-((row.length - row.columns["budget"]) ** 2) / (2 * sigma**2))
        rewards.append(score(row) + weight * bonus)
    return rewards


@oracle("da_dler", {}, {"limit_easy": 300, "limit_hard": 2500})
def da_dler(rows: list[Row], limit_easy: int = 2000, limit_hard: int = 4000) -> list[float]:
    solved = sum(row.solved for row in rows)
    limit = limit_easy if solved / len(rows) >= 0.5 else limit_hard
    return [1.0 if row.solved and row.length <= limit else 0.0 for row in rows]


@oracle("thinkless", {}, {"weight": 0.25}, columns=("uses_thinking",))
def thinkless(rows: list[Row], weight: float = 0.5) -> list[float]:
    rewards = []
    for row in rows:
        if not row.solved:
            rewards.append(-1.0)
        elif row.columns["uses_thinking"]:
            rewards.append(1.0 - weight)
        else:
            rewards.append(1.0)
    return rewards


# What the balance moves a reward towards, by whether the response thinks and is solved.
LOWER = {(True, True): 0.0, (True, False): -1.0, (False, True): 1.0, (False, False): -2.0}


def base_of(row: Row) -> float:
    if row.columns["uses_thinking"]:
        return 1.0 if row.solved else 0.0
    return 2.0 if row.solved else -1.0


def length_step(row: Row, rows: list[Row], alpha: float, beta: float) -> float:
    alike = [other.length for other in rows if other.solved == row.solved]
    if len(alike) == 1:
        return 0.0
    mean = sum(alike) / len(alike)
    std = math.sqrt(sum((length - mean) ** 2 for length in alike) / (len(alike) - 1))
    z = (row.length - mean) / max(std, 1e-6)
    return math.exp(-alpha * z) - 1 if row.solved else 1 - math.exp(-beta * z)


@run_oracle(
    "autothink",
    {},
    {"stage": 2},
    {"stage": 3},
    {"stage": 3, "alpha": 0.2, "beta": 0.0},
    {"alpha": 0.1, "beta": 0.3, "gamma": 0.2},
    columns=("uses_thinking",),
)
def autothink(
    batches: Sequence[Batch],
    stage: int = 1,
    alpha: float | None = None,
    beta: float | None = None,
    gamma: float | None = None,
) -> list[float]:
    step = 0.05 if stage == 3 else 0.0
    alpha, beta = step if alpha is None else alpha, step if beta is None else beta
    gamma = (0.5 if stage == 1 else 1.0) if gamma is None else gamma
    rewards = []
    for batch in batches:
        kinds = [bool(row.columns["uses_thinking"]) for rows in batch.groups for row in rows]
        share = {thinks: kinds.count(thinks) / max(len(kinds), 1) for thinks in (True, False)}
        for rows in batch.groups:
            for row in rows:
                thinks = bool(row.columns["uses_thinking"])
                reward = -2.0 if row.repetitive and base_of(row) < 0 else base_of(row)
                reward += length_step(row, rows, alpha, beta)
                if share[thinks] > gamma:
                    delta = min(1.0, 2.0 * (share[thinks] - gamma))
                    reward = (1 - delta) * reward + delta * LOWER[thinks, row.solved]
                rewards.append(reward)
    return rewards

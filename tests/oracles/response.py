from __future__ import annotations

import math

from tests.oracles.rows import Row, oracle


def budget_of(row: Row, otherwise: float | None = None) -> float | None:
    budget = row.columns.get("budget")
    return otherwise if budget is None or math.isnan(budget) else budget


@oracle("truncation", {"target_length": 2000}, {"target_length": 3000, "rho": -0.2})
def truncation(rows: list[Row], target_length: int, rho: float = 0.0) -> list[float]:
    rewards = []
    for row in rows:
        if row.length > target_length:
            rewards.append(rho)
        elif row.solved:
            rewards.append(1.0)
        else:
            rewards.append(-0.5 if row.well_formed else -1.0)
    return rewards


@oracle("none")
def none(rows: list[Row]) -> list[float]:
    rewards = []
    for row in rows:
        if row.solved:
            rewards.append(1.0)
        else:
            rewards.append(-0.5 if row.well_formed else -1.0)
    return rewards


@oracle("l1_exact", {}, {"alpha": 0.01, "budget": 700}, columns=("budget",))
def l1_exact(rows: list[Row], alpha: float = 0.0003, budget: float | None = None) -> list[float]:
    rewards = []
    for row in rows:
        asked = budget_of(row, budget)
        assert asked is not None
        off = row.length - asked if row.length > asked else asked - row.length
        rewards.append((1.0 if row.solved else 0.0) - alpha * off)
    return rewards


@oracle(
    "l1_max",
    {},
    {"alpha": 0.0003, "delta": 0.6},
    {"alpha": 0.0003, "variant": "released_code"},
    {"alpha": 0.0003, "variant": "laser_table"},
    columns=("budget",),
)
def l1_max(rows: list[Row], alpha: float = 0.01, delta: float = 0.5, variant: str = "paper") -> list[float]:
    rewards = []
    for row in rows:
        allowed = budget_of(row)
        assert allowed is not None
        left = allowed - row.length
        if variant == "released_code":
            worth = (min(max(alpha * left, -1.0), 1.0) + 1.0) / 2.0
        elif variant == "laser_table":
            worth = min(max(alpha * -left + delta, 0.0), 1.0)
        else:
            worth = min(max(alpha * left + delta, 0.0), 1.0)
        rewards.append(worth if row.solved else 0.0)
    return rewards


@oracle(
    "dapo_overlong",
    {"max_length": 20480},
    {"max_length": 4000, "buffer": 3000, "weight": 0.5},
    {"max_length": 4000, "buffer": 1000, "variant": "verl"},
)
def dapo_overlong(
    rows: list[Row], max_length: int, buffer: int = 4096, weight: float = 1.0, variant: str = "paper"
) -> list[float]:
    rewards = []
    for row in rows:
        into = row.length - (max_length - buffer)
        penalty = 0.0
        if variant == "paper" and row.length > max_length:
            penalty = -1.0
        elif into > 0:
            penalty = -into / buffer
        rewards.append((1.0 if row.solved else -1.0) + weight * penalty)
    return rewards


@oracle(
    "cosine",
    {"max_length": 14336},
    {"max_length": 4000, "margin": 16, "correct": (6.0, 5.0), "exceed": -3.0},
    {"max_length": 1000, "correct": (1.0, 0.5), "wrong": (-1.0, -0.5), "exceed": None},
)
def cosine(
    rows: list[Row],
    max_length: int,
    margin: int = 0,
    correct: tuple[float, float] = (2.0, 1.0),
    wrong: tuple[float, float] = (-10.0, 0.0),
    exceed: float | None = -10.0,
) -> list[float]:
    rewards = []
    for row in rows:
        start, end = correct if row.solved else wrong
        share = (1.0 + math.cos(math.pi * row.length / max_length)) / 2.0
        is_too_long = exceed is not None and row.length + margin >= max_length
        rewards.append(exceed if is_too_long and exceed is not None else share * start + (1.0 - share) * end)
    return rewards


@oracle(
    "hbpo",
    {"context_length": 20480},
    {"context_length": 16384, "alpha": 0.001, "beta": 2.0},
    {"context_length": 16384, "variant": "released_code"},
    columns=("budget",),
)
def hbpo(
    rows: list[Row],
    context_length: int,
    alpha: float | None = None,
    beta: float = 4.0,
    variant: str = "paper",
) -> list[float]:
    def curve(tokens: float) -> float:
        return beta * math.cos(3.1416 * tokens / (2 * context_length))

    rate = 1 / context_length if alpha is None else alpha
    rewards = []
    for row in rows:
        budget = budget_of(row)
        if not row.solved or row.length > context_length:
            rewards.append(0.0)
        elif budget is None:
            rewards.append(round(curve(row.length), 2))
        elif row.length > budget:
            rewards.append(curve(row.length) - rate * (row.length - budget))
        elif variant == "paper":
            rewards.append(curve(budget))
        else:
            rewards.append(min(curve(row.length) - rate * (budget - row.length), curve(budget)))
    return rewards

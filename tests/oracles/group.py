from __future__ import annotations

import math

from tests.oracles.rows import Row, oracle


@oracle("efficient", {}, {"alpha": 0.4})
def efficient(rows: list[Row], alpha: float = 0.1) -> list[float]:
    right = [row.length for row in rows if row.solved and not row.truncated]
    rewards = []
    for row in rows:
        if not row.solved or row.truncated:
            rewards.append(0.0)
            continue
        mean = sum(right) / len(right)
        variance = sum((length - mean) ** 2 for length in right) / len(right)
        z = (row.length - mean) / (math.sqrt(variance) + 1e-7)
        rewards.append(1.0 - alpha / (1.0 + math.exp(-z)))
    return rewards


@oracle("shorter_better", {}, {"alpha": 1.0, "beta": 0.01})
def shorter_better(rows: list[Row], alpha: float = 2.0, beta: float = 0.001) -> list[float]:
    target = sum(row.length for row in rows) / len(rows)
    if any(row.solved for row in rows):
        target = min(row.length for row in rows if row.solved)
    return [(alpha if row.solved else 0.0) - beta * abs(row.length - target) for row in rows]


@oracle("alp", {}, {"beta": 0.001})
def alp(rows: list[Row], beta: float = 1e-7) -> list[float]:
    num = len(rows)
    rate = max(sum(1 for row in rows if row.solved) / num, 1 / num)
    return [(1.0 if row.solved else 0.0) - beta * row.length * rate for row in rows]


@oracle("grpo_lead", {}, {"alpha": 0.3, "gate_length": 30}, {"gate_length": 4000})
def grpo_lead(rows: list[Row], alpha: float = 0.05, gate_length: int | None = None) -> list[float]:
    right = [row.length for row in rows if row.solved]
    shortest = sorted(row.length for row in rows)[:3]
    is_shaped = gate_length is None or sum(shortest) / len(shortest) > gate_length
    rewards = []
    for row in rows:
        if not row.solved:
            rewards.append(-1.0)
        elif not is_shaped:
            rewards.append(1.0)
        else:
            mean, std = sum(right) / len(right), 1.0
            if len(right) > 1:
                std = math.sqrt(sum((length - mean) ** 2 for length in right) / (len(right) - 1))
            rewards.append(math.exp(-alpha * (row.length - mean) / (std + 1e-6)))
    return rewards


@oracle("lc_r1", {}, {"weight": 0.3, "variant": "released_code"})
def lc_r1(rows: list[Row], weight: float = 1.0, variant: str = "paper") -> list[float]:
    right = [row.length for row in rows if row.solved]
    rewards = []
    for row in rows:
        reward = 0.0
        if row.well_formed:
            reward += 1.0
        if row.solved:
            reward += 1.0
        if right and max(right) > 0 and (row.solved or variant == "released_code"):
            reward += weight * (1.0 - row.length / (max(right) + 1e-4))
        rewards.append(reward)
    return rewards


@oracle("long2short", {}, {"weight": 0.5})
def long2short(rows: list[Row], weight: float = 0.2) -> list[float]:
    shortness = [1.0 / max(row.length, 1) for row in rows if row.solved]
    rewards = []
    for row in rows:
        if not row.solved:
            rewards.append(0.0)
        elif len(set(shortness)) == 1:
            rewards.append(1.0)
        else:
            mean = sum(shortness) / len(shortness)
            furthest = max(abs(value - mean) for value in shortness)
            rewards.append(1.0 + weight * (1.0 / max(row.length, 1) - mean) / furthest)
    return rewards


@oracle("gr3", {}, {"alpha": 2.0})
def gr3(rows: list[Row], alpha: float = 0.33) -> list[float]:
    mean = sum(row.length for row in rows) / len(rows)
    rewards = []
    for row in rows:
        share = row.length / mean if mean > 0 else 0.0
        rewards.append(1.0 / (1.0 + alpha * share) if row.solved else 0.0)
    return rewards

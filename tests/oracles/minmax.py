from __future__ import annotations

from tests.oracles.rows import Row, oracle


@oracle("kimi", {}, {"weight": 0.4})
def kimi(rows: list[Row], weight: float = 1.0) -> list[float]:
    shortest = min(row.length for row in rows)
    longest = max(row.length for row in rows)
    rewards = []
    for row in rows:
        term = 0.0
        if longest > shortest:
            term = 0.5 - (row.length - shortest) / (longest - shortest)
        if not row.solved and term > 0:
            term = 0.0
        rewards.append((1.0 if row.solved else 0.0) + weight * term)
    return rewards

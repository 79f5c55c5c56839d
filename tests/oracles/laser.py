"""LASER, LASER-D and LASER-DE over the batches of a run, as arXiv 2505.15612, sections 5.2 and 5.3, tells it.

Departs from the paper where the package says that it does: the monitor set is the newest training batches that together
have `window` groups, a band without prompts keeps its last target, and a wrong answer that is malformed or loops does
not explore unless `explore` says so. No candidate being enough, the target is the upper bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tests.oracles.rows import Batch, Group, Row, oracle, run_oracle

BANDS = ("easy", "medium", "hard")


def score(row: Row) -> float:
    if row.solved:
        return 1.0
    return -0.5 if row.well_formed else -1.0


@oracle("laser", {"target_length": 2000}, {"target_length": 1000, "alpha": 0.2})
def laser(rows: Group, target_length: int, alpha: float = 0.5) -> list[float]:
    return [score(row) + (alpha if row.solved and row.length <= target_length else 0.0) for row in rows]


def band_of(group: Group) -> str:
    solved = sum(1 for row in group if row.solved)
    if 3 * solved < len(group):
        return "hard"
    return "medium" if 3 * solved < 2 * len(group) else "easy"


def least_solved(band: str, group_size: int, rounding: str) -> int:
    """C_d: two thirds or one third of the group, rounded, or one."""
    if band == "hard":
        return 1
    whole, rest = divmod(2 * group_size if band == "easy" else group_size, 3)
    return whole + 1 if rest and rounding == "ceil" else whole


def candidates(lower: int, upper: int, interval: int) -> list[int]:
    lengths = []
    while lower < upper:
        lengths.append(lower)
        lower += interval
    return [*lengths, upper]


def shortest_enough(lengths: list[int], least: int, grid: list[int]) -> int:
    """The first candidate that a group is expected to have one solved response within: covered / all * C_d >= 1."""
    for candidate in grid:
        covered = sum(1 for length in lengths if length <= candidate)
        if covered * least >= len(lengths):
            return candidate
    return grid[-1]


def newest(seen: list[list[Group]], window: int) -> Iterator[Group]:
    """The groups of as few of the last batches as have `window` of them together."""
    number = 0
    for groups in reversed(seen):
        if number >= window:
            return
        number += len(groups)
        yield from groups


def targets_of_run(
    batches: Sequence[Batch],
    upper_bound: int,
    lower_bound: int = 2048,
    interval: int = 1024,
    rounding: str = "ceil",
    window: int = 500,
    update_every: int = 20,
    group_size: int | None = None,
) -> Iterator[dict[str, int]]:
    """Target of each band while a batch is shaped, batch by batch."""
    grid = candidates(lower_bound, upper_bound, interval)
    targets: dict[str, int] = {}
    seen: list[list[Group]] = []
    updated = None
    for batch in batches:
        if batch.groups:
            seen.append(batch.groups)
            group_size = group_size or max(len(group) for group in batch.groups)
            is_due = updated is None or batch.step - updated >= update_every
            updated = batch.step if is_due else updated
            for band in BANDS:
                lengths = [row.length for group in newest(seen, window) if band_of(group) == band for row in group]
                if lengths and (is_due or band not in targets):
                    targets[band] = shortest_enough(lengths, least_solved(band, group_size, rounding), grid)
        yield {band: targets.get(band, upper_bound) for band in BANDS}


def explores(row: Row, explore: str) -> bool:
    if row.solved:
        return False
    sound = row.well_formed and not row.repetitive
    return {"all": True, "well_formed": row.well_formed, "sound": sound, "nobody": False}[explore]


TRIES: tuple[dict[str, Any], ...] = (
    {"upper_bound": 16384},
    {"upper_bound": 16000, "lower_bound": 300, "interval": 900, "window": 150, "update_every": 2, "rounding": "floor"},
    {"upper_bound": 60, "lower_bound": 1, "interval": 7, "window": 1, "update_every": 1, "alpha": 0.2},
)


@run_oracle("laser_d", *TRIES)
def laser_d(batches: Sequence[Batch], alpha: float = 0.5, **options: Any) -> list[float]:
    return laser_de(batches, alpha, explore="nobody", **options)


@run_oracle("laser_de", *TRIES, {**TRIES[1], "explore": "well_formed"}, {**TRIES[2], "explore": "all"})
def laser_de(batches: Sequence[Batch], alpha: float = 0.5, explore: str = "sound", **options: Any) -> list[float]:
    rewards = []
    for batch, targets in zip(batches, targets_of_run(batches, **options), strict=True):
        for group in batch.groups:
            target = targets[band_of(group)]
            for row in group:
                is_short = row.length <= target
                is_paid = is_short if row.solved else explores(row, explore) and not is_short
                rewards.append(score(row) + (alpha if is_paid else 0.0))
    return rewards

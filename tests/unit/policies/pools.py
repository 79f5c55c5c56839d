"""Pools whose prompts have a known history, for the tests of the policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from laser_verl.core import Rollouts
from laser_verl.core.policies.base import Policy, Pool, build_policy
from laser_verl.core.tracker import DifficultyTracker, Outcome

NONE = np.zeros(0, dtype=np.int64)


def tracker_of(size: int, decay: float = 0.5) -> DifficultyTracker:
    """A tracker that knows `size` prompts and has seen none."""
    tracker = DifficultyTracker(decay)
    tracker.add(np.arange(1, size + 1, dtype=np.uint64))
    return tracker


def observe(
    tracker: DifficultyTracker, places: Sequence[int], solved: Sequence[int], group: int = 8, step: int = 0
) -> Outcome:
    """Show the tracker a group for each place, with so many solved responses."""
    keys = np.repeat([f"{place + 1:016x}" for place in places], group).tolist()
    correct = (np.arange(group) < np.asarray(solved)[:, None]).reshape(-1)
    return tracker.observe(Rollouts.build(keys, np.full(len(keys), 100), correct, step=step))


def pool_of(
    solved: Sequence[int | None], columns: Mapping[str, Any] | None = None, group: int = 8, **fields: Any
) -> Pool:
    """A pool whose prompt i was seen once, `solved[i]` of its group solved; None leaves it unseen."""
    tracker = tracker_of(len(solved))
    seen = [place for place, number in enumerate(solved) if number is not None]
    if seen:
        observe(tracker, seen, [number for number in solved if number is not None], group)
    arrays = {name: np.asarray(values) for name, values in (columns or {}).items()}
    return Pool(tracker, len(solved), arrays, **fields)


def started(name: str, pool: Pool, **options: Any) -> Policy:
    """A policy at its beginning."""
    policy = build_policy(name, options)
    policy.start(pool)
    return policy


def draws(policy: Policy, count: int, number: int, seed: int = 0) -> list[list[int]]:
    """Several draws, each with a generator of its own, as the sampler has it."""
    return [policy.draw(count, np.random.default_rng((seed, draw)), NONE).tolist() for draw in range(number)]

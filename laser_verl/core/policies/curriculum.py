"""Stages of difficulty, one after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np

from laser_verl.core.checks import Bools, Floats, Ints, finite_number, positive_int, unknown
from laser_verl.core.policies.base import PolicyBase, register_policy, saved_number
from laser_verl.core.policies.pool import Pool
from laser_verl.core.policies.shares import distinct_places
from laser_verl.core.policies.walk import Walk
from laser_verl.core.tracker import Outcome

_KEYS = ("low", "high", "steps")
_KEPT = 0.9  # of the average accuracy, by each batch


@dataclass(frozen=True)
class _Stage:
    low: float
    high: float
    steps: int | None

    def holds(self, values: Floats) -> Bools:
        return np.asarray((values >= self.low) & (values <= self.high))


@register_policy(
    "curriculum",
    source="arXiv 2503.10460, 2505.16400, 2503.18892 (filters and stages); 2505.16368 (advance_at)",
    formula="rounds over the rows with low <= value <= high, stage after stage",
)
@dataclass(kw_only=True, eq=False)
class Curriculum(PolicyBase):
    """Stage after stage, rounds over the prompts whose value in a column is within the bounds of the stage.

    `stages={first: {low: 0, high: 0.6, steps: 100}, second: {low: 0.4, high: 1}}` draws 100 batches of prompts from 0
    to 0.6, then prompts from 0.4 to 1. One stage is a filter. With `advance_at` in place of steps, a stage is over once
    the average accuracy of its prompts reaches that: after a batch of which 0.5 is solved and one of which 0.8 is, it
    is 0.9 * 0.5 + 0.1 * 0.8 = 0.53.

    Source: arXiv 2503.10460 (Light-R1: stages), 2505.16400 (AceReason) and 2503.18892 (SimpleRL-Zoo: filters by pass
    rate), 2505.16368 (SATURN: the next stage from an accuracy on).

    Departs: SATURN measures the accuracy on problems held out for it, here it is that of training.

    Attributes:
        column: Column of the values, numbers.
        stages: For each stage by name, in order: `low` and `high`, either of which may be left out, and `steps`, which
            the last stage has none of.
        advance_at: Accuracy from which on the next stage begins, above 0 to 1; null goes by the steps.
    """

    stays_inside = True

    column: str
    stages: Mapping[str, Any]
    advance_at: float | None = None
    _stages: list[_Stage] = field(init=False, repr=False)
    _values: Floats = field(init=False, repr=False)
    _walk: Walk = field(init=False, repr=False)
    _at: int = field(init=False, repr=False, default=0)
    _drawn: int = field(init=False, repr=False, default=0)
    _reached: int = field(init=False, repr=False, default=0)
    _accuracy: float = field(init=False, repr=False, default=0.0)

    def __post_init__(self) -> None:
        """Read the stages."""
        self._stages = [_read(name, given) for name, given in self.stages.items()]
        if self.advance_at is not None and not 0 < finite_number("advance_at", self.advance_at) <= 1:
            raise ValueError(f"advance_at={self.advance_at} must be above 0 and at most 1; give e.g. 0.8")
        if not self._stages:
            raise ValueError("stages={} is empty; give e.g. {only: {low: 0.2, high: 0.8}}")
        for place, (name, stage) in enumerate(zip(self.stages, self._stages, strict=True)):
            wants_steps = self.advance_at is None and place < len(self._stages) - 1
            if wants_steps and stage.steps is None:
                raise ValueError(f"stages.{name} lacks steps, and is not the last; give e.g. steps: 100, or advance_at")
            if not wants_steps and stage.steps is not None:
                why = "the last stage has no end" if self.advance_at is None else "advance_at ends stages"
                raise ValueError(f"stages.{name}.steps={stage.steps} has no effect, since {why}; leave it out")

    @property
    def is_adaptive(self) -> bool:
        """Whether the accuracy ends stages."""
        return self.advance_at is not None

    @property
    def column_names(self) -> tuple[str, ...]:
        """The column of values."""
        return (self.column,)

    def start(self, pool: Pool) -> None:
        """Begin round 0 of the first stage."""
        super().start(pool)
        self._values = pool.numbers(self.column)
        for name, stage in zip(self.stages, self._stages, strict=True):
            size = int(stage.holds(self._values).sum())
            if size < pool.batch_size:
                raise ValueError(
                    f"stages.{name} has {size} prompts with {self.column} from {stage.low:g} to {stage.high:g}, fewer "
                    f"than a batch of {pool.batch_size}; widen it, or lower data.train_batch_size"
                )
        self._drawn, self._reached, self._accuracy = 0, 0, -1.0
        self._enter(0)

    def _enter(self, number: int) -> None:
        values, stage = self._values, self._stages[number]
        size = int(stage.holds(values).sum())
        self._at = number
        self._walk = self._pool.walk_over(number, size, lambda: np.flatnonzero(stage.holds(values)).astype(np.int32))

    def _stage(self) -> int:
        """The stage of the next draw."""
        if self.advance_at is not None:
            return self._reached
        step = self._drawn // self._pool.batch_size
        return sum(step >= end for end in accumulate(stage.steps or 0 for stage in self._stages[:-1]))

    def choose(self, count: int, rng: np.random.Generator, excluded: Ints) -> Ints:
        """Take the next prompts of the stage."""
        if self._stage() != self._at:
            self._enter(self._stage())
        self._drawn += count
        taken = self._walk.take(count, excluded)
        missing = count - len(taken)
        if missing and not self.is_adaptive:
            raise ValueError(
                f"count={count} is more than the {len(taken)} prompts of the stage; lower data.train_batch_size"
            )
        # Too many of the stage are under way.
        others = distinct_places(self._pool.size, missing, rng, np.union1d(excluded, taken))
        return np.concatenate([taken, others])

    def observe(self, outcome: Outcome) -> None:
        """Move on where the prompts of the stage are solved."""
        is_last = self._reached == len(self._stages) - 1
        own = outcome.select(self._stages[self._reached].holds(self._values[outcome.places]))
        if self.advance_at is None or is_last or not len(own.places):
            return
        accuracy = float(own.solved.sum() / own.responses.sum())
        self._accuracy = accuracy if self._accuracy < 0 else _KEPT * self._accuracy + (1 - _KEPT) * accuracy
        if self._accuracy >= self.advance_at:
            self._reached, self._accuracy = self._reached + 1, -1.0

    def metrics(self) -> dict[str, float]:
        """Name the stage, from 1, and the round in it."""
        return {"laser/sampler/stage": self._at + 1.0, "laser/sampler/round": float(self._walk.round)}

    def position(self) -> dict[str, int]:
        """Return the stage, the round in it, the place in that, and the prompts drawn so far."""
        return {"stage": self._at, "drawn": self._drawn, **self._walk.position()}

    def go_to(self, position: Mapping[str, int]) -> None:
        """Go on from a position with the same stages."""
        self._enter(min(int(position["stage"]), len(self._stages) - 1))
        self._drawn = int(position["drawn"])
        self._walk.go_to(position)

    def state_dict(self) -> dict[str, Any]:
        """Return the stage that was reached, and the average accuracy in it, -1 before the first batch."""
        return {**super().state_dict(), "stage": self._reached, "accuracy": self._accuracy}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        super().load_state_dict(state)
        reached = min(int(saved_number(state, "stage")), len(self._stages) - 1)
        self._reached, self._accuracy = reached, saved_number(state, "accuracy")


def _read(name: str, given: object) -> _Stage:
    """One stage of the option."""
    if not isinstance(given, Mapping):
        raise ValueError(f"stages.{name}={given!r} must be a mapping; give e.g. {{low: 0.2, high: 0.8, steps: 100}}")
    for key in given:
        if key not in _KEYS:
            raise ValueError(unknown(f"stages.{name} key", key, _KEYS))
    low = finite_number(f"stages.{name}.low", given["low"]) if "low" in given else -np.inf
    high = finite_number(f"stages.{name}.high", given["high"]) if "high" in given else np.inf
    if low > high:
        raise ValueError(f"stages.{name} must have low={low} at most high={high}; exchange them")
    steps = positive_int(f"stages.{name}.steps", given["steps"], "number of steps", 100) if "steps" in given else None
    return _Stage(low, high, steps)

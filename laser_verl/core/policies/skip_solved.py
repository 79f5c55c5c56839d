"""Rounds that leave out what is solved already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from laser_verl.core.checks import Bools, Ints, positive_int
from laser_verl.core.policies.base import register_policy
from laser_verl.core.policies.skipping import SkippingPolicy


@register_policy("skip_solved", source="ours", formula="rounds without prompts solved in full when last drawn")
@dataclass(kw_only=True, eq=False)
class SkipSolved(SkippingPolicy):
    """Rounds over the pool that pass over the prompts that were solved in full when they were last drawn.

    With `after=2`, a prompt of which 8 of 8 responses were solved twice in a row is drawn no more, as long as there are
    others: where a draw finds too few among 64 prompts for each one wanted, those come back that were last drawn
    longest ago.

    Attributes:
        after: Draws in a row, solved in full, from which on a prompt is passed over; 1 or more.
    """

    after: int = 1

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        positive_int("after", self.after, "number of draws", 1)

    def skips(self, rng: np.random.Generator) -> Callable[[Ints], Bools]:
        """Pass over what was solved in its last draws."""
        streak = self._pool.tracker.solved_streak
        return lambda places: np.asarray(streak[places] >= self.after)

    def second_choice(self, passed: Ints) -> Ints:
        """Take the prompts first that were last drawn longest ago."""
        return passed[np.argsort(self._pool.tracker.last_step[passed], kind="stable")]

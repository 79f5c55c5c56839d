"""Rounds over the whole pool that pass over some prompts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from laser_verl.core.checks import Bools, Ints
from laser_verl.core.policies.shares import distinct_places, is_among
from laser_verl.core.policies.walking import WalkingPolicy

# How many prompts a draw looks at for each one that it wants.
_LOOKED_AT = 64


@dataclass(kw_only=True, eq=False)
class SkippingPolicy(WalkingPolicy):
    """Base of policies that go round the pool and pass over some prompts.

    A draw looks at 64 prompts for each one wanted; where it finds too few, it takes some of those it has passed over.
    """

    def skips(self, rng: np.random.Generator) -> Callable[[Ints], Bools]:
        """Return what tells, of some places, which are to be passed over in this draw."""
        raise NotImplementedError(f"{type(self).__name__} has to define skips(rng)")

    def second_choice(self, passed: Ints) -> Ints:
        """Put prompts that were passed over in the order in which they are taken all the same: as they were met."""
        return passed

    def choose(self, count: int, rng: np.random.Generator, excluded: Ints) -> Ints:
        """Take the next prompts that are not passed over."""
        begun = self._walk.round
        taken, passed = self._walk.pick(count, excluded, self.skips(rng), _LOOKED_AT * count)
        if len(taken) == count:
            return taken
        if self._walk.round != begun:  # a prompt may have been met twice
            _, first = np.unique(passed, return_index=True)
            passed = passed[np.sort(first)]
            passed = passed[~is_among(passed, np.sort(taken))]
        taken = np.concatenate([taken, self.second_choice(passed)[: count - len(taken)]])
        # All that it looked at may have been excluded.
        barred = np.union1d(excluded, taken)
        return np.concatenate([taken, distinct_places(self._pool.size, count - len(taken), rng, barred)])

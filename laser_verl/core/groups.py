"""Statistics of each group of a batch, in numpy's segment operations: linear in the number of responses.

Shape letters: B responses, G groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laser_verl.core.checks import Bools, Floats, Ints
from laser_verl.core.rollouts import Rollouts


@dataclass(frozen=True, eq=False)
class Groups:
    """The groups of a batch, or of some of its responses; the others count nowhere.

    Attributes:
        group: Number of each response's group, [B].
        num_groups: G.
        mask: Responses that count, [B].
    """

    group: Ints
    num_groups: int
    mask: Bools

    @classmethod
    def of(cls, rollouts: Rollouts, mask: Bools | None = None) -> Groups:
        """Take the groups of a batch.

        Of lengths 10 and 20 in one group, `Groups.of(rollouts).mean(rollouts.length)` is `[15.0]`.

        Args:
            rollouts: The batch.
            mask: Responses that count, [B]; None counts all.

        Returns:
            The groups.
        """
        every = np.ones(rollouts.size, dtype=np.bool_)
        return cls(rollouts.group, rollouts.num_groups, every if mask is None else mask)

    @cached_property
    def _members(self) -> Ints:
        return self.group[self.mask]

    @cached_property
    def count(self) -> Ints:
        """Responses that count, [G]."""
        return np.bincount(self._members, minlength=self.num_groups).astype(np.int64, copy=False)

    def sum(self, values: NDArray[Any]) -> Floats:
        """Add up values, [B] to [G]; 0 where none counts."""
        weights = values[self.mask].astype(np.float64)
        return np.bincount(self._members, weights, minlength=self.num_groups).astype(np.float64, copy=False)

    def mean(self, values: NDArray[Any], empty: float = 0.0) -> Floats:
        """Average values, [B] to [G]; `empty` where none counts."""
        return np.where(self.count > 0, self.sum(values) / np.maximum(self.count, 1), empty)

    def std(self, values: NDArray[Any], ddof: int = 0, empty: float = 0.0) -> Floats:
        """Take the standard deviation, [B] to [G]; `empty` where no more than `ddof` responses count."""
        away = np.square(values - self.spread(self.mean(values)))
        freedom = self.count - ddof
        return np.where(freedom > 0, np.sqrt(self.sum(away) / np.maximum(freedom, 1)), empty)

    def min(self, values: NDArray[Any], empty: float = 0.0) -> Floats:
        """Take the least value, [B] to [G]; `empty` where none counts."""
        least = np.full(self.num_groups, np.inf)
        np.minimum.at(least, self._members, values[self.mask].astype(np.float64))
        return np.where(self.count > 0, least, empty)

    def max(self, values: NDArray[Any], empty: float = 0.0) -> Floats:
        """Take the greatest value, [B] to [G]; `empty` where none counts."""
        return -self.min(-values.astype(np.float64), -empty)

    def quantile(self, values: NDArray[Any], share: float, empty: float = 0.0) -> Floats:
        """Interpolate linearly between the sorted values, as numpy does, [B] to [G]; `empty` where none counts."""
        ordered, first = self._sorted(values)
        place = share * (self.count - 1)
        low = np.floor(place).astype(np.int64)
        last = max(len(ordered) - 1, 0)
        ordered = ordered if len(ordered) else np.zeros(1)
        below = ordered[np.clip(first + low, 0, last)]
        above = ordered[np.clip(first + np.minimum(low + 1, self.count - 1), 0, last)]
        return np.where(self.count > 0, below + (place - low) * (above - below), empty)

    def mean_of_least(self, values: NDArray[Any], number: int, empty: float = 0.0) -> Floats:
        """Average the `number` least values, or all where there are fewer, [B] to [G]; `empty` where none counts."""
        ordered, first = self._sorted(values)
        group = np.repeat(np.arange(self.num_groups), self.count)
        is_among = np.arange(len(ordered)) - first[group] < number
        total = np.bincount(group[is_among], ordered[is_among], minlength=self.num_groups)
        return np.where(self.count > 0, total / np.clip(self.count, 1, number), empty)

    def _sorted(self, values: NDArray[Any]) -> tuple[Floats, Ints]:
        """The values that count by group and size, and the place where each group begins, [G]."""
        members = values[self.mask].astype(np.float64)
        first = np.cumsum(self.count) - self.count
        return members[np.lexsort((members, self._members))], first

    def spread(self, per_group: NDArray[Any]) -> NDArray[Any]:
        """Give each response its group's value, [G] to [B]."""
        return per_group[self.group]

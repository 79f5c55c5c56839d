"""Rounds over prompts, each in an order of its own.

Shape letters: M prompts of the walk, N prompts taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from laser_verl.core.checks import Bools, Ints
from laser_verl.core.policies.shares import is_among

Order = Callable[[int], NDArray[np.integer]]
"""The order of a round, [M], by its number from 0."""

_NO_PLACES: Ints = np.zeros(0, dtype=np.int64)
_LEAST_LOOKED_AT = 64


class Walk:
    """Walks through prompts round by round; a position is the round and the place in it.

    Only the order of the current round is kept, 4 bytes a prompt.
    """

    def __init__(self, size: int, seed: Sequence[int], order: Order | None = None) -> None:
        """Stand before the first prompt of round 0.

        Args:
            size: M, 1 or more.
            seed: Numbers that set the walk apart from others: a round's default order is a permutation of 0 to M - 1,
                seeded by these and the round.
            order: The order of a round, where it is another.
        """
        self.size = size
        self._seed = tuple(seed)
        self._order = order or self._permuted
        self._round, self._place = 0, 0
        self._ahead: NDArray[np.int32] | None = None

    def _permuted(self, number: int) -> NDArray[np.integer]:
        return permuted(np.arange(self.size, dtype=np.int32), (*self._seed, number))

    @property
    def round(self) -> int:
        """The round that the next prompt is of, unless this one is at its end."""
        return self._round

    def take_whole(self, count: int) -> Ints:
        """Take the next prompts, all of one round: one that has fewer left is over, as under `drop_last`.

        With 5 prompts, the second draw of 3 is from round 1.

        Args:
            count: 1 to M.

        Returns:
            Distinct places, [N].
        """
        if self._place + count > self.size:
            self._next_round()
        places = self._rest()[:count].astype(np.int64)
        self._place += count
        return places

    def take(self, count: int, excluded: Ints = _NO_PLACES) -> Ints:
        """Take the next prompts that are not excluded, going on into the next round where one ends.

        Args:
            count: Prompts wanted.
            excluded: Places not to take.

        Returns:
            Distinct places, [N]; fewer than `count` where the walk has no more.
        """
        return self.pick(count, excluded, None, 2 * self.size)[0]

    def pick(self, count: int, excluded: Ints, skips: Callable[[Ints], Bools] | None, limit: int) -> tuple[Ints, Ints]:
        """Take the next prompts that are neither excluded nor skipped.

        Args:
            count: Prompts wanted.
            excluded: Places not to take.
            skips: Says of some places which are to be skipped; None skips none.
            limit: How many prompts to look at.

        Returns:
            Distinct places taken, fewer than `count` where the limit was reached; and those skipped on the way, in
            their order: one that was met in two rounds may be there twice, or be among those taken.
        """
        taken, skipped = [_NO_PLACES], [_NO_PLACES]
        barred = np.sort(excluded)
        while count > 0 and limit > 0:
            if self._place >= self.size:
                self._next_round()
            looked_at = min(max(4 * count, _LEAST_LOOKED_AT), limit)
            places = self._rest()[:looked_at].astype(np.int64)
            limit -= len(places)
            free = np.flatnonzero(~is_among(places, barred))
            is_skipped = np.zeros(len(free), dtype=np.bool_) if skips is None else skips(places[free])
            chosen = free[~is_skipped][:count]
            passed = int(chosen[-1]) + 1 if len(chosen) == count else len(places)
            taken.append(places[chosen])
            skipped.append(places[free[is_skipped & (free < passed)]])
            self._place += passed
            count -= len(chosen)
            if len(chosen):
                barred = np.sort(np.concatenate([barred, taken[-1]]))
        return np.concatenate(taken), np.concatenate(skipped)

    def position(self) -> dict[str, int]:
        """Return the round, and the place in it."""
        return {"round": self._round, "place": self._place}

    def go_to(self, position: Mapping[str, int]) -> None:
        """Stand where a walk over as many prompts stood.

        Args:
            position: What `position` returned.
        """
        if position["round"] != self._round:
            self._ahead = None
        self._round, self._place = int(position["round"]), int(position["place"])

    def _next_round(self) -> None:
        self._round, self._place, self._ahead = self._round + 1, 0, None

    def _rest(self) -> NDArray[np.int32]:
        if self._ahead is None:
            self._ahead = np.asarray(self._order(self._round)).astype(np.int32, copy=False)
        return self._ahead[self._place :]


def permuted(rows: NDArray[np.int32], seed: Sequence[int]) -> NDArray[np.int32]:
    """Permute rows, [M]; the last number of the seed is that of the round."""
    # numpy takes a seed that ends in 0 for the one without it, so rounds count from 1 here.
    return np.random.default_rng((*seed[:-1], seed[-1] + 1)).permutation(rows)

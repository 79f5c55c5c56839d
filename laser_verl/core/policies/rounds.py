"""Rounds over the whole pool without regard to difficulty, in verl's own order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from laser_verl.core.checks import Ints
from laser_verl.core.policies.base import register_policy
from laser_verl.core.policies.pool import Pool
from laser_verl.core.policies.walk import Walk
from laser_verl.core.policies.walking import WalkingPolicy


@dataclass(kw_only=True, eq=False)
class _Rounds(WalkingPolicy):
    """Every prompt once a round; what is left of a round and too little for a batch is dropped."""

    @property
    def is_adaptive(self) -> bool:
        """Never: the order is fixed."""
        return False

    def choose(self, count: int, rng: np.random.Generator, excluded: Ints) -> Ints:
        """Take the next prompts of the round."""
        return self._walk.take_whole(count)


@register_policy("uniform", source="verl's data loader with data.shuffle=true", formula="each prompt once a round")
@dataclass(kw_only=True, eq=False)
class Uniform(_Rounds):
    """Every prompt once a round, in a random order.

    Of 10 prompts in batches of 4, a round has 2 batches, and 2 prompts wait for another round, as under verl's
    `drop_last`.

    Source: verl's data loader with `data.shuffle=true`, whose order of prompts it has, given verl's permutations.
    """


@register_policy("sequential", source="verl's data loader with data.shuffle=false", formula="the data in their order")
@dataclass(kw_only=True, eq=False)
class Sequential(_Rounds):
    """Every prompt once a round, in the order of the data.

    Of 10 prompts in batches of 4, the first draw is 0 to 3, the second 4 to 7, the third 0 to 3 again, as under verl's
    `drop_last`.

    Source: verl's data loader with `data.shuffle=false`.
    """

    def rounds(self, pool: Pool) -> Walk:
        """Return the walk in the order of the data."""
        in_order = np.arange(pool.size, dtype=np.int32)
        return Walk(pool.size, (pool.seed,), lambda _: in_order)

"""What policies share that go round the pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from laser_verl.core.policies.base import PolicyBase
from laser_verl.core.policies.pool import Pool
from laser_verl.core.policies.walk import Walk


@dataclass(kw_only=True, eq=False)
class WalkingPolicy(PolicyBase):
    """Base of policies that walk through the pool round by round."""

    _walk: Walk = field(init=False, repr=False)

    def start(self, pool: Pool) -> None:
        """Begin round 0."""
        super().start(pool)
        self._walk = self.rounds(pool)

    def rounds(self, pool: Pool) -> Walk:
        """Return the walk, by default over the whole pool in its order."""
        return pool.walk()

    def metrics(self) -> dict[str, float]:
        """Name the round."""
        return {"laser/sampler/round": float(self._walk.round)}

    def position(self) -> dict[str, int]:
        """Return the round, and the place in it."""
        return self._walk.position()

    def go_to(self, position: Mapping[str, int]) -> None:
        """Go on from a place in a round."""
        self._walk.go_to(position)

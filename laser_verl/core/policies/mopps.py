"""Thompson sampling of the pass rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from laser_verl.core.checks import Floats, Ints, finite_number, positive_int
from laser_verl.core.policies.base import PolicyBase, register_policy
from laser_verl.core.policies.shares import distinct_places

_PRIOR = 1.0


@register_policy(
    "mopps",
    source="arXiv 2507.04632",
    formula="of 16 candidates each, those nearest to 1/2 by a draw from Beta(1 + solved, 1 + failed)",
)
@dataclass(kw_only=True, eq=False)
class Mopps(PolicyBase):
    """Of many candidates, those whose pass rate, drawn from what is known of it, comes nearest to one half.

    Of a prompt Beta(1 + s, 1 + w - s) is known, w its responses so far and s the solved ones, both forgotten at the
    tracker's `decay`; of one not seen yet Beta(1, 1). With 5 of 8 solved that is Beta(6, 4). A draw takes 16 candidates
    for each prompt wanted, uniformly, draws a pass rate for each, and keeps the nearest.

    Source: arXiv 2507.04632 (MoPPS).

    The paper's forgetting factor is `laser.tracker.decay`; its default there is 1, here 0.5.

    Departs: where the authors' code has one rollout per prompt, a slip of operator precedence makes every posterior
    Beta(8, 8); here it is as with more.

    Attributes:
        candidates: Candidates for each prompt wanted, 1 or more.
        target: Pass rate to come near to, 0 to 1.
    """

    candidates: int = 16
    target: float = 0.5

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        positive_int("candidates", self.candidates, "number of candidates per prompt", 16)
        if not 0 <= finite_number("target", self.target) <= 1:
            raise ValueError(f"target={self.target} must be from 0 to 1; give e.g. 0.5")

    def posterior(self, places: Ints) -> tuple[Floats, Floats]:
        """Return alpha and beta of each prompt's Beta distribution, [N] each."""
        tracker = self._pool.tracker
        solved = tracker.weighted_solved[places].astype(np.float64)
        failed = np.maximum(tracker.weight[places] - solved, 0.0)
        return _PRIOR + solved, _PRIOR + failed

    def choose(self, count: int, rng: np.random.Generator, excluded: Ints) -> Ints:
        """Draw candidates and keep the nearest, in the order in which they were drawn."""
        places = distinct_places(self._pool.size, self.candidates * count, rng, excluded)
        distance = np.abs(rng.beta(*self.posterior(places)) - self.target)
        return places[np.sort(np.argsort(distance, kind="stable")[:count])]

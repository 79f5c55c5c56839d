"""Rounds that pass over prompts whose groups all came out alike, at a chance that follows the batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from laser_verl.core.checks import Bools, Floats, Ints, finite_number
from laser_verl.core.policies.base import register_policy, saved_number
from laser_verl.core.policies.pool import Pool
from laser_verl.core.policies.skipping import SkippingPolicy
from laser_verl.core.tracker import Outcome

_LEAST_KEPT = 0.01
_STEP, _LEAST, _MOST = 0.01, 0.05, 0.95
_EASY_PART = 1 / 3


@register_policy(
    "greso",
    source="arXiv 2506.02177",
    formula="rounds; skip with chance 1 - max(p^z, 0.01), z draws in a row that all came out alike",
)
@dataclass(kw_only=True, eq=False)
class Greso(SkippingPolicy):
    """Rounds over the pool that pass over prompts whose last groups were all solved or all not, and so taught nothing.

    With z such draws in a row a prompt is passed over with chance 1 - max(p^z, 0.01). p is p_easy for prompts that were
    solved and p_hard for the others; with p 0.5, one solved in full 3 times in a row is passed over with chance 0.875.
    After the first round p moves with every batch, by 0.01 within 0.05 and 0.95: p_easy falls where more of the batch
    was solved in full than a third of `zero_variance_frac`, p_hard where more was not solved at all than two thirds of
    it, and each rises otherwise.

    Source: arXiv 2506.02177 (GRESO).

    Departs: a prompt is easy or hard if all of its group or none is solved; the authors' code asks for a mean reward of
    0.98 or more, or 0.11 or less. Batches keep their size; there as many prompts are rolled out as leave a full batch
    of groups that did not come out alike. The first round ends with as many observed prompts as the pool has.

    Attributes:
        initial: p_easy and p_hard at the beginning, 0.05 to 0.95.
        zero_variance_frac: Share of a batch that may come out alike, 0 to 1.
    """

    initial: float = 0.5
    zero_variance_frac: float = 0.25
    _observed: int = field(init=False, repr=False, default=0)
    _kept: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        if not _LEAST <= finite_number("initial", self.initial) <= _MOST:
            raise ValueError(f"initial={self.initial} must be from {_LEAST} to {_MOST}; give e.g. 0.5")
        if not 0 <= finite_number("zero_variance_frac", self.zero_variance_frac, 0.25) <= 1:
            raise ValueError(f"zero_variance_frac={self.zero_variance_frac} must be from 0 to 1; give e.g. 0.25")

    def start(self, pool: Pool) -> None:
        """Begin round 0, with p_easy and p_hard as they are at first."""
        super().start(pool)
        self._observed, self._kept = 0, np.full(2, self.initial)

    def skip_chance(self, solved_streak: Ints, failed_streak: Ints) -> Floats:
        """Return the chance to be passed over, [N], by draws in a row that were all solved and all not, [N] each."""
        p_easy, p_hard = self._kept.tolist()
        kept = np.where(solved_streak > 0, p_easy**solved_streak, p_hard**failed_streak)
        return np.asarray(1 - np.maximum(kept, _LEAST_KEPT))

    def skips(self, rng: np.random.Generator) -> Callable[[Ints], Bools]:
        """Pass over by chance."""
        tracker = self._pool.tracker
        solved, failed = tracker.solved_streak, tracker.failed_streak

        def skipped(places: Ints) -> Bools:
            chance = self.skip_chance(solved[places].astype(np.int64), failed[places].astype(np.int64))
            return np.asarray(rng.random(len(places)) < chance)

        return skipped

    def observe(self, outcome: Outcome) -> None:
        """Move p_easy and p_hard after the first round."""
        if not len(outcome.places):
            return
        is_first_round = self._observed < self._pool.size
        self._observed += len(outcome.places)
        if is_first_round:
            return
        alike = np.array([np.mean(outcome.solved == outcome.responses), np.mean(outcome.solved == 0)])
        allowed = self.zero_variance_frac * np.array([_EASY_PART, 1 - _EASY_PART])
        self._kept = np.clip(self._kept + np.where(alike > allowed, -_STEP, _STEP), _LEAST, _MOST)

    def metrics(self) -> dict[str, float]:
        """Name the round, p_easy and p_hard."""
        p_easy, p_hard = self._kept.tolist()
        return {**super().metrics(), "laser/sampler/p_easy": p_easy, "laser/sampler/p_hard": p_hard}

    def state_dict(self) -> dict[str, Any]:
        """Return p_easy, p_hard and the number of prompts observed."""
        p_easy, p_hard = self._kept.tolist()
        return {**super().state_dict(), "p_easy": p_easy, "p_hard": p_hard, "observed": self._observed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state; nothing changes if it does not fit."""
        super().load_state_dict(state)
        kept = np.array([saved_number(state, "p_easy"), saved_number(state, "p_hard")])
        self._observed, self._kept = int(saved_number(state, "observed")), np.clip(kept, _LEAST, _MOST)

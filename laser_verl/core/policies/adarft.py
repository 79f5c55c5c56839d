"""A target difficulty that follows the reward."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from laser_verl.core.checks import Floats, Ints, finite_number, non_negative
from laser_verl.core.policies.base import PolicyBase, register_policy, saved_number
from laser_verl.core.policies.bins import OUT, PassRateBins, bin_of, bin_rates
from laser_verl.core.policies.pool import Pool
from laser_verl.core.policies.shares import is_among
from laser_verl.core.tracker import Outcome

_HARDEST = 100.0


class _Labels:
    """Labels in order, to look up the nearest ones; 12 bytes a prompt."""

    def __init__(self, labels: Floats) -> None:
        self._order = np.argsort(labels, kind="stable").astype(np.int32)
        self._sorted = labels[self._order]

    def nearest(self, target: float, count: int, excluded: Ints) -> Ints:
        """The places of the labels nearest to a target, of equally near ones the first in the data; [count]."""
        most = count + len(excluded)
        at = int(np.searchsorted(self._sorted, target))
        above = np.arange(at, min(at + most, len(self._sorted)))
        # Equal labels lie in the order of the data, so of those farthest below the first ones count, not the last.
        farthest = self._sorted[max(at - most, 0)]
        first = min(int(np.searchsorted(self._sorted, farthest)), at)
        end = min(int(np.searchsorted(self._sorted, farthest, side="right")), at)
        near = np.concatenate([np.arange(first, min(first + most, end)), np.arange(end, at), above])
        places = self._order[near].astype(np.int64)
        free = ~is_among(places, excluded)
        places, distance = places[free], np.abs(self._sorted[near[free]] - target)
        return np.asarray(places[np.lexsort((places, distance))[:count]])


@register_policy(
    "adarft",
    source="arXiv 2504.05520, Algorithm 1",
    formula="the prompts nearest to T; T <- clip(T + eta tanh(alpha (R - beta)), low, high)",
)
@dataclass(kw_only=True, eq=False)
class AdaRft(PolicyBase):
    """The prompts whose difficulty is nearest to a target T, which rises while more than `beta` of a batch is solved.

    T <- clip(T + eta * tanh(alpha * (R - beta)), low, high), R the share of the batch's responses that is solved. A
    batch of which 0.9 is solved moves T from 0 to 50 * tanh(2 * 0.4) = 33.2.

    Source: arXiv 2504.05520 (AdaRFT), Algorithm 1.

    Difficulties are labels in the data, 0 to 100, or tracked: 100 * (1 - pass rate), and 50 for a prompt not seen yet.
    With labels a draw has a fixed order, nearest first, and of equally near prompts the first in the data. Tracked ones
    are drawn at random among equals. As in the authors' code, a prompt that was drawn before is drawn again.

    Departs: the mean reward is the accuracy, whatever lengths are worth; tracked difficulties are ours.

    Attributes:
        column: Column of the difficulties; null tracks them.
        eta: Size of a step of T, 0 or more.
        alpha: How sharply T answers to the accuracy, 0 or more.
        beta: Accuracy at which T stays, 0 to 1.
        initial: T at the beginning.
        low: Least T.
        high: Greatest T.
    """

    column: str | None = None
    eta: float = 50.0
    alpha: float = 2.0
    beta: float = 0.5
    initial: float = 0.0
    low: float = 0.0
    high: float = 100.0
    _target: float = field(init=False, repr=False, default=0.0)
    _labels: _Labels | None = field(init=False, repr=False, default=None)
    _bins: PassRateBins = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        non_negative("eta", self.eta, 50.0)
        non_negative("alpha", self.alpha, 2.0)
        if not 0 <= finite_number("beta", self.beta) <= 1:
            raise ValueError(f"beta={self.beta} must be from 0 to 1; give e.g. 0.5")
        if self.low >= self.high:
            raise ValueError(f"low={self.low} must be less than high={self.high}; give e.g. low=0 and high=100")
        if not self.low <= self.initial <= self.high:
            raise ValueError(
                f"initial={self.initial} must be from low={self.low} to high={self.high}; give e.g. {self.low}"
            )

    @property
    def column_names(self) -> tuple[str, ...]:
        """The column of difficulties, if they are labels."""
        return () if self.column is None else (self.column,)

    def start(self, pool: Pool) -> None:
        """Sort the labels, or count the pass rates."""
        super().start(pool)
        self._target = self.initial
        if self.column is None:
            self._bins = PassRateBins.of(pool.tracker, pool.size)
        else:
            self._labels = _Labels(pool.numbers(self.column))

    def choose(self, count: int, rng: np.random.Generator, excluded: Ints) -> Ints:
        """Take the nearest prompts."""
        if self._labels is not None:
            return self._labels.nearest(self._target, count, excluded)
        with self._bins.set_aside(excluded):
            totals = self._bins.totals
            totals[OUT] = 0
            difficulty = _HARDEST * (1 - bin_rates(0.5))
            nearest = np.argsort(np.abs(difficulty - self._target), kind="stable")
            numbers = np.zeros_like(totals)
            numbers[nearest] = np.diff(np.minimum(np.cumsum(totals[nearest]), count), prepend=0)
            return self._bins.pick(numbers, rng)

    def observe(self, outcome: Outcome) -> None:
        """Move the target."""
        if self._labels is None:
            self._bins.move(outcome.places, bin_of(self._pool.tracker.pass_rate(outcome.places)))
        if len(outcome.places):
            self.follow(float(outcome.solved.sum() / outcome.responses.sum()))

    def follow(self, mean_reward: float) -> None:
        """Move the target by the mean reward of a batch."""
        target = self._target + self.eta * math.tanh(self.alpha * (mean_reward - self.beta))
        self._target = min(max(target, self.low), self.high)

    def metrics(self) -> dict[str, float]:
        """Name the target."""
        return {"laser/sampler/target_difficulty": self._target}

    def state_dict(self) -> dict[str, Any]:
        """Return the target."""
        return {**super().state_dict(), "target": self._target}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state; the target stays within today's bounds."""
        super().load_state_dict(state)
        self._target = min(max(saved_number(state, "target"), self.low), self.high)
        if self._labels is None:
            self._bins = PassRateBins.of(self._pool.tracker, self._pool.size)

"""AutoThink: pays for answering without thinking, and keeps the two ways of answering in balance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from laser_verl.core.checks import Bools, Floats, finite_number
from laser_verl.core.framework import MethodBase, Need, Shaped
from laser_verl.core.groups import Groups
from laser_verl.core.options import Scores, zero_one
from laser_verl.core.registry import register
from laser_verl.core.rollouts import Rollouts

# alpha, beta and gamma of each stage.
_STAGES = {1: (0.0, 0.0, 0.5), 2: (0.0, 0.0, 1.0), 3: (0.05, 0.05, 1.0)}
_BET = 1.0
_LOOPING = -2.0
_STEPDOWN = 1.0
_STEEPNESS = 2.0
_LEAST_STD = 1e-6


@register(
    "autothink",
    needs={Need.GROUP, Need.BATCH, Need.PROMPT},
    formula="C + (solved ? exp(-alpha z) - 1 : 1 - exp(-beta z)), then towards C - 1 by 2 (share of its kind - gamma)",
    source="arXiv 2505.10832, section 3.2",
)
@dataclass(kw_only=True, eq=False)
class AutoThink(MethodBase):
    """A reward for right answers without thinking, for short right and long wrong ones, and for balance in the batch.

    C is 1 or 0 (`scores`) for a response that thinks, and 2 or -1 for one that does not: 1 more if solved, 1 less if
    not. A response that ends in a loop gets -2 where it would get less than 0. Then, in this order:

    1. Length, within the prompt: a solved response gets exp(-alpha * z) - 1 more, any other 1 - exp(-beta * z), z being
       its length less the mean of the group's solved (or other) responses, in sample standard deviations of at least
       1e-6. A single one gets nothing.
    2. Balance, over the whole batch: where more than a share gamma of all responses think, their rewards move by
       min(1, 2 * (share - gamma)) of the way to C - 1; likewise for those that do not think.

    Stage 1 has alpha = beta = 0 and gamma = 0.5, stage 2 gamma = 1, which is no balance, stage 3 alpha = beta = 0.05
    and gamma = 1. In stage 1 with 6 of 8 responses thinking, a solved one of these gets 0.5, a wrong one -0.5.

    Source: arXiv 2505.10832, section 3.2, and the authors' code; prompts end in an opened thought with an ellipsis.

    Departs from the authors' code: a malformed response that does not think gets -1, where theirs pays 0; loops are
    those that the scorer finds.

    Attributes:
        stage: 1, 2 or 3; sets alpha, beta and gamma.
        alpha: Of the length of solved responses, 0 to 1; None takes the stage's.
        beta: Of the length of all other responses, 0 to 1; None takes the stage's.
        gamma: Share of one kind from which its rewards fall, 0 to 1; None takes the stage's.
    """

    columns: ClassVar[tuple[str, ...]] = ("uses_thinking",)

    stage: Literal[1, 2, 3] = 1
    alpha: float | None = None
    beta: float | None = None
    gamma: float | None = None
    scores: Scores = field(default_factory=zero_one)

    def __post_init__(self) -> None:
        """Check the options' ranges, and fill in those of the stage."""
        super().__post_init__()
        published = zip(("alpha", "beta", "gamma"), _STAGES[self.stage], strict=True)
        values = [
            _share(name, value if getattr(self, name) is None else getattr(self, name)) for name, value in published
        ]
        self._alpha, self._beta, self._gamma = values

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Reward the way of answering, then its length, then the balance."""
        bet = np.where(rollouts.uses_thinking, 0.0, np.where(rollouts.solved, _BET, -_BET))
        base = self.scores.of(rollouts) + bet
        task = rollouts.own_scores_or(np.where(rollouts.repetitive & (base < 0), _LOOPING, base))
        reward = task + self._length_step(rollouts)
        reward += self._imbalance(rollouts) * (rollouts.own_scores_or(base) - _STEPDOWN - reward)
        return Shaped(task_reward=task, length_reward=reward - task)

    def _length_step(self, rollouts: Rollouts) -> Floats:
        right = np.expm1(-self._alpha * _deviation(rollouts, rollouts.solved))
        wrong = -np.expm1(-self._beta * _deviation(rollouts, ~rollouts.solved))
        return np.where(rollouts.solved, right, wrong)

    def _imbalance(self, rollouts: Rollouts) -> Floats:
        """How far each response's reward moves to the lower one, [B], 0 to 1."""
        thinking = rollouts.uses_thinking
        number = int(thinking.sum())
        share = np.where(thinking, number, rollouts.size - number) / max(rollouts.size, 1)
        return np.clip(_STEEPNESS * (share - self._gamma), 0.0, 1.0)


def _share(name: str, value: float) -> float:
    if not 0 <= finite_number(name, value) <= 1:
        raise ValueError(f"{name}={value!r} must be 0 to 1; give e.g. 0.05, or leave it out to take the stage's")
    return float(value)


def _deviation(rollouts: Rollouts, mask: Bools) -> Floats:
    """Standardised length within those of the group that count, [B]; 0 for the others, and where only one counts."""
    groups, length = Groups.of(rollouts, mask), rollouts.length
    mean, std = groups.mean(length), np.maximum(groups.std(length, ddof=1), _LEAST_STD)
    counts = mask & groups.spread(groups.count > 1)
    return np.where(counts, (length - groups.spread(mean)) / groups.spread(std), 0.0)

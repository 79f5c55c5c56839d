"""ShorterBetter: the distance to the shortest right answer of the group is a penalty."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from laser_verl.core.checks import non_negative
from laser_verl.core.framework import MethodBase, Need, Shaped
from laser_verl.core.groups import Groups
from laser_verl.core.options import Scores, zero_one
from laser_verl.core.registry import register
from laser_verl.core.rollouts import Rollouts


@register(
    "shorter_better",
    needs={Need.GROUP},
    formula="alpha * C - beta * |L - target|, target = shortest solved length of the group, else the mean of all",
    source="arXiv 2504.21370, section 3",
)
@dataclass(kw_only=True, eq=False)
class ShorterBetter(MethodBase):
    """A penalty on the distance to the group's sample-optimal length, for right and wrong answers alike.

    R = alpha * C - beta * |L - target|, where the target is the length of the shortest solved response or, where nobody
    is right, the mean of all lengths. With a target of 800, a solved response of 2000 tokens gets 2 - 1.2 = 0.8, one of
    4000 gets -1.2, a wrong one of 3000 gets -2.2.

    Source: arXiv 2504.21370, section 3.

    The values of alpha and beta are those of the authors' code. There any boxed answer counts; here a malformed
    response is wrong.

    Attributes:
        alpha: What the task reward is multiplied by, 0 or more.
        beta: Penalty per token of distance, 0 or more.
    """

    scaled_by: ClassVar[str | None] = "beta"

    alpha: float = 2.0
    beta: float = 1e-3
    scores: Scores = field(default_factory=zero_one)

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        super().__post_init__()
        non_negative("alpha", self.alpha)
        non_negative("beta", self.beta, 1e-3)

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Subtract the distance to the target."""
        right, length = Groups.of(rollouts, rollouts.solved), rollouts.length
        target = right.spread(np.where(right.count > 0, right.min(length), Groups.of(rollouts).mean(length)))
        return Shaped(
            task_reward=self.alpha * self.scores.of(rollouts),
            length_reward=-self.beta * np.abs(length - target),
            target_length=target,
        )

"""GR3: the reward is divided by a number that grows with the length beside the mean length of the group."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from laser_verl.core.checks import non_negative
from laser_verl.core.framework import MethodBase, Need, Shaped
from laser_verl.core.groups import Groups
from laser_verl.core.options import Scores, zero_one
from laser_verl.core.registry import register
from laser_verl.core.rollouts import Rollouts


@register(
    "gr3",
    needs={Need.GROUP},
    formula="C / (1 + alpha * L / mean L), mean over the whole group",
    source="arXiv 2603.10535",
)
@dataclass(kw_only=True, eq=False)
class Gr3(MethodBase):
    """A factor on the reward by length relative to the mean length of the group, right and wrong responses together.

    R = C / (1 + alpha * L / mean L). In a group of mean length 2000, a solved response of 1000 tokens gets
    1 / 1.165 = 0.858, one of 2000 gets 0.752, a wrong one 0.

    Source: arXiv 2603.10535.

    A score of 0 or less is left as it is: divided, it would pay for being long. Where all responses of a group are
    empty, the factor is 1.

    Attributes:
        alpha: Strength, 0 or more.
    """

    alpha: float = 0.33
    scores: Scores = field(default_factory=zero_one)

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        super().__post_init__()
        non_negative("alpha", self.alpha)

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Divide what is worth more than nothing."""
        groups, task = Groups.of(rollouts), self.scores.of(rollouts)
        mean = groups.mean(rollouts.length)
        share = rollouts.length / groups.spread(np.where(mean > 0, mean, 1.0))
        factor = 1.0 / (1.0 + self.alpha * share)
        return Shaped(task_reward=task, length_reward=np.maximum(task, 0.0) * (factor - 1.0))

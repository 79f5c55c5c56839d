"""Long2Short of VibeThinker-3B: reward moves from the long right answers of a group to the short ones."""

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
    "long2short",
    needs={Need.GROUP},
    formula="C + weight * (s - mean s) / max |s - mean s| if solved, s = 1 / L over the group's solved responses",
    source="arXiv 2606.16140, the Long2Short stage",
)
@dataclass(kw_only=True, eq=False)
class Long2Short(MethodBase):
    """A length term that adds up to nothing over the right answers of a group; wrong answers have none.

    R = C + weight * (s - mean s) / max |s - mean s| for a solved response, s = 1 / L, mean and max over the group's
    solved responses. Of three solved ones of 1000, 2000 and 4000 tokens, s stands as 4 to 2 to 1, and the rewards are
    1.2, 0.96 and 0.84. One solved response alone, or equal lengths, have no length term.

    Source: arXiv 2606.16140, the Long2Short stage. An empty response counts as one token.

    Attributes:
        weight: Most that length can add or take away (lambda), 0 or more.
    """

    scaled_by: ClassVar[str | None] = "weight"

    weight: float = 0.2
    scores: Scores = field(default_factory=zero_one)

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        super().__post_init__()
        non_negative("weight", self.weight)

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Move reward from long to short."""
        right, length = Groups.of(rollouts, rollouts.solved), np.maximum(rollouts.length, 1)
        # 1 / L in units of the shortest one's: the unit cancels, and equal lengths have a mean of exactly 1.
        shortness = right.spread(right.min(length)) / length
        away = np.where(rollouts.solved, shortness - right.spread(right.mean(shortness)), 0.0)
        furthest = right.max(np.abs(away))
        return Shaped(
            task_reward=self.scores.of(rollouts),
            length_reward=self.weight * away / right.spread(np.where(furthest > 0, furthest, 1.0)),
        )

"""Efficient reasoning (Arora & Zanette): right answers are worth less the longer they are beside other right ones."""

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

# Keeps a group whose right answers are equally long from dividing by zero; the authors' value.
_EPSILON = 1e-7


@register(
    "efficient",
    needs={Need.GROUP},
    formula="C - alpha * sigmoid((L - mean) / (std + 1e-7)) if right, mean and std over the group's right responses",
    source="arXiv 2502.04463, section 4",
)
@dataclass(kw_only=True, eq=False)
class Efficient(MethodBase):
    """A penalty on right answers by how long they are among the right answers of their group.

    R = C - alpha * sigmoid(z) for a right response, z = (L - mean) / (std + 1e-7); mean and std (over n, not n - 1) are
    those of the group's right responses. Right is solved and ended by its own end-of-sequence token: a response that
    was cut is worth as much as a wrong one, and counts in neither mean nor std. Of two right responses of 800 and 1200
    tokens, z is -1 and 1 and the reward 0.973 and 0.927; one alone, or equal lengths, get 1 - alpha / 2.

    Source: arXiv 2502.04463, section 4.

    The authors train with alpha 0.05, 0.1, 0.2 and 0.4 and name no default; 0.1 is our pick. They use the RLOO
    advantage (`algorithm.adv_estimator=rloo`) and leave special tokens out of L, which moves all lengths alike and so
    changes nothing. A column `has_eos` of a recording goes before `truncated`.

    Attributes:
        alpha: Most that length can cost, 0 to 1, and no more than a wrong answer costs.
    """

    scaled_by: ClassVar[str | None] = "alpha"

    alpha: float = 0.1
    scores: Scores = field(default_factory=zero_one)

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        super().__post_init__()
        most = min(1.0, self.scores.correct - max(self.scores.wrong, self.scores.malformed))
        if non_negative("alpha", self.alpha, 0.1) > most:
            raise ValueError(
                f"alpha={self.alpha!r} must be at most {most:g}, so that right stays above wrong; give e.g. 0.1"
            )

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Score what was cut as wrong, and subtract the penalty from the rest."""
        is_right = rollouts.solved & rollouts.has_eos
        groups = Groups.of(rollouts, is_right)
        away = rollouts.length - groups.spread(groups.mean(rollouts.length))
        z = away / groups.spread(groups.std(rollouts.length) + _EPSILON)
        # The sigmoid by tanh, which never overflows.
        penalty = self.alpha * 0.5 * (1.0 + np.tanh(0.5 * z))
        return Shaped(
            task_reward=np.where(rollouts.solved & ~is_right, self.scores.wrong, self.scores.of(rollouts)),
            length_reward=np.where(is_right, -penalty, 0.0),
        )

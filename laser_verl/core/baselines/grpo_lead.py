"""GRPO-LEAD's reward: right answers shrink exponentially with their length, wrong ones cost 1."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from laser_verl.core.checks import non_negative, positive_int
from laser_verl.core.framework import MethodBase, Need, Shaped
from laser_verl.core.groups import Groups
from laser_verl.core.options import Scores, plus_minus_one
from laser_verl.core.registry import register
from laser_verl.core.rollouts import Rollouts

# Keeps a group whose right answers are equally long from dividing by zero; the authors' value.
_EPSILON = 1e-6

# The released code's gate looks at so many of a group's shortest responses.
_SHORTEST = 3


@register(
    "grpo_lead",
    needs={Need.GROUP},
    formula="C * exp(-alpha * (L - mean) / (std + 1e-6)) if solved, mean and std over the group's solved responses",
    source="arXiv 2504.09696, section 3",
)
@dataclass(kw_only=True, eq=False)
class GrpoLead(MethodBase):
    """A factor on right answers by how long they are among the right answers of their group; wrong ones get -1.

    R = C * exp(-alpha * z) for a solved response, z = (L - mean) / (std + 1e-6); mean and std (over n - 1) are those of
    the group's solved responses. Of two solved responses of 1000 and 3000 tokens, z is -0.707 and 0.707 and the reward
    1.036 and 0.965; one alone, or equal lengths, get 1.

    Source: arXiv 2504.09696, section 3.

    This is the reward only; its weight of the advantages by difficulty is `algorithm.adv_estimator=grpo_lead`. The
    released code shapes no group whose three shortest responses, right or wrong, average 4000 tokens or less, of which
    the paper says nothing: `gate_length=4000` does that (a group of fewer than three by the mean of those it has). The
    release pays 0 for a response that shows no answer, and -2 if it loops; here, as in the paper, it is wrong: -1. A
    score of the user's own that is 0 or less is left as it is: the factor would pay it for length.

    Attributes:
        alpha: Strength, 0 to 1.
        gate_length: Tokens; groups whose three shortest responses average no more keep the plain task reward. None
            shapes every group.
    """

    alpha: float = 0.05
    gate_length: int | None = None
    scores: Scores = field(default_factory=plus_minus_one)

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        super().__post_init__()
        if non_negative("alpha", self.alpha) > 1:
            raise ValueError(f"alpha={self.alpha!r} must be at most 1, or the factor explodes; give e.g. 0.05")
        if self.gate_length is not None:
            positive_int("gate_length", self.gate_length, "number of tokens", 4000)

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Multiply what right answers are worth."""
        length, is_shaped = rollouts.length, rollouts.solved
        right, task = Groups.of(rollouts, is_shaped), self.scores.of(rollouts)
        if self.gate_length is not None:
            groups = Groups.of(rollouts)
            is_shaped = is_shaped & groups.spread(groups.mean_of_least(length, _SHORTEST) > self.gate_length)
        away = np.where(is_shaped, length - right.spread(right.mean(length)), 0.0)
        z = away / right.spread(right.std(length, ddof=1) + _EPSILON)
        return Shaped(task_reward=task, length_reward=np.maximum(task, 0.0) * np.expm1(-self.alpha * z))

"""DAST: a length budget that grows with the difficulty of the prompt."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from laser_verl.core.checks import Floats, positive_int
from laser_verl.core.framework import MethodBase, Need, Shaped
from laser_verl.core.groups import Groups
from laser_verl.core.options import Scores, zero_one
from laser_verl.core.registry import register
from laser_verl.core.rollouts import Rollouts


@register(
    "dast",
    needs={Need.GROUP},
    formula="solved ? max(0.5 - 0.5 l, 0.1) : min(0.9 l - 0.1, -0.1), l = (L - budget) / budget",
    source="arXiv 2503.04472, Eq. 1-3",
)
@dataclass(kw_only=True, eq=False)
class Dast(MethodBase):
    """A reward by how far a response is from its prompt's budget: short is good if right, and bad if wrong.

    The budget is p * (mean length of the group's solved responses) + (1 - p) * max_length, p being the share of solved
    ones. With l = (L - budget) / budget, a solved response gets max(-0.5 l + 0.5, 0.1), any other
    min(0.9 l - 0.1, -0.1), so a long wrong answer costs less than a short one. With a budget of 4562.5, a solved
    response of 2000 tokens gets 0.7808, a wrong one of 3000 gets -0.4082.

    In the frame: C is 1 or 0, the length term what is missing to these rewards.

    Source: arXiv 2503.04472, Eq. 1 to 3; there the rewards rank pairs for SimPO, here they are those of the group.

    Attributes:
        max_length: Tokens that a prompt nobody solves may take, 1 or more; None takes `max_response_length`, or where
            that is not known the longest response of the group, as a GRPO version by other authors does.
    """

    max_length: int | None = None
    scores: Scores = field(default_factory=zero_one)

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        super().__post_init__()
        if self.max_length is not None:
            positive_int("max_length", self.max_length, "number of tokens", 16384)

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Bring the score of the verdict to that of the length against the budget."""
        budget = self._budget(rollouts)
        over = (rollouts.length - budget) / np.where(budget > 0, budget, 1.0)
        right, wrong = np.maximum(0.5 - 0.5 * over, 0.1), np.minimum(0.9 * over - 0.1, -0.1)
        return Shaped(
            task_reward=self.scores.of(rollouts),
            length_reward=np.where(rollouts.solved, right - 1.0, wrong),
            target_length=budget,
        )

    def _budget(self, rollouts: Rollouts) -> Floats:
        longest = self.max_length or self.longest_response(rollouts)
        limit = Groups.of(rollouts).max(rollouts.length) if longest is None else float(longest)
        pass_rate = rollouts.group_solved / np.maximum(rollouts.group_size, 1)
        usual = Groups.of(rollouts, rollouts.solved).mean(rollouts.length)
        budget: Floats = pass_rate * usual + (1 - pass_rate) * limit
        return budget[rollouts.group]

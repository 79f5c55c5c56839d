"""Thinkless: a right answer is worth more without a thought."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from laser_verl.core.checks import non_negative
from laser_verl.core.framework import MethodBase, Need, Shaped
from laser_verl.core.options import Scores, plus_minus_one
from laser_verl.core.registry import register
from laser_verl.core.rollouts import Rollouts


@register(
    "thinkless",
    needs={Need.RESPONSE, Need.PROMPT},
    formula="C - weight * [solved and thinks], C = 1 or -1",
    source="arXiv 2505.13379",
)
@dataclass(kw_only=True, eq=False)
class Thinkless(MethodBase):
    """A reward of 1 for a right short answer, 0.5 for a right one with a thought, -1 for any other.

    R = C - weight * [solved and thinks]. A group of three short and five thinking responses, all solved, has rewards 1
    and 0.5 and, less the mean of 0.6875, advantages 0.3125 and -0.1875.

    Source: arXiv 2505.13379, and the authors' code. Their advantages are not divided by a standard
    deviation: set `algorithm.norm_adv_by_std_in_grpo=false`.

    Left out: the weight of 0.001 for the loss on the control token, the first of the response, against the mean loss on
    the others; that is another loss inside the actor.

    Attributes:
        weight: What thinking takes from a right answer, 0 or more, and no more than a wrong one costs.
    """

    columns: ClassVar[tuple[str, ...]] = ("uses_thinking",)
    scaled_by: ClassVar[str | None] = "weight"

    weight: float = 0.5
    scores: Scores = field(default_factory=plus_minus_one)

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        super().__post_init__()
        most = self.scores.correct - max(self.scores.wrong, self.scores.malformed)
        if non_negative("weight", self.weight) > most:
            raise ValueError(
                f"weight={self.weight} must be at most {most:g}, or a right answer with a thought is worth less than a "
                "wrong one; give e.g. 0.5"
            )

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Take the price of thinking."""
        return Shaped(
            task_reward=self.scores.of(rollouts),
            length_reward=np.where(rollouts.solved & rollouts.uses_thinking, -self.weight, 0.0),
        )

"""ALP: each token costs more the more often the prompt is solved."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from laser_verl.core.checks import non_negative
from laser_verl.core.framework import MethodBase, Need, Shaped
from laser_verl.core.options import Scores, zero_one
from laser_verl.core.registry import register
from laser_verl.core.rollouts import Rollouts


@register(
    "alp",
    needs={Need.GROUP},
    formula="C - beta * L * max(p, 1/K), p = share of the group's K responses that are solved",
    source="arXiv 2506.05256, Eq. 2",
)
@dataclass(kw_only=True, eq=False)
class Alp(MethodBase):
    """A penalty per token that grows with the prompt's pass rate, for right and wrong answers alike.

    R = C - beta * L * max(p, 1/K), where p of the K responses to the prompt are solved. With 5 of 8 solved, a solved
    response of 8000 tokens gets 1 - 1e-7 * 8000 * 0.625 = 0.9995; in a group that nobody solves, a response of 8000
    tokens gets -0.0001.

    Source: arXiv 2506.05256, Eq. 2.

    Summaries of the paper disagree on whether L is divided by a constant N; there is no N here, as beta / N does the
    same. At this beta the term shows only in groups whose answers are all right or all wrong, and there only because
    GRPO divides by the standard deviation: with `algorithm.norm_adv_by_std_in_grpo=false` give a larger one.

    Attributes:
        beta: Penalty per token of a prompt that is always solved, 0 or more.
    """

    scaled_by: ClassVar[str | None] = "beta"

    beta: float = 1e-7
    scores: Scores = field(default_factory=zero_one)

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        super().__post_init__()
        non_negative("beta", self.beta, 1e-7)

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Subtract the penalty."""
        rate = np.maximum(rollouts.group_solved, 1) / rollouts.group_size
        return Shaped(
            task_reward=self.scores.of(rollouts),
            length_reward=-self.beta * rollouts.length * rate[rollouts.group],
        )

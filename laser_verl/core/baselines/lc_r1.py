"""LC-R1's length reward: how far a response stays below the longest right answer of its group."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from laser_verl.core.checks import non_negative
from laser_verl.core.framework import MethodBase, Need, Shaped
from laser_verl.core.groups import Groups
from laser_verl.core.options import Scores
from laser_verl.core.registry import register
from laser_verl.core.rollouts import Rollouts

# The authors' guard against a division by zero.
_EPSILON = 1e-4


def _format_and_accuracy() -> Scores:
    return Scores(correct=2.0, wrong=1.0, malformed=0.0)


@register(
    "lc_r1",
    needs={Need.GROUP},
    formula="C + weight * [solved] * (1 - L / (longest + 1e-4)), longest = longest solved length of the group",
    source="arXiv 2506.14755, section 4",
)
@dataclass(kw_only=True, eq=False)
class LcR1(MethodBase):
    """A length term of right answers, relative to the longest of them in the group.

    R = C + weight * [solved] * (1 - L / (longest + 1e-4)), where C adds 1 for the format and 1 for the answer. In a
    group whose longest solved response has 4000 tokens, a solved one of 1000 gets 2.75, a wrong one 1 at any length. A
    group that nobody solves, or only with empty responses, gets C.

    Source: arXiv 2506.14755, section 4.

    The authors' code gives the term to wrong answers too, negative beyond the longest right one: there a wrong response
    of 3000 tokens gets 1.25, one of 9000 -0.25.

    Only the length part: the bonus for compression goes to the advantage of one token and needs the authors' extractor
    model, which also cuts the thought of right answers before L is taken; both are left out. The authors pay 1 for a
    right answer in a bad format, here it is malformed: 0. Their advantage is not divided by the standard deviation: set
    `algorithm.norm_adv_by_std_in_grpo=false`.

    Attributes:
        weight: Of the length term, 0 or more.
        variant: "paper", or "released_code" with the term for right and wrong answers alike.
    """

    scaled_by: ClassVar[str | None] = "weight"

    weight: float = 1.0
    variant: Literal["paper", "released_code"] = "paper"
    scores: Scores = field(default_factory=_format_and_accuracy)

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        super().__post_init__()
        non_negative("weight", self.weight)

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Add the length term."""
        right = Groups.of(rollouts, rollouts.solved)
        longest = right.spread(right.max(rollouts.length))
        has_term = (longest > 0) & (rollouts.solved | (self.variant == "released_code"))
        term = np.where(has_term, 1.0 - rollouts.length / (longest + _EPSILON), 0.0)
        return Shaped(task_reward=self.scores.of(rollouts), length_reward=self.weight * term)

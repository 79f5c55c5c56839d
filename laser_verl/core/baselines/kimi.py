"""The length penalty of Kimi k1.5: where a response stands between the shortest and the longest of its group."""

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
    "kimi",
    needs={Need.GROUP},
    formula="C + weight * (solved ? l : min(0, l)), l = 1/2 - (L - min L) / (max L - min L)",
    source="arXiv 2501.12599, section 2.3.3",
)
@dataclass(kw_only=True, eq=False)
class Kimi(MethodBase):
    """A length term by where a response lies between the shortest and the longest of its group, at most one half.

    l = 1/2 - (L - min L) / (max L - min L) over the whole group; a solved response gets l, any other min(0, l), and a
    group of equal lengths gets 0. With lengths 800 to 9000, a solved response of 2000 tokens gets 1 + 0.3537.

    Source: arXiv 2501.12599, section 2.3.3; there the term joins after a warm-up, for which there is `ramp`.

    Attributes:
        weight: Of the length term, 0 or more; not published, 1.0 is ours.
    """

    scaled_by: ClassVar[str | None] = "weight"

    weight: float = 1.0
    scores: Scores = field(default_factory=zero_one)

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        super().__post_init__()
        non_negative("weight", self.weight)

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Add the length term."""
        groups, length = Groups.of(rollouts), rollouts.length
        shortest, longest = groups.min(length), groups.max(length)
        share = (length - groups.spread(shortest)) / groups.spread(np.maximum(longest - shortest, 1.0))
        term = np.where(groups.spread(longest > shortest), 0.5 - share, 0.0)
        return Shaped(
            task_reward=self.scores.of(rollouts),
            length_reward=self.weight * np.where(rollouts.solved, term, np.minimum(term, 0.0)),
        )

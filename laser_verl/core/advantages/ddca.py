"""DDCA: an advantage for being right, and beside it one for being short among the right ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from laser_verl.core.advantages.base import AdvantageRule, Advantages, group_normalised, register, solved_share
from laser_verl.core.checks import Floats, non_negative
from laser_verl.core.framework import Need, Shaped
from laser_verl.core.groups import Groups
from laser_verl.core.rollouts import Rollouts

_EPS = 1e-8

# Beyond it the sigmoid no longer moves.
_LARGEST_Z = 20.0


@register(
    "ddca",
    needs={Need.GROUP},
    formula="A + weight * p * (mean s - s) for solved responses, s = sigmoid(z of L among them), p the share solved",
    source="arXiv 2602.02099, Eq. 12 and 13",
)
@dataclass(kw_only=True, eq=False)
class Ddca(AdvantageRule):
    """The base's advantage, and for solved responses one for their length among the solved ones of the group.

    z = (L - mean) / (std + 1e-8) over the solved responses, with the population's std; s = sigmoid(z); the length
    advantage is p * (mean s - s), p the share solved, and 0 for the others. With solved lengths 1000 and 3000 in a
    group of 4, z is -1 and 1, s is 0.269 and 0.731, and the term is 0.2 * 0.5 * 0.231 = 0.023 and -0.023.

    Source: arXiv 2602.02099, Eq. 12 and 13; authors' code alphadl/DDCA, dca/advantage.py.

    The authors' base is the advantage of rewards 1 and 0; here it is that of the reward which is trained on, so that
    any length reward and verl's KL penalty count: `none` with scores 1, 0, 0 is the published rule. Their README has
    the sigmoid rise for short responses; paper and code have it rise with the length and subtract it, as here. A group
    of one keeps its reward, as in verl.

    Attributes:
        weight: Of the length advantage, 0 or more; the paper's beta.
        base: `grpo` normalises a group by mean and std (the population's), `rloo` compares each response with the mean
            of the others, in both advantages.
        dynamic: Whether the share solved scales the length advantage; false is the paper's DCA.
    """

    weight: float = 0.2
    base: Literal["grpo", "rloo"] = "grpo"
    dynamic: bool = True

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        non_negative("weight", self.weight)

    def advantages(self, rollouts: Rollouts, shaped: Shaped, reward: Floats, norm_by_std: bool = True) -> Advantages:
        """Add the two advantages."""
        values = self._base(rollouts, reward, norm_by_std) + self.weight * self._length_advantage(rollouts)
        return Advantages(values)

    def _base(self, rollouts: Rollouts, reward: Floats, norm_by_std: bool) -> Floats:
        if self.base == "grpo":
            return group_normalised(rollouts, reward, norm_by_std, ddof=0, eps=_EPS)
        groups = Groups.of(rollouts)
        return np.where(groups.spread(groups.count) == 1, reward, _against_the_others(groups, reward))

    def _length_advantage(self, rollouts: Rollouts) -> Floats:
        solved, length = Groups.of(rollouts, rollouts.solved), rollouts.length
        std = np.maximum(solved.std(length), _EPS) + _EPS
        z = (length - solved.spread(solved.mean(length))) / solved.spread(std)
        score = 1.0 / (1.0 + np.exp(-np.clip(z, -_LARGEST_Z, _LARGEST_Z)))
        is_grpo = self.base == "grpo"
        away = score - solved.spread(solved.mean(score)) if is_grpo else _against_the_others(solved, score)
        share = solved_share(rollouts)[rollouts.group] if self.dynamic else 1.0
        return np.where(rollouts.solved, -share * away, 0.0)


def _against_the_others(groups: Groups, values: Floats) -> Floats:
    """Subtract from each value the mean of the others of its group, [B]; 0 where there are none."""
    factor = groups.count / np.maximum(groups.count - 1, 1)
    away: Floats = groups.spread(factor) * (values - groups.spread(groups.mean(values)))
    return away

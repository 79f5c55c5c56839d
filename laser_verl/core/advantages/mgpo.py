"""The entropy weight of MGPO: groups that are solved about half of the time count the most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from laser_verl.core.advantages.base import (
    AdvantageRule,
    Advantages,
    group_normalised,
    mean_metric,
    register,
    solved_share,
)
from laser_verl.core.checks import Floats, non_negative
from laser_verl.core.framework import Need, Shaped
from laser_verl.core.rollouts import Rollouts


@register(
    "mgpo",
    needs={Need.GROUP},
    formula="GRPO's advantage * exp(-lam * KL(p || 1/2)), p the share solved",
    source="arXiv 2511.06221, section 3",
)
@dataclass(kw_only=True, eq=False)
class Mgpo(AdvantageRule):
    """GRPO with a weight per group that falls as its share solved moves away from one half.

    The weight is exp(-lam * D), D = p ln 2p + (1 - p) ln 2(1 - p), and multiplies every advantage of the group. With
    lam 1, a group that is half solved has weight 1, one solved 7 times out of 8 has 0.729, and one all solved 0.5.

    Source: arXiv 2511.06221, section 3.

    The weight's size is not published. It looks at difficulty alone; lengths enter through the length reward.

    Attributes:
        lam: How fast the weight falls, 0 or more; 0 is GRPO. Not published, 1.0 is ours.
    """

    lam: float = 1.0

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        non_negative("lam", self.lam)

    def advantages(self, rollouts: Rollouts, shaped: Shaped, reward: Floats, norm_by_std: bool = True) -> Advantages:
        """Weigh the advantages of each group."""
        weight = self.weight(solved_share(rollouts))
        values = group_normalised(rollouts, reward, norm_by_std) * weight[rollouts.group]
        return Advantages(values, metrics=mean_metric("laser/mgpo/weight_mean", weight))

    def weight(self, share: Floats) -> Floats:
        """Return the weight of groups by their share solved, [G]."""
        divergence = np.log(2.0) + _times_log(share) + _times_log(1.0 - share)
        weight: Floats = np.exp(-self.lam * divergence)
        return weight


def _times_log(share: Floats) -> Floats:
    """Return x ln x, which is 0 at 0."""
    product: Floats = share * np.log(np.where(share > 0, share, 1.0))
    return product

"""The advantage weight of GRPO-LEAD: right answers to hard prompts, and wrong ones to easy prompts, count more."""

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
    "grpo_lead",
    needs={Need.GROUP},
    formula="A * w(A > 0 ? p : 1 - p), w(x) = floor + (ceiling - floor) / (1 + exp(steepness * (x - midpoint)))",
    source="arXiv 2504.09696, section 3",
)
@dataclass(kw_only=True, eq=False)
class GrpoLead(AdvantageRule):
    """GRPO with a weight that falls with the share solved for gains, and rises with it for losses.

    A is GRPO's advantage and p the share solved; A > 0 is multiplied by w(p), any other by w(1 - p), where w falls from
    about `ceiling` to `floor`. With 5 of 8 solved, gains weigh 1.255 and losses 1.475; with 1 of 8, 1.498 and 0.645.

    Source: arXiv 2504.09696, section 3; authors' code aeroplanepaper/GRPO-LEAD, core_algos.py (logistic_reweight).

    Its length reward is `grpo_lead` under `reward.reward_manager.name`; either goes without the other. The authors take
    a response with a positive reward for solved, which their rewards make the same thing.

    Attributes:
        floor: Weight that w falls to, 0 or more; the paper's A.
        ceiling: Weight that w comes from, at least `floor`; the paper's B.
        midpoint: Where w is half-way, 0 to 1; the paper's rho_0.
        steepness: How sharply w falls there, 0 or more; the paper's k.
    """

    floor: float = 0.4
    ceiling: float = 1.5
    midpoint: float = 0.75
    steepness: float = 10.0

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        for name in ("floor", "ceiling", "midpoint", "steepness"):
            non_negative(name, getattr(self, name))
        if self.ceiling < self.floor:
            raise ValueError(f"ceiling={self.ceiling} must be at least floor={self.floor}; give e.g. 1.5")
        if self.midpoint > 1:
            raise ValueError(f"midpoint={self.midpoint} must be a share from 0 to 1; give e.g. 0.75")

    def advantages(self, rollouts: Rollouts, shaped: Shaped, reward: Floats, norm_by_std: bool = True) -> Advantages:
        """Weigh gains and losses."""
        share = solved_share(rollouts)
        values = group_normalised(rollouts, reward, norm_by_std)
        weight = np.where(values > 0, self.weight(share)[rollouts.group], self.weight(1.0 - share)[rollouts.group])
        return Advantages(values * weight, metrics=mean_metric("laser/grpo_lead/weight_mean", weight))

    def weight(self, share: Floats) -> Floats:
        """Return w of shares, [G]."""
        # 1 / (1 + exp x) without an overflow
        fall = 0.5 - 0.5 * np.tanh(0.5 * self.steepness * (share - self.midpoint))
        return self.floor + (self.ceiling - self.floor) * fall

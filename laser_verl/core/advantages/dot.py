"""DOT: what goes on far beyond its siblings in a group that is solved throughout is cut."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from laser_verl.core.advantages.base import AdvantageRule, Advantages, group_normalised, mean_metric, register
from laser_verl.core.checks import Floats, finite_number, non_negative, positive_int
from laser_verl.core.framework import Need, Shaped
from laser_verl.core.groups import Groups
from laser_verl.core.rollouts import Rollouts

# A limit that is a whole number must not fall below itself for the last bits of a sum.
_ROUNDING = 1e-9


@register(
    "dot",
    needs={Need.GROUP},
    formula="GRPO, with L cut to T = floor(mean L + alpha * std L), worth rho, where L - T >= margin in a solved group",
    source="arXiv 2601.03969",
)
@dataclass(kw_only=True, eq=False)
class Dot(AdvantageRule):
    """GRPO, after the outliers in length of all-solved groups are cut, which are worth `rho` from then on.

    T = floor(mean L + alpha * std L) over the group, with the sample's std. A response at least `margin` tokens longer
    gets rho in place of its reward, and its tokens beyond T get no advantage. With ten lengths of 1000, five of 1100
    and one of 8000, T is 6695: the last is cut to 6695 tokens, and its group has rewards 1, ..., 1, 0.

    Source: arXiv 2601.03969; authors' code U-rara/DOT, projects/dot/length_truncation.py.

    The authors verify the cut text again; here it is worth `rho` unseen, since its answer is gone. The whole reward is
    replaced, verl's KL penalty on its tokens included. Of n lengths none lies more than (n - 1) / sqrt(n) sample stds
    above the mean, so that alpha 3 needs groups of 11 or more; the authors use 32. Their KL-Cov loss and predictive
    sampling are left out.

    Attributes:
        alpha: Standard deviations above the mean at which a response is cut, 0 or more.
        margin: Fewest tokens that are worth a cut.
        rho: What a cut response is worth, its length term included, at most 1; set it to what the reward manager pays
            a wrong one, e.g. -0.5 beside `laser_d`.
    """

    alpha: float = 3.0
    margin: int = 32
    rho: float = 0.0

    def __post_init__(self) -> None:
        """Check the options' ranges, and that something can be cut."""
        non_negative("alpha", self.alpha)
        positive_int("margin", self.margin, "number of tokens", 32)
        if finite_number("rho", self.rho) > 1:
            raise ValueError(
                f"rho={self.rho} must not be above 1, or what was cut is worth more than what is right; give e.g. 0"
            )
        size = self.context.group_size
        if size is not None and (size - 1) / math.sqrt(size) <= self.alpha:
            raise ValueError(
                f"alpha={self.alpha} never cuts a response in groups of {size}: none is more than "
                f"{(size - 1) / math.sqrt(size):.2f} standard deviations above their mean; give a smaller alpha, or a "
                "larger actor_rollout_ref.rollout.n (11 for alpha=3)"
            )

    def advantages(self, rollouts: Rollouts, shaped: Shaped, reward: Floats, norm_by_std: bool = True) -> Advantages:
        """Cut, then normalise."""
        groups, length = Groups.of(rollouts), rollouts.length.astype(np.float64)
        beyond = groups.mean(length) + self.alpha * groups.std(length, ddof=1)
        limit = groups.spread(np.floor(beyond + _ROUNDING))
        is_all_solved = groups.spread(rollouts.group_solved == rollouts.group_size)
        is_cut = is_all_solved & (length - limit >= self.margin)
        return Advantages(
            values=group_normalised(rollouts, np.where(is_cut, self.rho, reward), norm_by_std),
            kept_tokens=np.where(is_cut, limit, length),
            metrics=mean_metric("laser/dot/cut_frac", is_cut.astype(np.float64)),
        )

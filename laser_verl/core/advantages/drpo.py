"""The weights of DRPO: among the right responses of a group, the short ones count more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from laser_verl.core.advantages.base import AdvantageRule, Advantages, group_normalised, register, solved_share
from laser_verl.core.checks import Floats, finite_number, positive_int
from laser_verl.core.framework import Need, Shaped
from laser_verl.core.groups import Groups
from laser_verl.core.rollouts import Rollouts

# Below it the shortest response gets all the weight.
_SHARPEST = 1e-3


@register(
    "drpo",
    needs={Need.GROUP},
    formula="GRPO's advantage, of solved ones * n w, w = exp((1 - L / max_length) / lam) / its sum over the n solved",
    source="arXiv 2510.04474",
)
@dataclass(kw_only=True, eq=False)
class Drpo(AdvantageRule):
    """GRPO on mixed groups, in which a solved response weighs the more the shorter it is.

    w = exp((1 - L / max_length) / lam), divided by its sum over the n solved responses of the group. A solved response
    gets its GRPO advantage times n * w, which is 1 on average, any other its own, and a group that is all right or all
    wrong gets 0. With max_length 8192, solved lengths 800 and 2000 weigh 0.812 and 0.188, so that their advantages are
    multiplied by 1.624 and 0.376.

    Source: arXiv 2510.04474; authors' code Optimization-AI/DRPO, core_algos.py (compute_policy_loss_drpo).

    The method itself is another loss of the actor: it sets the right responses, with these weights, against a log-mean-
    exp of the wrong ones, and holds the policy within a KL bound. That loss is left out; here are its weights, and its
    rule for unmixed groups, on GRPO's advantages.

    Attributes:
        lam: How sharply the weight falls with the length, 0.001 or more; the smaller, the sharper.
        max_length: Tokens that count as length 1; None takes `max_response_length`.
    """

    lam: float = 0.1
    max_length: int | None = None

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        if finite_number("lam", self.lam) < _SHARPEST:
            raise ValueError(f"lam={self.lam!r} must be {_SHARPEST} or more; give e.g. 0.1")
        if self.max_length is not None:
            positive_int("max_length", self.max_length, "number of tokens", 8192)

    def advantages(self, rollouts: Rollouts, shaped: Shaped, reward: Floats, norm_by_std: bool = True) -> Advantages:
        """Weigh the advantages of solved responses."""
        share = solved_share(rollouts)
        is_mixed = ((share > 0) & (share < 1))[rollouts.group]
        number = rollouts.group_solved[rollouts.group]
        factor = np.where(rollouts.solved, number * self.weights(rollouts), 1.0)
        return Advantages(np.where(is_mixed, factor * group_normalised(rollouts, reward, norm_by_std), 0.0))

    def weights(self, rollouts: Rollouts) -> Floats:
        """Return the weight of each solved response among those of its group, 0 for the others, [B]."""
        groups, length = Groups.of(rollouts, rollouts.solved), rollouts.length
        # Measured from the shortest, which leaves the shares as they are and keeps the exponential in range.
        beyond = np.where(rollouts.solved, length - groups.spread(groups.min(length)), 0.0)
        weight = np.where(rollouts.solved, np.exp(-beyond / (self._longest(rollouts) * self.lam)), 0.0)
        part: Floats = weight / groups.spread(np.maximum(groups.sum(weight), 1.0))
        return part

    def _longest(self, rollouts: Rollouts) -> int:
        longest = self.max_length or rollouts.max_response_length or self.context.max_response_length
        if longest is None:
            raise ValueError("drpo measures lengths by max_response_length, which is not known; give max_length")
        return longest

"""The batch-wise normalisation of DLER."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from laser_verl.core.advantages.base import AdvantageRule, Advantages, group_normalised, register, whitened
from laser_verl.core.checks import Floats
from laser_verl.core.framework import Need, Shaped
from laser_verl.core.rollouts import Rollouts


@register(
    "dler",
    needs={Need.GROUP, Need.BATCH},
    formula="(a - mean a) / std a over the batch, a = r - mean of the group",
    source="arXiv 2510.15110",
)
@dataclass(kw_only=True, eq=False)
class Dler(AdvantageRule):
    """Rewards less their group's mean, divided by one standard deviation for the whole batch.

    Groups with a small spread keep small advantages, so the size of a length term survives where all are solved. Two
    groups with rewards 1, 0 and 1, 1 are centred to 0.5, -0.5, 0, 0, whose standard deviation is 0.408, and get 1.225,
    -1.225, 0, 0.

    Source: arXiv 2510.15110; the reward there is `truncation` with target_length 4000, and the clip ratio verl's
    actor.clip_ratio_high=0.28. Its dynamic sampling drops groups that are all right or all wrong once truncated; verl's
    `algorithm.filter_groups` sees scores from before that, and would drop the groups that only length sets apart.

    Mean and standard deviation are over responses, as in the paper, the latter the sample's, as in verl's whitening.
    The authors' code whitens over tokens, as verl's `reinforce_plus_plus_baseline` does, so that a long response counts
    more. No group is divided by its own standard deviation, so `algorithm.norm_adv_by_std_in_grpo` has no effect; a
    group of one keeps its reward before the division, as in verl.

    Attributes:
        over: What mean and standard deviation are taken over, "responses" or "tokens".
    """

    over: Literal["responses", "tokens"] = "responses"

    def advantages(self, rollouts: Rollouts, shaped: Shaped, reward: Floats, norm_by_std: bool = True) -> Advantages:
        """Normalise over the batch."""
        centred = group_normalised(rollouts, reward, norm_by_std=False)
        tokens = rollouts.length if self.over == "tokens" else None
        metrics = {"laser/dler/batch_std": float(centred.std(ddof=1))} if centred.size > 1 else {}
        return Advantages(whitened(centred, tokens), metrics=metrics)

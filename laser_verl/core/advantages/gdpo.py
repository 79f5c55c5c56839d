"""GDPO: task reward and length reward are normalised each by itself. verl has it; its columns are ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from laser_verl.core.advantages.base import AdvantageRule, Advantages, group_normalised, register, whitened
from laser_verl.core.checks import Floats
from laser_verl.core.framework import Need, Shaped
from laser_verl.core.rollouts import Rollouts


@register(
    "gdpo",
    needs={Need.GROUP, Need.BATCH},
    formula="GRPO's advantage of each reward column by itself, weighted and added up, then whitened over the batch",
    source="arXiv 2601.05242",
)
@dataclass(kw_only=True, eq=False)
class Gdpo(AdvantageRule):
    """verl's GDPO over the columns `task_reward` and `length_reward`.

    Each column is centred and divided by its std in every group, the two are added, and the result is whitened over the
    tokens of the batch, so that right and short, and merely right, stay apart. In one group of long responses of equal
    length, task rewards 1, 1, 1, 0 and length rewards 1, 0, 0, 0 add up to 2, 0, 0, -2, and the advantages are 1.41, 0,
    0, -1.41.

    Source: arXiv 2601.05242; verl's compute_gdpo_outcome_advantage does the work in a training run.

    Its options are verl's: +algorithm.gdpo_reward_keys (both columns if left out) and +algorithm.gdpo_reward_weights
    (all 1 if left out). As in verl only the columns count, so that a KL penalty in the reward does not; unlike there,
    algorithm.norm_adv_by_std_in_grpo=false is heeded.
    """

    def advantages(self, rollouts: Rollouts, shaped: Shaped, reward: Floats, norm_by_std: bool = True) -> Advantages:
        """Normalise the two columns each by itself, with weights 1."""
        columns = (shaped.task_reward, shaped.length_reward)
        return Advantages(decoupled(rollouts, columns, (1.0, 1.0), norm_by_std))


def decoupled(
    rollouts: Rollouts, columns: Sequence[Floats], weights: Sequence[float], norm_by_std: bool = True
) -> Floats:
    """Normalise each column in its groups, add them up by weight, and whiten over the tokens.

    Args:
        rollouts: The responses.
        columns: Rewards, each [B].
        weights: One for each column.
        norm_by_std: Whether a group's rewards are divided by their standard deviation.

    Returns:
        Advantages, [B].
    """
    added = np.zeros(rollouts.size)
    for column, weight in zip(columns, weights, strict=True):
        added += weight * group_normalised(rollouts, column, norm_by_std)
    return whitened(added, rollouts.length)

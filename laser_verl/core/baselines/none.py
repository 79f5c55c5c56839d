"""Plain correctness, so that a run without a length reward logs the same metrics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from laser_verl.core.framework import MethodBase, Need, Shaped
from laser_verl.core.registry import register
from laser_verl.core.rollouts import Rollouts


@register("none", needs={Need.RESPONSE}, formula="C", source="arXiv 2505.15612, section 2 (the base reward)")
@dataclass(kw_only=True, eq=False)
class NoLengthReward(MethodBase):
    """The task reward alone, for a baseline run.

    R = C: 1 for a solved response, -0.5 for a wrong one, -1 for a malformed one, at any length.

    Source: arXiv 2505.15612, section 2.
    """

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Return C and no length term."""
        return Shaped(task_reward=self.scores.of(rollouts), length_reward=np.zeros(rollouts.size))

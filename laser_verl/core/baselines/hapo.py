"""HAPO: each response against the shortest right answer that its prompt ever had."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from laser_verl.core.checks import Floats, non_negative
from laser_verl.core.framework import MethodBase, Need, Shaped
from laser_verl.core.history import SHORTEST_CORRECT
from laser_verl.core.options import Scores, zero_one
from laser_verl.core.registry import register
from laser_verl.core.rollouts import Rollouts

# A right answer keeps at least 1 - 0.7, so that with weight 1 none falls to what a wrong one gets.
_LEAST_OF_RIGHT = -0.7
_TOLERANCE = 0.1


@register(
    "hapo",
    needs={Need.HISTORY},
    formula="C + weight * (solved ? max(-0.7, f) : min(0, f)), f = cos(min(pi/2 * L/h, pi)), h = shortest right so far",
    source="arXiv 2505.11225, section 3",
)
@dataclass(kw_only=True, eq=False)
class Hapo(MethodBase):
    """A length term that pays for beating the shortest right answer in the history of the prompt.

    h, the column `shortest_correct`, is the length of the shortest solved response to the prompt in all batches before
    this one, at least 1. With r = L/h, f is cos(min(pi/2 * r, pi)), or of kind "linear" 1 - r below h, then 0 up to
    (1 + tolerance) * h, then 1 + tolerance - r, at least -1. A solved response gets max(-0.7, f), any other min(0, f),
    and a prompt without history 0. With h = 1000, a solved response of 500 tokens gets 1 + 0.7071, one of 2000 gets
    1 - 0.7, a wrong one of 2000 gets -1.

    Source: arXiv 2505.11225, section 3; the linear kind is the authors' code.

    Left out of the authors' code: the mean in place of the shortest, whose update counts a prompt once per response;
    and the penalty of repeated n-grams, off by default there.

    Attributes:
        weight: Of the length term, 0 or more.
        kind: "cosine" (paper) or "linear".
        tolerance: Share by which h may be passed at no cost, 0 or more; of kind "linear" only.
    """

    columns: ClassVar[tuple[str, ...]] = (SHORTEST_CORRECT,)
    scaled_by: ClassVar[str | None] = "weight"

    weight: float = 1.0
    kind: Literal["cosine", "linear"] = "cosine"
    tolerance: float = _TOLERANCE
    scores: Scores = field(default_factory=zero_one)

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        super().__post_init__()
        non_negative("weight", self.weight)
        non_negative("tolerance", self.tolerance)
        if self.kind == "cosine" and self.tolerance != _TOLERANCE:
            raise ValueError(f"tolerance={self.tolerance} has no effect with kind='cosine'; leave out one of the two")

    @property
    def required_columns(self) -> tuple[str, ...]:
        """None: without the column no prompt has a history."""
        return ()

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Add the length term."""
        shortest = np.maximum(rollouts.numbers(SHORTEST_CORRECT, empty=np.nan), 1.0)
        shape = self._shape_of(rollouts.length / shortest)
        term = np.where(rollouts.solved, np.maximum(shape, _LEAST_OF_RIGHT), np.minimum(shape, 0.0))
        return Shaped(
            task_reward=self.scores.of(rollouts),
            length_reward=self.weight * np.where(np.isnan(shortest), 0.0, term),
            target_length=shortest,
        )

    def _shape_of(self, ratio: Floats) -> Floats:
        if self.kind == "cosine":
            cosine: Floats = np.cos(np.minimum(np.pi / 2 * ratio, np.pi))
            return cosine
        return np.where(ratio < 1, 1 - ratio, np.clip(1 + self.tolerance - ratio, -1.0, 0.0))

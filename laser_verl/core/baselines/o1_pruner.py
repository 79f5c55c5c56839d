"""O1-Pruner: length and accuracy against those of a reference model on the same prompt."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from laser_verl.core.checks import Floats, non_negative
from laser_verl.core.framework import MethodBase, Need, Shaped
from laser_verl.core.options import Scores, zero_one
from laser_verl.core.registry import register
from laser_verl.core.rollouts import Rollouts


@register(
    "o1_pruner",
    needs={Need.RESPONSE, Need.PROMPT},
    formula="reference_length / L - 1 + alpha * (solved - reference_accuracy)",
    source="arXiv 2501.12570, Eq. 3-6",
)
@dataclass(kw_only=True, eq=False)
class O1Pruner(MethodBase):
    """A reward for being shorter than a reference model was on the prompt, and no less often right.

    R = reference_length / L - 1 + alpha * (solved - reference_accuracy); the data bring the reference's mean length
    and share of right answers, of e.g. 16 samples a prompt. With a reference of 3437.5 tokens and 0.625, a solved
    response of 2000 tokens gets 1.4688, a wrong one of 3000 gets -1.1042. A length of 0 counts as 1.

    In the frame: C is 1 or 0, the length term what is missing to R. Without a clip, R of a response much shorter than
    the reference has no bound, right or wrong.

    Source: arXiv 2501.12570, Eq. 3 to 6; alpha is 2 for Marco-o1 (the default) and 5 for QwQ.

    The authors train off-policy: their code clips R to -2 and 4, keeps two samples of the reference a prompt, and
    standardises R over the data set. Here the responses are the policy's, and the advantage estimator standardises.

    Attributes:
        alpha: Weight of the accuracy, 0 or more.
        clip: Least and greatest R, [-2, 4] in the authors' code; None (paper) leaves it as it is.
    """

    columns: ClassVar[tuple[str, ...]] = ("reference_length", "reference_accuracy")

    alpha: float = 2.0
    clip: tuple[float, float] | None = None
    scores: Scores = field(default_factory=zero_one)

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        super().__post_init__()
        non_negative("alpha", self.alpha)
        if self.clip is not None and self.clip[0] >= self.clip[1]:
            raise ValueError(f"clip={list(self.clip)} must be two rising numbers; give e.g. [-2, 4]")

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Bring the score of the verdict to R."""
        ahead = rollouts.numbers("reference_length") / np.maximum(rollouts.length, 1) - 1
        reward = ahead + self.alpha * (rollouts.solved - _shares(rollouts))
        if self.clip is not None:
            reward = np.clip(reward, *self.clip)
        return Shaped(task_reward=self.scores.of(rollouts), length_reward=reward - rollouts.solved)


def _shares(rollouts: Rollouts) -> Floats:
    accuracy = rollouts.numbers("reference_accuracy")
    if (accuracy > 1).any():
        row = int(np.argmax(accuracy > 1))
        raise ValueError(f"reference_accuracy[{row}]={accuracy[row]} must be a share, 0 to 1; check that row")
    return accuracy

"""DA-DLER: truncation at a limit that is tighter for easy prompts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from laser_verl.core.checks import check_reachable, positive_int
from laser_verl.core.framework import MethodBase, Need, Shaped
from laser_verl.core.options import Scores, zero_one
from laser_verl.core.registry import register
from laser_verl.core.rollouts import Rollouts


@register(
    "da_dler",
    needs={Need.GROUP},
    formula="[solved and L <= limit], limit_easy if at least half of the group is solved, else limit_hard",
    source="arXiv 2510.15110",
)
@dataclass(kw_only=True, eq=False)
class DaDler(MethodBase):
    """Truncation by difficulty: a right answer counts only within a limit, which is tighter for easy prompts.

    R = 1 if solved and L <= limit, else 0; the limit is limit_easy where at least half of the group's responses are
    solved, however long, else limit_hard. In a group with 7 of 8 solved, a solved response of 2000 tokens gets 1, one
    of 3000 gets 0; with 1 of 8 solved, that one gets 1 up to 4000.

    Source: arXiv 2510.15110. Whether an answer beyond the limit counts for the difficulty is not said there; here it
    does.

    The recipe goes with advantages normalised over the batch: `algorithm.adv_estimator=dler`. DLER itself is
    `truncation` with `target_length=4000`, `scores={wrong: 0, malformed: 0}` and the same estimator.

    Attributes:
        limit_easy: Tokens, 1 or more, at most `limit_hard`.
        limit_hard: Tokens, 1 or more, at most `max_response_length`.
    """

    limit_easy: int = 2000
    limit_hard: int = 4000
    scores: Scores = field(default_factory=zero_one)

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        super().__post_init__()
        positive_int("limit_easy", self.limit_easy, "number of tokens", 2000)
        positive_int("limit_hard", self.limit_hard, "number of tokens", 4000)
        if self.limit_easy > self.limit_hard:
            raise ValueError(
                f"limit_easy={self.limit_easy} is above limit_hard={self.limit_hard}; give the lower limit to easy "
                "prompts, e.g. 2000 and 4000"
            )
        check_reachable("limit_hard", self.limit_hard, self.context.max_response_length)

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Take the score of what is too long for its prompt."""
        is_easy = 2 * rollouts.group_solved >= rollouts.group_size
        limit = np.where(is_easy, self.limit_easy, self.limit_hard)[rollouts.group]
        task = self.scores.of(rollouts)
        is_late = rollouts.solved & (rollouts.length > limit)
        return Shaped(
            task_reward=task,
            length_reward=np.where(is_late, self.scores.wrong - task, 0.0),
            target_length=limit.astype(np.float64),
        )

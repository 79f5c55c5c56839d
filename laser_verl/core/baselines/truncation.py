"""Truncation: what goes on beyond a length is worth a fixed score. At one length, and in stages (ThinkPrune)."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from laser_verl.core.checks import check_reachable, finite_number, positive_int
from laser_verl.core.framework import MethodBase, Need, Shaped
from laser_verl.core.options import Scores, zero_one
from laser_verl.core.registry import register
from laser_verl.core.rollouts import Rollouts


@register(
    "truncation",
    needs={Need.RESPONSE},
    formula="C if L <= target_length, else rho",
    source="arXiv 2505.15612, Table 2",
)
@dataclass(kw_only=True, eq=False)
class Truncation(MethodBase):
    """The task reward within a target length, one fixed score beyond it.

    In the frame: S = rho - C beyond the target length, else 0. With a target of 2000 and rho 0, a solved response of
    2000 tokens gets 1, one of 2001 gets 0, a wrong one of 2001 gets 0 too.

    Source: arXiv 2505.15612, Table 2 and Appendix D.1.

    The caption of Table 2 calls rho the reward of a wrong answer; Appendix D.1 sets it to 0, which is the default here.

    Attributes:
        target_length: Tokens, 1 or more, at most `max_response_length`.
        rho: Score beyond the target length.
    """

    target_length: int
    rho: float = 0.0

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        super().__post_init__()
        positive_int("target_length", self.target_length, "number of tokens", 4096)
        check_reachable("target_length", self.target_length, self.context.max_response_length)
        if finite_number("rho", self.rho) > self.scores.correct:
            raise ValueError(
                f"rho={self.rho} must not be above scores.correct={self.scores.correct}, or what is too long is worth "
                "more than what is right; give e.g. 0"
            )

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Replace the score of what is too long."""
        task = self.scores.of(rollouts)
        return Shaped(
            task_reward=task,
            length_reward=np.where(rollouts.length > self.target_length, self.rho - task, 0.0),
            target_length=np.full(rollouts.size, float(self.target_length)),
        )

    def target_text(self) -> str:
        """Name the target length."""
        return f"{self.target_length} tokens"


@dataclass(kw_only=True, eq=False)
class ScheduledLimit(MethodBase):
    """A right answer is worth something only within a limit that a schedule over the training steps gives."""

    scores: Scores = field(default_factory=zero_one)

    def __post_init__(self) -> None:
        """Start before the first batch."""
        super().__post_init__()
        self._step: int | None = None

    def limit(self, step: int) -> float:
        """Return the limit at a training step, tokens."""
        raise NotImplementedError(f"{type(self).__name__} has to define limit(step)")

    def rollout_limit(self, step: int) -> int:
        """Cut the rollouts at the limit."""
        return int(self.limit(step))

    def observe(self, rollouts: Rollouts) -> None:
        """Remember the step, for the metrics."""
        self._step = rollouts.step

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Make a right answer beyond the limit worth as much as a wrong one."""
        limit, task = self.limit(rollouts.step), self.scores.of(rollouts)
        is_late = rollouts.solved & (rollouts.length > limit)
        return Shaped(
            task_reward=task,
            length_reward=np.where(is_late, self.scores.wrong - task, 0.0),
            target_length=np.full(rollouts.size, float(limit)),
        )

    def metrics(self) -> dict[str, float]:
        """Name the limit of the last batch."""
        return {} if self._step is None else {"laser/target_length/all": float(self.limit(self._step))}


@register(
    "thinkprune",
    needs={Need.RESPONSE, Need.HISTORY},
    formula="C if L <= limit of the stage, else that of a wrong answer",
    source="arXiv 2504.01296, section 3",
)
@dataclass(kw_only=True, eq=False)
class ThinkPrune(ScheduledLimit):
    """Truncation in stages: a right answer counts only within a limit that gets tighter.

    R = 1 if solved and L <= limit, else 0. With `stages=[4000, 3000, 2000]` and `starts=[0, 100, 200]`, a solved
    response of 3500 tokens gets 1 up to step 99 and 0 from step 100 on.

    Source: arXiv 2504.01296, section 3.

    The authors prune from 4000 over 3000 to 2000 tokens, each stage from a checkpoint of the last that they picked; so
    the default is the first stage, and the steps at which others begin are yours to give.

    Attributes:
        stages: Limit of each stage, tokens, each below the one before, at most `max_response_length`.
        starts: First step of each stage, the first one 0; None only with a single stage.
    """

    stages: tuple[int, ...] = (4000,)
    starts: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """Check that the stages follow each other."""
        super().__post_init__()
        for place, limit in enumerate(self.stages):
            positive_int(f"stages[{place}]", limit, "number of tokens", 4000)
        check_reachable("stages[0]", self.stages[0], self.context.max_response_length)
        if any(later >= earlier for earlier, later in pairwise(self.stages)):
            raise ValueError(f"stages={list(self.stages)} must get shorter from stage to stage; give e.g. [4000, 2000]")
        starts = (0,) if self.starts is None else self.starts
        follows = all(later > earlier for earlier, later in pairwise(starts))
        if len(starts) != len(self.stages) or starts[0] != 0 or not follows:
            raise ValueError(
                f"starts={None if self.starts is None else list(starts)} must hold the first step of each of the "
                f"{len(self.stages)} stages, rising from 0, so that none overlaps the next; give e.g. "
                f"{[100 * place for place in range(len(self.stages))]}"
            )
        self._starts = np.array(starts)

    @property
    def needs(self) -> frozenset[Need]:
        """The response, and the step too unless there is a single stage."""
        return self.class_needs if len(self.stages) > 1 else frozenset({Need.RESPONSE})

    def target_text(self) -> str:
        """Name the limit of each stage."""
        return f"{', '.join(map(str, self.stages))} tokens, by step"

    def limit(self, step: int) -> int:
        """Return the limit at a training step, tokens."""
        return self.stages[int(np.searchsorted(self._starts, step, side="right")) - 1]

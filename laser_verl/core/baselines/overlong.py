"""DAPO's soft overlong punishment: the last tokens before the length limit cost more and more."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from laser_verl.core.checks import check_reachable, non_negative, positive_int
from laser_verl.core.framework import MethodBase, Need, Shaped
from laser_verl.core.options import Scores, plus_minus_one
from laser_verl.core.registry import register
from laser_verl.core.rollouts import Rollouts

_PUBLISHED_LENGTH = 20480


@register(
    "dapo_overlong",
    needs={Need.RESPONSE},
    formula="C + weight * clip((max_length - buffer - L) / buffer, -1, 0)",
    source="arXiv 2503.14476, Eq. 13",
)
@dataclass(kw_only=True, eq=False)
class DapoOverlong(MethodBase):
    """A penalty that grows from 0 to 1 over the last stretch before the length limit.

    R = C + weight * clip((max_length - buffer - L) / buffer, -1, 0), for right and wrong answers alike; C is 1 or -1
    (Eq. 7). With 20480 and 4096, a solved response gets 1 up to 16384 tokens, 0.5 at 18432, 0 from 20480 on.

    Source: arXiv 2503.14476, Eq. 13 and section 4.1.

    verl's own manager `dapo` has no floor at -1 and relies on the limit of sampling.

    Attributes:
        max_length: Tokens at which the penalty is full, at most `max_response_length`; None takes
            `max_response_length`, and the published 20480 where that is not known.
        buffer: Tokens over which the penalty grows, 1 or more, below `max_length`.
        weight: Of the penalty, 0 or more.
        variant: "paper", or "verl" without the floor at -1.
    """

    scaled_by: ClassVar[str | None] = "weight"

    max_length: int | None = None
    buffer: int = 4096
    weight: float = 1.0
    variant: Literal["paper", "verl"] = "paper"
    scores: Scores = field(default_factory=plus_minus_one)

    def __post_init__(self) -> None:
        """Check the options' ranges and how they go together."""
        super().__post_init__()
        positive_int("buffer", self.buffer, "number of tokens", 4096)
        non_negative("weight", self.weight)
        if self.max_length is not None:
            positive_int("max_length", self.max_length, "number of tokens", _PUBLISHED_LENGTH)
            check_reachable("max_length", self.max_length, self.context.max_response_length)
        self._check_buffer(self.max_length or self.context.max_response_length)

    def _check_buffer(self, longest: int | None) -> None:
        if longest is not None and self.buffer >= longest:
            raise ValueError(
                f"buffer={self.buffer} must be below the longest length, {longest} tokens; give e.g. {longest // 4}"
            )

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Take the penalty; the target is where it begins."""
        longest = self.max_length or self.longest_response(rollouts) or _PUBLISHED_LENGTH
        self._check_buffer(longest)
        start = longest - self.buffer
        penalty = np.minimum((start - rollouts.length) / self.buffer, 0.0)
        if self.variant == "paper":
            penalty = np.maximum(penalty, -1.0)
        return Shaped(
            task_reward=self.scores.of(rollouts),
            length_reward=self.weight * penalty,
            target_length=np.full(rollouts.size, float(start)),
        )

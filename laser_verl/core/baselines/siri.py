"""SIRI: the limit within which a right answer counts goes down and up again, over and over."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from laser_verl.core.baselines.truncation import ScheduledLimit
from laser_verl.core.checks import check_reachable, positive_int
from laser_verl.core.framework import Need
from laser_verl.core.registry import register


@register(
    "siri",
    needs={Need.RESPONSE, Need.HISTORY},
    formula="C if L <= limit(step), else that of a wrong answer; limit(step) between longest and shortest",
    source="arXiv 2509.25176, sections 4.2 and 4.3",
)
@dataclass(kw_only=True, eq=False)
class Siri(ScheduledLimit):
    """Truncation at a limit that swings between two lengths, so that answers are compressed and set free in turn.

    R = 1 if solved and L <= limit, else 0; limit = (longest + shortest) / 2 + (longest - shortest) / 2 * h, h from -1
    to 1 by the share of the period that has passed. With the defaults the limit is 16384 at step 0, 12288 at step 160,
    8192 at step 320 and 16384 again at step 640.

    Source: arXiv 2509.25176, sections 4.2 and 4.3.

    The authors cut a response at the limit and judge the rest. So do rollouts that follow the limit; one that goes
    beyond it is worth nothing here, wherever its answer stands. That the stair is short in the first half of a period
    is how we read the text: a period compresses first.

    Attributes:
        longest: Longest limit, tokens, at most `max_response_length`.
        shortest: Shortest limit, tokens, 1 or more, below `longest`.
        period: Steps of one cycle.
        kind: "cosine"; "stair", short for half a period, then long; or "stair_cosine", which rests a quarter of the
            period at either limit.
    """

    longest: int = 16384
    shortest: int = 8192
    period: int = 640
    kind: Literal["cosine", "stair", "stair_cosine"] = "cosine"

    def __post_init__(self) -> None:
        """Check the options' ranges and how they go together."""
        super().__post_init__()
        positive_int("longest", self.longest, "number of tokens", 16384)
        positive_int("shortest", self.shortest, "number of tokens", 8192)
        if positive_int("period", self.period, "number of steps", 640) == 1:
            raise ValueError("period=1 leaves the limit where it is; give 2 steps or more, e.g. 640")
        if self.shortest >= self.longest:
            raise ValueError(
                f"shortest={self.shortest} must be below longest={self.longest}; give e.g. shortest={self.longest // 2}"
            )
        check_reachable("longest", self.longest, self.context.max_response_length)

    def target_text(self) -> str:
        """Name the two lengths that the limit swings between."""
        return f"between {self.shortest} and {self.longest} tokens, by step"

    def limit(self, step: int) -> float:
        """Return the limit at a training step, tokens, not rounded."""
        height = self._height(step % self.period / self.period)
        return (self.longest + self.shortest) / 2 + (self.longest - self.shortest) / 2 * height

    def _height(self, share: float) -> float:
        """Where the limit stands when a share of the period has passed, -1 at the shortest and 1 at the longest."""
        if self.kind == "stair":
            return -1.0 if share < 0.5 else 1.0
        down = min(share, 1 - share)  # the way up mirrors the way down
        if self.kind == "cosine":
            return math.cos(2 * math.pi * down)
        return math.cos(4 * math.pi * min(max(down - 1 / 8, 0.0), 1 / 4))

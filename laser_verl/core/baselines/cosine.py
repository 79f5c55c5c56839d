"""The cosine reward: short right answers are worth more, and so are long wrong ones."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from laser_verl.core.checks import Floats, check_reachable, finite_number, positive_int
from laser_verl.core.framework import MethodBase, Need, Shaped
from laser_verl.core.options import Scores, zero_one
from laser_verl.core.registry import register
from laser_verl.core.rollouts import Rollouts

_PUBLISHED_LENGTH = 14336


@register(
    "cosine",
    needs={Need.RESPONSE},
    formula="C - [solved] + r, r = r_end + (r_start - r_end) / 2 * (1 + cos(pi * L / max_length)), or exceed",
    source="arXiv 2502.03373, section 4.2",
)
@dataclass(kw_only=True, eq=False)
class Cosine(MethodBase):
    """Half a cosine over the length, falling for right answers and rising for wrong ones.

    R = r_end + (r_start - r_end) / 2 * (1 + cos(pi * L / max_length)), with the two values of `correct` if solved, of
    `wrong` if not, and `exceed` for any response of at least `max_length - margin` tokens. With the published 14336, a
    response of 7168 tokens gets 1.5 if solved, -5 if not; one of 14336 gets -10.

    Source: arXiv 2502.03373, section 4.2 and Appendix C.1; in its runs max_length is the limit of sampling. The
    authors' code has what is 16 tokens short of it exceed already: `margin=16`.

    Their penalty of 0.05 on each token of a repeated 40-gram needs the tokens and is left out. open-r1 counts
    characters, not tokens, and has no `exceed`: `correct=[1, 0.5]`, `wrong=[-1, -0.5]`, `exceed=null`; beyond
    `max_length` the cosine turns back, as there.

    Attributes:
        correct: Worth of a right answer of no length and of one of `max_length`; neither below one of `wrong`.
        wrong: The same of a wrong answer.
        exceed: Worth of any answer that is too long; None leaves it to the cosine.
        max_length: Tokens, at most `max_response_length`; None takes `max_response_length`, and the published 14336
            where that is not known.
        margin: Tokens before `max_length` that are too long already, 0 or more, below `max_length`.
    """

    correct: tuple[float, float] = (2.0, 1.0)
    wrong: tuple[float, float] = (-10.0, 0.0)
    exceed: float | None = -10.0
    max_length: int | None = None
    margin: int = 0
    scores: Scores = field(default_factory=zero_one)

    def __post_init__(self) -> None:
        """Check the options' ranges and how they go together."""
        super().__post_init__()
        for name in ("correct", "wrong"):
            for place, value in enumerate(getattr(self, name)):
                finite_number(f"{name}[{place}]", value)
        if min(self.correct) < max(self.wrong):
            raise ValueError(
                f"correct={list(self.correct)} must not fall below wrong={list(self.wrong)}, or some wrong answers are "
                "worth more than some right ones; give e.g. correct=[2, 1], wrong=[-10, 0]"
            )
        if self.exceed is not None:
            finite_number("exceed", self.exceed)
            if self.exceed > min(self.correct):
                raise ValueError(
                    f"exceed={self.exceed} must not be above correct={list(self.correct)}, or what is too long is "
                    "worth more than what is right; give e.g. -10"
                )
        if self.max_length is not None:
            positive_int("max_length", self.max_length, "number of tokens", _PUBLISHED_LENGTH)
            check_reachable("max_length", self.max_length, self.context.max_response_length)
        self._check_margin(self.max_length or self.context.max_response_length)

    def _check_margin(self, longest: int | None) -> None:
        if self.margin and self.exceed is None:
            raise ValueError(f"margin={self.margin} has no effect with exceed=null; leave one of the two out")
        if self.margin < 0 or (longest is not None and self.margin >= longest):
            raise ValueError(
                f"margin={self.margin} must be 0 or more and below the longest length"
                f"{'' if longest is None else f', {longest} tokens'}; give e.g. 0"
            )

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Put the cosine in the place of 1 for a right answer and 0 for a wrong one."""
        longest = self.max_length or self.longest_response(rollouts) or _PUBLISHED_LENGTH
        self._check_margin(longest)
        worth = self._worth(rollouts, longest)
        return Shaped(task_reward=self.scores.of(rollouts), length_reward=worth - rollouts.solved)

    def _worth(self, rollouts: Rollouts, longest: int) -> Floats:
        start, end = (np.where(rollouts.solved, *pair) for pair in zip(self.correct, self.wrong, strict=True))
        worth: Floats = end + (start - end) / 2 * (1 + np.cos(np.pi * rollouts.length / longest))
        if self.exceed is not None:
            worth = np.where(rollouts.length + self.margin >= longest, self.exceed, worth)
        return worth

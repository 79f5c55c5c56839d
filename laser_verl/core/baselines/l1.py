"""L1: a length that the prompt asks for, to be met (Exact) or not to be passed (Max)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from laser_verl.core.checks import Floats, check_reachable, finite_number, non_negative, positive_int
from laser_verl.core.framework import MethodBase, Need, Shaped
from laser_verl.core.options import Scores, zero_one
from laser_verl.core.registry import register
from laser_verl.core.rollouts import Rollouts


@dataclass(kw_only=True, eq=False)
class _Budgeted(MethodBase):
    """A method whose prompts name a number of tokens.

    Attributes:
        budget: Tokens for every response that has none in the column `budget`, 1 or more, at most
            `max_response_length`; None asks for that column.
    """

    columns: ClassVar[tuple[str, ...]] = ("budget",)
    instruction: ClassVar[str]
    """The sentence of the prompt that names the budget."""

    budget: int | None = None
    scores: Scores = field(default_factory=zero_one)

    def __post_init__(self) -> None:
        """Check the budget."""
        super().__post_init__()
        if self.budget is not None:
            positive_int("budget", self.budget, "number of tokens", 2000)
            check_reachable("budget", self.budget, self.context.max_response_length)

    @property
    def required_columns(self) -> tuple[str, ...]:
        """The budgets, unless one option stands for all."""
        return self.columns if self.budget is None else ()

    def _budgets(self, rollouts: Rollouts) -> Floats:
        return rollouts.numbers("budget", empty=self.budget)


@register(
    "l1_exact",
    needs={Need.RESPONSE, Need.PROMPT},
    formula="C - alpha * |budget - L|",
    source="arXiv 2503.04697, Eq. 1",
)
@dataclass(kw_only=True, eq=False)
class L1Exact(_Budgeted):
    """A penalty on every token between a response's length and the length that its prompt asks for.

    R = C - alpha * |budget - L|, for right and wrong answers alike. With a budget of 2000, a solved response of 1500
    tokens gets 0.85, a wrong one of 2500 tokens -0.15.

    Source: arXiv 2503.04697, Eq. 1; the authors draw budgets from 100 to 4000 tokens. Their code counts a budget below
    0 as one of L1-Max; here that is a method of its own.

    Attributes:
        alpha: Penalty per token, 0 or more.
    """

    instruction: ClassVar[str] = "Think for {budget} tokens."
    scaled_by: ClassVar[str | None] = "alpha"

    alpha: float = 3e-4

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        super().__post_init__()
        non_negative("alpha", self.alpha, 3e-4)

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Take the penalty."""
        budget = self._budgets(rollouts)
        return Shaped(
            task_reward=self.scores.of(rollouts),
            length_reward=-self.alpha * np.abs(budget - rollouts.length),
            target_length=budget,
        )


@register(
    "l1_max",
    needs={Need.RESPONSE, Need.PROMPT},
    formula="C - [solved] * (1 - clip(alpha * (budget - L) + delta, 0, 1))",
    source="arXiv 2503.04697, Eq. 2",
)
@dataclass(kw_only=True, eq=False)
class L1Max(_Budgeted):
    """A right answer is worth the less, the further it goes beyond the length that its prompt allows.

    R = clip(alpha * (budget - L) + delta, 0, 1) if solved, else 0. With a budget of 2000, a solved response gets 1 up
    to 1950 tokens, 0.5 at 2000, 0.1 at 2040 and 0 from 2050 on; a wrong one gets 0 at any length.

    Source: arXiv 2503.04697, Eq. 2. The paper gives alpha only for Eq. 1 (3e-4); 0.01 is the setting of its code, and
    that of arXiv 2505.15612, Appendix D.3.

    The code halves the slope: at 2040 tokens it pays 0.3. Table 2 of arXiv 2505.15612 prints L - budget, which pays
    0.9 there and so favours what is too long: a slip by its own text.

    Attributes:
        alpha: Slope per token, 0 or more.
        delta: What a right answer of just the budget is worth, 0 to 1.
        variant: "paper", "released_code" (half the slope) or "laser_table" (the slope's sign turned round).
    """

    instruction: ClassVar[str] = "Think for maximum {budget} tokens."

    alpha: float = 0.01
    delta: float = 0.5
    variant: Literal["paper", "released_code", "laser_table"] = "paper"

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        super().__post_init__()
        non_negative("alpha", self.alpha, 0.01)
        if not 0 <= finite_number("delta", self.delta) <= 1:
            raise ValueError(f"delta={self.delta!r} must be from 0 to 1; give e.g. 0.5")

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Lower what a right answer is worth."""
        budget = self._budgets(rollouts)
        slope = {"paper": self.alpha, "released_code": self.alpha / 2, "laser_table": -self.alpha}[self.variant]
        worth = np.clip(slope * (budget - rollouts.length) + self.delta, 0.0, 1.0)
        return Shaped(
            task_reward=self.scores.of(rollouts),
            length_reward=np.where(rollouts.solved, worth - 1.0, 0.0),
            target_length=budget,
        )

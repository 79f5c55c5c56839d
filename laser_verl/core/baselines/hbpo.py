"""HBPO: each response is held to a budget of its own, and longer budgets are worth less."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from laser_verl.core.checks import Floats, check_reachable, non_negative, positive_int
from laser_verl.core.framework import MethodBase, Need, Shaped
from laser_verl.core.options import Scores, zero_one
from laser_verl.core.registry import register
from laser_verl.core.rollouts import Rollouts

# As the authors' code writes it; the last digits show in its rewards.
_PI = 3.1416


@register(
    "hbpo",
    needs={Need.RESPONSE},
    formula="C - [solved] * (1 - r), r = f(budget) if L <= budget, else f(L) - alpha * (L - budget); "
    "f(x) = beta * cos(pi * x / (2 * context_length))",
    source="arXiv 2507.15844, Eq. 1 to 3",
)
@dataclass(kw_only=True, eq=False)
class Hbpo(MethodBase):
    """A quarter of a cosine over the length, flat up to the response's budget and falling faster beyond it.

    A solved response of at most `context_length` tokens gets f(budget) up to its budget and f(L) - alpha * (L - budget)
    beyond, f(x) = beta * cos(pi * x / (2 * context_length)); any other gets 0. With a budget of 1024, one of 1000
    tokens gets 3.6955, one of 2048 gets 2.5784.

    Source: arXiv 2507.15844, Eq. 1 to 3; the values of alpha, beta and pi (3.1416) are the authors' code's.

    The column `budget` is optional: a response without one gets f(L) rounded to hundredths, as in the code. Up to the
    budget the code pays f(L) - alpha * (budget - L) where that is less than f(budget): with a budget of 512, up to 321
    tokens. The paper begins each thought with its budget and adds an advantage within each budget; neither is a reward,
    and both are left out.

    Attributes:
        context_length: Tokens beyond which a right answer is worth nothing, 1 or more; no budget is above it.
        alpha: Penalty per token beyond the budget, 0 or more; None takes 1 / context_length, as the code does.
        beta: Worth of a right answer of no length, 0 or more.
        budget: Tokens for every response that has none in the column `budget`, 1 or more; None leaves these without.
        variant: "paper", or "released_code" with its penalty on answers far below their budget.
    """

    columns: ClassVar[tuple[str, ...]] = ("budget",)

    context_length: int = 4096
    alpha: float | None = None
    beta: float = 4.0
    budget: int | None = None
    variant: Literal["paper", "released_code"] = "paper"
    scores: Scores = field(default_factory=zero_one)

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        super().__post_init__()
        positive_int("context_length", self.context_length, "number of tokens", 4096)
        non_negative("beta", self.beta)
        if self.budget is not None:
            positive_int("budget", self.budget, "number of tokens", 1024)
            check_reachable("budget", self.budget, self.context.max_response_length)
            self._check_within(self.budget, "budget")
        self._alpha = 1 / self.context_length if self.alpha is None else non_negative("alpha", self.alpha, 2e-4)

    @property
    def required_columns(self) -> tuple[str, ...]:
        """None: a response without a budget is paid by its length alone."""
        return ()

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Put the budget's reward in the place of 1 for a right answer."""
        budget = self._budgets(rollouts)
        is_within = rollouts.length <= self.context_length
        worth = np.where(is_within, self._worth(rollouts.length, budget), 0.0)
        return Shaped(
            task_reward=self.scores.of(rollouts),
            length_reward=np.where(rollouts.solved, worth - 1.0, 0.0),
            target_length=budget,
        )

    def _budgets(self, rollouts: Rollouts) -> Floats:
        budget = rollouts.numbers("budget", empty=np.nan if self.budget is None else self.budget)
        is_above = budget > self.context_length
        if is_above.any():
            row = int(np.argmax(is_above))
            self._check_within(budget[row], f"column budget[{row}]")
        return budget

    def _check_within(self, budget: float, what: str) -> None:
        if budget > self.context_length:
            raise ValueError(
                f"{what}={budget:g} is above context_length={self.context_length}, so an answer that uses it up would "
                "not be paid; lower that budget, or raise context_length"
            )

    def _worth(self, length: NDArray[Any], budget: Floats) -> Floats:
        kept, free = self._curve(budget), self._curve(length)
        worth = np.minimum(free - self._alpha * np.abs(length - budget), kept)
        if self.variant == "paper":
            worth = np.where(length <= budget, kept, worth)
        return np.where(np.isnan(budget), np.round(free, 2), worth)

    def _curve(self, tokens: NDArray[Any]) -> Floats:
        curve: Floats = self.beta * np.cos(_PI * tokens / (2 * self.context_length))
        return curve

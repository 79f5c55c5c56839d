"""LAPO: stage 1 finds the usual length of right answers, stage 2 pays for keeping to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

import numpy as np

from laser_verl.core.checks import Floats, non_negative, positive_int
from laser_verl.core.framework import MethodBase, Need, Shaped
from laser_verl.core.groups import Groups
from laser_verl.core.history import PromptHistory
from laser_verl.core.options import Scores, zero_one
from laser_verl.core.registry import register
from laser_verl.core.rollouts import Rollouts

_WEIGHTS = {1: 0.7, 2: 0.8}
_OPTIONS_OF = {1: ("percentiles", "slope", "point_window"), 2: ("sigma", "budget")}
# exp(-300) is as good as 0, and does not underflow.
_NOTHING = 300.0


@register(
    "lapo",
    needs={Need.GROUP, Need.HISTORY},
    formula="C + weight * solved * (stage 1: max(0, 1 - distance to the window / slope), "
    "stage 2: exp(-(L - budget)^2 / (2 sigma^2)))",
    source="arXiv 2507.15758",
)
@dataclass(kw_only=True, eq=False)
class Lapo(MethodBase):
    """A bonus for right answers of the usual length, and in stage 2 for those near the prompt's own budget.

    Stage 1: R = C + 0.7 * max(0, 1 - d/100), d being how far L lies outside the window from the 30th to the 70th
    percentile of the lengths of the group's solved responses. Its state keeps a budget for each prompt: the median of
    these lengths in the last batch in which it was solved. Stage 2: R = C + 0.8 * exp(-(L - budget)^2 / (2 * 120^2)),
    and no bonus without a budget. Any other response gets C. With a window of 1260 to 1900 tokens, a solved response of
    1200 gets 1 + 0.7 * 0.4; with a budget of 1500, 1 + 0.8 * 0.0439.

    The budget of stage 2 is the column `budget`, which the prompt should name to the model, or what the state of
    stage 1 says; as in the authors' code, stage 2 lowers the latter to the median of a later batch if that is less, and
    sets it for a prompt that is solved at last, both from the next batch on.

    Source: arXiv 2507.15758, and the authors' code for the slope, sigma, and how stage 2 treats budgets.

    Departs from the authors' code: a prompt without a budget gets no bonus, where theirs takes the median of the batch
    itself; a window of zero width pays, of which the formula makes no exception.

    Attributes:
        stage: 1 or 2; stage 2 goes on from a state of stage 1.
        weight: Of the bonus, 0 or more; None takes 0.7 in stage 1 and 0.8 in stage 2.
        percentiles: Of the lengths of solved responses, where the window of stage 1 begins and ends, 0 to 100.
        slope: Tokens outside the window at which the bonus of stage 1 is used up, 1 or more.
        point_window: Whether a window of zero width pays, that is of one solved response, or of equal lengths; the
            authors' code says false.
        sigma: Width of the bonus of stage 2, tokens, 1 or more.
        budget: Tokens for every response that has none in the column `budget`, 1 or more; None takes the history's.
    """

    columns: ClassVar[tuple[str, ...]] = ("budget", "prompt_key")
    scaled_by: ClassVar[str | None] = "weight"

    stage: Literal[1, 2] = 1
    weight: float | None = None
    percentiles: tuple[float, float] = (30.0, 70.0)
    slope: float = 100.0
    point_window: bool = True
    sigma: float = 120.0
    budget: int | None = None
    scores: Scores = field(default_factory=zero_one)

    def __post_init__(self) -> None:
        """Check the options' ranges and that they belong to the stage."""
        super().__post_init__()
        self._history = PromptHistory()
        self._weight = non_negative("weight", _WEIGHTS[self.stage] if self.weight is None else self.weight)
        low, high = self.percentiles
        if not 0 <= low <= high <= 100 or high <= 1:
            raise ValueError(f"percentiles={[low, high]} must rise within 0 and 100, not 1; give e.g. [30, 70]")
        for option in ("slope", "sigma"):
            if non_negative(option, getattr(self, option), 100.0) < 1:
                raise ValueError(f"{option}={getattr(self, option)} must be 1 token or more; give e.g. 100")
        if self.budget is not None:
            positive_int("budget", self.budget, "number of tokens", 2000)
        other = 3 - self.stage
        for item in fields(self):
            if item.name in _OPTIONS_OF[other] and getattr(self, item.name) != item.default:
                raise ValueError(
                    f"{item.name}={getattr(self, item.name)!r} has no effect in stage {self.stage}; leave it out, or "
                    f"set stage={other}"
                )

    @property
    def needs(self) -> frozenset[Need]:
        """The group in stage 1, which fills the history; only the history in stage 2."""
        return self.class_needs if self.stage == 1 else frozenset({Need.HISTORY})

    @property
    def required_columns(self) -> tuple[str, ...]:
        """None: a response without a budget gets no bonus."""
        return ()

    def scale_in_force(self) -> float:
        """Return the weight, that of the stage where none is given."""
        return self._weight

    def observe(self, rollouts: Rollouts) -> None:
        """Keep the median length of each prompt's solved responses.

        Args:
            rollouts: The groups of a training step.
        """
        medians = Groups.of(rollouts, rollouts.solved).quantile(rollouts.length, 0.5, empty=np.nan)
        keep = self._history.put if self.stage == 1 else self._history.fold_least_later
        keep(rollouts.prompt_key, medians)

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Add the bonus of the stage."""
        budget = self._budget(rollouts) if self.stage == 2 else None
        share = self._near_window(rollouts) if budget is None else self._near_budget(rollouts, budget)
        return Shaped(
            task_reward=self.scores.of(rollouts),
            length_reward=self._weight * np.where(rollouts.solved, share, 0.0),
            target_length=budget,
        )

    def _near_window(self, rollouts: Rollouts) -> Floats:
        groups, length = Groups.of(rollouts, rollouts.solved), rollouts.length
        low, high = (groups.quantile(length, percentile / 100) for percentile in self.percentiles)
        outside = np.maximum(groups.spread(low) - length, length - groups.spread(high))
        share = np.clip(1 - outside / self.slope, 0.0, 1.0)
        return share if self.point_window else np.where(groups.spread(low < high), share, 0.0)

    def _budget(self, rollouts: Rollouts) -> Floats:
        given = rollouts.numbers("budget", empty=np.nan if self.budget is None else self.budget)
        known = self._history.lookup(rollouts.prompt_key)[rollouts.group]
        return np.where(np.isnan(given), known, given)

    def _near_budget(self, rollouts: Rollouts, budget: Floats) -> Floats:
        away = np.square((rollouts.length - budget) / self.sigma) / 2
        return np.where(np.isnan(budget), 0.0, np.exp(-np.minimum(away, _NOTHING)))

    def metrics(self) -> dict[str, float]:
        """Name the number of prompts with a budget, and the mean of these once there is one."""
        known = len(self._history)
        mean = {"laser/lapo/history_mean": self._history.mean()} if known else {}
        return {"laser/lapo/known_prompts": float(known), **mean}

    def state_dict(self) -> dict[str, Any]:
        """Return the budgets, with the batch observed last."""
        return {**super().state_dict(), **self._history.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from saved budgets.

        Args:
            state: What `state_dict` returned.

        Raises:
            ValueError: It is another method's, or damaged.
        """
        super().load_state_dict(state)
        self._history.load_state_dict(state)

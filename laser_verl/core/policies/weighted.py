"""Draws with a chance that depends on the tracked pass rate alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from laser_verl.core.advantages.mgpo import Mgpo
from laser_verl.core.checks import Floats, Ints, finite_number
from laser_verl.core.policies.base import PolicyBase, register_policy
from laser_verl.core.policies.bins import OUT, UNSEEN, PassRateBins, bin_of, bin_rates
from laser_verl.core.policies.pool import Pool
from laser_verl.core.tracker import Outcome


@dataclass(kw_only=True, eq=False)
class BinnedPolicy(PolicyBase):
    """Base of policies that look at nothing but the pass rate."""

    _bins: PassRateBins = field(init=False, repr=False)

    def start(self, pool: Pool) -> None:
        """Count the prompts by pass rate."""
        super().start(pool)
        self._bins = PassRateBins.of(pool.tracker, pool.size)

    def observe(self, outcome: Outcome) -> None:
        """Put the prompts of a batch into their new bins."""
        self._bins.move(outcome.places, bin_of(self._pool.tracker.pass_rate(outcome.places)))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Check the state, and count anew by what the tracker now knows."""
        super().load_state_dict(state)
        self._bins = PassRateBins.of(self._pool.tracker, self._pool.size)


@dataclass(kw_only=True, eq=False)
class WeightedPolicy(BinnedPolicy):
    """Base of policies that give each prompt a weight by its pass rate, taken in steps of 1/240.

    Attributes:
        unseen_pass_rate: What a prompt that was not seen yet counts as, 0 to 1.
    """

    unseen_pass_rate: float = 0.5

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        if not 0 <= finite_number("unseen_pass_rate", self.unseen_pass_rate) <= 1:
            raise ValueError(f"unseen_pass_rate={self.unseen_pass_rate} must be from 0 to 1; give e.g. 0.5")
        self._log_weights = self.log_weight(bin_rates(self.unseen_pass_rate))
        self._log_weights[OUT] = -np.inf
        if self._log_weights[UNSEEN] == -np.inf:
            raise ValueError(
                f"unseen_pass_rate={self.unseen_pass_rate} gives prompts that were not seen yet the weight 0, so that "
                "none would ever be seen; give e.g. 0.5"
            )

    def log_weight(self, pass_rate: Floats) -> Floats:
        """Return the logarithm of the weight at some pass rates, [N]; -inf for a weight of 0."""
        raise NotImplementedError(f"{type(self).__name__} has to define log_weight(pass_rate)")

    def choose(self, count: int, rng: np.random.Generator, excluded: Ints) -> Ints:
        """Draw by weight."""
        return self._bins.draw(self._log_weights, count, rng, excluded)


@register_policy(
    "max_entropy",
    source="arXiv 2502.12272 (learnability); 2511.06221, section 3 (mgpo)",
    formula="weight p (1 - p), or exp(-KL(p || 1/2)), p the pass rate",
)
@dataclass(kw_only=True, eq=False)
class MaxEntropy(WeightedPolicy):
    """Prompts that are solved about half of the time are drawn the most.

    learnability: weight p (1 - p), the variance of a verdict, from which a group gets its advantages. A prompt solved
    half of the time is drawn 4/3 as often as one solved a quarter of the time, 0.25 to 0.1875; one that is always or
    never solved is drawn when there is nothing else. mgpo: the weight that the advantage rule `mgpo` gives to a group,
    with lam 1, from 1 at p = 1/2 down to 1/2 at p = 0 and 1.

    Source: arXiv 2502.12272 (learnability); arXiv 2511.06221, section 3 (mgpo).

    Departs: there learnability is estimated by rolling candidates out just before the step, here it is tracked;
    mgpo weighs advantages there and draws here.

    Attributes:
        weight: "learnability" or "mgpo".
    """

    weight: Literal["learnability", "mgpo"] = "learnability"

    def log_weight(self, pass_rate: Floats) -> Floats:
        """Return ln p + ln (1 - p), or -KL(p || 1/2)."""
        if self.weight == "mgpo":
            return np.asarray(np.log(Mgpo().weight(pass_rate)))
        return _log(pass_rate) + _log(1 - pass_rate)


@register_policy("prioritised", source="arXiv 2501.12599, section 2.3.4", formula="weight 1 - p, p the pass rate")
@dataclass(kw_only=True, eq=False)
class Prioritised(WeightedPolicy):
    """Prompts are drawn the more often the less often they are solved.

    The weight is 1 - p: a prompt never solved is drawn twice as often as one solved half of the time, and one that is
    always solved when there is nothing else.

    Source: arXiv 2501.12599 (Kimi k1.5), section 2.3.4.

    Departs: a curriculum by labels comes first there; here that is the policy `curriculum`.
    """

    def log_weight(self, pass_rate: Floats) -> Floats:
        """Return ln (1 - p)."""
        return _log(1 - pass_rate)


@register_policy("dots", source="arXiv 2506.05316", formula="weight exp(-|p - 1/2| / tau), p the pass rate")
@dataclass(kw_only=True, eq=False)
class Dots(WeightedPolicy):
    """Prompts as close to a pass rate of one half as there are.

    The weight is exp(-|p - 1/2| / tau). With tau 0.1, prompts of pass rates 0.1, 0.4, 0.5 and 0.8 are drawn with
    chances 0.0128, 0.2562, 0.6964 and 0.0347; with the paper's 0.001, hardly any is drawn while there are better ones.

    Source: arXiv 2506.05316 (DOTS).

    Departs: the pass rate is tracked; there a learned predictor guesses it from rollouts of 256 reference prompts,
    every 2 steps. There is no rollout replay: all responses of a batch are of its step.

    Attributes:
        tau: Temperature, above 0.
    """

    tau: float = 1e-3

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        if finite_number("tau", self.tau, 1e-3) <= 0:
            raise ValueError(f"tau={self.tau} must be above 0; give e.g. 0.001")
        super().__post_init__()

    def log_weight(self, pass_rate: Floats) -> Floats:
        """Return -|p - 1/2| / tau."""
        return np.asarray(-np.abs(pass_rate - 0.5) / self.tau)


def _log(values: Floats) -> Floats:
    """Return the logarithm, -inf of 0."""
    return np.log(values, out=np.full(len(values), -np.inf), where=values > 0)

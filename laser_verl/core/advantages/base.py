"""What an advantage rule is, where rules are found by name, and the normalisations that they share.

A rule is named by `algorithm.adv_estimator`; its options lie under `laser.advantage`. Shape letters: B responses,
G groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import numpy as np

from laser_verl.core.checks import Floats, Ints
from laser_verl.core.framework import Context, Need, Shaped
from laser_verl.core.groups import Groups
from laser_verl.core.registry import MethodInfo, Registry
from laser_verl.core.rollouts import Rollouts

RULES = Registry("advantage rule")

register = RULES.register

# What verl adds to a variance before it whitens.
_WHITENING_EPS = 1e-8


@dataclass(frozen=True, eq=False)
class Advantages:
    """What a rule makes of a batch.

    Attributes:
        values: Advantage of each response, the same for all its tokens, [B].
        kept_tokens: How many of a response's first tokens get it, the rest get 0, [B]; None where all do.
        metrics: The rule's own numbers to log, by their full names.
    """

    values: Floats
    kept_tokens: Floats | None = None
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(kw_only=True, eq=False)
class AdvantageRule:
    """Base of registered advantage rules: options are dataclass fields, and there is no state."""

    name: ClassVar[str]
    class_needs: ClassVar[frozenset[Need]]
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    """Options that each value of an option `preset` stands for."""

    columns: ClassVar[tuple[str, ...]] = ()
    """Columns of `Rollouts` that are read where they are given."""

    context: Context = field(default_factory=Context, repr=False)

    def advantages(self, rollouts: Rollouts, shaped: Shaped, reward: Floats, norm_by_std: bool = True) -> Advantages:
        """Turn the rewards of a batch into advantages.

        Args:
            rollouts: The responses, in whole groups.
            shaped: What the length reward made of them.
            reward: What is trained on, [B]: `shaped.reward` and what verl added per token, e.g. its KL penalty.
            norm_by_std: Whether a group's rewards are divided by their standard deviation
                (`algorithm.norm_adv_by_std_in_grpo`; Dr. GRPO, arXiv 2503.20783, does without).

        Returns:
            The advantages.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define advantages(rollouts, shaped, reward)")


def rule_names() -> list[str]:
    """Return the names of the advantage rules, sorted."""
    return RULES.names()


def describe_rule(name: str) -> MethodInfo:
    """Look an advantage rule up; see `Registry.describe`."""
    return RULES.describe(name)


def build_rule(name: str, options: Mapping[str, Any] | None = None, context: Context | None = None) -> AdvantageRule:
    """Make an advantage rule from what the user wrote; see `Registry.build`.

    `build_rule("mgpo", {"lam": 4})` is `Mgpo(lam=4.0)`.
    """
    return cast(AdvantageRule, RULES.build(name, options, context))


def group_normalised(
    rollouts: Rollouts, reward: Floats, norm_by_std: bool = True, ddof: int = 1, eps: float = 1e-6
) -> Floats:
    """Centre the rewards of each group and divide them by its standard deviation, as verl's GRPO does.

    (r - mean) / (std + eps); a group of one has mean 0 and std 1, so it keeps its reward. Rewards 1, 1, 0, 0 become
    0.866, 0.866, -0.866, -0.866.

    Source: arXiv 2402.03300, section 4.1.2.

    Args:
        rollouts: The responses.
        reward: [B].
        norm_by_std: Whether to divide.
        ddof: 1 takes the sample standard deviation, 0 that of the population.
        eps: Added to the standard deviation.

    Returns:
        Advantages, [B].
    """
    groups = Groups.of(rollouts)
    is_alone = groups.count == 1
    centred = reward - groups.spread(np.where(is_alone, 0.0, groups.mean(reward)))
    std = np.where(is_alone, 1.0, groups.std(reward, ddof)) + eps
    values: Floats = centred / groups.spread(std) if norm_by_std else centred
    return values


def whitened(values: Floats, tokens: Ints | None = None) -> Floats:
    """Give the values of a batch mean 0 and sample standard deviation 1, as verl's `masked_whiten` does.

    (v - mean) / sqrt(var + 1e-8); values 1 and 3 become -0.707 and 0.707. What has nothing to be compared with, one
    response or one token, becomes 0.

    Args:
        values: [B].
        tokens: How often each value counts, [B]; None counts each response once.

    Returns:
        The whitened values, [B].
    """
    counts = np.ones(len(values)) if tokens is None else tokens.astype(np.float64)
    freedom = float(counts.sum()) - 1.0
    if freedom < 1.0:
        return np.zeros(len(values))
    away: Floats = values - np.average(values, weights=counts)
    return away / float(np.sqrt(counts @ np.square(away) / freedom + _WHITENING_EPS))


def solved_share(rollouts: Rollouts) -> Floats:
    """Return the share of solved responses in each group, [G]."""
    share: Floats = rollouts.group_solved / rollouts.group_size
    return share


def mean_metric(name: str, values: Floats) -> dict[str, float]:
    """Return the mean of some values by name; nothing of no values."""
    return {name: float(values.mean())} if values.size else {}

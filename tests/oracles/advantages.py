"""The advantage rules once more, as plain loops over the responses of a group, or of a batch, from the papers."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from typing import Any


@dataclass(frozen=True)
class Rated:
    length: int
    solved: bool
    task_reward: float
    length_reward: float

    @property
    def reward(self) -> float:
        return self.task_reward + self.length_reward


Group = list[Rated]


@dataclass(frozen=True)
class RuleOracle:
    """Advantages of each group of a batch, by `rule(groups, norm_by_std=..., **options)`; `options` holds the tries."""

    rule: Callable[..., list[list[float]]]
    options: tuple[dict[str, Any], ...]
    is_groupwise: bool


RULE_ORACLES: dict[str, RuleOracle] = {}


def of_batches(name: str, *options: dict[str, Any]) -> Callable[[Any], Any]:
    """Register the oracle of a rule that compares groups with each other."""

    def add(rule: Callable[..., list[list[float]]]) -> Callable[..., list[list[float]]]:
        RULE_ORACLES[name] = RuleOracle(rule, options or ({},), is_groupwise=False)
        return rule

    return add


def of_groups(name: str, *options: dict[str, Any]) -> Callable[[Any], Any]:
    """Register the oracle of a rule that takes each group by itself."""

    def add(rule: Callable[..., list[float]]) -> Callable[..., list[float]]:
        def whole(groups: list[Group], **given: Any) -> list[list[float]]:
            return [rule(group, **given) for group in groups]

        RULE_ORACLES[name] = RuleOracle(whole, options or ({},), is_groupwise=True)
        return rule

    return add


def population_std(values: list[float]) -> float:
    mean = fmean(values)
    return math.sqrt(fmean((value - mean) ** 2 for value in values))


def sample_std(values: list[float]) -> float:
    return population_std(values) * math.sqrt(len(values) / (len(values) - 1))


def grpo(rewards: list[float], norm_by_std: bool) -> list[float]:
    mean, std = 0.0, 1.0
    if len(rewards) > 1:
        mean, std = fmean(rewards), sample_std(rewards)
    return [(reward - mean) / (std + 1e-6) if norm_by_std else reward - mean for reward in rewards]


def share_solved(group: Group) -> float:
    return sum(1 for row in group if row.solved) / len(group)


@of_groups("mgpo", {}, {"lam": 4.0}, {"lam": 0.0})
def mgpo(group: Group, norm_by_std: bool = True, lam: float = 1.0) -> list[float]:
    divergence = 0.0
    for outcome in (share_solved(group), 1.0 - share_solved(group)):
        if outcome > 0:
            divergence += outcome * math.log(outcome / 0.5)
    advantages = grpo([row.reward for row in group], norm_by_std)
    return [math.exp(-lam * divergence) * advantage for advantage in advantages]


@of_groups("grpo_lead", {}, {"floor": 0.0, "ceiling": 3.0, "midpoint": 0.25, "steepness": 4.0})
def grpo_lead(
    group: Group,
    norm_by_std: bool = True,
    floor: float = 0.4,
    ceiling: float = 1.5,
    midpoint: float = 0.75,
    steepness: float = 10.0,
) -> list[float]:
    def weight(x: float) -> float:
        return floor + (ceiling - floor) / (1.0 + math.exp(steepness * (x - midpoint)))

    weighed = []
    for advantage in grpo([row.reward for row in group], norm_by_std):
        share = share_solved(group)
        weighed.append(advantage * (weight(share) if advantage > 0 else weight(1.0 - share)))
    return weighed


@of_groups("ddca", {}, {"weight": 0.7, "dynamic": False}, {"base": "rloo"}, {"base": "rloo", "dynamic": False})
def ddca(
    group: Group, norm_by_std: bool = True, weight: float = 0.2, base: str = "grpo", dynamic: bool = True
) -> list[float]:
    lengths = [row.length for row in group if row.solved]
    scores = []
    for length in lengths:
        z = (length - fmean(lengths)) / (population_std(lengths) + 1e-8)
        scores.append(1.0 / (1.0 + math.exp(-z)))
    rewards = [row.reward for row in group]
    advantages, place = [], 0
    for number, row in enumerate(group):
        if len(group) == 1:
            advantage = row.reward
        elif base == "grpo":
            advantage = row.reward - fmean(rewards)
            if norm_by_std:
                advantage /= population_std(rewards) + 1e-8
        else:
            advantage = row.reward - fmean(rewards[:number] + rewards[number + 1 :])
        if row.solved:
            others = scores if base == "grpo" else scores[:place] + scores[place + 1 :]
            if others:
                share = share_solved(group) if dynamic else 1.0
                advantage -= weight * share * (scores[place] - fmean(others))
            place += 1
        advantages.append(advantage)
    return advantages


def dot_lengths(group: Group, alpha: float = 3.0, margin: int = 32, rho: float = 0.0) -> list[int]:
    """Lengths after the cut."""
    lengths = [row.length for row in group]
    if len(group) == 1 or not all(row.solved for row in group):
        return lengths
    limit = math.floor(statistics.mean(lengths) + alpha * statistics.stdev(lengths))
    return [limit if length - limit >= margin else length for length in lengths]


@of_groups("dot", {}, {"alpha": 1.0, "margin": 1}, {"alpha": 1.5, "margin": 3, "rho": -0.5}, {"alpha": 0.0})
def dot(group: Group, norm_by_std: bool = True, rho: float = 0.0, **options: Any) -> list[float]:
    kept = dot_lengths(group, **options)
    rewards = [row.reward if row.length == length else rho for row, length in zip(group, kept, strict=True)]
    return grpo(rewards, norm_by_std)


@of_groups("drpo", {"max_length": 60}, {"max_length": 8192, "lam": 0.01}, {"max_length": 100, "lam": 2.0})
def drpo(group: Group, max_length: int, norm_by_std: bool = True, lam: float = 0.1) -> list[float]:
    if share_solved(group) in (0.0, 1.0):
        return [0.0] * len(group)
    weights = [math.exp((1 - row.length / max_length) / lam) for row in group if row.solved]
    mean = fmean(weights)
    advantages = []
    for row, advantage in zip(group, grpo([row.reward for row in group], norm_by_std), strict=True):
        if row.solved:
            advantage *= math.exp((1 - row.length / max_length) / lam) / mean
        advantages.append(advantage)
    return advantages


def whitened(groups: list[Group], values: list[list[float]], over: str) -> list[list[float]]:
    """Less the mean and by the sample std of all responses, or of all tokens, each with its response's value."""
    counted = [
        (value, row.length if over == "tokens" else 1)
        for group, of_group in zip(groups, values, strict=True)
        for row, value in zip(group, of_group, strict=True)
    ]
    number = sum(times for _, times in counted)
    if number < 2:
        return [[0.0 for _ in of_group] for of_group in values]
    mean = math.fsum(value * times for value, times in counted) / number
    variance = math.fsum(times * (value - mean) ** 2 for value, times in counted) / (number - 1)
    return [[(value - mean) / math.sqrt(variance + 1e-8) for value in of_group] for of_group in values]


@of_batches("dler", {}, {"over": "tokens"})
def dler(groups: list[Group], norm_by_std: bool = True, over: str = "responses") -> list[list[float]]:
    """The paper never divides a group by its own std, so `norm_by_std` changes nothing."""
    centred = []
    for group in groups:
        mean = fmean(row.reward for row in group) if len(group) > 1 else 0.0
        centred.append([row.reward - mean for row in group])
    return whitened(groups, centred, over)


@of_batches("gdpo")
def gdpo(groups: list[Group], norm_by_std: bool = True, weights: tuple[float, float] = (1.0, 1.0)) -> list[list[float]]:
    added = []
    for group in groups:
        right = grpo([row.task_reward for row in group], norm_by_std)
        short = grpo([row.length_reward for row in group], norm_by_std)
        added.append([weights[0] * first + weights[1] * second for first, second in zip(right, short, strict=True)])
    return whitened(groups, added, "tokens")

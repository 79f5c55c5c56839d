"""A bandit over categories of prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from laser_verl.core.checks import Floats, Ints, finite_number
from laser_verl.core.policies.base import PolicyBase, damaged, register_policy
from laser_verl.core.policies.pool import Pool, by_category
from laser_verl.core.policies.shares import is_among, numbers_by_chance
from laser_verl.core.tracker import Outcome

_MOST_CATEGORIES = 1000
_MOST_LOGGED = 32


@register_policy(
    "sec",
    source="arXiv 2505.14970",
    formula="category with chance exp(Q / temperature); Q <- (1 - lr) Q + lr mean |A| of its groups",
)
@dataclass(kw_only=True, eq=False)
class Sec(PolicyBase):
    """Categories from which more is learnt are drawn more often, prompts uniformly inside a category.

    Each prompt of a draw falls into a category with a chance proportional to exp(Q / temperature). After a batch Q <-
    (1 - lr) * Q + lr * mean |A|, the advantages A of its responses divided by the standard deviation of their group: of
    a group of which the share p is solved, mean |A| is 2 * sqrt(p * (1 - p)), 1 at one half and 0 where all or none is
    solved. From Q 0, a mean of 0.8 makes it 0.4. What a category has no prompts for falls into the others.

    Source: arXiv 2505.14970 (SEC).

    As in the authors' code, a category that is not in a batch has 0 for its mean, so that its Q decays.

    Departs: advantages are those of the verdicts, whatever lengths are worth.

    Attributes:
        column: Column of the categories, texts or numbers.
        lr: How fast Q follows, 0 to 1.
        temperature: Above 0; the lower it is, the more the best category is preferred.
    """

    columns: ClassVar[tuple[str, ...]] = ("data_source",)

    column: str = "data_source"
    lr: float = 0.5
    temperature: float = 1.0
    _names: list[str] = field(init=False, repr=False)
    _values: Floats = field(init=False, repr=False)
    _codes: NDArray[np.unsignedinteger] = field(init=False, repr=False)
    _order: NDArray[np.int32] = field(init=False, repr=False)
    _first: Ints = field(init=False, repr=False)
    _sizes: Ints = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        if not 0 <= finite_number("lr", self.lr) <= 1:
            raise ValueError(f"lr={self.lr} must be from 0 to 1; give e.g. 0.5")
        if finite_number("temperature", self.temperature, 1.0) <= 0:
            raise ValueError(f"temperature={self.temperature} must be above 0; give e.g. 1.0")

    @property
    def column_names(self) -> tuple[str, ...]:
        """The column of categories."""
        return (self.column,)

    def start(self, pool: Pool) -> None:
        """Sort the prompts into categories, each with Q 0."""
        super().start(pool)
        self._names, self._codes = pool.categories(self.column, _MOST_CATEGORIES)
        self._order, self._first, self._sizes = by_category(self._codes, len(self._names))
        self._values = np.zeros(len(self._names))

    def chances(self) -> Floats:
        """Return the chance of each category, [K]."""
        weights = np.exp((self._values - self._values.max()) / self.temperature)
        return np.asarray(weights / weights.sum())

    def choose(self, count: int, rng: np.random.Generator, excluded: Ints) -> Ints:
        """Draw categories, and prompts inside them."""
        barred = np.bincount(self._codes[excluded], minlength=len(self._names))
        numbers = numbers_by_chance(self._values / self.temperature, self._sizes - barred, count, rng)
        taken = []
        for category in np.flatnonzero(numbers).tolist():
            number, size = int(numbers[category]), int(self._sizes[category])
            ranks = rng.choice(size, min(number + int(barred[category]), size), replace=False)
            places = self._order[self._first[category] + ranks].astype(np.int64)
            taken.append(places[~is_among(places, excluded)][:number])
        return np.asarray(rng.permutation(np.concatenate(taken)))

    def observe(self, outcome: Outcome) -> None:
        """Learn from the groups of a batch."""
        if not len(outcome.places):
            return
        category, share = self._codes[outcome.places], outcome.solved / outcome.responses
        totals = np.bincount(category, outcome.responses * 2 * np.sqrt(share * (1 - share)), len(self._names))
        responses = np.bincount(category, outcome.responses, len(self._names))
        self.learn(totals / np.maximum(responses, 1))

    def learn(self, mean_abs_advantage: Floats) -> None:
        """Move Q by the mean |A| of each category, [K], 0 for one that is not in the batch."""
        self._values = (1 - self.lr) * self._values + self.lr * mean_abs_advantage

    def metrics(self) -> dict[str, float]:
        """Name the chance of each category, where these are few."""
        if len(self._names) > _MOST_LOGGED:
            return {}
        chances = zip(self._names, self.chances().tolist(), strict=True)
        return {f"laser/sampler/chance/{name}": chance for name, chance in chances}

    def state_dict(self) -> dict[str, Any]:
        """Return Q, and the categories."""
        return {**super().state_dict(), "categories": np.array(self._names, dtype=np.str_), "values": self._values}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state; a category that is new in the data begins with Q 0."""
        super().load_state_dict(state)
        names, values = np.asarray(state.get("categories")), np.asarray(state.get("values"))
        if names.ndim != 1 or values.shape != names.shape or values.dtype.kind != "f" or not np.isfinite(values).all():
            raise damaged("values", values.tolist())
        saved = dict(zip(names.tolist(), values.tolist(), strict=True))
        self._values = np.array([saved.get(name, 0.0) for name in self._names])

"""The values of a column in fixed shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from laser_verl.core.checks import Floats, Ints, unknown
from laser_verl.core.policies.base import PolicyBase, damaged, register_policy
from laser_verl.core.policies.pool import Pool, by_category, value_text
from laser_verl.core.policies.shares import checked_shares, exact_numbers
from laser_verl.core.policies.walk import Walk

_MOST_VALUES = 1000


@register_policy(
    "column_mix", source="arXiv 2504.11919", formula="a share of the batch for each value of a column, exactly"
)
@dataclass(kw_only=True, eq=False)
class ColumnMix(PolicyBase):
    """Prompts by the value of a column, e.g. a level of difficulty or a data source, in fixed shares of the batch.

    With shares {easy: 0.25, hard: 0.75}, a batch of 8 has 2 prompts labelled easy and 6 labelled hard, and none of any
    other label. Each label has rounds of its own. Numbers that come out as fractions are rounded up or down at random.

    Source: arXiv 2504.11919, which draws questions by a distribution over levels of difficulty to make data of them.

    Departs: each batch has the distribution; there the whole data set has it once.

    Attributes:
        column: Column of the values, texts or numbers.
        shares: Share of each value, of sum 1; values left out are not drawn.
    """

    stays_inside = True

    column: str
    shares: Mapping[str, float]
    _shares: Floats = field(init=False, repr=False)
    _walks: list[Walk] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the shares."""
        self.shares = {value_text(value): share for value, share in self.shares.items()}
        self._shares = checked_shares("shares", self.shares, self.shares)

    @property
    def is_adaptive(self) -> bool:
        """Never: the shares are fixed."""
        return False

    @property
    def column_names(self) -> tuple[str, ...]:
        """The column of values."""
        return (self.column,)

    def start(self, pool: Pool) -> None:
        """Begin round 0 of each value."""
        super().start(pool)
        names, codes = pool.categories(self.column, _MOST_VALUES)
        order, first, sizes = by_category(codes, len(names))
        self._walks = []
        for number, (value, share) in enumerate(zip(self.shares, self._shares.tolist(), strict=True)):
            if value not in names:
                raise ValueError(unknown(f"shares value of {self.column}", value, names[:20]))
            place, most = names.index(value), int(np.ceil(share * pool.batch_size - 1e-9))
            size = int(sizes[place])
            if size < max(most, 1):
                raise ValueError(
                    f"shares.{value}={share} of a batch of {pool.batch_size} is up to {most} prompts, and {size} have "
                    f"{self.column}={value}; lower that share or data.train_batch_size; the data have "
                    f"{', '.join(names[:20])}"
                )
            rows = order[first[place] : first[place] + size]
            self._walks.append(pool.walk_over(number, size, partial(rows.astype, np.int32, copy=False)))

    def choose(self, count: int, rng: np.random.Generator, excluded: Ints) -> Ints:
        """Take the next prompts of each value, in random order."""
        room = np.array([walk.size for walk in self._walks], dtype=np.int64)
        numbers = exact_numbers(self._shares, room, count, rng)
        if numbers.sum() < count:
            raise ValueError(
                f"count={count} is more than the {numbers.sum()} prompts with {self.column} in "
                f"{', '.join(self.shares)}; lower data.train_batch_size"
            )
        taken = [walk.take(number) for walk, number in zip(self._walks, numbers.tolist(), strict=True)]
        return np.asarray(rng.permutation(np.concatenate(taken)))

    def position(self) -> dict[str, int]:
        """Return round and place of each value, numbered as in `shares`."""
        return {
            f"{name}{number}": value
            for number, walk in enumerate(self._walks)
            for name, value in walk.position().items()
        }

    def go_to(self, position: Mapping[str, int]) -> None:
        """Go on from a position; ValueError where it is of more or fewer shares."""
        if position.keys() != self.position().keys():
            raise damaged("position", f"rounds of {len(position) // 2} values beside {len(self._walks)} shares")
        for number, walk in enumerate(self._walks):
            walk.go_to({name: position[f"{name}{number}"] for name in ("round", "place")})

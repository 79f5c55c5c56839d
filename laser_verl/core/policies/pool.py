"""What a policy draws from.

Shape letters: P prompts of the pool, K values of a column.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laser_verl.core.checks import Floats, Ints, unknown
from laser_verl.core.policies.walk import Order, Walk, permuted
from laser_verl.core.tracker import DifficultyTracker

# Walks of different kinds have different orders; 1 is the one of the sampler's exploration.
_WHOLE_POOL, _SOME_ROWS = 0, 2


@dataclass(frozen=True, eq=False)
class Pool:
    """The prompts that can be drawn: the first of the tracker, in the order of the data.

    Attributes:
        tracker: What is known of them.
        size: How many there are, P.
        columns: Columns of the data by name, those that the policy names, each [P].
        batch_size: Prompts of a training step.
        seed: Of the orders of rounds.
        order: The order of a round over the whole pool, [P], by its number from 0; None permutes at random.
    """

    tracker: DifficultyTracker
    size: int
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    batch_size: int = 1
    seed: int = 0
    order: Order | None = None

    def walk(self) -> Walk:
        """Begin rounds over the whole pool."""
        return Walk(self.size, (self.seed, _WHOLE_POOL), self.order)

    def walk_over(self, number: int, size: int, rows: Callable[[], NDArray[np.int32]]) -> Walk:
        """Begin rounds over some rows.

        Args:
            number: Sets these rows' rounds apart from those over others.
            size: How many rows there are.
            rows: Returns them, for each round anew, so that they need not be kept.

        Returns:
            The walk.
        """
        seed = (self.seed, _SOME_ROWS, number)
        return Walk(size, seed, lambda number: permuted(rows(), (*seed, number)))

    def numbers(self, name: str) -> Floats:
        """Read a column of numbers.

        Args:
            name: Column, e.g. "difficulty".

        Returns:
            The numbers, [P].

        Raises:
            ValueError: There is no such column, or a row has none, a text, or an infinite number in it.
        """
        values = self._column(name)
        if values.dtype.kind not in "iuf":
            values = np.array([_as_number(value) for value in values.tolist()], dtype=np.float64)
        numbers: Floats = values.astype(np.float64, copy=False)
        wrong = ~np.isfinite(numbers)
        if wrong.any():
            row = int(np.argmax(wrong))
            value = self.columns[name][row : row + 1].tolist()[0]
            raise ValueError(
                f"{name}={value!r:.40} of prompt {row} must be a finite number; give every row of the data one, or "
                "name another column"
            )
        return numbers

    def categories(self, name: str, most: int) -> tuple[list[str], NDArray[np.unsignedinteger]]:
        """Number the values of a column.

        Args:
            name: Column, e.g. "data_source".
            most: How many different values there may be.

        Returns:
            The values as texts, [K], sorted, a whole number without its ".0"; and which of them each prompt has, [P].

        Raises:
            ValueError: There is no such column, a row has nothing in it, or there are too many values.
        """
        values = self._column(name)
        for row, value in enumerate(values.tolist()):
            if not isinstance(value, str | Real | None):
                raise ValueError(
                    f"{name}={value!r:.40} of prompt {row} must be a text or a number; name another column"
                )
        number: defaultdict[Any, int] = defaultdict(count().__next__)
        codes = np.fromiter(map(number.__getitem__, values.tolist()), dtype=np.int32, count=len(values))
        for value, code in number.items():
            if value is None or value != value:
                row = int(np.argmax(codes == code))
                raise ValueError(
                    f"{name}={value} of prompt {row} must be a text or a number; give every row of the data one, or "
                    "name another column"
                )
        texts = [value_text(value) for value in number]
        names = sorted(set(texts))
        if len(names) > most:
            raise ValueError(
                f"column={name} has {len(names)} different values, at most {most} can be told apart; name a column "
                "with fewer"
            )
        place = {text: place for place, text in enumerate(names)}
        of_code = np.array([place[text] for text in texts], dtype=np.min_scalar_type(max(len(names) - 1, 0)))
        return names, of_code[codes]

    def _column(self, name: str) -> NDArray[Any]:
        if name not in self.columns:
            raise ValueError(f"{unknown('column', name, self.columns)}; name a column of the data")
        values = np.asarray(self.columns[name])
        if values.shape != (self.size,):
            raise ValueError(f"column {name} must hold one value per prompt, [{self.size}]; it has {values.shape}")
        return values


def by_category(codes: NDArray[np.unsignedinteger], num_categories: int) -> tuple[NDArray[np.int32], Ints, Ints]:
    """Sort prompts by category.

    Args:
        codes: Category of each prompt, [P].
        num_categories: K.

    Returns:
        The places by category, rising in each, [P]; where each category begins among them, [K]; how many it has, [K].
    """
    order = np.argsort(codes, kind="stable").astype(np.int32)
    sizes = np.bincount(codes, minlength=num_categories).astype(np.int64)
    return order, np.cumsum(sizes) - sizes, sizes


def value_text(value: object) -> str:
    """Write a value of a column as the users write it: 3 for 3.0."""
    number = _as_number(value)
    return str(int(number)) if number.is_integer() else str(value)


def _as_number(value: object) -> float:
    return math.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)

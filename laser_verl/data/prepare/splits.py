"""Which split a problem belongs to: its text and the seed say so, whatever else is in the data."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from laser_verl.data.prepare.rows import Row, hash64

TRAIN, MONITOR, VALIDATION = "train", "monitor", "validation"
SPLITS = (TRAIN, MONITOR, VALIDATION)

# Of 2^64: at most about one problem in so many is held out, for the monitor set and for validation each.
_SHARE = 10
_NUMBERS = 1 << 64


class Splitter:
    """Holds problems out of the training: `monitor` of them to follow response lengths by, `validation` to validate on.

    Each problem has a number that is drawn from the seed and its text. Those of the lowest tenth may become validation,
    those of the second tenth monitor; of each the lowest are taken, as many as are wanted. So a problem stays where it
    is whatever rows are added, except that a new one may take the place of a held-out one, which then is trained on;
    never the other way round.
    """

    def __init__(self, seed: int, monitor: int, validation: int) -> None:
        """Start without problems.

        Args:
            seed: Of the numbers.
            monitor: Most problems of the monitor set.
            validation: Most problems to validate on.
        """
        self._seed = seed
        self._sizes = {VALIDATION: validation, MONITOR: monitor}
        self._held: dict[str, list[tuple[int, int, Row]]] = {name: [] for name in self._sizes}

    def place(self, row: Row) -> Row | None:
        """Take a problem in.

        Args:
            row: The problem.

        Returns:
            A row to train on: this one, or one that was held out until now; None where this one is held out.
        """
        number = hash64(self._seed, row.digest)
        split = next((name for order, name in enumerate(self._sizes) if number * _SHARE // _NUMBERS == order), None)
        if split is None or not self._sizes[split]:
            return row
        held = self._held[split]
        heapq.heappush(held, (-number, row.index, row))
        return heapq.heappop(held)[2] if len(held) > self._sizes[split] else None

    def held_out(self, split: str) -> Iterator[Row]:
        """The problems of a split, in the order of the input; empty for the training."""
        yield from sorted((row for _, _, row in self._held.get(split, ())), key=lambda row: row.index)


def drawn_budget(seed: int, row: Row, low: int, high: int) -> int:
    """A number of tokens from `low` to `high`, drawn from the seed and the problem's text."""
    return low + hash64(seed, "budget", row.digest) % (high - low + 1)

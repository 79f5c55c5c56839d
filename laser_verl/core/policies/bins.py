"""Prompts counted by pass rate, so that a draw by pass rate looks at few of them, however many there are.

Shape letters: P prompts of the pool, N places drawn, R bins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from laser_verl.core.bands import RATE_STEPS, rate_steps
from laser_verl.core.checks import Floats, Ints
from laser_verl.core.policies.shares import numbers_by_chance
from laser_verl.core.tracker import DifficultyTracker

UNSEEN = RATE_STEPS + 1
OUT = RATE_STEPS + 2
NUM_BINS = RATE_STEPS + 3

Bins = NDArray[np.uint8]

_PAD = 255
_BLOCK = 512
_BLOCKS = 64  # of one area
_AREA = _BLOCK * _BLOCKS
_AT_A_TIME = 32 * _AREA


class PassRateBins:
    """The bin of each prompt, and how many prompts of each bin there are in each part of the pool; 2 bytes a prompt.

    Bins 0 to 240 are pass rates in 240ths, `UNSEEN` holds the prompts without one, `OUT` those set aside. Counts are
    kept for blocks of 512 prompts and areas of 64 blocks, so that the i-th prompt of a bin is found by looking at one
    area and one block.
    """

    def __init__(self, bins: Bins) -> None:
        """Count prompts.

        Args:
            bins: Of each prompt, 0 to 242, [P].
        """
        self._size = len(bins)
        num_areas = -(-self._size // _AREA)
        self._bins: Bins = np.full(num_areas * _AREA, _PAD, dtype=np.uint8)
        self._bins[: self._size] = bins
        self._by_block = np.zeros((NUM_BINS, num_areas * _BLOCKS), dtype=np.uint16)
        for first in range(0, self._size, _AT_A_TIME):
            here = bins[first : first + _AT_A_TIME]
            num_blocks = -(-len(here) // _BLOCK)
            cell = here.astype(np.int64) * num_blocks + np.arange(len(here)) // _BLOCK
            counts = np.bincount(cell, minlength=NUM_BINS * num_blocks).reshape(NUM_BINS, num_blocks)
            self._by_block[:, first // _BLOCK : first // _BLOCK + num_blocks] = counts
        self._by_area = self._by_block.reshape(NUM_BINS, num_areas, _BLOCKS).sum(axis=2, dtype=np.int32)

    @classmethod
    def of(cls, tracker: DifficultyTracker, size: int) -> PassRateBins:
        """Count the first prompts of a tracker.

        Args:
            tracker: Knows their pass rates.
            size: P.

        Returns:
            The bins.
        """
        bins = np.empty(size, dtype=np.uint8)
        for first in range(0, size, _AT_A_TIME):
            here = slice(first, min(first + _AT_A_TIME, size))
            bins[here] = bin_of(tracker.pass_rate(here))
        return cls(bins)

    @property
    def bins(self) -> Bins:
        """Bin of each prompt, [P], a view that cannot be written to."""
        view = self._bins[: self._size]
        view.flags.writeable = False
        return view

    @property
    def totals(self) -> Ints:
        """Prompts of each bin, [R]."""
        return np.asarray(self._by_area.sum(axis=1, dtype=np.int64))

    def move(self, places: Ints, bins: Bins) -> None:
        """Put prompts into other bins.

        Args:
            places: Distinct, [N].
            bins: Their new bins, [N].
        """
        num_areas = self._by_area.shape[1]
        for step, of_prompt in ((-1, self._bins[places].astype(np.int64)), (1, bins.astype(np.int64))):
            change = np.add if step > 0 else np.subtract
            change.at(self._by_block.reshape(-1), of_prompt * num_areas * _BLOCKS + places // _BLOCK, 1)
            change.at(self._by_area.reshape(-1), of_prompt * num_areas + places // _AREA, 1)
        self._bins[places] = bins

    @contextmanager
    def set_aside(self, places: Ints) -> Iterator[None]:
        """Keep prompts out of draws for a while.

        Args:
            places: Distinct, [N].
        """
        bins = self._bins[places]
        self.move(places, np.full(len(places), OUT, dtype=np.uint8))
        try:
            yield
        finally:
            self.move(places, bins)

    def draw(self, log_weights: Floats, count: int, rng: np.random.Generator, excluded: Ints) -> Ints:
        """Draw prompts with a chance that follows the weight of their bin.

        Where all that is left has weight 0, the rest is drawn uniformly, so that no draw is short. With 3 prompts in
        bin 0 and 1 in bin 120, weights 1 and 3 give either bin half of the draws.

        Args:
            log_weights: Logarithm of the weight of one prompt of each bin, [R]; -inf for a weight of 0.
            count: Prompts wanted.
            rng: Draws.
            excluded: Places not to draw, distinct.

        Returns:
            Distinct places in random order, [N].

        Raises:
            ValueError: A weight is no number of 0 or more, or there are too few prompts.
        """
        wrong = np.isnan(log_weights) | (log_weights == np.inf)
        if wrong.any():
            raise ValueError(
                f"the weight of bin {int(np.argmax(wrong))} must be a finite number of 0 or more; check the policy's "
                "log_weight"
            )
        with self.set_aside(excluded):
            room = self.totals
            room[OUT] = 0
            if count > room.sum():
                raise ValueError(f"count={count} is more than the {room.sum()} prompts to draw from; draw fewer")
            weights = log_weights + np.log(np.maximum(room, 1))
            return self.pick(numbers_by_chance(weights, room, count, rng), rng)

    def pick(self, numbers: Ints, rng: np.random.Generator) -> Ints:
        """Draw uniformly inside each bin, without repeats.

        Args:
            numbers: Prompts wanted of each bin, at most its total, [R].
            rng: Draws.

        Returns:
            Distinct places in random order, [N].
        """
        wanted, totals = np.flatnonzero(numbers), self.totals
        ranks = [rng.choice(totals[at], numbers[at], replace=False, shuffle=False) for at in wanted.tolist()]
        if not ranks:
            return np.zeros(0, dtype=np.int64)
        places = self._find(np.repeat(wanted, numbers[wanted]), np.concatenate(ranks).astype(np.int64))
        return np.asarray(rng.permutation(places))

    def _find(self, bins: Ints, ranks: Ints) -> Ints:
        """Find the place of the prompt that is number `ranks` (from 0) of its bin, [N]."""
        by_area = self._by_area.reshape(-1)
        ends, totals = np.cumsum(by_area, dtype=np.int64), self.totals
        wanted = ranks + (np.cumsum(totals) - totals)[bins]
        cell = np.searchsorted(ends, wanted, side="right")
        num_areas = self._by_area.shape[1]
        area = cell - bins * num_areas
        of_area = self._by_block.reshape(NUM_BINS, num_areas, _BLOCKS)[bins, area]
        block, ranks = _nth(of_area, wanted - (ends[cell] - by_area[cell]))
        block += area * _BLOCKS
        inside, _ = _nth(self._bins.reshape(-1, _BLOCK)[block] == bins[:, None], ranks)
        return block * _BLOCK + inside


def bin_of(pass_rate: Floats) -> Bins:
    """Return the bin of each pass rate, `UNSEEN` for NaN, [N]; 1/3 is in bin 80."""
    is_seen = ~np.isnan(pass_rate)
    return np.where(is_seen, rate_steps(np.where(is_seen, pass_rate, 0.0)), UNSEEN).astype(np.uint8)


def bin_rates(unseen: float) -> Floats:
    """Return the pass rate that each bin stands for, [R]: `unseen` for `UNSEEN` and `OUT`."""
    return np.append(np.arange(RATE_STEPS + 1) / RATE_STEPS, [unseen, unseen])


def _nth(counts: NDArray[np.uint16] | NDArray[np.bool_], rank: Ints) -> tuple[Ints, Ints]:
    """Tell in which column each rank falls when a row's counts follow each other, [N], and its rank in that column."""
    ends = np.cumsum(counts, axis=1, dtype=np.int32)
    column: Ints = np.asarray((ends <= rank[:, None]).sum(axis=1, dtype=np.int64))
    before = np.take_along_axis(ends, np.maximum(column - 1, 0)[:, None], axis=1)[:, 0]
    return column, rank - np.where(column > 0, before, 0)

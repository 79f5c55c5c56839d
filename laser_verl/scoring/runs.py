"""Which runs of tokens occur again in a text, and where: the arithmetic under the loop detector (`loops.py`)."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.integer]
Positions = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Odd, so that multiplying by it loses nothing modulo 2^64.
ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_SHIFT: Final = np.uint64(29)


def hashes(ids: Integers, length: int) -> NDArray[np.uint64]:
    """Hash every run of `length` tokens, from the hashes of shorter runs that overlap.

    Args:
        ids: Tokens [L], L ≥ length.
        length: Tokens of a run, at least 1.

    Returns:
        One hash per start [L − length + 1]. E.g. ids 5 6 5 6, length 2: three hashes, first = last.
    """
    found, width = ids.astype(np.uint64), 1
    while width < length:
        step = min(width, length - width)
        found = found[:-step] * ODD + found[step:]
        found ^= found >> _SHIFT
        width += step
    return found * ODD


def distances(ids: Integers, length: int) -> Positions:
    """Tell how far before each token the same `length` tokens last started, by their hashes alone.

    Args:
        ids: Tokens [L], L ≥ length.
        length: Tokens of a run, at least 1.

    Returns:
        Distance in tokens [L], 0 if they did not. E.g. ids 5 6 7 5 6, length 2: 0 0 0 3 0.
    """
    order, same = _sorted(hashes(ids, length))
    distance = np.zeros(len(ids), dtype=np.int64)
    distance[order[1:][same]] = np.diff(order)[same]
    return distance


def covered(starts: Flags, length: int, size: int) -> Flags:
    """Mark the tokens that lie in a run.

    Args:
        starts: Where a run of `length` tokens starts [size or fewer].
        length: Tokens of a run, at least 1.
        size: Tokens of the text.

    Returns:
        Whether each token lies in one of them [size]. E.g. one start at 2, length 3, size 6: 0 0 1 1 1 0.
    """
    inside, width = np.zeros(size, dtype=bool), 1
    inside[: len(starts)] = starts
    while width < length:
        step = min(width, length - width)
        inside[step:] |= inside[:-step].copy()
        width += step
    return inside


def densest(inside: Flags, cost: int, longest_gap: int) -> tuple[int, int]:
    """Find the part with the largest sum of marked tokens minus `cost` times the others.

    Args:
        inside: Marks [L].
        cost: What an unmarked token costs, where a marked one gains 1.
        longest_gap: Most unmarked tokens in a row that a part may have.

    Returns:
        Its start and end. E.g. marks 1 0 1 1 0, cost 2, gaps of 1: (2, 4), the sum is 2.
    """
    place = np.arange(len(inside), dtype=np.int32)
    gap = place - np.maximum.accumulate(np.where(inside, place, np.int32(-1)))
    gain = np.where(inside, np.int32(1), np.int32(-cost))
    gain[gap == longest_gap + 1] = -len(inside)
    total = np.zeros(len(inside) + 1, dtype=np.int32)
    np.cumsum(gain, out=total[1:])
    end = int((total - np.minimum.accumulate(total)).argmax())
    return end - int(total[end::-1].argmin()), end


@dataclass(frozen=True)
class Runs:
    """All runs of one length in a text; equal ones are equal token by token, whatever their hashes.

    Args:
        name: Equal for equal runs [n], by start.
        distance: Distance to the last earlier start of the same run [n], by start; 0 if there is none.
        repeated: Starts of runs seen before, by name, then by position [m].
        keys: All starts by name, then by position, as ascending integers: name · apart + position [n].
        apart: Steps between two names.
    """

    name: Positions
    distance: Positions
    repeated: Positions
    keys: Positions
    apart: int

    @classmethod
    def of(cls, ids: Integers, length: int) -> "Runs":
        """Find the runs.

        Args:
            ids: Tokens [L], L ≥ length.
            length: Tokens of a run, at least 1.

        Returns:
            L − length + 1 runs.
        """
        order, same = _sorted(hashes(ids, length))
        first, second = order[:-1][same], order[1:][same]
        equal = np.ones(len(first), dtype=bool)
        for offset in range(length):
            equal &= ids[offset:][first] == ids[offset:][second]
        same[same] = equal
        rank = np.concatenate([[0], np.cumsum(~same)])
        name, distance = np.empty_like(order), np.zeros_like(order)
        name[order] = rank
        repeated = order[1:][same]
        distance[repeated] = np.diff(order)[same]
        # So far apart that a position, moved by a few copies either way, never lands among those of another name.
        apart = 8 * len(ids)
        return cls(name, distance, repeated, rank * apart + order, apart)

    def seen_before(self, starts: Positions, distance: int, drift: int) -> tuple[Flags, Positions]:
        """Look for the same runs at a distance, give or take a drift.

        Args:
            starts: Starts of runs [k].
            distance: In tokens, negative for later ones; at most twice the text.
            drift: In tokens.

        Returns:
            Whether each is there, and the first place where [k]; where it is not, the place means nothing.
        """
        wanted = self.name[starts] * self.apart + starts - distance - drift
        at = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return (self.keys[at] >= wanted) & (self.keys[at] <= wanted + 2 * drift), self.keys[at] % self.apart


def _sorted(found: NDArray[np.uint64]) -> tuple[Positions, Flags]:
    """Positions by hash, then by position [n]; and whether each but the first has the hash of the one before it."""
    # The position takes the low bits of its hash: sorting plain integers is the fastest stable sort numpy has.
    bits = np.uint64(len(found).bit_length())
    keys = found >> bits << bits | np.arange(len(found), dtype=np.uint64)
    keys.sort()
    order = (keys & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)
    keys >>= bits
    return order, keys[1:] == keys[:-1]

"""A strict detector of degenerate loops: responses whose tail is dominated by one repeating block of tokens.

A response loops if it has a part that

- repeats one block of p tokens: six out of seven of its tokens belong to a run of at least 6 tokens that occurs again p
  tokens earlier or later, in the same order as in every other copy. Copies may have edits (tokens substituted, inserted,
  deleted): runs may drift by √p/2 tokens, and the rest of the part need not match at all;
- is long enough: 128 tokens and three and a half copies;
- dominates the tail: what follows it is not longer;
- goes nowhere: where copies differ, they do not differ in every copy. `Case n = 17: ...` for n = 1, 2, 3 is an
  enumeration, however long its template; a slip in a copy or two is an edit.

A shorter part counts if it is exact: at least 64 tokens and four copies, at the very end, but for two closing tokens.

`python benchmarks/loops.py` measures the share of synthetic loops that is found, the share of ordinary texts that is
flagged, and the milliseconds, beside the rule of the paper's released code (`released_loops.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

MIN_TOKENS: Final = 140
MIN_COPIES: Final = 3.5
MIN_EXACT_TOKENS: Final = 64
MIN_EXACT_COPIES: Final = 4
CLOSING_TOKENS: Final = 2
# Of a longer response only this tail is looked at: it bounds time and memory.
LONGEST_TAIL: Final = 65_536

# Tokens of a run that is long enough to be no coincidence, and of one that suggests a period: long enough that repeats
# inside a block rarely reach it, short enough to lie between two edits.
_RUN: Final = 6
_SEED: Final = 16
_MAX_PERIODS: Final = 3
# Uncovered tokens weigh this many covered ones in the choice of the part that loops: 6 of 7 are covered.
_DENSITY: Final = 5

_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_SHIFT: Final = np.uint64(29)

Integers = NDArray[np.integer]
Flags = NDArray[np.bool_]


def is_repetitive(token_ids: Sequence[int] | Integers) -> bool:
    """Say whether a response is a degenerate loop, as defined above.

    Seeds, runs of 16 tokens seen before, suggest a few periods; each is then judged on the tokens themselves. This is
    done for the last 128 tokens, the last 256 and so on, so that nothing before a loop can hide it.

    Source: arXiv 2505.15612, section 5.3 asks for exploration, not loops; the paper names no filter.

    Args:
        token_ids: Token ids of the response [L], padding removed. Any integers.

    Returns:
        True for a loop. E.g. 5 ids repeated 13 times (65 tokens): True; 12 times (60 tokens): False.

    Departs from the official code: its detector flags ordinary prose when given plain ids, and never fires as it is
    called there.
    """
    ids = _as_integers(token_ids[-LONGEST_TAIL:])
    if len(ids) < MIN_EXACT_TOKENS:
        return False
    seeds = _seeds(ids)
    size = 2 * MIN_EXACT_TOKENS
    while size < 2 * len(ids):
        if _has_loop(ids[-size:], seeds[-size:]):
            return True
        size *= 2
    return False


def word_ids(text: str) -> list[int]:
    """Give the words of a text ids, for callers that have no token ids.

    Args:
        text: Text of the response.

    Returns:
        One id per white-space separated word [words], equal words equal ids. E.g. "a b a": three ids, first = last.
    """
    return _numbered(text.split())


def _numbered(tokens: Sequence[object]) -> list[int]:
    seen: dict[object, int] = {}
    return [seen.setdefault(token, len(seen)) for token in tokens]


def _as_integers(tokens: Sequence[int] | Integers) -> Integers:
    """An array of machine integers; ids that fit into none are numbered anew."""
    ids = np.asarray(tokens)
    return ids if ids.dtype.kind in "iu" else np.array(_numbered(tokens), dtype=np.int64)


# Runs of tokens


def _hashes(ids: Integers, length: int) -> NDArray[np.uint64]:
    """A hash of every run of `length` tokens [L − length + 1], put together from those of shorter runs."""
    hashes, width = ids.astype(np.uint64), 1
    while width < length:
        step = min(width, length - width)
        hashes = hashes[:-step] * _ODD + hashes[step:]
        hashes ^= hashes >> _SHIFT
        width += step
    return hashes * _ODD


def _sorted(hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], Flags]:
    """Positions by hash, then by position [n]; and whether each but the first has the hash of the one before it."""
    # The position takes the low bits of its hash: sorting plain integers is the fastest stable sort numpy has.
    bits = np.uint64(len(hashes).bit_length())
    keys = hashes >> bits << bits | np.arange(len(hashes), dtype=np.uint64)
    keys.sort()
    order = (keys & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)
    keys >>= bits
    return order, keys[1:] == keys[:-1]


def _seeds(ids: Integers) -> NDArray[np.int64]:
    """Distance from each token to the last earlier one that starts the same 16 tokens [L], 0 if none does.

    By hash alone: a seed only suggests a period.
    """
    order, same = _sorted(_hashes(ids, _SEED))
    distance = np.zeros(len(ids), dtype=np.int64)
    distance[order[1:][same]] = np.diff(order)[same]
    return distance


@dataclass(frozen=True)
class _Runs:
    """Which runs of 6 tokens are the same, compared token by token.

    Args:
        name: Equal for equal runs [n], by start.
        order: Starts by name, then by position [n].
        keys: `order` as one ascending integer per start: its name, then its position [n].
        distance: Distance to the last earlier start of the same run [n], by start; 0 if there is none.
    """

    name: NDArray[np.int64]
    order: NDArray[np.int64]
    keys: NDArray[np.int64]
    distance: NDArray[np.int64]

    @classmethod
    def of(cls, ids: Integers) -> "_Runs":
        """The runs of a text of at least 6 tokens."""
        order, same = _sorted(_hashes(ids, _RUN))
        first, second = order[:-1][same], order[1:][same]
        equal = np.ones(len(first), dtype=bool)
        for offset in range(_RUN):
            equal &= ids[offset:][first] == ids[offset:][second]
        same[same] = equal
        rank = np.concatenate([[0], np.cumsum(~same)])
        name, distance = np.empty_like(order), np.zeros_like(order)
        name[order] = rank
        distance[order[1:][same]] = np.diff(order)[same]
        # Names lie so far apart that a position, moved by some copies, never ends among those of another name.
        return cls(name, order, rank * 8 * len(ids) + order, distance)

    def seen_before(self, starts: NDArray[np.int64], distance: int, drift: int) -> tuple[Flags, NDArray[np.int64]]:
        """Whether each run occurs at `distance` before its start, give or take `drift`, and where [len(starts)]."""
        wanted = self.name[starts] * 8 * (len(self.name) + _RUN - 1) + starts - distance - drift
        at = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return (self.keys[at] >= wanted) & (self.keys[at] <= wanted + 2 * drift), self.order[at]


# Loops


def _covered(starts: Flags, length: int, size: int) -> Flags:
    """Tokens that lie in a run [size], given which tokens start one of `length` tokens."""
    covered, width = np.zeros(size, dtype=bool), 1
    covered[: len(starts)] = starts
    while width < length:
        step = min(width, length - width)
        covered[step:] |= covered[:-step].copy()
        width += step
    return covered


def _densest(covered: Flags, weight: int) -> tuple[int, int]:
    """Start and end of the part with the largest sum of covered tokens minus `weight` times the uncovered ones."""
    total = np.concatenate([[0], np.cumsum(np.where(covered, 1, -weight))])
    lowest = np.minimum.accumulate(total)
    end = int((total - lowest).argmax())
    return int(np.flatnonzero(total[: end + 1] == lowest[end])[-1]), end


def _has_loop(ids: Integers, seeds: NDArray[np.int64]) -> bool:
    """Whether a loop dominates the end of these tokens, of which it has a quarter at least."""
    place = np.arange(len(ids))
    repeats = np.flatnonzero((seeds > 0) & (seeds <= place))
    starts = np.zeros(len(ids), dtype=bool)
    starts[repeats] = starts[repeats - seeds[repeats]] = True
    # Seeds are torn by edits: here every second token is enough.
    if _dominating(_covered(starts, _SEED, len(ids)), 1, MIN_EXACT_TOKENS) is None:
        return False
    runs = _Runs.of(ids)
    return any(_loops_with(ids, runs, period) for period in _periods(seeds[repeats], len(ids)))


def _dominating(covered: Flags, weight: int, least: float) -> tuple[int, int] | None:
    """The densest part, if it has enough tokens, and as many as follow it."""
    start, end = _densest(covered, weight)
    return (start, end) if end - start >= max(least, len(covered) - end) else None


def _drift(period: int) -> int:
    """How far a copy may be off: insertions and deletions add up like a random walk."""
    return isqrt(period) // 2


def _periods(distances: NDArray[np.int64], size: int) -> Iterator[int]:
    """The commonest distances of seeds, those within a drift of each other taken together."""
    counts = np.bincount(distances)
    for _ in range(_MAX_PERIODS):
        period = int(counts.argmax())
        near = slice(max(period - _drift(period), 0), period + _drift(period) + 1)
        if counts[near].sum() * 64 < size:
            return
        yield period
        counts[near] = 0


def _loops_with(ids: Integers, runs: _Runs, period: int) -> bool:
    """Whether a loop of about this period dominates the end of the tokens."""
    least = max(MIN_EXACT_TOKENS, MIN_COPIES * period)
    found, source = runs.seen_before(runs.order, period, _drift(period))
    copies = np.zeros(len(runs.name), dtype=bool)
    copies[runs.order[found]] = True
    block = copies.copy()
    block[source[found]] = True
    part = _dominating(_covered(block, _RUN, len(ids)), _DENSITY, least)
    if part is None:
        return False
    own = _one_block(runs, copies, block, period, *part)
    copies &= own
    part = _dominating(_covered(block & own, _RUN, len(ids)), _DENSITY, least)
    if part is None:
        return False
    start, end = part
    inside = copies[start : end - _RUN + 1]
    breaks = start + np.flatnonzero(inside[:-1] & ~inside[1:])
    if end - start < MIN_TOKENS:
        exact = end - start >= MIN_EXACT_COPIES * period and not len(breaks)
        return exact and len(ids) - end <= CLOSING_TOKENS
    return not _enumerates(ids, runs, inside, breaks, period, start)


def _one_block(runs: _Runs, copies: Flags, block: Flags, period: int, start: int, end: int) -> Flags:
    """The runs of one block [n]: two blocks that take turns, like spaces and rulers, are no loop.

    In a loop a run that the block holds k times comes back after period / k tokens on average. The mean of the distances
    is then the number of different runs; as many of the commonest ones, and a tenth more, belong to the block.
    """
    part = slice(start, end - _RUN + 1)
    number = round(1.1 * np.minimum(runs.distance[part][copies[part]], period).mean())
    counts = np.bincount(runs.name[part][block[part]], minlength=int(runs.name.max()) + 1)
    number = min(max(number, 1), len(counts))
    least = max(np.partition(counts, -number)[-number], 1)
    return (counts >= least)[runs.name]


# Enumerations
_SH=.4
_CP=.5
_BR=4


def _enumerates(ids: Integers, runs: _Runs, inside: Flags, breaks: NDArray[np.int64], period: int, start: int) -> bool:
    """Whether the copies differ mostly where they always do: at a counter, in a column of a table.

    Args:
        ids: Tokens [L].
        runs: Their runs.
        inside: Whether each run of the loop copies one of about a period before.
        breaks: Starts of the last runs before a token that does not.
        period: Tokens of the block.
        start: Where the loop begins.

    Returns:
        True if two fifths of the breaks, at least two, are no mere edits.
    """
    if len(breaks) < 2:
        return False
    doubtful = _often_broken(ids, inside, breaks, start) | ~_back_to_normal(ids, runs, breaks, period)
    return int(doubtful.sum()) >= max(2, _SH * len(breaks), _CP * len(inside) / period)


def _often_broken(ids: Integers, inside: Flags, breaks: NDArray[np.int64], start: int) -> Flags:
    """Whether a quarter of the times, and three at least, copies differ after the 4 tokens before a break [breaks]."""
    # 16 bits of a hash, so that counting needs no sorting; what shares them by accident only looks less often broken.
    before = (_hashes(ids[start + _RUN - 4 :], 4) >> np.uint64(48)).astype(np.int64)
    at_break = before[breaks - start]
    broken = np.bincount(at_break, minlength=1 << 16)
    passed = np.bincount(before[: len(inside) - 1][inside[:-1]], minlength=1 << 16)
    return ((broken >= 3) & (_BR * broken >= passed))[at_break]


def _back_to_normal(ids: Integers, runs: _Runs, breaks: NDArray[np.int64], period: int) -> Flags:
    """Whether all but one of the copies around a break, of three at least, go on alike after it [breaks].

    Looks at two copies before and two after.
    """
    following = np.append(ids[_RUN:], ids[-1:])
    tokens, known = [following[breaks]], [np.ones(len(breaks), dtype=bool)]
    for copy in (-2, -1, 1, 2):
        found, where = runs.seen_before(breaks, copy * period, abs(copy) * _drift(period))
        tokens.append(following[where])
        known.append(found)
    token, is_known = np.array(tokens), np.array(known)
    alike = (token[:, None] == token[None]) & is_known[:, None] & is_known[None]
    num_known = is_known.sum(axis=0)
    return (num_known >= 3) & (alike.sum(axis=0).max(axis=0) >= num_known - 1)

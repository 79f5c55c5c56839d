"""A strict detector of degenerate loops: responses whose tail is dominated by one repeating block of tokens.

A response loops if some part of it

- repeats one block of p tokens. Five in six of its tokens lie in runs of at least 6 tokens that occur again one block
  earlier or later, give or take √p/2 tokens, and at most 20 in a row do not; so a few tokens may be substituted,
  inserted or deleted;
- is long enough: 140 tokens and three and a half copies;
- dominates the tail: what follows it is not longer;
- goes nowhere. Where copies always differ, something is counted or tabled: `Case n = 17: ...` for n = 1, 2, 3 is an
  enumeration, however long its template. Where a copy or two differ, that is an edit.

It also loops if it ends in exact copies of a block, four at least and 64 tokens in all, before two closing tokens at
most.

Known limit: a long series of one token with few others in between, like the zeros of a sparse vector, passes for a loop
with edits if it ends the response.

`python benchmarks/loops.py` measures the share of synthetic loops that is found, the share of ordinary text that is
flagged, and the time, beside the rule of the paper's released code (`released_loops.py`).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from math import isqrt
from typing import Final

import numpy as np

from laser_verl.scoring.runs import ODD, Flags, Integers, Positions, Runs, covered, densest, distances, hashes

MIN_TOKENS: Final = 140
MIN_COPIES: Final = 3.5
MIN_EXACT_TOKENS: Final = 64
MIN_EXACT_COPIES: Final = 4
CLOSING_TOKENS: Final = 2
# Of a longer response only this tail is looked at: it bounds time and memory.
LONGEST_TAIL: Final = 65_536

# Ordinary text, of so many words and none longer than that, is split at white space alone: several times faster.
_MANY_WORDS, _LONGEST_WORD, _EMPTY_LINES = 256, 40, "\n" * 8

# Of a longer text only this end is split: it holds as many tokens, or a good part of them.
_LONGEST_TEXT: Final = 4 * LONGEST_TAIL

# Tokens of a run that is too long for a coincidence, yet fits between two edits.
_RUN: Final = 6
# Tokens of a run that suggests a period: repeats inside a block are rarely as long.
_SEED: Final = 16
# What an uncovered token costs in the choice of the part that loops, where a covered one gains 1; and most of them in a
# row.
_COST: Final = 5
_LONGEST_GAP: Final = 20
# Periods tried, and the share of the tokens that must suggest one.
_MAX_PERIODS: Final = 3
_MIN_SEED_FRAC: Final = 1 / 24
# Tokens before a break that tell one place of a block from another.
_CONTEXT: Final = 4


def is_repetitive(token_ids: Sequence[int] | Integers) -> bool:
    """Say whether a response is a degenerate loop, as the module defines it.

    Looks at the last 256 tokens, the last 512 and so on, so that nothing before a loop can hide it. Each time, runs of
    16 tokens that were seen before suggest a few periods, which are then judged on the tokens themselves.

    Source: arXiv 2505.15612, section 5.3 asks for exploration, not loops; the paper names no filter.

    Args:
        token_ids: Token ids of the response [L], padding removed; any integers.

    Returns:
        True for a loop. E.g. 5 ids repeated 13 times (65 tokens): True; 12 times (60 tokens): False.

    Departs from the official code: its detector flags ordinary prose when given plain ids, and never fires as it is
    called there (`released_loops.py`).
    """
    ids = _as_array(token_ids[-LONGEST_TAIL:])
    if any(_ends_in_copies(ids[: len(ids) - closing]) for closing in range(CLOSING_TOKENS + 1)):
        return True
    if len(ids) < MIN_TOKENS:
        return False
    seeds = distances(ids, _SEED)
    size = 256
    while not _loops(ids[-size:], seeds[-size:]):
        if size >= len(ids):
            return False
        size *= 2
    return True


# Chinese and Japanese put no spaces between words; neither does whoever writes `hahaha` without end. Pairs of signs, so
# that the ruled lines of a table are no loop.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|(?<!\w)\w{1,20}(?!\w)|\w|([^\w\s])\1?|\n")


def word_ids(text: str) -> list[int]:
    """Give the words of a text ids, for callers that have no token ids.

    Args:
        text: Text of the response.

    Returns:
        One id per word, sign, pair of equal signs or line break [words], equal ones equal ids; Chinese and Japanese,
        and words of more than 20 characters, letter by letter. Of more than 2^18 characters the last ones count. Of
        256 words or more, none of them longer than 40 characters and no eight line breaks in a row, one id per word
        between white space. E.g. "a, b a": four ids, first = last.
    """
    words = text.split()
    if len(words) >= _MANY_WORDS and max(map(len, words)) <= _LONGEST_WORD and _EMPTY_LINES not in text:
        return _numbered(words)
    return _numbered(match[0] for match in _WORD.finditer(text[-_LONGEST_TEXT:]))


def _numbered(tokens: Iterable[object]) -> list[int]:
    seen: dict[object, int] = {}
    return [seen.setdefault(token, len(seen)) for token in tokens]


def _as_array(tokens: Sequence[int] | Integers) -> Integers:
    """An array of machine integers; ids too large for them are numbered anew."""
    ids = np.asarray(tokens)
    return ids if ids.dtype.kind in "iu" else np.array(_numbered(tokens), dtype=np.int64)


def _ends_in_copies(ids: Integers) -> bool:
    """With r = reversed ids, exact copies of period p are r[i] == r[i + p] for all i < max(4p, 64) − p."""
    if len(ids) < MIN_EXACT_TOKENS:
        return False
    reverse = ids[::-1]
    period = np.arange(1, len(reverse) // MIN_EXACT_COPIES + 1)
    overlap = np.maximum(MIN_EXACT_COPIES * period, MIN_EXACT_TOKENS) - period
    # Hashes of all beginnings compare all periods at once in linear time; a hit is then confirmed on the tokens.
    powers = np.multiply.accumulate(np.full(len(reverse), ODD))
    prefix = np.concatenate([np.zeros(1, np.uint64), np.add.accumulate(hashes(reverse, 1) * powers)])
    same = prefix[overlap] * powers[period - 1] == prefix[period + overlap] - prefix[period]
    return any(
        bool(np.array_equal(reverse[:n], reverse[p : p + n])) for p, n in zip(period[same], overlap[same], strict=True)
    )


def _loops(ids: Integers, seeds: Positions) -> bool:
    """Whether a loop that makes up a quarter of these tokens, at least, dominates their end."""
    again = np.flatnonzero((seeds > 0) & (seeds <= np.arange(len(ids))))
    starts = np.zeros(len(ids), dtype=bool)
    starts[again] = starts[again - seeds[again]] = True
    # Edits tear more seeds than runs: here every other token is enough.
    part = _dominating(covered(starts, _SEED, len(ids)), 1, MIN_TOKENS)
    if part is None:
        return False
    first = max(part[0] - 2 * _SEED, 0)
    ids, again = ids[first:], again[again >= first]
    runs = Runs.of(ids, _RUN)
    return any(_loops_with(ids, runs, period) for period in _periods(seeds[again], len(ids)))


def _dominating(inside: Flags, cost: int, least: float) -> tuple[int, int] | None:
    """Start and end of the densest part, if it has enough tokens, and as many as follow it."""
    start, end = densest(inside, cost, _LONGEST_GAP if cost > 1 else len(inside))
    return (start, end) if end - start >= max(least, len(inside) - end) else None


def _drift(period: int) -> int:
    """How far off a copy may be: insertions and deletions add up like a random walk."""
    return isqrt(period) // 2


def _periods(found: Positions, size: int) -> Iterator[int]:
    """The commonest distances, those within a drift of each other taken together."""
    counts = np.bincount(found, minlength=1)
    for _ in range(_MAX_PERIODS):
        period = int(counts.argmax())
        near = slice(max(period - _drift(period), 0), period + _drift(period) + 1)
        if counts[near].sum() < _MIN_SEED_FRAC * size:
            return
        yield period
        counts[near] = 0


def _loops_with(ids: Integers, runs: Runs, period: int) -> bool:
    """Whether a loop of about this period dominates the end of the tokens."""
    least = max(MIN_TOKENS, MIN_COPIES * period)
    found, source = runs.seen_before(runs.repeated, period, _drift(period))
    copies = np.zeros(len(runs.name), dtype=bool)
    copies[runs.repeated[found]] = True
    block = copies.copy()
    block[source[found]] = True
    part = _dominating(covered(block, _RUN, len(ids)), _COST, least)
    if part is None:
        return False
    own = _one_block(runs, copies, block, period, *part)
    copies &= own
    part = _dominating(covered(block & own, _RUN, len(ids)), _COST, least)
    if part is None:
        return False
    start, end = part
    # The first copy has none before it in the loop.
    second = start + period
    inside = copies[second : end - _RUN + 1]
    breaks = second + np.flatnonzero(inside[:-1] & ~inside[1:])
    return not _counts_on(ids, runs, inside, breaks, period, second)


def _one_block(runs: Runs, copies: Flags, block: Flags, period: int, start: int, end: int) -> Flags:
    """The runs of one block [n]: two blocks that take turns are no loop.

    A run that the block holds k times comes back after period/k tokens on average, so that the mean distance over a
    block is the number of its different runs. The commonest ones, a tenth more than that, are kept.
    """
    part = slice(start, end - _RUN + 1)
    own = runs.distance[part][copies[part]]
    number = round(1.1 * float(np.minimum(own, period).mean())) if len(own) else 1
    counts = np.bincount(runs.name[part][block[part]], minlength=int(runs.name.max()) + 1)
    number = min(number, len(counts))
    least = np.partition(counts, -number)[-number]
    common: Flags = counts >= max(least, 1)
    return common[runs.name]


def _counts_on(ids: Integers, runs: Runs, inside: Flags, breaks: Positions, period: int, start: int) -> bool:
    """Whether the copies differ mostly where they always do: at a counter, in the columns of a table.

    Args:
        ids: Tokens [L].
        runs: Their runs.
        inside: Whether each run copies one a period before, from the second copy on [runs of those copies].
        breaks: Starts of the last runs before one that does not [breaks].
        period: Tokens of the block.
        start: Where the second copy begins.

    Returns:
        True if that explains two fifths of the breaks, two at least, and one in every second copy.
    """
    if len(breaks) < 2:
        return False
    explained = _often_broken(ids, inside, breaks, start) | ~_back_to_normal(ids, runs, breaks, period)
    return int(explained.sum()) >= max(2.0, 0.4 * len(breaks), 0.5 * len(inside) / period)


def _often_broken(ids: Integers, inside: Flags, breaks: Positions, start: int) -> Flags:
    """Whether copies break a quarter of the times, and three at least, after the 4 tokens before a break [breaks]."""
    # 16 bits of a hash: counting needs no sorting then, and tokens that share them only look less often broken.
    before = (hashes(ids[start + _RUN - _CONTEXT :], _CONTEXT) >> np.uint64(48)).astype(np.int64)
    here = before[breaks - start]
    broken = np.bincount(here, minlength=1 << 16)
    passed = np.bincount(before[: len(inside) - 1][inside[:-1]], minlength=1 << 16)
    often: Flags = (broken >= 3) & (4 * broken >= passed)
    return often[here]


def _back_to_normal(ids: Integers, runs: Runs, breaks: Positions, period: int) -> Flags:
    """Whether the copy at a break, the two before and the two after go on alike, all but one of three [breaks]."""
    following = np.append(ids[_RUN:], ids[-1:])
    tokens, known = [following[breaks]], [np.ones(len(breaks), dtype=bool)]
    for copy in (-2, -1, 1, 2):
        found, where = runs.seen_before(breaks, copy * period, abs(copy) * _drift(period))
        tokens.append(following[where])
        known.append(found)
    token, is_known = np.array(tokens), np.array(known)
    alike = (token[:, None] == token[None]) & is_known[:, None] & is_known[None]
    num_known = is_known.sum(axis=0)
    normal: Flags = (num_known >= 3) & (alike.sum(axis=0).max(axis=0) >= num_known - 1)
    return normal

"""A strict detector of degenerate loops: the response ends in exact copies of one block of tokens."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

MIN_COPIES: Final = 4
MIN_TOKENS: Final = 64

# Odd, so that its powers never vanish modulo 2^64.
_BASE: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX: Final = np.uint64(0xBF58476D1CE4E5B9)


def is_repetitive(token_ids: Sequence[int] | NDArray[np.integer]) -> bool:
    """Say whether a response ends in a loop: at least 4 exact copies of a block, at least 64 tokens in all.

    Four copies: prose, tables and case distinctions do repeat a phrase two or three times in a row; 64 tokens: short
    markers (`| - | - |`, a row of zeros) are no loop yet. The last copy may be cut anywhere, and one closing token
    (EOS) may follow.

    Source: arXiv 2505.15612, section 5.3 asks for exploration, not loops; the paper names no filter.

    Args:
        token_ids: Token ids of the response [L], padding removed.

    Returns:
        True for a loop. E.g. 5 ids repeated 13 times (65 tokens): True; 12 times (60 tokens): False.

    Departs from the official code: its detector flags ordinary prose when given plain ids, and never fires as it is
    called there.
    """
    ids = np.asarray(token_ids)
    return _ends_in_loop(ids) or _ends_in_loop(ids[:-1])


def word_ids(text: str) -> list[int]:
    """Give the words of a text ids, for callers that have no token ids.

    Args:
        text: Text of the response.

    Returns:
        One id per white-space separated word [words], equal words equal ids. E.g. "a b a": three ids, first = last.
    """
    seen: dict[str, int] = {}
    return [seen.setdefault(word, len(seen)) for word in text.split()]


def _ends_in_loop(ids: NDArray[np.integer]) -> bool:
    """With r = reversed ids, a loop of period p is r[i] == r[i + p] for all i below max(copies·p, tokens) − p."""
    if len(ids) < MIN_TOKENS:
        return False
    reverse = ids[::-1]
    period = np.arange(1, len(reverse) // MIN_COPIES + 1)
    overlap = np.maximum(MIN_COPIES * period, MIN_TOKENS) - period
    period, overlap = (a[period + overlap <= len(reverse)] for a in (period, overlap))
    # Prefix hashes compare all periods at once in linear time; a hit is then confirmed on the tokens themselves.
    powers = np.multiply.accumulate(np.full(len(reverse), _BASE))
    terms = (reverse.astype(np.uint64) + np.uint64(1)) * _MIX * powers
    prefix = np.concatenate([np.zeros(1, np.uint64), np.add.accumulate(terms)])
    same = prefix[overlap] * powers[period - 1] == prefix[period + overlap] - prefix[period]
    return any(
        bool(np.array_equal(reverse[:n], reverse[p : p + n])) for p, n in zip(period[same], overlap[same], strict=True)
    )

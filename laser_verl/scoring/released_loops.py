"""The repetition rule of the paper's released code, in our own words, to replay its published numbers.

Not to be trained with. Given token ids it flags ordinary prose, since it asks only that a few tokens occur a few times:
LASER-DE would then hardly explore. And the released code never gets that far: it hands over a slice of a tensor, whose
elements are equal to nothing but themselves as keys of a dictionary, so that no repetition is ever found. Training uses
`loops.py`; `python benchmarks/loops.py` shows both rules side by side.
"""

from collections.abc import Hashable, Sequence
from typing import Final

# The released code passes this length everywhere.
_NGRAM: Final = 4


def is_repetitive_as_released(token_ids: Sequence[Hashable]) -> bool:
    """Say whether the released rule sees a repetition. For replays only, see the module.

    Args:
        token_ids: Token ids of the response [L], as integers.

    Returns:
        True if it does. E.g. the 9 ids 1 2 3 1 2 3 1 2 3: True; the 8 ids 1 2 1 2 1 2 1 2: False.
    """
    return released_start(token_ids) < len(token_ids)


def released_start(token_ids: Sequence[Hashable]) -> int:
    """Find where the repetition starts by the released rule. For replays only, see the module.

    Reads from the end. A run of n tokens is a repetition once it has been seen often enough, with two neighbouring
    sights less than a third of the response apart; failing that, any run of 2n tokens seen twice is.

    Source: `compute_unique_tokens.py` of the released code.

    Args:
        token_ids: Token ids of the response [L], as integers. What is not equal as a key, like the elements of a
            tensor, is never found again, as in the released code.

    Returns:
        Start of the earliest sight that was read, L if there is no repetition. E.g. for the 9 ids 1 2 3 1 2 3 1 2 3,
        n is 2, and the run of 4 tokens 3 1 2 3 is seen at 5 and at 2: 2.
    """
    tokens = list(token_ids)
    size = len(tokens)
    if size <= 2 * _NGRAM:
        return size
    ngram = 2 if size < 30 else 3 if size < 100 else _NGRAM
    start = _crowded(tokens, ngram, 2 if size < 200 else 3)
    return _seen_twice(tokens, 2 * ngram) if start == size and size >= 4 * ngram else start


def _crowded(tokens: list[Hashable], ngram: int, often: int) -> int:
    """Start of the first run, from the end, seen `often` times with two sights less than a third apart."""
    seen: dict[tuple[Hashable, ...], tuple[int, int, int]] = {}
    for start in range(len(tokens) - ngram, -1, -1):
        run = tuple(tokens[start : start + ngram])
        if ngram > 2 and len(set(run)) == 1:
            continue
        times, later, closest = seen.get(run, (0, 2 * len(tokens), len(tokens)))
        seen[run] = times, _, closest = times + 1, start, min(closest, later - start)
        if times >= often and closest < len(tokens) // 3:
            return start
    return len(tokens)


def _seen_twice(tokens: list[Hashable], ngram: int) -> int:
    """Start of the first run, from the end, that was seen before."""
    seen: set[tuple[Hashable, ...]] = set()
    for start in range(len(tokens) - ngram, -1, -1):
        run = tuple(tokens[start : start + ngram])
        if run in seen:
            return start
        seen.add(run)
    return len(tokens)

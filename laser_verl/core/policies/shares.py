"""How many prompts of each group a draw takes, and draws without repeats.

Shape letters: K groups of prompts, N places.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from laser_verl.core.checks import Bools, Floats, Ints, non_negative, unknown

_SUM_ERROR = 1e-6


def checked_shares(name: str, shares: Mapping[str, object], known: Collection[str]) -> Floats:
    """Check shares that a user gave, one for each of some names.

    Args:
        name: What the user calls the option.
        shares: Share by name.
        known: The names, [K].

    Returns:
        The shares in the order of `known`, [K].

    Raises:
        ValueError: There are none, a name is unknown or missing, or they are not numbers of 0 or more that sum to 1.
    """
    if not known:
        raise ValueError(f"{name}={{}} is empty; give e.g. {{easy: 0.5, hard: 0.5}}")
    for key in shares:
        if key not in known:
            raise ValueError(unknown(f"{name} key", key, known))
    for key in known:
        if key not in shares:
            raise ValueError(f"{name} lacks {key}; give a share for each of {', '.join(known)}")
    made = np.array([non_negative(f"{name}.{key}", shares[key], 0.25) for key in known])  # type: ignore[arg-type]
    if abs(made.sum() - 1) > _SUM_ERROR:
        even = round(1 / len(known), 3)
        example = dict.fromkeys(known, even) | {list(known)[-1]: round(1 - even * (len(known) - 1), 3)}
        raise ValueError(f"{name}={dict(shares)} must sum to 1, not {made.sum():g}; give e.g. {example}")
    return made


def exact_numbers(shares: Floats, room: Ints, count: int, rng: np.random.Generator) -> Ints:
    """Split a draw by shares: each group gets its share, rounded up or down at random so that it has it on average.

    What a group has no room for goes to the others in proportion. Shares 1/4, 1/2, 1/4 of 10 give 2 or 3, 5, 3 or 2.

    Args:
        shares: Of each group, 0 or more, [K]; of any sum.
        room: Prompts that each group has, [K].
        count: Prompts wanted.
        rng: Decides where to round up.

    Returns:
        Prompts of each group, [K], none of a group with share 0; of sum `count`, or less if the others have fewer.
    """
    ideal = np.zeros(len(shares))
    is_open = (shares > 0) & (room > 0)
    left = min(count, int(room[is_open].sum()))
    total = left
    while left > 0:
        part = np.where(is_open, shares, 0.0)
        part *= left / part.sum()
        is_full = is_open & (part >= room)
        if not is_full.any():
            ideal += part
            break
        ideal[is_full] = room[is_full]
        left -= int(room[is_full].sum())
        is_open &= ~is_full
    # Whole numbers that come out of sums of fractions have to be whole, hence the rounding.
    ends = np.round(np.cumsum(ideal), 9)
    ends[-1:] = total
    return np.diff(np.floor(ends + rng.random()), prepend=0.0).astype(np.int64)


def numbers_by_chance(log_weights: Floats, room: Ints, count: int, rng: np.random.Generator) -> Ints:
    """Split a draw at random: each prompt of it falls into a group with a chance that follows the group's weight.

    What a group has no room for falls into the others. Where all weights are 0, the chance follows the room.

    Args:
        log_weights: Logarithm of each group's weight, [K]; -inf for a weight of 0.
        room: Prompts that each group has, [K].
        count: Prompts wanted, at most the sum of `room`.
        rng: Draws.

    Returns:
        Prompts of each group, [K], of sum `count`.
    """
    numbers = np.zeros_like(room)
    while (missing := count - int(numbers.sum())) > 0:
        is_open = numbers < room
        best = float(log_weights[is_open].max())
        # The weight of the best group is 1, so that the others may vanish beside it, but never all of them.
        weights = np.where(is_open, room if best == -np.inf else np.exp(np.minimum(log_weights - best, 0.0)), 0.0)
        numbers += np.minimum(rng.multinomial(missing, weights / weights.sum()), room - numbers)
    return numbers


def distinct_places(size: int, count: int, rng: np.random.Generator, excluded: Ints) -> Ints:
    """Draw places uniformly, without repeats and none of some.

    Args:
        size: Places there are, 0 to size - 1.
        count: Places wanted.
        rng: Draws.
        excluded: Places not to draw, distinct and sorted.

    Returns:
        Places in random order, [N]; all that are left where these are fewer than `count`.
    """
    drawn: Ints = rng.choice(size, min(count + len(excluded), size), replace=False).astype(np.int64)
    return drawn[~is_among(drawn, excluded)][:count]


def is_among(places: Ints, ordered: Ints) -> Bools:
    """Tell which places are among sorted ones, [N]."""
    if not len(ordered):
        return np.zeros(len(places), dtype=np.bool_)
    at = np.minimum(np.searchsorted(ordered, places), len(ordered) - 1)
    return np.asarray(ordered[at] == places)

"""How long a response of a difficulty band needs to be: coverage, expected correct responses, target length.

Shape letters: M candidate lengths, R responses of one band.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike

from laser_verl.core.bands import BANDS, Rounding, band_of, least_solved
from laser_verl.core.checks import Ints, positive_int
from laser_verl.core.rollouts import Rollouts

_MOST_CANDIDATES = 10**5


class Summary(TypedDict):
    """Target lengths of one set of rollouts, with the coverage behind them."""

    target_length: dict[str, int]
    num_prompts: dict[str, int]
    coverage: dict[str, dict[str, float]]


def target_grid(lower: int, upper: int, interval: int) -> Ints:
    """List the candidate target lengths: lower, lower + interval, ..., and always upper at the end.

    `target_grid(1000, 4096, 1024)` is `[1000, 2024, 3048, 4072, 4096]`.

    Source: arXiv 2505.15612, section 5.2.

    Departs from the official code: that steps past `upper` where interval does not divide upper - lower, and below
    1024 it puts `lower` before a grid that starts at 1024.

    Args:
        lower: Shortest target, tokens, 1 or more.
        upper: Longest target, tokens, `lower` or more.
        interval: Step, tokens, 1 or more.

    Returns:
        The candidates in rising order, [M].

    Raises:
        ValueError: A value is not a positive whole number, `upper` is below `lower`, or there are over 10^5 candidates.
    """
    lower = positive_int("lower_bound", lower, "number of tokens", 2048)
    upper = positive_int("upper_bound", upper, "number of tokens", 16384)
    interval = positive_int("interval", interval, "number of tokens", 1024)
    if upper < lower:
        raise ValueError(
            f"upper_bound={upper} is below lower_bound={lower}; give a lower_bound of at most {upper}, e.g. "
            f"{max(1, upper // 8)}, with an interval to match, e.g. {max(1, upper // 16)}"
        )
    if (upper - lower) // interval >= _MOST_CANDIDATES:
        raise ValueError(
            f"interval={interval} makes more than {_MOST_CANDIDATES} candidates between lower_bound={lower} and "
            f"upper_bound={upper}; give at least {(upper - lower) // _MOST_CANDIDATES + 1}"
        )
    return np.append(np.arange(lower, upper, interval, dtype=np.int64), np.int64(upper))


def coverage(lengths: ArrayLike, grid: Ints) -> Ints:
    """Count the responses that each candidate length is long enough for: P_{l,d} of the paper, times R.

    Lengths 5, 10 and 11 on the grid [10, 20] give [2, 3]: a response of exactly the target's length fits.

    Source: arXiv 2505.15612, section 5.2.

    Args:
        lengths: Response lengths of one band, right and wrong ones, tokens, [R].
        grid: Candidates in rising order, [M].

    Returns:
        Number of lengths <= each candidate, [M].
    """
    shortest_fit = np.searchsorted(grid, np.asarray(lengths, dtype=np.int64), side="left")
    counts: Ints = np.bincount(shortest_fit, minlength=len(grid) + 1)[: len(grid)].cumsum().astype(np.int64)
    return counts


def choose_target(lengths: ArrayLike, needed: int, grid: Ints) -> int | None:
    """Choose the shortest candidate at which a group is expected to keep one solved response.

    Smallest l with P_{l,d} * C_d >= 1, compared as covered * C_d >= total in integers; the last candidate if none is
    long enough. Lengths 100, 200, ..., 600 with C_d = 3 need 2 of 6 covered: on the grid [100, 150, 200, 600] that is
    200.

    Source: arXiv 2505.15612, Eq. 3 (expected number of correct responses).

    Departs from the official code: that falls back to the longest response of the current training batch.

    Args:
        lengths: Response lengths of one band, right and wrong ones, tokens, [R].
        needed: C_d, solved responses that a group of this band has at least; 0 means that no length is enough.
        grid: Candidates in rising order, [M].

    Returns:
        The target length in tokens, or None if there are no lengths to choose by.
    """
    total = np.asarray(lengths).size
    if total == 0:
        return None
    enough = coverage(lengths, grid) * needed >= total
    return int(grid[np.argmax(enough)] if enough.any() else grid[-1])


def summarise(
    rollouts: Rollouts,
    lower_bound: int,
    upper_bound: int,
    interval: int,
    rounding: Rounding = "ceil",
    group_size: int | None = None,
) -> Summary:
    """Choose target lengths from all groups of a batch at once, and show the coverage that led to them.

    One easy prompt with 3 responses of 5 tokens, all solved, on the grid [4, 8]: easy gets 8, medium and hard, which
    have no prompts, get the upper bound, also 8.

    Source: arXiv 2505.15612, section 5.2 and Eq. 3.

    Args:
        rollouts: The groups to choose by.
        lower_bound: Shortest target, tokens.
        upper_bound: Longest target, tokens; also what a band without prompts gets.
        interval: Step between candidates, tokens.
        rounding: "ceil" (paper) or "floor" (released code) for C_d.
        group_size: Rollouts per prompt, K; None takes the largest group.

    Returns:
        Target length, number of prompts, and coverage in [0, 1] per candidate, for each band.

    Raises:
        ValueError: The grid or the rounding is not valid.
    """
    grid = target_grid(lower_bound, upper_bound, interval)
    if group_size is None:
        group_size = int(rollouts.group_size.max()) if rollouts.size else 1
    needed = least_solved(group_size, rounding)
    band = band_of(rollouts.group_solved, rollouts.group_size)
    found = Summary(target_length={}, num_prompts={}, coverage={})
    for index, name in enumerate(BANDS):
        lengths = rollouts.length[band[rollouts.group] == index]
        target = choose_target(lengths, needed[index], grid)
        share = coverage(lengths, grid) / max(len(lengths), 1)
        found["target_length"][name] = int(grid[-1]) if target is None else target
        found["num_prompts"][name] = int((band == index).sum())
        found["coverage"][name] = dict(zip(map(str, grid.tolist()), share.tolist(), strict=True))
    return found

"""Difficulty bands: the one place that knows where easy, medium and hard begin.

Shape letters: G groups (a group is the rollouts of one prompt).
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from laser_verl.core.checks import positive_int

BANDS = ("easy", "medium", "hard")
EASY, MEDIUM, HARD = range(3)

# of a response whose method has no bands, in a batch where another's has
NO_BAND = -1

Rounding = Literal["ceil", "floor"]

RATE_STEPS = 240
_FLOAT_ERROR = 1e-3


def band_of(num_solved: ArrayLike, group_size: ArrayLike) -> NDArray[np.int8]:
    """Sort groups by the share of their rollouts that are solved.

    hard if solved/size < 1/3, easy if solved/size >= 2/3, else medium; compared in integers, so that 1/3 and 2/3 are
    exact. With 6 rollouts, 1 solved is hard, 2 is medium, 4 is easy.

    Source: arXiv 2505.15612, section 5.2.

    Departs from the official code: that closes the bands from below for rewards and from above for its monitor set,
    so 2 of 6 is medium in one and hard in the other. Here it is medium in both.

    Args:
        num_solved: Correct and well-formed responses of each group, [G], integers from 0 to the group's size.
        group_size: Responses of each group, [G], integers of 1 or more.

    Returns:
        `EASY`, `MEDIUM` or `HARD` for each group, [G].

    Raises:
        ValueError: A group is empty, or has more solved responses than responses.
    """
    solved, size = np.asarray(num_solved, dtype=np.int64), np.asarray(group_size, dtype=np.int64)
    if (size < 1).any():
        row = int(np.argmax(size < 1))
        raise ValueError(f"group_size[{row}]={size[row]} must be 1 or more; leave out groups without responses")
    wrong = (solved < 0) | (solved > size)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"num_solved[{row}]={solved[row]} must be from 0 to group_size[{row}]={size[row]}")
    band = np.full(solved.shape, MEDIUM, dtype=np.int8)
    band[3 * solved < size] = HARD
    band[3 * solved >= 2 * size] = EASY
    return band


def rate_steps(pass_rate: ArrayLike) -> NDArray[np.int64]:
    """Round pass rates down to 240ths, in which k of n is exact for n up to 6, and for 8, 10, 12, 15, 16, 20 and 24.

    Args:
        pass_rate: Averaged shares of solved responses, 0 to 1; the rounding errors of a float32 do no harm.

    Returns:
        0 to `RATE_STEPS`, of the shape given: 1/3 gives 80.
    """
    return np.floor(RATE_STEPS * np.asarray(pass_rate, dtype=np.float64) + _FLOAT_ERROR).astype(np.int64)


def band_of_rate(pass_rate: ArrayLike) -> NDArray[np.int8]:
    """Sort averaged pass rates, 0 to 1, as `band_of` sorts groups: 0.333 is hard, 1/3 medium, 2/3 easy."""
    return band_of(rate_steps(pass_rate), np.int64(RATE_STEPS))


def least_solved(group_size: int, rounding: Rounding) -> tuple[int, int, int]:
    """Count the solved responses that a group of each band has at least: C_d of the paper.

    ceil: ceil(2K/3), ceil(K/3), 1. floor: floor(2K/3), floor(K/3), 1. With K = 8: (6, 3, 1) and (5, 2, 1).

    Source: arXiv 2505.15612, section 5.2 and Eq. 3 (ceil); the released code rounds down.

    Departs from the official code: that takes K = 8 whatever the number of rollouts.

    Args:
        group_size: Rollouts per prompt, K, 1 or more.
        rounding: "ceil" or "floor".

    Returns:
        The counts for easy, medium and hard. With floor and K = 1 or 2 some are 0: no length is then enough.

    Raises:
        ValueError: `group_size` is not positive, or `rounding` is neither.
    """
    size = positive_int("group_size", group_size, "number of rollouts per prompt", 8)
    if rounding == "ceil":
        return -(-2 * size // 3), -(-size // 3), 1
    if rounding == "floor":
        return 2 * size // 3, size // 3, 1
    raise ValueError(f"rounding={rounding!r} is unknown; give one of {list(get_args(Rounding))}")

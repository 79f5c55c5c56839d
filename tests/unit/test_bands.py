from __future__ import annotations

from typing import Any

import pytest

from laser_verl.core import EASY, HARD, MEDIUM, band_of, least_solved


@pytest.mark.parametrize(
    ("solved", "size", "band"),
    [
        (0, 1, HARD),
        (1, 1, EASY),
        (0, 2, HARD),
        (1, 2, MEDIUM),  # 1/2
        (2, 2, EASY),
        (1, 3, MEDIUM),  # exactly 1/3
        (2, 3, EASY),  # exactly 2/3
        (1, 6, HARD),
        (2, 6, MEDIUM),  # exactly 1/3
        (3, 6, MEDIUM),
        (4, 6, EASY),  # exactly 2/3
        (0, 8, HARD),
        (2, 8, HARD),  # 0.25
        (3, 8, MEDIUM),  # 0.375
        (5, 8, MEDIUM),  # 0.625
        (6, 8, EASY),  # 0.75
        (8, 8, EASY),
        (10**17, 3 * 10**17, MEDIUM),  # exactly 1/3, where a float quotient is not
        (10**17 - 1, 3 * 10**17, HARD),
    ],
)
def test_bands_are_closed_from_below(solved: int, size: int, band: int) -> None:
    assert band_of([solved], [size]).tolist() == [band]


def test_each_group_is_sorted_by_its_own_size() -> None:
    # 1 of 1, 1 of 2, 1 of 4
    assert band_of([1, 1, 1], [1, 2, 4]).tolist() == [EASY, MEDIUM, HARD]


def test_no_groups_have_no_bands() -> None:
    assert band_of([], []).tolist() == []


@pytest.mark.parametrize(
    ("solved", "size", "told"),
    [
        ([0, 0], [8, 0], r"group_size\[1\]=0 must be 1 or more"),
        ([9], [8], r"num_solved\[0\]=9 must be from 0 to group_size\[0\]=8"),
        ([-1], [8], r"num_solved\[0\]=-1"),
    ],
)
def test_impossible_groups_are_refused(solved: list[int], size: list[int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        band_of(solved, size)


@pytest.mark.parametrize(
    ("size", "ceil", "floor"),
    [
        (1, (1, 1, 1), (0, 0, 1)),
        (2, (2, 1, 1), (1, 0, 1)),  # 4/3 and 2/3
        (3, (2, 1, 1), (2, 1, 1)),
        (4, (3, 2, 1), (2, 1, 1)),  # 8/3 and 4/3
        (6, (4, 2, 1), (4, 2, 1)),
        (8, (6, 3, 1), (5, 2, 1)),  # 16/3 and 8/3: the paper's and the release's own numbers
        (16, (11, 6, 1), (10, 5, 1)),  # 32/3 and 16/3
    ],
)
def test_least_solved_rounds_thirds(size: int, ceil: tuple[int, ...], floor: tuple[int, ...]) -> None:
    assert least_solved(size, "ceil") == ceil
    assert least_solved(size, "floor") == floor


@pytest.mark.parametrize(
    ("size", "rounding", "told"),
    [
        (0, "ceil", "group_size=0 must be a positive number of rollouts per prompt; give e.g. 8"),
        (True, "ceil", "group_size=True"),
        (8.0, "ceil", "group_size=8.0"),
        (8, "round", r"rounding='round' is unknown; give one of \['ceil', 'floor'\]"),
    ],
)
def test_least_solved_refuses(size: Any, rounding: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        least_solved(size, rounding)

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from laser_verl.core import Rollouts

NAN, INF = float("nan"), float("inf")


def build(**changed: Any) -> Rollouts:
    given: dict[str, Any] = {"prompt": ["a", "a", "b"], "response_length": [10, 20, 30], "correct": [1, 0, 1]}
    return Rollouts.build(**{**given, **changed})


def test_groups_are_numbered_in_order_of_first_appearance() -> None:
    rollouts = Rollouts.build(["q", "p", "q", "r", "p"], [1, 2, 3, 4, 5], [1, 1, 0, 0, 0])
    assert rollouts.group.tolist() == [0, 1, 0, 2, 1]
    assert rollouts.num_groups == 3
    assert rollouts.group_size.tolist() == [2, 2, 1]
    assert rollouts.group_solved.tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    "prompt",
    [
        np.array([7, 3, 7, 9, 3]),
        np.array([-(2**62), 2**62, -(2**62), 5, 2**62]),
        np.array([2**64 - 1, 0, 2**64 - 1, 5, 0], dtype=np.uint64),
        np.array(["x", "é", "x", "z", "é"]),
        np.array(["x", ("y", 1), "x", 4.5, ("y", 1)], dtype=object),
        [7, 3, 7, 9, 3],
        iter("xyxzy"),
    ],
    ids=["dense", "far apart", "unsigned", "texts", "objects", "list", "iterator"],
)
def test_any_kind_of_id_gives_the_same_groups(prompt: Any) -> None:
    assert Rollouts.build(prompt, [1] * 5, [1] * 5).group.tolist() == [0, 1, 0, 2, 1]


def test_defaults_are_well_formed_not_looping_not_cut() -> None:
    rollouts = build()
    assert rollouts.well_formed.tolist() == [True] * 3
    assert rollouts.repetitive.tolist() == [False] * 3
    assert rollouts.truncated.tolist() == [False] * 3
    assert rollouts.task_score is None
    assert (rollouts.step, rollouts.max_response_length) == (0, None)


def test_solved_means_correct_and_well_formed() -> None:
    rollouts = build(correct=[1, 1, 0], well_formed=[1, 0, 1])
    assert rollouts.solved.tolist() == [True, False, False]
    assert rollouts.group_solved.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("field", "values", "told"),
    [
        ("response_length", [10, NAN, 30], r"response_length\[1\]=nan must be a whole number of tokens"),
        ("response_length", [10, INF, 30], r"response_length\[1\]=inf"),
        ("response_length", [10, 20, -INF], r"response_length\[2\]=-inf"),
        ("response_length", [10, 20.5, 30], r"response_length\[1\]=20.5"),
        ("response_length", [-1, 20, 30], r"response_length\[0\]=-1"),
        ("response_length", [10, None, 30], r"response_length\[1\]=None"),
        ("response_length", [10, "20", 30], r"response_length\[1\]='20'"),
        ("response_length", [10, 10**400, 30], r"response_length\[1\]=10"),
        ("response_length", np.array([True, False, True]), r"response_length\[0\]=True"),
        ("response_length", [[10], [20], [30]], r"response_length has shape \(3, 1\)"),
        ("response_length", [10, [20], 30], "response_length must hold one value per response"),
        ("response_length", 10, r"response_length has shape \(\)"),
        ("correct", [1, 2, 0], r"correct\[1\]=2 must be true or false"),
        ("correct", [1, 0.5, 0], r"correct\[1\]=0.5"),
        ("correct", [1, NAN, 0], r"correct\[1\]=nan"),
        ("correct", [1, None, 0], r"correct\[1\]=None"),
        ("correct", ["yes", 1, 0], r"correct\[0\]='yes'"),
        ("correct", [1, 0], "correct has 2 rows but response_length has 3"),
        ("correct", None, r"correct has shape \(\)"),
        ("well_formed", [1, 3, 0], r"well_formed\[1\]=3"),
        ("repetitive", [1], "repetitive has 1 rows but response_length has 3"),
        ("truncated", [0, 0, -1], r"truncated\[2\]=-1"),
        ("task_score", [0.5, INF, 0], r"task_score\[1\]=inf must be a finite number"),
        ("task_score", [0.5, -INF, 0], r"task_score\[1\]=-inf"),
        ("task_score", [0.5, "x", 0], r"task_score\[1\]='x'"),
        ("prompt", ["a", "b"], "prompt has 2 rows but response_length has 3"),
        ("prompt", "abc", "prompt='abc' is one text"),
        ("prompt", ["a", ["a"], "b"], r"prompt\[1\]=\['a'\] cannot be an id"),
        ("prompt", ["a", None, "b"], r"prompt\[1\]=None is no id"),
        ("prompt", np.array([1.0, 2.0, NAN]), r"prompt\[2\]=nan is no id"),
        ("prompt", np.zeros((3, 1), dtype=int), r"prompt has shape \(3, 1\)"),
        ("step", -1, "step=-1 must be a whole number, 0 or more"),
        ("step", True, "step=True"),
        ("step", 1.5, "step=1.5"),
        ("max_response_length", 0, "max_response_length=0 must be a positive number of tokens; give e.g. 8192"),
        ("columns", {"other": [1, 2]}, "column 'other' has 2 rows"),
        ("columns", {"other": 1}, "column 'other' has 0 rows"),
        ("columns", {"other": [1, [2], 3]}, "column 'other' is ragged"),
    ],
)
def test_a_bad_value_is_named_with_its_field_and_row(field: str, values: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        build(**{field: values})


def test_whole_floats_and_numpy_booleans_are_fine() -> None:
    rollouts = build(response_length=np.array([1.0, 2.0, 0.0]), correct=[np.True_, 0.0, 1])
    assert rollouts.length.tolist() == [1, 2, 0]
    assert rollouts.length.dtype == np.int64
    assert rollouts.correct.tolist() == [True, False, True]


def test_an_empty_response_is_a_response() -> None:
    assert build(response_length=[0, 20, 30]).length.tolist() == [0, 20, 30]


def test_a_batch_without_rows_is_a_batch() -> None:
    rollouts = Rollouts.build([], [], [])
    assert (rollouts.size, rollouts.num_groups) == (0, 0)
    assert rollouts.group_size.tolist() == rollouts.group_solved.tolist() == []
    assert rollouts.select([]).size == 0


def test_arrays_are_copies_and_read_only() -> None:
    length = np.array([10, 20, 30])
    rollouts = build(response_length=length)
    length[0] = 99
    assert rollouts.length.tolist() == [10, 20, 30]
    with pytest.raises(ValueError, match="read-only"):
        rollouts.length[0] = 5


def test_columns_are_kept_with_any_width() -> None:
    rollouts = build(columns={"budget": [1, 2, 3], "parts": [[1, 2], [3, 4], [5, 6]]})
    assert rollouts.columns["budget"].tolist() == [1, 2, 3]
    assert rollouts.columns["parts"].shape == (3, 2)


def test_select_keeps_rows_and_numbers_groups_anew() -> None:
    rollouts = Rollouts.build(
        ["p", "q", "r", "q"],
        [1, 2, 3, 4],
        [1, 0, 1, 1],
        well_formed=[1, 1, 0, 1],
        repetitive=[0, 1, 0, 0],
        truncated=[0, 0, 1, 0],
        task_score=[0.1, 0.2, 0.3, 0.4],
        step=7,
        max_response_length=9,
        columns={"budget": [5, 6, 7, 8]},
    )
    assert rollouts.num_groups == 3
    kept = rollouts.select([False, True, True, True])
    assert kept.group.tolist() == [0, 1, 0]
    assert kept.num_groups == 2
    assert kept.group_size.tolist() == [2, 1]
    assert kept.length.tolist() == [2, 3, 4]
    assert kept.solved.tolist() == [False, False, True]
    assert kept.repetitive.tolist() == [True, False, False]
    assert kept.truncated.tolist() == [False, True, False]
    assert kept.task_score is not None
    assert kept.task_score.tolist() == [0.2, 0.3, 0.4]
    assert kept.columns["budget"].tolist() == [6, 7, 8]
    assert (kept.step, kept.max_response_length) == (7, 9)


@pytest.mark.parametrize("mask", [[True], [0, 2, 1], [0, 1]])
def test_select_refuses_what_is_no_mask(mask: list[Any]) -> None:
    with pytest.raises(ValueError, match="mask"):
        build().select(mask)

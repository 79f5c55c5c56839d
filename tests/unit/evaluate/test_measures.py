import math
import warnings

import numpy as np
import pytest

from laser_verl.evaluate.measures import (
    first_finished,
    interval_of_average,
    intervals,
    majorities,
    mean_per_problem,
    pass_at_k,
)


def majority(problem: np.ndarray, answer: np.ndarray, correct: np.ndarray, k: int) -> np.ndarray:
    return majorities(problem, answer, correct, [k], np.random.default_rng(0))[k]


def test_mean_per_problem() -> None:
    found = mean_per_problem(np.array([0, 1, 0]), np.array([1, 1, 0]))
    assert found.tolist() == [0.5, 1.0]


def test_pass_at_k_is_the_share_of_subsets_that_hold_a_right_one() -> None:
    n, c = np.array([4, 4, 4, 2]), np.array([1, 0, 3, 2])
    # C(4,2) = 6 pairs: of one right sample 3 hold it; of three right ones all do, since one is wrong only
    assert pass_at_k(n, c, 2).tolist() == [0.5, 0.0, 1.0, 1.0]
    # one sample is the mean
    assert pass_at_k(n, c, 1).tolist() == [0.25, 0.0, 0.75, 1.0]
    # 16 samples, 3 right, k = 8: C(13,8) = 1287 of C(16,8) = 12870 hold none
    assert pass_at_k(np.array([16]), np.array([3]), 8)[0] == pytest.approx(0.9)


def test_majority_of_all_samples() -> None:
    problem = np.array([0, 0, 0, 1, 1, 1])
    answer = np.array([5, 5, 7, 5, 5, 7])
    correct = np.array([True, True, False, False, False, True])
    assert majority(problem, answer, correct, 3).tolist() == [1.0, 0.0]


def test_a_tie_counts_the_share_of_right_answers_in_it() -> None:
    # a a b b c: a and b tie, a is right
    answer = np.array([0, 0, 1, 1, 2])
    assert majority(np.zeros(5, int), answer, answer == 0, 5).tolist() == [0.5]


def test_what_has_no_answer_does_not_vote() -> None:
    answer = np.array([-1, -1, -1, 3])
    assert majority(np.zeros(4, int), answer, answer == 3, 4).tolist() == [1.0]
    nothing = np.array([-1, -1])
    assert majority(np.zeros(2, int), nothing, np.zeros(2, bool), 2).tolist() == [0.0]


def test_majority_of_fewer_samples_is_a_mean_over_subsets() -> None:
    # of a a b, a right: the pairs are aa (1), ab (1/2), ab (1/2), so 2/3; 200 subsets err by 0.24 / sqrt(200) = 0.017
    answer = np.array([0, 0, 1])
    found = majority(np.zeros(3, int), answer, answer == 0, 2)[0]
    assert found == pytest.approx(2 / 3, abs=4 * 0.017)
    assert found == majority(np.zeros(3, int), answer, answer == 0, 2)[0]


def test_majority_counts_the_answers_of_each_problem_alone() -> None:
    problem, answer = np.array([0, 1, 1]), np.array([4, 4, 9])
    correct = np.array([False, True, False])
    assert majority(np.array([0, 0, 1, 1]), np.array([4, 4, 4, 9]), np.array([0, 0, 1, 0], bool), 2).tolist() == [
        0.0,
        0.5,
    ]
    assert majority(problem, answer, correct, 1)[0] == 0.0


def test_the_first_to_finish_is_the_shortest_that_is_not_truncated() -> None:
    problem = np.array([0, 0, 0, 1, 1, 2, 2])
    tokens = np.array([9, 5, 7, 3, 3, 8, 8])
    finished = np.array([True, False, True, True, True, False, False])
    assert first_finished(problem, tokens, finished).tolist() == [2, 3, 5]


def test_bounds_of_two_problems_are_the_problems_themselves() -> None:
    # of two problems with 0 and 1 a resampled mean is 0, 0.5 or 1 with chances 1/4, 1/2, 1/4
    found = intervals({"accuracy": np.array([0.0, 1.0])}, 1)["accuracy"]
    assert (found.mean, found.low, found.high) == (0.5, 0.0, 1.0)


def test_bounds_of_many_problems_are_near_two_standard_errors() -> None:
    # 400 problems, half of them solved: the standard error is 0.5 / 20 = 0.025, and 1.96 of it 0.049
    values = np.repeat([0.0, 1.0], 200)
    found = intervals({"accuracy": values, "tokens": 100 * values}, 1)
    assert found["accuracy"].low == pytest.approx(0.451, abs=0.004)
    assert found["accuracy"].high == pytest.approx(0.549, abs=0.004)
    # the draws are shared
    assert found["tokens"].low == pytest.approx(100 * found["accuracy"].low)


def test_bounds_of_equal_problems_are_their_mean_and_those_of_one_problem_unknown() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        equal = intervals({"accuracy": np.ones(5)}, 1)["accuracy"]
        alone = intervals({"accuracy": np.ones(1)}, 1)["accuracy"]
    assert (equal.mean, equal.low, equal.high) == (1.0, 1.0, 1.0)
    assert alone.mean == 1.0
    assert math.isnan(alone.low)
    assert math.isnan(alone.high)


def test_the_average_weighs_benchmarks_equally_and_draws_within_each() -> None:
    # one benchmark all right, the other half: 0.75; only the second varies, by half of its own interval of +- 0.098
    found = interval_of_average([np.ones(500), np.repeat([0.0, 1.0], 50)], 1)
    assert found.mean == 0.75
    assert found.low == pytest.approx(0.75 - 0.049, abs=0.006)
    assert found.high == pytest.approx(0.75 + 0.049, abs=0.006)


def test_intervals_repeat_with_their_seed() -> None:
    values = {"accuracy": np.linspace(0, 1, 30)}
    assert intervals(values, 3) == intervals(values, 3)
    assert intervals(values, 3) != intervals(values, 4)

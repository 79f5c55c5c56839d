"""Measures of a benchmark as arrays, one value a problem, and intervals over the problems.

Shape letters: P problems, R responses, N the most samples of a problem, S measures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

RESAMPLES = 9999
CONFIDENCE = 0.95
SUBSETS = 200
"""Drawn at random for a vote of fewer samples than there are."""

# Numbers a bootstrap may hold at a time.
_BATCH_VALUES = 4_000_000


@dataclass(frozen=True)
class Interval:
    """A mean over problems, and where 95 % of resampled means are; NaN where there is one problem."""

    mean: float
    low: float
    high: float


def mean_per_problem(problem: Ints, values: NDArray[np.generic]) -> Floats:
    """Mean of each problem's responses [P].

    Args:
        problem: Number of each response's problem, from 0, each number used [R].
        values: One number a response [R].

    Returns:
        The means [P]; of problems 0, 0, 1 and values 1, 0, 1 they are 0.5 and 1.
    """
    return np.bincount(problem, weights=values.astype(float)) / np.bincount(problem)


def pass_at_k(num_samples: Ints, num_correct: Ints, k: int) -> Floats:
    """The unbiased estimate of the chance that one of k samples is right [P].

    1 - C(n-c, k) / C(n, k): the share of the subsets of k that hold a right one. Source: arXiv 2107.03374, eq. 1.

    Args:
        num_samples: n, at least k [P].
        num_correct: c [P].
        k: Size of the subsets.

    Returns:
        The estimates [P]; of n = 4, c = 1, k = 2 it is 1 - 3/6 = 0.5.
    """
    pairs, place = np.unique(np.stack([num_samples, num_correct]), axis=1, return_inverse=True)
    chances = [1.0 - math.comb(int(n - c), k) / math.comb(int(n), k) for n, c in pairs.T]
    return np.array(chances)[place.ravel()]


def majorities(
    problem: Ints, answer: Ints, correct: Bools, sizes: Sequence[int], rng: np.random.Generator
) -> dict[int, Floats]:
    """The chance that the most frequent answer of k samples is right [P], by k.

    Ties are broken at random, so a tie of a right and a wrong answer counts one half. Exact for one sample and for all;
    otherwise the mean over `SUBSETS` random subsets, those of a smaller k within those of a larger.

    Args:
        problem: Number of each response's problem, from 0 [R].
        answer: Number of each response's answer, equal where the answers of a problem are; negative for one that does
            not vote [R].
        correct: Whether the answer is right; only of one that votes [R].
        sizes: Numbers of samples, at most those of the problem with the fewest.
        rng: Draws the subsets.

    Returns:
        The chances [P]; of answers a, a, b with a right and k = 3 it is 1.
    """
    count = _Count(problem, answer, correct)
    num_samples = np.bincount(problem)
    exact = {k: mean_per_problem(problem, correct) for k in sizes if k == 1}
    exact |= {k: count.wins(slice(None)) for k in sizes if k > 1 and (num_samples == k).all()}
    drawn = [k for k in sizes if k not in exact]
    totals = {k: np.zeros(len(num_samples)) for k in drawn}
    by_problem = np.argsort(problem, kind="stable")
    starts = np.cumsum(num_samples) - num_samples
    is_there = np.arange(num_samples.max()) < num_samples[:, None]
    for _ in range(SUBSETS if drawn else 0):
        random = np.where(is_there, rng.random(is_there.shape, dtype=np.float32), 2.0)
        order = by_problem[starts[:, None] + np.argsort(random, axis=1)[:, : max(drawn)]]
        for k in drawn:
            totals[k] += count.wins(order[:, :k].ravel())
    found = exact | {k: total / SUBSETS for k, total in totals.items()}
    return {k: found[k] for k in sizes}


class _Count:
    """Counts the votes of responses; a choice is one answer to one problem."""

    def __init__(self, problem: Ints, answer: Ints, correct: Bools) -> None:
        self._num_problems = int(problem.max()) + 1
        # choices in the order of problems, as `reduceat` needs them
        keys, first, self._choice = np.unique(
            problem * (int(answer.max()) + 2) + answer + 1, return_index=True, return_inverse=True
        )
        self._owner = problem[first]
        self._votes = answer[first] >= 0
        self._begin = np.searchsorted(self._owner, np.arange(self._num_problems))
        self._is_right = np.zeros(len(keys), dtype=bool)
        self._is_right[self._choice[correct]] = True

    def wins(self, responses: Ints | slice) -> Floats:
        """Share of right ones among the most frequent answers of these responses [P]."""
        votes = np.bincount(self._choice[responses], minlength=len(self._owner)) * self._votes
        most = np.maximum.reduceat(votes, self._begin)
        wins = (votes == most[self._owner]) & (votes > 0)
        winners = np.add.reduceat(wins.astype(float), self._begin)
        return np.add.reduceat((wins & self._is_right).astype(float), self._begin) / np.maximum(winners, 1)


def first_finished(problem: Ints, tokens: Ints, finished: Bools) -> Ints:
    """The response of each problem that is finished first, if all are generated side by side [P].

    Source: First Finish Search, arXiv 2505.18149.

    Args:
        problem: Number of each response's problem, from 0 [R].
        tokens: Length of each response [R].
        finished: False for a truncated one, which is only taken where all are [R].

    Returns:
        Places in the arrays, of equal ones the first; of lengths 9, 5, 7 of one problem, the second truncated, it is 2.
    """
    order = np.lexsort((np.arange(len(problem)), tokens, ~finished, problem))
    return order[np.searchsorted(problem[order], np.arange(int(problem.max()) + 1))]


def intervals(values: Mapping[str, Floats], seed: int) -> dict[str, Interval]:
    """Means over problems with bootstrap intervals (percentiles).

    Whole problems are drawn, each with the mean of its samples: samples of one problem are alike, so drawing responses
    would give intervals that are too narrow.

    Args:
        values: One number a problem, by measure [P] each.
        seed: Of the draws, which all measures share.

    Returns:
        Interval by measure.
    """
    rows = np.stack(list(values.values()))
    low, high = _bounds(_resampled(rows, np.random.default_rng(seed)), rows.shape[1])
    means = rows.mean(axis=1)
    return {name: Interval(float(means[i]), float(low[i]), float(high[i])) for i, name in enumerate(values)}


def interval_of_average(benchmarks: Sequence[Floats], seed: int) -> Interval:
    """The mean over benchmarks of the mean over their problems.

    Args:
        benchmarks: One number a problem, of each benchmark; each keeps its number of problems in every draw.
        seed: Of the draws.

    Returns:
        The interval; a benchmark of 30 problems counts as much as one of 500.
    """
    rng = np.random.default_rng(seed)
    means = np.mean([_resampled(values[None], rng) for values in benchmarks], axis=0)
    low, high = _bounds(means, min(map(len, benchmarks)))
    return Interval(float(np.mean([values.mean() for values in benchmarks])), float(low[0]), float(high[0]))


def _resampled(rows: Floats, rng: np.random.Generator) -> Floats:
    """Means of problems drawn with replacement [RESAMPLES, S].

    A draw is kept as how often it has each problem, so that all measures are one product of matrices:
    `scipy.stats.bootstrap`, which gathers every value, takes twenty times as long for 6,250 problems.
    """
    size = rows.shape[1]
    at_once = max(1, _BATCH_VALUES // size)
    parts = []
    for begin in range(0, RESAMPLES, at_once):
        number = min(at_once, RESAMPLES - begin)
        drawn = rng.integers(size, size=(number, size)) + size * np.arange(number)[:, None]
        parts.append(np.bincount(drawn.ravel(), minlength=number * size).reshape(number, size) @ rows.T / size)
    return np.concatenate(parts)


def _bounds(resampled: Floats, num_problems: int) -> tuple[Floats, Floats]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail], axis=0)
    if num_problems < 2:  # nothing varies, which says nothing
        low, high = np.full_like(low, math.nan), np.full_like(high, math.nan)
    return low, high

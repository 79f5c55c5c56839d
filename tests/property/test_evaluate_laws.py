"""Laws of the measures, and of going on from a file cut anywhere."""

from __future__ import annotations

import itertools
import math
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laser_verl.evaluate.measures import (
    first_finished,
    intervals,
    majorities,
    mean_per_problem,
    pass_at_k,
)
from laser_verl.evaluate.run import evaluate, report
from laser_verl.evaluate.verdicts import count_keywords
from tests.unit.evaluate.engines import in_place_of_vllm, request_of

# (answer, right) of the samples of a problem: an answer is right or not for all of them, and negative is no vote
ANSWERS = st.lists(st.integers(-1, 3), min_size=1, max_size=6)
PROBLEMS = st.lists(ANSWERS, min_size=1, max_size=5)


def columns(problems: list[list[int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    problem = np.repeat(np.arange(len(problems)), [len(one) for one in problems])
    answer = np.array(list(itertools.chain.from_iterable(problems)))
    return problem, answer, answer == 0


def chance_by_counting(answers: list[int], k: int) -> float:
    """The share of all subsets of k whose most frequent answer is 0, ties shared."""
    chances = []
    for subset in itertools.combinations(answers, k):
        votes = Counter(answer for answer in subset if answer >= 0)
        winners = [answer for answer, number in votes.items() if number == max(votes.values())]
        chances.append((0 in winners) / len(winners) if winners else 0.0)
    return sum(chances) / len(chances)


@given(PROBLEMS)
def test_the_majority_is_that_of_counting_every_subset(problems: list[list[int]]) -> None:
    problem, answer, correct = columns(problems)
    least = min(len(one) for one in problems)
    found = majorities(problem, answer, correct, [1, least], np.random.default_rng(0))
    for k, chances in found.items():
        for number, answers in enumerate(problems):
            expected = chance_by_counting(answers, k)
            # 200 subsets: at most 0.5 / sqrt(200) is one standard error
            assert chances[number] == pytest.approx(expected, abs=5 * 0.0354)
            if k == 1 or all(len(one) == k for one in problems):
                assert chances[number] == pytest.approx(expected)


@given(st.integers(1, 12), st.data())
def test_pass_at_k_is_that_of_counting_every_subset_and_grows_with_k(size: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, size))
    outcomes = [True] * right + [False] * (size - right)
    chances = []
    for k in range(1, size + 1):
        subsets = list(itertools.combinations(outcomes, k))
        chances.append(pass_at_k(np.array([size]), np.array([right]), k)[0])
        assert chances[-1] == pytest.approx(sum(map(any, subsets)) / len(subsets))
    assert chances == sorted(chances)
    assert chances[-1] == float(right > 0)


@given(PROBLEMS, st.randoms(use_true_random=False))
def test_the_order_of_responses_changes_no_measure_of_all_samples(problems: list[list[int]], random: object) -> None:
    size = min(len(one) for one in problems)
    problem, answer, correct = columns([one[:size] for one in problems])
    order = np.array(random.sample(range(len(problem)), len(problem)))  # type: ignore[attr-defined]
    tokens = np.arange(len(problem)) * 7 % 11
    for one, other in zip(
        (problem, answer, correct, tokens), (problem[order], answer[order], correct[order], tokens[order]), strict=True
    ):
        assert sorted(one.tolist()) == sorted(other.tolist())
    votes = [
        majorities(problem[at], answer[at], correct[at], [size], np.random.default_rng(0))[size].tolist()
        for at in (slice(None), order)
    ]
    assert votes[0] == votes[1]
    finished = np.ones(len(problem), bool)
    first = tokens[first_finished(problem, tokens, finished)]
    assert first.tolist() == tokens[order][first_finished(problem[order], tokens[order], finished)].tolist()
    assert first.tolist() == [min(tokens[problem == number]) for number in range(len(problems))]
    assert mean_per_problem(problem, correct).tolist() == mean_per_problem(problem[order], correct[order]).tolist()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.integers(0, 5))
def test_an_interval_holds_its_mean_and_stays_within_the_values(values: list[float], seed: int) -> None:
    found = intervals({"accuracy": np.array(values)}, seed)["accuracy"]
    slack = 1e-12
    assert min(values) - slack <= found.low <= found.high <= max(values) + slack
    # of a skewed sample the mean may be near a bound, hardly beyond it
    width = max(values) - min(values)
    assert found.low - 0.05 * width - slack <= found.mean <= found.high + 0.05 * width + slack
    # and all scales alike
    scaled = intervals({"accuracy": 100 * np.array(values)}, seed)["accuracy"]
    assert scaled.low == pytest.approx(100 * found.low, abs=1e-9)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_the_interval_is_that_of_scipy(values: list[float]) -> None:
    from scipy.stats import bootstrap

    found = intervals({"accuracy": np.array(values)}, 1)["accuracy"]
    other = bootstrap(
        (np.array(values),), np.mean, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    # two times 9,999 draws: quantiles at 2.5 % err by 0.027 standard deviations of the mean each
    error = float(np.std(values)) / math.sqrt(len(values))
    assert found.low == pytest.approx(other.low, abs=0.2 * error + 1e-12)
    assert found.high == pytest.approx(other.high, abs=0.2 * error + 1e-12)


@given(st.text(alphabet="wait WAIT.\n", max_size=40), st.text(alphabet="however ,", max_size=20))
def test_keywords_of_parts_add_up(text: str, other: str) -> None:
    both, one, two = (sum(count_keywords(part).values()) for part in (f"{text} | {other}", text, other))
    assert both == one + two


@pytest.fixture(scope="module")
def unbroken() -> tuple[bytes, bytes]:
    """Samples and summary of an evaluation with a fake engine that nothing interrupted."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        in_place_of_vllm(patch)
        request = request_of(Path(folder))
        evaluate(request, lambda text: None)
        return (request.out / "samples.jsonl").read_bytes(), (request.out / "summary.json").read_bytes()


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_a_file_cut_at_any_byte_is_completed_to_the_same_result(
    unbroken: tuple[bytes, bytes], data: st.DataObject
) -> None:
    samples, summary = unbroken
    where = data.draw(st.integers(0, len(samples)))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        in_place_of_vllm(patch)
        request = request_of(Path(folder))
        request.out.mkdir()
        path = request.out / "samples.jsonl"
        path.write_bytes(samples[:where])
        evaluate(request, lambda text: None)
        assert (request.out / "summary.json").read_bytes() == summary
        assert sorted(path.read_bytes().splitlines()) == sorted(samples.splitlines())
        assert report([path], None, lambda text: None)["results"][0]["benchmarks"]["tiny"]["responses"] == 15

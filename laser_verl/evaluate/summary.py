"""The summary of recorded samples: the same samples give the same bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

import laser_verl
from laser_verl.commands import BadInput
from laser_verl.evaluate import measures
from laser_verl.evaluate.measures import Bools, Floats, Interval, Ints
from laser_verl.evaluate.samples import Id, Record, Sample, refuse_mixed_golds
from laser_verl.evaluate.verdicts import KEYWORDS, Judged, count_all, judge


@dataclass(frozen=True)
class Columns:
    """The responses of one benchmark, in the order of problem and sample.

    Attributes:
        problem: Number of the problem, from 0 [R].
        correct: Right and well formed [R].
        answered: Right, whatever the form [R].
        well_formed: As the format asks [R].
        repetitive: Ends in a loop [R].
        finished: Not truncated [R].
        tokens: Length [R].
        thinking: Part of it up to the end of the thought [R].
        answer: Number of the answer, negative where there is no vote [R].
        keywords: Numbers of each keyword [R, 7].
    """

    problem: Ints
    correct: Bools
    answered: Bools
    well_formed: Bools
    repetitive: Bools
    finished: Bools
    tokens: Ints
    thinking: Ints
    answer: Ints
    keywords: Ints


def summarise(records: Sequence[Record]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Everything that an evaluation reports.

    Args:
        records: Recorded samples.

    Returns:
        The summary, as JSON has it, and a line of verdicts for each response.

    Raises:
        BadInput: If there are no samples, or the golds of a problem differ.
    """
    results, lines = [], []
    names = _labels(records)
    for name, record in zip(names, records, strict=True):
        samples = sorted(record.samples.values(), key=_place)
        if not samples:
            raise BadInput(f"{record.path} holds no sample yet; go on with the evaluation that writes it")
        refuse_mixed_golds(samples)
        judged = judge(samples, record.settings.thinking)
        result = measure(samples, judged, record.settings.seed)
        results.append({"name": name, "settings": record.settings.as_record(), **result})
        lines += [_line(name, sample, judged[sample.id]) for sample in samples if sample.id in judged]
    summary = {
        "laser_verl": laser_verl.__version__,
        "intervals": {
            "confidence": measures.CONFIDENCE,
            "method": "bootstrap over problems, percentiles",
            "resamples": measures.RESAMPLES,
        },
        "results": results,
    }
    return summary, lines


def _place(sample: Sample) -> tuple[str, str, int, int]:
    return sample.benchmark, sample.key, sample.sample, -1 if sample.budget is None else sample.budget


def _labels(records: Sequence[Record]) -> list[str]:
    """Names of the models, with the folder of the samples where two are alike."""
    names = [record.settings.model["name"] for record in records]
    return [
        name if names.count(name) == 1 else f"{name} ({_folder(record.path)})"
        for name, record in zip(names, records, strict=True)
    ]


def _folder(path: Path) -> str:
    return path.resolve().parent.name


def _line(name: str, sample: Sample, judged: Judged) -> dict[str, Any]:
    place = {"model": name, "benchmark": sample.benchmark, "key": sample.key, "sample": sample.sample}
    return {**place, "budget": sample.budget, "tokens": sample.tokens, **asdict(judged)}


def measure(samples: Sequence[Sample], judged: Mapping[Id, Judged], seed: int) -> dict[str, Any]:
    """The measures of one record.

    Args:
        samples: Its samples.
        judged: Their verdicts.
        seed: Of the intervals and of votes of some of the samples.

    Returns:
        `benchmarks` by name, and their `average`.

    Raises:
        BadInput: If a benchmark has samples under a budget only.
    """
    benchmarks, per_problem = {}, []
    for benchmark in dict.fromkeys(sample.benchmark for sample in samples):
        own = [sample for sample in samples if sample.benchmark == benchmark]
        benchmarks[benchmark], values = _benchmark(own, judged, seed)
        per_problem.append(values)
    average = {
        name: _record(measures.interval_of_average([values[name] for values in per_problem], seed))
        for name in ("accuracy", "tokens")
    }
    return {"benchmarks": benchmarks, "average": average}


def _benchmark(
    samples: Sequence[Sample], judged: Mapping[Id, Judged], seed: int
) -> tuple[dict[str, Any], dict[str, Floats]]:
    plain = [sample for sample in samples if sample.budget is None]
    if not plain:
        raise BadInput(f"{samples[0].benchmark}: the samples without a budget are missing; give their file as well")
    columns = _columns(plain, [judged[sample.id] for sample in plain], with_keywords=True)
    values = _values(columns, seed)
    curves = _curves(samples, plain, judged)
    found = measures.intervals({**values, **curves}, seed)
    numbers = np.bincount(columns.problem)
    keywords = columns.keywords.sum(axis=0)
    per_response, per_token = 1.0 / len(plain), 1000.0 / max(1, int(columns.tokens.sum()))
    report = {
        "problems": len(numbers),
        "samples": {"least": int(numbers.min()), "most": int(numbers.max())},
        "responses": len(plain),
        **{name: _record(found[name]) for name in values if "@" not in name and "/" not in name},
        "pass@k": {name[5:]: _record(found[name]) for name in values if name.startswith("pass@")},
        "maj@k": {name[4:]: _record(found[name]) for name in values if name.startswith("maj@")},
        "first_finish": {name[13:]: _record(found[name]) for name in values if name.startswith("first_finish/")},
        "keywords": {
            "per_response": dict(zip(KEYWORDS, map(_rounded, keywords * per_response), strict=True)),
            "per_1000_tokens": dict(zip(KEYWORDS, map(_rounded, keywords * per_token), strict=True)),
        },
        "budgets": [
            {"budget": budget, **{name: _record(found[f"{budget}/{name}"]) for name in ("accuracy", "tokens")}}
            for budget in sorted({int(name.partition("/")[0]) for name in curves})
        ],
    }
    return report, values


def _columns(samples: Sequence[Sample], judged: Sequence[Judged], with_keywords: bool = False) -> Columns:
    texts = [sample.response or "" for sample in samples] if with_keywords else []
    problem = np.unique([sample.key for sample in samples], return_inverse=True)[1].astype(np.int64)
    answers = np.unique([one.answer or "" for one in judged], return_inverse=True)[1].astype(np.int64)
    votes = np.array([one.answer is not None for one in judged])
    answered, well_formed = (np.array([getattr(one, name) for one in judged]) for name in ("correct", "well_formed"))
    return Columns(
        problem=problem,
        correct=answered & well_formed,
        answered=answered,
        well_formed=well_formed,
        repetitive=np.array([one.repetitive for one in judged]),
        finished=np.array([sample.finish != "length" for sample in samples]),
        tokens=np.array([sample.tokens for sample in samples]),
        thinking=np.array([sample.thinking_tokens for sample in samples]),
        answer=np.where(votes, answers, -1),
        keywords=np.array(count_all(texts), dtype=np.int64).reshape(len(texts), len(KEYWORDS)),
    )


def _values(columns: Columns, seed: int) -> dict[str, Floats]:
    """Measures of each problem [P] by name."""
    problem = columns.problem
    per_response = {
        "accuracy": columns.correct,
        "answer_accuracy": columns.answered,
        "tokens": columns.tokens,
        "thinking_tokens": columns.thinking,
        "answer_tokens": columns.tokens - columns.thinking,
        "truncated_frac": ~columns.finished,
        "malformed_frac": ~columns.well_formed,
        "repetitive_frac": columns.repetitive,
        "keywords_per_response": columns.keywords.sum(axis=1),
    }
    values = {name: measures.mean_per_problem(problem, numbers) for name, numbers in per_response.items()}
    num_samples = np.bincount(problem)
    num_correct = np.bincount(problem, weights=columns.correct).astype(np.int64)
    rng = np.random.default_rng(seed)
    sizes = _sizes(int(num_samples.min()))
    values |= {f"pass@{k}": measures.pass_at_k(num_samples, num_correct, k) for k in sizes}
    votes = measures.majorities(problem, columns.answer, columns.correct, sizes, rng)
    values |= {f"maj@{k}": chances for k, chances in votes.items()}
    first = measures.first_finished(problem, columns.tokens, columns.finished)
    return values | {
        "first_finish/accuracy": columns.correct[first].astype(float),
        "first_finish/tokens": columns.tokens[first].astype(float),
        # the others run until then
        "first_finish/total_tokens": (columns.tokens[first] * num_samples).astype(float),
    }


def _sizes(most: int) -> list[int]:
    """1, 2, 4, … and the number of samples itself."""
    powers = takewhile(lambda k: k < most, (2**i for i in range(64)))
    return [*powers, most]


def _curves(samples: Sequence[Sample], plain: Sequence[Sample], judged: Mapping[Id, Judged]) -> dict[str, Floats]:
    """Accuracy and tokens of each problem under each budget that all of its samples have [P]."""
    found = {sample.id: sample for sample in samples}
    curves: dict[str, Floats] = {}
    for budget in sorted({sample.budget for sample in samples if sample.budget is not None}):
        forced = [found.get((*sample.id[:3], budget)) for sample in plain]
        if None in forced:
            continue
        # where the thought ended before, the response stands
        taken = [one if one.response is not None else base for one, base in zip(forced, plain, strict=True) if one]
        columns = _columns(taken, [judged[sample.id] for sample in taken])
        curves[f"{budget}/accuracy"] = measures.mean_per_problem(columns.problem, columns.correct)
        curves[f"{budget}/tokens"] = measures.mean_per_problem(columns.problem, columns.tokens)
    return curves


def _record(interval: Interval) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else _rounded(value) for name, value in asdict(interval).items()}


def _rounded(value: float) -> float:
    """Without the last digits, in which sums differ between machines."""
    return float(f"{value:.10g}")

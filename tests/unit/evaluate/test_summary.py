import json
from dataclasses import replace
from pathlib import Path

import pytest

from laser_verl.commands import BadInput
from laser_verl.evaluate.picture import save_picture
from laser_verl.evaluate.run import report
from laser_verl.evaluate.samples import Record, Sample
from laser_verl.evaluate.summary import summarise
from laser_verl.evaluate.tables import as_markdown
from tests.unit.evaluate.recorded import SETTINGS, sample, write


def record_of(samples: list[Sample]) -> Record:
    return Record(SETTINGS, Path("runs/a/samples.jsonl"), {one.id: one for one in samples})


def means(report: dict, *names: str) -> list[float]:
    return [report[name]["mean"] for name in names]


TWO_PROBLEMS = [
    # right, right, wrong, cut off; lengths 10, 20, 30, 40
    sample(0, 0, "7", tokens=10),
    sample(0, 1, "7.0", tokens=20),
    sample(0, 2, "8", tokens=30),
    sample(0, 3, None, tokens=40, thinking_tokens=40),
    # all wrong, two alike
    *(sample(1, number, str(8 + number // 2), tokens=50) for number in range(4)),
]


def test_a_benchmark_by_hand() -> None:
    summary, lines = summarise([record_of(TWO_PROBLEMS)])
    quiz = summary["results"][0]["benchmarks"]["quiz"]
    assert (quiz["problems"], quiz["samples"], quiz["responses"]) == (2, {"least": 4, "most": 4}, 8)
    # 1/2 and 0; lengths 25 and 50; thoughts (6 + 6 + 6 + 40) / 4 = 14.5 and 6
    assert means(quiz, "accuracy", "tokens", "thinking_tokens", "answer_tokens") == [0.25, 37.5, 10.25, 27.25]
    # one of four in the first problem, none in the second
    assert means(quiz, "truncated_frac", "malformed_frac", "repetitive_frac") == [0.125, 0.125, 0.0]
    # pairs of the first problem without a right one: 1 of 6; so 5/6, and 0
    assert quiz["pass@k"]["2"]["mean"] == pytest.approx(5 / 12)
    assert means(quiz["pass@k"], "1", "4") == [0.25, 0.5]
    # 7 and 7.0 are other texts: 7, 7.0 and 8 tie, two of three right; the second problem is wrong
    assert quiz["maj@k"]["4"]["mean"] == 0.3333333333
    # the shortest of the first problem is right and has 10 tokens; 4 in parallel stop then
    assert means(quiz["first_finish"], "accuracy", "tokens", "total_tokens") == [0.5, 30.0, 120.0]
    # one wait in each of 8 responses, of 300 tokens
    assert quiz["keywords"]["per_response"]["wait"] == 1.0
    assert quiz["keywords"]["per_1000_tokens"]["wait"] == 26.66666667
    assert quiz["keywords"]["per_response"]["however"] == 0.0
    assert quiz["budgets"] == []
    # drawn problems: 1/2 and 0, as often both
    assert (quiz["accuracy"]["low"], quiz["accuracy"]["high"]) == (0.0, 0.5)
    assert [line["correct"] for line in lines] == [True, True, False, False] + [False] * 4


def test_right_answers_of_malformed_responses_count_apart() -> None:
    summary, _ = summarise([record_of([sample(0, 0, response="\\boxed{7}"), sample(1, 0)])])
    quiz = summary["results"][0]["benchmarks"]["quiz"]
    assert means(quiz, "accuracy", "answer_accuracy", "malformed_frac") == [0.5, 1.0, 0.5]


def test_the_average_weighs_benchmarks_equally() -> None:
    others = [sample(number, 0, "7", benchmark="other", tokens=100) for number in range(3)]
    summary, _ = summarise([record_of([*TWO_PROBLEMS, *others])])
    # (0.25 + 1) / 2 and (37.5 + 100) / 2
    assert means(summary["results"][0]["average"], "accuracy", "tokens") == [0.625, 68.75]


def test_a_curve_takes_the_response_itself_where_its_thought_ended_before() -> None:
    forced = [
        sample(0, 0, "7", tokens=6, budget=3),
        sample(1, 0, "9", tokens=8, budget=3, gold="7"),
        sample(0, 0, budget=6, response=None),
        sample(1, 0, budget=6, response=None),
        # a budget that was interrupted has no point yet
        sample(0, 0, budget=9, response=None),
    ]
    plain = [sample(0, 0, "8", tokens=10), sample(1, 0, "7", tokens=20)]
    summary, _ = summarise([record_of([*forced, *plain])])
    curve = summary["results"][0]["benchmarks"]["quiz"]["budgets"]
    assert [(one["budget"], *means(one, "accuracy", "tokens")) for one in curve] == [(3, 0.5, 7.0), (6, 0.5, 15.0)]


def test_two_models_are_two_results_under_their_names() -> None:
    other = replace(SETTINGS, seed=2)
    records = [record_of([sample()]), Record(other, Path("runs/b/samples.jsonl"), {sample().id: sample()})]
    summary, _ = summarise(records)
    assert [one["name"] for one in summary["results"]] == ["m (a)", "m (b)"]
    assert "| m (b) | quiz | 1 | 1 | 100.0 | 10.0 |" in as_markdown(summary)


def test_the_picture_names_every_model_also_one_without_the_first_benchmark(tmp_path: Path) -> None:
    pictures = []
    for name in ("b", "c"):
        other = replace(SETTINGS, model={"name": name, "fingerprint": "11"})
        records = [record_of([sample()]), Record(other, Path("b"), {sample().id: sample(benchmark="second")})]
        pictures.append(save_picture(summarise(records)[0], tmp_path / f"{name}.png").read_bytes())
    assert pictures[0] != pictures[1]


def test_an_interrupted_evaluation_is_reported_as_far_as_it_goes() -> None:
    summary, _ = summarise([record_of([sample(0, 0), sample(0, 1), sample(1, 0)])])
    quiz = summary["results"][0]["benchmarks"]["quiz"]
    assert quiz["samples"] == {"least": 1, "most": 2}
    assert list(quiz["pass@k"]) == ["1"]
    assert "| m | quiz | 2 | 1–2 |" in as_markdown(summary)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ([], "holds no sample yet"),
        ([sample(0, 0, budget=3)], "the samples without a budget are missing"),
        ([sample(0, 0), sample(0, 1, gold="8")], "the golds '7' and '8'"),
    ],
)
def test_bad_records(samples: list[Sample], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        summarise([record_of(samples)])


def test_the_same_samples_in_any_order_give_the_same_bytes(tmp_path: Path) -> None:
    files = ["summary.json", "verdicts.jsonl", "table.md", "evaluation.png"]
    outs = []
    for name, samples in (("a", TWO_PROBLEMS), ("b", TWO_PROBLEMS[::-1])):
        path = write(tmp_path / name / "samples.jsonl", samples)
        report([path], tmp_path / name, lambda text: None)
        outs.append([(tmp_path / name / file).read_bytes() for file in files])
    assert outs[0] == outs[1]
    assert sorted(one.name for one in (tmp_path / "a").iterdir()) == sorted([*files, "samples.jsonl"])
    assert json.loads(outs[0][0])["results"][0]["settings"] == SETTINGS.as_record()

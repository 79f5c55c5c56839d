import json
import math

import pytest

from laser_verl.commands import BadInput
from laser_verl.quickstart.evaluation import (
    Answer,
    Estimate,
    Row,
    as_table,
    compare,
    estimate,
    failures,
    read_answers,
    summary,
)


def row(accuracy, tokens, errors=(0.02, 0.02)):
    return Row(
        name="all",
        num_after=600,
        accuracy_before=Estimate(accuracy[0], errors[0]),
        accuracy_after=Estimate(accuracy[1], errors[1]),
        tokens_before=Estimate(tokens[0], 1.0),
        tokens_after=Estimate(tokens[1], 1.0),
    )


def test_estimate_is_mean_and_standard_error():
    # mean 1/2; deviations all 1/2, so s^2 = 4 * (1/4) / 3 = 1/3 and s / sqrt(4) = 0.57735 / 2
    found = estimate([0.0, 0.0, 1.0, 1.0])
    assert found.mean == 0.5
    assert found.error == pytest.approx(0.288675, abs=1e-6)


def test_estimate_of_one_response_has_no_error():
    found = estimate([3.0])
    assert found.mean == 3.0
    assert math.isnan(found.error)


def test_compare_lists_all_problems_then_the_difficulties():
    before = [Answer("tiny_world/hard", False, 40), Answer("tiny_world/easy", True, 20)]
    after = [Answer("tiny_world/hard", True, 30), Answer("tiny_world/easy", True, 10)]
    rows = compare(before, after)
    assert [row.name for row in rows] == ["all", "tiny_world/easy", "tiny_world/hard"]
    # tokens 30 before and 20 after: a third saved; accuracy 1/2 before, 1 after
    assert rows[0].saved_frac == pytest.approx(1 / 3)
    assert rows[0].accuracy_change.mean == 0.5
    # easy: 20 to 10; hard: 40 to 30
    assert rows[1].saved_frac == 0.5
    assert rows[2].saved_frac == 0.25


def test_error_of_a_change_adds_the_squares():
    # sqrt(0.03^2 + 0.04^2) = 0.05
    assert row((0.5, 0.6), (30, 20), (0.03, 0.04)).accuracy_change.error == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("accuracy", "tokens", "number"),
    [
        # 20 % saved exactly, accuracy kept
        ((0.60, 0.60), (30.0, 24.0), 0),
        # 10 % saved
        ((0.60, 0.60), (30.0, 27.0), 1),
        # 5 points lower; two errors of the difference are 2 * sqrt(2) * 2 = 5.66 points
        ((0.60, 0.55), (30.0, 20.0), 0),
        # 6 points lower
        ((0.60, 0.54), (30.0, 20.0), 1),
        ((0.60, 0.50), (30.0, 31.0), 2),
    ],
)
def test_failures_are_named(accuracy, tokens, number):
    assert len(failures(row(accuracy, tokens))) == number


def test_summary_in_words():
    # 30 to 20 tokens is 33 %; 60 to 66.5 % is +6.5, with sqrt(2) * 2 = 2.8 points
    assert summary(row((0.60, 0.665), (30.0, 20.0))) == "33 % fewer tokens; accuracy +6.5 ± 2.8 points"
    assert summary(row((0.60, 0.60), (20.0, 30.0))) == "50 % more tokens; accuracy +0.0 ± 2.8 points"


def test_the_table_has_a_line_per_row():
    assert as_table([row((0.6, 0.7), (30, 20))] * 3, "title").row_count == 3


def held_out():
    return [
        {"data_source": "tiny_world/easy", "prompt": [{"role": "user", "content": "AaBb>a"}]},
        {"data_source": "tiny_world/hard", "prompt": [{"role": "user", "content": "AbBa>b"}]},
    ]


def test_answers_are_matched_to_their_data_source_by_the_question(tmp_path):
    path = tmp_path / "0.jsonl"
    lines = [
        {"input": "AbBa>b", "acc": 0.0, "response_length": 9.0},
        {"input": "user\nAaBb>a\nassistant\n", "acc": 1.0, "response_length": 7.0},
        {"input": "something else", "acc": 1.0, "response_length": 7.0},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert read_answers(path, held_out()) == [
        Answer("tiny_world/hard", False, 9),
        Answer("tiny_world/easy", True, 7),
        Answer(None, True, 7),
    ]


def test_answers_of_unknown_source_leave_one_line():
    answers = [Answer(None, True, 5), Answer("tiny_world/easy", True, 7)]
    assert [row.name for row in compare(answers, answers)] == ["all"]


def test_a_line_that_is_cut_off_is_named(tmp_path):
    path = tmp_path / "0.jsonl"
    path.write_text('{"input": "AbBa>b", "acc": 0.0, "response_length": 9.0}\n{"input": "Ab', encoding="utf-8")
    with pytest.raises(BadInput, match=r"0\.jsonl, line 2"):
        read_answers(path, held_out())


def test_a_line_of_one_response_shows_no_error():
    rows = compare([Answer("sums", True, 5)], [Answer("sums", True, 4)])
    cells = [next(iter(column.cells)) for column in as_table(rows, "title").columns]
    assert cells == ["all", "1", "100.0 %", "100.0 %", "5.0", "4.0", "20 %"]

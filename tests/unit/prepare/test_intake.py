"""Rows that lack something, or hold what a column cannot hold, are named; golds become texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.prepare.data_sets import findings, prepare, refusal, rows_of, write_lines

QUIZ = ("--columns", "problem=q,gold=a")


def quiz(folder: Path, *answers: Any, **more: Any) -> Path:
    rows = [{"q": f"What is {number} + {number}?", "a": answer, **more} for number, answer in enumerate(answers)]
    return write_lines(folder / "quiz.jsonl", rows)


@pytest.mark.parametrize("nothing", [None, "", "  ", float("nan"), []])
def test_rows_without_a_gold_among_others_are_named(nothing: Any, tmp_path: Path) -> None:
    path = quiz(tmp_path, "0", nothing, "4", nothing)
    code, said = refusal("table", path, *QUIZ, "--to", tmp_path / "out")
    assert code == 1
    assert f"rows without a gold, of 4, counted from 0: {path} row 1, {path} row 3; give every row one" in said
    assert list(tmp_path.iterdir()) == [path]


def test_of_many_rows_without_a_gold_the_first_five_are_named(tmp_path: Path) -> None:
    path = quiz(tmp_path, "0", *[None] * 7)
    _, said = refusal("table", path, *QUIZ, "--to", tmp_path / "out")
    assert "row 5 (7 in all)" in said
    assert "row 6" not in said


def test_a_column_that_ends_on_the_way_is_a_missing_gold(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [{"problem": "1+1?", "answer": "2"}, {"problem": "1+2?"}])
    _, said = refusal("deepscaler", path, "--to", tmp_path / "out")
    assert "rows without a gold, of 2, counted from 0:" in said
    assert "row 1;" in said


@pytest.mark.parametrize("nothing", [None, " ", 7])
def test_rows_without_a_problem_are_named(nothing: Any, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "quiz.jsonl", [{"q": "1+1?", "a": "2"}, {"q": nothing, "a": "3"}])
    _, said = refusal("table", path, *QUIZ, "--to", tmp_path / "out")
    assert f"rows without a problem, of 2, counted from 0: {path} row 1; give every row one" in said


def test_golds_are_texts_in_the_files(tmp_path: Path) -> None:
    # numbers as the scorer reads them
    path = quiz(tmp_path, 7, 7.0, 0.5, " 1/2 ", ["8"], 1e-7, "007")
    prepare("table", path, *QUIZ, "--to", tmp_path / "out")
    found = [row["reward_model"]["ground_truth"] for row in rows_of(tmp_path / "out")]
    assert found == ["7", "7", "0.5", "1/2", "8", "0.0000001", "007"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"value": "1"}, "row 1 has the gold {'value': '1'}; a gold is a text or a number"),
        (10**4000, "row 1: ground_truth=an integer of that length is not an answer"),
    ],
)
def test_a_gold_that_is_no_text_is_named(answer: Any, words: str, tmp_path: Path) -> None:
    _, said = refusal("table", quiz(tmp_path, "0", answer), *QUIZ, "--to", tmp_path / "out")
    assert words in said


def test_rows_of_several_golds_are_left_out_where_golds_are_texts(tmp_path: Path) -> None:
    path = quiz(tmp_path, "0", ["2", "two"], ["4", None])
    card = prepare("table", path, *QUIZ, "--to", tmp_path / "out")
    assert card["left_out"] == {"several_golds": 1}
    assert [(line["row"], line["gold"]) for line in findings(tmp_path / "out")] == [(1, ["2", "two"])]
    assert [row["reward_model"]["ground_truth"] for row in rows_of(tmp_path / "out")] == ["0", "4"]


def test_a_file_of_which_nothing_is_left_is_named(tmp_path: Path) -> None:
    path = quiz(tmp_path, ["0", "zero"], ["2", "two"])
    code, said = refusal("table", path, *QUIZ, "--to", tmp_path / "out")
    assert code == 1
    assert "all 2 rows were left out: several_golds 2; nothing is written" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("budget", [0, -5, 1.5, "many", "100-200", 10**8 + 1, 10**30, 10**39])
def test_a_budget_that_is_no_number_of_tokens_is_named(budget: Any, tmp_path: Path) -> None:
    path = quiz(tmp_path, "0", b=budget)
    _, said = refusal("table", path, "--columns", "problem=q,gold=a,budget=b", "--to", tmp_path / "out")
    assert f"row 0 has the budget {budget!r}; give a whole number of tokens, 1 or more" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--columns", "problem=q,gold=a,budget=b"), "no row has a value under b, which is to be the budget"),
        (("--columns", "problem=q,gold=a,difficulty=b"), "no row has a value under b, which is to be the difficulty"),
        ((*QUIZ, "--difficulty", "c.d"), "no row has a value under c.d, which is to be the difficulty"),
    ],
)
def test_a_column_that_was_named_and_holds_nothing_is_a_mistake(
    options: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    _, said = refusal("table", quiz(tmp_path, "0", "2", b=None), *options, "--to", tmp_path / "out")
    assert words in said
    assert not (tmp_path / "out").exists()


def test_a_large_number_is_a_label(tmp_path: Path) -> None:
    prepare("table", quiz(tmp_path, "0", d=10**400), *QUIZ, "--difficulty", "d", "--to", tmp_path / "out")
    assert [row["extra_info"]["difficulty"] for row in rows_of(tmp_path / "out")] == [str(10**400)]


def test_a_label_among_numbers_is_named(tmp_path: Path) -> None:
    rows = [{"q": "1+1?", "a": 2, "d": 3}, {"q": "1+2?", "a": 3, "d": "hard"}]
    path = write_lines(tmp_path / "quiz.jsonl", rows)
    _, said = refusal("table", path, "--columns", "problem=q,gold=a,difficulty=d", "--to", tmp_path / "out")
    assert "row 1 has the difficulty 'hard', and rows before it have numbers" in said


@pytest.mark.parametrize(
    ("column", "value"), [("q", "\ud800?"), ("a", ["\ud800", "2"]), ("s", "\ud800"), ("d", "\ud800")]
)
def test_half_a_surrogate_pair_is_named(column: str, value: Any, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "quiz.jsonl", [{"q": "1+1?", "a": 2, "s": "math", "d": "easy", column: value}])
    columns = "problem=q,gold=a,data_source=s,difficulty=d"
    _, said = refusal("table", path, "--columns", columns, "--to", tmp_path / "out")
    assert "row 0 holds half of a surrogate pair" in said


def test_a_budget_for_all_is_the_same_and_a_range_is_drawn(tmp_path: Path) -> None:
    path = quiz(tmp_path, *range(0, 400, 2))
    prepare("table", path, *QUIZ, "--to", tmp_path / "same", "--budget", "2000")
    assert {row["extra_info"]["budget"] for row in rows_of(tmp_path / "same")} == {2000}
    drawn = []
    for seed in (1, 1, 2):
        folder = tmp_path / str(len(drawn))
        prepare("table", path, *QUIZ, "--to", folder, "--budget", "100-103", "--seed", seed)
        drawn.append({row["extra_info"]["index"]: row["extra_info"]["budget"] for row in rows_of(folder)})
    assert set(drawn[0].values()) == {100, 101, 102, 103}
    assert drawn[0] == drawn[1] != drawn[2]

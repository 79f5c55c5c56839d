import json
from pathlib import Path

import pytest

from laser_verl.commands import BadInput, WrongUsage
from laser_verl.data import tiny_world
from laser_verl.data.prepare.templates import TEMPLATES
from laser_verl.evaluate.problems import default_samples, read_benchmark

PAPER = TEMPLATES["paper"]


def jsonl(path: Path, *rows: object) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize(("name", "number"), [("aime24", 30), ("amc23", 40)])
def test_benchmarks_that_ship(name: str, number: int) -> None:
    problems = read_benchmark(name, PAPER)
    assert len(problems) == len({one.key for one in problems}) == number
    assert {one.benchmark for one in problems} == {one.source for one in problems} == {name}
    assert problems[0].question.endswith("\nPlease reason step by step, and put your final answer within \\boxed{}.")
    assert default_samples(number) == 16


def test_large_benchmarks_have_four_samples() -> None:
    assert [default_samples(number) for number in (100, 101, 500)] == [16, 4, 4]


def test_a_table_of_the_users_own(tmp_path: Path) -> None:
    rows = {"question": "1+1?", "final_answer": ["2", "two"]}, {"question": "1+2?", "final_answer": [3]}
    one, other = read_benchmark(jsonl(tmp_path / "sums.jsonl", *rows), TEMPLATES["plain"])
    assert (one.benchmark, one.source, one.question, one.gold) == ("sums", "math", "1+1?", ["2", "two"])
    assert other.gold == [3]


def test_golds_may_be_texts_numbers_and_lists_in_one_file(tmp_path: Path) -> None:
    rows = [{"problem": f"p{i}", "answer": gold} for i, gold in enumerate(("1/2", 0.5, ["0.5", "1/2"]))]
    assert [one.gold for one in read_benchmark(jsonl(tmp_path / "a.jsonl", *rows), PAPER)] == [
        "1/2",
        0.5,
        ["0.5", "1/2"],
    ]


def test_parquet_of_verl_brings_its_own_prompts_and_sources(tmp_path: Path) -> None:
    problems = tiny_world.make_problems(2, seed=1)
    path = tiny_world.write_parquet(tiny_world.to_rows(problems, "test"), tmp_path / "tiny.parquet")
    found = read_benchmark(str(path), PAPER)
    assert [one.question for one in found] == [one.question for one in problems]
    assert [one.gold for one in found] == [one.answer for one in problems]
    assert found[0].source == "tiny_world/easy"


def test_a_name_with_a_typo() -> None:
    with pytest.raises(WrongUsage, match=r"unknown benchmark 'amie24'; did you mean 'aime24'\? known: aime24, amc23"):
        read_benchmark("amie24", PAPER)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="does not exist"):
        read_benchmark(str(tmp_path / "aime24.jsonl"), PAPER)


@pytest.mark.parametrize("name", ["math500", "olympiad_bench"])
def test_a_name_on_the_hub_without_network(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        BadInput, match=rf"--on {name} cannot be fetched .*hf download --repo-type dataset \w+/"
    ) as caught:
        read_benchmark(name, PAPER)
    assert str(caught.value).endswith("then give the file by --on")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"text": "1+1?", "label": "2"}, r"row 1 has the columns text, label; an evaluation needs a problem"),
        ({"problem": "1+2?"}, r"row 1 has the columns problem"),
        ({"problem": "1+2?", "answer": None}, "row 1: the gold None is no answer"),
        ({"problem": "1+2?", "answer": " "}, "row 1: the gold ' ' is no answer"),
        ({"problem": "1+2?", "answer": []}, r"row 1: the gold \[\] is no answer"),
        ({"problem": "", "answer": "3"}, "row 1: the problem '' is no text"),
        ({"problem": "1+1?", "answer": "3"}, "one problem has the golds '2' and '3'"),
        ({"prompt": 3, "reward_model": {"ground_truth": "3"}}, "row 1: prompt=3 is no list of chat messages"),
        ({"prompt": "1+2?", "reward_model": {}}, "row 1: reward_model has no ground_truth"),
        (
            {"prompt": "1+2?", "reward_model": {"ground_truth": "3"}, "data_source": "apps"},
            "row 1: data_source='apps' is scored by running code",
        ),
        ([], "a row is list"),
    ],
)
def test_a_row_of_another_layout(tmp_path: Path, row: object, words: str) -> None:
    name = jsonl(tmp_path / "a.jsonl", {"problem": "1+1?", "answer": "2"}, row)
    with pytest.raises(BadInput, match=words):
        read_benchmark(name, PAPER)


def test_copies_of_a_problem_count_once(tmp_path: Path) -> None:
    row = {"problem": "1+1?", "answer": "2"}
    assert len(read_benchmark(jsonl(tmp_path / "a.jsonl", row, row), PAPER)) == 1


def test_a_file_that_is_no_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_text("no")
    with pytest.raises(BadInput, match="no parquet file"):
        read_benchmark(str(path), PAPER)

"""Each data set that `laser-verl prepare` knows, in its own columns and format, becomes the rows that verl reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laser_verl.core.keys import prompt_key
from laser_verl.data.prepare import output
from laser_verl.data.prepare.layouts import LAYOUTS, closest, lookup
from laser_verl.data.prepare.reading import read_rows
from tests.unit.prepare.data_sets import FOLDER, NAMES, data_file, lines, prepare, prepare_set, refusal, rows_of

SOURCES = {
    "deepscaler": {"agentica-org/DeepScaleR-Preview-Dataset": 20},
    "dapo_math": {"math_dapo": 16},
    "openr1_math": {"open-r1/OpenR1-Math-220k": 19},
    "math": {"DigitalLearningGmbH/MATH-lighteval": 20},
    "gsm8k": {"openai/gsm8k": 20},
    "skywork_or1": {"train-math-deepscaler": 11, "train-math-numinamath1.5_olympiads": 7},
    "table": {"math": 20},
}
LEFT_OUT = {"dapo_math": {"duplicate": 4}, "openr1_math": {"proof": 1}, "skywork_or1": {"code": 1, "several_golds": 1}}
ASKED = "\nPlease reason step by step, and put your final answer within \\boxed{}."


@pytest.mark.parametrize("name", NAMES)
def test_twenty_rows_of_every_layout_become_rows_of_verl(name: str, tmp_path: Path) -> None:
    card = prepare_set(name, tmp_path)
    assert card["rows"]["read"] == 20
    assert card["data_sources"] == SOURCES[name]
    assert card["left_out"] == LEFT_OUT.get(name, {})
    assert card["kept_with_finding"] == {}
    rows = rows_of(tmp_path / "out")
    assert len(rows) == sum(SOURCES[name].values())
    for row in rows:
        assert list(row) == ["data_source", "prompt", "ability", "reward_model", "extra_info"]
        (message,) = row["prompt"]
        assert message["role"] == "user"
        assert message["content"].endswith(ASKED)
        assert row["ability"] == "math"
        assert row["reward_model"]["style"] == "rule"
        gold, key = row["reward_model"]["ground_truth"], row["extra_info"]["prompt_key"]
        assert key == prompt_key(row["data_source"], row["prompt"], gold)
    assert len({row["extra_info"]["prompt_key"] for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("name", "index", "problem", "gold", "more"),
    [
        ("deepscaler", 3, "A bag holds", r"\frac{2}{15}", {"difficulty": None, "budget": None}),
        # without the instruction around it, which asks for another form of answer
        ("dapo_math", 1, r"What is the sum of the positive divisors of $36$?", "91", {}),
        ("openr1_math", 11, "A circle has", "5", {}),
        ("math", 5, r"Simplify $\sqrt{75}", r"3\sqrt{3}", {"difficulty": 2.0}),
        # `\fbox{4}`, and `\boxed 5`
        ("math", 9, "What is the remainder", "4", {"difficulty": 3.0}),
        ("math", 11, "A circle has", "5", {"difficulty": 3.0}),
        # "Level ?"
        ("math", 4, "Find the area", "20", {"difficulty": None}),
        # 11·4 - 5; "#### 2,015"
        ("gsm8k", 0, "Mira bakes 11 trays of 4 rolls and sells 5", "39", {}),
        ("gsm8k", 2, "Jonas saves $250", "2015", {}),
        ("skywork_or1", 15, "The sides of a rectangle", "98", {"difficulty": 3.0, "budget": None}),
        ("table", 0, "A gardener", "93", {"difficulty": 1.0, "budget": 400}),
        ("table", 3, "A bag holds", r"\frac{2}{15}", {"difficulty": 3.0, "budget": None}),
    ],
)
def test_golds_and_problems_are_those_of_the_data(
    name: str, index: int, problem: str, gold: Any, more: dict[str, Any], tmp_path: Path
) -> None:
    prepare_set(name, tmp_path)
    (row,) = [row for row in rows_of(tmp_path / "out") if row["extra_info"]["index"] == index]
    assert row["prompt"][0]["content"].removesuffix(ASKED).startswith(problem)
    assert row["reward_model"]["ground_truth"] == gold
    assert {name: row["extra_info"][name] for name in more} == more
    assert list(row["extra_info"]) == ["index", "split", "prompt_key", "difficulty", "budget"]


def test_difficulties_may_be_those_of_another_column(tmp_path: Path) -> None:
    column = "extra_info.model_difficulty.DeepSeek-R1-Distill-Qwen-1.5B"
    prepare_set("skywork_or1", tmp_path, "--difficulty", column)
    given = {row["extra_info"]["index"] - 1000: row for row in lines("skywork_or1")}
    for row in rows_of(tmp_path / "out"):
        expected = given[row["extra_info"]["index"]]["extra_info"]["model_difficulty"]["DeepSeek-R1-Distill-Qwen-1.5B"]
        assert row["extra_info"]["difficulty"] == expected


def test_json_lines_parquet_and_csv_give_the_same_rows(tmp_path: Path) -> None:
    found = []
    rows = [{"problem": row["problem"], "answer": row["answer"]} for row in json_rows()]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    for number, file in enumerate((FOLDER / "deepscaler.json", tmp_path / "a.jsonl", tmp_path / "a.parquet")):
        prepare("deepscaler", file, "--to", tmp_path / str(number))
        found.append([(tmp_path / str(number) / f"{name}.parquet").read_bytes() for name in ("train", "monitor")])
    assert found[0] == found[1] == found[2]


def json_rows() -> list[dict[str, Any]]:
    return json.loads((FOLDER / "deepscaler.json").read_text(encoding="utf-8"))


def test_of_a_folder_the_training_files_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "gsm8k"
    for part in ("main/train-00000", "main/test-00000", "socratic/train-00000"):
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        data_file("gsm8k", tmp_path).rename(folder / f"{part}.parquet")
    card = prepare("gsm8k", folder, "--to", tmp_path / "out")
    assert [one["file"] for one in card["inputs"]] == ["main/train-00000.parquet"]
    (folder / "main").rename(folder / "own")
    card = prepare("gsm8k", folder, "--to", tmp_path / "all")
    assert [one["file"] for one in card["inputs"]] == [
        "own/test-00000.parquet",
        "own/train-00000.parquet",
        "socratic/train-00000.parquet",
    ]
    assert card["rows"]["read"] == 60
    assert card["left_out"] == {"duplicate": 40}


def test_a_folder_that_lacks_files_of_a_data_set_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "gsm8k" / "main"
    folder.mkdir(parents=True)
    data_file("gsm8k", tmp_path).rename(folder / "train-00001-of-00002.parquet")
    code, said = refusal("gsm8k", tmp_path / "gsm8k", "--to", tmp_path / "out")
    assert code == 1
    assert "holds 1 of the 2 files main/train-*-of-00002.parquet; fetch the others, or name the files" in said
    assert prepare("gsm8k", *folder.iterdir(), "--to", tmp_path / "one", "--golds", "off")["rows"]["read"] == 20
    data_file("gsm8k", tmp_path).rename(folder / "train-00000-of-00002.parquet")
    assert prepare("gsm8k", tmp_path / "gsm8k", "--to", tmp_path / "two", "--golds", "off")["rows"]["read"] == 40


def test_math_as_one_file_a_problem_is_read(tmp_path: Path) -> None:
    for number, row in enumerate(lines("math")):
        for split in ("train", "test"):
            path = tmp_path / "MATH" / split / "algebra" / f"{number:02}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(row, indent=4), encoding="utf-8")
    for folder, file in ((tmp_path / "MATH", "train/algebra/00.json"), (tmp_path, "MATH/train/algebra/00.json")):
        card = prepare("math", folder, "--to", tmp_path / f"out_{file[:4]}")
        assert card["rows"]["read"] == 20 == len(card["inputs"])
        assert card["inputs"][0]["file"] == file


def test_a_table_of_golds_in_lists_accepts_any_of_them(tmp_path: Path) -> None:
    path = tmp_path / "quiz.jsonl"
    path.write_text('{"q": "1/2 of 1?", "a": ["1/2", 0.5]}\n{"q": "1+1?", "a": 2}\n', encoding="utf-8")
    prepare("table", path, "--columns", "problem=q,golds=a", "--to", tmp_path / "out")
    assert [row["reward_model"]["ground_truth"] for row in rows_of(tmp_path / "out")] == [["1/2", "0.5"], ["2"]]


def test_labels_are_difficulties_too(tmp_path: Path) -> None:
    path = tmp_path / "quiz.jsonl"
    path.write_text('{"q": "1+1?", "a": 2, "d": "easy"}\n{"q": "1+2?", "a": 3, "d": 7}\n', encoding="utf-8")
    prepare("table", path, "--columns", "problem=q,gold=a,difficulty=d", "--to", tmp_path / "out")
    assert [row["extra_info"]["difficulty"] for row in rows_of(tmp_path / "out")] == ["easy", "7"]


def test_labels_that_begin_late_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_ROWS_AT_A_TIME", 1)
    path = tmp_path / "quiz.jsonl"
    path.write_text('{"q": "1+1?", "a": 2}\n{"q": "1+2?", "a": 3, "d": "hard"}\n', encoding="utf-8")
    columns = ("--columns", "problem=q,gold=a,difficulty=d", "--monitor", 0, "--validation", 0)
    _, said = refusal("table", path, *columns, "--to", tmp_path / "out")
    assert "row 1 has the difficulty 'hard', and the rows before it none; put a row that has one first" in said


@pytest.mark.parametrize(
    ("source", "name", "words"),
    [
        (
            "deepscaler",
            "gsm8k",
            ("has no problem, which the layout deepscaler needs; it has question", "gsm8k: "),
        ),
        ("gsm8k", "deepscaler", ("has no question", "it has problem, answer, solution, as the layout deepscaler")),
        ("math", "dapo_math", ("has no problem and no solution", "it has data_source, prompt", "prepare dapo_math")),
        ("dapo_math", "math", ("has no prompt.0.content and no reward_model.ground_truth", "as the layout math")),
        ("deepscaler", "table", ("it has number, exercise, result", "prepare table", "problem=COLUMN,gold=COLUMN")),
    ],
)
def test_a_file_of_another_layout_is_named_with_what_it_has(
    source: str, name: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    code, said = refusal(source, data_file(name, tmp_path), "--to", tmp_path / "out")
    assert code == 1
    assert [word for word in words if word not in said] == [], said
    assert not (tmp_path / "out").exists()


def test_a_column_that_a_table_does_not_have_is_named_with_the_closest(tmp_path: Path) -> None:
    columns = "problem=exercise,gold=results"
    _, said = refusal("table", FOLDER / "table.csv", "--columns", columns, "--to", tmp_path / "out")
    assert "unknown column 'results'; did you mean 'result'?" in said


def test_paths_lead_into_structs_lists_and_names_with_dots() -> None:
    row = {"a": [{"b.c": {"d": 7}}, None], "x.y": 1, "x": {"y": 2}}
    assert lookup(row, "a.0.b.c.d", "-") == 7
    assert lookup(row, "x.y", "-") == 1
    assert lookup(row, "a.1.b", "-") is None
    assert [lookup(row, path, "-") for path in ("a.2", "a.b", "x.z", "", "x.y.z")] == ["-"] * 5


def test_the_layout_that_a_row_fits_best_is_the_closest(tmp_path: Path) -> None:
    for name in NAMES:
        row = next(read_rows(data_file(name, tmp_path)))
        assert closest(row) is LAYOUTS.get(name)

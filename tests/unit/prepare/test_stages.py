"""What is left out or listed: copies, problems of evaluation sets, golds that cannot be read, long prompts."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from laser_verl.commands import BadInput
from laser_verl.data import tiny_world
from laser_verl.data.prepare.duplicates import Duplicates
from laser_verl.data.prepare.golds import GoldCheck
from laser_verl.data.prepare.overlap import SHIPPED, EvaluationSet, Overlap, read_evaluation_set, words_of
from laser_verl.data.prepare.rows import Row, digest
from laser_verl.data.prepare.templates import TEMPLATES
from tests.unit.prepare.data_sets import findings, prepare, prepare_set, refusal, rows_of, write_lines

QUIZ = ("--columns", "problem=q,gold=a")
COUNTING = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"


def evaluation_set(*problems: str) -> EvaluationSet:
    return EvaluationSet("own", Path("own.jsonl"), tuple((f"p{n}", words_of(text)) for n, text in enumerate(problems)))


def test_copies_differ_in_spaces_and_capitals_only(tmp_path: Path) -> None:
    problems = ["What is $1+1$?", "what is\n $1+1$? ", "What is $1-1$?", "What is $11$?", "café", "cafe\u0301"]
    path = write_lines(tmp_path / "quiz.jsonl", [{"q": problem, "a": "2"} for problem in problems])
    card = prepare("table", path, *QUIZ, "--to", tmp_path / "out")
    assert card["left_out"] == {"duplicate": 2}
    assert [row["extra_info"]["index"] for row in rows_of(tmp_path / "out")] == [0, 2, 3, 4]
    assert findings(tmp_path / "out") == []
    assert digest("A  b") == digest("a B") != digest("ab")


def test_copies_with_another_gold_are_listed(tmp_path: Path) -> None:
    rows = [{"q": "1+1?", "a": 2}, {"q": "1+1?", "a": "3"}, {"q": "1+1?", "a": "2"}]
    path = write_lines(tmp_path / "quiz.jsonl", rows)
    card = prepare("table", path, *QUIZ, "--to", tmp_path / "out")
    assert card["left_out"] == {"duplicate": 1, "duplicate_with_another_gold": 1}
    assert findings(tmp_path / "out") == [
        {"row": 1, "finding": "duplicate_with_another_gold", "kept": False, "gold": "3", "problem": "1+1?"}
    ]


def test_of_problems_that_are_made_copies_are_right_whatever_their_golds() -> None:
    rows = [Row(index, "1+1?", f"problem {index}", "math", None, None, digest("1+1?")) for index in range(3)]
    left_out: list[str] = []
    report = SimpleNamespace(count=left_out.append)
    assert Duplicates(is_made=True)(rows, report) == rows[:1]  # type: ignore[arg-type]
    assert left_out == ["duplicate"] * 2


@pytest.mark.parametrize(
    ("problem", "is_found"),
    [
        (COUNTING, True),
        # 13 words in a row, whatever stands around them and between them
        ("Now, ONE; two.Three four (five) $six$ seven \n eight-nine ten eleven twelve thirteen and so on", True),
        # 12
        ("one two three four five six seven eight nine ten eleven twelve and so on", False),
        ("one two three four five six seven eight nine ten eleven twelve", False),
        ("two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen", True),
    ],
)
def test_thirteen_words_in_a_row_are_an_overlap(problem: str, is_found: bool) -> None:
    assert (Overlap([evaluation_set(COUNTING)]).find(problem) is not None) == is_found


def test_a_short_problem_overlaps_as_a_whole_only() -> None:
    overlap = Overlap([evaluation_set("What is $2^{10}$?", "...")])
    assert overlap.find("what is 2 10") == ("own", "p0", "what is 2 10")
    assert overlap.find("Ann asks: what is $2^{10}$?") is None
    assert overlap.find("?") is None


@pytest.mark.parametrize(
    "phrase",
    [
        r"can be written as $\tfrac{m}{n}$, where $m$ and $n$ are relatively prime positive integers. Find $m+n$.",
        r"can be expressed as $\frac{m}{n}$, where $m$ and $n$ are relatively prime positive integers. What is $m+n$?",
        r"$\frac{m\sqrt{n}}{p}$, where $m$, $n$ and $p$ are positive integers, $m$ and $p$ are relatively prime, and "
        "$n$ is not divisible by the square of any prime. Find $m+n+p$.",
    ],
)
def test_the_way_in_which_contests_ask_is_no_overlap(phrase: str) -> None:
    shipped = Overlap(map(read_evaluation_set, SHIPPED))
    assert shipped.find(f"The height of my own tower {phrase}") is None
    own = Overlap([evaluation_set(f"The area of the first shape {phrase}")])
    assert own.find(f"My own answer {phrase}") is None
    assert own.find(f"THE area of the first shape {phrase}") is not None
    assert own.find(f"Once more: the area of the first shape {phrase}") is not None


def test_accents_may_be_composed_or_not() -> None:
    assert words_of("Erdo\u030bs") == words_of("Erd\u0151s") == ("erd\u0151s",)


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_prepared_file_is_an_evaluation_set_whatever_its_template(template: str, tmp_path: Path) -> None:
    rows = [{"problem": f"{COUNTING}?", "answer": 1}, {"problem": "What is $2^{10}$?", "answer": 1024}]
    path, options = write_lines(tmp_path / "a.jsonl", rows), ("--monitor", 0, "--validation", 0, "--golds", "off")
    prepare("deepscaler", path, *options, "--to", tmp_path / "held", "--template", template)
    held = tmp_path / "held" / "train.parquet"
    write_lines(path, [*rows, {"problem": "What is the sum of the digits of $2^7$?", "answer": 11}])
    card = prepare("deepscaler", path, *options, "--to", tmp_path / "out", "--against", held)
    assert card["left_out"] == {"in_evaluation_set": 2}


def test_of_messages_the_last_of_the_user_is_the_problem(tmp_path: Path) -> None:
    said = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hi"), ("user", f"Please: {COUNTING}")]
    prompt = [{"role": role, "content": content} for role, content in said]
    found = read_evaluation_set(write_lines(tmp_path / "a.jsonl", [{"prompt": prompt}]))
    assert found.problems == (("0", ("please", *COUNTING.split())),)
    path = write_lines(tmp_path / "b.jsonl", [{"prompt": prompt[:1]}])
    with pytest.raises(BadInput, match="none of the columns problem, question and prompt has a text"):
        read_evaluation_set(path)


def test_signs_of_chinese_are_words() -> None:
    assert words_of("求x_1+2的值 Ab") == ("求", "x", "1", "2", "的", "值", "ab")
    text = "已知正整数甲乙丙丁满足条件求其和"
    assert Overlap([evaluation_set(text)]).find(f"题目:{text[1:15]}吗") is not None


def test_problems_of_the_shipped_sets_are_left_out(tmp_path: Path) -> None:
    assert [path.name for path in SHIPPED] == ["aime24.jsonl", "amc23.jsonl"]
    shipped = [json.loads(line) for path in SHIPPED for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(shipped) == 70
    rows = [{"problem": f"Here it is. {one['problem']} Good luck!", "answer": one["answer"]} for one in shipped]
    rows.append({"problem": "What is the sum of the digits of $2^7$?", "answer": "11"})
    card = prepare("deepscaler", write_lines(tmp_path / "a.jsonl", rows), "--to", tmp_path / "out")
    # the others have no 13 words in a row that are all theirs
    assert card["left_out"]["in_evaluation_set"] >= 65
    found = [line for line in findings(tmp_path / "out") if line["finding"] == "in_evaluation_set"]
    assert all(rows[line["row"]]["problem"].startswith(line["problem"][:-1]) for line in found)
    assert all(line["set_problem"] == str(shipped[line["row"]]["id"]) for line in found)
    assert rows_of(tmp_path / "out")[-1]["extra_info"]["index"] == 70
    assert [(one["name"], one["problems"]) for one in card["evaluation_sets"]] == [("aime24", 30), ("amc23", 40)]
    card = prepare("deepscaler", tmp_path / "a.jsonl", "--to", tmp_path / "all", "--no-decontaminate")
    assert (card["left_out"], card["evaluation_sets"]) == ({}, [])


def test_no_fixture_of_ours_is_a_problem_of_theirs(tmp_path: Path) -> None:
    overlap = Overlap(map(read_evaluation_set, SHIPPED))
    prepare_set("deepscaler", tmp_path)
    assert len(rows_of(tmp_path / "out")) == 20
    assert overlap.find("Find the least positive integer $n$ for which $n!$ ends in ten zeros.") is None


def test_own_evaluation_sets_are_respected(tmp_path: Path) -> None:
    own = write_lines(tmp_path / "own.jsonl", [{"question": "What is the radius of the big wheel?", "id": "w1"}])
    path = write_lines(
        tmp_path / "quiz.jsonl", [{"q": "WHAT is the radius of the big wheel", "a": 7}, {"q": "?", "a": 1}]
    )
    card = prepare("table", path, *QUIZ, "--to", tmp_path / "out", "--against", own)
    assert card["left_out"] == {"in_evaluation_set": 1}
    (line,) = findings(tmp_path / "out")
    assert (line["row"], line["set"], line["set_problem"]) == (0, "own", "w1")
    assert line["words"] == "what is the radius of the big wheel"
    bad = write_lines(tmp_path / "bad.jsonl", [{"text": "a"}])
    code, said = refusal("table", path, *QUIZ, "--to", tmp_path / "no", "--against", bad)
    assert code == 1
    assert "row 0 (from 0): none of the columns problem, question and prompt has a text; it has text" in said


@pytest.mark.parametrize(("choice", "kept"), [("list", [0, 1, 2, 3]), ("drop", [0, 2]), ("off", [0, 1, 2, 3])])
def test_golds_that_the_scorer_cannot_read_are_listed_and_left_out_on_request(
    choice: str, kept: list[int], tmp_path: Path
) -> None:
    golds = [r"\frac{1}{2}", "1)", "x + 1", "9^{9^9}"]
    path = write_lines(tmp_path / "quiz.jsonl", [{"q": f"{number}?", "a": gold} for number, gold in enumerate(golds)])
    card = prepare("table", path, *QUIZ, "--to", tmp_path / "out", "--golds", choice)
    assert [row["extra_info"]["index"] for row in rows_of(tmp_path / "out")] == kept
    expected = {} if choice == "off" else {"unreadable_gold": 2}
    assert (card["kept_with_finding"], card["left_out"]) == ((expected, {}) if choice != "drop" else ({}, expected))
    if choice != "off":
        assert [(line["row"], line["kept"], line["gold"]) for line in findings(tmp_path / "out")] == [
            (1, choice == "list", "1)"),
            (3, choice == "list", "9^{9^9}"),
        ]


def test_golds_of_sources_without_a_scorer_are_not_checked_and_the_card_says_so(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "quiz.jsonl", [{"q": "Name a metal", "a": "]["}])
    card = prepare("table", path, *QUIZ, "--data-source", "chemistry", "--to", tmp_path / "out")
    assert card["without_scorer"] == ["chemistry"]
    assert card["data_sources"] == {"chemistry": 1}


def test_workers_of_the_gold_check_end_with_it() -> None:
    check = GoldCheck(is_dropping=False)
    check.close()
    with pytest.raises(RuntimeError, match="closed"):
        check._mathematics.unreadable([r"\sin(x)"])


def test_long_prompts_are_left_out_by_the_tokenizer_and_template_of_the_model(tmp_path: Path) -> None:
    model = tiny_world.base_path()
    path = write_lines(tmp_path / "quiz.jsonl", [{"q": "x" * number, "a": "1"} for number in range(20, 41)])
    options = (*QUIZ, "--template", "plain", "--model", model, "--monitor", 0, "--validation", 0)
    prepare("table", path, *options, "--to", tmp_path / "all")
    assert len(rows_of(tmp_path / "all")) == 21
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    sizes = {
        row["extra_info"]["index"]: len(
            tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, return_dict=False)
        )
        for row in rows_of(tmp_path / "all")
    }
    most = sizes[10]
    assert sizes[9] < most < sizes[11]
    card = prepare("table", path, *options, "--max-prompt-tokens", most, "--to", tmp_path / "short")
    assert [row["extra_info"]["index"] for row in rows_of(tmp_path / "short")] == list(range(11))
    assert card["left_out"] == {"long_prompt": 10}
    assert [(line["row"], line["tokens"]) for line in findings(tmp_path / "short")] == list(sizes.items())[11:]


def test_a_chat_template_that_refuses_the_prompts_is_named(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_world.base_path())
    tokenizer.chat_template = (
        "{% for message in messages %}{% if message.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{{ message.content }}{% endfor %}"
    )
    tokenizer.save_pretrained(tmp_path / "model")
    path = write_lines(tmp_path / "quiz.jsonl", [{"q": "1+1?", "a": "2"}])
    options = (*QUIZ, "--model", tmp_path / "model", "--golds", "off")
    code, said = refusal("table", path, *options, "--template", "qwen", "--to", tmp_path / "out")
    assert code == 1
    assert f"--model {tmp_path / 'model'}: its chat template fails: no system; take another --template" in said
    assert prepare("table", path, *options, "--template", "paper", "--to", tmp_path / "out")["rows"]["read"] == 1


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "quiz.jsonl", [{"q": "1+1?", "a": "2"}])
    code, said = refusal("table", path, *QUIZ, "--model", tmp_path, "--to", tmp_path / "out")
    assert code == 1
    assert f"--model {tmp_path} holds no tokenizer" in said
    assert not (tmp_path / "out").exists()

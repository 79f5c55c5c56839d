"""Tasks of reasoning-gym become rows, and the library's own verifiers judge their answers without running them."""

from __future__ import annotations

import ast
import importlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from laser_verl.commands import BadInput, WrongUsage
from laser_verl.data.prepare import golds, gym
from laser_verl.scoring import Scorer, gym_verifiers
from laser_verl.scoring.pool import MathPool
from laser_verl.scoring.tasks import GYM, read_scorers
from tests.unit.prepare.data_sets import findings, prepare, refusal, rows_of

library = pytest.importorskip("reasoning_gym")

EVALUATING = {"eval", "exec", "__import__", "sympify", "parse_expr", "parse_latex", "lambdify", "system", "Popen"}

# These evaluate what the library itself has made, or, the last, read a small language of their own.
OF_THE_LIBRARY = {
    "arithmetic.basic_arithmetic",
    "arithmetic.gsm_symbolic.generators_00_49",
    "arithmetic.gsm_symbolic.generators_50_99",
    "code.codeio",
    "logic.propositional_logic",
}


@pytest.fixture(scope="module")
def scorer() -> Iterator[Scorer]:
    scorer = Scorer("boxed", timeout_seconds=10.0, num_workers=1)
    yield scorer
    scorer.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[MathPool]:
    """One process for all that check golds: each takes a second to import the library."""
    pool = MathPool(1, 10.0, gym_verifiers.__name__)
    yield pool
    pool.close()


@pytest.fixture
def pool(shared: MathPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golds, "MathPool", lambda *_: SimpleNamespace(submit=shared.submit, close=lambda: None))


def problem(task: str, **parameters: Any) -> dict[str, Any]:
    return library.create_dataset(task, seed=1, size=1, **parameters)[0]


def verdict(scorer: Scorer, gold: str, answer: str) -> tuple[str, str, str | None]:
    found = scorer.score(rf"So it is \boxed{{{answer}}}.", gold, judge=GYM.judge)
    return found.status, found.layer, found.extracted


@pytest.mark.usefixtures("pool")
def test_a_task_becomes_rows_with_its_own_verifier(tmp_path: Path) -> None:
    parameters = '{"max_terms": 3}'
    card = prepare("reasoning_gym", "chain_sum", "--rows", 30, "--parameters", parameters, "--to", tmp_path / "out")
    assert card["data_sources"] == {"reasoning_gym/chain_sum": 30}
    assert (card["inputs"], card["options"]["parameters"]) == (["chain_sum"], parameters)
    assert (card["kept_with_finding"], card["without_scorer"]) == ({}, [])
    row = rows_of(tmp_path / "out")[0]
    expected = library.create_dataset("chain_sum", seed=1, size=30, max_terms=3)[0]
    assert row["prompt"][0]["content"].startswith(expected["question"])
    assert row["data_source"] == "reasoning_gym/chain_sum"
    gold = json.loads(row["reward_model"]["ground_truth"])
    assert (gold["task"], gold["parameters"]) == ("chain_sum", {"max_terms": 3})
    assert (gold["answer"], gold["question"]) == (expected["answer"], expected["question"])
    assert read_scorers(None).find(row["data_source"]) is GYM
    assert GYM.check_gold(row["reward_model"]["ground_truth"]) is None


def test_problems_that_follow_the_order_of_sets_are_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for number in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", number)
        made.append(list(gym.gym_rows("isomorphic_strings", {}, 1, 20)))
    assert made[0] == made[1]
    assert len(made[0]) == 20


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("{own}", "equal"),
        (r"\text{{{own}}}", "equal"),
        ("{own}0", "different"),
        ("x", "different"),
        ("", "unparseable"),
    ],
)
def test_an_answer_is_right_when_the_verifier_gives_full_marks(answer: str, expected: str, scorer: Scorer) -> None:
    entry = problem("chain_sum")
    gold = gym_verifiers.gold_of("chain_sum", {}, entry)
    status, layer, _ = verdict(scorer, gold, answer.format(own=entry["answer"]))
    assert status == expected
    assert layer in (("format",) if answer == "" else ("task", "cache"))


def test_any_right_answer_counts_and_partial_credit_does_not(scorer: Scorer) -> None:
    entry = problem("countdown")
    numbers, target = [*range(2, 5)], 14  # 2·(3 + 4) = 14 = 4·3 + 2
    entry["metadata"] |= {"numbers": numbers, "target": target}
    gold = gym_verifiers.gold_of("countdown", {}, entry)
    assert verdict(scorer, gold, "2*(3+4)")[0] == verdict(scorer, gold, "4*3 + 2")[0] == "equal"
    assert verdict(scorer, gold, "2*3 + 4")[0] == "different"  # 0.05


def test_answers_of_several_lines_keep_them(scorer: Scorer) -> None:
    entry = problem("rotate_matrix")
    assert "\n" in entry["answer"]
    gold = gym_verifiers.gold_of("rotate_matrix", {}, entry)
    assert verdict(scorer, gold, entry["answer"])[0] == "equal"
    assert verdict(scorer, gold, entry["answer"].replace("\n", " "))[0] == "different"


def test_boards_that_the_library_keeps_as_tuples_are_compared(scorer: Scorer) -> None:
    entry = problem("rearc")
    assert verdict(scorer, gym_verifiers.gold_of("rearc", {}, entry), entry["answer"])[0] == "equal"


MARK = "laser_verl_was_here"
HOSTILE = {
    "spiral_matrix": "[open('{path}', 'w')]",
    "binary_matrix": "__import__('os').system('touch {path}')",
    "string_insertion": "[__import__('pathlib').Path('{path}').touch()]",
    "n_queens": "[open('{path}', 'w')]",
    "countdown": "exec('open(\\'{path}\\', \\'w\\')')",
    "puzzle24": "open('{path}', 'w')",
    "simple_integration": "__import__('pathlib').Path('{path}').touch() + x",
    "intermediate_integration": "[c for c in ().__class__.__base__.__subclasses__()] + [open('{path}', 'w')]",
    "polynomial_multiplication": "(lambda: open('{path}', 'w'))()",
}


@pytest.mark.parametrize("task", HOSTILE)
def test_no_answer_is_run_as_code(task: str, scorer: Scorer, tmp_path: Path) -> None:
    entry = problem(task)
    gold = gym_verifiers.gold_of(task, {}, entry)
    assert verdict(scorer, gold, HOSTILE[task].format(path=tmp_path / MARK))[0] in ("different", "unparseable")
    assert os.listdir(tmp_path) == []
    assert verdict(scorer, gold, entry["answer"])[0] == "equal"


@pytest.mark.parametrize(
    ("task", "field", "text"),
    [
        ("bitwise_arithmetic", "metadata", {"problem": "open('{path}', 'w')"}),
        ("number_sorting", "answer", "[open('{path}', 'w')]"),
        ("polynomial_multiplication", "answer", "open('{path}', 'w')"),
    ],
)
def test_no_gold_is_run_as_code(task: str, field: str, text: Any, scorer: Scorer, tmp_path: Path) -> None:
    entry = problem(task)
    path = str(tmp_path / MARK)
    entry[field] = (
        text.format(path=path) if isinstance(text, str) else {key: item.format(path=path) for key, item in text.items()}
    )
    assert verdict(scorer, gym_verifiers.gold_of(task, {}, entry), '["1"]')[0] != "equal"
    assert os.listdir(tmp_path) == []


def test_arithmetic_on_gold_and_answer_is_still_done(scorer: Scorer) -> None:
    entry = problem("bitwise_arithmetic")
    gold = gym_verifiers.gold_of("bitwise_arithmetic", {}, entry)
    assert verdict(scorer, gold, entry["answer"])[0] == "equal"
    assert verdict(scorer, gold, str(int(entry["answer"], 16)))[0] == "equal"
    assert verdict(scorer, gold, "0x0")[0] == "different"


def test_an_answer_that_takes_for_ever_is_stopped() -> None:
    scorer = Scorer("boxed", timeout_seconds=1.0, num_workers=1)
    try:
        gold = gym_verifiers.gold_of("puzzle24", {}, problem("puzzle24"))
        assert verdict(scorer, gold, "9**9**9**9")[0] in ("timeout", "different", "error")
    finally:
        scorer.close()


def test_every_module_that_evaluates_text_is_known() -> None:
    """Whatever evaluates a text in the pinned release was read: verifiers that do are replaced."""
    folder = Path(library.__file__).parent
    found = set()
    for path in folder.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        names = set()
        if any(word in text for word in EVALUATING):  # parsing all of them takes seconds
            calls = [node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
            names = {getattr(call, "id", None) or getattr(call, "attr", None) for call in calls}
        if names & EVALUATING:
            found.add(".".join(path.relative_to(folder).with_suffix("").parts))
    known = {*gym_verifiers.READING_LITERALS, *gym_verifiers.CALCULATING, *gym_verifiers.PARSING}
    assert found == known | set(gym_verifiers.PARSING_BY_SYMPY) | OF_THE_LIBRARY


@pytest.mark.parametrize("text", ["1" * 100_000 + "!", "(" * 5000, "sin" * 30_000, " " * 100_000 + "?", "1.1." * 9999])
def test_formulas_are_told_from_other_text_at_once(text: str) -> None:
    gym_verifiers._FORMULA.fullmatch(text)


def test_arithmetic_of_integers_is_worked_out() -> None:
    # 16 + 3 * 4 - (8 >> 1), and minus what 1 << 2 is
    assert gym_verifiers._calculate("(0x10 + 3 * 4) - (8 >> 1)") == 24
    assert gym_verifiers._calculate(" -(1 << 2)") == -4


@pytest.mark.parametrize("text", ["9 ** 9", "1 / 2", "1.5 + 1", "'a' * 9", "f(1)", "x + 1", "[1][0]", "1 if 1 else 2"])
def test_nothing_else_is_worked_out(text: str) -> None:
    with pytest.raises(ValueError, match="no arithmetic of integers"):
        gym_verifiers._calculate(text)


@pytest.mark.parametrize(
    ("text", "is_formula"),
    [
        ("-3*X**3*sin(X) - 9.5*x**2 + .5 + C", True),
        ("exp(2*x)/sqrt(pi) + log(x)", True),
        ("x.diff()", False),
        ("__import__", False),
        ("open(1)", False),
        ("a_b", False),
        ("x[0]", False),
        ("'a'", False),
        ("lambda x: 1", False),
        ("sinx", False),
    ],
)
def test_a_formula_is_arithmetic_known_functions_and_symbols(text: str, is_formula: bool) -> None:
    assert (gym_verifiers._FORMULA.fullmatch(text) is not None) == is_formula


@pytest.mark.parametrize(
    ("gold", "words"),
    [("7", "is no problem of reasoning-gym"), ("{", "is no problem"), ('{"task": "chain_sum"}', "is no problem")],
)
def test_a_gold_that_is_no_problem_is_refused(gold: str, words: str) -> None:
    assert words in str(GYM.check_gold(gold))


def test_another_release_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gym_verifiers.missing_library.cache_clear()
    monkeypatch.setattr(gym_verifiers.metadata, "version", lambda _: "9.9")
    try:
        gold = gym_verifiers.gold_of("chain_sum", {}, {"question": "1+1?", "answer": "2", "metadata": {}})
        assert "needs reasoning-gym 0.1.25, and 9.9 is installed" in str(GYM.check_gold(gold))
        with pytest.raises(RuntimeError, match=r"pip install 'laser-verl\[data\]'"):
            gym_verifiers.load_judge()
        code, said = refusal("reasoning_gym", "chain_sum", "--to", tmp_path / "out")
        assert code == 2
        assert "the source reasoning_gym needs reasoning-gym 0.1.25" in said
    finally:
        gym_verifiers.missing_library.cache_clear()


@pytest.mark.parametrize(
    ("task", "parameters", "words"),
    [
        ("chain_sm", {}, "unknown task 'chain_sm'; did you mean 'chain_sum'?"),
        ("composite", {}, "unknown task 'composite'"),
        ("chain_sum", {"max_term": 3}, "unknown parameter 'max_term'; did you mean 'max_terms'?"),
        ("chain_sum", {"max_terms": 0}, "max_terms must be >= min_terms; correct them"),
        ("chain_sum", {"size": 3}, "--parameters: size is set by --rows; leave it out"),
    ],
)
def test_a_task_or_parameter_that_the_library_does_not_have_is_named(
    task: str, parameters: dict[str, Any], words: str
) -> None:
    with pytest.raises(WrongUsage) as caught:
        gym.check_task(task, parameters)
    assert words in str(caught.value)


def test_a_library_that_fails_on_the_way_is_named() -> None:
    with pytest.raises(BadInput, match=r"reasoning_gym no_such: the library fails \(ValueError: Dataset 'no_such' not"):
        list(gym.gym_rows("no_such", {}, 1, 3))


def test_a_library_that_is_killed_on_the_way_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nprintf \'{"problem": "a"}\\n{"prob\'; kill -9 $$\n')
    python.chmod(0o755)
    monkeypatch.setattr(gym.sys, "executable", str(python))
    rows = gym.gym_rows("chain_sum", {}, 1, 3)
    assert next(rows) == {"problem": "a"}
    with pytest.raises(BadInput, match=r"reasoning_gym chain_sum: the library fails \(exit code -9\)"):
        next(rows)


def test_copies_are_left_out_and_not_called_wrong(tmp_path: Path) -> None:
    parameters = '{"min_animals": 1, "max_animals": 1, "min_instances": 1, "max_instances": 2}'
    arguments = ("--parameters", parameters, "--golds", "off", "--to", tmp_path / "out")
    # their golds differ, for they hold the number of the problem
    card = prepare("reasoning_gym", "leg_counting", "--rows", 50, *arguments)
    assert card["left_out"].keys() == {"duplicate"}


@pytest.mark.usefixtures("pool")
def test_an_own_answer_that_its_verifier_refuses_is_an_unreadable_gold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = problem("chain_sum")
    wrong = gym_verifiers.gold_of("chain_sum", {}, {**entry, "answer": "1" + entry["answer"]})
    right = gym_verifiers.gold_of("chain_sum", {}, entry)
    rows = [{"problem": "a", "gold": right}, {"problem": "b", "gold": wrong.replace("chain_sum", "no_such_task")}]
    monkeypatch.setattr(gym, "gym_rows", lambda *_: ({**row, "data_source": "reasoning_gym/x"} for row in rows))
    card = prepare("reasoning_gym", "chain_sum", "--to", tmp_path / "out")
    assert card["kept_with_finding"] == {"unreadable_gold": 1}
    assert [line["problem_with_it"] for line in findings(tmp_path / "out")] == ["the library's own answer is error"]


def test_modules_with_replaced_names_are_those_of_the_library() -> None:
    for name in (*gym_verifiers.READING_LITERALS, *gym_verifiers.CALCULATING, *gym_verifiers.PARSING):
        importlib.import_module(f"reasoning_gym.{name}")
    for name, alias in gym_verifiers.PARSING_BY_SYMPY.items():
        assert vars(importlib.import_module(f"reasoning_gym.{name}"))[alias].__name__ == "sympy"

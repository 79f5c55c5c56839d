"""Scorers by `data_source`: in the reward worker, on the driver, and in `laser-verl check`."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig
from verl import DataProto

from laser_verl.scoring import LAYERS, STATUSES
from laser_verl.scoring.tasks import read_scorers
from laser_verl.verl_ext.checks import check
from laser_verl.verl_ext.checks.filter_groups import OUR_KEYS
from laser_verl.verl_ext.reward_manager import LengthRewardManager
from tests.contract.good_run import KWARGS, fields, has_note, message
from tests.contract.test_reward_manager import EOS, GOOD, TOKENIZER, config, row, verify

SCORERS = f"{KWARGS}.scorers"
OPTIONS = {"lower_bound": 8, "interval": 4}

JUDGE = """
import asyncio

def score(data_source, solution_str, ground_truth, extra_info):
    return {"score": 0.25, "acc": ground_truth in solution_str, "steps": 4}

async def slow(data_source, solution_str, ground_truth, **_):
    await asyncio.sleep(0.02)
    return {"score": 2.0, "acc": True}

def number(data_source, solution_str, ground_truth, extra_info):
    return 0.7
"""


def with_scorers(scorers: Any, **more: Any) -> DictConfig:
    return config(reward__reward_kwargs={**OPTIONS, "scorers": scorers, **more})


def of_source(source: Any, answer: str, gold: Any) -> DataProto:
    """A row of another data set; the words of the miniature world are letters a to p."""
    data = row(f"<think>bab!</think>\\boxed{{{answer}}}" + EOS, gold=gold)
    data.non_tensor_batch["data_source"] = np.array([source], dtype=object)
    return data


@pytest.fixture
def judge(tmp_path: Path) -> str:
    path = tmp_path / "judge.py"
    path.write_text(JUDGE)
    return str(path)


def test_one_worker_scores_rows_of_every_source_by_their_own_scorer(judge: str) -> None:
    settings = with_scorers(
        {
            "words": "exact",
            "letters/v1.5": "multiple_choice",
            "mine": {"path": judge, "name": "score"},
            "slow": {"path": f"file://{judge}", "name": "slow"},
            "default": "math",
        }
    )
    rows = {
        "words": of_source("words", "ab", "ab"),
        "other words": of_source("words", "ab", "ba"),
        "letters": of_source("letters/v1.5", "b", "(B)"),
        "mine": of_source("mine", "a", "b"),
        "slow": of_source("slow", "a", "b"),
        "shipped": of_source("tiny_world/hard", "b", "b"),
        "the rest": of_source("elsewhere", "a", "b"),
    }

    async def go() -> list[dict[str, Any]]:
        manager = LengthRewardManager(settings, TOKENIZER, None)
        try:
            return await asyncio.gather(*map(manager.run_single, rows.values()))
        finally:
            manager.scorer.close()

    results = dict(zip(rows, asyncio.run(go()), strict=True))
    infos = {name: result["reward_extra_info"] for name, result in results.items()}
    assert {name: info["acc"] for name, info in infos.items()} == {
        **{"words": 1.0, "other words": 0.0, "letters": 1.0, "shipped": 1.0, "the rest": 0.0},
        # the gold b is in the thought
        **{"mine": 1.0, "slow": 1.0},
    }
    # a function's score is on its own scale
    assert [results[name]["reward_score"] for name in rows] == [1.0, -0.5, 1.0, 0.25, 2.0, 1.0, -0.5]
    layers = {name: LAYERS[int(info["score_layer"])] for name, info in infos.items()}
    assert all(layers[name] == "task" for name in ("words", "other words", "letters", "mine", "slow"))
    assert layers["shipped"] == "text"
    assert infos["slow"]["score_milliseconds"] >= 20
    # verl's group filter wants its metric of every row
    assert all(set(OUR_KEYS) <= set(info) for info in infos.values())
    assert set(infos["mine"]) - set(OUR_KEYS) == {"steps"}


def test_a_module_gives_a_function_too(judge: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(judge).parent))
    settings = with_scorers({"mine": {"path": "pkg://judge", "name": "score"}})
    assert verify(of_source("mine", "a", "b"), settings)["reward_score"] == 0.25


def test_a_function_that_returns_a_number_needs_a_threshold(judge: str) -> None:
    scorers = {"mine": {"path": judge, "name": "number"}}
    unsaid = verify(of_source("mine", "a", "b"), with_scorers(scorers))["reward_extra_info"]
    assert f"number of {judge} returned 0.7" in unsaid["laser_error"]
    assert "correct_at=1.0" in unsaid["laser_error"]
    for at, acc in ((0.7, 1.0), (0.71, 0.0)):
        assert (
            verify(of_source("mine", "a", "b"), with_scorers(scorers, correct_at=at))["reward_extra_info"]["acc"] == acc
        )


@pytest.mark.parametrize(
    ("scorers", "data", "words"),
    [
        ({}, of_source("physics", "a", "b"), ["physics", "index=17", "no scorer", f"+{SCORERS}.default=math"]),
        ({}, of_source(None, "a", "b"), ["data_source=None", "no scorer"]),
        (
            {"default": "math"},
            of_source("codecontests", "a", "b"),
            [
                "codecontests",
                "no scorer",
                "running code",
                "={codecontests: {path: FILE, name: FUNCTION}}",
            ],
        ),
        ({"x": "multiple_choice"}, of_source("x", "a", "ab"), ["'x'", "index=17", "'ab'", "give one letter"]),
        ({"x": "multiple_choice"}, of_source("x", "a", ["b", "ab"]), ["'ab'", "give one letter"]),
        ({"x": "exact"}, of_source("x", "a", ["b", float("nan")]), ["nan", "not an answer"]),
        ({"x": "exact"}, of_source("x", "a", None), ["index=17", "no reward_model.ground_truth"]),
    ],
)
def test_a_row_that_no_scorer_can_score_stops_the_run(scorers: Any, data: DataProto, words: list[str]) -> None:
    result = verify(data, with_scorers(scorers))
    info = result["reward_extra_info"]
    assert all(word in info["laser_error"] for word in words), info["laser_error"]
    assert set(OUR_KEYS) <= set(info)
    assert STATUSES[int(info["score_status"])] == "error"
    # without our driver it is an error at once
    in_worker = config("laser", laser__shape_on_driver=False)
    in_worker.reward.reward_kwargs.scorers = scorers
    with pytest.raises(ValueError, match=r"laser_verl: (the row|ground_truth)"):
        verify(data, in_worker)


def test_the_scorer_looks_for_loops_as_told() -> None:
    with pytest.raises(ValueError, match="repetition='strikt' is unknown; known: strict, released_code; did you mean"):
        verify(row(GOOD), with_scorers({}, repetition="strikt"))


# --- laser-verl check


def write(path: Path, golds: dict[str, list[Any]]) -> str:
    """A data file with the golds of each source, in this order."""
    prompt = [{"role": "user", "content": "aAbB>a"}]
    rows = [
        {"data_source": source, "prompt": prompt, "reward_model": {"ground_truth": gold}}
        for source, of_it in golds.items()
        for gold in of_it
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return f"data.train_files={path}"


EIGHT = ["7"] * 8


def test_a_mapping_of_sources_passes_hydra(good: list[str], tmp_path: Path, judge: str) -> None:
    golds = {"openai/gsm8k": EIGHT, "physics": ["9.81"], "v1.5/a b": ["C"], "essays": ["any"], "history": ["Rome"]}
    scorers = (
        "{openai/gsm8k: math, physics: {scorer: numeric, relative_tolerance: 0.01}, v1.5/a b: multiple_choice, "
        f"essays: {{path: {judge}, name: score}}, default: exact}}"
    )
    report = check([*good, write(tmp_path / "mixed.parquet", golds), f"+{SCORERS}={scorers}"])
    assert report.mistakes == []
    assert report.active["scorers"] == {
        "essays": f"score of {judge}",
        "history": "exact",
        "openai/gsm8k": "math",
        "physics": "numeric",
        **dict.fromkeys(("tiny_world/easy", "tiny_world/hard", "tiny_world/medium"), "math"),
        "v1.5/a b": "multiple_choice",
    }
    assert has_note(report, "dict with score and acc", "correct_at=1.0")
    assert check([*good, write(tmp_path / "mixed.parquet", golds), f"+{SCORERS}.default=exact"]).ok


def test_the_documented_lines_are_read_by_hydra_and_by_us() -> None:
    text = (Path(__file__).parents[2] / "docs" / "options.md").read_text(encoding="utf-8")
    given = {}
    for line in (line for line in text.splitlines() if line.startswith((f"'+{SCORERS}", f"+{SCORERS}"))):
        (word,) = shlex.split(line, comments=True)
        override = OverridesParser.create().parse_override(word)
        given[override.key_or_group] = override.value()
    assert set(given) == {SCORERS, f"{SCORERS}.default"}
    scorers = read_scorers(given[SCORERS])
    assert [scorers.find(source).name for source in ("physics", "my/quiz-v1.5", "x")] == [
        *("numeric", "multiple_choice", given[f"{SCORERS}.default"])
    ]


def test_a_source_without_scorer_is_named_with_those_that_have_one(good: list[str], tmp_path: Path) -> None:
    data = write(tmp_path / "data.parquet", {"gsm8k": EIGHT, "physics": ["7"], "aime24": ["7"], "history": ["7"]})
    report = check([*good, data, f"+{SCORERS}={{history: exact, histery: exact}}"])
    assert fields(report) == ["data.train_files"]
    text = message(report, "data.train_files")
    assert "data_source=gsm8k, physics, which has no scorer" in text
    assert "with one in these data: aime24, history, tiny_world/easy" in text
    assert "shipped: openai/gsm8k, " in text
    assert f"+{SCORERS}.default=math" in text
    assert has_note(report, "names histery, which no row uses")
    # what the message says is enough
    assert check([*good, data, f"+{SCORERS}={{history: exact}}", f"+{SCORERS}.default=math"]).mistakes == []


def test_wrong_entries_have_a_line_each_and_no_echo(good: list[str], tmp_path: Path, judge: str) -> None:
    sources = ["a", "b", "c", "d", "e"]
    data = write(tmp_path / "data.parquet", {source: EIGHT for source in sources})
    entries = f"{{a: mth, b: numeric, c: {{path: {judge}, name: scor}}, d: {{path: nowhere.py}}, e: 3}}"
    report = check([*good, data, f"+{SCORERS}={entries}"])
    assert sorted(fields(report)) == [f"{SCORERS}.{name}" for name in ("a", "b", "c.name", "d.path", "e")]
    assert "did you mean 'math'?" in message(report, f"{SCORERS}.a")
    assert "relative_tolerance: 0.01" in message(report, f"{SCORERS}.b")
    assert "did you mean score?" in message(report, f"{SCORERS}.c.name")
    assert "no file or module" in message(report, f"{SCORERS}.d.path")
    assert fields(check([*good, data, f"+{SCORERS}.default=mth"])) == [f"{SCORERS}.default"]
    assert fields(check([*good, f"+{SCORERS}=math"])) == [SCORERS]


def test_a_star_in_an_entry_covers_sources(good: list[str], tmp_path: Path) -> None:
    data = write(tmp_path / "data.parquet", {"my/a": EIGHT, "my/b": ["7"], "other": ["7"]})
    report = check([*good, data, f"+{SCORERS}={{my/*: exact, oth*: math, other: exact, their/*: exact}}"])
    assert report.mistakes == []
    assert [report.active["scorers"][source] for source in ("my/a", "my/b", "other")] == ["exact"] * 3
    assert has_note(report, "names oth*, their/*, which no row uses", "my/a, my/b, other")
    # a wrong entry is one mistake, not one for each source that it was meant for
    wrong = check([*good, data, f"+{SCORERS}={{my/*: exct, other: exact}}"])
    assert fields(wrong) == [f"{SCORERS}.my/*"]
    assert "did you mean 'exact'?" in message(wrong, f"{SCORERS}.my/*")
    alone = check([*good, data, f"+{SCORERS}={{*: exact}}"])
    assert fields(alone) == [f"{SCORERS}.*"]
    assert f"{SCORERS}.default" in message(alone, f"{SCORERS}.*")


def test_code_and_search_need_a_function(good: list[str], tmp_path: Path, judge: str) -> None:
    data = write(tmp_path / "data.parquet", {"codecontests": EIGHT, "searchR1_nq": ["7"]})
    text = message(check([*good, data, f"+{SCORERS}.default=math"]), "data.train_files")
    assert "codecontests, searchR1_nq, which is scored by running code or by search" in text
    assert f"+{SCORERS}.codecontests={{path: FILE, name: FUNCTION}}" in text
    assert check([*good, data, f"+{SCORERS}.default={{path: {judge}, name: score}}"]).mistakes == []


def test_golds_that_their_scorer_cannot_read_name_file_and_row(good: list[str], tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    # rows 0 to 7, 8 and 9, 10 to 12
    data = write(path, {"math": EIGHT, "letters": ["C", "(d)"], "numbers": ["1.5", "about 2", "about 3"]})
    entries = "{letters: multiple_choice, numbers: {scorer: numeric, absolute_tolerance: 0}}"
    report = check([*good, data, f"+{SCORERS}={entries}"])
    assert fields(report) == ["data.train_files"]
    text = message(report, "data.train_files")
    assert not has_note(report, "which no row uses")
    assert f"{path}: row 11 (from 0) has reward_model.ground_truth='about 2', which is no number" in text
    assert "(2 such golds)" in text
    report = check([*good, data, f"+{SCORERS}={{numbers: exact, letters: {{scorer: numeric, absolute_tolerance: 0}}}}"])
    assert "row 8 (from 0) has reward_model.ground_truth='C'" in message(report, "data.train_files")


def test_golds_and_sources_of_a_file_are_named_together(good: list[str], tmp_path: Path) -> None:
    data = write(tmp_path / "data.parquet", {"letters": ["C D", *["C"] * 7], "physics": ["7"]})
    report = check([*good, data, f"+{SCORERS}={{letters: multiple_choice}}"])
    assert fields(report) == ["data.train_files", "data.train_files"]
    assert "row 0 (from 0) has reward_model.ground_truth='C D', which is no choice" in report.mistakes[0].message
    assert "data_source=physics, which has no scorer" in report.mistakes[1].message


def test_golds_that_are_no_mathematics_name_file_and_row(good: list[str], tmp_path: Path) -> None:
    # math-verify reads nothing in a lone bracket; after the first thousand rows nobody looks
    data = write(
        tmp_path / "data.parquet", {"math": [*EIGHT, r"\frac{1}{2}", r"\sqrt{x+1}", "7)", *["7"] * 1000, "8)"]}
    )
    report = check([*good, data])
    text = message(report, "data.train_files")
    assert "row 10 (from 0) has reward_model.ground_truth='7)', in which math-verify reads no mathematics" in text
    assert f"+{SCORERS}={{math: exact}}" in text
    assert "such golds" not in text
    assert check([*good, data, f"+{SCORERS}={{math: exact}}"]).mistakes == []


def test_an_agent_loop_that_scores_needs_no_scorer(good: list[str], tmp_path: Path) -> None:
    loop = ["actor_rollout_ref.rollout.agent.default_agent_loop=mine", f"+{KWARGS}.correct_at=0.5"]
    report = check([*good, *loop, write(tmp_path / "data.parquet", {"physics": EIGHT})])
    assert report.mistakes == []
    assert has_note(report, "data_source=physics, which has no scorer", "agent loop sets every score itself")


def test_a_mapping_as_gold_is_for_functions(good: list[str], tmp_path: Path, judge: str) -> None:
    data = write(tmp_path / "data.parquet", {"math": [{"target": ["7"]}] * 8})
    assert "is a mapping" in message(check([*good, data]), "data.train_files")
    assert check([*good, data, f"+{SCORERS}={{math: {{path: {judge}, name: score}}}}"]).mistakes == []


def test_scorers_that_nobody_asks(good: list[str], judge: str) -> None:
    function = [f"reward.custom_reward_function.path={judge}", "reward.custom_reward_function.name=score"]
    report = check([*good, *function, f"+{SCORERS}.default=math"])
    assert fields(report) == [SCORERS]
    assert "reward.custom_reward_function.path scores every row" in message(report, SCORERS)
    model = ["reward.reward_model.enable=true", f"+{KWARGS}.correct_at=0.5", f"+{SCORERS}.default=math"]
    assert "reward.reward_model.enable scores every row" in message(check([*good, *model]), SCORERS)


def test_the_released_loop_detector_is_not_for_training(good: list[str]) -> None:
    report = check([*good, f"+{KWARGS}.repetition=released_code"])
    assert report.mistakes == []
    assert has_note(report, "repetition=released_code", "leave it out of a training run")
    assert "did you mean 'strict'?" in message(check([*good, f"+{KWARGS}.repetition=strikt"]), f"{KWARGS}.repetition")

"""What `laser-verl prepare` writes is what verl, `laser-verl check` and the reward workers read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from omegaconf import DictConfig, OmegaConf
from verl.utils.dataset.rl_dataset import RLHFDataset

from laser_verl.core import build
from laser_verl.core.prompt_index import key_texts
from laser_verl.scoring import LAYERS, STATUSES
from laser_verl.scoring.tasks import Scorers
from laser_verl.verl_ext.budget_dataset import BudgetDataset
from laser_verl.verl_ext.checks import check
from laser_verl.verl_ext.checks.golds import gold_problems
from laser_verl.verl_ext.checks.tables import read_rows
from laser_verl.verl_ext.prompt_rows import KeyedRows
from tests.contract.test_reward_manager import EOS, TOKENIZER, row, verify
from tests.unit.prepare.data_sets import FOLDER, NAMES, prepare, prepare_set

# the tiny world's tokenizer takes the words of other problems apart into bytes
LONGEST = 2048


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each data set, and of the problems that are made."""
    root = tmp_path_factory.mktemp("prepared")
    for name in NAMES:
        (root / name).mkdir()
        prepare_set(name, root / name)
    prepare("tiny_world", "--rows", 30, "--to", root / "tiny_world" / "out", "--golds", "off")
    return {name: root / name / "out" for name in (*NAMES, "tiny_world")}


def with_files(good: list[str], train: list[Path], val: list[Path], *more: str) -> list[str]:
    """The arguments of a run on other data."""
    kept = [argument for argument in good if not argument.startswith(("data.train_files", "data.val_files"))]
    files = {"data.train_files": train, "data.val_files": val}
    return [*kept, *(f"{key}=[{','.join(map(str, paths))}]" for key, paths in files.items()), *more]


def data_config(files: list[Path], **more: Any) -> DictConfig:
    names = {"prompt_key": "prompt", "max_prompt_length": LONGEST, "filter_overlong_prompts": True}
    return OmegaConf.create({"train_files": [str(file) for file in files], **names, **more})


def test_check_finds_no_mistake_in_any_of_them(good: list[str], prepared: dict[str, Path]) -> None:
    train = [prepared[name] / "train.parquet" for name in NAMES]
    val = [prepared[name] / "monitor.parquet" for name in NAMES]
    report = check(with_files(good, train, val, f"data.max_prompt_length={LONGEST}"))
    assert report.mistakes == []
    assert report.active["data"]["train"]["rows"] == sum(pq.read_metadata(file).num_rows for file in train)
    assert set(report.active["scorers"].values()) == {"math"}


def test_check_refuses_files_that_verl_cannot_put_together(
    good: list[str], prepared: dict[str, Path], tmp_path: Path
) -> None:
    numbers, words = prepared["deepscaler"] / "monitor.parquet", prepared["tiny_world"] / "monitor.parquet"
    columns = [pq.read_schema(file).field("extra_info").type.field("difficulty").type for file in (numbers, words)]
    assert columns == ["double", "string"]
    with pytest.raises(ValueError, match="can't be aligned"):
        RLHFDataset([str(numbers), str(words)], TOKENIZER, data_config([numbers, words], cache_dir=str(tmp_path)))
    train = [prepared[name] / "train.parquet" for name in NAMES]
    [mistake] = check(with_files(good, train, [numbers, words], f"data.max_prompt_length={LONGEST}")).mistakes
    assert mistake.field == "data.val_files"
    assert f"{numbers} and {words} cannot be read together" in mistake.message


@pytest.mark.parametrize("name", [*NAMES, "tiny_world"])
def test_verl_reads_the_files_and_our_tracker_knows_the_prompts_by_the_keys_in_them(
    name: str, prepared: dict[str, Path], tmp_path: Path
) -> None:
    path = prepared[name] / "train.parquet"
    data = data_config([path], cache_dir=str(tmp_path))
    dataset = RLHFDataset([str(path)], TOKENIZER, data)
    rows = pq.read_table(path).to_pylist()
    assert len(dataset) == len(rows)
    assert dataset[0]["raw_prompt"] == rows[0]["prompt"]
    keys = key_texts(KeyedRows(dataset, data, None).keys())
    assert list(keys) == [one["extra_info"]["prompt_key"] for one in rows]


def test_verl_reads_several_of_them_together(prepared: dict[str, Path], tmp_path: Path) -> None:
    files = [prepared[name] / "train.parquet" for name in NAMES]
    dataset = RLHFDataset([str(file) for file in files], TOKENIZER, data_config(files, cache_dir=str(tmp_path)))
    rows = [one for file in files for one in pq.read_table(file).to_pylist()]
    assert len(dataset) == len(rows)
    assert [dataset[number]["extra_info"] for number in (0, len(rows) - 1)] == [
        rows[number]["extra_info"] for number in (0, -1)
    ]


def test_budgets_are_said_in_the_prompts_of_l1(tmp_path: Path) -> None:
    prepare("deepscaler", FOLDER / "deepscaler.json", "--to", tmp_path / "out", "--budget", "100-4000")
    path = tmp_path / "out" / "train.parquet"
    data = data_config([path], cache_dir=str(tmp_path))
    data.laser_budget = {"instruction": build("l1_exact").instruction, "budget": None}
    dataset = BudgetDataset([str(path)], TOKENIZER, data)
    for number, one in enumerate(pq.read_table(path).to_pylist()):
        said, budget = dataset[number]["raw_prompt"][-1]["content"], one["extra_info"]["budget"]
        assert 100 <= budget <= 4000
        assert said.startswith(one["prompt"][-1]["content"])
        assert str(budget) in said.removeprefix(one["prompt"][-1]["content"])


def test_check_refuses_what_prepare_lists(tmp_path: Path) -> None:
    path = tmp_path / "quiz.jsonl"
    path.write_text("".join(json.dumps({"q": f"{n}?", "a": gold}) + "\n" for n, gold in enumerate(["7", "1)", "8"])))
    arguments = ("table", path, "--columns", "problem=q,gold=a", "--monitor", 0, "--validation", 0)
    assert prepare(*arguments, "--to", tmp_path / "all", "--golds", "off")["rows"]["train"] == 3
    assert prepare(*arguments, "--to", tmp_path / "sound", "--golds", "drop")["rows"]["train"] == 2
    for name, is_sound in (("all", False), ("sound", True)):
        rows = read_rows(tmp_path / name / "train.parquet", "prompt", ())
        problems = gold_problems("data.train_files", rows, Scorers(), timeout_seconds=5.0)
        assert (problems == []) == is_sound
        assert all("'1)', in which math-verify reads no mathematics" in text for text in problems)


def test_problems_of_reasoning_gym_are_checked_and_scored_by_their_verifiers(good: list[str], tmp_path: Path) -> None:
    pytest.importorskip("reasoning_gym")
    arguments = ("reasoning_gym", "chain_sum", "--rows", 24, "--monitor", 0, "--golds", "off", "--to", tmp_path / "out")
    prepare(*arguments, "--validation", 0)
    files = [tmp_path / "out" / "train.parquet"]
    report = check(with_files(good, files, files, f"data.max_prompt_length={LONGEST}"))
    assert report.mistakes == []
    assert report.active["scorers"] == {"reasoning_gym/chain_sum": "reasoning_gym"}
    one = pq.read_table(files[0]).to_pylist()[0]
    gold = one["reward_model"]["ground_truth"]
    right = json.loads(gold)["answer"]
    for answer, status in ((right, "equal"), (f"{right}1", "different")):
        data = row(f"<think>bab!</think>\\boxed{{{answer}}}" + EOS, gold=gold)
        data.non_tensor_batch["data_source"] = np.array([one["data_source"]], dtype=object)
        info = verify(data)["reward_extra_info"]
        assert STATUSES[int(info["score_status"])] == status
        assert LAYERS[int(info["score_layer"])] == "task"
        assert (info["acc"], info["task_score"]) == ((1.0, 1.0) if status == "equal" else (0.0, -0.5))


def test_a_gold_that_is_no_problem_of_reasoning_gym_is_a_mistake(good: list[str], tmp_path: Path) -> None:
    path = tmp_path / "quiz.jsonl"
    path.write_text('{"q": "1+1?", "a": "2"}\n')
    arguments = ("table", path, "--columns", "problem=q,gold=a", "--data-source", "reasoning_gym/chain_sum")
    prepare(*arguments, "--golds", "off", "--monitor", 0, "--validation", 0, "--to", tmp_path / "out")
    files = [tmp_path / "out" / "train.parquet"]
    report = check(with_files(good, files, files))
    assert any("'2', which is no problem of reasoning-gym; write" in mistake.message for mistake in report.mistakes)

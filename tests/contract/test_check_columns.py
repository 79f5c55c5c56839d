"""What the rows bring for the method: every row is looked at, and read as the run reads it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf

from laser_verl.core import Method, build
from laser_verl.verl_ext.checks import Report, check
from laser_verl.verl_ext.checks.columns import check_columns
from laser_verl.verl_ext.checks.data import Readers, Split, check_data
from laser_verl.verl_ext.checks.scoring import Golds
from laser_verl.verl_ext.columns import data_columns, read_numbers
from tests.contract.good_run import KWARGS, has_note, message

TRAIN, VAL = "data.train_files", "data.val_files"
PARTS = f"{KWARGS}.per_data_source"


def rows(*values: Any, source: str = "sums", column: str = "budget") -> list[dict[str, Any]]:
    prompt = [{"role": "user", "content": "2 + 3?"}]
    return [
        {"data_source": source, "prompt": prompt, "extra_info": {"index": place, column: value}}
        for place, value in enumerate(values)
    ]


class Checked:
    """Report and splits of `check_columns` on rows written to disk."""

    def __init__(self, folder: Path, method: Method, train: list[Any], val: list[Any], is_ours: bool = True) -> None:
        for name, given in (("train", train), ("val", val)):
            pq.write_table(pa.Table.from_pylist(given), folder / f"{name}.parquet")
        data = {
            "prompt_key": "prompt",
            "max_response_length": 4000,
            "train_files": str(folder / "train.parquet"),
            "val_files": str(folder / "val.parquet"),
        }
        config, self.report = OmegaConf.create({"data": data}), Report()
        readers = Readers(Golds.UNREAD, None, 5.0, is_seeded=False, columns=data_columns(method))
        self.splits: dict[str, Split] = check_data(config, readers, self.report)
        check_columns(config, self.splits, method, is_ours, self.report)

    def prompts(self, split: str) -> list[str]:
        return [messages[-1]["content"] for _, messages in self.splits[split].prompts]


def test_a_text_for_a_number_is_a_mistake_of_the_whole_check(good: list[str], tmp_path: Path) -> None:
    world = Path(next(text for text in good if text.startswith(TRAIN)).partition("=")[2])
    given = pq.read_table(world).to_pylist()
    for row in given:
        row["extra_info"]["budget"] = "2k"
    pq.write_table(pa.Table.from_pylist(given), tmp_path / "train.parquet")
    kept = [text for text in good if not text.startswith(("method", KWARGS, TRAIN))]
    run = [*kept, "~method", "reward.reward_manager.name=l1_max", f"{TRAIN}={tmp_path / 'train.parquet'}"]
    told = message(check(run), TRAIN)
    assert "row 0 (from 0) has extra_info.budget='2k' (24 such rows)" in told
    assert "l1_max needs a number of 0 or more there, no text" in told


@pytest.mark.parametrize("value", ["2k", "2000", -1, math.inf, True, [2000]])
@pytest.mark.parametrize("options", [{}, {"budget": 50}])
def test_a_value_is_wrong_in_the_check_where_it_is_wrong_in_the_run(
    tmp_path: Path, value: Any, options: dict[str, int]
) -> None:
    l1, wrong = build("l1_max", options), rows(value, value)
    report = Checked(tmp_path, l1, wrong, rows(1, 2)).report
    assert "row 0 (from 0) has extra_info.budget=" in message(report, TRAIN)
    with pytest.raises(ValueError, match=r"extra_info\.budget="):
        read_numbers(wrong[0], l1, "index=0")


def test_a_row_beyond_the_first_is_found(tmp_path: Path) -> None:
    late = rows(*[2000] * 90, None, None)
    told = message(Checked(tmp_path, build("l1_max"), late, late).report, TRAIN)
    assert "row 90 (from 0) has extra_info.budget=None (2 such rows)" in told
    assert f"+{KWARGS}.budget=2000" in told


def test_a_source_is_held_to_the_columns_of_its_own_method(tmp_path: Path) -> None:
    mixed = build("mixed", {"per_data_source": {"chat": "none", "sums": "o1_pruner"}})
    train = rows(*[None] * 70, source="chat") + rows(0.5, column="reference_accuracy")
    mistakes = Checked(tmp_path, mixed, train, rows(1)).report.mistakes
    assert ["row 70 (from 0) has extra_info.reference_length=None" in item.message for item in mistakes] == [True]
    assert "o1_pruner needs" in mistakes[0].message


def test_a_column_that_may_lack_must_hold_numbers_where_it_does_not(tmp_path: Path) -> None:
    hbpo = build("hbpo")
    assert Checked(tmp_path, hbpo, rows(None, math.nan, 10.5), rows(1)).report.mistakes == []
    told = message(Checked(tmp_path, hbpo, rows(*[None] * 70, -3), rows(1)).report, TRAIN)
    assert "row 70 (from 0) has extra_info.budget=-3" in told
    assert "hbpo needs a number" in told


def test_a_validation_budget_that_cannot_be_said(tmp_path: Path) -> None:
    l1 = build("l1_max", {"budget": 100})
    report = Checked(tmp_path, l1, rows(1, 2), rows("2k", None)).report
    assert "row 0 (from 0) has extra_info.budget='2k'" in message(report, VAL)
    # validation rows are not shaped, so one that is missing hurts nobody
    assert Checked(tmp_path, build("l1_max"), rows(1, 2), rows(None, 7)).report.mistakes == []
    # and where nothing is said they are not read at all
    assert Checked(tmp_path, build("hbpo"), rows(1, 2), rows("2k")).report.mistakes == []


def test_prompts_say_the_budgets_that_can_be_read(tmp_path: Path) -> None:
    made = Checked(tmp_path, build("l1_exact"), rows(7.0, -1.0), rows(8, None))
    assert made.prompts("train") == ["2 + 3? Think for 7 tokens.", "2 + 3?"]
    assert made.prompts("val") == ["2 + 3? Think for 8 tokens.", "2 + 3?"]
    assert "extra_info.budget=-1.0" in message(made.report, TRAIN)


def test_a_budget_that_no_response_reaches_is_noted(tmp_path: Path) -> None:
    report = Checked(tmp_path, build("l1_max"), rows(4000, 4001, 9000), rows(1)).report
    assert report.mistakes == []
    assert has_note(report, "row 1 (from 0) has extra_info.budget=4001", "max_response_length=4000", "2 such rows")
    assert Checked(tmp_path, build("l1_max"), rows(4000), rows(1)).report.notes == []


def test_a_method_for_a_source_that_no_row_has(tmp_path: Path) -> None:
    mixed = build("mixed", {"per_data_source": {"smus": "kimi", "default": "none"}})
    told = message(Checked(tmp_path, mixed, rows(1), rows(1, source="chat")).report, PARTS)
    assert f"{PARTS}.smus=kimi is for rows that the data do not have" in told
    assert "did you mean 'sums'?" in told
    of_val = build("mixed", {"per_data_source": {"chat": "kimi", "default": "none"}})
    assert Checked(tmp_path, of_val, rows(1), rows(1, source="chat")).report.mistakes == []


def test_sources_of_validation_need_a_method_where_reward_workers_shape(tmp_path: Path) -> None:
    mixed = build("mixed", {"per_data_source": {"sums": "none"}})
    chat = rows(1, source="chat")
    assert Checked(tmp_path, mixed, rows(1), chat).report.mistakes == []
    told = message(Checked(tmp_path, mixed, rows(1), chat, is_ours=False).report, VAL)
    assert "data_source='chat', for which per_data_source has no method" in told

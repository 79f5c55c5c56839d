"""The data set that a state belongs to, told by its prompts too."""

from __future__ import annotations

import time
from typing import Any

import datasets
import numpy as np
import pytest
from omegaconf import OmegaConf

from laser_verl.verl_ext.trainer_modes import LaserSync


def rows(size: int, first: str = "1 + 1?", middle: str = "2 + 2?", gold: str = "4") -> list[dict[str, Any]]:
    def row(text: str) -> dict[str, Any]:
        return {
            "data_source": "sums",
            "prompt": [{"role": "user", "content": text}],
            "reward_model": {"ground_truth": gold},
            "extra_info": {"index": 3},
        }

    texts = [first, *["0?"] * (size - 1)]
    texts[size // 2] = middle
    return [row(text) for text in texts]


def fingerprint(dataset: Any, **data: Any) -> dict[str, Any]:
    trainer = object.__new__(LaserSync)
    trainer.config = OmegaConf.create({"data": {"train_files": ["a/train.parquet"], "prompt_key": "prompt"} | data})
    trainer.train_dataset = dataset
    return trainer._data_fingerprint()


class Own(list[int]):
    """A data set of the user's own."""


class Rows:
    """verl's data set, as far as the fingerprint looks."""

    def __init__(self, dataframe: Any) -> None:
        self.dataframe = dataframe

    def __len__(self) -> int:
        return len(self.dataframe)


def of(made: list[dict[str, Any]], **data: Any) -> dict[str, Any]:
    return fingerprint(Rows(datasets.Dataset.from_list(made)), **data)


def test_data_sets_of_one_name_and_size_differ_by_their_prompts_and_golds() -> None:
    seen = of(rows(500))
    assert {key: value for key, value in seen.items() if key != "train_prompts"} == {
        "train_files": ["train.parquet"],
        "train_rows": 500,
    }
    assert of(rows(500)) == seen
    assert of(rows(500, first="1 + 2?"))["train_prompts"] != seen["train_prompts"]
    assert of(rows(500, gold="5"))["train_prompts"] != seen["train_prompts"]
    assert of(rows(500)[::-1])["train_prompts"] != seen["train_prompts"]
    last = rows(500)
    last[-1]["reward_model"]["ground_truth"] = "5"
    assert of(last)["train_prompts"] != seen["train_prompts"]
    # row 250 is neither among the first nor the last 100
    assert of(rows(500, middle="7?")) == seen


def test_a_small_data_set_is_read_whole_and_one_without_rows_or_golds_is_one_too() -> None:
    assert of(rows(150, middle="7?"))["train_prompts"] != of(rows(150))["train_prompts"]
    bare = [{"prompt": row["prompt"]} for row in rows(3)]
    assert of(bare)["train_prompts"] != of(rows(3))["train_prompts"]
    assert of(rows(3)[:1])["train_rows"] == 1


@pytest.mark.parametrize("dataframe", [None, [{"prompt": "1?"}] * 3, np.zeros(3)])
def test_a_data_set_of_the_users_own_has_no_prompts_to_compare(dataframe: Any) -> None:
    own = Own([1, 2])
    if dataframe is not None:
        own.dataframe = dataframe
    assert fingerprint(own, train_files="train.parquet") == {"train_files": ["train.parquet"], "train_rows": 2}


def test_rows_drawn_anew_in_every_run_are_not_compared() -> None:
    drawn = {"train_max_samples": 100, "shuffle": True, "seed": None}
    assert "train_prompts" not in of(rows(100), **drawn)
    assert "train_prompts" in of(rows(100), **{**drawn, "seed": 1})
    assert "train_prompts" in of(rows(100), **{**drawn, "shuffle": False})
    assert "train_prompts" in of(rows(100), **{**drawn, "train_max_samples": -1})


def test_images_are_not_decoded_and_it_takes_less_than_50_ms() -> None:
    made = datasets.Dataset.from_list([{**row, "images": [{"bytes": b"no image", "path": None}]} for row in rows(5000)])
    made = made.cast_column("images", datasets.Sequence(datasets.Image()))
    seconds = []
    for _ in range(3):
        begun = time.process_time()
        assert "train_prompts" in fingerprint(Rows(made))
        seconds.append(time.process_time() - begun)
    assert min(seconds) < 0.05

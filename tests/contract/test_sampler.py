"""The sampler in verl's data loading: order, workers, keys, and what is under way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from torchdata.stateful_dataloader import StatefulDataLoader
from verl.trainer.ppo.utils import create_rl_sampler
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

from laser_verl.core.keys import prompt_key
from laser_verl.core.prompt_index import key_numbers, key_texts
from laser_verl.core.rollouts import Rollouts
from laser_verl.verl_ext import sampler as module
from laser_verl.verl_ext.difficulty import Difficulty
from laser_verl.verl_ext.prompt_rows import KEY, KeyedRows
from laser_verl.verl_ext.sampler import PromptLoader, UnderWay, verl_order
from laser_verl.verl_ext.sampler_settings import SamplerSettings, TrackerSettings

NO_KEYS = np.zeros(0, dtype=np.uint64)


def row(number: int, **extra: Any) -> dict[str, Any]:
    return {
        "data_source": "sums",
        "prompt": [{"role": "user", "content": f"{number} + 1?"}],
        "reward_model": {"ground_truth": str(number + 1)},
        "extra_info": {"index": number, **extra},
    }


class Data:
    """verl's data set, as far as its loader looks."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.dataframe = Dataset.from_list(rows)

    def __len__(self) -> int:
        return len(self.dataframe)

    def __getitem__(self, number: int) -> dict[str, Any]:
        values = dict(self.dataframe[number])
        return {**values, "raw_prompt": values["prompt"], "index": number}


def config(**data: Any) -> DictConfig:
    return OmegaConf.create({"prompt_key": "prompt", "shuffle": True, "seed": 3, **data})


def loader(
    rows: list[dict[str, Any]], policy: str, batch_size: int = 4, workers: int = 0, data: DictConfig | None = None
) -> tuple[PromptLoader, Difficulty]:
    chosen, keyed = data or config(), KeyedRows(Data(rows), data or config(), None)
    difficulty = Difficulty(TrackerSettings(), SamplerSettings(policy))
    sampler, row_of = difficulty.start(keyed, NO_KEYS, batch_size, 5, lambda size: verl_order(size, chosen))
    return PromptLoader(keyed, sampler, row_of, batch_size, workers), difficulty


def indices(made: Any, number: int) -> list[list[int]]:
    batches = iter(made)
    return [[int(value) for value in next(batches)["index"]] for _ in range(number)]


def of_verl(rows: list[dict[str, Any]], data: DictConfig, batch_size: int, number: int) -> list[list[int]]:
    dataset = Data(rows)
    made = StatefulDataLoader(
        dataset=dataset,
        batch_size=batch_size,
        drop_last=True,
        collate_fn=collate_fn,
        sampler=create_rl_sampler(data, dataset),
    )
    found: list[list[int]] = []
    while len(found) < number:  # as verl's trainer does: a new round where one ends
        found += [[int(value) for value in batch["index"]] for batch in made]
    return found[:number]


@pytest.mark.parametrize("batch_size", [1, 4, 7])
@pytest.mark.parametrize("data", [{}, {"seed": None}, {"seed": 11}, {"shuffle": False}])
def test_verls_own_order_over_three_rounds(batch_size: int, data: dict[str, Any]) -> None:
    rows, given = [row(number) for number in range(22)], config(**data)
    policy = "uniform" if given.shuffle else "sequential"
    number = 3 * (22 // batch_size)
    assert indices(loader(rows, policy, batch_size, data=given)[0], number) == of_verl(rows, given, batch_size, number)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("policy", ["uniform", "sequential"])
def test_a_resumed_loader_goes_on_where_the_trainer_was(policy: str, workers: int) -> None:
    rows = [row(number) for number in range(22)]
    unbroken = indices(loader(rows, policy)[0], 13)
    made, difficulty = loader(rows, policy, workers=workers)
    first, batches = [], iter(made)
    for _ in range(7):
        first.append([int(value) for value in next(batches)["index"]])
    state, saved = difficulty.state_dict(), made.state_dict()
    resumed, other = loader(rows, policy, workers=workers)
    resumed.load_state_dict(saved)
    other.load_state_dict(state, None)
    assert first + indices(resumed, 6) == unbroken


def test_an_adaptive_policy_follows_the_training_and_goes_on_after_a_resume() -> None:
    rows = [row(number) for number in range(40)]

    def steps(made: PromptLoader, difficulty: Difficulty, first: int, last: int) -> list[list[int]]:
        drawn, batches = [], iter(made)
        for step in range(first, last):
            batch = next(batches)
            numbers = [int(value) for value in batch["index"]]
            drawn.append(numbers)
            names = [key for key in batch[KEY] for _ in range(4)]
            solved = [number % 5 > part for number in numbers for part in range(4)]
            difficulty.observe(Rollouts.build(names, [9] * len(names), solved, step=step, prompt_key=names))
        return drawn

    unbroken = steps(*loader(rows, "max_entropy"), 1, 13)
    made, difficulty = loader(rows, "max_entropy")
    before = steps(made, difficulty, 1, 8)
    resumed, other = loader(rows, "max_entropy")
    other.load_state_dict(difficulty.state_dict(), None)
    assert before + steps(resumed, other, 8, 13) == unbroken


def test_rows_carry_the_key_under_which_they_are_tracked() -> None:
    rows = [row(number) for number in range(6)]
    keyed = KeyedRows(Data(rows), config(), None)
    expected = [prompt_key("sums", each["prompt"], each["reward_model"]["ground_truth"]) for each in rows]
    assert [keyed[number][KEY] for number in range(6)] == expected
    assert key_texts(keyed.keys()) == expected
    assert len(keyed) == 6
    assert keyed.dataframe is not None  # all else as it is there


def test_a_column_may_name_the_prompts() -> None:
    rows = [row(number, name=f"p{number}") for number in range(6)]
    keyed = KeyedRows(Data(rows), config(), "extra_info.name")
    assert key_texts(keyed.keys()) == [keyed[number][KEY] for number in range(6)]
    again = [{**row(number + 1), "extra_info": {"index": 0, "name": f"p{number}"}} for number in range(6)]
    assert keyed.keys().tolist() == KeyedRows(Data(again), config(), "extra_info.name").keys().tolist()


def test_a_data_set_of_the_users_own_is_read_row_by_row() -> None:
    class Own:
        def __len__(self) -> int:
            return 3

        def __getitem__(self, number: int) -> dict[str, Any]:
            return {"raw_prompt": [{"role": "user", "content": str(number)}], "extra_info": {"level": number}}

    keyed = KeyedRows(Own(), config(), None)
    assert len(set(keyed.keys().tolist())) == 3
    assert keyed.columns(("level",))["level"].tolist() == [0.0, 1.0, 2.0]


def test_a_repeated_prompt_is_drawn_as_one() -> None:
    rows = [{**row(number // 2), "extra_info": {"index": number}} for number in range(20)]
    made, difficulty = loader(rows, "band_mix")
    assert (difficulty.repeated, difficulty.tracker.size) == (10, 10)
    for batch in indices(made, 10):
        assert len(set(batch)) == 4
        assert all(number % 2 == 0 for number in batch)  # the first of the two rows
        difficulty.sampler.only_in_flight()  # type: ignore[union-attr]


def test_a_named_column_that_repeats_is_refused() -> None:
    rows = [row(number, name="p" if number in (2, 5) else str(number)) for number in range(8)]
    keyed = KeyedRows(Data(rows), config(), "extra_info.name")
    difficulty = Difficulty(TrackerSettings(key="extra_info.name"), SamplerSettings("band_mix"))
    with pytest.raises(ValueError, match=r"laser.tracker.key=extra_info.name is the same in rows 2 and 5 \(from 0\)"):
        difficulty.start(keyed, NO_KEYS, 4, 5, lambda size: verl_order(size, config()))


def test_a_named_column_that_is_missing_is_refused() -> None:
    keyed = KeyedRows(Data([row(number) for number in range(3)]), config(), "extra_info.name")
    with pytest.raises(ValueError, match=r"laser.tracker.key=extra_info.name is missing in a row \(index=0\)"):
        keyed.keys()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([None, None, None, None], "column=level is in no row of the training data"),
        ([1.0, None, 3.0, 4.0], "level=nan of prompt 1 must be a finite number"),
        (["1", "easy", "3", "4"], "level='1' of prompt 0 must be a finite number"),
    ],
)
def test_a_column_of_difficulties_has_to_hold_numbers(values: list[Any], message: str) -> None:
    keyed = KeyedRows(Data([row(number, level=value) for number, value in enumerate(values)]), config(), None)
    difficulty = Difficulty(TrackerSettings(), SamplerSettings("adarft", options={"column": "level"}))
    with pytest.raises(ValueError, match=f"laser.sampler, policy adarft: {message}"):
        difficulty.start(keyed, NO_KEYS, 2, 5, lambda size: verl_order(size, config()))


def test_prompts_kept_out_are_never_drawn() -> None:
    rows = [row(number) for number in range(20)]
    keyed = KeyedRows(Data(rows), config(), None)
    difficulty = Difficulty(TrackerSettings(), SamplerSettings("uniform"))
    sampler, row_of = difficulty.start(keyed, keyed.keys()[[3, 7, 11]], 4, 5, lambda size: verl_order(size, config()))
    drawn = {number for _ in range(12) for number in row_of[sampler.draw(4)].tolist()}
    assert drawn == set(range(20)) - {3, 7, 11}


def test_a_changed_data_set_keeps_what_matches_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    made, difficulty = loader([row(number) for number in range(12)], "max_entropy")
    keys = next(iter(made))[KEY]
    difficulty.observe(Rollouts.build(keys, [9] * 4, [1] * 4, step=1, prompt_key=list(keys)))
    _, other = loader([row(number) for number in range(4, 19)], "max_entropy")
    with caplog.at_level("INFO", "laser_verl"):
        other.load_state_dict(difficulty.state_dict(), None)
    assert (
        "of the prompts of the checkpoint 8 are in the data and kept, 4 are not and are dropped; 7 prompts"
        in caplog.text
    )
    assert other.tracker.size == 15
    shared = key_numbers([key for key in keys if key in key_texts(other.tracker.keys)])
    assert other.tracker.num_seen == len(shared)
    _, foreign = loader([row(number) for number in range(50, 60)], "max_entropy")
    with pytest.raises(ValueError, match="the state knows 12 prompts and none of them is in the training data"):
        foreign.load_state_dict(difficulty.state_dict(), None)


@pytest.mark.parametrize("change", ["data", "order", "nothing"])
def test_rounds_begin_anew_where_prompts_or_their_order_changed(change: str, caplog: pytest.LogCaptureFixture) -> None:
    rows, other = [row(number) for number in range(12)], config(seed=4) if change == "order" else config()
    made, difficulty = loader(rows, "uniform")
    before = indices(made, 2)
    _, resumed = loader(rows[:-1] if change == "data" else rows, "uniform", data=other)
    with caplog.at_level("INFO", "laser_verl"):
        resumed.load_state_dict(difficulty.state_dict(), None)
    assert ("the rounds of the sampler begin anew" in caplog.text) == (change != "nothing")
    goes_on = resumed.state_dict()["sampler"]["position"]["draws"]
    assert goes_on == (len(before) if change == "nothing" else 0)


def test_prompts_are_described_as_they_were_known_before_the_batch() -> None:
    made, difficulty = loader([row(number) for number in range(12)], "max_entropy")
    keys = list(next(iter(made))[KEY])
    batch = Rollouts.build(keys, [9] * 4, [1] * 4, step=1, prompt_key=keys)
    assert difficulty.observe(batch)["laser/sampler/drawn_frac/unseen"] == 1.0
    assert difficulty.observe(batch)["laser/sampler/drawn_frac/easy"] == 1.0


class Queue:
    """The part of the TransferQueue that says what is under way."""

    def __init__(self, keys: dict[str, str]) -> None:
        self.keys = keys

    def kv_list(self, partition: str) -> dict[str, dict[str, Any]]:
        prompts = {uid: {"is_prompt": True, "status": "running"} for uid in self.keys}
        # "trained" is a batch that a checkpoint was saved with: verl had removed its prompts already
        return {partition: prompts | {f"{uid}_0_0": {"status": "success"} for uid in (*self.keys, "trained")}}

    def kv_batch_get(self, keys: list[str], partition_id: str, select_fields: list[str]) -> dict[str, list[str]]:
        assert select_fields == [KEY]
        return {KEY: [self.keys[uid] for uid in keys]}


def test_an_adaptive_policy_draws_all_that_is_wanted_at_once_in_small_fetches() -> None:
    rows = [row(number) for number in range(30)]
    whole, small = loader(rows, "max_entropy", 8), loader(rows, "max_entropy", 1)
    small[0].wanted = 8
    batches, portions = iter(whole[0]), iter(small[0])
    for _ in range(3):
        expected = [int(value) for value in next(batches)["index"]]
        assert [int(next(portions)["index"][0]) for _ in range(8)] == expected
        assert small[1].state_dict()["sampler"]["position"]["draws"] > 0
        for _, difficulty in (whole, small):
            difficulty.sampler.only_in_flight()  # type: ignore[union-attr]
    assert small[1].state_dict()["sampler"]["position"]["draws"] == 3


def test_rows_whose_messages_a_data_set_changes_are_known_by_what_it_hands_out() -> None:
    class Own(RLHFDataset):
        def __init__(self, rows: list[dict[str, Any]]) -> None:
            self.dataframe = Dataset.from_list(rows)

        def __len__(self) -> int:
            return len(self.dataframe)

        def __getitem__(self, number: int) -> dict[str, Any]:
            values = dict(self.dataframe[number])
            return {**values, "raw_prompt": [{"role": "system", "content": "Think."}, *values["prompt"]]}

    own = Own([row(number) for number in range(3)])
    keyed = KeyedRows(own, config(), None)
    assert key_texts(keyed.keys()) == [
        prompt_key("sums", own[number]["raw_prompt"], str(number + 1)) for number in range(3)
    ]
    assert [keyed[number][KEY] for number in range(3)] == key_texts(keyed.keys())


def test_prompts_that_differ_in_their_images_alone_are_two() -> None:
    class Pictures(Data):
        def __getitem__(self, number: int) -> dict[str, Any]:
            text = [{"type": "image", "image": Image.new("RGB", (2, 2), (number, 0, 0))}]
            return {**super().__getitem__(number), "raw_prompt": [{"role": "user", "content": text}]}

    rows = [{**row(0), "extra_info": {"index": number}, "images": [number]} for number in range(4)]
    assert len(set(KeyedRows(Pictures(rows), config(), None).keys().tolist())) == 4


def test_what_is_under_way_is_not_drawn_and_what_left_is(monkeypatch: pytest.MonkeyPatch) -> None:
    made, difficulty = loader([row(number) for number in range(8)], "max_entropy")
    assert difficulty.sampler is not None
    texts = key_texts(difficulty.tracker.keys)
    under_way = UnderWay(difficulty.tracker, difficulty.sampler)
    monkeypatch.setattr(module, "tq", Queue({"u1": texts[1], "u5": texts[5]}))
    under_way.submitted(["u1", "gone"], [texts[1], texts[2]])
    under_way.refresh()  # u5 is of a checkpoint
    assert difficulty.sampler.in_flight == {1, 5}
    drawn = indices(made, 1)[0]
    assert not {1, 5} & set(drawn)

"""From verl's batch to arrays and back: padding, several turns, short groups, and the state file."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from laser_verl.core import Rollouts, state
from laser_verl.core.framework import Context
from laser_verl.core.prompt_index import key_texts
from laser_verl.core.state import NAME
from laser_verl.verl_ext.driver import Driver
from laser_verl.verl_ext.layout import Layout, place_rewards
from laser_verl.verl_ext.settings import Plugin, Settings, Verification

CONFIG = OmegaConf.create({"reward": {"custom_reward_function": {"path": None}, "reward_model": {"enable": False}}})
WITH_REWARD_MODEL = OmegaConf.create(
    {"reward": {"custom_reward_function": {"path": None}, "reward_model": {"enable": True}}}
)
HALF = b"PK\x03\x04 the first bytes of an archive"


def driver(
    config: Any = CONFIG,
    correct_at: float | None = None,
    scorers: dict[str, Any] | None = None,
    method: str = "laser_d",
    group_size: int = 2,
    **options: Any,
) -> Driver:
    settings = Settings(
        method=method,
        method_options={"lower_bound": 8, "interval": 4, **options} if method == "laser_d" else options,
        verification=Verification(correct_at=correct_at, scorers=scorers or {}),
        plugin=Plugin(),
        context=Context(group_size=group_size, max_response_length=64),
        trainer_mode="sync",
    )
    return Driver(settings, config)


def verdict(correct: bool, score: float) -> dict[str, Any]:
    flags = {"well_formed": 1.0, "repetitive": 0.0, "truncated": 0.0}
    return {"reward_extra_info": {"answer_correct": float(correct), "task_score": score, **flags}}


def nested(*rows: list[float]) -> torch.Tensor:
    return torch.nested.as_nested_tensor([torch.tensor(row) for row in rows], layout=torch.jagged)


def of_lengths(*lengths: int) -> list[dict[str, Any]]:
    return [{"response_len": length} for length in lengths]


def test_layout_leaves_out_padding_and_takes_the_last_turn() -> None:
    keys = ["p_0_0", "p_0_1", "q_x_1_0", "p_0_0"]
    layout = Layout.of(keys, [*of_lengths(2, 3, 4), {"is_padding": True, "response_len": 1}])
    assert layout.final.tolist() == [1, 2]
    assert layout.rows.tolist() == [0, 1, 2]
    assert layout.response.tolist() == [0, 0, 1]
    assert layout.tokens.tolist() == [2, 3, 4, 1]
    assert layout.uids == ["p", "q_x"]


def test_rewards_land_on_last_tokens_and_padding_gets_none() -> None:
    layout = Layout.of(["p_0_0", "p_1_0", "p_0_0"], [*of_lengths(2, 3), {"is_padding": True, "response_len": 1}])
    placed = place_rewards(layout, np.array([1.5, -0.5]))
    assert [row.tolist() for row in placed.unbind()] == [[0.0, 1.5], [0.0, 0.0, -0.5], [0.0]]


def test_every_turn_of_a_response_gets_its_reward() -> None:
    layout = Layout.of(["p_0_0", "p_0_1", "p_1_0"], of_lengths(1, 2, 1))
    placed = place_rewards(layout, np.array([1.5, 0.5]))
    assert [row.tolist() for row in placed.unbind()] == [[1.5], [0.0, 1.5], [0.5]]


def test_a_response_without_tokens_does_not_spill_into_its_neighbour() -> None:
    layout = Layout.of(["p_0_0", "p_1_0", "p_2_0"], of_lengths(2, 0, 2))
    placed = place_rewards(layout, np.array([1.5, 9.0, 0.5]))
    assert [row.tolist() for row in placed.unbind()] == [[0.0, 1.5], [], [0.0, 0.5]]


def keys(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.uint64)


def batch(*numbers: int) -> Rollouts:
    names = key_texts(keys(*numbers))
    return Rollouts.build(names, [8] * len(names), [1] * len(names), prompt_key=names)


def test_a_changed_data_set_is_said_and_keeps_the_prompts_that_it_shares(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ours = driver()
    ours.difficulty.observe(batch(1, 2, 3))
    ours.save(tmp_path, {"train_rows": 48, "train_prompts": "0f"})
    restored = driver()
    with caplog.at_level("INFO", "laser_verl"):
        restored.load(tmp_path, {"train_rows": 50, "train_prompts": "1e"}, lambda: keys(3, 4, 2, 5))
    assert "the training data have changed: train_prompts was '0f', is '1e'; train_rows was 48, is 50" in caplog.text
    assert "2 are in the data and kept, 1 are not and are dropped; 2 prompts of the data are new" in caplog.text
    assert restored.difficulty.tracker.drawn.tolist() == [1, 0, 1, 0]


def test_the_state_of_another_data_set_is_refused_with_a_remedy(tmp_path: Path) -> None:
    ours = driver()
    ours.difficulty.observe(batch(1, 2, 3))
    ours.save(tmp_path, {"train_rows": 48})
    told = r"laser_state: the state knows 3 prompts and none of them is in the training data.*delete the file"
    with pytest.raises(ValueError, match=told):
        driver().load(tmp_path, {"train_rows": 50}, lambda: keys(7, 8))


def test_the_same_data_are_not_read_again(tmp_path: Path) -> None:
    ours = driver()
    ours.difficulty.observe(batch(1, 2, 3))
    ours.save(tmp_path, {"train_rows": 48})
    restored = driver()
    restored.load(tmp_path, {"train_rows": 48, "train_prompts": "0f"}, lambda: pytest.fail("read"))
    assert restored.difficulty.tracker.size == 3


def test_another_number_of_rollouts_is_refused_with_a_remedy(tmp_path: Path) -> None:
    driver().save(tmp_path, {})
    with pytest.raises(ValueError, match=r"rollout_n was 2, is 4.*delete the file"):
        driver(group_size=4).load(tmp_path, {})


def test_state_of_other_bounds_is_refused(tmp_path: Path) -> None:
    driver().save(tmp_path, {})
    told = "laser_verl: method laser_d, load_state_dict: .*interval is 4 in the saved state and 8 in this run"
    with pytest.raises(ValueError, match=told):
        driver(interval=8).load(tmp_path, {})


def test_a_damaged_state_file_says_how_to_go_on(tmp_path: Path) -> None:
    driver().save(tmp_path, {})
    (tmp_path / NAME).write_bytes((tmp_path / NAME).read_bytes()[:100])
    with pytest.raises(ValueError, match="delete this file"):
        driver().load(tmp_path, {})


def test_a_checkpoint_without_our_state_starts_afresh_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    driver().load(tmp_path, {})
    assert "start afresh" in caplog.text


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"a/b": 1}, "state key 'a/b' must be a text without a slash"),
        ({"seen": np.int64(1)}, r"state entry seen=np\.int64\(1\) must be a numpy array or what JSON carries"),
        (None, "it returned a NoneType; return a flat dict"),
    ],
)
def test_a_state_that_cannot_be_saved_names_its_method(tmp_path: Path, state: Any, told: str) -> None:
    ours = driver()
    ours.method.state_dict = lambda: state  # type: ignore[method-assign]
    for call in (ours.method_state, lambda: ours.save(tmp_path / "step", {})):
        with pytest.raises(ValueError, match=f"laser_verl: method laser_d, state_dict: {told}"):
            call()
    assert list(tmp_path.glob("step/*")) == []


def fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def write_half(file: Any, *_: Any, **__: Any) -> None:
        file.write(HALF)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(state.np, "save", write_half)


def test_a_save_that_fails_half_way_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, folder = driver(), tmp_path / "global_step_3"
    ours.method.observe(Rollouts.build(["p", "p"], [8, 8], [1, 1], step=1))
    ours.save(folder, {})
    assert [path.name for path in folder.iterdir()] == [NAME]
    ours.method.observe(Rollouts.build(["q", "q"], [20, 20], [1, 0], step=2))

    with monkeypatch.context() as patch:
        fill_the_disk(patch)
        with pytest.raises(OSError, match="No space left"):
            ours.save(folder, {})
    restored = driver()
    restored.load(folder, {})
    # the easy group of step 1, both solved within 8 tokens; without the medium one of step 2, so 64, the longest, stays
    assert restored.method.metrics() == {
        "laser/target_length/easy": 8.0,
        "laser/target_length/medium": 64.0,
        "laser/target_length/hard": 64.0,
        "laser/target_prompts/easy": 1.0,
        "laser/target_prompts/medium": 0.0,
        "laser/target_prompts/hard": 0.0,
    }

    ours.save(folder, {})
    restored = driver()
    restored.load(folder, {})
    assert restored.method.metrics()["laser/target_prompts/medium"] == 1.0


def test_what_a_failed_first_save_leaves_is_not_taken_for_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fill_the_disk(monkeypatch)
    with pytest.raises(OSError, match="No space left"):
        driver().save(tmp_path, {})
    assert NAME not in [path.name for path in tmp_path.iterdir()]
    driver().load(tmp_path, {})
    assert "start afresh" in caplog.text

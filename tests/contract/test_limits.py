"""Limits on the length of rollouts: which prompt carries which, and where a run does without them and says so."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from omegaconf import OmegaConf
from tensordict import NonTensorData, NonTensorStack, TensorDict
from verl.trainer.ppo.v1.trainer_base import PPOTrainer

from laser_verl.core import Context, MethodBase, Mixed, Need, build, register
from laser_verl.core.mixed import limits_rollouts
from laser_verl.core.registry import METHODS
from laser_verl.verl_ext import limited_rollout
from laser_verl.verl_ext.agent_loops import choose_agent_loop
from laser_verl.verl_ext.checks import Report, check
from laser_verl.verl_ext.limited_rollout import row_limits
from laser_verl.verl_ext.settings import Plugin, Settings, Verification
from laser_verl.verl_ext.trainer_modes import LaserSync
from tests.contract.good_run import KWARGS, has_note

SIRI = {"method": "siri", "longest": 80, "shortest": 40, "period": 4}
PRUNE = {"method": "thinkprune", "stages": [70]}
LOOP = "actor_rollout_ref.rollout.agent.default_agent_loop"


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """A method `late`, without a limit before step 10, and one whose limit is no number of tokens, `odd`."""
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))

    @register("late", needs={Need.RESPONSE}, formula="C", source="none")
    @dataclass(kw_only=True, eq=False)
    class Late(MethodBase):
        """A limit from step 10 on."""

        def rollout_limit(self, step: int) -> int | None:
            return None if step < 10 else 50

    @register("odd", needs={Need.RESPONSE}, formula="C", source="none")
    @dataclass(kw_only=True, eq=False)
    class Odd(MethodBase):
        """A limit that is none, and one that cannot be told."""

        def rollout_limit(self, step: int) -> Any:
            return {0: 0, 1: 12.5}[step]


def mixed(**parts: Any) -> Mixed:
    method = build("mixed", {"per_data_source": parts})
    assert isinstance(method, Mixed)
    return method


def prompts(**columns: list[str]) -> TensorDict:
    size = len(next(iter(columns.values())))
    batch = TensorDict({"index": torch.arange(size)}, batch_size=size)
    for name, texts in columns.items():
        batch[name] = NonTensorStack.from_list([NonTensorData(text) for text in texts])
    return batch


def test_which_methods_limit_rollouts(late: None) -> None:
    limited = {"siri": {}, "thinkprune": {}, "late": {}}
    for name, options in limited.items():
        assert limits_rollouts(build(name, options))
    assert not limits_rollouts(build("kimi"))
    assert not limits_rollouts(mixed(math="kimi", chat="none"))
    assert limits_rollouts(mixed(math="kimi", chat="late"))


def test_each_prompt_of_a_mixture_carries_the_limit_of_its_own_method() -> None:
    method = mixed(math=SIRI, code=PRUNE, default="none")
    batch = prompts(data_source=["math", "chat", "code", "math"])
    # cosine from 80 to 40 over four steps: 60 at step 1; no limit for chat
    assert row_limits(batch, method, 1) == [60, 0, 70, 60]
    assert row_limits(batch, method, 2) == [40, 0, 70, 40]


def test_a_limit_that_begins_late_is_none_until_then(late: None) -> None:
    batch = prompts(data_source=["math", "math"])
    assert [row_limits(batch, build("late"), step) for step in (0, 10)] == [[0, 0], [50, 50]]


def test_prompts_of_another_agent_loop_carry_no_limit_and_a_warning_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limited_rollout.warn_of.cache_clear()
    names = ["tool_agent", "laser_limited", "laser_seeded", "single_turn_agent"]
    batch = prompts(data_source=["math"] * 4, agent_name=names)
    for _ in range(2):
        assert row_limits(batch, build("thinkprune", {"stages": [70]}), 1) == [0, 70, 70, 0]
    told = [record.getMessage() for record in caplog.records]
    assert [text for text in told if "'tool_agent'" in text] == [
        "laser_verl: rows with agent_name='tool_agent' run up to data.max_response_length, since that agent loop knows "
        "no limit of the method; leave the column out, or write laser_limited there"
    ]
    assert len(told) == 2


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (0, r"method odd, rollout_limit: rollout_limit\(0\)=0 must be a positive number of tokens; give e\.g\. 4096"),
        (1, r"method odd, rollout_limit: rollout_limit\(1\)=12\.5 must be a positive number of tokens"),
        (2, "method odd, rollout_limit: KeyError: 2"),
    ],
)
def test_a_limit_that_is_none_names_its_method(late: None, step: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        row_limits(prompts(data_source=["math"]), mixed(default="odd"), step)


def test_a_prompt_without_a_method_is_refused_before_it_is_generated() -> None:
    with pytest.raises(ValueError, match=r"unknown data_source 'chat'; .*add it to per_data_source"):
        row_limits(prompts(data_source=["chat"]), mixed(math=SIRI), 1)


def test_the_trainer_sends_limits_only_where_the_run_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[TensorDict] = []
    monkeypatch.setattr(PPOTrainer, "_submit_batch_to_rollout", lambda self, batch: sent.append(batch) or 0)
    trainer = object.__new__(LaserSync)
    trainer.driver, trainer.global_steps = SimpleNamespace(method=mixed(math=SIRI, chat="none")), 1
    for trainer._limits_rollouts in (True, False):
        trainer._submit_batch_to_rollout(prompts(data_source=["math", "chat"]))
    assert list(sent[0]["laser_max_tokens"]) == [60, 0]
    assert "laser_max_tokens" not in sent[1]


def chosen(
    method: str, options: Mapping[str, Any], engine: str = "vllm", loop: str = "single_turn_agent", seeded: bool = False
) -> tuple[bool, str]:
    agent = {"agent": {"default_agent_loop": loop}, "name": engine}
    run = OmegaConf.create({"actor_rollout_ref": {"rollout": agent}})
    settings = Settings(method, options, Verification(), Plugin(seeded_rollout=seeded), Context(4, 96), "sync")
    keeps = choose_agent_loop(run, settings, settings.build_method())
    return keeps, run.actor_rollout_ref.rollout.agent.default_agent_loop


def test_which_runs_keep_the_limits(late: None, caplog: pytest.LogCaptureFixture) -> None:
    mixture = {"per_data_source": {"math": PRUNE, "chat": "none"}}
    assert chosen("late", {}) == (True, "laser_limited")
    assert chosen("mixed", mixture) == (True, "laser_limited")
    assert chosen("mixed", mixture, engine="sglang") == (True, "laser_limited")
    assert chosen("late", {}, loop="laser_seeded") == (True, "laser_seeded")
    assert chosen("late", {}, seeded=True) == (True, "laser_seeded")
    assert chosen("kimi", {}, seeded=True) == (False, "laser_seeded")
    assert caplog.messages == []


def test_runs_that_cannot_keep_them_say_why(caplog: pytest.LogCaptureFixture) -> None:
    assert chosen("siri", {"longest": 80, "shortest": 40}, engine="trtllm") == (False, "single_turn_agent")
    assert chosen("siri", {"longest": 80, "shortest": 40}, loop="tool_agent") == (False, "tool_agent")
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    trtllm, loop = caplog.messages
    assert trtllm == (
        "laser_verl: siri limits the length of rollouts, which here run up to data.max_response_length and are judged "
        "by their length afterwards: actor_rollout_ref.rollout.name=trtllm sets the length of a request itself; give "
        "vllm or sglang to cut them at the limit"
    )
    assert loop.endswith(f"{LOOP}=tool_agent knows no limit; leave it out to cut single-turn rollouts at the limit")


@pytest.fixture
def with_siri(good: list[str]) -> Any:
    kept = [text for text in good if not text.startswith(("method", KWARGS))]
    options = (f"+{KWARGS}.longest=120", f"+{KWARGS}.shortest=60")

    def run(*arguments: str, name: str = "siri") -> Report:
        own = options if name == "siri" else ()
        return check([*kept, "~method", f"reward.reward_manager.name={name}", *own, *arguments])

    return run


def limit_notes(report: Report) -> list[str]:
    assert report.mistakes == []
    return [note for note in report.notes if "limits the length of rollouts" in note]


def test_check_is_silent_where_rollouts_follow_the_limit(with_siri: Any) -> None:
    assert limit_notes(with_siri()) == []
    assert limit_notes(with_siri(f"{LOOP}=tool_agent", name="kimi")) == []


def test_check_says_where_rollouts_do_not_follow_the_limit(with_siri: Any) -> None:
    [note] = limit_notes(with_siri("actor_rollout_ref.rollout.name=trtllm"))
    assert note.startswith("siri limits the length of rollouts, which here run up to data.max_response_length")
    assert "rollout.name=trtllm" in note
    [note] = limit_notes(with_siri(f"{LOOP}=tool_agent"))
    assert f"{LOOP}=tool_agent knows no limit" in note
    parts = f"+{KWARGS}.per_data_source={{tiny_world/easy:{{method:thinkprune,stages:[64]}},default:none}}"
    assert has_note(with_siri(f"{LOOP}=tool_agent", parts, name="mixed"), "mixed limits the length of rollouts")


def test_check_says_so_for_the_stock_trainer(with_siri: Any) -> None:
    stages = (f"+{KWARGS}.stages=[64]", "+laser.auto_mode=false")
    [note] = limit_notes(with_siri(*stages, name="thinkprune"))
    assert "laser.auto_mode=false leaves the stock trainer in place, which hands out no limit; leave it out" in note


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_check_names_the_column_that_takes_the_place_of_our_agent_loop(
    with_siri: Any, good: list[str], tmp_path: Path, suffix: str
) -> None:
    train = next(text for text in good if text.startswith("data.train_files=")).partition("=")[2]
    path = tmp_path / f"train.{suffix}"

    def write(*names: str) -> str:
        rows = pq.read_table(train).to_pylist()
        given = [{**row, "agent_name": names[place % len(names)]} for place, row in enumerate(rows)]
        table = pa.Table.from_pylist(given)
        if suffix == "parquet":
            pq.write_table(table, path)
        else:
            table.to_pandas().to_json(path, orient="records", lines=True)
        return f"data.train_files={path}"

    [note] = limit_notes(with_siri(write("tool_agent", "laser_limited")))
    assert f"{path} has a column agent_name with tool_agent, which takes the place of our agent loop" in note
    assert "write laser_limited there" in note
    assert limit_notes(with_siri(write("laser_limited"))) == []

"""A method per data source: who shapes what, options by their full names, metrics and state apart."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from laser_verl.cli import app
from laser_verl.core import (
    EASY,
    HARD,
    Context,
    LaserD,
    MethodBase,
    Mixed,
    Need,
    Rollouts,
    Scores,
    Shaped,
    build,
    describe,
    guarded,
    register,
)
from laser_verl.core.bands import NO_BAND
from laser_verl.core.registry import METHODS
from laser_verl.core.state import load_state, save_state

CONTEXT = Context(group_size=2, max_response_length=64)
MATH = {"method": "laser_d", "target_lengths": {"easy": 10, "medium": 20, "hard": 40}}
ADAPTIVE = {"method": "laser_d", "lower_bound": 8, "interval": 4}


def mixed(parts: Mapping[str, Any], context: Context = CONTEXT) -> Mixed:
    method = build("mixed", {"per_data_source": parts}, context)
    assert isinstance(method, Mixed)
    return method


def refused(options: Mapping[str, Any]) -> str:
    with pytest.raises(ValueError) as error:  # noqa: PT011 (the callers check the message)
        build("mixed", options, CONTEXT)
    return str(error.value)


def batch(sources: Any = ("math", "chat", "math", "chat", "math", "math"), **more: Any) -> Rollouts:
    """Two groups of math, a and c, and one of chat, b, with their rows interleaved."""
    prompt, lengths, correct = ["a", "b", "a", "b", "c", "c"], [10, 20, 11, 20, 40, 5], [1, 1, 1, 0, 0, 0]
    columns = {"data_source": np.array(sources, dtype=object), **more.pop("columns", {})}
    return Rollouts.build(prompt, lengths, correct, columns=columns, **more)


def learn(method: Any, rollouts: Rollouts) -> Shaped:
    method.observe(rollouts)
    return method.shape(rollouts)


def test_each_source_is_shaped_by_its_method() -> None:
    shaped = mixed({"math": MATH, "chat": "none"}).shape(batch())
    # math: a is easy (2 of 2), target 10: 1 + 0.5 at 10, 1 at 11; c is hard (0 of 2): -0.5. chat: right 1, wrong -0.5.
    assert shaped.reward.tolist() == [1.5, 1.0, 1.0, -0.5, -0.5, -0.5]
    assert shaped.task_reward.tolist() == [1.0, 1.0, 1.0, -0.5, -0.5, -0.5]
    assert shaped.length_reward.tolist() == [0.5, 0.0, 0.0, 0.0, 0.0, 0.0]
    np.testing.assert_array_equal(shaped.target_length, [10, np.nan, 10, np.nan, 40, 40])
    assert shaped.band is not None
    assert shaped.band.tolist() == [EASY, NO_BAND, EASY, NO_BAND, HARD, HARD]
    assert shaped.ramp_frac is None


def test_bands_are_kept_where_every_response_has_one() -> None:
    chat = {"method": "laser_de", "target_lengths": {"easy": 10, "medium": 30, "hard": 40}}
    shaped = mixed({"math": MATH, "chat": chat}).shape(batch())
    # b: 1 of 2 is medium
    assert shaped.band is not None
    assert shaped.band.dtype == np.int8
    assert shaped.band.tolist() == [EASY, 1, EASY, 1, HARD, HARD]
    assert shaped.target_length is not None
    assert shaped.target_length.tolist() == [10, 30, 10, 30, 40, 40]


def test_a_batch_of_one_source_is_what_its_method_makes_of_it() -> None:
    rollouts = batch(["math"] * 6)
    options = {key: value for key, value in ADAPTIVE.items() if key != "method"}
    expected = learn(build("laser_d", options, CONTEXT), rollouts)
    got = learn(mixed({"math": ADAPTIVE, "chat": "kimi"}), rollouts)
    for field in ("task_reward", "length_reward", "band", "target_length"):
        np.testing.assert_array_equal(getattr(got, field), getattr(expected, field))


def test_simulate_prints_null_for_a_response_without_a_band(tmp_path: Path) -> None:
    options = json.dumps({"per_data_source": {"math": MATH, "chat": "none"}})
    line = {"prompt": ["a", "a", "b"], "response_length": [9, 9, 9], "correct": [1, 1, 0], "well_formed": [1, 1, 1]}
    path = tmp_path / "batch.jsonl"
    path.write_text(json.dumps({**line, "data_source": ["math", "math", "chat"], "max_response_length": 64}))
    done = CliRunner().invoke(app, ["simulate", "mixed", "--options", options, "--input", str(path)])
    assert json.loads(done.stdout)["band"] == ["easy", "easy", None]


def test_methods_without_targets_give_none() -> None:
    shaped = mixed({"math": "kimi", "chat": "none"}).shape(batch())
    assert shaped.target_length is shaped.band is None
    # a: 10 and 11, both solved, 1/2 and -1/2; c: unsolved, min(0, 1/2 - 1) and min(0, 1/2)
    assert shaped.length_reward.tolist() == [0.5, 0.0, -0.5, 0.0, -0.5, 0.0]


def test_the_default_takes_all_sources_not_named() -> None:
    method = mixed({"math": MATH, "default": {"method": "truncation", "target_length": 15, "rho": -2}})
    shaped = method.shape(batch(["math", "x/y", "math", "x/y", "other", "other"]))
    # b: both of 20 are beyond 15; c: 40 is, 5 is not
    assert shaped.reward.tolist() == [1.5, -2.0, 1.0, -2.0, -2.0, -0.5]


def test_an_empty_batch_is_a_batch() -> None:
    rollouts = Rollouts.build([], [], [], columns={"data_source": np.array([], dtype=object)})
    shaped = learn(mixed({"math": ADAPTIVE, "chat": "none"}), rollouts)
    assert shaped.reward.tolist() == []
    assert shaped.band is shaped.target_length is None


def test_row_order_does_not_matter() -> None:
    method, rollouts = mixed({"math": "kimi", "chat": MATH}), batch()
    order = np.array([5, 3, 0, 4, 1, 2])
    columns = {"data_source": rollouts.columns["data_source"][order]}
    moved = Rollouts.build(
        [rollouts.prompt_key[group] for group in rollouts.group[order]],
        rollouts.length[order],
        rollouts.correct[order],
        columns=columns,
    )
    assert method.shape(moved).reward.tolist() == method.shape(rollouts).reward[order].tolist()


def test_texts_in_an_array_of_texts_are_sources_too() -> None:
    columns = {"data_source": ["math", "math"]}
    rollouts = Rollouts.build([0, 0], [10, 50], [1, 1], columns=columns)
    assert mixed({"math": MATH}).shape(rollouts).reward.tolist() == [1.5, 1.0]


def test_each_part_has_its_own_columns_and_scores() -> None:
    parts = {"math": {"method": "hbpo", "scores": {"correct": 3}}, "chat": {"method": "none", "scores": {"wrong": -9}}}
    method = mixed({**parts, "code": "kimi"})
    assert method.columns == ("data_source", "budget")
    assert method.required_columns == ("data_source",)
    assert method.scores_of("math").correct == 3.0
    assert method.scores_of("chat") == Scores(wrong=-9.0)
    assert method.scores_of("code") == Scores(1.0, 0.0, 0.0)
    # rows of chat need no budget, even where those of math do
    rollouts = batch(columns={"budget": [30, np.nan, 30, np.nan, 40, 40]})
    assert method.shape(rollouts).task_reward.tolist() == [3.0, 1.0, 3.0, -9.0, *[method.scores_of("math").wrong] * 2]


def test_sources_of_validation_alone_have_the_usual_scores() -> None:
    assert mixed({"math": "kimi"}).scores_of("aime24") == Scores()
    assert mixed({"math": "kimi"}).scores_of(None) == Scores()
    assert mixed({"math": "none", "default": "kimi"}).scores_of("aime24").wrong == 0.0


def test_what_all_parts_require_every_response_has_to_bring() -> None:
    method = mixed({"easy": "o1_pruner", "hard": "o1_pruner"})
    assert method.required_columns == ("data_source", "reference_length", "reference_accuracy")


def test_needs_are_those_of_the_parts() -> None:
    laser = {"method": "laser", "target_length": 8}
    assert mixed({"math": laser, "chat": "none"}).needs == {Need.RESPONSE}
    assert mixed({"math": ADAPTIVE, "chat": "none"}).needs == {Need.RESPONSE, Need.GROUP, Need.HISTORY}
    assert mixed({"math": MATH}).needs == {Need.GROUP}
    assert describe("mixed").required == ("per_data_source",)
    assert describe("mixed").columns == ("data_source",)


def test_rollouts_may_be_as_long_as_the_longest_part_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))

    @register("limited", needs={Need.RESPONSE}, formula="C", source="none")
    @dataclass(kw_only=True, eq=False)
    class Limited(MethodBase):
        """A limit."""

        limit: int

        def rollout_limit(self, step: int) -> int | None:
            return self.limit + step

    short, long = {"method": "limited", "limit": 10}, {"method": "limited", "limit": 20}
    assert mixed({"math": short, "chat": long}).rollout_limit(5) == 25
    assert mixed({"math": short, "chat": "none"}).rollout_limit(5) is None


def test_a_ramp_is_each_parts_own() -> None:
    method = mixed({"math": {**MATH, "ramp": [0, 10]}, "chat": {"method": "kimi", "ramp": [0, 20]}})
    shaped = method.shape(batch(step=5))
    # math: half of the bonus; chat: equal lengths, nothing
    assert shaped.length_reward.tolist() == [0.25, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert shaped.ramp_frac == pytest.approx((0.5 + 0.25) / 2)


def test_metrics_carry_the_name_of_their_source() -> None:
    method = mixed({"math": MATH, "x/chat": {"method": "laser", "target_length": 9}, "default": "none"})
    assert method.metrics() == {
        "laser/math/target_length/easy": 10.0,
        "laser/math/target_length/medium": 20.0,
        "laser/math/target_length/hard": 40.0,
        "laser/x/chat/target_length/all": 9.0,
    }


def test_each_part_learns_from_its_own_groups_only() -> None:
    method = mixed({"math": ADAPTIVE, "chat": ADAPTIVE})
    method.observe(batch())
    counts = {name: count for name, count in method.metrics().items() if "target_prompts" in name}
    assert counts == {
        "laser/math/target_prompts/easy": 1.0,
        "laser/math/target_prompts/medium": 0.0,
        "laser/math/target_prompts/hard": 1.0,
        "laser/chat/target_prompts/easy": 0.0,
        "laser/chat/target_prompts/medium": 1.0,
        "laser/chat/target_prompts/hard": 0.0,
    }


def test_the_state_goes_through_a_file_and_another_order_of_the_sources(tmp_path: Path) -> None:
    parts = {"openai/math": ADAPTIVE, "chat": {**ADAPTIVE, "interval": 5}, "default": "none"}
    sources = ["openai/math", "chat", "openai/math", "chat", "x", "x"]
    unbroken = mixed(parts)
    for step in range(3):
        unbroken.observe(batch(sources, step=step))
    path = tmp_path / "laser_state"
    save_state(path, {"method": unbroken.state_dict()})
    resumed = mixed(dict(reversed(parts.items())))
    resumed.load_state_dict(load_state(path)["method"])
    assert resumed.metrics() == unbroken.metrics()
    for method in (unbroken, resumed):
        method.observe(batch(sources, step=30))
    assert resumed.metrics() == unbroken.metrics()
    assert resumed.shape(batch(sources)).reward.tolist() == unbroken.shape(batch(sources)).reward.tolist()


def test_the_state_is_flat_and_plain() -> None:
    state = mixed({"math": ADAPTIVE, "chat": "none"}).state_dict()
    assert all(isinstance(value, int | str | np.ndarray) for value in state.values())
    assert not any("/" in key for key in state)
    assert (state["method"], state["0.method"], state["1.method"]) == ("mixed", "laser_d", "none")


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"math": ADAPTIVE}, "of the data sources math, chat, per_data_source has math; set the saved ones again, or"),
        ({"math": ADAPTIVE, "chat": "none", "code": "none"}, "per_data_source has math, chat, code"),
        ({"math": "none", "chat": "none"}, "per_data_source.math, method none: the saved state is of method 'laser_d'"),
        ({"math": {**ADAPTIVE, "interval": 8}, "chat": "none"}, "per_data_source.math, method laser_d: saved target"),
    ],
)
def test_a_state_of_other_parts_is_refused(parts: Mapping[str, Any], told: str) -> None:
    state = mixed({"math": ADAPTIVE, "chat": "none"}).state_dict()
    with pytest.raises(ValueError, match="laser_state") as error:
        mixed(parts).load_state_dict(state)
    assert told in str(error.value)


@pytest.mark.parametrize("sources", [None, "", '["math"', "7", "[1]"])
def test_a_damaged_state_is_refused(sources: str | None) -> None:
    method = mixed({"math": ADAPTIVE, "chat": "none"})
    with pytest.raises(ValueError, match=r"the saved state is damaged: sources=.* delete the file laser_state"):
        method.load_state_dict({**method.state_dict(), "sources": sources})


def test_a_state_of_another_method_is_refused() -> None:
    with pytest.raises(ValueError, match="the saved state is of method 'none', this run uses 'mixed'"):
        mixed({"math": "none"}).load_state_dict(build("none").state_dict())


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({}, "per_data_source={} is empty; give a method per data source, e.g. {math: laser_d}"),
        ({1: "none"}, "per_data_source has the key 1; give a data_source of the data, a text"),
        ({"": "none"}, "per_data_source has the key ''; give"),
        ({"chat": None}, "per_data_source.chat=None names no method; give a name, or a mapping with the key method"),
        ({"chat": {"alpha": 1}}, "per_data_source.chat={'alpha': 1} names no method"),
        ({"chat": {"method": 3}}, "per_data_source.chat={'method': 3} names no method"),
        ({"chat": ["none"]}, "per_data_source.chat=['none'] names no method"),
        ({"chat": "nnone"}, "per_data_source.chat: unknown method 'nnone'; did you mean 'none'? known: "),
        ({"math": "laser"}, "per_data_source.math: laser needs the option target_length; its options are"),
        ({"math": {**ADAPTIVE, "lower": 8}}, "per_data_source.math: unknown laser_d option 'lower'; did you mean"),
        ({"math": {**ADAPTIVE, "lower_bound": 0}}, "per_data_source.math.lower_bound=0 must be"),
        ({"math": {**ADAPTIVE, "alpha": "1"}}, "per_data_source.math.alpha='1' must be a finite number"),
        ({"math": {**ADAPTIVE, "ramp": [5, 5]}}, "per_data_source.math.ramp=[5, 5] must be two steps"),
        ({"math": {**ADAPTIVE, "scores": {"wrong": 2}}}, "per_data_source.math.scores={'correct': 1.0, 'wrong': 2.0"),
        ({"math": {**ADAPTIVE, "rounding": "up"}}, "per_data_source.math: unknown rounding 'up'; known: ceil, floor"),
        ({"a.b": {"method": "laser", "target_length": 65}}, "per_data_source.a.b.target_length=65 is above max_resp"),
        (
            {"math": {"method": "mixed", "per_data_source": {}}},
            "per_data_source.math='mixed' is a mixture in a mixture",
        ),
        ({"math": "l1_max"}, "per_data_source.math: l1_max puts a budget into every prompt, which a mixture cannot do"),
    ],
)
def test_a_bad_part_is_refused_by_its_full_name(parts: Mapping[Any, Any], told: str) -> None:
    assert refused({"per_data_source": parts}).startswith(told)


@pytest.mark.parametrize("extra", [{"scores": {"wrong": -0.5}}, {"ramp": [0, 10]}])
def test_shared_options_belong_to_the_parts(extra: Mapping[str, Any]) -> None:
    (option,) = extra
    told = refused({"per_data_source": {"math": MATH}, **extra})
    assert told == (
        f"{option} beside per_data_source would reach none of its methods; give it to each that shall have it, e.g. "
        f"per_data_source.math.{option}"
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "mixed needs the option per_data_source; its options are per_data_source, scores, ramp"),
        ({"per_data_source": "laser_d"}, "per_data_source='laser_d' must be a mapping"),
        ({"per_data_sources": {}}, "unknown mixed option 'per_data_sources'; did you mean 'per_data_source'?"),
    ],
)
def test_the_option_itself_is_checked(options: Mapping[str, Any], told: str) -> None:
    assert refused(options).startswith(told)


def test_a_batch_without_sources_is_refused() -> None:
    with pytest.raises(ValueError, match="the batch has no column data_source; give the data source of each response"):
        mixed({"math": MATH}).shape(Rollouts.build([0], [1], [1]))


@pytest.mark.parametrize("source", ["maths", None, 3])
def test_a_source_without_a_method_is_named_with_the_remedy(source: object) -> None:
    method = mixed({"math": MATH, "chat": "none"})
    for call in (method.observe, method.shape):
        with pytest.raises(ValueError, match=f"unknown data_source {source!r}; .*known: math, chat; add it") as error:
            call(batch(["math", "chat", "math", "chat", source, source]))
    assert str(error.value).endswith("to per_data_source, or a default for all that are not named, e.g. default: none")


def test_a_group_of_two_sources_is_refused() -> None:
    told = r"data_source\[3\]='math' is not that of its group, the prompt 'b'; give all responses to a prompt the same"
    with pytest.raises(ValueError, match=told):
        mixed({"math": MATH, "chat": "none"}).shape(batch(["math", "chat", "math", "math", "math", "math"]))
    with pytest.raises(ValueError, match=r"data_source\[3\]='y' is not"):
        mixed({"math": MATH, "default": "none"}).shape(batch(["math", "x", "math", "y", "math", "math"]))


def test_what_goes_wrong_in_a_part_names_it() -> None:
    method = mixed({"math": "o1_pruner", "chat": "none"})
    told = r"^per_data_source\.math, method o1_pruner: the batch has no column reference_"
    with pytest.raises(ValueError, match=told):
        method.shape(batch())
    with pytest.raises(RuntimeError, match=r"method mixed fails on the group 'a': per_data_source\.math, method o1_"):
        guarded.shape(method, batch())


def test_a_users_part_that_returns_too_little_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))

    @register("careless", needs={Need.RESPONSE}, formula="C", source="none")
    @dataclass(kw_only=True, eq=False)
    class Careless(MethodBase):
        """One number for all."""

        def observe(self, rollouts: Rollouts) -> None:
            if rollouts.step:
                raise KeyError("x")

        def terms(self, rollouts: Rollouts) -> Shaped:
            return Shaped(np.zeros(rollouts.size), np.zeros(1))

    method = mixed({"math": "none", "chat": "careless"})
    with pytest.raises(ValueError, match=r"chat, method careless: length_reward has shape \(1,\), the batch has 2"):
        method.shape(batch())
    with pytest.raises(ValueError, match=r"chat, method careless: KeyError: 'x'"):
        method.observe(batch(step=1))


def test_parts_share_the_runs_context() -> None:
    part = mixed({"math": {"method": "laser_d"}}, Context(group_size=8, max_response_length=4096)).part_of("math")
    assert isinstance(part, LaserD)
    assert part.targets["hard"] == 4096


def test_a_million_responses_take_less_than_a_second() -> None:
    size = 1_000_000
    group = np.arange(size) // 8
    sources = np.array(["math", "chat"], dtype=object)[group % 2]
    length, correct = np.arange(size) % 60 + 1, np.arange(size) % 3 == 0
    rollouts = Rollouts.build(group, length, correct, columns={"data_source": sources})
    method = mixed({"math": MATH, "chat": "none"})
    seconds = []
    for _ in range(3):
        begun = time.process_time()
        learn(method, rollouts)
        seconds.append(time.process_time() - begun)
    assert min(seconds) < 1.0

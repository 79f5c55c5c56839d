"""What cannot be meant, and what is said about it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from laser_verl.core.policies.base import build_policy, describe_policy, policy_names
from tests.unit.policies.pools import NONE, pool_of, started

NAN = float("nan")
ONE_STAGE = {"only": {"low": 0, "high": 1}}
# What a policy cannot be built without.
REQUIRED: dict[str, dict[str, Any]] = {
    "curriculum": {"column": "level", "stages": ONE_STAGE},
    "column_mix": {"column": "level", "shares": {"a": 1.0}},
}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("band_mix", {"shares": {"easy": 0.5, "medium": 0.5, "hard": 0.5}}, "must sum to 1, not 1.5"),
        ("band_mix", {"shares": {"easy": NAN, "medium": 0.5, "hard": 0.5}}, "shares.easy=nan must be a finite number"),
        ("band_mix", {"shares": {"easy": -0.5, "medium": 1.0, "hard": 0.5}}, "shares.easy=-0.5 must be 0 or more"),
        ("band_mix", {"shares": {"easy": 0.0, "medium": 0.0, "hard": 0.0}}, "must sum to 1, not 0"),
        ("band_mix", {"shares": {"easy": 0.5, "medium": 0.5}}, "shares lacks hard"),
        ("band_mix", {"shares": {"easyy": 1.0}}, "unknown shares key 'easyy'; did you mean 'easy'"),
        ("band_mix", {"shares": {"easy": "all", "medium": 0, "hard": 0}}, "shares.easy='all' must be a finite number"),
        ("max_entropy", {"weight": "entropy"}, "unknown weight 'entropy'"),
        ("max_entropy", {"unseen_pass_rate": 1.0}, "gives prompts that were not seen yet the weight 0"),
        ("max_entropy", {"unseen_pass_rate": 0.0}, "gives prompts that were not seen yet the weight 0"),
        ("prioritised", {"unseen_pass_rate": 1.0}, "gives prompts that were not seen yet the weight 0"),
        ("prioritised", {"unseen_pass_rate": 1.5}, "unseen_pass_rate=1.5 must be from 0 to 1"),
        ("prioritised", {"unseen_pass_rate": NAN}, "unseen_pass_rate=nan must be a finite number"),
        ("dots", {"tau": 0}, "tau=0.0 must be above 0"),
        ("dots", {"tau": -1}, "tau=-1.0 must be above 0"),
        ("skip_solved", {"after": 0}, "after=0 must be a positive number of draws"),
        ("adarft", {"beta": 2}, "beta=2.0 must be from 0 to 1"),
        ("adarft", {"eta": -1}, "eta=-1.0 must be 0 or more"),
        ("adarft", {"alpha": -1}, "alpha=-1.0 must be 0 or more"),
        ("adarft", {"low": 200}, "low=200.0 must be less than high=100.0"),
        ("adarft", {"initial": 120}, "initial=120.0 must be from low=0.0 to high=100.0"),
        ("mopps", {"candidates": 0}, "candidates=0 must be a positive"),
        ("mopps", {"target": 1.1}, "target=1.1 must be from 0 to 1"),
        ("sec", {"lr": 1.5}, "lr=1.5 must be from 0 to 1"),
        ("sec", {"temperature": 0}, "temperature=0.0 must be above 0"),
        ("greso", {"initial": 1.0}, "initial=1.0 must be from 0.05 to 0.95"),
        ("greso", {"zero_variance_frac": -0.1}, "zero_variance_frac=-0.1 must be from 0 to 1"),
        ("curriculum", {}, "curriculum needs the option column"),
        ("curriculum", {"column": "level", "stages": {}}, "stages={} is empty"),
        ("curriculum", {"column": "level", "stages": {"a": 3}}, "stages.a=3 must be a mapping"),
        (
            "curriculum",
            {"column": "level", "stages": {"a": {"hihg": 3}}},
            "unknown stages.a key 'hihg'; did you mean 'high'",
        ),
        ("curriculum", {"column": "level", "stages": {"a": {"low": 3, "high": 1}}}, "low=3.0 at most high=1.0"),
        ("curriculum", {"column": "level", "stages": {"a": {"low": NAN}}}, "stages.a.low=nan must be a finite number"),
        ("curriculum", {"column": "level", "stages": {"a": {}, "b": {}}}, "stages.a lacks steps"),
        ("curriculum", {"column": "level", "stages": {"a": {"steps": 5}}}, "stages.a.steps=5 has no effect"),
        (
            "curriculum",
            {"column": "level", "stages": {"a": {"steps": 0}, "b": {}}},
            "stages.a.steps=0 must be a positive",
        ),
        (
            "curriculum",
            {"column": "level", "stages": {"a": {"steps": 5}, "b": {}}, "advance_at": 0.5},
            "stages.a.steps=5 has no effect, since advance_at ends stages",
        ),
        ("curriculum", {"column": "level", "stages": ONE_STAGE, "advance_at": 0}, "advance_at=0.0 must be above 0"),
        ("column_mix", {"column": "level", "shares": {"a": 0.5}}, "must sum to 1, not 0.5"),
        ("column_mix", {"column": "level", "shares": {}}, "shares={} is empty"),
        ("column_mix", {"column": "level", "shares": {1: 1, 2: 1, 3: 1}}, "{'1': 0.333, '2': 0.333, '3': 0.334}"),
        ("uniform", {"order": 1}, "unknown uniform option 'order'"),
    ],
)
def test_options(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        build_policy(name, options)


TWO = [None, None]


@pytest.mark.parametrize(
    ("name", "options", "columns", "message"),
    [
        ("adarft", {"column": "level"}, {"level": ["5", "6"]}, "level='5' of prompt 0 must be a finite number"),
        ("adarft", {"column": "level"}, {"level": [5, NAN]}, "level=nan of prompt 1 must be a finite number"),
        ("adarft", {"column": "level"}, {"level": np.array([5, None], dtype=object)}, "level=None of prompt 1 must be"),
        ("adarft", {"column": "level"}, {"level": [True, False]}, "level=True of prompt 0 must be"),
        ("adarft", {"column": "level"}, {"level": [1.0, np.inf]}, "level=inf of prompt 1 must be"),
        ("adarft", {"column": "levell"}, {"level": [1, 2]}, "unknown column 'levell'; did you mean 'level'"),
        ("adarft", {"column": "level"}, {"level": [1, 2, 3]}, "one value per prompt, [2]; it has (3,)"),
        ("curriculum", REQUIRED["curriculum"], {"level": ["a", "b"]}, "level='a' of prompt 0 must be a finite number"),
        (
            "curriculum",
            REQUIRED["curriculum"],
            {"level": [1, 2]},
            "stages.only has 1 prompts with level from 0 to 1, fewer",
        ),
        (
            "sec",
            {},
            {"data_source": np.array(["a", None], dtype=object)},
            "data_source=None of prompt 1 must be a text",
        ),
        ("sec", {}, {"data_source": [1.0, NAN]}, "data_source=nan of prompt 1 must be a text or a number"),
        ("sec", {}, {}, "unknown column 'data_source'"),
        ("column_mix", REQUIRED["column_mix"], {"level": ["b", "c"]}, "unknown shares value of level 'a'"),
        ("column_mix", REQUIRED["column_mix"], {"level": ["a", "c"]}, "up to 2 prompts, and 1 have level=a"),
    ],
)
def test_columns(name: str, options: dict[str, Any], columns: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        started(name, pool_of(TWO, columns, batch_size=2), **options)


def test_numbers_may_be_objects() -> None:
    pool = pool_of(TWO, {"level": np.array([np.int64(3), 1.5], dtype=object)})
    assert started("adarft", pool, column="level").draw(1, np.random.default_rng(0), NONE).tolist() == [1]


def test_sec_wants_few_categories() -> None:
    with pytest.raises(ValueError, match="has 1001 different values, at most 1000"):
        started("sec", pool_of([None] * 1001, {"data_source": np.arange(1001)}))


@pytest.mark.parametrize("name", policy_names())
def test_a_batch_must_not_be_larger_than_the_pool(name: str) -> None:
    columns = {"level": ["a"] * 3, "data_source": ["x"] * 3}
    with pytest.raises(ValueError, match="a batch of 4 prompts is more than the 3 different prompts of the data"):
        started(name, pool_of([None] * 3, columns, batch_size=4), **REQUIRED.get(name, {}))


@pytest.mark.parametrize("name", sorted(set(policy_names()) - {"uniform", "sequential", *REQUIRED}))
def test_more_than_is_free_cannot_be_drawn(name: str) -> None:
    policy = started(name, pool_of([None] * 3, {"data_source": ["x"] * 3}))
    with pytest.raises(ValueError, match="count=2 is more than the 1 prompts to draw from"):
        policy.draw(2, np.random.default_rng(0), np.array([0, 2]))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "curriculum",
            {"column": "level", "stages": {"only": {"low": 2}}},
            "count=3 is more than the 2 prompts of the stage",
        ),
        ("column_mix", {"column": "level", "shares": {"2": 1}}, "count=3 is more than the 2 prompts with level in 2"),
    ],
)
def test_more_than_may_be_drawn(name: str, options: dict[str, Any], message: str) -> None:
    policy = started(name, pool_of([None] * 4, {"level": [1, 1, 2, 2]}, batch_size=2), **options)
    with pytest.raises(ValueError, match=message):
        policy.draw(3, np.random.default_rng(0), NONE)


def test_speed_is_refused_with_the_reason() -> None:
    for ask in (build_policy, describe_policy):
        with pytest.raises(ValueError, match=r"'speed' is not built: screening .* the second would overwrite"):
            ask("speed")


def test_an_unknown_name_is_told_from_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown sampling policy 'uniforn'; did you mean 'uniform'"):
        build_policy("uniforn")


@pytest.mark.parametrize("name", policy_names())
def test_every_policy_says_what_it_does(name: str) -> None:
    info = describe_policy(name)
    assert info.formula
    assert info.source
    assert "Source: " in info.text or info.source == "ours"
    assert set(info.meanings) >= set(info.options)


@pytest.mark.parametrize("state", [{}, {"version": 1, "policy": "dots"}, {"version": 2, "policy": "adarft"}])
def test_a_state_of_another_policy(state: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="this run uses 'adarft'"):
        started("adarft", pool_of(TWO)).load_state_dict(state)


@pytest.mark.parametrize("value", [None, "3", NAN, True])
@pytest.mark.parametrize(("name", "entry"), [("adarft", "target"), ("greso", "p_easy"), ("curriculum", "accuracy")])
def test_a_damaged_state(name: str, entry: str, value: object) -> None:
    policy = started(name, pool_of(TWO, {"level": [0, 1]}), **REQUIRED.get(name, {}))
    with pytest.raises(ValueError, match=f"is damaged: {entry}="):
        policy.load_state_dict({**policy.state_dict(), entry: value})


def test_a_damaged_state_of_categories() -> None:
    policy = started("sec", pool_of(TWO, {"data_source": ["a", "b"]}))
    for values in (None, np.zeros(3), np.array([0.0, NAN]), np.array(["a", "b"])):
        with pytest.raises(ValueError, match="is damaged: values="):
            policy.load_state_dict({**policy.state_dict(), "values": values})


def test_a_position_of_other_shares() -> None:
    pool = pool_of(TWO, {"level": ["a", "b"]})
    one, two = ({"column": "level", "shares": shares} for shares in ({"a": 1.0}, {"a": 0.5, "b": 0.5}))
    with pytest.raises(ValueError, match="position='rounds of 1 values beside 2 shares'"):
        started("column_mix", pool, **two).go_to(started("column_mix", pool, **one).position())

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from laser_verl.core import (
    Context,
    Laser,
    LaserD,
    MethodBase,
    Need,
    Rollouts,
    Scores,
    Shaped,
    build,
    describe,
    method_names,
    register,
)
from laser_verl.core.registry import METHODS

LONG = Context(group_size=8, max_response_length=16384)


def refused(name: str, options: Mapping[str, Any], context: Context = LONG) -> str:
    with pytest.raises(ValueError) as error:  # noqa: PT011 (the callers check the message)
        build(name, options, context)
    return str(error.value)


def test_the_three_methods_are_registered() -> None:
    assert {"laser", "laser_d", "laser_de"} <= set(method_names())
    assert method_names() == sorted(method_names())


@pytest.mark.parametrize(
    ("name", "closest"),
    [("laesr", "laser"), ("laser-d", "laser_d"), ("LASER_DE", "laser_de"), ("laserde", "laser_de")],
)
def test_an_unknown_method_gets_the_closest_name_and_the_list(name: str, closest: str) -> None:
    told = refused(name, {})
    assert told.startswith(f"unknown method '{name}'; did you mean '{closest}'? known: ")
    assert "laser, laser_d, laser_de" in told


def test_a_name_that_is_like_no_other_gets_only_the_list() -> None:
    assert "did you mean" not in refused("qqq", {})


def test_describe_tells_options_needs_and_source() -> None:
    info = describe("laser")
    assert info.name == "laser"
    assert info.needs == {Need.RESPONSE}
    assert info.options == {
        "target_length": None,
        "alpha": 0.5,
        "scores": {"correct": 1.0, "wrong": -0.5, "malformed": -1.0},
        "ramp": None,
    }
    assert info.required == ("target_length",)
    assert "2505.15612" in info.source
    assert "alpha" in info.formula
    assert info.summary == "A bonus for right, well-formed answers within one fixed target length."


def test_the_option_list_is_frozen() -> None:
    adaptive = {
        "alpha": 0.5,
        "scores": {"correct": 1.0, "wrong": -0.5, "malformed": -1.0},
        "ramp": None,
        "target_lengths": None,
        "lower_bound": 2048,
        "upper_bound": None,
        "interval": 1024,
        "rounding": "ceil",
        "source": "recent",
        "window": 500,
        "max_age": None,
        "update_every": 20,
        "monitor": {"size": 500, "file": None, "exclude": False},
        "preset": None,
    }
    assert describe("laser_d").options == adaptive
    assert describe("laser_de").options == {**adaptive, "explore": "sound"}
    assert describe("laser_d").needs == describe("laser_de").needs == {Need.GROUP, Need.HISTORY}
    assert describe("laser_d").required == describe("laser_de").required == ()


def test_describe_refuses_an_unknown_method() -> None:
    with pytest.raises(ValueError, match="unknown method 'laser_f'"):
        describe("laser_f")


def test_a_missing_required_option_is_named() -> None:
    assert (
        refused("laser", {})
        == "laser needs the option target_length; its options are target_length, alpha, scores, ramp"
    )


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("laser", {"target_lenght": 5}, "unknown laser option 'target_lenght'; did you mean 'target_length'? known: "),
        ("laser_d", {"lower": 5}, "unknown laser_d option 'lower'; did you mean 'lower_bound'?"),
        ("laser_d", {"explore": "all"}, "unknown laser_d option 'explore'"),
        ("laser_d", {"context": LONG}, "unknown laser_d option 'context'"),
        ("laser", {"target_length": "4096"}, "target_length='4096' must be a whole number; it is of type str"),
        ("laser", {"target_length": 4096.0}, "target_length=4096.0 must be a whole number"),
        ("laser", {"target_length": True}, "target_length=True must be a whole number"),
        ("laser", {"target_length": None}, "target_length=None must be a whole number"),
        ("laser", {"target_length": 5, "alpha": float("nan")}, "alpha=nan must be a finite number"),
        ("laser", {"target_length": 5, "alpha": float("inf")}, "alpha=inf must be a finite number"),
        ("laser", {"target_length": 5, "alpha": True}, "alpha=True must be a finite number"),
        ("laser", {"target_length": 5, "alpha": "0.5"}, "alpha='0.5' must be a finite number"),
        ("laser", {"target_length": 5, "alpha": 10**400}, "must be a finite number"),
        ("lapo", {"stage": 3}, "unknown stage 3; known: 1, 2"),
        ("lapo", {"stage": "1"}, "stage='1' must be one of 1, 2; it is of type str"),
        ("lapo", {"percentiles": [0.3, 0.7]}, "percentiles=[0.3, 0.7] must rise within 0 and 100, not 1"),
        ("kimi", {"weight": "0.5"}, "weight='0.5' must be a finite number, not a text"),
        ("kimi", {"scores": {"correct": 0}}, "must have correct above wrong and malformed"),
        ("lapo", {"stage": True}, "unknown stage True; known: 1, 2"),
        ("kimi", {"ramp": [1]}, "ramp=[1] must be a list of 2 whole numbers"),
        ("kimi", {"ramp": [1, 2.5]}, "ramp[1]=2.5 must be a whole number"),
        ("kimi", {"ramp": 5}, "ramp=5 must be a list of 2 whole numbers"),
        ("laser_d", {"rounding": "ceiling"}, "unknown rounding 'ceiling'; did you mean 'ceil'? known: ceil, floor"),
        ("laser_d", {"preset": "release"}, "unknown preset 'release'; did you mean 'released_code'?"),
        ("laser_d", {"upper_bound": "16k"}, "upper_bound='16k' must be a whole number or null"),
        ("laser_d", {"target_lengths": 4096}, "target_lengths=4096 must be a mapping or null"),
        ("laser_d", {"source": 3}, "source=3 must be a text"),
        ("laser_d", {"scores": 1.0}, "scores=1.0 must be a mapping; give e.g. {'correct': 1.0"),
        ("laser_d", {"scores": {"coorrect_": 1}}, "unknown scores key 'coorrect_'; did you mean 'correct'?"),
        ("laser_d", {"scores": {"wrong": None}}, "scores.wrong=None must be a finite number"),
        ("laser_d", {"scores": {"wrong": 1.0}}, "must have correct above wrong and malformed"),
    ],
)
def test_a_bad_option_is_refused_with_its_remedy(name: str, options: Mapping[str, Any], told: str) -> None:
    assert told in refused(name, options)


def test_options_of_any_mapping_and_number_type_are_taken() -> None:
    method = build("laser_d", MappingProxyType({"alpha": np.float64(0.25), "interval": np.int64(512)}), LONG)
    assert isinstance(method, LaserD)
    assert (method.alpha, method.interval) == (0.25, 512)
    assert type(method.interval) is int
    whole = build("laser", {"target_length": 5, "alpha": 1, "scores": {"wrong": 0}})
    assert isinstance(whole, Laser)
    assert (whole.alpha, whole.scores) == (1.0, Scores(1.0, 0.0, -1.0))


def test_scores_look_at_format_before_answer() -> None:
    rollouts = Rollouts.build([0] * 4, [1] * 4, [1, 0, 1, 0], well_formed=[1, 1, 0, 0])
    assert Scores().of(rollouts).tolist() == [1.0, -0.5, -1.0, -1.0]


def test_a_users_own_score_takes_the_place_of_ours() -> None:
    rollouts = Rollouts.build([0] * 2, [1] * 2, [1, 0], task_score=[10.0, 3.0])
    assert Scores().of(rollouts).tolist() == [10.0, 3.0]


def test_shaped_reward_is_the_sum_of_both_parts() -> None:
    shaped = Shaped(task_reward=np.array([1.0, -0.5]), length_reward=np.array([0.5, 0.25]))
    assert shaped.reward.tolist() == [1.5, -0.25]
    assert shaped.band is None
    assert shaped.target_length is None


def test_a_name_can_be_registered_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))

    @dataclass(kw_only=True, eq=False)
    class Nothing(MethodBase):
        """No reward for length."""

        bonus: float = 0.0

        def terms(self, rollouts: Rollouts) -> Shaped:
            return Shaped(Scores().of(rollouts), np.full(rollouts.size, self.bonus))

    add = register("nothing", needs={Need.RESPONSE}, formula="C", source="none")
    add(Nothing)
    assert build("nothing", {"bonus": 2}).shape(Rollouts.build([0], [1], [1])).reward.tolist() == [3.0]
    assert describe("nothing").summary == "No reward for length."
    with pytest.raises(ValueError, match="method 'nothing' is already"):
        add(Nothing)


def test_the_core_needs_neither_verl_nor_torch() -> None:
    script = (
        "import sys, laser_verl.core; "
        "print([name for name in ('verl', 'torch', 'ray', 'transformers') if name in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", method_names())
def test_every_option_of_every_method_says_what_it_means(name: str) -> None:
    info = describe(name)
    assert set(info.meanings) >= set(info.options)
    assert all(info.meanings.values())


def test_scores_left_out_are_those_of_the_method() -> None:
    assert build("kimi", {"scores": {"correct": 2}}).scores == Scores(2.0, 0.0, 0.0)
    assert build("lc_r1", {"scores": {"correct": 3}}).scores == Scores(3.0, 1.0, 0.0)
    assert build("laser_d", {"scores": {"wrong": 0}}, LONG).scores == Scores(1.0, 0.0, -1.0)

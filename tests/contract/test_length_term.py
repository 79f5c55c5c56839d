"""Where the size of the length term does nothing, and that what is said to be its size is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from laser_verl.core import Context, Rollouts, build
from laser_verl.core.registry import METHODS, method_names
from laser_verl.verl_ext.checks import Report
from laser_verl.verl_ext.checks.length_term import note_size_of_length_term
from laser_verl.verl_ext.settings import Plugin, Settings, Verification
from tests.contract.good_run import has_note

CONTEXT = Context(group_size=8, max_response_length=8192)
REQUIRED: dict[str, dict[str, Any]] = {
    "laser": {"target_length": 2000},
    "l1_exact": {"budget": 2000},
}
# by reading each formula
SCALES = {
    "alp": "beta",
    "dapo_overlong": "weight",
    "efficient": "alpha",
    "hapo": "weight",
    "kimi": "weight",
    "l1_exact": "alpha",
    "lapo": "weight",
    "laser": "alpha",
    "laser_d": "alpha",
    "laser_de": "alpha",
    "lc_r1": "weight",
    "long2short": "weight",
    "shorter_better": "beta",
    "thinkless": "weight",
}


def batch(seed: int) -> Rollouts:
    draw = np.random.default_rng(seed)
    return Rollouts.build(
        np.repeat([f"p{place}" for place in range(12)], 8).tolist(),
        draw.integers(1, 8193, 96),
        draw.random(96) < 0.7,
        well_formed=draw.random(96) < 0.9,
        repetitive=draw.random(96) < 0.1,
        truncated=draw.random(96) < 0.1,
        max_response_length=8192,
        columns={"uses_thinking": draw.integers(0, 2, 96), "shortest_correct": draw.integers(1, 8193, 96)},
    )


def test_which_option_scales_each_length_term() -> None:
    declared = {name: METHODS._entries[name].cls.scaled_by for name in method_names()}
    assert {name: option for name, option in declared.items() if option} == SCALES


@pytest.mark.parametrize(("method", "option"), SCALES.items())
def test_twice_the_scale_is_twice_the_length_term_and_nothing_else(method: str, option: str) -> None:
    shaped = []
    for scale in (0.25, 0.5):
        made = build(method, {**REQUIRED.get(method, {}), option: scale}, CONTEXT)
        assert made.scale_in_force() == scale
        made.observe(batch(1))
        made.observe(batch(2))
        shaped.append(made.shape(batch(2)))
    assert shaped[0].length_reward.any()
    assert (shaped[1].length_reward == 2 * shaped[0].length_reward).all()
    assert (shaped[1].task_reward == shaped[0].task_reward).all()


def report_of(method: str, estimator: str, norm: bool = True, **options: Any) -> Report:
    advantage = options.pop("advantage", {})
    settings = Settings(
        *(method, {**REQUIRED.get(method, {}), **options}, Verification(), Plugin(advantage=advantage), CONTEXT),
        *("sync", estimator if estimator in ("ddca", "dler", "dot", "drpo", "gdpo", "mgpo") else None),
    )
    config = OmegaConf.create({"algorithm": {"adv_estimator": estimator, "norm_adv_by_std_in_grpo": norm}})
    report = Report()
    note_size_of_length_term(config, settings.build_method(), settings, report)
    return report


@pytest.mark.parametrize(
    ("method", "options", "scale"),
    [
        ("kimi", {"weight": 0.3}, "weight=0.3"),
        ("lapo", {}, "weight=0.7"),
        ("lapo", {"stage": 2}, "weight=0.8"),
        ("shorter_better", {}, "beta=0.001"),
        ("mixed", {"per_data_source": {"math": "laser_d", "chat": "none"}}, "per_data_source.math.alpha=0.5"),
    ],
)
def test_a_scale_does_nothing_where_groups_are_divided_by_their_deviation(
    method: str, options: dict[str, Any], scale: str
) -> None:
    assert has_note(report_of(method, "grpo", **options), f"({scale}) does nothing", "norm_adv_by_std_in_grpo=false")
    assert has_note(report_of(method, "gdpo", **options), f"({scale}) does nothing", "gdpo_reward_weights")


@pytest.mark.parametrize("method", ["none", "l1_max", "hbpo", "gr3", "grpo_lead", "o1_pruner", "cosine", "autothink"])
def test_what_is_more_than_a_scale_is_not_said_to_do_nothing(method: str) -> None:
    assert report_of(method, "grpo").notes == []
    assert report_of(method, "gdpo").notes == []


def test_a_length_term_of_no_size_is_left_alone() -> None:
    assert report_of("kimi", "grpo", weight=0.0).notes == []


@pytest.mark.parametrize(
    ("estimator", "norm", "advantage", "is_noted"),
    [
        ("grpo", False, {}, False),
        ("grpo_passk", True, {}, True),
        # verl calls it without the switch
        ("grpo_vectorized", False, {}, True),
        ("mgpo", True, {}, True),
        ("dler", True, {}, False),
        ("rloo", True, {}, False),
        ("ddca", True, {}, True),
        ("ddca", True, {"base": "rloo"}, False),
        ("ddca", False, {}, False),
    ],
)
def test_which_estimators_divide(estimator: str, norm: bool, advantage: dict[str, Any], is_noted: bool) -> None:
    assert has_note(report_of("kimi", estimator, norm, advantage=advantage), "does nothing") == is_noted


def test_a_switch_that_an_estimator_never_gets_is_no_remedy() -> None:
    [note] = report_of("kimi", "grpo_vectorized").notes
    assert "norm_adv_by_std_in_grpo" not in note
    assert note.endswith("algorithm.adv_estimator=dler")


def test_drpo_gives_solved_groups_nothing() -> None:
    assert has_note(report_of("gr3", "drpo"), "no advantage at all")
    assert report_of("none", "drpo").notes == []

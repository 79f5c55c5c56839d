"""Methods of users: attributes and option types of their own choice, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_type_hints

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

from laser_verl.core import Context, MethodBase, Need, Rollouts, Shaped, build
from laser_verl.core.options import checked_option
from laser_verl.core.registry import METHODS, method_names
from laser_verl.verl_ext.checks import Report
from laser_verl.verl_ext.checks.compose import compose_config, read_arguments
from laser_verl.verl_ext.checks.method import check_method
from tests.contract.good_run import KWARGS, message


@dataclass(kw_only=True, eq=False)
class Own(MethodBase):
    """Plain correctness, with options named as those of ours that have targets.

    Attributes:
        shortest: Any number.
        target_lengths: Not by band.
        stages: Names.
        lower_bound: A text.
        parts: A mapping.
        weight: Nothing of the length term.
    """

    shortest: int | float = 10
    target_lengths: tuple[int, ...] = (10, 20)
    stages: list[str] = field(default_factory=list)
    lower_bound: str = "none"
    parts: Mapping[str, float] = field(default_factory=dict)
    weight: float = 1.0

    def terms(self, rollouts: Rollouts) -> Shaped:
        return Shaped(self.scores.of(rollouts), np.zeros(rollouts.size))


@pytest.fixture
def config(good: list[str], monkeypatch: pytest.MonkeyPatch) -> DictConfig:
    """The good run with the method `own`."""
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))
    METHODS.register("own", needs={Need.RESPONSE}, formula="C", source="ours")(Own)
    composed = compose_config(read_arguments(good), Report())
    assert composed is not None
    OmegaConf.set_struct(composed, False)
    composed.reward.reward_manager.name = "own"
    composed.reward.reward_kwargs = {}
    return composed


def report_of(config: DictConfig, **options: Any) -> Report:
    config.reward.reward_kwargs = options
    report = Report()
    check_method(config, report)
    return report


def test_names_of_options_are_free(config: DictConfig) -> None:
    report = report_of(config)
    assert report.mistakes == []
    assert report.active["targets"] is None
    # its weight is not said to scale anything
    assert report.notes == []


def test_options_of_either_number_or_of_texts(config: DictConfig) -> None:
    report = report_of(config, shortest=0.5, stages=["a", "b"])
    assert report.mistakes == []
    assert report.active["options"]["shortest"] == 0.5
    assert report.active["options"]["stages"] == ["a", "b"]
    wrong = report_of(config, shortest="x", stages=[1])
    assert "shortest='x' must be a finite number" in message(wrong, f"{KWARGS}.shortest")
    assert "stages[0]=1 must be a text" in message(wrong, f"{KWARGS}.stages")
    assert "must be a list of one or more texts; give e.g. ['a', 'b']" in message(
        report_of(config, stages="a"), f"{KWARGS}.stages"
    )


@pytest.mark.parametrize("hint", [set[int], int | str, tuple[Mapping[str, int], ...], object])
def test_a_type_that_no_option_can_have_is_the_methods_fault(hint: Any) -> None:
    with pytest.raises(TypeError, match=r"slope is declared as .*, which no option can be; declare int, float"):
        checked_option("slope", 1, hint)


def test_every_option_of_ours_has_a_type_that_options_can_have() -> None:
    for name in method_names():
        cls = METHODS._entries[name].cls
        hints = get_type_hints(cls)
        for item in fields(cls):
            if item.init and item.name != "context":
                try:
                    checked_option(item.name, object(), hints[item.name])
                except ValueError:
                    continue
                pytest.fail(f"{name}.{item.name} takes anything")


@pytest.mark.parametrize(
    ("method", "options", "told"),
    [
        ("laser", {"target_length": 64}, "64 tokens"),
        ("truncation", {"target_length": 64}, "64 tokens"),
        ("laser_d", {"lower_bound": 16}, "adaptive per difficulty band, 16 to 160 tokens, from recent groups"),
        ("laser_de", {"target_lengths": {"easy": 16, "medium": 32, "hard": 64}}, "easy 16, medium 32, hard 64 tokens"),
        ("siri", {"longest": 100, "shortest": 50}, "between 50 and 100 tokens, by step"),
        ("thinkprune", {"stages": [100, 50], "starts": [0, 9]}, "100, 50 tokens, by step"),
        ("kimi", {}, None),
    ],
)
def test_target_lengths_in_words(method: str, options: dict[str, Any], told: str | None) -> None:
    assert build(method, options, Context(4, 160)).target_text() == told

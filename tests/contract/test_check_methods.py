"""`laser-verl check` on what methods and advantage rules need: columns of the data, data sources, options, groups."""

from __future__ import annotations

import pytest

from laser_verl.verl_ext.checks import Report, check
from tests.contract.good_run import KWARGS, fields, has_note, message

METHOD = "reward.reward_manager.name"
ESTIMATOR = "algorithm.adv_estimator"


@pytest.fixture
def with_method(good: list[str]) -> object:
    """A check of the good run with another method; the options of laser_d are left out."""
    kept = [text for text in good if not text.startswith(("method", KWARGS))]

    def run(name: str, *arguments: str) -> Report:
        return check([*kept, "~method", f"{METHOD}={name}", *arguments])

    return run


def test_a_budget_that_the_data_lack_is_named_with_its_row_and_both_remedies(with_method: object) -> None:
    told = message(with_method("l1_max"), "data.train_files")
    assert "row 0 (from 0) has extra_info.budget=None" in told
    assert "l1_max needs a number of 0 or more there" in told
    assert f"+{KWARGS}.budget=2000" in told
    report = with_method("l1_max", f"+{KWARGS}.budget=100", "data.max_prompt_length=96")
    assert report.mistakes == []
    assert report.active["targets"] is None


def test_prompts_are_measured_with_their_budget_in_them(with_method: object) -> None:
    # the longest of 35 tokens, and the sentence with 30 or 31
    told = message(with_method("l1_max", f"+{KWARGS}.budget=100"), "data.max_prompt_length")
    assert "the longest of 66 tokens" in told


def test_a_column_without_an_option_has_one_remedy(with_method: object) -> None:
    length, accuracy = with_method("o1_pruner").mistakes
    assert "extra_info.reference_length=None" in length.message
    assert "extra_info.reference_accuracy=None" in accuracy.message
    assert KWARGS not in length.message


def test_what_the_response_itself_tells_is_not_asked_of_the_data(with_method: object) -> None:
    for name in ("autothink", "hapo", "efficient"):
        assert with_method(name).mistakes == []


def test_a_data_source_without_a_method(with_method: object) -> None:
    parts = f"+{KWARGS}.per_data_source"
    told = message(with_method("mixed", f"{parts}={{tiny_world/easy:kimi,tiny_world/hard:none}}"), "data.train_files")
    assert "data_source='tiny_world/medium'" in told
    assert "per_data_source" in told
    assert with_method("mixed", f"{parts}={{tiny_world/easy:kimi,default:none}}").mistakes == []


def test_a_source_with_a_slash_is_written_in_braces(with_method: object) -> None:
    slash = f"+{KWARGS}.per_data_source.tiny_world/easy=kimi"
    told = message(with_method("mixed", slash), slash)
    assert told.endswith(f"write '+{KWARGS}.per_data_source={{tiny_world/easy: kimi}}'")


def test_a_wrong_option_of_one_source_is_named_in_full(with_method: object) -> None:
    options = "{tiny_world/easy:{method:laser_d,lower_bound:0},default:none}"
    [mistake] = with_method("mixed", f"+{KWARGS}.per_data_source={options}").mistakes
    assert "per_data_source.tiny_world/easy.lower_bound=0" in mistake.message


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("weigh=0.2", "did you mean 'weight'"),
        ("weight=-1", "weight=-1.0 must be 0 or more"),
        ("weight=much", "weight='much' must be a finite number"),
    ],
)
def test_wrong_options_of_an_advantage_rule(with_method: object, option: str, told: str) -> None:
    report = with_method("kimi", f"{ESTIMATOR}=ddca", f"+laser.advantage.{option}")
    assert told in message(report, f"laser.advantage.{option.partition('=')[0]}")


def test_options_of_a_rule_that_is_not_in_use(with_method: object) -> None:
    report = with_method("kimi", "+laser.advantage.weight=0.2")
    assert "algorithm.adv_estimator names none of ddca, dler" in message(report, "laser.advantage.weight")


def test_a_rule_needs_our_trainer(with_method: object) -> None:
    report = with_method("none", f"{ESTIMATOR}=dler", "+laser.auto_mode=false")
    told = message(report, "laser.auto_mode")
    assert "algorithm.adv_estimator=dler needs the verdicts" in told
    assert "trainer.v1.trainer_mode=laser_sync" in told


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("gdpo_reward_keys=[task_reward,lenght_reward]", "did you mean 'length_reward'?"),
        ("gdpo_reward_weights=[1.0]", "must hold one weight for each of task_reward, length_reward"),
        ("gdpo_reward_weights=0.5", "gdpo_reward_weights=0.5 must hold one weight for each"),
        ("gdpo_reward_weights=[a,b]", "gdpo_reward_weights=['a', 'b'] must hold one weight for each"),
        ("gdpo_reward_weights=[1.0,nan]", "a finite number; give e.g. [1.0, 1.0]"),
        ("gdpo_reward_keys=task_reward", "gdpo_reward_keys='task_reward' must be a list of names"),
    ],
)
def test_wrong_columns_of_gdpo(with_method: object, option: str, told: str) -> None:
    report = with_method("kimi", f"{ESTIMATOR}=gdpo", f"+algorithm.{option}")
    assert told in message(report, f"algorithm.{option.partition('=')[0]}")


def test_the_rule_is_among_what_is_active(with_method: object) -> None:
    report = with_method("kimi", f"{ESTIMATOR}=mgpo")
    assert report.mistakes == []
    assert report.active["advantages"] == "mgpo"


def test_groups_of_one(with_method: object) -> None:
    one = ("actor_rollout_ref.rollout.n=1", "data.train_batch_size=8")
    assert "groups of one response" in message(with_method("kimi", *one), "actor_rollout_ref.rollout.n")
    assert "actor_rollout_ref.rollout.n" not in fields(with_method("dapo_overlong", *one))


def test_where_the_size_of_the_length_term_does_nothing(with_method: object) -> None:
    words = ("weight=0.3", "does nothing", "norm_adv_by_std_in_grpo=false")
    weight = f"+{KWARGS}.weight=0.3"
    assert has_note(with_method("kimi", weight), *words)
    assert not has_note(with_method("kimi", weight, "algorithm.norm_adv_by_std_in_grpo=false"), *words)
    assert not has_note(with_method("kimi", weight, f"{ESTIMATOR}=dler"), *words)
    assert not has_note(with_method("none"), "does nothing")


def test_overlapping_stages_and_a_bad_ramp(with_method: object) -> None:
    stages = with_method("thinkprune", f"+{KWARGS}.stages=[128,64]", f"+{KWARGS}.starts=[0,0]")
    assert "so that none overlaps the next" in message(stages, f"{KWARGS}.starts")
    alone = with_method("thinkprune", f"+{KWARGS}.stages=[128,64]")
    assert "first step of each of the 2 stages" in message(alone, f"{KWARGS}.starts")
    ramp = with_method("kimi", f"+{KWARGS}.ramp=[100,50]")
    assert "the first before the last" in message(ramp, f"{KWARGS}.ramp")

"""`laser-verl check` on samplers, the tracker and the monitor set: what a run would stumble over, before it starts."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf

from laser_verl.core.policies.base import build_policy, describe_policy
from laser_verl.core.sampler import EPSILON, explores
from laser_verl.verl_ext.checks import Report, check
from tests.contract.good_run import CONFIGS, KWARGS, has_note, message

SAMPLER = "laser.sampler"


@pytest.fixture
def with_sampler(good: list[str]) -> object:
    """A check of the good run with a sampler."""

    def run(sampler: str, *arguments: str) -> Report:
        return check([*good, f"+{SAMPLER}={{{sampler}}}", *arguments])

    return run


@pytest.mark.parametrize("policy", ["band_mix", "sec", "uniform"])
def test_a_policy_is_started_on_the_data(with_sampler: object, policy: str) -> None:
    report = with_sampler(f"policy: {policy}")
    assert report.mistakes == []
    epsilon = 0.0 if policy == "uniform" else 0.05
    assert report.active["sampler"] == {"policy": policy, "epsilon": epsilon, "prompts": 24}


def test_a_preset_is_a_sampler(good: list[str]) -> None:
    report = check([*good, "sampler=mopps"])
    assert report.mistakes == []
    assert report.active["sampler"] == {
        **{"policy": "mopps", "epsilon": 0.05, "candidates": 16, "target": 0.5},
        "prompts": 24,
    }


@pytest.mark.parametrize("path", sorted((CONFIGS / "sampler").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_names_a_policy_and_its_defaults(path: Path) -> None:
    preset = OmegaConf.to_container(OmegaConf.load(path))
    info = describe_policy(path.stem)
    policy, *epsilon = (
        preset["laser"]["sampler"].pop(name) for name in ("policy", "epsilon") if name in preset["laser"]["sampler"]
    )
    assert policy == path.stem
    # what has no default is left to the user, and such policies draw only their own prompts
    assert preset["laser"]["sampler"] == {**info.options, **dict.fromkeys(info.required, "???")}
    is_explored = not info.required and explores(build_policy(path.stem, {}))
    assert epsilon == ([EPSILON] if is_explored else [])
    assert preset.get("data") == ({"dataloader_num_workers": 0} if is_explored else None)


@pytest.mark.parametrize(
    ("sampler", "told"),
    [
        ("policy: bandmix", "unknown sampling policy 'bandmix'; did you mean 'band_mix'?"),
        ("policy: band_mix, shares: {easy: 0.5, medium: 0.5, hard: 0.5}", "must sum to 1, not 1.5; give e.g."),
        ("policy: adarft, column: level", "laser.sampler, policy adarft: column=level is in no row"),
        ("policy: adarft, column: data_source", "policy adarft: data_source='tiny_world/"),
        (
            "policy: column_mix, column: data_source, shares: {tiny_world/none: 1}",
            "unknown shares value of data_source 'tiny_world/none'",
        ),
    ],
)
def test_what_a_policy_cannot_work_with(with_sampler: object, sampler: str, told: str) -> None:
    report = with_sampler(sampler)
    assert told in message(report, SAMPLER)


def test_workers_would_draw_ahead(with_sampler: object) -> None:
    told = message(with_sampler("policy: band_mix", "data.dataloader_num_workers=2"), "data.dataloader_num_workers")
    assert "would draw prompts ahead of what the policy band_mix learns" in told
    assert "set data.dataloader_num_workers=0" in told
    assert with_sampler("policy: uniform", "data.dataloader_num_workers=2").mistakes == []


def test_verls_group_filter_would_hide_the_solved(with_sampler: object) -> None:
    enabled = ("algorithm.filter_groups.enable=true", "algorithm.filter_groups.metric=acc")
    told = message(with_sampler("policy: greso", *enabled), "algorithm.filter_groups.enable")
    assert "before the tracker sees them, and the policy greso would draw their prompts again and again" in told


def test_a_reward_model_does_not_say_what_is_right(good: list[str]) -> None:
    kept = [text for text in good if not text.startswith(("method", KWARGS))]
    model = ("reward.reward_model.enable=true", "reward.reward_model.model_path=x")
    arguments = [*kept, "~method", "reward.reward_manager.name=naive", *model, f"+{SAMPLER}={{policy: dots}}"]
    told = message(check(arguments), "laser.tracker.correct_at")
    assert "say from which score on: +laser.tracker.correct_at=0.5" in told


def test_a_stock_trainer_asks_no_sampler(with_sampler: object) -> None:
    told = message(with_sampler("policy: band_mix", "+laser.auto_mode=false", "~method"), "laser.auto_mode")
    assert "leaves the stock one in place" in told


def test_a_reward_manager_of_verls_own_keeps_its_rewards(good: list[str], tmp_path: Path) -> None:
    (tmp_path / "judge.py").write_text("def compute_score(**kwargs):\n    return 1.0\n")
    kept = [text for text in good if not text.startswith(("method", KWARGS))]
    report = check(
        [
            *(*kept, "~method", "reward.reward_manager.name=naive", f"+{SAMPLER}={{policy: max_entropy}}"),
            f"reward.custom_reward_function.path={tmp_path / 'judge.py'}",
        ]
    )
    assert report.mistakes == []
    assert report.active["trainer"] == "laser_sync"
    assert report.active["sampler"]["prompts"] == 24


def test_repeated_rows_are_noted_and_repeated_names_refused(good: list[str], tmp_path: Path) -> None:
    [train] = [text.partition("=")[2] for text in good if text.startswith("data.train_files=")]
    table = pq.read_table(train)
    twice = tmp_path / "twice.parquet"
    pq.write_table(table.take([*range(24), 3, 5]), twice)
    arguments = [*good, f"data.train_files={twice}", f"+{SAMPLER}={{policy: band_mix}}"]
    report = check(arguments)
    assert report.mistakes == []
    assert report.active["sampler"]["prompts"] == 24
    assert has_note(report, "2 rows of data.train_files repeat data source, messages and gold answer of another row")
    assert has_note(check(arguments[:-1]), "2 rows of data.train_files repeat", "the tracker takes them for one prompt")
    told = message(check([*arguments, "+laser.tracker.key=extra_info.index"]), "laser.tracker.key")
    assert "laser.tracker.key=extra_info.index is the same in rows 3 and 24 (from 0)" in told
    told = message(check([*arguments, "+laser.tracker.key=extra_info.name"]), "laser.tracker.key")
    assert "is missing in a row" in told


def test_a_monitor_set(good: list[str], tmp_path: Path) -> None:
    monitor = [*good, f"{KWARGS}.source=monitor"]
    report = check([*monitor, f"{KWARGS}.monitor={{size: 10, exclude: true}}"])
    assert report.mistakes == []
    assert report.active["targets"].endswith("from a monitor set of 10 prompts, every 20 steps")
    assert report.active["sampler"] == {"policy": "uniform", "epsilon": 0.0, "prompts": 14}
    told = message(check(monitor), f"{KWARGS}.monitor")
    assert "monitor.size=500 prompts are more than the 24 rows of the training data" in told
    told = message(check([*monitor, f"{KWARGS}.monitor={{file: {tmp_path / 'none.parquet'}}}"]), f"{KWARGS}.monitor")
    assert "none.parquet is no file" in told
    [held_out] = [text.partition("=")[2] for text in good if text.startswith("data.val_files=")]
    assert check([*monitor, f"{KWARGS}.monitor={{file: {held_out}}}"]).mistakes == []
    told = message(check([*monitor, f"{KWARGS}.monitor={{size: 20, exclude: true}}"]), SAMPLER)
    assert "keeps 20 prompts out of the training, which leaves 4 for batches of 8" in told


def test_columns_at_the_top_of_the_data_are_read_and_rows_cut_as_verl_does(good: list[str], tmp_path: Path) -> None:
    [train] = [text.partition("=")[2] for text in good if text.startswith("data.train_files=")]
    table = pq.read_table(train)
    labelled = tmp_path / "labelled.parquet"
    pq.write_table(table.append_column("level", [[float(number) for number in range(24)]]), labelled)
    arguments = [*good, f"data.train_files={labelled}", f"+{SAMPLER}={{policy: adarft, column: level}}"]
    report = check([*arguments, "+laser.tracker.key=level", "data.train_max_samples=12"])
    assert report.mistakes == []
    assert report.active["sampler"]["prompts"] == 12
    told = message(check([*arguments, "+laser.tracker.key=none"]), "laser.tracker.key")
    assert "laser.tracker.key=none is missing in a row" in told


def test_a_monitor_file_is_read(good: list[str], tmp_path: Path) -> None:
    monitor = [*good, f"{KWARGS}.source=monitor"]
    bad, odd = tmp_path / "bad.parquet", tmp_path / "odd.parquet"
    bad.write_bytes(b"junk")
    pq.write_table(pa.table({"a": [1, 2]}), odd)
    for path in (bad, odd):
        told = message(check([*monitor, f"{KWARGS}.monitor={{file: {path}}}"]), f"{KWARGS}.monitor")
        assert f"{KWARGS}.monitor.file={path} must be a data file like those of data.train_files" in told


def test_a_monitor_set_without_its_source(good: list[str]) -> None:
    told = message(check([*good, f"{KWARGS}.monitor={{size: 10}}"]), f"{KWARGS}.monitor")
    assert "has no effect with source='recent'" in told

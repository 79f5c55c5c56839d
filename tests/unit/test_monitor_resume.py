"""Resuming target lengths from a monitor set, and from one source to the other."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from laser_verl.core import Context
from laser_verl.core.state import load_state, save_state
from tests.unit.monitor_cases import (
    AFTER_FIRST,
    AFTER_SECOND,
    CONTEXT,
    FIRST,
    FIXED,
    MONITOR,
    RECENT,
    SECOND,
    batch,
    laser_d,
    prompts,
)


def test_a_resumed_run_goes_on_as_an_unbroken_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    unbroken, resumed = laser_d(), laser_d({**MONITOR, "update_every": 7, "monitor": {"size": 3}}, name="laser_de")
    unbroken.observe_monitor(batch(*FIRST))
    save_state(tmp_path / "laser_state", {"method": unbroken.state_dict()})
    resumed.load_state_dict(load_state(tmp_path / "laser_state")["method"])
    assert resumed.metrics() == unbroken.metrics()
    for method in (unbroken, resumed):
        method.observe(batch(*FIRST, step=2))
        method.observe_monitor(batch(*SECOND, step=21))
    assert resumed.metrics() == unbroken.metrics()
    assert not caplog.records


def test_a_resume_may_switch_to_a_monitor_set(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    saved = laser_d({**RECENT, "window": 7})
    saved.observe(batch([[5, 10, 15, 20]], [4], step=40))
    save_state(tmp_path / "laser_state", {"method": saved.state_dict()})
    method = laser_d()
    method.load_state_dict(load_state(tmp_path / "laser_state")["method"])
    assert "source=recent, this run has source=monitor" in caplog.text
    # easy was decided by the window: the targets are kept, what they rest on is not
    assert method.targets == {"easy": 10, "medium": 40, "hard": 40}
    assert prompts(method) == [0.0, 0.0, 0.0]
    assert method.state_dict()["decided"].tolist() == [True, False, False]
    method.observe(batch(*SECOND, step=41))
    assert method.targets == {"easy": 10, "medium": 40, "hard": 40}
    # medium: 2 of 4 at 20 are enough
    method.observe_monitor(batch([[20, 20, 30, 30]], [2], step=41))
    assert method.targets == {"easy": 10, "medium": 20, "hard": 40}
    assert method.state_dict()["target_source"] == "monitor"


def test_a_resume_may_switch_back_to_recent_groups(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    saved = laser_d()
    saved.observe_monitor(batch(*FIRST, step=41))
    method = laser_d({**RECENT, "window": 7, "update_every": 20})
    method.load_state_dict(saved.state_dict())
    assert "source=monitor, this run has source=recent" in caplog.text
    assert method.targets == AFTER_FIRST
    # the first batch chooses, though the last pass is a step ago; the second one waits for its turn
    method.observe(batch(*SECOND, step=42))
    assert method.targets == AFTER_SECOND
    assert prompts(method) == [2.0, 0.0, 1.0]
    method.observe(batch([[40] * 4] * 9, [0] * 9, step=43))
    assert method.targets == AFTER_SECOND
    method.observe_monitor(batch(*FIRST, step=43))
    assert method.targets == AFTER_SECOND


@pytest.mark.parametrize("here", [MONITOR, RECENT])
@pytest.mark.parametrize(
    ("changed", "context", "told"),
    [
        ({"lower_bound": 20}, CONTEXT, "lower_bound is 10 in the saved state and 20 in this run"),
        ({"upper_bound": 30}, CONTEXT, "upper_bound is 40 in the saved state and 30 in this run"),
        ({"interval": 5}, CONTEXT, "interval is 10 in the saved state and 5 in this run"),
        ({"rounding": "floor"}, CONTEXT, "rounding is ceil in the saved state and floor in this run"),
        ({}, Context(group_size=8, max_response_length=40), "group_size is 4 in the saved state and 8 in this run"),
    ],
)
def test_a_switch_leaves_all_else_to_fit(
    here: dict[str, Any], changed: dict[str, Any], context: Context, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    there = RECENT if here is MONITOR else MONITOR
    method = laser_d({**here, **changed}, context)
    before = method.state_dict()
    with pytest.raises(ValueError, match=told):
        method.load_state_dict(laser_d(there).state_dict())
    np.testing.assert_equal(method.state_dict(), before)
    assert not caplog.records


@pytest.mark.parametrize(
    ("there", "here", "told"),
    [
        (FIXED, MONITOR, "the saved targets are fixed, those of this run are monitor; to go on, set target_lengths"),
        (MONITOR, FIXED, "the saved targets are monitor, those of this run are fixed; to go on, set target_lengths"),
    ],
)
def test_fixed_targets_are_no_source_to_switch_to(there: Any, here: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        laser_d(here).load_state_dict(laser_d(there).state_dict())


@pytest.mark.parametrize("saved", [None, "elsewhere"])
def test_a_source_that_no_release_saves_is_refused(saved: str | None) -> None:
    with pytest.raises(ValueError, match=f"the saved targets are {saved}, those of this run are monitor"):
        laser_d().load_state_dict({**laser_d().state_dict(), "target_source": saved})

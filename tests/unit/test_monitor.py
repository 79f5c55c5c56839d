"""Target lengths from passes over a monitor set: the options, and what a pass does."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from laser_verl.core import Context, LaserD, Need, Rollouts, build, describe, summarise
from laser_verl.core.monitor import Monitoring, MonitorSet
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

LONG = Context(group_size=8, max_response_length=16384)
GOLDEN = {
    case["id"]: case for case in json.loads((Path(__file__).parent / "golden" / "laser.json").read_text())["cases"]
}


def test_what_is_monitored_is_what_the_options_say() -> None:
    assert laser_d(MONITOR).monitor == Monitoring(every=20, size=500, file=None, exclude=False)
    given = {**MONITOR, "update_every": 5, "monitor": {"size": 64, "file": "monitor.parquet"}}
    assert laser_d(given).monitor == Monitoring(every=5, size=64, file="monitor.parquet", exclude=False)
    assert laser_d({**MONITOR, "monitor": {"exclude": True}}, name="laser_de").monitor == Monitoring(
        every=20, size=500, file=None, exclude=True
    )
    assert laser_d({**MONITOR, "monitor": {}}).monitor == laser_d(MONITOR).monitor


def test_the_class_itself_takes_a_set_or_a_mapping() -> None:
    for option in (MonitorSet(size=3), Monitoring(size=3, every=7), {"size": 3}):
        method = LaserD(upper_bound=4096, source="monitor", monitor=option)  # type: ignore[arg-type]
        assert method.monitor == Monitoring(every=20, size=3)
    with pytest.raises(ValueError, match="update_every=0 must be a positive number of steps"):
        Monitoring(every=0)


@pytest.mark.parametrize(("every", "due"), [(20, [1, 21, 41]), (1, list(range(1, 51))), (49, [1, 50]), (99, [1])])
def test_a_pass_comes_before_the_first_update_and_then_every_so_many_steps(every: int, due: list[int]) -> None:
    monitor = Monitoring(every=every)
    assert [step for step in range(1, 51) if monitor.is_due(step)] == due


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("laser", {"target_length": 5}),
        ("laser_d", RECENT),
        ("laser_de", FIXED),
        ("kimi", {}),
        ("hapo", {}),
        ("mixed", {"per_data_source": {"math": {"method": "laser_d", **RECENT}, "chat": "none"}}),
    ],
)
def test_methods_without_a_monitor_set_learn_nothing_from_a_pass(name: str, options: Mapping[str, Any]) -> None:
    method = build(name, options, CONTEXT)
    before = method.state_dict()
    method.observe_monitor(batch(*FIRST, sources=["math", "chat", "math"]))
    np.testing.assert_equal(method.state_dict(), before)
    assert method.monitor is None


def test_a_pass_chooses_all_targets_anew_from_itself_alone() -> None:
    method = laser_d()
    assert method.targets == {"easy": 40, "medium": 40, "hard": 40}
    assert method.needs == {Need.GROUP, Need.HISTORY}
    method.observe_monitor(batch(*FIRST))
    assert method.targets == AFTER_FIRST == summarise(batch(*FIRST), 10, 40, 10)["target_length"]
    assert prompts(method) == [1.0, 1.0, 1.0]
    # the band without prompts keeps its target
    method.observe_monitor(batch(*SECOND, step=21))
    assert method.targets == AFTER_SECOND
    assert prompts(method) == [2.0, 0.0, 1.0]


def test_two_passes_of_one_step_are_two_choices() -> None:
    method = laser_d()
    method.observe_monitor(batch(*FIRST))
    method.observe_monitor(batch(*SECOND))
    assert method.targets == AFTER_SECOND


def test_a_pass_without_responses_changes_nothing() -> None:
    method = laser_d()
    method.observe_monitor(batch(*FIRST))
    before = method.state_dict()
    method.observe_monitor(Rollouts.build([], [], [], step=21))
    np.testing.assert_equal(method.state_dict(), before)


def test_a_pass_of_an_earlier_step_is_refused_and_changes_nothing() -> None:
    method = laser_d()
    method.observe_monitor(batch(*FIRST, step=21))
    before = method.state_dict()
    with pytest.raises(ValueError, match="step=1 is before the last observed step 21"):
        method.observe_monitor(batch(*SECOND, step=1))
    np.testing.assert_equal(method.state_dict(), before)


def test_training_batches_leave_the_targets_alone_and_are_paid_by_them() -> None:
    method = laser_d()
    training = batch([[20, 21, 40, 5]], [2], step=1)
    # before the first pass every target is the upper bound, 40
    method.observe(training)
    assert method.shape(training).reward.tolist() == [1.5, 1.5, -0.5, -0.5]
    assert prompts(method) == [0.0, 0.0, 0.0]
    method.observe_monitor(batch(*FIRST))
    for step in range(1, 60):
        method.observe(batch([[5] * 4, [40] * 4], [2, 4], step=step))
    assert method.targets == AFTER_FIRST
    # medium, target 20: the second right answer is one token too long
    assert method.shape(training).reward.tolist() == [1.5, 1.0, -0.5, -0.5]


def test_only_lengths_and_verdicts_of_a_pass_count() -> None:
    # right, but badly formed: not solved, so the group is hard, and all of it has to be covered
    method = laser_d()
    method.observe_monitor(Rollouts.build([0] * 4, [5, 5, 5, 15], [1] * 4, [0, 0, 0, 1], task_score=[9.0] * 4))
    assert method.targets == {"easy": 40, "medium": 40, "hard": 20}


def test_the_first_pass_says_how_large_a_group_is_where_the_run_does_not() -> None:
    # K = 6: C_d = 4, so 1 of 3 lengths at 10 would do for an easy band, and 2 of 9 do not: 4 * 2 < 9, 4 * 5 >= 9
    method = laser_d({**MONITOR, "upper_bound": 40}, Context())
    method.observe_monitor(batch([[10, 20, 20], [10, 20, 30, 30, 30, 20]], [2, 6]))
    assert method.targets["easy"] == 20
    assert method.state_dict()["group_size"] == 6


@pytest.mark.parametrize(
    "name",
    [
        "laser-d/monitor-choose-ceil",
        "laser-d/monitor-choose-floor",
        "laser-d/monitor-hard-full-coverage-16384",
    ],
)
def test_a_pass_over_the_published_rollouts_gives_the_published_targets(name: str) -> None:
    case = GOLDEN[name]
    params, inputs = case["params"], case["inputs"]
    options = {key: params[key] for key in ("lower_bound", "upper_bound", "interval")}
    method = laser_d({**options, "rounding": params["round_method"], "source": "monitor"}, LONG)
    # what came before is forgotten
    method.observe_monitor(Rollouts.build([0] * 8, [9000] * 8, [0] * 8))
    method.observe_monitor(Rollouts.build(inputs["prompt"], inputs["lengths"], inputs["correct"], step=1))
    assert method.targets == case["expected"]["budgets"]


def test_the_released_code_preset_rounds_down_here_too() -> None:
    # medium, C_d = 4 // 3 = 1: all four have to be covered
    method = laser_d({**MONITOR, "preset": "released_code"})
    method.observe_monitor(batch([[10, 10, 20, 25]], [2]))
    assert method.targets["medium"] == 30


def test_the_text_of_the_targets_names_their_source() -> None:
    bounds = "adaptive per difficulty band, 10 to 40 tokens"
    assert laser_d(RECENT).target_text() == f"{bounds}, from recent groups"
    assert laser_d(MONITOR).target_text() == f"{bounds}, from a monitor set of 500 prompts, every 20 steps"
    given = {**MONITOR, "update_every": 5, "monitor": {"size": 8, "file": "m.json"}}
    assert laser_d(given).target_text() == f"{bounds}, from a monitor set of up to 8 prompts of m.json, every 5 steps"
    assert laser_d(FIXED).target_text() == "easy 10, medium 20, hard 30 tokens"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"source": "monitr"}, "unknown source 'monitr'; did you mean 'monitor'? known: recent, monitor"),
        ({"source": "fixed"}, "unknown source 'fixed'; known: recent, monitor"),
        (
            {"source": "monitor", "monitor": {"sizes": 5}},
            "unknown monitor key 'sizes'; did you mean 'size'? known: size",
        ),
        ({"source": "monitor", "monitor": {"every": 5}}, "unknown monitor key 'every'; "),
        ({"source": "monitor", "monitor": {"size": 0}}, "monitor.size=0 must be a positive number of prompts; give"),
        ({"source": "monitor", "monitor": {"size": True}}, "monitor.size=True must be a whole number"),
        ({"source": "monitor", "monitor": {"size": 2.5}}, "monitor.size=2.5 must be a whole number"),
        ({"source": "monitor", "monitor": {"size": None}}, "monitor.size=None must be a whole number"),
        ({"source": "monitor", "monitor": {"file": 3}}, "monitor.file=3 must be a text or null; it is of type int"),
        ({"source": "monitor", "monitor": {"file": ""}}, "monitor.file='' names no file; give a data file, or null"),
        ({"source": "monitor", "monitor": {"exclude": 1}}, "monitor.exclude=1 must be true or false"),
        ({"source": "monitor", "monitor": {"exclude": "no"}}, "monitor.exclude='no' must be true or false"),
        (
            {"source": "monitor", "monitor": {"exclude": True, "file": "m.json"}},
            "monitor.exclude=true has no effect with monitor.file='m.json', whose prompts are not taken from the",
        ),
        ({"source": "monitor", "monitor": 500}, "monitor=500 must be a mapping"),
        ({"source": "monitor", "monitor": None}, "monitor=None must be a mapping"),
        ({"source": "monitor", "window": 7}, "window=7 has no effect with source='monitor'; leave out window, or set"),
        ({"source": "monitor", "update_every": 0}, "update_every=0 must be a positive number of steps"),
        ({"source": "monitor", "interval": 0}, "interval=0 must be a positive number of tokens"),
        ({"monitor": {"size": 5}}, "monitor={'size': 5} has no effect with source='recent'; leave out monitor, or set"),
        ({"monitor": {}}, "monitor={} has no effect with source='recent'"),
        ({"monitor": {"size": 500}}, "monitor={'size': 500} has no effect with source='recent'"),
        ({**FIXED, "monitor": {"size": 5}}, "monitor={'size': 5} has no effect with fixed target_lengths; leave out"),
        ({**FIXED, "source": "monitor"}, "source='monitor' has no effect with fixed target_lengths; leave out source"),
    ],
)
@pytest.mark.parametrize("name", ["laser_d", "laser_de"])
def test_a_bad_setting_is_refused(name: str, options: dict[str, Any], told: str) -> None:
    bounds = {} if "target_lengths" in options else RECENT
    with pytest.raises(ValueError, match=r".") as error:
        build(name, {**bounds, **options}, CONTEXT)
    assert str(error.value).startswith(told)


def test_all_options_as_they_are_printed_are_no_options_given() -> None:
    printed = describe("laser_d").options
    assert printed["monitor"] == {"size": 500, "file": None, "exclude": False}
    json.dumps(printed)
    assert laser_d(printed, LONG).monitor is None
    assert laser_d({**printed, "source": "monitor"}, LONG).monitor == Monitoring(every=20)


def test_a_monitored_method_pickles() -> None:
    method = laser_d()
    method.observe_monitor(batch(*FIRST))
    copy = pickle.loads(pickle.dumps(method))
    assert copy.monitor == method.monitor
    copy.observe_monitor(batch(*SECOND, step=21))
    assert (copy.targets, method.targets) == (AFTER_SECOND, AFTER_FIRST)

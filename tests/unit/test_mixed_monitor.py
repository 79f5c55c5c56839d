"""One monitor set for the methods of a mixture."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytest

from laser_verl.core import Mixed, build
from laser_verl.core.monitor import Monitoring
from tests.unit.monitor_cases import CONTEXT, FIRST, MONITOR, RECENT, SECOND, batch

PART = {"method": "laser_d", **MONITOR}


def mixed(parts: Mapping[str, Any]) -> Mixed:
    method = build("mixed", {"per_data_source": parts}, CONTEXT)
    assert isinstance(method, Mixed)
    return method


def test_the_methods_of_a_mixture_share_a_monitor_set() -> None:
    # what it is worth and where the grid lies is each method's own
    other = {"method": "laser_de", **MONITOR, "interval": 5, "monitor": {"size": 500}}
    method = mixed({"math": PART, "chat": "kimi", "code": other, "news": {"method": "laser_d", **RECENT}})
    assert method.monitor == Monitoring(every=20, size=500)
    assert mixed({"chat": "kimi", "math": PART}).monitor == Monitoring(every=20, size=500)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"update_every": 10}, "have different monitor sets, update_every 20 and 10; one pass"),
        ({"monitor": {"size": 100}}, "have different monitor sets, monitor.size 500 and 100; one pass"),
        ({"monitor": {"file": "m.parquet"}}, "have different monitor sets, monitor.file None and m.parquet; one pass"),
        (
            {"monitor": {"exclude": True, "size": 1}},
            "have different monitor sets, monitor.size 500 and 1, monitor.exclude False and True; one pass",
        ),
    ],
)
def test_monitor_sets_of_a_mixture_that_differ_are_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        mixed({"math": PART, "chat": "none", "code": {**PART, **changed}})
    assert str(error.value).startswith(f"per_data_source.math and per_data_source.code {told}")
    assert str(error.value).endswith("so give both the same")


def test_a_wrong_monitor_option_of_one_source_is_named_in_full() -> None:
    with pytest.raises(ValueError, match=r"^per_data_source\.math\.monitor\.size=0 must be a positive number"):
        mixed({"math": {**PART, "monitor": {"size": 0}}})


def test_each_method_of_a_mixture_learns_from_the_prompts_of_its_source() -> None:
    method = mixed({"math": PART, "code": PART, "news": {"method": "laser_d", **RECENT}, "default": "none"})
    # the groups of FIRST: easy to math, medium to code, hard to a method that has no monitor set
    method.observe_monitor(batch(*FIRST, sources=["math", "code", "news"]))
    found = {name.removeprefix("laser/"): value for name, value in method.metrics().items()}
    bands = ("easy", "medium", "hard")
    assert [found[f"math/target_length/{band}"] for band in bands] == [10.0, 40.0, 40.0]
    assert [found[f"code/target_length/{band}"] for band in bands] == [40.0, 20.0, 40.0]
    assert [found[f"news/target_length/{band}"] for band in bands] == [40.0, 40.0, 40.0]
    assert [found[f"math/target_prompts/{band}"] for band in bands] == [1.0, 0.0, 0.0]
    method.observe_monitor(batch(*SECOND, step=21, sources=["math", "elsewhere", "code"]))
    found = {name.removeprefix("laser/"): value for name, value in method.metrics().items()}
    # of the easy groups of SECOND math has the first: 1 of 4 at 10, where 4/3 are needed
    assert [found[f"math/target_length/{band}"] for band in bands] == [20.0, 40.0, 40.0]
    assert [found[f"code/target_length/{band}"] for band in bands] == [40.0, 20.0, 20.0]


def test_a_monitor_prompt_without_a_method_is_named() -> None:
    method = mixed({"math": PART, "chat": "none"})
    with pytest.raises(ValueError, match=r"unknown data_source 'maths'; did you mean 'math'\? .* per_data_source"):
        method.observe_monitor(batch(*FIRST, sources=["math", "maths", "chat"]))
    with pytest.raises(ValueError, match="the batch has no column data_source"):
        method.observe_monitor(batch(*FIRST))


def test_what_goes_wrong_in_a_pass_names_the_source() -> None:
    method = mixed({"math": PART})
    method.observe_monitor(batch(*FIRST, step=21, sources=["math"] * 3))
    with pytest.raises(ValueError, match=r"per_data_source\.math, method laser_d: step=1 is before the last observed"):
        method.observe_monitor(batch(*FIRST, step=1, sources=["math"] * 3))


def test_a_mixture_switches_and_resumes_by_source(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    saved = mixed({"math": {"method": "laser_d", **RECENT}, "code": PART})
    saved.observe(batch(*FIRST, sources=["math", "math", "code"]))
    resumed = mixed({"code": PART, "math": PART})
    resumed.load_state_dict(saved.state_dict())
    assert len(caplog.records) == 1
    assert resumed.metrics()["laser/math/target_length/medium"] == 20.0
    resumed.observe_monitor(batch(*SECOND, sources=["math"] * 3))
    assert resumed.metrics()["laser/math/target_length/easy"] == 20.0
    assert resumed.metrics()["laser/code/target_length/hard"] == 40.0

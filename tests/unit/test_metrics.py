from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from laser_verl.core import EASY, HARD, MEDIUM, Context, Rollouts, Shaped, build
from laser_verl.core.bands import NO_BAND
from laser_verl.core.metrics import scoring_metrics, source_metrics, step_metrics
from laser_verl.scoring import LAYERS, STATUSES

Row = tuple[str, int, int, int, int, int, int, float, float]

# prompt, length, correct, well formed, repetitive, truncated, band, task reward, length reward. The targets are 10, 20
# and 40 tokens; a solved response within its target is paid 0.5. Solved: 2 of 3, 2 of 2, 2 of 4, 1 of 4, then none.
ROWS: list[Row] = [
    ("a", 8, 1, 1, 0, 0, EASY, 1.0, 0.5),
    ("a", 12, 1, 1, 0, 0, EASY, 1.0, 0.0),
    ("a", 9, 0, 1, 0, 0, EASY, -0.5, 0.0),
    ("b", 10, 1, 1, 0, 0, EASY, 1.0, 0.5),
    ("b", 11, 1, 1, 0, 0, EASY, 1.0, 0.0),
    ("c", 20, 1, 1, 0, 0, MEDIUM, 1.0, 0.5),
    ("c", 15, 1, 1, 0, 0, MEDIUM, 1.0, 0.5),
    ("c", 25, 1, 0, 0, 0, MEDIUM, -1.0, 0.0),
    ("c", 30, 0, 1, 0, 0, MEDIUM, -0.5, 0.0),
    ("d", 40, 1, 1, 0, 0, HARD, 1.0, 0.5),
    ("d", 35, 0, 1, 0, 0, HARD, -0.5, 0.0),
    ("d", 38, 1, 0, 0, 0, HARD, -1.0, 0.0),
    ("d", 64, 0, 0, 0, 1, HARD, -1.0, 0.0),
    ("e", 50, 0, 1, 0, 0, HARD, -0.5, 0.0),
    ("e", 30, 0, 1, 0, 0, HARD, -0.5, 0.0),
    ("e", 41, 0, 1, 0, 0, HARD, -0.5, 0.0),
    ("f", 64, 0, 0, 1, 1, HARD, -1.0, 0.0),
    ("f", 64, 0, 0, 1, 1, HARD, -1.0, 0.0),
    ("g", 34, 0, 1, 0, 0, HARD, -0.5, 0.0),
]
ROLLOUT_N = 4

# No two of these are equal, so that a name with the value of another shows.
EXPECTED = {
    "laser/task_reward/mean": -1.5 / 19,  # 7 solved, 7 wrong at -0.5, 5 malformed at -1
    "laser/length_reward/mean": 2.5 / 19,  # 8, 10, 20, 15 and 40 tokens are paid
    "laser/shaped_reward/mean": 1 / 19,
    "laser/accuracy": 7 / 19,
    "laser/answer_correct_frac": 9 / 19,  # two right answers are malformed
    "laser/malformed_frac": 5 / 19,
    "laser/truncated_frac": 3 / 19,
    "laser/repetitive_frac": 2 / 19,
    "laser/no_signal_group_frac": 3 / 7,  # e, f, g; not b, whose rewards are 1.5 and 1
    "laser/short_group_frac": 5 / 7,  # all but c and d
    "laser/within_target_frac": 10 / 19,  # 3 easy, 2 medium, 5 hard
    "laser/band_frac/easy": 2 / 7,  # a, b
    "laser/band_frac/medium": 1 / 7,  # c
    "laser/band_frac/hard": 4 / 7,  # d, e, f, g
    "laser/accuracy/easy": 4 / 5,
    "laser/accuracy/medium": 2 / 4,
    "laser/accuracy/hard": 1 / 10,
    "laser/response_length/mean": 600 / 19,  # 50 + 90 + 460
    "laser/response_length/correct": 116 / 7,  # 8 + 12 + 10 + 11 + 20 + 15 + 40
    "laser/response_length/wrong": 484 / 12,  # 600 - 116
    "laser/response_length/easy": 50 / 5,  # 29 + 21
    "laser/response_length/medium": 90 / 4,
    "laser/response_length/hard": 460 / 10,  # 177 + 121 + 128 + 34
}


def batch(rows: Sequence[Row]) -> tuple[Rollouts, Shaped]:
    columns: list[Any] = list(zip(*rows, strict=True)) or [()] * 9
    prompt, length, correct, well_formed, repetitive, truncated, band, task, bonus = columns
    rollouts = Rollouts.build(prompt, length, correct, well_formed, repetitive, truncated)
    target = {EASY: 10.0, MEDIUM: 20.0, HARD: 40.0}
    return rollouts, Shaped(
        task_reward=np.array(task, dtype=np.float64),
        length_reward=np.array(bonus, dtype=np.float64),
        band=np.array(band, dtype=np.int8),
        target_length=np.array([target[index] for index in band], dtype=np.float64),
    )


def documented_names() -> set[str]:
    """The names in back ticks of docs/metrics.md, with braces expanded and a leading ellipsis filled in."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    names: set[str] = set()
    folder = ""
    for name in re.findall(r"`((?:laser|…)/[^`]+)`", text):
        full = name.replace("…", folder)
        folder = full.rpartition("/")[0]
        braces = re.search(r"\{(.+)\}", full)
        variants = braces[1].split(",") if braces else [""]
        names |= {re.sub(r"\{.+\}", variant, full) for variant in variants}
    return names


# the rows of a group need not be neighbours, nor the groups in the order of their names
@pytest.mark.parametrize("rows", [ROWS, ROWS[::2] + ROWS[1::2], ROWS[::-1]], ids=["grouped", "mixed", "reversed"])
def test_every_number_of_a_batch_counted_by_hand(rows: list[Row]) -> None:
    assert len(set(EXPECTED.values())) == len(EXPECTED) == 23
    assert step_metrics(*batch(rows), ROLLOUT_N) == pytest.approx(EXPECTED)


def test_values_are_plain_floats_as_trackers_want_them() -> None:
    assert {type(value) for value in step_metrics(*batch(ROWS), ROLLOUT_N).values()} == {float}


def test_names_of_nothing_are_left_out() -> None:
    # e and g: only hard groups, only wrong responses
    metrics = step_metrics(*batch([row for row in ROWS if row[0] in "eg"]), ROLLOUT_N)
    absent = {
        "laser/response_length/correct",
        "laser/response_length/easy",
        "laser/response_length/medium",
        "laser/accuracy/easy",
        "laser/accuracy/medium",
    }
    assert set(metrics) == set(EXPECTED) - absent
    # a share of all groups has something to count even where it is 0
    assert [metrics[f"laser/band_frac/{band}"] for band in ("easy", "medium", "hard")] == [0.0, 0.0, 1.0]
    assert metrics["laser/response_length/wrong"] == 38.75  # (50 + 30 + 41 + 34) / 4


def test_a_batch_without_a_wrong_response_has_no_length_of_wrong_ones() -> None:
    metrics = step_metrics(*batch([row for row in ROWS if row[0] == "b"]), ROLLOUT_N)
    assert "laser/response_length/wrong" not in metrics
    assert metrics["laser/response_length/correct"] == 10.5  # (10 + 11) / 2


def test_a_method_without_bands_and_targets_has_no_numbers_of_them() -> None:
    rollouts, shaped = batch(ROWS)
    metrics = step_metrics(rollouts, Shaped(shaped.task_reward, shaped.length_reward))
    absent = {name for name in EXPECTED if name.endswith(("/easy", "/medium", "/hard"))}
    absent |= {"laser/within_target_frac", "laser/short_group_frac"}
    assert metrics == pytest.approx({name: value for name, value in EXPECTED.items() if name not in absent})


def test_bands_are_counted_over_the_groups_that_have_one() -> None:
    # a and b are easy, c medium; d to g, of a method without bands, would be hard
    rollouts, shaped = batch(ROWS)
    band = np.array([NO_BAND if row[0] in "defg" else row[6] for row in ROWS], dtype=np.int8)
    metrics = step_metrics(rollouts, replace(shaped, band=band))
    banded = {name: value for name, value in metrics.items() if name.endswith(("/easy", "/medium", "/hard"))}
    assert banded == pytest.approx(
        {
            "laser/band_frac/easy": 2 / 3,
            "laser/band_frac/medium": 1 / 3,
            "laser/band_frac/hard": 0.0,
            "laser/accuracy/easy": 4 / 5,
            "laser/accuracy/medium": 2 / 4,
            "laser/response_length/easy": 50 / 5,
            "laser/response_length/medium": 90 / 4,
        }
    )
    none = replace(shaped, band=np.full(rollouts.size, NO_BAND, dtype=np.int8))
    assert not [name for name in step_metrics(rollouts, none) if name.endswith(("/easy", "/medium", "/hard"))]


def test_the_bands_of_a_source_are_logged_where_its_method_has_some() -> None:
    laser_d = {"method": "laser_d", "target_lengths": {"easy": 10, "medium": 20, "hard": 40}}
    method = build("mixed", {"per_data_source": {"math": laser_d, "chat": "none"}})
    # math: one group with 2 of 2 solved is easy, one with none is hard; chat: 1 of 2 solved, without bands
    sources = np.array(["math", "math", "chat", "chat", "math", "math"], dtype=object)
    columns = {"data_source": sources}
    rollouts = Rollouts.build(list("aabbcc"), [9, 11, 20, 20, 30, 31], [1, 1, 1, 0, 0, 0], columns=columns)
    metrics = source_metrics(rollouts, method.shape(rollouts))
    assert {name: value for name, value in metrics.items() if "band_frac" in name} == {
        "laser/math/band_frac/easy": 0.5,
        "laser/math/band_frac/medium": 0.0,
        "laser/math/band_frac/hard": 0.5,
    }
    assert metrics["laser/math/response_length/easy"] == 10.0  # (9 + 11) / 2
    assert "laser/chat/response_length/medium" not in metrics


def test_a_batch_without_rows_has_no_metrics() -> None:
    assert step_metrics(*batch([]), ROLLOUT_N) == {}


@pytest.mark.parametrize(
    ("name", "options"), [("laser", {"target_length": 20}), ("laser_d", {"lower_bound": 10, "interval": 10})]
)
def test_every_name_logged_is_documented(name: str, options: dict[str, Any]) -> None:
    method = build(name, options, Context(group_size=ROLLOUT_N, max_response_length=64))
    rollouts, _ = batch(ROWS)
    method.observe(rollouts)
    own = method.metrics()
    assert own
    emitted = set(step_metrics(rollouts, method.shape(rollouts), ROLLOUT_N)) | set(own)
    assert emitted - documented_names() == set()


NAMES = {"status": ("equal", "different", "timeout"), "layer": ("format", "text")}
NONE = float("nan")


def test_verdicts_are_counted_by_status_and_layer() -> None:
    # five responses: two equal, one different, one timeout, one whose verdict came from elsewhere; 99 % of the way from
    # the first to the last of 1, 2, 3 and 104 ms is 0.97 of the way from the third to the fourth
    metrics = scoring_metrics([0, 0, 1, 2, NONE], [1, 1, 1, 0, NONE], [2, 1, 3, 104, NONE], NAMES)
    assert metrics == pytest.approx(
        {
            "laser/scoring/status_frac/equal": 2 / 4,
            "laser/scoring/status_frac/different": 1 / 4,
            "laser/scoring/status_frac/timeout": 1 / 4,
            "laser/scoring/layer_frac/format": 1 / 4,
            "laser/scoring/layer_frac/text": 3 / 4,
            "laser/scoring/milliseconds/mean": 110 / 4,
            "laser/scoring/milliseconds/p99": 3 + 0.97 * 101,
        }
    )
    assert {type(value) for value in metrics.values()} == {float}


def test_verdicts_from_elsewhere_leave_the_names_out() -> None:
    assert scoring_metrics([NONE], [NONE], [NONE], NAMES) == {}
    assert scoring_metrics([], [], [], NAMES) == {}
    # a status alone, as older reward workers sent it
    assert set(scoring_metrics([1], [NONE], [NONE], NAMES)) == {
        f"laser/scoring/status_frac/{status}" for status in NAMES["status"]
    }


def test_scoring_names_are_documented_and_averaged_by_verl() -> None:
    emitted = set(scoring_metrics([0], [0], [1.0], {"status": STATUSES, "layer": LAYERS}))
    assert len(emitted) == len(STATUSES) + len(LAYERS) + 2
    assert emitted == {name for name in documented_names() if name.startswith("laser/scoring/")}
    # verl takes the largest, least or sum over sub-steps where a name holds one of these
    assert not [name for name in emitted for word in ("max", "min", "sum", "total") if word in name]


def test_the_documented_names_are_read_with_braces_and_ellipses() -> None:
    read = documented_names()
    assert {"laser/accuracy", "laser/band_frac/medium", "laser/target_length/all"} <= read
    assert {"laser/response_length/wrong", "laser/response_length/hard"} <= read
    assert not [name for name in read if re.search(r"[{},…]", name)]

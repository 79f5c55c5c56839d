"""Kimi's length penalty: reference numbers, edges, and bad options."""

from __future__ import annotations

import pytest

from laser_verl.core import Rollouts, build
from tests.unit.baselines.replays import Case, Replays, close, named, rewards_of, rollouts_of

GOLDEN = Replays(
    left_out={
        f"laser-repo/norm/{group}": "code that the release cannot reach; not a published method"
        for group in ("mixed", "hard", "all_wrong", "equal_len")
    }
)


@GOLDEN.of(*(f"laser-repo/kimi/{group}" for group in ("mixed", "hard", "all_wrong", "equal_len")))
def kimi_as_in_the_release_of_laser(case: Case) -> None:
    options = {"weight": case["params"]["len_coef"], "scores": {"wrong": -0.5, "malformed": -1}}
    close(case, rewards_of("kimi", options, rollouts_of(case["inputs"])), case["expected"]["rewards"])


@GOLDEN.of("kimi-k1.5/mixed", "kimi-k1.5/all_wrong", "kimi-k1.5/equal_len", "kimi-k1.5/easy")
def kimi(case: Case) -> None:
    rollouts = rollouts_of(case["inputs"])
    shaped = build("kimi", {"weight": case["params"]["weight"]}).shape(rollouts)
    close(case, shaped.length_reward, case["expected"]["length_reward"])
    close(case, shaped.reward, case["expected"]["total_with_R01"])


@pytest.mark.parametrize("name", named(GOLDEN.replays))
def test_reference_numbers(name: str) -> None:
    GOLDEN.run(name)


def test_malformed_and_truncated_responses_get_no_bonus_for_being_short() -> None:
    rollouts = Rollouts.build([0, 0, 0], [100, 200, 300], [1, 1, 1], well_formed=[0, 1, 1], truncated=[0, 0, 1])
    # the first is correct but malformed: min(0, 0.5) = 0; the second 1/2 - 1/2; the third 1/2 - 1
    assert rewards_of("kimi", {}, rollouts).tolist() == [0.0, 1.0, 0.5]


def test_one_response_alone_has_no_length_term() -> None:
    assert rewards_of("kimi", {}, Rollouts.build([0], [100], [1])).tolist() == [1.0]


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match=r"weight=-1\.0 must be 0 or more"):
        build("kimi", {"weight": -1})
